"""Time is told on its grid, at deadlines between, and never dated back after an absence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from ingest.clock import SimulatedClock
from ingest.frame import TelemetryFrame
from market.facts import ClockCompared, Ticked
from market.units import NS_PER_S
from streams.intake import CLOCK_SOURCE
from streams.ticker import Ticker
from tests.kit.eventually import eventually_async

T0 = 1_000_000 * NS_PER_S
TICK = 10 * NS_PER_S


class Told:
    """What a ticker sent, and the clock it looks at."""

    def __init__(self, first_ns: int = T0) -> None:
        self.ticks: list[int] = []
        self.compared: list[ClockCompared] = []
        self.beats: list[tuple[str, int]] = []
        self.clock = SimulatedClock(T0, 1e6, held=True)
        self.ticker = Ticker(self.emit, self.beat, self.clock, TICK, ("1", "2"), first_ns)

    async def emit(self, records: Sequence[Any]) -> None:
        self.ticks += [record.ts_event_ns - T0 for record in records if isinstance(record, Ticked)]
        self.compared += [record for record in records if isinstance(record, ClockCompared)]
        assert isinstance(records[-1], Ticked), "what the clocks say comes before the tick that acts on it"

    def beat(self, frames: Sequence[TelemetryFrame]) -> None:
        assert all(frame.source == CLOCK_SOURCE and len(frame) == 0 for frame in frames)
        self.beats += [(frame.area, frame.ts_ingest_ns - T0) for frame in frames]

    async def goes_to(self, at_s: float, ticks: list[int]) -> None:
        self.clock.run_until(T0 + int(at_s * NS_PER_S))
        await eventually_async(f"ticks {ticks}", lambda: self.ticks == [s * NS_PER_S for s in ticks], 5)


def test_ticks_stand_on_their_grid_and_every_area_hears_each() -> None:
    async def story() -> None:
        told = Told(T0 + 3 * NS_PER_S)
        running = asyncio.create_task(told.ticker.run())
        await told.goes_to(9.9, [])
        await told.goes_to(31, [10, 20, 30])
        assert told.beats == [(area, s * NS_PER_S) for s in (10, 20, 30) for area in ("1", "2")]
        assert told.ticker.last_ns == T0 + 30 * NS_PER_S
        running.cancel()

    asyncio.run(story())


def test_a_deadline_between_two_ticks_is_told_to_the_breaker_alone() -> None:
    async def story() -> None:
        told = Told()
        running = asyncio.create_task(told.ticker.run())
        await told.goes_to(1, [0])
        told.ticker.deadline(T0 + 4 * NS_PER_S)
        await told.goes_to(9, [0, 4])
        told.ticker.deadline(T0 + 500 * NS_PER_S)  # beyond the grid: the tick comes first
        await told.goes_to(10, [0, 4, 10])
        assert told.beats == [(area, s * NS_PER_S) for s in (0, 10) for area in ("1", "2")]
        told.ticker.deadline(T0 + 3 * NS_PER_S)  # already passed
        await told.goes_to(20, [0, 4, 10, 20])
        running.cancel()

    asyncio.run(story())


def test_after_an_absence_time_is_not_told_step_by_step() -> None:
    async def story() -> None:
        told = Told()
        away_s = 6_000_000  # six wall seconds at this speed
        told.clock.run_until(T0 + away_s * NS_PER_S)
        told.clock._base_wall_s -= 10
        running = asyncio.create_task(told.ticker.run())
        await told.goes_to(away_s, [away_s])
        await told.goes_to(away_s + 10, [away_s, away_s + 10])
        running.cancel()

    asyncio.run(story())


def test_a_clock_that_was_set_is_told_before_the_tick_and_again_when_it_is_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first tick of a run tells it in any case: an earlier run may have ended with a clock that was wrong."""
    step = {"s": 0.0}

    async def story() -> None:
        told = Told()
        monkeypatch.setattr(told.clock, "step_s", lambda: step["s"])
        running = asyncio.create_task(told.ticker.run())
        await told.goes_to(11, [0, 10])
        assert [(c.wall_s, c.monotonic_s) for c in told.compared] == [(0.0, 0.0)]
        step["s"] = 10_800.0
        await told.goes_to(31, [0, 10, 20, 30])
        assert [c.wall_s - c.monotonic_s for c in told.compared] == [0.0, 10_800.0]
        step["s"] = 0.1
        await told.goes_to(41, [0, 10, 20, 30, 40])
        assert [c.wall_s - c.monotonic_s for c in told.compared] == pytest.approx([0.0, 10_800.0, 0.1])
        running.cancel()

    asyncio.run(story())
