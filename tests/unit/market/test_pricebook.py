"""Which price is in force, by which rule."""

from __future__ import annotations

import pytest

from market.pricebook import (
    DayAheadPrices,
    PriceBook,
    book_from,
    cleared_again,
    day_ahead_at,
    next_deadline_ns,
    priced,
    with_day_ahead,
    with_result,
)
from market.prices import Regime
from market.reference import LeftOut, entry_at
from market.regimes import Interruptions
from market.rules import GUANGDONG_2023, rules_from
from market.units import NS_PER_H, NS_PER_MIN, NS_PER_S
from tests.kit.table import DAY_NS, at_ns

RULES = GUANGDONG_2023
EVE_NS = DAY_NS - 12 * NS_PER_H
"""Noon of the day before: the results of the day are not published yet."""
QUARTER = 15 * NS_PER_MIN
NONE = Interruptions()


def run(book: PriceBook, clock: str, out_from: str = "", back_from: str = "") -> tuple[PriceBook, list[tuple[str, float | None, int]]]:
    book, records = priced(
        book,
        at_ns(clock),
        RULES,
        Interruptions(rt=((at_ns(out_from), at_ns(back_from) if back_from else None),) if out_from else ()),
    )
    return book, [(str(r.regime), r.price_cny_per_mwh, r.rev) for r in records]


def test_market_price_at_the_start_of_the_interval() -> None:
    book = with_result(book_from(at_ns("10:00"), RULES), at_ns("10:00"), 388.0, 1)
    book, early = run(book, "09:59:59")
    assert early == []
    book, at_start = run(book, "10:00")
    assert at_start == [("MARKET", 388.0, 0)]
    assert book.last_valid == (at_ns("10:00"), 388.0)


def test_gap_waits_for_the_grace_and_takes_the_last_valid_price() -> None:
    book = with_result(book_from(at_ns("10:00"), RULES), at_ns("10:00"), 388.0, 1)
    book, _ = run(book, "10:00")
    book, none_yet = run(book, "10:15:29")
    assert none_yet == []
    book, gap = run(book, "10:15:30")
    assert gap == [("GAP", 388.0, 0)]
    assert book.current is not None
    assert (book.current.source, book.current.provisional) == ("last_valid:10:00", True)


def test_gap_without_any_valid_price_has_none() -> None:
    _, records = run(book_from(at_ns("10:00"), RULES), "10:00:30")
    assert records == [("GAP", None, 0)]


@pytest.mark.parametrize(("count", "clock", "price"), [(24, "13:59", 113.0), (96, "13:59", 155.0), (1, "13:59", 100.0)])
def test_day_ahead_price_of_the_same_period(count: int, clock: str, price: float) -> None:
    book = with_day_ahead(book_from(at_ns("10:00"), RULES), DAY_NS, tuple(100.0 + i for i in range(count)), 1, RULES, EVE_NS)
    assert book.day_ahead[0].at(at_ns(clock)) == price


def test_day_ahead_prices_end_with_the_day() -> None:
    day = DayAheadPrices(day_start_ns=DAY_NS, period_min=60, price_cny_per_mwh=(1.0,) * 24)
    assert day.at(DAY_NS) == 1.0
    assert day.at(DAY_NS - 1) is None
    assert day.at(DAY_NS + 24 * 3600 * NS_PER_S) is None


def test_substitution_from_the_trip_until_the_market_is_back() -> None:
    book = with_day_ahead(book_from(at_ns("12:00"), RULES), DAY_NS, (420.0,) * 24, 1, RULES, EVE_NS)
    for i in range(6):
        book = with_result(book, at_ns("12:00") + i * QUARTER, 500.0, 1)
    _, records = run(book, "13:15", out_from="12:15", back_from="13:00")
    assert records == [("MARKET", 500.0, 0), *[("ART27_2", 420.0, 0)] * 3, *[("MARKET", 500.0, 0)] * 2]


def test_gap_of_the_trip_interval_is_replaced_and_a_market_price_never() -> None:
    book = with_day_ahead(book_from(at_ns("12:00"), RULES), DAY_NS, (420.0,) * 24, 1, RULES, EVE_NS)
    book, gap = run(book, "12:00:30")
    assert gap == [("GAP", None, 0)]
    book, replaced = run(book, "12:01", out_from="12:00")
    assert replaced == [("ART27_2", 420.0, 1)]
    book = with_result(book, at_ns("12:00"), 500.0, 1)
    book, later = run(book, "12:02", out_from="12:00")
    assert later == []


