"""How does power run through branches that have no reactance?

A bus-bar coupler or a closed switch is a branch with x = 0: its two buses are one electrical node, whose angle says nothing about the
flow in between. The rule here: **the branches without reactance of a node count as equal, and as small as one likes**. What that
means:

    * Outside, a node behaves like one bus: one angle, one sensitivity of every other branch to an injection at any of its buses.
    * A branch that is the only way between two parts of its node carries what has to cross. In a ring or in parallel, the flow
      divides as between equal branches; of all flows that satisfy Kirchhoff's law this one has the least sum of squares.
    * Ratings hold as on any branch. Prices differ between the buses of a node only while such a rating binds.

Put in formulas, with L = Aᵀ·A of these branches alone (one bus of each node held at 0) and what the other branches leave at each bus::

    L φ = injection − outflow over other branches        flow = φ_from − φ_to

Absent on purpose: the outage of such a branch, which would split its node.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, csr_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

__all__ = ["Busbars"]

_Floats = NDArray[np.float64]
_Indices = NDArray[np.integer[Any]]


class Busbars:
    """The branches without reactance of one topology, and the nodes they make.

    Args:
        n_buses: number of buses.
        branches: (m,) positions of the branches, ascending; at least one.
        from_bus: (m,) the end at which positive flow enters.
        to_bus: (m,) the other end.

    Attributes:
        branches: (m,) positions of the branches.
        first_bus: (nb,) the first bus of the node each bus belongs to: itself, for most.
    """

    def __init__(self, n_buses: int, branches: _Indices, from_bus: _Indices, to_bus: _Indices) -> None:
        self.branches = branches
        m = len(branches)
        graph = coo_array((np.ones(m), (from_bus, to_bus)), shape=(n_buses, n_buses))
        _, node = connected_components(graph, directed=False)
        _, first = np.unique(node, return_index=True)
        self.first_bus: NDArray[np.intp] = first[node]
        rows, ends = np.tile(np.arange(m), 2), np.concatenate([from_bus, to_bus])
        self._across: csr_array[np.float64] = csr_array((np.repeat([1.0, -1.0], m), (rows, ends)), shape=(m, n_buses))
        self._free: NDArray[np.intp] = np.flatnonzero(self.first_bus != np.arange(n_buses))
        inner = self._across[:, self._free]
        self._lu = splu(csc_array(inner.T @ inner))

    def flows_mw(self, left_mw: _Floats) -> _Floats:
        """Return the flows (m,) that take what is left at each bus (nb,) to where it is wanted, MW; or (m, k) of (nb, k)."""
        return np.asarray(self._across @ self._potential(left_mw))

    def spread(self, weight: _Floats) -> _Floats:
        """Return (nb,): what one unit left at each bus adds to the sum of ``weight`` (m,) times flow; or (nb, k) of (m, k)."""
        return self._potential(np.asarray(self._across.T @ weight))

    def price_gap(self, price: _Floats, branch_price: _Floats) -> _Floats:
        """Return (nb,) what the prices (nb,) at the ends of these branches ask for beyond the branch prices (m,); 0 elsewhere."""
        gap = np.asarray(self._across.T @ (self._across @ price - branch_price))
        gap[self.first_bus == np.arange(len(gap))] = 0.0
        return gap

    def _potential(self, right: _Floats) -> _Floats:
        out = np.zeros_like(right)
        out[self._free] = self._lu.solve(right[self._free])
        return out
