"""The grid processor: area snapshots in; key figures, frozen inputs and requests for a day-ahead result out.

One instance sees the whole grid, tick by tick. Schedules and commitments reach it on the same topic as the snapshots, so that the
order of everything it knows is the order of one partition, and a replay computes the same figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.points import PointTable
from market.grid import Network
from market.offers import Unit
from market.outcomes import ClearingInputs
from market.rules import MarketRules
from market.units import NS_PER_H, NS_PER_S, civil_day, day_start_ns
from streams import clearing, kpis
from streams.clearing import DayAheadPlan, DayAheadWanted, IntervalPlan
from streams.image import AreaSnapshot, GridImage, image_of
from streams.kpis import Cps1, KpiFrame

__all__ = ["GridModel", "GridProcessor", "GridState", "decode_state", "encode_state"]

_LAG_NS: Final = 60 * NS_PER_S
"""An area whose snapshots lag by more than this no longer holds up the others; its last values go on ageing in the image."""

_DAY_AHEAD_HOUR: Final = 17
"""Local hour at which the next operating day's result is made: half an hour before it is to be published (Art. 9, 17:30)."""

_PLANS_KEPT: Final = 3

Effect = KpiFrame | ClearingInputs | DayAheadWanted


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


@dataclass(frozen=True, slots=True, kw_only=True)
class GridState:
    """What is remembered from tick to tick and across a restart.

    Attributes:
        offset: offset of the last record taken in, -1 before the first.
        last_tick_ns: the last tick computed.
        last_gated_ns: start of the last interval whose inputs were frozen.
        asked_days: operating days whose day-ahead result was asked for.
        plans: schedules of recent and coming intervals.
        commitments: day-ahead plans by day, at most three.
        cps1: by area.
    """

    v: int = 1
    offset: int = -1
    last_tick_ns: int = 0
    last_gated_ns: int = 0
    asked_days: tuple[str, ...] = ()
    plans: tuple[IntervalPlan, ...] = ()
    commitments: tuple[DayAheadPlan, ...] = ()
    cps1: dict[str, Cps1] = field(default_factory=dict)


_STATE: Final = msgspec.json.Decoder(GridState)


def encode_state(state: GridState) -> bytes:
    """Write the state for the table."""
    return msgspec.json.encode(state)


def decode_state(raw: bytes) -> GridState:
    """Read back what :func:`encode_state` wrote.

    Raises:
        msgspec.DecodeError: not a grid state: an invariant is broken, and the worker must not go on.
    """
    return _STATE.decode(raw)


