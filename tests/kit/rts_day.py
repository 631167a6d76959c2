"""The RTS-GMLC day as telemetry, without any device: point table and frames for tests of the streams.

Values are those of the case's own series at an instant; outputs share the load in proportion to capacity, so they balance. Nothing
here is a model of a field: that is the simulator's work.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ingest.frame import TelemetryFrame, frame_of, point_id
from ingest.points import PointSpec, PointTable
from ingest.quality import GOOD
from market.grid import Topology
from market.rts_gmlc import RtsCase, load
from market.units import NS_PER_S

__all__ = ["area_table", "frames_at", "point_specs", "rts_table", "values_at"]

_PERIOD_NS = 10 * NS_PER_S


@lru_cache(maxsize=1)
def _case() -> RtsCase:
    return load()


def point_specs() -> list[PointSpec]:
    """Return a spec for every load, unit, branch end, switch end and area of the case, one device per area and kind."""
    case = _case()
    area_of_bus = dict(zip(case.network.bus_ids, case.network.bus_area, strict=True))

    def spec(name: str, area: str, kind: str) -> PointSpec:
        return PointSpec(name=name, area=area, device=f"{kind}-{area}", period_ns=_PERIOD_NS)

    specs = [spec(f"load/{bus}/mw", area_of_bus[bus], "meters") for bus in case.load_buses]
    specs += [spec(f"unit/{unit.id}/mw", unit.area, "plants") for unit in case.units]
    specs += [spec(f"unit/{unit}/available_mw", case.unit[unit].area, "plants") for unit in case.real_time.unit_ids]
    for branch, f, t in zip(case.network.branch_ids, case.network.from_bus, case.network.to_bus, strict=True):
        for end, bus in (("from", case.network.bus_ids[f]), ("to", case.network.bus_ids[t])):
            specs.append(spec(f"branch/{branch}/{end}_mw", area_of_bus[bus], "scada"))
            specs.append(spec(f"switch/{branch}/{end}", area_of_bus[bus], "scada"))
    for area in case.real_time.area_ids:
        specs += [spec(f"area/{area}/hz", area, "rtu"), spec(f"area/{area}/interchange_mw", area, "rtu")]
    return specs


@lru_cache(maxsize=1)
def rts_table() -> PointTable:
    """Return the table of :func:`point_specs`."""
    return PointTable(point_specs())


@lru_cache(maxsize=8)
def area_table(area: str) -> PointTable:
    """Return the table of one area's points."""
    return rts_table().of_area(area)


def values_at(period: int, open_branches: tuple[str, ...] = ()) -> dict[str, float]:
    """Return the value of every point in one 5-minute period (counted from 0)."""
    return dict(_values_at(period, open_branches))


@lru_cache(maxsize=64)
def _values_at(period: int, open_branches: tuple[str, ...]) -> dict[str, float]:
    case = _case()
    network = case.network
    load_mw = case.bus_load_mw(case.real_time, period)
    available = case.available_mw(case.real_time, period)
    nature_mw = {unit.id: min(available[unit.id], unit.p_max_mw) for unit in case.units if unit.id in available}
    rest = [unit for unit in case.units if unit.id not in available]
    share = (load_mw.sum() - sum(nature_mw.values())) / sum(unit.p_max_mw for unit in rest)
    output = nature_mw | {unit.id: share * unit.p_max_mw for unit in rest}
    injection = -load_mw
    for unit in case.units:
        injection[network.bus_index[unit.bus]] += output[unit.id]
    closed = np.ones(network.n_branches, dtype=bool)
    closed[[network.branch_index[b] for b in open_branches]] = False
    flow = Topology(network, closed).flows_mw(injection)
    values = {f"load/{bus}/mw": float(load_mw[network.bus_index[bus]]) for bus in case.load_buses}
    values |= {f"unit/{unit}/mw": mw for unit, mw in output.items()}
    values |= {f"unit/{unit}/available_mw": mw for unit, mw in available.items()}
    for i, branch in enumerate(network.branch_ids):
        values |= {f"branch/{branch}/from_mw": float(flow[i]), f"branch/{branch}/to_mw": -float(flow[i])}
        values |= {f"switch/{branch}/{end}": 2.0 if closed[i] else 1.0 for end in ("from", "to")}
    area = np.array(network.bus_area)
    for name in case.real_time.area_ids:
        values |= {f"area/{name}/hz": 50.0, f"area/{name}/interchange_mw": float(injection[area == name].sum())}
    return values


@lru_cache(maxsize=1)
def _devices() -> dict[tuple[str, str], list[tuple[str, int]]]:
    """Name and id of every point of each device and area."""
    found: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for spec in rts_table().specs:
        found.setdefault((spec.device, spec.area), []).append((spec.name, point_id(spec.name)))
    return dict(sorted(found.items()))


def frames_at(ts_ns: int, seq: int, values: dict[str, float]) -> list[TelemetryFrame]:
    """Return one frame per device that holds all its values at ``ts_ns``."""
    frames = []
    for (device, area), points in _devices().items():
        samples = [(number, ts_ns, values[name], GOOD, 0) for name, number in points if name in values]
        if samples:
            frames.append(frame_of(device, area, seq, ts_ns, samples))
    return frames
