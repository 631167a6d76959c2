"""Does clearing keep its times, and how often does a price stand at a limit? Counted over the last day of event time.

The times are those of the calendar: every interval that has begun is expected to have been cleared, also while we were away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from market.rules import MarketRules
from market.units import NS_PER_DAY, NS_PER_S, floor_ns
from streams.clearing import IntervalPlan
from streams.windows import DaySums

__all__ = ["ClearingTimes", "clearing_figures", "due", "noted"]

_LATENCY_PCT: Final = (50, 95, 99)
"""Percentiles of latency that are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearingTimes:
    """How clearing has kept its times over a day.

    Attributes:
        judged_ns: start of the last interval that was judged, -1 before the first tick.
        kept: intervals cleared in time over intervals expected.
        cleared: of every interval cleared in the last day its start, how long after it was due it was completed, s (negative: before),
            and whether its uniform price was at the cap or the floor.
        at_cap, at_floor: bus prices at the limit over bus prices, of the intervals whose schedule says so.
    """

    judged_ns: int = -1
    kept: DaySums = field(default_factory=DaySums)
    cleared: tuple[tuple[int, float, bool], ...] = ()
    at_cap: DaySums = field(default_factory=DaySums)
    at_floor: DaySums = field(default_factory=DaySums)


def noted(times: ClearingTimes, plan: IntervalPlan, rules: MarketRules) -> ClearingTimes:
    """Note a cleared interval; the first result of an interval counts, a repeat changes nothing."""
    start_ns = plan.interval_start_ns
    if any(known == start_ns for known, _, _ in times.cleared):
        return times
    late_s = (plan.ts_event_ns - start_ns - rules.due_offset_ns) / NS_PER_S
    price = plan.uniform_price_cny_per_mwh
    at_limit = price >= rules.price_cap_cny_per_mwh or price <= rules.price_floor_cny_per_mwh
    of_day = [each for each in times.cleared if each[0] > start_ns - NS_PER_DAY]
    times = replace(times, cleared=(*of_day, (start_ns, late_s, at_limit)))
    if (market := plan.market) is None:
        return times
    at_cap = times.at_cap.add(start_ns, float(market.at_cap), float(market.buses))
    return replace(times, at_cap=at_cap, at_floor=times.at_floor.add(start_ns, float(market.at_floor), float(market.buses)))


def due(times: ClearingTimes, now_ns: int, rules: MarketRules) -> ClearingTimes:
    """Judge every interval that fell due since the last tick: in time is completed by due + grace.

    The interval under way at the very first tick is not judged: nobody was there to clear it.
    """
    step_ns = rules.rt_interval_ns
    latest_ns = floor_ns(now_ns - rules.due_offset_ns - rules.grace_ns, step_ns)
    if times.judged_ns < 0:
        return replace(times, judged_ns=floor_ns(now_ns, step_ns))
    late_s = {start_ns: late_s for start_ns, late_s, _ in times.cleared}
    kept = times.kept
    for start_ns in range(max(times.judged_ns, latest_ns - NS_PER_DAY) + step_ns, latest_ns + 1, step_ns):
        kept = kept.add(start_ns, float(late_s.get(start_ns, np.inf) <= rules.grace_s), 1.0)
    return replace(times, judged_ns=max(times.judged_ns, latest_ns), kept=kept)


def clearing_figures(times: ClearingTimes, now_ns: int) -> dict[str, float | None]:
    """Return availability, ``100·OK/expected``, latency, completed − due, and price-limit hits of the last day, by KPI name.

    The hits of the uniform price are a share of intervals, those of bus prices a share of pairs of bus and interval, ``100·hits/pairs``, %.
    """
    of_day: Sequence[tuple[int, float, bool]] = [each for each in times.cleared if each[0] > now_ns - NS_PER_DAY]
    latency_s = np.percentile([late_s for _, late_s, _ in of_day], _LATENCY_PCT).tolist() if of_day else [None] * len(_LATENCY_PCT)
    return {
        "clearing_availability_pct": times.kept.mean_pct(now_ns),
        **{f"clearing_latency_p{share}_s": s for share, s in zip(_LATENCY_PCT, latency_s, strict=True)},
        "bus_cap_hits_pct": times.at_cap.mean_pct(now_ns),
        "bus_floor_hits_pct": times.at_floor.mean_pct(now_ns),
        "price_limit_hits_pct": 100.0 * sum(hit for _, _, hit in of_day) / len(of_day) if of_day else None,
    }
