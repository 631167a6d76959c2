"""What a person may order of a segment: trips, recoveries, and the steps of a suspension (Art. 23, 25, 26, 28 to 30).

Who may give an order, and what it must say, was judged before (:mod:`market.commands`); here is what depends on the segment's state.
A refusal is a decision too: it names the rule and the remedy, and changes nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from market import suspension
from market.causes import CAUSE_ARTICLES, Cause, needs_reference
from market.commands import ORDERS, refused
from market.decisions import Phase
from market.errors import UnitError
from market.facts import CommandGiven, Segment
from market.recovery import RECOVERABLE, boundary_ns, effective, shadow_needed
from market.rules import MarketRules
from market.segmentstate import OPEN_TO_PROPOSALS, Condition, Context, SegmentState, Step, Waiting
from market.transitions import Event
from market.tripping import first_day, proposed, trip, unproposed
from market.units import NS_PER_MIN, civil_day, day_start_ns, instant_text

__all__ = ["PHASES", "ordered"]

_SUSPENDED: Final = (Phase.SUSPENDED, Phase.SUSPENDED_LONG)

PHASES: Final[Mapping[str, tuple[Phase, ...]]] = {
    "PROPOSE_TRIP": OPEN_TO_PROPOSALS,
    "CONFIRM_TRIP": (Phase.PROPOSED,),
    "REJECT_TRIP": (Phase.PROPOSED,),
    "CONFIRM_RECOVER": RECOVERABLE,
    "DECIDE_SUSPEND": (Phase.OVERDUE,),
    "EXTEND_SUSPENSION": (Phase.OVERDUE, *_SUSPENDED),
    "CONFIRM_REGIME28": (Phase.SUSPENDED,),
    "APPLY_RESUME": _SUSPENDED,
    "CONFIRM_RESUME": _SUSPENDED,
}
"""Order → the phases in which it makes sense."""


def ordered(state: SegmentState, command: CommandGiven, now_ns: int, rules: MarketRules, context: Context) -> Step:
    """Carry out, or refuse, an order whose form was judged already.

    Args:
        command: of an action that :data:`market.commands.ORDERS` gives to the segment.
        now_ns: the instant it is carried out at; the command's own is not looked at.
        context: what the rest of the market says at this instant.

    Returns:
        The segment and what is put on record; a :class:`market.decisions.Refused` alone, and the segment as it was, where a rule is
        against it.
    """
    command = dataclasses.replace(command, ts_event_ns=now_ns)
    article, phases = ORDERS[command.action].article, PHASES[command.action]
    if state.phase not in phases:
        why = f"{command.action} needs {state.segment} to be {' or '.join(phases)}; it is {state.phase}"
        return state, (refused(command, article, why),)
    if command.args.get("version", str(state.version)) != str(state.version):
        why = f"the screen showed version {command.args['version']}, the segment is at {state.version}; look again"
        return state, (refused(command, "policy", why),)
    match command.action:
        case "PROPOSE_TRIP":
            return _propose(state, command, rules, context)
        case "CONFIRM_TRIP":
            return _confirm(state, command, rules, context)
        case "REJECT_TRIP":
            return _reject(state, command, rules, context)
        case "CONFIRM_RECOVER":
            return _recover(state, command, rules, context)
        case "DECIDE_SUSPEND":
            return suspension.decide(state, command, rules, context)
        case "EXTEND_SUSPENSION":
            return suspension.extend(state, command, rules)
        case "CONFIRM_REGIME28":
            return suspension.confirm_long(state, command, rules)
        case "APPLY_RESUME":
            return suspension.apply(state, command, rules)
        case _:
            return suspension.resume(state, command, rules, context)


def _cause(args: Mapping[str, str], known_reference: str = "") -> tuple[str, str, str]:
    """Return the cause that an order names, its reference, and what is wrong with them; empty texts where there is none."""
    name, reference = args.get("cause", "").strip(), args.get("reference", "").strip() or known_reference
    if not name:
        return "", reference, ""
    if name not in tuple(Cause):
        return "", "", f"unknown cause {name!r}; Art. 5 knows {', '.join(Cause)}"
    if needs_reference(Cause(name)) and not reference:
        return "", "", f"{name} ({CAUSE_ARTICLES[Cause(name)]}) needs the warning or document that shows it; give reference=…"
    return name, reference, ""


def _propose(state: SegmentState, command: CommandGiven, rules: MarketRules, context: Context) -> Step:
    """PROPOSE_TRIP: for a cause no detector sees; somebody else confirms it (Art. 23(3))."""
    article, args, now_ns = ORDERS[command.action].article, command.args, command.ts_event_ns
    cause, reference, wrong = _cause(args)
    if not cause:
        return state, (refused(command, "Art. 5", wrong or "the cause is missing; give cause=…"),)
    day = args.get("operating_day", "").strip()
    if state.segment is Segment.DA:
        day, wrong = _proposed_day(day, now_ns, rules, context)
    elif day:
        wrong = "operating_day belongs to the day-ahead market; give segment=DA, or leave it out"
    if wrong:
        return state, (refused(command, article, wrong),)
    reason = args.get("reason", "").strip()
    cited = CAUSE_ARTICLES[Cause(cause)]
    evidence = (reason, f"cause: {cause} ({cited})", *((f"reference: {reference}",) if reference else ()))
    condition = Condition(
        basis="OTHER",
        met_at_ns=now_ns,
        article=article,
        evidence=evidence,
        auto_allowed=False,
        details={"item": cited, "reference": reference, "reason": reason},
        operating_day=day,
        cause=cause,
        reference=reference,
        proposed_by=command.by,
    )
    return proposed(state, condition, now_ns, event=Event.PROPOSE_TRIP, by=command.by)


def _proposed_day(day: str, now_ns: int, rules: MarketRules, context: Context) -> tuple[str, str]:
    """Return the first operating day of a proposed trip, and what is wrong with the one that was given."""
    if not day:
        if context.first_day_ns is not None:
            return civil_day(context.first_day_ns, rules.zone), ""
        return first_day(now_ns, rules, context.intervals), ""
    try:
        start_ns = day_start_ns(day, rules.zone)
    except UnitError as exc:
        return "", f"operating_day: {exc}"
    if start_ns <= now_ns:
        return "", f"operating day {day} has begun; a trip is never back-dated, so name a later one"
    return day, ""


def _confirm(state: SegmentState, command: CommandGiven, rules: MarketRules, context: Context) -> Step:
    """CONFIRM_TRIP: trip what is proposed; a manual cause only by somebody other than its proposer (I19)."""
    assert state.condition is not None, "a proposal has a condition"
    condition = state.condition
    if condition.proposed_by == command.by:
        why = f"{command.by} proposed this trip; a second dispatcher must confirm it"
        return state, (refused(command, ORDERS[command.action].article, why),)
    cause, reference, wrong = _cause(command.args, condition.reference)
    if wrong:
        return state, (refused(command, "Art. 5", wrong),)
    details = condition.details
    if cause and condition.proposed_by:
        # The last word on the cause is that of the person who trips.
        details = {**details, "item": CAUSE_ARTICLES[Cause(cause)], "reference": reference}
    condition = replace(condition, cause=cause or condition.cause, reference=reference, details=details)
    return trip(state, condition, command.ts_event_ns, rules, context.intervals, event=Event.CONFIRM_TRIP, by=command.by)


def _reject(state: SegmentState, command: CommandGiven, rules: MarketRules, context: Context) -> Step:
    """REJECT_TRIP: what a detector found comes back while it holds; what a person proposed does not."""
    assert state.condition is not None, "a proposal has a condition"
    now_ns, reason = command.ts_event_ns, command.args.get("reason", "").strip()
    if not reason:
        return state, (refused(command, "policy", "a rejection needs a reason; give reason=…"),)
    rejected = state
    if not state.proposed_by:
        # It comes back as a proposal: what a person rejected does not trip by itself.
        returns = Waiting(condition=replace(state.condition, auto_allowed=False), not_before_ns=now_ns + rules.repropose_min * NS_PER_MIN)
        rejected = replace(state, waiting=(*state.waiting, returns))
    return unproposed(rejected, Event.REJECTED, now_ns, context.outage_start_ns, by=command.by, evidence=(reason,))


def _recover(state: SegmentState, command: CommandGiven, rules: MarketRules, context: Context) -> Step:
    """CONFIRM_RECOVER: dispatch alone ends a breaker (Art. 29); what still stands against it needs two persons and a reason."""
    article, args, now_ns = ORDERS[command.action].article, command.args, command.ts_event_ns
    if state.suspended_from_ns is not None:
        at = instant_text(state.suspended_from_ns, rules.zone)
        why = f"a suspension from {at} is decided; from then on the market resumes by application and approval (Art. 30)"
        return state, (refused(command, article, why),)
    needed = shadow_needed(state, rules)
    if state.shadow_ok < needed:
        why = f"recovery needs {needed} valid shadow clearings in a row; there are {state.shadow_ok}"
        return state, (refused(command, article, why),)
    if unchecked := suspension.open_checklist(args):
        return state, (refused(command, article, f"{unchecked[0]}; a recovery waits for it (Art. 30)"),)
    against = (
        *((f"still open: {', '.join(context.still_open)}",) if context.still_open else ()),
        *((f"active warnings: {', '.join(context.warnings)}",) if context.warnings else ()),
    )
    reason, second = args.get("reason", "").strip(), args.get("second", "").strip()
    evidence: tuple[str, ...] = ()
    if against:
        said = "; ".join(against)
        if args.get("override") != "yes" or not reason:
            why = f"what tripped the market stands against it: {said}; wait for it, or give override=yes and a reason"
            return state, (refused(command, article, why),)
        if not second or second == command.by:
            why = f"an override is the decision of two: {said}; name a second person other than {command.by} with second=…"
            return state, (refused(command, article, why),)
        evidence = (f"override: {reason}; {said}; second person: {second}",)
    effective_ns = boundary_ns(state, now_ns + rules.resume_notice_ns, rules)
    return effective(state, Event.RECOVERED, effective_ns, by=command.by, evidence=evidence)
