"""How far each unit may move, period after period."""

from __future__ import annotations

import numpy as np
import pytest

from market.offers import Control, OfferBook
from market.outcomes import ClearingInputs, PeriodAhead
from market.params import ClearingParams
from market.ranges import Horizon, horizon, ranges
from tests.kit.grids import unit

BOOK = OfferBook(
    [
        unit("coal", "1", (100.0, 10.0), p_min_mw=40.0, ramp_mw_per_min=2.0),
        unit("mill", "1", (80.0, 30.0), p_min_mw=-80.0, p_max_mw=0.0, ramp_mw_per_min=2.0),
        unit("roof", "1", (20.0, 0.0), control=Control.FIXED),
        unit("wind", "1", (50.0, 0.0), control=Control.CURTAILABLE),
    ],
    {"1": 0},
)
PARAMS = ClearingParams(interval_min=15.0)  # a step of 30 MW


def span(name: str, *ahead: PeriodAhead, **said: object) -> list[tuple[float, float]]:
    found = walk(*ahead, **said)
    column = BOOK.index[name]
    return list(zip(found.low_mw[:, column].tolist(), found.high_mw[:, column].tolist(), strict=True))


def walk(*ahead: PeriodAhead, **said: object) -> Horizon:
    given = {"output_mw": {"coal": 80.0, "mill": -50.0}, "available_mw": {"wind": 30.0, "roof": 5.0}} | said
    return horizon(ClearingInputs(interval_start_ns=0, frozen_at_ns=0, load_mw={}, ahead=ahead, **given), BOOK, PARAMS)


def then(**said: object) -> PeriodAhead:
    return PeriodAhead(**({"load_mw": {}, "available_mw": {"wind": 40.0, "roof": 6.0}} | said))


def test_each_period_opens_what_a_ramp_reaches_from_the_one_before():
    assert span("coal", then(), then()) == [(50.0, 110.0), (40.0, 140.0), (40.0, 140.0)]


def test_nature_is_forecast_period_by_period():
    assert span("wind", then(), then(available_mw={"wind": 70.0, "roof": 0.0})) == [(0.0, 30.0), (0.0, 40.0), (0.0, 50.0)]
    assert span("roof", then()) == [(5.0, 5.0), (6.0, 6.0)]


def test_a_unit_switched_off_within_the_horizon_is_gone_and_one_switched_on_climbs():
    assert span("coal", then(units_off=("coal",)), then(), then()) == [(50.0, 110.0), (0.0, 0.0), (30.0, 30.0), (40.0, 60.0)]


def test_a_unit_that_is_off_from_the_start_comes_down_by_its_ramp():
    found = walk(then(units_off=("coal",)), then(units_off=("coal",)), units_off=("coal",))
    assert found.high_mw[:, 0].tolist() == found.low_mw[:, 0].tolist() == [50.0, 20.0, 0.0]
    assert found.running[:, 0].tolist() == [True, True, False]
    assert not found.follows[:, 0].any()


def test_a_unit_climbs_from_its_telemetry_and_holds_no_reserve_before_it_is_there():
    found = walk(then(), then(), output_mw={"coal": -25.0, "mill": 0.0})
    assert found.low_mw[:, 0].tolist() == [5.0, 35.0, 40.0]
    assert found.widened_mw.tolist() == [35.0, 5.0, 0.0]
    assert found.provides[:, 0].tolist() == [False, False, True]


@pytest.mark.parametrize("off", [(), ("coal",)])
def test_a_unit_under_test_runs_to_its_schedule_committed_or_not_and_goes_on_from_there(off):
    found = walk(then(test_mw={"coal": 20.0}), then(), test_mw={"coal": 12.0}, units_off=off)
    assert found.low_mw[:, 0].tolist() == [12.0, 20.0, 40.0]
    assert found.high_mw[:, 0].tolist() == [12.0, 20.0, 50.0]
    assert found.follows[:, 0].tolist() == [False, False, True]
    assert found.running[:, 0].all()
    assert not found.provides[:2, 0].any()


def test_a_load_that_bids_takes_no_more_than_its_demand():
    assert span("mill", then(), output_mw={"coal": 80.0, "mill": -50.0}) == [(-80.0, -20.0), (-80.0, 0.0)]
    shown = {"wind": 30.0, "roof": 5.0, "mill": -60.0}
    assert span("mill", then(), available_mw=shown) == [(-60.0, -20.0), (-80.0, 0.0)]
    assert span("mill", available_mw=shown | {"mill": -500.0}) == [(-80.0, -20.0)]


def test_a_load_that_bids_needs_no_meter():
    assert span("mill", then(), output_mw={"coal": 80.0}) == [(-80.0, 0.0), (-80.0, 0.0)]


def test_what_a_unit_could_do_whatever_its_ramp_is_kept_for_reserve():
    found = walk()
    assert (found.least_mw[0].tolist(), found.most_mw[0].tolist()) == ([40.0, -80.0, 5.0, 0.0], [140.0, 0.0, 5.0, 30.0])
    assert found.provides[0].tolist() == [True, True, False, True]


def test_the_first_period_is_the_interval_by_itself():
    inputs = ClearingInputs(
        interval_start_ns=0, frozen_at_ns=0, load_mw={}, output_mw={"coal": 5.0}, available_mw={"wind": 9.0}, ahead=(then(), then())
    )
    alone, first = ranges(inputs, BOOK, PARAMS), horizon(inputs, BOOK, PARAMS).first
    assert np.array_equal(alone.low_mw, first.low_mw)
    assert np.array_equal(alone.high_mw, first.high_mw)
    assert np.array_equal(alone.running, first.running)
    assert alone.widened_mw == first.widened_mw == 5.0
