"""Which price stands in where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from market.deadbus import NO_SUBSTITUTE, substitutes
from market.errors import CaseError
from market.grid import Topology
from tests.kit.grids import network


def topology(buses, lines, *open_branches: str) -> Topology:
    net = network(buses, [(f, t, x, 100.0) for f, t, x in lines])
    return Topology(net, np.array([name not in open_branches for name in net.branch_ids]))


def standing_in(topo: Topology, *live: str) -> dict[str, str | None]:
    ids = topo.network.bus_ids
    found = substitutes(topo, np.array([bus in live for bus in ids]))
    return {bus: ids[at] if at != NO_SUBSTITUTE else None for bus, at in zip(ids, found, strict=True)}


def test_the_electrically_nearest_live_bus_stands_in_not_the_one_with_fewest_branches_between():
    topo = topology("abcd", [("a", "b", 0.1), ("b", "c", 0.1), ("c", "d", 0.3)])
    assert standing_in(topo, "a", "d") == {"a": "a", "b": "a", "c": "a", "d": "d"}
    assert standing_in(topo, "d") == {"a": "d", "b": "d", "c": "d", "d": "d"}


def test_a_series_capacitor_and_a_coupler_are_as_near_as_they_are_small():
    topo = topology("abc", [("a", "b", -0.2), ("b", "c", 0.0), ("a", "c", 0.3)])
    assert standing_in(topo, "a", "c")["b"] == "c"
    topo = topology("abc", [("a", "b", -0.2), ("b", "c", 0.3)])
    assert standing_in(topo, "a", "c")["b"] == "a"


def test_of_parallel_branches_the_shorter_one_counts():
    topo = topology("abc", [("a", "b", 0.5), ("a", "b", 0.1), ("b", "c", 0.2)])
    assert standing_in(topo, "a", "c")["b"] == "a"


def test_a_branch_that_was_open_is_no_way():
    topo = topology("abc", [("a", "b", 0.1), ("b", "c", 0.2)], "L1")
    assert standing_in(topo, "a", "c")["b"] == "c"
    assert standing_in(topo, "a") == {"a": "a", "b": None, "c": None}


def test_ties_go_to_the_first_name_whatever_the_order_and_the_rounding():
    # Three tenths from either side, added up in different orders.
    ways = [("z", "p", 0.1), ("p", "m", 0.2), ("m", "q", 0.1), ("q", "r", 0.1), ("r", "a", 0.1)]
    for buses in ("azmpqr", "zamrqp"):
        for lines in (ways, ways[::-1]):
            assert standing_in(topology(buses, lines), "a", "z")["m"] == "a"


def test_all_dead_and_all_live():
    topo = topology("ab", [("a", "b", 0.1)])
    assert standing_in(topo) == {"a": None, "b": None}
    assert standing_in(topo, "a", "b") == {"a": "a", "b": "b"}


def test_a_mask_of_another_length_is_refused():
    with pytest.raises(CaseError, match=r"live has \(3,\) entries for 2 buses"):
        substitutes(topology("ab", [("a", "b", 0.1)]), np.ones(3, dtype=np.bool_))


def test_in_a_ring_every_dead_bus_looks_both_ways():
    topo = topology("abcde", [("a", "b", 0.1), ("b", "c", 0.1), ("c", "d", 0.1), ("d", "e", 0.1), ("a", "e", 0.1)])
    assert standing_in(topo, "a", "c") == {"a": "a", "b": "a", "c": "c", "d": "c", "e": "a"}
