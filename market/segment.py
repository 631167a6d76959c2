"""The breaker of one market segment: from NORMAL through TRIPPED and back, as a pure machine (spec §6.1, §6.2).

The machine is told what the detectors found, what people ordered and what time it is. It answers with the bodies of decisions; it
never touches the world. Trips may be automatic where the rule set says so; recovery, suspension and resumption never are. One machine
serves both segments: the real-time market by its intervals, the day-ahead market by its operating days.

Every way from one state to another is a row of :mod:`market.transitions`, which the documentation is drawn from. What leads to a trip
is in :mod:`market.tripping`, the way back in :mod:`market.recovery`, the suspension in :mod:`market.suspension`, and what people may
order in :mod:`market.segmentorders`; here is what time and outages do, and the names that others use.

Absent on purpose: notices, duties, approvals and cases, which follow from what is put on record here.
"""

from __future__ import annotations

from msgspec.structs import replace

from market.decisions import FindingNoted, Phase, Reminded
from market.recovery import retold, retold_at_ns, shadow_broken, shadow_cleared, took_effect
from market.rules import MarketRules
from market.segmentorders import PHASES, ordered
from market.segmentstate import Condition, Context, Intervals, SegmentState, Step, Waiting, moved
from market.suspension import began, long_asked
from market.transitions import Event
from market.tripping import condition_gone, condition_met, limit_ns, next_proposed
from market.units import NS_PER_MIN

__all__ = [
    "PHASES",
    "Condition",
    "Context",
    "Intervals",
    "SegmentState",
    "Step",
    "Waiting",
    "condition_gone",
    "condition_met",
    "limit_ns",
    "next_deadline_ns",
    "ordered",
    "outage_began",
    "outage_over",
    "outage_reached",
    "shadow_broken",
    "shadow_cleared",
    "ticked",
    "took_effect",
]


def outage_began(state: SegmentState, start_ns: int) -> Step:
    """An expected interval had no valid result (Art. 9(2)): NORMAL becomes DEGRADED; other phases keep their own reason."""
    if state.phase is Phase.PROPOSED and state.outage_start_ns is None:
        return replace(state, outage_start_ns=start_ns), ()
    if state.phase is not Phase.NORMAL:
        return state, ()
    return moved(replace(state, outage_start_ns=start_ns), Event.OUTAGE, Phase.DEGRADED)


def outage_over(state: SegmentState) -> Step:
    """The outage ended; a trip is not undone by it, nor a proposal that rests on something else."""
    if state.phase is Phase.PROPOSED:
        return replace(state, outage_start_ns=None), ()
    if state.phase is not Phase.DEGRADED:
        return state, ()
    return moved(replace(state, outage_start_ns=None), Event.RESULT_OK, Phase.NORMAL)


def outage_reached(state: SegmentState, start_ns: int, minutes: int, rules: MarketRules) -> Step:
    """The outage passed a reminder mark."""
    if state.phase is not Phase.DEGRADED:
        return state, ()
    left_min = max(0, rules.rt_limit_min - minutes)
    return state, (Reminded(segment=state.segment, outage_start_ns=start_ns, minutes=minutes, headroom_min=left_min),)


def ticked(state: SegmentState, now_ns: int, rules: MarketRules, *, held: bool = False) -> Step:
    """Time passed: a breaker becomes overdue, a suspension that was decided begins, a proposal escalates or returns.

    All that is due by now is done, so that a tick may come late, and a second one at the same instant does nothing.

    Args:
        held: automatic action is held (suspect clock): nothing becomes overdue by it, and no regime is proposed.
    """
    match state.phase:
        case Phase.NORMAL | Phase.DEGRADED | Phase.RESUMING:
            return next_proposed(state, now_ns)
        case Phase.PROPOSED:
            return _escalated(state, now_ns, rules)
        case Phase.TRIPPED:
            state, overdue = _overdue(state, now_ns, rules, held=held)
            state, told = retold(state, now_ns, rules)
            return state, (*overdue, *told)
        case _:
            state, told = retold(state, now_ns, rules)
            state, started = began(state, now_ns)
            state, asked = (state, ()) if held else long_asked(state, now_ns, rules)
            return state, (*told, *started, *asked)


def _overdue(state: SegmentState, now_ns: int, rules: MarketRules, *, held: bool) -> Step:
    if held or now_ns <= limit_ns(state, rules):
        return state, ()
    return moved(state, Event.OVER_72_H, Phase.OVERDUE)


def _escalation_ns(state: SegmentState, rules: MarketRules) -> int | None:
    """Return when the present proposal escalates; None where it has."""
    if state.escalated:
        return None
    assert state.proposed_at_ns is not None, "a proposal was made at an instant"
    return state.proposed_at_ns + rules.proposal_escalate_min * NS_PER_MIN


def _escalated(state: SegmentState, now_ns: int, rules: MarketRules) -> Step:
    at_ns = _escalation_ns(state, rules)
    if at_ns is None or now_ns < at_ns:
        return state, ()
    evidence = (f"no answer for {rules.proposal_escalate_min} min",)
    return replace(state, escalated=True), (FindingNoted(finding="PROPOSAL_UNANSWERED", article="policy 1.2", evidence=evidence),)


def next_deadline_ns(state: SegmentState, now_ns: int, rules: MarketRules) -> int | None:
    """Return the next instant after ``now_ns`` at which :func:`took_effect` or :func:`ticked` could do something, or None."""
    candidates = [state.effective_from_ns]
    match state.phase:
        case Phase.NORMAL | Phase.DEGRADED | Phase.RESUMING:
            candidates += [waiting.not_before_ns for waiting in state.waiting]
        case Phase.PROPOSED:
            candidates.append(_escalation_ns(state, rules))
        case Phase.TRIPPED:
            candidates += [limit_ns(state, rules) + 1, retold_at_ns(state, rules)]
        case Phase.OVERDUE:
            candidates += [state.suspended_from_ns, retold_at_ns(state, rules)]
        case Phase.SUSPENDED:
            candidates.append(state.long_due_ns)
        case _:
            pass
    return min((at for at in candidates if at is not None and at > now_ns), default=None)
