"""What is published of prices: the reference profile at midnight, a result that was cleared again, a longer window."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from msgspec import structs

from market.decisions import DecisionBody, FindingNoted, Refused, ResultRevised
from market.facts import CommandGiven, Segment
from market.handling import ProfilePublished
from market.pricebook import PriceBook, book_from, day_ahead_at, next_deadline_ns, priced, with_day_ahead, with_result
from market.prices import PriceInForce
from market.publishing import content, ordered, published
from market.reference import LeftOut, entry_at, noted
from market.regimes import Interruptions
from market.rules import MarketRules, rules_from
from market.units import NS_PER_DAY, NS_PER_H, NS_PER_MIN
from tests.kit.table import DAY_NS, at_ns

RULES = rules_from({"rt_interval_min": 60})
NONE = Interruptions()
BOTH_OUT = Interruptions(rt=((at_ns("12:00"), None),), da=((DAY_NS, None),), began_ns=at_ns("12:00"))
PUBLICATION_NS = DAY_NS - NS_PER_DAY + (17 * 60 + 30) * NS_PER_MIN


def command(action: str, **args: str) -> CommandGiven:
    return CommandGiven(ts_event_ns=0, command_id="c1", by="wang", role="MO", action=action, args=args)


def publish(version: str = "2", operating_day: str = "2026-06-10", **args: str) -> CommandGiven:
    return command("PUBLISH_RESULT", operating_day=operating_day, result_version=version, **args)


def refusal(bodies: tuple[DecisionBody, ...]) -> str:
    (body,) = bodies
    assert isinstance(body, Refused)
    return f"{body.rule}: {body.why}"


def days(count: int, price: float = 400.0, rules: MarketRules = RULES) -> PriceBook:
    """A book of so many days before the stories' day, each with a day-ahead price, at its midnight."""
    first_ns = DAY_NS - count * NS_PER_DAY
    book = book_from(first_ns, rules)
    for start_ns in range(first_ns, DAY_NS, NS_PER_DAY):
        book = with_day_ahead(book, start_ns, (price,), 1, rules, start_ns - 12 * NS_PER_H)
        book, _ = run(book, range(start_ns, start_ns + NS_PER_DAY, 60 * NS_PER_MIN), rules=rules)
    return book


def run(
    book: PriceBook, instants: Iterable[int], out: Interruptions = NONE, rules: MarketRules = RULES
) -> tuple[PriceBook, list[PriceInForce | DecisionBody]]:
    made = list[PriceInForce | DecisionBody]()
    for now_ns in instants:
        book, records = priced(with_result(book, now_ns, 388.0, 1), now_ns, rules, out)
        book, bodies = published(book, now_ns, rules, out)
        made += [*records, *bodies]
    return book, made


def profiles(made: Iterable[object]) -> list[ProfilePublished]:
    return [body for body in made if isinstance(body, ProfilePublished)]


def test_the_reference_prices_of_a_day_are_published_once_at_its_midnight() -> None:
    book = days(30)
    assert next_deadline_ns(book, DAY_NS - 1, RULES) == DAY_NS
    book, before = run(book, [DAY_NS - 1])
    book, at_midnight = run(book, [DAY_NS, DAY_NS + 1])
    assert profiles(before) == []
    (said,) = profiles(at_midnight)
    assert (said.day, said.window) == ("2026-06-10", ("2026-05-11", "2026-06-09"))
    assert set(zip(said.price_cny_per_mwh, said.sample, strict=True)) == {(400.0, 30)}
    assert said.left_out == ()
    _, later = run(book, [DAY_NS + NS_PER_DAY - 1, DAY_NS + NS_PER_DAY])
    assert [body.day for body in profiles(later)] == ["2026-06-11"]


def test_a_late_tick_publishes_the_day_it_finds_and_not_those_it_slept_through() -> None:
    _, made = run(days(1), [DAY_NS + 3 * NS_PER_DAY])
    assert [body.day for body in profiles(made)] == ["2026-06-13"]


