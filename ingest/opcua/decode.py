"""What do the data values of a publish mean, and which node does a node id in the point list name on this server?

The server's status code is the quality, unchanged, and its source time is the sample's time. Three cases are ours to judge: a good
status without a number is bad (there is nothing to use), a value that is no number at all means that the point list names the
wrong node, and the value under a bad status is not passed on, because it "shall never be used" (OPC 10000-4 §7.39).

A namespace has an index only for as long as a server runs; a point list therefore names it by its URI (``nsu=``), which is looked
up anew at every connection.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from asyncua import ua
from numpy.typing import NDArray

from ingest.quality import BAD_CONFIGURATION_ERROR, BAD_DATA_UNAVAILABLE
from ingest.sourcetime import NO_TIME
from market.units import NS_PER_S

__all__ = ["columns_of", "node_id"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NULL_TIME: Final = datetime(1601, 1, 1, tzinfo=UTC)
"""OPC UA's zero: no time was given (OPC 10000-6 §5.2.2.5)."""

_FIRST_YEAR: Final = 1700
_LAST_YEAR: Final = 2261
"""The whole years that fit 64-bit nanoseconds; a source time before or after them is as wrong as these."""

_BAD_BIT: Final = 0x8000_0000
_NAMESPACE: Final = re.compile(r"nsu=([^;]+);(.+)", re.DOTALL)


def node_id(text: str, namespaces: Sequence[str]) -> ua.NodeId | None:
    """Return the node a text names on a server with these namespaces; None where it has no such namespace or node id.

    >>> node_id("nsu=urn:b;s=x", ["http://opcfoundation.org/UA/", "urn:a", "urn:b"]).to_string()
    'ns=2;s=x'
    """
    found = _NAMESPACE.fullmatch(text)
    if found is not None:
        if found[1] not in namespaces:
            return None
        text = f"ns={namespaces.index(found[1])};{found[2]}"
    try:
        return ua.NodeId.from_string(text)
    except ua.UaError:
        return None


def columns_of(values: Sequence[Any]) -> tuple[NDArray[np.float64], NDArray[np.uint32], NDArray[np.int64]]:
    """Read data values into columns.

    Args:
        values: n asyncua ``DataValue``.

    Returns:
        (n,) float64 raw values, NaN where bad; (n,) uint32 status codes; (n,) int64 source times, UTC ns, NO_TIME where absent.
    """
    numbers: list[float] = []
    qualities: list[int] = []
    times: list[int] = []
    for value in values:
        number, quality = _judged(value)
        numbers.append(number)
        qualities.append(quality)
        moment = value.SourceTimestamp
        times.append(NO_TIME if moment is None or moment == _NULL_TIME else _instant_ns(moment))
    return np.array(numbers, dtype=np.float64), np.array(qualities, dtype=np.uint32), np.array(times, dtype=np.int64)


def _judged(value: Any) -> tuple[float, int]:
    quality = 0 if value.StatusCode is None else value.StatusCode.value
    if quality & _BAD_BIT:
        return math.nan, quality
    raw = None if value.Value is None else value.Value.Value
    if isinstance(raw, float | int):
        return (float(raw), quality) if math.isfinite(raw) else (math.nan, BAD_DATA_UNAVAILABLE)
    return math.nan, BAD_DATA_UNAVAILABLE if raw is None else BAD_CONFIGURATION_ERROR


def _instant_ns(moment: datetime) -> int:
    year = min(max(moment.year, _FIRST_YEAR), _LAST_YEAR)
    delta = (moment if moment.year == year else moment.replace(year=year, day=1)) - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * NS_PER_S + delta.microseconds * 1_000
