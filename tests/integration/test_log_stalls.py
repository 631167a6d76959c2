"""A disk that takes nothing for a while is waited out: nothing is lost, repeated or reordered; what will not mend fails, and says why."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.errors import StoreError
from streams.transport import link as link_module
from streams.transport import log as log_module
from streams.transport import patience, writer
from streams.transport.link import Link
from streams.transport.log import Log, LogReader
from streams.transport.partition import RECORD_OVERHEAD_BYTES
from streams.transport.patience import LogOptions, Trouble, trouble_of
from streams.transport.schema import FILE_NAME
from tests.kit.eventually import eventually, eventually_async
from tests.kit.fulldisk import KINDS, Kind, no_room

pytestmark = pytest.mark.integration  # a real disk is waited for

BIG = b"x" * 500_000


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "log")
    log.declare("t", partitions=1)
    log.wait(log.append("t", 0, b"k", b"before").ticket, 5)
    yield log
    log.close()


def stalled(log: Log) -> str:
    """Wait until the log says that it is stalled; returns the reason."""
    eventually("the log is stalled", lambda: log.stalled is not None)
    assert log.stalled is not None
    return log.stalled.reason


def contents(directory: Path, topic: str = "t") -> list[bytes | None]:
    with LogReader(directory) as reader:
        return [record.value for record in reader.records(topic, 0)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_is_waited_out(log: Log, kind: Kind) -> None:
    before_ns = time.time_ns()
    with no_room(log, kind):
        big = log.append("t", 0, b"k", BIG).ticket
        behind = log.append("t", 0, b"k", b"behind").ticket
        commit = log.commit("app", {("t", 0): 1})
        reason = stalled(log)
        assert f"log.sqlite3 cannot be written: {'database or disk is full' if kind == 'full' else 'disk I/O error'}" in reason
        assert ("the disk is full: free space" if kind == "full" else "its quota is used up") in reason
        eventually("it tries again", lambda: log.stalled is not None and log.stalled.retries >= 3)
        assert log.stalled is not None
        assert before_ns <= log.stalled.since_ns <= time.time_ns()
        assert log.durable < big, "nothing is acknowledged"
        assert [record.value for record in log.read("t", 0, 0)] == [b"before"], "what is on disk is read on"
        assert log.committed("app") == {}
        assert log.failure is None
    log.wait(commit, 5)
    assert big < behind < commit
    assert log.stalled is None
    assert [record.value for record in log.read("t", 0, 0)] == [b"before", BIG, b"behind"]
    assert contents(log.directory) == [b"before", BIG, b"behind"]
    assert log.committed("app") == {("t", 0): 1}


def test_a_compacted_topic_keeps_its_newest_through_a_stall(log: Log) -> None:
    """A batch that is written twice must not make its own records out of date."""
    log.declare("c", partitions=1, compacted=True)
    log.wait(log.append("c", 0, b"k", b"old").ticket, 5)
    with no_room(log):
        ticket = log.append("c", 0, b"k", BIG).ticket
        stalled(log)
        eventually("it tried again", lambda: log.stalled is not None and log.stalled.retries >= 2)
    log.wait(ticket, 5)
    assert log._file.superseded() <= 1
    list(log._file.tidy(0))
    assert contents(log.directory, "c") == [BIG]


def test_a_topic_declared_during_a_stall_is_there_after_it(log: Log) -> None:
    with no_room(log):
        log.append("t", 0, None, BIG)
        stalled(log)
        log.declare("late", partitions=2)
        ticket = log.append("late", 1, None, b"v").ticket
    log.wait(ticket, 5)
    assert [record.value for record in log.read("late", 1, 0)] == [b"v"]


def test_another_program_that_holds_the_file_is_waited_out(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log._file._db.execute("PRAGMA busy_timeout=20")
    other = sqlite3.connect(log.directory / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ticket = log.append("t", 0, None, b"waits").ticket
    assert "another program holds it: close the SQLite shell" in stalled(log)
    other.execute("ROLLBACK")
    other.close()
    log.wait(ticket, 5)
    assert contents(log.directory) == [b"before", b"waits"]


# What does not pass


def failing(name: str) -> sqlite3.Error:
    exc = sqlite3.OperationalError(name)
    exc.sqlite_errorcode = getattr(sqlite3, name)
    return exc


class Ailing:
    """In place of :meth:`StoreFile.write`: fails as long as it is told to."""

    def __init__(self, log: Log, name: str) -> None:
        self._write, self.ails, self.attempts = log._file.write, True, 0
        self.name = name
        log._file.write = self  # type: ignore[method-assign, assignment]

    def __call__(self, batch: object) -> None:
        self.attempts += 1
        if self.ails:
            raise failing(self.name)
        self._write(batch)  # type: ignore[arg-type]


def test_an_io_error_that_mends_is_forgotten(log: Log) -> None:
    disk = Ailing(log, "SQLITE_IOERR")
    ticket = log.append("t", 0, None, b"v").ticket
    assert "the disk fails: check it" in stalled(log)
    disk.ails = False
    log.wait(ticket, 5)
    assert log.failure is None
    assert contents(log.directory) == [b"before", b"v"]


def test_an_io_error_that_does_not_mend_in_time_fails_for_good(tmp_path: Path) -> None:
    log = Log(tmp_path, options=LogOptions(mend_within_s=0.2))
    log.declare("t", partitions=1)
    log.wait(log.last_ticket, 5)
    disk = Ailing(log, "SQLITE_IOERR")
    ticket = log.append("t", 0, None, b"v").ticket
    with pytest.raises(StoreError, match="the disk fails: check it and its permissions, and start again"):
        log.wait(ticket, 5)
    assert disk.attempts >= 3
    assert log.stalled is None
    log.close()


def test_the_time_to_mend_begins_when_the_disk_begins_to_fail(tmp_path: Path) -> None:
    log = Log(tmp_path, options=LogOptions(mend_within_s=0.4))
    log.declare("t", partitions=1)
    log.wait(log.last_ticket, 5)
    disk = Ailing(log, "SQLITE_FULL")
    ticket = log.append("t", 0, None, b"v").ticket
    eventually("it was full for longer than that", lambda: log.stalled is not None and log.stalled.since_ns < time.time_ns() - 500_000_000)
    disk.name = "SQLITE_IOERR"
    eventually("it fails now", lambda: log.stalled is not None and log.stalled.trouble is Trouble.FAILING)
    disk.ails = False
    log.wait(ticket, 5)
    log.close()


@pytest.mark.parametrize(("name", "says"), [("SQLITE_CORRUPT", "the file is damaged: restore it"), ("SQLITE_CONSTRAINT", "check the disk")])
def test_damage_fails_at_once_and_everything_with_it(tmp_path: Path, name: str, says: str) -> None:
    told: list[None] = []
    log = Log(tmp_path, on_progress=lambda: told.append(None))
    log.declare("t", partitions=1)
    log.wait(log.append("t", 0, None, b"kept").ticket, 5)
    eventually("both are told of", lambda: bool(told))
    disk = Ailing(log, name)
    seen = len(told)
    with pytest.raises(StoreError, match=says):
        log.wait(log.append("t", 0, None, b"v").ticket, 5)
    assert disk.attempts == 1
    eventually("the owner is told of the failure too", lambda: len(told) > seen)
    for refused in (lambda: log.append("t", 0, None, b""), lambda: log.commit("app", {}), lambda: log.declare("u", partitions=1)):
        with pytest.raises(StoreError, match=says):
            refused()
    assert [record.value for record in log.read("t", 0, 0)] == [b"kept"], "what is on disk can still be read"
    log.close()
    assert contents(tmp_path) == [b"kept"]


def test_an_io_error_is_no_room_only_if_the_disk_says_so(log: Log) -> None:
    exc = failing("SQLITE_IOERR")
    assert trouble_of(exc, log.directory, 1000) is Trouble.FAILING
    with no_room(log, "quota"):
        assert trouble_of(exc, log.directory, 1000) is Trouble.NO_ROOM
    assert trouble_of(exc, log.directory / "gone", 1000) is Trouble.FAILING
    assert sorted(path.name for path in log.directory.iterdir()) == ["log.lock", *(FILE_NAME + end for end in ("", "-shm", "-wal"))]


# Housekeeping waits its turn


def test_housekeeping_that_finds_no_room_is_put_off(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_TIDY_EVERY_S", 0.05)
    full = True

    def delete(*_args: object) -> None:
        if full:
            raise failing("SQLITE_FULL")
        monkeypatch.undo()
        log._file._delete(*_args)  # type: ignore[arg-type]

    monkeypatch.setattr(log._file, "_delete", delete)
    log.declare("c", partitions=1, compacted=True)
    for _ in range(3):
        ticket = log.append("c", 0, b"k", b"v").ticket
    log.wait(ticket, 5)
    log._writer._tidy_at_s = 0.0
    log.append("t", 0, None, b"wakes it")
    eventually("it was put off", lambda: log._writer._untidy_since_s is not None)
    assert log.failure is None
    full = False
    eventually("it is made good", lambda: log.bounds("c", 0)[0] == 2)
    assert contents(log.directory, "c") == [b"v"]


# Stopping


def test_a_close_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "STOP_WITHIN_S", 0.1)
    log = Log(tmp_path)
    log.declare("t", partitions=1)
    log.wait(log.append("t", 0, None, b"kept").ticket, 5)
    with no_room(log):
        ticket = log.append("t", 0, None, BIG).ticket
        stalled(log)
        log.close()
    assert log.failure is not None
    assert "the disk is full" in str(log.failure)
    assert "it was stopped before that" in str(log.failure)
    with pytest.raises(StoreError, match="it was stopped before that"):
        log.wait(ticket)
    again = Log(tmp_path)
    assert [record.value for record in again.read("t", 0, 0)] == [b"kept"]
    assert again.append("t", 0, None, b"next").offset == 1
    again.close()


def test_room_that_comes_while_it_stops_is_used(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.declare("t", partitions=1)
    log.wait(log.last_ticket, 5)
    with no_room(log):
        log.append("t", 0, None, BIG)
        stalled(log)
        log.give_up_within(30)
    log.close()
    assert log.failure is None
    assert contents(tmp_path) == [BIG]


# Holding back who sends


def test_what_waits_for_the_disk_is_bounded(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "BACKLOG_BYTES_MAX", 1_000_000)
    with no_room(log):
        for _ in range(2):
            log.append("t", 0, None, BIG)
        with pytest.raises(StoreError, match=f"{2 * (len(BIG) + RECORD_OVERHEAD_BYTES):,} bytes wait for the disk"):
            log.append("t", 0, None, b"one more")
    log.wait(log.last_ticket, 5)
    assert log.append("t", 0, None, b"goes on").offset == 3


def test_senders_wait_before_deliveries_do_and_a_failure_lets_all_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "_BACKLOG_BYTES_MAX", 400_000)
    monkeypatch.setattr(link_module, "_DELIVERY_BYTES_MAX", 900_000)
    monkeypatch.setattr(link_module, "STOP_WITHIN_S", 0.1)
    failures: list[StoreError] = []

    async def story() -> None:
        link = Link(tmp_path, failures.append)
        link.log.declare("t", partitions=1)
        await link.durable(link.log.last_ticket)
        with no_room(link.log):
            link.log.append("t", 0, None, BIG)
            await eventually_async("the log is stalled", lambda: link.log.stalled is not None)
            sender = asyncio.create_task(link.ebb())
            await asyncio.wait_for(link.ebb(delivery=True), 30)
            assert not sender.done()
            ticket = link.log.append("t", 0, None, BIG).ticket
            delivery = asyncio.create_task(link.ebb(delivery=True))
            waits = asyncio.create_task(link.durable(ticket))
            await asyncio.sleep(0)
            assert not delivery.done()
            assert not waits.done()
            link.stopping()
            await asyncio.wait_for(asyncio.gather(sender, delivery), 30)
            with pytest.raises(StoreError, match="the disk is full"):
                await waits
        link.close()

    asyncio.run(story())
    assert len(failures) == 1


# Group commit


def syncs(log: Log) -> list[int]:
    """Note the size of every batch from now on."""
    sizes: list[int] = []
    write = log._file.write

    def noted(batch: object) -> None:
        sizes.append(sum(len(records) for records in batch.records.values()))  # type: ignore[attr-defined]
        write(batch)  # type: ignore[arg-type]

    log._file.write = noted  # type: ignore[method-assign, assignment]
    return sizes


def test_what_comes_within_the_interval_is_synced_together(tmp_path: Path) -> None:
    log = Log(tmp_path, options=LogOptions(sync_every_s=0.25))
    log.declare("t", partitions=1)
    log.wait(log.last_ticket, 5)
    sizes = syncs(log)
    ends = []
    for number in range(20):
        ends.append(log.append("t", 0, None, b"%d" % number).ticket)
        time.sleep(0.001)
    assert log.durable < ends[-1], "it is acknowledged only when it is synced"
    log.wait(ends[-1], 5)
    assert sum(sizes) == 20
    assert len(sizes) <= 2
    log.close()


def test_a_large_batch_does_not_wait_for_the_interval_and_neither_does_a_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_BATCH_OPERATIONS", 50)
    log = Log(tmp_path, options=LogOptions(sync_every_s=3600))
    log.declare("t", partitions=1)
    log.wait(log.last_ticket, 5)
    for number in range(50):
        ticket = log.append("t", 0, None, b"%d" % number).ticket
    log.wait(ticket, 5)
    log.append("t", 0, None, b"last")
    log.close()
    assert len(contents(tmp_path)) == 51


def test_pauses_grow_to_a_second() -> None:
    assert [patience.pause_s(n) for n in (1, 2, 3, 5, 6, 1000)] == [0.05, 0.1, 0.2, 0.8, 1.0, 1.0]
