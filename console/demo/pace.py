"""Keeps the simulated clock from running ahead of the service.

The clock may run a little ahead of what the processors have finished, not past the start of an interval that is being cleared, and not
at all while this process gets no turn: devices that are not read because the machine is busy elsewhere must not look silent. On a
machine that keeps up this is never felt; on one that does not, the day passes more slowly and in the right order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from ingest.clock import SimulatedClock
from market.units import NS_PER_S
from streams.agents import Hooks
from streams.ticker import Ticker

__all__ = ["Pacer", "ToldTime"]

_LOOK_S: Final = 0.005
_LEAD_WALL_S: Final = 0.4
_LEAD_TICKS: Final = 3
_TURN_WALL_S: Final = 0.05
"""Wall time that the clock may run on after it was last looked at."""


class ToldTime:
    """The clock as the processors may see it: never past the next tick.

    A simulated clock runs ahead of the ticks while a resumed demo hears its devices, and whenever the process is busy for a moment.
    What was completed meanwhile must not be dated past ticks that are yet to be told: they would be found to come late.

    Args:
        clock: runs ahead.
    """

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        start_ns = clock.now_ns()
        self._next_tick_ns: Callable[[], int] = lambda: start_ns

    def follow(self, ticker: Ticker) -> None:
        """Go with its ticks; before, time stands at the start."""
        self._next_tick_ns = ticker.due_ns

    def now_ns(self) -> int:
        """Event time now, UTC ns."""
        return min(self._clock.now_ns(), self._next_tick_ns())


class Pacer:
    """Moves the horizon of a simulated clock along with the processors.

    Args:
        clock: held at its start until :meth:`run` begins.
        hooks: where the processors note how far they are.
        tick_ns: event time between ticks.
    """

    def __init__(self, clock: SimulatedClock, hooks: Hooks, tick_ns: int) -> None:
        self._clock, self._hooks = clock, hooks
        self._lead_ns = max(_LEAD_TICKS * tick_ns, int(_LEAD_WALL_S * clock.speed * NS_PER_S))
        self._turn_ns = int(_TURN_WALL_S * clock.speed * NS_PER_S)
        self._start_ns = clock.now_ns()

    async def run(self) -> None:
        """Move the horizon until cancelled."""
        while True:
            done_ns = min(self._hooks.progress.get(name, self._start_ns) for name in ("breaker", "grid"))
            horizon_ns = min(max(done_ns, self._start_ns) + self._lead_ns, self._clock.now_ns() + self._turn_ns)
            if self._hooks.clearing is not None:
                horizon_ns = min(horizon_ns, self._hooks.clearing - NS_PER_S)
            self._clock.run_until(horizon_ns)
            await asyncio.sleep(_LOOK_S)
