"""How does the grid stand at one tick: what flows in each branch, which buses are alive, into how many islands does it fall?

A branch is in service unless a position says that one of its ends is open, or the case that it is out. Buses that branches in service
join are one island. An island is alive where something in it can hold its voltage up, a unit or a tie; a bus whose own meter says that it
has hardly any voltage is dead whatever the rest says. Islands are numbered from the largest on.

Load that is lost is not measured. It is what the dead buses draw on an ordinary day, times what the live ones draw now against theirs.

Of a grid of many branches a picture holds the most loaded ones and those whose position changed, of one of many buses those that are not
as they should be; what was told to be so is told once more when it is over. A picture is a function of the image and of the
:class:`Noticed` of the one before, so a replay makes the same.

Deliberately absent: what the breaker makes of it (:mod:`detectors.topology_change`), which waits for evidence; a picture does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ingest.points import PointTable
from market.grid import Network
from streams.image import GridImage

__all__ = ["ALL_BELOW", "BranchColumns", "BusColumns", "GridPicture", "Noticed", "Pictures"]

ALL_BELOW: Final = 500
"""Grids of at most so many branches, or buses, are told whole."""

_MOST_LOADED: Final = 200
_DEAD_BELOW_PU: Final = 0.2
_VOLTAGE_BAND_PU: Final = 0.05
"""GB/T 12325, as the key figures have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchColumns:
    """Branches, parallel: flow at the from end, MW, to the kilowatt; loading, % of the rating; whether in service. None is unknown."""

    branch: tuple[str, ...] = ()
    flow_mw: tuple[float | None, ...] = ()
    loading_pct: tuple[float | None, ...] = ()
    closed: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BusColumns:
    """Buses, parallel: area, the island each is in (from 1 on; 0 where it is dead), voltage, p.u. of nominal, None where not measured."""

    bus: tuple[str, ...] = ()
    area: tuple[str, ...] = ()
    island: tuple[int, ...] = ()
    kv_pu: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GridPicture:
    """The grid at one tick.

    Attributes:
        ts_event_ns: the tick.
        islands: how many are alive; branches_open, buses_dead: of all there are, whether or not the columns hold them.
        load_lost_mw: estimated, MW; None where nobody knows what is drawn at the dead buses.
        observability_pct: buses whose angle is measured, %; None before the first estimate.
    """

    ts_event_ns: int
    branches: BranchColumns
    buses: BusColumns
    islands: int
    branches_open: int
    buses_dead: int
    load_lost_mw: float | None = None
    observability_pct: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """What the last picture of a large grid said that the next one may have to take back: branches open, buses not as they should be."""

    opened: tuple[str, ...] = ()
    buses: tuple[str, ...] = ()


