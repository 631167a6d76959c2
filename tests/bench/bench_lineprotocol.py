"""How many field values per second does the telemetry encoder write, beside the library's own ``Point`` objects on the same data?

Run with ``python -m tests.bench.bench_lineprotocol``. Both ways write the same lines of the same frames, checked first by reading them
back value by value; CPU time of this process is counted, the best of several rounds each.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from influxdb_client import Point, WritePrecision

from ingest.frame import TelemetryFrame, point_id
from ingest.points import PointSpec, PointTable
from streams.telemetrylines import TelemetryEncoder, series_key

UNITS = 250
QUANTITIES = ("mw", "available_mw", "mwh", "setpoint_mw")
T_NS = 1_790_000_000_123_000_000
ROUNDS = 7

NAMES = [f"unit/U{number}/{quantity}" for number in range(UNITS) for quantity in QUANTITIES]
TABLE = PointTable(PointSpec(name=name, area="1", device="rtu-1", period_ns=1_000_000_000) for name in NAMES)


def frame(*, decimals: int | None, instants: int, bad_share: float = 0.0) -> TelemetryFrame:
    """1,000 samples, with as many decimals as floats have or fewer, read in blocks of one instant each."""
    rng = np.random.default_rng(1)
    value = rng.normal(100.0, 20.0, len(NAMES))
    return TelemetryFrame(
        source="rtu-1",
        area="1",
        seq=1,
        ts_ingest_ns=T_NS,
        point=np.array([point_id(name) for name in NAMES], dtype=np.uint64),
        ts_event_ns=T_NS + np.repeat(np.arange(instants), len(NAMES) // instants) * 10_000_000,
        value=value if decimals is None else np.round(value, decimals),
        quality=np.where(rng.random(len(NAMES)) < bad_share, 0x80310000, 0).astype(np.uint32),
        flags=np.zeros(len(NAMES), dtype=np.uint16),
    )


def by_points(batch: TelemetryFrame) -> list[str]:
    """Write a frame the library's way: one ``Point`` per element, serialized."""
    points: dict[str, Point] = {}
    for name, value in zip(NAMES, batch.value.tolist(), strict=True):
        kind, element, quantity = series_key(name)
        point = points.get(element)
        if point is None:
            point = Point("telemetry").tag("area", "1").tag("dev", "rtu-1").tag("element", element).tag("kind", kind)
            points[element] = point.time(T_NS, WritePrecision.NS)
        point.field(quantity, value)
    return [point.to_line_protocol() for point in points.values()]


def parsed(lines: list[str]) -> dict[str, dict[str, float]]:
    """Fields by series and instant; simple lines only."""
    found = {}
    for line in lines:
        series, fields, instant = line.split(" ")
        found[f"{series} {instant}"] = {name: float(value) for name, value in (field.split("=") for field in fields.split(","))}
    return found


def values_per_s(work: Callable[[], object], repeats: int) -> float:
    """Field values per second of CPU, the best of several rounds of 1,000 values times ``repeats``."""
    best_s = float("inf")
    for _ in range(ROUNDS):
        began_s = time.process_time()
        for _ in range(repeats):
            work()
        best_s = min(best_s, time.process_time() - began_s)
    return len(NAMES) * repeats / best_s


def main() -> None:
    """Measure and print."""
    encoder = TelemetryEncoder(TABLE)
    plain = frame(decimals=None, instants=1)
    assert parsed(encoder.encode(plain).data.decode().splitlines()) == parsed(by_points(plain)), "the two ways do not write the same"
    points = values_per_s(lambda: by_points(plain), 10)
    print(f"influxdb_client.Point           {points:12,.0f} values/s   1.0 x")
    for title, batch in (
        ("one instant", plain),
        ("one instant, 2 decimals", frame(decimals=2, instants=1)),
        ("8 blocks of 125", frame(decimals=None, instants=8)),
        ("one instant, 5 % bad", frame(decimals=None, instants=1, bad_share=0.05)),
    ):
        rate = values_per_s(lambda: encoder.encode(batch), 300)  # noqa: B023
        print(f"TelemetryEncoder, {title:<24}{rate:12,.0f} values/s {rate / points:5.1f} x")


if __name__ == "__main__":
    main()
