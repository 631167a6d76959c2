"""What is remembered of an anomaly case, and what a detector of situations says of one (Art. 4 to 10).

A case is small: its timeline is the chain of decisions, where every entry of it stands; here is only what its next entry depends on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from market.causes import CAUSE_ARTICLES, AnomalyClass, Cause
from market.decisions import DecisionBody, Phase
from market.facts import Segment
from market.handling import CaseClosed, CaseNoted, CaseOpened
from market.rules import MarketRules
from market.units import civil_day

__all__ = [
    "ITEMS",
    "Case",
    "CaseBook",
    "Closed",
    "Situation",
    "Standing",
    "Step",
    "cause_text",
    "closed",
    "entered",
    "item_of",
    "opened",
    "put",
    "running",
]

_CLOSED_REMEMBERED: Final = 16

ITEMS: Final[Mapping[AnomalyClass, tuple[str, ...]]] = {
    AnomalyClass.CANNOT_START: tuple(f"Art. 7({item})" for item in range(1, 7)),
    AnomalyClass.CANNOT_CONTINUE: tuple(f"Art. 8({item})" for item in range(1, 4)),
    AnomalyClass.RESULT: tuple(f"Art. 9({item})" for item in range(1, 4)),
    AnomalyClass.NOT_ENDED: ("Art. 10",),
}
"""Class of Art. 6 → its items."""

_ITEM: Final = re.compile(r"(?:art\.?\s*)?(\d+)\s*(?:\(\s*(\d+)\s*\))?", re.IGNORECASE)


def item_of(text: str) -> str:
    """Write an item of Art. 7 to 10 the one way it stands in records; what is no item comes back empty.

    >>> item_of("7(5)"), item_of("art. 10"), item_of("7")
    ('Art. 7(5)', 'Art. 10', '')
    """
    found = _ITEM.fullmatch(text.strip())
    if found is None:
        return ""
    written = f"Art. {found[1]}" + (f"({found[2]})" if found[2] else "")
    return written if any(written in items for items in ITEMS.values()) else ""


class Standing(StrEnum):
    """What a detector says of a situation: that it may come, that it is there, that there is more of it, that it is over."""

    WARNING = "WARNING"
    FOUND = "FOUND"
    MORE = "MORE"
    OVER = "OVER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Something a detector saw of a trading session; what is FOUND opens a case.

    Attributes:
        finding: its name in the record: LOGINS_FAIL, ORDERS_FAIL, WINDOW_NOT_CLOSED, NOT_ENDED, QUARANTINED.
        anomaly: class of Art. 6; item: of the class, as ``Art. 7(5)``.
        subject: what it is about, as ``session S``.
        discovered_ns: the instant the machine knew.
        evidence: numbered facts a person can check, in English.
    """

    finding: str
    standing: Standing
    anomaly: AnomalyClass
    item: str
    subject: str
    discovered_ns: int
    evidence: tuple[str, ...]


class Case(Struct, frozen=True, kw_only=True):
    """An open case.

    Attributes:
        case: number, as ``2026-06-10-01``.
        key: what makes another finding one of this case: the segment, or class and subject.
        version: counts entries, so that an order given to a stale screen can be told.
        discovered_ns: earliest of machine detection and staff record (Art. 11); opened_ns: when it was opened here.
        major: whether Art. 4 asks for analysis and rectification.
        watched: whether a machine knows when the anomaly is over; over: whether it is.
        phase: of its segment, where it is the case of one.
        by_person: whether a person opened it, so that it never closes by itself.
        cause: of Art. 5, presumed where ``presumed``; empty before anybody said.
        analysed: whether the analysis was entered.
        to_rectify: items that are open; rectified: those that are done.
    """

    case: str
    key: str
    segment: Segment | None
    anomaly: str
    item: str
    subject: str
    discovered_ns: int
    version: int = 1
    major: bool = False
    watched: bool = True
    over: bool = False
    phase: Phase | None = None
    by_person: bool = False
    cause: str = ""
    presumed: bool = False
    reference: str = ""
    analysed: bool = False
    to_rectify: tuple[str, ...] = ()
    rectified: tuple[str, ...] = ()
    opened_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A case that was closed."""

    case: str
    closed_ns: int


class CaseBook(Struct, frozen=True, kw_only=True):
    """All that is remembered of cases.

    Attributes:
        cases: those that are open, in the order they were opened.
        closed: the last ones that were closed, so that an order for one of them is told so.
        day, numbered: civil day and count of the last number.
    """

    cases: tuple[Case, ...] = ()
    closed: tuple[Closed, ...] = ()
    day: str = ""
    numbered: int = 0


def running(book: CaseBook, key: str) -> Case | None:
    """Return the open case of a key whose anomaly is not over, or None."""
    return next((case for case in book.cases if case.key == key and not case.over), None)


def cause_text(case: Case) -> str:
    """Write the cause of a case with its article, its reference, and whether anybody said so."""
    if not case.cause:
        return "not known"
    reference = f", {case.reference}" if case.reference else ""
    return f"{case.cause} ({CAUSE_ARTICLES[Cause(case.cause)]}){reference}{', presumed' if case.presumed else ''}"


Step = tuple[CaseBook, tuple[DecisionBody, ...]]


def opened(book: CaseBook, case: Case, now_ns: int, rules: MarketRules) -> tuple[CaseBook, Case, CaseOpened]:
    """Number a new case and say that it is open.

    Args:
        case: without its number.
    """
    day = civil_day(now_ns, rules.zone)
    count = book.numbered + 1 if day == book.day else 1
    case = replace(case, case=f"{day}-{count:02d}", opened_ns=now_ns)
    body = CaseOpened(
        case=case.case,
        segment=case.segment,
        anomaly=case.anomaly,
        item=case.item,
        discovered_ns=case.discovered_ns,
        subject=case.subject,
        major=case.major,
    )
    return replace(book, cases=(*book.cases, case), day=day, numbered=count), case, body


def put(book: CaseBook, case: Case) -> CaseBook:
    """Return the book with an open case as it is now."""
    return replace(book, cases=tuple(case if kept.case == case.case else kept for kept in book.cases))


def entered(book: CaseBook, case: Case, entry: str, text: str, by: str = "") -> tuple[CaseBook, Case, CaseNoted]:
    """Make an entry in an open case.

    Args:
        case: as it is with the entry, but for its version.
        entry: CAUSE, MAJOR, LINKED, DISCOVERED, ACTION, ANALYSIS, RECTIFICATION, RECTIFIED, STATUS.
    """
    case = replace(case, version=case.version + 1)
    return put(book, case), case, CaseNoted(case=case.case, entry=entry, text=text, by=by)


def closed(book: CaseBook, case: Case, now_ns: int, by: str = "") -> tuple[CaseBook, CaseClosed]:
    """Close a case and forget it, but for its number."""
    left = tuple(kept for kept in book.cases if kept.case != case.case)
    remembered = (*book.closed, Closed(case=case.case, closed_ns=now_ns))[-_CLOSED_REMEMBERED:]
    return replace(book, cases=left, closed=remembered), CaseClosed(case=case.case, by=by)
