"""What do the bytes of a reply mean, for all points of a block at once; and what bytes mean a value to write?

For each type in a block, a matrix of byte offsets is laid out once: one row per point, its bytes most significant first, whatever
order they arrive in. Decoding a reply is then one gather and one view per type, with no loop over points. Values leave in
engineering units as float64, which holds every 32-bit integer exactly and 64-bit ones up to 2^53.

A number that is none (NaN, infinity) is never good: its quality is Bad_DataUnavailable and its value NaN.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest.devices import DATA_TYPES, DataType, ModbusPoint, Order
from ingest.frame import point_id
from ingest.modbus.plan import Block, Span
from ingest.quality import BAD_DATA_UNAVAILABLE, GOOD
from market.errors import UnitError

__all__ = ["BlockDecoder", "coil_value", "integer_at", "register_bytes", "spans_of"]


def spans_of(points: Sequence[ModbusPoint]) -> list[Span]:
    """Return where each point lies; rows are positions in ``points``."""
    return [Span(point.kind, point.address, 1 if point.kind.is_bits else point.type.registers, row) for row, point in enumerate(points)]


def _byte_offsets(first: int, registers: int, order: Order) -> list[int]:
    """Return where the bytes of a value stand, most significant first, for a value whose first byte is at ``first``.

    >>> _byte_offsets(0, 2, Order.CDAB)
    [2, 3, 0, 1]
    """
    offsets = [first + 2 * register for register in range(registers)]
    if order.swaps_registers:
        offsets.reverse()
    return [offset + place for offset in offsets for place in ((1, 0) if order.swaps_bytes else (0, 1))]


class BlockDecoder:
    """Decodes the replies to one block.

    Attributes:
        block: what is read.
        ids: (n,) uint64, the block's points, in the order of its spans.
    """

    __slots__ = ("_bits", "_gathers", "_offset", "_scale", "_scaled", "block", "ids")

    def __init__(self, block: Block, points: Sequence[ModbusPoint]) -> None:
        mine = [points[span.row] for span in block.spans]
        self.block = block
        self.ids: NDArray[np.uint64] = np.array([point_id(point.name) for point in mine], dtype=np.uint64)
        self.ids.flags.writeable = False
        self._scale = np.array([point.scale for point in mine], dtype=np.float64)
        self._offset = np.array([point.offset for point in mine], dtype=np.float64)
        self._scaled = bool((self._scale != 1).any() or (self._offset != 0).any())
        self._bits: NDArray[np.int64] | None = None
        self._gathers: list[tuple[NDArray[np.int64] | slice, NDArray[np.int64], NDArray[np.uint8] | np.dtype[Any]]] = []
        if block.kind.is_bits:
            self._bits = np.array([span.address - block.address for span in block.spans], dtype=np.int64)
            return
        for data_type in dict.fromkeys(point.type for point in mine):
            rows = [row for row, point in enumerate(mine) if point.type is data_type]
            offsets = [_byte_offsets(2 * (block.spans[row].address - block.address), data_type.registers, mine[row].order) for row in rows]
            how: NDArray[np.uint8] | np.dtype[Any] = np.dtype(DATA_TYPES[data_type][0])
            if data_type is DataType.BOOL:
                bits = [mine[row].bit or 0 for row in rows]
                # The low byte of a register holds bits 0 to 7, the high byte holds bits 8 to 15.
                offsets = [[low if bit < 8 else high] for (high, low), bit in zip(offsets, bits, strict=True)]
                how = np.array([bit % 8 for bit in bits], dtype=np.uint8)
            every = slice(None) if len(rows) == len(mine) else np.array(rows, dtype=np.int64)
            self._gathers.append((every, np.array(offsets, dtype=np.int64).ravel(), how))

    def decode(self, data: bytes) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
        """Return values and status codes of the block's points.

        Args:
            data: the reply's data, of exactly the block's size; who calls has checked it (:func:`ingest.modbus.frames.judge`).

        Returns:
            (n,) float64 in engineering units, NaN where bad; (n,) uint32.
        """
        # A device's bits may be a signalling NaN or overflow when scaled; neither is our error, and both come out bad.
        with np.errstate(invalid="ignore", over="ignore"):
            values = self._values(np.frombuffer(data, dtype=np.uint8))
        finite = np.isfinite(values)
        if finite.all():
            return values, np.zeros(len(values), dtype=np.uint32)
        values[~finite] = np.nan
        return values, np.where(finite, np.uint32(GOOD), np.uint32(BAD_DATA_UNAVAILABLE))

    def _values(self, raw: NDArray[np.uint8]) -> NDArray[np.float64]:
        if self._bits is not None:
            values = np.unpackbits(raw, bitorder="little")[self._bits].astype(np.float64)
        else:
            values = np.empty(len(self.ids), dtype=np.float64)
            for rows, at, how in self._gathers:
                gathered = raw.take(at)
                values[rows] = gathered.view(how) if isinstance(how, np.dtype) else (gathered >> how) & 1
        if self._scaled:
            values *= self._scale
            values += self._offset
        return values


def integer_at(data: bytes, first: int, data_type: DataType, order: Order) -> int:
    """Return the whole number whose first byte is at ``first``, exactly.

    >>> integer_at(bytes([0, 1, 0, 2]), 0, DataType.UINT32, Order.CDAB) == 0x0002_0001
    True
    """
    placed = bytes(data[offset] for offset in _byte_offsets(first, data_type.registers, order))
    return int.from_bytes(placed, "big", signed=data_type in (DataType.INT16, DataType.INT32, DataType.INT64))


def register_bytes(point: ModbusPoint, value: float) -> bytes:
    """Return the register bytes that mean ``value``, engineering units, as they go on the wire.

    Raises:
        UnitError: not a number, implausible for the point, or too large for its type.
    """
    raw = point.raw(value)
    try:
        encoded = struct.pack(point.type.packing, raw if point.type.is_float else round(raw))
    except (struct.error, OverflowError):
        raise UnitError(f"{point.name}: {point.said(value)} does not fit {point.type} with scale {point.scale:g}") from None
    placed = bytearray(len(encoded))
    for byte, offset in zip(encoded, _byte_offsets(0, point.type.registers, point.order), strict=True):
        placed[offset] = byte
    return bytes(placed)


def coil_value(point: ModbusPoint, value: float) -> bool:
    """Return the coil that means ``value``.

    Raises:
        UnitError: neither 0 nor 1 after scaling.
    """
    raw = point.raw(value)
    if raw not in (0, 1):
        raise UnitError(f"{point.name}: {value:g} is neither off (0) nor on (1)")
    return raw == 1
