"""What is refused before anything is cleared, and how far each unit may move."""

from __future__ import annotations

from dataclasses import replace

import pytest

from market.admission import ranges, refusal
from market.offers import Control, OfferBook
from market.outcomes import ClearingInputs, FailureReason, PeriodAhead
from market.params import ClearingParams
from market.reserves import Direction, ReserveProduct, ReserveRequirement, ShortageStep
from market.resources import Resources
from market.storage import Storage
from tests.kit.grids import network, unit

NET = network(("1", "2"), [("1", "2", 0.1, 1e3)])
BOOK = OfferBook(
    [
        unit("coal", "1", (100.0, 10.0), p_min_mw=40.0, ramp_mw_per_min=2.0),
        unit("wind", "1", (50.0, 0.0), control=Control.CURTAILABLE),
        unit("roof", "2", (20.0, 0.0), control=Control.FIXED),
    ],
    NET.bus_index,
)
PARAMS = ClearingParams(interval_min=15.0)
GOOD = ClearingInputs(
    interval_start_ns=0,
    frozen_at_ns=0,
    load_mw={"2": 80.0},
    output_mw={"coal": 80.0},
    available_mw={"wind": 30.0, "roof": 5.0},
    used_points=100,
)


def refused(**change: object):
    return refusal(replace(GOOD, **change), NET, BOOK, PARAMS, {"2"})


def test_good_inputs_pass():
    assert refused() is None


INVALID, MISSING, STALE = FailureReason.INPUT_INVALID, FailureReason.INPUT_MISSING, FailureReason.INPUT_STALE


@pytest.mark.parametrize(
    ("change", "reason", "named"),
    [
        ({"load_mw": {"2": 80.0, "9": 1.0}}, INVALID, "loads at unknown buses: 9"),
        ({"output_mw": {"coal": 80.0, "oil": 1.0}}, INVALID, "outputs of unknown units: oil"),
        ({"available_mw": {"wind": 1.0, "roof": 1.0, "sun": 1.0}}, INVALID, "availability of unknown units: sun"),
        ({"out_of_service": ("L9",)}, INVALID, "unknown branches out of service: L9"),
        ({"units_off": ("oil",)}, INVALID, "unknown units off: oil"),
        ({"load_mw": {"2": float("nan")}}, INVALID, "load that is no number: 2"),
        ({"output_mw": {"coal": float("inf")}}, INVALID, "output that is no number: coal"),
        ({"available_mw": {"wind": float("nan"), "roof": 1.0}}, INVALID, "availability that is no number: wind"),
        ({"load_mw": {"2": 1e308}}, INVALID, "load that is no number: 2"),
        ({"load_mw": {"2": -1.0}}, INVALID, "negative load: 2"),
        ({"available_mw": {"wind": -0.6, "roof": 1.0}}, INVALID, "negative availability: wind"),
        ({"load_mw": {}}, MISSING, "no load for buses 2"),
        ({"output_mw": {}}, MISSING, "no output for units coal"),
        ({"available_mw": {"wind": 1.0}}, MISSING, "no availability for units roof"),
        ({"stale_points": 11}, STALE, "11 of 100 points are stale, more than 10%"),
    ],
)
def test_what_cannot_be_cleared_is_named(change, reason, named):
    answer = refused(**change)
    assert answer is not None
    assert answer[0] is reason
    assert answer[1].startswith(named)


@pytest.mark.parametrize(
    "change",
    [
        {"stale_points": 10},
        {"available_mw": {"wind": -0.4, "roof": 1.0}},  # noise of an instrument at rest
        {"output_mw": {}, "units_off": ("coal",)},
        {"available_mw": {}, "units_off": ("roof", "wind")},
    ],
)
def test_what_is_admitted(change):
    assert refused(**change) is None


