"""Will the day-ahead market have its result by 23:00, and did it? The deadline of Art. 23(1) lives here and nowhere else.

Theory of operation (spec §1.2, Art. 9 and 23(1)):

* Every operating day the calendar expects has two instants on the day before it: its publication, and its deadline. A result completed
  at either instant exactly is in time. Each is judged once, a grace later, so that results still on the wire count.
* No result by the publication is an anomaly (Art. 9(2)); none by the deadline is the condition DA_MISSED, whoever said what before. A
  valid result that comes later withdraws it, as far as nobody acted on it.
* Before the deadline there is only expectation, and it never trips. A dispatcher's word beyond the deadline is the condition
  DA_EXPECTED at once; at the deadline itself it leaves no margin, which is noted. A statistical estimate is the condition where every
  second run would be late (P50), and is noted, once, where one in ten would be (P90).
* The two kinds of expectation are kept apart: a dispatcher's word counts before any estimate, until the instant it named has passed
  without a result. What is expected in time again, or done, withdraws the condition.
* Results count by when they were completed, if the source's clock can be trusted, else by when they arrived; a version that is no
  newer than the one known is no news, and a later version does not make an earlier one late.
* While this service cannot see the results (blind) nothing is judged; when sight returns, the back-fill has one grace to arrive. A
  suspect clock holds the judgement of the deadline. No instant counts that had passed when the watch began.

Absent on purpose: what a condition does to the market (:mod:`market.segment`), prices, people.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypedDict

from detectors.dayaheadresult import invalid_reason
from detectors.findings import Basis, ConditionGone, ConditionMet, DayAheadAccepted, Finding, IntervalUnserved, Noted
from market.commands import ORDERS, refused
from market.decisions import Refused
from market.errors import UnitError
from market.facts import (
    CalendarClosed,
    ClearingReported,
    ClearingStatus,
    CommandGiven,
    DayAheadExpected,
    EstimateSource,
    Fact,
    RunType,
    Segment,
    SourceReported,
    Ticked,
)
from market.operatingdays import days_after, next_day
from market.rules import MarketRules
from market.units import NS_PER_DAY, NS_PER_MIN, civil_day, day_start_ns, instant_ns, instant_text

__all__ = [
    "DayAheadWatch",
    "DayResult",
    "deadline_ns",
    "first_day_ns",
    "is_expected",
    "next_deadline_ns",
    "observe",
    "ordered",
    "watch_from",
]

_ARTICLE: Final = "Art. 23(1)"

_KEPT_NS: Final = 3 * NS_PER_DAY
"""Results are remembered until this long after their day began, to tell a repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayResult:
    """The valid result of one operating day: its newest version, and when the first version of it was completed."""

    day_start_ns: int
    version: int
    completed_at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DayAheadWatch:
    """What the detector remembers.

    Attributes:
        day: first operating day whose deadline is not judged yet, as ``2026-06-11``; day_start_ns: its start.
        eve_ns: midnight of the day before it, which its clocks count from.
        results: valid results of days not judged yet and those judged recently.
        how, reason: the latest word on this day that is not a valid result: FAILED or INVALID, and why; else MISSED.
        published_judged: whether its publication was judged.
        eta_ns: when a dispatcher expects the result; None while nobody said.
        p50_ns, p90_ns: when the statistical estimate expects it, likewise.
        warned: whether the estimate's P90 was noted for this day.
        late_said: who expects it late, as it was reported (a dispatcher's with the instant); empty while nobody does.
        missed_ns: start of the day whose deadline was missed last, while it has no result; None without.
        closed: half-open ranges in which no operating day begins that has a day-ahead market.
        blind: whether sight of the results is lost.
        judge_after_ns: no judgement before this instant (back-fill after blindness).
    """

    day: str
    day_start_ns: int
    eve_ns: int
    results: tuple[DayResult, ...] = ()
    how: str = "MISSED"
    reason: str = "no result and no message"
    published_judged: bool = False
    eta_ns: int | None = None
    p50_ns: int | None = None
    p90_ns: int | None = None
    warned: bool = False
    late_said: str = ""
    missed_ns: int | None = None
    closed: tuple[tuple[int, int], ...] = ()
    blind: bool = False
    judge_after_ns: int = 0

    def result_of(self, start_ns: int) -> DayResult | None:
        """Return the valid result of the operating day that starts at ``start_ns``, if it is remembered."""
        return next((result for result in self.results if result.day_start_ns == start_ns), None)

    def has_result(self, start_ns: int) -> bool:
        """Whether the operating day that starts at ``start_ns`` is remembered to have a valid result."""
        return self.result_of(start_ns) is not None


