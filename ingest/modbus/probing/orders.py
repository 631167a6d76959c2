"""In which order do the registers of a number stand, and which registers are numbers of two?

Nothing in the protocol says it; it is told by what the bytes would mean. The register with sign and exponent of a float32 gives itself
away: with its bytes in the right order it puts a measured quantity between a thousandth and a hundred million, and holds still while the
quantity moves a little. Which of its neighbours is the other half is harder to tell: in a row of floats each such register has one half
before and one behind it. It is told at the ends of the row, where one neighbour cannot be read, or says nothing and never moves; by where
the row begins; and by which halves make quantities that move the least. A counter of two registers grows by a small part of itself in one
order and leaps in the other.

Such evidence is good and no proof. What a person reads off the device's own display is (:mod:`ingest.modbus.probing.expected`).

Values in, values out: no clock, no connection.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ingest.devices import DATA_TYPES, DataType, Order

__all__ = ["Certainty", "OrderFound", "judge_orders", "number_at", "numbers_in"]

_LEAST: Final = 1e-3
_GREATEST: Final = 1e8
_LEAP: Final = 0.2
"""Part of itself by which a measured quantity does not move within seconds."""

_COUNTS_MIN: Final = 1 << 17
_COUNTED_MAX: Final = 1e-3
_APART: Final = 8
"""How many times more a counter must seem to grow in the other order."""

_MOVED_WEIGHT: Final = 3
_EDGE_WEIGHT: Final = 3
_ENOUGH: Final = 3
"""Evidence from which an order is likely, if it is as many times that of the next."""


class Certainty(StrEnum):
    """How sure a finding is."""

    KNOWN = "known"
    LIKELY = "likely"
    GUESSED = "guessed"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class OrderFound:
    """An order, and what speaks for it; ``has_floats``: there are float32 for sure among the registers."""

    order: Order
    certainty: Certainty
    why: str
    has_floats: bool = False


def number_at(words: Mapping[int, int], address: int, kind: DataType, order: Order) -> float | None:
    """Return the number that begins at an address; None where not all of it was read."""
    registers = [words.get(address + k) for k in range(kind.registers)]
    raw = b"".join(register.to_bytes(2, "little" if order.swaps_bytes else "big") for register in registers if register is not None)
    if len(raw) < 2 * kind.registers:
        return None
    if order.swaps_registers:
        raw = b"".join(raw[k : k + 2] for k in range(len(raw) - 2, -1, -2))
    return float(struct.unpack(DATA_TYPES[kind][1], raw)[0])


def judge_orders(readings: Sequence[Mapping[int, int]]) -> OrderFound:
    """Say in which order numbers of two registers stand.

    Args:
        readings: what the registers of one table said, by address, some seconds apart; at least one.
    """
    high = {swaps: _highs(readings, swaps) for swaps in (False, True)}
    weights = {swaps: sum(_MOVED_WEIGHT if _moves(readings, at) else 1 for at in high[swaps] - high[not swaps]) for swaps in high}
    has_floats = _is_clear(weights[True], weights[False])
    swaps = has_floats and weights[True] > weights[False]
    if not has_floats:
        high[False] = set()  # what looks like them does so by chance
    behind, before = _neighbours(readings, high[swaps])
    for address in () if swaps else readings[0]:
        if not {address, address + 1} & high[False]:
            is_behind, is_before = _whole_number(readings, address)
            behind, before = behind + is_behind, before + is_before
    if max(behind, before) < 2 * min(behind, before) or behind == before:
        return OrderFound(Order.ABCD, Certainty.UNKNOWN, "the registers speak for none; ABCD is what the protocol would have")
    order = {(False, True): Order.ABCD, (False, False): Order.CDAB, (True, True): Order.BADC, (True, False): Order.DCBA}[
        swaps, behind > before
    ]
    why = f"by what the registers would mean: {max(behind, before)} to {min(behind, before)} for it"
    if has_floats:
        why += f", and {max(weights.values())} to {min(weights.values())} for the order of bytes"
    return OrderFound(order, Certainty.LIKELY if _is_clear(behind, before) else Certainty.GUESSED, why, has_floats)


def _is_clear(one: int, other: int) -> bool:
    """Whether evidence is enough, and enough more for one than for the other."""
    return max(one, other) >= _ENOUGH and max(one, other) >= _ENOUGH * min(one, other)


def _whole_number(readings: Sequence[Mapping[int, int]], address: int) -> tuple[bool, bool]:
    """Return whether a whole number seems to begin at an address whose less significant half is behind; and whose is before."""
    start = address
    while start - 1 in readings[0]:
        start -= 1
    if (address - start) % 2 or address + 1 not in readings[0]:
        return False, False  # two that follow each other are no number, where each of them is half of one
    first, last = (_growth(_series(readings, address, DataType.UINT32, order)) for order in (Order.ABCD, Order.CDAB))
    is_idle = _is_idle(readings, address) or _is_idle(readings, address + 1)
    if not is_idle and (first < math.inf or last < math.inf):
        return _APART * first < last, _APART * last < first
    # A small number, one half of which moves; the other says nothing, or that it is negative.
    filled = [{words.get(at) for words in readings} in ({0}, {0xFFFF}) for at in (address, address + 1)]
    return filled[0] and _changes(readings, address + 1), filled[1] and _changes(readings, address)


def _highs(readings: Sequence[Mapping[int, int]], swaps: bool) -> set[int]:
    """Return the addresses of registers that can be sign and exponent of a float32 that moves by little."""
    order = Order.BADC if swaps else Order.ABCD
    found = set()
    for address in readings[0]:
        series = [number_at({0: words[address], 1: 0}, 0, DataType.FLOAT32, order) or 0.0 for words in readings if address in words]
        if _is_measured(series):
            found.add(address)
    return found


def _neighbours(readings: Sequence[Mapping[int, int]], high: set[int]) -> tuple[int, int]:
    """Return what speaks for the other half of a float32 standing behind the half with the exponent, and what for before it."""
    behind = before = 0
    for at in high:
        if at - 1 in high or at + 1 in high:
            continue  # one of them only looks like it
        has_before, has_behind = at - 1 in readings[0], at + 1 in readings[0]
        if has_before != has_behind:
            behind, before = behind + _EDGE_WEIGHT * has_behind, before + _EDGE_WEIGHT * has_before
            continue
        if at - 2 not in high:  # the first of its row
            start = at
            while start - 1 in readings[0]:
                start -= 1
            is_even = (at - start) % 2 == 0
            behind, before = behind + is_even, before + (not is_even)
            behind += _is_idle(readings, at - 1) and not _is_idle(readings, at + 1)
            before += _changes(readings, at - 1)
        if at + 2 not in high:  # the last
            before += _is_idle(readings, at + 1) and not _is_idle(readings, at - 1)
            behind += _changes(readings, at + 1)
        widths = [_width(_halves(readings, at, at + 1)), _width(_halves(readings, at, at - 1))]
        behind += 2 * widths[0] < widths[1]
        before += 2 * widths[1] < widths[0]
    return behind, before


def _halves(readings: Sequence[Mapping[int, int]], high: int, low: int) -> list[int]:
    """Return the whole numbers that two registers make, which move as the float32 does."""
    return [words[high] << 16 | words[low] for words in readings if high in words and low in words]


def _width(numbers: Sequence[int]) -> int:
    return max(numbers) - min(numbers)


def _changes(readings: Sequence[Mapping[int, int]], address: int) -> bool:
    return len({words.get(address) for words in readings}) > 1


def _is_idle(readings: Sequence[Mapping[int, int]], address: int) -> bool:
    return all(not words.get(address) for words in readings)


def numbers_in(readings: Sequence[Mapping[int, int]], order: Order, *, has_floats: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the addresses at which a float32 seems to begin in an order, and those of a uint32 that grows; none overlap.

    Args:
        readings: as for :func:`judge_orders`.
        has_floats: whether there are float32 at all; else none is seen in what looks like one.
    """
    addresses = sorted(readings[0])
    floats = _apart([at for at in addresses if has_floats and _is_measured(_series(readings, at, DataType.FLOAT32, order))], readings)
    taken = {at + k for at in floats for k in (-1, 0, 1)}
    counted = [at for at in addresses if at not in taken and _growth(_series(readings, at, DataType.UINT32, order)) <= _COUNTED_MAX]
    return floats, _apart(counted, readings)


