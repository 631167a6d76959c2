"""What is the least-cost choice within the limits of columns, structure rows and wires?

The program of :mod:`market.formulation`, grown. Almost no limit of the network ever binds, so it starts with the balances and the
structure rows that are not lazy, from the merit order as a basis; after each solve one back-solve per period gives every flow, the worst
violated limits enter as rows (with a slack at their penalty, so that no data make the program infeasible), lazy structure rows likewise,
chords of quadratic costs are cut, and it solves again. It ends when nothing outside the program is violated: then the answer is the
optimum of the full program.

A program can be kept. :meth:`Program.update` takes other costs, amounts, loads and bounds in place and the next solve starts from the
last basis with every row that was ever found; that is the advisory run. The official run makes a program anew, so that its answer depends
on nothing but its inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, csr_array

from market.chords import NO_CURVES, Chords, Curves
from market.formulation import NO_BUS, Formulation
from market.grid import BoolArray, FloatArray, IndexArray, sum_by
from market.highs import LinearProgram, Solved
from market.monitor import LimitKind, Monitor
from market.networkrows import NetworkRows, Priced

__all__ = ["NotSolved", "Penalties", "Priced", "Program", "Solution"]

FLOW_TOLERANCE_MW = 1e-6
_ROW_TOLERANCE = 1e-7
_ROWS_PER_ROUND = 200

Penalties = Mapping[LimitKind, float]
"""Money per MWh beyond each kind of network limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSolved:
    """The solver gave no optimum: its own word, and after how many solves."""

    status: str
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solution:
    """The optimum and its duals.

    Attributes:
        x: (n,) columns of the formulation.
        curve_mw: (nq,) outputs of the curves, MW.
        island_price_per_mwh: per period (n_islands,) dual of the balance: the price at the reference bus; NaN where dead.
        branch_price_per_mwh: per period (nl,) dual of each branch's flow; an N-1 limit or a section is spread over its branches.
        row_price: (m,) duals of the structure rows: change of the cost per unit of the bound.
        priced: the limits of the network that are in the program.
        rounds: how many solves it took.
    """

    x: FloatArray
    curve_mw: FloatArray
    island_price_per_mwh: tuple[FloatArray, ...]
    branch_price_per_mwh: tuple[FloatArray, ...]
    row_price: FloatArray
    priced: tuple[Priced, ...]
    rounds: int


