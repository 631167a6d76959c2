"""The words of a notice: one numbered template per kind, in Chinese and English, with every fact that the articles need in it.

A template is filled from a mapping of facts. Those it cannot do without are listed with it, and one that is missing is a programming
error: never a blank in a public notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from market.causes import CAUSE_ARTICLES, CAUSE_NAMES, CAUSE_OF_BASIS, Cause

__all__ = ["CAUSES", "STATES", "TEMPLATES", "Template", "article_zh", "notice_text", "numeral_zh", "pricing_facts"]

CAUSES: Final[Mapping[str, tuple[str, str]]] = {
    "RT_120": ("实时市场连续 {limit_min} 分钟未能出清", "real-time clearing unavailable for {limit_min} minutes without a break"),
    "DA_EXPECTED": ("预计日前市场不能在 {deadline} 前出清", "day-ahead clearing is not expected before {deadline}"),
    "DA_MISSED": ("日前市场未在 {deadline} 前出清", "no day-ahead clearing before {deadline}"),
    "TOPOLOGY_HARD": ("电网拓扑发生重大变化：{lost_zh}", "a major change of the grid's topology: {lost_en}"),
    "TOPOLOGY_SOFT": ("电网拓扑发生变化：{lost_zh}", "a change of the grid's topology: {lost_en}"),
    "SWITCHOVER": ("主备调切换", "control moved from the main to the backup dispatch centre"),
    "OTHER": ("{cause_name_zh}（{cause_article_zh}）：{evidence}", "{cause_name_en} ({cause_article}): {evidence}"),
}
"""Cause of a trip by its basis: (Chinese, English)."""

_LOST: Final = ("{elements} 停运", "{elements} lost")
_LOAD_LOST: Final = ("，损失负荷 {load_lost_mw} MW（此前 {load_before_mw} MW）", ", with {load_lost_mw} MW of {load_before_mw} MW of load")
_FOUND: Final = ("；认定原因：{cause_name_zh}（{cause_article_zh}）", "; found to be caused by {cause_name_en} ({cause_article})")
_SHOWN: Final = ("，依据文件：{reference}", ", shown by {reference}")
_NEXT_UPDATE: Final = ("下次通报不晚于 {next_update}。", " Next update by {next_update}.")

_BOTH_OUT: Final = {
    "RT": ("日前市场亦无价格，按第二十七条第（三）项", "no day-ahead price either; Art. 27(3)"),
    "DA": ("实时市场亦不运行，按第二十七条第（三）项", "real-time is out as well; Art. 27(3)"),
}
_MEAN: Final = (
    "采用近30日同时段均价，价格另行公告",
    "mean price of the same period over thirty days, to be published",
)
_OTHER_PRICES: Final = {
    "RT": ("按第二十七条：实时市场熔断时段采用日前市场同时段价格", "Art. 27(2): day-ahead price of the same period for real-time"),
    "DA": (
        "按第二十七条第（一）项：以实际执行结果和实时市场价格作为日前市场结果",
        "Art. 27(1): actual execution and the real-time price become the day-ahead result",
    ),
}
"""How a segment is priced from the other one while it is out."""
_LONG: Final = ("按第二十八条：按应急方案结算实际电量", "Art. 28: actual volumes settled by the emergency plan")

_SEGMENTS: Final = {
    "RT": ("实时市场", "real-time market"),
    "DA": ("日前市场（{operating_day} 运行日）", "day-ahead market (operating day {operating_day})"),
}
_FROM: Final = {
    "RT": ("自 {first_interval} 起的时段", "from interval {first_interval}"),
    "DA": ("自 {operating_day} 运行日起", "from operating day {operating_day}"),
}
_BACK: Final = {
    "RT": ("自 {effective_from} 起的时段", "from interval {effective_from}"),
    "DA": ("自 {effective_day} 运行日起", "from operating day {effective_day}"),
}
"""From when a breaker, or the market again, is in effect: an interval of real time, an operating day of day-ahead."""

STATES: Final[Mapping[str, tuple[tuple[str, ...], str, str]]] = {
    "NORMAL": ((), "市场正常运行", "in normal operation"),
    "TRIPPED": (("tripped_at",), "熔断中，熔断时刻 {tripped_at}", "tripped at {tripped_at}"),
    "OVERDUE": (
        ("tripped_at", "limit_h"),
        "熔断已超过 {limit_h} 小时，熔断时刻 {tripped_at}",
        "tripped at {tripped_at}, for more than {limit_h} hours",
    ),
    "DECIDED": (
        ("suspended_from", "expected_end"),
        "已决定自 {suspended_from} 起中止，预计 {expected_end} 结束",
        "to be suspended from {suspended_from}, expected until {expected_end}",
    ),
    "SUSPENDED": (
        ("suspended_from", "expected_end"),
        "自 {suspended_from} 起中止，预计 {expected_end} 结束",
        "suspended since {suspended_from}, expected until {expected_end}",
    ),
    "SUSPENDED_LONG": (
        ("suspended_from", "expected_end"),
        "自 {suspended_from} 起中止，预计 {expected_end} 结束，按第二十八条处理",
        "suspended since {suspended_from}, expected until {expected_end}, handled by Art. 28",
    ),
    "RESUMING": (("effective_from",), "已公告自 {effective_from} 起恢复", "to return to the market from {effective_from}"),
}
"""How things stand, for a notice that does not change them: key → (facts, Chinese, English)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One kind of notice.

    Attributes:
        code: number by which operators and participants know it.
        zh, en: its words.
        facts: what it cannot do without, besides ``number`` and ``article``; any may be asked for that neither text shows as it stands.
        rt, da: facts that it needs besides where it is about that segment.
    """

    code: str
    zh: str
    en: str
    facts: tuple[str, ...]
    rt: tuple[str, ...] = ()
    da: tuple[str, ...] = ()


TEMPLATES: Final[Mapping[str, Template]] = {
    "TRIP": Template(
        code="T01",
        zh=(
            "【{number}】电力现货{segment_zh}熔断公告。原因：{cause_zh}（{article_zh}）。"
            "条件成立时刻：{condition_met_at}；熔断时刻：{tripped_at}。{from_zh}适用熔断处理。"
            "价格规则：{pricing_zh}。{update_zh}{zone}"
        ),
        en=(
            "[{number}] Market breaker tripped: {segment_en}. Cause: {cause_en} ({article}). Condition met at {condition_met_at}; "
            "tripped at {tripped_at}. In effect {from_en}. Pricing: {pricing_en}.{update_en} {zone}"
        ),
        facts=("condition_met_at", "tripped_at", "pricing_zh", "pricing_en", "next_update"),
        rt=("first_interval",),
    ),
    "UPDATE": Template(
        code="T02",
        zh=(
            "【{number}】电力现货{segment_zh}情况通报（取代 {supersedes}）。"
            "当前状态：{state_zh}。{words_zh} 其余事项见 {base}。{update_zh}{zone}"
        ),
        en=(
            "[{number}] Update on the {segment_en} (supersedes {supersedes}). "
            "Now: {state_en}. {words_en} All else as in {base}.{update_en} {zone}"
        ),
        facts=("supersedes", "base", "state", "words_zh", "words_en", "next_update"),
    ),
    "CORRECTION": Template(
        code="T03",
        zh=(
            "【{number}】电力现货{segment_zh}公告更正（取代 {supersedes}）。更正原因：{reason}。"
            "当前状态：{state_zh}。更正内容：{words_zh} 其余事项见 {base}。{update_zh}{zone}"
        ),
        en=(
            "[{number}] Correction of a notice on the {segment_en} (supersedes {supersedes}). Why: {reason}. "
            "Now: {state_en}. Corrected: {words_en} All else as in {base}.{update_en} {zone}"
        ),
        facts=("supersedes", "base", "reason", "state", "words_zh", "words_en"),
    ),
    "RECOVERY": Template(
        code="T04",
        zh=(
            "【{number}】电力现货{segment_zh}熔断恢复公告（取代 {supersedes}）。依据：{article_zh}。"
            "调度机构 {by} 于 {published_at} 决定恢复，{back_zh}恢复市场出清价格；"
            "此前时段仍适用：{pricing_zh}。{zone}"
        ),
        en=(
            "[{number}] Recovery of the {segment_en} (supersedes {supersedes}). Basis: {article}. "
            "Decided by dispatch ({by}) at {published_at}; market prices return {back_en}; "
            "until then: {pricing_en}. {zone}"
        ),
        facts=("supersedes", "by", "published_at", "pricing_zh", "pricing_en"),
        rt=("effective_from",),
        da=("effective_day",),
    ),
    "SUSPENSION": Template(
        code="T05",
        zh=(
            "【{number}】电力现货{segment_zh}中止公告（取代 {supersedes}）。依据：{article_zh}。中止原因：{reason}。"
            "中止起始时刻：{suspended_from}；预计结束时刻：{expected_end}。价格规则：{pricing_zh}。{zone}"
        ),
        en=(
            "[{number}] Suspension of the {segment_en} (supersedes {supersedes}). Basis: {article}. Reason: {reason}. "
            "Start: {suspended_from}; expected end: {expected_end}. Pricing: {pricing_en}. {zone}"
        ),
        facts=("supersedes", "reason", "suspended_from", "expected_end", "pricing_zh", "pricing_en"),
    ),
    "EXTENSION": Template(
        code="T06",
        zh=(
            "【{number}】电力现货{segment_zh}中止延期公告（取代 {supersedes}）。依据：{article_zh}。延期原因：{reason}。"
            "中止起始时刻：{suspended_from}；新的预计结束时刻：{expected_end}。价格规则：{pricing_zh}。{zone}"
        ),
        en=(
            "[{number}] Suspension of the {segment_en} extended (supersedes {supersedes}). Basis: {article}. Reason: {reason}. "
            "Start: {suspended_from}; new expected end: {expected_end}. Pricing: {pricing_en}. {zone}"
        ),
        facts=("supersedes", "reason", "suspended_from", "expected_end", "pricing_zh", "pricing_en"),
    ),
    "REGIME28": Template(
        code="T07",
        zh=(
            "【{number}】电力现货{segment_zh}长期中止处理公告（取代 {supersedes}）。依据：{article_zh}。"
            "中止起始时刻：{suspended_from}；预计结束时刻：{expected_end}。"
            "自 {regime_from} 起按第二十八条处理：非市场方式安排发电计划，按应急方案结算实际电量；此前时段价格不变。{zone}"
        ),
        en=(
            "[{number}] Long suspension of the {segment_en} (supersedes {supersedes}). Basis: {article}. "
            "Start: {suspended_from}; expected end: {expected_end}. From {regime_from} on Art. 28 applies: plans without a market, "
            "actual volumes settled by the emergency plan; earlier prices stand. {zone}"
        ),
        facts=("supersedes", "suspended_from", "expected_end", "regime_from"),
    ),
    "RESUMPTION": Template(
        code="T08",
        zh=(
            "【{number}】电力现货{segment_zh}恢复运行公告（取代 {supersedes}）。依据：{article_zh}，已获政府主管部门和监管机构批准。"
            "{by} 于 {published_at} 公告恢复，{back_zh}恢复市场出清价格；此前时段仍适用：{pricing_zh}。{zone}"
        ),
        en=(
            "[{number}] Resumption of the {segment_en} (supersedes {supersedes}). Basis: {article}, approved by the government department "
            "and the regulator. Announced by {by} at {published_at}; market prices return {back_en}; until then: {pricing_en}. {zone}"
        ),
        facts=("supersedes", "by", "published_at", "pricing_zh", "pricing_en"),
        rt=("effective_from",),
        da=("effective_day",),
    ),
    "BOUNDARY": Template(
        code="T09",
        zh="【{number}】{operating_day} 运行日边界条件第 {version} 版公告（{article_zh}）。与上一版的差异：{difference}。{zone}",
        en="[{number}] Boundary data of operating day {operating_day}, version {version} ({article}). Changed: {difference}. {zone}",
        facts=("operating_day", "version", "difference", "published_at"),
    ),
    "DEADLINE": Template(
        code="T10",
        zh="【{number}】{operating_day} 运行日申报截止时间推迟公告（{article_zh}）。新的截止时间：{deadline_at}。原因：{reason}。{zone}",
        en="[{number}] Declarations for operating day {operating_day} close later ({article}): at {deadline_at}. Reason: {reason}. {zone}",
        facts=("operating_day", "deadline_at", "reason"),
    ),
    "ANOMALY": Template(
        code="T11",
        zh="【{number}】市场异常公告（{article_zh}，案件 {case}）。发现时刻：{discovered_at}。情况：{words_zh} {zone}",
        en="[{number}] Market anomaly ({article}, case {case}). Discovered at {discovered_at}. {words_en} {zone}",
        facts=("case", "discovered_at", "words_zh", "words_en"),
    ),
}
"""Kind of a notice → its template, in the order of their numbers."""

_INSTANTS: Final = (
    *("condition_met_at", "tripped_at", "first_interval", "next_update", "published_at", "effective_from"),
    *("suspended_from", "expected_end", "regime_from", "deadline_at", "discovered_at"),
)
"""Facts that are instants, written in ISO 8601; a notice writes them as people read them."""

_ARTICLE_PREFIX: Final = "Art. "
_DIGITS: Final = "零一二三四五六七八九"


def numeral_zh(number: int) -> str:
    """Write a number from 1 to 99 in Chinese, as articles are counted.

    >>> numeral_zh(9), numeral_zh(10), numeral_zh(23), numeral_zh(30)
    ('九', '十', '二十三', '三十')
    """
    tens, ones = divmod(number, 10)
    return ("" if tens < 2 else _DIGITS[tens]) + ("十" if tens else "") + (_DIGITS[ones] if ones else "")


def article_zh(article: str) -> str:
    """Write a citation as a Chinese notice does.

    Args:
        article: ``Art. 23`` or ``Art. 23(1)``.

    >>> article_zh("Art. 23(1)"), article_zh("Art. 30")
    ('第二十三条第（一）项', '第三十条')

    Raises:
        ValueError: not such a citation.
    """
    number, _, item = article.removeprefix(_ARTICLE_PREFIX).removesuffix(")").partition("(")
    return f"第{numeral_zh(int(number))}条" + (f"第（{numeral_zh(int(item))}）项" if item else "")


def _told(instants: Mapping[str, datetime]) -> tuple[dict[str, str], dict[str, str]]:
    """Write instants for people, in Chinese and English; their offset from UTC once, or with each where it changes between them."""
    offsets = sorted({moment.isoformat()[-6:] for moment in instants.values()})
    one = len(offsets) == 1
    zh, en = {}, {}
    for name, moment in instants.items():
        clock = moment.time().isoformat("milliseconds" if moment.microsecond else "seconds") + ("" if one else moment.isoformat()[-6:])
        zh[name] = f"{moment.year}年{moment.month}月{moment.day}日{clock}"
        en[name] = f"{moment.date()} {clock}"
    zh["zone"] = f"以上时间均为 UTC{offsets[0]}。" if one else ""
    en["zone"] = f"Times are UTC{offsets[0]}." if one else ""
    return zh, en


def pricing_facts(*, day_ahead: bool, real_time: bool, segment: str = "RT", suspended: bool = False, long: bool = False) -> dict[str, str]:
    """Return the facts of a notice that say how periods are priced while a segment is out.

    Args:
        day_ahead: whether the day-ahead market has a price for the same period; asked where real time is out.
        real_time: whether real time clears; asked where day-ahead is out.
        segment: the one that is out, RT or DA.
        suspended: whether the market is suspended; Art. 27(3) speaks of no other case and holds for a breaker by analogy (policy Q1).
        long: whether Art. 28 was confirmed for the suspension.

    Returns:
        ``pricing_zh`` and ``pricing_en``, the ``regime``, and ``by_analogy`` where that is so.
    """
    if long:
        zh, en = _LONG
        return {"pricing_zh": zh, "pricing_en": en, "regime": "ART28"}
    if day_ahead if segment == "RT" else real_time:
        zh, en = _OTHER_PRICES[segment]
        return {"pricing_zh": zh, "pricing_en": en, "regime": "ART27_2" if segment == "RT" else "ART27_1"}
    (why_zh, why_en), (mean_zh, mean_en) = _BOTH_OUT[segment], _MEAN
    if suspended:
        return {"pricing_zh": f"{why_zh}，{mean_zh}", "pricing_en": f"{why_en}: {mean_en}", "regime": "ART27_3"}
    words = {"pricing_zh": f"{why_zh}类推，{mean_zh}", "pricing_en": f"{why_en} by analogy: {mean_en}"}
    return {**words, "regime": "ART27_3", "by_analogy": "yes"}


def _cause(basis: str, facts: Mapping[str, str]) -> tuple[str, str]:
    """Word what a trip rests on, what a person found to have caused it, and what shows that."""
    words = dict(facts)
    found = facts.get("cause", "")
    if found:
        cause = Cause(found)
        names = {"cause_name_zh": CAUSE_NAMES[cause][0], "cause_name_en": CAUSE_NAMES[cause][1]}
        words |= {**names, "cause_article": CAUSE_ARTICLES[cause], "cause_article_zh": article_zh(CAUSE_ARTICLES[cause])}
    texts = []
    for language, suffix in enumerate(("zh", "en")):
        load = _LOAD_LOST[language].format(**facts) if "load_lost_mw" in facts else ""
        words[f"lost_{suffix}"] = _LOST[language].format(**facts) + load if "elements" in facts else facts.get("evidence", "")
        text = CAUSES[basis][language].format(**words)
        if found and basis != "OTHER" and found != CAUSE_OF_BASIS.get(basis):
            text += _FOUND[language].format(**words)
        texts.append(text + (_SHOWN[language].format(**facts) if facts.get("reference") else ""))
    return texts[0], texts[1]


def notice_text(kind: str, segment: str | None, basis: str, facts: Mapping[str, str]) -> tuple[str, str]:
    """Fill a template.

    Args:
        kind: key of :data:`TEMPLATES`.
        segment: RT or DA; None for what is about neither.
        basis: key of :data:`CAUSES`; ignored by kinds that name no cause.
        facts: those of the template, ``number`` and ``article``, for day-ahead the ``operating_day``, and what the cause or the state asks
            for; instants in ISO 8601 with their offset. A topology change names its ``elements``, and ``load_lost_mw`` and
            ``load_before_mw`` where the load was measured.

    Returns:
        The notice in Chinese and in English.

    Raises:
        KeyError: a mandatory fact is missing, or empty.
    """
    template = TEMPLATES[kind]
    asked, *states = STATES[facts["state"]] if "state" in template.facts else ((), "", "")
    of_segment = {"RT": template.rt, "DA": ("operating_day", *template.da), None: ()}[segment]
    needed = ("number", "article", *template.facts, *asked, *of_segment)
    if missing := [name for name in needed if not facts.get(name)]:
        raise KeyError(f"{kind} of {segment} cannot be written without {', '.join(missing)}")
    told_zh, told_en = _told({name: datetime.fromisoformat(facts[name]) for name in _INSTANTS if facts.get(name)})
    causes = _cause(basis, facts) if kind == "TRIP" else ("", "")
    texts = []
    for language, (suffix, told) in enumerate((("zh", told_zh), ("en", told_en))):
        words = {**facts, "article_zh": article_zh(facts["article"]), **told}
        words |= {
            f"cause_{suffix}": causes[language],
            f"state_{suffix}": str(states[language]).format(**words),
            f"update_{suffix}": _NEXT_UPDATE[language].format(**words) if facts.get("next_update") else "",
        }
        text = getattr(template, suffix)
        for name, phrases in (("segment", _SEGMENTS), ("from", _FROM), ("back", _BACK)):
            if segment is not None and f"{{{name}_{suffix}}}" in text:
                words[f"{name}_{suffix}"] = phrases[segment][language].format(**words)
        texts.append(text.format(**words).rstrip())
    return texts[0], texts[1]
