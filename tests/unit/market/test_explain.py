"""Why a price is what it is and why a unit runs as it does, held against cases solved on paper."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from market import matpower
from market.engine import CASE_PARAMS
from market.errors import CaseError
from market.explain import BusExplanation, UnitExplanation, explain
from market.merit import Direction, Reason, out_of_merit
from market.offers import Control, Unit
from market.outcomes import ClearingInputs, PeriodAhead
from market.params import ClearingParams
from market.reserves import Direction as Way
from market.reserves import ReserveOffer, ReserveProduct, ReserveRequirement, ShortageStep
from market.resources import Resources, UnitGroup
from market.storage import Storage
from market.workings import Workings
from tests.kit.explained import of_case, of_interval
from tests.kit.grids import case, network, triangle, unit
from tests.kit.pglib import FILES

ONE_BUS = network(("1", "2"), [("1", "2", 0.1, np.inf)])


def bus(workings: Workings, name: str) -> BusExplanation:
    (found,) = explain(workings, f"bus:{name}")
    assert isinstance(found, BusExplanation)
    return found


def plant(workings: Workings, name: str) -> UnitExplanation:
    (found,) = explain(workings, f"unit:{name}")
    assert isinstance(found, UnitExplanation)
    return found


def inputs(load_mw: float, output_mw: dict[str, float] | None = None, **more: object) -> ClearingInputs:
    base = ClearingInputs(
        interval_start_ns=0, frozen_at_ns=0, load_mw={"2": load_mw}, output_mw=output_mw or {}, available_mw={}, used_points=1
    )
    return replace(base, **more)  # type: ignore[arg-type]


def the_one(workings: Workings, name: str) -> tuple[Direction, Reason]:
    """Direction and reason of the only entry of a unit."""
    (found,) = [one for one in out_of_merit(workings) if one.unit == name]
    return found.direction, found.reason


def test_the_triangle_taken_apart():
    """All load stands at bus 3, so that is the reference; a MW at bus 1 takes 2/3 MW off L2, one at bus 2 takes 1/3, at 30 per MW."""
    _, workings = of_case(triangle())
    for name, lmp, factor in (("1", 10.0, -2 / 3), ("2", 20.0, -1 / 3)):
        found = bus(workings, name)
        assert (found.lmp_per_mwh, found.energy_per_mwh) == (pytest.approx(lmp), pytest.approx(30.0))
        (share,) = found.shares
        assert (share.kind, share.id, share.outage) == ("line", "L2", None)
        assert (share.shadow_price, share.load_factor) == (pytest.approx(30.0), pytest.approx(factor))
        assert share.per_mwh == pytest.approx(lmp - 30.0)
    assert bus(workings, "3").shares == ()
    # One MW more of load at 3 takes 2 MW more of the dear unit and 1 MW less of the cheap one.
    assert [(one.kind, one.id, one.bus, one.per_mwh, one.mw, one.per_mw_of_load) for one in bus(workings, "3").setters] == [
        ("unit", "cheap", "1", 10.0, pytest.approx(50.0), pytest.approx(-1.0)),
        ("unit", "dear", "2", 20.0, pytest.approx(50.0), pytest.approx(2.0)),
    ]


def test_units_of_the_triangle_are_in_merit_at_their_bus_and_not_at_the_energy_price():
    _, workings = of_case(triangle())
    cheap = plant(workings, "cheap")
    assert (cheap.in_merit, cheap.sets_price, cheap.last_reduced_cost) == (True, True, pytest.approx(0.0))
    (found,) = cheap.out_of_merit
    assert (found.direction, found.reason, found.mw) == (Direction.DOWN, Reason.CONGESTION, pytest.approx(150.0))
    assert [(limit.id, limit.per_mwh) for limit in found.limits] == [("L2", pytest.approx(-20.0))]
    assert "line L2 (-20.00)" in cheap.detail


def test_a_unit_that_runs_above_the_energy_price_is_named_with_the_line_that_needs_it():
    """Two buses, 30 MW of line, load 20 at bus 1 and 80 at bus 2: 50 MW come from the dear unit behind the line."""
    net = network(("1", "2"), [("1", "2", 0.1, 30.0)])
    _, workings = of_case(case(net, [unit("near", "2", (200.0, 50.0)), unit("far", "1", (200.0, 10.0))], {"1": 20.0, "2": 80.0}))
    found = {one.unit: one for one in out_of_merit(workings)}
    assert (found["near"].direction, found["near"].mw, found["near"].price_per_mwh) == (Direction.UP, 50.0, pytest.approx(42.0))
    assert (found["far"].direction, found["far"].mw) == (Direction.DOWN, 150.0)
    assert {one.reason for one in found.values()} == {Reason.CONGESTION}


@pytest.mark.parametrize(("must_run", "reason"), [(False, Reason.P_MIN), (True, Reason.MUST_RUN)])
def test_held_up_by_its_least_output(must_run, reason):
    units = [unit("base", "1", (200.0, 10.0)), unit("dear", "1", (50.0, 40.0), p_min_mw=20.0, must_run=must_run)]
    _, workings = of_case(case(ONE_BUS, units, {"2": 100.0}))
    found = plant(workings, "dear")
    assert (found.low_by, found.high_by, found.in_merit) == (reason, Reason.P_MAX, False)
    assert (found.out_of_merit[0].direction, found.out_of_merit[0].reason, found.out_of_merit[0].mw) == (Direction.UP, reason, 20.0)
    assert found.last_reduced_cost == pytest.approx(30.0)
    assert plant(workings, "base").in_merit


def test_a_unit_that_is_full_is_in_merit():
    _, workings = of_case(case(ONE_BUS, [unit("full", "1", (50.0, 10.0)), unit("rest", "1", (90.0, 40.0))], {"2": 100.0}))
    assert out_of_merit(workings) == ()
    full = plant(workings, "full")
    assert (full.in_merit, full.next_offer_per_mwh, full.last_reduced_cost) == (True, None, pytest.approx(-30.0))
    assert full.detail.startswith("all it can give is taken")


SLOW = (unit("slow", "1", (100.0, 10.0), ramp_mw_per_min=1.0), unit("peak", "1", (200.0, 300.0)))
"""15 MW up or down in a quarter of an hour."""


def test_held_down_by_the_ramp_from_its_telemetered_output():
    _, workings = of_interval(ONE_BUS, SLOW, inputs(90.0, {"slow": 20.0, "peak": 60.0}))
    found = plant(workings, "slow")
    assert (found.metered_mw, found.low_mw, found.high_mw) == (20.0, 5.0, 35.0)
    assert (found.low_by, found.high_by) == (Reason.RAMP, Reason.RAMP)
    assert the_one(workings, "slow") == (Direction.DOWN, Reason.RAMP)
    assert found.out_of_merit[0].mw == pytest.approx(65.0)


def test_held_up_by_the_ramp_from_its_telemetered_output():
    units = (unit("base", "1", (200.0, 10.0)), unit("leaving", "1", (100.0, 50.0), ramp_mw_per_min=1.0))
    _, workings = of_interval(ONE_BUS, units, inputs(100.0, {"base": 40.0, "leaving": 60.0}))
    assert the_one(workings, "leaving") == (Direction.UP, Reason.RAMP)
    assert out_of_merit(workings)[0].mw == pytest.approx(45.0)


@pytest.mark.parametrize(
    ("more", "reason", "direction"),
    [
        ({"units_off": ("slow",)}, Reason.OFF, Direction.DOWN),
        ({"test_mw": {"slow": 5.0}}, Reason.TEST, Direction.DOWN),
    ],
)
def test_held_by_its_state(more, reason, direction):
    _, workings = of_interval(ONE_BUS, SLOW, inputs(90.0, {"slow": 0.0, "peak": 60.0}, **more))
    assert the_one(workings, "slow") == (direction, reason)
    assert plant(workings, "slow").high_by is reason


def test_held_up_while_it_stops_and_while_it_climbs():
    units = (unit("base", "1", (200.0, 10.0)), unit("dear", "1", (50.0, 90.0), p_min_mw=40.0, ramp_mw_per_min=1.0))
    _, stopping = of_interval(ONE_BUS, units, inputs(100.0, {"base": 40.0, "dear": 60.0}, units_off=("dear",)))
    assert the_one(stopping, "dear") == (Direction.UP, Reason.STOPPING)
    _, climbing = of_interval(ONE_BUS, units, inputs(100.0, {"base": 40.0, "dear": 10.0}))
    assert the_one(climbing, "dear") == (Direction.UP, Reason.OUT_OF_RANGE)
    assert plant(climbing, "dear").dispatch_mw == pytest.approx(25.0)


def test_wind_that_runs_at_a_price_below_its_offer_is_held_by_the_curtailment_penalty():
    """90 MW of wind at 5 and 20 MW of a plant that cannot go lower, for 100 MW: the last wind is worth 5 less the penalty of 15."""
    units = (unit("wind", "1", (90.0, 5.0), control=Control.CURTAILABLE), unit("base", "1", (50.0, 30.0), p_min_mw=20.0))
    params = ClearingParams(price_floor_per_mwh=-100.0)
    _, workings = of_interval(ONE_BUS, units, inputs(100.0, {"base": 20.0}, available_mw={"wind": 90.0}), params=params)
    found = plant(workings, "wind")
    assert (found.lmp_per_mwh, found.high_by) == (pytest.approx(-10.0), Reason.AVAILABILITY)
    assert the_one(workings, "wind") == (Direction.UP, Reason.CURTAILMENT)


def test_what_injects_whatever_the_price_is_fixed():
    units = (unit("roof", "1", (90.0, 0.0), control=Control.FIXED), unit("base", "1", (50.0, 30.0)))
    params = ClearingParams(price_floor_per_mwh=-1e6)
    _, workings = of_interval(ONE_BUS, units, inputs(60.0, {"base": 0.0}, available_mw={"roof": 80.0}), params=params)
    assert the_one(workings, "roof") == (Direction.UP, Reason.FIXED)


def test_held_down_by_the_reserve_it_holds():
    """The cheap unit must hold 30 of its 100 MW, since no other can."""
    resources = Resources(
        products=(ReserveProduct(id="spin", direction=Way.UP, minutes=10.0),),
        requirements=(ReserveRequirement(id="spin", product="spin", mw=30.0, shortage=(ShortageStep(1.0, 1000.0),)),),
        reserve_offers=(ReserveOffer(provider="cheap", product="spin", mw=50.0),),
    )
    units = (unit("cheap", "1", (100.0, 10.0)), unit("peak", "1", (200.0, 300.0)))
    _, workings = of_interval(ONE_BUS, units, inputs(150.0, {"cheap": 80.0, "peak": 70.0}), resources=resources)
    found = plant(workings, "cheap")
    assert found.reserve_mw == pytest.approx({"spin": 30.0})
    assert the_one(workings, "cheap") == (Direction.DOWN, Reason.RESERVE)
    assert found.out_of_merit[0].mw == pytest.approx(30.0)


def test_held_by_a_group_that_is_named():
    resources = Resources(unit_groups=(UnitGroup(id="outlet", members=("a", "b"), high_mw=60.0),))
    units = (unit("a", "1", (50.0, 10.0)), unit("b", "1", (50.0, 20.0)), unit("c", "1", (200.0, 300.0)))
    _, workings = of_interval(ONE_BUS, units, inputs(100.0, {"a": 50.0, "b": 10.0, "c": 40.0}), resources=resources)
    assert the_one(workings, "b") == (Direction.DOWN, Reason.GROUP)
    assert "the group outlet" in plant(workings, "b").detail


def test_held_up_by_its_ramp_towards_a_period_ahead():
    """Load rises from 50 to 100 MW; the slow unit must be at 35 MW now to be at 50 MW then, next to 50 MW of the base."""
    units = (
        unit("base", "1", (50.0, 10.0)),
        unit("slow", "1", (100.0, 40.0), ramp_mw_per_min=1.0),
    )
    ahead = (PeriodAhead(load_mw={"2": 100.0}, available_mw={}),)
    _, workings = of_interval(ONE_BUS, units, inputs(50.0, {"base": 30.0, "slow": 30.0}, ahead=ahead))
    found = plant(workings, "slow")
    assert found.dispatch_mw == pytest.approx(35.0)
    assert (found.low_mw, found.high_mw) == (15.0, 45.0)
    assert the_one(workings, "slow") == (Direction.UP, Reason.RAMP_AHEAD)


def test_cap_and_floor_are_a_part_of_the_price_and_a_reason():
    units = (unit("base", "1", (50.0, 10.0)), unit("peak", "1", (200.0, 90.0)))
    outcome, workings = of_interval(
        ONE_BUS, units, inputs(100.0, {"base": 50.0, "peak": 50.0}), params=ClearingParams(price_cap_per_mwh=60.0)
    )
    found = bus(workings, "2")
    assert (found.lmp_per_mwh, found.raw_per_mwh, found.capped_by) == (60.0, pytest.approx(90.0), "cap")
    assert the_one(workings, "peak") == (Direction.UP, Reason.CAPPED)
    assert sum(share.per_mwh for share in found.shares) == pytest.approx(outcome.congestion_per_mwh["2"], abs=1e-9)


def test_a_pricing_run_of_its_own_is_a_reason():
    """The line's limit is missed at 5,000 per MWh in the dispatch and worth 50 in the pricing run."""
    net = network(("1", "2"), [("1", "2", 0.1, 30.0)])
    units = (unit("far", "1", (200.0, 10.0)), unit("near", "2", (20.0, 800.0)))
    params = ClearingParams(price_cap_per_mwh=1e5, offer_cap_per_mwh=1000.0, pricing_limit_multiple=0.05, pricing_balance_multiple=30.0)
    _, workings = of_interval(net, units, inputs(100.0, {"far": 50.0, "near": 0.0}), params=params)
    assert workings.result.priced_apart
    assert plant(workings, "near").dispatch_mw == pytest.approx(20.0)
    assert the_one(workings, "near") == (Direction.UP, Reason.PRICING_RUN)


