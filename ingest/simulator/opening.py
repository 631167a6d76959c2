"""Where does the grid stand when a simulation begins?

On its day-ahead schedule: the units that the day-ahead clearing committed for the hour, at its base points of the quarter of an hour,
with its curtailment where
a line asked for one. The market that is then fed from the field finds the units it expects, within the limits of the lines, and need
not begin by repairing a merit order that had looked at neither. Where no day-ahead result can be had there is no schedule, and the
operators' merit order stands (:meth:`ingest.simulator.physics.Physics.start`).
"""

from __future__ import annotations

from typing import Final

from ingest.simulator.daycurve import ZONE
from market.day_ahead import PERIODS, clear_day_ahead
from market.offers import Control
from market.outcomes import ClearingFailed
from market.params import ClearingParams
from market.rts_gmlc import RtsCase
from market.units import NS_PER_DAY, civil_day, day_start_ns

__all__ = ["scheduled_base_points"]

_CURTAILED_MW: Final = 0.5


def scheduled_base_points(case: RtsCase, ts_ns: int) -> dict[str, float]:
    """Return the base point of each unit, MW, at an instant (UTC ns); none where the day cannot be cleared.

    A plant of nature that the schedule does not curtail is given its capacity, so that it may make what the instant offers.
    """
    start_ns = day_start_ns(civil_day(ts_ns, ZONE), ZONE)
    result = clear_day_ahead(case, ClearingParams(), start_ns=start_ns, completed_at_ns=start_ns)
    if isinstance(result, ClearingFailed):
        return {}
    period = (ts_ns - start_ns) // (NS_PER_DAY // PERIODS)
    base_mw = dict(zip(result.unit_ids, result.dispatch_mw[period].tolist(), strict=True))
    for name, on in zip(result.unit_ids, result.committed[period].tolist(), strict=True):
        # Nothing begins half way up or down: what climbs has arrived, and what comes down is gone.
        base_mw[name] = base_mw[name] if base_mw[name] >= case.unit[name].p_min_mw else case.unit[name].p_min_mw if on else 0.0
    for name, available_mw in result.available_mw(period).items():
        unit = case.unit[name]
        if unit.control is Control.CURTAILABLE and base_mw[name] > available_mw - _CURTAILED_MW:
            base_mw[name] = unit.p_max_mw
    return base_mw
