"""How long has the real-time market been without a valid clearing? The 120 minutes live here and nowhere else.

Theory of operation (spec §1.2, Art. 9 and 23(1)):

* Every expected interval has a *due* instant, its start plus an offset. It is judged once, at due + grace: served if a valid result
  for it is known, else *unserved*, whether the engine said it failed or said nothing.
* An outage starts at the due instant of the first unserved interval. Any valid result for that interval or a later one, completed
  since then and before its interval was over, ends the outage at the instant it was completed; unserved intervals that fell due
  after that instant begin the next outage. One success restarts the count. When we heard of the result does not matter: one that
  was taken in before the outage was judged ends it as well.
* The condition is met when no such result was completed before ``outage start + 120 min``: a result at exactly that instant is too
  late. It is reported at that instant plus the grace, so that results still on the wire count.
* Results count by when they were completed, if the source's clock can be trusted, else by when they arrived.
* While this service cannot see the results (blind) nothing is judged; when sight returns, the back-fill has one grace to arrive.
* A market that closes by its calendar ends the outage, but not a condition that was met by then.

Absent on purpose: what the condition does to the market (:mod:`market.segment`), prices, people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from detectors.findings import (
    Basis,
    ConditionMet,
    Finding,
    IntervalUnserved,
    Noted,
    OutageBegan,
    OutageOver,
    OutageReached,
    ResultAccepted,
)
from market.facts import CalendarClosed, ClearingReported, ClearingStatus, Fact, RunType, Segment, SourceReported, Ticked
from market.rules import MarketRules
from market.units import NS_PER_MIN, floor_ns, instant_text

__all__ = ["ClearingWatch", "Report", "Served", "headroom_ns", "next_deadline_ns", "observe", "restarted", "watch_from"]

_AHEAD_NS: Final = 24 * 60 * NS_PER_MIN
"""A result for an interval further ahead than this is a mistake, not foresight."""

_UNSERVED_MAX: Final = 1024
"""Most unserved intervals remembered: 72 h of five-minute intervals and some."""

_SERVED_INTERVALS: Final = 12
"""Results are remembered for this many intervals that were judged, to tell a repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The latest word on one interval that is not a valid result: FAILED or INVALID, with its reason."""

    start_ns: int
    how: Literal["FAILED", "INVALID"]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One valid result: for the interval that starts at ``start_ns``, completed at ``completed_at_ns``."""

    start_ns: int
    version: int
    completed_at_ns: int


