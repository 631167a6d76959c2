"""What was decided: the records of ``market.decisions.v1``, each chained to the one before it by its hash.

A decision is a body (what happened) in an envelope (its number, its instant, the rule set in force, the chain). Numbers are
consecutive and are a function of the machine's state, so a decision that is made again after a crash has the same number and the
same bytes: it is stored at least once and shown once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Final, get_args

import msgspec

from market.facts import Segment
from market.handling import (
    ApprovalRecorded,
    ApprovalRequested,
    ApprovalVoided,
    CaseClosed,
    CaseNoted,
    CaseOpened,
    DutyReceived,
    DutyReminded,
    ProfilePublished,
    RegimeProposed,
)
from market.version import CODE

__all__ = [
    "GENESIS",
    "Announcement",
    "AnomalyNoted",
    "BrokenChain",
    "ClearingOrdered",
    "CommandAccepted",
    "Decision",
    "DecisionBody",
    "DutyOpened",
    "DutySettled",
    "FindingNoted",
    "OutageEnded",
    "Phase",
    "RecoveryProposed",
    "Refused",
    "Reminded",
    "ResultRevised",
    "Transition",
    "chained",
    "first_broken",
    "out_of_force",
]

GENESIS: Final = "0" * 64
"""The hash before the first decision."""


class Phase(StrEnum):
    """State of a segment (spec §6.1)."""

    NORMAL = "NORMAL"
    DEGRADED = "DEGRADED"
    PROPOSED = "PROPOSED"
    TRIPPED = "TRIPPED"
    OVERDUE = "OVERDUE"
    SUSPENDED = "SUSPENDED"
    SUSPENDED_LONG = "SUSPENDED_LONG"
    RESUMING = "RESUMING"


_OUT_OF_FORCE: Final = (Phase.TRIPPED, Phase.OVERDUE, Phase.SUSPENDED, Phase.SUSPENDED_LONG, Phase.RESUMING)


def out_of_force(phase: Phase, effective_from_ns: int | None) -> bool:
    """Whether clearings run in the shadow and the breaker sets the prices.

    It does while tripped or suspended, and while resuming, also where something is proposed meanwhile.

    Args:
        effective_from_ns: first interval of the market again, once a recovery is announced.
    """
    return phase in _OUT_OF_FORCE or effective_from_ns is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A segment changed its state.

    Attributes:
        before, after: phases; the same where a recovery took effect while a trip is proposed.
        basis: what it rests on: RT_120, DA_EXPECTED, DA_MISSED, TOPOLOGY_HARD, TOPOLOGY_SOFT, SWITCHOVER, OTHER, RESULT_OK, a command.
        operating_day: first operating day of the day-ahead market it is about, as ``2026-06-11``; empty for the real-time market.
        cause: of Art. 5, by name (:class:`market.causes.Cause`), and reference the document or warning that shows it.
        suspended_from_ns: start of a suspension, once it is decided.
        expected_end_ns: when a suspension is expected to end.
        evidence: numbered facts a person can check, in English.
    """

    segment: Segment
    before: Phase
    after: Phase
    basis: str
    article: str
    by: str = ""
    outage_start_ns: int | None = None
    condition_met_at_ns: int | None = None
    tripped_at_ns: int | None = None
    effective_from_ns: int | None = None
    evidence: tuple[str, ...] = ()
    operating_day: str = ""
    cause: str = ""
    reference: str = ""
    suspended_from_ns: int | None = None
    expected_end_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A notice to the participants, in both languages.

    Attributes:
        number: ``RT-2020-01-01-01``: segment (``AN`` for an anomaly of a trading session), civil day, count on that day.
        announcement_kind: name of its template (:data:`market.announcements.TEMPLATES`): TRIP, UPDATE, CORRECTION, RECOVERY, SUSPENSION,
            EXTENSION, REGIME28, RESUMPTION, …
        segment: that it is about; None for an anomaly of a trading session.
        subject: at most one announcement per segment and subject is active.
        supersedes: the number of the notice this one replaces, or empty.
    """

    number: str
    announcement_kind: str
    segment: Segment | None
    subject: str
    supersedes: str
    published_at_ns: int
    text_zh: str
    text_en: str
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyNoted:
    """One interval had no valid result when it was due (Art. 9(2)): an anomaly, far below a breaker."""

    segment: Segment
    interval_start_ns: int
    how: str
    reason: str
    article: str = "Art. 9(2)"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageEnded:
    """An outage ended below the limit.

    Attributes:
        by_calendar: whether it ended because the market closed, and not by a valid result.
        next_start_ns: start of the outage that began since, where later intervals are without a result too.
    """

    segment: Segment
    outage_start_ns: int
    outage_end_ns: int
    failed_intervals: int
    by_calendar: bool = False
    next_start_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminded:
    """An outage reached one of the reminder marks."""

    segment: Segment
    outage_start_ns: int
    minutes: int
    headroom_min: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingNoted:
    """A detector reported something that did not change a segment's state."""

    finding: str
    article: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryProposed:
    """Enough valid shadow clearings: a person may now recover the segment (Art. 29). Never automatic."""

    segment: Segment
    shadow_ok: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyOpened:
    """A statutory clock started, or a task without a clock was opened.

    Attributes:
        duty: announce, explain, limit, report, assess, measures, decide, notice, apply, written, confirm_analogy, confirm_regime28, …
        segment: None where it concerns no market segment.
        due_ns: last instant that is in time; None for a task without a clock.
        key: identity, as ``explain/RT/2026-06-10T12:00:30+08:00``.
        recipients: whose receipts settle it; empty for a task that its owner reports done.
        owner: the role that has to do it.
    """

    duty: str
    segment: Segment | None
    due_ns: int | None
    article: str
    key: str = ""
    recipients: tuple[str, ...] = ()
    owner: str = "DISPATCH"


