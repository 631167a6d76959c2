"""The interval clock: when to freeze what is cleared, from what, and what a result means for the control of the areas.

At the gate, a minute before an interval begins, the inputs are frozen from the process image: loads and outputs as last measured,
branches by their switch positions, units by the day-ahead commitment. What was stale is used and said so; what was never measured
is left out, and the engine answers INPUT_MISSING with its name. The frozen inputs are a record of their own, so that a clearing can
be repeated from what it was made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ingest.points import PointTable
from market.offers import Control, OfferBook, Unit
from market.outcomes import Cleared, ClearingInputs
from market.rules import MarketRules
from market.units import NS_PER_DAY, civil_day, day_start_ns, floor_ns
from streams import marketfigures
from streams.image import GridImage

__all__ = [
    "DayAheadPlan",
    "DayAheadWanted",
    "GridPoints",
    "IntervalMarket",
    "IntervalPlan",
    "day_plan",
    "due_gate_ns",
    "freeze",
    "grid_points",
    "of_period",
    "plan_of",
    "units_off",
]

_OPEN = 1.0
_NAMED_MAX = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class DayAheadWanted:
    """The day-ahead result of an operating day is to be made. ``day`` is ``YYYY-MM-DD`` in the market's zone."""

    ts_event_ns: int
    day: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DayAheadPlan:
    """What the day-ahead result says of an operating day, period by period from its midnight; empty where a record says nothing of it.

    Attributes:
        day: ``YYYY-MM-DD`` in the market's zone.
        units_on: the units that are committed in each of its parts, equal and as many as there are entries: hours.
        uniform_price_cny_per_mwh: load-weighted mean price of each period.
        load_mw: forecast system load of each period.
        wind_solar_mw: forecast of what wind and sun can give together in each period.
    """

    ts_event_ns: int
    day: str
    units_on: tuple[tuple[str, ...], ...]
    uniform_price_cny_per_mwh: tuple[float, ...] = ()
    load_mw: tuple[float, ...] = ()
    wind_solar_mw: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalMarket:
    """What the prices and awards of a cleared interval say of the market; a figure that cannot be computed is None.

    Attributes:
        buses: bus prices there are; at_cap, at_floor: how many of them stand at a limit.
        nodal_spread_cny_per_mwh: the highest bus price less the lowest.
        award_hhi, award_top4_pct: concentration of awards over plants, which is that of the interval's energy.
        lerner: of the units that follow an offer and are awarded more than their minimum.
    """

    buses: int
    at_cap: int
    at_floor: int
    nodal_spread_cny_per_mwh: float | None = None
    award_hhi: float | None = None
    award_top4_pct: float | None = None
    lerner: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalPlan:
    """What a cleared interval means for the control of the areas and for the key figures while it is in force.

    Attributes:
        interchange_mw: scheduled net export by area, MW (NI_S).
        average_lmp_cny_per_mwh: simple mean over live buses.
        uniform_price_cny_per_mwh: load-weighted mean.
        congestion_rent_cny_per_h: ΣLMP·L − ΣLMP·G.
        market: None in records of releases that did not say.
        base_points_mw: award by unit, MW.
    """

    ts_event_ns: int
    interval_start_ns: int
    interchange_mw: dict[str, float]
    average_lmp_cny_per_mwh: float
    uniform_price_cny_per_mwh: float
    congestion_rent_cny_per_h: float
    market: IntervalMarket | None = None
    base_points_mw: dict[str, float] = field(default_factory=dict)


def _no_rows() -> NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class GridPoints:
    """Where each measured quantity stands in the point table: parallel tuples of elements and rows.

    A branch without any switch point counts as closed.
    """

    load_bus: tuple[str, ...]
    load_row: NDArray[np.int64]
    unit: tuple[str, ...]
    unit_row: NDArray[np.int64]
    available_unit: tuple[str, ...]
    available_row: NDArray[np.int64]
    switch_branch: tuple[str, ...]
    switch_row: NDArray[np.int64]
    flow_branch: tuple[str, ...]
    flow_row: NDArray[np.int64]
    storage: tuple[str, ...] = ()
    storage_row: NDArray[np.int64] = field(default_factory=_no_rows)
    tie_bus: tuple[str, ...] = ()
    tie_row: NDArray[np.int64] = field(default_factory=_no_rows)


