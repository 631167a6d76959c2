"""Whatever is written comes back, whatever is damaged is noticed, and a power cut leaves a prefix."""

from __future__ import annotations

import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.errors import StoreError
from streams.transport.log import Log, LogReader
from streams.transport.records import Record, RecordDamaged, decode_row, encode_row, place_seed
from streams.transport.schema import FILE_NAME

_SEED = place_seed("t", 3)
_headers = st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=3).map(tuple)
_int64 = st.integers(0, 2**63 - 1)
_records = st.builds(Record, _int64, _int64, st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=50), _headers)


@given(_records)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    assert decode_row("t", 3, _SEED, encode_row(_SEED, record)) == record


@given(_records, st.data())
def test_any_changed_byte_is_noticed(record: Record, data: st.DataObject) -> None:
    columns = [column.to_bytes(8, "big") if isinstance(column, int) else column for column in encode_row(_SEED, record)]
    present = [number for number, column in enumerate(columns) if column]
    number = data.draw(st.sampled_from(present))
    column = bytearray(columns[number] or b"")
    column[data.draw(st.integers(0, len(column) - 1))] ^= data.draw(st.integers(1, 255))
    row = list(encode_row(_SEED, record))
    row[number] = int.from_bytes(column, "big", signed=True) if isinstance(row[number], int) else bytes(column)
    with pytest.raises(RecordDamaged):
        decode_row("t", 3, _SEED, tuple(row))


@given(st.tuples(_int64, *[st.none() | _int64 | st.floats() | st.text(max_size=5) | st.binary(max_size=5)] * 5))
def test_rows_of_anything_are_damaged_and_never_crash(row: tuple[object, ...]) -> None:
    with pytest.raises(RecordDamaged):
        decode_row("t", 3, _SEED, row)


def _written(offset: int) -> Record:
    return Record(offset, 0, b"k%d" % (offset % 7), (b"value %d " % offset) * (1 + offset % 40))


def _same(record: Record) -> bool:
    wanted = _written(record.offset)
    return (record.key, record.value, record.headers) == (wanted.key, wanted.value, wanted.headers)


@lru_cache(maxsize=1)
def _log_files() -> dict[str, bytes]:
    """A log of 400 records as it lies on disk while its owner lives: part of it in the write-ahead log only."""
    with tempfile.TemporaryDirectory() as name:
        log = Log(Path(name) / "log")
        log.declare("t", partitions=1)
        for offset in range(400):
            record = _written(offset)
            log.append("t", 0, record.key, record.value)
            if offset % 10 == 9:
                log.wait(log.commit("app", {("t", 0): offset + 1}))
        files = {path.name: path.read_bytes() for path in (Path(name) / "log").glob(f"{FILE_NAME}*")}
        log.close()
        closed = (Path(name) / "log" / FILE_NAME).read_bytes()
    return {**files, "closed": closed}


@settings(deadline=None, max_examples=60)
@given(st.floats(0, 1))
def test_a_power_cut_leaves_a_prefix(cut: float) -> None:
    """What had not been synced is gone from the end of the write-ahead log, at any byte; the rest must be whole."""
    files = _log_files()
    wal = files[f"{FILE_NAME}-wal"]
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / FILE_NAME).write_bytes(files[FILE_NAME])
        (Path(name) / f"{FILE_NAME}-wal").write_bytes(wal[: int(len(wal) * cut)])
        log = Log(Path(name))
        if log.partitions("t") is not None:
            end = log.bounds("t", 0)[1]
            found = log.read("t", 0, 0)
            assert [record.offset for record in found] == list(range(end))
            assert all(_same(record) for record in found)
            assert log.committed("app").get(("t", 0), 0) <= end
            assert cut < 1 or end == 400, "nothing that was synced is gone"
            assert log.append("t", 0, None, b"goes on").offset == end
        log.close()


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 10**9), st.integers(1, 255))
def test_a_changed_byte_of_the_file_never_gives_a_wrong_record(where: int, flip: int) -> None:
    """Each record is read as it was written, or named as damaged, or the log is refused: none is wrong, none is skipped."""
    content = bytearray(_log_files()["closed"])
    content[where % len(content)] ^= flip
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / FILE_NAME).write_bytes(content)
        try:
            with LogReader(Path(name)) as reader:
                oldest, end = reader.bounds("t", 0)
                accounted: list[int] = []
                at = oldest
                while at < min(end, 500):
                    try:
                        for record in reader.records("t", 0, at):
                            assert _same(record)
                            accounted.append(record.offset)
                            at = record.offset + 1
                        break
                    except RecordDamaged as damage:
                        accounted.append(damage.offset)
                        at = damage.offset + 1
                assert accounted == list(range(oldest, min(end, 500)))
        except StoreError:
            pass  # refused as a whole, which says so


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.sampled_from(["append", "commit", "reopen"]), st.integers(0, 2)), max_size=40))
def test_the_log_is_what_was_done_to_it(steps: list[tuple[str, int]]) -> None:
    """Against a model of three lists, over any number of restarts."""
    directory = Path(tempfile.mkdtemp())
    model: list[list[bytes]] = [[], [], []]
    committed: dict[tuple[str, int], int] = {}
    log = Log(directory)
    log.declare("t", partitions=3)
    try:
        for number, (step, partition) in enumerate(steps):
            if step == "append":
                value = b"%d" % number
                assert log.append("t", partition, None, value).offset == len(model[partition])
                model[partition].append(value)
            elif step == "commit":
                committed["t", partition] = len(model[partition])
                log.commit("app", {("t", partition): len(model[partition])})
            else:
                log.close()
                log = Log(directory)
        log.wait(log.last_ticket)
        assert [[record.value for record in log.read("t", partition, 0)] for partition in range(3)] == model
        assert log.committed("app") == committed
    finally:
        log.close()
        shutil.rmtree(directory)
