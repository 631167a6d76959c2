"""What did a panel's numbers do over the last day, in memory that does not grow?

One kind of memory for each way of being drawn: a number in buckets of a minute (:class:`Course`), a state and when it changed
(:class:`States`), the newest lines (:class:`Rows`), the newest line of each series (:class:`Newest`). A bucket sums up its minute the way
the panel asks: ``last``, ``mean``, ``min``, ``max``, ``sum`` or ``count``, over all series that the panel does not tell apart, as the same
query does in InfluxDB.

Each remembers the version at which it was written, so that what a client has not seen is a comparison. A line that comes twice counts
once; a line of a minute that is older than the ring changes nothing. A bucket without a line is absent and sent as null.
"""

from __future__ import annotations

from collections import deque
from itertools import dropwhile
from math import fsum, isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from console.board.conditions import Condition
from market.units import NS_PER_MIN, NS_PER_MS, NS_PER_S

__all__ = ["AGGREGATES", "BUCKETS", "Course", "Newest", "Rows", "States"]

AGGREGATES: Final = frozenset({"last", "mean", "min", "max", "sum", "count"})
BUCKETS: Final = 24 * 60
"""Buckets of a minute that are kept: a day."""

_BUCKET_S: Final = NS_PER_MIN // NS_PER_S
_STATES_MAX: Final = 500
_ROWS_MAX: Final = 100
_TWINS_MAX: Final = 20_000
_NEVER: Final = -1


class Course:
    """One number over a day; some 40 KB.

    Args:
        how: one of :data:`AGGREGATES`.
        over: what values are divided by, where they are shown in another unit.
        newest: only the newest instant of a minute counts, as of an interval that was cleared again; so it always is for ``last``.
    """

    def __init__(self, how: str, over: float = 1.0, *, newest: bool = False) -> None:
        self._how = how
        self._over = over
        self._only_newest = newest or how == "last"
        self._newest = _NEVER
        # The bucket that is written to, as plain numbers: a place of an array costs ten times as much to change.
        self._open, self._sum, self._n = _NEVER, 0.0, 0
        self._number: NDArray[np.int32] = np.full(BUCKETS, _NEVER, dtype=np.int32)
        self._value: NDArray[np.float64] = np.full(BUCKETS, np.nan)
        self._count: NDArray[np.int32] = np.zeros(BUCKETS, dtype=np.int32)
        self._stamp: NDArray[np.int32] = np.full(BUCKETS, _NEVER, dtype=np.int32)
        self._at_ns: NDArray[np.int64] = np.full(BUCKETS if self._only_newest else 0, _NEVER, dtype=np.int64)
        self._open_at_ns = _NEVER
        self._seen: dict[str, int] = {}
        self.stamp = _NEVER

    def add(self, series: str, ts_ns: int, value: float, version: int) -> None:
        """Take in a value.

        Args:
            series: names the series that it is of, by all its tags; a value of the instant that is known of it is a repeat.
        """
        number = ts_ns // NS_PER_MIN
        if not isfinite(value) or number <= self._newest - BUCKETS or self._seen.get(series) == ts_ns:
            return
        if len(self._seen) >= _TWINS_MAX:
            self._seen.clear()
        self._seen[series] = ts_ns
        if number != self._open:
            self._close()
            self._begin(number)
        if self._only_newest and self._n and ts_ns != self._open_at_ns:
            if ts_ns < self._open_at_ns:
                return
            self._n = 0
        self._open_at_ns = ts_ns
        value /= self._over
        self._sum = self._merged(self._sum, value, self._n) if self._n else value
        self._n += 1
        self.stamp = version
        self._newest = max(self._newest, number)

    def _close(self) -> None:
        """Put the bucket that is written to among the others."""
        slot = self._open % BUCKETS
        if self._n:
            self._number[slot], self._value[slot], self._count[slot], self._stamp[slot] = self._open, self._sum, self._n, self.stamp
            if self._only_newest:
                self._at_ns[slot] = self._open_at_ns

    def _begin(self, number: int) -> None:
        """Go on with a bucket, which for a late value is an old one."""
        slot = number % BUCKETS
        known = self._number[slot] == number
        self._open = number
        self._sum, self._n = (float(self._value[slot]), int(self._count[slot])) if known else (0.0, 0)
        self._open_at_ns = int(self._at_ns[slot]) if known and self._only_newest else _NEVER

    def _merged(self, held: float, value: float, count: int) -> float:
        match self._how:
            case "mean":
                return held + (value - held) / (count + 1)
            case "min":
                return min(held, value)
            case "max":
                return max(held, value)
            case "sum":
                return held + value
            case _:
                return value

    def since(self, version: int) -> dict[str, Any] | None:
        """Return ``start_s`` (UTC, s), ``step_s`` and ``values`` from the oldest bucket written after ``version``, or None."""
        if self.stamp <= version:
            return None
        self._close()
        live = self._number > self._newest - BUCKETS
        first = int(self._number[live & (self._stamp > version)].min())
        numbers = np.arange(first, self._newest + 1)
        slots = numbers % BUCKETS
        column = self._count if self._how == "count" else self._value
        values = np.where(self._number[slots] == numbers, column[slots], np.nan)
        written = [_short(value) for value in values.tolist()]
        return {"start_s": first * _BUCKET_S, "step_s": _BUCKET_S, "values": written}


