"""What is expected of the periods after the interval, so that it is not cleared blind to them?

The load follows the day's profile from where it was measured, as the interval's own load does (:mod:`streams.loadforecast`); wind, sun and
water are taken to stay as they are, since nothing in the service knows better within two hours; units are on or off as the day-ahead
plan has them; the wires and tie-line schedules stay. Only the interval itself is binding: what is foreseen of the others shapes its ramps
and its storages, and is cleared anew when they come.
"""

from __future__ import annotations

from collections.abc import Sequence

from market.offers import Unit
from market.outcomes import ClearingInputs, PeriodAhead
from market.rules import MarketRules
from streams.clearing import DayAheadPlan, day_plan, units_off
from streams.loadforecast import LoadForecastSums, foreseen

__all__ = ["periods_ahead"]


def periods_ahead(
    ready: ClearingInputs,
    n_periods: int,
    units: Sequence[Unit],
    always_off: Sequence[str],
    plans: Sequence[DayAheadPlan],
    sums: LoadForecastSums,
    rules: MarketRules,
) -> tuple[PeriodAhead, ...]:
    """Return the periods after an interval.

    Args:
        ready: the inputs of the interval, its load already that of its middle.
        n_periods: periods cleared together, the interval among them.
        units: every unit.
        always_off: units that the case itself has out of service.
        plans: day-ahead plans, those of today and of the days beside it among them.
        sums: recent loads.
        rules: length of a period, and how much a profile may ask for.
    """
    now_ns, first_ns = ready.frozen_at_ns, ready.interval_start_ns
    base = foreseen(first_ns, now_ns, plans, sums, rules).ratio
    out, factor = [], 1.0
    for k in range(1, n_periods):
        start_ns = first_ns + k * rules.rt_interval_ns
        seen = foreseen(start_ns, now_ns, plans, sums, rules)
        # Where the profile ends the load stays as it was foreseen last.
        factor = factor if seen.persisted else seen.ratio / base
        off = units_off(units, day_plan(plans, start_ns, rules.zone), start_ns, rules.zone)
        out.append(
            PeriodAhead(
                load_mw={bus: mw * factor for bus, mw in ready.load_mw.items()},
                available_mw=ready.available_mw,
                out_of_service=ready.out_of_service,
                units_off=tuple(sorted({*off, *always_off})),
                tie_mw=ready.tie_mw,
            )
        )
    return tuple(out)
