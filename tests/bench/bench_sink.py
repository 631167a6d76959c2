"""What does it cost us to get telemetry into a real InfluxDB, and how much of the time is it the server that is waited for?

Run with ``python -m tests.bench.bench_sink``. The whole way is counted: frames are encoded, spooled and sent, acknowledged one request at
a time, until the spool is empty; beside it, in the same run, the same frames as the library's ``Point`` objects through its synchronous
write, 5,000 at a time. Both are counted back by query. CPU is that of this process, threads included; the server has its own.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS
from msgspec.structs import replace

from ingest.frame import TelemetryFrame
from streams.influx import Flusher, InfluxTarget
from streams.influxapi import Api
from streams.segments import BLOCK_LINES_MAX
from streams.spool import Spool
from streams.telemetrylines import TelemetryEncoder, series_key
from tests.bench.bench_lineprotocol import NAMES, T_NS, TABLE, UNITS, frame
from tests.kit.influx import Influxd, influxd

FRAMES = 3_000
POINT_FRAMES = 120
QUANTITIES = len(NAMES) // UNITS
KEYS = [series_key(name) for name in NAMES]


class Took(NamedTuple):
    """What it took: wall s, CPU s of this process, and field values that arrived."""

    wall_s: float
    cpu_s: float
    values: int

    @property
    def ns_per_value(self) -> float:
        """CPU per field value, ns."""
        return self.cpu_s / self.values * 1e9


def frames(count: int) -> list[TelemetryFrame]:
    """A second of 1,000 samples after the other, with two decimals as meters have."""
    first = frame(decimals=2, instants=1)
    rng = np.random.default_rng(2)
    return [
        replace(
            first,
            seq=number,
            ts_event_ns=first.ts_event_ns + number * 1_000_000_000,
            value=np.round(first.value + rng.normal(0.0, 1.0, len(NAMES)), 2),
        )
        for number in range(count)
    ]


def timed(work: Callable[[], None], values: int) -> Took:
    """Do it, and say what it took."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    return Took(time.perf_counter() - wall_s, time.process_time() - cpu_s, values)


def ours(server: Influxd, bucket: str, batches: list[TelemetryFrame], home: Path, *, api: Api = Api.V2, zipped: bool = False) -> Took:
    """Encode, spool, send."""
    server.create(bucket)
    encoder = TelemetryEncoder(TABLE)
    spool = Spool(home / bucket)

    def work() -> None:
        for batch in batches:
            spool.append(encoder.encode(batch).data)
        asyncio.run(Flusher(spool, InfluxTarget(url=server.url, org="o", bucket=bucket, api=api, gzip=zipped)).drain())

    took = timed(work, len(batches) * len(NAMES))
    assert spool.acked == spool.end
    spool.close()
    counted(server, bucket, len(batches))
    return took


def points_of(batch: TelemetryFrame) -> list[Point]:
    """Make the library's objects of a frame."""
    points: dict[str, Point] = {}
    at_ns = int(batch.ts_event_ns[0])
    for (kind, element, quantity), value in zip(KEYS, batch.value.tolist(), strict=True):
        point = points.get(element)
        if point is None:
            point = Point("telemetry").tag("area", "1").tag("dev", "rtu-1").tag("element", element).tag("kind", kind)
            points[element] = point.time(at_ns, WritePrecision.NS)
        point.field(quantity, value)
    return list(points.values())


def by_points(server: Influxd, bucket: str, batches: list[TelemetryFrame]) -> Took:
    """The library's way."""
    server.create(bucket)

    def work() -> None:
        waiting: list[Point] = []
        with InfluxDBClient(url=server.url, token="", org="o") as client:
            write = client.write_api(write_options=SYNCHRONOUS).write
            for batch in batches:
                waiting += points_of(batch)
                if len(waiting) >= BLOCK_LINES_MAX:
                    write(bucket=bucket, record=waiting)
                    waiting = []
            if waiting:
                write(bucket=bucket, record=waiting)

    took = timed(work, len(batches) * len(NAMES))
    counted(server, bucket, len(batches))
    return took


def counted(server: Influxd, bucket: str, count: int) -> None:
    """Make sure that everything is there."""
    (series,) = server.query(f"SELECT COUNT(*) FROM telemetry WHERE time >= {T_NS}", bucket)
    assert series["values"][0][1:] == [count * UNITS] * QUANTITIES, series


def told(name: str, took: Took) -> str:
    """One row."""
    rate = took.values / took.wall_s
    share = took.cpu_s / took.wall_s
    return f"{name:<34} {took.ns_per_value:8.0f} ns CPU a value  {rate:10,.0f} values/s  {share:7.1%} of the wall is our CPU"


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name, influxd(Path(name) / "influx") as server:
        few, many = frames(POINT_FRAMES), frames(FRAMES)
        home = Path(name)
        ours(server, "warm", few, home)
        encoder = TelemetryEncoder(TABLE)

        def encoded() -> None:
            for batch in few:
                encoder.encode(batch)

        def as_points() -> None:
            for batch in few:
                for point in points_of(batch):
                    point.to_line_protocol()

        alone = [timed(work, POINT_FRAMES * len(NAMES)) for work in (encoded, as_points)]
        rows = [
            ("encoded, spooled, sent: v2", ours(server, "v2", many, home)),
            ("the same by /write: v1", ours(server, "v1", many, home, api=Api.V1)),
            ("the same, gzip: true", ours(server, "gz", few, home, zipped=True)),
            ("Point objects, synchronous", by_points(server, "points", few)),
        ]
        for what, took in rows:
            print(told(what, took))
        print(f"CPU of Point objects to ours, the whole way: {rows[3][1].ns_per_value / rows[0][1].ns_per_value:.1f} x")
        lines_only = f"{alone[1].ns_per_value:.0f} to {alone[0].ns_per_value:.0f} ns, {alone[1].ns_per_value / alone[0].ns_per_value:.1f} x"
        print(f"CPU of Point objects to ours, making lines: {lines_only}   (load {os.getloadavg()[0]:.1f})")


if __name__ == "__main__":
    main()
