"""How does a message become an event when key and value are bytes, and are meant to stay bytes?

Faust decodes every key and every value through its registry of codecs, also where the codec is ``raw`` and changes nothing. Our codecs
are our own (:mod:`streams.wire`) and are applied in the agents, so there is nothing to do here: it saves a fifth of a small event's cost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from faust import Schema

__all__ = ["PlainBytes"]


class PlainBytes(Schema):  # type: ignore[misc]
    """The schema of a topic whose keys and values are bytes on both sides."""

    def __init__(self) -> None:
        super().__init__(key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    def compile(self, app: Any, **_options: Any) -> Callable[..., Awaitable[Any]]:
        """Faust: return the function that makes events; nothing can fail, so what to do about failures is not used."""
        event_of = app.conf.Event

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return event_of(app, message.key, message.value, message.headers, message)

        return decode
