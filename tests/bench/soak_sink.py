"""Is every point in InfluxDB after ten minutes without it, at full rate, with everything that can happen to the way there?

    python -m tests.bench.soak_sink [--away SECONDS] [--speed S] [--data DIR]

The demo's own service and field in a process of their own. InfluxDB is killed and stays away for ten minutes. Meanwhile the disk of the
spool is full for half a minute, and the service is killed once. When InfluxDB is back and takes the backlog, it is killed twice in the
midst of writing, and the service once more. Afterwards everything is counted again from the log, outside the service: each value of each
frame, and each point of every measurement whose lines follow from one record alone, must be in InfluxDB, once.

The spool has a disk of its own for this (a tmpfs, which only root may mount); without one, the whole of the service's disk is full.

Exit code 1 where something is missing.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from market.errors import GridfuseError
from streams import topics, wire
from streams.model import model_of
from streams.recordlines import RecordLines
from streams.settings import read_settings
from streams.transport.reader import LogReader
from tests.bench.soak import BUCKET, drained, misplaced, stored
from tests.kit.demo import DemoProcess
from tests.kit.influx import Influxd, influxd

FULL_S = 30.0
WARM_UP_S = 20.0
_DISK_MB = 2_048
_NO_FILE_MAY_GROW = 1
_INTERRUPTED = 130
_REMEMBERED = {"duty", "announcement", "case", "settlement", "telemetry", "telemetry_1m", "pipeline", "stage", "delivery"}
"""Measurements whose lines follow from more than one record, or from none."""

_SERIES = re.compile(rb"(?:[^ \\]|\\.)+")
_FIELD = re.compile(rb'(?:^|,)([A-Za-z0-9_]+)=(?:"(?:[^"\\]|\\.)*"|[^,"]*)')


def metric(demo: DemoProcess, name: str) -> float:
    """Return a metric of the service, -1 while it does not answer."""
    found = re.search(rf"^gridfuse_{name} (\S+)$", demo.get("/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else -1.0


@contextmanager
def own_disk(home: Path) -> Iterator[bool]:
    """Give a directory a disk of its own, where that is allowed; says whether it has one."""
    home.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m", "tmpfs", str(home)], check=False, capture_output=True)
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", str(home)], check=False)


@contextmanager
def full(demo: DemoProcess, home: Path, *, own: bool) -> Iterator[None]:
    """Fill the spool's disk, or else let no file of the service grow."""
    if not own:
        demo.grant(_NO_FILE_MAY_GROW)
        yield
        demo.grant(None)
        return
    filler = home / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 20))
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"0" * 512)
    yield
    filler.unlink()


def values(data: Path) -> dict[str, Counter[str]]:
    """Return, by measurement and field, how many values the records on the log come to."""
    settings = read_settings(data / "gridfuse.yaml")
    lines = RecordLines.of(model_of(settings, settings.points.table()))
    found: defaultdict[str, defaultdict[tuple[bytes, bytes], set[bytes]]] = defaultdict(lambda: defaultdict(set))
    with LogReader(data / "log") as log:
        for topic in (topics.KPI, topics.OUTCOMES, topics.DECISIONS, topics.PRICES, topics.ALERTS):
            for record in log.records(topic.name, 0):
                for line in lines.of_record(wire.decode(topic, record.value or b"")).splitlines():
                    series = _SERIES.match(line)
                    assert series is not None, line
                    body, _, time_ns = line[series.end() + 1 :].rpartition(b" ")
                    found[series[0].split(b",")[0].decode()][series[0], time_ns].update(_FIELD.findall(body))
    return {
        name: Counter(field.decode() for fields in each.values() for field in fields)
        for name, each in sorted(found.items())
        if name not in _REMEMBERED
    }


def arrived(server: Influxd, measurement: str) -> Counter[str]:
    """Count the values of a measurement by field, by query."""
    found: Counter[str] = Counter()
    for series in server.query(f'SELECT COUNT(*) FROM "{measurement}"', BUCKET):
        for column, number in zip(series["columns"][1:], series["values"][0][1:], strict=True):
            found[column.removeprefix("count_")] += number or 0
    return found


