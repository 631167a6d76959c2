"""The last-value table: for every point its last usable value, when that held, and how the point is doing now, as columns.

It answers "value, quality, age" for a hundred thousand points at once. It drops nothing without counting it: of each sample it is said
whether it was taken, known already, overtaken on its way, later than that, or of a point that is not in the table.
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

__all__ = ["NO_WATERMARK_NS", "LastValues", "Sorted"]

_NEVER: Final = -1
_VERSION: Final = 1
_COLUMNS: Final = (("value", "<f8"), ("ts_value_ns", "<i8"), ("ts_seen_ns", "<i8"), ("quality", "<u4"), ("flags", "<u2"))


class _Wire(msgspec.Struct):
    v: int
    point: bytes
    columns: tuple[bytes, bytes, bytes, bytes, bytes]
    counters: dict[str, int]


_DECODER: Final = msgspec.msgpack.Decoder(_Wire)


NO_WATERMARK_NS: Final = int(np.iinfo(np.int64).max)
"""Watermark of frames from no device of the list: whatever is older than known is late."""

_NONE: Final = np.empty(0, dtype=np.intp)

_SEEN_MAX: Final = 1024
"""Arrays of points whose layout is known without a look at them: frames alike share theirs (:func:`ingest.frame.decode_frame`)."""

_LAYOUTS_PER_POINT: Final = 4
"""Samples of remembered layouts per point of the table: polled points are in one or two, those told by exception in any number."""


class Sorted:
    """What became of a frame's samples.

    Attributes:
        rows: (k,) int64, rows whose value or quality is new.
        unknown: ids of points the table does not have.
        overtaken: (r,) places in the frame of samples that are older than what is known, and reordered.
        late: (l,) places of those that are older still.
    """

    __slots__ = ("late", "overtaken", "rows", "unknown")

    def __init__(
        self,
        rows: NDArray[np.int64],
        unknown: NDArray[np.uint64],
        overtaken: NDArray[np.intp] = _NONE,
        late: NDArray[np.intp] = _NONE,
    ) -> None:
        self.rows = rows
        self.unknown = unknown
        self.overtaken = overtaken
        self.late = late


class _Layout(NamedTuple):
    """Points that a source sends together.

    Attributes:
        rows: rows of those that the table has.
        known: per point, whether the table has it; None where it has all.
        once: whether none of them comes twice.
    """

    rows: NDArray[np.int64]
    known: NDArray[np.bool_] | None
    once: bool


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
        counters: samples taken, duplicate, reordered, late and unknown since the first start.
    """

    def __init__(self, table: PointTable) -> None:
        n = len(table)
        self.table = table
        self.value: NDArray[np.float64] = np.full(n, np.nan)
        self.ts_value_ns: NDArray[np.int64] = np.full(n, _NEVER, dtype=np.int64)
        self.ts_seen_ns: NDArray[np.int64] = np.full(n, _NEVER, dtype=np.int64)
        self.quality: NDArray[np.uint32] = np.full(n, BAD_WAITING_FOR_INITIAL_DATA, dtype=np.uint32)
        self.flags: NDArray[np.uint16] = np.zeros(n, dtype=np.uint16)
        self.counters = {"taken": 0, "duplicate": 0, "reordered": 0, "late": 0, "unknown": 0}
        self._layouts: dict[bytes, _Layout] = {}
        self._layout_samples = 0
        self._seen: dict[int, tuple[NDArray[np.uint64], _Layout]] = {}

    def in_turns(self, frame: TelemetryFrame) -> tuple[TelemetryFrame, ...]:
        """Return a frame as frames in which no point comes twice, older samples before younger ones; nearly always itself.

        Of samples of one point and one instant the last one in the frame is left; the others count as duplicates.
        """
        _, known, once = self._layout(frame.point)
        if once:
            return (frame,)
        order = np.lexsort((np.arange(len(frame)), frame.ts_event_ns, frame.point))
        point, ts_ns = frame.point[order], frame.ts_event_ns[order]
        repeated = np.append((point[1:] == point[:-1]) & (ts_ns[1:] == ts_ns[:-1]), False)
        if known is not None:
            repeated &= known[order]
        self.counters["duplicate"] += int(np.count_nonzero(repeated))
        order, point = order[~repeated], point[~repeated]
        starts = np.flatnonzero(np.append(True, point[1:] != point[:-1]))
        turn = np.arange(len(point)) - np.repeat(starts, np.diff(np.append(starts, len(point))))
        return tuple(frame.only(np.sort(order[turn == k])) for k in range(int(turn.max()) + 1))

    def _layout(self, point: NDArray[np.uint64]) -> _Layout:
        """Return where a frame's points stand: looked up once per layout, because a source sends the same points again and again."""
        seen = self._seen.get(id(point))
        if seen is not None and seen[0] is point:
            return seen[1]
        raw = point.tobytes()
        layout = self._layouts.get(raw)
        if layout is None:
            rows = self.table.rows(point)
            known = rows >= 0
            ordered = np.sort(rows[known])
            once = not bool((ordered[1:] == ordered[:-1]).any())
            layout = _Layout(rows[known], None if known.all() else known, once)
            self._layout_samples += len(point)
            if self._layout_samples > _LAYOUTS_PER_POINT * len(self.table):
                # Sources that tell by exception seldom repeat a layout; those that do are looked up again.
                self._layouts.clear()
                self._layout_samples = len(point)
            self._layouts[raw] = layout
        if len(self._seen) >= _SEEN_MAX:
            self._seen.clear()
        self._seen[id(point)] = point, layout
        return layout

    def take(self, frame: TelemetryFrame, watermark_ns: int = NO_WATERMARK_NS) -> Sorted:
        """Take in a frame in which no point comes twice (:meth:`in_turns`).

        A sample is a duplicate where point, source time and quality are known already. One that is older than what is known of its
        point is reordered down to the watermark, UTC ns, and late below it. Neither changes anything here; the sinks keep them at
        their own time.
        """
        rows, known, _ = self._layout(frame.point)
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
        older = ts_ns < reference_ns
        fresh = ~(older | ((ts_ns == reference_ns) & (quality == self.quality[rows])))
        older_n, fresh_n = int(np.count_nonzero(older)), int(np.count_nonzero(fresh))
        self.counters["taken"] += fresh_n
        self.counters["duplicate"] += len(rows) - older_n - fresh_n
        overtaken = late = _NONE
        if older_n:
            overtaken, late = (_places(older & kind, known) for kind in (ts_ns >= watermark_ns, ts_ns < watermark_ns))
            self.counters["reordered"] += len(overtaken)
            self.counters["late"] += len(late)
        rows, ts_ns, value, quality = rows[fresh], ts_ns[fresh], value[fresh], quality[fresh]
        flags, usable = flags[fresh], usable[fresh]
        self.ts_seen_ns[rows] = ts_ns
        self.quality[rows] = quality
        self.flags[rows] = flags
        usable_rows = rows[usable]
        self.value[usable_rows] = value[usable]
        self.ts_value_ns[usable_rows] = ts_ns[usable]
        return Sorted(rows, unknown, overtaken, late)

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


def _places(chosen: NDArray[np.bool_], known: NDArray[np.bool_] | None) -> NDArray[np.intp]:
    """Return the places in the frame of the samples chosen among the known ones; without ``known`` all samples are."""
    places = np.flatnonzero(chosen)
    return places if known is None else np.flatnonzero(known)[places]
