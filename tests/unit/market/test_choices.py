"""What is official among equals: shares of equal offers, prices where several are right, and the pricing run of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from market.engine import CASE_PARAMS, ClearingEngine, clear_case
from market.errors import CaseError
from market.matpower import Case
from market.offers import Segment
from market.outcomes import Cleared, ClearingInputs
from market.params import ClearingParams
from tests.kit.grids import case, network, triangle, unit

LINE = network(("1", "2"), [("1", "2", 0.1, np.inf)])


def cleared(a_case: Case, params: ClearingParams = CASE_PARAMS, outages: tuple[str, ...] | None = None) -> Cleared:
    outcome = clear_case(a_case, params=params, outages=outages)
    assert isinstance(outcome, Cleared), outcome
    assert outcome.certificate.passed
    return outcome


def test_equal_offers_share_in_proportion_to_what_they_offer():
    units = [unit("a", "1", (100.0, 10.0)), unit("b", "1", (300.0, 10.0)), unit("c", "2", (100.0, 5.0))]
    outcome = cleared(case(LINE, units, {"2": 300.0}))
    assert outcome.dispatch_mw == pytest.approx({"a": 50.0, "b": 150.0, "c": 100.0})
    assert outcome.flags == ("tied",)


def test_a_share_that_would_overload_a_line_gives_way_to_the_line():
    """Both at 10, in proportion 120 and 40 MW; the line lets 100 through."""
    narrow = network(("1", "2"), [("1", "2", 0.1, 100.0)])
    units = [unit("far", "1", (300.0, 10.0)), unit("near", "2", (100.0, 10.0))]
    outcome = cleared(case(narrow, units, {"2": 160.0}))
    assert outcome.dispatch_mw == pytest.approx({"far": 100.0, "near": 60.0})
    assert outcome.lmp_per_mwh == pytest.approx({"1": 10.0, "2": 10.0})


def test_where_the_demand_ends_with_a_segment_the_price_is_the_least_that_supports_it():
    outcome = cleared(case(LINE, [unit("a", "1", (100.0, 10.0)), unit("b", "1", (100.0, 30.0))], {"2": 100.0}))
    assert outcome.flags == ("price_degenerate",)
    assert outcome.lmp_per_mwh == pytest.approx({"1": 10.0, "2": 10.0})
    assert outcome.dispatch_mw == pytest.approx({"a": 100.0, "b": 0.0})


def test_two_circuits_at_their_limit_share_the_price_of_it():
    twin = network(("1", "2"), [("1", "2", 0.1, 50.0), ("1", "2", 0.1, 50.0)])
    outcome = cleared(case(twin, [unit("a", "1", (200.0, 10.0)), unit("b", "2", (200.0, 20.0))], {"2": 150.0}))
    assert {binding.id: binding.shadow_price for binding in outcome.binding} == pytest.approx({"L1": 10.0, "L2": 10.0})
    assert outcome.lmp_per_mwh == pytest.approx({"1": 10.0, "2": 20.0})
    assert "price_degenerate" in outcome.flags


def test_the_pricing_run_has_penalties_of_its_own():
    """The only unit overloads the line whatever it costs; the price says MS', the dispatch stays."""
    bare = case(triangle().network, [triangle().units[0]], {"3": 100.0})
    dear, cheap = cleared(bare), cleared(bare, replace(CASE_PARAMS, pricing_limit_multiple=0.001))
    assert dear.dispatch_mw == cheap.dispatch_mw
    assert cheap.binding[0].shadow_price == pytest.approx(100.0)
    assert dear.binding[0].shadow_price == pytest.approx(500_000.0)
    assert "priced_apart" in cheap.flags
    assert cheap.penalty_per_h == dear.penalty_per_h