def test_a_book_of_an_older_release_begins_with_the_next_midnight() -> None:
    _, made = run(PriceBook(next_start_ns=at_ns("10:00")), [at_ns("10:00"), DAY_NS + NS_PER_DAY])
    assert [body.day for body in profiles(made)] == ["2026-06-11"]


def test_while_an_interruption_runs_its_first_day_fixes_the_window() -> None:
    book, _ = run(days(30), [DAY_NS])
    book, made = run(book, [at_ns("12:00"), DAY_NS + NS_PER_DAY, DAY_NS + 4 * NS_PER_DAY], BOTH_OUT)
    assert [(body.day, *body.window) for body in profiles(made)] == [
        ("2026-06-11", "2026-05-11", "2026-06-09"),
        ("2026-06-14", "2026-05-11", "2026-06-09"),
    ]


def test_a_market_that_goes_out_from_a_day_to_come_takes_no_day_into_the_window_that_is_not_over() -> None:
    ahead = Interruptions(da=((DAY_NS + 2 * NS_PER_DAY, None),), began_ns=DAY_NS + 2 * NS_PER_DAY)
    _, made = run(days(30), [DAY_NS, DAY_NS + NS_PER_DAY], ahead)
    assert [(body.day, *body.window) for body in profiles(made)] == [
        ("2026-06-10", "2026-05-11", "2026-06-09"),
        ("2026-06-11", "2026-05-12", "2026-06-10"),
    ]


def test_both_out_costs_the_mean_of_its_period_and_says_of_how_many_days() -> None:
    book, _ = run(days(30), [DAY_NS])
    _, made = run(book, [at_ns("12:00")], BOTH_OUT)
    last = made[-1]
    assert isinstance(last, PriceInForce)
    assert (str(last.regime), last.price_cny_per_mwh, last.source, last.by_analogy) == ("ART27_3", 400.0, "profile:2026-06-10 n=30", True)


def test_the_interruption_itself_leaves_no_reference_behind() -> None:
    """I15: the second day is priced by the days before the first."""
    book, _ = run(days(30), [DAY_NS])
    book = with_day_ahead(book, DAY_NS, (900.0,), 1, RULES, at_ns("11:00"))
    book, made = run(book, [at_ns("12:00"), DAY_NS + NS_PER_DAY + NS_PER_H], BOTH_OUT)
    last = [record for record in made if isinstance(record, PriceInForce)][-1]
    assert (last.price_cny_per_mwh, last.source) == (400.0, "profile:2026-06-10 n=30")
    assert entry_at(book.reference, "2026-06-10", 12) is LeftOut.ART27_3


def test_a_day_under_article_27_2_keeps_its_day_ahead_price_and_one_under_27_1_does_not() -> None:
    book = with_day_ahead(days(1), DAY_NS, (420.0,), 1, RULES, DAY_NS - 12 * NS_PER_H)
    book, _ = run(book, [at_ns("01:00")], Interruptions(rt=((at_ns("01:00"), None),)))
    book, _ = run(book, [at_ns("03:00")], Interruptions(da=((DAY_NS, None),)))
    assert [entry_at(book.reference, "2026-06-10", period) for period in (0, 1, 2, 3)] == [42_000, 42_000, LeftOut.ART27_1, LeftOut.ART27_1]
    book, _ = run(book, [at_ns("04:00")], Interruptions(rt=((DAY_NS, None),), da=((DAY_NS, None),), art28=((DAY_NS, None),)))
    assert entry_at(book.reference, "2026-06-10", 4) is LeftOut.ART28


def test_the_real_time_price_can_be_the_reference() -> None:
    rules = rules_from({"rt_interval_min": 30, "reference": {"market": "RT"}})
    book = with_day_ahead(book_from(DAY_NS, rules), DAY_NS, (420.0,), 1, rules, DAY_NS)
    for number, price in enumerate((300.0, 301.01, 310.0, None, 330.0, 340.0)):
        if price is not None:
            book = with_result(book, DAY_NS + number * 30 * NS_PER_MIN, price, 1)
    book, _ = priced(book, DAY_NS + 2 * NS_PER_H + NS_PER_MIN, rules, NONE)
    book, _ = priced(book, DAY_NS + 2 * NS_PER_H + 31 * NS_PER_MIN, rules, Interruptions(da=((at_ns("02:30"), None),)))
    entries = [entry_at(book.reference, "2026-06-10", period) for period in (0, 1, 2, 3)]
    assert entries == [30_051, LeftOut.GAP, LeftOut.ART27_1, LeftOut.NO_RESULT]
    assert (book.reference.part_start_ns, book.reference.part) == (at_ns("02:00"), (33_000,))


