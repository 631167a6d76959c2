"""What do the bytes of a reply mean, for all points of a block at once; and what bytes mean a value to write?

Where values stand and how they are scaled is the block's :class:`ingest.modbus.layout.Layout`; what a type alone does not say,
:mod:`ingest.modbus.interpret` does afterwards, for the points that need it. Values leave in engineering units as float64, which
holds every 32-bit integer exactly and 64-bit ones up to 2^53; beyond, a value is the nearest that float64 has, and who needs it exactly
takes :meth:`BlockDecoder.raw_integers`.

A number that is none (NaN, infinity) is never good: its quality is Bad_DataUnavailable and its value NaN.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ingest.devices import ClockRegister, DataType, ModbusPoint
from ingest.frame import point_id
from ingest.modbus.companions import Companions, Told, companion_spans
from ingest.modbus.deviceclock import holds, time_at
from ingest.modbus.interpret import Interpreter, is_plain
from ingest.modbus.layout import layout_of
from ingest.modbus.plan import Block, Span
from ingest.modbus.wholenumbers import WholeNumbers, byte_offsets, digits_of, integer_at
from ingest.quality import BAD_DATA_UNAVAILABLE, all_good, is_bad
from ingest.sourcetime import NO_TIME
from market.errors import UnitError

__all__ = ["BlockDecoder", "coil_value", "companion_spans", "integer_at", "register_bytes", "spans_of"]


def spans_of(points: Sequence[ModbusPoint]) -> list[Span]:
    """Return where each point lies; rows are positions in ``points``."""
    return [Span(point.kind, point.address, 1 if point.kind.is_bits else point.type.registers, row) for row, point in enumerate(points)]


class BlockDecoder:
    """Decodes the replies to one block.

    Args:
        block: what is read.
        points: what its spans' rows are places in; a row behind the last of them is a companion (:func:`companion_spans`) and no point.
        companions: what the device's companions said last; one for all blocks of a device, so that each may stand in any of them.
        clock: where the device keeps its time, in this block or not; None where it keeps none.

    Attributes:
        block: what is read.
        ids: (n,) uint64, the block's points, in the order of its spans.
        layout: where their values stand; devices of one make share it.
    """

    __slots__ = (
        "_clock",
        "_interpreter",
        "_points",
        "_told",
        "_whole",
        "block",
        "ids",
        "layout",
    )

    def __init__(
        self, block: Block, points: Sequence[ModbusPoint], companions: Companions | None = None, clock: ClockRegister | None = None
    ) -> None:
        mine = [points[span.row] for span in block.spans if span.row < len(points)]
        self.block = block
        self.ids: NDArray[np.uint64] = np.array([point_id(point.name) for point in mine], dtype=np.uint64)
        self.ids.flags.writeable = False
        self.layout = layout_of(block, mine)
        self._points = mine
        self._whole: WholeNumbers | None = None
        companions = Companions() if companions is None else companions
        strange = [row for row, point in enumerate(mine) if not is_plain(point)]
        self._interpreter = Interpreter(block, [mine[row] for row in strange], strange, companions) if strange else None
        told = Told(block, points, companions)
        self._told = told if told.any else None
        self._clock = clock if clock is not None and holds(block, clock) else None

    # A device's bits may be a signalling NaN or overflow when scaled; neither is our error, and both come out bad.
    @np.errstate(invalid="ignore", over="ignore")
    def decode(self, data: bytes) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
        """Return values and status codes of the block's points.

        Args:
            data: the reply's data, of exactly the block's size; who calls has checked it (:func:`ingest.modbus.frames.judge`).

        Returns:
            (n,) float64 in engineering units, NaN where bad; (n,) uint32.
        """
        layout = self.layout
        quality = all_good(layout.n).copy()
        values = layout.raw_values(np.frombuffer(data, np.uint8))
        if self._told is not None:
            self._told.note(data)
        if self._interpreter is not None:
            self._interpreter.interpret(data, values, quality)
        layout.scale(values)
        if not layout.all_finite(values):
            finite = np.isfinite(values)
            values[~finite] = np.nan
            quality[~finite & ~is_bad(quality)] = BAD_DATA_UNAVAILABLE
        return values, quality

    @property
    def points(self) -> Sequence[ModbusPoint]:
        """The block's points, in the order of its spans."""
        return self._points

    @property
    def is_plain(self) -> bool:
        """Whether its layout says all there is to say: it tells of no companions, and holds no clock."""
        return self._interpreter is None and self._told is None and self._clock is None

    @property
    def tells(self) -> bool:
        """Whether it holds companions; who reads several blocks reads such a block first, so that no value waits a period for it."""
        return self._told is not None

    def unread(self) -> None:
        """Note that the block could not be read: how good points are that its words would have told is not known until it is."""
        if self._told is not None:
            self._told.unread()

    def device_time_ns(self, data: bytes) -> int:
        """Return the device's own time, UTC ns; NO_TIME where the block does not hold it.

        Whether it can be believed, :func:`ingest.sourcetime.settle_source_times` decides.
        """
        return NO_TIME if self._clock is None else time_at(self._clock, data, self.block.address)

    def raw_integers(self, data: bytes) -> NDArray[np.int64]:
        """Return the whole numbers the device sent, exactly, before any scaling; computed only when asked for.

        Args:
            data: as :meth:`decode` takes it.

        Returns:
            (n,) int64 two's complement: a uint64 above 2^63 is negative, and a difference modulo 2^64 is right all the same. Of a
            field, the field's number; of decimal digits, theirs; 0 where the point is a float or its digits are no number.
        """
        if self._whole is None:
            self._whole = WholeNumbers(self.block, self._points)
        return self._whole.numbers(self._whole.words(data))[0]


def register_bytes(point: ModbusPoint, value: float) -> bytes:
    """Return the register bytes that mean ``value``, engineering units, as they go on the wire.

    Raises:
        UnitError: not a number, implausible for the point, too large for its type, or what the device takes for "no value".
    """
    raw = point.raw(value)
    try:
        encoded = _packed(point.type, raw)
    except (struct.error, OverflowError):
        raise UnitError(f"{point.name}: {point.said(value)} does not fit {point.type} with scale {point.scale:g}") from None
    if point.meaning is not None and int.from_bytes(encoded, "big") in (*point.meaning.missing, *point.meaning.unimplemented):
        raise UnitError(f"{point.name}: {point.said(value)} cannot be written, its bits (0x{encoded.hex()}) mean that there is no value")
    placed = bytearray(len(encoded))
    for byte, offset in zip(encoded, byte_offsets(0, point.type.registers, point.order), strict=True):
        placed[offset] = byte
    return bytes(placed)


def _packed(data_type: DataType, raw: float) -> bytes:
    """Return a raw value as its type writes it, most significant byte first.

    Raises:
        struct.error: it does not fit; or OverflowError, of a float.
    """
    if data_type.is_float:
        return struct.pack(data_type.packing, raw)
    number = round(raw)
    if data_type.is_bcd:
        if number < 0:
            raise struct.error("decimal digits have no sign")
        number = digits_of(number)
    return struct.pack(data_type.packing, number)


def coil_value(point: ModbusPoint, value: float) -> bool:
    """Return the coil that means ``value``.

    Raises:
        UnitError: neither 0 nor 1 after scaling.
    """
    raw = point.raw(value)
    if raw not in (0, 1):
        raise UnitError(f"{point.name}: {value:g} is neither off (0) nor on (1)")
    return raw == 1
