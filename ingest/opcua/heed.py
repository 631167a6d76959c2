"""Was this task told to stop, and did somebody on the way keep it to himself?

``asyncio.wait_for`` of Python 3.11 swallows a cancellation that arrives together with the answer it waited for, and asyncua connects
through it. Whoever loops for ever asks here once in a round, so that a stop is late by a round and not lost.
"""

from __future__ import annotations

import asyncio

__all__ = ["heed_cancellation"]


def heed_cancellation() -> None:
    """Return if nobody has asked the running task to stop.

    Raises:
        asyncio.CancelledError: somebody has.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
