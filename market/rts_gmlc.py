"""What is the demonstration grid: its wires, its units, and one real day of load, wind, sun and water?

RTS-GMLC (73 buses in three areas, 120 branches, 158 units) is a public test system with measured 5-minute series. The shipped
folder holds the tables used here and the day 2020-01-01; :func:`load` turns them, or those of any folder laid out like it, into the
market's own records. A folder is ``bus.csv``, ``branch.csv`` and ``gen.csv`` as in the project's ``SourceData``, and one folder per
day with its ``REAL_TIME_*.csv`` and ``DAY_AHEAD_*.csv``. What is wrong in them is refused with file, line and remedy.

How the data are read:
    * The price of a segment is its incremental heat rate times the fuel price plus the variable cost; the cost of running at the
      minimum is the average heat rate there times the fuel price. Money is converted with :data:`CNY_PER_USD`.
    * A start burns the heat given for a plant as cold as its least time off leaves it; there is one start cost, not three.
    * Water, wind, sun and the solar-thermal inflow are 0 MW to what the series says; rooftop PV injects what the series says.
    * The load of an area is spread over its buses in proportion to ``MW Load``; an area where no bus draws any may have no load.
    * The day-ahead data have no solar-thermal inflow: the hourly mean of the real-time series stands in.

Absent on purpose: the battery, the three synchronous condensers (0 MW) and the solar-thermal store, listed in
:attr:`RtsCase.left_out` or here, because a single interval without a state of charge has no use for them; and the DC line, which
carries nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from market.csvtable import Row, Table
from market.errors import CaseError
from market.grid import FloatArray, Network, sum_by
from market.offers import Control, Fuel, Segment, Unit

__all__ = ["CNY_PER_USD", "SHIPPED", "RtsCase", "Series", "load"]

CNY_PER_USD = 7.0
"""A modelling choice: the data are in USD of about 2020, the market's rules in CNY, and no price level is claimed."""

SHIPPED = Path(__file__).parent / "cases" / "rts_gmlc"
"""The folder that comes with the service."""

