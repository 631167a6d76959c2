"""A simulated clock runs ahead of the ticks; what is completed meanwhile is not dated past them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from console.demo.pace import Pacer, ToldTime
from ingest.clock import SimulatedClock
from market.facts import Ticked
from market.units import NS_PER_S
from streams.agents import Hooks
from streams.ticker import Ticker
from tests.kit.eventually import eventually_async

T0 = 1_000_000 * NS_PER_S
TICK = 10 * NS_PER_S


class Log:
    """Takes ticks when it is let."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.ticks: list[int] = []

    async def emit(self, records: Sequence[Any]) -> None:
        await self.open.wait()
        self.ticks += [(record.ts_event_ns - T0) // NS_PER_S for record in records if isinstance(record, Ticked)]


def test_time_stands_at_the_start_until_ticks_are_told_and_then_at_the_next_of_them() -> None:
    async def story() -> None:
        clock = SimulatedClock(T0, 1e6, held=True)
        told, log = ToldTime(clock), Log()
        clock.run_until(T0 + 25 * NS_PER_S)
        await asyncio.sleep(0.01)
        assert clock.now_ns() == T0 + 25 * NS_PER_S
        assert told.now_ns() == T0
        ticker = Ticker(log.emit, lambda _frames: None, clock, TICK, ("1",), T0 + NS_PER_S)
        told.follow(ticker)
        running = asyncio.create_task(ticker.run())
        await asyncio.sleep(0.05)
        assert told.now_ns() == T0 + 10 * NS_PER_S  # that tick is on its way, and not in the log yet
        log.open.set()
        await eventually_async("the time between two ticks", lambda: told.now_ns() == T0 + 25 * NS_PER_S, 5)
        assert log.ticks == [10, 20]
        running.cancel()

    asyncio.run(story())


def test_the_clock_stands_while_the_process_gets_no_turn() -> None:
    """A machine that is busy elsewhere for a moment must not make devices look silent."""

    async def story() -> None:
        clock = SimulatedClock(T0, 100.0, held=True)
        hooks = Hooks(progress={"breaker": T0, "grid": T0})
        pacer = asyncio.create_task(Pacer(clock, hooks, TICK).run())
        await asyncio.sleep(0.02)
        before_ns = clock.now_ns()
        time.sleep(0.3)  # noqa: ASYNC251  # nobody gets a turn
        assert clock.now_ns() - before_ns <= 5 * NS_PER_S
        assert clock.now_ns() > before_ns
        pacer.cancel()

    asyncio.run(story())
