"""Whatever bits a device sends, what they mean is what a slow and simple reading of them says."""

from __future__ import annotations

import math
import struct
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client.mixin import ModbusClientMixin

from ingest.devices import DATA_TYPES, NAN_BITS, DataType, Kind, Meaning, ModbusPoint, Order, QualityWord, Register
from ingest.frame import point_id
from ingest.modbus.companions import Companions
from ingest.modbus.decode import BlockDecoder, companion_spans, register_bytes, spans_of
from ingest.modbus.plan import Block, plan_blocks
from ingest.quality import BAD, BAD_CONFIGURATION_ERROR, BAD_DATA_UNAVAILABLE, BAD_NOT_SUPPORTED, GOOD, UNCERTAIN
from tests.kit.field import modbus_point

TYPES = [each for each in DataType if each is not DataType.BOOL]
WHOLE = [each for each in TYPES if not each.is_float and not each.is_bcd]
DIGITS = [each for each in TYPES if each.is_bcd]


ARRIVES = {
    (1, Order.ABCD): "01",
    (1, Order.DCBA): "10",
    (1, Order.BADC): "10",
    (1, Order.CDAB): "01",
    (2, Order.ABCD): "0123",
    (2, Order.DCBA): "3210",
    (2, Order.BADC): "1032",
    (2, Order.CDAB): "2301",
    (4, Order.ABCD): "01234567",
    (4, Order.DCBA): "76543210",
    (4, Order.BADC): "10325476",
    (4, Order.CDAB): "67452301",
}
"""Which byte of a value, 0 the most significant, arrives in which place, by registers and order; written out."""


def arriving(word: int, registers: int, order: Order) -> bytes:
    """The bytes of a value as a device of that order sends them."""
    straight = word.to_bytes(2 * registers, "big")
    return bytes(straight[int(place)] for place in ARRIVES[registers, order])


def number_of(word: int, type_: DataType, bits: tuple[int, int] | None) -> int | None:
    """The whole number some bits are, by arithmetic; None where they are none."""
    if type_.is_bcd:
        text = f"{word:x}"
        return int(text) if text.isdecimal() else None
    width = 16 * type_.registers
    if bits is not None:
        word, width = word // 2 ** bits[0] % 2 ** (bits[1] - bits[0] + 1), bits[1] - bits[0] + 1
    return word - 2**width if type_.value.startswith("int") and word >= 2 ** (width - 1) else word


