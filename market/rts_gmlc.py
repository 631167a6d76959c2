"""What is the demonstration grid: its wires, its units, and one real day of load, wind, sun and water?

RTS-GMLC (73 buses in three areas, 120 branches, 158 units) is a public test system with measured 5-minute series. The shipped
folder holds the tables used here and the day 2020-01-01; :func:`load` turns them into the market's own records.

How the data are read:
    * The price of a segment is its incremental heat rate times the fuel price plus the variable cost; the cost of running at the
      minimum is the average heat rate there times the fuel price. Money is converted with :data:`CNY_PER_USD`.
    * A start burns the heat given for a plant as cold as its least time off leaves it; there is one start cost, not three.
    * Water, wind, sun and the solar-thermal inflow are 0 MW to what the series says; rooftop PV injects what the series says.
    * The load of an area is spread over its buses in proportion to ``MW Load``.
    * The day-ahead data have no solar-thermal inflow: the hourly mean of the real-time series stands in.

Absent on purpose: the battery, the three synchronous condensers (0 MW) and the solar-thermal store, listed in
:attr:`RtsCase.left_out` or here, because a single interval without a state of charge has no use for them; and the DC line, which
carries nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from market.errors import CaseError
from market.grid import FloatArray, Network
from market.offers import Control, Fuel, Segment, Unit

__all__ = ["CNY_PER_USD", "RtsCase", "Series", "load"]

CNY_PER_USD = 7.0
"""A modelling choice: the data are in USD of about 2020, the market's rules in CNY, and no price level is claimed."""

_SHIPPED = Path(__file__).parent / "cases" / "rts_gmlc"
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
    return _load(path or _SHIPPED, day)


@lru_cache(maxsize=4)
def _load(folder: Path, day: str) -> RtsCase:
    buses, branches, units = (_table(folder / f"{name}.csv") for name in ("bus", "branch", "gen"))
    network = _network(buses, branches)
    area_of_bus = dict(zip(network.bus_ids, network.bus_area, strict=True))
    modelled = tuple(sorted((_unit(row, area_of_bus) for row in units if row["Unit Type"] not in _LEFT_OUT), key=lambda u: u.id))
    peak_mw = np.array([float(row["MW Load"]) for row in buses])
    area_peak_mw = {area: peak_mw[[a == area for a in network.bus_area]].sum() for area in set(network.bus_area)}
    return RtsCase(
        network=network,
        units=modelled,
        load_share=_frozen(peak_mw / np.array([area_peak_mw[a] for a in network.bus_area])),
        real_time=_series(folder / day, "REAL_TIME", modelled),
        day_ahead=_series(folder / day, "DAY_AHEAD", modelled),
        left_out=tuple(sorted(row["GEN UID"] for row in units if row["Unit Type"] in _LEFT_OUT)),
    )