def grid_points(table: PointTable) -> GridPoints:
    """Find the grid's quantities in a point table."""

    def columns(found: Sequence[tuple[str, int]]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        return tuple(name for name, _ in found), np.array([row for _, row in found], dtype=np.int64)

    load_bus, load_row = columns(table.named("load", "mw"))
    unit, unit_row = columns(table.named("unit", "mw"))
    available_unit, available_row = columns(table.named("unit", "available_mw"))
    switch_branch, switch_row = columns([*table.named("switch", "from"), *table.named("switch", "to")])
    flow_branch, flow_row = columns(table.named("branch", "from_mw"))
    storage, storage_row = columns(table.named("storage", "mwh"))
    tie_bus, tie_row = columns(table.named("tie", "mw"))
    return GridPoints(
        load_bus=load_bus,
        load_row=load_row,
        unit=unit,
        unit_row=unit_row,
        available_unit=available_unit,
        available_row=available_row,
        switch_branch=switch_branch,
        switch_row=switch_row,
        flow_branch=flow_branch,
        flow_row=flow_row,
        storage=storage,
        storage_row=storage_row,
        tie_bus=tie_bus,
        tie_row=tie_row,
    )


def due_gate_ns(now_ns: int, last_gated_ns: int, rules: MarketRules) -> int | None:
    """Return the start of the interval whose inputs are to be frozen now, or None.

    An interval that is already running is cleared late rather than not at all; one that is over is left to the breaker to miss.
    """
    start_ns = floor_ns(now_ns + rules.gate_lead_ns, rules.rt_interval_ns)
    return start_ns if start_ns > last_gated_ns else None


def day_plan(plans: Sequence[DayAheadPlan], ts_ns: int, zone: str) -> DayAheadPlan | None:
    """Return the day-ahead plan of the operating day that holds an instant, or None."""
    day = civil_day(ts_ns, zone)
    return next((plan for plan in plans if plan.day == day), None)


def of_period(values: Sequence[float], day: str, ts_ns: int, zone: str) -> float | None:
    """Return the value of the period that holds an instant, of equal periods that divide an operating day; None outside the day."""
    if not values:
        return None
    period = (ts_ns - day_start_ns(day, zone)) // (NS_PER_DAY // len(values))
    return values[period] if 0 <= period < len(values) else None


def units_off(units: Sequence[Unit], plan: DayAheadPlan | None, interval_start_ns: int, zone: str) -> tuple[str, ...]:
    """Return the units that are not committed when the interval begins, sorted; none are off without a day-ahead plan."""
    if plan is None or civil_day(interval_start_ns, zone) != plan.day:
        return ()
    part = (interval_start_ns - day_start_ns(plan.day, zone)) // (NS_PER_DAY // len(plan.units_on))
    on = set(plan.units_on[min(part, len(plan.units_on) - 1)])
    return tuple(sorted(unit.id for unit in units if unit.id not in on))


def open_branches(image: GridImage, points: GridPoints) -> tuple[str, ...]:
    """Return the branches that a usable position says are open at one end at least, sorted."""
    usable = image.usable[points.switch_row] & (image.value[points.switch_row] == _OPEN)
    return tuple(sorted({points.switch_branch[i] for i in np.flatnonzero(usable)}))


def freeze(
    interval_start_ns: int,
    image: GridImage,
    table: PointTable,
    points: GridPoints,
    units: Mapping[str, Unit],
) -> ClearingInputs:
    """Freeze what is measured for one interval; which units are committed is not measured and is added by the caller.

    A unit that is no longer committed is measured all the same: it comes down by its ramp, and until it is down it produces.

    Args:
        interval_start_ns: the interval.
        image: the process image at the gate.
        table: the point table the image is laid out by.
        points: where the quantities stand in it.
        units: every unit by id.
    """

    def values(names: tuple[str, ...], rows: NDArray[np.int64]) -> dict[str, float]:
        usable = image.usable[rows]
        return {names[i]: float(image.value[rows[i]]) for i in np.flatnonzero(usable)}

    load_mw = {bus: max(mw, 0.0) for bus, mw in values(points.load_bus, points.load_row).items()}
    output_mw = {unit: mw for unit, mw in values(points.unit, points.unit_row).items() if unit in units}
    available_mw = {unit: max(mw, 0.0) for unit, mw in values(points.available_unit, points.available_row).items() if unit in units}
    for unit, mw in output_mw.items():
        # Rooftop plant has no controller that says what it could give: what it gives is what there is.
        if units[unit].control is Control.FIXED:
            available_mw.setdefault(unit, max(mw, 0.0))
    of_grid = (points.load_row, points.unit_row, points.available_row, points.switch_row)
    used = np.concatenate([*of_grid, points.storage_row, points.tie_row])
    stale = used[~image.good[used]]
    notes = [f"{table.specs[row].name}: last usable value, {image.age_s[row]:.0f} s old" for row in stale[:_NAMED_MAX] if image.usable[row]]
    if len(stale) > _NAMED_MAX:
        notes.append(f"and {len(stale) - _NAMED_MAX} more points")
    ages_s = image.age_s[used][np.isfinite(image.age_s[used])]
    return ClearingInputs(
        interval_start_ns=interval_start_ns,
        frozen_at_ns=image.ts_event_ns,
        load_mw=load_mw,
        output_mw=output_mw,
        available_mw=available_mw,
        out_of_service=open_branches(image, points),
        stale_points=len(stale),
        used_points=len(used),
        oldest_s=float(ages_s.max()) if len(ages_s) else 0.0,
        notes=tuple(notes),
        soc_mwh=values(points.storage, points.storage_row),
        tie_mw=values(points.tie_bus, points.tie_row),
    )


def plan_of(
    cleared: Cleared,
    inputs: ClearingInputs,
    book: OfferBook,
    area_of_bus: Mapping[str, str],
    rules: MarketRules,
    storage_bus: Mapping[str, str] | None = None,
) -> IntervalPlan:
    """Derive the schedule and the price figures of a cleared interval; ``storage_bus`` is the bus of each storage there is."""
    interchange_mw = dict.fromkeys(sorted(set(area_of_bus.values())), 0.0)
    paid = received = 0.0
    for bus, mw in inputs.load_mw.items():
        interchange_mw[area_of_bus[bus]] -= mw
        paid += mw * cleared.lmp_per_mwh.get(bus, 0.0)
    for unit, mw in cleared.dispatch_mw.items():
        seller = book.units[book.index[unit]]
        interchange_mw[seller.area] += mw
        received += mw * cleared.lmp_per_mwh.get(seller.bus, 0.0)
    at_bus = list(inputs.tie_mw.items())
    at_bus += [((storage_bus or {})[name], mw) for name, mw in cleared.storage_mw.items()]
    for bus, mw in at_bus:
        interchange_mw[area_of_bus[bus]] += mw
        received += mw * cleared.lmp_per_mwh.get(bus, 0.0)
    prices = list(cleared.lmp_per_mwh.values())
    return IntervalPlan(
        ts_event_ns=cleared.completed_at_ns,
        interval_start_ns=cleared.interval_start_ns,
        interchange_mw=interchange_mw,
        average_lmp_cny_per_mwh=sum(prices) / len(prices),
        uniform_price_cny_per_mwh=cleared.uniform_price_per_mwh,
        congestion_rent_cny_per_h=paid - received,
        market=_market(cleared, book, rules),
        base_points_mw=cleared.dispatch_mw,
    )


def _market(cleared: Cleared, book: OfferBook, rules: MarketRules) -> IntervalMarket:
    lmp = np.array(list(cleared.lmp_per_mwh.values()))
    award_mw = np.array([cleared.dispatch_mw[unit] for unit in book.ids])
    paid = np.array([cleared.lmp_per_mwh.get(unit.bus, np.nan) for unit in book.units])
    by_plant_mw = marketfigures.supplied_mw(book.bus, award_mw)
    at_cap, at_floor = marketfigures.limit_hits(lmp, rules.price_floor_cny_per_mwh, rules.price_cap_cny_per_mwh)
    # Wind, sun and water offer at next to nothing; with them the index would tell the weather.
    follows = book.controlled(Control.DISPATCHABLE)
    return IntervalMarket(
        buses=len(lmp),
        at_cap=at_cap,
        at_floor=at_floor,
        nodal_spread_cny_per_mwh=marketfigures.nodal_spread(lmp),
        award_hhi=marketfigures.hhi(by_plant_mw),
        award_top4_pct=marketfigures.top4_pct(by_plant_mw),
        lerner=marketfigures.lerner(paid[follows], book.last_mw_per_mwh(award_mw)[follows], award_mw[follows]),
    )