class _Clocks(TypedDict):
    """What a watch must know of its operating day."""

    day: str
    day_start_ns: int
    eve_ns: int


def watch_from(ts_ns: int, rules: MarketRules, *, closed: tuple[tuple[int, int], ...] = ()) -> DayAheadWatch:
    """Begin to watch at ``ts_ns``: the first publication and the first deadline that have not passed then are the first that count."""
    day = next_day(ts_ns, rules.zone)
    watch = _at(DayAheadWatch(**_clocks(day, rules), closed=closed), day, rules)
    if ts_ns > deadline_ns(watch, rules):
        return _at(watch, days_after(day, 1), rules)
    return replace(watch, published_judged=ts_ns > _publish_ns(watch, rules))


def _at(watch: DayAheadWatch, day: str, rules: MarketRules) -> DayAheadWatch:
    """Turn to an operating day: nothing is known of it but results that came early."""
    start_ns = day_start_ns(day, rules.zone)
    return DayAheadWatch(
        **_clocks(day, rules),
        results=tuple(result for result in watch.results if result.day_start_ns > start_ns - _KEPT_NS),
        missed_ns=watch.missed_ns if watch.missed_ns is not None and watch.missed_ns > start_ns - _KEPT_NS else None,
        closed=tuple(closed for closed in watch.closed if closed[1] > start_ns),
        blind=watch.blind,
        judge_after_ns=watch.judge_after_ns,
    )


def _clocks(day: str, rules: MarketRules) -> _Clocks:
    return {"day": day, "day_start_ns": day_start_ns(day, rules.zone), "eve_ns": day_start_ns(days_after(day, -1), rules.zone)}


def deadline_ns(watch: DayAheadWatch, rules: MarketRules) -> int:
    """Return the last instant at which the result of the watched day is in time."""
    return watch.eve_ns + rules.day_ahead.deadline_min * NS_PER_MIN


def _publish_ns(watch: DayAheadWatch, rules: MarketRules) -> int:
    return watch.eve_ns + rules.day_ahead.publish_min * NS_PER_MIN


def first_day_ns(watch: DayAheadWatch, rules: MarketRules) -> int:
    """Return the start of the first operating day, of those not judged yet, without a valid result."""
    if not watch.has_result(watch.day_start_ns):
        return watch.day_start_ns
    return day_start_ns(days_after(watch.day, 1), rules.zone)


def is_expected(watch: DayAheadWatch, rules: MarketRules) -> bool:
    """Whether the watched day has a day-ahead market at all."""
    return rules.day_ahead.expected and not any(from_ns <= watch.day_start_ns < to_ns for from_ns, to_ns in watch.closed)


def observe(watch: DayAheadWatch, fact: Fact, rules: MarketRules, *, held: bool = False) -> tuple[DayAheadWatch, tuple[Finding, ...]]:
    """Take in one fact; see :func:`detectors.failed_clearing.observe` for the contract."""
    match fact:
        case Ticked(ts_event_ns=now_ns):
            return _tick(watch, now_ns, rules, held=held)
        case ClearingReported(segment=Segment.DA, run_type=RunType.PRODUCTION):
            return _result(watch, fact, rules)
        case DayAheadExpected(interval_start_ns=start_ns) if start_ns == watch.day_start_ns:
            return _said(watch, fact, rules)
        case SourceReported(name="clearing", up=up) if up is watch.blind:
            # Only a change of sight counts: repeated, it must not cut short the grace that the back-fill has.
            return replace(watch, blind=not up, judge_after_ns=fact.ts_event_ns + rules.grace_ns if up else watch.judge_after_ns), ()
        case CalendarClosed(segment=Segment.DA, from_ns=from_ns, to_ns=to_ns) if (from_ns, to_ns) not in watch.closed:
            watch = replace(watch, closed=(*watch.closed, (from_ns, to_ns)))
            return _foreseen(watch, fact.ts_event_ns, rules)
        case _:
            return watch, ()


