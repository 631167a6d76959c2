"""Where do lines wait until InfluxDB has them, and where do they stay when there is no InfluxDB?

In segment files of blocks (:mod:`streams.segments`), appended to and never changed. A place in the spool is a count of bytes since its
beginning; the flusher reads from the place that was last acknowledged.

What survives what:

* ``append`` has handed the block to the operating system when it returns: a process that is killed loses nothing.
* A thread brings blocks to the disk every 200 ms: a machine that loses its power loses no more than that.
* A block cut short by either is found by its length and CRC when the spool is opened, removed and reported. A whole block that does
  not match its CRC is removed too, and kept beside the segment as ``*.damaged``. Damage in an older segment is met when it is read:
  the reader goes on at the next block that is whole, and counts the bytes between.
* An acknowledgement that is lost sends lines again; the same line stored twice is one line.

Limits drop whole segments, oldest first. What was dropped before it was acknowledged is counted by lines. Segments that were
acknowledged stay as the archive until a limit reaches them.

Deliberately absent: several writers (a lock file refuses the second), compression, and any reading of the lines themselves.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from market.units import NS_PER_S
from streams.errors import SinkUnavailable, StoreError, StoreLocked
from streams.lockfile import Held, own
from streams.segments import (
    BLOCK_BYTES_MAX,
    HEADER_BYTES,
    MAGIC,
    Chunk,
    Segment,
    blocks_of,
    chunk_at,
    list_segments,
    read_acked,
    read_header,
    seal,
    segment_path,
    walk,
)

__all__ = ["Recovery", "Spool", "SpoolLimits", "SpoolStatus", "survey"]

_log = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was cut off when the spool was opened; ``kept_as`` is None for a block that was only cut short."""

    segment: str
    at: int
    bytes_cut: int
    kept_as: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolStatus:
    """How full the spool is.

    Attributes:
        acked: place before which the server has everything.
        end: place of the next block.
        waiting_bytes: bytes not acknowledged.
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


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _lock(directory: Path) -> int:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return own(directory / "lock", 0o640)
    except Held as held:
        raise StoreLocked(f"spool {directory} is open in another process; stop that one, or give another directory") from held
    except OSError as exc:
        raise StoreError(f"spool {directory}: {exc.strerror}; the service needs to write there") from exc


def survey(directory: Path) -> SpoolStatus:
    """Describe a spool without opening it, whether or not a service is writing it.

    Raises:
        StoreError: there is no spool.
    """
    if not (directory / "lock").exists():
        raise StoreError(f"{directory} is not a spool; give the directory the service writes, as --dir")
    segments = list_segments(directory)
    return _status(directory, segments, read_acked(directory), 0, 0)


def _status(directory: Path, segments: list[Segment], acked: int, dropped_lines: int, damaged_bytes: int) -> SpoolStatus:
    end = segments[-1].end if segments else acked
    return SpoolStatus(
        directory=str(directory),
        acked=acked,
        end=end,
        waiting_bytes=sum(max(0, segment.end - max(segment.base, acked)) for segment in segments),
        segments=len(segments),
        bytes_on_disk=sum(segment.end - segment.base for segment in segments),
        oldest_ns=segments[0].created_ns if segments else 0,
        dropped_lines=dropped_lines,
        damaged_bytes=damaged_bytes,
    )


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
        self.recovery: Recovery | None = None
        self._now_ns = now_ns
        self._state = threading.Condition()
        self._dropped_lines = 0
        self._damaged_bytes = 0
        self._closed = False
        self._sync_error: OSError | None = None
        self._to_sync: list[int] = []
        self._dirty = False
        self._lock_fd = _lock(directory)
        try:
            self._index = list_segments(directory)
            self._recover()
            self._acked = max(read_acked(directory), self._index[0].base if self._index else 0)
            # Blocks that were sent and then lost with the power: new blocks must not take their places, or they would count as sent.
            if not self._index or self._acked > self._index[-1].end:
                self._index.append(self._begin(self._acked))
            self._fd = os.open(self._index[-1].path, os.O_WRONLY | os.O_APPEND)
        except OSError as exc:
            os.close(self._lock_fd)
            raise StoreError(f"spool {directory}: {exc.strerror}; the service needs to read and write there") from exc
        self._thread = threading.Thread(target=self._keep_syncing, name="spool-sync", daemon=True)
        self._thread.start()

    def _recover(self) -> None:
        """Remove from the last segment what is not a whole block, and say so."""
        if not self._index:
            return
        tail = self._index[-1]
        good = 0
        for behind, _ in walk(tail.path):
            good = behind
        cut = tail.end - tail.base - good
        if not cut:
            return
        with tail.path.open("r+b") as file:
            file.seek(good)
            rest = file.read()
            header = read_header(rest)
            kept_as = None
            if not (len(rest) < HEADER_BYTES or (header is not None and len(rest) < HEADER_BYTES + header.length)):
                kept_as = f"{tail.path.stem}.{good}.damaged"
                (self.directory / kept_as).write_bytes(rest)
            file.truncate(good)
            os.fsync(file.fileno())
        tail.end = tail.base + good
        self.recovery = Recovery(tail.path.name, good, cut, kept_as)
        where = {"sink": "spool", "segment": tail.path.name, "place": good, "size_bytes": cut, "kept_as": kept_as}
        _log.warning("spool %s: cut %d bytes at %d of %s, kept as %s", self.directory, cut, good, tail.path.name, kept_as, extra=where)

    def _begin(self, base: int) -> Segment:
        path = segment_path(self.directory, base)
        path.touch(mode=0o640)
        return Segment(base, base, path, self._now_ns())

    @property
    def acked(self) -> int:
        """Place before which the server has everything."""
        return self._acked

    @property
    def end(self) -> int:
        """Place of the next block."""
        return self._index[-1].end

    def status(self) -> SpoolStatus:
        """Describe the spool as it is now."""
        with self._state:
            return _status(self.directory, self._index, self._acked, self._dropped_lines, self._damaged_bytes)

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
        if self._sync_error is not None:
            raise StoreError(f"spool {self.directory}: could not reach the disk: {self._sync_error}; check the disk, then restart")
        for block in blocks_of(data):
            self._append_block(seal(block, self._now_ns()))
        return self.end

    def _append_block(self, block: bytes) -> None:
        tail = self._index[-1]
        size, age_ns = tail.end - tail.base, self._now_ns() - tail.created_ns
        if size and (size + len(block) > self.limits.segment_bytes or age_ns > self.limits.segment_age_s * NS_PER_S):
            self._rotate()
            tail = self._index[-1]
        if tail.end == tail.base:
            tail.created_ns = self._now_ns()
        try:
            written = os.write(self._fd, block)
            reason = f"took {written} of {len(block)} bytes"
        except OSError as exc:
            written, reason = -1, exc.strerror or str(exc)
        if written != len(block):
            os.ftruncate(self._fd, tail.end - tail.base)
            raise SinkUnavailable(f"spool {self.directory}: the disk {reason}; free space or lower the spool's limits")
        with self._state:
            tail.end += len(block)
            self._dirty = True
            self._state.notify_all()

    def _rotate(self) -> None:
        try:
            segment = self._begin(self._index[-1].end)
            fd = os.open(segment.path, os.O_WRONLY | os.O_APPEND)
        except OSError as exc:
            raise SinkUnavailable(f"spool {self.directory}: cannot begin a segment: {exc.strerror}; free space or permissions") from exc
        with self._state:
            self._to_sync.append(self._fd)
            self._fd = fd
            self._index.append(segment)
        self._enforce_limits()

    def _enforce_limits(self) -> None:
        oldest_ns = self._now_ns() - self.limits.age_max_s * NS_PER_S
        while len(self._index) > 1:
            first, second = self._index[0], self._index[1]
            too_big = self._index[-1].end - first.base > self.limits.bytes_max - self.limits.segment_bytes
            if not too_big and second.created_ns >= oldest_ns:
                return
            lost = 0
            if self._acked < first.end:
                try:
                    lost = sum(header.lines for _, header in walk(first.path, max(0, self._acked - first.base)))
                except FileNotFoundError:
                    what = "spool %s: %s was removed by somebody else; what it held is not counted"
                    _log.warning(what, self.directory, first.path.name, extra={"sink": "spool", "segment": first.path.name})
                what = "spool %s: dropped %s with %d lines that were never acknowledged"
                where = {"sink": "spool", "segment": first.path.name, "lines": lost}
                _log.warning(what, self.directory, first.path.name, lost, extra=where)
            with self._state:
                self._index.pop(0)
                self._acked = max(self._acked, second.base)
                self._dropped_lines += lost
            first.path.unlink(missing_ok=True)

    def read(self, place: int) -> Chunk | None:
        """Return the blocks from ``place`` on, as many as fit one request, or None where there are none yet.

        Bytes that are no whole block are passed over and counted; the chunk's ``end`` lies behind them.
        """
        with self._state:
            bases = [segment.base for segment in self._index]
            row = bisect_right(bases, place) - 1
            if row < 0 or (place >= self._index[row].end and row + 1 < len(self._index)):
                row, place = row + 1, bases[row + 1]
            segment = self._index[row]
            limit = segment.end
        if place >= limit:
            return None
        with contextlib.suppress(FileNotFoundError):
            with segment.path.open("rb") as file:
                file.seek(place - segment.base)
                raw = file.read(min(limit - place, BLOCK_BYTES_MAX + HEADER_BYTES))
                header = read_header(raw)
                if header is not None and len(raw) < HEADER_BYTES + header.length <= limit - place:
                    raw += file.read(HEADER_BYTES + header.length - len(raw))
            chunk = chunk_at(raw, place)
            if chunk is not None:
                return chunk
            return self._pass_over(segment, place, limit)
        # A limit dropped the segment between the look at the index and the opening of the file.
        return self.read(place)

    def _pass_over(self, segment: Segment, place: int, limit: int) -> Chunk:
        """Find the next header behind a block that is damaged; an empty chunk carries the reader there."""
        with segment.path.open("rb") as file:
            file.seek(place - segment.base)
            rest = file.read(limit - place)
        found = rest.find(b"\n" + MAGIC, 1)
        skipped = len(rest) if found < 0 else found + 1
        with self._state:
            self._damaged_bytes += skipped
        what = "spool %s: %d bytes at %d of %s are damaged"
        where = {"sink": "spool", "segment": segment.path.name, "place": place, "size_bytes": skipped}
        _log.warning(what, self.directory, skipped, place - segment.base, segment.path.name, extra=where)
        return Chunk(place, place + skipped, b"", 0)

    def ack(self, place: int) -> None:
        """Note that the server has everything before ``place``; blocks for the time of a write to the disk.

        Raises:
            SinkUnavailable: the note could not be written; the lines will be sent again after a restart.
        """
        with self._state:
            if place <= self._acked:
                return
            self._acked = place
        draft = self.directory / "acked.new"
        try:
            with draft.open("w", encoding="ascii") as file:
                file.write(f"{place}\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.directory / "acked")
        except OSError as exc:
            raise SinkUnavailable(f"spool {self.directory}: cannot note what was acknowledged: {exc.strerror}; free space") from exc

    def sync(self) -> None:
        """Bring everything appended so far to the disk."""
        with self._state:
            closing, self._to_sync = self._to_sync, []
            current = os.dup(self._fd)
            self._dirty = False
        for fd in (*closing, current):
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        if closing:
            _sync_directory(self.directory)

    def _keep_syncing(self) -> None:
        while True:
            with self._state:
                self._state.wait_for(lambda: self._dirty or self._closed)
                # Everything that arrives within the time goes to the disk together.
                self._state.wait_for(lambda: self._closed, timeout=self.limits.sync_s)
                if self._closed:
                    return
            try:
                self.sync()
            except OSError as exc:
                self._sync_error = exc
                _log.exception("spool %s cannot reach the disk", self.directory, extra={"sink": "spool"})
                return

    def close(self) -> None:
        """Bring everything to the disk and let go of the directory."""
        with self._state:
            if self._closed:
                return
            self._closed = True
            self._state.notify_all()
        self._thread.join()
        try:
            self.sync()
        finally:
            os.close(self._fd)
            os.close(self._lock_fd)
