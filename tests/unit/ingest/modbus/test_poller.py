"""What a device said this period, point by point: values, or why there are none; told by a scripted link."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ingest.devices import DataType, ModbusPoint
from ingest.errors import DeviceRefused, DeviceSilent
from ingest.modbus.frames import Request
from ingest.modbus.poller import ModbusPoller, exception_quality
from ingest.quality import Flag, quality_name
from ingest.source import Source
from market.units import NS_PER_MS, NS_PER_S, instant_ns
from tests.kit.field import Collector, JumpClock, modbus_device, modbus_point

NOON = instant_ns("2026-06-10T12:00:00Z")
S = NS_PER_S

Answer = Callable[[int, int], bytes]
"""From address and count to register bytes; may raise."""


class ScriptedLink:
    """Answers reads as told; keeps what was asked."""

    is_open = True

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[tuple[int, int]] = []

    async def exchange(self, request: Request, source: Source, timeout_s: float) -> bytes:
        _, address, count = struct.unpack(">BHH", request.pdu)
        self.asked.append((address, count))
        return self.answer(address, count)


def numbered(address: int, count: int) -> bytes:
    """Register n holds n."""
    return b"".join(n.to_bytes(2, "big") for n in range(address, address + count))


def without(*missing: int) -> Answer:
    """Register n holds n, and some are not there."""

    def answer(address: int, count: int) -> bytes:
        if any(address <= register < address + count for register in missing):
            raise DeviceRefused("rtu: exception 2", 2)
        return numbered(address, count)

    return answer


class Bench:
    """One poller, its scripted link, and what came out."""

    def __init__(self, answer: Answer, *points: ModbusPoint) -> None:
        device = modbus_device(502, *points)
        self.clock = JumpClock(NOON)
        self.link = ScriptedLink(answer)
        self.out = Collector(device)
        self.source = Source("rtu", "1", self.clock, self.out.put)
        self._poller = ModbusPoller(device, self.link, self.source, self.clock)  # type: ignore[arg-type]

    def run_until(self, frames: int) -> None:
        """Poll until so many frames are out."""

        async def main() -> None:
            task = asyncio.create_task(self._poller.run())
            while len(self.out.frames) < frames and not task.done():
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(main())

    @contextmanager
    def asking(self) -> Iterator[list[tuple[int, int]]]:
        self.link.asked.clear()
        yield self.link.asked


def test_points_are_polled_at_their_own_periods() -> None:
    bench = Bench(numbered, modbus_point("fast", 1, period_ns=S), modbus_point("slow", 2, period_ns=4 * S))
    bench.run_until(frames=9)
    fast, slow = bench.out.samples["fast"], bench.out.samples["slow"]
    assert [round((sample.ts_event_ns - fast[0].ts_event_ns) / S, 3) for sample in fast] == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert [round((sample.ts_event_ns - fast[0].ts_event_ns) / S, 3) for sample in slow] == [0, 4, 8]
    assert {sample.value for sample in slow} == {2.0}
    assert {sample.flags for sample in fast} == {Flag.TS_ESTIMATED}
    assert 0 <= fast[0].ts_event_ns - NOON < S


def test_source_time_is_the_middle_of_request_and_reply() -> None:
    def slowly(address: int, count: int) -> bytes:
        bench.clock.pass_ns(300 * NS_PER_MS)
        return numbered(address, count)

    bench = Bench(slowly, modbus_point("p", 0, period_ns=10 * S))
    bench.run_until(frames=1)
    [sample] = bench.out.samples["p"]
    assert sample.frame.ts_ingest_ns - sample.ts_event_ns == 150 * NS_PER_MS


def test_a_poll_longer_than_its_period_skips_and_says_so() -> None:
    def slowly(address: int, count: int) -> bytes:
        bench.clock.pass_ns(2500 * NS_PER_MS)
        return numbered(address, count)

    bench = Bench(slowly, modbus_point("p", 0, period_ns=S))
    bench.run_until(frames=3)
    times = [sample.frame.ts_ingest_ns for sample in bench.out.samples["p"]]
    assert [times[1] - times[0], times[2] - times[1]] == [3 * S, 3 * S]
    assert bench.source.skipped == 3 * 2


def test_one_register_that_is_not_there_costs_one_point() -> None:
    points = [modbus_point(f"p{n}", n) for n in range(100)]
    bench = Bench(without(37), *points)
    bench.run_until(frames=1)
    for n, point in enumerate(points):
        [sample] = bench.out.samples[point.name]
        assert (sample.value, sample.quality) == (float(n), "Good") if n != 37 else sample.quality == "Bad_ConfigurationError"
    assert len(bench.link.asked) <= 1 + 2 * 7

    with bench.asking() as asked:
        bench.run_until(frames=3)
    assert all(not address <= 37 < address + count for address, count in asked), "what was refused is asked for again"
    assert [sample.quality for sample in bench.out.samples["p37"]] == ["Bad_ConfigurationError"] * 3
    assert bench.source.refused == {"exception 2": 7}


def test_a_hole_that_may_not_be_read_costs_nothing() -> None:
    bench = Bench(without(5), modbus_point("a", 0), modbus_point("b", 9))
    bench.run_until(frames=2)
    assert bench.out.good("a") == [0.0, 0.0]
    assert bench.out.good("b") == [9.0, 9.0]
    assert bench.link.asked == [(0, 10), (0, 1), (9, 1), (0, 1), (9, 1)]


def test_a_device_that_refuses_everything_is_not_believed_for_ever() -> None:
    registers: set[int] = set(range(4))
    bench = Bench(without(), *(modbus_point(f"p{n}", n) for n in range(4)))
    bench.link.answer = lambda address, count: without(*registers)(address, count)
    bench.run_until(frames=2)
    assert [sample.quality for sample in bench.out.samples["p0"]] == ["Bad_ConfigurationError"] * 2
    registers.clear()

    deadline_s = time.monotonic() + 5.0
    while not bench.out.is_good("p3") and time.monotonic() < deadline_s:
        bench.run_until(len(bench.out.frames) + 1)
    assert bench.out.is_good("p3", 3.0)


def test_silence_makes_every_due_point_bad_every_period_and_is_asked_less_often() -> None:
    def silent(address: int, count: int) -> bytes:
        raise DeviceSilent("rtu: no reply within 1 s")

    bench = Bench(silent, modbus_point("a", 0), modbus_point("b", 1000))
    bench.run_until(frames=5)
    for name in ("a", "b"):
        assert [sample.quality for sample in bench.out.samples[name]] == ["Bad_NoCommunication"] * 5
        assert all(sample.value != sample.value for sample in bench.out.samples[name])
    # Event time flew; in wall time the device is still left alone after its first silence, and its second block was not asked for.
    assert bench.link.asked == [(0, 1)]
    assert bench.source.health().why == "no reply within 1 s"
    assert bench.source.health().polls == 0


@pytest.mark.parametrize(
    ("code", "quality"),
    [
        (1, "Bad_ConfigurationError"),
        (2, "Bad_ConfigurationError"),
        (3, "Bad_ConfigurationError"),
        (4, "Bad_DeviceFailure"),
        (5, "Bad_NoCommunication"),
        (6, "Bad_NoCommunication"),
        (8, "Bad_DeviceFailure"),
        (10, "Bad_NoCommunication"),
        (11, "Bad_NoCommunication"),
        (77, "Bad_DeviceFailure"),
    ],
)
def test_what_each_exception_means_for_a_point(code: int, quality: str) -> None:
    assert quality_name(exception_quality(code)) == quality

    def refuse(address: int, count: int) -> bytes:
        if address == 0:
            raise DeviceRefused(f"rtu: exception {code}", code)
        return numbered(address, count)

    bench = Bench(refuse, modbus_point("p", 0), modbus_point("q", 500, DataType.INT16))
    bench.run_until(frames=1)
    assert bench.out.samples["p"][0].quality == quality
    assert bench.out.samples["q"][0].quality == ("Good" if code not in (10, 11) else "Bad_NoCommunication")
    assert bench.source.refused == {f"exception {code}": 1}
