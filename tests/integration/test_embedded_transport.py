"""The embedded transport under a real worker process: killed, stopped, refused, out of disk, damaged."""

from __future__ import annotations

import asyncio
import random
import re
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import faust
import pytest

from streams.transport import broker_url, faust_settings
from streams.transport.log import Log, LogReader
from streams.transport.records import Record
from streams.transport.schema import FILE_NAME
from tests.kit.eventually import eventually, eventually_async
from tests.kit.workers import (
    APP_ID,
    CHANGELOG,
    INPUTS,
    KEYS,
    OUTPUTS,
    PARTITIONS,
    Job,
    Worker,
    expected_total,
    running,
)

pytestmark = pytest.mark.integration

_CHECKOUT = Path(__file__).parents[2]
_ENDLESS = 10**9


def job(directory: Path, **more: object) -> Job:
    return Job(broker=f"embedded://{directory}/log", notes=str(directory / "notes"), **more)  # type: ignore[arg-type]


def records(directory: Path, topic: str) -> Iterator[Record]:
    with LogReader(directory / "log") as log:
        for partition in range(PARTITIONS):
            yield from log.records(topic, partition)


def inputs_by_key(directory: Path) -> dict[str, int]:
    """Key → number of its last input on the log."""
    last: dict[str, int] = {}
    for record in records(directory, INPUTS):
        key, seq = (record.value or b"").decode().split(":")
        last[key] = max(last.get(key, -1), int(seq))
    return last


def settle(worker: Worker, directory: Path) -> None:
    """Wait until everything on the log has been added up, then check every sum and every output."""
    last = inputs_by_key(directory)
    expected = {key: (seq, expected_total(key, seq)) for key, seq in last.items()}
    eventually(f"totals of {sum(last.values())} inputs, see {worker.log}", lambda: worker.totals == expected, 60)
    assert worker.state["gaps"] == 0, "an input was skipped"
    outputs = {(record.value or b"").decode() for record in records(directory, OUTPUTS)}
    wanted = {f"{key}:{seq}:{expected_total(key, seq)}" for key, end in last.items() for seq in range(end + 1)}
    assert outputs == wanted, "every output at least once, and each time with the same content"


def check_committed(directory: Path) -> None:
    """No offset is ahead of what is on disk, and the effects of all that counts as processed are on disk."""
    with LogReader(directory / "log") as log:
        committed = log.committed(APP_ID)
        for (topic, partition), offset in committed.items():
            assert offset <= log.bounds(topic, partition)[1]
        outputs = {(record.value or b"").decode().rpartition(":")[0] for record in records(directory, OUTPUTS)}
        for partition in range(PARTITIONS):
            done = log.records(INPUTS, partition, 0, committed.get((INPUTS, partition), 0))
            assert {(record.value or b"").decode() for record in done} <= outputs


@pytest.mark.slow  # nine starts of a worker
def test_nothing_accepted_is_lost_when_the_worker_is_killed(tmp_path: Path) -> None:
    chance = random.Random()
    accepted = 0
    for _ in range(8):
        with running(job(tmp_path, feed=_ENDLESS)) as worker:
            worker.ready()
            worker.accepts(chance.randrange(100, 1200))
            end_s = time.monotonic() + chance.random() * 0.05
            while time.monotonic() < end_s:
                pass  # any instant within a few group commits, not only one just after a note was taken
            worker.kill()
            accepted = worker.accepted
            check_committed(tmp_path)
    with running(job(tmp_path)) as worker:
        worker.ready()
        settle(worker, tmp_path)
        assert sum(seq + 1 for seq in inputs_by_key(tmp_path).values()) >= accepted
        assert worker.terminate() == 0


