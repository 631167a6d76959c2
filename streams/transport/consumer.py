"""How does Faust read the embedded log, and how does it come to own every partition?

One process owns the log, so it is the only member of its consumer group: every partition is its own, and it is the leader. Faust's
own assignor still decides, so that changelogs, the leader's topic and the routing tables are what they are on Kafka.

A damaged record is delivered in its place as a stand-in (:mod:`streams.transport.records`), so that an agent dead-letters it. In a
table's changelog it stops the app: a state read from damaged records is worse than none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from faust.transport.consumer import Consumer as FaustConsumer
from faust.types import TP, ConsumerMessage

from streams.errors import StoreError
from streams.transport.drain import Drain
from streams.transport.link import Link
from streams.transport.log import Log
from streams.transport.records import Record, RecordDamaged, stand_in

__all__ = ["LOG_APPEND_TIME", "Consumer"]

LOG_APPEND_TIME: Final = 1
"""Kafka's timestamp type for "the time of writing"."""

_FETCH_RECORDS: Final = 500
"""Records taken from one partition at a time, so that a partition that lags leaves the others their turn."""


class _Cluster:
    """What Faust's assignor asks of Kafka's cluster metadata."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(self._log.partitions(topic) or 0))


class Consumer(Drain, FaustConsumer):  # type: ignore[misc]
    """Reads the log that its transport opened."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._assigned: frozenset[TP] = frozenset()
        self._positions: dict[TP, int] = {}

    @property
    def _link(self) -> Link:
        link: Link = self.transport.link
        return link

    @property
    def _log(self) -> Log:
        return self._link.log

    # Which partitions are ours: all of them

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Faust: these are the topics to read.

        Raises:
            StoreError: one of them was never declared; on Kafka it would silently not be read.
        """
        wanted = set(topics)
        unknown = sorted(topic for topic in wanted if not self._log.partitions(topic))
        if unknown:
            raise StoreError(f"topics {', '.join(unknown)} are not declared; give them internal=True and partitions=…")
        # Assigning waits for this very call to return, so it must not be awaited here.
        self.add_future(self._rebalance(wanted))

    async def _rebalance(self, topics: set[str]) -> None:
        app, assignor = self.app, self.app.assignor
        app.on_rebalance_start()
        await self.on_partitions_revoked(set(self._assigned))
        app.consumer_generation_id += 1
        assignment = assignor.assign(_Cluster(self._log), {"embedded": assignor.metadata(topics)})["embedded"]
        assignor.on_assignment(assignment)
        self._assigned = frozenset(TP(topic, number) for topic, numbers in assignment.assignment for number in numbers)
        self._positions = self._starting_positions()
        await self.on_partitions_assigned(set(self._assigned), app.consumer_generation_id)

    def _starting_positions(self) -> dict[TP, int]:
        committed = self._log.committed(self.app.conf.id)
        latest = self.app.conf.consumer_auto_offset_reset == "latest"
        positions = {}
        for tp in self._assigned:
            oldest, end = self._log.bounds(tp.topic, tp.partition)
            positions[tp] = max(oldest, committed.get(tp, end if latest else 0))
        return positions

    def assignment(self) -> set[TP]:
        """Return every partition of the topics subscribed to."""
        return set(self._assigned)

    def topic_partitions(self, topic: str) -> int | None:
        """Return how many partitions a topic has, None where it is not declared."""
        return self._log.partitions(topic)

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        """Return the partition that a record goes to."""
        return self._link.partition_for(topic, key, partition)

    async def create_topic(self, topic: str, partitions: int, replication: int, **kwargs: Any) -> None:
        """Declare a topic."""
        await self.app.producer.create_topic(topic, partitions, replication, **kwargs)

    # Positions

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go back to where processing stands. Changelogs have no such place; recovery seeks them itself."""
        positions = {tp: offset for tp, offset in self._starting_positions().items() if not self._is_changelog_tp(tp)}
        self._positions.update(positions)
        return positions

    async def _seek(self, partition: TP, offset: int) -> None:
        self._positions[partition] = offset

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Go to these offsets; what was read before does not count as read."""
        self._positions.update(partitions)
        self._read_offset.update({tp: offset or None for tp, offset in partitions.items()})

    async def position(self, tp: TP) -> int | None:
        """Return the next offset to be read."""
        return self._positions.get(tp)

    def highwater(self, tp: TP) -> int:
        """Return the offset behind the newest record."""
        return self._log.bounds(tp.topic, tp.partition)[1]

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Return :meth:`highwater` of several partitions."""
        return {tp: self.highwater(tp) for tp in partitions}

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the oldest offset that is still there, of several partitions."""
        return {tp: self._log.bounds(tp.topic, tp.partition)[0] for tp in partitions}

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        try:
            ticket = self._log.commit(self.app.conf.id, {(tp.topic, tp.partition): offset for tp, offset in offsets.items()})
            await self._link.durable(ticket)
        except StoreError as exc:
            await self.crash(exc)
            return False
        return True

    async def confirm(self, tp: TP, offset: int) -> bool:
        """Whether this worker still has a partition; it is the only one there is."""
        return True

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    # The end

    async def wait_empty(self) -> None:
        """Faust, before a stop: see :meth:`Drain.wait_empty`; a disk that takes nothing holds it up for a few seconds only."""
        if self.app.should_stop and self.transport.opened is not None:
            self._link.stopping()
        await super().wait_empty()

    def _is_hopeless(self) -> bool:
        return self.transport.opened is None or self._log.failure is not None

    # Records

    def resume_partitions(self, tps: Any) -> None:
        """Faust: these may be read from now on; a fetch that waits for others ends."""
        super().resume_partitions(tps)
        self._link.nudge()

    async def _getmany(self, active_partitions: frozenset[TP] | None, timeout: float) -> dict[TP, list[Record]]:  # noqa: ASYNC109
        found = self._read(self._assigned if active_partitions is None else active_partitions & self._assigned)
        if not found:
            # Nothing is read after the wait: which partitions may be read can have changed, and the caller asks again at once.
            await self._link.moved(timeout)
        return found

    def _read(self, partitions: frozenset[TP]) -> dict[TP, list[Record]]:
        found = {}
        for tp in partitions:
            try:
                records = self._log.read(tp.topic, tp.partition, self._positions[tp], records_max=_FETCH_RECORDS)
            except RecordDamaged as damage:
                if self._is_changelog_tp(tp):
                    raise
                self.log.error("%s; a stand-in goes to the agents", damage)
                records = [stand_in(damage)]
            if records:
                found[tp] = records
                self._positions[tp] = records[-1].offset + 1
        return found

    def _to_message(self, tp: TP, record: Record) -> ConsumerMessage:
        offset, ts_write_ms, key, value, headers = record
        generation = self.app.consumer_generation_id
        ts_s = ts_write_ms / 1000.0
        return ConsumerMessage(
            tp.topic, tp.partition, offset, ts_s, LOG_APPEND_TIME, headers, key, value, None, tp=tp, generation_id=generation
        )