def next_deadline_ns(watch: DayAheadWatch, now_ns: int, rules: MarketRules) -> int | None:
    """Return the next instant after ``now_ns`` at which a tick could find something, or None while nothing can be judged."""
    if watch.blind:
        return None
    candidates = [deadline_ns(watch, rules) + rules.grace_ns, _publish_ns(watch, rules) + rules.grace_ns]
    if watch.eta_ns is not None:
        candidates.append(watch.eta_ns + 1)
    return min((at for at in (max(at, watch.judge_after_ns) for at in candidates) if at > now_ns), default=None)


def ordered(watch: DayAheadWatch, command: CommandGiven, now_ns: int, rules: MarketRules) -> DayAheadExpected | Refused:
    """Return what a dispatcher says of the day-ahead result (DA_ETA) as the fact it stands for, or why it is refused.

    Args:
        command: of action DA_ETA, whose form was judged already (:func:`market.commands.refusal`).
        now_ns: the instant it is carried out at.
    """
    article = ORDERS[command.action].article
    day = command.args.get("operating_day", "").strip()
    try:
        eta_ns = instant_ns(command.args.get("eta", "").strip())
    except UnitError as exc:
        return refused(command, article, f"eta: {exc}")
    if day != watch.day:
        return refused(command, article, f"operating day {day!r} is not the one that is waited for; that is {watch.day}")
    if not is_expected(watch, rules):
        return refused(command, article, f"no day-ahead result is expected for {day}; the market is closed by its calendar")
    if watch.has_result(watch.day_start_ns):
        return refused(command, article, f"operating day {day} has its result; nothing is waited for")
    if eta_ns < now_ns:
        return refused(command, article, f"eta lies in the past; give {instant_text(now_ns, rules.zone)} or later")
    return DayAheadExpected(
        ts_event_ns=now_ns,
        interval_start_ns=watch.day_start_ns,
        source=EstimateSource.DISPATCHER,
        p50_ns=eta_ns,
        p90_ns=eta_ns,
    )


# ── what is expected ────────────────────────────────────────────────────────────────────────────────────────────────────


def _said(watch: DayAheadWatch, fact: DayAheadExpected, rules: MarketRules) -> tuple[DayAheadWatch, tuple[Finding, ...]]:
    """Take in what somebody expects of the watched day."""
    if watch.has_result(watch.day_start_ns) or not is_expected(watch, rules):
        return watch, ()
    noted: list[Finding] = []
    last_ns = deadline_ns(watch, rules)
    if fact.source is EstimateSource.DISPATCHER:
        if fact.p50_ns == last_ns != watch.eta_ns:
            said = f"operating day {watch.day}: expected at {instant_text(last_ns, rules.zone)}, the deadline itself; zero margin"
            noted.append(Noted(what="DAY_AHEAD_ZERO_MARGIN", article=_ARTICLE, evidence=(said,)))
        watch = replace(watch, eta_ns=fact.p50_ns)
    else:
        watch = replace(watch, p50_ns=fact.p50_ns, p90_ns=fact.p90_ns)
        if not watch.warned and _is_late(fact.p90_ns, last_ns):
            noted.append(Noted(what="DAY_AHEAD_AT_RISK", article=_ARTICLE, evidence=_estimate(watch, rules)))
            watch = replace(watch, warned=True)
    watch, found = _foreseen(watch, fact.ts_event_ns, rules)
    return watch, (*noted, *found)


