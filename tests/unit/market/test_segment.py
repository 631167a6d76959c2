"""The segment machine alone: outages, conditions, what waits and what comes back, what is counted, and what time does."""

from __future__ import annotations

import msgspec
import pytest

from market.decisions import FindingNoted, Phase, RecoveryProposed, Refused, Reminded, Transition
from market.facts import Segment
from market.rules import rules_from
from market.segment import Intervals, SegmentState, outage_reached, shadow_cleared, ticked
from market.units import NS_PER_H, NS_PER_MIN
from tests.kit.machine import AUTO, CONFIRM, CONFIRM_SWITCH, Machine, ns, overdue, resuming, suspended, tripped
from tests.kit.table import at_ns

# ── the beginning ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("which", Segment)
def test_a_segment_begins_in_the_market_with_nothing_proposed_nothing_counted_and_nothing_to_name(which: Segment) -> None:
    state = SegmentState(segment=which)
    known = {name: value for name, value in msgspec.to_builtins(state).items() if value is not None}
    assert known == {
        "segment": which,
        "phase": "NORMAL",
        "version": 0,
        "waiting": (),
        "escalated": False,
        "shadow_ok": 0,
        "shadow_start_ns": 0,
        "long_proposed": False,
        "applied_scope": (),
        "applied_reference": "",
    }
    assert (state.basis, state.operating_day, state.cause, state.reference, state.proposed_by) == ("", "", "", "", "")


# ── outages ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_outage_degrades_and_a_result_ends_it() -> None:
    machine = Machine().outage("10:00")
    assert (machine.phase, machine.state.outage_start_ns, machine.last.article) == (Phase.DEGRADED, ns("10:00"), "Art. 9(2)")
    machine.over()
    assert (machine.path, machine.state.outage_start_ns) == ("DEGRADED(OUTAGE) NORMAL(RESULT_OK)", None)


def test_every_transition_counts_and_says_what_it_was_based_on() -> None:
    machine = Machine().outage("10:00").met("12:00", "RT_120")
    assert machine.state.version == 2
    assert machine.last == Transition(
        segment=Segment.RT,
        before=Phase.DEGRADED,
        after=Phase.PROPOSED,
        basis="RT_120",
        article="Art. 23(9)",
        outage_start_ns=ns("10:00"),
        condition_met_at_ns=ns("12:00"),
        evidence=("RT_120 at 12:00",),
        cause="TECHNICAL",
    )


def test_an_outage_leaves_a_tripped_market_as_it_is() -> None:
    machine = tripped().outage("10:00").over()
    assert (machine.phase, machine.state.version) == (Phase.TRIPPED, 1)


def test_a_result_without_an_outage_changes_nothing() -> None:
    assert Machine().over().said == []


@pytest.mark.parametrize(("minutes", "left_min"), [(15, 105), (105, 15), (121, 0)])
def test_reminders_say_what_is_left_of_the_limit(minutes: int, left_min: int) -> None:
    machine = Machine().outage("10:00")
    machine.keep(outage_reached(machine.state, ns("10:00"), minutes, AUTO))
    assert machine.of(Reminded) == [Reminded(segment=Segment.RT, outage_start_ns=ns("10:00"), minutes=minutes, headroom_min=left_min)]


def test_nobody_is_reminded_of_an_outage_that_has_tripped_the_market() -> None:
    assert outage_reached(tripped().state, ns("10:00"), 15, AUTO)[1] == ()


# ── conditions ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("basis", "phase"),
    [
        ("RT_120", Phase.TRIPPED),
        ("DA_MISSED", Phase.TRIPPED),
        ("TOPOLOGY_HARD", Phase.TRIPPED),
        ("SWITCHOVER", Phase.TRIPPED),
        ("TOPOLOGY_SOFT", Phase.PROPOSED),
        ("DA_EXPECTED", Phase.PROPOSED),
        ("OTHER", Phase.PROPOSED),
    ],
)
def test_only_four_conditions_can_trip_by_themselves(basis: str, phase: Phase) -> None:
    assert Machine(AUTO).met("10:00", basis).phase is phase
    assert Machine(AUTO).met("10:00", basis, auto_allowed=False).phase is Phase.PROPOSED
    assert Machine(CONFIRM).met("10:00", basis).phase is Phase.PROPOSED


