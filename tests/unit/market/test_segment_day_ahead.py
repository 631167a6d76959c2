"""The same machine for the day-ahead market, whose interval is the operating day."""

from __future__ import annotations

import pytest

from market.decisions import Phase, RecoveryProposed
from market.facts import Segment
from market.rules import rules_from
from market.segment import Intervals
from market.units import NS_PER_DAY
from tests.kit.machine import AUTO, CONFIRM, Machine, ns


def missed(day: str = "2026-06-11", when: str = "23:00:30") -> Machine:
    """Trips because the day-ahead result was not there by 23:00 (GD-23-DA-03)."""
    return Machine(AUTO, segment=Segment.DA).met(when, "DA_MISSED", day=day)


def served(*days: str) -> Intervals:
    starts = {ns(f"{day[-2:]} 00:00") for day in days}
    return Intervals(served=lambda start_ns: start_ns in starts, day_ahead=lambda _: False)


def test_a_missed_deadline_trips_from_its_operating_day() -> None:
    machine = missed()
    last = machine.last
    assert (last.segment, last.after, last.basis, last.operating_day) == (Segment.DA, Phase.TRIPPED, "DA_MISSED", "2026-06-11")
    assert (machine.state.substituted_from_ns, machine.state.tripped_at_ns) == (ns("11 00:00"), ns("23:00:30"))
    assert machine.state.limit_from_ns == ns("23:00:30")


def test_an_expected_miss_only_proposes_and_the_fact_takes_its_place() -> None:
    machine = Machine(AUTO, segment=Segment.DA).met("21:40", "DA_EXPECTED", day="2026-06-11")
    assert machine.phase is Phase.PROPOSED
    machine.met("23:00:30", "DA_MISSED", day="2026-06-11")
    assert machine.path == "PROPOSED(DA_EXPECTED) TRIPPED(DA_MISSED)"


def test_a_rejected_expectation_is_forgotten_when_the_fact_is_there() -> None:
    machine = Machine(CONFIRM, segment=Segment.DA).met("22:40", "DA_EXPECTED", day="2026-06-11")
    machine.order("22:45", "REJECT_TRIP", reason="soon").met("23:00:30", "DA_MISSED", day="2026-06-11")
    assert (machine.state.basis, machine.state.waiting) == ("DA_MISSED", ())
    assert machine.tick("23:15").path.endswith("PROPOSED(DA_MISSED)")


@pytest.mark.parametrize(("published", "day"), [((), "2026-06-11"), (("2026-06-11",), "2026-06-12")])
def test_a_condition_that_names_no_day_is_about_the_first_without_a_result(published: tuple[str, ...], day: str) -> None:
    machine = Machine(AUTO, segment=Segment.DA, intervals=served(*published))
    machine.met("14:06", "TOPOLOGY_HARD", auto_allowed=False)
    assert (machine.phase, machine.state.operating_day) == (Phase.PROPOSED, day), "a proposal, not a trip (GD-23-TP-01)"


def test_the_real_time_market_has_no_operating_day() -> None:
    assert Machine(AUTO).met("14:06", "TOPOLOGY_SOFT").last.operating_day == ""


@pytest.mark.parametrize(
    ("confirmed", "published", "day"),
    [
        ("10 23:30", (), "2026-06-11"),
        ("11 00:00", (), "2026-06-11"),
        ("11 23:59", (), "2026-06-11"),
        ("12 09:00", (), "2026-06-12"),
        ("12 09:00", ("2026-06-12",), "2026-06-13"),
        ("12 09:00", ("2026-06-12", "2026-06-13"), "2026-06-14"),
    ],
)
def test_a_proposal_that_waited_trips_no_day_that_is_over(confirmed: str, published: tuple[str, ...], day: str) -> None:
    machine = Machine(CONFIRM, segment=Segment.DA, intervals=served(*published))
    machine.met("23:00:30", "DA_MISSED", day="2026-06-11").order(confirmed, "CONFIRM_TRIP")
    assert (machine.state.operating_day, machine.state.substituted_from_ns) == (day, ns(f"{day[-2:]} 00:00"))
    assert machine.state.trip == machine.state.condition


def test_one_valid_result_in_the_shadow_proposes_its_recovery() -> None:
    machine = missed().shadow("12 00:00", count=1)
    assert machine.of(RecoveryProposed) == [RecoveryProposed(segment=Segment.DA, shadow_ok=1)]


def test_the_day_ahead_market_has_its_own_number_of_shadow_results() -> None:
    rules = rules_from({"shadow_ok": 1, "day_ahead": {"shadow_ok": 2}})
    machine = Machine(rules, segment=Segment.DA).met("23:00:30", "DA_MISSED", day="2026-06-11").shadow("12 00:00", count=1)
    assert machine.order("12 10:00", "CONFIRM_RECOVER").refusals == ["recovery needs 2 valid shadow clearings in a row; there are 1"]
    assert machine.shadow("13 00:00", count=1, step_ns=NS_PER_DAY).order("13 10:00", "CONFIRM_RECOVER").phase is Phase.RESUMING


def test_a_deadline_missed_in_the_shadow_begins_the_row_anew() -> None:
    machine = missed().shadow("12 00:00", count=1).met("12 23:00:30", "DA_MISSED", day="2026-06-13")
    assert (machine.phase, machine.state.shadow_ok, machine.state.shadow_told_ns) == (Phase.TRIPPED, 0, None)
    assert machine.state.operating_day == "2026-06-11", "what it was tripped for"


@pytest.mark.parametrize(
    ("ordered_at", "effective"),
    [("11 17:00", "12 00:00"), ("11 23:30", "12 00:00"), ("11 23:30:00.001", "13 00:00")],
)
def test_recovery_takes_effect_with_an_operating_day(ordered_at: str, effective: str) -> None:
    machine = missed().shadow("12 00:00", count=1).order(ordered_at, "CONFIRM_RECOVER")
    assert machine.state.effective_from_ns == ns(effective)
    machine.tick(effective)
    assert (machine.phase, machine.state.operating_day) == (Phase.NORMAL, "")


def test_a_late_result_may_recover_the_day_before_it_begins() -> None:
    machine = missed().shadow("12 00:00", count=1).order("10 23:20", "CONFIRM_RECOVER")
    assert machine.state.effective_from_ns == machine.state.substituted_from_ns == ns("11 00:00")


def test_a_deadline_missed_before_the_effect_trips_again_from_the_first_day() -> None:
    machine = missed().shadow("12 00:00", count=1).order("11 23:40", "CONFIRM_RECOVER").met("12 23:00:30", "DA_MISSED", day="2026-06-13")
    assert machine.path.split()[-1] == "TRIPPED(DA_MISSED)"
    assert machine.state.substituted_from_ns == ns("11 00:00")
    assert machine.state.limit_from_ns == ns("23:00:30")


def test_a_suspended_day_ahead_market_resumes_with_an_operating_day() -> None:
    machine = missed().tick("13 23:00:31")
    assert machine.phase is Phase.OVERDUE
    end = "2026-06-25T00:00:00+08:00"
    machine.order("14 09:00", "DECIDE_SUSPEND", reason="x", start="2026-06-14T09:00:00+08:00", expected_end=end)
    machine.order("15 09:00", "APPLY_RESUME").order("15 10:00", "CONFIRM_RESUME", effective_from="2026-06-16T00:15:00+08:00")
    assert machine.refusals == ["effective_from must be the start of an operating day, 2026-06-16T00:00:00+08:00 or later"]
    machine.order("15 10:00", "CONFIRM_RESUME")
    assert machine.state.effective_from_ns == ns("16 00:00")
