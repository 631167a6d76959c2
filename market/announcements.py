"""The words of a notice: one template per kind, in Chinese and English, with every fact that Art. 23 and 29 need in it.

A template is filled from a mapping of facts; a fact that is missing is a programming error and never a blank in a public notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

__all__ = ["CAUSES", "notice_text", "pricing_facts"]

CAUSES: Final[Mapping[str, tuple[str, str]]] = {
    "RT_120": ("实时市场连续 {limit_min} 分钟未能出清", "real-time clearing unavailable for {limit_min} minutes without a break"),
    "TOPOLOGY_HARD": ("电网拓扑发生重大变化：{elements} 停运{load_zh}", "a major change of the grid's topology: {elements} lost{load_en}"),
    "SWITCHOVER": ("主备调切换", "control moved from the main to the backup dispatch centre"),
}
"""Cause of a trip by its basis: (Chinese, English)."""

_LOAD_LOST: Final = ("，损失负荷 {load_lost_mw} MW（此前 {load_before_mw} MW）", ", with {load_lost_mw} MW of {load_before_mw} MW of load")

_PRICING: Final = {
    True: ("按第二十七条：实时市场熔断时段采用日前市场同时段价格", "Art. 27(2): day-ahead price of the same period for real-time"),
    False: (
        "日前市场亦无价格，按第二十七条第（三）项类推，采用近30日同时段均价，价格另行公告",
        "no day-ahead price either; Art. 27(3) by analogy: mean price of the same period over thirty days, to be published",
    ),
}
"""How intervals are priced while the market is out, by whether the day-ahead market has a price for them."""

_SEGMENTS: Final = {"RT": ("实时市场", "real-time market"), "DA": ("日前市场", "day-ahead market")}

_ARTICLES: Final = {
    "Art. 23": "第二十三条",
    "Art. 23(1)": "第二十三条第（一）项",
    "Art. 23(2)": "第二十三条第（二）项",
    "Art. 29": "第二十九条",
}
"""Citations as a Chinese notice writes them."""

_TEMPLATES: Final = {
    "TRIP": (
        (
            "【{number}】电力现货{segment_zh}熔断公告。原因：{cause_zh}（{article_zh}）。"
            "条件成立时刻：{condition_met_at}；熔断时刻：{tripped_at}。自 {first_interval} 起的时段适用熔断处理。"
            "价格规则：{pricing_zh}。下次通报不晚于 {next_update}。{zone}"
        ),
        (
            "[{number}] Market breaker tripped: {segment_en}. Cause: {cause_en} ({article}). Condition met at {condition_met_at}; "
            "tripped at {tripped_at}. In effect from interval {first_interval}. Pricing: {pricing_en}. "
            "Next update by {next_update}. {zone}"
        ),
    ),
    "RECOVERY": (
        (
            "【{number}】电力现货{segment_zh}熔断恢复公告（取代 {supersedes}）。依据：{article_zh}。"
            "调度机构 {by} 于 {published_at} 决定恢复，自 {effective_from} 起的时段恢复市场出清价格；"
            "此前时段仍适用：{pricing_zh}。{zone}"
        ),
        (
            "[{number}] Recovery of the {segment_en} (supersedes {supersedes}). Basis: {article}. "
            "Decided by dispatch ({by}) at {published_at}; market prices return from interval {effective_from}; "
            "until then: {pricing_en}. {zone}"
        ),
    ),
}

_INSTANTS: Final = ("condition_met_at", "tripped_at", "first_interval", "next_update", "published_at", "effective_from")
"""Facts that are instants, written in ISO 8601; a notice writes them as people read them."""


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


def pricing_facts(*, day_ahead: bool) -> dict[str, str]:
    """Return the facts of a notice that say how intervals are priced while the real-time market is out."""
    pricing_zh, pricing_en = _PRICING[day_ahead]
    return {"pricing_zh": pricing_zh, "pricing_en": pricing_en}


def notice_text(kind: str, segment: str, basis: str, facts: Mapping[str, str]) -> tuple[str, str]:
    """Fill a template.

    Args:
        kind: TRIP or RECOVERY.
        segment: RT or DA.
        basis: key of :data:`CAUSES`; ignored by kinds that name no cause.
        facts: every field of the template besides segment and cause; instants in ISO 8601 with their offset. A topology change
            names its ``elements``, and ``load_lost_mw`` and ``load_before_mw`` where the load was measured.

    Returns:
        The notice in Chinese and in English.

    Raises:
        KeyError: a mandatory fact is missing.
    """
    segment_zh, segment_en = _SEGMENTS[segment]
    cause_zh, cause_en = CAUSES.get(basis, ("", ""))
    load_zh, load_en = (text.format(**facts) if "load_lost_mw" in facts else "" for text in _LOAD_LOST)
    named = {**facts, "load_zh": load_zh, "load_en": load_en}
    fields = {
        **facts,
        "article_zh": _ARTICLES[facts["article"]],
        "segment_zh": segment_zh,
        "segment_en": segment_en,
        "cause_zh": cause_zh.format(**named) if kind == "TRIP" else "",
        "cause_en": cause_en.format(**named) if kind == "TRIP" else "",
    }
    told_zh, told_en = _told({name: datetime.fromisoformat(facts[name]) for name in _INSTANTS if name in facts})
    template_zh, template_en = _TEMPLATES[kind]
    return template_zh.format(**fields | told_zh), template_en.format(**fields | told_en).rstrip()
