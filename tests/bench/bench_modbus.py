"""What does polling cost, and does it keep its time: ours, and pymodbus's client, against the same servers, in the same run.

``python -m tests.bench.bench_modbus [--links N] [--seconds S]`` prints microseconds of this process's CPU per poll of 125 registers (62
floats and an integer) and the ratios; only those carry over to another machine.

* **One link, as fast as it goes**, against libmodbus's C server: ``exchange`` is request and reply, judged against each other.
* **1,000 links at 1 Hz**, against libmodbus's C server: the whole gateway, from due time to emitted frame with 63 decoded samples;
  pymodbus's client does the read only, and then the read and its conversion to floats.
* **10,000 links at 1 Hz**, against a plain server of ours (:mod:`tests.kit.many_meters`): libmodbus's takes a thousand clients. On time
  is a poll that was emitted within the second in which it was due. Then the same with the frames forwarded onto an embedded log, bundled by
  area; the time is that until they are durable.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import resource
import tempfile
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
from pymodbus.client import AsyncModbusTcpClient

from console.heap import spare_what_stays
from ingest.addresses import Address
from ingest.bundle import decode_telemetry, frames_of
from ingest.clock import WallClock
from ingest.devices import DataType, Kind, ModbusDevice
from ingest.forwarder import Forwarder
from ingest.frame import TelemetryFrame
from ingest.framespool import FrameSpool
from ingest.gateway import Gateway
from ingest.modbus.frames import read_request
from ingest.modbus.link import ModbusLink
from ingest.pointlist import PointList
from ingest.priority import Priorities
from ingest.source import Source
from ingest.turns import Turns
from market.units import NS_PER_MS, NS_PER_S
from streams import topics
from streams.transport.link import Link
from tests.bench.soak import rss_mb
from tests.kit.field import modbus_device, modbus_point
from tests.kit.libmodbus import libmodbus_server
from tests.kit.many_meters import address_of, many_meters

EXCHANGES = 3000
ROUNDS = 5
C_LINKS = 1000
WARM_S = 4.0


def meter(number: int, address: Address) -> ModbusDevice:
    """A meter with 62 floats and a register, read once a second."""
    floats = [modbus_point(f"{number}/p{n}", 2 * n, DataType.FLOAT32, scale=0.1, period_ns=NS_PER_S) for n in range(62)]
    return modbus_device(0, *floats, modbus_point(f"{number}/n", 124, period_ns=NS_PER_S), name=f"meter-{number}", address=address)


async def alone(port: int) -> dict[str, float]:
    """Return microseconds of CPU per exchange on one link."""
    turns = Turns(WallClock())
    turns.start()
    source = Source("meter", "1", WallClock(), lambda frame: None)
    link = ModbusLink(Address(host="127.0.0.1", port=port), turns)
    request = read_request(1, Kind.HOLDING, 0, 125)
    client = AsyncModbusTcpClient("127.0.0.1", port=port, retries=0)
    assert await client.connect()

    async def ours() -> None:
        assert len(await link.exchange(request, source, 1.0)) == 250

    async def theirs() -> None:
        assert len((await client.read_holding_registers(0, count=125)).registers) == 125

    rounds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        for name, way in (("ours", ours), ("theirs", theirs)):
            began_s = time.process_time()
            for _ in range(EXCHANGES):
                await way()
            rounds[name].append((time.process_time() - began_s) / EXCHANGES * 1e6)
    link.close()
    client.close()
    turns.stop()
    return {name: median(each) for name, each in rounds.items()}


class Polled:
    """What a gateway's polls cost, and when their frames came; noting it is to take little of either time or memory."""

    def __init__(self) -> None:
        self.frames = self.samples = 0
        self.waits_ns = array("q")
        self.due_ns: dict[str, int] = {}
        self.cpu_us = self.share = self.kib = self.on_time = 0.0

    async def emit(self, frame: TelemetryFrame) -> None:
        """Take a frame, and note how long after it was due."""
        self.frames += 1
        self.samples += len(frame)
        self.waits_ns.append((time.time_ns() - self.due_ns[frame.source]) % NS_PER_S)


