"""InfluxDB is away, and killed while it writes; the spool's disk is full; the sink is killed twenty times: at the end every point is there.

What was produced is counted from the records on the log, by a maker of lines of the test's own; what arrived, by query.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from streams import wire
from streams.influxprepare import prepare
from streams.topics import FRAMES
from streams.transport.log import Log
from tests.kit.eventually import eventually
from tests.kit.influx import Influxd, influxd
from tests.kit.sinkprocess import COUNTED, TOPICS, buckets, live, made, record_at

pytestmark = pytest.mark.integration

LIVES = 20
AWAY = range(4, 9)
KILLED_AGAIN = 11
FULL = (13, 14, 15)
_NOTE_BYTES = 66_000
"""No limit is below this: the file of what is missing has 64 KiB from the beginning."""


class Producer:
    """Puts records on the log, at a rate, from a thread of its own."""

    def __init__(self, home: Path) -> None:
        self.log = Log(home / "log")
        for topic in TOPICS:
            self.log.declare(topic.name, partitions=topic.partitions)
        self.counts: Counter[tuple[str, int]] = Counter()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        turn = 0
        while not self._over.wait(0.01):
            for topic in TOPICS:
                # Frames at each turn, key figures and prices at every eighth.
                for partition in range(topic.partitions) if topic is FRAMES or turn % 8 == 0 else ():
                    number = self.counts[topic.name, partition] * topic.partitions + partition
                    self.log.append(topic.name, partition, None, wire.encode(record_at(topic, number)))
                    self.counts[topic.name, partition] += 1
            turn += 1

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self.log.wait(self.log.last_ticket)


_PROCESSES = multiprocessing.get_context("forkserver")
"""A life begins in a tenth of a second: what it imports was imported before it was forked."""
_PROCESSES.set_forkserver_preload(["tests.kit.sinkprocess"])


class Life:
    """One life of the sink."""

    def __init__(self, home: Path, url: str, *, finish: bool = False) -> None:
        running = _PROCESSES.Event()
        self.process = _PROCESSES.Process(target=live, args=(home, url, running, finish))
        self.process.start()
        assert running.wait(30)

    def kill(self) -> None:
        assert self.process.exitcode is None
        self.process.kill()
        self.process.join()

    def let_files_have(self, size: int) -> None:
        assert self.process.pid is not None
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def largest(home: Path) -> int:
    return max((path.stat().st_size for path in (home / "data").glob("spool*/*.lp")), default=0)


def missing(home: Path) -> bool:
    """Whether the file of what is missing names any record."""
    return b'[["' in (home / "data" / "spool" / "missing").read_bytes()


def stored(server: Influxd) -> dict[str, int]:
    found = {}
    for measurement, field in COUNTED.items():
        database = "grid_raw" if measurement == "telemetry" else "grid"
        series = server.query(f'SELECT count("{field}") FROM "{measurement}"', database)
        found[measurement] = int(series[0]["values"][0][1]) if series else 0
    return found


def produced(producer: Producer) -> dict[str, int]:
    """Points by measurement: a series, which is all up to the first space that is not escaped, at a time."""
    points: dict[str, set[tuple[bytes, bytes]]] = {measurement: set() for measurement in COUNTED}
    for line in made(dict(producer.counts)):
        series, time_ns = line.split(b" ", 1)[0], line.rsplit(b" ", 1)[1]
        points[series.split(b",")[0].decode()].add((series, time_ns))
    return {measurement: len(found) for measurement, found in points.items()}


@pytest.mark.slow  # the sink is started twenty-one times
def test_after_everything_that_can_happen_to_it_every_point_is_there(tmp_path: Path) -> None:
    seed = int(os.environ.get("GRIDFUSE_SEED", random.randrange(1 << 32)))
    chance = random.Random(seed)
    with influxd(tmp_path / "influx") as server:
        target, sinking = buckets(server.url)
        for bucket in sinking.buckets(target):
            prepare(bucket)
        producer = Producer(tmp_path)
        left_behind = away = False
        try:
            for number in range(LIVES):
                if number == AWAY.start:
                    server.kill()
                if number == AWAY.stop:
                    away = True
                    server.start()
                life = Life(tmp_path, server.url)
                # The instant of death is drawn, not waited for.
                time.sleep(chance.uniform(0.05, 0.6))
                if number == KILLED_AGAIN:
                    server.kill()
                    server.start()
                if number in FULL:
                    eventually("the spool is larger than the note", lambda: largest(tmp_path) > _NOTE_BYTES)
                    life.let_files_have(largest(tmp_path))
                    eventually("records are left on their topics", lambda: missing(tmp_path))
                    left_behind = True
                    time.sleep(chance.uniform(0.05, 0.4))
                life.kill()
        finally:
            producer.stop()
        last = Life(tmp_path, server.url, finish=True)
        last.process.join(90)
        assert last.process.exitcode == 0
        assert (left_behind, away) == (True, True)
        expected = produced(producer)
        producer.log.close()
        assert stored(server) == expected, f"seed {seed}"
        assert min(expected.values()) > 10
        assert not [*(tmp_path / "data").glob("*/dead_letters.jsonl")]
