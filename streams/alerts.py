"""What is worth telling a person on call, as data: one alert per thing that happened, named so that it is told once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from market.decisions import Decision
from market.evidencewords import chinese
from market.units import NS_PER_H, NS_PER_MIN, civil_day, clock_text, floor_ns
from streams import handlingalerts
from streams.alertrecord import Alert, AlertState, Priority, alert_of
from streams.findings import ClockDirection, SourceClockJumped, SourceClockSteady, SourceFinding, SourceStale
from streams.words import SEGMENTS

__all__ = ["Alert", "AlertState", "Priority", "alerts_of", "damage_alert", "letter_alert", "letter_episode", "source_alert", "stall_alert"]


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
    "TOPOLOGY_SOFT": "拓扑疑似重大变化",
    "SWITCHOVER": "主备调切换",
    "DA_MISSED": "日前市场未按时出清",
    "DA_EXPECTED": "预计日前市场无法按时出清",
    "OTHER": "其他原因",
    "LATE": "结果逾期",
    "CONFIRM_TRIP": "调度机构确认",
    "PROPOSE_TRIP": "调度机构提出",
    "SUSPENSION_BEGAN": "中止已生效",
    "REGIME28_CONFIRMED": "交易机构已确认",
    "RESUMED": "已获批准并公告",
    "DAY_AHEAD_ZERO_MARGIN": "日前出清预计恰在截止时刻完成",
    "DAY_AHEAD_AT_RISK": "日前出清可能逾期",
    "OVER_72_H": "熔断超过 72 小时",
    "RECOVERED": "调度机构决定恢复",
    "UPDATE_OVERDUE": "承诺的后续通报逾期未发",
    "DATA_QUALITY_OVER": "量测数据质量已恢复",
    "PLANNED_OUTAGE": "计划停运",
    "RESULT_WAITS": "重新出清结果待双方同意后发布",
    "INSUFFICIENT_SAMPLE": "参考价样本不足",
    "WARNING": "有效预警，恢复须两人决定",
    "WARNING_OVER": "预警已解除",
    "LOGINS_FAIL": "系统原因无法登录",
    "ORDERS_FAIL": "系统原因无法申报",
    "WINDOW_NOT_CLOSED": "申报窗口未关闭",
    "NOT_ENDED": "交易未按时结束",
    "QUARANTINED": "逾时申报已隔离",
    "BOUNDARY_PUBLISHED": "边界数据已发布",
    "BOUNDARY_INCOMPLETE": "据不完整的边界数据出清",
    "DEADLINE_SET": "申报截止时间已公布",
    "DEADLINE_MOVED": "申报截止时间已推迟",
    "DECLARATION_FAILURE": "申报失败已确认",
    "PAPER_DECLARATION": "纸质申报已录入",
    "DATA_QUALITY": "量测数据质量下降",
    "CHATTERING": "开关位置抖动",
    "OBSERVABILITY_LOW": "可观测性不足",
    "PRICE_UNDER_REVIEW": "出清价格待复核",
    "CONTROL_CONFLICT": "两个调度中心同时主张控制权",
    "SWITCHED_BACK": "控制权已切回主调",
    "EXERCISE": "计划内切换演练",
    "PROPOSAL_UNANSWERED": "熔断提议无人应答",
    "BLIND": "看不到出清结果，不会自动熔断",
    "BLIND_OVER": "已恢复监视出清结果",
    "FROM_THE_FUTURE": "所报时间远在将来，未予采纳",
    "CLOCK_SUSPECT": "时钟可疑，不会自动熔断",
    "CLOCK_SUSPECT_OVER": "时钟已恢复可信",
    "SCADA_DOWN": "失去开关与潮流监视，暂停拓扑熔断",
    "SCADA_UP": "已恢复开关与潮流监视",
    "EVIDENCE_WITHDRAWN": "依据已消失",
    "REJECTED": "调度机构已否决",
}
"""Codes as a Chinese message writes them."""


def alerts_of(decision: Decision, zone: str = "Asia/Shanghai") -> tuple[Alert, ...]:
    """Say what a decision means to the people on call; nothing where it is no news to them."""
    body = decision.body
    match decision.kind:
        case "Transition":
            return _transition(decision, body, zone)
        case "AnomalyNoted":
            return _anomaly(decision, body, zone)
        case "Reminded":
            since = clock_text(body["outage_start_ns"], zone)
            return alert_of(
                decision,
                "clearing_failed",
                Priority.P2,
                f"clearing_out/{body['segment']}/{body['outage_start_ns']}/{body['minutes']}",
                f"{_CLEARING[body['segment']][0]} out for {body['minutes']} min since {since}; breaker in {body['headroom_min']} min",
                f"{_CLEARING[body['segment']][1]}已中断 {body['minutes']} 分钟（自 {since}）；距熔断 {body['headroom_min']} 分钟",
            )
        case "OutageEnded":
            return _outage_ended(decision, body, zone)
        case "RecoveryProposed":
            return alert_of(
                decision,
                "recovery_possible",
                Priority.P2,
                f"recovery_possible/{body['segment']}/{decision.seq}",
                f"{body['shadow_ok']} valid shadow clearings in a row: dispatch may recover the market",
                f"影子出清连续 {body['shadow_ok']} 次有效，调度机构可决定恢复",
            )
        case "FindingNoted":
            return _finding(decision, body)
        case _:
            return handlingalerts.alerts_of(decision, body, zone)


_CLEARING: Mapping[str, tuple[str, str]] = {"RT": ("Real-time clearing", "实时出清"), "DA": ("Day-ahead clearing", "日前出清")}


def _anomaly(decision: Decision, body: Mapping[str, Any], zone: str) -> tuple[Alert, ...]:
    segment, start_ns, how = body["segment"], body["interval_start_ns"], body["how"]
    code = body["reason"].partition(":")[0]
    how_zh = _ZH.get(how, how)
    why_en = body["reason"] if how == "FAILED" else ": ".join(filter(None, (how, body["reason"])))
    why_zh = f"{how_zh}：{_ZH[code]}" if code in _ZH else how_zh
    if segment == "DA":
        which_en, which_zh = f"Day-ahead market, {civil_day(start_ns, zone)}", f"日前市场 {civil_day(start_ns, zone)} "
    else:
        which_en, which_zh = f"Interval {clock_text(start_ns, zone)}", f"时段 {clock_text(start_ns, zone)} "
    return alert_of(
        decision,
        "clearing_failed",
        Priority.P3,
        f"clearing_failed/{segment}/{start_ns}",
        f"{which_en}: no valid clearing ({why_en})",
        f"{which_zh}无有效出清结果（{why_zh}）",
    )


def _outage_ended(decision: Decision, body: Mapping[str, Any], zone: str) -> tuple[Alert, ...]:
    minutes = (body["outage_end_ns"] - body["outage_start_ns"]) // NS_PER_MIN
    clearing_en, clearing_zh = _CLEARING[body["segment"]]
    text_en, text_zh = f"{clearing_en} is back after {minutes} min", f"{clearing_zh}已恢复，中断 {minutes} 分钟"
    again_ns = body.get("next_start_ns")
    if body.get("by_calendar"):
        segment_en, segment_zh = SEGMENTS[body["segment"]]
        text_en = f"{segment_en} closed by its calendar; clearing was out for {minutes} min until then"
        text_zh = f"{segment_zh}按日历休市；此前出清已中断 {minutes} 分钟"
    elif again_ns is not None:
        again = clock_text(again_ns, zone)
        text_en = f"One late clearing ended an outage of {minutes} min; {clearing_en.lower()} is out again since {again}"
        text_zh = f"迟到的出清结果结束了 {minutes} 分钟的中断；自 {again} 起{clearing_zh}再次中断"
    return alert_of(
        decision,
        "clearing_failed",
        Priority.P3,
        f"clearing_out/{body['segment']}/{body['outage_start_ns']}/ended",
        text_en,
        text_zh,
        state=AlertState.CLEARED if again_ns is None else AlertState.RAISED,
    )


_BY_NAME: Final = ("BLIND", "BLIND_OVER", "CLOCK_SUSPECT", "CLOCK_SUSPECT_OVER", "SCADA_DOWN", "SCADA_UP")
"""Findings whose Chinese name says all that their evidence does."""

_URGENCY: Final = {
    "CONTROL_CONFLICT": Priority.P1,
    "PROPOSAL_UNANSWERED": Priority.P1,
    "BLIND": Priority.P1,
    "CLOCK_SUSPECT": Priority.P1,
    "SCADA_DOWN": Priority.P2,
    "PRICE_UNDER_REVIEW": Priority.P2,
    "BOUNDARY_INCOMPLETE": Priority.P2,
    "UPDATE_OVERDUE": Priority.P2,
}
"""Findings that somebody must act on (spec §5); the others are for the record of the shift."""

_CLEARED_BY: Final = {
    "BLIND_OVER": "BLIND",
    "CLOCK_SUSPECT_OVER": "CLOCK_SUSPECT",
    "SCADA_UP": "SCADA_DOWN",
    "DATA_QUALITY_OVER": "DATA_QUALITY",
    "WARNING_OVER": "WARNING",
}
"""Finding that something is over → the finding it ends, by whose name it is told."""


def _finding(decision: Decision, body: Mapping[str, Any]) -> tuple[Alert, ...]:
    finding, evidence = body["finding"], "; ".join(body["evidence"])
    told = "；".join(chinese(line) or line for line in body["evidence"])
    ended = _CLEARED_BY.get(finding)
    return alert_of(
        decision,
        (ended or finding).lower(),
        _URGENCY.get(finding, Priority.P3),
        f"{finding.lower()}/{decision.seq}",
        f"{finding}: {evidence}",
        _ZH[finding] if finding in _BY_NAME else f"{_ZH.get(finding, finding)}：{told}",
        state=AlertState.CLEARED if ended else AlertState.RAISED,
    )


_PHASES: Mapping[str, tuple[str, Priority, str, str]] = {
    "PROPOSED": ("trip_proposed", Priority.P1, "trip proposed, waiting for dispatch", "拟熔断，待调度机构确认"),
    "TRIPPED": ("market_tripped", Priority.P1, "MARKET BREAKER TRIPPED", "市场熔断"),
    "OVERDUE": ("breaker_overdue", Priority.P1, "breaker time over 72 h", "熔断超过 72 小时"),
    "SUSPENDED": ("market_suspended", Priority.P1, "MARKET SUSPENDED", "市场中止"),
    "SUSPENDED_LONG": ("market_suspended", Priority.P2, "suspended for more than seven days, Art. 28", "中止超过 7 天，适用第28条"),
    "RESUMING": ("market_recovering", Priority.P3, "recovery announced", "已公告恢复"),
}
"""Phase entered → alert name, priority, English, Chinese; phases that are not here are no news."""

_LEFT: Mapping[str, tuple[str, str, str]] = {
    "OVERDUE": ("breaker_overdue", "the breaker is no longer overdue", "熔断超时状态已结束"),
    "SUSPENDED": ("market_suspended", "resumption announced", "已公告恢复"),
    "SUSPENDED_LONG": ("market_suspended", "resumption announced", "已公告恢复"),
}
"""Phase left → the alert it ends, English, Chinese."""


def _transition(decision: Decision, body: Mapping[str, Any], zone: str) -> tuple[Alert, ...]:
    segment, segment_zh, before, after = body["segment"], SEGMENTS[body["segment"]][1], body["before"], body["after"]
    basis, day = body["basis"], f" {body['operating_day']}" if body.get("operating_day") else ""
    if basis == "EFFECTIVE" or (before, after) == ("RESUMING", "NORMAL"):
        text_en, text_zh = f"{segment}: market prices are back in force", f"{segment_zh}：市场价格恢复执行"
        # Whatever was said of failing intervals before and during the breaker is over with it.
        return tuple(
            alert
            for name, identity in (("market_tripped", "restored"), ("clearing_failed", "restored/clearing"))
            for alert in alert_of(
                decision, name, Priority.P3, f"{identity}/{segment}/{decision.seq}", text_en, text_zh, state=AlertState.CLEARED
            )
        )
    over: tuple[Alert, ...] = ()
    if before == "PROPOSED":
        confirmed = after == "TRIPPED"
        text_en = f"{segment}: trip proposal " + ("confirmed" if confirmed else f"ended ({basis})")
        text_zh = f"{segment_zh}：" + ("熔断提议已执行" if confirmed else f"熔断提议已结束（{_ZH.get(basis, '–')}）")
        identity = f"trip_proposed/{segment}/{decision.seq}/ended"
        over = alert_of(decision, "trip_proposed", Priority.P3, identity, text_en, text_zh, state=AlertState.CLEARED)
    elif before in _LEFT and (left := _LEFT[before])[0] != _PHASES.get(after, ("",))[0]:
        identity = f"{left[0]}/{segment}/{decision.seq}/ended"
        texts = f"{segment}: {left[1]}", f"{segment_zh}：{left[2]}"
        over = alert_of(decision, left[0], Priority.P3, identity, *texts, state=AlertState.CLEARED)
    # Back to a recovery that was announced before is no news of its own.
    # Nor is a suspension that is decided, extended or applied to end: its notice and its duties tell.
    if after not in _PHASES or (after == "RESUMING" and before == "PROPOSED") or (before == after and before in _LEFT):
        return over
    name, priority, en, zh = _PHASES[body["after"]]
    met_ns = body["condition_met_at_ns"]
    met_en = "" if met_ns is None else f", condition met at {clock_text(met_ns, zone)}"
    met_zh = "" if met_ns is None else f"，条件成立时刻 {clock_text(met_ns, zone)}"
    entered = alert_of(
        decision,
        name,
        priority,
        f"{name}/{segment}/{decision.seq}",
        f"{segment}{day}: {en} ({basis}, {body['article']}{met_en})",
        f"{segment_zh}{day}：{zh}（{_ZH.get(basis, body['article'])}{met_zh}）",
    )
    return (*over, *entered)


def letter_episode(topic: str, ts_ns: int) -> str:
    """Return the identity of the alert about unusable records of a topic: one an hour, however many there are."""
    return f"dead_letters/{topic}/{floor_ns(ts_ns, NS_PER_H)}"


def letter_alert(topic: str, place: str, reason: str, ts_ns: int) -> Alert:
    """Say that records of a topic cannot be used, by the example of one; whoever tells keeps count of :func:`letter_episode`.

    Args:
        place: partition and offset of the record.
        reason: why it was refused.
        ts_ns: event time.
    """
    example = f"{place}: {reason[:300]}"
    return Alert(
        alert_id=letter_episode(topic, ts_ns),
        ts_event_ns=ts_ns,
        name="dead_letters",
        priority=Priority.P2,
        state=AlertState.RAISED,
        text_en=f"Records of {topic} cannot be used; they are among the dead letters. The first of this hour, {example}",
        text_zh=f"主题 {topic} 有记录无法处理，已转入死信。本小时首条，{example}",
        labels={"topic": topic},
    )


def source_alert(finding: SourceFinding, zone: str = "Asia/Shanghai") -> Alert:
    """Say that a device went quiet or that it is back, that its clock went wrong or that it is right again."""
    if isinstance(finding, SourceClockJumped | SourceClockSteady):
        return _clock_alert(finding, zone)
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


def _clock_alert(finding: SourceClockJumped | SourceClockSteady, zone: str) -> Alert:
    episode = f"device_clock/{finding.device}/{finding.since_ns}"
    wrong = isinstance(finding, SourceClockJumped)
    text_en, text_zh = f"Clock of {finding.device} is right again", f"设备 {finding.device} 时钟已恢复正常"
    if isinstance(finding, SourceClockJumped):
        since, ahead = clock_text(finding.since_ns, zone), finding.direction is ClockDirection.AHEAD
        by_en, by_zh = (f"{finding.jump_s:.0f} s ", f" {finding.jump_s:.0f} 秒") if finding.jump_s else ("", "")
        text_en = f"Clock of {finding.device} is {by_en}{'ahead' if ahead else 'behind'} since {since}; its values are dated by receipt"
        text_zh = f"设备 {finding.device} 时钟自 {since} 起{'快' if ahead else '慢'}{by_zh}，其数据改按接收时间计"
    return Alert(
        alert_id=episode if wrong else f"{episode}/cleared",
        ts_event_ns=finding.ts_event_ns,
        name="device_clock",
        priority=Priority.P3,
        state=AlertState.RAISED if wrong else AlertState.CLEARED,
        text_en=text_en,
        text_zh=text_zh,
        labels={"device": finding.device, "area": finding.area},
    )


_STALLS_ZH: Mapping[str, str] = {
    "no room": "磁盘空间或配额已用尽，请释放空间",
    "held": "日志文件被其他程序占用，请关闭该程序",
    "failing": "磁盘读写出错，请检查磁盘",
}
"""Kinds of stall (:class:`streams.transport.patience.Trouble`) as a Chinese message writes them, with the remedy."""

_DAMAGE_ZH: Mapping[str, str] = {
    "checksum differs": "校验不符",
    "it is missing": "记录缺失",
    "a column changed its type": "字段类型改变",
}


def stall_alert(since_ns: int, ts_event_ns: int, kind: str, reason: str, *, over: bool, zone: str = "Asia/Shanghai") -> Alert:
    """Say that the log takes nothing to disk, or that it does again.

    Args:
        since_ns: when it began by the wall clock, UTC ns; names the episode.
        kind: ``no room``, ``held`` or ``failing``.
        reason: what was wrong, and the remedy.
        over: whether it is over.
    """
    episode, since = f"log_stalled/{since_ns}", clock_text(since_ns, zone)
    return Alert(
        alert_id=f"{episode}/resolved" if over else episode,
        ts_event_ns=ts_event_ns,
        name="log_stalled",
        priority=Priority.P1,
        state=AlertState.CLEARED if over else AlertState.RAISED,
        text_en=f"The log is written again; it was stalled since {since}, and nothing that was accepted is lost"
        if over
        else f"THE LOG IS STALLED since {since}: nothing is accepted or decided until the disk takes it ({reason})",
        text_zh=f"日志已恢复写入（自 {since} 起停滞）；已受理的数据无丢失"
        if over
        else f"日志自 {since} 起无法写入，恢复之前不再受理数据、不作决策（{_STALLS_ZH[kind]}）",
        labels={"store": "log"},
    )


def damage_alert(topic: str, partition: int, first: int, last: int, reason: str, ts_event_ns: int) -> Alert:
    """Say that records on disk are not what was written.

    Args:
        first: offset of the first of them; ``last`` of the last one.
        reason: what is wrong with the first.
    """
    offsets = f"{first}" if first == last else f"{first}–{last}"
    return Alert(
        alert_id=f"log_damaged/{topic}/{partition}/{first}-{last}",
        ts_event_ns=ts_event_ns,
        name="log_damaged",
        priority=Priority.P2,
        state=AlertState.RAISED,
        text_en=f"Damaged on disk: {topic}[{partition}] offset {offsets}, {last - first + 1} record(s) ({reason}); those still to be read "
        "go among the dead letters; check the disk, and restore them from a copy of the log if they matter",
        text_zh=f"磁盘记录损坏：{topic}[{partition}] 偏移 {offsets}，共 {last - first + 1} 条（{_DAMAGE_ZH.get(reason, '数据页损坏')}）；"
        "尚未读取的将转入死信，请检查磁盘，必要时从备份恢复",
        labels={"store": "log", "topic": topic, "partition": str(partition)},
    )
