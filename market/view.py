"""The market as a person sees it at one instant: derived from the breaker's state, never stored as truth."""

from __future__ import annotations

from dataclasses import dataclass

from market.decisions import Phase
from market.facts import Segment
from market.prices import Regime

__all__ = ["MarketView", "SegmentView"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketView:
    """Both segments and the price in force, at ``ts_event_ns``.

    Attributes:
        last_valid_at_ns: when the last valid real-time clearing completed, or None before the first.
        regime: rule behind the price in force.
        price_cny_per_mwh: the price in force, or None where the regime has none to give.
        rt_limit_s: the limit the headroom is counted against, s.
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
