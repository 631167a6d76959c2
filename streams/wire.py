"""Bytes on topics ⇄ records: the one table of what may appear where.

Frames and snapshots are columnar MessagePack (:mod:`ingest.frame`, :mod:`streams.image`). Everything else is JSON, one record with
its kind and version around it, so that an operator can read a topic with any tool::

    {"kind":"Ticked","v":1,"body":{"ts_event_ns":1577840400000000000}}

A kind that a topic does not carry is refused, and so is a body that does not fit its record: the caller dead-letters the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, get_args

import msgspec

from ingest.bundle import FrameBundle, decode_telemetry, encode_bundle
from ingest.errors import FrameError
from ingest.frame import TelemetryFrame, encode_frame
from market import facts
from market.decisions import Decision
from market.outcomes import Cleared, ClearingFailed, ClearingInputs
from market.prices import PriceInForce
from market.reclear import ClearAgain
from market.view import MarketView
from streams import topics
from streams.accounts import AreaAccounts
from streams.alerts import Alert
from streams.clearing import DayAheadPlan, DayAheadWanted, IntervalPlan
from streams.errors import DecodeError
from streams.findings import SOURCE_FINDINGS
from streams.gridpicture import GridPicture
from streams.image import AreaSnapshot, decode_snapshot, encode_snapshot
from streams.kpis import KpiFrame
from streams.processreport import ProcessReport, SolveTimed
from streams.topics import Topic

__all__ = ["DeadLetter", "decode", "encode"]

_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A record nobody could use, with where it was found and why it was refused.

    Attributes:
        raw_hex: the bytes, hexadecimal; of a very large record the beginning.
        size_bytes: how many there are.
        stage: ``decode`` or ``process``.
    """

    ts_event_ns: int
    topic: str
    partition: int
    offset: int
    stage: str
    reason: str
    raw_hex: str
    size_bytes: int = 0


_FACTS: Final[tuple[type[Any], ...]] = get_args(facts.Fact)
"""Every fact travels; the union is the list of them."""

_CARRIES: Final[dict[Topic, tuple[type[Any], ...]]] = {
    topics.FINDINGS: SOURCE_FINDINGS,
    topics.SNAPSHOTS: (IntervalPlan, DayAheadPlan),
    topics.INPUTS: (ClearingInputs, DayAheadWanted, ClearAgain),
    topics.OUTCOMES: (Cleared, ClearingFailed),
    topics.FACTS: _FACTS,
    topics.COMMANDS: (facts.CommandGiven,),
    topics.DECISIONS: (Decision,),
    topics.PRICES: (PriceInForce,),
    topics.KPI: (KpiFrame, GridPicture, MarketView, AreaAccounts, ProcessReport, SolveTimed),
    topics.ALERTS: (Alert,),
    topics.DEAD_LETTERS: (DeadLetter,),
}

_DECODERS: Final[dict[str, dict[str, msgspec.json.Decoder[Any]]]] = {
    topic.name: {record.__name__: msgspec.json.Decoder(record) for record in records} for topic, records in _CARRIES.items()
}


class _Envelope(msgspec.Struct):
    kind: str
    v: int
    body: msgspec.Raw


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


def encode(record: Any) -> bytes:
    """Encode a record for its topic."""
    if isinstance(record, TelemetryFrame):
        return encode_frame(record)
    if isinstance(record, FrameBundle):
        return encode_bundle(record.area, [encode_frame(frame) for frame in record.frames])
    if isinstance(record, AreaSnapshot):
        return encode_snapshot(record)
    return msgspec.json.encode({"kind": type(record).__name__, "v": _VERSION, "body": record})


def decode(topic: Topic, raw: bytes) -> Any:
    """Decode one record of a topic.

    Returns:
        One of the records the topic carries.

    Raises:
        DecodeError: not a record of this topic; the message says what was wrong where.
    """
    try:
        if topic is topics.FRAMES:
            return decode_telemetry(raw)
        if topic is topics.SNAPSHOTS and raw[:1] != b"{":
            return decode_snapshot(raw)
        envelope = _ENVELOPE.decode(raw)
        if envelope.v != _VERSION:
            raise DecodeError(f"{topic.name}: record of version {envelope.v}; this release reads version {_VERSION}")
        decoder = _DECODERS[topic.name].get(envelope.kind)
        if decoder is None:
            raise DecodeError(f"{topic.name}: does not carry {envelope.kind!r}; it carries {', '.join(_DECODERS[topic.name])}")
        return decoder.decode(envelope.body)
    except FrameError as exc:
        raise DecodeError(f"{topic.name}: {exc}") from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise DecodeError(f"{topic.name}: {exc}") from exc
