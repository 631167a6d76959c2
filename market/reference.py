"""What would a settlement period cost if both markets went out: the thirty-day mean of Art. 27(3), kept ready before it is needed.

For each settlement period of each day it is remembered what the reference market's own clearing made of it, or why that does not
count: a price that a rule of the breaker set, a gap, a day without a result. The mean is over the days before the first day of an
interruption and is fixed for its length (policy Q5), so it never feeds on itself. Fewer values than a sample needs are no price, and
people are told; they may look further back.

The rows are packed into bytes, four to a settlement period, because all of it is written with the breaker's state at every fact.

Deliberately absent: which intervals the mean prices (:mod:`market.pricebook`); a split by kinds of days, which the text does not make.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from itertools import groupby
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from market.handling import ProfilePublished
from market.prices import mean_fen
from market.rules import MarketRules
from market.units import NS_PER_MIN, civil_day, day_start_ns

__all__ = [
    "KEPT_WINDOWS",
    "LeftOut",
    "Mean",
    "ReferenceBook",
    "entry_at",
    "mean_at",
    "noted",
    "period_of",
    "profile",
    "trimmed",
    "with_day",
]

KEPT_WINDOWS: Final = 2
"""How many windows of days are remembered: the window can be extended to so many times its length."""

_BYTES: Final = 4
_DAY_MIN: Final = 24 * 60
_FEN: Final = 100


class LeftOut(StrEnum):
    """Why a settlement period of a day is no part of the mean."""

    NO_RESULT = "no result"
    """No clearing of its own, or the market did not run."""
    ART27_1 = "Art. 27(1)"
    ART27_2 = "Art. 27(2)"
    ART27_3 = "Art. 27(3)"
    ART28 = "Art. 28"
    GAP = "gap"
    """At least one of its intervals had no result of its own."""


_WHY: Final = tuple(LeftOut)
_LEAST: Final = -(2 ** (8 * _BYTES - 1))
"""The codes of :data:`_WHY` are the lowest numbers there are, in their order; no price is as low."""
_WHY_OF: Final = {_LEAST + place: why for place, why in enumerate(_WHY)}

Entry = int | LeftOut
"""Price of a settlement period in fen/MWh, or why there is none that counts."""


class ReferenceBook(Struct, frozen=True, kw_only=True):
    """What is known of the days past.

    Attributes:
        first_day: civil day of the first row, as ``2026-06-10``; empty before there is one.
        period_min: length of a settlement period, of which a row has one entry each.
        packed: rows of consecutive days, each entry four bytes, the highest first.
        part: prices in fen/MWh of the intervals of the settlement period that runs, where the real-time price is the reference.
        part_start_ns: of that period.
        due_ns: when the next profile is to be published; None until it is known.
        extended: first day of the interruption whose window was extended, and to how many days.
        looks_further: whether it was extended since intervals were last priced.
        short: first day of an interruption in which a period had too few values; told: the one of which people were told.
    """

    first_day: str = ""
    period_min: int = 0
    packed: bytes = b""
    part: tuple[int, ...] = ()
    part_start_ns: int = 0
    due_ns: int | None = None
    extended: tuple[str, int] | None = None
    short: str = ""
    told: str = ""
    looks_further: bool = False


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean of Art. 27(3), CNY/MWh; None where the sample is insufficient. ``days`` is how far back it looked."""

    cny_per_mwh: float | None
    sample: int
    days: int


