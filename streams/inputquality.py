"""What frozen inputs were made of: how much of it was stale, whether it adds up, how old it was. Measured here, judged elsewhere.

Areas are held against what they exchange: an area whose generation, load and measured net export do not agree has the wrong meter.

Deliberately absent: limits (:mod:`market.gates`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from ingest.points import PointTable
from market.offers import Unit
from market.outcomes import InputQuality
from market.rules import InputGates
from market.units import NS_PER_S
from streams.clearing import GridPoints
from streams.image import GridImage

__all__ = ["old_units", "quality_of"]

_PERIODS = 2
"""A unit that is asked rarely is not old for that: twice its period is waited for."""


def old_units(image: GridImage, table: PointTable, points: GridPoints, gates: InputGates) -> tuple[str, ...]:
    """Return the units whose output was measured too long ago to say how they run now, or never; sorted."""
    period_s = np.array([table.specs[row].period_ns for row in points.unit_row]) / NS_PER_S
    old = image.age_s[points.unit_row] > np.maximum(gates.unit_age_s, _PERIODS * period_s)
    return tuple(sorted(points.unit[i] for i in np.flatnonzero(old)))


def quality_of(
    image: GridImage, table: PointTable, points: GridPoints, units: Mapping[str, Unit], import_mw: Mapping[str, float] | None = None
) -> InputQuality:
    """Measure what an image holds of loads, outputs and positions.

    Args:
        image: the process image at the freeze.
        table: the point table the image is laid out by.
        points: where the quantities stand in it.
        units: every unit by id.
        import_mw: what comes in from outside of the network, by area, MW.
    """
    output_mw, load_mw = image.value[points.unit_row], image.value[points.load_row]
    have, stale = image.usable[points.unit_row], image.usable[points.unit_row] & ~image.good[points.unit_row]
    whole = bool(have.all() and image.usable[points.load_row].all() and len(points.load_row) and set(points.unit) >= set(units))
    brought_mw = dict(import_mw or {})
    area, gap_mw = _worst_area(image, table, points, units, brought_mw) if whole else ("", 0.0)
    age_s = image.age_s[points.switch_row]
    known = np.flatnonzero(np.isfinite(age_s))
    oldest = int(known[np.argmax(age_s[known])]) if len(known) else None
    return InputQuality(
        output_mw=float(np.abs(output_mw[have]).sum()),
        stale_output_mw=float(np.abs(output_mw[stale]).sum()),
        stale_units=tuple(sorted(points.unit[i] for i in np.flatnonzero(stale))),
        generation_mw=float(output_mw.sum()) if whole else None,
        load_mw=float(load_mw.sum()) if whole else None,
        import_mw=sum(brought_mw.values()),
        worst_area=area,
        area_gap_mw=gap_mw,
        topology_age_s=None if oldest is None else float(age_s[oldest]),
        switch_point="" if oldest is None else table.specs[points.switch_row[oldest]].name,
    )


def _worst_area(
    image: GridImage, table: PointTable, points: GridPoints, units: Mapping[str, Unit], import_mw: Mapping[str, float]
) -> tuple[str, float]:
    """Return the area in which generation, import, load and measured net export differ most, and by how much, MW."""
    gap_mw: defaultdict[str, float] = defaultdict(float)
    for name, row in zip(points.unit, points.unit_row.tolist(), strict=True):
        gap_mw[units[name].area if name in units else table.specs[row].area] += float(image.value[row])
    for row in points.load_row.tolist():
        gap_mw[table.specs[row].area] -= float(image.value[row])
    judged: dict[str, float] = {}
    for area in table.areas:
        name = f"area/{area}/interchange_mw"
        if name in table and image.usable[row := table.row(name)]:
            judged[area] = gap_mw[area] + import_mw.get(area, 0.0) - float(image.value[row])
    worst = max(sorted(judged), key=lambda area: abs(judged[area]), default="")
    return worst, judged.get(worst, 0.0)
