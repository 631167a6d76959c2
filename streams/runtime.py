"""The one shell around the processors: bytes to records, records to topics, failures to where they belong.

Three places can fail, and each has one policy:

* **decode**: bytes that are not a record of their topic go to the dead letters, and the next record is taken;
* **process**: so does a record whose processing raises, with the reason; but a broken invariant (``AssertionError``) means that
  nothing computed from here on can be trusted, so the process dies at once, without acknowledging the record, and replays;
* **produce**: an effect that cannot be made durable kills the process too; it replays. (A disk that is full only makes it wait; see
  :mod:`streams.transport.patience`. When the process is stopping anyway, its agent is only held.)

Acknowledging is done here and nowhere else: Faust would acknowledge a record whose agent raised or was cancelled in the midst of it.
:meth:`Shell.guarded` is around every agent, and nothing raises out of it.

On Kafka a partition may be taken away while one of its records is in work, because this worker stood still for too long. Then another
one has it; what was sent for that record is what the other one sends as well, but no state is written and nothing acknowledged here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, NoReturn, get_args

import faust
from aiokafka.errors import KafkaError
from faust.exceptions import ConsumerNotStarted, FaustError

from market import facts
from market.decisions import Decision
from market.outcomes import Cleared, ClearingFailed, ClearingInputs
from market.prices import PriceInForce
from market.reclear import ClearAgain
from market.view import MarketView
from streams import topics, wire
from streams.accounts import AreaAccounts
from streams.alerts import Alert
from streams.clearing import DayAheadPlan, DayAheadWanted, IntervalPlan
from streams.errors import DecodeError, StoreError
from streams.findings import SOURCE_FINDINGS, SourceClockJumped, SourceClockSteady, SourceFresh, SourceStale
from streams.gridpicture import GridPicture
from streams.image import AreaSnapshot
from streams.kpis import KpiFrame
from streams.processreport import ProcessReport, SolveTimed
from streams.topics import Topic
from streams.transport.plain import PlainBytes
from streams.transport.records import raise_if_damaged
from streams.wire import DeadLetter

__all__ = ["EXIT_INVARIANT", "Dealt", "Handle", "PartitionsWent", "Shell", "outside_of_records", "topic_of"]

_log = logging.getLogger(__name__)


class Dealt(Enum):
    """What became of a record, for agents whose acknowledgements are held back."""

    KEPT = "kept"
    """It changed a state that is not saved yet: it must be read again after a crash."""

    SAVED = "saved"
    """The state that remembers it, and all records of its key before it, is saved."""

    NOTHING_KEPT = "nothing kept"
    """No state depends on it."""

    LATER = "later"
    """Whoever took it acknowledges it himself when he is done."""

    NOT_OURS = "not ours"
    """Its partition is another worker's by now; that one deals with it."""


class PartitionsWent(Exception):  # nothing failed: it ends the work on a record that is somebody else's by now
    """Partitions were taken away, or given, while a record was in work."""


_turn: ContextVar[int | None] = ContextVar("turn", default=None)
"""Which assignment of partitions the record in work belongs to."""


def outside_of_records() -> None:
    """Say that the task which calls this works on no record, whatever was in work when it was begun."""
    _turn.set(None)


Handle = Callable[[Any, Any], Awaitable[Dealt | None]]
"""Takes a record and its event; None stands for :attr:`Dealt.KEPT`."""

EXIT_INVARIANT: Final = 70
"""Exit code of a process that found an invariant broken (``EX_SOFTWARE``)."""

_LETTER_BYTES_MAX: Final = 200_000
"""Of a larger record a dead letter carries the beginning; the whole stands on its topic, at the offset that the letter names."""

_MARKET_KEY: Final = b"market"