def test_both_markets_out_is_named_and_has_no_price_yet() -> None:
    _, records = run(book_from(at_ns("12:00"), RULES), "12:00", out_from="12:00")
    assert records == [(str(Regime.ART27_3), None, 0)]


def test_a_late_result_of_an_older_interval_is_not_the_last_valid_price() -> None:
    book = with_result(book_from(at_ns("09:45"), RULES), at_ns("10:00"), 320.0, 1)
    book, _ = run(book, "10:00")
    book, late = run(with_result(book, at_ns("09:45"), 100.0, 1), "10:01")
    assert late == [("MARKET", 100.0, 1)]
    book, gap = run(book, "10:15:30")
    assert gap == [("GAP", 320.0, 0)]


def test_a_long_back_fill_replaces_every_gap_price() -> None:
    book, _ = run(book_from(at_ns("01:00"), RULES), "11:00:30")
    starts = range(at_ns("01:00"), at_ns("11:00") + 1, QUARTER)
    for start_ns in starts:
        book = with_result(book, start_ns, 388.0, 1)
    book, records = run(book, "11:01")
    assert records == [("MARKET", 388.0, 1)] * len(starts)
    assert (book.given, book.results) == ((), ()), "what is final is not remembered"


def test_results_far_ahead_lose_none() -> None:
    book = book_from(at_ns("09:00"), RULES)
    for n in range(60):
        book = with_result(book, at_ns("09:00") + n * QUARTER, 300.0 + n, 1)
    _, records = run(book, "09:00")
    assert records == [("MARKET", 300.0, 0)]


@pytest.mark.parametrize(
    ("prices", "version"),
    [((float("nan"),), 2), ((float("inf"),), 2), ((1500.01,), 2), ((-0.01,), 2), ((420.0,) * 25, 2), ((), 2), ((450.0,), 1)],
    ids=["nan", "infinite", "above the cap", "below the floor", "25 periods", "no price", "no newer version"],
)
def test_day_ahead_results_that_are_not_valid_change_nothing(prices: tuple[float, ...], version: int) -> None:
    book = with_day_ahead(book_from(at_ns("10:00"), RULES), DAY_NS, (420.0,), 1, RULES, EVE_NS)
    assert with_day_ahead(book, DAY_NS, prices, version, RULES, EVE_NS) == book


def test_a_newer_day_ahead_version_is_taken() -> None:
    book = with_day_ahead(book_from(at_ns("10:00"), RULES), DAY_NS, (420.0,), 1, RULES, EVE_NS)
    assert day_ahead_at(with_day_ahead(book, DAY_NS, (450.0,), 2, RULES, EVE_NS), at_ns("10:00")) == 450.0


@pytest.mark.parametrize("back_from", ["", "12:15"], ids=["still out", "recovered since"])
def test_a_day_ahead_result_that_comes_late_prices_what_had_no_price(back_from: str) -> None:
    book, _ = run(book_from(at_ns("12:00"), RULES), "12:00", out_from="12:00")
    book = with_day_ahead(book, DAY_NS, (420.0,), 1, RULES, EVE_NS)
    book, records = run(book, "12:05", out_from="" if back_from else "12:00")
    assert records == [("ART27_2", 420.0, 1)]
    assert run(book, "12:06", out_from="12:00")[1] == []


def test_two_ranges_are_priced_each_by_its_own_end() -> None:
    """A breaker that ended and the next one, in one late step."""
    book = with_day_ahead(book_from(at_ns("12:00"), RULES), DAY_NS, (420.0,), 1, RULES, EVE_NS)
    for n in range(5):
        book = with_result(book, at_ns("12:00") + n * QUARTER, 500.0, 1)
    _, records = priced(book, at_ns("13:00"), RULES, Interruptions(rt=((at_ns("12:00"), at_ns("12:15")), (at_ns("12:45"), None))))
    assert [str(r.regime) for r in records] == ["ART27_2", "MARKET", "MARKET", "ART27_2", "ART27_2"]


def test_a_price_says_whose_clearing_it_is_of_and_how_old_that_is() -> None:
    book = with_result(book_from(at_ns("10:00"), RULES), at_ns("10:00"), 388.0, 1)
    book, (own,) = priced(book, at_ns("10:00"), RULES, NONE)
    assert (own.clearing_start_ns, own.age_ns, own.fallback) == (at_ns("10:00"), 0, False)
    book, gaps = priced(book, at_ns("10:45:30"), RULES, NONE)
    assert [(gap.clearing_start_ns, gap.age_ns, gap.fallback) for gap in gaps] == [(at_ns("10:00"), k * QUARTER, True) for k in (1, 2, 3)]
    _, (substitute, *_) = priced(book, at_ns("11:00"), RULES, Interruptions(rt=((at_ns("11:00"), None),)))
    assert (substitute.clearing_start_ns, substitute.age_ns, substitute.fallback) == (None, None, True)