def test_load_not_served_is_priced_by_the_pricing_run():
    short = case(LINE, [unit("a", "1", (50.0, 10.0))], {"2": 80.0})
    outcome = cleared(short, replace(CASE_PARAMS, pricing_balance_multiple=0.02))
    assert outcome.lmp_per_mwh == pytest.approx({"1": 2000.0, "2": 2000.0})
    assert outcome.penalty_per_h == pytest.approx(30.0 * CASE_PARAMS.balance_penalty_per_mwh)


def test_a_pricing_run_that_would_end_at_the_same_place_is_not_run():
    outcome = cleared(triangle(), replace(CASE_PARAMS, pricing_limit_multiple=1.0, pricing_balance_multiple=2.0))
    assert outcome.flags == ()
    assert outcome.lmp_per_mwh == pytest.approx({"1": 10.0, "2": 20.0, "3": 30.0})


def test_a_limit_after_an_outage_binds_before_the_line_itself():
    """Without L1 all of bus 1 goes over L2: 1.3 times its rating is what the cheap unit may give."""
    outcome = cleared(triangle(limit_13_mw=60.0), outages=("L1",))
    assert outcome.dispatch_mw == pytest.approx({"cheap": 78.0, "dear": 22.0})
    assert [(b.kind, b.id, b.outage) for b in outcome.binding] == [("n-1", "L2", "L1")]
    assert outcome.binding[0].flow_mw == pytest.approx(78.0)


def test_delivery_factors_make_the_loss_part_of_a_price():
    """A delivers 90 % of what it offers at 18, so at the node it is worth 20: b at 19 goes first, and a at the margin is paid its 18."""
    net = network(("1", "2", "3"), [("1", "3", 0.1, 1e3), ("2", "3", 0.1, 1e3)])
    engine = ClearingEngine(
        net,
        [unit("a", "1", (100.0, 18.0)), unit("b", "2", (60.0, 19.0))],
        ClearingParams(),
        load_buses=["3"],
        delivery={"1": 0.9, "2": 1.0},
    )
    said = ClearingInputs(
        interval_start_ns=0, frozen_at_ns=0, load_mw={"3": 100.0}, output_mw={"a": 40.0, "b": 60.0}, available_mw={}, used_points=1
    )
    outcome = engine.clear(said, completed_at_ns=0)
    assert isinstance(outcome, Cleared)
    assert outcome.dispatch_mw == pytest.approx({"a": 40.0, "b": 60.0})
    assert outcome.lmp_per_mwh == pytest.approx({"1": 18.0, "2": 20.0, "3": 20.0})
    assert outcome.loss_per_mwh == pytest.approx({"1": -2.0})
    for bus, lmp in outcome.lmp_per_mwh.items():
        assert outcome.energy_per_mwh + outcome.congestion_per_mwh[bus] + outcome.loss_per_mwh.get(bus, 0.0) == pytest.approx(lmp, abs=1e-9)
    assert outcome.objective_per_h == pytest.approx(40 * 18 + 60 * 19)


@pytest.mark.parametrize(("factors", "said"), [({"9": 1.0}, "does not have: 9"), ({"1": 0.0}, "no positive number: 1")])
def test_delivery_factors_that_cannot_be_are_named(factors, said):
    with pytest.raises(CaseError, match=said):
        ClearingEngine(LINE, [unit("a", "1", (10.0, 1.0))], ClearingParams(), delivery=factors)


def test_a_falling_offer_is_refused_unless_the_market_takes_blocks():
    a_case = case(LINE, [unit("a", "1", (100.0, 10.0)), unit("b", "1", (100.0, 25.0))], {"2": 100.0})
    falling = {"a": [Segment(50.0, 30.0), Segment(50.0, 20.0)]}
    with pytest.raises(CaseError, match="price falls in segment 2"):
        clear_case(a_case, offers=falling)
    taken = clear_case(a_case, offers=falling, params=replace(CASE_PARAMS, monotone_offers=False))
    assert isinstance(taken, Cleared)
    assert taken.dispatch_mw == pytest.approx({"a": 50.0, "b": 50.0})
