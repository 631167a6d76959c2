"""Registers that say something about points: scale factors and quality words, in the points' block and elsewhere."""

from __future__ import annotations

import math
import struct

import pytest

from ingest.devices import DataType, Kind, Meaning, ModbusPoint, Order, QualityWord, Register
from ingest.modbus.companions import Companions
from ingest.modbus.decode import BlockDecoder, companion_spans, register_bytes, spans_of
from ingest.modbus.plan import plan_blocks
from ingest.quality import (
    BAD,
    BAD_CONFIGURATION_ERROR,
    BAD_DATA_UNAVAILABLE,
    BAD_NOT_SUPPORTED,
    BAD_WAITING_FOR_INITIAL_DATA,
    GOOD,
    UNCERTAIN,
)
from market.errors import UnitError
from tests.kit.field import modbus_point


def register(address: int, type_: DataType = DataType.INT16, kind: Kind = Kind.HOLDING, order: Order = Order.ABCD) -> Register:
    return Register(kind=kind, address=address, type=type_, order=order)


def factored(name: str, address: int, factor: Register, type_: DataType = DataType.UINT16, **changes: object) -> ModbusPoint:
    return modbus_point(name, address, type_, meaning=Meaning(factor=factor), **changes)


class Bench:
    """A device's blocks, planned with their companions, and the memory they share."""

    def __init__(self, *points: ModbusPoint, hole_max: int = 16) -> None:
        self.memory = Companions()
        spans = [*spans_of(points), *companion_spans(points)]
        self.decoders = [BlockDecoder(block, points, self.memory) for block in plan_blocks(spans, hole_max=hole_max)]

    def read(self, number: int, *numbers: int) -> list[tuple[float, int]]:
        values, quality = self.decoders[number].decode(struct.pack(f">{len(numbers)}H", *numbers))
        return list(zip(values.tolist(), quality.tolist(), strict=True))


@pytest.mark.parametrize(("power", "value"), [(0, 1234.0), (1, 12340.0), (-1, 123.4), (-3, 1.234), (10, 1234e10), (-10, 1234e-10)])
def test_a_device_keeps_its_power_of_ten_in_a_register(power: int, value: float) -> None:
    bench = Bench(factored("w", 0, register(1)))
    assert bench.read(0, 1234, power & 0xFFFF) == [(value, GOOD)]


def test_the_value_is_what_division_gives_and_not_what_a_tenth_gives() -> None:
    # 3 x 0.1 is 0.30000000000000004.
    assert Bench(factored("w", 0, register(1))).read(0, 3, 0xFFFF) == [(0.3, GOOD)]


@pytest.mark.parametrize(
    ("power", "quality"),
    [(0x8000, BAD_NOT_SUPPORTED), (11, BAD_CONFIGURATION_ERROR), (0xFFF5, BAD_CONFIGURATION_ERROR), (1234, BAD_CONFIGURATION_ERROR)],
)
def test_a_power_that_is_none_makes_no_value(power: int, quality: int) -> None:
    [(value, status)] = Bench(factored("w", 0, register(1))).read(0, 1234, power)
    assert math.isnan(value)
    assert status == quality


def test_the_power_comes_before_scale_and_offset() -> None:
    points = [factored("w", 0, register(2), DataType.INT32, scale=1e-6, offset=1.0), modbus_point("raw", 0)]
    assert Bench(*points).read(0, 0x0001, 0x86A0, 3) == [(1.0, GOOD), (101.0, GOOD)]


def test_points_share_a_power_and_have_their_own() -> None:
    points = [factored("a", 0, register(4)), factored("b", 1, register(5)), modbus_point("c", 2), factored("d", 3, register(4))]
    assert Bench(*points).read(0, 10, 20, 30, 40, 1, 0xFFFF) == [(100.0, GOOD), (2.0, GOOD), (30.0, GOOD), (400.0, GOOD)]


def test_a_power_is_read_as_its_own_order_says() -> None:
    factor = register(1, order=Order.BADC)
    assert Bench(factored("a", 0, factor)).read(0, 10, 0x0200) == [(1000.0, GOOD)]


def test_a_power_that_changes_counts_at_once() -> None:
    bench = Bench(factored("w", 0, register(1)))
    assert [bench.read(0, 7, power)[0] for power in (1, 1, 2, 0x8000, 2)][:3] == [(70.0, GOOD), (70.0, GOOD), (700.0, GOOD)]
    assert bench.read(0, 7, 0) == [(7.0, GOOD)]


def test_a_power_in_another_block_is_read_there_and_waited_for() -> None:
    bench = Bench(factored("w", 0, register(500)), modbus_point("near", 502))
    assert [decoder.tells for decoder in bench.decoders] == [False, True]
    [(value, status)] = bench.read(0, 1234)
    assert math.isnan(value)
    assert status == BAD_WAITING_FOR_INITIAL_DATA
    assert bench.read(1, 0xFFFF, 0, 9) == [(9.0, GOOD)]
    assert bench.read(0, 1234) == [(123.4, GOOD)]
    bench.decoders[1].unread()
    assert bench.read(0, 1235) == [(123.5, GOOD)]


def test_a_device_that_may_be_another_has_said_nothing() -> None:
    bench = Bench(factored("w", 0, register(500)))
    bench.read(1, 1)
    assert bench.read(0, 7) == [(70.0, GOOD)]
    bench.memory.forget()
    assert bench.read(0, 7)[0][1] == BAD_WAITING_FOR_INITIAL_DATA
    bench.read(1, 1)
    assert bench.read(0, 7) == [(70.0, GOOD)]


