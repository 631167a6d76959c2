"""Key figures of grid and market: what each is called, and the frame that carries them.

Names, units and formulas stand in :data:`KPIS`; the sink, the board and the dashboards read them from there. The formulas themselves
are pure functions: of one process image here, of what the areas control in :mod:`streams.areacontrol`, of the units in
:mod:`streams.adequacy`, of frequency and voltage in :mod:`streams.supplyquality`, of the market in :mod:`streams.marketfigures`, of
clearing in :mod:`streams.clearingtimes`, of forecasts in :mod:`streams.forecasts`.

Deliberately absent, because nothing here knows what they are made of: interruptions of customers (SAIDI, SAIFI), transfer capacity of
interfaces, loading after a contingency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "KPIS",
    "ControlParams",
    "Kpi",
    "KpiFrame",
    "LineLoading",
    "SourceHealth",
    "availability_pct",
    "frequency_hz",
    "freshness_s",
    "freshness_s_by_source",
    "total_mw",
    "worst_lines",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kpi:
    """What one key figure is.

    Attributes:
        scope: ``system`` or ``area``.
        unit: empty for counts, grades and indices.
        formula: as in the rule book.
        source: standard or article behind it.
    """

    name: str
    scope: str
    unit: str
    title_en: str
    title_zh: str
    formula: str
    source: str


def _kpi(name: str, scope: str, unit: str, title_en: str, title_zh: str, formula: str, source: str) -> Kpi:
    return Kpi(name=name, scope=scope, unit=unit, title_en=title_en, title_zh=title_zh, formula=formula, source=source)


KPIS: Final = (
    _kpi("load_mw", "system", "MW", "System load", "系统负荷", "Σ load", "dispatch practice"),
    _kpi("generation_mw", "system", "MW", "Generation", "总发电", "Σ unit output", "dispatch practice"),
    _kpi("losses_pct", "system", "%", "Losses", "网损率", "100·(P_gen − P_load)/P_gen", "spec §4"),
    _kpi("frequency_hz", "system", "Hz", "Frequency", "系统频率", "median of area frequencies", "GB/T 15945"),
    _kpi("frequency_deviation_hz", "system", "Hz", "Frequency deviation", "频率偏差", "f − F_S", "GB/T 15945"),
    _kpi("frequency_in_band_pct", "system", "%", "Frequency in band", "频率合格率", "100·time |f − F_S| ≤ band/time, 24 h", "GB/T 15945"),
    _kpi(
        "voltage_outside_buses", "system", "", "Buses out of voltage band", "电压越限节点数", "buses beyond ±5 % of nominal", "GB/T 12325"
    ),
    _kpi(
        "voltage_outside_min",
        "system",
        "min",
        "Voltage out of band",
        "电压越限时间",
        "Σ over buses of time beyond ±5 %, 24 h",
        "GB/T 12325",
    ),
    _kpi("voltage_in_band_pct", "system", "%", "Voltage in band", "电压合格率", "100·(1 − bus·min outside/watched), 24 h", "GB/T 12325"),
    _kpi("reserve_margin_pct", "system", "%", "Reserve margin", "备用率", "100·Σ(available − output)/load", "GB/T 38969"),
    _kpi(
        "spinning_reserve_pct",
        "system",
        "%",
        "Spinning reserve",
        "旋转备用率",
        "100·Σ(available − output)/load of units that run",
        "GB/T 38969",
    ),
    _kpi(
        "reserve_10min_pct",
        "system",
        "%",
        "Reserve within 10 min",
        "10 分钟备用率",
        "100·Σ min(available − output, 10 min·ramp)/load of units that run",
        "operating codes",
    ),
    _kpi(
        "reserve_30min_pct",
        "system",
        "%",
        "Reserve within 30 min",
        "30 分钟备用率",
        "100·Σ min(available − output, 30 min·ramp)/load of units that run",
        "operating codes",
    ),
    _kpi("load_forecast_mw", "system", "MW", "Load forecast", "负荷预测", "day-ahead forecast of the running period", "dispatch practice"),
    _kpi(
        "interval_load_mape_pct",
        "system",
        "%",
        "Error of the intervals' load (MAPE)",
        "出清负荷预测平均误差（MAPE）",
        "100/n·Σ|(F − A)/A| over the intervals of the last 24 h",
        "spec §4",
    ),
    _kpi(
        "load_forecast_mape_pct",
        "system",
        "%",
        "Load forecast error (MAPE)",
        "负荷预测平均误差（MAPE）",
        "100/n·Σ|(F − A)/A| over the hours of the last 24 h",
        "spec §4",
    ),
    _kpi(
        "load_forecast_accuracy_pct",
        "system",
        "%",
        "Load forecast accuracy",
        "负荷预测准确率",
        "100·(1 − √(Σ((F − A)/A)²/n)) over the hours of the last 24 h",
        "State Grid",
    ),
    _kpi(
        "wind_solar_forecast_mae_pct",
        "system",
        "%",
        "Wind and solar forecast error, mean",
        "风光预测平均绝对误差",
        "100/n·Σ|F − A|/capacity over the hours of the last 24 h, A as available",
        "NB/T 32046",
    ),
    _kpi(
        "wind_solar_forecast_rmse_pct",
        "system",
        "%",
        "Wind and solar forecast error, RMS",
        "风光预测均方根误差",
        "100·√(Σ(F − A)²/n)/capacity over the hours of the last 24 h, A as available",
        "NB/T 32046",
    ),
    _kpi("renewable_share_pct", "system", "%", "Renewable share", "新能源占比", "100·P_RE/P_load", "NEA statistics"),
    _kpi("curtailment_pct", "system", "%", "Curtailment", "弃电率", "100·(available − output)/available of renewables", "NEA statistics"),
    _kpi("unit_deviation_mw", "system", "MW", "Units off base point", "机组偏差功率", "Σ|P − P_instr|, ramp-limited", "two detailed rules"),
    _kpi(
        "unit_compliance_pct",
        "system",
        "%",
        "Units on base point",
        "机组执行合格率",
        "100·units with |P − P_instr| ≤ max(2 % of rated, 2 MW)/units",
        "two detailed rules",
    ),
    _kpi("telemetry_availability_pct", "system", "%", "Telemetry availability", "遥测可用率", "100·GOOD points/points", "DL/T 516"),
    _kpi("observable_pct", "system", "%", "Observable buses", "可观测母线", "100·buses whose angle is measured/buses", "state estimate"),
    _kpi(
        "suspect_measurements",
        "system",
        "",
        "Suspect measurements and positions",
        "可疑量测与位置",
        "normalised residual > 3 in two estimates; positions that the flows contradict",
        "Handschin et al. 1975",
    ),
    _kpi("telemetry_freshness_s", "system", "s", "Telemetry age, p95", "遥测时延 P95", "p95 of now − source time", "JS-1"),
    _kpi("polled_freshness_s", "system", "s", "Age of polled points, p95", "轮询测点时延 P95", "p95 over points that are polled", "JS-1"),
    _kpi(
        "told_freshness_s",
        "system",
        "s",
        "Age of subscribed points, p95",
        "订阅测点时延 P95",
        "p95 over points told by exception: since their source's last sign of life",
        "JS-1",
    ),
    _kpi("average_lmp_cny_per_mwh", "system", "元/MWh", "Average LMP", "平均节点电价", "mean LMP over live buses", "spec §4"),
    _kpi("uniform_price_cny_per_mwh", "system", "元/MWh", "Uniform price", "统一结算点电价", "ΣLMP·L/ΣL", "spec §4"),
    _kpi(
        "day_ahead_spread_cny_per_mwh",
        "system",
        "元/MWh",
        "Day-ahead less real-time price",
        "日前与实时价差",
        "P_DA − P_RT, uniform prices as cleared",
        "spec §4",
    ),
    _kpi("nodal_spread_cny_per_mwh", "system", "元/MWh", "Nodal price spread", "节点价差", "max LMP − min LMP", "spec §4"),
    _kpi("congestion_rent_cny_per_h", "system", "元/h", "Congestion rent", "阻塞盈余", "ΣLMP·L − ΣLMP·G", "spec §4"),
    _kpi("hhi", "system", "", "HHI of output", "出力 HHI", "Σ(100·s_i)², s_i = share of a plant's output", "spec §4"),
    _kpi("hhi_capacity", "system", "", "HHI of capacity", "可用容量 HHI", "Σ(100·s_i)², s_i = share of available capacity", "spec §4"),
    _kpi("top4_pct", "system", "%", "Share of the top four", "前四名份额", "100·(s₁ + … + s₄) of output", "spec §4"),
    _kpi("award_hhi", "system", "", "HHI of awards", "中标电量 HHI", "Σ(100·s_i)², s_i = share of cleared energy", "spec §4"),
    _kpi("award_top4_pct", "system", "%", "Awards of the top four", "前四名中标份额", "100·(s₁ + … + s₄) of cleared energy", "spec §4"),
    _kpi(
        "lerner",
        "system",
        "",
        "Lerner index",
        "勒纳指数",
        "(Σq·LMP − Σq·MC)/Σq·LMP of dispatched units above their minimum, MC = offer of the last MW",
        "spec §4",
    ),
    _kpi("rsi", "system", "", "Residual supply index", "剩余供给指数", "min over plants of (S − S_i)/D", "spec §4"),
    _kpi("pivotal_suppliers", "system", "", "Pivotal suppliers", "关键供应商数", "plants with (S − S_i)/D < 1", "spec §4"),
    _kpi(
        "clearing_availability_pct", "system", "%", "Clearing availability", "出清可用率", "100·cleared in time/expected, 24 h", "spec §4"
    ),
    _kpi("clearing_latency_p50_s", "system", "s", "Clearing latency, p50", "出清时延 P50", "median of completed − due, 24 h", "spec §4"),
    _kpi("clearing_latency_p95_s", "system", "s", "Clearing latency, p95", "出清时延 P95", "p95 of completed − due, 24 h", "spec §4"),
    _kpi("clearing_latency_p99_s", "system", "s", "Clearing latency, p99", "出清时延 P99", "p99 of completed − due, 24 h", "spec §4"),
    _kpi(
        "bus_cap_hits_pct",
        "system",
        "%",
        "Bus prices at the cap",
        "节点电价触及上限占比",
        "100·(bus, interval) at the cap/(bus, interval), 24 h",
        "provincial offer rules",
    ),
    _kpi(
        "bus_floor_hits_pct",
        "system",
        "%",
        "Bus prices at the floor",
        "节点电价触及下限占比",
        "100·(bus, interval) at the floor/(bus, interval), 24 h",
        "provincial offer rules",
    ),
    _kpi(
        "price_limit_hits_pct",
        "system",
        "%",
        "Prices at cap or floor",
        "限价时段占比",
        "100·intervals with the uniform price at cap or floor/cleared intervals, 24 h",
        "provincial offer rules",
    ),
    _kpi("load_mw", "area", "MW", "Area load", "区域负荷", "Σ load of the area", "dispatch practice"),
    _kpi("generation_mw", "area", "MW", "Area generation", "区域发电", "Σ unit output of the area", "dispatch practice"),
    _kpi("frequency_hz", "area", "Hz", "Area frequency", "区域频率", "as metered", "GB/T 15945"),
    _kpi("interchange_mw", "area", "MW", "Net export", "净外送", "Σ tie-line flow", "BAL-005-1"),
    _kpi("tie_deviation_mw", "area", "MW", "Tie-line deviation", "联络线偏差", "NI_A − NI_S", "regional two-rules assessment"),
    _kpi(
        "tie_energy_deviation_mwh",
        "area",
        "MWh",
        "Energy off schedule",
        "联络线偏差电量",
        "mean(NI_A − NI_S)·¼ h of the last clock quarter",
        "regional two-rules assessment",
    ),
    _kpi("ace_mw", "area", "MW", "ACE", "区域控制偏差", "(NI_A − NI_S) − 10B(F_A − F_S), B < 0", "BAL-005-1"),
    _kpi("baal_mw", "area", "MW", "ACE limit (BAAL)", "ACE 限值（BAAL）", "−10B·(FTL − F_S)²/(F_A − F_S), FTL = F_S ± 3ε₁", "BAL-001-2 R2"),
    _kpi(
        "baal_outside_min",
        "area",
        "min",
        "Minutes running beyond BAAL",
        "连续越限分钟数",
        "clock minutes running with mean ACE beyond BAAL; more than 30 is a violation",
        "BAL-001-2 R2",
    ),
    _kpi(
        "cps1_pct",
        "area",
        "%",
        "CPS1",
        "CPS1",
        "100·(2 − CF), CF = mean[(ACE/−10B)₁ₘᵢₙ·Δf₁ₘᵢₙ]/ε₁², 24 h",
        "BAL-001-2 R1",
    ),
    _kpi(
        "cps2_pct",
        "area",
        "%",
        "CPS2",
        "CPS2",
        "100·ten-minute windows with |mean ACE| ≤ 1.65·ε₁₀·√((−10B)(−10B_s))/windows, 24 h",
        "old BAL-001 R2",
    ),
    _kpi(
        "cps_k1_pct",
        "area",
        "%",
        "CPS K1, last quarter",
        "CPS K1（上一刻钟）",
        "100·(2 − Σ(ACE·Δf)/(−10B·n·ε₁²)) of the last clock quarter",
        "regional dispatch rules",
    ),
    _kpi(
        "cps_grade",
        "area",
        "",
        "CPS grade, last quarter",
        "CPS 评级（上一刻钟）",
        "2: K1 ≥ 200 %; 1: K1 ≥ 100 % and |mean ACE| ≤ L10; 0: fail",
        "regional dispatch rules",
    ),
    _kpi(
        "cps_pass_pct",
        "area",
        "%",
        "CPS quarters passed",
        "CPS 合格率",
        "100·quarters with grade > 0/quarters, 24 h",
        "regional dispatch rules",
    ),
)
"""Every key figure, in the order it is shown. Time since the last valid clearing and headroom are in :class:`market.view.MarketView`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineLoading:
    """Loading of one branch: ``flow_mw`` at its from end, ``loading_pct`` of continuous rating."""

    branch: str
    flow_mw: float
    loading_pct: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceHealth:
    """How one device or server is doing.

    Attributes:
        state: ``ok``, ``stale`` (nothing fresh in time) or ``bad`` (answers with bad quality).
        age_s: age of its newest value, s.
    """

    source: str
    area: str
    points: int
    good: int
    age_s: float
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KpiFrame:
    """All key figures at one instant; a figure that cannot be computed is absent, never 0.

    Attributes:
        system: value by KPI name.
        areas: area → value by KPI name.
        generation_mw_by_fuel: output by fuel class.
        worst_lines: the ten highest loadings, descending.
        lines_open: branches out of service by their switches.
        sources: every device or server.
        freshness_s_by_source: 95th percentile of the age of its points, s, by device or server.
    """

    ts_event_ns: int
    system: dict[str, float]
    areas: dict[str, dict[str, float]]
    generation_mw_by_fuel: dict[str, float]
    worst_lines: tuple[LineLoading, ...] = ()
    lines_open: tuple[str, ...] = ()
    sources: tuple[SourceHealth, ...] = field(default_factory=tuple)
    freshness_s_by_source: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlParams:
    """How the areas are controlled; agreed between them, so part of the configuration and not of the code.

    Attributes:
        nominal_hz: scheduled frequency F_S.
        bias_mw_per_0p1hz: frequency bias B of each area, MW/0.1 Hz, < 0.
        epsilon1_hz: target bound of the one-minute mean frequency deviation, root mean square, Hz.
        epsilon10_hz: the same of the ten-minute mean, Hz; the default is that of NERC's Eastern Interconnection.
        frequency_band_hz: deviation within which the frequency is as promised, Hz (GB/T 15945: 0.2, small systems 0.5).
    """

    nominal_hz: float = 50.0
    bias_mw_per_0p1hz: Mapping[str, float]
    epsilon1_hz: float = 0.02
    epsilon10_hz: float = 0.0057
    frequency_band_hz: float = 0.2


