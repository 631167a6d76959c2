"""How does Faust run without a broker, on the durable log of this machine?

The Faust driver for ``embedded:///abs/dir``. Conductor, fetcher, table recovery, table manager and partition assignor are Faust's
own; this driver gives them what aiokafka gives them on Kafka: topics with partitions, offsets, committed positions, and sends that
resolve once the record is safe. It behaves as Kafka does wherever an app could tell:

* a key goes to the partition that murmur2 names, as in Kafka's own clients;
* delivery is at least once; ``exactly_once`` is refused;
* a record is stamped with the time at which it was written; when something happened stands in its value;
* a record larger than a Kafka broker takes by default is refused.

While the log is stalled (disk full), sends wait. When it fails, or the worker is stopped meanwhile, every send that waits fails with
its reason and the app crashes: the worker ends with an error.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any

from faust.transport import base
from faust.transport.producer import Producer as FaustProducer
from faust.transport.producer import ProducerBuffer
from faust.types import TP, FutureMessage, RecordMetadata
from mode.utils.times import want_seconds

from streams.errors import StoreError
from streams.transport import options_in
from streams.transport.consumer import LOG_APPEND_TIME, Consumer
from streams.transport.guard import refuse_exactly_once
from streams.transport.link import Link
from streams.transport.records import Headers

__all__ = ["Producer", "Transport"]


class _Sent(asyncio.Future[RecordMetadata]):
    """A send on its way to disk.

    It cannot be taken back, so a task that is cancelled while it waits for it is cancelled once it is there: milliseconds later.
    (Faust reports a cancelled send as a broken callback.)
    """

    def cancel(self, msg: object = None) -> bool:
        """Do nothing."""
        return False


class _Ebb(ProducerBuffer):  # type: ignore[misc]
    """Faust's producer buffer. Nothing is ever in it, but the conductor asks it whether to hold deliveries back."""

    link: Link | None = None

    async def flush_atmost(self, max_messages: int | None) -> int:
        return 0

    async def wait_until_ebb(self) -> None:
        if self.link is not None:
            await self.link.ebb(delivery=True)


class Producer(FaustProducer):  # type: ignore[misc]
    """Appends to the log; opens it when the app starts and closes it when everything else has stopped."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.buffer = _Ebb(loop=self.loop, beacon=self.beacon)
        self.buffer.app = self.app

    async def on_start(self) -> None:
        """Faust: the first service to start.

        Raises:
            StoreLocked: another process owns the directory.
            StoreError: the directory cannot be used.
        """
        self.buffer.link = self.transport.open(lambda failure: self.add_future(self.crash(failure)))
        await super().on_start()

    async def on_stop(self) -> None:
        """Faust: the last service to stop; everything sent is on disk when this returns."""
        await super().on_stop()
        self.transport.close()

    def _append(
        self, topic: str, key: bytes | None, value: bytes | None, partition: int | None, headers: Any
    ) -> tuple[int, RecordMetadata]:
        link: Link = self.transport.link
        number = link.partition_for(topic, key, partition)
        offset, ts_write_ms, ticket = link.log.append(topic, number, key, value, _plain(headers))
        return ticket, RecordMetadata(topic, number, TP(topic, number), offset, ts_write_ms / 1000.0, LOG_APPEND_TIME)

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,
    ) -> Awaitable[RecordMetadata]:
        """Queue a record; what is returned resolves once it is on disk. Waits first while too much is on its way there.

        ``timestamp`` is not used: retention goes by the time of writing.

        Raises:
            StoreError: the topic is not declared, or the log has failed.
            ValueError: the record is too large.
        """
        link: Link = self.transport.link
        await link.ebb()
        ticket, sent = self._append(topic, key, value, partition, headers)
        future = _Sent(loop=self.loop)
        link.resolve(ticket, future, sent)
        return future

    async def send_and_wait(self, *args: Any, **kwargs: Any) -> RecordMetadata:
        """Send a record and return once it is on disk; see :meth:`send`."""
        return await (await self.send(*args, **kwargs))

    def send_soon(self, fut: FutureMessage) -> None:
        """Queue a table's change. It needs no buffer: an append never waits, and what is queued precedes the next commit.

        Raises:
            StoreError: the log has failed, or holds more than it may for a disk that takes nothing.
        """
        message = fut.message
        ticket, sent = self._append(message.channel.get_topic_name(), message.key, message.value, message.partition, message.headers)
        if message.callback is not None:
            fut.add_done_callback(_tell)
        self.transport.link.resolve(ticket, fut, sent)

    async def flush(self) -> None:
        """Return once everything sent so far is on disk. Where the log has failed, the app is crashing and nothing is waited for."""
        link: Link | None = self.transport.opened
        if link is not None:
            with contextlib.suppress(StoreError):
                await link.durable(link.log.last_ticket)

    async def create_topic(
        self,
        topic: str,
        partitions: int,
        replication: int,
        *,
        config: Mapping[str, Any] | None = None,
        timeout: Any = 30.0,  # noqa: ASYNC109
        retention: Any = None,
        compacting: bool | None = None,
        deleting: bool | None = None,
        ensure_created: bool = False,
    ) -> None:
        """Declare a topic. Of Kafka's settings only partitions, retention (s) and compaction mean anything here."""
        retention_ms = int(want_seconds(retention) * 1000) if retention else None
        self.transport.link.log.declare(topic, partitions=partitions, retention_ms=retention_ms, compacted=bool(compacting))

    def key_partition(self, topic: str, key: bytes) -> TP:
        """Return where a key's records are."""
        return TP(topic, self.transport.link.partition_for(topic, key, None))

    def supports_headers(self) -> bool:
        """Records carry headers."""
        return True


def _tell(sent: FutureMessage) -> None:
    """Call back whoever asked to hear of a change that is on disk."""
    if not sent.cancelled() and sent.exception() is None:
        sent.message.callback(sent)


def _plain(headers: Any) -> Headers:
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    return tuple((str(name), bytes(content)) for name, content in pairs)


class Transport(base.Transport):  # type: ignore[misc]
    """The log of one app.

    Raises:
        ConfigError: the app asks for ``exactly_once``.
    """

    Consumer = Consumer
    Producer = Producer
    driver_version = "gridfuse-embedded=1"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        refuse_exactly_once(self.app)
        self.directory = Path(self.url[0].path)
        self.options = options_in(self.url[0].query)
        self.opened: Link | None = None

    def open(self, on_failure: Any) -> Link:
        """Take the directory.

        Args:
            on_failure: called once with the StoreError, on the event loop, when the log can no longer be written.
        """
        assert self.opened is None, "one producer per app opens the log"
        self.opened = Link(self.directory, on_failure, self.options)
        return self.opened

    @property
    def link(self) -> Link:
        """The open log.

        Raises:
            StoreError: the app has not been started.
        """
        if self.opened is None:
            raise StoreError(f"the log in {self.directory} is not open; start the app first")
        return self.opened

    def close(self) -> None:
        """Bring everything to disk and let the directory go."""
        if self.opened is not None:
            link, self.opened = self.opened, None
            link.close()
