"""The port to the HiGHS solver for programs with whole numbers, which report how far they are while they run.

A mixed-integer run ends by its gap, or by its limits on nodes, never by the clock: one thread, a fixed seed and limits that count
work give the same answer on the same program, however busy the machine is. Whoever cannot wait ends the process it runs in.

Progress is observed, not controlled: what the observer is told shapes nothing.

Absent on purpose: any other use of the solver (linear programs are in :mod:`market.highs`, whose options suit them).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
from scipy.sparse import csr_array

from market.grid import BoolArray, FloatArray, IndexArray

__all__ = ["Found", "MixedProgram", "Search", "SearchSeen"]

_OPTIONS: dict[str, Any] = {
    "output_flag": False,
    "parallel": "off",
    "threads": 1,
    "random_seed": 0,
    "mip_abs_gap": 0.0,
}
_WORDS_OF_AN_END = {
    highspy.HighsModelStatus.kOptimal,
    highspy.HighsModelStatus.kSolutionLimit,
    highspy.HighsModelStatus.kIterationLimit,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """When a search ends.

    Attributes:
        gap: relative distance of the best solution from the bound at which it is good enough.
        nodes_max: most nodes of the tree.
        stall_nodes_max: most nodes without any improvement.
    """

    gap: float
    nodes_max: int
    stall_nodes_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSeen:
    """How far a search is; ``best`` is infinite before the first solution, ``bound`` minus infinity before the first relaxation."""

    best: float
    bound: float
    nodes: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """What a search found.

    Attributes:
        x: (columns,) the best solution, or None where there is none.
        objective: its value; infinite where there is none.
        bound: no solution is below it.
        nodes: nodes of the tree that were looked at.
        status: the solver's own word.
    """

    x: FloatArray | None
    objective: float
    bound: float
    nodes: int
    status: str

    @property
    def gap(self) -> float:
        """How far above the bound the solution may be, relative to it."""
        if self.x is None:
            return float("inf")
        return max(self.objective - self.bound, 0.0) / max(abs(self.objective), 1e-9)


class MixedProgram:
    """Minimise cost·x subject to row_low <= A x <= row_high, low <= x <= high, and x whole where ``whole``.

    Args:
        cost: (n,) objective coefficients.
        low: (n,) lower bounds.
        high: (n,) upper bounds.
        whole: (n,) which columns are whole numbers.
        rows: A.
        row_low: (m,) lower row bounds.
        row_high: (m,) upper row bounds.
        offset: added to every objective.
    """

    def __init__(
        self,
        cost: FloatArray,
        low: FloatArray,
        high: FloatArray,
        whole: BoolArray,
        rows: csr_array[np.float64],
        row_low: FloatArray,
        row_high: FloatArray,
        offset: float = 0.0,
    ) -> None:
        self._highs = highspy.Highs()
        for name, value in _OPTIONS.items():
            self._highs.setOptionValue(name, value)
        none: IndexArray = np.zeros(0, dtype=np.int32)
        self._highs.addCols(len(cost), cost, low, high, 0, np.zeros(len(cost), dtype=np.int32), none, np.zeros(0))
        self._highs.changeObjectiveOffset(offset)
        self._whole = np.flatnonzero(whole).astype(np.int32)
        self.columns = len(cost)
        self.add_rows(row_low, row_high, rows)

    def add_columns(self, cost: FloatArray, high: FloatArray) -> None:
        """Append columns from 0 upward that stand in no row yet."""
        none: IndexArray = np.zeros(0, dtype=np.int32)
        n = len(cost)
        self._highs.addCols(n, cost, np.zeros(n), high, 0, np.zeros(n, dtype=np.int32), none, np.zeros(0))
        self.columns += n

    def add_rows(self, low: FloatArray, high: FloatArray, rows: csr_array[np.float64]) -> None:
        """Append rows."""
        start, column = rows.indptr[:-1].astype(np.int32), rows.indices.astype(np.int32)
        self._highs.addRows(len(low), low, high, rows.nnz, start, column, rows.data.astype(np.float64))

    def bound(self, columns: IndexArray, low: FloatArray, high: FloatArray) -> None:
        """Give some columns other bounds, in place."""
        self._highs.changeColsBounds(len(columns), columns, low, high)

    def relaxed(self) -> Found:
        """Solve with every column free to be a fraction."""
        self._integrality(highspy.HighsVarType.kContinuous)
        return self._run()

    def search(self, until: Search, start: tuple[IndexArray, FloatArray] | None, on_seen: Callable[[SearchSeen], None] | None) -> Found:
        """Search for a solution with whole numbers.

        Args:
            until: when to end.
            start: columns and values of a solution to start from; the solver completes it, or leaves it where it cannot.
            on_seen: told now and then how far the search is.
        """
        self._integrality(highspy.HighsVarType.kInteger)
        for name, value in (
            ("mip_rel_gap", until.gap),
            ("mip_max_nodes", until.nodes_max),
            ("mip_max_stall_nodes", until.stall_nodes_max),
        ):
            self._highs.setOptionValue(name, value)
        self._highs.clearSolver()
        if start is not None:
            self._highs.setSolution(len(start[0]), start[0], start[1])
        if on_seen is None:
            return self._run()

        def tell(event: Any) -> None:
            seen = event.data_out
            on_seen(SearchSeen(best=float(seen.mip_primal_bound), bound=float(seen.mip_dual_bound), nodes=int(seen.mip_node_count)))

        heard = (self._highs.cbMipLogging, self._highs.cbMipImprovingSolution)
        for callback in heard:
            callback.subscribe(tell)
        try:
            return self._run()
        finally:
            for callback in heard:
                callback.unsubscribe(tell)

    def _integrality(self, kind: Any) -> None:
        self._highs.changeColsIntegrality(len(self._whole), self._whole, np.full(len(self._whole), int(kind), dtype=np.uint8))

    def _run(self) -> Found:
        self._highs.run()
        status, info = self._highs.getModelStatus(), self._highs.getInfo()
        word = self._highs.modelStatusToString(status)
        solved = status in _WORDS_OF_AN_END and info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        if not solved:
            return Found(x=None, objective=float("inf"), bound=float(info.mip_dual_bound), nodes=int(info.mip_node_count), status=word)
        searched = info.mip_node_count >= 0
        return Found(
            x=np.array(self._highs.getSolution().col_value, dtype=np.float64),
            objective=float(info.objective_function_value),
            bound=float(info.mip_dual_bound) if searched else float(info.objective_function_value),
            nodes=max(int(info.mip_node_count), 0),
            status=word,
        )