BIDDING = OfferBook([*BOOK.units, unit("mill", "2", (80.0, 30.0), p_min_mw=-80.0, p_max_mw=0.0)], NET.bus_index)
BATTERY = Storage(
    id="battery",
    bus="2",
    area="1",
    charge_mw=10.0,
    discharge_mw=10.0,
    energy_min_mwh=10.0,
    energy_max_mwh=100.0,
    charge_efficiency=0.9,
    discharge_efficiency=0.9,
)
RESOURCES = Resources(
    storages=(BATTERY,),
    products=(ReserveProduct(id="up", direction=Direction.UP, minutes=10.0),),
    requirements=(ReserveRequirement(id="spin", product="up", mw=10.0, shortage=(ShortageStep(1.0, 5.0),)),),
)
NEXT = PeriodAhead(load_mw={"2": 85.0}, available_mw={"wind": 20.0, "roof": 4.0})
FULL = replace(GOOD, soc_mwh={"battery": 50.0}, tie_mw={"1": -20.0}, test_mw={"coal": 30.0}, reserve_mw={"spin": 0.0}, ahead=(NEXT, NEXT))


def refused_ahead(**change: object):
    return refusal(replace(FULL, ahead=(NEXT, replace(NEXT, **change))), NET, BIDDING, PARAMS, {"2"}, RESOURCES)


def refused_now(**change: object):
    return refusal(replace(FULL, **change), NET, BIDDING, PARAMS, {"2"}, RESOURCES)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"soc_mwh": {"battery": 9.5}},  # noise of an instrument
        {"soc_mwh": {"battery": 101.0}},
        {"test_mw": {"coal": -0.5}},
        {"available_mw": GOOD.available_mw | {"mill": -50.0}},
        {"available_mw": GOOD.available_mw | {"mill": 0.5}},
        {"available_mw": GOOD.available_mw | {"mill": -500.0}},
        {"available_mw": {"roof": 5.0}, "test_mw": {"wind": 10.0, "coal": 30.0}},
        {"output_mw": {}},  # coal is under test, and the mill needs no meter
    ],
)
def test_what_storages_tests_and_bids_state_is_admitted(change):
    assert refused_now(**change) is None


@pytest.mark.parametrize(
    ("change", "reason", "named"),
    [
        ({"tie_mw": {"9": 1.0}}, INVALID, "tie-lines at unknown buses: 9"),
        ({"test_mw": {"oil": 1.0}}, INVALID, "tests of unknown units: oil"),
        ({"soc_mwh": {"battery": 1.0, "lake": 1.0}}, INVALID, "state of charge of unknown storages: lake"),
        ({"reserve_mw": {"spin": 1.0, "spun": 1.0}}, INVALID, "unknown reserve requirements: spun"),
        ({"tie_mw": {"1": float("nan")}}, INVALID, "tie-line schedule that is no number: 1"),
        ({"soc_mwh": {"battery": float("nan")}}, INVALID, "state of charge that is no number: battery"),
        ({"test_mw": {"coal": float("inf")}}, INVALID, "test schedule that is no number: coal"),
        ({"reserve_mw": {"spin": float("nan")}}, INVALID, "reserve requirement that is no number: spin"),
        ({"reserve_mw": {"spin": -1.0}}, INVALID, "negative reserve requirement: spin"),
        ({"soc_mwh": {"battery": -1.5}}, INVALID, "state of charge beyond the marks: battery with -1.5 MWh"),
        ({"soc_mwh": {"battery": 8.5}}, INVALID, "state of charge beyond the marks: battery with 8.5 MWh"),
        ({"soc_mwh": {"battery": 102.0}}, INVALID, "state of charge beyond the marks: battery with 102 MWh"),
        ({"test_mw": {"coal": 150.0}}, INVALID, "tests beyond what the unit can give: coal"),
        ({"test_mw": {"coal": -20.0}}, INVALID, "tests beyond what the unit can give: coal"),
        ({"available_mw": GOOD.available_mw | {"mill": 20.0}}, INVALID, "demand above 0 of loads that bid: mill"),
        ({"soc_mwh": {}}, MISSING, "no state of charge for storages battery"),
        ({"test_mw": {}, "output_mw": {}}, MISSING, "no output for units coal"),
    ],
)
def test_what_storages_tests_and_bids_state_wrongly_is_named(change, reason, named):
    answer = refused_now(**change)
    assert answer is not None
    assert answer[0] is reason
    assert answer[1].startswith(named)


