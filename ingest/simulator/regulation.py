"""What does each area owe its neighbours, and which units are moved to pay it?

The scheduled interchange NI_S of an area follows from the base points, its share of any imbalance between them taken out, and is
ramped to as the units ramp to theirs. Areas that have come apart from each other are not held to exchanges they cannot make.

Every four seconds the control error ``ACE = (NI_A − NI_S) − 10·B·f``, B < 0, is integrated per area. What it asks for is shared over
the area's running units in proportion to their room; downwards, plants driven by nature follow when the others have none left. Error
that an area cannot correct for want of room is taken over by the others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.simulator.daycurve import Nature
from ingest.simulator.gridstate import BASE_RAMP_S, Columns, GridState, Wiring
from market.grid import FloatArray, sum_by
from market.units import NS_PER_S

__all__ = ["BIAS_MW_PER_0P1HZ", "REGULATION_NS", "Regulation"]

BIAS_MW_PER_0P1HZ: Final = -30.0
"""Frequency bias B of each area, MW/0.1 Hz: about one per cent of an area's peak load, the least that BAL-003 allows."""
REGULATION_NS: Final = 4 * NS_PER_S

_TIME_S: Final = 50.0
_GAIN: Final = 0.3


class Regulation:
    """Automatic generation control of all areas.

    Args:
        columns: the case.
        main_bus: (na,) the bus where each area measures its frequency.
    """

    def __init__(self, columns: Columns, main_bus: NDArray[np.intp]) -> None:
        self._columns, self._main_bus = columns, main_bus

    def scheduled(self, state: GridState, nature: Nature, planned_mw: FloatArray, wiring: Wiring) -> GridState:
        """Return the state with the schedule that follows from its base points.

        Args:
            planned_mw: (nu,) where the base points bring each unit, MW.
        """
        columns, na = self._columns, len(self._columns.areas)
        drawn_mw = sum_by(columns.area_of_bus, nature.load_mw * state.served, na)
        export_mw = sum_by(columns.area_of_unit, planned_mw, na) - drawn_mw
        export_mw = export_mw - drawn_mw * (export_mw.sum() / max(drawn_mw.sum(), 1e-9))
        now_mw = self.schedule_mw(state, state.ts_ns, wiring)
        return replace(state, schedule_from_mw=now_mw, schedule_mw=export_mw, schedule_at_ns=state.ts_ns, schedule_due=False)

    def schedule_mw(self, state: GridState, ts_ns: int, wiring: Wiring) -> FloatArray:
        """Return (na,) the scheduled net export at an instant, MW; it sums to 0 over the areas of each island."""
        share = min(max((ts_ns - state.schedule_at_ns) / (BASE_RAMP_S * NS_PER_S), 0.0), 1.0)
        schedule_mw = state.schedule_from_mw + (state.schedule_mw - state.schedule_from_mw) * share
        members = sum_by(wiring.of_area, np.ones(len(schedule_mw)), wiring.n)
        surplus_mw = sum_by(wiring.of_area, schedule_mw, wiring.n) / np.maximum(members, 1.0)
        return schedule_mw - surplus_mw[wiring.of_area]

    def step(self, state: GridState, nature: Nature, wiring: Wiring) -> GridState:
        """Return the state with the regulation of the next :data:`REGULATION_NS`."""
        columns, na, of_area = self._columns, len(self._columns.areas), self._columns.area_of_unit
        interchange_mw = columns.export_mw(wiring.tie_ptdf @ columns.injection_mw(state))
        error_mw = interchange_mw - self.schedule_mw(state, state.ts_ns, wiring)
        error_mw = error_mw - 10.0 * BIAS_MW_PER_0P1HZ * state.deviation_hz[self._main_bus]

        held = columns.dispatchable | state.capped
        base_mw = np.minimum(np.where(held, state.trajectory_mw(state.ts_ns), nature.available_mw), nature.available_mw)
        runs = columns.dispatchable & (state.base_mw >= columns.p_min_mw) & (state.dispatch_mw >= columns.p_min_mw)
        up_mw = np.where(runs | state.capped, nature.available_mw - base_mw, 0.0)
        down_mw = np.where(runs, np.maximum(base_mw - columns.p_min_mw, 0.0), 0.0)
        last_mw = np.where(columns.curtailable, base_mw, 0.0)
        area_up, area_down, area_last = (sum_by(of_area, room, na) for room in (up_mw, down_mw, last_mw))

        lowest_mw = -(area_down + area_last)
        stuck = ((error_mw < 0) & (state.regulation_mw >= area_up)) | ((error_mw > 0) & (state.regulation_mw <= lowest_mw))
        if stuck.any() and not stuck.all():
            error_mw = np.where(stuck, 0.0, error_mw + error_mw[stuck].sum() / (~stuck).sum())
        integral_mw = state.regulation_mw - error_mw * (REGULATION_NS / NS_PER_S / _TIME_S)
        integral_mw = np.minimum(np.maximum(integral_mw, lowest_mw), area_up)
        asked_mw = integral_mw - _GAIN * error_mw
        rise = np.clip(asked_mw / np.maximum(area_up, 1e-9), 0.0, 1.0)
        fall = np.clip(-asked_mw / np.maximum(area_down, 1e-9), 0.0, 1.0)
        last = np.clip((-asked_mw - area_down) / np.maximum(area_last, 1e-9), 0.0, 1.0)
        share_mw = up_mw * rise[of_area] - down_mw * fall[of_area] - last_mw * last[of_area]
        return replace(state, regulation_mw=integral_mw, share_mw=share_mw)