class Published(Polled):
    """Likewise, when they were durable on a topic of the embedded log; of every tenth record."""

    def __init__(self, link: Link, spool: Path) -> None:
        super().__init__()
        self.records = self.bytes = 0
        self._link = link
        self._topic = topics.FRAMES
        link.log.declare(self._topic.name, partitions=self._topic.partitions)
        self.forwarder = Forwarder(self._send, FrameSpool(spool, Priorities(())))

    async def emit(self, frame: TelemetryFrame) -> None:
        """Take a frame, and have it forwarded."""
        self.frames += 1
        self.samples += len(frame)
        await self.forwarder.emit(frame)

    async def _send(self, frame: TelemetryFrame, raw: bytes) -> asyncio.Future[None]:
        await self._link.ebb()
        key, self.records, self.bytes = frame.area.encode(), self.records + 1, self.bytes + len(raw)
        ticket = self._link.log.append(self._topic.name, self._link.partition_for(self._topic.name, key, None), key, raw).ticket
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.records % 10 == 0:
            future.add_done_callback(lambda _: self._note(raw))
        self._link.resolve(ticket, future, None)
        return future

    def _note(self, raw: bytes) -> None:
        now_ns = time.time_ns()
        # The gateway's own accounts are due at no time.
        for frame in (frame for frame in frames_of(decode_telemetry(raw)) if frame.source in self.due_ns):
            self.waits_ns.append((now_ns - self.due_ns[frame.source]) % NS_PER_S)


async def published(devices: list[ModbusDevice], seconds: float) -> Published:
    """Run a gateway over these devices, and a forwarder onto an embedded log."""
    with tempfile.TemporaryDirectory() as folder:
        link = Link(Path(folder) / "log", print)
        out = Published(link, Path(folder) / "spool")
        out.forwarder.start()
        await gateway(devices, seconds, out)
        await out.forwarder.stop()
        link.close()
    return out


async def gateway(devices: list[ModbusDevice], seconds: float, given: Polled | None = None) -> Polled:
    """Run a gateway over these devices and measure once all answer."""
    out = given or Polled()
    empty_mb = rss_mb(_pid())
    it = Gateway(PointList(tuple(devices)), WallClock(), out.emit)
    out.due_ns = dict.fromkeys((device.name for device in devices), 0)
    built_mb = rss_mb(_pid())
    await it.start()
    # A poll is due at a phase of the second that its name says.
    for poller in it._pollers.values():
        out.due_ns[poller._device.name] = poller._plan.groups[0].due_ns
    deadline_s = time.monotonic() + 60.0
    while sum(bool(health.good) for health in it.health()) < len(devices) and time.monotonic() < deadline_s:
        await asyncio.sleep(2.0)
    spare_what_stays()
    await asyncio.sleep(WARM_S)
    out.frames = out.samples = 0
    del out.waits_ns[:]
    skipped = sum(health.skipped for health in it.health())
    began_s, cpu_s = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    took_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
    bad = sum(health.bad for health in it.health())
    missed = sum(health.skipped for health in it.health()) - skipped
    out.share, out.cpu_us = cpu_s / took_s, cpu_s / max(out.frames, 1) * 1e6
    due = len(devices) * took_s
    out.on_time = min(out.frames, due) / due
    out.kib = (rss_mb(_pid()) - built_mb) * 1024 / len(devices)
    print(f"  {out.frames:,} polls in {took_s:.1f} s, {missed} skipped, {bad} bad samples; decoders {built_mb - empty_mb:.0f} MB")
    await it.stop()
    gc.unfreeze()
    return out


