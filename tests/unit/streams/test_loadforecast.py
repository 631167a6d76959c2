"""The load of the next interval, against profiles worked out on paper; and how good it was."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.rules import rules_from
from market.units import NS_PER_DAY, NS_PER_H, NS_PER_MIN, day_start_ns
from streams.clearing import DayAheadPlan
from streams.loadforecast import LoadForecastSums, compared, figures, foreseen, noted

RULES = rules_from({})
DAY = "2020-01-02"
MIDNIGHT = day_start_ns(DAY, RULES.zone)
EMPTY = LoadForecastSums()


def at(hour: float) -> int:
    return MIDNIGHT + round(hour * NS_PER_H)


def plan(*load_mw: float) -> DayAheadPlan:
    return DayAheadPlan(ts_event_ns=0, day=DAY, units_on=((),) * 24, load_mw=load_mw)


RAMP = plan(*(1_000.0 + 60.0 * hour for hour in range(24)))
"""60 MW more every hour: a MW a minute between the middles of the hours."""


def lived(
    *load_mw: float, from_ns: int = MIDNIGHT - NS_PER_DAY, step_ns: int = 5 * NS_PER_MIN, sums: LoadForecastSums = EMPTY
) -> LoadForecastSums:
    """Live through instants with a load each."""
    for k, mw in enumerate(load_mw):
        sums = compared(sums, from_ns + k * step_ns, mw, RULES, step_ns)
    return sums


def test_the_load_follows_the_profile_to_the_middle_of_the_interval() -> None:
    """At 8:29 the profile stands at 1479, at 8:37:30 at 1487.5."""
    seen = foreseen(at(8.5), at(8.5) - NS_PER_MIN, (RAMP,), EMPTY, RULES)
    assert seen.ratio == pytest.approx(1_487.5 / 1_479.0)
    assert (seen.horizon_s, seen.persisted) == (8.5 * 60, "")


def test_an_interval_cleared_after_its_middle_is_cleared_for_now() -> None:
    seen = foreseen(at(8.5), at(8.5) + 9 * NS_PER_MIN, (RAMP,), EMPTY, RULES)
    assert (seen.ratio, seen.horizon_s) == (1.0, 0.0)


def test_days_are_joined_at_midnight() -> None:
    yesterday = DayAheadPlan(ts_event_ns=0, day="2020-01-01", units_on=((),) * 24, load_mw=(940.0,) * 24)
    seen = foreseen(at(0), at(0) - NS_PER_MIN, (RAMP, yesterday), EMPTY, RULES)
    assert seen.ratio == pytest.approx(977.5 / 969.0)


def test_without_a_plan_the_day_before_is_the_profile() -> None:
    before = lived(*(1_000.0 + 10.0 * k for k in range(300)))
    seen = foreseen(at(8.5), at(8.5) - NS_PER_MIN, (), before, RULES)
    assert seen.persisted == ""
    assert seen.ratio == pytest.approx(1.0 + 17.0 / (1_000.0 + 10.0 * 8.5 * 12 - 2.0 - 5.0), abs=1e-5), "two MW a minute, 8.5 minutes"


def test_without_a_profile_the_load_persists_and_says_so() -> None:
    seen = foreseen(at(8.5), at(8.5) - NS_PER_MIN, (), EMPTY, RULES)
    assert (seen.ratio, seen.persisted) == (1.0, "there is no profile of the day")
    other_day = DayAheadPlan(ts_event_ns=0, day="2020-03-01", units_on=((),) * 24, load_mw=(940.0,) * 24)
    assert foreseen(at(8.5), at(8.5) - NS_PER_MIN, (other_day,), EMPTY, RULES).persisted == "there is no profile of the day"


@pytest.mark.parametrize("hours", [(0.0,) * 24, (1_000.0,) * 8 + (9_000.0,) * 16, (1_000.0,) * 8 + (float("nan"),) * 16])
def test_a_profile_that_cannot_be_is_not_followed(hours: tuple[float, ...]) -> None:
    seen = foreseen(at(8.25), at(8.25) - 20 * NS_PER_MIN, (plan(*hours),), EMPTY, RULES)
    assert seen.ratio == 1.0
    assert "by more than a factor of 1.2" in seen.persisted


def test_a_bound_of_one_follows_no_profile() -> None:
    still = rules_from({"load_forecast": {"ratio_max": 1}})
    assert foreseen(at(8.5), at(8.5) - NS_PER_MIN, (RAMP,), EMPTY, still).persisted.startswith(
        "the day-ahead load forecast goes from 1,479"
    )


def test_a_hole_in_the_day_before_is_no_profile() -> None:
    before = lived(*(1_000.0,) * 80) if RULES.rt_interval_min == 15 else EMPTY
    assert foreseen(at(8.5), at(8.5) - NS_PER_MIN, (), before, RULES).persisted


def test_forecasts_are_judged_by_the_mean_of_their_interval() -> None:
    """1000 MW were foreseen twice; 800 and 1250 came: 25 % and 20 %."""
    sums = noted(noted(EMPTY, MIDNIGHT, 1_000.0), MIDNIGHT + 15 * NS_PER_MIN, 1_000.0)
    sums = lived(700.0, 800.0, 900.0, 1_250.0, 1_250.0, 1_250.0, 0.0, from_ns=MIDNIGHT, sums=sums)
    assert figures(sums, MIDNIGHT + NS_PER_H)["interval_load_mape_pct"] == pytest.approx(22.5)
    assert sums.pending == ()


def test_an_interval_that_nobody_foresaw_or_watched_is_not_judged() -> None:
    assert figures(lived(*(800.0,) * 9, from_ns=MIDNIGHT), MIDNIGHT)["interval_load_mape_pct"] is None
    watched_briefly = lived(800.0, from_ns=MIDNIGHT, sums=noted(EMPTY, MIDNIGHT, 1_000.0))
    sums = lived(800.0, from_ns=MIDNIGHT + 15 * NS_PER_MIN, sums=watched_briefly)
    assert figures(sums, MIDNIGHT)["interval_load_mape_pct"] is None
    assert compared(EMPTY, MIDNIGHT, None, RULES, NS_PER_MIN) == EMPTY


def test_a_day_of_quarters_is_remembered_and_comes_back_as_it_was() -> None:
    sums = lived(*(1_000.0,) * 900)
    assert 96 <= len(sums.recent) <= 105
    assert msgspec.json.decode(msgspec.json.encode(sums), type=LoadForecastSums) == sums


@settings(max_examples=40)
@given(
    hours=st.lists(st.floats(0.0, 1e5), min_size=24, max_size=24),
    minute=st.integers(0, 24 * 60 - 1),
    lead=st.integers(-15, 30),
)
def test_whatever_the_profile_the_change_stays_within_its_bound(hours: list[float], minute: int, lead: int) -> None:
    start_ns = MIDNIGHT + minute * NS_PER_MIN
    seen = foreseen(start_ns, start_ns - lead * NS_PER_MIN, (plan(*hours),), EMPTY, RULES)
    assert 1 / 1.2 <= seen.ratio <= 1.2
    assert seen.horizon_s >= 0.0
