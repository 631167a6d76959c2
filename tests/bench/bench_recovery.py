"""How long is the service away when it is started on a long log?

    python -m tests.bench.bench_recovery [--records N]

The log holds a million records of every topic and changelog, in the proportions in which the real processors write them: those of a
twenty-minute run, again and again, and then the run itself; its states are what is recovered. What is measured is a process of its own,
from its start: stores opened and what the board shows read back, tables recovered, the first event processed. The named reference is the
same start on the run alone, a few thousand records: the difference is what the length of a log costs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from console.service import Service
from market.facts import Ticked
from market.units import NS_PER_MIN
from streams.settings import read_settings
from streams.transport.log import Log
from streams.transport.reader import LogReader
from streams.transport.records import Record
from tests.kit.recorded_day import START_NS, DayRun, written_settings

ROUNDS = 3
POINTS, MINUTES = 1_000, 20
_CHECKOUT = Path(__file__).parents[2]
_BACKLOG_BYTES = 64 << 20
_Places = dict[tuple[str, int], list[Record]]


async def _run(data: Path) -> None:
    async with DayRun(written_settings(data, POINTS)) as run:
        await run.until(MINUTES)


def lengthen(short: Path, long: Path, records: int) -> int:
    """Write what the short log holds into a new one, again and again; returns how many records were written."""
    written_settings(long, POINTS)
    with LogReader(short / "log") as log:
        declared = log.topics()
        places: _Places = {
            (name, number): list(log.records(name, number)) for name, topic in declared.items() for number in range(topic.partitions)
        }
        committed = log.committed("gridfuse")
    made = Log(long / "log")
    for name, topic in declared.items():
        made.declare(name, partitions=topic.partitions, retention_ms=topic.retention_ms, compacted=topic.compacted)
    each, count = sum(len(found) for found in places.values()), 0
    while count < records:
        for (name, number), found in places.items():
            for record in found:
                ticket = made.append(name, number, record.key, record.value, record.headers).ticket
            if made.backlog_bytes > _BACKLOG_BYTES:
                made.wait(ticket)
        count += each
    made.commit("gridfuse", {place: made._partition(*place).next_offset for place in committed})
    made.close()
    return count


def prepare(root: Path, records: int) -> tuple[Path, Path]:
    """Return the directories of the short and of the long log."""
    short, long = root / "short", root / "long"
    asyncio.run(_run(short))
    began_s = time.monotonic()
    count = lengthen(short, long, records)
    size_gb = (long / "log" / "log.sqlite3").stat().st_size / 1e9
    print(f"{count:,} records written in {time.monotonic() - began_s:.0f} s, the file has {size_gb:.2f} GB")
    return short, long


async def _start(data: Path, began_s: float) -> dict[str, float]:
    """Start the service and have it process one event; returns seconds since the process began."""
    imported_s = time.time()
    service = Service(read_settings(data / "gridfuse.yaml"))
    built_s = time.time()
    await service.start()
    ready_s = time.time()
    before = service.shell.counters["taken breaker"]
    await service.shell.emit([Ticked(ts_event_ns=START_NS + (MINUTES + 1) * NS_PER_MIN)])
    while service.shell.counters["taken breaker"] == before:
        await asyncio.sleep(0.001)
    first_s = time.time()
    stamps = {"imported": imported_s, "built": built_s, "ready": ready_s, "first event": first_s}
    await service.stop()
    return {name: at_s - began_s for name, at_s in stamps.items()}


def started(data: Path, work: Path) -> dict[str, float]:
    """Start it in a process of its own, on a copy of the data."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(data, work)
    command = [sys.executable, "-m", "tests.bench.bench_recovery", "--start", str(work), "--began", repr(time.time())]
    done = subprocess.run(command, cwd=_CHECKOUT, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout[done.stdout.index("{") : done.stdout.rindex("}") + 1])
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--began", type=float, default=0.0)
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    if options.start is not None:
        print(json.dumps(asyncio.run(_start(options.start, options.began))))
        return
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        logs = dict(zip(("short", "long"), prepare(root, options.records), strict=True))
        best: dict[str, dict[str, float]] = {}
        for _ in range(ROUNDS):
            for which, data in logs.items():
                found = started(data, root / "work")
                if which not in best or found["first event"] < best[which]["first event"]:
                    best[which] = found
        for which, found in best.items():
            told = "   ".join(f"{what} {at_s:.2f} s" for what, at_s in found.items())
            print(f"{which:5} log, since the process began   {told}")
        print(f"a million records more cost {best['long']['first event'] - best['short']['first event']:.2f} s, "
              f"{best['long']['first event'] / best['short']['first event']:.2f} x the start on the short log")  # fmt: skip


if __name__ == "__main__":
    main()
