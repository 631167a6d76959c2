"""Which stations and branches does the one-line diagram show?

A grid plan is made from the network model (``gridfuse dashboards build --network CASE``): buses with their station and voltage, branches
with their ends, and where a bus lies if the data say so. This room reads no network model.

A network too large for one canvas is cut to its stations of the highest voltages (:meth:`GridPlan.shown`); what is abnormal elsewhere is
in the tables beside the diagram.

Deliberately absent: where on the canvas a station stands (:mod:`dashboards.layout`), and the file (:mod:`dashboards.diagram`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Final

__all__ = ["STATIONS_MAX", "Branch", "Bus", "GridPlan", "PlanError"]

STATIONS_MAX: Final = 120
"""Stations on one canvas: with more, a bar is narrower than its name."""


class PlanError(Exception):
    """What is given is no grid plan; says where and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bus:
    """One bus-bar.

    Attributes:
        name: as in the tag ``bus``.
        station: the substation it stands in.
        kv: nominal voltage, kV; 0 where nobody says.
        east, north: where it lies, in any unit that is the same for both and for all; None where nobody says.
    """

    name: str
    station: str
    kv: float = 0.0
    east: float | None = None
    north: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One line or transformer between two buses; ``name`` as in the tag ``branch``."""

    name: str
    from_bus: str
    to_bus: str


@dataclass(frozen=True, kw_only=True)
class GridPlan:
    """Buses and branches in the order of the network model.

    Raises:
        PlanError: a name used twice, or a branch that ends at no bus.
    """

    name: str
    buses: tuple[Bus, ...]
    branches: tuple[Branch, ...]

    def __post_init__(self) -> None:
        for kind, names in (("bus", [bus.name for bus in self.buses]), ("branch", [branch.name for branch in self.branches])):
            if twice := [name for name, times in Counter(names).items() if times > 1]:
                raise PlanError(f"{kind} {twice[0]!r} is there twice; give each its own name")
        for branch in self.branches:
            for end in (branch.from_bus, branch.to_bus):
                if end not in self.bus:
                    raise PlanError(f"branch {branch.name!r} ends at {end!r}, which is no bus; add the bus or correct the branch")

    @cached_property
    def bus(self) -> dict[str, Bus]:
        """The buses by name."""
        return {bus.name: bus for bus in self.buses}

    @cached_property
    def stations(self) -> dict[str, tuple[Bus, ...]]:
        """Buses of each station; stations by name."""
        of: dict[str, list[Bus]] = {}
        for bus in self.buses:
            of.setdefault(bus.station, []).append(bus)
        return {station: tuple(of[station]) for station in sorted(of)}

    @cached_property
    def neighbours(self) -> dict[str, dict[str, int]]:
        """For each station the others it is joined to, with the number of branches."""
        of: dict[str, dict[str, int]] = {station: {} for station in self.stations}
        for branch in self.branches:
            one, other = self.bus[branch.from_bus].station, self.bus[branch.to_bus].station
            if one != other:
                of[one][other] = of[one].get(other, 0) + 1
                of[other][one] = of[other].get(one, 0) + 1
        return of

    def shown(self, most: int = STATIONS_MAX) -> GridPlan:
        """Return the plan of the ``most`` stations with the highest voltages, of equals those with more branches; the rest is left out."""
        if len(self.stations) <= most:
            return self
        rank = {
            station: (-max(bus.kv for bus in buses), -sum(self.neighbours[station].values()), station)
            for station, buses in self.stations.items()
        }
        kept = set(sorted(rank, key=rank.__getitem__)[:most])
        inside = {bus.name for bus in self.buses if bus.station in kept}
        return GridPlan(
            name=self.name,
            buses=tuple(bus for bus in self.buses if bus.name in inside),
            branches=tuple(branch for branch in self.branches if {branch.from_bus, branch.to_bus} <= inside),
        )
