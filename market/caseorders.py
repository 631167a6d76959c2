"""What people order of anomaly cases: to open one, to say its cause, to enter what was done, to close it (Art. 4 to 6)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Final

from msgspec.structs import replace

from market.caserecord import ITEMS, Case, CaseBook, Step, cause_text, closed, entered, item_of, opened, running
from market.causes import BODIES, AnomalyClass, Cause, needs_reference
from market.commands import ORDERS, refused
from market.decisions import DecisionBody, Refused
from market.errors import UnitError
from market.facts import CommandGiven, Segment
from market.rules import MarketRules
from market.units import civil_day, instant_ns, instant_text
from market.view import CaseView

__all__ = ["OpenDuties", "ordered", "unknown", "view"]

OpenDuties = Callable[[Segment | None, int, int | None, str], tuple[str, ...]]
"""(segment, from when, until when, ns, and number of a case) → duties of it that are open, in words."""


def ordered(book: CaseBook, command: CommandGiven, now_ns: int, rules: MarketRules, open_duties: OpenDuties) -> Step:
    """Carry out an order for a case, or refuse it.

    Args:
        command: one that :func:`market.commands.refusal` lets pass.
        now_ns: event time.
        open_duties: asked when a case is to be closed.

    Returns:
        The book and what was done; where it is refused, the book as it was and the refusal alone.
    """
    if command.action == "OPEN_CASE":
        return _open(book, command, now_ns, rules)
    number = command.args["case"].strip()
    case = next((case for case in book.cases if case.case == number), None)
    if case is None:
        return _no(book, command, unknown(book, number, rules), "policy")
    shown = command.args.get("version", str(case.version))
    if shown != str(case.version):
        return _no(book, command, f"the screen showed version {shown}, case {number} is at {case.version}; look again", "policy")
    match command.action:
        case "SET_CAUSE":
            return _caused(book, case, command)
        case "NOTE_ACTION":
            return _noted(book, case, "ACTION", command)
        case "ANALYSE_CASE":
            return _noted(book, replace(case, analysed=True), "ANALYSIS", command)
        case "RECTIFY":
            return _to_rectify(book, case, command, now_ns, rules)
        case "RECTIFIED":
            return _rectified(book, case, command)
        case _:
            assert command.action == "CLOSE_CASE", f"{command.action} is no order for a case"
            return _close(book, case, command, now_ns, open_duties)


def _no(book: CaseBook, command: CommandGiven, why: str, rule: str = "") -> tuple[CaseBook, tuple[Refused]]:
    return book, (refused(command, rule or ORDERS[command.action].article, why),)


def unknown(book: CaseBook, number: str, rules: MarketRules) -> str:
    """Say why an order finds no open case of a number: it was closed, or there never was one."""
    over = next((case for case in book.closed if case.case == number), None)
    if over is not None:
        return f"case {number} was closed at {instant_text(over.closed_ns, rules.zone)}; open another with OPEN_CASE"
    known = ", ".join(case.case for case in book.cases) or "none"
    return f"no case {number!r} is open; open: {known}"


def _open(book: CaseBook, command: CommandGiven, now_ns: int, rules: MarketRules) -> Step:
    args = {name: value.strip() for name, value in command.args.items()}
    anomaly, item, segment = args["class"], item_of(args["item"]), args.get("segment", "")
    if anomaly not in tuple(AnomalyClass):
        return _no(book, command, f"{anomaly!r} is no class of Art. 6; use {' or '.join(AnomalyClass)}")
    if item not in ITEMS[AnomalyClass(anomaly)]:
        return _no(book, command, f"{args['item']!r} is no item of {anomaly}; use {' or '.join(ITEMS[AnomalyClass(anomaly)])}")
    if segment and segment not in tuple(Segment):
        return _no(book, command, f"{segment!r} is no segment; a case is of RT or of DA, or of neither for a trading session", "policy")
    try:
        discovered_ns = instant_ns(args["discovered_at"]) if args.get("discovered_at") else now_ns
    except UnitError as exc:
        return _no(book, command, f"discovered_at: {exc}", "policy")
    if discovered_ns > now_ns:
        said = instant_text(discovered_ns, rules.zone)
        return _no(
            book, command, f"discovered_at {said} lies ahead of {instant_text(now_ns, rules.zone)}; give when it was found", "Art. 11"
        )
    if args.get("cause") and (why := _no_cause(command)):
        return _no(book, command, why, "Art. 5")
    new = Case(
        case="",
        key=_key(anomaly, item, segment, args["subject"]),
        segment=Segment(segment) if segment else None,
        anomaly=anomaly,
        item=item,
        subject=args["subject"],
        discovered_ns=discovered_ns,
        watched=False,
        by_person=True,
        cause=args.get("cause", ""),
        reference=args.get("reference", "") if args.get("cause") else "",
    )
    case = running(book, new.key)
    if case is not None:
        return _joined(book, case, new, command, rules)
    bodies: list[DecisionBody] = []
    book, case, announced = opened(book, new, now_ns, rules)
    bodies.append(announced)
    if case.cause:
        book, case, noted = entered(book, case, "CAUSE", cause_text(case), command.by)
        bodies.append(noted)
    if args.get("text"):
        book, case, noted = entered(book, case, "STATUS", args["text"], command.by)
        bodies.append(noted)
    return book, tuple(bodies)


def _key(anomaly: str, item: str, segment: str, subject: str) -> str:
    """Return what makes another record one of the same case (:attr:`market.caserecord.Case.key`)."""
    if not segment:
        return f"{anomaly}/{subject.casefold()}"
    return f"{segment}/{item}" if item == "Art. 9(1)" else segment


def _joined(book: CaseBook, case: Case, new: Case, command: CommandGiven, rules: MarketRules) -> Step:
    """Enter a person's record of an anomaly that has a case; the discovery is the earliest of both (Art. 11)."""
    text = command.args.get("text", "").strip()
    said_at = instant_text(new.discovered_ns, rules.zone)
    linked = f"{new.item}, {new.subject}, found {said_at}{f': {text}' if text else ''}"
    book, case, noted = entered(book, case, "LINKED", linked, command.by)
    bodies: list[DecisionBody] = [noted]
    if new.discovered_ns < case.discovered_ns:
        case = replace(case, discovered_ns=new.discovered_ns)
        book, case, noted = entered(book, case, "DISCOVERED", said_at, command.by)
        bodies.append(noted)
    if new.cause:
        case = replace(case, cause=new.cause, presumed=False, reference=new.reference)
        book, case, noted = entered(book, case, "CAUSE", cause_text(case), command.by)
        bodies.append(noted)
    return book, tuple(bodies)


