"""A disk without room, and with room again, for a log in this process: found by SQLite itself, not told by a fake.

Two ways, because SQLite says different things: a file that may have no more pages is "full"; a file that may not grow (the limit that
``ulimit -f`` sets, as a quota would) is an input/output error.
"""

from __future__ import annotations

import contextlib
import resource
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from streams.transport.log import Log
from streams.transport.schema import FILE_NAME

__all__ = ["KINDS", "Kind", "no_room", "quota_lifted"]

Kind = Literal["full", "quota"]
KINDS: tuple[Kind, ...] = ("full", "quota")


@contextmanager
def no_room(log: Log, kind: Kind = "full") -> Iterator[None]:
    """Let the disk take nothing more of a log; a few hundred bytes may still fit."""
    if kind == "full":
        file, most = log._file, list[int]()

        def fill() -> None:
            pages, before = (file._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "max_page_count"))
            most.append(before)
            file._db.execute(f"PRAGMA max_page_count={pages}")

        def free() -> None:
            if most:
                file._db.execute(f"PRAGMA max_page_count={most.pop()}")

        _before_writing(file, fill)
        try:
            yield
        finally:
            _before_writing(file, free)
    else:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = max(path.stat().st_size for path in log.directory.glob(f"{FILE_NAME}*"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _before_writing(file: Any, work: Callable[[], None]) -> None:
    """Have something done on the writer's thread before it writes next: its connection is nobody else's while it may be at work."""
    if not hasattr(file, "ordered"):
        file.ordered = deque[Callable[[], None]]()
        for name in ("write", "make_room"):
            setattr(file, name, _after_orders(file.ordered, getattr(file, name)))
    file.ordered.append(work)


def _after_orders(ordered: deque[Callable[[], None]], work: Callable[..., Any]) -> Callable[..., Any]:
    def working(*args: object) -> Any:
        while ordered:
            with contextlib.suppress(sqlite3.Error):
                ordered.popleft()()
        return work(*args)

    return working


@contextmanager
def quota_lifted() -> Iterator[None]:
    """Lift the quota for work of the test's own: it is the whole process's."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (before[1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