def test_an_automatic_trip_names_nobody_and_its_evidence() -> None:
    machine = tripped()
    body = machine.last
    assert (body.basis, body.article, body.by, body.evidence) == ("TOPOLOGY_HARD", "Art. 23(9)", "", ("TOPOLOGY_HARD at 09:50",))
    assert (body.tripped_at_ns, machine.state.tripped_at_ns) == (ns("09:50"), ns("09:50"))


@pytest.mark.parametrize(
    ("clock", "served", "first"),
    [("12:00", False, "12:00"), ("12:14:59.999", False, "12:00"), ("12:07:30", True, "12:15"), ("12:00", True, "12:15")],
)
def test_a_trip_prices_the_interval_it_falls_in_unless_that_has_its_result(clock: str, served: bool, first: str) -> None:
    intervals = Intervals(served=lambda start_ns: served and start_ns == at_ns("12:00"), day_ahead=lambda _: True)
    assert Machine(AUTO, intervals=intervals).met(clock, "RT_120").state.substituted_from_ns == ns(first)


@pytest.mark.parametrize("machine", [tripped(), overdue(), suspended()])
def test_while_the_market_is_out_a_condition_is_only_noted(machine: Machine) -> None:
    phase = machine.phase
    machine.met("13 16:00", "SWITCHOVER")
    assert (machine.phase, machine.said[-1].finding) == (phase, "SWITCHOVER")
    assert machine.state.waiting == ()


def test_what_is_noted_keeps_the_row_of_shadow_results() -> None:
    assert tripped().shadow("10:00").met("11:00", "RT_120").state.shadow_ok == 4


def test_a_condition_met_during_a_proposal_is_proposed_when_the_first_is_gone() -> None:
    machine = Machine().met("11:50", "TOPOLOGY_HARD").met("12:00", "RT_120")
    assert [body.finding for body in machine.of(FindingNoted)] == ["RT_120"], "it is noted at once"
    machine.gone("12:10", "TOPOLOGY_HARD", outage="10:00")
    assert machine.path == "PROPOSED(TOPOLOGY_HARD) DEGRADED(EVIDENCE_WITHDRAWN) PROPOSED(RT_120)"
    assert machine.state.condition is not None
    assert machine.state.condition.met_at_ns == ns("12:00")


def test_a_waiting_condition_met_again_waits_once() -> None:
    machine = Machine().met("11:50", "TOPOLOGY_HARD").met("12:00", "RT_120").met("12:01", "RT_120")
    assert len(machine.state.waiting) == 1


def test_a_condition_that_is_proposed_already_is_only_noted() -> None:
    machine = Machine().met("11:50", "TOPOLOGY_HARD").met("12:00", "TOPOLOGY_HARD")
    assert (machine.state.proposed_at_ns, machine.state.waiting, machine.state.version) == (ns("11:50"), (), 1)
    assert machine.said[-1].finding == "TOPOLOGY_HARD"


def test_a_waiting_condition_that_is_gone_is_not_proposed() -> None:
    machine = Machine().met("11:50", "TOPOLOGY_HARD").met("12:00", "RT_120").gone("12:05", "RT_120").gone("12:10", "TOPOLOGY_HARD")
    assert machine.path == "PROPOSED(TOPOLOGY_HARD) NORMAL(EVIDENCE_WITHDRAWN)"
    assert (machine.state.waiting, machine.state.condition, machine.state.proposed_at_ns) == ((), None, None)
    assert machine.last.evidence == ("gone",)


