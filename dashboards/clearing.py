"""Market and clearing (L2): is every interval cleared in time, proved, and by which limits is its price shaped?

Tiles tell of the newest run, courses of the runs of the time shown, tables name what was wrong: intervals without a result, results that
were replaced, limits that bind and what they cost.
"""

from __future__ import annotations

from typing import Final

from dashboards.board import AREA, AREAS, DA, INTERVAL, RT, Board, Level
from dashboards.codes import SEGMENTS
from dashboards.elements import (
    GREY,
    P1,
    P2,
    P3,
    Drill,
    Mark,
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
    title_of,
)
from dashboards.marks import PASSED, STATUSES
from streams.measurements import BINDING, CERTIFICATE, CLEARING, KPI, LMP, MARKET, SETTLEMENT

__all__ = ["BOARD"]

_OUTLOOK: Final = (
    Mark("in_time", Text("○ in time", "○ 可按时"), GREY),
    Mark("warn", Text("△ may be late", "△ 可能迟到"), P3),
    Mark("propose", Text("◇ will be late", "◇ 将迟到"), P2),
    Mark("", Text("○ none under way", "○ 无进行中"), GREY),
)
_PARTS: Final = ("price_cny_per_mwh", "energy_cny_per_mwh", "congestion_cny_per_mwh", "loss_cny_per_mwh")
_RESIDUALS: Final = tuple(field.name for field in CERTIFICATE.fields if field.name != "passed")


def _newest(
    number: int,
    name: str,
    x: int,
    width: int,
    description: Text,
    steps: tuple[Step, ...] = (Step(None, GREY),),
    *,
    title: Text | None = None,
) -> Panel:
    """One figure of the newest real-time run."""
    column = CLEARING.field(name)
    return Panel(
        number=number,
        kind=PanelKind.STAT,
        title=title or title_of(column),
        description=description,
        unit=column.unit,
        at=(x, 0, width, 4),
        queries=(course(CLEARING, name, how="last", where=RT),),
        decimals=0 if column.unit in ("", "s") else 2,
        steps=steps,
        sparkline=True,
    )


_TILES: Final = (
    Panel(
        number=201,
        kind=PanelKind.STAT,
        title=Text("Newest real-time result", "最新实时出清"),
        description=Text("How the newest interval was cleared.", "最新时段的出清状态。"),
        unit="text",
        at=(0, 0, 4, 4),
        queries=(last(CLEARING, "status", where=RT),),
        marks=STATUSES,
        drill=Drill("gridfuse-breaker"),
    ),
    _newest(202, "uniform_price_cny_per_mwh", 4, 4, Text("Of the newest interval that was cleared.", "最近出清时段的统一结算点电价。")),
    _newest(
        203,
        "margin_s",
        8,
        3,
        Text("Before the start of its interval; below zero it was late.", "早于时段开始的时间，负值为迟到。"),
        (Step(None, P1), Step(0, GREY)),
        title=Text("Newest run: early by", "最新出清提前量"),
    ),
    Panel(
        number=204,
        kind=PanelKind.STAT,
        title=Text("Proof", "校核"),
        description=Text(
            "Whether dispatch and prices of the newest result prove each other.", "最新结果的调度与价格是否互相印证（不依赖求解器结论）。"
        ),
        unit="",
        at=(11, 0, 3, 4),
        queries=(last(CERTIFICATE, "passed", where=RT),),
        marks=PASSED,
    ),
    _newest(205, "binding", 14, 2, Text("Limits that shape the newest prices.", "影响最新价格的约束数。")),
    _newest(
        206,
        "violation_mw",
        16,
        3,
        Text("What no dispatch could keep, priced by the penalty.", "无法满足而按惩罚计价的越限总量。"),
        (Step(None, GREY), Step(0.01, P3)),
    ),
    Panel(
        number=207,
        kind=PanelKind.STAT,
        title=Text("Runs without a result", "无结果次数"),
        description=Text("Real-time runs of the time shown that gave no valid result.", "所示时间内实时出清无有效结果的次数。"),
        unit="",
        at=(19, 0, 2, 4),
        queries=(select('count("valid") - sum("valid")', CLEARING, where=RT),),
        decimals=0,
        steps=(Step(None, GREY), Step(1, P1)),
    ),
    Panel(
        number=208,
        kind=PanelKind.STAT,
        title=Text("Day-ahead run", "日前出清研判"),
        description=Text(
            "Whether the day-ahead result that is being made will be in time for its deadline.", "进行中的日前出清能否在截止时间前完成。"
        ),
        unit="text",
        at=(21, 0, 3, 4),
        queries=(last(MARKET, "outlook", where=DA),),
        marks=_OUTLOOK,
    ),
)

