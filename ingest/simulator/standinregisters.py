"""What stands in the registers of a device of which only the point list is known?

Written against the Modbus conventions and the point list's words, not against ingest's decoder, so that one can be wrong without the
other. Registers that speak for points say what makes them good: a quality word one of its good numbers, a power of ten one by which the
values fit their type. Texts say that they are simulated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

from ingest.devices import DataType, Kind, ModbusDevice, ModbusPoint, QualityWord, Register
from ingest.quality import GOOD
from ingest.simulator.motion import limits_of, raw_limits, value_at
from ingest.simulator.registers import encoded

__all__ = ["StandInRegisters"]

_TEXT: Final = "SIMULATED"
_WHOLE: Final = {1: DataType.UINT16, 2: DataType.UINT32, 4: DataType.UINT64}
_POWERS: Final = (-3, 10)
_EXACT: Final = 1 << 53


class StandInRegisters:
    """The tables of one device.

    Attributes:
        tables: by table, what each address holds; only those that the list names are there.
        writable: addresses that may be written.
    """

    def __init__(self, device: ModbusDevice) -> None:
        self._device = device
        self._powers = _powers(device)
        self._held: dict[tuple[Kind, int], int] = {}
        self.tables: dict[Kind, dict[int, int]] = {kind: {} for kind in Kind}
        self.writable = {(point.kind, at) for point in device.points if point.writable for at in _addresses(point)}
        self.show(0, lambda point: value_at(point, 0))

    def write(self, kind: Kind, address: int, words: list[int]) -> bool:
        """Take what is written; returns whether all of it may be."""
        if not all((kind, address + k) in self.writable for k in range(len(words))):
            return False
        self._held |= {(kind, address + k): word for k, word in enumerate(words)}
        return True

    def show(self, ts_ns: int, value: Callable[[ModbusPoint], float]) -> None:
        """Bring the registers up to date.

        Args:
            ts_ns: event time, UTC ns.
            value: of each point, engineering units.
        """
        device = self._device
        for table in self.tables.values():
            table.clear()
        for text in device.attributes:
            raw = _TEXT.encode()[: 2 * text.length].ljust(2 * text.length, b"\0")
            order = "little" if text.order.swaps_bytes else "big"
            for k in range(text.length):
                self._put(text.kind, text.address + k, int.from_bytes(raw[2 * k : 2 * k + 2], order))  # type: ignore[arg-type]
        if device.clock is not None:
            clock = device.clock
            ticks = max(0, ts_ns - clock.since_ns) // clock.tick_ns % (1 << 16 * clock.type.registers - clock.type.is_signed)
            self._put_all(clock.kind, clock.address, encoded(ticks, clock.type, clock.order))
        for point in device.points:
            for register, number in self._companions(point):
                words = (number,) if register.kind.is_bits else encoded(number, register.type, register.order)
                for k, word in enumerate(words):
                    self.tables[register.kind][register.address + k] = word
            self._put_all(point.kind, point.address, self._words(point, value(point)))
        for (kind, address), word in self._held.items():
            self.tables[kind][address] = word

    def _put_all(self, kind: Kind, address: int, words: tuple[int, ...]) -> None:
        for k, word in enumerate(words):
            self._put(kind, address + k, word)

    def _put(self, kind: Kind, address: int, word: int) -> None:
        """Put a word where others may have a part: fields of bits share registers."""
        table = self.tables[kind]
        table[address] = table.get(address, 0) | word

    def _companions(self, point: ModbusPoint) -> Iterator[tuple[Register, int]]:
        meaning = point.meaning
        if meaning is not None and meaning.factor is not None:
            yield meaning.factor, self._powers[meaning.factor]
        if meaning is not None and meaning.word is not None:
            yield meaning.word.register, _good_number(meaning.word)

    def _words(self, point: ModbusPoint, value: float) -> tuple[int, ...]:
        """Return the registers, or the bit, that show a value."""
        meaning = point.meaning
        if meaning is not None and meaning.values:
            number = float(next(code for code, meant in meaning.values if meant == value))
        else:
            number = (value - point.offset) / point.scale
            if meaning is not None and meaning.factor is not None:
                number /= 10.0 ** self._powers[meaning.factor]
        low, high = raw_limits(point)
        number = min(max(number, low), high)
        if point.type is DataType.BOOL or point.kind.is_bits:
            return encoded(int(number) << (point.bit or 0), DataType.UINT16, point.order) if not point.kind.is_bits else (int(number),)
        if point.type.is_float:
            return encoded(number, point.type, point.order)
        whole = _there(point, math.floor(number + 0.5) if abs(number) < _EXACT else int(number))
        size = 16 * point.type.registers
        if point.type.is_bcd:
            whole = int(str(whole), 16)
        shift = 0
        if meaning is not None and meaning.bits is not None:
            shift, width = meaning.bits[0], meaning.bits[1] - meaning.bits[0] + 1
            whole &= (1 << width) - 1
        return encoded((whole << shift) & ((1 << size) - 1), _WHOLE[point.type.registers], point.order)


def _there(point: ModbusPoint, number: int) -> int:
    """Return the next number that does not say that there is none."""
    meaning = point.meaning
    if meaning is None or meaning.values:
        return number
    bits = 16 * point.type.registers if meaning.bits is None else meaning.bits[1] - meaning.bits[0] + 1
    absent = {*meaning.missing, *(meaning.unimplemented if meaning.bits is None else ())}
    step = -1 if number > 0 else 1
    while number & ((1 << bits) - 1) in absent:
        number += step
    return number


def _addresses(point: ModbusPoint) -> range:
    return range(point.address, point.address + (1 if point.kind.is_bits else point.type.registers))


def _powers(device: ModbusDevice) -> dict[Register, int]:
    """Return the power of ten of each scale factor: the least by which all values that it scales fit their types."""
    powers: dict[Register, int] = {}
    for point in device.points:
        if point.meaning is None or point.meaning.factor is None:
            continue
        power = 0
        if not point.type.is_float:
            greatest = max(abs((end - point.offset) / point.scale) for end in limits_of(point)) or 1.0
            power = min(max(math.ceil(math.log10(greatest / raw_limits(point)[1])), _POWERS[0]), _POWERS[1])
        powers[point.meaning.factor] = max(power, powers.get(point.meaning.factor, _POWERS[0]))
    return powers


def _good_number(word: QualityWord) -> int:
    """Return a number by which a device says that all is well."""
    return next((number for number in (*word.good, *range(1 << 16)) if word.quality(number) == GOOD), 0)
