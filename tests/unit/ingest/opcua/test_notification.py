"""Publishes read straight into columns say what asyncua reads of the same bytes, or nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from asyncua import ua

from ingest.opcua.decode import columns_of
from ingest.opcua.notification import read_publish
from tests.kit.publishes import encoded

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_numbers_of_every_type_their_status_and_their_times_are_read() -> None:
    kinds = [ua.VariantType(number) for number in range(1, 12)]
    values = [ua.DataValue(ua.Variant(1 if kind.value < 10 else 1.5, kind), SourceTimestamp=NOON) for kind in kinds]
    bad = ua.DataValue(ua.Variant(None), StatusCode=ua.StatusCode(0x8031_0000))
    publish = read_publish(encoded(list(enumerate(values, 100)), [(7, bad)]))
    assert publish is not None
    assert (publish.subscription, publish.number) == (7, 5)
    first, second = publish.parts
    assert first.handles.tolist() == list(range(100, 111))
    assert first.numbers.tolist() == [1.0] * 9 + [1.5] * 2
    assert set(first.claimed_ns.tolist()) == {int(NOON.timestamp()) * 10**9}
    assert (second.handles.tolist(), second.quality.tolist()) == ([7], [0x8031_0000])


def test_bytes_that_end_too_soon_are_left_to_asyncua() -> None:
    assert read_publish(encoded([(1, ua.DataValue(ua.Variant(1.0)))])[:40]) is None


@pytest.mark.parametrize(
    "value",
    [
        ua.DataValue(ua.Variant("text")),
        ua.DataValue(ua.Variant([1.0, 2.0])),
        ua.DataValue(ua.Variant(datetime(2026, 1, 1, tzinfo=UTC))),
        ua.DataValue(ua.Variant(1.0), SourceTimestamp=datetime(2026, 1, 1, tzinfo=UTC), SourcePicoseconds=5),
    ],
)
def test_what_is_no_plain_number_is_left_to_asyncua(value: ua.DataValue) -> None:
    assert read_publish(encoded([(1, ua.DataValue(ua.Variant(1.0))), (2, value)])) is None


def test_other_notifications_are_left_to_asyncua() -> None:
    plain = [(1, ua.DataValue(ua.Variant(1.0)))]
    assert read_publish(encoded(plain, more=ua.StatusChangeNotification(Status=ua.StatusCode(0x8000_0000)))) is None
    assert read_publish(encoded(plain, more=ua.EventNotificationList())) is None


def test_times_beyond_what_nanoseconds_hold_are_clipped_and_not_a_fault() -> None:
    at = [datetime(1602, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)]
    items = [(n, ua.DataValue(ua.Variant(1.0), SourceTimestamp=moment)) for n, moment in enumerate(at)]
    publish = read_publish(encoded(items))
    assert publish is not None
    early_ns, late_ns = publish.parts[0].claimed_ns.tolist()
    _, _, (early_too_ns, late_too_ns) = columns_of([value for _, value in items])
    for ns in (early_ns, early_too_ns):
        assert -(2**63) < ns < -8_000_000_000_000_000_000
    for ns in (late_ns, late_too_ns):
        assert 9_000_000_000_000_000_000 < ns < 2**63
