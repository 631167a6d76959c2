"""The market breaker's processor: facts in, decisions, prices and views out.

``step(state, fact, rules, grid)`` is the whole of it: a pure fold that composes the detectors, the segment machines and the price
book, numbers and chains what they decide, and derives the view that people see. Run over the same facts it gives the same bytes;
that is what replay, drills and the restart test rely on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from detectors import failed_clearing, switchover, topology_change
from detectors.findings import (
    Basis,
    ConditionGone,
    ConditionMet,
    Finding,
    IntervalUnserved,
    Noted,
    OutageBegan,
    OutageOver,
    OutageReached,
    ResultAccepted,
)
from market import reclear, regimes, segment
from market.decisions import (
    GENESIS,
    AnomalyNoted,
    ClearingOrdered,
    Decision,
    DecisionBody,
    FindingNoted,
    OutageEnded,
    Refused,
    ResultRevised,
    chained,
    out_of_force,
)
from market.facts import (
    ClearedAgain,
    ClearingReported,
    ClearingStatus,
    ClockCompared,
    CommandGiven,
    DayAheadExpected,
    Fact,
    RunType,
    Segment,
    SourceReported,
    Ticked,
)
from market.prices import PriceInForce, Regime
from market.rules import MarketRules
from market.topology import Topology
from market.units import NS_PER_S
from market.view import MarketView, SegmentView

__all__ = ["BreakerState", "Effect", "begin", "decode_state", "encode_state", "next_deadline_ns", "step", "view"]

Effect = Decision | PriceInForce | reclear.ClearAgain
Grid = Topology

_COMMANDS_REMEMBERED: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerState:
    """Everything the breaker remembers; what the table keeps across a restart.

    Attributes:
        v: schema version of this record.
        offset: offset of the last fact taken in, so that one delivered again is not taken in twice; -1 before the first.
        now_ns: latest event time seen.
        seq, prev_hash: the end of the audit chain.
        commands: ids of recent commands, so that one sent twice is carried out once.
        answered: ids of recent orders to clear again whose answer was taken in, likewise.
        expected: what was last said of the day-ahead run that goes on; shown, and moves nothing.
        clock_suspect: the machine's clocks disagree; nothing acts by itself.
    """

    v: int = 2
    offset: int = -1
    now_ns: int
    seq: int = 0
    prev_hash: str = GENESIS
    watch: failed_clearing.ClearingWatch
    topology: topology_change.TopologyWatch = field(default_factory=topology_change.TopologyWatch)
    control: switchover.ControlWatch = field(default_factory=switchover.ControlWatch)
    rt: segment.SegmentState = field(default_factory=lambda: segment.SegmentState(segment=Segment.RT))
    da: segment.SegmentState = field(default_factory=lambda: segment.SegmentState(segment=Segment.DA))
    book: regimes.PriceBook
    commands: tuple[str, ...] = ()
    clock_suspect: bool = False
    answered: tuple[str, ...] = ()
    expected: DayAheadExpected | None = None


_STATE: Final = msgspec.json.Decoder(BreakerState)


def encode_state(state: BreakerState) -> bytes:
    """Write the state for the table."""
    return msgspec.json.encode(state)


def decode_state(raw: bytes) -> BreakerState:
    """Read back what :func:`encode_state` wrote.

    Raises:
        msgspec.DecodeError: not a breaker state: an invariant is broken, and the worker must not go on.
    """
    return _STATE.decode(raw)


def begin(ts_ns: int, rules: MarketRules) -> BreakerState:
    """Return the state of a breaker that starts to watch at ``ts_ns``."""
    return BreakerState(now_ns=ts_ns, watch=failed_clearing.watch_from(ts_ns, rules), book=regimes.book_from(ts_ns, rules))


def step(state: BreakerState, fact: Fact, rules: MarketRules, grid: Grid) -> tuple[BreakerState, tuple[Effect, ...]]:
    """Take in one fact.

    Args:
        state: what is remembered.
        fact: the next fact, in the order of the topic.
        rules: the rule set in force.
        grid: the network model of the detectors.

    Returns:
        The new state, and the effects in order: decisions chained one to the other, then orders to clear again, then prices.
    """
    state = replace(state, now_ns=max(state.now_ns, fact.ts_event_ns))
    bodies: list[DecisionBody] = []
    orders: tuple[reclear.ClearAgain, ...] = ()
    revised: tuple[PriceInForce, ...] = ()
    before = state.rt
    # First of all, so that what is found at this instant meets the market as the notice of its recovery said it would be.
    state = _took_effect(state, rules, bodies)
    match fact:
        case ClockCompared():
            state = _clock_compared(state, fact, rules, bodies)
        case SourceReported(name="clearing", up=up) if up is state.watch.blind:
            bodies.append(_flagged("BLIND", raised=not up))
        case CommandGiven(action=reclear.ACTION):
            state, orders = _ordered_again(state, fact, rules, bodies)
        case CommandGiven():
            state = _commanded(state, fact, rules, bodies)
        case ClearedAgain():
            state, revised = _cleared_again(state, fact, rules, bodies)
        case DayAheadExpected():
            state = replace(state, expected=fact)
        case ClearingReported(run_type=RunType.PRODUCTION):
            state = _cleared(state, fact, rules)
        case _:
            pass
    state = _detected(state, fact, rules, grid, bodies)
    if isinstance(fact, Ticked):
        state = _rt(state, segment.ticked(state.rt, state.now_ns, rules, held=state.clock_suspect), bodies)
    book, prices = regimes.priced(state.book, state.now_ns, rules, substituted=_substituted(before, state.rt))
    state = replace(state, book=book)
    decisions: list[Decision] = []
    for body in bodies:
        decision = chained(body, seq=state.seq + 1, ts_event_ns=state.now_ns, rule_set=rules.id, prev_hash=state.prev_hash)
        state = replace(state, seq=decision.seq, prev_hash=decision.hash)
        decisions.append(decision)
    return state, (*decisions, *orders, *revised, *prices)


def next_deadline_ns(state: BreakerState, rules: MarketRules) -> int:
    """Return the next instant, after the state's own time, at which a tick could change something; the shell sends one then."""
    now_ns = state.now_ns
    deadlines = (
        failed_clearing.next_deadline_ns(state.watch, now_ns, rules),
        topology_change.next_deadline_ns(state.topology, now_ns, rules),
        switchover.next_deadline_ns(state.control, now_ns, rules),
        segment.next_deadline_ns(state.rt, now_ns, rules),
        regimes.next_deadline_ns(state.book, now_ns, rules),
    )
    return min(deadline for deadline in deadlines if deadline is not None)