@pytest.mark.slow  # four starts of a worker
def test_a_stopped_worker_repeats_nothing(tmp_path: Path) -> None:
    for _ in range(3):
        with running(job(tmp_path, feed=_ENDLESS)) as worker:
            worker.ready()
            worker.accepts(1000)
            assert worker.terminate() == 0, worker.log.read_text()
    with running(job(tmp_path)) as worker:
        worker.ready()
        settle(worker, tmp_path)
        assert worker.terminate() == 0
    # Every input led to exactly one output: none was processed again although the worker stopped three times under load.
    outputs = [record.value for record in records(tmp_path, OUTPUTS)]
    assert len(outputs) == len(set(outputs))
    assert "Traceback" not in worker.log.read_text()


def test_a_second_process_is_refused_by_name(tmp_path: Path) -> None:
    with running(job(tmp_path)) as first:
        first.ready()
        second = Worker(Job(broker=f"embedded://{tmp_path}/log", notes=str(tmp_path / "second")))
        assert second.process.wait(30) != 0
        assert f"the log in {tmp_path / 'log'} is in use by process {first.process.pid}" in second.log.read_text()
        assert first.process.poll() is None


def test_the_log_can_be_read_while_the_service_runs_and_after_it_was_killed(tmp_path: Path) -> None:
    with running(job(tmp_path, feed=_ENDLESS)) as worker:
        worker.ready()
        worker.accepts(500)
        assert sum(1 for _ in records(tmp_path, INPUTS)) >= 500
        worker.accepts(500)
        worker.kill()
    assert sum(1 for _ in records(tmp_path, INPUTS)) >= worker.accepted >= 1000


