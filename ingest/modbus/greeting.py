r"""What does a device say when it has dialled in, and when it has nothing to say?

A template is a packet as a device sends it, with fields in braces. Between them stand its characters, each one byte, and the escapes
``\r \n \t \0 \xNN \\ \{ \}``::

    RTU {id:ascii}\r\n                       # up to the byte that follows the field
    {hex:7B 01}{id:bcd:6}{skip:2}{crc16}     # bytes, a telephone number of 12 digits, two bytes of no interest, a checksum
    #{id:imei};

================  ==========================================================================================================
``{id:ascii:8}``  8 printable characters; spaces and zero bytes that fill it up at the end are no part of the id
``{id:ascii}``    1 to 64 of them, up to the character behind the field; likewise ``{id:digits}``
``{id:digits:n}`` n decimal digits; ``{id:imei}``: 15 of them, of which the last checks the others
``{id:hex:4}``    4 bytes; the id is their 8 hexadecimal digits, in lower case
``{id:bcd:6}``    6 bytes of two decimal digits each; the id is the 12 digits
``{hex:7B01}``    these bytes
``{skip:n}``      n bytes, whatever they are
``{crc16}``       checksum over all that stands before it: as of RTU frames, low byte first; ``{crc16be}`` high byte first;
                  ``{sum8}`` sum and ``{xor8}`` exclusive or of the bytes
================  ==========================================================================================================

Matching goes byte by byte and never back, so that what a stranger sends costs no more than its length. Bytes in, values out: no
socket, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from ingest.addresses import Framing, Reception
from ingest.modbus.frames import Function
from ingest.modbus.rtu import crc16

__all__ = [
    "BY_ADDRESS",
    "BY_CERTIFICATE",
    "GREETING_BYTES_MAX",
    "Greeting",
    "Noise",
    "Pattern",
    "Template",
    "TemplateError",
    "greeting_in",
    "greeting_of",
    "is_tellable",
]

BY_ADDRESS: Final = "address"
BY_CERTIFICATE: Final = "certificate"
"""What ``register`` says where a device does not have to say who it is."""

GREETING_BYTES_MAX: Final = 256
"""Most bytes a packet may have that says who dialled in."""

_ANSWERS: Final = frozenset(code for function in Function for code in (int(function), function | 0x80))
"""What may stand behind the unit in a reply."""

_UNTIL_MAX: Final = 64
_IMEI_DIGITS: Final = 15
_PRINTABLE: Final = frozenset(range(0x21, 0x7F))
_DIGITS: Final = frozenset(range(0x30, 0x3A))
_PADDED: Final = _PRINTABLE | {0x20, 0}
_ANY: Final = frozenset(range(256))
_BCD: Final = frozenset(byte for byte in range(256) if byte >> 4 <= 9 and byte & 15 <= 9)
_ESCAPES: Final = {"r": 13, "n": 10, "t": 9, "0": 0, "\\": 0x5C, "{": 0x7B, "}": 0x7D}
_TOKEN: Final = re.compile(r"\\x(?P<byte>[0-9A-Fa-f]{2})|\\(?P<escape>[rnt0\\{}])|\{(?P<field>[^{}]*)\}|(?P<plain>[^\\{}])", re.DOTALL)
_FIELD: Final = re.compile(r"id:(?P<kind>ascii|digits|hex|bcd|imei)(?::(?P<size>\d+))?|skip:(?P<skip>\d+)|hex:(?P<hex>[0-9A-Fa-f ]+)")
_CHECKSUMS: Final[dict[str, tuple[int, Callable[[bytes], bytes]]]] = {
    "crc16": (2, crc16),
    "crc16be": (2, lambda data: crc16(data)[::-1]),
    "sum8": (1, lambda data: bytes([sum(data) & 0xFF])),
    "xor8": (1, lambda data: bytes([_xor(data)])),
}

Found = tuple[int, str]
"""How many bytes are one packet, and which id it names; 0 bytes where too little has come to tell."""

_MORE: Final = -1


def _xor(data: bytes) -> int:
    found = 0
    for byte in data:
        found ^= byte
    return found


class TemplateError(ValueError):
    """A template that cannot be one; the message says what to write."""


class Greeting(Protocol):
    """What says who dialled in."""

    def match(self, data: bytes, start: int = 0) -> Found | None:
        """Read the packet that begins at a place; None where none does."""
        ...


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of a packet: how long it is, which bytes it may hold, and what it says.

    Attributes:
        size: bytes; 0 for as many as stand before ``stop``.
        allowed: for each byte of it what that may be; the last counts for the rest.
        check: checksum over what stands before it.
        named: makes the id of its bytes; None where it says none.
    """

    size: int
    allowed: tuple[frozenset[int], ...] = (_ANY,)
    stop: int | None = None
    check: Callable[[bytes], bytes] | None = None
    named: Callable[[bytes], str] | None = None

    def may_be(self, place: int) -> frozenset[int]:
        return self.allowed[min(place, len(self.allowed) - 1)]

    def end(self, data: bytes, start: int, at: int) -> int | None:
        """Return where it ends, :data:`_MORE` where that cannot be told yet, None where it is not there."""
        if self.stop is not None:
            return self._until(data, at)
        here = data[at : at + self.size]
        if any(byte not in self.may_be(place) for place, byte in enumerate(here)):
            return None
        if len(here) < self.size:
            return _MORE
        if self.check is not None and self.check(data[start:at]) != here:
            return None
        return at + self.size

    def _until(self, data: bytes, at: int) -> int | None:
        for place in range(at, min(len(data), at + _UNTIL_MAX + 1)):
            if data[place] == self.stop:
                return place if place > at else None
            if data[place] not in self.allowed[0]:
                return None
        return None if len(data) > at + _UNTIL_MAX else _MORE


