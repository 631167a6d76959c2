"""What does a device call itself? The protocol's own way to ask (function 43/14, V1.1b3 §6.21), which many devices do not know.

Objects are texts with a number: 0 to 2 every device that answers has, 3 to 6 many have, 128 and up are the maker's own. A reply
gives as many as fit, and the number of the next where there are more.

Bytes in, values out: no socket, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ingest.modbus.attributes import text_of
from ingest.modbus.frames import Request

__all__ = ["BASIC", "OBJECT_NAMES", "REGULAR", "Identification", "identify_request", "parse_identification"]

_FUNCTION: Final = 0x2B
_MEI: Final = 0x0E
_HEAD: Final = 7
"""Function, kind of question, category, what the device conforms to, more to follow, next object, number of objects."""

BASIC: Final = 1
REGULAR: Final = 2

OBJECT_NAMES: Final = {
    0: "vendor",
    1: "product_code",
    2: "revision",
    3: "vendor_url",
    4: "product",
    5: "model",
    6: "application",
}


@dataclass(frozen=True, slots=True)
class Identification:
    """One reply.

    Attributes:
        conformity: what the device can be asked for: 1 basic, 2 regular, 3 extended; 128 more where single objects can be asked for.
        next_object: the object to ask for next; None where these were all.
        objects: number and text.
    """

    conformity: int
    next_object: int | None
    objects: tuple[tuple[int, str], ...]


def identify_request(unit: int, category: int, first: int = 0) -> Request:
    """Ask what a device calls itself, from one object on; category is BASIC or REGULAR."""
    return Request(unit, bytes([_FUNCTION, _MEI, category, first]), sized=_pdu_size)


def _pdu_size(pdu: bytes) -> int | None:
    """Return how long a reply's PDU is, by its beginning."""
    if len(pdu) < _HEAD:
        return None
    size = _HEAD
    for _ in range(pdu[_HEAD - 1]):
        if len(pdu) < size + 2:
            return None
        size += 2 + pdu[size + 1]
    return size


def parse_identification(data: bytes) -> Identification | None:
    """Read a reply's data, behind the function code; None where it is something else."""
    if _pdu_size(bytes([_FUNCTION]) + data) != len(data) + 1 or data[0] != _MEI:
        return None
    objects = []
    at = _HEAD - 1
    for _ in range(data[5]):
        number, size = data[at], data[at + 1]
        objects.append((number, text_of(data[at + 2 : at + 2 + size])))
        at += 2 + size
    return Identification(data[2], data[4] if data[3] == 0xFF else None, tuple(objects))