_RUNS: Final = (
    Panel(
        number=16,
        kind=PanelKind.STATE_TIMELINE,
        title=Text("Clearing status", "出清状态"),
        description=Text("How each interval was cleared.", "各时段的出清状态。"),
        unit="text",
        at=(0, 4, 12, 6),
        queries=(course(CLEARING, "status", how="last", by="segment"),),
        marks=STATUSES,
    ),
    Panel(
        number=209,
        kind=PanelKind.TIME_SERIES,
        title=Text("Time a real-time run takes", "实时出清用时"),
        description=Text(
            "Longest of each step: in the solver, and from frozen inputs to the result.",
            "各步最长用时：求解用时，以及由冻结输入至出结果的总用时。",
        ),
        unit="s",
        at=(12, 4, 12, 6),
        queries=tuple(course(CLEARING, name, how="max", where=RT, label=title_of(CLEARING.field(name))) for name in ("solve_s", "total_s")),
        decimals=2,
    ),
)

_PRICES: Final = (
    Panel(
        number=210,
        kind=PanelKind.TIME_SERIES,
        title=Text("Mean LMP by area", "各区域平均节点电价"),
        description=Text(
            "Over the buses of each area, each interval by its last version; apart where a limit between them binds.",
            "各区域节点的算术平均，取各时段最终版本；区域间约束起作用时彼此分开。",
        ),
        unit="元/MWh",
        at=(0, 10, 8, 8),
        queries=(course_over(LMP, "price_cny_per_mwh", "bus", how="mean", where=f"{RT} AND {AREAS}", each="area"),),
        decimals=2,
        stepped=True,
        least_step=INTERVAL,
        drill=Drill("gridfuse-prices", {"area": "area"}),
    ),
    Panel(
        number=18,
        kind=PanelKind.TIME_SERIES,
        title=Text("LMP: highest, mean, lowest", "节点电价：最高、平均、最低"),
        description=Text("Over all live buses; apart where a limit binds.", "全部带电节点；有约束起作用时彼此分开。"),
        unit="元/MWh",
        at=(8, 10, 8, 8),
        queries=tuple(
            course_over(LMP, "price_cny_per_mwh", "bus", how=how, where=RT, label=label)
            for how, label in (("max", Text("Highest", "最高")), ("mean", Text("Mean", "平均")), ("min", Text("Lowest", "最低")))
        ),
        decimals=2,
        stepped=True,
        least_step=INTERVAL,
        drill=Drill("gridfuse-prices"),
    ),
    Panel(
        number=211,
        kind=PanelKind.TIME_SERIES,
        title=Text("Parts of the mean LMP", "平均节点电价的分量"),
        description=Text(
            "Mean over all buses: the price, and the parts that add up to it. The loss part is there where clearing reckons with losses.",
            "全部节点的平均：电价及其分量，各分量之和为电价；出清计及网损时才有网损分量。",
        ),
        unit="元/MWh",
        at=(16, 10, 8, 8),
        queries=tuple(course_over(LMP, name, "bus", how="mean", where=RT, label=title_of(LMP.field(name))) for name in _PARTS),
        decimals=2,
        stepped=True,
        least_step=INTERVAL,
    ),
)

_DISPATCH: Final = (
    Panel(
        number=212,
        kind=PanelKind.TIME_SERIES,
        title=Text("Cleared energy by class", "分类型出清电量"),
        description=Text(
            "What each class of units gives in each interval as scheduled, stacked; without the load.",
            "各时段各类机组的出清电量，堆叠；不含负荷。",
        ),
        unit="MWh",
        at=(0, 18, 8, 8),
        queries=(
            course(
                SETTLEMENT,
                "energy_mwh",
                how="last",
                where=f"{RT} AND \"class\" != 'all' AND \"class\" != 'load'",
                by="class",
            ),
        ),
        decimals=1,
        stepped=True,
        stacked=True,
        least_step=INTERVAL,
    ),
    Panel(
        number=213,
        kind=PanelKind.TIME_SERIES,
        title=Text("Cost of the dispatch, and penalties", "购电成本与惩罚成本"),
        description=Text(
            "Objective of each run without penalties; a penalty says that a limit or the balance was given up.",
            "各次出清的购电成本；惩罚成本大于零表示放松了约束或功率平衡。",
        ),
        unit="元/h",
        at=(8, 18, 8, 8),
        queries=tuple(
            course(CLEARING, name, how="last", where=RT, label=title_of(CLEARING.field(name)))
            for name in ("objective_cny_per_h", "penalty_cny_per_h")
        ),
        decimals=0,
        stepped=True,
        least_step=INTERVAL,
    ),
    Panel(
        number=24,
        kind=PanelKind.TIME_SERIES,
        title=Text("Congestion rent", "阻塞盈余"),
        description=Text("Paid by loads beyond what generators receive, per hour.", "用户支付与发电收入之差，每小时。"),
        unit="元/h",
        at=(16, 18, 8, 8),
        queries=(course(KPI, "congestion_rent_cny_per_h", label=title_of(KPI.field("congestion_rent_cny_per_h"))),),
        decimals=0,
    ),
)

