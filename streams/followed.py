"""How does work that takes a thread for itself tell the event loop of its progress, in order and before its end?

What it tells is queued from the thread and emitted by whoever waits for the work, so the work never waits for the disk, and nothing it
told is still on its way when its result is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

__all__ = ["followed"]

_Result = TypeVar("_Result")


async def followed(work: Callable[[Callable[[Any], None]], _Result], emit: Callable[[Sequence[Any]], Awaitable[None]]) -> _Result:
    """Run work in a thread, and emit the records it tells on its way.

    Args:
        work: called in the thread with what it is to tell its records to.
        emit: makes records durable; called on the event loop, never twice at once.

    Returns:
        What the work returned, after all it told was emitted. What it raises is raised here, and so is what ``emit`` raises: the work
        then goes on by itself, and nobody hears of it.
    """
    loop = asyncio.get_running_loop()
    said: asyncio.Queue[Any] = asyncio.Queue()

    def tell(record: Any) -> None:
        loop.call_soon_threadsafe(said.put_nowait, record)

    def whole() -> _Result:
        try:
            return work(tell)
        finally:
            tell(None)

    running = loop.run_in_executor(None, whole)
    while (record := await said.get()) is not None:
        await emit([record])
    return await running
