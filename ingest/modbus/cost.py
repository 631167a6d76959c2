"""Is it cheaper to read across a hole than to ask twice?

The time of a round trip is about a + b x registers: a for asking at all, b for each register on the line. :class:`RoundTrips` fits both
to what was measured, least squares with older measurements fading, and a hole is worth reading while its registers cost less than a
second request: up to a / b registers. On a network b is nearly nothing; at 9,600 baud a register costs 2.3 ms.

Numbers in, numbers out: no clock.
"""

from __future__ import annotations

from typing import Final

from ingest.modbus.frames import REGISTERS_MAX
from ingest.modbus.plan import HOLE_MAX

__all__ = ["RoundTrips"]

_FADE: Final = 0.99
"""What a measurement weighs after the next one: the last hundred count."""

_ENOUGH: Final = 20.0
"""Weight of measurements before they are believed."""

_SPREAD_MIN: Final = 4.0
"""Standard deviation of the lengths, in registers, below which nothing can be told of what a register costs."""


class RoundTrips:
    """What round trips to one device take."""

    __slots__ = ("_n", "_x", "_xx", "_xy", "_y")

    def __init__(self) -> None:
        self._n = self._x = self._y = self._xx = self._xy = 0.0

    def add(self, registers: int, took_s: float) -> None:
        """Note a round trip that had the line to itself."""
        self._n = self._n * _FADE + 1.0
        self._x = self._x * _FADE + registers
        self._y = self._y * _FADE + took_s
        self._xx = self._xx * _FADE + registers * registers
        self._xy = self._xy * _FADE + registers * took_s

    def hole_max(self) -> int:
        """Return the longest hole that is worth reading, registers; the usual one while too little is known."""
        if self._n < _ENOUGH:
            return HOLE_MAX
        spread = self._xx / self._n - (self._x / self._n) ** 2
        if spread < _SPREAD_MIN**2:
            return HOLE_MAX
        per_register_s = (self._xy / self._n - self._x * self._y / self._n**2) / spread
        per_request_s = self._y / self._n - per_register_s * self._x / self._n
        if per_request_s <= 0:
            return 0
        if per_register_s * REGISTERS_MAX <= per_request_s:
            return REGISTERS_MAX
        return int(per_request_s / per_register_s)
