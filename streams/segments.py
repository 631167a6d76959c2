"""What is in a segment of the spool?

Blocks, one after the other. A block is one comment line, ``#gf1 length lines created crc``, all in hexadecimal digits, and after it
that many bytes of line protocol: a segment is itself a file that any InfluxDB tool can load. The CRC covers the header and the lines.

A segment is named by the place it begins at, a count of bytes since the beginning of the spool, and the file ``acked`` holds the
place before which everything has been accepted by the server.

Deliberately absent: who writes and when (:mod:`streams.spool`), and any reading of the lines themselves.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

__all__ = [
    "BLOCK_BYTES_MAX",
    "BLOCK_LINES_MAX",
    "HEADER_BYTES",
    "MAGIC",
    "Chunk",
    "Header",
    "Segment",
    "blocks_of",
    "chunk_at",
    "lines_of",
    "list_segments",
    "read_acked",
    "read_header",
    "seal",
    "segment_path",
    "walk",
]

BLOCK_LINES_MAX: Final = 5_000
"""The batch InfluxDB's vendor recommends; a block is never cut when it is sent."""
BLOCK_BYTES_MAX: Final = 1_000_000

MAGIC: Final = b"#gf1 "
_CRC_BYTES: Final = len(" 00000000\n")
HEADER_BYTES: Final = len(MAGIC) + len("00000000 00000000 0000000000000000") + _CRC_BYTES
_SUFFIX: Final = ".lp"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole blocks in a row, without their headers: what is sent as one request."""

    start: int
    end: int
    data: bytes
    lines: int


@dataclass(slots=True)
class Segment:
    """A segment's file: places of its first byte and of the byte after its last, and when it was begun, UTC ns by the wall clock."""

    base: int
    end: int
    path: Path
    created_ns: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a block's header says: bytes and lines that follow it, when it was written, UTC ns by the wall clock, and the CRC."""

    length: int
    lines: int
    created_ns: int
    crc: int


def seal(payload: bytes, created_ns: int) -> bytes:
    """Return a block of whole lines.

    >>> seal(b"kpi load_mw=1.0 0" + bytes([10]), 0).split(bytes([10]))[0]
    b'#gf1 00000012 00000001 0000000000000000 087a67a7'
    """
    head = b"%b%08x %08x %016x" % (MAGIC, len(payload), payload.count(b"\n"), created_ns)
    return b"%b %08x\n%b" % (head, crc32(payload, crc32(head)), payload)


def read_header(raw: bytes) -> Header | None:
    """Read the header that ``raw`` begins with, or None where there is none."""
    if len(raw) < HEADER_BYTES or not raw.startswith(MAGIC):
        return None
    try:
        length, lines, created_ns, crc = (int(part, 16) for part in raw[len(MAGIC) : HEADER_BYTES].split(b" "))
    except ValueError:
        return None
    return Header(length, lines, created_ns, crc)


def _is_whole(header: Header, block: bytes) -> bool:
    if len(block) != HEADER_BYTES + header.length:
        return False
    return crc32(block[HEADER_BYTES:], crc32(block[: HEADER_BYTES - _CRC_BYTES])) == header.crc


def walk(path: Path, start: int = 0) -> Iterator[tuple[int, Header]]:
    """Yield (position behind the block, header) of each block until the first that is not whole."""
    with path.open("rb") as file:
        file.seek(start)
        while (header := read_header(head := file.read(HEADER_BYTES))) is not None:
            if not _is_whole(header, head + file.read(header.length)):
                return
            start += HEADER_BYTES + header.length
            yield start, header


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
    payloads: list[bytes] = []
    lines = size = at = 0
    while (header := read_header(raw[at : at + HEADER_BYTES])) is not None:
        block = raw[at : at + HEADER_BYTES + header.length]
        if not _is_whole(header, block):
            break
        if payloads and (lines + header.lines > BLOCK_LINES_MAX or size + header.length > BLOCK_BYTES_MAX):
            break
        payloads.append(block[HEADER_BYTES:])
        lines, size, at = lines + header.lines, size + header.length, at + len(block)
    return Chunk(place, place + at, b"".join(payloads), lines) if payloads else None


def segment_path(directory: Path, base: int) -> Path:
    """Return where the segment that begins at ``base`` is kept."""
    return directory / f"{base:020d}{_SUFFIX}"


def list_segments(directory: Path) -> list[Segment]:
    """List the segments by place; files of other names are not ours."""
    found = []
    for path in sorted(directory.glob("*" + _SUFFIX)):
        # A writer may drop its oldest segment while another process lists them.
        with contextlib.suppress(FileNotFoundError):
            if path.stem.isdecimal():
                with path.open("rb") as file:
                    header = read_header(file.read(HEADER_BYTES))
                stat = path.stat()
                base = int(path.stem)
                found.append(Segment(base, base + stat.st_size, path, header.created_ns if header else stat.st_mtime_ns))
    return found


def read_acked(directory: Path) -> int:
    """Return the place before which the server has everything; 0 where that is not known."""
    try:
        return int((directory / "acked").read_text(encoding="ascii"))
    except FileNotFoundError:
        return 0
    except ValueError:
        _log.warning("%s is damaged; the whole spool is sent again, which stores nothing twice", directory / "acked")
        return 0
