"""One day of a grid of three buses: small enough that a test may clear it, with all that a day-ahead result is about.

Load of one area at two buses, a trough in the windy night and a peak in the evening; a unit that always runs, one that climbs slowly
and one for the peak, wind, water, and rooftop PV that nobody controls.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from market.offers import Control, Fuel
from market.rts_gmlc import RtsCase, Series
from tests.kit.grids import network, unit

__all__ = ["small_day"]

_LOAD_MW = (120, 115, 110, 110, 112, 120, 145, 180, 200, 205, 205, 205, 200, 200, 200, 205, 225, 270, 300, 290, 260, 220, 170, 140)
_WIND_MW = (70, 75, 78, 80, 76, 70, 60, 45, 30, 25, 20, 20, 20, 22, 25, 25, 20, 12, 10, 14, 20, 35, 50, 60)
_SUN_MW = (0, 0, 0, 0, 0, 0, 2, 5, 9, 12, 14, 15, 15, 14, 12, 9, 5, 2, 0, 0, 0, 0, 0, 0)
_STEP_MIN = 60


def small_day() -> RtsCase:
    """Return a new case, of which nothing is remembered."""
    units = (
        unit("base", "A", (90.0, 150.0), p_min_mw=60.0, ramp_mw_per_min=2.0, must_run=True, min_up_h=8.0, min_down_h=8.0),
        unit("middle", "B", (70.0, 250.0), (20.0, 320.0), p_min_mw=30.0, ramp_mw_per_min=1.0, min_up_h=4.0, min_down_h=2.0),
        unit("peak", "C", (90.0, 600.0), p_min_mw=10.0, ramp_mw_per_min=6.0, min_up_h=1.0, min_down_h=1.0),
        replace(unit("roof", "C", (15.0, 0.0), control=Control.FIXED), fuel=Fuel.SOLAR),
        replace(unit("water", "A", (20.0, 0.0), control=Control.CURTAILABLE), fuel=Fuel.HYDRO),
        replace(unit("wind", "A", (80.0, 0.0), control=Control.CURTAILABLE), fuel=Fuel.WIND),
    )
    available = np.column_stack([_SUN_MW, np.full(24, 20.0), _WIND_MW]).astype(np.float64)
    hourly = Series(
        step_min=_STEP_MIN,
        area_ids=("1",),
        load_mw=np.array(_LOAD_MW, dtype=np.float64)[:, None],
        unit_ids=("roof", "water", "wind"),
        available_mw=available,
    )
    lines = [("A", "B", 0.1, 150.0), ("B", "C", 0.1, 150.0), ("A", "C", 0.1, 120.0)]
    return RtsCase(
        network=network(("A", "B", "C"), lines),
        units=units,
        load_share=np.array([0.0, 0.4, 0.6]),
        real_time=hourly,
        day_ahead=hourly,
    )