def test_a_violated_limit_sets_the_price_at_its_penalty():
    net = network(("1", "2"), [("1", "2", 0.1, 30.0)])
    _, workings = of_case(case(net, [unit("far", "1", (200.0, 10.0))], {"2": 40.0}))
    penalty = CASE_PARAMS.line_multiple * CASE_PARAMS.offer_cap_per_mwh
    (found,) = [one for one in bus(workings, "2").setters if one.kind == "line"]
    assert (found.id, found.bus, found.per_mwh) == ("L1", None, penalty)
    assert (found.mw, found.per_mw_of_load) == (pytest.approx(10.0), pytest.approx(1.0))


def test_a_storage_that_is_partly_used_sets_the_price():
    store = Storage(
        id="store",
        bus="1",
        area="1",
        charge_mw=50.0,
        discharge_mw=50.0,
        energy_min_mwh=0.0,
        energy_max_mwh=100.0,
        charge_efficiency=0.9,
        discharge_efficiency=0.9,
        bids=(),
        offers=(unit("x", "1", (50.0, 77.0)).segments),
    )
    given = inputs(80.0, {"base": 50.0}, soc_mwh={"store": 60.0})
    _, workings = of_interval(ONE_BUS, (unit("base", "1", (50.0, 10.0)),), given, resources=Resources(storages=(store,)))
    (setter,) = bus(workings, "2").setters
    assert (setter.kind, setter.id, setter.bus, setter.per_mwh) == ("discharge", "store", "1", pytest.approx(77.0))
    assert (setter.mw, setter.per_mw_of_load) == (pytest.approx(30.0), pytest.approx(1.0))