def view(state: BreakerState, rules: MarketRules) -> MarketView:
    """Derive what people see at the state's own time."""
    headroom_ns = 0 if _out(state) else failed_clearing.headroom_ns(state.watch, state.now_ns, rules)
    flags = ("BLIND",) * state.watch.blind + ("CLOCK_SUSPECT",) * state.clock_suspect
    rt = _segment_view(state.rt, None if headroom_ns is None else headroom_ns / NS_PER_S, len(state.watch.unserved), flags)
    current = state.book.current
    return MarketView(
        ts_event_ns=state.now_ns,
        segments=(rt, _day_ahead_view(state)),
        last_valid_at_ns=state.watch.last_valid_at_ns,
        regime=current.regime if current else Regime.GAP,
        price_cny_per_mwh=current.price_cny_per_mwh if current else None,
        price_interval_ns=current.interval_start_ns if current else None,
        rule_set=rules.id,
        rt_limit_s=rules.rt_limit_ns // NS_PER_S,
        rt_interval_s=rules.rt_interval_ns // NS_PER_S,
    )


def _segment_view(state: segment.SegmentState, headroom_s: float | None, failed: int, flags: tuple[str, ...]) -> SegmentView:
    return SegmentView(
        segment=state.segment,
        phase=state.phase,
        version=state.version,
        basis=state.condition.basis if state.condition else "",
        outage_start_ns=state.outage_start_ns,
        headroom_s=headroom_s,
        condition_met_at_ns=state.condition.met_at_ns if state.condition else None,
        tripped_at_ns=state.tripped_at_ns,
        effective_from_ns=state.effective_from_ns,
        failed_intervals=failed,
        shadow_ok=state.shadow_ok,
        flags=flags,
    )


def _day_ahead_view(state: BreakerState) -> SegmentView:
    shown, said = _segment_view(state.da, None, 0, ()), state.expected
    if said is None:
        return shown
    return replace(shown, expected_p50_ns=said.p50_ns, expected_p90_ns=said.p90_ns, outlook=str(said.outlook or ""))


def _out(state: BreakerState) -> bool:
    """Whether the breaker sets the prices."""
    return out_of_force(state.rt.phase, state.rt.effective_from_ns)


def _substituted(before: segment.SegmentState, after: segment.SegmentState) -> tuple[regimes.Substituted, ...]:
    """Return the intervals that the breaker prices, those of a recovery that took effect in this very step among them."""
    ranges = {(rt.substituted_from_ns, rt.effective_from_ns) for rt in (before, after) if rt is after or rt.effective_from_ns is not None}
    return tuple((from_ns, to_ns) for from_ns, to_ns in ranges if from_ns is not None)


def _intervals(state: BreakerState) -> segment.Intervals:
    return segment.Intervals(
        served=state.watch.has_result,
        day_ahead=lambda start_ns: regimes.day_ahead_at(state.book, start_ns) is not None,
    )


