"""The breaker of one market segment: from NORMAL through TRIPPED and back, as a pure machine (spec §6.1, §6.2).

The machine is told what the detectors found, what people ordered and what time it is. It answers with the bodies of decisions; it
never touches the world. Trips may be automatic where the rule set says so; recovery never is.

States and what moves them::

    NORMAL ──outage──▶ DEGRADED ──condition──▶ PROPOSED ──confirmed──▶ TRIPPED ──>72 h──▶ OVERDUE
      ▲  ◀──result──────┘   └──condition, auto──────────────────────────▶ │                  │
      └───────────── effective_from ── RESUMING ◀──────── recovered by dispatch ─────────────┘

A condition that is met while another one is proposed waits its turn, and so does one that was rejected, for as long as it holds. A
recovery that was announced takes effect at its instant whatever is proposed meanwhile, unless the market trips again before it.

Absent on purpose: suspension and long suspension (Art. 25–28), receipts of duties, approvals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from market.announcements import notice_text, pricing_facts
from market.decisions import (
    Announcement,
    DecisionBody,
    DutyOpened,
    DutySettled,
    FindingNoted,
    Phase,
    RecoveryProposed,
    Refused,
    Reminded,
    Transition,
)
from market.facts import CommandGiven, Segment
from market.rules import MarketRules, Mode
from market.units import NS_PER_H, NS_PER_MIN, NS_PER_S, civil_day, floor_ns, instant_text

__all__ = [
    "Condition",
    "Intervals",
    "SegmentState",
    "Waiting",
    "commanded",
    "condition_gone",
    "condition_met",
    "next_deadline_ns",
    "outage_began",
    "outage_over",
    "outage_reached",
    "shadow_broken",
    "shadow_cleared",
    "ticked",
    "took_effect",
]

_OUT: Final = (Phase.TRIPPED, Phase.OVERDUE)
_OPEN_TO_PROPOSALS: Final = (Phase.NORMAL, Phase.DEGRADED, Phase.RESUMING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A trip condition as the machine keeps it: what it rests on, since when, how strong it is, and what a notice names of it."""

    basis: str
    met_at_ns: int
    article: str
    evidence: tuple[str, ...]
    auto_allowed: bool
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A condition that is to be proposed at ``not_before_ns``, or as soon after it as no other one is."""

    condition: Condition
    not_before_ns: int


@dataclass(frozen=True, slots=True)
class Intervals:
    """What the machine asks about the interval that starts at an instant.

    Attributes:
        served: whether it has a valid result of its own, so that its market price stands.
        day_ahead: whether the day-ahead market has a price for it.
    """

    served: Callable[[int], bool]
    day_ahead: Callable[[int], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentState:
    """One segment.

    Attributes:
        version: counts changes of phase, so that a command given to a stale screen can be told.
        outage_start_ns: of the running outage, or of the one that led to the trip.
        condition: what the proposal or the trip rests on.
        waiting: conditions that hold and are not proposed now: another one is, or they were rejected.
        proposed_at_ns: of the present proposal; escalated: whether nobody answered it in time.
        substituted_from_ns: first interval whose price the breaker sets.
        effective_from_ns: first interval of the market again, once a recovery is announced.
        trip: what the latest trip rests on, also after its recovery.
        ended_ns: when the latest breaker ended.
        limit_from_ns: from when its 72 h count; later than its first trip by the time it was recovered in between.
        shadow_ok: valid shadow clearings in a row since the trip; shadow_start_ns: the interval of the last one counted.
        shadow_told_ns: when recovery was last proposed for this row.
        announcement: number of the active announcement, or empty.
        numbered_day, numbered: civil day and count of the last announcement number.
    """

    segment: Segment
    phase: Phase = Phase.NORMAL
    version: int = 0
    outage_start_ns: int | None = None
    condition: Condition | None = None
    waiting: tuple[Waiting, ...] = ()
    proposed_at_ns: int | None = None
    escalated: bool = False
    tripped_at_ns: int | None = None
    substituted_from_ns: int | None = None
    effective_from_ns: int | None = None
    trip: Condition | None = None
    ended_ns: int | None = None
    limit_from_ns: int | None = None
    shadow_ok: int = 0
    shadow_start_ns: int = 0
    shadow_told_ns: int | None = None
    announcement: str = ""
    numbered_day: str = ""
    numbered: int = 0


Step = tuple[SegmentState, tuple[DecisionBody, ...]]


def _moved(state: SegmentState, after: Phase, basis: str, article: str, *, by: str = "", evidence: tuple[str, ...] = ()) -> Step:
    """Change the phase and say so."""
    moved = replace(state, phase=after, version=state.version + 1)
    body = Transition(
        segment=state.segment,
        before=state.phase,
        after=after,
        basis=basis,
        article=article,
        by=by,
        outage_start_ns=moved.outage_start_ns,
        condition_met_at_ns=moved.condition.met_at_ns if moved.condition else None,
        tripped_at_ns=moved.tripped_at_ns,
        effective_from_ns=moved.effective_from_ns,
        evidence=evidence,
    )
    return moved, (body,)


def outage_began(state: SegmentState, start_ns: int) -> Step:
    """An expected interval had no valid result (Art. 9(2)): NORMAL becomes DEGRADED; other phases keep their own reason."""
    if state.phase is Phase.PROPOSED and state.outage_start_ns is None:
        return replace(state, outage_start_ns=start_ns), ()
    if state.phase is not Phase.NORMAL:
        return state, ()
    return _moved(replace(state, outage_start_ns=start_ns), Phase.DEGRADED, "OUTAGE", "Art. 9(2)")


def outage_over(state: SegmentState) -> Step:
    """The outage ended; a trip is not undone by it, nor a proposal that rests on something else."""
    if state.phase is Phase.PROPOSED:
        return replace(state, outage_start_ns=None), ()
    if state.phase is not Phase.DEGRADED:
        return state, ()
    return _moved(replace(state, outage_start_ns=None), Phase.NORMAL, "RESULT_OK", "Art. 9(2)")


def outage_reached(state: SegmentState, start_ns: int, minutes: int, rules: MarketRules) -> Step:
    """The outage passed a reminder mark."""
    if state.phase is not Phase.DEGRADED:
        return state, ()
    left_min = max(0, rules.rt_limit_min - minutes)
    return state, (Reminded(segment=state.segment, outage_start_ns=start_ns, minutes=minutes, headroom_min=left_min),)


def condition_met(state: SegmentState, condition: Condition, now_ns: int, rules: MarketRules, intervals: Intervals) -> Step:
    """A condition of Art. 23 holds: trip, or propose to trip, by the mode of its basis."""
    noted = FindingNoted(finding=condition.basis, article=condition.article, evidence=condition.evidence)
    if state.phase in _OUT:
        return state, (noted,)
    mode: Mode = getattr(rules.modes, condition.basis)
    if mode is Mode.AUTO and condition.auto_allowed:
        return _trip(state, condition, now_ns, rules, intervals, by="")
    if state.phase is not Phase.PROPOSED:
        return _proposed(state, condition, now_ns)
    assert state.condition is not None, "a proposal has a condition"
    if state.condition.basis == condition.basis:
        return state, (noted,)
    return replace(state, waiting=(*_others(state, condition.basis), Waiting(condition=condition, not_before_ns=now_ns))), (noted,)


def condition_gone(state: SegmentState, basis: str, why: str, now_ns: int, *, outage_start_ns: int | None) -> Step:
    """A condition no longer holds: what was proposed on it is withdrawn; a trip stands until a person recovers it."""
    state = replace(state, waiting=_others(state, basis))
    if state.phase is not Phase.PROPOSED or state.condition is None or state.condition.basis != basis:
        return state, ()
    return _unproposed(state, now_ns, outage_start_ns, "EVIDENCE_WITHDRAWN", "Art. 23", by="", evidence=(why,))


def _others(state: SegmentState, basis: str) -> tuple[Waiting, ...]:
    return tuple(waiting for waiting in state.waiting if waiting.condition.basis != basis)


def _proposed(state: SegmentState, condition: Condition, now_ns: int) -> Step:
    proposed = replace(state, condition=condition, proposed_at_ns=now_ns, escalated=False, waiting=_others(state, condition.basis))
    return _moved(proposed, Phase.PROPOSED, condition.basis, condition.article, evidence=condition.evidence)


def _unproposed(
    state: SegmentState, now_ns: int, outage_start_ns: int | None, basis: str, article: str, *, by: str, evidence: tuple[str, ...]
) -> Step:
    """End a proposal without a trip: back to a recovery that is still to take effect, else to what the outage says; and the next one."""
    if state.effective_from_ns is not None:
        after, state = Phase.RESUMING, replace(state, condition=state.trip, proposed_at_ns=None)
    else:
        after = Phase.NORMAL if outage_start_ns is None else Phase.DEGRADED
        state = replace(state, condition=None, proposed_at_ns=None, outage_start_ns=outage_start_ns)
    state, ended = _moved(state, after, basis, article, by=by, evidence=evidence)
    state, following = _next_proposed(state, now_ns)
    return state, (*ended, *following)


def _next_proposed(state: SegmentState, now_ns: int) -> Step:
    """Propose the first waiting condition whose time has come."""
    due = [waiting.condition for waiting in state.waiting if waiting.not_before_ns <= now_ns]
    if state.phase not in _OPEN_TO_PROPOSALS or not due:
        return state, ()
    return _proposed(state, due[0], now_ns)


def _trip(state: SegmentState, condition: Condition, now_ns: int, rules: MarketRules, intervals: Intervals, *, by: str) -> Step:
    """Trip now: the transition, the announcement that supersedes what was active, and the statutory clocks."""
    step = rules.rt_interval_ns
    containing_ns = floor_ns(now_ns, step)
    first_ns = containing_ns + step if intervals.served(containing_ns) else containing_ns
    # A recovery that has not taken effect yet ended nothing: prices and the 72 h go on as they were.
    goes_on = state.effective_from_ns is not None
    if goes_on and state.substituted_from_ns is not None:
        first_ns = state.substituted_from_ns
    tripped = replace(
        state,
        condition=condition,
        waiting=(),
        trip=condition,
        limit_from_ns=_limit_from_ns(state, condition, now_ns, rules),
        tripped_at_ns=now_ns,
        substituted_from_ns=first_ns,
        effective_from_ns=None,
        proposed_at_ns=None,
        shadow_ok=0,
        shadow_start_ns=0,
        shadow_told_ns=None,
    )
    tripped, transition = _moved(tripped, Phase.TRIPPED, condition.basis, condition.article, by=by, evidence=condition.evidence)
    facts = {
        "article": condition.article,
        "condition_met_at": instant_text(condition.met_at_ns, rules.zone),
        "tripped_at": instant_text(now_ns, rules.zone),
        "first_interval": instant_text(first_ns, rules.zone),
        "limit_min": str(rules.rt_limit_min),
        "next_update": instant_text(now_ns + NS_PER_H, rules.zone),
        "evidence": "; ".join(condition.evidence),
        **pricing_facts(day_ahead=intervals.day_ahead(max(first_ns, containing_ns))),
        **condition.details,
    }
    tripped, announcement = _announced(tripped, "TRIP", condition.basis, facts, now_ns, rules)
    announce_ns = now_ns + rules.announce_target_min * NS_PER_MIN
    explain = DutyOpened(duty="explain", segment=state.segment, due_ns=now_ns + rules.explain_h * NS_PER_H, article="Art. 24")
    limit = DutyOpened(duty="limit", segment=state.segment, due_ns=_limit_ns(tripped, rules), article="Art. 25")
    return tripped, (
        *transition,
        announcement,
        DutyOpened(duty="announce", segment=state.segment, due_ns=announce_ns, article="policy Q9"),
        DutySettled(duty="announce", segment=state.segment, outcome="met", margin_s=(announce_ns - now_ns) / NS_PER_S),
        explain,
        *(() if goes_on else (limit,)),
    )


def _limit_from_ns(state: SegmentState, condition: Condition, now_ns: int, rules: MarketRules) -> int:
    """Return from when a breaker that trips now counts its 72 h (policy Q12): a short recovery does not set them back."""
    if state.limit_from_ns is None:
        return now_ns
    if state.effective_from_ns is not None:
        return state.limit_from_ns
    assert state.ended_ns is not None, "a breaker that is not resuming is over"
    assert state.trip is not None, "a breaker had its cause"
    again = state.trip.basis == condition.basis and now_ns < state.ended_ns + rules.retrip_ns
    return state.limit_from_ns + (now_ns - state.ended_ns) if again else now_ns


def _limit_ns(state: SegmentState, rules: MarketRules) -> int:
    assert state.limit_from_ns is not None, "only a breaker has a limit"
    return state.limit_from_ns + rules.breaker_max_ns


def _announced(
    state: SegmentState, kind: str, basis: str, facts: dict[str, str], now_ns: int, rules: MarketRules
) -> tuple[SegmentState, Announcement]:
    """Number and write a notice; it supersedes the active one, so that at most one is active."""
    day = civil_day(now_ns, rules.zone)
    count = state.numbered + 1 if day == state.numbered_day else 1
    number = f"{state.segment}-{day}-{count:02d}"
    facts = {**facts, "number": number, "supersedes": state.announcement or "–"}
    text_zh, text_en = notice_text(kind, state.segment, basis, facts)
    announcement = Announcement(
        number=number,
        announcement_kind=kind,
        segment=state.segment,
        subject="breaker",
        supersedes=state.announcement,
        published_at_ns=now_ns,
        text_zh=text_zh,
        text_en=text_en,
        facts=facts,
    )
    return replace(state, announcement=number, numbered_day=day, numbered=count), announcement


def shadow_cleared(state: SegmentState, start_ns: int, completed_at_ns: int, now_ns: int, rules: MarketRules) -> Step:
    """An interval was cleared while the market is out: it prices nothing, but enough in a row let a person recover it (Art. 29).

    Each interval counts once, and only with a result that was made since the trip.
    """
    if state.phase not in _OUT or state.tripped_at_ns is None:
        return state, ()
    if start_ns <= state.shadow_start_ns or completed_at_ns <= state.tripped_at_ns:
        return state, ()
    state = replace(state, shadow_ok=state.shadow_ok + 1, shadow_start_ns=start_ns)
    told_ns = state.shadow_told_ns
    if state.shadow_ok < rules.shadow_ok or (told_ns is not None and now_ns < told_ns + rules.recovery_remind_h * NS_PER_H):
        return state, ()
    return replace(state, shadow_told_ns=now_ns), (RecoveryProposed(segment=state.segment, shadow_ok=state.shadow_ok),)


def shadow_broken(state: SegmentState) -> SegmentState:
    """An interval was not cleared while the market is out: the row begins anew, and so does its being told."""
    return replace(state, shadow_ok=0, shadow_told_ns=None) if state.phase in _OUT else state


def took_effect(state: SegmentState, now_ns: int, rules: MarketRules) -> Step:
    """A recovery takes effect at its instant, whether or not something else is proposed by then."""
    effective_ns = state.effective_from_ns
    if effective_ns is None or now_ns < effective_ns:
        return state, ()
    margin_s = (_limit_ns(state, rules) - effective_ns) / NS_PER_S
    lifted = DutySettled(duty="limit", segment=state.segment, outcome="lifted" if margin_s >= 0 else "late", margin_s=margin_s)
    fresh = replace(state, tripped_at_ns=None, effective_from_ns=None, substituted_from_ns=None, announcement="", ended_ns=effective_ns)
    if state.phase is Phase.RESUMING:
        fresh = replace(fresh, outage_start_ns=None, condition=None)
    after = Phase.NORMAL if state.phase is Phase.RESUMING else state.phase
    fresh, transition = _moved(fresh, after, "EFFECTIVE", "Art. 29")
    return fresh, (*transition, lifted)


def ticked(state: SegmentState, now_ns: int, rules: MarketRules, *, held: bool = False) -> Step:
    """Time passed: a breaker becomes overdue, a proposal escalates or returns.

    Args:
        held: automatic action is held (suspect clock): nothing becomes overdue by it.
    """
    if state.phase is Phase.TRIPPED and not held and now_ns > _limit_ns(state, rules):
        return _moved(state, Phase.OVERDUE, "OVER_72_H", "Art. 25")
    if state.phase is Phase.PROPOSED and state.proposed_at_ns is not None and not state.escalated:
        if now_ns < state.proposed_at_ns + rules.proposal_escalate_min * NS_PER_MIN:
            return state, ()
        evidence = (f"no answer for {rules.proposal_escalate_min} min",)
        return replace(state, escalated=True), (FindingNoted(finding="PROPOSAL_UNANSWERED", article="policy 1.2", evidence=evidence),)
    return _next_proposed(state, now_ns)


def next_deadline_ns(state: SegmentState, now_ns: int, rules: MarketRules) -> int | None:
    """Return the next instant after ``now_ns`` at which :func:`took_effect` or :func:`ticked` could do something, or None."""
    candidates = [] if state.effective_from_ns is None else [state.effective_from_ns]
    if state.phase is Phase.TRIPPED:
        candidates.append(_limit_ns(state, rules) + 1)
    if state.phase is Phase.PROPOSED and state.proposed_at_ns is not None and not state.escalated:
        candidates.append(state.proposed_at_ns + rules.proposal_escalate_min * NS_PER_MIN)
    if state.phase in _OPEN_TO_PROPOSALS:
        candidates += [waiting.not_before_ns for waiting in state.waiting]
    return min((at for at in candidates if at > now_ns), default=None)


def commanded(
    state: SegmentState,
    command: CommandGiven,
    rules: MarketRules,
    intervals: Intervals,
    *,
    outage_start_ns: int | None,
    still_open: tuple[str, ...],
) -> Step:
    """Carry out, or refuse, what a person ordered. A refusal is a decision too, and changes nothing.

    Args:
        outage_start_ns: of the running outage, if there is one.
        still_open: elements of a topology condition that are open still.
    """
    now_ns = command.ts_event_ns

    def refused(rule: str, why: str) -> Step:
        body = Refused(command_id=command.command_id, by=command.by, role=command.role, action=command.action, rule=rule, why=why)
        return state, (body,)

    if command.action not in _COMMANDS:
        return refused("policy", f"unknown action {command.action!r}; known: {', '.join(sorted(_COMMANDS))}")
    article, phases = _COMMANDS[command.action]
    if command.role != "DISPATCH":
        return refused(article, f"{command.action} belongs to the dispatch institution; {command.by} acts as {command.role}")
    if state.phase not in phases:
        wanted = " or ".join(phases)
        return refused(article, f"{command.action} needs {state.segment} to be {wanted}; it is {state.phase}")
    if command.args.get("version", str(state.version)) != str(state.version):
        return refused("policy", f"the screen showed version {command.args['version']}, the segment is at {state.version}; look again")

    reason = command.args.get("reason", "").strip()
    if command.action == "CONFIRM_TRIP":
        assert state.condition is not None, "a proposal has a condition"
        return _trip(state, state.condition, now_ns, rules, intervals, by=command.by)
    if command.action == "REJECT_TRIP":
        assert state.condition is not None, "a proposal has a condition"
        if not reason:
            return refused("policy", "a rejection needs a reason; give reason=…")
        again_ns = now_ns + rules.repropose_min * NS_PER_MIN
        # It comes back as a proposal while it holds: what a person rejected does not trip by itself.
        returns = Waiting(condition=replace(state.condition, auto_allowed=False), not_before_ns=again_ns)
        rejected = replace(state, waiting=(*state.waiting, returns))
        return _unproposed(rejected, now_ns, outage_start_ns, "REJECTED", article, by=command.by, evidence=(reason,))
    if state.shadow_ok < rules.shadow_ok:
        return refused(article, f"recovery needs {rules.shadow_ok} valid shadow clearings in a row; there are {state.shadow_ok}")
    if still_open and (command.args.get("override") != "yes" or not reason):
        names = ", ".join(still_open)
        return refused(article, f"what tripped the market is still open: {names}; close it, or give override=yes and a reason")
    overridden = (f"override: {reason}; still open: {', '.join(still_open)}",) if still_open else ()
    return _recover(state, command.by, now_ns, rules, intervals, overridden)


_COMMANDS: Final = {
    "CONFIRM_TRIP": ("Art. 23", (Phase.PROPOSED,)),
    "REJECT_TRIP": ("Art. 23", (Phase.PROPOSED,)),
    "CONFIRM_RECOVER": ("Art. 29", _OUT),
}
"""Action → the article that gives the power, and the phases in which it makes sense."""


def _recover(state: SegmentState, by: str, now_ns: int, rules: MarketRules, intervals: Intervals, evidence: tuple[str, ...]) -> Step:
    step = rules.rt_interval_ns
    effective_ns = floor_ns(now_ns + rules.resume_notice_ns + step - 1, step)
    state = replace(state, effective_from_ns=effective_ns)
    recovered, transition = _moved(state, Phase.RESUMING, "RECOVERED", "Art. 29", by=by, evidence=evidence)
    facts = {
        "article": "Art. 29",
        "by": by,
        "published_at": instant_text(now_ns, rules.zone),
        "effective_from": instant_text(effective_ns, rules.zone),
        **pricing_facts(day_ahead=intervals.day_ahead(floor_ns(now_ns, step))),
    }
    recovered, announcement = _announced(recovered, "RECOVERY", "", facts, now_ns, rules)
    return recovered, (*transition, announcement)
