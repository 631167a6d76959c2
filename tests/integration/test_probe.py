"""``gridfuse ingest probe`` against servers nobody here wrote, and against one of ours that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import typer
from pymodbus.constants import ExcCodes
from pymodbus.pdu.device import ModbusDeviceIdentification
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType as SimType
from pymodbus.simulator import SimData, SimDevice
from typer.testing import CliRunner

from console.ingest import ingest_group
from console.probe import register
from ingest.addresses import Address, Framing, SerialLine
from ingest.devices import Kind, Order
from ingest.modbus.probing.findings import Findings
from ingest.modbus.probing.listing import listing
from ingest.modbus.probing.orders import Certainty
from ingest.modbus.probing.ranges import Extent
from ingest.modbus.probing.run import probe
from ingest.modbus.probing.strategy import ProbePlan
from ingest.pointlist import read_point_list
from tests.kit.eventually import eventually_async
from tests.kit.field import free_port
from tests.kit.libmodbus import libmodbus_rtu_slave, libmodbus_server
from tests.kit.modbus_slave import CLOSE, Asked, Piece, behave, slave
from tests.kit.unknown_device import float_words

pytestmark = pytest.mark.integration


async def probed(port: int, **plan: object) -> Findings:
    given: dict[str, object] = {"units": (1,), "pause_s": 0.05, "requests_max": 3000} | plan
    findings = Findings()
    await probe(Address(host="127.0.0.1", port=port), ProbePlan(**given), findings, timeout_s=0.5, gap_s=0.0)  # type: ignore[arg-type]
    return findings


def test_a_server_by_libmodbus_that_answers_every_unit(tmp_path: Path) -> None:
    with libmodbus_server("bandwidth-server-many-up", tmp_path) as (port, _):
        findings = asyncio.run(probed(port, units=(1, 255, 0)))
    assert findings.found.is_blind
    [unit] = findings.units
    holding = unit.tables[Kind.HOLDING]
    assert (holding.extents, holding.longest) == ([Extent(0, 125)], 125)
    assert unit.tables[Kind.COIL].extents == [Extent(0, 2000)]
    assert findings.depth is not None
    assert (findings.depth.depth, findings.depth.answered) == (16, 40)


def test_the_server_by_libmodbus_that_misbehaves_on_purpose(tmp_path: Path) -> None:
    """Two of its registers answer with a wrong number and after half a second; neither makes it lose the others."""
    with libmodbus_server("unit-test-server", tmp_path) as (port, _):
        findings = asyncio.run(probed(port, units=(17,), scan=range(0x100, 0x200)))
    [unit] = findings.units
    assert [(e.start, e.end) for e in unit.tables[Kind.HOLDING].extents] == [(0x160, 0x180)]
    assert [(e.start, e.end) for e in unit.tables[Kind.COIL].extents] == [(0x130, 0x155)]
    assert [(e.start, e.end) for e in unit.tables[Kind.DISCRETE].extents] == [(0x1C4, 0x1DA)]
    assert [(e.start, e.end) for e in unit.tables[Kind.INPUT].extents] == [(0x108, 0x109)]


def test_a_slave_by_libmodbus_on_a_serial_line(tmp_path: Path) -> None:
    with libmodbus_rtu_slave(tmp_path) as line:
        address = Address(host=str(line), framing=Framing.RTU, line=SerialLine(baud=19_200, parity="N"))
        plan = ProbePlan(units=(4, 5), scan=range(12), pause_s=0.05, pipelines=False, tables=(Kind.HOLDING,))
        findings = Findings()
        asyncio.run(probe(address, plan, findings, timeout_s=0.3, gap_s=0.0))
    assert (findings.found.silent, findings.found.answering) == ([4], [5])
    [unit] = findings.units
    assert unit.tables[Kind.HOLDING].extents[0].start == 0
    assert unit.tables[Kind.HOLDING].words[7] == 7
    assert findings.depth is None


@asynccontextmanager
async def meter() -> AsyncIterator[int]:
    """A meter by pymodbus: floats with the low word first that move, and at most forty registers in a reply."""
    moved = 0.0

    async def act(function: int, start: int, address: int, count: int, registers: list[int], written: object) -> ExcCodes | None:
        nonlocal moved
        if count > 40:
            return ExcCodes.ILLEGAL_VALUE
        moved += 0.0003
        words = [w for v in (230.1, 229.8, 231.4, 49.98) for w in reversed(float_words(v * (1 + moved)))]
        if function == 4:
            registers[: len(words)] = words
        return None

    blank = [SimData(0, values=False, datatype=SimType.BITS)]
    inputs = [SimData(300, values=[0] * 100, datatype=SimType.REGISTERS)]
    device = SimDevice(id=3, simdata=(blank, blank, [SimData(0, datatype=SimType.INVALID)], inputs), action=act)
    about = ModbusDeviceIdentification(info_name={"VendorName": "Acme", "ProductCode": "PM5", "MajorMinorRevision": "1.2"})
    port = free_port()
    server = ModbusTcpServer([device], address=("127.0.0.1", port), identity=about)
    await server.serve_forever(background=True)
    try:
        yield port
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]
        await asyncio.sleep(0)


def test_a_meter_by_pymodbus_is_found_out_and_its_list_can_be_read(tmp_path: Path) -> None:
    async def look() -> tuple[int, Findings]:
        async with meter() as port:
            return port, await probed(port, units=(1, 2, 3))

    port, findings = asyncio.run(look())
    assert findings.found.answering == [3]
    [unit] = findings.units
    assert unit.identification["vendor"] == "Acme"
    inputs = unit.tables[Kind.INPUT]
    assert (inputs.extents, inputs.longest, inputs.is_limit) == ([Extent(300, 400)], 40, True)
    assert unit.order is not None
    assert (unit.order.order, unit.order.certainty) == (Order.CDAB, Certainty.LIKELY)
    assert findings.depth is not None
    assert findings.depth.depth == 1, "pymodbus answers the first of several in one piece"
    path = tmp_path / "points.yaml"
    path.write_text(listing(findings, f"modbus+tcp://127.0.0.1:{port}", name="m", area="1", device={}))
    [device] = read_point_list(path).devices
    assert [point.name for point in device.points][:4] == [f"probe/m/input/{at}" for at in (300, 302, 304, 306)]


def test_it_never_writes_and_keeps_to_its_cap() -> None:
    async def look() -> tuple[list[Asked], Findings]:
        async with slave() as it:
            findings = await probed(it.port, requests_max=200)
            return it.asked, findings

    asked, findings = asyncio.run(look())
    assert findings.cut_short
    assert 150 < len(asked) <= 200
    assert {each.pdu[0] for each in asked} <= {1, 2, 3, 4, 0x2B}


def test_a_peer_that_hangs_up_on_units_it_does_not_have_is_found_all_the_same() -> None:
    def hang_up(asked: Asked) -> Sequence[Piece]:
        return behave(asked) if asked.unit == 3 else [CLOSE]

    async def look() -> Findings:
        async with slave() as it:
            it.script = hang_up
            return await probed(it.port, units=(1, 2, 3), requests_max=80)

    findings = asyncio.run(look())
    assert findings.found.answering == [3]


def test_a_look_that_is_cancelled_has_told_what_it_found(tmp_path: Path) -> None:
    findings = Findings()

    async def look() -> None:
        async with slave() as it:
            plan = ProbePlan(units=(1,), requests_max=3000)
            looking = asyncio.create_task(probe(Address(host="127.0.0.1", port=it.port), plan, findings, gap_s=0.001))
            await eventually_async("a hundred requests", lambda: len(it.asked) > 100)
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    asyncio.run(look())
    assert findings.cut_short
    assert findings.asked > 100
    path = tmp_path / "points.yaml"
    path.write_text(listing(findings, "modbus+tcp://127.0.0.1:1502", name="m", area="1", device={}))
    assert read_point_list(path).devices


def command() -> typer.Typer:
    app = typer.Typer()
    register(ingest_group(app))
    return app


def test_nobody_there_is_said_with_what_to_try() -> None:
    result = CliRunner().invoke(command(), ["ingest", "probe", f"modbus+tcp://127.0.0.1:{free_port()}"])
    assert result.exit_code == 1
    assert "no connection to" in result.stderr
    assert "look whether host and port are right" in result.stderr


def test_a_point_list_is_printed_and_can_be_checked(tmp_path: Path) -> None:
    out = tmp_path / "points.yaml"
    with libmodbus_server("bandwidth-server-many-up", tmp_path) as (port, _):
        given = ["--unit", "9", "--tables", "holding", "--scan", "0..50", "--gap", "1ms", "--out", str(out)]
        result = CliRunner().invoke(command(), ["ingest", "probe", f"modbus+tcp://127.0.0.1:{port}", *given])
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing written" in result.stderr
    [device] = read_point_list(out).devices
    assert [point.name for point in device.points] == ["probe/probed/holding/0"]