def _no_cause(command: CommandGiven) -> str:
    """Say why the cause of an order is none of Art. 5, or is not shown; empty where it is in order."""
    cause, reference = command.args["cause"].strip(), command.args.get("reference", "").strip()
    if cause not in tuple(Cause):
        return f"{cause!r} is no cause of Art. 5; use {' or '.join(Cause)}"
    if needs_reference(Cause(cause)) and not reference:
        return f"{cause} needs the document that shows it; give reference=…"
    if command.role in BODIES and cause != Cause.DETERMINED:
        return f"{command.role} determines what Art. 5(1) to (4) do not name: cause={Cause.DETERMINED}; the operators say the others"
    return ""


def _caused(book: CaseBook, case: Case, command: CommandGiven) -> Step:
    if why := _no_cause(command):
        return _no(book, command, why)
    told = replace(case, cause=command.args["cause"].strip(), presumed=False, reference=command.args.get("reference", "").strip())
    text = command.args.get("text", "").strip()
    book, _, noted = entered(book, told, "CAUSE", f"{cause_text(told)}{f': {text}' if text else ''}", command.by)
    return book, (noted,)


def _noted(book: CaseBook, case: Case, entry: str, command: CommandGiven) -> Step:
    book, _, noted = entered(book, case, entry, command.args["text"].strip(), command.by)
    return book, (noted,)


def _due_text(due: str, now_ns: int, rules: MarketRules) -> tuple[str, str]:
    """Return a rectification's due day, and what is wrong with it."""
    try:
        day = date.fromisoformat(due).isoformat()
    except ValueError:
        return "", f"due {due!r} is not a day written YYYY-MM-DD"
    today = civil_day(now_ns, rules.zone)
    return day, f"due {day} is over; today is {today}" if day < today else ""


