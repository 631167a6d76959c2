"""Breaker and incident (L2): how long until what, on what evidence, and who has to do what by when?

The clocks of the articles stand at the top, each against its limit: 120 minutes without a result, 48 hours to explain a trip, 72 hours
in the breaker, 7 days of suspension. Below them the states with their causes, what was found, the duties that are open, what was
announced, and the record of every decision.
"""

from __future__ import annotations

from typing import Final

from dashboards.board import DA, RT, Board, Level
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
    headings,
    last,
    open_now,
    rows,
    title_of,
)
from dashboards.marks import CASES, PHASES, PRIORITIES, REGIMES, STATUSES
from streams.measurements import ALERT, ANNOUNCEMENT, CASE, CLEARING, DUTY, EVENT, FINDING, MARKET

__all__ = ["BOARD"]

_ANY: Final = (Step(None, GREY), Step(1, P3))
_ANY_IS_URGENT: Final = (Step(None, GREY), Step(1, P1))
_HOUR_S: Final = 3_600.0
_DAY_S: Final = 86_400.0


def _countdown(number: int, at: tuple[int, int, int, int], kind: str, title: Text, description: Text) -> Panel:
    """Count down to the end of a duty's time: yellow below half a day, orange below three hours, red when it is over."""
    return Panel(
        number=number,
        kind=PanelKind.STAT,
        title=title,
        description=description,
        unit="clock",
        at=at,
        queries=(open_now(DUTY, "left_s", by=("segment",), where=f"\"duty\" = '{kind}'", what='min("left_s")'),),
        steps=(Step(None, P1), Step(0, P2), Step(3 * _HOUR_S, P3), Step(12 * _HOUR_S, GREY)),
    )


