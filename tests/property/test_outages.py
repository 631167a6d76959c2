"""What the factors say of an outage is what happens when the branch is really opened, on random meshes and on published grids."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.grid import Network, Topology
from market.matpower import read_case
from market.monitor import LimitKind, Monitor, Section
from market.outages import Contingencies
from tests.kit.grids import network
from tests.unit.market.test_matpower import PGLIB as SHIPPED

NONE = np.zeros(0, dtype=np.int64)


@st.composite
def meshes(draw: st.DrawFn) -> tuple[Topology, np.ndarray]:
    """A tree of 2 to 9 buses, sometimes cut, with up to 8 branches more, some with a phase shift; and injections."""
    n = draw(st.integers(2, 9))
    ends = [(draw(st.integers(1, k)), k + 1) for k in range(1, n)]
    ends += draw(st.lists(st.tuples(st.integers(1, n), st.integers(1, n)).filter(lambda e: e[0] != e[1]), max_size=8))
    rating = st.sampled_from([5.0, 20.0, 60.0, np.inf])
    lines = [(str(f), str(t), draw(st.integers(5, 50)) / 100, draw(rating)) for f, t in ends]
    shift = [draw(st.sampled_from([0.0, 0.0, 0.02])) for _ in ends]
    net = network([str(k + 1) for k in range(n)], lines, shift_rad=shift)
    open_one = draw(st.integers(0, 2 * len(ends)))
    topology = Topology(net, np.arange(len(ends)) != open_one)
    return topology, balanced(topology, np.array([draw(st.integers(-50, 50)) * 1.0 for _ in range(n)]))


def balanced(topology: Topology, injection_mw: np.ndarray) -> np.ndarray:
    """Let the reference bus of each island make up the difference."""
    lacking = np.bincount(topology.island_of_bus, weights=injection_mw, minlength=topology.n_islands)
    out = injection_mw.copy()
    out[topology.reference_bus] -= lacking
    return out


def opened(topology: Topology, branch: int) -> Topology:
    closed = topology.in_service.copy()
    closed[branch] = False
    return Topology(topology.network, closed)


def agree_with_really_opening(topology: Topology, injection_mw: np.ndarray) -> None:
    outages = Contingencies(topology, lodf_least=0.0)
    flow = topology.flows_mw(injection_mw)
    scale = max(1.0, float(np.abs(flow).max()))
    limited = np.isfinite(outages.emergency_mw)
    names = topology.network.branch_ids
    islanding = []
    for k in np.flatnonzero(topology.in_service):
        after = opened(topology, int(k))
        if after.n_islands > topology.n_islands:
            islanding.append(names[k])
            continue
        predicted = flow + outages.lodf[[k]].toarray()[0] * flow[k]
        predicted[k] = 0.0
        np.testing.assert_allclose(predicted[limited], after.flows_mw(injection_mw)[limited], atol=1e-9 * scale)
    assert outages.islanding == tuple(sorted(islanding))
    assert [names[k] for k in outages.outages] == [names[k] for k in np.flatnonzero(topology.in_service) if names[k] not in islanding]


@given(meshes())
def test_flows_after_every_outage_are_those_of_the_opened_grid(mesh):
    agree_with_really_opening(*mesh)


@pytest.mark.parametrize("name", ["5_pjm", "14_ieee", "30_ieee"])
def test_flows_after_every_outage_of_a_published_grid(name):
    case = read_case(SHIPPED / f"pglib_opf_case{name}.m")
    topology = Topology(case.network, case.in_service)
    agree_with_really_opening(topology, balanced(topology, -case.load_mw))


@given(meshes())
def test_nothing_beyond_a_limit_is_overlooked(mesh):
    topology, injection_mw = mesh
    net = topology.network
    outages = Contingencies(topology, lodf_least=0.0)
    section = Section("all", tuple((name, 1.0) for name in net.branch_ids), -30.0, 30.0)
    monitor = Monitor(topology, (section,), outages)
    flow = topology.flows_mw(injection_mw)
    found: list[int] = []
    while len(more := monitor.violated(flow, np.sort(np.array(found, dtype=np.int64)), 1e-6)):
        assert not set(more) & set(found)
        found += more.tolist()
    keys = np.array(found, dtype=np.int64)
    rows = monitor.rows(keys)
    beyond = {(net.n_branches, -1): abs(flow.sum()) - 30.0} | {(i, -1): abs(flow[i]) - net.rate_mw[i] for i in range(net.n_branches)}
    unmoved = set()
    for k in outages.outages.tolist():
        after = opened(topology, k).flows_mw(injection_mw)
        beyond |= {(i, k): abs(after[i]) - outages.emergency_mw[i] for i in range(net.n_branches) if i != k}
        unmoved |= {(i, k) for i in np.flatnonzero(np.abs(after - flow) < 1e-7)}
    element = np.where([kind is LimitKind.SECTION for kind in rows.kind], net.n_branches, rows.element)
    answer = set(zip(element.tolist(), rows.outage.tolist(), strict=True))
    broken = {limit for limit, mw in beyond.items() if mw > 1e-6}
    # A line that an outage takes nothing to is the base case's business.
    assert answer <= broken
    assert broken - answer <= unmoved
    assert monitor.worst_mw(flow)[0] == pytest.approx(max([0.0, *beyond.values()]), abs=1e-6)
    assert (np.abs(monitor.beyond(flow, keys)) > 1e-6).all()
    assert ((rows.coefficients @ flow > rows.high_mw) | (rows.coefficients @ flow < rows.low_mw)).all()


def reordered(net: Network, order: np.ndarray) -> Network:
    per_bus = {"bus_ids", "bus_area", "base_kv", "base_mva", "branch_ids"}
    columns = {spec.name: getattr(net, spec.name)[order] for spec in fields(net) if spec.name not in per_bus}
    return replace(net, branch_ids=tuple(net.branch_ids[i] for i in order), **columns)


@given(meshes(), st.randoms(use_true_random=False))
def test_the_order_of_the_branches_changes_nothing(mesh, random):
    topology, injection_mw = mesh
    order = np.array(random.sample(range(topology.network.n_branches), topology.network.n_branches), dtype=np.int64)
    shuffled = Topology(reordered(topology.network, order), topology.in_service[order])
    answers = []
    for topo in (topology, shuffled):
        monitor = Monitor(topo, (), Contingencies(topo))
        names = topo.network.branch_ids
        flow = topo.flows_mw(injection_mw)
        lines = monitor.violated(flow, NONE, 1e-6, screen_outages=False)
        known = np.arange(topo.network.n_branches, dtype=np.int64)
        rows = monitor.rows(monitor.violated(flow, known, 1e-6))
        pairs = [(names[e], names[o]) for e, o in zip(rows.element, rows.outage, strict=True)]
        answers.append(([names[k] for k in lines], pairs, monitor.contingencies.islanding, monitor.contingencies.outages.size))
    assert answers[0] == answers[1]


@given(meshes(), st.randoms(use_true_random=False))
def test_a_ptdf_row_does_not_hang_on_what_was_asked_before(mesh, random):
    topology, _ = mesh
    monitor = Monitor(topology, (), Contingencies(topology))
    screened = monitor._pairs.key
    keys = np.concatenate([np.arange(topology.network.n_branches), screened])
    fresh = Topology(topology.network, topology.in_service)
    at_once = fresh.ptdf_of(monitor.rows(keys).coefficients)
    for i in random.sample(range(len(keys)), min(len(keys), 6)):
        assert np.array_equal(topology.ptdf_of(monitor.rows(keys[[i]]).coefficients)[0], at_once[i])
