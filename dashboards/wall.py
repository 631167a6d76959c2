"""The wall (L1): is anything wrong, and where? Twelve panels on one screen, read from across the room, touched by nobody.

What acts within minutes stands at the top: the state of both markets and how long clearing has been out. Below it the day's course, the
demand, the state of the grid, and what people were told. Every panel leads to the board that says more.
"""

from __future__ import annotations

from typing import Final

from dashboards.board import DA, INTERVAL, RT, Board, Level
from dashboards.codes import SEGMENTS
from dashboards.elements import (
    GREY,
    P1,
    P2,
    P3,
    Drill,
    Panel,
    PanelKind,
    Step,
    Text,
    course,
    course_over,
    headings,
    last,
    rows,
    title_of,
)
from dashboards.marks import PHASES, PRIORITIES, REGIMES, STATUSES
from streams.measurements import ALERT, CLEARING, KPI, LINE_LOADING, LMP, MARKET, TOPOLOGY

__all__ = ["BOARD"]

_ABNORMAL_FROM_ONE: Final = (Step(None, GREY), Step(1, P3))

_STATE: Final = (
    Panel(
        number=1,
        kind=PanelKind.STAT,
        title=Text("Real-time market", "实时市场"),
        description=Text("State of the market breaker for the real-time market.", "实时市场的熔断状态。"),
        unit="text",
        at=(0, 0, 5, 6),
        queries=(last(MARKET, "phase", where=RT),),
        marks=PHASES,
        drill=Drill("gridfuse-breaker"),
    ),
    Panel(
        number=2,
        kind=PanelKind.STAT,
        title=Text("Day-ahead market", "日前市场"),
        description=Text("State of the market breaker for the day-ahead market.", "日前市场的熔断状态。"),
        unit="text",
        at=(5, 0, 4, 6),
        queries=(last(MARKET, "phase", where=DA),),
        marks=PHASES,
        drill=Drill("gridfuse-breaker"),
    ),
    Panel(
        number=3,
        kind=PanelKind.BAR_GAUGE,
        title=Text("Clearing out, of 120 min", "出清中断时长（限值 120 分钟）"),
        description=Text(
            "Minutes without a valid real-time result. Yellow from 15, orange from 60, red from 105; at 120 the breaker trips.",
            "实时出清无有效结果的分钟数。15 分钟起黄色，60 分钟起橙色，105 分钟起红色，达到 120 分钟熔断。",
        ),
        unit="min",
        at=(9, 0, 7, 6),
        queries=(last(MARKET, "outage_s", where=RT, over=60.0),),
        decimals=0,
        steps=(Step(None, GREY), Step(15, P3), Step(60, P2), Step(105, P1)),
        limits=(0, 120),
        drill=Drill("gridfuse-breaker"),
    ),
    Panel(
        number=5,
        kind=PanelKind.STAT,
        title=Text("Price in force, and highest and lowest bus", "执行价格及节点电价高低"),
        description=Text(
            "Paid in the running interval; and the dearest and the cheapest bus of the newest result, – where there was none for an hour.",
            "当前时段执行价格；以及最新出清结果的最高与最低节点电价，一小时内无结果时为 –。",
        ),
        unit="元/MWh",
        at=(16, 0, 5, 6),
        queries=(
            course(MARKET, "price_cny_per_mwh", how="last", where=RT, label=title_of(MARKET.field("price_cny_per_mwh"))),
            course_over(LMP, "price_cny_per_mwh", "bus", how="max", where=RT, label=Text("Highest bus", "最高节点")),
            course_over(LMP, "price_cny_per_mwh", "bus", how="min", where=RT, label=Text("Lowest bus", "最低节点")),
        ),
        decimals=1,
        span="1h",
        least_step=INTERVAL,
        drill=Drill("gridfuse-prices"),
    ),
    Panel(
        number=30,
        kind=PanelKind.STAT,
        title=Text("Data as of", "数据时间"),
        description=Text(
            "When the market's state was last written. If this grows, nothing on this page is live.",
            "市场状态最近一次写入的时间。若持续增大，则本页数据均非实时。",
        ),
        unit="age",
        at=(21, 0, 3, 6),
        queries=(last(MARKET, "outage_s", where=RT),),
    ),
)

_DAY: Final = (
    Panel(
        number=15,
        kind=PanelKind.STATE_TIMELINE,
        title=Text("The day: markets, clearing, price rule", "当日市场、出清与价格规则"),
        description=Text(
            "State of both markets, how each real-time interval was cleared, and the rule behind its price.",
            "两个市场的状态、各实时时段的出清状态及其执行价格的规则。",
        ),
        unit="text",
        at=(0, 6, 16, 7),
        queries=(
            course(MARKET, "phase", how="last", where=RT, label=SEGMENTS["RT"]),
            course(MARKET, "phase", how="last", where=DA, label=SEGMENTS["DA"]),
            course(CLEARING, "status", how="last", where=RT, label=Text("Clearing", "出清")),
            course(MARKET, "regime", how="last", where=RT, label=Text("Price rule", "价格规则")),
        ),
        marks=(*PHASES, *STATUSES, *REGIMES),
        drill=Drill("gridfuse-market"),
    ),
    Panel(
        number=7,
        kind=PanelKind.STAT,
        title=title_of(KPI.field("frequency_hz")),
        description=Text("Coloured outside 50 ± 0.2 Hz, red outside ± 0.5 Hz.", "超出 50±0.2 Hz 着色，超出 ±0.5 Hz 为红色。"),
        unit="Hz",
        at=(16, 6, 4, 7),
        queries=(course(KPI, "frequency_hz", how="last"),),
        decimals=3,
        steps=(Step(None, P1), Step(49.5, P2), Step(49.8, GREY), Step(50.2, P2), Step(50.5, P1)),
        sparkline=True,
        drill=Drill("gridfuse-kpis"),
    ),
    Panel(
        number=10,
        kind=PanelKind.STAT,
        title=title_of(KPI.field("reserve_margin_pct")),
        description=Text(
            "What committed units could still give, in % of load: in all, and within 10 minutes; red below zero.",
            "在运机组尚可增加的出力占负荷的百分比：全部，以及 10 分钟内可达部分；负值为红色。",
        ),
        unit="%",
        at=(20, 6, 4, 7),
        queries=(
            course(KPI, "reserve_margin_pct", how="last", label=Text("In all", "全部")),
            course(KPI, "reserve_10min_pct", how="last", label=Text("Within 10 min", "10 分钟内")),
        ),
        decimals=1,
        steps=(Step(None, P1), Step(0, GREY)),
        sparkline=True,
        drill=Drill("gridfuse-kpis"),
    ),
)

