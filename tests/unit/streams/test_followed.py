"""Work in a thread is followed from the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from streams.followed import followed


def test_what_work_tells_is_emitted_in_order_and_before_its_result() -> None:
    emitted: list[int] = []
    loops: set[int] = set()

    def work(tell: Callable[[Any], None]) -> int:
        for number in range(50):
            tell(number)
        return threading.get_ident()

    async def emit(records: Sequence[int]) -> None:
        loops.add(threading.get_ident())
        await asyncio.sleep(0)
        emitted.extend(records)

    worked_in = asyncio.run(followed(work, emit))
    assert emitted == list(range(50))
    assert loops == {threading.get_ident()}
    assert worked_in != threading.get_ident()


def test_what_work_told_before_it_failed_is_emitted_and_its_failure_raised() -> None:
    emitted: list[str] = []

    def work(tell: Callable[[Any], None]) -> None:
        tell("begun")
        raise ValueError("no such day")

    async def emit(records: Sequence[str]) -> None:
        emitted.extend(records)

    with pytest.raises(ValueError, match="no such day"):
        asyncio.run(followed(work, emit))
    assert emitted == ["begun"]


def test_what_cannot_be_emitted_is_raised() -> None:
    async def emit(records: Sequence[str]) -> None:
        raise ConnectionError(records[0])

    with pytest.raises(ConnectionError, match="begun"):
        asyncio.run(followed(lambda tell: tell("begun"), emit))
