"""Inputs that cannot be met: which limits are in the way, by how many MW, and which of them contradict each other?

Two answers, found in different ways.

*By how much*: a clearing never is infeasible, it buys what cannot be met at a penalty. :func:`violations` reads off what was bought, the
dearest first. That is what operators need: these limits, that many MW. But a shortage shows where it is cheapest to take, which need
not be where it comes from.

*Which*: :func:`contradiction` names a smallest set of rows that no dispatch meets together; without any one of them, all others in the
set can be met. Something in that set has to give. There may be several such sets; this is one. HiGHS proposes it (an irreducible
infeasible subsystem of the rigid program), and the proposal is proven here row by row with programs that always have a solution: what
is the least by which the rows are missed? Where HiGHS proposes nothing (its own default does not, on these programs), the rows with a
multiplier in that program are the set to begin with, for they are a proof of the contradiction (Farkas).

Absent on purpose: any change of the inputs, and contradictions within a unit (an offer checks its own limits).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array, hstack

from market.grid import FloatArray
from market.highs import LinearProgram

__all__ = ["Violation", "contradiction", "violations"]

_MET_MW = 1e-6
_IRREDUCIBLE_FROM_LP = 6
"""HiGHS' ``iis_strategy``: the bits for "from the program" and "irreducible"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One limit that was not met.

    Attributes:
        name: the limit's name.
        over_mw: by how much, MW: positive above an upper limit, negative below a lower one.
        cost_per_h: what that was charged with, money per hour.
    """

    name: str
    over_mw: float
    cost_per_h: float

    def __str__(self) -> str:
        side = "above its upper" if self.over_mw > 0 else "below its lower"
        return f"{self.name}: {abs(self.over_mw):.2f} MW {side} limit"


def violations(
    names: Sequence[str], over_mw: FloatArray, penalty_per_mwh: FloatArray, *, tolerance_mw: float = _MET_MW
) -> tuple[Violation, ...]:
    """Name the limits that were not met, the dearest first, by name where they cost the same.

    Args:
        names: (m,) names of the limits.
        over_mw: (m,) by how much each was exceeded, MW; positive above an upper limit, negative below a lower one.
        penalty_per_mwh: (m,) what a MWh of that is charged with.
        tolerance_mw: what does not count.
    """
    found = [
        Violation(name=name, over_mw=over, cost_per_h=abs(over) * penalty)
        for name, over, penalty in zip(names, over_mw.tolist(), penalty_per_mwh.tolist(), strict=True)
        if abs(over) > tolerance_mw
    ]
    return tuple(sorted(found, key=lambda each: (-each.cost_per_h, each.name)))


def contradiction(
    names: Sequence[str], rows: csr_array[np.float64], low: FloatArray, high: FloatArray, upper: FloatArray
) -> tuple[str, ...] | None:
    """Name rows that no 0 <= x <= upper meets together, none of which can be left out; empty where all rows can be met.

    Args:
        names: (m,) names of the rows.
        rows: (m, n) coefficients.
        low: (m,) lower bounds, ``-inf`` where there is none.
        high: (m,) upper bounds, ``inf`` where there is none.
        upper: (n,) upper bounds of the columns, ``inf`` where there is none.

    Returns:
        The names in the order of the rows, or None where the solver gave no verdict.
    """
    everything = np.arange(len(low))
    missed = _missed(rows, low, high, upper, everything)
    if missed is None:
        return None
    if missed[0] <= _MET_MW:
        return ()
    proposed = _proposed(rows, low, high, upper)
    met = _met(rows, low, high, upper, proposed) if len(proposed) else True
    kept = missed[1] if met else proposed
    if _met(rows, low, high, upper, kept) is not False:
        return None
    # Without any one of what stays in the end, the rest can be met: leave out one after the other what is not needed for that.
    for row in kept.tolist():
        fewer = kept[kept != row]
        met = _met(rows, low, high, upper, fewer)
        if met is None:
            return None
        if not met:
            kept = fewer
    return tuple(names[row] for row in sorted(kept.tolist()))


def _met(rows: csr_array[np.float64], low: FloatArray, high: FloatArray, upper: FloatArray, kept: NDArray[np.intp]) -> bool | None:
    """Whether some columns meet these rows; None without a verdict."""
    missed = _missed(rows, low, high, upper, kept)
    return None if missed is None else missed[0] <= _MET_MW


def _missed(
    rows: csr_array[np.float64], low: FloatArray, high: FloatArray, upper: FloatArray, kept: NDArray[np.intp]
) -> tuple[float, NDArray[np.intp]] | None:
    """Return the least sum by which some columns miss these rows, and the rows that prove it; None without a verdict."""
    k, n = len(kept), len(upper)
    if not k:
        return 0.0, kept
    free = eye_array(k)
    matrix = csr_array(hstack([rows[kept], free, -free], format="csr"))
    cost = np.concatenate([np.zeros(n), np.ones(2 * k)])
    most = np.concatenate([upper, np.full(2 * k, np.inf)])
    solved = LinearProgram(cost, most, low[kept], high[kept], _by_row(matrix)).solve()
    if not solved.optimal:
        return None
    return float(solved.x[n:].sum()), kept[np.abs(solved.row_dual) > _MET_MW]


def _proposed(rows: csr_array[np.float64], low: FloatArray, high: FloatArray, upper: FloatArray) -> NDArray[np.intp]:
    """Return the rows that HiGHS finds to contradict each other, none where it finds nothing."""
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("iis_strategy", _IRREDUCIBLE_FROM_LP)
    n = len(upper)
    nothing = np.zeros(0, dtype=np.int32)
    solver.addCols(n, np.zeros(n), np.zeros(n), upper, 0, np.zeros(n, dtype=np.int32), nothing, np.zeros(0))
    start, column, value = _by_row(rows)
    solver.addRows(len(low), low, high, len(column), start, column, value)
    solver.run()
    status, found = solver.getIis()
    usable = status == highspy.HighsStatus.kOk and found.valid_
    return np.array(sorted(found.row_index_) if usable else [], dtype=np.intp)


def _by_row(rows: csr_array[np.float64]) -> tuple[Any, Any, FloatArray]:
    return rows.indptr[:-1].astype(np.int32), rows.indices.astype(np.int32), rows.data
