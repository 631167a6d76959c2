"""How does a whole process go on with another point list, without anything being lost on the way?

Whoever looks points up must know them before the first sample comes and until the last one has come. So the processors and the sinks are
given the points of both lists first; then the devices are changed over; and a while later, when what was read by the old list has gone
through, the points that left are forgotten.

What a process was built around cannot be changed while it runs, and a list that changes it is refused: the areas, by which topics and
states are kept, and with a MATPOWER case the buses that have a load.

Several processes (``gridfuse run --role``) each take the list over by themselves. Where points are added, the workers are to be told
before the process that reads them: samples that a worker does not know are counted, and put among the dead letters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from typing import Final

from console.fieldside import FieldSide, part_of
from console.peopleside import PeopleSide
from ingest.pointlist import PointList
from ingest.points import PointTable
from ingest.relisting import Relisting, relisting
from market.errors import ConfigError, GridfuseError, Problem
from streams.agents import Hooks
from streams.marketmodel import MarketModel
from streams.rollups import check_names
from streams.settings import Settings, too_many
from streams.telemetrylines import TelemetryEncoder

__all__ = ["Takeover"]

_FAREWELL_S: Final = 5.0
"""Wall seconds for which points that left are known: what was read of them is on its way for less, unless the log is far behind."""


class Takeover:
    """The point list that a process has, and the way to another one.

    Args:
        model: what the processors compute with; ``areas`` those whose devices are read here, all where there are none.
        changed: told the model that is in force from now on.
    """

    def __init__(
        self,
        settings: Settings,
        model: MarketModel,
        hooks: Hooks,
        field: FieldSide | None,
        people: PeopleSide | None,
        areas: Collection[str],
        changed: Callable[[MarketModel], None],
    ) -> None:
        self._settings = settings
        self._model = model
        self._hooks, self._field, self._people = hooks, field, people
        self._areas = areas
        self._changed = changed
        self._points = settings.points
        self._farewell: asyncio.Task[None] | None = None

    @property
    def points(self) -> PointList:
        """The list in force, of all areas."""
        return self._points

    async def take(self, points: PointList) -> Relisting:
        """Go on with another list; returns what changed of the devices.

        Raises:
            ConfigError: the list cannot be taken over; the one in force stays.
            GridfuseError: not now.
        """
        if problems := [Problem("point list", what) for what in self._objections(points)]:
            raise ConfigError(problems)
        mine = part_of(points, self._areas) if self._areas else points
        table = points.table()
        self.stop()
        try:
            self._know(PointTable([*table.specs, *(spec for spec in self._model.grid.table.specs if spec.name not in table)]))
            changes = relisting(self._points, points) if self._field is None else await self._field.relist(mine)
            self._points = points
        except GridfuseError:
            self._know(self._points.table())
            raise
        if len(self._model.grid.table) > len(table):
            self._farewell = asyncio.create_task(self._forget_those_who_left(), name="farewell")
        return changes

    def stop(self) -> None:
        """Let whatever left be known for as long as the process runs."""
        if self._farewell is not None:
            self._farewell.cancel()
            self._farewell = None

    async def _forget_those_who_left(self) -> None:
        await asyncio.sleep(_FAREWELL_S)
        self._know(self._points.table())

    def _know(self, table: PointTable) -> None:
        """Have everything in this process that looks points up use this table.

        Raises:
            ConfigError: two of its points cannot be told apart where they are recorded.
        """
        if table.specs == self._model.grid.table.specs:
            return
        telemetry = TelemetryEncoder(table)
        check_names(table)
        self._model = self._model.relisted(table)
        self._hooks.relist(self._model)
        if self._people is not None:
            self._people.relist(self._model, telemetry)
        self._changed(self._model)

    def _objections(self, points: PointList) -> Iterator[str]:
        yield from too_many(points)
        have, want = set(self._model.grid.areas), {device.area for device in points.devices if device.points}
        remedy = "an area is for the life of a process; take the list back, or start every process of the service again with it"
        for area in sorted(want - have):
            yield f"area {area} is new: {remedy}"
        for area in sorted(have - want):
            yield f"area {area} has no device any more: {remedy}"
        if self._settings.network.matpower is not None and not want ^ have:
            loads = [[bus for bus, _ in table.named("load", "mw")] for table in (self._points.table(), points.table())]
            for bus in sorted(set(loads[0]) ^ set(loads[1])):
                yield f"load/{bus}/mw was added or removed, and a MATPOWER case is cleared for the loads it was started with: start again"
