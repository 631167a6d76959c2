"""Which price the day-ahead market has in each settlement period, and by which rule: a record of its own beside the real-time ones.

While the market is in force the record is given when its period begins, from the result that is published. While it is out the prices
of the real-time intervals in force become its result, whichever rule set them (Art. 27(1), 27(3)): the record is given when the period is
over, and is their mean. A period that began without a published result, in a market that is not out, has no record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from msgspec import structs

from market.dayaheadprices import Beside, DayAheadPrices
from market.facts import Segment
from market.pricebook import PriceBook
from market.prices import PriceInForce, Regime, fen_of, mean_fen
from market.reference import period_of
from market.regimes import Interruptions, covers
from market.rules import MarketRules
from market.units import NS_PER_MIN, clock_text, day_start_ns

__all__ = ["beside"]


def beside(
    book: PriceBook, records: Sequence[PriceInForce], now_ns: int, rules: MarketRules, interruptions: Interruptions
) -> tuple[PriceBook, tuple[PriceInForce, ...]]:
    """Give the day-ahead market its records, beside those that the real-time market was just given.

    Args:
        book: after the intervals were priced.
        records: what :func:`market.pricebook.priced` gave; revisions among them change nothing here: a mean that was provisional is
            settled from the intervals themselves.
        now_ns: event time.
        rules: the rule set in force.
        interruptions: when the markets are out.

    Returns:
        The book, and the new records of the day-ahead market.
    """
    made: list[PriceInForce] = []
    kept = book.beside
    if kept.anew_ns is not None:
        made.extend(_anew(book, kept.anew_ns, now_ns, rules, interruptions))
        kept = replace(kept, anew_ns=None)
    period_ns = rules.reference.period_min * NS_PER_MIN
    for record in records:
        at_ns = record.interval_start_ns
        start_ns = _period_start_ns(at_ns, rules)
        if record.rev or start_ns == kept.own_ns:
            continue
        if covers(interruptions.da, at_ns) or record.regime is Regime.ART28:
            kept = _with(kept, start_ns, record)
            if at_ns + rules.rt_interval_ns >= start_ns + period_ns:
                made.append(_substitute(kept, now_ns, rules))
                kept = Beside(own_ns=kept.own_ns)
        elif at_ns == start_ns and (day := _day(book, at_ns)) is not None:
            made.append(_own(day, start_ns, 0, now_ns, rules))
            kept = replace(kept, own_ns=start_ns)
    return (book if kept is book.beside else structs.replace(book, beside=kept)), tuple(made)


def _period_start_ns(ts_ns: int, rules: MarketRules) -> int:
    day, period = period_of(ts_ns, rules)
    return day_start_ns(day, rules.zone) + period * rules.reference.period_min * NS_PER_MIN


def _day(book: PriceBook, ts_ns: int) -> DayAheadPrices | None:
    return next((day for day in book.day_ahead if day.at(ts_ns) is not None), None)


def _with(kept: Beside, start_ns: int, record: PriceInForce) -> Beside:
    kept = kept if kept.start_ns == start_ns else Beside(start_ns=start_ns, own_ns=kept.own_ns)
    fen = None if record.price_cny_per_mwh is None else fen_of(record.price_cny_per_mwh)
    return replace(
        kept,
        fen=(*kept.fen, fen),
        rules=(*kept.rules, record.regime),
        provisional=kept.provisional or record.provisional,
        by_analogy=kept.by_analogy or record.by_analogy,
    )


def _substitute(kept: Beside, now_ns: int, rules: MarketRules) -> PriceInForce:
    """Return the record of a period in which the day-ahead market was out."""
    known = [fen for fen in kept.fen if fen is not None]
    rule = Regime.ART27_1
    if Regime.ART28 in kept.rules:
        rule = Regime.ART28
    elif set(kept.rules) == {Regime.ART27_3}:
        rule = Regime.ART27_3
    priced = len(known) == len(kept.fen)  # under Art. 28 no interval is
    return PriceInForce(
        ts_event_ns=now_ns,
        segment=Segment.DA,
        interval_start_ns=kept.start_ns,
        regime=rule,
        price_cny_per_mwh=mean_fen(known) / 100 if priced else None,
        rev=0,
        source=f"real_time:{clock_text(kept.start_ns, rules.zone) if priced else 'none'}",
        provisional=kept.provisional,
        rule_set=rules.id,
        by_analogy=kept.by_analogy,
    )


def _own(day: DayAheadPrices, start_ns: int, rev: int, now_ns: int, rules: MarketRules) -> PriceInForce:
    """Return the record of a period by the result of its day."""
    minutes = rules.reference.period_min
    _, period = period_of(start_ns, rules)
    return PriceInForce(
        ts_event_ns=now_ns,
        segment=Segment.DA,
        interval_start_ns=start_ns,
        regime=Regime.MARKET,
        price_cny_per_mwh=day.settled_fen(period, minutes) / 100,
        rev=rev,
        source=f"clearing:{day.version}",
        provisional=False,
        rule_set=rules.id,
        clearing_start_ns=start_ns,
    )


def _anew(book: PriceBook, day_ns: int, now_ns: int, rules: MarketRules, interruptions: Interruptions) -> Iterator[PriceInForce]:
    """Revise the records of a day whose result was published anew; those that the breaker set stand."""
    step_ns = rules.reference.period_min * NS_PER_MIN
    for start_ns in range(day_ns, book.next_start_ns, step_ns):
        seen = book.whole_from_ns is None or start_ns >= book.whole_from_ns
        out = covers(interruptions.da, start_ns) or covers(interruptions.art28, start_ns)
        if seen and not out and (day := _day(book, start_ns)) is not None and day.day_start_ns == day_ns:
            # A period that began before its day had any result has its first record by this one.
            yield _own(day, start_ns, day.anew - (start_ns < day.since_ns), now_ns, rules)
