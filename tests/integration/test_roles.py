"""The service in processes of their own, on a real broker and against a real field: ``gridfuse run --role``."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ingest.clock import WallClock
from ingest.simulator.faults import Script
from ingest.simulator.field import SimulatedField
from market.rts_gmlc import load
from streams.ledger import Ledger
from tests.kit.field import free_port
from tests.kit.kafka import broker

pytestmark = [pytest.mark.integration, pytest.mark.slow]  # real time: an interval is a minute

ROOT = Path(__file__).parents[2]
BREAKER = 'gridfuse_processor_records_total{processor="breaker"}'
SETTINGS = """
data: {data}
points: {points}
network: {{rts_gmlc: shipped}}
broker: "kafka://{broker}"
market: {{rt_interval_min: 1, gate_lead_s: 20, top_voltage_kv: 230}}
setpoints: true
tick: 2s
http: {{port: {port}}}
"""


class Process:
    """One process of the service."""

    def __init__(self, home: Path, points: Path, address: str, role: str, instance: str) -> None:
        self.data = home / instance
        self.data.mkdir()
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        config = self.data / "gridfuse.yaml"
        config.write_text(SETTINGS.format(data=self.data / "data", points=points, broker=address, port=port))
        self.log = self.data / "log.txt"
        command = [sys.executable, "-m", "console.cli", "run", "--config", str(config), "--role", role, "--instance", instance]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """GET, or POST a body; None while there is no answer, or a refusal."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:
                return json.load(reply)
        except (urllib.error.URLError, OSError):
            return None

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        return self.ask("/ready") is not None

    def metric(self, name: str) -> float:
        """The sum over a metric's samples; 0 while it is not there."""
        try:
            with urllib.request.urlopen(self._url + "/metrics", timeout=5) as reply:
                lines = reply.read().decode().splitlines()
        except (urllib.error.URLError, OSError):
            return 0.0
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(30)


async def settles(what: str, asked: Callable[[], bool], within_s: float = 120.0) -> None:
    """Return once the processes say so; the field, which lives on this event loop, goes on answering while they are asked."""
    deadline = time.monotonic() + within_s
    while not await asyncio.to_thread(asked):
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        await asyncio.sleep(0.2)


@contextmanager
def process(*told: Any) -> Iterator[Process]:
    one = Process(*told)
    try:
        yield one
    except BaseException as exc:
        exc.add_note(f"== {one.data.name}\n{one.log.read_text()[-3000:]}")
        raise
    finally:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def test_a_service_in_five_processes_goes_on_when_the_one_that_decides_is_killed(tmp_path: Path) -> None:
    async def story(address: str, stack: ExitStack) -> None:
        field = SimulatedField(
            load(), WallClock(), seed=1, script=Script(), push_target=("127.0.0.1", free_port()), data_dir=tmp_path / "field"
        )
        await field.start()
        try:
            before = {name: mw for name, mw in field.truth().items() if name.endswith("/setpoint_mw")}

            def started(role: str, instance: str) -> Process:
                return stack.enter_context(process(tmp_path, field.point_list, address, role, instance))

            crew = {name: started("streams", name) for name in ("worker-1", "worker-2")}
            api, ingest = started("api", "people"), started("ingest", "reader")
            everybody = (*crew.values(), api, ingest)
            await settles("everybody is ready", lambda: all(one.ready() for one in everybody))

            async def told_after(ts_ns: int) -> int:
                """The board shows the load, and the market at an instant after ``ts_ns``."""
                seen: dict[str, int] = {}

                def shown() -> bool:
                    kpi = (api.ask("/api/state") or {}).get("kpi") or {"system": {}}
                    seen["ts"] = (api.ask("/api/breaker") or {}).get("ts_event_ns", 0)
                    return seen["ts"] > ts_ns and "load_mw" in kpi["system"]

                await settles("the board", shown)
                return seen["ts"]

            reached_ns = await told_after(0)
            # Both take in telemetry; the one whose breaker hears of a tick decides. Which of them that is may have changed as they came.
            heard = {one: one.metric(BREAKER) for one in crew.values()}
            deciding: list[Process] = []

            def decides() -> bool:
                look = {one: one.metric(BREAKER) for one in heard}
                deciding[:] = [one for one in heard if look[one] > heard[one]]
                heard.update(look)
                return len(deciding) == 1

            await settles("a tick reaches the breaker", decides)
            (leader,) = deciding
            leader.process.kill()
            killed_ns = WallClock().now_ns()
            assert reached_ns < killed_ns
            await told_after(killed_ns + 5 * 10**9)
            order = {"command_id": "t-1", "by": "chen", "role": "DISPATCH", "action": "PROPOSE", "args": {"reason": "a drill"}}
            assert api.ask("/api/commands", order) == {"command_id": "t-1"}

            def moved() -> bool:
                truth = field.truth()
                return any(abs(truth[name] - mw) > 0.1 for name, mw in before.items())

            async with asyncio.timeout(300):  # until base points are written into the field
                while not moved():
                    await asyncio.sleep(0.5)
            # Answering the order and writing base points are two ways out of the workers: neither waits for the other.
            ledger = Ledger(f"sqlite:///{api.data / 'data' / 'ledger.sqlite'}")
            await settles("the order is in the ledger of the process that keeps it", lambda: any(ledger.decisions()))
            for one in everybody:
                if one is not leader:
                    assert one.stop() == 0, one.log.read_text()[-3000:]
        finally:
            await field.stop()

    with broker(tmp_path / "broker") as server, ExitStack() as stack:
        asyncio.run(story(server.address, stack))


def test_roles_that_share_no_broker_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "points.yaml").write_text((ROOT / "docker" / "points.yaml").read_text())
    config = tmp_path / "gridfuse.yaml"
    config.write_text("data: data\npoints: points.yaml\nnetwork: {rts_gmlc: shipped}\n")
    command = [sys.executable, "-m", "console.cli", "run", "--config", str(config), "--role", "streams"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert "kafka://" in done.stdout + done.stderr
