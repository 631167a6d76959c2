"""Every alert is tried until it is delivered or given up; no channel waits for another."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from market.errors import ConfigError
from streams.alerts import Alert, AlertState, Priority
from streams.errors import SinkUnavailable
from streams.ledger import open_engine
from streams.notify import Channel, Dispatcher, LogChannel, RetryPolicy, WebhookChannel
from streams.outbox import DeliveryState, Outbox
from tests.kit.eventually import eventually_async

EAGER = RetryPolicy(first_s=0.002, max_s=0.01, attempts_max=3)


def alert(alert_id: str) -> Alert:
    return Alert(
        alert_id=alert_id,
        ts_event_ns=5,
        name="market_tripped",
        priority=Priority.P1,
        state=AlertState.RAISED,
        text_en="tripped",
        text_zh="熔断",
    )


class Recording:
    """A channel that does what the test says, and remembers what it was given."""

    def __init__(self, name: str, answer: Callable[[Alert], Awaitable[str]]) -> None:
        self._name = name
        self._answer = answer
        self.sent: list[str] = []
        self.closed = False

    @property
    def name(self) -> str:
        return self._name

    async def send(self, alert: Alert) -> str:
        self.sent.append(alert.alert_id)
        return await self._answer(alert)

    async def close(self) -> None:
        self.closed = True


async def accept(alert: Alert) -> str:
    return "ok"


async def hang(alert: Alert) -> str:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = open_engine(f"sqlite:///{tmp_path / 'outbox.db'}")
    yield made
    made.dispose()


def dispatch(
    engine: sa.Engine,
    channels: list[Channel],
    story: Callable[[Dispatcher], Awaitable[None]],
    policy: RetryPolicy = EAGER,
) -> Dispatcher:
    """Run a dispatcher while the story runs."""

    async def main() -> Dispatcher:
        dispatcher = Dispatcher(Outbox(engine), channels, policy, spread=lambda: 0.0)
        task = asyncio.create_task(dispatcher.run())
        try:
            await story(dispatcher)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            dispatcher.close()
        return dispatcher

    return asyncio.run(main())


def states(engine: sa.Engine) -> dict[tuple[str, str], tuple[DeliveryState, int]]:
    return {(row.alert_id, row.channel): (row.state, row.attempts) for row in Outbox(engine).deliveries()}


def test_an_alert_is_delivered_by_every_channel_once(engine: sa.Engine) -> None:
    one, two = Recording("one", accept), Recording("two", accept)

    async def story(dispatcher: Dispatcher) -> None:
        assert await dispatcher.put(alert("a")) is True
        assert await dispatcher.put(alert("a")) is False
        await eventually_async("both delivered", lambda: all(status.delivered == 1 for status in dispatcher.status.values()))

    dispatch(engine, [one, two], story)
    assert (one.sent, two.sent, one.closed, two.closed) == (["a"], ["a"], True, True)
    assert states(engine) == {("a", "one"): (DeliveryState.DELIVERED, 1), ("a", "two"): (DeliveryState.DELIVERED, 1)}


def test_a_failure_is_tried_again(engine: sa.Engine) -> None:
    failures = [SinkUnavailable("busy"), ValueError("a bug in a channel")]

    async def moody(alert: Alert) -> str:
        if failures:
            raise failures.pop(0)
        return "at last"

    async def story(dispatcher: Dispatcher) -> None:
        await dispatcher.put(alert("a"))
        await eventually_async("delivered", lambda: dispatcher.status["one"].delivered == 1)
        assert dispatcher.status["one"].failed_attempts == 2

    dispatch(engine, [Recording("one", moody)], story)
    assert states(engine) == {("a", "one"): (DeliveryState.DELIVERED, 3)}


def test_after_the_last_attempt_it_is_undeliverable_and_logged(engine: sa.Engine, caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(alert: Alert) -> str:
        raise SinkUnavailable("no route")

    async def story(dispatcher: Dispatcher) -> None:
        await dispatcher.put(alert("a"))
        await eventually_async("given up", lambda: dispatcher.status["one"].undeliverable == 1)

    with caplog.at_level(logging.ERROR, logger="gridfuse.alerts"):
        dispatch(engine, [Recording("one", refuse)], story)
    assert states(engine) == {("a", "one"): (DeliveryState.UNDELIVERABLE, 3)}
    said = json.loads(caplog.records[-1].getMessage())
    assert (said["event"], said["alert_id"], said["channel"], said["attempts"], said["why"]) == ("undeliverable", "a", "one", 3, "no route")


def test_a_channel_that_hangs_delays_no_other_and_holds_sixteen_alerts_at_most(engine: sa.Engine) -> None:
    stuck, free = Recording("stuck", hang), Recording("free", accept)

    async def story(dispatcher: Dispatcher) -> None:
        for number in range(40):
            await dispatcher.put(alert(f"a{number}"))
        await eventually_async("the free channel's alerts", lambda: dispatcher.status["free"].delivered == 40)
        await eventually_async("a full hand", lambda: dispatcher.status["stuck"].in_flight == 16)

    dispatch(engine, [stuck, free], story)
    assert len(stuck.sent) == 16


def test_one_alert_that_hangs_does_not_hold_up_the_next_of_its_channel(engine: sa.Engine) -> None:
    async def moody(alert: Alert) -> str:
        return await (hang if alert.alert_id == "a0" else accept)(alert)

    async def story(dispatcher: Dispatcher) -> None:
        for number in range(40):
            await dispatcher.put(alert(f"a{number}"))
        await eventually_async("the others", lambda: dispatcher.status["one"].delivered == 39)

    dispatch(engine, [Recording("one", moody)], story)


def test_what_was_left_is_delivered_after_a_restart(engine: sa.Engine) -> None:
    async def first(dispatcher: Dispatcher) -> None:
        await dispatcher.put(alert("a"))
        await eventually_async("sent once", lambda: dispatcher.status["one"].in_flight == 1)

    async def second(dispatcher: Dispatcher) -> None:
        await eventually_async("delivered", lambda: dispatcher.status["one"].delivered == 1)

    dispatch(engine, [Recording("one", hang)], first)
    dispatch(engine, [Recording("one", accept)], second)
    assert states(engine) == {("a", "one"): (DeliveryState.DELIVERED, 2)}


def test_the_log_channel_writes_one_line_of_json(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="gridfuse.alerts"):
        asyncio.run(LogChannel().send(alert("a")))
    (record,) = caplog.records
    said = json.loads(record.getMessage())
    assert (said["event"], said["alert_id"], said["priority"], said["text_zh"]) == ("alert", "a", "P1", "熔断")
    assert "\n" not in record.getMessage()


@pytest.mark.parametrize("url", ["example.org/hook", "ftp://example.org", "http://", ""])
def test_a_webhook_that_is_no_web_address_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigError, match="is not an http or https URL"):
        WebhookChannel(url)
