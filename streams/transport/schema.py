"""How does the embedded log lie on disk, and with which settings of SQLite is it opened?

One SQLite file in write-ahead mode, one table per topic-partition, whose integer primary key is the offset: an append goes to the
right edge of one tree, a read is a range of one tree. One file and not one per partition, because a commit that spans an output, a
changelog and a consumer's offsets is then one transaction, all of it there after a crash or none of it.

The write-ahead log needs shared memory, so the directory must be on a local disk, not on a network share.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from streams.errors import StoreError

__all__ = [
    "FILE_NAME",
    "LOCK_NAME",
    "UNREADABLE",
    "VERSION",
    "Declaration",
    "Place",
    "connect_reader",
    "connect_writer",
    "error_code",
    "table_of",
]

FILE_NAME = "log.sqlite3"
LOCK_NAME = "log.lock"
VERSION = 1
UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
"""What reading a damaged file can raise: Python fails on the text of SQLite's own message when that quotes damaged bytes."""

_APPLICATION_ID = 0x47465331
"""Marks the file as ours to ``file(1)`` and to a careless rename."""

_BUSY_S = 10.0
"""How long a statement waits for another process, such as a person's SQLite shell, to let go."""

_TABLES = """
CREATE TABLE topics (
    topic TEXT PRIMARY KEY, partitions INTEGER NOT NULL, retention_ms INTEGER, compacted INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE places (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL, UNIQUE (topic, partition));
CREATE TABLE committed (
    consumer TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
    PRIMARY KEY (consumer, topic, partition)) WITHOUT ROWID;
"""

_MARKS: Final = "CREATE TABLE IF NOT EXISTS marks (place INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL)"
"""Records below these offsets were on disk well before the log was last open: no crash can have touched them since."""


class Declaration(NamedTuple):
    """What was said about a topic when it was declared.

    Attributes:
        retention_ms: how long a record stays after it was written; None keeps it for good.
        compacted: whether only the newest record of each key needs to stay.
    """

    partitions: int
    retention_ms: int | None
    compacted: bool


class Place(NamedTuple):
    """One topic-partition and the number of its table."""

    topic: str
    partition: int
    id: int


def table_of(place_id: int) -> str:
    """Return the name of the table that holds one topic-partition's records."""
    return f"records_{place_id:d}"


def error_code(exc: Exception) -> int:
    """Return SQLite's primary result code of an error, 0 for an error that is not SQLite's own."""
    return int(getattr(exc, "sqlite_errorcode", 0)) & 0xFF


def _as_text(raw: bytes) -> str:
    # A damaged row may claim that its value is text; the checksum judges it, so reading it must not fail first.
    return raw.decode("utf-8", "surrogateescape")


def connect_writer(directory: Path) -> sqlite3.Connection:
    """Open the log for its one writer; creates the file where there is none.

    ``synchronous=FULL`` syncs the write-ahead log before a commit returns, so a commit outlives a power cut. Pages of 16 KiB hold
    a telemetry frame of 64 KiB in a short chain. Freed pages are handed back in steps (``auto_vacuum``), which only a new file can
    be told.

    Raises:
        StoreError: it cannot be opened, is no such log, or was written by another version.
    """
    path = directory / FILE_NAME
    try:
        # check_same_thread: the owner opens it, the writer thread alone uses it from then on.
        db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=512)
        db.text_factory = _as_text
        db.executescript("PRAGMA page_size=16384; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL;")
        db.executescript("PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=1024; PRAGMA journal_size_limit=67108864;")
        if db.execute("PRAGMA user_version").fetchone()[0] == 0:
            db.executescript(f"BEGIN;{_TABLES}PRAGMA application_id={_APPLICATION_ID};PRAGMA user_version={VERSION};COMMIT;")
        _refuse_other_versions(db, path)
        db.execute(_MARKS)
    except UNREADABLE as exc:
        raise StoreError(f"cannot open the log {path}: {exc}; check the permissions, the space and that it is a local disk") from exc
    return db


def connect_reader(directory: Path) -> sqlite3.Connection:
    """Open the log for reading, also while a service writes it; takes no lock that would hold the writer up.

    Raises:
        StoreError: there is no log, it cannot be opened, or was written by another version.
    """
    path = directory / FILE_NAME
    if not path.exists():
        raise StoreError(f"there is no log in {directory}; name the directory that the service was started with")
    try:
        uri = f"file:{quote(str(path.absolute()))}?mode=ro"
        db = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        db.text_factory = _as_text
        _refuse_other_versions(db, path)
    except UNREADABLE as exc:
        raise StoreError(f"cannot read the log {path}: {exc}; check that it may be read, and its directory written") from exc
    return db


def _refuse_other_versions(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version != VERSION:
        raise StoreError(f"the log {path} has format {version}, this version reads format {VERSION}; use the version that wrote it")
