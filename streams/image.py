"""The process image: one consistent picture of the grid at one tick, from which everything of that tick is computed.

Intake holds the last value of every point of its area and writes it out at each tick as an :class:`AreaSnapshot`. The grid processor
lays the snapshots of all areas side by side: that is the image. It does not change while key figures are computed and inputs frozen
from it. An area that has fallen behind is shown by its last snapshot, which goes on ageing: what was good when it was written turns
stale by the same limits as if the area had said so itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.errors import FrameError
from ingest.frame import TelemetryFrame, decode_frame, encode_frame
from ingest.points import PointTable
from ingest.quality import is_good
from market.units import NS_PER_S
from streams.kpis import SourceHealth

__all__ = ["AreaSnapshot", "GridImage", "decode_snapshot", "decode_snapshots", "encode_snapshot", "encode_snapshots", "image_of"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AreaSnapshot:
    """Every point of one area at one tick.

    Attributes:
        ts_event_ns: the tick.
        area: the control area.
        values: the last usable value of each point with its source time; quality as of the tick (a stale point is Uncertain). A
            point that never had a usable value is not in it.
        sources: how each device of the area is doing.
        counters: samples taken, duplicate, reordered, late and unknown since the first start, by name.
    """

    ts_event_ns: int
    area: str
    values: TelemetryFrame
    sources: tuple[SourceHealth, ...]
    counters: dict[str, int]


class _Wire(msgspec.Struct):
    v: int
    ts: int
    area: str
    values: bytes
    sources: tuple[SourceHealth, ...]
    counters: dict[str, int]


_VERSION: Final = 1
_DECODER: Final = msgspec.msgpack.Decoder(_Wire)
_LIST_DECODER: Final = msgspec.msgpack.Decoder(list[bytes])


def encode_snapshot(snapshot: AreaSnapshot) -> bytes:
    """Encode a snapshot for its topic."""
    return msgspec.msgpack.encode(
        _Wire(
            v=_VERSION,
            ts=snapshot.ts_event_ns,
            area=snapshot.area,
            values=encode_frame(snapshot.values),
            sources=snapshot.sources,
            counters=snapshot.counters,
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
    if wire.v != _VERSION:
        raise FrameError(f"area snapshot of version {wire.v}; this release reads version {_VERSION}")
    return AreaSnapshot(ts_event_ns=wire.ts, area=wire.area, values=decode_frame(wire.values), sources=wire.sources, counters=wire.counters)


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
        snapshots: one per area, none later than the tick; points the table does not have (a point list that changed since) are left
            out. One that is older than the tick goes on ageing: its points and devices turn stale.
    """
    n = len(table)
    value = np.full(n, np.nan)
    ts_ns = np.full(n, -1, dtype=np.int64)
    quality = np.full(n, 0xFFFFFFFF, dtype=np.uint32)
    lags = np.zeros(n, dtype=bool)
    for snapshot in snapshots:
        rows = table.rows(snapshot.values.point)
        known = rows >= 0
        rows = rows[known]
        value[rows] = snapshot.values.value[known]
        ts_ns[rows] = snapshot.values.ts_event_ns[known]
        quality[rows] = snapshot.values.quality[known]
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
        sources=tuple(source for snapshot in snapshots for source in _sources(snapshot, ts_event_ns, table, good, stale)),
    )


def _sources(
    snapshot: AreaSnapshot, ts_event_ns: int, table: PointTable, good: NDArray[np.bool_], stale: NDArray[np.bool_]
) -> tuple[SourceHealth, ...]:
    """Return the devices of one area as of the tick, (n,) flags of the table's points given; those of an area that lags have aged."""
    lag_s = (ts_event_ns - snapshot.ts_event_ns) / NS_PER_S
    if not lag_s:
        return snapshot.sources
    rows = table.rows(snapshot.values.point)
    rows = rows[rows >= 0]
    device = table.device_of[rows]
    aged = []
    for source in snapshot.sources:
        own = rows[device == table.devices.index(source.source)] if source.source in table.devices else rows[:0]
        good_now = int(np.count_nonzero(good[own]))
        state = "stale" if stale[own].all() else source.state if good_now or source.state == "stale" else "bad"
        aged.append(replace(source, good=good_now, age_s=source.age_s + lag_s if source.age_s >= 0.0 else source.age_s, state=state))
    return tuple(aged)
