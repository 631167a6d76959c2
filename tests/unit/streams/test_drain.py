"""The fetch loop: what it hands to the driver, when it looks again, and that a stop cuts a waiting delivery short."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st
from mode.utils.queues import FlowControlEvent

from streams.transport.drain import Drain

_A, _B = TP("t", 0), TP("t", 1)


class _Record(int):
    """A record of which only the offset matters."""

    @property
    def offset(self) -> int:
        return int(self)


class _Consumer:
    """As much of Faust's consumer as the loop touches; like aiokafka, it counts as read what it hands out."""

    def __init__(self, callback: Callable[[Any], Awaitable[None]]) -> None:
        self.callback = callback
        self.fetched: list[Any] = []
        self.replies: list[dict[TP, list[int]]] = []
        self.active: set[TP] = {_A, _B}
        self.flow_active = True
        self.should_stop = False
        self.suspend_flow = asyncio.Event()
        self.rewound = 0
        self.fast = 0
        self.scheduler = DefaultSchedulingStrategy()
        self._buffered_partitions: set[TP] = set()
        self._read_offset: dict[TP, int | None] = {_A: None, _B: None}
        self.positions = {_A: 0, _B: 0}
        self.log = SimpleNamespace(info=lambda *_: None, warning=lambda *_: None)
        self._commit_every = None
        flow = FlowControlEvent(initially_suspended=False)
        self.app = SimpleNamespace(
            client_only=False,
            consumer_generation_id=1,
            rebalancing=False,
            flow_control=flow,
            monitor=SimpleNamespace(track_tp_end_offset=lambda tp, offset: None),
            producer=SimpleNamespace(buffer=SimpleNamespace(pending=asyncio.Queue(), max_messages=100)),
            topics=SimpleNamespace(_tp_to_callback_lock=asyncio.Lock(), acks_enabled_for=lambda topic: True),
        )

    def _is_changelog_tp(self, tp: TP) -> bool:
        return tp.topic.endswith("-changelog")

    def highwater(self, tp: TP) -> int:
        return 10

    def _get_active_partitions(self) -> set[TP]:
        return self.active

    def on_buffer_drop(self, tp: TP) -> None:
        self.active.add(tp)

    async def _getmany(self, active_partitions: Any, timeout: float) -> dict[TP, list[_Record]]:  # noqa: ASYNC109
        self.fetched.append(active_partitions)
        self.patience_s = timeout
        found = self.replies.pop(0) if self.replies else {}
        self.positions.update({tp: offsets[-1] + 1 for tp, offsets in found.items()})
        return {tp: [_Record(offset) for offset in offsets] for tp, offsets in found.items()}

    def assignment(self) -> set[TP]:
        return set(self.positions)

    async def position(self, tp: TP) -> int:
        return self.positions[tp]

    def _to_message(self, tp: TP, record: int) -> Any:
        return SimpleNamespace(tp=tp, topic=tp.topic, offset=int(record), generation_id=self.app.consumer_generation_id)

    def _new_offset(self, tp: TP) -> int | None:
        return 10

    async def perform_seek(self) -> None:
        self.rewound += 1

    async def seek(self, tp: TP, offset: int) -> None:
        self.positions[tp], self._read_offset[tp] = offset, offset or None

    def ack(self, message: Any) -> bool:
        return True

    async def wait_first(self, *waits: Awaitable[Any]) -> None:
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


class _Drained(Drain, _Consumer):
    pass


class Delivers:
    """Takes what is delivered, and remembers the offsets."""

    def __init__(self) -> None:
        self.offsets: list[int] = []

    async def __call__(self, message: Any) -> None:
        self.offsets.append(message.offset)


def drained(replies: list[dict[TP, list[int]]], steps: int = 1, prepare: Callable[[Any], None] = lambda _: None) -> tuple[Any, list[Any]]:
    """Run the loop ``steps`` times over what the driver answers; returns the consumer and what was delivered."""

    async def main() -> tuple[Any, list[Any]]:
        delivered: list[Any] = []

        async def callback(message: Any) -> None:
            delivered.append((message.tp, message.offset))

        consumer: Any = _Drained(callback)
        consumer.replies = replies
        prepare(consumer)
        for _ in range(steps):
            await consumer._drain_once()
        return consumer, delivered

    return asyncio.run(main())


