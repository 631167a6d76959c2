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

__all__ = ["WholeNumbers", "byte_offsets", "digits_of", "integer_at", "number_of_digits"]

_WORD_BITS: Final = 64
_WORD_BYTES: Final = 8
_DIGITS: Final = 16
_NIBBLES: Final = np.arange(0, 4 * _DIGITS, 4, dtype=np.uint64)
_TENS: Final = 10 ** np.arange(_DIGITS, dtype=np.int64)


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
        (n,) int64 the numbers, 0 where they are none; (n,) whether every digit is at most 9.
    """
    digits = ((bits[:, np.newaxis] >> _NIBBLES) & np.uint64(15)).astype(np.int64)
    decimal = np.asarray((digits <= 9).all(axis=1))
    return np.where(decimal, digits @ _TENS, 0), decimal


class WholeNumbers:
    """Reads the whole numbers of some points of a block.

    Args:
        block: what is read.
        points: the points, all within the block; (n,) below.
    """

    __slots__ = ("_at", "_bcd", "_bits_at", "_down", "_float", "_signed", "_size", "_up")

    def __init__(self, block: Block, points: Sequence[ModbusPoint]) -> None:
        self._size = 0 if block.kind.is_bits else 2 * block.count
        self._bits_at = np.array([point.address - block.address for point in points], dtype=np.int64) if block.kind.is_bits else None
        self._at = np.array([self._placed(block, point) for point in points], dtype=np.int64).ravel()
        fields = [_field(point) for point in points]
        self._up = np.array([_WORD_BITS - 1 - high for _, high in fields], dtype=np.uint64)
        self._down = np.array([_WORD_BITS - 1 - high + low for low, high in fields], dtype=np.uint64)
        self._signed = np.array([point.type.is_signed for point in points], dtype=np.bool_)
        self._bcd = np.array([row for row, point in enumerate(points) if point.type.is_bcd], dtype=np.int64)
        self._float = np.array([point.type.is_float for point in points], dtype=np.bool_)

    def _placed(self, block: Block, point: ModbusPoint) -> list[int]:
        """Return the eight bytes of a point's word; what it does not fill is taken from a zero behind the data."""
        if block.kind.is_bits:
            return []
        found = byte_offsets(2 * (point.address - block.address), point.type.registers, point.order)
        return [self._size] * (_WORD_BYTES - len(found)) + found

    def words(self, raw: NDArray[np.uint8]) -> NDArray[np.uint64]:
        """Return (n,) the bits of each value, at the low end of a word; of a bit in a register, the register."""
        if self._bits_at is not None:
            return np.unpackbits(raw, bitorder="little")[self._bits_at].astype(np.uint64)
        word: NDArray[np.uint64] = np.append(raw, np.uint8(0)).take(self._at).view(">u8").astype(np.uint64)
        return word

    def fields(self, words: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return (n,) the bits of each field, at the low end of a word; all bits where there is no field."""
        return np.asarray((words << self._up) >> self._down)

    def numbers(self, words: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return (n,) the number of each field, and whether it is one.

        A uint64 above 2^63 comes out as its two's complement, so that differences modulo 2^64 are exact. What is no whole number, a
        float or a digit above 9, is 0 and none.
        """
        up = words << self._up
        numbers = np.where(self._signed, up.view(np.int64) >> self._down.view(np.int64), (up >> self._down).view(np.int64))
        whole = ~self._float
        numbers[self._float] = 0
        if self._bcd.size:
            numbers[self._bcd], whole[self._bcd] = number_of_digits(words[self._bcd])
        return numbers, whole


def _field(point: ModbusPoint) -> tuple[int, int]:
    """Return the lowest and the highest bit of what is a point's value."""
    if point.kind.is_bits:
        return 0, 0
    if point.type is DataType.BOOL:
        return point.bit or 0, point.bit or 0
    if point.meaning is not None and point.meaning.bits is not None:
        return point.meaning.bits
    return 0, 16 * point.type.registers - 1