def _rt(state: BreakerState, result: segment.Step, bodies: list[DecisionBody]) -> BreakerState:
    rt, said = result
    bodies.extend(said)
    return replace(state, rt=rt)


_FLAGS: Final = {
    "BLIND": ("the clearing results are not seen; nothing trips by itself", "the clearing results are seen again"),
    "CLOCK_SUSPECT": ("wall clock and monotonic clock disagree; nothing trips by itself", "wall clock and monotonic clock agree again"),
}
"""Flag that holds automatic trips → what is said when it is raised, and when it is taken down."""


def _flagged(flag: str, *, raised: bool) -> FindingNoted:
    begun, over = _FLAGS[flag]
    return FindingNoted(finding=flag if raised else f"{flag}_OVER", article="policy 1.2", evidence=(begun if raised else over,))


def _clock_compared(state: BreakerState, fact: ClockCompared, rules: MarketRules, bodies: list[DecisionBody]) -> BreakerState:
    suspect = abs(fact.wall_s - fact.monotonic_s) > rules.clock_jump_s
    if suspect is not state.clock_suspect:
        bodies.append(_flagged("CLOCK_SUSPECT", raised=suspect))
    return replace(state, clock_suspect=suspect)


def _took_effect(state: BreakerState, rules: MarketRules, bodies: list[DecisionBody]) -> BreakerState:
    effective_ns = state.rt.effective_from_ns
    state = _rt(state, segment.took_effect(state.rt, state.now_ns, rules), bodies)
    if effective_ns is None or state.rt.effective_from_ns is not None:
        return state
    conditions = (state.rt.condition, *(waiting.condition for waiting in state.rt.waiting))
    if any(condition is not None and condition.basis == Basis.RT_120 for condition in conditions):
        # What is proposed rests on the outage that runs; it goes on.
        return state
    return replace(state, watch=failed_clearing.restarted(state.watch, effective_ns))


def _cleared(state: BreakerState, fact: ClearingReported, rules: MarketRules) -> BreakerState:
    """Take in what a production run says to the prices and to the row of shadow clearings; the detector has its own opinion."""
    ok = fact.status is ClearingStatus.OK
    if fact.segment is Segment.DA:
        if state.expected is not None and state.expected.interval_start_ns == fact.interval_start_ns:
            state = replace(state, expected=None)
        if not ok:
            return state
        book = regimes.with_day_ahead(state.book, fact.interval_start_ns, fact.price_cny_per_mwh, fact.version, rules)
        return replace(state, book=book)
    # A failure of an interval that was judged, or has a result, is an old story or an attempt that was made good.
    news = fact.interval_start_ns >= state.watch.next_start_ns and not state.watch.has_result(fact.interval_start_ns)
    return state if ok or not news else replace(state, rt=segment.shadow_broken(state.rt))


def _commanded(state: BreakerState, command: CommandGiven, rules: MarketRules, bodies: list[DecisionBody]) -> BreakerState:
    if command.command_id in state.commands:
        return state
    state = replace(state, commands=(*state.commands, command.command_id)[-_COMMANDS_REMEMBERED:])
    command = replace(command, ts_event_ns=state.now_ns)
    result = segment.commanded(
        state.rt,
        command,
        rules,
        _intervals(state),
        outage_start_ns=state.watch.outage_start_ns,
        still_open=topology_change.still_open(state.topology),
    )
    return _rt(state, result, bodies)


def _ordered_again(
    state: BreakerState, command: CommandGiven, rules: MarketRules, bodies: list[DecisionBody]
) -> tuple[BreakerState, tuple[reclear.ClearAgain, ...]]:
    """Pass on an order to clear an interval again, or refuse it; the market's phase has no part in it."""
    if command.command_id in state.commands:
        return state, ()
    state = replace(state, commands=(*state.commands, command.command_id)[-_COMMANDS_REMEMBERED:])
    order = reclear.judged(command, state.now_ns, rules)
    if isinstance(order, Refused):
        bodies.append(order)
        return state, ()
    bodies.append(
        ClearingOrdered(
            segment=Segment.RT,
            interval_start_ns=order.interval_start_ns,
            command_id=order.command_id,
            by=order.by,
            role=order.role,
            reason=order.reason,
            approvals=order.approvals,
        )
    )
    return state, (order,)


