"""The polling client against Modbus servers that nobody here wrote, and against one that misbehaves as told."""

from __future__ import annotations

import asyncio
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType as Sim
from pymodbus.simulator import SimData, SimDevice

from ingest.addresses import Address
from ingest.clock import SimulatedClock, WallClock
from ingest.devices import DataType, Kind, Order
from ingest.errors import DeviceError, DeviceRefused, DeviceSilent
from ingest.gateway import Gateway
from ingest.modbus.frames import read_request
from ingest.modbus.link import ModbusLink
from ingest.quality import Flag
from market.errors import UnitError
from market.units import NS_PER_MS, NS_PER_S, instant_ns
from tests.kit.field import Collector, free_port, modbus_device, modbus_point, running, source_into, turning
from tests.kit.libmodbus import libmodbus_server
from tests.kit.modbus_slave import CLOSE, Asked, Piece, Slave, slave
from tests.kit.require import require

pytestmark = pytest.mark.integration


@asynccontextmanager
async def pymodbus_server(*devices: SimDevice) -> AsyncIterator[int]:
    port = free_port()
    server = ModbusTcpServer(list(devices), address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    try:
        yield port
    finally:
        await server.shutdown()


def words(data: bytes) -> list[int]:
    return list(struct.unpack(f">{len(data) // 2}H", data))


def ordered(big: bytes, order: Order) -> bytes:
    """Bytes as a device of that order keeps them, written here and not by what is tested."""
    pairs = [big[n : n + 2] for n in range(0, len(big), 2)]
    if order in ("DCBA", "CDAB"):
        pairs.reverse()
    if order in ("DCBA", "BADC"):
        pairs = [pair[::-1] for pair in pairs]
    return b"".join(pairs)


# ---- pymodbus's server -----------------------------------------------------------------------------------------------------


def test_every_type_and_order_from_another_hand() -> None:
    codes = {
        DataType.INT16: (">h", -12345),
        DataType.UINT16: (">H", 54321),
        DataType.INT32: (">i", -1234567890),
        DataType.UINT32: (">I", 4123456789),
        DataType.INT64: (">q", -1234567890123456),
        DataType.UINT64: (">Q", 9007199254740991),
        DataType.FLOAT16: (">e", -0.375),
        DataType.FLOAT32: (">f", 230.5),
        DataType.FLOAT64: (">d", -0.1),
    }
    memory, points, meant = b"", [], {}
    for order in Order:
        for type_, (code, value) in codes.items():
            name = f"{type_}/{order}"
            points.append(modbus_point(name, len(memory) // 2, type_, order=order))
            meant[name] = float(value)
            memory += ordered(struct.pack(code, value), order)

    async def main() -> None:
        device = SimDevice(id=1, simdata=[SimData(0, values=words(memory), datatype=Sim.REGISTERS)])
        async with pymodbus_server(device) as port, running(modbus_device(port, *points)) as (_, out):
            await out.until(lambda: all(out.last(name) for name in meant), "every point is read")
            assert {name: out.samples[name][0].value for name in meant} == meant
            assert all(out.is_good(name) for name in meant)

    asyncio.run(main())


def test_four_tables_holes_and_a_register_that_is_not_there() -> None:
    bits = [SimData(0, values=[True, False, True, True] * 4, datatype=Sim.BITS)]
    device = SimDevice(
        id=1,
        simdata=(
            bits,
            [SimData(0, values=[False, True] * 8, datatype=Sim.BITS)],
            [SimData(0, values=[10, 11], datatype=Sim.REGISTERS), SimData(8, values=[18, 19], datatype=Sim.REGISTERS)],
            [SimData(0, values=[30, 31, 32], datatype=Sim.REGISTERS)],
        ),
    )
    points = [
        modbus_point("coil/2", 2, DataType.BOOL, kind=Kind.COIL),
        modbus_point("coil/1", 1, DataType.BOOL, kind=Kind.COIL),
        modbus_point("discrete/1", 1, DataType.BOOL, kind=Kind.DISCRETE),
        modbus_point("holding/0", 0),
        modbus_point("holding/1", 1),
        modbus_point("holding/5", 5),
        modbus_point("holding/9", 9),
        modbus_point("input/2", 2, kind=Kind.INPUT),
    ]

    async def main() -> None:
        async with pymodbus_server(device) as port, running(modbus_device(port, *points)) as (gateway, out):
            await out.until(lambda: len(out.samples["holding/5"]) >= 3, "three polls are done")
            seen = {name: (samples[-1].value, samples[-1].quality) for name, samples in out.samples.items()}
            assert seen.pop("holding/5")[1] == "Bad_ConfigurationError"
            assert seen == {
                "coil/2": (1.0, "Good"),
                "coil/1": (0.0, "Good"),
                "discrete/1": (1.0, "Good"),
                "holding/0": (10.0, "Good"),
                "holding/1": (11.0, "Good"),
                "holding/9": (19.0, "Good"),
                "input/2": (32.0, "Good"),
            }
            [health] = gateway.health()
            # The block, its half, the half's half: three refusals, and none after the first poll.
            assert health.refused == {"exception 2": 3}
            assert (health.available, health.bad) == (True, len(out.samples["holding/5"]))

    asyncio.run(main())


def test_a_busy_device_is_bad_for_as_long_as_it_is_busy() -> None:
    busy = {"now": False}

    async def act(function: int, start: int, address: int, count: int, registers: list[int], values: Any) -> ExcCodes | None:
        return ExcCodes.DEVICE_BUSY if busy["now"] else None

    device = SimDevice(id=1, simdata=[SimData(0, values=[7] * 4, datatype=Sim.REGISTERS)], action=act)

    async def main() -> None:
        point = modbus_point("p", 0, period_ns=50 * NS_PER_MS)
        async with pymodbus_server(device) as port, running(modbus_device(port, point)) as (gateway, out):
            await out.until(lambda: out.is_good("p", 7.0), "the value is read")
            busy["now"] = True
            await out.until(lambda: out.is_bad("p"), "busy is seen")
            assert {sample.quality for sample in out.samples["p"]} == {"Good", "Bad_NoCommunication"}
            busy["now"] = False
            await out.until(lambda: out.is_good("p", 7.0), "the value is read again")
            assert gateway.health()[0].reconnects == 0

    asyncio.run(main())


def test_set_points_arrive_as_mbpoll_sees_them(tmp_path: Path) -> None:
    mbpoll = require("mbpoll", "apt-get install -y mbpoll")

    def seen(port: int, *what: str) -> list[str]:
        command = [mbpoll, "-0", "-m", "tcp", "-p", str(port), "-a", "1", "-1", "-q", *what, "127.0.0.1"]
        lines = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.splitlines()
        return [line.split(":", 1)[1].strip() for line in lines if line.startswith("[")]

    async def main() -> None:
        with libmodbus_server("bandwidth-server-many-up", tmp_path) as (port, _):
            points = [
                modbus_point("unit/a/setpoint_mw", 10, DataType.FLOAT32, low=0.0, high=300.0, unit="MW", writable=True),
                modbus_point("unit/b/setpoint_mw", 12, DataType.INT32, scale=0.1, order=Order.CDAB, writable=True),
                modbus_point("unit/c/setpoint_mw", 14, DataType.INT16, writable=True),
                modbus_point("switch/x/close", 3, DataType.BOOL, kind=Kind.COIL, writable=True),
                modbus_point("unit/a/mw", 0),
            ]
            async with running(modbus_device(port, *points)) as (gateway, out):
                await gateway.write("unit/a/setpoint_mw", 217.25)
                await gateway.write("unit/b/setpoint_mw", -1234.5)
                await gateway.write("unit/c/setpoint_mw", -2)
                await gateway.write("switch/x/close", 1)
                await out.until(lambda: out.is_good("unit/a/setpoint_mw", 217.25), "the set-point reads back")
                assert await asyncio.to_thread(seen, port, "-t", "4:float", "-B", "-r", "10", "-c", "1") == ["217.25"]
                assert await asyncio.to_thread(seen, port, "-t", "4:int", "-r", "12", "-c", "1") == ["-12345"]
                assert await asyncio.to_thread(seen, port, "-t", "4:hex", "-r", "14", "-c", "1") == ["0xFFFE"]
                assert await asyncio.to_thread(seen, port, "-t", "0", "-r", "2", "-c", "3") == ["0", "1", "0"]
                with pytest.raises(UnitError, match=r"301 MW is outside \[0, 300\]"):
                    await gateway.write("unit/a/setpoint_mw", 301.0)
                with pytest.raises(DeviceError, match="unit/a/mw: not a set-point"):
                    await gateway.write("unit/a/mw", 1.0)

    asyncio.run(main())


# ---- libmodbus's unit-test-server, which misbehaves on purpose --------------------------------------------------------------


def test_libmodbus_adversary(tmp_path: Path) -> None:
    async def main() -> None:
        with libmodbus_server("unit-test-server", tmp_path) as (port, _):
            async with turning() as turns:
                out = Collector()
                source = source_into(out)
                link = ModbusLink(Address(host="127.0.0.1", port=port), turns)

                async def read(kind: Kind, address: int, count: int, timeout_s: float = 2.0, unit: int = 17) -> bytes:
                    return await link.exchange(read_request(unit, kind, address, count), source, timeout_s)

                # Its tables: unit-test.h.
                assert await read(Kind.INPUT, 0x108, 1) == bytes.fromhex("000A")
                assert await read(Kind.DISCRETE, 0x1C4, 0x16) == bytes.fromhex("ACDB35")
                with pytest.raises(DeviceRefused, match="exception 2, illegal data address"):
                    await read(Kind.HOLDING, 0x400, 1)
                with pytest.raises(DeviceRefused, match="exception 6, device busy"):
                    await read(Kind.HOLDING, 0x170, 1)
                # Two registers asked: it answers with one.
                with pytest.raises(DeviceSilent, match="does not answer the request"):
                    await read(Kind.HOLDING, 0x160, 2)
                assert source.refused == {"size": 1}
                # 0x171: another transaction number, then nothing.
                with pytest.raises(DeviceSilent, match=r"no reply within 0\.3 s"):
                    await read(Kind.HOLDING, 0x171, 1, timeout_s=0.3)
                assert source.refused["transaction"] == 1
                # 0x172: 500 ms late. The next answer is the next answer's.
                with pytest.raises(DeviceSilent, match=r"no reply within 0\.2 s"):
                    await read(Kind.HOLDING, 0x172, 1, timeout_s=0.2)
                assert await read(Kind.INPUT, 0x108, 1) == bytes.fromhex("000A")
                assert source.refused["transaction"] == 2
                # 0x173: one byte every 5 ms, 11 bytes, and always from unit 255.
                with pytest.raises(DeviceSilent, match=r"does not answer the request \(unit\)"):
                    await read(Kind.HOLDING, 0x173, 1)
                begin = time.monotonic()
                assert await read(Kind.HOLDING, 0x173, 1, unit=255) == b"\x00\x00"
                assert time.monotonic() - begin > 0.05
                link.close()

    asyncio.run(main())


# ---- a slave that misbehaves as told ----------------------------------------------------------------------------------------


def test_no_reply_however_wrong_is_ever_taken_for_a_value() -> None:
    """Registers 100 to 102 hold 100 to 102: whatever else comes out as data is a lie. Every second reply has a fault."""

    def faults(asked: Asked) -> Sequence[Piece]:
        reply, number = asked.reply, asked.number // 2 % 16 if asked.number % 2 else 0
        tid, rest = reply[:2], reply[2:]
        other = bytes([rest[4], rest[5], rest[6]]) + b"\xde\xad" * 3
        shifted = ((int.from_bytes(tid, "big") + 1) & 0xFFFF).to_bytes(2, "big")
        return {
            1: [b"\0\0" + rest],
            2: [shifted + rest[:4] + other],
            3: [reply[:6] + bytes([reply[6] + 1]) + reply[7:]],
            4: [reply[:7] + b"\x04" + reply[8:]],
            5: [tid + b"\0\0\0\x05" + reply[6:8] + b"\x02\xde\xad"],
            6: [tid + b"\0\0\0\x0b" + reply[6:8] + b"\x08" + b"\xde\xad" * 4],
            7: [reply + reply],
            8: [shifted + rest[:4] + other, reply],
            9: [bytes([byte]) for byte in reply],
            10: [],
            11: [0.25, reply],
            12: [tid + b"\0\0\xff\xff" + b"\xde\xad" * 150],
            13: [reply[:5], CLOSE],
            14: [reply[:9] + b"\0" * 3],
            15: [b"GET / HTTP/1.1\r\n\r\n"],
        }.get(number, [reply])

    async def main() -> None:
        async with slave() as peer, turning() as turns:
            peer.script = faults
            source = source_into(Collector())
            link = ModbusLink(Address(host="127.0.0.1", port=peer.port), turns)
            answered = 0
            while len(peer.asked) < 5 * 32:
                try:
                    data = await link.exchange(read_request(1, Kind.HOLDING, 100, 3), source, 0.1)
                except DeviceSilent:
                    continue
                assert words(data) == [100, 101, 102]
                answered += 1
            link.close()
            # Sound replies, and those that were only cut, doubled or preceded by another; less two that came behind a late and
            # a truncated one, and went down with them.
            assert answered == 5 * (17 + 3 - 2)
            assert set(source.refused) == {"transaction", "unit", "function", "size", "unasked", "protocol", "length"}
            assert source.reconnects == 5 * 4 - 1

    asyncio.run(main())


def test_a_peer_that_closes_wakes_whoever_waits() -> None:
    async def main() -> None:
        async with slave() as peer, turning() as turns:
            peer.script = lambda asked: [0.05, CLOSE]
            source = source_into(Collector())
            link = ModbusLink(Address(host="127.0.0.1", port=peer.port), turns)
            begin = time.monotonic()
            with pytest.raises(DeviceSilent, match="the peer closed the connection"):
                await link.exchange(read_request(1, Kind.HOLDING, 0, 1), source, 30.0)
            assert time.monotonic() - begin < 15.0
            link.close()

    asyncio.run(main())


def test_a_device_that_goes_away_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="ingest")

    async def main() -> None:
        peer = Slave()
        await peer.open()
        async with running(modbus_device(peer.port, modbus_point("p", 100, period_ns=50 * NS_PER_MS))) as (gateway, out):
            await out.until(lambda: out.is_good("p"), "the value is read")
            await peer.close()
            await out.until(lambda: out.is_bad("p"), "its absence is seen")
            away = len(out.samples["p"])
            await out.until(lambda: len(out.samples["p"]) > away + 20, "its absence stays visible")
            assert {sample.quality for sample in out.samples["p"][away:]} == {"Bad_NoCommunication"}
            await peer.open()
            assert await out.until(lambda: out.is_good("p"), "the value is read again", within_s=60) < 30.0
            assert gateway.health()[0].reconnects >= 1
        await peer.close()

    asyncio.run(main())
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_device_nobody_answers_for_is_bad_and_holds_up_nobody() -> None:
    async def main() -> None:
        async with slave() as peer:
            there = modbus_device(peer.port, modbus_point("there", 1, period_ns=100 * NS_PER_MS), name="there")
            away = modbus_device(free_port(), modbus_point("away", 1, period_ns=100 * NS_PER_MS), name="away")
            async with running(there, away) as (gateway, out):
                await out.until(lambda: len(out.good("there")) >= 10, "ten polls")
                assert out.good("away") == []
                assert out.is_bad("away")
                assert {health.device: health.available for health in gateway.health()} == {"there": True, "away": False}

    asyncio.run(main())


def test_one_dead_unit_leaves_the_others_on_its_line_at_their_period() -> None:
    async def main() -> None:
        async with slave() as peer:
            peer.script = lambda asked: [asked.reply] if asked.unit != 2 else []
            devices = [
                modbus_device(
                    peer.port, modbus_point(f"p{unit}", unit, period_ns=100 * NS_PER_MS), name=f"u{unit}", unit_id=unit, timeout_s=0.2
                )
                for unit in (1, 2, 3)
            ]
            async with running(*devices) as (gateway, out):
                begin = time.monotonic()
                await out.until(lambda: len(out.good("p1")) >= 40 and len(out.good("p3")) >= 40, "forty polls of each", within_s=60)
                took_s = time.monotonic() - begin
                assert took_s < 40 * 0.1 * 2.2, "a dead unit took the others' time"
                assert peer.connections <= 3, "the line is shared, and not given up for one dead unit"
                health = {each.device: each for each in gateway.health()}
                assert (health["u1"].available, health["u2"].available, health["u3"].available) == (True, False, True)
                assert health["u2"].good == 0

    asyncio.run(main())


def test_periods_are_event_time() -> None:
    """At sixty times the speed, a period of 6 s takes 100 ms, and source times are the simulated day's."""
    start_ns = instant_ns("2026-06-10T00:00:00+08:00")

    async def main() -> None:
        async with slave() as peer:
            device = modbus_device(peer.port, modbus_point("p", 100, period_ns=6 * NS_PER_S))
            async with running(device, clock=SimulatedClock(start_ns, 60.0)) as (_, out):
                took_s = await out.until(lambda: len(out.good("p")) >= 21, "twenty-one polls", within_s=60)
                times = [sample.ts_event_ns for sample in out.samples["p"]]
                # A busy machine may miss a period; it may not shift them.
                assert 5.0 < median(b - a for a, b in pairwise(times)) / NS_PER_S < 7.0
                assert start_ns <= times[0] < times[-1] <= start_ns + int(60 * (took_s + 1.0)) * NS_PER_S
                assert {sample.flags for sample in out.samples["p"]} == {Flag.TS_ESTIMATED}

    asyncio.run(main())


def test_a_slow_sink_loses_the_oldest_and_counts_them() -> None:
    async def main() -> None:
        async with slave() as peer:
            device = modbus_device(peer.port, modbus_point("p", 100, period_ns=NS_PER_MS))
            out = Collector(device)
            taken = asyncio.Event()

            async def emit(frame: Any) -> None:
                await taken.wait()
                await out.emit(frame)

            gateway = Gateway(out.points, WallClock(), emit)
            await gateway.start()
            await out.until(lambda: gateway.health()[0].dropped.get("queue_full", 0) >= 20, "the lane overflows", within_s=60)
            taken.set()
            await out.until(lambda: len(out.frames) > 256, "the rest is sent")
            seqs = [frame.seq for frame in out.frames]
            lost = sum(b - a - 1 for a, b in pairwise(seqs))
            assert seqs == sorted(seqs)
            await gateway.stop()
            assert lost == gateway.health()[0].dropped["queue_full"]

    asyncio.run(main())
