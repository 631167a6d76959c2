"""Which lines of a request does InfluxDB refuse, and how few further requests does it take to know?

A refusal of a body is not one of its lines. What the servers say about which differs, and all of it is used:

* 1.x and 2.x quote each line that cannot be parsed; 3 numbers the lines;
* 1.x keeps the others ("partial write"), 2.x keeps none of them, 3 keeps them too;
* a field of another type, or a time before the retention policy, is counted ("dropped=2") and the first one named, by measurement
  and field. Lines that could not be parsed are not told of beside that.

So what is named is put aside and the rest sent again, once; where as many were dropped as there are, all are put aside; and where
neither helps, halves are sent until a line stands alone. After :data:`REQUESTS_MAX` refusals of one body what is left of it is put
aside undecided: a server that refuses everything must not be asked thousands of times. Nothing is lost by that, it waits in the
dead-letter file.

Deliberately absent: sending, waiting, and the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from streams.segments import lines_of

__all__ = ["REQUESTS_MAX", "Letter", "Refusal", "Sifting"]

REQUESTS_MAX: Final = 200
"""Refusals of one body. One bad line among 5,000 that nobody names takes 13, eight of them about 100."""

_DROPPED: Final = re.compile(r"dropped=(\d+)")
_FIELD: Final = re.compile(r'input field "(.+?)" on measurement "(.+?)"(?: is type (\w+))?')
_VALUES: Final = {"integer": rb"-?\d+i", "float": rb"[-+.\d][^i, ]*[ ,\n]", "string": rb'"', "boolean": rb"[tTfF]"}
"""What the value of a field of each type looks like, by the name that servers have for it."""

_QUOTED: Final = "unable to parse '"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a server said about a body.

    Attributes:
        status: of HTTP.
        said: its words, all of them.
        numbers: places of lines in the body that it names, from 0.
    """

    status: int
    said: str
    numbers: tuple[int, ...] = ()


class Letter(NamedTuple):
    """A line that is put aside, and what the server said about it."""

    line: bytes
    status: int
    said: str


class Sifting:
    """One body on its way through a server.

    Args:
        body: whole lines.
        bytes_max: largest piece to begin with, None for any.

    Attributes:
        letters: lines that were refused so far.
        informed: whether the server has shown that it looked at lines: it took some, or said something about one.
        too_large: size of the smallest piece that the server found too large, None where it found none so.
    """

    def __init__(self, body: bytes, bytes_max: int | None = None) -> None:
        self._body = body
        self._pieces = [body]
        self._bytes_max = bytes_max
        self._refusals = 0
        self.letters: list[Letter] = []
        self.informed = False
        self.too_large: int | None = None

    def piece(self) -> bytes | None:
        """Return what is to be sent next, or None where all is decided."""
        while self._bytes_max and self._pieces and len(self._pieces[-1]) > self._bytes_max:
            piece = self._pieces.pop()
            if not self._halve(lines_of(piece), piece):
                break
        return self._pieces[-1] if self._pieces else None

    def in_order(self) -> list[Letter]:
        """Return what was refused, in the order of the body."""
        if len(self.letters) > 1:
            places = {line: place for place, line in enumerate(lines_of(self._body))}
            self.letters.sort(key=lambda letter: places[letter.line])
        return self.letters

    def taken(self) -> None:
        """The server has the piece."""
        self._pieces.pop()
        self.informed = True

    def refused(self, refusal: Refusal) -> None:
        """The server does not want the piece, or not all of it."""
        piece = self._pieces.pop()
        lines = lines_of(piece)
        self._refusals += 1
        if refusal.status == 413 and len(lines) > 1:
            self.too_large = min(len(piece), self.too_large or len(piece))
        if self._refusals >= REQUESTS_MAX:
            self._give_up([*lines, *(line for rest in self._pieces for line in lines_of(rest))], refusal)
            return
        partial = refusal.said.startswith("partial write")
        found = _DROPPED.search(refusal.said)
        dropped = int(found[1]) if found else None
        self.informed |= partial or dropped is not None or bool(refusal.numbers) or refusal.status in (413, 422)
        named = _named(lines, refusal)
        if named:
            self.informed = True
            self._bury([line for line in lines if line in named], refusal)
            rest = [line for line in lines if line not in named]
            # 1.x that parsed the rest and dropped none of it has it. Whether 3 names every line it dropped is not written anywhere.
            if rest and not (partial and dropped == 0):
                self._pieces.append(b"".join(rest))
        elif len(lines) == 1 or dropped == len(lines):
            self._bury(lines, refusal)
        else:
            suspects = _suspects(lines, refusal.said)
            others = [line for line in lines if line not in suspects]
            if not suspects or not others:
                self._halve(lines, piece)
                return
            # The others were kept, most likely; but those that cannot be parsed are not told of beside a conflict of types.
            self._pieces.append(b"".join(others))
            if dropped == len(lines) - len(others):
                self._bury([line for line in lines if line in suspects], refusal)
            else:
                self._pieces.append(b"".join(line for line in lines if line in suspects))

    def _halve(self, lines: list[bytes], piece: bytes) -> bool:
        half = len(lines) // 2
        self._pieces += [b"".join(lines[half:]), b"".join(lines[:half])] if half else [piece]
        return half > 0

    def _bury(self, lines: list[bytes], refusal: Refusal) -> None:
        self.letters += [Letter(line, refusal.status, refusal.said) for line in lines]

    def _give_up(self, lines: list[bytes], refusal: Refusal) -> None:
        said = f"not decided after {self._refusals} refusals, the last of them: {refusal.said}"
        self.letters += [Letter(line, refusal.status, said) for line in lines]
        self._pieces.clear()


def _named(lines: list[bytes], refusal: Refusal) -> set[bytes]:
    """Return the lines that are quoted, or numbered, in a refusal."""
    named = {lines[number] for number in refusal.numbers if number < len(lines)}
    if _QUOTED in refusal.said:
        there = set(lines)
        for quoted in refusal.said.split(_QUOTED)[1:]:
            # The line ends at a quotation mark, of which it may hold some itself.
            parts = quoted.split("'")
            ends = ("'".join(parts[:count]).encode() + b"\n" for count in range(1, len(parts)))
            named.update(line for line in ends if line in there)
    return named


def _suspects(lines: list[bytes], said: str) -> set[bytes]:
    """Return the lines of the measurement, and with a value of the type in the field, that a refusal names."""
    found = _FIELD.search(said)
    if found is None:
        return set()
    measurement = re.escape(found[2].encode())
    field, value = re.escape(found[1].encode()), _VALUES.get(found[3] or "", b"")
    suspect = re.compile(rb"%b[ ,](?:.*[ ,])?%b=%b" % (measurement, field, value))
    return {line for line in lines if suspect.match(line)}
