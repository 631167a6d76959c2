"""What does the one-line diagram need to know of a network model?

The dashboards' room reads no network model, so the command writes what is drawn of one as plain data: buses with their station, voltage
and place, branches with their ends. Stations are those of the detectors (:mod:`market.topology`): named in the settings, else the buses
that transformers join.

Places come from ``lat`` and ``lng`` of a ``bus.csv`` that has them; they are laid flat, so that a degree is as long to the east as to
the north at the middle of the grid. MATPOWER cases have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import cos, radians
from pathlib import Path
from typing import Any

import numpy as np

from market.csvtable import Table
from market.errors import ConfigError, Problem
from market.grid import Network
from market.matpower import read_case
from market.rts_gmlc import SHIPPED, load
from market.topology import from_network
from streams.settings import NetworkModel, read_settings

__all__ = ["grid_plan", "network_named"]


def network_named(case: str) -> NetworkModel:
    """Return which network model is meant.

    Args:
        case: ``shipped``, a folder laid out like RTS-GMLC, a MATPOWER case (``.m``, ``.m.gz``), or a service's settings (``.yaml``).

    Raises:
        ConfigError: settings that cannot be used.
    """
    if case.endswith((".yaml", ".yml")):
        return read_settings(case).network
    if case.endswith((".m", ".m.gz")):
        return NetworkModel(matpower=case)
    return NetworkModel(rts_gmlc=case)


def grid_plan(model: NetworkModel) -> dict[str, Any]:
    """Return the grid plan of a network model, as :mod:`dashboards.gridplan` reads it.

    Raises:
        CaseError: the network's data cannot be used.
        ConfigError: a station names what is no bus.
    """
    if model.matpower is not None:
        path = Path(model.matpower)
        name, network, places = path.name.removesuffix(".gz").removesuffix(".m"), read_case(path).network, {}
    else:
        folder = SHIPPED if model.rts_gmlc == "shipped" else Path(str(model.rts_gmlc))
        name, network, places = folder.name, load(folder).network, _places(folder)
    station_of = {bus: station for station, buses in model.stations.items() for bus in buses}
    if unknown := sorted(station_of.keys() - set(network.bus_ids)):
        raise ConfigError([Problem("network.stations", f"{unknown[0]!r} is no bus of the network model; correct its name")])
    return {"name": name, "buses": _buses(network, station_of, places), "branches": _branches(network)}


def _buses(network: Network, station_of: Mapping[str, str], places: Mapping[str, tuple[float, float]]) -> list[dict[str, Any]]:
    topology = from_network(network, load_mw=np.zeros(network.n_buses), sources=(), substations=station_of)
    rows = []
    for name, bus in topology.buses.items():
        row: dict[str, Any] = {"name": name, "station": bus.substation, "kv": bus.kv}
        if name in places:
            row["east"], row["north"] = places[name]
        rows.append(row)
    return rows


def _branches(network: Network) -> list[dict[str, str]]:
    ends = zip(network.branch_ids, network.from_bus.tolist(), network.to_bus.tolist(), strict=True)
    return [{"name": name, "from": network.bus_ids[f], "to": network.bus_ids[t]} for name, f, t in ends]


def _places(folder: Path) -> dict[str, tuple[float, float]]:
    """Return where each bus lies, degrees of latitude to the east and to the north; nothing where the table does not say."""
    table = Table(folder / "bus.csv", ("Bus ID",))
    if not {"lat", "lng"} <= set(table.columns):
        return {}
    latitude = {row.text("Bus ID"): row.number("lat") for row in table}
    flat = cos(radians(sum(latitude.values()) / len(latitude)))
    return {row.text("Bus ID"): (round(row.number("lng") * flat, 4), round(row.number("lat"), 4)) for row in table}
