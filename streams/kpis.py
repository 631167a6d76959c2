"""Key figures of grid and market, each a pure function of one process image.

Names, units and formulas stand in :data:`KPIS`; the sink, the board and the dashboards read them from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

from market.units import NS_PER_H, NS_PER_MIN, floor_ns

__all__ = [
    "KPIS",
    "ControlParams",
    "Cps1",
    "Kpi",
    "KpiFrame",
    "LineLoading",
    "SourceHealth",
    "ace_mw",
    "availability_pct",
    "cps1_pct",
    "cps1_sampled",
    "curtailment_pct",
    "frequency_hz",
    "freshness_s",
    "renewable_share_pct",
    "reserve_margin_pct",
    "total_mw",
    "worst_lines",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kpi:
    """What one key figure is.

    Attributes:
        scope: ``system`` or ``area``.
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
    _kpi("frequency_hz", "system", "Hz", "Frequency", "系统频率", "median of area frequencies", "GB/T 15945"),
    _kpi("frequency_deviation_hz", "system", "Hz", "Frequency deviation", "频率偏差", "f − 50", "GB/T 15945"),
    _kpi("reserve_margin_pct", "system", "%", "Reserve margin", "备用率", "100·Σ(available − output)/load", "GB/T 38969"),
    _kpi("renewable_share_pct", "system", "%", "Renewable share", "新能源占比", "100·P_RE/P_load", "NEA statistics"),
    _kpi("curtailment_pct", "system", "%", "Curtailment", "弃电率", "100·(available − output)/available of renewables", "NEA statistics"),
    _kpi("telemetry_availability_pct", "system", "%", "Telemetry availability", "遥测可用率", "100·GOOD points/points", "DL/T 516"),
    _kpi("telemetry_freshness_s", "system", "s", "Telemetry age, p95", "遥测时延 P95", "p95 of now − source time", "JS-1"),
    _kpi("average_lmp_cny_per_mwh", "system", "元/MWh", "Average LMP", "平均节点电价", "mean LMP over live buses", "spec §4"),
    _kpi("uniform_price_cny_per_mwh", "system", "元/MWh", "Uniform price", "统一结算点电价", "ΣLMP·L/ΣL", "spec §4"),
    _kpi("congestion_rent_cny_per_h", "system", "元/h", "Congestion rent", "阻塞盈余", "ΣLMP·L − ΣLMP·G", "spec §4"),
    _kpi("load_mw", "area", "MW", "Area load", "区域负荷", "Σ load of the area", "dispatch practice"),
    _kpi("generation_mw", "area", "MW", "Area generation", "区域发电", "Σ unit output of the area", "dispatch practice"),
    _kpi("frequency_hz", "area", "Hz", "Area frequency", "区域频率", "as metered", "GB/T 15945"),
    _kpi("interchange_mw", "area", "MW", "Net export", "净外送", "Σ tie-line flow", "BAL-005-1"),
    _kpi("tie_deviation_mw", "area", "MW", "Tie-line deviation", "联络线偏差", "NI_A − NI_S", "regional two-rules assessment"),
    _kpi("ace_mw", "area", "MW", "ACE", "区域控制偏差", "(NI_A − NI_S) − 10B(F_A − F_S), B < 0", "BAL-005-1"),
    _kpi(
        "cps1_pct",
        "area",
        "%",
        "CPS1",
        "CPS1",
        "100·(2 − CF), CF = mean[(ACE/−10B)₁ₘᵢₙ·Δf₁ₘᵢₙ]/ε₁²",
        "BAL-001-2 R1, window as far as data go",
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
    """

    ts_event_ns: int
    system: dict[str, float]
    areas: dict[str, dict[str, float]]
    generation_mw_by_fuel: dict[str, float]
    worst_lines: tuple[LineLoading, ...] = ()
    lines_open: tuple[str, ...] = ()
    sources: tuple[SourceHealth, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlParams:
    """How the areas are controlled; agreed between them, so part of the configuration and not of the code.

    Attributes:
        nominal_hz: scheduled frequency F_S.
        bias_mw_per_0p1hz: frequency bias B of each area, MW/0.1 Hz, < 0.
        epsilon1_hz: target bound of the one-minute mean frequency deviation, root mean square, Hz.
    """

    nominal_hz: float = 50.0
    bias_mw_per_0p1hz: Mapping[str, float]
    epsilon1_hz: float = 0.02


def total_mw(value_mw: NDArray[np.float64]) -> float | None:
    """Return Σ of (n,) measurements, MW; None where one of them never arrived (a partial sum would pass for a whole one)."""
    return float(value_mw.sum()) if len(value_mw) and np.isfinite(value_mw).all() else None


def frequency_hz(value_hz: Sequence[float]) -> float | None:
    """Return the median of the area frequencies, Hz: one bad meter does not move it. None without any."""
    return median(value_hz) if value_hz else None


def ace_mw(interchange_mw: float, scheduled_mw: float, measured_hz: float, bias_mw_per_0p1hz: float, nominal_hz: float) -> float:
    """Area control error, MW: ``(NI_A − NI_S) − 10·B·(F_A − F_S)``, B < 0 in MW/0.1 Hz; positive when over-generating (BAL-005-1).

    >>> ace_mw(110.0, 100.0, 50.02, -25.0, 50.0)
    15.0
    """
    return round((interchange_mw - scheduled_mw) - 10.0 * bias_mw_per_0p1hz * (measured_hz - nominal_hz), 9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cps1:
    """What CPS1 of one area has been counted from: the running clock minute, and sums by clock hour for a day.

    Attributes:
        minute_ns: the running minute; ace_sum, df_sum, n: its samples.
        hours: (hour start, Σ of the minutes' compliance products, number of minutes), at most 24.
    """

    minute_ns: int = -1
    ace_sum: float = 0.0
    df_sum: float = 0.0
    n: int = 0
    hours: tuple[tuple[int, float, int], ...] = ()


def cps1_sampled(state: Cps1, ts_ns: int, ace: float, deviation_hz: float, bias_mw_per_0p1hz: float) -> Cps1:
    """Add one sample; when a clock minute is complete its product ``(mean ACE / −10B)·mean Δf`` joins the sums (BAL-001-2 R1)."""
    minute_ns = floor_ns(ts_ns, NS_PER_MIN)
    if minute_ns != state.minute_ns and state.n:
        product = state.ace_sum / state.n / (-10.0 * bias_mw_per_0p1hz) * (state.df_sum / state.n)
        hour_ns = floor_ns(state.minute_ns, NS_PER_H)
        same = next(((total, count) for start, total, count in state.hours if start == hour_ns), (0.0, 0))
        others = tuple(entry for entry in state.hours if entry[0] != hour_ns)
        state = replace(state, hours=(*others, (hour_ns, same[0] + product, same[1] + 1))[-24:])
    if minute_ns != state.minute_ns:
        state = replace(state, minute_ns=minute_ns, ace_sum=0.0, df_sum=0.0, n=0)
    return replace(state, ace_sum=state.ace_sum + ace, df_sum=state.df_sum + deviation_hz, n=state.n + 1)


def cps1_pct(state: Cps1, epsilon1_hz: float) -> float | None:
    """Return ``100·(2 − CF)``, CF = mean of the minutes' products / ε₁², %; None before the first whole minute (BAL-001-2 R1)."""
    count = sum(n for _, _, n in state.hours)
    if not count:
        return None
    return 100.0 * (2.0 - sum(total for _, total, _ in state.hours) / count / epsilon1_hz**2)


def reserve_margin_pct(available_mw: float, output_mw: float, load_mw: float) -> float | None:
    """Return ``100·(available − output)/load``, %: what committed units could still give (GB/T 38969). None without load."""
    return 100.0 * (available_mw - output_mw) / load_mw if load_mw > 0 else None


def renewable_share_pct(renewable_mw: float, load_mw: float) -> float | None:
    """Return ``100·P_RE/P_load``, %; None without load."""
    return 100.0 * renewable_mw / load_mw if load_mw > 0 else None


def curtailment_pct(available_mw: NDArray[np.float64], output_mw: NDArray[np.float64]) -> float | None:
    """Return ``100·Σ max(available − output, 0)/Σ available`` of renewables, (k,) MW each, %; None when nothing is available."""
    total = float(available_mw.sum())
    return 100.0 * float(np.maximum(available_mw - output_mw, 0.0).sum()) / total if total > 1.0 else None


def availability_pct(good: NDArray[np.bool_]) -> float | None:
    """Return 100·GOOD points/all points, %, of (n,) flags; None without points."""
    return 100.0 * float(np.count_nonzero(good)) / len(good) if len(good) else None


def freshness_s(age_s: NDArray[np.float64]) -> float | None:
    """Return the 95th percentile of (n,) ages, s, over points that have a value at all."""
    finite = age_s[np.isfinite(age_s)]
    return float(np.percentile(finite, 95)) if len(finite) else None


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
