"""A device that is polled on the short way says what it says on the long one."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.accounting import ledger_of
from ingest.devices import DataType, Kind, ModbusPoint, Order
from ingest.errors import DeviceLate, DeviceRefused, DeviceSilent
from ingest.frame import TelemetryFrame
from ingest.modbus.decode import BlockDecoder, spans_of
from ingest.modbus.layout import Layout
from ingest.modbus.plan import plan_blocks
from ingest.modbus.poller import ModbusPoller
from ingest.modbus.steady import Harvest
from ingest.source import Source
from market.units import NS_PER_MIN, NS_PER_MS, NS_PER_S, instant_ns
from tests.kit.field import JumpClock, modbus_device, modbus_point
from tests.kit.scriptedlink import ScriptedLink, ScriptedTurns

NOON = instant_ns("2026-06-10T12:00:00Z")

points = st.builds(
    lambda number, address, kind, order, scale, offset: modbus_point(f"p{number}", address, kind, order=order, scale=scale, offset=offset),
    st.integers(0, 10_000),
    st.integers(0, 90),
    st.sampled_from([DataType.INT16, DataType.UINT16, DataType.INT32, DataType.FLOAT32, DataType.FLOAT64, DataType.UINT64]),
    st.sampled_from(list(Order)),
    st.sampled_from([1.0, 0.1, -2.0, 1e300]),
    st.sampled_from([0.0, 7.5]),
)
"""Points of one holding block, some on top of others."""

NOT_A_NUMBER = struct.pack(">f", float("nan"))


@given(
    st.lists(points, min_size=1, max_size=12, unique_by=lambda point: point.name),
    st.lists(st.binary(min_size=200, max_size=200), min_size=1, max_size=5),
)
def test_replies_decoded_together_are_as_each_alone(given_points: list[ModbusPoint], replies: list[bytes]) -> None:
    [block] = plan_blocks(spans_of(given_points), hole_max=200)
    decoder = BlockDecoder(block, given_points)
    data = [reply[: 2 * block.count] for reply in replies]
    together, finite = decoder.layout.decode_many(data)
    for row, each in enumerate(data):
        values, quality = decoder.decode(each)
        assert finite[row] == (quality == 0).all()
        if finite[row]:
            assert together[row].tolist() == values.tolist()


def test_devices_of_one_make_share_a_layout_and_others_do_not() -> None:
    def decoder(name: str, **changes: Any) -> BlockDecoder:
        mine = [modbus_point(f"{name}/{n}", n, **changes) for n in range(3)]
        return BlockDecoder(plan_blocks(spans_of(mine))[0], mine)

    assert decoder("a").layout is decoder("b").layout
    assert decoder("a").layout is not decoder("b", scale=2.0).layout
    assert decoder("a").layout is not decoder("b", kind=Kind.INPUT).layout


Answer = bytes | Exception
good = st.lists(st.sampled_from([b"\x00\x07", b"\xff\xfe", b"\x42\x00", NOT_A_NUMBER[:2]]), min_size=4, max_size=4).map(b"".join)
answers = st.one_of(
    good, good, good, st.just(NOT_A_NUMBER + b"\x00\x01\x00\x02"),
    st.sampled_from([DeviceLate("rtu: late"), DeviceSilent("rtu: nobody"), DeviceRefused("rtu: busy", 6), DeviceRefused("rtu: broken", 4)]),
)  # fmt: skip
scripts = st.lists(st.tuples(answers, st.sampled_from([0, 5, 40, 700, 2600])), min_size=1, max_size=40)
"""What the device answers, and after how many ms."""


def frames_of(script: list[tuple[Answer, int]], *, has_short_way: bool, apart: int = 1) -> tuple[list[TelemetryFrame], Source, list[Any]]:
    """Poll a device of three points by a script; more than ``apart`` registers apart they stand in several blocks."""
    clock = JumpClock(NOON)
    left = list(script)

    def answer(address: int, count: int) -> bytes:
        what, late_ms = left.pop(0) if left else (bytes(8), 0)
        clock.pass_ns(late_ms * NS_PER_MS)
        if isinstance(what, Exception):
            raise what
        first = address // apart if apart > 1 else address
        return what[2 * first : 2 * (first + count)]

    kinds = ((DataType.FLOAT32, 0), (DataType.INT16, 2 * apart), (DataType.UINT16, 3 * apart))
    device = modbus_device(502, *(modbus_point(f"p{at}", at, kind, period_ns=NS_PER_S) for kind, at in kinds))
    frames: list[TelemetryFrame] = []

    def put(frame: TelemetryFrame) -> None:
        frames.append(frame)
        source.sent(frame)

    source = Source("rtu", "1", clock, put, None, ledger_of(device))
    turns, link = ScriptedTurns(clock), ScriptedLink(answer, clock, has_short_way=has_short_way, depth=4)
    harvest = Harvest(clock, lambda gather: gather())
    poller = ModbusPoller(device, link, source, turns, harvest=harvest)  # type: ignore[arg-type]
    poller._backoff = NeverRests()  # type: ignore[assignment]
    source.ledger.begin(NOON)  # type: ignore[union-attr]
    poller.start()
    while left:
        if not link.serve():
            turns.turn()
    poller.stop()
    assert source.ledger is not None
    return frames, source, source.ledger.close(clock.now_ns() + NS_PER_MIN, final=True)


class NeverRests:
    """How long a device is left alone is a matter of chance, and none of this test."""

    left_s = 0.0

    def failed(self) -> float:
        return 0.0

    def succeeded(self) -> None:
        pass


@given(scripts, st.sampled_from([1, 1000]))
def test_the_short_way_and_the_long_way_give_the_same_frames_counters_and_accounts(script: list[tuple[Answer, int]], apart: int) -> None:
    short, short_source, short_account = frames_of(script, has_short_way=True, apart=apart)
    long, long_source, long_account = frames_of(script, has_short_way=False, apart=apart)
    assert len(short) == len(long)
    for one, other in zip(short, long, strict=True):
        assert (one.seq, one.ts_ingest_ns) == (other.seq, other.ts_ingest_ns)
        for column in ("point", "ts_event_ns", "value", "quality", "flags"):
            np.testing.assert_array_equal(getattr(one, column), getattr(other, column))
    mine, theirs = short_source.health(), long_source.health()
    assert mine == theirs
    assert short_account == long_account


def test_a_fault_in_decoding_stays_with_the_devices_of_one_make_and_they_begin_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = JumpClock(NOON)
    turns, harvest = ScriptedTurns(clock), Harvest(clock, lambda gather: gathers.append(gather))
    gathers: list[Callable[[], None]] = []
    frames: list[TelemetryFrame] = []
    links = []
    for name, kind in (("a", DataType.INT16), ("b", DataType.UINT16)):
        device = modbus_device(502, modbus_point(f"{name}/p", 0, kind, period_ns=NS_PER_S), name=name)
        link = ScriptedLink(lambda address, count: bytes(2 * count), clock)
        source = Source(name, "1", clock, frames.append, None, None)
        poller = ModbusPoller(device, link, source, turns, harvest=harvest)  # type: ignore[arg-type]
        poller.start()
        links.append(link)

    def turn(times: int) -> set[str]:
        frames.clear()
        for _ in range(times):
            turns.turn()
            for link in links:
                link.serve()
            while gathers:
                gathers.pop()()
        return {frame.source for frame in frames}

    assert turn(10) == {"a", "b"}
    assert poller._steady is not None
    broken, decode_many = poller._steady._reader.decoder.layout, Layout.decode_many

    def fails(layout: Layout, data: Sequence[bytes]) -> Any:
        if layout is broken:
            raise MemoryError
        return decode_many(layout, data)

    with monkeypatch.context() as patch:
        patch.setattr(Layout, "decode_many", fails)
        assert "a" in turn(2)
    assert turn(20) == {"a", "b"}
