"""The times of clearing, and prices at their limits, against numbers worked out on paper."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from market.rules import rules_from
from market.units import NS_PER_DAY, NS_PER_MIN, NS_PER_S, instant_ns
from streams.clearing import IntervalMarket, IntervalPlan
from streams.clearingtimes import ClearingTimes, clearing_figures, due, noted

RULES = rules_from({"rt_interval_min": 5})
NINE = instant_ns("2020-01-01T09:00:00+08:00")


def plan(minute: int, late_s: float, price_cny_per_mwh: float = 300.0) -> IntervalPlan:
    """The result of the interval so many minutes after nine, completed so long after it was due."""
    start_ns = NINE + minute * NS_PER_MIN
    return IntervalPlan(
        ts_event_ns=start_ns + round(late_s * NS_PER_S),
        interval_start_ns=start_ns,
        interchange_mw={},
        average_lmp_cny_per_mwh=price_cny_per_mwh,
        uniform_price_cny_per_mwh=price_cny_per_mwh,
        congestion_rent_cny_per_h=0.0,
    )


def figures(times: ClearingTimes, minute: float) -> dict[str, float]:
    now_ns = NINE + round(minute * NS_PER_MIN)
    return {name: value for name, value in clearing_figures(times, now_ns).items() if value is not None}


def test_availability_is_of_the_intervals_the_calendar_expects() -> None:
    """First tick at 9:02; 9:05 in time, 9:10 a second beyond the grace, 9:15 never, 9:20 just within it."""
    times = due(ClearingTimes(), NINE + 2 * NS_PER_MIN, RULES)
    for minute, late_s in ((0, -5.0), (5, -40.0), (10, 31.0), (20, 30.0)):
        times = noted(times, plan(minute, late_s), RULES)
    shares = []
    for minute in (5.4, 5.5, 10.5, 15.5, 20.5):
        times = due(times, NINE + round(minute * NS_PER_MIN), RULES)
        shares.append(figures(times, minute).get("clearing_availability_pct"))
    assert shares == [None, 100.0, 50.0, pytest.approx(100 / 3), 50.0]


def test_intervals_of_an_absence_were_expected_and_only_a_day_counts() -> None:
    times = noted(due(ClearingTimes(), NINE, RULES), plan(5, -40.0), RULES)
    times = due(times, NINE + 6 * NS_PER_MIN, RULES)
    away = due(times, NINE + 60 * NS_PER_MIN, RULES)
    assert figures(away, 60)["clearing_availability_pct"] == pytest.approx(100 / 11), "9:05 to 9:55; ten o'clock is not due yet"
    days_later = due(away, NINE + 10 * NS_PER_DAY, RULES)
    assert figures(days_later, 14_400) == {"clearing_availability_pct": 0.0}
    assert len(days_later.kept.hours) == 24


def test_latency_is_completed_less_due() -> None:
    times = ClearingTimes()
    for number, late_s in enumerate((-50.0, -40.0, -30.0, 70.0)):
        times = noted(times, plan(5 * number, late_s), RULES)
    found = figures(times, 20)
    assert found["clearing_latency_p50_s"] == -35.0
    assert found["clearing_latency_p95_s"] == pytest.approx(np.percentile([-50.0, -40.0, -30.0, 70.0], 95))
    assert found["clearing_latency_p99_s"] == pytest.approx(-30.0 + 0.97 * 100.0), "rank 2.97 of 0 to 3"


def test_the_first_result_of_an_interval_counts() -> None:
    times = noted(noted(ClearingTimes(), plan(5, -40.0), RULES), plan(5, 900.0), RULES)
    assert figures(times, 10)["clearing_latency_p95_s"] == -40.0


def test_prices_at_cap_or_floor() -> None:
    """Of four intervals one at the cap of 1500 and one at the floor of 0."""
    times = ClearingTimes()
    for number, price in enumerate((300.0, 1_500.0, 0.0, 0.01)):
        times = noted(times, plan(5 * number, -40.0, price), RULES)
    assert figures(times, 20)["price_limit_hits_pct"] == 50.0
    assert figures(times, 24 * 60 + 16) == {}


def test_bus_prices_at_cap_or_floor_are_a_share_of_pairs() -> None:
    """Of 10 + 30 pairs of bus and interval 3 + 0 at the cap and 0 + 5 at the floor; a plan of an older release says nothing of buses."""
    times = noted(ClearingTimes(), replace(plan(0, -40.0), market=IntervalMarket(buses=10, at_cap=3, at_floor=0)), RULES)
    second = replace(plan(5, -40.0), market=IntervalMarket(buses=30, at_cap=0, at_floor=5))
    times = noted(noted(noted(times, second, RULES), second, RULES), plan(10, -40.0), RULES)
    found = figures(times, 20)
    assert (found["bus_cap_hits_pct"], found["bus_floor_hits_pct"]) == (100 * 3 / 40, 100 * 5 / 40)
    assert not {"bus_cap_hits_pct", "bus_floor_hits_pct"} & figures(times, 24 * 60 + 60).keys(), "a day later"
    assert not {"bus_cap_hits_pct", "bus_floor_hits_pct"} & figures(noted(ClearingTimes(), plan(0, 0.0), RULES), 5).keys()


def test_times_that_an_older_release_kept_are_read() -> None:
    old = b'{"judged_ns":7,"kept":{"hours":[[0,1.0,1.0]]},"cleared":[[0,-40.0,false]]}'
    times = msgspec.json.decode(old, type=ClearingTimes)
    assert (times.judged_ns, times.cleared) == (7, ((0, -40.0, False),))
    assert msgspec.json.decode(msgspec.json.encode(times), type=ClearingTimes) == times
