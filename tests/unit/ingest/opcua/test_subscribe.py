"""Publishes: the numbers they bear, and what a number that was passed over means."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from asyncua import ua

from ingest.clock import WallClock
from ingest.opcua.nodes import NodeBook
from ingest.opcua.samples import Samples
from ingest.opcua.subscribe import Subscription
from ingest.source import Source
from tests.kit.field import Collector, source_into, ua_device, ua_point

LAST = 0xFFFF_FFFF


def subscribed() -> tuple[Subscription, Source, Collector]:
    device = ua_device(1, ua_point("v", "i=1"))
    out = Collector(device)
    source = source_into(out, "ems")
    samples = Samples(device, source, WallClock())
    return Subscription(device, NodeBook(device, samples), samples, source, WallClock()), source, out


def publish(subscription: Subscription, number: int, *values: tuple[float, int]) -> None:
    items = [
        ua.MonitoredItemNotification(ClientHandle=0, Value=ua.DataValue(Value=ua.Variant(value), StatusCode=ua.StatusCode(status)))
        for value, status in values
    ]
    data = [ua.DataChangeNotification(MonitoredItems=items)] if items else []
    subscription._take(ua.PublishResult(NotificationMessage=ua.NotificationMessage(SequenceNumber=number, NotificationData=data)))


@pytest.mark.parametrize(
    ("numbers", "lost"),
    [
        # A minus stands before the number of an empty publish: the one that comes next.
        ((1, 2, 3), 0),
        ((-1, -1, 1, -2, 2), 0),
        ((1, 3, 4), 1),
        ((1, -2, 5, 6), 3),
        ((1, 2, -6, 6), 3),
        ((1, 1, 2), 0),
        ((1, -1, 2), 0),
    ],
)
def test_publishes_that_were_lost_are_counted(numbers: Sequence[int], lost: int) -> None:
    subscription, source, _ = subscribed()
    for number in numbers:
        publish(subscription, abs(number), *([(1.0, 0)] if number > 0 else []))
    assert source.refused == ({"publish_lost": lost} if lost else {})
    assert subscription.ended == ("publishes were lost" if lost else None)


def test_numbers_begin_again_at_one() -> None:
    subscription, source, _ = subscribed()
    subscription._next_number, subscription._is_numbered = LAST - 1, True
    for number in (LAST - 1, LAST, 1, 2):
        publish(subscription, number, (1.0, 0))
    assert source.refused == {}
    publish(subscription, 4, (1.0, 0))
    assert source.refused == {"publish_lost": 1}


def test_a_server_that_begins_to_count_elsewhere_is_not_asked_to_begin_again() -> None:
    subscription, source, _ = subscribed()
    for number in (5, 6, 7):
        publish(subscription, number, (1.0, 0))
    assert source.refused == {"publish_lost": 4}
    assert subscription.ended is None


@pytest.mark.parametrize(
    ("status", "quality", "overflows"),
    [
        (0x0000_0480, 0x0000_0000, 1),
        (0x4090_0480, 0x4090_0000, 1),
        (0x0000_0580, 0x0000_0500, 1),
        (0x0000_0500, 0x0000_0500, 0),
        (0x80, 0x80, 0),
    ],
)
def test_the_mark_of_an_overflow_is_counted_and_taken_off(status: int, quality: int, overflows: int) -> None:
    subscription, source, out = subscribed()
    publish(subscription, 1, (7.0, status), (8.0, 0))
    [frame] = out.frames
    assert frame.value.tolist() == [7.0, 8.0]
    assert frame.quality.tolist() == [quality, 0]
    assert source.refused == ({"queue_overflow": overflows} if overflows else {})


def test_a_fault_of_ours_in_a_publish_is_counted_and_the_subscription_is_built_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    subscription, source, out = subscribed()
    monkeypatch.setattr(Samples, "take_columns", lambda *_: 1 / 0)
    publish(subscription, 1, (7.0, 0))
    assert (source.refused, out.frames) == ({"fault": 1}, [])
    assert subscription.ended == "a publish was lost by a fault of this program"


def test_an_item_nobody_asked_for_is_refused_and_the_others_are_taken() -> None:
    subscription, source, out = subscribed()
    items = [ua.MonitoredItemNotification(ClientHandle=handle, Value=ua.DataValue(Value=ua.Variant(float(handle)))) for handle in (9, 0, 1)]
    data = [ua.DataChangeNotification(MonitoredItems=items)]
    subscription._take(ua.PublishResult(NotificationMessage=ua.NotificationMessage(SequenceNumber=1, NotificationData=data)))
    [frame] = out.frames
    assert frame.value.tolist() == [0.0]
    assert source.refused == {"handle": 1}
