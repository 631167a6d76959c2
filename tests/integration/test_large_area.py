"""An area whose snapshot and whose state are larger than a record: killed in the midst of them, started again, and replayed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streams import topics, wire
from streams.errors import StoreError
from streams.image import AreaSnapshot
from streams.kpis import KpiFrame
from streams.transport.reader import LogReader
from tests.kit.eventually import eventually
from tests.kit.recorded_day import written_settings

pytestmark = pytest.mark.integration

POINTS = 26_000
MINUTES = 4.0


def recording(data: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.kit.recorded_day", str(data), str(MINUTES)], cwd=Path(__file__).parents[2])


def length(data: Path, topic: str) -> int:
    try:
        with LogReader(data / "log") as log:
            return log.bounds(topic, 0)[1]
    except StoreError:
        return 0


@pytest.mark.slow  # thousands of points through several processes
def test_killed_among_the_parts_of_a_snapshot_everything_comes_out_as_recorded(tmp_path: Path) -> None:
    written_settings(tmp_path, POINTS, filled=("1",))
    for kill in range(4):
        before = length(tmp_path, topics.SNAPSHOTS.name)
        process = recording(tmp_path)
        # By the number of snapshot records, and a little later each time: among parts, among pieces of the state, between the two.
        eventually("it writes", lambda goal=before + 9 + 2 * kill: length(tmp_path, topics.SNAPSHOTS.name) >= goal, 120.0)
        time.sleep(0.004 * kill)
        process.kill()
        process.wait()
    assert recording(tmp_path).wait(300) == 0

    with LogReader(tmp_path / "log") as log:
        snapshots = [wire.decode(topics.SNAPSHOTS, r.value or b"") for r in log.records(topics.SNAPSHOTS.name, 0)]
        figures = [wire.decode(topics.KPI, r.value or b"") for r in log.records(topics.KPI.name, 0)]
        assert log.bounds(topics.DEAD_LETTERS.name, 0) == (0, 0)
    assert {s.parts for s in snapshots if isinstance(s, AreaSnapshot) and s.area == "1"} == {3}
    ticks = [f for f in figures if isinstance(f, KpiFrame)]
    assert len({f.ts_event_ns for f in ticks}) >= 20
    assert all(f.system["telemetry_availability_pct"] > 99.0 for f in ticks)

    command = [sys.executable, "-m", "console.cli", "replay", "--config", str(tmp_path / "gridfuse.yaml"), "--json"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert told["same"] is True
    stages = {stage["name"]: stage for stage in told["stages"]}
    assert stages["intake"]["repeats"] > 0, "no kill found anything half done"
