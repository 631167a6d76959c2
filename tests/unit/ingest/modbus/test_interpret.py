"""What bits mean beyond their type: digits, fields, "no value", codes; against bits written out by hand."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest

from ingest.devices import NAN_BITS, DataType, Kind, Meaning, ModbusPoint, Order
from ingest.modbus.decode import BlockDecoder, coil_value, register_bytes, spans_of
from ingest.modbus.plan import plan_blocks
from ingest.quality import BAD_DATA_UNAVAILABLE, BAD_NOT_SUPPORTED, GOOD
from market.errors import UnitError
from tests.kit.field import modbus_point


def read(data: bytes, *points: ModbusPoint) -> tuple[list[float], list[int]]:
    """Values and status codes in the order of the points."""
    [block] = plan_blocks(spans_of(points))
    values, quality = BlockDecoder(block, points).decode(data)
    place = {span.row: place for place, span in enumerate(block.spans)}
    rows = [place[row] for row in range(len(points))]
    return values[rows].tolist(), quality[rows].tolist()


def one(data: str, point: ModbusPoint) -> float:
    values, quality = read(bytes.fromhex(data), point)
    assert quality == [GOOD]
    return values[0]


def status(data: str, point: ModbusPoint) -> int:
    [value], [quality] = read(bytes.fromhex(data), point)
    assert math.isnan(value) == (quality != GOOD)
    return quality


@pytest.mark.parametrize(
    ("type_", "order", "data", "number"),
    [
        (DataType.BCD16, Order.ABCD, "1234", 1234.0),
        (DataType.BCD16, Order.DCBA, "3412", 1234.0),
        (DataType.BCD32, Order.ABCD, "1234 5678", 12345678.0),
        (DataType.BCD32, Order.CDAB, "5678 1234", 12345678.0),
        (DataType.BCD32, Order.BADC, "3412 7856", 12345678.0),
        (DataType.BCD64, Order.ABCD, "0012 3456 7890 1234", 12345678901234.0),
        (DataType.BCD64, Order.DCBA, "3412 9078 5634 1200", 12345678901234.0),
        (DataType.FLOAT16, Order.ABCD, "3E00", 1.5),
        (DataType.FLOAT16, Order.BADC, "003E", 1.5),
    ],
)
def test_digits_and_half_floats_in_their_orders(type_: DataType, order: Order, data: str, number: float) -> None:
    point = modbus_point("p", 0, type_, order=order)
    assert one(data, point) == number
    assert register_bytes(point, number) == bytes.fromhex(data)


@pytest.mark.parametrize("data", ["A000", "0B00", "00C0", "000F", "FFFF"])
def test_a_digit_above_nine_is_no_number(data: str) -> None:
    assert status(data, modbus_point("p", 0, DataType.BCD16)) == BAD_DATA_UNAVAILABLE


def test_digits_stand_beside_plain_points_and_are_scaled_like_them() -> None:
    points = [modbus_point("plain", 0), modbus_point("digits", 1, DataType.BCD32, scale=0.01, offset=1.0), modbus_point("last", 3)]
    assert read(bytes.fromhex("0007 0001 2345 0008"), *points) == ([7.0, 124.45, 8.0], [GOOD] * 3)


@pytest.mark.parametrize(
    ("type_", "bits", "data", "number"),
    [
        (DataType.UINT16, (4, 7), "12A4", 10.0),
        (DataType.UINT16, (0, 0), "0001", 1.0),
        (DataType.UINT16, (15, 15), "8000", 1.0),
        (DataType.INT16, (4, 7), "12A4", -6.0),
        (DataType.INT16, (4, 7), "1254", 5.0),
        (DataType.UINT32, (12, 19), "000A B000", 0xAB),
        (DataType.INT32, (12, 19), "000A B000", 0xAB - 256),
        (DataType.UINT64, (8, 55), "FF12 3456 789A BCFF", 0x123456789ABC),
        (DataType.INT64, (8, 63), "FFFF FFFF FFFF FE00", -2.0),
    ],
)
def test_a_field_is_cut_out_with_its_sign(type_: DataType, bits: tuple[int, int], data: str, number: float) -> None:
    assert one(data, modbus_point("p", 0, type_, meaning=Meaning(bits=bits))) == number


def test_a_field_is_counted_in_the_value_and_not_in_the_bytes_as_they_arrive() -> None:
    assert one("B000 000A", modbus_point("p", 0, DataType.UINT32, order=Order.CDAB, meaning=Meaning(bits=(12, 19)))) == 0xAB


@pytest.mark.parametrize(
    ("type_", "meaning", "data", "quality"),
    [
        (DataType.INT16, Meaning(missing=(0x8000,)), "8000", BAD_NOT_SUPPORTED),
        (DataType.INT16, Meaning(missing=(0x8000,)), "8001", GOOD),
        (DataType.UINT32, Meaning(missing=(7, 0xFFFF_FFFF)), "FFFF FFFF", BAD_NOT_SUPPORTED),
        (DataType.UINT32, Meaning(missing=(7, 0xFFFF_FFFF)), "0000 0007", BAD_NOT_SUPPORTED),
        (DataType.UINT32, Meaning(missing=(7, 0xFFFF_FFFF)), "0000 0008", GOOD),
        (DataType.UINT64, Meaning(missing=(2**64 - 1,)), "FFFF FFFF FFFF FFFF", BAD_NOT_SUPPORTED),
        (DataType.BCD16, Meaning(missing=(0xFFFF,)), "FFFF", BAD_NOT_SUPPORTED),
        (DataType.BCD16, Meaning(missing=(0xFFFF,)), "FFFE", BAD_DATA_UNAVAILABLE),
        (DataType.FLOAT32, Meaning(missing=(NAN_BITS[DataType.FLOAT32],)), "7FC00000", BAD_NOT_SUPPORTED),
        (DataType.FLOAT32, Meaning(missing=(NAN_BITS[DataType.FLOAT32],)), "FFA00001", BAD_NOT_SUPPORTED),
        (DataType.FLOAT32, Meaning(missing=(NAN_BITS[DataType.FLOAT32],)), "7F800000", BAD_DATA_UNAVAILABLE),
        (DataType.FLOAT32, Meaning(missing=(0xC61C3C00,)), "C61C3C00", BAD_NOT_SUPPORTED),  # -9999
        (DataType.FLOAT32, Meaning(missing=(0xC61C3C00,)), "7FC00000", BAD_DATA_UNAVAILABLE),
        (DataType.UINT16, Meaning(bits=(0, 3), missing=(15,)), "123F", BAD_NOT_SUPPORTED),
        (DataType.UINT16, Meaning(bits=(0, 3), unimplemented=(0xFFFF,)), "123F", GOOD),
        (DataType.UINT16, Meaning(bits=(0, 3), unimplemented=(0xFFFF,)), "FFFF", BAD_NOT_SUPPORTED),
    ],
)
def test_what_means_no_value_is_not_supported(type_: DataType, meaning: Meaning, data: str, quality: int) -> None:
    assert status(data, modbus_point("p", 0, type_, meaning=meaning)) == quality


def test_no_value_of_one_point_is_nothing_to_another() -> None:
    absent = Meaning(missing=(0xFFFF,))
    points = [modbus_point("a", 0, meaning=absent), modbus_point("b", 1), modbus_point("c", 2, meaning=absent, scale=0.1)]
    values, quality = read(bytes.fromhex("FFFF FFFF 000A"), *points)
    assert quality == [BAD_NOT_SUPPORTED, GOOD, GOOD]
    assert values[1:] == [65535.0, 1.0]


def test_a_code_is_looked_up_and_an_unknown_one_is_bad() -> None:
    position = Meaning(values=((0, 1.0), (3, 2.0)))
    assert one("0000", modbus_point("p", 0, meaning=position)) == 1.0
    assert one("0003", modbus_point("p", 0, meaning=position)) == 2.0
    for unknown in ("0001", "0002", "0004", "FFFF"):
        assert status(unknown, modbus_point("p", 0, meaning=position)) == BAD_DATA_UNAVAILABLE


def test_maps_of_several_points_do_not_mix() -> None:
    points = [
        modbus_point("a", 0, meaning=Meaning(values=((0, 1.0), (1, 2.0)))),
        modbus_point("b", 1, DataType.INT16, meaning=Meaning(values=((-1, 5.0),))),
        modbus_point("c", 2, meaning=Meaning(values=((0, 1.0), (1, 2.0)), missing=(9,))),
        modbus_point("d", 3, DataType.BOOL, bit=8, meaning=Meaning(values=((0, 2.0), (1, 1.0)))),
        modbus_point("e", 3, meaning=Meaning(bits=(8, 9), values=((1, 30.0), (2, 40.0)))),
        modbus_point("f", 4, DataType.UINT64, meaning=Meaning(values=((2**64 - 1, 7.0), (1, 8.0)))),
        modbus_point("g", 8, DataType.BCD16, meaning=Meaning(values=((10, 3.0),))),
    ]
    values, quality = read(bytes.fromhex("0001 FFFF 0009 0100 FFFFFFFFFFFFFFFF 0010"), *points)
    assert quality == [GOOD, GOOD, BAD_NOT_SUPPORTED, GOOD, GOOD, GOOD, GOOD]
    assert [value for value in values if not math.isnan(value)] == [2.0, 5.0, 1.0, 30.0, 7.0, 3.0]


def test_a_coil_has_codes_too() -> None:
    swapped = Meaning(values=((0, 2.0), (1, 1.0)))
    points = [modbus_point(f"c{n}", n, DataType.BOOL, kind=Kind.COIL, meaning=swapped if n % 2 else None) for n in range(4)]
    assert read(bytes([0b0110]), *points) == ([0.0, 1.0, 1.0, 2.0], [GOOD] * 4)
    assert coil_value(points[1], 1.0) is True
    assert coil_value(points[1], 2.0) is False


def test_a_code_is_written_by_its_value() -> None:
    point = modbus_point("sp", 0, meaning=Meaning(values=((0, 1.0), (3, 2.0))))
    assert register_bytes(point, 2.0) == b"\x00\x03"
    with pytest.raises(UnitError) as caught:
        register_bytes(point, 3.0)
    assert str(caught.value) == "sp: 3 has no code in its point list, which has codes for 1, 2"


@pytest.mark.parametrize(
    ("point", "value", "why"),
    [
        (
            modbus_point("sp", 0, DataType.INT16, meaning=Meaning(missing=(0x8000,))),
            -32768.0,
            "sp: -32768 cannot be written, its bits (0x8000) mean that there is no value",
        ),
        (modbus_point("sp", 0, DataType.BCD16), 10_000.0, "sp: 10000 does not fit bcd16 with scale 1"),
        (modbus_point("sp", 0, DataType.BCD16), -1.0, "sp: -1 does not fit bcd16 with scale 1"),
        (modbus_point("sp", 0, DataType.FLOAT16), 65520.0, "sp: 65520 does not fit float16 with scale 1"),
    ],
)
def test_what_cannot_be_written_with_a_meaning(point: ModbusPoint, value: float, why: str) -> None:
    with pytest.raises(UnitError) as caught:
        register_bytes(point, value)
    assert str(caught.value) == why


def test_a_label_is_a_values_name() -> None:
    meaning = Meaning(labels=((1.0, "open"), (2.0, "closed")))
    assert (meaning.label(2.0), meaning.label(0.0)) == ("closed", "")


def test_whole_numbers_are_given_exactly_and_before_scaling() -> None:
    points = [
        modbus_point("u64", 0, DataType.UINT64, scale=0.001),
        modbus_point("i64", 4, DataType.INT64, order=Order.DCBA),
        modbus_point("u32", 8, DataType.UINT32, order=Order.CDAB),
        modbus_point("i16", 10, DataType.INT16, offset=5.0),
        modbus_point("bcd", 11, DataType.BCD64),
        modbus_point("f", 15, DataType.FLOAT32),
        modbus_point("bit", 17, DataType.BOOL, bit=9),
        modbus_point("field", 17, DataType.INT16, meaning=Meaning(bits=(8, 11))),
        modbus_point("wrong", 18, DataType.BCD16),
    ]
    data = struct.pack(">Q", 2**64 - 2) + struct.pack("<q", -(2**53) - 1) + bytes.fromhex("0001 8000") + struct.pack(">h", -3)
    data += bytes.fromhex("9007199254740993") + struct.pack(">f", 3.0) + bytes.fromhex("0E00 00A0")
    [block] = plan_blocks(spans_of(points))
    numbers = BlockDecoder(block, points).raw_integers(data)
    assert numbers.dtype == np.int64
    assert numbers.tolist() == [-2, -(2**53) - 1, 0x8000_0001, -3, 9007199254740993, 0, 1, -2, 0]


def test_coils_are_whole_numbers_too() -> None:
    points = [modbus_point(f"c{n}", n, DataType.BOOL, kind=Kind.COIL) for n in range(3)]
    [block] = plan_blocks(spans_of(points))
    assert BlockDecoder(block, points).raw_integers(bytes([0b101])).tolist() == [1, 0, 1]