def test_an_island_of_its_own_has_a_term_for_it():
    net = network(("1", "2", "3", "4"), [("1", "2", 0.1, np.inf), ("3", "4", 0.1, np.inf)])
    units = [unit("a", "1", (200.0, 10.0)), unit("b", "3", (200.0, 25.0))]
    _, workings = of_case(case(net, units, {"2": 100.0, "4": 10.0}))
    found = bus(workings, "4")
    assert [(share.kind, share.per_mwh) for share in found.shares] == [("island", pytest.approx(15.0))]
    assert [one.id for one in found.setters] == ["b"]


def test_a_dead_bus_has_no_price_and_a_unit_there_no_choice():
    net = network(("1", "2", "3"), [("1", "2", 0.1, np.inf)])
    read = case(net, [unit("a", "1", (200.0, 10.0)), unit("b", "3", (20.0, 5.0))], {"2": 100.0, "3": 4.0})
    _, workings = of_case(replace(read, units_off=("b",)))
    found = bus(workings, "3")
    assert (found.live, found.lmp_per_mwh, found.load_mw) == (False, None, 4.0)
    dark = plant(workings, "b")
    assert (dark.lmp_per_mwh, dark.low_by, dark.out_of_merit) == (None, Reason.DEAD, ())


def test_a_name_that_is_both_gets_both_answers_and_an_unknown_one_is_refused():
    units: list[Unit] = [unit("1", "1", (200.0, 10.0)), unit("bus:2", "1", (5.0, 99.0))]
    _, workings = of_case(case(ONE_BUS, units, {"2": 100.0}))
    assert [(one.what, one.id) for one in explain(workings, "1")] == [("bus", "1"), ("unit", "1")]
    assert [(one.what, one.id) for one in explain(workings, "unit:1")] == [("unit", "1")]
    assert [(one.what, one.id) for one in explain(workings, "bus:2")] == [("bus", "2"), ("unit", "bus:2")]
    with pytest.raises(CaseError, match="neither a bus nor a unit 'bus:9'"):
        explain(workings, "bus:9")


