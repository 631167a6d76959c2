"""Can a sample be believed, by what its point can do at all and by what it said before?

One :class:`Checks` per device judges the columns of a frame. It alters no value: what it finds are flags, and a good status code that
is good no longer (:data:`ingest.qualitymap.CHECK_QUALITIES`). A sample that came uncertain keeps its own status code; one that came bad
is not judged, and nothing is learned from it.

* **Range**: below ``low`` or above ``high``. A limit of a float32 device is not exceeded by the last digit of that type.
* **Rate of change**: further from the last value that was believed than the point can have moved in between, by source time. Both of two
  wrong values in a row are found so, and the true one after them is not. A value that stays where it could not have gone is believed
  when three further readings confirm it, or when it could have got there meanwhile. Readings closer together than the point's period
  are given a whole one: a device may show the change of a period at once.
* **Frozen**: the same value, not 0, for so long.
* **Counters**: differences are exact, in whole counts modulo the size of the counter. A step back is a rollover where the point can have
  counted so far since the reading before, and otherwise a reset, which has no difference. So has a step forward that is too long, and
  any step over a time in which the counter may have been full more than once. A period is added to the time, because a device may show
  late what it has counted. Without ``max_per_h`` every step back is a reset.
* **Numbers that are none** are bad.

From samples that are not newer than the last one of their point nothing is learned; they are judged by range, and by what is known of
the point already.

What is remembered ends with the process: the first sample after a start has nothing to be compared with.

A counter's whole counts come as an own column where the protocol can give it. Otherwise they are found from the value, which is exact
below 2^53 counts where there is no scale, and below 2^49 where there is one; of larger ones nothing is judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.countdifferences import CountDifferences
from ingest.counting import Counters
from ingest.devices import Point
from ingest.frame import point_id
from ingest.layouts import Layouts
from ingest.movement import Movement, Where
from ingest.pointchecks import PointChecks
from ingest.quality import Flag, is_bad, is_good
from ingest.qualitymap import CHECK_QUALITIES, NOT_FINITE

__all__ = ["Checks", "Differences", "Judged"]

_SLACK: Final = 2.0**-22
"""Of a limit: twice the last digit of a float32."""


class Differences(NamedTuple):
    """What the counters in a frame counted since the reading before.

    Attributes:
        place: (k,) int64, places in the frame of the counters whose difference is known.
        counts: (k,) uint64, whole counts; times the point's scale they are engineering units.
    """

    place: NDArray[np.int64]
    counts: NDArray[np.uint64]


class Judged(NamedTuple):
    """The judgement of a frame.

    Attributes:
        quality: (n,) uint32; the column that was given where nothing was found.
        flags: (n,) uint16; likewise.
        differences: of its counters; empty where there are none.
    """

    quality: NDArray[np.uint32]
    flags: NDArray[np.uint16]
    differences: Differences


_NO_DIFFERENCES: Final = Differences(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint64))


class _Part(NamedTuple):
    """The samples of a layout that one kind of check is for: their places in the frame, and rows among that kind's points."""

    place: Where
    row: Where


class _Layout(NamedTuple):
    """Points that a source sends together.

    Attributes:
        turns: where a point comes more than once, places by how often it came before; else None.
        low, high: (n,) float64, range with its slack; None where no point has one.
    """

    turns: tuple[NDArray[np.int64], ...] | None
    low: NDArray[np.float64] | None
    high: NDArray[np.float64] | None
    movement: _Part | None
    counter: _Part | None


