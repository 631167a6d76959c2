"""What does a decision say, in one sentence of either language?

A sentence is made of the decision's body alone, as it was recorded: InfluxDB, ``gridfuse audit show`` and the incident bundle tell
the same story. A kind that a later release added is told by its name; nothing raises here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from market.decisions import Decision
from market.units import instant_text
from streams.words import ANOMALIES, BODIES, DUTIES, ENTRIES, OUTCOMES, VERDICTS, name_of, names_of

__all__ = ["KINDS", "sentence"]

_Body = dict[str, Any]
_Clock = Callable[[int], str]
_Both = tuple[str, str]


def sentence(decision: Decision, zone: str = "Asia/Shanghai") -> tuple[str, str]:
    """Return a decision in English and in Chinese.

    Args:
        zone: the market's zone, in which instants are written out.
    """
    tell = _SENTENCES.get(decision.kind)
    if tell is None:
        return decision.kind, decision.kind
    return tell(decision.body, lambda ns: instant_text(ns, zone))


def _of(body: _Body) -> str:
    """Name the segment a body is about, with a space behind it; nothing where it concerns none."""
    return f"{body['segment']} " if body.get("segment") else ""


def _transition(b: _Body, at: _Clock) -> _Both:
    day = f" {b['operating_day']}" if b.get("operating_day") else ""
    evidence_en = f"; {'; '.join(b['evidence'])}" if b["evidence"] else ""
    evidence_zh = f"；{'；'.join(b['evidence'])}" if b["evidence"] else ""
    more_en = more_zh = ""
    if b.get("cause"):
        reference = f" {b['reference']}" if b.get("reference") else ""
        more_en, more_zh = f"; cause {b['cause']}{reference}", f"；原因 {b['cause']}{reference}"
    if b.get("suspended_from_ns") is not None:
        end = b.get("expected_end_ns")
        more_en += f"; suspended from {at(b['suspended_from_ns'])}" + (f", expected until {at(end)}" if end is not None else "")
        more_zh += f"；自 {at(b['suspended_from_ns'])} 起中止" + (f"，预计至 {at(end)}" if end is not None else "")
    head = f"{b['segment']}{day} {b['before']} → {b['after']}"
    return (
        f"{head}: {b['basis']} ({b['article']}){more_en}{evidence_en}",
        f"{head}：{b['basis']}（{b['article']}）{more_zh}{evidence_zh}",
    )


def _duty_opened(b: _Body, at: _Clock) -> _Both:
    name_en, name_zh = name_of(DUTIES, b["duty"])
    to_en, to_zh = names_of(BODIES, b.get("recipients") or [])
    due_en = "has no clock" if b["due_ns"] is None else f"is due at {at(b['due_ns'])}"
    due_zh = "无期限" if b["due_ns"] is None else f"须于 {at(b['due_ns'])} 前完成"
    return (
        f"{_of(b)}duty '{b['duty']}' {due_en}: {name_en}{f', to {to_en}' if to_en else ''} ({b['article']})",
        f"{_of(b)}义务 {b['duty']}（{name_zh}）{due_zh}{f'，对象：{to_zh}' if to_zh else ''}（{b['article']}）",
    )


def _duty_settled(b: _Body, _: _Clock) -> _Both:
    outcome_en, outcome_zh = name_of(OUTCOMES, b["outcome"])
    return (
        f"{_of(b)}duty '{b['duty']}': {outcome_en}, margin {b['margin_s']:.0f} s",
        f"{_of(b)}义务 {b['duty']}：{outcome_zh}，余量 {b['margin_s']:.0f} 秒",
    )


def _duty_reminded(b: _Body, at: _Clock) -> _Both:
    missing_en, missing_zh = names_of(BODIES, b["missing"])
    state_en = f"is overdue since {at(b['due_ns'])}" if b["overdue"] else f"is open for {b['hours']:g} h, due at {at(b['due_ns'])}"
    state_zh = f"已逾期，期限为 {at(b['due_ns'])}" if b["overdue"] else f"已历时 {b['hours']:g} 小时，期限 {at(b['due_ns'])}"
    return (
        f"{_of(b)}duty '{b['duty']}' {state_en}{f'; no receipt from {missing_en}' if missing_en else ''}",
        f"{_of(b)}义务 {b['duty']} {state_zh}{f'；尚缺回执：{missing_zh}' if missing_zh else ''}",
    )


def _duty_received(b: _Body, at: _Clock) -> _Both:
    body_en, body_zh = name_of(BODIES, b["recipient"])
    reference = f", {b['reference']}" if b["reference"] else ""
    return (
        f"{_of(b)}duty '{b['duty']}' delivered to {body_en} at {at(b['delivered_at_ns'])} (by {b['by']}{reference})",
        f"{_of(b)}义务 {b['duty']} 已于 {at(b['delivered_at_ns'])} 送达{body_zh}（{b['by']}{reference}）",
    )


def _approval_requested(b: _Body, _: _Clock) -> _Both:
    scope = f" [{', '.join(b['scope'])}]" if b["scope"] else ""
    return (
        f"{b['by']} asks both bodies to approve {b['measure']}{scope} ({b['article']}), digest {b['digest'][:12]}",
        f"{b['by']} 申请批准 {b['measure']}{scope}（{b['article']}），摘要 {b['digest'][:12]}",
    )


def _approval_recorded(b: _Body, _: _Clock) -> _Both:
    body_en, body_zh = name_of(BODIES, b["body"])
    said_en, said_zh = name_of(VERDICTS, b["verdict"])
    scope = f" [{', '.join(b['scope'])}]" if b["scope"] else ""
    reference = f" {b['reference']}" if b["reference"] else ""
    return (
        f"{body_en} ({b['by']}): {b['measure']}{scope} {said_en}, {b['form']}{reference}",
        f"{body_zh}（{b['by']}）：{b['measure']}{scope} {said_zh}，{'口头' if b['form'] == 'oral' else '书面'}{reference}",
    )


def _case_opened(b: _Body, at: _Clock) -> _Both:
    anomaly_en, anomaly_zh = name_of(ANOMALIES, b["anomaly"])
    major_en, major_zh = (", major", "，重大异常") if b["major"] else ("", "")
    return (
        f"case {b['case']} opened: {_of(b)}{anomaly_en} ({b['item']}){major_en}: {b['subject']}, found at {at(b['discovered_ns'])}",
        f"立案 {b['case']}：{_of(b)}{anomaly_zh}（{b['item']}）{major_zh}：{b['subject']}，发现于 {at(b['discovered_ns'])}",
    )


def _case_noted(b: _Body, _: _Clock) -> _Both:
    entry_en, entry_zh = name_of(ENTRIES, b["entry"])
    by_en, by_zh = (f" (by {b['by']})", f"（{b['by']}）") if b["by"] else ("", "")
    return f"case {b['case']}, {entry_en}: {b['text']}{by_en}", f"案件 {b['case']}，{entry_zh}：{b['text']}{by_zh}"


def _accepted(b: _Body, _: _Clock) -> _Both:
    said = ", ".join(f"{name} {value}" for name, value in b["args"].items() if value)
    return (
        f"{b['action']} by {b['by']} ({b['role']}) carried out ({b['article']}){f': {said}' if said else ''}",
        f"已执行 {b['by']}（{b['role']}）的 {b['action']}（{b['article']}）{f'：{said}' if said else ''}",
    )


def _profile(b: _Body, _: _Clock) -> _Both:
    priced = sum(1 for price in b["price_cny_per_mwh"] if price is not None)
    periods, (first, last) = len(b["price_cny_per_mwh"]), b["window"]
    return (
        f"reference prices for {b['day']}: {priced} of {periods} periods, from {first} to {last} ({b['article']})",
        f"{b['day']} 参考价：{periods} 个时段中 {priced} 个有值，取自 {first} 至 {last}（{b['article']}）",
    )


_SENTENCES: Final[dict[str, Callable[[_Body, _Clock], _Both]]] = {
    "Transition": _transition,
    "Announcement": lambda b, _: (f"{b['number']}: {b['text_en']}", f"{b['number']}：{b['text_zh']}"),
    "AnomalyNoted": lambda b, at: (
        f"{b['segment']} interval {at(b['interval_start_ns'])} has no valid result: {b['how']} {b['reason']} ({b['article']})",
        f"{b['segment']} 时段 {at(b['interval_start_ns'])} 无有效出清结果：{b['how']} {b['reason']}（{b['article']}）",
    ),
    "OutageEnded": lambda b, at: (
        f"{b['segment']} cleared again at {at(b['outage_end_ns'])} after {b['failed_intervals']} intervals without a result",
        f"{b['segment']} 于 {at(b['outage_end_ns'])} 恢复出清，共 {b['failed_intervals']} 个时段无结果",
    ),
    "Reminded": lambda b, _: (
        f"{b['segment']} has been out for {b['minutes']} min; {b['headroom_min']} min to the limit",
        f"{b['segment']} 出清已中断 {b['minutes']} 分钟，距熔断限值 {b['headroom_min']} 分钟",
    ),
    "FindingNoted": lambda b, _: (
        f"{b['finding']} ({b['article']}); {'; '.join(b['evidence'])}",
        f"{b['finding']}（{b['article']}）；{'；'.join(b['evidence'])}",
    ),
    "RecoveryProposed": lambda b, _: (
        f"{b['segment']}: {b['shadow_ok']} valid shadow clearings in a row; recovery may be confirmed",
        f"{b['segment']}：试算连续成功 {b['shadow_ok']} 次，可确认恢复",
    ),
    "DutyOpened": _duty_opened,
    "DutySettled": _duty_settled,
    "DutyReminded": _duty_reminded,
    "DutyReceived": _duty_received,
    "ApprovalRequested": _approval_requested,
    "ApprovalRecorded": _approval_recorded,
    "ApprovalVoided": lambda b, _: (
        f"approvals of {b['measure']} are void: {b['why']}",
        f"{b['measure']} 的批准已失效：{b['why']}",
    ),
    "CaseOpened": _case_opened,
    "CaseNoted": _case_noted,
    "CaseClosed": lambda b, _: (f"case {b['case']} closed (by {b['by']})", f"案件 {b['case']} 结案（{b['by']}）"),
    "RegimeProposed": lambda b, at: (
        f"{b['segment']}: {b['regime']} proposed from {at(b['from_ns'])} on ({b['article']}); {'; '.join(b['evidence'])}",
        f"{b['segment']}：建议自 {at(b['from_ns'])} 起适用 {b['regime']}（{b['article']}）；{'；'.join(b['evidence'])}",
    ),
    "ProfilePublished": _profile,
    "CommandAccepted": _accepted,
    "Refused": lambda b, _: (
        f"{b['action']} by {b['by']} ({b['role']}) refused: {b['why']} ({b['rule']})",
        f"{b['by']}（{b['role']}）的 {b['action']} 被拒绝：{b['why']}（{b['rule']}）",
    ),
    "ClearingOrdered": lambda b, at: (
        f"{b['segment']} interval {at(b['interval_start_ns'])} is cleared again by order of {b['by']}: {b['reason']} ({b['article']})",
        f"{b['by']}（{b['role']}）下令重新出清 {b['segment']} 时段 {at(b['interval_start_ns'])}：{b['reason']}（{b['article']}）",
    ),
    "ResultRevised": lambda b, at: (
        f"{b['segment']} interval {at(b['interval_start_ns'])} has result {b['version']}, by {b['by']}: {b['reason']} ({b['article']})",
        f"{b['segment']} 时段 {at(b['interval_start_ns'])} 发布第 {b['version']} 版结果，{b['by']} 下令：{b['reason']}（{b['article']}）",
    ),
}

KINDS: Final = frozenset(_SENTENCES)
"""Kinds of decision that have a sentence; a test holds that none is missing."""
