"""What the embedded log promises: order, durability, one owner, clean-up that takes nothing it must not, and errors that say why."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.errors import StoreError, StoreLocked
from streams.topics import TOPICS, Topic
from streams.transport import partition as partition_module
from streams.transport.log import RECORD_BYTES_MAX, Log, LogReader
from streams.transport.records import Record, RecordDamaged, encode_row, place_seed, raise_if_damaged, stand_in
from streams.transport.schema import FILE_NAME, Declaration, Place
from streams.transport.store import Batch, StoreFile
from tests.kit.eventually import eventually

_DAY_MS = 86_400_000


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "log")
    log.declare("t", partitions=2)
    yield log
    log.close()


def put(log: Log, *values: bytes, topic: str = "t", partition: int = 0, key: bytes | None = None) -> int:
    """Append values and wait until they are on disk; returns the last ticket."""
    ticket = 0
    for value in values:
        ticket = log.append(topic, partition, key, value).ticket
    log.wait(ticket, 5)
    return ticket


def values(records: list[Record]) -> list[bytes | None]:
    return [record.value for record in records]


# Order and durability


def test_records_come_back_in_order_with_all_they_carried(log: Log) -> None:
    before_ms = time.time_ns() // 1_000_000
    first = log.append("t", 0, b"k", b"one", (("h", b"\x00"), ("h", b"2")))
    second = log.append("t", 0, None, None)
    log.append("t", 1, b"k", b"elsewhere")
    log.wait(log.last_ticket, 5)
    assert (first.offset, second.offset) == (0, 1)
    one, two = log.read("t", 0, 0)
    assert one == Record(0, first.ts_write_ms, b"k", b"one", (("h", b"\x00"), ("h", b"2")))
    assert (two.key, two.value, two.headers) == (None, None, ())
    assert before_ms <= one.ts_write_ms <= two.ts_write_ms <= time.time_ns() // 1_000_000
    assert values(log.read("t", 1, 0)) == [b"elsewhere"]


def test_a_record_can_be_read_only_once_it_is_on_disk(log: Log, tmp_path: Path) -> None:
    put(log, b"before")
    other = sqlite3.connect(tmp_path / "log" / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # the writer has to wait
    ticket = log.append("t", 0, None, b"waits").ticket
    assert values(log.read("t", 0, 0)) == [b"before"]
    assert log.bounds("t", 0) == (0, 1)
    assert log.durable < ticket
    assert log.backlog_bytes > 0
    other.execute("ROLLBACK")
    other.close()
    log.wait(ticket, 5)
    assert values(log.read("t", 0, 0)) == [b"before", b"waits"]
    assert log.backlog_bytes == 0


def test_offsets_are_committed_behind_what_was_sent_before_them(log: Log, tmp_path: Path) -> None:
    sent = log.append("t", 0, None, b"effect").ticket
    committed = log.commit("app", {("t", 1): 7})
    assert committed > sent
    log.wait(committed, 5)
    assert log.durable >= sent
    assert log.committed("app") == {("t", 1): 7}
    assert log.committed("another app") == {}
    log.wait(log.commit("app", {("t", 0): 1}), 5)
    with LogReader(tmp_path / "log") as reader:
        assert reader.committed("app") == {("t", 0): 1, ("t", 1): 7}


def test_everything_is_there_after_closing_and_opening(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.declare("t", partitions=1, retention_ms=5, compacted=True)
    for number in range(200):
        log.append("t", 0, b"%d" % number, b"v%d" % number)
    log.commit("app", {("t", 0): 150})
    log.close()  # waits for all of it
    again = Log(tmp_path)
    assert again.partitions("t") == 1
    assert again.bounds("t", 0)[1] == 200
    assert again.committed("app") == {("t", 0): 150}
    assert again.append("t", 0, b"k", b"next").offset == 200
    again.close()


def test_write_times_never_run_backwards(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    first = log.append("t", 0, None, b"1").ts_write_ms
    monkeypatch.setattr(time, "time_ns", lambda: (first - 3_600_000) * 1_000_000)
    assert log.append("t", 0, None, b"2").ts_write_ms == first


def test_a_consumer_that_lags_reads_from_disk_what_the_tail_forgot(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_module, "_TAIL_BYTES", 5000)
    sent = [b"%d" % number for number in range(100)]
    for value in sent:
        put(log, value)
    assert len(log._partitions["t", 0]._tail) < 50
    for start in (0, 1, 50, 99):
        found: list[bytes | None] = []
        while batch := log.read("t", 0, start + len(found), records_max=7):
            found += values(batch)
        assert found == sent[start:]
    assert log.read("t", 0, 100) == []


def test_the_tail_forgets_what_is_old_too(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    began_ms = time.time_ns() // 1_000_000
    for second in range(0, 200, 10):
        monkeypatch.setattr(time, "time_ns", lambda second=second: (began_ms + second * 1000) * 1_000_000)
        put(log, b"%d" % second)
    assert len(log._partitions["t", 0]._tail) <= 7
    assert values(log.read("t", 0, 0)) == [b"%d" % second for second in range(0, 200, 10)]
    assert log.read("t", 0, 19)[0].value == b"190"


def test_of_a_compacted_topic_only_what_is_on_its_way_stays_in_memory(log: Log) -> None:
    log.declare("states", partitions=1, compacted=True)
    for _ in range(20):
        put(log, b"x" * 1000, topic="states", key=b"k")
    assert len(log._partitions["states", 0]._tail) <= 2
    assert log.read("states", 0, 19)[0].offset == 19


def test_a_read_ends_with_the_record_that_fills_it(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    put(log, b"x" * 1000, b"y" * 1000, b"z")
    assert len(log.read("t", 0, 0, bytes_max=1500)) == 2
    assert len(log.read("t", 0, 0, bytes_max=1)) == 1, "one large record is still read"
    log._partitions["t", 0]._tail.clear()
    assert len(log.read("t", 0, 0, bytes_max=1500)) == 2


# One owner


def test_a_second_owner_is_refused_with_directory_and_process(log: Log, tmp_path: Path) -> None:
    import os

    with pytest.raises(StoreLocked, match=rf"{tmp_path}/log is in use by process {os.getpid()}"):
        Log(tmp_path / "log")


def test_a_directory_can_be_owned_again_after_closing_and_after_a_failed_opening(tmp_path: Path) -> None:
    Log(tmp_path).close()
    db = sqlite3.connect(tmp_path / FILE_NAME)
    db.execute("PRAGMA user_version=99")
    db.close()
    for _ in range(2):
        with pytest.raises(StoreError, match="has format 99, this version reads format 1") as refusal:
            Log(tmp_path)
        assert not isinstance(refusal.value, StoreLocked)


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file/log cannot be used: Not a directory"):
        Log(tmp_path / "file" / "log")


# Topics


def test_a_topic_keeps_its_partitions_and_its_compaction(log: Log) -> None:
    log.declare("t", partitions=2, retention_ms=1000)  # another retention is fine
    with pytest.raises(StoreError, match=r"topic t in .* has 2 partitions.*wanted are 3"):
        log.declare("t", partitions=3)
    with pytest.raises(StoreError, match="compacted: False; wanted are 2, compacted: True"):
        log.declare("t", partitions=2, compacted=True)


def test_what_does_not_exist_is_refused_with_the_remedy(log: Log) -> None:
    with pytest.raises(StoreError, match=r"no other\[0\] .* is not declared; declare it"):
        log.append("other", 0, None, b"")
    with pytest.raises(StoreError, match=r"no t\[2\] .* has partitions 0 to 1"):
        log.read("t", 2, 0)
    with pytest.raises(ValueError, match=f"has {RECORD_BYTES_MAX + 1} bytes"):
        log.append("t", 0, b"k", b"x" * RECORD_BYTES_MAX)


# Failure (tests/integration/test_log_stalls.py has the rest)


def test_a_closed_log_takes_nothing(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.declare("t", partitions=1)
    log.close()
    with pytest.raises(StoreError, match="is closed"):
        log.append("t", 0, None, b"")


# Housekeeping


def store(directory: Path, *, retention_ms: int | None = None, compacted: bool = False) -> tuple[StoreFile, Place]:
    file = StoreFile(directory)
    place = Place("t", 0, 1)
    file.write(Batch(declared=[("t", Declaration(1, retention_ms, compacted), (place,))]))
    return file, place


def write(file: StoreFile, place: Place, rows: list[tuple[int, int, bytes | None, bytes | None]]) -> None:
    file.write(Batch(records={place: [Record(*row) for row in rows]}))


def offsets(file: StoreFile, place: Place) -> list[int]:
    return [row[0] for row in file._db.execute(f"SELECT off FROM records_{place.id} ORDER BY off")]


def tidy(file: StoreFile, now_ms: int) -> None:
    assert list(file.tidy(now_ms)) is not None


def test_retention_takes_the_old_and_never_the_newest(tmp_path: Path) -> None:
    file, place = store(tmp_path, retention_ms=1000)
    write(file, place, [(offset, offset * 100, b"k", b"v") for offset in range(20)])
    tidy(file, now_ms=2000)
    assert offsets(file, place) == list(range(10, 20)), "written at 1000 ms or later"
    tidy(file, now_ms=10**9)
    assert offsets(file, place) == [19]
    assert file.bounds(place) == (19, 20, 1900)
    file.close()


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_topic_keeps_its_records_as_long_as_the_table_says(tmp_path: Path, topic: Topic) -> None:
    keeps_ms, now_ms = topic.retention_s * 1000, 1_700_000_000_000
    file = StoreFile(tmp_path)
    places = tuple(Place(topic.name, number, 1 + number) for number in range(topic.partitions))
    file.write(Batch(declared=[(topic.name, Declaration(topic.partitions, keeps_ms, False), places)]))
    ages_ms = (keeps_ms + 1, keeps_ms, 1)
    file.write(Batch(records={place: [Record(n, now_ms - age, b"k", b"v") for n, age in enumerate(ages_ms)] for place in places}))
    tidy(file, now_ms)
    assert [offsets(file, place) for place in places] == [[1, 2]] * topic.partitions
    tidy(file, now_ms + 10 * keeps_ms)
    assert [offsets(file, place) for place in places] == [[2]] * topic.partitions, "the newest stays"
    file.close()


def test_retention_works_through_more_than_one_slice(tmp_path: Path) -> None:
    file, place = store(tmp_path, retention_ms=1)
    write(file, place, [(offset, 0, None, b"v") for offset in range(1500)])
    assert len(list(file.tidy(10))) >= 3, "the writer gets its turn in between"
    assert offsets(file, place) == [1499]
    file.close()


def test_compaction_keeps_the_newest_record_of_each_key(tmp_path: Path) -> None:
    file, place = store(tmp_path, compacted=True)
    write(file, place, [(0, 0, b"a", b"1"), (1, 0, b"b", b"1"), (2, 0, b"a", b"2"), (3, 0, None, b"no key"), (4, 0, b"a", b"3")])
    assert file.superseded() == 2
    tidy(file, now_ms=1)
    assert offsets(file, place) == [1, 3, 4]
    file.close()


def test_what_was_superseded_before_a_crash_is_taken_away_after_it(tmp_path: Path) -> None:
    file, place = store(tmp_path, compacted=True)
    write(file, place, [(offset, 0, b"%d" % (offset % 3), b"v") for offset in range(3000)])
    file.close()
    again = StoreFile(tmp_path)
    assert again.superseded() == 2997
    tidy(again, now_ms=1)
    assert offsets(again, place) == [2997, 2998, 2999]
    again.close()


def test_a_tombstone_stays_a_day_and_goes_with_what_it_covers(tmp_path: Path) -> None:
    file, place = store(tmp_path, compacted=True)
    write(file, place, [(0, 0, b"a", b"1"), (1, 5, b"a", None), (2, 6, b"b", b"1")])
    tidy(file, now_ms=_DAY_MS)
    assert offsets(file, place) == [1, 2]
    tidy(file, now_ms=_DAY_MS + 6)
    assert offsets(file, place) == [2]
    write(file, place, [(3, _DAY_MS, b"a", b"again")])
    assert file.superseded() == 0, "the key starts anew"
    file.close()


def test_the_newest_record_stays_even_as_a_tombstone(tmp_path: Path) -> None:
    file, place = store(tmp_path, compacted=True)
    write(file, place, [(0, 0, b"a", b"1"), (1, 0, b"a", None)])
    tidy(file, now_ms=10 * _DAY_MS)
    assert offsets(file, place) == [1]
    file.close()


def test_freed_space_is_handed_back(tmp_path: Path) -> None:
    file, place = store(tmp_path, retention_ms=1)
    write(file, place, [(offset, 0, None, b"x" * 100_000) for offset in range(100)])
    pages = file._db.execute("PRAGMA page_count").fetchone()[0]
    tidy(file, now_ms=10)
    assert file._db.execute("PRAGMA page_count").fetchone()[0] < pages // 2
    file.close()


def test_superseded_records_go_while_the_service_runs(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.declare("t", partitions=1, compacted=True)
    for number in range(6000):
        ticket = log.append("t", 0, b"%d" % (number % 5), b"v").ticket
    log.wait(ticket, 5)
    eventually("older records are gone", lambda: log.bounds("t", 0)[0] > 0)
    assert log.bounds("t", 0)[1] == 6000
    log.close()


def superseded_log(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    """A compacted topic of 3,000 records of five keys and one without a key, opened by a service whose housekeeping comes to nothing."""
    file, place = store(directory, compacted=True)
    write(file, place, [(offset, 0, b"%d" % (offset % 5) if offset != 1717 else None, b"%d" % offset) for offset in range(3000)])
    file.close()
    monkeypatch.setattr(StoreFile, "tidy", lambda self, now_ms, ends: iter(()))
    return Log(directory)


def test_what_was_superseded_when_the_log_was_opened_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = superseded_log(tmp_path, monkeypatch)
    live = [1717, 2995, 2996, 2997, 2998, 2999]
    assert [record.offset for record in log.read("t", 0, 0)] == live
    assert [record.offset for record in log.read("t", 0, 1718, records_max=2)] == live[1:3]
    assert [record.offset for record in log.read("t", 0, 0, bytes_max=1)] == live[:1]
    put(log, b"new", b"newer", key=b"1")
    assert [record.offset for record in log.read("t", 0, 0)] == live
    assert values(log.read("t", 0, 3000)) == [b"new", b"newer"]
    log.close()


def test_reading_goes_on_behind_what_compaction_took_away_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = superseded_log(tmp_path, monkeypatch)
    put(log, b"new", key=b"1")
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("DELETE FROM records_1 WHERE off < 2998")
    assert [record.offset for record in log.read("t", 0, 0)] == [2998, 2999]
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("DELETE FROM records_1 WHERE off < 3000")
    assert [record.offset for record in log.read("t", 0, 0)] == [3000]
    log.close()


def test_a_damaged_record_among_them_ends_what_is_read_and_then_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = superseded_log(tmp_path, monkeypatch)
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("UPDATE records_1 SET value = x'00' WHERE off = 2996")
    assert [record.offset for record in log.read("t", 0, 0)] == [1717, 2995]
    with pytest.raises(RecordDamaged, match="2996"):
        log.read("t", 0, 2996)
    log.close()


# Reading without owning


def test_a_reader_sees_topics_bounds_ranges_and_times(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for ms in (1000, 1000, 2000, 3000):
        monkeypatch.setattr(time, "time_ns", lambda ms=ms: ms * 1_000_000)
        put(log, b"%d" % ms)
    with LogReader(tmp_path / "log") as reader:
        assert reader.topics() == {"t": Declaration(2, None, False)}
        assert reader.bounds("t", 0) == (0, 4)
        assert reader.bounds("t", 1) == (0, 0)
        assert [record.offset for record in reader.records("t", 0)] == [0, 1, 2, 3]
        assert [record.offset for record in reader.records("t", 0, 1, 3)] == [1, 2]
        assert [reader.offset_at("t", 0, ms) for ms in (0, 1000, 1001, 2000, 3000, 3001)] == [0, 0, 2, 2, 3, 4]
        with pytest.raises(StoreError, match=r"has no u\[0\]; it has t"):
            list(reader.records("u", 0))


def test_a_reader_of_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no log in"):
        LogReader(tmp_path)


# Damage


def damaged(log: Log, tmp_path: Path, sql: str) -> LogReader:
    log.close()
    db = sqlite3.connect(tmp_path / "log" / FILE_NAME)
    assert db.execute(sql).rowcount == 1
    db.commit()
    db.close()
    return LogReader(tmp_path / "log")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE records_1 SET value = CAST('twp' AS BLOB) WHERE off = 1",
        "UPDATE records_1 SET value = 'two' WHERE off = 1",
        "UPDATE records_1 SET key = NULL WHERE off = 1",
        "UPDATE records_1 SET ts_ms = ts_ms + 1 WHERE off = 1",
        "UPDATE records_1 SET ts_ms = 'noon' WHERE off = 1",
        "UPDATE records_1 SET crc = crc + 1 WHERE off = 1",
        "DELETE FROM records_1 WHERE off = 1",
    ],
)
def test_a_damaged_record_is_named_and_those_behind_it_are_read(tmp_path: Path, change: str) -> None:
    log = Log(tmp_path / "log")
    log.declare("t", partitions=1)
    put(log, b"one", b"two", b"three", key=b"k")
    with damaged(log, tmp_path, change) as reader:
        iterator = reader.records("t", 0)
        found = [next(iterator)]
        with pytest.raises(RecordDamaged, match=r"record t\[0\] offset 1 is damaged") as damage:
            next(iterator)
        assert values(found) == [b"one"]
        assert (damage.value.topic, damage.value.partition, damage.value.offset) == ("t", 0, 1)
        assert values(list(reader.records("t", 0, 2))) == [b"three"]


def test_retention_is_not_taken_for_damage(tmp_path: Path) -> None:
    file, place = store(tmp_path, retention_ms=1000)
    write(file, place, [(offset, offset * 100, None, b"v") for offset in range(20)])
    tidy(file, now_ms=2000)
    file.close()
    with LogReader(tmp_path) as reader:
        assert [record.offset for record in reader.records("t", 0)] == list(range(10, 20))


def test_a_stand_in_carries_the_damage_to_the_agent() -> None:
    damage = RecordDamaged("t", 1, 5, "checksum differs", b"raw")
    record = stand_in(damage)
    with pytest.raises(RecordDamaged, match=r"t\[1\] offset 5 .*checksum differs") as seen:
        raise_if_damaged("t", 1, record.offset, dict(record.headers), record.value or b"")
    assert seen.value.raw == b"raw"
    raise_if_damaged("t", 1, 5, {"other": b""}, b"sound")


def test_a_record_in_another_place_is_another_record() -> None:
    record = Record(5, 1000, b"k", b"v")
    rows: list[Any] = [encode_row(place_seed(*place), record) for place in (("t", 0), ("t", 1), ("u", 0))]
    assert len({row[-1] for row in rows}) == 3
