"""What does the owner of the log keep in memory about one partition?

Where its offsets stand, and its *tail*: the newest records, from which a consumer that keeps up reads without touching the disk.
The tail is bounded by bytes and by age. It also holds records on their way to disk, which nobody may read yet.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from streams.transport.records import Record
from streams.transport.schema import Place

__all__ = ["RECORD_OVERHEAD_BYTES", "Partition"]

RECORD_OVERHEAD_BYTES: Final = 350
"""What a record costs in memory beside its key and value."""

_TAIL_BYTES: Final = 2 << 20
"""A consumer that keeps up is some hundred records behind."""

_TAIL_MS: Final = 30_000
"""A consumer that keeps up is a second behind. Without this bound a partition that is seldom written would fill its tail for a day, and
memory that grows for a day cannot be told from a leak."""


@dataclass(slots=True)
class Partition:
    """One partition as its owner sees it.

    Attributes:
        oldest: offset of the oldest record that is still there.
        next_offset: the offset that the next record will get.
        ts_write_ms: write time of the newest record, UTC ms.
        end: records below this offset are on disk and may be read.
        live: of a compacted partition, the offsets that no later record superseded when the log was opened, ascending.
        opened_end: the end at that time; ``live`` speaks of offsets below it.
        compacted: whether it is; what is on disk of it is kept no longer, because a table's changelog is read at a start only.
    """

    place: Place
    oldest: int
    next_offset: int
    ts_write_ms: int
    end: int
    live: Sequence[int] = ()
    opened_end: int = 0
    compacted: bool = False
    _tail: list[Record] = field(default_factory=list)
    _tail_bytes: int = 0

    def add(self, now_ms: int, key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes], ...]) -> Record:
        """Give a record its offset and keep it.

        Args:
            now_ms: this machine's clock. Held still when it is set back: retention and searches by time rely on write times that
                ascend.
        """
        self.ts_write_ms = max(now_ms, self.ts_write_ms)
        record = Record(self.next_offset, self.ts_write_ms, key, value, headers)
        self.next_offset += 1
        self._tail.append(record)
        self._tail_bytes += _size(record)
        limit = 0 if self.compacted else _TAIL_BYTES
        if self._tail_bytes > limit or self._tail[0].ts_write_ms < self.ts_write_ms - 2 * _TAIL_MS:
            self._forget(limit * 3 // 4, self.ts_write_ms - _TAIL_MS)
        return record

    def _forget(self, bytes_left: int, ms_left: int) -> None:
        """Drop the older part of the tail, as far as it is on disk: down to so many bytes, and what was written before an instant."""
        drop = 0
        while drop < len(self._tail) and (oldest := self._tail[drop]).offset < self.end:
            if self._tail_bytes <= bytes_left and oldest.ts_write_ms >= ms_left:
                break
            self._tail_bytes -= _size(oldest)
            drop += 1
        del self._tail[:drop]

    def sparse(self, start: int, records_max: int) -> Sequence[int] | None:
        """Return the next offsets from ``start`` on that are worth reading, where that is not all of them."""
        if start >= self.opened_end:
            return None
        first = bisect_left(self.live, start)
        return self.live[first : first + records_max] or None

    def hot(self, start: int, records_max: int, bytes_max: int) -> list[Record] | None:
        """Return readable records from the tail, in order; None when ``start`` is older than the tail."""
        if not self._tail or start < self._tail[0].offset:
            return None
        base = self._tail[0].offset
        found = self._tail[start - base : min(start - base + records_max, self.end - base)]
        size = 0
        for number, record in enumerate(found):
            size += _size(record)
            if size >= bytes_max:
                return found[: number + 1]
        return found


def _size(record: Record) -> int:
    return len(record.key or b"") + len(record.value or b"") + RECORD_OVERHEAD_BYTES
