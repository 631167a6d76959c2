"""The port to the HiGHS solver: a linear program that grows rows between solves.

Official runs must give the same answer on the same inputs, so the options are fixed here: dual simplex, no presolve (the programs
are small and a start basis is given, with which presolve costs ten times what it saves), one thread, a fixed seed, an iteration
limit and no limit by the clock. A run that starts from nothing and adds its rows in a fixed order is repeatable to the last bit.

Absent on purpose: integers, quadratic objectives, and any use of the solver's own verdict beyond "optimal": whether an answer is
one is proven by :mod:`market.certificate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray

from market.grid import BoolArray, FloatArray, IndexArray

__all__ = ["SOLVER", "Conflict", "LinearProgram", "Solved", "conflict"]

SOLVER = f"HiGHS {highspy.HIGHS_VERSION_MAJOR}.{highspy.HIGHS_VERSION_MINOR}.{highspy.HIGHS_VERSION_PATCH}"
"""Name and version; part of the parameters' hash."""

_OPTIONS: dict[str, Any] = {
    "output_flag": False,
    "presolve": "off",
    "solver": "simplex",
    "simplex_strategy": 1,
    # With costs from cents to penalties of millions, the solver's clean-up after perturbing them can end without a verdict.
    "dual_simplex_cost_perturbation_multiplier": 0.0,
    "parallel": "off",
    "threads": 1,
    "random_seed": 0,
    "simplex_iteration_limit": 1_000_000,
}


