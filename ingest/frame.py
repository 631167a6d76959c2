"""The telemetry frame: what one poll, one publish or one push of one source said, as columns.

A frame is a batch of samples with quality and two times on every one: ``ts_event_ns``, when it held at the device, and
``ts_ingest_ns``, when we received it. On the wire it is a MessagePack map of little-endian columns (30 bytes a sample), read back
without copying; of times, qualities and flags that are all the same, as those of a good poll are, only one is written. A frame without
samples is a heartbeat: it says that time passed for its source.

Points are named by a stable 64-bit hash of their full name, so that a frame in the log keeps its meaning whatever the point list
becomes later. A collision is found when a point list is read (:mod:`ingest.points`), not when a value is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from ingest.account import ACCOUNT_SOURCE, Accounts
from ingest.errors import FrameError

__all__ = [
    "ACCOUNTS_PART",
    "SAMPLES_MAX",
    "TelemetryFrame",
    "Ticket",
    "account_frame",
    "decode_frame",
    "encode_frame",
    "frame_of",
    "heartbeat",
    "point_id",
]

SAMPLES_MAX: Final = 12_000
"""Most samples in one frame: 12,000 x 30 bytes stays below half of Kafka's default record limit of 1 MiB."""

_VERSION: Final = 1
_VERSION_SHORT: Final = 2
"""Of frames with a column of which one value is written for all samples; frames without one are as they were in the first release."""

_COLUMNS: Final = tuple(
    (name, np.dtype(kind)) for name, kind in (("point", "<u8"), ("ts", "<i8"), ("value", "<f8"), ("quality", "<u4"), ("flags", "<u2"))
)
_SHORTENED: Final = frozenset({"ts", "quality", "flags"})
_ONE_FOR_ALL_MIN: Final = 16
"""Samples from which on it is looked whether they are all the same."""


def point_id(name: str) -> int:
    """Return the stable 64-bit id of a point.

    >>> point_id("unit/101_CT_1/mw") == point_id("unit/101_CT_1/mw")
    True
    """
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


ACCOUNTS_PART: Final = 255
"""The part of a :class:`Ticket` that accounts are: they wait behind a backlog also while samples go past it, in an order of their own."""


class Ticket(NamedTuple):
    """Which frame this is of all that a process sends for an area: what is delivered twice is taken once (:mod:`streams.delivered`).

    Attributes:
        run: names the run of the process, 63 bits.
        nth: counts the frames of the area that carry something, from 0 on, in the order in which they were made.
        part: of a frame that comes from a store, which of its parts this is; None for a frame as it was made.
    """

    run: int
    nth: int
    part: int | None = None


