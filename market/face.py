"""Of all dispatches that cost the same, and all prices that support them, which are the official ones?

A linear program with ties has many optima; which one a solver ends at depends on the order of its columns. The optimal *face* is what the
duals leave open: columns whose reduced cost is zero, within the rows that bind. On it the dispatch is made unique by
:mod:`market.tiebreak`, with the limits outside the program checked again (a share may overload a line that no vertex overloaded), and the
duals, where more rows bind than columns are free, by :mod:`market.leastnorm`.

Both choose in the first period, which is the one that is published; what is foreseen of the others stays as the solver has it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array

from market.highs import Solved
from market.leastnorm import least_norm_duals
from market.pricing import reduced_costs
from market.program import NotSolved, Program, Solution
from market.rowblock import independent
from market.tiebreak import fair_share, optimal_face

__all__ = ["Chosen", "least_prices", "share_fairly"]

_ZERO = 1e-9
"""Relative to the largest price: a reduced cost up to this is the rounding of the sums it comes from."""
_LEAST_ZERO_PER_MWH = 1e-7
_ROUNDS_MAX = 20
_SAME_MW = 1e-6
_AT_LIMIT = 1e-7
"""MW by which a column or row may miss its bound and stand at it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chosen:
    """What was chosen among equals.

    Attributes:
        solution: the choice; the one that was given where there was none to make.
        tied: whether another one was chosen than the solver had.
        settled: whether the choice was made; where not, the one that was given stands.
    """

    solution: Solution
    tied: bool
    settled: bool


def share_fairly(program: Program, solution: Solution) -> Chosen | NotSolved:
    """Choose among dispatches of equal cost; the program must have ended with this solution."""
    f = program.formulation
    reduced = reduced_costs(f, solution, f.cost)
    tolerance = max(_LEAST_ZERO_PER_MWH, _ZERO * float(np.abs(program.solved.row_dual).max(initial=0.0)))
    # What is bought at a penalty is what it is; among equals it is offers that share.
    free = np.flatnonzero((np.abs(reduced) <= tolerance) & np.isfinite(f.upper) & (f.upper > 0) & (f.period == 0))
    for _ in range(_ROUNDS_MAX):
        solved: Solved = program.solved
        rows = program.matrix(free)
        tight = (np.abs(solved.row_dual) > tolerance) | program.lp.equal_rows()
        face = optimal_face(reduced[free], solution.x[free], f.upper[free], rows, tight, price_tolerance_per_mwh=tolerance)
        if face.point:
            return Chosen(solution=solution, tied=False, settled=True)
        entries = np.flatnonzero(np.diff(rows.indptr))
        here, activity = rows[entries], solved.row_value[entries]
        others = activity - here @ solution.x[free]
        low, high = program.lp.row_bounds()
        low, high = np.where(tight, solved.row_value, low)[entries] - others, np.where(tight, solved.row_value, high)[entries] - others
        shared = fair_share(solution.x[free], f.upper[free], f.weight[free], here, low, high)
        if shared is None:
            return Chosen(solution=solution, tied=True, settled=False)
        x = solution.x.copy()
        x[free] = shared
        if not program.add_violated(x, solution.curve_mw):
            tied = float(np.abs(x - solution.x).max(initial=0.0)) > _SAME_MW
            return Chosen(solution=replace(solution, x=x) if tied else solution, tied=tied, settled=True)
        again = program.solve()
        if isinstance(again, NotSolved):
            return again
        solution = again
    return Chosen(solution=solution, tied=True, settled=False)


def least_prices(program: Program, solution: Solution) -> Chosen:
    """Choose among the prices that support a solution; the program must have ended with it."""
    solved, lp = program.solved, program.lp
    low, high = lp.row_bounds()
    at_low, at_high = solved.row_value <= low + _AT_LIMIT, solved.row_value >= high - _AT_LIMIT
    state = np.where(at_low & at_high, 2, np.where(at_low, -1, np.where(at_high, 1, 0))).astype(np.int32)
    cost, upper = lp.column_data()
    between = np.flatnonzero((solved.x > _AT_LIMIT) & (solved.x < upper - _AT_LIMIT))
    marginal = np.asarray(program.matrix(between).toarray())[np.flatnonzero(state)].T
    if independent(marginal):
        return Chosen(solution=solution, tied=False, settled=True)
    matrix, own = program.matrix(np.arange(len(cost))), program.rows_of_first_period()
    here = np.flatnonzero(np.diff(matrix[own].tocsc().indptr))
    rows = csr_array(matrix[own][:, here])
    others = solved.row_dual.copy()
    others[own] = 0.0
    found = least_norm_duals(
        solved.row_dual[own],
        rows,
        cost[here] - np.asarray(matrix.T @ others)[here],
        solved.x[here],
        upper[here],
        state[own],
        # What a limit's price can be at most is said by its slack, which is among the columns.
        np.full(len(own), np.inf),
        np.full(len(own), np.inf),
        program.energy_weights()[own][:, own].toarray(),
    )
    if found is None:
        return Chosen(solution=solution, tied=True, settled=False)
    if not found.degenerate:
        return Chosen(solution=solution, tied=False, settled=True)
    dual = solved.row_dual.copy()
    dual[own] = found.y
    over = np.array([limit.over_mw for limit in solution.priced])
    chosen = program.read(x=solution.x, curve_mw=solution.curve_mw, over_mw=over, row_dual=dual, rounds=solution.rounds)
    return Chosen(solution=chosen, tied=True, settled=True)
