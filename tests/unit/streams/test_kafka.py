"""Subscribing on Kafka waits for topics that the broker does not list yet."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from market.errors import ConfigError
from streams.transport.kafka import until_listed


class _Client:
    """A client of a broker that lists one more topic each time it is asked."""

    def __init__(self, *listed: str) -> None:
        self._coming = list(listed)
        self._listed: set[str] = set()
        self.asked = 0
        self.cluster = SimpleNamespace(partitions_for_topic=lambda topic: {0} if topic in self._listed else None)

    async def set_topics(self, topics: set[str]) -> None:
        await self.force_metadata_update()

    async def force_metadata_update(self) -> None:
        self.asked += 1
        self._listed.update(self._coming[:1])
        del self._coming[:1]


def test_a_topic_that_is_listed_late_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.transport.kafka._LOOK_EVERY_S", 0)
    client = _Client("a", "b", "c")
    asyncio.run(until_listed(client, {"a", "b", "c"}))
    assert client.asked == 3


def test_a_topic_that_is_never_listed_is_an_error_and_not_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.transport.kafka._LOOK_EVERY_S", 0)
    with pytest.raises(ConfigError, match="c: is not on the broker; give it internal=True") as refusal:
        asyncio.run(until_listed(_Client("a", "b"), {"a", "b", "c"}, within_s=0.01))
    assert len(refusal.value.problems) == 1