@dataclass(frozen=True, slots=True, kw_only=True)
class DutySettled:
    """A statutory clock ended, or a task was done. ``outcome`` is met, late or lifted; ``margin_s`` is 0 without a clock."""

    duty: str
    segment: Segment | None
    outcome: str
    margin_s: float
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandAccepted:
    """A person's order was found to be in order and carried out; what came of it follows."""

    command_id: str
    by: str
    role: str
    action: str
    args: dict[str, str]
    article: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A command that a rule forbids; nothing changed."""

    command_id: str
    by: str
    role: str
    action: str
    rule: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearingOrdered:
    """An interval is cleared again by order of a market operator (Art. 22); what comes of it is a decision of its own.

    Attributes:
        approvals: reference of each approval, by who gave it.
    """

    segment: Segment
    interval_start_ns: int
    command_id: str
    by: str
    role: str
    reason: str
    approvals: dict[str, str]
    article: str = "Art. 22"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRevised:
    """A new result of an interval takes the place of the one before it, which is kept (Art. 22).

    Attributes:
        version: of the new result.
        corrected: each value that was put right, before and after.
        hashes, hashes_before: of the new result and of the one it replaces.
        price_rev: revision of the interval's price that follows from it; None where the price stands (it is set by the breaker) or is
            still to be given.
    """

    segment: Segment
    interval_start_ns: int
    version: int
    command_id: str
    by: str
    role: str
    reason: str
    approvals: dict[str, str]
    corrected: tuple[str, ...]
    hashes: dict[str, str]
    hashes_before: dict[str, str]
    price_cny_per_mwh: float | None
    price_before_cny_per_mwh: float | None
    price_rev: int | None
    article: str = "Art. 22"


DecisionBody = (
    Transition
    | Announcement
    | AnomalyNoted
    | OutageEnded
    | Reminded
    | FindingNoted
    | RecoveryProposed
    | DutyOpened
    | DutySettled
    | DutyReminded
    | DutyReceived
    | ApprovalRequested
    | ApprovalRecorded
    | ApprovalVoided
    | CaseOpened
    | CaseNoted
    | CaseClosed
    | RegimeProposed
    | ProfilePublished
    | CommandAccepted
    | Refused
    | ClearingOrdered
    | ResultRevised
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One link of the audit chain.

    Attributes:
        seq: 1, 2, 3, … without a gap.
        ts_event_ns: the event time it was decided at; never back-dated.
        rule_set: id of the rules in force.
        code: release of the code that decided.
        kind: class name of the body.
        body: the body as plain data.
        prev_hash: hash of decision ``seq - 1``.
        hash: SHA-256 over everything above, hex.
    """

    seq: int
    ts_event_ns: int
    rule_set: str
    code: str
    kind: str
    body: dict[str, Any]
    prev_hash: str
    hash: str


