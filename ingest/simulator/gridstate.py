"""What is the simulated grid made of, and what is remembered of it from one second to the next?

:class:`Columns` are the case's units and areas as arrays; :class:`Wiring` is what follows from the switches alone; :class:`GridState`
is everything the next second depends on besides time itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from market.grid import BoolArray, FloatArray, IndexArray, Topology, sum_by
from market.offers import Control
from market.rts_gmlc import RtsCase
from market.units import NS_PER_S

__all__ = ["BASE_RAMP_S", "NOMINAL_HZ", "STEP_NS", "STEP_S", "Columns", "GridState", "Wiring", "Wirings"]

NOMINAL_HZ: Final = 50.0
STEP_NS: Final = NS_PER_S
STEP_S: Final = 1.0
BASE_RAMP_S: Final = 300.0
"""A base point is reached this long after it is given, or later if the unit's ramp is slower."""

_WIRINGS_KEPT: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GridState:
    """Everything the next step depends on, besides time itself.

    Attributes:
        ts_ns: event time, UTC ns, a whole second.
        in_service: (nl,) closed branches.
        deviation_hz: (nb,) frequency deviation of each bus's island, Hz.
        dispatch_mw: (nu,) where each unit's governor is set, regulation included, MW.
        primary_mw: (nu,) primary response, MW.
        output_mw: (nu,) at the terminals, MW.
        load_mw: (nb,) withdrawal at the meters, MW, >= 0.
        served: (nb,) share of the load that is connected.
        base_from_mw: (nu,) dispatch when the base point was given, MW.
        base_mw: (nu,) base point, MW.
        base_at_ns: (nu,) when it was given.
        capped: (nu,) plants of nature held below what is available.
        ceiling_mw: (nu,) what the market last curtailed a plant to, MW; ``inf`` where it did not.
        share_mw: (nu,) regulation within ``dispatch_mw``, MW.
        regulation_mw: (na,) integral of each area's control error, MW.
        schedule_from_mw: (na,) scheduled net export when the schedule last changed, MW.
        schedule_mw: (na,) scheduled net export, MW; 0 in sum.
        schedule_at_ns: when it last changed.
        schedule_due: base points came in since the schedule was last derived.
        market_at_ns: when a base point last came from outside; 0 if never.
        planned_at_ns: when the operators last planned.
        unit_mwh: (nu,) energy since the start, MWh.
        load_mwh: (nb,) energy since the start, MWh.
    """

    ts_ns: int
    in_service: BoolArray
    deviation_hz: FloatArray
    dispatch_mw: FloatArray
    primary_mw: FloatArray
    output_mw: FloatArray
    load_mw: FloatArray
    served: FloatArray
    base_from_mw: FloatArray
    base_mw: FloatArray
    base_at_ns: NDArray[np.int64]
    capped: BoolArray
    ceiling_mw: FloatArray
    share_mw: FloatArray
    regulation_mw: FloatArray
    schedule_from_mw: FloatArray
    schedule_mw: FloatArray
    schedule_at_ns: int
    schedule_due: bool
    market_at_ns: int
    planned_at_ns: int
    unit_mwh: FloatArray
    load_mwh: FloatArray

    def trajectory_mw(self, ts_ns: int) -> FloatArray:
        """Return (nu,) where each unit should be on the way to its base point, MW."""
        share = np.minimum(np.maximum((ts_ns - self.base_at_ns) / (BASE_RAMP_S * NS_PER_S), 0.0), 1.0)
        return self.base_from_mw + (self.base_mw - self.base_from_mw) * share


