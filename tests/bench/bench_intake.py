"""How fast are samples taken in, and how fast does a recorded day replay?

    python -m tests.bench.bench_intake

CPU time of this process, the best of several rounds; ratios are to a dictionary of the last values, updated sample by sample, which is
what a service without columns does. Frames are measured through intake alone, and through snapshots and key figures at real ticks. The
day's intake is measured on an hour of it (5,000 points every 4 s) and told per day; that the cost is proportional to time is checked with
half an hour. (The whole replay: ``bench_replay``.)
"""

from __future__ import annotations

import itertools
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from ingest.frame import TelemetryFrame, decode_frame, encode_frame, heartbeat, point_id
from ingest.points import PointSpec, PointTable
from market.rules import rules_from
from market.units import NS_PER_S, instant_ns
from streams import wire
from streams.grid import GridProcessor
from streams.image import decode_snapshot, encode_snapshot
from streams.intake import CLOCK_SOURCE, AreaIntake
from streams.kpis import KpiFrame
from streams.lastvalues import LastValues
from streams.marketmodel import MarketModel
from streams.model import market_model
from streams.settings import ControlModel, NetworkModel
from tests.kit.rts_day import point_specs, values_at

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


def telemetry_of_the_grid(points: int, ticks: int) -> tuple[MarketModel, list[tuple[str, bytes]]]:
    """Return the shipped grid with so many points, and ticks of 10 s of it: (area, frame) with every point each 4 s, ticks among them.

    Frames hold 1,000 samples; what the grid has no use for is filled up with points that decide nothing.
    """
    specs = point_specs()
    specs += [
        PointSpec(name=f"x/{n}/v", area=f"{1 + n % 3}", device=f"d{n % 30}", period_ns=4 * NS_PER_S) for n in range(points - len(specs))
    ]
    table = PointTable(specs)
    model = market_model(NetworkModel(rts_gmlc="shipped"), table, rules_from({"rt_interval_min": 5}), ControlModel(), day_ahead=True)
    known, rng = values_at(108), np.random.default_rng(1)
    told: list[tuple[str, bytes]] = []
    for second in range(0, 10 * ticks, 2):
        now_ns = T0 + second * NS_PER_S
        for area in table.areas:
            part = table.of_area(area)
            base = np.array([known.get(spec.name, 100.0) for spec in part.specs])
            for start in range(0, len(part) if second % 4 == 0 else 0, 1000):
                ids = part.ids[start : start + 1000]
                n = len(ids)
                noise = np.where(base[start : start + n] == 2.0, 1.0, 1.0 + 1e-4 * rng.standard_normal(n))  # a closed switch is 2
                columns = (np.full(n, now_ns), base[start : start + n] * noise, np.zeros(n, dtype=np.uint32), np.zeros(n, dtype=np.uint16))
                told.append((area, encode_frame(_frame(0, area, second, now_ns, ids, columns))))
            if second % 10 == 0:
                told.append((area, encode_frame(heartbeat(CLOCK_SOURCE, area, second, now_ns))))
    return model, told


def through_figures() -> None:
    """Frames in, key figures out, every record encoded and decoded between the processors as on their topics."""
    model, told = telemetry_of_the_grid(5_000, ticks=30)
    count = sum(len(decode_frame(raw)) for _, raw in told)

    def run() -> int:
        units = {area: model.intake(area) for area in model.grid.areas}
        processor, figures = GridProcessor(model.grid), 0
        for offset, (area, raw) in enumerate(told):
            taken = units[area].take_in(decode_frame(raw), offset)
            assert taken is not None
            for snapshot in taken.snapshots:
                for effect in processor.take(decode_snapshot(encode_snapshot(snapshot))):
                    wire.encode(effect)
                    figures += isinstance(effect, KpiFrame)
        return figures

    assert run() == 30
    took_s = best_s(run)
    reference_s = best_s(lambda: [take_by_sample([raw for _, raw in told])])
    rate = f"{count / took_s / 1e6:6.2f} M samples/s   {reference_s / took_s:5.1f} x a dictionary without figures"
    print(f"frames of  1000 samples through intake, snapshots and key figures, ticks of 10 s  {rate}")


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
    unit = AreaIntake("1", table, {}, 1.0)
    for one in frames(table, 1000, 1):
        unit.take(decode_frame(one))
    second = itertools.count(1)

    def snapshot() -> None:
        for part in unit.tick(T0 + next(second) * NS_PER_S).snapshots:
            encode_snapshot(part)

    snapshot()
    parts = unit.tick(T0 + next(second) * NS_PER_S).snapshots
    tick_s = best_s(lambda: [snapshot() for _ in range(10)]) / 10
    print(f"100,000 points: snapshot judged and encoded, {len(parts)} records  {tick_s * 1e3:.2f} ms")
    alone_mb, whole_mb = allocated_mb()
    print(f"100,000 points: point list, last values, snapshot and state  {whole_mb:.0f} MB at the peak, {alone_mb:.0f} MB of it the list")
    print(f"100,000 points: value, quality and age of all  {best_s(answer) / 20 * 1e3:.2f} ms, {size / 1e6:.1f} MB of columns")


def allocated_mb() -> tuple[float, float]:
    """Memory at the peak, MB: of a table of 100,000 points, and with intake, its snapshot and its encoded state."""
    tracemalloc.start()
    table = table_of(100_000)
    alone = tracemalloc.get_traced_memory()[0]
    unit = AreaIntake("1", table, {}, 1.0)
    for one in frames(table, 1000, 1):
        unit.take(decode_frame(one))
    kept = [encode_snapshot(part) for part in unit.tick(T0).snapshots], unit.encode()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kept
    return alone / 1e6, peak / 1e6


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
                    for snapshot in unit.tick(now_ns).snapshots:
                        encode_snapshot(snapshot)

    return best_s(run)


def main() -> None:
    """Run everything."""
    samples()
    through_figures()
    last_values()
    whole_s, half_s = hour(60), hour(30)
    print(f"replay, intake of 5,000 points every 4 s  {whole_s:.2f} s an hour (half of it {half_s:.2f} s), {24 * whole_s:.0f} s a day")


if __name__ == "__main__":
    main()
