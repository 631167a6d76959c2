"""Devices that dial in and are polled: over RTU and over Modbus/TCP, several behind one connection, with all that comes between replies."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from ingest.addresses import Framing
from ingest.devices import ModbusDevice
from ingest.gateway import Gateway
from ingest.modbus.dialled import DialledLink
from ingest.modbus.rtu import crc16
from ingest.pointlist import PointList
from ingest.source import DeviceHealth
from market.units import NS_PER_MS
from tests.kit.dtu import Dtu, dialled_address, dialling, held, pieces
from tests.kit.field import Collector, free_port, modbus_device, modbus_point, running

pytestmark = pytest.mark.integration

BOTH = pytest.mark.parametrize("framing", [Framing.RTU, Framing.MBAP])


def meters(port: int, framing: Framing, *units: int, timeout_s: float = 0.5, name: str = "dtu", **changes: object) -> list[ModbusDevice]:
    """Meters with three registers in two blocks, read ten times a second, behind one DTU."""
    address = dialled_address(port, framing, name, **changes)  # type: ignore[arg-type]
    return [
        modbus_device(
            0,
            *(modbus_point(f"{unit}/{n}", n, period_ns=100 * NS_PER_MS) for n in (0, 1, 90)),
            name=f"m{unit}",
            unit_id=unit,
            address=address,
            timeout_s=timeout_s,
        )
        for unit in units
    ]


def health(gateway: Gateway, name: str) -> DeviceHealth:
    [found] = [each for each in gateway.health() if each.device == name]
    return found


def link_of(gateway: Gateway) -> DialledLink:
    [link] = gateway._links.values()
    assert isinstance(link, DialledLink)
    return link


def all_right(out: Collector) -> bool:
    """Whether every value that is good is the one its register holds."""
    places = ((name, *map(int, name.split("/"))) for name in out.samples)
    return all(set(out.good(name)) <= {float(held(unit, n))} for name, unit, n in places)


@BOTH
def test_meters_behind_a_dtu_are_read_whatever_it_says_between_their_replies(framing: Framing) -> None:
    noise = random.Random(5)

    def chatty(unit: int, plain: bytes) -> bytes:
        before, behind = noise.choice([b"", b"ping", b"pingping", b"DTU dtu\r\n"]), noise.choice([b"", b"ping", b"DTU dtu\r\nping"])
        return before + plain + behind

    async def main() -> None:
        port = free_port()
        async with running(*meters(port, framing, 1, 2, 3)) as (gateway, out), dialling(port, framing, answer=chatty) as dtu:
            await out.until(lambda: all(len(out.good(name)) >= 10 for name in out.samples), "all of them, ten times")
            dtu.chop = noise
            await out.until(lambda: all(len(out.good(name)) >= 20 for name in out.samples), "and on")
            assert all_right(out)
            assert [health(gateway, f"m{unit}").refused for unit in (1, 2, 3)] == [{}] * 3
            assert not dtu.closed.is_set()

    asyncio.run(main())


@BOTH
def test_a_device_that_is_away_is_bad_every_period_and_good_when_it_dials(framing: Framing) -> None:
    async def main() -> None:
        port = free_port()
        async with running(*meters(port, framing, 1)) as (gateway, out):
            await out.until(lambda: len(out.samples["1/0"]) >= 4, "its absence is stated every period")
            assert {sample.quality for sample in out.samples["1/0"]} == {"Bad_NoCommunication"}
            assert "dtu has not dialled in at 127.0.0.1" in health(gateway, "m1").why
            async with dialling(port, framing):
                await out.until(lambda: out.is_good("1/0", held(1, 0)), "it dialled in")
            await out.until(lambda: out.is_bad("1/0"), "it hung up")
            async with dialling(port, framing):
                await out.until(lambda: out.is_good("1/0"), "it dialled in again")
            assert health(gateway, "m1").reconnects == 1
            assert all_right(out)

    asyncio.run(main())


def test_who_is_not_in_the_list_is_turned_away_and_kept_with_the_remedy(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        port = free_port()
        async with running(*meters(port, Framing.RTU, 1)) as (gateway, out):
            for greeting, closed in ((b"DTU other\r\n", True), (b"DTU other\r\n", True), (b"GET / HTTP/1.1\r\n", True), (b"DTU ", False)):
                async with dialling(port, greeting=greeting) as dtu:
                    if closed:
                        await asyncio.wait_for(dtu.closed.wait(), 30)
            async with dialling(port):
                await out.until(lambda: out.is_good("1/0"), "who is in the list is let in")
            own = health(gateway, f"modbus+listen://127.0.0.1:{port}")
            assert own.refused == {"unknown_name": 2, "no_name": 1}
            [kept] = own.attributes.items()
            assert kept[0] == "unknown 'other'"
            assert kept[1].startswith("turned away 2 times, last from 127.0.0.1:")
            [listener] = gateway._stations.listeners
            assert listener.nameless == 0

    asyncio.run(main())
    assert "add a device with `id: other`" in caplog.text


@BOTH
def test_of_two_sockets_of_one_id_the_newer_wins_once_it_answers(framing: Framing) -> None:
    async def main() -> None:
        port = free_port()
        async with running(*meters(port, framing, 1, 2)) as (gateway, out), dialling(port, framing) as older:
            await out.until(lambda: out.is_good("1/0") and out.is_good("2/0"), "the older is read")
            async with dialling(port, framing) as newer:
                await asyncio.wait_for(older.closed.wait(), 30)
                before = len(newer.asked)
                await out.until(lambda: len(newer.asked) > before + 10, "the newer is read")
                assert not newer.closed.is_set()
                assert health(gateway, "m1").refused == {"duplicate_registration": 1}
                assert health(gateway, "m2").refused == {"duplicate_registration": 1}
                assert not link_of(gateway).has_two
                assert all_right(out)

    asyncio.run(main())


@BOTH
def test_a_second_socket_that_answers_nothing_leaves_the_first_in_charge(framing: Framing) -> None:
    async def main() -> None:
        port = free_port()
        async with running(*meters(port, framing, 1, timeout_s=0.2)) as (_, out), dialling(port, framing) as older:
            await out.until(lambda: out.is_good("1/0"), "the first is read")
            async with dialling(port, framing, answer=lambda unit, plain: None) as newer:
                await out.until(lambda: bool(newer.asked), "the second is asked")
                await asyncio.wait_for(newer.closed.wait(), 30)
                before = len(older.asked)
                await out.until(lambda: len(older.asked) > before + 5 and out.is_good("1/0"), "the first is read again")
                assert not older.closed.is_set()
                assert all_right(out)

    asyncio.run(main())


@BOTH
def test_a_dead_unit_neither_takes_the_others_along_nor_the_connection(framing: Framing) -> None:
    async def main() -> None:
        port = free_port()
        devices = meters(port, framing, 1, 2, 3, timeout_s=0.2)
        async with (
            running(*devices) as (gateway, out),
            dialling(port, framing, answer=lambda unit, plain: None if unit == 2 else plain) as dtu,
        ):
            await out.until(lambda: dtu.asked.count(2) >= 3 and len(out.good("1/0")) > 20 and len(out.good("3/0")) > 20, "the others", 20)
            assert not dtu.closed.is_set()
            assert out.is_bad("2/0")
            assert health(gateway, "m1").refused == {}

    asyncio.run(main())


@pytest.mark.parametrize("lives", [True, False])
def test_a_dtu_with_nobody_behind_it_is_kept_as_long_as_it_says_that_it_lives(lives: bool) -> None:
    async def main() -> None:
        port = free_port()
        devices = meters(port, Framing.MBAP, 1, 2, timeout_s=0.1)
        async with running(*devices), dialling(port, Framing.MBAP, answer=lambda unit, plain: None) as dtu:
            for _ in range(1500):
                await asyncio.sleep(0.02)
                if lives:
                    dtu.say(b"ping")
                if dtu.closed.is_set() or len(dtu.asked) >= 8:
                    break
            assert dtu.closed.is_set() is not lives
            assert len(dtu.asked) >= 8 or not lives

    asyncio.run(main())


class SlowUnits:
    """Units that answer in order, each some replies late or never."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._free_s: dict[int, float] = {}
        self.dtu: Dtu | None = None

    def __call__(self, unit: int, plain: bytes) -> None:
        if self._draw.random() < 0.03:
            return
        loop, dtu = asyncio.get_running_loop(), self.dtu
        late_s = self._draw.choice([0.12, 0.15, 0.3, 0.7]) if self._draw.random() < 0.25 else 0.0
        free_s = self._free_s[unit] = max(loop.time() + late_s, self._free_s.get(unit, 0.0) + 0.001)
        assert dtu is not None
        loop.call_at(free_s, dtu.say, plain)


