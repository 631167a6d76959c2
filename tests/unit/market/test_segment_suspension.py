"""Suspension: decided with three facts, begun at its instant, made long by civil days, resumed by approval (Art. 25, 26, 28, 30)."""

from __future__ import annotations

from typing import Any

import pytest

from market.decisions import Phase, Transition
from market.handling import RegimeProposed
from market.rules import MarketRules, rules_from
from market.units import NS_PER_MIN
from tests.kit.machine import AUTO, Machine, ns, overdue, suspended

DECISION = {"reason": "not repaired", "start": "2026-06-13T15:00:00+08:00", "expected_end": "2026-06-25T00:00:00+08:00"}
BY_APPROVAL = rules_from({"suspension": {"requires": "approval"}})


def decided(when: str = "13 14:00", *, rules: MarketRules = AUTO, context: dict[str, Any] | None = None, **args: str) -> Machine:
    return overdue(rules).order(when, "DECIDE_SUSPEND", context=context, **{**DECISION, **args})


def applied() -> Machine:
    """Filed on the 18th at 09:00 (GD-30-2)."""
    return suspended().order("18 09:00", "APPLY_RESUME")


# ── the decision ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_suspension_is_decided_and_begins_at_its_instant() -> None:
    machine = decided()
    assert (machine.phase, machine.state.suspended_from_ns) == (Phase.OVERDUE, ns("13 15:00"))
    last = machine.last
    assert (last.before, last.after, last.basis, last.article, last.by) == (
        Phase.OVERDUE,
        Phase.OVERDUE,
        "SUSPENSION_DECIDED",
        "Art. 25",
        "chen",
    )
    assert (last.suspended_from_ns, last.expected_end_ns, last.evidence) == (ns("13 15:00"), ns("25 00:00"), ("not repaired",))
    assert machine.next_ns("13 14:00") == ns("13 15:00")
    assert machine.tick("13 14:59:59.999").phase is Phase.OVERDUE
    machine.tick("13 15:00").tick("13 15:00")
    assert machine.path.endswith("OVERDUE(SUSPENSION_DECIDED) SUSPENDED(SUSPENSION_BEGAN)")
    assert machine.last.by == "", "the instant was decided before"


def test_a_suspension_from_now_begins_at_once() -> None:
    machine = decided("13 15:00")
    assert machine.path.endswith("OVERDUE(SUSPENSION_DECIDED) SUSPENDED(SUSPENSION_BEGAN)")


INCOMPLETE = [
    ({"expected_end": ""}, "expected_end is missing"),
    ({"expected_end": "until further notice"}, "'until further notice' is not"),
    ({"expected_end": "2026-06-25T00:00:00"}, "no UTC offset"),
    ({"expected_end": "2026-06-13T15:00:00+08:00"}, "expected_end must lie after from"),
    ({"start": ""}, "from is missing"),
    ({"start": "2026-06-13T13:59:59.999+08:00"}, "never back-dated"),
    ({"reason": " "}, "reason is missing"),
]


@pytest.mark.parametrize(("args", "why"), INCOMPLETE)
def test_a_suspension_needs_reason_start_and_end(args: dict[str, str], why: str) -> None:
    machine = decided(**args)
    assert (machine.phase, machine.state.suspended_from_ns) == (Phase.OVERDUE, None)
    (refusal,) = machine.refusals
    assert [said for _, said in INCOMPLETE if said in refusal] == [why], "nothing else is wrong"


@pytest.mark.parametrize("args", [{"start": "2026-06-13T14:00:00+08:00"}, {"expected_end": "2026-06-13T15:00:00.001+08:00"}])
def test_now_is_not_the_past_and_an_end_may_follow_closely(args: dict[str, str]) -> None:
    assert decided(**args).refusals == []


def test_a_refusal_lists_all_that_is_missing() -> None:
    context = {"unreported": ("no report to GOV", "no assessment")}
    machine = overdue().order("13 14:00", "DECIDE_SUSPEND", context=context)
    (refusal,) = machine.refusals
    for missing in ("reason is missing", "from is missing", "expected_end is missing", "no report to GOV", "no assessment"):
        assert missing in refusal


def test_no_report_no_decision() -> None:
    machine = decided(context={"unreported": ("no report to GOV",)})
    assert (machine.phase, machine.refusals, machine.state.suspended_from_ns) == (Phase.OVERDUE, ["no report to GOV"], None)


@pytest.mark.parametrize(("rules", "refusals"), [(AUTO, []), (BY_APPROVAL, ["no word of REG"])])
def test_approval_is_asked_for_only_where_the_rules_do(rules: MarketRules, refusals: list[str]) -> None:
    assert decided(rules=rules, context={"unapproved": ("no word of REG",)}).refusals == refusals