def test_records_of_all_partitions_are_delivered_in_their_order() -> None:
    _, delivered = drained([{_A: [0, 1], _B: [5]}])
    assert sorted(delivered) == [(_A, 0), (_A, 1), (_B, 5)]
    assert delivered.index((_A, 0)) < delivered.index((_A, 1))


def test_the_driver_gets_a_copy_of_the_set_that_a_pause_may_empty() -> None:
    consumer, _ = drained([{}])
    consumer.active.clear()
    assert consumer.fetched == [{_A, _B}]


def test_without_a_readable_partition_the_driver_is_not_asked_for_all_of_them() -> None:
    async def main() -> None:
        consumer: Any = _Drained(lambda _: asyncio.sleep(0))
        consumer.active = set()
        waiting = asyncio.create_task(consumer._drain_once())
        await asyncio.sleep(0)
        assert not waiting.done()
        consumer.on_buffer_drop(_A)  # an agent has room again
        started = asyncio.get_running_loop().time()
        await waiting
        assert asyncio.get_running_loop().time() - started < 0.5, "Faust would sleep for the rest of a second"
        assert consumer.fetched == []
        await consumer._drain_once()
        assert consumer.fetched == [{_A}]

    asyncio.run(main())


def test_a_partition_whose_agent_has_room_again_does_not_wait_for_the_others() -> None:
    """Quiet partitions keep a fetch waiting for a second, and changelogs are always quiet."""

    def full(consumer: Any) -> None:
        consumer.active.discard(_A)
        consumer._buffered_partitions.add(_A)

    consumer, _ = drained([{}], prepare=full)
    assert consumer.fetched == [{_B}]
    assert consumer.patience_s < 0.1
    consumer, _ = drained([{}])
    assert consumer.patience_s == 1.0


def test_records_fetched_while_the_flow_was_stopped_are_read_again_once_the_rebalance_is_over() -> None:
    """Going back in its midst would come between recovery and what it has sought."""

    async def main() -> None:
        delivered: list[int] = []

        async def callback(message: Any) -> None:
            delivered.append(message.offset)

        consumer: Any = _Drained(callback)
        fetch = consumer._getmany

        async def stopped_meanwhile(**arguments: Any) -> Any:
            consumer.flow_active, consumer.app.rebalancing = False, True
            return await fetch(**arguments)

        consumer._getmany = stopped_meanwhile
        consumer.replies = [{_A: [0]}]
        await consumer._drain_once()
        assert consumer.rewound == 0

        async def over_meanwhile(**arguments: Any) -> Any:
            consumer.app.rebalancing = False
            return await fetch(**arguments)

        consumer._getmany, consumer.flow_active = over_meanwhile, True
        consumer.replies = [{_A: [1]}]
        await consumer._drain_once()
        assert (consumer.rewound, delivered) == (0, []), "what lies behind a record that was passed over waits for it"
        consumer.replies = [{_A: [0, 1]}]
        await consumer._drain_once()
        assert (consumer.rewound, delivered) == (1, [0, 1])

    asyncio.run(main())


def test_a_fetch_that_waited_through_a_rebalance_brings_records_that_count() -> None:
    def reassign(consumer: Any) -> None:
        fetch = consumer._getmany

        async def later(**arguments: Any) -> Any:
            consumer.app.consumer_generation_id += 1
            return await fetch(**arguments)

        consumer._getmany = later

    _, delivered = drained([{_A: [0]}], prepare=reassign)
    assert delivered == [(_A, 0)], "its position has moved past it: nobody would read it again"


def test_what_is_left_of_a_fetch_when_partitions_are_taken_away_is_dropped() -> None:
    def reassign(consumer: Any) -> None:
        deliver = consumer.callback

        async def then(message: Any) -> None:
            await deliver(message)
            consumer.app.consumer_generation_id += 1

        consumer.callback = then

    _, delivered = drained([{_A: [0, 1, 2]}], prepare=reassign)
    assert delivered == [(_A, 0)]


