"""What does a server report about its points, and what does its silence about them mean?

A subscription reports changes, so silence about a point means that it has not changed, for as long as publishes keep coming; an
empty one (a keep-alive) says so too, and leaves as a frame without samples, the server's sign of life. Whoever judges staleness
knows these points as told by exception (:attr:`ingest.points.PointSpec.by_exception`). Unchanged values are not repeated with a
time of ours: the server's clock and ours differ, and a repeat dated by ours could hide the next change dated by the server's.

Notifications are decoded a whole publish at a time into columns, in the publish callback itself: no task, queue or object per
value. The trigger is status, value or timestamp, so that a server which stamps an unchanged value anew is heard; a point with a
deadband is told of by the deadband alone (OPC 10000-4 §7.22.2).

Publishes are numbered. A number that was passed over is a publish that was lost, with changes in it that no later one repeats: it is
counted, and the subscription is built anew, whereupon the server reports every value.

Items are created in calls as long as the server takes (:mod:`ingest.opcua.limits`). An item the server does not know is bad, and is
asked for again every few seconds: servers accept clients before their nodes are there.
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
from ingest.devices import UaDevice, UaPoint
from ingest.opcua.decode import columns_of
from ingest.opcua.limits import Limits, parts
from ingest.opcua.nodes import NodeBook
from ingest.opcua.notification import Columns
from ingest.opcua.publishing import hasten
from ingest.opcua.samples import Samples
from ingest.source import Source
from market.units import NS_PER_S

__all__ = ["Subscription"]

_log: Final = logging.getLogger(__name__)

_KEEP_ALIVE_S: Final = 2.0
"""Longest wall time between publishes, empty ones included: silence beyond a few of these means that the server is gone."""

_PUBLISH_MIN_S: Final = 0.02
_LIFETIME_S: Final = 60.0
"""Wall time for which a server keeps a subscription whose client does not ask."""

_NUMBERS: Final = 0xFFFF_FFFF
"""Publishes are numbered from 1 to this, and from 1 again (OPC 10000-4 §7.36)."""


class Subscription:
    """The points of one server, as its monitored items.

    Args:
        nodes: which node each point is.
        samples: takes what was reported.
        source: takes signs of life, and counts.
    """

    def __init__(self, device: UaDevice, nodes: NodeBook, samples: Samples, source: Source, clock: Clock) -> None:
        self._device = device
        self._nodes = nodes
        self._samples = samples
        self._source = source
        self._clock = clock
        self._shortest_ns = min(point.period_ns for point in device.points)
        self._missing: list[int] = []
        self._refused_with: dict[int, int] = {}
        self._limits = Limits()
        self._session: Any = None
        self._subscription_id = 0
        self._next_number = 1
        self._is_numbered = False
        self._published_s = -math.inf
        self.ended: str | None = None
        """Why the subscription has to be built anew, once it has."""
        self.keep_alive_s = _KEEP_ALIVE_S
        """Wall time after which the server publishes even if it has nothing to report."""

    @property
    def age_s(self) -> float:
        """Wall seconds since the last publish."""
        return time.monotonic() - self._published_s

    async def open(self, session: Any, limits: Limits) -> None:
        """Create the subscription and its items on a new session; the server then reports every value.

        Raises:
            ua.UaError, OSError, TimeoutError: the server refuses, or is gone.
        """
        self._session = session
        self._limits = limits
        self.ended = None
        self._next_number, self._is_numbered = 1, False
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
        hasten(session)
        result = await session.create_subscription(parameters, self._take)
        self._subscription_id = result.SubscriptionId
        self.keep_alive_s = result.RevisedPublishingInterval / 1000 * max(1, result.RevisedMaxKeepAliveCount)
        self._missing = self._nodes.known()
        self._refused_with = {}
        await self._create()

    async def add_missing(self) -> None:
        """Ask again for the nodes and items that are not there yet."""
        self._missing += await self._nodes.look_again()
        await self._create()

    async def _create(self) -> None:
        """Create the items that are not there yet; those the server refuses get its reason as their quality."""
        missing, self._missing = self._missing, []
        refused: dict[int, list[int]] = {}
        for rows in parts(missing, self._limits.items):
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
                self._samples.deny(news, status)
                self._report(status, news)

    def _report(self, status: int, rows: Sequence[int]) -> None:
        point = self._device.points[rows[0]]
        name = ua.StatusCode(status).name
        what = "%s: the server refuses %d points (%s), the first is %s of %s; they are asked for again%s"
        remedy = "; correct or remove its `deadband`" if "Filter" in name and point.deadband is not None else ""
        where = {"device": self._device.name, "nodes": len(rows), "point": point.name, "reason": name}
        _log.warning(what, self._device.name, len(rows), name, point.node, point.name, remedy, extra=where)

    def _item(self, row: int) -> ua.MonitoredItemCreateRequest:
        point = self._device.points[row]
        sampling_ns = point.period_ns if point.sampling_ns is None else point.sampling_ns
        return ua.MonitoredItemCreateRequest(
            ItemToMonitor=ua.ReadValueId(NodeId=self._nodes[row], AttributeId=ua.AttributeIds.Value),
            MonitoringMode=ua.MonitoringMode.Reporting,
            RequestedParameters=ua.MonitoringParameters(
                ClientHandle=row,
                SamplingInterval=sampling_ns / NS_PER_S / self._clock.speed * 1000,
                Filter=_filter(point),
                QueueSize=point.queue or max(1, math.ceil(self._device.publish_ns / (sampling_ns or point.period_ns))),
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
        message = result.NotificationMessage
        self._count(message.SequenceNumber, is_empty=not message.NotificationData)
        if not message.NotificationData:
            self._source.beat()
        try:
            for notification in message.NotificationData:
                self._notice(notification)
        except Exception:
            # asyncua would pass over it in silence, and with it over values that no one repeats.
            _log.exception("%s: a publish was lost by a fault of this program", self._device.name, extra={"device": self._device.name})
            self._source.refuse("fault", "a publish was lost by a fault of this program; see the log")
            self.ended = "a publish was lost by a fault of this program"

    def _notice(self, notification: Any) -> None:
        if isinstance(notification, Columns):
            self._changed(notification.handles, notification.numbers, notification.quality, notification.claimed_ns)
        elif isinstance(notification, ua.DataChangeNotification):
            handles = np.array([item.ClientHandle for item in notification.MonitoredItems], dtype=np.int64)
            self._changed(handles, *columns_of([item.Value for item in notification.MonitoredItems]))
        elif isinstance(notification, ua.StatusChangeNotification):
            self.ended = f"the server ended the subscription ({notification.Status.name})"

    def _count(self, number: int, *, is_empty: bool) -> None:
        """Compare a publish's number with the one that was due; an empty one tells the number of the next that is not."""
        ahead = (number - self._next_number) % _NUMBERS
        if 0 < ahead < _NUMBERS // 2:
            what = f"publish {number} came where {self._next_number} was due"
            self._source.refuse("publish_lost", what, ahead)
            if self._is_numbered:
                # Only then: a server that begins to count elsewhere would be asked to begin again for ever.
                self.ended = "publishes were lost"
        if not is_empty:
            self._next_number = number % _NUMBERS + 1
        elif 0 < ahead < _NUMBERS // 2:
            self._next_number = number
        self._is_numbered = True

    def _changed(self, handles: NDArray[np.int64], *columns: NDArray[Any]) -> None:
        known = handles < len(self._samples)
        if not known.all():
            self._source.refuse("handle", f"a notification for item {int(handles[~known][0])}, which was not asked for")
            handles, columns = handles[known], tuple(column[known] for column in columns)
        numbers, quality, claimed_ns = columns
        self._samples.take_columns(handles, numbers, quality, claimed_ns)


def _filter(point: UaPoint) -> ua.DataChangeFilter:
    """Return what the server has to tell of a point; a deadband is stated in the server's own numbers."""
    trigger, deadband = ua.DataChangeTrigger.StatusValueTimestamp, point.deadband
    if deadband is None:
        return ua.DataChangeFilter(Trigger=trigger)
    kind = ua.DeadbandType.Percent if deadband.is_percent else ua.DeadbandType.Absolute
    value = deadband.value if deadband.is_percent else deadband.value / abs(point.scale)
    return ua.DataChangeFilter(Trigger=trigger, DeadbandType=kind, DeadbandValue=value)
