"""The records of the day-ahead market, beside those of the real-time market."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from market.dayaheadprices import Beside, DayAheadPrices
from market.dayaheadrecords import beside
from market.facts import CommandGiven, Segment
from market.pricebook import PriceBook, book_from, cleared_again, priced, with_day_ahead, with_result
from market.prices import PriceInForce, Regime
from market.publishing import ordered
from market.regimes import Interruptions, Range
from market.rules import rules_from
from market.units import NS_PER_DAY, NS_PER_H, NS_PER_MIN
from tests.kit.table import DAY_NS, at_ns

RULES = rules_from({"rt_interval_min": 15})
QUARTER = 15 * NS_PER_MIN
NONE = Interruptions()
DA_OUT = Interruptions(da=((DAY_NS, DAY_NS + NS_PER_DAY),), began_ns=DAY_NS)


def run(
    book: PriceBook, instants: Iterable[int], out: Interruptions = NONE, price: float | None = 350.0
) -> tuple[PriceBook, list[PriceInForce]]:
    made = list[PriceInForce]()
    for now_ns in instants:
        if price is not None:
            book = with_result(book, now_ns, price, 1)
        book, records = priced(book, now_ns + RULES.grace_ns, RULES, out)
        book, more = beside(book, records, now_ns + RULES.grace_ns, RULES, out)
        made += more
    return book, made


def quarters(first: str, until: str) -> range:
    return range(at_ns(first), at_ns(until), QUARTER)


def with_prices(book: PriceBook, *price: float) -> PriceBook:
    return with_day_ahead(book, DAY_NS, price, 1, RULES, DAY_NS - 12 * NS_PER_H)


def told(made: Iterable[PriceInForce]) -> list[tuple[int, str, float | None, str]]:
    return [
        ((record.interval_start_ns - DAY_NS) // NS_PER_H, str(record.regime), record.price_cny_per_mwh, record.source) for record in made
    ]


def test_a_period_of_the_market_has_its_price_when_it_begins() -> None:
    book = with_prices(book_from(DAY_NS, RULES), *(400.0 + hour for hour in range(24)))
    _, made = run(book, quarters("00:00", "01:01"))
    assert told(made) == [(0, "MARKET", 400.0, "clearing:1"), (1, "MARKET", 401.0, "clearing:1")]
    assert {record.segment for record in made} == {Segment.DA}
    assert [(record.rev, record.provisional, record.fallback, record.age_ns) for record in made] == [(0, False, False, 0)] * 2


def test_quarters_of_a_result_are_averaged_into_the_settlement_period() -> None:
    book = with_prices(book_from(DAY_NS, RULES), *(400.0, 400.0, 400.0, 400.02) * 24)
    _, (record,) = run(book, quarters("00:00", "01:00"))
    assert record.price_cny_per_mwh == 400.01, "400.005"


def test_while_it_is_out_the_mean_of_the_real_time_prices_is_its_result() -> None:
    """GD-27-1."""
    book = with_prices(book_from(DAY_NS, RULES), *(900.0,) * 24)
    book, early = run(book, quarters("00:00", "00:45"), DA_OUT, 350.005)
    assert early == [], "the hour is not over"
    book, made = run(book, [at_ns("00:45")], DA_OUT, 350.03)
    assert told(made) == [(0, "ART27_1", 350.02, "real_time:00:00")], "350.01 three times and 350.03, halves up"
    assert (made[0].rev, made[0].provisional) == (0, False)
    assert run(book, [at_ns("01:00")], DA_OUT)[1] == []


def test_both_out_has_the_mean_and_says_so() -> None:
    both = Interruptions(da=((DAY_NS, None),), rt=((DAY_NS, None),), began_ns=DAY_NS)
    book = book_from(DAY_NS - 10 * NS_PER_DAY, RULES)
    for number in range(1, 11):
        book = with_day_ahead(book, DAY_NS - number * NS_PER_DAY, (400.0,), 1, RULES, DAY_NS)
    book, _ = priced(book, DAY_NS - 1, RULES, NONE)
    _, made = run(book, quarters("00:00", "01:00"), both)
    assert told(made) == [(0, "ART27_3", 400.0, "real_time:00:00")]
    assert (made[0].by_analogy, made[0].provisional) == (True, True)


def test_real_time_out_for_part_of_the_hour_keeps_article_27_1_and_is_provisional() -> None:
    part = Interruptions(da=((DAY_NS, None),), rt=((at_ns("00:30"), None),), began_ns=DAY_NS)
    _, made = run(book_from(DAY_NS, RULES), quarters("00:00", "01:00"), part)
    assert told(made) == [(0, "ART27_1", None, "real_time:none")], "two quarters have no reference price"
    assert (made[0].by_analogy, made[0].provisional) == (True, True)


def test_article_28_has_no_price_in_either_market() -> None:
    out = Interruptions(rt=((DAY_NS, None),), art28=((at_ns("00:30"), None),), began_ns=DAY_NS)
    book = with_prices(book_from(DAY_NS, RULES), *(400.0,) * 24)
    _, made = run(book, quarters("00:00", "02:00"), out)
    assert told(made) == [(0, "MARKET", 400.0, "clearing:1"), (1, "ART28", None, "real_time:none")], "one rule each (I13)"


def test_a_period_that_began_without_a_result_has_no_record() -> None:
    book, made = run(book_from(DAY_NS, RULES), quarters("00:00", "00:30"))
    book, later = run(with_prices(book, *(400.0,) * 24), quarters("00:30", "01:15"))
    assert (made, told(later)) == ([], [(1, "MARKET", 400.0, "clearing:1")])


def test_a_period_of_which_only_a_part_was_seen_is_priced_by_that_part_while_out() -> None:
    _, made = run(book_from(at_ns("00:30"), RULES), quarters("00:30", "01:00"), DA_OUT)
    assert told(made) == [(0, "ART27_1", 350.0, "real_time:00:00")]


def test_revisions_of_real_time_prices_make_no_second_record() -> None:
    book, made = run(book_from(DAY_NS, RULES), quarters("00:00", "01:00"), DA_OUT)
    book, records = cleared_again(book, at_ns("01:00"), at_ns("00:45"), 500.0, 2, RULES)
    assert records
    assert beside(book, records, at_ns("01:00"), RULES, DA_OUT) == (book, ())
    assert len(made) == 1


def test_what_was_priced_by_a_result_is_revised_when_another_is_published() -> None:
    """Art. 22; by the day, as long as it was not out."""
    book = with_prices(book_from(at_ns("00:15"), RULES), *(400.0,) * 24)
    book = with_day_ahead(book, DAY_NS, (500.0,) * 24, 2, RULES, at_ns("00:05"))
    book = with_day_ahead(book, DAY_NS, (600.0,) * 24, 3, RULES, at_ns("00:05"))
    book, made = run(book, quarters("00:15", "02:15"))
    assert told(made) == [(1, "MARKET", 400.0, "clearing:1"), (2, "MARKET", 400.0, "clearing:1")]
    for rev, (version, price) in enumerate([("3", 600.0), ("2", 500.0)], start=1):
        command = CommandGiven(
            ts_event_ns=0, command_id="c", by="wang", role="MO", action="PUBLISH_RESULT",
            args={"operating_day": "2026-06-10", "result_version": version},
        )  # fmt: skip
        book, _ = ordered(book, command, at_ns("02:10"), RULES, ())
        book, records = priced(book, at_ns("02:10"), RULES, NONE)
        book, anew = beside(book, records, at_ns("02:10"), RULES, NONE)
        assert told(anew) == [(1, "MARKET", price, f"clearing:{version}"), (2, "MARKET", price, f"clearing:{version}")]
        assert [record.rev for record in anew] == [rev, rev]
        assert beside(book, (), at_ns("02:11"), RULES, NONE) == (book, ())


@pytest.mark.parametrize("what", ["da", "art28"])
def test_a_result_published_anew_revises_nothing_that_is_out(what: str) -> None:
    out = Interruptions(**{what: ((DAY_NS, None),)}, began_ns=DAY_NS)  # type: ignore[arg-type]
    book, _ = run(with_prices(book_from(DAY_NS, RULES), *(400.0,) * 24), quarters("00:00", "01:00"), out)
    book = with_day_ahead(book, DAY_NS, (500.0,) * 24, 2, RULES, at_ns("00:05"))
    command = CommandGiven(
        ts_event_ns=0, command_id="c", by="wang", role="MO", action="PUBLISH_RESULT",
        args={"operating_day": "2026-06-10", "result_version": "2"},
    )  # fmt: skip
    book, _ = ordered(book, command, at_ns("01:00"), RULES, ())
    assert beside(book, (), at_ns("01:00"), RULES, out)[1] == ()


RANGES = st.lists(st.integers(0, 12), min_size=2, max_size=2, unique=True).map(sorted)


@settings(max_examples=40, deadline=None)
@given(RANGES, RANGES, st.sets(st.integers(0, 11)), st.booleans())
def test_every_period_has_one_rule_in_each_market(rt: list[int], da: list[int], cleared: set[int], published: bool) -> None:
    """I13, I14: whatever is out when, and whatever was cleared."""

    def hours(ends: list[int]) -> tuple[Range, ...]:
        return ((DAY_NS + ends[0] * NS_PER_H, DAY_NS + ends[1] * NS_PER_H),)

    out = Interruptions(rt=hours(rt), da=hours(da), began_ns=DAY_NS)
    book = book_from(DAY_NS, RULES)
    if published:
        book = with_prices(book, *(400.0,) * 24)
    made = list[PriceInForce]()
    for number in range(12 * 4):
        if number // 4 in cleared:
            book = with_result(book, DAY_NS + number * QUARTER, 300.0, 1)
        now_ns = DAY_NS + number * QUARTER + RULES.grace_ns
        book, records = priced(book, now_ns, RULES, out)
        book, more = beside(book, records, now_ns, RULES, out)
        made += [*records, *more]
    real_time = [record for record in made if record.segment is Segment.RT]
    assert [record.interval_start_ns for record in real_time] == [DAY_NS + number * QUARTER for number in range(48)]
    day_ahead = [record for record in made if record.segment is Segment.DA]
    starts = [record.interval_start_ns for record in day_ahead]
    assert all(a < b for a, b in pairwise(starts))
    expected = [hour for hour in range(12) if published or da[0] <= hour < da[1]]
    assert starts == [DAY_NS + hour * NS_PER_H for hour in expected]
    for record in real_time:
        hour = (record.interval_start_ns - DAY_NS) // NS_PER_H
        rt_out, da_out = rt[0] <= hour < rt[1], da[0] <= hour < da[1]
        if rt_out:
            assert record.regime is (Regime.ART27_2 if published and not da_out else Regime.ART27_3)
        elif hour in cleared:
            assert record.regime is (Regime.ART27_1 if da_out else Regime.MARKET)
        else:
            assert record.regime is Regime.GAP


def test_a_result_published_anew_revises_the_first_period_that_was_seen_whole() -> None:
    book, _ = run(with_prices(book_from(DAY_NS, RULES), *(400.0,) * 24), [DAY_NS])
    book = with_day_ahead(book, DAY_NS, (500.0,) * 24, 2, RULES, at_ns("00:05"))
    command = CommandGiven(
        ts_event_ns=0, command_id="c", by="wang", role="MO", action="PUBLISH_RESULT",
        args={"operating_day": "2026-06-10", "result_version": "2"},
    )  # fmt: skip
    book, _ = ordered(book, command, at_ns("00:10"), RULES, ())
    assert told(beside(book, (), at_ns("00:10"), RULES, NONE)[1]) == [(0, "MARKET", 500.0, "clearing:2")]


def test_a_period_that_began_before_its_day_had_a_result_has_its_first_record_by_the_one_published_anew() -> None:
    book, none = run(book_from(DAY_NS, RULES), quarters("00:00", "01:15"))
    book = with_day_ahead(book, DAY_NS, (400.0,) * 24, 1, RULES, at_ns("01:05"))
    book, made = run(book, quarters("01:15", "02:15"))
    assert (none, told(made)) == ([], [(2, "MARKET", 400.0, "clearing:1")])
    book = with_day_ahead(book, DAY_NS, (500.0,) * 24, 2, RULES, at_ns("02:05"))
    command = CommandGiven(
        ts_event_ns=0, command_id="c", by="wang", role="MO", action="PUBLISH_RESULT",
        args={"operating_day": "2026-06-10", "result_version": "2"},
    )  # fmt: skip
    book, _ = ordered(book, command, at_ns("02:10"), RULES, ())
    book, records = priced(book, at_ns("02:10"), RULES, NONE)
    _, anew = beside(book, records, at_ns("02:10"), RULES, NONE)
    assert [((r.interval_start_ns - DAY_NS) // NS_PER_H, r.rev) for r in anew] == [(0, 0), (1, 0), (2, 1)]


def test_where_nothing_is_new_the_book_is_the_one_it_was() -> None:
    book = with_prices(book_from(DAY_NS, RULES), 400.0)
    assert beside(book, (), DAY_NS, RULES, NONE) == (book, ())
    assert beside(book, (), DAY_NS, RULES, NONE)[0] is book


def test_the_record_of_a_day_is_by_the_result_of_that_day() -> None:
    book = with_prices(book_from(DAY_NS, RULES), 400.0)
    book = with_day_ahead(book, DAY_NS + NS_PER_DAY, (500.0,), 1, RULES, DAY_NS)
    _, made = run(book, [DAY_NS + NS_PER_DAY - QUARTER, DAY_NS + NS_PER_DAY])
    assert told(made)[-1] == (24, "MARKET", 500.0, "clearing:1")


def test_a_period_is_provisional_and_by_analogy_as_soon_as_one_of_its_intervals_is() -> None:
    book, _ = run(book_from(DAY_NS, RULES), [DAY_NS], replace(DA_OUT, rt=((DAY_NS, DAY_NS + QUARTER),)), price=None)
    _, (record,) = run(book, [DAY_NS + n * QUARTER for n in (1, 2, 3)], DA_OUT)
    assert (record.provisional, record.by_analogy, record.price_cny_per_mwh) == (True, True, None)


@pytest.mark.parametrize("count", [1, 24, 48, 96, 288])
def test_a_day_may_be_told_in_so_many_periods(count: int) -> None:
    assert len(with_prices(book_from(DAY_NS, RULES), *(400.0,) * count).day_ahead) == 1
    assert not with_prices(book_from(DAY_NS, RULES), *(400.0,) * (count + 1)).day_ahead


@pytest.mark.parametrize(("price", "taken"), [(0.0, True), (1500.0, True), (-0.01, False), (1500.01, False), (float("inf"), False)])
def test_a_price_at_the_floor_and_at_the_cap_is_one(price: float, taken: bool) -> None:
    assert bool(with_prices(book_from(DAY_NS, RULES), price).day_ahead) is taken
    assert not with_prices(book_from(DAY_NS, RULES), float("nan")).day_ahead


def test_what_a_result_does_not_say_is_that_it_is_the_first_of_its_day_and_of_the_whole_of_it() -> None:
    day = DayAheadPrices(day_start_ns=1, period_min=60, price_cny_per_mwh=(1.0,))
    assert (day.version, day.anew, day.since_ns) == (1, 0, 0)
    assert msgspec.to_builtins(Beside()) == {
        "start_ns": 0,
        "fen": (),
        "rules": (),
        "provisional": False,
        "by_analogy": False,
        "anew_ns": None,
        "own_ns": None,
    }


def publish_again(book: PriceBook, clock_ns: int) -> list[PriceInForce]:
    """Publish version 2 of the day anew; the records that follow."""
    command = CommandGiven(
        ts_event_ns=0, command_id="c", by="wang", role="MO", action="PUBLISH_RESULT",
        args={"operating_day": "2026-06-10", "result_version": "2"},
    )  # fmt: skip
    book, _ = ordered(book, command, clock_ns, RULES, ())
    return list(beside(book, (), clock_ns, RULES, NONE)[1])


def test_a_result_published_anew_revises_no_other_day() -> None:
    book, _ = run(with_prices(book_from(DAY_NS + 23 * NS_PER_H, RULES), *(400.0,) * 24), quarters("23:00", "24:00"))
    book = with_day_ahead(book, DAY_NS + NS_PER_DAY, (450.0,), 1, RULES, DAY_NS)
    book, _ = run(book, [DAY_NS + NS_PER_DAY])
    book = with_day_ahead(book, DAY_NS, (500.0,) * 24, 2, RULES, DAY_NS + NS_PER_DAY)
    assert told(publish_again(book, DAY_NS + NS_PER_DAY + NS_PER_H)) == [(23, "MARKET", 500.0, "clearing:2")]


def test_a_result_published_anew_revises_all_of_its_day_where_nobody_knows_since_when_records_are_whole() -> None:
    book, _ = run(with_prices(book_from(DAY_NS, RULES), *(400.0,) * 24), quarters("00:00", "01:15"))
    book = with_day_ahead(book, DAY_NS, (500.0,) * 24, 2, RULES, at_ns("01:20"))
    old = structs.replace(book, whole_from_ns=None)
    assert [record.rev for record in publish_again(old, at_ns("01:20"))] == [1, 1]


def test_the_first_period_that_the_first_result_of_a_day_priced_is_revised_and_those_before_it_begin() -> None:
    book, _ = run(book_from(DAY_NS, RULES), quarters("00:00", "01:00"))
    book = with_prices(book, *(400.0,) * 24)
    book, made = run(book, quarters("01:00", "01:15"))
    assert told(made) == [(1, "MARKET", 400.0, "clearing:1")]
    book = with_day_ahead(book, DAY_NS, (500.0,) * 24, 2, RULES, at_ns("01:20"))
    assert [(record.interval_start_ns, record.rev) for record in publish_again(book, at_ns("01:20"))] == [
        (at_ns("00:00"), 0),
        (at_ns("01:00"), 1),
    ]
