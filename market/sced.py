"""Which dispatch serves the load at least cost within the limits of units and lines?

Security-constrained economic dispatch of one interval, as a linear program::

    min   Σ price·x  +  M_bal·(shed + spill)  +  M_line·(over⁺ + over⁻)
    s.t.  Σ x + shed − spill = load − Σ low                    one row per live island          (dual λ)
          low_l ≤ flow_l + over⁻ − over⁺ ≤ high_l              only for lines found violated    (dual ν_l)
          0 ≤ x ≤ width                                        x: offer segments above each unit's lower limit

A flow is a row of the PTDF matrix. Almost none of those rows ever binds, so the program starts with the balance alone, from the
merit order as a basis; after each solve one back-solve gives every flow, the worst violated lines enter as rows, and it solves
again. It ends when no line outside the program is violated: then the answer is the optimum of the full program.

No data make the program infeasible: what cannot be met is bought at a penalty and reported. Load shed or excess spilled is spread
over the island's buses in proportion to their load, the same weights as the energy price, so neither depends on a reference bus.

Convex quadratic costs are taken by chords, which lie above the curve and meet it at their ends. After each solve the chords at the
dispatch are cut into quarters, until the marginal cost changes by less than ``price_tolerance_per_mwh`` along each of them. A cut only
lowers the cost the program sees, and each chord is cut a bounded number of times, so it ends; what is then missing is the tolerance
times the length of a chord. No step is trusted: :mod:`market.certificate` checks the result against the curves themselves.

Absent on purpose: outages (N-1), reserves, several intervals in one program, storage, and a unique choice among equal-cost
dispatches (units are taken in the order of their ids).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from market.grid import BoolArray, FloatArray, IndexArray, Topology, sum_by
from market.highs import LinearProgram, Solved
from market.rules import MarketRules

__all__ = ["ClearingParams", "Dispatch", "DispatchProblem", "NotSolved", "dispatch"]

_CHORDS = 8
_PARTS = 4
_PTDF_CUT = 1e-9
"""Relative to the largest coefficient of the row. An absolute cut would lose lines that matter: a line of 1 MW whose factors are
near 1e-7 can carry a shadow price of tens of thousands."""
_FLOW_TOLERANCE_MW = 1e-6
_AT_BREAK_MW = 1e-7
_ROWS_PER_ROUND = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearingParams:
    """What shapes a clearing besides its inputs; part of every result's hash.

    Penalties are multiples of ``offer_cap_per_mwh``, ranked so that the lesser evil is chosen: curtailing renewables, then
    overloading a line, then failing the balance.

    Attributes:
        interval_min: length of the interval the ramps act over, min.
        price_floor_per_mwh: published prices are clipped to this from below.
        price_cap_per_mwh: and to this from above.
        offer_cap_per_mwh: the unit of the penalties.
        curtailment_multiple: penalty of a MWh of wind, sun or water not taken.
        line_multiple: penalty of a MWh above a line's limit.
        balance_multiple: penalty of a MWh not served or in excess.
        segments_max: most segments of an offer.
        negative_load_allowed: whether a bus may inject as a negative load.
        stale_share_degraded: share of stale points above which a result is marked degraded.
        stale_share_failed: share of stale points above which there is no result.
        price_tolerance_per_mwh: how closely the marginal cost of a quadratic must be met.
        rounds_max: most solves of one clearing.
    """

    interval_min: float = 15.0
    price_floor_per_mwh: float = 0.0
    price_cap_per_mwh: float = 1500.0
    offer_cap_per_mwh: float = 1500.0
    curtailment_multiple: float = 0.01
    line_multiple: float = 5.0
    balance_multiple: float = 30.0
    segments_max: int = 10
    negative_load_allowed: bool = False
    stale_share_degraded: float = 0.01
    stale_share_failed: float = 0.10
    price_tolerance_per_mwh: float = 1e-5
    rounds_max: int = 100

    @classmethod
    def from_rules(cls, rules: MarketRules) -> ClearingParams:
        """Take interval, floor and cap from the rule set in force."""
        return cls(
            interval_min=float(rules.rt_interval_min),
            price_floor_per_mwh=rules.price_floor_cny_per_mwh,
            price_cap_per_mwh=rules.price_cap_cny_per_mwh,
            offer_cap_per_mwh=rules.price_cap_cny_per_mwh,
        )

    @property
    def curtailment_penalty_per_mwh(self) -> float:
        """Penalty of a MWh of renewables not taken."""
        return self.curtailment_multiple * self.offer_cap_per_mwh

    @property
    def line_penalty_per_mwh(self) -> float:
        """Penalty of a MWh above a line's limit."""
        return self.line_multiple * self.offer_cap_per_mwh

    @property
    def balance_penalty_per_mwh(self) -> float:
        """Penalty of a MWh not served, or in excess."""
        return self.balance_multiple * self.offer_cap_per_mwh


