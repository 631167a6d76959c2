"""Operating days: the civil days of the market's own zone, by which the day-ahead market is bought, broken and recovered.

Periods in days do not count the day they begin on (Civil Code Art. 201), and holidays do not extend them.
"""

from __future__ import annotations

from datetime import date, timedelta

from market.units import civil_day, day_start_ns

__all__ = ["boundary_from_ns", "days_after", "next_day"]


def days_after(day: str, days: int) -> str:
    """Name the civil day that is ``days`` after ``day``; before it where ``days`` is negative.

    >>> days_after("2026-06-13", 8)
    '2026-06-21'
    """
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def next_day(ns: int, zone: str) -> str:
    """Name the civil day after the one that contains an instant.

    >>> from market.units import instant_ns
    >>> next_day(instant_ns("2026-06-10T23:00:00+08:00"), "Asia/Shanghai")
    '2026-06-11'
    """
    return days_after(civil_day(ns, zone), 1)


def boundary_from_ns(ns: int, zone: str) -> int:
    """Return the first midnight of ``zone`` at or after an instant."""
    start_ns = day_start_ns(civil_day(ns, zone), zone)
    return start_ns if start_ns == ns else day_start_ns(next_day(ns, zone), zone)
