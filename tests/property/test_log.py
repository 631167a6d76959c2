"""Whatever is written comes back, whatever is damaged is noticed, and a power cut leaves a prefix."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.errors import StoreError
from streams.transport.log import Log, LogReader
from streams.transport.records import Record, RecordDamaged, decode_row, encode_row, place_seed
from streams.transport.schema import FILE_NAME
from tests.kit.fulldisk import no_room, quota_lifted

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


class _Ledger:
    """What was sent to a log of two partitions, and how much of it was acknowledged."""

    def __init__(self) -> None:
        self.sent: list[list[bytes]] = [[], []]
        self.tickets: list[list[int]] = [[], []]

    def check(self, log: Log, durable: int) -> None:
        """The log holds, in order and once each, all that was acknowledged and perhaps more of what was sent, and nothing else."""
        for partition, (sent, tickets) in enumerate(zip(self.sent, self.tickets, strict=True)):
            found: list[bytes | None] = []
            while records := log.read("t", partition, len(found)):
                found += [record.value for record in records]
            assert found == sent[: len(found)]
            assert len(found) >= sum(ticket <= durable for ticket in tickets), "what was acknowledged is there"
            assert log.committed("app").get(("t", partition), 0) <= len(found)

    def forget(self, log: Log) -> None:
        """What was never acknowledged and is not there is the sender's to send again."""
        self.sent = [sent[: log.bounds("t", partition)[1]] for partition, sent in enumerate(self.sent)]
        self.tickets = [[0] * len(sent) for sent in self.sent]


class _Disk:
    """A log's disk, whose power can be cut between two writes."""

    def __init__(self, log: Log) -> None:
        self._between = threading.Lock()
        self._directory = log.directory
        for name in ("write", "make_room"):
            setattr(log._file, name, self._alone(getattr(log._file, name)))

    def _alone(self, work: Callable[..., None]) -> Callable[..., None]:
        def alone(*args: object) -> None:
            with self._between:
                work(*args)

        return alone

    def cut(self, log: Log, copy: Path) -> int:
        """Copy what is on the disk now; returns up to where it was acknowledged."""
        with self._between:
            durable = log.durable
            for path in self._directory.glob(f"{FILE_NAME}*"):
                shutil.copy(path, copy)
        return durable


_STEPS = ("small", "large", "large", "commit", "full", "quota", "room", "power cut", "stop")


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(_STEPS), st.integers(0, 1)), max_size=25))
def test_a_disk_that_is_full_now_and_then_loses_repeats_and_reorders_nothing(steps: list[tuple[str, int]]) -> None:
    """Whatever is sent, and whenever there is room, power or neither."""
    ledger = _Ledger()
    with pytest.MonkeyPatch.context() as patched, tempfile.TemporaryDirectory() as name, ExitStack() as full:
        patched.setattr("streams.transport.patience._FIRST_PAUSE_S", 0.001)
        patched.setattr("streams.transport.patience._PAUSE_MAX_S", 0.002)
        patched.setattr("streams.transport.writer.STOP_WITHIN_S", 0.005)
        log = Log(Path(name))
        log.declare("t", partitions=2)
        log.wait(log.last_ticket)
        disk = _Disk(log)
        for number, (step, partition) in enumerate(steps):
            if step in ("small", "large"):
                value = b"%d " % number * (1 if step == "small" else 40_000)
                ledger.tickets[partition].append(log.append("t", partition, None, value).ticket)
                ledger.sent[partition].append(value)
            elif step == "commit":
                log.commit("app", {("t", partition): len(ledger.sent[partition])})
            elif step in ("full", "quota"):
                full.enter_context(no_room(log, step))  # type: ignore[arg-type]
            elif step == "room":
                full.close()
            elif step == "power cut":
                with quota_lifted(), tempfile.TemporaryDirectory() as copy:
                    durable = disk.cut(log, Path(copy))
                    after = Log(Path(copy))
                    assert after.damages == ()
                    ledger.check(after, durable)
                    after.close()
            else:
                log.close()
                durable = log.durable
                full.close()
                log = Log(Path(name))
                disk = _Disk(log)
                ledger.check(log, durable)
                ledger.forget(log)
        full.close()
        log.wait(log.last_ticket, 10)
        ledger.check(log, log.last_ticket)
        assert [log.bounds("t", partition)[1] for partition in (0, 1)] == [len(sent) for sent in ledger.sent]
        assert log.failure is None
        log.close()


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
