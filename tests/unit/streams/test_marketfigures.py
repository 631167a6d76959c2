"""Competition and the times of clearing against numbers worked out on paper."""

from __future__ import annotations

import numpy as np
import pytest

from market.rules import rules_from
from market.units import NS_PER_DAY, NS_PER_MIN, NS_PER_S, instant_ns
from streams.clearing import IntervalPlan
from streams.marketfigures import ClearingTimes, clearing_figures, due, hhi, noted, rsi, supplied_mw, top4_pct

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


def test_concentration() -> None:
    """Plants of 40, 30, 20, 10 MW: 1600 + 900 + 400 + 100."""
    mw = supplied_mw(np.array([0, 0, 1, 2, 3, 3]), np.array([25.0, 15.0, 30.0, 20.0, 10.0, -3.0]))
    assert mw.tolist() == [40.0, 30.0, 20.0, 10.0]
    assert hhi(mw) == pytest.approx(3_000.0)
    assert top4_pct(mw) == 100.0
    assert top4_pct(np.array([10.0] * 10)) == pytest.approx(40.0)
    assert hhi(np.array([5.0])) == 10_000.0


def test_concentration_of_nothing_or_of_the_unknown_is_absent() -> None:
    for mw in (np.zeros(0), np.zeros(3), np.array([1.0, np.nan])):
        assert hhi(mw) is None
        assert top4_pct(mw) is None


def test_residual_supply() -> None:
    """100 MW of load; without the 60 MW plant 90 MW are left: it is pivotal, the others are not."""
    assert rsi(np.array([60.0, 50.0, 40.0]), 100.0).tolist() == pytest.approx([0.9, 1.0, 1.1])


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
