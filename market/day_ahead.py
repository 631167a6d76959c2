"""What does tomorrow look like: which units run, what do they make, and what will a MWh cost in each hour?

Twenty-four hourly clearings in a row with the same engine as in real time, over the commitment of :mod:`market.commitment`: each
hour ramps from the hour before. The first hour has no hour before it and takes each unit's whole range.

Absent on purpose: the 96 quarter-hours of the provincial rules, and a commitment that knows the network.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from market.commitment import RESERVE_SHARE, commit
from market.engine import ClearingEngine
from market.grid import BoolArray, Convention, FloatArray
from market.outcomes import Cleared, ClearingFailed, ClearingInputs
from market.params import ClearingParams
from market.rts_gmlc import RtsCase
from market.units import NS_PER_H

__all__ = ["DayAhead", "clear_day_ahead"]

_HOURS = 24


@dataclass(frozen=True, kw_only=True, eq=False)
class DayAhead:
    """The day-ahead result.

    Attributes:
        start_ns: start of the operating day, UTC ns.
        unit_ids: (nu,) units, sorted.
        bus_ids: (nb,) buses.
        committed: (24, nu) whether each unit is on.
        dispatch_mw: (24, nu) base points, MW.
        lmp_per_mwh: (24, nb) bus prices; NaN at a dead bus.
        uniform_price_per_mwh: (24,) load-weighted mean prices.
        load_mw: (24,) forecast system load the day was made for, MW.
        wind_solar_mw: (24,) forecast of what wind and sun can give together, MW.
        hours: the 24 outcomes they were read from.
    """

    start_ns: int
    unit_ids: tuple[str, ...]
    bus_ids: tuple[str, ...]
    committed: BoolArray
    dispatch_mw: FloatArray
    lmp_per_mwh: FloatArray
    uniform_price_per_mwh: FloatArray
    load_mw: FloatArray
    wind_solar_mw: FloatArray
    hours: tuple[Cleared, ...]

    def units_off(self, hour: int) -> tuple[str, ...]:
        """Return the units that are not committed in an hour (counted from 0), sorted."""
        return tuple(name for name, on in zip(self.unit_ids, self.committed[hour], strict=True) if not on)


def clear_day_ahead(
    case: RtsCase,
    params: ClearingParams,
    *,
    start_ns: int,
    completed_at_ns: int,
    reserve_share: float = RESERVE_SHARE,
    convention: Convention = Convention.MATPOWER,
) -> DayAhead | ClearingFailed:
    """Commit and clear a day from its hourly series.

    Args:
        case: the grid and the day.
        params: as in real time; the interval length is an hour here.
        start_ns: start of the operating day, UTC ns.
        completed_at_ns: the instant to write into the outcomes.
        reserve_share: reserve to commit for, as a share of the load.
        convention: how susceptances are formed.

    Returns:
        The day, or the first hour that failed.
    """
    series = case.day_ahead
    committed = commit(case.units, series.load_mw.sum(axis=1), series.available_mw.sum(axis=1), reserve_share)
    hourly = replace(params, interval_min=60.0)
    # From wherever the day before ended: a day's ramp reaches everything.
    first = ClearingEngine(case.network, case.units, replace(params, interval_min=1440.0), convention, case.load_buses)
    engine = ClearingEngine(case.network, case.units, hourly, convention, case.load_buses)
    hours: list[Cleared] = []
    for hour in range(_HOURS):
        inputs = ClearingInputs(
            interval_start_ns=start_ns + hour * NS_PER_H,
            frozen_at_ns=completed_at_ns,
            load_mw=dict(zip(case.network.bus_ids, case.bus_load_mw(series, hour).tolist(), strict=True)),
            output_mw=hours[-1].dispatch_mw if hours else dict.fromkeys(engine.book.ids, 0.0),
            available_mw=case.available_mw(series, hour),
            units_off=tuple(unit.id for unit, on in zip(case.units, committed[hour], strict=True) if not on),
        )
        outcome = (engine if hours else first).clear(inputs, completed_at_ns=completed_at_ns)
        if isinstance(outcome, ClearingFailed):
            return outcome
        hours.append(outcome)
    return DayAhead(
        start_ns=start_ns,
        unit_ids=engine.book.ids,
        bus_ids=case.network.bus_ids,
        committed=committed,
        dispatch_mw=np.array([[hour.dispatch_mw[name] for name in engine.book.ids] for hour in hours]),
        lmp_per_mwh=np.array([[hour.lmp_per_mwh.get(name, np.nan) for name in case.network.bus_ids] for hour in hours]),
        uniform_price_per_mwh=np.array([hour.uniform_price_per_mwh for hour in hours]),
        load_mw=series.load_mw.sum(axis=1),
        wind_solar_mw=series.available_mw[:, [case.unit[name].weather_driven for name in series.unit_ids]].sum(axis=1),
        hours=tuple(hours),
    )
