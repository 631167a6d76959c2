"""Which blocks of registers are read, so that every point is read with few requests?

A round trip costs far more than a register, so points that lie near each other in one table are read together, holes and all, up
to a limit: a hole costs bytes, and a device may refuse to read one. A block that was refused is split in half, and its halves are read
apart (:func:`split`); what that teaches about the device (:mod:`ingest.modbus.lessons`) is planned around from then on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from ingest.devices import Kind
from ingest.modbus.frames import BITS_MAX, REGISTERS_MAX

__all__ = ["HOLE_MAX", "Barred", "Block", "Span", "plan_blocks", "split"]

HOLE_MAX: Final = 16
"""Most unasked registers read to join two points: 32 bytes, less than what a second request and reply cost in headers alone."""

_BITS_PER_REGISTER: Final = 16


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Where one point lies.

    Attributes:
        address: first register or bit, as on the wire.
        size: registers or bits it takes.
        row: the point's place in the device's list.
    """

    kind: Kind
    address: int
    size: int
    row: int

    @property
    def end(self) -> int:
        """One past the last register or bit."""
        return self.address + self.size


@dataclass(frozen=True, slots=True, order=True)
class Barred:
    """Registers or bits that must not be read, ``start`` to before ``end``."""

    kind: Kind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Block:
    """One read: ``count`` registers or bits from ``address`` on, and the points in it, by address."""

    kind: Kind
    address: int
    count: int
    spans: tuple[Span, ...]

    @property
    def end(self) -> int:
        """One past the last register or bit."""
        return self.address + self.count


def plan_blocks(
    spans: Sequence[Span],
    *,
    registers_max: int = REGISTERS_MAX,
    bits_max: int = BITS_MAX,
    hole_max: int = HOLE_MAX,
    gaps: Collection[Barred] = (),
    one_by_one: bool = False,
) -> tuple[Block, ...]:
    """Cover all points with blocks, never across tables.

    Args:
        spans: the points, in any order; they may overlap.
        registers_max: most registers in a block, at least the largest point's.
        bits_max: most bits in a block of a table of bits.
        hole_max: most registers in a hole; tables of bits allow as many bits as those registers have.
        gaps: what no hole may touch.
        one_by_one: a block for each point, unless points share registers.

    Returns:
        Blocks by table and address; each point is in exactly one.
    """
    blocks: list[Block] = []
    run: list[Span] = []
    end = 0
    for span in sorted(spans):
        most = bits_max if span.kind.is_bits else registers_max
        hole = hole_max * _BITS_PER_REGISTER if span.kind.is_bits else hole_max
        joins = bool(run) and span.kind is run[0].kind and max(end, span.end) - run[0].address <= most
        if joins and span.address >= end:
            joins = not one_by_one and span.address - end <= hole and not _touches(gaps, span.kind, end, span.address)
        if run and not joins:
            blocks.append(_block(run))
            run = []
        end = max(end, span.end) if run else span.end
        run.append(span)
    if run:
        blocks.append(_block(run))
    return tuple(blocks)


def _touches(gaps: Collection[Barred], kind: Kind, start: int, end: int) -> bool:
    return start < end and any(gap.kind is kind and gap.start < end and start < gap.end for gap in gaps)


def split(block: Block) -> tuple[Block, Block] | None:
    """Halve a block that was refused; None where a single point is left, which is then the one that is refused."""
    if len(block.spans) < 2:
        return None
    middle = len(block.spans) // 2
    return _block(block.spans[:middle]), _block(block.spans[middle:])


def _block(spans: Sequence[Span]) -> Block:
    first = spans[0].address
    return Block(spans[0].kind, first, max(span.end for span in spans) - first, tuple(spans))
