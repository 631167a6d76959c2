"""Who turns the wheels: calls that are due in event time, and those that are due in wall time, for every device of a process.

Polls are due in event time, which a simulated clock lets run fast or stand still. Deadlines and pauses are wall time, because a network
does not hurry for a simulated clock.

They are turned when somebody is due, slot by slot: a process that waits for one device sleeps until then. Only where very many speak are
they turned at every slot (:meth:`ingest.sockets.Sockets.tick`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

from ingest.clock import Clock
from ingest.openings import Openings
from ingest.sockets import Sockets
from ingest.wheel import Wheel
from market.units import NS_PER_MS, NS_PER_S

__all__ = ["Cancellable", "Turns", "wall_ns"]

_log: Final = logging.getLogger(__name__)

_SLOT_NS: Final = 5 * NS_PER_MS
_FAST_SLOT_NS: Final = 2 * NS_PER_MS
"""Where event time runs faster than the wall: a slot is worth the more of it."""

_NAP_NS: Final = 200 * NS_PER_MS
"""Longest sleep: event time may be corrected meanwhile, and those that are due are then called at most so much late."""


wall_ns: Final = time.monotonic_ns
"""Wall time of deadlines: steady, from nowhere in particular, ns."""


class Cancellable(Protocol):
    """A call to come."""

    def cancel(self) -> None:
        """Do without it."""
        ...


class Turns:
    """Two wheels, and what turns them.

    Attributes:
        connecting: the places of those that open a connection.
        sockets: the plain connections.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        slot_ns = _SLOT_NS if clock.speed <= 1.0 else _FAST_SLOT_NS
        self._slot_ns = slot_ns
        self._turning = False
        self._turn_wall_ns = 0
        self._event = Wheel(max(1, int(slot_ns * min(1.0, clock.speed))))
        self._wall = Wheel(slot_ns)
        self._timer: asyncio.TimerHandle | None = None
        self.sockets = Sockets()
        self.connecting = Openings()

    def at_event(self, ts_ns: int, call: Callable[[int], None]) -> None:
        """Have something called, with the event time by then, once event time has reached ``ts_ns``."""
        if self._event.at(ts_ns, call):
            self._sooner()

    def after(self, ns: int, call: Callable[[int], None]) -> None:
        """Have something called, with the wall time by then (:func:`wall_ns`), once so much wall time has passed."""
        self.at_wall(wall_ns() + ns, call)

    def at_wall(self, wall_ns: int, call: Callable[[int], None]) -> None:
        """Have something called, with the wall time by then, once it has reached ``wall_ns``."""
        if self._wall.at(wall_ns, call):
            self._sooner()

    def unless_cancelled(self, s: float, call: Callable[[], None]) -> Cancellable:
        """Have something called once so many wall seconds have passed, unless it is cancelled before, as it nearly always is."""
        return asyncio.get_running_loop().call_later(s, call)

    def start(self) -> None:
        """Begin to turn, on the running event loop."""
        if self._timer is None:
            self._set_timer()

    def stop(self) -> None:
        """Turn no more; nobody is called from now on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sooner(self) -> None:
        """Somebody is due before all others: wake up for it."""
        if self._timer is None or self._turning:
            return
        if self._next_wall_ns(wall_ns()) < self._turn_wall_ns:
            self._timer.cancel()
            self._set_timer()

    def _set_timer(self) -> None:
        now_ns = wall_ns()
        self._turn_wall_ns = self._next_wall_ns(now_ns)
        self._timer = asyncio.get_running_loop().call_later((self._turn_wall_ns - now_ns) / NS_PER_S, self._tick)

    def _next_wall_ns(self, now_ns: int) -> int:
        """Return the wall time of the next turn: a slot from now at least, and a nap at most."""
        soonest_ns = now_ns + self._slot_ns
        if self.sockets.needs_turns:
            return soonest_ns
        next_ns = now_ns + _NAP_NS
        if (due_ns := self._wall.next_ns) is not None and due_ns < next_ns:
            next_ns = due_ns
        if (due_ns := self._event.next_ns) is not None:
            next_ns = min(next_ns, now_ns + int((due_ns - self.clock.now_ns()) / self.clock.speed))
        return max(next_ns, soonest_ns)

    def _tick(self) -> None:
        # Who puts in what is due sooner while the wheels are turned need not see to the timer: that is done at the end.
        self._turning = True
        try:
            self._turn()
        finally:
            self._turning = False
            if self._timer is not None:  # else it was stopped by somebody who was called
                self._set_timer()

    def _turn(self) -> None:
        try:
            self.sockets.tick()  # before deadlines: what has come is not late
        except Exception:
            _log.exception("serving the connections failed by a fault of this program")
        for wheel, now_ns in ((self._wall, wall_ns), (self._event, self.clock.now_ns)):
            try:
                wheel.turn(now_ns())
            except Exception:
                _log.exception("a call that was due failed by a fault of this program")
