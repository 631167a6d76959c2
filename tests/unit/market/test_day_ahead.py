"""The shipped day: cleared ahead by the hour, then in real time by five minutes on that commitment."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from market import rts_gmlc
from market.day_ahead import DayAhead, clear_day_ahead
from market.engine import ClearingEngine
from market.offers import Control
from market.outcomes import Cleared, ClearingFailed, ClearingInputs, FailureReason, OutcomeStatus
from market.sced import ClearingParams
from market.units import NS_PER_H, NS_PER_MIN, instant_ns

START_NS = instant_ns("2026-06-10T00:00:00+08:00")


@pytest.fixture(scope="module")
def case():
    return rts_gmlc.load()


@pytest.fixture(scope="module")
def day(case) -> DayAhead:
    result = clear_day_ahead(case, ClearingParams(), start_ns=START_NS, completed_at_ns=START_NS)
    assert isinstance(result, DayAhead)
    return result


def test_every_hour_clears_without_shedding_or_overload(day):
    assert [hour.status for hour in day.periods] == [OutcomeStatus.OK] * 24
    assert [hour.interval_start_ns for hour in day.periods] == [START_NS + k * NS_PER_H for k in range(24)]
    assert all(hour.certificate.passed for hour in day.periods)


def test_dispatch_meets_the_load_with_committed_units_only(case, day):
    load = case.day_ahead.load_mw.sum(axis=1)
    np.testing.assert_allclose(day.dispatch_mw.sum(axis=1), load, atol=1e-6)
    climbing = day.dispatch_mw[:, [unit.control is Control.DISPATCHABLE for unit in case.units]]
    committed = day.committed[:, [unit.control is Control.DISPATCHABLE for unit in case.units]]
    assert (climbing[1:][~committed[1:] & ~committed[:-1]] == 0).all()


def test_prices_stay_within_floor_and_cap_and_mean_out_to_the_uniform_price(case, day):
    assert day.lmp_per_mwh.shape == (24, 73)
    assert (day.lmp_per_mwh >= 0).all()
    assert (day.lmp_per_mwh <= 1500).all()
    for hour in range(24):
        load = case.bus_load_mw(case.day_ahead, hour)
        assert day.uniform_price_per_mwh[hour] == pytest.approx(load @ day.lmp_per_mwh[hour] / load.sum())


def test_the_evening_peak_costs_more_than_the_windy_night(day):
    assert day.uniform_price_per_mwh[16:20].min() > day.uniform_price_per_mwh[0:4].max()


def test_units_off_are_the_uncommitted_ones(day):
    off = day.units_off(0)
    assert list(off) == sorted(off)
    assert "121_NUCLEAR_1" not in off
    assert len(off) == np.count_nonzero(~day.committed[0])


def test_the_forecasts_it_was_made_of_are_those_of_the_series(case, day):
    assert day.load_mw == pytest.approx(case.day_ahead.load_mw.sum(axis=1))
    offered = dict(zip(case.day_ahead.unit_ids, case.day_ahead.available_mw.T, strict=True))
    assert day.wind_solar_mw == pytest.approx(sum(mw for name, mw in offered.items() if "HYDRO" not in name))


def test_a_failing_hour_is_returned_with_its_reason(case):
    absurd = dataclasses.replace(case, day_ahead=dataclasses.replace(case.day_ahead, load_mw=case.day_ahead.load_mw * -1.0))
    result = clear_day_ahead(absurd, ClearingParams(), start_ns=START_NS, completed_at_ns=START_NS)
    assert isinstance(result, ClearingFailed)
    assert result.reason is FailureReason.INPUT_INVALID


@pytest.mark.slow  # clears every interval of a day
@pytest.mark.parametrize("minutes", [5, 15])
def test_the_real_time_day_sheds_nothing_on_that_commitment(case, day, minutes):
    """Each interval is cleared from the dispatch of the one before, without sight of the next; all certificates hold."""
    params = dataclasses.replace(ClearingParams(), interval_min=float(minutes))
    engine = ClearingEngine(case.network, case.units, params, load_buses=case.load_buses)
    output = day.periods[0].dispatch_mw
    for period in range(0, case.real_time.periods, minutes // case.real_time.step_min):
        inputs = ClearingInputs(
            interval_start_ns=START_NS + period * 5 * NS_PER_MIN,
            frozen_at_ns=START_NS,
            load_mw=dict(zip(case.network.bus_ids, case.bus_load_mw(case.real_time, period).tolist(), strict=True)),
            output_mw=output,
            available_mw=case.available_mw(case.real_time, period),
            units_off=day.units_off(period * 5 // 60),
        )
        outcome = engine.clear(inputs, completed_at_ns=START_NS)
        assert isinstance(outcome, Cleared), outcome
        assert outcome.violations == (), period
        output = outcome.dispatch_mw
