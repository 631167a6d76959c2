"""How does a convex quadratic cost enter a linear program closely enough that its price is right?

By chords, which lie above the curve and meet it at their ends. Wherever a solution stands, the chords it touches are cut into parts until
the marginal cost changes by less than a tolerance along each of them. A cut only lowers the cost the program sees, and each chord is cut
a bounded number of times, so it ends; what is then missing is the tolerance times the length of a chord. No step is trusted:
:mod:`market.certificate` checks the result against the curves themselves.

Absent on purpose: curves that are tied to other columns (ramps, reserves): those are offered in segments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from market.grid import FloatArray, IndexArray, sum_by

__all__ = ["NO_CURVES", "Chords", "Curves", "Cut"]

_CHORDS = 8
_PARTS = 4
_AT_BREAK_MW = 1e-7


@dataclass(frozen=True, kw_only=True, eq=False)
class Curves:
    """Injections with a cost of ``linear·p + curvature·p²`` per hour for p MW between two outputs.

    Attributes:
        period: (nq,) period of each.
        bus: (nq,) where it injects.
        low_mw: (nq,) least output, MW, which is part of the period's fixed injection.
        high_mw: (nq,) largest output, MW.
        linear_per_mwh: (nq,) c1.
        per_mw2h: (nq,) c2, > 0.
    """

    period: IndexArray
    bus: IndexArray
    low_mw: FloatArray
    high_mw: FloatArray
    linear_per_mwh: FloatArray
    per_mw2h: FloatArray

    def __len__(self) -> int:
        return len(self.bus)

    def slope_per_mwh(self, output_mw: FloatArray) -> FloatArray:
        """Return (nq,) marginal costs at outputs (nq,), MW."""
        slope: FloatArray = self.linear_per_mwh + 2.0 * self.per_mw2h * output_mw
        return slope


_NO_INDEX, _NO_NUMBER = np.zeros(0, dtype=np.int32), np.zeros(0)
NO_CURVES = Curves(period=_NO_INDEX, bus=_NO_INDEX, low_mw=_NO_NUMBER, high_mw=_NO_NUMBER, linear_per_mwh=_NO_NUMBER, per_mw2h=_NO_NUMBER)
"""No quadratic cost anywhere."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """What a cut changes: columns (by position among all chords) that become shorter, and parts that are new at the end."""

    shortened: NDArray[np.intp]
    added: NDArray[np.intp]


class Chords:
    """The chords of some curves, as columns in the order in which they were made.

    Attributes:
        curve: (k,) curve of each chord.
        from_mw: (k,) output at which it begins.
        mw: (k,) its length.
    """

    def __init__(self, curves: Curves) -> None:
        self.curves = curves
        self.curve: NDArray[np.intp] = np.repeat(np.arange(len(curves)), _CHORDS)
        self.mw: FloatArray = (curves.high_mw - curves.low_mw)[self.curve] / _CHORDS
        self.from_mw: FloatArray = curves.low_mw[self.curve] + np.tile(np.arange(_CHORDS), len(curves)) * self.mw

    def __len__(self) -> int:
        return len(self.curve)

    def price_per_mwh(self, chords: slice | NDArray[np.intp] = slice(None)) -> FloatArray:
        """Return the mean marginal cost along chords."""
        curve, left = self.curve[chords], self.from_mw[chords]
        return np.asarray(self.curves.linear_per_mwh[curve] + self.curves.per_mw2h[curve] * (2 * left + self.mw[chords]))

    def output_mw(self, used_mw: FloatArray) -> FloatArray:
        """Return (nq,) outputs for the amounts used of each chord (k,), MW."""
        out: FloatArray = self.curves.low_mw + sum_by(self.curve, used_mw, len(self.curves))
        return out

    def cut(self, output_mw: FloatArray, tolerance_per_mwh: float) -> Cut | None:
        """Cut the chords at the outputs (nq,) that are still too long, or say that none is."""
        at = output_mw[self.curve]
        touched = (self.from_mw < at + _AT_BREAK_MW) & (at - _AT_BREAK_MW < self.from_mw + self.mw)
        long = 2 * self.curves.per_mw2h[self.curve] * self.mw > tolerance_per_mwh
        shortened = np.flatnonzero(touched & long)
        if not len(shortened):
            return None
        self.mw[shortened] /= _PARTS
        source = np.repeat(shortened, _PARTS - 1)
        part = np.tile(np.arange(1, _PARTS), len(shortened))
        added = len(self.curve) + np.arange(len(source))
        self.from_mw = np.concatenate([self.from_mw, self.from_mw[source] + part * self.mw[source]])
        self.mw = np.concatenate([self.mw, self.mw[source]])
        self.curve = np.concatenate([self.curve, self.curve[source]])
        return Cut(shortened=shortened, added=added)