@dataclass(frozen=True, kw_only=True, eq=False)
class DispatchProblem:
    """One interval, ready to be dispatched; units in the order of their ids.

    Attributes:
        topology: the wires in service.
        live: (n_islands,) islands that can be fed; the others carry nothing and have no price.
        load_mw: (nb,) withdrawal, MW; what stands in dead islands is ignored here.
        unit_bus: (nu,) bus of each unit.
        low_mw: (nu,) least output in this interval, MW; 0 for a unit that is off.
        high_mw: (nu,) largest output in this interval, MW, >= low.
        seg_unit: (ns,) unit of each offer segment; the segments of a unit follow each other.
        seg_mw: (ns,) width of the part of the segment between ``low_mw`` and ``high_mw``, MW, may be 0.
        seg_price_per_mwh: (ns,) its price as the program sees it, never falling within a unit.
        curved: (nq,) units with a quadratic cost, which have no segments.
        curved_linear_per_mwh: (nq,) their c1 in c1·p + c2·p².
        curved_per_mw2h: (nq,) their c2, > 0.
    """

    topology: Topology
    live: BoolArray
    load_mw: FloatArray
    unit_bus: IndexArray
    low_mw: FloatArray
    high_mw: FloatArray
    seg_unit: IndexArray
    seg_mw: FloatArray
    seg_price_per_mwh: FloatArray
    curved: IndexArray
    curved_linear_per_mwh: FloatArray
    curved_per_mw2h: FloatArray

    @cached_property
    def live_bus(self) -> BoolArray:
        """(nb,) whether each bus stands in a live island."""
        return self.live[self.topology.island_of_bus]

    @cached_property
    def share(self) -> FloatArray:
        """(nb,) share of each bus in its island's load, 0 in dead islands; equal shares where an island has no load."""
        island = self.topology.island_of_bus
        weight = np.maximum(self.load_mw, 0.0)
        empty = sum_by(island, weight, len(self.live)) <= 0
        weight = np.where(empty[island], 1.0, weight)
        total = sum_by(island, weight, len(self.live))
        return np.where(self.live_bus, weight / total[island], 0.0)

    def injection_mw(self, output_mw: FloatArray, unserved_mw: FloatArray) -> FloatArray:
        """Return (nb,) net injections for unit outputs (nu,) and load not served less excess spilled per island (n_islands,), MW."""
        made = sum_by(self.unit_bus, output_mw, len(self.load_mw))
        relief = self.share * unserved_mw[self.topology.island_of_bus]
        return np.where(self.live_bus, made - self.load_mw + relief, 0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Dispatch:
    """The optimum and its duals.

    Attributes:
        output_mw: (nu,) base points, MW.
        shed_mw: (n_islands,) load not served, MW.
        spill_mw: (n_islands,) excess that found no load, MW.
        over_mw: (nl,) flow beyond the limit, MW, positive above the upper, negative below the lower.
        island_price_per_mwh: (n_islands,) dual of the balance: price at the reference bus; NaN where dead.
        branch_price_per_mwh: (nl,) dual of the flow: negative at an upper limit, positive at a lower one.
        rounds: how many solves it took.
    """

    output_mw: FloatArray
    shed_mw: FloatArray
    spill_mw: FloatArray
    over_mw: FloatArray
    island_price_per_mwh: FloatArray
    branch_price_per_mwh: FloatArray
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSolved:
    """The solver gave no optimum: its own word, and after how many solves."""

    status: str
    rounds: int


def dispatch(problem: DispatchProblem, params: ClearingParams) -> Dispatch | NotSolved:
    """Find the least-cost dispatch, cold and repeatable.

    Args:
        problem: the interval; at least one island must be live.
        params: penalties and limits of the search.

    Returns:
        The optimum with its duals, or the solver's word where it found none.
    """
    program = _Program(problem, params)
    for rounds in range(1, params.rounds_max + 1):
        solved = program.solve()
        if not solved.optimal:
            return NotSolved(status=solved.status, rounds=rounds)
        program.take(solved)
        # One | not two: a round adds lines and cuts chords at once.
        if not (program.add_violated_lines() | program.cut_chords()):
            return program.result(rounds)
    return NotSolved(status=f"still changing after {params.rounds_max} rounds", rounds=params.rounds_max)


class _Program:
    """The linear program of one clearing while it grows.

    Columns: offer segments and chords, two per live island for shed and spill, then as they come two per line row for its slack and
    the parts of chords that were cut. Rows: the balance of each live island, then lines as they come.
    """

    def __init__(self, problem: DispatchProblem, params: ClearingParams) -> None:
        self.problem, self.params = problem, params
        topology = problem.topology
        self.rank = np.argsort(np.argsort(np.array(topology.network.branch_ids)))
        self.live = np.flatnonzero(problem.live)
        kept = np.flatnonzero(problem.seg_mw > 0)
        n_seg, n_curved = len(kept), len(problem.curved)
        self.chord_curve = np.repeat(np.arange(n_curved), _CHORDS)
        self.chord_mw = (problem.high_mw - problem.low_mw)[problem.curved][self.chord_curve] / _CHORDS
        self.chord_from_mw = problem.low_mw[problem.curved][self.chord_curve] + np.tile(np.arange(_CHORDS), n_curved) * self.chord_mw
        self.chord_col = n_seg + np.arange(len(self.chord_curve))
        self.unit_of_col = np.concatenate([problem.seg_unit[kept], problem.curved[self.chord_curve]])
        self.col = np.arange(len(self.unit_of_col))
        self.first_shed = len(self.col)
        self.n_cols = self.first_shed + 2 * len(self.live)
        self.lines: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        self.scale = np.zeros(0)
        self.slack_col: NDArray[np.intp] = np.zeros((0, 2), dtype=np.intp)
        self.line_factor = np.zeros((0, len(problem.load_mw)))
        self.base_flow_mw = topology.flows_mw(problem.injection_mw(problem.low_mw, np.zeros(topology.n_islands)))
        self._build(problem.seg_price_per_mwh[kept], problem.seg_mw[kept])

    def _build(self, seg_price: FloatArray, seg_mw: FloatArray) -> None:
        problem, penalty = self.problem, np.full(2 * len(self.live), self.params.balance_penalty_per_mwh)
        cost = np.concatenate([seg_price, self._slope(slice(None)), penalty])
        upper = np.concatenate([seg_mw, self.chord_mw, np.full(2 * len(self.live), np.inf)])
        surplus = problem.injection_mw(problem.low_mw, np.zeros(len(problem.live)))
        wanted = -sum_by(problem.topology.island_of_bus, surplus, len(problem.live))[self.live]
        island = self._balance_row(self.unit_of_col)
        row = np.concatenate([island, np.repeat(np.arange(len(self.live)), 2)])
        column = np.argsort(row, kind="stable").astype(np.int32)
        starts = np.searchsorted(row[column], np.arange(len(self.live))).astype(np.int32)
        values = np.ones(len(row))
        values[self.first_shed + 1 :: 2] = -1.0
        self.lp = LinearProgram(cost, upper, wanted, wanted, (starts, column, values[column]))
        self._start_from_merit_order(cost, upper, wanted, island)

    def _balance_row(self, units: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
        row: NDArray[np.intp] = np.searchsorted(self.live, self.problem.topology.island_of_bus[self.problem.unit_bus[units]])
        return row

    def _slope(self, chords: slice | NDArray[np.intp]) -> FloatArray:
        """Return the mean marginal cost along chords."""
        curve, left = self.chord_curve[chords], self.chord_from_mw[chords]
        c1, c2 = self.problem.curved_linear_per_mwh[curve], self.problem.curved_per_mw2h[curve]
        return np.asarray(c1 + c2 * (2 * left + self.chord_mw[chords]))

    def _start_from_merit_order(self, cost: FloatArray, upper: FloatArray, wanted: FloatArray, island: NDArray[np.intp]) -> None:
        """Give the solver the answer it would find without lines: the cheapest columns full, one at the margin."""
        at_upper = np.zeros(len(cost), dtype=np.bool_)
        basic = np.zeros(len(self.live), dtype=np.int32)
        order = np.argsort(cost[: self.first_shed], kind="stable")
        for i, need_mw in enumerate(wanted):
            own = order[island[order] == i]
            filled = np.cumsum(upper[own])
            k = int(np.searchsorted(filled, need_mw, side="left"))
            at_upper[own[:k]] = True
            shed = self.first_shed + 2 * i
            basic[i] = shed + 1 if need_mw < 0 else own[k] if k < len(own) else shed
        self.lp.start_from(at_upper, basic)

    def solve(self) -> Solved:
        return self.lp.solve()

    def take(self, solved: Solved) -> None:
        """Read dispatch and slacks off a solution."""
        problem, x = self.problem, solved.x
        self.solved = solved
        self.output_mw = problem.low_mw + sum_by(self.unit_of_col, x[self.col], len(problem.low_mw))
        self.shed_mw, self.spill_mw = np.zeros(len(problem.live)), np.zeros(len(problem.live))
        balance = x[self.first_shed : self.first_shed + 2 * len(self.live)]
        self.shed_mw[self.live], self.spill_mw[self.live] = balance[0::2], balance[1::2]

    def add_violated_lines(self) -> bool:
        """Add the worst violated lines as rows; tell whether there were any."""
        topology = self.problem.topology
        flow = topology.flows_mw(self.problem.injection_mw(self.output_mw, self.shed_mw - self.spill_mw))
        beyond = np.maximum(flow - topology.limit_high_mw, topology.limit_low_mw - flow)
        beyond[self.lines] = 0.0
        new = np.flatnonzero(beyond > _FLOW_TOLERANCE_MW)
        if not len(new):
            return False
        self._add_rows(new[np.lexsort((self.rank[new], -beyond[new]))][:_ROWS_PER_ROUND])
        return True

    def _add_rows(self, lines: NDArray[np.intp]) -> None:
        topology, k, n_live = self.problem.topology, len(lines), len(self.live)
        h = topology.ptdf(lines)
        unit_bus = np.unique(self.problem.unit_bus)
        relief = np.stack([(h * self.problem.share)[:, topology.island_of_bus == i].sum(axis=1) for i in self.live], axis=1)
        largest = np.maximum(np.abs(h[:, unit_bus]).max(axis=1), np.abs(relief).max(axis=1))
        h[np.abs(h) < _PTDF_CUT * largest[:, None]] = 0.0
        # The largest coefficient comes to between 1 and 2, so that the solver drops none as too small; powers of 2 lose no digit.
        scale = np.where(largest > 0, 2.0 ** -np.floor(np.log2(np.where(largest > 0, largest, 1.0))), 1.0)
        h *= scale[:, None]
        relief *= scale[:, None]
        self.lp.add_columns(np.repeat(self.params.line_penalty_per_mwh / scale, 2), np.full(2 * k, np.inf))
        slack = self.n_cols + np.arange(2 * k).reshape(k, 2)
        self.n_cols += 2 * k
        own, shed = h[:, self.problem.unit_bus[self.unit_of_col]], np.repeat(relief, 2, axis=1) * np.tile([1.0, -1.0], n_live)
        dense = np.concatenate([own, shed, np.tile([-1.0, 1.0], (k, 1))], axis=1)
        columns = np.concatenate([np.tile(self.col, (k, 1)), np.tile(self.first_shed + np.arange(2 * n_live), (k, 1)), slack], axis=1)
        row, place = np.nonzero(dense)
        starts = np.searchsorted(row, np.arange(k)).astype(np.int32)
        base = self.base_flow_mw[lines]
        low, high = (topology.limit_low_mw[lines] - base) * scale, (topology.limit_high_mw[lines] - base) * scale
        self.lp.add_rows(low, high, (starts, columns[row, place].astype(np.int32), dense[row, place]))
        self.lines, self.scale = np.concatenate([self.lines, lines]), np.concatenate([self.scale, scale])
        self.slack_col = np.concatenate([self.slack_col, slack])
        if len(self.chord_curve):
            self.line_factor = np.concatenate([self.line_factor, h])

    def cut_chords(self) -> bool:
        """Cut the chords at the dispatch of the curved units that are still too long; tell whether there were any."""
        problem = self.problem
        at = self.output_mw[problem.curved][self.chord_curve]
        touched = (self.chord_from_mw < at + _AT_BREAK_MW) & (at - _AT_BREAK_MW < self.chord_from_mw + self.chord_mw)
        long = 2 * problem.curved_per_mw2h[self.chord_curve] * self.chord_mw > self.params.price_tolerance_per_mwh
        cut = np.flatnonzero(touched & long)
        if not len(cut):
            return False
        self.chord_mw[cut] /= _PARTS
        self.lp.change_columns(self.chord_col[cut].astype(np.int32), self._slope(cut), self.chord_mw[cut])
        source = np.repeat(cut, _PARTS - 1)
        part = np.tile(np.arange(1, _PARTS), len(cut))
        new = len(self.chord_curve) + np.arange(len(source))
        self.chord_from_mw = np.concatenate([self.chord_from_mw, self.chord_from_mw[source] + part * self.chord_mw[source]])
        self.chord_mw = np.concatenate([self.chord_mw, self.chord_mw[source]])
        self.chord_curve = np.concatenate([self.chord_curve, self.chord_curve[source]])
        self.chord_col = np.concatenate([self.chord_col, self.n_cols + np.arange(len(source))])
        units = problem.curved[self.chord_curve[new]]
        factor = np.zeros((len(new), len(self.live) + len(self.lines)))
        factor[np.arange(len(new)), self._balance_row(units)] = 1.0
        factor[:, len(self.live) :] = self.line_factor[:, problem.unit_bus[units]].T
        column, row = np.nonzero(factor)
        starts = np.searchsorted(column, np.arange(len(new))).astype(np.int32)
        self.lp.add_columns(self._slope(new), self.chord_mw[new], (starts, row.astype(np.int32), factor[column, row]))
        self.unit_of_col, self.col = np.concatenate([self.unit_of_col, units]), np.concatenate([self.col, self.chord_col[new]])
        self.n_cols += len(new)
        # The old basis is neither primal nor dual feasible for the finer chords; from there the solver can lose its way.
        self.lp.start_from_nothing()
        return True

    def result(self, rounds: int) -> Dispatch:
        topology, n_live = self.problem.topology, len(self.live)
        island_price = np.full(topology.n_islands, np.nan)
        island_price[self.live] = self.solved.row_dual[:n_live]
        branch_price, over = np.zeros(topology.network.n_branches), np.zeros(topology.network.n_branches)
        branch_price[self.lines] = self.solved.row_dual[n_live:] * self.scale
        slack = self.solved.x[self.slack_col]
        over[self.lines] = (slack[:, 0] - slack[:, 1]) / self.scale
        return Dispatch(
            output_mw=self.output_mw + 0.0,
            shed_mw=self.shed_mw,
            spill_mw=self.spill_mw,
            over_mw=over + 0.0,
            island_price_per_mwh=island_price,
            branch_price_per_mwh=branch_price + 0.0,
            rounds=rounds,
        )
