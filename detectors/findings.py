"""What a detector can find.

A finding is a value with its evidence in words a person can check; what it does to the market is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from market.facts import Segment

__all__ = [
    "Basis",
    "ConditionGone",
    "ConditionMet",
    "DayAheadAccepted",
    "Finding",
    "IntervalUnserved",
    "Noted",
    "OutageBegan",
    "OutageOver",
    "OutageReached",
    "ResultAccepted",
]


class Basis(StrEnum):
    """What a breaker condition rests on; the name of its mode in the rule set, where it can be automatic at all."""

    RT_120 = "RT_120"
    DA_EXPECTED = "DA_EXPECTED"
    """The day-ahead result is expected after its deadline; never trips by itself."""
    DA_MISSED = "DA_MISSED"
    TOPOLOGY_HARD = "TOPOLOGY_HARD"
    TOPOLOGY_SOFT = "TOPOLOGY_SOFT"
    """Worth a proposal to a person; never trips by itself."""
    SWITCHOVER = "SWITCHOVER"
    OTHER = "OTHER"
    """Entered by a person; never trips by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionMet:
    """A condition of Art. 23 holds.

    Attributes:
        met_at_ns: the instant the rule names, not the instant it was noticed.
        auto_allowed: whether the evidence is good enough for an automatic trip; if not, it is proposed to a person.
        details: what a notice must name of it, as the words of :mod:`market.announcements` ask for it.
        operating_day: DA: the first operating day it is about, as ``2026-06-11``; empty where it names none.
    """

    basis: Basis
    segment: Segment
    met_at_ns: int
    article: str
    evidence: tuple[str, ...]
    auto_allowed: bool = True
    details: Mapping[str, str] = field(default_factory=dict)
    operating_day: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionGone:
    """A condition that was met no longer holds."""

    basis: Basis
    segment: Segment
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalUnserved:
    """An expected interval had no valid result at its due instant plus the grace.

    For the day-ahead market the interval is the operating day, and the due instant the publication of its result.

    Attributes:
        how: MISSED, FAILED or INVALID; LATE where there is a result of the day-ahead market, completed after its publication was due.
    """

    interval_start_ns: int
    how: str
    reason: str
    segment: Segment = Segment.RT


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageBegan:
    """Real-time clearing is out since ``start_ns``, the due instant of the first unserved interval."""

    start_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageReached:
    """The outage passed a reminder mark."""

    start_ns: int
    minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageOver:
    """An outage ended at ``end_ns``, by a valid result or because the market closed by its calendar.

    Attributes:
        unserved: intervals of it that stay without a valid result.
        by_calendar: whether no result ended it.
        next_start_ns: start of the outage that began since, where intervals that fell due later are unserved.
    """

    start_ns: int
    end_ns: int
    unserved: int
    by_calendar: bool = False
    next_start_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultAccepted:
    """A valid production result for one interval."""

    interval_start_ns: int
    completed_at_ns: int
    price_cny_per_mwh: float
    version: int
    under_review: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DayAheadAccepted:
    """A valid production result of the day-ahead market.

    Attributes:
        day_start_ns: start of the operating day.
        completed_at_ns: by the source's clock where that is trusted, else when it arrived.
        price_cny_per_mwh: of each period of the day.
        in_time: whether it was completed by the deadline of Art. 23(1).
    """

    day_start_ns: int
    completed_at_ns: int
    price_cny_per_mwh: tuple[float, ...]
    version: int
    in_time: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Something worth recording that is no condition.

    PRICE_UNDER_REVIEW, CHATTERING, OBSERVABILITY_LOW, DATA_QUALITY, PLANNED_OUTAGE, CONTROL_CONFLICT, SCADA_DOWN,
    DAY_AHEAD_ZERO_MARGIN, DAY_AHEAD_AT_RISK, …
    """

    what: str
    article: str
    evidence: tuple[str, ...]


Finding = (
    ConditionMet | ConditionGone | IntervalUnserved | OutageBegan | OutageReached | OutageOver | ResultAccepted | DayAheadAccepted | Noted
)