# A sample that is too small


def short() -> tuple[PriceBook, list[PriceInForce | DecisionBody]]:
    """Five days are known, and both markets go out at noon."""
    book, _ = run(days(5), [DAY_NS])
    return run(book, [at_ns("11:00"), at_ns("12:00"), at_ns("13:00")], BOTH_OUT)


def test_a_sample_that_is_too_small_is_told_once_and_has_no_price() -> None:
    book, made = short()
    assert [record.price_cny_per_mwh for record in made if isinstance(record, PriceInForce)][-2:] == [None, None]
    (told,) = [body for body in made if isinstance(body, FindingNoted)]
    assert (told.finding, told.article) == ("INSUFFICIENT_SAMPLE", "Art. 27(3)")
    assert told.evidence[0].startswith("fewer than 7 values in 2026-05-11..2026-06-09: 00:00: 5, 01:00: 5, ")
    _, later = run(book, [at_ns("14:00")], BOTH_OUT)
    assert not [body for body in later if isinstance(body, FindingNoted)]


def longer() -> PriceBook:
    """Four days in the window and four before it are known, and both markets are out since noon."""
    first_ns = DAY_NS - 36 * NS_PER_DAY
    book = book_from(DAY_NS, RULES)
    for number in [*range(4), *range(32, 36)]:
        book = with_day_ahead(book, first_ns + number * NS_PER_DAY, (400.0 + 10 * (number > 30),), 1, RULES, DAY_NS)
    return run(book, [DAY_NS, at_ns("12:00")], BOTH_OUT)[0]


def test_a_window_that_is_extended_prices_what_had_no_price() -> None:
    book, bodies = ordered(longer(), command("EXTEND_WINDOW", days="36", reason="too few days"), at_ns("12:10"), RULES, ())
    (said,) = profiles(bodies)
    assert (said.window, said.price_cny_per_mwh[12], said.sample[12]) == (("2026-05-05", "2026-06-09"), 405.0, 8)
    book, records = priced(book, at_ns("12:10"), RULES, BOTH_OUT)
    assert [(r.interval_start_ns, r.price_cny_per_mwh, r.rev, r.source) for r in records] == [
        (at_ns("12:00"), 405.0, 1, "profile:2026-06-10 n=8")
    ]
    assert (book.unpriced, book.reference.looks_further) == ((), False), "looked at once, and not at every fact"
    _, after = run(book, [at_ns("13:00")], BOTH_OUT)
    assert [record.price_cny_per_mwh for record in after if isinstance(record, PriceInForce)] == [405.0]
    assert "nothing" not in refusal(ordered(book, command("EXTEND_WINDOW", days="50", reason="again"), at_ns("13:10"), RULES, ())[1])


def test_a_window_that_is_still_too_short_is_told_again_and_can_be_extended_again() -> None:
    book, _ = published(longer(), at_ns("12:05"), RULES, BOTH_OUT)
    book, _ = ordered(book, command("EXTEND_WINDOW", days="33", reason="too few days"), at_ns("12:10"), RULES, ())
    book, (told,) = published(book, at_ns("12:10"), RULES, BOTH_OUT)
    assert isinstance(told, FindingNoted)
    assert "2026-05-08..2026-06-09: 00:00: 5," in told.evidence[0]
    why = refusal(ordered(book, command("EXTEND_WINDOW", days="33", reason="again"), at_ns("12:11"), RULES, ())[1])
    assert why == "Art. 27(3): days=33 is no longer window; give a whole number above 33 and up to 60"
    _, bodies = ordered(book, command("EXTEND_WINDOW", days="36", reason="again"), at_ns("12:11"), RULES, ())
    assert profiles(bodies)


