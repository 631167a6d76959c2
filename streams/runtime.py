"""The one shell around the processors: bytes to records, records to topics, failures to where they belong.

Three places can fail, and each has one policy:

* **decode**: bytes that are not a record of their topic go to the dead letters, whole, and the next record is taken;
* **process**: so does a record whose processing raises, with the reason; but a broken invariant (``AssertionError``) means that
  nothing computed from here on can be trusted, so the process dies at once, without acknowledging the record, and replays;
* **produce**: an effect that cannot be made durable kills the process too (the transport crashes the app); it replays.

Faust acknowledges the record whose agent raised, so nothing may raise out of an agent: :meth:`Shell.guarded` is around every one.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final

import faust

from ingest.clock import Clock
from market import facts
from market.decisions import Decision
from market.outcomes import Cleared, ClearingFailed, ClearingInputs
from market.prices import PriceInForce
from market.view import MarketView
from streams import topics, wire
from streams.alerts import Alert
from streams.clearing import DayAheadPlan, DayAheadWanted, IntervalPlan
from streams.errors import DecodeError, StoreError
from streams.findings import SourceFresh, SourceStale
from streams.image import AreaSnapshot
from streams.kpis import KpiFrame
from streams.topics import Topic
from streams.transport.records import raise_if_damaged
from streams.wire import DeadLetter

__all__ = ["EXIT_INVARIANT", "Shell"]

_log = logging.getLogger(__name__)

EXIT_INVARIANT: Final = 70
"""Exit code of a process that found an invariant broken (``EX_SOFTWARE``)."""

_MARKET_KEY: Final = b"market"

_TOPIC_OF: Final[dict[type[Any], Topic]] = {
    SourceStale: topics.FINDINGS,
    SourceFresh: topics.FINDINGS,
    AreaSnapshot: topics.SNAPSHOTS,
    IntervalPlan: topics.SNAPSHOTS,
    DayAheadPlan: topics.SNAPSHOTS,
    ClearingInputs: topics.INPUTS,
    DayAheadWanted: topics.INPUTS,
    Cleared: topics.OUTCOMES,
    ClearingFailed: topics.OUTCOMES,
    Decision: topics.DECISIONS,
    PriceInForce: topics.PRICES,
    KpiFrame: topics.KPI,
    MarketView: topics.KPI,
    Alert: topics.ALERTS,
    DeadLetter: topics.DEAD_LETTERS,
} | dict.fromkeys(
    (
        facts.Ticked,
        facts.ClearingReported,
        facts.SwitchReported,
        facts.FlowReported,
        facts.LoadReported,
        facts.ControlReported,
        facts.SourceReported,
        facts.ClockCompared,
        facts.CalendarClosed,
        facts.PermitGranted,
        facts.ExercisePlanned,
        facts.CommandGiven,
    ),
    topics.FACTS,
)
"""Where a record goes that a processor gave out. (Commands reach their own topic from the API, and this one from there.)"""


class Shell:
    """Sends records, and guards the agents.

    Args:
        app: the Faust app whose topics these are.
        clock: event time, for the instants of dead letters.
    """

    def __init__(self, app: faust.App, clock: Clock) -> None:
        self.app = app
        self.clock = clock
        self.counters: Counter[str] = Counter()
        self.topics = {
            topic.name: app.topic(
                topic.name,
                key_type=bytes,
                value_type=bytes,
                key_serializer="raw",
                value_serializer="raw",
                partitions=topic.partitions,
                retention=float(topic.retention_s),
                # Declared before it is subscribed to; a topic that does not exist yet would be left out in silence.
                internal=True,
            )
            for topic in topics.TOPICS
        }

    async def emit(self, records: Iterable[Any]) -> None:
        """Send records, in order, and return once all of them are durable."""
        sent = [await self.send(_TOPIC_OF[type(record)], _key(record), wire.encode(record)) for record in records]
        await asyncio.gather(*sent)

    async def send(self, topic: Topic, key: bytes, value: bytes) -> Awaitable[Any]:
        """Send bytes; what is returned resolves once they are durable."""
        self.counters[f"sent {topic.name}"] += 1
        future: Awaitable[Any] = await self.topics[topic.name].send(key=key, value=value)
        return future

    async def guarded(self, topic: Topic, name: str, stream: Any, handle: Callable[[Any, Any], Awaitable[None]]) -> AsyncIterator[Any]:
        """Decode and handle every record of a stream; yield each event once it is dealt with.

        Args:
            topic: the topic of the stream.
            name: the agent, for the counters.
            stream: Faust's stream of it.
            handle: called with the record and its event.
        """
        async for event in stream.events():
            try:
                message = event.message
                raise_if_damaged(message.topic, message.partition, message.offset, event.headers, event.value)
                record = wire.decode(topic, event.value)
            except DecodeError as exc:
                await self._bury(topic, event, "decode", str(exc))
                yield event
                continue
            try:
                await handle(record, event)
            except (AssertionError, StoreError) as exc:
                self.die(f"{topic.name} offset {event.message.offset}: {exc!r}", exc)
            except Exception as exc:
                _log.exception("processing of %s offset %d failed", topic.name, event.message.offset)
                await self._bury(topic, event, "process", f"{type(exc).__name__}: {exc}")
            self.counters[f"taken {name}"] += 1
            yield event

    async def bury(self, topic: Topic, event: Any, reason: str) -> None:
        """Put a record that cannot be used whole among the dead letters."""
        await self._bury(topic, event, "process", reason)

    async def _bury(self, topic: Topic, event: Any, stage: str, reason: str) -> None:
        self.counters[f"dead {topic.name}"] += 1
        message = event.message
        letter = DeadLetter(
            ts_event_ns=self.clock.now_ns(),
            topic=topic.name,
            partition=message.partition,
            offset=message.offset,
            stage=stage,
            reason=reason,
            raw_hex=(event.value or b"").hex(),
        )
        _log.error("dead letter from %s partition %d offset %d: %s", topic.name, message.partition, message.offset, reason)
        await self.emit([letter])

    def die(self, why: str, cause: BaseException | None = None) -> None:
        """End the process now: what was not acknowledged is done again by the next one."""
        _log.critical("invariant broken, dying to replay: %s", why, exc_info=cause)
        logging.shutdown()
        os._exit(EXIT_INVARIANT)


def _key(record: Any) -> bytes:
    match record:
        case AreaSnapshot(area=area):
            return area.encode()
        case SourceStale(device=device) | SourceFresh(device=device):
            return device.encode()
        case Alert(alert_id=alert_id):
            return alert_id.encode()
        case DeadLetter(topic=topic):
            return topic.encode()
        case _:
            return _MARKET_KEY
