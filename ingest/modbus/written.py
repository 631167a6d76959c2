"""What does a device write to us, and what do we answer as the slave it takes us for?

Functions 5, 6, 15, 16 and 23 (MODBUS Application Protocol V1.1b3 §6.5, 6.6, 6.11, 6.12, 6.17). Of function 23, which writes and then reads,
only what it has just written can be read back: we hold no registers, we pass on what was written. Every other function gets exception 1.

Bytes in, values out: no socket, no clock.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from ingest.devices import Kind
from ingest.modbus.frames import REGISTERS_MAX, WRITE_COILS_MAX, WRITE_REGISTERS_MAX, ExceptionCode, Function

__all__ = ["Written", "exception_pdu", "parse_write", "written_pdu"]

_READ_WRITE_REGISTERS_MAX: Final = 121
_EXCEPTION_BIT: Final = 0x80
_COIL: Final = {0xFF00: b"\x01", 0x0000: b"\x00"}


@dataclass(frozen=True, slots=True)
class Written:
    """Registers or coils a device wrote to us.

    Attributes:
        address: of the first of them.
        data: two bytes for each register; of coils one bit for each, the first in the lowest bit of the first byte.
        kind: which table they are in.
        bits: how many coils; 0 for registers.
        read_back: address and number of the registers that are wanted in answer; None where none are.
    """

    function: int
    address: int
    data: bytes
    kind: Kind = Kind.HOLDING
    bits: int = 0
    read_back: tuple[int, int] | None = None

    @property
    def count(self) -> int:
        """Registers or coils written."""
        return self.bits or len(self.data) // 2

    @property
    def holds_what_it_reads(self) -> bool:
        """Whether it wrote all registers that it wants to read."""
        if self.read_back is None:
            return True
        first, count = self.read_back
        return self.address <= first and first + count <= self.address + self.count


def parse_write(pdu: bytes) -> Written | ExceptionCode:
    """Read a write, or say with which exception to answer."""
    match pdu[0]:
        case Function.WRITE_REGISTER:
            return Written(pdu[0], int.from_bytes(pdu[1:3], "big"), pdu[3:5]) if len(pdu) == 5 else ExceptionCode.ILLEGAL_VALUE
        case Function.WRITE_COIL:
            data = _COIL.get(int.from_bytes(pdu[3:5], "big")) if len(pdu) == 5 else None
            return ExceptionCode.ILLEGAL_VALUE if data is None else Written(pdu[0], int.from_bytes(pdu[1:3], "big"), data, Kind.COIL, 1)
        case Function.WRITE_REGISTERS:
            return _registers(pdu, pdu[1:], WRITE_REGISTERS_MAX, None)
        case Function.READ_WRITE_REGISTERS:
            if len(pdu) < 5:
                return ExceptionCode.ILLEGAL_VALUE
            first, count = struct.unpack_from(">HH", pdu, 1)
            if not 1 <= count <= REGISTERS_MAX:
                return ExceptionCode.ILLEGAL_VALUE
            return _registers(pdu, pdu[5:], _READ_WRITE_REGISTERS_MAX, (first, count))
        case Function.WRITE_COILS:
            return _coils(pdu)
    return ExceptionCode.ILLEGAL_FUNCTION


def _registers(pdu: bytes, written: bytes, most: int, read_back: tuple[int, int] | None) -> Written | ExceptionCode:
    if len(written) < 5:
        return ExceptionCode.ILLEGAL_VALUE
    address, count, size = struct.unpack_from(">HHB", written)
    if not 1 <= count <= most or size != 2 * count or len(written) != 5 + size:
        return ExceptionCode.ILLEGAL_VALUE
    if address + count > 0x10000:
        return ExceptionCode.ILLEGAL_ADDRESS
    return Written(pdu[0], address, written[5:], read_back=read_back)


def _coils(pdu: bytes) -> Written | ExceptionCode:
    if len(pdu) < 6:
        return ExceptionCode.ILLEGAL_VALUE
    address, count, size = struct.unpack_from(">HHB", pdu, 1)
    if not 1 <= count <= WRITE_COILS_MAX or size != (count + 7) // 8 or len(pdu) != 6 + size:
        return ExceptionCode.ILLEGAL_VALUE
    if address + count > 0x10000:
        return ExceptionCode.ILLEGAL_ADDRESS
    return Written(pdu[0], address, pdu[6:], Kind.COIL, count)


def written_pdu(written: Written) -> bytes:
    """Confirm a write; :attr:`Written.holds_what_it_reads` must hold."""
    if written.read_back is not None:
        first, count = written.read_back
        at = 2 * (first - written.address)
        return bytes([written.function, 2 * count]) + written.data[at : at + 2 * count]
    if written.function == Function.WRITE_REGISTER:
        return struct.pack(">BH", written.function, written.address) + written.data
    if written.function == Function.WRITE_COIL:
        return struct.pack(">BHH", written.function, written.address, 0xFF00 if written.data[0] else 0)
    return struct.pack(">BHH", written.function, written.address, written.count)


def exception_pdu(function: int, code: ExceptionCode) -> bytes:
    """Refuse a request."""
    return bytes([(function | _EXCEPTION_BIT) & 0xFF, code])
