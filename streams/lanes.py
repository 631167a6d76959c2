"""How does every sink see every record, and none of them ever hold up a processor or another sink?

Each observer has a lane of its own for each topic it wants: a short queue, and a task that shows it what is there. A record is
acknowledged when every lane is done with it, so after a crash it is shown again. A sink that is away fills its own lanes, and no others:

* **telemetry** (its partitions are those that intake reads): a full lane gives up its oldest frame, which is counted, as in the
  gateway's queues and for the same reason: the newest are wanted, and holding up this topic would blind the market. The frame
  stays on its topic;
* **everything else**: whoever fills the lane waits. Then the topic's buffer in front of it fills, then its partition is not read any
  further: what waits, waits on disk. No processor that decides reads these topics.

An observer may have attributes beside :meth:`Observer.see`: ``topics``, those it wants (all by default); ``see_all``, which takes all
records that wait at once, in order; and ``leaves``, topics of which it takes again by itself what a full lane gave up for it, so that
nobody waits for it there. Of these it is told with ``left``, before anything is acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from streams import topics
from streams.errors import StoreError
from streams.runtime import Dealt, Shell, outside_of_records
from streams.topics import Topic

__all__ = ["LANE_RECORDS_MAX", "SHOWN", "Lane", "Lanes", "Observer"]

_log = logging.getLogger(__name__)

SHOWN: Final = (topics.FRAMES, topics.KPI, topics.OUTCOMES, topics.DECISIONS, topics.PRICES, topics.ALERTS, topics.DEAD_LETTERS)
"""Topics that observers may see."""

LANE_RECORDS_MAX: Final = 1024
"""Records that wait for one observer, by topic: a second of telemetry at a thousand frames per second, three days of outcomes."""

_BATCH_RECORDS: Final = 64
_TOLD_EVERY: Final = 1000


class Observer(Protocol):
    """Wants to see every record of a topic after it was made durable: a sink."""

    async def see(self, topic: Topic, record: Any) -> None:
        """Take one record; it may be seen twice. A record that an observer raises on goes to the dead letters, with its name."""
        ...


class _Shown:
    """One record on its way past the observers.

    Attributes:
        left: lanes that are not done with it.
        failures: what observers raised on it.
        era: which ownership of the partition it was read in.
    """

    __slots__ = ("era", "event", "failures", "left", "topic")

    def __init__(self, topic: Topic, event: Any, left: int, era: int) -> None:
        self.topic, self.event, self.left, self.era = topic, event, left, era
        self.failures: list[str] = []


class Lane:
    """What waits for one observer on one topic.

    Attributes:
        sink: the observer's class.
        skipped: records that were given up for it because it was too far behind.
    """

    def __init__(self, topic: Topic, observer: Observer, records_max: int) -> None:
        self.topic = topic
        self.sink = type(observer).__name__
        self.skipped = 0
        self.records_max = records_max
        self.leaves = topic in getattr(observer, "leaves", ())
        self._observer: Any = observer
        self._queue: deque[tuple[Any, _Shown]] = deque()
        self._in_hand: deque[_Shown] = deque()
        self._work, self._room = asyncio.Event(), asyncio.Event()

    @property
    def waiting(self) -> int:
        """Records that the observer has not seen to the end."""
        return len(self._queue) + len(self._in_hand)

    @property
    def full(self) -> bool:
        """Whether nothing more can be put."""
        return self.waiting >= self.records_max

    def put(self, record: Any, shown: _Shown) -> None:
        """Queue a record; there must be room."""
        self._queue.append((record, shown))
        self._work.set()

    async def room(self) -> None:
        """Return once there is room."""
        while self.full:
            self._room.clear()
            await self._room.wait()

    def skip(self) -> _Shown:
        """Give up the oldest record: one that the observer has in hand is no longer waited for, unless it takes again what was left."""
        self.skipped += 1
        if self.skipped == 1 or self.skipped % _TOLD_EVERY == 0:
            what = "%s is behind on %s: %d records not shown to it so far; they stay on the topic"
            where = {"sink": self.sink, "topic": self.topic.name, "records": self.skipped}
            _log.error(what, self.sink, self.topic.name, self.skipped, extra=where)
        if self.leaves and self._queue:
            shown = self._queue.popleft()[1]  # what it has in hand it will write, and would write twice
        else:
            shown = self._in_hand.popleft() if self._in_hand else self._queue.popleft()[1]
        if self.leaves:
            message = shown.event.message
            self._observer.left(self.topic, message.partition, message.offset)
        return shown

    def forget(self) -> None:
        """Drop what waits: another worker shows it."""
        self._queue.clear()
        self._in_hand.clear()
        self._room.set()

    async def take(self) -> list[_Shown]:
        """Show the observer what waits; returns what it is done with and nobody gave up meanwhile."""
        while not self._queue:
            self._work.clear()
            await self._work.wait()
        most = _BATCH_RECORDS if hasattr(self._observer, "see_all") else 1
        if self.leaves:
            most = min(most, max(1, self.records_max // 2))  # so that a full lane always has one to give up that is not in hand
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), most))]
        self._in_hand.extend(shown for _, shown in batch)
        if await self._fails(batch) and len(batch) > 1:
            for each in batch:  # which of them it is; the others it may see twice
                await self._fails([each])
        done = list(self._in_hand)
        self._in_hand.clear()
        self._room.set()
        return done

    async def _fails(self, batch: list[tuple[Any, _Shown]]) -> bool:
        """Show the observer records; whether it raised, which is noted of one that was shown alone."""
        try:
            if (see_all := getattr(self._observer, "see_all", None)) is not None:
                await see_all(self.topic, [record for record, _ in batch])
            else:
                await self._observer.see(self.topic, batch[0][0])
        except Exception as exc:
            # One that fails takes nothing from the others.
            if len(batch) == 1:
                shown = batch[0][1]
                offset = shown.event.message.offset
                where = {"sink": self.sink, "topic": self.topic.name, "offset": offset}
                _log.exception("%s failed on %s offset %d", self.sink, self.topic.name, offset, extra=where)
                shown.failures.append(f"{self.sink}: {exc!r}")
            return True
        return False


class Lanes:
    """Shows records to observers.

    Args:
        shell: dead-letters what an observer raised on.
        observers: asked when the first record comes; each gets a lane for each topic it wants.
        records_max: length of a lane.
    """

    def __init__(self, shell: Shell, observers: Callable[[], Sequence[Observer]], records_max: int = LANE_RECORDS_MAX) -> None:
        self._shell = shell
        self._observers = observers
        self._records_max = records_max
        self._by_topic: dict[Topic, list[Lane]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._era = 0
        shell.at_revocation(self._forget)
        # Sent when the agents have stopped and the log is still open.
        shell.app.on_before_shutdown.connect(self._end, weak=False)

    def lanes(self) -> list[Lane]:
        """Return every lane, for whoever counts; none before the first record."""
        return [lane for lanes in self._by_topic.values() for lane in lanes]

    async def show(self, topic: Topic, record: Any, event: Any) -> Dealt:
        """Put a record into the lanes of its topic; it is acknowledged when the last observer is done with it."""
        if not self._by_topic:
            self._open()
        lanes = self._by_topic[topic]
        if not lanes:
            return Dealt.NOTHING_KEPT
        shown = _Shown(topic, event, len(lanes), self._era)
        behind = [lane for lane in lanes if lane.full]
        for lane in lanes:
            if not lane.full:
                lane.put(record, shown)
        for lane in behind:
            if topic is not topics.FRAMES and not lane.leaves:
                await lane.room()
            elif lane.full:
                await self._done([lane.skip()])
            lane.put(record, shown)
        return Dealt.LATER

    def _open(self) -> None:
        observers = self._observers()
        for topic in SHOWN:
            wanting = [observer for observer in observers if topic in getattr(observer, "topics", SHOWN)]
            self._by_topic[topic] = [Lane(topic, observer, self._records_max) for observer in wanting]
        self._tasks = [asyncio.create_task(self._run(lane), name=f"show {lane.topic.name} to {lane.sink}") for lane in self.lanes()]

    async def _run(self, lane: Lane) -> None:
        outside_of_records()  # it was begun while a record was in work, and outlives it
        try:
            while True:
                await self._done(await lane.take())
        except Exception as exc:
            self._shell.die(
                f"showing {lane.topic.name} to {lane.sink} stopped: {exc!r}", exc, {"sink": lane.sink, "topic": lane.topic.name}
            )

    async def _done(self, past: Sequence[_Shown]) -> None:
        for shown in past:
            shown.left -= 1
            if shown.left or shown.era != self._era:
                continue
            if shown.failures:
                try:
                    await self._shell.bury(shown.topic, shown.event, "; ".join(shown.failures))
                except StoreError as exc:
                    self._shell.die(f"{shown.topic.name}: {exc}", exc, {"topic": shown.topic.name})
            shown.event.ack()

    def _forget(self) -> None:
        self._era += 1
        for lane in self.lanes():
            lane.forget()

    async def _end(self, *_app: Any, **_more: Any) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