_STATES: Final = (
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
        at=(4, 0, 4, 4),
        queries=(last(MARKET, "phase", where=DA),),
        marks=PHASES,
    ),
    Panel(
        number=6,
        kind=PanelKind.STAT,
        title=Text("Rule behind the price", "价格规则"),
        description=Text("Which rule puts the price in force: the market, or a replacement.", "执行价格所依据的规则：市场出清或替代规则。"),
        unit="text",
        at=(8, 0, 4, 4),
        queries=(last(MARKET, "regime", where=RT),),
        marks=REGIMES,
        drill=Drill("gridfuse-prices"),
    ),
    Panel(
        number=301,
        kind=PanelKind.STAT,
        title=Text("Open: duties, overdue, approvals, cases", "待办：义务、逾期、待批、案件"),
        description=Text(
            "Duties and tasks that are open, those that are overdue, measures that wait for approval, and anomaly cases.",
            "未完成义务数、逾期数、待批措施数与未结案件数。",
        ),
        unit="",
        at=(12, 0, 6, 4),
        queries=(
            last(MARKET, "duties_open", where=RT, label=Text("Duties", "义务")),
            last(MARKET, "duties_overdue", where=RT, label=Text("Overdue", "逾期"), steps=_ANY_IS_URGENT),
            last(MARKET, "approvals_open", where=RT, label=Text("Approvals", "待批"), steps=_ANY),
            last(MARKET, "cases_open", where=RT, label=Text("Cases", "案件"), steps=_ANY),
        ),
        decimals=0,
        drill=Drill("gridfuse-alerts"),
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

_CLOCKS: Final = (
    Panel(
        number=3,
        kind=PanelKind.BAR_GAUGE,
        title=Text("Clearing out, of 120 min", "出清中断时长（限值 120 分钟）"),
        description=Text(
            "Minutes without a valid real-time result. Yellow from 15, orange from 60, red from 105; at 120 the breaker trips.",
            "实时出清无有效结果的分钟数。15 分钟起黄色，60 分钟起橙色，105 分钟起红色，达到 120 分钟熔断。",
        ),
        unit="min",
        at=(0, 4, 5, 4),
        queries=(last(MARKET, "outage_s", where=RT, over=60.0),),
        decimals=0,
        steps=(Step(None, GREY), Step(15, P3), Step(60, P2), Step(105, P1)),
        limits=(0, 120),
    ),
    Panel(
        number=302,
        kind=PanelKind.BAR_GAUGE,
        title=Text("Real-time breaker, of 72 h", "实时熔断时长（限值 72 小时）"),
        description=Text(
            "Hours since the trip; more than 72 is overdue (Art. 25). A trip soon after a recovery counts on; the countdown beside knows.",
            "自熔断起的小时数，超过 72 小时为超期（第二十五条）。恢复后短期内再次熔断的连续计时以右侧倒计时为准。",
        ),
        unit="h",
        at=(5, 4, 5, 4),
        queries=(last(MARKET, "breaker_s", where=RT, over=_HOUR_S),),
        decimals=1,
        steps=(Step(None, GREY), Step(0.001, P3), Step(48, P2), Step(66, P1)),
        limits=(0, 72),
    ),
    Panel(
        number=311,
        kind=PanelKind.BAR_GAUGE,
        title=Text("Suspended, of 7 days", "中止时长（限值 7 日）"),
        description=Text(
            "Each market; after more than seven civil days, the first not counted, Art. 28 can apply.",
            "各市场；超过 7 个自然日（首日不计）后可适用第二十八条。",
        ),
        unit="d",
        at=(10, 4, 5, 4),
        queries=(
            last(MARKET, "suspended_s", where=RT, over=_DAY_S, label=SEGMENTS["RT"]),
            last(MARKET, "suspended_s", where=DA, over=_DAY_S, label=SEGMENTS["DA"]),
        ),
        decimals=1,
        steps=(Step(None, GREY), Step(0.001, P3), Step(5, P2), Step(7, P1)),
        limits=(0, 8),
    ),
    Panel(
        number=4,
        kind=PanelKind.STAT,
        title=Text("Left of 120 min", "距 120 分钟熔断"),
        description=Text(
            "Time until the breaker's condition is met, if no valid result comes.", "若一直无有效结果，距熔断条件成立的时间。"
        ),
        unit="clock",
        at=(15, 4, 3, 4),
        queries=(last(MARKET, "headroom_s", where=RT),),
        steps=(Step(None, P1), Step(901, P2), Step(3_601, P3), Step(6_301, GREY)),
    ),
    _countdown(
        303,
        (18, 4, 3, 4),
        "explain",
        Text("Left of 48 h to explain", "距 48 小时说明期限"),
        Text(
            "Until the authorities and the participants must have the explanation of the trip (Art. 24); – while none is owed.",
            "距向主管部门、监管机构及市场成员作出说明的期限（第二十四条）；无此义务时为 –。",
        ),
    ),
    _countdown(
        304,
        (21, 4, 3, 4),
        "limit",
        Text("Left of 72 h", "距 72 小时限期"),
        Text(
            "Until the breaker must have ended (Art. 25); – while nothing is tripped.", "距熔断必须结束的期限（第二十五条）；未熔断时为 –。"
        ),
    ),
    Panel(
        number=305,
        kind=PanelKind.STAT,
        title=Text("Valid shadow results in a row", "连续试算成功数"),
        description=Text(
            "Real-time and day-ahead; after four (one for the day-ahead market) recovery is proposed.",
            "实时与日前；连续 4 次（日前 1 次）后建议恢复。",
        ),
        unit="",
        at=(18, 0, 3, 4),
        queries=(
            last(MARKET, "shadow_ok", where=RT, label=SEGMENTS["RT"]),
            last(MARKET, "shadow_ok", where=DA, label=SEGMENTS["DA"]),
        ),
        decimals=0,
    ),
)

_COURSE: Final = (
    Panel(
        number=15,
        kind=PanelKind.STATE_TIMELINE,
        title=Text("States and what they rest on", "状态及其依据"),
        description=Text(
            "State of both markets, what each rests on, and the rule behind the price in force.",
            "两个市场的状态、各自依据，以及执行价格规则。",
        ),
        unit="text",
        at=(0, 8, 14, 8),
        queries=(
            course(MARKET, "phase", how="last", where=RT, label=SEGMENTS["RT"]),
            course(MARKET, "basis", how="last", where=RT, label=Text("Real-time: basis", "实时：依据")),
            course(MARKET, "phase", how="last", where=DA, label=SEGMENTS["DA"]),
            course(MARKET, "basis", how="last", where=DA, label=Text("Day-ahead: basis", "日前：依据")),
            course(MARKET, "regime", how="last", where=RT, label=Text("Price rule", "价格规则")),
            course(MARKET, "flags", how="last", where=RT, label=Text("Flags", "标志")),
        ),
        marks=(*PHASES, *REGIMES, Mark("", Text("○ none", "○ 无"), GREY)),
    ),
    Panel(
        number=16,
        kind=PanelKind.STATE_TIMELINE,
        title=Text("Clearing status", "出清状态"),
        description=Text("How each interval was cleared.", "各时段的出清状态。"),
        unit="text",
        at=(14, 8, 10, 4),
        queries=(course(CLEARING, "status", how="last", by="segment"),),
        marks=STATUSES,
        drill=Drill("gridfuse-market"),
    ),
    Panel(
        number=306,
        kind=PanelKind.TIME_SERIES,
        title=title_of(MARKET.field("outage_s")),
        description=Text(
            "Minutes without a valid real-time result, against the limit of 120.", "实时出清无有效结果的分钟数，限值为 120 分钟。"
        ),
        unit="min",
        at=(14, 12, 10, 4),
        queries=(course(MARKET, "outage_s", how="max", where=RT, over=60.0, label=SEGMENTS["RT"]),),
        decimals=0,
        steps=(Step(None, GREY), Step(120, P1)),
    ),
)

_WORK: Final = (
    Panel(
        number=307,
        kind=PanelKind.TABLE,
        title=Text("Duties that are open, the most urgent of each kind", "未完成的义务（各类最紧急一项）"),
        description=Text(
            "At the end of the time shown; tasks without a clock have no time left. Yellow below 12 h, orange below 3 h, red when overdue.",
            "所示时间末的状态；无时限的任务不显示剩余时间。不足 12 小时黄色，不足 3 小时橙色，逾期红色。",
        ),
        unit="",
        at=(0, 16, 13, 9),
        queries=(open_now(DUTY, "left_s", "title_en", "title_zh", "owner", "due", "missing", "case", by=("duty", "segment")),),
        steps=(Step(None, P1), Step(0, P2), Step(3 * _HOUR_S, P3), Step(12 * _HOUR_S, GREY)),
        coloured=("left_s",),
        lowest="left_s",
        columns=headings(DUTY, "duty", "segment", "left_s", "title_en", "title_zh", "owner", "due", "missing", "case"),
        shown_as={"left_s": "clock"},
    ),
    Panel(
        number=308,
        kind=PanelKind.TABLE,
        title=Text("Findings and their evidence", "研判结果与证据"),
        description=Text(
            "What the detectors found, newest first: each piece of evidence, and when its condition was met.",
            "各检测器的研判结果，最新在前：逐条证据及条件成立时间。",
        ),
        unit="",
        at=(13, 16, 11, 9),
        queries=(rows(FINDING, "segment", "kind", "text_en", "text_zh", "evidence", "met_at"),),
        columns=headings(FINDING, "segment", "kind", "text_en", "text_zh", "evidence", "met_at"),
        drill=Drill("gridfuse-topology"),
    ),
    Panel(
        number=309,
        kind=PanelKind.TABLE,
        title=Text("Announcements in force", "生效中的公告"),
        description=Text(
            "Of each kind and market the newest, until another takes its place or it ends.", "各类、各市场的最新公告，直至被替代或终止。"
        ),
        unit="",
        at=(0, 25, 13, 8),
        queries=(open_now(ANNOUNCEMENT, "number", "subject", "text_en", "text_zh", "supersedes", by=("kind", "segment"), flag="active"),),
        columns=headings(ANNOUNCEMENT, "kind", "segment", "number", "subject", "text_en", "text_zh", "supersedes"),
    ),
    Panel(
        number=310,
        kind=PanelKind.TABLE,
        title=Text("Anomaly cases", "异常案件"),
        description=Text("Every entry, newest first.", "全部记录，最新在前。"),
        unit="",
        at=(13, 25, 11, 8),
        queries=(rows(CASE, "segment", "state", "number", "class", "cause", "text_en", "text_zh"),),
        marks=CASES,
        coloured=("state",),
        columns=headings(CASE, "segment", "state", "number", "class", "cause", "text_en", "text_zh"),
    ),
)

_RECORD: Final = (
    Panel(
        number=28,
        kind=PanelKind.TABLE,
        title=title_of(EVENT),
        description=Text(
            "Every decision of the breaker, newest first, with its number and its hash in the audit chain.",
            "熔断器的每项决策，最新在前，附审计链序号与哈希。",
        ),
        unit="",
        at=(0, 33, 14, 10),
        queries=(rows(EVENT, "seq", "segment", "kind", "text_en", "text_zh", "rule_set", "hash", most=100),),
        columns=headings(EVENT, "seq", "segment", "kind", "text_en", "text_zh", "rule_set", "hash"),
    ),
    Panel(
        number=29,
        kind=PanelKind.TABLE,
        title=title_of(ALERT),
        description=Text("What was told to the people on call, newest first.", "发给值班人员的告警，最新在前。"),
        unit="",
        at=(14, 33, 10, 10),
        queries=(rows(ALERT, "priority", "state", "text_en", "text_zh"),),
        marks=PRIORITIES,
        coloured=("priority",),
        columns=headings(ALERT, "priority", "state", "text_en", "text_zh"),
        drill=Drill("gridfuse-alerts"),
    ),
)

BOARD: Final = Board(
    uid="gridfuse-breaker",
    level=Level.TASK,
    title=Text("Breaker and incident", "熔断与处置"),
    question=Text(
        "How long until what, on what evidence, and who has to do what by when?", "各时限还剩多久，依据何在，谁须在何时前做什么？"
    ),
    panels=(*_STATES, *_CLOCKS, *_COURSE, *_WORK, *_RECORD),
    links=("gridfuse-wall", "gridfuse-market", "gridfuse-prices", "gridfuse-topology", "gridfuse-alerts"),
    shown="now-12h",
)
