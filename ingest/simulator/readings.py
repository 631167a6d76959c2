"""What do honest, working instruments show of the grid?

One column of values, one row per point, in the fixed order of :attr:`Instruments.names`. Power and voltage meters err by a fiftieth
of a per cent, frequency meters by half a millihertz; what is counted or switched has no error. Energy is what the counters count
from: whole and rolling over only in the register (:mod:`ingest.simulator.registers`).

Voltages are not solved for. They are what a dispatcher would find plausible: a few per cent above nominal, lower where the bus draws
more or its branches are loaded, and 0 where nothing is alive.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.simulator.faults import Condition
from ingest.simulator.gridstate import NOMINAL_HZ, GridState
from ingest.simulator.noise import Stream, normals
from ingest.simulator.physics import Physics
from market.grid import FloatArray, sum_by
from market.offers import Control

__all__ = ["CLOSED", "OPEN", "SITES", "Instruments"]

OPEN: Final = 1.0
CLOSED: Final = 2.0
SITES: Final = ("MAIN", "BACKUP")

_CLASS: Final = 2e-4
_HZ_ERROR: Final = 5e-4
_KV_HIGH: Final = 1.035
_KV_PER_LOAD: Final = 0.02
_KV_PER_LOADING: Final = 0.04
_COUNTER_START_MWH: Final = 40_000_000.0


class Instruments:
    """Every point of the grid.

    Args:
        physics: the grid.
        seed: of the meters' errors and of where the counters stand.

    Attributes:
        names: (n,) point names.
        row: the row of each name.
    """

    def __init__(self, physics: Physics, seed: int) -> None:
        case, net = physics.case, physics.case.network
        self._physics, self._seed = physics, seed
        units = case.units
        self._curtailable = np.flatnonzero([u.control is Control.CURTAILABLE for u in units])
        self._set = np.flatnonzero([u.control is not Control.FIXED for u in units])
        self._load = np.flatnonzero(case.load_share > 0)
        self._adjoining = np.maximum(np.bincount(np.concatenate([net.from_bus, net.to_bus]), minlength=net.n_buses), 1)
        load_buses = [net.bus_ids[k] for k in self._load]
        # With an error first, without one after; `values` keeps the same order.
        metered = [
            *(f"unit/{u.id}/mw" for u in units),
            *(f"load/{bus}/mw" for bus in load_buses),
            *(f"bus/{bus}/kv" for bus in net.bus_ids),
            *(f"branch/{branch}/from_mw" for branch in net.branch_ids),
            *(f"branch/{branch}/to_mw" for branch in net.branch_ids),
            *(f"area/{area}/interchange_mw" for area in physics.columns.areas),
        ]
        self._metered = len(metered)
        self.names: tuple[str, ...] = (
            *metered,
            *(f"area/{area}/hz" for area in physics.columns.areas),
            *(f"unit/{units[k].id}/available_mw" for k in self._curtailable),
            *(f"unit/{units[k].id}/setpoint_mw" for k in self._set),
            *(f"unit/{u.id}/mwh" for u in units),
            *(f"load/{bus}/mwh" for bus in load_buses),
            *(f"switch/{branch}/from" for branch in net.branch_ids),
            *(f"switch/{branch}/to" for branch in net.branch_ids),
            *(f"site/{site}" for site in SITES),
        )
        self.row: Mapping[str, int] = {name: k for k, name in enumerate(self.names)}
        counters = len(units) + len(load_buses)
        self._counted_mwh = np.abs(normals(seed, Stream.COUNTER, 0, counters)) * _COUNTER_START_MWH
        self.is_status: NDArray[np.bool_] = np.array([name.startswith(("switch/", "site/")) for name in self.names])

    def values(self, state: GridState, condition: Condition) -> FloatArray:
        """Return (n,) what the instruments show of a state, in the points' own units.

        Args:
            state: the grid.
            condition: where the switches and the control sites are.
        """
        physics, net = self._physics, self._physics.case.network
        flow_mw = physics.flows_mw(state)
        metered = np.concatenate(
            [
                state.output_mw,
                state.load_mw[self._load],
                self._kv(state, flow_mw),
                flow_mw,
                -flow_mw,
                physics.interchange_mw(flow_mw),
            ]
        )
        error = normals(self._seed, Stream.METER, state.ts_ns // 1_000_000_000, self._metered + len(physics.columns.areas))
        available_mw = physics.day.at(state.ts_ns).available_mw
        open_now = [net.branch_index[branch] for branch in condition.open_branches]
        position = np.full(net.n_branches, CLOSED)
        position[open_now] = OPEN
        return np.concatenate(
            [
                metered * (1.0 + _CLASS * error[: self._metered]),
                NOMINAL_HZ + physics.area_deviation_hz(state) + _HZ_ERROR * error[self._metered :],
                available_mw[self._curtailable],
                state.base_mw[self._set],
                self._counted_mwh + np.concatenate([state.unit_mwh, state.load_mwh[self._load]]),
                position,
                position,
                np.array([float(condition.authority == site) for site in SITES]),
            ]
        )

    def moved_ns(self, condition: Condition) -> dict[str, int]:
        """Return when each status point last moved, UTC ns, for those that ever did."""
        moved = {f"switch/{branch}/{end}": ns for branch, ns in condition.moved_ns.items() for end in ("from", "to")}
        return moved | ({f"site/{site}": condition.authority_ns for site in SITES} if condition.authority_ns else {})

    def _kv(self, state: GridState, flow_mw: FloatArray) -> FloatArray:
        """Return (nb,) plausible voltages, kV."""
        physics, net = self._physics, self._physics.case.network
        loading = np.abs(flow_mw) / net.rate_mw
        around = (sum_by(net.from_bus, loading, net.n_buses) + sum_by(net.to_bus, loading, net.n_buses)) / self._adjoining
        per_unit = (
            _KV_HIGH - _KV_PER_LOAD * np.minimum(state.load_mw / physics.day.peak_mw, 1.2) - _KV_PER_LOADING * np.minimum(around, 2.0)
        )
        return net.base_kv * per_unit * physics.alive(state)
