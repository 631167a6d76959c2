"""Points: how a measured quantity is named, and the table of all of them.

A point's name says what it measures, so that nothing else has to bind telemetry to the grid model::

    unit/<unit>/mw              output of a unit                MW
    unit/<unit>/available_mw    what it could give now          MW    (wind, sun, water)
    unit/<unit>/mwh             energy counter                  MWh
    unit/<unit>/setpoint_mw     base point, written by us       MW
    load/<bus>/mw               withdrawal at a bus             MW, >= 0
    load/<bus>/mwh              energy counter                  MWh
    bus/<bus>/kv                voltage                         kV
    branch/<branch>/from_mw     flow into the branch, from end  MW
    branch/<branch>/to_mw       flow into the branch, to end    MW    (about minus from_mw)
    switch/<branch>/from        position at the from end        double point: 1 open, 2 closed, 0 and 3 intermediate
    switch/<branch>/to          position at the to end          the same
    area/<area>/hz              frequency                       Hz
    area/<area>/interchange_mw  net export over all ties        MW
    site/<MAIN|BACKUP>          control authority claimed       0 or 1

Other names are carried, stored and shown, and take no part in a decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.frame import point_id
from market.errors import ConfigError, Problem
from market.units import NS_PER_S

__all__ = ["REORDER_MIN_NS", "STALE_PERIODS", "PointSpec", "PointTable"]

STALE_PERIODS: Final = 3
"""A point is stale when its last value is older than this many of its periods (acceptance scenario JS-1)."""

REORDER_MIN_NS: Final = 5 * NS_PER_S
"""How far samples of a device may overtake each other at least; where its list says nothing, three of its shortest periods if longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSpec:
    """One point of the list.

    Attributes:
        name: full name, as in the module's table.
        area: control area.
        device: the device or server it is read from.
        period_ns: how often a fresh value is expected, ns, > 0; how often a sign of life, for a point told by exception.
        by_exception: the source tells it only when it changes (an OPC UA subscription): the value stands as long as the source lives.
        reorder_ns: how far samples of its device may overtake each other, ns; None for what its periods suggest.
        unit: engineering unit, for people.
        low: least plausible value, or None.
        high: greatest plausible value, or None.
    """

    name: str
    area: str
    device: str
    period_ns: int
    unit: str = ""
    low: float | None = None
    high: float | None = None
    by_exception: bool = False
    reorder_ns: int | None = None


class PointTable:
    """All points, in the order of their ids, as columns.

    Attributes:
        specs: (n,) the points.
        ids: (n,) uint64, ascending.
        stale_after_ns: (n,) int64, age at which a point turns stale.
        low, high: (n,) float64, plausible range; infinite where there is none.
        by_exception: (n,) bool.
        areas: the control areas that have points, sorted.
        devices: the devices, sorted; device_of: (n,) int64, each point's place among them.
        shortest_ns: (d,) int64, the shortest period of each device.
        reorder_ns: (d,) int64, how far samples of each device may overtake each other.
    """

    def __init__(self, specs: Iterable[PointSpec]) -> None:
        by_id: dict[int, PointSpec] = {}
        problems: list[Problem] = []
        for spec in specs:
            number = point_id(spec.name)
            if number in by_id:
                twin = by_id[number]
                what = "is listed twice" if twin.name == spec.name else f"has the same id as {twin.name}; rename one"
                problems.append(Problem(f"device {spec.device}", f"point {spec.name} {what} (also on device {twin.device})"))
            by_id[number] = spec
        if problems:
            raise ConfigError(problems)
        order = sorted(by_id)
        self.specs: tuple[PointSpec, ...] = tuple(by_id[number] for number in order)
        self.ids: NDArray[np.uint64] = np.array(order, dtype=np.uint64)
        self.stale_after_ns: NDArray[np.int64] = np.array([s.period_ns * STALE_PERIODS for s in self.specs], dtype=np.int64)
        self.low: NDArray[np.float64] = np.array([-np.inf if s.low is None else s.low for s in self.specs], dtype=np.float64)
        self.high: NDArray[np.float64] = np.array([np.inf if s.high is None else s.high for s in self.specs], dtype=np.float64)
        self.by_exception: NDArray[np.bool_] = np.array([s.by_exception for s in self.specs], dtype=bool)
        self.areas: tuple[str, ...] = tuple(sorted({s.area for s in self.specs}))
        self.devices: tuple[str, ...] = tuple(sorted({s.device for s in self.specs}))
        place = {device: number for number, device in enumerate(self.devices)}
        self.device_of: NDArray[np.int64] = np.array([place[s.device] for s in self.specs], dtype=np.int64)
        of_device: list[list[PointSpec]] = [[] for _ in self.devices]
        for spec in self.specs:
            of_device[place[spec.device]].append(spec)
        self.shortest_ns: NDArray[np.int64] = np.array([min(s.period_ns for s in specs) for specs in of_device], dtype=np.int64)
        self.reorder_ns: NDArray[np.int64] = np.array([_reorder_ns(specs) for specs in of_device], dtype=np.int64)
        self._row_of_name = {spec.name: row for row, spec in enumerate(self.specs)}

    def __len__(self) -> int:
        return len(self.specs)

    def __contains__(self, name: object) -> bool:
        return name in self._row_of_name

    def row(self, name: str) -> int:
        """Return the row of a point.

        Raises:
            KeyError: no such point.
        """
        return self._row_of_name[name]

    def rows(self, ids: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the row of each id, -1 where the table has no such point.

        Args:
            ids: (k,) uint64.

        Returns:
            (k,) int64.
        """
        if not len(self.ids):
            return np.full(len(ids), -1, dtype=np.int64)
        rows = np.searchsorted(self.ids, ids)
        rows[rows == len(self.ids)] = 0
        return np.where(self.ids[rows] == ids, rows, -1)

    def of_area(self, area: str) -> PointTable:
        """Return the table of one area's points."""
        return PointTable(spec for spec in self.specs if spec.area == area)

    def named(self, prefix: str, suffix: str = "") -> Sequence[tuple[str, int]]:
        """Return (element, row) of every point named ``prefix/<element>`` or ``prefix/<element>/suffix``, in element order.

        >>> table = PointTable([PointSpec(name="bus/101/kv", area="1", device="d", period_ns=1)])
        >>> table.named("bus", "kv")
        [('101', 0)]
        """
        found: list[tuple[str, int]] = []
        for row, spec in enumerate(self.specs):
            parts = spec.name.split("/")
            wanted = 3 if suffix else 2
            if len(parts) == wanted and parts[0] == prefix and (not suffix or parts[2] == suffix):
                found.append((parts[1], row))
        return sorted(found)


def _reorder_ns(specs: Sequence[PointSpec]) -> int:
    """Return how far samples of one device, with these points, may overtake each other."""
    stated = [spec.reorder_ns for spec in specs if spec.reorder_ns is not None]
    return max(stated, default=max(REORDER_MIN_NS, STALE_PERIODS * min(spec.period_ns for spec in specs)))
