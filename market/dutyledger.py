"""The duties that are open, and how one is opened, reminded of and settled.

:mod:`market.duties` says what opens and settles which of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from market.causes import BODIES, Role
from market.decisions import DecisionBody, DutyOpened, DutySettled
from market.facts import Segment
from market.rules import MarketRules
from market.units import NS_PER_S, instant_text

__all__ = ["BOTH", "KINDS", "PARTICIPANTS", "Duty", "DutyLedger", "Kind", "Page", "Received", "Step"]

PARTICIPANTS: Final = "PARTICIPANTS"
"""All participants of the market, as one recipient."""

BOTH: Final = tuple(str(body) for body in BODIES)
"""The government department and the regulator, as recipients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of duty.

    Attributes:
        owner: the role that has to do it.
        article: that asks for it.
        recipients: whose receipts settle it.
        settled_by: what settles it, for people; empty where its owner reports it done.
    """

    owner: Role
    article: str
    recipients: tuple[str, ...] = ()
    settled_by: str = ""


KINDS: Final[Mapping[str, Kind]] = {
    "announce": Kind(owner=Role.DISPATCH, article="policy Q9", settled_by="the announcement of the trip"),
    "explain": Kind(owner=Role.DISPATCH, article="Art. 24", recipients=(*BOTH, PARTICIPANTS), settled_by="receipts"),
    "limit": Kind(owner=Role.DISPATCH, article="Art. 25", settled_by="the end of the breaker"),
    "confirm_analogy": Kind(owner=Role.TRADING, article="Art. 27(3)"),
    "report": Kind(owner=Role.MO, article="Art. 25", recipients=BOTH, settled_by="receipts"),
    "assess": Kind(owner=Role.MO, article="Art. 25"),
    "measures": Kind(owner=Role.MO, article="Art. 25"),
    "decide": Kind(owner=Role.MO, article="Art. 25", settled_by="the decision to suspend, or the end of the breaker"),
    "inform": Kind(owner=Role.DISPATCH, article="Art. 29", recipients=BOTH, settled_by="receipts"),
    "notice": Kind(owner=Role.MO, article="Art. 26", settled_by="the notice of the suspension"),
    "confirm_regime28": Kind(owner=Role.TRADING, article="Art. 28", settled_by="the order CONFIRM_REGIME28"),
    "apply": Kind(owner=Role.MO, article="Art. 30", settled_by="the order APPLY_RESUME"),
    "approval": Kind(owner=Role.GOV, article="Art. 18", settled_by="what the body says of the measure"),
    "written": Kind(owner=Role.MO, article="Art. 18"),
    "announce_anomaly": Kind(owner=Role.TRADING, article="Art. 11"),
}
"""Every kind of duty, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A recipient has what it is owed, since ``at_ns``."""

    recipient: str
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """A duty that is open.

    Attributes:
        key: identity, as ``explain/RT/2026-06-10T12:00:30+08:00``.
        about: what settles it beside its segment: a case, a measure; empty where the segment says it all.
        owner: the role that has to do it.
        began_ns: from when its time counts; earlier than it was opened where a clock goes on.
        due_ns: last instant that is in time; None for a task without a clock.
        marks_ns: reminders still to come, in order.
        overdue_told: whether it was said that its time is over.
        recipients: whose receipts settle it; received: those there are.
    """

    duty: str
    segment: Segment | None
    key: str
    article: str
    owner: str
    opened_ns: int
    began_ns: int
    about: str = ""
    due_ns: int | None = None
    marks_ns: tuple[int, ...] = ()
    overdue_told: bool = False
    recipients: tuple[str, ...] = ()
    received: tuple[Received, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Recipients without a receipt."""
        there = {each.recipient for each in self.received}
        return tuple(each for each in self.recipients if each not in there)


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyLedger:
    """The duties that are open, in the order they were opened."""

    duties: tuple[Duty, ...] = ()


Step = tuple[DutyLedger, tuple[DecisionBody, ...]]


