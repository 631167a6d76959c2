"""Sums over time that are counted in event time and survive a restart: the running clock window, and a day of clock hours.

A sample stands for a length of time: the time since the one before it, but not for a time when there should have been others. What was
not watched counts for nothing, neither as good nor as bad.

Everything is a value: adding a sample gives a new one, and what is remembered of a day is twenty-four numbers, not its samples.
"""

from __future__ import annotations

from dataclasses import dataclass

from market.units import NS_PER_H, floor_ns

__all__ = ["DaySums", "Window", "sampled"]

_HOURS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The running clock window (a minute, ten minutes, a quarter of an hour) of some quantities.

    Attributes:
        start_ns: its start, -1 before the first sample.
        sums: Σ of the samples, by quantity.
        n: number of samples.
        covered_ns: time they stand for.
    """

    start_ns: int = -1
    sums: tuple[float, ...] = ()
    n: int = 0
    covered_ns: int = 0

    @property
    def means(self) -> tuple[float, ...]:
        """The mean of each quantity."""
        return tuple(total / self.n for total in self.sums)


def sampled(window: Window, length_ns: int, ts_ns: int, values: tuple[float, ...], step_ns: int) -> tuple[Window, Window | None]:
    """Add one sample.

    Args:
        window: the running window.
        length_ns: its length; windows begin at multiples of it.
        ts_ns: instant of the sample.
        values: the quantities, always the same ones.
        step_ns: time the sample stands for.

    Returns:
        The running window with the sample in it, and the window that this sample shows to be over. A window whose samples stand for
        less than half of it is no window: half of the samples expected must be there (BAL-001-2, attachment 1).

    >>> minute, _ = sampled(Window(), 60, 0, (4.0,), 30)
    >>> minute, _ = sampled(minute, 60, 30, (6.0,), 30)
    >>> minute, over = sampled(minute, 60, 60, (9.0,), 30)
    >>> over.means
    (5.0,)
    """
    start_ns = floor_ns(ts_ns, length_ns)
    if start_ns == window.start_ns:
        sums = tuple(total + value for total, value in zip(window.sums, values, strict=True))
        return Window(start_ns=start_ns, sums=sums, n=window.n + 1, covered_ns=window.covered_ns + step_ns), None
    whole = window.n > 0 and 2 * window.covered_ns >= length_ns
    return Window(start_ns=start_ns, sums=values, n=1, covered_ns=step_ns), window if whole else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySums:
    """A total and a weight over the last twenty-four clock hours, the running one among them.

    Attributes:
        hours: (start of the hour, total, weight), oldest first.
    """

    hours: tuple[tuple[int, float, float], ...] = ()

    def add(self, ts_ns: int, total: float, weight: float) -> DaySums:
        """Return the sums with something added at ``ts_ns``; hours that are over for a day are dropped."""
        hour_ns = floor_ns(ts_ns, NS_PER_H)
        kept = {start: (before, of) for start, before, of in self.hours if start > hour_ns - _HOURS * NS_PER_H}
        before, of = kept.get(hour_ns, (0.0, 0.0))
        kept[hour_ns] = (before + total, of + weight)
        return DaySums(hours=tuple((start, *sums) for start, sums in sorted(kept.items())))

    def of_day(self, now_ns: int) -> tuple[float, float]:
        """Return total and weight of the day up to ``now_ns``."""
        since_ns = floor_ns(now_ns, NS_PER_H) - _HOURS * NS_PER_H
        day = [(total, weight) for start, total, weight in self.hours if start > since_ns]
        return sum(total for total, _ in day), sum(weight for _, weight in day)

    def mean(self, now_ns: int) -> float | None:
        """Return total over weight, or None where nothing was added in the day up to ``now_ns``."""
        total, weight = self.of_day(now_ns)
        return total / weight if weight > 0 else None

    def mean_pct(self, now_ns: int) -> float | None:
        """Return :meth:`mean` as a percentage."""
        mean = self.mean(now_ns)
        return None if mean is None else 100.0 * mean
