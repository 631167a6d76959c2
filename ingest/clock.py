"""Where event time comes from: the wall clock, or a simulated clock that runs ``speed`` times as fast.

Only shells read a clock. Everything that decides is told the time by a fact.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from market.units import NS_PER_S

__all__ = ["Clock", "SimulatedClock", "WallClock"]

_CORRECTION_MAX_NS: Final = 2 * NS_PER_S
"""What network time corrects at once at most; more than this, and the clock was set (spec §1.2)."""

_NAP_S = 0.2
"""Longest single sleep: bounds how late a sleeper notices that the clock was held or released."""

_WALL_NAP_S = 0.5
"""Likewise, that the machine's clock was corrected."""


class Clock(Protocol):
    """Event time, as a shell sees it."""

    @property
    def speed(self) -> float:
        """Event seconds per wall second."""
        ...

    def now_ns(self) -> int:
        """Event time now, UTC ns; never runs backwards."""
        ...

    def step_s(self) -> float:
        """Return by how much the machine's UTC clock has parted from event time because somebody set it, s."""
        ...

    async def sleep_until(self, ts_ns: int) -> None:
        """Return once event time has reached ``ts_ns``."""
        ...


_since_boot_ns: Final = partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)


class WallClock:
    """Real time: the machine's UTC clock, as long as it can be believed.

    Event time runs with the steady clock, which nobody sets, and follows the UTC clock while the two differ by no more than a
    correction of network time. Where somebody sets the UTC clock, event time goes on as before and :meth:`step_s` says by how much
    the two have parted: a decision must not come of a clock that was set.

    Args:
        utc_ns, steady_ns: the two clocks; the steady one counts while the machine sleeps.
    """

    speed = 1.0

    def __init__(self, utc_ns: Callable[[], int] = time.time_ns, steady_ns: Callable[[], int] = _since_boot_ns) -> None:
        self._utc_ns, self._steady_ns = utc_ns, steady_ns
        self._offset_ns = utc_ns() - steady_ns()
        self._step_ns = 0
        self._last_ns = 0

    def now_ns(self) -> int:
        """Event time now, UTC ns; never runs backwards."""
        steady_ns, now_ns = self._steady_ns(), self._utc_ns()
        apart_ns = now_ns - steady_ns - self._offset_ns
        if -_CORRECTION_MAX_NS <= apart_ns <= _CORRECTION_MAX_NS:
            self._offset_ns = now_ns - steady_ns
            self._step_ns = 0
        else:
            self._step_ns = apart_ns
            now_ns = steady_ns + self._offset_ns
        if now_ns > self._last_ns:
            self._last_ns = now_ns
        return self._last_ns

    def step_s(self) -> float:
        """Return by how much the UTC clock was set since the start, s; 0 while it can be believed."""
        self.now_ns()
        return self._step_ns / NS_PER_S

    async def sleep_until(self, ts_ns: int) -> None:
        """Return once event time has reached ``ts_ns``."""
        while (left_ns := ts_ns - self.now_ns()) > 0:
            await asyncio.sleep(min(left_ns / NS_PER_S, _WALL_NAP_S))


class SimulatedClock:
    """Event time that starts where it is told and runs ``speed`` times as fast as the wall.

    The clock can be given a horizon it will not run past. The demo keeps the horizon just ahead of what the processors have
    finished, so that a machine too slow for the chosen speed gets a slower clock and not a broken order of events.

    Args:
        start_ns: event time now, UTC ns.
        speed: event seconds per wall second.
        held: stand at the start until :meth:`run_until`.
    """

    def __init__(self, start_ns: int, speed: float, *, held: bool = False) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be positive, got {speed}")
        self.speed = float(speed)
        self._base_ns = start_ns
        self._base_wall_s = time.monotonic()
        self._horizon_ns = start_ns if held else None
        self.held_s = 0.0
        """Wall seconds this clock stood at its horizon."""

    def now_ns(self) -> int:
        """Event time now, UTC ns."""
        return self._at(time.monotonic())

    def _at(self, wall_s: float) -> int:
        running_ns = self._base_ns + int((wall_s - self._base_wall_s) * self.speed * NS_PER_S)
        return running_ns if self._horizon_ns is None else min(running_ns, self._horizon_ns)

    def run_until(self, horizon_ns: int) -> None:
        """Let the clock run to ``horizon_ns`` and no further; time it already stood still is not made up for."""
        wall_s = time.monotonic()
        now_ns = self._at(wall_s)
        running_ns = self._base_ns + int((wall_s - self._base_wall_s) * self.speed * NS_PER_S)
        if running_ns > now_ns:
            self.held_s += (running_ns - now_ns) / NS_PER_S / self.speed
            self._base_ns, self._base_wall_s = now_ns, wall_s
        self._horizon_ns = max(horizon_ns, now_ns)

    def step_s(self) -> float:
        """Return 0: nobody sets this clock."""
        return 0.0

    async def sleep_until(self, ts_ns: int) -> None:
        """Return once event time has reached ``ts_ns``."""
        while (left_ns := ts_ns - self.now_ns()) > 0:
            # A held clock shows no progress; a short nap finds the release soon enough.
            await asyncio.sleep(min(max(left_ns / NS_PER_S / self.speed, 0.001), _NAP_S))