class Page:
    """A ledger while it is written: what is opened and settled now, and the record of that in order."""

    def __init__(self, ledger: DutyLedger, now_ns: int, rules: MarketRules) -> None:
        self.ledger = ledger
        self.duties = list(ledger.duties)
        self.now_ns = now_ns
        self.rules = rules
        self.said: list[DecisionBody] = []

    def written(self) -> Step:
        """Return the ledger as it is now, and what was put on record; where that is nothing, it is the ledger it was."""
        if not self.said:
            return self.ledger, ()
        return DutyLedger(duties=tuple(self.duties)), tuple(self.said)

    def of(self, kind: str, segment: Segment | None) -> list[Duty]:
        """Return the open duties of one kind and segment."""
        return [each for each in self.duties if each.duty == kind and each.segment == segment]

    def about(self, kind: str, about: str) -> list[Duty]:
        """Return the open duties of one kind about one thing."""
        return [each for each in self.duties if each.duty == kind and each.about == about]

    def open(
        self,
        kind: str,
        segment: Segment | None,
        *,
        began_ns: int | None = None,
        for_ns: int | None = None,
        marks_ns: Iterable[int] = (),
        about: str = "",
        owner: str = "",
        article: str = "",
    ) -> None:
        """Open a duty, unless it is open.

        Args:
            began_ns: from when its time counts; from now on where it is not given.
            for_ns: how long it may take, ns; None for a task without a clock.
            marks_ns: when people are reminded of it, ns since it began; what is over by now is left out.
        """
        began_ns = self.now_ns if began_ns is None else began_ns
        key = f"{kind}/{about or f'{segment}/{instant_text(began_ns, self.rules.zone)}'}"
        if any(each.key == key for each in self.duties):
            return
        duty = Duty(
            duty=kind,
            segment=segment,
            key=key,
            article=article or KINDS[kind].article,
            owner=owner or KINDS[kind].owner,
            opened_ns=self.now_ns,
            began_ns=began_ns,
            about=about,
            due_ns=None if for_ns is None else began_ns + for_ns,
            marks_ns=tuple(began_ns + mark_ns for mark_ns in marks_ns if began_ns + mark_ns > self.now_ns),
            recipients=KINDS[kind].recipients,
        )
        self.duties.append(duty)
        self.said.append(
            DutyOpened(
                duty=kind,
                segment=segment,
                due_ns=duty.due_ns,
                article=duty.article,
                key=key,
                recipients=duty.recipients,
                owner=duty.owner,
            )
        )

    def open_once(
        self,
        kind: str,
        segment: Segment | None,
        *,
        began_ns: int | None = None,
        for_ns: int | None = None,
        marks_ns: Iterable[int] = (),
        article: str = "",
    ) -> None:
        """Open a duty of which a segment has one at a time, unless it has it."""
        if not self.of(kind, segment):
            self.open(kind, segment, began_ns=began_ns, for_ns=for_ns, marks_ns=marks_ns, article=article)

    def withdraw(self, duty: Duty) -> None:
        """Take a duty back whose time was counted from the wrong instant, to be opened from the right one; it is neither met nor late."""
        margin_ns = 0 if duty.due_ns is None else duty.due_ns - self.now_ns
        self.duties.remove(duty)
        self.said.append(DutySettled(duty=duty.duty, segment=duty.segment, outcome="lifted", margin_s=margin_ns / NS_PER_S, key=duty.key))

    def settle(self, duties: Iterable[Duty], at_ns: int, outcome: str = "met") -> None:
        """Settle duties by what happened at an instant; what happened after its due instant is late."""
        for duty in duties:
            margin_ns = 0 if duty.due_ns is None else duty.due_ns - at_ns
            self.duties.remove(duty)
            self.said.append(
                DutySettled(
                    duty=duty.duty,
                    segment=duty.segment,
                    outcome=outcome if margin_ns >= 0 else "late",
                    margin_s=margin_ns / NS_PER_S,
                    key=duty.key,
                )
            )
