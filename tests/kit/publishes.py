"""What a server publishes, as bytes: asyncua writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary

__all__ = ["encoded"]


def encoded(*parts: Sequence[tuple[int, ua.DataValue]], more: Any = None) -> bytes:
    """Return the reply to a publish request that tells these (client handle, value), one notification for each part."""
    response = ua.PublishResponse()
    response.Parameters.SubscriptionId = 7
    response.Parameters.AvailableSequenceNumbers = [3, 4, 5]
    message = response.Parameters.NotificationMessage
    message.SequenceNumber = 5
    notifications = [
        ua.DataChangeNotification(
            MonitoredItems=[ua.MonitoredItemNotification(ClientHandle=handle, Value=value) for handle, value in items]
        )
        for items in parts
    ]
    message.NotificationData = notifications + ([] if more is None else [more])
    return bytes(struct_to_binary(response))
