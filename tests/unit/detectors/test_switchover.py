"""Who is in control, and when a change of control is news."""

from __future__ import annotations

from detectors.findings import ConditionGone, ConditionMet, Finding, Noted
from detectors.switchover import ControlWatch, next_deadline_ns, observe
from market.facts import ControlReported, ExercisePlanned, Ticked
from market.rules import GUANGDONG_2023
from tests.kit.table import at_ns, rows


def run(table: str, watch: ControlWatch | None = None) -> tuple[ControlWatch, list[Finding]]:
    """``claim|drop SITE`` | ``exercise FROM TO`` | ``tick``."""
    watch, found = watch or ControlWatch(), list[Finding]()
    for ts_ns, words, _ in rows(table):
        match words:
            case ["tick"]:
                fact: ControlReported | ExercisePlanned | Ticked = Ticked(ts_event_ns=ts_ns)
            case ["exercise", from_, to]:
                fact = ExercisePlanned(ts_event_ns=ts_ns, from_ns=at_ns(from_), to_ns=at_ns(to))
            case [word, site]:
                fact = ControlReported(ts_event_ns=ts_ns, site=site, asserted=word == "claim", ts_source_ns=ts_ns)
        watch, more = observe(watch, fact, GUANGDONG_2023)
        found += more
    return watch, found


OVER = "14:00:04 drop MAIN\n14:00:05 claim BACKUP\n"


def test_unplanned_change_counts_from_its_instant_after_a_minute() -> None:
    watch, found = run(OVER + "14:01:04.999 tick")
    assert found == []
    assert next_deadline_ns(watch, GUANGDONG_2023) == at_ns("14:01:05")
    watch, found = run(OVER + "14:01:05 tick\n14:02 tick")
    assert [f.met_at_ns for f in found if isinstance(f, ConditionMet)] == [at_ns("14:00:05")]
    assert next_deadline_ns(watch, GUANGDONG_2023) is None


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