def _table(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise CaseError(f"{path}: no such file; copy the RTS-GMLC table there or name another folder")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _frozen(values: FloatArray) -> FloatArray:
    values.flags.writeable = False
    return values


def _network(buses: list[dict[str, str]], branches: list[dict[str, str]]) -> Network:
    position = {row["Bus ID"]: i for i, row in enumerate(buses)}

    def column(name: str) -> FloatArray:
        return np.array([float(row[name]) for row in branches])

    try:
        ends = np.array([[position[row["From Bus"]], position[row["To Bus"]]] for row in branches], dtype=np.int32)
    except KeyError as exc:
        raise CaseError(f"branch.csv: bus {exc} is not in bus.csv; add it or correct the branch") from exc
    tap = column("Tr Ratio")
    unlimited = np.full(len(branches), np.inf)
    return Network(
        bus_ids=tuple(position),
        bus_area=tuple(row["Area"] for row in buses),
        base_kv=np.array([float(row["BaseKV"]) for row in buses]),
        branch_ids=tuple(row["UID"] for row in branches),
        from_bus=ends[:, 0],
        to_bus=ends[:, 1],
        r_pu=column("R"),
        x_pu=column("X"),
        tap=np.where(tap == 0.0, 1.0, tap),
        shift_rad=np.zeros(len(branches)),
        rate_mw=column("Cont Rating"),
        rate_emergency_mw=column("STE Rating"),
        angle_min_rad=-unlimited,
        angle_max_rad=unlimited,
        base_mva=_BASE_MVA,
    )


def _unit(row: dict[str, str], area_of_bus: dict[str, str]) -> Unit:
    kind, bus = row["Unit Type"], row["Bus ID"]
    if bus not in area_of_bus:
        raise CaseError(f"gen.csv: unit {row['GEN UID']} stands at bus {bus}, which is not in bus.csv; add it or correct the unit")
    p_max_mw = float(row["PMax MW"])
    control = (
        Control.FIXED if kind == "RTPV" else Control.CURTAILABLE if kind in {"PV", "WIND", "HYDRO", "ROR", "CSP"} else Control.DISPATCHABLE
    )
    vom = float(row["VOM"]) * CNY_PER_USD
    segments: tuple[Segment, ...]
    if control is not Control.DISPATCHABLE:
        p_min_mw, cost_at_min, segments = 0.0, 0.0, (Segment(p_max_mw, vom),)
    else:
        fuel_cny_per_mbtu = float(row["Fuel Price $/MMBTU"]) * CNY_PER_USD
        p_min_mw = float(row["PMin MW"])
        # BTU/kWh times money/MMBTU is money/MWh times 1000.
        cost_at_min = (float(row["HR_avg_0"]) / 1000 * fuel_cny_per_mbtu + vom) * p_min_mw
        segments = _segments(row, p_min_mw, p_max_mw, fuel_cny_per_mbtu, vom)
    return Unit(
        id=row["GEN UID"],
        bus=bus,
        area=area_of_bus[bus],
        fuel=_FUELS[row["Fuel"]],
        category=row["Category"],
        control=control,
        p_min_mw=p_min_mw,
        p_max_mw=p_max_mw,
        ramp_mw_per_min=float(row["Ramp Rate MW/Min"]),
        segments=segments,
        cost_at_min_per_h=cost_at_min,
        start_cost=_start_cost(row) if control is Control.DISPATCHABLE else 0.0,
        min_up_h=float(row["Min Up Time Hr"]),
        min_down_h=float(row["Min Down Time Hr"]),
        must_run=kind == "NUCLEAR",
    )


def _start_cost(row: dict[str, str]) -> float:
    """Return what a start after the least time off costs: how cold that is, the times and heats of the table say."""
    off_h = float(row["Min Down Time Hr"])
    state = next((state for state in ("Cold", "Warm") if off_h >= float(row[f"Start Time {state} Hr"])), "Hot")
    fuel = float(row[f"Start Heat {state} MBTU"]) * float(row["Fuel Price $/MMBTU"])
    return (fuel + float(row["Non Fuel Start Cost $"])) * CNY_PER_USD


def _segments(row: dict[str, str], p_min_mw: float, p_max_mw: float, fuel_cny_per_mbtu: float, vom: float) -> tuple[Segment, ...]:
    """Read the heat-rate steps; the last breakpoint is the capacity, the first the minimum, whatever the printed fractions round to."""
    shares = [float(row[f"Output_pct_{k}"]) for k in range(5) if row[f"Output_pct_{k}"] not in {"", "NA"}]
    points_mw = [p_min_mw, *(share * p_max_mw for share in shares[1:-1]), p_max_mw]
    prices = [float(row[f"HR_incr_{k}"]) / 1000 * fuel_cny_per_mbtu + vom for k in range(1, len(shares))]
    widths = np.diff(points_mw).tolist()
    return tuple(Segment(mw, price) for mw, price in zip(widths, prices, strict=True) if mw > 0)


def _series(folder: Path, horizon: str, units: tuple[Unit, ...]) -> Series:
    periods = _PERIODS[horizon]
    areas, load_mw = _numbers(folder, f"{horizon}_regional_Load", periods)
    found: dict[str, FloatArray] = {}
    for kind in ("hydro", "pv", "rtpv", "wind", "csp_inflow"):
        published = "REAL_TIME" if kind == "csp_inflow" else horizon
        names, values = _numbers(folder, f"{published}_{kind}", _PERIODS[published])
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
    rows = _table(candidates[0] if candidates else folder / f"{stem}.csv")
    if [row["Period"] for row in rows] != [str(k + 1) for k in range(periods)]:
        raise CaseError(f"{folder / stem}: expected periods 1 to {periods} in order, found {len(rows)}; restore the file")
    names = tuple(name for name in rows[0] if name not in {"Year", "Month", "Day", "Period"})
    values = np.array([[float(row[name]) for name in names] for row in rows])
    if not np.isfinite(values).all() or (values < 0).any():
        raise CaseError(f"{folder / stem}: a value is negative or no number; restore the file")
    return names, values