def caught_up(demo: DemoProcess, within_s: float) -> float:
    """Wait until only what is new waits; returns the seconds it took."""
    began_s = time.monotonic()
    while time.monotonic() < began_s + within_s:
        waits, missing = metric(demo, "spool_waiting_seconds"), metric(demo, "spool_missing_records")
        if 0 <= waits < 3.0 and missing == 0:
            return time.monotonic() - began_s
        time.sleep(0.5)
    raise AssertionError(f"not caught up within {within_s:g} s: {metric(demo, 'spool_waiting_bytes'):,.0f} bytes wait")


def story(server: Influxd, data: Path, options: argparse.Namespace, told: list[tuple[str, str]], *, own: bool) -> None:
    """Live through it; the demo has ended when this returns."""
    far = ("--speed", f"{options.speed:g}", "--until", "2020-12-31T00:00:00+08:00", "--influx", server.url)

    def waited(seconds: float, demo: DemoProcess) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            assert demo.process.poll() is None, demo.told
            time.sleep(0.2)

    with DemoProcess(data, *far) as demo:
        waited(WARM_UP_S, demo)
        server.kill()
        away_s = time.monotonic()
        waited(options.away / 4, demo)
        with full(demo, data / "spool", own=own):
            waited(min(FULL_S, options.away / 8), demo)
            left = metric(demo, "spool_missing_records")
        told.append(("spool's disk full", f"once, a disk of its own: {own}; {left:,.0f} records were left on their topics"))
        waited(options.away / 8, demo)
        demo.kill()
    with DemoProcess(data, *far) as demo:
        waited(max(0.0, away_s + options.away - time.monotonic()), demo)
        waiting = metric(demo, "spool_waiting_bytes")
        told.append(("InfluxDB away", f"{time.monotonic() - away_s:.0f} s; {waiting / 1e6:,.1f} MB waited at its end"))
        for _ in range(2):
            server.start()
            sent = metric(demo, "influx_sent_lines_total")
            while metric(demo, "influx_sent_lines_total") <= sent:
                assert demo.process.poll() is None, demo.told
                time.sleep(0.05)
            server.kill()
        server.start()
        waited(1.0, demo)
        demo.kill()
    with DemoProcess(data, *far) as demo:
        waited(5.0, demo)
        took_s = caught_up(demo, options.away + 120)
        lag_s = metric(demo, "influx_lag_seconds")
        backlog = metric(demo, "influx_backlog_lines_total")
        told.append(("caught up", f"{took_s:.0f} s after the last start, {backlog:,.0f} lines as backlog; what is new waits {lag_s:.2f} s"))
        demo.process.send_signal(signal.SIGINT)
        summary = demo.finish(code=_INTERRUPTED)
    told.append(("samples of the last life", f"{summary['samples']['in']:,}, {summary['samples']['lost']} lost"))


def main() -> None:
    """Run, count, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--away", type=float, default=600.0)
    parser.add_argument("--speed", type=float, default=60.0)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    os.environ["INFLUX_TOKEN"] = "none-asked-for"
    told: list[tuple[str, str]] = []
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as name, influxd((options.data or Path(name)) / "influx") as server:
        data = (options.data or Path(name)) / "demo"
        server.create(BUCKET)
        with own_disk(data / "spool") as own:
            try:
                story(server, data, options, told, own=own)
                drained(data, server)
            except (AssertionError, GridfuseError):
                print(*told, sep="\n")
                raise
            print("the way there:", *[f"  {what:<28} {how}" for what, how in told], sep="\n")
            _, _, expected = misplaced(data)
            found = stored(server)
            wrong = (expected - found).total() + (found - expected).total()
            print(f"  {'values of telemetry':<28} {found.total():,} of {expected.total():,}")
            for measurement, count in values(data).items():
                there = arrived(server, measurement)
                off = (count - there).total() + (there - count).total()
                wrong += off
                print(f"  {'values of ' + measurement:<28} {there.total():,} of {count.total():,}{'   <-- NOT WELL' if off else ''}")
            print(f"  {'took':<28} {time.monotonic() - began_s:.0f} s; load {os.getloadavg()[0]:.1f}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