class Columns:
    """The case's units and areas, as arrays.

    Attributes:
        areas: their names, sorted.
        area_of_bus: (nb,) position of each bus's area.
        bus_of_unit, area_of_unit: (nu,) positions.
        unit_index: position of each unit by name.
        dispatchable, curtailable, fixed: (nu,) one of them is true of each unit.
        p_min_mw, p_max_mw: (nu,) limits, MW.
        ramp_mw: (nu,) largest movement in one step, MW.
        crossing: (nl,) whether a branch is a tie between areas; ``tie_from`` and ``tie_to`` are the areas at its ends.
    """

    def __init__(self, case: RtsCase) -> None:
        net, units = case.network, case.units
        self.case = case
        self.areas: tuple[str, ...] = tuple(sorted(set(net.bus_area)))
        place = {area: k for k, area in enumerate(self.areas)}
        self.area_of_bus: IndexArray = np.array([place[a] for a in net.bus_area], dtype=np.int32)
        self.bus_of_unit: IndexArray = np.array([net.bus_index[u.bus] for u in units], dtype=np.int32)
        self.area_of_unit: IndexArray = self.area_of_bus[self.bus_of_unit]
        self.unit_index: Mapping[str, int] = {u.id: k for k, u in enumerate(units)}
        self.dispatchable: BoolArray = np.array([u.control is Control.DISPATCHABLE for u in units])
        self.curtailable: BoolArray = np.array([u.control is Control.CURTAILABLE for u in units])
        self.fixed: BoolArray = np.array([u.control is Control.FIXED for u in units])
        self.p_min_mw: FloatArray = np.array([u.p_min_mw for u in units])
        self.p_max_mw: FloatArray = np.array([u.p_max_mw for u in units])
        self.ramp_mw: FloatArray = np.array([u.ramp_mw_per_min for u in units]) / 60.0 * STEP_S
        self.crossing: BoolArray = self.area_of_bus[net.from_bus] != self.area_of_bus[net.to_bus]
        self.tie_from: IndexArray = self.area_of_bus[net.from_bus[self.crossing]]
        self.tie_to: IndexArray = self.area_of_bus[net.to_bus[self.crossing]]

    def export_mw(self, tie_mw: FloatArray) -> FloatArray:
        """Return (na,) net export of each area, MW, from the flows on the ties."""
        return sum_by(self.tie_from, tie_mw, len(self.areas)) - sum_by(self.tie_to, tie_mw, len(self.areas))

    def injection_mw(self, state: GridState) -> FloatArray:
        """Return (nb,) what units put in less what loads take, MW."""
        return sum_by(self.bus_of_unit, state.output_mw, len(state.load_mw)) - state.load_mw


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wiring:
    """What follows from the switches alone.

    Attributes:
        n: number of islands.
        of_bus, of_unit, of_area: island of each; an area's is that of its main bus.
        buses: (n,) number of buses in each island.
        ptdf: (nl, nb) flow on each branch per injection at each bus.
        tie_ptdf: its rows for the ties.
    """

    n: int
    of_bus: IndexArray
    of_unit: IndexArray
    of_area: IndexArray
    buses: FloatArray
    ptdf: FloatArray
    tie_ptdf: FloatArray

    def alive(self, controllable_mw: FloatArray) -> BoolArray:
        """Return (n,) whether anything controllable (nu,), MW, produces in each island; rooftop PV alone switches itself off."""
        return sum_by(self.of_unit, controllable_mw, self.n) > 0.0


class Wirings:
    """The wirings in use, each built once.

    Args:
        columns: the case.
        main_bus: (na,) the bus of each area that stays the area when it falls apart.
    """

    def __init__(self, columns: Columns, main_bus: NDArray[np.intp]) -> None:
        self._columns, self._main_bus = columns, main_bus
        self._kept: dict[bytes, Wiring] = {}

    def of(self, in_service: BoolArray) -> Wiring:
        """Return the wiring with these branches (nl,) closed."""
        key = in_service.tobytes()
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= _WIRINGS_KEPT:
                del self._kept[next(iter(self._kept))]
            found = self._kept[key] = self._built(in_service)
        return found

    def _built(self, in_service: BoolArray) -> Wiring:
        topology = Topology(self._columns.case.network, in_service)
        ptdf = topology.ptdf(np.arange(len(in_service)))
        of_bus = topology.island_of_bus
        return Wiring(
            n=topology.n_islands,
            of_bus=of_bus,
            of_unit=of_bus[self._columns.bus_of_unit],
            of_area=of_bus[self._main_bus],
            buses=np.bincount(of_bus, minlength=topology.n_islands).astype(np.float64),
            ptdf=ptdf,
            tie_ptdf=np.ascontiguousarray(ptdf[self._columns.crossing]),
        )
