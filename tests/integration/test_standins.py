"""``gridfuse ingest simulate FILE``: a point list is read from stand-ins, before its devices are there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from console.ingest import PointReading, read_once
from ingest.clock import WallClock
from ingest.gateway import Gateway
from ingest.pointlist import read_point_list
from ingest.simulator.relocated import relocated
from ingest.simulator.standins import StandIns
from market.errors import ConfigError
from tests.kit.field import Collector, free_port
from tests.kit.pointlists import point_list_file

pytestmark = pytest.mark.integration

LIST = """
    maps:
      m:
        every: 200ms
        order: CDAB
        attributes: {serial: {reg: holding 300, length: 5}, maker: {reg: holding 310, length: 2}}
        points:
          a/{device}/f:  {reg: input 1, type: float32, range: [-10, 500], unit: MW}
          a/{device}/s:  {reg: holding 9, type: float32, range: [0, 500], write: true}
          a/{device}/sw: {reg: holding 40, values: {0: 1, 3: 2}, labels: {1: open, 2: closed}}
          a/{device}/c:  {reg: coil 35}
          a/{device}/cw: {reg: coil 52, write: true}
          a/{device}/d:  {reg: discrete 5}
      sun:
        every: 200ms
        sunspec: [{model: 103, at: 40069}]
        points:
          i/{device}/w:  {sunspec: W, scale: 1.0e-6, unit: MW, range: [0, 500]}
          i/{device}/st: {sunspec: St}
      ua:
        every: 200ms
        points:
          u/{x}/n: {node: "nsu=urn:a;s=N{x}"}
          u/{x}/b: {node: "browse:/Objects/nsu=urn:b;Feeders/*/{x}/P", range: [-5, 5]}
          u/{x}/i: {node: "ns=5;s=7{x}", write: true, range: [0, 10]}
    devices:
    - {name: "d-{1..3}", area: 1, url: "modbus+tcp://10.0.0.{1..3}:502", unit: "{1..3}", map: m}
    - {name: g1, area: 1, url: "modbus+rtu:///dev/ttyS9", unit: 4, map: m}
    - {name: g2, area: 1, url: "modbus+rtu:///dev/ttyS9", unit: 5, map: sun}
    - {name: ems, area: 1, url: "opc.tcp://10.0.0.9:4840", map: ua, vars: {x: ["1", "2"]}}
    - {name: dtu, area: 1, url: "modbus+listen://127.0.0.1:PORT", map: p}
"""


def given(folder: Path) -> Path:
    pushed = "      p:\n        every: 1m\n        points: {z/dtu: {reg: holding 0}}\n    devices:"
    return point_list_file(folder, LIST.replace("    devices:", pushed).replace("PORT", str(free_port())))


def test_every_point_of_a_list_is_good_at_its_stand_ins(tmp_path: Path) -> None:
    path = given(tmp_path)

    async def read() -> tuple[list[str], list[PointReading]]:
        stand_ins = StandIns(read_point_list(path).devices, WallClock())
        await stand_ins.start()
        try:
            moved = tmp_path / "moved.yaml"
            moved.write_text(relocated(path, stand_ins.urls))
            readings = await read_once(read_point_list(moved), 3.0)
            return stand_ins.left_out, readings
        finally:
            await stand_ins.stop()

    left_out, readings = asyncio.run(read())
    quality = {reading.point: reading.quality for reading in readings}
    texts = {reading.device: dict(reading.attributes) for reading in readings}
    assert texts["d-1"] == texts["g1"] == {"serial": "SIMULATED", "maker": "SIMU"}
    assert texts["g2"] == texts["ems"] == {}
    assert {reading.label for reading in readings if reading.point == "a/d-1/sw"} <= {"open", "closed"}
    assert left_out == ["dtu"]
    assert {name: how for name, how in quality.items() if how != "Good"} == {"z/dtu": "Bad_WaitingForInitialData"}
    assert len(quality) == 4 * 6 + 2 + 6 + 1


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = given(tmp_path)

    async def write() -> None:
        stand_ins = StandIns(read_point_list(path).devices, WallClock())
        await stand_ins.start()
        moved = tmp_path / "moved.yaml"
        moved.write_text(relocated(path, stand_ins.urls))
        out = Collector(*read_point_list(moved).devices)
        gateway = Gateway(out.points, WallClock(), out.emit)
        await gateway.start()
        try:
            wanted = {"a/d-1/s": 12.5, "a/g1/s": 13.5, "a/d-2/cw": 1.0, "u/1/i": 7.0}
            for name, value in wanted.items():
                await out.until(lambda name=name: out.last(name) is not None, f"{name} is read")
                await gateway.write(name, value)
            for name, value in wanted.items():
                await out.until(lambda name=name, value=value: out.is_good(name, value), f"{name} is {value}")
        finally:
            await gateway.stop()
            await stand_ins.stop()

    asyncio.run(write())


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    path = given(tmp_path)

    async def start() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            await StandIns(read_point_list(path).devices, WallClock(), base_port=port).start()

    with pytest.raises(ConfigError, match="is in use; free it, or give another --base-port"):
        asyncio.run(start())