def test_a_late_reply_over_rtu_is_dropped_and_never_taken_for_the_next_one() -> None:
    """Two meters at each unit, whose replies look the same: only the values tell."""

    async def main() -> None:
        port = free_port()
        where = {"address": dialled_address(port), "timeout_s": 0.1}
        devices = [
            modbus_device(0, modbus_point(f"{unit}/{n}", n, period_ns=50 * NS_PER_MS), name=f"m{unit}-{n}", unit_id=unit, **where)
            for unit in (1, 2)
            for n in (0, 90)
        ]
        slow = SlowUnits(random.Random(11))
        async with running(*devices) as (gateway, out), dialling(port, answer=slow) as slow.dtu:
            for _ in range(600):  # it lives, and says so
                slow.dtu.say(b"ping")
                await asyncio.sleep(0.05)
                if all(len(out.good(name)) > 5 for name in out.samples):
                    break
            assert all(len(out.good(name)) > 5 for name in out.samples), "late or not, they are read"
            assert sum(health(gateway, device.name).refused.get("late", 0) for device in devices) > 0
            assert not slow.dtu.closed.is_set()
            assert all_right(out)

    asyncio.run(main())


def test_a_registration_of_bytes_is_read_however_it_arrives() -> None:
    packet = bytes.fromhex("7B01") + b"13800138000"
    packet += crc16(packet)

    async def main() -> None:
        port = free_port()
        devices = meters(port, Framing.RTU, 1, name="13800138000", register="{hex:7B 01}{id:digits:11}{crc16}", heartbeats=("{hex:FEFE}",))
        async with running(*devices) as (gateway, out), dialling(port, greeting=b"") as dtu:
            for piece in pieces(packet + b"\xfe\xfe", random.Random(3)):
                dtu.say(piece)
                await asyncio.sleep(0.005)
            await out.until(lambda: len(out.good("1/0")) > 3, "it is read")
            dtu.say(packet)
            await out.until(lambda: len(out.good("1/0")) > 8, "it said again who it is")
            assert health(gateway, "m1").refused == {}
            assert not dtu.closed.is_set()

    asyncio.run(main())


