"""What one market segment remembers of its breaker, what moves it, and what it asks of the rest of the market."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from market.causes import CAUSE_OF_BASIS
from market.decisions import DecisionBody, Phase, Transition
from market.facts import Segment
from market.transitions import Event, row_of

__all__ = ["OPEN_TO_PROPOSALS", "OUT", "Condition", "Context", "Intervals", "SegmentState", "Step", "Waiting", "moved", "unsuspended"]

OUT: Final = (Phase.TRIPPED, Phase.OVERDUE, Phase.SUSPENDED, Phase.SUSPENDED_LONG)
"""Phases in which results are shadow, and a condition that is met changes nothing."""

OPEN_TO_PROPOSALS: Final = (Phase.NORMAL, Phase.DEGRADED, Phase.RESUMING)


class Condition(Struct, frozen=True, kw_only=True):
    """A trip condition as the machine keeps it: what it rests on, since when, how strong it is, and what a notice names of it.

    Attributes:
        basis: RT_120, DA_EXPECTED, DA_MISSED, TOPOLOGY_HARD, TOPOLOGY_SOFT, SWITCHOVER or OTHER.
        auto_allowed: whether the evidence is good enough for an automatic trip.
        operating_day: DA: the first operating day it is about, as ``2026-06-11``; empty where nobody said.
        cause: of Art. 5, where a person named it; reference: the document that shows it.
        proposed_by: the person who proposed it; empty where a detector found it.
    """

    basis: str
    met_at_ns: int
    article: str
    evidence: tuple[str, ...]
    auto_allowed: bool
    details: dict[str, str] = field(default_factory=dict)
    operating_day: str = ""
    cause: str = ""
    reference: str = ""
    proposed_by: str = ""


class Waiting(Struct, frozen=True, kw_only=True):
    """A condition that is to be proposed at ``not_before_ns``, or as soon after it as no other one is."""

    condition: Condition
    not_before_ns: int


@dataclass(frozen=True, slots=True)
class Intervals:
    """What the machine asks about the interval that starts at an instant; for the day-ahead market that is an operating day.

    Attributes:
        served: whether it has a valid result of its own, so that its market price stands.
        day_ahead: whether the day-ahead market has a price for it.
    """

    served: Callable[[int], bool]
    day_ahead: Callable[[int], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the machine asks of the rest of the market at the instant of an order.

    Attributes:
        outage_start_ns: of the running outage, if there is one.
        still_open: elements of a topology condition that are open still.
        warnings: active warnings.
        unreported: what Art. 25 asks for before a suspension and is missing, in words.
        unapproved: what Art. 30 asks for before a resumption, or the rule set before a suspension, and is missing, in words.
        approved: the papers of the approvals that are there, in words, for the record.
        first_day_ns: DA: start of the first operating day without a published result, where the caller knows it.
    """

    intervals: Intervals
    outage_start_ns: int | None
    still_open: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unreported: tuple[str, ...] = ()
    unapproved: tuple[str, ...] = ()
    approved: tuple[str, ...] = ()
    first_day_ns: int | None = None


