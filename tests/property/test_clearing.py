"""What must hold of every clearing, on random grids and offers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.engine import CASE_PARAMS, clear_case
from market.grid import Convention, Topology
from market.matpower import Case
from market.offers import Unit
from market.outcomes import Cleared
from tests.kit import btheta
from tests.kit.grids import case, network, unit

TENTHS = st.integers(1, 2000).map(lambda k: k / 10)


@st.composite
def units(draw: st.DrawFn, buses: int, name: str) -> Unit:
    """One to three rising segments, now and then a minimum; or a quadratic."""
    bus = str(draw(st.integers(1, buses)))
    if draw(st.integers(0, 4)) == 0:
        curve = (draw(TENTHS), draw(st.integers(1, 500)) / 1000)
        return unit(name, bus, quadratic=curve, p_max_mw=draw(TENTHS))
    prices = sorted(draw(st.lists(TENTHS, min_size=1, max_size=3)))
    return unit(name, bus, *((draw(TENTHS), price) for price in prices), p_min_mw=draw(st.sampled_from([0.0, 0.0, 20.0])))


@st.composite
def cases(draw: st.DrawFn, *, linear: bool = False) -> Case:
    """A tree of 2 to 7 buses with up to 4 lines more, some of them narrow, and 1 to 5 units."""
    n = draw(st.integers(2, 7))
    ends = [(draw(st.integers(1, k)), k + 1) for k in range(1, n)]
    ends += draw(st.lists(st.tuples(st.integers(1, n), st.integers(1, n)).filter(lambda e: e[0] != e[1]), max_size=4))
    rating = st.sampled_from([5.0, 20.0, 60.0, 150.0, np.inf])
    lines = [(str(f), str(t), draw(st.integers(1, 50)) / 100, draw(rating)) for f, t in ends]
    fleet = [draw(units(n, f"U{k}")) for k in range(draw(st.integers(1, 5)))]
    if linear:
        fleet = [plant for plant in fleet if not plant.quadratic] or [unit("U0", "1", (100.0, 10.0))]
    load = {str(k + 1): draw(st.integers(0, 100)) * 1.0 for k in range(n)}
    return case(network([str(k + 1) for k in range(n)], lines), fleet, load)


def cleared(a_case: Case) -> Cleared:
    outcome = clear_case(a_case, convention=Convention.MATPOWER)
    assert isinstance(outcome, Cleared), outcome
    return outcome


def total_per_h(outcome: Cleared) -> float:
    return outcome.objective_per_h + outcome.penalty_per_h


@given(cases())
def test_every_case_clears_with_its_certificate(a_case):
    outcome = cleared(a_case)
    assert outcome.certificate.passed
    assert (outcome.status == "OK_VIOLATION") == bool(outcome.violations)


@given(cases(linear=True))
def test_the_optimum_is_that_of_a_program_over_bus_angles(a_case):
    outcome, other = cleared(a_case), btheta.solve(a_case, Convention.MATPOWER)
    if outcome.violations:
        assert other.objective_per_h is None
    else:
        assert outcome.objective_per_h == pytest.approx(other.objective_per_h, rel=1e-7, abs=1e-5)


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_the_units_changes_nothing(a_case, random):
    shuffled = list(a_case.units)
    random.shuffle(shuffled)
    assert cleared(replace(a_case, units=tuple(shuffled))) == cleared(a_case)


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_the_lines_changes_no_cost(a_case, random):
    net = a_case.network
    order = list(range(net.n_branches))
    random.shuffle(order)
    per_branch = (
        "from_bus",
        "to_bus",
        "r_pu",
        "x_pu",
        "tap",
        "shift_rad",
        "rate_mw",
        "rate_emergency_mw",
        "angle_min_rad",
        "angle_max_rad",
    )
    shuffled = replace(net, branch_ids=tuple(net.branch_ids[k] for k in order), **{name: getattr(net, name)[order] for name in per_branch})
    a, b = cleared(a_case), cleared(replace(a_case, network=shuffled))
    assert total_per_h(a) == pytest.approx(total_per_h(b), rel=1e-7, abs=1e-3)


@given(cases(), st.data())
def test_one_more_unit_never_raises_the_cost(a_case, data):
    extra = data.draw(units(a_case.network.n_buses, "V0").filter(lambda plant: plant.p_min_mw == 0))
    with_it = cleared(replace(a_case, units=(*a_case.units, extra)))
    before = total_per_h(cleared(a_case))
    assert total_per_h(with_it) <= before + 1e-7 * abs(before) + 1e-3


@given(cases())
def test_what_loads_pay_is_what_units_earn_and_what_the_lines_are_worth(a_case):
    outcome = cleared(a_case)
    bus = {plant.id: plant.bus for plant in a_case.units}
    paid = sum(outcome.lmp_per_mwh[b] * mw for b, mw in zip(a_case.network.bus_ids, a_case.load_mw, strict=True))
    earned = sum(outcome.lmp_per_mwh[bus[name]] * mw for name, mw in outcome.dispatch_mw.items())
    lines = sum(line.shadow_price * abs(line.flow_mw) for line in outcome.binding)
    # Load that is not served does not pay, excess that is spilled is not paid for, both at the price of the mean load.
    unserved = sum(v.mw * {"shed": 1, "spill": -1, "line": 0}[v.kind] for v in outcome.violations) * outcome.energy_per_mwh
    turnover = abs(paid) + abs(earned) + abs(unserved) + 1.0
    assert paid - unserved - earned == pytest.approx(lines, abs=1e-6 * turnover)


@given(cases(), st.integers(0, 10))
def test_a_wider_line_never_raises_the_cost(a_case, pick):
    net = a_case.network
    rate = net.rate_mw.copy()
    rate[pick % net.n_branches] *= 1.5
    wider, before = cleared(replace(a_case, network=replace(net, rate_mw=rate))), total_per_h(cleared(a_case))
    assert total_per_h(wider) <= before + 1e-7 * abs(before) + 1e-3


@given(cases())
def test_parts_of_the_price_add_up(a_case):
    outcome = cleared(a_case)
    for bus, lmp in outcome.lmp_per_mwh.items():
        assert lmp == pytest.approx(
            outcome.energy_per_mwh + outcome.congestion_per_mwh[bus], abs=1e-9 * CASE_PARAMS.balance_penalty_per_mwh
        )


@given(cases(), st.data())
def test_a_grid_with_couplers_clears_with_its_certificate(a_case, data):
    """Branches without reactance join their buses; prices across one differ only where its own limit makes them."""
    closed = np.array(data.draw(st.lists(st.booleans(), min_size=a_case.network.n_branches, max_size=a_case.network.n_branches)))
    net = replace(a_case.network, x_pu=np.where(closed, 0.0, a_case.network.x_pu))
    outcome = cleared(replace(a_case, network=net))
    for name in np.array(net.branch_ids)[closed & np.isinf(net.rate_mw)]:
        i = net.branch_index[str(name)]
        f, t = net.bus_ids[net.from_bus[i]], net.bus_ids[net.to_bus[i]]
        if not (closed & np.isfinite(net.rate_mw)).any():
            assert outcome.lmp_per_mwh.get(f) == pytest.approx(outcome.lmp_per_mwh.get(t), abs=1e-6)


@given(cases())
@settings(max_examples=40)
def test_no_outage_of_one_branch_overloads_another(a_case):
    """With every branch really opened in turn the flows keep the emergency limits, or it is said which one they do not keep."""
    net, params = a_case.network, replace(CASE_PARAMS, lodf_least=0.0)
    secured = clear_case(a_case, convention=Convention.MATPOWER, params=params, outages="all")
    assert isinstance(secured, Cleared), secured
    assert total_per_h(secured) >= total_per_h(cleared(a_case)) - 1e-3
    exceeded = {(v.outage, v.id): v.mw for v in secured.violations if v.kind == "n-1"}
    # An outage that moves nothing onto a line is not screened for it: what is beyond its limit then was so before, and is said.
    before = {v.id: v.mw for v in secured.violations if v.kind == "line"}
    if any(v.kind in ("shed", "spill") for v in secured.violations):
        return  # what is injected where is not in the outcome
    injection = -a_case.load_mw.copy()
    for plant in a_case.units:
        injection[net.bus_index[plant.bus]] += secured.dispatch_mw[plant.id]
    intact = Topology(net, np.ones(net.n_branches, dtype=np.bool_), Convention.MATPOWER)
    for k, outage in enumerate(net.branch_ids):
        closed = np.ones(net.n_branches, dtype=np.bool_)
        closed[k] = False
        after = Topology(net, closed, Convention.MATPOWER)
        if after.n_islands == intact.n_islands:
            over = np.abs(after.flows_mw(injection)) - 1.3 * net.rate_mw
            for branch, mw in zip(net.branch_ids, over, strict=True):
                assert mw <= exceeded.get((outage, branch), before.get(branch, 0.0)) + 1e-4
