"""The market breaker's processor: facts in, decisions, prices and views out.

``step(state, fact, rules, grid)`` is the whole of it: a pure fold that composes the detectors, the segment machines, those who follow
what is decided (notices, duties, cases) and the price book, and that numbers and chains the decisions. Run over the same facts it
gives the same bytes; that is what replay, drills and the restart test rely on.

What is remembered stands in :mod:`streams.breakerstate`, a step under way in :mod:`streams.turn`, what becomes of orders in
:mod:`streams.orders`, what people see in :mod:`streams.breakerview`.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from detectors import day_ahead, failed_clearing, situations, switchover, topology_change
from detectors.findings import (
    Basis,
    ConditionGone,
    ConditionMet,
    DayAheadAccepted,
    Finding,
    IntervalUnserved,
    Noted,
    OutageBegan,
    OutageOver,
    OutageReached,
    ResultAccepted,
)
from market import casebook, dayaheadrecords, duties, notices, pricebook, publishing, reclear, segment, spot
from market.caserecord import running
from market.commands import refused
from market.decisions import AnomalyNoted, Decision, FindingNoted, OutageEnded, Phase, Refused, ResultRevised, chained
from market.facts import (
    ClearedAgain,
    ClearingReported,
    ClearingStatus,
    ClockCompared,
    CommandGiven,
    DayAheadExpected,
    EstimateSource,
    Fact,
    RunType,
    Segment,
    SourceReported,
    Ticked,
    WarningReported,
)
from market.prices import PriceInForce
from market.rulebook import RulesInForce
from market.topology import Topology
from market.units import NS_PER_H, civil_day, instant_text
from streams.breakerstate import BreakerState, at_offset, begin, decode_state, encode_state
from streams.breakerview import view
from streams.interruptions import interruptions
from streams.orders import Deeds, ordered
from streams.tobodies import put_results
from streams.turn import Turn, out, rules_of

__all__ = [
    "AHEAD_MAX_NS",
    "BreakerState",
    "Effect",
    "Grid",
    "at_offset",
    "begin",
    "decode_state",
    "encode_state",
    "next_deadline_ns",
    "step",
    "told_first",
    "view",
]

Effect = Decision | PriceInForce | reclear.ClearAgain
Grid = Topology

_ANSWERS_REMEMBERED: Final = 64
_SEGMENTS: Final = tuple(Segment)

AHEAD_MAX_NS: Final = 6 * NS_PER_H
"""What is dated further ahead of all that is known is no news but a wrong clock.

