"""A branch without reactance is what remains when equal reactances shrink, on random grids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from market.grid import Convention, Topology
from market.outages import Contingencies
from tests.kit.grids import network

SMALL_PU = 1e-6


@st.composite
def grids_with_couplers(draw: st.DrawFn) -> tuple[Topology, Topology]:
    """A tree of 2 to 8 buses, sometimes cut, with up to 8 branches more, a third of them couplers; and its neighbour with x > 0."""
    n = draw(st.integers(2, 8))
    ends = [(draw(st.integers(1, k)), k + 1) for k in range(1, n)]
    ends += draw(st.lists(st.tuples(st.integers(1, n), st.integers(1, n)).filter(lambda e: e[0] != e[1]), max_size=8))
    lines = [(str(f), str(t), draw(st.sampled_from([0.0, 0.1, 0.2, 0.35])), 50.0) for f, t in ends]
    shift = [draw(st.sampled_from([0.0, 0.0, 0.02])) if line[2] else 0.0 for line in lines]
    net = network([str(k + 1) for k in range(n)], lines, shift_rad=shift)
    in_service = np.arange(len(ends)) != draw(st.integers(0, 2 * len(ends)))
    convention = draw(st.sampled_from(Convention))
    near = replace(net, x_pu=np.where(net.x_pu == 0, SMALL_PU, net.x_pu))
    return Topology(net, in_service, convention), Topology(near, in_service, convention)


@given(grids_with_couplers(), st.data())
def test_flows_sensitivities_and_prices_are_the_limit_of_small_reactances(grids, data):
    topology, near = grids
    n, n_lines = topology.network.n_buses, topology.network.n_branches
    injection = np.array(data.draw(st.lists(st.integers(-50, 50), min_size=n, max_size=n)), dtype=np.float64)
    lacking = np.bincount(topology.island_of_bus, weights=injection, minlength=topology.n_islands)
    injection[topology.reference_bus] -= lacking
    flow = topology.flows_mw(injection)
    np.testing.assert_allclose(flow, near.flows_mw(injection), atol=0.05)
    np.testing.assert_allclose(topology.outflow_mw(flow), injection, atol=1e-9)
    ptdf = topology.ptdf(np.arange(n_lines))
    np.testing.assert_allclose(ptdf, near.ptdf(np.arange(n_lines)), atol=1e-3)
    np.testing.assert_allclose(ptdf @ injection, flow - topology.flows_mw(np.zeros(n)), atol=1e-9)
    price = np.array(data.draw(st.lists(st.integers(-9, 9), min_size=n_lines, max_size=n_lines)), dtype=np.float64)
    lmp = topology.priced_flows(price)
    np.testing.assert_allclose(lmp, ptdf.T @ price, atol=1e-9)
    np.testing.assert_allclose(topology.price_gap_per_mwh(lmp + 3.0, price * topology.in_service), 0.0, atol=1e-9)
    wrong = lmp.copy()
    wrong[-1] += 1.0
    gap = topology.price_gap_per_mwh(wrong, price * topology.in_service)
    alone = np.count_nonzero(topology.island_of_bus == topology.island_of_bus[-1]) == 1
    assert alone or gap.max() > 0.01


@given(grids_with_couplers())
def test_shares_after_an_outage_are_the_limit_of_small_reactances(grids):
    topology, near = grids
    outages = Contingencies(topology, lodf_least=0.0)
    beside = Contingencies(near, lodf_least=0.0)
    names = topology.network.branch_ids
    flat = [] if topology.busbars is None else [names[k] for k in topology.busbars.branches]
    assert set(outages.couplers) == set(flat) - set(outages.islanding)
    assert outages.islanding == beside.islanding
    for k in outages.outages:
        np.testing.assert_allclose(outages.lodf[[k]].toarray(), beside.lodf[[k]].toarray(), atol=2e-3)