def _digest(fields: tuple[int, int, str, str, str, dict[str, Any], str]) -> str:
    """Hash a decision over everything but its hash, in the order of its fields."""
    return hashlib.sha256(_canonical(fields).encode()).hexdigest()


def _fields(decision: Decision) -> tuple[int, int, str, str, str, dict[str, Any], str]:
    d = decision
    return d.seq, d.ts_event_ns, d.rule_set, d.code, d.kind, d.body, d.prev_hash


_canonical: Final = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode
_quickly: Final = msgspec.json.Encoder(order="sorted").encode
_WITH_FLOATS: Final = frozenset(kind.__name__ for kind in get_args(DecisionBody) if any("float" in str(each.type) for each in fields(kind)))
"""Bodies in which a number may be no whole one; every other has text, whole numbers and truth values only."""


def chained(body: DecisionBody, *, seq: int, ts_event_ns: int, rule_set: str, prev_hash: str) -> Decision:
    """Put a body into its envelope and chain it to the decision before it."""
    kind = type(body).__name__
    # Tuples and enums in the form they are read back in, so that the hash can be recomputed from the record.
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(body))
    fields_of = (seq, ts_event_ns, rule_set, CODE, kind, plain, prev_hash)
    # An eighth of the time for the same bytes, where there is no float: the two write some of them in another way.
    digest = _digest(fields_of) if kind in _WITH_FLOATS else hashlib.sha256(_quickly(fields_of)).hexdigest()
    return Decision(seq=seq, ts_event_ns=ts_event_ns, rule_set=rule_set, code=CODE, kind=kind, body=plain, prev_hash=prev_hash, hash=digest)


@dataclass(frozen=True, slots=True)
class BrokenChain:
    """Where an audit chain stops being credible."""

    seq: int
    why: str


def first_broken(decisions: Iterable[Decision], *, first_seq: int = 1, prev_hash: str = GENESIS) -> BrokenChain | None:
    """Verify a chain from its first decision, or a piece of one.

    Exact repeats of a decision (delivered again after a crash) are allowed; a repeat with other content is not.

    Args:
        first_seq: number of the first decision of the piece.
        prev_hash: hash of the decision before it.

    Returns:
        None where the chain holds, else the first record that breaks it and how.
    """
    seen: dict[int, str] = {}
    expected = first_seq
    for decision in decisions:
        if decision.seq in seen:
            if seen[decision.seq] != decision.hash:
                return BrokenChain(decision.seq, "is recorded twice with different content")
            continue
        if decision.seq != expected:
            return BrokenChain(decision.seq, f"follows decision {expected - 1}: decision {expected} is missing")
        if decision.prev_hash != prev_hash:
            return BrokenChain(decision.seq, "does not name the hash of the decision before it")
        if _digest(_fields(decision)) != decision.hash:
            return BrokenChain(decision.seq, "was altered: its hash does not match its content")
        seen[decision.seq] = prev_hash = decision.hash
        expected += 1
    return None
