"""How do publishes reach a subscription without six objects a value?

A session of asyncua asks for publishes in a loop of its own; only how it reads an answer is replaced here. A publish of numbers comes
as :class:`ingest.opcua.notification.Columns` in the place of asyncua's notifications, any other as asyncua reads it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import struct_from_binary
from asyncua.ua.uaerrors import UaStructParsingError

from ingest.opcua.notification import read_publish

__all__ = ["hasten"]


def hasten(session: Any) -> None:
    """Have a session read its publishes as columns, where they can be."""
    session.publish = partial(_publish, session)


async def _publish(session: Any, acks: list[ua.SubscriptionAcknowledgement]) -> ua.PublishResponse:
    request = ua.PublishRequest()
    request.Parameters.SubscriptionAcknowledgements = list(acks)
    # No time limit: a server answers when it has something to say, and who waits for it watches the silence.
    data = await session._send_request(request, timeout=0)
    publish = read_publish(bytes(data))
    if publish is None:
        try:
            return struct_from_binary(ua.PublishResponse, data)
        except Exception as exc:
            raise UaStructParsingError from exc
    response = ua.PublishResponse()
    response.Parameters.SubscriptionId = publish.subscription
    response.Parameters.NotificationMessage = ua.NotificationMessage(SequenceNumber=publish.number, NotificationData=list(publish.parts))
    return response
