"""The DC grid, on paper: triangles and parallel lines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from market.errors import CaseError
from market.grid import Convention, Topology
from market.outages import Contingencies
from tests.kit.grids import network

TRIANGLE = [("1", "2", 0.1, 100.0), ("1", "3", 0.1, 100.0), ("2", "3", 0.1, 100.0)]


def topology(net, *open_branches: str, convention: Convention = Convention.MATPOWER) -> Topology:
    return Topology(net, np.array([name not in open_branches for name in net.branch_ids]), convention)


def test_flow_splits_by_the_inverse_of_the_path_reactance():
    flow = topology(network(("1", "2", "3"), TRIANGLE)).flows_mw(np.array([90.0, 0.0, -90.0]))
    np.testing.assert_allclose(flow, [30.0, 60.0, 30.0], atol=1e-12)


def test_an_open_branch_carries_nothing_and_the_rest_takes_over():
    flow = topology(network(("1", "2", "3"), TRIANGLE), "L2").flows_mw(np.array([90.0, 0.0, -90.0]))
    np.testing.assert_allclose(flow, [90.0, 0.0, 90.0], atol=1e-12)


def test_ptdf_rows_on_paper():
    ptdf = topology(network(("1", "2", "3"), TRIANGLE)).ptdf(np.array([1, 2]))
    # The reference is bus 1: a MW injected at 3 comes back over L2 (1-3) by 2/3 against its direction, over L3 and L1 by 1/3.
    np.testing.assert_allclose(ptdf, [[0.0, -1 / 3, -2 / 3], [0.0, 1 / 3, -1 / 3]], atol=1e-12)


def test_priced_flows_are_the_ptdf_rows_times_their_prices():
    topo = topology(network(("1", "2", "3"), TRIANGLE))
    price = np.array([2.0, -5.0, 7.0])
    np.testing.assert_allclose(topo.priced_flows(price), topo.ptdf(np.arange(3)).T @ price, atol=1e-12)


def test_angles_give_the_flows_in_mw():
    net = network(("1", "2"), [("1", "2", 0.2, 100.0)])
    angle = topology(net).angles_rad(np.array([50.0, -50.0]))
    assert angle[0] - angle[1] == pytest.approx(50.0 / (100.0 / 0.2))


def test_a_phase_shift_circulates_flow_only_where_the_convention_lets_it():
    net = network(("1", "2"), [("1", "2", 0.1, 1e3), ("1", "2", 0.1, 1e3)], shift_rad=[0.1, 0.0])
    still = np.zeros(2)
    # Two branches of 1000 MW/rad in a loop share the shift: 0.1 rad over 0.2 p.u. is 50 MW round the loop.
    np.testing.assert_allclose(topology(net).flows_mw(still), [-50.0, 50.0], atol=1e-9)
    np.testing.assert_allclose(topology(net, convention=Convention.POWERMODELS).flows_mw(still), [0.0, 0.0], atol=1e-12)


def test_susceptance_by_convention():
    net = replace(network(("1", "2"), [("1", "2", 0.08, 100.0)]), r_pu=np.array([0.06]), tap=np.array([1.25]))
    assert topology(net).b_mw_per_rad[0] == pytest.approx(100 / (0.08 * 1.25))
    assert topology(net, convention=Convention.POWERMODELS).b_mw_per_rad[0] == pytest.approx(100 * 0.08 / (0.06**2 + 0.08**2))


@pytest.mark.parametrize(
    ("x", "low", "high", "want"),
    [
        (0.1, -0.05, 0.02, (-50.0, 20.0)),  # 1000 MW/rad
        (-0.1, -0.05, 0.02, (-20.0, 50.0)),  # a series capacitor turns the limits round
        (0.1, -np.inf, np.inf, (-100.0, 100.0)),
        (0.1, -0.5, 0.5, (-100.0, 100.0)),  # the rating is the tighter one
    ],
)
def test_angle_limits_become_flow_limits(x, low, high, want):
    net = network(("1", "2"), [("1", "2", x, 100.0)])
    net = replace(net, angle_min_rad=np.array([low]), angle_max_rad=np.array([high]))
    topo = topology(net)
    assert (topo.limit_low_mw[0], topo.limit_high_mw[0]) == pytest.approx(want)


def test_islands_are_numbered_by_their_first_bus_and_balance_by_themselves():
    net = network(("1", "2", "3", "4", "5"), [("1", "3", 0.1, 100.0), ("2", "4", 0.1, 100.0), ("3", "2", 0.1, 100.0)])
    topo = topology(net, "L3")
    assert topo.island_of_bus.tolist() == [0, 1, 0, 1, 2]
    assert topo.reference_bus.tolist() == [0, 1, 4]
    np.testing.assert_allclose(topo.flows_mw(np.array([10.0, -5.0, -10.0, 5.0, 3.0])), [10.0, -5.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(topo.ptdf(np.array([1])), [[0.0, 0.0, 0.0, -1.0, 0.0]], atol=1e-12)


def test_hash_names_network_convention_and_open_branches():
    net = network(("1", "2", "3"), TRIANGLE)
    base = topology(net).hash
    assert topology(network(("1", "2", "3"), TRIANGLE)).hash == base
    others = {
        topology(net, "L1").hash,
        topology(net, "L2").hash,
        topology(net, convention=Convention.POWERMODELS).hash,
        topology(replace(net, rate_mw=np.array([100.0, 100.0, 99.0]))).hash,
    }
    assert len(others | {base}) == 5


def test_a_coupler_carries_what_has_to_cross():
    # 1 =(coupler)= 2, and a triangle 2-3-4 beside: everything put in at 1 crosses the coupler.
    net = network(("1", "2", "3", "4"), [("1", "2", 0.0, 70.0), ("2", "3", 0.1, 9.0), ("2", "4", 0.1, 9.0), ("3", "4", 0.1, 9.0)])
    topo = topology(net)
    np.testing.assert_allclose(topo.flows_mw(np.array([90.0, 0.0, 0.0, -90.0])), [90.0, 30.0, 60.0, 30.0], atol=1e-12)
    np.testing.assert_allclose(topo.flows_mw(np.array([0.0, 90.0, 0.0, -90.0])), [0.0, 30.0, 60.0, 30.0], atol=1e-12)
    assert (topo.limit_low_mw[0], topo.limit_high_mw[0]) == (-70.0, 70.0)
    ptdf = topo.ptdf(np.arange(4))
    np.testing.assert_allclose(ptdf[1:, 0], ptdf[1:, 1], atol=1e-15)  # one node to all others
    np.testing.assert_allclose(ptdf[0], [0.0, -1.0, -1.0, -1.0], atol=1e-12)
    assert topology(net, "L1").n_islands == 2


def test_couplers_in_parallel_and_in_a_ring_share_like_equal_branches():
    pair = topology(network(("1", "2"), [("1", "2", 0.0, 100.0), ("2", "1", 0.0, 100.0)]))
    np.testing.assert_allclose(pair.flows_mw(np.array([80.0, -80.0])), [40.0, -40.0], atol=1e-12)
    ring = topology(network(("1", "2", "3"), [("1", "2", 0.0, 100.0), ("2", "3", 0.0, 100.0), ("1", "3", 0.0, 100.0)]))
    np.testing.assert_allclose(ring.flows_mw(np.array([90.0, 0.0, -90.0])), [30.0, 30.0, 60.0], atol=1e-12)


def test_a_line_beside_a_coupler_carries_nothing():
    topo = topology(network(("1", "2"), [("1", "2", 0.1, 100.0), ("1", "2", 0.0, 100.0)]))
    np.testing.assert_allclose(topo.flows_mw(np.array([80.0, -80.0])), [0.0, 80.0], atol=1e-12)


def test_a_coupler_across_which_an_angle_is_asked_for_is_refused_by_name():
    net = network(("1", "2"), [("1", "2", 0.0, 100.0)])
    with pytest.raises(CaseError, match="x = 0, and an angle between the ends all the same: L1"):
        topology(replace(net, shift_rad=np.array([0.1])))
    with pytest.raises(CaseError, match="x = 0, and an angle between the ends all the same: L1"):
        topology(replace(net, angle_min_rad=np.array([0.1]), angle_max_rad=np.array([0.2])))
    # Shifts mean nothing in this convention, and the window holds 0.
    powermodels = replace(net, shift_rad=np.array([0.1]), angle_min_rad=np.array([-0.1]), angle_max_rad=np.array([0.2]))
    assert topology(powermodels, convention=Convention.POWERMODELS).limit_high_mw.tolist() == [100.0]


def test_the_outage_of_a_coupler_is_listed_and_its_flow_after_others_is_known():
    net = network(("1", "2", "3"), [("1", "2", 0.0, 50.0), ("1", "3", 0.1, 50.0), ("2", "3", 0.1, 50.0)])
    topo = topology(net)
    outages = Contingencies(topo)
    assert (outages.couplers, outages.islanding, outages.outages.tolist()) == (("L1",), (), [1, 2])
    # Without L3 (2-3) everything that reached 3 over it crosses the coupler back to bus 1 and takes L2.
    np.testing.assert_allclose(outages.lodf[[2]].toarray(), [[-1.0, 1.0, 0.0]], atol=1e-12)


def test_limits_that_exclude_each_other_are_refused():
    net = replace(network(("1", "2"), [("1", "2", 0.1, 10.0)]), angle_min_rad=np.array([-1.0]), angle_max_rad=np.array([-0.05]))
    with pytest.raises(CaseError, match="both the rating and the angle limits: L1"):
        topology(net)  # at most −50 MW by the angle, at least −10 MW by the rating


def test_reactances_that_cancel_are_refused():
    net = network(("1", "2"), [("1", "2", 0.1, 100.0), ("1", "2", -0.1, 100.0)])
    with pytest.raises(CaseError, match="singular"):
        topology(net)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bus_ids": ("1", "2", "2")}, "bus names used twice: 2"),
        ({"branch_ids": ("L1", "L1", "L3")}, "branch names used twice: L1"),
        ({"to_bus": np.array([1, 2, 3])}, "an end that is no bus: L3"),
        ({"to_bus": np.array([0, 2, 2])}, "both ends at one bus: L1"),
        ({"x_pu": np.array([0.1, np.nan, 0.1])}, "no number: L2"),
        ({"rate_mw": np.array([100.0, 100.0, -1.0])}, "a rating that is negative or no number: L3"),
        ({"tap": np.array([1.0, 0.0, 1.0])}, "not positive: L2"),
        ({"angle_min_rad": np.array([1.0, 0, 0]), "angle_max_rad": np.zeros(3)}, "contradict each other: L1"),
        ({"base_kv": np.ones(2)}, "base_kv has 2 entries, expected 3"),
        ({"base_mva": 0.0}, "base_mva is 0.0"),
    ],
)
def test_contradictions_are_refused_by_name(change, message):
    with pytest.raises(CaseError, match=message):
        replace(network(("1", "2", "3"), TRIANGLE), **change)


def test_a_transformer_counts_with_its_higher_voltage():
    net = replace(network(("1", "2", "3"), TRIANGLE), base_kv=np.array([500.0, 220.0, 220.0]))
    assert net.branch_kv.tolist() == [500.0, 500.0, 220.0]


def test_arrays_cannot_be_written():
    net = network(("1", "2", "3"), TRIANGLE)
    with pytest.raises(ValueError, match="read-only"):
        net.rate_mw[0] = 1.0
