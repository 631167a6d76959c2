"""Numbers into registers, against the layouts written out by hand and pymodbus' own converter."""

from __future__ import annotations

import numpy as np
import pytest
from pymodbus.client.mixin import ModbusClientMixin

from ingest.devices import DataType, Kind, ModbusPoint, Order
from ingest.simulator.registers import RegisterImage, decoded, encoded

NUMERIC = [kind for kind in DataType if kind is not DataType.BOOL and not kind.is_bcd]


def point(name: str, address: int, kind: DataType, order: Order, scale: float = 1.0) -> ModbusPoint:
    return ModbusPoint(
        name=name,
        unit="",
        scale=scale,
        offset=0.0,
        low=None,
        high=None,
        period_ns=1,
        writable=False,
        kind=Kind.INPUT,
        address=address,
        type=kind,
        bit=None,
        order=order,
    )


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Order.ABCD, (0x4128, 0x0000)),  # 10.5 is 0x41280000
        (Order.CDAB, (0x0000, 0x4128)),
        (Order.BADC, (0x2841, 0x0000)),
        (Order.DCBA, (0x0000, 0x2841)),
    ],
)
def test_the_four_orders_of_ten_and_a_half(order: Order, expected: tuple[int, int]) -> None:
    assert encoded(10.5, DataType.FLOAT32, order) == expected
    assert decoded(expected, DataType.FLOAT32, order) == 10.5


@pytest.mark.parametrize("kind", [kind for kind in NUMERIC if kind is not DataType.FLOAT16])
def test_straight_and_word_swapped_values_are_as_pymodbus_writes_them(kind: DataType) -> None:
    number = -77 if kind.value.startswith("int") else 77
    theirs = ModbusClientMixin.DATATYPE[kind.name]
    for order, word_order in ((Order.ABCD, "big"), (Order.CDAB, "little")):
        given = float(number) if kind.is_float else number
        assert list(encoded(number, kind, order)) == ModbusClientMixin.convert_to_registers(given, theirs, word_order=word_order)


@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize("kind", NUMERIC)
def test_an_image_holds_what_single_encoding_gives(kind: DataType, order: Order) -> None:
    values = np.array([12.0, 3.0, 250.0])
    image = RegisterImage([point("a", 10, kind, order), point("b", 20, kind, order)], [2, 0])
    image.put(values)
    size = kind.registers
    assert tuple(image.words[:size].tolist()) == encoded(250, kind, order)
    assert tuple(image.words[10 : 10 + size].tolist()) == encoded(12, kind, order)
    assert not image.used[size:10].any()


def test_what_does_not_fit_is_held_at_the_end_of_the_type_and_counters_roll_over() -> None:
    image = RegisterImage(
        [
            point("unit/u/mw", 0, DataType.INT16, Order.ABCD, 0.1),
            point("unit/v/mw", 1, DataType.INT16, Order.ABCD, 0.1),
            point("unit/u/mwh", 2, DataType.UINT32, Order.ABCD, 0.01),
        ],
        [0, 1, 2],
    )
    image.put(np.array([9999.0, -1.26, 2**32 * 0.01 + 0.059]))
    assert image.words[0] == 32767
    assert decoded((int(image.words[1]),), DataType.INT16, Order.ABCD) == -13
    assert (int(image.words[2]), int(image.words[3])) == (0, 5), "counted down to whole counts, past the end of the counter"


def test_the_largest_64_bit_numbers_stay_inside_their_type() -> None:
    image = RegisterImage([point("a", 0, DataType.UINT64, Order.ABCD), point("b", 4, DataType.INT64, Order.ABCD)], [0, 1])
    image.put(np.array([1e30, -1e30]))
    assert decoded(image.words[:4].tolist(), DataType.UINT64, Order.ABCD) == pytest.approx(2.0**64, rel=1e-12)
    assert decoded(image.words[4:].tolist(), DataType.INT64, Order.ABCD) == -(2.0**63)
