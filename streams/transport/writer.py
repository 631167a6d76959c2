"""In which order does what was queued reach the disk, and who learns of it?

One thread takes everything that was queued, in order, and brings it to disk in one transaction: one sync of the disk for all that
came in during the last one (group commit), or for :attr:`LogOptions.sync_every_s` where a disk is to be spared. Each operation has a
*ticket*, counted from 1; :attr:`Writer.durable` is the ticket up to which everything is on disk.

When a transaction fails it is rolled back whole. What may pass is waited out (:mod:`streams.transport.patience`): the writer keeps the
batch, says so in :attr:`Writer.stalled`, and tries it again until it is on disk; nothing behind it overtakes it. What will not pass
sets :attr:`Writer.failure` for good, and nothing more is taken. Either way what is on disk is a prefix of what was queued.
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
from streams.transport.patience import STOP_WITHIN_S, LogOptions, Stalled, Trouble, pause_s, remedy, trouble_of
from streams.transport.records import Record
from streams.transport.schema import FILE_NAME, Declaration, Place
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
        on_progress: called on the writer's thread after each transaction, and once when it fails for good.

    Attributes:
        lock: guards the partitions and ``committed``; held to queue an operation.
        backlog_bytes: queued and not yet on disk.
        durable: every operation up to this ticket is on disk.
        stalled: why nothing gets to disk at present; None while it does.
        failure: why nothing more is taken; set at most once.
    """

    def __init__(
        self,
        directory: Path,
        file: StoreFile,
        places: Mapping[tuple[str, int], Partition],
        committed: dict[tuple[str, str, int], int],
        on_progress: Callable[[], None],
        options: LogOptions,
    ) -> None:
        self._directory = directory
        self._file = file
        self._places = places
        self._committed = committed
        self._on_progress = on_progress
        self._options = options
        self.lock = threading.Lock()
        self._wake = threading.Condition(self.lock)
        self._hurry = threading.Condition(self.lock)
        self._moved = threading.Condition(self.lock)
        self._queue: deque[Operation] = deque()
        self._closing = False
        self._give_up_at_s = float("inf")
        self._next_sync_s = 0.0
        self._tidy_at_s = time.monotonic()  # at once: what an earlier run left superseded is what recovery would read in vain
        self._untidy_since_s: float | None = None
        self._aging: dict[Place, int] = {}
        self.queued = 0
        self.backlog_bytes = 0
        self.durable = 0
        self.stalled: Stalled | None = None
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
        if self._is_batch():
            self._hurry.notify()
        return self.queued

    def _is_batch(self) -> bool:
        return len(self._queue) >= _BATCH_OPERATIONS or self.backlog_bytes >= _BATCH_BYTES

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
                why = "check its load" if self.stalled is None else self.stalled.reason
                raise StoreError(f"the disk under {self._directory} did not take a record within {timeout_s} s; {why}")

    def give_up_within(self, grace_s: float) -> None:
        """Wait no longer than this for a disk that takes nothing; from then on a write that fails fails for good."""
        with self.lock:
            self._give_up_at_s = min(self._give_up_at_s, time.monotonic() + grace_s)
            self._hurry.notify_all()

    def close(self) -> None:
        """Bring what is queued to disk and end the thread. What could not be written stays in :attr:`failure`."""
        self.give_up_within(STOP_WITHIN_S)
        with self.lock:
            self._closing = True
            self._wake.notify()
            self._hurry.notify_all()
        self._thread.join()

    def _run(self) -> None:
        tidying: Iterator[Place | None] | None = None
        try:
            while (operations := self._take(0.0 if tidying else self._tidy_at_s - time.monotonic())) is not None:
                if operations:
                    self._write(operations)
                if tidying is not None:
                    tidying = self._tidy_step(tidying)
                elif self._is_untidy():
                    tidying = self._tidy()
                if len(operations) >= _LINGER_FROM:
                    time.sleep(_LINGER_S)
            self._mark()
        except StoreError as failure:
            self._fail(failure)
        except Exception as exc:
            self._fail(StoreError(f"the writer of the log in {self._directory} stopped: {exc!r}; this is a defect, please report it"), exc)

    def _take(self, patience_s: float) -> list[Operation] | None:
        """Return the next operations in order, none after ``patience_s``, None when closing and all is written."""
        with self.lock:
            if not self._queue and not self._closing and patience_s > 0:
                self._wake.wait(patience_s)
            if not self._queue and self._closing:
                return None
            if self._queue and (pause_s := self._next_sync_s - time.monotonic()) > 0:
                self._hurry.wait_for(lambda: self._closing or self._is_batch(), pause_s)
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
        size = sum(operation.size for operation in operations)
        if self._options.sync_every_s:
            self._next_sync_s = time.monotonic() + self._options.sync_every_s
        self._insist(batch, size)
        with self.lock:
            for partition, end in ends:
                partition.end = end
            self._committed.update(batch.committed)
            self.durable += len(operations)
            self.backlog_bytes -= size
            self.stalled = None
            self._moved.notify_all()
        self._on_progress()

    def _insist(self, batch: Batch, size: int) -> None:
        """Write a batch, however often it takes.

        Raises:
            StoreError: it cannot be written, or not in time.
        """
        attempts = 0
        began_s, failing_s = time.monotonic(), None
        while True:
            attempts += 1
            try:
                self._file.write(batch)
            except sqlite3.Error as exc:
                trouble = trouble_of(exc, self._directory, size)
                # Hours without room are no hours of a failing disk.
                failing_s = (failing_s or time.monotonic()) if trouble is Trouble.FAILING else None
                # The first time it may be enough to begin the write-ahead log anew.
                if trouble is not Trouble.NO_ROOM or attempts > 1 or not self._file.make_room():
                    self._stall(exc, trouble, failing_s)
                    self._file.make_room()
            else:
                break
        if self.stalled is not None:
            waited_s = time.monotonic() - began_s
            _log.warning("the log in %s goes on after %.1f s and %d attempts", self._directory, waited_s, self.stalled.retries)

    def _stall(self, exc: sqlite3.Error, trouble: Trouble, failing_s: float | None) -> None:
        """Say that a write failed, and wait until it is worth another attempt.

        Args:
            failing_s: since when the disk fails, by the monotonic clock; None where it does not.

        Raises:
            StoreError: it is not.
        """
        what = f"the log {self._directory / FILE_NAME} cannot be written: {exc}; {remedy(exc, trouble)}"
        now_s = time.monotonic()
        if trouble is Trouble.LASTING or (failing_s is not None and now_s - failing_s >= self._options.mend_within_s):
            raise StoreError(f"{what}, and start again") from exc
        before = self.stalled
        if before is None:
            _log.critical("%s; until then nothing more is accepted", what)
        with self.lock:
            if now_s >= self._give_up_at_s:
                raise StoreError(f"{what}, and start again; it was stopped before that, and what it had told nobody is not in it") from exc
            retries = 1 if before is None else before.retries + 1
            self.stalled = Stalled(trouble, what, time.time_ns() if before is None else before.since_ns, retries)
            give_up_at_s = self._give_up_at_s
            self._hurry.wait_for(lambda: self._give_up_at_s < give_up_at_s, min(pause_s(retries), max(0.0, give_up_at_s - now_s)))

    def _is_untidy(self) -> bool:
        now_s = time.monotonic()
        return now_s >= self._tidy_at_s or (self._untidy_since_s is None and self._file.superseded() >= _TIDY_SUPERSEDED)

    def _tidy(self) -> Iterator[Place | None]:
        """Begin the housekeeping."""
        now_s, old_enough = time.monotonic(), {}
        if now_s >= self._tidy_at_s:
            # What was on disk at the last round has been there for a minute, and every page of it has been written out since.
            old_enough, self._aging = self._aging, self._ends()
            self._tidy_at_s = now_s + _TIDY_EVERY_S
        return self._file.tidy(time.time_ns() // 1_000_000, old_enough)

    def _ends(self) -> dict[Place, int]:
        with self.lock:
            return {partition.place: partition.end for partition in self._places.values() if partition.end}

    def _mark(self) -> None:
        """Note at a clean close that everything is on disk."""
        try:
            self._file.mark(self._ends())
        except sqlite3.Error as exc:
            _log.warning("the next start reads back more of the log in %s than it must: %s", self._directory, exc)

    def _tidy_step(self, tidying: Iterator[Place | None]) -> Iterator[Place | None] | None:
        try:
            place = next(tidying)
            oldest = 0 if place is None else self._file.bounds(place)[0]
        except StopIteration:
            self._untidy_since_s = None
            return None
        except sqlite3.Error as exc:
            self._put_off(exc)
            return None
        if place is not None:
            with self.lock:
                self._places[place.topic, place.partition].oldest = oldest
        return tidying

    def _put_off(self, exc: sqlite3.Error) -> None:
        """Leave housekeeping that failed for later: nobody waits for it.

        Raises:
            StoreError: it will not succeed later either.
        """
        trouble = trouble_of(exc, self._directory, 0)
        what = f"housekeeping in the log {self._directory / FILE_NAME} failed: {exc}; {remedy(exc, trouble)}"
        now_s = time.monotonic()
        since_s = self._untidy_since_s = now_s if self._untidy_since_s is None else self._untidy_since_s
        if trouble is Trouble.LASTING or (trouble is Trouble.FAILING and now_s - since_s > self._options.mend_within_s):
            raise StoreError(f"{what}, and start again") from exc
        _log.warning("%s; again in %g s", what, _TIDY_EVERY_S)
        self._tidy_at_s = now_s + _TIDY_EVERY_S

    def _fail(self, failure: StoreError, cause: Exception | None = None) -> None:
        failure.__cause__ = cause or failure.__cause__
        _log.critical("%s", failure)
        with self.lock:
            self.failure = failure
            self.stalled = None
            self._queue.clear()
            self._moved.notify_all()
        self._on_progress()
