"""The last-value table: for every point its last usable value, when that held, and how the point is doing now, as columns.

It answers "value, quality, age" for a hundred thousand points at once. It drops nothing without counting it: of each sample it is said
whether it was taken, known already, too late to be the newest, or of a point that is not in the table.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.errors import FrameError
from ingest.frame import TelemetryFrame
from ingest.points import PointTable
from ingest.quality import BAD_WAITING_FOR_INITIAL_DATA, is_bad

__all__ = ["LastValues", "Sorted"]

_NEVER: Final = -1
_VERSION: Final = 1
_COLUMNS: Final = (("value", "<f8"), ("ts_value_ns", "<i8"), ("ts_seen_ns", "<i8"), ("quality", "<u4"), ("flags", "<u2"))


class _Wire(msgspec.Struct):
    v: int
    point: bytes
    columns: tuple[bytes, bytes, bytes, bytes, bytes]
    counters: dict[str, int]


_DECODER: Final = msgspec.msgpack.Decoder(_Wire)

_LAYOUTS_PER_POINT: Final = 4
"""Samples of remembered layouts per point of the table: polled points are in one or two, those told by exception in any number."""


class Sorted:
    """What became of a frame's samples.

    Attributes:
        rows: (k,) int64, rows whose value or quality is new.
        unknown: ids of points the table does not have.
    """

    __slots__ = ("rows", "unknown")

    def __init__(self, rows: NDArray[np.int64], unknown: NDArray[np.uint64]) -> None:
        self.rows = rows
        self.unknown = unknown


class _Layout(NamedTuple):
    """Points that a source sends together.

    Attributes:
        rows: rows of those that the table has.
        known: per point, whether the table has it; None where it has all.
    """

    rows: NDArray[np.int64]
    known: NDArray[np.bool_] | None


class LastValues:
    """Last values of the points of a table.

    Args:
        table: the points; rows are the table's.

    Attributes:
        value: (n,) float64, last usable value; NaN before the first.
        ts_value_ns: (n,) int64, source time of that value, UTC ns; -1 before the first.
        ts_seen_ns: (n,) int64, source time of the newest sample, usable or not.
        quality: (n,) uint32, status code of the newest sample.
        flags: (n,) uint16, its flags.
        counters: samples taken, duplicate, late and unknown since the first start.
    """

    def __init__(self, table: PointTable) -> None:
        n = len(table)
        self.table = table
        self.value: NDArray[np.float64] = np.full(n, np.nan)
        self.ts_value_ns: NDArray[np.int64] = np.full(n, _NEVER, dtype=np.int64)
        self.ts_seen_ns: NDArray[np.int64] = np.full(n, _NEVER, dtype=np.int64)
        self.quality: NDArray[np.uint32] = np.full(n, BAD_WAITING_FOR_INITIAL_DATA, dtype=np.uint32)
        self.flags: NDArray[np.uint16] = np.zeros(n, dtype=np.uint16)
        self.counters = {"taken": 0, "duplicate": 0, "late": 0, "unknown": 0}
        self._layouts: dict[bytes, _Layout] = {}
        self._layout_samples = 0

    def _layout(self, point: NDArray[np.uint64]) -> _Layout:
        """Return where a frame's points stand: looked up once per layout, because a source sends the same points again and again."""
        raw = point.tobytes()
        layout = self._layouts.get(raw)
        if layout is None:
            rows = self.table.rows(point)
            known = rows >= 0
            layout = _Layout(rows[known], None if known.all() else known)
            self._layout_samples += len(point)
            if self._layout_samples > _LAYOUTS_PER_POINT * len(self.table):
                # Sources that tell by exception seldom repeat a layout; those that do are looked up again.
                self._layouts.clear()
                self._layout_samples = len(point)
            self._layouts[raw] = layout
        return layout

    def take(self, frame: TelemetryFrame) -> Sorted:
        """Take in a frame.

        A sample is a duplicate where point, source time and quality are known already, and late where something newer is known; both
        change nothing here (the sinks keep late samples at their own time).
        """
        rows, known = self._layout(frame.point)
        ts_ns, value, quality, flags = frame.ts_event_ns, frame.value, frame.quality, frame.flags
        unknown = frame.point[:0]
        if known is not None:
            unknown = frame.point[~known]
            self.counters["unknown"] += len(unknown)
            ts_ns, value, quality, flags = ts_ns[known], value[known], quality[known], flags[known]
        usable = np.isfinite(value)
        if np.count_nonzero(quality):
            usable &= ~is_bad(quality)
        newer = ts_ns > self.ts_value_ns[rows]
        if np.count_nonzero(usable) == np.count_nonzero(newer) == len(rows):
            # Nearly every frame: all of it is usable and news.
            self.counters["taken"] += len(rows)
            self.ts_seen_ns[rows] = self.ts_value_ns[rows] = ts_ns
            self.value[rows], self.quality[rows], self.flags[rows] = value, quality, flags
            return Sorted(rows, unknown)
        # A usable value may carry a time before the failure that hid it: a server that comes back repeats what still holds.
        reference_ns = np.where(usable, self.ts_value_ns[rows], self.ts_seen_ns[rows])
        late = ts_ns < reference_ns
        fresh = ~(late | ((ts_ns == reference_ns) & (quality == self.quality[rows])))
        late_n, fresh_n = int(np.count_nonzero(late)), int(np.count_nonzero(fresh))
        self.counters["late"] += late_n
        self.counters["taken"] += fresh_n
        self.counters["duplicate"] += len(rows) - late_n - fresh_n
        rows, ts_ns, value, quality = rows[fresh], ts_ns[fresh], value[fresh], quality[fresh]
        flags, usable = flags[fresh], usable[fresh]
        self.ts_seen_ns[rows] = ts_ns
        self.quality[rows] = quality
        self.flags[rows] = flags
        usable_rows = rows[usable]
        self.value[usable_rows] = value[usable]
        self.ts_value_ns[usable_rows] = ts_ns[usable]
        return Sorted(rows, unknown)

    def encode(self) -> bytes:
        """Write everything down."""
        columns = [np.ascontiguousarray(getattr(self, name), dtype=dtype).tobytes() for name, dtype in _COLUMNS]
        wire = _Wire(v=_VERSION, point=self.table.ids.astype("<u8").tobytes(), columns=tuple(columns), counters=self.counters)  # type: ignore[arg-type]
        return msgspec.msgpack.encode(wire)

    def restore(self, raw: bytes) -> None:
        """Read back what :meth:`encode` wrote; points the table no longer has are left out, new ones stay without a value.

        Raises:
            FrameError: not written by :meth:`encode`.
        """
        try:
            wire = _DECODER.decode(raw)
            point: NDArray[np.uint64] = np.frombuffer(wire.point, dtype="<u8")
            columns: list[NDArray[Any]] = [
                np.frombuffer(data, dtype=dtype) for data, (_, dtype) in zip(wire.columns, _COLUMNS, strict=True)
            ]
        except (msgspec.DecodeError, ValueError) as exc:
            raise FrameError(f"not a last-value table: {exc}") from exc
        if wire.v != _VERSION or any(len(column) != len(point) for column in columns):
            raise FrameError(f"a last-value table of version {wire.v} with {len(point)} points cannot be read")
        rows = self.table.rows(point)
        known = rows >= 0
        for column, (name, _) in zip(columns, _COLUMNS, strict=True):
            getattr(self, name)[rows[known]] = column[known]
        self.counters |= wire.counters
