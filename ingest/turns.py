"""Who turns the wheels: calls that are due in event time, and those that are due in wall time, for every device of a process.

Polls are due in event time, which a simulated clock lets run fast or stand still. Deadlines and pauses are wall time, because a network
does not hurry for a simulated clock.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from ingest.clock import Clock
from ingest.openings import Openings
from ingest.sockets import Sockets
from ingest.wheel import Wheel
from market.units import NS_PER_MS, NS_PER_S

__all__ = ["Turns", "wall_ns"]

_log: Final = logging.getLogger(__name__)

_SLOT_NS: Final = 5 * NS_PER_MS
_FAST_SLOT_NS: Final = 2 * NS_PER_MS
"""Where event time runs faster than the wall: a slot is worth the more of it."""


wall_ns: Final = time.monotonic_ns
"""Wall time of deadlines: steady, from nowhere in particular, ns."""


class Turns:
    """Two wheels, and what turns them.

    Attributes:
        connecting: the places of those that open a connection.
        sockets: the plain connections.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        slot_ns = _SLOT_NS if clock.speed <= 1.0 else _FAST_SLOT_NS
        self._tick_s = slot_ns / NS_PER_S
        self._event = Wheel(max(1, int(slot_ns * min(1.0, clock.speed))))
        self._wall = Wheel(slot_ns)
        self._timer: asyncio.TimerHandle | None = None
        self.sockets = Sockets()
        self.connecting = Openings()

    def at_event(self, ts_ns: int, call: Callable[[int], None]) -> None:
        """Have something called, with the event time by then, once event time has reached ``ts_ns``."""
        self._event.at(ts_ns, call)

    def after(self, ns: int, call: Callable[[int], None]) -> None:
        """Have something called, with the wall time by then (:func:`wall_ns`), once so much wall time has passed."""
        self._wall.at(wall_ns() + ns, call)

    def at_wall(self, wall_ns: int, call: Callable[[int], None]) -> None:
        """Have something called, with the wall time by then, once it has reached ``wall_ns``."""
        self._wall.at(wall_ns, call)

    def start(self) -> None:
        """Begin to turn, on the running event loop."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._tick_s, self._tick)

    def stop(self) -> None:
        """Turn no more; nobody is called from now on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        # First the next turn, then this one: a fault of one that is called ends neither the turning nor the others' calls.
        self._timer = asyncio.get_running_loop().call_later(self._tick_s, self._tick)
        try:
            self.sockets.tick()  # before deadlines: what has come is not late
        except Exception:
            _log.exception("serving the connections failed by a fault of this program")
        for wheel, now_ns in ((self._wall, wall_ns), (self._event, self.clock.now_ns)):
            try:
                wheel.turn(now_ns())
            except Exception:
                _log.exception("a call that was due failed by a fault of this program")
