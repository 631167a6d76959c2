"""Operating days: civil days of the market's zone, also where a day has 23 or 25 hours."""

from __future__ import annotations

import pytest

from market.operatingdays import boundary_from_ns, days_after, next_day
from market.units import instant_ns


@pytest.mark.parametrize(
    ("day", "days", "after"),
    [("2026-06-13", 8, "2026-06-21"), ("2026-02-28", 1, "2026-03-01"), ("2028-02-28", 1, "2028-02-29"), ("2026-01-01", -1, "2025-12-31")],
)
def test_days_are_counted_by_the_calendar(day: str, days: int, after: str) -> None:
    assert days_after(day, days) == after


@pytest.mark.parametrize(
    ("instant", "zone", "boundary"),
    [
        ("2026-06-10T00:00:00+08:00", "Asia/Shanghai", "2026-06-10T00:00:00+08:00"),
        ("2026-06-10T00:00:00.001+08:00", "Asia/Shanghai", "2026-06-11T00:00:00+08:00"),
        ("2026-06-10T23:59:59.999+08:00", "Asia/Shanghai", "2026-06-11T00:00:00+08:00"),
        ("2026-03-29T12:00:00+02:00", "Europe/Berlin", "2026-03-30T00:00:00+02:00"),
        ("2026-10-25T12:00:00+01:00", "Europe/Berlin", "2026-10-26T00:00:00+01:00"),
    ],
)
def test_the_next_boundary_is_the_first_midnight_not_before(instant: str, zone: str, boundary: str) -> None:
    assert boundary_from_ns(instant_ns(instant), zone) == instant_ns(boundary)


def test_the_next_day_is_that_of_the_zone() -> None:
    assert next_day(instant_ns("2026-06-10T17:00:00Z"), "Asia/Shanghai") == "2026-06-12"
