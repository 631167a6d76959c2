"""Instants, days and their zone."""

from __future__ import annotations

import pytest

from market.errors import UnitError
from market.units import NS_PER_DAY, NS_PER_MIN, civil_day, clock_text, day_start_ns, floor_ns, instant_ns, instant_text


def test_instants_round_trip_with_their_zone() -> None:
    for text in ("2026-06-10T12:00:00+08:00", "2026-06-10T11:59:59.999+08:00"):
        assert instant_text(instant_ns(text), "Asia/Shanghai") == text
    assert instant_ns("2026-06-10T04:00:00Z") == instant_ns("2026-06-10T12:00:00+08:00")
    assert instant_ns("1969-12-31T23:59:59Z") == -(10**9)


@pytest.mark.parametrize("text", ["2026-06-10T12:00:00", "noon", "", "2026-13-01T00:00:00Z"])
def test_an_instant_needs_a_date_a_time_and_an_offset(text: str) -> None:
    with pytest.raises(UnitError, match=r"instant|offset"):
        instant_ns(text)


def test_days_are_civil_days_of_the_zone() -> None:
    late = instant_ns("2026-06-10T23:59:59.999+08:00")
    assert civil_day(late, "Asia/Shanghai") == "2026-06-10"
    assert civil_day(late + 10**6, "Asia/Shanghai") == "2026-06-11"
    assert day_start_ns("2026-06-11", "Asia/Shanghai") - day_start_ns("2026-06-10", "Asia/Shanghai") == NS_PER_DAY
    with pytest.raises(UnitError, match="YYYY-MM-DD"):
        day_start_ns("10.6.2026", "Asia/Shanghai")
    with pytest.raises(UnitError, match="time zone"):
        civil_day(0, "Asia/Atlantis")


def test_clock_shows_seconds_only_when_there_are_any() -> None:
    noon = instant_ns("2026-06-10T12:00:00+08:00")
    assert clock_text(noon, "Asia/Shanghai") == "12:00"
    assert clock_text(noon + 30 * 10**9, "Asia/Shanghai") == "12:00:30"


def test_floor() -> None:
    start = instant_ns("2026-06-10T12:05:00+08:00")
    assert floor_ns(start, 5 * NS_PER_MIN) == start
    assert floor_ns(start + 5 * NS_PER_MIN - 1, 5 * NS_PER_MIN) == start
