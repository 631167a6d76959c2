"""How do the log's writer thread and Faust's event loop meet?

The writer says "something moved" from its own thread, at most once until the loop has looked; the loop then resolves every send
whose ticket is on disk, in order, and wakes whoever waits for records or for room. While the log is stalled nothing moves: senders
wait, first the new ones, then, when much is queued all the same, deliveries to agents that might send more. When the log has failed,
every send that waits fails with the reason, and the app is told once.

All of it runs on the event loop, except the one wake-up call.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from aiokafka.partitioner import murmur2

from streams.errors import StoreError
from streams.transport.log import Log
from streams.transport.patience import STOP_WITHIN_S, LogOptions

__all__ = ["Link", "partition_of"]

_BACKLOG_BYTES_MAX: Final = 32 << 20
"""Senders wait while more than this is on its way to disk: memory stays bounded when the disk is slower than the field."""

_DELIVERY_BYTES_MAX: Final = 64 << 20
"""Deliveries wait at more than this: an agent changes its table without waiting, and a record that only fills memory is no help."""


class _Waiter(NamedTuple):
    """A future that gets ``result`` when the log is durable up to ``ticket``."""

    ticket: int
    future: asyncio.Future[Any]
    result: object


@lru_cache(maxsize=8192)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key, as Kafka's own clients choose it (murmur2)."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


class Link:
    """The open log of one app.

    Args:
        directory: where the log is.
        on_failure: called once, on the event loop, when the log can no longer be written.
        options: how the disk is treated.

    Raises:
        StoreLocked: another process owns the directory.
        StoreError: the directory cannot be used.
    """

    def __init__(self, directory: Path, on_failure: Callable[[StoreError], Any], options: LogOptions | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_failure: Callable[[StoreError], Any] | None = on_failure
        self._waiters: deque[_Waiter] = deque()
        self._scheduled = False
        self._moved = asyncio.Event()
        self._turns: dict[str, int] = {}
        self.log = Log(directory, on_progress=self._wake, options=options)

    def _wake(self) -> None:
        # On the writer's thread. One call stands for all that moved until the loop looks.
        if not self._scheduled:
            self._scheduled = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self._scheduled = False  # before looking: what moves from here on calls again
        durable, failure = self.log.durable, self.log.failure
        while self._waiters and self._waiters[0].ticket <= durable:
            _, future, result = self._waiters.popleft()
            if not future.done():
                future.set_result(result)
        self._moved.set()
        if failure is not None:
            while self._waiters:
                future = self._waiters.popleft().future
                if not future.done():
                    future.set_exception(StoreError(str(failure)))
                    future.exception()  # seen: a table's change has nobody who would ask
            if self._on_failure is not None:
                on_failure, self._on_failure = self._on_failure, None
                on_failure(failure)

    def resolve(self, ticket: int, future: asyncio.Future[Any], result: object) -> None:
        """Give ``future`` its result when the log is durable up to ``ticket``, or a StoreError when it fails first."""
        self._waiters.append(_Waiter(ticket, future, result))
        if self.log.durable >= ticket or self.log.failure is not None:
            self._settle()

    async def durable(self, ticket: int) -> None:
        """Return when the log is durable up to ``ticket``.

        Raises:
            StoreError: the log failed first.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        self.resolve(ticket, future, None)
        await future

    async def moved(self, timeout_s: float) -> None:
        """Return when something came to disk, on :meth:`nudge`, or after ``timeout_s``."""
        self._moved.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._moved.wait(), timeout_s)

    def nudge(self) -> None:
        """Let whoever waits look again."""
        self._moved.set()

    async def ebb(self, *, delivery: bool = False) -> None:
        """Return when little enough is on its way to disk to send more, or to deliver a record to an agent."""
        most = _DELIVERY_BYTES_MAX if delivery else _BACKLOG_BYTES_MAX
        while self.log.backlog_bytes > most and self.log.failure is None:
            await self.moved(1.0)

    def stopping(self) -> None:
        """Bound what follows: a stall ends in a failure soon, and whoever waits for the disk hears of it."""
        self.log.give_up_within(STOP_WITHIN_S)

    def partition_for(self, topic: str, key: bytes | None, partition: int | None) -> int:
        """Return the partition that a record goes to: the one asked for, the key's, or without a key each in turn.

        Keys are spread as by Kafka's own clients (murmur2).

        Raises:
            StoreError: the topic is not declared.
        """
        if partition is not None:
            return partition
        partitions = self.log.partitions(topic)
        if not partitions:
            raise StoreError(f"topic {topic} is not declared; declare it (internal=True, partitions=…) before sending to it")
        if key is not None:
            return partition_of(key, partitions)
        turn = self._turns[topic] = (self._turns.get(topic, -1) + 1) % partitions
        return turn

    def close(self) -> None:
        """Bring everything to disk, resolve what waits, and let the directory go."""
        self.log.close()
        self._settle()
