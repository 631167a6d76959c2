"""Both engines read the same server, and say the same: ours is held against pymodbus's client, point by point."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.addresses import Address, Engine, Framing, SerialLine
from ingest.clock import WallClock
from ingest.devices import ModbusDevice
from ingest.gateway import Gateway
from ingest.pointlist import read_point_list
from ingest.simulator.relocated import relocated
from ingest.simulator.standins import StandIns
from tests.kit.field import Collector, free_port
from tests.kit.libmodbus import libmodbus_rtu_slave, libmodbus_server
from tests.kit.modbus_slave import CLOSE, Asked, Piece, Slave, behave, slave
from tests.kit.pointlists import point_list_file

pytestmark = pytest.mark.integration

LIST = """
    maps:
      m:
        every: 200ms
        order: CDAB
        points:
          a/{device}/f:    {reg: holding 0, type: float32}
          a/{device}/u:    {reg: holding 2, type: uint32}
          a/{device}/i:    {reg: holding 4, type: int16, scale: 0.1}
          a/{device}/b:    {reg: holding 5, type: bool, bit: 3}
          a/{device}/d:    {reg: holding 6, type: float64, order: DCBA}
          a/{device}/far:  {reg: holding 110, type: int64}
          a/{device}/none: {reg: holding 4000}
          a/{device}/in:   {reg: input 7}
          a/{device}/c:    {reg: coil 9}
          a/{device}/c2:   {reg: coil 30}
          a/{device}/di:   {reg: discrete 12}
    devices:
    - {name: d, area: 1, url: "modbus+tcp://127.0.0.1:PORT", map: m, timeout: 500ms}