_BASE_MVA = 100.0
_FUELS = {
    "Coal": Fuel.COAL,
    "NG": Fuel.GAS,
    "Oil": Fuel.OIL,
    "Nuclear": Fuel.NUCLEAR,
    "Hydro": Fuel.HYDRO,
    "Wind": Fuel.WIND,
    "Solar": Fuel.SOLAR,
}
_CONTROLS = {"RTPV": Control.FIXED} | dict.fromkeys(("PV", "WIND", "HYDRO", "ROR", "CSP"), Control.CURTAILABLE)
_COLUMNS = {
    "bus": ("Bus ID", "BaseKV", "MW Load", "Area"),
    "branch": ("UID", "From Bus", "To Bus", "R", "X", "Cont Rating", "STE Rating", "Tr Ratio"),
    "gen": (
        *("GEN UID", "Bus ID", "Unit Type", "Category", "Fuel", "PMax MW", "PMin MW", "Ramp Rate MW/Min", "Min Up Time Hr"),
        *("Min Down Time Hr", "Fuel Price $/MMBTU", "VOM", "HR_avg_0"),
        *(f"Output_pct_{k}" for k in range(5)),
        *(f"HR_incr_{k}" for k in range(1, 5)),
    ),
}
_WHEN = ("Year", "Month", "Day", "Period")
_ROUNDING_MW = 0.05
"""The published fractions have few digits: neighbouring points may change places by this much."""
_PERIODS = {"REAL_TIME": 288, "DAY_AHEAD": 24}
_LEFT_OUT = {"STORAGE", "SYNC_COND"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """One day of load and of what nature offers, in equal steps from midnight.

    Attributes:
        step_min: length of a period, min.
        area_ids: (na,) areas, sorted.
        load_mw: (periods, na) withdrawal per area, MW.
        unit_ids: (nr,) units whose output nature limits, sorted.
        available_mw: (periods, nr) what each of them could give, MW, never above its capacity.
    """

    step_min: int
    area_ids: tuple[str, ...]
    load_mw: FloatArray
    unit_ids: tuple[str, ...]
    available_mw: FloatArray

    @property
    def periods(self) -> int:
        """Number of periods in the day."""
        return len(self.load_mw)


@dataclass(frozen=True, kw_only=True, eq=False)
class RtsCase:
    """The grid, its units and one day.

    Attributes:
        network: buses and branches.
        units: sorted by id; prices in CNY.
        load_share: (nb,) share of its area's load each bus takes.
        real_time: 5-minute series, 288 periods.
        day_ahead: hourly series, 24 periods.
        left_out: units of the data that are not modelled.
    """

    network: Network
    units: tuple[Unit, ...]
    load_share: FloatArray
    real_time: Series
    day_ahead: Series
    left_out: tuple[str, ...] = field(default=())

    @cached_property
    def unit(self) -> Mapping[str, Unit]:
        """The units by id."""
        return {unit.id: unit for unit in self.units}

    @property
    def load_buses(self) -> tuple[str, ...]:
        """Buses that draw load."""
        return tuple(bus for bus, share in zip(self.network.bus_ids, self.load_share, strict=True) if share > 0)

    def bus_load_mw(self, series: Series, period: int) -> FloatArray:
        """Return (nb,) the withdrawal at each bus in one period (counted from 0), MW."""
        of_area = dict(zip(series.area_ids, series.load_mw[period], strict=True))
        area_load_mw: FloatArray = np.array([of_area[area] for area in self.network.bus_area])
        return self.load_share * area_load_mw

    def available_mw(self, series: Series, period: int) -> dict[str, float]:
        """Return what each unit limited by nature could give in one period (counted from 0), MW."""
        return dict(zip(series.unit_ids, series.available_mw[period].tolist(), strict=True))


def load(path: Path | None = None, day: str = "2020-01-01") -> RtsCase:
    """Read the case and one day.

    Args:
        path: folder with ``bus.csv``, ``branch.csv``, ``gen.csv`` and a folder per day; the shipped one by default.
        day: name of the day's folder, ``YYYY-MM-DD``.

    Raises:
        CaseError: a file or column that is missing, or data that contradict each other.
    """
    return _load(path or SHIPPED, day)


@lru_cache(maxsize=4)
def _load(folder: Path, day: str) -> RtsCase:
    buses, branches, units = (Table(folder / f"{name}.csv", columns) for name, columns in _COLUMNS.items())
    network = _network(buses, branches)
    area_of_bus = dict(zip(network.bus_ids, network.bus_area, strict=True))
    rows = units.by("GEN UID")
    modelled = tuple(_unit(rows[name], area_of_bus) for name in sorted(rows) if rows[name].cells["Unit Type"] not in _LEFT_OUT)
    case = RtsCase(
        network=network,
        units=modelled,
        load_share=_frozen(_load_share(buses)),
        real_time=_series(folder / day, "REAL_TIME", modelled),
        day_ahead=_series(folder / day, "DAY_AHEAD", modelled),
        left_out=tuple(sorted(name for name, row in rows.items() if row.cells["Unit Type"] in _LEFT_OUT)),
    )
    for series, horizon in ((case.real_time, "REAL_TIME"), (case.day_ahead, "DAY_AHEAD")):
        _check_areas(case, series, folder / day / f"{horizon}_regional_Load.csv")
    return case


def _load_share(buses: Table) -> FloatArray:
    """Return (nb,) the share of its area's load each bus takes; 0 throughout an area in which none draws any."""
    peak_mw = buses.numbers(["MW Load"], least=0.0)[:, 0]
    _, area = np.unique([row.text("Area") for row in buses], return_inverse=True)
    of_area = sum_by(area, peak_mw, len(peak_mw))[area]
    return np.where(of_area > 0, peak_mw / np.where(of_area > 0, of_area, 1.0), 0.0)


def _check_areas(case: RtsCase, series: Series, path: Path) -> None:
    if unmatched := sorted(set(series.area_ids) ^ set(case.network.bus_area)):
        raise CaseError(f"{path}:1: areas not both here and in bus.csv: {', '.join(unmatched[:5])}; add what is missing")
    drawing = {area for area, share in zip(case.network.bus_area, case.load_share, strict=True) if share > 0}
    for area, load_mw in zip(series.area_ids, series.load_mw.T, strict=True):
        if area not in drawing and load_mw.any():
            raise CaseError(f"{path}: area {area} has load, and no bus of bus.csv to draw it; give one a MW Load")


def _frozen(values: FloatArray) -> FloatArray:
    values.flags.writeable = False
    return values


def _network(buses: Table, branches: Table) -> Network:
    position = {name: i for i, name in enumerate(buses.by("Bus ID"))}
    ids = tuple(branches.by("UID"))
    ends = np.array([[_end(row, column, position) for column in ("From Bus", "To Bus")] for row in branches], dtype=np.int32)
    for row, (f, t) in zip(branches, ends.tolist(), strict=True):
        if f == t:
            raise row.refuse(f"branch {row.cells['UID']} has both ends at bus {row.cells['From Bus']}; correct one of them")
        if row.number("STE Rating", least=0.0) < row.number("Cont Rating", least=0.0):
            raise row.refuse(f"STE Rating {row.cells['STE Rating']} below Cont Rating {row.cells['Cont Rating']}; correct one of them")
    r, x = branches.numbers(["R", "X"]).T
    tap = branches.numbers(["Tr Ratio"], least=0.0)[:, 0]
    unlimited = np.full(len(ids), np.inf)
    return Network(
        bus_ids=tuple(position),
        bus_area=tuple(row.text("Area") for row in buses),
        base_kv=buses.numbers(["BaseKV"], least=0.0)[:, 0],
        branch_ids=ids,
        from_bus=ends[:, 0],
        to_bus=ends[:, 1],
        r_pu=r,
        x_pu=x,
        tap=np.where(tap == 0.0, 1.0, tap),
        shift_rad=np.zeros(len(ids)),
        rate_mw=branches.numbers(["Cont Rating"], least=0.0)[:, 0],
        rate_emergency_mw=branches.numbers(["STE Rating"], least=0.0)[:, 0],
        angle_min_rad=-unlimited,
        angle_max_rad=unlimited,
        base_mva=_BASE_MVA,
    )


def _end(row: Row, column: str, position: Mapping[str, int]) -> int:
    name = row.text(column)
    if name not in position:
        raise row.refuse(f"{column}: bus {name!r} is not in bus.csv; add it or correct the branch")
    return position[name]


def _unit(row: Row, area_of_bus: Mapping[str, str]) -> Unit:
    name, kind, bus, fuel = (row.text(column) for column in ("GEN UID", "Unit Type", "Bus ID", "Fuel"))
    if bus not in area_of_bus:
        raise row.refuse(f"unit {name} stands at bus {bus}, which is not in bus.csv; add it or correct the unit")
    if fuel not in _FUELS:
        raise row.refuse(f"Fuel is {fuel!r}, expected one of {', '.join(_FUELS)}; correct the cell")
    p_max_mw, p_min_mw = row.number("PMax MW", least=0.0), row.number("PMin MW", least=0.0)
    control = _CONTROLS.get(kind, Control.DISPATCHABLE)
    vom = row.number("VOM") * CNY_PER_USD
    segments: tuple[Segment, ...]
    if control is not Control.DISPATCHABLE:
        p_min_mw, cost_at_min, segments = 0.0, 0.0, (Segment(p_max_mw, vom),)
    else:
        fuel_cny_per_mbtu = row.number("Fuel Price $/MMBTU") * CNY_PER_USD
        # BTU/kWh times money/MMBTU is money/MWh times 1000.
        cost_at_min = (row.number("HR_avg_0") / 1000 * fuel_cny_per_mbtu + vom) * p_min_mw
        segments = _segments(row, p_min_mw, p_max_mw, fuel_cny_per_mbtu, vom)
    try:
        return Unit(
            id=name,
            bus=bus,
            area=area_of_bus[bus],
            fuel=_FUELS[fuel],
            category=row.text("Category"),
            control=control,
            p_min_mw=p_min_mw,
            p_max_mw=p_max_mw,
            ramp_mw_per_min=row.number("Ramp Rate MW/Min", least=0.0),
            segments=segments,
            cost_at_min_per_h=cost_at_min,
            start_cost=_start_cost(row) if control is Control.DISPATCHABLE else 0.0,
            min_up_h=row.number("Min Up Time Hr", least=0.0),
            min_down_h=row.number("Min Down Time Hr", least=0.0),
            must_run=kind == "NUCLEAR",
        )
    except CaseError as exc:
        raise row.refuse(str(exc)) from exc


def _start_cost(row: Row) -> float:
    """Return what a start after the least time off costs: how cold that is, the times and heats of the table say."""
    off_h = row.number("Min Down Time Hr", least=0.0)
    state = next((state for state in ("Cold", "Warm") if off_h >= row.number(f"Start Time {state} Hr")), "Hot")
    fuel = row.number(f"Start Heat {state} MBTU") * row.number("Fuel Price $/MMBTU")
    return (fuel + row.number("Non Fuel Start Cost $")) * CNY_PER_USD


def _segments(row: Row, p_min_mw: float, p_max_mw: float, fuel_cny_per_mbtu: float, vom: float) -> tuple[Segment, ...]:
    """Read the heat-rate steps; the last breakpoint is the capacity, the first the minimum, whatever the printed fractions round to."""
    shares = [row.number(f"Output_pct_{k}", least=0.0) for k in range(5) if row.cells[f"Output_pct_{k}"] not in {"", "NA"}]
    if p_max_mw > p_min_mw and len(shares) < 2:
        raise row.refuse("fewer than two Output_pct points, so nothing prices the output above the minimum; complete the heat rates")
    points_mw = [p_min_mw, *(share * p_max_mw for share in shares[1:-1]), p_max_mw]
    prices = [row.number(f"HR_incr_{k}") / 1000 * fuel_cny_per_mbtu + vom for k in range(1, len(shares))]
    widths = np.diff(points_mw).tolist()
    if prices and min(widths) < -_ROUNDING_MW:
        raise row.refuse("the Output_pct points do not rise from the minimum to the capacity; order them")
    return tuple(Segment(mw, price) for mw, price in zip(widths, prices, strict=bool(prices)) if mw > 0)


def _series(folder: Path, horizon: str, units: tuple[Unit, ...]) -> Series:
    periods = _PERIODS[horizon]
    areas, load_mw = _numbers(folder, f"{horizon}_regional_Load", periods)
    found: dict[str, FloatArray] = {}
    for kind in ("hydro", "pv", "rtpv", "wind", "csp_inflow"):
        published = "REAL_TIME" if kind == "csp_inflow" else horizon
        names, values = _numbers(folder, f"{published}_{kind}", _PERIODS[published])
        if twice := sorted(found.keys() & set(names)):
            raise CaseError(f"{folder / published}_{kind}.csv:1: in another {horizon} series too: {', '.join(twice[:5])}; keep one")
        means = values.reshape(periods, -1, len(names)).mean(axis=1)
        found |= {name: means[:, k] for k, name in enumerate(names)}
    capacity_mw = {unit.id: unit.p_max_mw for unit in units if unit.control is not Control.DISPATCHABLE}
    if unmatched := sorted(set(found) ^ set(capacity_mw)):
        raise CaseError(f"{folder}: not both in gen.csv and in a {horizon} series: {', '.join(unmatched[:5])}; add what is missing")
    ids = tuple(sorted(found))
    available_mw = np.column_stack([np.minimum(found[i], capacity_mw[i]) for i in ids])
    return Series(step_min=24 * 60 // periods, area_ids=areas, load_mw=_frozen(load_mw), unit_ids=ids, available_mw=_frozen(available_mw))


def _numbers(folder: Path, stem: str, periods: int) -> tuple[tuple[str, ...], FloatArray]:
    """Read a table ``Year,Month,Day,Period,name,…``; a derived series carries its making after a double underscore."""
    candidates = sorted([*folder.glob(f"{stem}.csv"), *folder.glob(f"{stem}__*.csv")])
    table = Table(candidates[0] if candidates else folder / f"{stem}.csv", _WHEN)
    for k, row in enumerate(table):
        date = "-".join(row.cells[part].zfill(2) for part in _WHEN[:3])
        if date != folder.name:
            raise row.refuse(f"a row of {date} in the folder of {folder.name}; put it where it belongs")
        if row.cells["Period"] != str(k + 1):
            raise row.refuse(f"Period is {row.cells['Period']!r}, expected {k + 1}, of periods 1 to {periods} in order; restore the file")
    if len(table.rows) != periods:
        raise CaseError(f"{table.path}: {len(table.rows)} rows, expected periods 1 to {periods}; restore the file")
    names = tuple(name for name in table.columns if name not in _WHEN)
    return names, table.numbers(names, least=0.0)
