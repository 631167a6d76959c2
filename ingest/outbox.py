"""How do the frames of all devices leave in turn, so that none holds up the others?

Each source has a lane of bounded length. Heartbeats and accounts leave behind everything that was read before them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ingest.account import LostReason
from ingest.frame import TelemetryFrame
from ingest.source import Source
from market.errors import GridfuseError

__all__ = ["Outbox"]

_log: Final = logging.getLogger(__name__)

_LANE_FRAMES_MAX: Final = 256
_BEATS_MAX: Final = 64


@dataclass(slots=True, eq=False)
class _Beat:
    """Heartbeats that wait until every lane had as many turns as the longest one needs.

    A later beat may be there first, when the lanes have become shorter meanwhile. It sends the earlier ones before its own: what was read
    before them was read before it.
    """

    frames: Sequence[TelemetryFrame]
    turns: int
    sent: bool = False


class Outbox:
    """The lanes, and what empties them in turn.

    Args:
        emit: takes each frame; one that raises a :class:`market.errors.GridfuseError` does not take it, and it is dropped and counted.
    """

    def __init__(self, emit: Callable[[TelemetryFrame], Awaitable[None]]) -> None:
        self._emit = emit
        self._lanes: dict[Source, list[TelemetryFrame]] = {}
        self._sending: Source | None = None
        self._ready: deque[Source | _Beat] = deque()
        self._beats: deque[_Beat] = deque()
        self.beats_dropped = 0
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, source: Source, frame: TelemetryFrame) -> None:
        """Put a frame into its source's lane; where that is full, the oldest is dropped and counted."""
        lane = self._lanes.get(source)
        if lane is None:
            self._lanes[source] = [frame]
            self._enlist(source)
            return
        if not len(frame) and not len(lane[-1]):
            lane.pop()  # of two heartbeats in a row the later says all; together they must not push values out
        elif len(lane) >= _LANE_FRAMES_MAX:
            source.drop(LostReason.QUEUE_FULL, lane.pop(0))
        lane.append(frame)

    def waiting(self, source: Source) -> int:
        """Return how many frames of a source wait."""
        return len(self._lanes.get(source, ()))

    def is_clear(self, source: Source) -> bool:
        """Whether everything that was put in has left."""
        return self._sending is not source and not self.waiting(source)

    def beat(self, frames: Sequence[TelemetryFrame]) -> None:
        """Have frames sent once everything that waits now was; of too many rounds the oldest is given up, but for its accounts."""
        if len(self._beats) >= _BEATS_MAX:
            oldest = self._beats.popleft()
            oldest.sent = True
            with contextlib.suppress(ValueError):  # it has its turn just now
                self._ready.remove(oldest)
            # A later round says all of the time; accounts are said once.
            self._beats[0].frames = [*(frame for frame in oldest.frames if frame.accounts is not None), *self._beats[0].frames]
            self.beats_dropped += 1
            if self.beats_dropped == 1:
                what = "%d rounds of heartbeats wait to be sent; the oldest is given up, further ones are counted only"
                _log.warning(what, _BEATS_MAX, extra={"reason": "queue_full"})
        beat = _Beat(frames, max((len(lane) for lane in self._lanes.values()), default=0))
        self._beats.append(beat)
        self._enlist(beat)

    def _enlist(self, turn: Source | _Beat) -> None:
        self._ready.append(turn)
        self._work.set()
        self._idle.clear()

    async def run(self) -> None:
        """Empty the lanes until cancelled."""
        while True:
            await self._work.wait()
            while self._ready:
                match self._ready.popleft():
                    case _Beat() as beat:
                        await self._turn_of_beat(beat)
                    case source:
                        await self._turn_of(source)
            self._work.clear()
            self._idle.set()

    async def _turn_of(self, source: Source) -> None:
        lane = self._lanes[source]
        frame = lane.pop(0)
        if lane:
            self._ready.append(source)
        else:
            del self._lanes[source]  # ten thousand empty lanes are seven megabytes
        self._sending = source
        try:
            await self._emit(frame)
        except asyncio.CancelledError:
            source.drop(LostReason.STOPPED, frame)
            raise
        except GridfuseError as exc:
            where = {"device": source.name, "area": source.area, "seq": frame.seq, "reason": str(exc)}
            _log.warning("%s: frame %d was not taken: %s", source.name, frame.seq, exc, extra=where)
            source.drop(LostReason.NOT_TAKEN, frame)
        else:
            source.sent(frame)
        finally:
            self._sending = None

    async def _turn_of_beat(self, beat: _Beat) -> None:
        beat.turns -= 1
        if beat.turns > 0 and not beat.sent:
            self._ready.append(beat)
        while self._beats and beat.turns <= 0 and not beat.sent:
            earliest = self._beats.popleft()
            earliest.sent = True
            for frame in earliest.frames:
                try:
                    await self._emit(frame)
                except GridfuseError as exc:
                    where = {"area": frame.area, "seq": frame.seq, "reason": str(exc)}
                    _log.warning("heartbeat %d of area %s was not taken: %s", frame.seq, frame.area, exc, extra=where)

    async def drained(self) -> None:
        """Return when nothing waits."""
        await self._idle.wait()

    def abandon(self) -> None:
        """Count what is left as lost."""
        for source, lane in self._lanes.items():
            for frame in lane:
                source.drop(LostReason.STOPPED, frame)
        self._lanes.clear()
        self._ready.clear()
        self._beats.clear()