_IRREDUCIBLE_FROM_LP = 6
"""The solver's own strategy for a conflict: from an elastic program, then reduced. Its default finds nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solved:
    """What the solver says.

    Attributes:
        optimal: whether it claims an optimum; everything else means nothing otherwise.
        status: its own word.
        x: (columns,) values.
        row_value: (rows,) what the rows come to.
        row_dual: (rows,) change of the objective per unit of the row's bound.
    """

    optimal: bool
    status: str
    x: FloatArray
    row_value: FloatArray
    row_dual: FloatArray


class LinearProgram:
    """Minimise cost·x subject to low <= A x <= high and 0 <= x <= upper.

    Args:
        cost: (n,) objective coefficients.
        upper: (n,) upper bounds, ``inf`` where there is none.
        low: (m,) lower row bounds.
        high: (m,) upper row bounds.
        rows: the matrix as (start (m,), column (nnz,), value (nnz,)), row by row.
    """

    def __init__(
        self, cost: FloatArray, upper: FloatArray, low: FloatArray, high: FloatArray, rows: tuple[IndexArray, IndexArray, FloatArray]
    ) -> None:
        self._highs = highspy.Highs()
        for name, value in _OPTIONS.items():
            self._highs.setOptionValue(name, value)
        self._low, self._high = np.zeros(0), np.zeros(0)
        self._cost, self._upper = np.zeros(0), np.zeros(0)
        self.add_columns(cost, upper)
        self.add_rows(low, high, rows)

    def start_from(self, at_upper: BoolArray, basic: IndexArray, idle_rows: int = 0) -> None:
        """Start the next solve from a basis.

        Args:
            at_upper: (n,) columns at their upper bound; the others are at 0.
            basic: (m,) basic columns, one for each of the first rows.
            idle_rows: how many rows follow that bind nothing.
        """
        word = highspy.HighsBasisStatus
        status = [word.kUpper if full else word.kLower for full in at_upper.tolist()]
        for column in basic.tolist():
            status[column] = word.kBasic
        basis = highspy.HighsBasis()
        basis.col_status = status
        basis.row_status = [word.kLower] * len(basic) + [word.kBasic] * idle_rows
        self._highs.setBasis(basis)

    def add_columns(self, cost: FloatArray, upper: FloatArray, entries: tuple[IndexArray, IndexArray, FloatArray] | None = None) -> None:
        """Append columns; ``entries`` are (start (n,), row (nnz,), value (nnz,)), none for columns that stand in no row yet."""
        n = len(cost)
        self._cost, self._upper = np.concatenate([self._cost, cost]), np.concatenate([self._upper, upper])
        nothing = (np.zeros(n, dtype=np.int32), np.zeros(0, dtype=np.int32), np.zeros(0))
        start, row, value = entries or nothing
        self._highs.addCols(n, cost, np.zeros(n), upper, len(row), start, row, value)

    def add_rows(self, low: FloatArray, high: FloatArray, rows: tuple[IndexArray, IndexArray, FloatArray]) -> None:
        """Append rows; the solution so far stays the start of the next solve."""
        start, column, value = rows
        self._low, self._high = np.concatenate([self._low, low]), np.concatenate([self._high, high])
        self._highs.addRows(len(low), low, high, len(column), start, column, value)

    def change_columns(self, column: NDArray[np.integer[Any]], cost: FloatArray, upper: FloatArray) -> None:
        """Give some columns another cost and upper bound, in place."""
        self.change_costs(column, cost)
        new = np.flatnonzero(self._upper[column] != upper)
        if len(new):
            self._upper[column] = upper
            self._highs.changeColsBounds(len(new), column[new].astype(np.int32), np.zeros(len(new)), upper[new])

    def change_all_columns(self, cost: FloatArray, upper: FloatArray) -> None:
        """Give the first columns, as many as there are costs, another cost and upper bound."""
        self.change_columns(np.arange(len(cost), dtype=np.int32), cost, upper)

    def change_costs(self, column: NDArray[np.integer[Any]], cost: FloatArray) -> None:
        """Give some columns another cost."""
        # From one interval to the next most stay as they are, and the solver asks more of each than a comparison.
        new = np.flatnonzero(self._cost[column] != cost)
        if len(new):
            self._cost[column] = cost
            self._highs.changeColsCost(len(new), column[new].astype(np.int32), cost[new])

    def change_rows(self, row: NDArray[np.integer[Any]], low: FloatArray, high: FloatArray) -> None:
        """Give some rows other bounds."""
        self._low[row], self._high[row] = low, high
        self._highs.changeRowsBounds(len(row), row.astype(np.int32), low, high)

    def row_bounds(self) -> tuple[FloatArray, FloatArray]:
        """Return (m,) lower and upper bounds of the rows."""
        return self._low, self._high

    def column_data(self) -> tuple[FloatArray, FloatArray]:
        """Return (n,) costs and upper bounds of the columns."""
        return self._cost, self._upper

    def equal_rows(self) -> BoolArray:
        """Return (m,) which rows are equations."""
        same: BoolArray = self._low == self._high
        return same

    def change_entries(self, row: int, column: NDArray[np.integer[Any]], value: FloatArray) -> None:
        """Give some entries of a row another value."""
        for at, number in zip(column.tolist(), value.tolist(), strict=True):
            self._highs.changeCoeff(row, at, number)

    def start_from_nothing(self) -> None:
        """Forget the basis; the rows and columns stay."""
        self._highs.clearSolver()

    def solve(self) -> Solved:
        """Solve from the present basis, and once more from nothing where that ends without a verdict."""
        self._highs.run()
        if self._highs.getModelStatus() == highspy.HighsModelStatus.kUnknown:
            self.start_from_nothing()
            self._highs.run()
        status = self._highs.getModelStatus()
        solution = self._highs.getSolution()
        return Solved(
            optimal=status == highspy.HighsModelStatus.kOptimal,
            status=self._highs.modelStatusToString(status),
            x=np.array(solution.col_value, dtype=np.float64),
            row_value=np.array(solution.row_value, dtype=np.float64),
            row_dual=np.array(solution.row_dual, dtype=np.float64),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conflict:
    """Bounds of a linear program that exclude each other, and of which none can be left out.

    Attributes:
        row: rows whose bound is part of it.
        row_above: for each, whether it is the upper one; both count as the upper where the row is an equation.
        column: columns whose bound is part of it.
        column_above: for each, whether it is the upper one.
    """

    row: IndexArray
    row_above: BoolArray
    column: IndexArray
    column_above: BoolArray


def conflict(
    upper: FloatArray, low: FloatArray, high: FloatArray, rows: tuple[IndexArray, IndexArray, FloatArray]
) -> FloatArray | Conflict | None:
    """Find columns that meet every bound, or an irreducible set of bounds that cannot be met together.

    Args:
        upper: (n,) upper bounds of the columns; the lower ones are 0.
        low: (m,) lower row bounds.
        high: (m,) upper row bounds.
        rows: the matrix as (start (m,), column (nnz,), value (nnz,)), row by row.

    Returns:
        (n,) columns, or the conflict, or None where the solver comes to neither.
    """
    highs = highspy.Highs()
    for name, value in (_OPTIONS | {"iis_strategy": _IRREDUCIBLE_FROM_LP}).items():
        highs.setOptionValue(name, value)
    n = len(upper)
    nothing = (np.zeros(n, dtype=np.int32), np.zeros(0, dtype=np.int32), np.zeros(0))
    highs.addCols(n, np.zeros(n), np.zeros(n), upper, 0, *nothing)
    highs.addRows(len(low), low, high, len(rows[1]), *rows)
    highs.run()
    status = highs.getModelStatus()
    if status == highspy.HighsModelStatus.kOptimal:
        return np.array(highs.getSolution().col_value, dtype=np.float64)
    if status != highspy.HighsModelStatus.kInfeasible:
        return None
    said, found = highs.getIis()
    if said != highspy.HighsStatus.kOk or not found.valid_:
        return None
    row, row_above = _bounds(found.row_index_, found.row_bound_)
    column, column_above = _bounds(found.col_index_, found.col_bound_)
    return Conflict(row=row, row_above=row_above, column=column, column_above=column_above)


def _bounds(index: list[int], bound: list[Any]) -> tuple[IndexArray, BoolArray]:
    """Return which rows or columns have a bound in a conflict, and whether it is the upper one."""
    word = highspy.IisBoundStatus
    parts = (word.kIisBoundStatusLower, word.kIisBoundStatusUpper, word.kIisBoundStatusBoxed)
    found = [(i, status != word.kIisBoundStatusLower) for i, status in zip(index, bound, strict=True) if status in parts]
    return np.array([i for i, _ in found], dtype=np.int32), np.array([above for _, above in found], dtype=np.bool_)
