"""What happens to the log's file: batches in, expired and superseded records out, each in one transaction.

Everything here runs on the writer thread. Housekeeping is cut into slices of a few hundred records, so that a waiting append is
held up by one slice and not by a whole clean-up:

* Retention takes records away from the old end of a partition, by the time they were written.
* Compaction takes away a record once a newer one with its key is on disk. Which ones those are is known as records are written,
  so nothing is scanned for it while the service runs; a partition is scanned once, when the log is opened. Tombstones stay for a
  day, so that whoever reads the log sees that the key went away.
* The newest record of a partition is never taken away: it holds the partition's next offset, and a table that recovers waits for it.

Freed pages are used again by new records; when more than a quarter of the file is free, it is handed back to the disk in steps.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from streams.transport.records import Record, encode_row, place_seed
from streams.transport.schema import Declaration, Place, connect_writer, table_of

__all__ = ["Batch", "StoreFile"]

_ROWS_PER_INSERT: Final = (64, 8, 1)
"""Rows per statement. SQLite lets go of the interpreter lock once per statement: row by row, a busy event loop would take it away
after each one, and writing slows down tenfold."""

_SLICE: Final = 512
_MARKS: Final = ",".join("?" * _SLICE)
_TOMBSTONE_MS: Final = 86_400_000
_FREE_PAGES_MIN: Final = 256
_FREE_PAGES_PER_STEP: Final = 256


@dataclass(slots=True)
class Batch:
    """What one transaction brings to disk.

    Attributes:
        declared: topics declared, with their places, in order.
        records: new records per place, offsets ascending.
        committed: (consumer, topic, partition) → next offset.
    """

    declared: list[tuple[str, Declaration, tuple[Place, ...]]] = field(default_factory=list)
    records: dict[Place, list[Record]] = field(default_factory=dict)
    committed: dict[tuple[str, str, int], int] = field(default_factory=dict)


@dataclass(slots=True)
class _Compaction:
    """What is known of a compacted partition: the newest offset of each key, and the offsets that newer ones superseded."""

    newest: dict[bytes, int] = field(default_factory=dict)
    superseded: list[int] = field(default_factory=list)

    def note(self, key: bytes | None, offset: int) -> None:
        if key is None:
            return  # nothing can supersede a record without a key
        older = self.newest.get(key)
        if older is not None:
            self.superseded.append(older)
        self.newest[key] = offset


class StoreFile:
    """The log's file, open for writing.

    Raises:
        StoreError: see :func:`streams.transport.schema.connect_writer`.
    """

    def __init__(self, directory: Path) -> None:
        self._db = connect_writer(directory)
        self._declarations: dict[str, Declaration] = {}
        self._places: dict[str, list[Place]] = {}
        self._compactions: dict[Place, _Compaction] = {}
        self._seeds: dict[Place, int] = {}
        rows = self._db.execute("SELECT topic, partitions, retention_ms, compacted FROM topics").fetchall()
        places = self._db.execute("SELECT topic, partition, id FROM places ORDER BY topic, partition").fetchall()
        for topic, partitions, retention_ms, compacted in rows:
            mine = tuple(Place(*place) for place in places if place[0] == topic)
            self._adopt(topic, Declaration(partitions, retention_ms, bool(compacted)), mine)

    def _adopt(self, topic: str, declaration: Declaration, places: Sequence[Place]) -> None:
        self._declarations[topic] = declaration
        self._places[topic] = list(places)
        for place in places:
            self._seeds[place] = place_seed(place.topic, place.partition)
            if declaration.compacted and place not in self._compactions:
                self._compactions[place] = self._scan_keys(place)

    def _scan_keys(self, place: Place) -> _Compaction:
        found = _Compaction()
        # Keys of damaged rows are left out: what cannot be trusted must not take a good record away.
        for key, offset in self._db.execute(f"SELECT key, off FROM {table_of(place.id)} WHERE typeof(key) = 'blob' ORDER BY off"):  # noqa: S608
            found.note(key, offset)
        return found

    def live(self, place: Place) -> list[int] | None:
        """Return the offsets of a compacted partition that compaction would leave, ascending; None where it is not compacted.

        Whoever recovers reads these alone: how long ago housekeeping ran does not lengthen a start.
        """
        compaction = self._compactions.get(place)
        if compaction is None:
            return None
        # A row without a key, or a damaged one, is superseded by nothing.
        others = self._db.execute(f"SELECT off FROM {table_of(place.id)} WHERE typeof(key) <> 'blob'").fetchall()  # noqa: S608
        return sorted([*compaction.newest.values(), *(offset for (offset,) in others)])

    @property
    def declarations(self) -> dict[str, Declaration]:
        """Every topic on disk."""
        return dict(self._declarations)

    def places(self, topic: str) -> tuple[Place, ...]:
        """Return the places of a topic, by partition."""
        return tuple(self._places[topic])

    def bounds(self, place: Place) -> tuple[int, int, int]:
        """Return oldest offset, next offset and newest write time (UTC ms) of a partition; zeros where it is empty."""
        table = table_of(place.id)
        oldest = self._db.execute(f"SELECT off FROM {table} ORDER BY off LIMIT 1").fetchone()  # noqa: S608
        newest = self._db.execute(f"SELECT off, ts_ms FROM {table} ORDER BY off DESC LIMIT 1").fetchone()  # noqa: S608
        return (0, 0, 0) if newest is None else (oldest[0], newest[0] + 1, newest[1])

    def committed(self) -> dict[tuple[str, str, int], int]:
        """Return (consumer, topic, partition) → next offset."""
        rows = self._db.execute("SELECT consumer, topic, partition, next_offset FROM committed").fetchall()
        return {(consumer, topic, partition): next_offset for consumer, topic, partition, next_offset in rows}

    def marks(self) -> dict[int, int]:
        """Return, by place, the offset below which no crash can have touched a record."""
        return dict(self._db.execute("SELECT place, next_offset FROM marks").fetchall())

    def mark(self, ends: Mapping[Place, int]) -> None:
        """Note that everything below these offsets is safely on disk.

        Raises:
            sqlite3.Error: as :meth:`write`.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR REPLACE INTO marks VALUES (?, ?)", [(place.id, end) for place, end in ends.items()])
            self._db.execute("COMMIT")
        except sqlite3.Error:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")

    def write(self, batch: Batch) -> None:
        """Bring one batch to disk; when this returns it is there for good, when it raises it may be written again.

        Raises:
            sqlite3.Error: disk full, input/output error, damage.
        """
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            for topic, declaration, places in batch.declared:
                self._declare(topic, declaration, places)
            for place, records in batch.records.items():
                self._insert(place, records)
            if batch.committed:
                rows = [(*where, next_offset) for where, next_offset in batch.committed.items()]
                db.executemany("INSERT OR REPLACE INTO committed VALUES (?, ?, ?, ?)", rows)
            db.execute("COMMIT")
        except sqlite3.Error:
            self._roll_back()
            raise
        # Only now: a record noted twice would supersede itself.
        for place, records in batch.records.items():
            if (compaction := self._compactions.get(place)) is not None:
                for record in records:
                    compaction.note(record.key, record.offset)

    def make_room(self) -> bool:
        """Fold the write-ahead log into the file, as far as the disk lets it: then it is begun anew and needs no more room.

        Returns:
            Whether all of it was folded.
        """
        try:
            busy, pages, folded = self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            return False
        return not busy and pages == folded

    def _declare(self, topic: str, declaration: Declaration, places: Sequence[Place]) -> None:
        self._db.execute("INSERT OR REPLACE INTO topics VALUES (?, ?, ?, ?)", (topic, *declaration))
        for place in places:
            self._db.execute("INSERT OR IGNORE INTO places VALUES (?, ?, ?)", (place.id, place.topic, place.partition))
            self._db.execute(
                f"CREATE TABLE IF NOT EXISTS {table_of(place.id)} (off INTEGER PRIMARY KEY, ts_ms INTEGER NOT NULL,"
                " key BLOB, value BLOB, headers BLOB, crc INTEGER NOT NULL)"
            )
        self._adopt(topic, declaration, places)

    def _insert(self, place: Place, records: list[Record]) -> None:
        seed = self._seeds[place]
        rows = [encode_row(seed, record) for record in records]
        start = 0
        for count in _ROWS_PER_INSERT:
            # The table's name is a number of ours; the values are parameters.
            sql = f"INSERT INTO {table_of(place.id)} VALUES " + ",".join(["(?,?,?,?,?,?)"] * count)  # noqa: S608
            while len(rows) - start >= count:
                self._db.execute(sql, [column for row in rows[start : start + count] for column in row])
                start += count

    def tidy(self, now_ms: int, ends: Mapping[Place, int] = MappingProxyType({})) -> Iterator[Place | None]:
        """Do the housekeeping, one transaction per step; the caller may write between two steps.

        Args:
            now_ms: this machine's clock, UTC ms; retention goes by it.
            ends: see :meth:`mark`.

        Yields:
            The partition that a step took records from, or None for any other step.

        Raises:
            sqlite3.Error: as :meth:`write`.
        """
        if ends:
            self.mark(ends)
            yield None
        for topic, declaration in list(self._declarations.items()):
            for place in self._places[topic]:
                compaction = self._compactions.get(place)
                if compaction is not None and declaration.compacted:
                    # Only what was superseded by now: under load there is always more, and other partitions wait for their turn.
                    due = list(compaction.superseded)
                    for start in range(0, len(due), _SLICE):
                        self._delete(place, due[start : start + _SLICE])
                        del compaction.superseded[: len(due[start : start + _SLICE])]  # not before: a step that fails is done again
                        yield place
                    while self._drop_tombstones(place, compaction, now_ms - _TOMBSTONE_MS):
                        yield place
                if declaration.retention_ms is not None:
                    while self._expire(place, now_ms - declaration.retention_ms):
                        yield place
        while self._give_back():
            yield None

    def superseded(self) -> int:
        """Return how many records compaction could take away now."""
        return sum(len(compaction.superseded) for compaction in self._compactions.values())

    def _delete(self, place: Place, offsets: Sequence[int]) -> None:
        # Always the same statement: of every length there would be one more in SQLite's memory.
        padded = [*offsets, *[offsets[-1]] * (_SLICE - len(offsets))]
        self._db.execute(f"DELETE FROM {table_of(place.id)} WHERE off IN ({_MARKS})", padded)  # noqa: S608

    def _drop_tombstones(self, place: Place, compaction: _Compaction, before_ms: int) -> bool:
        sql = f"SELECT off, key FROM {table_of(place.id)} WHERE value IS NULL AND ts_ms < ? AND off < ? ORDER BY off LIMIT ?"  # noqa: S608
        rows = self._db.execute(sql, (before_ms, self.bounds(place)[1] - 1, _SLICE)).fetchall()
        rows = [(offset, key) for offset, key in rows if compaction.newest.get(key) == offset]
        if not rows:
            return False
        self._delete(place, [offset for offset, _ in rows])
        for _, key in rows:
            del compaction.newest[key]
        return True

    def _expire(self, place: Place, before_ms: int) -> bool:
        table = table_of(place.id)
        newest = self.bounds(place)[1] - 1
        sql = f"SELECT off, CAST(ts_ms AS INTEGER), key FROM {table} WHERE off < ? ORDER BY off LIMIT ?"  # noqa: S608
        cursor = self._db.execute(sql, (newest, _SLICE))
        expired = []
        for offset, ts_ms, key in cursor:
            if ts_ms >= before_ms:
                break
            expired.append((offset, key))
        cursor.close()
        if not expired:
            return False
        self._delete(place, [offset for offset, _ in expired])
        if (compaction := self._compactions.get(place)) is not None:
            for offset, key in expired:
                if compaction.newest.get(key) == offset:
                    del compaction.newest[key]
        return True

    def _give_back(self) -> bool:
        free = self._db.execute("PRAGMA freelist_count").fetchone()[0]
        pages = self._db.execute("PRAGMA page_count").fetchone()[0]
        if free < _FREE_PAGES_MIN or free * 4 < pages:
            return False
        self._db.execute(f"PRAGMA incremental_vacuum({_FREE_PAGES_PER_STEP})").fetchall()
        return True

    def close(self) -> None:
        """Fold the write-ahead log into the file and let it go."""
        self._db.close()
