"""Which price is in force for each real-time interval, and by which rule (Art. 27, policy Q2).

Every interval gets a price record when it starts if its own clearing is known, else after the grace; a later, better record of the
same interval replaces it under the next revision. Prices of the market are never overwritten by a substitute. What is remembered is
what can still change: results of intervals without a price of their own, and records that a result or a day-ahead price would better.

Which rule it is, is :func:`market.regimes.regime`. Absent on purpose: settlement (:mod:`market.settlement`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import msgspec
from msgspec import Struct, structs

from market import reference
from market.dayaheadprices import Beside, DayAheadPrices, credible_day, published_ns
from market.facts import Segment
from market.prices import OWN, PriceInForce, Regime, fen_of, mean_fen
from market.reference import LeftOut, ReferenceBook
from market.regimes import Interruptions, by_analogy, covers, regime
from market.rules import MarketRules, Reference
from market.units import NS_PER_H, NS_PER_MIN, civil_day, clock_text, day_start_ns, floor_ns

__all__ = [
    "REVISED_NS",
    "DayAheadPrices",
    "PriceBook",
    "book_from",
    "cleared_again",
    "day_ahead_at",
    "in_force",
    "next_deadline_ns",
    "priced",
    "with_day_ahead",
    "with_result",
]

REVISED_NS: Final = 24 * NS_PER_H
"""How long a price that is not final can still be revised, and any price of the market by an order to clear again."""

_REVISABLE: Final = (Regime.GAP, Regime.ART27_3)
_WAITING_MAX: Final = 4
"""How many day-ahead results may wait to be published; the oldest gives way."""


class PriceBook(Struct, frozen=True, kw_only=True):
    """What is known of prices.

    Attributes:
        next_start_ns: first interval without a price record.
        results: (start, price, version) of valid results of intervals that have no price of their own yet.
        given: (start, regime, rev) of the records of the last day that can still be revised.
        day_ahead: results by operating day, at most the last three.
        last_valid: (start, price) of the last interval whose market price was in force.
        doubted: starts of intervals in ``results`` whose result is under review, ascending.
        settled: (start, regime, rev) of the records of the last day that only an order to clear again can touch, except the first ones
            of the market, which are all the others.
        whole_from_ns: first interval since which every record is remembered; None in states of releases that remembered less.
        reference: prices of the days past, for the mean of Art. 27(3).
        unpriced: (start, rev) of the records of the last day that Art. 27(3) gave no price, for want of a sample.
        waiting: newer versions of day-ahead results that were published, until they are published themselves, oldest first.
        waiting_told: those of which people were told, as ``2026-06-10 version 2``.
        anew_ns: start of an operating day whose result was published anew; what it prices is to be revised.
        beside: what the day-ahead market's own records are made of (:mod:`market.dayaheadrecords`).
    """

    next_start_ns: int
    results: tuple[tuple[int, float, int], ...] = ()
    given: tuple[tuple[int, Regime, int], ...] = ()
    day_ahead: tuple[DayAheadPrices, ...] = ()
    last_valid: tuple[int, float] | None = None
    current: PriceInForce | None = None
    doubted: tuple[int, ...] = ()
    settled: tuple[tuple[int, Regime, int], ...] = ()
    whole_from_ns: int | None = None
    reference: ReferenceBook = msgspec.field(default_factory=ReferenceBook)
    unpriced: tuple[tuple[int, int], ...] = ()
    waiting: tuple[DayAheadPrices, ...] = ()
    waiting_told: tuple[str, ...] = ()
    anew_ns: int | None = None
    beside: Beside = msgspec.field(default_factory=Beside)


def book_from(ts_ns: int, rules: MarketRules) -> PriceBook:
    """Begin with the first interval that starts at or after ``ts_ns``."""
    step = rules.rt_interval_ns
    first_ns = floor_ns(ts_ns + step - 1, step)
    known = ReferenceBook(due_ns=reference.midnight_after_ns(ts_ns, rules))
    return PriceBook(next_start_ns=first_ns, whole_from_ns=first_ns, reference=known)


def with_result(book: PriceBook, start_ns: int, price_cny_per_mwh: float, version: int, *, doubted: bool = False) -> PriceBook:
    """Remember a valid real-time result; one that is doubted makes a provisional price."""
    kept = tuple(entry for entry in book.results if entry[0] != start_ns)
    under_review = {*book.doubted, start_ns} if doubted else {*book.doubted} - {start_ns}
    return structs.replace(book, results=(*kept, (start_ns, price_cny_per_mwh, version)), doubted=tuple(sorted(under_review)))


def with_day_ahead(
    book: PriceBook, start_ns: int, price_cny_per_mwh: tuple[float, ...], version: int, rules: MarketRules, now_ns: int
) -> PriceBook:
    """Remember a day-ahead result; its period length follows from how many prices cover the day.

    One that is not valid changes nothing: other than one price a period, prices that are not finite or outside cap and floor, a
    version that is not newer than the one that is known. A newer version of a result that is published waits until both approvals are
    there and people publish it (Art. 22, :mod:`market.publishing`).
    """
    first_ns = day_start_ns(civil_day(start_ns, rules.zone), rules.zone)
    known = max((day.version for day in (*book.day_ahead, *book.waiting) if day.day_start_ns == first_ns), default=0)
    day = credible_day(first_ns, price_cny_per_mwh, version, rules)
    if day is None or version <= known:
        return book
    if known and now_ns >= published_ns(first_ns, rules):
        return structs.replace(book, waiting=(*book.waiting, day)[-_WAITING_MAX:])
    return in_force(book, day, rules, now_ns)


def in_force(book: PriceBook, day: DayAheadPrices, rules: MarketRules, now_ns: int, *, anew: bool = False) -> PriceBook:
    """Let a day-ahead result be the one of its day; ``anew`` where it takes the place of one that was published."""
    day = replace(day, since_ns=book.next_start_ns)
    if anew:
        before = next(entry for entry in book.day_ahead if entry.day_start_ns == day.day_start_ns)
        day = replace(day, anew=before.anew + 1, since_ns=before.since_ns)
        book = structs.replace(book, anew_ns=day.day_start_ns, beside=replace(book.beside, anew_ns=day.day_start_ns))
    others = tuple(entry for entry in book.day_ahead if entry.day_start_ns != day.day_start_ns)
    days = tuple(sorted((*others, day), key=lambda entry: entry.day_start_ns))[-3:]
    kept = {entry.day_start_ns for entry in days}
    book = structs.replace(book, day_ahead=days, waiting=tuple(entry for entry in book.waiting if entry.day_start_ns in kept))
    if day.day_start_ns > now_ns or rules.reference.market is not Reference.DA:
        return book
    minutes = rules.reference.period_min
    fen = [day.settled_fen(period, minutes) for period in range(24 * 60 // minutes)]
    name = civil_day(day.day_start_ns, rules.zone)
    return structs.replace(book, reference=reference.with_day(book.reference, name, fen, rules, anew=anew))


def day_ahead_at(book: PriceBook, start_ns: int) -> float | None:
    """Return the day-ahead price of the period that contains ``start_ns``, or None where there is none."""
    return next((price for day in book.day_ahead if (price := day.at(start_ns)) is not None), None)


def next_deadline_ns(book: PriceBook, now_ns: int, rules: MarketRules) -> int:
    """Return the next instant at which an interval needs its price record, or the reference prices of a day are to be published."""
    start_ns = book.next_start_ns + rules.due_offset_ns
    record_ns = start_ns if start_ns > now_ns else start_ns + rules.grace_ns
    due_ns = book.reference.due_ns
    return record_ns if due_ns is None or due_ns <= now_ns else min(record_ns, due_ns)


def priced(book: PriceBook, now_ns: int, rules: MarketRules, interruptions: Interruptions) -> tuple[PriceBook, tuple[PriceInForce, ...]]:
    """Give every interval that needs one its price record.

    Args:
        book: what is known.
        now_ns: event time.
        rules: the rule set in force.
        interruptions: when the markets are out.

    Returns:
        The book, and the new records in the order of their intervals.
    """
    records: list[PriceInForce] = []
    if book.whole_from_ns is None:
        book = structs.replace(book, whole_from_ns=book.next_start_ns)
    cleared = {start_ns for start_ns, _, _ in book.results}
    for start_ns, rule, rev in book.given:
        if (price := _better(book, start_ns, rule, rules, interruptions, cleared=start_ns in cleared)) is not None:
            book = _give(book, records, now_ns, start_ns, price, rev + 1, rules)
    if book.anew_ns is not None:
        for start_ns, rule, rev in book.settled:
            if rule is Regime.ART27_2 and (found := _day_ahead(book, start_ns, rules, of_day_ns=book.anew_ns)) is not None:
                book = _give(book, records, now_ns, start_ns, _Price(rule, *found), rev + 1, rules)
        book = structs.replace(book, anew_ns=None)
    if book.reference.looks_further:
        for start_ns, rev in book.unpriced:
            price = _mean_price(book, start_ns, rules, interruptions)
            if price.cny_per_mwh is not None:
                book = _give(book, records, now_ns, start_ns, price, rev + 1, rules)
        book = structs.replace(book, reference=structs.replace(book.reference, looks_further=False))
    while (start_ns := book.next_start_ns) + rules.due_offset_ns <= now_ns:
        price = _price(book, start_ns, rules, interruptions)
        if price.rule is Regime.GAP and start_ns + rules.due_offset_ns + rules.grace_ns > now_ns:
            break
        book = _give(book, records, now_ns, start_ns, price, 0, rules)
        # Where the rules changed to longer intervals, what is left of one of theirs has a record of its own.
        next_ns = floor_ns(start_ns, rules.rt_interval_ns) + rules.rt_interval_ns
        book = structs.replace(book, next_start_ns=next_ns, reference=_noted(book, start_ns, price, rules, interruptions))
    # What is over is looked for when there is something new, not at every fact.
    return _forgotten(book, now_ns) if records else book, tuple(records)


def _better(
    book: PriceBook, start_ns: int, rule: Regime, rules: MarketRules, interruptions: Interruptions, *, cleared: bool
) -> _Price | None:
    """Return the price that takes the place of one that is not final; None where it stands. Asked of each of them at every fact."""
    if rule is Regime.GAP:
        return _price(book, start_ns, rules, interruptions) if cleared or covers(interruptions.rt, start_ns) else None
    if day_ahead_at(book, start_ns) is None or covers(interruptions.da, start_ns):
        return None
    found = _day_ahead(book, start_ns, rules)
    assert found is not None, "there is a day-ahead price"
    return _Price(Regime.ART27_2, *found)


def cleared_again(
    book: PriceBook, now_ns: int, start_ns: int, price_cny_per_mwh: float, version: int, rules: MarketRules
) -> tuple[PriceBook, tuple[PriceInForce, ...]]:
    """Revise the price of an interval that was cleared again by order: the result published last is what is settled (Art. 22).

    Returns:
        The book, and the new record; none where the interval has no price yet, where the breaker sets it (Art. 27), or where it is too
        old for its records to be remembered.
    """
    if book.whole_from_ns is None or not max(book.whole_from_ns, now_ns - REVISED_NS + 1) <= start_ns < book.next_start_ns:
        return book, ()
    rule, rev = next(((rule, rev) for at, rule, rev in (*book.given, *book.settled) if at == start_ns), (Regime.MARKET, 0))
    if rule not in (*OWN, Regime.GAP):
        return book, ()
    own = _Price(Regime.MARKET if rule is Regime.GAP else rule, price_cny_per_mwh, f"clearing:{version}", start_ns)
    records: list[PriceInForce] = []
    book = _give(book, records, now_ns, start_ns, own, rev + 1, rules)
    return book, tuple(records)


@dataclass(frozen=True, slots=True)
class _Price:
    """A price as it will stand in a record; ``clearing_start_ns`` is the interval whose clearing it is of."""

    rule: Regime
    cny_per_mwh: float | None
    source: str
    clearing_start_ns: int | None = None
    by_analogy: bool = False
    final: bool = False
    """Whether nothing that comes later would better it."""


def _give(
    book: PriceBook, records: list[PriceInForce], now_ns: int, start_ns: int, price: _Price, rev: int, rules: MarketRules
) -> PriceBook:
    record = PriceInForce(
        ts_event_ns=now_ns,
        segment=Segment.RT,
        interval_start_ns=start_ns,
        regime=price.rule,
        price_cny_per_mwh=price.cny_per_mwh,
        rev=rev,
        source=price.source,
        provisional=price.rule not in OWN or start_ns in book.doubted,
        rule_set=rules.id,
        clearing_start_ns=price.clearing_start_ns,
        by_analogy=price.by_analogy,
    )
    records.append(record)
    given = tuple(entry for entry in book.given if entry[0] != start_ns)
    settled = tuple(entry for entry in book.settled if entry[0] != start_ns)
    if price.rule in _REVISABLE and not price.final:
        given = (*given, (start_ns, price.rule, rev))
    elif rev or price.rule is not Regime.MARKET:
        settled = (*settled, (start_ns, price.rule, rev))
    unpriced = tuple(entry for entry in book.unpriced if entry[0] != start_ns)
    if price.rule is Regime.ART27_3 and price.cny_per_mwh is None:
        unpriced = (*unpriced, (start_ns, rev))
    current = record if book.current is None or start_ns >= book.current.interval_start_ns else book.current
    last_valid = book.last_valid
    if price.rule in OWN and (last_valid is None or start_ns >= last_valid[0]):
        assert price.cny_per_mwh is not None, "a clearing has a price"
        last_valid = (start_ns, price.cny_per_mwh)
    return structs.replace(book, given=given, settled=settled, current=current, last_valid=last_valid, unpriced=unpriced)


def _forgotten(book: PriceBook, now_ns: int) -> PriceBook:
    """Drop what can change no price any more."""
    since_ns = now_ns - REVISED_NS
    given = tuple(entry for entry in book.given if entry[0] > since_ns)
    settled = tuple(entry for entry in book.settled if entry[0] > since_ns)
    unpriced = tuple(entry for entry in book.unpriced if entry[0] > since_ns)
    results = tuple(entry for entry in book.results if entry[0] >= book.next_start_ns)
    doubted = tuple(start_ns for start_ns in book.doubted if start_ns >= book.next_start_ns)
    return structs.replace(book, given=given, settled=settled, results=results, doubted=doubted, unpriced=unpriced)


def _result(book: PriceBook, start_ns: int) -> tuple[int, float, int] | None:
    return next((entry for entry in book.results if entry[0] == start_ns), None)


def _price(book: PriceBook, start_ns: int, rules: MarketRules, interruptions: Interruptions) -> _Price:
    """Price an interval by the rule that holds for it."""
    result, da_out = _result(book, start_ns), covers(interruptions.da, start_ns)
    # While the day-ahead market is out, what it clears is a shadow.
    day_ahead = None if da_out else _day_ahead(book, start_ns, rules)
    kind = interruptions.rt_kind(start_ns)
    rt_ok = kind is None and result is not None
    # A day-ahead price that is only missing takes nothing from a real-time result.
    da_ok = not da_out if rt_ok else day_ahead is not None
    rule = regime(da_ok, rt_ok, kind, covers(interruptions.art28, start_ns))
    match rule:
        case Regime.MARKET | Regime.ART27_1:
            assert result is not None, "an interval in force has its result"
            return _Price(rule, result[1], f"clearing:{result[2]}", start_ns)
        case Regime.ART27_2:
            assert day_ahead is not None, "the day-ahead market is in force"
            return _Price(rule, *day_ahead)
        case Regime.ART27_3:
            return _mean_price(book, start_ns, rules, interruptions)
        case Regime.ART28:
            return _Price(rule, None, "emergency_plan:none")
        case Regime.GAP:
            return _gap(book, start_ns, day_ahead, rules)


def _mean_price(book: PriceBook, start_ns: int, rules: MarketRules, interruptions: Interruptions) -> _Price:
    """Price an interval by the thirty-day mean (Art. 27(3))."""
    first_day = _first_day(start_ns, rules, interruptions)
    _, period = reference.period_of(start_ns, rules)
    mean = reference.mean_at(book.reference, first_day, period, rules)
    return _Price(
        Regime.ART27_3,
        mean.cny_per_mwh,
        f"profile:{first_day} n={mean.sample}",
        by_analogy=by_analogy(Regime.ART27_3, interruptions.rt_kind(start_ns)),
        final=covers(interruptions.da, start_ns),
    )


def _first_day(start_ns: int, rules: MarketRules, interruptions: Interruptions) -> str:
    """Return the civil day on which the interruption began that prices an interval; it fixes the reference days."""
    began = [from_ns for from_ns, to_ns in interruptions.rt if covers([(from_ns, to_ns)], start_ns)]
    began += (at_ns for at_ns in (interruptions.began_ns, interruptions.ended_from_ns) if at_ns is not None)
    return civil_day(min(began, default=start_ns), rules.zone)


def _noted(book: PriceBook, start_ns: int, price: _Price, rules: MarketRules, interruptions: Interruptions) -> ReferenceBook:
    """Remember what an interval means for the reference prices of the days to come."""
    known = book.reference
    day, period = reference.period_of(start_ns, rules)
    if price.rule is Regime.ART27_3 and price.cny_per_mwh is None:
        known = structs.replace(known, short=_first_day(start_ns, rules, interruptions))
    if rules.reference.market is Reference.RT:
        return _noted_rt(known, start_ns, price, rules)
    entry: int | LeftOut = LeftOut.NO_RESULT
    if covers(interruptions.art28, start_ns):
        entry = LeftOut.ART28
    elif covers(interruptions.da, start_ns):
        entry = LeftOut.ART27_1 if interruptions.rt_kind(start_ns) is None else LeftOut.ART27_3
    elif (result := next((one for one in book.day_ahead if one.at(start_ns) is not None), None)) is not None:
        entry = result.settled_fen(period, rules.reference.period_min)
    return reference.noted(known, day, period, entry, rules)


_NOT_OWN: Final = {
    Regime.GAP: LeftOut.GAP,
    Regime.ART27_1: LeftOut.ART27_1,
    Regime.ART27_2: LeftOut.ART27_2,
    Regime.ART27_3: LeftOut.ART27_3,
    Regime.ART28: LeftOut.ART28,
}


def _noted_rt(known: ReferenceBook, start_ns: int, price: _Price, rules: MarketRules) -> ReferenceBook:
    """Likewise where the real-time price is the reference: the mean of the intervals of a settlement period, if all are the market's."""
    day, period = reference.period_of(start_ns, rules)
    period_ns = day_start_ns(day, rules.zone) + period * rules.reference.period_min * NS_PER_MIN
    if price.rule is not Regime.MARKET:
        return reference.noted(known, day, period, _NOT_OWN[price.rule], rules)
    assert price.cny_per_mwh is not None, "a clearing has a price"
    part = (*(known.part if known.part_start_ns == period_ns else ()), fen_of(price.cny_per_mwh))
    return reference.noted(structs.replace(known, part=part, part_start_ns=period_ns), day, period, mean_fen(part), rules)


def _day_ahead(book: PriceBook, start_ns: int, rules: MarketRules, *, of_day_ns: int | None = None) -> tuple[float, str] | None:
    """Return the day-ahead price of an interval, and where it comes from; of one operating day only where it is named."""
    for day in book.day_ahead:
        price = day.at(start_ns)
        if price is not None and of_day_ns in (None, day.day_start_ns):
            period_ns = day.period_min * NS_PER_MIN
            period = clock_text(day.day_start_ns + (start_ns - day.day_start_ns) // period_ns * period_ns, rules.zone)
            return price, f"day_ahead:{period}"
    return None


def _gap(book: PriceBook, start_ns: int, day_ahead: tuple[float, str] | None, rules: MarketRules) -> _Price:
    """Price an interval without a result of its own while the market is in force: the last valid price, while it is young enough."""
    last = book.last_valid
    if last is None:
        return _Price(Regime.GAP, None, "last_valid:none")
    if start_ns - last[0] > rules.gap_last_valid_ns and day_ahead is not None:
        return _Price(Regime.GAP, *day_ahead)
    return _Price(Regime.GAP, last[1], f"last_valid:{clock_text(last[0], rules.zone)}", last[0])
