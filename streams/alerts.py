"""What is worth telling a person on call, as data: one alert per thing that happened, named so that it is told once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from market.decisions import Decision
from market.units import NS_PER_MIN, clock_text
from streams.findings import SourceFresh, SourceStale

__all__ = ["Alert", "AlertState", "Priority", "alerts_of", "source_alert"]


class Priority(StrEnum):
    """Consequence times urgency (spec §5): P1 at once, P4 for the record."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"


class AlertState(StrEnum):
    """Whether a condition began or ended; something that only happened is RAISED."""

    RAISED = "RAISED"
    CLEARED = "CLEARED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One message to the people on call.

    Attributes:
        alert_id: identity: the same thing told again has the same id, and is delivered once.
        name: kind of alert, stable: market_tripped, clearing_failed, device_stale, …
        labels: what routes and groups it: segment, device, area.
    """

    alert_id: str
    ts_event_ns: int
    name: str
    priority: Priority
    state: AlertState
    text_en: str
    text_zh: str
    labels: dict[str, str] = field(default_factory=dict)


_ZH: Mapping[str, str] = {
    "MISSED": "无结果",
    "FAILED": "失败",
    "INVALID": "结果无效",
    "INPUT_MISSING": "输入缺失",
    "INPUT_STALE": "输入陈旧",
    "INPUT_INVALID": "输入无效",
    "TOPOLOGY_CHANGED": "拓扑变化",
    "SOLVER_TIMEOUT": "求解超时",
    "SOLVER_STATUS": "求解无解",
    "KKT_FAILED": "最优性校验未通过",
    "PRICE_NOT_CREDIBLE": "价格不可信",
    "SUSPENDED": "已中止",
    "RT_120": "连续 120 分钟未出清",
    "TOPOLOGY_HARD": "拓扑重大变化",
    "SWITCHOVER": "主备调切换",
    "CHATTERING": "开关位置抖动",
    "OBSERVABILITY_LOW": "可观测性不足",
    "CONTROL_CONFLICT": "两个调度中心同时主张控制权",
    "SWITCHED_BACK": "控制权已切回主调",
    "EXERCISE": "计划内切换演练",
    "PROPOSAL_UNANSWERED": "熔断提议无人应答",
}
"""Codes as a Chinese message writes them."""


def alerts_of(decision: Decision, zone: str = "Asia/Shanghai") -> tuple[Alert, ...]:
    """Say what a decision means to the people on call; nothing where it is no news to them."""
    body = decision.body
    match decision.kind:
        case "Transition":
            return _transition(decision, body, zone)
        case "AnomalyNoted":
            at, how = clock_text(body["interval_start_ns"], zone), body["how"]
            code = body["reason"].partition(":")[0]
            why_zh = f"{_ZH[how]}：{_ZH[code]}" if code in _ZH else _ZH[how]
            return _alert(
                decision,
                "clearing_failed",
                Priority.P3,
                f"clearing_failed/{body['segment']}/{body['interval_start_ns']}",
                f"Interval {at}: no valid clearing ({body['reason'] if how == 'FAILED' else how + ': ' + body['reason']})",
                f"时段 {at} 无有效出清结果（{why_zh}）",
            )
        case "Reminded":
            since = clock_text(body["outage_start_ns"], zone)
            return _alert(
                decision,
                "clearing_failed",
                Priority.P2,
                f"clearing_out/{body['segment']}/{body['outage_start_ns']}/{body['minutes']}",
                f"Real-time clearing out for {body['minutes']} min since {since}; breaker in {body['headroom_min']} min",
                f"实时出清已中断 {body['minutes']} 分钟（自 {since}）；距熔断 {body['headroom_min']} 分钟",
            )
        case "OutageEnded":
            minutes = (body["outage_end_ns"] - body["outage_start_ns"]) // NS_PER_MIN
            return _alert(
                decision,
                "clearing_failed",
                Priority.P3,
                f"clearing_out/{body['segment']}/{body['outage_start_ns']}/ended",
                f"Real-time clearing is back after {minutes} min",
                f"实时出清已恢复，中断 {minutes} 分钟",
                state=AlertState.CLEARED,
            )
        case "RecoveryProposed":
            return _alert(
                decision,
                "recovery_possible",
                Priority.P2,
                f"recovery_possible/{body['segment']}/{decision.seq}",
                f"{body['shadow_ok']} valid shadow clearings in a row: dispatch may recover the market",
                f"影子出清连续 {body['shadow_ok']} 次有效，调度机构可决定恢复",
            )
        case "FindingNoted":
            finding, evidence = body["finding"], "; ".join(body["evidence"])
            return _alert(
                decision,
                finding.lower(),
                Priority.P1 if finding in ("CONTROL_CONFLICT", "PROPOSAL_UNANSWERED") else Priority.P3,
                f"{finding.lower()}/{decision.seq}",
                f"{finding}: {evidence}",
                f"{_ZH.get(finding, finding)}：{evidence}",
            )
        case _:
            return ()


_PHASES: Mapping[str, tuple[str, Priority, str, str]] = {
    "PROPOSED": ("trip_proposed", Priority.P1, "trip proposed, waiting for dispatch", "拟熔断，待调度机构确认"),
    "TRIPPED": ("market_tripped", Priority.P1, "MARKET BREAKER TRIPPED", "市场熔断"),
    "OVERDUE": ("breaker_overdue", Priority.P1, "breaker time over 72 h", "熔断超过 72 小时"),
    "RESUMING": ("market_recovering", Priority.P3, "recovery announced", "已公告恢复"),
}
"""Phase entered → alert name, priority, English, Chinese; phases that are not here are no news."""

_SEGMENTS_ZH: Mapping[str, str] = {"RT": "实时市场", "DA": "日前市场"}


def _transition(decision: Decision, body: Mapping[str, Any], zone: str) -> tuple[Alert, ...]:
    segment, segment_zh = body["segment"], _SEGMENTS_ZH[body["segment"]]
    if body["after"] == "NORMAL" and body["before"] == "RESUMING":
        text_en, text_zh = f"{segment}: market prices are back in force", f"{segment_zh}：市场价格恢复执行"
        # Whatever was said of failing intervals before and during the breaker is over with it.
        return tuple(
            alert
            for name, identity in (("market_tripped", "restored"), ("clearing_failed", "restored/clearing"))
            for alert in _alert(
                decision, name, Priority.P3, f"{identity}/{segment}/{decision.seq}", text_en, text_zh, state=AlertState.CLEARED
            )
        )
    if body["after"] not in _PHASES:
        return ()
    name, priority, en, zh = _PHASES[body["after"]]
    met_ns, basis = body["condition_met_at_ns"], body["basis"]
    met_en = "" if met_ns is None else f", condition met at {clock_text(met_ns, zone)}"
    met_zh = "" if met_ns is None else f"，条件成立时刻 {clock_text(met_ns, zone)}"
    return _alert(
        decision,
        name,
        priority,
        f"{name}/{segment}/{decision.seq}",
        f"{segment}: {en} ({basis}, {body['article']}{met_en})",
        f"{segment_zh}：{zh}（{_ZH.get(basis, body['article'])}{met_zh}）",
    )


def _alert(
    decision: Decision,
    name: str,
    priority: Priority,
    identity: str,
    text_en: str,
    text_zh: str,
    *,
    state: AlertState = AlertState.RAISED,
) -> tuple[Alert, ...]:
    labels = {"rule_set": decision.rule_set, "decision": str(decision.seq)}
    if "segment" in decision.body:
        labels["segment"] = decision.body["segment"]
    alert = Alert(
        alert_id=identity,
        ts_event_ns=decision.ts_event_ns,
        name=name,
        priority=priority,
        state=state,
        text_en=text_en,
        text_zh=text_zh,
        labels=labels,
    )
    return (alert,)


def source_alert(finding: SourceStale | SourceFresh, zone: str = "Asia/Shanghai") -> Alert:
    """Say that a device went quiet, or that it is back."""
    episode = f"device_stale/{finding.device}/{finding.since_ns}"
    since = clock_text(finding.since_ns, zone) if finding.since_ns else "–"
    stale = isinstance(finding, SourceStale)
    return Alert(
        alert_id=episode if stale else f"{episode}/cleared",
        ts_event_ns=finding.ts_event_ns,
        name="device_stale",
        priority=Priority.P3,
        state=AlertState.RAISED if stale else AlertState.CLEARED,
        text_en=f"Device {finding.device} is silent since {since}" if stale else f"Device {finding.device} answers again",
        text_zh=f"设备 {finding.device} 自 {since} 起无数据" if stale else f"设备 {finding.device} 已恢复",
        labels={"device": finding.device, "area": finding.area},
    )
