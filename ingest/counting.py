"""What did a counter count since the reading before, to the last count?

Part of :mod:`ingest.checks`, which says what is judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.devices import Point
from ingest.movement import Where
from ingest.pointchecks import CounterCheck
from market.units import NS_PER_H

__all__ = ["Counted", "Counters"]

_UNSCALED_COUNTS: Final = 2.0**53
_SCALED_COUNTS: Final = 2.0**49
_OFF_MAX: Final = 0.25
"""How far from a whole number a count may come out of a scaled value: the rounding of three operations below 2^49."""

_NEVER_NS: Final = -1


class Counted(NamedTuple):
    """What became of counters' samples, (k,) each; where ``known`` is None every step is, and nothing was found."""

    step: NDArray[np.uint64]
    known: NDArray[np.bool_] | None
    rollover: NDArray[np.bool_]
    reset: NDArray[np.bool_]
    outside: NDArray[np.bool_]


_NOTHING: Final = np.empty(0, dtype=np.bool_)


class Counters:
    """Points that count; all columns (k,)."""

    def __init__(self, given: Sequence[tuple[Point, CounterCheck]]) -> None:
        self._scale = np.array([point.scale for point, _ in given], dtype=np.float64)
        self._offset = np.array([point.offset for point, _ in given], dtype=np.float64)
        # 2^64 is 0 in 64 bits, which is what makes the arithmetic modulo 2^64 come out right.
        self._modulus = np.array([counter.modulus % 2**64 for _, counter in given], dtype=np.uint64)
        self._size = np.array([float(counter.modulus) for _, counter in given], dtype=np.float64)
        plain = (self._scale == 1.0) & (self._offset == 0.0)
        self._exact_below = np.minimum(self._size, np.where(plain, _UNSCALED_COUNTS, _SCALED_COUNTS))
        per_ns = [_counts_per_ns(point, counter) for point, counter in given]
        self._per_ns = np.array([0.0 if each is None else each for each in per_ns], dtype=np.float64)
        self._limit_known = np.array([each is not None for each in per_ns], dtype=np.bool_)
        self._period_ns = np.array([point.period_ns for point, _ in given], dtype=np.int64)
        # A step forward of so few counts, in so short a time, needs no second look.
        self._few = np.where(self._limit_known, self._period_ns * self._per_ns + 1.0, np.inf)
        with np.errstate(divide="ignore"):
            round_ns = (self._size - 2.0) / self._per_ns - self._period_ns
        self._short_ns = np.minimum(round_ns, 2.0**62)
        self._count = np.zeros(len(given), dtype=np.uint64)
        self._ts_ns = np.full(len(given), _NEVER_NS, dtype=np.int64)

    def count(
        self,
        row: Where,
        ts_ns: NDArray[np.int64],
        value: NDArray[np.float64],
        sound: NDArray[np.bool_],
        raw: NDArray[np.int64] | None,
    ) -> Counted:
        """Count on from the readings before; no point twice."""
        count, exact, outside = self._whole(row, value, sound, raw)
        n, last_ns, before = len(value), self._ts_ns[row], self._count[row]
        passed_ns = ts_ns - last_ns
        step = count - before
        ordinary = exact & (passed_ns > 0) & (last_ns >= 0) & (count >= before) & (step <= self._few[row])
        ordinary &= passed_ns <= self._short_ns[row]
        if np.count_nonzero(ordinary) == n:
            self._count[row], self._ts_ns[row] = count, ts_ns
            return Counted(step, None, _NOTHING, _NOTHING, _NOTHING)
        newer = exact & (passed_ns > 0)
        judged = newer & (last_ns >= 0)
        back = count < before
        step[back] += self._modulus[row][back]
        # A device may show up to a period late what it has counted; and both readings were cut off to whole counts.
        most = (passed_ns + self._period_ns[row]) * self._per_ns[row] + 1.0
        unexplained = np.where(self._limit_known[row], (step > most) | (most >= self._size[row]), back)
        reset = judged & unexplained
        known = judged & ~unexplained
        rollover = known & back
        rows = (np.arange(row.start, row.stop) if isinstance(row, slice) else row)[newer]
        self._count[rows], self._ts_ns[rows] = count[newer], ts_ns[newer]
        return Counted(step, known, rollover, reset, outside)

    def _whole(
        self, row: Where, value: NDArray[np.float64], sound: NDArray[np.bool_], raw: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.uint64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Return (k,) whole counts, which of them are exact, and which lie outside the counter."""
        if raw is not None:
            count = raw.view(np.uint64)
            modulus = self._modulus[row]
            outside = sound & (count >= modulus) & (modulus != 0)
            return count, sound & ~outside, outside
        found = (value - self._offset[row]) / self._scale[row]
        whole = np.rint(found)
        exact = (np.abs(found - whole) <= _OFF_MAX) & (whole >= 0.0) & (whole < self._exact_below[row])
        exact &= sound
        if np.count_nonzero(exact) == len(exact):
            return whole.astype(np.uint64), exact, ~exact
        outside = sound & ((whole < 0.0) | (whole >= self._size[row]))
        return np.where(exact, whole, 0.0).astype(np.uint64), exact, outside


def _counts_per_ns(point: Point, counter: CounterCheck) -> float | None:
    return None if counter.max_per_h is None else counter.max_per_h / abs(point.scale) / NS_PER_H