def _cleared_again(
    state: BreakerState, fact: ClearedAgain, rules: MarketRules, bodies: list[DecisionBody]
) -> tuple[BreakerState, tuple[PriceInForce, ...]]:
    """Take in what came of an order to clear again: a refusal, or a result that revises the price of its interval."""
    if fact.command_id in state.answered:
        return state, ()
    state = replace(state, answered=(*state.answered, fact.command_id)[-_COMMANDS_REMEMBERED:])
    if fact.failure or fact.price_cny_per_mwh is None:
        why = f"{fact.failure}: {fact.detail}"
        who = {"command_id": fact.command_id, "by": fact.by, "role": fact.role}
        bodies.append(Refused(**who, action=reclear.ACTION, rule=reclear.ARTICLE, why=why))
        return state, ()
    book, prices = regimes.cleared_again(state.book, state.now_ns, fact.interval_start_ns, fact.price_cny_per_mwh, fact.version, rules)
    bodies.append(
        ResultRevised(
            segment=Segment.RT,
            interval_start_ns=fact.interval_start_ns,
            version=fact.version,
            command_id=fact.command_id,
            by=fact.by,
            role=fact.role,
            reason=fact.why,
            approvals=fact.approvals,
            corrected=fact.corrected,
            hashes=fact.hashes,
            hashes_before=fact.hashes_before,
            price_cny_per_mwh=fact.price_cny_per_mwh,
            price_before_cny_per_mwh=fact.price_before_cny_per_mwh,
            price_rev=prices[0].rev if prices else None,
        )
    )
    return replace(state, book=book), prices


def _detected(state: BreakerState, fact: Fact, rules: MarketRules, grid: Grid, bodies: list[DecisionBody]) -> BreakerState:
    """Let every detector see the fact, and the segment machine every finding."""
    held = state.clock_suspect
    watch, on_clearing = failed_clearing.observe(state.watch, fact, rules, held=held)
    topology, on_topology = topology_change.observe(state.topology, fact, rules, grid, held=held)
    control, on_control = switchover.observe(state.control, fact, rules, held=held)
    state = replace(state, watch=watch, topology=topology, control=control)
    for finding in (*on_clearing, *on_topology, *on_control):
        state = _found(state, finding, rules, bodies)
    return state


def _found(state: BreakerState, finding: Finding, rules: MarketRules, bodies: list[DecisionBody]) -> BreakerState:
    match finding:
        case OutageBegan(start_ns=start_ns):
            return _rt(state, segment.outage_began(state.rt, start_ns), bodies)
        case IntervalUnserved(interval_start_ns=start_ns):
            if _out(state):
                return replace(state, rt=segment.shadow_broken(state.rt))
            bodies.append(AnomalyNoted(segment=Segment.RT, interval_start_ns=start_ns, how=finding.how, reason=finding.reason))
            return state
        case OutageReached(start_ns=start_ns, minutes=minutes):
            return _rt(state, segment.outage_reached(state.rt, start_ns, minutes, rules), bodies)
        case OutageOver():
            return _outage_over(state, finding, bodies)
        case ResultAccepted(interval_start_ns=start_ns, completed_at_ns=completed_at_ns):
            state = replace(
                state,
                book=regimes.with_result(state.book, start_ns, finding.price_cny_per_mwh, finding.version, doubted=finding.under_review),
            )
            return _rt(state, segment.shadow_cleared(state.rt, start_ns, completed_at_ns, state.now_ns, rules), bodies)
        case ConditionMet(segment=Segment.DA) | ConditionMet(basis=Basis.TOPOLOGY_SOFT):
            return state  # taken in by the composition of both segments
        case ConditionGone(segment=Segment.DA) | ConditionGone(basis=Basis.TOPOLOGY_SOFT):
            return state
        case ConditionMet():
            condition = segment.Condition(
                basis=finding.basis,
                met_at_ns=finding.met_at_ns,
                article=finding.article,
                evidence=finding.evidence,
                # Blind to the clearings, whatever is found is for a person to judge.
                auto_allowed=finding.auto_allowed and not state.watch.blind,
                details=dict(finding.details),
            )
            return _rt(state, segment.condition_met(state.rt, condition, state.now_ns, rules, _intervals(state)), bodies)
        case ConditionGone(basis=basis, why=why):
            outage_start_ns = state.watch.outage_start_ns
            return _rt(state, segment.condition_gone(state.rt, basis, why, state.now_ns, outage_start_ns=outage_start_ns), bodies)
        case Noted():
            bodies.append(FindingNoted(finding=finding.what, article=finding.article, evidence=finding.evidence))
            return state


def _outage_over(state: BreakerState, over: OutageOver, bodies: list[DecisionBody]) -> BreakerState:
    if not _out(state):
        bodies.append(
            OutageEnded(
                segment=Segment.RT,
                outage_start_ns=over.start_ns,
                outage_end_ns=over.end_ns,
                failed_intervals=over.unserved,
                by_calendar=over.by_calendar,
                next_start_ns=over.next_start_ns,
            )
        )
    why = "the market closed by its calendar" if over.by_calendar else "a valid result ended the outage"
    state = _rt(state, segment.condition_gone(state.rt, Basis.RT_120, why, state.now_ns, outage_start_ns=None), bodies)
    return _rt(state, segment.outage_over(state.rt), bodies)