def test_a_suspension_is_decided_once() -> None:
    machine = decided().order("13 14:30", "DECIDE_SUSPEND", **DECISION)
    assert "EXTEND_SUSPENSION" in machine.refusals[0]


def test_dispatch_alone_does_not_undo_a_suspension_that_was_decided() -> None:
    machine = overdue().shadow("13 12:30").order("13 14:00", "DECIDE_SUSPEND", **DECISION).order("13 14:10", "CONFIRM_RECOVER")
    assert (machine.phase, "Art. 30" in machine.refusals[0]) == (Phase.OVERDUE, True)


def test_nothing_suspends_by_itself() -> None:
    assert overdue().tick("30 00:00").phase is Phase.OVERDUE


# ── its end is moved ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("machine", [decided(), suspended(), suspended().order("21 10:00", "CONFIRM_REGIME28")])
def test_an_extension_names_a_later_end_and_keeps_the_state(machine: Machine) -> None:
    phase = machine.phase
    machine.order("21 12:00", "EXTEND_SUSPENSION", reason="spare part", expected_end="2026-06-28T00:00:00+08:00")
    last = machine.last
    assert (last.before, last.after, last.basis, last.article) == (phase, phase, "SUSPENSION_EXTENDED", "Art. 26")
    assert (machine.state.expected_end_ns, last.expected_end_ns) == (ns("28 00:00"), ns("28 00:00"))
    assert last.evidence == ("spare part", "expected end before: 2026-06-25T00:00:00+08:00")


@pytest.mark.parametrize(
    ("when", "end", "accepted"),
    [
        ("20 00:00", "2026-06-25T00:00:00+08:00", False),
        ("20 00:00", "2026-06-25T00:00:00.001+08:00", True),
        ("26 00:00", "2026-06-26T00:00:00+08:00", False),
        ("26 00:00", "2026-06-26T00:00:00.001+08:00", True),
        ("20 00:00", "until further notice", False),
    ],
)
def test_an_extension_is_later_than_the_end_before_and_than_now(when: str, end: str, accepted: bool) -> None:
    machine = suspended().order(when, "EXTEND_SUSPENSION", reason="x", expected_end=end)
    assert (machine.refusals == []) is accepted


def test_nothing_is_extended_before_it_is_decided() -> None:
    machine = overdue().order("13 14:00", "EXTEND_SUSPENSION", reason="x", expected_end="2026-06-28T00:00:00+08:00")
    assert "DECIDE_SUSPEND first" in machine.refusals[0]


# ── more than seven days (Art. 28) ──────────────────────────────────────────────────────────────────────────────────────


def test_the_eighth_civil_day_proposes_article_28_once() -> None:
    machine = suspended()
    assert machine.next_ns("13 15:00") == ns("21 00:00")
    assert machine.tick("20 23:59:59.999").of(RegimeProposed) == [], "the 20th is day 7"
    assert len(machine.tick("21 00:00").of(RegimeProposed)) == 1
    machine.tick("21 00:00").tick("22 00:00")
    (body,) = machine.of(RegimeProposed)
    assert (body.regime, body.from_ns, body.article, machine.phase) == ("ART28", ns("21 00:00"), "Art. 28", Phase.SUSPENDED)
    assert body.evidence == (
        "suspended since 2026-06-13T15:00:00+08:00",
        "more than 7 days from 2026-06-21 on, the first day not counted",
    )
    assert machine.next_ns("21 00:00") is None


def test_a_suspect_clock_proposes_no_regime() -> None:
    machine = suspended().tick("21 00:00", held=True)
    assert machine.of(RegimeProposed) == []
    assert len(machine.tick("21 00:01").of(RegimeProposed)) == 1


def test_a_tick_that_comes_very_late_does_all_that_is_due() -> None:
    machine = decided().tick("22 00:00")
    assert (machine.phase, len(machine.of(RegimeProposed))) == (Phase.SUSPENDED, 1)


def test_seven_days_may_count_from_the_start_of_the_interruption() -> None:
    rules = rules_from({"suspension": {"long_anchor": "interruption_start"}})
    assert suspended(rules).next_ns("13 15:00") == ns("18 00:00"), "tripped on the 10th"


def test_article_28_is_not_proposed_before_the_suspension_has_begun() -> None:
    rules = rules_from({"suspension": {"long_anchor": "interruption_start"}})
    machine = decided(rules=rules, start="2026-06-19T15:00:00+08:00").tick("18 12:00")
    assert (machine.phase, machine.of(RegimeProposed)) == (Phase.OVERDUE, [])
    machine.tick("19 15:00")
    assert (machine.phase, len(machine.of(RegimeProposed))) == (Phase.SUSPENDED, 1)