def test_what_is_gone_leaves_a_trip_and_another_proposal_alone() -> None:
    assert tripped().gone("10:00", "TOPOLOGY_HARD").phase is Phase.TRIPPED
    assert Machine().met("10:00", "SWITCHOVER").gone("10:01", "RT_120").phase is Phase.PROPOSED


@pytest.mark.parametrize(("weak", "strong"), [("TOPOLOGY_SOFT", "TOPOLOGY_HARD"), ("DA_EXPECTED", "DA_MISSED")])
def test_what_says_more_of_the_same_takes_the_place_of_what_said_less(weak: str, strong: str) -> None:
    machine = Machine().met("10:00", weak).tick("10:10").met("10:20", strong)
    assert machine.path == f"PROPOSED({weak}) PROPOSED({strong})"
    assert (machine.state.proposed_at_ns, machine.state.escalated, machine.state.waiting) == (ns("10:20"), False, ())
    machine.gone("10:21", weak)
    assert machine.phase is Phase.PROPOSED


def test_what_says_less_does_not_take_the_place_of_what_says_more() -> None:
    machine = Machine().met("10:00", "TOPOLOGY_HARD").met("10:20", "TOPOLOGY_SOFT")
    assert machine.path == "PROPOSED(TOPOLOGY_HARD)"


def test_what_said_less_stops_waiting_when_more_is_known() -> None:
    machine = Machine().met("10:00", "SWITCHOVER").met("10:05", "TOPOLOGY_SOFT").met("10:10", "TOPOLOGY_HARD")
    assert [waiting.condition.basis for waiting in machine.state.waiting] == ["TOPOLOGY_HARD"]


def test_after_a_rejection_the_next_is_proposed_and_the_rejected_one_later() -> None:
    machine = Machine().met("11:50", "TOPOLOGY_HARD").met("12:00", "RT_120").order("12:05", "REJECT_TRIP", reason="wait")
    assert machine.path == "PROPOSED(TOPOLOGY_HARD) NORMAL(REJECTED) PROPOSED(RT_120)"
    machine.gone("12:10", "RT_120").tick("12:34:59")
    assert machine.phase is Phase.NORMAL
    assert machine.next_ns("12:34:59") == ns("12:35")
    assert machine.tick("12:35").path.endswith("NORMAL(EVIDENCE_WITHDRAWN) PROPOSED(TOPOLOGY_HARD)")


def test_what_a_person_rejected_does_not_trip_by_itself_later() -> None:
    machine = Machine(AUTO).met("09:50", "RT_120", auto_allowed=False).order("09:53", "REJECT_TRIP", reason="wait")
    assert machine.state.waiting[0].condition.auto_allowed is False
    assert machine.tick("10:23").phase is Phase.PROPOSED


def test_a_trip_takes_all_that_waits_with_it() -> None:
    machine = Machine().met("11:50", "TOPOLOGY_HARD").met("12:00", "RT_120").order("12:05", "CONFIRM_TRIP")
    assert (machine.phase, machine.state.waiting, machine.state.proposed_at_ns) == (Phase.TRIPPED, (), None)


def test_a_rejected_proposal_outlives_a_missed_interval() -> None:
    machine = Machine().met("09:50", "TOPOLOGY_HARD").order("09:53", "REJECT_TRIP", reason="wait").outage("10:15").over()
    assert machine.tick("10:23").path.endswith("DEGRADED(OUTAGE) NORMAL(RESULT_OK) PROPOSED(TOPOLOGY_HARD)")


def test_a_rejected_condition_that_is_gone_does_not_come_back() -> None:
    machine = Machine().met("12:00", "RT_120").order("12:05", "REJECT_TRIP", reason="wait").gone("12:10", "RT_120")
    assert machine.tick("13:00").phase is Phase.NORMAL


def test_a_proposal_knows_the_outage_that_runs_beside_it() -> None:
    machine = Machine().outage("10:00").met("10:05", "TOPOLOGY_HARD").outage("10:15")
    assert machine.state.outage_start_ns == ns("10:00"), "the one that runs is not begun again"
    assert machine.over().state.outage_start_ns is None
    assert machine.outage("10:30").state.outage_start_ns == ns("10:30")


