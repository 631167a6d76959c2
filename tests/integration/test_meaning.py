"""From a point list to published samples: what a device's bits mean, read from a server that nobody here wrote."""

from __future__ import annotations

import asyncio
import math
import struct
import time
from pathlib import Path

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType as Sim
from pymodbus.simulator import SimData, SimDevice

from ingest.clock import WallClock
from ingest.gateway import Gateway
from ingest.pointlist import read_point_list
from ingest.quality import Flag
from market.units import NS_PER_MS
from tests.kit.field import Collector, free_port
from tests.kit.modbus_slave import slave

pytestmark = pytest.mark.integration

LIST = """
maps:
  m:
    every: 200ms
    sunspec: {model: 103, at: 40069}
    points:
      inverter/model: {sunspec: ID}
      inverter/mw:    {sunspec: W, scale: 1.0e-6, unit: MW}
      inverter/hz:    {sunspec: Hz}
      inverter/va:    {sunspec: VA}
      inverter/wh:    {sunspec: WH}
      inverter/state: {sunspec: St}
      meter/mwh:      {reg: holding 0, type: bcd32, scale: 0.001}
      meter/torn:     {reg: holding 2, type: bcd16}
      meter/volts:    {reg: holding 3, type: float16}
      meter/phase:    {reg: holding 4, bits: 4..7}
      meter/none:     {reg: holding 5, type: int16, missing: [0x8000]}
      switch/a/to:    {reg: holding 6, values: {0: 1, 3: 2}}
      switch/b/to:    {reg: holding 7, values: {0: 1, 3: 2}}
      meter/fair:     {reg: holding 8, quality: {reg: holding 9, uncertain_bits: 4}}
      meter/word:     {reg: holding 9}
devices:
- {name: d, area: 1, url: "modbus+tcp://127.0.0.1:PORT", map: m}
"""

METER = struct.pack(">IHeHHHHHH", 0x12345678, 0x00A1, 230.5, 0x12A4, 0x8000, 3, 2, 7, 0x0104)

# ID, L, 12 registers of currents and voltages, W, W_SF, Hz, Hz_SF, VA, VA_SF, 4 more, WH, WH_SF, and the rest.
INVERTER = struct.pack(">HH24xhhHhhh8xIh", 103, 50, 12345, 2, 5002, -2, -32768, 0, 123456, 1).ljust(2 * 52, b"\0")


def registers(data: bytes) -> list[int]:
    return list(struct.unpack(f">{len(data) // 2}H", data))


def test_what_bits_mean_reaches_the_frame(tmp_path: Path) -> None:
    port, path = free_port(), tmp_path / "points.yaml"
    path.write_text(LIST.replace("PORT", str(port)))
    points = read_point_list(path)
    simulated = [
        SimData(0, values=registers(METER), datatype=Sim.REGISTERS),
        SimData(40069, values=registers(INVERTER), datatype=Sim.REGISTERS),
    ]

    async def main() -> dict[str, tuple[float | None, str]]:
        server = ModbusTcpServer([SimDevice(id=1, simdata=simulated)], address=("127.0.0.1", port))
        await server.serve_forever(background=True)
        out = Collector(*points.devices)
        gateway = Gateway(points, WallClock(), out.emit)
        await gateway.start()
        names = [point.name for _, point in points.points()]
        try:
            await out.until(lambda: all(out.last(name) for name in names), "every point is read")
        finally:
            await gateway.stop()
            await server.shutdown()
        said = [(name, out.last(name)) for name in names]
        return {name: (None if math.isnan(sample.value) else sample.value, sample.quality) for name, sample in said if sample}

    assert asyncio.run(main()) == {
        "inverter/model": (103.0, "Good"),
        "inverter/mw": (pytest.approx(1.2345, abs=1e-15), "Good"),
        "inverter/hz": (50.02, "Good"),
        "inverter/va": (None, "Bad_NotSupported"),
        "inverter/wh": (1234560.0, "Good"),
        "inverter/state": (0.0, "Good"),
        "meter/mwh": (pytest.approx(12345.678, abs=1e-9), "Good"),
        "meter/torn": (None, "Bad_DataUnavailable"),
        "meter/volts": (230.5, "Good"),
        "meter/phase": (10.0, "Good"),
        "meter/none": (None, "Bad_NotSupported"),
        "switch/a/to": (2.0, "Good"),
        "switch/b/to": (None, "Bad_DataUnavailable"),
        "meter/fair": (7.0, "Uncertain"),
        "meter/word": (260.0, "Good"),
    }


APART = """
maps:
  m:
    every: 100ms
    clock: {reg: holding 400, type: uint64, tick: 1ms}
    quality: {reg: holding 300, bad_bits: 0x8000}
    attributes: {serial: {reg: holding 500, length: 4}}
    points:
      meter/mw: {reg: holding 0, type: int16, scale_from: holding 200}
devices:
- {name: d, area: 1, url: "modbus+tcp://127.0.0.1:PORT", map: m}
"""


def test_what_speaks_for_a_point_may_stand_far_from_it(tmp_path: Path) -> None:
    """Scale factor, quality word, clock and serial number, each in a block of its own; good from the first poll on."""
    path = tmp_path / "points.yaml"

    async def main() -> None:
        async with slave() as peer:
            path.write_text(APART.replace("PORT", str(peer.port)))
            points = read_point_list(path)
            claimed_ns = (time.time_ns() // NS_PER_MS - 1500) * NS_PER_MS
            clock = struct.unpack(">4H", (claimed_ns // NS_PER_MS).to_bytes(8, "big"))
            peer.written = {0: 1234, 200: 0xFFFE, 300: 4} | dict(enumerate(clock, 400))
            peer.written |= dict(enumerate(struct.unpack(">4H", b"SN-0042\0"), 500))
            out = Collector(*points.devices)
            gateway = Gateway(points, WallClock(), out.emit)
            await gateway.start()
            try:
                await out.until(lambda: len(out.samples["meter/mw"]) >= 2, "two polls")
                first = out.samples["meter/mw"][0]
                assert (first.value, first.quality, first.flags) == (12.34, "Good", 0)
                assert abs(first.ts_event_ns - claimed_ns) < 100 * NS_PER_MS, "its own time, carried by the time between its blocks"
                assert gateway.health()[0].attributes == {"serial": "SN-0042"}
                peer.written[300] = 0x8004
                await out.until(lambda: out.is_bad("meter/mw"), "its quality word is heeded")
                peer.written |= {300: 0, 400: 0, 401: 0}
                await out.until(lambda: out.last("meter/mw").flags & Flag.CLOCK_SUSPECT != 0, "its clock is not believed")  # type: ignore[union-attr]
                await out.until(lambda: out.is_good("meter/mw", 12.34), "its values are")
            finally:
                await gateway.stop()

    asyncio.run(main())
