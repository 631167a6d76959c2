"""The shell's three places to fail, each with its policy; and acknowledgements that wait for a state to be saved."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from faust.exceptions import ProducerSendError

from ingest.clock import WallClock
from market.facts import Fact, Ticked
from streams import topics, wire
from streams.errors import StoreError
from streams.runtime import Dealt, Shell, topic_of
from streams.transport.records import RecordDamaged, stand_in
from streams.wire import DeadLetter

TICK = wire.encode(Ticked(ts_event_ns=1))


class Process:
    """A shell on topics that take everything, or fail as told; what would end the process is noted."""

    def __init__(self, fails: Callable[[bytes], Exception | None] = lambda value: None) -> None:
        self.sent: list[Any] = []
        self.acked: list[int] = []
        self.yielded: list[int] = []
        self.died: list[str] = []
        self.partitions = {("t", 0)}
        self._told: list[Any] = []
        self._fails = fails
        app = SimpleNamespace(
            topic=lambda name, **_: SimpleNamespace(send=lambda key, value: self._send(name, value)),
            on_partitions_revoked=SimpleNamespace(connect=lambda told, **_: self._told.append(told)),
            on_partitions_assigned=SimpleNamespace(connect=lambda told, **_: self._told.append(told)),
            rebalancing=False,
            consumer=SimpleNamespace(assignment=lambda: self.partitions),
        )
        self.shell = Shell(app, WallClock().now_ns)
        self.shell.die = lambda why, cause=None, where=None: self.died.append(why)  # type: ignore[method-assign,assignment]

    async def _send(self, name: str, value: bytes) -> Awaitable[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if (failure := self._fails(value)) is not None:
            done.set_exception(failure)
        else:
            self.sent.append(wire.decode(next(topic for topic in topics.TOPICS if topic.name == name), value))
            done.set_result(None)
        return done

    def _event(self, offset: int, key: bytes | None, value: bytes, headers: dict[str, bytes]) -> Any:
        message = SimpleNamespace(topic="t", partition=0, tp=("t", 0), offset=offset, key=key, timestamp=0.0)
        return SimpleNamespace(message=message, headers=headers, value=value, ack=lambda: self.acked.append(offset))

    def run(self, records: Sequence[tuple[Any, ...]], handle: Any, *, held: bool = False, turns: int | None = None) -> bool:
        """Feed (key, value[, headers]) through an agent, at most for so many turns of the event loop; returns whether it ended."""
        events = [self._event(n, key, value, *(headers or [{}])) for n, (key, value, *headers) in enumerate(records)]

        async def given() -> Any:
            for event in events:
                yield event

        async def main() -> None:
            stream = SimpleNamespace(events=given)
            async for event in self.shell.guarded(
                topics.FACTS, "agent", SimpleNamespace(events=given, noack=lambda: stream), handle, held=held
            ):
                self.yielded.append(event.message.offset)

        async def bounded(turns: int | None = turns) -> bool:
            agent = asyncio.create_task(main())
            while not agent.done() and (turns is None or turns > 0):
                await asyncio.sleep(0)
                turns = None if turns is None else turns - 1
            if agent.done():
                agent.result()
            return agent.done()

        return asyncio.run(bounded())

    async def lose(self) -> None:
        """Have the partitions taken away, as Faust tells it."""
        self.partitions = set()
        await self._told[0](self.shell.app, {("t", 0)})

    @property
    def letters(self) -> list[DeadLetter]:
        return [record for record in self.sent if isinstance(record, DeadLetter)]


async def nothing(record: Any, event: Any) -> None:
    pass


def test_what_cannot_be_decoded_or_processed_is_a_dead_letter_and_the_next_record_is_taken() -> None:
    process = Process()

    async def fails_once(record: Any, event: Any) -> None:
        if event.message.offset == 1:
            raise ZeroDivisionError

    process.run([(b"m", b"garbage"), (b"m", TICK), (b"m", TICK)], fails_once)
    assert [(letter.stage, letter.offset) for letter in process.letters] == [("decode", 0), ("process", 1)]
    assert (process.shell.counters["failed agent"], process.shell.counters["taken agent"]) == (2, 2)
    assert 0 < process.shell.seconds["agent"] < 5
    assert process.yielded == [0, 1, 2]
    assert process.died == []


def test_a_broken_invariant_and_an_effect_that_cannot_be_kept_end_the_process() -> None:
    """Dead-lettering the input would acknowledge it, and its effect would never be."""

    async def breaks(record: Any, event: Any) -> None:
        raise AssertionError("two and two")

    process = Process()
    process.run([(b"m", TICK)], breaks)
    assert "two and two" in process.died[0]
    full = Process(lambda value: ProducerSendError("batch expired"))

    async def emits(record: Any, event: Any) -> None:
        await full.shell.emit([Ticked(ts_event_ns=2)])

    with pytest.raises(StoreError, match="batch expired"):
        full.run([(b"m", TICK)], emits)
    assert "batch expired" in full.died[0]
    assert full.acked == []


@pytest.mark.parametrize("record", [TICK, b"garbage"])
def test_in_a_stop_an_effect_that_cannot_be_kept_holds_its_agent_and_nothing_is_acknowledged(record: bytes) -> None:
    """The stop cancels it; dying would take the other stores' orderly end away."""
    full = Process(lambda value: ProducerSendError("the log was stopped"))
    full.shell.stopping = True

    async def emits(record: Any, event: Any) -> None:
        await full.shell.emit([Ticked(ts_event_ns=2)])

    assert not full.run([(b"m", record)], emits, turns=100)
    assert (full.acked, full.yielded, full.died) == ([], [], [])


