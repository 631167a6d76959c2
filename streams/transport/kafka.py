"""What differs from Faust's own Kafka driver?

The driver for ``gridkafka://host:port``, which :func:`streams.transport.broker_url` makes of ``kafka://host:port``. It is Faust's
aiokafka driver with the fetch loop of :mod:`streams.transport.drain`, and with topics created so that both transports keep the
same records:

* Records are stamped by the broker (``LogAppendTime``): retention goes by the time of writing, so replayed history is not deleted
  minutes after it was written.
* A topic without a retention is kept for good, not for the broker's seven days.
* A compacted topic's segments are closed after an hour or 64 MiB. The broker compacts closed segments only, and by default closes
  them after a week; a table would be recovered from every change it ever made.

A broker may confirm that a topic was created before it lists it, and Faust reads only what is listed when it subscribes: an app
that just declared its topics would say that it is ready and read nothing for five minutes. So subscribing waits until every topic
is listed, and fails where one is not. Topics that a worker only writes to are declared then as well; Faust would not.

A commit also tells whether this worker still is what it believes to be: the broker takes none of a worker whose partitions went to
another one. Faust ends the app where that happens, and where a rebalance leaves nothing to commit; here the commit is not done, and the
assignment that follows says what to do. :meth:`Consumer.confirm` asks the same question of a single partition.

A fetch that waits may wait through a whole rebalance, and end after the recovery of the tables has sought the changelogs and before it
lets records flow. What it brings then is delivered to nobody, but aiokafka counts it as read. Nothing more is ever written to the changelog
of a worker that died, so that the one which takes over waited for its state for ever. Here such a fetch leaves every position where it was.

``exactly_once`` is refused.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Final

from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka
from faust.types import TP

from market.errors import ConfigError, Problem
from streams.transport.drain import Drain
from streams.transport.guard import refuse_exactly_once

__all__ = ["Consumer", "Transport", "until_listed"]

_LISTED_WITHIN_S: Final = 30.0
_LOOK_EVERY_S: Final = 0.1

_log = logging.getLogger(__name__)

_NO_MEMBER: Final = (CommitFailedError, IllegalGenerationError, IllegalStateError, RebalanceInProgressError, UnknownMemberIdError)
"""What a broker, and aiokafka for it, says to a worker that is not a member of its group any more, or of its last assignment."""

_COMPACTED: Final = {"segment.ms": "3600000", "segment.bytes": "67108864", "min.cleanable.dirty.ratio": "0.1"}


def _tells_no_absence(record: logging.LogRecord) -> bool:
    """A filter: that a topic is not listed yet is what is waited for, and no error."""
    return "not found in cluster metadata" not in record.getMessage()


async def until_listed(client: Any, topics: Iterable[str], within_s: float = _LISTED_WITHIN_S) -> None:
    """Return once a broker lists every topic.

    Args:
        client: aiokafka's; runs on the event loop of this coroutine.

    Raises:
        ConfigError: a topic is not listed in time.
    """
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + within_s
    cluster_log = logging.getLogger("aiokafka.cluster")
    cluster_log.addFilter(_tells_no_absence)
    try:
        await client.set_topics(topics)
        while missing := sorted(topic for topic in topics if not client.cluster.partitions_for_topic(topic)):
            if loop.time() > deadline_s:
                raise ConfigError([Problem(topic, "is not on the broker; give it internal=True, or create it there") for topic in missing])
            await asyncio.sleep(_LOOK_EVERY_S)
            await client.force_metadata_update()
    finally:
        cluster_log.removeFilter(_tells_no_absence)


async def _committed(thread: Any, offsets: Mapping[TP, int]) -> bool:
    """Commit, on the thread of aiokafka's consumer; False where the broker says that the partitions are another worker's.

    Raises:
        KafkaError: it could not be done for another reason.
    """
    ours = thread.assignment()
    wanted = {TopicPartition(*tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items() if tp in ours}
    if not wanted:
        return False
    try:
        await thread._ensure_consumer().commit(wanted)
    except _NO_MEMBER as exc:
        _log.warning("nothing is committed: %s", type(exc).__name__)
        return False
    thread.tp_last_committed_at.update(dict.fromkeys(offsets, time.monotonic()))
    return True


async def _fetched(consumer: Any, thread: Any, partitions: frozenset[TP] | None, wait_s: float) -> Mapping[Any, list[Any]]:
    """Fetch, on the thread of aiokafka's consumer: its next records by partition; none, and none skipped, while the flow is stopped."""
    source = thread._ensure_consumer()
    found: Mapping[Any, list[Any]] = await thread._fetch_records(source, partitions, timeout=wait_s, max_records=source._max_poll_records)
    if consumer.flow_active:
        return found
    # Nothing is awaited since the records were taken, so no seek of recovery can come in between, to be overruled here.
    for place, records in found.items():
        source.seek(place, records[0].offset)
    return {}


class Consumer(Drain, aiokafka.Consumer):  # type: ignore[misc]
    """Faust's aiokafka consumer with our fetch loop."""

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        try:
            done: bool = await self._thread.call_thread(_committed, self._thread, offsets)
        except KafkaError as exc:
            self.log.error("offsets could not be committed: %r", exc)
            await self.crash(exc)
            return False
        return done

    async def _getmany(self, active_partitions: frozenset[TP] | None, timeout: float) -> Mapping[Any, list[Any]]:  # noqa: ASYNC109
        found: Mapping[Any, list[Any]] = await self._thread.call_thread(_fetched, self, self._thread, active_partitions, timeout)
        return found

    async def confirm(self, tp: TP, offset: int) -> bool:
        """Whether the broker takes it from this worker that a partition was dealt with up to before ``offset``.

        Raises:
            KafkaError: the broker does not say.
        """
        return bool(await self._thread.call_thread(_committed, self._thread, {tp: offset}))

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Faust: these are the topics to read.

        Raises:
            ConfigError: one of them is not on the broker.
        """
        wanted = set(topics)
        declare_all = getattr(self.app, "declare_all", None)
        written = () if declare_all is None else await declare_all()
        thread = self._thread
        await thread.call_thread(until_listed, thread._ensure_consumer()._client, wanted.union(written))
        await super().subscribe(wanted)


class Transport(aiokafka.Transport):  # type: ignore[misc]
    """Faust's aiokafka transport with our consumer.

    Raises:
        ConfigError: the app asks for ``exactly_once``.
    """

    Consumer = Consumer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        refuse_exactly_once(self.app)

    def _topic_config(
        self, retention: int | None = None, compacting: bool | None = None, deleting: bool | None = None
    ) -> MutableMapping[str, Any]:
        config: MutableMapping[str, Any] = super()._topic_config(retention, compacting, deleting)
        config["message.timestamp.type"] = "LogAppendTime"
        if not retention:
            config["retention.ms"] = "-1"
        if compacting:
            config.update(_COMPACTED)
        return config