@pytest.mark.parametrize("count", ["30", "61", "ten", "-40", "40.5"])
def test_a_window_of_no_use_is_refused(count: str) -> None:
    book = longer()
    after, bodies = ordered(book, command("EXTEND_WINDOW", days=count, reason="why not"), at_ns("12:10"), RULES, ())
    assert after is book
    assert "give a whole number above 30 and up to 60" in refusal(bodies)


@pytest.mark.parametrize("count", ["31", "60"])
def test_any_longer_window_up_to_twice_the_length_is_taken(count: str) -> None:
    assert profiles(ordered(longer(), command("EXTEND_WINDOW", days=count, reason="too few"), at_ns("12:10"), RULES, ())[1])


def test_a_window_is_not_extended_while_no_sample_is_short() -> None:
    book, _ = run(days(30), [DAY_NS])
    why = refusal(ordered(book, command("EXTEND_WINDOW", days="40", reason="why not"), at_ns("12:10"), RULES, ())[1])
    assert "no interruption lacks reference prices" in why


def test_an_extension_ends_with_its_interruption() -> None:
    book, _ = ordered(longer(), command("EXTEND_WINDOW", days="36", reason="too few days"), at_ns("12:10"), RULES, ())
    assert run(book, [DAY_NS + NS_PER_DAY], BOTH_OUT)[0].reference.extended == ("2026-06-10", 36)
    assert run(book, [DAY_NS + NS_PER_DAY])[0].reference.extended is None


# A day-ahead result that was cleared again


def second_version(now_ns: int) -> PriceBook:
    """Version 1 of 420 came in time, version 2 of 450 at ``now_ns``."""
    book = with_day_ahead(book_from(DAY_NS, RULES), DAY_NS, (420.0,) * 24, 1, RULES, PUBLICATION_NS - NS_PER_H)
    return with_day_ahead(book, DAY_NS, (450.0,) * 24, 2, RULES, now_ns)


@pytest.mark.parametrize(("late_ns", "price"), [(-1, 450.0), (0, 420.0)], ids=["before publication", "at publication"])
def test_a_newer_result_replaces_only_what_is_not_published(late_ns: int, price: float) -> None:
    book = second_version(PUBLICATION_NS + late_ns)
    assert day_ahead_at(book, at_ns("10:00")) == price
    assert [day.version for day in book.waiting] == ([] if price == 450.0 else [2])


def test_a_first_result_is_in_force_however_late() -> None:
    book = with_day_ahead(book_from(DAY_NS, RULES), DAY_NS, (420.0,) * 24, 1, RULES, at_ns("08:00"))
    assert day_ahead_at(book, at_ns("10:00")) == 420.0


def test_a_result_that_waits_is_told_once_with_what_stands() -> None:
    book, (told,) = published(second_version(PUBLICATION_NS), PUBLICATION_NS, RULES, NONE)
    assert isinstance(told, FindingNoted)
    assert told.evidence[0] == ("2026-06-10 version 2 was made after publication; version 1 stays the basis of execution and settlement")
    again, said = published(book, PUBLICATION_NS + 1, RULES, NONE)
    assert (again is book, said) == (True, ()), "asked at every fact, and nothing is made anew"
    third = with_day_ahead(book, DAY_NS, (480.0,) * 24, 3, RULES, PUBLICATION_NS)
    _, (of_third,) = published(third, PUBLICATION_NS + 2, RULES, NONE)
    assert isinstance(of_third, FindingNoted)
    assert of_third.evidence[0].startswith("2026-06-10 version 3 "), "of version 2 people know"


def test_a_result_is_not_published_without_both_approvals() -> None:
    """GD-22-1."""
    book = second_version(PUBLICATION_NS)
    after, bodies = ordered(book, publish(), PUBLICATION_NS + 1, RULES, ("REG has not approved",))
    assert after is book
    assert refusal(bodies) == "Art. 22: 2026-06-10 version 2 is not approved: REG has not approved"
    assert day_ahead_at(after, at_ns("10:00")) == 420.0


