"""What is drawn at every bus, and what could every unit give, at one instant?

The case's 5-minute series are joined by straight lines; the time of day of the event clock in the market's zone picks the place,
and days repeat. The measured day does not end where it began (its wind more than doubles across midnight), so during the last two hours
the curves lean over to the values of the first point. On top lies slow noise: a quarter of a per cent of each area, about one per cent
of each bus and of each plant that wind, sun or water drives.

Everything is a function of the seed and the instant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ingest.simulator.noise import Stream, wandering
from market.grid import FloatArray
from market.rts_gmlc import RtsCase
from market.units import NS_PER_DAY, NS_PER_S, civil_day, day_start_ns

__all__ = ["ZONE", "DayCurve", "Nature"]

ZONE: Final = "Asia/Shanghai"
_BUS_NOISE: Final = 0.01
_BUS_KNOT_S: Final = 60.0
_AREA_NOISE: Final = 0.0025
_AREA_KNOT_S: Final = 15.0
_NATURE_NOISE: Final = 0.01
_NATURE_KNOT_S: Final = 60.0
_LEAN_S: Final = 7200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Nature:
    """One instant.

    Attributes:
        load_mw: (nb,) withdrawal at nominal frequency, MW.
        available_mw: (nu,) what each unit could give: its capacity, or what wind, sun and water allow, MW.
    """

    load_mw: FloatArray
    available_mw: FloatArray


class DayCurve:
    """The case's day, continued for ever.

    Args:
        case: network, units and series.
        seed: of the noise.
    """

    def __init__(self, case: RtsCase, seed: int) -> None:
        self._seed = seed
        series = case.real_time
        self._step_s = series.step_min * 60.0
        column = {area: k for k, area in enumerate(series.area_ids)}
        self._area_of_bus = np.array([column[area] for area in case.network.bus_area])
        self._n_areas = len(series.area_ids)
        self._bus_load_mw = case.load_share * series.load_mw[:, self._area_of_bus]
        self._peak_mw: FloatArray = np.maximum(self._bus_load_mw.max(axis=0), 1e-9)
        place = {unit: k for k, unit in enumerate(series.unit_ids)}
        self._driven = np.array([k for k, unit in enumerate(case.units) if unit.id in place])
        self._p_max_mw = np.array([unit.p_max_mw for unit in case.units])
        self._nature_mw = series.available_mw[:, [place[case.units[k].id] for k in self._driven]]

    @property
    def peak_mw(self) -> FloatArray:
        """(nb,) largest load of the day at each bus, MW; tiny and positive where there is none."""
        return self._peak_mw

    def at(self, ts_ns: int) -> Nature:
        """Return what holds at an instant (UTC ns)."""
        load_mw, nature_mw = self._interpolated(ts_ns)
        ts_s = ts_ns / NS_PER_S
        bus = wandering(self._seed, Stream.BUS_LOAD, ts_s, _BUS_KNOT_S, len(load_mw))
        area = wandering(self._seed, Stream.AREA_LOAD, ts_s, _AREA_KNOT_S, self._n_areas)
        nature = wandering(self._seed, Stream.NATURE, ts_s, _NATURE_KNOT_S, len(nature_mw))
        available_mw = self._p_max_mw.copy()
        nature_mw = nature_mw * (1.0 + _NATURE_NOISE * nature)
        available_mw[self._driven] = np.minimum(np.maximum(nature_mw, 0.0), available_mw[self._driven])
        noise = 1.0 + _BUS_NOISE * bus + _AREA_NOISE * area[self._area_of_bus]
        return Nature(load_mw=load_mw * np.maximum(noise, 0.0), available_mw=available_mw)

    def _interpolated(self, ts_ns: int) -> tuple[FloatArray, FloatArray]:
        """Return (nb,) loads and (nr,) availabilities without noise, MW."""
        since_midnight_s = (ts_ns - day_start_ns(civil_day(ts_ns, ZONE), ZONE)) % NS_PER_DAY / NS_PER_S
        place, passed_s = divmod(since_midnight_s, self._step_s)
        k = int(place)
        after, share = (k + 1) % len(self._bus_load_mw), passed_s / self._step_s
        load_mw = self._bus_load_mw[k] + (self._bus_load_mw[after] - self._bus_load_mw[k]) * share
        nature_mw = self._nature_mw[k] + (self._nature_mw[after] - self._nature_mw[k]) * share
        lean = 1.0 - (NS_PER_DAY / NS_PER_S - since_midnight_s) / _LEAN_S
        if lean > 0.0:
            load_mw = load_mw + (self._bus_load_mw[0] - load_mw) * lean
            nature_mw = nature_mw + (self._nature_mw[0] - nature_mw) * lean
        return load_mw, nature_mw
