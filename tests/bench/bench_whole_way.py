"""What does a value cost on its whole way from a Modbus register to a line that InfluxDB has accepted?

``python -m tests.bench.bench_whole_way [--seconds S] [--stage NAME]`` has one C server (libmodbus) asked for its thousand registers every
100 ms, in 8 reads of 125, and prints microseconds of CPU (user and system, all threads) per value that arrived. Each row is one process
of its own, which does one more thing than the row before:

* **field**: the gateway, from the poll that is due to the checked and accounted frame;
* **topic**: and each frame durable on the embedded log;
* **intake**: and taken in, in the whole service without observers: processors, time, HTTP, and a solver that waits;
* **spool**: and each value a field of a wide line in the spool, and the board: the service without an InfluxDB;
* **whole**: ``gridfuse run`` as people run it, and a real InfluxDB that accepts the lines. Its values are counted by query.

The grid is the smallest there can be (two buses, one unit), its interval the longest, so the market costs next to nothing; the rest of
the service is as shipped. Last the same service with a device that is asked once an hour says what it costs when it has nothing to do.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from console.heap import give_back_freed_memory, spare_what_stays
from console.service import Service
from ingest.clock import WallClock
from ingest.forwarder import Forwarder
from ingest.frame import TelemetryFrame
from ingest.framespool import FrameSpool
from ingest.gateway import Gateway
from ingest.priority import Priorities
from market.units import NS_PER_S
from streams import topics
from streams.settings import Settings, read_settings
from streams.transport.link import Link
from tests.kit.influx import Influxd, influxd
from tests.kit.libmodbus import libmodbus_registers
from tests.kit.ports import free_port

REGISTERS = 1000
POLLS_PER_S = 10
STAGES = ("field", "topic", "intake", "spool", "whole")
BUCKET = "grid"
WARM_S = 6.0

CASE = """function mpc = two
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
1 3 0 0 0 0 1 1 0 220 1 1.1 0.9;
2 1 90 0 0 0 1 1 0 220 1 1.1 0.9;
];
mpc.gen = [
1 0 0 0 0 1 100 1 200 0;
];
mpc.gencost = [
2 0 0 2 20 0;
];
mpc.branch = [
1 2 0.01 0.1 0 250 0 0 0 0 1 -360 360;
];
"""


def settings_file(folder: Path, modbus: int, influx: str, *, every: str, fields: int, gather: str = "250ms") -> Path:
    """Write a service's files: ``fields`` registers to a line."""
    folder.mkdir()
    points = [
        f'      "meter/M{number // fields}/r{number % fields}": {{reg: holding {number}, type: uint16, scale: 0.1, unit: MW}}'
        for number in range(REGISTERS)
    ]
    url = f"modbus+tcp://127.0.0.1:{modbus}"
    device = f'  - {{name: rtu-1, area: "1", url: "{url}", unit: 1, map: plant, vars: {{}}}}'
    head = ["maps:", "  plant:", f"    every: {every}", "    points:"]
    (folder / "points.yaml").write_text("\n".join([*head, *points, "devices:", device, ""]))
    (folder / "two.m").write_text(CASE)
    lines = [
        "data: data",
        "points: points.yaml",
        "network: {matpower: two.m}",
        "day_ahead: none",
        "market: {rt_interval_min: 60, top_voltage_kv: 220}",
        'control: {bias_mw_per_0p1hz: {"1": -1.0}}',
        f"http: {{port: {free_port()}}}",
        f"field_spool: {{gather: {gather}}}",
        "logs: {level: warning}",
    ]
    if influx:
        lines.append(f'influx: {{url: "{influx}", bucket: {BUCKET}}}')
    path = folder / "gridfuse.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


# ── what runs in a process of its own ────────────────────────────────────────────────────────────────────────────────────


