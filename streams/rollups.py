"""What did each point do in each minute? Mean, least, most, last and number of its good samples, by the minute of their source time.

Raw telemetry is kept for a month; a year is drawn from these lines. They are written when a minute has been over for the grace, counted by
the clock of those who read the devices, so late samples are in them. What comes later still makes a corrected line: the same minute, from
all of its samples, with ``rev``, the number of samples it is made of, and so many nanoseconds after the first. More samples, later line:
``last()`` is the correction, and the same samples are the same line, whoever writes it.

Minutes are remembered for as long as :data:`KEPT_BYTES` allow, at least three, at most a day. A sample of a minute that is not remembered
any more, or that was partly over before this process began, is counted in ``left_out`` and in no roll-up: half a minute would look like
a whole one. After a restart the newest frames of the log are taken in again (:meth:`Rollups.recall`), so that the minute it fell into is
whole; its lines are written as corrections, because nobody knows whether they were written before. Where there is no such log, the
minutes around a restart have no roll-up.

A frame that is told twice (sent again by those who read, or left and taken again by the sink) is known by its ticket and counts once.

Samples are only put aside when a frame comes. Some thousands of them are added up at once, by columns: that is what makes it cheap.

Deliberately absent: uncertain samples (a mean of values nobody vouches for), interpolation, and any second length of time.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.frame import TelemetryFrame
from ingest.points import PointTable
from ingest.quality import is_good
from market.errors import ConfigError, Problem
from market.units import NS_PER_MIN, NS_PER_S
from streams.delivered import Delivered
from streams.lineprotocol import tag_value
from streams.measurements import TELEMETRY_1M
from streams.schema import REV
from streams.telemetrylines import series_key

__all__ = ["GRACE_NS", "KEPT_BYTES", "Rollups", "check_names"]

GRACE_NS: Final = 15 * NS_PER_S
"""So long after its end a minute is written: a device's own delay and a turn of a slow poll."""

KEPT_BYTES: Final = 64 << 20

_POINT_BYTES: Final = 50
_MINUTES_LEAST: Final = 3
_MINUTES_MOST: Final = 1_440
_AT_ONCE: Final = 8_192
"""Samples added up at once, at least."""
_POINTS_AT_ONCE: Final = 4_000
"""Points whose lines are made in one call, some 6 ms: the event loop waits for it. Of frames that come seldom, as many a second."""
_SECONDS_AT_ONCE: Final = 60
_UNWRITTEN_NS: Final = NS_PER_MIN
"""What came so shortly before a restart may be in no line yet."""


_SUFFIXES: Final = ("_min", "_max", "_last", "_n")


def check_names(table: PointTable) -> None:
    """Refuse quantities that would be a field of another quantity's roll-up.

    Raises:
        ConfigError: naming them.
    """
    quantity_of = {spec.name: series_key(spec.name)[2] for spec in table.specs}
    taken = {quantity + suffix for quantity in quantity_of.values() for suffix in _SUFFIXES} | {REV.name}
    problems = [
        Problem(f"point {name}", f"{quantity} is a field of the roll-up of other points; name the quantity otherwise")
        for name, quantity in quantity_of.items()
        if quantity in taken
    ]
    if problems:
        raise ConfigError(problems)


class _Layout(NamedTuple):
    """The points of a source's last frame, as bytes, and the row of each, -1 for one that is not in the table."""

    points: bytes
    rows: NDArray[np.int64]


