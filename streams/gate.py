"""What stands in for a measurement at the gate: base points for outputs that are too old, a forecast for the load.

Inputs are frozen as measured (:func:`streams.clearing.freeze`); here they become those of the interval, and their quality is frozen with
them. Everything is a pure function of the image and of what the grid processor remembers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from market.offers import Control
from market.outcomes import ClearingInputs
from market.units import NS_PER_S, clock_text
from streams import inputquality, loadforecast
from streams.clearing import DayAheadPlan, GridPoints, IntervalPlan
from streams.figures import GridModel, plan_in_force
from streams.image import GridImage
from streams.loadforecast import LoadForecastSums

__all__ = ["prepared"]

_NAMED_MAX: Final = 12


def prepared(
    frozen: ClearingInputs,
    image: GridImage,
    model: GridModel,
    points: GridPoints,
    plans: Sequence[IntervalPlan],
    commitments: Sequence[DayAheadPlan],
    sums: LoadForecastSums,
) -> ClearingInputs:
    """Return the inputs of an interval.

    Args:
        frozen: as measured.
        image: the process image they were frozen from.
        model: points, units and rules.
        points: where the quantities stand in the table.
        plans: schedules of recent intervals, for base points.
        commitments: day-ahead plans, for the profile of the load.
        sums: recent loads, likewise.
    """
    rules = model.rules
    replaced_mw = _base_points(inputquality.old_units(image, model.table, points, rules.input_gates), image, model, plans)
    notes = [f"unit/{unit}/mw: too old, the {mw:.1f} MW of its base point stand in" for unit, mw in list(replaced_mw.items())[:_NAMED_MAX]]
    if len(replaced_mw) > _NAMED_MAX:
        notes.append(f"and {len(replaced_mw) - _NAMED_MAX} more base points")
    seen = loadforecast.foreseen(frozen.interval_start_ns, image.ts_event_ns, commitments, sums, rules)
    middle = clock_text(image.ts_event_ns + round(seen.horizon_s * NS_PER_S), rules.zone)
    notes.append(f"load at {middle}: as measured{f'; {seen.persisted}' if seen.persisted else f', times {seen.ratio:.4f}'}")
    return replace(
        frozen,
        load_mw={bus: mw * seen.ratio for bus, mw in frozen.load_mw.items()},
        output_mw=frozen.output_mw | replaced_mw,
        notes=(*frozen.notes, *notes),
        quality=replace(
            inputquality.quality_of(image, model.table, points, model.units, _import_mw(frozen, model)),
            replaced_units=tuple(replaced_mw),
            replaced_output_mw=sum(map(abs, replaced_mw.values())),
            horizon_s=seen.horizon_s,
            load_persisted=seen.persisted,
        ),
    )


def _import_mw(frozen: ClearingInputs, model: GridModel) -> dict[str, float]:
    """Return what tie-lines bring in from outside of the network, by area, MW."""
    area = dict(zip(model.network.bus_ids, model.network.bus_area, strict=True))
    brought_mw: dict[str, float] = {}
    for bus, mw in frozen.tie_mw.items():
        brought_mw[area[bus]] = brought_mw.get(area[bus], 0.0) + mw
    return brought_mw


def _base_points(old: Sequence[str], image: GridImage, model: GridModel, plans: Sequence[IntervalPlan]) -> dict[str, float]:
    """Return the base points in force, MW, of units that follow theirs; none of those that have none."""
    plan = plan_in_force(plans, image.ts_event_ns)
    if plan is None:
        return {}
    follow = (unit for unit in old if unit in model.units and model.units[unit].control is Control.DISPATCHABLE)
    return {unit: plan.base_points_mw[unit] for unit in follow if unit in plan.base_points_mw}
