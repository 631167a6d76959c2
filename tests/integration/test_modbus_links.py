"""Lines and links: several requests on their way, RTU over TCP and serial lines, TLS, and what real devices need."""

from __future__ import annotations

import asyncio
import os
import select
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType as Sim
from pymodbus.simulator import SimData, SimDevice

from ingest.addresses import Address, Framing, Manners, SerialLine, Tls
from ingest.devices import Kind
from ingest.errors import DeviceRefused, DeviceSilent
from ingest.modbus.exchange import Exchange
from ingest.modbus.frames import read_request
from ingest.modbus.link import ModbusLink
from ingest.modbus.rtu import encode_rtu
from market.units import NS_PER_MS
from tests.kit.certificates import Authority
from tests.kit.field import Collector, free_port, modbus_device, modbus_point, running, source_into, turning
from tests.kit.libmodbus import libmodbus_rtu_slave, libmodbus_server
from tests.kit.modbus_slave import Asked, Piece, slave
from tests.kit.require import require

pytestmark = pytest.mark.integration


def scattered(count: int, **changes: Any) -> list[Any]:
    """Points that are blocks of their own where holes are not read."""
    return [modbus_point(f"p{n}", 8 * n, period_ns=200 * NS_PER_MS, **changes) for n in range(count)]


# ---- several requests on their way ------------------------------------------------------------------------------------------


def test_a_server_that_answers_ahead_is_sent_ahead(tmp_path: Path) -> None:
    async def main() -> None:
        with libmodbus_server("bandwidth-server-many-up", tmp_path) as (port, _):
            async with running(modbus_device(port, *scattered(16), manners=Manners(hole_max=0))) as (gateway, out):
                [link] = gateway._links.values()
                await out.until(lambda: link.depth == 16, "sixteen at a time")
                await out.until(lambda: len(out.samples["p15"]) > 3, "it goes on")
                assert all(not samples or {each.quality for each in samples} == {"Good"} for samples in out.samples.values())
                assert gateway.health()[0].refused == {}

    asyncio.run(main())


def test_a_server_that_answers_the_first_of_several_only_is_found_out_without_losing_a_sample() -> None:
    """Pymodbus's own server: of several requests in one segment it answers the first."""

    async def main() -> None:
        port = free_port()
        device = SimDevice(id=1, simdata=[SimData(0, values=list(range(500)), datatype=Sim.REGISTERS)])
        server = ModbusTcpServer([device], address=("127.0.0.1", port))
        await server.serve_forever(background=True)
        try:
            async with running(modbus_device(port, *scattered(16), timeout_s=0.3, manners=Manners(hole_max=0))) as (gateway, out):
                [link] = gateway._links.values()
                await out.until(lambda: link._shallows == 1, "it was found out")
                await out.until(lambda: len(out.samples["p15"]) > 5, "it goes on")
                for n in range(16):
                    assert {(each.quality, each.value) for each in out.samples[f"p{n}"]} == {("Good", 8.0 * n)}
        finally:
            await server.shutdown()

    asyncio.run(main())


# ---- RTU over TCP -----------------------------------------------------------------------------------------------------------