def test_a_record_from_before_a_seek_is_not_delivered_again() -> None:
    def seek(consumer: Any) -> None:
        consumer._read_offset[_A] = 5

    _, delivered = drained([{_A: [3, 4, 5, 6]}], prepare=seek)
    assert delivered == [(_A, 5), (_A, 6)]


def test_a_gap_that_compaction_left_counts_as_processed() -> None:
    gaps: list[tuple[TP, int, int]] = []

    def note(consumer: Any) -> None:
        async def add(tp: TP, first: int, last: int) -> None:
            gaps.append((tp, first, last))

        consumer._add_gap = add
        consumer._read_offset[_A] = 3

    _, delivered = drained([{_A: [3, 9]}], prepare=note)
    assert delivered == [(_A, 3), (_A, 9)]
    assert gaps == [(_A, 4, 8)], "the record behind the gap is not processed yet"


@pytest.mark.parametrize(
    ("committed", "acked", "gap", "may"),
    [
        (None, [5, 6], [], True),  # 5 was the first to be delivered
        (None, [6, 7], [], False),
        (7, [7, 8], [], True),
        (7, [8, 9], [], False),
        (7, [9], [7, 8], True),
        (7, [9], [8], False),
        (7, [], [], False),
    ],
)
def test_nothing_unacknowledged_is_passed_by_a_commit(committed: int | None, acked: list[int], gap: list[int], may: bool) -> None:
    consumer, _ = drained([{_A: [5, 6, 7, 8, 9]}])
    consumer._committed_offset = {_A: committed}
    consumer._acked = {_A: acked}
    consumer._gap = {_A: SimpleNamespace(begin=lambda: min(gap)) if gap else None}
    assert (consumer._new_offset(_A) is not None) is may


def test_a_delivery_that_waits_is_cut_short_when_the_flow_stops() -> None:
    async def main() -> None:
        consumer: Any = _Drained(lambda message: consumer.app.flow_control.acquire())
        consumer.replies = [{_A: [0]}]
        consumer.app.flow_control.suspend()
        draining = asyncio.create_task(consumer._drain_once())
        for _ in range(3):
            await asyncio.sleep(0)
        assert not draining.done()
        consumer.suspend_flow.set()
        await asyncio.wait_for(draining, 1)

    asyncio.run(main())


def test_a_delivery_that_outlasts_its_assignment_moves_no_position() -> None:
    """The new assignment has gone back to what is committed; records between there and here would count as read."""

    def prepare(consumer: Any) -> None:
        async def reassigned(message: Any) -> None:
            consumer.app.consumer_generation_id += 1
            consumer._read_offset[_A] = 3

        consumer.callback = reassigned

    consumer, _ = drained([{_A: [7, 8]}], prepare=prepare)
    assert consumer._read_offset[_A] == 3


def test_an_acknowledgement_counts_in_the_assignment_of_its_record_only() -> None:
    """Faust acknowledges what it passes over as queued in an assignment that is over; nobody dealt with it."""
    consumer, _ = drained([])
    message = consumer._to_message(_A, 5)
    assert consumer.ack(message)
    consumer.app.consumer_generation_id += 1
    assert not consumer.ack(message)


@pytest.mark.parametrize(("state_at", "goes_to"), [(None, 9), (12, 9), (9, 9), (4, 4)])
def test_reading_goes_on_where_the_state_stands_if_that_is_before_what_is_committed(state_at: int | None, goes_to: int) -> None:
    def prepare(consumer: Any) -> None:
        consumer._read_offset = {_A: 9, _B: None}
        consumer.app.state_at = lambda tp: state_at

    consumer, _ = drained([], steps=0, prepare=prepare)
    asyncio.run(consumer.perform_seek())
    assert (consumer._read_offset[_A], consumer._read_offset[_B]) == (goes_to, None)


