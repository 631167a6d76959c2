"""What do the bits of a point mean, where its type alone does not say it?

Some registers hold no number but a sign that there is none; some hold a code that has to be looked up, or a field of a few bits, or
decimal digits. :class:`Interpreter` does all this for the points of a block that need it, with columns, and leaves the others alone.

================================================  ========================================
what the bits say                                 quality
================================================  ========================================
one of the point's ``missing`` values             Bad_NotSupported
a decimal digit above 9                           Bad_DataUnavailable
a code that its map does not list                 Bad_DataUnavailable
the scale factor is 0x8000, "not implemented"     Bad_NotSupported
the scale factor is outside -10 to 10             Bad_ConfigurationError
the device's own quality word says so             Bad or Uncertain
a scale factor or a quality word was not read     Bad_WaitingForInitialData
================================================  ========================================

The first that applies counts, and the scale factor before the quality word. A bad value is NaN, never a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.devices import NAN_BITS, Meaning, ModbusPoint
from ingest.modbus.companions import Companions, Factors, Words
from ingest.modbus.plan import Block
from ingest.modbus.wholenumbers import WholeNumbers, run_of
from ingest.quality import BAD_DATA_UNAVAILABLE, BAD_NOT_SUPPORTED, is_bad

__all__ = ["Interpreter", "is_plain", "replaces_type"]

_PLAIN: Final = Meaning()
_ALL: Final = (1 << 64) - 1
_TABLE_MAX: Final = 4096
"""Codes below are looked up in a table of all numbers up to the greatest: a comparison less, and 32 KiB at most."""


def replaces_type(point: ModbusPoint) -> bool:
    """Whether a view of the point's bytes as its type would not give its value: decimal digits, or a field of some of its bits."""
    return point.type.is_bcd or (point.meaning is not None and point.meaning.bits is not None)


def is_plain(point: ModbusPoint) -> bool:
    """Whether a point's type, scale and offset say all there is to say."""
    return point.meaning is None and not replaces_type(point)


class _Codes:
    """Points with the same map from raw number to value.

    Args:
        rows: (k,) their places in the block's columns.
        at: (k,) their places among the points that are whole numbers.
        codes: raw number and value.
    """

    __slots__ = ("_at", "_numbers", "_table", "_values", "rows")

    def __init__(self, rows: Sequence[int], at: Sequence[int], codes: Sequence[tuple[int, float]]) -> None:
        self.rows = np.array(rows, dtype=np.int64)
        self._at = run_of(np.array(at, dtype=np.int64))
        # Above 2^63 a number is looked up as its two's complement, as it is read.
        pairs = sorted(((number + 2**63) % 2**64 - 2**63, value) for number, value in codes)
        self._numbers = np.array([number for number, _ in pairs], dtype=np.int64)
        self._values = np.array([value for _, value in pairs], dtype=np.float64)
        self._table: NDArray[np.float64] | None = None
        if pairs[0][0] >= 0 and pairs[-1][0] < _TABLE_MAX:
            self._table = np.full(pairs[-1][0] + 2, np.nan)
            self._table[self._numbers] = self._values

    def looked_up(self, numbers: NDArray[np.int64], none: NDArray[np.bool_] | None) -> NDArray[np.float64]:
        """Return (k,) the values of the points' numbers, NaN where the map has none, or where they are none."""
        mine = numbers[self._at]
        if self._table is not None:
            # The last place of the table stands for all numbers beyond, negative ones among them.
            values = self._table.take(np.minimum(mine.view(np.uint64), np.uint64(len(self._table) - 1)).view(np.int64))
        else:
            nearest = np.minimum(np.searchsorted(self._numbers, mine), len(self._numbers) - 1)
            values = np.where(self._numbers[nearest] == mine, self._values[nearest], np.nan)
        if none is not None:
            values[none[self._at]] = np.nan
        return values


