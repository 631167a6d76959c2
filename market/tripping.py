"""Proposals and trips: what a condition of Art. 23 does to a segment, and what ends a proposal without a trip (spec §6.2).

A condition that is met while another one is proposed waits its turn, and so does one that was rejected, for as long as it holds. One
that says more of the same thing (the day-ahead deadline has passed, where before it was only expected to) takes the other's place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from market.decisions import FindingNoted, Phase
from market.facts import Segment
from market.operatingdays import days_after, next_day
from market.rules import MarketRules, Mode
from market.segmentstate import OUT, Condition, Intervals, SegmentState, Step, Waiting, moved, unsuspended
from market.transitions import Event
from market.units import civil_day, day_start_ns, floor_ns

__all__ = ["condition_gone", "condition_met", "first_day", "limit_ns", "next_proposed", "others", "proposed", "trip", "unproposed"]

_INSTEAD_OF: Final[Mapping[str, str]] = {"DA_MISSED": "DA_EXPECTED", "TOPOLOGY_HARD": "TOPOLOGY_SOFT"}
"""Basis → the weaker one about the same thing, whose place it takes."""


def condition_met(state: SegmentState, condition: Condition, now_ns: int, rules: MarketRules, intervals: Intervals) -> Step:
    """A condition of Art. 23 holds: trip, or propose to trip, by the mode of its basis. While the market is out, it is only noted."""
    noted = FindingNoted(finding=condition.basis, article=condition.article, evidence=condition.evidence)
    if state.phase in OUT:
        # A day-ahead deadline that is missed in the shadow is a shadow result that failed.
        broken = replace(state, shadow_ok=0, shadow_told_ns=None) if condition.basis == "DA_MISSED" else state
        return broken, (noted,)
    if state.segment is Segment.DA and not condition.operating_day:
        condition = replace(condition, operating_day=first_day(now_ns, rules, intervals))
    mode: Mode = getattr(rules.modes, condition.basis, Mode.CONFIRM)
    if mode is Mode.AUTO and condition.auto_allowed:
        return trip(state, condition, now_ns, rules, intervals, event=Event.CONDITION_TRIPPED)
    if state.phase is not Phase.PROPOSED:
        return proposed(state, condition, now_ns)
    if state.basis == condition.basis:
        return state, (noted,)
    if state.basis == _INSTEAD_OF.get(condition.basis):
        return proposed(state, condition, now_ns)
    waiting = (*others(state, condition.basis), Waiting(condition=condition, not_before_ns=now_ns))
    return replace(state, waiting=waiting), (noted,)


def condition_gone(state: SegmentState, basis: str, why: str, now_ns: int, *, outage_start_ns: int | None) -> Step:
    """A condition no longer holds: what was proposed on it is withdrawn; a trip stands until a person recovers it."""
    state = replace(state, waiting=others(state, basis))
    if state.phase is not Phase.PROPOSED or state.basis != basis:
        return state, ()
    return unproposed(state, Event.EVIDENCE_WITHDRAWN, now_ns, outage_start_ns, evidence=(why,))


def others(state: SegmentState, basis: str) -> tuple[Waiting, ...]:
    """Return what waits, without what rests on ``basis`` or is weaker than it."""
    return tuple(waiting for waiting in state.waiting if waiting.condition.basis not in (basis, _INSTEAD_OF.get(basis)))


def proposed(state: SegmentState, condition: Condition, now_ns: int, *, event: Event = Event.CONDITION_PROPOSED, by: str = "") -> Step:
    """Propose to trip."""
    state = replace(state, condition=condition, proposed_at_ns=now_ns, escalated=False, waiting=others(state, condition.basis))
    return moved(state, event, Phase.PROPOSED, basis=condition.basis, article=condition.article, by=by, evidence=condition.evidence)


def unproposed(
    state: SegmentState, event: Event, now_ns: int, outage_start_ns: int | None, *, by: str = "", evidence: tuple[str, ...]
) -> Step:
    """End a proposal without a trip: back to a recovery that is still to take effect, else to what the outage says; and the next one."""
    if state.effective_from_ns is not None:
        after, state = Phase.RESUMING, replace(state, condition=state.trip, proposed_at_ns=None)
    else:
        after = Phase.NORMAL if outage_start_ns is None else Phase.DEGRADED
        state = replace(state, condition=None, proposed_at_ns=None, outage_start_ns=outage_start_ns)
    state, ended = moved(state, event, after, by=by, evidence=evidence)
    state, following = next_proposed(state, now_ns)
    return state, (*ended, *following)


def next_proposed(state: SegmentState, now_ns: int) -> Step:
    """Propose the first waiting condition whose time has come; only for a segment that is open to proposals."""
    due = next((waiting.condition for waiting in state.waiting if waiting.not_before_ns <= now_ns), None)
    return (state, ()) if due is None else proposed(state, due, now_ns)


def trip(
    state: SegmentState, condition: Condition, now_ns: int, rules: MarketRules, intervals: Intervals, *, event: Event, by: str = ""
) -> Step:
    """Trip now. A suspension that was to end goes on as a breaker, which is overdue where its 72 h are over."""
    if state.segment is Segment.DA:
        condition = replace(condition, operating_day=_first_day_out(condition.operating_day, now_ns, rules, intervals))
        first_ns = day_start_ns(condition.operating_day, rules.zone)
    else:
        containing_ns = floor_ns(now_ns, rules.rt_interval_ns)
        first_ns = containing_ns + rules.rt_interval_ns if intervals.served(containing_ns) else containing_ns
    # A recovery that has not taken effect yet ended nothing: prices and the 72 h go on as they were.
    if state.substituted_from_ns is not None:
        first_ns = state.substituted_from_ns
    tripped = replace(
        unsuspended(state),
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
    evidence = condition.evidence
    return moved(tripped, event, Phase.TRIPPED, basis=condition.basis, article=condition.article, by=by, evidence=evidence)


def first_day(now_ns: int, rules: MarketRules, intervals: Intervals) -> str:
    """Name the operating day a day-ahead trip begins with where nobody said: the next one, or the one after where that has its result."""
    day = next_day(now_ns, rules.zone)
    return days_after(day, 1) if intervals.served(day_start_ns(day, rules.zone)) else day


def _first_day_out(day: str, now_ns: int, rules: MarketRules, intervals: Intervals) -> str:
    """Name the first operating day a trip prices: one that is not over, nor has its result, as a proposal may have waited long."""
    today = civil_day(now_ns, rules.zone)
    if day > today:
        return day
    return first_day(now_ns, rules, intervals) if intervals.served(day_start_ns(today, rules.zone)) else today


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


def limit_ns(state: SegmentState, rules: MarketRules) -> int:
    """Return the last instant at which a breaker is not overdue."""
    assert state.limit_from_ns is not None, "only a breaker has a limit"
    return state.limit_from_ns + rules.breaker_max_ns
