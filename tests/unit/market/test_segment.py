"""The segment machine alone: what waits, what comes back, what is counted on, and what a person may not do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from market.decisions import Announcement, DecisionBody, DutyOpened, DutySettled, FindingNoted, Phase, RecoveryProposed, Refused, Transition
from market.facts import CommandGiven, Segment
from market.rules import MarketRules, rules_from
from market.segment import (
    Condition,
    Intervals,
    SegmentState,
    Step,
    commanded,
    condition_gone,
    condition_met,
    next_deadline_ns,
    outage_began,
    outage_over,
    shadow_broken,
    shadow_cleared,
    ticked,
    took_effect,
)
from market.units import NS_PER_H, NS_PER_MIN
from tests.kit.table import at_ns

AUTO = rules_from({})
CONFIRM = rules_from({"modes": {"RT_120": "confirm", "TOPOLOGY_HARD": "confirm", "SWITCHOVER": "confirm"}})
CONFIRM_SWITCH = rules_from({"modes": {"SWITCHOVER": "confirm"}})
KNOWN = Intervals(served=lambda _: False, day_ahead=lambda _: True)
QUARTER = 15 * NS_PER_MIN


class Machine:
    """A real-time segment and everything it said."""

    def __init__(self, rules: MarketRules = CONFIRM, intervals: Intervals = KNOWN) -> None:
        self.state = SegmentState(segment=Segment.RT)
        self.rules = rules
        self.intervals = intervals
        self.said: list[DecisionBody] = []

    def keep(self, step: Step) -> Machine:
        self.state, bodies = step
        self.said += bodies
        return self

    def met(self, clock: str, basis: str, *, auto_allowed: bool = True, details: dict[str, str] | None = None) -> Machine:
        condition = Condition(
            basis=basis,
            met_at_ns=at_ns(clock),
            article="Art. 23",
            evidence=(f"{basis} at {clock}",),
            auto_allowed=auto_allowed,
            details=details or {"elements": "L1"},
        )
        return self.keep(condition_met(self.state, condition, at_ns(clock), self.rules, self.intervals))

    def gone(self, clock: str, basis: str, outage: str = "") -> Machine:
        outage_ns = at_ns(outage) if outage else None
        return self.keep(condition_gone(self.state, basis, "gone", at_ns(clock), outage_start_ns=outage_ns))

    def outage(self, clock: str) -> Machine:
        return self.keep(outage_began(self.state, at_ns(clock)))

    def over(self) -> Machine:
        return self.keep(outage_over(self.state))

    def tick(self, ts_ns: int | str, *, held: bool = False) -> Machine:
        now_ns = at_ns(ts_ns) if isinstance(ts_ns, str) else ts_ns
        self.keep(took_effect(self.state, now_ns, self.rules))
        return self.keep(ticked(self.state, now_ns, self.rules, held=held))

    def order(self, ts_ns: int | str, action: str, *, still_open: tuple[str, ...] = (), **args: str) -> Machine:
        now_ns = at_ns(ts_ns) if isinstance(ts_ns, str) else ts_ns
        command = CommandGiven(ts_event_ns=now_ns, command_id="c", by="chen", role="DISPATCH", action=action, args=args)
        return self.keep(commanded(self.state, command, self.rules, self.intervals, outage_start_ns=None, still_open=still_open))

    def shadow(self, from_ns: int | str, count: int = 4) -> Machine:
        start_ns = at_ns(from_ns) if isinstance(from_ns, str) else from_ns
        for n in range(count):
            ns = start_ns + n * QUARTER
            self.keep(shadow_cleared(self.state, ns, ns - NS_PER_MIN, ns - NS_PER_MIN, self.rules))
        return self

    def of(self, kind: type) -> list:
        return [body for body in self.said if isinstance(body, kind)]

    @property
    def path(self) -> str:
        """Phases entered, with their basis."""
        return " ".join(f"{body.after}({body.basis})" for body in self.of(Transition))


def tripped(rules: MarketRules = AUTO) -> Machine:
    """Trips at 09:50 on its topology."""
    return Machine(rules).met("09:50", "TOPOLOGY_HARD")


def resuming(rules: MarketRules = AUTO) -> Machine:
    """Recovery announced at 10:46, in effect from 11:30."""
    return tripped(rules).shadow("10:00").order("10:46", "CONFIRM_RECOVER")


# ── several conditions ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_condition_met_during_a_proposal_is_proposed_when_the_first_is_gone() -> None:
    machine = Machine().met("11:50", "TOPOLOGY_HARD").met("12:00", "RT_120")
    assert [body.finding for body in machine.of(FindingNoted)] == ["RT_120"], "it is noted at once"
    machine.gone("12:10", "TOPOLOGY_HARD", outage="10:00")
    assert machine.path == "PROPOSED(TOPOLOGY_HARD) DEGRADED(EVIDENCE_WITHDRAWN) PROPOSED(RT_120)"
    assert machine.state.condition is not None
    assert machine.state.condition.met_at_ns == at_ns("12:00")


def test_a_waiting_condition_that_is_gone_is_not_proposed() -> None:
    machine = Machine().met("11:50", "TOPOLOGY_HARD").met("12:00", "RT_120").gone("12:05", "RT_120").gone("12:10", "TOPOLOGY_HARD")
    assert machine.path == "PROPOSED(TOPOLOGY_HARD) NORMAL(EVIDENCE_WITHDRAWN)"
    assert machine.state.waiting == ()


def test_after_a_rejection_the_next_is_proposed_and_the_rejected_one_later() -> None:
    machine = Machine().met("11:50", "TOPOLOGY_HARD").met("12:00", "RT_120").order("12:05", "REJECT_TRIP", reason="wait")
    assert machine.path == "PROPOSED(TOPOLOGY_HARD) NORMAL(REJECTED) PROPOSED(RT_120)"
    machine.gone("12:10", "RT_120").tick("12:34:59")
    assert machine.state.phase is Phase.NORMAL
    assert next_deadline_ns(machine.state, at_ns("12:34:59"), CONFIRM) == at_ns("12:35")
    assert machine.tick("12:35").path.endswith("NORMAL(EVIDENCE_WITHDRAWN) PROPOSED(TOPOLOGY_HARD)")


def test_a_trip_takes_all_that_waits_with_it() -> None:
    machine = Machine().met("11:50", "TOPOLOGY_HARD").met("12:00", "RT_120").order("12:05", "CONFIRM_TRIP")
    assert (machine.state.phase, machine.state.waiting) == (Phase.TRIPPED, ())


def test_a_rejected_proposal_outlives_a_missed_interval() -> None:
    machine = Machine().met("09:50", "TOPOLOGY_HARD").order("09:53", "REJECT_TRIP", reason="wait").outage("10:15").over()
    assert machine.tick("10:23").path.endswith("DEGRADED(OUTAGE) NORMAL(RESULT_OK) PROPOSED(TOPOLOGY_HARD)")


def test_a_rejected_condition_that_is_gone_does_not_come_back() -> None:
    machine = Machine().met("12:00", "RT_120").order("12:05", "REJECT_TRIP", reason="wait").gone("12:10", "RT_120")
    assert machine.tick("13:00").state.phase is Phase.NORMAL


def test_a_proposal_knows_the_outage_that_runs_beside_it() -> None:
    machine = Machine().outage("10:00").met("10:05", "TOPOLOGY_HARD").over()
    assert machine.state.outage_start_ns is None
    assert machine.outage("10:30").state.outage_start_ns == at_ns("10:30")


# ── while a recovery is announced ───────────────────────────────────────────────────────────────────────────────────────


def test_a_withdrawn_proposal_leaves_the_announced_recovery_as_it_was() -> None:
    machine = resuming(CONFIRM_SWITCH).met("10:50", "SWITCHOVER").gone("10:55", "SWITCHOVER")
    assert machine.state.phase is Phase.RESUMING
    assert machine.state.effective_from_ns == at_ns("11:30")
    assert machine.state.condition is not None
    assert machine.state.condition.basis == "TOPOLOGY_HARD", "what it is tripped for"
    machine.tick("11:30")
    assert (machine.state.phase, machine.state.tripped_at_ns, machine.state.announcement) == (Phase.NORMAL, None, "")


def test_a_recovery_takes_effect_under_a_proposal() -> None:
    machine = resuming(CONFIRM_SWITCH).met("11:20", "SWITCHOVER").tick("11:29:59")
    assert machine.state.phase is Phase.PROPOSED
    assert next_deadline_ns(machine.state, at_ns("11:29:59"), CONFIRM_SWITCH) == at_ns("11:30")
    machine.tick("11:30")
    state = machine.state
    assert (state.phase, state.substituted_from_ns, state.effective_from_ns, state.announcement) == (Phase.PROPOSED, None, None, "")
    assert machine.path.endswith("PROPOSED(EFFECTIVE)")
    machine.order("11:40", "CONFIRM_TRIP")
    assert machine.state.substituted_from_ns == at_ns("11:30"), "the interval it is tripped in, and none before it"


def test_a_trip_before_the_effect_goes_on_where_the_first_began() -> None:
    machine = resuming(CONFIRM_SWITCH).met("10:50", "SWITCHOVER").order("10:55", "CONFIRM_TRIP")
    assert machine.state.substituted_from_ns == at_ns("09:45")


# ── the 72 hours ────────────────────────────────────────────────────────────────────────────────────────────────────────


def limits(machine: Machine) -> list[int]:
    return [body.due_ns for body in machine.of(DutyOpened) if body.duty == "limit"]


def test_a_trip_before_the_effect_does_not_set_the_72_hours_back() -> None:
    machine = resuming().met("10:50", "TOPOLOGY_HARD")
    assert limits(machine) == [at_ns("09:50") + 72 * NS_PER_H], "one clock, opened once"
    assert machine.tick(at_ns("09:50") + 72 * NS_PER_H + 1).state.phase is Phase.OVERDUE


@pytest.mark.parametrize(
    ("basis", "later_h", "counts_from"),
    [
        ("TOPOLOGY_HARD", 1, "since the first trip, less the pause"),
        ("TOPOLOGY_HARD", 24, "anew"),
        ("SWITCHOVER", 1, "anew"),
    ],
)
def test_a_trip_for_the_same_cause_within_a_day_continues_the_72_hours(basis: str, later_h: int, counts_from: str) -> None:
    machine = resuming().tick("11:30")
    again_ns = at_ns("11:30") + later_h * NS_PER_H
    condition = Condition(
        basis=basis, met_at_ns=again_ns, article="Art. 23", evidence=("x",), auto_allowed=True, details={"elements": "L1"}
    )
    machine.keep(condition_met(machine.state, condition, again_ns, AUTO, KNOWN))
    used_ns = at_ns("11:30") - at_ns("09:50") if counts_from != "anew" else 0
    assert limits(machine)[-1] == again_ns - used_ns + 72 * NS_PER_H


def test_the_limit_is_lifted_when_the_breaker_ends_and_not_when_that_is_announced() -> None:
    machine = resuming()
    assert not [body for body in machine.of(DutySettled) if body.duty == "limit"]
    machine.tick("11:30")
    assert [body.outcome for body in machine.of(DutySettled) if body.duty == "limit"] == ["lifted"]


def test_a_breaker_that_ends_after_its_72_hours_ended_late() -> None:
    last_ns = at_ns("09:50") + 72 * NS_PER_H - 5 * NS_PER_MIN
    machine = tripped().shadow("10:00").order(last_ns, "CONFIRM_RECOVER").tick(last_ns + 45 * NS_PER_MIN)
    (settled,) = [body for body in machine.of(DutySettled) if body.duty == "limit"]
    assert (settled.outcome, machine.state.phase) == ("late", Phase.NORMAL)
    assert settled.margin_s < 0


def test_nothing_becomes_overdue_by_a_suspect_clock() -> None:
    late_ns = at_ns("09:50") + 73 * NS_PER_H
    machine = tripped().tick(late_ns, held=True)
    assert machine.state.phase is Phase.TRIPPED
    assert machine.tick(late_ns + 1).state.phase is Phase.OVERDUE


# ── shadow clearings ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_interval_counts_once_whatever_its_versions() -> None:
    machine = tripped()
    for _ in range(4):
        machine.shadow("10:00", count=1)
    assert machine.state.shadow_ok == 1


def test_results_made_before_the_trip_do_not_count() -> None:
    machine = tripped()
    machine.keep(shadow_cleared(machine.state, at_ns("09:45"), at_ns("09:50"), at_ns("09:51"), AUTO))
    assert machine.state.shadow_ok == 0


def test_older_intervals_do_not_count_after_newer_ones() -> None:
    assert tripped().shadow("11:00", count=1).shadow("10:00", count=2).state.shadow_ok == 1


def test_recovery_is_proposed_again_after_a_broken_row() -> None:
    machine = tripped().shadow("10:00")
    machine.state = shadow_broken(machine.state)
    assert machine.shadow("11:15", count=3).of(RecoveryProposed) == machine.of(RecoveryProposed)[:1]
    assert len(machine.shadow("12:00", count=1).of(RecoveryProposed)) == 2


def test_a_recovery_that_nobody_orders_is_proposed_again_after_four_hours() -> None:
    machine = tripped().shadow("10:00", count=4 + 15)
    assert len(machine.of(RecoveryProposed)) == 1
    assert len(machine.shadow("14:45", count=1).of(RecoveryProposed)) == 2


# ── recovery ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "args", [{}, {"override": "yes"}, {"override": "no", "reason": "x"}, {"reason": "x"}, {"override": "yes", "reason": " "}]
)
def test_recovery_is_refused_while_what_tripped_the_market_is_open(args: dict[str, str]) -> None:
    machine = tripped().shadow("10:00").order("10:46", "CONFIRM_RECOVER", still_open=("L1", "L3"), **args)
    (refusal,) = machine.of(Refused)
    assert machine.state.phase is Phase.TRIPPED
    assert refusal.rule == "Art. 29"
    assert "L1, L3" in refusal.why
    assert "override=yes" in refusal.why


def test_a_reason_overrides_it_and_stands_in_the_record() -> None:
    machine = tripped().shadow("10:00").order("10:46", "CONFIRM_RECOVER", still_open=("L1",), override="yes", reason="L1 is out for good")
    (transition,) = [body for body in machine.of(Transition) if body.after is Phase.RESUMING]
    assert transition.evidence == ("override: L1 is out for good; still open: L1",)


# ── notices ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("day_ahead", "article"), [(True, "Art. 27(2)"), (False, "Art. 27(3)")])
def test_notices_name_the_pricing_that_applies(day_ahead: bool, article: str) -> None:
    machine = Machine(AUTO, replace(KNOWN, day_ahead=lambda _: day_ahead)).met("09:50", "TOPOLOGY_HARD").shadow("10:00")
    notices = machine.order("10:46", "CONFIRM_RECOVER").of(Announcement)
    assert [notice.announcement_kind for notice in notices] == ["TRIP", "RECOVERY"]
    assert all(article in notice.text_en for notice in notices)


def test_a_topology_notice_names_what_was_lost() -> None:
    details = {"elements": "L1, L2, L3", "load_lost_mw": "16800", "load_before_mw": "120000"}
    (notice,) = Machine(AUTO).met("14:06", "TOPOLOGY_HARD", details=details).of(Announcement)
    for text in (notice.text_en, notice.text_zh):
        assert "L1, L2, L3" in text
        assert "16800 MW" in text