class TelemetryFrame(msgspec.Struct, frozen=True, kw_only=True, eq=False, gc=False):
    """Samples of one source, received together; cannot be changed (:func:`msgspec.structs.replace`).

    One is made for every poll of every device. A frozen dataclass would take six times as long to fill.

    Attributes:
        source: the device or server, as the point list names it.
        area: the control area it belongs to; frames of an area keep their order.
        seq: counts frames of this source from the start of the process.
        ts_ingest_ns: when we received the samples, UTC ns.
        point: (n,) uint64, ids of the points.
        ts_event_ns: (n,) int64, source times, UTC ns.
        value: (n,) float64, engineering units; NaN only where the quality is bad.
        quality: (n,) uint32, OPC UA status codes.
        flags: (n,) uint16, :class:`ingest.quality.Flag`.
        clock_off_ns: by how much the newest time that its device claimed lay ahead of ours (negative: behind), where that time was not
            believed and ours stands in its place; 0 where the device's times stand.
        accounts: what became of the samples of earlier frames; None but in frames of their own (:func:`account_frame`).
        ticket: which frame it is; None for one that carries nothing, and until it is sent.
    """

    source: str
    area: str
    seq: int
    ts_ingest_ns: int
    point: NDArray[np.uint64]
    ts_event_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint32]
    flags: NDArray[np.uint16]
    clock_off_ns: int = 0
    accounts: Accounts | None = None
    ticket: Ticket | None = None

    def __len__(self) -> int:
        return len(self.point)

    def only(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> TelemetryFrame:
        """Return the frame with some of its samples: (n,) bool which ones, or (k,) their places, in this order."""
        return replace(
            self,
            point=self.point[chosen],
            ts_event_ns=self.ts_event_ns[chosen],
            value=self.value[chosen],
            quality=self.quality[chosen],
            flags=self.flags[chosen],
        )

    def __post_init__(self) -> None:
        n = len(self.point)
        if not n == len(self.ts_event_ns) == len(self.value) == len(self.quality) == len(self.flags):
            columns = (self.ts_event_ns, self.value, self.quality, self.flags)
            raise FrameError(f"{self.source}: columns of different lengths: {n}, {', '.join(str(len(c)) for c in columns)}")
        if n > SAMPLES_MAX:
            raise FrameError(f"{self.source}: {n} samples in one frame, at most {SAMPLES_MAX}; split the poll")


def frame_of(
    source: str,
    area: str,
    seq: int,
    ts_ingest_ns: int,
    samples: Sequence[tuple[int, int, float, int, int]],
) -> TelemetryFrame:
    """Build a frame from rows of (point id, source time ns, value, status code, flags)."""
    columns = list(zip(*samples, strict=True)) if samples else [(), (), (), (), ()]
    return TelemetryFrame(
        source=source,
        area=area,
        seq=seq,
        ts_ingest_ns=ts_ingest_ns,
        point=np.array(columns[0], dtype=np.uint64),
        ts_event_ns=np.array(columns[1], dtype=np.int64),
        value=np.array(columns[2], dtype=np.float64),
        quality=np.array(columns[3], dtype=np.uint32),
        flags=np.array(columns[4], dtype=np.uint16),
    )


def heartbeat(source: str, area: str, seq: int, ts_ingest_ns: int) -> TelemetryFrame:
    """Build a frame without samples: time passed, nothing was said."""
    return frame_of(source, area, seq, ts_ingest_ns, ())


def account_frame(area: str, ts_ingest_ns: int, accounts: Accounts) -> TelemetryFrame:
    """Build a frame that carries no samples, and the accounts of devices of an area."""
    return replace(heartbeat(ACCOUNT_SOURCE, area, 0, ts_ingest_ns), accounts=accounts)


def encode_frame(frame: TelemetryFrame, ticket: Ticket | None = None) -> bytes:
    """Encode a frame for a topic, under its own ticket where none is given."""
    columns = (frame.point, frame.ts_event_ns, frame.value, frame.quality, frame.flags)
    body: dict[str, Any] = {
        "v": _VERSION,
        "src": frame.source,
        "area": frame.area,
        "seq": frame.seq,
        "rx": frame.ts_ingest_ns,
        "n": len(frame),
    }
    if frame.clock_off_ns:
        body["off"] = frame.clock_off_ns
    if frame.accounts is not None:
        body["acc"] = frame.accounts
    if (ticket := ticket or frame.ticket) is not None:
        body["tk"] = ticket
    long = len(frame) >= _ONE_FOR_ALL_MIN
    for (name, dtype), column in zip(_COLUMNS, columns, strict=True):
        raw = np.ascontiguousarray(column, dtype=dtype)
        if long and name in _SHORTENED and not np.count_nonzero(raw != raw[0]):
            body["v"] = _VERSION_SHORT
            raw = raw[:1]
        body[name] = raw.tobytes()
    return msgspec.msgpack.encode(body)


class _Wire(msgspec.Struct):
    v: int
    src: str
    area: str
    seq: int
    rx: int
    n: int
    point: bytes
    ts: bytes
    value: bytes
    quality: bytes
    flags: bytes
    off: int = 0
    acc: Accounts | None = None
    tk: Ticket | None = None


_DECODER: Final = msgspec.msgpack.Decoder(_Wire)
_NOTHING: Final = np.empty(0)
_POINTS: Final[dict[str, NDArray[np.uint64]]] = {}
_POINTS_MAX: Final = 20_000
"""Of every source the points of its last frame, so that frames alike share them: who has looked at them once need not do so again."""


def decode_frame(raw: bytes) -> TelemetryFrame:
    """Decode a frame; the columns are read-only, and views of ``raw`` where they stand there sample by sample.

    Raises:
        FrameError: not a frame, of a later version, or with columns of the wrong size.
    """
    try:
        wire = _DECODER.decode(raw)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as exc:
        raise FrameError(f"not a telemetry frame: {exc}") from exc
    if wire.v not in (_VERSION, _VERSION_SHORT):
        raise FrameError(f"telemetry frame of version {wire.v}; this release reads versions {_VERSION} and {_VERSION_SHORT}")
    arrays: list[NDArray[Any]] = []
    for name, dtype in _COLUMNS:
        data: bytes = getattr(wire, name)
        column = np.frombuffer(data, dtype=dtype) if len(data) % dtype.itemsize == 0 else _NOTHING
        if len(column) == 1 < wire.n and wire.v == _VERSION_SHORT and name in _SHORTENED:
            if wire.n > SAMPLES_MAX:
                raise FrameError(f"{wire.src}: {wire.n} samples in one frame, at most {SAMPLES_MAX}")
            column = np.full(wire.n, column[0])
            column.flags.writeable = False
        if len(column) != wire.n:
            raise FrameError(f"{wire.src}: column {name} has {len(data)} bytes for {wire.n} samples")
        arrays.append(column)
    point, ts_event_ns, value, quality, flags = arrays
    shared = _POINTS.get(wire.src)
    if shared is not None and shared.base is not None and wire.point == shared.base:
        point = shared
    elif wire.n:
        if len(_POINTS) >= _POINTS_MAX:
            _POINTS.clear()
        _POINTS[wire.src] = point
    return TelemetryFrame(
        source=wire.src,
        area=wire.area,
        seq=wire.seq,
        ts_ingest_ns=wire.rx,
        point=point,
        ts_event_ns=ts_event_ns,
        value=value,
        quality=quality,
        flags=flags,
        clock_off_ns=wire.off,
        accounts=wire.acc,
        ticket=wire.tk,
    )
