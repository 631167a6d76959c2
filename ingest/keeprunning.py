"""What becomes of a reader that fails by a fault of ours? It is logged, left alone for a while and started again; no other notices."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from ingest.backoff import Backoff
from ingest.source import Source

__all__ = ["Reader", "keep_running"]

_log: Final = logging.getLogger(__name__)

_RAN_WELL_S: Final = 60.0
"""A reader that ran for so long before it failed is started again as quickly as at its first failure."""


class Reader(Protocol):
    """What reads a device with a task of its own, or listens."""

    async def run(self) -> None:
        """Read until cancelled."""
        ...


async def keep_running(source: Source, reader: Reader) -> None:
    """Run a reader until cancelled; a fault of ours in it stays with its device."""
    loop = asyncio.get_running_loop()
    backoff = Backoff(first_s=1.0)
    while True:
        began_s = loop.time()
        try:
            await reader.run()
        except Exception:
            where = {"device": source.name, "area": source.area}
            _log.exception("%s: its reader failed by a fault of this program; it is started again", source.name, extra=where)
            source.unavailable("its reader failed; see the log")
        if loop.time() - began_s > _RAN_WELL_S:
            backoff.succeeded()
        await asyncio.sleep(backoff.failed())
