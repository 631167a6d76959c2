"""The day-ahead deadline: what is expected of it, whether it was met, and what is not judged (Art. 9(2), 23(1))."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.day_ahead import DayAheadWatch, first_day_ns, next_deadline_ns, observe, ordered, watch_from
from detectors.findings import ConditionGone, ConditionMet, DayAheadAccepted, Finding, IntervalUnserved, Noted
from market.decisions import Refused
from market.facts import (
    CalendarClosed,
    ClearingReported,
    ClearingStatus,
    CommandGiven,
    DayAheadExpected,
    EstimateSource,
    Fact,
    RunType,
    Segment,
    SourceReported,
    Ticked,
)
from market.rules import MarketRules, rules_from
from market.units import NS_PER_DAY, NS_PER_S
from tests.kit.machine import ns

RULES = rules_from({})
DAY, DAY_START = "2026-06-11", ns("11 00:00")
PRICES = tuple(300.0 + hour for hour in range(24))


class Watch:
    """The watch on the eve of 2026-06-11, and all it found."""

    def __init__(self, since: str = "00:00", rules: MarketRules = RULES) -> None:
        self.rules = rules
        self.state = watch_from(ns(since), rules)
        self.found: list[Finding] = []

    def take(self, fact: Fact, *, held: bool = False) -> Watch:
        self.state, found = observe(self.state, fact, self.rules, held=held)
        self.found += found
        return self

    def tick(self, when: str | int, *, held: bool = False) -> Watch:
        return self.take(Ticked(ts_event_ns=ns(when)), held=held)

    def result(
        self,
        heard: str | int,
        completed: str | int = "",
        *,
        day_ns: int = DAY_START,
        prices: tuple[float, ...] = PRICES,
        version: int = 1,
        run_type: RunType = RunType.PRODUCTION,
        status: ClearingStatus = ClearingStatus.OK,
        reason: str = "",
        review: tuple[str, ...] = (),
    ) -> Watch:
        return self.take(
            ClearingReported(
                ts_event_ns=ns(heard),
                segment=Segment.DA,
                interval_start_ns=day_ns,
                status=status,
                completed_at_ns=ns(completed or heard),
                run_type=run_type,
                version=version,
                price_cny_per_mwh=prices,
                reason=reason,
                review=review,
            )
        )

    def said(self, heard: str, p50: str | None, p90: str | None = None, *, by: str = "statistical", day_ns: int = DAY_START) -> Watch:
        return self.take(
            DayAheadExpected(
                ts_event_ns=ns(heard),
                interval_start_ns=day_ns,
                source=EstimateSource(by),
                p50_ns=ns(p50) if p50 else None,
                p90_ns=ns(p90 or p50) if p90 or p50 else None,
            )
        )

    def eta(self, heard: str, at: str) -> Watch:
        return self.said(heard, at, by="dispatcher")

    def sight(self, when: str, *, up: bool) -> Watch:
        return self.take(SourceReported(ts_event_ns=ns(when), name="clearing", up=up))

    def closed(self, from_: str, to: str, segment: Segment = Segment.DA) -> Watch:
        return self.take(CalendarClosed(ts_event_ns=ns("00:01"), segment=segment, from_ns=ns(from_), to_ns=ns(to)))

    def next_ns(self, when: str) -> int | None:
        return next_deadline_ns(self.state, ns(when), self.rules)

    @property
    def words(self) -> str:
        """What was found, in short."""
        return " ".join(
            f"+{finding.basis}"
            if isinstance(finding, ConditionMet)
            else f"-{finding.basis}"
            if isinstance(finding, ConditionGone)
            else finding.what
            if isinstance(finding, Noted)
            else f"unserved:{finding.how}"
            if isinstance(finding, IntervalUnserved)
            else "result"
            for finding in self.found
        )


def of(watch: Watch, kind: type) -> list:
    return [finding for finding in watch.found if isinstance(finding, kind)]


# ── the deadline ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_day_with_its_result_in_time_finds_nothing() -> None:
    watch = Watch().result("17:00").tick("17:30:30").tick("23:00:30")
    assert watch.words == "result"
    assert watch.state.day == "2026-06-12"


def test_no_result_by_the_deadline_is_the_condition_a_grace_later() -> None:
    watch = Watch("22:00").tick("23:00:29.999")
    assert watch.words == ""
    assert watch.next_ns("23:00") == ns("23:00:30")
    watch.tick("23:00:30")
    (condition,) = of(watch, ConditionMet)
    assert (condition.basis, condition.segment, condition.met_at_ns) == ("DA_MISSED", Segment.DA, ns("23:00"))
    assert (condition.operating_day, condition.auto_allowed, condition.article) == (DAY, True, "Art. 23(1)")
    assert condition.details == {"operating_day": DAY, "deadline": "2026-06-10T23:00:00+08:00"}
    assert condition.evidence == (
        "operating day 2026-06-11: no valid result completed by 2026-06-10T23:00:00+08:00",
        "latest word: MISSED, no result and no message",
    )
    assert watch.tick("23:00:30").tick("23:01").words == "+DA_MISSED", "once"


@pytest.mark.parametrize(
    ("completed", "words"), [("23:00", "unserved:MISSED result"), ("23:00:00.001", "unserved:MISSED result +DA_MISSED -DA_MISSED")]
)
def test_a_result_at_the_deadline_itself_is_in_time(completed: str, words: str) -> None:
    watch = Watch().tick("17:30:30").result("23:00:20", completed).tick("23:00:30")
    assert watch.words == words
    (accepted,) = of(watch, DayAheadAccepted)
    assert accepted.in_time is (completed == "23:00")
    assert accepted.completed_at_ns == ns(completed)


def test_a_result_that_was_too_late_is_named_in_the_evidence() -> None:
    (condition,) = of(Watch().result("23:00:20", "23:00:10").tick("23:00:30"), ConditionMet)
    assert condition.evidence[1] == "a result was completed 2026-06-10T23:00:10+08:00, too late"


def test_a_late_result_withdraws_what_nobody_acted_on() -> None:
    watch = Watch().tick("23:00:30").result("23:20")
    assert watch.words == "unserved:MISSED +DA_MISSED result -DA_MISSED"
    assert of(watch, ConditionGone)[0].why == "the result of operating day 2026-06-11 came, late"
    assert watch.result("23:30", version=2).words.endswith("-DA_MISSED result"), "withdrawn once"


def test_a_result_of_another_day_withdraws_nothing() -> None:
    assert Watch().tick("23:00:30").result("11 01:00", day_ns=ns("12 00:00")).words == "unserved:MISSED +DA_MISSED result"


def test_each_operating_day_has_its_own_deadline() -> None:
    watch = Watch().result("17:00").tick("23:00:30").tick("11 17:30:30").tick("11 23:00:30")
    assert watch.words == "result unserved:MISSED +DA_MISSED"
    assert [condition.operating_day for condition in of(watch, ConditionMet)] == ["2026-06-12"]


def test_a_tick_that_comes_days_late_judges_every_day() -> None:
    watch = Watch().tick("13 12:00")
    assert [condition.operating_day for condition in of(watch, ConditionMet)] == ["2026-06-11", "2026-06-12", "2026-06-13"]
    assert [found.interval_start_ns for found in of(watch, IntervalUnserved)] == [ns(f"{day} 00:00") for day in (11, 12, 13)]


def test_a_result_that_came_days_ahead_counts_on_its_day() -> None:
    watch = Watch().result("17:00").result("17:01", day_ns=ns("12 00:00")).tick("23:00:30").tick("11 23:00:30")
    assert watch.words == "result result"


@pytest.mark.parametrize(("since", "words"), [("17:30", "unserved:MISSED"), ("17:30:00.001", "")])
def test_no_publication_counts_that_had_passed_when_the_watch_began(since: str, words: str) -> None:
    assert Watch(since).tick("17:30:30").words == words
    assert Watch("23:30").tick("11 17:30:30").words == "unserved:MISSED"


@pytest.mark.parametrize(("since", "day"), [("23:00", DAY), ("23:00:00.001", "2026-06-12"), ("00:00", DAY)])
def test_no_day_counts_whose_deadline_had_passed_when_the_watch_began(since: str, day: str) -> None:
    assert Watch(since).state.day == day


def test_the_rules_say_when_the_deadline_is() -> None:
    rules = rules_from({"day_ahead": {"deadline_min": 22 * 60, "publish_min": 21 * 60}, "grace_s": 10})
    watch = Watch(rules=rules).tick("21:00:09.999")
    assert watch.words == ""
    assert watch.tick("21:00:10").tick("22:00:09.999").words == "unserved:MISSED"
    assert watch.tick("22:00:10").words == "unserved:MISSED +DA_MISSED"


# ── publication (Art. 9(2)) ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("completed", "words"), [("17:30", "result"), ("17:30:00.001", "result unserved:LATE")])
def test_a_result_after_its_publication_is_an_anomaly(completed: str, words: str) -> None:
    watch = Watch().result("17:30:10", completed).tick("17:30:29.999").tick("17:30:30").tick("17:31")
    assert watch.words == words


def test_an_anomaly_says_what_was_known_and_what_was_due() -> None:
    watch = Watch().result("17:00", status=ClearingStatus.FAILED, prices=(), reason="SOLVER").tick("17:30:30")
    (unserved,) = of(watch, IntervalUnserved)
    assert (unserved.segment, unserved.interval_start_ns, unserved.how) == (Segment.DA, DAY_START, "FAILED")
    assert unserved.reason == "SOLVER; due 2026-06-10T17:30:00+08:00"
    (late,) = of(Watch().result("17:30:20", "17:30:10").tick("17:30:30"), IntervalUnserved)
    assert late.reason == "completed 2026-06-10T17:30:10+08:00; due 2026-06-10T17:30:00+08:00"


def test_the_publication_is_judged_once_a_day() -> None:
    watch = Watch()
    assert watch.next_ns("23:00:30") is None, "what is due already is no deadline"
    assert watch.next_ns("00:00") == ns("17:30:30")
    watch.tick("17:30:30")
    assert watch.next_ns("17:30:30") == ns("23:00:30")
    assert watch.tick("17:31").words == "unserved:MISSED"


# ── which results count ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("count", [1, 24, 48, 96, 288])
def test_a_result_prices_the_day_or_each_of_its_periods(count: int) -> None:
    assert Watch().result("17:00", prices=(300.0,) * count).words == "result"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"prices": ()}, "carries 0 prices"),
        ({"prices": (300.0,) * 23}, "carries 23 prices"),
        ({"prices": (*PRICES[:-1], math.nan)}, "price nan of period 24"),
        ({"prices": (-0.01, *PRICES[1:])}, "price -0.01 of period 1 outside 0 to 1500"),
        ({"prices": (*PRICES[:-1], 1500.01)}, "price 1500.01 of period 24"),
    ],
)
def test_a_result_that_is_not_valid_does_not_count(change: dict, why: str) -> None:
    watch = Watch().result("17:00", **change)
    assert watch.words == ""
    assert (watch.state.how, watch.state.reason.startswith(why)) == ("INVALID", True)
    (condition,) = of(watch.tick("23:00:30"), ConditionMet)
    assert condition.evidence[1].startswith(f"latest word: INVALID, {why}")


@pytest.mark.parametrize("price", [0.0, 1500.0])
def test_the_limits_of_a_price_are_prices(price: float) -> None:
    assert Watch().result("17:00", prices=(price,)).words == "result"


@pytest.mark.parametrize(("day_ns", "words"), [(DAY_START + 1, ""), (DAY_START - NS_PER_S, ""), (DAY_START, "result")])
def test_a_result_is_for_an_operating_day(day_ns: int, words: str) -> None:
    assert Watch().result("17:00", day_ns=day_ns).words == words


@pytest.mark.parametrize(("completed", "words"), [("10 23:59:59.999", "result"), ("11 00:00", "")])
def test_a_result_after_its_day_was_over_is_none(completed: str, words: str) -> None:
    assert Watch("11 12:00").result("11 12:00", completed, day_ns=ns("10 00:00")).words == words


@pytest.mark.parametrize(("heard", "words"), [("10 00:00", "result"), ("09 23:59:59.999", "")])
def test_a_result_more_than_two_days_ahead_is_a_mistake(heard: str, words: str) -> None:
    assert Watch("09 12:00").result(heard, day_ns=ns("12 00:00")).words == words


def test_a_study_says_nothing() -> None:
    assert Watch().result("17:00", run_type=RunType.STUDY).words == ""


def test_a_result_of_the_real_time_market_says_nothing() -> None:
    fact = ClearingReported(
        ts_event_ns=ns("17:00"),
        segment=Segment.RT,
        interval_start_ns=DAY_START,
        status=ClearingStatus.OK,
        completed_at_ns=ns("17:00"),
        price_cny_per_mwh=(300.0,),
    )
    assert Watch().take(fact).words == ""


@pytest.mark.parametrize(("version", "words"), [(2, "result"), (1, "result"), (3, "result result")])
def test_only_a_newer_version_is_news(version: int, words: str) -> None:
    assert Watch().result("17:00", version=2).result("17:10", version=version).words == words


def test_a_later_version_does_not_make_the_first_late() -> None:
    watch = Watch().result("17:00").result("23:00:20", version=2).tick("23:00:30")
    assert watch.words == "result result"
    assert [accepted.in_time for accepted in of(watch, DayAheadAccepted)] == [True, False]


def test_an_earlier_completion_of_a_later_version_counts() -> None:
    assert Watch().result("23:00:10").result("23:00:20", "22:59", version=2).tick("23:00:30").words == "result result unserved:LATE"


@pytest.mark.parametrize(("completed", "words"), [("23:00:21", "result"), ("23:00:21.001", "result")])
def test_a_source_clock_is_trusted_to_a_second(completed: str, words: str) -> None:
    watch = Watch("22:00").result("23:00:20", completed)
    (accepted,) = of(watch, DayAheadAccepted)
    assert accepted.completed_at_ns == ns("23:00:21" if completed == "23:00:21" else "23:00:20")
    assert watch.words == words


def test_a_failure_after_a_result_is_an_old_story() -> None:
    watch = Watch().result("17:00").result("17:10", status=ClearingStatus.FAILED, prices=())
    assert watch.state.how == "MISSED"


def test_a_failure_of_another_day_is_not_this_ones() -> None:
    watch = Watch().result("17:10", status=ClearingStatus.FAILED, prices=(), day_ns=ns("12 00:00"))
    assert watch.state.how == "MISSED"


def test_a_failure_without_a_reason_says_so() -> None:
    assert Watch().result("17:10", status=ClearingStatus.FAILED, prices=()).state.reason == "no reason given"


def test_a_failure_is_forgotten_with_its_day() -> None:
    watch = Watch().result("17:10", status=ClearingStatus.FAILED, prices=()).tick("23:00:30")
    assert (watch.state.how, watch.state.published_judged) == ("MISSED", False)


def test_a_doubtful_result_counts_and_is_told() -> None:
    watch = Watch().result("17:00", review=("the cost of a MWh went from 200.00 to 900.00 CNY since 11:45",))
    (noted,) = of(watch, Noted)
    assert (noted.what, noted.article) == ("PRICE_UNDER_REVIEW", "Art. 9(1)")
    assert noted.evidence == ("operating day 2026-06-11", "the cost of a MWh went from 200.00 to 900.00 CNY since 11:45")


def test_what_is_accepted_is_passed_on_whole() -> None:
    (accepted,) = of(Watch().result("17:00", version=3), DayAheadAccepted)
    assert accepted == DayAheadAccepted(
        day_start_ns=DAY_START, completed_at_ns=ns("17:00"), price_cny_per_mwh=PRICES, version=3, in_time=True
    )


def test_results_are_remembered_for_as_long_as_their_day_matters() -> None:
    watch = Watch().result("17:00")
    assert watch.state.has_result(DAY_START)
    assert not watch.state.has_result(ns("12 00:00"))
    watch.tick("23:00:30").tick("11 23:00:30")
    assert watch.state.has_result(DAY_START), "it is the day that runs"
    watch.tick("12 23:00:30")
    assert watch.state.day == "2026-06-14"
    assert not watch.state.has_result(DAY_START)


def test_the_first_open_day_is_the_first_without_a_result() -> None:
    watch = Watch()
    assert first_day_ns(watch.state, RULES) == DAY_START
    assert first_day_ns(watch.result("17:00").state, RULES) == DAY_START + NS_PER_DAY


# ── what a dispatcher expects ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_dispatcher_who_expects_it_late_is_a_condition_at_once() -> None:
    watch = Watch("20:00").eta("21:40", "23:00:00.001")
    (condition,) = of(watch, ConditionMet)
    assert (condition.basis, condition.segment, condition.auto_allowed) == ("DA_EXPECTED", Segment.DA, False)
    assert (condition.met_at_ns, condition.operating_day, condition.article) == (ns("21:40"), DAY, "Art. 23(1)")
    assert condition.details["expected_at"] == "2026-06-10T23:00:00.001+08:00"
    assert condition.evidence == (
        "operating day 2026-06-11: the dispatcher expects the result at 2026-06-10T23:00:00.001+08:00",
        "deadline 2026-06-10T23:00:00+08:00",
    )


def test_the_deadline_itself_leaves_zero_margin_and_is_noted_once() -> None:
    watch = Watch("20:00").eta("21:40", "23:00")
    assert watch.words == "DAY_AHEAD_ZERO_MARGIN"
    assert of(watch, Noted)[0].evidence == (
        "operating day 2026-06-11: expected at 2026-06-10T23:00:00+08:00, the deadline itself; zero margin",
    )
    assert watch.eta("21:50", "23:00").words == "DAY_AHEAD_ZERO_MARGIN"
    assert watch.eta("21:55", "22:00").eta("22:00", "23:00").words == "DAY_AHEAD_ZERO_MARGIN DAY_AHEAD_ZERO_MARGIN"


@pytest.mark.parametrize(
    ("at", "words"), [("22:30", "+DA_EXPECTED -DA_EXPECTED"), ("23:00", "+DA_EXPECTED DAY_AHEAD_ZERO_MARGIN -DA_EXPECTED")]
)
def test_an_earlier_word_withdraws_the_condition(at: str, words: str) -> None:
    assert Watch("20:00").eta("21:40", "23:30").eta("22:00", at).words == words


def test_another_late_word_is_told_and_the_same_is_not() -> None:
    watch = Watch("20:00").eta("21:40", "23:30").eta("21:50", "23:30")
    assert watch.words == "+DA_EXPECTED"
    assert watch.eta("21:55", "23:40").words == "+DA_EXPECTED +DA_EXPECTED"


def test_a_result_withdraws_the_condition() -> None:
    watch = Watch("20:00").eta("21:40", "23:30").result("22:50")
    assert watch.words == "+DA_EXPECTED result -DA_EXPECTED"
    assert of(watch, ConditionGone)[0].why == "the day-ahead result is there"
    assert watch.tick("23:00:30").words.endswith("result -DA_EXPECTED")


def test_the_fact_follows_the_expectation() -> None:
    watch = Watch("20:00").eta("21:40", "23:30").tick("23:00:30")
    assert watch.words == "+DA_EXPECTED +DA_MISSED"
    assert of(watch, ConditionMet)[1].evidence[2] == "the dispatcher expected it at 2026-06-10T23:30:00+08:00"


def test_what_is_said_of_a_day_with_its_result_is_no_news() -> None:
    assert Watch().result("17:00").eta("18:00", "23:30").said("18:01", "23:30").words == "result"


def test_what_is_said_of_another_day_is_not_heard() -> None:
    assert Watch().said("10:00", "23:30", day_ns=ns("12 00:00")).words == ""


# ── what the estimate expects ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("p50", "p90", "words"),
    [
        ("22:00", "23:00", ""),
        ("22:00", "23:00:00.001", "DAY_AHEAD_AT_RISK"),
        ("23:00", "23:30", "DAY_AHEAD_AT_RISK"),
        ("23:00:00.001", "23:30", "DAY_AHEAD_AT_RISK +DA_EXPECTED"),
        (None, None, ""),
    ],
)
def test_an_estimate_warns_by_its_p90_and_proposes_by_its_p50(p50: str | None, p90: str | None, words: str) -> None:
    watch = Watch("20:00").said("21:00", p50, p90)
    assert watch.words == words
    for condition in of(watch, ConditionMet):
        assert condition.auto_allowed is False
        assert condition.evidence == (
            "operating day 2026-06-11: the result is estimated at P50 2026-06-10T23:00:00.001+08:00, P90 2026-06-10T23:30:00+08:00",
            "deadline 2026-06-10T23:00:00+08:00",
        )


def test_an_estimate_warns_once_a_day() -> None:
    watch = Watch("20:00").said("21:00", "22:00", "23:30").said("21:10", "21:30", "22:00").said("21:20", "22:00", "23:40")
    assert watch.words == "DAY_AHEAD_AT_RISK"
    watch.tick("23:00:30").said("11 21:00", "11 22:00", "11 23:30", day_ns=ns("12 00:00"))
    assert watch.words.endswith("DAY_AHEAD_AT_RISK")


def test_an_estimate_proposes_once_until_it_is_in_time_again() -> None:
    watch = Watch("20:00").said("21:00", "23:10").said("21:05", "23:20").said("21:10", "22:50", "22:55").said("21:15", "23:10")
    assert watch.words == "DAY_AHEAD_AT_RISK +DA_EXPECTED -DA_EXPECTED +DA_EXPECTED"
    assert of(watch, ConditionGone)[0].why == "the day-ahead result is expected in time, or not at all"


def test_a_persons_word_counts_before_the_estimate() -> None:
    assert Watch("20:00").said("21:00", "23:10").eta("21:10", "22:30").words == "DAY_AHEAD_AT_RISK +DA_EXPECTED -DA_EXPECTED"
    assert Watch("20:00").eta("21:10", "23:30").said("21:20", "22:00").words == "+DA_EXPECTED", "and is not withdrawn by it"


def test_a_word_whose_instant_has_passed_gives_way_to_the_estimate() -> None:
    watch = Watch("20:00").eta("21:00", "22:00").said("21:30", "23:10").tick("22:00")
    assert watch.words == "DAY_AHEAD_AT_RISK"
    assert watch.next_ns("22:00") == ns("22:00") + 1
    assert watch.tick(ns("22:00") + 1).words.endswith("+DA_EXPECTED")


# ── blindness, clock, calendar ──────────────────────────────────────────────────────────────────────────────────────────


def test_what_cannot_be_seen_is_not_judged() -> None:
    watch = Watch("22:00").sight("22:30", up=False).tick("23:00:30").tick("23:10")
    assert watch.words == ""
    assert watch.next_ns("22:30") is None
    watch.sight("23:10", up=True)
    assert watch.next_ns("23:10") == ns("23:10:30")
    assert watch.tick("23:10:29.999").words == ""
    assert watch.tick("23:10:30").words == "+DA_MISSED"


def test_what_was_made_in_time_and_is_seen_later_is_no_miss() -> None:
    watch = Watch().sight("17:00", up=False).sight("23:10", up=True).result("23:10:10", "17:20").tick("23:10:30")
    assert watch.words == "result"


def test_sight_that_was_never_lost_gives_no_grace() -> None:
    assert Watch("22:00").sight("23:00:29", up=True).tick("23:00:30").words == "+DA_MISSED"


def test_sight_lost_twice_is_lost_once() -> None:
    watch = Watch().sight("17:00", up=False)
    before = watch.state
    assert watch.sight("18:00", up=False).state is before


def test_a_suspect_clock_holds_the_deadline_and_not_the_publication() -> None:
    watch = Watch().tick("17:30:30", held=True).tick("23:00:30", held=True)
    assert watch.words == "unserved:MISSED"
    assert watch.tick("23:01").words == "unserved:MISSED +DA_MISSED"


def test_a_clock_is_not_suspect_unless_somebody_says_so() -> None:
    _, found = observe(watch_from(ns("22:00"), RULES), Ticked(ts_event_ns=ns("23:00:30")), RULES)
    assert len(found) == 1


def test_a_suspect_clock_does_not_hold_a_day_that_was_served() -> None:
    assert Watch().result("17:00").tick("23:00:30", held=True).state.day == "2026-06-12"


@pytest.mark.parametrize(
    ("from_", "to", "expected"),
    [
        ("11 00:00", "12 00:00", False),
        ("10 12:00", "11 00:00", True),
        ("11 00:00:00.001", "12 00:00", True),
        ("10 00:00", "11 00:00:00.001", False),
    ],
)
def test_a_day_that_begins_in_a_closed_range_has_no_day_ahead_market(from_: str, to: str, expected: bool) -> None:
    watch = Watch().closed(from_, to).tick("17:30:30").eta("20:00", "23:30").tick("23:00:30")
    assert watch.words == ("unserved:MISSED +DA_EXPECTED +DA_MISSED" if expected else "")


def test_nothing_is_noted_of_a_day_that_has_no_day_ahead_market() -> None:
    watch = Watch("20:00").closed("11 00:00", "12 00:00").eta("21:00", "23:00").said("21:10", "22:00", "23:30")
    assert (watch.words, watch.state.eta_ns) == ("", None)


def test_the_calendar_of_the_real_time_market_is_another() -> None:
    assert Watch().closed("11 00:00", "12 00:00", Segment.RT).tick("23:00:30").words == "unserved:MISSED +DA_MISSED"


def test_a_closed_day_is_passed_over_and_the_next_is_judged() -> None:
    watch = Watch().closed("11 00:00", "12 00:00").closed("11 00:00", "12 00:00")
    assert len(watch.state.closed) == 1
    watch.tick("23:00:30").tick("11 23:00:30")
    assert [condition.operating_day for condition in of(watch, ConditionMet)] == ["2026-06-12"]
    assert watch.state.closed == (), "what is past is forgotten"


def test_a_closed_range_is_kept_for_the_days_to_come() -> None:
    watch = Watch().closed("11 00:00", "13 00:00").tick("23:00:30").tick("11 23:00:30").tick("12 23:00:30")
    assert [condition.operating_day for condition in of(watch, ConditionMet)] == ["2026-06-13"]


def test_a_day_that_is_closed_is_expected_no_more() -> None:
    watch = Watch("20:00").eta("21:40", "23:30").closed("11 00:00", "12 00:00")
    assert watch.words == "+DA_EXPECTED -DA_EXPECTED"


def test_a_market_without_a_day_ahead_expects_nothing() -> None:
    rules = rules_from({"day_ahead": {"expected": False}})
    watch = Watch(rules=rules).tick("17:30:30").eta("20:00", "23:30").tick("23:00:30")
    assert (watch.words, watch.state.day) == ("", "2026-06-12")


# ── a dispatcher's order ────────────────────────────────────────────────────────────────────────────────────────────────


def order(watch: Watch, when: str, eta: str, day: str = DAY) -> DayAheadExpected | Refused:
    args = {"operating_day": day, "eta": eta}
    command = CommandGiven(ts_event_ns=0, command_id="c", by="li", role="DISPATCH", action="DA_ETA", args=args)
    return ordered(watch.state, command, ns(when), RULES)


@pytest.mark.parametrize("when", ["21:40", "23:30"])
def test_an_order_becomes_what_the_dispatcher_expects(when: str) -> None:
    assert order(Watch("20:00"), when, "2026-06-10T23:30:00+08:00") == DayAheadExpected(
        ts_event_ns=ns(when),
        interval_start_ns=DAY_START,
        source=EstimateSource.DISPATCHER,
        p50_ns=ns("23:30"),
        p90_ns=ns("23:30"),
    )


@pytest.mark.parametrize(
    ("watch", "eta", "day", "why"),
    [
        (Watch("20:00"), "2026-06-10T21:39:59.999+08:00", DAY, "eta lies in the past; give 2026-06-10T21:40:00+08:00 or later"),
        (Watch("20:00"), "23:30", DAY, "eta: '23:30' is not an ISO 8601 instant"),
        (Watch("20:00"), "2026-06-10T23:30:00+08:00", "2026-06-12", "'2026-06-12' is not the one that is waited for; that is 2026-06-11"),
        (Watch("10:00").result("17:00"), "2026-06-10T23:30:00+08:00", DAY, "has its result"),
        (Watch("10:00").closed("11 00:00", "12 00:00"), "2026-06-10T23:30:00+08:00", DAY, "closed by its calendar"),
    ],
)
def test_an_order_that_cannot_be_is_refused(watch: Watch, eta: str, day: str, why: str) -> None:
    answer = order(watch, "21:40", eta, day)
    assert isinstance(answer, Refused)
    assert why in answer.why
    assert (answer.by, answer.rule) == ("li", "Art. 23(1)")


def test_a_watch_is_read_back_as_it_was() -> None:
    watch = Watch("20:00").result("20:10", day_ns=ns("12 00:00")).eta("21:40", "23:30").closed("13 00:00", "14 00:00")
    assert msgspec.json.decode(msgspec.json.encode(watch.state), type=DayAheadWatch) == watch.state


@settings(max_examples=40, deadline=None)
@given(
    results=st.lists(st.tuples(st.integers(0, 80), st.integers(0, 29), st.booleans()), max_size=4),
    ticks=st.lists(st.integers(0, 120), max_size=12),
)
def test_a_deadline_is_missed_exactly_where_no_valid_result_was_made_by_it(results: list[tuple[int, int, bool]], ticks: list[int]) -> None:
    """Results around 23:00, each heard within the grace; ticks anywhere: only what was completed by 23:00:00 counts."""
    since_ns, last_ns = ns("22:59"), ns("23:00")
    made = [(since_ns + at_s * NS_PER_S, late_s, valid) for at_s, late_s, valid in results]
    heard = [(at_ns + late_s * NS_PER_S, at_ns, valid) for at_ns, late_s, valid in made]
    said = sorted([*heard, *((since_ns + at_s * NS_PER_S, 0, False) for at_s in ticks), (ns("23:02"), 0, False)])
    watch = Watch("22:59")
    for version, (when, completed, valid) in enumerate(said, 1):
        if completed:
            watch.result(when, completed, version=version, prices=PRICES if valid else (math.inf,))
        else:
            watch.tick(when)
    in_time = any(valid and at_ns <= last_ns for at_ns, _, valid in made)
    assert [condition.basis for condition in of(watch, ConditionMet)] == ([] if in_time else ["DA_MISSED"])
    later = any(valid and at_ns > last_ns for at_ns, _, valid in made)
    assert len(of(watch, ConditionGone)) == (not in_time and later)


def test_a_tick_at_which_nothing_is_due_leaves_the_watch_as_it_is() -> None:
    watch = Watch()
    before = watch.state
    assert watch.tick("10:00").state is before


# ── what is remembered, and for how long ────────────────────────────────────────────────────────────────────────────────


def test_a_watch_begins_with_nothing_to_wait_for() -> None:
    assert Watch().state.judge_after_ns == 0
    assert Watch().sight("12:00", up=False).state.judge_after_ns == 0, "going blind puts nothing off"


def test_a_day_without_a_result_is_remembered_until_the_third_day_after_it_is_watched() -> None:
    watch = Watch("22:00").tick("23:00:30")
    assert watch.state.missed_ns == DAY_START
    watch.tick("11 23:00:30")
    assert (watch.state.day, watch.state.missed_ns) == ("2026-06-13", DAY_START + NS_PER_DAY)
    later = Watch("22:00").tick("23:00:30")
    for day in (2, 3):
        later.result(f"1{day - 1} 17:00", day_ns=DAY_START + (day - 1) * NS_PER_DAY).tick(f"1{day - 1} 23:00:30")
        assert later.state.missed_ns == (DAY_START if day < 3 else None), later.state.day


def test_a_result_that_came_after_the_deadline_and_before_the_judgement_leaves_no_day_missed() -> None:
    watch = Watch("22:00").result("23:00:20").tick("23:00:30")
    assert "+DA_MISSED -DA_MISSED" in watch.words
    assert watch.state.missed_ns is None


def test_a_closure_is_forgotten_once_the_day_it_ends_with_is_watched() -> None:
    watch = Watch().closed("11 00:00", "12 00:00").tick("23:00:30")
    assert (watch.state.day, watch.state.closed) == ("2026-06-12", ())
    watch = Watch().closed("11 00:00", "12 00:00:00.001").tick("23:00:30")
    assert watch.state.closed == ((DAY_START, ns("12 00:00:00.001")),)


def test_what_is_estimated_names_the_estimates_there_are() -> None:
    watch = Watch().said("20:00", "23:30", "23:50")
    (both,) = of(watch, ConditionMet)
    assert both.evidence == (
        "operating day 2026-06-11: the result is estimated at P50 2026-06-10T23:30:00+08:00, P90 2026-06-10T23:50:00+08:00",
        "deadline 2026-06-10T23:00:00+08:00",
    )
    alone = Watch()
    alone.take(
        DayAheadExpected(ts_event_ns=ns("20:00"), interval_start_ns=DAY_START, source=EstimateSource.STATISTICAL, p50_ns=ns("23:30"))
    )
    (only,) = of(alone, ConditionMet)
    assert alone.state.late_said == "statistical", "what was said is remembered by who said it"
    assert only.evidence[0] == "operating day 2026-06-11: the result is estimated at P50 2026-06-10T23:30:00+08:00"
