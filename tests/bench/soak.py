"""Does anything grow, get lost or change places when the service runs for long at full rate and its sink is away half of the time?

    python -m tests.bench.soak [--minutes N] [--speed S] [--data DIR]

The demo's own service and field in a process of their own, at a speed at which devices are asked again as soon as they have answered:
the rate is then what the machine keeps up with, and the simulated clock waits for the processors where they do not. A real InfluxDB is
killed and started again by turns of half a minute. Memory is sampled every second. Afterwards everything is counted again from the log,
outside the service: each value of each sample of each frame must be in InfluxDB, once, and the frames of each source must stand in order,
offsets without a gap.

Exit code 1 where something was lost, stood out of order, or memory went on growing.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ingest.bundle import frames_of
from ingest.quality import is_bad, is_good
from market.units import NS_PER_H, NS_PER_S, instant_ns
from streams import topics, wire
from streams.intake import CLOCK_SOURCE
from streams.settings import read_settings
from streams.telemetrylines import series_key
from streams.transport.reader import LogReader
from tests.kit.demo import DemoProcess
from tests.kit.influx import Influxd, influxd

BUCKET = "grid"
AWAY_S = 30.0
WARM_UP = 0.5
"""Share of the run after which memory is to be flat: caches and the newest records of each topic have filled their bounds by then."""

SLOPE_MAX_MB_PER_MIN = 1.0
_INTERRUPTED = 130
_CHECKOUT = Path(__file__).parents[2]
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass
class Run:
    """What was seen while it ran."""

    rss_mb: list[float] = field(default_factory=list)
    outages: int = 0
    away_s: float = 0.0


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def come_and_go(server: Influxd, until_s: float, over: threading.Event, run: Run) -> None:
    """Kill the server and start it again, by turns; it is there at the end."""
    while not over.wait(AWAY_S) and time.monotonic() < until_s:
        server.kill()
        run.outages += 1
        began_s = time.monotonic()
        over.wait(AWAY_S)
        server.start()
        run.away_s += time.monotonic() - began_s


def watched(demo: DemoProcess, minutes: float, run: Run) -> None:
    """Sample memory every second until the time is over."""
    end_s = time.monotonic() + minutes * 60
    while time.monotonic() < end_s and demo.process.poll() is None:
        run.rss_mb.append(rss_mb(demo.process.pid))
        time.sleep(1.0)
    assert demo.process.poll() is None, demo.told


def slope_mb_per_min(run: Run) -> float:
    """Least-squares slope of memory after the warm-up."""
    flat = run.rss_mb[round(WARM_UP * len(run.rss_mb)) :]
    return float(np.polyfit(np.arange(len(flat)) / 60.0, flat, 1)[0]) if len(flat) > 2 else 0.0


def misplaced(data: Path) -> tuple[int, int, Counter[str]]:
    """Go through the frames on the log; returns how many there are, how many stand out of order, and values expected per field."""
    table = read_settings(data / "gridfuse.yaml").points.table()
    names = np.array([series_key(spec.name)[2] for spec in table.specs])
    count, wrong = 0, 0
    values: list[Any] = []
    codes: list[Any] = []
    with LogReader(data / "log") as log:
        for number in range(topics.FRAMES.partitions):
            last: dict[tuple[str, str], tuple[int, int]] = {}
            expected = 0
            for record in log.records(topics.FRAMES.name, number):
                wrong += record.offset != expected
                expected = record.offset + 1
                for frame in frames_of(wire.decode(topics.FRAMES, record.value or b"")):
                    place = (frame.area, frame.source)
                    now = (frame.seq, frame.ts_ingest_ns)
                    before = last.get(place, (-1, 0))
                    wrong += now[0] <= before[0] or now[1] < before[1]
                    last[place] = now
                    count += 1
                    if frame.source == CLOCK_SOURCE:
                        continue
                    rows = table.rows(frame.point)
                    named = (frame.point * _ODD) ^ frame.ts_event_ns.astype(np.uint64) * np.uint64(31)
                    usable = ~is_bad(frame.quality) & np.isfinite(frame.value) & (rows >= 0)
                    marked = ~(is_good(frame.quality) & np.isfinite(frame.value)) & (rows >= 0)
                    values.append(np.stack([named[usable], rows[usable].astype(np.uint64)]))
                    codes.append(np.stack([named[marked], rows[marked].astype(np.uint64)]))
    found: Counter[str] = Counter()
    for parts, suffix in ((values, ""), (codes, "_quality")):
        both = np.concatenate(parts, axis=1)
        _, first = np.unique(both[0], return_index=True)
        for name, times in zip(*np.unique(names[both[1][first].astype(np.int64)], return_counts=True), strict=True):
            found[f"{name}{suffix}"] += int(times)
    return count, wrong, found


def stored(server: Influxd) -> Counter[str]:
    """Values per field in InfluxDB, counted hour by hour, so that no answer takes long."""
    found: Counter[str] = Counter()
    (low,), (high,) = _times(server, "ASC"), _times(server, "DESC")
    for start in range(low, high + 1, NS_PER_H):
        for series in server.query(f"SELECT COUNT(*) FROM telemetry WHERE time >= {start} AND time < {start + NS_PER_H}", BUCKET):
            for column, number in zip(series["columns"][1:], series["values"][0][1:], strict=True):
                found[column.removeprefix("count_")] += number or 0
    return found


def _times(server: Influxd, order: str) -> list[int]:
    return [row[0] for series in server.query(f"SELECT * FROM telemetry ORDER BY time {order} LIMIT 1", BUCKET) for row in series["values"]]


def drained(data: Path, server: Influxd) -> float:
    """Send what still waits; returns the seconds it took."""
    began_s = time.monotonic()
    command = [sys.executable, "-m", "console.cli", "spool", "drain", "--dir", str(data / "spool"), "--url", server.url, "--bucket", BUCKET]
    done = subprocess.run([*command, "--token-env", "INFLUX_TOKEN"], cwd=_CHECKOUT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return time.monotonic() - began_s


def told(
    run: Run, summary: dict[str, Any], frames: tuple[int, int], values: tuple[int, int], drain_s: float
) -> list[tuple[str, str, bool]]:
    """The rows of the table: what, how much, whether that is as it must be."""
    wall_s = summary["process"]["wall_s"]
    samples, slope = summary["samples"], slope_mb_per_min(run)
    warm = run.rss_mb[round(WARM_UP * len(run.rss_mb)) :]
    lived = (instant_ns(summary["to"]) - instant_ns(summary["from"])) / NS_PER_S
    return [
        ("ran", f"{wall_s:.0f} s wall, {lived / 3600:.1f} h of event time, {lived / wall_s:.0f} x real time", True),
        ("CPU", f"{summary['process']['cpu_s'] / wall_s:.2f} cores", True),
        ("samples in", f"{samples['in']:,}, {samples['in'] / wall_s:,.0f} a second", samples["in"] > 0),
        ("samples lost", f"{samples['lost']}", samples["lost"] == 0),
        ("dead letters", f"{summary['dead_letters']}", summary["dead_letters"] == 0),
        ("frames out of order", f"{frames[1]} of {frames[0]:,}", frames[1] == 0),
        ("InfluxDB away", f"{run.outages} times, {run.away_s:.0f} s in all; {drain_s:.1f} s to send the rest at the end", run.outages > 0),
        ("values in InfluxDB", f"{values[1]:,} of {values[0]:,}", values[0] == values[1]),
        ("memory after warm-up", f"{min(warm):.0f} to {max(warm):.0f} MB, median {statistics.median(warm):.0f} MB", True),
        ("memory by the minute", " ".join(f"{mb:.0f}" for mb in run.rss_mb[::60]) + " MB", True),
        ("memory slope", f"{slope:+.2f} MB a minute", slope < SLOPE_MAX_MB_PER_MIN),
    ]


def main() -> None:
    """Run, count, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--speed", type=float, default=120.0)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    os.environ["INFLUX_TOKEN"] = "none-asked-for"
    run, over = Run(), threading.Event()
    with tempfile.TemporaryDirectory() as name, influxd((options.data or Path(name)) / "influx") as server:
        data = (options.data or Path(name)) / "demo"
        server.create(BUCKET)
        far = ("--until", "2020-12-31T00:00:00+08:00", "--influx", server.url)
        with DemoProcess(data, "--speed", f"{options.speed:g}", *far) as demo:
            end_s = time.monotonic() + options.minutes * 60
            gate = threading.Thread(target=come_and_go, args=(server, end_s - AWAY_S, over, run))
            gate.start()
            try:
                watched(demo, options.minutes, run)
            finally:
                over.set()
                gate.join()
            demo.process.send_signal(signal.SIGINT)
            summary = demo.finish(code=_INTERRUPTED)
        drain_s = drained(data, server)
        count, wrong, expected = misplaced(data)
        found = stored(server)
        for name, number in sorted((expected - found).items()):
            print(f"missing from InfluxDB: {number} of {name}")
        rows = told(run, summary, (count, wrong), (expected.total(), found.total()), drain_s)
    for what, how_much, well in rows:
        print(f"{what:<22} {how_much}{'' if well else '   <-- NOT WELL'}")
    sys.exit(0 if all(well for _, _, well in rows) else 1)


if __name__ == "__main__":
    main()