def _to_rectify(book: CaseBook, case: Case, command: CommandGiven, now_ns: int, rules: MarketRules) -> Step:
    item, text = command.args["item"].strip(), command.args["text"].strip()
    owner, due = command.args.get("owner", "").strip(), command.args.get("due", "").strip()
    if item in (*case.to_rectify, *case.rectified):
        return _no(book, command, f"case {case.case} has an item {item!r} already; give another name", "policy")
    if due:
        due, wrong = _due_text(due, now_ns, rules)
        if wrong:
            return _no(book, command, wrong, "policy")
    more = "".join((f"; due {due}" if due else "", f"; owner {owner}" if owner else ""))
    case = replace(case, to_rectify=(*case.to_rectify, item))
    book, _, noted = entered(book, case, "RECTIFICATION", f"{item}: {text}{more}", command.by)
    return book, (noted,)


def _rectified(book: CaseBook, case: Case, command: CommandGiven) -> Step:
    item, text = command.args["item"].strip(), command.args.get("text", "").strip()
    if item not in case.to_rectify:
        done = "is done already" if item in case.rectified else "is none of it"
        known = ", ".join(case.to_rectify) or "none"
        return _no(book, command, f"item {item!r} of case {case.case} {done}; open: {known}", "policy")
    left = tuple(kept for kept in case.to_rectify if kept != item)
    case = replace(case, to_rectify=left, rectified=(*case.rectified, item))
    book, _, noted = entered(book, case, "RECTIFIED", f"{item}{f': {text}' if text else ''}", command.by)
    return book, (noted,)


_ANALYSIS: Final = "an analysis of the cause (ANALYSE_CASE)"
_RECTIFICATION: Final = "items that are to be rectified (RECTIFY)"


def _span(book: CaseBook, case: Case) -> tuple[Segment | None, int, int | None]:
    """Return whose duties are a case's, and when they were opened: those of the breaker it is about, and of no later one."""
    later = (each.opened_ns for each in book.cases if each.key == case.key and each.opened_ns > case.opened_ns)
    return case.segment if case.key == case.segment else None, min(case.opened_ns, case.discovered_ns), min(later, default=None)


def _gaps(book: CaseBook, case: Case, open_duties: OpenDuties) -> tuple[str, ...]:
    """Return what keeps a case open, in words."""
    gaps: list[str] = []
    if case.watched and not case.over:
        gaps.append("the end of the anomaly" if case.phase is None else f"the end of the anomaly: the segment is {case.phase}")
    if not case.cause:
        gaps.append("a cause of Art. 5 (SET_CAUSE)")
    if case.major and not case.analysed:
        gaps.append(_ANALYSIS)
    if case.major and not case.to_rectify and not case.rectified:
        gaps.append(_RECTIFICATION)
    gaps += [f"item {item!r} to be rectified (RECTIFIED)" for item in case.to_rectify]
    gaps += [f"duty {duty}" for duty in open_duties(*_span(book, case), case.case)]
    return tuple(gaps)


def _close(book: CaseBook, case: Case, command: CommandGiven, now_ns: int, open_duties: OpenDuties) -> Step:
    if gaps := _gaps(book, case, open_duties):
        return _no(book, command, f"case {case.case} waits for {'; '.join(gaps)}")
    bodies: list[DecisionBody] = []
    if text := command.args.get("text", "").strip():
        book, case, noted = entered(book, case, "STATUS", text, command.by)
        bodies.append(noted)
    book, end = closed(book, case, now_ns, command.by)
    return book, (*bodies, end)


def view(book: CaseBook, open_duties: OpenDuties) -> tuple[CaseView, ...]:
    """Return the cases that are open as people see them, each with what keeps it open."""
    return tuple(
        CaseView(
            case=case.case,
            version=case.version,
            segment=case.segment,
            anomaly=case.anomaly,
            item=case.item,
            subject=case.subject,
            status="over" if case.over else str(case.phase or "open"),
            cause=case.cause,
            discovered_ns=case.discovered_ns,
            major=case.major,
            missing=_gaps(book, case, open_duties),
        )
        for case in book.cases
    )