class _Numbers:
    """Points whose value is a whole number that no view gives, or a code for something else."""

    __slots__ = ("_at", "_codes", "_rows", "_whole")

    def __init__(self, block: Block, points: Sequence[ModbusPoint], rows: Sequence[int]) -> None:
        coded = [bool(point.meaning is not None and point.meaning.values) for point in points]
        self._whole = WholeNumbers(block, points)
        at = [place for place, is_code in enumerate(coded) if not is_code]
        self._at = run_of(np.array(at, dtype=np.int64))
        self._rows = np.array([rows[place] for place in at], dtype=np.int64)
        alike: dict[tuple[tuple[int, float], ...], list[int]] = {}
        for place, point in enumerate(points):
            if coded[place] and point.meaning is not None:
                alike.setdefault(point.meaning.values, []).append(place)
        self._codes = [_Codes([rows[place] for place in mine], mine, codes) for codes, mine in alike.items()]

    def read(self, data: bytes, values: NDArray[np.float64], quality: NDArray[np.uint32]) -> None:
        """Put (n,) the values of these points in their places, and mark those that have none."""
        numbers, none = self._whole.numbers(self._whole.words(data))
        if self._rows.size:
            values[self._rows] = numbers[self._at]
            if none is not None:
                quality[self._rows[none[self._at]]] = BAD_DATA_UNAVAILABLE
        for codes in self._codes:
            values[codes.rows] = meant = codes.looked_up(numbers, none)
            unknown = np.isnan(meant)
            if np.count_nonzero(unknown):
                quality[codes.rows[unknown]] = BAD_DATA_UNAVAILABLE


class _Missing:
    """Points that say with certain bits that they have no value."""

    __slots__ = ("_at", "_bits", "_mask", "_masked", "_nan", "_rows", "_whole")

    def __init__(self, block: Block, points: Sequence[ModbusPoint], rows: Sequence[int]) -> None:
        self._whole = WholeNumbers(block, points)
        found = [(place, *pattern) for place, point in enumerate(points) for pattern in _patterns(point)]
        self._at = run_of(np.array([place for place, _, _ in found], dtype=np.int64))
        self._rows = np.array([rows[place] for place, _, _ in found], dtype=np.int64)
        self._mask = np.array([mask for _, mask, _ in found], dtype=np.uint64)
        self._bits = np.array([bits for _, _, bits in found], dtype=np.uint64)
        self._masked = bool((self._mask != _ALL).any())
        self._nan = np.array([row for row, point in zip(rows, points, strict=True) if _nan_is_missing(point)], dtype=np.int64)

    def mark(self, data: bytes, values: NDArray[np.float64], quality: NDArray[np.uint32]) -> None:
        """Mark (n,) the points that have no value."""
        words = self._whole.words(data)[self._at]
        absent = (words & self._mask if self._masked else words) == self._bits
        if np.count_nonzero(absent):
            quality[self._rows[absent]] = BAD_NOT_SUPPORTED
        if self._nan.size:
            quality[self._nan[np.isnan(values[self._nan])]] = BAD_NOT_SUPPORTED


class Interpreter:
    """Interprets the points of a block that are not plain.

    Args:
        block: what is read.
        points: the points to interpret.
        rows: their places in the block's columns, (n,) below.
        companions: what the registers said last that scale factors and quality words are read from.
    """

    __slots__ = ("_factors", "_missing", "_numbers", "_words")

    def __init__(self, block: Block, points: Sequence[ModbusPoint], rows: Sequence[int], companions: Companions) -> None:
        meanings = [point.meaning or _PLAIN for point in points]
        derived = [k for k, point in enumerate(points) if replaces_type(point) or meanings[k].values]
        absent = [k for k, meaning in enumerate(meanings) if meaning.missing or meaning.unimplemented]
        self._numbers = _Numbers(block, [points[k] for k in derived], [rows[k] for k in derived]) if derived else None
        self._missing = _Missing(block, [points[k] for k in absent], [rows[k] for k in absent]) if absent else None
        self._factors = Factors(rows, meanings, companions)
        self._words = Words(rows, meanings, companions)

    def interpret(self, data: bytes, values: NDArray[np.float64], quality: NDArray[np.uint32]) -> None:
        """Correct what the types alone made of a block, in place, before it is scaled.

        Args:
            data: the reply's data.
            values: (n,) as the types read them.
            quality: (n,) all Good so far.
        """
        if self._numbers is not None:
            self._numbers.read(data, values, quality)
        if self._missing is not None:
            self._missing.mark(data, values, quality)
        self._factors.apply(values, quality)
        self._words.apply(quality)
        if np.count_nonzero(quality):
            values[is_bad(quality)] = np.nan


def _patterns(point: ModbusPoint) -> Iterator[tuple[int, int]]:
    """Yield which bits of a value, and what they are, mean that there is none."""
    meaning = point.meaning or _PLAIN
    low, high = meaning.bits or (0, 63)
    for bits in meaning.missing:
        yield ((1 << (high - low + 1)) - 1) << low, bits << low
    for bits in meaning.unimplemented:
        yield _ALL, bits


def _nan_is_missing(point: ModbusPoint) -> bool:
    meaning = point.meaning or _PLAIN
    return point.type.is_float and NAN_BITS[point.type] in (*meaning.missing, *meaning.unimplemented)