def test_whatever_strangers_send_the_one_good_device_is_read_and_nothing_is_left_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.modbus.listener._REGISTRATION_S", 0.5)
    noise = random.Random(20261122)

    def mischief() -> bytes:
        good = b"DTU bad\r\nping" + b"\x02\x03\x04\x00\x01\x00\x02"
        return noise.choice(
            [
                noise.randbytes(noise.randrange(1, 3000)),
                good[: noise.randrange(len(good))],
                good + noise.randbytes(300),
                b"DTU bad\r\n" * 30,
                b"DTU " + b"x" * 100_000,
                b"DTU bad\r\n" + b"ping" * 20_000,
                b"\x16\x03\x01\x02\x00\x01" + noise.randbytes(100),
                b"",
            ]
        )

    async def main() -> None:
        port = free_port()
        good = modbus_device(0, modbus_point("1/0", 0, period_ns=50 * NS_PER_MS), name="m1", address=dialled_address(port))
        bad = modbus_device(0, modbus_point("2/0", 0), name="m2", unit_id=2, address=dialled_address(port, name="bad"), timeout_s=0.2)
        async with running(good, bad) as (gateway, out), dialling(port) as dtu:
            await out.until(lambda: out.is_good("1/0"), "the good one is read")
            began = len(out.samples["1/0"])
            writers = []
            for _ in range(150):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writers.append(writer)
                for piece in pieces(mischief(), noise) if noise.random() < 0.2 else [mischief()]:
                    writer.write(piece)
                    if len(piece) < 8 and noise.random() < 0.02:
                        await asyncio.sleep(0)
                await asyncio.sleep(0.002)
            [listener] = gateway._stations.listeners
            await out.until(lambda: listener.nameless == 0, "who says nothing is closed")
            await out.until(lambda: len(out.samples["1/0"]) > began + 10, "the good one is read all the time")
            for writer in writers:
                writer.close()
            assert {sample.quality for sample in out.samples["1/0"][began:]} == {"Good"}
            assert health(gateway, "m1").refused == {}
            assert not dtu.closed.is_set()
            own = health(gateway, f"modbus+listen://127.0.0.1:{port}").refused
            assert set(own) <= {"no_name", "unknown_name"}
            assert own["no_name"] > 20
            assert out.good("2/0") == []

    asyncio.run(main())