class GridProcessor:
    """Folds snapshots, schedules and commitments into key figures and frozen inputs.

    Args:
        model: the grid.
        state: what was remembered, for a restart.
    """

    def __init__(self, model: GridModel, state: GridState | None = None) -> None:
        self.model = model
        self.state = state or GridState()
        self._points = clearing.grid_points(model.table)
        self._latest: dict[str, AreaSnapshot] = {}
        table = model.table
        self._fuel = np.array([model.units[u].fuel if u in model.units else "unknown" for u in self._points.unit])
        self._unit_area = np.array([model.units[u].area if u in model.units else "" for u in self._points.unit])
        bus_area = dict(zip(model.network.bus_ids, model.network.bus_area, strict=True))
        self._load_area = np.array([bus_area.get(bus, "") for bus in self._points.load_bus])
        rating = dict(zip(model.network.branch_ids, model.network.rate_mw.tolist(), strict=True))
        self._flow_rating_mw = np.array([rating.get(branch, np.inf) for branch in self._points.flow_branch])
        self._area_rows = {area: (_row(table, f"area/{area}/hz"), _row(table, f"area/{area}/interchange_mw")) for area in model.areas}

    def take(self, record: AreaSnapshot | IntervalPlan | DayAheadPlan) -> tuple[Effect, ...]:
        """Take in one record of the topic."""
        match record:
            case AreaSnapshot():
                self._latest[record.area] = record
                return self._ticks()
            case IntervalPlan():
                kept = tuple(p for p in self.state.plans if p.interval_start_ns != record.interval_start_ns)
                self.state = replace(self.state, plans=(*kept, record)[-_PLANS_KEPT:])
            case DayAheadPlan():
                kept_days = tuple(p for p in self.state.commitments if p.day != record.day)
                self.state = replace(self.state, commitments=(*kept_days, record)[-_PLANS_KEPT:])
        return ()

    def _ticks(self) -> tuple[Effect, ...]:
        """Compute the tick that all areas have reached, unless it was computed before."""
        if set(self._latest) != set(self.model.areas):
            return ()
        newest_ns = max(s.ts_event_ns for s in self._latest.values())
        tick_ns = min(s.ts_event_ns for s in self._latest.values() if s.ts_event_ns > newest_ns - _LAG_NS)
        if tick_ns <= self.state.last_tick_ns:
            return ()
        self.state = replace(self.state, last_tick_ns=tick_ns)
        image = image_of(tick_ns, self.model.table, list(self._latest.values()))
        return (self._key_figures(image), *self._wanted(tick_ns), *self._gate(image))

    def _wanted(self, now_ns: int) -> tuple[DayAheadWanted, ...]:
        """Ask for today's day-ahead result where it is missing, and for tomorrow's when it is time."""
        if not self.model.day_ahead:
            return ()
        zone = self.model.rules.zone
        today = civil_day(now_ns, zone)
        days = [today]
        if now_ns >= day_start_ns(today, zone) + _DAY_AHEAD_HOUR * NS_PER_H:
            days.append(civil_day(now_ns + 24 * NS_PER_H, zone))
        wanted = [day for day in days if day not in self.state.asked_days]
        self.state = replace(self.state, asked_days=(*self.state.asked_days, *wanted)[-2 * _PLANS_KEPT :])
        return tuple(DayAheadWanted(ts_event_ns=now_ns, day=day) for day in wanted)

    def _gate(self, image: GridImage) -> tuple[ClearingInputs, ...]:
        start_ns = clearing.due_gate_ns(image.ts_event_ns, self.state.last_gated_ns, self.model.rules)
        if start_ns is None:
            return ()
        zone = self.model.rules.zone
        plan = next((p for p in self.state.commitments if p.day == civil_day(start_ns, zone)), None)
        if plan is None and self.model.day_ahead:
            return ()  # asked for with this very image; the next tick freezes with it
        self.state = replace(self.state, last_gated_ns=start_ns)
        off = clearing.units_off(tuple(self.model.units.values()), plan, start_ns, zone)
        frozen = clearing.freeze(start_ns, image, self.model.table, self._points, self.model.units)
        return (
            replace(
                frozen,
                units_off=tuple(sorted({*off, *self.model.units_off})),
                out_of_service=tuple(sorted({*frozen.out_of_service, *self.model.branches_out})),
            ),
        )

    def _key_figures(self, image: GridImage) -> KpiFrame:
        value, points = image.value, self._points
        load_mw = value[points.load_row]
        output_mw = value[points.unit_row]
        system: dict[str, float | None] = {
            "load_mw": kpis.total_mw(load_mw),
            "generation_mw": kpis.total_mw(output_mw),
            "telemetry_availability_pct": kpis.availability_pct(image.good),
            "telemetry_freshness_s": kpis.freshness_s(image.age_s),
        }
        self._market_figures(image, system)
        areas = {area: self._area_figures(area, image, load_mw, output_mw) for area in self.model.areas}
        hz = kpis.frequency_hz([areas[area]["frequency_hz"] for area in areas if "frequency_hz" in areas[area]])
        if hz is not None:
            system["frequency_hz"] = hz
            system["frequency_deviation_hz"] = hz - self.model.control.nominal_hz
        self._adequacy_figures(image, output_mw, system)
        flow_mw = np.where(image.usable[points.flow_row], value[points.flow_row], np.nan)
        by_fuel = {str(fuel): float(np.nansum(output_mw[self._fuel == fuel])) for fuel in sorted(set(self._fuel.tolist()))}
        return KpiFrame(
            ts_event_ns=image.ts_event_ns,
            system={name: number for name, number in system.items() if number is not None},
            areas=areas,
            generation_mw_by_fuel=by_fuel,
            worst_lines=kpis.worst_lines(points.flow_branch, flow_mw, self._flow_rating_mw),
            lines_open=clearing.open_branches(image, points),
            sources=image.sources,
        )

    def _market_figures(self, image: GridImage, system: dict[str, float | None]) -> None:
        plan = self._plan_in_force(image.ts_event_ns)
        if plan is not None and image.ts_event_ns < plan.interval_start_ns + self.model.rules.rt_interval_ns:
            system["average_lmp_cny_per_mwh"] = plan.average_lmp_cny_per_mwh
            system["uniform_price_cny_per_mwh"] = plan.uniform_price_cny_per_mwh
            system["congestion_rent_cny_per_h"] = plan.congestion_rent_cny_per_h

    def _plan_in_force(self, now_ns: int) -> IntervalPlan | None:
        """Return the schedule of the latest interval that has begun: while nothing clears, the last one goes on."""
        begun = [plan for plan in self.state.plans if plan.interval_start_ns <= now_ns]
        return max(begun, key=lambda plan: plan.interval_start_ns, default=None)

    def _adequacy_figures(self, image: GridImage, output_mw: NDArray[np.float64], system: dict[str, float | None]) -> None:
        units, load_mw = self.model.units, system["load_mw"]
        day = civil_day(image.ts_event_ns, self.model.rules.zone)
        plan = next((p for p in self.state.commitments if p.day == day), None)
        off = set(clearing.units_off(tuple(units.values()), plan, image.ts_event_ns, self.model.rules.zone))
        limit_mw = dict(zip(self._points.available_unit, image.value[self._points.available_row].tolist(), strict=True))
        renewable, reserve = [], []
        for unit, mw in zip(self._points.unit, output_mw.tolist(), strict=True):
            if unit not in units or unit in off or not np.isfinite(mw):
                continue
            top_mw = limit_mw.get(unit, mw if units[unit].renewable else units[unit].p_max_mw)
            reserve.append((top_mw, mw))
            if units[unit].renewable:
                renewable.append((top_mw, mw))
        if load_mw is None or not reserve:
            return
        top, now = np.array(reserve).T
        system["reserve_margin_pct"] = kpis.reserve_margin_pct(float(np.maximum(top, now).sum()), float(now.sum()), load_mw)
        if renewable:
            top, now = np.array(renewable).T
            system["renewable_share_pct"] = kpis.renewable_share_pct(float(now.sum()), load_mw)
            system["curtailment_pct"] = kpis.curtailment_pct(top, now)

    def _area_figures(self, area: str, image: GridImage, load_mw: NDArray[np.float64], output_mw: NDArray[np.float64]) -> dict[str, float]:
        control = self.model.control
        hz_row, interchange_row = self._area_rows[area]
        figures: dict[str, float | None] = {
            "load_mw": kpis.total_mw(load_mw[self._load_area == area]),
            "generation_mw": kpis.total_mw(output_mw[self._unit_area == area]),
            "frequency_hz": _fresh(image, hz_row),
            "interchange_mw": _fresh(image, interchange_row),
        }
        hz, interchange_mw = figures["frequency_hz"], figures["interchange_mw"]
        plan = self._plan_in_force(image.ts_event_ns)
        if hz is not None and interchange_mw is not None and plan is not None and area in plan.interchange_mw:
            bias = control.bias_mw_per_0p1hz[area]
            ace = kpis.ace_mw(interchange_mw, plan.interchange_mw[area], hz, bias, control.nominal_hz)
            sampled = kpis.cps1_sampled(self.state.cps1.get(area, Cps1()), image.ts_event_ns, ace, hz - control.nominal_hz, bias)
            self.state = replace(self.state, cps1={**self.state.cps1, area: sampled})
            figures["tie_deviation_mw"] = interchange_mw - plan.interchange_mw[area]
            figures["ace_mw"] = ace
            figures["cps1_pct"] = kpis.cps1_pct(sampled, control.epsilon1_hz)
        return {name: number for name, number in figures.items() if number is not None}


def _row(table: PointTable, name: str) -> int | None:
    return table.row(name) if name in table else None


def _fresh(image: GridImage, row: int | None) -> float | None:
    """Return a value that is good now; control figures are not computed from old values."""
    return float(image.value[row]) if row is not None and image.good[row] else None
