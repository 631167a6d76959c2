"""The duty ledger: what the articles oblige somebody to do, by when, and whether it was done (Art. 11, 18, 23 to 30).

A duty is opened by what the market does, reminds of itself while it is open, and is settled by what it asks for: a notice, the receipts
of its recipients, a report that a task is done, the end of the breaker. Time settles nothing: past its due instant a duty is overdue, and
stays open until it is done late. It is judged by when something was delivered, not by when that was entered.

What is settled is forgotten; the decisions have it. Reminders are those of the rules in force when the duty began.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Protocol

from market.causes import Role
from market.commands import ORDERS, refused
from market.decisions import Announcement, DecisionBody, Phase, RecoveryProposed, Transition
from market.dutyledger import BOTH, KINDS, PARTICIPANTS, Duty, DutyLedger, Page, Received, Step
from market.errors import UnitError
from market.facts import CommandGiven, Segment
from market.handling import (
    ApprovalRecorded,
    ApprovalRequested,
    ApprovalVoided,
    CaseNoted,
    CaseOpened,
    DutyReceived,
    DutyReminded,
    RegimeProposed,
)
from market.rules import MarketRules
from market.units import NS_PER_H, NS_PER_MIN, instant_ns, instant_text
from market.view import DutyView

__all__ = [
    "PARTICIPANTS",
    "BreakerSeen",
    "DutyLedger",
    "followed",
    "next_deadline_ns",
    "open_for",
    "ordered",
    "ticked",
    "unreported",
    "view",
]

_SUSPENDED: Final = (Phase.SUSPENDED, Phase.SUSPENDED_LONG)

_OVER_WITH_SUSPENSION: Final = ("apply", "confirm_regime28")

_OVER_WITH_BREAKER: Final = ("assess", "measures", "decide", *_OVER_WITH_SUSPENSION)
"""What nobody has to do any more once the market is back. The reports and the explanation stay due."""


class BreakerSeen(Protocol):
    """What the ledger reads of a segment, as it is after a transition (:class:`market.segment.SegmentState`)."""

    @property
    def phase(self) -> Phase: ...  # noqa: D102
    @property
    def applied_at_ns(self) -> int | None: ...  # noqa: D102
    @property
    def limit_from_ns(self) -> int | None: ...  # noqa: D102
    @property
    def ended_ns(self) -> int | None: ...  # noqa: D102


def followed(ledger: DutyLedger, body: DecisionBody, now_ns: int, rules: MarketRules, segment: BreakerSeen | None = None) -> Step:
    """Open and settle what a decision calls for.

    Args:
        body: any decision.
        segment: the state of the segment it is about, after it; None where it is about none.
    """
    if not isinstance(body, _FOLLOWED):
        return ledger, ()
    page = Page(ledger, now_ns, rules)
    match body:
        case Transition():
            assert segment is not None, "a transition is of a segment"
            _moved(page, body, segment)
        case Announcement():
            _announced(page, body)
        case RecoveryProposed():
            if segment is not None and segment.phase in _SUSPENDED and segment.applied_at_ns is None:
                page.open_once("apply", body.segment)
        case RegimeProposed():
            page.open_once("confirm_regime28", body.segment, article=body.article)
        case CaseOpened(segment=None):
            _anomaly(page, body.case, body.discovered_ns)
        case CaseNoted(entry="DISCOVERED"):
            for duty in page.about("announce_anomaly", body.case):
                page.withdraw(duty)
                _anomaly(page, body.case, instant_ns(body.text))
        case ApprovalRequested():
            for owner in BOTH:
                page.open("approval", _segment_of(body.measure), about=f"{body.measure}/{owner}", owner=owner, article=body.article)
        case ApprovalRecorded():
            _approved(page, body)
        case ApprovalVoided():
            for owner in BOTH:
                page.settle(page.about("approval", f"{body.measure}/{owner}"), now_ns, "lifted")
        case _:
            pass
    return page.written()


_FOLLOWED: Final = (
    *(Transition, Announcement, RecoveryProposed, RegimeProposed, CaseOpened, CaseNoted),
    *(ApprovalRequested, ApprovalRecorded, ApprovalVoided),
)
"""Bodies that may open or settle a duty; most do neither, and are many."""


def _moved(page: Page, body: Transition, segment: BreakerSeen) -> None:
    """A segment changed its state."""
    name, now_ns = body.segment, page.now_ns
    if body.basis == "EFFECTIVE":
        page.settle(page.of("limit", name), now_ns if segment.ended_ns is None else segment.ended_ns, "lifted")
        for kind in _OVER_WITH_BREAKER:
            page.settle(page.of(kind, name), now_ns, "lifted")
        return
    if body.after is Phase.TRIPPED:
        _tripped(page, body, segment)
        return
    if body.before is Phase.TRIPPED and body.after is Phase.OVERDUE:
        # A report of an earlier breaker that is owed still says nothing of this one.
        if not any(segment.ended_ns is None or report.opened_ns > segment.ended_ns for report in page.of("report", name)):
            page.open("report", name)
        for kind in ("assess", "measures", "decide"):
            page.open_once(kind, name)
    if body.before is Phase.OVERDUE and body.after is Phase.RESUMING:
        page.open("inform", name)
    if body.suspended_from_ns is not None:
        if decided := page.of("decide", name):
            page.settle(decided, now_ns)
            page.open("notice", name)
        if body.after is Phase.SUSPENDED:
            page.settle(page.of("limit", name), body.suspended_from_ns, "lifted")
    if body.basis == "RESUME_APPLIED":
        page.settle(page.of("apply", name), now_ns)
    if body.after is Phase.SUSPENDED_LONG:
        page.settle(page.of("confirm_regime28", name), now_ns)


def _tripped(page: Page, body: Transition, segment: BreakerSeen) -> None:
    """A breaker tripped: announce it, explain it, and end it in time. A breaker that goes on has its limit already.

    Where a suspension was to end and did not, what it asked for beside is over.
    """
    rules, clocks = page.rules, page.rules.duty_clocks
    for kind in _OVER_WITH_SUSPENSION:
        page.settle(page.of(kind, body.segment), page.now_ns, "lifted")
    page.open(
        "announce",
        body.segment,
        for_ns=rules.announce_target_min * NS_PER_MIN,
        marks_ns=(clocks.announce_warn_min * NS_PER_MIN, clocks.announce_max_min * NS_PER_MIN),
    )
    page.open(
        "explain",
        body.segment,
        for_ns=rules.explain_h * NS_PER_H,
        marks_ns=(hours * NS_PER_H for hours in clocks.explain_reminders_h),
    )
    page.open_once(
        "limit",
        body.segment,
        began_ns=segment.limit_from_ns,
        for_ns=rules.breaker_max_ns,
        marks_ns=(hours * NS_PER_H for hours in clocks.limit_reminders_h),
    )


def _announced(page: Page, body: Announcement) -> None:
    """A notice was published."""
    at_ns = body.published_at_ns
    match body.announcement_kind:
        case "TRIP":
            page.settle(page.of("announce", body.segment), at_ns)
            if body.facts.get("by_analogy") == "yes":
                page.open_once("confirm_analogy", body.segment)
        case "SUSPENSION":
            page.settle(page.of("notice", body.segment), at_ns)
        case "ANOMALY":
            page.settle(page.about("announce_anomaly", body.facts["case"]), at_ns)
        case _:
            pass


def _anomaly(page: Page, case: str, discovered_ns: int) -> None:
    """An anomaly of a trading session: participants are told of it within the time of Art. 11, from its discovery.

    Where staff record later that it was found earlier, its time counts from there: the earliest of both counts.
    """
    clocks = page.rules.duty_clocks
    page.open(
        "announce_anomaly",
        None,
        began_ns=discovered_ns,
        for_ns=clocks.anomaly_announce_min * NS_PER_MIN,
        marks_ns=(minutes * NS_PER_MIN for minutes in clocks.anomaly_reminders_min),
        about=case,
    )


def _approved(page: Page, body: ApprovalRecorded) -> None:
    """A body said what it thinks of a measure; what it said on the telephone is to be asked for in writing."""
    about = f"{body.measure}/{body.body}"
    page.settle(page.about("approval", about), page.now_ns)
    if body.form == "written":
        page.settle(page.about("written", about), page.now_ns)
    elif body.verdict == "APPROVED":
        page.open("written", _segment_of(body.measure), for_ns=page.rules.duty_clocks.oral_written_h * NS_PER_H, about=about)


def _segment_of(measure: str) -> Segment | None:
    """Return the segment a measure is about, as in ``RESUME/RT``; None where it names none."""
    what = measure.partition("/")[2]
    return Segment(what) if what in tuple(Segment) else None


def ordered(ledger: DutyLedger, command: CommandGiven, now_ns: int, rules: MarketRules) -> Step:
    """Enter a receipt, or that a task is done; or refuse to.

    Args:
        command: RECEIPT or COMPLETE_DUTY, in order by :func:`market.commands.refusal`. It names a duty by its key, or by its kind where
            one of that kind is open.
    """
    duty = _meant(ledger, command)
    if isinstance(duty, Duty):
        page = Page(ledger, now_ns, rules)
        why = _received(page, command, duty) if command.action == "RECEIPT" else _completed(page, command, duty)
        if not why:
            return page.written()
        return ledger, (refused(command, duty.article, why),)
    return ledger, (refused(command, ORDERS[command.action].article, duty),)


def _meant(ledger: DutyLedger, command: CommandGiven) -> Duty | str:
    """Return the duty an order speaks of, or why that cannot be told."""
    name, segment = command.args["duty"].strip(), command.args.get("segment", "")
    candidates = [each for each in ledger.duties if name in (each.key, each.duty) and segment in ("", each.segment)]
    if len(candidates) == 1:
        return candidates[0]
    where = f" of {segment}" if segment else ""
    if candidates:
        return f"{name}{where} is open {len(candidates)} times; give one of {', '.join(each.key for each in candidates)}"
    return f"no duty {name}{where} is open; open: {', '.join(each.key for each in ledger.duties) or 'none'}"


def _received(page: Page, command: CommandGiven, duty: Duty) -> str:
    """Enter a receipt, and settle the duty with the last one; or return why not."""
    recipient = command.args["recipient"].strip()
    zone = page.rules.zone
    if not duty.recipients:
        return f"{duty.key} is settled by no receipt but by {KINDS[duty.duty].settled_by or 'COMPLETE_DUTY'}"
    if recipient not in duty.recipients:
        return f"{duty.key} owes nothing to {recipient}; it owes {', '.join(duty.recipients)}"
    if command.role in BOTH and command.role != recipient:
        return f"{command.by} acts as {command.role} and cannot sign for {recipient}"
    if recipient not in duty.missing:
        return f"{recipient} has {duty.key} already"
    try:
        at_ns = instant_ns(command.args["delivered_at"]) if command.args.get("delivered_at") else page.now_ns
    except UnitError as exc:
        return f"delivered_at: {exc}"
    if at_ns > page.now_ns:
        return f"delivered_at {instant_text(at_ns, zone)} is to come; it is {instant_text(page.now_ns, zone)} now"
    if at_ns < duty.began_ns:
        return f"delivered_at {instant_text(at_ns, zone)} is before {duty.key} began, {instant_text(duty.began_ns, zone)}"
    signed = replace(duty, received=(*duty.received, Received(recipient=recipient, at_ns=at_ns)))
    page.duties[page.duties.index(duty)] = signed
    page.said.append(
        DutyReceived(
            duty=duty.duty,
            segment=duty.segment,
            key=duty.key,
            recipient=recipient,
            delivered_at_ns=at_ns,
            reference=command.args.get("reference", ""),
            by=command.by,
        )
    )
    if not signed.missing:
        page.settle((signed,), max(each.at_ns for each in signed.received))
    return ""


def _completed(page: Page, command: CommandGiven, duty: Duty) -> str:
    """Settle a task that its owner reports done; or return why not."""
    if how := KINDS[duty.duty].settled_by:
        return f"{duty.key} cannot be reported done: it is settled by {how}"
    if duty.owner != Role.MO and command.role != duty.owner:
        return f"{duty.key} belongs to {duty.owner}; {command.by} acts as {command.role}"
    page.settle((duty,), page.now_ns)
    return ""


def ticked(ledger: DutyLedger, now_ns: int, rules: MarketRules) -> Step:
    """Remind of what is open, each mark once, and say once of each duty that its time is over."""
    if not any(at_ns <= now_ns for at_ns in _instants(ledger)):
        return ledger, ()
    said: list[DecisionBody] = []
    duties = tuple(_reminded(duty, now_ns, said) for duty in ledger.duties)
    return replace(ledger, duties=duties), tuple(said)


def _reminded(duty: Duty, now_ns: int, said: list[DecisionBody]) -> Duty:
    """Say what is to be said of a duty by now, in the order of its instants."""
    due_ns = duty.due_ns
    if due_ns is None:
        return duty
    past_ns = [at_ns for at_ns in duty.marks_ns if at_ns <= now_ns]
    over = now_ns > due_ns and not duty.overdue_told
    told = [(at_ns, at_ns > due_ns) for at_ns in past_ns] + [(due_ns, True)] * over
    for at_ns, overdue in sorted(told):
        hours = (at_ns - duty.began_ns) / NS_PER_H
        said.append(
            DutyReminded(
                duty=duty.duty, segment=duty.segment, key=duty.key, due_ns=due_ns, hours=hours, overdue=overdue, missing=duty.missing
            )
        )
    return replace(duty, marks_ns=duty.marks_ns[len(past_ns) :], overdue_told=duty.overdue_told or over)


def next_deadline_ns(ledger: DutyLedger, now_ns: int, rules: MarketRules) -> int | None:
    """Return the next instant after ``now_ns`` at which :func:`ticked` would do something, or None; the next of all where it is late."""
    instants = _instants(ledger)
    return max(now_ns + 1, min(instants)) if instants else None


def _instants(ledger: DutyLedger) -> list[int]:
    """Return every instant from which something is to be said."""
    ends_ns = [duty.due_ns + 1 for duty in ledger.duties if duty.due_ns is not None and not duty.overdue_told]
    return [*ends_ns, *(at_ns for duty in ledger.duties for at_ns in duty.marks_ns)]


_UNREPORTED: Final = {"assess": "assessment of impact and trend", "measures": "emergency measures"}


def unreported(ledger: DutyLedger, segment: Segment) -> tuple[str, ...]:
    """Return what Art. 25 asks for before a suspension is decided and is missing, in words; of the reports the latest counts."""
    missing: list[str] = []
    latest = next((duty for duty in reversed(ledger.duties) if duty.segment == segment and duty.duty == "report"), None)
    for duty in ledger.duties:
        if duty is latest:
            missing += (f"report to {recipient}" for recipient in duty.missing)
        elif duty.segment == segment and duty.duty in _UNREPORTED:
            missing.append(_UNREPORTED[duty.duty])
    return tuple(missing)


def open_for(ledger: DutyLedger, segment: Segment | None, since_ns: int, until_ns: int | None = None, case: str = "") -> tuple[str, ...]:
    """Return what is still to be done about a case, in words.

    Args:
        segment: of the case; its duties opened at ``since_ns`` or later count, and before ``until_ns`` where it is given.
        case: number of the case; duties about itself count.
    """

    def theirs(duty: Duty) -> bool:
        if case and duty.about == case:
            return True
        theirs = segment is not None and duty.segment == segment and since_ns <= duty.opened_ns
        return theirs and (until_ns is None or duty.opened_ns < until_ns)

    found = [duty for duty in ledger.duties if theirs(duty)]
    return tuple(f"{duty.key} ({', '.join(duty.missing)} missing)" if duty.missing else duty.key for duty in found)


def view(ledger: DutyLedger, now_ns: int) -> tuple[DutyView, ...]:
    """Return the duties that are open as people see them."""
    return tuple(
        DutyView(
            key=duty.key,
            duty=duty.duty,
            segment=duty.segment,
            article=duty.article,
            owner=duty.owner,
            opened_ns=duty.opened_ns,
            due_ns=duty.due_ns,
            overdue=duty.due_ns is not None and now_ns > duty.due_ns,
            missing=duty.missing,
        )
        for duty in ledger.duties
    )
