"""How well is the system doing? The board of key figures, in groups from the most urgent down.

Balance and frequency stand at the top because somebody may act on them; what is judged by the day stands below: forecasts, the market,
competition, clearing (:mod:`dashboards.kpimarket`). Within a group, numbers come first and their courses under them.

A figure that the service computes is shown as computed. Two are of the time shown and are asked of the database: the load factor and the
volatility of the price.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dashboards.board import AREA, AREAS, Board, Level
from dashboards.elements import GREY, P1, P2, P3, Drill, Panel, PanelKind, Step, Text, course, headings, select, tile, title_of
from dashboards.kpimarket import BELOW, MARKET_ROWS
from streams.measurements import FUEL, KPI, KPI_AREA, Measurement

__all__ = ["BOARD"]

_NORMAL: Final = (Step(None, GREY),)
_COURSES_OF_BALANCE: Final = 4
_CONTROL: Final = 12
_QUALITY: Final = 36
_AREAS_TOP: Final = 40
assert BELOW == 48, "the groups of the market begin where those of control end"


def _together(
    number: int, title: Text, description: Text, at: tuple[int, int], names: tuple[str, ...], measurement: Measurement = KPI
) -> Panel:
    """Show several figures of one unit in one course."""
    return Panel(
        number=number,
        kind=PanelKind.TIME_SERIES,
        title=title,
        description=description,
        unit=measurement.field(names[0]).unit,
        at=(*at, 8, 8),
        queries=tuple(course(measurement, name, label=title_of(measurement.field(name))) for name in names),
        decimals=1,
    )


_CONTROL_COLUMNS: Final = ("ace_mw", "baal_mw", "cps1_pct", "cps2_pct", "cps_grade", "cps_pass_pct")

_TITLES: Final = {
    "frequency_hz": Text("Frequency by area", "各区域频率"),
    "cps1_pct": Text("CPS1 over a day", "CPS1（24 小时）"),
    "cps2_pct": Text("CPS2 over a day", "CPS2（24 小时）"),
}
"""Where the schema's title says too little beside the others."""


def _of_areas(
    number: int,
    name: str,
    at: tuple[int, int],
    description: Text,
    steps: tuple[Step, ...] = _NORMAL,
    *,
    decimals: int = 1,
    stepped: bool = True,
) -> Panel:
    """Show the course of one figure in every area; from there the telemetry of the area is one step away."""
    column = KPI_AREA.field(name)
    return Panel(
        number=number,
        kind=PanelKind.TIME_SERIES,
        title=_TITLES.get(name) or title_of(column),
        description=description,
        unit=column.unit,
        at=(*at, 8, 8),
        queries=(course(KPI_AREA, name, how="last", where=AREAS, by="area"),),
        decimals=decimals,
        steps=steps,
        stepped=stepped,
        drill=Drill("gridfuse-telemetry", {"area": "area"}),
    )


