"""Who writes the segment files of a spool (:mod:`ingest.segments`), and what survives what?

* ``append`` has handed the block to the operating system when it returns: a process that is killed loses nothing.
* A thread brings blocks to the disk every 200 ms: a machine that loses its power loses no more than that.
* A block cut short by either is found by its length and CRC when the spool is opened, removed and reported. A whole block that does
  not match its CRC is removed too, and kept beside the segment as ``*.damaged``. Damage in an older segment is met when it is read:
  the reader goes on at the next block that is whole, and counts the bytes between.
* An acknowledgement that is lost has blocks read again: whoever takes them must know those he has.

Deliberately absent: several writers (a lock file refuses the second), compression, what the blocks hold, and limits: who sets some lets
go of the oldest segment (:meth:`SegmentLog.let_go_of_oldest`) and counts what was in it.
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

from ingest.errors import DiskRefused, SpoolError, SpoolLocked
from ingest.lockfile import Held, own
from ingest.segments import (
    HEADER_BYTES,
    MAGIC,
    Chunk,
    Segment,
    chunk_at,
    list_segments,
    read_header,
    read_taken,
    seal,
    segment_path,
    walk,
)
from ingest.taken import Taken
from market.units import NS_PER_S

__all__ = ["Recovery", "SegmentForm", "SegmentLog"]

_log = logging.getLogger(__name__)


_NOTE_EVERY_S = 1.0
"""How often what was taken is noted at most, where nobody waits for the note: what a crash has read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentForm:
    """How a spool cuts what it holds.

    Attributes:
        suffix: of the segments' file names.
        segment_bytes: a segment that has reached this size is closed.
        segment_age_s: a segment that was begun this long ago is closed.
        items_max: items that are read at once at most; likewise ``bytes_max``. One block always is.
        sync_s: longest time until an appended block is on the disk.
    """

    suffix: str
    segment_bytes: int
    segment_age_s: int
    items_max: int
    bytes_max: int
    sync_s: float = 0.2


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was cut off when the spool was opened; ``kept_as`` is None for a block that was only cut short."""

    segment: str
    at: int
    bytes_cut: int
    kept_as: str | None


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
        raise SpoolLocked(f"spool {directory} is open in another process; stop that one, or give another directory") from held
    except OSError as exc:
        raise SpoolError(f"spool {directory}: {exc.strerror}; the service needs to write there") from exc


class SegmentLog:
    """The one writer, and reader, of a spool directory.

    ``append`` belongs to one thread, ``read`` and ``ack`` to one other, which may be the same.

    Args:
        directory: made where it does not exist.
        form: how it is cut.
        now_ns: the wall clock, UTC ns, which ages of segments are counted by.

    Attributes:
        recovery: what was cut off when it was opened; None if nothing was.
        damaged_bytes: bytes passed over because no whole block was found in them, since it was opened.

    Raises:
        SpoolLocked: another process has the spool open.
        SpoolError: the directory cannot be used.
    """

    def __init__(self, directory: Path, form: SegmentForm, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.directory = directory
        self.form = form
        self.recovery: Recovery | None = None
        self._now_ns = now_ns
        self._state = threading.Condition()
        self.damaged_bytes = 0
        self._closed = False
        self._sync_error: OSError | None = None
        self._to_sync: list[int] = []
        self._dirty = False
        self._to_note = False
        self._noted_s = 0.0
        self._noting = threading.Lock()
        self._lock_fd = _lock(directory)
        try:
            self._index = list_segments(directory, form.suffix)
            self._recover()
            self._taken = read_taken(directory)
            self._taken.add(0, self._index[0].base if self._index else 0)
            # Blocks that were sent and then lost with the power: new blocks must not take their places, or they would count as sent.
            if not self._index or self._taken.end > self._index[-1].end:
                self._index.append(self._begin(self._taken.end))
            self._fd = os.open(self._index[-1].path, os.O_WRONLY | os.O_APPEND)
        except OSError as exc:
            os.close(self._lock_fd)
            raise SpoolError(f"spool {directory}: {exc.strerror}; the service needs to read and write there") from exc
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
        where = {"sink": str(self.directory), "segment": tail.path.name, "place": good, "size_bytes": cut, "kept_as": kept_as}
        _log.warning("spool %s: cut %d bytes at %d of %s, kept as %s", self.directory, cut, good, tail.path.name, kept_as, extra=where)

    def _begin(self, base: int) -> Segment:
        path = segment_path(self.directory, base, self.form.suffix)
        path.touch(mode=0o640)
        return Segment(base, base, path, self._now_ns())

    @property
    def acked(self) -> int:
        """Place before which everything was taken."""
        return self._taken.floor

    @property
    def end(self) -> int:
        """Place of the next block."""
        return self._index[-1].end

    def taken(self) -> Taken:
        """Return which places were taken."""
        with self._state:
            return Taken(self._taken.floor, self._taken.beyond)

    def segments(self) -> list[Segment]:
        """Return the segments, oldest first; the last one is written to."""
        with self._state:
            return list(self._index)

    def waiting_bytes(self) -> int:
        """Return how many bytes were not taken yet."""
        with self._state:
            return sum(segment.end - segment.base - self._taken.among(segment.base, segment.end) for segment in self._index)

    def gap(self, place: int, stop: int) -> tuple[int, int] | None:
        """Return the first stretch from ``place`` on, and before ``stop``, that was not taken; None where there is none."""
        with self._state:
            start, end = self._taken.gap(place)
        return (start, min(stop, stop if end is None else end)) if start < stop else None

    def begun_ns(self, place: int) -> int | None:
        """Return when the block at ``place``, or the next one, was written, UTC ns by the wall clock; None where there is none."""
        if (found := self._find(place)) is None:
            return None
        segment, place, _ = found
        try:
            with segment.path.open("rb") as file:
                file.seek(place - segment.base)
                header = read_header(file.read(HEADER_BYTES))
        except FileNotFoundError:
            return None
        return segment.created_ns if header is None else header.created_ns

    def items_in(self, segment: Segment) -> int:
        """Count the items of a segment that were not taken yet; 0 where somebody removed its file."""
        with self._state:
            if self._taken.covers(segment.base, segment.end):
                return 0
        try:
            items, start = 0, segment.base
            for behind, header in walk(segment.path):
                with self._state:
                    items += 0 if self._taken.covers(start, segment.base + behind) else header.items
                start = segment.base + behind
            return items
        except FileNotFoundError:
            what = "spool %s: %s was removed by somebody else; what it held is not counted"
            _log.warning(what, self.directory, segment.path.name, extra={"sink": str(self.directory), "segment": segment.path.name})
            return 0

    def let_go_of_oldest(self) -> None:
        """Remove the oldest segment, whatever was taken of it; the one that is written to cannot be the oldest."""
        with self._state:
            assert len(self._index) > 1, "the segment that is written to is kept"
            first = self._index.pop(0)
            self._taken.add(0, self._index[0].base)
        first.path.unlink(missing_ok=True)

    def append(self, payload: bytes, items: int) -> bool:
        """Append a block; when this returns it survives the death of the process.

        Args:
            items: what the block counts as.

        Returns:
            Whether it begins a new segment.

        Raises:
            DiskRefused: the disk is full or refuses; nothing of the block is kept, and the same may be appended again.
            SpoolError: blocks appended earlier could not be brought to the disk.
        """
        if self._sync_error is not None:
            raise SpoolError(f"spool {self.directory}: could not reach the disk: {self._sync_error}; check the disk, then restart")
        block = seal(payload, self._now_ns(), items)
        tail = self._index[-1]
        size, age_ns = tail.end - tail.base, self._now_ns() - tail.created_ns
        begins = bool(size) and (size + len(block) > self.form.segment_bytes or age_ns > self.form.segment_age_s * NS_PER_S)
        if begins:
            self.rotate()
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
            raise DiskRefused(f"spool {self.directory}: the disk {reason}; free space or lower the spool's limits")
        with self._state:
            tail.end += len(block)
            if not self._dirty:
                self._dirty = True
                self._state.notify_all()
        return begins

    def rotate(self) -> None:
        """Close the segment that is written to, and begin another.

        Raises:
            DiskRefused: that cannot be done now.
        """
        try:
            segment = self._begin(self._index[-1].end)
            fd = os.open(segment.path, os.O_WRONLY | os.O_APPEND)
        except OSError as exc:
            raise DiskRefused(f"spool {self.directory}: cannot begin a segment: {exc.strerror}; free space or permissions") from exc
        with self._state:
            self._to_sync.append(self._fd)
            self._fd = fd
            self._index.append(segment)

    def _find(self, place: int) -> tuple[Segment, int, int] | None:
        """Return the segment that holds ``place``, or the next one, the place in it, and its end; None where there is nothing yet."""
        with self._state:
            bases = [segment.base for segment in self._index]
            row = bisect_right(bases, place) - 1
            if row < 0 or (place >= self._index[row].end and row + 1 < len(self._index)):
                row, place = row + 1, bases[row + 1]
            segment = self._index[row]
            return (segment, place, segment.end) if place < segment.end else None

    def read(self, place: int, stop: int | None = None) -> Chunk | None:
        """Return the blocks from ``place`` on, as many as are read at once, or None where there are none yet.

        Bytes that are no whole block are passed over and counted; the chunk's ``end`` lies behind them.

        Args:
            place: behind a block, or behind the last one.
            stop: where no block is read that begins there or later.
        """
        if (found := self._find(place)) is None or (stop is not None and found[1] >= stop):
            return None
        segment, place, limit = found
        limit = limit if stop is None else min(limit, stop)
        with contextlib.suppress(FileNotFoundError):
            with segment.path.open("rb") as file:
                file.seek(place - segment.base)
                raw = file.read(min(limit - place, self.form.bytes_max + HEADER_BYTES))
                header = read_header(raw)
                if header is not None and len(raw) < HEADER_BYTES + header.length <= limit - place:
                    raw += file.read(HEADER_BYTES + header.length - len(raw))
            chunk = chunk_at(raw, place, self.form.items_max, self.form.bytes_max)
            if chunk is not None:
                return chunk
            return self._pass_over(segment, place, limit)
        with self._state:
            is_ours = segment in self._index
        if is_ours:
            what = "spool %s: %s was removed by somebody else; what it held is not sent"
            _log.warning(what, self.directory, segment.path.name, extra={"sink": str(self.directory), "segment": segment.path.name})
            return Chunk(place, limit, b"", 0)
        # A limit dropped the segment between the look at the index and the opening of the file.
        return self.read(place, stop)

    def _pass_over(self, segment: Segment, place: int, limit: int) -> Chunk:
        """Find the next header behind a block that is damaged; an empty chunk carries the reader there."""
        with segment.path.open("rb") as file:
            file.seek(place - segment.base)
            rest = file.read(limit - place)
        found = rest.find(b"\n" + MAGIC, 1)
        skipped = len(rest) if found < 0 else found + 1
        with self._state:
            self.damaged_bytes += skipped
        what = "spool %s: %d bytes at %d of %s are damaged"
        where = {"sink": str(self.directory), "segment": segment.path.name, "place": place, "size_bytes": skipped}
        _log.warning(what, self.directory, skipped, place - segment.base, segment.path.name, extra=where)
        return Chunk(place, place + skipped, b"", 0)

    def ack(self, place: int, start: int = 0) -> None:
        """Note that everything was taken from ``start`` to before ``place``; blocks for the time of a write to the disk.

        Raises:
            DiskRefused: the note could not be written; the same blocks are read again after a restart.
        """
        with self._state:
            if self._taken.covers(start, place):
                return
            self._taken.add(start, place)
        self._note_taken()

    def ack_soon(self, place: int, start: int = 0) -> None:
        """Note that everything was taken from ``start`` to before ``place``; the note is on the disk with a sync, a second later at most."""
        with self._state:
            if self._taken.covers(start, place):
                return
            self._taken.add(start, place)
            if not self._to_note:
                self._to_note = True
                self._state.notify_all()

    def _note_taken(self) -> None:
        """Write down what was taken.

        Raises:
            DiskRefused: it could not be written.
        """
        # Two threads may note, and there is one draft: what two of them wrote into it together could say that more was taken.
        with self._noting:
            with self._state:
                self._to_note = False
                text = self._taken.text()
            draft = self.directory / "acked.new"
            try:
                with draft.open("w", encoding="ascii") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(self.directory / "acked")
            except OSError as exc:
                raise DiskRefused(f"spool {self.directory}: cannot note what was acknowledged: {exc.strerror}; free space") from exc

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
                self._state.wait_for(lambda: self._dirty or self._to_note or self._closed)
                # Everything that arrives within the time goes to the disk together.
                self._state.wait_for(lambda: self._closed, timeout=self.form.sync_s)
                if self._closed:
                    return
            try:
                if self._dirty:
                    self.sync()
            except OSError as exc:
                self._sync_error = exc
                _log.exception("spool %s cannot reach the disk", self.directory, extra={"sink": str(self.directory)})
                return
            self._note_if_due()

    def _note_if_due(self, *, at_the_end: bool = False) -> None:
        if not self._to_note or (time.monotonic() < self._noted_s + _NOTE_EVERY_S and not at_the_end):
            return
        self._noted_s = time.monotonic()
        try:
            self._note_taken()
        except DiskRefused as exc:
            # The places are known to this process; a restart would have some blocks read again.
            _log.warning("%s", exc, extra={"sink": str(self.directory)})

    def close(self) -> None:
        """Bring everything to the disk and let go of the directory."""
        with self._state:
            if self._closed:
                return
            self._closed = True
            self._state.notify_all()
        self._thread.join()
        self._note_if_due(at_the_end=True)
        try:
            self.sync()
        finally:
            os.close(self._fd)
            os.close(self._lock_fd)
