"""How does a record become lines of InfluxDB line protocol?

Every record goes through :func:`_line`, which writes what :mod:`streams.measurements` declares and nothing else: tags in order and
all of them, fields by their declared type, values that are not finite left out. One such value would make InfluxDB 2 refuse every
line of its request. Telemetry, a thousand times as much data, has an encoder of its own (:mod:`streams.telemetrylines`).

Escaping follows what the servers accept, not only what they document: a tag value cannot be empty, hold a line break or end in a
backslash, so these are replaced; text fields lose their line breaks, because a line is also the unit in which the flusher looks for
what a server refuses.

Deliberately absent: buffering and sending; rounding (a float is written in the shortest form that reads back the same).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, Final
from zlib import crc32

from ingest.account import LostReason
from market.decisions import Decision
from market.facts import Segment
from market.outcomes import Cleared, ClearingFailed, Outcome
from market.prices import PriceInForce
from market.units import NS_PER_MS, NS_PER_S, floor_ns
from market.view import MarketView, SegmentView
from streams import measurements as m
from streams.accounts import AreaAccounts
from streams.alerts import Alert
from streams.kpis import KpiFrame
from streams.sentences import sentence

__all__ = [
    "encode_alert",
    "encode_decision",
    "encode_kpis",
    "encode_market",
    "encode_outcome",
    "encode_price",
    "tag_value",
]

_TEXT_MAX: Final = 8_000
"""Characters of a text field; a server's own limit is 64 KiB. A longer text is cut and ends in an ellipsis."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_Values = Mapping[str, float | int | str | None]

_LOST_REASONS: Final = frozenset(LostReason)
_TAG_ESCAPES: Final = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ "})


def tag_value(text: str) -> str:
    r"""Escape a tag value; what line protocol cannot hold becomes ``_``.

    >>> tag_value("A, B=1"), tag_value("C:" + chr(92)), tag_value("")
    ('A\\,\\ B\\=1', 'C:_', 'none')
    """
    clean = _CONTROL.sub("_", text) or m.NONE
    if clean.endswith("\\"):
        clean = clean.rstrip("\\") + "_" * (len(clean) - len(clean.rstrip("\\")))
    return clean.translate(_TAG_ESCAPES)


def _text_value(text: str) -> str:
    clean = _CONTROL.sub(" ", text)
    if len(clean) > _TEXT_MAX:
        clean = clean[: _TEXT_MAX - 1] + "…"
    return '"' + clean.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _field_value(kind: m.FieldType, value: Any) -> str | None:
    """Write one value as its declared type, or nothing where there is no value to write."""
    if value is None:
        return None
    if kind is m.FieldType.FLOAT:
        return repr(float(value)) if isfinite(value) else None
    if kind is m.FieldType.INT:
        return f"{int(value)}i"
    return _text_value(value)


def _line(measurement: m.Measurement, ts_ns: int, tags: Mapping[str, str], values: _Values) -> bytes:
    """Write one line, or nothing where no field has a value.

    Raises:
        KeyError: a tag is missing, or a field is not declared; the schema and the record have come apart.
    """
    fields = []
    for name, value in values.items():
        text = _field_value(measurement.field(name).type, value)
        if text is not None:
            fields.append(f"{name}={text}")
    if not fields:
        return b""
    key = "".join(f",{tag.name}={tag_value(tags[tag.name])}" for tag in measurement.tags)
    return f"{measurement.name}{key} {','.join(fields)} {ts_ns}\n".encode()


def _ms(ts_ns: int) -> int:
    return floor_ns(ts_ns, NS_PER_MS)


def encode_kpis(frame: KpiFrame) -> bytes:
    """Encode key figures: system, areas, fuels, the most loaded branches and the health of the sources."""
    ts_ns = _ms(frame.ts_event_ns)
    lines = [_line(m.KPI, ts_ns, {}, {**frame.system, "lines_open": len(frame.lines_open)})]
    lines += [_line(m.KPI_AREA, ts_ns, {"area": area}, figures) for area, figures in frame.areas.items()]
    lines += [_line(m.FUEL, ts_ns, {"fuel": fuel}, {"generation_mw": mw}) for fuel, mw in frame.generation_mw_by_fuel.items()]
    lines += [
        _line(m.LINE_LOADING, ts_ns, {"branch": line.branch}, {"flow_mw": line.flow_mw, "loading_pct": line.loading_pct})
        for line in frame.worst_lines
    ]
    lines += [
        _line(
            m.SOURCE,
            ts_ns,
            {"area": source.area, "dev": source.source},
            {
                "state": source.state,
                "age_s": source.age_s,
                "age_p95_s": frame.freshness_s_by_source.get(source.source),
                "points": source.points,
                "good": source.good,
            },
        )
        for source in frame.sources
    ]
    return b"".join(lines)


def encode_accounts(accounts: AreaAccounts) -> bytes:
    """Encode what became of the samples of an area's devices in one interval."""
    ts_ns = _ms(accounts.from_ns)
    lines = []
    for device in accounts.devices:
        values: dict[str, float | int | str | None] = {
            "expected": device.expected,
            "good": device.good,
            "uncertain": device.uncertain,
            "bad": device.bad,
            "late": device.late,
            "lost": device.lost_in_all,
        }
        # Only reasons of this release have a field; the sum has all of them.
        values |= {f"lost_{reason}": samples for reason, samples in device.lost.items() if reason in _LOST_REASONS}
        lines.append(_line(m.ACCOUNT, ts_ns, {"area": accounts.area, "dev": device.device}, values))
    return b"".join(lines)


def _since_s(ts_ns: int, since_ns: int | None) -> float | None:
    return None if since_ns is None else max(0.0, (ts_ns - since_ns) / NS_PER_S)


