"""Gives freed memory back to the system, so that a service that runs for months is as large as what it holds.

glibc serves a buffer from pages of its own only above a threshold, and raises that threshold to the largest buffer that was ever freed,
up to 32 MB. Frames, snapshots and batches of lines of some hundred kilobytes then come from the common heap, between small objects that
stay; what they leave behind cannot be given back, and the process grows by a megabyte or two a minute while it holds no more than before
(``make soak`` shows it). With a threshold that stays, they come and go as pages.

Python's collector of cyclic garbage, in turn, looks at everything there is from time to time, and nothing else runs meanwhile: a tenth of a
second and more where ten thousand devices are read. What is there when a service has started, stays; it need not be looked at again. And
what is new is mostly a frame on its way, gone soon without any collector, if that does not come too early.
"""

from __future__ import annotations

import ctypes
import gc
import os
from typing import Final

__all__ = ["give_back_freed_memory", "spare_what_stays"]

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
"""Numbers of ``mallopt(3)``."""

_SETTINGS: Final = (
    (_MMAP_THRESHOLD, 64 * 1024, "MALLOC_MMAP_THRESHOLD_"),
    (_TRIM_THRESHOLD, 128 * 1024, "MALLOC_TRIM_THRESHOLD_"),
    (_ARENA_MAX, 2, "MALLOC_ARENA_MAX"),
)


_NEW_MAX: Final = 10_000
"""New objects after which the collector looks at them; Python's own setting is 700."""


def spare_what_stays() -> None:
    """Have the collector never look again at what is there now, and less often at what is new; once a service has started."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_MAX, *gc.get_threshold()[1:])


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
