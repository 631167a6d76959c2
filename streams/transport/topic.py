"""Faust's topic, except that a send which fails is told to whoever waits for it and to nobody else.

Faust logs each one, and keeps a future for it that nobody asks: when the log fails, hundreds of lines bury the one that says why.
"""

from __future__ import annotations

import asyncio
from typing import Any

from faust.topics import Topic

__all__ = ["QuietTopic"]


class QuietTopic(Topic):  # type: ignore[misc]
    """Chosen by the setting ``Topic``."""

    def _on_published(self, fut: asyncio.Future[Any], message: Any, producer: Any, state: Any) -> None:
        if fut.cancelled() or (cause := fut.exception()) is None:
            super()._on_published(fut, message, producer, state)
            return
        message.set_exception(cause)
        message.exception()  # seen
        self.app.sensors.on_send_error(producer, cause, state)