def _is_late(at_ns: int | None, last_ns: int) -> bool:
    return at_ns is not None and at_ns > last_ns


def _foreseen(watch: DayAheadWatch, now_ns: int, rules: MarketRules) -> tuple[DayAheadWatch, tuple[Finding, ...]]:
    """Report that the result is expected late, or is no longer, where that is news."""
    last_ns = deadline_ns(watch, rules)
    # A word whose instant has passed without a result says nothing any more.
    word_ns = watch.eta_ns if watch.eta_ns is not None and now_ns <= watch.eta_ns else None
    late_ns = watch.p50_ns if word_ns is None else word_ns
    said = ""
    if _is_late(late_ns, last_ns) and not watch.has_result(watch.day_start_ns) and is_expected(watch, rules):
        said = "statistical" if word_ns is None else f"dispatcher {word_ns}"
    if said == watch.late_said:
        return watch, ()
    watch = replace(watch, late_said=said)
    if not said:
        why = (
            "the day-ahead result is there"
            if watch.has_result(watch.day_start_ns)
            else "the day-ahead result is expected in time, or not at all"
        )
        return watch, (ConditionGone(basis=Basis.DA_EXPECTED, segment=Segment.DA, why=why),)
    assert late_ns is not None, "what is late has an instant"
    expected, last = instant_text(late_ns, rules.zone), instant_text(last_ns, rules.zone)
    by_person = (f"operating day {watch.day}: the dispatcher expects the result at {expected}", f"deadline {last}")
    condition = ConditionMet(
        basis=Basis.DA_EXPECTED,
        segment=Segment.DA,
        met_at_ns=now_ns,
        article=_ARTICLE,
        evidence=_estimate(watch, rules) if word_ns is None else by_person,
        auto_allowed=False,
        details={"operating_day": watch.day, "expected_at": expected, "deadline": last},
        operating_day=watch.day,
    )
    return watch, (condition,)


def _estimate(watch: DayAheadWatch, rules: MarketRules) -> tuple[str, ...]:
    """Say what the statistical estimate expects."""
    shown = (
        f"{name} {instant_text(at_ns, rules.zone)}" for name, at_ns in (("P50", watch.p50_ns), ("P90", watch.p90_ns)) if at_ns is not None
    )
    return (
        f"operating day {watch.day}: the result is estimated at {', '.join(shown)}",
        f"deadline {instant_text(deadline_ns(watch, rules), rules.zone)}",
    )


# ── what is judged ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _tick(watch: DayAheadWatch, now_ns: int, rules: MarketRules, *, held: bool) -> tuple[DayAheadWatch, tuple[Finding, ...]]:
    if watch.blind or now_ns < watch.judge_after_ns:
        return watch, ()
    found: list[Finding] = []
    while True:
        if not watch.published_judged and now_ns >= _publish_ns(watch, rules) + rules.grace_ns:
            watch = _publication_judged(watch, rules, found)
        if now_ns < deadline_ns(watch, rules) + rules.grace_ns:
            break
        if _is_missed(watch, rules):
            if held:
                break
            watch = _missed(watch, rules, found)
        watch = _at(watch, days_after(watch.day, 1), rules)
    watch, foreseen = _foreseen(watch, now_ns, rules)
    return watch, (*found, *foreseen)


def _publication_judged(watch: DayAheadWatch, rules: MarketRules, found: list[Finding]) -> DayAheadWatch:
    """Report, once a day, that no result was completed by its publication."""
    result, due_ns = watch.result_of(watch.day_start_ns), _publish_ns(watch, rules)
    if is_expected(watch, rules) and (result is None or result.completed_at_ns > due_ns):
        how, reason = watch.how, watch.reason
        if result is not None:
            how, reason = "LATE", f"completed {instant_text(result.completed_at_ns, rules.zone)}"
        why = f"{reason}; due {instant_text(due_ns, rules.zone)}"
        found.append(IntervalUnserved(interval_start_ns=watch.day_start_ns, how=how, reason=why, segment=Segment.DA))
    return replace(watch, published_judged=True)


