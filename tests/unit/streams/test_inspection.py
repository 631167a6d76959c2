"""What is damaged is found at the start where a crash can have touched it, named once, and costs nobody else's records."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from pathlib import Path

import pytest

from streams.transport import inspection
from streams.transport.inspection import Damage
from streams.transport.log import Log
from streams.transport.records import RecordDamaged
from streams.transport.schema import FILE_NAME
from tests.kit.eventually import eventually


def crashed(tmp_path: Path, records: int = 10, *, compacted: bool = False) -> Path:
    """Leave a log as a crash would: its files at an instant when everything sent was on disk."""
    log = Log(tmp_path / "alive")
    log.declare("t", partitions=1, compacted=compacted)
    for number in range(records):
        log.append("t", 0, b"k%d" % number, b"%d" % number)
    log.wait(log.commit("app", {("t", 0): records} if not compacted else {}), 5)
    (tmp_path / "dead").mkdir()
    for path in (tmp_path / "alive").glob(f"{FILE_NAME}*"):
        shutil.copy(path, tmp_path / "dead")
    log.close()
    return tmp_path / "dead"


def closed(tmp_path: Path, records: int = 10) -> Path:
    crashed(tmp_path, records)
    return tmp_path / "alive"


def change(directory: Path, *statements: str) -> None:
    db = sqlite3.connect(directory / FILE_NAME)
    for sql in statements:
        assert db.execute(sql).rowcount >= 1
    db.commit()
    db.close()


def opened(directory: Path) -> Log:
    log = Log(directory)
    log.close()
    return log


def test_what_a_crash_left_whole_is_reported_as_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "streams.transport.log")
    assert opened(crashed(tmp_path)).damages == ()
    assert "10 records since its last close were read back" in caplog.text


def test_after_a_clean_close_nothing_is_read_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "streams.transport.log")
    opened(closed(tmp_path))
    assert "; 0 records since its last close" in caplog.text


def test_damage_is_named_with_place_count_and_remedy(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = crashed(tmp_path)
    change(
        directory,
        "UPDATE records_1 SET value = CAST('x' AS BLOB) WHERE off IN (2, 3)",
        "DELETE FROM records_1 WHERE off = 5",
        "UPDATE records_1 SET ts_ms = 'noon' WHERE off = 9",
    )
    log = opened(directory)
    assert log.damages == (
        Damage("t", 0, 2, 3, "checksum differs"),
        Damage("t", 0, 5, 5, "it is missing"),
        Damage("t", 0, 9, 9, "a column changed its type"),
    )
    assert "t[0] offsets 2 to 3 (2 records): checksum differs" in caplog.text
    assert "t[0] offset 5: it is missing" in caplog.text
    assert "restore the records from a copy of the log" in caplog.text


def test_what_is_sound_around_the_damage_is_read_on(tmp_path: Path) -> None:
    directory = crashed(tmp_path)
    change(directory, "DELETE FROM records_1 WHERE off = 5")
    log = Log(directory)
    assert [record.offset for record in log.read("t", 0, 0)] == [0, 1, 2, 3, 4]
    with pytest.raises(RecordDamaged, match=r"offset 5 .*it is missing"):
        log.read("t", 0, 5)
    assert [record.offset for record in log.read("t", 0, 6)] == [6, 7, 8, 9]
    log.close()


def test_offsets_that_were_given_are_never_given_again(tmp_path: Path) -> None:
    """Records gone from the end would otherwise make consumers that are past them pass over new ones."""
    directory = closed(tmp_path)
    change(directory, "DELETE FROM records_1 WHERE off >= 8")
    log = Log(directory)
    assert log.damages == (Damage("t", 0, 8, 9, "it is missing"),)
    assert log.append("t", 0, None, b"next").offset == 10
    log.wait(log.last_ticket, 5)
    with pytest.raises(RecordDamaged, match=r"offset 8 .*it is missing"):
        log.read("t", 0, 8)
    assert [record.value for record in log.read("t", 0, 10)] == [b"next"]
    log.close()


def test_a_partition_that_lost_everything_goes_on_where_it_was(tmp_path: Path) -> None:
    directory = closed(tmp_path)
    change(directory, "DELETE FROM records_1")
    log = Log(directory)
    assert log.damages == (Damage("t", 0, 0, 9, "it is missing"),)
    assert log.append("t", 0, None, b"next").offset == 10
    log.close()


def test_what_a_consumer_has_passed_counts_as_given_too(tmp_path: Path) -> None:
    directory = crashed(tmp_path)  # no mark was noted
    change(directory, "DELETE FROM records_1 WHERE off >= 8")
    assert opened(directory).damages == (Damage("t", 0, 8, 9, "it is missing"),)


def test_a_changelog_that_lost_its_newest_record_is_damaged_and_does_not_just_end(tmp_path: Path) -> None:
    directory = tmp_path / "alive"
    crashed(tmp_path, compacted=True)
    change(directory, "DELETE FROM records_1 WHERE off = 9")
    log = Log(directory)
    assert log.damages == (Damage("t", 0, 9, 9, "it is missing"),)
    assert log.read("t", 0, 0)[-1].offset == 8
    with pytest.raises(RecordDamaged, match="offset 9"):
        log.read("t", 0, 9)
    log.close()


def test_much_damage_is_named_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_NAMED_MAX", 3)
    directory = closed(tmp_path, records=1000)
    change(directory, "DELETE FROM records_1 WHERE off >= 100")
    assert opened(directory).damages == (Damage("t", 0, 100, 999, "it is missing"),)


def test_a_running_log_moves_its_mark_a_round_behind(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.declare("t", partitions=1)

    def round_of(value: bytes) -> None:
        log._writer._tidy_at_s = 0.0
        log.wait(log.append("t", 0, None, value).ticket, 5)
        end = log.bounds("t", 0)[1]
        eventually("the round has begun", lambda: end in log._writer._aging.values())

    round_of(b"1")
    assert log._file.marks() == {}, "its pages may not have been written out yet"
    round_of(b"2")
    eventually("the mark follows", lambda: log._file.marks() == {1: 1})
    log.close()
    assert opened(tmp_path).damages == ()
