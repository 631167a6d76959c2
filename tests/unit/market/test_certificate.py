"""The certificate holds for an optimum, and names what is wrong with anything else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from market.certificate import TOLERANCES, certify
from market.pricing import price
from market.sced import ClearingParams, dispatch
from tests.kit.grids import case, network, triangle, unit
from tests.unit.market.test_sced import problem_of

PARAMS = ClearingParams(price_floor_per_mwh=-np.inf, price_cap_per_mwh=np.inf, offer_cap_per_mwh=1000.0)
PROBLEM = problem_of(triangle())
RESULT = dispatch(PROBLEM, PARAMS)
PRICES = price(PROBLEM, RESULT, PARAMS)


def failing(problem=PROBLEM, result=RESULT, prices=PRICES, params=PARAMS) -> set[str]:
    certificate = certify(problem, result, prices, params)
    over = {name for name, limit in TOLERANCES.items() if not certificate.residuals[name] <= limit}
    assert certificate.passed == (not over)
    return over


def test_an_optimum_passes_with_every_residual_named():
    certificate = certify(PROBLEM, RESULT, PRICES, PARAMS, widened_mw=3.0)
    assert certificate.passed
    assert certificate.residuals.keys() == TOLERANCES.keys() | {"range_widened_mw"}
    assert certificate.residuals["range_widened_mw"] == 3.0


def test_a_megawatt_too_little():
    assert "balance_mw" in failing(result=replace(RESULT, output_mw=RESULT.output_mw - [1.0, 0.0]))


def test_outputs_outside_their_range():
    assert "bounds_mw" in failing(result=replace(RESULT, output_mw=np.array([-10.0, 110.0])))
    assert "bounds_mw" in failing(result=replace(RESULT, shed_mw=np.array([-1.0])))


def test_a_feasible_dispatch_that_is_not_the_cheapest():
    # 40 and 60 MW keep every limit, yet the cheap unit could give more at its own price.
    worse = replace(RESULT, output_mw=np.array([40.0, 60.0]), branch_price_per_mwh=np.zeros(3), island_price_per_mwh=np.array([20.0]))
    assert failing(result=worse, prices=price(PROBLEM, worse, PARAMS)) == {"stationarity_per_mwh"}


def test_the_unconstrained_merit_order_breaks_the_limit():
    greedy = replace(RESULT, output_mw=np.array([100.0, 0.0]), branch_price_per_mwh=np.zeros(3), island_price_per_mwh=np.array([10.0]))
    assert failing(result=greedy, prices=price(PROBLEM, greedy, PARAMS)) == {"limits_mw"}


def test_a_price_on_a_line_that_does_not_bind():
    priced = replace(RESULT, branch_price_per_mwh=np.array([-5.0, -30.0, 0.0]))
    over = failing(result=priced, prices=price(PROBLEM, priced, PARAMS))
    assert {"complementarity_mw", "stationarity_per_mwh"} <= over


def test_bus_prices_that_do_not_follow_from_the_branch_prices():
    assert "price_consistency_per_mwh" in failing(prices=replace(PRICES, lmp_raw_per_mwh=PRICES.lmp_raw_per_mwh + np.eye(3)[2]))


def test_money_that_does_not_add_up():
    assert failing(prices=replace(PRICES, rent_per_h=PRICES.rent_per_h + 1.0)) == {"surplus_relative"}


def test_prices_beyond_the_cap():
    assert failing(params=replace(PARAMS, price_cap_per_mwh=25.0)) == {"price_range_per_mwh"}


def test_a_violated_line_must_be_priced_at_its_penalty():
    bare = problem_of(case(triangle().network, [triangle().units[0]], {"3": 100.0}))
    result = dispatch(bare, PARAMS)
    assert failing(problem=bare, result=result, prices=price(bare, result, PARAMS)) == set()
    halved = replace(result, branch_price_per_mwh=result.branch_price_per_mwh / 2, island_price_per_mwh=result.island_price_per_mwh)
    assert "penalty_relative" in failing(problem=bare, result=halved, prices=price(bare, halved, PARAMS))


def test_shed_load_must_be_priced_at_its_penalty():
    short = problem_of(case(network(("1", "2"), [("1", "2", 0.1, np.inf)]), [unit("a", "1", (50.0, 10.0))], {"2": 80.0}))
    result = dispatch(short, PARAMS)
    assert failing(problem=short, result=result, prices=price(short, result, PARAMS)) == set()
    cheap = replace(result, island_price_per_mwh=np.array([500.0]))
    assert failing(problem=short, result=cheap, prices=price(short, cheap, PARAMS)) == {"penalty_relative"}


@pytest.mark.parametrize("name", ["output_mw", "branch_price_per_mwh", "island_price_per_mwh"])
def test_no_number_never_passes(name):
    broken = replace(RESULT, **{name: getattr(RESULT, name) * np.nan})
    assert failing(result=broken, prices=price(PROBLEM, broken, PARAMS))