def _is_missed(watch: DayAheadWatch, rules: MarketRules) -> bool:
    """Whether the watched day had no valid result by its deadline."""
    result = watch.result_of(watch.day_start_ns)
    return is_expected(watch, rules) and (result is None or result.completed_at_ns > deadline_ns(watch, rules))


def _missed(watch: DayAheadWatch, rules: MarketRules, found: list[Finding]) -> DayAheadWatch:
    """Report that the deadline was missed; a result that was late as well withdraws it at once, as far as nobody acted on it."""
    result, last = watch.result_of(watch.day_start_ns), instant_text(deadline_ns(watch, rules), rules.zone)
    if result is None:
        word = f"latest word: {watch.how}, {watch.reason}"
    else:
        word = f"a result was completed {instant_text(result.completed_at_ns, rules.zone)}, too late"
    said = () if watch.eta_ns is None else (f"the dispatcher expected it at {instant_text(watch.eta_ns, rules.zone)}",)
    found.append(
        ConditionMet(
            basis=Basis.DA_MISSED,
            segment=Segment.DA,
            met_at_ns=deadline_ns(watch, rules),
            article=_ARTICLE,
            evidence=(f"operating day {watch.day}: no valid result completed by {last}", word, *said),
            details={"operating_day": watch.day, "deadline": last},
            operating_day=watch.day,
        )
    )
    if result is not None:
        found.append(_late(watch.day))
    return replace(watch, missed_ns=watch.day_start_ns if result is None else None)


def _late(day: str) -> ConditionGone:
    return ConditionGone(basis=Basis.DA_MISSED, segment=Segment.DA, why=f"the result of operating day {day} came, late")


# ── results ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _result(watch: DayAheadWatch, fact: ClearingReported, rules: MarketRules) -> tuple[DayAheadWatch, tuple[Finding, ...]]:
    start_ns = fact.interval_start_ns
    completed_at_ns = fact.counted_at_ns
    if fact.status is ClearingStatus.FAILED:
        return _reported(watch, start_ns, "FAILED", fact.reason or "no reason given"), ()
    known = watch.result_of(start_ns)
    if known is not None and known.version >= fact.version:
        return watch, ()
    if why := invalid_reason(fact, completed_at_ns, rules):
        return _reported(watch, start_ns, "INVALID", why), ()
    first_ns = completed_at_ns if known is None else min(known.completed_at_ns, completed_at_ns)
    kept = tuple(result for result in watch.results if result.day_start_ns != start_ns)
    watch = replace(watch, results=(*kept, DayResult(day_start_ns=start_ns, version=fact.version, completed_at_ns=first_ns)))
    day = civil_day(start_ns, rules.zone)
    eve_ns = day_start_ns(days_after(day, -1), rules.zone)
    accepted = DayAheadAccepted(
        day_start_ns=start_ns,
        completed_at_ns=completed_at_ns,
        price_cny_per_mwh=fact.price_cny_per_mwh,
        version=fact.version,
        in_time=completed_at_ns <= eve_ns + rules.day_ahead.deadline_min * NS_PER_MIN,
    )
    found: list[Finding] = [accepted]
    if fact.review:
        found.append(Noted(what="PRICE_UNDER_REVIEW", article="Art. 9(1)", evidence=(f"operating day {day}", *fact.review)))
    if start_ns == watch.missed_ns:
        watch = replace(watch, missed_ns=None)
        found.append(_late(day))
    watch, gone = _foreseen(watch, fact.ts_event_ns, rules)
    return watch, (*found, *gone)


def _reported(watch: DayAheadWatch, start_ns: int, how: str, reason: str) -> DayAheadWatch:
    """Remember the latest failure reported for the watched day, as long as it has no result."""
    if start_ns != watch.day_start_ns or watch.has_result(start_ns):
        return watch
    return replace(watch, how=how, reason=reason)
