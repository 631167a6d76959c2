"""What a polled device's own clock says, and of which of its blocks."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from ingest.devices import ClockRegister, DataType, Kind, Order
from ingest.modbus.companions import companion_spans
from ingest.modbus.decode import BlockDecoder, spans_of
from ingest.modbus.deviceclock import carried
from ingest.modbus.plan import plan_blocks
from ingest.quality import Flag
from ingest.sourcetime import NO_TIME, clock_off_ns, settle_source_times
from market.units import NS_PER_H, NS_PER_MS, NS_PER_S, instant_ns
from tests.kit.field import modbus_point

NOW_NS = instant_ns("2026-06-10T12:00:00Z")
EPOCH_2000_NS = instant_ns("2000-01-01T00:00:00Z")


def clock(**changes: object) -> ClockRegister:
    given: dict[str, object] = {"address": 4, "type": DataType.UINT64, "order": Order.ABCD, "tick_ns": NS_PER_MS}
    return ClockRegister(**(given | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("register", "data"),
    [
        (clock(), struct.pack(">Q", NOW_NS // NS_PER_MS)),
        (clock(type=DataType.INT64), struct.pack(">q", NOW_NS // NS_PER_MS)),
        (clock(type=DataType.UINT32, tick_ns=NS_PER_S), struct.pack(">I", NOW_NS // NS_PER_S)),
        (clock(type=DataType.UINT32, tick_ns=NS_PER_S, since_ns=EPOCH_2000_NS), struct.pack(">I", (NOW_NS - EPOCH_2000_NS) // NS_PER_S)),
        (clock(type=DataType.UINT32, tick_ns=NS_PER_S, order=Order.DCBA), struct.pack("<I", NOW_NS // NS_PER_S)),
    ],
)
def test_a_clock_counts_ticks_since_an_instant(register: ClockRegister, data: bytes) -> None:
    points = [modbus_point("p", 3)]
    [block] = plan_blocks([*spans_of(points), *companion_spans(points, register)])
    decoder = BlockDecoder(block, points, clock=register)
    assert decoder.device_time_ns(b"\x00\x07" + data) == NOW_NS
    assert decoder.decode(b"\x00\x07" + data)[0].tolist() == [7.0]


def test_a_block_without_the_clock_tells_no_time() -> None:
    points = [modbus_point("p", 3), modbus_point("far", 500)]
    first, second = (
        BlockDecoder(block, points, clock=clock()) for block in plan_blocks([*spans_of(points), *companion_spans(points, clock())])
    )
    assert first.device_time_ns(bytes(10)) == 0
    assert second.device_time_ns(bytes(2)) == NO_TIME
    input_clock = clock(kind=Kind.INPUT)
    [block] = plan_blocks(spans_of(points[:1]))
    for other in (input_clock, clock(address=3), clock(address=2), None):
        assert BlockDecoder(block, points, clock=other).device_time_ns(b"\xff\xff") == NO_TIME


def test_a_clock_gone_wild_is_held_within_what_can_be_said() -> None:
    points = [modbus_point("p", 3)]
    [block] = plan_blocks([*spans_of(points), *companion_spans(points, clock())])
    for register, data, wanted in (
        (clock(), b"\xff" * 8, 2**63 - 1),
        (clock(type=DataType.INT64), b"\xff" * 8, 0),
    ):
        assert BlockDecoder(block, points, clock=register).device_time_ns(b"\x00\x00" + data) == wanted


def test_blocks_of_a_poll_share_the_clock_of_the_nearest() -> None:
    read = [NOW_NS, NOW_NS + 30, NOW_NS + 50, NOW_NS + 100]
    assert carried(read, [NO_TIME, 1030, NO_TIME, 2100]).tolist() == [1000, 1030, 1050, 2100]
    assert carried(read, [NO_TIME] * 4).tolist() == [NO_TIME] * 4
    assert carried([NOW_NS, 0], [0, NO_TIME]).tolist() == [0, 0]


def test_a_devices_time_is_settled_as_that_of_one_that_pushes() -> None:
    claimed = carried([NOW_NS, NOW_NS + 30], [NOW_NS - NS_PER_S, NO_TIME])
    times, flags = settle_source_times(claimed, NOW_NS)
    assert times.tolist() == [NOW_NS - NS_PER_S, NOW_NS - NS_PER_S + 30]
    assert not flags.any()
    wrong = carried([NOW_NS], [NOW_NS + NS_PER_H])
    times, flags = settle_source_times(wrong, NOW_NS)
    assert flags.tolist() == [Flag.TS_ESTIMATED | Flag.CLOCK_SUSPECT]
    assert clock_off_ns(wrong, flags, NOW_NS) == NS_PER_H
    assert times.dtype == np.int64
