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

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.devices import NAN_BITS, Meaning, ModbusPoint
from ingest.modbus.companions import Companions, Factors, Words
from ingest.modbus.plan import Block
from ingest.modbus.wholenumbers import WholeNumbers
from ingest.quality import BAD_DATA_UNAVAILABLE, BAD_NOT_SUPPORTED, is_bad

__all__ = ["Interpreter", "is_plain", "replaces_type"]

_PLAIN: Final = Meaning()


def replaces_type(point: ModbusPoint) -> bool:
    """Whether a view of the point's bytes as its type would not give its value: decimal digits, or a field of some of its bits."""
    return point.type.is_bcd or (point.meaning is not None and point.meaning.bits is not None)


def is_plain(point: ModbusPoint) -> bool:
    """Whether a point's type, scale and offset say all there is to say."""
    return point.meaning is None and not replaces_type(point)


class _Codes:
    """Points with the same map from raw number to value."""

    __slots__ = ("_numbers", "_values", "rows")

    def __init__(self, rows: Sequence[int], codes: Sequence[tuple[int, float]]) -> None:
        self.rows = np.array(rows, dtype=np.int64)
        # Above 2^63 a number is looked up as its two's complement, as it is read.
        pairs = sorted(((number + 2**63) % 2**64 - 2**63, value) for number, value in codes)
        self._numbers = np.array([number for number, _ in pairs], dtype=np.int64)
        self._values = np.array([value for _, value in pairs], dtype=np.float64)

    def looked_up(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (n,) the values of these numbers, NaN where the map has none."""
        at = np.searchsorted(self._numbers, numbers).clip(max=len(self._numbers) - 1)
        return np.where(self._numbers[at] == numbers, self._values[at], np.nan)


class Interpreter:
    """Interprets the points of a block that are not plain.

    Args:
        block: what is read.
        points: the points to interpret; (m,) below.
        rows: their places in the block's columns, (n,) below.
        companions: what the registers said last that scale factors and quality words are read from.
    """

    __slots__ = ("_codes", "_derived", "_factors", "_missing", "_nan", "_numbers", "_rows", "_unimplemented", "_words")

    def __init__(self, block: Block, points: Sequence[ModbusPoint], rows: Sequence[int], companions: Companions) -> None:
        self._rows = np.array(rows, dtype=np.int64)
        self._numbers = WholeNumbers(block, points)
        meanings = [point.meaning or _PLAIN for point in points]
        self._derived = np.array([row for row, point in enumerate(points) if replaces_type(point)], dtype=np.int64)
        self._missing = _patterns([meaning.missing for meaning in meanings])
        self._unimplemented = _patterns([meaning.unimplemented for meaning in meanings])
        nan = [row for row, point in enumerate(points) if point.type.is_float and NAN_BITS[point.type] in meanings[row].missing]
        self._nan = np.array(nan, dtype=np.int64)
        alike: dict[tuple[tuple[int, float], ...], list[int]] = {}
        for row, meaning in enumerate(meanings):
            if meaning.values:
                alike.setdefault(meaning.values, []).append(row)
        self._codes = [_Codes(mine, codes) for codes, mine in alike.items()]
        self._factors = Factors(meanings, companions)
        self._words = Words(meanings, companions)

    def interpret(self, raw: NDArray[np.uint8], values: NDArray[np.float64], quality: NDArray[np.uint32]) -> None:
        """Correct what the types alone made of a block, in place, before it is scaled.

        Args:
            raw: the reply's data.
            values: (n,) as the types read them.
            quality: (n,) all Good so far.
        """
        words = self._numbers.words(raw)
        read, status = values[self._rows], np.zeros(len(self._rows), dtype=np.uint32)
        if self._derived.size or self._codes:
            numbers, whole = self._numbers.numbers(words)
            read[self._derived] = np.where(whole, numbers, np.nan)[self._derived]
            for codes in self._codes:
                read[codes.rows] = np.where(whole, codes.looked_up(numbers), np.nan)[codes.rows]
            status[~np.isfinite(read)] = BAD_DATA_UNAVAILABLE
        for (at, bits), found in ((self._unimplemented, words), (self._missing, self._numbers.fields(words))):
            status[at[found[at] == bits]] = BAD_NOT_SUPPORTED
        status[self._nan[np.isnan(values[self._rows[self._nan]])]] = BAD_NOT_SUPPORTED
        self._factors.apply(read, status)
        self._words.apply(status)
        read[is_bad(status)] = np.nan
        values[self._rows] = read
        quality[self._rows] = status


def _patterns(missing: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return (k,) the points, and (k,) the bits that mean that the point has no value."""
    pairs = [(row, bits) for row, each in enumerate(missing) for bits in each]
    return np.array([row for row, _ in pairs], dtype=np.int64), np.array([bits for _, bits in pairs], dtype=np.uint64)
