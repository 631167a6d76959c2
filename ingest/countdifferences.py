"""What did a counter count from one reading to the next, as a point of its own?

A counter whose list says ``difference`` has such a point: with each new reading of the counter it tells, in the counter's unit and with the
reading's time, what was counted since the reading before, exact to the last count (:mod:`ingest.counting`). Energy per interval is then
a sum, and needs nobody who knows how large the counter is.

============================  ======================================================================================
the reading                   the difference
============================  ======================================================================================
goes on from the one before   what was counted, over the end of the counter too; as good as the worse of both readings
is bad                        bad with the same status code; what is counted meanwhile comes with the next good reading
does not go on (a reset)      Bad_DataUnavailable, flagged COUNTER_RESET; never the distance between the two
is the first                  Bad_WaitingForInitialData
shows no whole count          Bad_DataUnavailable; what is counted meanwhile comes with the next whole one
is no newer                   none: the newer reading has told it
============================  ======================================================================================

So the differences between two resets add up to what the counter gained between its first and its last reading, to the count, whatever
was bad or missing on the way. A difference carries the flags of its reading. What a process does not remember is not told: the first
reading after a start has no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.devices import Point
from ingest.frame import point_id
from ingest.layouts import Layouts
from ingest.quality import BAD_DATA_UNAVAILABLE, BAD_WAITING_FOR_INITIAL_DATA, GOOD, Flag

__all__ = ["Columns", "CountDifferences", "difference_of", "published_names"]

_NEVER_NS: Final = -1
_BAD: Final = 2
_UNCOUNTED: Final = int(Flag.OUT_OF_RANGE)


class Columns(NamedTuple):
    """The samples of a frame, (n,) each, as in :class:`ingest.frame.TelemetryFrame`."""

    point: NDArray[np.uint64]
    ts_event_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint32]
    flags: NDArray[np.uint16]


def difference_of(point: Point) -> str | None:
    """Return the name of the point that tells the differences of a counter; None where there is none."""
    counter = None if point.checks is None else point.checks.counter
    return None if counter is None else counter.difference


def published_names(points: Iterable[Point]) -> Iterator[str]:
    """Yield the names of points and of those that tell their differences."""
    for point in points:
        yield point.name
        if (name := difference_of(point)) is not None:
            yield name


class CountDifferences:
    """The differences of one device's counters.

    Args:
        points: the device's points, in any order.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        told = [(point, name) for point in points if (name := difference_of(point)) is not None]
        self._row_of = {point_id(point.name): row for row, (point, _) in enumerate(told)}
        self._ids = [point_id(name) for _, name in told]
        self._scale = [point.scale for point, _ in told]
        self._told_ns = [_NEVER_NS] * len(told)
        self._counted_ns = [_NEVER_NS] * len(told)
        self._quality = [GOOD] * len(told)
        self._layouts = Layouts(len(points), self._lay_out)

    @staticmethod
    def of(points: Sequence[Point]) -> CountDifferences | None:
        """Return the differences of a device; None where no point of it asks for one."""
        return CountDifferences(points) if any(difference_of(point) is not None for point in points) else None

    def beside(self, columns: Columns, place: NDArray[np.int64], counts: NDArray[np.uint64]) -> Columns:
        """Return judged samples and, behind them, the differences of the counters among them; no column is written to.

        Args:
            columns: as :class:`ingest.checks.Checks` judged them.
            place: (k,) places of the counters of which it is known what they counted.
            counts: (k,) whole counts.
        """
        places = self._layouts.of(columns.point)
        if not places:
            return columns
        steps = dict(zip(place.tolist(), counts.tolist(), strict=True))
        found = [told for at, row in places if (told := self._told(row, at, columns, steps.get(at))) is not None]
        if not found:
            return columns
        ids, ts_ns, values, quality, flags = zip(*found, strict=True)
        return Columns(
            np.append(columns.point, np.array(ids, dtype=np.uint64)),
            np.append(columns.ts_event_ns, np.array(ts_ns, dtype=np.int64)),
            np.append(columns.value, np.array(values, dtype=np.float64)),
            np.append(columns.quality, np.array(quality, dtype=np.uint32)),
            np.append(columns.flags, np.array(flags, dtype=np.uint16)),
        )

    def _told(self, row: int, at: int, columns: Columns, step: int | None) -> tuple[int, int, float, int, int] | None:
        """Return what is told beside one reading: id, source time, value, status code and flags; None for nothing."""
        ts_ns, quality, flags = int(columns.ts_event_ns[at]), int(columns.quality[at]), int(columns.flags[at])
        is_first = self._counted_ns[row] == _NEVER_NS
        before = self._quality[row]
        is_counted = quality >> 30 < _BAD and not flags & _UNCOUNTED and ts_ns > self._counted_ns[row]
        if is_counted:
            self._counted_ns[row], self._quality[row] = ts_ns, quality
        if step is None and not flags & Flag.COUNTER_RESET and ts_ns <= self._told_ns[row]:
            return None
        self._told_ns[row] = max(self._told_ns[row], ts_ns)
        if step is not None:
            return self._ids[row], ts_ns, step * self._scale[row], before if before >> 30 > quality >> 30 else quality, flags
        if quality >> 30 < _BAD:
            quality = BAD_WAITING_FOR_INITIAL_DATA if is_first and is_counted else BAD_DATA_UNAVAILABLE
        return self._ids[row], ts_ns, np.nan, quality, flags

    def _lay_out(self, point: NDArray[np.uint64]) -> list[tuple[int, int]]:
        """Return place and row of the counters of a frame."""
        return [(at, row) for at, number in enumerate(point.tolist()) if (row := self._row_of.get(number)) is not None]
