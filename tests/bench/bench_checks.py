"""What does judging a sample cost, beside decoding it?

Run with ``python -m tests.bench.bench_checks``. Frames of 1,000 points, one a second of source time; the best of several rounds each,
in microseconds of wall time per point. A device whose points ask for nothing has no checks at all, and pays for decoding only.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable

import numpy as np

from ingest.checks import Checks
from ingest.devices import DataType, Kind, ModbusPoint
from ingest.modbus.decode import BlockDecoder, spans_of
from ingest.modbus.plan import Block
from ingest.pointchecks import CounterCheck, PointChecks
from market.units import NS_PER_DAY, NS_PER_S
from tests.kit.field import modbus_point

POINTS = 1_000
FRAMES, ROUNDS = 300, 7
T_NS = 1_790_000_000 * NS_PER_S

MOVES = PointChecks(rate_per_s=50.0, frozen_ns=NS_PER_DAY)
COUNTS = PointChecks(counter=CounterCheck(modulus=2**32, max_per_h=500.0))


def plain(row: int) -> ModbusPoint:
    return modbus_point(f"p{row}", 2 * row, DataType.FLOAT32)


def ranged(row: int) -> ModbusPoint:
    return modbus_point(f"p{row}", 2 * row, DataType.FLOAT32, low=0.0, high=500.0)


def moving(row: int) -> ModbusPoint:
    return modbus_point(f"p{row}", 2 * row, DataType.FLOAT32, low=0.0, high=500.0, checks=MOVES)


def counting(row: int) -> ModbusPoint:
    return modbus_point(f"p{row}", 2 * row, DataType.UINT32, scale=0.01, checks=COUNTS)


def mixed(row: int) -> ModbusPoint:
    """Three measurements to a counter, all of a type, as a meter of whole numbers has them."""
    if row % 4 == 3:
        return counting(row)
    return modbus_point(f"p{row}", 2 * row, DataType.UINT32, scale=0.01, low=0.0, high=1e9, checks=MOVES)


def us_per_point(points: list[ModbusPoint]) -> tuple[float, float]:
    """Return the cost of decoding, and of decoding and judging."""
    decoder = BlockDecoder(Block(Kind.HOLDING, 0, 2 * POINTS, tuple(spans_of(points))), points)
    checks = Checks.of(points)
    rng = np.random.default_rng(1)
    is_float = points[0].type is DataType.FLOAT32
    said = rng.uniform(100.0, 105.0, POINTS).astype(">f4") if is_float else rng.integers(10_000, 10_500, POINTS).astype(">u4")
    data = said.tobytes()
    ts_ns, flags = np.full(POINTS, T_NS, dtype=np.int64), np.zeros(POINTS, dtype=np.uint16)

    def judged() -> None:
        values, quality = decoder.decode(data)
        ts_ns[:] += NS_PER_S
        if checks is not None:
            checks.judge(decoder.ids, ts_ns, values, quality, flags)

    def best(run: Callable[[], object]) -> float:
        return min(timeit.repeat(run, number=FRAMES, repeat=ROUNDS)) / FRAMES / POINTS * 1e6

    return best(lambda: decoder.decode(data)), best(judged)


def main() -> None:
    for make in (plain, ranged, moving, counting, mixed):
        decode_us, both_us = us_per_point([make(row) for row in range(POINTS)])
        print(f"{make.__name__:9s} decode {decode_us:.4f}   decode and checks {both_us:.4f} us per point")


if __name__ == "__main__":
    main()