class ClearingWatch(Struct, frozen=True, kw_only=True):
    """What the detector remembers.

    Attributes:
        next_start_ns: start of the first interval not judged yet.
        served: valid results, every version of them, for intervals not judged yet and those judged recently.
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
    served: tuple[Served, ...] = ()
    unserved: tuple[tuple[int, str], ...] = ()
    reports: tuple[Report, ...] = ()
    outage_start_ns: int | None = None
    marks: int = 0
    condition_reported: bool = False
    last_valid_at_ns: int | None = None
    closed: tuple[tuple[int, int], ...] = ()
    blind: bool = False
    judge_after_ns: int = 0

    def has_result(self, start_ns: int) -> bool:
        """Whether a valid result for the interval starting at ``start_ns`` is remembered."""
        return any(result.start_ns == start_ns for result in self.served)


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
        case SourceReported(name="clearing", up=up) if up is watch.blind:
            # Only a change of sight counts: repeated, it must not cut short the grace that the back-fill has.
            return replace(watch, blind=not up, judge_after_ns=fact.ts_event_ns + rules.grace_ns if up else watch.judge_after_ns), ()
        case CalendarClosed(segment=Segment.RT, from_ns=from_ns, to_ns=to_ns) if (from_ns, to_ns) not in watch.closed:
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


def next_deadline_ns(watch: ClearingWatch, now_ns: int, rules: MarketRules) -> int | None:
    """Return the next instant after ``now_ns`` at which a tick could find something, or None while nothing can be judged."""
    if watch.blind:
        return None
    candidates = [watch.next_start_ns + rules.due_offset_ns + rules.grace_ns]
    if watch.outage_start_ns is not None:
        candidates += [watch.outage_start_ns + mark * NS_PER_MIN for mark in rules.reminders_min[watch.marks :]]
        if not watch.condition_reported:
            candidates.append(watch.outage_start_ns + rules.rt_limit_ns + rules.grace_ns)
    return min((at for at in (max(at, watch.judge_after_ns) for at in candidates) if at > now_ns), default=None)


def _closed_until(watch: ClearingWatch, start_ns: int) -> int | None:
    """Return the end of the closed range that contains ``start_ns``, or None."""
    return max((to_ns for from_ns, to_ns in watch.closed if from_ns <= start_ns < to_ns), default=None)


def _tick(watch: ClearingWatch, now_ns: int, rules: MarketRules, *, held: bool) -> tuple[ClearingWatch, tuple[Finding, ...]]:
    if watch.blind or now_ns < watch.judge_after_ns:
        return watch, ()
    found: list[Finding] = []
    while (start_ns := watch.next_start_ns) + rules.due_offset_ns + rules.grace_ns <= now_ns:
        if start_ns % rules.rt_interval_ns:
            # The rules changed to longer intervals: none of theirs starts here, and the next one is the first to be judged by them.
            watch = replace(watch, next_start_ns=floor_ns(start_ns, rules.rt_interval_ns) + rules.rt_interval_ns)
            continue
        closed_until_ns = _closed_until(watch, start_ns)
        if closed_until_ns is None:
            watch = _judge(watch, rules, found)
            continue
        # The closed range ends the outage, so a condition that was met by then must have been reported.
        watch = _condition_judged(watch, start_ns, rules, found, held=held)
        if _condition_due(watch, start_ns, rules):
            break  # it is held: it is reported first, however long that takes
        watch = _closed(watch, closed_until_ns, rules, found)
    watch = _reminded(watch, now_ns, rules, found)
    return _condition_judged(watch, now_ns - rules.grace_ns, rules, found, held=held), tuple(found)


def _reminded(watch: ClearingWatch, now_ns: int, rules: MarketRules, found: list[Finding]) -> ClearingWatch:
    """Report the latest reminder mark that was passed; those passed while nobody could see are not made up for."""
    start_ns = watch.outage_start_ns
    if start_ns is None:
        return watch
    passed = [minutes for minutes in rules.reminders_min if start_ns + minutes * NS_PER_MIN <= now_ns]
    if len(passed) <= watch.marks:
        return watch
    found.append(OutageReached(start_ns=start_ns, minutes=passed[-1]))
    return replace(watch, marks=len(passed))


def _condition_due(watch: ClearingWatch, at_ns: int, rules: MarketRules) -> bool:
    """Whether the outage has reached its limit at ``at_ns`` and nobody was told."""
    return watch.outage_start_ns is not None and not watch.condition_reported and watch.outage_start_ns + rules.rt_limit_ns <= at_ns


def _condition_judged(watch: ClearingWatch, at_ns: int, rules: MarketRules, found: list[Finding], *, held: bool) -> ClearingWatch:
    """Report the condition once it was met at ``at_ns``, and once an outage."""
    if held or not _condition_due(watch, at_ns, rules):
        return watch
    start_ns = watch.outage_start_ns
    assert start_ns is not None, "only a running outage reaches its limit"
    met_at_ns = start_ns + rules.rt_limit_ns
    found.append(
        ConditionMet(
            basis=Basis.RT_120,
            segment=Segment.RT,
            met_at_ns=met_at_ns,
            article="Art. 23(1)",
            evidence=_evidence(watch, start_ns, met_at_ns, rules),
        )
    )
    return replace(watch, condition_reported=True)


def _evidence(watch: ClearingWatch, start_ns: int, met_at_ns: int, rules: MarketRules) -> tuple[str, ...]:
    how = [how for start, how in watch.unserved if start + rules.due_offset_ns < met_at_ns]
    last = "none since the watch began" if watch.last_valid_at_ns is None else instant_text(watch.last_valid_at_ns, rules.zone)
    return (
        f"first interval without a valid result due {instant_text(start_ns, rules.zone)}",
        f"no valid result completed before {instant_text(met_at_ns, rules.zone)} ({rules.rt_limit_min} min)",
        f"{len(how)} intervals unserved: {how.count('MISSED')} MISSED, {how.count('FAILED')} FAILED, {how.count('INVALID')} INVALID",
        f"last valid result completed: {last}",
    )


def _closed(watch: ClearingWatch, until_ns: int, rules: MarketRules, found: list[Finding]) -> ClearingWatch:
    """Pass over a range in which nothing is expected; a running outage ends where it begins."""
    step, start_ns = rules.rt_interval_ns, watch.next_start_ns
    watch = replace(watch, next_start_ns=floor_ns(until_ns + step - 1, step))
    if watch.outage_start_ns is None:
        return watch
    found.append(OutageOver(start_ns=watch.outage_start_ns, end_ns=start_ns, unserved=len(watch.unserved), by_calendar=True))
    return replace(watch, unserved=(), outage_start_ns=None, marks=0, condition_reported=False)


def _judge(watch: ClearingWatch, rules: MarketRules, found: list[Finding]) -> ClearingWatch:
    """Judge the next interval and move on by one."""
    start_ns = watch.next_start_ns
    oldest_ns = start_ns - _SERVED_INTERVALS * rules.rt_interval_ns
    watch = replace(
        watch,
        next_start_ns=start_ns + rules.rt_interval_ns,
        served=tuple(result for result in watch.served if result.start_ns > oldest_ns),
        closed=tuple(closed for closed in watch.closed if closed[1] > oldest_ns),
    )
    if not watch.has_result(start_ns):
        report = next((r for r in watch.reports if r.start_ns == start_ns), None)
        how, reason = (report.how, report.reason) if report else ("MISSED", "no result and no message")
        if watch.outage_start_ns is None:
            watch = replace(watch, outage_start_ns=start_ns + rules.due_offset_ns)
            found.append(OutageBegan(start_ns=start_ns + rules.due_offset_ns))
        found.append(IntervalUnserved(interval_start_ns=start_ns, how=how, reason=reason))
        watch = replace(watch, unserved=(*watch.unserved, (start_ns, how))[-_UNSERVED_MAX:])
    watch = replace(watch, reports=tuple(r for r in watch.reports if r.start_ns > start_ns))
    return _ended_by_results(watch, rules, found)


def _ended_by_results(watch: ClearingWatch, rules: MarketRules, found: list[Finding]) -> ClearingWatch:
    """End the running outage, and those that follow from it, by the results that are known.

    An outage ends when all is judged that fell due before its end, so that it holds the same intervals whenever that is done. A
    result that was completed when the limit was reached is too late: it ends the outage once the condition was reported.
    """
    offset_ns = rules.due_offset_ns
    judged_ns = watch.next_start_ns + offset_ns
    while (start_ns := watch.outage_start_ns) is not None:
        limit_ns = start_ns + rules.rt_limit_ns
        end_ns = min(
            (
                result.completed_at_ns
                for result in watch.served
                if result.start_ns + offset_ns >= start_ns <= result.completed_at_ns
                and (result.completed_at_ns < limit_ns or watch.condition_reported)
            ),
            default=None,
        )
        if end_ns is None or end_ns >= judged_ns:
            break
        watch = _outage_over(watch, start_ns, end_ns, rules, found)
    return watch


def _outage_over(watch: ClearingWatch, start_ns: int, end_ns: int, rules: MarketRules, found: list[Finding]) -> ClearingWatch:
    """End the running outage at ``end_ns``; intervals that fell due later begin the next one."""
    later = tuple(entry for entry in watch.unserved if entry[0] + rules.due_offset_ns > end_ns)
    next_ns = later[0][0] + rules.due_offset_ns if later else None
    found.append(OutageOver(start_ns=start_ns, end_ns=end_ns, unserved=len(watch.unserved) - len(later), next_start_ns=next_ns))
    if next_ns is not None:
        found.append(OutageBegan(start_ns=next_ns))
    return replace(watch, unserved=later, outage_start_ns=next_ns, marks=0, condition_reported=False)


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
    if not rules.price_floor_cny_per_mwh <= price <= rules.price_cap_cny_per_mwh:
        return f"price {price} outside {rules.price_floor_cny_per_mwh:g} to {rules.price_cap_cny_per_mwh:g} CNY/MWh"
    return ""


def _result(watch: ClearingWatch, fact: ClearingReported, rules: MarketRules) -> tuple[ClearingWatch, tuple[Finding, ...]]:
    if fact.run_type is not RunType.PRODUCTION:
        return watch, ()
    start_ns = fact.interval_start_ns
    completed_at_ns = fact.counted_at_ns
    if fact.status is ClearingStatus.FAILED:
        return _reported(watch, fact, Report(start_ns=start_ns, how="FAILED", reason=fact.reason or "no reason given")), ()
    if any(result.start_ns == start_ns and result.version >= fact.version for result in watch.served):
        return watch, ()
    if why := _invalid_reason(fact, completed_at_ns, rules):
        return _reported(watch, fact, Report(start_ns=start_ns, how="INVALID", reason=why)), ()

    found: list[Finding] = [
        ResultAccepted(
            interval_start_ns=start_ns,
            completed_at_ns=completed_at_ns,
            price_cny_per_mwh=fact.price_cny_per_mwh[0],
            version=fact.version,
            under_review=bool(fact.review),
        )
    ]
    if fact.review:
        interval = f"interval {instant_text(start_ns, rules.zone)}"
        found.append(Noted(what="PRICE_UNDER_REVIEW", article="Art. 9(1)", evidence=(interval, *fact.review)))
    watch = replace(
        watch,
        served=(*watch.served, Served(start_ns=start_ns, version=fact.version, completed_at_ns=completed_at_ns)),
        unserved=tuple(entry for entry in watch.unserved if entry[0] != start_ns),
        last_valid_at_ns=max(completed_at_ns, watch.last_valid_at_ns or completed_at_ns),
    )
    return _ended_by_results(watch, rules, found), tuple(found)


def _reported(watch: ClearingWatch, fact: ClearingReported, report: Report) -> ClearingWatch:
    """Remember the latest failure reported for an interval that is to be judged within a day and is not served."""
    expected = watch.next_start_ns <= report.start_ns <= fact.ts_event_ns + _AHEAD_NS
    if not expected or watch.has_result(report.start_ns):
        return watch
    return replace(watch, reports=(*(r for r in watch.reports if r.start_ns != report.start_ns), report))
