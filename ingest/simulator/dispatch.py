"""What do the operators run when no market tells them?

The units of their area in order of cost, with as little change as will do: the units that run go on running, the cheapest are raised
or the dearest lowered until the need is met, units are started when the load in sight needs them and stopped when it leaves no room
for their minimum, and what wind, sun and water offer beyond that is curtailed. Limits of lines are not looked at, which is what the
market is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from market.grid import BoolArray, FloatArray
from market.offers import Control, Unit

__all__ = ["Need", "OperatorPlan", "Operators"]

_RESERVE_SHARE: Final = 0.04
_RESERVE_MW: Final = 60.0
_TOUCHING_MW: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What the dispatchable units of one group are asked for: load and scheduled export less all that nature offers, MW.

    Attributes:
        now_mw: at the time the plan is to be reached; negative where nature offers more than is drawn.
        soon_mw: the largest in sight: what must be ready.
    """

    now_mw: float
    soon_mw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorPlan:
    """Base points.

    Attributes:
        base_mw: (nu,) base point of each dispatchable unit asked, 0 elsewhere, MW.
        counted_mw: (nu,) how far each gets in the time given, MW.
        curtailed_mw: how much of what nature offers is not to be taken, MW.
        short_mw: how much of the need cannot be met, MW.
    """

    base_mw: FloatArray
    counted_mw: FloatArray
    curtailed_mw: float
    short_mw: float


class Operators:
    """The control room's own merit order.

    Args:
        units: every unit, in the order of all arrays here.
    """

    def __init__(self, units: Sequence[Unit]) -> None:
        self._dispatchable = np.array([u.control is Control.DISPATCHABLE for u in units])
        self._must_run = np.array([u.must_run for u in units])
        self._p_min_mw = np.array([u.p_min_mw for u in units])
        self._p_max_mw = np.array([u.p_max_mw for u in units])
        full_cost = [u.cost_at_min_per_h + sum(s.mw * s.price_per_mwh for s in u.segments) for u in units]
        mean_price = np.array(full_cost) / np.maximum(self._p_max_mw, 1e-9)
        self._by_price: list[int] = [int(i) for i in np.argsort(mean_price, kind="stable") if self._dispatchable[i]]
        steps: list[tuple[float, int, float, float]] = []
        for i in self._by_price:
            low_mw = units[i].p_min_mw
            for segment in units[i].segments:
                steps.append((segment.price_per_mwh, i, low_mw, low_mw + segment.mw))
                low_mw += segment.mw
        self._steps = sorted(steps)

    def plan(self, current_mw: FloatArray, reach_mw: FloatArray, asked: BoolArray, need: Need, *, stopping: bool = True) -> OperatorPlan:
        """Return base points for one group of units.

        Args:
            current_mw: (nu,) what each unit is dispatched at now; a unit at 0 is off.
            reach_mw: (nu,) how far each can move in the time given, ``inf`` to plan from scratch.
            asked: (nu,) which units are in the group.
            need: what they are asked for.
            stopping: units may be stopped to make room; otherwise nature is curtailed instead.
        """
        asked = asked & self._dispatchable
        on = self._committed(asked, (current_mw > 0.0) & asked, need, stopping=stopping)
        low_mw = np.where(on, np.minimum(self._p_min_mw, current_mw + reach_mw), 0.0)
        high_mw = np.where(on, np.maximum(np.minimum(self._p_max_mw, current_mw + reach_mw), low_mw), 0.0)
        low_mw = np.maximum(low_mw, np.where(on, np.minimum(current_mw - reach_mw, high_mw), 0.0))
        counted_mw = np.clip(current_mw, low_mw, high_mw)
        missing_mw = need.now_mw - float(counted_mw.sum())
        counted_mw = self._raised(counted_mw, high_mw, missing_mw) if missing_mw > 0 else self._lowered(counted_mw, low_mw, -missing_mw)
        surplus_mw = float(counted_mw.sum()) - need.now_mw
        return OperatorPlan(
            # A unit on its way up is sent to its minimum, however far it gets in the time.
            base_mw=np.where(on, np.maximum(counted_mw, self._p_min_mw), 0.0),
            counted_mw=counted_mw,
            curtailed_mw=max(0.0, surplus_mw),
            short_mw=max(0.0, -surplus_mw),
        )

    def _committed(self, asked: BoolArray, running: BoolArray, need: Need, *, stopping: bool) -> BoolArray:
        on = running | (self._must_run & asked)
        ready_mw = max(need.now_mw, need.soon_mw)
        ready_mw += max(_RESERVE_MW, _RESERVE_SHARE * max(ready_mw, 0.0))
        for i in self._by_price:
            if float(self._p_max_mw[on].sum()) >= ready_mw:
                break
            on[i] |= asked[i]
        for i in reversed(self._by_price):
            if not stopping or not on[i] or self._must_run[i]:
                continue
            crowded = float(self._p_min_mw[on].sum()) > need.now_mw
            if crowded and float(self._p_max_mw[on].sum()) - self._p_max_mw[i] >= ready_mw:
                on[i] = False
        return on

    def _raised(self, mw: FloatArray, high_mw: FloatArray, by_mw: float) -> FloatArray:
        mw = mw.copy()
        for _, i, low, high in self._steps:
            room_mw = min(high, high_mw[i]) - max(mw[i], low)
            if room_mw <= 0.0 or mw[i] < low - _TOUCHING_MW:
                continue
            step_mw = min(room_mw, by_mw)
            mw[i] += step_mw
            by_mw -= step_mw
            if by_mw <= 0.0:
                break
        return mw

    def _lowered(self, mw: FloatArray, low_mw: FloatArray, by_mw: float) -> FloatArray:
        mw = mw.copy()
        for _, i, low, high in reversed(self._steps):
            room_mw = min(mw[i], high) - max(low_mw[i], low)
            if room_mw <= 0.0 or mw[i] > high + _TOUCHING_MW:
                continue
            step_mw = min(room_mw, by_mw)
            mw[i] -= step_mw
            by_mw -= step_mw
            if by_mw <= 0.0:
                break
        return mw
