"""What does it cost to roll a sample up by the minute, all its lines included?

Run with ``python -m tests.bench.bench_rollups``. CPU time of this process, over whole minutes of frames of several shapes: a sample costs
little, a line more, and the fewer samples make a line, the more of it each of them bears.
"""

from __future__ import annotations

import time

import numpy as np

from ingest.frame import TelemetryFrame, point_id
from ingest.points import PointSpec, PointTable
from market.units import NS_PER_S
from streams.rollups import Rollups

T_NS = 1_790_000_040_000_000_000
SHAPES = ((8, 1_000, 0.1, 3), (40, 125, 1.0, 4), (1_000, 20, 1.0, 3), (1_000, 20, 10.0, 4))
"""Devices, points of each, period in s, minutes."""


def rolled_up(table: PointTable, frames: list[TelemetryFrame], *, each: bool = False) -> tuple[float, int, float]:
    """Roll frames up; returns the CPU time in s, the lines, and, where ``each`` call is timed, the longest one in s."""
    rollups, lines, longest_s = Rollups(table), 0, 0.0
    rollups.begin_anew()
    began_s = call_s = time.process_time()
    for frame in frames:
        lines += rollups.take(frame).count(b"\n")
        if each:
            longest_s, call_s = max(longest_s, time.process_time() - call_s), time.process_time()
    return time.process_time() - began_s, lines, longest_s


def measure(devices: int, points: int, period_s: float, minutes: int) -> None:
    """Roll up so many minutes and print what it took."""
    names = [[f"unit/{device}-{n}/mw" for n in range(points)] for device in range(devices)]
    table = PointTable(
        PointSpec(name=name, area="1", device=f"d{device}", period_ns=NS_PER_S) for device, of_it in enumerate(names) for name in of_it
    )
    ids = [np.array([point_id(name) for name in of_it], dtype=np.uint64) for of_it in names]
    good, plain = np.zeros(points, dtype=np.uint32), np.zeros(points, dtype=np.uint16)
    rng = np.random.default_rng(1)
    frames = [
        TelemetryFrame(
            source=f"d{device}",
            area="1",
            seq=turn,
            ts_ingest_ns=T_NS + int(turn * period_s * NS_PER_S),
            point=ids[device].copy(),
            ts_event_ns=np.full(points, T_NS + int(turn * period_s * NS_PER_S)),
            value=np.round(rng.normal(100.0, 10.0, points), 3),
            quality=good,
            flags=plain,
        )
        for turn in range(int(60 * minutes / period_s))
        for device in range(devices)
    ]
    took_s, lines, _ = rolled_up(table, frames)
    *_, longest_s = rolled_up(table, frames, each=True)
    shape = f"{devices} devices of {points} points every {period_s:g} s"
    print(f"{shape:<42} {took_s / (len(frames) * points) * 1e6:.3f} µs a sample, {lines:,} lines, longest call {longest_s * 1e3:.1f} ms")


if __name__ == "__main__":
    for shape in SHAPES:
        measure(*shape)
