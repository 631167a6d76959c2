"""How many field values per second does the telemetry encoder write, beside the library's own ``Point`` objects on the same data?

Run with ``python -m tests.bench.bench_lineprotocol``. Both ways write the same lines of the same frames, checked first by reading them
back value by value; CPU time of this process is counted, the best of several rounds each. A line is wide where a device says many things
of one element (125 registers of one read), and narrow where it says one. Ratios are to ``Point`` objects of the same samples in this run.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from influxdb_client import Point, WritePrecision

from ingest.frame import TelemetryFrame, point_id
from ingest.points import PointSpec, PointTable
from streams.telemetrylines import TelemetryEncoder, series_key

VALUES = 1000
SHAPES = (125, 4, 1)
"""Fields of a line."""

BAD = 0x80310000
T_NS = 1_790_000_000_123_000_000
ROUNDS = 7


def names_of(fields: int) -> list[str]:
    """Return names of points that make lines of so many fields."""
    return [f"meter/M{number // fields}/mw_{number % fields}" for number in range(VALUES)]


def table_of(fields: int) -> PointTable:
    """Return the table of these points."""
    return PointTable(PointSpec(name=name, area="1", device="rtu-1", period_ns=1_000_000_000) for name in names_of(fields))


def frame(fields: int, *, decimals: int | None, instants: int = 1, bad_share: float = 0.0) -> TelemetryFrame:
    """1,000 samples, with as many decimals as floats have or fewer, read in blocks of one instant each."""
    rng = np.random.default_rng(1)
    value = rng.normal(100.0, 20.0, VALUES)
    return TelemetryFrame(
        source="rtu-1",
        area="1",
        seq=1,
        ts_ingest_ns=T_NS,
        point=np.array([point_id(name) for name in names_of(fields)], dtype=np.uint64),
        ts_event_ns=T_NS + np.repeat(np.arange(instants), VALUES // instants) * 10_000_000,
        value=value if decimals is None else np.round(value, decimals),
        quality=np.where(rng.random(VALUES) < bad_share, BAD, 0).astype(np.uint32),
        flags=np.zeros(VALUES, dtype=np.uint16),
    )


def by_points(batch: TelemetryFrame, names: list[str]) -> list[str]:
    """Write a frame the library's way: one ``Point`` per element and instant, serialized."""
    points: dict[tuple[str, int], Point] = {}
    columns = (batch.value.tolist(), batch.quality.tolist(), batch.ts_event_ns.tolist())
    for name, value, quality, ts_ns in zip(names, *columns, strict=True):
        kind, element, quantity = series_key(name)
        point = points.get((element, ts_ns))
        if point is None:
            point = Point("telemetry").tag("area", "1").tag("dev", "rtu-1").tag("element", element).tag("kind", kind)
            points[element, ts_ns] = point.time(ts_ns, WritePrecision.NS)
        if quality:
            point.field(f"{quantity}_quality", quality)
        else:
            point.field(quantity, value)
    return [point.to_line_protocol() for point in points.values()]


def parsed(lines: list[str]) -> dict[str, dict[str, float]]:
    """Fields by series and instant; simple lines only."""
    found = {}
    for line in lines:
        series, fields, instant = line.split(" ")
        found[f"{series} {instant}"] = {name: float(value.rstrip("i")) for name, value in (field.split("=") for field in fields.split(","))}
    return found


def values_per_s(work: Callable[[], object], repeats: int) -> float:
    """Field values per second of CPU, the best of several rounds of 1,000 values times ``repeats``."""
    best_s = float("inf")
    for _ in range(ROUNDS):
        began_s = time.process_time()
        for _ in range(repeats):
            work()
        best_s = min(best_s, time.process_time() - began_s)
    return VALUES * repeats / best_s


def main() -> None:
    """Measure and print."""
    for fields in SHAPES:
        encoder, names = TelemetryEncoder(table_of(fields)), names_of(fields)
        for title, batch in (
            ("one instant", frame(fields, decimals=None)),
            ("2 decimals", frame(fields, decimals=2)),
            ("8 instants", frame(fields, decimals=None, instants=8)),
            ("5 % bad", frame(fields, decimals=None, bad_share=0.05)),
            ("all bad", frame(fields, decimals=None, bad_share=1.0)),
        ):
            mine, theirs = encoder.encode(batch).data.decode().splitlines(), by_points(batch, names)
            assert parsed(mine) == parsed(theirs), "the two ways do not write the same"
            points = values_per_s(lambda: by_points(batch, names), 10)  # noqa: B023
            rate = values_per_s(lambda: encoder.encode(batch), 100)  # noqa: B023
            print(f"{fields:>3} fields a line, {title:<12}{rate:12,.0f} values/s;  Point {points:9,.0f};  {rate / points:5.1f} x")


if __name__ == "__main__":
    main()
