"""Which non-negative combination of columns comes nearest to a vector?

Lawson and Hanson's active set (*Solving Least Squares Problems*, 1974, ch. 23): columns enter one by one, the one that helps most
first, and leave when the best combination of those inside would want them negative. The distance falls with every column that enters,
so no set comes twice and the search ends.

Why not ``scipy.optimize.nnls``: from 1.15 on it can return a wrong combination together with a distance of zero (scipy issue 25389),
and a matrix without rows ends the process (issue 24861). A wrong answer here would be a wrong price. The matrices are a few rows by at
most some hundred columns, where this costs the same.
"""

from __future__ import annotations

import numpy as np

from market.grid import FloatArray

__all__ = ["combine"]

_HELPS = 1e-13


def combine(columns: FloatArray, target: FloatArray) -> tuple[FloatArray, float] | None:
    """Return the weights (p,) >= 0 of least ‖columns·weights − target‖ with that distance, or None where the steps ran out.

    Args:
        columns: (r, p), of length near 1 each.
        target: (r,).
    """
    r, p = columns.shape
    weight = np.zeros(p)
    inside = np.zeros(p, dtype=np.bool_)
    size = float(np.linalg.norm(target))
    if not r or not p or not size:
        return weight, size
    barred = np.zeros(p, dtype=np.bool_)
    for _ in range(100 + 10 * p):
        rest = target - columns @ weight
        helps = np.where(inside | barred, -np.inf, columns.T @ rest)
        new = int(np.argmax(helps))
        if helps[new] <= _HELPS * size:
            return weight, float(np.linalg.norm(rest))
        inside[new] = True
        while True:
            wanted = np.zeros(p)
            wanted[inside] = np.linalg.lstsq(columns[:, inside], target, rcond=None)[0]
            negative = inside & (wanted <= 0)
            if not negative.any():
                weight, barred[:] = wanted, False
                break
            if negative[new] and not weight[new]:
                # It says what those inside say already, but for rounding.
                inside[new], barred[new] = False, True
                break
            share = weight[negative] / (weight[negative] - wanted[negative])
            weight = np.where(inside, weight + float(share.min()) * (wanted - weight), 0.0)
            leaving = np.flatnonzero(negative)[share <= share.min()]
            weight[leaving], inside[leaving] = 0.0, False
    return None
