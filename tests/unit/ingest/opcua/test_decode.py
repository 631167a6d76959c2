"""Data values to columns, and node ids on servers whose namespaces moved."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from asyncua import ua

from ingest.opcua.decode import columns_of, node_id
from ingest.quality import BAD_CONFIGURATION_ERROR, BAD_DATA_UNAVAILABLE
from ingest.sourcetime import NO_TIME
from market.units import instant_ns

NOON = datetime(2026, 6, 10, 12, 0, 0, 123456, tzinfo=UTC)


def value(raw: object, status: int = 0, at: datetime | None = NOON) -> ua.DataValue:
    return ua.DataValue(Value=ua.Variant(raw), StatusCode=ua.StatusCode(status), SourceTimestamp=at)


@pytest.mark.parametrize(
    ("given", "number", "quality"),
    [
        (value(3.5), 3.5, 0),
        (value(7), 7.0, 0),
        (value(True), 1.0, 0),
        (value(3.5, 0x40900000), 3.5, 0x40900000),
        (value(3.5, 0x00960000), 3.5, 0x00960000),
        (value(3.5, 0x808C0000), math.nan, 0x808C0000),
        (value(None, 0x80320000), math.nan, 0x80320000),
        (value(None), math.nan, BAD_DATA_UNAVAILABLE),
        (value(math.nan), math.nan, BAD_DATA_UNAVAILABLE),
        (value(-math.inf), math.nan, BAD_DATA_UNAVAILABLE),
        (value("12"), math.nan, BAD_CONFIGURATION_ERROR),
        (value([1.0, 2.0]), math.nan, BAD_CONFIGURATION_ERROR),
        (ua.DataValue(Value=ua.Variant(1.0), StatusCode=None), 1.0, 0),
    ],
)
def test_value_and_status(given: ua.DataValue, number: float, quality: int) -> None:
    values, qualities, _ = columns_of([given])
    assert qualities.tolist() == [quality]
    assert values.tolist() == [number] or (math.isnan(values[0]) and math.isnan(number))


def test_source_times_to_the_microsecond() -> None:
    late = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    given = [value(1.0, at=at) for at in (NOON, None, datetime(1601, 1, 1, tzinfo=UTC), late, datetime(1969, 12, 31, tzinfo=UTC))]
    _, _, times = columns_of(given)
    assert times[:3].tolist() == [instant_ns("2026-06-10T12:00:00.123456Z"), NO_TIME, NO_TIME]
    assert times[3] > instant_ns("2260-01-01T00:00:00Z")
    assert times[4] == instant_ns("1969-12-31T00:00:00Z")


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("nsu=urn:b;s=Load/215/P", "ns=2;s=Load/215/P"),
        ("nsu=urn:b;s=a;b=c", "ns=2;s=a;b=c"),
        ("nsu=urn:a;i=85", "ns=1;i=85"),
        ("ns=3;s=x", "ns=3;s=x"),
        ("i=2258", "i=2258"),
        ("nsu=urn:gone;s=x", None),
        ("nsu=urn:a;g=nonsense", None),
    ],
)
def test_namespaces_are_looked_up_by_their_uri(text: str, node: str | None) -> None:
    found = node_id(text, ["http://opcfoundation.org/UA/", "urn:a", "urn:b"])
    assert (found.to_string() if found is not None else None) == node
