"""What does the grid look like when one branch trips: which outages cut it in two, and where does the lost flow go?

When branch k opens, the flow it carried moves to the other branches of its island in fixed shares (line outage distribution
factors, LODF)::

    flow_l after the outage of k = flow_l + LODF_lk · flow_k        LODF_lk = PTDF_lk / (1 − PTDF_kk)
    PTDF_lk = b_l · (θ_from(l) − θ_to(l))    for 1 MW put in at k's from bus and taken out at its to bus

The shares hold for branches with phase shifts too, because the shift goes with the branch. Most of them are tiny; those at or above
``lodf_least`` are kept, 0.2 to 1 % in a grid of a thousand buses and more. They are found by blocks of back-solves on the
topology's factor.

An outage that cuts its island in two (*islanding*) has no such share: what it carried has no other way. Whether a branch is such a
bridge is a question about the graph and is answered there, in whole numbers (:func:`bridges`), not by how close 1 − PTDF_kk comes
to 0. Islanding outages are listed by name and not screened, and so are those of branches without reactance.

Absent on purpose: outages of several branches at once, and of units.
Source: Wood, Wollenberg and Sheblé, Power Generation, Operation, and Control, 3rd ed., ch. 7 (distribution factors).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from hashlib import sha256
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from market.errors import CaseError
from market.grid import BoolArray, FloatArray, IndexArray, Topology

__all__ = ["EMERGENCY_FACTOR", "LODF_LEAST", "Contingencies", "bridges"]

EMERGENCY_FACTOR = 1.3
"""Limit after an outage over the continuous rating, for a branch that has no emergency rating of its own."""

LODF_LEAST = 0.03
"""Shares below this are not screened: 3 % of the lost flow, the cut-off in common use for transmission loading relief."""

_Buses = NDArray[np.int64]

_BLOCK = 16
"""Outages per back-solve: wider ones fall out of the processor's cache, and from 64 the solver's threads get in each other's way."""

_SHARE_NOISE = 1e-9
"""Shares below this are the rounding of the back-solve, and are left out whatever the cut-off."""

_SINGULAR = 1e-9
"""1 − PTDF_kk below this, where k is no bridge: negative reactances cancel what is left of the island."""


