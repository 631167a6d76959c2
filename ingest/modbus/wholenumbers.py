"""Which whole numbers do the registers of a block hold, exactly?

A value leaves the decoder as float64, which is exact for whole numbers up to 2^53 only. What has to be exact is taken from here: the
difference of two readings of a counter, a raw number that is looked up in a map, the bits that mean "no value". Every value is read
into the low end of 64 bits, whatever its size and order; a field of bits is then cut out by shifting it up to the top and down again,
which extends its sign on the way if it has one. A value without a field is a field of all its bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.devices import DataType, ModbusPoint, Order
from ingest.modbus.plan import Block

__all__ = ["WholeNumbers", "byte_offsets", "digits_of", "integer_at", "number_of_digits", "run_of"]

_WORD_BITS: Final = 64
_WORD_BYTES: Final = 8
_ONE, _TWO = np.uint64(1), np.uint64(2)
_EIGHTS: Final = np.uint64(0x8888_8888_8888_8888)
_JOINS: Final = tuple(
    (np.uint64(shift), np.uint64(lanes), np.uint64(ten))
    for shift, lanes, ten in (
        (4, 0x0F0F_0F0F_0F0F_0F0F, 10),
        (8, 0x00FF_00FF_00FF_00FF, 100),
        (16, 0x0000_FFFF_0000_FFFF, 10_000),
        (32, 0x0000_0000_FFFF_FFFF, 100_000_000),
    )
)


def byte_offsets(first: int, registers: int, order: Order) -> list[int]:
    """Return where the bytes of a value stand, most significant first, for a value whose first byte is at ``first``.

    >>> byte_offsets(0, 2, Order.CDAB)
    [2, 3, 0, 1]
    """
    offsets = [first + 2 * register for register in range(registers)]
    if order.swaps_registers:
        offsets.reverse()
    return [offset + place for offset in offsets for place in ((1, 0) if order.swaps_bytes else (0, 1))]


def integer_at(data: bytes, first: int, data_type: DataType, order: Order) -> int:
    """Return the whole number whose first byte is at ``first``, exactly.

    >>> integer_at(bytes([0, 1, 0, 2]), 0, DataType.UINT32, Order.CDAB) == 0x0002_0001
    True
    """
    placed = bytes(data[offset] for offset in byte_offsets(first, data_type.registers, order))
    return int.from_bytes(placed, "big", signed=data_type.is_signed)


def run_of(places: NDArray[np.int64]) -> NDArray[np.int64] | slice:
    """Return places that follow each other as the slice they are, which is taken without copying."""
    if not places.size:
        return slice(0, 0)
    first, count = int(places[0]), len(places)
    return slice(first, first + count) if (places == np.arange(first, first + count)).all() else places


def digits_of(number: int) -> int:
    """Return the bits that are a number's decimal digits, four bits each.

    >>> hex(digits_of(1234))
    '0x1234'
    """
    return int(str(number), 16)


def number_of_digits(bits: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Read decimal digits, four bits each.

    Args:
        bits: (n,) at most 16 digits each.

    Returns:
        (n,) int64 the numbers, 0 where they are none; (n,) whether they are none, because a digit is above 9.
    """
    # A four-bit digit is above 9 when its 8 is set and its 4 or its 2 is.
    none = (bits & (bits << _ONE | bits << _TWO) & _EIGHTS) != 0
    # All neighbours are joined at once: digits to pairs, pairs to fours, fours to eights, eights to the number.
    number = bits
    for shift, lanes, ten in _JOINS:
        number = (number & lanes) + (number >> shift & lanes) * ten
    number[none] = 0
    return number.view(np.int64), np.asarray(none)


class WholeNumbers:
    """Reads the whole numbers of some points of a block.

    Args:
        block: what is read.
        points: the points, all within the block; (n,) below.
    """

    __slots__ = ("_at", "_bcd", "_bits_at", "_cut", "_down", "_float", "_signed", "_size", "_up")

    def __init__(self, block: Block, points: Sequence[ModbusPoint]) -> None:
        self._size = 0 if block.kind.is_bits else 2 * block.count
        self._bits_at = np.array([point.address - block.address for point in points], dtype=np.int64) if block.kind.is_bits else None
        self._at = np.array([self._placed(block, point) for point in points], dtype=np.int64).ravel()
        fields = [_field(point) for point in points]
        self._up = np.array([_WORD_BITS - 1 - high for _, high in fields], dtype=np.uint64)
        self._down = np.array([_WORD_BITS - 1 - high + low for low, high in fields], dtype=np.uint64)
        self._signed = np.array([point.type.is_signed for point in points], dtype=np.bool_)
        whole = all(field == (0, 16 * point.type.registers - 1) for field, point in zip(fields, points, strict=True))
        self._cut = not block.kind.is_bits and bool(self._signed.any() or not whole)
        digits = [row for row, point in enumerate(points) if point.type.is_bcd]
        self._bcd = run_of(np.array(digits, dtype=np.int64)) if digits else None
        floats = np.array([point.type.is_float for point in points], dtype=np.bool_)
        self._float = floats if floats.any() else None

    def _placed(self, block: Block, point: ModbusPoint) -> list[int]:
        """Return the eight bytes of a point's word; what it does not fill is taken from a zero behind the data."""
        if block.kind.is_bits:
            return []
        found = byte_offsets(2 * (point.address - block.address), point.type.registers, point.order)
        return [self._size] * (_WORD_BYTES - len(found)) + found

    def words(self, data: bytes) -> NDArray[np.uint64]:
        """Return (n,) the bits of each value, at the low end of a word; of a bit in a register, the register."""
        if self._bits_at is not None:
            return np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[self._bits_at].astype(np.uint64)
        words: NDArray[np.uint64] = np.frombuffer(data + b"\0", np.uint8).take(self._at).view(">u8").astype(np.uint64)
        return words

    def numbers(self, words: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
        """Return (n,) the number of each field, and which of them are none; None where all are numbers.

        A uint64 above 2^63 comes out as its two's complement, so that differences modulo 2^64 are exact. What is no whole number, a
        float or a digit above 9, is 0 and none.
        """
        if self._cut:
            up = words << self._up
            numbers = np.where(self._signed, up.view(np.int64) >> self._down.view(np.int64), (up >> self._down).view(np.int64))
        else:
            numbers = words.view(np.int64)
        if self._float is None and self._bcd is None:
            return numbers, None
        none = np.zeros(len(numbers), dtype=np.bool_) if self._float is None else self._float.copy()
        if self._float is not None:
            numbers[self._float] = 0
        if self._bcd is not None:
            numbers[self._bcd], none[self._bcd] = number_of_digits(words[self._bcd])
        return numbers, none if np.count_nonzero(none) else None


def _field(point: ModbusPoint) -> tuple[int, int]:
    """Return the lowest and the highest bit of what is a point's value."""
    if point.kind.is_bits:
        return 0, 0
    if point.type is DataType.BOOL:
        return point.bit or 0, point.bit or 0
    if point.meaning is not None and point.meaning.bits is not None:
        return point.meaning.bits
    return 0, 16 * point.type.registers - 1