While the service runs, time is told every minute or so, and no fact is dated by more than that ahead of it: what lies ahead (an estimate, a
permit, the interval of a result) is what a fact is about, not when it happened. Only a stop leaves a gap, for what was read meanwhile is
told when it ends. Six hours bridge a short one, and are less than a clock is off that is set to another zone (eight hours from UTC).
After a longer stop time is told before anything else (:func:`told_first`).
"""


def step(state: BreakerState, fact: Fact, rules: RulesInForce, grid: Topology) -> tuple[BreakerState, tuple[Effect, ...]]:
    """Take in one fact.

    Args:
        state: what is remembered.
        fact: the next fact, in the order of the topic.
        rules: the rule sets, by the instant they hold from.
        grid: the network model.

    Returns:
        The new state, and the effects in order: decisions chained one to the other, then orders to clear again, then prices.
    """
    if fact.ts_event_ns - state.now_ns > AHEAD_MAX_NS and not isinstance(fact, Ticked | ClockCompared):
        return _from_the_future(Turn(state, rules, grid), fact)
    before = (state.rt, state.da)
    turn = Turn(replace(state, now_ns=max(state.now_ns, fact.ts_event_ns)), rules, grid)
    # First of all, so that what is found at this instant meets the market as the notice of its recovery said it would be.
    _took_effect(turn)
    revised: tuple[PriceInForce, ...] = ()
    deeds = Deeds(_taken)
    match fact:
        case CommandGiven():
            ordered(turn, fact, deeds)
        case ClearedAgain():
            revised = _cleared_again(turn, fact)
        case _:
            _taken(turn, fact)
    if isinstance(fact, Ticked):
        _ticked(turn)
    prices = _priced(turn, before)
    if turn.state.book.waiting is not state.book.waiting:
        put_results(turn, state.book.waiting)
    decisions = _chained(turn)
    return turn.state, (*decisions, *deeds.again, *revised, *prices)


def told_first(known_ns: int | None, now_ns: int) -> tuple[Ticked, ...]:
    """Return what a service must tell its breaker before anything else when it starts again: what time it is, after a long stop.

    Args:
        known_ns: event time the breaker has come to; None where it begins.
        now_ns: the time it is.
    """
    return (Ticked(ts_event_ns=now_ns),) if known_ns is not None and now_ns - known_ns > AHEAD_MAX_NS else ()


def _from_the_future(turn: Turn, fact: Fact) -> tuple[BreakerState, tuple[Effect, ...]]:
    """Refuse a fact that is dated far ahead of all that is known: taken in, it would carry every clock of the market with it."""
    zone = turn.rules().zone
    at, now = instant_text(fact.ts_event_ns, zone), instant_text(turn.now_ns, zone)
    why = f"it is dated {at}, and the latest that is known is of {now}; set the clock of who told it right, and tell it anew"
    if isinstance(fact, CommandGiven):
        turn.say(refused(fact, "policy 1.2", why))
    else:
        turn.say(FindingNoted(finding="FROM_THE_FUTURE", article="policy 1.2", evidence=(type(fact).__name__, why)))
    decisions = _chained(turn)
    return turn.state, decisions


def _priced(turn: Turn, before: tuple[segment.SegmentState, segment.SegmentState]) -> tuple[PriceInForce, ...]:
    state = turn.state
    outages = interruptions(before, (state.rt, state.da), state.interrupted_from_ns)
    if outages.began_ns != state.interrupted_from_ns:
        turn.state = state = replace(state, interrupted_from_ns=outages.began_ns)
    rules = turn.rules(Segment.RT)
    book, prices = pricebook.priced(state.book, state.now_ns, rules, outages)
    book, beside = dayaheadrecords.beside(book, prices, state.now_ns, rules, outages)
    book, said = publishing.published(book, state.now_ns, rules, outages)
    if book is not state.book:
        turn.state = replace(state, book=book)
    if said:
        turn.say(*said)
    return (*prices, *beside)


def _chained(turn: Turn) -> tuple[Decision, ...]:
    """Number what was decided and chain it to what was decided before."""
    if not turn.bodies:
        return ()
    seq, prev_hash, decisions = turn.state.seq, turn.state.prev_hash, list[Decision]()
    for body, rule_set in turn.bodies:
        decision = chained(body, seq=seq + 1, ts_event_ns=turn.now_ns, rule_set=rule_set, prev_hash=prev_hash)
        seq, prev_hash = decision.seq, decision.hash
        decisions.append(decision)
    turn.state = replace(turn.state, seq=seq, prev_hash=prev_hash)
    return tuple(decisions)


def next_deadline_ns(state: BreakerState, rules: RulesInForce) -> int:
    """Return the next instant, after the state's own time, at which a tick could change something; the shell sends one then."""
    now_ns = state.now_ns
    rt_rules, da_rules, now_rules = rules_of(state, rules)
    deadlines = (
        failed_clearing.next_deadline_ns(state.watch, now_ns, rt_rules),
        day_ahead.next_deadline_ns(state.days, now_ns, da_rules),
        topology_change.next_deadline_ns(state.topology, now_ns, now_rules),
        switchover.next_deadline_ns(state.control, now_ns, now_rules),
        situations.next_deadline_ns(state.sessions, now_ns, now_rules),
        segment.next_deadline_ns(state.rt, now_ns, rt_rules),
        segment.next_deadline_ns(state.da, now_ns, da_rules),
        duties.next_deadline_ns(state.duties, now_ns, now_rules),
        notices.next_deadline_ns(state.notices, now_ns, now_rules),
        pricebook.next_deadline_ns(state.book, now_ns, rt_rules),
    )
    return min(deadline for deadline in deadlines if deadline is not None)