class Program:
    """One linear program while it grows.

    Columns: those of the formulation, chords, then as they come two per network row for its slack, and parts of chords that were cut.
    Rows: the balance of each live island of each period, structure rows, then network rows and lazy structure rows as they come.

    Args:
        formulation: columns and structure rows.
        monitors: the limits of each period's topology.
        penalties: of each kind of limit.
        curves: injections of quadratic cost.
        price_tolerance_per_mwh: how closely the marginal cost of a quadratic must be met.
        rounds_max: most solves of one clearing.
    """

    def __init__(
        self,
        formulation: Formulation,
        monitors: Sequence[Monitor],
        penalties: Penalties,
        curves: Curves = NO_CURVES,
        *,
        price_tolerance_per_mwh: float = 1e-5,
        rounds_max: int = 100,
    ) -> None:
        self.formulation, self.monitors, self.penalties = formulation, tuple(monitors), penalties
        self.chords = Chords(curves)
        self._price_tolerance, self._rounds_max = price_tolerance_per_mwh, rounds_max
        self._n = len(formulation.cost)
        self.chord_column: NDArray[np.intp] = self._n + np.arange(len(self.chords))
        self._n_columns = self._n + len(self.chords)
        self._row_of_island = _number_balances(formulation)
        self.network = NetworkRows(formulation.periods, monitors)
        self.network_row: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        self.slack_column: NDArray[np.intp] = np.zeros((0, 2), dtype=np.intp)
        self.structure_row: NDArray[np.intp] = np.full(len(formulation.low), -1, dtype=np.intp)
        self._build()

    def _places(self, columns: NDArray[np.integer[Any]]) -> tuple[IndexArray, IndexArray, FloatArray, BoolArray]:
        """Return (period, bus, gain, spread) of some columns of the program; no gain for a slack."""
        f, n = self.formulation, self._n
        period, bus = np.zeros(len(columns), dtype=np.int32), np.full(len(columns), NO_BUS, dtype=np.int32)
        gain, spread = np.zeros(len(columns)), np.zeros(len(columns), dtype=np.bool_)
        own = columns < n
        period[own], bus[own] = f.period[columns[own]], f.bus[columns[own]]
        gain[own], spread[own] = f.gain[columns[own]], f.spread[columns[own]]
        if len(self.chords):
            order = np.argsort(self.chord_column)
            at = np.minimum(np.searchsorted(self.chord_column, columns, sorter=order), len(order) - 1)
            chord = order[at]
            is_chord = self.chord_column[chord] == columns
            curve = self.chords.curve[chord[is_chord]]
            period[is_chord], bus[is_chord], gain[is_chord] = self.chords.curves.period[curve], self.chords.curves.bus[curve], 1.0
        return period, bus, np.where(bus == NO_BUS, 0.0, gain), spread

    def _injecting(self) -> NDArray[np.intp]:
        """Return the columns that inject anywhere."""
        columns = np.concatenate([np.arange(self._n), self.chord_column]).astype(np.intp)
        found: NDArray[np.intp] = columns[self._places(columns)[2] != 0]
        return found

    def _balance_entries(self, columns: NDArray[np.integer[Any]]) -> tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]:
        """Return (row, place among ``columns``, value) of the balances."""
        period, bus, gain, spread = self._places(columns)
        row = np.full(len(columns), -1, dtype=np.intp)
        for t, wires in enumerate(self.formulation.periods):
            own = np.flatnonzero((period == t) & (gain != 0))
            island = np.where(spread[own], bus[own], wires.topology.island_of_bus[np.where(spread[own], 0, bus[own])])
            row[own] = self._row_of_island[t][island]
        fed = np.flatnonzero(row >= 0)
        return row[fed], fed, gain[fed]

    def _network_entries(self, t: int, factor: FloatArray, columns: NDArray[np.integer[Any]]) -> FloatArray:
        """Return (k, columns) what a unit of each column adds to flows of period ``t`` with these factors (k, nb)."""
        wires = self.formulation.periods[t]
        period, bus, gain, spread = self._places(columns)
        own = (period == t) & (gain != 0)
        at_bus, over = np.flatnonzero(own & ~spread), np.flatnonzero(own & spread)
        out = np.zeros((len(factor), len(columns)))
        out[:, at_bus] = factor[:, bus[at_bus]] * gain[at_bus]
        for i in np.unique(bus[over]).tolist():
            every = over[bus[over] == i]
            out[:, every] = (factor @ wires.share_in(i))[:, None] * gain[every]
        return out

    def matrix(self, columns: NDArray[np.integer[Any]]) -> csr_array[np.float64]:
        """Return (rows, columns) the coefficients of the program as it stands, in the order of the solver's rows."""
        row, place, value = self._balance_entries(columns)
        rows, places, values = [row], [place], [value]
        f = self.formulation
        inside = np.flatnonzero(self.structure_row >= 0)
        if len(inside):
            position = np.full(self._n_columns, -1, dtype=np.intp)
            position[columns] = np.arange(len(columns))
            part = coo_array(f.rows[inside])
            wanted = position[part.col] >= 0
            rows.append(self.structure_row[inside][part.row[wanted]])
            places.append(position[part.col[wanted]])
            values.append(part.data[wanted])
        for t in np.unique(self.network.period).tolist():
            own = np.flatnonzero(self.network.period == t)
            dense = self._network_entries(t, self.network.factor[own], columns)
            which, place = np.nonzero(dense)
            rows.append(self.network_row[own][which])
            places.append(place)
            values.append(dense[which, place])
        if len(self.network):
            slack = np.full(self._n_columns, -1, dtype=np.intp)
            slack[self.slack_column.ravel()] = np.arange(2 * len(self.network))
            which = np.flatnonzero(slack[columns] >= 0)
            number = slack[columns[which]]
            rows.append(self.network_row[number // 2])
            places.append(which)
            values.append(np.where(number % 2 == 0, -1.0, 1.0))
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(places)))
        return csr_array(entries, shape=(self._n_rows, len(columns)))

    def _wanted(self) -> FloatArray:
        """(n_balances,) what each live island still needs, MW."""
        out = [-sum_by(p.topology.island_of_bus, p.injection_mw, len(p.live))[p.live] for p in self.formulation.periods]
        return np.concatenate(out) + 0.0

    def _build(self) -> None:
        f = self.formulation
        cost = np.concatenate([f.cost, self.chords.price_per_mwh()])
        upper = np.concatenate([f.upper, self.chords.mw])
        wanted = self._wanted()
        injecting = self._injecting()
        row, place, value = self._balance_entries(injecting)
        column = injecting[place]
        order = np.lexsort((column, row))
        starts = np.searchsorted(row[order], np.arange(len(wanted))).astype(np.int32)
        self.lp = LinearProgram(cost, upper, wanted, wanted, (starts, column[order].astype(np.int32), value[order]))
        self._n_rows = len(wanted)
        firm = np.flatnonzero(~f.lazy)
        self._enter(firm)
        self._start_from_merit_order(cost, upper, wanted, (row, column, value), len(firm))

    def _start_from_merit_order(
        self,
        cost: FloatArray,
        upper: FloatArray,
        wanted: FloatArray,
        entries: tuple[NDArray[np.intp], NDArray[np.intp], FloatArray],
        firm: int,
    ) -> None:
        """Give the solver the answer it would find without wires and structure: the cheapest columns full, one at the margin."""
        at_upper = np.zeros(len(cost), dtype=np.bool_)
        basic = np.zeros(len(wanted), dtype=np.int32)
        row, column, value = entries
        # What consumes at a negative price (a bid) is worth buying before anything is produced: it is not in the merit order, it is need.
        by_price = np.lexsort((column, cost[column] / value))
        row, column, value = row[by_price], column[by_price], value[by_price]
        for i, need_mw in enumerate(wanted):
            own = (row == i) & (value > 0)
            stack = column[own]
            filled = np.cumsum(upper[stack] * value[own])
            k = int(np.searchsorted(filled, need_mw, side="left")) if need_mw > 0 else 0
            if need_mw < 0:
                sinks = column[(row == i) & (value < 0)]
                bottomless = sinks[np.isinf(upper[sinks])]
                basic[i] = bottomless[0] if len(bottomless) else stack[0]
                continue
            k = min(k, len(stack) - 1)
            at_upper[stack[:k]] = np.isfinite(upper[stack[:k]])
            basic[i] = stack[k]
        self.lp.start_from(at_upper, basic, firm)

    def update(self, formulation: Formulation) -> bool:
        """Take another clearing of the same shape in place; tell whether the shape is the same.

        The shape is: wires, live islands, places of columns, coefficients of structure rows. Where it differs nothing is changed and the
        caller makes a new program.
        """
        old = self.formulation
        if len(self.chords) or not _same_shape(old, formulation):
            return False
        self.formulation = formulation
        self.lp.change_all_columns(formulation.cost, formulation.upper)
        wanted = self._wanted()
        self.lp.change_rows(np.arange(len(wanted)), wanted, wanted)
        inside = np.flatnonzero(self.structure_row >= 0)
        if len(inside):
            self.lp.change_rows(self.structure_row[inside], formulation.low[inside], formulation.high[inside])
        self.network.move(formulation.periods)
        if len(self.network):
            self.lp.change_rows(self.network_row, *self.network.bounds())
            spread = np.flatnonzero(formulation.spread & (formulation.gain != 0))
            for t in np.unique(self.network.period).tolist():
                own = np.flatnonzero(self.network.period == t)
                mine = spread[formulation.period[spread] == t]
                for row, values in zip(
                    self.network_row[own].tolist(), self._network_entries(t, self.network.factor[own], mine), strict=True
                ):
                    self.lp.change_entries(row, mine, values)
        return True

    def price_at(self, cost: FloatArray, penalties: Penalties) -> None:
        """Take other costs of columns and other penalties of limits; the pricing run."""
        self.penalties = penalties
        self.lp.change_all_columns(cost, self.formulation.upper)
        each = np.array([penalties[kind] for kind in self.network.kind]) / self.network.scale
        if len(each):
            self.lp.change_costs(self.slack_column.ravel(), np.repeat(each, 2))

    def solve(self) -> Solution | NotSolved:
        """Solve until nothing outside the program is violated."""
        for rounds in range(1, self._rounds_max + 1):
            solved = self.lp.solve()
            if not solved.optimal:
                return NotSolved(status=solved.status, rounds=rounds)
            self.solved = solved
            # One | not two: a round adds rows of both sorts and cuts chords at once.
            curve_mw = self.chords.output_mw(solved.x[self.chord_column])
            if not (self.add_violated(solved.x[: self._n], curve_mw) | self._cut_chords(curve_mw)):
                return self._solution(solved, rounds)
        return NotSolved(status=f"still changing after {self._rounds_max} rounds", rounds=self._rounds_max)

    def injection_mw(self, t: int, x: FloatArray, curve_mw: FloatArray) -> FloatArray:
        """Return (nb,) net injections of a period for columns of the formulation (n,) and outputs of the curves (nq,), MW."""
        period, curves = self.formulation.periods[t], self.chords.curves
        out = self.formulation.injection_mw(t, x)
        if len(curves):
            above = np.where(curves.period == t, curve_mw - curves.low_mw, 0.0)
            out += np.where(period.live_bus, sum_by(curves.bus, above, len(out)), 0.0)
        return out

    def injection_of(self, t: int, solution: Solution) -> FloatArray:
        """Return (nb,) net injections of a period in a solution, MW."""
        return self.injection_mw(t, solution.x, solution.curve_mw)

    def add_violated(self, x: FloatArray, curve_mw: FloatArray) -> bool:
        """Add the worst violated limits, and the violated lazy rows, for columns of the formulation and curves; tell whether any were."""
        added = self._add_lazy(x)
        for t, (period, monitor) in enumerate(zip(self.formulation.periods, self.monitors, strict=True)):
            flow = period.flows_mw(self.injection_mw(t, x, curve_mw))
            new = monitor.violated(flow, self.network.known(t), FLOW_TOLERANCE_MW, lines_max=_ROWS_PER_ROUND)
            if len(new):
                self._add_network(t, new)
                added = True
        return added

    def _add_lazy(self, x: FloatArray) -> bool:
        f = self.formulation
        if not f.lazy.any():
            return False
        outside = np.flatnonzero(self.structure_row < 0)
        activity = f.rows[outside] @ x
        beyond = np.maximum(activity - f.high[outside], f.low[outside] - activity) > _ROW_TOLERANCE
        self._enter(outside[beyond])
        return bool(beyond.any())

    def _enter(self, rows: NDArray[np.intp]) -> None:
        """Append structure rows to the program."""
        if not len(rows):
            return
        f = self.formulation
        part = f.rows[rows]
        self.lp.add_rows(f.low[rows], f.high[rows], (part.indptr[:-1].astype(np.int32), part.indices.astype(np.int32), part.data))
        self.structure_row[rows] = self._n_rows + np.arange(len(rows))
        self._n_rows += len(rows)

    def _add_network(self, t: int, keys: NDArray[np.int64]) -> None:
        k, columns = len(keys), self._injecting()
        period, bus, _, spread = self._places(columns)
        new = self.network.add(t, keys, self.formulation.periods[t], np.unique(bus[(period == t) & ~spread]))
        price = np.array([self.penalties[kind] for kind in new.kind]) / new.scale
        self.lp.add_columns(np.repeat(price, 2), np.full(2 * k, np.inf))
        slack = self._n_columns + np.arange(2 * k).reshape(k, 2)
        self._n_columns += 2 * k
        dense = np.concatenate([self._network_entries(t, new.factor, columns), np.tile([-1.0, 1.0], (k, 1))], axis=1)
        every = np.concatenate([np.tile(columns, (k, 1)), slack], axis=1)
        row, place = np.nonzero(dense)
        starts = np.searchsorted(row, np.arange(k)).astype(np.int32)
        self.lp.add_rows(new.low, new.high, (starts, every[row, place].astype(np.int32), dense[row, place]))
        self.network_row = np.concatenate([self.network_row, self._n_rows + np.arange(k)])
        self._n_rows += k
        self.slack_column = np.concatenate([self.slack_column, slack])

    def _cut_chords(self, curve_mw: FloatArray) -> bool:
        chords = self.chords
        cut = chords.cut(curve_mw, self._price_tolerance) if len(chords) else None
        if cut is None:
            return False
        short, added = cut.shortened, cut.added
        self.lp.change_columns(self.chord_column[short], chords.price_per_mwh(short), chords.mw[short])
        new = self._n_columns + np.arange(len(added))
        self.chord_column = np.concatenate([self.chord_column, new])
        self._n_columns += len(added)
        entries = csc_array(self.matrix(new))
        start, row = entries.indptr[:-1].astype(np.int32), entries.indices.astype(np.int32)
        self.lp.add_columns(chords.price_per_mwh(added), chords.mw[added], (start, row, entries.data))
        # The old basis is neither primal nor dual feasible for the finer chords; from there the solver can lose its way.
        self.lp.start_from_nothing()
        return True

    def _solution(self, solved: Solved, rounds: int) -> Solution:
        slack = solved.x[self.slack_column] if len(self.network) else np.zeros((0, 2))
        return self.read(
            x=solved.x[: self._n] + 0.0,
            curve_mw=self.chords.output_mw(solved.x[self.chord_column]),
            over_mw=(slack[:, 0] - slack[:, 1]) / self.network.scale + 0.0,
            row_dual=solved.row_dual,
            rounds=rounds,
        )

    def read(self, *, x: FloatArray, curve_mw: FloatArray, over_mw: FloatArray, row_dual: FloatArray, rounds: int) -> Solution:
        """Say in the terms of the clearing what a point and duals of the program are.

        Args:
            x: (n,) columns of the formulation.
            curve_mw: (nq,) outputs of the curves, MW.
            over_mw: (k,) flows beyond their limits, in the order of :attr:`network`, MW.
            row_dual: duals of every row, in the order of the solver's rows.
            rounds: how many solves it took.
        """
        f, dual = self.formulation, row_dual[self.network_row]
        price = dual * self.network.scale + 0.0
        return Solution(
            x=x,
            curve_mw=curve_mw,
            island_price_per_mwh=tuple(
                np.where(period.live, row_dual[self._row_of_island[t]], np.nan) for t, period in enumerate(f.periods)
            ),
            branch_price_per_mwh=tuple(self.network.branch_prices(t, dual) + 0.0 for t in range(len(f.periods))),
            row_price=np.where(self.structure_row >= 0, row_dual[self.structure_row], 0.0),
            priced=tuple(
                Priced(period=t, key=key, price_per_mwh=mu, over_mw=mw)
                for t, key, mu, mw in zip(
                    self.network.period.tolist(), self.network.key.tolist(), price.tolist(), over_mw.tolist(), strict=True
                )
            ),
            rounds=rounds,
        )

    def rows_of_first_period(self) -> NDArray[np.intp]:
        """Return the rows of the program in which a column of the first period stands."""
        f = self.formulation
        touched = np.zeros(self._n_rows, dtype=np.bool_)
        touched[self._row_of_island[0][f.periods[0].live]] = True
        touched[self.network_row[self.network.period == 0]] = True
        inside = np.flatnonzero(self.structure_row >= 0)
        if len(inside):
            first = np.where(f.period == 0, 1.0, 0.0)
            touched[self.structure_row[inside]] = (abs(f.rows[inside]) @ first) > 0
        return np.flatnonzero(touched)

    def energy_weights(self) -> csr_array[np.float64]:
        """Return (rows, rows) the change from the solver's duals to prices that no reference bus and no scaling shapes.

        The dual of a balance becomes the load-weighted price of its island, that of a limit money per MWh; others stay.
        """
        rows, columns, values = [np.arange(self._n_rows)], [np.arange(self._n_rows)], [np.ones(self._n_rows)]
        values[0][self.network_row] = self.network.scale
        for t, period in enumerate(self.formulation.periods):
            own = np.flatnonzero(self.network.period == t)
            for i in np.flatnonzero(period.live).tolist():
                mean = self.network.factor[own] @ period.share_in(i)
                rows.append(np.full(len(own), self._row_of_island[t][i]))
                columns.append(self.network_row[own])
                values.append(mean)
        return csr_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(self._n_rows, self._n_rows))


def _number_balances(formulation: Formulation) -> tuple[NDArray[np.intp], ...]:
    """Return, per period, (n_islands,) the row of each live island's balance; -1 where dead."""
    out, first = [], 0
    for period in formulation.periods:
        number = np.where(period.live, first + np.cumsum(period.live) - 1, -1)
        first += int(period.live.sum())
        out.append(number.astype(np.intp))
    return tuple(out)


def _same_shape(old: Formulation, new: Formulation) -> bool:
    if len(old.periods) != len(new.periods) or len(old.cost) != len(new.cost) or old.rows.shape != new.rows.shape:
        return False
    same = all(a.topology is b.topology and np.array_equal(a.live, b.live) for a, b in zip(old.periods, new.periods, strict=True)) and all(
        np.array_equal(getattr(old, name), getattr(new, name)) for name in ("period", "bus", "gain", "spread", "lazy")
    )
    return same and all(np.array_equal(getattr(old.rows, name), getattr(new.rows, name)) for name in ("indptr", "indices", "data"))
