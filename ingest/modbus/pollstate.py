"""One poll under way: what is still to be asked, and what became of what was."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.errors import DeviceError
from ingest.modbus.reading import Group, Reader

__all__ = ["Part", "Poll"]


@dataclass(frozen=True, slots=True)
class Part:
    """What became of one block: columns (n,), when it was read by our clock, and by the device's where it has one.

    ``raw`` are the counts of a device that has counters; None of a block that was not read.
    """

    ids: NDArray[np.uint64]
    ts_event_ns: int
    claimed_ns: int
    values: NDArray[np.float64]
    quality: NDArray[np.uint32]
    flags: NDArray[np.uint16]
    raw: NDArray[np.int64] | None = None


class Poll:
    """One poll under way."""

    __slots__ = ("answered", "asked", "due", "parts", "pending", "put_off", "rests", "silence")

    def __init__(self, due: list[Group], *, rests: bool) -> None:
        self.due = due
        self.pending: deque[Reader] = deque()
        self.asked: list[Reader] = []
        self.put_off = 0
        self.parts: list[Part] = []
        self.silence: DeviceError | None = None
        self.rests = rests
        self.answered = False
