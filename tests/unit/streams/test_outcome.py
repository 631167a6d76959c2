"""What is sent of a day-ahead result, and how it is read again."""

from __future__ import annotations

import numpy as np
import pytest

from market.day_ahead import DayAhead
from market.facts import ClearingReported
from market.units import NS_PER_MIN, NS_PER_S, day_start_ns
from streams import topics, wire
from streams.clearing import DayAheadPlan, DayAheadWanted, day_plan, of_period
from streams.model import market_model
from streams.outcome import day_ahead_records
from streams.settings import ControlModel, NetworkModel
from tests.kit.rts_day import rts_table
from tests.kit.three_areas import RULES

DAY = "2020-01-01"
START_NS = day_start_ns(DAY, RULES.zone)


def test_a_day_ahead_plan_carries_commitment_prices_and_forecasts() -> None:
    result = DayAhead(
        start_ns=START_NS,
        unit_ids=("a", "b"),
        bus_ids=("A",),
        committed=np.array([[True, hour >= 6] for hour in range(24)]),
        dispatch_mw=np.zeros((24, 2)),
        lmp_per_mwh=np.zeros((24, 1)),
        uniform_price_per_mwh=np.arange(24) + 300.125,
        load_mw=np.arange(24) + 1_000.5,
        wind_solar_mw=np.arange(24) + 200.25,
        hours=(),
    )
    model = market_model(NetworkModel(rts_gmlc="shipped"), rts_table(), RULES, ControlModel(), day_ahead=True)
    plan, report = day_ahead_records(DayAheadWanted(ts_event_ns=START_NS, day=DAY), result, model, START_NS)
    assert isinstance(plan, DayAheadPlan)
    assert isinstance(report, ClearingReported)
    assert plan == wire.decode(topics.SNAPSHOTS, wire.encode(plan))
    assert plan.units_on == (("a",),) * 6 + (("a", "b"),) * 18
    assert plan.uniform_price_cny_per_mwh == tuple(hour + 300.125 for hour in range(24))
    assert plan.load_mw == tuple(hour + 1_000.5 for hour in range(24))
    assert plan.wind_solar_mw == tuple(hour + 200.25 for hour in range(24))
    assert report.price_cny_per_mwh[0] == 300.13, "what is published is rounded to the fen"


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
