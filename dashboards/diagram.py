"""What is kept of a one-line diagram between two builds, and how is it read and written?

One file holds the grid plan and the cell of each station. Whoever draws the same grid again, with more stations or fewer, begins from the
cells of the last time, so everything stays where people know it. The demonstration grid's is beside this module; that of a grid of your
own is beside its dashboards.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dashboards.gridplan import STATIONS_MAX, Branch, Bus, GridPlan, PlanError
from dashboards.layout import Layout, laid_out

__all__ = ["DEMONSTRATION", "TOLD_WHOLE_MAX", "Diagram", "drawn_again", "read_diagram", "read_plan"]

DEMONSTRATION: Final = Path(__file__).parent / "one-line.json"
"""The diagram of the demonstration grid."""
TOLD_WHOLE_MAX: Final = 500
"""Branches, and buses, up to which the service tells of all of them at every tick; it is :data:`streams.gridpicture.ALL_BELOW`."""


@dataclass(frozen=True, kw_only=True)
class Diagram:
    """A plan, and where its stations stand.

    Attributes:
        left_out: stations for which there was no room.
        in_part: whether the service tells of the most loaded branches and of what is abnormal only, because the grid has too many.
    """

    plan: GridPlan
    layout: Layout
    left_out: int = 0
    in_part: bool = False

    def written(self) -> str:
        """Return the file: JSON with a line for each bus, branch and cell, so that a change of the grid is a change of its lines."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        def each(items: list[str]) -> Iterator[str]:
            return (item + ("," if number < len(items) else "") for number, item in enumerate(items, start=1))

        yield f'{{"name": {_json(self.plan.name)}, "columns": {self.layout.columns}, "rows": {self.layout.rows},'
        yield f'"left_out": {self.left_out}, "in_part": {_json(self.in_part)},'
        yield '"buses": ['
        yield from each([_json(_bus_row(bus)) for bus in self.plan.buses])
        yield '], "branches": ['
        yield from each([_json({"name": b.name, "from": b.from_bus, "to": b.to_bus}) for b in self.plan.branches])
        yield '], "cells": {'
        yield from each([f"{_json(station)}: {_json(cell)}" for station, cell in self.layout.cells.items()])
        yield "}}"


def _json(item: Any) -> str:
    return json.dumps(item, ensure_ascii=False)


def _bus_row(bus: Bus) -> dict[str, Any]:
    place = {} if bus.east is None or bus.north is None else {"east": bus.east, "north": bus.north}
    return {"name": bus.name, "station": bus.station, "kv": bus.kv} | place


def drawn_again(plan: GridPlan, last: Diagram | None = None, most: int = STATIONS_MAX) -> Diagram:
    """Return the diagram of a plan, beginning from the last one of the same grid; stations beyond ``most`` are left out."""
    shown = plan.shown(most)
    kept = last.layout if last is not None else None
    in_part = max(len(plan.buses), len(plan.branches)) > TOLD_WHOLE_MAX
    return Diagram(plan=shown, layout=laid_out(shown, kept), left_out=len(plan.stations) - len(shown.stations), in_part=in_part)


def read_plan(path: Path) -> GridPlan:
    """Read a plan, with or without cells.

    Raises:
        PlanError: the file is none.
    """
    return _read(path)[0]


def read_diagram(path: Path) -> Diagram:
    """Read a diagram as it was written.

    Raises:
        PlanError: the file is none, or a station has no cell of its own.
    """
    plan, data = _read(path)
    cells = {station: (int(cell[0]), int(cell[1])) for station, cell in data.get("cells", {}).items()}
    if cells.keys() != plan.stations.keys() or len(set(cells.values())) < len(cells):
        raise PlanError(f"{path}: not every station has a cell of its own; remove the file to have the grid laid out anew")
    layout = Layout(columns=data["columns"], rows=data["rows"], cells=cells)
    return Diagram(plan=plan, layout=layout, left_out=data["left_out"], in_part=data["in_part"])


def _read(path: Path) -> tuple[GridPlan, dict[str, Any]]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        buses = tuple(Bus(**bus) for bus in data["buses"])
        branches = tuple(Branch(name=branch["name"], from_bus=branch["from"], to_bus=branch["to"]) for branch in data["branches"])
        return GridPlan(name=data["name"], buses=buses, branches=branches), data
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise PlanError(f"{path}: not a grid plan ({exc}); make it with `gridfuse dashboards build --network CASE`") from exc
    except PlanError as exc:
        raise PlanError(f"{path}: {exc}") from exc
