"""What do people call the things of the market's record? One name in English and one in Chinese for each code.

The board, the alerts and the sentences of the audit trail all read these tables, so that a duty has the same name wherever it is
met. A code that has no name yet is shown as it is: nothing falls silent because a release knows more than this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from market.causes import CAUSE_NAMES

__all__ = ["ANOMALIES", "BODIES", "CAUSES", "DUTIES", "ENTRIES", "OUTCOMES", "SEGMENTS", "VERDICTS", "Names", "name_of", "names_of"]

Names = Mapping[str, tuple[str, str]]

SEGMENTS: Final[Names] = {"RT": ("Real-time market", "实时市场"), "DA": ("Day-ahead market", "日前市场")}

DUTIES: Final[Names] = {
    "announce": ("Publish the announcement", "发布公告"),
    "explain": ("Explain in writing (48 h)", "书面说明（48 小时）"),
    "limit": ("Recover or report (72 h)", "恢复或上报（72 小时）"),
    "report": ("Report to GOV and REG", "报告政府主管部门和监管机构"),
    "assess": ("Assess impact and trend", "评估影响和趋势"),
    "measures": ("Take emergency measures", "采取应急措施"),
    "decide": ("Decide whether to suspend", "决定是否中止市场"),
    "notice": ("Notify of the suspension", "发布中止通知"),
    "apply": ("Apply to resume", "申请恢复市场"),
    "written": ("Send the written request (24 h)", "补交书面申请（24 小时）"),
    "confirm_analogy": ("Confirm the price by analogy", "确认类推适用的价格"),
    "confirm_regime28": ("Confirm Art. 28", "确认适用第28条"),
    "announce_anomaly": ("Announce the anomaly (30 min)", "发布异常公告（30 分钟）"),
}
"""Duties and tasks (Art. 11, 18, 24 to 30)."""

OUTCOMES: Final[Names] = {
    "met": ("met", "按时完成"),
    "late": ("late", "逾期完成"),
    "lifted": ("lifted", "已解除"),
}
"""How a duty ended."""

ANOMALIES: Final[Names] = {
    "CANNOT_START": ("cannot start", "无法开始"),
    "CANNOT_CONTINUE": ("cannot continue", "无法继续"),
    "RESULT": ("abnormal result", "结果异常"),
    "NOT_ENDED": ("did not end", "未按时结束"),
}
"""Classes of an anomaly (Art. 6)."""

ENTRIES: Final[Names] = {
    "CAUSE": ("cause", "原因"),
    "MAJOR": ("major", "重大异常"),
    "LINKED": ("linked", "关联"),
    "ACTION": ("action", "处置"),
    "ANALYSIS": ("analysis", "原因分析"),
    "RECTIFICATION": ("to rectify", "整改项"),
    "RECTIFIED": ("rectified", "整改完成"),
    "STATUS": ("status", "状态"),
}
"""Entries of a case."""

BODIES: Final[Names] = {
    "GOV": ("government department", "政府主管部门"),
    "REG": ("regulator", "监管机构"),
    "PARTICIPANTS": ("participants", "市场主体"),
}
"""Those who approve, and those who are told."""

VERDICTS: Final[Names] = {
    "REQUESTED": ("requested", "待批"),
    "ORAL": ("approved orally", "口头同意"),
    "APPROVED": ("approved", "已批准"),
    "REFUSED": ("refused", "不同意"),
    "VOID": ("void", "已失效"),
}
"""What a body said of a measure."""

CAUSES: Final[Names] = {cause.value: names for cause, (zh, en) in CAUSE_NAMES.items() for names in [(en, zh)]}
"""Causes of an anomaly (Art. 5), in the order of these tables."""


def name_of(table: Names, code: str) -> tuple[str, str]:
    """Return the English and the Chinese name of a code; the code itself, twice, where it has none.

    >>> name_of(DUTIES, "explain")[0], name_of(DUTIES, "sing")
    ('Explain in writing (48 h)', ('sing', 'sing'))
    """
    return table.get(code, (code, code))


def names_of(table: Names, codes: tuple[str, ...] | list[str]) -> tuple[str, str]:
    """Return the names of several codes, as a list in a sentence of either language.

    >>> names_of(BODIES, ["GOV", "REG"])
    ('government department and regulator', '政府主管部门、监管机构')
    """
    named = [name_of(table, code) for code in codes]
    return " and ".join(english for english, _ in named), "、".join(chinese for _, chinese in named)
