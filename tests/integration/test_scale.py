"""The larger composition as plain processes: from a device to a line in InfluxDB, and from an order to a decision in PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from ingest.clock import WallClock
from ingest.simulator.faults import Script
from ingest.simulator.field import SimulatedField
from market.rts_gmlc import load
from streams.ledger import Ledger
from streams.outbox import DeliveryState, Outbox
from tests.kit.alertrules import firing
from tests.kit.ports import free_port
from tests.kit.postgres import binaries
from tests.kit.require import require

pytestmark = [pytest.mark.integration, pytest.mark.slow]  # eight processes come up, and ticks are ten seconds apart

ROOT = Path(__file__).resolve().parents[2]
START_S = 200.0


def ask(address: str, path: str, body: Any = None) -> Any:
    """GET, or POST a body; None while there is no answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{address}{path}", data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.loads(answer.read() or b"true")
    except OSError:
        return None


class Influx:
    """The composition's InfluxDB."""

    def __init__(self, address: str) -> None:
        self._address = address

    def query(self, influxql: str, database: str = "grid") -> list[dict[str, Any]]:
        asked = urllib.parse.urlencode({"db": database, "q": influxql})
        (result,) = ask(self._address, f"/query?{asked}")["results"]
        assert "error" not in result, result
        series: list[dict[str, Any]] = result.get("series", [])
        return series

    def counted(self, measurement: str, database: str = "grid") -> int:
        """How many lines there are of a measurement."""
        found = self.query(f'SELECT count(*) FROM "{measurement}"', database)
        return max((value for series in found for row in series["values"] for value in row[1:]), default=0)

    def instances(self) -> set[str]:
        """Which processes have told how they are."""
        return {row[1] for series in self.query('SHOW TAG VALUES FROM "pipeline" WITH KEY = "instance"') for row in series["values"]}


def fires(influx: Influx) -> set[str]:
    """Which of the watchdog's rules, as they are committed, hold now."""
    text = (ROOT / "dashboards/grafana/provisioning/alerting/rules.yaml").read_text(encoding="utf-8")
    (group,) = yaml.safe_load(text)["groups"]
    return {rule["uid"] for rule in group["rules"] if firing(influx, rule, WallClock().now_ns())}


async def settles(what: str, asked: Callable[[], bool], process: subprocess.Popen[str], within_s: float = 90.0) -> None:
    """Return once it is so; the field, which lives on this event loop, goes on answering meanwhile."""
    deadline = time.monotonic() + within_s
    while not await asyncio.to_thread(asked):
        assert process.poll() is None, f"{what}: the composition ended"
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        await asyncio.sleep(0.3)


def told_of(outbox: Outbox, alert_id: str) -> bool:
    """Whether an alert went out by every channel there is."""
    rows = [row for row in outbox.deliveries() if row.alert_id.startswith(alert_id)]
    return bool(rows) and all(row.state is DeliveryState.DELIVERED for row in rows)


def begun(home: Path, points: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "scripts/scale.py", "--home", str(home), "--points", str(points), "--json"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def gone(pid: int) -> bool:
    """Whether a process has ended; one that ended and that nobody has asked about yet counts."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_the_composition_carries_values_to_influxdb_and_orders_to_the_ledger(tmp_path: Path) -> None:
    require("kafka", "scripts/servers.sh kafka", found=any((ROOT / ".servers/kafka").glob("libs-*/.complete")))
    require("java", "apt-get install -y openjdk-17-jre-headless")
    require("influxd", "scripts/servers.sh influxdb", found=os.access(ROOT / ".servers/bin/influxd", os.X_OK))
    require("postgresql", "apt-get install -y postgresql", found=binaries() is not None)
    require("prometheus-alertmanager", "apt-get install -y prometheus-alertmanager")

    # Not below pytest's directory: PostgreSQL's user must get through to its data.
    home = Path(tempfile.mkdtemp(prefix="gridfuse-scale-"))
    home.chmod(0o755)

    async def story() -> dict[str, Any]:
        field = SimulatedField(
            load(), WallClock(), seed=1, script=Script(), push_target=("127.0.0.1", free_port()), data_dir=tmp_path / "field"
        )
        await field.start()
        with begun(home, field.point_list) as process:
            try:
                assert process.stdout is not None
                async with asyncio.timeout(START_S):
                    line = await asyncio.to_thread(process.stdout.readline)
                assert line, process.communicate()[1]
                told: dict[str, Any] = json.loads(line)
                at = told["addresses"]
                assert set(at) == {"influxdb", "kafka", "postgres", "alertmanager", "ingest", "streams-1", "streams-2", "api"}
                assert told["left_out"].keys() == {"grafana"}

                # A register became a line, raw in the bucket of its own and as a key figure in the other.
                influx = Influx(at["influxdb"])
                await settles("key figures are in InfluxDB", lambda: influx.counted("kpi") > 0, process)
                await settles("telemetry is in InfluxDB", lambda: influx.counted("telemetry", "grid_raw") > 0, process)
                await settles("market views are in InfluxDB", lambda: influx.counted("market") > 0, process)

                # Every process tells how it is, and the watchdog is content, but for clearing, which has only just begun.
                names = {"reader", "worker-1", "worker-2", "people"}
                await settles("all four tell how they are", lambda: influx.instances() == names, process)
                assert fires(influx) <= {"gridfuse-no-clearing"}

                # An order became a decision, in the database that the composition makes, under the password of its secret.
                order = {"command_id": "t-1", "by": "chen", "role": "DISPATCH", "action": "PROPOSE", "args": {"reason": "a drill"}}
                assert ask(at["api"], "/api/commands", order) == {"command_id": "t-1"}
                password = (home / "secrets" / "postgres_password").read_text()
                host, port = at["postgres"].split(":")
                ledger = Ledger.to_read(sa.URL.create("postgresql+psycopg", "gridfuse", password, host, int(port), "gridfuse"))
                await settles("the order is in the ledger", lambda: any("t-1" in str(each.body) for each in ledger.decisions()), process)
                assert ledger.broken_at() is None

                # What Grafana's rules find is told by the service's own channels; its outbox is in the same database.
                found = {"status": "firing", "fingerprint": "f", "startsAt": "2026-06-10T12:00:00Z", "labels": {"rule_uid": "a-drill"}}
                assert ask(at["api"], "/api/watchdog", {"alerts": [found]}) == {"taken": 1}
                outbox = Outbox(ledger.engine)
                await settles("it is delivered", lambda: told_of(outbox, "watchdog/a-drill"), process)
                ledger.close()

                # An alert as Grafana sends it gets through Alertmanager's file.
                alert = [{"labels": {"alertname": "a drill", "severity": "P1"}}]
                assert ask(at["alertmanager"], "/api/v2/alerts", alert) is True
                (kept,) = ask(at["alertmanager"], "/api/v2/alerts")
                assert [receiver["name"] for receiver in kept["receivers"]] == ["on-call"]
                return told
            finally:
                process.terminate()
                # What it says at the end is for whoever reads a failure.
                said = await asyncio.to_thread(process.communicate)
                sys.stderr.write(said[1])
                await field.stop()

    try:
        told = asyncio.run(story())
        assert [name for name, pid in told["pids"].items() if not gone(pid)] == [], "nothing is left behind"
    finally:
        shutil.rmtree(home, ignore_errors=True)
