"""Which prices can still change, by what, for how long, and what a book forgets meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from market.facts import Segment
from market.pricebook import REVISED_NS, PriceBook, book_from, cleared_again, in_force, priced, with_day_ahead, with_result
from market.prices import PriceInForce, Regime
from market.reference import entry_at
from market.regimes import Interruptions
from market.rules import MarketRules, rules_from
from market.units import NS_PER_DAY, NS_PER_MIN
from tests.kit.table import DAY_NS, at_ns

RULES = rules_from({})
QUARTER = 15 * NS_PER_MIN
NONE = Interruptions()
BOTH_OUT = Interruptions(rt=((at_ns("10:00"), None),), da=((DAY_NS, None),), began_ns=at_ns("10:00"))


def told(records: tuple[PriceInForce, ...]) -> list[tuple[str, float | None, int]]:
    return [(str(record.regime), record.price_cny_per_mwh, record.rev) for record in records]


def served(*clocks: str, price: float = 388.0) -> PriceBook:
    """A book that begins with the first of the intervals, each with its own price and its record; what is between them is a gap."""
    book = book_from(at_ns(clocks[0]), RULES)
    for clock in clocks:
        book = with_result(book, at_ns(clock), price, 1)
        book, _ = priced(book, at_ns(clock), RULES, NONE)
    return book


def again(book: PriceBook, clock: str | int, price: float = 310.0, now: str | int = "11:00", version: int = 2) -> tuple[PriceBook, list]:
    """Clear an interval again; the book, and what is on record of that."""
    start_ns, now_ns = (at if isinstance(at, int) else at_ns(at) for at in (clock, now))
    book, records = cleared_again(book, now_ns, start_ns, price, version, RULES)
    return book, told(records)


# ── cleared again ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_result_that_is_cleared_again_counts_and_the_last_one_stands() -> None:
    book = served("10:00", "10:15")
    assert book.settled == (), "the first price of the market is what all the others are"
    book, first = again(book, "10:00", 310.0)
    book, second = again(book, "10:00", 320.0, version=3)
    book, other = again(book, "10:15", 330.0)
    assert (first, second, other) == ([("MARKET", 310.0, 1)], [("MARKET", 320.0, 2)], [("MARKET", 330.0, 1)])
    assert book.settled == ((at_ns("10:00"), Regime.MARKET, 2), (at_ns("10:15"), Regime.MARKET, 1)), "each interval stands there once"
    assert again(book, "10:00")[1] == [("MARKET", 310.0, 3)]


def test_a_gap_that_is_cleared_again_is_the_markets_own_price() -> None:
    book, _ = priced(served("10:00"), at_ns("10:15:30"), RULES, NONE)
    assert [entry[1] for entry in book.given] == [Regime.GAP]
    book, records = again(book, "10:15")
    assert (records, book.given) == ([("MARKET", 310.0, 1)], ())


def test_only_what_has_a_price_is_revised() -> None:
    book = served("10:00", "10:15")
    assert again(book, "10:30")[1] == [], "the next interval has none yet"
    assert again(book, "09:45")[1] == [], "it was priced before the book began"
    assert again(book, "10:00")[1], "the first one of the book"
    assert again(book, "10:15")[1], "the last one"
    assert again(structs.replace(book, whole_from_ns=None), "10:00")[1] == [], "nobody knows what was given"


def test_a_price_can_be_revised_for_a_day() -> None:
    book = served("10:00")
    assert again(book, "10:00", now=at_ns("10:00") + REVISED_NS - 1)[1]
    assert again(book, "10:00", now=at_ns("10:00") + REVISED_NS)[1] == []
    assert REVISED_NS == NS_PER_DAY


def test_a_revision_of_an_older_interval_is_not_the_price_in_force_nor_the_last_valid_one() -> None:
    book, _ = again(served("10:00", "10:15"), "10:00", 310.0)
    assert book.current is not None
    assert (book.current.interval_start_ns, book.last_valid) == (at_ns("10:15"), (at_ns("10:15"), 388.0))
    book, _ = again(book, "10:15", 330.0)
    assert book.current is not None
    assert (book.current.price_cny_per_mwh, book.current.rev, book.last_valid) == (330.0, 1, (at_ns("10:15"), 330.0))
    _, (gap,) = priced(book, at_ns("10:30:30"), RULES, NONE)
    assert gap.price_cny_per_mwh == 330.0, "the gap takes the price that is settled"


# ── published anew ──────────────────────────────────────────────────────────────────────────────────────────────────────


def two_days(rules: MarketRules = RULES) -> PriceBook:
    book = with_day_ahead(book_from(at_ns("10:00"), rules), DAY_NS, (420.0,), 1, rules, DAY_NS - NS_PER_DAY)
    return with_day_ahead(book, DAY_NS + NS_PER_DAY, (430.0,), 1, rules, at_ns("09:00"))


def test_a_result_that_is_published_anew_counts_for_its_own_day_and_keeps_where_the_day_began() -> None:
    book = two_days()
    for count, version in ((1, 2), (2, 3)):
        day = book.day_ahead[1]
        book = in_force(book, replace(day, version=version), RULES, at_ns("12:00"), anew=True)
        assert [each.anew for each in book.day_ahead] == [0, count]
        assert [each.version for each in book.day_ahead] == [1, version]
        assert {each.since_ns for each in book.day_ahead} == {at_ns("10:00")}
        assert (book.anew_ns, book.beside.anew_ns) == (DAY_NS + NS_PER_DAY, DAY_NS + NS_PER_DAY)


def test_a_result_that_is_published_anew_revises_what_it_priced_and_nothing_else() -> None:
    out = Interruptions(rt=((at_ns("10:15"), at_ns("10:30")),), began_ns=at_ns("10:15"))
    book = with_result(two_days(), at_ns("10:00"), 388.0, 1)
    book, _ = priced(book, at_ns("10:15"), RULES, out)
    book, _ = again(book, "10:00", 310.0)
    assert [entry[1] for entry in book.settled] == [Regime.ART27_2, Regime.MARKET]
    day = book.day_ahead[0]
    newer = replace(day, version=2, price_cny_per_mwh=(500.0,))
    book = in_force(book, newer, RULES, at_ns("10:20"), anew=True)
    book, records = priced(book, at_ns("10:20"), RULES, out)
    assert told(records) == [("ART27_2", 500.0, 1)]
    assert priced(book, at_ns("10:21"), RULES, out)[1] == (), "once"


@pytest.mark.parametrize(("minutes", "last_fen"), [(15, 9_500), (30, 9_450), (60, 9_350)])
def test_a_day_of_reference_prices_has_each_of_its_periods(minutes: int, last_fen: int) -> None:
    rules = rules_from({"reference": {"period_min": minutes}})
    book = with_day_ahead(book_from(at_ns("10:00"), rules), DAY_NS, tuple(float(n) for n in range(96)), 1, rules, DAY_NS)
    assert entry_at(book.reference, "2026-06-10", 24 * 60 // minutes - 1) == last_fen


def test_a_day_ahead_price_says_which_period_of_its_day_it_is_of() -> None:
    book = with_day_ahead(book_from(at_ns("10:30"), RULES), DAY_NS, (420.0,) * 48, 1, RULES, DAY_NS - NS_PER_DAY)
    _, records = priced(book, at_ns("10:45"), RULES, Interruptions(rt=((at_ns("10:30"), None),)))
    assert [record.source for record in records] == ["day_ahead:10:30", "day_ahead:10:30"]


# ── what is looked at again, and what is forgotten ──────────────────────────────────────────────────────────────────────


def test_what_had_no_price_is_looked_at_again_when_people_look_further_back_and_not_before() -> None:
    book, first = priced(book_from(at_ns("10:00"), RULES), at_ns("10:00"), RULES, BOTH_OUT)
    assert told(first) == [("ART27_3", None, 0)]
    assert book.reference.short == "2026-06-10"
    looked = structs.replace(book, reference=structs.replace(book.reference, looks_further=True))
    after, none = priced(looked, at_ns("10:05"), RULES, BOTH_OUT)
    assert (none, after.reference.looks_further, after.unpriced) == ((), False, book.unpriced), "there is no sample still"


def test_a_gap_without_a_price_asks_for_no_reference_price() -> None:
    book, records = priced(book_from(at_ns("10:00"), RULES), at_ns("10:00:30"), RULES, NONE)
    assert told(records) == [("GAP", None, 0)]
    assert (book.unpriced, book.reference.short) == ((), "")


def test_a_book_of_a_release_that_remembered_less_knows_what_it_gave_from_now_on() -> None:
    book, _ = priced(PriceBook(next_start_ns=at_ns("10:00")), at_ns("09:50"), RULES, NONE)
    assert book.whole_from_ns == at_ns("10:00")
    assert served("10:00", "10:15").whole_from_ns == at_ns("10:00")


@pytest.mark.parametrize(("late_ns", "kept"), [(-1, True), (0, False)])
def test_what_can_change_no_more_is_forgotten_with_the_next_record_a_day_later(late_ns: int, kept: bool) -> None:
    gap, mean, own = at_ns("10:00"), at_ns("10:15"), at_ns("10:30")
    known = PriceBook(
        next_start_ns=own + QUARTER,
        given=((gap, Regime.GAP, 0),),
        settled=((gap, Regime.MARKET, 1),),
        unpriced=((gap, 0),),
        results=((mean, 388.0, 1), (own + QUARTER, 390.0, 1), (own + NS_PER_DAY, 391.0, 1)),
        doubted=(mean, own + NS_PER_DAY),
    )
    book, records = priced(known, gap + REVISED_NS + late_ns, RULES, NONE)
    assert records
    starts = [{entry[0] for entry in entries} for entries in (book.given, book.settled, book.unpriced)]
    assert [gap in each for each in starts] == [kept] * 3
    assert book.results == ((own + NS_PER_DAY, 391.0, 1),), "results wait until their interval has its price"
    assert book.doubted == (own + NS_PER_DAY,)


def test_where_there_is_nothing_new_nothing_is_forgotten() -> None:
    book = PriceBook(next_start_ns=at_ns("10:00") + 2 * NS_PER_DAY, whole_from_ns=at_ns("10:00"), given=((at_ns("10:00"), Regime.GAP, 0),))
    assert priced(book, at_ns("10:00") + NS_PER_DAY, RULES, NONE) == (book, ())


def test_a_record_that_does_not_say_otherwise_follows_the_letter_of_its_rule() -> None:
    record = PriceInForce(
        ts_event_ns=1,
        segment=Segment.RT,
        interval_start_ns=1,
        regime=Regime.MARKET,
        price_cny_per_mwh=1.0,
        rev=0,
        source="clearing:1",
        provisional=False,
        rule_set="x",
    )
    assert (record.by_analogy, record.clearing_start_ns, record.age_ns) == (False, None, None)


def test_a_sample_that_fills_by_itself_prices_what_is_to_come_and_what_had_no_price_only_when_people_look_further() -> None:
    book, _ = priced(book_from(at_ns("10:00"), RULES), at_ns("10:00"), RULES, BOTH_OUT)
    for back in range(1, 8):
        book = with_day_ahead(book, DAY_NS - back * NS_PER_DAY, (400.0,), 1, RULES, at_ns("10:01"))
    assert priced(book, at_ns("10:05"), RULES, BOTH_OUT)[1] == ()
    looking = structs.replace(book, reference=structs.replace(book.reference, looks_further=True))
    assert told(priced(looking, at_ns("10:05"), RULES, BOTH_OUT)[1]) == [("ART27_3", 400.0, 1)]


def test_a_doubt_about_the_next_interval_lasts_until_it_has_its_price() -> None:
    book = with_result(book_from(at_ns("10:00"), RULES), at_ns("10:15"), 388.0, 1, doubted=True)
    book, _ = priced(with_result(book, at_ns("10:00"), 388.0, 1), at_ns("10:00"), RULES, NONE)
    assert (book.next_start_ns, book.doubted) == (at_ns("10:15"), (at_ns("10:15"),))
