"""How long does a recorded market day take to be computed again?

    python -m tests.bench.bench_replay [--hours H] [--data DIR]

The day is recorded first: 5,000 points every 4 seconds on the shipped grid, ticks every 10 seconds, 288 intervals, by the real processors
on an embedded log (:mod:`tests.kit.recorded_day`). It takes minutes and about 5 GB of disk; ``--data`` keeps it, or uses one that is
there. What is measured then is the command a user gives, ``gridfuse replay``, as a process of its own from start to end, with
everything compared. The named reference is the recording itself: the same processors on the same inputs in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.kit.recorded_day import DayRun, written_settings

POINTS = 5_000
_CHECKOUT = Path(__file__).parents[2]


async def recorded(data: Path, hours: float) -> float:
    """Record; returns the seconds it took."""
    began_s = time.monotonic()
    run = DayRun(written_settings(data, POINTS))
    async with run:
        await run.until(hours * 60)
    took_s = time.monotonic() - began_s
    size = (data / "log" / "log.sqlite3").stat().st_size
    counters = run.shell.counters
    print(
        f"recorded {hours:g} h: {run.samples / 1e6:.1f} M samples, {counters['taken grid']:,} records taken by the grid, "
        f"{len(run.seen.outcomes)} intervals, {size / 1e9:.2f} GB, {took_s:.0f} s"
    )
    assert not run.seen.letters, run.seen.letters[0]
    return took_s


def replayed(data: Path) -> tuple[float, float]:
    """Replay in a process of its own; returns its wall and CPU seconds."""
    command = [sys.executable, "-m", "console.cli", "replay", "--config", str(data / "gridfuse.yaml"), "--json"]
    before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, cwd=_CHECKOUT, check=False, capture_output=True, text=True)
    wall_s, after = time.monotonic() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["same"]
    for stage in told["stages"]:
        print(f"  {stage['name']:9} {stage['taken']:>9,} records taken, {stage['same']:>8,} came out as recorded")
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Record and replay."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        data = options.data or Path(name)
        recording_s = 0.0 if (data / "log").exists() else asyncio.run(recorded(data, options.hours))
        wall_s, cpu_s = replayed(data)
        ratio = f", {recording_s / wall_s:.1f} x as fast as it was recorded" if recording_s else ""
        print(f"replay of {options.hours:g} h, {POINTS:,} points every 4 s   {wall_s:.1f} s ({cpu_s:.1f} s of CPU){ratio}")


if __name__ == "__main__":
    main()