@pytest.mark.parametrize(
    ("change", "reason", "named"),
    [
        ({"load_mw": {"2": 1.0, "9": 1.0}}, INVALID, "loads at unknown buses: 9"),
        ({"load_mw": {"2": float("nan")}}, INVALID, "load that is no number: 2"),
        ({"load_mw": {"2": -1.0}}, INVALID, "negative load: 2"),
        ({"available_mw": {"wind": -5.0, "roof": 1.0}}, INVALID, "negative availability: wind"),
        ({"out_of_service": ("L9",)}, INVALID, "unknown branches out of service: L9"),
        ({"units_off": ("oil",)}, INVALID, "unknown units off: oil"),
        ({"tie_mw": {"1": float("inf")}}, INVALID, "tie-line schedule that is no number: 1"),
        ({"reserve_mw": {"spun": 1.0}}, INVALID, "unknown reserve requirements: spun"),
        ({"load_mw": {}}, MISSING, "no load for buses 2"),
        ({"available_mw": {"wind": 1.0}}, MISSING, "no availability for units roof"),
    ],
)
def test_a_period_ahead_is_held_to_the_same(change, reason, named):
    answer = refused_ahead(**change)
    assert answer is not None
    assert answer[0] is reason
    assert answer[1].startswith(f"period 2 ahead: {named}")


def limits(name: str, **change: object) -> tuple[float, float]:
    found = ranges(replace(GOOD, **change), BOOK, PARAMS)
    return found.low_mw[BOOK.index[name]], found.high_mw[BOOK.index[name]]


@pytest.mark.parametrize(
    ("p0", "want", "widened"),
    [
        (80.0, (50.0, 110.0), 0.0),  # 30 MW either way in 15 minutes
        (45.0, (40.0, 75.0), 0.0),
        (130.0, (100.0, 140.0), 0.0),
        (20.0, (40.0, 50.0), 0.0),  # being started, and there in time
        (5.0, (35.0, 35.0), 5.0),  # being started: climbs by its ramp
        (180.0, (150.0, 150.0), 10.0),  # metered above its capacity: comes back by its ramp
        (-2.0, (28.0, 28.0), 12.0),
    ],
)
def test_a_committed_unit_ramps_from_its_telemetry(p0, want, widened):
    assert limits("coal", output_mw={"coal": p0}) == pytest.approx(want)
    assert ranges(replace(GOOD, output_mw={"coal": p0}), BOOK, PARAMS).widened_mw == pytest.approx(widened)


@pytest.mark.parametrize(
    ("output", "want"), [({}, 0.0), ({"coal": 0.0}, 0.0), ({"coal": 25.0}, 0.0), ({"coal": 70.0}, 40.0), ({"coal": -1.0}, 0.0)]
)
def test_a_unit_that_is_off_goes_down_by_its_ramp(output, want):
    assert limits("coal", output_mw=output, units_off=("coal",)) == (want, want)


def test_the_cost_of_a_unit_counts_until_it_is_down():
    down = ranges(replace(GOOD, output_mw={"coal": 70.0}, units_off=("coal",)), BOOK, PARAMS)
    assert down.running[BOOK.index["coal"]]
    gone = ranges(replace(GOOD, output_mw={}, units_off=("coal",)), BOOK, PARAMS)
    assert not gone.running[BOOK.index["coal"]]


@pytest.mark.parametrize(("available", "want"), [(30.0, 30.0), (80.0, 50.0), (-0.1, 0.0)])
def test_wind_may_be_curtailed_and_never_exceeds_its_capacity(available, want):
    assert limits("wind", available_mw={"wind": available, "roof": 5.0}) == (0.0, want)


def test_rooftop_plant_gives_what_there_is():
    assert limits("roof") == (5.0, 5.0)
    assert limits("roof", units_off=("roof",)) == (0.0, 0.0)