def test_a_record_too_large_for_a_letter_is_cut_and_named() -> None:
    process = Process(lambda value: ValueError("too large; split it") if len(value) > 1_000_000 else None)
    process.run([(b"m", b"x" * 900_000), (b"m", TICK)], nothing)
    assert process.yielded == [0, 1]
    assert process.letters[0].size_bytes == 900_000
    assert 100_000 < len(process.letters[0].raw_hex) // 2 < 900_000


def test_a_letter_about_a_letter_is_not_written() -> None:
    process = Process()
    event = process._event(3, b"t", TICK, {})
    asyncio.run(process.shell.bury(topics.DEAD_LETTERS, event, "nobody took it"))
    assert process.letters == []
    assert process.shell.counters[f"dead {topics.DEAD_LETTERS.name}"] == 1


def test_held_records_are_acknowledged_when_their_own_state_is_saved() -> None:
    process = Process()

    async def saves_at_4(record: Any, event: Any) -> Dealt | None:
        return Dealt.SAVED if event.message.offset == 4 else None

    process.run([(b"a", TICK), (b"b", TICK), (b"a", TICK), (b"b", TICK), (b"a", TICK)], saves_at_4, held=True)
    assert process.acked == [0, 2, 4], "b's state is not saved: its records are read again"


@pytest.mark.parametrize("reason", ["damaged", "garbage", "raises"])
def test_of_held_records_those_that_no_state_remembers_are_acknowledged_at_once(reason: str) -> None:
    """A damaged record has no key and none of its kind is ever saved; it must not hold up its partition for good."""
    process = Process()
    damage = stand_in(RecordDamaged("t", 0, 0, "checksum differs", b""))
    first = {"damaged": (damage.key, damage.value, dict(damage.headers)), "garbage": (b"a", b"garbage"), "raises": (b"a", TICK)}[reason]

    async def fails_once(record: Any, event: Any) -> None:
        if event.message.offset == 0:
            raise ZeroDivisionError

    process.run([first, (b"a", TICK)], fails_once, held=True)
    assert process.acked == [0]
    assert len(process.letters) == 1


@pytest.mark.parametrize("held", [False, True])
def test_a_partition_that_is_taken_away_in_the_midst_of_a_record_gets_no_state_and_no_acknowledgement(held: bool) -> None:
    """Its next owner does the same once more; a state written here would stand over that owner's newer one."""
    process = Process()
    kept: list[int] = []
    forgotten: list[bool] = []
    process.shell.at_revocation(lambda: forgotten.append(True))

    async def loses_1(record: Any, event: Any) -> Dealt:
        if event.message.offset == 1:
            await process.lose()
        await process.shell.emit([Ticked(ts_event_ns=event.message.offset)])
        kept.append(event.message.offset)
        return Dealt.SAVED

    process.run([(b"m", TICK)] * 4, loses_1, held=held)
    assert kept == process.acked == [0]
    assert forgotten == [True]
    assert process.letters == []
    assert [tick.ts_event_ns for tick in process.sent] == [0, 1], "what follows is not even begun"
    assert process.shell.counters["failed agent"] == 0


def test_who_sends_outside_of_a_record_is_not_asked_whose_it_is() -> None:
    process = Process()

    async def story() -> None:
        await process.lose()
        await process.shell.emit([Ticked(ts_event_ns=7)])

    asyncio.run(story())
    assert len(process.sent) == 1


@pytest.mark.parametrize("ours", [True, False])
def test_what_cannot_be_computed_again_is_told_only_by_who_owns_the_record(ours: bool) -> None:
    process = Process()
    order: list[str] = []

    async def flush() -> None:
        order.append("flushed")

    async def confirm(tp: Any, offset: int) -> bool:
        order.append(f"asked of {offset}")
        return ours

    process.shell.app.producer = SimpleNamespace(flush=flush)
    process.shell.app.consumer.confirm = confirm

    async def answers(record: Any, event: Any) -> None:
        await process.shell.confirmed(event)
        await process.shell.emit([Ticked(ts_event_ns=9)])

    process.run([(b"m", TICK)], answers)
    assert order == ["flushed", "asked of 0"], "first durable, then asked: the next owner finds what was noted"
    assert len(process.sent) == len(process.acked) == int(ours)


def test_every_kind_of_fact_has_a_topic() -> None:
    assert [kind.__name__ for kind in get_args(Fact) if topic_of(kind) is not topics.FACTS] == []
