"""What people may order of a segment: propose, confirm, reject and recover; and what they may not."""

from __future__ import annotations

from typing import Any

import pytest

from market.commands import ORDERS, Owner
from market.decisions import Phase, Refused
from market.facts import Segment
from tests.kit.machine import AUTO, CONFIRM_SWITCH, Machine, ns, overdue, resuming, suspended, tripped


def proposed_by_li(**args: str) -> Machine:
    """Li proposes a trip for a suspected attack at 03:00 (GD-23-OT-01)."""
    return Machine(AUTO).order("03:00", "PROPOSE_TRIP", by="li", **{"cause": "TECHNICAL", "reason": "suspected attack", **args})


# ── which order fits which state ────────────────────────────────────────────────────────────────────────────────────────

STATES = {
    Phase.NORMAL: lambda: Machine(AUTO),
    Phase.DEGRADED: lambda: Machine(AUTO).outage("10:00"),
    Phase.PROPOSED: lambda: Machine(AUTO).met("10:00", "TOPOLOGY_SOFT"),
    Phase.TRIPPED: lambda: tripped(),
    Phase.OVERDUE: lambda: overdue(),
    Phase.SUSPENDED: lambda: suspended(),
    Phase.SUSPENDED_LONG: lambda: suspended().order("20 10:00", "CONFIRM_REGIME28"),
    Phase.RESUMING: lambda: resuming(),
}

FITS = {
    "PROPOSE_TRIP": {Phase.NORMAL, Phase.DEGRADED, Phase.RESUMING},
    "CONFIRM_TRIP": {Phase.PROPOSED},
    "REJECT_TRIP": {Phase.PROPOSED},
    "CONFIRM_RECOVER": {Phase.TRIPPED, Phase.OVERDUE},
    "DECIDE_SUSPEND": {Phase.OVERDUE},
    "EXTEND_SUSPENSION": {Phase.OVERDUE, Phase.SUSPENDED, Phase.SUSPENDED_LONG},
    "CONFIRM_REGIME28": {Phase.SUSPENDED},
    "APPLY_RESUME": {Phase.SUSPENDED, Phase.SUSPENDED_LONG},
    "CONFIRM_RESUME": {Phase.SUSPENDED, Phase.SUSPENDED_LONG},
}


def test_every_order_of_a_segment_is_tried_here() -> None:
    assert FITS.keys() == {action for action, order in ORDERS.items() if order.owner is Owner.SEGMENT}


@pytest.mark.parametrize("phase", STATES)
@pytest.mark.parametrize("action", FITS)
def test_an_order_is_refused_in_every_state_it_does_not_fit(action: str, phase: Phase) -> None:
    machine = STATES[phase]()
    assert machine.phase is phase
    before = machine.state
    machine.order("22 10:00", action, reason="x")
    wrong_state = any("needs RT to be" in why for why in machine.refusals)
    assert wrong_state is (phase not in FITS[action])
    if wrong_state:
        assert machine.state == before
        (why,) = machine.refusals
        assert why.endswith(f"it is {phase}")
        assert all(fit in why for fit in FITS[action])
        assert machine.of(Refused)[0].rule == ORDERS[action].article


@pytest.mark.parametrize(("version", "accepted"), [("1", True), ("0", False), ("2", False), ("", False)])
def test_an_order_from_a_stale_screen_is_refused(version: str, accepted: bool) -> None:
    machine = Machine(AUTO).met("10:00", "TOPOLOGY_SOFT").order("10:05", "CONFIRM_TRIP", version=version)
    assert (machine.phase is Phase.TRIPPED) is accepted
    if not accepted:
        assert (machine.of(Refused)[0].rule, "is at 1; look again" in machine.refusals[0]) == ("policy", True)


# ── proposals by people (Art. 23(3)) ────────────────────────────────────────────────────────────────────────────────────