# ── time ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_unanswered_proposal_escalates_once_after_ten_minutes() -> None:
    machine = Machine().met("10:00", "RT_120")
    assert machine.next_ns("10:00") == ns("10:10")
    assert machine.tick("10:09:59.999").of(FindingNoted) == []
    machine.tick("10:10").tick("10:11")
    assert [body.finding for body in machine.of(FindingNoted)] == ["PROPOSAL_UNANSWERED"]
    assert machine.next_ns("10:10") is None


def test_a_proposal_that_returns_escalates_anew() -> None:
    machine = Machine().met("10:00", "RT_120").tick("10:10").order("10:11", "REJECT_TRIP", reason="x").tick("10:41").tick("10:51")
    assert [body.finding for body in machine.of(FindingNoted)] == ["PROPOSAL_UNANSWERED"] * 2


def test_72_hours_exactly_are_not_overdue() -> None:
    machine, limit = tripped(), ns("09:50") + 72 * NS_PER_H
    assert machine.tick(limit).phase is Phase.TRIPPED
    assert machine.next_ns(limit) == limit + 1
    machine.tick(limit + 1)
    assert (machine.phase, machine.last.article, machine.last.by) == (Phase.OVERDUE, "Art. 25", "")


def test_a_clock_is_not_suspect_unless_somebody_says_so() -> None:
    state, _ = ticked(tripped().state, ns("09:50") + 73 * NS_PER_H, AUTO)
    assert state.phase is Phase.OVERDUE


def test_nothing_becomes_overdue_by_a_suspect_clock() -> None:
    late_ns = ns("09:50") + 73 * NS_PER_H
    machine = tripped().tick(late_ns, held=True)
    assert machine.phase is Phase.TRIPPED
    assert machine.tick(late_ns + 1).phase is Phase.OVERDUE


def test_an_overdue_market_stays_so_for_as_long_as_nobody_decides() -> None:
    machine = overdue()
    assert machine.tick("30 12:00").phase is Phase.OVERDUE
    assert machine.next_ns("30 12:00") is None


def test_nothing_is_due_in_a_market_that_runs() -> None:
    assert Machine().next_ns("10:00") is None
    assert Machine().tick("10:00").said == []


# ── while a recovery is announced ───────────────────────────────────────────────────────────────────────────────────────


def test_a_withdrawn_proposal_leaves_the_announced_recovery_as_it_was() -> None:
    machine = resuming(CONFIRM_SWITCH).met("10:50", "SWITCHOVER").gone("10:55", "SWITCHOVER")
    assert (machine.phase, machine.state.effective_from_ns) == (Phase.RESUMING, ns("11:30"))
    assert (machine.state.basis, machine.state.cause) == ("TOPOLOGY_HARD", "TECHNICAL"), "what it is tripped for"
    assert machine.state.proposed_at_ns is None
    machine.tick("11:30")
    assert (machine.phase, machine.state.tripped_at_ns) == (Phase.NORMAL, None)


def test_a_recovery_takes_effect_at_its_instant() -> None:
    machine = resuming().tick("11:29:59.999")
    assert (machine.phase, machine.next_ns("11:29:59.999")) == (Phase.RESUMING, ns("11:30"))
    machine.tick("11:30")
    assert (machine.path.split()[-1], machine.last.article) == ("NORMAL(EFFECTIVE)", "Art. 29")
    state = machine.state
    assert (state.condition, state.effective_from_ns, state.substituted_from_ns, state.outage_start_ns) == (None, None, None, None)
    assert state.ended_ns == ns("11:30")


def test_what_was_due_before_is_no_deadline() -> None:
    assert resuming().next_ns("11:30") is None
    assert resuming().next_ns("11:31") is None
    assert tripped().shadow("10:00").next_ns("10:43") == ns("14:44")


