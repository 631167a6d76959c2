"""A running service and an edited point list: ``gridfuse run``, SIGHUP, the watched file and ``gridfuse ingest reload``."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.kit.eventually import eventually_async
from tests.kit.field import free_port
from tests.kit.modbus_slave import slave

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
SETTINGS = """
data: data
points: points.yaml
watch_points: {watch}
network: {{rts_gmlc: shipped}}
tick: 1s
http: {{port: {port}}}
"""


class Running:
    """A service in a process of its own, and its point list."""

    def __init__(self, home: Path, watch: bool) -> None:
        self.home = home
        self.port = free_port()
        (home / "gridfuse.yaml").write_text(SETTINGS.format(port=self.port, watch=str(watch).lower()))
        self.log = home / "log.txt"

    def write(self, *devices: tuple[str, int, str]) -> None:
        """Write the list: name and port of devices, and the address of the register each point has, by name."""
        maps = "".join(f"  {name}:\n    every: 200ms\n    points:\n{points}" for name, _, points in devices)
        listed = "".join(f'  - {{name: {name}, area: 1, url: "modbus+tcp://127.0.0.1:{port}", map: {name}}}\n' for name, port, _ in devices)
        (self.home / "points.yaml").write_text(f"maps:\n{maps}devices:\n{listed}")

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "console.cli", "run", "--config", str(self.home / "gridfuse.yaml")]
        with self.log.open("wb") as out:
            return subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as reply:
            raw: bytes = reply.read()
            return raw

    def ready(self) -> bool:
        try:
            return json.loads(self._get("/ready"))["status"] == "ready"
        except OSError:
            return False

    def metric(self, name: str, **labels: str) -> float:
        total = 0.0
        for family in text_string_to_metric_families(self._get("/metrics").decode()):
            for sample in family.samples:
                if sample.name == f"gridfuse_{name}" and labels.items() <= sample.labels.items():
                    total += sample.value
        return total

    def source(self, name: str) -> dict[str, Any] | None:
        """What the board shows of a device."""
        kpi = json.loads(self._get("/api/state")).get("kpi") or {"sources": []}
        return next((source for source in kpi["sources"] if source["source"] == name), None)

    def reload(self) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "console.cli", "ingest", "reload", "--url", f"http://127.0.0.1:{self.port}"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def running(home: Path, *devices: tuple[str, int, str], watch: bool = False) -> Iterator[tuple[Running, subprocess.Popen[bytes]]]:
    it = Running(home, watch)
    it.write(*devices)
    process = it.start()
    try:
        yield it, process
        assert process.poll() is None
        process.terminate()
        assert process.wait(30) == 0
    except BaseException as exc:
        exc.add_note(it.log.read_text()[-3000:])
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def point(name: str, address: int) -> str:
    return f"      {name}: {{reg: holding {address}}}\n"


def test_a_service_goes_on_with_an_edited_list_from_the_registers_to_the_board(tmp_path: Path) -> None:
    async def main() -> None:
        async with slave() as one, slave() as other:
            a = ("a", one.port, point("bus/101/kv", 1))
            b, c = ("b", other.port, point("bus/102/kv", 2)), ("b", other.port, point("bus/102/kv", 2) + point("bus/103/kv", 3))
            with running(tmp_path, a) as (service, process):
                await eventually_async("it is ready", service.ready, 60)
                service.write(a, b)
                done = await asyncio.to_thread(service.reload)
                assert (done.returncode, done.stdout) == (0, "applied; devices: 0 changed, 1 added, 0 removed, 1 kept\n"), done.stderr
                # The new device is known everywhere: nothing of it is a dead letter, and the board shows it.
                await eventually_async("b is on the board", lambda: (service.source("b") or {}).get("good") == 1, 60)
                service.write(a, c)
                process.send_signal(signal.SIGHUP)
                await eventually_async("b has both points", lambda: (service.source("b") or {}).get("good") == 2, 60)
                assert service.source("a") is not None
                service.write(a)
                assert (await asyncio.to_thread(service.reload)).returncode == 0
                await eventually_async("b is no longer on the board", lambda: service.source("b") is None, 60)
                assert service.metric("dead_letters_total") == 0
                assert service.metric("device_reconnects_total", device="a") == 0
                assert one.connections == 1
                assert service.metric("point_list_reloads_total", outcome="applied") == 3
                assert [service.metric("point_list_devices_total", change=change) for change in ("changed", "added", "removed")] == [
                    1,
                    1,
                    1,
                ]
                assert service.metric("account_samples_total", outcome="lost") == 0

    asyncio.run(main())


def test_a_list_that_cannot_be_taken_over_is_refused_and_the_service_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with slave() as one:
            a = ("a", one.port, point("bus/101/kv", 1))
            with running(tmp_path, a, watch=True) as (service, _):
                await eventually_async("it is ready", service.ready, 60)
                text = (tmp_path / "points.yaml").read_text()
                (tmp_path / "points.yaml").write_text(text.replace("holding 1", "holding 70000").replace("map: a", "map: b"))
                done = await asyncio.to_thread(service.reload)
                assert done.returncode == 1
                places = [line.partition(": ")[0].rpartition("/")[2] for line in done.stderr.splitlines()]
                assert places[:2] == ["points.yaml:5", "points.yaml:7"]
                assert service.metric("point_list_refused") == 1
                # An area is for the life of a process.
                (tmp_path / "points.yaml").write_text(text.replace("area: 1", "area: 2"))
                done = await asyncio.to_thread(service.reload)
                assert done.returncode == 1
                assert "area 2 is new" in done.stderr
                assert "area 1 has no device any more" in done.stderr
                asked = len(one.asked)
                await eventually_async("it reads on", lambda: len(one.asked) > asked + 3, 60)
                assert (one.connections, service.ready()) == (1, True)
                # Put right, it is found without anybody asking.
                (tmp_path / "points.yaml").write_text(text + "\n")
                await eventually_async("the file is looked at", lambda: service.metric("point_list_refused") == 0, 60)
                assert service.metric("point_list_reloads_total", outcome="unchanged") == 1

    asyncio.run(main())
