"""Several workers of the real app on a Kafka broker, driven tick by tick from outside, whatever becomes of them meanwhile.

The driver knows only what stands on the topics: a tick was dealt with when the state that remembers it is in a changelog. So it goes
on in the same way over kills, rebalances and workers that stand still, and what is decided can be compared with a single worker's.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from ingest.frame import encode_frame
from market.facts import ClearingReported, CommandGiven, Segment, Ticked
from market.outcomes import Cleared, ClearingInputs
from market.rules import MarketRules
from streams import breaker, grid, topics, wire
from streams.clearing import DayAheadPlan, DayAheadWanted, IntervalPlan
from streams.intake import state_offset
from streams.roles import Role
from streams.topics import Topic
from tests.kit.market_run import TickByTick

__all__ = ["ClusterRun", "changelog"]

_PATIENCE_S: Final = 90.0
_STATE: Final = b"state"


def changelog(table: str) -> str:
    """Return the topic that a table of the workers is recovered from."""
    return f"{Role.STREAMS.group('')}-{table}-changelog"


_BREAKER, _GRID, _INTAKE = changelog("breaker"), changelog("grid"), changelog("intake")
_READ: Final = (topics.INPUTS, topics.OUTCOMES, topics.FACTS, topics.SNAPSHOTS)


class ClusterRun(TickByTick):
    """Drives workers that run somewhere; use as an async context manager once their topics are there.

    Args:
        address: of the broker, ``host:port``.
        notes: directory of the workers; event time is written there.
    """

    def __init__(self, address: str, notes: Path, rules: MarketRules, start_ns: int) -> None:
        super().__init__(start_ns)
        self._rules, self._notes = rules, notes
        self._state = breaker.begin(start_ns, rules)
        self._grid = grid.GridState()
        self._taken_in: dict[bytes, int] = {}
        self._found: defaultdict[type[Any], dict[Any, Any]] = defaultdict(dict)
        self._orders: set[str] = set()
        self._producer = AIOKafkaProducer(bootstrap_servers=address, linger_ms=0, acks="all")
        self._consumer = AIOKafkaConsumer(bootstrap_servers=address, enable_auto_commit=False)
        self._set_clock(start_ns)

    def _set_clock(self, now_ns: int) -> None:
        super()._set_clock(now_ns)
        draft = self._notes / "clock.draft"
        draft.write_text(str(now_ns))
        draft.replace(self._notes / "clock")

    async def __aenter__(self) -> Self:
        await self._producer.start()
        await self._consumer.start()
        places = [TopicPartition(name, 0) for name in (*(topic.name for topic in _READ), _BREAKER, _GRID)]
        places += [TopicPartition(_INTAKE, number) for number in range(topics.FRAMES.partitions)]
        self._consumer.assign(places)
        await self._consumer.seek_to_beginning(*places)
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._consumer.stop()
        await self._producer.stop()

    async def _read(self) -> None:
        by_name = {topic.name: topic for topic in _READ}
        while True:
            for place, records in (await self._consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    if place.topic in by_name:
                        self._note(wire.decode(by_name[place.topic], record.value))
                    elif place.topic == _BREAKER and record.key == _STATE:
                        self._state = breaker.decode_state(record.value)
                        self._deadline_ns = breaker.next_deadline_ns(self._state, self._rules)
                    elif place.topic == _GRID and record.key == _STATE:
                        self._grid = grid.decode_state(record.value)
                    elif place.topic == _INTAKE:
                        # An area of this grid fits one record (streams.pieces).
                        self._taken_in[record.key] = state_offset(record.value)

    def _note(self, record: Any) -> None:
        match record:
            case ClearingInputs() | IntervalPlan():
                self._found[type(record)][record.interval_start_ns] = record
            case Cleared():
                self._found[Cleared][record.interval_start_ns] = record
            case ClearingReported():
                self._found[ClearingReported][record.segment, record.interval_start_ns] = record
            case DayAheadWanted() | DayAheadPlan():
                self._found[type(record)][record.day] = record
            case CommandGiven():
                self._orders.add(record.command_id)

    async def _send(self, topic: Topic, key: bytes, value: bytes) -> int:
        return int((await self._producer.send_and_wait(topic.name, value, key=key)).offset)

    async def command(self, action: str, command_id: str) -> None:
        """Order something, as the API does, and return when the breaker has dealt with it."""
        order = CommandGiven(ts_event_ns=0, command_id=command_id, by="chen", role="DISPATCH", action=action)
        await self._send(topics.COMMANDS, b"market", wire.encode(order))
        await self._reach("the order", lambda: command_id in self._orders)

    async def _tick(self, now_ns: int) -> None:
        self._set_clock(now_ns)
        sent = {}
        for frame in self._frames(now_ns):
            sent[frame.area.encode()] = await self._producer.send(topics.FRAMES.name, encode_frame(frame), key=frame.area.encode())
        last = {area: (await future).offset for area, future in sent.items()}
        await self._reach("every area", lambda: all(self._taken_in.get(area, -1) >= offset for area, offset in last.items()))
        await self._reach("the grid", lambda: self._grid.last_tick_ns >= now_ns)
        await self._all_read()
        await self._reach("the clearing", self._cleared)
        await self._told(now_ns)

    async def _all_read(self) -> None:
        """Return once everything that was on the topics at the call was read."""
        places = self._consumer.assignment()
        ends = await self._consumer.end_offsets(places)
        for place, end in ends.items():
            while await self._consumer.position(place) < end:
                await asyncio.sleep(0.002)

    def _cleared(self) -> bool:
        """Whether all that was asked for was answered, and everybody has been told."""
        found = self._found
        for start_ns in found[ClearingInputs]:
            if (Segment.RT, start_ns) not in found[ClearingReported]:
                return False
            if start_ns in found[Cleared] and start_ns not in found[IntervalPlan]:
                return False
        return all(day in found[DayAheadPlan] for day in found[DayAheadWanted])

    async def _told(self, now_ns: int) -> None:
        offset = await self._send(topics.FACTS, b"market", wire.encode(Ticked(ts_event_ns=now_ns)))
        await self._reach("the breaker", lambda: self._state.offset >= offset)

    async def _reach(self, what: str, reached: Callable[[], bool]) -> None:
        end_s = time.monotonic() + _PATIENCE_S
        while not reached():
            if self._reading.done():
                self._reading.result()
            assert time.monotonic() < end_s, f"{what} was not reached at {self.clock.now_ns()}"
            await asyncio.sleep(0.002)
