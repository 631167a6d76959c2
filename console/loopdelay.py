"""Does the event loop come round in time? Everything that is slow in this process shows here first."""

from __future__ import annotations

import asyncio
from typing import Final

__all__ = ["LoopDelay"]

_EVERY_S: Final = 0.1


class LoopDelay:
    """Sleeps 100 ms again and again, and notes how much later than that it was woken.

    Attributes:
        last_s: the latest delay, wall s.
    """

    def __init__(self) -> None:
        self.last_s = 0.0
        self._max_s = 0.0
        self._due_s: float | None = None

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._due_s = due_s = loop.time() + _EVERY_S
            await asyncio.sleep(_EVERY_S)
            self.last_s = max(0.0, loop.time() - due_s)
            self._max_s = max(self._max_s, self.last_s)

    def late_s(self) -> float:
        """Return how late the loop is, wall s: the latest delay, or the one that lasts; for whoever runs on the loop himself."""
        overdue_s = 0.0 if self._due_s is None else asyncio.get_running_loop().time() - self._due_s
        return max(self.last_s, overdue_s)

    def take_max_s(self) -> float:
        """Return the largest delay since the last call, wall s, and begin anew with the latest one."""
        max_s, self._max_s = self._max_s, self.last_s
        return max_s
