"""Whatever a publish holds: read straight into columns it says what asyncua reads of the same bytes, or nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary
from hypothesis import given
from hypothesis import strategies as st

from ingest.opcua.decode import columns_of
from ingest.opcua.notification import Publish, read_publish
from tests.kit.publishes import encoded

TYPES = [ua.VariantType(number) for number in range(1, 12)]
NUMBERS: dict[ua.VariantType, st.SearchStrategy[Any]] = {
    ua.VariantType.Boolean: st.booleans(),
    ua.VariantType.Float: st.floats(width=32),
    ua.VariantType.Double: st.floats(),
} | {
    kind: st.integers(0 if kind.name[0] in "UB" else -(1 << bits - 1), (1 << bits - (kind.name[0] not in "UB")) - 1)
    for kind, bits in (
        (ua.VariantType.SByte, 8),
        (ua.VariantType.Byte, 8),
        (ua.VariantType.Int16, 16),
        (ua.VariantType.UInt16, 16),
        (ua.VariantType.Int32, 32),
        (ua.VariantType.UInt32, 32),
        (ua.VariantType.Int64, 64),
        (ua.VariantType.UInt64, 64),
    )
}
VARIANTS = st.sampled_from(TYPES).flatmap(lambda kind: NUMBERS[kind].map(lambda value: ua.Variant(value, kind))) | st.just(ua.Variant(None))
STATUSES = st.sampled_from([0, 0x4090_0000, 0x8031_0000, 0x0000_0480, 0x808C_0000]).map(ua.StatusCode)
TIMES = st.datetimes(datetime(1700, 1, 2), datetime(2261, 12, 30), timezones=st.just(UTC)) | st.none()  # noqa: DTZ001
VALUES = st.builds(ua.DataValue, Value=VARIANTS, StatusCode=STATUSES, SourceTimestamp=TIMES, ServerTimestamp=TIMES)
ITEMS = st.lists(st.tuples(st.integers(0, 2**32 - 1), VALUES), max_size=20)


@given(st.lists(ITEMS, max_size=3))
def test_what_is_read_is_what_asyncua_reads(parts: list[list[tuple[int, ua.DataValue]]]) -> None:
    raw = encoded(*parts)
    publish = read_publish(raw)
    assert publish is not None
    theirs = struct_from_binary(ua.PublishResponse, Buffer(raw)).Parameters
    assert (publish.subscription, publish.number) == (theirs.SubscriptionId, theirs.NotificationMessage.SequenceNumber)
    assert len(publish.parts) == len(theirs.NotificationMessage.NotificationData or [])
    for mine, notification in zip(publish.parts, theirs.NotificationMessage.NotificationData or [], strict=True):
        items = notification.MonitoredItems or []
        numbers, quality, times_ns = columns_of([item.Value for item in items])
        assert mine.handles.tolist() == [item.ClientHandle for item in items]
        np.testing.assert_array_equal(mine.numbers, numbers)
        assert mine.quality.tolist() == quality.tolist()
        assert mine.claimed_ns.tolist() == times_ns.tolist()


@given(ITEMS.filter(bool), st.data())
def test_bytes_that_are_cut_or_corrupted_are_left_to_asyncua_or_read_without_a_fault(
    items: list[tuple[int, ua.DataValue]], data: st.DataObject
) -> None:
    raw = encoded(items)
    assert read_publish(raw[: data.draw(st.integers(0, raw.index(b"\x01\x00\x2b\x03")))]) is None
    place, byte = data.draw(st.integers(0, len(raw) - 1)), data.draw(st.integers(0, 255))
    assert isinstance(read_publish(raw[:place] + bytes([byte]) + raw[place + 1 :]), Publish | None)


@given(st.binary(max_size=200))
def test_any_bytes_are_no_fault(raw: bytes) -> None:
    assert isinstance(read_publish(raw), Publish | None)