def test_a_last_valid_price_gives_way_to_the_day_ahead_price_once_it_is_too_old() -> None:
    """Nobody confirmed the trip: from 12:15 on the last valid price is more than two hours old."""
    book = with_result(book_from(at_ns("10:00"), RULES), at_ns("10:00"), 388.0, 1)
    book = with_day_ahead(book, DAY_NS, (420.0,) * 24, 1, RULES, EVE_NS)
    book, gaps = priced(book, at_ns("12:15:30"), RULES, NONE)
    assert [gap.source for gap in gaps[-2:]] == ["last_valid:10:00", "day_ahead:12:00"]
    assert [(str(gap.regime), gap.price_cny_per_mwh, gap.provisional) for gap in gaps[-2:]] == [("GAP", 388.0, True), ("GAP", 420.0, True)]
    assert gaps[-1].age_ns is None
    book, records = run(book, "12:16", out_from="12:15")
    assert records == [("ART27_2", 420.0, 1)], "the breaker names its own rule"


def test_without_a_day_ahead_price_the_last_valid_one_stays() -> None:
    book = with_result(book_from(at_ns("10:00"), RULES), at_ns("10:00"), 388.0, 1)
    book, gaps = priced(book, at_ns("13:00:30"), RULES, NONE)
    assert (gaps[-1].price_cny_per_mwh, gaps[-1].age_ns) == (388.0, 12 * QUARTER)


def test_the_price_of_a_result_under_review_is_provisional() -> None:
    book = with_result(book_from(at_ns("10:00"), RULES), at_ns("10:00"), 388.0, 1, doubted=True)
    book = with_result(book, at_ns("10:15"), 390.0, 1)
    book, records = priced(book, at_ns("10:15"), RULES, NONE)
    assert [(str(r.regime), r.provisional) for r in records] == [("MARKET", True), ("MARKET", False)]
    assert book.doubted == ()


def test_a_later_version_that_nobody_doubts_is_not_provisional() -> None:
    book = with_result(book_from(at_ns("10:00"), RULES), at_ns("10:00"), 1_388.0, 1, doubted=True)
    book = with_result(book, at_ns("10:00"), 388.0, 2)
    _, (record,) = priced(book, at_ns("10:00"), RULES, NONE)
    assert (record.price_cny_per_mwh, record.provisional, record.source) == (388.0, False, "clearing:2")


def of_both(clock: str, **ranges: str) -> Interruptions:
    """Both markets out as the names say: ``rt="12:00-13:00"``, without an end while it is open."""
    read = {name: tuple(at_ns(end) if end else None for end in text.split("-")) for name, text in ranges.items()}
    return Interruptions(**{name: ((first, last),) for name, (first, last) in read.items()}, began_ns=at_ns(clock))  # type: ignore[arg-type]


def test_a_real_time_result_under_a_day_ahead_breaker_is_its_own_price_by_article_27_1() -> None:
    """GD-23-DA-06."""
    book = with_day_ahead(book_from(at_ns("10:00"), RULES), DAY_NS, (420.0,) * 24, 1, RULES, EVE_NS)
    book = with_result(with_result(book, at_ns("10:00"), 350.0, 1), at_ns("10:15"), 360.0, 1, doubted=True)
    book, records = priced(book, at_ns("10:15"), RULES, of_both("00:00", da="00:00-"))
    told = [(str(r.regime), r.price_cny_per_mwh, r.source, r.clearing_start_ns == r.interval_start_ns, r.fallback) for r in records]
    assert told == [("ART27_1", 350.0, "clearing:1", True, False), ("ART27_1", 360.0, "clearing:1", True, False)]
    assert [r.provisional for r in records] == [False, True]
    assert book.last_valid == (at_ns("10:15"), 360.0), "it is a clearing of the market"


