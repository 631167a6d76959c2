"""Units, signs and instants: settled once, here.

Signs:
    * Injection at a bus is positive, withdrawal negative; a *load* is a withdrawal quoted as a positive number of MW.
    * Branch flow is positive from the ``from`` bus to the ``to`` bus. At the ``to`` end it is measured as what leaves that bus, so
      the two end meters of a lossless branch read ``+f`` and ``-f``.
    * Net interchange of an area is positive when the area exports.
    * Area control error is positive when the area over-generates.

Units ride in names, qualifier last: ``load_mw``, ``ramp_mw_per_min_max``, ``price_cny_per_mwh``, ``limit_ns``.

Instants are integer nanoseconds since 1970-01-01T00:00:00Z, always UTC inside; the market's own zone appears at the edges only.
Intervals are half-open, ``[start, end)``, and are named by their start.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from market.errors import UnitError

__all__ = [
    "NS_PER_DAY",
    "NS_PER_H",
    "NS_PER_MIN",
    "NS_PER_MS",
    "NS_PER_S",
    "civil_day",
    "clock_text",
    "day_start_ns",
    "floor_ns",
    "instant_ns",
    "instant_text",
]

NS_PER_MS = 1_000_000
NS_PER_S = 1_000 * NS_PER_MS
NS_PER_MIN = 60 * NS_PER_S
NS_PER_H = 60 * NS_PER_MIN
NS_PER_DAY = 24 * NS_PER_H
"""A day without a change of clocks; the shipped market zone, Asia/Shanghai, has none."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ASKED_LATELY = 1024
"""Days and instants are asked for several times in one step, and by all markets at the same instants."""


@lru_cache(maxsize=16)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as exc:
        raise UnitError(f"{name!r} is not a time zone; give an IANA name such as Asia/Shanghai") from exc


def instant_ns(text: str) -> int:
    """Read an ISO 8601 instant.

    Args:
        text: date and time with an offset, to the nanosecond at most.

    Returns:
        Nanoseconds since the epoch, UTC.

    Raises:
        UnitError: not ISO 8601, or without an offset (an instant without one is a different instant on every machine).

    >>> instant_ns("2026-06-10T12:00:00.001+08:00") - instant_ns("2026-06-10T04:00:00Z")
    1000000
    """
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError) as exc:
        raise UnitError(f"{text!r} is not an ISO 8601 instant such as 2026-06-10T12:00:00+08:00") from exc
    if moment.tzinfo is None:
        raise UnitError(f"{text!r} has no UTC offset; write it out, as in {text}+08:00")
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * NS_PER_S + delta.microseconds * 1_000


def instant_text(ns: int, zone: str = "UTC") -> str:
    """Write an instant as ISO 8601 with the offset of ``zone``, to the millisecond where it has a fraction.

    >>> instant_text(instant_ns("2026-06-10T04:00:30Z"), "Asia/Shanghai")
    '2026-06-10T12:00:30+08:00'
    """
    moment = (_EPOCH + timedelta(microseconds=ns // 1_000)).astimezone(_zone(zone))
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")


def clock_text(ns: int, zone: str) -> str:
    """Write the time of day a person in ``zone`` reads off the wall: ``12:00`` or ``12:00:30``.

    >>> clock_text(instant_ns("2026-06-10T04:00:30Z"), "Asia/Shanghai")
    '12:00:30'
    """
    moment = (_EPOCH + timedelta(microseconds=ns // 1_000)).astimezone(_zone(zone))
    return moment.strftime("%H:%M:%S" if moment.second else "%H:%M")


@lru_cache(maxsize=_ASKED_LATELY)
def civil_day(ns: int, zone: str) -> str:
    """Name the civil day that contains an instant, as ``YYYY-MM-DD`` in ``zone``.

    >>> civil_day(instant_ns("2026-06-10T17:00:00Z"), "Asia/Shanghai")
    '2026-06-11'
    """
    return (_EPOCH + timedelta(microseconds=ns // 1_000)).astimezone(_zone(zone)).date().isoformat()


@lru_cache(maxsize=_ASKED_LATELY)
def day_start_ns(day: str, zone: str) -> int:
    """Return the instant at which civil day ``day`` (``YYYY-MM-DD``) begins in ``zone``.

    Raises:
        UnitError: ``day`` is not a date.

    >>> day_start_ns("2026-06-11", "Asia/Shanghai") == instant_ns("2026-06-11T00:00:00+08:00")
    True
    """
    try:
        parsed = date.fromisoformat(day)
    except (TypeError, ValueError) as exc:
        raise UnitError(f"{day!r} is not a day written YYYY-MM-DD") from exc
    moment = datetime(parsed.year, parsed.month, parsed.day, tzinfo=_zone(zone))
    return int(moment.timestamp()) * NS_PER_S


def floor_ns(ns: int, step_ns: int) -> int:
    """Return the last multiple of ``step_ns`` at or before ``ns``, counted from the epoch.

    Interval lengths that divide an hour fall on the same boundaries in every zone whose offset is a whole number of such
    intervals, which is all of them for 5 and 15 minutes.
    """
    return ns - ns % step_ns
