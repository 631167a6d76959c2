"""How far is a long computation, and when will it be done?

The day-ahead run must be ready by 23:00. While it runs it says which phase it is in and how good its best answer is (:class:`Progress`);
when it will end is estimated from how long earlier runs took (:func:`remaining`). Such an estimate is *statistical*: by the market's
rules it warns (P90) or proposes (P50), and trips nothing.

A program's gap says little about the time to close it, so no extrapolation of the gap is attempted. What is known is how long the
runs before took from each phase to their end; of those, only runs that lasted at least as long as this one has can tell what is left.

Absent on purpose: clocks. Whoever runs the computation measures elapsed time and keeps the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from market.units import NS_PER_S

__all__ = ["Course", "Expected", "Outlook", "Phase", "Progress", "Remaining", "Run", "expected", "remaining"]


class Phase(StrEnum):
    """Parts of a day-ahead run, in order."""

    RELAXATION = "relaxation"
    COMMITMENT = "commitment"
    DISPATCH = "dispatch"
    DONE = "done"


PHASES: tuple[Phase, ...] = tuple(Phase)
"""In the order a run goes through them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a run says of itself.

    Attributes:
        phase: where it is.
        incumbent: cost of the best commitment found so far, in the case's money for the horizon; None before there is one.
        bound: no commitment costs less; None before it is known.
        gap: distance between the two, relative to the incumbent; None without both.
        nodes: nodes of the search tree that were looked at.
        share_done: how much of this phase is done, from 0 to 1, where that can be told, else None.
    """

    phase: Phase
    incumbent: float | None = None
    bound: float | None = None
    gap: float | None = None
    nodes: int = 0
    share_done: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How long an earlier run took: seconds spent in each phase it went through."""

    seconds: dict[Phase, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """An estimate of the time left, s.

    Attributes:
        p50_s: as likely to take longer as not.
        p90_s: one run in ten takes longer.
        runs: earlier runs it was estimated from.
        overdue: this run already lasts longer than every earlier one: the figures are a guess that it takes as long again.
    """

    p50_s: float
    p90_s: float
    runs: int
    overdue: bool = False


def remaining(history: Sequence[Run], phase: Phase, in_phase_s: float) -> Remaining | None:
    """Estimate how long a run will still take.

    The rest of this phase is taken from the runs that spent longer in it than this one has so far, the phases to come from the same
    runs, so that what goes together stays together. A run that outlasts them all is expected to last as long again: the one thing
    known of such a time is that it is of no usual scale, and then twice as long is a fair bet (it is the median of a quantity whose
    scale is unknown, seen at a random instant).

    Args:
        history: earlier runs; those that did not reach this phase are passed over.
        phase: where the run is.
        in_phase_s: how long it has been there, s.

    Returns:
        The estimate, or None without any run to judge by.

    >>> past = [Run(seconds={Phase.COMMITMENT: s, Phase.DISPATCH: 1.0}) for s in (2.0, 4.0, 6.0)]
    >>> remaining(past, Phase.COMMITMENT, 3.0)
    Remaining(p50_s=3.0, p90_s=3.8, runs=2, overdue=False)
    """
    if phase is Phase.DONE:
        return Remaining(p50_s=0.0, p90_s=0.0, runs=len(history))
    later = PHASES[PHASES.index(phase) + 1 :]
    reached = [run for run in history if phase in run.seconds]
    if not reached:
        return None
    after = [sum(run.seconds.get(each, 0.0) for each in later) for run in reached]
    left = [run.seconds[phase] - in_phase_s + rest for run, rest in zip(reached, after, strict=True) if run.seconds[phase] > in_phase_s]
    if left:
        return Remaining(p50_s=_quantile(left, 0.5), p90_s=_quantile(left, 0.9), runs=len(left))
    return Remaining(
        p50_s=in_phase_s + _quantile(after, 0.5),
        # One in ten of such times lasts nine times as long again.
        p90_s=9.0 * in_phase_s + _quantile(after, 0.9),
        runs=len(reached),
        overdue=True,
    )


def _quantile(values: Sequence[float], share: float) -> float:
    return round(float(np.quantile(values, share)), 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A run as far as it has come.

    Attributes:
        seconds: time spent in each phase it has left, s.
        phase: where it is; None before it has said anything.
        since_s: when it came there, s since the run began.
    """

    seconds: dict[Phase, float] = field(default_factory=dict)
    phase: Phase | None = None
    since_s: float = 0.0

    def seen(self, progress: Progress, elapsed_s: float) -> Course:
        """Take in what a run said ``elapsed_s`` after it began; a phase that is entered again goes on where it was left."""
        if progress.phase is self.phase:
            return self
        return replace(self._left(elapsed_s), phase=progress.phase, since_s=elapsed_s)

    def _left(self, elapsed_s: float) -> Course:
        if self.phase is None:
            return self
        spent_s = self.seconds.get(self.phase, 0.0) + elapsed_s - self.since_s
        return replace(self, seconds=self.seconds | {self.phase: spent_s})

    def left(self, history: Sequence[Run], elapsed_s: float) -> Remaining | None:
        """Estimate the time left from earlier runs; see :func:`remaining`."""
        if self.phase is None:
            return None
        return remaining(history, self.phase, self._left(elapsed_s).seconds[self.phase])

    def over(self) -> Run:
        """Return the finished run for the history."""
        return Run(seconds={phase: s for phase, s in self.seconds.items() if phase is not Phase.DONE})


class Outlook(StrEnum):
    """What follows from a statistical estimate, by Art. 23(1) as this service reads it. It never trips."""

    IN_TIME = "in_time"
    WARN = "warn"
    """One run in ten would miss the deadline."""
    PROPOSE = "propose"
    """Every second run would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """When a result is expected, UTC ns, and what follows from it."""

    p50_ns: int
    p90_ns: int
    outlook: Outlook


def expected(now_ns: int, left: Remaining, deadline_ns: int) -> Expected:
    """Set an estimate against a deadline; a result at the deadline itself is in time.

    >>> expected(0, Remaining(p50_s=30.0, p90_s=90.0, runs=9), 60 * 10**9).outlook
    <Outlook.WARN: 'warn'>
    """
    p50_ns, p90_ns = (now_ns + round(s * NS_PER_S) for s in (left.p50_s, left.p90_s))
    outlook = Outlook.PROPOSE if p50_ns > deadline_ns else Outlook.WARN if p90_ns > deadline_ns else Outlook.IN_TIME
    return Expected(p50_ns=p50_ns, p90_ns=p90_ns, outlook=outlook)
