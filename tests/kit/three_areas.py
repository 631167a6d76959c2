"""Three areas of one bus each, small enough to be computed on paper: a thermal unit and a load everywhere, wind in the first.

Snapshots are written as intake writes them, from values by point name; what is not named was never measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from ingest.frame import frame_of, point_id
from ingest.points import PointSpec, PointTable
from ingest.quality import GOOD, is_good
from market.offers import Fuel
from market.rules import MarketRules, rules_from
from market.units import NS_PER_S
from streams.figures import GridModel
from streams.image import AreaSnapshot
from streams.kpis import ControlParams, SourceHealth
from tests.kit.grids import network, unit

__all__ = ["AREAS", "RULES", "TICK_NS", "in_parts", "measured", "model", "snapshot"]

AREAS: Final = ("1", "2", "3")
TICK_NS: Final = 10 * NS_PER_S
RULES: Final[MarketRules] = rules_from({"rt_interval_min": 5})

_AREA_OF: Final = {"A": "1", "B": "2", "C": "3"}
_POINTS: Final = (
    "load/{bus}/mw",
    "unit/{bus}1/mw",
    "unit/{bus}1/setpoint_mw",
    "bus/{bus}/kv",
    "area/{area}/hz",
    "area/{area}/interchange_mw",
)


def model(*, day_ahead: bool = False) -> GridModel:
    """Return the grid; B = −25 MW/0.1 Hz in every area, nominal voltage 220 kV, units of 200 MW, 10 MW/min."""
    specs = [
        PointSpec(name=name.format(bus=bus, area=area), area=area, device=f"rtu-{area}", period_ns=TICK_NS)
        for bus, area in _AREA_OF.items()
        for name in _POINTS
    ]
    wind = ("unit/W/mw", "unit/W/available_mw")
    specs += [PointSpec(name=name, area="1", device="wind", period_ns=TICK_NS) for name in wind]
    lines = network(tuple(_AREA_OF), [("A", "B", 0.1, 100.0), ("B", "C", 0.1, 100.0)])
    units = [replace(unit(f"{bus}1", bus, (200.0, 300.0), ramp_mw_per_min=10.0), area=area) for bus, area in _AREA_OF.items()]
    units.append(replace(unit("W", "A", (100.0, 0.0)), fuel=Fuel.WIND))
    return GridModel(
        network=replace(lines, bus_area=tuple(_AREA_OF.values())),
        units={each.id: each for each in units},
        table=PointTable(specs),
        rules=RULES,
        control=ControlParams(bias_mw_per_0p1hz=dict.fromkeys(AREAS, -25.0)),
        day_ahead=day_ahead,
    )


def measured(**changed: float) -> dict[str, float]:
    """Return a balanced measurement of every point: load 100 MW a bus, wind 50 of 80 MW; names are written ``load__A__mw``."""
    values = {"unit/W/mw": 50.0, "unit/W/available_mw": 80.0}
    for bus, area in _AREA_OF.items():
        base_mw = 50.0 if bus == "A" else 100.0
        values |= {f"load/{bus}/mw": 100.0, f"unit/{bus}1/mw": base_mw, f"unit/{bus}1/setpoint_mw": base_mw, f"bus/{bus}/kv": 220.0}
        values |= {f"area/{area}/hz": 50.0, f"area/{area}/interchange_mw": 0.0}
    return values | {name.replace("__", "/"): value for name, value in changed.items()}


def snapshot(grid: GridModel, area: str, ts_ns: int, values: Mapping[str, float], quality: int = GOOD) -> AreaSnapshot:
    """Return what intake writes of an area at a tick, all values measured a second before."""
    specs = [spec for spec in grid.table.specs if spec.area == area and spec.name in values]
    samples = [(point_id(spec.name), ts_ns - NS_PER_S, values[spec.name], quality, 0) for spec in specs]
    good = bool(is_good(quality))
    sources = tuple(
        SourceHealth(source=device, area=area, points=count, good=count if good else 0, age_s=1.0, state="ok" if good else "bad")
        for device in sorted({spec.device for spec in specs})
        for count in [sum(spec.device == device for spec in specs)]
    )
    return AreaSnapshot(ts_event_ns=ts_ns, area=area, values=frame_of("@intake", area, 1, ts_ns, samples), sources=sources, counters={})


def in_parts(whole: AreaSnapshot, parts: int) -> tuple[AreaSnapshot, ...]:
    """Return a snapshot in so many parts, as intake writes that of a large area; the devices are in the first ones."""
    values = whole.values
    size = -(-len(values) // parts)

    def part(number: int) -> AreaSnapshot:
        some = np.arange(len(values))[number * size : (number + 1) * size]
        return replace(whole, values=values.only(some), sources=whole.sources[number : number + 1], part=number, parts=parts)

    return (whole,) if parts == 1 else tuple(part(number) for number in range(parts))