def total_mw(value_mw: NDArray[np.float64]) -> float | None:
    """Return Σ of (n,) measurements, MW; None where one of them never arrived (a partial sum would pass for a whole one)."""
    return float(value_mw.sum()) if len(value_mw) and np.isfinite(value_mw).all() else None


def frequency_hz(value_hz: Sequence[float]) -> float | None:
    """Return the median of the area frequencies, Hz: one bad meter does not move it. None without any."""
    return median(value_hz) if value_hz else None


def availability_pct(good: NDArray[np.bool_]) -> float | None:
    """Return 100·GOOD points/all points, %, of (n,) flags; None without points."""
    return 100.0 * float(np.count_nonzero(good)) / len(good) if len(good) else None


def freshness_s(age_s: NDArray[np.float64]) -> float | None:
    """Return the 95th percentile of (n,) ages, s, over points that have a value at all."""
    finite = age_s[np.isfinite(age_s)]
    return float(np.percentile(finite, 95)) if len(finite) else None


def freshness_s_by_source(sources: Sequence[str], source_of: NDArray[np.int64], age_s: NDArray[np.float64]) -> dict[str, float | None]:
    """Return the 95th percentile of the ages of each source's points, s; None where none of them ever had a value.

    Args:
        sources: (m,) names.
        source_of: (n,) place of each point's source among them.
        age_s: (n,) now less source time, s; infinite for a point that never had a value.
    """
    spoke = np.isfinite(age_s)
    own, ages = source_of[spoke], age_s[spoke]
    ages = ages[np.lexsort((ages, own))]
    count = np.bincount(own, minlength=len(sources))
    first = np.cumsum(count) - count
    # Between the two nearest ranks, as numpy.percentile has it; all sources at once, because there are some hundred of them.
    rank = 0.95 * np.maximum(count - 1, 0)
    low = np.floor(rank)
    padded = np.append(ages, [np.nan, np.nan])
    below = padded[first + low.astype(np.int64)]
    above = padded[first + np.ceil(rank).astype(np.int64)]
    fresh = below + (rank - low) * (above - below)
    return {name: float(fresh[i]) if count[i] else None for i, name in enumerate(sources)}


def worst_lines(
    names: Sequence[str], flow_mw: NDArray[np.float64], rating_mw: NDArray[np.float64], most: int = 10
) -> tuple[LineLoading, ...]:
    """Return the highest loadings, descending.

    Args:
        names: (n,) branches.
        flow_mw: (n,) flow at the from end; NaN where unknown, which leaves the branch out.
        rating_mw: (n,) continuous rating; infinite ratings load nothing.
    """
    loading_pct = 100.0 * np.abs(flow_mw) / rating_mw
    known = np.flatnonzero(np.isfinite(loading_pct))
    order = known[np.argsort(-loading_pct[known], kind="stable")][:most]
    return tuple(LineLoading(branch=names[i], flow_mw=float(flow_mw[i]), loading_pct=float(loading_pct[i])) for i in order)