def test_a_block_of_companions_alone_has_no_points() -> None:
    bench = Bench(factored("w", 0, register(500, kind=Kind.INPUT)))
    assert [decoder.ids.size for decoder in bench.decoders] == [1, 0]
    assert bench.read(1, 2) == []
    assert bench.read(0, 3) == [(300.0, GOOD)]
    assert bench.decoders[1].raw_integers(b"\x00\x02").tolist() == []


def test_a_companion_is_found_in_a_hole_of_a_block_planned_without_it() -> None:
    points = [factored("a", 0, register(1)), modbus_point("b", 2)]
    [block] = plan_blocks(spans_of(points))
    values, quality = BlockDecoder(block, points).decode(bytes.fromhex("0005 0001 0006"))
    assert (values.tolist(), quality.tolist()) == ([50.0, 6.0], [GOOD, GOOD])


def test_each_companion_is_planned_once() -> None:
    points = [factored("a", 0, register(9)), factored("b", 1, register(9)), factored("c", 2, register(9, kind=Kind.INPUT))]
    assert [(span.kind, span.address, span.size, span.row) for span in companion_spans(points)] == [
        (Kind.HOLDING, 9, 1, 3),
        (Kind.INPUT, 9, 1, 4),
    ]


def test_a_value_that_is_missing_stays_missing_whatever_its_power() -> None:
    point = modbus_point("w", 0, meaning=Meaning(missing=(0xFFFF,), factor=register(1)))
    assert Bench(point).read(0, 0xFFFF, 11)[0][1] == BAD_NOT_SUPPORTED
    digits = factored("d", 0, register(1), DataType.BCD16)
    assert Bench(digits).read(0, 0x12, 1) == [(120.0, GOOD)]
    assert Bench(digits).read(0, 0xA0, 1)[0][1] == BAD_DATA_UNAVAILABLE


def test_a_point_its_device_scales_is_not_written() -> None:
    with pytest.raises(UnitError, match="w: is scaled by a register of its device and cannot be written"):
        register_bytes(factored("w", 0, register(1)), 1.0)


WORD = {"good": (0, 16), "uncertain": (2,), "bad": (3,), "uncertain_bits": 0x10, "bad_bits": 0x8001}


@pytest.mark.parametrize(
    ("word", "number", "quality"),
    [
        (WORD, 0, GOOD),
        (WORD, 2, UNCERTAIN),
        (WORD, 3, BAD),
        (WORD, 16, UNCERTAIN),
        (WORD, 0x8010, BAD),
        (WORD, 0x8000, BAD),
        (WORD, 4, BAD),
        ({"bad": (3,)}, 4, GOOD),
        ({"bad_bits": 6}, 1, GOOD),
        ({"bad_bits": 6}, 4, BAD),
    ],
)
def test_a_device_says_how_good_its_points_are(word: dict[str, object], number: int, quality: int) -> None:
    point = modbus_point("p", 0, meaning=Meaning(word=QualityWord(register=register(1, DataType.UINT16), **word)))  # type: ignore[arg-type]
    [(value, status)] = Bench(point).read(0, 5, number)
    assert status == quality
    assert math.isnan(value) if quality == BAD else value == 5.0


def test_what_is_wrong_already_is_not_made_better_by_the_device() -> None:
    word = QualityWord(register=register(2, DataType.UINT16), uncertain=(1,))
    nan = modbus_point("p", 0, DataType.FLOAT32, meaning=Meaning(word=word))
    assert Bench(nan).read(0, 0x7FC0, 0, 1)[0][1] == BAD_DATA_UNAVAILABLE
    waiting = modbus_point("p", 0, meaning=Meaning(word=word, factor=register(1)))
    assert Bench(waiting).read(0, 5, 0x8000, 0)[0][1] == BAD_NOT_SUPPORTED


def test_a_word_that_cannot_be_read_says_nothing() -> None:
    word = QualityWord(register=register(500, DataType.UINT32, order=Order.CDAB), bad=(1,))
    bench = Bench(modbus_point("p", 0, meaning=Meaning(word=word)))
    assert bench.read(0, 5)[0][1] == BAD_WAITING_FOR_INITIAL_DATA
    bench.read(1, 1, 0)
    assert bench.read(0, 5)[0][1] == BAD
    bench.read(1, 0, 1)
    assert bench.read(0, 5) == [(5.0, GOOD)]
    bench.decoders[1].unread()
    assert bench.read(0, 5)[0][1] == BAD_WAITING_FOR_INITIAL_DATA


def test_a_single_bit_may_be_the_word() -> None:
    word = QualityWord(register=register(10, DataType.BOOL, Kind.DISCRETE), good=(1,))
    points = [modbus_point("p", 0, meaning=Meaning(word=word)), modbus_point("d", 1, DataType.BOOL, kind=Kind.DISCRETE)]
    bench = Bench(*points)
    discrete, holding = bench.decoders
    values, _ = discrete.decode(bytes([0b1, 0b10]))
    assert values.tolist() == [1.0]
    assert holding.decode(b"\x00\x05")[1].tolist() == [GOOD]
    discrete.decode(bytes([0b1, 0b01]))
    assert holding.decode(b"\x00\x05")[1].tolist() == [BAD]
