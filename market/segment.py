"""The breaker of one market segment: from NORMAL through TRIPPED and back, as a pure machine (spec §6.1, §6.2).

The machine is told what the detectors found, what people ordered and what time it is. It answers with the bodies of decisions; it
never touches the world. Trips may be automatic where the rule set says so; recovery never is.

States and what moves them::

    NORMAL ──outage──▶ DEGRADED ──condition──▶ PROPOSED ──confirmed──▶ TRIPPED ──>72 h──▶ OVERDUE
      ▲  ◀──result──────┘   └──condition, auto──────────────────────────▶ │                  │
      └───────────── effective_from ── RESUMING ◀──────── recovered by dispatch ─────────────┘

Absent on purpose: suspension and long suspension (Art. 25–28), receipts of duties, approvals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from market.announcements import notice_text
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
    "SegmentState",
    "commanded",
    "condition_gone",
    "condition_met",
    "next_deadline_ns",
    "outage_began",
    "outage_over",
    "outage_reached",
    "shadow_result",
    "ticked",
]

_OUT: Final = (Phase.TRIPPED, Phase.OVERDUE)
_PRICING: Final = ("按第二十七条：实时市场熔断时段采用日前市场同时段价格", "Art. 27: day-ahead price of the same period for real-time")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A trip condition as the machine keeps it: what it rests on, since when, and how strong it is."""

    basis: str
    met_at_ns: int
    article: str
    evidence: tuple[str, ...]
    auto_allowed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentState:
    """One segment.

    Attributes:
        version: counts changes of phase, so that a command given to a stale screen can be told.
        outage_start_ns: of the running outage, or of the one that led to the trip.
        condition: what the proposal or the trip rests on.
        proposed_at_ns, rejected_at_ns: of the latest proposal.
        escalated: whether an unanswered proposal was escalated.
        substituted_from_ns: first interval whose price the breaker sets.
        shadow_ok: valid shadow clearings in a row since the trip; shadow_told: whether recovery was proposed.
        announcement: number of the active announcement, or empty.
        numbered_day, numbered: civil day and count of the last announcement number.
    """

    segment: Segment
    phase: Phase = Phase.NORMAL
    version: int = 0
    outage_start_ns: int | None = None
    condition: Condition | None = None
    proposed_at_ns: int | None = None
    rejected_at_ns: int | None = None
    escalated: bool = False
    tripped_at_ns: int | None = None
    substituted_from_ns: int | None = None
    effective_from_ns: int | None = None
    shadow_ok: int = 0
    shadow_told: bool = False
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
    if state.phase is not Phase.NORMAL:
        return state, ()
    return _moved(replace(state, outage_start_ns=start_ns), Phase.DEGRADED, "OUTAGE", "Art. 9(2)")


def outage_over(state: SegmentState) -> Step:
    """A valid result ended the outage; a trip is not undone by it."""
    if state.phase is not Phase.DEGRADED:
        return state, ()
    return _moved(replace(state, outage_start_ns=None, rejected_at_ns=None, condition=None), Phase.NORMAL, "RESULT_OK", "Art. 9(2)")


def outage_reached(state: SegmentState, start_ns: int, minutes: int, rules: MarketRules) -> Step:
    """The outage passed a reminder mark."""
    if state.phase is not Phase.DEGRADED:
        return state, ()
    left_min = max(0, rules.rt_limit_min - minutes)
    return state, (Reminded(segment=state.segment, outage_start_ns=start_ns, minutes=minutes, headroom_min=left_min),)


def condition_met(state: SegmentState, condition: Condition, now_ns: int, rules: MarketRules, *, served: Callable[[int], bool]) -> Step:
    """A condition of Art. 23 holds: trip, or propose to trip, by the mode of its basis.

    Args:
        served: whether the interval starting at its argument has a valid result of its own, so that its market price stands.
    """
    if state.phase in _OUT:
        return state, (FindingNoted(finding=condition.basis, article=condition.article, evidence=condition.evidence),)
    mode: Mode = getattr(rules.modes, condition.basis)
    if mode is Mode.AUTO and condition.auto_allowed:
        return _trip(state, condition, now_ns, rules, by="", served=served)
    if state.phase is Phase.PROPOSED:
        return state, (FindingNoted(finding=condition.basis, article=condition.article, evidence=condition.evidence),)
    proposed = replace(state, condition=condition, proposed_at_ns=now_ns, rejected_at_ns=None, escalated=False)
    return _moved(proposed, Phase.PROPOSED, condition.basis, condition.article, evidence=condition.evidence)


