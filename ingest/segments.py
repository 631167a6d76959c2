"""What is in a segment file of a spool?

Blocks, one after the other. A block is one header line, ``#gf1 length items created crc``, all in hexadecimal digits, and after it that
many bytes of whatever the spool holds. The CRC covers the header and the bytes; how many items they are (lines, samples) is for whoever
counts what a limit drops. A block is found whole or not at all.

A segment is named by the place it begins at, a count of bytes since the beginning of the spool, and the file ``acked`` holds which
places have been taken by whoever it is for (:mod:`ingest.taken`).

Deliberately absent: who writes and when (:mod:`ingest.segmentlog`), and any reading of what the blocks hold.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

from ingest.taken import Taken

__all__ = [
    "HEADER_BYTES",
    "MAGIC",
    "Chunk",
    "Header",
    "Segment",
    "chunk_at",
    "list_segments",
    "read_header",
    "read_taken",
    "seal",
    "segment_path",
    "walk",
]

MAGIC: Final = b"#gf1 "
_CRC_BYTES: Final = len(" 00000000\n")
HEADER_BYTES: Final = len(MAGIC) + len("00000000 00000000 0000000000000000") + _CRC_BYTES

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole blocks in a row, without their headers: what is read at once."""

    start: int
    end: int
    data: bytes
    items: int


@dataclass(slots=True)
class Segment:
    """A segment's file: places of its first byte and of the byte after its last, and when it was begun, UTC ns by the wall clock."""

    base: int
    end: int
    path: Path
    created_ns: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a block's header says: bytes that follow it, what they count as, when it was written, UTC ns by the wall clock, and the CRC."""

    length: int
    items: int
    created_ns: int
    crc: int


def seal(payload: bytes, created_ns: int, items: int) -> bytes:
    """Return a block.

    >>> seal(b"kpi load_mw=1.0 0" + bytes([10]), 0, 1).split(bytes([10]))[0]
    b'#gf1 00000012 00000001 0000000000000000 087a67a7'
    """
    head = b"%b%08x %08x %016x" % (MAGIC, len(payload), items, created_ns)
    return b"%b %08x\n%b" % (head, crc32(payload, crc32(head)), payload)


def read_header(raw: bytes) -> Header | None:
    """Read the header that ``raw`` begins with, or None where there is none."""
    if len(raw) < HEADER_BYTES or not raw.startswith(MAGIC):
        return None
    try:
        length, items, created_ns, crc = (int(part, 16) for part in raw[len(MAGIC) : HEADER_BYTES].split(b" "))
    except ValueError:
        return None
    return Header(length, items, created_ns, crc)


def _is_whole(header: Header, block: bytes | memoryview) -> bool:
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


def chunk_at(raw: bytes, place: int, items_max: int, bytes_max: int) -> Chunk | None:
    """Return the whole blocks that ``raw`` begins with, or None where the first is not whole.

    Args:
        place: place of ``raw`` in the spool.
        items_max, bytes_max: how much is returned at most; the first block always is.
    """
    # Looked at where they lie: copying half a megabyte for each look costs more than the looks.
    view, payloads = memoryview(raw), list[memoryview]()
    items = size = at = 0
    while (header := read_header(raw[at : at + HEADER_BYTES])) is not None:
        block = view[at : at + HEADER_BYTES + header.length]
        if not _is_whole(header, block):
            break
        if payloads and (items + header.items > items_max or size + header.length > bytes_max):
            break
        payloads.append(block[HEADER_BYTES:])
        items, size, at = items + header.items, size + header.length, at + len(block)
    return Chunk(place, place + at, b"".join(payloads), items) if payloads else None


def segment_path(directory: Path, base: int, suffix: str) -> Path:
    """Return where the segment that begins at ``base`` is kept."""
    return directory / f"{base:020d}{suffix}"


def list_segments(directory: Path, suffix: str) -> list[Segment]:
    """List the segments by place; files of other names are not ours."""
    found = []
    for path in sorted(directory.glob("*" + suffix)):
        # A writer may drop its oldest segment while another process lists them.
        with contextlib.suppress(FileNotFoundError):
            if path.stem.isdecimal():
                with path.open("rb") as file:
                    header = read_header(file.read(HEADER_BYTES))
                stat = path.stat()
                base = int(path.stem)
                found.append(Segment(base, base + stat.st_size, path, header.created_ns if header else stat.st_mtime_ns))
    return found


def read_taken(directory: Path) -> Taken:
    """Return which places were taken; none where that is not known."""
    try:
        return Taken.read((directory / "acked").read_text(encoding="ascii"))
    except FileNotFoundError:
        return Taken()
    except ValueError:
        _log.warning("%s is damaged; the whole spool is sent again, which counts nothing twice", directory / "acked")
        return Taken()
