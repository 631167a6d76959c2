"""The process image: one consistent picture of the grid at one tick, from which everything of that tick is computed.

Intake holds the last value of every point of its area and writes it out at each tick as an :class:`AreaSnapshot`, a large area in
several parts, each a record that any transport carries. The grid processor lays the snapshots of all areas side by side: that is the
image. It does not change while key figures are computed and inputs frozen
from it. An area that has fallen behind is shown by its last snapshot, which goes on ageing: what was good when it was written turns
stale by the same limits as if the area had said so itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.errors import FrameError
from ingest.frame import SAMPLES_MAX, TelemetryFrame, decode_frame, encode_frame
from ingest.points import PointTable
from ingest.quality import is_good
from market.units import NS_PER_S
from streams.kpis import SourceHealth

__all__ = [
    "AreaSnapshot",
    "GridImage",
    "decode_snapshot",
    "decode_snapshots",
    "encode_snapshot",
    "encode_snapshots",
    "image_of",
    "snapshot_parts",
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AreaSnapshot:
    """Every point of one area at one tick, or one part of them.

    Attributes:
        ts_event_ns: the tick.
        area: the control area.
        values: the last usable value of each point with its source time; quality as of the tick (a stale point is Uncertain). A
            point that never had a usable value is not in it.
        sources: how each device of the area is doing; of a part, some of them, whatever points it has.
        counters: samples taken, duplicate, reordered, late and unknown since the first start, by name.
        part, parts: which part of how many; the parts of a snapshot follow each other on the topic.
    """

    ts_event_ns: int
    area: str
    values: TelemetryFrame
    sources: tuple[SourceHealth, ...]
    counters: dict[str, int]
    part: int = 0
    parts: int = 1


class _Wire(msgspec.Struct, omit_defaults=True):
    v: int
    ts: int
    area: str
    values: bytes
    sources: tuple[SourceHealth, ...]
    counters: dict[str, int]
    part: int = 0
    parts: int = 1


_WHOLE, _PARTED = 1, 2
"""Versions: a release that knows no parts must not take one for the whole."""

_SOURCES_MAX: Final = 3_000
"""Most devices in one part: about 120 bytes each, beside :data:`ingest.frame.SAMPLES_MAX` samples of 30 bytes."""

_DECODER: Final = msgspec.msgpack.Decoder(_Wire)
_LIST_DECODER: Final = msgspec.msgpack.Decoder(list[bytes])


def snapshot_parts(
    ts_event_ns: int,
    area: str,
    seq: int,
    columns: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]],
    sources: tuple[SourceHealth, ...],
    counters: dict[str, int],
) -> tuple[AreaSnapshot, ...]:
    """Make the snapshot of an area, in as many parts as its points and devices need.

    Args:
        ts_event_ns: the tick.
        seq: number of the snapshot.
        columns: point ids, source times, values, status codes and flags, as in :class:`ingest.frame.TelemetryFrame`.
    """
    parts = max(-(-len(columns[0]) // SAMPLES_MAX), -(-len(sources) // _SOURCES_MAX), 1)
    snapshots = []
    for part in range(parts):
        point, ts_ns, value, quality, flags = (column[part * SAMPLES_MAX : (part + 1) * SAMPLES_MAX] for column in columns)
        values = TelemetryFrame(
            source="@intake",
            area=area,
            seq=seq,
            ts_ingest_ns=ts_event_ns,
            point=point,
            ts_event_ns=ts_ns,
            value=value,
            quality=quality,
            flags=flags,
        )
        some = sources[part * _SOURCES_MAX : (part + 1) * _SOURCES_MAX]
        snapshots.append(
            AreaSnapshot(ts_event_ns=ts_event_ns, area=area, values=values, sources=some, counters=counters, part=part, parts=parts)
        )
    return tuple(snapshots)


def encode_snapshot(snapshot: AreaSnapshot) -> bytes:
    """Encode a snapshot for its topic."""
    return msgspec.msgpack.encode(
        _Wire(
            v=_WHOLE if snapshot.parts == 1 else _PARTED,
            ts=snapshot.ts_event_ns,
            area=snapshot.area,
            values=encode_frame(snapshot.values),
            sources=snapshot.sources,
            counters=snapshot.counters,
            part=snapshot.part,
            parts=snapshot.parts,
        )
    )


def decode_snapshot(raw: bytes) -> AreaSnapshot:
    """Decode a snapshot.

    Raises:
        FrameError: not a snapshot, or of a later version.
    """
    try:
        wire = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise FrameError(f"not an area snapshot: {exc}") from exc
    if wire.v not in (_WHOLE, _PARTED):
        raise FrameError(f"area snapshot of version {wire.v}; this release reads versions {_WHOLE} and {_PARTED}")
    if not 0 <= wire.part < wire.parts:
        raise FrameError(f"area snapshot of {wire.area}: part {wire.part} of {wire.parts}")
    return AreaSnapshot(
        ts_event_ns=wire.ts,
        area=wire.area,
        values=decode_frame(wire.values),
        sources=wire.sources,
        counters=wire.counters,
        part=wire.part,
        parts=wire.parts,
    )


def encode_snapshots(snapshots: Iterable[AreaSnapshot]) -> bytes:
    """Encode several snapshots into one value, for the table that a restart begins from."""
    return msgspec.msgpack.encode([encode_snapshot(snapshot) for snapshot in snapshots])


def decode_snapshots(raw: bytes) -> tuple[AreaSnapshot, ...]:
    """Decode what :func:`encode_snapshots` wrote.

    Raises:
        FrameError: not written by it: an invariant is broken, and the worker must not go on.
    """
    try:
        encoded = _LIST_DECODER.decode(raw)
    except msgspec.DecodeError as exc:
        raise FrameError(f"not a list of area snapshots: {exc}") from exc
    return tuple(decode_snapshot(snapshot) for snapshot in encoded)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GridImage:
    """All points at one tick, in the order of the point table.

    Attributes:
        ts_event_ns: the tick.
        value: (n,) float64, last usable value; NaN for a point that never had one.
        age_s: (n,) float64, s: tick less source time; for a point told by exception, tick less its source's last sign of life;
            infinite for a point that never had a value.
        good: (n,) bool, the value is GOOD and fresh.
        usable: (n,) bool, there is a value that was good enough when it was measured, however old; intake keeps no other.
        sources: every device.
    """

    ts_event_ns: int
    value: NDArray[np.float64]
    age_s: NDArray[np.float64]
    good: NDArray[np.bool_]
    usable: NDArray[np.bool_]
    sources: tuple[SourceHealth, ...]


def image_of(ts_event_ns: int, table: PointTable, snapshots: Sequence[AreaSnapshot]) -> GridImage:
    """Lay snapshots side by side.

    Args:
        ts_event_ns: the tick the image stands for.
        table: every point of the system.
        snapshots: one per area, none later than the tick, each with all its parts; points the table does not have (a point list that
            changed since) are left out. One that is older than the tick goes on ageing: its points and devices turn stale.
    """
    n = len(table)
    value = np.full(n, np.nan)
    ts_ns = np.full(n, -1, dtype=np.int64)
    quality = np.full(n, 0xFFFFFFFF, dtype=np.uint32)
    lags = np.zeros(n, dtype=bool)
    for snapshot in snapshots:
        rows = table.rows(snapshot.values.point)
        columns = (snapshot.values.value, snapshot.values.ts_event_ns, snapshot.values.quality)
        if len(rows) and rows.min() < 0:
            known = rows >= 0
            rows, columns = rows[known], (columns[0][known], columns[1][known], columns[2][known])
        value[rows], ts_ns[rows], quality[rows] = columns
        lags[rows] = snapshot.ts_event_ns < ts_event_ns
    have = ts_ns >= 0
    life_s = {
        source.source: source.age_s + (ts_event_ns - snapshot.ts_event_ns) / NS_PER_S
        for snapshot in snapshots
        for source in snapshot.sources
    }
    device_age_s = np.array([life_s.get(device, np.inf) for device in table.devices])
    sample_age_s = (ts_event_ns - ts_ns) / NS_PER_S
    age_s = np.where(table.by_exception, device_age_s[table.device_of], sample_age_s) if n else sample_age_s
    age_s = np.where(have, age_s, np.inf)
    # Intake has judged what it wrote as of its own tick; only what has aged since is judged here.
    stale = lags & (age_s * NS_PER_S > table.stale_after_ns)
    good = have & is_good(quality) & ~stale
    return GridImage(
        ts_event_ns=ts_event_ns,
        value=value,
        age_s=age_s,
        good=good,
        usable=have & np.isfinite(value),
        sources=_sources(ts_event_ns, snapshots, table, good, have & ~stale),
    )


def _sources(
    ts_event_ns: int, snapshots: Sequence[AreaSnapshot], table: PointTable, good: NDArray[np.bool_], fresh: NDArray[np.bool_]
) -> tuple[SourceHealth, ...]:
    """Return all devices as of the tick, (n,) flags of the table's points given; those of areas that lag have aged."""
    if all(snapshot.ts_event_ns == ts_event_ns for snapshot in snapshots):
        return tuple(source for snapshot in snapshots for source in snapshot.sources)
    devices = table.devices
    good_of = dict(zip(devices, np.bincount(table.device_of[good], minlength=len(devices)).tolist(), strict=True))
    fresh_of = dict(zip(devices, np.bincount(table.device_of[fresh], minlength=len(devices)).tolist(), strict=True))
    sources = []
    for snapshot in snapshots:
        lag_s = (ts_event_ns - snapshot.ts_event_ns) / NS_PER_S
        for source in snapshot.sources:
            if not lag_s:
                sources.append(source)
                continue
            good_now = good_of.get(source.source, 0)
            state = "stale" if not fresh_of.get(source.source) else source.state if good_now or source.state == "stale" else "bad"
            age_s = source.age_s + lag_s if source.age_s >= 0.0 else source.age_s
            sources.append(replace(source, good=good_now, age_s=age_s, state=state))
    return tuple(sources)
