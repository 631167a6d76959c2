"""In which order does what was queued reach the disk, and who learns of it?

One thread takes everything that was queued, in order, and brings it to disk in one transaction: one sync of the disk for all that
came in during the last one (group commit). Each operation has a *ticket*, counted from 1; :attr:`Writer.durable` is the ticket up
to which everything is on disk. When a transaction fails it is rolled back whole, :attr:`Writer.failure` is set for good, and
nothing more is taken: what is on disk stays a prefix of what was queued.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from streams.errors import StoreError
from streams.transport.partition import Partition
from streams.transport.records import Record
from streams.transport.schema import FILE_NAME, Declaration, Place, error_code
from streams.transport.store import Batch, StoreFile

__all__ = ["Operation", "Writer"]

_BATCH_OPERATIONS: Final = 4096
_BATCH_BYTES: Final = 16 << 20
_LINGER_S: Final = 0.001
_LINGER_FROM: Final = 64
"""Under load, a batch this large is followed by a short wait that lets the next one grow; a lone append is never made to wait."""

_TIDY_EVERY_S: Final = 60.0
_TIDY_SUPERSEDED: Final = 4096
"""Housekeeping runs this often, and as soon as this many records are superseded: recovery reads at most so many in vain."""

_log = logging.getLogger(__name__)


class Operation(NamedTuple):
    """One thing on its way to disk: exactly one of the first three is set.

    Attributes:
        committed: a consumer, and its next offset per (topic, partition).
        size: bytes that it holds in memory.
    """

    appended: tuple[Partition, Record] | None = None
    committed: tuple[str, Mapping[tuple[str, int], int]] | None = None
    declared: tuple[str, Declaration, tuple[Place, ...]] | None = None
    size: int = 0


class Writer:
    """The thread that writes the log's file.

    Args:
        places: (topic, partition) → what the owner keeps about it; the writer moves ``end`` and ``oldest``.
        committed: (consumer, topic, partition) → next offset on disk; the writer keeps it so.
        on_progress: called on the writer's thread after each transaction, and once when it fails.

    Attributes:
        lock: guards the partitions and ``committed``; held to queue an operation.
        backlog_bytes: queued and not yet on disk.
        durable: every operation up to this ticket is on disk.
        failure: why nothing more is taken; set at most once.
    """

    def __init__(
        self,
        directory: Path,
        file: StoreFile,
        places: Mapping[tuple[str, int], Partition],
        committed: dict[tuple[str, str, int], int],
        on_progress: Callable[[], None],
    ) -> None:
        self._directory = directory
        self._file = file
        self._places = places
        self._committed = committed
        self._on_progress = on_progress
        self.lock = threading.Lock()
        self._wake = threading.Condition(self.lock)
        self._moved = threading.Condition(self.lock)
        self._queue: deque[Operation] = deque()
        self._closing = False
        self.queued = 0
        self.backlog_bytes = 0
        self.durable = 0
        self.failure: StoreError | None = None
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def put(self, operation: Operation) -> int:
        """Queue an operation and return its ticket. The caller holds :attr:`lock`.

        Raises:
            StoreError: the writer has failed, or is closed.
        """
        self.check()
        self._queue.append(operation)
        self.queued += 1
        self.backlog_bytes += operation.size
        self._wake.notify()
        return self.queued

    def check(self) -> None:
        """Raise if nothing more is taken.

        Raises:
            StoreError: the writer has failed, or is closed.
        """
        if self.failure is not None:
            raise StoreError(str(self.failure)) from self.failure
        if self._closing:
            raise StoreError(f"the log in {self._directory} is closed")

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def wait(self, ticket: int, timeout_s: float | None) -> None:
        """Block until an operation is on disk.

        Raises:
            StoreError: the writer failed first, or the disk took longer than ``timeout_s``.
        """
        with self.lock:
            self._moved.wait_for(lambda: self.durable >= ticket or self.failure is not None, timeout_s)
            if self.durable < ticket:
                if self.failure is not None:
                    raise StoreError(str(self.failure)) from self.failure
                raise StoreError(f"the disk under {self._directory} did not take a record within {timeout_s} s; check its load")

    def close(self) -> None:
        """Bring what is queued to disk and end the thread. What could not be written stays in :attr:`failure`."""
        with self.lock:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        tidying: Iterator[Place | None] | None = None
        tidy_at_s = time.monotonic()  # at once: what an earlier run left superseded is what recovery would read in vain
        try:
            while (operations := self._take(0.0 if tidying else tidy_at_s - time.monotonic())) is not None:
                if operations:
                    self._write(operations)
                if tidying is not None:
                    tidying = self._tidy_step(tidying)
                elif time.monotonic() >= tidy_at_s or self._file.superseded() >= _TIDY_SUPERSEDED:
                    tidying = self._file.tidy(time.time_ns() // 1_000_000)
                    tidy_at_s = time.monotonic() + _TIDY_EVERY_S
                if len(operations) >= _LINGER_FROM:
                    time.sleep(_LINGER_S)
        except sqlite3.Error as exc:
            self._fail(StoreError(f"the log {self._directory / FILE_NAME} cannot be written: {exc}; {_remedy(exc)}"), exc)
        except Exception as exc:
            self._fail(StoreError(f"the writer of the log in {self._directory} stopped: {exc!r}; this is a defect, please report it"), exc)

    def _take(self, patience_s: float) -> list[Operation] | None:
        """Return the next operations in order, none after ``patience_s``, None when closing and all is written."""
        with self.lock:
            if not self._queue and not self._closing and patience_s > 0:
                self._wake.wait(patience_s)
            if not self._queue and self._closing:
                return None
            taken: list[Operation] = []
            size = 0
            while self._queue and len(taken) < _BATCH_OPERATIONS and size < _BATCH_BYTES:
                operation = self._queue.popleft()
                size += operation.size
                taken.append(operation)
            return taken

    def _write(self, operations: list[Operation]) -> None:
        batch = Batch()
        ends: list[tuple[Partition, int]] = []
        for appended, committed, declared, _ in operations:
            if appended is not None:
                partition, record = appended
                batch.records.setdefault(partition.place, []).append(record)
            elif committed is not None:
                consumer, offsets = committed
                batch.committed.update({(consumer, topic, number): offset for (topic, number), offset in offsets.items()})
            else:
                assert declared is not None
                batch.declared.append(declared)
        for place, records in batch.records.items():
            ends.append((self._places[place.topic, place.partition], records[-1].offset + 1))
        self._file.write(batch)
        with self.lock:
            for partition, end in ends:
                partition.end = end
            self._committed.update(batch.committed)
            self.durable += len(operations)
            self.backlog_bytes -= sum(operation.size for operation in operations)
            self._moved.notify_all()
        self._on_progress()

    def _tidy_step(self, tidying: Iterator[Place | None]) -> Iterator[Place | None] | None:
        try:
            place = next(tidying)
        except StopIteration:
            return None
        if place is not None:
            oldest = self._file.bounds(place)[0]
            with self.lock:
                self._places[place.topic, place.partition].oldest = oldest
        return tidying

    def _fail(self, failure: StoreError, cause: Exception) -> None:
        failure.__cause__ = cause
        _log.critical("%s", failure)
        with self.lock:
            self.failure = failure
            self._queue.clear()
            self._moved.notify_all()
        self._on_progress()


def _remedy(exc: sqlite3.Error) -> str:
    match error_code(exc):
        case sqlite3.SQLITE_FULL:
            return "the disk is full: free space, or give the log a larger disk, and start again"
        case sqlite3.SQLITE_IOERR:
            return "the disk fails or its quota is used up: check it, and start again"
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return "the file is damaged: restore it from a copy"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "another program holds it: close the SQLite shell or backup that does, and start again"
        case _:
            return "check the disk and the permissions, and start again"
