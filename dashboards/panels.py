"""Which panels are there, and what does each show?

One registry in both languages. It gives the Grafana files (:mod:`dashboards.build`) and the list of queries that the tests run against
a real server. The page is read from the top: state of the market and its clocks, state of the grid, courses, tables, how well it
all went (:mod:`dashboards.performance`), and whether the telemetry behind it is whole (:mod:`dashboards.telemetry`).

Deliberately absent: plug-ins outside Grafana's core set, and the other boards (one per level and subject) that link to this one.
"""

from __future__ import annotations

from typing import Final

from dashboards.board import AREA, AREAS, DA, RT, Board, Level
from dashboards.elements import (
    GREY,
    P1,
    P2,
    P3,
    Panel,
    PanelKind,
    Step,
    Text,
    course,
    course_over,
    headings,
    last,
    rows,
    select,
    tile,
    title_of,
)
from dashboards.marks import HEALTH, PHASES, PRIORITIES, REGIMES, STATUSES
from dashboards.performance import PERFORMANCE
from dashboards.telemetry import TELEMETRY_HEALTH
from streams.measurements import ALERT, BINDING, CLEARING, EVENT, FUEL, KPI, KPI_AREA, LINE_LOADING, LMP, MARKET, PRICE, SOURCE

__all__ = ["BOARD", "PANELS"]


def _kpi(number: int, name: str, x: int, description: Text, steps: tuple[Step, ...] = (Step(None, GREY),), decimals: int = 1) -> Panel:
    """One key figure of the system with its recent course, in the second row."""
    return tile(KPI, name, number=number, at=(x, 4, 3, 4), description=description, steps=steps, decimals=decimals)


_STATE_ROW: Final = (
    Panel(
        number=1,
        kind=PanelKind.STAT,
        title=Text("Real-time market", "实时市场"),
        description=Text("State of the market breaker for the real-time market.", "实时市场的熔断状态。"),
        unit="text",
        at=(0, 0, 4, 4),
        queries=(last(MARKET, "phase", where=RT),),
        marks=PHASES,
    ),
    Panel(
        number=2,
        kind=PanelKind.STAT,
        title=Text("Day-ahead market", "日前市场"),
        description=Text("State of the market breaker for the day-ahead market.", "日前市场的熔断状态。"),
        unit="text",
        at=(4, 0, 3, 4),
        queries=(last(MARKET, "phase", where=DA),),
        marks=PHASES,
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
        at=(7, 0, 5, 4),
        queries=(last(MARKET, "outage_s", where=RT, over=60.0),),
        decimals=0,
        steps=(Step(None, GREY), Step(15, P3), Step(60, P2), Step(105, P1)),
        limits=(0, 120),
    ),
    Panel(
        number=4,
        kind=PanelKind.STAT,
        title=title_of(MARKET.field("headroom_s")),
        description=Text(
            "Time until the breaker's condition is met, if no valid result comes.", "若一直无有效结果，距熔断条件成立的时间。"
        ),
        unit="clock",
        at=(12, 0, 3, 4),
        queries=(last(MARKET, "headroom_s", where=RT),),
        steps=(Step(None, P1), Step(901, P2), Step(3_601, P3), Step(6_301, GREY)),
    ),
    Panel(
        number=5,
        kind=PanelKind.STAT,
        title=title_of(MARKET.field("price_cny_per_mwh")),
        description=Text("Price in force for the running real-time interval.", "当前实时时段的执行价格。"),
        unit="元/MWh",
        at=(15, 0, 3, 4),
        queries=(last(MARKET, "price_cny_per_mwh", where=RT),),
        decimals=2,
    ),
    Panel(
        number=6,
        kind=PanelKind.STAT,
        title=title_of(MARKET.field("regime")),
        description=Text("Which rule puts the price in force: the market, or a replacement.", "执行价格所依据的规则：市场出清或替代规则。"),
        unit="text",
        at=(18, 0, 3, 4),
        queries=(last(MARKET, "regime", where=RT),),
        marks=REGIMES,
    ),
    Panel(
        number=30,
        kind=PanelKind.STAT,
        title=Text("Data as of", "数据时间"),
        description=Text(
            "When the state on the left was last written. If this grows, nothing on this page is live.",
            "左侧状态最近一次写入的时间。若持续增大，则本页数据均非实时。",
        ),
        unit="age",
        at=(21, 0, 3, 4),
        queries=(last(MARKET, "outage_s", where=RT),),
    ),
)

