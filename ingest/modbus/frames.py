"""What do the bytes on a Modbus/TCP connection say, and does this reply answer that request?

A Modbus/TCP frame is a header of seven bytes (transaction, protocol 0, length, unit) and a PDU of at most 253, function code first
(MODBUS Application Protocol V1.1b3; Messaging on TCP/IP V1.0b). :class:`Splitter` cuts a stream into frames wherever its reads
fall. :func:`judge` holds a reply against its request: transaction, unit, function and size must all be those that were asked
for, and a write must be echoed as it was sent. Anything else is refused with a reason, because a client that trusts a late,
short or foreign reply files one register's value under another's name.

Bytes in, values out: no socket, no clock. RTU framing, which has no transaction number, is :mod:`ingest.modbus.rtu`; what a device
writes to us is :mod:`ingest.modbus.written`. Absent on purpose: the function codes that are neither plain reads nor plain writes, but for
a place to measure their replies by.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, Protocol

from ingest.devices import Kind

__all__ = [
    "BITS_MAX",
    "EXCEPTION_NAMES",
    "KIND_READ",
    "REGISTERS_MAX",
    "WRITE_COILS_MAX",
    "WRITE_REGISTERS_MAX",
    "Adu",
    "ExceptionCode",
    "Exceptional",
    "Function",
    "Good",
    "Refusal",
    "Refused",
    "Request",
    "Skipped",
    "Splitter",
    "Verdict",
    "encode_adu",
    "judge",
    "read_request",
    "write_coils_request",
    "write_registers_request",
]

REGISTERS_MAX: Final = 125
"""Most registers one read may ask for: 250 bytes fill a PDU (V1.1b3 §6.3)."""

BITS_MAX: Final = 2000
"""Most coils or discrete inputs one read may ask for (V1.1b3 §6.1)."""

WRITE_REGISTERS_MAX: Final = 123
WRITE_COILS_MAX: Final = 1968

_HEADER: Final = struct.Struct(">HHHB")
_HEADER_BYTES: Final = 6
"""Transaction, protocol and length; the length counts what follows them."""

_LENGTH_MIN: Final = 2
_LENGTH_MAX: Final = 254
_EXCEPTION_BIT: Final = 0x80


class Function(IntEnum):
    """Function codes this service speaks."""

    READ_COILS = 1
    READ_DISCRETE = 2
    READ_HOLDING = 3
    READ_INPUT = 4
    WRITE_COIL = 5
    WRITE_REGISTER = 6
    WRITE_COILS = 15
    WRITE_REGISTERS = 16
    READ_WRITE_REGISTERS = 23


class ExceptionCode(IntEnum):
    """Why a device will not do what it was asked (V1.1b3 §7)."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3
    DEVICE_FAILURE = 4
    ACKNOWLEDGE = 5
    BUSY = 6
    MEMORY_PARITY = 8
    GATEWAY_PATH = 10
    GATEWAY_TARGET = 11


EXCEPTION_NAMES: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "accepted, not done yet",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target did not respond",
}


class Refusal(StrEnum):
    """Why bytes from a peer were not taken; each is counted under this name."""

    TRANSACTION = "transaction"
    UNIT = "unit"
    FUNCTION = "function"
    SIZE = "size"
    ECHO = "echo"
    UNASKED = "unasked"
    PROTOCOL = "protocol"
    LENGTH = "length"
    CHECKSUM = "checksum"
    LATE = "late"


_READS: Final = {
    Kind.COIL: Function.READ_COILS,
    Kind.DISCRETE: Function.READ_DISCRETE,
    Kind.HOLDING: Function.READ_HOLDING,
    Kind.INPUT: Function.READ_INPUT,
}


KIND_READ: Final = {int(function): kind for kind, function in _READS.items()}
"""Which table each function code reads."""


@dataclass(frozen=True, slots=True)
class Adu:
    """One frame: who it is from or for, and its PDU (function code and data)."""

    transaction: int
    unit: int
    pdu: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """A request, and what a reply must be to answer it.

    Attributes:
        pdu: function code and data.
        data_bytes: bytes of data a read asks for; None for a write.
        echo: PDU that confirms a write; None for a read.
        sized: for a read whose reply tells its own length, how many bytes its PDU has, by as much of it as has come; None while that
            is not known. None for every other request.
    """

    unit: int
    pdu: bytes
    data_bytes: int | None = None
    echo: bytes | None = None
    sized: Callable[[bytes], int | None] | None = None

    @property
    def is_read(self) -> bool:
        """Whether asking again does no harm."""
        return self.echo is None