def test_a_peer_has_only_so_many_sockets_that_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.modbus.listener._NAMELESS_PER_PEER_MAX", 5)

    async def main() -> None:
        port = free_port()
        async with running(*meters(port, Framing.RTU, 1)) as (gateway, out), dialling(port):
            await out.until(lambda: out.is_good("1/0"), "a device that said who it is does not count")
            writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(8)]
            [listener] = gateway._stations.listeners
            own = f"modbus+listen://127.0.0.1:{port}"
            await out.until(lambda: health(gateway, own).refused == {"too_many": 3}, "three are turned away")
            assert listener.nameless == 5
            for writer in writers:
                writer.close()
            await out.until(lambda: listener.nameless == 0, "they are gone")

    asyncio.run(main())


@BOTH
def test_another_list_leaves_the_socket_of_a_device_whose_other_meters_stay_as_they_are(framing: Framing) -> None:
    async def main() -> None:
        port = free_port()
        first, second = meters(port, framing, 1, 2)
        more = replace(second, points=(*second.points, modbus_point("2/5", 5, period_ns=100 * NS_PER_MS)))
        async with running(first, second) as (gateway, out), dialling(port, framing) as dtu:
            out.know({"2/5"})
            await out.until(lambda: out.is_good("1/0") and out.is_good("2/0"), "both are read")
            source = next(source for source in gateway._sources if source.name == "m1")
            changes = await gateway.relist(PointList((first, more)))
            assert str(changes) == "1 changed, 0 added, 0 removed, 1 kept"
            await out.until(lambda: out.is_good("2/5", held(2, 5)), "the new point is read")
            await gateway.relist(PointList((first,)))
            before = len(out.good("1/0"))
            await out.until(lambda: len(out.good("1/0")) > before + 5, "the one that stays is read on")
            assert out.last("2/0").quality == "Bad_OutOfService"  # type: ignore[union-attr]
            assert source in gateway._sources
            assert not dtu.closed.is_set()
            assert all_right(out)
            await gateway.relist(PointList(()))
            await asyncio.wait_for(dtu.closed.wait(), 30)
            with pytest.raises(ConnectionRefusedError):
                await Dtu(framing, lambda unit, plain: plain).dial(port, b"DTU dtu\r\n", None)

    asyncio.run(main())


def test_devices_are_received_in_another_way_at_the_same_port_once_the_list_says_so() -> None:
    async def main() -> None:
        port = free_port()
        before = meters(port, Framing.RTU, 1)
        after = meters(port, Framing.RTU, 1, register=r"NEW {id:ascii}\r\n")
        async with running(*before) as (gateway, out):
            async with dialling(port) as older:
                await out.until(lambda: out.is_good("1/0"), "it is read")
                await gateway.relist(PointList(tuple(after)))
                await asyncio.wait_for(older.closed.wait(), 30)
            async with dialling(port) as stranger:
                await asyncio.wait_for(stranger.closed.wait(), 30)
            out.samples["1/0"].clear()
            async with dialling(port, greeting=b"NEW dtu\r\n"):
                await out.until(lambda: out.is_good("1/0"), "it is read by its new name")
            assert health(gateway, f"modbus+listen://127.0.0.1:{port}").refused == {"no_name": 1}

    asyncio.run(main())