def period_of(ts_ns: int, rules: MarketRules) -> tuple[str, int]:
    """Return the civil day and the settlement period, from 0, that contain an instant."""
    day = civil_day(ts_ns, rules.zone)
    period = (ts_ns - day_start_ns(day, rules.zone)) // (rules.reference.period_min * NS_PER_MIN)
    # The hour that a change of clocks adds to a day is settled as its last.
    return day, min(period, _DAY_MIN // rules.reference.period_min - 1)


def midnight_after_ns(ts_ns: int, rules: MarketRules) -> int:
    """Return the first midnight of the market's zone after an instant."""
    following = date.fromisoformat(civil_day(ts_ns, rules.zone)).toordinal() + 1
    return day_start_ns(_day(following), rules.zone)


def noted(book: ReferenceBook, day: str, period: int, entry: Entry, rules: MarketRules) -> ReferenceBook:
    """Remember what one interval made of its settlement period: one that does not count leaves the whole period out.

    Args:
        book: what is known.
        day: civil day.
        period: settlement period, from 0.
        entry: of the interval.
        rules: the rule set in force.
    """
    book = _with_row(book, day, rules)
    known = entry_at(book, day, period)
    keep = isinstance(known, LeftOut) and known is not LeftOut.NO_RESULT
    if keep or entry is LeftOut.NO_RESULT or entry == known:
        return book
    return _written(book, day, {period: entry})


def with_day(book: ReferenceBook, day: str, price_fen: Sequence[int], rules: MarketRules, *, anew: bool = False) -> ReferenceBook:
    """Take in a result of a day that began already: told late, told of a day before this service looked, or published anew (Art. 22).

    Periods that a rule of the breaker priced stay left out.

    Args:
        book: what is known.
        day: civil day.
        price_fen: of each settlement period, fen/MWh.
        rules: the rule set in force.
        anew: whether it takes the place of the prices that are known.
    """
    book = _with_row(book, day, rules)
    if not _has(book, day):
        return book
    counts: dict[int, Entry] = {}
    for period, fen in enumerate(price_fen):
        known = entry_at(book, day, period)
        if known is LeftOut.NO_RESULT or (anew and not isinstance(known, LeftOut)):
            counts[period] = fen
    return _written(book, day, counts)


def trimmed(book: ReferenceBook, first_day: str, rules: MarketRules) -> ReferenceBook:
    """Forget the days that no window before ``first_day`` can reach."""
    if not book.packed:
        return book
    spare = _row(book, first_day) - rules.reference.window_days * KEPT_WINDOWS
    if spare <= 0:
        return book
    first = _day(date.fromisoformat(book.first_day).toordinal() + spare)
    return replace(book, first_day=first, packed=book.packed[spare * _width(book) :])


def entry_at(book: ReferenceBook, day: str, period: int) -> Entry:
    """Return the price of a settlement period of a day, fen/MWh, or why it does not count."""
    return _entry(book, _row(book, day), period) if _has(book, day) else LeftOut.NO_RESULT


def mean_at(book: ReferenceBook, first_day: str, period: int, rules: MarketRules) -> Mean:
    """Return the mean price of a settlement period over the days before an interruption (Art. 27(3)).

    A window that was extended is looked at only where the shorter one has too few values.

    Args:
        book: what is known.
        first_day: civil day on which the interruption began.
        period: settlement period, from 0.
        rules: the rule set in force.
    """
    mean = _mean(book, first_day, period, rules.reference.window_days, rules.reference.sample_min)
    if mean.cny_per_mwh is None and book.extended is not None and book.extended[0] == first_day:
        return _mean(book, first_day, period, book.extended[1], rules.reference.sample_min)
    return mean


def profile(book: ReferenceBook, day: str, first_day: str, rules: MarketRules) -> ProfilePublished:
    """Return the reference prices of a day, for every settlement period.

    Args:
        book: what is known.
        day: the operating day they are for.
        first_day: on which the interruption began, ``day`` itself where none runs.
        rules: the rule set in force.
    """
    means = [mean_at(book, first_day, period, rules) for period in range(_DAY_MIN // rules.reference.period_min)]
    days = max(mean.days for mean in means)
    end = date.fromisoformat(first_day).toordinal()
    return ProfilePublished(
        day=day,
        window=(_day(end - days), _day(end - 1)),
        period_min=rules.reference.period_min,
        price_cny_per_mwh=tuple(mean.cny_per_mwh for mean in means),
        sample=tuple(mean.sample for mean in means),
        left_out=tuple(_left_out(book, range(end - days, end), rules)),
    )


def _left_out(book: ReferenceBook, days: range, rules: MarketRules) -> Iterator[str]:
    """Say what of a window does not count; whole days in a row that are left out for one reason are one line."""
    minutes = rules.reference.period_min
    whole: tuple[LeftOut, int, int] | None = None
    for ordinal in days:
        entries = [entry_at(book, _day(ordinal), period) for period in range(_DAY_MIN // minutes)]
        why, *others = dict.fromkeys(entries)
        if isinstance(why, LeftOut) and not others:
            if whole is not None and whole[0] is why:
                whole = (why, whole[1], ordinal)
                continue
            yield from _days_left_out(whole)
            whole = (why, ordinal, ordinal)
            continue
        yield from _days_left_out(whole)
        whole, first = None, 0
        for entry, run in groupby(entries):
            last = first + sum(1 for _ in run)
            if isinstance(entry, LeftOut):
                yield f"{_day(ordinal)} {_clock(first * minutes)}–{_clock(last * minutes)}: {entry}"
            first = last
    yield from _days_left_out(whole)


def _days_left_out(run: tuple[LeftOut, int, int] | None) -> Iterator[str]:
    if run is not None:
        why, first, last = run
        yield f"{_day(first)}: {why}" if first == last else f"{_day(first)}..{_day(last)}: {why}"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _day(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()


def _mean(book: ReferenceBook, first_day: str, period: int, days: int, least: int) -> Mean:
    if not book.packed:
        return Mean(None, 0, days)
    row, kept = _row(book, first_day), len(book.packed) // _width(book)
    entries = (_entry(book, at, period) for at in range(max(0, row - days), min(row, kept)))
    fen = [entry for entry in entries if isinstance(entry, int)]
    if len(fen) < least:
        return Mean(None, len(fen), days)
    return Mean(mean_fen(fen) / _FEN, len(fen), days)


def _row(book: ReferenceBook, day: str) -> int:
    """Return the place of a day's row, which may be none that is kept."""
    return _ordinal(day) - _ordinal(book.first_day)


@lru_cache(maxsize=64)
def _ordinal(day: str) -> int:
    """Return the number of a day; the first one of a book is asked for with every interval."""
    return date.fromisoformat(day).toordinal()


def _has(book: ReferenceBook, day: str) -> bool:
    return bool(book.packed) and 0 <= _row(book, day) * _width(book) < len(book.packed)


def _width(book: ReferenceBook) -> int:
    """Return the length of a row, bytes."""
    return _DAY_MIN // book.period_min * _BYTES


def _entry(book: ReferenceBook, row: int, period: int) -> Entry:
    at = row * _width(book) + period * _BYTES
    value = int.from_bytes(book.packed[at : at + _BYTES], "big", signed=True)
    return _WHY_OF.get(value, value)


def _written(book: ReferenceBook, day: str, entries: dict[int, Entry]) -> ReferenceBook:
    packed, at = bytearray(book.packed), _row(book, day) * _width(book)
    for period, entry in entries.items():
        value = _LEAST + _WHY.index(entry) if isinstance(entry, LeftOut) else entry
        packed[at + period * _BYTES : at + (period + 1) * _BYTES] = value.to_bytes(_BYTES, "big", signed=True)
    return replace(book, packed=bytes(packed))


def _with_row(book: ReferenceBook, day: str, rules: MarketRules) -> ReferenceBook:
    """Make a row for a day, and for the days between it and those that are known; one that is too old gets none."""
    if book.period_min != rules.reference.period_min:
        # Rows of settlement periods of another length say nothing of these.
        book = replace(book, first_day="", period_min=rules.reference.period_min, packed=b"")
    if not book.packed:
        return replace(book, first_day=day, packed=_blank(book, 1))
    row, kept = _row(book, day), len(book.packed) // _width(book)
    if row < 0:
        spare = rules.reference.window_days * KEPT_WINDOWS - kept
        return book if -row > spare else replace(book, first_day=day, packed=_blank(book, -row) + book.packed)
    return book if row < kept else replace(book, packed=book.packed + _blank(book, row + 1 - kept))


def _blank(book: ReferenceBook, days: int) -> bytes:
    return _LEAST.to_bytes(_BYTES, "big", signed=True) * (_DAY_MIN // book.period_min * days)
