"""What becomes of the data values of one server, whichever way they came?

Subscriptions, polls and histories all bring data values of points. Here they are put into columns, scaled, dated and published, and
what a server says about values that it lost is counted: a server whose queue for a point ran over marks the next value of it
(OPC 10000-4 §7.39.1), which says nothing about that value, so the mark is counted and taken off.

Where gaps are to be filled (:mod:`ingest.opcua.gaps`), every live value is also noted there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ingest.clock import Clock
from ingest.devices import UaDevice
from ingest.frame import point_id
from ingest.opcua.decode import columns_of
from ingest.opcua.gaps import Gaps
from ingest.quality import Flag
from ingest.source import Source
from ingest.sourcetime import clock_off_ns, settle_source_times

__all__ = ["Samples"]

_OVERFLOW: Final = np.uint32(0x0480)
"""Info type "data value" and its overflow bit."""

_INFO: Final = np.uint32(0x03FF)
"""All other bits that go with that info type: limits, semantics, structure."""


class Samples:
    """The values of one server's points on their way out.

    Args:
        source: takes the frames.

    Attributes:
        gaps: what is missing of each point; None where nobody fills it in.
    """

    def __init__(self, device: UaDevice, source: Source, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._ids: NDArray[np.uint64] = np.array([point_id(point.name) for point in device.points], dtype=np.uint64)
        self._scale = np.array([point.scale for point in device.points], dtype=np.float64)
        self._offset = np.array([point.offset for point in device.points], dtype=np.float64)
        self.gaps = Gaps(len(device.points)) if device.backfill_ns is not None else None

    def __len__(self) -> int:
        return len(self._ids)

    def take(self, rows: NDArray[np.int64], values: Sequence[Any]) -> None:
        """Publish live values.

        Args:
            rows: (n,) places of their points in the device's list.
            values: n asyncua ``DataValue``.
        """
        self.take_columns(rows, *columns_of(values))

    def take_columns(
        self, rows: NDArray[np.int64], numbers: NDArray[np.float64], quality: NDArray[np.uint32], claimed_ns: NDArray[np.int64]
    ) -> None:
        """Publish live values that are columns already, as :func:`ingest.opcua.decode.columns_of` gives them; all (n,)."""
        overflowed = (quality & _OVERFLOW) == _OVERFLOW
        if overflowed.any():
            count = int(np.count_nonzero(overflowed))
            self._source.refuse("queue_overflow", "the server's queue of a point ran over; give `queue`, or a shorter `publish`", count)
            quality = np.where(overflowed, _without_mark(quality), quality)
        now_ns = self._clock.now_ns()
        ts_event_ns, flags = settle_source_times(claimed_ns, now_ns)
        if self.gaps is not None:
            self.gaps.live(rows, ts_event_ns, dated=flags == 0, overflowed=overflowed)
        off_ns = clock_off_ns(claimed_ns, flags, now_ns)
        self._source.publish(self._ids[rows], ts_event_ns, numbers * self._scale[rows] + self._offset[rows], quality, flags, off_ns)

    def replay(self, rows: NDArray[np.int64], values: Sequence[Any]) -> None:
        """Publish values that a server had kept; the same arguments."""
        numbers, quality, claimed_ns = columns_of(values)
        ts_event_ns, flags = settle_source_times(claimed_ns, self._clock.now_ns())
        numbers = numbers * self._scale[rows] + self._offset[rows]
        self._source.publish(self._ids[rows], ts_event_ns, numbers, quality, flags | np.uint16(Flag.REPLAYED))

    def deny(self, rows: Sequence[int] | slice, quality: int) -> None:
        """Publish that points have no value, and why."""
        self._source.publish_bad(self._ids[rows], quality)


def _without_mark(quality: NDArray[np.uint32]) -> NDArray[np.uint32]:
    bare = quality & ~np.uint32(0x0080)
    return np.where(bare & _INFO, bare, bare & ~np.uint32(0x0400))