async def until_told() -> None:
    """Return at SIGTERM."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    await told.wait()


async def field(settings: Settings) -> int:
    """Read, and forget; returns values."""
    values = 0

    async def emit(frame: TelemetryFrame) -> None:
        nonlocal values
        values += len(frame)

    await reading(settings, emit)
    return values


async def reading(settings: Settings, emit: Callable[[TelemetryFrame], Awaitable[None]]) -> None:
    """Read until told to stop."""
    gateway = Gateway(settings.points, WallClock(), emit, settings.data / "devices")
    await gateway.start()
    spare_what_stays()
    await until_told()
    await gateway.stop()


async def topic(settings: Settings) -> int:
    """Read, and forward onto the embedded log; returns values that are durable."""
    link = Link(settings.data / "log", lambda failure: None)
    link.log.declare(topics.FRAMES.name, partitions=topics.FRAMES.partitions)
    durable = 0

    def landed(count: int, _: asyncio.Future[Any]) -> None:
        nonlocal durable
        durable += count

    async def send(frame: TelemetryFrame, raw: bytes) -> Awaitable[Any]:
        partition = link.partition_for(topics.FRAMES.name, frame.area.encode(), None)
        _, _, ticket = link.log.append(topics.FRAMES.name, partition, frame.area.encode(), raw)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(partial(landed, len(frame)))
        link.resolve(ticket, future, None)
        return future

    forwarder = Forwarder(send, FrameSpool(settings.data / "field-spool", Priorities(())))
    forwarder.start()
    await reading(settings, forwarder.emit)
    await forwarder.stop()
    link.close()
    return durable


async def intake(settings: Settings) -> int:
    """Run the service without observers; returns values taken in."""
    service = Service(settings)
    service.hooks.observers = ()
    await service.start()
    service.start_ticking()
    await until_told()
    await service.stop()
    return int(service.shell.counters["samples intake"])


def child(stage: str, config: Path) -> None:
    """Be one of the stages until told to stop; print how many values came."""
    logging.disable(logging.INFO)
    give_back_freed_memory()
    print(json.dumps({"values": asyncio.run({"field": field, "topic": topic, "intake": intake}[stage](read_settings(config)))}))


# ── who measures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Spent:
    """CPU of a process, s: its own, how much of that the system spent for it, and that of its children."""

    own_s: float
    system_s: float
    children_s: float


def spent(pid: int) -> Spent:
    """Return what the threads of a process have spent so far."""
    own_ns, children_s = 0, 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        own_ns += int((task / "schedstat").read_text().split()[0])
        children_s += sum(spent(int(child)).own_s for child in (task / "children").read_text().split())
    system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[12]
    return Spent(own_ns / NS_PER_S, int(system) / os.sysconf("SC_CLK_TCK"), children_s)


@contextlib.contextmanager
def running(stage: str, config: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a stage in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.bench_whole_way", "--child", stage, "--config", str(config)]
    if stage in ("spool", "whole", "idle"):
        command = [sys.executable, "-m", "console.cli", "run", "--config", str(config)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def until_ready(config: Path, process: subprocess.Popen[str]) -> None:
    """Return once the API says that nothing is missing."""
    port = config.read_text().partition("http: {port: ")[2].partition("}")[0]
    end_s = time.monotonic() + 60.0
    while time.monotonic() < end_s and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=1) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise AssertionError(f"the service is not ready within 60 s, or has ended ({process.poll()})")


def arrived(server: Influxd, from_ns: int, to_ns: int) -> int:
    """Count the field values that the server has of a time."""
    series = server.query(f"SELECT count(*) FROM telemetry WHERE time >= {from_ns} AND time < {to_ns}", BUCKET)
    return sum(int(value or 0) for each in series for value in each["values"][0][1:])


def measure(stage: str, config: Path, seconds: float, server: Influxd) -> tuple[Spent, int]:
    """Run a stage; return what it spent in so many seconds, and how many values came in them."""
    with running(stage, config) as process:
        if stage not in ("field", "topic"):
            until_ready(config, process)
        time.sleep(WARM_S)
        began_ns, before = time.time_ns(), spent(process.pid)
        time.sleep(seconds)
        ended_ns, after = time.time_ns(), spent(process.pid)
        values = 0
        if stage == "whole":
            time.sleep(1.5)  # what was read until then arrives
            values = arrived(server, began_ns, ended_ns)
        elif stage != "idle":
            values = round((ended_ns - began_ns) / NS_PER_S * POLLS_PER_S) * REGISTERS
    took = Spent(after.own_s - before.own_s, after.system_s - before.system_s, after.children_s - before.children_s)
    return took, values


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--stage", choices=[*STAGES, "idle"], action="append")
    parser.add_argument("--fields", type=int, default=125, help="fields of a line")
    parser.add_argument("--gather", default="250ms", help="how long frames wait for each other, as in the settings")
    parser.add_argument("--child")
    parser.add_argument("--config", type=Path)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.config)
        return
    before_us = 0.0
    with tempfile.TemporaryDirectory() as name, libmodbus_registers(Path(name)) as modbus, influxd(Path(name) / "influx") as server:
        server.create(BUCKET)
        for stage in options.stage or [*STAGES, "idle"]:
            every = "1h" if stage == "idle" else f"{1000 // POLLS_PER_S}ms"
            url = server.url if stage in ("whole", "idle") else ""
            config = settings_file(Path(name) / stage, modbus, url, every=every, fields=options.fields, gather=options.gather)
            took, values = measure(stage, config, options.seconds, server)
            load = os.getloadavg()[0]
            share = f"{took.own_s / options.seconds:.2%} of a core ({took.system_s:.2f} s of it system, load {load:.1f})"
            if stage == "idle":
                print(f"{stage:<8}{'':>28}  {share}; its solver {took.children_s:.2f} s", flush=True)
                continue
            due = round(options.seconds * POLLS_PER_S) * REGISTERS
            us = took.own_s / values * 1e6
            counted = f", {values / due:.1%} of {due:,} values accepted" if stage == "whole" else ""
            print(f"{stage:<8}{us:6.2f} us CPU per value ({us - before_us:+.2f})  {share}{counted}", flush=True)
            before_us = us


if __name__ == "__main__":
    main()
