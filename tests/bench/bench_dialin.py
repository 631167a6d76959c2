"""What do thousands of devices cost that dial in: to be let in, to be kept, and for each frame?

``python -m tests.bench.bench_dialin [--devices N] [--seconds S]`` prints, for devices that all dial at once from a process of their own
(:mod:`tests.kit.many_dtus`): how many are let in a second, memory for each connection, and microseconds of our CPU per frame.

* **polled** over RTU and over Modbus/TCP, 125 registers a second each (62 floats and an integer), from due time to emitted frame;
* **pushing** 40 registers a second each, from socket to emitted frame;
* **idle** over TLS: handshakes a second, and memory.

Each is measured in a fresh process. Being let in includes what the first polls cost, of those that are let in first. Only ratios carry
over to another machine; polling the same meters over connections of ours is in :mod:`tests.bench.bench_modbus`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ingest.addresses import Address, Framing, ServerTls
from ingest.clock import WallClock
from ingest.devices import DataType, Device
from ingest.frame import TelemetryFrame
from ingest.gateway import Gateway
from ingest.pointlist import PointList
from market.units import NS_PER_H, NS_PER_S
from tests.bench.bench_modbus import _pid, meter, row
from tests.bench.soak import rss_mb
from tests.kit.certificates import Authority
from tests.kit.dtu import dialled_address
from tests.kit.field import free_port, modbus_device, modbus_point, push_device
from tests.kit.many_dtus import PUSHED_REGISTERS, many_dtus, name_of, raise_limit

REGISTER = r"DTU {id:ascii}\r\n"
WARM_S = 3.0


def polled(number: int, address: Address) -> Device:
    """A meter with 62 floats and a register."""
    return meter(number, address)


def pushing(number: int, port: int) -> Device:
    """A device that writes 20 floats."""
    points = [modbus_point(f"{number}/p{n}", 2 * n, DataType.FLOAT32, period_ns=NS_PER_S) for n in range(PUSHED_REGISTERS // 2)]
    return push_device(port, *points, name=name_of(number), register=REGISTER)


class Cost:
    """What it took to let devices in and to hear of them."""

    def __init__(self) -> None:
        self.frames = 0
        self.per_s = self.let_in_us = self.kib = self.frame_us = self.share = self.bad = 0.0

    async def emit(self, frame: TelemetryFrame) -> None:
        """Take a frame."""
        self.frames += 1


async def measure(devices: Sequence[Device], port: int, kind: str, seconds: float, ca: Path | None = None) -> Cost:
    """Run a gateway, have the devices dial, and measure."""
    cost = Cost()
    gateway = Gateway(PointList(tuple(devices)), WallClock(), cost.emit)
    [listener] = gateway._stations.listeners
    await gateway.start()
    arrived = lambda: sum(station._arrivals for station in listener._stations.values())  # type: ignore[attr-defined]  # noqa: E731
    gc.collect()
    empty_mb = rss_mb(_pid())
    with many_dtus(port, len(devices), kind, ca) as dtus:
        while not arrived():
            await asyncio.sleep(0.01)
            assert dtus.poll() is None, "the devices' process ended"
        first, began_s, cpu_s = arrived(), time.monotonic(), time.process_time()
        while arrived() < len(devices):
            await asyncio.sleep(0.02)
            assert dtus.poll() is None, "the devices' process ended"
            assert time.monotonic() - began_s < 60.0, f"{arrived()} of {len(devices)} were let in; {dict(listener.own.refused)}"
        took_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
        cost.per_s, cost.let_in_us = (len(devices) - first) / took_s, cpu_s / (len(devices) - first) * 1e6
        await asyncio.sleep(WARM_S)
        gc.collect()
        cost.kib = (rss_mb(_pid()) - empty_mb) * 1024 / len(devices)
        gc.freeze()
        cost.frames, bad = 0, sum(health.bad for health in gateway.health())
        began_s, cpu_s = time.monotonic(), time.process_time()
        await asyncio.sleep(seconds)
        took_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
        cost.share, cost.frame_us = cpu_s / took_s, cpu_s / max(1, cost.frames) * 1e6
        cost.bad = sum(health.bad for health in gateway.health()) - bad
        refused = {reason: count for health in gateway.health() for reason, count in health.refused.items()}
        print(f"  {cost.frames:,} frames in {took_s:.1f} s, {cost.bad:.0f} bad samples; refused: {refused or 'nothing'}")
    await gateway.stop()
    gc.unfreeze()
    return cost


def case(kind: str, count: int, seconds: float) -> None:
    """Measure one kind of device and print."""
    logging.disable(logging.WARNING)
    raise_limit()
    port = free_port()
    if kind in ("rtu", "mbap"):
        addresses = [dialled_address(port, Framing(kind), name_of(n), register=REGISTER) for n in range(count)]
        cost = asyncio.run(measure([polled(n, address) for n, address in enumerate(addresses)], port, kind, seconds))
        what = f"{count:,} polled over {kind}"
        row(f"{what}: 125 registers at 1 Hz", f"{cost.frame_us:.1f} us CPU per poll, {cost.share:.2f} of a core")
    elif kind == "push":
        cost = asyncio.run(measure([pushing(n, port) for n in range(count)], port, kind, seconds))
        what = f"{count:,} that push"
        row(f"{what}: {PUSHED_REGISTERS} registers at 1 Hz", f"{cost.frame_us:.1f} us CPU per write, {cost.share:.2f} of a core")
    else:
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority("fleet", Path(folder) / "fleet")
            cert, key = authority.issue("localhost")
            tls = ServerTls(cert=str(cert), key=str(key)) if kind == "tls" else None
            cost = asyncio.run(measure(idle(count, port, tls), port, "mbap", 3.0, authority.pem if tls is not None else None))
        what = f"{count:,} idle {'over TLS' if tls is not None else 'in the clear'}"
        row(f"{what}: CPU", f"{cost.share:.3f} of a core")
    row(f"{what}: let in", f"{cost.per_s:,.0f} a second, {cost.let_in_us:.0f} us CPU each")
    row(f"{what}: memory of a connection", f"{cost.kib:.1f} KiB, what was read first included")


def idle(count: int, port: int, tls: ServerTls | None) -> list[Device]:
    """Devices that are asked once an hour."""
    address = dialled_address(port, Framing.MBAP, register=REGISTER)
    assert address.dial_in is not None
    reception = replace(address.dial_in.reception, tls=tls)
    return [
        modbus_device(
            0,
            modbus_point(f"{n}/p", 0, period_ns=NS_PER_H),
            name=name_of(n),
            address=replace(address, dial_in=replace(address.dial_in, id=name_of(n), reception=reception)),
        )
        for n in range(count)
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", type=int, default=3000)
    parser.add_argument("--seconds", type=float, default=15.0)
    options = parser.parse_args()
    for kind in ("rtu", "mbap", "push", "clear", "tls"):
        each = multiprocessing.get_context("spawn").Process(target=case, args=(kind, options.devices, options.seconds))
        each.start()
        each.join()
        if each.exitcode:
            raise SystemExit(each.exitcode)


if __name__ == "__main__":
    main()
