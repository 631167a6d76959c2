"""Dispatch on paper: merit order, congestion, violations, curves, islands."""

from __future__ import annotations

import numpy as np
import pytest

from market.monitor import LimitKind
from market.params import ClearingParams
from market.program import NotSolved
from market.rules import rules_from
from tests.kit.grids import case, network, triangle, unit
from tests.kit.problems import FREE as PARAMS
from tests.kit.problems import assembled_of, solved, tried


def one_bus(units, load_mw: float):
    return case(network(("1", "2"), [("1", "2", 0.1, np.inf)]), units, {"2": load_mw})


def test_merit_order_without_a_grid():
    result = solved(one_bus([unit("b", "1", (50.0, 30.0)), unit("a", "1", (50.0, 10.0), (50.0, 40.0))], 80.0))
    np.testing.assert_allclose(result.output_mw, [50.0, 30.0])
    assert result.island_price_per_mwh.tolist() == [30.0]
    assert result.result.solution.rounds == 1


def test_congestion_on_paper():
    result = solved(triangle())
    np.testing.assert_allclose(result.output_mw, [50.0, 50.0])
    np.testing.assert_allclose(result.branch_price_per_mwh, [0.0, -30.0, 0.0], atol=1e-9)
    assert result.result.solution.rounds == 2  # the line came in with the second


def test_a_limit_against_the_direction_of_the_branch():
    flipped = network(("1", "2", "3"), [("1", "2", 0.1, 1e3), ("3", "1", 0.1, 50.0), ("2", "3", 0.1, 1e3)])
    result = solved(case(flipped, triangle().units, {"3": 100.0}))
    np.testing.assert_allclose(result.output_mw, [50.0, 50.0])
    np.testing.assert_allclose(result.branch_price_per_mwh, [0.0, 30.0, 0.0], atol=1e-9)


def test_without_the_dear_unit_the_line_is_violated_at_its_penalty():
    bare = triangle()
    result = solved(case(bare.network, [bare.units[0]], {"3": 100.0}))
    # All 100 MW come from bus 1, two thirds of them over the line of 50.
    np.testing.assert_allclose(result.over_mw, [0.0, 100 * 2 / 3 - 50, 0.0], atol=1e-9)
    assert result.branch_price_per_mwh[1] == pytest.approx(-PARAMS.penalties[LimitKind.LINE])
    assert result.shed_mw.tolist() == [0.0]


def test_load_beyond_all_offers_is_shed_at_its_penalty():
    result = solved(one_bus([unit("a", "1", (50.0, 10.0))], 80.0))
    assert result.shed_mw.tolist() == pytest.approx([30.0])
    assert result.island_price_per_mwh[0] == pytest.approx(PARAMS.balance_penalty_per_mwh)


def test_minimum_output_beyond_the_load_is_spilled():
    result = solved(one_bus([unit("a", "1", (50.0, 10.0), p_min_mw=100.0)], 80.0))
    assert result.spill_mw.tolist() == pytest.approx([20.0])
    assert result.island_price_per_mwh[0] == pytest.approx(-PARAMS.balance_penalty_per_mwh)


def test_quadratic_costs_meet_at_equal_marginal_cost():
    """c1 = 10 + 0.2·p, c2 = 20 + 0.1·p at the margin with p1 + p2 = 350: both 40 where p1 = 150, p2 = 200."""
    units = [unit("a", "1", quadratic=(10.0, 0.1), p_max_mw=400.0), unit("b", "1", quadratic=(20.0, 0.05), p_max_mw=400.0)]
    result = solved(one_bus(units, 350.0))
    np.testing.assert_allclose(result.output_mw, [150.0, 200.0], atol=1e-3)
    assert result.island_price_per_mwh[0] == pytest.approx(40.0, abs=1e-4)


def test_a_quadratic_at_its_limit_and_one_at_rest():
    units = [
        unit("a", "1", quadratic=(1.0, 0.01), p_max_mw=100.0),
        unit("b", "1", (500.0, 30.0)),
        unit("c", "1", quadratic=(90.0, 0.01), p_max_mw=100.0),
    ]
    result = solved(one_bus(units, 150.0))
    np.testing.assert_allclose(result.output_mw, [100.0, 50.0, 0.0], atol=1e-9)
    assert result.island_price_per_mwh[0] == 30.0


def test_a_nearly_flat_quadratic_beside_a_steep_one():
    """The flat one takes what the steep one does not: 10 + 2e-4·p = 8 + 2·q with p + q = 1000."""
    units = [unit("flat", "1", quadratic=(10.0, 1e-4), p_max_mw=5000.0), unit("steep", "1", quadratic=(8.0, 1.0), p_max_mw=5000.0)]
    result = solved(one_bus(units, 1000.0))
    steep = (10 + 2e-4 * 1000 - 8) / (2 + 2e-4)
    np.testing.assert_allclose(result.output_mw, [1000 - steep, steep], atol=1e-2)
    assert result.island_price_per_mwh[0] == pytest.approx(8 + 2 * steep, abs=1e-4)


def test_islands_are_cleared_apart_and_dead_ones_left_out():
    net = network(("1", "2", "3", "4", "5"), [("1", "2", 0.1, 1e3), ("2", "3", 0.1, 1e3), ("3", "4", 0.1, 1e3)])
    two = case(net, [unit("a", "1", (100.0, 10.0)), unit("b", "3", (100.0, 20.0))], {"2": 40.0, "4": 60.0, "5": 7.0})
    result = solved(two, "L2")
    np.testing.assert_allclose(result.output_mw, [40.0, 60.0])
    np.testing.assert_array_equal(result.island_price_per_mwh, [10.0, 20.0, np.nan])
    assert result.shed_mw.sum() == 0.0


def test_a_line_that_hardly_feels_the_units_still_binds():
    """A parallel line of 10,000 times the reactance carries 1e-4 of the flow; its limit of 0.005 MW holds 50 MW on the pair."""
    net = network(("1", "2"), [("1", "2", 0.001, np.inf), ("1", "2", 9.999, 0.005)])
    thin = case(net, [unit("a", "1", (200.0, 10.0)), unit("b", "2", (200.0, 20.0))], {"2": 100.0})
    result = solved(thin, params=ClearingParams(offer_cap_per_mwh=1e6))
    np.testing.assert_allclose(result.output_mw, [50.0, 50.0], atol=1e-6)
    assert result.branch_price_per_mwh[1] == pytest.approx(-10 / 1e-4, rel=1e-6)


def test_rounds_are_limited():
    result = tried(triangle(), params=ClearingParams(rounds_max=1))
    assert result == NotSolved(status="still changing after 1 rounds", rounds=1)


def test_shares_follow_the_load_and_skip_dead_islands():
    net = network(("1", "2", "3"), [("1", "2", 0.1, 1e3)])
    assembled = assembled_of(case(net, [unit("a", "1", (100.0, 10.0))], {"1": 30.0, "2": 10.0, "3": 5.0}))
    assert assembled.problem.formulation.periods[0].share.tolist() == [0.75, 0.25, 0.0]


def test_parameters_from_the_rules():
    params = ClearingParams.from_rules(rules_from({"rt_interval_min": 5, "price_cap_cny_per_mwh": 800.0}))
    assert (params.interval_min, params.price_cap_per_mwh, params.offer_cap_per_mwh) == (5.0, 800.0, 800.0)
    assert params.penalties[LimitKind.LINE] < params.balance_penalty_per_mwh
