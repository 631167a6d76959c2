"""Which lines and transformers hold the grid together, and into which parts does it fall when some of them are out?

:class:`Topology` is the network model of the detectors: names and connections, no impedances. It is made once, from the network
model (:func:`from_network`), or from elements alone (:meth:`Topology.of`), and never changes; what is open is said by the caller.

How stations are known: a substation is named in the settings, ``network.stations``; a bus that is not named there belongs with the
buses its transformers join it to, and their station is called after the first of them. An element counts by its higher voltage.

A part is a set of buses that were joined when everything was in service, and that the outages have cut off from others. Finding
the parts costs one pass over the wires, a few milliseconds for ten thousand buses, and nothing where the same elements are out as
last time. Absent on purpose: bus-bar couplers inside a station, which the bus-branch model does not have.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from math import inf
from types import MappingProxyType

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from market.grid import FloatArray, IndexArray, Network, sum_by

__all__ = ["Bus", "Element", "Kind", "Part", "Topology", "from_network"]


class Kind(StrEnum):
    """What an element is."""

    LINE = "line"
    TRANSFORMER = "transformer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """What the network model says of one branch.

    Attributes:
        kv: the higher voltage of its two ends, kV.
        from_bus, to_bus: the buses it joins; empty where nobody says, then it holds nothing together.
        rating_mw: continuous rating, MW.
    """

    kv: float
    from_bus: str = ""
    to_bus: str = ""
    kind: Kind = Kind.LINE
    rating_mw: float = inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Bus:
    """What the network model says of one bus.

    Attributes:
        kv: nominal voltage, kV; 0 where nobody says.
        substation: the station it stands in.
        area: control area whose metered load it shares in.
        load_mw: what it draws on an ordinary day, MW; its share of its area's load is this over the sum of the area.
        source: whether a unit or an infeed can hold its voltage up.
    """

    kv: float = 0.0
    substation: str = ""
    area: str = ""
    load_mw: float = 0.0
    source: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """A part the grid has fallen into.

    Attributes:
        name: its first bus.
        n_buses: how many buses are in it.
        cut: elements that are out and led to other parts, sorted.
        area_share: share of each area's load that is drawn in it, 0 to 1; areas without any are left out.
        sources: buses in it that can hold its voltage up.
        whole: number of the grid it was a part of while everything was in service.
    """

    name: str
    n_buses: int
    cut: tuple[str, ...]
    area_share: Mapping[str, float]
    sources: tuple[str, ...]
    whole: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Topology:
    """The network model of the detectors; immutable.

    Attributes:
        elements: every branch by name.
        buses: every bus by name; all ends of elements are among them.
        infeeds: names of DC links and of ties to neighbours whose power is reported.
    """

    elements: Mapping[str, Element]
    buses: Mapping[str, Bus] = field(default_factory=dict)
    infeeds: frozenset[str] = frozenset()
    _last: dict[frozenset[str], tuple[Part, ...]] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, elements: Mapping[str, Element], infeeds: Collection[str] = ()) -> Topology:
        """Return a model of elements alone: every bus is its own station and its own area, draws the same, and can hold a voltage."""
        kv: dict[str, float] = {}
        for element in elements.values():
            for bus in (element.from_bus, element.to_bus):
                if bus:
                    kv[bus] = max(kv.get(bus, 0.0), element.kv)
        buses = {bus: Bus(kv=kv[bus], substation=bus, area=bus, load_mw=1.0) for bus in sorted(kv)}
        return cls(elements=MappingProxyType(dict(elements)), buses=MappingProxyType(buses), infeeds=frozenset(infeeds))

    @cached_property
    def at_bus(self) -> Mapping[str, tuple[str, ...]]:
        """Elements that end at each bus, sorted."""
        at: dict[str, list[str]] = {bus: [] for bus in self.buses}
        for name in sorted(self.elements):
            for bus in {self.elements[name].from_bus, self.elements[name].to_bus} - {""}:
                at[bus].append(name)
        return {bus: tuple(names) for bus, names in at.items()}

    @cached_property
    def stations(self) -> Mapping[str, tuple[str, ...]]:
        """Buses of each station, sorted."""
        of: dict[str, list[str]] = {}
        for bus in sorted(self.buses):
            of.setdefault(self.buses[bus].substation, []).append(bus)
        return {station: tuple(buses) for station, buses in of.items()}

    def stations_of(self, element: str) -> tuple[str, ...]:
        """Return the stations at the ends of an element, each once."""
        ends = (self.elements[element].from_bus, self.elements[element].to_bus)
        return tuple(dict.fromkeys(self.buses[bus].substation for bus in ends if bus))

    def backbone(self, station: str, kv: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the buses of a station at a voltage or above, and every element that ends at one of them; both sorted."""
        return self._backbones(kv).get(station, ((), ()))

    def _backbones(self, kv: float) -> Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        known: dict[float, Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = self._by_voltage
        if kv not in known:
            found = {}
            for station, all_buses in self.stations.items():
                if buses := tuple(bus for bus in all_buses if self.buses[bus].kv >= kv):
                    found[station] = (buses, tuple(sorted({name for bus in buses for name in self.at_bus[bus]})))
            known[kv] = found
        return known[kv]

    def count_from(self, kv: float) -> int:
        """Return how many elements have a voltage or a higher one."""
        if kv not in self._counts:
            self._counts[kv] = sum(element.kv >= kv for element in self.elements.values())
        return self._counts[kv]

    @cached_property
    def _counts(self) -> dict[float, int]:
        return {}

    @cached_property
    def _by_voltage(self) -> dict[float, Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]]:
        return {}

    def parts(self, out: frozenset[str]) -> tuple[Part, ...]:
        """Return what outages have cut the grid into, or nothing where all is joined that can be.

        Args:
            out: names of elements that are out of service; those without ends hold nothing together anyway.
        """
        if out not in self._last:
            parts = self._wires.parts(self, out)
            self._last.clear()
            self._last[out] = parts
        return self._last[out]

    @cached_property
    def _wires(self) -> _Wires:
        return _Wires(self)