def condition_gone(state: SegmentState, basis: str, why: str, *, outage_start_ns: int | None) -> Step:
    """A condition no longer holds: a proposal that rests on it is withdrawn; a trip stands until a person recovers it."""
    if state.condition is None or state.condition.basis != basis:
        return state, ()
    if state.phase is not Phase.PROPOSED:
        return (replace(state, condition=None, rejected_at_ns=None) if state.phase in (Phase.NORMAL, Phase.DEGRADED) else state), ()
    after = Phase.NORMAL if outage_start_ns is None else Phase.DEGRADED
    withdrawn = replace(state, condition=None, proposed_at_ns=None, outage_start_ns=outage_start_ns)
    return _moved(withdrawn, after, "EVIDENCE_WITHDRAWN", "Art. 23", evidence=(why,))


def _trip(state: SegmentState, condition: Condition, now_ns: int, rules: MarketRules, *, by: str, served: Callable[[int], bool]) -> Step:
    """Trip now: the transition, the announcement that supersedes what was active, and the statutory clocks."""
    step = rules.rt_interval_ns
    containing_ns = floor_ns(now_ns, step)
    first_ns = containing_ns + step if served(containing_ns) else containing_ns
    if state.phase is Phase.RESUMING and state.substituted_from_ns is not None:
        first_ns = state.substituted_from_ns
    tripped = replace(
        state,
        condition=condition,
        tripped_at_ns=now_ns,
        substituted_from_ns=first_ns,
        effective_from_ns=None,
        proposed_at_ns=None,
        rejected_at_ns=None,
        shadow_ok=0,
        shadow_told=False,
    )
    tripped, transition = _moved(tripped, Phase.TRIPPED, condition.basis, condition.article, by=by, evidence=condition.evidence)
    facts = {
        "article": condition.article,
        "condition_met_at": instant_text(condition.met_at_ns, rules.zone),
        "tripped_at": instant_text(now_ns, rules.zone),
        "first_interval": instant_text(first_ns, rules.zone),
        "limit_min": str(rules.rt_limit_min),
        "pricing_zh": _PRICING[0],
        "pricing_en": _PRICING[1],
        "next_update": instant_text(now_ns + NS_PER_H, rules.zone),
        "evidence": "; ".join(condition.evidence),
    }
    tripped, announcement = _announced(tripped, "TRIP", condition.basis, facts, now_ns, rules)
    explain_ns, limit_ns = now_ns + rules.explain_h * NS_PER_H, now_ns + rules.breaker_max_ns
    announce_ns = now_ns + rules.announce_target_min * NS_PER_MIN
    return tripped, (
        *transition,
        announcement,
        DutyOpened(duty="announce", segment=state.segment, due_ns=announce_ns, article="policy Q9"),
        DutySettled(duty="announce", segment=state.segment, outcome="met", margin_s=(announce_ns - now_ns) / NS_PER_S),
        DutyOpened(duty="explain", segment=state.segment, due_ns=explain_ns, article="Art. 24"),
        DutyOpened(duty="limit", segment=state.segment, due_ns=limit_ns, article="Art. 25"),
    )


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


def shadow_result(state: SegmentState, *, valid: bool, rules: MarketRules) -> Step:
    """A clearing ran while the market is out: it prices nothing, but enough in a row let a person recover the market (Art. 29)."""
    if state.phase not in _OUT:
        return state, ()
    state = replace(state, shadow_ok=state.shadow_ok + 1 if valid else 0)
    if state.shadow_ok < rules.shadow_ok or state.shadow_told:
        return state, ()
    return replace(state, shadow_told=True), (RecoveryProposed(segment=state.segment, shadow_ok=state.shadow_ok),)


