"""Which values of a server never reached us, by point and time?

A gap opens when a session ends, and closes with the first value of a point that comes of the next one: what the server held between
the last value before and that first one, both excluded, was not told. A queue that ran over makes a gap of the same form within one
session. Points that never told a value have no gap: there is no time to begin it at.

The values on either side of the first one of a session are asked for, too: a server may read what it tells first, and begin to notice
changes a moment later.

Only values with a time of their server's own count on either side, because a history is asked for by that time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.sourcetime import NO_TIME

__all__ = ["Gap", "Gaps"]


@dataclass(frozen=True, slots=True)
class Gap:
    """What is missing of one point.

    Attributes:
        row: the point's place in the device's list.
        after_ns: source time of the last value before it, excluded; before_ns: of the first one after it, excluded.
        is_seam: whether it lies behind the first value of a session, and may well hold nothing.
    """

    row: int
    after_ns: int
    before_ns: int
    is_seam: bool = False


class Gaps:
    """The gaps of one device's points.

    Args:
        points: how many it has.

    Attributes:
        closed: gaps with both ends known, as keys, oldest first; whoever fills one in takes it away.
    """

    def __init__(self, points: int) -> None:
        self.closed: dict[Gap, None] = {}
        self._last_ns = np.full(points, NO_TIME, dtype=np.int64)
        self._is_open = np.zeros(points, dtype=bool)
        self._at_seam = np.zeros(points, dtype=bool)
        """Whether the last value of a point was the first of its session."""
        self._any_open = False

    def opened(self) -> None:
        """Note that from now on values may be missed, of every point."""
        self._is_open |= self._last_ns != NO_TIME
        self._any_open = bool(self._is_open.any())

    def state(self) -> tuple[NDArray[np.int64], tuple[Gap, ...]]:
        """Return the source time of the last value of each point, (n,) UTC ns or NO_TIME, and the closed gaps that are not filled in."""
        return self._last_ns.copy(), tuple(self.closed)

    def restore(self, last_ns: NDArray[np.int64], closed: Iterable[Gap]) -> None:
        """Begin with what :meth:`state` gave before; whatever came since then was missed."""
        self._last_ns[:] = last_ns
        self.closed |= dict.fromkeys(closed)

    def live(
        self,
        rows: NDArray[np.int64],
        ts_event_ns: NDArray[np.int64],
        *,
        dated: NDArray[np.bool_],
        overflowed: NDArray[np.bool_],
    ) -> None:
        """Note live values, in the order they came; all (n,).

        Args:
            rows: places of their points.
            dated: whether the source time is their server's own.
            overflowed: whether values before this one were lost in the server's queue.
        """
        if self._any_open or overflowed.any():
            ends = dated & (self._is_open[rows] | self._at_seam[rows] | overflowed)
            ends |= dated & np.isin(rows, rows[ends])  # a second value may have come together with the first
            for at in np.flatnonzero(ends).tolist():
                self._close(int(rows[at]), rows[:at][dated[:at]], ts_event_ns[:at][dated[:at]], int(ts_event_ns[at]), bool(overflowed[at]))
            self._any_open = bool(self._is_open.any() or self._at_seam.any())
        np.maximum.at(self._last_ns, rows[dated], ts_event_ns[dated])

    def _close(self, row: int, earlier: NDArray[np.int64], earlier_ns: NDArray[np.int64], before_ns: int, overflowed: bool) -> None:
        """Close the gap that ends with a value, ``earlier`` having come together with it and before."""
        if not (self._is_open[row] or self._at_seam[row] or overflowed):
            return
        was_open = bool(self._is_open[row])
        is_seam = not (was_open or overflowed)
        self._at_seam[row], self._is_open[row] = was_open, False
        after_ns = int(max(self._last_ns[row], earlier_ns[earlier == row].max(initial=NO_TIME)))
        if NO_TIME < after_ns < before_ns:
            self.closed[Gap(row, after_ns, before_ns, is_seam)] = None