"""


def both(folder: Path, port: int, text: str = LIST) -> tuple[ModbusDevice, ModbusDevice]:
    """The same device twice, once for each engine."""
    found = []
    for engine in Engine:
        [device] = read_point_list(point_list_file(folder, text.replace("name: d", f"name: d-{engine}, engine: {engine}"))).devices
        assert isinstance(device, ModbusDevice)
        assert device.address.engine is engine
        found.append(replace(device, address=replace(device.address, port=port)))
    return found[0], found[1]


async def said(*devices: ModbusDevice) -> list[dict[str, tuple[str, str]]]:
    """What each engine said last of each point, once it has settled: value (NaN equals NaN) and quality."""
    out = Collector(*devices)
    gateway = Gateway(out.points, WallClock(), out.emit)
    await gateway.start()
    try:
        for device in devices:
            names = [point.name for point in device.points]
            await out.until(lambda names=names: all(len(out.samples[name]) >= 6 for name in names), f"{device.name} was read six times")
    finally:
        await gateway.stop()
    every = []
    for device in devices:
        last = {point.name.rpartition("/")[2]: out.samples[point.name][-1] for point in device.points}
        every.append({name: (repr(sample.value), sample.quality) for name, sample in last.items()})
    return every


def test_a_server_by_libmodbus_says_the_same_to_both(tmp_path: Path) -> None:
    with libmodbus_server("bandwidth-server-many-up", tmp_path) as (port, _):
        own, reference = asyncio.run(said(*both(tmp_path, port, LIST.replace("PORT", "1"))))
    assert own == reference
    assert own["u"] == ("0.0", "Good")
    assert own["none"] == (repr(math.nan), "Bad_ConfigurationError")
    assert own["in"] == (repr(math.nan), "Bad_ConfigurationError")


def test_a_server_by_pymodbus_that_holds_numbers_of_every_kind_says_the_same_to_both(tmp_path: Path) -> None:
    """A clock that stands still, so that both read the same numbers."""
    port = free_port()

    class Still(WallClock):
        def now_ns(self) -> int:
            return 1_780_000_000_000_000_000

    async def read() -> list[dict[str, tuple[str, str]]]:
        path = point_list_file(tmp_path, LIST.replace("PORT", str(port)).replace("a/{device}/none: {reg: holding 4000}", ""))
        stand_ins = StandIns(read_point_list(path).devices, Still())
        await stand_ins.start()
        moved = tmp_path / "moved.yaml"
        moved.write_text(relocated(path, stand_ins.urls))
        [there] = read_point_list(moved).devices
        assert isinstance(there, ModbusDevice)
        try:
            # The stand-in has the points' names of one; each engine reads them under its own.
            devices = [
                replace(
                    there,
                    name=f"d-{engine}",
                    address=replace(there.address, engine=engine),
                    points=tuple(replace(point, name=point.name.replace("/d/", f"/d-{engine}/")) for point in there.points),
                )
                for engine in Engine
            ]
            return await said(*devices)
        finally:
            await stand_ins.stop()

    own, reference = asyncio.run(read())
    assert own == reference
    assert {quality for _, quality in own.values()} == {"Good"}
    assert len({value for value, _ in own.values()}) > 5


def test_a_slave_by_libmodbus_on_a_serial_line_says_the_same_to_both(tmp_path: Path) -> None:
    """One after the other: a line has one master."""
    text = LIST.replace("a/{device}/none: {reg: holding 4000}", "")
    seen = []
    for place in (0, 1):
        folder = tmp_path / str(place)
        folder.mkdir()
        with libmodbus_rtu_slave(folder) as line:
            device = both(folder, 1, text.replace("PORT", "1"))[place]
            kept = tuple(point for point in device.points if point.kind == "holding")
            address = Address(host=str(line), framing=Framing.RTU, line=SerialLine(baud=19_200, parity="N"), engine=device.address.engine)
            seen += asyncio.run(said(replace(device, address=address, unit_id=5, points=kept)))
    assert seen[0] == seen[1]
    assert seen[0]["i"] == ("0.4", "Good")


@asynccontextmanager
async def misbehaving(answer: Sequence[Piece]) -> AsyncIterator[Slave]:
    def script(asked: Asked) -> Sequence[Piece]:
        return answer if asked.pdu[0] == 3 and asked.address < 100 else behave(asked)

    async with slave() as it:
        it.script = script
        yield it


@pytest.mark.parametrize("answer", [[0.01], [CLOSE]], ids=["silence", "hanging up"])
def test_what_is_not_answered_is_bad_for_both(tmp_path: Path, answer: Sequence[Piece]) -> None:
    text = LIST.replace("PORT", "1").replace("a/{device}/c:    {reg: coil 9}", "").replace("a/{device}/c2:   {reg: coil 30}", "")

    async def read() -> list[dict[str, tuple[str, str]]]:
        async with misbehaving(answer) as it:
            out = []
            for device in both(tmp_path, it.port, text.replace("a/{device}/di:   {reg: discrete 12}", "")):
                silent = replace(device, timeout_s=0.1, points=device.points[:5])
                out += await said(silent)
            return out

    own, reference = asyncio.run(read())
    assert own == reference
    assert set(own.values()) == {(repr(math.nan), "Bad_NoCommunication")}


def test_a_set_point_is_written_by_either(tmp_path: Path) -> None:
    text = """
        maps:
          m:
            every: 200ms
            points:
              a/{device}/one:  {reg: "holding 20", write: true}
              a/{device}/two:  {reg: holding 30, type: float32, write: true}
        devices:
        - {name: d, area: 1, url: "modbus+tcp://127.0.0.1:1", map: m}
    """

    async def write(device: ModbusDevice) -> None:
        out = Collector(device)
        gateway = Gateway(out.points, WallClock(), out.emit)
        await gateway.start()
        try:
            for point, value in zip(device.points, (7.0, -2.5), strict=True):
                await gateway.write(point.name, value)
                await out.until(lambda name=point.name, value=value: out.is_good(name, value), f"{point.name} is {value}")
        finally:
            await gateway.stop()

    async def write_both() -> None:
        async with slave() as it:
            for device in both(tmp_path, it.port, text):
                it.written.clear()
                await write(device)
                assert it.written == {20: 7, 30: 0xC020, 31: 0}

    asyncio.run(write_both())
