"""A state estimate names the meter that lies and the position that is wrong, and nobody else."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from detectors.estimation import Estimate, Suspect, flow_sigma_mw
from detectors.inversesubset import inverse_subset
from detectors.leastsquares import LeastSquares, Meters
from market import rts_gmlc
from market.errors import CaseError
from market.grid import FloatArray
from market.rules import BadData
from tests.kit import pglib
from tests.kit.grids import network
from tests.kit.metered import Metered

EXAMPLES = settings(max_examples=25, deadline=None)


@lru_cache(maxsize=1)
def rts() -> Metered:
    net = rts_gmlc.load().network
    return Metered(net, np.ones(net.n_branches, dtype=np.bool_))


@lru_cache(maxsize=1)
def ring() -> Metered:
    """Four buses in a ring with a diagonal; ratings of 100 MW, so σ is 1 MW everywhere."""
    lines = [("1", "2", 0.1, 100.0), ("2", "3", 0.1, 100.0), ("3", "4", 0.1, 100.0), ("4", "1", 0.1, 100.0), ("1", "3", 0.2, 100.0)]
    return Metered(network(("1", "2", "3", "4"), lines), np.ones(5, dtype=np.bool_))


def named(estimate: Estimate) -> set[str]:
    return {suspect.meter for suspect in estimate.suspects}


def dense(grid: Metered, z_mw: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Estimate with dense algebra alone: flows, and normalised residuals (the peer: :func:`numpy.linalg.lstsq`)."""
    net, topology = grid.network, grid.topology()
    b = topology.b_mw_per_rad
    rows = np.zeros((net.n_branches, net.n_buses))
    rows[np.arange(net.n_branches), net.from_bus] += b
    rows[np.arange(net.n_branches), net.to_bus] -= b
    h = grid.meters.sums.toarray() @ rows
    h, over = h[:, 1:], z_mw - grid.meters.sums.toarray() @ topology.shift_flow_mw
    sigma = grid.meters.sigma_mw
    angle = np.linalg.lstsq(h / sigma[:, None], over / sigma, rcond=None)[0]
    hat = h @ np.linalg.pinv(h / sigma[:, None]) / sigma[None, :]
    omega = np.diag((np.eye(len(z_mw)) - hat) @ np.diag(sigma**2))
    return rows[:, 1:] @ angle + topology.shift_flow_mw, np.abs(over - h @ angle) / np.sqrt(omega)


@pytest.mark.parametrize("name", ["rts", "118_ieee", "shifted"])
def test_flows_and_normalised_residuals_are_those_of_a_dense_estimate(name: str) -> None:
    grid = rts()
    if name == "118_ieee":
        case = pglib.read(name)
        grid = Metered(case.network, np.ones(case.network.n_branches, dtype=np.bool_))
    elif name == "shifted":
        grid = Metered(replace(ring().network, shift_rad=np.array([0.0, 0.05, 0.0, -0.02, 0.0])), ring().in_service)
    z_mw = grid.shown_mw(grid.flows_mw(1), noise=1)
    squares = LeastSquares(grid.topology(), grid.meters, grid.but(), grid.sigma_mw)
    state, residual = squares.fitted(z_mw)
    flow_mw, normalised = dense(grid, z_mw)
    assert np.abs(squares.flows_mw(state) - flow_mw).max() < 1e-4
    assert np.abs(np.abs(residual) / np.sqrt(squares.residual_variance) - normalised).max() < 1e-5
    assert squares.redundancy == len(z_mw) - (grid.network.n_buses - 1)


