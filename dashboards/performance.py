"""How well did it go? The panels at the foot of the overview: control, quality of supply, clearing, competition, forecasts, reserves.

Nobody acts on these within the minute, so they stand below everything that somebody might.
"""

from __future__ import annotations

from typing import Final

from dashboards.elements import GREY, P1, P2, P3, Panel, PanelKind, Step, Text, course, tile, title_of
from streams.measurements import KPI, KPI_AREA

__all__ = ["PERFORMANCE"]

_AREAS: Final = '"area" =~ /^$area$/'
_TOP: Final = 57


def _by_area(
    number: int,
    name: str,
    at: tuple[int, int],
    description: Text,
    steps: tuple[Step, ...] = (Step(None, GREY),),
    *,
    title: Text | None = None,
    stepped: bool = True,
) -> Panel:
    """Show the course of one figure in every area."""
    column = KPI_AREA.field(name)
    return Panel(
        number=number,
        kind=PanelKind.TIME_SERIES,
        title=title or title_of(column),
        description=description,
        unit=column.unit,
        at=(*at, 8, 8),
        queries=(course(KPI_AREA, name, how="last", where=_AREAS, by="area"),),
        decimals=1,
        steps=steps,
        stepped=stepped,
    )


_CONTROL: Final = (
    _by_area(
        31,
        "cps1_pct",
        (0, _TOP),
        Text("Over the last day; 100 % is the least.", "最近 24 小时；下限为 100%。"),
        (Step(None, P1), Step(100, GREY)),
        title=Text("CPS1 over a day", "CPS1（24 小时）"),
        stepped=False,
    ),
    _by_area(
        32,
        "baal_outside_min",
        (8, _TOP),
        Text(
            "Clock minutes in a row with the mean ACE beyond its limit; more than 30 is a violation.",
            "ACE 分钟均值连续越限的分钟数，超过 30 分钟为违规。",
        ),
        (Step(None, GREY), Step(15, P3), Step(31, P1)),
    ),
    _by_area(
        33,
        "cps_k1_pct",
        (16, _TOP),
        Text(
            "Of the last clock quarter: 200 % and more passes, from 100 % it depends on the mean ACE, below it fails.",
            "上一刻钟：200% 及以上合格，100% 至 200% 视 ACE 均值，低于 100% 不合格。",
        ),
        (Step(None, P1), Step(100, P3), Step(200, GREY)),
    ),
)

_TILES_TOP: Final = _TOP + 8

_TILES: Final = (
    tile(
        KPI,
        "frequency_in_band_pct",
        number=34,
        at=(0, _TILES_TOP, 3, 4),
        description=Text("Share of the last day with the frequency in its band.", "最近 24 小时频率处于允许范围内的时间占比。"),
        decimals=2,
    ),
    tile(
        KPI,
        "voltage_in_band_pct",
        number=35,
        at=(3, _TILES_TOP, 3, 4),
        description=Text(
            "Share of the last day, over all buses, within 5 % of nominal.", "最近 24 小时各节点电压在额定值 ±5% 以内的时间占比。"
        ),
        decimals=2,
    ),
    tile(
        KPI,
        "voltage_outside_buses",
        number=36,
        at=(6, _TILES_TOP, 3, 4),
        description=Text("Buses that are beyond 5 % of nominal now.", "当前电压偏离额定值超过 5% 的节点数。"),
        steps=(Step(None, GREY), Step(1, P3)),
        decimals=0,
    ),
    tile(
        KPI,
        "unit_compliance_pct",
        number=37,
        at=(9, _TILES_TOP, 3, 4),
        description=Text(
            "Units within 2 % of rated power, or 2 MW, of their base point, their ramp allowed for.",
            "计及爬坡后，出力与基点偏差不超过额定功率 2%（或 2 MW）的机组占比。",
        ),
    ),
    tile(
        KPI,
        "clearing_availability_pct",
        number=38,
        at=(12, _TILES_TOP, 3, 4),
        description=Text("Intervals of the last day that were cleared in time.", "最近 24 小时按时出清的时段占比。"),
        steps=(Step(None, P2), Step(99, GREY)),
        decimals=2,
    ),
    tile(
        KPI,
        "clearing_latency_p95_s",
        number=39,
        at=(15, _TILES_TOP, 3, 4),
        description=Text(
            "Completed after it was due, 95th percentile of the last day; below zero in time.",
            "最近 24 小时出清完成晚于应出时间的 95 分位，负值为提前。",
        ),
        steps=(Step(None, GREY), Step(0, P3)),
    ),
    tile(
        KPI,
        "rsi",
        number=40,
        at=(18, _TILES_TOP, 3, 4),
        description=Text(
            "Below 1 one plant is indispensable: without it the load is not served.", "低于 1 表示存在不可或缺的电厂：缺之则无法满足负荷。"
        ),
        steps=(Step(None, P2), Step(1, P3), Step(1.1, GREY)),
        decimals=2,
    ),
    tile(
        KPI,
        "hhi",
        number=41,
        at=(21, _TILES_TOP, 3, 4),
        description=Text(
            "Concentration of output over plants; 1,800 and more is highly concentrated.", "各电厂出力的集中度；1800 及以上为高度集中。"
        ),
        steps=(Step(None, GREY), Step(1_800, P3)),
        decimals=0,
    ),
)