def _series(readings: Sequence[Mapping[int, int]], address: int, kind: DataType, order: Order) -> list[float]:
    """Return what the readings say of one number; empty where one does not have it."""
    series = [number_at(words, address, kind, order) for words in readings]
    return [number for number in series if number is not None] if None not in series else []


def _is_measured(series: Sequence[float]) -> bool:
    """Whether this can be a measured quantity."""
    if not series or not all(math.isfinite(number) and _LEAST <= abs(number) <= _GREATEST for number in series):
        return False
    return max(series) - min(series) <= _LEAP * max(map(abs, series))


def _growth(series: Sequence[float]) -> float:
    """Return by which part of itself a counter grew, each time a little; infinite where this is none."""
    if len(series) < 2 or series[0] < _COUNTS_MIN or not all(later > former for former, later in itertools.pairwise(series)):
        return math.inf
    return (series[-1] - series[0]) / series[0]


def _apart(addresses: Sequence[int], readings: Sequence[Mapping[int, int]]) -> tuple[int, ...]:
    """Return addresses of which no two overlap; of two that do, the one that moves, then the earlier one, stays."""
    kept: list[int] = []
    for address in addresses:
        if kept and address < kept[-1] + 2:
            if _moves(readings, address) and not _moves(readings, kept[-1]):
                kept[-1] = address
            continue
        kept.append(address)
    return tuple(kept)


def _moves(readings: Sequence[Mapping[int, int]], address: int) -> bool:
    return len({(words.get(address), words.get(address + 1)) for words in readings}) > 1
