"""Is there enough, of what kind, and do the units do as they are told?

Arrays have one entry a unit, (k,), MW, injection positive. A sum with a measurement in it that never arrived is None: a partial sum
would pass for a whole one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "curtailment_pct",
    "deliverable_mw",
    "followed_mw",
    "losses_pct",
    "obedient",
    "renewable_share_pct",
    "reserve_margin_pct",
    "reserve_pct",
    "running",
]

_Array = NDArray[np.float64]

_TOLERANCE_SHARE = 0.02
_TOLERANCE_MW = 2.0
_AT_REST_SHARE = 0.01
"""Of rated power: what a meter may show of a machine that stands still."""


def reserve_margin_pct(available_mw: _Array, output_mw: _Array, load_mw: float) -> float | None:
    """Return ``100·Σ max(available − output, 0)/load``, %: what (k,) committed units could still give (GB/T 38969).

    None without load, without units, and where an output never arrived.
    """
    return reserve_pct(np.maximum(available_mw - output_mw, 0.0), load_mw) if len(output_mw) else None


def running(on: NDArray[np.bool_], renewable: NDArray[np.bool_], output_mw: _Array, p_max_mw: _Array) -> NDArray[np.bool_]:
    """Return (k,) which units are synchronised, as far as metering shows it.

    A machine that is committed and gives nothing is being started, or has failed; wind, sun and water that give nothing may be curtailed.
    A unit whose output never arrived is taken to run, so that no sum over it passes for a whole one.
    """
    return np.asarray(on & (renewable | ~(output_mw <= _AT_REST_SHARE * p_max_mw)))


def deliverable_mw(available_mw: _Array, output_mw: _Array, ramp_mw_per_min: _Array, within_min: float) -> _Array:
    """Return (k,) how much more units that run can give within some minutes, MW, ≥ 0: ``min(available − output, ramp·minutes)``.

    Args:
        available_mw: (k,) the most each could give.
        output_mw: (k,) what it gives.
        ramp_mw_per_min: (k,) MW/min, ≥ 0.
        within_min: time they have, min, finite.
    """
    return np.asarray(np.minimum(np.maximum(available_mw - output_mw, 0.0), ramp_mw_per_min * within_min))


def reserve_pct(reserve_mw: _Array, load_mw: float) -> float | None:
    """Return ``100·Σ reserve/load``, %, of (k,) units' reserve (GB/T 38969); None without load, and where an output never arrived."""
    return _finite(100.0 * float(reserve_mw.sum()) / load_mw) if load_mw > 0 else None


def renewable_share_pct(renewable_mw: float | None, load_mw: float) -> float | None:
    """Return ``100·P_RE/P_load``, %; None without load or a whole sum of renewables."""
    return 100.0 * renewable_mw / load_mw if renewable_mw is not None and load_mw > 0 else None


def curtailment_pct(available_mw: _Array, output_mw: _Array) -> float | None:
    """Return ``100·Σ max(available − output, 0)/Σ available`` of renewables, (k,) MW each, %.

    None when nothing is available, and where a value never arrived.
    """
    total = float(available_mw.sum())
    return _finite(100.0 * float(np.maximum(available_mw - output_mw, 0.0).sum()) / total) if total > 1.0 else None


def losses_pct(generation_mw: float | None, load_mw: float | None) -> float | None:
    """Return ``100·(P_gen − P_load)/P_gen``, % of what is fed in; None without both sums.

    Meters of ten seconds are not read at one instant, so a figure of one tick wanders around its mean and may be negative.
    """
    if generation_mw is None or load_mw is None or generation_mw <= 0:
        return None
    return 100.0 * (generation_mw - load_mw) / generation_mw


def followed_mw(path_mw: _Array, base_mw: _Array, ramp_mw_per_min: _Array, elapsed_min: float) -> _Array:
    """Return where units that follow their base points as fast as they may stand now, (k,) MW.

    A base point that jumps is not to be reached at once: P_instr moves from where it was by at most the ramp ("two detailed rules").

    Args:
        path_mw: (k,) P_instr at the tick before.
        base_mw: (k,) base point.
        ramp_mw_per_min: (k,) MW/min, ≥ 0.
        elapsed_min: time since, min.
    """
    reach_mw = ramp_mw_per_min * elapsed_min
    return np.asarray(path_mw + np.clip(base_mw - path_mw, -reach_mw, reach_mw))


def obedient(output_mw: _Array, instructed_mw: _Array, p_max_mw: _Array) -> NDArray[np.bool_]:
    """Return (k,) whether ``|P − P_instr| ≤ max(2 % of rated power, 2 MW)`` ("two detailed rules")."""
    return np.asarray(np.abs(output_mw - instructed_mw) <= np.maximum(_TOLERANCE_SHARE * p_max_mw, _TOLERANCE_MW))


def _finite(number: float) -> float | None:
    """Return the number, or None where a measurement in it never arrived."""
    return number if np.isfinite(number) else None