class _Wires:
    """The connections as arrays."""

    def __init__(self, topology: Topology) -> None:
        self.names = [name for name, element in topology.elements.items() if element.from_bus and element.to_bus]
        self.buses = list(topology.buses)
        place = {bus: k for k, bus in enumerate(self.buses)}
        self.row = {name: k for k, name in enumerate(self.names)}
        self.from_bus: IndexArray = np.array([place[topology.elements[name].from_bus] for name in self.names], dtype=np.int32)
        self.to_bus: IndexArray = np.array([place[topology.elements[name].to_bus] for name in self.names], dtype=np.int32)
        self.areas = sorted({bus.area for bus in topology.buses.values()})
        area_place = {area: k for k, area in enumerate(self.areas)}
        buses = topology.buses.values()
        self.area: IndexArray = np.array([area_place[bus.area] for bus in buses], dtype=np.int32)
        load_mw: FloatArray = np.array([max(bus.load_mw, 0.0) for bus in buses])
        total_mw = sum_by(self.area, load_mw, len(self.areas)) if len(self.areas) else load_mw
        self.share: FloatArray = load_mw / np.maximum(total_mw, 1e-9)[self.area] if len(load_mw) else load_mw
        self.source = np.array([bus.source for bus in buses], dtype=bool)
        self.whole = self._labels(np.ones(len(self.names), dtype=bool))

    def _labels(self, closed: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> IndexArray:
        f, t = self.from_bus[closed], self.to_bus[closed]
        graph = coo_array((np.ones(len(f), dtype=np.int8), (f, t)), shape=(len(self.buses),) * 2)
        return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int32)

    def parts(self, topology: Topology, out: frozenset[str]) -> tuple[Part, ...]:
        rows = [self.row[name] for name in out if name in self.row]
        if not rows:
            return ()
        closed = np.ones(len(self.names), dtype=bool)
        closed[rows] = False
        label = self._labels(closed)
        f, t = label[self.from_bus], label[self.to_bus]
        cut = np.flatnonzero(f != t)
        found: list[Part] = []
        for number in np.unique(np.concatenate([f[cut], t[cut]])).tolist():
            inside = label == number
            by_area = sum_by(self.area[inside], self.share[inside], len(self.areas))
            led = cut[(f[cut] == number) | (t[cut] == number)]
            found.append(
                Part(
                    name=self.buses[int(np.flatnonzero(inside)[0])],
                    n_buses=int(np.count_nonzero(inside)),
                    cut=tuple(sorted(self.names[row] for row in led.tolist())),
                    area_share={self.areas[k]: float(by_area[k]) for k in np.flatnonzero(by_area > 0).tolist()},
                    sources=tuple(self.buses[k] for k in np.flatnonzero(inside & self.source).tolist()),
                    whole=int(self.whole[inside][0]),
                )
            )
        return tuple(found)


def from_network(
    network: Network,
    *,
    load_mw: FloatArray,
    sources: Collection[str],
    out_of_service: Collection[str] = (),
    substations: Mapping[str, str] | None = None,
    infeeds: Mapping[str, str] | None = None,
) -> Topology:
    """Return the detectors' view of a network model.

    Args:
        network: buses and branches.
        load_mw: (nb,) what each bus draws on an ordinary day, MW.
        sources: buses that a unit feeds.
        out_of_service: branches that the case has switched off; they hold nothing together.
        substations: station of each bus that somebody named one for.
        infeeds: bus of each DC link or tie whose power is reported.
    """
    named, infeed_bus, off = dict(substations or {}), dict(infeeds or {}), frozenset(out_of_service)
    step = network.base_kv[network.from_bus] != network.base_kv[network.to_bus]
    transformer = step | (network.tap != 1) | (network.shift_rad != 0)
    f, t = network.from_bus[step], network.to_bus[step]
    yard = connected_components(coo_array((np.ones(len(f)), (f, t)), shape=(network.n_buses,) * 2), directed=False)[1].tolist()
    first: dict[int, str] = {}
    for bus, number in zip(network.bus_ids, yard, strict=True):
        first.setdefault(number, bus)
    held_up = {*sources, *infeed_bus.values()}
    buses = {
        bus: Bus(kv=float(kv), substation=named.get(bus, first[number]), area=area, load_mw=float(mw), source=bus in held_up)
        for bus, kv, number, area, mw in zip(network.bus_ids, network.base_kv, yard, network.bus_area, load_mw, strict=True)
    }
    columns = (network.branch_ids, network.from_bus.tolist(), network.to_bus.tolist(), network.branch_kv, transformer, network.rate_mw)
    elements = {
        name: Element(
            kv=float(kv),
            from_bus="" if name in off else network.bus_ids[f_bus],
            to_bus="" if name in off else network.bus_ids[t_bus],
            kind=Kind.TRANSFORMER if wound else Kind.LINE,
            rating_mw=float(rate_mw),
        )
        for name, f_bus, t_bus, kv, wound, rate_mw in zip(*columns, strict=True)
    }
    return Topology(elements=MappingProxyType(elements), buses=MappingProxyType(buses), infeeds=frozenset(infeed_bus))
