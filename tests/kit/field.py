"""Points, devices, a running gateway and a place to collect what it says, for tests of the ingest room."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.addresses import Address
from ingest.clock import Clock, WallClock
from ingest.devices import DataType, Device, Kind, ModbusDevice, ModbusPoint, Order, PushDevice, UaDevice, UaPoint
from ingest.frame import TelemetryFrame, point_id
from ingest.gateway import Gateway
from ingest.pointlist import PointList
from ingest.quality import quality_name
from ingest.source import Source
from ingest.turns import Turns
from market.units import NS_PER_MS
from tests.kit.ports import free_port

__all__ = [
    "Collector",
    "JumpClock",
    "Sample",
    "free_port",
    "modbus_device",
    "modbus_point",
    "push_device",
    "running",
    "source_into",
    "turning",
    "ua_device",
    "ua_point",
]


def modbus_point(name: str, address: int, type_: DataType = DataType.UINT16, **changes: Any) -> ModbusPoint:
    """A holding register, read twice a second, unless changed."""
    given: dict[str, Any] = {
        "name": name,
        "unit": "",
        "scale": 1.0,
        "offset": 0.0,
        "low": None,
        "high": None,
        "period_ns": 500 * NS_PER_MS,
        "writable": False,
        "kind": Kind.HOLDING,
        "address": address,
        "type": type_,
        "bit": None,
        "order": Order.ABCD,
    }
    return ModbusPoint(**(given | changes))


def ua_point(name: str, node: str, **changes: Any) -> UaPoint:
    """A node sampled ten times a second, unless changed."""
    given: dict[str, Any] = {
        "name": name,
        "unit": "",
        "scale": 1.0,
        "offset": 0.0,
        "low": None,
        "high": None,
        "period_ns": 100 * NS_PER_MS,
        "writable": False,
        "node": node,
    }
    return UaPoint(**(given | changes))


def modbus_device(port: int, *points: ModbusPoint, **changes: Any) -> ModbusDevice:
    """A polled device on this machine."""
    given: dict[str, Any] = {"name": "rtu", "area": "1", "address": Address(host="127.0.0.1", port=port), "unit_id": 1, "timeout_s": 1.0}
    return ModbusDevice(points=points, **(given | changes))


def push_device(port: int, *points: ModbusPoint, **changes: Any) -> PushDevice:
    """A device that dials in to this machine."""
    given: dict[str, Any] = {
        "name": "dtu",
        "area": "1",
        "host": "127.0.0.1",
        "port": port,
        "unit_id": 1,
        "register": r"RTU (?P<name>\S+)\r\n",
        "clock": None,
    }
    return PushDevice(points=points, **(given | changes))


def ua_device(port: int, *points: UaPoint, **changes: Any) -> UaDevice:
    """An OPC UA server on this machine."""
    given: dict[str, Any] = {
        "name": "ems",
        "area": "1",
        "url": f"opc.tcp://127.0.0.1:{port}",
        "publish_ns": 100 * NS_PER_MS,
        "timeout_s": 2.0,
    }
    return UaDevice(points=points, **(given | changes))


@asynccontextmanager
async def turning(clock: Clock | None = None) -> AsyncIterator[Turns]:
    """Wheels that turn."""
    turns = Turns(clock or WallClock())
    turns.start()
    try:
        yield turns
    finally:
        turns.stop()


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample, for people."""

    value: float
    quality: str
    ts_event_ns: int
    flags: int
    frame: TelemetryFrame


class Collector:
    """Takes frames and keeps every sample by the name of its point."""

    def __init__(self, *devices: Device) -> None:
        self.points = PointList(devices)
        self.frames: list[TelemetryFrame] = []
        self.samples: dict[str, list[Sample]] = {point.name: [] for _, point in self.points.points()}
        self._name_of = {point_id(name): name for name in self.samples}

    def know(self, names: Collection[str]) -> None:
        """Collect more points: those of a list to come."""
        self.samples |= {name: [] for name in names}
        self._name_of |= {point_id(name): name for name in names}

    async def emit(self, frame: TelemetryFrame) -> None:
        self.put(frame)

    def put(self, frame: TelemetryFrame) -> None:
        self.frames.append(frame)
        for row, number in enumerate(frame.point.tolist()):
            sample = Sample(
                value=float(frame.value[row]),
                quality=quality_name(int(frame.quality[row])),
                ts_event_ns=int(frame.ts_event_ns[row]),
                flags=int(frame.flags[row]),
                frame=frame,
            )
            self.samples[self._name_of[number]].append(sample)

    def last(self, name: str) -> Sample | None:
        return self.samples[name][-1] if self.samples[name] else None

    def good(self, name: str) -> list[float]:
        return [sample.value for sample in self.samples[name] if sample.quality == "Good"]

    def is_good(self, name: str, value: float | None = None) -> bool:
        last = self.last(name)
        return last is not None and last.quality == "Good" and (value is None or last.value == value)

    def is_bad(self, name: str) -> bool:
        last = self.last(name)
        return last is not None and last.quality.startswith("Bad")

    async def until(self, condition: Callable[[], bool], what: str, within_s: float = 60.0) -> float:
        """Return, once the condition holds, the wall seconds it took."""
        begin = time.monotonic()
        while not condition():
            left = {name: (samples[-1].value, samples[-1].quality) for name, samples in self.samples.items() if samples}
            assert time.monotonic() - begin < within_s, f"not within {within_s:g} s: {what}; last seen: {left}"
            await asyncio.sleep(0.005)
        return time.monotonic() - begin


@asynccontextmanager
async def running(*devices: Device, clock: Clock | None = None, memory: Path | None = None) -> AsyncIterator[tuple[Gateway, Collector]]:
    """A gateway that reads these devices, and what it said; stopping it must not take long, whatever its devices do."""
    out = Collector(*devices)
    gateway = Gateway(out.points, clock or WallClock(), out.emit, memory)
    await gateway.start()
    try:
        yield gateway, out
    finally:
        begin = time.monotonic()
        await gateway.stop()
        assert time.monotonic() - begin < 10.0, "stopping took too long"


def source_into(collector: Collector, name: str = "rtu") -> Source:
    """A source whose frames go straight to a collector."""
    return Source(name, "1", WallClock(), collector.put)


class JumpClock:
    """Event time that passes only while someone sleeps, and then at once."""

    speed = 1.0

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        return self._now_ns

    def pass_ns(self, ns: int) -> None:
        self._now_ns += ns

    async def sleep_until(self, ts_ns: int) -> None:
        await asyncio.sleep(0)
        self._now_ns = max(self._now_ns, ts_ns)