def test_a_dispatcher_proposes_and_somebody_else_confirms() -> None:
    machine = proposed_by_li()
    assert (machine.phase, machine.state.proposed_by, machine.last.by, machine.last.basis) == (Phase.PROPOSED, "li", "li", "OTHER")
    machine.order("03:05", "CONFIRM_TRIP", by="li")
    assert machine.phase is Phase.PROPOSED
    assert "second dispatcher" in machine.refusals[0]
    machine.order("03:06", "CONFIRM_TRIP", by="wu")
    last = machine.last
    assert (last.after, last.by, last.basis, last.cause, last.article) == (Phase.TRIPPED, "wu", "OTHER", "TECHNICAL", "Art. 23(3)")
    assert last.tripped_at_ns == ns("03:06")
    assert last.condition_met_at_ns == ns("03:00")


def test_what_a_detector_found_any_dispatcher_may_confirm() -> None:
    assert Machine(AUTO).met("10:00", "TOPOLOGY_SOFT").order("10:05", "CONFIRM_TRIP", by="li").phase is Phase.TRIPPED


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ({"cause": "TYPHOON"}, "unknown cause 'TYPHOON'"),
        ({"cause": ""}, "the cause is missing"),
        ({"cause": "FORCE_MAJEURE"}, "Art. 5(1)"),
        ({"cause": "DETERMINED", "reference": " "}, "Art. 5(5)"),
    ],
)
def test_a_cause_is_one_of_article_5_with_the_document_that_shows_it(args: dict[str, str], why: str) -> None:
    machine = proposed_by_li(**args)
    assert machine.phase is Phase.NORMAL
    assert why in machine.refusals[0]
    assert machine.of(Refused)[0].rule == "Art. 5"


@pytest.mark.parametrize(
    ("cause", "item"),
    [("FORCE_MAJEURE", "Art. 5(1)"), ("SITE_ACCIDENT", "Art. 5(2)"), ("HUMAN_ERROR", "Art. 5(4)"), ("DETERMINED", "Art. 5(5)")],
)
def test_a_typhoon_is_proposed_with_its_warning(cause: str, item: str) -> None:
    machine = proposed_by_li(cause=cause, reference="typhoon red 2026-09", reason="red warning")
    condition = machine.state.condition
    assert condition is not None
    assert condition.details == {"item": item, "reference": "typhoon red 2026-09", "reason": "red warning"}
    assert condition.auto_allowed is False
    assert condition.evidence == ("red warning", f"cause: {cause} ({item})", "reference: typhoon red 2026-09")
    assert (machine.last.cause, machine.last.reference) == (cause, "typhoon red 2026-09")


def test_a_cause_without_a_document_is_proposed_without_one() -> None:
    assert proposed_by_li().state.condition.evidence == ("suspected attack", "cause: TECHNICAL (Art. 5(3))")  # type: ignore[union-attr]


def test_an_operating_day_belongs_to_the_day_ahead_market() -> None:
    assert "segment=DA" in proposed_by_li(operating_day="2026-06-11").refusals[0]


def test_what_a_person_proposed_and_another_rejected_does_not_come_back() -> None:
    machine = proposed_by_li().order("03:05", "REJECT_TRIP", by="wu", reason="no attack")
    assert (machine.phase, machine.state.waiting) == (Phase.NORMAL, ())
    assert machine.last.evidence == ("no attack",)


# ── confirming and rejecting ────────────────────────────────────────────────────────────────────────────────────────────


def test_who_confirms_may_name_the_cause() -> None:
    machine = Machine(AUTO).met("10:00", "TOPOLOGY_SOFT").order("10:05", "CONFIRM_TRIP", cause="FORCE_MAJEURE")
    assert "needs the warning" in machine.refusals[0]
    machine.order("10:06", "CONFIRM_TRIP", cause="FORCE_MAJEURE", reference="W-7")
    assert (machine.state.cause, machine.state.reference) == ("FORCE_MAJEURE", "W-7")