_LIMITS: Final = (
    Panel(
        number=26,
        kind=PanelKind.TABLE,
        title=Text("Binding limits", "起作用约束"),
        description=Text("Limits that shaped the prices, newest first.", "影响价格的约束，最新在前。"),
        unit="",
        at=(0, 26, 12, 9),
        queries=(rows(BINDING, "segment", "branch", "kind", "outage", "flow_mw", "limit_mw", "shadow_price_cny_per_mwh"),),
        decimals=1,
        columns=headings(BINDING, "segment", "branch", "kind", "outage", "flow_mw", "limit_mw", "shadow_price_cny_per_mwh"),
        drill=Drill("gridfuse-topology"),
    ),
    Panel(
        number=214,
        kind=PanelKind.TIME_SERIES,
        title=Text("Shadow prices by branch", "各支路影子价格"),
        description=Text(
            "What one more MW of the limit would save per hour; the largest of each branch, over all outages it is held for.",
            "约束放宽 1 MW 每小时可节省的成本；取各支路在所有预想故障中的最大值。",
        ),
        unit="元/MWh",
        at=(12, 26, 6, 9),
        queries=(course(BINDING, "shadow_price_cny_per_mwh", how="max", where=RT, by="branch"),),
        decimals=1,
        stepped=True,
        least_step=INTERVAL,
    ),
    Panel(
        number=23,
        kind=PanelKind.TIME_SERIES,
        title=title_of(CLEARING.field("margin_s")),
        description=Text(
            "How long before the start of its interval a run completed; below zero it was late.", "出清完成早于时段开始的时间，负值为迟到。"
        ),
        unit="s",
        at=(18, 26, 6, 9),
        queries=(course(CLEARING, "margin_s", how="min", where=RT, label=SEGMENTS["RT"]),),
        decimals=0,
        steps=(Step(None, P1), Step(0, GREY)),
    ),
)

_WRONG: Final = (
    Panel(
        number=215,
        kind=PanelKind.TABLE,
        title=Text("Runs without a result, and why", "无结果的出清及原因"),
        description=Text("Newest first, with what is known of the failure.", "最新在前，附已知的失败原因。"),
        unit="",
        at=(0, 35, 12, 8),
        queries=(rows(CLEARING, "segment", "status", "reason", "detail", "version", where="\"status\" = 'FAILED'"),),
        columns=headings(CLEARING, "segment", "status", "reason", "detail", "version"),
        marks=STATUSES,
        coloured=("status",),
        drill=Drill("gridfuse-breaker"),
    ),
    Panel(
        number=216,
        kind=PanelKind.TABLE,
        title=Text("Intervals cleared again", "重新出清的时段"),
        description=Text(
            "Later versions of a result, newest first; the first version stays in the record.",
            "结果的后续版本，最新在前；首个版本保留备查。",
        ),
        unit="",
        at=(12, 35, 6, 8),
        queries=(rows(CLEARING, "segment", "version", "uniform_price_cny_per_mwh", where='"version" > 1'),),
        decimals=2,
        columns=headings(CLEARING, "segment", "version", "uniform_price_cny_per_mwh"),
    ),
    Panel(
        number=217,
        kind=PanelKind.STAT,
        title=Text("Without all outages secured, in the time shown", "放宽 N-1 安全约束的次数"),
        description=Text(
            "Runs that held fewer limits in order to end in time. Their results are valid and marked as degraded.",
            "为按时完成而放宽安全约束的出清次数；结果有效，标记为降级。",
        ),
        unit="",
        at=(18, 35, 6, 3),
        queries=(select('sum("relaxed")', CLEARING, where=RT),),
        decimals=0,
        steps=(Step(None, GREY), Step(1, P3)),
    ),
    Panel(
        number=218,
        kind=PanelKind.STAT,
        title=Text("Proofs that failed, in the time shown", "未通过的校核次数"),
        description=Text("Results whose residuals were beyond their tolerance; they are not used.", "残差超出容差的结果，不予采用。"),
        unit="",
        at=(18, 38, 6, 5),
        queries=(select('count("passed") - sum("passed")', CERTIFICATE, where=RT),),
        decimals=0,
        steps=(Step(None, GREY), Step(1, P1)),
    ),
    Panel(
        number=219,
        kind=PanelKind.TABLE,
        title=title_of(CERTIFICATE),
        description=Text(
            "Largest residual of each condition that a least-cost dispatch and its prices must meet, newest first; zero is perfect.",
            "最小成本调度及其价格须满足的各项条件的最大残差，最新在前；零为理想。",
        ),
        unit="",
        at=(0, 43, 24, 8),
        queries=(rows(CERTIFICATE, "segment", *_RESIDUALS, most=20),),
        decimals=6,
        columns=headings(CERTIFICATE, "segment", *_RESIDUALS),
    ),
)

BOARD: Final = Board(
    uid="gridfuse-market",
    level=Level.TASK,
    title=Text("Market and clearing", "市场与出清"),
    question=Text(
        "Is every interval cleared in time and proved, and which limits shape its price?",
        "各时段是否按时出清并通过校核，价格受哪些约束影响？",
    ),
    panels=(*_TILES, *_RUNS, *_PRICES, *_DISPATCH, *_LIMITS, *_WRONG),
    variables=(AREA,),
    links=("gridfuse-wall", "gridfuse-breaker", "gridfuse-prices", "gridfuse-topology"),
)
