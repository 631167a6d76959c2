"""All key figures of one process image: where each quantity stands in the image, and which figure is made of which.

The formulas are in the modules that :mod:`streams.kpis` names; here they are applied to the grid. A figure that cannot be computed from
what is known is absent. Everything is a pure function of the image, the plans in force and the running sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.points import PointTable
from market.grid import Network
from market.offers import Unit
from market.rules import MarketRules
from market.units import NS_PER_MIN
from streams import adequacy, areacontrol, clearing, clearingtimes, forecasts, kpis, loadforecast, marketfigures, supplyquality
from streams.areacontrol import AreaSums
from streams.clearing import DayAheadPlan, IntervalPlan
from streams.clearingtimes import ClearingTimes
from streams.forecasts import Actual, ForecastSums
from streams.image import GridImage
from streams.kpis import KpiFrame
from streams.loadforecast import LoadForecastSums
from streams.windows import DaySums

__all__ = ["BY_COMMITMENT", "GridModel", "KeyFigures", "Sums", "plan_in_force"]

BY_COMMITMENT: Final = (
    *("reserve_margin_pct", "spinning_reserve_pct", "reserve_10min_pct", "reserve_30min_pct"),
    *("hhi_capacity", "rsi", "pivotal_suppliers"),
)
"""System figures that depend on which units are committed."""


@dataclass(frozen=True, kw_only=True)
class GridModel:
    """What does not change from tick to tick: the network, its units, the points that measure them, how areas are controlled.

    Attributes:
        day_ahead: whether a day-ahead result is made, and intervals wait for its commitment.
        look_ahead: periods cleared together, the interval among them.
        units_off, branches_out: what the case itself says is out of service, sorted.
        unmeasured_buses: buses at which something feeds in or takes out that no point measures.
        ordinary_mw: what buses draw on an ordinary day, MW; empty where nobody says.
    """

    network: Network
    units: Mapping[str, Unit]
    table: PointTable
    rules: MarketRules
    control: kpis.ControlParams
    day_ahead: bool = True
    units_off: tuple[str, ...] = ()
    branches_out: tuple[str, ...] = ()
    look_ahead: int = 1
    unmeasured_buses: tuple[str, ...] = ()
    ordinary_mw: Mapping[str, float] = field(default_factory=dict)

    @property
    def areas(self) -> tuple[str, ...]:
        """The areas that have points."""
        return self.table.areas


def plan_in_force(plans: Sequence[IntervalPlan], now_ns: int) -> IntervalPlan | None:
    """Return the schedule of the latest interval that has begun: while nothing clears, the last one goes on."""
    begun = [plan for plan in plans if plan.interval_start_ns <= now_ns]
    return max(begun, key=lambda plan: plan.interval_start_ns, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What figures over a length of time are counted from.

    Attributes:
        areas: control of each area.
        frequency: minutes in band, and watched.
        voltage: bus·minutes out of band, and watched.
        instructed_mw: where each unit with a base point should be now, MW.
        clearing: how clearing keeps its times.
        forecasts: how far the day-ahead forecasts were off.
        load_forecast: how far the loads were off that intervals were cleared for, and recent loads.
    """

    areas: dict[str, AreaSums] = field(default_factory=dict)
    frequency: DaySums = field(default_factory=DaySums)
    voltage: DaySums = field(default_factory=DaySums)
    instructed_mw: dict[str, float] = field(default_factory=dict)
    clearing: ClearingTimes = field(default_factory=ClearingTimes)
    forecasts: ForecastSums = field(default_factory=ForecastSums)
    load_forecast: LoadForecastSums = field(default_factory=LoadForecastSums)


@dataclass(frozen=True, slots=True, kw_only=True)
class _UnitsNow:
    """Units at one instant, (k,) in the order of their points.

    Attributes:
        output_mw: as metered, NaN where never.
        limit_mw: what each says it could give, or gives where it has no way to say so; NaN where it never did.
        top_mw: what each could give, as far as can be known.
        on: units that are committed.
    """

    output_mw: NDArray[np.float64]
    limit_mw: NDArray[np.float64]
    top_mw: NDArray[np.float64]
    on: NDArray[np.bool_]