class States:
    """One state, and when it changed: of a minute the last one."""

    def __init__(self) -> None:
        self._changes: deque[tuple[int, float | str, int]] = deque(maxlen=_STATES_MAX)
        self._until_ns = _NEVER
        self.stamp = _NEVER

    def add(self, ts_ns: int, state: float | str, version: int) -> None:
        """Take in a state; one that is older than the newest known changes nothing."""
        if ts_ns <= self._until_ns:
            return
        self._until_ns = ts_ns
        self.stamp = version
        if not self._changes or self._changes[-1][1] != state:
            self._changes.append((ts_ns, state, version))

    def since(self, version: int) -> dict[str, Any] | None:
        """Return ``changes``, pairs of instant (ms) and state, after ``version``, and ``until_ms``, the newest line; or None."""
        if self.stamp <= version:
            return None
        fresh = dropwhile(lambda change: change[2] <= version, self._changes)
        return {"changes": [[ts_ns // NS_PER_MS, state] for ts_ns, state, _ in fresh], "until_ms": self._until_ns // NS_PER_MS}


class Rows:
    """The newest lines, newest first."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns
        self._rows: deque[tuple[int, dict[str, Any]]] = deque(maxlen=_ROWS_MAX)
        self.stamp = _NEVER

    def add(self, ts_ns: int, values: dict[str, Any], version: int) -> None:
        """Take in a line; one that is known, or older than all that are kept, changes nothing."""
        row = (ts_ns, {name: values.get(name) for name in self._columns})
        if row in self._rows or (len(self._rows) == _ROWS_MAX and ts_ns <= self._rows[0][0]):
            return
        if self._rows and ts_ns < self._rows[-1][0]:
            self._rows = deque(sorted([*self._rows, row], key=lambda one: one[0]), maxlen=_ROWS_MAX)
        else:
            self._rows.append(row)
        self.stamp = version

    def since(self, version: int) -> dict[str, Any] | None:
        """Return ``rows``, each the instant (ms) and its columns, all of them where one is new, and ``until_ms``, the newest; or None."""
        if self.stamp <= version:
            return None
        rows = [[ts_ns // NS_PER_MS, *values.values()] for ts_ns, values in reversed(self._rows)]
        return {"rows": rows, "until_ms": rows[0][0]}


class Newest:
    """The newest line of each series, or one number over all of them.

    Args:
        columns: what a row has; the number is over the first of them.
        having: which lines count now; another one of the same series may count later.
        within_s: series whose line is older than this, by the newest line of all, count no longer; 0 for no bound.
        aggregate: one of :data:`AGGREGATES` for one number, empty for rows.
        over: what the number is divided by.
    """

    def __init__(self, columns: tuple[str, ...], having: Condition, within_s: int, aggregate: str = "", over: float = 1.0) -> None:
        self._columns = columns
        self._having = having
        self._within_ns = within_s * NS_PER_S
        self._aggregate = aggregate
        self._over = over
        self._lines: dict[str, tuple[int, dict[str, Any]]] = {}
        self._newest_ns = _NEVER
        self.left_out = 0
        self.stamp = _NEVER

    def add(self, group: str, ts_ns: int, values: dict[str, Any], version: int) -> None:
        """Take in a line of a series; an older one than is known changes nothing."""
        held = self._lines.get(group)
        if held is not None and ts_ns < held[0]:
            return
        if held is None and len(self._lines) >= _TWINS_MAX:
            self.left_out += 1
            return
        self._lines[group] = (ts_ns, values)
        self._newest_ns = max(self._newest_ns, ts_ns)
        self.stamp = version

    def since(self, version: int) -> dict[str, Any] | None:
        """Return ``rows``, newest first, and ``until_ms``, the newest line's; or ``last``, that and the number; or None."""
        if self.stamp <= version:
            return None
        oldest_ns = self._newest_ns - self._within_ns if self._within_ns else _NEVER
        counting = [one for one in self._lines.values() if one[0] >= oldest_ns and self._having(one[1], one[1])]
        if self._aggregate:
            values = [values[self._columns[0]] for _, values in counting if self._columns[0] in values]
            return {"last": [self._newest_ns // NS_PER_MS, _over_all(self._aggregate, values, self._over)]}
        newest = sorted(counting, key=lambda one: -one[0])[:_ROWS_MAX]
        rows = [[ts_ns // NS_PER_MS, *(values.get(name) for name in self._columns)] for ts_ns, values in newest]
        return {"rows": rows, "until_ms": self._newest_ns // NS_PER_MS}


def _over_all(aggregate: str, values: list[Any], over: float) -> float | None:
    """Return one number over values of all series; None where there is none."""
    if aggregate == "count":
        return float(len(values))
    numbers = [value / over for value in values if isinstance(value, float)]
    if not numbers:
        return None
    match aggregate:
        case "min":
            return min(numbers)
        case "max":
            return max(numbers)
        case "sum":
            return fsum(numbers)
        case "mean":
            return fsum(numbers) / len(numbers)
        case _:
            return numbers[-1]


def _short(value: float) -> float | None:
    """Return six digits of a value, more than a chart can show; None where there is none."""
    return float(f"{value:.6g}") if isfinite(value) else None