def test_the_outage_that_led_to_a_trip_is_over_with_the_breaker() -> None:
    machine = Machine(AUTO).outage("10:00").met("12:00", "RT_120").shadow("13:00").order("14:00", "CONFIRM_RECOVER")
    assert machine.state.outage_start_ns == ns("10:00")
    assert machine.tick("14:30").state.outage_start_ns is None


def test_a_second_trip_is_told_of_its_recovery_at_once() -> None:
    machine = resuming().met("10:50", "RT_120").shadow("10:15", count=1)
    assert machine.state.shadow_ok == 0, "made before the trip"
    machine.shadow("11:00", count=4)
    assert len(machine.of(RecoveryProposed)) == 2


def test_a_late_tick_ends_the_breaker_at_the_instant_that_was_announced() -> None:
    assert resuming().tick("11:41").state.ended_ns == ns("11:30")


def test_a_recovery_takes_effect_under_a_proposal() -> None:
    machine = resuming(CONFIRM_SWITCH).met("11:20", "SWITCHOVER").tick("11:29:59")
    assert machine.phase is Phase.PROPOSED
    assert machine.next_ns("11:29:59") == ns("11:30")
    machine.tick("11:30")
    state = machine.state
    assert (state.phase, state.substituted_from_ns, state.effective_from_ns, state.basis) == (Phase.PROPOSED, None, None, "SWITCHOVER")
    assert machine.path.endswith("PROPOSED(EFFECTIVE)")
    machine.order("11:40", "CONFIRM_TRIP")
    assert machine.state.substituted_from_ns == ns("11:30"), "the interval it is tripped in, and none before it"


def test_a_trip_before_the_effect_goes_on_where_the_first_began() -> None:
    machine = resuming(CONFIRM_SWITCH).met("10:50", "SWITCHOVER").order("10:55", "CONFIRM_TRIP")
    state = machine.state
    assert (state.substituted_from_ns, state.effective_from_ns, state.shadow_ok) == (ns("09:45"), None, 0)
    assert state.tripped_at_ns == ns("10:55")


def test_an_automatic_condition_trips_a_resuming_market_again() -> None:
    machine = resuming().met("10:50", "RT_120")
    assert (machine.path.split()[-1], machine.state.limit_from_ns) == ("TRIPPED(RT_120)", ns("09:50"))


# ── the 72 hours ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_trip_before_the_effect_does_not_set_the_72_hours_back() -> None:
    machine = resuming().met("10:50", "TOPOLOGY_HARD")
    assert machine.state.limit_from_ns == ns("09:50")
    assert machine.tick(ns("09:50") + 72 * NS_PER_H + 1).phase is Phase.OVERDUE


@pytest.mark.parametrize(
    ("basis", "later_ns", "goes_on"),
    [
        ("TOPOLOGY_HARD", 0, True),
        ("TOPOLOGY_HARD", 24 * NS_PER_H - 1, True),
        ("TOPOLOGY_HARD", 24 * NS_PER_H, False),
        ("SWITCHOVER", NS_PER_H, False),
    ],
)
def test_a_trip_for_the_same_cause_within_a_day_continues_the_72_hours(basis: str, later_ns: int, goes_on: bool) -> None:
    again_ns = ns("11:30") + later_ns
    machine = resuming().tick("11:30").met(again_ns, basis)
    used_ns = ns("11:30") - ns("09:50") if goes_on else 0
    assert machine.state.limit_from_ns == again_ns - used_ns


# ── shadow results ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_interval_counts_once_whatever_its_versions() -> None:
    machine = tripped()
    for _ in range(4):
        machine.shadow("10:00", count=1)
    assert machine.state.shadow_ok == 1


@pytest.mark.parametrize(("completed", "counts"), [("09:50", 0), ("09:50:00.001", 1)])
def test_results_made_before_the_trip_do_not_count(completed: str, counts: int) -> None:
    machine = tripped()
    machine.keep(shadow_cleared(machine.state, ns("10:00"), ns(completed), ns("09:55"), AUTO))
    assert machine.state.shadow_ok == counts


