"""Which samples does the grid miss most, when not all of them can be kept?

What the market breaker and the operators act on first: positions of switches and who is in control. Then what is measured of the grid.
Last what a point list carries besides, which takes no part in a decision (:mod:`ingest.points`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.frame import TelemetryFrame, point_id

__all__ = ["Priorities", "Priority", "priority_of"]


class Priority(IntEnum):
    """How much a sample matters; the greatest number is let go of first."""

    STATUS = 0
    """Positions of switches, control claimed; and the accounts of all samples."""
    MEASURED = 1
    """What is measured of units, loads, buses, branches and areas."""
    OTHER = 2
    """What is carried, stored and shown only."""


_STATUS: Final = frozenset({"switch", "site"})
_MEASURED: Final = frozenset({"unit", "load", "bus", "branch", "area"})


def priority_of(name: str) -> Priority:
    """Return the priority of a point by its full name.

    >>> priority_of("switch/A1/from").name, priority_of("load/101/mw").name, priority_of("meter/7/firmware").name
    ('STATUS', 'MEASURED', 'OTHER')
    """
    kind = name.partition("/")[0]
    if kind in _STATUS:
        return Priority.STATUS
    return Priority.MEASURED if kind in _MEASURED else Priority.OTHER


class Priorities:
    """The priorities of the points of a list.

    Args:
        names: full names of the points; an id that is none of theirs has the last priority.
    """

    def __init__(self, names: Iterable[str]) -> None:
        by_id = {point_id(name): priority_of(name) for name in names}
        self._ids: NDArray[np.uint64] = np.array(sorted(by_id), dtype=np.uint64)
        self._priority: NDArray[np.uint8] = np.array([by_id[number] for number in sorted(by_id)], dtype=np.uint8)

    def parts(self, frame: TelemetryFrame) -> Iterator[tuple[Priority, TelemetryFrame]]:
        """Yield the samples of a frame by priority, those that matter most first; a frame of accounts comes whole, with the first."""
        if not len(frame) or not len(self._ids):
            yield Priority.STATUS if frame.accounts is not None else Priority.OTHER, frame
            return
        rows = np.minimum(np.searchsorted(self._ids, frame.point), len(self._ids) - 1)
        found = np.where(self._ids[rows] == frame.point, self._priority[rows], np.uint8(Priority.OTHER))
        for priority in Priority:
            chosen = found == priority
            count = int(np.count_nonzero(chosen))
            if count == len(frame):
                yield priority, frame
            elif count:
                yield priority, frame.only(chosen)
