"""What is sent of a day-ahead result, and how it is read again."""

from __future__ import annotations

import numpy as np
import pytest

from market.day_ahead import DayAhead
from market.facts import ClearingReported
from market.units import NS_PER_MIN, NS_PER_S, day_start_ns
from streams import topics, wire
from streams.clearing import DayAheadPlan, DayAheadWanted, day_plan, of_period, units_off
from streams.model import market_model
from streams.outcome import day_ahead_records
from streams.settings import ControlModel, NetworkModel
from tests.kit.grids import unit
from tests.kit.rts_day import rts_table
from tests.kit.three_areas import RULES

DAY = "2020-01-01"
START_NS = day_start_ns(DAY, RULES.zone)


def test_a_day_ahead_plan_carries_commitment_prices_and_forecasts() -> None:
    result = DayAhead(
        start_ns=START_NS,
        unit_ids=("a", "b"),
        bus_ids=("A",),
        committed=np.array([[True, quarter >= 24] for quarter in range(96)]),
        dispatch_mw=np.zeros((96, 2)),
        lmp_per_mwh=np.zeros((96, 1)),
        uniform_price_per_mwh=np.arange(96) + 300.125,
        load_mw=np.arange(96) + 1_000.5,
        wind_solar_mw=np.arange(96) + 200.25,
        nature_ids=(),
        nature_mw=np.zeros((96, 0)),
        periods=(),
    )
    model = market_model(NetworkModel(rts_gmlc="shipped"), rts_table(), RULES, ControlModel(), day_ahead=True)
    plan, report = day_ahead_records(DayAheadWanted(ts_event_ns=START_NS, day=DAY), result, model, START_NS)
    assert isinstance(plan, DayAheadPlan)
    assert isinstance(report, ClearingReported)
    assert plan == wire.decode(topics.SNAPSHOTS, wire.encode(plan))
    assert plan.units_on == (("a",),) * 6 + (("a", "b"),) * 18
    assert plan.uniform_price_cny_per_mwh == tuple(hour + 300.125 for hour in range(96))
    assert plan.load_mw == tuple(hour + 1_000.5 for hour in range(96))
    assert plan.wind_solar_mw == tuple(hour + 200.25 for hour in range(96))
    assert len(report.price_cny_per_mwh) == 24, "users pay by the hour"
    assert report.price_cny_per_mwh[1] == 305.63, "the mean of 304.125 to 307.125, rounded to the fen"


@pytest.mark.parametrize("periods", [1, 24, 48, 96])
def test_the_value_of_a_period_holds_from_its_start_to_before_its_end(periods: int) -> None:
    values, length_ns = tuple(float(k) for k in range(periods)), 24 * 60 * NS_PER_MIN // periods
    for k in (0, periods // 2, periods - 1):
        begin_ns = START_NS + k * length_ns
        found = [of_period(values, DAY, ts_ns, RULES.zone) for ts_ns in (begin_ns, begin_ns + length_ns - 1)]
        assert found == [float(k)] * 2
    assert of_period(values, DAY, START_NS - 1, RULES.zone) is None
    assert of_period(values, DAY, START_NS + periods * length_ns, RULES.zone) is None
    assert of_period((), DAY, START_NS, RULES.zone) is None


def test_the_plan_of_a_day_is_found_by_the_days_of_the_market() -> None:
    plans = [DayAheadPlan(ts_event_ns=0, day=day, units_on=()) for day in (DAY, "2020-01-02")]
    assert day_plan(plans, START_NS, RULES.zone) is plans[0]
    assert day_plan(plans, START_NS + 24 * 3600 * NS_PER_S, RULES.zone) is plans[1]
    assert day_plan(plans, START_NS - 1, RULES.zone) is None


@pytest.mark.parametrize("parts", [1, 24, 96])
def test_a_unit_is_off_in_the_parts_of_the_day_that_do_not_name_it_however_many_there_are(parts: int) -> None:
    units = (unit("a", "1", (10.0, 1.0)), unit("b", "1", (10.0, 1.0)))
    on = tuple(("a", "b") if part >= parts // 2 else ("a",) for part in range(parts))
    plan = DayAheadPlan(ts_event_ns=0, day=DAY, units_on=on)
    noon_ns = START_NS + 12 * 3600 * NS_PER_S
    before = ("b",) if parts > 1 else ()
    assert units_off(units, plan, noon_ns - 5 * NS_PER_MIN, RULES.zone) == before
    assert units_off(units, plan, noon_ns, RULES.zone) == ()
    assert units_off(units, None, noon_ns, RULES.zone) == ()
