"""Which elements of the inverse of a sparse symmetric matrix can be had without computing the whole of it?

Those where the factor has an element (Takahashi, Fagan and Chin 1973; Erisman and Tinney 1975). With B = L·D·Lᵀ and Z = B⁻¹, from the last
column to the first, S being the rows of L's column j below the diagonal::

    Z[S, j] = −Z[S, S] · L[S, j]            Z[j, j] = 1/D[j] − L[S, j]ᵀ · Z[S, j]

S without its first member p lies within the rows of column p, so Z[S, S] is a part of what was computed for p: each column hands a
small dense square down to those that hang on it in the elimination tree. The result is exact; what the residuals of thousands of
meters ask of an inverse lies within it, because two states that one meter sees together have an element in the matrix.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, csr_array
from scipy.sparse.linalg import SuperLU

from market.grid import FloatArray

__all__ = ["inverse_subset"]


def inverse_subset(matrix: csc_array[np.float64], lu: SuperLU) -> csr_array[np.float64]:
    """Return (n, n) the inverse at every element that the matrix or its factor has.

    Args:
        matrix: (n, n) symmetric, positive definite.
        lu: its factor, in symmetric mode and without pivoting off the diagonal.
    """
    assert (lu.perm_r == lu.perm_c).all(), "a factor of a symmetric matrix whose pivots left the diagonal"
    place = np.asarray(lu.perm_c, dtype=np.int64)
    n = len(place)
    below = _below(matrix, place)
    factor, pivot = _columns(csc_array(lu.L), below), lu.U.diagonal()
    hang = Counter(int(rows[0]) for rows in below if len(rows))
    squares: dict[int, tuple[NDArray[np.int64], FloatArray]] = {}
    column: list[FloatArray] = [np.zeros(0)] * n
    for j in range(n - 1, -1, -1):
        rows, entries = below[j], factor[j]
        square = np.empty((len(rows) + 1, len(rows) + 1))
        if len(rows):
            parent = int(rows[0])
            theirs, known = squares[parent]
            at = np.searchsorted(theirs, rows)
            inner = known[at[:, None], at]
            beside = -(inner @ entries)
            square[1:, 1:], square[0, 1:], square[1:, 0] = inner, beside, beside
            square[0, 0] = 1.0 / pivot[j] - entries @ beside
            hang[parent] -= 1
            if not hang[parent]:
                del squares[parent]
        else:
            square[0, 0] = 1.0 / pivot[j]
        column[j] = square[0]
        if hang[j]:
            squares[j] = np.concatenate([[j], rows]), square
    return _unpermuted(below, column, place)


def _below(matrix: csc_array[np.float64], place: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the rows below the diagonal of each column of the factor, ascending, whether or not a number cancels to 0 there."""
    n = len(place)
    whole = coo_array(matrix)
    row, col = place[whole.coords[0]], place[whole.coords[1]]
    found: list[set[int]] = [set() for _ in range(n)]
    for i, j in zip(row[row > col].tolist(), col[row > col].tolist(), strict=True):
        found[j].add(i)
    below: list[NDArray[np.int64]] = []
    for j in range(n):
        rows = sorted(found[j])
        if len(rows) > 1:
            found[rows[0]].update(rows[1:])
        below.append(np.array(rows, dtype=np.int64))
    return below


def _columns(factor: csc_array[np.float64], below: list[NDArray[np.int64]]) -> list[FloatArray]:
    """Return the entries of L in each column's rows, 0 where the factor left one out."""
    factor.sort_indices()
    entries: list[FloatArray] = []
    starts = factor.indptr.tolist()
    for j, rows in enumerate(below):
        here = slice(starts[j], starts[j + 1])
        index, data = factor.indices[here], factor.data[here]
        # The first entry is the diagonal's.
        if len(index) == len(rows) + 1:
            entries.append(data[1:])
        else:
            full = np.zeros(len(rows))
            full[np.searchsorted(rows, index[1:])] = data[1:]
            entries.append(full)
    return entries


def _unpermuted(below: list[NDArray[np.int64]], column: list[FloatArray], place: NDArray[np.int64]) -> csr_array[np.float64]:
    n = len(place)
    at = np.empty(n, dtype=np.int64)
    at[place] = np.arange(n)
    col = np.repeat(np.arange(n), [len(rows) + 1 for rows in below])
    row = np.concatenate([np.concatenate([[j], rows]) for j, rows in enumerate(below)])
    value = np.concatenate(column)
    off = row != col
    i, j = at[np.concatenate([row, col[off]])], at[np.concatenate([col, row[off]])]
    return csr_array(coo_array((np.concatenate([value, value[off]]), (i, j)), shape=(n, n)))
