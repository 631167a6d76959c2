"""Where does a value stand that somebody read off the device, of which type is it, and in which order?

A person gives the number of a register, as the maker's manual counts it, and what it should say. Each reading of the registers thereabouts
is held against it: at the number itself and one below (the manual may count from 0 or from 1), every numeric type, every order, and the
usual scales. What fits every expectation is known; nothing else tells both the base and the order for sure.

A manual may also write the table into the number: 40031 is then holding register 31, and 30031 input register 31, counted from 1.

Values in, values out: no clock, no connection.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ingest.devices import DataType, Kind, Order
from ingest.modbus.probing.asks import Asker, Asking, Said
from ingest.modbus.probing.orders import number_at

__all__ = ["Expectation", "Match", "agreeing", "look_for", "matches", "parse_expectation"]

_EXPECTATION: Final = re.compile(r"(?:(holding|input)\s+)?(\d{1,6})\s*=\s*([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)")
_TABLES: Final = {"4": Kind.HOLDING, "3": Kind.INPUT}
_TOLERANCE: Final = 0.005
"""Part of the value by which it may have moved since somebody read it. What fits to the digit counts before what fits so."""

_SCALES: Final = (1.0, 0.1, 0.01, 0.001, 10.0, 100.0, 1000.0)
_TYPES: Final = (
    *(DataType.FLOAT32, DataType.FLOAT64, DataType.UINT32, DataType.INT32, DataType.UINT64, DataType.INT64),
    *(DataType.UINT16, DataType.INT16),
)
_LONGEST: Final = 4


@dataclass(frozen=True, slots=True)
class Expectation:
    """What somebody says a register holds.

    Attributes:
        text: as it was given.
        kind: the table; None where it was not said.
        number: as the manual counts.
        value: engineering units.
        digit: half of the last digit that was given.
    """

    text: str
    kind: Kind | None
    number: int
    value: float
    digit: float


@dataclass(frozen=True, slots=True)
class Match:
    """One way in which an expectation is met.

    Attributes:
        address: on the wire.
        base: what the manual calls the first register, 0 or 1.
    """

    expectation: Expectation
    kind: Kind
    address: int
    base: int
    type: DataType
    order: Order
    scale: float
    found: float


def parse_expectation(text: str) -> Expectation:
    """Read ``30=230.1``, ``input 30=230.1`` or ``40031=230.1``.

    Raises:
        ValueError: it is none of these.
    """
    found = _EXPECTATION.fullmatch(text.strip())
    if found is None or int(found[2]) > 465_536:
        raise ValueError(f"{text!r} is no expectation; write the register's number and what it shows, as in 30=230.1 or input 30=230.1")
    value = float(found[3])
    digits = found[3].partition("e")[0].partition("E")[0].partition(".")[2]
    digit = 0.5 * 10.0 ** -len(digits)
    return Expectation(text.strip(), Kind(found[1]) if found[1] else None, int(found[2]), value, digit)


def _places(expectation: Expectation) -> list[tuple[Kind, int, int]]:
    """Return where it may stand: table, wire address, base."""
    tables = [expectation.kind] if expectation.kind is not None else [Kind.HOLDING, Kind.INPUT]
    places = [(kind, expectation.number - base, base) for kind in tables for base in (0, 1)]
    digits = str(expectation.number)
    if expectation.kind is None and len(digits) in (5, 6) and digits[0] in _TABLES:
        places.append((_TABLES[digits[0]], int(digits[1:]) - 1, 1))
    return [place for place in places if 0 <= place[1] < 65_536]


def look_for(asker: Asker, unit: int, expectation: Expectation) -> Asking[list[Match]]:
    """Read where an expectation may be met, and return every way in which it is.

    Raises:
        Spent: the cap of requests is reached.
    """
    found: list[Match] = []
    for kind, address, base in _places(expectation):
        for count in (_LONGEST, 2, 1):
            if address + count > 65_536:
                continue
            reply = yield from asker.read(unit, kind, address, count)
            if isinstance(reply, Said):
                words = {address + k: int.from_bytes(reply.data[2 * k : 2 * k + 2], "big") for k in range(count)}
                found += matches(expectation, kind, address, base, words)
                break
    exact = [match for match in found if abs(match.found - expectation.value) <= expectation.digit]
    return exact or found


def matches(expectation: Expectation, kind: Kind, address: int, base: int, words: Mapping[int, int]) -> list[Match]:
    """Return every way in which the registers at an address meet an expectation."""
    found = []
    for data_type in _TYPES:
        # A scale is for whole numbers; of one register the words cannot be swapped.
        scales = _SCALES[:1] if data_type.is_float else _SCALES
        orders = (Order.ABCD, Order.BADC) if data_type.registers == 1 else tuple(Order)
        for order in orders:
            raw = number_at(words, address, data_type, order)
            for scale in scales if raw is not None and math.isfinite(raw) else ():
                assert raw is not None
                if abs(raw * scale - expectation.value) <= max(expectation.digit, _TOLERANCE * abs(expectation.value)):
                    found.append(Match(expectation, kind, address, base, data_type, order, scale, raw * scale))
    return found


def agreeing(every: Sequence[Sequence[Match]]) -> tuple[frozenset[Order], frozenset[int]]:
    """Return the orders, and the bases, by which all expectations that were met can be met at once.

    Args:
        every: the matches of each expectation.
    """
    orders, bases = frozenset(Order), frozenset({0, 1})
    for found in every:
        if found:
            orders &= frozenset(order for match in found for order in _orders(match))
            bases &= frozenset(match.base for match in found)
    return orders, bases


def _orders(match: Match) -> tuple[Order, ...]:
    """Return the orders a match allows: one register says nothing of how registers follow each other."""
    if match.type.registers > 1:
        return (match.order,)
    return tuple(order for order in Order if order.swaps_bytes == match.order.swaps_bytes)
