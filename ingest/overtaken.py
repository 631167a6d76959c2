"""Which frames of those that were sent together did not arrive, though later ones of their area did?

Intake takes the frames of a run in their order, and takes one that comes behind later ones for one that came before. Such a frame is sent
again without its ticket: rather taken twice than lost.

Answers in, tickets out: nothing is sent here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from ingest.frame import TelemetryFrame, Ticket

__all__ = ["Overtaken"]


class Overtaken:
    """What was sent and is in doubt, and what of it was overtaken."""

    def __init__(self) -> None:
        self._in_doubt: list[tuple[TelemetryFrame, asyncio.Future[Any]]] = []
        self._tickets: set[tuple[str, Ticket]] = set()

    def __contains__(self, frame: TelemetryFrame) -> bool:
        return frame.ticket is not None and (frame.area, frame.ticket) in self._tickets

    def clear(self) -> None:
        """Forget which were overtaken: all of it has been sent again."""
        self._tickets.clear()

    def doubt(self, sent: Iterable[tuple[TelemetryFrame, asyncio.Future[Any]]]) -> None:
        """Note frames, in the order in which they were sent, and what answers for each."""
        self._in_doubt += sent

    def look(self) -> None:
        """Find out which were overtaken, once all are answered for."""
        if not all(answer.done() for _, answer in self._in_doubt):
            return
        arrived: set[str] = set()
        for frame, answer in reversed(self._in_doubt):
            if not answer.cancelled() and answer.exception() is None:
                arrived.add(frame.area)
            elif frame.area in arrived and frame.ticket is not None:
                self._tickets.add((frame.area, frame.ticket))
        self._in_doubt = []
