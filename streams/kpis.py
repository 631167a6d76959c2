"""Key figures of grid and market, each a pure function of one process image.

Names, units and formulas stand in :data:`KPIS`; the sink, the board and the dashboards read them from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

__all__ = ["KPIS", "Kpi", "KpiFrame", "LineLoading", "SourceHealth"]


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