_COURSES_TOP: Final = _TILES_TOP + 4

_COURSES: Final = (
    _by_area(
        42,
        "tie_energy_deviation_mwh",
        (0, _COURSES_TOP),
        Text("Exchanged beyond schedule in each clock quarter; positive is export.", "各刻钟超计划交换电量，正值为多送。"),
    ),
    Panel(
        number=43,
        kind=PanelKind.TIME_SERIES,
        title=title_of(KPI.field("unit_deviation_mw")),
        description=Text(
            "Sum of distances between output and base point, ramps allowed for.", "各机组出力与基点（计及爬坡）偏差绝对值之和。"
        ),
        unit="MW",
        at=(8, _COURSES_TOP, 8, 8),
        queries=(course(KPI, "unit_deviation_mw", label=title_of(KPI.field("unit_deviation_mw"))),),
    ),
    Panel(
        number=44,
        kind=PanelKind.TIME_SERIES,
        title=Text("Age of telemetry by kind of source, p95", "各类数据源遥测时延 P95"),
        description=Text("Polled points, and points whose source reports changes.", "轮询测点与订阅测点。"),
        unit="s",
        at=(16, _COURSES_TOP, 8, 8),
        queries=tuple(course(KPI, name, label=title_of(KPI.field(name))) for name in ("polled_freshness_s", "told_freshness_s")),
        decimals=1,
    ),
)

_FORECASTS_TOP: Final = _COURSES_TOP + 8

