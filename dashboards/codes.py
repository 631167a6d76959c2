"""What do people call the codes that stand in the data? ``coal`` is 煤电 on a Chinese board and "Coal" on an English one.

A code without a name here is shown as it is: nothing falls silent because a release knows more than this table. States that are good or
bad are not here; they have marks (:mod:`dashboards.marks`). Names are those of the live board, which a test holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dashboards.elements import Text

__all__ = ["BASES", "CASE_CLASSES", "CLASSES", "FAILURES", "FUELS", "LIMITS", "NOTICES", "OWNERS", "SEGMENTS", "codes_of"]

Names = Mapping[str, Text]

SEGMENTS: Final[Names] = {"RT": Text("Real-time", "实时"), "DA": Text("Day-ahead", "日前"), "none": Text("–", "–")}

FUELS: Final[Names] = {
    "coal": Text("Coal", "煤电"),
    "gas": Text("Gas", "气电"),
    "oil": Text("Oil", "燃油"),
    "nuclear": Text("Nuclear", "核电"),
    "hydro": Text("Hydro", "水电"),
    "wind": Text("Wind", "风电"),
    "solar": Text("Solar", "光伏"),
    "other": Text("Other", "其他"),
}
CLASSES: Final[Names] = {
    **FUELS,
    "storage": Text("Storage", "储能"),
    "load": Text("Load", "负荷"),
    "all": Text("All but load", "合计（不含负荷）"),
}

FAILURES: Final[Names] = {
    "INPUT_MISSING": Text("input missing", "输入缺失"),
    "INPUT_STALE": Text("input stale", "输入过期"),
    "INPUT_INVALID": Text("input invalid", "输入无效"),
    "TOPOLOGY_CHANGED": Text("topology changed", "拓扑变化"),
    "SOLVER_TIMEOUT": Text("solver out of time", "求解超时"),
    "SOLVER_STATUS": Text("solver found no solution", "求解无解"),
    "KKT_FAILED": Text("optimality not proven", "最优性校验未通过"),
    "PRICE_NOT_CREDIBLE": Text("price not credible", "价格不可信"),
    "SUSPENDED": Text("market suspended", "市场中止"),
}

LIMITS: Final[Names] = {
    "line": Text("Branch", "支路限值"),
    "section": Text("Interface", "断面限值"),
    "n-1": Text("Branch after an outage", "N-1 限值"),
}

OWNERS: Final[Names] = {
    "DISPATCH": Text("Dispatch", "调度机构"),
    "TRADING": Text("Trading institution", "交易机构"),
    "MO": Text("Market operators", "市场运营机构"),
    "GOV": Text("Government department", "政府主管部门"),
    "REG": Text("Regulator", "监管机构"),
}

CASE_CLASSES: Final[Names] = {
    "CANNOT_START": Text("Cannot start", "无法开始"),
    "CANNOT_CONTINUE": Text("Cannot continue", "无法继续"),
    "RESULT": Text("Abnormal result", "结果异常"),
    "NOT_ENDED": Text("Did not end", "未按时结束"),
}

NOTICES: Final[Names] = {
    "TRIP": Text("Trip", "熔断"),
    "UPDATE": Text("Update", "情况通报"),
    "CORRECTION": Text("Correction", "更正"),
    "RECOVERY": Text("Recovery", "恢复"),
    "SUSPENSION": Text("Suspension", "中止"),
    "EXTENSION": Text("Extension", "延期"),
    "REGIME28": Text("Art. 28", "第28条"),
    "RESUMPTION": Text("Resumption", "恢复市场"),
    "BOUNDARY": Text("Boundary data", "边界数据"),
    "DEADLINE": Text("Deadline", "申报截止"),
    "ANOMALY": Text("Anomaly", "异常"),
}

BASES: Final[Names] = {
    "RT_120": Text("120 min without a valid result", "连续 120 分钟未出清"),
    "TOPOLOGY_HARD": Text("Major topology change", "电网拓扑重大变化"),
    "TOPOLOGY_SOFT": Text("Possible topology change", "电网拓扑疑似重大变化"),
    "DA_EXPECTED": Text("Day-ahead result expected late", "预计日前结果逾期"),
    "OTHER": Text("Another cause, entered by a person", "其他原因（人工提出）"),
    "PROPOSE_TRIP": Text("Proposed by the dispatcher", "调度人员提出熔断"),
    "CONFIRM_TRIP": Text("Confirmed by the dispatcher", "调度人员确认熔断"),
    "SUSPENSION_DECIDED": Text("Suspension decided", "已决定中止市场"),
    "SUSPENSION_BEGAN": Text("Suspension took effect", "中止已生效"),
    "SUSPENSION_EXTENDED": Text("Suspension extended", "中止已延期"),
    "REGIME28_CONFIRMED": Text("Art. 28 confirmed", "已确认适用第28条"),
    "RESUME_APPLIED": Text("Resumption applied for", "已申请恢复"),
    "RESUMED": Text("Resumption announced", "已公告恢复市场"),
    "SWITCHOVER": Text("Switchover to backup control", "主备调切换"),
    "DA_MISSED": Text("No day-ahead result in time", "日前结果未按时出清"),
    "OUTAGE": Text("No valid result when due", "到期无有效出清结果"),
    "RESULT_OK": Text("Valid result received", "已有有效出清结果"),
    "EVIDENCE_WITHDRAWN": Text("Evidence withdrawn", "熔断依据已消失"),
    "REJECTED": Text("Proposal rejected by the dispatcher", "调度人员否决熔断"),
    "RECOVERED": Text("Recovery ordered by the dispatcher", "调度人员决定恢复"),
    "EFFECTIVE": Text("Recovery took effect", "恢复已生效"),
    "OVER_72_H": Text("More than 72 h in the breaker", "熔断超过 72 小时"),
}
"""What a phase rests on."""

_STATES: Final[Names] = {"RAISED": Text("Raised", "触发"), "CLEARED": Text("Over", "恢复")}

_OF_ONE: Final[Mapping[tuple[str, str], Names]] = {
    ("fuel", "fuel"): FUELS,
    ("settlement", "class"): CLASSES,
    ("clearing", "reason"): FAILURES,
    ("binding", "kind"): LIMITS,
    ("duty", "owner"): OWNERS,
    ("announcement", "kind"): NOTICES,
    ("case", "class"): CASE_CLASSES,
    ("market", "basis"): BASES,
    ("alert", "state"): _STATES,
}


def codes_of(measurement: str, name: str) -> Names:
    """Return the names of the codes that a tag or field of a measurement has; none where they need no name.

    >>> codes_of("settlement", "class")["coal"].zh
    '煤电'
    """
    return SEGMENTS if name == "segment" else _OF_ONE.get((measurement, name), {})
