"""CPU of one poll of 125 registers: ours, and pymodbus's client, against the same C server, in the same run.

``python -m tests.bench.bench_modbus`` prints microseconds of this process's CPU per poll and the ratios; only those carry over to
another machine. Rounds alternate, and each figure is the median of its rounds, so that a busy machine disturbs all alike.

* ``exchange``: request and reply bytes, judged against each other; what pymodbus's call does.
* ``poll``: the whole way from due time to published frame, 62 floats decoded and scaled.
* ``pymodbus``: one ``read_holding_registers``; ``pymodbus + floats``: the same and its conversion to 62 floats.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

from pymodbus.client import AsyncModbusTcpClient

from ingest.clock import WallClock
from ingest.devices import DataType, Kind
from ingest.frame import TelemetryFrame
from ingest.modbus.frames import read_request
from ingest.modbus.link import ModbusLink
from ingest.modbus.poller import ModbusPoller
from ingest.source import Source
from tests.kit.field import modbus_device, modbus_point
from tests.kit.libmodbus import libmodbus_server

POLLS = 2000
ROUNDS = 5


async def measure(port: int) -> dict[str, float]:
    """Return microseconds of CPU per poll, by way of polling."""
    frames: list[TelemetryFrame] = []
    source = Source("rtu", "1", WallClock(), frames.append)
    link = ModbusLink("127.0.0.1", port)
    # Registers 0 to 124: 62 floats, and one register of its own.
    points = [modbus_point(f"p{n}", 2 * n, DataType.FLOAT32, scale=0.1) for n in range(62)] + [modbus_point("last", 124)]
    poller = ModbusPoller(modbus_device(port, *points), link, source, WallClock())
    request = read_request(1, Kind.HOLDING, 0, 125)
    client = AsyncModbusTcpClient("127.0.0.1", port=port, retries=0)
    assert await client.connect()

    async def ours() -> None:
        assert len(await link.exchange(request, source, 1.0)) == 250

    async def our_poll() -> None:
        frames.clear()
        await poller._poll(poller._groups)
        assert len(frames[0]) == 63

    async def theirs() -> None:
        assert len((await client.read_holding_registers(0, count=125)).registers) == 125

    async def their_floats() -> None:
        registers = (await client.read_holding_registers(0, count=125)).registers
        assert len(client.convert_from_registers(registers[:124], client.DATATYPE.FLOAT32)) == 62

    ways: dict[str, Callable[[], Awaitable[None]]] = {
        "exchange": ours,
        "pymodbus": theirs,
        "poll": our_poll,
        "pymodbus + floats": their_floats,
    }
    rounds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            begin_s = time.process_time()
            for _ in range(POLLS):
                await way()
            rounds[name].append((time.process_time() - begin_s) / POLLS * 1e6)
    link.close()
    client.close()
    return {name: median(each) for name, each in rounds.items()}


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, libmodbus_server("bandwidth-server-many-up", Path(folder)) as (port, _):
        cpu_us = asyncio.run(measure(port))
    for name, each in cpu_us.items():
        sys.stdout.write(f"{name:<20}{each:8.1f} us CPU per poll of 125 registers\n")
    sys.stdout.write(f"exchange / pymodbus           {cpu_us['exchange'] / cpu_us['pymodbus']:.2f}\n")
    sys.stdout.write(f"poll / (pymodbus + floats)    {cpu_us['poll'] / cpu_us['pymodbus + floats']:.2f}\n")


if __name__ == "__main__":
    main()
