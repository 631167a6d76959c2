"""What price has a bus without voltage, where nothing can be bought?

That of the nearest live one, so that a position there can still be settled. Near is what is electrically near: least sum of |x| along
branches that were in service in the last topology in which the bus was live. Such a price is a substitute and is to be published as one.

(A live island in which no unit offers needs no rule: while load goes unserved its price is the penalty, clipped to the cap, and while power
is left over the floor.)

Pure; who keeps the last live topology, and how a substitute is flagged, is the engine's business.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

import numpy as np

from market.errors import CaseError
from market.grid import BoolArray, IndexArray, Topology

__all__ = ["NO_SUBSTITUTE", "substitutes"]

NO_SUBSTITUTE = -1
"""No live bus was connected to this one: it has no price."""

_STEPS_PER_PU = 1e12
"""Reactances are added in whole steps of 1e-12 p.u., so that two ways of the same length are a tie in whatever order they are added."""


def substitutes(last_live: Topology, live: BoolArray) -> IndexArray:
    """Return (nb,) the bus whose price stands in at each bus: itself where it is live, ``NO_SUBSTITUTE`` where none is reached.

    Ties go to the live bus whose name comes first.

    Args:
        last_live: the last topology in which the buses that are dead now were live.
        live: (nb,) whether each bus is live now.

    Raises:
        CaseError: ``live`` is of another length.

    Example: in a chain a-b-c of equal lines with only a live, all prices are that of a: ``[0, 0, 0]``.
    """
    network = last_live.network
    n = network.n_buses
    if live.shape != (n,):
        raise CaseError(f"dead buses: live has {live.shape} entries for {n} buses")
    on = np.flatnonzero(last_live.in_service & ~(live[network.from_bus] & live[network.to_bus]))
    steps = np.rint(np.abs(network.x_pu[on]) * _STEPS_PER_PU).astype(np.int64).tolist()
    ways: dict[int, list[tuple[int, int]]] = {}
    for f, t, length in zip(network.from_bus[on].tolist(), network.to_bus[on].tolist(), steps, strict=True):
        ways.setdefault(f, []).append((length, t))
        ways.setdefault(t, []).append((length, f))
    found = np.where(live, np.arange(n, dtype=np.int32), np.int32(NO_SUBSTITUTE)).astype(np.int32)
    # Dijkstra from all live buses at once: distance, name of the live bus it is counted from, and where it has come.
    front = [(0, network.bus_ids[bus], bus, bus) for bus in ways if live[bus]]
    heapify(front)
    done: set[int] = set()
    while front:
        distance, name, source, bus = heappop(front)
        if bus in done:
            continue
        done.add(bus)
        found[bus] = source
        for length, other in ways[bus]:
            if not live[other] and other not in done:
                heappush(front, (distance + length, name, source, other))
    return found
