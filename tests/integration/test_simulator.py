"""The simulated field over real sockets, read by clients nobody here wrote: mbpoll, pymodbus, asyncua, a plain socket."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from ingest.clock import SimulatedClock
from ingest.devices import DATA_TYPES, Kind, ModbusDevice, ModbusPoint, PushDevice
from ingest.frame import TelemetryFrame
from ingest.gateway import Gateway
from ingest.pointlist import PointList, read_point_list
from ingest.simulator.faults import Script, script_of
from ingest.simulator.field import SimulatedField, field_targets
from market import rts_gmlc
from market.units import NS_PER_MIN, NS_PER_S, instant_ns
from streams.findings import ClockDirection, SourceClockJumped, SourceClockSteady, SourceFinding
from streams.intake import AreaIntake
from tests.kit.eventually import eventually_async
from tests.kit.field import Collector, free_port
from tests.kit.require import require

pytestmark = pytest.mark.integration

NOON_NS = instant_ns("2026-06-10T12:00:00+08:00")
HOUR_S = 3600.0
CASE = rts_gmlc.load()


def in_field(
    data_dir: Path,
    body: Callable[[SimulatedField, SimulatedClock], Awaitable[None]],
    *,
    running: bool = False,
    script: Script | None = None,
    push_port: int | None = None,
    start_ns: int = NOON_NS,
    speed: float = 20.0,
) -> None:
    """Run a test's body beside a field; the clock stands still unless it is to run."""

    async def run() -> None:
        clock = SimulatedClock(start_ns, speed)
        if not running:
            clock.run_until(start_ns)
        target = None if push_port is None else ("127.0.0.1", push_port)
        field = SimulatedField(CASE, clock, seed=3, script=script or Script(), push_target=target, data_dir=data_dir)
        await field.start()
        try:
            await body(field, clock)
        finally:
            begun = asyncio.get_running_loop().time()
            await field.stop()
            assert asyncio.get_running_loop().time() - begun < 10.0

    asyncio.run(run())