_FIGURES_ROW: Final = (
    _kpi(
        7,
        "frequency_hz",
        0,
        Text("Coloured outside 50 ± 0.2 Hz, red outside ± 0.5 Hz.", "超出 50±0.2 Hz 着色，超出 ±0.5 Hz 为红色。"),
        (Step(None, P1), Step(49.5, P2), Step(49.8, GREY), Step(50.2, P2), Step(50.5, P1)),
        decimals=3,
    ),
    _kpi(8, "load_mw", 3, Text("Sum of all metered loads.", "全部计量负荷之和。"), decimals=0),
    _kpi(9, "generation_mw", 6, Text("Sum of all unit outputs.", "全部机组出力之和。"), decimals=0),
    _kpi(
        10,
        "reserve_margin_pct",
        9,
        Text("What committed units could still give, in % of load; red below zero.", "在运机组尚可增加的出力占负荷的百分比，负值为红色。"),
        (Step(None, P1), Step(0, GREY)),
    ),
    _kpi(11, "renewable_share_pct", 12, Text("Output of renewables in % of load.", "新能源出力占负荷的百分比。")),
    _kpi(
        12,
        "telemetry_availability_pct",
        15,
        Text(
            "Points of good quality; below 90 % nothing trips by itself on topology.", "质量合格测点占比；低于 90% 时拓扑触发不自动熔断。"
        ),
        (Step(None, P2), Step(90, GREY)),
    ),
    _kpi(13, "telemetry_freshness_s", 18, Text("Age of telemetry, 95th percentile.", "遥测时延的 95 分位。")),
    Panel(
        number=14,
        kind=PanelKind.STAT,
        title=title_of(KPI.field("lines_open")),
        description=Text("Branches out of service by their switch positions.", "按开关位置判定的停运支路数。"),
        unit="",
        at=(21, 4, 3, 4),
        queries=(last(KPI, "lines_open"),),
        steps=(Step(None, GREY), Step(1, P3)),
    ),
)

_COURSES: Final = (
    Panel(
        number=15,
        kind=PanelKind.STATE_TIMELINE,
        title=Text("Market state", "市场状态"),
        description=Text("State of both segments over time.", "两个市场的状态时间线。"),
        unit="text",
        at=(0, 8, 12, 6),
        queries=(course(MARKET, "phase", how="last", by="segment"),),
        marks=PHASES,
    ),
    Panel(
        number=16,
        kind=PanelKind.STATE_TIMELINE,
        title=Text("Clearing status", "出清状态"),
        description=Text("How each interval was cleared.", "各时段的出清状态。"),
        unit="text",
        at=(12, 8, 12, 6),
        queries=(course(CLEARING, "status", how="last", by="segment"),),
        marks=STATUSES,
    ),
    Panel(
        number=17,
        kind=PanelKind.TIME_SERIES,
        title=Text("Uniform price and price in force", "统一结算点电价与执行价格"),
        description=Text(
            "What each interval cleared at, and what is paid. They differ while a replacement rule is in force.",
            "各时段出清价格与执行价格；替代规则生效期间两者不同。",
        ),
        unit="元/MWh",
        at=(0, 14, 12, 8),
        queries=(
            course(
                CLEARING, "uniform_price_cny_per_mwh", how="last", where=RT, label=title_of(CLEARING.field("uniform_price_cny_per_mwh"))
            ),
            course(PRICE, "price_cny_per_mwh", how="last", where=RT, label=title_of(PRICE.field("price_cny_per_mwh"))),
        ),
        decimals=2,
        stepped=True,
    ),
    Panel(
        number=18,
        kind=PanelKind.TIME_SERIES,
        title=Text("LMP: highest, mean, lowest", "节点电价：最高、平均、最低"),
        description=Text("Over all live buses; apart where a limit binds.", "全部带电节点；有约束起作用时彼此分开。"),
        unit="元/MWh",
        at=(12, 14, 12, 8),
        queries=(
            course_over(LMP, "price_cny_per_mwh", "bus", how="max", where=RT, label=Text("Highest", "最高")),
            course_over(LMP, "price_cny_per_mwh", "bus", how="mean", where=RT, label=Text("Mean", "平均")),
            course_over(LMP, "price_cny_per_mwh", "bus", how="min", where=RT, label=Text("Lowest", "最低")),
        ),
        decimals=2,
        stepped=True,
    ),
    Panel(
        number=19,
        kind=PanelKind.TIME_SERIES,
        title=Text("Load and generation", "负荷与发电"),
        description=Text("System totals, and the load that was foreseen the day before.", "系统总量及日前负荷预测。"),
        unit="MW",
        at=(0, 22, 8, 8),
        queries=(
            course(KPI, "load_mw", label=title_of(KPI.field("load_mw"))),
            course(KPI, "generation_mw", label=title_of(KPI.field("generation_mw"))),
            course(KPI, "load_forecast_mw", label=title_of(KPI.field("load_forecast_mw"))),
        ),
    ),
    Panel(
        number=20,
        kind=PanelKind.TIME_SERIES,
        title=Text("Frequency by area", "各区域频率"),
        description=Text("As metered in each area.", "各区域实测频率。"),
        unit="Hz",
        at=(8, 22, 8, 8),
        queries=(course(KPI_AREA, "frequency_hz", where=AREAS, by="area"),),
        decimals=3,
    ),
    Panel(
        number=21,
        kind=PanelKind.TIME_SERIES,
        title=title_of(FUEL),
        description=Text("Output of each class of units, stacked.", "各类机组出力，堆叠。"),
        unit="MW",
        at=(16, 22, 8, 8),
        queries=(course(FUEL, "generation_mw", by="fuel"),),
        stacked=True,
    ),
    Panel(
        number=22,
        kind=PanelKind.TIME_SERIES,
        title=Text("Area control error", "区域控制偏差"),
        description=Text("Positive when the area over-generates.", "正值表示该区域多发。"),
        unit="MW",
        at=(0, 30, 8, 8),
        queries=(course(KPI_AREA, "ace_mw", where=AREAS, by="area"),),
    ),
    Panel(
        number=23,
        kind=PanelKind.TIME_SERIES,
        title=title_of(CLEARING.field("margin_s")),
        description=Text(
            "How long before the start of its interval a run completed; below zero it was late.", "出清完成早于时段开始的时间，负值为迟到。"
        ),
        unit="s",
        at=(8, 30, 8, 8),
        queries=(course(CLEARING, "margin_s", how="min", by="segment"),),
        steps=(Step(None, P1), Step(0, GREY)),
    ),
    Panel(
        number=24,
        kind=PanelKind.TIME_SERIES,
        title=Text("Congestion rent", "阻塞盈余"),
        description=Text("Paid by loads beyond what generators receive, per hour.", "用户支付与发电收入之差，每小时。"),
        unit="元/h",
        at=(16, 30, 8, 8),
        queries=(course(KPI, "congestion_rent_cny_per_h", label=title_of(KPI.field("congestion_rent_cny_per_h"))),),
        decimals=0,
    ),
)

