"""What is worth telling of how an anomaly is handled: duties that run out, cases, approvals, a pricing rule that is proposed.

Part of :mod:`streams.alerts`, which asks here about every decision that neither moves a segment nor is found by a detector. What is
no news to the people on call is left out: an order that was carried out, a receipt, an entry in a case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from market.decisions import Decision
from market.units import NS_PER_H, instant_text
from streams.alertrecord import Alert, AlertState, Priority, alert_of
from streams.words import ANOMALIES, BODIES, DUTIES, OUTCOMES, SEGMENTS, VERDICTS, name_of, names_of

__all__ = ["alerts_of"]

_Body = Mapping[str, Any]


def alerts_of(decision: Decision, body: _Body, zone: str) -> tuple[Alert, ...]:
    """Say what a decision on the handling of an anomaly means to the people on call; nothing where it is no news to them."""
    match decision.kind:
        case "DutyReminded":
            return _reminded(decision, body, zone)
        case "DutySettled":
            return _settled(decision, body)
        case "CaseOpened" | "CaseClosed":
            return _case(decision, body)
        case "CaseNoted" if body["entry"] == "MAJOR":
            identity, texts = f"case/{body['case']}/major", (f"Case {body['case']} is major", f"案件 {body['case']} 为重大异常")
            return alert_of(decision, "case_open", Priority.P3, identity, *texts, about={"case": body["case"]})
        case "ApprovalRequested" | "ApprovalRecorded" | "ApprovalVoided":
            return _approval(decision, body)
        case "RegimeProposed":
            begins = instant_text(body["from_ns"], zone)
            return alert_of(
                decision,
                "regime_proposed",
                Priority.P2,
                f"regime_proposed/{body['segment']}/{body['regime']}/{body['from_ns']}",
                f"{body['segment']}: {body['article']} may apply from {begins} on; a person of TRADING must confirm it",
                f"{SEGMENTS[body['segment']][1]}：建议自 {begins} 起适用{_article_zh(body['article'])}，待交易机构确认",
            )
        case _:
            return ()


def _article_zh(article: str) -> str:
    """Write a citation as a Chinese message does: ``Art. 28`` → ``第28条``.

    >>> _article_zh("Art. 27(3)"), _article_zh("policy 1.2")
    ('第27条（3）', 'policy 1.2')
    """
    if not article.startswith("Art. "):
        return article
    number, _, item = article.removeprefix("Art. ").partition("(")
    return f"第{number}条" + (f"（{item.rstrip(')')}）" if item else "")


def _duty(body: _Body) -> tuple[str, str, dict[str, str]]:
    """Name a duty with its segment in both languages, and what tells it from another."""
    duty_en, duty_zh = name_of(DUTIES, body["duty"])
    segment = body.get("segment")
    segment_en, segment_zh = (f"{segment}: ", f"{SEGMENTS[segment][1]}：") if segment else ("", "")
    return f"{segment_en}{duty_en}", f"{segment_zh}{duty_zh}", {"duty": body.get("key") or body["duty"]}


def _reminded(decision: Decision, body: _Body, zone: str) -> tuple[Alert, ...]:
    duty_en, duty_zh, about = _duty(body)
    due = instant_text(body["due_ns"], zone)
    missing_en, missing_zh = names_of(BODIES, body["missing"])
    tail_en, tail_zh = (f"; no receipt from {missing_en}", f"；尚缺回执：{missing_zh}") if missing_en else ("", "")
    if body["overdue"]:
        texts = f"OVERDUE since {due}: {duty_en}{tail_en}", f"已逾期（期限 {due}）：{duty_zh}{tail_zh}"
        return alert_of(decision, "duty_due", Priority.P1, f"duty_due/{about['duty']}/overdue", *texts, about=about)
    texts = f"Due {due}: {duty_en}, open for {body['hours']:g} h{tail_en}", f"期限 {due}：{duty_zh}，已历时 {body['hours']:g} 小时{tail_zh}"
    return alert_of(decision, "duty_due", _urgency(decision, body), f"duty_due/{about['duty']}/{body['hours']:g}", *texts, about=about)


_LAST_PART: Final = 0.1
"""With less than this share of its time left, a duty is of the highest priority (spec §5)."""


def _urgency(decision: Decision, body: _Body) -> Priority:
    left_h = (body["due_ns"] - decision.ts_event_ns) / NS_PER_H
    return Priority.P1 if left_h < _LAST_PART * (body["hours"] + left_h) else Priority.P2


def _settled(decision: Decision, body: _Body) -> tuple[Alert, ...]:
    """Clear what was said of a duty; a task without a clock, and a notice published in the moment of the trip, were never spoken of."""
    if body["margin_s"] == 0.0 or (body["duty"] == "announce" and body["outcome"] != "late"):
        return ()
    duty_en, duty_zh, about = _duty(body)
    done_en, done_zh = name_of(OUTCOMES, body["outcome"])
    identity = f"duty_due/{about['duty']}/settled/{decision.seq}"
    texts = f"{duty_en}: {done_en}", f"{duty_zh}：{done_zh}"
    return alert_of(decision, "duty_due", Priority.P3, identity, *texts, state=AlertState.CLEARED, about=about)


def _case(decision: Decision, body: _Body) -> tuple[Alert, ...]:
    """Tell of a case, for the record where the clearing's own alert says as much."""
    number, about = body["case"], {"case": body["case"]}
    if decision.kind == "CaseClosed":
        texts = f"Case {number} is closed", f"案件 {number} 已结案"
        return alert_of(decision, "case_open", Priority.P4, f"case/{number}/closed", *texts, state=AlertState.CLEARED, about=about)
    anomaly_en, anomaly_zh = name_of(ANOMALIES, body["anomaly"])
    priority = Priority.P4 if body["anomaly"] == "RESULT" and not body["major"] else Priority.P2
    texts = (
        f"Case {number}: {anomaly_en}, {body['item']}: {body['subject']}",
        f"案件 {number}：{anomaly_zh}，{_article_zh(body['item'])}：{body['subject']}",
    )
    return alert_of(decision, "case_open", priority, f"case/{number}/opened", *texts, about=about)


def _approval(decision: Decision, body: _Body) -> tuple[Alert, ...]:
    """Tell the bodies that they are asked, and the operators what the bodies say."""
    measure, about = body["measure"], {"measure": body["measure"]}
    identity = f"approval/{measure}/{body['digest'][:12]}"
    if decision.kind == "ApprovalRequested":
        texts = f"{measure} waits for the approval of GOV and REG ({body['article']})", f"{measure} 待政府主管部门和监管机构批准"
        return alert_of(decision, "approval_requested", Priority.P2, identity, *texts, about=about)
    if decision.kind == "ApprovalVoided":
        texts = f"Approvals of {measure} are void: {body['why']}", f"{measure} 内容已变更，原批准失效"
        return alert_of(decision, "approval_voided", Priority.P2, f"{identity}/void/{decision.seq}", *texts, about=about)
    body_en, body_zh = name_of(BODIES, body["body"])
    said_en, said_zh = name_of(VERDICTS, body["verdict"])
    priority = Priority.P2 if body["verdict"] == "REFUSED" else Priority.P4
    texts = f"{measure}: {said_en} by the {body_en} ({body['form']})", f"{measure}：{body_zh}{said_zh}"
    return alert_of(decision, "approval_recorded", priority, f"{identity}/{body['body']}/{decision.seq}", *texts, about=about)