def test_the_rule_is_chosen_for_each_interval() -> None:
    """GD-27-5: day-ahead out all day, real-time from 10:00 to 13:00 only."""
    book = book_from(at_ns("00:00"), RULES)
    for start_ns in range(at_ns("00:00"), at_ns("24:00"), QUARTER):
        book = with_result(book, start_ns, 350.0, 1)
    _, records = priced(book, at_ns("23:59"), RULES, of_both("00:00", da="00:00-24:00", rt="10:00-13:00"))
    by_rule = {rule: [r for r in records if r.regime is rule] for rule in Regime}
    assert [len(by_rule[rule]) for rule in (Regime.ART27_1, Regime.ART27_3)] == [84, 12]
    assert len(records) == 96, "I13"
    assert {r.interval_start_ns for r in by_rule[Regime.ART27_3]} == set(range(at_ns("10:00"), at_ns("13:00"), QUARTER))
    assert {r.by_analogy for r in by_rule[Regime.ART27_3]} == {True}
    assert not any(r.by_analogy for r in by_rule[Regime.ART27_1])


def test_a_suspension_is_no_analogy() -> None:
    _, records = priced(
        book_from(at_ns("12:00"), RULES), at_ns("12:15"), RULES, of_both("12:00", rt="12:00-", da="00:00-", suspended="12:15-")
    )
    assert [(str(r.regime), r.by_analogy) for r in records] == [("ART27_3", True), ("ART27_3", False)]


def test_a_day_ahead_price_in_the_shadow_prices_nothing() -> None:
    both = of_both("12:00", rt="12:00-", da="00:00-")
    book, _ = priced(book_from(at_ns("12:00"), RULES), at_ns("12:00"), RULES, both)
    book = with_day_ahead(book, DAY_NS, (420.0,) * 24, 1, RULES, EVE_NS)
    book, records = priced(book, at_ns("12:15"), RULES, both)
    assert [(str(r.regime), r.rev) for r in records] == [("ART27_3", 0)]
    _, later = priced(book, at_ns("12:16"), RULES, NONE)
    assert later == (), "nor once its range is forgotten"


def test_a_gap_under_a_day_ahead_breaker_never_takes_the_shadow_price() -> None:
    book = with_day_ahead(book_from(at_ns("10:00"), RULES), DAY_NS, (420.0,) * 24, 1, RULES, EVE_NS)
    _, records = priced(with_result(book, at_ns("10:00"), 388.0, 1), at_ns("13:00:30"), RULES, of_both("00:00", da="00:00-"))
    assert {(str(r.regime), r.source) for r in records[1:]} == {("GAP", "last_valid:10:00")}


def test_a_missing_day_ahead_price_alone_changes_no_market_price() -> None:
    _, records = priced(with_result(book_from(at_ns("10:00"), RULES), at_ns("10:00"), 388.0, 1), at_ns("10:00"), RULES, NONE)
    assert [str(r.regime) for r in records] == ["MARKET"]


def test_under_article_28_there_is_no_spot_price_and_nothing_before_it_changes() -> None:
    """GD-28-2."""
    before = of_both("12:00", rt="12:00-", suspended="12:00-")
    book = with_day_ahead(book_from(at_ns("12:00"), RULES), DAY_NS, (420.0,) * 24, 1, RULES, EVE_NS)
    book, _ = priced(book, at_ns("12:15"), RULES, before)
    book, records = priced(book, at_ns("12:45"), RULES, of_both("12:00", rt="12:00-", suspended="12:00-", art28="12:30-"))
    assert [(str(r.regime), r.price_cny_per_mwh, r.rev) for r in records] == [("ART28", None, 0)] * 2
    assert records[0].provisional
    assert cleared_again(book, at_ns("12:50"), at_ns("12:30"), 310.0, 2, RULES)[1] == ()


def test_an_interval_of_article_27_1_that_is_cleared_again_keeps_its_rule() -> None:
    book = with_result(book_from(at_ns("10:00"), RULES), at_ns("10:00"), 350.0, 1)
    book, _ = priced(book, at_ns("10:00"), RULES, of_both("00:00", da="00:00-"))
    _, (record,) = cleared_again(book, at_ns("10:05"), at_ns("10:00"), 355.0, 2, RULES)
    assert (record.regime, record.price_cny_per_mwh, record.rev, record.source) == (Regime.ART27_1, 355.0, 1, "clearing:2")


@pytest.mark.parametrize(("at", "kept"), [("10:00", True), ("10:15", False)])
def test_what_was_not_priced_is_forgotten_with_its_day(at: str, kept: bool) -> None:
    both = of_both("10:00", rt="10:00-", da="00:00-")
    book, _ = priced(book_from(at_ns("10:00"), RULES), at_ns("10:15"), RULES, both)
    assert [start_ns for start_ns, _ in book.unpriced] == [at_ns("10:00"), at_ns("10:15")]
    book, _ = priced(book, at_ns(at) + 24 * NS_PER_H - 1, RULES, both)
    assert (at_ns("10:00") in {start_ns for start_ns, _ in book.unpriced}) is kept


