"""The 120 minutes: when an outage starts, what ends it, and when the condition is met."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detectors.failed_clearing import ClearingWatch, headroom_ns, next_deadline_ns, observe, watch_from
from detectors.findings import ConditionMet, Finding, IntervalUnserved, Noted, OutageBegan, OutageOver, OutageReached, ResultAccepted
from market.facts import CalendarClosed, ClearingReported, ClearingStatus, Fact, RunType, Segment, SourceReported, Ticked
from market.rules import GUANGDONG_2023, MarketRules, rules_from
from market.units import NS_PER_H, NS_PER_MIN, NS_PER_S, instant_text
from tests.kit.table import at_ns, rows

RULES = GUANGDONG_2023


def fact_of(ts_ns: int, words: list[str]) -> Fact:
    """``tick`` | ``ok INTERVAL [done HH:MM:SS] [price P]`` | ``failed INTERVAL`` | ``study INTERVAL`` | ``blind`` | ``sight``."""
    match words:
        case ["tick"]:
            return Ticked(ts_event_ns=ts_ns)
        case ["blind" | "sight" as word]:
            return SourceReported(ts_event_ns=ts_ns, name="clearing", up=word == "sight")
        case ["closed", from_, to]:
            return CalendarClosed(ts_event_ns=ts_ns, segment=Segment.RT, from_ns=at_ns(from_), to_ns=at_ns(to))
        case [word, interval, *rest]:
            options = dict(zip(rest[::2], rest[1::2], strict=True))
            return ClearingReported(
                ts_event_ns=ts_ns,
                segment=Segment.RT,
                interval_start_ns=at_ns(interval),
                status=ClearingStatus.FAILED if word == "failed" else ClearingStatus.OK,
                run_type=RunType.STUDY if word == "study" else RunType.PRODUCTION,
                completed_at_ns=at_ns(options["done"]) if "done" in options else ts_ns,
                price_cny_per_mwh=() if word == "failed" else (float(options.get("price", "388")),),
                version=int(options.get("version", "1")),
                reason="SOLVER_STATUS" if word == "failed" else "",
            )
    raise AssertionError(words)


def clock(ns: int) -> str:
    text = instant_text(ns, "Asia/Shanghai")[11:].removesuffix("+08:00")
    return text.removesuffix(":00") if text.count(":") == 2 else text


def said(found: tuple[Finding, ...]) -> str:
    """Write findings as a table does."""
    words = []
    for finding in found:
        match finding:
            case OutageBegan(start_ns=start):
                words.append(f"outage({clock(start)})")
            case OutageOver(end_ns=end, unserved=n):
                words.append(f"over({clock(end)},{n})")
            case OutageReached(minutes=minutes):
                words.append(f"mark({minutes})")
            case IntervalUnserved(interval_start_ns=start, how=how):
                words.append(f"{how.lower()}({clock(start)})")
            case ConditionMet(met_at_ns=met_at):
                words.append(f"condition({clock(met_at)})")
            case ResultAccepted(interval_start_ns=start):
                words.append(f"served({clock(start)})")
    return " ".join(words) or "-"


def run(table: str, rules: MarketRules = RULES, start: str = "09:45", *, held: bool = False) -> ClearingWatch:
    watch = watch_from(at_ns(start), rules)
    for ts_ns, words, expected in rows(table):
        watch, found = observe(watch, fact_of(ts_ns, words), rules, held=held)
        assert said(found) == (expected or "-"), f"at {clock(ts_ns)} {' '.join(words)}"
    return watch


def test_one_missed_interval_is_an_outage_from_its_due_instant() -> None:
    run("""
        09:45        ok 09:45 done 09:44:50   | served(09:45)
        10:00:29.999 tick                     |
        10:00:30     tick                     | outage(10:00) missed(10:00)
    """)


def test_condition_is_met_at_the_limit_and_reported_after_the_grace_once() -> None:
    run(
        """
        09:45        ok 09:45                 | served(09:45)
        10:00:30     tick                     | outage(10:00) missed(10:00)
        11:45:30     tick                     | missed(10:15) missed(10:30) missed(10:45) missed(11:00) missed(11:15) missed(11:30) """
        """missed(11:45) mark(105)
        12:00:29.999 tick                     |
        12:00:30     tick                     | missed(12:00) condition(12:00)
        12:00:40     tick                     |
    """
    )


def test_silence_and_failure_count_alike_and_are_told_apart() -> None:
    run("""
        09:45        ok 09:45                 | served(09:45)
        10:00        failed 10:00             |
        10:00:30     tick                     | outage(10:00) failed(10:00)
        10:15:30     tick                     | missed(10:15) mark(15)
    """)


def test_late_result_ends_the_outage_when_it_was_completed() -> None:
    run("""
        09:45        ok 09:45                 | served(09:45)
        10:00:30     tick                     | outage(10:00) missed(10:00)
        10:07        ok 10:00                 | served(10:00) over(10:07,0)
        10:15:30     tick                     | outage(10:15) missed(10:15)
    """)


def test_intervals_that_fell_due_after_the_late_result_begin_the_next_outage() -> None:
    run("""
        09:45        ok 09:45                 | served(09:45)
        10:00:30     tick                     | outage(10:00) missed(10:00)
        10:15:30     tick                     | missed(10:15) mark(15)
        10:20        ok 10:00 done 10:07      | served(10:00) over(10:07,0) outage(10:15)
    """)


def test_result_for_an_interval_before_the_outage_ends_nothing() -> None:
    run("""
        09:45        ok 09:45                 | served(09:45)
        10:00:30     tick                     | outage(10:00) missed(10:00)
        10:05        ok 09:45 done 09:59 version 2 | served(09:45)
        10:15:30     tick                     | missed(10:15) mark(15)
    """)


def test_result_ahead_of_time_serves_its_interval_and_no_other() -> None:
    run("""
        09:45        ok 09:45                 | served(09:45)
        09:50        ok 10:15                 | served(10:15)
        10:00:30     tick                     | outage(10:00) missed(10:00)
        10:15:30     tick                     | mark(15)
    """)


def test_study_duplicate_and_nonsense_never_count() -> None:
    run("""
        09:45        ok 09:45                 | served(09:45)
        09:46        ok 09:45                 |
        09:50        study 10:00              |
        09:51        ok 10:00 price 1500.01   |
        09:52        ok 10:00 price -0.01     |
        09:53        ok 10:00 price nan       |
        09:54        ok 10:07                 |
        10:00:30     tick                     | outage(10:00) invalid(10:00)
    """)


def test_prices_at_cap_and_floor_are_valid() -> None:
    run("""
        09:45        ok 09:45 price 1500      | served(09:45)
        09:46        ok 10:00 price 0         | served(10:00)
    """)


def test_result_completed_when_its_interval_is_over_does_not_count() -> None:
    run("""
        09:45        ok 09:45                       | served(09:45)
        10:14:59.999 ok 10:00 done 10:14:59.999     | served(10:00)
        10:30        ok 10:15 done 10:30            |
        10:15:30     tick                           | outage(10:15) invalid(10:15)
    """)


def test_completion_from_an_untrusted_clock_counts_by_arrival() -> None:
    watch = run("""
        09:45        ok 09:45                       | served(09:45)
        10:00:30     tick                           | outage(10:00) missed(10:00)
        10:05        ok 10:00 done 10:14            | served(10:00) over(10:05,0)
    """)
    assert watch.last_valid_at_ns == at_ns("10:05")


def test_a_result_after_the_condition_was_reported_ends_the_outage() -> None:
    watch = watch_from(at_ns("09:45"), RULES)
    watch, _ = observe(watch, fact_of(at_ns("12:00:30"), ["tick"]), RULES)
    assert watch.condition_reported
    watch, found = observe(watch, fact_of(at_ns("12:05"), ["ok", "12:00"]), RULES)
    assert said(found) == "served(12:00) over(12:05,9)"
    assert not watch.condition_reported


def test_held_condition_waits_and_is_then_reported_with_its_own_instant() -> None:
    watch = watch_from(at_ns("09:45"), RULES)
    watch, found = observe(watch, fact_of(at_ns("12:00:30"), ["tick"]), RULES, held=True)
    assert "condition" not in said(found)
    _, found = observe(watch, fact_of(at_ns("12:03"), ["tick"]), RULES)
    assert said(found) == "condition(11:45)"


def test_nothing_is_judged_while_blind_and_the_back_fill_has_one_grace() -> None:
    run("""
        09:45        ok 09:45                 | served(09:45)
        09:50        blind                    |
        10:20        tick                     |
        10:25        sight                    |
        10:25:20     ok 10:00 done 10:01      | served(10:00)
        10:25:29.999 tick                     |
        10:25:30     tick                     | outage(10:15) missed(10:15)
    """)


def test_closed_calendar_expects_nothing_and_ends_an_outage() -> None:
    watch = run("""
        09:45        closed 10:15 11:00       |
        09:46        ok 09:45                 | served(09:45)
        10:00:30     tick                     | outage(10:00) missed(10:00)
        10:15:30     tick                     | over(10:15,1)
        11:00:29     tick                     |
        11:00:30     tick                     | outage(11:00) missed(11:00)
    """)
    assert headroom_ns(watch, at_ns("10:20"), RULES) is None


def test_headroom_counts_down_from_the_due_instant() -> None:
    watch = watch_from(at_ns("09:45"), RULES)
    assert headroom_ns(watch, at_ns("09:50"), RULES) == 120 * NS_PER_MIN
    watch, _ = observe(watch, fact_of(at_ns("09:45:30"), ["tick"]), RULES)
    assert headroom_ns(watch, at_ns("10:00"), RULES) == 105 * NS_PER_MIN
    assert headroom_ns(watch, at_ns("23:00"), RULES) == 0


def test_deadlines_name_every_instant_something_can_happen() -> None:
    watch = watch_from(at_ns("09:45"), RULES)
    seen, now_ns = [], at_ns("09:45")
    while (deadline := next_deadline_ns(watch, now_ns, RULES)) is not None and deadline <= at_ns("11:45:30"):
        watch, found = observe(watch, Ticked(ts_event_ns=deadline), RULES)
        assert found, f"nothing happened at {clock(deadline)}"
        seen.append(clock(deadline))
        now_ns = deadline
    assert "11:45:30" in seen
    assert watch.condition_reported


def test_first_expected_interval_is_the_first_that_starts_at_or_after_the_beginning() -> None:
    assert watch_from(at_ns("09:45"), RULES).next_start_ns == at_ns("09:45")
    assert watch_from(at_ns("09:45") + 1, RULES).next_start_ns == at_ns("10:00")


def test_limit_comes_from_the_rules() -> None:
    rules = rules_from({"rt_limit_min": 90, "grace_s": 5, "rt_interval_min": 5})
    watch = watch_from(at_ns("10:00"), rules)
    watch, found = observe(watch, Ticked(ts_event_ns=at_ns("11:30:05") - 1), rules)
    assert not any(isinstance(f, ConditionMet) for f in found)
    watch, found = observe(watch, Ticked(ts_event_ns=at_ns("11:30:05")), rules)
    assert [f.met_at_ns for f in found if isinstance(f, ConditionMet)] == [at_ns("11:30")]
    assert watch.outage_start_ns == at_ns("10:00")


def test_source_clock_ahead_by_a_second_is_trusted() -> None:
    watch = watch_from(at_ns("09:45"), RULES)
    fact = fact_of(at_ns("09:50"), ["ok", "09:45", "done", "09:50:01"])
    watch, _ = observe(watch, fact, RULES)
    assert watch.last_valid_at_ns == at_ns("09:50") + NS_PER_S


@pytest.mark.parametrize("ticks", [("10:00:30", "10:15:30"), ("10:15:30",)], ids=["in time", "one late"])
def test_a_result_taken_in_before_the_outage_was_judged_ends_it(ticks: tuple[str, ...]) -> None:
    """10:15 was cleared ten seconds after 10:00 fell due: the outage is ten seconds long, whenever it is judged."""
    watch, found = watch_from(at_ns("09:45"), RULES), list[Finding]()
    for ts_ns, words, _ in rows("09:45 ok 09:45\n10:00:10 ok 10:15\n" + "".join(f"{tick} tick\n" for tick in ticks)):
        watch, more = observe(watch, fact_of(ts_ns, words), RULES)
        found += more
    assert said(tuple(found)).endswith("outage(10:00) missed(10:00) over(10:00:10,1)")
    assert watch.outage_start_ns is None


def test_success_inside_a_back_fill_restarts_the_count() -> None:
    """GD-23 RT-04, seen late: 12:00 was cleared at 11:50, so nothing was out for 120 minutes."""
    watch = watch_from(at_ns("09:45"), RULES)
    back_fill = "12:20:05 ok 12:00 done 11:50\n12:20:06 ok 12:15 done 12:14\n"
    for ts_ns, words, _ in rows("09:45 ok 09:45\n09:50 blind\n12:20 sight\n" + back_fill + "12:21 tick"):
        watch, found = observe(watch, fact_of(ts_ns, words), RULES)
    assert [f.end_ns for f in found if isinstance(f, OutageOver)] == [at_ns("11:50")]
    assert not any(isinstance(f, ConditionMet) for f in found)
    assert watch.outage_start_ns is None


@pytest.mark.parametrize("version_2", ["", "12:05 ok 12:00 version 2\n"], ids=["one version", "and a later one"])
def test_one_late_tick_finds_what_ticks_in_time_would_have(version_2: str) -> None:
    watch, found = watch_from(at_ns("09:45"), RULES), tuple[Finding, ...]()
    for ts_ns, words, _ in rows("09:45 ok 09:45\n11:50 ok 12:00\n" + version_2 + "12:14 ok 12:15\n12:21 tick"):
        watch, found = observe(watch, fact_of(ts_ns, words), RULES)
    assert not any(isinstance(f, ConditionMet) for f in found)


@pytest.mark.parametrize("arrives", ["09:50:20", "10:00:31", "10:16"])
def test_a_result_completed_before_the_outage_does_not_end_it_whenever_it_arrives(arrives: str) -> None:
    watch, found = watch_from(at_ns("09:45"), RULES), list[Finding]()
    facts = sorted(rows(f"09:45 ok 09:45\n10:00:30 tick\n10:15:30 tick\n10:17 tick\n{arrives} ok 10:15 done 09:50"), key=lambda row: row[0])
    for ts_ns, words, _ in facts:
        watch, more = observe(watch, fact_of(ts_ns, words), RULES)
        found += more
    assert not any(isinstance(f, OutageOver) for f in found)
    assert watch.outage_start_ns == at_ns("10:00")
    assert watch.unserved == ((at_ns("10:00"), "MISSED"),)


def test_repeated_sight_does_not_cut_the_back_fill_short() -> None:
    run("""
        09:45        ok 09:45                 | served(09:45)
        09:50        blind                    |
        10:25        sight                    |
        10:25:01     sight                    |
        10:25:10     tick                     |
        10:25:20     ok 10:00 done 10:01      | served(10:00)
        10:25:30     tick                     | outage(10:15) missed(10:15)
    """)


def test_marks_passed_while_nobody_could_see_are_told_as_one() -> None:
    run("""
        09:45        ok 09:45                 | served(09:45)
        10:00:30     tick                     | outage(10:00) missed(10:00)
        10:10        blind                    |
        10:50        sight                    |
        10:50:30     tick                     | missed(10:15) missed(10:30) missed(10:45) mark(30)
    """)


@pytest.mark.parametrize(
    ("closes", "ticks", "met"),
    [
        ("12:00", ("10:59", "11:00:30", "12:05"), ["11:00"]),
        ("12:00", ("10:59", "12:05"), ["11:00"]),
        ("11:00", ("10:59", "12:05"), ["11:00"]),  # 120 minutes and more: the closing instant itself is in time
        ("10:45", ("10:59", "12:05"), []),
    ],
)
def test_the_calendar_ends_an_outage_but_not_a_condition_that_was_met(closes: str, ticks: tuple[str, ...], met: list[str]) -> None:
    watch, found = watch_from(at_ns("08:45"), RULES), list[Finding]()
    for ts_ns, words, _ in rows(f"08:46 closed {closes} 20:00\n08:46 ok 08:45\n" + "".join(f"{tick} tick\n" for tick in ticks)):
        watch, more = observe(watch, fact_of(ts_ns, words), RULES)
        found += more
    assert [clock(f.met_at_ns) for f in found if isinstance(f, ConditionMet)] == met
    assert [(clock(f.end_ns), f.by_calendar) for f in found if isinstance(f, OutageOver)] == [(closes, True)]


def test_a_held_condition_outlives_the_calendar() -> None:
    watch = watch_from(at_ns("08:45"), RULES)
    for ts_ns, words, _ in rows("08:46 closed 12:00 20:00\n08:46 ok 08:45\n12:05 tick\n13:00 tick"):
        watch, found = observe(watch, fact_of(ts_ns, words), RULES, held=True)
        assert not any(isinstance(f, ConditionMet | OutageOver) for f in found)
    _, found = observe(watch, fact_of(at_ns("13:01"), ["tick"]), RULES)
    assert said(found) == "condition(11:00) over(12:00,12)"


def test_no_deadline_lies_in_the_past() -> None:
    watch = run("09:45 ok 09:45 | served(09:45)\n10:00:30 tick | outage(10:00) missed(10:00)\n10:05 blind |")
    assert next_deadline_ns(watch, at_ns("10:20"), RULES) is None
    watch, _ = observe(watch, fact_of(at_ns("10:20"), ["sight"]), RULES)
    assert next_deadline_ns(watch, at_ns("10:20"), RULES) == at_ns("10:20:30")


def test_what_is_said_of_the_far_future_is_not_remembered() -> None:
    watch = watch_from(at_ns("09:45"), RULES)
    fact = replace(fact_of(at_ns("09:46"), ["failed", "10:00"]), interval_start_ns=at_ns("10:00") + 25 * NS_PER_H)
    assert observe(watch, fact, RULES) == (watch, ())


def test_repeated_closures_are_remembered_once_and_forgotten_when_past() -> None:
    watch = run("09:45 closed 10:00 10:15 |\n09:46 closed 10:00 10:15 |\n09:46 ok 09:45 | served(09:45)")
    assert watch.closed == ((at_ns("10:00"), at_ns("10:15")),)
    watch, _ = observe(watch, fact_of(at_ns("14:00"), ["tick"]), RULES)
    assert watch.closed == ()


def test_a_result_under_review_counts_and_people_are_told() -> None:
    fact = ClearingReported(
        ts_event_ns=at_ns("11:59"),
        segment=Segment.RT,
        interval_start_ns=at_ns("12:00"),
        status=ClearingStatus.OK,
        completed_at_ns=at_ns("11:59"),
        price_cny_per_mwh=(1_400.0,),
        review=("the cost of a MWh went from 200.00 to 900.00 CNY since 11:45",),
    )
    watch, found = observe(watch_from(at_ns("12:00"), RULES), fact, RULES)
    assert watch.has_result(at_ns("12:00"))
    accepted, noted = found
    assert isinstance(accepted, ResultAccepted)
    assert accepted.under_review
    assert isinstance(noted, Noted)
    assert (noted.what, noted.article) == ("PRICE_UNDER_REVIEW", "Art. 9(1)")
    assert "12:00" in noted.evidence[0]
    assert noted.evidence[1] == "the cost of a MWh went from 200.00 to 900.00 CNY since 11:45"