def test_the_result_published_last_is_in_force_and_both_are_on_record() -> None:
    approvals = {"GOV": "G-7", "REG": "R-9"}
    book = second_version(PUBLICATION_NS)
    book, (revised,) = ordered(book, publish(reason="a line was missing"), PUBLICATION_NS + 1, RULES, (), approvals)
    assert isinstance(revised, ResultRevised)
    assert (revised.segment, revised.interval_start_ns, revised.version) == (Segment.DA, DAY_NS, 2)
    assert (revised.price_before_cny_per_mwh, revised.price_cny_per_mwh) == (420.0, 450.0)
    assert (revised.approvals, revised.reason, revised.by) == (approvals, "a line was missing", "wang")
    assert revised.hashes != revised.hashes_before
    assert (day_ahead_at(book, at_ns("10:00")), book.waiting) == (450.0, ())


def test_of_two_that_wait_the_one_published_last_counts() -> None:
    book = with_day_ahead(second_version(PUBLICATION_NS), DAY_NS, (480.0,) * 24, 3, RULES, PUBLICATION_NS)
    book, _ = ordered(book, publish("3"), PUBLICATION_NS + 1, RULES, ())
    book, _ = ordered(book, publish("2"), PUBLICATION_NS + 2, RULES, ())
    assert day_ahead_at(book, at_ns("10:00")) == 450.0, "by the instant of publication, not of the run"


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (publish("3"), "no version 3 of 2026-06-10 waits to be published; waiting: 2026-06-10 version 2"),
        (publish("1"), "no version 1 of 2026-06-10 waits"),
        (publish("two"), "no version two of 2026-06-10 waits"),
        (publish(operating_day="2026-06-11"), "no version 2 of 2026-06-11 waits"),
        (publish(operating_day="tomorrow"), "'tomorrow' is not a day"),
    ],
)
def test_what_does_not_wait_cannot_be_published(order: CommandGiven, why: str) -> None:
    book = second_version(PUBLICATION_NS)
    after, bodies = ordered(book, order, PUBLICATION_NS + 1, RULES, ())
    assert after is book
    assert why in refusal(bodies)


def test_a_result_published_anew_revises_what_it_priced() -> None:
    out = Interruptions(rt=((at_ns("01:00"), None),), began_ns=at_ns("01:00"))
    book, _ = run(second_version(PUBLICATION_NS), [DAY_NS])
    book, _ = run(book, [at_ns("01:00"), at_ns("02:00")], out)
    book, _ = ordered(book, publish(), at_ns("02:10"), RULES, ())
    book, records = priced(book, at_ns("02:10"), RULES, out)
    assert [(r.interval_start_ns, str(r.regime), r.price_cny_per_mwh, r.rev) for r in records] == [
        (at_ns("01:00"), "ART27_2", 450.0, 1),
        (at_ns("02:00"), "ART27_2", 450.0, 1),
    ]
    assert priced(book, at_ns("02:11"), RULES, out)[1] == ()
    assert entry_at(book.reference, "2026-06-10", 1) == 45_000, "the mean is of what is published"


def test_a_result_published_for_tomorrow_revises_nothing_of_today() -> None:
    book = with_day_ahead(second_version(PUBLICATION_NS), DAY_NS + NS_PER_DAY, (500.0,), 1, RULES, DAY_NS)
    book = with_day_ahead(book, DAY_NS + NS_PER_DAY, (510.0,), 2, RULES, at_ns("18:00"))
    out = Interruptions(rt=((at_ns("01:00"), None),), began_ns=at_ns("01:00"))
    book, _ = run(book, [at_ns("01:00")], out)
    book, _ = ordered(book, publish(operating_day="2026-06-11"), at_ns("18:10"), RULES, ())
    assert {r.interval_start_ns > at_ns("01:00") for r in priced(book, at_ns("18:10"), RULES, out)[1]} == {True}
    assert entry_at(book.reference, "2026-06-11", 1) is LeftOut.NO_RESULT


