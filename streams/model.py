"""From settings to what the processors compute with: the grid model and the clearing engine."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from ingest.points import PointTable
from market.engine import ClearingEngine
from market.errors import ConfigError, Problem
from market.grid import FloatArray, Network
from market.matpower import Case, read_case
from market.offers import Unit
from market.params import ClearingParams
from market.rts_gmlc import RtsCase, load
from market.rules import MarketRules
from market.topology import Topology, from_network
from streams.clearingfile import ClearingSetup
from streams.figures import GridModel
from streams.kpis import ControlParams
from streams.levels import infeed_of
from streams.marketmodel import MarketModel
from streams.settings import ControlModel, NetworkModel, Settings

__all__ = ["market_model", "model_of"]

_PLAIN = ClearingSetup()


def model_of(settings: Settings, table: PointTable | None = None) -> MarketModel:
    """Return what a service with these settings computes with; see :func:`market_model`.

    Args:
        table: its points, where they are at hand.
    """
    points = settings.points.table() if table is None else table
    model = market_model(settings.network, points, settings.rules, settings.control, day_ahead=settings.day_ahead, setup=settings.clearing)
    return replace(model, rulebook=settings.rulebook)


def market_model(
    network: NetworkModel,
    table: PointTable,
    rules: MarketRules,
    control: ControlModel,
    *,
    day_ahead: bool,
    setup: ClearingSetup = _PLAIN,
) -> MarketModel:
    """Read the network model and put the processors' view of it together.

    Raises:
        ConfigError: the control parameters lack an area, or the point list what is in a storage.
        CaseError: the network's data cannot be used.
    """
    case: RtsCase | None = None
    units_off, branches_out = tuple[str, ...](), tuple[str, ...]()
    if network.matpower is not None:
        plain = read_case(Path(network.matpower))
        grid, units, units_off = plain.network, plain.units, tuple(sorted(plain.units_off))
        branches_out = _out(plain)
        load_buses = tuple(bus for bus, _ in table.named("load", "mw"))
        load_mw = plain.load_mw
        drawing = [bus for bus, mw, fixed in zip(grid.bus_ids, plain.load_mw, plain.shunt_mw, strict=True) if mw or fixed]
    else:
        case = load(None if network.rts_gmlc == "shipped" else Path(str(network.rts_gmlc)))
        grid, units, load_buses = case.network, case.units, case.load_buses
        load_mw = case.bus_load_mw(case.real_time, 0)
        drawing = list(load_buses)
    bias = _bias(case, control, table.areas)
    params = setup.params(ClearingParams.from_rules(rules))
    _check_storages(setup, table)
    make_engine = partial(
        ClearingEngine,
        grid,
        units,
        params,
        load_buses=load_buses,
        resources=setup.resources_of(units),
        sections=setup.sections,
        outages=setup.outages,
        delivery=dict(setup.delivery),
        tie_buses=tuple(bus for bus, _ in table.named("tie", "mw")),
    )
    return MarketModel(
        grid=GridModel(
            network=grid,
            units={unit.id: unit for unit in units},
            table=table,
            rules=rules,
            control=_control(control, bias),
            day_ahead=day_ahead,
            units_off=units_off,
            branches_out=branches_out,
            look_ahead=setup.look_ahead,
            unmeasured_buses=_unmeasured(drawing, setup, table),
            ordinary_mw=dict(zip(grid.bus_ids, load_mw.tolist(), strict=True)),
        ),
        engine=make_engine(),
        make_engine=make_engine,
        make_eased=None if make_engine.keywords.get("outages") is None else partial(make_engine, outages=None),
        case=case,
        topology=_topology(network, grid, load_mw, units, branches_out, table),
        rating_mw={b: float(mw) for b, mw in zip(grid.branch_ids, grid.rate_mw, strict=True) if np.isfinite(mw)},
        area_of_bus=dict(zip(grid.bus_ids, grid.bus_area, strict=True)),
        params=params,
    )


def _out(case: Case) -> tuple[str, ...]:
    return tuple(sorted(b for b, on in zip(case.network.branch_ids, case.in_service, strict=True) if not on))


def _control(control: ControlModel, bias: dict[str, float]) -> ControlParams:
    return ControlParams(
        nominal_hz=control.nominal_hz,
        bias_mw_per_0p1hz=bias,
        epsilon1_hz=control.epsilon1_hz,
        epsilon10_hz=control.epsilon10_hz,
        frequency_band_hz=control.frequency_band_hz,
    )


def _topology(
    model: NetworkModel, grid: Network, load_mw: FloatArray, units: tuple[Unit, ...], branches_out: tuple[str, ...], table: PointTable
) -> Topology:
    """Return the detectors' view; the ties whose power is measured are its infeeds."""
    known, station_of, problems = set(grid.bus_ids), dict[str, str](), list[Problem]()
    for station, buses in model.stations.items():
        for bus in buses:
            if bus not in known:
                problems.append(Problem(f"network.stations.{station}", f"{bus!r} is no bus of the network model; correct its name"))
            elif bus in station_of:
                problems.append(Problem(f"network.stations.{station}", f"bus {bus} stands in {station_of[bus]} too; name it once"))
            else:
                station_of[bus] = station
    if problems:
        raise ConfigError(problems)
    return from_network(
        grid,
        load_mw=load_mw,
        sources={unit.bus for unit in units},
        out_of_service=branches_out,
        substations=station_of,
        infeeds={infeed_of(bus): bus for bus, _ in table.named("tie", "mw")},
    )


def _check_storages(setup: ClearingSetup, table: PointTable) -> None:
    """Every storage needs the point that says what is in it; without it no interval could be cleared."""
    metered = {storage for storage, _ in table.named("storage", "mwh")}
    if missing := [storage.id for storage in setup.resources.storages if storage.id not in metered]:
        remedy = "add the point to the list, or take the storage out of the clearing file"
        raise ConfigError([Problem(f"storages.{name}", f"there is no point storage/{name}/mwh; {remedy}") for name in missing])


def _unmeasured(drawing: list[str], setup: ClearingSetup, table: PointTable) -> tuple[str, ...]:
    """Return the buses that draw something, or hold a storage, without a point that says how much; sorted."""
    metered = {bus for bus, _ in table.named("load", "mw")}
    return tuple(sorted({bus for bus in drawing if bus not in metered} | {storage.bus for storage in setup.resources.storages}))


def _bias(case: RtsCase | None, control: ControlModel, areas: tuple[str, ...]) -> dict[str, float]:
    """Return the frequency bias of every area, MW/0.1 Hz: as configured, else −1 % of its peak load."""
    bias = dict(control.bias_mw_per_0p1hz)
    if case is not None:
        peaks = dict(zip(case.real_time.area_ids, case.real_time.load_mw.max(axis=0).tolist(), strict=True))
        bias = {area: -0.01 * peak_mw for area, peak_mw in peaks.items()} | bias
    if missing := [area for area in areas if area not in bias]:
        where = "control.bias_mw_per_0p1hz"
        raise ConfigError([Problem(where, f"area {area} has no frequency bias; add it, in MW/0.1 Hz and negative") for area in missing])
    return bias
