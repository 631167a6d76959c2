"""Gives freed memory back to the system, so that a service that runs for months is as large as what it holds.

glibc serves a buffer from pages of its own only above a threshold, and raises that threshold to the largest buffer that was ever freed,
up to 32 MB. Frames, snapshots and batches of lines of some hundred kilobytes then come from the common heap, between small objects that
stay; what they leave behind cannot be given back, and the process grows by a megabyte or two a minute while it holds no more than before
(``make soak`` shows it). With a threshold that stays, they come and go as pages.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

__all__ = ["give_back_freed_memory"]

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
"""Numbers of ``mallopt(3)``."""

_SETTINGS: Final = (
    (_MMAP_THRESHOLD, 64 * 1024, "MALLOC_MMAP_THRESHOLD_"),
    (_TRIM_THRESHOLD, 128 * 1024, "MALLOC_TRIM_THRESHOLD_"),
    (_ARENA_MAX, 2, "MALLOC_ARENA_MAX"),
)


def give_back_freed_memory() -> None:
    """Set the allocator so for the rest of the process; before threads are started, and without effect where it is not glibc's.

    What the environment says of a setting counts.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    for parameter, value, variable in _SETTINGS:
        if variable not in os.environ:
            mallopt(parameter, value)