def ticked(state: SegmentState, now_ns: int, rules: MarketRules, *, served: Callable[[int], bool]) -> Step:
    """Time passed: a recovery takes effect, a breaker becomes overdue, a proposal escalates or returns."""
    if state.phase is Phase.RESUMING and state.effective_from_ns is not None and now_ns >= state.effective_from_ns:
        fresh = replace(
            state,
            outage_start_ns=None,
            condition=None,
            tripped_at_ns=None,
            effective_from_ns=None,
            substituted_from_ns=None,
            announcement="",
        )
        return _moved(fresh, Phase.NORMAL, "EFFECTIVE", "Art. 29")
    if state.phase is Phase.TRIPPED and state.tripped_at_ns is not None and now_ns > state.tripped_at_ns + rules.breaker_max_ns:
        return _moved(state, Phase.OVERDUE, "OVER_72_H", "Art. 25")
    if state.phase is Phase.PROPOSED and state.proposed_at_ns is not None and not state.escalated:
        if now_ns < state.proposed_at_ns + rules.proposal_escalate_min * NS_PER_MIN:
            return state, ()
        evidence = (f"no answer for {rules.proposal_escalate_min} min",)
        return replace(state, escalated=True), (FindingNoted(finding="PROPOSAL_UNANSWERED", article="policy 1.2", evidence=evidence),)
    if state.rejected_at_ns is not None and state.condition is not None and state.phase in (Phase.NORMAL, Phase.DEGRADED):
        if now_ns < state.rejected_at_ns + rules.repropose_min * NS_PER_MIN:
            return state, ()
        return condition_met(state, replace(state.condition, auto_allowed=False), now_ns, rules, served=served)
    return state, ()


def next_deadline_ns(state: SegmentState, rules: MarketRules) -> int | None:
    """Return the next instant at which :func:`ticked` could do something, or None."""
    if state.phase is Phase.RESUMING:
        return state.effective_from_ns
    if state.phase is Phase.TRIPPED and state.tripped_at_ns is not None:
        return state.tripped_at_ns + rules.breaker_max_ns + 1
    if state.phase is Phase.PROPOSED and state.proposed_at_ns is not None and not state.escalated:
        return state.proposed_at_ns + rules.proposal_escalate_min * NS_PER_MIN
    if state.rejected_at_ns is not None:
        return state.rejected_at_ns + rules.repropose_min * NS_PER_MIN
    return None


def commanded(
    state: SegmentState, command: CommandGiven, rules: MarketRules, *, served: Callable[[int], bool], outage_start_ns: int | None
) -> Step:
    """Carry out, or refuse, what a person ordered. A refusal is a decision too, and changes nothing."""
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

    if command.action == "CONFIRM_TRIP":
        assert state.condition is not None, "a proposal has a condition"
        return _trip(state, state.condition, now_ns, rules, by=command.by, served=served)
    if command.action == "REJECT_TRIP":
        if not command.args.get("reason", "").strip():
            return refused("policy", "a rejection needs a reason; give reason=…")
        after = Phase.NORMAL if outage_start_ns is None else Phase.DEGRADED
        rejected = replace(state, rejected_at_ns=now_ns, proposed_at_ns=None, outage_start_ns=outage_start_ns)
        return _moved(rejected, after, "REJECTED", article, by=command.by, evidence=(command.args["reason"].strip(),))
    if state.shadow_ok < rules.shadow_ok:
        return refused(article, f"recovery needs {rules.shadow_ok} valid shadow clearings in a row; there are {state.shadow_ok}")
    return _recover(state, command.by, now_ns, rules)


_COMMANDS: Final = {
    "CONFIRM_TRIP": ("Art. 23", (Phase.PROPOSED,)),
    "REJECT_TRIP": ("Art. 23", (Phase.PROPOSED,)),
    "CONFIRM_RECOVER": ("Art. 29", _OUT),
}
"""Action → the article that gives the power, and the phases in which it makes sense."""


def _recover(state: SegmentState, by: str, now_ns: int, rules: MarketRules) -> Step:
    step = rules.rt_interval_ns
    effective_ns = floor_ns(now_ns + rules.resume_notice_ns + step - 1, step)
    state = replace(state, effective_from_ns=effective_ns)
    recovered, transition = _moved(state, Phase.RESUMING, "RECOVERED", "Art. 29", by=by)
    facts = {
        "article": "Art. 29",
        "by": by,
        "published_at": instant_text(now_ns, rules.zone),
        "effective_from": instant_text(effective_ns, rules.zone),
        "pricing_zh": _PRICING[0],
        "pricing_en": _PRICING[1],
    }
    recovered, announcement = _announced(recovered, "RECOVERY", "", facts, now_ns, rules)
    assert state.tripped_at_ns is not None, "only a tripped segment recovers"
    margin_s = (state.tripped_at_ns + rules.breaker_max_ns - now_ns) / NS_PER_S
    lifted = DutySettled(duty="limit", segment=state.segment, outcome="lifted", margin_s=margin_s)
    return recovered, (*transition, announcement, lifted)
