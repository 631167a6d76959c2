"""A sink that stands still, and a market that does not: what was decided is the same, and every queue on the way is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import streams.agents
import streams.app
from market.rules import rules_from
from market.units import NS_PER_MIN, instant_ns
from streams import topics
from streams.lanes import Lane, Lanes
from streams.runtime import Shell
from streams.topics import Topic
from streams.transport.reader import LogReader
from tests.kit.eventually import eventually_async
from tests.kit.market_run import MarketRun, Seen

pytestmark = pytest.mark.integration

RULES = rules_from({"rt_interval_min": 5, "rt_limit_min": 10, "resume_notice_min": 5, "shadow_ok": 2, "top_voltage_kv": 230})
NOON = instant_ns("2020-01-01T12:00:00+08:00")
LANE = 8
BUFFER = 40
"""Small enough that both are full within the story: as if the sink had been away for weeks."""

MINUTES = 30


class Stuck:
    """A sink that takes a record in hand and never lets go of it."""

    async def see(self, topic: Topic, record: Any) -> None:
        await asyncio.Event().wait()


class Run:
    """A trip, told to sinks of which one may be stuck."""

    def __init__(self, directory: Path, *more: Any) -> None:
        self.directory = directory
        self.more = more
        self.lanes: Callable[[], Sequence[Lane]] = tuple
        self.lane_records_max = 0
        self.buffer_records_max = 0

    def bind(self, shell: Shell, observers: Any) -> Lanes:
        made = Lanes(shell, lambda: (*observers(), *self.more), records_max=LANE)
        self.lanes = made.lanes
        return made

    async def story(self) -> Seen:
        async with MarketRun(f"embedded://{self.directory}/log", self.directory, RULES, NOON, fails=(5, 25)) as run:
            looking = asyncio.create_task(self._look(run))
            await run.until(MINUTES)
            looking.cancel()
            assert run.hooks.progress["grid"] == run.hooks.progress["breaker"] == NOON + MINUTES * NS_PER_MIN
            return run.seen

    async def _look(self, run: MarketRun) -> None:
        while True:
            self.lane_records_max = max(self.lane_records_max, max((lane.waiting for lane in self.lanes()), default=0))
            sizes = [actor.stream.channel.queue.qsize() for agent in run.app.agents.values() for actor in agent._actors]
            self.buffer_records_max = max(self.buffer_records_max, *sizes)
            await asyncio.sleep(0.001)

    def decided(self) -> list[bytes | None]:
        with LogReader(self.directory / "log") as log:
            return [record.value for record in log.records(topics.DECISIONS.name, 0)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    plain = streams.app.faust_settings
    monkeypatch.setattr(streams.app, "faust_settings", lambda *given: plain(*given) | {"stream_buffer_maxsize": BUFFER})

    def played(run: Run) -> Seen:
        monkeypatch.setattr(streams.agents, "Lanes", run.bind)
        return asyncio.run(run.story())

    return played


def test_a_sink_that_never_returns_stops_no_decision_and_nothing_piles_up(small: Any, tmp_path: Path) -> None:
    free, stuck = Run(tmp_path / "free"), Run(tmp_path / "stuck", Stuck())
    seen = small(free)
    assert "TRIPPED" in seen.phases()
    small(stuck)
    assert stuck.decided() == free.decided(), "byte for byte what is decided without it"

    assert stuck.lane_records_max == LANE, "its lanes are full, and no fuller"
    # What was fetched before the buffer was nearly full is put behind it: a fetch of one partition at most.
    assert BUFFER * 0.8 <= stuck.buffer_records_max <= BUFFER + 500
    telemetry = [lane for lane in stuck.lanes() if lane.topic is topics.FRAMES and lane.sink == "Stuck"]
    assert telemetry[0].skipped > 100
    assert sum(lane.skipped for lane in stuck.lanes() if lane.sink != "Stuck") == 0

    # And whoever comes after it is shown what it held up.
    async def after() -> None:
        run = Run(tmp_path / "stuck")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(streams.agents, "Lanes", run.bind)
            async with MarketRun(f"embedded://{run.directory}/log", run.directory, RULES, NOON) as market:
                await eventually_async("every decision", lambda: sorted(market.seen.decisions) == sorted(seen.decisions))

    asyncio.run(after())
