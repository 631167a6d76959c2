"""Small dense blocks of a large matrix of rows, and whether their columns say different things.

A clearing's matrix has few rows and up to tens of thousands of columns, of which a handful are marginal. What is asked of them (is the
dispatch the only one, are the prices the only ones) concerns a block of a few rows and columns: it is cut out here without a walk
over the whole matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.sparse import csr_array

from market.grid import FloatArray

__all__ = ["block", "independent"]

_LEAST_PIVOT = 1e-8
"""Of columns of length 1: the square of the sine between one and the span of those before it. Less than an angle of 1e-4 counts as none."""


def block(rows: csr_array[np.float64], row: NDArray[np.integer[Any]], column: NDArray[np.integer[Any]]) -> FloatArray:
    """Return the dense block (k, b) of ``rows`` at the rows ``row`` (k,) and the columns ``column`` (b,).

    Costs k searches within a row each.

    Raises:
        ValueError: the matrix' column indices are not sorted, so that nothing can be searched in it.
    """
    if not rows.has_sorted_indices:
        raise ValueError("the column indices of the rows are not sorted: call rows.sum_duplicates() first")
    cut = np.zeros((len(row), len(column)))
    if not len(column):
        return cut
    start, index, value = rows.indptr, rows.indices, rows.data
    for k, i in enumerate(row.tolist()):
        begin, end = start[i], start[i + 1]
        if begin == end:
            continue
        inside = index[begin:end]
        place = inside.searchsorted(column)
        place[place == end - begin] = 0
        cut[k] = np.where(inside[place] == column, value[begin:end][place], 0.0)
    return cut


def independent(columns: FloatArray) -> bool:
    """Whether the columns of a dense (k, b) block are linearly independent, beyond doubt: nearly parallel ones count as dependent."""
    k, b = columns.shape
    if b > k:
        return False
    length = np.sqrt(np.einsum("kb,kb->b", columns, columns))
    if not length.all():
        return False
    if b <= 1:
        return True
    unit = columns / length
    factor, failed = lapack.dpotrf(unit.T @ unit)
    return not failed and bool(factor.diagonal().min() ** 2 > _LEAST_PIVOT)