class Pictures:
    """Makes pictures of one grid.

    Args:
        network: buses and branches.
        table: the points.
        sources: buses that a unit feeds.
        branches_out: what the case itself has out of service.
        ordinary_mw: what buses draw on an ordinary day, MW.
    """

    def __init__(
        self,
        network: Network,
        table: PointTable,
        sources: Sequence[str],
        branches_out: Sequence[str] = (),
        ordinary_mw: Mapping[str, float] | None = None,
    ) -> None:
        self._network = network
        self._out = frozenset(branches_out)
        place = network.bus_index
        self._source = np.zeros(network.n_buses, dtype=bool)
        held_up = [*sources, *(bus for bus, _ in table.named("tie", "mw"))]
        self._source[[place[bus] for bus in held_up if bus in place]] = True
        self._flow_row = _rows(table.named("branch", "from_mw"), network.branch_index, network.n_branches)
        self._kv_row = _rows(table.named("bus", "kv"), place, network.n_buses)
        self._load_row = _rows(table.named("load", "mw"), place, network.n_buses)
        self._nominal_kv = np.where(network.base_kv > 0, network.base_kv, np.nan)
        self._ordinary_mw = np.array([(ordinary_mw or {}).get(bus, 0.0) for bus in network.bus_ids])
        self._labels: tuple[frozenset[str], NDArray[np.int64]] | None = None

    def of(self, image: GridImage, opened: Sequence[str], observability_pct: float | None, before: Noticed) -> tuple[GridPicture, Noticed]:
        """Return the picture of an image, and what the next one needs.

        Args:
            image: the process image.
            opened: branches that a position says are open.
            observability_pct: as the state estimate has it, %.
            before: what this returned at the last tick.
        """
        network = self._network
        out = self._out.union(opened)
        flow_mw = _measured(image.value, image.usable, self._flow_row)
        kv_pu = _measured(image.value, image.good, self._kv_row) / self._nominal_kv
        island = self._islands(out, kv_pu)
        dead = island == 0
        abnormal = (island != 1) | (np.abs(kv_pu - 1.0) > _VOLTAGE_BAND_PU)
        loading_pct = np.full(network.n_branches, np.nan)
        np.divide(100.0 * np.abs(flow_mw), network.rate_mw, out=loading_pct, where=np.isfinite(network.rate_mw) & (network.rate_mw > 0))
        closed = np.array([branch not in out for branch in network.branch_ids], dtype=bool)
        small = network.n_branches <= ALL_BELOW, network.n_buses <= ALL_BELOW
        noticed = Noticed(
            opened=() if small[0] else tuple(sorted(opened)),
            buses=() if small[1] else tuple(network.bus_ids[i] for i in np.flatnonzero(abnormal)),
        )
        picture = GridPicture(
            ts_event_ns=image.ts_event_ns,
            branches=self._branches(self._told_branches(loading_pct, opened, before), flow_mw, loading_pct, closed),
            buses=self._buses(self._told_buses(abnormal, before), island, kv_pu),
            islands=int(island.max(initial=0)),
            branches_open=int(np.count_nonzero(~closed)),
            buses_dead=int(np.count_nonzero(dead)),
            load_lost_mw=self._load_lost_mw(dead, _measured(image.value, image.usable, self._load_row)),
            observability_pct=observability_pct,
        )
        return picture, noticed

    def _islands(self, out: frozenset[str], kv_pu: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return (nb,) the island of each bus, from 1 by size, 0 where it is dead."""
        network = self._network
        if self._labels is None or self._labels[0] != out:
            on = np.array([branch not in out for branch in network.branch_ids], dtype=bool)
            ends = network.from_bus[on], network.to_bus[on]
            wires = coo_array((np.ones(len(ends[0])), ends), shape=(network.n_buses,) * 2)
            self._labels = out, connected_components(wires, directed=False)[1].astype(np.int64)
        label = self._labels[1]
        alive = np.bincount(label, weights=self._source) > 0
        size = np.where(alive, np.bincount(label), 0)
        first = np.unique(label, return_index=True)[1]
        number = np.zeros(len(size), dtype=np.int64)
        order = [part for part in np.lexsort((first, -size)).tolist() if alive[part]]
        number[order] = np.arange(1, len(order) + 1)
        island: NDArray[np.int64] = number[label]
        return np.where(kv_pu < _DEAD_BELOW_PU, 0, island)

    def _load_lost_mw(self, dead: NDArray[np.bool_], load_mw: NDArray[np.float64]) -> float | None:
        if not dead.any():
            return 0.0
        if not self._ordinary_mw.any():
            return None
        compared = ~dead & np.isfinite(load_mw)
        usual_mw = float(self._ordinary_mw[compared].sum())
        share = float(load_mw[compared].sum()) / usual_mw if usual_mw > 0 else 1.0
        return round(share * float(self._ordinary_mw[dead].sum()), 3)

    def _told_branches(self, loading_pct: NDArray[np.float64], opened: Sequence[str], before: Noticed) -> NDArray[np.intp]:
        network = self._network
        if network.n_branches <= ALL_BELOW:
            return np.arange(network.n_branches)
        loaded = np.argsort(-np.nan_to_num(loading_pct, nan=-1.0), kind="stable")[:_MOST_LOADED]
        changed = [network.branch_index[name] for name in {*opened} ^ {*before.opened} if name in network.branch_index]
        return np.unique([*loaded.tolist(), *changed]).astype(np.intp)

    def _told_buses(self, abnormal: NDArray[np.bool_], before: Noticed) -> NDArray[np.intp]:
        network = self._network
        if network.n_buses <= ALL_BELOW:
            return np.arange(network.n_buses)
        back = [network.bus_index[name] for name in before.buses if name in network.bus_index]
        return np.unique([*np.flatnonzero(abnormal).tolist(), *back]).astype(np.intp)

    def _branches(
        self, told: NDArray[np.intp], flow_mw: NDArray[np.float64], loading_pct: NDArray[np.float64], closed: NDArray[np.bool_]
    ) -> BranchColumns:
        return BranchColumns(
            branch=tuple(self._network.branch_ids[i] for i in told),
            flow_mw=_numbers(flow_mw[told], 3),
            loading_pct=_numbers(loading_pct[told], 3),
            closed=tuple(closed[told].tolist()),
        )

    def _buses(self, told: NDArray[np.intp], island: NDArray[np.int64], kv_pu: NDArray[np.float64]) -> BusColumns:
        return BusColumns(
            bus=tuple(self._network.bus_ids[i] for i in told),
            area=tuple(self._network.bus_area[i] for i in told),
            island=tuple(island[told].tolist()),
            kv_pu=_numbers(kv_pu[told], 5),
        )


def _rows(named: Sequence[tuple[str, int]], place: Mapping[str, int], n: int) -> NDArray[np.int64]:
    """Return (n,) the row of the point of each element, -1 where it has none."""
    rows = np.full(n, -1, dtype=np.int64)
    for name, row in named:
        if name in place:
            rows[place[name]] = row
    return rows


def _measured(value: NDArray[np.float64], fit: NDArray[np.bool_], row: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the values at rows, NaN where there is no row or the value is not fit."""
    found = np.full(len(row), np.nan)
    have = np.flatnonzero(row >= 0)
    have = have[fit[row[have]]]
    found[have] = value[row[have]]
    return found


def _numbers(values: NDArray[np.float64], digits: int) -> tuple[float | None, ...]:
    return tuple(number if np.isfinite(number) else None for number in np.round(values, digits).tolist())
