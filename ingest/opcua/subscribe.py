"""What does a server report about its points, and what does its silence about them mean?

A subscription reports changes, so silence about a point means that it has not changed, for as long as publishes keep coming; an
empty one (a keep-alive) says so too, and leaves as a frame without samples, the server's sign of life. Whoever judges staleness
knows these points as told by exception (:attr:`ingest.points.PointSpec.by_exception`). Unchanged values are not repeated with a
time of ours: the server's clock and ours differ, and a repeat dated by ours could hide the next change dated by the server's.

Notifications are decoded a whole publish at a time into columns, in the publish callback itself: no task, queue or object per
value. The trigger is status, value or timestamp, so that a server which stamps an unchanged value anew is heard.

Items are created in chunks, because servers limit how many one call may hold (OPC 10000-5 §6.3.11) and refuse a longer call
whole. An item the server does not know is bad, and is asked for again every few seconds: servers accept clients before their nodes
are there.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from asyncua import ua
from numpy.typing import NDArray

from ingest.clock import Clock
from ingest.devices import UaDevice
from ingest.frame import point_id
from ingest.opcua.decode import columns_of, node_id
from ingest.quality import BAD_CONFIGURATION_ERROR, BAD_NO_COMMUNICATION
from ingest.source import Source
from ingest.sourcetime import clock_off_ns, settle_source_times
from market.units import NS_PER_S

__all__ = ["Subscription"]

_log: Final = logging.getLogger(__name__)

_ITEMS_PER_CALL: Final = 1000
"""Monitored items in one call where the server states no smaller limit; several makes of server refuse more."""

_KEEP_ALIVE_S: Final = 2.0
"""Longest wall time between publishes, empty ones included: silence beyond a few of these means that the server is gone."""

_PUBLISH_MIN_S: Final = 0.02
_LIFETIME_S: Final = 60.0
"""Wall time for which a server keeps a subscription whose client does not ask."""


class Subscription:
    """The points of one server, as its monitored items.

    Args:
        source: takes what was reported.
    """

    def __init__(self, device: UaDevice, source: Source, clock: Clock) -> None:
        self._device = device
        self._source = source
        self._clock = clock
        points = device.points
        self._ids: NDArray[np.uint64] = np.array([point_id(point.name) for point in points], dtype=np.uint64)
        self._shortest_ns = min(point.period_ns for point in points)
        self._scale = np.array([point.scale for point in points], dtype=np.float64)
        self._offset = np.array([point.offset for point in points], dtype=np.float64)
        self._nodes: list[ua.NodeId | None] = [None] * len(points)
        self._missing: list[int] = []
        self._refused_with: dict[int, int] = {}
        self._items_per_call = _ITEMS_PER_CALL
        self._session: Any = None
        self._subscription_id = 0
        self._published_s = -math.inf
        self.ended: str | None = None
        """Why the server ended the subscription, once it has."""
        self.keep_alive_s = _KEEP_ALIVE_S
        """Wall time after which the server publishes even if it has nothing to report."""

    @property
    def age_s(self) -> float:
        """Wall seconds since the last publish."""
        return time.monotonic() - self._published_s

    async def open(self, session: Any, namespaces: Sequence[str]) -> None:
        """Create the subscription and its items on a new session; the server then reports every value.

        Raises:
            ua.UaError, OSError, TimeoutError: the server refuses, or is gone.
        """
        self._session = session
        self.ended = None
        speed = self._clock.speed
        publish_s = max(_PUBLISH_MIN_S, self._device.publish_ns / NS_PER_S / speed)
        wanted_s = min(_KEEP_ALIVE_S, self._shortest_ns / NS_PER_S / speed)
        keep_alives = max(1, int(wanted_s / publish_s))
        parameters = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=publish_s * 1000,
            RequestedLifetimeCount=max(3 * keep_alives, math.ceil(_LIFETIME_S / publish_s)),
            RequestedMaxKeepAliveCount=keep_alives,
        )
        self._published_s = time.monotonic()
        result = await session.create_subscription(parameters, self._take)
        self._subscription_id = result.SubscriptionId
        self.keep_alive_s = result.RevisedPublishingInterval / 1000 * max(1, result.RevisedMaxKeepAliveCount)
        self._items_per_call = await self._limit(session)
        self._nodes = [node_id(point.node, namespaces) for point in self._device.points]
        unknown = [row for row, node in enumerate(self._nodes) if node is None]
        if unknown:
            first = self._device.points[unknown[0]]
            what = "%s: the namespace of %d points is not on this server; the first is %s of %s"
            where = {"device": self._device.name, "nodes": len(unknown), "point": first.name}
            _log.warning(what, self._device.name, len(unknown), first.node, first.name, extra=where)
            self._source.publish_bad(self._ids[unknown], BAD_CONFIGURATION_ERROR)
        self._missing = [row for row, node in enumerate(self._nodes) if node is not None]
        self._refused_with = {}
        await self.add_missing()
        if self._missing:
            first = self._device.points[self._missing[0]]
            what = "%s: the server does not know %d nodes, the first is %s of %s; they are asked for again"
            where = {"device": self._device.name, "nodes": len(self._missing), "point": first.name}
            _log.warning(what, self._device.name, len(self._missing), first.node, first.name, extra=where)

    def node(self, row: int) -> ua.NodeId | None:
        """Return the node of a point on the server as it runs now; None where it has none."""
        return self._nodes[row]

    async def add_missing(self) -> None:
        """Create the items that are not there yet; those the server refuses get its reason as their quality."""
        missing, self._missing = self._missing, []
        refused: dict[int, list[int]] = {}
        for start in range(0, len(missing), self._items_per_call):
            rows = missing[start : start + self._items_per_call]
            parameters = ua.CreateMonitoredItemsParameters(
                SubscriptionId=self._subscription_id,
                TimestampsToReturn=ua.TimestampsToReturn.Source,
                ItemsToCreate=[self._item(row) for row in rows],
            )
            results = await self._session.create_monitored_items(parameters)
            for row, result in zip(rows, results, strict=True):
                if not result.StatusCode.is_good():
                    self._missing.append(row)
                    refused.setdefault(result.StatusCode.value, []).append(row)
        for status, rows in refused.items():
            news = [row for row in rows if self._refused_with.get(row) != status]
            self._refused_with |= dict.fromkeys(news, status)
            if news:
                self._source.publish_bad(self._ids[news], status)

    async def _limit(self, session: Any) -> int:
        """Return how many items one call may hold on this server."""
        number = ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall
        [value] = await session.read_attributes([ua.NodeId(number)], ua.AttributeIds.Value)
        stated = value.Value.Value if value.Value is not None else None
        return min(stated, _ITEMS_PER_CALL) if isinstance(stated, int) and stated > 0 else _ITEMS_PER_CALL

    def _item(self, row: int) -> ua.MonitoredItemCreateRequest:
        point = self._device.points[row]
        return ua.MonitoredItemCreateRequest(
            ItemToMonitor=ua.ReadValueId(NodeId=self._nodes[row], AttributeId=ua.AttributeIds.Value),
            MonitoringMode=ua.MonitoringMode.Reporting,
            RequestedParameters=ua.MonitoringParameters(
                ClientHandle=row,
                SamplingInterval=point.period_ns / NS_PER_S / self._clock.speed * 1000,
                Filter=ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValueTimestamp),
                QueueSize=max(1, math.ceil(self._device.publish_ns / point.period_ns)),
                DiscardOldest=True,
            ),
        )

    def _take(self, result: Any) -> None:
        """Take one publish; called by the session for each, also for the empty ones."""
        if result.SubscriptionId != self._subscription_id:
            return
        self._published_s = time.monotonic()
        self._source.heard()
        self._source.polls += 1
        notifications = result.NotificationMessage.NotificationData
        if not notifications:
            self._source.beat()
        for notification in notifications:
            if isinstance(notification, ua.DataChangeNotification):
                self._changed(notification.MonitoredItems)
            elif isinstance(notification, ua.StatusChangeNotification):
                self.ended = f"the server ended the subscription ({notification.Status.name})"

    def _changed(self, items: Sequence[Any]) -> None:
        rows = np.array([item.ClientHandle for item in items], dtype=np.int64)
        known = rows < len(self._ids)
        if not known.all():
            self._source.refuse("handle", f"a notification for item {int(rows[~known][0])}, which was not asked for")
            items = [item for item, is_known in zip(items, known, strict=True) if is_known]
            rows = rows[known]
        values, quality, claimed_ns = columns_of([item.Value for item in items])
        now_ns = self._clock.now_ns()
        ts_event_ns, flags = settle_source_times(claimed_ns, now_ns)
        off_ns = clock_off_ns(claimed_ns, flags, now_ns)
        self._source.publish(self._ids[rows], ts_event_ns, values * self._scale[rows] + self._offset[rows], quality, flags, off_ns)

    def deny(self) -> None:
        """Publish that no point has a value, because the server is not there."""
        self._source.publish_bad(self._ids, BAD_NO_COMMUNICATION)
