"""Devices that dial in, by peers nobody here wrote: mbpoll writes to us; socat dials for libmodbus, its server and its slave on a line."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.addresses import Address, DialIn, Framing, Reception
from ingest.devices import DataType, Kind
from market.units import NS_PER_MS
from tests.kit.field import free_port, modbus_device, modbus_point, push_device, running
from tests.kit.libmodbus import libmodbus_rtu_slave, libmodbus_server
from tests.kit.require import require

pytestmark = pytest.mark.integration


@contextmanager
def socat(*ends: str) -> Iterator[subprocess.Popen[bytes]]:
    """Join two ends."""
    process = subprocess.Popen([require("socat", "apt-get install -y socat"), *ends], stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def mbpoll(port: int, *what: str) -> subprocess.CompletedProcess[str]:
    """Write once; addresses count from 0."""
    command = [require("mbpoll", "apt-get install -y mbpoll"), "-0", "-m", "tcp", "-p", str(port), "-a", "1", "-q"]
    return subprocess.run([*command, *what], capture_output=True, text=True, timeout=20, check=False)


def test_what_mbpoll_writes_is_published_and_what_is_not_ours_is_refused() -> None:
    """It says nothing of itself: it is known by its address. Functions 16, 6, 15 and 5."""
    port = free_port()
    points = (
        modbus_point("mb/a", 4),
        modbus_point("mb/b", 5),
        *(modbus_point(f"mb/on{n}", n, DataType.BOOL, kind=Kind.COIL) for n in (20, 21, 22)),
    )
    device = push_device(port, *points, name="mb", register="address", id="127.0.0.1")

    async def main() -> None:
        async with running(device) as (gateway, out):

            async def write(*what: str) -> subprocess.CompletedProcess[str]:
                return await asyncio.to_thread(mbpoll, port, *what)

            for what, expected in (
                (("-t", "4", "-r", "4", "127.0.0.1", "2305", "7"), {"mb/a": [2305.0], "mb/b": [7.0]}),
                (("-t", "4", "-r", "5", "127.0.0.1", "8"), {"mb/b": [7.0, 8.0]}),
                (("-t", "0", "-r", "20", "127.0.0.1", "1", "0", "1"), {"mb/on20": [1.0], "mb/on21": [0.0], "mb/on22": [1.0]}),
                (("-t", "0", "-r", "21", "127.0.0.1", "1"), {"mb/on21": [0.0, 1.0]}),
            ):
                done = await write(*what)
                assert done.returncode == 0, done.stderr
                await out.until(lambda expected=expected: all(out.good(name) == said for name, said in expected.items()), str(what))
            refused = await write("-t", "4", "-r", "100", "127.0.0.1", "1")
            assert "Illegal data address" in refused.stderr
            refused = await write("-t", "0", "-r", "4", "127.0.0.1", "1")
            assert "Illegal data address" in refused.stderr
            assert "Illegal function" in (await write("-t", "4", "-r", "4", "-1", "127.0.0.1")).stderr
            [health] = [each for each in gateway.health() if each.device == "mb"]
            assert health.refused == {"address": 2, "function": 1}

    asyncio.run(main())


def by_address(port: int, framing: Framing) -> Address:
    reception = Reception(register="address")
    return Address(host="127.0.0.1", port=port, framing=framing, dial_in=DialIn(id="127.0.0.1", reception=reception))


def test_libmodbus_behind_socat_that_dials_in(tmp_path: Path) -> None:
    async def main() -> None:
        port = free_port()
        points = [modbus_point(f"p{n}", 8 * n, period_ns=200 * NS_PER_MS) for n in range(4)]
        with libmodbus_server("bandwidth-server-many-up", tmp_path) as (server, _):
            device = modbus_device(0, *points, address=by_address(port, Framing.MBAP))
            async with running(device) as (gateway, out):
                for round_ in (1, 2):
                    with socat(f"TCP:127.0.0.1:{port}", f"TCP:127.0.0.1:{server}"):
                        await out.until(lambda: all(out.is_good(f"p{n}") for n in range(4)), f"round {round_}: it is read")
                    await out.until(lambda: out.is_bad("p0"), f"round {round_}: it is gone")
                [health] = [each for each in gateway.health() if each.device == "rtu"]
                assert health.refused == {}
                assert health.reconnects == 1

    asyncio.run(main())


def test_a_slave_on_a_serial_line_behind_socat_that_dials_in(tmp_path: Path) -> None:
    """Libmodbus's RTU slave, whose line socat passes on as a DTU does."""

    async def main() -> None:
        port = free_port()
        points = [modbus_point(f"p{n}", n, period_ns=200 * NS_PER_MS) for n in (3, 40)]
        with libmodbus_rtu_slave(tmp_path) as line:
            device = modbus_device(0, *points, address=by_address(port, Framing.RTU), unit_id=5)
            async with running(device) as (gateway, out):
                with socat(f"TCP:127.0.0.1:{port}", f"{line},raw,echo=0"):
                    await out.until(lambda: len(out.good("p3")) > 3 and len(out.good("p40")) > 3, "it is read")
                    assert set(out.good("p3")) == {3.0}
                    assert set(out.good("p40")) == {40.0}
                [health] = [each for each in gateway.health() if each.device == "rtu"]
                assert health.refused == {}

    asyncio.run(main())