def test_who_confirms_may_rely_on_the_document_of_the_proposal() -> None:
    machine = proposed_by_li(reference="R-1").order("03:05", "CONFIRM_TRIP", by="wu", cause="DETERMINED")
    assert (machine.last.cause, machine.last.reference) == ("DETERMINED", "R-1")
    assert machine.state.condition is not None
    assert machine.state.condition.details == {"item": "Art. 5(5)", "reference": "R-1", "reason": "suspected attack"}


def test_a_confirmation_that_names_no_cause_leaves_that_of_the_proposal() -> None:
    machine = proposed_by_li(reference="R-1").order("03:05", "CONFIRM_TRIP", by="wu", reference="R-2")
    assert (machine.last.cause, machine.last.reference) == ("TECHNICAL", "R-2")


def test_a_cause_named_for_what_a_detector_found_leaves_its_details() -> None:
    machine = Machine(AUTO).met("10:00", "TOPOLOGY_SOFT").order("10:06", "CONFIRM_TRIP", cause="HUMAN_ERROR")
    assert machine.state.condition is not None
    assert machine.state.condition.details == {"elements": "L1"}


@pytest.mark.parametrize(("basis", "cause"), [("TOPOLOGY_SOFT", "TECHNICAL"), ("SWITCHOVER", "SITE_ACCIDENT"), ("RT_120", "TECHNICAL")])
def test_a_cause_that_nobody_named_is_that_of_the_condition(basis: str, cause: str) -> None:
    machine = Machine().met("10:00", basis).order("10:05", "CONFIRM_TRIP")
    assert machine.last.cause == cause
    assert Machine().state.cause == Machine().state.reference == Machine().state.proposed_by == ""


@pytest.mark.parametrize("args", [{}, {"reason": " "}])
def test_a_rejection_needs_a_reason(args: dict[str, str]) -> None:
    machine = Machine().met("10:00", "RT_120").order("10:05", "REJECT_TRIP", **args)
    assert (machine.phase, "reason" in machine.refusals[0]) == (Phase.PROPOSED, True)


def test_a_rejection_goes_back_to_the_outage_that_runs() -> None:
    machine = Machine().met("12:00", "RT_120").order("12:05", "REJECT_TRIP", reason="x", context={"outage_start_ns": ns("10:00")})
    assert (machine.phase, machine.state.outage_start_ns) == (Phase.DEGRADED, ns("10:00"))
    assert (machine.last.by, machine.last.basis, machine.last.article) == ("chen", "REJECTED", "Art. 23")
    assert machine.tick("12:35").phase is Phase.PROPOSED


def test_a_rejection_goes_back_to_the_recovery_that_is_announced() -> None:
    machine = resuming(CONFIRM_SWITCH).met("10:50", "SWITCHOVER").order("10:55", "REJECT_TRIP", reason="a drill")
    assert (machine.phase, machine.state.basis) == (Phase.RESUMING, "TOPOLOGY_HARD")


# ── recovery (Art. 29) ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_dispatch_recovers_from_the_first_boundary_after_the_notice() -> None:
    machine = tripped().shadow("14:30").order("15:25", "CONFIRM_RECOVER")
    assert (machine.phase, machine.state.effective_from_ns) == (Phase.RESUMING, ns("16:00")), "GD-29-1"
    last = machine.last
    assert (last.basis, last.article, last.by, last.effective_from_ns, last.evidence) == ("RECOVERED", "Art. 29", "chen", ns("16:00"), ())


@pytest.mark.parametrize(("ordered_at", "effective"), [(ns("15:30"), "16:00"), (ns("15:30") + 1, "16:15")])
def test_a_boundary_that_leaves_the_notice_exactly_is_taken(ordered_at: int, effective: str) -> None:
    assert tripped().shadow("14:30").order(ordered_at, "CONFIRM_RECOVER").state.effective_from_ns == ns(effective)


def test_recovery_needs_its_shadow_results() -> None:
    machine = tripped().shadow("10:00", count=3).order("10:40", "CONFIRM_RECOVER")
    assert machine.refusals == ["recovery needs 4 valid shadow clearings in a row; there are 3"]


