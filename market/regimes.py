"""Which price is in force for each real-time interval, and by which rule (Art. 27, policy Q2).

Every interval gets a price record when it starts if its own clearing is known, else after the grace; a later, better record of the
same interval replaces it under the next revision. Prices of the market are never overwritten by a substitute.

Absent on purpose: the thirty-day mean of Art. 27(3) (its reference profile needs thirty days of prices), so an interval with both
markets out has a regime and no price; settlement.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from market.facts import Segment
from market.prices import PriceInForce, Regime
from market.rules import MarketRules
from market.units import NS_PER_MIN, civil_day, clock_text, day_start_ns, floor_ns

__all__ = ["DayAheadPrices", "PriceBook", "book_from", "next_deadline_ns", "priced", "with_day_ahead", "with_result"]

_REMEMBERED: Final = 24
"""Intervals whose price record can still be revised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayAheadPrices:
    """Day-ahead user-side prices of one operating day, one per period of ``period_min`` minutes."""

    day_start_ns: int
    period_min: int
    price_cny_per_mwh: tuple[float, ...]

    def at(self, ts_ns: int) -> float | None:
        """Return the price of the period that contains ``ts_ns``, or None outside the day."""
        period, past = divmod(ts_ns - self.day_start_ns, self.period_min * NS_PER_MIN)
        return self.price_cny_per_mwh[period] if past >= 0 and 0 <= period < len(self.price_cny_per_mwh) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """What is known of prices.

    Attributes:
        next_start_ns: first interval without a price record.
        results: (start, price, version) of valid results of intervals not long past.
        given: (start, regime, rev) of the records given lately.
        day_ahead: results by operating day, at most the last three.
        last_valid: (start, price) of the last interval whose market price was in force.
    """

    next_start_ns: int
    results: tuple[tuple[int, float, int], ...] = ()
    given: tuple[tuple[int, Regime, int], ...] = ()
    day_ahead: tuple[DayAheadPrices, ...] = ()
    last_valid: tuple[int, float] | None = None
    current: PriceInForce | None = field(default=None)


def book_from(ts_ns: int, rules: MarketRules) -> PriceBook:
    """Begin with the first interval that starts at or after ``ts_ns``."""
    step = rules.rt_interval_ns
    return PriceBook(next_start_ns=floor_ns(ts_ns + step - 1, step))


def with_result(book: PriceBook, start_ns: int, price_cny_per_mwh: float, version: int) -> PriceBook:
    """Remember a valid real-time result."""
    kept = tuple(entry for entry in book.results if entry[0] != start_ns)[-_REMEMBERED:]
    return replace(book, results=(*kept, (start_ns, price_cny_per_mwh, version)))


def with_day_ahead(book: PriceBook, start_ns: int, price_cny_per_mwh: tuple[float, ...], rules: MarketRules) -> PriceBook:
    """Remember a valid day-ahead result; its period length follows from how many prices cover the day."""
    day = DayAheadPrices(
        day_start_ns=day_start_ns(civil_day(start_ns, rules.zone), rules.zone),
        period_min=24 * 60 // len(price_cny_per_mwh),
        price_cny_per_mwh=price_cny_per_mwh,
    )
    others = tuple(entry for entry in book.day_ahead if entry.day_start_ns != day.day_start_ns)
    return replace(book, day_ahead=tuple(sorted((*others, day), key=lambda entry: entry.day_start_ns))[-3:])


def next_deadline_ns(book: PriceBook, now_ns: int, rules: MarketRules) -> int:
    """Return the next instant at which an interval needs its price record."""
    start_ns = book.next_start_ns + rules.due_offset_ns
    return start_ns if start_ns > now_ns else start_ns + rules.grace_ns


def priced(
    book: PriceBook, now_ns: int, rules: MarketRules, *, substituted_from_ns: int | None, effective_from_ns: int | None
) -> tuple[PriceBook, tuple[PriceInForce, ...]]:
    """Give every interval that needs one its price record.

    Args:
        now_ns: event time.
        substituted_from_ns: first interval the breaker prices, while the real-time market is out or resuming.
        effective_from_ns: first interval of the market again, once a recovery is announced.

    Returns:
        The book, and the new records in the order of their intervals.
    """
    records: list[PriceInForce] = []

    def substituted(start_ns: int) -> bool:
        out = substituted_from_ns is not None and start_ns >= substituted_from_ns
        return out and (effective_from_ns is None or start_ns < effective_from_ns)

    def give(start_ns: int, regime: Regime, price: float | None, source: str, rev: int) -> None:
        nonlocal book
        record = PriceInForce(
            ts_event_ns=now_ns,
            segment=Segment.RT,
            interval_start_ns=start_ns,
            regime=regime,
            price_cny_per_mwh=price,
            rev=rev,
            source=source,
            provisional=regime is not Regime.MARKET,
            rule_set=rules.id,
        )
        records.append(record)
        given = (*(entry for entry in book.given if entry[0] != start_ns), (start_ns, regime, rev))[-_REMEMBERED:]
        current = record if book.current is None or start_ns >= book.current.interval_start_ns else book.current
        last_valid = (start_ns, price) if regime is Regime.MARKET and price is not None else book.last_valid
        book = replace(book, given=given, current=current, last_valid=last_valid)

    for start_ns, regime, rev in book.given:
        if regime is Regime.GAP and substituted(start_ns):
            give(start_ns, *_substitute(book, start_ns, rules), rev + 1)
        elif regime is Regime.GAP and (result := _result(book, start_ns)) is not None:
            give(start_ns, Regime.MARKET, result[1], f"clearing:{result[2]}", rev + 1)
    while book.next_start_ns + rules.due_offset_ns <= now_ns:
        start_ns = book.next_start_ns
        result = _result(book, start_ns)
        if substituted(start_ns):
            give(start_ns, *_substitute(book, start_ns, rules), 0)
        elif result is not None:
            give(start_ns, Regime.MARKET, result[1], f"clearing:{result[2]}", 0)
        elif start_ns + rules.due_offset_ns + rules.grace_ns <= now_ns:
            give(start_ns, *_gap(book, rules), 0)
        else:
            break
        book = replace(book, next_start_ns=start_ns + rules.rt_interval_ns)
    return book, tuple(records)


def _result(book: PriceBook, start_ns: int) -> tuple[int, float, int] | None:
    return next((entry for entry in book.results if entry[0] == start_ns), None)


def _substitute(book: PriceBook, start_ns: int, rules: MarketRules) -> tuple[Regime, float | None, str]:
    """Price an interval of a real-time market that is out: Art. 27(2), or 27(3) by analogy where day-ahead is out too."""
    for day in book.day_ahead:
        price = day.at(start_ns)
        if price is not None:
            period_ns = day.period_min * NS_PER_MIN
            period = clock_text(day.day_start_ns + (start_ns - day.day_start_ns) // period_ns * period_ns, rules.zone)
            return Regime.ART27_2, price, f"day_ahead:{period}"
    return Regime.ART27_3, None, "day_ahead:none"


def _gap(book: PriceBook, rules: MarketRules) -> tuple[Regime, float | None, str]:
    if book.last_valid is None:
        return Regime.GAP, None, "last_valid:none"
    start_ns, price = book.last_valid
    return Regime.GAP, price, f"last_valid:{clock_text(start_ns, rules.zone)}"
