"""The market as a person sees it at one instant: derived from the breaker's state, never stored as truth."""

from __future__ import annotations

from dataclasses import dataclass

from market.decisions import Phase
from market.facts import Segment
from market.prices import Regime

__all__ = ["ApprovalView", "CaseView", "DutyView", "MarketView", "NoticeView", "SegmentView"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentView:
    """One segment.

    Attributes:
        outage_start_ns: due instant of the first interval without a valid result, while there is none.
        headroom_s: what is left of the limit (120 min less the outage), s; 0 from the condition on; None where clearing is not expected.
        failed_intervals: intervals of this outage without a valid result.
        shadow_ok: valid shadow clearings in a row since the trip.
        flags: BLIND, CLOCK_SUSPECT.
        expected_p50_ns, expected_p90_ns: when the result of the day-ahead run that goes on is expected, UTC ns; None where nobody knows.
        outlook: what that says of its deadline; empty without an estimate.
        operating_day: first operating day that is out or proposed to be, as ``2026-06-11``; empty for the real-time market.
        cause: of Art. 5; empty while nothing is proposed or tripped.
        suspended_from_ns, expected_end_ns: of a suspension, once it is decided.
    """

    segment: Segment
    phase: Phase
    version: int
    basis: str = ""
    outage_start_ns: int | None = None
    headroom_s: float | None = None
    condition_met_at_ns: int | None = None
    tripped_at_ns: int | None = None
    effective_from_ns: int | None = None
    failed_intervals: int = 0
    shadow_ok: int = 0
    flags: tuple[str, ...] = ()
    expected_p50_ns: int | None = None
    expected_p90_ns: int | None = None
    outlook: str = ""
    operating_day: str = ""
    cause: str = ""
    proposed_by: str = ""
    suspended_from_ns: int | None = None
    expected_end_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyView:
    """One duty that is open; ``due_ns`` is None for a task without a clock, ``missing`` are recipients without a receipt."""

    key: str
    duty: str
    segment: Segment | None
    article: str
    owner: str
    opened_ns: int
    due_ns: int | None
    overdue: bool
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalView:
    """One measure that waits for approval: what each body said of it so far (REQUESTED, ORAL, APPROVED, REFUSED, VOID)."""

    measure: str
    article: str
    digest: str
    scope: tuple[str, ...]
    bodies: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseView:
    """One anomaly case that is open."""

    case: str
    version: int
    segment: Segment | None
    anomaly: str
    item: str
    subject: str
    status: str
    cause: str
    discovered_ns: int
    major: bool
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeView:
    """One notice that is in force; ``next_update_ns`` is the update it promises."""

    number: str
    kind: str
    segment: Segment | None
    subject: str
    next_update_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketView:
    """Both segments and the price in force, at ``ts_event_ns``.

    Attributes:
        last_valid_at_ns: when the last valid real-time clearing completed, or None before the first.
        regime: rule behind the price in force.
        price_cny_per_mwh: the price in force, or None where the regime has none to give.
        rt_limit_s: the limit the headroom is counted against, s.
        duties, approvals, cases, notices: those that are open, or in force, by instant.
        warnings: active ones, by identity.
        guidance: what the dispatch of this instant is: empty for the market's, else the article it follows (Art. 27, Art. 28).
    """

    ts_event_ns: int
    segments: tuple[SegmentView, ...]
    last_valid_at_ns: int | None
    regime: Regime
    price_cny_per_mwh: float | None
    price_interval_ns: int | None
    rule_set: str
    rt_limit_s: int
    rt_interval_s: int
    duties: tuple[DutyView, ...] = ()
    approvals: tuple[ApprovalView, ...] = ()
    cases: tuple[CaseView, ...] = ()
    notices: tuple[NoticeView, ...] = ()
    warnings: tuple[str, ...] = ()
    guidance: str = ""
