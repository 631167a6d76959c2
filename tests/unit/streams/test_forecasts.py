"""Forecast errors against numbers worked out on paper."""

from __future__ import annotations

from math import sqrt

import msgspec
import pytest

from market.units import NS_PER_H, NS_PER_MIN, day_start_ns
from streams.clearing import DayAheadPlan
from streams.forecasts import Actual, ForecastSums, capacity_error, compared, forecast_figures, relative_error

ZONE = "Asia/Shanghai"
DAY = "2020-01-01"
STEP_NS = 10 * NS_PER_MIN


def plan(day: str = DAY, load_mw: float = 1_000.0, wind_solar_mw: float = 300.0) -> DayAheadPlan:
    """A day of which every hour is forecast the same."""
    return DayAheadPlan(ts_event_ns=0, day=day, units_on=((),) * 24, load_mw=(load_mw,) * 24, wind_solar_mw=(wind_solar_mw,) * 24)


def hours(
    *load_mw: float | None, sums: ForecastSums | None = None, first: int = 0, plans: tuple[DayAheadPlan, ...] = (plan(),), zone: str = ZONE
) -> tuple[ForecastSums, int]:
    """Live through hours of the day with a load each, at which wind and sun give a quarter of it, and one tick of the next."""
    sums = sums or ForecastSums()
    now_ns = day_start_ns(DAY, zone) + first * NS_PER_H
    for mw in load_mw:
        actual = Actual(load_mw=mw, wind_solar_mw=None if mw is None else mw / 4, capacity_mw=500.0)
        for _ in range(6):
            sums = compared(sums, now_ns, actual, plans, zone, STEP_NS)
            now_ns += STEP_NS
    return compared(sums, now_ns, Actual(load_mw=0.0, wind_solar_mw=0.0, capacity_mw=500.0), plans, zone, STEP_NS), now_ns


def figures(found: tuple[ForecastSums, int], plans: tuple[DayAheadPlan, ...] = (plan(),), zone: str = ZONE) -> dict[str, float | None]:
    return forecast_figures(found[0], found[1], plans, zone)


def test_errors() -> None:
    assert relative_error(1_100.0, 1_000.0) == pytest.approx(0.1)
    assert relative_error(900.0, 1_000.0) == pytest.approx(-0.1)
    assert relative_error(900.0, 0.0) is None
    assert capacity_error(250.0, 300.0, 500.0) == pytest.approx(-0.1)
    assert capacity_error(250.0, 300.0, 0.0) is None


def test_two_hours_on_paper() -> None:
    """1000 MW foreseen, 800 and 1250 came: +25 % and −20 %. Wind and sun: 300 foreseen, 200 and 312.5 came, of 500: +20 % and −2.5 %."""
    found = figures(hours(800.0, 1_250.0))
    assert found["load_forecast_mw"] == 1_000.0
    assert found["load_forecast_mape_pct"] == pytest.approx((25.0 + 20.0) / 2)
    assert found["load_forecast_accuracy_pct"] == pytest.approx(100.0 - sqrt((25.0**2 + 20.0**2) / 2))
    assert found["wind_solar_forecast_mae_pct"] == pytest.approx((20.0 + 2.5) / 2)
    assert found["wind_solar_forecast_rmse_pct"] == pytest.approx(sqrt((20.0**2 + 2.5**2) / 2))


def test_a_right_forecast_has_no_error() -> None:
    found = figures(hours(*[1_000.0] * 3))
    assert (found["load_forecast_mape_pct"], found["load_forecast_accuracy_pct"]) == (0.0, 100.0)


def test_the_root_mean_square_is_never_below_the_mean() -> None:
    found = figures(hours(800.0, 900.0, 1_300.0, 1_000.0))
    assert (found["wind_solar_forecast_rmse_pct"] or 0.0) >= (found["wind_solar_forecast_mae_pct"] or 0.0) > 0.0
    assert 100.0 - (found["load_forecast_accuracy_pct"] or 0.0) >= (found["load_forecast_mape_pct"] or 0.0) > 0.0


def test_it_is_the_mean_of_the_hour_that_is_compared() -> None:
    sums, now_ns = ForecastSums(), day_start_ns(DAY, ZONE)
    for minute, mw in ((0, 900.0), (20, 1_000.0), (40, 1_100.0), (60, 0.0)):
        actual = Actual(load_mw=mw, wind_solar_mw=None, capacity_mw=0.0)
        sums = compared(sums, now_ns + minute * NS_PER_MIN, actual, (plan(),), ZONE, 20 * NS_PER_MIN)
    assert sums.load.absolute.mean(now_ns + NS_PER_H) == 0.0
    assert sums.wind_solar == ForecastSums().wind_solar, "not known as a whole, so not sampled"


def test_an_hour_that_nobody_watched_is_not_judged() -> None:
    """The second hour is not metered; the third is, and is the only other one judged."""
    found = hours(800.0, None, 1_250.0)
    assert found[0].load.absolute.of_day(found[1])[1] == 2.0
    assert figures(found)["load_forecast_mape_pct"] == pytest.approx((25.0 + 20.0) / 2)


def test_each_hour_is_compared_with_the_forecast_of_its_own_day() -> None:
    """The last hour of the first day is judged by the first tick of the second one."""
    plans = plan(), plan("2020-01-02", load_mw=2_000.0)
    found = hours(800.0, 1_000.0, first=23, plans=plans)
    assert figures(found, plans)["load_forecast_mape_pct"] == pytest.approx((25.0 + 100.0) / 2)


def test_hours_begin_with_the_operating_day_also_where_zones_are_half_an_hour_off() -> None:
    kolkata = "Asia/Kolkata"
    ramp = DayAheadPlan(ts_event_ns=0, day=DAY, units_on=((),) * 24, load_mw=tuple(100.0 * (h + 1) for h in range(24)))
    found = hours(100.0, 200.0, 300.0, plans=(ramp,), zone=kolkata)
    assert found[0].load.absolute.of_day(found[1]) == (0.0, 3.0)


def test_without_a_forecast_there_is_nothing_to_tell() -> None:
    old = DayAheadPlan(ts_event_ns=0, day=DAY, units_on=((),) * 24)
    for plans in ((), (old,), (plan("2020-01-02"),)):
        found = hours(800.0, 900.0, plans=plans)
        assert set(figures(found, plans).values()) == {None}


def test_only_the_last_day_counts_and_a_restart_forgets_nothing() -> None:
    sums, now_ns = hours(800.0, 1_250.0)
    assert msgspec.json.decode(msgspec.json.encode(sums), type=ForecastSums) == sums
    later = forecast_figures(sums, now_ns + 26 * NS_PER_H, (), ZONE)
    assert later["load_forecast_mape_pct"] is None
