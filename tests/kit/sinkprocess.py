"""The recorder, its spools and what sends them, as a process of its own that can be killed; and the records it is fed with.

It reads the topics of an embedded log that the test writes, as the service's agents do: from what is committed, and what is committed is
only what every lane is done with.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from console.observers import Recorder
from ingest.frame import frame_of, point_id
from ingest.points import PointSpec, PointTable
from market.facts import Segment
from market.prices import PriceInForce, Regime
from market.units import NS_PER_MIN, NS_PER_MS, NS_PER_S, instant_ns
from streams import topics, wire
from streams.influx import FlushPace, InfluxTarget
from streams.influxfile import Sinking
from streams.lanes import Lanes
from streams.recordlines import RecordLines
from streams.refill import Refill
from streams.sink import Sink
from streams.telemetrylines import TelemetryEncoder
from streams.topics import Topic
from streams.transport.reader import LogReader
from tests.kit.board_feed import SCENES, kpi_at

__all__ = ["COUNTED", "TOPICS", "Process", "buckets", "live", "made", "maker", "record_at"]

TOPICS: Final = (topics.FRAMES, topics.KPI, topics.PRICES)
COUNTED: Final = {
    "telemetry": "mw", "kpi": "load_mw", "kpi_area": "load_mw", "fuel": "generation_mw", "line_loading": "loading_pct", "source": "points",
    "price": "price_cny_per_mwh",
}  # fmt: skip
"""A field of each measurement that all of its points have."""

_START_NS: Final = instant_ns("2026-06-10T10:00:00+08:00")
_DEVICES: Final = 8
_POINTS: Final = 10
_TABLE: Final = PointTable(
    [
        PointSpec(name=f"unit/u{device}_{place}/mw", area=str(device % 4), device=f"rtu-{device}", period_ns=NS_PER_S)
        for device in range(_DEVICES)
        for place in range(_POINTS)
    ]
)
_LANE: Final = 32
_LIFE_S: Final = 60.0


def record_at(topic: Topic, number: int) -> Any:
    """Return the record with a number of one partition of a topic."""
    ts_ns = _START_NS + number * 50 * NS_PER_MS
    if topic is topics.FRAMES:
        device = number % _DEVICES
        values = [(point_id(f"unit/u{device}_{place}/mw"), ts_ns, float(number), 0, 0) for place in range(_POINTS)]
        return frame_of(f"rtu-{device}", str(device % 4), number, ts_ns, values)
    if topic is topics.KPI:
        return kpi_at(SCENES["normal"] + number * NS_PER_S)
    start_ns = _START_NS + number * 5 * NS_PER_MIN
    return PriceInForce(
        ts_event_ns=start_ns,
        segment=Segment.RT,
        interval_start_ns=start_ns,
        regime=Regime.MARKET,
        price_cny_per_mwh=float(number),
        rev=0,
        source=f"clearing:{number}",
        provisional=False,
        rule_set="gd/r1",
    )


def maker() -> RecordLines:
    """Return a maker of lines for these records."""
    return RecordLines(TelemetryEncoder(_TABLE), "Asia/Shanghai")


def buckets(url: str) -> tuple[InfluxTarget, Sinking]:
    """Return where lines go: raw telemetry apart."""
    target = InfluxTarget(url=url, org="grid", bucket="grid")
    raw = InfluxTarget(url=url, org="grid", bucket="grid_raw")
    return target, Sinking(raw=raw, raw_keep_s=3_650 * 86_400, backlog_per_s=50_000)


class _Partition:
    """What was read of one partition, and what of it is done with."""

    def __init__(self, topic: Topic, number: int, committed: int) -> None:
        self.topic, self.number = topic, number
        self.read = self.committed = committed
        self._done: set[int] = set()

    def event(self, offset: int) -> Any:
        message = SimpleNamespace(partition=self.number, offset=offset)
        return SimpleNamespace(message=message, ack=lambda: self.ack(offset))

    def ack(self, offset: int) -> None:
        self._done.add(offset)
        while self.committed in self._done:
            self._done.discard(self.committed)
            self.committed += 1


class Process:
    """One life."""

    def __init__(self, home: Path, url: str) -> None:
        self._home = home
        target, sinking = buckets(url)
        pace = FlushPace(idle_s=0.02, first_s=0.05, max_s=0.3, refused_s=0.3, timeout_s=3.0)
        self.sink = Sink(home / "data", target, sinking, pace)
        self.recorder = Recorder(self.sink.spool, maker(), self.sink.raw, self.sink.gaps)
        self.refill = Refill(self.sink.gaps, f"embedded://{home / 'log'}", maker, self.recorder.take_again, sinking.backlog_per_s)
        self._note = home / "committed.json"
        committed = json.loads(self._note.read_text()) if self._note.exists() else {}
        self.log = LogReader(home / "log")
        self.partitions = [
            _Partition(topic, number, committed.get(f"{topic.name} {number}", 0)) for topic in TOPICS for number in range(topic.partitions)
        ]
        shutdown = SimpleNamespace(connect=lambda handler, weak: None)
        shell: Any = SimpleNamespace(app=SimpleNamespace(on_before_shutdown=shutdown), at_revocation=lambda forget: None)
        self.lanes = Lanes(shell, lambda: (self.recorder,), _LANE)

    async def read(self, topic: Topic) -> None:
        """Show what comes on one topic, as its agent does."""
        while True:
            for partition in self.partitions:
                if partition.topic is not topic:
                    continue
                _, end = self.log.bounds(topic.name, partition.number)
                for record in self.log.read(topic.name, partition.number, partition.read, end):
                    await self.lanes.show(topic, wire.decode(topic, record.value or b""), partition.event(record.offset))
                    partition.read = record.offset + 1
                    await asyncio.sleep(0)
            await asyncio.sleep(0.01)

    async def commit(self) -> None:
        """Note now and then how far everything is done."""
        while True:
            done = {f"{partition.topic.name} {partition.number}": partition.committed for partition in self.partitions}
            draft = self._note.with_suffix(".draft")
            draft.write_text(json.dumps(done))
            draft.replace(self._note)
            await asyncio.sleep(0.03)

    def finished(self) -> bool:
        """Whether everything on the log is in InfluxDB."""
        ends = all(partition.committed >= self.log.bounds(partition.topic.name, partition.number)[1] for partition in self.partitions)
        return ends and not self.sink.gaps.records and not self.sink.status().waiting_bytes

    async def run(self, begun: Callable[[], None], done: Callable[[], bool]) -> None:
        """Go on until done."""
        work = [self.commit(), self.refill.run(), *(coroutine for _, coroutine in self.sink.work()), *map(self.read, TOPICS)]
        tasks = [asyncio.create_task(each) for each in work]
        begun()
        while not done():
            for task in tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def made(counts: dict[tuple[str, int], int]) -> Iterator[bytes]:
    """Yield the lines of all records that were put on the log, by (topic, partition) → how many."""
    lines = maker()
    for topic in TOPICS:
        for partition in range(topic.partitions):
            for place in range(counts.get((topic.name, partition), 0)):
                number = place * topic.partitions + partition
                yield from lines.of_record(record_at(topic, number)).splitlines()


def live(home: Path, url: str, running: Event, finish: bool) -> None:
    """Live once, until killed, or until everything is in InfluxDB."""
    process = Process(home, url)
    end_s = time.monotonic() + _LIFE_S

    def done() -> bool:
        assert time.monotonic() < end_s, (process.sink.status(), [*process.sink.gaps])
        return finish and process.finished()

    asyncio.run(process.run(running.set, done))