_FORECASTS_AND_PRICES: Final = (
    tile(
        KPI,
        "load_forecast_mape_pct",
        number=45,
        at=(0, _FORECASTS_TOP, 3, 4),
        description=Text("Day-ahead forecast against metered load, hours of the last day.", "最近 24 小时各小时日前负荷预测与实测之差。"),
    ),
    tile(
        KPI,
        "load_forecast_accuracy_pct",
        number=46,
        at=(3, _FORECASTS_TOP, 3, 4),
        description=Text("100 % less the root mean square of relative errors; 97 % passes.", "100% 减去相对误差的均方根；97% 及以上合格。"),
        steps=(Step(None, P3), Step(97, GREY)),
    ),
    tile(
        KPI,
        "wind_solar_forecast_rmse_pct",
        number=47,
        at=(6, _FORECASTS_TOP, 3, 4),
        description=Text(
            "Day-ahead forecast against what wind and sun could give, % of capacity, hours of the last day.",
            "最近 24 小时各小时日前风光预测与可用功率之差，占装机容量的百分比。",
        ),
    ),
    tile(
        KPI,
        "clearing_latency_p99_s",
        number=48,
        at=(9, _FORECASTS_TOP, 3, 4),
        description=Text(
            "Completed after it was due, 99th percentile of the last day; below zero in time.",
            "最近 24 小时出清完成晚于应出时间的 99 分位，负值为提前。",
        ),
        steps=(Step(None, GREY), Step(0, P3)),
    ),
    tile(
        KPI,
        "bus_cap_hits_pct",
        number=49,
        at=(12, _FORECASTS_TOP, 3, 4),
        description=Text(
            "Share of the bus prices of the last day that stood at the cap.", "最近 24 小时（节点，时段）中电价达到上限的占比。"
        ),
        steps=(Step(None, GREY), Step(0.01, P3)),
        decimals=2,
    ),
    tile(
        KPI,
        "bus_floor_hits_pct",
        number=50,
        at=(15, _FORECASTS_TOP, 3, 4),
        description=Text(
            "Share of the bus prices of the last day that stood at the floor.", "最近 24 小时（节点，时段）中电价达到下限的占比。"
        ),
        decimals=2,
    ),
    tile(
        KPI,
        "award_hhi",
        number=51,
        at=(18, _FORECASTS_TOP, 3, 4),
        description=Text(
            "Concentration of cleared energy over plants; 1,800 and more is highly concentrated.",
            "各电厂中标电量的集中度；1800 及以上为高度集中。",
        ),
        steps=(Step(None, GREY), Step(1_800, P3)),
        decimals=0,
    ),
    tile(
        KPI,
        "lerner",
        number=52,
        at=(21, _FORECASTS_TOP, 3, 4),
        description=Text(
            "Part of what dispatched units are paid that is above the offer of their last MW.",
            "调度机组所得电价中高于其末段报价部分的占比。",
        ),
        decimals=3,
    ),
    Panel(
        number=53,
        kind=PanelKind.TIME_SERIES,
        title=Text("Price spreads", "价差"),
        description=Text(
            "Day-ahead less real-time price, positive where the day before was dearer; and between the dearest and the cheapest bus.",
            "日前减实时电价，正值表示日前较高；以及最高与最低节点电价之差。",
        ),
        unit="元/MWh",
        at=(0, _FORECASTS_TOP + 4, 8, 8),
        queries=tuple(
            course(KPI, name, how="last", label=title_of(KPI.field(name)))
            for name in ("day_ahead_spread_cny_per_mwh", "nodal_spread_cny_per_mwh")
        ),
        decimals=2,
        stepped=True,
    ),
    Panel(
        number=54,
        kind=PanelKind.TIME_SERIES,
        title=Text("Reserve of running units", "在网机组备用率"),
        description=Text(
            "What they could give in addition, in % of load: in all, and as far as ramps reach in 30 and 10 minutes.",
            "在网机组可增出力占负荷的百分比：全部，以及按爬坡速率 30 分钟、10 分钟内可达部分。",
        ),
        unit="%",
        at=(8, _FORECASTS_TOP + 4, 8, 8),
        queries=tuple(
            course(KPI, name, label=title_of(KPI.field(name)))
            for name in ("spinning_reserve_pct", "reserve_30min_pct", "reserve_10min_pct")
        ),
        decimals=1,
    ),
    Panel(
        number=55,
        kind=PanelKind.TIME_SERIES,
        title=Text("Concentration of supply", "供给集中度"),
        description=Text("HHI over plants: by output, by available capacity, by awards.", "各电厂 HHI：按出力、按可用容量、按中标电量。"),
        unit="",
        at=(16, _FORECASTS_TOP + 4, 8, 8),
        queries=tuple(course(KPI, name, label=title_of(KPI.field(name))) for name in ("hhi", "hhi_capacity", "award_hhi")),
        decimals=0,
    ),
)

PERFORMANCE: Final = (*_CONTROL, *_TILES, *_COURSES, *_FORECASTS_AND_PRICES)
"""Five rows, from the edge of the tables down."""
