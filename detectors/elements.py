"""What is known of one branch: the positions and flows at its two ends, and from when on it is certain that it is out of service.

States are values; a report makes the next one of the one before. Reports of one point come in the order they were true, so an older
one is a repeat and changes nothing; those of different points may overtake each other. What was overtaken by a report of its own point
says so (*history*): it corrects since when things have been as they are, and how often they moved, and never what they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from market.facts import FlowReported, PointQuality, SwitchReported, SwitchStatus, TripSignalled
from market.rules import MarketRules
from market.units import NS_PER_S

__all__ = ["ElementState", "EndFlow", "confirmed_ns", "with_flow", "with_history", "with_position", "with_trip"]

_CHATTER_WINDOW_NS: Final = 60 * NS_PER_S
_ENDS: Final = ("from", "to")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndFlow:
    """Loading at one end, % of rating, as last reported with GOOD quality at ``ts_source_ns``.

    Attributes:
        dead_since_ns: since when it has been below the dead threshold; None while it is not.
    """

    pct: float
    ts_source_ns: int
    dead_since_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementState:
    """One element that is, or recently was, not simply closed, good and carrying power.

    Attributes:
        ends: position of each end by name, as last reported with GOOD quality.
        unseen: ends whose latest report was not a good position, sorted.
        awaited: ends that have not told a good position yet since they were first heard of, sorted.
        since_ns: when the branch as a whole went out of, or back into, service.
        seen_ns: when an end that was unseen was last seen again.
        moves_ns: when the branch as a whole went out of or into service lately, for chattering.
        held_until_ns: until when its position is not believed because of them.
        flows: loading by end (``from``, ``to``).
        last_source_ns: source time of the latest position report of each end; older ones are ignored.
        said: (source time, open) of the good positions of each end lately, by source time, and one before.
        tripped_ns: when protection last said that it tripped the branch; None where it has not lately.
        bus_dead_ns: since when a bus at one of its ends has been without voltage; None while both live or are not known.
        spent: its present opening was counted already, or was there before anybody watched.
        found_open: it was there before anybody watched.
    """

    ends: dict[str, SwitchStatus] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()
    awaited: tuple[str, ...] = ()
    since_ns: int = 0
    seen_ns: int = 0
    moves_ns: tuple[int, ...] = ()
    held_until_ns: int = 0
    flows: dict[str, EndFlow] = field(default_factory=dict)
    last_source_ns: dict[str, int] = field(default_factory=dict)
    said: dict[str, tuple[tuple[int, bool], ...]] = field(default_factory=dict)
    tripped_ns: int | None = None
    bus_dead_ns: int | None = None
    spent: bool = False
    found_open: bool = False

    @property
    def open(self) -> bool:
        """Whether the branch is out of service: open at one end at least."""
        return SwitchStatus.OPEN in self.ends.values()

    @property
    def dead_since_ns(self) -> int | None:
        """Since when both ends have carried nothing; None while one of them does, or is not known."""
        since = [flow.dead_since_ns for end in _ENDS if (flow := self.flows.get(end)) is not None and flow.dead_since_ns is not None]
        return max(since) if len(since) == len(_ENDS) else None

    def quiet(self, now_ns: int, rules: MarketRules) -> bool:
        """Whether it is what a forgotten element is taken for.

        One end without flow is not: the other end's report may be on its way, and neither is told a second time.
        """
        moved = any(t > now_ns - _CHATTER_WINDOW_NS for t in self.moves_ns) or now_ns < self.held_until_ns
        # Its latest position is kept for as long as an older one could still be on its way.
        late = any(t > now_ns - rules.grace_ns for t in self.last_source_ns.values())
        late = late or (self.tripped_ns is not None and self.tripped_ns > now_ns - rules.grace_ns)
        half_dead = any(flow.dead_since_ns is not None for flow in self.flows.values())
        return not (self.open or self.unseen or self.awaited or half_dead or moved or late)


def confirmed_ns(state: ElementState, rules: MarketRules) -> int | None:
    """Return from when on it is certain that the element is lost, by what is known now, or None.

    Its position has been open and seen for the debounce time, it does not chatter, and something else says so too: both ends carry
    nothing, or a bus at one of its ends is dead, or protection tripped it.
    """
    if not state.open or state.unseen:
        return None
    debounce_ns = rules.breaker_debounce_s * NS_PER_S
    # A relay speaks just before its breaker moves, by another clock.
    tripped_ns = state.tripped_ns if state.tripped_ns is not None and state.tripped_ns >= state.since_ns - debounce_ns else None
    others = [at_ns for at_ns in (state.dead_since_ns, state.bus_dead_ns, tripped_ns) if at_ns is not None]
    if not others:
        return None
    return max(max(state.since_ns, state.seen_ns) + debounce_ns, min(others), state.held_until_ns)


def with_trip(state: ElementState, fact: TripSignalled) -> ElementState:
    """Take in what protection said; an older signal than the one known changes nothing."""
    if state.tripped_ns is not None and fact.ts_source_ns <= state.tripped_ns:
        return state
    return replace(state, tripped_ns=fact.ts_source_ns)


def with_position(state: ElementState, fact: SwitchReported, rules: MarketRules) -> ElementState:
    """Take in what a switch said; the same object where that was older than what is known."""
    if fact.ts_source_ns < state.last_source_ns.get(fact.end, 0):
        return state
    was_open = state.open
    good = fact.quality is PointQuality.GOOD and fact.status is not SwitchStatus.INTERMEDIATE
    awaited = fact.end in state.awaited or fact.initial
    seen_again = good and fact.end in state.unseen
    state = replace(
        state,
        ends={**state.ends, fact.end: fact.status} if good else state.ends,
        unseen=tuple(sorted(set(state.unseen) - {fact.end} if good else {*state.unseen, fact.end})),
        awaited=tuple(sorted({*state.awaited, fact.end} if awaited and not good else set(state.awaited) - {fact.end})),
        seen_ns=max(state.seen_ns, fact.ts_source_ns) if seen_again else state.seen_ns,
        last_source_ns={**state.last_source_ns, fact.end: fact.ts_source_ns},
        said=_said(state, fact) if good else state.said,
    )
    if state.open is was_open:
        return state
    now_ns = fact.ts_source_ns
    recent = (*(t for t in state.moves_ns if t > now_ns - _CHATTER_WINDOW_NS), now_ns)
    held_until_ns = state.held_until_ns
    if len(recent) >= rules.chatter_changes > 0:
        held_until_ns = max(held_until_ns, recent[-rules.chatter_changes] + _CHATTER_WINDOW_NS)
    return replace(state, since_ns=now_ns, moves_ns=recent, held_until_ns=held_until_ns)


def with_history(state: ElementState, fact: SwitchReported, rules: MarketRules) -> ElementState:
    """Take in what a switch was before its latest report; a position that was not good says nothing."""
    if fact.quality is not PointQuality.GOOD or fact.status is SwitchStatus.INTERMEDIATE:
        return state
    state = replace(state, said=_said(state, fact))
    moves_ns, opened = list[int](), False
    positions: dict[str, bool] = {}
    for at_ns, end, is_open in sorted((at_ns, end, is_open) for end, said in state.said.items() for at_ns, is_open in said):
        positions[end] = is_open
        if any(positions.values()) is not opened:
            opened = not opened
            moves_ns.append(at_ns)
    if opened is not state.open or not moves_ns:
        return state  # what made it what it is now is told next, or was told before anybody noted it
    held_until_ns = state.held_until_ns
    for earlier_ns, later_ns in zip(moves_ns, moves_ns[rules.chatter_changes - 1 :], strict=False):
        if later_ns - earlier_ns < _CHATTER_WINDOW_NS and rules.chatter_changes > 0:
            held_until_ns = max(held_until_ns, earlier_ns + _CHATTER_WINDOW_NS)
    recent = tuple(t for t in moves_ns if t > moves_ns[-1] - _CHATTER_WINDOW_NS)
    return replace(state, since_ns=moves_ns[-1], moves_ns=recent, held_until_ns=held_until_ns)


def _said(state: ElementState, fact: SwitchReported) -> dict[str, tuple[tuple[int, bool], ...]]:
    """Return what was said lately, with one good position more."""
    said = sorted({*state.said.get(fact.end, ()), (fact.ts_source_ns, fact.status is SwitchStatus.OPEN)})
    from_ns = said[-1][0] - _CHATTER_WINDOW_NS
    recent = sum(at_ns > from_ns for at_ns, _ in said)
    return {**state.said, fact.end: tuple(said[-recent - 1 :])}


def with_flow(state: ElementState, fact: FlowReported, rules: MarketRules) -> ElementState:
    """Take in what the meters at one or both ends said; a value that is not GOOD says nothing of its end any more.

    History decides nothing: an end that was alive in between was so before the opening was certain, or after it, and either way the
    confirmation stays where it is.
    """
    if fact.history:
        return state
    flows = dict(state.flows)
    for end, pct in (("from", fact.from_pct), ("to", fact.to_pct)):
        before = flows.get(end)
        if pct is None or (before is not None and fact.ts_source_ns < before.ts_source_ns):
            continue
        if fact.quality is not PointQuality.GOOD:
            flows.pop(end, None)
            continue
        since_ns = None
        if abs(pct) < rules.dead_flow_pct:
            was_dead_ns = None if before is None else before.dead_since_ns
            since_ns = fact.ts_source_ns if was_dead_ns is None else was_dead_ns
        flows[end] = EndFlow(pct=abs(pct), ts_source_ns=fact.ts_source_ns, dead_since_ns=since_ns)
    return replace(state, flows=flows)