_TABLES: Final = (
    Panel(
        number=25,
        kind=PanelKind.TABLE,
        title=Text("Highest branch loadings", "支路最高负载率"),
        description=Text(
            "The ten highest in the time shown, in % of continuous rating.", "所示时间内负载率最高的十条支路，占持续额定值的百分比。"
        ),
        unit="%",
        at=(0, 38, 6, 9),
        queries=(select('top("loading_pct", "branch", 10)', LINE_LOADING),),
        decimals=1,
        steps=(Step(None, GREY), Step(100, P1)),
        coloured=("top",),
        columns=headings(LINE_LOADING, "branch") | {"top": title_of(LINE_LOADING.field("loading_pct"))},
    ),
    Panel(
        number=26,
        kind=PanelKind.TABLE,
        title=Text("Binding limits", "起作用约束"),
        description=Text("Limits that shaped the prices, newest first.", "影响价格的约束，最新在前。"),
        unit="",
        at=(6, 38, 10, 9),
        queries=(rows(BINDING, "branch", "outage", "flow_mw", "limit_mw", "shadow_price_cny_per_mwh"),),
        decimals=1,
        columns=headings(BINDING, "branch", "outage", "flow_mw", "limit_mw", "shadow_price_cny_per_mwh"),
    ),
    Panel(
        number=27,
        kind=PanelKind.TABLE,
        title=title_of(SOURCE),
        description=Text(
            "Newest state of every device, the age of its newest value, and the 95th percentile over its points.",
            "各数据源的最新状态、最新数据时延及测点时延的 95 分位。",
        ),
        unit="",
        at=(16, 38, 8, 9),
        queries=(select('last("state") AS "state", "age_s", "age_p95_s", "good", "points"', SOURCE, then='GROUP BY "area", "dev"'),),
        decimals=1,
        marks=HEALTH,
        coloured=("state",),
        columns=headings(SOURCE, "area", "dev", "state", "age_s", "age_p95_s", "good", "points"),
    ),
    Panel(
        number=28,
        kind=PanelKind.TABLE,
        title=title_of(EVENT),
        description=Text(
            "Every decision of the breaker, newest first, with its number in the audit chain.", "熔断器的每项决策，最新在前，附审计链序号。"
        ),
        unit="",
        at=(0, 47, 14, 10),
        queries=(rows(EVENT, "seq", "segment", "kind", "text_en", "text_zh"),),
        columns=headings(EVENT, "seq", "segment", "kind", "text_en", "text_zh"),
    ),
    Panel(
        number=29,
        kind=PanelKind.TABLE,
        title=title_of(ALERT),
        description=Text("What was told to the people on call, newest first.", "发给值班人员的告警，最新在前。"),
        unit="",
        at=(14, 47, 10, 10),
        queries=(rows(ALERT, "priority", "state", "text_en", "text_zh"),),
        marks=PRIORITIES,
        coloured=("priority",),
        columns=headings(ALERT, "priority", "state", "text_en", "text_zh"),
    ),
)

PANELS: Final = (*_STATE_ROW, *_FIGURES_ROW, *_COURSES, *_TABLES, *PERFORMANCE, *TELEMETRY_HEALTH)
"""The overview: market, breaker and grid on one page, the most urgent at the top."""

BOARD: Final = Board(
    uid="gridfuse-overview",
    level=Level.TASK,
    title=Text("Market, breaker and grid", "市场、熔断与电网总览"),
    question=Text("How are market, breaker and grid?", "市场、熔断器与电网状态如何？"),
    panels=PANELS,
    variables=(AREA,),
)