class Contingencies:
    """The single-branch outages to be screened on one topology, with the share of flow each of them moves.

    Args:
        topology: the grid before the outage.
        outages: names of branches, or ``"all"`` that are in service.
        emergency_factor: stands in for the emergency rating, times the continuous one, where a case has none or an equal one.
        lodf_least: shares below this are left out; 0 keeps every one.

    Attributes:
        topology: the grid before the outage.
        outages: (no,) positions of the branches whose outages are screened, ascending.
        islanding: names of the branches asked for whose outage cuts an island in two, sorted; not screened.
        couplers: names of the branches asked for that have no reactance, sorted; their outage would split a node and is not screened.
        out_already: names of the branches asked for that are open, sorted; nothing changes when they trip.
        emergency_mw: (nl,) limit after an outage, MW, in both directions; ``inf`` where there is none.
        lodf_least: the cut-off.

    Raises:
        CaseError: an unknown name, a parameter out of range, an emergency rating below the continuous one.
    """

    def __init__(
        self,
        topology: Topology,
        outages: Iterable[str] | Literal["all"] = "all",
        *,
        emergency_factor: float = EMERGENCY_FACTOR,
        lodf_least: float = LODF_LEAST,
    ) -> None:
        if not 1.0 <= emergency_factor < np.inf:
            raise CaseError(f"contingencies: emergency_factor is {emergency_factor}, expected 1 or more")
        if not 0.0 <= lodf_least < 1.0:
            raise CaseError(f"contingencies: lodf_least is {lodf_least}, expected 0 or more and less than 1")
        self.topology = topology
        self.lodf_least = lodf_least
        self.emergency_mw = _emergency_mw(topology, emergency_factor)
        network, closed = topology.network, topology.in_service
        asked: BoolArray = closed.copy() if isinstance(outages, str) else _asked(topology, outages)
        cut = bridges(network.n_buses, network.from_bus, network.to_bus, closed)
        flat = np.zeros_like(closed)
        if topology.busbars is not None:
            flat[topology.busbars.branches] = True
        self.outages: IndexArray = np.flatnonzero(asked & closed & ~cut & ~flat).astype(np.int32)
        self.couplers = tuple(sorted(network.branch_ids[k] for k in np.flatnonzero(asked & flat & ~cut)))
        self.islanding = tuple(sorted(network.branch_ids[k] for k in np.flatnonzero(asked & cut)))
        self.out_already = tuple(sorted(network.branch_ids[k] for k in np.flatnonzero(asked & ~closed)))

    @cached_property
    def lodf(self) -> csr_array[np.float64]:
        """(nl, nl) share of the outage's flow (row) that each branch (column) takes over, where it has a limit and the share counts.

        Rows of outages that are not screened are empty. Built when first asked for.

        Raises:
            CaseError: an outage after which negative reactances cancel positive ones.
        """
        n = self.topology.network.n_branches
        lines = np.flatnonzero(np.isfinite(self.emergency_mw) & self.topology.in_service).astype(np.int32)
        found = [self._block(self.outages[at : at + _BLOCK], lines) for at in range(0, len(self.outages), _BLOCK)]
        none = (np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32), np.zeros(0))
        outage, line, share = (np.concatenate(part) for part in zip(none, *found, strict=True))
        start = np.zeros(n + 1, dtype=np.int64)
        np.cumsum(np.bincount(outage, minlength=n), out=start[1:])
        return csr_array((share, line, start), shape=(n, n))

    def _block(self, outages: IndexArray, lines: IndexArray) -> tuple[IndexArray, IndexArray, FloatArray]:
        """Return outage, branch and share of what counts in one block of outages, in ascending order of both."""
        topology = self.topology
        f, t, b = topology.network.from_bus, topology.network.to_bus, topology.b_mw_per_rad
        k = np.arange(len(outages))
        transfer = np.zeros((topology.network.n_buses, len(outages)), order="F")
        transfer[f[outages], k] += 1.0
        transfer[t[outages], k] -= 1.0
        theta = np.ascontiguousarray(topology.solve(transfer).T)
        own = b[outages] * (theta[k, f[outages]] - theta[k, t[outages]])
        left = 1.0 - own
        if (singular := np.abs(left) < _SINGULAR).any():
            named = ", ".join(topology.network.branch_ids[i] for i in outages[singular][:5])
            raise CaseError(
                f"contingencies: after the outage of {named} negative reactances cancel positive ones and no flow can be computed; "
                "leave it out of the list or correct the reactances"
            )
        shares = np.take(theta, f[lines], axis=1)
        shares -= np.take(theta, t[lines], axis=1)
        shares *= b[lines]
        if topology.busbars is not None:
            inside = np.flatnonzero(np.isin(lines, topology.busbars.branches))
            rows = topology.ptdf(lines[inside])
            shares[:, inside] = (rows[:, f[outages]] - rows[:, t[outages]]).T
        shares /= left[:, None]
        shares[outages[:, None] == lines[None, :]] = 0.0
        row, column = np.nonzero(np.abs(shares) >= max(self.lodf_least, _SHARE_NOISE))
        return outages[row], lines[column], shares[row, column]

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the topology, the outages and their parameters, hex."""
        names = self.topology.network.branch_ids
        asked = "\x1f".join([*sorted(names[k] for k in self.outages), "", *self.islanding, "", *self.couplers, "", *self.out_already])
        limits = sha256(np.ascontiguousarray(self.emergency_mw).astype("<f8").tobytes()).hexdigest()
        return sha256("\x1e".join([self.topology.hash, repr(self.lodf_least), limits, asked]).encode()).hexdigest()


def _asked(topology: Topology, names: Iterable[str]) -> BoolArray:
    asked = np.zeros(topology.network.n_branches, dtype=np.bool_)
    position = topology.network.branch_index
    wanted = tuple(names)
    if unknown := sorted({name for name in wanted if name not in position}):
        raise CaseError(f"contingencies: the network has no branch {', '.join(unknown[:5])}; correct the list of outages")
    asked[[position[name] for name in wanted]] = True
    return asked


def _emergency_mw(topology: Topology, factor: float) -> FloatArray:
    """Return (nl,) the limit after an outage: the case's own where it has one above the continuous rating, else a multiple of that."""
    network = topology.network
    rate, emergency = network.rate_mw, network.rate_emergency_mw
    contradicting = topology.in_service & np.isfinite(rate) & (emergency < rate)
    if contradicting.any():
        named = ", ".join(network.branch_ids[i] for i in np.flatnonzero(contradicting)[:5])
        raise CaseError(
            f"contingencies: {int(contradicting.sum())} branches with an emergency rating below the continuous one: {named}; "
            "correct one of the two"
        )
    own = np.isfinite(emergency) & ((emergency > rate) | np.isinf(rate))
    limit = np.where(own, emergency, rate * factor)
    return np.where(topology.in_service, limit, np.inf)