class _Minute:
    """Sums of one minute, (n,) by the rows of the table.

    Attributes:
        dirty: (n,) bool, rows with samples since their line was written last.
        told: (n,) bool, rows whose line was written.
    """

    __slots__ = ("count", "dirty", "greatest", "last", "last_ns", "least", "told", "total")

    def __init__(self, n: int) -> None:
        self.count = np.zeros(n, dtype=np.int64)
        self.total = np.zeros(n)
        self.least = np.full(n, np.inf)
        self.greatest = np.full(n, -np.inf)
        self.last = np.full(n, np.nan)
        self.last_ns = np.full(n, np.iinfo(np.int64).min)
        self.dirty = np.zeros(n, dtype=bool)
        self.told = np.zeros(n, dtype=bool)

    def add(self, rows: NDArray[np.int64], ts_ns: NDArray[np.int64], value: NDArray[np.float64]) -> None:
        """Add samples, in any order; of two of one instant the later one is the last."""
        n = len(self.count)
        self.count += np.bincount(rows, minlength=n)
        self.total += np.bincount(rows, weights=value, minlength=n)
        np.minimum.at(self.least, rows, value)
        np.maximum.at(self.greatest, rows, value)
        np.maximum.at(self.last_ns, rows, ts_ns)
        newest = ts_ns == self.last_ns[rows]
        self.last[rows[newest]] = value[newest]
        self.dirty[rows] = True

    def of_rows(self, n: int, to: NDArray[np.int64]) -> _Minute:
        """Return the sums by the rows of another table: ``to`` is the row of each of ours in it, -1 where it has none."""
        other, kept = _Minute(n), to >= 0
        for name in self.__slots__:
            getattr(other, name)[to[kept]] = getattr(self, name)[kept]
        return other


