"""Storages, reserves, ramps, bids and schedules through the whole engine: what comes out, and that it is proven."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.engine import ClearingEngine, Mode
from market.offers import Segment, Unit
from market.outcomes import Cleared, ClearingInputs, FailureReason, OutcomeStatus, PeriodAhead
from market.params import ClearingParams
from market.reserves import Direction, ReserveOffer, ReserveProduct, ReserveRequirement, ShortageStep, standing_offers
from market.resources import Resources, UnitGroup
from tests.kit.grids import battery, network, unit
from tests.kit.markets import markets

NET = network(("1", "2", "3"), [("1", "2", 0.1, 200.0), ("2", "3", 0.1, 200.0), ("1", "3", 0.1, 200.0)])
PARAMS = ClearingParams(interval_min=60.0, price_floor_per_mwh=-500.0)
BASE, PEAK = unit("base", "1", (100.0, 20.0)), unit("peak", "2", (100.0, 60.0))
BATTERY = battery("3")


def clear(
    units: list[Unit], loads_mw: list[float], resources: Resources | None = None, params: ClearingParams = PARAMS, **said: object
) -> Cleared:
    engine = ClearingEngine(NET, units, params, resources=resources)
    ahead = tuple(PeriodAhead(load_mw={"3": load}, available_mw={}) for load in loads_mw[1:])
    given = {"output_mw": {each.id: max(each.p_min_mw, 0.0) for each in units}, "available_mw": {}, "ahead": ahead} | said
    inputs = ClearingInputs(interval_start_ns=0, frozen_at_ns=0, load_mw={"3": loads_mw[0]}, **given)
    outcome = engine.clear(inputs, completed_at_ns=0)
    assert isinstance(outcome, Cleared), outcome
    assert outcome.certificate.passed
    return outcome


def test_a_storage_buys_now_what_it_sells_later():
    found = clear([BASE, PEAK], [50.0, 150.0], Resources(storages=(BATTERY,)), soc_mwh={"battery": 0.0})
    assert found.storage_mw == {"battery": pytest.approx(-50.0)}
    assert found.soc_mwh == {"battery": pytest.approx(50.0)}
    assert found.dispatch_mw == pytest.approx({"base": 100.0, "peak": 0.0})
    assert found.ahead_energy_per_mwh == pytest.approx((60.0,))
    assert found.simultaneous_mw == {}


def test_a_storage_that_wastes_energy_is_told_with_both_sides():
    forced = replace(BASE, p_min_mw=10.0, p_max_mw=110.0)
    found = clear([forced], [0.0], Resources(storages=(BATTERY,)), soc_mwh={"battery": 100.0})
    assert found.storage_mw == {"battery": pytest.approx(-10.0)}
    assert found.simultaneous_mw == {"battery": pytest.approx(40.0)}


def test_a_ramp_ahead_shapes_the_price_now():
    slow, fast = unit("slow", "1", (200.0, 10.0), ramp_mw_per_min=1 / 3), unit("fast", "1", (200.0, 50.0))
    found = clear([slow, fast], [100.0, 140.0], output_mw={"slow": 90.0, "fast": 0.0})
    assert found.dispatch_mw == pytest.approx({"slow": 100.0, "fast": 0.0})
    assert found.energy_per_mwh == pytest.approx(-30.0)
    assert found.ahead_energy_per_mwh == pytest.approx((50.0,))


UP = ReserveProduct(id="up10", direction=Direction.UP, minutes=10.0)
SPIN = ReserveRequirement(id="spin", product="up10", mw=30.0, shortage=(ShortageStep(10.0, 100.0), ShortageStep(1.0, 1000.0)))


def test_reserve_is_priced_with_energy():
    cheap, dear = unit("cheap", "1", (100.0, 20.0)), unit("dear", "2", (100.0, 50.0), ramp_mw_per_min=1.0)
    market = Resources(products=(UP,), requirements=(SPIN,), reserve_offers=standing_offers([cheap, dear], UP))
    found = clear([cheap, dear], [90.0], market)
    assert found.dispatch_mw == pytest.approx({"cheap": 80.0, "dear": 10.0})
    assert found.reserve_mw == {"up10": pytest.approx({"cheap": 20.0, "dear": 10.0})}
    assert found.reserve_price_per_mwh == {"spin": pytest.approx(30.0)}
    assert found.lmp_per_mwh == pytest.approx(dict.fromkeys(NET.bus_ids, 50.0))
    short = clear([cheap, dear], [155.0], market)
    assert short.status is OutcomeStatus.OK_VIOLATION
    assert [(v.kind, v.id, pytest.approx(v.mw)) for v in short.violations] == [("reserve", "spin", 15.0)]
    assert short.reserve_price_per_mwh == {"spin": pytest.approx(1000.0)}


def test_schedules_of_tie_lines_and_tests_come_before_offers():
    """30 MW come over the tie at bus 2 and 25 from the unit under test; base gives the rest and sets the price."""
    found = clear([BASE, PEAK], [100.0], tie_mw={"2": 30.0}, test_mw={"peak": 25.0}, units_off=("peak",), output_mw={"base": 0.0})
    assert found.dispatch_mw == pytest.approx({"base": 45.0, "peak": 25.0})
    assert found.energy_per_mwh == pytest.approx(20.0)


def test_a_bid_is_cleared_like_an_offer():
    mill = unit("mill", "3", (20.0, 30.0), (30.0, 80.0), p_min_mw=-50.0, p_max_mw=0.0)
    found = clear([mill, BASE, PEAK], [60.0], output_mw={"base": 0.0, "peak": 0.0})
    assert found.dispatch_mw == pytest.approx({"mill": -40.0, "base": 100.0, "peak": 0.0})
    assert found.energy_per_mwh == pytest.approx(30.0)


def test_a_group_beyond_its_limit_is_a_violation_by_name():
    forced = replace(BASE, p_min_mw=30.0, p_max_mw=130.0)
    found = clear([forced, PEAK], [80.0], Resources(unit_groups=(UnitGroup(id="coast", members=("base",), high_mw=20.0),)))
    assert found.dispatch_mw == pytest.approx({"base": 30.0, "peak": 50.0})
    assert [(v.kind, v.id, pytest.approx(v.mw)) for v in found.violations] == [("group", "coast", 10.0)]


def test_a_period_ahead_in_which_nothing_lives_has_no_price():
    ahead = (
        PeriodAhead(load_mw={"3": 50.0}, available_mw={}, units_off=("base", "peak")),
        PeriodAhead(load_mw={"3": 50.0}, available_mw={}),
    )
    found = clear([BASE, PEAK], [50.0], ahead=ahead)
    assert found.ahead_energy_per_mwh == (None, pytest.approx(20.0))


@settings(max_examples=6, deadline=None)
@given(markets(), st.integers(5, 80).map(float))
def test_whatever_is_declared_is_cleared_and_proven_and_the_advisory_run_agrees(market, rate_mw):
    wires = network(("1", "2", "3"), [("1", "2", 0.1, rate_mw), ("2", "3", 0.2, 60.0), ("1", "3", 0.15, rate_mw + 1.0)])
    params = ClearingParams(interval_min=30.0, negative_load_allowed=True, price_floor_per_mwh=-1e6, price_cap_per_mwh=1e6)
    engine = ClearingEngine(wires, market.units, params, resources=market.resources)
    official = engine.clear(market.inputs, completed_at_ns=0)
    if not isinstance(official, Cleared):
        assert official.reason is FailureReason.INPUT_INVALID
        assert official.detail.startswith("no unit is on that could produce")
        return
    again = engine.clear(market.inputs, completed_at_ns=0, mode=Mode.ADVISORY)
    assert isinstance(again, Cleared), again
    if len(market.loads_mw) == 1:
        # Over a horizon only the whole is least; how much of it falls on the first period need not be unique.
        cost = official.objective_per_h + official.penalty_per_h
        assert again.objective_per_h + again.penalty_per_h == pytest.approx(cost, rel=1e-6, abs=1e-4)


def test_who_stands_in_a_dead_island_holds_no_reserve_and_stores_nothing():
    """With both lines of bus 3 open the battery is alone: nobody there can produce, so the requirement is short of all it could give."""
    here = Resources(
        storages=(BATTERY,),
        products=(UP,),
        requirements=(replace(SPIN, mw=5.0),),
        reserve_offers=(ReserveOffer(provider="battery", product="up10", mw=20.0),),
    )
    found = clear([BASE, PEAK], [50.0], here, soc_mwh={"battery": 80.0}, out_of_service=("L2", "L3"))
    assert found.storage_mw == {"battery": 0.0}
    assert found.soc_mwh == {"battery": pytest.approx(80.0)}
    assert found.reserve_mw == {}
    assert [(v.kind, v.id, pytest.approx(v.mw)) for v in found.violations] == [("shed", "3", 50.0), ("reserve", "spin", 5.0)]


def test_a_storage_is_paid_what_it_offers_where_losses_are_priced():
    """Of a MWh put in at bus 3 four fifths arrive, so 50 there stand for 62.5 and the peaker at 60 comes first; a bid is referred alike."""
    asks = Resources(storages=(replace(BATTERY, offers=(Segment(40.0, 50.0),)),))
    inputs = ClearingInputs(
        interval_start_ns=0,
        frozen_at_ns=0,
        load_mw={"3": 110.0},
        output_mw={"base": 0.0, "peak": 0.0},
        available_mw={},
        soc_mwh={"battery": 100.0},
    )
    first = ClearingEngine(NET, [BASE, PEAK], PARAMS, resources=asks, delivery={"3": 0.8}).clear(inputs, completed_at_ns=0)
    assert isinstance(first, Cleared), first
    assert first.dispatch_mw == pytest.approx({"base": 100.0, "peak": 10.0})
    inputs = replace(inputs, load_mw={"3": 210.0})
    second = ClearingEngine(NET, [BASE, PEAK], PARAMS, resources=asks, delivery={"3": 0.8}).clear(inputs, completed_at_ns=0)
    assert isinstance(second, Cleared), second
    assert second.storage_mw == {"battery": pytest.approx(10.0)}
    assert second.lmp_per_mwh["3"] == pytest.approx(50.0)
    assert second.objective_per_h == pytest.approx(100.0 * 20.0 + 100.0 * 60.0 + 10.0 * 50.0)
