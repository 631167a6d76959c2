"""Are frequency and voltage where they are promised to be, and for how much of the time?

Both are counted over the last day of event time, by the time that was watched: what was not measured is neither inside nor outside.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from market.units import NS_PER_MIN
from streams.windows import DaySums

__all__ = ["band_watched", "in_band_pct", "outside_voltage", "voltage_minutes", "voltage_watched"]

_VOLTAGE_BAND: Final = 0.05
"""Of nominal, either way: from 35 kV up the deviations of both signs together may be 10 % (GB/T 12325)."""

_DEAD: Final = 0.1
"""Of nominal: below it a bus is switched off, which is an outage and not a bad voltage."""


def band_watched(sums: DaySums, ts_ns: int, deviation_hz: float, band_hz: float, step_ns: int) -> DaySums:
    """Add one instant: whether ``|f − F_S| ≤ band``, for the time it stands for (GB/T 15945: ±0.2 Hz).

    Args:
        sums: time inside and time watched, min.
        ts_ns: the instant.
        deviation_hz: f − F_S, Hz.
        band_hz: half width of the band, Hz; its edge belongs to it.
        step_ns: time the instant stands for.
    """
    minutes = step_ns / NS_PER_MIN
    return sums.add(ts_ns, minutes if abs(deviation_hz) <= band_hz else 0.0, minutes)


def in_band_pct(sums: DaySums, now_ns: int) -> float | None:
    """Return ``100·time inside/time watched`` of the last day, %; None where nothing was watched."""
    return sums.mean_pct(now_ns)


def outside_voltage(kv: NDArray[np.float64], nominal_kv: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Judge voltages.

    Args:
        kv: (n,) measured, kV; NaN where unknown.
        nominal_kv: (n,) nominal, kV, > 0.

    Returns:
        (n,) buses outside ±5 % of nominal, and (n,) buses that were judged: known, and not dead.
    """
    per_unit = kv / nominal_kv
    judged = np.isfinite(per_unit) & (per_unit >= _DEAD)
    # The edge of the band belongs to it, whatever binary fractions make of 1.05.
    return judged & (np.abs(per_unit - 1.0) > _VOLTAGE_BAND + 1e-9), judged


def voltage_watched(sums: DaySums, ts_ns: int, outside: int, judged: int, step_ns: int) -> DaySums:
    """Add one instant at which ``outside`` of ``judged`` buses were out of band: bus·minutes outside, and bus·minutes watched."""
    minutes = step_ns / NS_PER_MIN
    return sums.add(ts_ns, outside * minutes, judged * minutes)


def voltage_minutes(sums: DaySums, now_ns: int) -> tuple[float | None, float | None]:
    """Return of the last day the time outside, Σ over buses, min, and ``100·(1 − outside/watched)``, % (GB/T 12325).

    None each where nothing was watched.
    """
    outside_min, watched_min = sums.of_day(now_ns)
    return (outside_min, 100.0 * (1.0 - outside_min / watched_min)) if watched_min > 0 else (None, None)