@pytest.mark.slow  # reads five thousand records that are in no tail
def test_a_lagging_worker_reads_what_is_no_longer_in_memory(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.declare(INPUTS, partitions=PARTITIONS)
    padding = (("padding", b"x" * 1000),)
    for number in range(5000):
        key = f"k{number % KEYS}"
        appended = log.append(INPUTS, number % KEYS % PARTITIONS, key.encode(), f"{key}:{number // KEYS}".encode(), padding)
    log.wait(appended.ticket)
    log.close()
    with running(job(tmp_path)) as worker:
        worker.ready()
        settle(worker, tmp_path)


@pytest.mark.slow  # three starts of a worker
def test_a_table_recovers_while_its_changelog_is_compacted(tmp_path: Path) -> None:
    with running(job(tmp_path, feed=6000)) as worker:
        worker.ready()
        eventually("all processed", lambda: worker.state.get("processed", 0) >= 6000, 60)
        before = worker.totals
        worker.kill()
    changes = sum(1 for _ in records(tmp_path, CHANGELOG))
    assert changes > 1000, "there is something to compact"
    with running(job(tmp_path)) as worker:
        worker.ready()
        settle(worker, tmp_path)
        assert worker.totals == before
        eventually("one change per key is left", lambda: sum(1 for _ in records(tmp_path, CHANGELOG)) <= KEYS)
        worker.kill()
    with running(job(tmp_path)) as worker:
        worker.ready()
        settle(worker, tmp_path)


class Disk:
    """Where a log lies: a small file system of its own, or, where that needs rights we do not have, under a limit of file size."""

    def __init__(self, log: Path, kind: str) -> None:
        self._log, self._kind = log, kind
        if kind == "full":
            log.mkdir()
            self._mount("-t", "tmpfs", "-o", f"size={_SMALL >> 20}m", "tmpfs")

    def _mount(self, *options: str) -> None:
        if subprocess.run(["mount", *options, str(self._log)], capture_output=True, check=False).returncode:
            pytest.skip("a small file system needs root and the right to mount")

    @property
    def file_bytes_max(self) -> int | None:
        """The limit that a worker is started with."""
        return _SMALL if self._kind == "quota" else None

    def grow(self, worker: Worker, to: int) -> None:
        """Make room."""
        if self._kind == "full":
            self._mount("-o", f"remount,size={to >> 20}m")
        else:
            worker.grant(to)

    def close(self) -> None:
        if self._kind == "full":
            subprocess.run(["umount", str(self._log)], check=True)


_SMALL = 6 << 20


@pytest.fixture(params=["quota", "full"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "log", request.param)
    yield disk
    disk.close()


@pytest.mark.slow  # the disk fills three times, and is waited for
def test_a_full_disk_is_waited_out_and_nothing_is_lost_repeated_or_reordered(tmp_path: Path, disk: Disk) -> None:
    with running(job(tmp_path, feed=_ENDLESS, file_bytes_max=disk.file_bytes_max, padding=2000)) as worker:
        worker.ready()
        for room in (9 << 20, 12 << 20, 64 << 20):
            worker.stalls()
            assert sum(1 for _ in records(tmp_path, INPUTS)) >= worker.accepted > 0, "what was accepted is there, and can be read"
            check_committed(tmp_path)
            disk.grow(worker, room)
            worker.accepts(100)
        assert worker.terminate() == 0, worker.log.read_text()
        assert "goes on after" in worker.log.read_text()
    with running(job(tmp_path)) as worker:
        worker.ready()
        settle(worker, tmp_path)
    inputs = [record.value for record in records(tmp_path, INPUTS)]
    outputs = [record.value for record in records(tmp_path, OUTPUTS)]
    assert len(set(inputs)) == len(inputs) == len(outputs) == len(set(outputs)), "each input once, each output once"


@pytest.mark.slow  # two starts of a worker
@pytest.mark.parametrize("end", ["killed", "stopped"])
def test_a_service_that_ends_without_room_has_kept_what_it_accepted(tmp_path: Path, disk: Disk, end: str) -> None:
    with running(job(tmp_path, feed=_ENDLESS, file_bytes_max=disk.file_bytes_max, padding=2000)) as worker:
        worker.ready()
        worker.stalls()
        if end == "killed":
            worker.kill()
        else:
            assert worker.terminate(30) not in (0, -9), "it ends by itself, in time, with an error"
            assert re.search(r"cannot be written: .*and start again; it was stopped before that", worker.log.read_text())
        accepted = worker.accepted
    check_committed(tmp_path)
    assert sum(seq + 1 for seq in inputs_by_key(tmp_path).values()) >= accepted > 0
    disk.grow(worker, 64 << 20) if disk.file_bytes_max is None else None
    with running(job(tmp_path)) as worker:
        worker.ready()
        settle(worker, tmp_path)


def _damage(directory: Path, topic: str, offset: int) -> None:
    """Change one record behind the log's back."""
    db = sqlite3.connect(directory / "log" / FILE_NAME)
    place = db.execute("SELECT id FROM places WHERE topic = ? AND partition = 0", (topic,)).fetchone()[0]
    changed = db.execute(f"UPDATE records_{place} SET value = CAST(value || 'x' AS BLOB) WHERE off = ?", (offset,)).rowcount
    assert changed == 1
    db.commit()
    db.close()


def test_a_damaged_record_reaches_the_agent_as_what_it_is(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.declare(INPUTS, partitions=PARTITIONS)
    for seq in (0, 1, 0, 2):
        log.wait(log.append(INPUTS, 0, b"k0", f"k0:{seq}".encode()).ticket)
    log.close()
    _damage(tmp_path, INPUTS, 2)
    with running(job(tmp_path)) as worker:
        worker.ready()
        eventually("the records behind it are processed", lambda: worker.totals == {"k0": (2, expected_total("k0", 2))})
        assert worker.state["damaged"] == 1
        assert worker.terminate() == 0
    with LogReader(tmp_path / "log") as reader:
        assert reader.committed(APP_ID)[INPUTS, 0] == 4, "its offset is accounted for"


def test_a_damaged_changelog_stops_the_service(tmp_path: Path) -> None:
    with running(job(tmp_path, feed=200)) as worker:
        worker.ready()
        eventually("all processed", lambda: worker.state.get("processed", 0) >= 200)
        assert worker.terminate() == 0
    with LogReader(tmp_path / "log") as log:
        newest = log.bounds(CHANGELOG, 0)[1] - 1  # older ones may be compacted away, and then it does not matter
    _damage(tmp_path, CHANGELOG, newest)
    with running(job(tmp_path)) as worker:
        assert worker.process.wait(60) not in (0, -9)
        assert f"{CHANGELOG}[0] offset {newest} is damaged" in worker.log.read_text()


@pytest.mark.parametrize("broker", ["embedded:///nowhere", "kafka://127.0.0.1:1"])
def test_exactly_once_is_refused_on_either_transport(broker: str) -> None:
    code = (
        "import sys, faust; from pathlib import Path; from faust.transport.drivers import TRANSPORTS;"
        "from streams.transport import faust_settings;"
        "TRANSPORTS.data.update(embedded='streams.transport.embedded:Transport', gridkafka='streams.transport.kafka:Transport');"
        "settings = faust_settings(sys.argv[1], Path('/nowhere'), 'w') | {'processing_guarantee': 'exactly_once'};"
        "faust.App('x', **settings).transport"
    )
    done = subprocess.run([sys.executable, "-c", code, broker], cwd=_CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "leave it at at_least_once" in done.stderr


def test_the_project_registers_both_drivers_under_the_names_that_broker_urls_use() -> None:
    project = tomllib.loads((_CHECKOUT / "pyproject.toml").read_text())
    names = project["project"]["entry-points"]["faust.transports"]
    assert names == {"embedded": "streams.transport.embedded:Transport", "gridkafka": "streams.transport.kafka:Transport"}
    assert {broker_url(text).partition(":")[0] for text in ("embedded:///x", "kafka://h:1", "gridkafka://h:1")} == set(names)


class Pair:
    """Two agents that read one topic: one writes down what it sees, the other waits to be let go on each record."""

    def __init__(self, directory: Path) -> None:
        self.quick: list[bytes] = []
        self.slow: list[bytes] = []
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.app = faust.App("pair", **faust_settings(f"embedded://{directory}/log", directory, "one"))
        self.topic = self.app.topic("shared", value_type=bytes, value_serializer="raw", partitions=1, internal=True)
        self.app.agent(self.topic, name="quick", concurrency=1)(self._quick)
        self.app.agent(self.topic, name="slow", concurrency=1)(self._slow)

    async def _quick(self, stream: Any) -> AsyncIterator[bytes]:
        async for value in stream:
            self.quick.append(value)
            yield value

    async def _slow(self, stream: Any) -> AsyncIterator[bytes]:
        async for value in stream:
            self.begun.set()
            await self.go_on.wait()
            self.slow.append(value)
            yield value


def test_a_stop_waits_for_the_record_in_work_and_not_for_those_nobody_began(tmp_path: Path) -> None:
    """One agent is ahead of the other, which is what Faust's own stop waits for without end."""
    sent = [b"1", b"2", b"3"]

    async def stopped_behind() -> None:
        pair = Pair(tmp_path)
        await pair.app.start()
        for value in sent:
            await (await pair.topic.send(value=value))
        await asyncio.wait_for(pair.begun.wait(), 60)
        await eventually_async("the quick agent to be done", lambda: pair.quick == sent)
        stopping = asyncio.create_task(pair.app.stop())
        await asyncio.sleep(0.2)
        assert not stopping.done(), "a record is in work"
        pair.go_on.set()
        await asyncio.wait_for(stopping, 60)
        assert pair.slow == sent[:1]

    async def goes_on() -> None:
        pair = Pair(tmp_path)
        pair.go_on.set()
        await pair.app.start()
        await eventually_async("the slow agent to catch up", lambda: pair.slow[-2:] == sent[1:])
        await asyncio.wait_for(pair.app.stop(), 60)

    asyncio.run(stopped_behind())
    asyncio.run(goes_on())
