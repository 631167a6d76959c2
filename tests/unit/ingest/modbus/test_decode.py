"""Register bytes to engineering values and back, against bytes written out by hand."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest

from ingest.devices import DataType, Kind, ModbusPoint, Order
from ingest.frame import point_id
from ingest.modbus.decode import BlockDecoder, coil_value, integer_at, register_bytes, spans_of
from ingest.modbus.plan import plan_blocks
from ingest.quality import BAD_DATA_UNAVAILABLE, GOOD
from market.errors import UnitError
from tests.kit.field import modbus_point


def decoded(data: bytes, *points: ModbusPoint) -> list[float]:
    [block] = plan_blocks(spans_of(points))
    values, quality = BlockDecoder(block, points).decode(data)
    assert not quality.any()
    by_row = {span.row: values[place] for place, span in enumerate(block.spans)}
    return [float(by_row[row]) for row in range(len(points))]


# 123456.0 is 0x47F12000: the constants of libmodbus's own unit test (UT_REAL, UT_IREAL_*).
REAL = {Order.ABCD: "47F1 2000", Order.DCBA: "0020 F147", Order.BADC: "F147 0020", Order.CDAB: "2000 47F1"}

# The same eight bytes 01..08 in each order, written out.
LONG = {
    Order.ABCD: "0102 0304 0506 0708",
    Order.DCBA: "0807 0605 0403 0201",
    Order.BADC: "0201 0403 0605 0807",
    Order.CDAB: "0708 0506 0304 0102",
}
SHORT = {Order.ABCD: "0102", Order.DCBA: "0201", Order.BADC: "0201", Order.CDAB: "0102"}


@pytest.mark.parametrize("order", Order)
def test_the_four_orders(order: Order) -> None:
    assert decoded(bytes.fromhex(REAL[order]), modbus_point("p", 0, DataType.FLOAT32, order=order)) == [123456.0]
    assert decoded(bytes.fromhex(SHORT[order]), modbus_point("p", 0, DataType.UINT16, order=order)) == [258.0]
    long = bytes.fromhex(LONG[order])
    assert integer_at(long, 0, DataType.UINT64, order) == 0x0102030405060708
    assert decoded(long, modbus_point("p", 0, DataType.UINT64, order=order)) == [float(0x0102030405060708)]


@pytest.mark.parametrize(
    ("type_", "code", "values"),
    [
        (DataType.INT16, ">h", [-32768, -1, 0, 32767]),
        (DataType.UINT16, ">H", [0, 1, 65535]),
        (DataType.INT32, ">i", [-(2**31), -1, 2**31 - 1]),
        (DataType.UINT32, ">I", [0, 2**32 - 1]),
        (DataType.INT64, ">q", [-(2**53), -1, 2**53]),
        (DataType.UINT64, ">Q", [0, 2**53]),
        (DataType.FLOAT32, ">f", [-0.5, 0.0, 3.25, 16777216.0]),
        (DataType.FLOAT64, ">d", [-0.1, 1e300, 5e-324]),
    ],
)
def test_every_type_at_its_edges(type_: DataType, code: str, values: list[float]) -> None:
    for value in values:
        data = struct.pack(code, value)
        point = modbus_point("p", 0, type_)
        assert decoded(data, point) == [float(value)]
        assert register_bytes(point, value) == data


def test_a_block_of_everything_with_holes() -> None:
    data = struct.pack(">H2xfHxxq", 7, 1.5, 0b1000_0000_0000_0010, -5)
    points = [
        modbus_point("bit15", 4, DataType.BOOL, bit=15),
        modbus_point("u16", 0, scale=0.5, offset=-1.0),
        modbus_point("i64", 6, DataType.INT64, scale=2.0),
        modbus_point("f32", 2, DataType.FLOAT32),
        modbus_point("bit0", 4, DataType.BOOL, bit=0),
        modbus_point("bit1", 4, DataType.BOOL, bit=1),
        modbus_point("raw", 4),
    ]
    assert decoded(data, *points) == [1.0, 2.5, -10.0, 1.5, 0.0, 1.0, 32770.0]


def test_bits_come_least_significant_first() -> None:
    # V1.1b3 §6.1: coils 20-38 are CD 6B 05; 27-20 read 1100 1101, 38-36 read 101.
    points = [modbus_point(f"c{n}", n, DataType.BOOL, kind=Kind.COIL) for n in range(19, 38)]
    assert "".join(str(int(v)) for v in decoded(bytes.fromhex("CD6B05"), *points)) == "1011001111010110101"


def test_ids_follow_the_block() -> None:
    points = [modbus_point("late", 5), modbus_point("early", 1)]
    [block] = plan_blocks(spans_of(points))
    assert BlockDecoder(block, points).ids.tolist() == [point_id("early"), point_id("late")]


@pytest.mark.parametrize("bits", ["7FC00000", "7FA00001", "FF800000", "7F800000"])
def test_what_is_no_number_is_never_good(bits: str) -> None:
    points = [modbus_point("nan", 0, DataType.FLOAT32), modbus_point("well", 2)]
    [block] = plan_blocks(spans_of(points))
    values, quality = BlockDecoder(block, points).decode(bytes.fromhex(bits) + b"\x00\x07")
    assert quality.tolist() == [BAD_DATA_UNAVAILABLE, GOOD]
    assert math.isnan(values[0])
    assert values[1] == 7.0


def test_scaling_that_overflows_is_never_good() -> None:
    points = [modbus_point("big", 0, DataType.FLOAT64, scale=1e10)]
    [block] = plan_blocks(spans_of(points))
    values, quality = BlockDecoder(block, points).decode(struct.pack(">d", 1e305))
    assert quality.tolist() == [BAD_DATA_UNAVAILABLE]
    assert np.isnan(values).all()


@pytest.mark.parametrize("order", Order)
def test_a_value_is_written_as_it_would_be_read(order: Order) -> None:
    point = modbus_point("sp", 0, DataType.FLOAT32, order=order)
    assert register_bytes(point, 123456.0) == bytes.fromhex(REAL[order])
    scaled = modbus_point("sp", 0, DataType.INT32, order=order, scale=0.01, offset=10.0)
    assert decoded(register_bytes(scaled, -123.45), scaled)[0] == pytest.approx(-123.45, abs=1e-12)


@pytest.mark.parametrize(
    ("changes", "value", "why"),
    [
        ({"low": 0.0, "high": 100.0, "unit": "MW"}, 100.5, "sp: 100.5 MW is outside [0, 100], which its point list allows"),
        ({}, math.nan, "sp: nan is not a value that can be written"),
        ({}, math.inf, "sp: inf is not a value that can be written"),
        ({}, 65536.0, "sp: 65536 does not fit uint16 with scale 1"),
        ({}, -1.0, "sp: -1 does not fit uint16 with scale 1"),
        ({"type_": DataType.FLOAT32}, 1e39, "sp: 1e+39 does not fit float32 with scale 1"),
    ],
)
def test_what_cannot_be_written(changes: dict[str, object], value: float, why: str) -> None:
    with pytest.raises(UnitError) as caught:
        register_bytes(modbus_point("sp", 0, **changes), value)
    assert str(caught.value) == why


def test_a_coil_is_on_or_off() -> None:
    point = modbus_point("c", 0, DataType.BOOL, kind=Kind.COIL)
    assert (coil_value(point, 0), coil_value(point, 1)) == (False, True)
    with pytest.raises(UnitError, match="neither off"):
        coil_value(point, 0.5)