def bridges(n_buses: int, from_bus: IndexArray, to_bus: IndexArray, closed: BoolArray) -> BoolArray:
    """Return (nl,) whether opening each branch would cut its island in two; False for open branches.

    A tree is grown over the buses from one root joined to every island. A branch beside the tree closes a ring, which covers the
    tree branches on the way between its ends; a tree branch that none covers is a bridge. The ways are counted without being
    walked: one at either end, minus two where the ways to the root meet, summed up the tree.

    >>> ring, tail = [(0, 1), (1, 2), (2, 0)], [(2, 3)]
    >>> f, t = np.array(ring + tail, dtype=np.int32).T
    >>> bridges(4, f, t, np.ones(4, dtype=np.bool_)).tolist()
    [False, False, False, True]
    """
    on = np.flatnonzero(closed)
    f, t = from_bus[on].astype(np.int64), to_bus[on].astype(np.int64)
    order, parent, depth = _tree(n_buses, f, t)
    # Of parallel branches the first belongs to the tree; the others cover it.
    down = np.where(parent[t] == f, t, np.where(parent[f] == t, f, -1))
    in_tree = np.flatnonzero(down >= 0)
    _, first = np.unique(down[in_tree], return_index=True)
    tree_branch = in_tree[first]
    beside = np.ones(len(on), dtype=np.bool_)
    beside[tree_branch] = False
    u, v = f[beside], t[beside]
    meet = _meeting_points(u, v, parent, depth)
    cover = np.bincount(u, minlength=n_buses + 1) + np.bincount(v, minlength=n_buses + 1) - 2 * np.bincount(meet, minlength=n_buses + 1)
    covered, up = cover.tolist(), parent.tolist()
    for bus in order[:0:-1].tolist():
        covered[up[bus]] += covered[bus]
    out = np.zeros(len(closed), dtype=np.bool_)
    out[on[tree_branch]] = np.array(covered, dtype=np.int64)[down[tree_branch]] == 0
    return out


def _tree(n_buses: int, f: _Buses, t: _Buses) -> tuple[_Buses, _Buses, _Buses]:
    """Grow one tree over all islands from an extra root: buses in order from the root, the parent and the depth of each."""
    graph = coo_array((np.ones(len(f)), (f, t)), shape=(n_buses, n_buses))
    root = n_buses
    _, island = connected_components(graph, directed=False)
    _, firsts = np.unique(island, return_index=True)
    # Every island's first bus hangs on the root, so one walk reaches all.
    ends = (np.concatenate([f, np.full(len(firsts), root)]), np.concatenate([t, firsts]))
    joined = coo_array((np.ones(len(ends[0])), ends), shape=(n_buses + 1, n_buses + 1)).tocsr()
    walked, reached_from = breadth_first_order(joined, root, directed=False)
    order, parent = np.asarray(walked, dtype=np.int64), np.asarray(reached_from, dtype=np.int64)
    parent[root] = root
    depth = [0] * (n_buses + 1)
    up = parent.tolist()
    for bus in order[1:].tolist():
        depth[bus] = depth[up[bus]] + 1
    return order, parent, np.array(depth, dtype=np.int64)


def _meeting_points(u: _Buses, v: _Buses, parent: _Buses, depth: _Buses) -> _Buses:
    """Return where the ways from each u and v to the root meet, all pairs climbing at once."""
    u, v = u.copy(), v.copy()
    apart = np.flatnonzero(u != v)
    while len(apart):
        a, b = u[apart], v[apart]
        lower_a, lower_b = depth[a] >= depth[b], depth[b] >= depth[a]
        u[apart] = np.where(lower_a, parent[a], a)
        v[apart] = np.where(lower_b, parent[b], b)
        apart = apart[u[apart] != v[apart]]
    return u
