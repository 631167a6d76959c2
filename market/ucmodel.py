"""Unit commitment as columns and rows: the mixed-integer program behind :mod:`market.unitcommitment`.

Time has two grains. Units are switched at the start of *slots* (an hour, say); they are dispatched in *periods* (a quarter of an hour).
With n units, S slots of c periods, the program is::

    u on, v starts, w stops          per slot and unit; only u is asked to be whole, the others then are
    x offer segments, r reserve, p   per period and unit; p is the output, x what lies above the minimum
    q nature, shed, spill, short     per period

    u_s − u_{s−1} = v_s − w_s                        switching                                  (1)
    Σ_{s−T_up < j ≤ s} v_j ≤ u_s                     least time on                              (2)
    Σ_{s−T_dn < j ≤ s} w_j ≤ 1 − u_s                 least time off                             (3)
    p = p_min·a + climb + descent + Σ x              output                                     (4)
    Σ x + r ≤ range·a − (range − SD)·w_next …        capacity, also just after a start, before a stop   (5)
    Σ x_t − Σ x_{t−1} ≤ ramp·a_t − …                 ramp, both ways                            (6)
    Σ p + Σ q + shed − spill = load                  balance                                    (7)
    Σ r + unused nature + short ≥ share·load + L     reserve; L ≥ p of each unit that counts    (8)

(1) to (3) and (5) are the tight forms with three binaries of Ostrowski, Anjos and Vannelli (IEEE Trans. Power Systems 27(1), 2012) and
Morales-España, Latorre and Ramos (28(4), 2013); the survey of Knueven, Ostrowski and Watson (INFORMS J. Computing 32(4), 2020)
compares them. A unit whose minimum lies more than one period's ramp above nothing does not jump there: it *climbs* along its ramp, and
counts neither as reserve nor as range meanwhile (``a`` is u less the starts that still climb); after a stop it descends the same way
(start-up and shut-down trajectories of the same authors, 28(2), 2013). This is what dispatch does with a unit that was committed.

Shedding, spilling and reserve that is short are priced, so no data of load and weather make the program infeasible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from market.grid import BoolArray, FloatArray
from market.offers import Unit

__all__ = ["CommitmentModel", "Day", "Fleet", "Penalties", "RowBlock", "Rows", "matrix_of"]

_CURVE_STEPS = 10
_NEVER = 100_000.0
"""Periods: a unit that takes longer to reach its minimum does not within any horizon."""

_Terms = tuple[NDArray[np.int64], NDArray[np.int64], FloatArray]
"""Rows, columns and values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Penalties:
    """What violations cost, per MWh.

    Attributes:
        balance_per_mwh: load not served, and output nobody takes.
        reserve_per_mwh: reserve that is short.
        curtailment_per_mwh: wind, sun or water not taken.
        line_per_mwh: flow above a line's limit.
    """

    balance_per_mwh: float
    reserve_per_mwh: float
    curtailment_per_mwh: float
    line_per_mwh: float


def _steps(unit: Unit) -> tuple[tuple[float, float], ...]:
    """Return the offer above the minimum as (MW, price per MWh); a quadratic cost as chords of equal width."""
    if unit.quadratic is None:
        return tuple((segment.mw, segment.price_per_mwh) for segment in unit.segments)
    points = np.linspace(unit.p_min_mw, unit.p_max_mw, _CURVE_STEPS + 1)
    slope = unit.quadratic.linear_per_mwh + unit.quadratic.curvature_per_mw2h * (points[1:] + points[:-1])
    return tuple(zip(np.diff(points).tolist(), slope.tolist(), strict=True))