_TOPIC_OF: Final[dict[type[Any], Topic]] = {
    **dict.fromkeys(SOURCE_FINDINGS, topics.FINDINGS),
    AreaSnapshot: topics.SNAPSHOTS,
    IntervalPlan: topics.SNAPSHOTS,
    DayAheadPlan: topics.SNAPSHOTS,
    ClearingInputs: topics.INPUTS,
    DayAheadWanted: topics.INPUTS,
    ClearAgain: topics.INPUTS,
    Cleared: topics.OUTCOMES,
    ClearingFailed: topics.OUTCOMES,
    Decision: topics.DECISIONS,
    PriceInForce: topics.PRICES,
    KpiFrame: topics.KPI,
    MarketView: topics.KPI,
    AreaAccounts: topics.KPI,
    GridPicture: topics.KPI,
    ProcessReport: topics.KPI,
    SolveTimed: topics.KPI,
    Alert: topics.ALERTS,
    DeadLetter: topics.DEAD_LETTERS,
} | dict.fromkeys(get_args(facts.Fact), topics.FACTS)
"""Where a record goes that a processor gave out. (Commands reach their own topic from the API, and this one from there.)"""


def topic_of(kind: type[Any]) -> Topic:
    """Return where records of a kind go that a processor gives out.

    Raises:
        KeyError: no processor gives out such records.
    """
    return _TOPIC_OF[kind]


