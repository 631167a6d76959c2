"""Outages on paper: which branches are bridges, where a lost flow goes, and which limits hold then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from market.errors import CaseError
from market.grid import Topology
from market.outages import Contingencies
from tests.kit.grids import network

TRIANGLE = [("1", "2", 0.1, 100.0), ("1", "3", 0.1, 100.0), ("2", "3", 0.1, 100.0)]
TAILED = [*TRIANGLE, ("3", "4", 0.1, 100.0)]


def topology(net, *open_branches: str) -> Topology:
    return Topology(net, np.array([name not in open_branches for name in net.branch_ids]))


def test_in_a_triangle_the_lost_flow_goes_the_only_other_way():
    lodf = Contingencies(topology(network(("1", "2", "3"), TRIANGLE))).lodf.toarray()
    # Without L1 (1-2) its flow goes 1-3-2: along L2, against L3.
    np.testing.assert_allclose(lodf, [[0, 1, -1], [1, 0, 1], [-1, 1, 0]], atol=1e-12)


def test_two_equal_lines_take_over_from_each_other_and_from_the_third_by_halves():
    net = network(("1", "2"), [("1", "2", 0.1, 100.0)] * 3)
    lodf = Contingencies(topology(net)).lodf.toarray()
    np.testing.assert_allclose(lodf, 0.5 - 0.5 * np.eye(3), atol=1e-12)


def test_a_tail_is_listed_as_islanding_and_not_screened():
    outages = Contingencies(topology(network(("1", "2", "3", "4"), TAILED)))
    assert outages.islanding == ("L4",)
    assert outages.outages.tolist() == [0, 1, 2]
    assert outages.lodf[[3]].nnz == 0


def test_a_ring_that_is_open_is_all_bridges():
    outages = Contingencies(topology(network(("1", "2", "3", "4"), TAILED), "L1"))
    assert outages.islanding == ("L2", "L3", "L4")
    assert len(outages.outages) == 0
    assert outages.lodf.nnz == 0
    assert outages.out_already == ()


def test_parallel_branches_are_no_bridges_until_one_is_open():
    net = network(("1", "2", "3"), [("1", "2", 0.1, 100.0), ("2", "1", 0.1, 100.0), ("2", "3", 0.1, 100.0)])
    assert Contingencies(topology(net)).islanding == ("L3",)
    assert Contingencies(topology(net, "L2")).islanding == ("L1", "L3")


def test_every_island_has_bridges_of_its_own():
    net = network(("1", "2", "3", "4", "5", "6"), [*TRIANGLE, ("4", "5", 0.1, 100.0)])
    outages = Contingencies(topology(net))
    assert outages.islanding == ("L4",)
    assert outages.outages.tolist() == [0, 1, 2]


def test_only_what_is_asked_for_is_screened_and_nothing_is_lost():
    net = network(("1", "2", "3", "4"), TAILED)
    asked = Contingencies(topology(net), ("L4", "L2"))
    assert (asked.outages.tolist(), asked.islanding, asked.out_already) == ([1], ("L4",), ())
    already = Contingencies(topology(net, "L2"), ("L4", "L2"))
    assert (already.outages.tolist(), already.islanding, already.out_already) == ([], ("L4",), ("L2",))


def test_small_shares_are_left_out_only_on_request():
    # A second way of ten times the reactance takes a tenth of what the first one leaves.
    net = network(("1", "2"), [("1", "2", 0.1, 100.0), ("1", "2", 0.1, 100.0), ("1", "2", 10.0, 100.0)])
    shares = Contingencies(topology(net), ("L1",)).lodf[[0]].toarray()
    np.testing.assert_allclose(shares, [[0.0, 10 / 10.1, 0.0]], atol=1e-12)
    shares = Contingencies(topology(net), ("L1",), lodf_least=0.0).lodf[[0]].toarray()
    np.testing.assert_allclose(shares, [[0.0, 10 / 10.1, 0.1 / 10.1]], atol=1e-12)


@pytest.mark.parametrize(
    ("rate", "emergency", "want"),
    [
        (100.0, np.inf, 130.0),  # none of its own
        (100.0, 100.0, 130.0),  # a copy of the continuous one
        (100.0, 110.0, 110.0),
        (np.inf, np.inf, np.inf),
        (np.inf, 90.0, 90.0),
        (0.0, 0.0, 0.0),
    ],
)
def test_the_limit_after_an_outage(rate, emergency, want):
    net = replace(network(("1", "2"), [("1", "2", 0.1, rate)] * 2), rate_emergency_mw=np.array([emergency] * 2))
    assert Contingencies(topology(net)).emergency_mw.tolist() == [want, want]
    assert Contingencies(topology(net, "L2")).emergency_mw.tolist() == [want, np.inf]


def test_an_emergency_rating_below_the_continuous_one_is_refused_by_name():
    net = replace(network(("1", "2"), [("1", "2", 0.1, 100.0)] * 2), rate_emergency_mw=np.array([130.0, 90.0]))
    with pytest.raises(CaseError, match="1 branches with an emergency rating below the continuous one: L2"):
        Contingencies(topology(net))
    assert Contingencies(topology(net, "L2")).emergency_mw.tolist() == [130.0, np.inf]


def test_reactances_that_cancel_after_an_outage_are_refused_by_name():
    net = network(("1", "2"), [("1", "2", 0.1, 100.0), ("1", "2", -0.1, 100.0), ("1", "2", 0.2, 100.0)])
    with pytest.raises(CaseError, match="after the outage of L3 negative reactances cancel"):
        Contingencies(topology(net)).lodf  # noqa: B018
    assert Contingencies(topology(net), ("L1", "L2")).lodf.nnz == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outages": ("L1", "L9")}, "no branch L9"),
        ({"emergency_factor": 0.9}, "emergency_factor is 0.9"),
        ({"emergency_factor": float("nan")}, "emergency_factor is nan"),
        ({"lodf_least": 1.0}, "lodf_least is 1.0"),
        ({"lodf_least": float("nan")}, "lodf_least is nan"),
    ],
)
def test_parameters_out_of_range_are_refused(change, message):
    with pytest.raises(CaseError, match=message):
        Contingencies(topology(network(("1", "2", "3"), TRIANGLE)), **change)


def test_the_hash_names_topology_list_and_parameters():
    topo = topology(network(("1", "2", "3"), TRIANGLE))
    base = Contingencies(topo).hash
    assert Contingencies(topo, ("L3", "L1", "L2")).hash == base
    others = [
        Contingencies(topo, ("L1",)),
        Contingencies(topo, emergency_factor=1.4),
        Contingencies(topo, lodf_least=0.05),
        Contingencies(topology(network(("1", "2", "3"), TRIANGLE), "L2")),
    ]
    assert len({base, *(other.hash for other in others)}) == 5