def test_explanations_are_plain_data():
    _, workings = of_case(triangle())
    for name in ("1", "cheap"):
        text = json.dumps([asdict(one) for one in explain(workings, name)], allow_nan=False)
        assert "congestion" in text


def test_limits_after_an_outage_are_named_with_it():
    """Of two lines of 100 MW each must take over the other's flow, up to 130 MW: 20 MW of the load are left to the dear unit."""
    net = network(("1", "2"), [("1", "2", 0.1, 100.0), ("1", "2", 0.1, 100.0)])
    units = [unit("cheap", "1", (200.0, 10.0)), unit("dear", "2", (200.0, 20.0))]
    _, workings = of_case(case(net, units, {"2": 150.0}), outages="all")
    assert plant(workings, "dear").dispatch_mw == pytest.approx(20.0)
    kinds = {(share.kind, share.id, share.outage) for share in bus(workings, "1").shares}
    assert kinds <= {("n-1", "L1", "L2"), ("n-1", "L2", "L1")}
    assert kinds


def test_what_the_next_mw_comes_from_is_what_a_clearing_with_it_takes():
    """A quarter of a MW more at bus 4 of the PJM system, cleared again: the outputs move as was said."""
    read = matpower.read_case(FILES["5_pjm"])
    before, workings = of_case(read)
    after, _ = of_case(read, loads_mw={"4": float(read.load_mw[3]) + 0.25})
    said = {one.id: one.per_mw_of_load for one in bus(workings, "4").setters}
    for name, mw in after.dispatch_mw.items():
        assert mw - before.dispatch_mw[name] == pytest.approx(0.25 * (said.get(name) or 0.0), abs=1e-6)
    assert sorted(said) == ["3", "5"]
    assert "the next MW comes from +1.50 MW of unit 3 at 30.00, -0.50 MW of unit 5 at 10.00" in bus(workings, "4").detail


