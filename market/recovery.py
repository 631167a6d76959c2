"""The way back: shadow results, the recovery of a breaker by dispatch (Art. 29), and the instant at which it takes effect.

Recovery is never automatic. Enough valid shadow results in a row propose it; a person orders it; prices return to the market at the
first boundary of its intervals that leaves the participants their notice.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from market.decisions import Phase, RecoveryProposed
from market.facts import Segment
from market.operatingdays import boundary_from_ns
from market.rules import MarketRules
from market.segmentstate import OUT, SegmentState, Step, moved, unsuspended
from market.transitions import Event
from market.units import NS_PER_H, floor_ns

__all__ = [
    "RECOVERABLE",
    "boundary_ns",
    "effective",
    "retold",
    "retold_at_ns",
    "shadow_broken",
    "shadow_cleared",
    "shadow_needed",
    "took_effect",
]

RECOVERABLE: Final = (Phase.TRIPPED, Phase.OVERDUE)
"""Phases that dispatch alone may end (Art. 29)."""


def shadow_needed(state: SegmentState, rules: MarketRules) -> int:
    """Return how many valid shadow results in a row a recovery needs."""
    return rules.day_ahead.shadow_ok if state.segment is Segment.DA else rules.shadow_ok


def shadow_cleared(state: SegmentState, start_ns: int, completed_at_ns: int, now_ns: int, rules: MarketRules) -> Step:
    """An interval was cleared while the market is out: it prices nothing, but enough in a row let a person recover it (Art. 29).

    Each interval counts once, and only with a result that was made since the trip.
    """
    if state.phase not in OUT:
        return state, ()
    assert state.tripped_at_ns is not None, "what is out was tripped"
    if start_ns <= state.shadow_start_ns or completed_at_ns <= state.tripped_at_ns:
        return state, ()
    return retold(replace(state, shadow_ok=state.shadow_ok + 1, shadow_start_ns=start_ns), now_ns, rules)


def shadow_broken(state: SegmentState) -> SegmentState:
    """An interval was not cleared while the market is out: the row begins anew, and so does its being told."""
    return replace(state, shadow_ok=0, shadow_told_ns=None) if state.phase in OUT else state


def retold(state: SegmentState, now_ns: int, rules: MarketRules) -> Step:
    """Propose a recovery that is possible, and again while nobody orders it (GD-29-3)."""
    at_ns = retold_at_ns(state, rules)
    if at_ns is None or now_ns < at_ns:
        return state, ()
    return replace(state, shadow_told_ns=now_ns), (RecoveryProposed(segment=state.segment, shadow_ok=state.shadow_ok),)


def retold_at_ns(state: SegmentState, rules: MarketRules) -> int | None:
    """Return from when the recovery of a breaker is to be proposed, 0 where at once; None where it is not possible."""
    if state.suspended_from_ns is not None or state.shadow_ok < shadow_needed(state, rules):
        return None
    return 0 if state.shadow_told_ns is None else state.shadow_told_ns + rules.recovery_remind_h * NS_PER_H


def boundary_ns(state: SegmentState, ns: int, rules: MarketRules) -> int:
    """Return the first start of an interval (DA: of an operating day) at or after an instant."""
    if state.segment is Segment.DA:
        return boundary_from_ns(ns, rules.zone)
    return floor_ns(ns + rules.rt_interval_ns - 1, rules.rt_interval_ns)


def effective(state: SegmentState, event: Event, effective_ns: int, *, by: str, evidence: tuple[str, ...] = ()) -> Step:
    """Announce that the market is back from ``effective_ns`` on."""
    return moved(replace(state, effective_from_ns=effective_ns), event, Phase.RESUMING, by=by, evidence=evidence)


def took_effect(state: SegmentState, now_ns: int, rules: MarketRules) -> Step:
    """A recovery takes effect at its instant, whether or not something else is proposed by then."""
    effective_ns = state.effective_from_ns
    if effective_ns is None or now_ns < effective_ns:
        return state, ()
    fresh = replace(
        unsuspended(state),
        tripped_at_ns=None,
        effective_from_ns=None,
        substituted_from_ns=None,
        ended_ns=effective_ns,
    )
    article = "Art. 29" if state.suspended_from_ns is None else "Art. 30"
    if state.phase is Phase.RESUMING:
        return moved(replace(fresh, outage_start_ns=None, condition=None), Event.EFFECTIVE, Phase.NORMAL, article=article)
    return moved(fresh, Event.EFFECTIVE, state.phase, article=article)
