"""What do the units add to the program: their offers, the ramps between periods, the limits of groups of units?

Each unit's least output is a fixed injection (:func:`least_mw_at_buses`): it is run by commitment, rules or nature, and sets no price.
What lies above is bought in columns, one per offer segment and period, all of them in every interval: a segment that cannot be used
now has an upper bound of 0. So the columns of one interval are those of the next, and a solved program can be updated in place.
A fixed unit, a unit under test and a unit that is off have no width above their least output, so they set no price either.

Ramp rows tie neighbouring periods of a unit that follows in both. They are lazy, and there are none for a unit that crosses its whole
range within one period. Where a unit is switched on or off, or enters or leaves a test, nothing ties the two periods: the ranges
(:mod:`market.ranges`) let it climb from where it stands.

A quadratic cost is bought in equal chords. They lie above the curve and meet it at their ends, so that what is paid too much is at most
``curvature * chord² / 4`` per hour and unit, and the price is right to half a chord's slope. Where one period is cleared without rows
that know these units, the caller leaves them out (``curves=False``) and cuts the curve as closely as it wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from market.formulation import Builder
from market.grid import BoolArray, FloatArray, IndexArray, sum_by
from market.offers import Control, OfferBook
from market.resources import UnitGroup

__all__ = ["CHORDS", "GroupRows", "RampRows", "UnitBlock", "add_groups", "add_ramps", "add_units", "least_mw_at_buses"]

CHORDS = 12
"""Of each quadratic cost."""


@dataclass(frozen=True, kw_only=True, eq=False)
class UnitBlock:
    """The columns of the units.

    Attributes:
        book: the units.
        live: (T, nu) whether each unit stands in a live island; what it does in a dead one is 0.
        low_mw: (T, nu) least output, 0 in dead islands, MW.
        high_mw: (T, nu) largest output, 0 in dead islands, MW.
        column: (T, k) number of each column.
        unit: (k,) the unit each belongs to; the offer segments first, in the order of the book, then the chords.
        curves: whether the units with a quadratic cost have columns.
    """

    book: OfferBook
    live: BoolArray
    low_mw: FloatArray
    high_mw: FloatArray
    column: IndexArray
    unit: IndexArray
    curves: bool

    def output_mw(self, x: FloatArray) -> FloatArray:
        """Return (T, nu) the output of each unit, MW; of a unit that was left out its least."""
        above = [sum_by(self.unit, x[column], len(self.book.units)) for column in self.column]
        return np.asarray(self.low_mw + np.array(above))

    @cached_property
    def _by_unit(self) -> tuple[IndexArray, IndexArray]:
        """(k,) places sorted by unit, (nu + 1,) where each unit's begin."""
        order = np.argsort(self.unit, kind="stable").astype(np.int32)
        return order, np.searchsorted(self.unit[order], np.arange(len(self.book.units) + 1)).astype(np.int32)

    def places(self, units: IndexArray) -> tuple[IndexArray, IndexArray]:
        """Return, for units (m,), every column of each: (j,) which of the m it belongs to, (j,) its place in a row of ``column``."""
        assert self.curves or not np.isin(units, self.book.curved).any(), "a row knows a unit whose curve was left out"
        order, begin = self._by_unit
        count = begin[units + 1] - begin[units]
        which = np.repeat(np.arange(len(units)), count)
        nth = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
        return which.astype(np.int32), order[begin[units][which] + nth]


@dataclass(frozen=True, kw_only=True, eq=False)
class RampRows:
    """The ramps between neighbouring periods.

    Attributes:
        row: (T - 1, m) number of the row that ties a period to the one before.
        unit: (m,) the unit of each.
    """

    row: IndexArray
    unit: IndexArray


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupRows:
    """The limits of unit groups.

    Attributes:
        ids: (g,) names, sorted.
        row: (T, g) numbers of the rows; a dual is negative where the largest sum binds, positive where the least does.
        under: (T, g) columns of what is missing to the least sum, MW.
        over: (T, g) columns of what exceeds the largest, MW.
    """

    ids: tuple[str, ...]
    row: IndexArray
    under: IndexArray
    over: IndexArray

    def beyond_mw(self, x: FloatArray) -> FloatArray:
        """Return (T, g) by how much each limit is missed, MW, positive above the largest sum, negative below the least."""
        return np.asarray(x[self.over] - x[self.under])


def least_mw_at_buses(book: OfferBook, low_mw: FloatArray, n_buses: int) -> FloatArray:
    """Return (T, nb) what the least outputs (T, nu) inject: the part of :attr:`market.formulation.Period.fixed_mw` that is the units'."""
    return np.array([sum_by(book.bus, low, n_buses) for low in low_mw])