_BALANCE: Final = (
    tile(KPI, "load_mw", number=8, at=(0, 0, 3, 4), description=Text("Sum of all metered loads.", "全部计量负荷之和。"), decimals=0),
    tile(KPI, "generation_mw", number=9, at=(3, 0, 3, 4), description=Text("Sum of all unit outputs.", "全部机组出力之和。"), decimals=0),
    Panel(
        number=601,
        kind=PanelKind.STAT,
        title=Text("Load factor", "负荷率"),
        description=Text("Mean load of the time shown, of its highest.", "所示时间内平均负荷与最高负荷之比。"),
        unit="%",
        at=(6, 0, 3, 4),
        queries=(select('100 * mean("load_mw") / max("load_mw")', KPI),),
        decimals=1,
    ),
    tile(
        KPI,
        "losses_pct",
        number=602,
        at=(9, 0, 3, 4),
        description=Text(
            "Generation that no load is metered for; yellow above 8 %, and below -1 %, where meters disagree.",
            "发电中未计量为负荷的部分；高于 8% 为黄色，低于 -1% 表示计量不一致。",
        ),
        steps=(Step(None, P3), Step(-1, GREY), Step(8, P3)),
        decimals=2,
    ),
    tile(
        KPI,
        "renewable_share_pct",
        number=11,
        at=(12, 0, 3, 4),
        description=Text("Output of renewables in % of load.", "新能源出力占负荷的百分比。"),
    ),
    tile(
        KPI,
        "curtailment_pct",
        number=603,
        at=(15, 0, 3, 4),
        description=Text(
            "What renewables could give and do not, of what they could; yellow from 5 %.", "新能源未发出的可用功率占比；5% 起黄色。"
        ),
        steps=(Step(None, GREY), Step(5, P3)),
    ),
    tile(
        KPI,
        "reserve_margin_pct",
        number=10,
        at=(18, 0, 3, 4),
        description=Text(
            "What committed units could still give, in % of load; red below zero.", "在运机组尚可增加的出力占负荷的百分比，负值为红色。"
        ),
        steps=(Step(None, P1), Step(0, GREY)),
    ),
    tile(
        KPI,
        "unit_compliance_pct",
        number=37,
        at=(21, 0, 3, 4),
        description=Text(
            "Units within 2 % of rated power, or 2 MW, of their base point, their ramp allowed for.",
            "计及爬坡后，出力与基点偏差不超过额定功率 2%（或 2 MW）的机组占比。",
        ),
    ),
    Panel(
        number=19,
        kind=PanelKind.TIME_SERIES,
        title=Text("Load and generation", "负荷与发电"),
        description=Text("System totals, and the load that was foreseen the day before.", "系统总量及日前负荷预测。"),
        unit="MW",
        at=(0, _COURSES_OF_BALANCE, 8, 8),
        queries=tuple(course(KPI, name, label=title_of(KPI.field(name))) for name in ("load_mw", "generation_mw", "load_forecast_mw")),
        decimals=0,
    ),
    Panel(
        number=21,
        kind=PanelKind.TIME_SERIES,
        title=title_of(FUEL),
        description=Text("Output of each class of units, stacked.", "各类机组出力，堆叠。"),
        unit="MW",
        at=(8, _COURSES_OF_BALANCE, 8, 8),
        queries=(course(FUEL, "generation_mw", by="fuel"),),
        decimals=0,
        stacked=True,
    ),
    _together(
        54,
        Text("Reserve of running units", "在网机组备用率"),
        Text(
            "What they could give in addition, in % of load: in all, and as far as ramps reach in 30 and 10 minutes.",
            "在网机组可增出力占负荷的百分比：全部，以及按爬坡速率 30 分钟、10 分钟内可达部分。",
        ),
        (16, _COURSES_OF_BALANCE),
        ("spinning_reserve_pct", "reserve_30min_pct", "reserve_10min_pct"),
    ),
)


def _control() -> Iterator[Panel]:
    yield _of_areas(20, "frequency_hz", (0, _CONTROL), Text("As metered in each area.", "各区域实测频率。"), decimals=3, stepped=False)
    yield _of_areas(22, "ace_mw", (8, _CONTROL), Text("Positive when the area over-generates.", "正值表示该区域多发。"), stepped=False)
    yield _of_areas(
        31,
        "cps1_pct",
        (16, _CONTROL),
        Text("Over the last day; 100 % is the least.", "最近 24 小时；下限为 100%。"),
        (Step(None, P1), Step(100, GREY)),
        stepped=False,
    )
    yield _of_areas(
        32,
        "baal_outside_min",
        (0, _CONTROL + 8),
        Text(
            "Clock minutes in a row with the mean ACE beyond its limit; more than 30 is a violation.",
            "ACE 分钟均值连续越限的分钟数，超过 30 分钟为违规。",
        ),
        (Step(None, GREY), Step(15, P3), Step(31, P1)),
        decimals=0,
    )
    yield _of_areas(
        33,
        "cps_k1_pct",
        (8, _CONTROL + 8),
        Text(
            "Of the last clock quarter: 200 % and more passes, from 100 % it depends on the mean ACE, below it fails.",
            "上一刻钟：200% 及以上合格，100% 至 200% 视 ACE 均值，低于 100% 不合格。",
        ),
        (Step(None, P1), Step(100, P3), Step(200, GREY)),
    )
    yield _of_areas(
        604,
        "cps2_pct",
        (16, _CONTROL + 8),
        Text(
            "Ten-minute windows of the last day within the limit; 90 % was the least, until BAAL took its place.",
            "最近 24 小时十分钟合格率；原下限为 90%，已由 BAAL 取代。",
        ),
        stepped=False,
    )
    yield _of_areas(605, "interchange_mw", (0, _CONTROL + 16), Text("Positive is export.", "正值为外送。"), stepped=False)
    yield _of_areas(
        606, "tie_deviation_mw", (8, _CONTROL + 16), Text("Against the schedule of the interval.", "与时段计划之差。"), stepped=False
    )
    yield _of_areas(
        42,
        "tie_energy_deviation_mwh",
        (16, _CONTROL + 16),
        Text("Exchanged beyond schedule in each clock quarter; positive is export.", "各刻钟超计划交换电量，正值为多送。"),
    )