@dataclass(frozen=True, slots=True)
class Good:
    """A reply that answers the request; ``data`` is what a read asked for, empty for a write."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Exceptional:
    """A reply that answers the request with a refusal of the device's own."""

    code: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A reply that does not answer the request.

    Attributes:
        reason: what does not fit.
        is_ours: whether it carries our transaction number, so that no better reply will follow.
    """

    reason: Refusal
    is_ours: bool


Verdict = Good | Exceptional | Refused


def read_request(unit: int, kind: Kind, address: int, count: int) -> Request:
    """Ask for ``count`` registers or bits of a table, from ``address`` on."""
    most = BITS_MAX if kind.is_bits else REGISTERS_MAX
    assert 1 <= count <= most, f"{count} in one read of a {kind} table, at most {most}"
    data_bytes = (count + 7) // 8 if kind.is_bits else 2 * count
    return Request(unit, struct.pack(">BHH", _READS[kind], address, count), data_bytes=data_bytes)


def write_registers_request(unit: int, address: int, data: bytes) -> Request:
    """Write whole registers: function 6 for one, 16 for more.

    Args:
        data: the registers' bytes, as they go on the wire; two for each.
    """
    count, odd = divmod(len(data), 2)
    assert not odd, f"{len(data)} bytes are not whole registers"
    assert 1 <= count <= WRITE_REGISTERS_MAX, f"{count} registers in one write, at most {WRITE_REGISTERS_MAX}"
    if count == 1:
        pdu = struct.pack(">BH", Function.WRITE_REGISTER, address) + data
        return Request(unit, pdu, echo=pdu)
    head = struct.pack(">BHH", Function.WRITE_REGISTERS, address, count)
    return Request(unit, head + bytes([len(data)]) + data, echo=head)


def write_coils_request(unit: int, address: int, values: Sequence[bool]) -> Request:
    """Write coils: function 5 for one, 15 for more."""
    assert 1 <= len(values) <= WRITE_COILS_MAX, f"{len(values)} coils in one write, at most {WRITE_COILS_MAX}"
    if len(values) == 1:
        pdu = struct.pack(">BHH", Function.WRITE_COIL, address, 0xFF00 if values[0] else 0)
        return Request(unit, pdu, echo=pdu)
    packed = sum(1 << place for place, value in enumerate(values) if value).to_bytes((len(values) + 7) // 8, "little")
    head = struct.pack(">BHH", Function.WRITE_COILS, address, len(values))
    return Request(unit, head + bytes([len(packed)]) + packed, echo=head)


def encode_adu(transaction: int, unit: int, pdu: bytes) -> bytes:
    """Frame a PDU for the wire."""
    return _HEADER.pack(transaction, 0, len(pdu) + 1, unit) + pdu


class Skipped(Protocol):
    """What a device may send between frames."""

    def at(self, data: bytes, start: int) -> int | None:
        """Return how much of it begins here, bytes; 0 where too little has come to tell, None where it is a frame."""
        ...


class Splitter:
    """Cuts a byte stream into frames, wherever its reads fall.

    A stream whose header cannot be one (another protocol, an impossible length) has lost its frame boundaries for good: nothing
    after it can be trusted, and the connection has to go.

    Args:
        noise: what the device may send between frames, which cannot be taken for one; None where nothing.
    """

    __slots__ = ("_buffer", "_noise", "lost")

    def __init__(self, noise: Skipped | None = None) -> None:
        self._buffer = b""
        self._noise = noise
        self.lost: Refusal | None = None
        """Why the boundaries are lost, once they are."""

    @property
    def is_empty(self) -> bool:
        """Whether the next bytes begin a frame."""
        return not self._buffer and self.lost is None

    def feed(self, data: bytes) -> list[Adu]:
        """Take bytes as they came; return the frames they complete."""
        if self.lost is not None:
            return []
        buffer = self._buffer + data if self._buffer else data
        frames: list[Adu] = []
        start, size = 0, len(buffer)
        while True:
            if self._noise is not None and start < size and (skip := self._noise.at(buffer, start)) is not None:
                if not skip:
                    break
                start += skip
                continue
            if size - start <= _HEADER_BYTES:
                break
            transaction, protocol, length, unit = _HEADER.unpack_from(buffer, start)
            if protocol != 0 or not _LENGTH_MIN <= length <= _LENGTH_MAX:
                self.lost = Refusal.PROTOCOL if protocol else Refusal.LENGTH
                self._buffer = b""
                return frames
            end = start + _HEADER_BYTES + length
            if end > size:
                break
            frames.append(Adu(transaction, unit, buffer[start + _HEADER_BYTES + 1 : end]))
            start = end
        self._buffer = buffer[start:]
        return frames


def judge(request: Request, transaction: int, reply: Adu) -> Verdict:
    """Say whether a reply answers a request sent under a transaction number."""
    if reply.transaction != transaction:
        return Refused(Refusal.TRANSACTION, is_ours=False)
    if reply.unit != request.unit:
        return Refused(Refusal.UNIT, is_ours=True)
    asked, answered = request.pdu[0], reply.pdu[0]
    if answered == asked | _EXCEPTION_BIT:
        return Exceptional(reply.pdu[1]) if len(reply.pdu) == 2 else Refused(Refusal.SIZE, is_ours=True)
    if answered != asked:
        return Refused(Refusal.FUNCTION, is_ours=True)
    if request.sized is not None:
        return Good(reply.pdu[1:]) if request.sized(reply.pdu) == len(reply.pdu) else Refused(Refusal.SIZE, is_ours=True)
    if request.data_bytes is None:
        return Good(b"") if reply.pdu == request.echo else Refused(Refusal.ECHO, is_ours=True)
    if len(reply.pdu) != request.data_bytes + 2 or reply.pdu[1] != request.data_bytes:
        return Refused(Refusal.SIZE, is_ours=True)
    return Good(reply.pdu[2:])
