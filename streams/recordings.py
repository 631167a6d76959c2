"""What was recorded, wherever it is: the embedded log of this machine, or the topics of a Kafka cluster.

Both are read from outside, beside a running service, and neither learns of it: no lock, no consumer group, no commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.errors import StoreError
from streams.replay import RecordSource
from streams.roles import Role
from streams.transport import log_directory
from streams.transport.cluster import asking, partitions_of, servers_of
from streams.transport.reader import LogReader
from streams.transport.records import Record

__all__ = ["Recording", "open_recording"]

_GROUP: Final = Role.ALL.group("")
_FETCH_MS: Final = 1000
_PATIENCE: Final = 30
"""Fetches in a row that may bring nothing before a broker counts as silent."""


_GROUP_TRIES: Final = 60
_GROUP_PAUSE_S: Final = 0.5


class Recording(RecordSource, Protocol):
    """Recorded topics, which may also be read from near their end."""

    def newest(self, topic: str, partition: int, most: int) -> Iterator[Record]:
        """Yield the newest records of one partition in order."""
        ...


@contextmanager
def open_recording(broker: str, group: str = _GROUP) -> Iterator[Recording]:
    """Open what a service with this broker has recorded.

    Args:
        broker: as in the settings, ``embedded://DIR`` or ``kafka://host:port``.
        group: whose progress counts as done; that of a whole service by default.

    Raises:
        StoreError: it cannot be read.
    """
    directory = log_directory(broker)
    if directory is not None:
        with _log(directory, group) as log:
            yield log
    else:
        with _Kafka(servers_of(broker), group) as kafka:
            yield kafka


@contextmanager
def _log(directory: Path, group: str) -> Iterator[Recording]:
    with LogReader(directory) as log:
        yield _Log(log, group)


class _Log:
    """The embedded log."""

    def __init__(self, log: LogReader, group: str) -> None:
        self._log = log
        self._topics = log.topics()
        self._done = log.committed(group)

    def partitions(self, topic: str) -> int:
        return self._topics[topic].partitions if topic in self._topics else 0

    def newest(self, topic: str, partition: int, most: int) -> Iterator[Record]:
        oldest, end = self._log.bounds(topic, partition)
        return self._log.records(topic, partition, max(oldest, end - most))

    def done(self, topic: str, partition: int) -> int:
        return self._done.get((topic, partition), 0)

    def records(self, topic: str, partition: int, start: int = 0) -> Iterator[Record]:
        return self._log.records(topic, partition, start)


class _Kafka:
    """A cluster; its client runs on an event loop of its own, which turns while somebody reads."""

    def __init__(self, servers: list[str], group: str) -> None:
        self._servers = servers
        self._group = group
        self._runner = asyncio.Runner()
        self._partitions: dict[str, int] = {}
        self._done: dict[tuple[str, int], int] | None = None

    def __enter__(self) -> Self:
        self._partitions = self._run(partitions_of(self._servers))
        return self

    def __exit__(self, *_exc: object) -> None:
        self._runner.close()

    def _run(self, work: Any) -> Any:
        try:
            return self._runner.run(work)
        except (KafkaError, OSError) as exc:
            raise StoreError(f"the broker {';'.join(self._servers)} cannot be read: {exc!r}; see `gridfuse doctor`") from exc

    async def _committed(self) -> dict[tuple[str, int], int]:
        async with asking(self._servers) as admin:
            committed = await _patiently(lambda: admin.list_consumer_group_offsets(self._group))
        return {(place.topic, place.partition): int(at.offset) for place, at in committed.items()}

    def partitions(self, topic: str) -> int:
        return self._partitions.get(topic, 0)

    def done(self, topic: str, partition: int) -> int:
        # Asked for when it is wanted: a broker that is new knows topics before it knows groups.
        if self._done is None:
            self._done = self._run(self._committed())
        return self._done.get((topic, partition), 0)

    def records(self, topic: str, partition: int, start: int = 0) -> Iterator[Record]:
        return self._read(TopicPartition(topic, partition), lambda end: start)

    def newest(self, topic: str, partition: int, most: int) -> Iterator[Record]:
        return self._read(TopicPartition(topic, partition), lambda end: end - most)

    def _read(self, place: TopicPartition, start: Callable[[int], int]) -> Iterator[Record]:
        """Yield what stands on a partition; ``start`` says, for its end, where to begin."""
        consumer = self._run(self._consumer())
        try:
            end = self._run(_begun(consumer, place, start))
            silent = 0
            while self._run(consumer.position(place)) < end:
                found = self._run(consumer.getmany(place, timeout_ms=_FETCH_MS)).get(place, [])
                silent = 0 if found else silent + 1
                if silent > _PATIENCE:
                    raise StoreError(
                        f"the broker {';'.join(self._servers)} gives nothing of {place.topic}[{place.partition}]; see `gridfuse doctor`"
                    )
                for record in found:
                    if record.offset < end:
                        yield Record(record.offset, record.timestamp, record.key, record.value, tuple(record.headers))
        finally:
            self._run(consumer.stop())

    async def _consumer(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._servers, enable_auto_commit=False, max_partition_fetch_bytes=8 << 20)
        await consumer.start()
        return consumer


async def _patiently(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Ask until there is an answer: a broker that is new makes the topic of its groups when somebody first asks for one."""
    for _ in range(_GROUP_TRIES):
        try:
            return await ask()
        except KafkaError as exc:
            if not exc.retriable:
                raise
        await asyncio.sleep(_GROUP_PAUSE_S)
    return await ask()


async def _begun(consumer: AIOKafkaConsumer, place: TopicPartition, start: Callable[[int], int]) -> int:
    """Go to an offset, or to the oldest that is still there; returns where reading ends."""
    oldest, ends = await consumer.beginning_offsets([place]), await consumer.end_offsets([place])
    consumer.assign([place])
    consumer.seek(place, max(oldest[place], start(ends[place])))
    return int(ends[place])
