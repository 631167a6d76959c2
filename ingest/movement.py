"""How far did a point move, and does it move at all?

Part of :mod:`ingest.checks`, which says what is judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.pointchecks import PointChecks
from market.units import NS_PER_S

__all__ = ["CONFIRMED_BY", "Moved", "Movement", "Where"]

CONFIRMED_BY: Final = 3
"""Further readings that confirm a value which the point could not have reached."""

_NEVER_NS: Final = -1
_OPEN_END: Final = int(np.iinfo(np.int64).max)

Where = NDArray[np.int64] | slice
"""Positions in a column; a slice where they stand together, which spares a copy."""


class Moved(NamedTuple):
    """What was found of samples, (k,) each."""

    too_far: NDArray[np.bool_]
    frozen: NDArray[np.bool_]

    def spread(self, over: Moved, place: NDArray[np.intp]) -> None:
        """Put what was found at these places of a longer finding."""
        over.too_far[place] = self.too_far
        over.frozen[place] = self.frozen


class Movement:
    """How far points move, and whether they do; all columns (k,).

    The value that a point showed last is believed, unless readings of it are doubted: then the one before them is.
    """

    def __init__(self, periods_ns: Sequence[int], checks: Sequence[PointChecks]) -> None:
        n = len(checks)
        per_s = [np.inf if check.rate_per_s is None else check.rate_per_s for check in checks]
        self._per_ns = np.array(per_s, dtype=np.float64) / NS_PER_S
        self._period_ns = np.array(periods_ns, dtype=np.int64)
        self._per_period = self._per_ns * self._period_ns
        limits_ns = [_OPEN_END if check.frozen_ns is None else check.frozen_ns for check in checks]
        self._limit_ns = np.array(limits_ns, dtype=np.int64)
        self._value = np.full(n, np.nan)
        self._ts_ns = np.full(n, _NEVER_NS, dtype=np.int64)
        self._since_ns = np.full(n, _NEVER_NS, dtype=np.int64)
        # Of points that are doubted: what is believed, and how many doubted readings agreed with the one before them; -1 of the others.
        self._believed = np.full(n, np.nan)
        self._believed_ns = np.full(n, _NEVER_NS, dtype=np.int64)
        self._agreed = np.full(n, -1, dtype=np.int64)
        self._any_doubted = False

    def judge(self, row: Where, ts_ns: NDArray[np.int64], value: NDArray[np.float64], sound: NDArray[np.bool_]) -> Moved | None:
        """Judge samples, no point twice; None where nothing is found."""
        n = len(value)
        step = np.abs(value - self._value[row])
        newer = ts_ns > self._ts_ns[row]
        if np.count_nonzero(newer) == n and np.count_nonzero(sound) == n:
            return self._judge(row, ts_ns, value, step)
        rows = np.arange(row.start, row.stop) if isinstance(row, slice) else row
        found = Moved(np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_))
        older = np.flatnonzero(sound & ~newer)
        if len(older):
            self._recall(rows[older], ts_ns[older], value[older]).spread(found, older)
        chosen = np.flatnonzero(sound & newer)
        moved = self._judge(rows[chosen], ts_ns[chosen], value[chosen], step[chosen])
        if moved is not None:
            moved.spread(found, chosen)
        return found

    def _recall(self, row: NDArray[np.int64], ts_ns: NDArray[np.int64], value: NDArray[np.float64]) -> Moved:
        """Judge samples that are not newer than the last ones by what is known; nothing is learned from them."""
        since_ns = self._since_ns[row]
        frozen = (value == self._value[row]) & (value != 0.0) & (ts_ns >= since_ns) & (ts_ns - since_ns >= self._limit_ns[row])
        passed_ns = ts_ns - self._believed_ns[row]
        far = np.abs(value - self._believed[row]) > np.maximum(passed_ns, self._period_ns[row]) * self._per_ns[row]
        return Moved((self._agreed[row] >= 0) & (passed_ns > 0) & far, frozen)

    def _judge(self, row: Where, ts_ns: NDArray[np.int64], value: NDArray[np.float64], step: NDArray[np.float64]) -> Moved | None:
        """Judge sound samples that are newer than the last ones; ``step`` is how far they lie from those, NaN of the first."""
        too_far = frozen = None
        if self._any_doubted or np.count_nonzero(step > self._per_period[row]):
            too_far = self._too_far(row, ts_ns, value, step)
        since_ns = ts_ns
        still = step == 0.0
        if np.count_nonzero(still):
            since_ns = np.where(still, self._since_ns[row], ts_ns)
            frozen = (ts_ns - since_ns >= self._limit_ns[row]) & (value != 0.0)
        self._value[row], self._ts_ns[row], self._since_ns[row] = value, ts_ns, since_ns
        if too_far is None and frozen is None:
            return None
        none = np.zeros(len(value), dtype=np.bool_)
        return Moved(none if too_far is None else too_far, none if frozen is None else frozen)

    def _too_far(self, row: Where, ts_ns: NDArray[np.int64], value: NDArray[np.float64], step: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return (k,) which samples lie further from what is believed than their point can have moved since."""
        per_ns, period_ns, agreed = self._per_ns[row], self._period_ns[row], self._agreed[row]
        doubted = agreed >= 0
        believed = np.where(doubted, self._believed[row], self._value[row])
        believed_ns = np.where(doubted, self._believed_ns[row], self._ts_ns[row])
        # The comparison with NaN, before the first sample, is false.
        far = np.abs(value - believed) > np.maximum(ts_ns - believed_ns, period_ns) * per_ns
        agrees = doubted & (step <= np.maximum(ts_ns - self._ts_ns[row], period_ns) * per_ns)
        agreed = np.where(far, np.where(agrees, agreed + 1, 0), -1)
        confirmed = agreed >= CONFIRMED_BY
        agreed[confirmed] = -1
        self._agreed[row] = agreed
        self._believed[row], self._believed_ns[row] = believed, believed_ns
        self._any_doubted = bool((self._agreed >= 0).any())
        return np.asarray(far & ~confirmed)