class KeyFigures:
    """Computes the key figures of one grid.

    Args:
        model: the grid.
    """

    def __init__(self, model: GridModel) -> None:
        self._model = model
        self.points = clearing.grid_points(model.table)
        table, network = model.table, model.network
        bus_area = dict(zip(network.bus_ids, network.bus_area, strict=True))
        self._load_area = np.array([bus_area.get(bus, "") for bus in self.points.load_bus])
        rating = dict(zip(network.branch_ids, network.rate_mw.tolist(), strict=True))
        self._flow_rating_mw = np.array([rating.get(branch, np.inf) for branch in self.points.flow_branch])
        self._area_rows = {area: (_row(table, f"area/{area}/hz"), _row(table, f"area/{area}/interchange_mw")) for area in model.areas}
        kv = {bus: nominal for bus, nominal in zip(network.bus_ids, network.base_kv.tolist(), strict=True) if nominal > 0}
        measured = [(row, kv[bus]) for bus, row in table.named("bus", "kv") if bus in kv]
        self._kv_row = np.array([row for row, _ in measured], dtype=np.int64)
        self._nominal_kv = np.array([nominal for _, nominal in measured])
        self._unit_columns(model.units, table)

    def _unit_columns(self, units: Mapping[str, Unit], table: PointTable) -> None:
        """Lay out what is known of the units in the order of their points."""
        names = self.points.unit
        known = [units.get(name) for name in names]
        self._known_unit = np.array([unit is not None for unit in known], dtype=bool)
        self._weather = np.array([unit is not None and unit.weather_driven for unit in known], dtype=bool)
        # A forecast is of all of them; what is metered of some cannot be compared with it.
        self._weather_metered = all(unit.id in names for unit in units.values() if unit.weather_driven)
        self._renewable = np.array([unit is not None and unit.renewable for unit in known], dtype=bool)
        self._p_max_mw = np.array([np.nan if unit is None else unit.p_max_mw for unit in known])
        self._ramp_mw_per_min = np.array([np.nan if unit is None else unit.ramp_mw_per_min for unit in known])
        self._fuel = np.array(["unknown" if unit is None else str(unit.fuel) for unit in known])
        self._fuels = sorted(set(self._fuel.tolist()))
        self._unit_area = np.array(["" if unit is None else unit.area for unit in known])
        self._supplier = np.unique(
            [name if unit is None else unit.bus for name, unit in zip(names, known, strict=True)], return_inverse=True
        )[1]
        place = {name: number for number, name in enumerate(names)}
        told = [(row, place[unit]) for unit, row in table.named("unit", "available_mw") if unit in place]
        self._told_row, self._told_place = (np.array(column, dtype=np.int64) for column in _columns(told))
        based = [(row, place[unit]) for unit, row in table.named("unit", "setpoint_mw") if unit in units and unit in place]
        self._base_row, self._base_place = (np.array(column, dtype=np.int64) for column in _columns(based))
        self._says = np.isin(np.arange(len(names)), self._told_place)

    def of(
        self,
        image: GridImage,
        plans: Sequence[IntervalPlan] = (),
        commitments: Sequence[DayAheadPlan] = (),
        sums: Sums | None = None,
        gap_ns: int = 0,
        step_ns: int = 0,
    ) -> tuple[KpiFrame, Sums]:
        """Compute every figure the arguments allow.

        Args:
            image: the process image.
            plans: schedules of recent intervals; without them there are no control and no price figures.
            commitments: day-ahead plans; without one for the day every unit counts as committed.
            sums: what earlier images left of figures over time; without them only figures of this instant are computed.
            gap_ns: time since the image before, 0 where there was none.
            step_ns: how much of it this image stands for; a pause stands for nothing.

        Returns:
            The figures, and the running sums with this image's samples added.
        """
        value, points, now_ns = image.value, self.points, image.ts_event_ns
        sums = sums or Sums()
        units = self._units(image, commitments)
        load_mw = value[points.load_row]
        plan = plan_in_force(plans, now_ns)
        areas, sums = self._areas(image, (load_mw, units.output_mw), plan, sums, step_ns)
        total_load_mw, generation_mw = kpis.total_mw(load_mw), kpis.total_mw(units.output_mw)
        system: dict[str, float | None] = {
            "load_mw": total_load_mw,
            "generation_mw": generation_mw,
            "losses_pct": adequacy.losses_pct(generation_mw, total_load_mw),
            "telemetry_availability_pct": kpis.availability_pct(image.good),
            "telemetry_freshness_s": kpis.freshness_s(image.age_s),
            "polled_freshness_s": kpis.freshness_s(image.age_s[~self._model.table.by_exception]),
            "told_freshness_s": kpis.freshness_s(image.age_s[self._model.table.by_exception]),
        }
        if plan is not None and now_ns < plan.interval_start_ns + self._model.rules.rt_interval_ns:
            system |= self._prices(plan, commitments)
        if total_load_mw is not None:
            system |= self._adequacy(units, total_load_mw)
        supplied, sums = self._supply(image, areas, sums, step_ns)
        obeyed, sums = self._obeyed(image, units, sums, gap_ns)
        rules, actual = self._model.rules, self._actual(units, total_load_mw)
        sums = replace(
            sums,
            clearing=clearingtimes.due(sums.clearing, now_ns, rules),
            forecasts=forecasts.compared(sums.forecasts, now_ns, actual, commitments, rules.zone, step_ns),
            load_forecast=loadforecast.compared(sums.load_forecast, now_ns, total_load_mw, rules, step_ns),
        )
        system |= supplied | obeyed | clearingtimes.clearing_figures(sums.clearing, now_ns)
        system |= forecasts.forecast_figures(sums.forecasts, now_ns, commitments, rules.zone)
        system |= loadforecast.figures(sums.load_forecast, now_ns)
        flow_mw = np.where(image.usable[points.flow_row], value[points.flow_row], np.nan)
        frame = KpiFrame(
            ts_event_ns=now_ns,
            system=_known(system),
            areas=areas,
            generation_mw_by_fuel=_known({fuel: kpis.total_mw(units.output_mw[self._fuel == fuel]) for fuel in self._fuels}),
            worst_lines=kpis.worst_lines(points.flow_branch, flow_mw, self._flow_rating_mw),
            lines_open=clearing.open_branches(image, points),
            sources=image.sources,
            freshness_s_by_source=_known(kpis.freshness_s_by_source(self._model.table.devices, self._model.table.device_of, image.age_s)),
        )
        return frame, sums

    def _prices(self, plan: IntervalPlan, commitments: Sequence[DayAheadPlan]) -> dict[str, float | None]:
        """Return what the interval in force was cleared at, and what that says of the market."""
        figures: dict[str, float | None] = {
            "average_lmp_cny_per_mwh": plan.average_lmp_cny_per_mwh,
            "uniform_price_cny_per_mwh": plan.uniform_price_cny_per_mwh,
            "congestion_rent_cny_per_h": plan.congestion_rent_cny_per_h,
        }
        zone = self._model.rules.zone
        if (ahead := clearing.day_plan(commitments, plan.interval_start_ns, zone)) is not None:
            price = clearing.of_period(ahead.uniform_price_cny_per_mwh, ahead.day, plan.interval_start_ns, zone)
            if price is not None:
                figures["day_ahead_spread_cny_per_mwh"] = marketfigures.price_spread(price, plan.uniform_price_cny_per_mwh)
        if (market := plan.market) is not None:
            figures |= {
                "nodal_spread_cny_per_mwh": market.nodal_spread_cny_per_mwh,
                "award_hhi": market.award_hhi,
                "award_top4_pct": market.award_top4_pct,
                "lerner": market.lerner,
            }
        return figures

    def _actual(self, units: _UnitsNow, load_mw: float | None) -> Actual:
        """Return what forecasts are compared with."""
        return Actual(
            load_mw=load_mw,
            wind_solar_mw=kpis.total_mw(units.limit_mw[self._weather]) if self._weather_metered else None,
            capacity_mw=float(self._p_max_mw[self._weather].sum()),
        )

    def _units(self, image: GridImage, commitments: Sequence[DayAheadPlan]) -> _UnitsNow:
        zone = self._model.rules.zone
        plan = clearing.day_plan(commitments, image.ts_event_ns, zone)
        off = {*clearing.units_off(tuple(self._model.units.values()), plan, image.ts_event_ns, zone), *self._model.units_off}
        output_mw = image.value[self.points.unit_row]
        told_mw = np.full(len(output_mw), np.nan)
        told_mw[self._told_place] = image.value[self._told_row]
        # Where nobody says what a unit could give, a machine can give its rating, and wind and sun what they give now.
        top_mw = np.where(np.isfinite(told_mw), told_mw, np.where(self._renewable, output_mw, self._p_max_mw))
        return _UnitsNow(
            output_mw=output_mw,
            limit_mw=np.where(self._says, told_mw, output_mw),
            top_mw=top_mw,
            on=self._known_unit & ~np.isin(self.points.unit, sorted(off)),
        )

    def _adequacy(self, units: _UnitsNow, load_mw: float) -> dict[str, float | None]:
        """Return what committed units could still give, what part renewables have and lose, and on how few suppliers the load hangs."""
        renewable, on, output_mw = self._renewable, units.on, units.output_mw
        spins = adequacy.running(on, renewable, output_mw, self._p_max_mw)
        top_mw, given_now_mw, ramp = units.top_mw[spins], output_mw[spins], self._ramp_mw_per_min[spins]
        within = {minutes: adequacy.deliverable_mw(top_mw, given_now_mw, ramp, minutes) for minutes in (10.0, 30.0)}
        given_mw = marketfigures.supplied_mw(self._supplier, output_mw)
        capacity_mw = marketfigures.supplied_mw(self._supplier[on], units.top_mw[on])
        residual = marketfigures.rsi(capacity_mw, load_mw) if load_mw > 0 and len(capacity_mw) else np.array([np.nan])
        return {
            "reserve_margin_pct": adequacy.reserve_margin_pct(units.top_mw[on], output_mw[on], load_mw),
            "spinning_reserve_pct": adequacy.reserve_pct(np.maximum(top_mw - given_now_mw, 0.0), load_mw),
            "reserve_10min_pct": adequacy.reserve_pct(within[10.0], load_mw),
            "reserve_30min_pct": adequacy.reserve_pct(within[30.0], load_mw),
            "renewable_share_pct": adequacy.renewable_share_pct(kpis.total_mw(output_mw[renewable]), load_mw),
            "curtailment_pct": adequacy.curtailment_pct(units.limit_mw[renewable], output_mw[renewable]),
            "hhi": marketfigures.hhi(given_mw),
            "top4_pct": marketfigures.top4_pct(given_mw),
            "hhi_capacity": marketfigures.hhi(capacity_mw),
            "rsi": float(residual.min()),
            "pivotal_suppliers": float(np.count_nonzero(residual < 1.0)) if np.isfinite(residual).all() else None,
        }

    def _supply(
        self, image: GridImage, areas: Mapping[str, Mapping[str, float]], sums: Sums, step_ns: int
    ) -> tuple[dict[str, float | None], Sums]:
        """Return how good frequency and voltage are, now and over the day."""
        now_ns, control = image.ts_event_ns, self._model.control
        figures: dict[str, float | None] = {}
        hz = kpis.frequency_hz([figures["frequency_hz"] for figures in areas.values() if "frequency_hz" in figures])
        if hz is not None:
            deviation_hz = hz - control.nominal_hz
            figures |= {"frequency_hz": hz, "frequency_deviation_hz": deviation_hz}
            frequency = supplyquality.band_watched(sums.frequency, now_ns, deviation_hz, control.frequency_band_hz, step_ns)
            sums = replace(sums, frequency=frequency)
        kv = np.where(image.good[self._kv_row], image.value[self._kv_row], np.nan)
        outside, judged = supplyquality.outside_voltage(kv, self._nominal_kv)
        if judged.any():
            n_outside, n_judged = int(outside.sum()), int(judged.sum())
            figures["voltage_outside_buses"] = float(n_outside)
            sums = replace(sums, voltage=supplyquality.voltage_watched(sums.voltage, now_ns, n_outside, n_judged, step_ns))
        outside_min, in_band_pct = supplyquality.voltage_minutes(sums.voltage, now_ns)
        figures["voltage_outside_min"], figures["voltage_in_band_pct"] = outside_min, in_band_pct
        figures["frequency_in_band_pct"] = supplyquality.in_band_pct(sums.frequency, now_ns)
        return figures, sums

    def _obeyed(self, image: GridImage, units: _UnitsNow, sums: Sums, gap_ns: int) -> tuple[dict[str, float | None], Sums]:
        """Return how closely units follow their base points; a unit is judged from the second image on that knows its base point."""
        seen = image.usable[self._base_row] & image.good[self.points.unit_row[self._base_place]]
        place, base_mw = self._base_place[seen], image.value[self._base_row[seen]]
        output_mw = units.output_mw[place]
        names = [self.points.unit[number] for number in place.tolist()]
        path_mw = np.array([sums.instructed_mw.get(name, np.nan) for name in names])
        known = np.isfinite(path_mw)
        start_mw = np.where(known, path_mw, output_mw)
        instructed_mw = adequacy.followed_mw(start_mw, base_mw, self._ramp_mw_per_min[place], gap_ns / NS_PER_MIN)
        sums = replace(sums, instructed_mw=dict(zip(names, instructed_mw.tolist(), strict=True)))
        if not known.any():
            return {}, sums
        obedient = adequacy.obedient(output_mw[known], instructed_mw[known], self._p_max_mw[place][known])
        return {
            "unit_deviation_mw": float(np.abs(output_mw - instructed_mw)[known].sum()),
            "unit_compliance_pct": 100.0 * float(obedient.mean()),
        }, sums

    def _areas(
        self,
        image: GridImage,
        measured: tuple[NDArray[np.float64], NDArray[np.float64]],
        plan: IntervalPlan | None,
        sums: Sums,
        step_ns: int,
    ) -> tuple[dict[str, dict[str, float]], Sums]:
        """Return the figures of every area, from loads and outputs (k,) MW, and what its control adds to the sums."""
        load_mw, output_mw = measured
        now_ns, control = image.ts_event_ns, self._model.control
        areas: dict[str, dict[str, float]] = {}
        counted = dict(sums.areas)
        for area, (hz_row, interchange_row) in self._area_rows.items():
            hz, interchange_mw = _fresh(image, hz_row), _fresh(image, interchange_row)
            figures: dict[str, float | None] = {
                "load_mw": kpis.total_mw(load_mw[self._load_area == area]),
                "generation_mw": kpis.total_mw(output_mw[self._unit_area == area]),
                "frequency_hz": hz,
                "interchange_mw": interchange_mw,
            }
            if hz is not None and interchange_mw is not None and plan is not None and area in plan.interchange_mw:
                bias, deviation_hz = control.bias_mw_per_0p1hz[area], hz - control.nominal_hz
                tie_mw = interchange_mw - plan.interchange_mw[area]
                ace = areacontrol.ace_mw(interchange_mw, plan.interchange_mw[area], hz, bias, control.nominal_hz)
                sample = (ace, deviation_hz, tie_mw)
                counted[area] = areacontrol.controlled(counted.get(area, AreaSums()), area, control, now_ns, sample, step_ns)
                figures |= {"tie_deviation_mw": tie_mw, "ace_mw": ace}
                figures["baal_mw"] = areacontrol.baal_mw(deviation_hz, bias, control.epsilon1_hz)
                figures |= areacontrol.control_figures(counted[area], now_ns, control)
            areas[area] = _known(figures)
        return areas, replace(sums, areas=counted)


def _columns(pairs: Sequence[tuple[int, int]]) -> tuple[list[int], list[int]]:
    return [first for first, _ in pairs], [second for _, second in pairs]


def _known(figures: Mapping[str, float | None]) -> dict[str, float]:
    """Return the figures that could be computed; a number that is none would make the whole frame unreadable."""
    return {name: number for name, number in figures.items() if number is not None and np.isfinite(number)}


def _row(table: PointTable, name: str) -> int | None:
    return table.row(name) if name in table else None


def _fresh(image: GridImage, row: int | None) -> float | None:
    """Return a value that is good now; control figures are not computed from old values."""
    return float(image.value[row]) if row is not None and image.good[row] else None
