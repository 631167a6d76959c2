"""Devices that dial in: what they write is published, and whatever else they do affects their own socket only."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from pymodbus.client import AsyncModbusTcpClient

from ingest.clock import SimulatedClock, WallClock
from ingest.devices import ClockRegister, DataType, Order, PushDevice
from ingest.gateway import Gateway
from ingest.pointchecks import CounterCheck, PointChecks
from ingest.quality import Flag
from ingest.source import DeviceHealth
from market.errors import ConfigError
from market.units import NS_PER_H, NS_PER_MS, NS_PER_S, instant_ns
from tests.kit.field import Collector, free_port, modbus_point, push_device

pytestmark = pytest.mark.integration

PUSHED = int(Flag.PUSHED)
ESTIMATED = int(Flag.PUSHED | Flag.TS_ESTIMATED)
SUSPECT = int(Flag.PUSHED | Flag.TS_ESTIMATED | Flag.CLOCK_SUSPECT)

GREETING = b"RTU dtu\r\n"


def write(address: int, *values: int, transaction: int = 1, unit: int = 1) -> bytes:
    """Function 16 on the wire."""
    data = b"".join(value.to_bytes(2, "big") for value in values)
    pdu = bytes([16]) + address.to_bytes(2, "big") + len(values).to_bytes(2, "big") + bytes([len(data)]) + data
    return transaction.to_bytes(2, "big") + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes([unit]) + pdu


def confirmed(address: int, count: int, transaction: int = 1, unit: int = 1) -> bytes:
    return transaction.to_bytes(2, "big") + b"\0\0\0\x06" + bytes([unit, 16]) + address.to_bytes(2, "big") + count.to_bytes(2, "big")


def refused(function: int, code: int, transaction: int = 1, unit: int = 1) -> bytes:
    return transaction.to_bytes(2, "big") + b"\0\0\0\x03" + bytes([unit, function | 0x80, code])


class Dialled:
    """A device's end of the socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def ask(self, data: bytes, answer: bytes) -> None:
        await self.send(data)
        async with asyncio.timeout(30):
            assert await self._reader.readexactly(len(answer)) == answer

    async def is_closed(self) -> bool:
        try:
            async with asyncio.timeout(30):
                while await self._reader.read(65536):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    async def hang_up(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


class Bench:
    """A gateway that listens, and the devices' ends of the sockets it was dialled on."""

    def __init__(self, gateway: Gateway, out: Collector, port: int) -> None:
        self.gateway, self.out, self.port = gateway, out, port
        self.dialled: list[Dialled] = []

    async def dial(self, greeting: bytes = GREETING) -> Dialled:
        device = Dialled(*await asyncio.open_connection("127.0.0.1", self.port))
        self.dialled.append(device)
        await device.send(greeting)
        return device

    def health(self, device: str = "dtu") -> DeviceHealth:
        [found] = [health for health in self.gateway.health() if health.device == device]
        return found

    @property
    def strangers(self) -> DeviceHealth:
        return self.health(f"modbus+listen://127.0.0.1:{self.port}")


@asynccontextmanager
async def listening(*devices: PushDevice) -> AsyncIterator[Bench]:
    out = Collector(*devices)
    gateway = Gateway(out.points, WallClock(), out.emit)
    await gateway.start()
    bench = Bench(gateway, out, devices[0].port)
    try:
        yield bench
    finally:
        await gateway.stop()
        for device in bench.dialled:
            await device.hang_up()


def station(name: str = "dtu", port: int = 0, **changes: object) -> PushDevice:
    """Voltage at register 4, load at 6 and 7, temperature at 9; ten seconds each."""
    points = (
        modbus_point(f"{name}/kv", 4, scale=0.1, period_ns=10 * NS_PER_S),
        modbus_point(f"{name}/mw", 6, DataType.INT32, period_ns=10 * NS_PER_S),
        modbus_point(f"{name}/c", 9, DataType.INT16, period_ns=10 * NS_PER_S),
    )
    return push_device(port or free_port(), *points, name=name, **changes)


def test_pymodbus_as_a_device_that_dials_in() -> None:
    async def main() -> None:
        async with listening(station()) as bench:
            device = AsyncModbusTcpClient("127.0.0.1", port=bench.port, retries=0, timeout=2)
            assert await device.connect()
            device.ctx.transport.write(GREETING)
            for number in range(3):
                answer = await device.write_registers(4, [2305 + number, 0xAAAA, 0xFFFF, 0xFF9C, 0, 0xFFF6], device_id=1)
                assert not answer.isError()
            assert (await device.write_register(4, 2200, device_id=1)).isError() is False
            assert (await device.read_holding_registers(4, count=1, device_id=1)).exception_code == 1
            await bench.out.until(lambda: bench.out.is_good("dtu/kv", 220.0), "the last write is published")
            assert bench.out.good("dtu/kv") == pytest.approx([230.5, 230.6, 230.7, 220.0])
            assert bench.out.good("dtu/mw") == [-100.0] * 3
            assert bench.out.good("dtu/c") == [-10.0] * 3
            assert {sample.flags for sample in bench.out.samples["dtu/kv"]} == {ESTIMATED}
            assert bench.health().polls == 4
            device.close()

    asyncio.run(main())


def test_the_devices_own_clock_dates_what_it_wrote() -> None:
    clock = ClockRegister(address=0, type=DataType.UINT64, order=Order.ABCD, tick_ns=NS_PER_MS)

    def stamped(ts_ns: int) -> tuple[int, ...]:
        return tuple(ts_ns // NS_PER_MS >> shift & 0xFFFF for shift in (48, 32, 16, 0))

    async def main() -> None:
        async with listening(station(clock=clock)) as bench:
            device = await bench.dial()
            now_ns = WallClock().now_ns() // NS_PER_MS * NS_PER_MS
            times = [now_ns - 3 * NS_PER_S, now_ns + NS_PER_H, 0]
            for ts_ns in times:
                await device.ask(write(0, *stamped(ts_ns), 2300), confirmed(0, 5))
            await device.ask(write(4, 2300), confirmed(4, 1))
            await bench.out.until(lambda: len(bench.out.samples["dtu/kv"]) == 4, "four writes")
            right, ahead, unset, without = bench.out.samples["dtu/kv"]
            assert (right.ts_event_ns, right.flags) == (times[0], PUSHED)
            # An impossible time is replaced by ours, and said so; the value is kept.
            for sample, flags in ((ahead, SUSPECT), (unset, SUSPECT), (without, ESTIMATED)):
                assert abs(sample.ts_event_ns - now_ns) < 30 * NS_PER_S
                assert sample.flags == flags
            assert bench.out.good("dtu/kv") == pytest.approx([230.0] * 4)
            # Half of the clock is a time nobody meant.
            await device.ask(write(2, 0, 0, 2300), refused(16, 2))

    asyncio.run(main())


def test_bytes_may_arrive_one_by_one_or_all_at_once() -> None:
    stream = GREETING + write(4, 1000, transaction=1) + write(6, 0, 7, transaction=2) + GREETING + write(4, 1010, transaction=3)

    async def main() -> None:
        async with listening(station()) as bench:
            for pieces in ([stream], [bytes([byte]) for byte in stream]):
                device = await bench.dial(b"")
                for piece in pieces:
                    await device.send(piece)
                    await asyncio.sleep(0)
                await device.ask(b"", confirmed(4, 1, 1) + confirmed(6, 2, 2) + confirmed(4, 1, 3))
                await device.hang_up()
                await bench.out.until(lambda: bench.out.is_good("dtu/kv", 101.0), "the third write is published")
                await asyncio.sleep(0.05)
            assert bench.out.good("dtu/kv") == [100.0, 101.0] * 2
            assert bench.out.good("dtu/mw") == [7.0] * 2
            assert bench.health().refused == {}
            assert bench.health().reconnects == 1

    asyncio.run(main())


def test_what_does_not_fit_is_answered_with_an_exception_and_changes_nothing() -> None:
    async def main() -> None:
        async with listening(station()) as bench:
            device = await bench.dial()
            await device.ask(write(3, 1, 2), refused(16, 2))  # before the map
            await device.ask(write(9, 1, 2), refused(16, 2))  # beyond the map
            await device.ask(write(5, 1), refused(16, 2))  # a register no point has
            await device.ask(write(6, 1), refused(16, 2))  # half of a 32-bit value
            await device.ask(write(7, 1, 2, 3), refused(16, 2))  # the other half
            await device.ask(write(4, 1, unit=9), refused(16, 11, unit=9))
            await device.ask(b"\0\1\0\0\0\6\1\3\0\4\0\1", refused(3, 1))
            await device.ask(b"\0\1\0\0\0\4\1\x10\0\4", refused(16, 3))
            await device.ask(write(4, 2210), confirmed(4, 1))
            await bench.out.until(lambda: bench.out.is_good("dtu/kv", 221.0), "the one that fits is published")
            assert len(bench.out.frames) == 1
            assert bench.health().refused == {"address": 5, "unit": 1, "function": 1, "size": 1}

    asyncio.run(main())


def test_function_23_reads_back_what_it_has_just_written_and_nothing_else() -> None:
    def write_and_read(first: int, count: int) -> bytes:
        pdu = b"\x17" + first.to_bytes(2, "big") + count.to_bytes(2, "big") + b"\0\4\0\1\2\x08\xa2"
        return b"\0\1\0\0" + (len(pdu) + 1).to_bytes(2, "big") + b"\1" + pdu

    async def main() -> None:
        async with listening(station()) as bench:
            device = await bench.dial()
            await device.ask(write_and_read(4, 2), refused(23, 2))
            await device.ask(write_and_read(4, 1), b"\0\1\0\0\0\5\1\x17\2\x08\xa2")
            await bench.out.until(lambda: bench.out.is_good("dtu/kv", 221.0), "it is published")
            assert len(bench.out.frames) == 1, "what was refused was not published"
            assert bench.health().refused == {"address": 1}

    asyncio.run(main())


def test_a_counter_that_is_pushed_is_judged_by_its_counts() -> None:
    checks = PointChecks(counter=CounterCheck(modulus=2**16))
    device = push_device(free_port(), modbus_point("dtu/kwh", 4, period_ns=10 * NS_PER_S, checks=checks))

    async def main() -> None:
        async with listening(device) as bench:
            dialled = await bench.dial()
            for count in (100, 110, 5):
                await dialled.ask(write(4, count), confirmed(4, 1))
            await bench.out.until(lambda: len(bench.out.samples["dtu/kwh"]) == 3, "three counts")
            marked = [bool(sample.flags & int(Flag.COUNTER_RESET)) for sample in bench.out.samples["dtu/kwh"]]
            assert marked == [False, False, True]

    asyncio.run(main())


def test_an_unknown_name_and_a_peer_that_says_none_are_turned_away() -> None:
    async def main() -> None:
        async with listening(station()) as bench:
            assert await (await bench.dial(b"RTU nobody\r\n")).is_closed()
            assert await (await bench.dial(b"x" * 300)).is_closed()
            assert await (await bench.dial(b"RTU " + b"y" * 1_000_000)).is_closed()
            device = await bench.dial()
            await device.ask(write(4, 2210), confirmed(4, 1))
            assert bench.strangers.refused == {"unknown_name": 1, "no_name": 2}
            assert bench.health().refused == {}

    asyncio.run(main())


def test_a_second_socket_of_the_same_name_is_turned_away_until_the_first_is_gone() -> None:
    async def main() -> None:
        async with listening(station()) as bench:
            first = await bench.dial()
            await first.ask(write(4, 1000), confirmed(4, 1))
            second = await bench.dial()
            assert await second.is_closed()
            await first.ask(write(4, 1010), confirmed(4, 1))
            assert bench.health().refused == {"duplicate_registration": 1}
            await first.hang_up()
            # The first one's end may be seen a moment later.
            async with asyncio.timeout(30):
                while True:
                    third = await bench.dial()
                    try:
                        await third.ask(write(4, 1020), confirmed(4, 1))
                        break
                    except (ConnectionError, asyncio.IncompleteReadError):
                        continue
            await bench.out.until(lambda: bench.out.is_good("dtu/kv", 102.0), "the third is heard")

    asyncio.run(main())


def test_garbage_costs_its_own_socket_only() -> None:
    async def main() -> None:
        port = free_port()
        async with listening(station("good", port), station("bad", port)) as bench:
            good = await bench.dial(b"RTU good\r\n")
            bad = await bench.dial(b"RTU bad\r\n")
            noise = random.Random(7).randbytes(1_000_000)
            writing = asyncio.create_task(bad.send(noise))
            for number in range(50):
                await good.ask(write(4, number), confirmed(4, 1))
            assert await bad.is_closed()
            await asyncio.gather(writing, return_exceptions=True)
            again = await bench.dial(b"RTU bad\r\n")
            await again.ask(write(4, 2200), confirmed(4, 1))
            assert sum(bench.health("bad").refused.values()) == 1
            assert bench.health("good").refused == {}
            assert bench.health("good").polls == 50

    asyncio.run(main())


def test_heartbeats_keep_a_device_connected_and_say_nothing() -> None:
    async def main() -> None:
        async with listening(station(heartbeats=("ping",))) as bench:
            device = await bench.dial()
            for piece in (b"ping", b"pi", b"ng" + write(4, 1000)[:5], write(4, 1000)[5:] + b"pingping"):
                await device.send(piece)
                await asyncio.sleep(0.01)
            await device.ask(write(4, 1010), confirmed(4, 1) * 2)
            await bench.out.until(lambda: len(bench.out.samples["dtu/kv"]) == 2, "both writes")
            assert bench.health().refused == {}

    asyncio.run(main())


def test_a_half_open_socket_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.modbus.pushing._IDLE_MIN_S", 0.2)
    fast = push_device(free_port(), modbus_point("dtu/kv", 4, period_ns=100 * NS_PER_MS))

    async def main() -> None:
        async with listening(fast) as bench:
            gone = await bench.dial()
            await gone.ask(write(4, 1), confirmed(4, 1))
            assert await gone.is_closed()
            assert bench.health().refused == {"half_open": 1}
            again = await bench.dial()
            await again.ask(write(4, 2), confirmed(4, 1))

    asyncio.run(main())


def test_silence_is_published_as_bad_once_and_then_every_period() -> None:
    fast = push_device(
        free_port(), modbus_point("dtu/kv", 4, period_ns=100 * NS_PER_MS), modbus_point("dtu/mw", 5, period_ns=10 * NS_PER_S)
    )

    async def main() -> None:
        async with listening(fast) as bench:
            device = await bench.dial()
            await device.ask(write(4, 1, 2), confirmed(4, 2))
            await bench.out.until(lambda: bench.out.is_bad("dtu/kv"), "its silence is seen")
            good, first = bench.out.samples["dtu/kv"][:2]
            assert 300 * NS_PER_MS < first.ts_event_ns - good.ts_event_ns < 3 * NS_PER_S
            await bench.out.until(lambda: len(bench.out.samples["dtu/kv"]) >= 6, "its silence stays visible")
            assert {sample.quality for sample in bench.out.samples["dtu/kv"][1:]} == {"Bad_NoCommunication"}
            assert bench.out.is_good("dtu/mw", 2.0), "a slow point is not yet late"
            assert bench.health().available is True
            await device.ask(write(4, 3), confirmed(4, 1))
            await bench.out.until(lambda: bench.out.is_good("dtu/kv", 3.0), "it is heard again")

    asyncio.run(main())


def test_a_peer_that_sends_and_does_not_read_is_cut() -> None:
    async def main() -> None:
        async with listening(station()) as bench:
            flood = b"".join(write(4, number & 0xFFFF) for number in range(2000))

            def send_and_never_read() -> None:
                with socket.socket() as device:
                    device.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    device.settimeout(10.0)
                    device.connect(("127.0.0.1", bench.port))
                    device.sendall(GREETING)
                    for _ in range(1000):
                        device.sendall(flood)

            with pytest.raises(ConnectionError):
                await asyncio.to_thread(send_and_never_read)
            await bench.out.until(lambda: "does_not_read" in bench.health().refused, "it is cut", within_s=60)
            again = await bench.dial()
            await again.ask(write(4, 1), confirmed(4, 1))

    asyncio.run(main())


def test_whatever_two_hundred_sockets_send_the_one_good_device_is_served() -> None:
    noise = random.Random(20260610)

    def mischief() -> bytes:
        good = b"RTU bad\r\n" + write(4, 1)
        cut = noise.randrange(len(good))
        return noise.choice(
            [
                noise.randbytes(noise.randrange(1, 2000)),
                good[:cut],
                good[:cut] + noise.randbytes(50),
                b"RTU bad\r\n" + noise.randbytes(300),
                b"RTU " + noise.randbytes(20) + b"\r\n",
                b"RTU bad\r\n" * 40,
                b"RTU bad\r\n" + write(noise.randrange(65536), *range(noise.randrange(1, 120)), unit=noise.randrange(256)),
            ]
        )

    async def main() -> None:
        port = free_port()
        async with listening(station("good", port), station("bad", port)) as bench:
            good = await bench.dial(b"RTU good\r\n")
            for number in range(200):
                rogue = await bench.dial(mischief())
                await good.ask(write(4, number), confirmed(4, 1))
                await rogue.hang_up()
            await bench.out.until(lambda: len(bench.out.good("good/kv")) == 200, "every write of the good device")
            assert bench.out.good("good/kv") == pytest.approx([number * 0.1 for number in range(200)])
            assert bench.health("good").refused == {}

    asyncio.run(main())


def test_an_address_that_is_taken_is_a_problem_of_the_list() -> None:
    async def main() -> None:
        async with listening(station()) as bench:
            out = Collector(station(port=bench.port))
            with pytest.raises(ConfigError, match="cannot be listened at"):
                await Gateway(out.points, SimulatedClock(instant_ns("2026-06-10T00:00:00Z"), 1.0), out.emit).start()

    asyncio.run(main())
