"""Which blocks are read: few of them, none too long, none across tables, each point in one."""

from __future__ import annotations

from ingest.devices import Kind
from ingest.modbus.plan import Barred, Block, Span, plan_blocks, split


def spans(kind: Kind, *places: tuple[int, int]) -> list[Span]:
    return [Span(kind, address, size, row) for row, (address, size) in enumerate(places)]


def shapes(blocks: tuple[Block, ...]) -> list[tuple[str, int, int]]:
    return [(str(block.kind), block.address, block.count) for block in blocks]


def test_neighbours_are_read_together_holes_and_all() -> None:
    points = spans(Kind.HOLDING, (0, 2), (2, 2), (10, 1), (27, 1), (44, 1), (62, 2))
    # Holes of 6, 16, 16 and 17 registers.
    assert shapes(plan_blocks(points, hole_max=16)) == [("holding", 0, 45), ("holding", 62, 2)]
    assert shapes(plan_blocks(points, hole_max=0)) == [
        ("holding", 0, 4),
        ("holding", 10, 1),
        ("holding", 27, 1),
        ("holding", 44, 1),
        ("holding", 62, 2),
    ]


def test_no_block_exceeds_what_a_reply_can_hold_and_no_point_is_cut() -> None:
    points = spans(Kind.INPUT, *((2 * n, 2) for n in range(100)))
    blocks = plan_blocks(points)
    assert shapes(blocks) == [("input", 0, 124), ("input", 124, 76)]
    assert sorted(span.row for block in blocks for span in block.spans) == list(range(100))


def test_tables_are_never_mixed() -> None:
    points = [Span(kind, 0, 1, row) for row, kind in enumerate(Kind)]
    assert sorted(shapes(plan_blocks(points))) == [("coil", 0, 1), ("discrete", 0, 1), ("holding", 0, 1), ("input", 0, 1)]


def test_bits_have_longer_blocks_and_wider_holes() -> None:
    assert shapes(plan_blocks(spans(Kind.COIL, (0, 1), (256, 1), (600, 1)))) == [("coil", 0, 257), ("coil", 600, 1)]
    assert [block.count for block in plan_blocks(spans(Kind.DISCRETE, *((n, 1) for n in range(2500))))] == [2000, 500]


def test_points_may_share_registers() -> None:
    [block] = plan_blocks(spans(Kind.HOLDING, (4, 4), (4, 1), (5, 1), (4, 1)))
    assert (block.address, block.count, len(block.spans)) == (4, 4, 4)


def test_a_refused_block_is_halved_until_one_point_is_left() -> None:
    [block] = plan_blocks(spans(Kind.HOLDING, (0, 2), (8, 1), (9, 1)))
    halves = split(block)
    assert halves is not None
    assert shapes(halves) == [("holding", 0, 2), ("holding", 8, 2)]
    assert split(halves[0]) is None


def test_what_may_not_be_read_across_parts_blocks_and_nothing_else_does() -> None:
    points = spans(Kind.HOLDING, (0, 1), (4, 1), (8, 1))
    assert shapes(plan_blocks(points, gaps={Barred(Kind.HOLDING, 5, 8)})) == [("holding", 0, 5), ("holding", 8, 1)]
    assert shapes(plan_blocks(points, gaps={Barred(Kind.HOLDING, 2, 3)})) == [("holding", 0, 1), ("holding", 4, 5)]
    assert shapes(plan_blocks(points, gaps={Barred(Kind.INPUT, 5, 8), Barred(Kind.HOLDING, 9, 20)})) == [("holding", 0, 9)]


def test_one_by_one_still_reads_a_register_once_that_several_points_share() -> None:
    points = spans(Kind.HOLDING, (0, 2), (2, 2), (3, 1), (4, 1))
    assert shapes(plan_blocks(points, one_by_one=True)) == [("holding", 0, 2), ("holding", 2, 2), ("holding", 4, 1)]


def test_a_device_that_gives_little_at_a_time_is_asked_for_little() -> None:
    points = spans(Kind.HOLDING, *((n, 1) for n in range(100)))
    assert [block.count for block in plan_blocks(points, registers_max=40)] == [40, 40, 20]
    bits = spans(Kind.COIL, *((n, 1) for n in range(100)))
    assert [block.count for block in plan_blocks(bits, registers_max=4, bits_max=64)] == [64, 36]