def test_what_waits_is_forgotten_with_its_day() -> None:
    book = second_version(PUBLICATION_NS)
    for number in (1, 2, 3):
        book = with_day_ahead(book, DAY_NS + number * NS_PER_DAY, (500.0,), 1, RULES, DAY_NS)
    assert book.waiting == ()
    assert published(book, PUBLICATION_NS, RULES, NONE)[0].waiting_told == ()


def test_only_the_last_few_wait() -> None:
    book = second_version(PUBLICATION_NS)
    for version in range(3, 7):
        book = with_day_ahead(book, DAY_NS, (400.0,), version, RULES, PUBLICATION_NS)
    assert [day.version for day in book.waiting] == [3, 4, 5, 6]
    assert with_day_ahead(book, DAY_NS, (400.0,), 6, RULES, PUBLICATION_NS) == book, "known already"


def test_what_both_bodies_approve_is_the_day_the_version_and_every_price() -> None:
    book = second_version(PUBLICATION_NS)
    said = content(book, "2026-06-10", 2, RULES)
    assert said is not None
    assert json.loads(said) == {"operating_day": "2026-06-10", "version": 2, "price_cny_per_mwh": [450.0] * 24}
    assert content(book, "2026-06-10", 1, RULES) is None


def test_where_nothing_waits_that_is_said() -> None:
    why = refusal(ordered(days(1), publish(), PUBLICATION_NS, RULES, ())[1])
    assert why == "Art. 22: no version 2 of 2026-06-10 waits to be published; waiting: none"


def test_a_result_published_anew_is_held_against_the_one_of_its_own_day() -> None:
    book = with_day_ahead(second_version(PUBLICATION_NS), DAY_NS - NS_PER_DAY, (300.0,) * 24, 1, RULES, DAY_NS - 2 * NS_PER_DAY)
    assert len(book.day_ahead) == 2
    _, (revised,) = ordered(book, publish(), PUBLICATION_NS + 1, RULES, ())
    assert isinstance(revised, ResultRevised)
    assert revised.price_before_cny_per_mwh == 420.0


def untold(book: PriceBook) -> PriceBook:
    return structs.replace(book, reference=structs.replace(book.reference, told=""))


def test_a_sample_that_is_too_small_is_told_period_by_period() -> None:
    book = untold(longer())
    known = with_day_ahead(book, DAY_NS - 10 * NS_PER_DAY, (400.0,), 1, RULES, DAY_NS)
    _, (told,) = published(known, at_ns("12:05"), RULES, BOTH_OUT)
    assert isinstance(told, FindingNoted)
    periods = ", ".join(f"{hour:02d}:00: 5" for hour in range(24))
    assert told.evidence == (f"fewer than 7 values in 2026-05-11..2026-06-09: {periods}", "EXTEND_WINDOW looks further back")
    enough = known
    for back in (11, 12):
        enough = with_day_ahead(enough, DAY_NS - back * NS_PER_DAY, (400.0,) * 24, 1, RULES, DAY_NS)
    reference = noted(enough.reference, "2026-05-31", 12, LeftOut.GAP, RULES)
    _, (told,) = published(structs.replace(enough, reference=reference), at_ns("12:05"), RULES, BOTH_OUT)
    assert isinstance(told, FindingNoted)
    assert told.evidence[0].endswith("in 2026-05-11..2026-06-09: 12:00: 6"), "the other periods have values enough"


def test_the_extension_of_one_interruption_is_not_that_of_the_next() -> None:
    book, _ = ordered(longer(), command("EXTEND_WINDOW", days="36", reason="too few days"), at_ns("12:10"), RULES, ())
    after = structs.replace(book, reference=structs.replace(book.reference, short="2026-06-11"))
    assert profiles(ordered(after, command("EXTEND_WINDOW", days="33", reason="another one"), at_ns("12:10"), RULES, ())[1])


def test_what_both_bodies_approve_is_written_in_one_order() -> None:
    day = second_version(PUBLICATION_NS).waiting[0]
    assert content(second_version(PUBLICATION_NS), "2026-06-10", day.version, RULES) == json.dumps(
        {"operating_day": "2026-06-10", "price_cny_per_mwh": day.price_cny_per_mwh, "version": 2}, sort_keys=True, separators=(",", ":")
    )
