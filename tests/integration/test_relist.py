"""Another point list while devices are read, over real sockets: what did not change notices nothing, and every sample is accounted for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager
from itertools import pairwise

import pytest

from ingest.account import DeviceAccount
from ingest.addresses import Manners
from ingest.clock import WallClock
from ingest.devices import Device, ModbusDevice, PushDevice, UaDevice
from ingest.frame import TelemetryFrame
from ingest.gateway import Gateway
from ingest.pointlist import PointList
from ingest.source import DeviceHealth
from market.errors import ConfigError
from market.units import NS_PER_MS, NS_PER_S
from tests.kit.field import Collector, free_port, modbus_device, modbus_point, push_device, ua_device, ua_point
from tests.kit.modbus_slave import slave
from tests.kit.node_opcua import node_opcua, value_node
from tests.kit.opcua_server import PLANT, opcua_server

pytestmark = pytest.mark.integration

PERIOD_NS = 100 * NS_PER_MS


class Bench:
    """A gateway whose list changes, and what it says; samples of points are collected whichever list they are on."""

    def __init__(self, gateway: Gateway, out: Collector) -> None:
        self.gateway = gateway
        self.out = out

    def health(self, device: str) -> DeviceHealth:
        [found] = [health for health in self.gateway.health() if health.device == device]
        return found

    def accounts(self, device: str) -> list[tuple[int, int, DeviceAccount]]:
        """From, to and the account, in the order they were sent."""
        return list(self._accounts(device, self.out.frames))

    @staticmethod
    def _accounts(device: str, frames: Iterable[TelemetryFrame]) -> Iterator[tuple[int, int, DeviceAccount]]:
        for frame in frames:
            if frame.accounts is not None:
                for account in frame.accounts.devices:
                    if account.device == device:
                        yield frame.accounts.from_ns, frame.accounts.to_ns, account

    def assert_accounted(self, device: str, *points: str) -> list[tuple[int, int, DeviceAccount]]:
        """The accounts of a device join one another, each adds up, and all together are what came; return them."""
        accounts = self.accounts(device)
        assert all(before[1] <= after[0] for before, after in pairwise(accounts))
        for _, _, account in accounts:
            assert account.expected == account.good + account.uncertain + account.bad + account.lost_in_all
        came = sum(account.good + account.uncertain + account.bad for _, _, account in accounts)
        assert came == sum(len(self.out.samples[point]) for point in points)
        return accounts


@asynccontextmanager
async def reading(first: Iterable[Device], *later: Device) -> AsyncIterator[Bench]:
    """A gateway that reads the first devices; ``later`` are those of lists to come that have points of their own."""
    devices = tuple(first)
    out = Collector(*devices)
    out.know({point.name for device in later for point in device.points} - set(out.samples))
    gateway = Gateway(out.points, WallClock(), out.emit)
    await gateway.start()
    try:
        yield Bench(gateway, out)
    finally:
        await gateway.stop()


def meter(port: int, name: str, *addresses: int, **changes: object) -> ModbusDevice:
    points = (modbus_point(f"{name}/{address}", address, period_ns=PERIOD_NS) for address in addresses)
    return modbus_device(port, *points, name=name, **changes)


def server(port: int, name: str, *variables: int, **changes: object) -> UaDevice:
    points = (ua_point(f"{name}/v{n}", value_node(n), sampling_ns=0, queue=50) for n in variables)
    return ua_device(port, *points, name=name, **changes)


def test_one_meter_is_read_anew_and_its_neighbour_goes_on_as_it_was() -> None:
    async def main() -> None:
        async with slave() as one, slave() as other:
            a, b, c = meter(one.port, "a", 1), meter(other.port, "b", 2, 3), meter(other.port, "b", 2, 40)
            async with reading((a, b), c) as bench:
                out = bench.out
                await out.until(lambda: len(out.good("a/1")) > 5 and len(out.good("b/3")) > 5, "both are read")
                kept = [source for source in bench.gateway._sources if source.name == "a"]
                changes = await bench.gateway.relist(PointList((a, c)))
                assert str(changes) == "1 changed, 0 added, 0 removed, 1 kept"
                told = len(out.good("a/1"))
                await out.until(lambda: len(out.good("b/40")) > 5 and len(out.good("a/1")) > told + 5, "both are read on")
                # The neighbour has the connection, the counters and the account it had.
                assert one.connections == 1
                assert [source for source in bench.gateway._sources if source.name == "a"] == kept
                assert bench.health("a").polls == len(out.samples["a/1"])
                # A point nobody has any more said so last, and nothing after that.
                assert out.good("b/2")
                assert out.samples["b/3"][-1].quality == "Bad_OutOfService"
                assert len(out.good("b/3")) == len(out.samples["b/3"]) - 1
            assert len(bench.assert_accounted("a", "a/1")) >= 1
            accounts = bench.assert_accounted("b", "b/2", "b/3", "b/40")
            # The account of what was stopped ends there, and a new one begins.
            assert len(accounts) == len(bench.accounts("a")) + 1
            assert sum(account.bad for _, _, account in accounts) == 1

    asyncio.run(main())


def test_devices_come_and_go_alone() -> None:
    async def main() -> None:
        async with slave() as one, slave() as other:
            a, b = meter(one.port, "a", 1), meter(other.port, "b", 2)
            async with reading((a,), b) as bench:
                out = bench.out
                await out.until(lambda: len(out.good("a/1")) > 3, "the first is read")
                await bench.gateway.relist(PointList((a, b)))
                await out.until(lambda: len(out.good("b/2")) > 3, "the second is read, too")
                await bench.gateway.relist(PointList((b,)))
                asked = len(one.asked)
                told = len(out.good("b/2"))
                await out.until(lambda: len(out.good("b/2")) > told + 5 and not out.is_good("a/1"), "the second goes on")
                assert out.samples["a/1"][-1].quality == "Bad_OutOfService"
                assert len(one.asked) - asked <= 1  # one request may have been on its way
                assert other.connections == 1
                assert [health.device for health in bench.gateway.health()] == ["b"]
                # Its account is closed although it is no longer there to ask.
                bench.gateway.beat(())
                await out.until(lambda: bool(bench.accounts("a")), "the account of the first")
                bench.assert_accounted("a", "a/1")
            bench.assert_accounted("b", "b/2")

    asyncio.run(main())


def test_two_units_behind_one_connection_keep_it_when_one_of_them_changes() -> None:
    async def main() -> None:
        async with slave() as line:
            a, b = meter(line.port, "a", 1), meter(line.port, "b", 2, unit_id=2)
            careful = meter(line.port, "b", 2, 5, unit_id=2, manners=Manners(gap_s=0.01))
            async with reading((a, b), careful) as bench:
                out = bench.out
                await out.until(lambda: bool(out.good("a/1") and out.good("b/2")), "both are read")
                await bench.gateway.relist(PointList((a, careful)))
                told = len(out.good("a/1"))
                await out.until(lambda: bool(out.good("b/5")) and len(out.good("a/1")) > told + 3, "both are read on")
                assert line.connections == 1
                [link] = bench.gateway._links.values()
                assert link.manners.gap_s == 0.01
                assert not [sample for sample in out.samples["a/1"] if sample.quality != "Good"]

    asyncio.run(main())


def test_a_changed_address_leaves_no_connection_behind() -> None:
    async def main() -> None:
        async with slave() as old, slave() as new:
            async with reading((meter(old.port, "a", 1),)) as bench:
                out = bench.out
                await out.until(lambda: len(out.good("a/1")) > 3, "it is read")
                await bench.gateway.relist(PointList((meter(new.port, "a", 1),)))
                asked = len(old.asked)
                await out.until(lambda: len(new.asked) > 3, "it is read at its new address")
                assert len(old.asked) - asked <= 1
                assert [address.port for address in bench.gateway._links] == [new.port]
                assert bench.health("a").available
            bench.assert_accounted("a", "a/1")

    asyncio.run(main())


def test_an_opc_ua_server_is_subscribed_anew_and_its_neighbours_keep_their_sessions() -> None:
    ports = free_port(), free_port()

    async def main() -> None:
        with ExitStack() as stack:
            for port in ports:
                # With a history the server makes up for every change that it was late for.
                stack.enter_context(node_opcua(port, historyMs=1000))
            async with slave() as line:
                a, b, c = server(ports[0], "a", 0), server(ports[1], "b", 0, 1), server(ports[1], "b", 1, 2)
                m = meter(line.port, "m", 1)
                async with reading((a, b, m), c) as bench:
                    out = bench.out
                    await out.until(lambda: all(len(out.good(p)) > 5 for p in ("a/v0", "b/v1", "m/1")), "all are read")
                    read = len(out.good("m/1"))
                    await bench.gateway.relist(PointList((a, c, m)))
                    told = len(out.good("a/v0"))
                    await out.until(lambda: len(out.good("b/v2")) > 5 and len(out.good("a/v0")) > told + 5, "both are read on")
                    await out.until(lambda: len(out.good("m/1")) > read + 5, "the meter is read on")
                    assert (bench.health("a").reconnects, line.connections) == (0, 1)
                    # Each change of the neighbour came once, in order: nothing between its first and its last value is missing.
                    counted = out.good("a/v0")
                    assert counted == [counted[0] + step for step in range(len(counted))]
                    assert out.samples["b/v0"][-1].quality == "Bad_OutOfService"
                    assert {sample.quality for sample in out.samples["a/v0"]} == {"Good"}
                bench.assert_accounted("a", "a/v0")
                bench.assert_accounted("b", "b/v0", "b/v1", "b/v2")
                assert len(bench.accounts("b")) == len(bench.accounts("a")) + 1

    asyncio.run(main())


def test_a_polled_server_is_read_anew_alone() -> None:
    port = free_port()

    async def main() -> None:
        with opcua_server(port, PLANT):
            point = ua_point("s/count", f"nsu={PLANT};s=count")
            before = ua_device(port, point, name="s", is_polled=True)
            after = ua_device(port, point, ua_point("s/steady", f"nsu={PLANT};s=steady"), name="s", is_polled=True)
            async with reading((before,), after) as bench:
                await bench.out.until(lambda: len(bench.out.good("s/count")) > 3, "it is polled")
                await bench.gateway.relist(PointList((after,)))
                told = len(bench.out.good("s/count"))
                await bench.out.until(lambda: bench.out.is_good("s/steady", 42.0), "it is polled for the new point, too")
                await bench.out.until(lambda: len(bench.out.good("s/count")) > told + 3, "and for the old one")
            bench.assert_accounted("s", "s/steady", "s/count")

    asyncio.run(main())


GREETING = b"RTU %s\r\n"
WRITE = bytes.fromhex("0001 0000 0009 01 10 0004 0001 02 0007")
WRITTEN = bytes.fromhex("0001 0000 0006 01 10 0004 0001")


def pusher(port: int, name: str, *addresses: int, **changes: object) -> PushDevice:
    points = (modbus_point(f"{name}/{address}", address, period_ns=60 * NS_PER_S) for address in addresses)
    return push_device(port, *points, name=name, **changes)


async def dialled(port: int, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GREETING % name.encode())
    return reader, writer


async def push(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(WRITE)
    async with asyncio.timeout(30):
        return await reader.read(64)


def test_a_device_that_dials_in_keeps_its_socket_when_another_at_its_listener_changes() -> None:
    port = free_port()

    async def main() -> None:
        a, b, c = pusher(port, "a", 4), pusher(port, "b", 4), pusher(port, "b", 4, 5)
        async with reading((a, b), c) as bench:
            first, second = await dialled(port, "a"), await dialled(port, "b")
            assert await push(*first) == await push(*second) == WRITTEN
            await bench.gateway.relist(PointList((a, c)))
            assert await push(*first) == WRITTEN  # over the socket it had
            async with asyncio.timeout(30):
                assert await second[0].read(64) == b""  # closed: it has to dial in again
            again = await dialled(port, "b")
            assert await push(*again) == WRITTEN
            await bench.out.until(lambda: len(bench.out.good("a/4")) == len(bench.out.good("b/4")) == 2, "all that was pushed")
            await bench.gateway.relist(PointList((a,)))
            assert await push(*first) == WRITTEN
            stranger = await dialled(port, "b")
            async with asyncio.timeout(30):
                assert await stranger[0].read(64) == b""
            for _, writer in (first, second, again, stranger):
                writer.close()
        bench.assert_accounted("a", "a/4")

    asyncio.run(main())


def test_a_listener_comes_and_goes_with_its_devices() -> None:
    port, later = free_port(), free_port()

    async def main() -> None:
        a, b = pusher(port, "a", 4), pusher(later, "b", 4)
        async with reading((a,), b) as bench:
            await bench.gateway.relist(PointList((b,)))
            device = await dialled(later, "b")
            assert await push(*device) == WRITTEN
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            device[1].close()
            assert [health.device for health in bench.gateway.health()] == [f"modbus+listen://127.0.0.1:{later}", "b"]

    asyncio.run(main())


def test_a_list_whose_address_is_taken_is_refused_and_nothing_changes() -> None:
    async def main() -> None:
        async with slave() as line:
            a = meter(line.port, "a", 1)
            moved, newcomer = meter(line.port, "a", 7), pusher(line.port, "b", 4)
            async with reading((a,), moved, newcomer) as bench:
                out = bench.out
                await out.until(lambda: len(out.good("a/1")) > 3, "it is read")
                with pytest.raises(ConfigError, match="cannot be listened at"):
                    await bench.gateway.relist(PointList((moved, newcomer)))
                told = len(out.good("a/1"))
                await out.until(lambda: len(out.good("a/1")) > told + 3, "it is read as before")
                assert [health.device for health in bench.gateway.health()] == ["a"]
                assert (out.samples["a/7"], line.connections) == ([], 1)

    asyncio.run(main())


def test_a_gateway_that_is_stopped_while_its_list_changes_stops() -> None:
    port = free_port()

    async def main() -> None:
        with node_opcua(port):
            async with reading((server(port, "a", 0),)) as bench:
                await bench.out.until(lambda: len(bench.out.good("a/v0")) > 3, "it is read")
                changing = asyncio.create_task(bench.gateway.relist(PointList((server(port, "a", 0, timeout_s=1.0),))))
                await asyncio.sleep(0)
                await bench.gateway.stop()
                await changing
                told = len(bench.out.samples["a/v0"])
                await asyncio.sleep(0.5)
                assert len(bench.out.samples["a/v0"]) == told
            bench.assert_accounted("a", "a/v0")

    asyncio.run(main())
