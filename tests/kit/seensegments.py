"""A market segment as the notices and the duties see it: only what they read, with the values of a breaker that tripped at noon."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from market.decisions import Phase, Transition
from market.facts import Segment
from tests.kit.table import at_ns

__all__ = ["SeenCondition", "SeenSegment", "moved", "tripped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCondition:
    """What a trip rests on."""

    basis: str = "RT_120"
    evidence: tuple[str, ...] = ("8 MISSED, 0 FAILED",)
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSegment:
    """A segment after a transition."""

    phase: Phase = Phase.TRIPPED
    condition: SeenCondition | None = SeenCondition()
    tripped_at_ns: int | None = at_ns("12:00:30")
    substituted_from_ns: int | None = at_ns("12:00")
    effective_from_ns: int | None = None
    suspended_from_ns: int | None = None
    expected_end_ns: int | None = None
    long_from_ns: int | None = None
    operating_day: str = ""
    limit_from_ns: int | None = at_ns("12:00:30")
    ended_ns: int | None = None
    applied_at_ns: int | None = None


def moved(before: Phase, after: Phase, basis: str = "", segment: Segment = Segment.RT, **said: Any) -> Transition:
    """Return a transition."""
    return Transition(segment=segment, before=before, after=after, basis=basis or str(after), **{"article": "Art. 25", **said})


def tripped(basis: str = "RT_120", segment: Segment = Segment.RT, **said: Any) -> Transition:
    """Return the transition of a trip whose condition was met at noon."""
    known: dict[str, Any] = {"article": "Art. 23(1)", "condition_met_at_ns": at_ns("12:00"), "tripped_at_ns": at_ns("12:00:30")}
    return moved(Phase.DEGRADED, Phase.TRIPPED, basis, segment, **{**known, **said})
