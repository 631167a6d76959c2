"""What will the load of the next interval be? What it is now, times what the day's profile does until then; and how good that was.

An interval is cleared from a load that was measured before it began. On a morning ramp that is a price for a load that is past by the
time it is served. The shape of the coming minutes is known better than their height, so the measured load is taken on by the ratio of
the profile in the middle of the interval to the profile now: that of the day-ahead load forecast, or else of the same time yesterday
(quarter-hour means, kept as they pass). Each bus keeps its share. Without a profile, or with one that asks for more than the rules
allow, the load persists, and the inputs say why.

Forecasts are judged as they come due: the mean load of the interval against what its clearing foresaw, Σ|(F − A)/A|/n over a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import isfinite

from market.rules import MarketRules
from market.units import NS_PER_DAY, NS_PER_H, NS_PER_MIN, NS_PER_S, day_start_ns
from streams.clearing import DayAheadPlan
from streams.forecasts import relative_error
from streams.windows import DaySums, Window, sampled

__all__ = ["Foreseen", "LoadForecastSums", "compared", "figures", "foreseen", "noted"]

_SLOT_NS = 15 * NS_PER_MIN
_KEPT_NS = 26 * NS_PER_H
"""A day of slots, and two hours more: those around the same time yesterday."""
_PENDING_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadForecastSums:
    """What is remembered of loads and of forecasts.

    Attributes:
        slot: the running quarter of an hour, recent those of the last day and a bit: (start, mean load in MW), ascending.
        pending: (start, forecast in MW) of intervals that are not over, ascending.
        window: load of the running interval.
        absolute: Σ|error| of the intervals judged.
    """

    slot: Window = field(default_factory=Window)
    recent: tuple[tuple[int, float], ...] = ()
    pending: tuple[tuple[int, float], ...] = ()
    window: Window = field(default_factory=Window)
    absolute: DaySums = field(default_factory=DaySums)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """How the load changes until an interval.

    Attributes:
        ratio: load in the middle of the interval over the load measured, > 0; 1 where it persists.
        horizon_s: from the measurement to that middle, s, >= 0.
        persisted: why it persists; empty where a profile was followed.
    """

    ratio: float
    horizon_s: float
    persisted: str = ""


def foreseen(interval_start_ns: int, now_ns: int, plans: Sequence[DayAheadPlan], sums: LoadForecastSums, rules: MarketRules) -> Foreseen:
    """Say how the load changes from now to the middle of an interval.

    Args:
        interval_start_ns: the interval.
        now_ns: when the load was measured.
        plans: day-ahead plans, those of today and of the days beside it among them.
        sums: loads of the last day.
        rules: length of the interval, and how much a profile may ask for.
    """
    middle_ns = max(interval_start_ns + rules.rt_interval_ns // 2, now_ns)
    horizon_s = (middle_ns - now_ns) / NS_PER_S
    profiles: tuple[tuple[str, Sequence[tuple[int, float]], int], ...] = (
        ("the day-ahead load forecast", _of_plans(plans, rules.zone), 0),
        ("the load of the day before", tuple((start_ns + _SLOT_NS // 2, mw) for start_ns, mw in sums.recent), NS_PER_DAY),
    )
    limit = rules.load_forecast.ratio_max
    why = "there is no profile of the day"
    for name, points, back_ns in profiles:
        before_mw, then_mw = _at(points, now_ns - back_ns), _at(points, middle_ns - back_ns)
        if before_mw is None or then_mw is None:
            continue
        if before_mw <= 0.0 or not isfinite(then_mw / before_mw) or not 1.0 / limit <= then_mw / before_mw <= limit:
            why = f"{name} goes from {before_mw:,.0f} to {then_mw:,.0f} MW, by more than a factor of {limit:g}"
            continue
        return Foreseen(ratio=then_mw / before_mw, horizon_s=horizon_s)
    return Foreseen(ratio=1.0, horizon_s=horizon_s, persisted=why)


def noted(sums: LoadForecastSums, interval_start_ns: int, load_mw: float) -> LoadForecastSums:
    """Remember what an interval was cleared for, so that it can be judged."""
    others = tuple(entry for entry in sums.pending if entry[0] != interval_start_ns)
    return replace(sums, pending=tuple(sorted((*others, (interval_start_ns, load_mw))))[-_PENDING_MAX:])


def compared(sums: LoadForecastSums, now_ns: int, load_mw: float | None, rules: MarketRules, step_ns: int) -> LoadForecastSums:
    """Add the load of one instant, and judge the interval that it shows to be over.

    Args:
        load_mw: metered load, None where it is not known as a whole.
        step_ns: time the instant stands for.
    """
    if load_mw is None:
        return sums
    slot, passed = sampled(sums.slot, _SLOT_NS, now_ns, (load_mw,), step_ns)
    sums = replace(sums, slot=slot)
    if passed is not None:
        kept = tuple(entry for entry in sums.recent if passed.start_ns - _KEPT_NS < entry[0] < passed.start_ns)
        sums = replace(sums, recent=(*kept, (passed.start_ns, passed.means[0])))
    window, over = sampled(sums.window, rules.rt_interval_ns, now_ns, (load_mw,), step_ns)
    sums = replace(sums, window=window)
    if over is None:
        return sums
    forecast_mw = dict(sums.pending).get(over.start_ns)
    error = None if forecast_mw is None else relative_error(forecast_mw, over.means[0])
    pending = tuple(entry for entry in sums.pending if entry[0] > over.start_ns)
    absolute = sums.absolute if error is None else sums.absolute.add(over.start_ns, abs(error), 1.0)
    return replace(sums, pending=pending, absolute=absolute)


def figures(sums: LoadForecastSums, now_ns: int) -> dict[str, float | None]:
    """Return how good the forecasts of the last day were, by KPI name."""
    return {"interval_load_mape_pct": sums.absolute.mean_pct(now_ns)}


def _of_plans(plans: Sequence[DayAheadPlan], zone: str) -> tuple[tuple[int, float], ...]:
    """Return the forecasts of all plans as (middle of the period, mean load in MW), ascending."""
    points: dict[int, float] = {}
    for plan in plans:
        if plan.load_mw:
            length_ns = NS_PER_DAY // len(plan.load_mw)
            first_ns = day_start_ns(plan.day, zone) + length_ns // 2
            points |= {first_ns + k * length_ns: mw for k, mw in enumerate(plan.load_mw)}
    return tuple(sorted(points.items()))


def _at(points: Sequence[tuple[int, float]], ts_ns: int) -> float | None:
    """Return the value on the line between the two points beside an instant; None outside of them, or across a hole in them.

    >>> _at([(0, 10.0), (100, 20.0)], 25), _at([(0, 10.0)], 25)
    (12.5, None)
    """
    left = max((point for point in points if point[0] <= ts_ns), default=None)
    right = min((point for point in points if point[0] >= ts_ns), default=None)
    if left is None or right is None or right[0] - left[0] > NS_PER_H:
        return None
    if right[0] == left[0]:
        return left[1]
    share = (ts_ns - left[0]) / (right[0] - left[0])
    return left[1] + share * (right[1] - left[1])
