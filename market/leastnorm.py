"""Where several prices are right, which ones? Those of least norm; and were there several?

The duals of a solved program are unique if as many columns are marginal as rows bind. Where more rows bind than columns are marginal
(the demand ends exactly where a segment does, two parallel lines both stand at their limits), every multiplier on a whole face is
optimal, and which one a solver returns is chance. The face, for multipliers y and a dispatch x that is optimal::

    Aⱼᵀy = cⱼ        columns strictly between their bounds
    Aⱼᵀy ≤ cⱼ        at 0                      Aⱼᵀy ≥ cⱼ        at the upper bound
    y = 0            rows between their limits
    0 ≤ y ≤ penalty  at the lower limit        −penalty ≤ y ≤ 0  at the upper one;  free where both are the same

(The sign is the solver's: y is the change of the objective per unit of the row's bound.) On it the norm of B·y has one least point. B
is the caller's: as the multipliers stand, the energy price is that of the reference bus, and a norm of it would depend on the choice
of that bus; B puts the load-weighted price in its place.

The equations leave a few directions free; in orthonormal coordinates s of these (measured by B) the program is to find the shortest s
with G·s ≥ h, a least distance problem, solved by non-negative least squares (:mod:`market.nonnegative`).
Of the columns at a bound, up to tens of thousands, only those enter that an answer would violate. What is returned has been checked:
no column or row is violated, and the answer is a non-negative combination of what holds it.

Absent on purpose: any use of this for the dispatch (:mod:`market.tiebreak`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, solve_triangular
from scipy.sparse import csr_array

from market.grid import FloatArray, IndexArray
from market.nonnegative import combine
from market.rowblock import block, independent

__all__ = ["LeastNorm", "least_norm_duals"]

_AT_BOUND_MW = 1e-7
_SAME = 1e-11
"""Relative to the largest price: what two prices may differ by and be the same. Also the accuracy of what is returned."""
_SOLVER = 1e-6
"""Relative to the largest price: by how much the given multipliers may miss the face."""
_RANK = 1e-9
_ROUNDS_MAX = 60
_NEW_MAX = 40


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeastNorm:
    """The multipliers to be used.

    Attributes:
        y: (m,) one per row.
        degenerate: whether others would have been optimal too.
    """

    y: FloatArray
    degenerate: bool


def least_norm_duals(
    y: FloatArray,
    rows: csr_array[np.float64],
    cost: FloatArray,
    x: FloatArray,
    upper: FloatArray,
    row_state: IndexArray,
    penalty_low: FloatArray,
    penalty_high: FloatArray,
    basis_change: FloatArray | None = None,
) -> LeastNorm | None:
    """Return the optimal multipliers y of least ‖B·y‖, and whether there were others.

    Where they are the only ones, the given ones come back as they are, after a look at the marginal columns alone.

    Args:
        y: (m,) optimal multipliers, as the solver found them.
        rows: (m, n) coefficients, canonical.
        cost: (n,) cost of each column.
        x: (n,) an optimal dispatch.
        upper: (n,) upper bounds; a column that is 0 wide says nothing of prices.
        row_state: (m,) −1 at the lower limit, 0 between, +1 at the upper one, 2 where both are the same.
        penalty_low: (m,) most that the multiplier of a row at its lower limit can be, ``inf`` where nothing caps it.
        penalty_high: (m,) the same at the upper limit, as a positive number.
        basis_change: (m, m) the matrix B, of full rank; None for y itself.

    Returns:
        The multipliers, or None where no answer could be proven: keep ``y`` and say so.
    """
    binding = np.flatnonzero(row_state)
    between = np.flatnonzero((x > _AT_BOUND_MW) & (x < upper - _AT_BOUND_MW))
    marginal = block(rows, binding, between).T
    if independent(marginal):
        return LeastNorm(y=y, degenerate=False)
    measure = np.eye(len(y))[:, binding] if basis_change is None else basis_change[:, binding]
    free = _free_directions(marginal, measure)
    if not free.shape[1]:
        return LeastNorm(y=y, degenerate=False)
    face = _Face(y[binding], free, measure, rows, binding, cost)
    face.hold_columns(x, upper)
    face.hold_rows(row_state[binding], penalty_low[binding], penalty_high[binding])
    missed = np.concatenate([y[row_state == 0], cost[between] - marginal @ y[binding]])
    found = face.shortest(float(np.abs(missed).max(initial=0.0)))
    if found is None:
        return None
    chosen = np.zeros(len(y))
    chosen[binding] = found
    return LeastNorm(y=chosen, degenerate=face.more_than(found))


def _free_directions(marginal: FloatArray, measure: FloatArray) -> FloatArray:
    """Return (k, d) directions of the multipliers that no marginal column (b, k) notices, orthonormal as ``measure`` sees them."""
    b, k = marginal.shape
    if b:
        length = np.linalg.norm(marginal, axis=1)
        turned, triangle, _ = qr((marginal / np.where(length > 0, length, 1.0)[:, None]).T, pivoting=True)
        pivots = np.abs(triangle.diagonal())
        null = turned[:, int((pivots > _RANK * max(float(pivots[0]), _RANK)).sum()) :] if len(pivots) else turned
    else:
        null = np.eye(k)
    if not null.shape[1]:
        return np.zeros((k, 0))
    seen = np.linalg.qr(measure @ null, mode="r")
    return np.asarray(solve_triangular(seen, null.T, trans="T").T, dtype=np.float64)


class _Face:
    """The multipliers that are optimal, in coordinates of the directions that are free."""

    def __init__(
        self,
        y: FloatArray,
        free: FloatArray,
        measure: FloatArray,
        rows: csr_array[np.float64],
        binding: NDArray[np.intp],
        cost: FloatArray,
    ) -> None:
        given = (measure @ free).T @ (measure @ y)
        self.origin = y - free @ given
        """The shortest of all multipliers that meet the equations."""
        self.free, self.rows, self.binding, self.cost = free, rows, binding, cost
        self.given = y
        self.size = float(max(np.abs(y).max(initial=0.0), 1.0))

    def hold_columns(self, x: FloatArray, upper: FloatArray) -> None:
        """Note which columns stand at a bound: the sign of what their reduced cost must be, and what it may be at least."""
        wide = upper > _AT_BOUND_MW
        self.side = np.where(wide & (x <= _AT_BOUND_MW), 1.0, 0.0) - np.where(wide & (x >= upper - _AT_BOUND_MW), 1.0, 0.0)
        # Where the given ones miss by the solver's tolerance, so may others: the given ones stay on the face.
        self.column_least = np.minimum(self.reduced(self.given), 0.0)

    def hold_rows(self, state: IndexArray, penalty_low: FloatArray, penalty_high: FloatArray) -> None:
        """Note the signs and caps of the rows' multipliers, as rows of the least distance problem."""
        least = np.where(state == -1, 0.0, np.where(state == 1, -penalty_high, -np.inf))
        most = np.where(state == -1, penalty_low, np.where(state == 1, 0.0, np.inf))
        self.least, self.most = np.minimum(least, self.given), np.maximum(most, self.given)
        self.row_missed = float(max((least - self.given).max(initial=0.0), (self.given - most).max(initial=0.0)))
        low, high = np.flatnonzero(np.isfinite(self.least)), np.flatnonzero(np.isfinite(self.most))
        self.row_g = np.concatenate([self.free[low], -self.free[high]])
        self.row_h = np.concatenate([(self.least - self.origin)[low], (self.origin - self.most)[high]])

    def reduced(self, y: FloatArray) -> FloatArray:
        """Return (n,) the reduced costs, with the sign that makes them >= 0 on the face; 0 for columns that are free or 0 wide."""
        full = np.zeros(self.rows.shape[0])
        full[self.binding] = y
        return np.asarray(self.side * (self.cost - self.rows.T @ full))

    def shortest(self, missed_by_given: float) -> FloatArray | None:
        """Return the binding rows' multipliers (k,) of least norm, or None.

        Args:
            missed_by_given: by how much the given multipliers miss the equations of the face.
        """
        worst = max(float(-self.column_least.min(initial=0.0)), self.row_missed, missed_by_given)
        if worst > _SOLVER * self.size:
            return None
        g, h = self.row_g, self.row_h
        entered = np.zeros(len(self.cost), dtype=np.bool_)
        for _ in range(_ROUNDS_MAX):
            s = _least_distance(g, h, _SAME * self.size)
            if s is None:
                return None
            y = self.origin + self.free @ s
            missed = self.column_least - self.reduced(y)
            violated = missed > 10 * _SAME * self.size
            new = np.flatnonzero(violated & ~entered)
            if not len(new):
                return None if violated.any() else y
            new = new[np.argsort(-missed[new], kind="stable")][:_NEW_MAX]
            entered[new] = True
            # side·(c − Aᵀ(origin + free·s)) >= least
            side, column = self.side[new], block(self.rows, self.binding, new).T
            g = np.concatenate([g, -side[:, None] * (column @ self.free)])
            h = np.concatenate([h, self.column_least[new] - side * (self.cost[new] - column @ self.origin)])
        return None

    def more_than(self, y: FloatArray) -> bool:
        """Whether the face holds more than this point: what holds it here does not hold it from all sides."""
        near = 10 * _SAME * self.size
        column = np.flatnonzero((self.side != 0) & (self.reduced(y) <= near))
        held = [self.side[column, None] * (block(self.rows, self.binding, column).T @ self.free)]
        held += [-self.free[y <= self.least + near], self.free[y >= self.most - near]]
        g = np.concatenate(held)
        length = np.linalg.norm(g, axis=1)
        g = g[length > _RANK] / length[length > _RANK, None]
        if np.linalg.matrix_rank(g, tol=_RANK) < self.free.shape[1]:
            return True
        # A point, if and only if some combination of all of them, each with a positive weight, cancels (Stiemke).
        cancelled = combine(g.T, -g.sum(axis=0))
        return cancelled is None or cancelled[1] > 1e-7 * len(g)


def _least_distance(g: FloatArray, h: FloatArray, tolerance: float) -> FloatArray | None:
    """Return the shortest s (d,) with g·s >= h, or None; checked."""
    length = np.linalg.norm(g, axis=1)
    if (h[length <= _RANK] > tolerance).any():
        return None
    kept = length > _RANK
    g, h = g[kept] / length[kept, None], h[kept] / length[kept]
    size = float(h.max(initial=0.0))
    if size <= tolerance:
        return np.zeros(g.shape[1])
    pulled = np.concatenate([g.T, h[None] / size])
    length = np.linalg.norm(pulled, axis=0)
    found = combine(pulled / length, np.append(np.zeros(g.shape[1]), 1.0))
    if found is None or found[1] <= 1e-12:
        return None
    holds = found[0] > 0
    s = np.asarray(np.linalg.lstsq(g[holds], h[holds], rcond=None)[0])
    if (h - g @ s).max(initial=0.0) > 0.1 * tolerance + 1e-12 * size:
        return None
    held = combine(g[holds].T, s / size)
    return s if held is not None and held[1] <= 1e-9 * max(1.0, float(np.abs(s).max()) / size) else None
