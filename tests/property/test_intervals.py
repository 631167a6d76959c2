"""What must hold from one interval to the next on published grids, and whatever the order in which their parts are written."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.engine import clear_case
from market.grid import Convention, Network
from market.matpower import Case
from market.outcomes import Cleared
from tests.kit import pglib
from tests.kit.grids import unit
from tests.kit.movingcase import MovingCase, in_segments

SEEDS = st.integers(0, 10**6)
MARKETS = {
    ("118_ieee", None): MovingCase(pglib.read("118_ieee")),
    ("118_ieee", "all"): MovingCase(pglib.read("118_ieee"), "all"),
    ("1354_pegase", None): MovingCase(pglib.read("1354_pegase")),
}


@pytest.mark.parametrize(("name", "outages"), list(MARKETS))
@settings(max_examples=4)
@given(seed=SEEDS)
def test_an_interval_from_the_last_answer_is_that_from_nothing(name, outages, seed):
    market, kept = MARKETS[name, outages], None
    for interval in market.intervals(4, seed):
        warm, cold = market.clear(interval, kept), market.clear(interval)
        assert kept is None or warm.program is kept, "the program was made anew"
        kept = warm.program
        assert warm.certify().passed
        assert cold.certify().passed
        assert warm.objective_per_h == pytest.approx(cold.objective_per_h, rel=1e-8)
        np.testing.assert_allclose(warm.prices.lmp_per_mwh, cold.prices.lmp_per_mwh, atol=1e-6, rtol=0)
        warm_mw, cold_mw = (run.assembled.output_mw(run.result.solution.x, run.result.solution.curve_mw) for run in (warm, cold))
        np.testing.assert_allclose(warm_mw, cold_mw, atol=1e-5, rtol=0)


GRID = pglib.read("118_ieee")
GRID = replace(GRID, units=tuple(in_segments(each, 3) for each in GRID.units))


def moved(seed: int) -> Case:
    """The 118-bus grid with loads and lines that differ, some lines narrow."""
    rng = np.random.default_rng(seed)
    net = GRID.network
    narrow = np.where(rng.random(net.n_branches) < 0.1, rng.uniform(0.3, 0.8, net.n_branches), 1.0)
    load = GRID.load_mw * rng.uniform(0.8, 1.1, net.n_buses)
    return replace(GRID, network=replace(net, rate_mw=net.rate_mw * narrow, rate_emergency_mw=net.rate_emergency_mw * narrow), load_mw=load)


def cleared(case: Case, outages=None) -> Cleared:
    outcome = clear_case(case, convention=Convention.MATPOWER, outages=outages)
    assert isinstance(outcome, Cleared), outcome
    return outcome


def with_lines_in_order(case: Case, order: np.ndarray) -> Case:
    net: Network = case.network
    per_bus = {"bus_ids", "bus_area", "base_kv", "base_mva", "branch_ids"}
    columns = {each.name: getattr(net, each.name)[order] for each in fields(net) if each.name not in per_bus}
    return replace(
        case, network=replace(net, branch_ids=tuple(net.branch_ids[k] for k in order), **columns), in_service=case.in_service[order]
    )


@pytest.mark.parametrize("outages", [None, "all"])
@settings(max_examples=4)
@given(seed=SEEDS)
def test_the_order_of_units_and_lines_changes_nothing(outages, seed):
    case, rng = moved(seed), np.random.default_rng(seed)
    shuffled = with_lines_in_order(case, rng.permutation(case.network.n_branches))
    units = rng.permutation(len(case.units))
    shuffled = replace(shuffled, units=tuple(case.units[k] for k in units))
    a, b = cleared(case, outages), cleared(shuffled, outages)
    assert b.objective_per_h == pytest.approx(a.objective_per_h, rel=1e-8)
    assert b.dispatch_mw == pytest.approx(a.dispatch_mw, abs=1e-4)
    assert b.lmp_per_mwh == pytest.approx(a.lmp_per_mwh, abs=1e-4)
    assert [(v.kind, v.id) for v in b.violations] == [(v.kind, v.id) for v in a.violations]


@settings(max_examples=5)
@given(seed=SEEDS)
def test_one_more_unit_never_raises_the_cost_of_a_secured_grid(seed):
    case, rng = moved(seed), np.random.default_rng(seed)
    extra = unit("new", str(rng.integers(1, 119)), (float(rng.uniform(1, 200)), float(rng.uniform(0, 60))))
    before, after = cleared(case, "all"), cleared(replace(case, units=(*case.units, extra)), "all")
    total = [outcome.objective_per_h + outcome.penalty_per_h for outcome in (before, after)]
    assert total[1] <= total[0] * (1 + 1e-9) + 1e-3


@pytest.mark.parametrize("outages", [None, "all"])
@settings(max_examples=5)
@given(seed=SEEDS)
def test_what_loads_pay_is_what_units_earn_and_what_the_limits_are_worth(outages, seed):
    outcome, bus = cleared(case := moved(seed), outages), {each.id: each.bus for each in GRID.units}
    need = dict(zip(case.network.bus_ids, (case.load_mw + case.shunt_mw).tolist(), strict=True))
    paid = sum(outcome.lmp_per_mwh[at] * mw for at, mw in need.items())
    earned = sum(outcome.lmp_per_mwh[bus[name]] * mw for name, mw in outcome.dispatch_mw.items())
    worth = sum(limit.shadow_price * abs(limit.flow_mw) for limit in outcome.binding)
    assert not {v.kind for v in outcome.violations} & {"shed", "spill"}
    assert paid - earned == pytest.approx(worth, abs=1e-6 * (abs(paid) + abs(earned)))
