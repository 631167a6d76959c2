"""What our Kafka driver makes of a broker that does not take a commit."""

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