def test_until_a_rebalance_is_over_nothing_but_changelogs_is_delivered_and_the_rest_is_read_again() -> None:
    """An agent that took a record before its table was recovered would begin with a state of long ago."""
    changes = TP("t-changelog", 0)

    def prepare(consumer: Any) -> None:
        consumer.app.rebalancing = True
        consumer._read_offset = {_A: 5, changes: None}  # 5 is committed
        consumer.active = {_A, changes}

    consumer, delivered = drained([{_A: [7]}, {changes: [1]}], steps=2, prepare=prepare)
    assert delivered == [(changes, 1)]
    assert consumer.rewound == 0
    consumer.app.rebalancing = False
    consumer.replies = [{_A: [5]}, {}]
    asyncio.run(consumer._drain_once())
    asyncio.run(consumer._drain_once())
    assert consumer.rewound == 1
    assert delivered == [(changes, 1), (_A, 5)]


def _passes_over(*replies: dict[TP, list[int]]) -> Any:
    """Return a consumer that fetched these in a rebalance, which is over by now."""
    consumer, delivered = drained(list(replies), len(replies), lambda consumer: setattr(consumer.app, "rebalancing", True))
    assert delivered == []
    consumer.app.rebalancing = False
    return consumer


@pytest.mark.parametrize("committed", [None, 0])
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3)), min_size=1, max_size=5), st.integers(0, 2))
def test_what_was_passed_over_before_anything_was_committed_is_read_again(
    committed: int | None, fetches: list[tuple[int, int]], oldest: int
) -> None:
    """The driver goes nowhere then: what came first in a new service, all that a quiet device ever says of itself, would be lost."""
    replies, end = [], {_A: oldest, _B: oldest}
    for counts in fetches:
        replies.append({tp: list(range(end[tp], end[tp] + count)) for tp, count in zip((_A, _B), counts, strict=True) if count})
        end = {tp: end[tp] + count for tp, count in zip((_A, _B), counts, strict=True)}
    consumer = _passes_over(*replies)
    consumer._read_offset = {_A: committed, _B: committed}
    asyncio.run(consumer._drain_once())
    assert consumer.rewound == 1
    assert consumer.positions == {_A: oldest, _B: oldest if end[_B] > oldest else 0}


def test_what_was_passed_over_is_sought_neither_forward_nor_from_before_what_is_committed_nor_where_it_is_anothers() -> None:
    consumer = _passes_over({_A: [6, 7], _B: [6, 7]})
    consumer.positions[_A] = 0  # a new assignment; reading begins by itself where nothing is committed
    consumer._read_offset[_B] = consumer.positions[_B] = 9  # another worker has had it meanwhile, and committed
    asyncio.run(consumer._drain_once())
    assert (consumer.rewound, consumer.positions) == (1, {_A: 0, _B: 9})
    consumer = _passes_over({_A: [6, 7]})
    consumer.positions = {_B: 3}
    asyncio.run(consumer._drain_once())
    assert (consumer.rewound, consumer.positions) == (0, {_B: 3})


def test_nothing_is_delivered_until_what_was_passed_over_could_be_sought() -> None:
    consumer = _passes_over({_A: [0, 1]})
    seek = consumer.perform_seek

    async def slow() -> None:
        raise TimeoutError("the broker does not say what is committed")

    consumer.perform_seek = slow
    consumer.replies = [{_A: [2]}]
    asyncio.run(consumer._drain_once())
    assert (consumer.positions[_A], consumer._read_offset[_A]) == (3, None)
    consumer.perform_seek, consumer.replies = seek, [{_A: [0, 1, 2]}]
    consumer.callback = delivers = Delivers()
    asyncio.run(consumer._drain_once())
    assert delivers.offsets == [0, 1, 2]


def test_a_changelog_that_comes_when_the_flow_was_stopped_is_recoverys_to_seek() -> None:
    changes = TP("t-changelog", 0)

    def stops(consumer: Any) -> None:
        fetch = consumer._getmany

        async def stopped_meanwhile(**arguments: Any) -> Any:
            found = await fetch(**arguments)
            consumer.flow_active = not found
            return found

        consumer._getmany = stopped_meanwhile

    consumer, delivered = drained([{changes: [3, 4]}], prepare=stops)
    consumer.flow_active = True
    asyncio.run(consumer._drain_once())
    assert (consumer.rewound, consumer.positions[changes], delivered) == (0, 5, [])
