"""What does a device say about itself: its maker, its serial number, its firmware?

Texts stand in registers, two characters each, filled up with NULs, spaces or unused bytes of ones. They change when somebody changes
the device, so they are read once in a while and are no telemetry: a frame carries numbers only. They are planned like points
(:func:`attribute_spans`, :func:`ingest.modbus.plan.plan_blocks`), and :func:`texts` reads those of a block.
"""

from __future__ import annotations

from collections.abc import Sequence

from ingest.devices import ModbusAttribute
from ingest.modbus.plan import Block, Span

__all__ = ["attribute_spans", "text_of", "texts"]

_UNSAID = "\N{REPLACEMENT CHARACTER}"


def attribute_spans(attributes: Sequence[ModbusAttribute]) -> list[Span]:
    """Return where each attribute lies; rows are positions in ``attributes``."""
    return [Span(each.kind, each.address, each.length, row) for row, each in enumerate(attributes)]


def text_of(data: bytes, *, swapped: bool = False) -> str:
    """Return the text in some registers.

    Args:
        data: two bytes of each register.
        swapped: whether the first character of a register is its low byte.

    Returns:
        What stands before the first NUL, without spaces around it; what is no UTF-8, or cannot be shown, is U+FFFD.

    >>> text_of(b"SN12" + bytes(4)), text_of(b"NS21", swapped=True)
    ('SN12', 'SN12')
    """
    if swapped:
        data = bytes(data[place ^ 1] for place in range(len(data)))
    said = data.partition(b"\0")[0].rstrip(b"\xff").decode("utf-8", "replace").strip()
    return "".join(character if character.isprintable() else _UNSAID for character in said)


def texts(block: Block, attributes: Sequence[ModbusAttribute], data: bytes) -> dict[str, str]:
    """Return the attributes of a block by name.

    Args:
        attributes: what the rows of the block's spans are positions in.
        data: the reply's data, of exactly the block's size.
    """
    found = {}
    for span in block.spans:
        each = attributes[span.row]
        first = 2 * (each.address - block.address)
        found[each.name] = text_of(data[first : first + 2 * each.length], swapped=each.order.swaps_bytes)
    return found
