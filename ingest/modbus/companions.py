"""What do registers say about points that are no points themselves: by how much a value is scaled, and how good it is?

A companion is read with the block it lies in, be it in a hole between points; one that lies in no block of its points is planned for
as if it were a point (:func:`companion_spans`), at their period. What each said last stands in one memory for a whole device,
:class:`Companions`, so that a point may stand in one block and its companion in another.

What was read last counts. A scale factor that is not read for a while, because its block fails, stays: it rarely changes. A quality
word does not: a word that cannot be read says nothing, and the points it speaks for wait until it does again (:meth:`Told.unread`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.devices import ClockRegister, Meaning, ModbusPoint, QualityWord, Register
from ingest.modbus.plan import Block, Span
from ingest.modbus.wholenumbers import byte_offsets, run_of
from ingest.quality import BAD_CONFIGURATION_ERROR, BAD_NOT_SUPPORTED, BAD_WAITING_FOR_INITIAL_DATA, GOOD

__all__ = ["Companions", "Factors", "Told", "Words", "companion_spans"]

_POWER_MAX: Final = 10
_NO_POWER: Final = -0x8000
"""SunSpec Device Information Model Specification, type sunssf: -10 to 10, and 0x8000 for "not implemented"."""


class Companions:
    """What each companion of a device said last.

    Attributes:
        said: by place; None of one that has not been read.
        version: counts the changes, so that who uses them need not compare.
    """

    __slots__ = ("_places", "said", "version")

    def __init__(self) -> None:
        self._places: dict[Register, int] = {}
        self.said: list[int | None] = []
        self.version = 0

    def place(self, register: Register) -> int:
        """Return the place of a companion, a new one where it is not known yet."""
        place = self._places.setdefault(register, len(self.said))
        if place == len(self.said):
            self.said.append(None)
        return place

    def note(self, place: int, number: int | None) -> None:
        """Keep what a companion says; None, that it is not known."""
        if self.said[place] != number:
            self.said[place] = number
            self.version += 1

    def forget(self) -> None:
        """Note that nothing is known any more: another device may be behind the address."""
        for place in range(len(self.said)):
            self.note(place, None)


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
        self._inside = [_Reader(register, block.address, companions) for register in dict.fromkeys(register for register, _ in mine)]
        self._words = [companions.place(register) for register, is_word in mine if is_word]
        self.any = bool(mine)

    def note(self, data: bytes) -> None:
        """Keep what the block's companions say in a reply's data."""
        for reader in self._inside:
            self._companions.note(reader.place, reader.read(data))

    def unread(self) -> None:
        """Forget what the block's quality words said."""
        for place in self._words:
            self._companions.note(place, None)


