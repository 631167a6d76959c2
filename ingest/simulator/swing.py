"""At what frequency does the second end, and who gives how much?

Machines, primary response and the loads' own response are one equation per island, with deviations f from nominal::

    M·df/dt = Σ dispatch + Σ primary(f) − Σ load·(1 + d·f)

solved implicitly, because a step of a second is longer than its time constants. Primary response follows ``−K·f`` with a lag, within
each unit's room; plants driven by nature respond beyond a deadband, and upwards only while they are curtailed. What accelerates the
machines does not reach their terminals, so in every island the metered outputs and the metered loads are equal to rounding.

Load is shed to hold 49 Hz and comes back slowly; generation is thrown off to hold 51 Hz. An island in which nothing controllable
produces is dead: its loads draw nothing, its units give nothing, and it stays so until it is joined to one that lives.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np

from ingest.simulator.daycurve import Nature
from ingest.simulator.gridstate import NOMINAL_HZ, STEP_S, Columns, GridState, Wiring
from market.grid import BoolArray, FloatArray, sum_by

__all__ = ["LIMIT_HZ", "Swing"]

LIMIT_HZ: Final = 1.0
"""Deviation at which load is shed or generation thrown off, Hz."""

_DROOP: Final = 0.05
_INERTIA_S: Final = 4.0
_INVERTER_INERTIA_S: Final = 0.5
_DAMPING_PER_HZ: Final = 0.03
_LAG: Final = 1.0 - math.exp(-STEP_S / 3.0)
_INVERTER_DEADBAND_HZ: Final = 0.05
_RESTORE_PER_S: Final = 0.005
_RESTORE_ABOVE_HZ: Final = -0.2


class Swing:
    """The frequency of every island.

    Args:
        columns: the case.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._droop_mw_per_hz = np.where(columns.fixed, 0.0, columns.p_max_mw / (_DROOP * NOMINAL_HZ))
        self._deadband_hz = np.where(columns.curtailable, _INVERTER_DEADBAND_HZ, 0.0)
        self._machine = np.where(columns.dispatchable, _INERTIA_S * columns.p_max_mw, 0.0) * (2.0 / NOMINAL_HZ)
        self._inverter = np.where(columns.curtailable, _INVERTER_INERTIA_S, 0.0) * (2.0 / NOMINAL_HZ)
        self._controllable = np.where(columns.fixed, 0.0, 1.0)

    def alive(self, dispatch_mw: FloatArray, wiring: Wiring) -> BoolArray:
        """Return (islands,) whether each is energised with units set (nu,) so, MW."""
        return wiring.alive(dispatch_mw * self._controllable)

    def step(self, state: GridState, ts_ns: int, in_service: BoolArray, set_mw: FloatArray, nature: Nature, wiring: Wiring) -> GridState:
        """Return the state at ``ts_ns``, one second on.

        Args:
            in_service: (nl,) closed branches.
            set_mw: (nu,) where the governors are set, MW.
            nature: loads and availabilities at ``ts_ns``.
            wiring: what follows from ``in_service``.
        """
        n, of_unit, of_bus = wiring.n, wiring.of_unit, wiring.of_bus
        alive = self.alive(set_mw, wiring)
        dispatch_mw, served = set_mw, state.served
        if not alive.all():
            dispatch_mw, served = np.where(alive[of_unit], set_mw, 0.0), np.where(alive[of_bus], served, 0.0)
        drawn_mw = sum_by(of_bus, nature.load_mw * served, n)
        before_hz = np.where(alive, sum_by(of_bus, state.deviation_hz, n) / wiring.buses, 0.0)
        running = (dispatch_mw > 0.0).astype(np.float64)
        inertia = running * self._machine + self._inverter * dispatch_mw
        total = np.maximum(sum_by(of_unit, inertia, n), 1e-9)
        response = _Response(self, state, dispatch_mw, running, nature)

        # Room and deadband make the droop piecewise linear; the piece that acts is the one at the frequency before.
        target_mw, slope = response.at(before_hz[of_unit])
        pushed_mw = sum_by(of_unit, dispatch_mw + response.fading_mw + _LAG * (target_mw + slope * before_hz[of_unit]), n)
        stiffness = total / STEP_S + _DAMPING_PER_HZ * drawn_mw + _LAG * sum_by(of_unit, slope, n)
        hz = np.where(alive, (total / STEP_S * before_hz + pushed_mw - drawn_mw) / stiffness, 0.0)
        if np.abs(hz).max() > LIMIT_HZ:
            held_hz = np.clip(hz, -LIMIT_HZ, LIMIT_HZ)
            lacking_mw = (held_hz - hz) * stiffness
            served = served * np.clip(1.0 - np.maximum(lacking_mw, 0.0) / np.maximum(drawn_mw, 1e-9), 0.0, 1.0)[of_bus]
            produced_mw = np.maximum(sum_by(of_unit, dispatch_mw, n), 1e-9)
            kept = np.clip(1.0 + np.minimum(lacking_mw, 0.0) / produced_mw, 0.0, 1.0)[of_unit]
            dispatch_mw, hz = dispatch_mw * kept, held_hz

        bus_hz = hz[of_bus]
        primary_mw = np.maximum(response.fading_mw + _LAG * response.at(hz[of_unit])[0], -dispatch_mw)
        load_mw = nature.load_mw * served * (1.0 + _DAMPING_PER_HZ * bus_hz)
        driven_mw = dispatch_mw + primary_mw
        supplied_mw, taken_mw = sum_by(of_unit, driven_mw, n), sum_by(of_bus, load_mw, n)
        output_mw = driven_mw - inertia * ((supplied_mw - taken_mw) / total)[of_unit]
        if output_mw.min() < 0.0 or (supplied_mw[alive] <= 0.0).any():
            # So violent a second is shared by what each gives, not by what each weighs, or some would be metered as loads; where
            # nothing is left to give, the island is dark.
            lit = (supplied_mw > 0.0)[of_bus]
            load_mw, served = load_mw * lit, served * lit
            output_mw = driven_mw * (sum_by(of_bus, load_mw, n) / np.maximum(supplied_mw, 1e-9))[of_unit]
        if served.min() < 1.0:
            coming_back = alive[of_bus] & (bus_hz > _RESTORE_ABOVE_HZ)
            served = np.where(coming_back, np.minimum(1.0, served + _RESTORE_PER_S * STEP_S), served)
        return replace(
            state,
            ts_ns=ts_ns,
            in_service=in_service,
            deviation_hz=bus_hz,
            dispatch_mw=dispatch_mw,
            primary_mw=primary_mw,
            output_mw=output_mw,
            load_mw=load_mw,
            served=served,
            unit_mwh=state.unit_mwh + np.maximum(output_mw, 0.0) * (STEP_S / 3600.0),
            load_mwh=state.load_mwh + load_mw * (STEP_S / 3600.0),
        )


class _Response:
    """Primary response of every unit in one second, as a function of the frequency deviation."""

    def __init__(self, swing: Swing, state: GridState, dispatch_mw: FloatArray, running: FloatArray, nature: Nature) -> None:
        columns = swing._columns
        self.fading_mw: FloatArray = (1.0 - _LAG) * running * state.primary_mw
        self._droop = running * swing._droop_mw_per_hz
        self._deadband_hz = swing._deadband_hz * ~state.capped
        # A unit on its way up to its minimum, or down from it, is not lowered.
        self._down_mw = np.maximum(dispatch_mw - columns.p_min_mw, 0.0)
        self._up_mw = (nature.available_mw - dispatch_mw) * (columns.dispatchable | state.capped)

    def at(self, hz: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return (nu,) what droop asks for at a deviation (nu,), MW, and how steeply it falls there, MW/Hz."""
        beyond_hz = hz - np.minimum(np.maximum(hz, -self._deadband_hz), self._deadband_hz)
        target_mw = np.minimum(np.maximum(-self._droop * beyond_hz, -self._down_mw), self._up_mw)
        acting = (np.abs(hz) >= self._deadband_hz) & (target_mw > -self._down_mw) & (target_mw < self._up_mw)
        return target_mw, self._droop * acting
