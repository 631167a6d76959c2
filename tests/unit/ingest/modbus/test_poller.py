"""What a device said this period, point by point: values, or why there are none; told by a scripted link."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from ingest.devices import DataType, Kind, Meaning, ModbusAttribute, ModbusPoint, Order, Register
from ingest.errors import DeviceLate, DeviceRefused, DeviceSilent
from ingest.modbus.lessons import Lessons
from ingest.modbus.poller import ModbusPoller, exception_quality
from ingest.modbus.steady import Harvest
from ingest.quality import Flag, quality_name
from ingest.source import Source
from market.units import NS_PER_MS, NS_PER_S, instant_ns
from tests.kit.field import Collector, JumpClock, modbus_device, modbus_point
from tests.kit.scriptedlink import Answer, ScriptedLink, ScriptedTurns, numbered, without

NOON = instant_ns("2026-06-10T12:00:00Z")
S = NS_PER_S


class Bench:
    """One poller, its scripted link, and what came out."""

    def __init__(self, answer: Answer, *points: ModbusPoint, lessons: Lessons | None = None, **changes: Any) -> None:
        device = modbus_device(502, *points, **changes)
        self.clock = JumpClock(NOON)
        self.link = ScriptedLink(answer, self.clock)
        self.turns = ScriptedTurns(self.clock)
        self.lessons = lessons or Lessons()
        self.lessons_told = 0
        self.out = Collector(device)
        self.source = Source("rtu", "1", self.clock, self.out.put)
        self.poller = ModbusPoller(
            device, self.link, self.source, self.turns, self.lessons, self._learned, Harvest(self.clock, lambda gather: gather())
        )  # type: ignore[arg-type]
        self.poller.start()

    def _learned(self) -> None:
        self.lessons_told += 1

    def run_until(self, frames: int) -> None:
        """Poll until so many frames are out."""
        while len(self.out.frames) < frames:
            if not self.link.serve():
                self.turns.turn()

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


def test_a_device_that_does_not_answer_is_left_alone_though_its_connection_was_cut_for_it() -> None:
    def late(address: int, count: int) -> bytes:
        bench.link.is_open = False  # over RTU, so that its reply cannot be taken for another's
        raise DeviceLate("rtu: no reply within 1 s")

    bench = Bench(late, modbus_point("a", 0))
    bench.run_until(frames=5)
    assert bench.link.asked == [(0, 1)]


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
    # One that is busy is asked twice more.
    assert bench.source.refused == {f"exception {code}": 3 if code in (5, 6) else 1}


def test_a_device_that_is_busy_is_asked_again_within_its_poll() -> None:
    busy = [6, 5]

    def answer(address: int, count: int) -> bytes:
        if address == 0 and busy:
            raise DeviceRefused("rtu: busy", busy.pop())
        return numbered(address, count)

    bench = Bench(answer, modbus_point("p", 0, period_ns=S), modbus_point("q", 500, period_ns=S))
    bench.run_until(frames=1)
    assert (bench.out.good("p"), bench.out.good("q")) == ([0.0], [500.0])
    assert bench.link.asked == [(0, 1), (500, 1), (0, 1), (0, 1)]


def test_a_device_that_was_busy_and_then_fell_silent_is_asked_nothing_more_in_its_poll() -> None:
    def answer(address: int, count: int) -> bytes:
        if address == 0:
            raise DeviceRefused("rtu: busy", 6)
        raise DeviceLate("rtu: no reply within 1 s")

    bench = Bench(answer, modbus_point("p", 0, period_ns=S), modbus_point("q", 500, period_ns=S))
    bench.run_until(frames=1)
    assert bench.link.asked == [(0, 1), (500, 1)]
    assert [bench.out.samples[name][0].quality for name in "pq"] == ["Bad_NoCommunication"] * 2


def test_what_was_learned_is_planned_around_also_after_a_restart() -> None:
    points = [modbus_point(f"p{n}", n) for n in range(0, 100, 2)]
    bench = Bench(without(37, 40), *points)
    bench.run_until(frames=2)
    with bench.asking() as asked:
        bench.run_until(frames=4)
    # Register 37 is a hole between points, 40 is a point: three blocks are left, where halving alone would leave a dozen.
    assert sorted(set(asked)) == [(0, 37), (38, 1), (42, 57)]
    told = bench.lessons_told
    bench.run_until(frames=6)
    assert bench.lessons_told == told > 0

    again = Bench(without(37, 40), *points, lessons=Lessons.decode(bench.lessons.encode()))
    again.run_until(frames=2)
    assert again.source.refused == {}
    assert sorted(set(again.link.asked)) == [(0, 37), (38, 1), (42, 57)]
    assert again.out.last("p40").quality == "Bad_ConfigurationError"  # type: ignore[union-attr]


def test_a_point_that_was_refused_is_asked_for_once_more_a_day_later() -> None:
    missing = [3]
    hour_ns = 3600 * S
    bench = Bench(
        lambda address, count: without(*missing)(address, count), *(modbus_point(f"p{n}", n, period_ns=hour_ns) for n in range(6))
    )
    bench.run_until(frames=24)
    with bench.asking() as asked:
        bench.run_until(frames=26)
    assert asked.count((3, 1)) == 1, "it is asked for once, and still not there"
    missing.clear()
    bench.run_until(frames=48)
    assert bench.out.is_bad("p3")
    bench.run_until(frames=50)
    assert bench.out.is_good("p3", 3.0)
    assert not bench.lessons
    assert all(not out.quality.startswith("Bad") for n in (0, 1, 2, 4, 5) for out in bench.out.samples[f"p{n}"])


def test_a_companion_that_was_refused_is_asked_for_once_more_a_day_later_though_every_point_is_there() -> None:
    hour_ns, missing = 3600 * S, [900]
    factor = Register(kind=Kind.HOLDING, address=900, type=DataType.INT16, order=Order.ABCD)
    bench = Bench(
        lambda address, count: (1).to_bytes(2, "big") if address == 900 and not missing else without(*missing)(address, count),
        modbus_point("p", 5, period_ns=hour_ns, meaning=Meaning(factor=factor)),
    )
    bench.run_until(frames=2)
    assert bench.out.is_bad("p")
    missing.clear()
    bench.run_until(frames=23)
    assert bench.out.is_bad("p")
    bench.run_until(frames=27)
    assert bench.out.is_good("p", 50.0)
    assert not bench.lessons


def test_what_a_stopped_poller_asked_for_is_published_by_nobody() -> None:
    bench = Bench(numbered, modbus_point("p", 0))
    bench.turns.turn()
    bench.poller.stop()
    assert not bench.link.serve(), "what was not sent yet is taken back"
    assert bench.out.frames == []


def test_a_poller_that_is_stopped_and_started_again_polls_as_before() -> None:
    bench = Bench(numbered, modbus_point("p", 0, period_ns=S))
    bench.run_until(frames=2)
    bench.poller.stop()
    bench.clock.pass_ns(S // 3)
    bench.poller.start()
    bench.run_until(frames=6)
    times = [sample.ts_event_ns for sample in bench.out.samples["p"]]
    assert [later - earlier for earlier, later in pairwise(times[2:])] == [S, S, S]
    assert {sample.quality for sample in bench.out.samples["p"]} == {"Good"}
    assert bench.source.polls == 6
    assert len(bench.turns._due) <= 2


def test_a_point_that_was_put_right_in_the_list_is_asked_for_at_once() -> None:
    wrong = Bench(without(37), modbus_point("p", 37), modbus_point("q", 0))
    wrong.run_until(frames=2)
    assert wrong.out.last("p").quality == "Bad_ConfigurationError"  # type: ignore[union-attr]
    right = Bench(without(37), modbus_point("p", 38), modbus_point("q", 0), lessons=Lessons.decode(wrong.lessons.encode()))
    right.run_until(frames=2)
    assert right.out.good("p") == [38.0, 38.0]


def test_what_a_device_says_about_itself_is_asked_for_again_soon_where_its_link_was_down() -> None:
    attribute = ModbusAttribute(name="maker", kind=Kind.HOLDING, address=900, length=2, order=Order.ABCD)
    bench = Bench(numbered, modbus_point("p", 0, period_ns=30 * S), attributes=(attribute,))
    submit, bench.link.submit = bench.link.submit, lambda _: DeviceSilent("rtu: no connection")  # type: ignore[method-assign]
    bench.link.is_open = False
    bench.run_until(frames=1)
    bench.link.submit = submit  # type: ignore[method-assign]
    bench.run_until(frames=5)
    assert (900, 2) in bench.link.asked
