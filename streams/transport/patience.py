"""Which failures of the disk are waited out, and for how long?

* **No room** is waited out for as long as it takes: somebody frees space, or enlarges the disk or the quota, and nothing is damaged
  meanwhile. SQLite says "full" only for a full disk; a used-up quota and a limit on the file's size come as an input/output error.
  So the disk itself is asked, by writing as much to a file of no name beside the log.
* **Held by another program** (a SQLite shell, a backup) is waited out too: somebody closes it.
* **An input/output error** without such a reason may be a cable or a controller: it gets :attr:`LogOptions.mend_within_s`, and fails
  the log for good if it lasts longer. So do a directory that cannot be opened, and memory that is short.
* **Damage**, and whatever SQLite calls our own mistake, fails at once: the same batch would fail again, or be written to a wreck.

A write that failed is rolled back whole and made again from the start, so it is not taken for done because a page was lost on the way:
the next attempt writes and syncs all of it.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

from streams.transport.schema import FILE_NAME, error_code

__all__ = ["STOP_WITHIN_S", "LogOptions", "Stalled", "Trouble", "pause_s", "remedy", "trouble_of"]

STOP_WITHIN_S: Final = 3.0
"""How long whoever stops waits for a disk that takes nothing."""

_FIRST_PAUSE_S: Final = 0.05
_PAUSE_MAX_S: Final = 1.0
_PROBE_BYTES: Final = 64 << 10
_PIECE: Final = bytes(1 << 20)
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_MENDS: Final = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOMEM,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """How the log treats its disk.

    Attributes:
        sync_every_s: least time between two syncs of the disk; what comes in between is synced together. 0: each batch at once.
        mend_within_s: how long an input/output error may last before the log fails for good.
    """

    sync_every_s: float = 0.0
    mend_within_s: float = 60.0


class Trouble(Enum):
    """Why a write failed, by what is done about it."""

    NO_ROOM = "no room"
    HELD = "held"
    FAILING = "failing"
    LASTING = "lasting"


class Stalled(NamedTuple):
    """The log takes nothing to disk at present, and tries again.

    Attributes:
        trouble: what kind of failure it is.
        reason: what SQLite said, and the remedy.
        since_ns: when it began, UTC ns by the wall clock.
        retries: attempts so far that failed.
    """

    trouble: Trouble
    reason: str
    since_ns: int
    retries: int


def trouble_of(exc: sqlite3.Error, directory: Path, size: int) -> Trouble:
    """Judge a write that failed.

    Args:
        directory: where the log is.
        size: bytes that were to be written, about.
    """
    match error_code(exc):
        case sqlite3.SQLITE_FULL:
            return Trouble.NO_ROOM
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Trouble.HELD
        case code if code in _MENDS:
            return Trouble.NO_ROOM if _no_room(directory, size) else Trouble.FAILING
        case _:
            return Trouble.LASTING


def _no_room(directory: Path, size: int) -> bool:
    """Whether the disk has no room for ``size`` bytes more behind the end of the log's files."""
    try:
        at = max(path.stat().st_size for path in directory.glob(f"{FILE_NAME}*"))
        with tempfile.TemporaryFile(dir=directory) as file:
            end = at + size + _PROBE_BYTES
            while at < end:
                at += os.pwrite(file.fileno(), _PIECE[: end - at], at)
            os.fsync(file.fileno())  # some file systems learn only now that the quota is used up
    except OSError as exc:
        return exc.errno in _NO_ROOM
    except ValueError:
        return False  # no file of the log is there any more
    return False


def pause_s(retries: int) -> float:
    """Return how long to wait after so many failed attempts, s."""
    return min(_PAUSE_MAX_S, _FIRST_PAUSE_S * 2.0 ** min(retries - 1, 10))


def remedy(exc: sqlite3.Error, trouble: Trouble) -> str:
    """Say what somebody must do."""
    match trouble:
        case Trouble.NO_ROOM if error_code(exc) == sqlite3.SQLITE_FULL:
            return "the disk is full: free space, or give the log a larger disk"
        case Trouble.NO_ROOM:
            return "its quota is used up: free space, or raise the quota or the limit on the size of files"
        case Trouble.HELD:
            return "another program holds it: close the SQLite shell or backup that does"
        case Trouble.FAILING:
            return "the disk fails: check it and its permissions"
        case Trouble.LASTING if error_code(exc) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            return "the file is damaged: restore it from a copy"
        case Trouble.LASTING:
            return "check the disk and the permissions"
