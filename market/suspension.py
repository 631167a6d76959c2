"""Suspension: from an overdue breaker to the market's resumption (Art. 25, 26, 28, 30).

The operators *may* suspend a market whose breaker is overdue, once both reports were received and assessment and measures are done;
nothing suspends by itself. The decision names reason, start and expected end, all three; it is never back-dated, and until its start
the segment stays OVERDUE. After seven civil days, the first not counted, Art. 28 is proposed; the trading institution confirms it, for
days to come only. The way back is an application, the approval of both bodies, an announcement and the resumption, in this order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from market.commands import ORDERS, refused
from market.decisions import Phase
from market.errors import UnitError
from market.facts import CommandGiven, Segment
from market.handling import RegimeProposed
from market.operatingdays import days_after, next_day
from market.recovery import boundary_ns, effective
from market.rules import Anchor, MarketRules, Requires
from market.segmentstate import Context, SegmentState, Step, moved
from market.transitions import Event
from market.units import civil_day, day_start_ns, instant_ns, instant_text

__all__ = ["apply", "began", "confirm_long", "decide", "extend", "long_asked", "open_checklist", "resume"]


@dataclass(frozen=True, slots=True)
class _Unread:
    """Why an argument is no instant."""

    why: str


def _instant(args: Mapping[str, str], name: str) -> int | _Unread:
    """Read an argument that must be an instant."""
    text = args.get(name, "").strip()
    if not text:
        return _Unread(f"{name} is missing, give {name}=2026-06-13T15:00:00+08:00")
    try:
        return instant_ns(text)
    except UnitError as exc:
        return _Unread(f"{name}: {exc}")


def open_checklist(args: Mapping[str, str]) -> tuple[str, ...]:
    """Return that the checklist of Art. 30 is open, where the order says so; an order that says nothing attests it."""
    return ("the checklist of plan, parameters and measures is open",) if args.get("checklist", "yes") in ("no", "open") else ()


def decide(state: SegmentState, command: CommandGiven, rules: MarketRules, context: Context) -> Step:
    """DECIDE_SUSPEND: suspend an overdue market from an instant to come (Art. 25, 26); a refusal lists all that is missing."""
    article = ORDERS[command.action].article
    now_ns, by = command.ts_event_ns, command.by
    if state.suspended_from_ns is not None:
        at = instant_text(state.suspended_from_ns, rules.zone)
        return state, (refused(command, article, f"a suspension from {at} is decided; to move its expected end, order EXTEND_SUSPENSION"),)
    missing: list[str] = []
    reason = command.args.get("reason", "").strip()
    if not reason:
        missing.append("reason is missing, give reason=…")
    from_ns, end_ns = _instant(command.args, "from"), _instant(command.args, "expected_end")
    if isinstance(from_ns, _Unread):
        missing.append(from_ns.why)
    elif from_ns < now_ns:
        missing.append(f"from lies in the past: a suspension is never back-dated, so give {instant_text(now_ns, rules.zone)} or later")
    if isinstance(end_ns, _Unread):
        missing.append(f"{end_ns.why} (Art. 26: an instant, and not until further notice)")
    elif not isinstance(from_ns, _Unread) and end_ns <= from_ns:
        missing.append("expected_end must lie after from")
    missing += context.unreported
    if rules.suspension.requires is Requires.APPROVAL:
        missing += context.unapproved
    if missing:
        return state, (refused(command, article, "; ".join(missing)),)
    assert isinstance(from_ns, int), "what is no instant is missing"
    assert isinstance(end_ns, int), "what is no instant is missing"
    state = replace(state, suspended_from_ns=from_ns, expected_end_ns=end_ns, long_due_ns=_long_due_ns(state, from_ns, rules))
    state, decided = moved(state, Event.SUSPENSION_DECIDED, Phase.OVERDUE, by=by, evidence=(reason,))
    state, started = began(state, now_ns)
    return state, (*decided, *started)


def _long_due_ns(state: SegmentState, from_ns: int, rules: MarketRules) -> int:
    """Return the start of the first civil day that is more than seven days in (Art. 28, Civil Code Art. 201)."""
    anchor_ns = from_ns
    if rules.suspension.long_anchor is Anchor.INTERRUPTION_START:
        assert state.substituted_from_ns is not None, "what is suspended was tripped"
        anchor_ns = state.substituted_from_ns
    return day_start_ns(days_after(civil_day(anchor_ns, rules.zone), rules.suspension.long_after_days + 1), rules.zone)


def began(state: SegmentState, now_ns: int) -> Step:
    """Let a suspension begin at the instant that was decided."""
    if state.phase is not Phase.OVERDUE or state.suspended_from_ns is None or now_ns < state.suspended_from_ns:
        return state, ()
    return moved(state, Event.SUSPENSION_BEGAN, Phase.SUSPENDED)


def long_asked(state: SegmentState, now_ns: int, rules: MarketRules) -> Step:
    """Propose Art. 28 once, when the suspension is more than seven days old."""
    if state.phase is not Phase.SUSPENDED or state.long_proposed:
        return state, ()
    assert state.suspended_from_ns is not None, "what is suspended has a start"
    assert state.long_due_ns is not None, "and a day from which Art. 28 can apply"
    if now_ns < state.long_due_ns:
        return state, ()
    evidence = (
        f"suspended since {instant_text(state.suspended_from_ns, rules.zone)}",
        f"more than {rules.suspension.long_after_days} days from {civil_day(state.long_due_ns, rules.zone)} on, the first day not counted",
    )
    body = RegimeProposed(segment=state.segment, regime="ART28", from_ns=state.long_due_ns, article="Art. 28", evidence=evidence)
    return replace(state, long_proposed=True), (body,)


def extend(state: SegmentState, command: CommandGiven, rules: MarketRules) -> Step:
    """EXTEND_SUSPENSION: a later expected end (Art. 26)."""
    article = ORDERS[command.action].article
    if state.expected_end_ns is None:
        return state, (refused(command, article, f"no suspension of {state.segment} is decided; order DECIDE_SUSPEND first"),)
    end_ns = _instant(command.args, "expected_end")
    if isinstance(end_ns, _Unread):
        return state, (refused(command, article, f"{end_ns.why} (Art. 26: an instant, and not until further notice)"),)
    least_ns = max(state.expected_end_ns, command.ts_event_ns)
    if end_ns <= least_ns:
        return state, (refused(command, article, f"expected_end must lie after {instant_text(least_ns, rules.zone)}"),)
    before = f"expected end before: {instant_text(state.expected_end_ns, rules.zone)}"
    evidence = (command.args["reason"].strip(), before)
    return moved(replace(state, expected_end_ns=end_ns), Event.SUSPENSION_EXTENDED, state.phase, by=command.by, evidence=evidence)


def confirm_long(state: SegmentState, command: CommandGiven, rules: MarketRules) -> Step:
    """CONFIRM_REGIME28: Art. 28 applies from the next civil day on, or from the first it can apply to, whichever is later."""
    assert state.long_due_ns is not None, "what is suspended has a day from which Art. 28 can apply"
    next_day_ns = day_start_ns(next_day(command.ts_event_ns, rules.zone), rules.zone)
    if next_day_ns < state.long_due_ns:
        first = civil_day(state.long_due_ns, rules.zone)
        eve = days_after(first, -1)
        why = f"Art. 28 is for more than {rules.suspension.long_after_days} days: from {first} on, to be confirmed from {eve} on"
        return state, (refused(command, ORDERS[command.action].article, why),)
    evidence = (f"in force from {civil_day(next_day_ns, rules.zone)} on; what was priced before stays as it is",)
    state = replace(state, long_from_ns=next_day_ns)
    return moved(state, Event.REGIME28_CONFIRMED, Phase.SUSPENDED_LONG, by=command.by, evidence=evidence)


def apply(state: SegmentState, command: CommandGiven, rules: MarketRules) -> Step:
    """APPLY_RESUME: GOV and REG are asked to let the market resume (Art. 30); filed anew where its scope changes."""
    article, now_ns = ORDERS[command.action].article, command.ts_event_ns
    at_ns = _instant(command.args, "at") if command.args.get("at", "").strip() else now_ns
    if isinstance(at_ns, _Unread):
        return state, (refused(command, article, at_ns.why),)
    assert state.suspended_from_ns is not None, "what is suspended has a start"
    if not state.suspended_from_ns <= at_ns <= now_ns:
        since, now = instant_text(state.suspended_from_ns, rules.zone), instant_text(now_ns, rules.zone)
        return state, (refused(command, article, f"at must lie between the start of the suspension, {since}, and now, {now}"),)
    scope = tuple(part.strip() for part in command.args.get("scope", "").split(",") if part.strip())
    reference = command.args.get("reference", "").strip()
    evidence = (
        f"filed {instant_text(at_ns, rules.zone)}",
        f"scope: {', '.join(scope) or 'all'}",
        *((f"reference: {reference}",) if reference else ()),
    )
    state = replace(state, applied_at_ns=at_ns, applied_scope=scope, applied_reference=reference)
    return moved(state, Event.RESUME_APPLIED, state.phase, by=command.by, evidence=evidence)


def resume(state: SegmentState, command: CommandGiven, rules: MarketRules, context: Context) -> Step:
    """CONFIRM_RESUME: announce that a suspended market resumes, after application and approval (Art. 30)."""
    article = ORDERS[command.action].article
    earliest_ns = boundary_ns(state, command.ts_event_ns + rules.resume_notice_ns, rules)
    missing = [*(("the application is missing, order APPLY_RESUME",) if state.applied_at_ns is None else ())]
    missing += [*context.unapproved, *open_checklist(command.args)]
    effective_ns = earliest_ns
    if command.args.get("effective_from", "").strip():
        given = _instant(command.args, "effective_from")
        if isinstance(given, _Unread):
            missing.append(given.why)
        elif given < earliest_ns or boundary_ns(state, given, rules) != given:
            what = "an operating day" if state.segment is Segment.DA else f"a {rules.rt_interval_min}-minute interval"
            earliest = instant_text(earliest_ns, rules.zone)
            missing.append(f"effective_from must be the start of {what}, {earliest} or later")
        else:
            effective_ns = given
    if missing:
        return state, (refused(command, article, "; ".join(missing)),)
    assert state.applied_at_ns is not None, "an application that is missing was refused"
    evidence = (
        f"applied for {instant_text(state.applied_at_ns, rules.zone)}",
        f"approved by GOV and REG, scope: {', '.join(state.applied_scope) or 'all'}",
        *context.approved,
    )
    return effective(state, Event.RESUMED, effective_ns, by=command.by, evidence=evidence)