class Checks:
    """Judges the samples of one device.

    Args:
        points: the device's points, in any order; those that ask for nothing cost nothing.

    Attributes:
        raised: samples by flag, since the start.
        differences: tell what counters counted, as points of their own; None where no point asks for that.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        self.raised: Counter[Flag] = Counter()
        chosen = [point for point in points if asks(point)]
        ids = np.array([point_id(point.name) for point in chosen], dtype=np.uint64)
        # Rows are in the order of the list, which is nearly that of frames; ids are looked up in their own.
        self._row = np.argsort(ids).astype(np.int64)
        self._ids: NDArray[np.uint64] = ids[self._row]
        low = np.array([-np.inf if point.low is None else point.low for point in chosen], dtype=np.float64)
        high = np.array([np.inf if point.high is None else point.high for point in chosen], dtype=np.float64)
        self._low, self._high = low - _SLACK * np.abs(low), high + _SLACK * np.abs(high)
        self._ranged = bool(np.isfinite(low).any() or np.isfinite(high).any())
        checks = [point.checks or PointChecks() for point in chosen]
        self._moves = np.array([check.rate_per_s is not None or check.frozen_ns is not None for check in checks], dtype=np.bool_)
        self._movement = Movement([point.period_ns for point in chosen], checks)
        counters = [(point, check.counter) for point, check in zip(chosen, checks, strict=True) if check.counter is not None]
        self._counters = Counters(counters)
        place = {point.name: row for row, (point, _) in enumerate(counters)}
        self._counter_row = np.array([place.get(point.name, -1) for point in chosen], dtype=np.int64)
        self._layouts = Layouts(len(ids), self._lay_out)
        self.differences = CountDifferences.of(points)

    @staticmethod
    def of(points: Sequence[Point]) -> Checks | None:
        """Return the checks of a device; None where none of its points asks for one."""
        return Checks(points) if any(asks(point) for point in points) else None

    def judge(
        self,
        point: NDArray[np.uint64],
        ts_event_ns: NDArray[np.int64],
        value: NDArray[np.float64],
        quality: NDArray[np.uint32],
        flags: NDArray[np.uint16],
        raw: NDArray[np.int64] | None = None,
    ) -> Judged:
        """Judge samples received together; no column is written to.

        Args:
            point: (n,) ids; likewise the other columns, as in :class:`ingest.frame.TelemetryFrame`.
            raw: (n,) whole counts before any scaling, two's complement, read for counters only; None where there are only values.
        """
        layout = self._layouts.of(point)
        if layout.turns is not None:
            return self._in_turns(layout.turns, (point, ts_event_ns, value, quality, flags), raw)
        found = _Findings(quality, flags, self.raised)
        sound = np.isfinite(value)
        if np.count_nonzero(quality):
            usable = ~is_bad(quality)
            found.bad(usable & ~sound)
            sound &= usable
        elif np.count_nonzero(sound) < len(sound):
            found.bad(~sound)
        differences = _NO_DIFFERENCES
        # What a device says may be no number, or as large as one can be; what comes of that on the way is no error of ours.
        with np.errstate(over="ignore", invalid="ignore"):
            if layout.low is not None and layout.high is not None:
                outside = (value < layout.low) | (value > layout.high)
                if np.count_nonzero(outside):
                    outside &= sound
                    found.flag(Flag.OUT_OF_RANGE, slice(None), outside)
                    sound &= ~outside
            if layout.counter is not None:
                differences = self._count(layout.counter, ts_event_ns, value, sound, raw, found)
            if layout.movement is not None:
                place, row = layout.movement
                moved = self._movement.judge(row, ts_event_ns[place], value[place], sound[place])
                if moved is not None:
                    found.flag(Flag.RATE_EXCEEDED, place, moved.too_far)
                    found.flag(Flag.FROZEN, place, moved.frozen)
        return Judged(found.quality, found.flags, differences)

    def _count(
        self,
        part: _Part,
        ts_event_ns: NDArray[np.int64],
        value: NDArray[np.float64],
        sound: NDArray[np.bool_],
        raw: NDArray[np.int64] | None,
        found: _Findings,
    ) -> Differences:
        """Judge the counters, and return what was counted; a count that its counter cannot show makes its sample unsound."""
        place, row = part
        counted = self._counters.count(row, ts_event_ns[place], value[place], sound[place], None if raw is None else raw[place])
        places = np.arange(len(value), dtype=np.int64)[place]
        if counted.known is None:
            return Differences(places, counted.step)
        found.flag(Flag.OUT_OF_RANGE, place, counted.outside)
        found.flag(Flag.COUNTER_ROLLOVER, place, counted.rollover)
        found.flag(Flag.COUNTER_RESET, place, counted.reset)
        sound[places[counted.outside]] = False
        return Differences(places[counted.known], counted.step[counted.known])

    def _in_turns(
        self,
        turns: Sequence[NDArray[np.int64]],
        columns: tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.float64], NDArray[np.uint32], NDArray[np.uint16]],
        raw: NDArray[np.int64] | None,
    ) -> Judged:
        """Judge a frame in which points come more than once: the first samples of all points, then the second ones, and so on."""
        quality, flags = columns[3].copy(), columns[4].copy()
        places, counts = [], []
        point, ts_event_ns, value = columns[:3]
        for turn in turns:
            own = None if raw is None else raw[turn]
            judged = self.judge(point[turn], ts_event_ns[turn], value[turn], quality[turn], flags[turn], own)
            quality[turn], flags[turn] = judged.quality, judged.flags
            places.append(turn[judged.differences.place])
            counts.append(judged.differences.counts)
        return Judged(quality, flags, Differences(np.concatenate(places), np.concatenate(counts)))

    def _lay_out(self, point: NDArray[np.uint64]) -> _Layout:
        ordered = np.sort(point)
        if bool((ordered[1:] == ordered[:-1]).any()):
            return _Layout(_turns(point), None, None, None, None)
        found = np.minimum(np.searchsorted(self._ids, point), len(self._ids) - 1)
        known = self._ids[found] == point
        row = self._row[found]
        low = high = None
        if self._ranged:
            low, high = np.where(known, self._low[row], -np.inf), np.where(known, self._high[row], np.inf)
        moves = bool(self._moves[row[known]].any())
        movement = _part(np.where(known, row, -1)) if moves else None
        return _Layout(None, low, high, movement, _part(np.where(known, self._counter_row[row], -1)))


def _part(row: NDArray[np.int64]) -> _Part | None:
    """Return where the samples of a frame stand whose row, (n,), is not -1; None where there are none."""
    place = np.flatnonzero(row >= 0).astype(np.int64)
    if not len(place):
        return None
    rows = row[place]
    together = bool((np.diff(rows) == 1).all())
    every = len(place) == len(row)
    return _Part(slice(None) if every else place, slice(int(rows[0]), int(rows[-1]) + 1) if together else rows)


def asks(point: Point) -> bool:
    """Return whether a point's samples are to be judged."""
    return point.low is not None or point.high is not None or point.checks is not None