def test_a_price_of_27_3_says_of_which_day_and_sample_it_is() -> None:
    _, (record,) = priced(book_from(at_ns("10:00"), RULES), at_ns("10:00"), RULES, Interruptions(rt=((DAY_NS - NS_PER_H, None),)))
    assert record.source == "profile:2026-06-09 n=0", "of the day on which it went out, as nobody said when the interruption began"


def test_a_range_that_is_over_does_not_move_the_first_day() -> None:
    out = Interruptions(rt=((DAY_NS - NS_PER_H, DAY_NS), (at_ns("10:00"), None)), began_ns=at_ns("10:00"))
    _, (record,) = priced(book_from(at_ns("10:00"), RULES), at_ns("10:00"), RULES, out)
    assert record.source == "profile:2026-06-10 n=0"


def test_without_a_day_ahead_price_what_was_given_stands() -> None:
    book, _ = run(book_from(at_ns("12:00"), RULES), "12:00", out_from="12:00")
    _, records = run(book, "12:15", out_from="12:00")
    assert records == [("ART27_3", None, 0)]


def test_a_day_ahead_trip_that_is_confirmed_late_leaves_what_was_given() -> None:
    """Real-time is out and day-ahead has no result; that day is tripped afterwards, and then a shadow result comes."""
    book, _ = run(book_from(at_ns("12:00"), RULES), "12:00", out_from="12:00")
    book = with_day_ahead(book, DAY_NS, (420.0,), 1, RULES, at_ns("12:10"))
    _, records = priced(book, at_ns("12:10"), RULES, of_both("12:00", rt="12:00-", da="00:00-"))
    assert records == ()


def test_a_record_is_due_after_the_offset_and_waits_for_the_grace_from_there() -> None:
    rules = rules_from({"due_offset_s": 60})
    book = book_from(at_ns("12:00"), rules)
    due_ns = at_ns("12:01")
    assert next_deadline_ns(book, due_ns - 1, rules) == due_ns
    assert next_deadline_ns(book, due_ns, rules) == due_ns + rules.grace_ns
    served = with_result(book, at_ns("12:00"), 388.0, 1)
    assert [len(priced(served, at, rules, NONE)[1]) for at in (due_ns - 1, due_ns)] == [0, 1]
    assert [len(priced(book, due_ns + rules.grace_ns + late, rules, NONE)[1]) for late in (-1, 0)] == [0, 1]


@pytest.mark.parametrize(("early_ns", "entry"), [(0, 42_000), (1, LeftOut.NO_RESULT)])
def test_a_result_fills_the_reference_of_a_day_that_has_begun(early_ns: int, entry: int | LeftOut) -> None:
    book = with_day_ahead(book_from(DAY_NS - 1, RULES), DAY_NS, (420.0,), 1, RULES, DAY_NS - early_ns)
    assert entry_at(book.reference, "2026-06-10", 0) == entry


def test_the_next_instant_is_never_one_that_has_passed() -> None:
    book, _ = priced(book_from(at_ns("23:30"), RULES), at_ns("23:30:30"), RULES, NONE)
    assert next_deadline_ns(book, at_ns("23:45:30"), RULES) == at_ns("23:45:30"), "the record that waits for the grace is due by now"
    assert next_deadline_ns(book, at_ns("24:00") - 1, RULES) == at_ns("23:45:30")
    served, _ = priced(book, at_ns("23:45:30"), RULES, NONE)
    assert next_deadline_ns(served, at_ns("23:45:30"), RULES) == at_ns("24:00")
    past = PriceBook(next_start_ns=at_ns("24:15"), reference=served.reference)
    assert next_deadline_ns(past, at_ns("24:00") - 1, RULES) == at_ns("24:00"), "the reference prices"
    assert next_deadline_ns(past, at_ns("24:00"), RULES) == at_ns("24:15"), "they are published by then"
    assert next_deadline_ns(PriceBook(next_start_ns=at_ns("10:00")), at_ns("09:00"), RULES) == at_ns("10:00")


@pytest.mark.parametrize(("late_ns", "first"), [(0, "12:00"), (1, "12:15"), (QUARTER, "12:15")])
def test_a_book_begins_with_the_first_interval_that_is_still_to_start(late_ns: int, first: str) -> None:
    book = book_from(at_ns("12:00") + late_ns, RULES)
    assert (book.next_start_ns, book.whole_from_ns) == (at_ns(first), at_ns(first))