class _Reader:
    """Reads one companion of a block."""

    __slots__ = ("_bit", "_bytes", "_is_signed", "place")

    def __init__(self, register: Register, address: int, companions: Companions) -> None:
        first = register.address - address
        self.place = companions.place(register)
        self._is_signed = register.type.is_signed
        self._bit = first if register.kind.is_bits else None
        self._bytes = itemgetter(*byte_offsets(2 * first, register.type.registers, register.order))

    def read(self, data: bytes) -> int:
        if self._bit is not None:
            return data[self._bit // 8] >> self._bit % 8 & 1
        return int.from_bytes(self._bytes(data), "big", signed=self._is_signed)


class _Shared:
    """Points that share companions, and what those made of them when they last changed.

    Attributes:
        rows: (k,) the points' places in their block's columns.
        which: (k,) which of the companions each has.
    """

    __slots__ = ("_companions", "_places", "_version", "rows", "which")

    def __init__(self, rows: Sequence[int], which: Sequence[int], registers: Sequence[Register], companions: Companions) -> None:
        self.rows = run_of(np.array(rows, dtype=np.int64))
        self.which = np.array(which, dtype=np.int64)
        self._companions = companions
        self._places = [companions.place(register) for register in registers]
        self._version = -1

    def news(self) -> list[int | None] | None:
        """Return what the companions say; None where nothing has changed since it was last asked."""
        if self._version == self._companions.version:
            return None
        self._version = self._companions.version
        return [self._companions.said[place] for place in self._places]


def _mark(quality: NDArray[np.uint32], rows: NDArray[np.int64] | slice, found: NDArray[np.uint32]) -> None:
    """Give (k,) points that are still good what was found, in place."""
    mine = quality[rows]
    quality[rows] = np.where(mine == GOOD, found, mine)


class Factors:
    """Powers of ten that a device keeps in registers.

    Args:
        rows: places of points in their block's columns, (n,) below.
        meanings: of the same points; those without a factor are left alone.
        companions: what the device's companions said last.
    """

    __slots__ = ("_divide", "_multiply", "_quality", "_shared")

    def __init__(self, rows: Sequence[int], meanings: Sequence[Meaning], companions: Companions) -> None:
        having = [(row, meaning.factor) for row, meaning in zip(rows, meanings, strict=True) if meaning.factor is not None]
        registers = list(dict.fromkeys(register for _, register in having))
        which = [registers.index(register) for _, register in having]
        self._shared = _Shared([row for row, _ in having], which, registers, companions) if having else None
        self._multiply: NDArray[np.float64] | None = None
        self._divide: NDArray[np.float64] | None = None
        self._quality: NDArray[np.uint32] | None = None

    def apply(self, values: NDArray[np.float64], quality: NDArray[np.uint32]) -> None:
        """Scale the values that have a factor, and mark those whose factor is none; both (n,), in place."""
        if self._shared is None:
            return
        powers = self._shared.news()
        if powers is not None:
            self._take(powers, self._shared.which)
        rows = self._shared.rows
        if self._multiply is not None:
            values[rows] *= self._multiply
        if self._divide is not None:
            values[rows] /= self._divide
        if self._quality is not None:
            _mark(quality, rows, self._quality)

    def _take(self, powers: Sequence[int | None], which: NDArray[np.int64]) -> None:
        known = np.array([0 if _power_quality(power) else power for power in powers], dtype=np.float64)[which]
        # A tenth is no float64: dividing by ten rounds once, multiplying by 0.1 rounds twice.
        self._multiply = 10.0 ** known.clip(min=0.0) if (known > 0).any() else None
        self._divide = 10.0 ** (-known).clip(min=0.0) if (known < 0).any() else None
        found = np.array([_power_quality(power) for power in powers], dtype=np.uint32)[which]
        self._quality = found if found.any() else None


class Words:
    """Quality words that a device keeps in registers; the arguments are those of :class:`Factors`."""

    __slots__ = ("_quality", "_shared", "_words")

    def __init__(self, rows: Sequence[int], meanings: Sequence[Meaning], companions: Companions) -> None:
        having = [(row, meaning.word) for row, meaning in zip(rows, meanings, strict=True) if meaning.word is not None]
        self._words: list[QualityWord] = list(dict.fromkeys(word for _, word in having))
        registers = [word.register for word in self._words]
        which = [self._words.index(word) for _, word in having]
        self._shared = _Shared([row for row, _ in having], which, registers, companions) if having else None
        self._quality: NDArray[np.uint32] | None = None

    def apply(self, quality: NDArray[np.uint32]) -> None:
        """Mark (n,) what is still good as the device does, in place."""
        if self._shared is None:
            return
        said = self._shared.news()
        if said is not None:
            each = [BAD_WAITING_FOR_INITIAL_DATA if n is None else word.quality(n) for word, n in zip(self._words, said, strict=True)]
            found = np.array(each, dtype=np.uint32)[self._shared.which]
            self._quality = found if found.any() else None
        if self._quality is not None:
            _mark(quality, self._shared.rows, self._quality)


def _power_quality(power: int | None) -> int:
    """Return how good a value is whose scale factor's register says this."""
    if power is None:
        return BAD_WAITING_FOR_INITIAL_DATA
    if power == _NO_POWER:
        return BAD_NOT_SUPPORTED
    return GOOD if abs(power) <= _POWER_MAX else BAD_CONFIGURATION_ERROR
