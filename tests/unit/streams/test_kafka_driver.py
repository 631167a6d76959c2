"""What our Kafka driver makes of a broker that does not take a commit, and of a fetch that ends when nobody may have its records."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import CommitFailedError, IllegalGenerationError, KafkaError, NodeNotReadyError, UnknownMemberIdError
from faust.types import TP

from streams.transport.kafka import Consumer

_A, _B = TP("t", 0), TP("t", 1)


class Thread:
    """As much of the thread of aiokafka's consumer as a commit touches."""

    def __init__(self, refusal: KafkaError | None = None) -> None:
        self.commits: list[dict[Any, Any]] = []
        self.tp_last_committed_at: dict[TP, float] = {}
        self._refusal = refusal

    def assignment(self) -> set[TP]:
        return {_A}

    def _ensure_consumer(self) -> Any:
        async def commit(offsets: dict[Any, Any]) -> None:
            if self._refusal is not None:
                raise self._refusal
            self.commits.append({tuple(place): at.offset for place, at in offsets.items()})

        return SimpleNamespace(commit=commit)

    async def call_thread(self, work: Any, *args: Any) -> Any:
        return await work(*args)


def commits(thread: Thread, offsets: dict[TP, int]) -> tuple[bool, list[BaseException]]:
    """Commit; returns whether it was done and what the app was crashed with."""
    crashed: list[BaseException] = []

    async def crash(exc: BaseException) -> None:
        crashed.append(exc)

    consumer: Any = SimpleNamespace(_thread=thread, crash=crash, log=SimpleNamespace(error=lambda *_: None))
    return asyncio.run(Consumer._commit(consumer, offsets)), crashed


@pytest.mark.parametrize("refusal", [CommitFailedError(), UnknownMemberIdError(), IllegalGenerationError()])
def test_a_refused_commit_is_not_done_and_ends_nothing(refusal: KafkaError) -> None:
    """The partitions are another worker's by now; so says the assignment that follows."""
    assert commits(Thread(refusal), {_A: 5}) == (False, [])


def test_a_commit_is_of_what_is_ours_and_may_be_of_nothing() -> None:
    thread = Thread()
    assert commits(thread, {_A: 5, _B: 7}) == (True, [])
    assert thread.commits == [{("t", 0): 5}]
    assert commits(thread, {_B: 7}) == (False, [])
    assert len(thread.commits) == 1


def test_a_broker_that_cannot_commit_ends_the_app_with_its_reason() -> None:
    done, crashed = commits(Thread(NodeNotReadyError()), {_A: 5})
    assert not done
    assert isinstance(crashed[0], NodeNotReadyError)


_CHANGELOG = TP("table-changelog", 0)


class Fetching:
    """As much of the thread of aiokafka's consumer as a fetch touches; like aiokafka, it counts as read what it hands out."""

    def __init__(self, meanwhile: Any) -> None:
        self.position = {_A: 0, _CHANGELOG: 0}
        self.asked: list[Any] = []
        self._meanwhile = meanwhile
        self._source = SimpleNamespace(_max_poll_records=500, seek=self.position.__setitem__)

    def _ensure_consumer(self) -> Any:
        return self._source

    async def _fetch_records(self, source: Any, partitions: Any, timeout: float, max_records: int) -> Any:  # noqa: ASYNC109
        self.asked.append((partitions, timeout, max_records))
        self._meanwhile(self)
        first = self.position[_CHANGELOG]
        self.position[_CHANGELOG] = 9
        return {_CHANGELOG: [SimpleNamespace(offset=offset) for offset in range(first, 9)]}

    async def call_thread(self, work: Any, *args: Any) -> Any:
        return await work(*args)


def fetches(meanwhile: Any) -> tuple[Fetching, list[int]]:
    """Fetch once while the flow runs at first; returns the thread and the offsets that came."""
    consumer: Any = SimpleNamespace(flow_active=True)
    consumer._thread = thread = Fetching(lambda thread: meanwhile(consumer, thread))
    found = asyncio.run(Consumer._getmany(consumer, frozenset({_A, _CHANGELOG}), 1.0))
    assert thread.asked == [({_A, _CHANGELOG}, 1.0, 500)]
    return thread, [record.offset for records in found.values() for record in records]


def test_a_fetch_while_records_flow_brings_them() -> None:
    thread, came = fetches(lambda consumer, thread: None)
    assert (came, thread.position[_CHANGELOG]) == (list(range(9)), 9)


def test_a_fetch_that_ends_before_recovery_lets_records_flow_takes_none_away_from_it() -> None:
    """The changelog of a worker that died gets no further record: its successor would wait for the state for ever."""

    def rebalance(consumer: Any, thread: Fetching) -> None:
        consumer.flow_active = False
        thread.position[_CHANGELOG] = 4  # recovery has sought it, and is about to let the records flow

    thread, came = fetches(rebalance)
    assert (came, thread.position) == ([], {_A: 0, _CHANGELOG: 4})
