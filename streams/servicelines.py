"""How do alerts, deliveries and reports on processes become lines?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Final
from zlib import crc32

from market.units import NS_PER_MS, NS_PER_S
from streams import measurements as m
from streams.alerts import Alert
from streams.lineprotocol import Values, line, ms
from streams.outbox import Attempt, DeliveryState
from streams.processreport import ProcessReport

__all__ = ["encode_alert", "encode_attempt", "encode_report"]

_HEAD: Final = ("ts_event_ns", "instance", "role", "stages")
"""What of a report is no field."""


def encode_alert(alert: Alert) -> bytes:
    """Encode an alert; two alerts of one millisecond stay apart by their identity."""
    tags = {
        "area": alert.labels.get("area", m.NONE),
        "dev": alert.labels.get("device", m.NONE),
        "name": alert.name,
        "priority": alert.priority,
        "segment": alert.labels.get("segment", m.NONE),
        "state": alert.state,
    }
    values: Values = {"alert_id": alert.alert_id, "text_en": alert.text_en, "text_zh": alert.text_zh}
    return line(m.ALERT, ms(alert.ts_event_ns) + crc32(alert.alert_id.encode()) % NS_PER_MS, tags, values)


def encode_attempt(attempt: Attempt, channel: str) -> bytes:
    """Encode an attempt to deliver an alert; one that will be made again is ``failed``, the last one of all ``undeliverable``.

    It stands at the alert's event time and what passed since by the wall clock: among the alerts it is of, also where time is simulated.
    """
    alert = attempt.claim.alert
    state = "failed" if attempt.state is DeliveryState.WAITING else attempt.state.value
    took_ns = max(0, attempt.at_ns - attempt.claim.put_ns)
    identity = f"{alert.alert_id} {channel} {attempt.claim.attempt}"
    values: Values = {
        "alert_id": alert.alert_id,
        "attempt": attempt.claim.attempt,
        "latency_s": took_ns / NS_PER_S,
        "reply": attempt.reply,
    }
    tags = {"channel": channel, "priority": alert.priority, "state": state}
    return line(m.DELIVERY, ms(alert.ts_event_ns + took_ns) + crc32(identity.encode()) % NS_PER_MS, tags, values)


def encode_report(report: ProcessReport) -> bytes:
    """Encode how a process is, and each of its stages."""
    ts_ns = ms(report.ts_event_ns)
    values = {name: value for name, value in asdict(report).items() if name not in _HEAD}
    lines = [line(m.PIPELINE, ts_ns, {"instance": report.instance, "role": report.role}, {"heartbeat": 1, **values})]
    for stage in report.stages:
        tags = {"instance": report.instance, "stage": stage.stage}
        counts: Values = {"records": stage.records, "errors": stage.errors, "waiting": stage.waiting, "busy_s": stage.busy_s}
        lines.append(line(m.STAGE, ts_ns, tags, counts))
    return b"".join(lines)