def _turns(point: NDArray[np.uint64]) -> tuple[NDArray[np.int64], ...]:
    """Return the places of a frame by how often their point came before."""
    order = np.argsort(point, kind="stable")
    starts = np.flatnonzero(np.append(True, point[order][1:] != point[order][:-1]))
    turn = np.empty(len(point), dtype=np.int64)
    turn[order] = np.arange(len(point)) - np.repeat(starts, np.diff(np.append(starts, len(point))))
    return tuple(np.flatnonzero(turn == k).astype(np.int64) for k in range(int(turn.max()) + 1))


class _Findings:
    """Status codes and flags of a frame; copied when something is found."""

    def __init__(self, quality: NDArray[np.uint32], flags: NDArray[np.uint16], raised: Counter[Flag]) -> None:
        self.quality, self.flags = quality, flags
        self._raised = raised
        self._copied = False

    def _copy(self) -> None:
        if not self._copied:
            self.quality, self.flags = self.quality.copy(), self.flags.copy()
            self._copied = True

    def bad(self, not_finite: NDArray[np.bool_]) -> None:
        if not_finite.any():
            self._copy()
            self.quality[not_finite] = NOT_FINITE

    def flag(self, flag: Flag, place: Where, found: NDArray[np.bool_]) -> None:
        """Raise a flag on the samples at some places of the frame for which ``found``, (k,), holds."""
        if not found.any():
            return
        self._copy()
        at = np.arange(len(self.flags))[place][found]
        self.flags[at] |= np.uint16(flag)
        self._raised[flag] += len(at)
        if flag in CHECK_QUALITIES:
            good = at[is_good(self.quality[at])]
            self.quality[good] = CHECK_QUALITIES[flag]
