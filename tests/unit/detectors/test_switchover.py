"""Who is in control, and when a change of control is news."""

from __future__ import annotations

import pytest

from detectors.findings import ConditionGone, ConditionMet, Finding, Noted
from detectors.switchover import ControlWatch, next_deadline_ns, observe
from market.facts import ControlReported, ExercisePlanned, Segment, Ticked
from market.rules import GUANGDONG_2023
from market.units import NS_PER_H, NS_PER_S
from tests.kit.table import at_ns, rows


def run(table: str, watch: ControlWatch | None = None) -> tuple[ControlWatch, list[Finding]]:
    """``claim|drop SITE [source HH:MM:SS] [initial]`` | ``exercise FROM TO`` | ``tick``."""
    watch, found = watch or ControlWatch(), list[Finding]()
    for ts_ns, words, _ in rows(table):
        match words:
            case ["tick"]:
                fact: ControlReported | ExercisePlanned | Ticked = Ticked(ts_event_ns=ts_ns)
            case ["exercise", from_, to]:
                fact = ExercisePlanned(ts_event_ns=ts_ns, from_ns=at_ns(from_), to_ns=at_ns(to))
            case [word, site, *rest]:
                source_ns = at_ns(rest[1]) if "source" in rest else ts_ns
                initial = "initial" in rest
                fact = ControlReported(ts_event_ns=ts_ns, site=site, asserted=word == "claim", ts_source_ns=source_ns, initial=initial)
        watch, more = observe(watch, fact, GUANGDONG_2023)
        found += more
    return watch, found


OVER = "14:00:04 drop MAIN\n14:00:05 claim BACKUP\n"


def test_unplanned_change_counts_from_its_instant_after_a_minute() -> None:
    watch, found = run(OVER + "14:01:04.999 tick")
    assert found == []
    assert next_deadline_ns(watch, at_ns("14:01:04.999"), GUANGDONG_2023) == at_ns("14:01:05")
    watch, found = run(OVER + "14:01:05 tick\n14:02 tick")
    assert [f.met_at_ns for f in found if isinstance(f, ConditionMet) and f.segment is Segment.RT] == [at_ns("14:00:05")]
    assert next_deadline_ns(watch, at_ns("14:02"), GUANGDONG_2023) is None


def test_exercise_is_noted_only() -> None:
    _, found = run("13:00 exercise 13:30 16:00\n" + OVER + "14:01:05 tick")
    assert [type(f) for f in found] == [Noted]


def test_two_claimants_are_noted_and_nothing_acts() -> None:
    _, found = run("14:00:05 claim BACKUP\n14:05 tick")
    assert [f.what for f in found if isinstance(f, Noted)] == ["CONTROL_CONFLICT"]
    assert not any(isinstance(f, ConditionMet) for f in found)


def test_back_within_the_minute_is_no_switchover() -> None:
    _, found = run(OVER + "14:00:30 drop BACKUP\n14:00:31 claim MAIN\n14:05 tick")
    assert not any(isinstance(f, ConditionMet) for f in found)
    assert any(isinstance(f, ConditionGone) for f in found)


def test_repeated_claims_change_nothing() -> None:
    watch, _ = run(OVER)
    again, found = run("14:00:40 claim BACKUP\n", watch)
    assert again == watch
    assert found == []


def met(found: list[Finding]) -> list[int]:
    return [f.met_at_ns for f in found if isinstance(f, ConditionMet) and f.segment is Segment.RT]


@pytest.mark.parametrize(
    ("why", "changes", "alone_since"),
    [
        ("the main centre claimed it too", "14:00:50 claim MAIN\n14:01:00 drop MAIN\n", "14:01:00"),
        ("it gave up and took it again", "14:00:10 drop BACKUP\n14:00:55 claim BACKUP\n", "14:00:55"),
    ],
)
def test_any_change_of_the_claims_restarts_the_minute(why: str, changes: str, alone_since: str) -> None:
    start_ns = at_ns(alone_since)
    watch, found = run(OVER + changes + "14:01:54 tick")
    assert met(found) == [], why
    assert next_deadline_ns(watch, at_ns("14:01:54"), GUANGDONG_2023) == start_ns + 60 * NS_PER_S
    _, found = run(OVER + changes + "14:02 tick")
    assert met(found) == [start_ns]


def test_a_late_word_of_the_main_centre_makes_the_change_no_older() -> None:
    table = "14:00:05 claim BACKUP\n14:00:06 drop MAIN source 13:50:00\n"
    assert met(run(table + "14:01:04 tick")[1]) == []
    assert met(run(table + "14:01:05 tick")[1]) == [at_ns("14:00:05")]


def test_two_claimants_have_no_deadline() -> None:
    watch, _ = run(OVER + "14:00:10 claim MAIN")
    assert next_deadline_ns(watch, at_ns("14:00:10"), GUANGDONG_2023) is None


@pytest.mark.parametrize(
    "first_words",
    [
        "14:00:02 drop MAIN initial\n14:00:02 claim BACKUP initial\n",
        "14:00:02 claim BACKUP initial\n14:00:02 drop MAIN initial\n",
        "14:00:02 claim BACKUP initial\n",
    ],
)
def test_who_was_in_charge_before_anybody_watched_took_nothing_over(first_words: str) -> None:
    watch, found = run(first_words + "14:02 tick")
    assert found == []
    assert watch.authority == "BACKUP"
    _, found = run("15:00 drop BACKUP\n15:00:01 claim MAIN\n16:00 drop MAIN\n16:00:01 claim BACKUP\n16:01:01 tick", watch)
    assert met(found) == [at_ns("16:00:01")], "what changes from then on counts"


