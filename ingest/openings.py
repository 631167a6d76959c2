"""How many connections may be opened at a time, so that a switch that comes back is not met by ten thousand at once?

A bounded number have a place. Two things would let addresses that swallow what is sent to them, and so take the whole time that
connecting may take, hold up all others:

* they would fill the places; so one that has not succeeded after a moment gives its place to the next and goes on without it. Whoever
  answers does so sooner;
* they come again and again; so those whose last try failed have places of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

__all__ = ["OPENING_MAX", "Openings"]

OPENING_MAX: Final = 200
"""Places, for those that failed before and for all others each."""

_HELD_S: Final = 0.25
"""Wall time after which a place is the next one's. A connection over a slow link, with TLS, is mostly made by then."""


class Openings:
    """The places of those that open a connection.

    Args:
        most: places of each of the two kinds.
        held_s: how long one is held at most, s.
    """

    def __init__(self, most: int = OPENING_MAX, held_s: float = _HELD_S) -> None:
        self._held_s = held_s
        self._places = {again: asyncio.Semaphore(most) for again in (False, True)}

    def is_full(self, *, again: bool) -> bool:
        """Whether the next one waits."""
        return self._places[again].locked()

    @asynccontextmanager
    async def place(self, *, again: bool) -> AsyncIterator[None]:
        """Have a place, for a moment, while a connection is opened.

        Args:
            again: whether the last try failed.
        """
        places = self._places[again]
        await places.acquire()
        has_left = False

        def leave() -> None:
            nonlocal has_left
            if not has_left:
                has_left = True
                places.release()

        moment = asyncio.get_running_loop().call_later(self._held_s, leave)
        try:
            yield
        finally:
            moment.cancel()
            leave()
