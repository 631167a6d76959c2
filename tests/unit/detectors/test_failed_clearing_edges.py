"""The 120 minutes at their edges: what is remembered for how long, which instants are asked for, and what a condition names."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from detectors.failed_clearing import (
    ClearingWatch,
    Report,
    Served,
    headroom_ns,
    next_deadline_ns,
    observe,
    restarted,
    watch_from,
)
from detectors.findings import ConditionMet, Finding, IntervalUnserved, Noted, OutageBegan, OutageOver, OutageReached, ResultAccepted
from market.facts import CalendarClosed, ClearingReported, ClearingStatus, Fact, Segment, SourceReported, Ticked
from market.rules import GUANGDONG_2023, MarketRules, rules_from
from market.units import NS_PER_H, NS_PER_MIN, NS_PER_S
from tests.kit.table import at_ns

RULES = GUANGDONG_2023
LATE = rules_from({"due_offset_s": 60})
QUARTER = 15 * NS_PER_MIN


def result(interval_ns: int, at: int, **more: object) -> ClearingReported:
    made = ClearingReported(
        ts_event_ns=at,
        segment=Segment.RT,
        interval_start_ns=interval_ns,
        status=ClearingStatus.OK,
        completed_at_ns=at,
        price_cny_per_mwh=(388.0,),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def failed(interval_ns: int, at: int, **more: object) -> ClearingReported:
    return result(interval_ns, at, **{"status": ClearingStatus.FAILED, "price_cny_per_mwh": (), "reason": "INFEASIBLE", **more})


def take(watch: ClearingWatch, *facts: Fact | int, rules: MarketRules = RULES, held: bool = False) -> tuple[ClearingWatch, list[Finding]]:
    """Take in facts; an instant is a tick."""
    found: list[Finding] = []
    for fact in facts:
        watch, more = observe(watch, Ticked(ts_event_ns=fact) if isinstance(fact, int) else fact, rules, held=held)
        found += more
    return watch, found


def of(found: list[Finding], kind: type) -> list[Finding]:
    return [finding for finding in found if isinstance(finding, kind)]


# ── what is asked for ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_result_is_due_after_its_offset_and_waited_for_from_there() -> None:
    watch = watch_from(at_ns("10:00"), LATE)
    assert next_deadline_ns(watch, at_ns("10:00"), LATE) == at_ns("10:01:30")
    assert take(watch, at_ns("10:01:30") - 1, rules=LATE)[1] == []
    watch, found = take(watch, at_ns("10:01:30"), rules=LATE)
    assert found == [
        OutageBegan(start_ns=at_ns("10:01")),
        IntervalUnserved(interval_start_ns=at_ns("10:00"), how="MISSED", reason="no result and no message"),
    ]
    assert next_deadline_ns(watch, at_ns("10:01:30"), LATE) == at_ns("10:16"), "a reminder, a quarter of an hour after it was due"
    assert next_deadline_ns(watch, at_ns("10:16"), LATE) == at_ns("10:16:30")
    watch, _ = take(watch, at_ns("11:59"), rules=LATE)
    assert next_deadline_ns(watch, at_ns("12:00"), LATE) == at_ns("12:01:30"), "the limit, and the grace"
    watch, found = take(watch, at_ns("12:01:30"), rules=LATE)
    (met,) = of(found, ConditionMet)
    assert isinstance(met, ConditionMet)
    assert met.met_at_ns == at_ns("12:01")
    assert next_deadline_ns(watch, at_ns("12:01:30"), LATE) == at_ns("12:16:30"), "the limit is told once"


def test_the_limit_is_asked_for_by_itself_where_no_interval_is_due_with_it() -> None:
    rules = rules_from({"rt_limit_min": 40})
    watch, _ = take(watch_from(at_ns("10:00"), rules), at_ns("10:30:30"), rules=rules)
    assert next_deadline_ns(watch, at_ns("10:30:30"), rules) == at_ns("10:40:30")
    watch, _ = take(watch, at_ns("10:40:30"), rules=rules)
    assert next_deadline_ns(watch, at_ns("10:40:30"), rules) == at_ns("10:45:30")


def test_a_limit_that_was_told_is_not_asked_for_again_when_sight_returns() -> None:
    watch, _ = take(watch_from(at_ns("10:00"), RULES), at_ns("12:00:30"))
    for clock, up in (("12:10", False), ("12:14", True)):
        watch, _ = take(watch, SourceReported(ts_event_ns=at_ns(clock), name="clearing", up=up))
    assert next_deadline_ns(watch, at_ns("12:14"), RULES) == at_ns("12:15:30")


def test_nothing_is_asked_for_that_is_over() -> None:
    watch = watch_from(at_ns("10:00"), RULES)
    assert next_deadline_ns(watch, at_ns("10:00:30") - 1, RULES) == at_ns("10:00:30")
    assert next_deadline_ns(watch, at_ns("10:00:30"), RULES) is None
    assert next_deadline_ns(replace_watch(watch, blind=True), at_ns("10:00"), RULES) is None


def replace_watch(watch: ClearingWatch, **more: object) -> ClearingWatch:
    return msgspec.structs.replace(watch, **more)


def test_going_blind_puts_nothing_off_and_sight_gives_the_back_fill_one_grace() -> None:
    watch = watch_from(at_ns("10:00"), RULES)
    assert watch.judge_after_ns == 0
    blind, _ = take(watch, SourceReported(ts_event_ns=at_ns("10:01"), name="clearing", up=False))
    assert blind == replace_watch(watch, blind=True)
    seeing, _ = take(blind, SourceReported(ts_event_ns=at_ns("10:02"), name="clearing", up=True))
    assert seeing == replace_watch(watch, judge_after_ns=at_ns("10:02:30"))
    assert take(seeing, at_ns("10:02:30") - 1)[1] == []
    assert of(take(seeing, at_ns("10:02:30"))[1], OutageBegan)


def test_other_sources_and_other_markets_are_not_watched() -> None:
    watch = watch_from(at_ns("10:00"), RULES)
    assert take(watch, SourceReported(ts_event_ns=at_ns("10:01"), name="scada", up=False)) == (watch, [])
    closed = CalendarClosed(ts_event_ns=at_ns("10:01"), segment=Segment.DA, from_ns=at_ns("11:00"), to_ns=at_ns("12:00"))
    assert take(watch, closed) == (watch, [])
    assert take(watch, result(at_ns("10:00"), at_ns("09:59"), segment=Segment.DA)) == (watch, [])


# ── the market begins anew ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_market_that_is_back_counts_from_its_first_interval_and_remembers_no_outage() -> None:
    watch, _ = take(watch_from(at_ns("10:00"), RULES), at_ns("12:00:30"))
    assert (watch.condition_reported, watch.marks > 0) == (True, True)
    watch, _ = take(watch, *(failed(at_ns(clock), at_ns("12:01")) for clock in ("12:15", "12:30", "12:45")))
    after = restarted(watch, at_ns("12:30"))
    reports = tuple(Report(start_ns=at_ns(clock), how="FAILED", reason="INFEASIBLE") for clock in ("12:30", "12:45"))
    assert after == ClearingWatch(next_start_ns=at_ns("12:30"), reports=reports)


def test_rules_with_longer_intervals_judge_the_next_one_of_theirs_first() -> None:
    five = rules_from({"rt_interval_min": 5})
    watch, _ = take(watch_from(at_ns("10:00"), five), at_ns("10:01"), rules=five)
    assert watch.next_start_ns == at_ns("10:05")
    watch, found = take(watch, at_ns("10:15:30") - 1)
    assert (of(found, IntervalUnserved), watch.next_start_ns) == ([], at_ns("10:15"))
    _, found = take(watch, at_ns("10:15:30"))
    assert [one.interval_start_ns for one in of(found, IntervalUnserved) if isinstance(one, IntervalUnserved)] == [at_ns("10:15")]


# ── the calendar ────────────────────────────────────────────────────────────────────────────────────────────────────────


def closure(first: str, last: str) -> CalendarClosed:
    return CalendarClosed(ts_event_ns=at_ns("09:00"), segment=Segment.RT, from_ns=at_ns(first), to_ns=at_ns(last))


@pytest.mark.parametrize("held", [False, True])
def test_a_short_outage_ends_with_the_market_though_automatic_action_is_held(held: bool) -> None:
    watch, found = take(watch_from(at_ns("10:00"), RULES), closure("11:00", "12:00"), at_ns("11:00:30"), held=held)
    assert of(found, OutageOver) == [OutageOver(start_ns=at_ns("10:00"), end_ns=at_ns("11:00"), unserved=4, by_calendar=True)]
    assert watch == ClearingWatch(next_start_ns=at_ns("12:00"), closed=((at_ns("11:00"), at_ns("12:00")),))


def test_a_closed_range_that_ends_inside_an_interval_leaves_the_next_one_to_be_judged() -> None:
    watch, found = take(watch_from(at_ns("10:00"), RULES), closure("10:00", "10:50"), at_ns("10:00:30"))
    assert (found, watch.next_start_ns) == ([], at_ns("11:00")), "no outage ran that could end"
    watch, _ = take(watch_from(at_ns("10:00"), RULES), closure("10:00", "10:45"), at_ns("10:00:30"))
    assert watch.next_start_ns == at_ns("10:45")


@pytest.mark.parametrize(("past_ns", "first"), [(-1, "10:45"), (0, "10:45"), (1, "11:00")])
def test_the_first_interval_after_a_closed_range_starts_at_its_end_or_later(past_ns: int, first: str) -> None:
    closed = CalendarClosed(ts_event_ns=at_ns("09:00"), segment=Segment.RT, from_ns=at_ns("10:00"), to_ns=at_ns("10:45") + past_ns)
    assert take(watch_from(at_ns("10:00"), RULES), closed, at_ns("10:00:30"))[0].next_start_ns == at_ns(first)


def test_the_headroom_is_whole_before_an_outage_and_of_no_meaning_while_closed() -> None:
    watch, _ = take(watch_from(at_ns("10:00"), RULES), closure("11:00", "12:00"))
    assert headroom_ns(watch, at_ns("10:59"), RULES) == RULES.rt_limit_ns
    assert [headroom_ns(watch, at_ns(clock), RULES) for clock in ("11:00", "11:59:59")] == [None, None]
    assert headroom_ns(watch, at_ns("12:00"), RULES) == RULES.rt_limit_ns
    watch, _ = take(watch_from(at_ns("08:00"), RULES), at_ns("08:00:30"))
    assert [headroom_ns(watch, at_ns(clock), RULES) for clock in ("09:59:59", "10:00", "10:01")] == [NS_PER_S, 0, 0]


# ── what a condition names ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_condition_names_what_was_due_before_it_was_met_and_no_later_interval() -> None:
    watch, _ = take(watch_from(at_ns("09:45"), LATE), result(at_ns("09:45"), at_ns("09:44")))
    watch, _ = take(
        watch, failed(at_ns("10:15"), at_ns("10:15")), result(at_ns("10:30"), at_ns("10:30"), price_cny_per_mwh=(9e9,)), rules=LATE
    )
    _, found = take(watch, at_ns("12:16:30"), rules=LATE)
    (met,) = of(found, ConditionMet)
    assert isinstance(met, ConditionMet)
    assert met.evidence == (
        "first interval without a valid result due 2026-06-10T10:01:00+08:00",
        "no valid result completed before 2026-06-10T12:01:00+08:00 (120 min)",
        "8 intervals unserved: 6 MISSED, 1 FAILED, 1 INVALID",
        "last valid result completed: 2026-06-10T09:44:00+08:00",
    )


def test_a_condition_says_where_no_result_was_seen_at_all() -> None:
    _, found = take(watch_from(at_ns("10:00"), RULES), at_ns("12:00:30"))
    (met,) = of(found, ConditionMet)
    assert isinstance(met, ConditionMet)
    assert met.evidence[2:] == (
        "8 intervals unserved: 8 MISSED, 0 FAILED, 0 INVALID",
        "last valid result completed: none since the watch began",
    )


def test_a_reminder_is_told_at_its_mark_and_not_again() -> None:
    watch, _ = take(watch_from(at_ns("10:00"), RULES), at_ns("10:00:30"))
    assert of(take(watch, at_ns("10:15") - 1)[1], OutageReached) == []
    watch, found = take(watch, at_ns("10:15"), at_ns("10:16"))
    assert of(found, OutageReached) == [OutageReached(start_ns=at_ns("10:00"), minutes=15)]


# ── what ends an outage ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_result_ends_an_outage_once_all_that_fell_due_before_it_is_judged() -> None:
    watch, _ = take(watch_from(at_ns("10:00"), RULES), at_ns("10:00:30"))
    watch, found = take(watch, result(at_ns("10:15"), at_ns("10:15:10")))
    assert of(found, OutageOver) == [], "the interval of 10:15 is judged with its grace"
    watch, found = take(watch, at_ns("10:15:30"))
    assert of(found, OutageOver) == [OutageOver(start_ns=at_ns("10:00"), end_ns=at_ns("10:15:10"), unserved=1)]
    assert (watch.outage_start_ns, watch.unserved, watch.marks, watch.condition_reported) == (None, (), 0, False)


def test_a_result_at_the_very_instant_the_next_interval_falls_due_waits_for_its_judgement() -> None:
    watch, _ = take(watch_from(at_ns("10:00"), LATE), at_ns("10:01:30"), rules=LATE)
    watch, found = take(watch, result(at_ns("10:15"), at_ns("10:14:30")), rules=LATE)
    assert of(found, OutageOver) == [OutageOver(start_ns=at_ns("10:01"), end_ns=at_ns("10:14:30"), unserved=1)]
    watch, _ = take(watch_from(at_ns("10:00"), LATE), at_ns("10:01:30"), rules=LATE)
    watch, found = take(watch, result(at_ns("10:15"), at_ns("10:16")), rules=LATE)
    assert of(found, OutageOver) == []


def test_the_outage_that_follows_begins_when_its_first_interval_fell_due() -> None:
    watch, _ = take(watch_from(at_ns("10:00"), LATE), at_ns("10:16:30"), rules=LATE)
    watch, found = take(watch, result(at_ns("10:00"), at_ns("10:14:00"), ts_event_ns=at_ns("10:17")), rules=LATE)
    assert of(found, OutageOver) == [OutageOver(start_ns=at_ns("10:01"), end_ns=at_ns("10:14"), unserved=0, next_start_ns=at_ns("10:16"))]
    assert of(found, OutageBegan) == [OutageBegan(start_ns=at_ns("10:16"))]
    assert (watch.outage_start_ns, watch.unserved) == (at_ns("10:16"), ((at_ns("10:15"), "MISSED"),))


@pytest.mark.parametrize(("interval", "done", "ends"), [("10:00", "10:01", True), ("09:45", "09:59", False), ("10:00", "10:00:59", False)])
def test_only_a_result_since_the_outage_began_ends_it(interval: str, done: str, ends: bool) -> None:
    watch, _ = take(watch_from(at_ns("09:45"), LATE), result(at_ns("09:45"), at_ns("09:44")), at_ns("10:01:30"), rules=LATE)
    late = result(at_ns(interval), at_ns(done), ts_event_ns=at_ns("10:02"), version=2)
    assert bool(of(take(watch, late, rules=LATE)[1], OutageOver)) is ends


def test_a_result_at_the_limit_itself_is_too_late_and_one_before_it_is_not() -> None:
    for early_ns, met in ((0, 1), (1, 0)):
        watch, _ = take(watch_from(at_ns("10:00"), RULES), at_ns("11:45:30"))
        done_ns = at_ns("12:00") - early_ns
        known = result(at_ns("12:00"), done_ns, ts_event_ns=at_ns("12:00:10"))
        watch, found = take(watch, known, at_ns("12:00:30"), at_ns("12:00:31"), at_ns("12:15:30"))
        assert len(of(found, ConditionMet)) == met
        assert of(found, OutageOver), "with the next judgement it is over either way"


# ── what is a result, and what is remembered of it ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fact", "why"),
    [
        (result(at_ns("10:05"), at_ns("10:00")), "2026-06-10T10:05:00+08:00 is not the start of a 15-minute interval"),
        (result(at_ns("10:00"), at_ns("10:15")), "completed 2026-06-10T10:15:00+08:00, when its interval was over"),
        (result(at_ns("10:00"), at_ns("10:15") - 1), ""),
        (result(at_ns("10:00") + 24 * NS_PER_H, at_ns("10:00")), ""),
        (result(at_ns("10:15") + 24 * NS_PER_H, at_ns("10:00")), "more than a day ahead"),
        (result(at_ns("10:00"), at_ns("10:00"), price_cny_per_mwh=()), "carries 0 prices where one interval has one"),
        (result(at_ns("10:00"), at_ns("10:00"), price_cny_per_mwh=(1.0, 2.0)), "carries 2 prices where one interval has one"),
        (result(at_ns("10:00"), at_ns("10:00"), price_cny_per_mwh=(1500.0,)), ""),
        (result(at_ns("10:00"), at_ns("10:00"), price_cny_per_mwh=(0.0,)), ""),
        (result(at_ns("10:00"), at_ns("10:00"), price_cny_per_mwh=(1500.5,)), "price 1500.5 outside 0 to 1500 CNY/MWh"),
        (result(at_ns("10:00"), at_ns("10:00"), price_cny_per_mwh=(-0.5,)), "price -0.5 outside 0 to 1500 CNY/MWh"),
        (result(at_ns("10:00"), at_ns("10:00"), price_cny_per_mwh=(float("nan"),)), "price nan outside 0 to 1500 CNY/MWh"),
        (result(at_ns("10:00"), at_ns("10:00"), price_cny_per_mwh=(float("inf"),)), "price inf outside 0 to 1500 CNY/MWh"),
    ],
)
def test_a_result_counts_or_it_is_said_why_not(fact: ClearingReported, why: str) -> None:
    watch, found = take(watch_from(at_ns("10:00"), RULES), fact)
    assert bool(of(found, ResultAccepted)) is not bool(why)
    if fact.interval_start_ns <= at_ns("10:00") + 24 * NS_PER_H:
        assert watch.reports == ((Report(start_ns=fact.interval_start_ns, how="INVALID", reason=why),) if why else ())


def test_a_failure_is_remembered_while_its_interval_is_to_be_judged_and_has_no_result() -> None:
    watch, _ = take(watch_from(at_ns("09:45"), RULES), result(at_ns("09:45"), at_ns("09:44")), at_ns("09:45:30"))
    assert take(watch, failed(at_ns("09:45"), at_ns("09:46")))[0] == watch, "it was judged"
    kept, _ = take(watch, failed(at_ns("10:00"), at_ns("09:59"), reason=""), failed(at_ns("10:15"), at_ns("09:59")))
    assert [(report.start_ns, report.reason) for report in kept.reports] == [
        (at_ns("10:00"), "no reason given"),
        (at_ns("10:15"), "INFEASIBLE"),
    ]
    again, _ = take(kept, failed(at_ns("10:00"), at_ns("10:00"), reason="TIME_LIMIT"))
    assert {report.start_ns: report.reason for report in again.reports} == {at_ns("10:00"): "TIME_LIMIT", at_ns("10:15"): "INFEASIBLE"}
    served, _ = take(kept, result(at_ns("10:00"), at_ns("10:00")), failed(at_ns("10:00"), at_ns("10:01"), reason="TOO_LATE"))
    assert "TOO_LATE" not in {report.reason for report in served.reports}
    judged, found = take(kept, at_ns("10:00:30"))
    assert [one.how for one in of(found, IntervalUnserved) if isinstance(one, IntervalUnserved)] == ["FAILED"]
    assert [report.start_ns for report in judged.reports] == [at_ns("10:15")], "what was judged is forgotten"
    edge = at_ns("10:00") + 24 * NS_PER_H
    assert take(watch, failed(edge, at_ns("10:00")))[0].reports
    assert not take(watch, failed(edge, at_ns("10:00") - 1))[0].reports


def test_a_repeat_is_told_for_twelve_intervals() -> None:
    watch, _ = take(watch_from(at_ns("10:00"), RULES), result(at_ns("10:00"), at_ns("10:00")), at_ns("12:45:30"))
    assert watch.has_result(at_ns("10:00"))
    watch, _ = take(watch, at_ns("13:00:30"))
    assert not watch.has_result(at_ns("10:00"))


def test_of_an_interval_the_newer_version_counts_and_a_repeat_does_not() -> None:
    watch, found = take(watch_from(at_ns("10:00"), RULES), result(at_ns("10:00"), at_ns("09:58"), version=2))
    assert take(watch, result(at_ns("10:00"), at_ns("09:59"), version=2)) == (watch, [])
    assert take(watch, result(at_ns("10:00"), at_ns("09:59"), version=1)) == (watch, [])
    after, found = take(watch, result(at_ns("10:00"), at_ns("09:59"), version=3))
    assert of(found, ResultAccepted)
    assert after.served[-1] == Served(start_ns=at_ns("10:00"), version=3, completed_at_ns=at_ns("09:59"))
    assert take(watch, result(at_ns("10:15"), at_ns("09:59"), version=1))[1], "of another interval"


def test_the_last_valid_result_is_the_one_completed_last() -> None:
    watch, _ = take(watch_from(at_ns("10:00"), RULES), result(at_ns("10:15"), at_ns("10:10")))
    assert watch.last_valid_at_ns == at_ns("10:10")
    watch, _ = take(watch, result(at_ns("10:00"), at_ns("10:05")))
    assert watch.last_valid_at_ns == at_ns("10:10")


def test_no_more_than_a_thousand_intervals_of_one_outage_are_remembered() -> None:
    rules = rules_from({"rt_interval_min": 5})
    unserved = tuple((at_ns("10:00") - n * 5 * NS_PER_MIN, "MISSED") for n in range(1023, 0, -1))
    watch = replace_watch(watch_from(at_ns("10:00"), rules), unserved=unserved, outage_start_ns=unserved[0][0], condition_reported=True)
    watch, _ = take(watch, at_ns("10:00:30"), rules=rules)
    assert (len(watch.unserved), watch.unserved[0]) == (1024, unserved[0])
    watch, _ = take(watch, at_ns("10:05:30"), rules=rules)
    assert (len(watch.unserved), watch.unserved[0], watch.unserved[-1]) == (1024, unserved[1], (at_ns("10:05"), "MISSED"))


def test_a_closure_is_remembered_as_long_as_a_result_is() -> None:
    watch, _ = take(watch_from(at_ns("10:00"), RULES), closure("09:00", "10:00"), at_ns("12:45:30"))
    assert watch.closed
    assert not take(watch, at_ns("13:00:30"))[0].closed


# ── what is told of a result ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_price_is_put_under_review_only_where_something_speaks_against_it() -> None:
    for review, notes in (((), 0), (("the cost of a MWh went from 200.00 to 900.00 CNY since 11:45",), 1)):
        _, found = take(watch_from(at_ns("10:00"), RULES), result(at_ns("10:00"), at_ns("09:59"), review=review))
        assert len(of(found, Noted)) == notes
        assert len(of(found, ResultAccepted)) == 1


def test_of_two_failures_of_one_interval_the_later_one_is_told() -> None:
    first, second = failed(at_ns("10:00"), at_ns("09:58")), failed(at_ns("10:00"), at_ns("09:59"), reason="SOLVER_TIMEOUT")
    watch, _ = take(watch_from(at_ns("10:00"), RULES), first, second)
    assert len(watch.reports) == 1
    _, found = take(watch, at_ns("10:00:30"))
    assert [missed.reason for missed in of(found, IntervalUnserved) if missed.interval_start_ns == at_ns("10:00")] == ["SOLVER_TIMEOUT"]


def test_an_interval_that_falls_due_as_a_result_ends_the_outage_belongs_to_that_outage() -> None:
    watch, _ = take(watch_from(at_ns("10:00"), RULES), at_ns("10:00:30"))
    watch, found = take(watch, result(at_ns("10:30"), at_ns("10:15")), at_ns("10:15:30"), at_ns("10:16"))
    (over,) = of(found, OutageOver)
    assert (over.start_ns, over.end_ns, over.unserved, over.next_start_ns) == (at_ns("10:00"), at_ns("10:15"), 2, None)
