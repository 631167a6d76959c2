"""Which records were not written to the spool, and are to be taken from their topics again?

Of a topic that comes faster than it can wait, records are left behind while the spool's disk takes nothing: they stay on their topic, and
which they are is kept here, as ranges of offsets. The disk that is full is most likely the one this is kept on, so the file has its size
from the beginning and is only ever written over: two places by turns, each with a number and a checksum, so that one of them is always
whole. A process that is killed loses none of it; a machine that loses its power, what was left in the last seconds.

There are few ranges, because records are left one after the other. Should there be more than the file holds, neighbours are joined: what
is taken again although it was written is the same line twice, which is stored once.

Deliberately absent: reading the topics (:mod:`streams.refill`).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final
from zlib import crc32

from ingest.taken import Taken

__all__ = ["Gap", "Gaps"]

_PLACE_BYTES: Final = 32 << 10
_HEADER: Final = b"%016x %08x %08x\n"
_HEADER_BYTES: Final = len(_HEADER % (0, 0, 0))
_RANGES_MAX: Final = 200

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gap:
    """Records of one partition, offsets from ``first`` to ``last``, both included."""

    topic: str
    partition: int
    first: int
    last: int


class Gaps:
    """What is missing in the spool; kept in a file that never grows.

    Not to be used from two threads at once.

    Args:
        path: the file; made where it does not exist.

    Attributes:
        added: records that were left, since this was opened.
        lost: those of them that no topic has any more.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.added = 0
        self.lost = 0
        self._ranges: dict[tuple[str, int], Taken] = {}
        self._number = 0
        self._is_told = False
        self._fd: int | None = None
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
            size = os.fstat(self._fd).st_size
            if size < 2 * _PLACE_BYTES:
                os.pwrite(self._fd, bytes(2 * _PLACE_BYTES - size), size)
                os.fsync(self._fd)
        except OSError as exc:
            self._tell(exc)
        self._recall()

    def _tell(self, exc: OSError) -> None:
        if self._is_told:
            return  # thousands of records may be left in a second
        self._is_told = True
        what = "%s: %s; which records are missing in the spool is known to this process only; free space"
        _log.error(what, self.path, exc.strerror, extra={"sink": "spool", "reason": str(exc)})

    def _recall(self) -> None:
        newest: bytes | None = None
        for place in (0, 1):
            raw = b"" if self._fd is None else os.pread(self._fd, _PLACE_BYTES, place * _PLACE_BYTES)
            with contextlib.suppress(ValueError):
                number, length, crc = (int(part, 16) for part in raw[:_HEADER_BYTES].split())
                body = raw[_HEADER_BYTES : _HEADER_BYTES + length]
                if crc32(body) == crc and number > self._number:
                    self._number, newest = number, body
        for topic, partition, first, last in json.loads(newest) if newest else ():
            self._of(topic, partition).add(first, last + 1)

    def _of(self, topic: str, partition: int) -> Taken:
        return self._ranges.setdefault((topic, partition), Taken(-1))

    def __iter__(self) -> Iterator[Gap]:
        """Yield every gap; those of one partition in order."""
        for (topic, partition), ranges in self._ranges.items():
            for start, end in ranges.beyond:
                yield Gap(topic, partition, start, end - 1)

    @property
    def records(self) -> int:
        """How many records are to be taken again."""
        return sum(gap.last - gap.first + 1 for gap in self)

    def add(self, topic: str, partition: int, offset: int) -> None:
        """A record was left on its topic; the process may be killed as soon as this returns."""
        self.added += 1
        self._of(topic, partition).add(offset, offset + 1)
        self._note()

    def close_to(self, gap: Gap, offset: int, lost: int = 0) -> None:
        """The records of a gap up to an offset, included, are in the spool, or some of them nowhere any more."""
        place = (gap.topic, gap.partition)
        kept = Taken(-1)
        for start, end in self._ranges[place].beyond:
            if start < gap.first:
                kept.add(start, min(end, gap.first))
            if end > offset + 1:
                kept.add(max(start, offset + 1), end)
        self._ranges[place] = kept
        self.lost += lost
        self._note()

    def _note(self) -> None:
        while len(gaps := list(self)) > _RANGES_MAX:
            self._join(gaps)
        body = json.dumps([[gap.topic, gap.partition, gap.first, gap.last] for gap in gaps]).encode()
        self._number += 1
        if self._fd is None:
            return
        try:
            os.pwrite(self._fd, _HEADER % (self._number, len(body), crc32(body)) + body, self._number % 2 * _PLACE_BYTES)
            self._is_told = False
        except OSError as exc:
            self._tell(exc)

    def _join(self, gaps: list[Gap]) -> None:
        """Join the two neighbours with the fewest records between them."""
        pairs = [pair for pair in pairwise(gaps) if (pair[0].topic, pair[0].partition) == (pair[1].topic, pair[1].partition)]
        one, other = min(pairs, key=lambda pair: pair[1].first - pair[0].last)
        self._of(one.topic, one.partition).add(one.first, other.last + 1)

    def sync(self) -> None:
        """Bring it to the disk; may be called on another thread."""
        if self._fd is not None:
            os.fsync(self._fd)

    def close(self) -> None:
        """Let go of the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