@EXAMPLES
@given(st.integers(1, 25), st.integers(0, 2**31), st.floats(0.02, 0.5))
def test_the_inverse_where_the_factor_has_elements_is_the_inverse(n: int, seed: int, density: float) -> None:
    random = np.random.default_rng(seed)
    half = np.where(random.random((n, n)) < density, random.integers(-2, 3, (n, n)), 0).astype(float)
    matrix = half @ half.T + np.eye(n)
    sparse = csc_array(matrix)
    lu = splu(sparse, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    found, whole = inverse_subset(sparse, lu), np.linalg.inv(matrix)
    pattern = (matrix != 0) | (found.toarray() != 0)
    assert np.abs((found.toarray() - whole)[pattern]).max() < 1e-9
    assert abs(found - found.T).max() < 1e-12


def test_consistent_measurements_give_back_the_flows_and_accuse_nobody() -> None:
    grid = rts()
    flow_mw = grid.flows_mw(3)
    found = grid.estimate(grid.shown_mw(flow_mw))
    assert (found.suspects, found.doubted, found.observable_pct) == ((), (), 100.0)
    assert found.chi_square == pytest.approx(0.0, abs=1e-6)
    assert np.abs(found.flow_mw - flow_mw).max() < 1e-4


def test_false_alarms_are_as_rare_as_the_confidence_says() -> None:
    """Of 300 sets whose errors are as large as σ says, two in a hundred may be accused: one by each test."""
    grid = rts()
    alarms = [grid.estimate(grid.shown_mw(grid.flows_mw(3), noise=seed)) for seed in range(300)]
    assert sum(bool(each.suspects) for each in alarms) <= 12
    assert sum(bool(each.doubted) for each in alarms) <= 1
    assert sum(each.chi_square > each.limit for each in alarms) <= 9


@EXAMPLES
@given(st.sampled_from(rts().meters.name), st.floats(12.0, 400.0), st.sampled_from((-1.0, 1.0)), st.integers(0, 50))
def test_a_single_lying_meter_is_named(meter: str, size: float, sign: float, state: int) -> None:
    grid = rts()
    flow_mw = grid.flows_mw(state)
    found = grid.estimate(grid.shown_mw(flow_mw, **{meter.replace("/", "__"): sign * size}))
    (suspect,) = found.suspects
    assert (suspect.meter, suspect.alike, found.doubted) == (meter, (), ())
    at = grid.at(meter)
    assert suspect.estimated_mw == pytest.approx(grid.shown_mw(flow_mw)[at], abs=1e-3)
    assert suspect.measured_mw - suspect.estimated_mw == pytest.approx(sign * size * grid.meters.sigma_mw[at], abs=1e-3)
    assert np.abs(found.flow_mw - flow_mw).max() < 1e-3, "what lies does not count in the estimate"


@EXAMPLES
@given(st.lists(st.sampled_from(rts().meters.name), min_size=2, max_size=2, unique=True), st.integers(0, 50), st.booleans())
def test_two_lying_meters_are_both_named(meters: list[str], state: int, conform: bool) -> None:
    grid = rts()
    lies = {meter.replace("/", "__"): size for meter, size in zip(meters, (40.0, 40.0 if conform else -60.0), strict=True)}
    assert named(grid.estimate(grid.shown_mw(grid.flows_mw(state), noise=state, **lies))) >= set(meters)


def test_two_meters_of_one_branch_that_agree_with_each_other_are_named_and_not_those_they_contradict() -> None:
    grid = ring()
    found = grid.estimate(grid.shown_mw(grid.flows_mw(2, size_mw=40.0), from__L2=30.0, to__L2=-30.0))
    assert (named(found), found.doubted) == ({"from/L2", "to/L2"}, ())


def test_a_small_lie_in_thousands_of_meters_is_found_where_the_sum_of_squares_says_nothing() -> None:
    case = pglib.read("1354_pegase")
    grid = Metered(case.network, case.in_service)
    meter = f"from/{case.network.branch_ids[700]}"
    found = grid.estimate(grid.shown_mw(grid.flows_mw(1), noise=2, **{meter.replace("/", "__"): 12.0}))
    assert found.chi_square < found.limit
    assert named(found) == {meter}


def test_a_critical_measurement_is_never_named() -> None:
    """With nothing but the flow of a radial line and what is fed in at its end gone, nobody can check the line's one meter."""
    net = network(("1", "2", "3", "4"), [("1", "2", 0.1, 100.0), ("2", "3", 0.1, 100.0), ("1", "3", 0.1, 100.0), ("3", "4", 0.1, 100.0)])
    grid = Metered(net, np.ones(4, dtype=np.bool_))
    used = grid.but("to/L4", "bus/4", "bus/3")
    found = grid.estimate(grid.shown_mw(grid.flows_mw(1), from__L4=500.0), used=used)
    assert (found.suspects, found.doubted, found.observable_pct) == ((), (), 100.0)
    assert found.critical == ("from/L4",)


def test_measurements_that_check_only_each_other_are_named_together() -> None:
    net = network(("1", "2"), [("1", "2", 0.1, 100.0)])
    grid = Metered(net, np.ones(1, dtype=np.bool_))
    found = grid.estimate(grid.shown_mw(np.array([50.0]), to__L1=30.0), used=grid.but("bus/1", "bus/2"))
    (suspect,) = found.suspects
    assert {suspect.meter, *suspect.alike} == {"from/L1", "to/L1"}
    assert "or one of: " in str(suspect)


def branches_that_matter(grid: Metered, seed: int) -> list[str]:
    """Branches whose outage leaves the grid whole, and whose flow is above twelve standard errors."""
    flow_mw = grid.flows_mw(seed)
    whole = [branch for branch in grid.network.branch_ids if grid.topology(branch).n_islands == grid.topology().n_islands]
    return [
        branch
        for branch in whole
        if abs(flow_mw[grid.network.branch_index[branch]]) > 12 * grid.sigma_mw[grid.network.branch_index[branch]]
    ]


@EXAMPLES
@given(st.sampled_from(branches_that_matter(rts(), 5)), st.one_of(st.none(), st.integers(0, 9)))
def test_a_branch_reported_open_that_carries_power_is_doubted(branch: str, noise: int | None) -> None:
    grid = rts()
    found = grid.estimate(grid.shown_mw(grid.flows_mw(5), noise=noise), branch)
    assert found.doubted == (branch,)
    assert noise is not None or found.suspects == ()


@EXAMPLES
@given(st.sampled_from(branches_that_matter(rts(), 5)))
def test_a_branch_reported_closed_that_is_open_is_doubted(branch: str) -> None:
    grid = rts()
    found = grid.estimate(grid.shown_mw(grid.flows_mw(5, branch)))
    assert (found.doubted, found.suspects) == ((branch,), ())


def test_a_radial_line_reported_open_that_still_feeds_its_bus_is_doubted() -> None:
    net = network(("1", "2", "3"), [("1", "2", 0.1, 100.0), ("2", "3", 0.1, 100.0)])
    grid = Metered(net, np.ones(2, dtype=np.bool_))
    assert grid.estimate(grid.shown_mw(np.array([60.0, 40.0])), "L2").doubted == ("L2",)


def test_an_open_branch_is_not_doubted_for_meters_that_froze_when_it_tripped() -> None:
    grid = ring()
    before, after = grid.flows_mw(6, size_mw=60.0), grid.flows_mw(6, "L1", size_mw=60.0)
    z_mw = grid.shown_mw(after)
    for end in ("from/L1", "to/L1"):
        z_mw[grid.at(end)] = grid.shown_mw(before)[grid.at(end)]
    assert abs(before[0]) > 12.0
    found = grid.estimate(z_mw, "L1")
    assert (named(found), found.doubted) == ({"from/L1", "to/L1"}, ())


def test_one_lying_meter_makes_no_position_doubtful() -> None:
    """Neither a flow on an open branch that one meter alone sees, nor a closed one whose one meter shows none."""
    grid = ring()
    shown = grid.shown_mw(grid.flows_mw(4, "L1", size_mw=60.0), from__L1=50.0)
    assert (named(grid.estimate(shown, "L1")), grid.estimate(shown, "L1").doubted) == ({"from/L1"}, ())
    dead = grid.shown_mw(grid.flows_mw(4, size_mw=60.0))
    dead[grid.at("to/L1")] = 0.0
    assert (named(grid.estimate(dead)), grid.estimate(dead).doubted) == ({"to/L1"}, ())


def test_a_lying_meter_and_a_wrong_position_are_told_apart() -> None:
    grid = rts()
    branch = branches_that_matter(grid, 5)[3]
    found = grid.estimate(grid.shown_mw(grid.flows_mw(5), noise=1, bus__305=40.0), branch)
    assert (named(found), found.doubted) == ({"bus/305"}, (branch,))


def test_buses_beyond_the_last_meter_are_not_observable_and_disturb_nothing() -> None:
    grid = rts()
    dark = [name for name in grid.meters.name if name.startswith("bus/")]
    # Bus 7 of an area hangs on two lines; without any meter at them its angle is anybody's.
    net = grid.network
    bus = net.bus_index["307"]
    around = [net.branch_ids[k] for k in range(net.n_branches) if bus in (net.from_bus[k], net.to_bus[k])]
    used = grid.but(*dark, *(f"{end}/{branch}" for branch in around for end in ("from", "to")))
    found = grid.estimate(grid.shown_mw(grid.flows_mw(1), from__A1=60.0), used=used)
    assert [net.bus_ids[k] for k in np.flatnonzero(~found.observable)] == ["307"]
    assert found.observable_pct == pytest.approx(100.0 * 72 / 73)
    assert named(found) == {"from/A1"}


def test_without_a_meter_only_buses_that_stand_alone_are_observable() -> None:
    grid = ring()
    nobody = np.zeros(len(grid.meters.name), dtype=np.bool_)
    found = grid.estimate(np.zeros(len(grid.meters.name)), "L1", "L4", "L5", used=nobody)
    assert found.observable.tolist() == [True, True, False, False], "of an island of three angles that are free one is the reference"
    assert (found.chi_square, found.limit, found.suspects) == (0.0, 0.0, ())


def test_inside_a_busbar_flows_are_estimated_and_lies_found() -> None:
    """Buses 2 and 3 are joined without reactance; what the coupler carries follows from what is fed in."""
    lines = [("1", "2", 0.1, 100.0), ("2", "3", 0.0, 100.0), ("3", "4", 0.1, 100.0), ("1", "4", 0.2, 100.0)]
    grid = Metered(network(("1", "2", "3", "4"), lines), np.ones(4, dtype=np.bool_))
    flow_mw = grid.flows_mw(1, size_mw=50.0)
    assert np.abs(grid.estimate(grid.shown_mw(flow_mw)).flow_mw - flow_mw).max() < 1e-4
    assert named(grid.estimate(grid.shown_mw(flow_mw, from__L2=40.0))) == {"from/L2"}
    assert grid.estimate(grid.shown_mw(flow_mw), "L2").doubted == ("L2",)


def test_no_more_is_left_out_of_one_estimate_than_the_rules_allow() -> None:
    grid = Metered(rts().network, rts().in_service, BadData(suspects_max=3))
    lies = {f"from__{branch}": 60.0 for branch in grid.network.branch_ids[:40:4]}
    assert len(grid.estimate(grid.shown_mw(grid.flows_mw(1), **lies)).suspects) <= 3


def test_meters_need_an_error_of_their_own_and_branches_without_a_rating_get_one() -> None:
    meters = ring().meters
    with pytest.raises(CaseError, match="without a positive standard error: bus/1; give each one, in MW"):
        Meters(network=meters.network, name=("bus/1",), sums=meters.sums[:1], sigma_mw=np.zeros(1))
    assert flow_sigma_mw(np.array([np.inf, 400.0, 1.0]), 100.0, BadData()).tolist() == [1.0, 4.0, 0.5]


def test_a_suspect_reads_as_a_sentence() -> None:
    suspect = Suspect(meter="load/101/mw", measured_mw=120.04, estimated_mw=80.0, residual=9.96, alike=tuple("abcde"))
    said = "load/101/mw: 120.0 MW measured, 80.0 MW estimated, normalised residual 10.0; or one of: a, b, c, 2 more"
    assert str(suspect) == said