@pytest.mark.parametrize(("days", "day"), [(1, "15 00:00"), (7, "21 00:00")])
def test_the_rules_say_after_how_many_days(days: int, day: str) -> None:
    assert suspended(rules_from({"suspension": {"long_after_days": days}})).state.long_due_ns == ns(day)


@pytest.mark.parametrize(
    ("when", "from_day"), [("20 00:00", "21 00:00"), ("20 23:59", "21 00:00"), ("21 00:00", "22 00:00"), ("23 10:00", "24 00:00")]
)
def test_a_long_suspension_is_confirmed_for_days_to_come(when: str, from_day: str) -> None:
    machine = suspended().order(when, "CONFIRM_REGIME28", by="trader")
    last = machine.last
    assert (machine.phase, machine.state.long_from_ns) == (Phase.SUSPENDED_LONG, ns(from_day))
    assert (last.basis, last.article, last.by) == ("REGIME28_CONFIRMED", "Art. 28", "trader")
    assert last.evidence == (f"in force from 2026-06-{from_day[:2]} on; what was priced before stays as it is",)
    assert machine.tick("24 00:00").of(RegimeProposed) == [], "it is confirmed already"
    assert machine.next_ns("24 00:00") is None


def test_a_long_suspension_is_not_confirmed_before_its_eve() -> None:
    machine = suspended().order("19 23:59:59.999", "CONFIRM_REGIME28")
    assert machine.phase is Phase.SUSPENDED
    assert machine.refusals == ["Art. 28 is for more than 7 days: from 2026-06-21 on, to be confirmed from 2026-06-20 on"]


# ── the way back (Art. 30) ──────────────────────────────────────────────────────────────────────────────────────────────


def test_application_approval_announcement_resumption_in_this_order() -> None:
    machine = applied()
    assert (machine.last.before, machine.last.after, machine.last.basis) == (Phase.SUSPENDED, Phase.SUSPENDED, "RESUME_APPLIED")
    assert machine.state.applied_at_ns == ns("18 09:00")
    machine.order("19 10:30", "CONFIRM_RESUME", effective_from="2026-06-20T00:00:00+08:00")
    last = machine.last
    assert (last.after, last.basis, last.article, last.effective_from_ns) == (Phase.RESUMING, "RESUMED", "Art. 30", ns("20 00:00"))
    assert last.evidence == ("applied for 2026-06-18T09:00:00+08:00", "approved by GOV and REG, scope: all")
    assert machine.tick("19 23:59:59.999").phase is Phase.RESUMING
    machine.tick("20 00:00")
    assert (machine.phase, machine.last.basis, machine.last.article) == (Phase.NORMAL, "EFFECTIVE", "Art. 30")
    state = machine.state
    assert (state.suspended_from_ns, state.expected_end_ns, state.long_due_ns, state.applied_at_ns) == (None, None, None, None)
    assert (state.applied_scope, state.long_proposed, state.long_from_ns) == ((), False, None)


def test_no_application_and_no_approval_no_resumption() -> None:
    machine = suspended().order("18 09:00", "CONFIRM_RESUME", context={"unapproved": ("GOV has not approved", "REG has not approved")})
    assert machine.refusals == ["the application is missing, order APPLY_RESUME; GOV has not approved; REG has not approved"]
    assert machine.phase is Phase.SUSPENDED


@pytest.mark.parametrize(
    ("context", "args", "why"),
    [
        ({"unapproved": ("REG has not approved",)}, {}, "REG has not approved"),
        ({}, {"checklist": "open"}, "the checklist of plan, parameters and measures is open"),
        ({}, {"effective_from": "soon"}, "effective_from: 'soon' is not"),
    ],
)
def test_each_step_that_is_missing_refuses_the_resumption(context: dict[str, Any], args: dict[str, str], why: str) -> None:
    machine = applied().order("19 10:30", "CONFIRM_RESUME", context=context, **args)
    assert (machine.phase, machine.refusals[0].startswith(why)) == (Phase.SUSPENDED, True)


@pytest.mark.parametrize(
    ("effective_from", "accepted"),
    [
        ("2026-06-19T11:00:00+08:00", True),
        ("2026-06-19T11:15:00+08:00", True),
        ("2026-06-19T10:45:00+08:00", False),
        ("2026-06-19T11:00:00.001+08:00", False),
        ("2026-06-19T11:05:00+08:00", False),
    ],
)
def test_a_resumption_takes_effect_on_a_boundary_after_its_notice(effective_from: str, accepted: bool) -> None:
    machine = applied().order("19 10:30", "CONFIRM_RESUME", effective_from=effective_from)
    assert (machine.phase is Phase.RESUMING) is accepted
    if not accepted:
        assert machine.refusals == ["effective_from must be the start of a 15-minute interval, 2026-06-19T11:00:00+08:00 or later"]