def decoded(data: bytes, points: list[ModbusPoint]) -> tuple[list[float], list[int], list[int]]:
    block = Block(Kind.HOLDING, 0, len(data) // 2, tuple(sorted(spans_of(points))))
    decoder = BlockDecoder(block, points)
    values, quality = decoder.decode(data)
    numbers = decoder.raw_integers(data)
    place = {span.row: place for place, span in enumerate(block.spans)}
    rows = [place[row] for row in range(len(points))]
    return values[rows].tolist(), quality[rows].tolist(), numbers[rows].tolist()


@st.composite
def meant(draw) -> tuple[ModbusPoint, int]:
    """A point of any type, order and meaning, and the bits of its value; often such as its meaning names."""
    type_, order = draw(st.sampled_from(TYPES)), draw(st.sampled_from(list(Order)))
    size = 16 * type_.registers
    words = st.integers(0, 2**size - 1)
    if type_.is_bcd:
        words |= st.integers(0, 10 ** (size // 4) - 1).map(lambda number: int(str(number), 16))
    word = draw(words)
    bits = None
    if type_ in WHOLE and draw(st.booleans()):
        low = draw(st.integers(0, size - 1))
        bits = (low, draw(st.integers(low, size - 1)))
        bits = None if bits == (0, size - 1) else bits
    field = word if bits is None else word >> bits[0] & (1 << bits[1] - bits[0] + 1) - 1
    width = size if bits is None else bits[1] - bits[0] + 1
    missing = tuple(draw(st.lists(words.map(lambda each: each % 2**width) | st.just(field), max_size=2)))
    unimplemented = tuple(draw(st.lists(words | st.just(word), max_size=1)))
    values = ()
    number = number_of(word, type_, bits)
    if not type_.is_float and draw(st.booleans()):
        codes = draw(st.dictionaries(st.integers(-5, 5) | st.just(0 if number is None else number), st.integers(-9, 9), min_size=1))
        values = tuple((code, float(value)) for code, value in codes.items())
    meaning = Meaning(bits=bits, missing=missing, unimplemented=unimplemented, values=values)
    return modbus_point("p", 0, type_, order=order, meaning=None if meaning == Meaning() else meaning), word


def expected(point: ModbusPoint, word: int) -> tuple[float, int]:
    """Value and status code, point by point."""
    meaning, type_ = point.meaning or Meaning(), point.type
    low, high = meaning.bits or (0, 16 * type_.registers - 1)
    if word >> low & (1 << high - low + 1) - 1 in meaning.missing or word in meaning.unimplemented:
        return math.nan, BAD_NOT_SUPPORTED
    if type_.is_float:
        [value] = struct.unpack(DATA_TYPES[type_][1], word.to_bytes(2 * type_.registers, "big"))
        if math.isnan(value) and NAN_BITS[type_] in meaning.missing:
            return math.nan, BAD_NOT_SUPPORTED
        return (value, GOOD) if math.isfinite(value) else (math.nan, BAD_DATA_UNAVAILABLE)
    number = number_of(word, type_, meaning.bits)
    codes = dict(meaning.values)
    if number is None or (codes and number not in codes):
        return math.nan, BAD_DATA_UNAVAILABLE
    return float(codes.get(number, number)), GOOD


@given(st.lists(meant(), min_size=1, max_size=8))
def test_a_block_of_meanings_is_read_as_point_by_point(cases: list[tuple[ModbusPoint, int]]) -> None:
    points, data = [], b""
    for number, (point, word) in enumerate(cases):
        points.append(
            modbus_point(f"p{number}", len(data) // 2, point.type, order=point.order, meaning=point.meaning),
        )
        data += arriving(word, point.type.registers, point.order)
    values, quality, numbers = decoded(data, points)
    for (point, word), value, status, number in zip(cases, values, quality, numbers, strict=True):
        wanted, code = expected(point, word)
        assert status == code
        assert value == wanted or (math.isnan(value) and math.isnan(wanted))
        exact = None if point.type.is_float else number_of(word, point.type, None if point.meaning is None else point.meaning.bits)
        assert (number - (exact or 0)) % 2**64 == 0


@given(st.sampled_from(DIGITS), st.sampled_from(list(Order)), st.data())
def test_digits_are_written_as_they_are_read(type_: DataType, order: Order, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, min(10 ** (4 * type_.registers) - 1, 2**53)))
    point = modbus_point("p", 0, type_, order=order)
    written = register_bytes(point, float(number))
    assert written == arriving(int(str(number), 16), type_.registers, order)
    assert decoded(written, [point])[::2] == ([float(number)], [number])


@given(st.sampled_from([each for each in WHOLE if each.registers > 1] + [DataType.FLOAT32, DataType.FLOAT64]), st.data())
def test_word_orders_are_read_as_pymodbus_reads_them(type_: DataType, data: st.DataObject) -> None:
    registers = data.draw(st.lists(st.integers(0, 65535), min_size=type_.registers, max_size=type_.registers))
    sent = b"".join(register.to_bytes(2, "big") for register in registers)
    for order, word_order in ((Order.ABCD, "big"), (Order.CDAB, "little")):
        theirs = ModbusClientMixin.convert_from_registers(registers, ModbusClientMixin.DATATYPE[type_.name], word_order=word_order)
        [value], [status], _ = decoded(sent, [modbus_point("p", 0, type_, order=order)])
        assert (value == float(theirs) and status == GOOD) if math.isfinite(theirs) else status == BAD_DATA_UNAVAILABLE


REGISTERS = 300
near = st.integers(0, REGISTERS - 2)


@st.composite
def accompanied(draw) -> tuple[list[ModbusPoint], list[int]]:
    """Points with scale factors and quality words anywhere in a table, and the table."""
    table = draw(st.lists(st.integers(0, 3) | st.integers(0xFFF0, 0xFFFF) | st.just(0x8000), min_size=REGISTERS, max_size=REGISTERS))
    points = []
    for number in range(draw(st.integers(1, 6))):
        factor = Register(kind=Kind.HOLDING, address=draw(near), type=DataType.INT16, order=Order.ABCD)
        lists = st.lists(st.integers(0, 3), max_size=2).map(tuple)
        said = {"good": draw(lists), "uncertain": draw(lists), "bad": draw(lists), "bad_bits": draw(st.sampled_from([0, 2, 0x8000]))}
        word = QualityWord(register=Register(kind=Kind.HOLDING, address=draw(near), type=DataType.UINT16, order=Order.ABCD), **said)
        meaning = Meaning(factor=factor if draw(st.booleans()) else None, word=word if draw(st.booleans()) else None)
        points.append(modbus_point(f"p{number}", draw(near), draw(st.sampled_from([DataType.UINT16, DataType.INT32])), meaning=meaning))
    return points, table


@given(accompanied(), st.integers(0, 40), st.integers(2, 125))
def test_where_companions_lie_changes_nothing(case: tuple[list[ModbusPoint], list[int]], hole_max: int, registers_max: int) -> None:
    points, table = case
    memory = Companions()
    blocks = plan_blocks([*spans_of(points), *companion_spans(points)], hole_max=hole_max, registers_max=registers_max)
    found: dict[int, tuple[float, int]] = {}
    for _ in range(2):
        for block in blocks:
            decoder = BlockDecoder(block, points, memory)
            data = b"".join(word.to_bytes(2, "big") for word in table[block.address : block.address + block.count])
            columns = decoder.decode(data)
            found |= {number: (float(v), int(q)) for number, v, q in zip(decoder.ids.tolist(), *columns, strict=True)}
    for point in points:
        assert point.meaning is not None
        value, status = found[point_id(point.name)]
        straight = b"".join(word.to_bytes(2, "big") for word in table[point.address : point.address + point.type.registers])
        wanted, quality = float(int.from_bytes(straight, "big", signed=point.type is DataType.INT32)), GOOD
        if point.meaning.factor is not None:
            power = (table[point.meaning.factor.address] + 0x8000) % 0x10000 - 0x8000
            quality = BAD_NOT_SUPPORTED if power == -0x8000 else GOOD if -10 <= power <= 10 else BAD_CONFIGURATION_ERROR
            wanted = float(Decimal(int(wanted)).scaleb(power)) if quality == GOOD else math.nan
        if point.meaning.word is not None and quality == GOOD:
            word = point.meaning.word
            said = table[word.register.address]
            quality = UNCERTAIN if said in word.uncertain else GOOD if not word.good or said in word.good else BAD
            quality = BAD if said in word.bad or said & word.bad_bits else quality
        assert status == quality
        assert value == wanted if quality < BAD else math.isnan(value)
