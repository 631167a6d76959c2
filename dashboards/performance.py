"""How well did it go? The panels at the foot of the overview: control of the areas, quality of supply, clearing, competition.

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

PERFORMANCE: Final = (*_CONTROL, *_TILES, *_COURSES)
"""Three rows, from the edge of the tables down."""