class Fleet:
    """The units that are switched, as columns, with times in slots and ramps per period.

    Args:
        units: (n,) the units.
        period_min: length of a period, min.
        per_slot: periods of a slot.

    Attributes:
        p_min_mw, p_max_mw: (n,) the range that is offered.
        step_mw: (n,) largest change of output in a period.
        climb: (n,) periods after a start in which the ramp does not reach the minimum yet.
        up_slots, down_slots: (n,) least time on and off, in slots; a climb and a descent end within them.
        seg_unit, seg_mw, seg_per_mwh: (ns,) offer steps above the minimum, unit by unit.
    """

    def __init__(self, units: Sequence[Unit], period_min: float, per_slot: int) -> None:
        self.units = tuple(units)
        stacked = [(i, mw, price) for i, unit in enumerate(units) for mw, price in _steps(unit)]
        self.seg_unit: NDArray[np.intp] = np.array([i for i, _, _ in stacked], dtype=np.intp)
        self.seg_mw: FloatArray = np.array([mw for _, mw, _ in stacked], dtype=np.float64)
        self.seg_per_mwh: FloatArray = np.array([price for _, _, price in stacked], dtype=np.float64)
        self.p_min_mw = self._column("p_min_mw")
        offered_mw = self.p_min_mw + np.bincount(self.seg_unit, weights=self.seg_mw, minlength=len(units))
        self.p_max_mw: FloatArray = np.minimum(self._column("p_max_mw"), offered_mw)
        self.cost_at_min_per_h = self._column("cost_at_min_per_h")
        self.start_cost = self._column("start_cost")
        self.step_mw: FloatArray = self._column("ramp_mw_per_min") * period_min
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(self.p_min_mw > 0, self.p_min_mw / self.step_mw, 0.0)
        self.climb: NDArray[np.int64] = np.maximum(np.ceil(np.minimum(reach, _NEVER) - 1 - 1e-9), 0).astype(np.int64)
        slot_h = period_min * per_slot / 60
        climbing = self.climb // per_slot + 1
        self.up_slots: NDArray[np.int64] = np.maximum(np.ceil(self._column("min_up_h") / slot_h - 1e-9).astype(np.int64), climbing)
        down = np.ceil(self._column("min_down_h") / slot_h - 1e-9).astype(np.int64)
        self.down_slots: NDArray[np.int64] = np.maximum(down, np.maximum(-(-self.climb // per_slot), 1))

    def _column(self, name: str) -> FloatArray:
        return np.array([getattr(unit, name) for unit in self.units], dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Day:
    """What the units are to serve, and how they enter it; n units, P periods, S slots.

    Attributes:
        load_mw: (P,) load less what is injected whatever happens.
        nature_mw: (P, m) what each curtailable unit could give.
        nature_per_mwh: (m,) what they offer it at.
        reserve_mw: (P,) reserve to hold besides the largest unit.
        largest: whether the largest running unit is held as well.
        on_low: (S, n) 1 where a unit must be on.
        on_high: (S, n) 0 where it must be off.
        on_before: (n,) 1 on, 0 off, NaN unknown: then it may begin as it likes, at no cost.
        above_before_mw: (n,) output above the minimum before the first period, MW; NaN where unknown or off.
    """

    load_mw: FloatArray
    nature_mw: FloatArray
    nature_per_mwh: FloatArray
    reserve_mw: FloatArray
    largest: bool
    on_low: FloatArray
    on_high: FloatArray
    on_before: FloatArray
    above_before_mw: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class RowBlock:
    """Rows ``low <= Σ value·column <= high``; ``row`` counts from 0 within the block."""

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    value: FloatArray
    low: FloatArray
    high: FloatArray


class Rows:
    """Entries of rows that share their left-hand sides' shape, gathered term by term."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._terms: list[_Terms] = []

    def add(self, row: NDArray[np.int64], column: NDArray[np.int64], value: FloatArray | float) -> Rows:
        """Add ``value`` times ``column`` to each ``row``; the three broadcast against each other."""
        wide = np.broadcast_arrays(row, column, np.asarray(value, dtype=np.float64))
        self._terms.append((wide[0].ravel(), wide[1].ravel(), wide[2].ravel()))
        return self

    def block(self, low: FloatArray | float, high: FloatArray | float) -> RowBlock:
        """Close the rows with their bounds."""
        row, column, value = (np.concatenate(part) for part in zip(*self._terms, strict=True))
        wide_low, wide_high = (np.broadcast_to(np.asarray(bound, dtype=np.float64), (self.count,)) for bound in (low, high))
        return RowBlock(row, column, value, wide_low, wide_high)


def matrix_of(blocks: Sequence[RowBlock], columns: int) -> tuple[csr_array[np.float64], FloatArray, FloatArray]:
    """Stack blocks into a matrix with its lower and upper row bounds."""
    offset = np.cumsum([0, *(len(block.low) for block in blocks)])
    row = np.concatenate([block.row + first for block, first in zip(blocks, offset[:-1], strict=True)])
    column = np.concatenate([block.column for block in blocks])
    value = np.concatenate([block.value for block in blocks])
    matrix = csr_array(coo_array((value, (row, column)), shape=(int(offset[-1]), columns)))
    matrix.eliminate_zeros()
    return matrix, np.concatenate([block.low for block in blocks]), np.concatenate([block.high for block in blocks])


class CommitmentModel:
    """The program's columns, costs and rows.

    Columns, each an array of positions: ``on``, ``start``, ``stop`` (S, n); ``output``, ``reserve`` (P, n); ``segment`` (P, ns);
    ``nature`` (P, m); ``shed``, ``spill``, ``short``, ``largest`` (P,).
    """

    def __init__(self, fleet: Fleet, day: Day, penalties: Penalties, *, period_min: float, per_slot: int, reserve_min: float) -> None:
        self.fleet, self.day, self.penalties = fleet, day, penalties
        self.per_slot, self.hours = per_slot, period_min / 60
        n, periods, nature = len(fleet.units), len(day.load_mw), day.nature_mw.shape[1]
        slots = periods // per_slot
        self.periods, self.slots = periods, slots
        self.columns = 0
        self.on, self.start, self.stop = (self._columns(slots, n) for _ in range(3))
        self.output, self.reserve = (self._columns(periods, n) for _ in range(2))
        self.segment, self.nature = self._columns(periods, len(fleet.seg_unit)), self._columns(periods, nature)
        self.shed, self.spill, self.short, self.largest = (self._columns(periods, 1)[:, 0] for _ in range(4))
        self.cost = np.zeros(self.columns)
        self.low, self.high = np.zeros(self.columns), np.full(self.columns, np.inf)
        self._price()
        self._bound(reserve_min / period_min)
        self.whole: BoolArray = np.zeros(self.columns, dtype=np.bool_)
        self.whole[self.on] = True
        self.blocks = [*self._switching(), *(block for i in range(n) for block in self._unit(i)), *self._system()]

    def _columns(self, rows: int, each: int) -> NDArray[np.int64]:
        first, self.columns = self.columns, self.columns + rows * each
        return np.arange(first, self.columns, dtype=np.int64).reshape(rows, each)

    def _price(self) -> None:
        fleet, day, h = self.fleet, self.day, self.hours
        self.cost[self.on] = fleet.cost_at_min_per_h * h * self.per_slot
        self.cost[self.start] = fleet.start_cost
        self.cost[self.segment] = fleet.seg_per_mwh * h
        # What nature gives saves the penalty for what it could have given.
        self.cost[self.nature] = (day.nature_per_mwh - self.penalties.curtailment_per_mwh) * h
        self.offset = float(day.nature_mw.sum()) * self.penalties.curtailment_per_mwh * h
        self.cost[self.shed] = self.cost[self.spill] = self.penalties.balance_per_mwh * h
        self.cost[self.short] = self.penalties.reserve_per_mwh * h

    def _bound(self, reserve_periods: float) -> None:
        fleet, day = self.fleet, self.day
        self.low[self.on], self.high[self.on] = day.on_low, day.on_high
        self.high[self.start] = self.high[self.stop] = 1.0
        unknown = np.isnan(day.on_before)
        # Nobody knows what happened before the day: no unit starts or stops in the first slot, it is on or off.
        self.high[self.start[0, unknown]] = self.high[self.stop[0, unknown]] = 0.0
        self.low[self.output] = np.minimum(fleet.p_min_mw, 0.0)
        self.high[self.output] = np.maximum(fleet.p_max_mw, 0.0)
        self.high[self.reserve] = fleet.step_mw * reserve_periods
        self.high[self.segment] = fleet.seg_mw
        self.high[self.nature] = day.nature_mw
        self.reserve_held = bool(day.largest or day.reserve_mw.any())
        if not self.reserve_held:
            self.high[self.reserve] = self.high[self.short] = 0.0
        self.low[self.largest] = self._always_mw() if day.largest else 0.0
        if not day.largest:
            self.high[self.largest] = 0.0

    def _always_mw(self) -> float:
        """Return the largest output that some unit has in every period: no smaller unit can be the largest."""
        always = self.day.on_low.all(axis=0)
        return float(self.fleet.p_min_mw[always].max(initial=0.0))

    def _switching(self) -> list[RowBlock]:
        fleet, before, slots = self.fleet, self.day.on_before, self.slots
        blocks = []
        if slots > 1:
            count = (slots - 1) * len(before)
            row = np.arange(count)
            moved = Rows(count).add(row, self.on[1:].ravel(), 1.0).add(row, self.on[:-1].ravel(), -1.0)
            moved.add(row, self.start[1:].ravel(), -1.0).add(row, self.stop[1:].ravel(), 1.0)
            blocks.append(moved.block(0.0, 0.0))
        if len(known := np.flatnonzero(~np.isnan(before))):
            row = np.arange(len(known))
            first = Rows(len(known)).add(row, self.on[0, known], 1.0).add(row, self.start[0, known], -1.0)
            blocks.append(first.add(row, self.stop[0, known], 1.0).block(before[known], before[known]))
        for least, switched, sign, high in ((fleet.up_slots, self.start, -1.0, 0.0), (fleet.down_slots, self.stop, 1.0, 1.0)):
            each = np.arange(slots * len(before)).reshape(slots, -1)
            rows = Rows(each.size).add(each, self.on, sign)
            for back in range(min(int(least.max(initial=0)), slots)):
                long = np.flatnonzero(least > back)
                rows.add(each[back:, long], switched[: slots - back, long], 1.0)
            blocks.append(rows.block(-np.inf, high))
        return blocks

    def _since(self, periods_ago: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the periods that begin so many periods after a slot does, and those slots."""
        t = np.arange(periods_ago, self.periods)
        t = t[(t - periods_ago) % self.per_slot == 0]
        return t, (t - periods_ago) // self.per_slot

    def available(self, i: int) -> _Terms:
        """Return the terms of ``a``: a unit is on and no longer climbing; rows are periods."""
        every = np.arange(self.periods)
        terms: list[_Terms] = [(every, self.on[every // self.per_slot, i], np.ones(self.periods))]
        for k in range(min(int(self.fleet.climb[i]), self.periods)):
            period, slot = self._since(k)
            terms.append((period, self.start[slot, i], np.full(len(period), -1.0)))
        row, column, value = (np.concatenate(part) for part in zip(*terms, strict=True))
        return row, column, value

    def _unit(self, i: int) -> list[RowBlock]:
        """Return the rows of one unit: output, capacity, ramps."""
        fleet, t = self.fleet, np.arange(self.periods)
        p_min, step = float(fleet.p_min_mw[i]), float(fleet.step_mw[i])
        segments, available = self.segment[:, fleet.seg_unit == i], self.available(i)
        output = Rows(self.periods).add(t, self.output[:, i], 1.0).add(t[:, None], segments, -1.0)
        output.add(available[0], available[1], -p_min * available[2])
        for k in range(min(int(fleet.climb[i]), self.periods)):
            period, slot = self._since(k)
            output.add(period, self.start[slot, i], -step * (k + 1)).add(period, self.stop[slot, i], step * (k + 1) - p_min)
        return [output.block(0.0, 0.0), self._capacity(i, segments, available), *self._ramps(i, segments, available)]

    def _capacity(self, i: int, segments: NDArray[np.int64], available: _Terms) -> RowBlock:
        t = np.arange(self.periods)
        above, first_mw, last_mw = self._reaches(i)
        rows = Rows(self.periods).add(t[:, None], segments, 1.0).add(t, self.reserve[:, i], 1.0)
        rows.add(available[0], available[1], -above * available[2])
        climb = int(self.fleet.climb[i])
        # The first period at or above the minimum, unless the unit may stop right after it: the ramp says it then.
        if climb + 1 < self.fleet.up_slots[i] * self.per_slot:
            period, slot = self._since(climb)
            rows.add(period, self.start[slot, i], above - first_mw)
        last = np.arange(self.per_slot - 1, self.periods - 1, self.per_slot)
        rows.add(last, self.stop[last // self.per_slot + 1, i], above - last_mw)
        return rows.block(-np.inf, 0.0)

    def _reaches(self, i: int) -> tuple[float, float, float]:
        """Return a unit's range above its minimum, and what of it is reached in its first and in its last period, MW."""
        fleet = self.fleet
        p_min, step = float(fleet.p_min_mw[i]), float(fleet.step_mw[i])
        above = max(float(fleet.p_max_mw[i]) - p_min, 0.0)
        first = min(above, max(step * (float(fleet.climb[i]) + 1) - p_min, 0.0))
        return above, first, min(above, max(step - p_min, 0.0))

    def _ramps(self, i: int, segments: NDArray[np.int64], available: _Terms) -> list[RowBlock]:
        above, first_mw, _ = self._reaches(i)
        if first_mw >= above:
            return []
        step, n = float(self.fleet.step_mw[i]), self.periods - 1
        blocks = []
        if n:
            t, (row, column, value) = np.arange(n), available
            up = Rows(n).add(t[:, None], segments[1:], 1.0).add(t[:, None], segments[:-1], -1.0)
            up.add(row[row > 0] - 1, column[row > 0], -step * value[row > 0])
            period, slot = self._since(int(self.fleet.climb[i]))
            up.add(period[period > 0] - 1, self.start[slot[period > 0], i], step - first_mw)
            down = Rows(n).add(t[:, None], segments[:-1], 1.0).add(t[:, None], segments[1:], -1.0)
            down.add(row[row < n], column[row < n], -step * value[row < n])
            blocks += [up.block(-np.inf, 0.0), down.block(-np.inf, 0.0)]
        if not np.isnan(self.day.on_before[i]):
            was_mw, zero = float(self.day.above_before_mw[i]), np.zeros(1, dtype=np.int64)
            up = Rows(1).add(zero, segments[0], 1.0)
            up.add(zero, self.start[0, i], step - first_mw if self.fleet.climb[i] == 0 else 0.0)
            # From wherever it is, a unit may stop: what must go, goes.
            down = Rows(1).add(zero, segments[0], 1.0).add(zero, self.stop[0, i], max(was_mw - step, 0.0))
            blocks += [up.block(-np.inf, was_mw + step), down.block(was_mw - step, np.inf)]
        return blocks

    def _system(self) -> list[RowBlock]:
        """Return the rows of all units together: balance, reserve, the largest unit."""
        day, t = self.day, np.arange(self.periods)
        balance = Rows(self.periods).add(t[:, None], self.output, 1.0).add(t[:, None], self.nature, 1.0)
        blocks = [balance.add(t, self.shed, 1.0).add(t, self.spill, -1.0).block(day.load_mw, day.load_mw)]
        if not self.reserve_held:
            return blocks
        held = Rows(self.periods).add(t[:, None], self.reserve, 1.0).add(t[:, None], self.nature, -1.0)
        least = day.reserve_mw - day.nature_mw.sum(axis=1)
        blocks.append(held.add(t, self.short, 1.0).add(t, self.largest, -1.0).block(least, np.inf))
        counts = (self.fleet.p_max_mw > self._always_mw()) & day.largest
        for i in np.flatnonzero(counts):
            above = Rows(self.periods).add(t, self.largest, 1.0).add(t, self.output[:, i], -1.0)
            blocks.append(above.block(0.0, np.inf))
        return blocks