def test_a_centre_first_heard_of_when_it_takes_over_is_a_change() -> None:
    _, found = run("13:59 claim MAIN initial\n14:00:04 drop MAIN\n14:00:05 claim BACKUP initial\n14:01:05 tick")
    assert met(found) == [at_ns("14:00:05")]


def test_two_first_claims_are_a_conflict() -> None:
    _, found = run("14:00:02 claim BACKUP initial\n14:00:03 claim MAIN initial")
    assert [f.what for f in found if isinstance(f, Noted)] == ["CONTROL_CONFLICT"]


def test_past_exercises_are_forgotten() -> None:
    watch, _ = run("13:00 exercise 13:30 16:00\n13:01 exercise 13:30 16:00")
    assert watch.exercises == ((at_ns("13:30"), at_ns("16:00")),)
    next_day_ns = at_ns("16:00") + 24 * NS_PER_H
    later = ExercisePlanned(ts_event_ns=next_day_ns, from_ns=next_day_ns, to_ns=next_day_ns + NS_PER_H)
    watch, _ = observe(watch, later, GUANGDONG_2023)
    assert watch.exercises == ((next_day_ns, next_day_ns + NS_PER_H),)


def test_who_is_presumed_to_be_in_charge_is_judged_by_nobody() -> None:
    assert (ControlWatch().since_ns, ControlWatch().judged, ControlWatch().presumed) == (0, True, True)
    assert run("14:00 tick") == (ControlWatch(), [])
    assert next_deadline_ns(ControlWatch(), -1, GUANGDONG_2023) is None


def test_while_automatic_action_is_held_a_change_waits_to_be_judged() -> None:
    watch, _ = run(OVER)
    assert observe(watch, Ticked(ts_event_ns=at_ns("14:05")), GUANGDONG_2023, held=True) == (watch, ())
    _, found = observe(watch, Ticked(ts_event_ns=at_ns("14:05")), GUANGDONG_2023)
    assert [f.met_at_ns for f in found if isinstance(f, ConditionMet)] == [at_ns("14:00:05")] * 2


def test_what_is_to_be_judged_is_asked_for_until_its_instant_and_not_after_it() -> None:
    watch, _ = run(OVER)
    assert next_deadline_ns(watch, at_ns("14:01:05") - 1, GUANGDONG_2023) == at_ns("14:01:05")
    assert next_deadline_ns(watch, at_ns("14:01:05"), GUANGDONG_2023) is None


def test_an_exercise_of_less_than_a_day_ago_may_still_excuse_a_change_that_is_told_late() -> None:
    watch, _ = run("13:00 exercise 13:30 16:00")
    later_ns = at_ns("16:00") + 24 * NS_PER_H - 1
    watch, _ = observe(watch, ExercisePlanned(ts_event_ns=later_ns, from_ns=later_ns, to_ns=later_ns + 1), GUANGDONG_2023)
    assert watch.exercises[0] == (at_ns("13:30"), at_ns("16:00"))


def whats(found: list[Finding]) -> list[str]:
    return [f.what if isinstance(f, Noted) else type(f).__name__ for f in found]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("14:00 drop BACKUP initial", []),
        ("14:00 claim MAIN initial\n14:01 claim BACKUP initial", ["CONTROL_CONFLICT"]),
        ("14:00 claim MAIN initial\n14:01 drop BACKUP initial\n14:02 claim BACKUP initial", ["CONTROL_CONFLICT"]),
        ("14:00 drop BACKUP\n14:01 claim BACKUP initial", ["CONTROL_CONFLICT"]),
        ("14:00 drop BACKUP initial\n14:01 claim BACKUP initial\n14:05 tick", []),
        ("14:00 drop MAIN initial\n14:01 claim BACKUP\n14:05 tick", ["ConditionMet", "ConditionMet"]),
        ("14:00 drop MAIN\n14:01 claim MAIN\n14:05 tick", []),
    ],
)
def test_what_is_heard_first_is_a_presumption_that_was_right_or_wrong_and_what_is_heard_later_is_news(words: str, found: list[str]) -> None:
    assert whats(run(words)[1]) == found


def test_a_centre_that_tells_it_is_not_in_charge_leaves_the_other_where_it_is() -> None:
    assert run("14:00 drop BACKUP initial")[0].claimants == ("MAIN",)
    assert run("14:00 claim MAIN initial\n14:01 drop BACKUP")[0].presumed is False


@pytest.mark.parametrize(
    ("exercise", "excused"),
    [("14:00:05 15:00", True), ("13:00 14:00:05", True), ("14:00:05.001 15:00", False), ("13:00 14:00:04.999", False)],
)
def test_an_exercise_excuses_a_change_from_its_first_instant_to_its_last(exercise: str, excused: bool) -> None:
    _, found = run(f"12:00 exercise {exercise}\n{OVER}14:01:05 tick")
    assert whats(found) == (["EXERCISE"] if excused else ["ConditionMet", "ConditionMet"])


def test_the_day_ahead_market_is_only_ever_proposed_to_trip_for_a_switchover() -> None:
    _, found = run(OVER + "14:01:05 tick")
    assert [(f.segment, f.auto_allowed) for f in found if isinstance(f, ConditionMet)] == [(Segment.RT, True), (Segment.DA, False)]
