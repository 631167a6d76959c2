"""All key figures of one process image: where each quantity stands in the image, and which figure is made of which.

The formulas are in :mod:`streams.kpis`; here they are applied to the grid. A figure that cannot be computed from what is known is
absent. Everything is a pure function of the image, the schedules in force and the running sums of CPS1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.points import PointTable
from market.grid import Network
from market.offers import Unit
from market.rules import MarketRules
from market.units import civil_day
from streams import clearing, kpis
from streams.clearing import DayAheadPlan, IntervalPlan
from streams.image import GridImage
from streams.kpis import Cps1, KpiFrame

__all__ = ["GridModel", "KeyFigures", "plan_in_force"]


@dataclass(frozen=True, kw_only=True)
class GridModel:
    """What does not change while the service runs: the network, its units, the points that measure them, how areas are controlled.

    Attributes:
        day_ahead: whether a day-ahead result is made, and intervals wait for its commitment.
        units_off, branches_out: what the case itself says is out of service, sorted.
    """

    network: Network
    units: Mapping[str, Unit]
    table: PointTable
    rules: MarketRules
    control: kpis.ControlParams
    day_ahead: bool = True
    units_off: tuple[str, ...] = ()
    branches_out: tuple[str, ...] = ()

    @property
    def areas(self) -> tuple[str, ...]:
        """The areas that have points."""
        return self.table.areas


def plan_in_force(plans: Sequence[IntervalPlan], now_ns: int) -> IntervalPlan | None:
    """Return the schedule of the latest interval that has begun: while nothing clears, the last one goes on."""
    begun = [plan for plan in plans if plan.interval_start_ns <= now_ns]
    return max(begun, key=lambda plan: plan.interval_start_ns, default=None)


class KeyFigures:
    """Computes the key figures of one grid.

    Args:
        model: the grid.
    """

    def __init__(self, model: GridModel) -> None:
        self._model = model
        self.points = clearing.grid_points(model.table)
        units, table = model.units, model.table
        self._fuel = np.array([units[u].fuel if u in units else "unknown" for u in self.points.unit])
        self._fuels = sorted(set(self._fuel.tolist()))
        self._unit_area = np.array([units[u].area if u in units else "" for u in self.points.unit])
        bus_area = dict(zip(model.network.bus_ids, model.network.bus_area, strict=True))
        self._load_area = np.array([bus_area.get(bus, "") for bus in self.points.load_bus])
        rating = dict(zip(model.network.branch_ids, model.network.rate_mw.tolist(), strict=True))
        self._flow_rating_mw = np.array([rating.get(branch, np.inf) for branch in self.points.flow_branch])
        self._area_rows = {area: (_row(table, f"area/{area}/hz"), _row(table, f"area/{area}/interchange_mw")) for area in model.areas}

    def of(
        self,
        image: GridImage,
        plans: Sequence[IntervalPlan] = (),
        commitments: Sequence[DayAheadPlan] = (),
        cps1: Mapping[str, Cps1] | None = None,
    ) -> tuple[KpiFrame, dict[str, Cps1]]:
        """Compute every figure the arguments allow.

        Args:
            image: the process image.
            plans: schedules of recent intervals; without them there are no control and no price figures.
            commitments: day-ahead plans; without one for the day every unit counts as committed.
            cps1: running sums of CPS1 by area.

        Returns:
            The figures, and the running sums with this image's samples added.
        """
        value, points = image.value, self.points
        load_mw, output_mw = value[points.load_row], value[points.unit_row]
        system: dict[str, float | None] = {
            "load_mw": kpis.total_mw(load_mw),
            "generation_mw": kpis.total_mw(output_mw),
            "telemetry_availability_pct": kpis.availability_pct(image.good),
            "telemetry_freshness_s": kpis.freshness_s(image.age_s),
        }
        plan = plan_in_force(plans, image.ts_event_ns)
        if plan is not None and image.ts_event_ns < plan.interval_start_ns + self._model.rules.rt_interval_ns:
            system["average_lmp_cny_per_mwh"] = plan.average_lmp_cny_per_mwh
            system["uniform_price_cny_per_mwh"] = plan.uniform_price_cny_per_mwh
            system["congestion_rent_cny_per_h"] = plan.congestion_rent_cny_per_h
        sums = dict(cps1 or {})
        areas = {area: self._area(area, image, (load_mw, output_mw), plan, sums) for area in self._model.areas}
        hz = kpis.frequency_hz([areas[area]["frequency_hz"] for area in areas if "frequency_hz" in areas[area]])
        if hz is not None:
            system["frequency_hz"] = hz
            system["frequency_deviation_hz"] = hz - self._model.control.nominal_hz
        system |= self._adequacy(image, output_mw, system["load_mw"], commitments)
        flow_mw = np.where(image.usable[points.flow_row], value[points.flow_row], np.nan)
        frame = KpiFrame(
            ts_event_ns=image.ts_event_ns,
            system={name: number for name, number in system.items() if number is not None},
            areas=areas,
            generation_mw_by_fuel={str(fuel): float(np.nansum(output_mw[self._fuel == fuel])) for fuel in self._fuels},
            worst_lines=kpis.worst_lines(points.flow_branch, flow_mw, self._flow_rating_mw),
            lines_open=clearing.open_branches(image, points),
            sources=image.sources,
        )
        return frame, sums

    def _adequacy(
        self, image: GridImage, output_mw: NDArray[np.float64], load_mw: float | None, commitments: Sequence[DayAheadPlan]
    ) -> dict[str, float | None]:
        """Return what committed units could still give, and what part renewables have and lose."""
        units, zone = self._model.units, self._model.rules.zone
        day = civil_day(image.ts_event_ns, zone)
        plan = next((p for p in commitments if p.day == day), None)
        off = set(clearing.units_off(tuple(units.values()), plan, image.ts_event_ns, zone))
        limit_mw = dict(zip(self.points.available_unit, image.value[self.points.available_row].tolist(), strict=True))
        renewable, all_units = [], []
        for unit, mw in zip(self.points.unit, output_mw.tolist(), strict=True):
            if unit not in units or unit in off or not np.isfinite(mw):
                continue
            top_mw = limit_mw.get(unit, mw if units[unit].renewable else units[unit].p_max_mw)
            all_units.append((top_mw, mw))
            if units[unit].renewable:
                renewable.append((top_mw, mw))
        if load_mw is None or not all_units:
            return {}
        top, now = np.array(all_units).T
        figures = {"reserve_margin_pct": kpis.reserve_margin_pct(float(np.maximum(top, now).sum()), float(now.sum()), load_mw)}
        if renewable:
            top, now = np.array(renewable).T
            figures["renewable_share_pct"] = kpis.renewable_share_pct(float(now.sum()), load_mw)
            figures["curtailment_pct"] = kpis.curtailment_pct(top, now)
        return figures

    def _area(
        self,
        area: str,
        image: GridImage,
        measured: tuple[NDArray[np.float64], NDArray[np.float64]],
        plan: IntervalPlan | None,
        sums: dict[str, Cps1],
    ) -> dict[str, float]:
        control, (load_mw, output_mw) = self._model.control, measured
        hz_row, interchange_row = self._area_rows[area]
        hz, interchange_mw = _fresh(image, hz_row), _fresh(image, interchange_row)
        figures: dict[str, float | None] = {
            "load_mw": kpis.total_mw(load_mw[self._load_area == area]),
            "generation_mw": kpis.total_mw(output_mw[self._unit_area == area]),
            "frequency_hz": hz,
            "interchange_mw": interchange_mw,
        }
        if hz is not None and interchange_mw is not None and plan is not None and area in plan.interchange_mw:
            bias = control.bias_mw_per_0p1hz[area]
            ace = kpis.ace_mw(interchange_mw, plan.interchange_mw[area], hz, bias, control.nominal_hz)
            sums[area] = kpis.cps1_sampled(sums.get(area, Cps1()), image.ts_event_ns, ace, hz - control.nominal_hz, bias)
            figures["tie_deviation_mw"] = interchange_mw - plan.interchange_mw[area]
            figures["ace_mw"] = ace
            figures["cps1_pct"] = kpis.cps1_pct(sums[area], control.epsilon1_hz)
        return {name: number for name, number in figures.items() if number is not None}


def _row(table: PointTable, name: str) -> int | None:
    return table.row(name) if name in table else None


def _fresh(image: GridImage, row: int | None) -> float | None:
    """Return a value that is good now; control figures are not computed from old values."""
    return float(image.value[row]) if row is not None and image.good[row] else None