async def let_pass(field: SimulatedField, clock: SimulatedClock, seconds: int) -> None:
    """Let the clock go for some event seconds, and wait until the field has lived through them."""
    target_ns = field.ts_ns + seconds * NS_PER_S
    clock.run_until(target_ns + NS_PER_S // 2)
    await eventually_async(f"{seconds} s pass", lambda: field.ts_ns >= target_ns, within_s=60.0)


def device_of(field: SimulatedField, point: str) -> tuple[ModbusDevice, ModbusPoint]:
    for server in field.devices.modbus:
        for device in server.devices:
            for found in device.points:
                if found.name == point:
                    return device, found
    raise AssertionError(point)


def as_sent(raw: bytes, order: str) -> bytes:
    """Return the bytes of a value, most significant first, in the order of the letters: CDAB sends C, D, A, B.

    Values of 64 bits go by the same letters for their halves' order and their bytes' order; 16 bits know only the latter.
    """
    if len(raw) == 4:
        return bytes(raw[ord(letter) - ord("A")] for letter in order)
    words = [raw[k : k + 2] for k in range(0, len(raw), 2)]
    if order in ("DCBA", "BADC"):
        words = [word[::-1] for word in words]
    if order in ("DCBA", "CDAB"):
        words = words[::-1]
    return b"".join(words)


def mbpoll(device: ModbusDevice, point: ModbusPoint) -> bytes:
    """Read a point's registers with mbpoll, as they are sent."""
    table = {"holding": "4", "input": "3"}[point.kind]
    count = point.type.registers
    where = [
        "-0",
        "-1",
        "-m",
        "tcp",
        "-p",
        str(device.port),
        "-a",
        str(device.unit_id),
        "-t",
        table,
        "-r",
        str(point.address),
        "-c",
        str(count),
    ]
    told = subprocess.run(["mbpoll", *where, device.host], capture_output=True, text=True, check=True, timeout=20).stdout
    words = [int(word) for word in re.findall(r"^\[\d+\]:\s+(-?\d+)", told, re.MULTILINE)]
    assert len(words) == count, told
    return struct.pack(f">{count}H", *words)


def resolution(point: ModbusPoint, value: float) -> float:
    """Return how far a register may be from what it shows: one count (counters count whole ones), or the rounding of a float."""
    if not point.type.is_float:
        return point.scale * (1.0 if point.name.endswith("/mwh") else 0.5) + 1e-9 * abs(value)
    return abs(value) * (2**-23 if point.type.value == "float32" else 2**-52) + 1e-30


def test_mbpoll_reads_the_truth_in_every_layout(tmp_path: Path) -> None:
    """One device of each layout: type, order, table and base, every one of its points."""
    require("mbpoll", "apt-get install -y mbpoll")

    async def body(field: SimulatedField, clock: SimulatedClock) -> None:
        truth = field.truth()
        seen = set()
        for server in field.devices.modbus:
            for device, base in zip(server.devices, server.base, strict=True):
                points = {(p.kind, p.type, p.order, base, p.name.split("/")[2]): p for p in device.points}
                for layout, point in points.items():
                    if layout in seen:
                        continue
                    seen.add(layout)
                    sent = await asyncio.to_thread(mbpoll, device, point)
                    raw = as_sent(sent, point.order)  # each order is its own inverse
                    number = struct.unpack(
                        ">" + {"i": "bhiq", "u": "BHIQ", "f": "__fd"}[DATA_TYPES[point.type][0][1]][len(raw).bit_length() - 1], raw
                    )[0]
                    value = number * point.scale
                    assert value == pytest.approx(truth[point.name], abs=resolution(point, value)), point
        assert len(seen) > 20

    in_field(tmp_path, body)


def test_an_ordinary_opc_ua_client_reads_the_truth(tmp_path: Path) -> None:
    async def body(field: SimulatedField, clock: SimulatedClock) -> None:
        truth = field.truth()
        for device in field.devices.ua:
            async with Client(device.url, timeout=10) as client:
                index = await client.get_namespace_index(f"urn:gridfuse:simulator:{device.area}")
                nodes = [client.get_node(ua.NodeId(point.name, index)) for point in device.points]
                values = await client.read_attributes(nodes)
                for point, value in zip(device.points, values, strict=True):
                    assert value.StatusCode.is_good()
                    status = point.name.startswith(("switch/", "site/"))
                    assert value.Value.VariantType is (ua.VariantType.Int32 if status else ua.VariantType.Double)
                    assert value.Value.Value == pytest.approx(truth[point.name], abs=6e-4), point.name
                    assert value.SourceTimestamp == datetime.fromtimestamp(NOON_NS // NS_PER_S, UTC)

    in_field(tmp_path, body)


def test_our_own_gateway_reads_every_point(tmp_path: Path) -> None:
    """All devices at once, polled, subscribed to and dialling in; the field stands still, so every value must be the truth."""
    port = free_port()

    async def body(field: SimulatedField, clock: SimulatedClock) -> None:
        points = read_point_list(field.point_list)
        collector = Collector(*points.devices)
        gateway = Gateway(points, SimulatedClock(NOON_NS, 10.0), collector.emit)
        await gateway.start()
        try:
            everything = [point for _, point in points.points()]
            await collector.until(
                lambda: all(collector.is_good(point.name) for point in everything),
                f"all {len(everything)} points good",
                within_s=60.0,
            )
            truth = field.truth()
            assert {point.name for point in everything} == truth.keys()
            for point in everything:
                told = collector.last(point.name)
                assert told is not None
                close = resolution(point, told.value) if isinstance(point, ModbusPoint) else 6e-4
                assert told.value == pytest.approx(truth[point.name], abs=close), point.name
            await gateway.write("unit/101_STEAM_3/setpoint_mw", 55.0)
            await let_pass(field, clock, 3)
            assert field.truth()["unit/101_STEAM_3/setpoint_mw"] == pytest.approx(55.0)
        finally:
            await gateway.stop()

    in_field(tmp_path, body, push_port=port)


def test_a_clock_that_is_set_back_is_found_from_what_the_rtu_pushes(tmp_path: Path) -> None:
    """From the register that holds the time, over the socket and the gateway, to the finding; and back when the clock is right again."""
    port = free_port()

    async def body(field: SimulatedField, clock: SimulatedClock) -> None:
        points = read_point_list(field.point_list)
        rtus = PointList(tuple(device for device in points.devices if isinstance(device, PushDevice)))
        units = {area: AreaIntake(area, rtus.table().of_area(area), {}, 1.0) for area in rtus.table().areas}
        found: list[SourceFinding] = []

        async def take(frame: TelemetryFrame) -> None:
            if frame.area in units:
                found.extend(units[frame.area].take(frame).findings)

        gateway = Gateway(rtus, clock, take)
        await gateway.start()
        try:
            await eventually_async("both speak", lambda: all(unit.last.counters["taken"] > 6 for unit in units.values()))
            for rtu, off_s in (("rtu-1", -HOUR_S), ("rtu-2", HOUR_S)):
                field.inject("clock_off", rtu, 30.0, value=off_s)
            await eventually_async("both are found, and found to be right again", lambda: len(found) >= 4, within_s=30.0)
        finally:
            await gateway.stop()
        jumped = [finding for finding in found if isinstance(finding, SourceClockJumped)]
        assert {(f.device, f.direction) for f in jumped} == {("rtu-1", ClockDirection.BEHIND), ("rtu-2", ClockDirection.AHEAD)}
        assert all(f.jump_s == pytest.approx(HOUR_S, abs=5.0) for f in jumped)
        steady = [finding for finding in found if isinstance(finding, SourceClockSteady)]
        assert {(f.device, f.since_ns) for f in steady} == {(f.device, f.since_ns) for f in jumped}

    in_field(tmp_path, body, running=True, push_port=port, speed=5.0)


def test_rtus_push_valid_frames_with_their_own_clock(tmp_path: Path) -> None:
    """A socket that knows nothing but the specification: MBAP header, function 16, eight registers."""
    order = {"rtu-1": "DCBA", "rtu-2": "BADC", "rtu-3": "CDAB"}
    heard: dict[str, list[tuple[int, float, float]]] = {}

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = re.fullmatch(rb"RTU (rtu-\d)\r\n", await reader.readline())
        assert name is not None
        pushes = heard.setdefault(name[1].decode(), [])
        expected = None
        try:
            while True:
                number, protocol, length = struct.unpack(">HHH", await reader.readexactly(6))
                unit_id, function, address, count, size = struct.unpack(">BBHHB", await reader.readexactly(7))
                assert (protocol, length, unit_id, function, address, count, size) == (0, 23, 1, 16, 0, 8, 16)
                assert expected is None or number == expected
                expected = (number + 1) % 65_536
                data = await reader.readexactly(16)
                letters = order[name[1].decode()]
                (clock_ms,) = struct.unpack(">Q", as_sent(data[:8], letters))
                hz, mw = (struct.unpack(">f", as_sent(data[k : k + 4], letters))[0] for k in (8, 12))
                pushes.append((clock_ms, hz, mw))
                writer.write(struct.pack(">HHHBBHH", number, 0, 6, 1, 16, 0, 8))
        except asyncio.IncompleteReadError:
            writer.close()

    async def body(field: SimulatedField, clock: SimulatedClock) -> None:
        server = await asyncio.start_server(listen, "127.0.0.1", port)
        async with server:
            await eventually_async("five pushes of each", lambda: len(heard) == 3 and min(map(len, heard.values())) >= 5)
            clock.run_until(clock.now_ns())
            await eventually_async("the last of each", lambda: {p[-1][0] for p in heard.values()} == {field.ts_ns // 1_000_000})
            truth = field.truth()
            for name, pushes in heard.items():
                times = [clock_ms for clock_ms, _, _ in pushes]
                assert times == sorted(set(times)), "each step once, in order"
                assert all(ms % 1000 == 0 for ms in times)
                _, hz, mw = pushes[-1]
                assert hz == pytest.approx(truth[f"area/{name[-1]}/hz"], abs=4e-6)
                assert mw == pytest.approx(truth[f"area/{name[-1]}/interchange_mw"], abs=1e-4)
            field.inject("rtu_comms_lost", "rtu-2")
            clock.run_until(clock.now_ns() + 30 * NS_PER_S)
            before = {name: len(pushes) for name, pushes in heard.items()}
            await eventually_async("the others go on", lambda: len(heard["rtu-1"]) >= before["rtu-1"] + 5)
            assert len(heard["rtu-2"]) <= before["rtu-2"] + 1

    # Nobody listens yet when the field starts: the RTUs dial again.
    port = free_port()
    in_field(tmp_path, body, running=True, push_port=port, speed=5.0)


def test_base_points_are_taken_whole_or_not_at_all(tmp_path: Path) -> None:
    """Function 16 to a float, function 6 to a 16-bit register; half a value, nonsense and measurements are refused."""

    async def body(field: SimulatedField, clock: SimulatedClock) -> None:
        wide, wide_point = device_of(field, "unit/101_STEAM_3/setpoint_mw")
        narrow, narrow_point = next(
            (d, p) for s in field.devices.modbus for d in s.devices for p in d.points if p.writable and p.type.registers == 1
        )
        async with AsyncModbusTcpClient(wide.host, port=wide.port) as client:
            words = list(struct.unpack(">HH", struct.pack(">f", 60.0)))
            assert wide_point.order == "ABCD"
            assert not (await client.write_registers(wide_point.address, words, device_id=wide.unit_id)).isError()
            assert (await client.write_register(wide_point.address, words[0], device_id=wide.unit_id)).exception_code == 3
            for bad in (float("nan"), -5.0, 500.0):
                words = list(struct.unpack(">HH", struct.pack(">f", bad)))
                assert (await client.write_registers(wide_point.address, words, device_id=wide.unit_id)).exception_code == 3
            assert (await client.read_input_registers(40, count=1, device_id=wide.unit_id)).exception_code == 2, "a hole"
        async with AsyncModbusTcpClient(narrow.host, port=narrow.port) as client:
            count = round(20.0 / narrow_point.scale)
            echo = await client.write_register(narrow_point.address, count, device_id=narrow.unit_id)
            assert (echo.isError(), echo.registers) == (False, [count])
        locked, measured = next(
            (d, p)
            for s in field.devices.modbus
            for d in s.devices
            for p in d.points
            if p.kind is Kind.HOLDING and not p.writable and p.type.registers == 2
        )
        async with AsyncModbusTcpClient(locked.host, port=locked.port) as client:
            assert (await client.write_registers(measured.address, [0, 0], device_id=locked.unit_id)).exception_code == 2
        await let_pass(field, clock, 2)
        assert field.truth()["unit/101_STEAM_3/setpoint_mw"] == pytest.approx(60.0)
        assert field.truth()[narrow_point.name] == pytest.approx(20.0)

    in_field(tmp_path, body)


def test_a_line_trips_and_its_switches_say_when(tmp_path: Path) -> None:
    """The positions are published at once with the instant of the movement; the flow is gone with the next step."""

    async def body(field: SimulatedField, clock: SimulatedClock) -> None:
        heard: list[tuple[str, Any, datetime]] = []

        class Handler:
            def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
                heard.append((node.nodeid.Identifier, value, data.monitored_item.Value.SourceTimestamp))

        async with Client(field.devices.ua[0].url, timeout=10) as client:
            index = await client.get_namespace_index("urn:gridfuse:simulator:1")
            names = ["switch/A27/from", "switch/A27/to", "branch/A27/from_mw", "site/MAIN", "site/BACKUP"]
            subscription = await client.create_subscription(20, Handler())
            await subscription.subscribe_data_change([client.get_node(ua.NodeId(name, index)) for name in names])
            await eventually_async("first values", lambda: len(heard) >= len(names))
            assert abs({name: value for name, value, _ in heard}["branch/A27/from_mw"]) > 1.0
            heard.clear()
            fault = field.inject("line_trip", "A27", 3.0)
            opened = datetime.fromtimestamp(fault.at_ns / NS_PER_S, UTC)
            await eventually_async("both ends open", lambda: sum(value == 1 for name, value, _ in heard if name.startswith("switch")) == 2)
            assert all(abs((when - opened).total_seconds()) < 1e-5 for name, _, when in heard if name.startswith("switch"))
            await let_pass(field, clock, 1)
            await eventually_async("no flow", lambda: ("branch/A27/from_mw", 0.0) in [(name, value) for name, value, _ in heard])
            heard.clear()
            await let_pass(field, clock, 5)
            await eventually_async("closed again", lambda: sum(value == 2 for name, value, _ in heard if name.startswith("switch")) == 2)
            closed = datetime.fromtimestamp((fault.at_ns + 3 * NS_PER_S) / NS_PER_S, UTC)
            assert all(abs((when - closed).total_seconds()) < 1e-5 for name, _, when in heard if name.startswith("switch"))
            heard.clear()
            field.inject("switchover")
            await let_pass(field, clock, 4)
            await eventually_async("the backup claims", lambda: ("site/BACKUP", 1) in [(name, value) for name, value, _ in heard])
            sites = [(name, value) for name, value, _ in heard if name.startswith("site")]
            assert sites == [("site/MAIN", 0), ("site/BACKUP", 1)]

    in_field(tmp_path, body)


def test_devices_fall_silent_refuse_and_lie(tmp_path: Path) -> None:
    async def body(field: SimulatedField, clock: SimulatedClock) -> None:
        steam, point = device_of(field, "unit/101_STEAM_3/mw")

        async def read() -> float:
            async with AsyncModbusTcpClient(steam.host, port=steam.port, timeout=0.3, retries=0, reconnect_delay=0) as client:
                reply = await client.read_input_registers(point.address, count=2, device_id=steam.unit_id)
                assert not reply.isError()
                return float(struct.unpack(">f", struct.pack(">HH", *reply.registers))[0])

        async def mended() -> bool:
            try:
                await read()
            except (ModbusIOException, OSError):
                return False
            return True

        truth = field.truth()[point.name]
        assert truth > 10.0
        assert await read() == pytest.approx(truth, rel=1e-6)

        field.inject("device_lying", "plant-101", 10.0, mode="factor", value=1.5)
        await eventually_async("it lies", lambda: field.lying("plant-101"))
        assert await read() == pytest.approx(1.5 * truth, rel=1e-6)
        assert field.truth()[point.name] == truth

        await let_pass(field, clock, 11)
        assert not field.lying("plant-101")
        field.inject("device_silent", "plant-101", 5.0)
        await asyncio.sleep(0.05)
        with pytest.raises(ModbusIOException):
            await read()
        with socket.create_connection((steam.host, steam.port), timeout=2):
            pass  # it still accepts connections

        await let_pass(field, clock, 6)
        assert await mended()
        field.inject("device_lying", "plant-101", 5.0, mode="frozen")
        await eventually_async("it is frozen", lambda: field.lying("plant-101"))
        held = await read()
        await let_pass(field, clock, 4)
        assert await read() == held != pytest.approx(field.truth()[point.name], rel=1e-7)
        await let_pass(field, clock, 2)
        assert await read() == pytest.approx(field.truth()[point.name], rel=1e-6)

        field.inject("device_down", "plant-101", 5.0)
        await asyncio.sleep(0.05)
        with pytest.raises(ConnectionRefusedError), socket.create_connection((steam.host, steam.port), timeout=2):
            pass
        await let_pass(field, clock, 6)
        assert await mended()

    in_field(tmp_path, body)


def test_one_silent_device_behind_a_gateway_leaves_its_neighbours_alone(tmp_path: Path) -> None:
    async def body(field: SimulatedField, clock: SimulatedClock) -> None:
        gateway = next(server for server in field.devices.modbus if len(server.devices) > 2)
        quiet, gone, well = gateway.devices[:3]
        field.inject("device_silent", quiet.name)
        field.inject("device_down", gone.name)
        await asyncio.sleep(0.05)
        async with AsyncModbusTcpClient(well.host, port=well.port, timeout=0.3, retries=0, reconnect_delay=0) as client:
            read = {Kind.HOLDING: client.read_holding_registers, Kind.INPUT: client.read_input_registers}

            async def ask(device: ModbusDevice) -> Any:
                point = device.points[0]
                return await read[point.kind](point.address, count=point.type.registers, device_id=device.unit_id)

            assert not (await ask(well)).isError()
            with pytest.raises(ModbusIOException):
                await ask(quiet)
            assert (await ask(gone)).exception_code == 0x0B
            assert not (await ask(well)).isError()

    in_field(tmp_path, body)


def test_an_opc_ua_server_falls_silent_and_comes_back(tmp_path: Path) -> None:
    async def body(field: SimulatedField, clock: SimulatedClock) -> None:
        device = field.devices.ua[1]

        async def read() -> float:
            async with asyncio.timeout(5), Client(device.url, timeout=1) as client:
                index = await client.get_namespace_index("urn:gridfuse:simulator:2")
                return float(await client.get_node(ua.NodeId("bus/201/kv", index)).read_value())

        assert 100.0 < await read() < 160.0
        for kind in ("device_silent", "device_down"):
            field.inject(kind, device.name, 5.0)
            await asyncio.sleep(0.05)
            with pytest.raises((TimeoutError, OSError, asyncio.CancelledError)):
                await read()
            await let_pass(field, clock, 6)
            assert 100.0 < await read() < 160.0

    in_field(tmp_path, body)


def test_a_restart_goes_on_where_the_field_was(tmp_path: Path) -> None:
    """Counters do not fall back, what was broken by hand is still broken, and the script's past stands with its own times."""
    kept: dict[str, float] = {}
    data = {"faults": [{"at": "1m", "kind": "line_trip", "target": "A30"}, {"at": "2m", "kind": "clearing_fails", "for": "60m"}]}
    script = script_of(data, NOON_NS - 10 * NS_PER_MIN, field_targets(CASE))

    async def first(field: SimulatedField, clock: SimulatedClock) -> None:
        field.inject("line_trip", "A27", at_ns=NOON_NS - 5)
        await let_pass(field, clock, 20)
        kept.update(field.truth())
        assert field.clearing_fault(NOON_NS) == "error"

    async def second(field: SimulatedField, clock: SimulatedClock) -> None:
        truth = field.truth()
        assert truth["switch/A27/from"] == truth["switch/A30/to"] == 1.0
        assert truth["branch/A27/from_mw"] == truth["branch/A30/from_mw"] == 0.0
        hours = 40.0 / 3600.0
        unit = "101_STEAM_3"
        grown = truth[f"unit/{unit}/mwh"] - kept[f"unit/{unit}/mwh"]
        assert grown == pytest.approx(hours * kept[f"unit/{unit}/mw"], rel=0.1)
        async with Client(field.devices.ua[0].url, timeout=10) as client:
            index = await client.get_namespace_index("urn:gridfuse:simulator:1")
            value = await client.get_node(ua.NodeId("switch/A30/from", index)).read_data_value()
            assert value.SourceTimestamp == datetime.fromtimestamp((NOON_NS - 9 * NS_PER_MIN) // NS_PER_S, UTC)

    in_field(tmp_path, first, script=script)
    in_field(tmp_path, second, script=script, start_ns=NOON_NS + 60 * NS_PER_S)


COMMAND = """
import sys, typer
from console.simulate import register
app = typer.Typer()
register(app)
app.callback()(lambda: None)
app()
"""


def simulate(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "simulate", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_the_command_serves_until_interrupted_and_names_a_taken_port(tmp_path: Path) -> None:
    command = simulate("--data", str(tmp_path / "a"), "--speed", "10", "--start", "2026-06-10T12:00:00+08:00")
    assert command.stdout is not None
    told: list[str] = []
    for line in command.stdout:
        told.append(line)
        if line.startswith("stop"):
            break
    command.send_signal(signal.SIGINT)
    told.append(command.communicate(timeout=20)[0])
    text = "".join(told)
    assert command.returncode == 0, text
    assert "plant-101" in text
    assert "2026-06-10T12:00" in text
    assert "Traceback" not in text
    assert read_point_list(tmp_path / "a" / "field-points.yaml").devices

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = simulate("--data", str(tmp_path / "b"), "--base-port", str(port))
        text = refused.communicate(timeout=60)[0]
    assert refused.returncode == 2
    assert str(port) in text
    assert "--base-port" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--start", "noon"], "--start"),
        (["--speed", "0"], "--speed"),
        (["--push", "nowhere"], "--push"),
        (["--script", "missing.yaml"], "missing.yaml"),
    ],
)
def test_a_wrong_flag_is_named(tmp_path: Path, arguments: list[str], says: str) -> None:
    refused = simulate("--data", str(tmp_path), *arguments)
    text = refused.communicate(timeout=60)[0]
    assert refused.returncode == 2
    assert says in text
    assert "Traceback" not in text