async def pymodbus_clients(addresses: list[tuple[str, int]], seconds: float, *, floats: bool) -> float:
    """Return microseconds of CPU per poll of pymodbus clients, each polling once a second in a task of its own."""
    clients = [AsyncModbusTcpClient(host, port=port, retries=0, timeout=1) for host, port in addresses]
    for client in clients:
        for _ in range(20):  # a server with a backlog of five does not take every one at once
            if await client.connect():
                break
            await asyncio.sleep(0.1)
    polls = 0
    ends = False

    async def poll(number: int, client: AsyncModbusTcpClient) -> None:
        nonlocal polls
        loop = asyncio.get_running_loop()
        due_s = loop.time() + number / len(clients)
        while not ends:
            await asyncio.sleep(due_s - loop.time())
            registers = (await client.read_holding_registers(0, count=125)).registers
            if floats:
                client.convert_from_registers(registers[:124], client.DATATYPE.FLOAT32)
            polls += 1
            due_s = max(due_s + 1.0, loop.time() - 1.0)

    tasks = [asyncio.create_task(poll(number, client)) for number, client in enumerate(clients)]
    await asyncio.sleep(WARM_S)
    polls, cpu_s = 0, time.process_time()
    await asyncio.sleep(seconds)
    cpu_us = (time.process_time() - cpu_s) / polls * 1e6
    print(f"  {polls:,} polls in {seconds:.0f} s")
    ends = True  # a task that is cancelled in a read may go on: pymodbus takes that for a failed try
    await asyncio.wait(tasks, timeout=3.0)
    for client in clients:
        client.close()
    return cpu_us


def _pid() -> int:
    return int(Path("/proc/self").resolve().name)


def row(what: str, how_much: str) -> None:
    """Print one line of the table."""
    print(f"{what:<58} {how_much}")


@contextlib.contextmanager
def c_server() -> Iterator[int]:
    """Run libmodbus's server, a fresh one for each measurement: it does not survive a thousand goodbyes."""
    with tempfile.TemporaryDirectory() as folder, libmodbus_server("bandwidth-server-many-up", Path(folder)) as (port, _):
        yield port


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--links", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=15.0)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with c_server() as port:
        one = asyncio.run(alone(port))
    row("one link, as fast as it goes: ours", f"{one['ours']:.1f} us CPU per exchange")
    row("one link, as fast as it goes: pymodbus", f"{one['theirs']:.1f} us; ours / theirs {one['ours'] / one['theirs']:.2f}")
    numbers = range(C_LINKS)
    with c_server() as port:
        ours = asyncio.run(gateway([meter(n, Address(host=address_of(n), port=port)) for n in numbers], options.seconds))
    row(f"{C_LINKS:,} links at 1 Hz: ours, due time to emitted frame", f"{ours.cpu_us:.1f} us CPU per poll")
    for what, floats in (("pymodbus, the read only", False), ("pymodbus, read and floats", True)):
        with c_server() as port:
            theirs_us = asyncio.run(pymodbus_clients([(address_of(n), port) for n in numbers], options.seconds, floats=floats))
        row(f"{C_LINKS:,} links at 1 Hz: {what}", f"{theirs_us:.1f} us; ours / theirs {ours.cpu_us / theirs_us:.2f}")
    with many_meters() as port:
        devices = [meter(n, Address(host=address_of(n), port=port)) for n in range(options.links)]
        many = asyncio.run(gateway(devices, options.seconds))
    waits_ms = np.array(many.waits_ns) / NS_PER_MS
    row(f"{options.links:,} links at 1 Hz: polls made in their second", f"{many.on_time:.2%}")
    row(
        f"{options.links:,} links at 1 Hz: CPU",
        f"{many.share:.2f} of a core, {many.cpu_us:.1f} us per poll",
    )
    p50, p99 = np.percentile(waits_ms, [50, 99])
    row(f"{options.links:,} links at 1 Hz: due time to emitted frame", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {waits_ms.max():.0f} ms")
    row(f"{options.links:,} links at 1 Hz: memory of connections", f"{many.kib:.1f} KiB per link")
    with many_meters() as port:
        devices = [meter(n, Address(host=address_of(n), port=port)) for n in range(options.links)]
        durable = asyncio.run(published(devices, options.seconds))
    p50, p99 = np.percentile(np.array(durable.waits_ns) / NS_PER_MS, [50, 99])
    row(f"{options.links:,} links at 1 Hz: on the embedded log", f"{durable.on_time:.2%} in their second, {durable.share:.2f} of a core")
    row(f"{options.links:,} links at 1 Hz: due time to durable", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms")


if __name__ == "__main__":
    main()
