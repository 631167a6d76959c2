"""How are records read back from disk: by the service that lags, by a replay, by a command while the service runs?

A reader holds no lock and no long transaction. It reads in slices of one short statement each, because SQLite cannot reuse its
write-ahead log while anyone still reads from it. A damaged record ends the slice before it; asked for again, it raises, and the
reader goes on after it: nothing behind a damaged record is lost, and no damaged record is passed over in silence.

Ranges are by offset or by write time. Event time stands inside the records and is the reader's own to filter by.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from streams.errors import StoreError
from streams.transport.records import Record, RecordDamaged, decode_row, place_seed
from streams.transport.schema import UNREADABLE, Declaration, Place, connect_reader, error_code, table_of

__all__ = ["LogReader", "read_offsets", "read_slice"]

_SLICE_RECORDS = 1000
_SLICE_BYTES = 1 << 20


def read_slice(
    db: sqlite3.Connection,
    place: Place,
    start: int,
    stop: int,
    *,
    dense: bool,
    records_max: int = _SLICE_RECORDS,
    bytes_max: int = _SLICE_BYTES,
) -> list[Record]:
    """Read records of one partition from disk, in order of their offsets.

    Args:
        start: first offset wanted; where retention has taken it away, reading begins at the oldest that is left.
        stop: offset to end before; at most the partition's end.
        dense: the topic is not compacted: an offset that is not there was lost, and is reported as damaged.
        bytes_max: the slice ends with the record that reaches it, so one large record is still read.

    Returns:
        The records up to the first damaged one; none when there are none in the range.

    Raises:
        RecordDamaged: the first record of the range is damaged; go on at its offset + 1.
    """
    records: list[Record] = []
    seed = place_seed(place.topic, place.partition)
    size = 0
    # One statement per slice. The numbers are ours, and the table's name cannot be a parameter.
    sql = f"SELECT off, ts_ms, key, value, headers, crc FROM {table_of(place.id)} WHERE off >= ? AND off < ? ORDER BY off LIMIT ?"  # noqa: S608
    cursor = db.cursor()
    try:
        for row in cursor.execute(sql, (start, stop, records_max)):
            if dense and row[0] != start:
                start = _after_gap(db, place, start, row[0], in_midst=bool(records))
            records.append(decode_row(place.topic, place.partition, seed, row))
            start = row[0] + 1
            size += len(records[-1].value or b"") + len(records[-1].key or b"")
            if size >= bytes_max:
                return records
        if dense and start < stop and len(records) < records_max:
            _after_gap(db, place, start, stop, in_midst=bool(records))
    except RecordDamaged:
        if not records:
            raise
    except UNREADABLE as exc:
        _raise_unless_page_damaged(exc)
        if not records:
            return _read_one_by_one(db, place, start, stop, dense, exc)
    finally:
        cursor.close()
    return records


def _after_gap(db: sqlite3.Connection, place: Place, missing: int, found: int, *, in_midst: bool) -> int:
    """Return ``found`` if retention took away what is before it.

    Raises:
        RecordDamaged: it did not: there are older records, so the one at ``missing`` was lost.
    """
    oldest = db.execute(f"SELECT off FROM {table_of(place.id)} ORDER BY off LIMIT 1").fetchone()  # noqa: S608
    if in_midst or oldest is None or oldest[0] < found:
        raise RecordDamaged(place.topic, place.partition, missing, "it is missing")
    return found


def _raise_unless_page_damaged(exc: sqlite3.Error | UnicodeDecodeError) -> None:
    if isinstance(exc, sqlite3.Error) and error_code(exc) != sqlite3.SQLITE_CORRUPT:
        raise StoreError(f"reading the log failed: {exc}; check the disk") from exc


def _read_one_by_one(db: sqlite3.Connection, place: Place, start: int, stop: int, dense: bool, cause: Exception) -> list[Record]:
    """Read the next record alone, where a damaged page stops a scan."""
    for offset in range(start, stop):
        if (record := _read_one(db, place, offset)) is not None:
            return [record]
        if dense:
            raise RecordDamaged(place.topic, place.partition, offset, "it is missing") from cause
    return []


def _read_one(db: sqlite3.Connection, place: Place, offset: int) -> Record | None:
    """Read one record, None where there is none.

    Raises:
        RecordDamaged: it, or its page, is damaged.
    """
    sql = f"SELECT off, ts_ms, key, value, headers, crc FROM {table_of(place.id)} WHERE off = ?"  # noqa: S608
    try:
        row = db.execute(sql, (offset,)).fetchone()
    except UNREADABLE as exc:
        _raise_unless_page_damaged(exc)
        raise RecordDamaged(place.topic, place.partition, offset, f"its page is damaged: {exc}") from exc
    return None if row is None else decode_row(place.topic, place.partition, place_seed(place.topic, place.partition), row)


def read_offsets(db: sqlite3.Connection, place: Place, offsets: Sequence[int], *, bytes_max: int = _SLICE_BYTES) -> list[Record]:
    """Read the records at some ascending offsets of a compacted partition; those that are not there any more are left out.

    Returns:
        The records up to the first damaged one, or up to the one that reaches ``bytes_max``.

    Raises:
        RecordDamaged: the first of them is damaged; go on at its offset + 1.
    """
    records: list[Record] = []
    size = 0
    for offset in offsets:
        try:
            record = _read_one(db, place, offset)
        except RecordDamaged:
            if not records:
                raise
            return records
        if record is not None:
            records.append(record)
            size += len(record.value or b"") + len(record.key or b"")
            if size >= bytes_max:
                return records
    return records


class LogReader:
    """The log in ``directory``, opened for reading only.

    Use it as a context manager. It may be used from one thread at a time.

    Raises:
        StoreError: there is no log there, or it cannot be read.
    """

    def __init__(self, directory: Path) -> None:
        self._db = connect_reader(directory)
        self._directory = directory

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go."""
        self._db.close()

    def _rows(self, sql: str, *args: object) -> list[Any]:
        try:
            return self._db.execute(sql, args).fetchall()
        except UNREADABLE as exc:
            raise StoreError(f"reading the log in {self._directory} failed: {exc}; check the disk") from exc

    def topics(self) -> dict[str, Declaration]:
        """Return every declared topic, by name."""
        rows = self._rows("SELECT topic, partitions, retention_ms, compacted FROM topics ORDER BY topic")
        return {topic: Declaration(partitions, retention_ms, bool(compacted)) for topic, partitions, retention_ms, compacted in rows}

    def _place(self, topic: str, partition: int) -> Place:
        rows = self._rows("SELECT id FROM places WHERE topic = ? AND partition = ?", topic, partition)
        if not rows:
            raise StoreError(f"the log in {self._directory} has no {topic}[{partition}]; it has {', '.join(self.topics()) or 'no topics'}")
        return Place(topic, partition, rows[0][0])

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the oldest offset that is still there and the one the next record will get; equal for an empty partition."""
        table = table_of(self._place(topic, partition).id)
        (oldest,), (newest,) = self._rows(f"SELECT MIN(off) FROM {table} UNION ALL SELECT MAX(off) FROM {table}")  # noqa: S608
        return (0, 0) if oldest is None else (oldest, newest + 1)

    def mark(self, topic: str, partition: int) -> int:
        """Return the offset below which everything was on disk for good, 0 where nobody noted one."""
        if not self._rows("SELECT 1 FROM sqlite_master WHERE name = 'marks'"):
            return 0
        rows = self._rows("SELECT next_offset FROM marks WHERE place = ?", self._place(topic, partition).id)
        return int(rows[0][0]) if rows else 0

    def read(self, topic: str, partition: int, start: int, stop: int) -> list[Record]:
        """Read the next records before ``stop``, as :func:`read_slice`.

        Raises:
            RecordDamaged: the first of them is damaged; go on behind it.
        """
        dense = not self.topics()[topic].compacted
        return read_slice(self._db, self._place(topic, partition), start, stop, dense=dense)

    def committed(self, consumer: str) -> dict[tuple[str, int], int]:
        """Return, per topic and partition, the offset at which ``consumer`` (an app's id) would go on after a restart."""
        rows = self._rows("SELECT topic, partition, next_offset FROM committed WHERE consumer = ?", consumer)
        return {(topic, partition): next_offset for topic, partition, next_offset in rows}

    def offset_at(self, topic: str, partition: int, ts_write_ms: int) -> int:
        """Return the offset of the first record written at or after an instant (UTC ms); the end where there is none.

        Write times never run backwards within a partition, so this is a binary search.
        """
        low, high = self.bounds(topic, partition)
        table = table_of(self._place(topic, partition).id)
        while low < high:
            middle = (low + high) // 2
            rows = self._rows(f"SELECT off, ts_ms FROM {table} WHERE off >= ? ORDER BY off LIMIT 1", middle)  # noqa: S608
            if rows and rows[0][1] < ts_write_ms:
                low = rows[0][0] + 1
            else:
                high = middle
        return low

    def records(self, topic: str, partition: int, start: int = 0, stop: int | None = None) -> Iterator[Record]:
        """Iterate over one partition in order, from ``start`` to before ``stop``.

        Args:
            stop: default the end as it is when the iteration begins; what is written meanwhile is not followed.

        Raises:
            RecordDamaged: on reaching a damaged record; to go on, start anew at its offset + 1.
        """
        place = self._place(topic, partition)
        declaration = self.topics().get(topic)
        if declaration is None:
            raise StoreError(f"the log in {self._directory} has lost the declaration of {topic}; restore it from a copy")
        dense = not declaration.compacted
        end = self.bounds(topic, partition)[1]
        stop = end if stop is None else min(stop, end)
        while start < stop:
            found = read_slice(self._db, place, start, stop, dense=dense)
            if not found:
                return
            yield from found
            start = found[-1].offset + 1