class Rollups:
    """Rolls up the frames of the sources of one point table.

    Attributes:
        left_out: good samples that are in no roll-up, because their minute is not known from its beginning, or not any more.

    Args:
        table: the points.
        grace_ns: how long a minute is waited for after its end.
        kept_bytes: memory for minutes.

    Raises:
        ConfigError: a quantity would be a field of another quantity's roll-up.
    """

    def __init__(self, table: PointTable, grace_ns: int = GRACE_NS, kept_bytes: int = KEPT_BYTES) -> None:
        self.left_out = 0
        self._grace_ns, self._kept_bytes = grace_ns, kept_bytes
        self._minutes: dict[int, _Minute] = {}
        self._dirty: set[int] = set()
        """Minutes with samples that are in no line yet."""
        self._waiting: list[tuple[_Layout, TelemetryFrame]] = []
        self._waiting_samples = 0
        self._now_ns = 0
        self._delivered: defaultdict[str, Delivered] = defaultdict(Delivered)
        self._whole_from: int | None = None
        """The first minute that is known from its beginning; None before anybody said, or a frame came."""
        self._own_from: int | None = None
        """The first minute that began under this process: what is older may have been written by the one before."""
        self._list(table)

    def _list(self, table: PointTable) -> None:
        check_names(table)
        self._table = table
        n = len(table)
        self._layouts: dict[str, _Layout] = {}
        self._kept = max(_MINUTES_LEAST, min(_MINUTES_MOST, self._kept_bytes // (_POINT_BYTES * max(n, 1))))
        self._at_once = max(_AT_ONCE, n)
        head: list[bytes] = []
        field: list[bytes] = []
        for spec in table.specs:
            kind, element, quantity = series_key(spec.name)
            values = {"area": spec.area, "dev": spec.device, "element": element, "kind": kind}
            tags = "".join(f",{tag.name}={tag_value(values[tag.name])}" for tag in TELEMETRY_1M.tags)
            head.append(f"{TELEMETRY_1M.name}{tags} ".encode())
            field.append(quantity.encode())
        order = sorted(range(n), key=lambda row: (head[row], field[row]))
        self._order = np.array(order, dtype=np.int64)
        """Rows by line and field."""
        numbers = {name: number for number, name in enumerate(sorted(set(head)))}
        self._begin_with = [b"%b%b=" % (head[row], field[row]) for row in order]
        self._line = np.array([numbers[head[row]] for row in order], dtype=np.int64)
        """(n,) the line of each row, in that order."""
        self._mean = [b"%b=" % field[row] for row in order]
        self._further = tuple([b",%b%b=" % (field[row], suffix) for row in order] for suffix in map(str.encode, _SUFFIXES))

    def relist(self, table: PointTable) -> None:
        """Go on with other points; what is known of those that stay is kept."""
        self._fold()
        to = table.rows(self._table.ids)
        self._minutes = {number: minute.of_rows(len(table), to) for number, minute in self._minutes.items()}
        self._list(table)

    def begin_anew(self) -> None:
        """Say that no process took in a frame before this one."""
        self._whole_from = self._own_from = 0

    def recall(self, frames: Iterable[TelemetryFrame], known_from_ns: int) -> None:
        """Take in again what was taken in before the restart; writes nothing, and is called before the first :meth:`take`.

        Args:
            frames: in the order they came in.
            known_from_ns: these are all that came since this instant.
        """
        self._whole_from = -(-known_from_ns // NS_PER_MIN)
        newest: deque[TelemetryFrame] = deque()
        for frame in frames:
            newest.append(frame)
            while newest[0].ts_ingest_ns < frame.ts_ingest_ns - _UNWRITTEN_NS:
                newest.popleft()
            self._put(frame)
            if self._waiting_samples >= self._at_once:
                self._fold()
        self._fold()
        # A minute that was over for long was written by the process before; the newest, and what came late to others, may not have been.
        over = (self._now_ns - self._grace_ns) // NS_PER_MIN - 1
        late = {number for frame in newest for number in np.unique(frame.ts_event_ns // NS_PER_MIN).tolist()}
        for number in [number for number in self._dirty if number < over and number not in late]:
            minute = self._minutes[number]
            minute.told, minute.dirty = minute.count > 0, np.zeros_like(minute.dirty)
            self._dirty.discard(number)

    def take(self, frame: TelemetryFrame) -> bytes:
        """Take in a frame; returns the lines that have become due, mostly none."""
        if self._own_from is None:
            self._begin(frame.ts_ingest_ns)
        last_ns = self._now_ns
        if frame.ts_ingest_ns // NS_PER_MIN > last_ns // NS_PER_MIN:
            self._fold()  # what came before a pause is judged by the time it came at
        self._put(frame)
        if self._now_ns // NS_PER_S == last_ns // NS_PER_S and self._waiting_samples < self._at_once:
            return b""
        self._forget()
        over = (self._now_ns - self._grace_ns) // NS_PER_MIN
        if self._waiting_samples >= self._at_once or self._waits_long() or any(number < over for number in self._dirty):
            self._fold()
        seconds = min(self._now_ns // NS_PER_S - last_ns // NS_PER_S, _SECONDS_AT_ONCE)
        return self._written(over, _POINTS_AT_ONCE * max(seconds, 1))

    def _begin(self, now_ns: int) -> None:
        self._own_from = -(-now_ns // NS_PER_MIN)
        if self._whole_from is None:
            self._whole_from = self._own_from

    def _put(self, frame: TelemetryFrame) -> None:
        self._now_ns = max(self._now_ns, frame.ts_ingest_ns)
        if not len(frame.point):
            return
        if frame.ticket is not None and not self._delivered[frame.area].is_first(frame.ticket):
            return
        points = frame.point.tobytes()
        layout = self._layouts.get(frame.source)
        if layout is None or layout.points != points:
            layout = self._layouts[frame.source] = _Layout(points, self._table.rows(frame.point))
        self._waiting.append((layout, frame))
        self._waiting_samples += len(frame.point)

    def _fold(self) -> None:
        """Add up what was put aside."""
        if not self._waiting:
            return
        waiting, self._waiting, self._waiting_samples = self._waiting, [], 0
        rows = np.concatenate([layout.rows for layout, _ in waiting])
        ts_ns, value, quality = (
            np.concatenate([getattr(frame, name) for _, frame in waiting]) for name in ("ts_event_ns", "value", "quality")
        )
        fit = is_good(quality) & np.isfinite(value) & (rows >= 0)
        if not fit.all():
            rows, ts_ns, value = rows[fit], ts_ns[fit], value[fit]
        if not len(rows):
            return
        number = ts_ns // NS_PER_MIN
        first, last = int(number.min()), int(number.max())
        if first == last:
            self._add(first, rows, ts_ns, value)
            return
        for each in np.unique(number).tolist():
            chosen = number == each
            self._add(each, rows[chosen], ts_ns[chosen], value[chosen])

    def _add(self, number: int, rows: NDArray[np.int64], ts_ns: NDArray[np.int64], value: NDArray[np.float64]) -> None:
        now = self._now_ns // NS_PER_MIN
        if not max(self._whole_from or 0, now - self._kept) <= number <= now + 1:
            self.left_out += len(rows)
            return
        minute = self._minutes.get(number)
        if minute is None:
            minute = self._minutes[number] = _Minute(len(self._table))
        minute.add(rows, ts_ns, value)
        self._dirty.add(number)

    def _forget(self) -> None:
        """Let go of minutes that are too old; not before they are written."""
        oldest = self._now_ns // NS_PER_MIN - self._kept
        for number in [number for number in self._minutes if number < oldest and number not in self._dirty]:
            del self._minutes[number]

    def _waits_long(self) -> bool:
        """Whether what was put aside may belong to a minute that is over."""
        return bool(self._waiting) and self._now_ns - self._waiting[0][1].ts_ingest_ns >= self._grace_ns

    def _written(self, over: int, most: int) -> bytes:
        """Return lines of minutes that are over and have any, the oldest first, of about so many points."""
        lines: list[bytes] = []
        while most > 0 and (number := min(self._dirty, default=over)) < over:
            minute = self._minutes[number]
            dirty = np.flatnonzero(minute.dirty[self._order])
            if len(dirty) <= most:
                self._dirty.discard(number)
            if len(dirty):
                lines.append(self._lines(number, minute, dirty, most))
            most -= len(dirty)
        return b"".join(lines)

    def _lines(self, number: int, minute: _Minute, dirty: NDArray[np.intp], most: int) -> bytes:
        """Return whole lines, from the first dirty row on; a line has all fields that have samples."""
        lines = np.unique(self._line[dirty])
        if len(dirty) > most:
            lines = lines[lines <= self._line[dirty[most - 1]]]
        in_lines = np.isin(self._line, lines)
        places = np.flatnonzero(in_lines & (minute.count[self._order] > 0))
        rows, of_lines = self._order[places], self._order[in_lines]
        begins = np.flatnonzero(np.diff(self._line[places], prepend=-1))
        rev = np.add.reduceat(minute.count[rows], begins)
        if self._own_from is not None and number >= self._own_from:
            rev[~np.logical_or.reduceat(minute.told[rows], begins)] = 0
        minute.dirty[of_lines], minute.told[of_lines] = False, True
        count = minute.count[rows]
        least, greatest = minute.least[rows], minute.greatest[rows]
        mean = minute.total[rows] / count
        if not (whole := np.isfinite(mean)).all():  # too great to be added up
            mean = np.where(whole, mean, least / 2 + greatest / 2)
        columns = (mean, least, greatest, minute.last[rows], count)
        return b"".join(self._pieces(number * NS_PER_MIN, places.tolist(), begins.tolist(), columns, rev.tolist()))

    def _pieces(self, start_ns: int, places: list[int], begins: list[int], columns: Iterable[NDArray[Any]], rev: list[int]) -> list[bytes]:
        """Return the pieces of lines: of each its head, its fields, its revision and instant; ``columns`` are what follows each name."""
        pieces = [b"i,"] * (11 * len(places))
        for at, names in enumerate((self._mean, *self._further)):
            pieces[2 * at :: 11] = [names[place] for place in places]
        for at, column in enumerate(columns):
            pieces[2 * at + 1 :: 11] = msgspec.json.encode(column.tolist())[1:-1].split(b",")
        first_time = b"i,rev=0i %d\n" % start_ns
        for begin, end, n in zip(begins, [*begins[1:], len(places)], rev, strict=True):
            pieces[11 * begin] = self._begin_with[places[begin]]
            pieces[11 * end - 1] = b"i,rev=%di %d\n" % (n, start_ns + n) if n else first_time
        return pieces
