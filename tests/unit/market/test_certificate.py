"""The certificate holds for an optimum, and names what is wrong with anything else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from market.certificate import TOLERANCES, certify
from market.engine import ClearingEngine
from market.monitor import Section
from market.outcomes import ClearingInputs, PeriodAhead
from market.pricing import price
from tests.kit.grids import case, network, triangle, unit
from tests.kit.problems import FREE as PARAMS
from tests.kit.problems import Solved, solved

TRIANGLE = solved(triangle())


def failing(done: Solved = TRIANGLE, prices=None, params=PARAMS, **changed) -> set[str]:
    """Names of the residuals that are too large where the solution is changed; injections and prices follow from it."""
    problem, solution = done.assembled.problem, replace(done.result.solution, **changed)
    injection = np.stack([problem.formulation.injection_mw(0, solution.x)])
    result = replace(done.result, solution=solution, pricing=solution, injection_mw=injection, pricing_injection_mw=injection)
    certificate = certify(problem, result, prices or price(problem.formulation, solution, injection[0], params), params)
    over = {name for name, limit in TOLERANCES.items() if not certificate.residuals[name] <= limit}
    assert certificate.passed == (not over)
    return over


def moved(done: Solved, **mw: float) -> np.ndarray:
    """The columns with one unit's first segment, or the load not served, moved by MW."""
    x = done.result.solution.x.copy()
    for name, amount in mw.items():
        column = done.assembled.relief.shed[0] if name == "shed" else done.assembled.units.column[0][done.assembled.units.book.index[name]]
        x[column] += amount
    return x


def unpriced(done: Solved):
    """The same limits without a price on any."""
    return tuple(replace(limit, price_per_mwh=0.0) for limit in done.result.solution.priced)


def test_an_optimum_passes_with_every_residual_named():
    certificate = certify(TRIANGLE.assembled.problem, TRIANGLE.result, TRIANGLE.prices, PARAMS, widened_mw=3.0)
    assert certificate.passed
    assert certificate.residuals.keys() == TOLERANCES.keys() | {"range_widened_mw"}
    assert certificate.residuals["range_widened_mw"] == 3.0


def test_a_megawatt_too_little():
    assert "balance_mw" in failing(x=moved(TRIANGLE, cheap=-1.0))


def test_outputs_outside_their_range():
    assert "bounds_mw" in failing(x=moved(TRIANGLE, cheap=-60.0, dear=60.0))
    assert "bounds_mw" in failing(x=moved(TRIANGLE, shed=-1.0, dear=1.0))


def test_a_feasible_dispatch_that_is_not_the_cheapest():
    # 40 and 60 MW keep every limit, yet the cheap unit could give more at its own price.
    free = {"branch_price_per_mwh": (np.zeros(3),), "island_price_per_mwh": (np.array([20.0]),), "priced": unpriced(TRIANGLE)}
    assert failing(x=moved(TRIANGLE, cheap=-10.0, dear=10.0), **free) == {"stationarity_per_mwh"}


def test_the_unconstrained_merit_order_breaks_the_limit():
    free = {"branch_price_per_mwh": (np.zeros(3),), "island_price_per_mwh": (np.array([10.0]),), "priced": unpriced(TRIANGLE)}
    assert failing(x=moved(TRIANGLE, cheap=50.0, dear=-50.0), **free) == {"limits_mw"}
    assert failing(x=moved(TRIANGLE, cheap=50.0, dear=-50.0), **free | {"priced": ()}) == {"limits_mw"}  # not even looked at


def test_a_price_on_a_line_that_does_not_bind():
    assert "complementarity_mw" in failing(branch_price_per_mwh=(np.array([-5.0, -30.0, 0.0]),))
    slack = solved(triangle(), sections=[Section("wide", (("L1", 1.0),), -500.0, 500.0)])
    loose = replace(TRIANGLE.result.solution.priced[0], key=3, price_per_mwh=-5.0)
    both = (*TRIANGLE.result.solution.priced, loose)
    assert "complementarity_mw" in failing(slack, priced=both, branch_price_per_mwh=(np.array([-5.0, -30.0, 0.0]),))


def test_bus_prices_that_do_not_follow_from_the_branch_prices():
    prices = TRIANGLE.prices
    assert "price_consistency_per_mwh" in failing(prices=replace(prices, lmp_raw_per_mwh=prices.lmp_raw_per_mwh + np.eye(3)[2]))


def test_money_that_does_not_add_up():
    assert failing(prices=replace(TRIANGLE.prices, rent_per_h=TRIANGLE.prices.rent_per_h + 1.0)) == {"surplus_relative"}


def test_prices_beyond_the_cap():
    assert failing(prices=TRIANGLE.prices, params=replace(PARAMS, price_cap_per_mwh=25.0)) == {"price_range_per_mwh"}


def test_a_violated_line_must_be_priced_at_its_penalty():
    bare = solved(case(triangle().network, [triangle().units[0]], {"3": 100.0}))
    assert failing(bare) == set()
    halved = tuple(replace(limit, price_per_mwh=limit.price_per_mwh / 2) for limit in bare.result.solution.priced)
    assert "penalty_relative" in failing(bare, priced=halved, branch_price_per_mwh=(bare.branch_price_per_mwh / 2,))


def test_a_limit_may_not_be_exceeded_by_more_than_is_declared():
    bare = solved(case(triangle().network, [triangle().units[0]], {"3": 100.0}))
    less = tuple(replace(limit, over_mw=limit.over_mw - 1.0) for limit in bare.result.solution.priced)
    assert "limits_mw" in failing(bare, priced=less)


def test_shed_load_must_be_priced_at_its_penalty():
    short = solved(case(network(("1", "2"), [("1", "2", 0.1, np.inf)]), [unit("a", "1", (50.0, 10.0))], {"2": 80.0}))
    assert failing(short) == set()
    assert failing(short, island_price_per_mwh=(np.array([500.0]),)) == {"penalty_relative"}


@pytest.mark.parametrize("name", ["x", "branch_price_per_mwh", "island_price_per_mwh"])
def test_no_number_never_passes(name):
    value = getattr(TRIANGLE.result.solution, name)
    assert failing(**{name: value * np.nan if isinstance(value, np.ndarray) else (value[0] * np.nan,)})


def test_what_is_no_number_fails_in_whichever_period_it_stands():
    wires = network(("1", "2"), [("1", "2", 0.1, 100.0)])
    kept = []
    engine = ClearingEngine(wires, [unit("a", "1", (50.0, 10.0))], PARAMS)
    ahead = (PeriodAhead(load_mw={"2": 20.0}, available_mw={}),)
    inputs = ClearingInputs(interval_start_ns=0, frozen_at_ns=0, load_mw={"2": 20.0}, output_mw={"a": 0.0}, available_mw={}, ahead=ahead)
    engine.clear(inputs, completed_at_ns=0, keep=kept.append)
    done = kept[0]
    for period in range(2):
        injection = done.result.injection_mw.copy()
        injection[period] = np.nan
        certificate = certify(done.assembled.problem, replace(done.result, injection_mw=injection), done.prices, PARAMS)
        assert np.isnan(certificate.residuals["balance_mw"])
        assert not certificate.passed
