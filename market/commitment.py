"""Which units should be running in each hour of the day?

The priority list, the oldest method of unit commitment that still works (Wood, Wollenberg and Sheblé, *Power Generation, Operation,
and Control*, 3rd ed., ch. 4; the repair of up and down times after Senjyu et al., IEEE Trans. Power Systems 18(2), 2003):

    1. order the units: those that must run, then by average cost at full output;
    2. in each hour take units in that order until their capacity covers load less renewables, plus the reserve;
    3. close gaps shorter than a unit's least down time, and lengthen runs shorter than its least up time;
    4. going from the dearest unit to the cheapest, shorten every run to the hours that cannot do without it.

The reserve is a share of the load plus the largest running unit. A unit that starts climbs by its ramp and may take most of an hour
to reach its minimum, so the need of each hour is met from the hour before. What happens outside the day is unknown: a run or gap
that touches its edge counts as long enough.

Absent on purpose: optimality, start-up cost, the network. :mod:`market.unitcommitment` has them, and starts its search from this answer
where it finds none near its relaxation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from market.grid import BoolArray, FloatArray
from market.offers import Control, Unit

__all__ = ["RESERVE_SHARE", "commit"]

RESERVE_SHARE = 0.12
"""Of the load. With it all 288 five-minute intervals of the shipped day clear without shedding load or overloading a line, although
each is cleared without sight of the next; at 0.10 one of them overloads a line by 11 MW."""


def commit(units: Sequence[Unit], load_mw: FloatArray, renewable_mw: FloatArray, reserve_share: float = RESERVE_SHARE) -> BoolArray:
    """Choose the running units of each hour.

    Args:
        units: every unit; wind, sun, water and rooftop are always on and cost nothing to keep.
        load_mw: (hours,) system load, MW.
        renewable_mw: (hours,) what those units can give, MW.
        reserve_share: reserve as a share of the load, besides the largest running unit.

    Returns:
        (hours, units) whether each unit is on, in the order given. Where the units do not suffice all of them are on.
    """
    on = np.zeros((len(load_mw), len(units)), dtype=np.bool_)
    thermal = [u for u, unit in enumerate(units) if unit.control is Control.DISPATCHABLE]
    order = sorted(thermal, key=lambda u: (not units[u].must_run, _full_load_cost(units[u]), units[u].id))
    capacity_mw = np.zeros(len(units))
    capacity_mw[thermal] = [units[u].p_max_mw for u in thermal]
    need_mw = load_mw * (1 + reserve_share) - renewable_mw
    need_mw = np.maximum(need_mw, np.append(need_mw[1:], need_mw[-1:]))
    for hour, need in enumerate(need_mw):
        for u in order:
            if units[u].must_run or _short(on[hour] * capacity_mw, need):
                on[hour, u] = True
    for u in order:
        _close_gaps(on[:, u], units[u])
        _lengthen_runs(on[:, u], units[u])
        _close_gaps(on[:, u], units[u])
    for u in reversed(order):
        if not units[u].must_run:
            _shorten_runs(on, u, units[u], capacity_mw, need_mw)
    on[:, [u for u, unit in enumerate(units) if unit.control is not Control.DISPATCHABLE]] = True
    return on


def _short(running_mw: FloatArray, need_mw: FloatArray | float) -> BoolArray:
    """Tell whether running capacities (…, units) leave a need unmet when the largest of them is lost."""
    return np.asarray(running_mw.sum(axis=-1) - running_mw.max(axis=-1) < need_mw)


def _full_load_cost(unit: Unit) -> float:
    """Average cost per MWh at full output."""
    above = sum(segment.mw * segment.price_per_mwh for segment in unit.segments)
    if unit.quadratic:
        p, low = unit.p_max_mw, unit.p_min_mw
        above = unit.quadratic.linear_per_mwh * (p - low) + unit.quadratic.curvature_per_mw2h * (p * p - low * low)
    return (unit.cost_at_min_per_h + above) / unit.p_max_mw if unit.p_max_mw > 0 else 0.0


def _runs(on: BoolArray, *, of: bool) -> list[tuple[int, int]]:
    """Return the half-open runs of hours that are ``of``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], on == of, [False]]).astype(np.int8)))
    return list(zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True))


def _too_brief(run: tuple[int, int], hours: int, least_h: float) -> bool:
    begin, end = run
    return begin > 0 and end < hours and end - begin < least_h


def _close_gaps(on: BoolArray, unit: Unit) -> None:
    for begin, end in _runs(on, of=False):
        if _too_brief((begin, end), len(on), unit.min_down_h):
            on[begin:end] = True


def _lengthen_runs(on: BoolArray, unit: Unit) -> None:
    least = int(np.ceil(unit.min_up_h))
    for begin, end in _runs(on, of=True):
        if _too_brief((begin, end), len(on), unit.min_up_h):
            last = min(begin + least, len(on))
            on[max(last - least, 0) : last] = True


def _shorten_runs(on: BoolArray, u: int, unit: Unit, capacity_mw: FloatArray, need_mw: FloatArray) -> None:
    """Switch unit ``u`` off where the others suffice, as far as its up and down times allow."""
    others = on * capacity_mw
    others[:, u] = 0.0
    missed = _short(others, need_mw)
    for begin, end in _runs(on[:, u], of=True):
        trial = on[:, u].copy()
        trial[begin:end] = False
        if missed[begin:end].any():
            wanted = begin + np.flatnonzero(missed[begin:end])
            trial[wanted[0] : wanted[-1] + 1] = True
        brief_gap = any(_too_brief(gap, len(trial), unit.min_down_h) for gap in _runs(trial, of=False))
        brief_run = any(_too_brief(run, len(trial), unit.min_up_h) for run in _runs(trial, of=True))
        if not (brief_gap or brief_run):
            on[:, u] = trial
