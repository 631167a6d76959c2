"""Texts in registers: what devices fill them up with, in both byte orders, and what is no text."""

from __future__ import annotations

import pytest

from ingest.devices import Kind, ModbusAttribute, Order
from ingest.modbus.attributes import attribute_spans, text_of, texts
from ingest.modbus.plan import plan_blocks


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"SN-0042\0", "SN-0042"),
        (b"SN-0042 ", "SN-0042"),
        (b"  A B   ", "A B"),
        (b"V1\0\0leftover", "V1"),
        (b"V1.2\xff\xff\xff\xff", "V1.2"),
        (b"\xff" * 8, ""),
        (bytes(8), ""),
        ("电表".encode(), "电表"),
        (b"A\xe9B\0", "A\ufffdB"),
        (b"A\x07B\0", "A\ufffdB"),
    ],
)
def test_a_text_ends_where_the_device_ended_it(data: bytes, text: str) -> None:
    assert text_of(data) == text
    assert text_of(b"".join(bytes(reversed(data[n : n + 2])) for n in range(0, len(data), 2)), swapped=True) == text


def test_the_texts_of_a_block_are_given_by_name() -> None:
    attributes = [
        ModbusAttribute(name="serial", kind=Kind.HOLDING, address=14, length=3, order=Order.ABCD),
        ModbusAttribute(name="maker", kind=Kind.HOLDING, address=10, length=2, order=Order.BADC),
        ModbusAttribute(name="far", kind=Kind.INPUT, address=0, length=125, order=Order.CDAB),
    ]
    near, far = plan_blocks(attribute_spans(attributes))
    assert texts(near, attributes, b"cAem" + b"????" + b"AB12\0\0") == {"maker": "Acme", "serial": "AB12"}
    assert texts(far, attributes, b"x" * 250) == {"far": "x" * 250}
