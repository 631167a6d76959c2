"""Numbers into registers and back, many at once.

Written against the Modbus conventions alone and not against ingest's decoder, so that one can be wrong without the other.

A value is scaled, rounded to the nearest count (counters are rounded down and roll over, everything else is held at the ends of its
type), laid out most significant byte first, and then put into the device's order: bytes swapped within registers, or registers
reversed, or both.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ingest.devices import DATA_TYPES, DataType, ModbusPoint, Order
from market.grid import FloatArray

__all__ = ["RegisterImage", "decoded", "encoded"]


def encoded(number: float, kind: DataType, order: Order) -> tuple[int, ...]:
    """Return the registers of one raw number, in the order they are sent; it must fit its type.

    >>> encoded(1, DataType.UINT32, Order.CDAB)
    (1, 0)
    """
    raw = struct.pack(kind.packing, number if kind.is_float else int(number))
    pairs = [raw[k : k + 2] for k in range(0, len(raw), 2)]
    pairs = [pair[::-1] for pair in pairs] if order.swaps_bytes else pairs
    pairs = pairs[::-1] if order.swaps_registers else pairs
    return tuple(int.from_bytes(pair, "big") for pair in pairs)


def decoded(registers: Sequence[int], kind: DataType, order: Order) -> float:
    """Return the raw number in some registers: the inverse of :func:`encoded`.

    >>> decoded((1, 0), DataType.UINT32, Order.CDAB)
    1.0
    """
    pairs = [register.to_bytes(2, "big") for register in registers]
    pairs = pairs[::-1] if order.swaps_registers else pairs
    pairs = [pair[::-1] for pair in pairs] if order.swaps_bytes else pairs
    return float(struct.unpack(kind.packing, b"".join(pairs))[0])


class _Group:
    """Points of one table with the same type and order, encoded in one go."""

    def __init__(self, points: Sequence[ModbusPoint], rows: Sequence[int], start: int) -> None:
        kind, order = points[0].type, points[0].order
        self._rows = np.array(rows)
        self._scale = np.array([point.scale for point in points])
        self._offset = np.array([point.offset for point in points])
        self._wraps = np.array([point.name.endswith("/mwh") for point in points])
        self._dtype = np.dtype(DATA_TYPES[kind][0])
        self._is_float = kind.is_float
        self._swaps_bytes = order.swaps_bytes
        places = np.array([[point.address - start + k for k in range(kind.registers)] for point in points])
        self.places: NDArray[np.intp] = places[:, ::-1] if order.swaps_registers else places

    def put(self, values: FloatArray, into: NDArray[np.uint16]) -> None:
        raw = (values[self._rows] - self._offset) / self._scale
        if self._is_float:
            numbers = raw.astype(self._dtype)
        else:
            limits = np.iinfo(self._dtype)
            # The largest float below 2**64 is 2**64 - 2048: `nextafter` keeps the cast inside the type.
            top = float(limits.max) if self._dtype.itemsize < 8 else float(np.nextafter(float(limits.max), 0.0))
            wrapped = np.floor(raw) % (float(limits.max) + 1.0)
            counts = np.where(self._wraps, wrapped, np.clip(np.rint(raw), float(limits.min), top))
            numbers = counts.astype(self._dtype)
        words = numbers.view(">u2").astype(np.uint16).reshape(len(self._rows), -1)
        into[self.places] = words.byteswap() if self._swaps_bytes else words


class RegisterImage:
    """The registers of one table of one device.

    Args:
        points: the points in that table, at least one.
        rows: where each one's value stands in the field's column of values.

    Attributes:
        start: address of the first register.
        used: (n,) which registers from there on belong to a point; the others are holes.
        words: (n,) uint16, their contents.
    """

    def __init__(self, points: Sequence[ModbusPoint], rows: Sequence[int]) -> None:
        self.start = min(point.address for point in points)
        end = max(point.address + point.type.registers for point in points)
        self.words: NDArray[np.uint16] = np.zeros(end - self.start, dtype=np.uint16)
        self.used: NDArray[np.bool_] = np.zeros(end - self.start, dtype=np.bool_)
        alike: dict[tuple[DataType, Order], list[int]] = {}
        for k, point in enumerate(points):
            alike.setdefault((point.type, point.order), []).append(k)
        self._groups = [_Group([points[k] for k in members], [rows[k] for k in members], self.start) for members in alike.values()]
        for group in self._groups:
            self.used[group.places] = True

    def put(self, values: FloatArray) -> None:
        """Encode the field's column of values (n,)."""
        for group in self._groups:
            group.put(values, self.words)
