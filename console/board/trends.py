"""How did one number move over the last day, in memory that does not grow?

A ring of time buckets, each addressed by its own number (instant divided by bucket length), so that a sample delivered twice, or
late, lands in the bucket it belongs to and changes nothing the second time. Each bucket remembers the board's version at which it
was last written; what a client has not seen yet is therefore one comparison over an array.

A bucket without a sample is absent, and is sent as null. There is no interpolation and no mean: a bucket shows one value that was
really measured.
"""

from __future__ import annotations

from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from market.units import NS_PER_S

__all__ = ["Trend"]

_NEVER: Final = -1


class Trend:
    """A day of one quantity in buckets.

    Args:
        bucket_s: length of a bucket, s.
        span_s: how much is kept, s; a multiple of ``bucket_s``.
        decimals: digits after the point that are sent.
        nominal: where given, a bucket keeps the sample farthest from this value, so that a short excursion survives; otherwise
            it keeps the last one.
    """

    def __init__(self, *, bucket_s: int, span_s: int, decimals: int, nominal: float | None = None) -> None:
        assert span_s % bucket_s == 0, f"a span of {span_s} s is not a number of {bucket_s} s buckets"
        self._bucket_ns = bucket_s * NS_PER_S
        self._bucket_s = bucket_s
        self._size = span_s // bucket_s
        self._decimals = decimals
        self._nominal = nominal
        self._newest = _NEVER
        self._number: NDArray[np.int64] = np.full(self._size, _NEVER, dtype=np.int64)
        self._value: NDArray[np.float64] = np.full(self._size, np.nan)
        self._stamp: NDArray[np.int64] = np.full(self._size, _NEVER, dtype=np.int64)

    def add(self, ts_ns: int, value: float, version: int) -> bool:
        """Put a sample into its bucket.

        Returns:
            Whether anything changed: not for a repeat, a value that is not finite, or an instant older than the ring.
        """
        number = ts_ns // self._bucket_ns
        if not isfinite(value) or number <= self._newest - self._size:
            return False
        slot = number % self._size
        if self._number[slot] == number:
            held = float(self._value[slot])
            if held == value or (self._nominal is not None and abs(held - self._nominal) >= abs(value - self._nominal)):
                return False
        self._number[slot], self._value[slot], self._stamp[slot] = number, value, version
        self._newest = max(self._newest, number)
        return True

    def since(self, version: int) -> dict[str, Any] | None:
        """Return the buckets from the oldest one written after ``version`` to the newest.

        Returns:
            ``start_s`` (UTC, s), ``step_s`` and ``values`` (null where there is no sample), or None where nothing was written.
        """
        live = self._number > self._newest - self._size
        changed = self._number[live & (self._stamp > version)]
        if not changed.size:
            return None
        first = int(changed.min())
        numbers = np.arange(first, self._newest + 1)
        slots = numbers % self._size
        held = self._number[slots] == numbers
        rounded = np.round(self._value[slots], self._decimals)
        values = [value if there else None for value, there in zip(rounded.tolist(), held.tolist(), strict=True)]
        return {"start_s": first * self._bucket_s, "step_s": self._bucket_s, "values": values}
