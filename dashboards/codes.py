"""What do people call the codes that stand in the data? ``coal`` is 煤电 on a Chinese board and "Coal" on an English one.

A code without a name here is shown as it is: nothing falls silent because a release knows more than this table. States that are good or
bad are not here; they have marks (:mod:`dashboards.marks`).
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
    "oil": Text("Oil", "油电"),
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
    "INPUT_MISSING": Text("Inputs missing", "输入缺失"),
    "INPUT_STALE": Text("Inputs too old", "输入过旧"),
    "INPUT_INVALID": Text("Inputs not valid", "输入无效"),
    "TOPOLOGY_CHANGED": Text("The grid changed meanwhile", "拓扑已变化"),
    "SOLVER_TIMEOUT": Text("No answer in time", "求解超时"),
    "SOLVER_STATUS": Text("No optimum found", "求解未得最优"),
    "KKT_FAILED": Text("Proof failed", "校核未通过"),
    "PRICE_NOT_CREDIBLE": Text("Price not credible", "价格不可信"),
    "SUSPENDED": Text("Suspended", "市场已中止"),
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
    "TRIP": Text("Trip", "熔断公告"),
    "UPDATE": Text("Update", "情况通报"),
    "CORRECTION": Text("Correction", "公告更正"),
    "RECOVERY": Text("Recovery", "熔断恢复公告"),
    "SUSPENSION": Text("Suspension", "中止公告"),
    "EXTENSION": Text("Suspension extended", "中止延期公告"),
    "REGIME28": Text("Long suspension", "长期中止处理公告"),
    "RESUMPTION": Text("Resumption", "恢复运行公告"),
    "BOUNDARY": Text("Boundary data", "边界条件公告"),
    "DEADLINE": Text("Later deadline", "申报截止推迟公告"),
    "ANOMALY": Text("Anomaly", "市场异常公告"),
}

BASES: Final[Names] = {
    "RT_120": Text("Out for 120 min", "出清中断满 120 分钟"),
    "RESULT_MISSING": Text("No valid result", "无有效结果"),
    "RESULT_OK": Text("Valid result", "有效结果"),
    "DA_EXPECTED": Text("Day-ahead expected late", "预计日前不能按时出清"),
    "DA_MISSED": Text("Day-ahead missed", "日前未按时出清"),
    "TOPOLOGY_HARD": Text("Major change of the grid", "拓扑重大变化"),
    "TOPOLOGY_SOFT": Text("Change of the grid", "拓扑变化"),
    "SWITCHOVER": Text("Backup dispatch centre", "主备调切换"),
    "OVER_72_H": Text("Over 72 h", "超过 72 小时"),
    "EFFECTIVE": Text("In effect", "已生效"),
}
"""What a phase rests on, as far as it has a name."""

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
