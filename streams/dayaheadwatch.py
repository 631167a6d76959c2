"""Watches day-ahead runs: how far each is, and when its result is expected against 23:00.

Runs tell their progress from the thread they run in; whoever asks does so from the event loop. How long runs take is remembered for as long
as the process lives, and the estimate is statistical: it goes into the log, where it warns, and to the breaker as a fact, which moves
nothing in the market.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from market.facts import DayAheadExpected, EstimateSource
from market.progress import Course, Expected, Outlook, Phase, Progress, Run, expected
from market.units import NS_PER_H, clock_text, day_start_ns

__all__ = ["DayAheadWatch", "deadline_ns"]

_log = logging.getLogger(__name__)

_BEFORE_NS: Final = NS_PER_H
_RUNS_KEPT: Final = 60


def deadline_ns(day: str, zone: str) -> int:
    """Return when the result of an operating day must be there: 23:00 of the day before (Art. 23(1)), UTC ns."""
    return day_start_ns(day, zone) - _BEFORE_NS


class DayAheadWatch:
    """One run after another, with the history they leave.

    Args:
        zone: the market's.
        elapsed_s: a clock that only goes forward, s.
        now_ns: event time, UTC ns.
    """

    def __init__(self, zone: str, elapsed_s: Callable[[], float], now_ns: Callable[[], int]) -> None:
        self._zone, self._elapsed_s, self._now_ns = zone, elapsed_s, now_ns
        self._history: deque[Run] = deque(maxlen=_RUNS_KEPT)
        self._course = Course()
        self._day, self._began_s, self._said = "", 0.0, Outlook.IN_TIME
        self._tell: Callable[[DayAheadExpected], None] = _nobody
        self._told: Outlook | None = None
        self._run: object = None
        self.progress: Progress | None = None
        """What the run said last; None before any."""

    def begin(self, day: str, tell: Callable[[DayAheadExpected], None] | None = None) -> Callable[[Progress], None]:
        """Begin to watch the run of an operating day.

        Args:
            day: the operating day.
            tell: is told the fact of each new phase and each change of outlook, in the thread of the run.

        Returns:
            What is to be told of the run's progress, from any one thread; deaf once another run has begun.
        """
        self._tell, self._told = tell or _nobody, None
        self._day, self._began_s, self._course, self._said = day, self._elapsed_s(), Course(), Outlook.IN_TIME
        run = self._run = object()
        return lambda progress: self._seen(progress) if self._run is run else None

    def ended(self) -> None:
        """Take the run that is over into the history; one that failed on its way says nothing of how long a run takes."""
        if self._course.phase is Phase.DONE:
            self._history.append(self._course.over())

    def expected(self) -> Expected | None:
        """Return when the result is expected; None without earlier runs, or for a day whose deadline is past already."""
        end_ns, now_ns = deadline_ns(self._day, self._zone), self._now_ns()
        left = self._course.left(self._history, self._elapsed_s() - self._began_s)
        return None if left is None or now_ns > end_ns else expected(now_ns, left, end_ns)

    def _seen(self, progress: Progress) -> None:
        entered = progress.phase is not self._course.phase
        self._course, self.progress = self._course.seen(progress, self._elapsed_s() - self._began_s), progress
        if entered:
            gap = "" if progress.gap is None else f", within {progress.gap:.2%} of the least cost"
            _log.info("day-ahead run of %s: %s%s", self._day, progress.phase, gap, extra={"day": self._day, "stage": progress.phase})
        found = self.expected()
        if entered or (found is not None and found.outlook is not self._told):
            self._told = None if found is None else found.outlook
            self._tell(self._fact(progress, found))
        if found is not None and found.outlook is not self._said:
            self._said = found.outlook
            if found.outlook is not Outlook.IN_TIME:
                halves = ", ".join(f"{name} {clock_text(ns, self._zone)}" for name, ns in (("P50", found.p50_ns), ("P90", found.p90_ns)))
                where = {"day": self._day, "state": found.outlook}
                _log.warning("day-ahead result of %s may miss 23:00: expected %s; tell the dispatcher", self._day, halves, extra=where)

    def _fact(self, progress: Progress, found: Expected | None) -> DayAheadExpected:
        return DayAheadExpected(
            ts_event_ns=self._now_ns(),
            interval_start_ns=day_start_ns(self._day, self._zone),
            source=EstimateSource.STATISTICAL,
            p50_ns=None if found is None else found.p50_ns,
            p90_ns=None if found is None else found.p90_ns,
            phase=progress.phase,
            gap=progress.gap,
            share_done=progress.share_done,
            outlook=None if found is None else found.outlook,
        )


def _nobody(fact: DayAheadExpected) -> None:
    """Whom a run tells that nobody asked about."""