class RtuPeer:
    """RTU over TCP; register n holds n; each reply is as late as told."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.late_s: list[float] = []
        self.twice = False
        self.answered = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                request = await reader.readexactly(8)
                unit, function, address, count = struct.unpack(">BBHH", request[:6])
                data = b"".join(n.to_bytes(2, "big") for n in range(address, address + count))
                if self.late_s:
                    await asyncio.sleep(self.late_s.pop(0))
                writer.write(encode_rtu(unit, bytes([function, len(data)]) + data) * (2 if self.twice else 1))
                self.answered += 1
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()


@asynccontextmanager
async def rtu_peer() -> AsyncIterator[RtuPeer]:
    peer = RtuPeer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()


def rtu_over_tcp(port: int) -> Address:
    return Address(host="127.0.0.1", port=port, framing=Framing.RTU)


def test_a_late_rtu_reply_is_never_taken_for_the_next_answer() -> None:
    """The trap of the trade: nothing in an RTU reply says what it answers. Every request of one shape, replies of any lateness."""

    async def main() -> None:
        async with rtu_peer() as peer, turning() as turns:
            source = source_into(Collector())
            link = ModbusLink(rtu_over_tcp(peer.port), turns)
            peer.late_s = [0.0, 0.15, 0.0, 0.12, 0.0, 0.0, 0.3, 0.11, 0.0] * 3
            answered, address = 0, 10
            deadline_s = time.monotonic() + 20.0
            while peer.late_s and time.monotonic() < deadline_s:
                address += 1
                try:
                    data = await link.exchange(read_request(1, Kind.HOLDING, address, 1), source, 0.1)
                except DeviceSilent:
                    await asyncio.sleep(0.02)
                    continue
                assert data == address.to_bytes(2, "big"), "another register's value"
                answered += 1
            assert answered == 15
            assert peer.connections >= 5, "a line on which a reply is owed is cut off"
            link.close()

    asyncio.run(main())


def test_a_reply_that_comes_twice_is_noticed_and_answers_nothing_else() -> None:
    async def main() -> None:
        async with rtu_peer() as peer, turning() as turns:
            peer.twice = True
            source = source_into(Collector())
            link = ModbusLink(rtu_over_tcp(peer.port), turns)
            for address in range(10, 30):
                data = await link.exchange(read_request(1, Kind.HOLDING, address, 1), source, 0.5)
                assert data == address.to_bytes(2, "big")
            assert source.refused["unasked"] >= 1
            link.close()

    asyncio.run(main())


def test_rtu_over_tcp_of_another_hand() -> None:
    async def main() -> None:
        port = free_port()
        device = SimDevice(id=7, simdata=[SimData(0, values=list(range(500)), datatype=Sim.REGISTERS)])
        server = ModbusTcpServer([device], framer=FramerType.RTU, address=("127.0.0.1", port))
        await server.serve_forever(background=True)
        try:
            meter = modbus_device(0, *scattered(4), modbus_point("away", 5000), address=rtu_over_tcp(port), unit_id=7)
            async with running(meter) as (_, out):
                await out.until(lambda: all(len(out.good(f"p{n}")) >= 3 for n in range(4)), "three polls")
                assert {out.good(f"p{n}")[0] for n in range(4)} == {0.0, 8.0, 16.0, 24.0}
                assert out.last("away") is not None
                assert not out.good("away")
        finally:
            await server.shutdown()

    asyncio.run(main())


# ---- a serial line ----------------------------------------------------------------------------------------------------------


def test_a_meter_on_a_serial_line_reads_as_mbpoll_reads_it(tmp_path: Path) -> None:
    mbpoll = require("mbpoll", "apt-get install -y mbpoll")
    with libmodbus_rtu_slave(tmp_path) as line:
        told = subprocess.run(
            [mbpoll, "-m", "rtu", "-b", "19200", "-P", "none", "-a", "5", "-0", "-r", "40", "-c", "2", "-t", "4", "-1", "-q", str(line)],
            check=True, capture_output=True, text=True, timeout=20,
        )  # fmt: skip
        assert [row.split(":")[1].strip() for row in told.stdout.splitlines() if row.startswith("[")] == ["40", "41"]

        async def main() -> None:
            address = Address(host=str(line), framing=Framing.RTU, line=SerialLine(baud=19_200, parity="N"))
            points = [modbus_point("p40", 40), modbus_point("p41", 41), modbus_point("away", 900)]
            async with running(modbus_device(0, *points, address=address, unit_id=5)) as (gateway, out):
                await out.until(lambda: len(out.good("p41")) >= 4, "four polls")
                assert (out.good("p40")[0], out.good("p41")[0]) == (40.0, 41.0)
                assert out.last("away").quality == "Bad_ConfigurationError"  # type: ignore[union-attr]
                assert gateway.health()[0].reconnects == 0

        asyncio.run(main())


@contextmanager
def line_with(late_s: Sequence[float]) -> Iterator[str]:
    """A serial line with a slave at its other end whose replies are as late as told; register n holds n."""
    near, far = os.openpty()
    over = threading.Event()
    lateness = list(late_s)

    def serve() -> None:
        buffer = b""
        while not over.is_set():
            if not select.select([near], [], [], 0.05)[0]:
                continue
            try:
                buffer += os.read(near, 64)
            except OSError:
                time.sleep(0.01)  # nobody has the line open
                continue
            while len(buffer) >= 8:
                unit, function, address, count = struct.unpack(">BBHH", buffer[:6])
                buffer = buffer[8:]
                time.sleep(lateness.pop(0) if lateness else 0.0)
                data = b"".join(n.to_bytes(2, "big") for n in range(address, address + count))
                os.write(near, encode_rtu(unit, bytes([function, len(data)]) + data))

    slave_thread = threading.Thread(target=serve, daemon=True)
    slave_thread.start()
    try:
        yield os.ttyname(far)
    finally:
        over.set()
        slave_thread.join()  # before its line is closed under it: it may be answering late still
        os.close(far)
        os.close(near)


def test_a_line_that_cannot_be_set_as_told_is_said_so() -> None:
    with line_with([]) as path:

        async def main() -> None:
            async with turning() as turns:
                link = ModbusLink(Address(host=path, framing=Framing.RTU, line=SerialLine(parity="E")), turns)
                with pytest.raises(DeviceSilent, match="cannot be set to 19200 baud, parity E"):
                    await link.exchange(read_request(1, Kind.HOLDING, 1, 1), source_into(Collector()), 0.5)
                link.close()
            async with turning() as turns:
                link = ModbusLink(Address(host=path + "0000", framing=Framing.RTU, line=SerialLine()), turns)
                with pytest.raises(DeviceSilent, match="no connection to"):
                    await link.exchange(read_request(1, Kind.HOLDING, 1, 1), source_into(Collector()), 0.5)

        asyncio.run(main())


def test_a_late_reply_on_a_serial_line_is_never_taken_for_the_next_answer() -> None:
    with line_with([0.0, 0.0, 0.15, 0.0, 0.0, 0.13, 0.0] * 3) as path:

        async def main() -> None:
            async with turning() as turns:
                address = Address(host=path, framing=Framing.RTU, line=SerialLine(parity="N"))
                source = source_into(Collector())
                link = ModbusLink(address, turns)
                answered = 0
                for register in range(10, 31):
                    try:
                        data = await link.exchange(read_request(1, Kind.HOLDING, register, 1), source, 0.1)
                    except DeviceSilent:
                        continue
                    assert data == register.to_bytes(2, "big"), "another register's value"
                    answered += 1
                assert answered >= 8
                link.close()

        asyncio.run(main())


# ---- TLS --------------------------------------------------------------------------------------------------------------------


def test_devices_behind_tls_each_side_known_to_the_other(tmp_path: Path) -> None:
    socat = require("socat", "apt-get install -y socat")
    ours, strangers = Authority("Gridfuse test", tmp_path / "ours"), Authority("somebody", tmp_path / "strangers")
    meter, client = ours.issue("meter-1"), ours.issue("gridfuse")
    forged, stranger = strangers.issue("meter-1"), strangers.issue("gridfuse")

    @contextmanager
    def behind_tls(pem: Path, key: Path, to: int) -> Iterator[int]:
        port = free_port()
        listen = f"OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,cert={pem},key={key},cafile={ours.pem},verify=1"
        process = subprocess.Popen([socat, listen, f"TCP:127.0.0.1:{to}"], stderr=subprocess.DEVNULL)
        time.sleep(0.3)
        try:
            yield port
        finally:
            process.kill()
            process.wait()

    async def read(port: int, tls: Tls) -> bytes:
        async with turning() as turns:
            link = ModbusLink(Address(host="127.0.0.1", port=port, tls=tls), turns)
            try:
                return await link.exchange(read_request(1, Kind.HOLDING, 0, 125), source_into(Collector()), 2.0)
            finally:
                link.close()

    with libmodbus_server("bandwidth-server-many-up", tmp_path) as (plain, _), behind_tls(*meter, plain) as port:
        known = Tls(ca=str(ours.pem), cert=str(client[0]), key=str(client[1]), server_name="meter-1")
        assert len(asyncio.run(read(port, known))) == 250
        with pytest.raises(DeviceSilent, match=r"certificate verify failed|meter-2"):
            asyncio.run(read(port, Tls(ca=str(ours.pem), cert=str(client[0]), key=str(client[1]), server_name="meter-2")))
        with pytest.raises(DeviceSilent, match=r"closed|broke|alert|EOF"):
            asyncio.run(read(port, Tls(ca=str(ours.pem), cert=str(stranger[0]), key=str(stranger[1]), server_name="meter-1")))
        with behind_tls(*forged, plain) as forged_port, pytest.raises(DeviceSilent, match="certificate verify failed"):
            asyncio.run(read(forged_port, known))
    assert ssl.HAS_TLSv1_3


# ---- what real devices need -------------------------------------------------------------------------------------------------


def test_what_a_device_needs_it_gets() -> None:
    async def main() -> None:
        async with slave() as peer, turning() as turns:
            at: list[float] = []

            def noting(asked: Asked) -> Sequence[Piece]:
                at.append(time.monotonic())
                return [b"\0\0" + asked.reply[2:]]

            peer.script = noting
            manners = Manners(pause_after_connect_s=0.2, gap_s=0.05, transaction_zero=True)
            link = ModbusLink(Address(host="127.0.0.1", port=peer.port), turns, manners)
            source = source_into(Collector())
            begin_s = time.monotonic()
            answers = [link.exchange(read_request(1, Kind.HOLDING, address, 1), source, 1.0) for address in range(5)]
            values = await asyncio.gather(*answers)
            assert sorted(values) == [address.to_bytes(2, "big") for address in range(5)]
            assert at[0] - begin_s >= 0.2
            assert min(b - a for a, b in pairwise(at)) >= 0.045
            assert source.refused == {}
            link.close()

    asyncio.run(main())


def test_one_point_at_a_time_and_a_connection_for_each_poll() -> None:
    async def main() -> None:
        async with slave() as peer:
            manners = Manners(one_point_per_request=True, close_after_poll=True)
            points = [modbus_point(f"p{n}", n, period_ns=100 * NS_PER_MS) for n in range(3)]
            async with running(modbus_device(peer.port, *points, manners=manners)) as (gateway, out):
                await out.until(lambda: len(out.good("p2")) >= 4, "four polls")
                assert {asked.pdu[3:5] for asked in peer.asked} == {b"\0\1"}
                assert peer.connections >= 4
                assert all(not out.is_bad(f"p{n}") for n in range(3))
                assert gateway.health()[0].available

    asyncio.run(main())


def test_what_a_device_taught_outlives_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async with slave() as peer:

            def hole(asked: Asked) -> Sequence[Piece]:
                count = int.from_bytes(asked.pdu[3:5], "big")
                if asked.address <= 5 < asked.address + count:
                    return [asked.reply[:4] + b"\0\3" + asked.reply[6:7] + bytes([asked.pdu[0] | 0x80, 2])]
                return [asked.reply]

            peer.script = hole
            points = [modbus_point(f"p{n}", n, period_ns=100 * NS_PER_MS) for n in (0, 1, 5, 9)]
            for refusals in (True, False):
                async with running(modbus_device(peer.port, *points), memory=tmp_path / "taught") as (gateway, out):
                    await out.until(lambda out=out: len(out.good("p9")) >= 3 and out.is_bad("p5"), "three polls")
                    assert bool(gateway.health()[0].refused) == refusals
            assert {asked.pdu for asked in peer.asked[-4:]} == {b"\3\0\0\0\2", b"\3\0\11\0\1"}

    asyncio.run(main())


def test_a_request_that_nobody_waits_for_any_more_is_not_sent() -> None:
    async def main() -> None:
        async with slave() as peer, turning() as turns:
            peer.script = lambda asked: [0.2, asked.reply]
            source, told = source_into(Collector()), list[Any]()
            link = ModbusLink(Address(host="127.0.0.1", port=peer.port), turns)
            first = asyncio.create_task(link.exchange(read_request(1, Kind.HOLDING, 1, 1), source, 1.0))
            await asyncio.sleep(0.05)
            second = Exchange(read_request(1, Kind.HOLDING, 2, 1), source, 1.0, lambda *what: told.append(what))
            assert link.submit(second) is None
            assert link.withdraw(second)
            assert not link.withdraw(second)
            assert await first == b"\0\1"
            peer.script = lambda asked: [asked.reply[:4] + b"\0\3\1\x83\1"]
            with pytest.raises(DeviceRefused):
                await link.exchange(read_request(1, Kind.HOLDING, 3, 1), source, 1.0)
            assert [asked.address for asked in peer.asked] == [1, 3]
            assert told == []
            link.close()

    asyncio.run(main())