class Shell:
    """Sends records, and guards the agents.

    Args:
        app: the Faust app whose topics these are.
        now_ns: event time, for the instants of what is noted here: completions, orders, dead letters.
    """

    def __init__(self, app: faust.App, now_ns: Callable[[], int]) -> None:
        self.app = app
        self.now_ns = now_ns
        self.counters: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        """Wall seconds of work by agent; its waits, for the disk above all, are part of it."""
        self.started_s = time.time()
        self.stopping = False
        """Whether the service is being stopped: an effect that cannot be made durable now is made by the next start."""
        self._forget: list[Callable[[], None]] = []
        self._turn = 0
        self._ours: set[Any] = set()
        self._state_at: dict[str, Callable[[int], int | None]] = {}
        # Asked by the transport, see streams.transport.drain and streams.transport.kafka.
        app.state_at, app.declare_all = self._where, self._declare
        app.on_partitions_revoked.connect(self._partitions_changed, weak=False)
        app.on_partitions_assigned.connect(self._partitions_changed, weak=False)
        self.topics = {
            topic.name: app.topic(
                topic.name,
                schema=PlainBytes(),
                partitions=topic.partitions,
                retention=float(topic.retention_s),
                # Declared before it is subscribed to; a topic that does not exist yet would be left out in silence.
                internal=True,
            )
            for topic in topics.TOPICS
        }

    def at_revocation(self, forget: Callable[[], None]) -> None:
        """Have ``forget`` called when partitions are taken away or given: what is kept of a table's state may be older than the table."""
        self._forget.append(forget)

    def reads_from(self, topic: Topic, state_at: Callable[[int], int | None]) -> None:
        """Have a topic read from where a state stands, where that is before what is committed.

        Args:
            state_at: partition → the first offset that the state in the table does not know; None where there is no state.
        """
        self._state_at[topic.name] = state_at

    def _where(self, tp: Any) -> int | None:
        state_at = self._state_at.get(tp.topic)
        return None if state_at is None else state_at(tp.partition)

    async def _declare(self) -> Iterable[str]:
        """Have every topic made that is not there yet, and return their names: Faust sees only to those that this process reads."""
        for topic in self.topics.values():
            await topic.maybe_declare()
        return self.topics

    def owns(self, topic: Topic) -> bool:
        """Whether this worker reads a topic of one partition: then it is the one that acts on it.

        Before the app has started, nobody does.
        """
        try:
            return self._is_ours((topic.name, 0))
        except ConsumerNotStarted:
            return False

    async def confirmed(self, event: Any) -> None:
        """Return once all that was sent before, tables' changes included, is durable, and the event was ours when it was.

        Whoever has the partition next finds what was noted; so what cannot be computed again is noted, confirmed, and only then told.

        Raises:
            PartitionsWent: the event is another worker's by now.
            StoreError: the broker does not say.
        """
        await self.app.producer.flush()
        message = event.message
        try:
            ours = await self.app.consumer.confirm(message.tp, message.offset)
        except KafkaError as exc:
            raise StoreError(f"the broker does not say whose {message.topic} is: {exc!r}") from exc
        if not ours:
            raise PartitionsWent
        self._still_ours()

    def _still_ours(self) -> None:
        if (turn := _turn.get()) is not None and turn != self._turn:
            raise PartitionsWent

    async def _partitions_changed(self, app: faust.App, partitions: set[Any], **_more: Any) -> None:
        self._turn += 1
        self._ours = set()
        for forget in self._forget:
            forget()

    def _is_ours(self, place: tuple[str, int]) -> bool:
        if place not in self._ours and not self.app.rebalancing:
            self._ours = set(self.app.consumer.assignment())
        return place in self._ours

    async def emit(self, records: Iterable[Any]) -> None:
        """Send records, in order, and return once all of them are durable.

        Raises:
            StoreError: they may not be; the process must not go on.
            PartitionsWent: they are, but the record they are for is another worker's by now.
        """
        sent = [await self.send(topic_of(type(record)), _key(record), wire.encode(record)) for record in records]
        try:
            await asyncio.gather(*sent)
        except (FaustError, KafkaError) as exc:
            raise StoreError(f"an effect could not be made durable: {exc!r}") from exc
        self._still_ours()

    async def send(self, topic: Topic, key: bytes, value: bytes) -> Awaitable[Any]:
        """Send bytes; what is returned resolves once they are durable.

        Raises:
            StoreError: the transport takes nothing.
        """
        self.counters[f"sent {topic.name}"] += 1
        try:
            future: Awaitable[Any] = await self.topics[topic.name].send(key=key, value=value)
        except (FaustError, KafkaError) as exc:
            raise StoreError(f"{topic.name}: the transport takes nothing: {exc!r}") from exc
        return future

    async def guarded(self, topic: Topic, name: str, stream: Any, handle: Handle, *, held: bool = False) -> AsyncIterator[Any]:
        """Decode and handle every record of a stream; yield each event once it is dealt with.

        Args:
            topic: the topic of the stream.
            name: the agent, for the counters.
            stream: Faust's stream of it.
            handle: called with the record and its event.
            held: acknowledge the records of a key only when ``handle`` says that the state which remembers them is saved; after a crash
                the others are read again. Otherwise each is acknowledged when it is dealt with.
        """
        waiting: defaultdict[bytes | None, list[Any]] = defaultdict(list)
        if held:
            self.at_revocation(waiting.clear)
        async for event in stream.noack().events():
            try:
                dealt = await self._dealt_with(topic, name, event, handle)
            except StoreError as exc:
                await self._undurable(topic, name, event.message, exc)
            if dealt in (Dealt.LATER, Dealt.NOT_OURS):
                pass
            elif not held or dealt is Dealt.NOTHING_KEPT:
                event.ack()
            else:
                waiting[event.message.key].append(event)
            if held and dealt is Dealt.SAVED:
                for each in waiting.pop(event.message.key):
                    each.ack()
            yield event

    async def _dealt_with(self, topic: Topic, name: str, event: Any, handle: Handle) -> Dealt:
        message = event.message
        if not self._is_ours((message.topic, message.partition)):
            return Dealt.NOT_OURS
        turn = _turn.set(self._turn)
        try:
            return await self._dealt_with_ours(topic, name, event, handle)
        except PartitionsWent:
            _log.warning("%s offset %d is another worker's by now", topic.name, message.offset)
            self.counters[f"not ours {name}"] += 1
            return Dealt.NOT_OURS
        finally:
            _turn.reset(turn)

    async def _dealt_with_ours(self, topic: Topic, name: str, event: Any, handle: Handle) -> Dealt:
        message = event.message
        try:
            raise_if_damaged(message.topic, message.partition, message.offset, event.headers, event.value)
            record = wire.decode(topic, event.value)
        except DecodeError as exc:
            self.counters[f"failed {name}"] += 1
            await self.bury(topic, event, str(exc), "decode")
            return Dealt.NOTHING_KEPT
        dealt = Dealt.NOTHING_KEPT
        began_s = time.perf_counter()
        try:
            dealt = await handle(record, event) or Dealt.KEPT
        except AssertionError as exc:
            self.die(f"invariant broken at {topic.name} offset {message.offset}: {exc!r}", exc, {"processor": name, **_place(message)})
        except (StoreError, PartitionsWent):
            raise
        except Exception as exc:
            self.counters[f"failed {name}"] += 1
            _log.exception("processing of %s offset %d failed", topic.name, message.offset, extra={"processor": name, **_place(message)})
            await self.bury(topic, event, f"{type(exc).__name__}: {exc}")
        self.seconds[name] += time.perf_counter() - began_s
        self.counters[f"taken {name}"] += 1
        return dealt

    async def _undurable(self, topic: Topic, name: str, message: Any, exc: StoreError) -> NoReturn:
        """What a record led to cannot be made durable: leave it to the next start."""
        where = f"{topic.name} offset {message.offset}"
        if not self.stopping:
            self.die(f"what {where} led to cannot be made durable: {exc}", exc, {"processor": name, **_place(message)})
        else:
            _log.error("%s is taken again at the next start: %s", where, exc, extra={"processor": name, **_place(message)})
            await asyncio.Event().wait()  # until the agent is cancelled
        raise exc

    async def bury(self, topic: Topic, event: Any, reason: str, stage: str = "process", raw: bytes | None = None) -> None:
        """Put a record that cannot be used among the dead letters.

        Args:
            raw: the part of it that cannot be used; None for all of it.
        """
        self.counters[f"dead {topic.name}"] += 1
        message = event.message
        if topic is topics.DEAD_LETTERS:
            # A letter about a letter would be one more to fail on.
            what = "dead letter at offset %d was not dealt with: %s"
            _log.error(what, message.offset, reason, extra={"reason": reason, **_place(message)})
            return
        if raw is None:
            raw = event.value or b""
        letter = DeadLetter(
            ts_event_ns=self.now_ns(),
            topic=topic.name,
            partition=message.partition,
            offset=message.offset,
            stage=stage,
            reason=reason,
            raw_hex=raw[:_LETTER_BYTES_MAX].hex(),
            size_bytes=len(raw),
        )
        where = {"stage": stage, "reason": reason, "size_bytes": letter.size_bytes, **_place(message)}
        _log.error("dead letter from %s partition %d offset %d: %s", topic.name, message.partition, message.offset, reason, extra=where)
        await self.emit([letter])

    def die(self, why: str, cause: BaseException | None = None, where: Mapping[str, Any] = MappingProxyType({})) -> NoReturn:
        """End the process now: what was not acknowledged is done again by the next one.

        Args:
            where: fields of the last line of log.
        """
        _log.critical("dying to replay: %s", why, exc_info=cause, extra={"exit_code": EXIT_INVARIANT, **where})
        logging.shutdown()
        os._exit(EXIT_INVARIANT)


def _place(message: Any) -> dict[str, Any]:
    """Return the fields by which a line of log names a record."""
    return {"topic": message.topic, "partition": message.partition, "offset": message.offset}


def _key(record: Any) -> bytes:
    match record:
        case AreaSnapshot(area=area):
            return area.encode()
        case SourceStale(device=device) | SourceFresh(device=device) | SourceClockJumped(device=device) | SourceClockSteady(device=device):
            return device.encode()
        case Alert(alert_id=alert_id):
            return alert_id.encode()
        case DeadLetter(topic=topic):
            return topic.encode()
        case _:
            return _MARKET_KEY
