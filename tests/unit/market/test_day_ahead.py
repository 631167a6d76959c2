"""A day committed by the hour and cleared ahead by the quarter, of a small grid; the shipped one, and real time on it, are slow."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market import rts_gmlc
from market.day_ahead import QUICK, THOROUGH, DayAhead, clear_day_ahead, dispatch_day, quarters
from market.engine import ClearingEngine
from market.grid import Convention
from market.offers import Control
from market.outcomes import Cleared, ClearingFailed, ClearingInputs, FailureReason, OutcomeStatus
from market.params import ClearingParams
from market.progress import Phase, Progress
from market.units import NS_PER_MIN, instant_ns
from tests.kit.small_day import small_day

START_NS = instant_ns("2026-06-10T00:00:00+08:00")


@pytest.fixture(scope="module")
def case():
    return small_day()


@pytest.fixture(scope="module")
def day(case) -> DayAhead:
    return cleared(case)


@pytest.fixture(scope="module")
def shipped_day() -> DayAhead:
    return cleared(rts_gmlc.load())


def cleared(case) -> DayAhead:
    result = clear_day_ahead(case, ClearingParams(), start_ns=START_NS, completed_at_ns=START_NS)
    assert isinstance(result, DayAhead)
    return result


def test_every_quarter_clears_without_shedding_or_overload(day):
    assert [period.status for period in day.periods] == [OutcomeStatus.OK] * 96
    assert [period.interval_start_ns for period in day.periods] == [START_NS + k * 15 * NS_PER_MIN for k in range(96)]
    assert all(period.certificate.passed for period in day.periods)


def test_dispatch_meets_the_load_with_committed_units_only(case, day):
    np.testing.assert_allclose(day.dispatch_mw.sum(axis=1), day.load_mw, atol=1e-6)
    thermal = [unit.control is Control.DISPATCHABLE for unit in case.units]
    climbing, committed = day.dispatch_mw[:, thermal], day.committed[:, thermal]
    # A unit comes down from its minimum within the hour after its last.
    idle = ~committed[4:] & ~committed[:-4]
    assert (climbing[4:][idle] == 0).all()


def test_units_are_switched_at_full_hours(day):
    assert day.committed.shape[0] == 96
    assert (np.repeat(day.committed_by_hour, 4, axis=0) == day.committed).all()


def test_the_commitment_says_how_far_from_the_best_it_may_be(day):
    assert 0 <= day.commitment_gap <= 0.01


def test_prices_stay_within_floor_and_cap_and_mean_out_to_the_uniform_price(case, day):
    assert day.lmp_per_mwh.shape == (96, 3)
    assert (day.lmp_per_mwh >= 0).all()
    assert (day.lmp_per_mwh <= 1500).all()
    area_mw = dict(zip(case.day_ahead.area_ids, quarters(case.day_ahead.load_mw).T, strict=True))
    for period in range(96):
        load = case.load_share * np.array([area_mw[area][period] for area in case.network.bus_area])
        assert day.uniform_price_per_mwh[period] == pytest.approx(load @ day.lmp_per_mwh[period] / load.sum())


def test_an_hour_costs_the_mean_of_its_quarters(day):
    assert day.hourly_price_per_mwh.shape == (24,)
    assert day.hourly_price_per_mwh[17] == pytest.approx(sum(day.uniform_price_per_mwh[68:72]) / 4)


@pytest.mark.slow  # clears the shipped day
def test_the_shipped_day_clears_without_shedding_or_overload_and_costs_more_in_the_evening_than_in_the_windy_night(shipped_day):
    day = shipped_day
    assert [period.status for period in day.periods] == [OutcomeStatus.OK] * 96
    assert day.commitment_gap <= 0.01
    assert "121_NUCLEAR_1" not in day.units_off(0)
    assert day.hourly_price_per_mwh[16:20].min() > day.hourly_price_per_mwh[0:4].max()


def test_units_off_are_the_uncommitted_ones(day):
    off = day.units_off(0)
    assert list(off) == sorted(off)
    assert set(off) == {"middle", "peak"}
    assert len(off) == np.count_nonzero(~day.committed[0])


def test_quarters_keep_the_energy_of_every_hour_and_begin_none_with_a_jump(case, day):
    np.testing.assert_allclose(day.load_mw.reshape(24, 4).mean(axis=1), case.day_ahead.load_mw.sum(axis=1))
    hourly = np.abs(np.diff(case.day_ahead.load_mw.sum(axis=1))).max()
    assert np.abs(np.diff(day.load_mw)).max() < 0.6 * hourly
    offered = dict(zip(case.day_ahead.unit_ids, case.day_ahead.available_mw.T, strict=True))
    wind_solar = sum(mw for name, mw in offered.items() if name != "water")
    # No plant is forecast above its capacity, which cuts some energy off where it is reached.
    np.testing.assert_allclose(day.wind_solar_mw.reshape(24, 4).mean(axis=1), wind_solar, rtol=0.01, atol=1.0)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 1e4), min_size=24, max_size=24))
def test_quarters_of_any_hours_keep_their_energy_and_stay_above_nothing(hourly):
    found = quarters(np.array(hourly))
    assert (found >= 0).all()
    np.testing.assert_allclose(found.reshape(24, 4).mean(axis=1), hourly, atol=1e-6)


def test_a_quarter_makes_way_for_what_the_next_ones_need(case, day):
    """The slow unit is full before the evening climbs faster than it can."""
    evening = slice(64, 74)
    available = np.column_stack([quarters(mw) for mw in case.day_ahead.available_mw.T])[evening]
    load = np.outer(day.load_mw[evening], case.load_share)
    blind, seeing = (
        dispatch_day(
            case,
            day.committed[evening],
            load,
            available,
            ClearingParams(),
            (START_NS, START_NS),
            Convention.MATPOWER,
            lambda progress: None,
            ahead,
        )
        for ahead in (0, QUICK.periods_ahead)
    )
    assert total_cost(seeing) < total_cost(blind)


def total_cost(outcomes: object) -> float:
    assert isinstance(outcomes, tuple), outcomes
    return sum(period.objective_per_h + period.penalty_per_h for period in outcomes)


def test_progress_goes_through_its_phases_and_shapes_nothing(case, day):
    seen: list[Progress] = []
    told = clear_day_ahead(small_day(), ClearingParams(), start_ns=START_NS, completed_at_ns=START_NS, on_progress=seen.append)
    assert isinstance(told, DayAhead)
    assert (told.dispatch_mw == day.dispatch_mw).all()
    phases = list(dict.fromkeys(progress.phase for progress in seen))
    assert phases == [Phase.RELAXATION, Phase.COMMITMENT, Phase.DISPATCH, Phase.DONE]
    assert seen[-1].gap == day.commitment_gap


def test_a_day_that_cannot_be_dispatched_is_returned_with_its_reason(case):
    absurd = dataclasses.replace(case, day_ahead=dataclasses.replace(case.day_ahead, load_mw=case.day_ahead.load_mw * -1.0))
    result = clear_day_ahead(absurd, ClearingParams(), start_ns=START_NS, completed_at_ns=START_NS)
    assert isinstance(result, ClearingFailed)
    assert result.reason is FailureReason.INPUT_INVALID


def test_a_forecast_that_is_no_number_fails_the_day_by_name(case):
    holed = case.day_ahead.available_mw.copy()
    holed[7, case.day_ahead.unit_ids.index("wind")] = np.nan
    result = clear_day_ahead(
        dataclasses.replace(case, day_ahead=dataclasses.replace(case.day_ahead, available_mw=holed)),
        ClearingParams(),
        start_ns=START_NS,
        completed_at_ns=START_NS,
    )
    assert isinstance(result, ClearingFailed)
    assert result.reason is FailureReason.INPUT_INVALID
    assert "wind" in result.detail


@pytest.mark.slow  # clears every interval of a day
@pytest.mark.parametrize("minutes", [5, 15])
def test_the_real_time_day_sheds_nothing_on_that_commitment(shipped_day, minutes):
    """Each interval is cleared from the dispatch of the one before, without sight of the next; all certificates hold."""
    case, day = rts_gmlc.load(), shipped_day
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
            units_off=day.units_off(period * 5 // 15),
        )
        outcome = engine.clear(inputs, completed_at_ns=START_NS)
        assert isinstance(outcome, Cleared), outcome
        assert outcome.violations == (), period
        output = outcome.dispatch_mw


@pytest.mark.slow  # seconds: a commitment over 96 periods
def test_a_day_committed_by_quarters_clears_as_well_and_its_units_climb_as_they_were_planned_to():
    case = rts_gmlc.load()
    near = dataclasses.replace(THOROUGH, commitment=dataclasses.replace(THOROUGH.commitment, gap=0.01, nodes_max=0))
    planned = clear_day_ahead(case, ClearingParams(), start_ns=START_NS, completed_at_ns=START_NS, how=near)
    assert isinstance(planned, DayAhead)
    assert [period.status for period in planned.periods] == [OutcomeStatus.OK] * 96
    assert planned.commitment_gap <= 0.01
    ramp_mw = np.array([unit.ramp_mw_per_min * 15 for unit in case.units])
    thermal = np.array([unit.control is Control.DISPATCHABLE for unit in case.units])
    assert (np.abs(np.diff(planned.dispatch_mw, axis=0)) <= ramp_mw + 1e-6)[:, thermal].all()
