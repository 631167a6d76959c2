"""A segment is line protocol that any tool can read, and its blocks are found whole or not at all."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from ingest.segments import HEADER_BYTES, Chunk, read_header, read_taken, segment_path, walk
from streams.segments import BLOCK_BYTES_MAX, SUFFIX, blocks_of, chunk_at, lines_of, list_segments, seal

LINES = b"kpi load_mw=1.0 1\nkpi load_mw=2.0 2\n"


def test_the_header_is_a_comment_line_with_length_count_time_and_crc() -> None:
    head, payload = seal(LINES, 0x1234).split(b"\n", 1)
    assert payload == LINES
    assert head.startswith(b"#gf1 00000024 00000002 0000000000001234 ")
    assert int(head[-8:], 16) == zlib.crc32(head[:-9] + LINES)
    assert len(head) + 1 == HEADER_BYTES


@pytest.mark.parametrize("raw", [b"", b"#gf1 ", b"#gf2 00000024 00000002 0000000000001234 00000000\n", b"#gf1 " + b"x" * 100])
def test_what_is_no_header(raw: bytes) -> None:
    assert read_header(raw) is None


@pytest.mark.parametrize("at", range(0, HEADER_BYTES + len(LINES), 7))
def test_one_flipped_bit_anywhere_is_found(at: int) -> None:
    block = bytearray(seal(LINES, 5))
    block[at] ^= 0x10
    assert chunk_at(bytes(block) + seal(LINES, 6), 0) is None


def test_a_chunk_holds_as_many_whole_blocks_as_fit_one_request() -> None:
    block = seal(b"a v=1 1\n" * 2_000, 0)
    chunk = chunk_at(block * 3, 100)
    assert chunk == Chunk(100, 100 + 2 * len(block), b"a v=1 1\n" * 4_000, 4_000)
    assert chunk_at(block + block[:-1], 0) == Chunk(0, len(block), b"a v=1 1\n" * 2_000, 2_000)


def test_lines_are_cut_into_blocks_without_breaking_one() -> None:
    data = b"".join(b"a v=%d %d\n" % (i, i) for i in range(12_345))
    pieces = list(blocks_of(data))
    assert [piece.count(b"\n") for piece in pieces] == [5_000, 5_000, 2_345]
    assert b"".join(pieces) == data
    long = b"a v=" + b"1" * BLOCK_BYTES_MAX + b" 1\n"
    assert list(blocks_of(b"b v=1 1\n" + long + b"c v=1 1\n")) == [b"b v=1 1\n", long, b"c v=1 1\n"]


def test_only_a_line_feed_ends_a_line() -> None:
    assert lines_of(b'a s="x\ry" 1\nb v=1 2\n') == [b'a s="x\ry" 1\n', b"b v=1 2\n"]


def test_segments_are_listed_by_place_and_others_are_not_ours(tmp_path: Path) -> None:
    segment_path(tmp_path, 90, SUFFIX).write_bytes(seal(LINES, 7))
    segment_path(tmp_path, 0, SUFFIX).write_bytes(b"x" * 90)
    (tmp_path / "notes.lp").write_text("mine")
    first, second = list_segments(tmp_path)
    assert (first.base, first.end, second.base, second.end, second.created_ns) == (0, 90, 90, 90 + HEADER_BYTES + len(LINES), 7)


def test_walking_stops_at_the_first_block_that_is_not_whole(tmp_path: Path) -> None:
    block = seal(LINES, 0)
    path = segment_path(tmp_path, 0, SUFFIX)
    path.write_bytes(block + block + b"#gf1 damaged" + block)
    assert [behind for behind, _ in walk(path)] == [len(block), 2 * len(block)]


@pytest.mark.parametrize(("text", "place"), [(None, 0), ("123\n", 123), ("", 0), ("12x", 0)])
def test_a_damaged_acknowledgement_sends_again(tmp_path: Path, text: str | None, place: int) -> None:
    if text is not None:
        (tmp_path / "acked").write_text(text)
    assert read_taken(tmp_path).floor == place
