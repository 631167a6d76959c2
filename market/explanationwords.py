"""The words of an explanation, in Chinese and English: names of phases, rules, duties, people and findings, instants and durations.

Names are those of the board and of the notices. What a person wrote, and the evidence as it was recorded, stays in the language it was
written in; the common sentences of evidence are told in Chinese too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from market.announcements import article_zh
from market.evidencewords import chinese
from market.units import instant_text

__all__ = ["Language", "at", "cause", "clock", "day", "duration", "evidence", "item", "moment", "name", "signed"]


class Language(StrEnum):
    """The language a document is written in."""

    ZH = "zh"
    EN = "en"


_NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "RT": ("实时市场", "real-time market"),
    "DA": ("日前市场", "day-ahead market"),
    # phases
    "NORMAL": ("正常", "normal"),
    "DEGRADED": ("出清异常", "clearing failing"),
    "PROPOSED": ("建议熔断", "trip proposed"),
    "TRIPPED": ("市场熔断", "tripped"),
    "OVERDUE": ("熔断超时", "overdue"),
    "SUSPENDED": ("市场中止", "suspended"),
    "SUSPENDED_LONG": ("长期中止", "suspended, more than seven days"),
    "RESUMING": ("恢复中", "resuming"),
    # what a transition rests on
    "OUTAGE": ("到期无有效出清结果", "no valid result when due"),
    "RT_120": ("实时市场连续未能出清", "real-time clearing out without a break"),
    "DA_EXPECTED": ("日前市场预计不能按时出清", "day-ahead clearing expected to be late"),
    "DA_MISSED": ("日前市场未按时出清", "no day-ahead result in time"),
    "TOPOLOGY_HARD": ("电网拓扑重大变化", "major change of the grid's topology"),
    "TOPOLOGY_SOFT": ("电网拓扑变化", "change of the grid's topology"),
    "SWITCHOVER": ("主备调切换", "control moved to the backup centre"),
    "OTHER": ("其他原因", "another cause"),
    "RESULT_OK": ("已有有效出清结果", "a valid result"),
    "EVIDENCE_WITHDRAWN": ("熔断依据已消失", "the evidence is gone"),
    "REJECTED": ("调度机构否决", "rejected by the dispatch institution"),
    "RECOVERED": ("调度机构决定恢复", "recovery decided by the dispatch institution"),
    "EFFECTIVE": ("恢复生效", "recovery took effect"),
    "OVER_72_H": ("熔断超过72小时", "more than 72 h in the breaker"),
    "PROPOSE_TRIP": ("调度机构提出熔断", "proposed by the dispatch institution"),
    "CONFIRM_TRIP": ("调度机构确认熔断", "confirmed by the dispatch institution"),
    "SUSPENSION_DECIDED": ("决定中止市场", "suspension decided"),
    "SUSPENSION_BEGAN": ("中止生效", "the suspension began"),
    "SUSPENSION_EXTENDED": ("中止延期", "the suspension was extended"),
    "REGIME28_CONFIRMED": ("确认适用第二十八条", "Art. 28 confirmed"),
    "RESUME_APPLIED": ("申请恢复", "resumption applied for"),
    "RESUMED": ("公告恢复", "resumption announced"),
    # findings
    "PRICE_UNDER_REVIEW": ("出清价格待复核", "a price is under review"),
    "BOUNDARY_INCOMPLETE": ("据不完整的边界条件出清", "cleared from boundary data that lack something"),
    "UPDATE_OVERDUE": ("承诺的后续通报逾期", "a promised update is overdue"),
    "INSUFFICIENT_SAMPLE": ("参考价格样本不足", "too few values for reference prices"),
    "PROPOSAL_UNANSWERED": ("熔断建议未及时答复", "the proposal was not answered in time"),
    "LOGINS_FAIL": ("市场主体无法登录", "participants cannot log in"),
    "ORDERS_FAIL": ("市场主体无法申报", "participants cannot send orders"),
    "WINDOW_NOT_CLOSED": ("到期未闭市", "the window is still open"),
    "QUARANTINED": ("超时申报已隔离", "a late order is quarantined"),
    "BLIND": ("看不到出清结果，不会自动熔断", "clearing results are not seen; nothing trips by itself"),
    "BLIND_OVER": ("已恢复监视出清结果", "clearing results are seen again"),
    "CLOCK_SUSPECT": ("时钟可疑，不会自动熔断", "the clock is suspect; nothing trips by itself"),
    "CLOCK_SUSPECT_OVER": ("时钟已恢复可信", "the clock is trusted again"),
    "CHATTERING": ("开关位置抖动，已保持", "a switch position chatters and is held"),
    "DATA_QUALITY": ("量测数据质量下降", "measurements are of poor quality"),
    "DATA_QUALITY_OVER": ("量测数据质量恢复", "measurements are of good quality again"),
    "OBSERVABILITY_LOW": ("电网可观测性不足", "too little of the grid is observed"),
    "CONTROL_CONFLICT": ("主备调同时主张调度权", "both control centres claim control"),
    "SWITCHED_BACK": ("调度权已回到主调", "control is back at the main centre"),
    "EXERCISE": ("计划内主备调切换演练", "a planned switchover drill"),
    "SCADA_DOWN": ("失去开关与潮流监视", "switches and flows are not seen"),
    "SCADA_UP": ("已恢复开关与潮流监视", "switches and flows are seen again"),
    "DAY_AHEAD_AT_RISK": ("日前结果可能逾期", "the day-ahead result may be late"),
    "DAY_AHEAD_ZERO_MARGIN": ("日前结果预计恰在截止时刻", "the day-ahead result is expected at its deadline"),
    # regimes
    "MARKET": ("市场出清价", "market clearing"),
    "GAP": ("沿用最近有效价（缺口规则，待确认）", "last valid price (gap rule, provisional)"),
    "ART27_1": ("第二十七条第（一）项：实时价格", "Art. 27(1): real-time price"),
    "ART27_2": ("第二十七条第（二）项：日前同时段价格", "Art. 27(2): day-ahead price of the same period"),
    "ART27_3": ("第二十七条第（三）项：近30日同时段均价", "Art. 27(3): thirty-day mean of the period"),
    "ART28": ("第二十八条：无现货市场方案", "Art. 28: as without a spot market"),
    # classes and causes
    "CANNOT_START": ("无法开市", "cannot start"),
    "CANNOT_CONTINUE": ("无法继续交易", "cannot continue"),
    "RESULT": ("结果异常", "abnormal result"),
    "NOT_ENDED": ("未按时闭市", "did not end"),
    "FORCE_MAJEURE": ("不可抗力", "force majeure"),
    "SITE_ACCIDENT": ("运营机构场所发生事故", "accident at the operators' site"),
    "TECHNICAL": ("技术原因", "technical cause"),
    "HUMAN_ERROR": ("重大人为失误", "major human error"),
    "DETERMINED": ("主管部门认定的其他情形", "determined by the authority"),
    # duties and their outcomes
    "announce": ("发布熔断公告", "announce the trip"),
    "announce_anomaly": ("发布异常公告", "announce the anomaly"),
    "explain": ("报送情况说明", "explain in writing"),
    "limit": ("恢复或上报", "recover or report"),
    "report": ("上报政府主管部门和监管机构", "report to both bodies"),
    "assess": ("评估影响和趋势", "assess impact and trend"),
    "measures": ("采取应急措施", "take emergency measures"),
    "decide": ("决定是否中止市场", "decide on a suspension"),
    "notice": ("发布中止公告", "publish the suspension"),
    "apply": ("申请恢复", "apply to resume"),
    "inform": ("告知政府主管部门和监管机构", "inform both bodies"),
    "approval": ("批复", "approve"),
    "written": ("补报书面申请", "file the written request"),
    "confirm_analogy": ("确认类推适用第二十七条第（三）项", "confirm the analogy to Art. 27(3)"),
    "confirm_regime28": ("确认适用第二十八条", "confirm Art. 28"),
    "met": ("按时完成", "met"),
    "late": ("逾期完成", "late"),
    "lifted": ("已解除", "lifted"),
    "done": ("已完成", "done"),
    "open": ("未完成", "open"),
    "overdue": ("已逾期", "overdue"),
    # who
    "DISPATCH": ("调度机构", "dispatch institution"),
    "TRADING": ("交易机构", "trading institution"),
    "MO": ("市场运营机构", "market operators"),
    "GOV": ("政府主管部门", "government department"),
    "REG": ("监管机构", "regulator"),
    "PARTICIPANTS": ("市场主体", "participants"),
    "APPROVED": ("同意", "approved"),
    "REFUSED": ("不同意", "refused"),
    "oral": ("口头", "oral"),
    # orders that are refused most
    "REJECT_TRIP": ("否决熔断", "REJECT_TRIP"),
    "CONFIRM_RECOVER": ("熔断恢复", "CONFIRM_RECOVER"),
    "DECIDE_SUSPEND": ("决定中止", "DECIDE_SUSPEND"),
    "EXTEND_SUSPENSION": ("延长中止", "EXTEND_SUSPENSION"),
    "APPLY_RESUME": ("申请恢复", "APPLY_RESUME"),
    "CONFIRM_RESUME": ("恢复市场", "CONFIRM_RESUME"),
    "CONFIRM_REGIME28": ("确认适用第二十八条", "CONFIRM_REGIME28"),
    # how an interval went without a result
    "MISSED": ("未收到结果", "no result arrived"),
    "FAILED": ("出清失败", "clearing failed"),
    "INVALID": ("结果无效", "result not valid"),
}
"""Code of the record → (Chinese, English)."""


def name(code: str, language: Language) -> str:
    """Return what people call something of the record; its code where it has no other name."""
    zh, en = _NAMES.get(code, (code, code))
    return zh if language is Language.ZH else en


def item(article: str, language: Language) -> str:
    """Write a citation as the language does.

    >>> item("Art. 23(1)", Language.ZH)
    '第二十三条第（一）项'
    """
    found = re.fullmatch(r"Art\. (\d+)(?:\((\d+)\))?", article)
    if language is Language.EN:
        return article
    if found is None:
        return f"规则集自定（{article.removeprefix('policy ')}）" if article.startswith("policy") else article
    return article_zh(article)


_CAUSE: Final = re.compile(r"(\w+) \((Art\. \d+\(\d+\))\)(?:, ((?!presumed)[^:]*?))?(, presumed)?(?:: (.*))?")


def cause(text: str, language: Language) -> str:
    """Say a cause as it was entered in a case (:func:`market.caserecord.cause_text`).

    >>> cause("FORCE_MAJEURE (Art. 5(1)), W-1: landfall", Language.ZH)
    '不可抗力（第五条第（一）项），W-1：landfall'
    >>> cause("TECHNICAL (Art. 5(3)), presumed", Language.EN)
    'technical cause (Art. 5(3)), presumed by the service'
    """
    found = _CAUSE.fullmatch(text)
    if found is None:
        return text
    code, article, reference, presumed, words = found.groups()
    what, cited = name(code, language), item(article, language)
    if language is Language.ZH:
        parts = (
            f"{what}（{cited}）",
            f"，{reference}" if reference else "",
            "，系统推定" if presumed else "",
            f"：{words}" if words else "",
        )
    else:
        said = ", presumed by the service" if presumed else ""
        parts = (f"{what} ({cited})", f", {reference}" if reference else "", said, f": {words}" if words else "")
    return "".join(parts)


def at(ns: int, zone: str, language: Language) -> str:
    """Write an instant as people read it: to the second, and further where it has a fraction; the document says its offset once.

    >>> at(0, "UTC", Language.ZH), at(1_000_000, "UTC", Language.EN)
    ('1970年1月1日 00:00:00', '1970-01-01 00:00:00.001')
    """
    written = instant_text(ns, zone)
    if language is Language.EN:
        return f"{written[:10]} {written[11:-6]}"
    year, month, date = (int(part) for part in written[:10].split("-"))
    return f"{year}年{month}月{date}日 {written[11:-6]}"


def day(ns: int, zone: str, language: Language) -> str:
    """Write the civil day of an instant."""
    return at(ns, zone, language).split()[0]


def moment(ns: int, zone: str) -> str:
    """Write the time of day of an instant to the second, and further where it has a fraction."""
    return instant_text(ns, zone)[11:-6]


def clock(ns: int, zone: str) -> str:
    """Write the time of day of an instant, with seconds only where there are some."""
    written = instant_text(ns, zone)[11:-6]
    return written[:-3] if written.endswith(":00") and len(written) == 8 else written


_UNITS: Final = {Language.ZH: ("天", "小时", "分", "秒"), Language.EN: ("d", "h", "min", "s")}


def duration(seconds: float, language: Language) -> str:
    """Write a duration, never negative, in its two largest units.

    >>> duration(0, Language.EN), duration(93_784, Language.EN), duration(210, Language.ZH), duration(0.25, Language.EN)
    ('0 s', '1 d 2 h', '3 分 30 秒', '0.25 s')
    """
    whole = int(seconds)
    if whole < 60 and whole != seconds:
        return f"{seconds:.3g} {_UNITS[language][3]}"
    parts = (whole // 86_400, whole // 3_600 % 24, whole // 60 % 60, whole % 60)
    largest = next((place for place, value in enumerate(parts) if value), 3)
    shown = [(value, unit) for value, unit in zip(parts, _UNITS[language], strict=True)][largest : largest + 2]
    return " ".join(f"{value} {unit}" for place, (value, unit) in enumerate(shown) if value or not place)


def signed(seconds: float, language: Language) -> str:
    """Write a margin: what was left, or by how much it was late."""
    if seconds < 0:
        return f"−{duration(-seconds, language)}"
    return duration(seconds, language)


_INSTANT: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d:\d\d:\d\d(?:\.\d+)?)[+-]\d\d:\d\d")


def evidence(text: str, language: Language) -> str:
    """Tell a sentence of evidence; what people wrote themselves stays as they wrote it, but for its instants.

    >>> evidence("last valid result completed: 2026-06-10T09:44:50+08:00", Language.ZH)
    '最近有效结果完成于 2026年6月10日 09:44:50'
    """
    if language is Language.EN:
        return _INSTANT.sub(r"\1-\2-\3 \4", text)
    told = chinese(text)
    return _INSTANT.sub(lambda at: f"{at[1]}年{int(at[2])}月{int(at[3])}日 {at[4]}", text if told is None else told)