def test_what_the_next_mw_comes_from_is_left_open_where_periods_are_tied():
    ahead = (PeriodAhead(load_mw={"2": 100.0}, available_mw={}),)
    _, workings = of_interval(ONE_BUS, SLOW, inputs(90.0, {"slow": 20.0, "peak": 60.0}, ahead=ahead))
    assert [(one.id, one.per_mw_of_load) for one in bus(workings, "2").setters] == [("peak", None)]


def test_reserve_that_is_short_sets_the_price_of_energy():
    """50 MW for 40 of load and 20 of reserve: a MW more of load is a MW more missing, at 700, on top of the offer of 10."""
    resources = Resources(
        products=(ReserveProduct(id="spin", direction=Way.UP, minutes=10.0),),
        requirements=(ReserveRequirement(id="need", product="spin", mw=20.0, shortage=(ShortageStep(1.0, 700.0),)),),
        reserve_offers=(ReserveOffer(provider="a", product="spin", mw=50.0),),
    )
    _, workings = of_interval(ONE_BUS, (unit("a", "1", (50.0, 10.0)),), inputs(40.0, {"a": 40.0}), resources=resources)
    found = bus(workings, "2")
    assert found.lmp_per_mwh == pytest.approx(710.0)
    moves = {(one.kind, one.id): (one.per_mwh, one.per_mw_of_load) for one in found.setters}
    assert moves == {
        ("unit", "a"): (10.0, pytest.approx(1.0)),
        ("award", "a for spin"): (0.0, pytest.approx(-1.0)),
        ("reserve", "need"): (700.0, pytest.approx(1.0)),
    }


def test_a_price_between_two_offers_is_set_by_none():
    """The load is just what the first unit offers: any price from 10 to 90 would do, and the least is taken."""
    _, workings = of_case(case(ONE_BUS, [unit("full", "1", (50.0, 10.0)), unit("idle", "1", (50.0, 90.0))], {"2": 50.0}))
    found = bus(workings, "2")
    assert found.setters == ()
    assert "no offer is partly used; other prices would do as well" in found.detail
    assert found.several
    assert out_of_merit(workings) == ()
