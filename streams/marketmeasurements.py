"""Measurements of the market: clearing and its proof, prices, what is owed for them, the breaker, and what people have to do."""

from __future__ import annotations

from typing import Final

from streams.schema import AREA, BUS_TAG, INTERVAL, REV, SEGMENT, Field, Measurement, count, quantity, tag, text

__all__ = ["ANNOUNCEMENT", "BINDING", "CASE", "CERTIFICATE", "CLEARING", "DUTY", "FINDING", "LMP", "MARKET", "PRICE", "SETTLEMENT"]

CLEARING: Final = Measurement(
    name="clearing",
    title_en="How an interval was cleared",
    title_zh="出清结果",
    time=INTERVAL,
    tags=(SEGMENT,),
    fields=(
        text("status", "Status: OK, OK_VIOLATION, OK_DEGRADED or FAILED", "状态"),
        count("valid", "1 where there is a result, else 0", "是否有效"),
        text("reason", "Why there is no result", "失败原因"),
        text("detail", "What is known of the failure", "失败说明"),
        count("version", "Version of the result", "结果版本"),
        quantity("margin_s", "s", "Completed before the start of the interval", "提前完成时间"),
        quantity("uniform_price_cny_per_mwh", "元/MWh", "Uniform price", "统一结算点电价"),
        quantity("energy_cny_per_mwh", "元/MWh", "Energy part of the price", "电能量价格分量"),
        quantity("objective_cny_per_h", "元/h", "Cost of the dispatch", "购电成本"),
        quantity("penalty_cny_per_h", "元/h", "Penalties", "惩罚成本"),
        count("binding", "Limits that bind", "起作用约束数"),
        count("violations", "Limits violated", "越限约束数"),
        quantity("violation_mw", "MW", "Sum of violations", "越限总量"),
        count("certified", "1 where dispatch and prices prove each other, else 0", "校核通过"),
        quantity("solve_s", "s", "Wall time of the solver", "求解用时"),
        quantity("total_s", "s", "From frozen inputs to the result", "出清总用时"),
        count("relaxed", "1 where it was secured against no outage to end in time, else 0", "是否放宽安全约束"),
    ),
)

_RESIDUALS: Final = (
    ("balance_mw", "Balance of an island", "岛内功率平衡残差"),
    ("bus_balance_mw", "Balance of a bus", "节点功率平衡残差"),
    ("bounds_mw", "Output beyond its bounds", "出力越限残差"),
    ("rows", "Constraint broken", "约束残差"),
    ("limits_mw", "Flow beyond a limit", "潮流越限残差"),
    ("stationarity_per_mwh", "Gain that is left", "最优性残差"),
    ("price_consistency_per_mwh", "Prices against each other", "价格一致性残差"),
    ("complementarity_mw", "Price of a limit that is not reached", "互补性残差"),
    ("penalty_relative", "Penalty against its price", "惩罚残差"),
    ("surplus_relative", "Rent by buses against rent by limits", "阻塞盈余残差"),
    ("price_range_per_mwh", "Price beyond floor or cap", "限价残差"),
    ("range_widened_mw", "Ranges widened to be met", "区间放宽量"),
)
"""Names of :data:`market.certificate.TOLERANCES`, and how far ranges were widened."""


def _residual(name: str, title_en: str, title_zh: str) -> Field:
    unit = "MW" if name.endswith("_mw") else "元/MWh" if name.endswith("_per_mwh") else ""
    return quantity(name, unit, title_en, title_zh)


CERTIFICATE: Final = Measurement(
    name="certificate",
    title_en="Proof of a clearing: its largest residuals",
    title_zh="出清校核残差",
    time=INTERVAL,
    tags=(SEGMENT,),
    fields=(
        *(_residual(*named) for named in _RESIDUALS),
        count("passed", "1 where every residual is within its tolerance, else 0", "校核通过"),
    ),
)

LMP: Final = Measurement(
    name="lmp",
    title_en="Price at a bus",
    title_zh="节点电价",
    time=INTERVAL,
    tags=(AREA, BUS_TAG, SEGMENT),
    fields=(
        quantity("price_cny_per_mwh", "元/MWh", "LMP", "节点电价"),
        quantity("energy_cny_per_mwh", "元/MWh", "Energy part", "电能量分量"),
        quantity("congestion_cny_per_mwh", "元/MWh", "Congestion part", "阻塞分量"),
        quantity("loss_cny_per_mwh", "元/MWh", "Loss part", "网损分量"),
    ),
)

BINDING: Final = Measurement(
    name="binding",
    title_en="Limit that shaped the prices",
    title_zh="起作用约束",
    time=INTERVAL,
    tags=(
        tag("branch", "Branch", "支路", "branches of the network"),
        tag("kind", "Kind of limit", "约束类型", "kinds of limit of a clearing"),
        tag("outage", "Contingency", "预想故障", "branches of the network, none"),
        SEGMENT,
    ),
    fields=(
        quantity("flow_mw", "MW", "Flow", "潮流"),
        quantity("limit_mw", "MW", "Limit", "限值"),
        quantity("shadow_price_cny_per_mwh", "元/MWh", "Shadow price", "影子价格"),
    ),
)

