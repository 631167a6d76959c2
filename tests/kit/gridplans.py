"""Small grid plans for tests: a name of two letters is a branch between two stations of one bus each."""

from __future__ import annotations

from collections.abc import Mapping

from dashboards.gridplan import Branch, Bus, GridPlan

__all__ = ["plan_of"]


def plan_of(*branches: str, at: Mapping[str, tuple[float, float]] | None = None, alone: str = "") -> GridPlan:
    """Return the plan of these branches; ``at`` is east and north of each station, ``alone`` names stations without any branch."""
    stations = sorted({*"".join(branches), *alone})
    places = at or {}
    buses = [
        Bus(name=name, station=name, kv=110.0, east=places[name][0], north=places[name][1])
        if name in places
        else Bus(name=name, station=name, kv=110.0)
        for name in stations
    ]
    made = [Branch(name=f"{name}{number}", from_bus=name[0], to_bus=name[1]) for number, name in enumerate(branches)]
    return GridPlan(name="small", buses=tuple(buses), branches=tuple(made))