class Template:
    """A packet as a device sends it.

    Args:
        text: as in the module's table.

    Attributes:
        names: whether it says which device sent it.
        size_min: fewest bytes it has.

    Raises:
        TemplateError: what is wrong with it, and what to write.
    """

    __slots__ = ("_parts", "names", "size_min", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts = tuple(_parsed(text))
        self.names = any(part.named is not None for part in self._parts)
        self.size_min = sum(part.size or 1 for part in self._parts)

    @staticmethod
    @lru_cache(maxsize=1024)
    def of(text: str) -> Template:
        """Return the template of a text; those of a thousand devices share one."""
        return Template(text)

    @staticmethod
    def literal(data: bytes) -> Template:
        """Return the template of these very bytes."""
        return Template(f"{{hex:{data.hex()}}}")

    def match(self, data: bytes, start: int = 0) -> Found | None:
        """Read the packet that begins at a place; None where none does."""
        at, name = start, ""
        for part in self._parts:
            end = part.end(data, start, at)
            if end is None:
                return None
            if end == _MORE:
                return 0, ""
            if part.named is not None:
                name = part.named(data[at:end])
                if not name:
                    return None
            at = end
        return at - start, name

    def excludes(self, place: int, bytes_: frozenset[int]) -> bool:
        """Whether its byte at a place, counted from 0, is certainly none of these."""
        at = 0
        for part in self._parts:
            if place < at + (part.size or 1):
                return not part.may_be(place - at) & bytes_
            if part.stop is not None:
                return False
            at += part.size
        return False


class Pattern:
    """A regular expression whose group ``name`` is the id; it has to hold what ends the packet."""

    __slots__ = ("_pattern",)

    def __init__(self, text: str) -> None:
        self._pattern = re.compile(text.encode())

    def match(self, data: bytes, start: int = 0) -> Found | None:
        """Read the packet that begins at a place; what matches not, may still."""
        found = self._pattern.match(data, start)
        if found is None or found.end() == start:
            return 0, ""
        return found.end() - start, found["name"].decode(errors="replace")


@lru_cache(maxsize=256)
def greeting_of(text: str) -> Greeting:
    """Return what a point list's ``register`` means: a regular expression where it has a group ``name``, else a template.

    Raises:
        TemplateError: it is neither, or says not which device it is.
    """
    if "(?P<name>" in text:
        try:
            return Pattern(text)
        except re.error as exc:
            raise TemplateError(f"{text!r} is not a regular expression ({exc}); correct it") from None
    template = Template(text)
    if not template.names:
        raise TemplateError(
            f"{text!r} does not say which device it is; write `(?P<name>...)` around the name, or a field as in {{id:ascii}}"
        )
    return template


def greeting_in(reception: Reception) -> Greeting | None:
    """Return what says who dialled in; None where the device does not have to say it."""
    return None if reception.register in (BY_ADDRESS, BY_CERTIFICATE) else greeting_of(reception.register)


def is_tellable(template: Template, framing: Framing, units: frozenset[int] = frozenset()) -> bool:
    """Whether noise can be told from the beginning of every frame, over RTU of every reply of these units."""
    if framing is Framing.MBAP:
        return template.size_min > 2 and template.excludes(2, frozenset({0}))
    return template.excludes(0, units) or (template.size_min > 1 and template.excludes(1, _ANSWERS))


class Noise:
    """What a device may send between frames: heartbeats, and its registration once more.

    Args:
        templates: of both; one that names another device is no noise of this one's.
        name: the device's id, which those that name one must name.

    Attributes:
        heard: packets that were noise; each is a sign of life.
    """

    __slots__ = ("_name", "_templates", "heard")

    def __init__(self, templates: Sequence[Template], name: str = "") -> None:
        self._templates = tuple(templates)
        self._name = name
        self.heard = 0

    def __bool__(self) -> bool:
        return bool(self._templates)

    def at(self, data: bytes, start: int) -> int | None:
        """Return the length of the noise that begins here, 0 where too little has come to tell, None where it is none."""
        waits = False
        for template in self._templates:
            found = template.match(data, start)
            if found is None:
                continue
            size, name = found
            if size and (not name or name == self._name):
                self.heard += 1
                return size
            waits = waits or not size
        return 0 if waits else None

    def end(self, data: bytes) -> tuple[int, bool]:
        """Return where the noise ends that data begin with, and whether what follows it may still become noise."""
        at = 0
        while at < len(data):
            size = self.at(data, at)
            if size is None:
                return at, False
            if not size:
                return at, True
            at += size
        return at, False


# ---- reading a template -----------------------------------------------------------------------------------------------------


def _parsed(text: str) -> Iterator[_Part]:
    tokens = list(_tokens(text))
    if not tokens:
        raise TemplateError("is empty; write what the device sends")
    names = 0
    for place, token in enumerate(tokens):
        part = token if isinstance(token, _Part) else _Part(len(token), tuple(frozenset({byte}) for byte in token))
        names += part.named is not None
        if part.stop is not None:
            after = tokens[place + 1] if place + 1 < len(tokens) else b""
            if not isinstance(after, bytes) or not after:
                raise TemplateError(f"{text!r} does not say where its id ends; write its length, or what follows it")
            part = _Part(0, (part.allowed[0] - {after[0]},), after[0], None, part.named)
        yield part
    if names > 1:
        raise TemplateError(f"{text!r} has two ids; write {{skip:n}} for one of them")


def _tokens(text: str) -> Iterator[_Part | bytes]:
    """Yield the fields of a template, and the bytes between them joined."""
    at, plain = 0, bytearray()
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise TemplateError(f"{text!r} is unclear at {text[at : at + 8]!r}; write \\{text[at]} for the character itself")
        at = token.end()
        found = _token(text, token)
        if isinstance(found, bytes):
            plain += found
            continue
        if plain:
            yield bytes(plain)
            plain.clear()
        yield found
    if plain:
        yield bytes(plain)


def _token(text: str, token: re.Match[str]) -> _Part | bytes:
    if token["byte"] is not None:
        return bytes([int(token["byte"], 16)])
    if token["escape"] is not None:
        return bytes([_ESCAPES[token["escape"]]])
    if token["field"] is not None:
        return _field(text, token["field"])
    if ord(token["plain"]) > 0xFF:
        raise TemplateError(f"{text!r}: {token['plain']!r} is not one byte; write its bytes, as in {{hex:C3A9}}")
    return bytes([ord(token["plain"])])


def _field(text: str, said: str) -> _Part | bytes:
    if said in _CHECKSUMS:
        size, check = _CHECKSUMS[said]
        return _Part(size, check=check)
    found = _FIELD.fullmatch(said)
    if found is None:
        known = "id:ascii:8, id:ascii, id:digits:11, id:imei, id:hex:4, id:bcd:6, hex:7B01, skip:2, crc16, crc16be, sum8, xor8"
        raise TemplateError(f"{text!r} has no field {{{said}}}; there are {known}")
    if found["hex"] is not None:
        digits = found["hex"].replace(" ", "")
        if not digits or len(digits) % 2:
            raise TemplateError(f"{text!r}: {found['hex']!r} is not whole bytes; write two digits for each")
        return bytes.fromhex(digits)
    size = int(found["skip"] or found["size"] or 0)
    if size > GREETING_BYTES_MAX or (not size and (found["skip"] or found["size"])):
        raise TemplateError(f"{text!r}: a field has 1 to {GREETING_BYTES_MAX} bytes; correct {{{said}}}")
    return _Part(size) if found["skip"] else _id_field(text, found["kind"], size)


def _id_field(text: str, kind: str, size: int) -> _Part:
    if kind == "imei":
        return _Part(_IMEI_DIGITS, (_DIGITS,), named=_imei)
    if kind in ("hex", "bcd"):
        if not size:
            raise TemplateError(f"{text!r} does not say how many bytes the id has; write it, as in {{id:{kind}:6}}")
        return _Part(size, (_ANY if kind == "hex" else _BCD,), named=lambda data: data.hex())
    if not size:
        return _Part(0, (_PRINTABLE if kind == "ascii" else _DIGITS,), stop=0, named=lambda data: data.decode("ascii"))
    if kind == "digits":
        return _Part(size, (_DIGITS,), named=lambda data: data.decode("ascii"))
    return _Part(size, (_PADDED,), named=_unpadded)


def _unpadded(data: bytes) -> str:
    """Return the characters of a field without what fills it up; empty where there is something else behind them."""
    found = data.rstrip(b" \0")
    return found.decode("ascii") if all(byte in _PRINTABLE for byte in found) else ""


def _imei(data: bytes) -> str:
    """Return the digits, empty where the last does not check the others (Luhn's sum, 3GPP TS 23.003 annex B)."""
    total = 0
    for place, byte in enumerate(data):
        digit = byte - 0x30
        doubled = 2 * digit if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return data.decode("ascii") if total % 10 == 0 else ""
