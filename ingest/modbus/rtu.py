"""What do the bytes on a serial line say, and do they answer what was asked?

An RTU frame is a unit, a PDU and a checksum (MODBUS over Serial Line V1.02 §2.5). It carries no number that ties a reply to its request
and no length: where it ends follows from what it is, and whose answer it is only from when it comes. So :class:`ReplyReader` reads
one reply, the one to the request it is made for, and takes nothing that deviates from it by a byte. A reader is good for one reply;
the bytes after it belong to nobody (:attr:`ReplyReader.rest`).

A reply to an earlier request of the same shape looks the same: what was asked before, and not answered, has to be waited for or cut
off before the next request goes out. That is the link's business (:mod:`ingest.modbus.link`).

Bytes in, values out: no socket, no clock.
"""

from __future__ import annotations

from typing import Final

from ingest.modbus.frames import Adu, Refusal, Refused, Request, Verdict, judge

__all__ = ["ReplyReader", "crc16", "encode_rtu"]

_POLYNOMIAL: Final = 0xA001
_EXCEPTION_BIT: Final = 0x80
_EXCEPTION_BYTES: Final = 5
"""Unit, function, code, checksum."""

_PDU_MAX: Final = 253


def _table() -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        rows.append(byte)
    return tuple(rows)


_TABLE: Final = _table()


def crc16(data: bytes) -> bytes:
    """Return the checksum of a frame, low byte first (V1.02 §6.2.2).

    >>> crc16(bytes.fromhex("01 03 00 00 00 0A")).hex()
    'c5cd'
    """
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def encode_rtu(unit: int, pdu: bytes) -> bytes:
    """Frame a PDU for a serial line, or for RTU over TCP."""
    frame = bytes([unit]) + pdu
    return frame + crc16(frame)


class ReplyReader:
    """Reads the one reply to a request, wherever its reads fall.

    Attributes:
        rest: what came behind the reply.
    """

    __slots__ = ("_buffer", "_request", "_size", "rest")

    def __init__(self, request: Request) -> None:
        self._request = request
        self._buffer = b""
        self._size = 5 + request.data_bytes if request.data_bytes is not None else 3 + len(request.echo or b"")
        self.rest = b""

    @property
    def begun(self) -> bool:
        """Whether anything came."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Verdict | None:
        """Take bytes as they came; return what the reply is as soon as that is known, None before.

        What cannot become the reply is refused at once, without waiting for more of it.
        """
        buffer = self._buffer = self._buffer + data
        if not buffer:
            return None
        if buffer[0] != self._request.unit:
            return Refused(Refusal.UNIT, is_ours=True)
        if len(buffer) < 2:
            return None
        asked = self._request.pdu[0]
        if buffer[1] not in (asked, asked | _EXCEPTION_BIT):
            return Refused(Refusal.FUNCTION, is_ours=True)
        size = _EXCEPTION_BYTES if buffer[1] & _EXCEPTION_BIT else self._size
        if size != _EXCEPTION_BYTES and self._request.sized is not None:
            pdu_size = self._request.sized(buffer[1:])
            if pdu_size is None:
                return None
            if pdu_size > _PDU_MAX:
                return Refused(Refusal.SIZE, is_ours=True)
            size = pdu_size + 3
        if size != _EXCEPTION_BYTES and self._request.data_bytes is not None and len(buffer) > 2 and buffer[2] != self._request.data_bytes:
            return Refused(Refusal.SIZE, is_ours=True)
        if len(buffer) < size:
            return None
        frame, self.rest = buffer[:size], buffer[size:]
        if crc16(frame[:-2]) != frame[-2:]:
            return Refused(Refusal.CHECKSUM, is_ours=True)
        return judge(self._request, 0, Adu(0, frame[0], frame[1:-2]))
