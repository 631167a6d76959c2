"""How does it stand between the field and the stream side, and how is telemetry handed over?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ingest.frame import TelemetryFrame, encode_frame

__all__ = ["Line", "Pace", "Send", "takes"]

Send = Callable[[TelemetryFrame, bytes], Awaitable[Awaitable[Any]]]
"""Hands the bytes of a record, and the first of its frames, to the transport; what it returns resolves once they are durable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How patient a forwarder is, and how fast it makes up.

    Attributes:
        away_after_s: wall seconds without an answer after which the stream side counts as away.
        memory_bytes_max: most bytes of frames that wait in memory for an answer.
        replay_per_s: samples of the backlog sent per wall second.
        gather_s: how long a frame of a device that is read more often than this may wait for the next ones, so that they leave in one
            record; 0 for not at all.
    """

    away_after_s: float = 5.0
    memory_bytes_max: int = 32 << 20
    replay_per_s: int = 10_000
    gather_s: float = 0.0


class Line(StrEnum):
    """How it stands between us and the stream side."""

    UP = "up"
    CATCHING_UP = "catching_up"
    AWAY = "away"


async def takes(send: Send, within_s: float, frame: TelemetryFrame) -> bool:
    """Return whether a frame is taken in time."""
    try:
        async with asyncio.timeout(within_s):
            answer = asyncio.ensure_future(await send(frame, encode_frame(frame)))
            await asyncio.wait((answer,))  # one that is given up must not end who waits for it
    except Exception:
        return False
    return not answer.cancelled() and answer.exception() is None
