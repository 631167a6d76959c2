"""Where do the values of a block stand in the bytes of a reply, and what are they in engineering units?

For each type in a block, a matrix of byte offsets is laid out once: one row per point, its bytes most significant first, whatever order
they arrive in. Decoding a reply is then one gather and one view per type, with no loop over points. Replies of many devices of one make
are decoded as one matrix, a row for each: devices whose blocks are laid out alike share a layout.

What a type, a scale and an offset alone do not say is not done here but by :mod:`ingest.modbus.interpret`.

Bytes in, values out: no names, no device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.devices import DATA_TYPES, DataType, Kind, ModbusPoint, Order
from ingest.modbus.interpret import replaces_type
from ingest.modbus.plan import Block
from ingest.modbus.wholenumbers import byte_offsets, run_of

__all__ = ["Layout", "layout_of", "layout_of_blocks"]

_Places = NDArray[np.int64] | slice
"""Places in a column, as a slice where they follow each other."""

_LAYOUTS_MAX: Final = 4096


@cache
def _zeros(n: int) -> NDArray[np.float64]:
    return np.zeros(n)


class _Place(NamedTuple):
    """What is to be known of a point: where it stands, ``bytes_at`` from the first of the block, and what its bits mean."""

    at: int
    type: DataType | None
    """None where something else says what the bits mean."""
    order: Order
    bit: int
    scale: float
    offset: float


class Layout:
    """How a block's replies are decoded.

    Args:
        is_bits: whether the block is one of coils.
        places: the points, in the order of the block.
    """

    __slots__ = ("_alike", "_bits", "_gathers", "_nothing", "_offset", "_scale", "n")

    def __init__(self, is_bits: bool, places: Sequence[_Place]) -> None:
        self.n = len(places)
        self._scale = np.array([place.scale for place in places]) if any(place.scale != 1 for place in places) else None
        self._offset = np.array([place.offset for place in places]) if any(place.offset != 0 for place in places) else None
        self._nothing = _zeros(self.n)
        self._bits: NDArray[np.int64] | None = None
        self._gathers: list[tuple[_Places, _Places, NDArray[np.uint8] | np.dtype[Any]]] = []
        self._alike: tuple[_Places, np.dtype[Any]] | None = None
        if is_bits:
            self._bits = np.array([place.at for place in places], dtype=np.int64)
            return
        for data_type in dict.fromkeys(place.type for place in places):
            if data_type is None:
                continue
            rows = [row for row, place in enumerate(places) if place.type is data_type]
            offsets = [byte_offsets(2 * places[row].at, data_type.registers, places[row].order) for row in rows]
            how: NDArray[np.uint8] | np.dtype[Any] = np.dtype(DATA_TYPES[data_type][0])
            if data_type is DataType.BOOL:
                bits = [places[row].bit for row in rows]
                # The low byte of a register holds bits 0 to 7, the high byte holds bits 8 to 15.
                offsets = [[low if bit < 8 else high] for (high, low), bit in zip(offsets, bits, strict=True)]
                how = np.array([bit % 8 for bit in bits], dtype=np.uint8)
            at = run_of(np.array(offsets, dtype=np.int64).ravel())
            self._gathers.append((run_of(np.array(rows, dtype=np.int64)), at, how))
            if len(rows) == self.n and isinstance(how, np.dtype):
                self._alike = (at, how)

    def raw_values(self, data: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return what the registers hold, before any scaling.

        Args:
            data: (..., b) the data of replies, each of exactly the block's size.

        Returns:
            (..., n); what something else than a type explains is not a number anybody should use.
        """
        if self._bits is not None:
            return np.unpackbits(data, axis=-1, bitorder="little")[..., self._bits].astype(np.float64)
        if self._alike is not None:
            at, kind = self._alike
            return _taken(data, at).view(kind).astype(np.float64)
        values = np.empty((*data.shape[:-1], self.n), dtype=np.float64)
        for rows, at, how in self._gathers:
            gathered = _taken(data, at)
            values[..., rows] = gathered.view(how) if isinstance(how, np.dtype) else (gathered >> how) & 1
        return values

    def scale(self, values: NDArray[np.float64]) -> None:
        """Turn (..., n) raw values into engineering units, in place."""
        if self._scale is not None:
            values *= self._scale
        if self._offset is not None:
            values += self._offset

    def all_finite(self, values: NDArray[np.float64]) -> bool:
        """Return whether every one of (n,) values is a number.

        Nothing times infinity, or times no number, is no number: one product tells, for a quarter of the time that looking at each takes.
        """
        return math.isfinite(values.dot(self._nothing))

    # A device's bits may be a signalling NaN or overflow when scaled; neither is our error, and both come out as no number.
    @np.errstate(invalid="ignore", over="ignore")
    def decode_many(self, data: Sequence[bytes]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Decode the replies of several devices, whose points are explained by types, scales and offsets alone.

        Args:
            data: of k replies, each of exactly the block's size.

        Returns:
            (k, n) engineering units; (k,) whether all of a reply's values are numbers.
        """
        values = self.raw_values(np.frombuffer(b"".join(data), np.uint8).reshape(len(data), -1))
        self.scale(values)
        return values, np.isfinite(values @ self._nothing)


def _taken(data: NDArray[np.uint8], at: _Places) -> NDArray[np.uint8]:
    """Return the bytes at these places of (..., b) bytes, so that they can be viewed as another type."""
    if not isinstance(at, slice):
        return data.take(at, axis=-1)
    return data[at] if data.ndim == 1 else np.ascontiguousarray(data[..., at])


def layout_of(block: Block, points: Sequence[ModbusPoint]) -> Layout:
    """Return the layout of a block, for its points in the order of its spans."""
    return _shared(block.kind, tuple(_place(point, point.address - block.address) for point in points))


def layout_of_blocks(blocks: Sequence[tuple[Block, Sequence[ModbusPoint]]]) -> Layout | None:
    """Return the layout of the data of several blocks, joined in this order; None where one of them is of bits."""
    places: list[_Place] = []
    registers = 0
    for block, points in blocks:
        if block.kind.is_bits:
            return None
        places += [_place(point, registers + point.address - block.address) for point in points]
        registers += block.count
    return _shared(Kind.HOLDING, tuple(places))


def _place(point: ModbusPoint, at: int) -> _Place:
    return _Place(at, None if replaces_type(point) else point.type, point.order, point.bit or 0, point.scale, point.offset)


@lru_cache(maxsize=_LAYOUTS_MAX)
def _shared(kind: Kind, places: tuple[_Place, ...]) -> Layout:
    return Layout(kind.is_bits, places)
