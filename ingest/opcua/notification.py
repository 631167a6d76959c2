"""What do the bytes of a publish say, as columns?

asyncua decodes a publish into some six objects a value, which is most of what a value costs. Nearly all publishes hold the same few
things, numbers with a status and a time, and those are read here straight into columns. Whatever else a publish may hold (text,
arrays, events, diagnostics), this reader says nothing about: the whole publish is then left to asyncua, so that what is unusual is slow
and not wrong.

The layout is OPC 10000-6 §5.2: little-endian, every field as long as those before it say.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.quality import BAD_DATA_UNAVAILABLE
from ingest.sourcetime import NO_TIME
from market.units import NS_PER_S

__all__ = ["Columns", "Publish", "instants_ns", "read_publish"]

_PUBLISH_RESPONSE: Final = bytes.fromhex("01003d03")
"""Node id 829: what the answer is; _DATA_CHANGE: node id 811 and "a body in bytes follows"."""

_DATA_CHANGE: Final = bytes.fromhex("01002b0301")

_HEADER: Final = struct.Struct("<4sqIIBi3s")
"""Type, time, request, result, mask of diagnostics, strings, a further header (none: a null node id, no body)."""

_MESSAGE: Final = struct.Struct("<?IqI")
"""More to come, number, time, count of notifications."""

_BODY: Final = struct.Struct("<5sii")
"""Type and form, length, count of items."""

_COUNT: Final = struct.Struct("<i")
_WORD: Final = struct.Struct("<I")

_NUMBERS: Final = {1: "?", 2: "b", 3: "B", 4: "h", 5: "H", 6: "i", 7: "I", 8: "q", 9: "Q", 10: "f", 11: "d"}
"""How :mod:`struct` calls the variants that are numbers."""

_VALUE, _STATUS, _SOURCE_TIME, _SERVER_TIME = 0x01, 0x02, 0x04, 0x08
_PLAIN: Final = _VALUE | _STATUS | _SOURCE_TIME | _SERVER_TIME

_TO_1970_US: Final = 11_644_473_600 * 1_000_000
_EARLIEST_US: Final = -8_520_336_000 * 1_000_000
_LATEST_US: Final = 9_214_646_400 * 1_000_000
"""1700 and 2262: what lies beyond does not fit 64-bit nanoseconds, and is as wrong as these."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Values of monitored items; all (n,).

    Attributes:
        handles: int64, the items.
        numbers: float64, NaN where bad.
        quality: uint32, status codes.
        claimed_ns: int64, source times, UTC ns, NO_TIME where absent.
    """

    handles: NDArray[np.int64]
    numbers: NDArray[np.float64]
    quality: NDArray[np.uint32]
    claimed_ns: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Publish:
    """One publish.

    Attributes:
        subscription: id of the subscription.
        number: of this publish, or of the next one where it is empty.
        parts: its notifications.
    """

    subscription: int
    number: int
    parts: tuple[Columns, ...]


def read_publish(raw: bytes) -> Publish | None:
    """Read a publish response, from its type on; None where it holds anything but numbers, and for bytes that are none."""
    try:
        return _read(raw)
    except struct.error:
        return None


def instants_ns(ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the UTC ns of OPC UA times, (n,) hundreds of ns since 1601, to the microsecond; NO_TIME for 0, which is none."""
    us = np.clip(ticks // 10 - _TO_1970_US, _EARLIEST_US, _LATEST_US)
    return np.where(ticks > 0, us * (NS_PER_S // 1_000_000), np.int64(NO_TIME))


def _read(raw: bytes) -> Publish | None:
    kind, _, _, result, diagnostics, strings, further = _HEADER.unpack_from(raw)
    if kind != _PUBLISH_RESPONSE or result or diagnostics or strings > 0 or further != b"\0\0\0":
        return None
    place = _HEADER.size
    (subscription,) = _WORD.unpack_from(raw, place)
    (available,) = _COUNT.unpack_from(raw, place + 4)
    place += 8 + 4 * max(0, available)
    _, number, _, notifications = _MESSAGE.unpack_from(raw, place)
    place += _MESSAGE.size
    parts = []
    for _ in range(0 if notifications == 0xFFFF_FFFF else notifications):
        kind, length, count = _BODY.unpack_from(raw, place)
        if kind != _DATA_CHANGE or length < 4 or count < 0:
            return None
        end = place + 9 + length
        found = _items(raw, place + _BODY.size, end, count)
        if found is None or end > len(raw):
            return None
        parts.append(found)
        place = end
    return Publish(subscription, number, tuple(parts))


def _layout(mask: int, variant: int) -> tuple[struct.Struct, bool] | None:
    """Return how an item is laid out whose data value has this mask, and whether it has a value; None for what is not read here."""
    if mask & ~_PLAIN or (mask & _VALUE and variant and variant not in _NUMBERS):
        return None
    # What is absent is read as no bytes at all, so that every item unpacks into as many fields.
    value = ("x" + _NUMBERS.get(variant, "")) if mask & _VALUE else ""
    fields = "<Ix" + value + ("I" if mask & _STATUS else "") + ("q" if mask & _SOURCE_TIME else "") + ("8x" if mask & _SERVER_TIME else "")
    return struct.Struct(fields), bool(mask & _VALUE and variant)


_LAYOUTS: Final = {(mask, variant): _layout(mask, variant if mask & _VALUE else 0) for mask in range(256) for variant in range(12)}


def _items(raw: bytes, place: int, end: int, count: int) -> Columns | None:
    if count > (end - place) // 5:
        return None
    handles, numbers, quality, ticks = [0] * count, [float("nan")] * count, [0] * count, [0] * count
    for at in range(count):
        if place + 5 >= len(raw):
            return None
        mask = raw[place + 4]
        found = _LAYOUTS.get((mask, raw[place + 5] if mask & _VALUE else 0))
        if found is None:
            return None
        layout, has_value = found
        fields = layout.unpack_from(raw, place)
        place += layout.size
        handles[at] = fields[0]
        if has_value:
            numbers[at] = fields[1]
        if mask & _STATUS:
            quality[at] = fields[1 + has_value]
        if mask & _SOURCE_TIME:
            ticks[at] = fields[-1]
    # What is left of the body are diagnostics, by item; none is as many as there should be.
    if end - place != 4 or _COUNT.unpack_from(raw, place)[0] > 0:
        return None
    return _judged(
        np.array(handles, dtype=np.int64),
        np.array(numbers, dtype=np.float64),
        np.array(quality, dtype=np.uint32),
        instants_ns(np.array(ticks, dtype=np.int64)),
    )


def _judged(
    handles: NDArray[np.int64], numbers: NDArray[np.float64], quality: NDArray[np.uint32], claimed_ns: NDArray[np.int64]
) -> Columns:
    """Take off the values under a bad status, and call bad what is no number under a good one (:mod:`ingest.opcua.decode`)."""
    is_bad = quality >> np.uint32(31) == 1
    useless = ~is_bad & ~np.isfinite(numbers)
    if useless.any():
        quality = np.where(useless, np.uint32(BAD_DATA_UNAVAILABLE), quality)
    return Columns(handles, np.where(is_bad | useless, np.nan, numbers), quality, claimed_ns)
