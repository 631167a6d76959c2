"""What do registers say about points that are no points themselves: by how much a value is scaled, and how good it is?

A companion is read with the block it lies in, be it in a hole between points; one that lies in no block of its points is planned for
as if it were a point (:func:`companion_spans`), at their period. What each said last stands in one mapping for a whole device,
:data:`Companions`, so that a point may stand in one block and its companion in another. The memory is given at construction and
changed by :meth:`Told.note` alone; all else is a function of it.

What was read last counts. A scale factor that is not read for a while, because its block fails, stays: it rarely changes. A quality
word does not: a word that cannot be read says nothing, and the points it speaks for wait until it does again (:meth:`Told.unread`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.devices import ClockRegister, Meaning, ModbusPoint, QualityWord, Register
from ingest.modbus.plan import Block, Span
from ingest.modbus.wholenumbers import integer_at
from ingest.quality import BAD_CONFIGURATION_ERROR, BAD_NOT_SUPPORTED, BAD_WAITING_FOR_INITIAL_DATA, GOOD

__all__ = ["Companions", "Factors", "Told", "Words", "companion_spans"]

Companions = dict[Register, int]
"""What each companion of a device said last; one that was not read yet is not in it."""

_POWER_MAX: Final = 10
_NO_POWER: Final = -0x8000
"""SunSpec Device Information Model Specification, type sunssf: -10 to 10, and 0x8000 for "not implemented"."""


def _companions(points: Iterable[ModbusPoint]) -> Iterator[tuple[Register, bool]]:
    """Yield the companions of points, and whether each is a quality word; repeats some."""
    for point in points:
        if point.meaning is not None and point.meaning.factor is not None:
            yield point.meaning.factor, False
        if point.meaning is not None and point.meaning.word is not None:
            yield point.meaning.word.register, True


def companion_spans(points: Sequence[ModbusPoint], clock: ClockRegister | None = None) -> list[Span]:
    """Return where the companions of points lie, and their device's clock, each once; their rows follow those of the points."""
    found = list(dict.fromkeys((register.kind, register.address, register.size) for register, _ in _companions(points)))
    if clock is not None:
        found.append((clock.kind, clock.address, clock.type.registers))
    return [Span(kind, address, size, len(points) + place) for place, (kind, address, size) in enumerate(found)]


class Told:
    """What a block tells about points, its own or others.

    Args:
        block: what is read.
        points: those that may have companions in it.
        companions: where it is kept.

    Attributes:
        any: whether it tells anything.
    """

    __slots__ = ("_companions", "_inside", "_words", "any")

    def __init__(self, block: Block, points: Sequence[ModbusPoint], companions: Companions) -> None:
        end = block.address + block.count
        told = dict.fromkeys(_companions(points))
        mine = [(each, word) for each, word in told if each.kind is block.kind and block.address <= each.address <= end - each.size]
        self._companions = companions
        self._inside = [(register, register.address - block.address) for register in dict.fromkeys(register for register, _ in mine)]
        self._words = [register for register, is_word in mine if is_word]
        self.any = bool(mine)

    def note(self, data: bytes) -> None:
        """Keep what the block's companions say in a reply's data."""
        for register, place in self._inside:
            if register.kind.is_bits:
                self._companions[register] = data[place // 8] >> place % 8 & 1
            else:
                self._companions[register] = integer_at(data, 2 * place, register.type, register.order)

    def unread(self) -> None:
        """Forget what the block's quality words said."""
        for register in self._words:
            self._companions.pop(register, None)


class _Shared:
    """Points that share companions: which companion each has, and what those said when it was last looked."""

    __slots__ = ("_companions", "_last", "_registers", "rows", "which")

    def __init__(self, rows: Sequence[int], which: Sequence[int], registers: Sequence[Register], companions: Companions) -> None:
        self.rows = np.array(rows, dtype=np.int64)
        self.which = np.array(which, dtype=np.int64)
        self._companions = companions
        self._registers = registers
        self._last: tuple[int | None, ...] | None = None

    def news(self) -> tuple[int | None, ...] | None:
        """Return what the companions say, None for one that has not been read; or None where all say what they said."""
        now = tuple(self._companions.get(register) for register in self._registers)
        if now == self._last:
            return None
        self._last = now
        return now


class Factors:
    """Powers of ten that a device keeps in registers.

    Args:
        meanings: (m,) of the points; those without a factor are left alone.
        companions: what the device's companions said last.
    """

    __slots__ = ("_divide", "_multiply", "_quality", "_shared")

    def __init__(self, meanings: Sequence[Meaning], companions: Companions) -> None:
        rows = [row for row, meaning in enumerate(meanings) if meaning.factor is not None]
        registers = list(dict.fromkeys(meaning.factor for meaning in meanings if meaning.factor is not None))
        which = [registers.index(meaning.factor) for meaning in meanings if meaning.factor is not None]
        self._shared = _Shared(rows, which, registers, companions)
        self._multiply = self._divide = np.ones(len(rows))
        self._quality = np.zeros(len(rows), dtype=np.uint32)

    def apply(self, values: NDArray[np.float64], quality: NDArray[np.uint32]) -> None:
        """Scale the values that have a factor, and mark those whose factor is none; both (m,), in place."""
        rows = self._shared.rows
        if not rows.size:
            return
        powers = self._shared.news()
        if powers is not None:
            known = np.array([0 if _power_quality(power) else power for power in powers], dtype=np.float64)[self._shared.which]
            # A tenth is no float64: dividing by ten rounds once, multiplying by 0.1 rounds twice.
            self._multiply, self._divide = 10.0 ** np.maximum(known, 0.0), 10.0 ** np.maximum(-known, 0.0)
            self._quality = np.array([_power_quality(power) for power in powers], dtype=np.uint32)[self._shared.which]
        values[rows] = values[rows] * self._multiply / self._divide
        quality[rows] = np.where(quality[rows] == GOOD, self._quality, quality[rows])


class Words:
    """Quality words that a device keeps in registers; the arguments are those of :class:`Factors`."""

    __slots__ = ("_quality", "_shared", "_words")

    def __init__(self, meanings: Sequence[Meaning], companions: Companions) -> None:
        rows = [row for row, meaning in enumerate(meanings) if meaning.word is not None]
        self._words: list[QualityWord] = list(dict.fromkeys(meaning.word for meaning in meanings if meaning.word is not None))
        which = [self._words.index(meaning.word) for meaning in meanings if meaning.word is not None]
        self._shared = _Shared(rows, which, [word.register for word in self._words], companions)
        self._quality = np.zeros(len(rows), dtype=np.uint32)

    def apply(self, quality: NDArray[np.uint32]) -> None:
        """Mark (m,) what is still good as the device does, in place."""
        rows = self._shared.rows
        if not rows.size:
            return
        said = self._shared.news()
        if said is not None:
            each = [BAD_WAITING_FOR_INITIAL_DATA if n is None else word.quality(n) for word, n in zip(self._words, said, strict=True)]
            self._quality = np.array(each, dtype=np.uint32)[self._shared.which]
        quality[rows] = np.where(quality[rows] == GOOD, self._quality, quality[rows])


def _power_quality(power: int | None) -> int:
    """Return how good a value is whose scale factor's register says this."""
    if power is None:
        return BAD_WAITING_FOR_INITIAL_DATA
    if power == _NO_POWER:
        return BAD_NOT_SUPPORTED
    return GOOD if abs(power) <= _POWER_MAX else BAD_CONFIGURATION_ERROR