def add_units(
    builder: Builder,
    book: OfferBook,
    *,
    low_mw: FloatArray,
    high_mw: FloatArray,
    curtailment_penalty_per_mwh: float = 0.0,
    curves: bool = True,
    chords: int = CHORDS,
) -> UnitBlock:
    """Append the columns of every unit's offer, in every period.

    Equal offers share in proportion to what was offered: the segment's width; of wind, sun and water the part that is available.

    Args:
        builder: its periods hold the least outputs as fixed injections already.
        book: the units.
        low_mw: (T, nu) least output, MW.
        high_mw: (T, nu) largest output, MW, >= low.
        curtailment_penalty_per_mwh: what a MWh of wind, sun or water not taken costs.
        curves: whether units with a quadratic cost get columns.
        chords: how many each.
    """
    live = np.array([period.live_bus[book.bus] for period in builder.periods])
    low, high = np.where(live, low_mw, 0.0), np.where(live, high_mw, 0.0)
    curtailable = book.controlled(Control.CURTAILABLE)
    # What a renewable gives saves the penalty for what it could have given.
    saved = np.where(curtailable, curtailment_penalty_per_mwh, 0.0)
    curve = np.repeat(np.arange(len(book.curved)), chords if curves else 0)
    chord_unit = book.curved[curve]
    nth = np.tile(np.arange(chords), len(book.curved) if curves else 0)
    seg_cost = book.seg_price_per_mwh - saved[book.seg_unit]
    seg_shared = curtailable[book.seg_unit]
    columns = []
    for t in range(len(builder.periods)):
        width = book.segments_between(low[t], high[t])
        chord = (high[t] - low[t])[chord_unit] / chords
        left = low[t][chord_unit] + nth * chord
        slope = book.linear_per_mwh[curve] + book.curvature_per_mw2h[curve] * (2 * left + chord) - saved[chord_unit]
        weight = np.concatenate([np.where(seg_shared & (width > 0), width, book.seg_mw), np.where(chord > 0, chord, 1.0)])
        columns.append(
            builder.columns(
                cost=np.concatenate([seg_cost, slope]),
                upper=np.concatenate([width, chord]),
                period=t,
                bus=book.bus[np.concatenate([book.seg_unit, chord_unit])],
                gain=1.0,
                weight=weight,
            )
        )
    return UnitBlock(
        book=book,
        live=live,
        low_mw=low,
        high_mw=high,
        column=np.array(columns),
        unit=np.concatenate([book.seg_unit, chord_unit]).astype(np.int32),
        curves=curves,
    )


def add_ramps(builder: Builder, block: UnitBlock, *, interval_min: float, follows: BoolArray) -> RampRows:
    """Append the lazy rows that tie each period to the one before: ``|p(t) - p(t - 1)| <= ramp * interval``.

    Which rows there are depends on the units alone; a row that has nothing to say in this interval has no bounds.

    Args:
        builder: where the block's columns are.
        block: the units.
        interval_min: length of a period, min.
        follows: (T, nu) units that follow a base point within their ramp (:attr:`market.ranges.Horizon.follows`).
    """
    book = block.book
    step = book.ramp_mw_per_min * interval_min
    able = book.controlled(Control.DISPATCHABLE) & (step < book.p_max_mw - book.p_min_mw)
    if not block.curves:
        able[book.curved] = False
    unit = np.flatnonzero(able).astype(np.int32)
    which, place = block.places(unit)
    rows = []
    for t in range(1, len(builder.periods)):
        before, now = block.low_mw[t - 1, unit], block.low_mw[t, unit]
        # From an output that is fixed the range of this period says it all.
        tied = (follows & block.live)[t - 1 : t + 1, unit].all(axis=0) & (block.high_mw[t - 1, unit] > before)
        rows.append(
            builder.rows(
                low=np.where(tied, before - now - step[unit], -np.inf),
                high=np.where(tied, before - now + step[unit], np.inf),
                row=np.concatenate([which, which]),
                column=np.concatenate([block.column[t][place], block.column[t - 1][place]]),
                value=np.repeat([1.0, -1.0], len(which)),
                lazy=True,
            )
        )
    return RampRows(row=np.array(rows, dtype=np.int32).reshape(len(builder.periods) - 1, len(unit)), unit=unit)


def add_groups(builder: Builder, block: UnitBlock, groups: Sequence[UnitGroup], *, penalty_per_mwh: float) -> GroupRows:
    """Append the limits on the sum of the outputs of groups of units; what cannot be kept is missed at a penalty.

    Members in dead islands count as 0.

    Args:
        builder: where the block's columns are.
        block: the units.
        groups: names and limits; the members are units of the book.
        penalty_per_mwh: what a MWh beyond a limit costs.
    """
    if not groups:
        none = np.zeros((len(builder.periods), 0), dtype=np.int32)
        return GroupRows(ids=(), row=none, under=none, over=none)
    ordered = sorted(groups, key=lambda group: group.id)
    n, book = len(ordered), block.book
    group = np.array([g for g, each in enumerate(ordered) for _ in each.members], dtype=np.int32)
    member = np.array([book.index[name] for each in ordered for name in sorted(each.members)], dtype=np.int32)
    least, most = np.array([each.low_mw for each in ordered]), np.array([each.high_mw for each in ordered])
    which, place = block.places(member)
    rows, unders, overs = [], [], []
    for t in range(len(builder.periods)):
        under, over = (builder.columns(cost=np.full(n, penalty_per_mwh), upper=np.inf, period=t) for _ in range(2))
        fixed = sum_by(group, block.low_mw[t, member], n)
        rows.append(
            builder.rows(
                low=least - fixed,
                high=most - fixed,
                row=np.concatenate([group[which], np.arange(n), np.arange(n)]),
                column=np.concatenate([block.column[t][place], under, over]),
                value=np.repeat([1.0, 1.0, -1.0], [len(which), n, n]),
            )
        )
        unders.append(under)
        overs.append(over)
    return GroupRows(ids=tuple(each.id for each in ordered), row=np.array(rows), under=np.array(unders), over=np.array(overs))
