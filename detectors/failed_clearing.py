"""How long has the real-time market been without a valid clearing? The 120 minutes live here and nowhere else.

Theory of operation (spec §1.2, Art. 9 and 23(1)):

* Every expected interval has a *due* instant, its start plus an offset. It is judged once, at due + grace: served if a valid result
  for it is known, else *unserved*, whether the engine said it failed or said nothing.
* An outage starts at the due instant of the first unserved interval. Any valid result for that interval or a later one, finished
  before its interval was over, ends the outage at the instant it was completed; unserved intervals that fell due after that
  instant begin the next outage. One success restarts the count.
* The condition is met when no such result was completed before ``outage start + 120 min``: a result at exactly that instant is too
  late. It is reported at that instant plus the grace, so that results still on the wire count.
* Results count by when they were completed, if the source's clock can be trusted, else by when they arrived.
* While this service cannot see the results (blind) nothing is judged; when sight returns, the back-fill has one grace to arrive.

Absent on purpose: what the condition does to the market (:mod:`market.segment`), prices, people.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import Final, Literal

from detectors.findings import (
    Basis,
    ConditionMet,
    Finding,
    IntervalUnserved,
    OutageBegan,
    OutageOver,
    OutageReached,
    ResultAccepted,
)
from market.facts import CalendarClosed, ClearingReported, ClearingStatus, Fact, RunType, Segment, SourceReported, Ticked
from market.rules import MarketRules
from market.units import NS_PER_MIN, NS_PER_S, floor_ns, instant_text

__all__ = ["ClearingWatch", "Report", "headroom_ns", "next_deadline_ns", "observe", "restarted", "watch_from"]

_SOURCE_CLOCK_NS: Final = NS_PER_S
"""A completion instant further ahead of its arrival than this comes from a clock that is not trusted (spec §1.2)."""

_AHEAD_NS: Final = 24 * 60 * NS_PER_MIN
"""A result for an interval further ahead than this is a mistake, not foresight."""

_UNSERVED_MAX: Final = 1024
"""Most unserved intervals remembered: 72 h of five-minute intervals and some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The latest word on one interval that is not a valid result: FAILED or INVALID, with its reason."""

    start_ns: int
    how: Literal["FAILED", "INVALID"]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearingWatch:
    """What the detector remembers.

    Attributes:
        next_start_ns: start of the first interval not judged yet.
        served: (start, version) of valid results, for intervals not judged yet and those judged recently.
        unserved: (start, how) of the intervals of the running outage judged without a valid result, ascending; ``how`` is
            MISSED, FAILED or INVALID.
        reports: failures reported for intervals not judged yet.
        outage_start_ns: due instant of the first unserved interval, while there is an outage.
        marks: how many reminder marks of this outage were reported.
        condition_reported: whether this outage's condition was.
        last_valid_at_ns: completion of the last valid result.
        closed: half-open ranges in which no clearing is expected.
        blind: whether sight of the results is lost.
        judge_after_ns: no judgement before this instant (back-fill after blindness).
    """

    next_start_ns: int
    served: tuple[tuple[int, int], ...] = ()
    unserved: tuple[tuple[int, str], ...] = ()
    reports: tuple[Report, ...] = ()
    outage_start_ns: int | None = None
    marks: int = 0
    condition_reported: bool = False
    last_valid_at_ns: int | None = None
    closed: tuple[tuple[int, int], ...] = ()
    blind: bool = False
    judge_after_ns: int = 0


def watch_from(ts_ns: int, rules: MarketRules, *, closed: tuple[tuple[int, int], ...] = ()) -> ClearingWatch:
    """Begin to watch at ``ts_ns``: the first interval that starts then or later is the first expected one."""
    step = rules.rt_interval_ns
    return ClearingWatch(next_start_ns=floor_ns(ts_ns + step - 1, step), closed=closed)


def restarted(watch: ClearingWatch, from_ns: int) -> ClearingWatch:
    """Count anew from the interval starting at ``from_ns``: the market resumes there, and what was out before is history."""
    return replace(
        watch,
        next_start_ns=from_ns,
        unserved=(),
        reports=tuple(r for r in watch.reports if r.start_ns >= from_ns),
        outage_start_ns=None,
        marks=0,
        condition_reported=False,
    )


def observe(watch: ClearingWatch, fact: Fact, rules: MarketRules, *, held: bool = False) -> tuple[ClearingWatch, tuple[Finding, ...]]:
    """Take in one fact.

    Args:
        watch: what is known so far.
        fact: any fact; those that say nothing about real-time clearing change nothing.
        rules: the rule set in force.
        held: automatic action is held (suspect clock): the condition waits, everything else goes on.

    Returns:
        What is known now, and what was found, in order.
    """
    match fact:
        case Ticked(ts_event_ns=now_ns):
            return _tick(watch, now_ns, rules, held=held)
        case ClearingReported(segment=Segment.RT):
            return _result(watch, fact, rules)
        case SourceReported(name="clearing", up=up):
            if up:
                return replace(watch, blind=False, judge_after_ns=fact.ts_event_ns + rules.grace_ns if watch.blind else 0), ()
            return replace(watch, blind=True), ()
        case CalendarClosed(segment=Segment.RT, from_ns=from_ns, to_ns=to_ns):
            return replace(watch, closed=(*watch.closed, (from_ns, to_ns))), ()
        case _:
            return watch, ()


def headroom_ns(watch: ClearingWatch, now_ns: int, rules: MarketRules) -> int | None:
    """Return what is left of the limit: 120 min less the outage, never below 0; None where clearing is not expected now."""
    if _closed_until(watch, floor_ns(now_ns, rules.rt_interval_ns)) is not None:
        return None
    if watch.outage_start_ns is None:
        return rules.rt_limit_ns
    return max(0, rules.rt_limit_ns - (now_ns - watch.outage_start_ns))


def next_deadline_ns(watch: ClearingWatch, rules: MarketRules) -> int:
    """Return the next instant at which a tick could find something."""
    candidates = [max(watch.next_start_ns + rules.due_offset_ns + rules.grace_ns, watch.judge_after_ns)]
    if watch.outage_start_ns is not None:
        candidates += [watch.outage_start_ns + mark * NS_PER_MIN for mark in rules.reminders_min[watch.marks :]][:1]
        if not watch.condition_reported:
            candidates.append(watch.outage_start_ns + rules.rt_limit_ns + rules.grace_ns)
    return min(candidates)


def _closed_until(watch: ClearingWatch, start_ns: int) -> int | None:
    """Return the end of the closed range that contains ``start_ns``, or None."""
    return max((to_ns for from_ns, to_ns in watch.closed if from_ns <= start_ns < to_ns), default=None)


def _tick(watch: ClearingWatch, now_ns: int, rules: MarketRules, *, held: bool) -> tuple[ClearingWatch, tuple[Finding, ...]]:
    if watch.blind or now_ns < watch.judge_after_ns:
        return watch, ()
    found: list[Finding] = []
    while watch.next_start_ns + rules.due_offset_ns + rules.grace_ns <= now_ns:
        watch = _judge(watch, rules, found)
    start_ns = watch.outage_start_ns
    if start_ns is None:
        return watch, tuple(found)
    for minutes in rules.reminders_min[watch.marks :]:
        if start_ns + minutes * NS_PER_MIN > now_ns:
            break
        watch = replace(watch, marks=watch.marks + 1)
        found.append(OutageReached(start_ns=start_ns, minutes=minutes))
    met_at_ns = start_ns + rules.rt_limit_ns
    if not watch.condition_reported and not held and met_at_ns + rules.grace_ns <= now_ns:
        watch = replace(watch, condition_reported=True)
        found.append(
            ConditionMet(
                basis=Basis.RT_120,
                segment=Segment.RT,
                met_at_ns=met_at_ns,
                article="Art. 23(1)",
                evidence=_evidence(watch, start_ns, met_at_ns, rules),
            )
        )
    return watch, tuple(found)


def _evidence(watch: ClearingWatch, start_ns: int, met_at_ns: int, rules: MarketRules) -> tuple[str, ...]:
    how = [how for start, how in watch.unserved if start + rules.due_offset_ns < met_at_ns]
    last = "none since the watch began" if watch.last_valid_at_ns is None else instant_text(watch.last_valid_at_ns, rules.zone)
    return (
        f"first interval without a valid result due {instant_text(start_ns, rules.zone)}",
        f"no valid result completed before {instant_text(met_at_ns, rules.zone)} ({rules.rt_limit_min} min)",
        f"{len(how)} intervals unserved: {how.count('MISSED')} MISSED, {how.count('FAILED')} FAILED, {how.count('INVALID')} INVALID",
        f"last valid result completed: {last}",
    )


def _judge(watch: ClearingWatch, rules: MarketRules, found: list[Finding]) -> ClearingWatch:
    """Judge the next interval and move on by one (or past a closed range)."""
    start_ns = watch.next_start_ns
    closed_until_ns = _closed_until(watch, start_ns)
    if closed_until_ns is not None:
        step = rules.rt_interval_ns
        watch = replace(watch, next_start_ns=floor_ns(closed_until_ns + step - 1, step))
        return _outage_over(watch, start_ns, rules, found) if watch.outage_start_ns is not None else watch
    watch = replace(
        watch,
        next_start_ns=start_ns + rules.rt_interval_ns,
        served=tuple(entry for entry in watch.served if entry[0] > start_ns - 12 * rules.rt_interval_ns),
    )
    if any(served_ns == start_ns for served_ns, _ in watch.served):
        return watch
    report = next((r for r in watch.reports if r.start_ns == start_ns), None)
    how, reason = (report.how, report.reason) if report else ("MISSED", "no result and no message")
    watch = replace(
        watch,
        unserved=(*watch.unserved, (start_ns, how))[-_UNSERVED_MAX:],
        reports=tuple(r for r in watch.reports if r.start_ns > start_ns),
    )
    if watch.outage_start_ns is None:
        watch = replace(watch, outage_start_ns=start_ns + rules.due_offset_ns)
        found.append(OutageBegan(start_ns=start_ns + rules.due_offset_ns))
    found.append(IntervalUnserved(interval_start_ns=start_ns, how=how, reason=reason))
    return watch


def _outage_over(watch: ClearingWatch, end_ns: int, rules: MarketRules, found: list[Finding]) -> ClearingWatch:
    """End the running outage at ``end_ns``; intervals that fell due later begin the next one."""
    start_ns = watch.outage_start_ns
    assert start_ns is not None, "only a running outage can end"
    later = tuple(entry for entry in watch.unserved if entry[0] + rules.due_offset_ns > end_ns)
    found.append(OutageOver(start_ns=start_ns, end_ns=max(end_ns, start_ns), unserved=len(watch.unserved) - len(later)))
    watch = replace(watch, unserved=later, outage_start_ns=None, marks=0, condition_reported=False)
    if later:
        next_start_ns = later[0][0] + rules.due_offset_ns
        watch = replace(watch, outage_start_ns=next_start_ns)
        found.append(OutageBegan(start_ns=next_start_ns))
    return watch


def _invalid_reason(fact: ClearingReported, completed_at_ns: int, rules: MarketRules) -> str:
    """Say why a result does not count, or return an empty text when it does."""
    step = rules.rt_interval_ns
    if fact.interval_start_ns % step:
        return f"{instant_text(fact.interval_start_ns, rules.zone)} is not the start of a {rules.rt_interval_min}-minute interval"
    if completed_at_ns >= fact.interval_start_ns + step:
        return f"completed {instant_text(completed_at_ns, rules.zone)}, when its interval was over"
    if fact.interval_start_ns > fact.ts_event_ns + _AHEAD_NS:
        return "more than a day ahead"
    if len(fact.price_cny_per_mwh) != 1:
        return f"carries {len(fact.price_cny_per_mwh)} prices where one interval has one"
    price = fact.price_cny_per_mwh[0]
    if not isfinite(price) or not rules.price_floor_cny_per_mwh <= price <= rules.price_cap_cny_per_mwh:
        return f"price {price} outside {rules.price_floor_cny_per_mwh:g} to {rules.price_cap_cny_per_mwh:g} CNY/MWh"
    return ""


def _result(watch: ClearingWatch, fact: ClearingReported, rules: MarketRules) -> tuple[ClearingWatch, tuple[Finding, ...]]:
    if fact.run_type is not RunType.PRODUCTION:
        return watch, ()
    start_ns = fact.interval_start_ns
    trusted = fact.completed_at_ns <= fact.ts_event_ns + _SOURCE_CLOCK_NS
    completed_at_ns = fact.completed_at_ns if trusted else fact.ts_event_ns
    if fact.status is ClearingStatus.FAILED:
        return _reported(watch, Report(start_ns=start_ns, how="FAILED", reason=fact.reason or "no reason given")), ()
    if any(served_ns == start_ns and version >= fact.version for served_ns, version in watch.served):
        return watch, ()
    if why := _invalid_reason(fact, completed_at_ns, rules):
        return _reported(watch, Report(start_ns=start_ns, how="INVALID", reason=why)), ()

    found: list[Finding] = [
        ResultAccepted(
            interval_start_ns=start_ns,
            completed_at_ns=completed_at_ns,
            price_cny_per_mwh=fact.price_cny_per_mwh[0],
            version=fact.version,
        )
    ]
    first_unserved_ns = watch.unserved[0][0] if watch.unserved else None
    watch = replace(
        watch,
        served=(*(entry for entry in watch.served if entry[0] != start_ns), (start_ns, fact.version)),
        unserved=tuple(entry for entry in watch.unserved if entry[0] != start_ns),
        last_valid_at_ns=max(completed_at_ns, watch.last_valid_at_ns or completed_at_ns),
    )
    outage_ns = watch.outage_start_ns
    if outage_ns is not None and first_unserved_ns is not None and start_ns >= first_unserved_ns:
        in_time = completed_at_ns < outage_ns + rules.rt_limit_ns
        if in_time or watch.condition_reported:
            watch = _outage_over(watch, max(completed_at_ns, outage_ns), rules, found)
    return watch, tuple(found)


def _reported(watch: ClearingWatch, report: Report) -> ClearingWatch:
    """Remember the latest failure reported for an interval that is not judged yet and not served."""
    if report.start_ns < watch.next_start_ns or any(served_ns == report.start_ns for served_ns, _ in watch.served):
        return watch
    return replace(watch, reports=(*(r for r in watch.reports if r.start_ns != report.start_ns), report))
