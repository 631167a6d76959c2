"""Waiting for a condition, with a deadline and a name for what did not happen.

A deadline is for what never happens: the machine may be busy with other tests, and a test that passes waits no longer for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

__all__ = ["eventually", "eventually_async"]


async def eventually_async(what: str, condition: Callable[[], bool], within_s: float = 60.0) -> None:
    """Return once ``condition`` holds; fail with ``what`` when it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        await asyncio.sleep(0.005)


def eventually(what: str, condition: Callable[[], bool], within_s: float = 60.0) -> None:
    """Return once ``condition`` holds; fail with ``what`` when it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(0.005)
