"""What is in a segment of the spool that leads to InfluxDB?

Line protocol, in the blocks of :mod:`ingest.segments`, whose headers are comments to InfluxDB: a segment is itself a file that any
InfluxDB tool can load. A block counts its lines, and is never cut when it is sent.

Deliberately absent: any reading of the lines themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ingest import segments
from ingest.segments import Chunk, Segment

__all__ = ["BLOCK_BYTES_MAX", "BLOCK_LINES_MAX", "SUFFIX", "blocks_of", "chunk_at", "lines_of", "list_segments", "seal"]

BLOCK_LINES_MAX: Final = 5_000
"""The batch InfluxDB's vendor recommends."""
BLOCK_BYTES_MAX: Final = 1_000_000

SUFFIX: Final = ".lp"


def seal(payload: bytes, created_ns: int) -> bytes:
    """Return a block of whole lines."""
    return segments.seal(payload, created_ns, payload.count(b"\n"))


def lines_of(data: bytes) -> list[bytes]:
    """Split whole lines, each with its line break; only a line feed ends one."""
    return [line + b"\n" for line in data.removesuffix(b"\n").split(b"\n")]


def blocks_of(data: bytes) -> Iterator[bytes]:
    """Cut lines into pieces of at most ``BLOCK_LINES_MAX`` lines and ``BLOCK_BYTES_MAX`` bytes; a longer line stands alone."""
    if len(data) <= BLOCK_BYTES_MAX and data.count(b"\n") <= BLOCK_LINES_MAX:
        yield data
        return
    piece: list[bytes] = []
    size = 0
    for line in lines_of(data):
        if piece and (len(piece) == BLOCK_LINES_MAX or size + len(line) > BLOCK_BYTES_MAX):
            yield b"".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    yield b"".join(piece)


def chunk_at(raw: bytes, place: int) -> Chunk | None:
    """Return the whole blocks that ``raw`` begins with, up to the size of one request, or None where the first is not whole."""
    return segments.chunk_at(raw, place, BLOCK_LINES_MAX, BLOCK_BYTES_MAX)


def list_segments(directory: Path) -> list[Segment]:
    """List the segments by place; files of other names are not ours."""
    return segments.list_segments(directory, SUFFIX)