def _taken(turn: Turn, fact: Fact) -> None:
    """Take in a fact that is no order, whether it was reported or follows from one."""
    match fact:
        case ClockCompared():
            _clock_compared(turn, fact)
        case SourceReported(name="clearing", up=up) if up is turn.state.watch.blind:
            turn.say(_flagged("BLIND", raised=not up))
        case DayAheadExpected(source=EstimateSource.STATISTICAL):
            turn.state = replace(turn.state, expected=fact)
        case WarningReported():
            _warned(turn, fact)
        case ClearingReported(run_type=RunType.PRODUCTION):
            _cleared(turn, fact)
        case _:
            pass
    _detected(turn, fact)


def _took_effect(turn: Turn) -> None:
    effective_ns = turn.state.rt.effective_from_ns
    if effective_ns is None and turn.state.da.effective_from_ns is None:
        return
    for which in _SEGMENTS:
        turn.moved(segment.took_effect(turn.segment(which), turn.now_ns, turn.rules(which)))
    rt = turn.state.rt
    if effective_ns is None or rt.effective_from_ns is not None:
        return
    conditions = (rt.condition, *(waiting.condition for waiting in rt.waiting))
    if any(condition is not None and condition.basis == Basis.RT_120 for condition in conditions):
        # What is proposed rests on the outage that runs; it goes on.
        return
    turn.state = replace(turn.state, watch=failed_clearing.restarted(turn.state.watch, effective_ns))


def _ticked(turn: Turn) -> None:
    """Let every clock see the time."""
    now_ns, held = turn.now_ns, turn.state.clock_suspect
    for which in _SEGMENTS:
        turn.moved(segment.ticked(turn.segment(which), now_ns, turn.rules(which), held=held))
    rules = turn.rules()
    ledger, said = duties.ticked(turn.state.duties, now_ns, rules)
    if ledger is not turn.state.duties:
        turn.state = replace(turn.state, duties=ledger)
    if said:
        turn.say(*said)
    board, said = notices.ticked(turn.state.notices, now_ns, rules)
    if board is not turn.state.notices:
        turn.state = replace(turn.state, notices=board)
    if said:
        turn.say(*said)


_FLAGS: Final = {
    "BLIND": ("the clearing results are not seen; nothing trips by itself", "the clearing results are seen again"),
    "CLOCK_SUSPECT": ("wall clock and monotonic clock disagree; nothing trips by itself", "wall clock and monotonic clock agree again"),
    "WARNING": ("a warning is active; a recovery needs two persons", "the warning is lifted"),
}
"""What holds automatic trips or plain recoveries → what is said when it begins, and when it is over."""


def _flagged(flag: str, *, raised: bool, which: str = "") -> FindingNoted:
    begun, over = _FLAGS[flag]
    evidence = (f"{which}: {begun if raised else over}" if which else begun if raised else over,)
    return FindingNoted(finding=flag if raised else f"{flag}_OVER", article="policy 1.2", evidence=evidence)


def _clock_compared(turn: Turn, fact: ClockCompared) -> None:
    suspect = abs(fact.wall_s - fact.monotonic_s) > turn.rules().clock_jump_s
    if suspect is not turn.state.clock_suspect:
        turn.state = replace(turn.state, clock_suspect=suspect)
        turn.say(_flagged("CLOCK_SUSPECT", raised=suspect))


def _warned(turn: Turn, fact: WarningReported) -> None:
    known = {*turn.state.warnings}
    if (fact.warning in known) is fact.active:
        return
    (known.add if fact.active else known.discard)(fact.warning)
    turn.state = replace(turn.state, warnings=tuple(sorted(known)))
    turn.say(_flagged("WARNING", raised=fact.active, which=f"{fact.warning} {fact.text}".strip()))


