"""One device's way out: what it said becomes frames, and what became of it is counted.

Every reader of a device (poller, listener, subscription) publishes through its :class:`Source`. The source numbers the frames,
counts samples by quality and refusals by reason, and writes the two lines a log needs: one when a device becomes unavailable, one
when it is back. Nothing is dropped without a count.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.account import Ledger, tally
from ingest.checks import Checks
from ingest.clock import Clock
from ingest.countdifferences import Columns
from ingest.frame import SAMPLES_MAX, TelemetryFrame, heartbeat
from ingest.quality import Flag
from market.units import NS_PER_S

__all__ = ["DeviceHealth", "Source"]

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceHealth:
    """What became of one device so far; counters run from the start of the process.

    Attributes:
        device: as the point list names it; a listener's address for what reached no device.
        available: whether it answers; None before the first answer or failure.
        polls: polls, publishes or pushes that were taken.
        skipped: periods in which no poll was made because the one before had not ended.
        good: samples published with a good quality; likewise ``uncertain`` and ``bad``.
        refused: replies, frames and connections not taken, by reason.
        dropped: frames lost after they were built, by reason.
        reconnects: connections made after the first.
        kicks: times a subscription that had gone quiet was asked again, before it was built anew.
        last_good_ns: event time of the last good sample, or None.
        why: the last reason it was unavailable, empty if it never was.
        attributes: texts it keeps about itself, by name.
        flagged: samples in which a check found something, by the name of the flag; a sample may be among several.
        expected: samples that were due, as far as it is known; see :mod:`ingest.account`.
        lost: samples that were due and never sent, by :class:`ingest.account.LostReason`.
    """

    device: str
    area: str
    available: bool | None
    polls: int
    skipped: int
    good: int
    uncertain: int
    bad: int
    refused: Mapping[str, int]
    dropped: Mapping[str, int]
    reconnects: int
    kicks: int
    last_good_ns: int | None
    why: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    flagged: Mapping[str, int] = field(default_factory=dict)
    expected: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)


class Source:
    """One device's way out.

    Args:
        put: takes each frame; must not block.
        checks: judge what is published; None where no point of the device asks for it.
        ledger: accounts for what is published; None for what is no device. Whoever takes a frame says what became of it
            (:meth:`sent`, :meth:`drop`).
    """

    def __init__(
        self,
        name: str,
        area: str,
        clock: Clock,
        put: Callable[[TelemetryFrame], None],
        checks: Checks | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.name = name
        self.area = area
        self.available: bool | None = None
        self.polls = 0
        self.skipped = 0
        self.reconnects = 0
        self.kicks = 0
        self.refused: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.attributes: dict[str, str] = {}
        """Texts the device keeps about itself, by name."""
        self._clock = clock
        self._put = put
        self._checks = checks
        self.ledger = ledger
        self._seq = 0
        self._good = self._uncertain = self._bad = 0
        self._last_good_ns: int | None = None
        self._why = ""
        self._since_ns = 0

    def publish(
        self,
        point: NDArray[np.uint64],
        ts_event_ns: NDArray[np.int64],
        value: NDArray[np.float64],
        quality: NDArray[np.uint32],
        flags: NDArray[np.uint16],
        clock_off_ns: int = 0,
        raw: NDArray[np.int64] | None = None,
        now_ns: int | None = None,
    ) -> None:
        """Send samples received together, now; all columns (n,). See :class:`ingest.frame.TelemetryFrame` for the rest.

        Args:
            raw: whole counts before scaling, where the protocol has them; read for counters only (:meth:`ingest.checks.Checks.judge`).
            now_ns: event time now, where who calls knows it.
        """
        if now_ns is None:
            now_ns = self._clock.now_ns()
        if self._checks is not None:
            quality, flags, (place, counts) = self._checks.judge(point, ts_event_ns, value, quality, flags, raw)
            if (differences := self._checks.differences) is not None:
                judged = Columns(point, ts_event_ns, value, quality, flags)
                point, ts_event_ns, value, quality, flags = differences.beside(judged, place, counts)
        if self.ledger is not None:
            self.ledger.made(point, now_ns)
        good, uncertain, bad = tally(quality)
        self._good += good
        self._uncertain += uncertain
        self._bad += bad
        if good:
            self._last_good_ns = now_ns
        whole = len(point) <= SAMPLES_MAX
        for start in range(0, len(point), SAMPLES_MAX):
            part = slice(start, start + SAMPLES_MAX)
            frame = TelemetryFrame(
                source=self.name,
                area=self.area,
                seq=self._seq,
                ts_ingest_ns=now_ns,
                point=point if whole else point[part],
                ts_event_ns=ts_event_ns if whole else ts_event_ns[part],
                value=value if whole else value[part],
                quality=quality if whole else quality[part],
                flags=flags if whole else flags[part],
                clock_off_ns=clock_off_ns,
            )
            self._seq += 1
            self._put(frame)

    def publish_bad(self, point: NDArray[np.uint64], quality: int) -> None:
        """Send that these points have no value, and why."""
        n = len(point)
        self.publish(
            point,
            np.full(n, self._clock.now_ns(), dtype=np.int64),
            np.full(n, np.nan),
            np.full(n, quality, dtype=np.uint32),
            np.full(n, int(Flag.TS_ESTIMATED), dtype=np.uint16),
        )

    def beat(self) -> None:
        """Send that the device lives and has nothing to report."""
        self._put(heartbeat(self.name, self.area, self._seq, self._clock.now_ns()))
        self._seq += 1

    def heard(self) -> None:
        """Note that the device answers."""
        if self.available is False:
            away_s = (self._clock.now_ns() - self._since_ns) / NS_PER_S
            _log.info("%s: back after %.0f s", self.name, away_s, extra={"device": self.name, "area": self.area, "away_s": away_s})
        self.available = True

    def unavailable(self, why: str) -> None:
        """Note that the device does not answer."""
        if self.available is not False:
            self._since_ns = self._clock.now_ns()
            _log.warning("%s: unavailable: %s", self.name, why, extra={"device": self.name, "area": self.area, "reason": why})
        self.available = False
        self._why = why

    def refuse(self, reason: str, detail: str, count: int = 1) -> None:
        """Count something that was not taken, or ``count`` of it; the first of each reason is logged."""
        is_first = not self.refused[str(reason)]
        self.refused[str(reason)] += count
        if is_first:
            where = {"device": self.name, "area": self.area, "reason": str(reason), "detail": detail}
            _log.warning("%s: refused (%s): %s; further ones are counted only", self.name, reason, detail, extra=where)

    def sent(self, frame: TelemetryFrame) -> None:
        """Account for a frame that was taken."""
        if self.ledger is not None and len(frame):
            self.ledger.sent(frame.ts_ingest_ns, frame.quality)

    def drop(self, reason: str, frame: TelemetryFrame | None = None) -> None:
        """Count a frame that was built and lost, and account for its samples; the first of each reason is logged."""
        self.dropped[reason] += 1
        if frame is not None and self.ledger is not None and len(frame):
            self.ledger.dropped(frame.ts_ingest_ns, len(frame), reason)
        if self.dropped[reason] == 1:
            where = {"device": self.name, "area": self.area, "reason": reason}
            _log.warning("%s: frame dropped (%s); further ones are counted only", self.name, reason, extra=where)

    def health(self) -> DeviceHealth:
        """Return the counters as they stand."""
        return DeviceHealth(
            device=self.name,
            area=self.area,
            available=self.available,
            polls=self.polls,
            skipped=self.skipped,
            good=self._good,
            uncertain=self._uncertain,
            bad=self._bad,
            refused=dict(self.refused),
            dropped=dict(self.dropped),
            reconnects=self.reconnects,
            kicks=self.kicks,
            last_good_ns=self._last_good_ns,
            why=self._why,
            attributes=dict(self.attributes),
            flagged={} if self._checks is None else {flag.name or "": count for flag, count in self._checks.raised.items()},
            expected=0 if self.ledger is None else self.ledger.expected,
            lost={} if self.ledger is None else {str(reason): samples for reason, samples in self.ledger.lost.items()},
        )