_GRID: Final = (
    Panel(
        number=19,
        kind=PanelKind.TIME_SERIES,
        title=Text("Demand, forecast and generation", "负荷、预测与发电"),
        description=Text("System totals, and the load that was foreseen the day before.", "系统总量及日前负荷预测。"),
        unit="MW",
        at=(0, 13, 16, 8),
        queries=(
            course(KPI, "load_mw", label=title_of(KPI.field("load_mw"))),
            course(KPI, "generation_mw", label=title_of(KPI.field("generation_mw"))),
            course(KPI, "load_forecast_mw", label=title_of(KPI.field("load_forecast_mw"))),
        ),
        decimals=0,
        drill=Drill("gridfuse-kpis"),
    ),
    Panel(
        number=101,
        kind=PanelKind.STAT,
        title=Text("Grid", "电网"),
        description=Text(
            "Branches open, buses dead and islands by switch positions, and the highest loading; red from 100 % of the continuous rating.",
            "按开关位置判定的断开支路、失电节点与电气岛数，以及最高负载率；达到持续额定值的 100% 为红色。",
        ),
        unit="",
        at=(16, 13, 8, 8),
        queries=(
            last(TOPOLOGY, "branches_open", label=title_of(TOPOLOGY.field("branches_open")), steps=_ABNORMAL_FROM_ONE),
            last(TOPOLOGY, "buses_dead", label=title_of(TOPOLOGY.field("buses_dead")), steps=(Step(None, GREY), Step(1, P1))),
            last(TOPOLOGY, "islands", label=title_of(TOPOLOGY.field("islands")), steps=(Step(None, GREY), Step(2, P2))),
            course(
                LINE_LOADING,
                "loading_pct",
                how="max",
                label=Text("Highest loading", "最高负载率"),
                unit="%",
                steps=(Step(None, GREY), Step(90, P3), Step(100, P1)),
            ),
        ),
        decimals=0,
        drill=Drill("gridfuse-topology"),
    ),
)

_PEOPLE: Final = (
    Panel(
        number=29,
        kind=PanelKind.TABLE,
        title=Text("Told to the people on call: first and second priority", "一级与二级告警"),
        description=Text("Raised and cleared, newest first; at most eight.", "发出与解除，最新在前，最多八条。"),
        unit="",
        at=(0, 21, 16, 6),
        queries=(rows(ALERT, "priority", "state", "text_en", "text_zh", most=8, where="(\"priority\" = 'P1' OR \"priority\" = 'P2')"),),
        marks=PRIORITIES,
        coloured=("priority",),
        columns=headings(ALERT, "priority", "state", "text_en", "text_zh"),
        drill=Drill("gridfuse-alerts"),
    ),
    Panel(
        number=102,
        kind=PanelKind.STAT,
        title=Text("Behind it: telemetry, duties", "遥测与义务"),
        description=Text(
            "Points of good quality (below 90 % topology trips nothing by itself), the age of 95 % of them, and duties that are overdue.",
            "质量合格测点占比（低于 90% 时拓扑触发不自动熔断）、测点时延 95 分位，以及逾期义务数。",
        ),
        unit="",
        at=(16, 21, 8, 6),
        queries=(
            last(
                KPI,
                "telemetry_availability_pct",
                label=Text("Good points", "合格测点"),
                unit="%",
                steps=(Step(None, P2), Step(90, GREY)),
            ),
            last(KPI, "telemetry_freshness_s", label=Text("Age, p95", "时延 P95"), unit="s", steps=(Step(None, GREY), Step(30, P3))),
            last(MARKET, "duties_overdue", where=RT, label=Text("Overdue", "逾期"), steps=(Step(None, GREY), Step(1, P1))),
        ),
        drill=Drill("gridfuse-telemetry"),
    ),
)

BOARD: Final = Board(
    uid="gridfuse-wall",
    level=Level.WALL,
    title=Text("Wall", "运行大屏"),
    question=Text("Is anything wrong with market, grid or data, and where?", "市场、电网与数据是否异常，异常在何处？"),
    panels=(*_STATE, *_DAY, *_GRID, *_PEOPLE),
    links=("gridfuse-breaker", "gridfuse-market", "gridfuse-topology", "gridfuse-kpis"),
    shown="now-24h",
)