_AREA_ROW: Final = (
    _of_areas(607, "load_mw", (0, _AREAS_TOP), Text("Metered in each area.", "各区域计量负荷。"), decimals=0, stepped=False),
    _of_areas(608, "generation_mw", (8, _AREAS_TOP), Text("Units of each area.", "各区域机组出力。"), decimals=0, stepped=False),
    Panel(
        number=609,
        kind=PanelKind.TABLE,
        title=Text("Control by area", "各区域控制指标"),
        description=Text(
            "Newest control error and its limit, and how the area does by CPS1, CPS2 and by the quarters it passed.",
            "各区域最新控制偏差及限值，CPS1、CPS2 与刻钟合格率。",
        ),
        unit="",
        at=(16, _AREAS_TOP, 8, 8),
        queries=(
            select(
                ", ".join(['last("ace_mw") AS "ace_mw"', *(f'"{name}"' for name in _CONTROL_COLUMNS[1:])]),
                KPI_AREA,
                where=AREAS,
                then='GROUP BY "area"',
            ),
        ),
        decimals=1,
        columns=headings(KPI_AREA, "area", *_CONTROL_COLUMNS),
    ),
)


def _quality() -> Iterator[Panel]:
    band = (Step(None, P1), Step(49.5, P2), Step(49.8, GREY), Step(50.2, P2), Step(50.5, P1))
    share = (Step(None, P3), Step(99, GREY))
    outside = (Step(None, GREY), Step(1, P3))
    of_band = Text("Coloured outside 50 ± 0.2 Hz, red outside ± 0.5 Hz.", "超出 50±0.2 Hz 着色，超出 ±0.5 Hz 为红色。")
    rows: tuple[tuple[int, str, Text, tuple[Step, ...], int], ...] = (
        (7, "frequency_hz", of_band, band, 3),
        (
            34,
            "frequency_in_band_pct",
            Text("Share of the last day with the frequency in its band.", "最近 24 小时频率处于允许范围内的时间占比。"),
            share,
            2,
        ),
        (612, "frequency_deviation_hz", Text("Against the scheduled frequency.", "与计划频率之差。"), _NORMAL, 3),
        (
            35,
            "voltage_in_band_pct",
            Text("Share of the last day, over all buses, within 5 % of nominal.", "最近 24 小时各节点电压在额定值 ±5% 以内的时间占比。"),
            share,
            2,
        ),
        (
            36,
            "voltage_outside_buses",
            Text("Buses that are beyond 5 % of nominal now.", "当前电压偏离额定值超过 5% 的节点数。"),
            outside,
            0,
        ),
        (
            613,
            "voltage_outside_min",
            Text("Summed over all buses, last day.", "最近 24 小时各节点越限时间之和。"),
            outside,
            0,
        ),
        (
            43,
            "unit_deviation_mw",
            Text("Sum of distances between output and base point, ramps allowed for.", "各机组出力与基点（计及爬坡）偏差绝对值之和。"),
            _NORMAL,
            1,
        ),
        (
            615,
            "spinning_reserve_pct",
            Text("Of units that run, in % of load.", "在网机组可增出力占负荷的百分比。"),
            (Step(None, P2), Step(3, GREY)),
            1,
        ),
    )
    for place, (number, name, description, steps, decimals) in enumerate(rows):
        yield tile(KPI, name, number=number, at=(3 * place, _QUALITY, 3, 4), description=description, steps=steps, decimals=decimals)


BOARD: Final = Board(
    uid="gridfuse-kpis",
    level=Level.TASK,
    title=Text("Key figures", "关键指标"),
    question=Text("How well is the system doing, now and over the day?", "系统当前及全天运行得如何？"),
    panels=(*_BALANCE, *_control(), *_quality(), *_AREA_ROW, *MARKET_ROWS),
    variables=(AREA,),
    links=("gridfuse-topology", "gridfuse-telemetry"),
)
