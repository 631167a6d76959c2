"""One process at a time: a file that whoever works in a directory holds, and that says who it is.

The lock is the kernel's, so it goes with the process however that ends; what stands in the file is for people.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

__all__ = ["Held", "holder", "own"]


class Held(Exception):  # no error of ours: its callers say what it means for them
    """Another process, or this one a second time, has it.

    Attributes:
        by: its process number as a person reads it, ``unknown`` where the file does not say.
    """

    def __init__(self, by: str) -> None:
        self.by = by
        super().__init__(by)


def own(path: Path, mode: int = 0o644) -> int:
    """Lock a file for this process; returns its descriptor, which holds the lock until it is closed.

    Args:
        mode: permissions, where the file is made.

    Raises:
        Held: somebody has it.
        OSError: the file cannot be made or opened.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        by = _written(fd) or "unknown"
        os.close(fd)
        raise Held(by) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def holder(path: Path) -> int | None:
    """Return the process that holds a lock: its number, 0 where the file does not say, None where nobody does.

    It asks for the lock, shared, and lets go at once; who wants it in that very instant would find it taken.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = _written(fd)
        return int(text) if text.isdigit() else 0
    else:
        return None
    finally:
        os.close(fd)


def _written(fd: int) -> str:
    return os.pread(fd, 32, 0).decode("ascii", "replace").strip()
