"""What became of every sample that was due?

For each device and minute of event time (:data:`INTERVAL_NS`) it holds, always and to the sample, that

    expected = good + uncertain + bad + late + lost

A :class:`Ledger` per device keeps the first half of the account, where samples are made and sent. It knows what nobody else does: what
was due and never came, and what was made and never left. What was sent and came late, only the intake knows
(:mod:`streams.intake`); so each account travels behind the frames it is about, on their topic, and the intake moves the late ones
out of good, uncertain and bad before it publishes the whole.

* **Expected** of a point that is polled or pushed is one sample a period, from its period in the point list and the time of its last
  sample. So what is missing is missed whoever failed to make it: a poll that was skipped, a reader that hangs, a device that did not
  push. A sample that comes although none was due is expected as soon as it is there; so is every sample of a point told by exception.
* A sample belongs to the minute in which it was made; one that was never made, to the minute in which it was due.
* **Lost** has a reason (:class:`LostReason`). A sample that says that nothing could be read is not lost: it is bad, and came.

An interval is closed when everything in it has left or was lost, and every sample due in it has come or can come no more: half a period
after it was due, a sample counts for the next period. What a process that dies has not accounted for yet has no account: the minutes
missing among the records of a device are those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.layouts import Layouts, is_fixed
from ingest.quality import is_all_good, is_bad, is_good
from market.units import NS_PER_MIN, NS_PER_S

__all__ = ["ACCOUNT_SOURCE", "DEVICES_MAX", "INTERVAL_NS", "Accounts", "DeviceAccount", "Ledger", "LostReason", "Tally", "tally"]

INTERVAL_NS: Final = NS_PER_MIN
"""Event time that one account is about; boundaries are whole multiples of it since the epoch."""

ACCOUNT_SOURCE: Final = "@accounts"
"""Source name of the frames that carry accounts."""

DEVICES_MAX: Final = 2_000
"""Most devices in one frame of accounts: some 150 bytes each, which stays below half of Kafka's default record limit of 1 MiB."""

_SETTLED_NS: Final = 2 * NS_PER_S
"""Event time after its end before an interval is closed: a poll that began in it may still be under way."""

_OPEN_MAX: Final = 1_440
"""Most intervals a ledger keeps open: a day. Where nobody asks for accounts, or nothing leaves for so long, the oldest gets none."""


