"""What the handling of an anomaly leaves in the record: receipts, reminders, approvals, cases, reference prices.

Bodies of decisions like those of :mod:`market.decisions`, which has the union of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from market.facts import Segment

__all__ = [
    "ApprovalRecorded",
    "ApprovalRequested",
    "ApprovalVoided",
    "CaseClosed",
    "CaseNoted",
    "CaseOpened",
    "DutyReceived",
    "DutyReminded",
    "ProfilePublished",
    "RegimeProposed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyReminded:
    """A duty that is open reached one of its reminder marks, or ran out of time.

    Attributes:
        hours: since it began.
        overdue: whether its time is over.
        missing: recipients whose receipt is missing.
    """

    duty: str
    segment: Segment | None
    key: str
    due_ns: int
    hours: float
    overdue: bool
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyReceived:
    """A recipient has what a duty owes it.

    Attributes:
        delivered_at_ns: when it was delivered; what the clock is judged by.
        reference: of the receipt.
    """

    duty: str
    segment: Segment | None
    key: str
    recipient: str
    delivered_at_ns: int
    reference: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequested:
    """Approval of a measure was asked of both bodies; it is bound to the digest of the measure's content (Art. 14, 16, 18, 22, 30)."""

    measure: str
    article: str
    digest: str
    scope: tuple[str, ...]
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRecorded:
    """A body said what it thinks of a measure.

    Attributes:
        body: GOV or REG.
        verdict: APPROVED or REFUSED.
        form: written, or oral where it is an emergency.
        scope: what of the measure is approved; all of it where empty.
    """

    measure: str
    body: str
    verdict: str
    form: str
    digest: str
    scope: tuple[str, ...]
    by: str
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalVoided:
    """What was approved was changed since: the approvals no longer count."""

    measure: str
    why: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOpened:
    """An anomaly case was opened (Art. 4 to 10).

    Attributes:
        case: number, as ``2026-06-10-01``.
        anomaly: class of Art. 6: CANNOT_START, CANNOT_CONTINUE, RESULT, NOT_ENDED.
        item: the item of the class, as ``Art. 9(2)``.
        discovered_ns: earliest of machine detection and staff record (Art. 11).
        major: whether Art. 4 asks for analysis and rectification: every breaker, cancellation and suspension.
    """

    case: str
    segment: Segment | None
    anomaly: str
    item: str
    discovered_ns: int
    subject: str
    major: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseNoted:
    """Something was entered in a case: its cause, an action, the analysis, a rectification item, that it became major.

    Attributes:
        entry: CAUSE, MAJOR, LINKED, DISCOVERED (an earlier instant), ACTION, ANALYSIS, RECTIFICATION, RECTIFIED, STATUS.
        text: what a person reads.
    """

    case: str
    entry: str
    text: str
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseClosed:
    """A case was closed: nothing of it is open any more (Art. 4)."""

    case: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeProposed:
    """A pricing rule would change from an operating day on, and a person must confirm it (Art. 28)."""

    segment: Segment
    regime: str
    from_ns: int
    article: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfilePublished:
    """Reference prices of Art. 27(3), as they would hold if an interruption began on ``day``; published before they are needed.

    Attributes:
        day: the operating day they are for, as ``2026-06-10``.
        window: first and last day that were looked at.
        price_cny_per_mwh: by settlement period; None where the sample is insufficient.
        sample: values each mean was made of.
        left_out: ``day period: why`` of values that do not count.
    """

    day: str
    window: tuple[str, str]
    period_min: int
    price_cny_per_mwh: tuple[float | None, ...]
    sample: tuple[int, ...]
    left_out: tuple[str, ...] = ()
    article: str = "Art. 27(3)"