class SegmentState(Struct, frozen=True, kw_only=True):
    """One segment.

    Attributes:
        version: counts what changed by a transition, so that a command given to a stale screen can be told.
        outage_start_ns: of the running outage, or of the one that led to the trip.
        condition: what the proposal or the trip rests on.
        waiting: conditions that hold and are not proposed now: another one is, or they were rejected.
        proposed_at_ns: of the present proposal; escalated: whether nobody answered it in time.
        tripped_at_ns: of the breaker, also while it is suspended or resuming.
        substituted_from_ns: first interval (DA: operating day) whose price the breaker sets.
        effective_from_ns: first interval of the market again, once a recovery is announced.
        trip: what the latest trip rests on, also after its recovery.
        ended_ns: when the latest breaker ended.
        limit_from_ns: from when its 72 h count; later than its first trip by the time it was recovered in between.
        shadow_ok: valid shadow results in a row since the trip; shadow_start_ns: the interval of the last one counted.
        shadow_told_ns: when recovery was last proposed for this row.
        suspended_from_ns: start of the suspension, once it is decided; the phase stays OVERDUE until then.
        expected_end_ns: when the suspension is expected to end, as announced.
        long_due_ns: first civil day that Art. 28 can apply to; long_proposed: whether that was proposed.
        long_from_ns: from when Art. 28 applies, once it is confirmed.
        applied_at_ns: when GOV and REG were asked to let the market resume, and applied_scope for what of it; all where empty;
            applied_reference: the paper of it.
    """

    segment: Segment
    phase: Phase = Phase.NORMAL
    version: int = 0
    outage_start_ns: int | None = None
    condition: Condition | None = None
    waiting: tuple[Waiting, ...] = ()
    proposed_at_ns: int | None = None
    escalated: bool = False
    tripped_at_ns: int | None = None
    substituted_from_ns: int | None = None
    effective_from_ns: int | None = None
    trip: Condition | None = None
    ended_ns: int | None = None
    limit_from_ns: int | None = None
    shadow_ok: int = 0
    shadow_start_ns: int = 0
    shadow_told_ns: int | None = None
    suspended_from_ns: int | None = None
    expected_end_ns: int | None = None
    long_due_ns: int | None = None
    long_proposed: bool = False
    long_from_ns: int | None = None
    applied_at_ns: int | None = None
    applied_scope: tuple[str, ...] = ()
    applied_reference: str = ""

    @property
    def basis(self) -> str:
        """What the proposal or the trip rests on; empty without one."""
        return self.condition.basis if self.condition else ""

    @property
    def operating_day(self) -> str:
        """First operating day that is out or proposed to be, as ``2026-06-11``; empty for the real-time market."""
        return self.condition.operating_day if self.condition else ""

    @property
    def cause(self) -> str:
        """Cause of Art. 5: what a person named, else what the condition is taken to be caused by; empty without a condition."""
        if self.condition is None:
            return ""
        return self.condition.cause or str(CAUSE_OF_BASIS.get(self.condition.basis, ""))

    @property
    def reference(self) -> str:
        """The document that shows the cause; empty without one."""
        return self.condition.reference if self.condition else ""

    @property
    def proposed_by(self) -> str:
        """The person who proposed what is proposed or tripped; empty where a detector found it."""
        return self.condition.proposed_by if self.condition else ""


def unsuspended(state: SegmentState) -> SegmentState:
    """Return a segment that knows nothing of a suspension any more: its market is back, or is a breaker's again."""
    return replace(
        state,
        suspended_from_ns=None,
        expected_end_ns=None,
        long_due_ns=None,
        long_proposed=False,
        long_from_ns=None,
        applied_at_ns=None,
        applied_scope=(),
        applied_reference="",
    )


Step = tuple[SegmentState, tuple[DecisionBody, ...]]
"""A segment after a step, and what is put on record of it, in order."""


def moved(
    state: SegmentState,
    event: Event,
    after: Phase,
    *,
    basis: str = "",
    article: str = "",
    by: str = "",
    evidence: tuple[str, ...] = (),
) -> Step:
    """Change the phase by a row of the table, and say so.

    Args:
        basis: what the transition rests on, where that is not the event itself.
        article: that the condition brings along; else the row's.

    Raises:
        AssertionError: no rule knows such a move.
    """
    row = row_of(state.segment, state.phase, event, after)
    after_state = replace(state, phase=after, version=state.version + 1)
    body = Transition(
        segment=state.segment,
        before=state.phase,
        after=after,
        basis=basis or event,
        article=article or row.article,
        by=by,
        outage_start_ns=state.outage_start_ns,
        condition_met_at_ns=state.condition.met_at_ns if state.condition else None,
        tripped_at_ns=state.tripped_at_ns,
        effective_from_ns=state.effective_from_ns,
        evidence=evidence,
        operating_day=state.operating_day,
        cause=state.cause,
        reference=state.reference,
        suspended_from_ns=state.suspended_from_ns,
        expected_end_ns=state.expected_end_ns,
    )
    return after_state, (body,)