def _until_s(ts_ns: int, then_ns: int | None) -> float | None:
    return None if then_ns is None else max(0.0, (then_ns - ts_ns) / NS_PER_S)


def encode_market(view: MarketView) -> bytes:
    """Encode the state of each segment; the price in force stands on the line of the real-time segment."""

    def values(segment: SegmentView) -> _Values:
        own: dict[str, float | int | str | None] = {
            "phase": segment.phase,
            "basis": segment.basis,
            # No outage is a known 0 s, so that a bar goes back to empty when clearing returns.
            "outage_s": _since_s(view.ts_event_ns, segment.outage_start_ns) or 0.0,
            "headroom_s": segment.headroom_s,
            "breaker_s": _since_s(view.ts_event_ns, segment.tripped_at_ns) or 0.0,
            "suspended_s": _since_s(view.ts_event_ns, segment.suspended_from_ns) or 0.0,
            "failed_intervals": segment.failed_intervals,
            "shadow_ok": segment.shadow_ok,
            "flags": ",".join(segment.flags),
        }
        if segment.segment is Segment.RT:
            own |= {
                "regime": view.regime,
                "price_cny_per_mwh": view.price_cny_per_mwh,
                "last_valid_age_s": _since_s(view.ts_event_ns, view.last_valid_at_ns),
                "duties_open": len(view.duties),
                "duties_overdue": sum(duty.overdue for duty in view.duties),
                "cases_open": len(view.cases),
                "approvals_open": len(view.approvals),
            }
        else:
            own |= {
                "expected_p50_s": _until_s(view.ts_event_ns, segment.expected_p50_ns),
                "expected_p90_s": _until_s(view.ts_event_ns, segment.expected_p90_ns),
                "outlook": segment.outlook,
            }
        return own

    return b"".join(_line(m.MARKET, _ms(view.ts_event_ns), {"segment": s.segment}, values(s)) for s in view.segments)


def encode_outcome(outcome: Outcome, segment: Segment = Segment.RT) -> bytes:
    """Encode how an interval was cleared: its status, and for a result the price of every bus and the limits that bind."""
    ts_ns = outcome.interval_start_ns + outcome.version - 1
    common: _Values = {
        "version": outcome.version,
        "margin_s": (outcome.interval_start_ns - outcome.completed_at_ns) / NS_PER_S,
    }
    match outcome:
        case ClearingFailed():
            failed: _Values = {"status": "FAILED", "valid": 0, "reason": outcome.reason, "detail": outcome.detail}
            return _line(m.CLEARING, ts_ns, {"segment": segment}, {**failed, **common})
        case Cleared():
            return b"".join(_cleared_lines(outcome, segment, ts_ns, common))


def _cleared_lines(outcome: Cleared, segment: Segment, ts_ns: int, common: _Values) -> Iterable[bytes]:
    cleared: _Values = {
        "status": outcome.status,
        "valid": 1,
        "reason": "",
        "uniform_price_cny_per_mwh": outcome.uniform_price_per_mwh,
        "energy_cny_per_mwh": outcome.energy_per_mwh,
        "objective_cny_per_h": outcome.objective_per_h,
        "penalty_cny_per_h": outcome.penalty_per_h,
        "binding": len(outcome.binding),
        "violations": len(outcome.violations),
        "violation_mw": sum(violation.mw for violation in outcome.violations),
        "certified": outcome.certificate.passed,
    }
    yield _line(m.CLEARING, ts_ns, {"segment": segment}, {**cleared, **common})
    for bus, price in outcome.lmp_per_mwh.items():
        parts: _Values = {"price_cny_per_mwh": price, "congestion_cny_per_mwh": outcome.congestion_per_mwh.get(bus)}
        yield _line(m.LMP, ts_ns, {"bus": bus, "segment": segment}, parts)
    for limit in outcome.binding:
        tags = {"branch": limit.id, "kind": limit.kind, "outage": limit.outage or m.NONE, "segment": segment}
        shadow: _Values = {"flow_mw": limit.flow_mw, "limit_mw": limit.limit_mw, "shadow_price_cny_per_mwh": limit.shadow_price}
        yield _line(m.BINDING, ts_ns, tags, shadow)


def encode_price(price: PriceInForce) -> bytes:
    """Encode the price in force; a revision is appended after the price it replaces."""
    values: _Values = {
        "price_cny_per_mwh": price.price_cny_per_mwh,
        "regime": price.regime,
        "rev": price.rev,
        "provisional": price.provisional,
        "source": price.source,
        "age_s": None if price.age_ns is None else price.age_ns / NS_PER_S,
    }
    return _line(m.PRICE, price.interval_start_ns + price.rev, {"segment": price.segment}, values)


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
    values: _Values = {"alert_id": alert.alert_id, "text_en": alert.text_en, "text_zh": alert.text_zh}
    return _line(m.ALERT, _ms(alert.ts_event_ns) + crc32(alert.alert_id.encode()) % NS_PER_MS, tags, values)


def encode_decision(decision: Decision, zone: str = "Asia/Shanghai") -> bytes:
    """Encode a decision with one sentence in each language; decisions of one millisecond stay apart by their number.

    Args:
        decision: a link of the audit chain.
        zone: the market's zone, in which instants are written out for people.
    """
    text_en, text_zh = sentence(decision, zone)
    values: _Values = {"seq": decision.seq, "text_en": text_en, "text_zh": text_zh, "rule_set": decision.rule_set, "hash": decision.hash}
    tags = {"kind": decision.kind, "segment": decision.body.get("segment") or m.NONE}
    return _line(m.EVENT, _ms(decision.ts_event_ns) + decision.seq % NS_PER_MS, tags, values)
