"""How long do frames wait for each other, so that they leave in one record?

A frame of a device that is read several times in ``gather_s``, and tells of nothing that anybody acts on at once, may wait that long for
those that follow it: a record costs more than a frame. Whatever else leaves takes along what waits before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from ingest.frame import TelemetryFrame

__all__ = ["Gathering"]


class Gathering:
    """Says when what waits is to leave.

    Args:
        work: set when it is.
        within_s: longest wait of a frame; 0 for none.
        unhurried: names of the devices whose frames may wait.
    """

    def __init__(self, work: asyncio.Event, within_s: float, unhurried: Collection[str]) -> None:
        self.unhurried = frozenset(unhurried)
        self._work = work
        self._within_s = within_s
        self._due: asyncio.TimerHandle | None = None

    def came(self, frame: TelemetryFrame, *, may_wait: bool) -> None:
        """Take that one more waits; all that wait leave with one that may not."""
        if frame.source not in self.unhurried or not self._within_s or not may_wait:
            self._work.set()
        elif self._due is None:
            self._due = asyncio.get_running_loop().call_later(self._within_s, self._work.set)

    def leaves(self) -> None:
        """Take that all of it leaves."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
