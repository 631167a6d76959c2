"""Where does the embedded transport keep its records, so that nothing it took is lost?

:class:`Log` is the one owner of a directory. Appends, declarations and consumer offsets go through one ordered queue to one thread
(:mod:`streams.transport.writer`), and from that order follows what Faust needs:

* a record can be read only once it is on disk, so nobody acts on what a power cut could take back;
* a consumer's offset is on disk only after everything that was sent before it was committed;
* after a crash the log is a prefix of what was queued.

Newest records are read from memory, older ones from disk (:mod:`streams.transport.partition`, :mod:`streams.transport.reader`).

While the disk is full, the log is *stalled*: :attr:`Log.stalled` says why, nothing is acknowledged, what is on disk is read on, and
when there is room it goes on in order, with nothing lost or repeated (:mod:`streams.transport.patience`). When the disk fails,
:attr:`Log.failure` is set for good, every later call that would write raises it, and the owner is told: the service stops with a
reason instead of going on without a record.

Absent on purpose: transactions across an event's reads and writes (effects carry identities instead, as on Kafka), and more than
one process (Kafka is there for that).
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from ingest.lockfile import Held, own
from streams.errors import StoreError, StoreLocked
from streams.transport.inspection import DAMAGE_REMEDY, Damage, inspect
from streams.transport.partition import RECORD_OVERHEAD_BYTES, Partition
from streams.transport.patience import LogOptions, Stalled
from streams.transport.reader import LogReader, read_offsets, read_slice
from streams.transport.records import Headers, Record, RecordDamaged
from streams.transport.schema import LOCK_NAME, UNREADABLE, Declaration, Place, connect_reader
from streams.transport.store import StoreFile
from streams.transport.writer import Operation, Writer

__all__ = ["BACKLOG_BYTES_MAX", "RECORD_BYTES_MAX", "Appended", "Log", "LogReader"]

BACKLOG_BYTES_MAX: Final = 256 << 20
"""Most bytes that may wait for the disk. Senders are held back long before; this bounds what is sent without waiting."""

RECORD_BYTES_MAX: Final = 1_000_000
"""Largest key plus value plus headers, bytes. A Kafka broker refuses more by default, and the transports carry the same records."""

_log = logging.getLogger(__name__)


class Appended(NamedTuple):
    """Where a record will stand; it stands there once :attr:`Log.durable` has reached ``ticket``."""

    offset: int
    ts_write_ms: int
    ticket: int


class Log:
    """The embedded transport's records, in a directory that this process owns.

    Methods may be called from any thread. None of them waits for the disk except :meth:`wait`, :meth:`close` and a :meth:`read` of
    records older than the tail.

    Args:
        directory: on a local disk; created where it is not there.
        on_progress: called on the writer thread after each batch, and once when the log fails.
        options: how the disk is treated.

    Attributes:
        damages: what was found damaged when the log was opened, among the records that a crash can have touched.

    Raises:
        StoreLocked: another process, or another log of this one, owns the directory.
        StoreError: the directory cannot be used.
    """

    def __init__(self, directory: Path, *, on_progress: Callable[[], None] = lambda: None, options: LogOptions | None = None) -> None:
        self.directory = directory
        self._lock_fd = _own(directory)
        try:
            self._file = StoreFile(directory)
            self._reader = connect_reader(directory)
            self._declarations = self._file.declarations
            self._committed = self._file.committed()
            self._partitions: dict[tuple[str, int], Partition] = {}
            self.damages = self._read_back()
        except UNREADABLE as exc:
            os.close(self._lock_fd)
            raise StoreError(f"the log in {directory} cannot be opened: {exc}; restore it from a copy") from exc
        except StoreError:
            os.close(self._lock_fd)
            raise
        self._next_place = 1 + max((partition.place.id for partition in self._partitions.values()), default=0)
        self._reading = threading.Lock()
        self._writer = Writer(directory, self._file, self._partitions, self._committed, on_progress, options or LogOptions())

    def _read_back(self) -> tuple[Damage, ...]:
        """Find where every partition stands, and what of it is not as it was written; see :mod:`streams.transport.inspection`."""
        began_s, sound, damages = time.monotonic(), 0, []
        marks, consumed = self._file.marks(), Counter[tuple[str, int]]()
        for (_, topic, number), offset in self._committed.items():
            consumed[topic, number] = max(consumed[topic, number], offset)
        for topic, declaration in self._declarations.items():
            for place in self._file.places(topic):
                oldest, behind, ts_write_ms = self._file.bounds(place)
                mark = marks.get(place.id, 0)
                # An offset that was given is never given again: whoever has read that far would pass over the new record.
                end = max(behind, mark, consumed[topic, place.partition])
                live = self._file.live(place)
                self._partitions[topic, place.partition] = Partition(
                    place, oldest, end, ts_write_ms, end, live or (), 0 if live is None else end, compacted=live is not None
                )
                start = max(oldest, min(mark, behind))
                read = partial(read_slice, self._reader, place, stop=end, dense=not declaration.compacted)
                count, found = inspect(read, topic, place.partition, start, end)
                sound += count
                damages += found
        took_s = time.monotonic() - began_s
        _log.info("the log in %s is open; %d records since its last close were read back in %.2f s", self.directory, sound, took_s)
        for damage in damages:
            _log.error("damaged in the log in %s: %s; %s", self.directory, damage, DAMAGE_REMEDY)
        return tuple(damages)

    # What topics there are

    def declare(self, topic: str, *, partitions: int, retention_ms: int | None = None, compacted: bool = False) -> None:
        """Make sure a topic exists; its retention follows the newest declaration.

        Raises:
            StoreError: it exists with another number of partitions or was compacted otherwise, or the log has failed.
        """
        declaration = Declaration(partitions, retention_ms, compacted)
        with self._writer.lock:
            known = self._declarations.get(topic)
            if known == declaration:
                return
            if known is None:
                places = self._new_places(topic, partitions, compacted=compacted)
            elif known.partitions == partitions and known.compacted == compacted:
                places = tuple(self._partitions[topic, number].place for number in range(partitions))
            else:
                # Keys would change partition; and gaps that compaction left would look like losses.
                raise StoreError(
                    f"topic {topic} in {self.directory} has {known.partitions} partitions, compacted: {known.compacted}; "
                    f"wanted are {partitions}, compacted: {compacted}; give the topic a new name, or start with an empty directory"
                )
            self._declarations[topic] = declaration
            self._writer.put(Operation(declared=(topic, declaration, places)))

    def _new_places(self, topic: str, partitions: int, *, compacted: bool) -> tuple[Place, ...]:
        places = tuple(Place(topic, number, self._next_place + number) for number in range(partitions))
        self._next_place += partitions
        for place in places:
            self._partitions[topic, place.partition] = Partition(place, 0, 0, 0, 0, compacted=compacted)
        return places

    def partitions(self, topic: str) -> int | None:
        """Return how many partitions a topic has, None where it is not declared."""
        declaration = self._declarations.get(topic)
        return None if declaration is None else declaration.partitions

    def _partition(self, topic: str, partition: int) -> Partition:
        found = self._partitions.get((topic, partition))
        if found is None:
            known = self.partitions(topic)
            what = "is not declared; declare it (internal=True, partitions=…)" if known is None else f"has partitions 0 to {known - 1}"
            raise StoreError(f"there is no {topic}[{partition}] in {self.directory}: the topic {what}")
        return found

    # Writing

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers = ()) -> Appended:
        """Queue one record; its offset is settled now, it is on disk once :attr:`durable` has reached its ticket.

        Raises:
            StoreError: no such partition, the log has failed, or more than :data:`BACKLOG_BYTES_MAX` wait for the disk.
            ValueError: the record is larger than :data:`RECORD_BYTES_MAX`.
        """
        size = len(key or b"") + len(value or b"") + sum(len(name) + len(content) for name, content in headers)
        if size > RECORD_BYTES_MAX:
            raise ValueError(f"a record for {topic} has {size} bytes, at most {RECORD_BYTES_MAX} are carried; split it")
        target = self._partition(topic, partition)
        now_ms = time.time_ns() // 1_000_000
        with self._writer.lock:
            self._writer.check()
            if self._writer.backlog_bytes > BACKLOG_BYTES_MAX:
                raise StoreError(
                    f"{self._writer.backlog_bytes:,} bytes wait for the disk under {self.directory}, and no more are taken into memory; "
                    "free space, or see what holds the disk up"
                )
            record = target.add(now_ms, key, value, headers)
            ticket = self._writer.put(Operation(appended=(target, record), size=size + RECORD_OVERHEAD_BYTES))
        return Appended(record.offset, record.ts_write_ms, ticket)

    def commit(self, consumer: str, offsets: Mapping[tuple[str, int], int]) -> int:
        """Queue a consumer's offsets behind everything sent so far.

        Args:
            consumer: an app's id.
            offsets: (topic, partition) → the next offset to read after a restart.

        Returns:
            The ticket of the commit.

        Raises:
            StoreError: the log has failed.
        """
        with self._writer.lock:
            return self._writer.put(Operation(committed=(consumer, dict(offsets))))

    @property
    def last_ticket(self) -> int:
        """The ticket of the newest operation; when :attr:`durable` reaches it, all that was queued so far is on disk."""
        return self._writer.queued

    @property
    def durable(self) -> int:
        """Every operation with a ticket up to this one is on disk."""
        return self._writer.durable

    @property
    def backlog_bytes(self) -> int:
        """Bytes queued and not yet on disk; whoever sends waits while it is high."""
        return self._writer.backlog_bytes

    @property
    def stalled(self) -> Stalled | None:
        """Why nothing gets to disk at present; None while it does."""
        return self._writer.stalled

    @property
    def failure(self) -> StoreError | None:
        """Why the log takes nothing more; None while it does."""
        return self._writer.failure

    @property
    def alive(self) -> bool:
        """Whether somebody still writes what is queued."""
        return self._writer.alive

    def wait(self, ticket: int, timeout_s: float | None = None) -> None:
        """Block until an operation is on disk.

        Raises:
            StoreError: the log failed first, or the disk took longer than ``timeout_s``.
        """
        self._writer.wait(ticket, timeout_s)

    def give_up_within(self, grace_s: float) -> None:
        """The owner is about to stop: from then on a disk that takes nothing fails the log instead of stalling it."""
        self._writer.give_up_within(grace_s)

    # Reading

    def read(self, topic: str, partition: int, start: int, *, records_max: int = 1000, bytes_max: int = 1 << 20) -> list[Record]:
        """Return records on disk from offset ``start``, in order; none where it is at the end.

        Of a compacted topic, records that were superseded when the log was opened are passed over, whether or not compaction has taken
        them away by now.

        Raises:
            RecordDamaged: the record at ``start`` is damaged; go on behind it.
            StoreError: no such partition, or the disk cannot be read.
        """
        source = self._partition(topic, partition)
        with self._writer.lock:
            end = source.end
            hot = source.hot(start, records_max, bytes_max) if start < end else []
        if hot is not None:
            return hot
        with self._reading:
            while (offsets := source.sparse(start, records_max)) is not None:
                if found := read_offsets(self._reader, source.place, offsets, bytes_max=bytes_max):
                    return found
                start = offsets[-1] + 1
            dense = not self._declarations[topic].compacted
            found = read_slice(self._reader, source.place, start, end, dense=dense, records_max=records_max, bytes_max=bytes_max)
        if not found and start < end:
            # Compaction leaves the newest record, so there is always one to be found.
            raise RecordDamaged(topic, partition, end - 1, "it is missing")
        return found

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the oldest offset that is there and the offset behind the newest record on disk."""
        source = self._partition(topic, partition)
        return source.oldest, source.end

    def committed(self, consumer: str) -> dict[tuple[str, int], int]:
        """Return (topic, partition) → next offset of a consumer, as on disk."""
        with self._writer.lock:
            return {(topic, partition): offset for (who, topic, partition), offset in self._committed.items() if who == consumer}

    def close(self) -> None:
        """Bring what is queued to disk, then let the directory go.

        A disk that takes nothing is waited for a few seconds; what could not be written stays in :attr:`failure`.
        """
        self._writer.close()
        self._reader.close()
        try:
            self._file.close()
        except sqlite3.Error as exc:
            _log.warning("closing the log in %s: %s", self.directory, exc)
        os.close(self._lock_fd)


def _own(directory: Path) -> int:
    """Lock a directory for this process."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return own(directory / LOCK_NAME)
    except Held as held:
        raise StoreLocked(
            f"the log in {directory} is in use by process {held.by}; stop that service, or start this one with another directory"
        ) from None
    except OSError as exc:
        raise StoreError(f"the log's directory {directory} cannot be used: {exc.strerror}; check the path and its permissions") from exc