def _cleared(turn: Turn, fact: ClearingReported) -> None:
    """Take in what a production run says to the prices and to the row of shadow clearings; the detectors have their own opinion."""
    state, ok = turn.state, fact.status is ClearingStatus.OK
    if fact.segment is Segment.DA:
        if state.expected is not None and state.expected.interval_start_ns == fact.interval_start_ns:
            turn.state = state = replace(state, expected=None)
        return
    # A failure of an interval that was judged, or has a result, is an old story or an attempt that was made good.
    news = fact.interval_start_ns >= state.watch.next_start_ns and not state.watch.has_result(fact.interval_start_ns)
    if not ok and news:
        turn.state = replace(state, rt=segment.shadow_broken(state.rt))


def _cleared_again(turn: Turn, fact: ClearedAgain) -> tuple[PriceInForce, ...]:
    """Take in what came of an order to clear again: a refusal, or a result that revises the price of its interval."""
    state = turn.state
    if fact.command_id in state.answered:
        return ()
    state = replace(state, answered=(*state.answered, fact.command_id)[-_ANSWERS_REMEMBERED:])
    turn.state = state
    if fact.failure or fact.price_cny_per_mwh is None:
        why = f"{fact.failure}: {fact.detail}"
        who = {"command_id": fact.command_id, "by": fact.by, "role": fact.role}
        turn.say(Refused(**who, action=reclear.ACTION, rule=reclear.ARTICLE, why=why))
        return ()
    start_ns, price, rules = fact.interval_start_ns, fact.price_cny_per_mwh, turn.rules(Segment.RT)
    book, prices = pricebook.cleared_again(state.book, state.now_ns, start_ns, price, fact.version, rules)
    turn.state = replace(state, book=book)
    turn.say(
        ResultRevised(
            segment=Segment.RT,
            interval_start_ns=start_ns,
            version=fact.version,
            command_id=fact.command_id,
            by=fact.by,
            role=fact.role,
            reason=fact.why,
            approvals=fact.approvals,
            corrected=fact.corrected,
            hashes=fact.hashes,
            hashes_before=fact.hashes_before,
            price_cny_per_mwh=price,
            price_before_cny_per_mwh=fact.price_before_cny_per_mwh,
            price_rev=prices[0].rev if prices else None,
        )
    )
    return prices


def _detected(turn: Turn, fact: Fact) -> None:
    """Let every detector see the fact, and the segment machines every finding."""
    state, held = turn.state, turn.state.clock_suspect
    watch, on_clearing = failed_clearing.observe(state.watch, fact, turn.rules(Segment.RT), held=held)
    days, on_days = day_ahead.observe(state.days, fact, turn.rules(Segment.DA), held=held)
    topology, on_topology = topology_change.observe(state.topology, fact, turn.rules(), turn.grid, held=held)
    control, on_control = switchover.observe(state.control, fact, turn.rules(), held=held)
    sessions, on_sessions = situations.observe(state.sessions, fact, turn.rules())
    turn.state = replace(state, watch=watch, days=days, topology=topology, control=control, sessions=sessions)
    for finding in (*on_clearing, *on_days, *on_topology, *on_control):
        _found(turn, finding)
    for situation in on_sessions:
        book, said = casebook.found(turn.state.cases, situation, turn.now_ns, turn.rules())
        turn.state = replace(turn.state, cases=book)
        turn.say(*said)