def test_an_overdue_market_may_still_recover() -> None:
    assert overdue().shadow("13 13:00").order("13 14:05", "CONFIRM_RECOVER").phase is Phase.RESUMING


@pytest.mark.parametrize("said", ["no", "open"])
def test_a_recovery_waits_for_the_checklist(said: str) -> None:
    machine = tripped().shadow("10:00").order("10:46", "CONFIRM_RECOVER", checklist=said)
    assert (machine.phase, "checklist" in machine.refusals[0]) == (Phase.TRIPPED, True)
    assert machine.order("10:47", "CONFIRM_RECOVER", checklist="yes").phase is Phase.RESUMING


AGAINST: list[dict[str, Any]] = [{"still_open": ("L1", "L3")}, {"warnings": ("typhoon-red",)}]


@pytest.mark.parametrize("context", AGAINST)
@pytest.mark.parametrize(
    ("args", "remedy"),
    [
        ({}, "override=yes"),
        ({"override": "yes"}, "override=yes"),
        ({"override": "no", "reason": "x", "second": "wu"}, "override=yes"),
        ({"reason": "x", "second": "wu"}, "override=yes"),
        ({"override": "yes", "reason": " ", "second": "wu"}, "override=yes"),
        ({"override": "yes", "reason": "x"}, "second="),
        ({"override": "yes", "reason": "x", "second": " "}, "second="),
        ({"override": "yes", "reason": "x", "second": "chen"}, "second="),
    ],
)
def test_what_stands_against_a_recovery_is_overridden_by_two_with_a_reason(
    context: dict[str, Any], args: dict[str, str], remedy: str
) -> None:
    machine = tripped().shadow("10:00").order("10:46", "CONFIRM_RECOVER", context=context, **args)
    assert machine.phase is Phase.TRIPPED
    (why,) = machine.refusals
    assert remedy in why
    assert ("L1, L3" in why) is ("still_open" in context)
    assert ("typhoon-red" in why) is ("warnings" in context)


def test_an_override_stands_in_the_record_with_both_persons() -> None:
    context = {"still_open": ("L1",), "warnings": ("storm",)}
    machine = tripped().shadow("10:00").order("10:46", "CONFIRM_RECOVER", context=context, override="yes", reason="L1 is gone", second="wu")
    assert machine.last.evidence == ("override: L1 is gone; still open: L1; active warnings: storm; second person: wu",)
    assert machine.last.by == "chen"


# ── the day-ahead market by hand ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("day", "first_day", "out_from"),
    [
        ("2026-06-12", None, "2026-06-12"),
        ("", "2026-06-13", "2026-06-13"),
        ("", None, "2026-06-11"),
        ("2026-06-11", "2026-06-13", "2026-06-11"),
    ],
)
def test_a_day_ahead_trip_begins_with_an_operating_day(day: str, first_day: str | None, out_from: str) -> None:
    machine = Machine(AUTO, segment=Segment.DA)
    context = {"first_day_ns": ns(f"{first_day[-2:]} 00:00") if first_day else None}
    machine.order("10:00", "PROPOSE_TRIP", by="li", cause="TECHNICAL", reason="x", operating_day=day, context=context)
    assert (machine.state.operating_day, machine.last.operating_day) == (out_from, out_from)
    machine.order("10:05", "CONFIRM_TRIP", by="wu")
    assert machine.state.substituted_from_ns == ns(f"{out_from[-2:]} 00:00")


@pytest.mark.parametrize(("day", "why"), [("2026-06-10", "has begun"), ("2026-06-09", "has begun"), ("tomorrow", "not a day")])
def test_a_day_ahead_trip_is_never_back_dated(day: str, why: str) -> None:
    machine = Machine(AUTO, segment=Segment.DA).order("00:00", "PROPOSE_TRIP", cause="TECHNICAL", reason="x", operating_day=day)
    assert (machine.phase, why in machine.refusals[0]) == (Phase.NORMAL, True)