def test_older_intervals_do_not_count_after_newer_ones() -> None:
    assert tripped().shadow("11:00", count=1).shadow("10:00", count=2).state.shadow_ok == 1


def test_results_of_a_market_that_runs_are_no_shadow_results() -> None:
    assert Machine().shadow("10:00").state.shadow_ok == 0
    assert resuming().shadow("11:00", count=1).state.shadow_ok == 4, "those that led to the recovery, and no more"


def test_four_results_in_a_row_propose_a_recovery() -> None:
    machine = tripped().shadow("10:00", count=3)
    assert machine.of(RecoveryProposed) == []
    assert machine.shadow("10:45", count=1).of(RecoveryProposed) == [RecoveryProposed(segment=Segment.RT, shadow_ok=4)]


def test_recovery_is_proposed_again_after_a_broken_row() -> None:
    machine = tripped().shadow("10:00").broken()
    assert machine.state.shadow_ok == 0
    assert machine.shadow("11:15", count=3).of(RecoveryProposed) == machine.of(RecoveryProposed)[:1]
    assert len(machine.shadow("12:00", count=1).of(RecoveryProposed)) == 2


def test_a_row_is_broken_only_while_the_market_is_out() -> None:
    assert resuming().broken().state.shadow_ok == 4


def test_a_recovery_that_nobody_orders_is_proposed_again_after_four_hours() -> None:
    machine = tripped().shadow("10:00")
    told_ns = ns("10:44")
    assert machine.next_ns(told_ns) == told_ns + 4 * NS_PER_H
    machine.tick(told_ns + 4 * NS_PER_H - 1)
    assert len(machine.of(RecoveryProposed)) == 1
    machine.tick(told_ns + 4 * NS_PER_H).tick(told_ns + 4 * NS_PER_H)
    assert len(machine.of(RecoveryProposed)) == 2
    assert machine.phase is Phase.TRIPPED, "never by itself (GD-29-3)"


def test_an_overdue_market_is_proposed_to_recover_as_well() -> None:
    machine = overdue().shadow("13 13:00")
    assert len(machine.of(RecoveryProposed)) == 1
    assert machine.next_ns("13 14:00") == ns("13 13:44") + 4 * NS_PER_H
    assert len(machine.tick("13 17:44").of(RecoveryProposed)) == 2


def test_recovery_is_never_proposed_once_a_suspension_is_decided() -> None:
    machine = suspended().shadow("13 16:00", count=8)
    assert (machine.state.shadow_ok, machine.of(RecoveryProposed)) == (8, [])


# ── the record ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("machine", [Machine(), resuming(CONFIRM_SWITCH).met("10:50", "SWITCHOVER"), suspended()])
def test_a_state_is_read_back_as_it_was(machine: Machine) -> None:
    assert msgspec.json.decode(msgspec.json.encode(machine.state), type=SegmentState) == machine.state


def test_a_refusal_stands_alone_and_changes_nothing() -> None:
    machine = tripped()
    before = machine.state
    machine.order("10:00", "CONFIRM_RECOVER")
    assert machine.state == before
    (refusal,) = machine.of(Refused)
    assert (refusal.by, refusal.action, refusal.rule) == ("chen", "CONFIRM_RECOVER", "Art. 29")


def test_the_rules_say_how_many_shadow_results_and_how_long() -> None:
    rules = rules_from({"shadow_ok": 2, "breaker_max_h": 1, "resume_notice_min": 60})
    machine = Machine(rules).met("09:50", "TOPOLOGY_HARD").shadow("10:00", count=2).tick(ns("10:50") + 1)
    assert machine.phase is Phase.OVERDUE
    machine.order("10:50:01", "CONFIRM_RECOVER")
    assert machine.state.effective_from_ns == ns("12:00")
    assert machine.state.effective_from_ns - ns("10:50:01") >= 60 * NS_PER_MIN