MARKET: Final = Measurement(
    name="market",
    title_en="State of a market segment",
    title_zh="市场状态",
    time="instant of the view",
    tags=(SEGMENT,),
    fields=(
        text("phase", "Phase", "状态"),
        text("basis", "What the phase rests on", "依据"),
        quantity("outage_s", "s", "Time without a valid clearing", "出清中断时长"),
        quantity("headroom_s", "s", "Left of the limit", "距熔断剩余时间"),
        quantity("breaker_s", "s", "Time since the breaker tripped", "熔断持续时间"),
        quantity("suspended_s", "s", "Time since the suspension began", "中止持续时间"),
        count("failed_intervals", "Intervals without a result", "失败时段数"),
        count("shadow_ok", "Valid shadow clearings in a row", "连续试算成功数"),
        text("flags", "Flags", "标志"),
        # Of the day-ahead run that goes on; on the line of that segment.
        quantity("expected_p50_s", "s", "Until the result that is being made, P50", "距结果发布预计时间 P50"),
        quantity("expected_p90_s", "s", "Until the result that is being made, P90", "距结果发布预计时间 P90"),
        text("outlook", "Outlook for its deadline: in_time, warn or propose; else empty", "截止时间研判"),
        # The price in force is one for the market; it stands on the line of the real-time segment, whose interval it is for.
        text("regime", "Rule behind the price in force", "价格规则"),
        quantity("price_cny_per_mwh", "元/MWh", "Price in force", "执行价格"),
        quantity("last_valid_age_s", "s", "Since the last valid clearing", "距上次有效出清"),
        # What people owe and wait for; one count for the market, on the same line.
        count("duties_open", "Duties and tasks that are open", "未完成义务数"),
        count("duties_overdue", "Of these overdue", "逾期义务数"),
        count("cases_open", "Anomaly cases that are open", "未结案件数"),
        count("approvals_open", "Measures that wait for approval", "待批措施数"),
    ),
)

PRICE: Final = Measurement(
    name="price",
    title_en="Price in force for an interval",
    title_zh="时段执行价格",
    time=INTERVAL,
    tags=(SEGMENT,),
    fields=(
        quantity("price_cny_per_mwh", "元/MWh", "Price in force", "执行价格"),
        text("regime", "Rule behind it", "价格规则"),
        REV,
        count("provisional", "1 while settlement must confirm it, else 0", "待确认"),
        text("source", "Where the number comes from", "价格来源"),
        quantity("age_s", "s", "How much older the clearing is that it is of", "所依出清的时龄"),
        count("by_analogy", "1 where the rule is applied by analogy, else 0", "是否类推适用"),
        count("version", "Version of the clearing that it is of", "所依出清版本"),
    ),
)

SETTLEMENT: Final = Measurement(
    name="settlement",
    title_en="What an interval comes to, indicative, before statements",
    title_zh="时段电费（参考值，非结算单）",
    time="start of the interval; a later price or version of it one nanosecond later",
    tags=(tag("class", "Class", "类别", "fuel classes, storage, load; all is everything but load"), SEGMENT),
    fields=(
        quantity("energy_mwh", "MWh", "Energy as scheduled, given to the grid > 0, indicative", "计划电量（注入为正，参考值）"),
        quantity("amount_cny", "元", "Amount, received > 0, indicative", "电费（收入为正，参考值）"),
        quantity("congestion_rent_cny", "元", "Congestion rent, indicative", "阻塞盈余（参考值）"),
        REV,
    ),
)

DUTY: Final = Measurement(
    name="duty",
    title_en="A duty that is open",
    title_zh="未完成的义务",
    time="instant of the view; of several of one kind the most urgent comes last, below the millisecond",
    tags=(tag("duty", "Kind of duty", "义务类型", "kinds of duty"), SEGMENT),
    fields=(
        quantity("left_s", "s", "Time left, negative when overdue", "剩余时间（逾期为负）"),
        count("overdue", "1 overdue, else 0", "是否逾期"),
        text("due", "Due at", "期限"),
        text("case", "Case it belongs to", "所属案件"),
        text("title_en", "What is to be done, English", "英文名称"),
        text("title_zh", "What is to be done, Chinese", "中文名称"),
        text("key", "Identity", "义务标识"),
        text("owner", "Who has to do it", "责任方"),
        text("missing", "Recipients without a receipt", "尚缺回执"),
        count("open", "1 while it is open, 0 once when it is settled", "是否未完成"),
    ),
)

ANNOUNCEMENT: Final = Measurement(
    name="announcement",
    title_en="What was announced",
    title_zh="公告",
    time="event time of the announcement; number of its decision below the millisecond",
    tags=(tag("kind", "Kind of announcement", "公告类型", "templates of announcements"), SEGMENT),
    fields=(
        text("number", "Number", "公告编号"),
        text("subject", "Subject", "主题"),
        count("active", "1 in force, 0 when another took its place or it ended", "是否有效"),
        text("text_en", "Text, English", "英文内容"),
        text("text_zh", "Text, Chinese", "中文内容"),
        text("supersedes", "Number of the one it replaces", "替代公告编号"),
    ),
)

FINDING: Final = Measurement(
    name="finding",
    title_en="What was found",
    title_zh="研判结果",
    time="event time of the finding; number of its decision below the millisecond",
    tags=(tag("kind", "Kind of finding", "研判类型", "findings of the detectors and bases of a trip"), SEGMENT),
    fields=(
        text("text_en", "Text, English", "英文内容"),
        text("text_zh", "Text, Chinese", "中文内容"),
        text("evidence", "Evidence, a fact each", "证据"),
        text("met_at", "When its condition was met", "条件成立时间"),
    ),
)

CASE: Final = Measurement(
    name="case",
    title_en="An entry of an anomaly case",
    title_zh="异常案件记录",
    time="event time of the entry; number of its decision below the millisecond",
    tags=(SEGMENT, tag("state", "State", "状态", "OPENED, NOTED, CLOSED")),
    fields=(
        text("number", "Number of the case", "案件编号"),
        text("class", "Class of the anomaly", "异常类别"),
        text("cause", "Cause", "原因"),
        text("text_en", "Text, English", "英文内容"),
        text("text_zh", "Text, Chinese", "中文内容"),
    ),
)
