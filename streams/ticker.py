"""Makes time a fact: sends the tick to every area's telemetry and to the breaker, on the grid of the tick and at deadlines between.

Ticks on the grid carry the instant they stand for, also when the process was busy and sends them a little late: a tick says that
time *has reached* its instant. After a long absence (a restart, a suspended machine) time is not told step by step: the first tick
says where it is now, and nothing is dated back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from ingest.clock import Clock
from ingest.frame import TelemetryFrame, heartbeat
from market.facts import ClockCompared, Fact, Ticked
from market.units import NS_PER_S, floor_ns
from streams.intake import CLOCK_SOURCE

__all__ = ["Ticker"]

_ABSENCE_WALL_S: Final = 5.0
"""Behind by more wall time than this, the ticker skips to now."""

_WORTH_TELLING_S: Final = 0.5
"""A step of the clock that changed by less than this is told already; what is too much, the rule set says."""


class Ticker:
    """Sends ticks until it is stopped.

    Args:
        emit: sends them to the breaker (:meth:`streams.runtime.Shell.emit`).
        beat: sends heartbeats behind all telemetry that was read before (:meth:`ingest.gateway.Gateway.beat`).
        clock: event time.
        tick_ns: grid of the ticks, event time.
        areas: areas whose telemetry gets a heartbeat.
        first_ns: event time of the first tick; ticks before it were sent by an earlier run.
        speaks: whether it is for this process to tell the breaker. Of several workers, the one that runs the breaker does.
    """

    def __init__(
        self,
        emit: Callable[[Sequence[Fact]], Awaitable[None]],
        beat: Callable[[Sequence[TelemetryFrame]], None],
        clock: Clock,
        tick_ns: int,
        areas: tuple[str, ...],
        first_ns: int,
        *,
        speaks: Callable[[], bool] = lambda: True,
    ) -> None:
        self._emit = emit
        self._speaks = speaks
        self._beat = beat
        self._clock = clock
        self._tick_ns = tick_ns
        self._areas = areas
        self._next_ns = floor_ns(first_ns + tick_ns - 1, tick_ns)
        self._deadline_ns: int | None = None
        self._moved = asyncio.Event()
        self._seq = 0
        self._start_ns = first_ns
        self._step_told_s: float | None = None
        self.last_ns = 0
        """Instant of the last tick sent on the grid."""

    def deadline(self, ts_ns: int) -> None:
        """Have a tick sent to the breaker at ``ts_ns``, if that lies before the next one on the grid."""
        if ts_ns != self._deadline_ns:
            self._deadline_ns = ts_ns
            self._moved.set()

    async def run(self) -> None:
        """Send ticks until cancelled."""
        while True:
            due_ns = self.due_ns()
            self._moved.clear()
            if not await self._reached(due_ns):
                continue
            now_ns = self._clock.now_ns()
            if now_ns - due_ns > _ABSENCE_WALL_S * self._clock.speed * NS_PER_S:
                due_ns = now_ns
            if due_ns >= self._next_ns:
                self._seq += 1
                self._beat([heartbeat(CLOCK_SOURCE, area, self._seq, due_ns) for area in self._areas])
            if self._speaks():
                await self._emit([*self._compared(due_ns), Ticked(ts_event_ns=due_ns)])
            else:
                self._step_told_s = None  # whoever speaks next says first what to think of its clock
            if due_ns >= self._next_ns:
                self._next_ns = floor_ns(due_ns, self._tick_ns) + self._tick_ns
            self.last_ns = due_ns

    def _compared(self, now_ns: int) -> tuple[ClockCompared, ...]:
        """Tell, before the first tick and whenever it changed, whether the machine's clock was set: a tick must not act on it first."""
        step_s = self._clock.step_s()
        if self._step_told_s is not None and abs(step_s - self._step_told_s) < _WORTH_TELLING_S:
            return ()
        self._step_told_s = step_s
        steady_s = (now_ns - self._start_ns) / NS_PER_S
        return (ClockCompared(ts_event_ns=now_ns, wall_s=steady_s + step_s, monotonic_s=steady_s),)

    def due_ns(self) -> int:
        """Return the instant of the next tick; while a tick is being sent, its own."""
        deadline_ns = self._deadline_ns
        return self._next_ns if deadline_ns is None or deadline_ns <= self.last_ns else min(deadline_ns, self._next_ns)

    async def _reached(self, due_ns: int) -> bool:
        """Wait for ``due_ns``; False when a nearer deadline turned up meanwhile."""
        sleeping = asyncio.ensure_future(self._clock.sleep_until(due_ns))
        moved = asyncio.ensure_future(self._moved.wait())
        try:
            await asyncio.wait((sleeping, moved), return_when=asyncio.FIRST_COMPLETED)
            return sleeping.done()
        finally:
            for task in (sleeping, moved):
                task.cancel()
