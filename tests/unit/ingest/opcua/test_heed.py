"""A stop that somebody swallowed is heeded a round later."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from ingest.opcua.heed import heed_cancellation


def test_a_swallowed_cancellation_is_raised_again() -> None:
    rounds = 0

    async def loop() -> None:
        nonlocal rounds
        while True:
            heed_cancellation()
            rounds += 1
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(loop())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)

    asyncio.run(main())
    assert rounds == 1


def test_a_time_limit_that_ran_out_is_no_stop() -> None:
    async def main() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(60)
        heed_cancellation()

    asyncio.run(main())
