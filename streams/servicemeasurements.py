"""Measurements of the service itself: what it decided, whom it told, and how its parts are."""

from __future__ import annotations

from typing import Final

from streams.schema import AREA, DEV, SEGMENT, Measurement, count, quantity, tag, text

__all__ = ["ALERT", "DELIVERY", "EVENT", "PIPELINE", "STAGE"]

_INSTANCE: Final = tag("instance", "Process", "进程", "names that --instance gives")
_LOOK: Final = "event time it was looked at, every ten seconds"

EVENT: Final = Measurement(
    name="event",
    title_en="What was decided",
    title_zh="决策与公告",
    time="event time of the decision; its number below the millisecond",
    tags=(tag("kind", "Kind of decision", "决策类型", "kinds of decision body"), SEGMENT),
    fields=(
        count("seq", "Number of the decision", "决策序号"),
        text("text_en", "Text, English", "英文内容"),
        text("text_zh", "Text, Chinese", "中文内容"),
        text("rule_set", "Rules in force", "规则版本"),
        text("hash", "Hash in the audit chain", "审计链哈希"),
    ),
)

ALERT: Final = Measurement(
    name="alert",
    title_en="Told to the people on call",
    title_zh="告警",
    time="event time of the alert; its identity below the millisecond",
    tags=(
        AREA,
        DEV,
        tag("name", "Kind of alert", "告警类型", "kinds of alert"),
        tag("priority", "Priority", "优先级", "P1 to P4"),
        SEGMENT,
        tag("state", "State", "状态", "RAISED, CLEARED"),
    ),
    fields=(
        text("alert_id", "Identity", "告警标识"),
        text("text_en", "Text, English", "英文内容"),
        text("text_zh", "Text, Chinese", "中文内容"),
    ),
)

DELIVERY: Final = Measurement(
    name="delivery",
    title_en="An attempt to tell somebody",
    title_zh="告警送达",
    time="event time of the alert and the wall time until the attempt was over; its identity below the millisecond",
    tags=(
        tag("channel", "Channel", "渠道", "channels of the settings"),
        tag("priority", "Priority", "优先级", "P1 to P4"),
        tag("state", "State", "状态", "delivered, failed, undeliverable"),
    ),
    fields=(
        text("alert_id", "Identity of the alert", "告警标识"),
        count("attempt", "Which attempt it was, from 1", "第几次尝试"),
        quantity("latency_s", "s", "From the alert to the end of the attempt", "送达时延"),
        text("reply", "What the channel answered", "渠道答复"),
    ),
)

PIPELINE: Final = Measurement(
    name="pipeline",
    title_en="How a process is",
    title_zh="进程状态",
    time=_LOOK,
    tags=(_INSTANCE, tag("role", "Role", "角色", "all, ingest, streams, api")),
    fields=(
        quantity("up_s", "s", "Up for", "运行时长"),
        count("heartbeat", "1 on every line", "心跳"),
        quantity("spool_waiting_bytes", "B", "Waits for InfluxDB", "待写入数据量"),
        quantity("spool_waiting_s", "s", "Age of the oldest that waits", "待写入最久时长"),
        quantity("sink_lag_s", "s", "Age of the oldest line that waits and is not backlog", "写入滞后"),
        count("lines_sent", "Lines accepted, since the start", "已写入行数"),
        count("lines_rejected", "Lines refused, since the start", "被拒行数"),
        count("retries", "Requests that failed and were made again, since the start", "重试次数"),
        count("not_spooled", "Records the spool could not take, since the start", "未落盘记录数"),
        quantity("loop_delay_s", "s", "Delay of the event loop", "事件循环延迟"),
        quantity("rss_bytes", "B", "Memory", "内存"),
        quantity("cpu_s", "s", "Processor time, since the start", "处理器时间"),
        count("dead_letters", "Records that could not be processed, since the start", "死信记录数"),
        count("frames_dropped", "Frames of telemetry given up, since the start", "丢弃遥测帧数"),
    ),
)

STAGE: Final = Measurement(
    name="stage",
    title_en="How a stage of the pipeline is",
    title_zh="流水线各级状态",
    time=_LOOK,
    tags=(_INSTANCE, tag("stage", "Stage", "环节", "processors of the service, sinks by topic")),
    fields=(
        count("records", "Records taken, since the start", "已处理记录数"),
        count("errors", "Records that failed, or a sink was not shown, since the start", "失败记录数"),
        count("waiting", "Records that wait", "待处理记录数"),
        quantity("busy_s", "s", "Time at work, since the start", "累计工作时间"),
    ),
)
