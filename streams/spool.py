"""Where do lines wait until InfluxDB has them, and where do they stay when there is no InfluxDB?

In segment files of blocks (:mod:`ingest.segmentlog`), appended to and never changed. A place in the spool is a count of bytes since its
beginning. Acknowledged are stretches of places: the flusher sends what is newest first, and what waited in between.

An acknowledgement that is lost sends lines again; the same line stored twice is one line.

Limits drop whole segments, oldest first. What was dropped before it was acknowledged is counted by lines. Segments that were
acknowledged stay as the archive until a limit reaches them.

Deliberately absent: several writers (a lock file refuses the second), compression, and any reading of the lines themselves.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from ingest.errors import DiskRefused, SpoolError, SpoolLocked
from ingest.segmentlog import Recovery, SegmentForm, SegmentLog
from ingest.segments import Chunk, Segment, read_taken
from ingest.taken import Taken
from market.units import NS_PER_S
from streams.errors import SinkUnavailable, StoreError, StoreLocked
from streams.segments import BLOCK_BYTES_MAX, BLOCK_LINES_MAX, SUFFIX, blocks_of, list_segments

__all__ = ["Recovery", "Spool", "SpoolLimits", "SpoolStatus", "survey"]

_log = logging.getLogger(__name__)

_TAIL_BYTES: Final = 1 << 20
"""So much of what was appended last is read from memory: whoever follows the end need not ask the disk for what it is still writing."""

_MARKS: Final = 64
"""Seconds back for which it is remembered where the spool ended, see :meth:`Spool.since`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolLimits:
    """How much is kept.

    Attributes:
        segment_bytes: a segment that has reached this size is closed.
        segment_age_s: a segment that was begun this long ago is closed.
        bytes_max: most bytes on disk; at least two segments.
        age_max_s: segments whose last block is older are dropped.
        sync_s: longest time until an appended block is on the disk.
    """

    segment_bytes: int = 16 << 20
    segment_age_s: int = 3_600
    bytes_max: int = 8 << 30
    age_max_s: int = 30 * 86_400
    sync_s: float = 0.2

    def __post_init__(self) -> None:
        if self.bytes_max < 2 * self.segment_bytes:
            raise ValueError(f"bytes_max {self.bytes_max} is less than two segments of {self.segment_bytes} bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolStatus:
    """How full the spool is.

    Attributes:
        acked: place before which the server has everything.
        end: place of the next block.
        waiting_bytes: bytes not acknowledged, wherever they are.
        bytes_on_disk: bytes of all segments.
        oldest_ns: when the oldest segment was begun, UTC ns by the wall clock; 0 for an empty spool.
        dropped_lines: lines a limit removed before they were acknowledged, since the spool was opened.
        damaged_bytes: bytes passed over because no whole block was found in them, since the spool was opened.
    """

    directory: str
    acked: int
    end: int
    waiting_bytes: int
    segments: int
    bytes_on_disk: int
    oldest_ns: int
    dropped_lines: int
    damaged_bytes: int


def survey(directory: Path) -> SpoolStatus:
    """Describe a spool without opening it, whether or not a service is writing it.

    Raises:
        StoreError: there is no spool.
    """
    if not (directory / "lock").exists():
        raise StoreError(f"{directory} is not a spool; give the directory the service writes, as --dir")
    segments = list_segments(directory)
    return _status(directory, segments, read_taken(directory), 0, 0)


def _status(directory: Path, segments: list[Segment], taken: Taken, dropped_lines: int, damaged_bytes: int) -> SpoolStatus:
    acked = max(taken.floor, segments[0].base if segments else 0)
    end = segments[-1].end if segments else taken.end
    return SpoolStatus(
        directory=str(directory),
        acked=acked,
        end=end,
        waiting_bytes=sum(segment.end - segment.base - taken.among(segment.base, segment.end) for segment in segments),
        segments=len(segments),
        bytes_on_disk=sum(segment.end - segment.base for segment in segments),
        oldest_ns=segments[0].created_ns if segments else 0,
        dropped_lines=dropped_lines,
        damaged_bytes=damaged_bytes,
    )


@contextmanager
def _as_sink() -> Iterator[None]:
    """What the segments say, as a store of the streams says it."""
    try:
        yield
    except SpoolLocked as exc:
        raise StoreLocked(str(exc)) from exc
    except DiskRefused as exc:
        raise SinkUnavailable(str(exc)) from exc
    except SpoolError as exc:
        raise StoreError(str(exc)) from exc


class Spool:
    """The one writer, and reader, of a spool directory.

    ``append`` belongs to one thread, ``read`` and ``ack`` to one other, which may be the same.

    Args:
        directory: made where it does not exist.
        limits: how much is kept.
        now_ns: the wall clock, UTC ns, which ages of segments are counted by.

    Raises:
        StoreLocked: another process has the spool open.
        StoreError: the directory cannot be used.
    """

    def __init__(self, directory: Path, limits: SpoolLimits | None = None, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.directory = directory
        self.limits = limits or SpoolLimits()
        self._now_ns = now_ns
        self._dropped_lines = 0
        self._marks: deque[tuple[int, int]] = deque(maxlen=_MARKS)
        self.lines = 0
        """Lines appended since the spool was opened."""
        self._tail: deque[Chunk] = deque()
        self._tail_bytes = 0
        self._tailing = threading.Lock()
        self.appended: Callable[[], None] = lambda: None
        """Called after lines were appended, on the thread that did it; whoever reads the spool may set it."""
        form = SegmentForm(
            suffix=SUFFIX,
            segment_bytes=self.limits.segment_bytes,
            segment_age_s=self.limits.segment_age_s,
            items_max=BLOCK_LINES_MAX,
            bytes_max=BLOCK_BYTES_MAX,
            sync_s=self.limits.sync_s,
        )
        with _as_sink():
            self._segments = SegmentLog(directory, form, now_ns)
        self.recovery = self._segments.recovery

    @property
    def acked(self) -> int:
        """Place before which the server has everything."""
        return self._segments.acked

    @property
    def end(self) -> int:
        """Place of the next block."""
        return self._segments.end

    def status(self) -> SpoolStatus:
        """Describe the spool as it is now."""
        kept = self._segments
        return _status(self.directory, kept.segments(), kept.taken(), self._dropped_lines, kept.damaged_bytes)

    def append(self, data: bytes) -> int:
        """Append lines; when this returns they survive the death of the process.

        Args:
            data: whole lines, each with its line break; may be empty.

        Returns:
            The place after them.

        Raises:
            SinkUnavailable: the disk is full or refuses; nothing of the block in question is kept, and the same data may be appended again.
            StoreError: blocks appended earlier could not be brought to the disk.
        """
        if not data:
            return self.end
        assert data.endswith(b"\n"), "only whole lines are spooled"
        now_ns = self._now_ns()
        if not self._marks or now_ns - self._marks[-1][0] >= NS_PER_S:
            self._marks.append((now_ns, self.end))
        for block in blocks_of(data):
            lines, start = block.count(b"\n"), self.end
            with _as_sink():
                begins_segment = self._segments.append(block, lines)
            self._remember(Chunk(start, self.end, block, lines))
            self.lines += lines
            if begins_segment:
                self._enforce_limits()
        self.appended()
        return self.end

    def _remember(self, block: Chunk) -> None:
        with self._tailing:
            self._tail.append(block)
            self._tail_bytes += len(block.data)
            while self._tail_bytes > _TAIL_BYTES:
                self._tail_bytes -= len(self._tail.popleft().data)

    def newest(self, place: int) -> Chunk | None:
        """Return what :meth:`read` would, without a look at the disk, where all from ``place`` on was appended just now; None elsewhere."""
        with self._tailing:
            blocks = [block for block in self._tail if block.start >= place]
        if not blocks or blocks[0].start != place:
            return None
        taken = lines = size = 0
        for block in blocks:
            lines, size = lines + block.items, size + len(block.data)
            if taken and (lines > BLOCK_LINES_MAX or size > BLOCK_BYTES_MAX):
                break
            taken += 1
        some = blocks[:taken]
        return Chunk(place, some[-1].end, b"".join([block.data for block in some]), sum(block.items for block in some))

    def _enforce_limits(self) -> None:
        oldest_ns = self._now_ns() - self.limits.age_max_s * NS_PER_S
        kept = self._segments.segments()
        for first, second in pairwise(kept):
            too_big = kept[-1].end - first.base > self.limits.bytes_max - self.limits.segment_bytes
            if not too_big and second.created_ns >= oldest_ns:
                return
            if lost := self._segments.items_in(first):
                what = "spool %s: dropped %s with %d lines that were never acknowledged"
                where = {"sink": "spool", "segment": first.path.name, "lines": lost}
                _log.warning(what, self.directory, first.path.name, lost, extra=where)
            self._dropped_lines += lost
            self._segments.let_go_of_oldest()

    def read(self, place: int, stop: int | None = None) -> Chunk | None:
        """Return the blocks from ``place`` on, as many as fit one request, or None where there are none yet, or none before ``stop``.

        Bytes that are no whole block are passed over and counted; the chunk's ``end`` lies behind them.
        """
        return self._segments.read(place, stop)

    def gap(self, place: int, stop: int) -> tuple[int, int] | None:
        """Return the first stretch from ``place`` on, and before ``stop``, that the server does not have; None where it has all."""
        return self._segments.gap(place, stop)

    def since(self, seconds: float) -> int:
        """Return the place at which the spool ended so long ago, as far as that is remembered; a minute at most."""
        from_ns = self._now_ns() - round(seconds * NS_PER_S)
        return next((place for at_ns, place in list(self._marks) if at_ns >= from_ns), self.end)

    def begun_ns(self, place: int) -> int | None:
        """Return when the block at ``place``, or the next one, was appended, UTC ns by the wall clock; None where there is none."""
        return self._segments.begun_ns(place)

    def waiting_since_ns(self) -> int | None:
        """Return when the oldest block that waits was appended, UTC ns by the wall clock; None where none waits."""
        gap = self.gap(0, self.end)
        return None if gap is None else self.begun_ns(gap[0])

    def ack(self, place: int, start: int = 0) -> None:
        """Note that the server has everything from ``start`` to before ``place``; blocks for the time of a write to the disk.

        Raises:
            SinkUnavailable: the note could not be written; the lines will be sent again after a restart.
        """
        with _as_sink():
            self._segments.ack(place, start)

    def ack_soon(self, place: int, start: int = 0) -> None:
        """As :meth:`ack`, at once; the note is on the disk with the lines that are brought there next."""
        self._segments.ack_soon(place, start)

    def sync(self) -> None:
        """Bring everything appended so far to the disk."""
        self._segments.sync()

    def close(self) -> None:
        """Bring everything to the disk and let go of the directory."""
        self._segments.close()
