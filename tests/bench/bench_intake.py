"""How fast are samples taken in, and how fast does a recorded day replay?

    python -m tests.bench.bench_intake

CPU time of this process, the best of several rounds; ratios are to a dictionary of the last values, updated sample by sample, which is
what a service without columns does. The day's replay is measured on an hour of it (12 intervals, 5,000 points every 4 s) and told
per day; that the cost is proportional to time is checked with half an hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ingest.frame import TelemetryFrame, decode_frame, encode_frame, point_id
from ingest.points import PointSpec, PointTable
from market.units import NS_PER_S, instant_ns
from streams.image import encode_snapshot
from streams.intake import AreaIntake
from streams.lastvalues import LastValues

ROUNDS = 3
T0 = instant_ns("2020-01-01T09:00:00+08:00")


def best_s(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def table_of(points: int, area: str = "1", per_device: int = 100) -> PointTable:
    return PointTable(PointSpec(name=f"x/{n}/v", area=area, device=f"d{n // per_device}", period_ns=4 * NS_PER_S) for n in range(points))


def frames(table: PointTable, per_frame: int, polls: int, area: str = "1") -> list[bytes]:
    """Encoded frames of every point, ``polls`` times."""
    rng = np.random.default_rng(1)
    ids = np.array([point_id(spec.name) for spec in table.specs], dtype=np.uint64)
    raw = []
    for poll in range(polls):
        ts_ns = T0 + poll * 4 * NS_PER_S
        for start in range(0, len(ids), per_frame):
            part = ids[start : start + per_frame]
            n = len(part)
            columns = (np.full(n, ts_ns, dtype=np.int64), rng.normal(size=n), np.zeros(n, dtype=np.uint32), np.zeros(n, dtype=np.uint16))
            raw.append(encode_frame(_frame(start, area, poll, ts_ns, part, columns)))
    return raw


def _frame(start: int, area: str, seq: int, ts_ns: int, point: Any, columns: tuple[Any, ...]) -> TelemetryFrame:
    ts_event_ns, value, quality, flags = columns
    return TelemetryFrame(
        source=f"d{start // 100}", area=area, seq=seq, ts_ingest_ns=ts_ns, point=point,
        ts_event_ns=ts_event_ns, value=value, quality=quality, flags=flags,
    )  # fmt: skip


def take_all(table: PointTable, raw: list[bytes]) -> None:
    unit = AreaIntake("1", table, {}, 1.0)
    for one in raw:
        unit.take(decode_frame(one))


def take_by_sample(raw: list[bytes]) -> None:
    last: dict[int, tuple[int, float, int]] = {}
    for one in raw:
        frame = decode_frame(one)
        for point, ts_ns, value, quality in zip(
            frame.point.tolist(), frame.ts_event_ns.tolist(), frame.value.tolist(), frame.quality.tolist(), strict=True
        ):
            known = last.get(point)
            if known is None or ts_ns > known[0]:
                last[point] = (ts_ns, value, quality)


def samples() -> None:
    for per_frame in (1000, 100, 10):
        table = table_of(10_000)
        raw = frames(table, per_frame, max(1, per_frame // 20))
        count = sum(len(decode_frame(one)) for one in raw)
        ours_s, theirs_s = best_s(lambda: take_all(table, raw)), best_s(lambda: take_by_sample(raw))  # noqa: B023
        rate = f"{count / ours_s / 1e6:6.2f} M samples/s   {theirs_s / ours_s:5.1f} x a dictionary"
        print(f"frames of {per_frame:5} samples, decode and intake  {rate}")


def last_values() -> None:
    table = table_of(100_000)
    last = LastValues(table)
    for one in frames(table, 1000, 1):
        last.take(decode_frame(one))
    now_ns = T0 + NS_PER_S

    def answer() -> None:
        for _ in range(20):
            _ = last.value.copy(), last.quality.copy(), (now_ns - last.ts_value_ns) / NS_PER_S

    size = sum(getattr(last, name).nbytes for name in ("value", "ts_value_ns", "ts_seen_ns", "quality", "flags"))
    print(f"100,000 points: value, quality and age of all  {best_s(answer) / 20 * 1e3:.2f} ms, {size / 1e6:.1f} MB of columns")


def hour(minutes: int) -> float:
    """CPU seconds to replay some minutes of 5,000 points at 4 s with ticks of 10 s: decoding, intake, snapshots."""
    tables = {area: table_of(1667, area) for area in ("1", "2", "3")}
    polled = {area: frames(table, 100, 1, area) for area, table in tables.items()}

    def run() -> None:
        for area, table in tables.items():
            unit = AreaIntake(area, table, {}, 1.0)
            for second in range(0, minutes * 60, 2):
                now_ns = T0 + second * NS_PER_S
                if second % 4 == 0:
                    for one in polled[area]:
                        frame = decode_frame(one)
                        columns = (np.full(len(frame), now_ns), frame.value, frame.quality, frame.flags)
                        start = 100 * int(frame.source.removeprefix("d"))
                        unit.take(_frame(start, area, second, now_ns, frame.point, columns))
                if second % 10 == 0:
                    snapshot = unit.tick(now_ns).snapshot
                    assert snapshot is not None
                    encode_snapshot(snapshot)

    return best_s(run)


def main() -> None:
    """Run everything."""
    samples()
    last_values()
    whole_s, half_s = hour(60), hour(30)
    print(f"replay, intake of 5,000 points every 4 s  {whole_s:.2f} s an hour (half of it {half_s:.2f} s), {24 * whole_s:.0f} s a day")


if __name__ == "__main__":
    main()