def _found(turn: Turn, finding: Finding) -> None:
    match finding:
        case OutageBegan(start_ns=start_ns):
            turn.moved(segment.outage_began(turn.state.rt, start_ns))
        case IntervalUnserved(segment=which, interval_start_ns=start_ns):
            if not out(turn.segment(which)):
                turn.say(AnomalyNoted(segment=which, interval_start_ns=start_ns, how=finding.how, reason=finding.reason))
            elif which is Segment.RT:
                turn.state = replace(turn.state, rt=segment.shadow_broken(turn.state.rt))
        case OutageReached(start_ns=start_ns, minutes=minutes):
            turn.moved(segment.outage_reached(turn.state.rt, start_ns, minutes, turn.rules(Segment.RT)))
        case OutageOver():
            _outage_over(turn, finding)
        case ResultAccepted(interval_start_ns=start_ns, completed_at_ns=completed_at_ns):
            book = pricebook.with_result(
                turn.state.book, start_ns, finding.price_cny_per_mwh, finding.version, doubted=finding.under_review
            )
            turn.state = replace(turn.state, book=book)
            turn.moved(segment.shadow_cleared(turn.state.rt, start_ns, completed_at_ns, turn.now_ns, turn.rules(Segment.RT)))
        case DayAheadAccepted(day_start_ns=start_ns, completed_at_ns=completed_at_ns):
            book = pricebook.with_day_ahead(
                turn.state.book, start_ns, finding.price_cny_per_mwh, finding.version, turn.rules(Segment.DA), turn.now_ns
            )
            turn.state = replace(turn.state, book=book)
            _cleared_from(turn, finding)
            _late_result(turn, completed_at_ns)
            turn.moved(segment.shadow_cleared(turn.state.da, start_ns, completed_at_ns, turn.now_ns, turn.rules(Segment.DA)))
        case ConditionMet():
            _condition_met(turn, finding)
        case ConditionGone(basis=basis, why=why, segment=which):
            outage_start_ns = turn.state.watch.outage_start_ns if which is Segment.RT else None
            turn.moved(segment.condition_gone(turn.segment(which), basis, why, turn.now_ns, outage_start_ns=outage_start_ns))
        case Noted():
            turn.say(FindingNoted(finding=finding.what, article=finding.article, evidence=finding.evidence))


def _cleared_from(turn: Turn, result: DayAheadAccepted) -> None:
    """Note a day-ahead result whose boundary data lack something: nothing may be cleared from such a set (Art. 20)."""
    day = civil_day(result.day_start_ns, turn.rules(Segment.DA).zone)
    if lacking := spot.incomplete(turn.state.spot, day):
        what = f"operating day {day}: version {result.version} of the result"
        evidence = (what, f"the boundary data in force lack {', '.join(lacking)}")
        turn.say(FindingNoted(finding=casebook.BOUNDARY_INCOMPLETE, article="Art. 20", evidence=evidence))


def _late_result(turn: Turn, completed_at_ns: int) -> None:
    """End the anomaly of a day-ahead result that was not published in time, where it comes before the deadline (Art. 9(2))."""
    case = running(turn.state.cases, Segment.DA)
    if case is not None and not case.major and turn.state.da.phase is Phase.NORMAL:
        turn.say(
            OutageEnded(
                segment=Segment.DA,
                outage_start_ns=case.discovered_ns,
                outage_end_ns=max(completed_at_ns, case.discovered_ns),
                failed_intervals=1,
            )
        )


def _condition_met(turn: Turn, met: ConditionMet) -> None:
    which = met.segment
    if which is Segment.DA and met.basis in _OF_THE_GRID and not _runs(turn, met):
        return
    condition = segment.Condition(
        basis=met.basis,
        met_at_ns=met.met_at_ns,
        article=met.article,
        evidence=met.evidence,
        # Blind to the clearings, whatever is found is for a person to judge.
        auto_allowed=met.auto_allowed and not turn.state.watch.blind,
        details=dict(met.details),
        operating_day=met.operating_day,
    )
    turn.moved(segment.condition_met(turn.segment(which), condition, turn.now_ns, turn.rules(which), turn.intervals(which)))


_OF_THE_GRID: Final = (Basis.TOPOLOGY_HARD, Basis.TOPOLOGY_SOFT, Basis.SWITCHOVER)


def _runs(turn: Turn, met: ConditionMet) -> bool:
    """Whether the day-ahead market can be meant by what happened to the grid: a result is expected; for a switchover, and not there yet."""
    days, rules = turn.state.days, turn.rules(Segment.DA)
    if not day_ahead.is_expected(days, rules):
        return False
    return met.basis is not Basis.SWITCHOVER or not days.has_result(days.day_start_ns)


def _outage_over(turn: Turn, over: OutageOver) -> None:
    if not out(turn.state.rt):
        turn.say(
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
    turn.moved(segment.condition_gone(turn.state.rt, Basis.RT_120, why, turn.now_ns, outage_start_ns=None))
    turn.moved(segment.outage_over(turn.state.rt))