@pytest.mark.parametrize(("when", "effective"), [("19 10:30", "19 11:00"), ("19 10:30:00.001", "19 11:15")])
def test_a_resumption_without_an_instant_takes_the_first_lawful_one(when: str, effective: str) -> None:
    assert applied().order(when, "CONFIRM_RESUME").state.effective_from_ns == ns(effective)


@pytest.mark.parametrize(
    ("at", "accepted"),
    [
        ("2026-06-13T15:00:00+08:00", True),
        ("2026-06-13T14:59:59.999+08:00", False),
        ("2026-06-18T09:00:00+08:00", True),
        ("2026-06-18T09:00:00.001+08:00", False),
        ("yesterday", False),
    ],
)
def test_an_application_was_filed_between_the_start_and_now(at: str, accepted: bool) -> None:
    machine = suspended().order("18 09:00", "APPLY_RESUME", at=at)
    assert (machine.state.applied_at_ns is not None) is accepted
    assert (machine.refusals == []) is accepted


def test_an_application_says_for_what_and_may_be_filed_anew() -> None:
    machine = suspended().order("18 09:00", "APPLY_RESUME", scope="RT, zone 2,", reference="L-1")
    assert machine.state.applied_scope == ("RT", "zone 2")
    assert machine.last.evidence == ("filed 2026-06-18T09:00:00+08:00", "scope: RT, zone 2", "reference: L-1")
    machine.order("18 10:00", "APPLY_RESUME")
    assert (machine.state.applied_scope, machine.state.applied_at_ns) == ((), ns("18 10:00"))
    assert machine.last.evidence == ("filed 2026-06-18T10:00:00+08:00", "scope: all")


def test_the_papers_of_the_approvals_stand_in_the_resumption() -> None:
    machine = applied().order("19 10:30", "CONFIRM_RESUME", context={"approved": ("GOV: letter 12", "REG: letter 7")})
    assert machine.last.evidence[2:] == ("GOV: letter 12", "REG: letter 7")


def test_a_scope_stands_in_the_resumption() -> None:
    machine = suspended().order("18 09:00", "APPLY_RESUME", scope="zone 2").order("19 10:30", "CONFIRM_RESUME")
    assert machine.last.evidence[1] == "approved by GOV and REG, scope: zone 2"


def test_a_long_suspension_resumes_as_well() -> None:
    machine = suspended().order("21 10:00", "CONFIRM_REGIME28").order("22 10:00", "APPLY_RESUME")
    assert machine.phase is Phase.SUSPENDED_LONG
    assert machine.order("23 10:00", "CONFIRM_RESUME").tick("23 10:30").phase is Phase.NORMAL
    assert (machine.state.long_from_ns, machine.state.long_proposed) == (None, False)


def test_shadow_results_do_not_gate_a_resumption_that_was_approved() -> None:
    assert applied().order("19 10:30", "CONFIRM_RESUME").state.shadow_ok == 0


# ── a new condition before the resumption takes effect ──────────────────────────────────────────────────────────────────


def test_a_trip_before_the_resumption_is_a_breaker_again_and_overdue() -> None:
    machine = applied().order("19 10:30", "CONFIRM_RESUME", effective_from="2026-06-20T00:00:00+08:00").met("19 12:00", "RT_120")
    state = machine.state
    assert (machine.phase, state.effective_from_ns, state.substituted_from_ns) == (Phase.TRIPPED, None, ns("12:00"))
    assert (state.suspended_from_ns, state.expected_end_ns, state.applied_at_ns, state.long_due_ns) == (None, None, None, None)
    assert machine.tick("19 12:00").phase is Phase.OVERDUE, "its 72 h went on"


def test_a_long_suspension_that_trips_again_is_long_no_more() -> None:
    machine = suspended().order("21 10:00", "CONFIRM_REGIME28").order("22 10:00", "APPLY_RESUME", scope="zone 2")
    state = machine.order("23 10:00", "CONFIRM_RESUME").met("23 10:05", "RT_120").state
    assert (state.long_from_ns, state.long_proposed, state.applied_scope) == (None, False, ())


def test_a_trip_within_a_day_of_a_resumption_continues_the_72_hours() -> None:
    machine = applied().order("19 10:30", "CONFIRM_RESUME").tick("19 11:00").met("19 12:00", "RT_120")
    assert machine.state.limit_from_ns == ns("12:00") + 60 * NS_PER_MIN
    assert [body.after for body in machine.tick("19 12:00").of(Transition)][-1] is Phase.OVERDUE
