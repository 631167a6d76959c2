"""A stall is told once, with its end, past the outbox; a channel that is away is tried again and holds up no other."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

import pytest

from streams import stallalarm
from streams.alerts import Alert, AlertState, Priority, damage_alert
from streams.errors import SinkUnavailable
from streams.notify import RetryPolicy
from streams.stallalarm import Episodes, StallAlarm
from streams.transport.patience import Stalled, Trouble
from tests.kit.eventually import eventually_async

S = 1_000_000_000
T0 = 1_700_000_000 * S
STALLED = Stalled(Trouble.NO_ROOM, "the log /l cannot be written: full; the disk is full: free space", T0, 3)


def told(looks: Sequence[tuple[float, Stalled | None]]) -> list[tuple[str, AlertState]]:
    """What is told when the log is looked at, s after T0."""
    episodes = Episodes("Asia/Shanghai")
    alerts = [episodes.see(stalled, T0 + int(at_s * S), 7) for at_s, stalled in looks]
    return [(alert.alert_id, alert.state) for alert in alerts if alert is not None]


RAISED, CLEARED = (f"log_stalled/{T0}", AlertState.RAISED), (f"log_stalled/{T0}/resolved", AlertState.CLEARED)


@pytest.mark.parametrize(
    ("looks", "says"),
    [
        ([(0.0, STALLED), (0.9, STALLED), (1.2, None), (100.0, None)], []),
        ([(0.5, STALLED), (1.0, STALLED), (1.5, STALLED), (60.0, STALLED)], [RAISED]),
        ([(2.0, STALLED), (3.0, None), (6.9, None), (7.0, None), (8.0, None)], [RAISED, CLEARED]),
        ([(2.0, STALLED), (3.0, None), (4.0, STALLED), (8.0, None), (9.0, None)], [RAISED, CLEARED]),
        ([(2.0, STALLED), (3.0, None), (4.0, STALLED._replace(since_ns=T0 + 3 * S)), (9.0, None)], [RAISED, CLEARED]),
    ],
)
def test_an_episode_is_told_once_with_its_end(looks: list[tuple[float, Stalled | None]], says: list[tuple[str, AlertState]]) -> None:
    assert told(looks) == says


def test_a_new_episode_has_a_name_of_its_own() -> None:
    later = STALLED._replace(since_ns=T0 + 100 * S)
    names = [name for name, _ in told([(2.0, STALLED), (10.0, None), (102.0, later), (110.0, None)])]
    assert names == [
        f"log_stalled/{T0}",
        f"log_stalled/{T0}/resolved",
        f"log_stalled/{T0 + 100 * S}",
        f"log_stalled/{T0 + 100 * S}/resolved",
    ]


@pytest.mark.parametrize("trouble", [Trouble.NO_ROOM, Trouble.HELD, Trouble.FAILING])
def test_the_texts_say_what_is_wrong_in_both_languages(trouble: Trouble) -> None:
    alert = Episodes("Asia/Shanghai").see(STALLED._replace(trouble=trouble), T0 + 2 * S, 7)
    assert alert is not None
    assert (alert.name, alert.priority, alert.ts_event_ns) == ("log_stalled", Priority.P1, 7)
    assert "06:13:20" in alert.text_en
    assert "free space" in alert.text_en
    assert "06:13:20" in alert.text_zh
    assert not any(word in alert.text_zh for word in ("disk", "full", "log"))


def test_damage_is_one_alert_however_often_it_is_found() -> None:
    alert = damage_alert("kpi.v1", 0, 5, 7, "checksum differs", 1)
    assert alert.alert_id == damage_alert("kpi.v1", 0, 5, 7, "checksum differs", 2).alert_id == "log_damaged/kpi.v1/0/5-7"
    assert "kpi.v1[0] offset 5–7, 3 record(s) (checksum differs)" in alert.text_en
    assert "kpi.v1[0] 偏移 5–7，共 3 条（校验不符）" in alert.text_zh
    assert "offset 5," in damage_alert("kpi.v1", 0, 5, 5, "it is missing", 1).text_en


class Line:
    """A channel that is away for some attempts."""

    def __init__(self, name: str, away: int = 0) -> None:
        self.name = name
        self.took: list[Alert] = []
        self.attempts, self._away = 0, away

    async def send(self, alert: Alert) -> str:
        self.attempts += 1
        if self.attempts <= self._away:
            raise SinkUnavailable("away") if self.attempts % 2 else RuntimeError("a bug of the channel")
        self.took.append(alert)
        return "ok"

    async def close(self) -> None:
        pass


def test_every_channel_is_told_in_order_and_one_that_is_away_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stallalarm, "_LOOK_S", 0.001)
    monkeypatch.setattr(stallalarm, "_OVER_AFTER_NS", 0)
    good, bad, dead = Line("good"), Line("bad", away=4), Line("dead", away=10**9)
    state: list[Stalled | None] = [Stalled(Trouble.NO_ROOM, "full", time.time_ns() - 2 * S, 1)]
    shown: list[Alert] = []

    async def story() -> None:
        policy = RetryPolicy(first_s=0.001, max_s=0.002, attempts_max=6)
        alarm = StallAlarm(lambda: state[0], [good, bad, dead], lambda: 5, "Asia/Shanghai", shown.append, policy, random.random)
        running = asyncio.create_task(alarm.run())
        await eventually_async("the stall is told", lambda: len(good.took) == 1)
        state[0] = None
        await eventually_async("its end too, to both", lambda: len(good.took) == len(bad.took) == 2)
        await eventually_async("and the third is given up", lambda: dead.attempts == 12)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(story())
    assert [alert.state for alert in bad.took] == [AlertState.RAISED, AlertState.CLEARED]
    assert good.took == bad.took == shown
