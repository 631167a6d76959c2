"""A recording on a broker that has only just begun is waited for, and not for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError, GroupCoordinatorNotAvailableError
from aiokafka.structs import OffsetAndMetadata

from streams import recordings
from streams.errors import StoreError
from streams.recordings import open_recording
from streams.roles import Role


class Admin:
    """Answers as it is told to, one answer after the other; the last one again and again."""

    def __init__(self, *answers: Any) -> None:
        self._answers: Iterator[Any] = iter(answers)
        self._last: Any = None
        self.asked = 0
        self.group = ""

    async def list_consumer_group_offsets(self, group: str) -> Any:
        self.asked += 1
        self.group = group
        self._last = next(self._answers, self._last)
        if isinstance(self._last, Exception):
            raise self._last
        return self._last


def done(admin: Admin, monkeypatch: pytest.MonkeyPatch, group: str = "gridfuse") -> int:
    @asynccontextmanager
    async def asking(_servers: list[str]) -> AsyncIterator[Admin]:
        yield admin

    async def partitions(_servers: list[str]) -> dict[str, int]:
        return {"t": 1}

    monkeypatch.setattr(recordings, "asking", asking)
    monkeypatch.setattr(recordings, "partitions_of", partitions)
    monkeypatch.setattr(recordings, "_GROUP_PAUSE_S", 0.0)
    with open_recording("kafka://127.0.0.1:1", group) as recording:
        return recording.done("t", 0)


def test_a_broker_that_does_not_know_its_groups_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = Admin(
        GroupCoordinatorNotAvailableError(), GroupCoordinatorNotAvailableError(), {TopicPartition("t", 0): OffsetAndMetadata(7, "")}
    )
    assert done(admin, monkeypatch) == 7
    assert admin.asked == 3


def test_one_that_never_knows_them_is_told_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = Admin(GroupCoordinatorNotAvailableError())
    with pytest.raises(StoreError, match=r"the broker 127\.0\.0\.1:1 cannot be read: GroupCoordinatorNotAvailableError"):
        done(admin, monkeypatch)
    assert admin.asked == 61


def test_what_no_patience_mends_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = Admin(GroupAuthorizationFailedError())
    with pytest.raises(StoreError, match="GroupAuthorizationFailedError"):
        done(admin, monkeypatch)
    assert admin.asked == 1


def test_what_was_dealt_with_is_asked_of_the_group_that_dealt_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = Admin({TopicPartition("t", 0): OffsetAndMetadata(7, "")})
    assert done(admin, monkeypatch, Role.API.group("")) == 7
    assert admin.group == "gridfuse-api"
