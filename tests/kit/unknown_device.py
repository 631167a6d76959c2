"""A Modbus device that exists only as what it would answer: what looks at unknown devices is tested against it without a socket."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ingest.devices import Kind
from ingest.modbus.identify import Identification
from ingest.modbus.probing.asks import Ask, Asking, Burst, Depth, Identify, Pause, Read, Refused, Reply, Said, Silent

__all__ = ["Unknown", "drive", "float_words", "text_words"]

_T = TypeVar("_T")


def float_words(value: float, order: str = "ABCD") -> list[int]:
    """The two registers of a float32, in one of the four orders."""
    raw = dict(zip("ABCD", struct.pack(">f", value), strict=True))
    said = bytes(raw[letter] for letter in order)
    return [int.from_bytes(said[:2], "big"), int.from_bytes(said[2:], "big")]


def text_words(text: str, registers: int) -> list[int]:
    """The registers of a text, filled up with NULs."""
    raw = text.encode().ljust(2 * registers, b"\0")
    return [int.from_bytes(raw[k : k + 2], "big") for k in range(0, len(raw), 2)]


@dataclass
class Unknown:
    """What answers.

    Attributes:
        tables: by table, what each address holds; a table that is not listed is not known to the device (exception 1).
        units: unit ids it answers; None for whichever it is asked for.
        gateway: whether it says of other units that it cannot reach them; it is silent otherwise.
        longest: most registers or bits it gives in one reply.
        seams: addresses that no reading crosses.
        pairs: whether it refuses to read an odd number of registers.
        is_mute: whether it leaves unanswered what it would refuse.
        after: what its registers become with each pause.
        busy: how many requests it puts off before it answers one.
        depth: how many requests it bears on their way.
    """

    tables: dict[Kind, dict[int, int]]
    units: frozenset[int] | None = frozenset({1})
    gateway: bool = False
    longest: int = 2000
    seams: tuple[int, ...] = ()
    pairs: bool = False
    is_mute: bool = False
    after: Callable[[dict[Kind, dict[int, int]]], None] = lambda tables: None
    identification: Mapping[int, str] = field(default_factory=dict)
    busy: int = 0
    depth: int = 16
    is_there: bool = True
    asked: list[Ask] = field(default_factory=list)

    def answer(self, ask: Ask) -> Reply:
        self.asked.append(ask)
        if isinstance(ask, Pause):
            self.after(self.tables)
            return None
        if isinstance(ask, Burst):
            return Depth(self.depth, ask.times)
        if not self.is_there:
            return Silent("no connection", is_connected=False)
        if self.units is not None and ask.unit not in self.units:
            return Refused(11) if self.gateway else Silent("no reply within 1 s")
        if self.busy:
            self.busy -= 1
            return Refused(6)
        return self._identified(ask) if isinstance(ask, Identify) else self._read(ask)

    def _identified(self, ask: Identify) -> Reply:
        most = 2 if ask.category == 1 else 6
        left = [(number, text) for number, text in self.identification.items() if ask.first <= number <= most]
        if not self.identification:
            return Refused(1)
        following = left[1][0] if len(left) > 1 else None
        return Said(b"", Identification(2, following, tuple(left[:1])))

    def _read(self, ask: Read) -> Reply:
        table = self.tables.get(ask.kind)
        if table is None:
            return Refused(1)
        asked = range(ask.address, ask.address + ask.count)
        crosses = any(asked.start < seam < asked.stop for seam in self.seams)
        if not all(at in table for at in asked) or crosses or ask.count > self.longest or (self.pairs and ask.count % 2):
            return Silent("no reply within 1 s") if self.is_mute else Refused(2)
        words = [table[at] for at in asked]
        return Said(_bits(words) if ask.kind.is_bits else b"".join(word.to_bytes(2, "big") for word in words))


def _bits(values: Iterable[int]) -> bytes:
    bits = list(values)
    packed = bytearray((len(bits) + 7) // 8)
    for place, value in enumerate(bits):
        packed[place // 8] |= value << place % 8
    return bytes(packed)


def drive(look: Asking[_T], device: Unknown) -> _T:
    """Let a look at a device come to its end; returns what it returned."""
    try:
        ask = next(look)
        while True:
            ask = look.send(device.answer(ask))
    except StopIteration as end:
        result: _T = end.value
        return result
