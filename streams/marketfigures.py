"""Is the market contested, and does its clearing keep its times?

Suppliers are the plants of one bus: the data name no owners. Shares are by metered output and by what is available; what each
supplier was awarded is not among the records that key figures are made of.

The times are those of the calendar: every interval that has begun is expected to have been cleared, also while we were away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from market.rules import MarketRules
from market.units import NS_PER_DAY, NS_PER_S, floor_ns
from streams.clearing import IntervalPlan
from streams.windows import DaySums

__all__ = ["ClearingTimes", "clearing_figures", "due", "hhi", "noted", "rsi", "supplied_mw", "top4_pct"]

_Array = NDArray[np.float64]


def supplied_mw(supplier: NDArray[np.int64], mw: _Array) -> _Array:
    """Return the sum of (k,) units' MW by supplier, (m,): numbers from 0 up; a unit that draws power counts as nothing."""
    return np.asarray(np.bincount(supplier, weights=np.maximum(mw, 0.0)), dtype=np.float64)


def hhi(mw: _Array) -> float | None:
    """Herfindahl–Hirschman index of (m,) suppliers: ``Σ(100·s_i)²``, 0 to 10,000, s_i = mw_i/Σmw; None where nothing is supplied.

    >>> hhi(np.array([60.0, 40.0]))
    5200.0
    """
    total = float(mw.sum())
    return float(((100.0 * mw / total) ** 2).sum()) if total > 0 and np.isfinite(total) else None


def top4_pct(mw: _Array) -> float | None:
    """Share of the four largest of (m,) suppliers, ``100·(s₁ + … + s₄)``, %; None where nothing is supplied."""
    total = float(mw.sum())
    return 100.0 * float(np.sort(mw)[-4:].sum()) / total if total > 0 and np.isfinite(total) else None


def rsi(available_mw: _Array, load_mw: float) -> _Array:
    """Residual supply index of (m,) suppliers: ``(S − S_i)/D``; below 1 a supplier is pivotal: without it the load is not served.

    Args:
        available_mw: (m,) what each could give, MW; S is their sum.
        load_mw: D, MW, > 0.

    >>> rsi(np.array([60.0, 80.0]), 70.0).tolist()
    [1.1428571428571428, 0.8571428571428571]
    """
    return np.asarray((available_mw.sum() - available_mw) / load_mw)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearingTimes:
    """How clearing has kept its times over a day.

    Attributes:
        judged_ns: start of the last interval that was judged, -1 before the first tick.
        kept: intervals cleared in time over intervals expected.
        cleared: of every interval cleared in the last day its start, how long after it was due it was completed, s (negative: before),
            and whether its uniform price was at the cap or the floor.
    """

    judged_ns: int = -1
    kept: DaySums = field(default_factory=DaySums)
    cleared: tuple[tuple[int, float, bool], ...] = ()


def noted(times: ClearingTimes, plan: IntervalPlan, rules: MarketRules) -> ClearingTimes:
    """Note a cleared interval; the first result of an interval counts, a repeat changes nothing."""
    start_ns = plan.interval_start_ns
    if any(known == start_ns for known, _, _ in times.cleared):
        return times
    late_s = (plan.ts_event_ns - start_ns - rules.due_offset_ns) / NS_PER_S
    price = plan.uniform_price_cny_per_mwh
    at_limit = price >= rules.price_cap_cny_per_mwh or price <= rules.price_floor_cny_per_mwh
    of_day = [each for each in times.cleared if each[0] > start_ns - NS_PER_DAY]
    return replace(times, cleared=(*of_day, (start_ns, late_s, at_limit)))


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
    """Return availability, ``100·OK/expected``, latency, completed − due, and price-limit hits of the last day, by KPI name."""
    share = times.kept.mean(now_ns)
    of_day: Sequence[tuple[int, float, bool]] = [each for each in times.cleared if each[0] > now_ns - NS_PER_DAY]
    late_s = np.array([late_s for _, late_s, _ in of_day])
    return {
        "clearing_availability_pct": None if share is None else 100.0 * share,
        "clearing_latency_p50_s": float(np.percentile(late_s, 50)) if of_day else None,
        "clearing_latency_p95_s": float(np.percentile(late_s, 95)) if of_day else None,
        "price_limit_hits_pct": 100.0 * sum(hit for _, _, hit in of_day) / len(of_day) if of_day else None,
    }