class LostReason(StrEnum):
    """Why a sample that was due, or made, never reached the topic."""

    NOT_POLLED = "not_polled"
    """Its period passed without a poll: the one before had not ended, or its reader was down."""
    NOT_PUSHED = "not_pushed"
    """The device did not send it."""
    QUEUE_FULL = "queue_full"
    """Sending was slower than reading."""
    NOT_TAKEN = "not_taken"
    """The frame it was in was refused."""
    STOPPED = "stopped"
    """The process was stopped before it was sent."""
    SPOOL_FULL = "spool_full"
    """The stream side was away, and the spool was full: older samples of less weight were let go."""
    SPOOL_TOO_OLD = "spool_too_old"
    """The stream side was away for longer than the spool keeps samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAccount:
    """What became of the samples of one device in one interval; all counts are samples.

    Attributes:
        expected: how many were due.
        good: how many were sent in time with a good quality; likewise ``uncertain`` and ``bad``.
        late: how many came too late to count as values, whatever their quality; the ingest side knows of none.
        lost: how many were never sent, by :class:`LostReason`; reasons that did not occur are left out.
    """

    device: str
    expected: int
    good: int
    uncertain: int
    bad: int
    late: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)

    @property
    def lost_in_all(self) -> int:
        """How many were lost, whatever the reason."""
        return sum(self.lost.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """Accounts of devices of one area for the same time.

    Attributes:
        from_ns: where the interval begins, or where the process did, if later; UTC ns.
        to_ns: where it ends, or where the process did, if earlier.
    """

    from_ns: int
    to_ns: int
    devices: tuple[DeviceAccount, ...]


Tally = tuple[int, int, int]
"""Good, uncertain and bad samples."""


def tally(quality: NDArray[np.uint32]) -> Tally:
    """Count samples by quality.

    >>> tally(np.array([0, 0, 0x40950000, 0x80310000], dtype=np.uint32))
    (2, 1, 1)
    """
    n = len(quality)
    if is_all_good(quality):
        return n, 0, 0
    good, bad = int(np.count_nonzero(is_good(quality))), int(np.count_nonzero(is_bad(quality)))
    return good, n - good - bad, bad


@dataclass(slots=True)
class _Open:
    """An interval that is not closed yet; ``waiting`` are samples made and not sent."""

    made: int = 0
    waiting: int = 0
    good: int = 0
    uncertain: int = 0
    bad: int = 0
    lost: dict[str, int] = field(default_factory=dict)

    def lose(self, reason: str, samples: int) -> None:
        self.lost[reason] = self.lost.get(reason, 0) + samples


class Ledger:
    """The account of one device.

    Args:
        device: as the point list names it.
        ids: (n,) uint64, its points.
        period_ns: (n,) int64, their periods; None where every sample is told by exception.
        missing: why a sample of it that was due does not come.

    Attributes:
        expected: samples due since the start, as far as it is known.
        lost: samples lost since the start, by reason.
    """

    def __init__(self, device: str, ids: NDArray[np.uint64], period_ns: NDArray[np.int64] | None, missing: LostReason) -> None:
        self.device = device
        self.expected = 0
        self.lost: Counter[str] = Counter()
        self._missing = missing
        self._row = np.argsort(ids).astype(np.int64)
        self._ids = ids[self._row]
        self._period_ns = period_ns
        self._began_ns: int | None = None
        self._ended_ns = 0
        n = 0 if period_ns is None else len(period_ns)
        self._period_of_all_ns = 0 if period_ns is None or not n or int(period_ns.min()) != int(period_ns.max()) else int(period_ns[0])
        self._late_all_ns = self._period_of_all_ns + self._period_of_all_ns // 2
        self._all_ids: NDArray[np.uint64] | None = None
        """A column of all points that came before, and that cannot change."""
        self._together_ns: int | None = None
        """When all points came last, together; None where that cannot be said, and then :attr:`_last_ns` tells."""
        self._last_ns: NDArray[np.int64] = np.zeros(n, dtype=np.int64)
        self._late_ns = np.zeros(0, dtype=np.int64) if period_ns is None else period_ns + period_ns // 2
        self._open: dict[int, _Open] = {}
        self._newest: tuple[int, _Open] = -1, _Open()
        self._rows = Layouts(len(ids), self._rows_of)

    def begin(self, now_ns: int) -> None:
        """Note that the device is read from now on."""
        self._began_ns = now_ns
        self._ended_ns = now_ns
        self._last_ns[:] = now_ns
        self._together_ns = now_ns if self._period_of_all_ns else None

    def made(self, point: NDArray[np.uint64], now_ns: int) -> None:
        """Note samples, (n,) ids of their points, that were made now and are to be sent."""
        if self._began_ns is None:
            self.begin(now_ns)
        together_ns = self._together_ns
        if together_ns is not None and point is self._all_ids and now_ns - together_ns < self._late_all_ns:
            self._together_ns = now_ns
        elif self._period_ns is not None:
            self._came(point, now_ns)
        interval = self._at(now_ns)
        n = len(point)
        interval.made += n
        interval.waiting += n
        self.expected += n

    def sent(self, made_ns: int, quality: NDArray[np.uint32]) -> None:
        """Note that samples, made then, have left."""
        good, uncertain, bad = tally(quality)
        interval = self._open.get(made_ns // INTERVAL_NS)
        if interval is None:
            return
        interval.waiting -= len(quality)
        interval.good += good
        interval.uncertain += uncertain
        interval.bad += bad

    def dropped(self, made_ns: int, samples: int, reason: str) -> None:
        """Note that samples, made then, will not leave."""
        self.lost[reason] += samples
        interval = self._open.get(made_ns // INTERVAL_NS)
        if interval is not None:
            interval.waiting -= samples
            interval.lose(reason, samples)

    def close(self, now_ns: int, *, final: bool = False) -> list[tuple[int, int, DeviceAccount]]:
        """Close the intervals that are over.

        Args:
            final: nothing is read any more: close all of them, also the one that is not over.

        Returns:
            From and to, UTC ns, and the account, in the order of time; one for every interval since :meth:`begin`.
        """
        if self._began_ns is None:
            return []
        closed: list[tuple[int, int, DeviceAccount]] = []
        while True:
            from_ns = self._ended_ns
            to_ns = (from_ns // INTERVAL_NS + 1) * INTERVAL_NS
            if final:
                to_ns = min(to_ns, now_ns)
            if from_ns >= to_ns or (not final and now_ns < to_ns + _SETTLED_NS) or not self._is_settled(to_ns, now_ns, final=final):
                return closed
            found = self._open.pop(from_ns // INTERVAL_NS, _Open())
            self._newest = -1, _Open()
            closed.append((from_ns, to_ns, self._account(found)))
            self._ended_ns = to_ns

    def _account(self, found: _Open) -> DeviceAccount:
        lost = found.lost
        missing = lost.get(self._missing, 0)
        return DeviceAccount(
            device=self.device,
            expected=found.made + missing,
            good=found.good,
            uncertain=found.uncertain,
            bad=found.bad,
            lost={str(reason): samples for reason, samples in lost.items() if samples},
        )

    def _is_settled(self, to_ns: int, now_ns: int, *, final: bool) -> bool:
        """Return whether nothing can be added any more to the interval that ends at ``to_ns``; what cannot come any more is missed."""
        if self._together_ns is not None and self._together_ns + self._period_of_all_ns >= to_ns:
            pass  # none is due in it any more
        elif self._period_ns is not None:
            self._part()
            over = self._last_ns + self._period_ns < to_ns
            if over.any():
                rows = np.flatnonzero(over & (now_ns - self._last_ns >= self._late_ns))
                until_ns = np.minimum(to_ns - 1, now_ns - self._period_ns[rows] // 2)
                self._miss(rows, (until_ns - self._last_ns[rows]) // self._period_ns[rows])
                if not final and (self._last_ns + self._period_ns < to_ns).any():
                    return False
        found = self._open.get((to_ns - 1) // INTERVAL_NS)
        if final and found is not None and found.waiting:
            self.dropped(to_ns - 1, found.waiting, LostReason.STOPPED)
        return found is None or not found.waiting

    def _came(self, point: NDArray[np.uint64], now_ns: int) -> None:
        """Count what points that came now have missed since they came last."""
        assert self._period_ns is not None
        row = self._rows.of(point)
        self._part()
        late = now_ns - self._last_ns[row] >= self._late_ns[row]
        if np.count_nonzero(late):
            rows = np.arange(len(self._last_ns))[row][late]
            # The one that came is nearest to the last of the periods that have passed; those before it are missed.
            passed = (now_ns - self._last_ns[rows] + self._period_ns[rows] // 2) // self._period_ns[rows]
            self._miss(rows, passed - 1)
        self._last_ns[row] = now_ns
        if isinstance(row, slice) and self._period_of_all_ns:
            self._together_ns = now_ns
            self._all_ids = point if is_fixed(point) else None

    def _part(self) -> None:
        """Have :attr:`_last_ns` tell when each point came last."""
        if self._together_ns is not None:
            self._last_ns[:] = self._together_ns
            self._together_ns = None

    def _miss(self, rows: NDArray[np.intp] | NDArray[np.int64], count: NDArray[np.int64]) -> None:
        """Count the next (k,) ``count`` samples of points, rows (k,), as missed."""
        assert self._period_ns is not None
        total = int(count.sum())
        if not total:
            return
        nth = np.arange(total) - np.repeat(np.cumsum(count) - count, count) + 1
        due_ns = np.repeat(self._last_ns[rows], count) + nth * np.repeat(self._period_ns[rows], count)
        # What belongs to a minute whose account is given is counted in the first one that is open.
        indices, counts = np.unique(np.maximum(due_ns, self._ended_ns) // INTERVAL_NS, return_counts=True)
        for index, samples in zip(indices.tolist(), counts.tolist(), strict=True):
            self._at(index * INTERVAL_NS).lose(self._missing, samples)
        self._last_ns[rows] += count * self._period_ns[rows]
        self.lost[self._missing] += total
        self.expected += total

    def _at(self, ts_ns: int) -> _Open:
        index = ts_ns // INTERVAL_NS
        if index == self._newest[0]:
            return self._newest[1]
        found = self._open.get(index)
        if found is None:
            found = self._open[index] = _Open()
            if len(self._open) > _OPEN_MAX:
                oldest = min(self._open)
                del self._open[oldest]
                self._ended_ns = max(self._ended_ns, (oldest + 1) * INTERVAL_NS)
        if index in self._open:
            self._newest = index, found
        return found

    def _rows_of(self, point: NDArray[np.uint64]) -> NDArray[np.int64] | slice:
        """Return the rows of a frame's points, none twice."""
        found = np.minimum(np.searchsorted(self._ids, point), len(self._ids) - 1)
        rows = np.unique(self._row[found[self._ids[found] == point]])
        return slice(None) if len(rows) == len(self._ids) else rows
