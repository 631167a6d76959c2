"""Which places of a spool were taken by whoever it is for?

All before a *floor*, and some ranges beyond it: after an outage what is newest goes first and what waited follows, so places are not
taken in their order. The ranges are few: they grow together as the rest is taken. What is written to the disk is all of it, as text;
when it is lost, everything counts as not taken, and is sent again.

Deliberately absent: the file and when it is written (:mod:`ingest.segmentlog`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

__all__ = ["Taken"]


class Taken:
    """A set of places, counts of bytes since a spool's beginning.

    Args:
        floor: everything before it was taken.
        beyond: ranges that were taken besides, start inclusive and end exclusive, in any order.

    >>> taken = Taken(10)
    >>> taken.add(30, 40)
    >>> taken.gap(0), taken.gap(35), taken.end
    ((10, 30), (40, None), 40)
    >>> taken.add(10, 30)
    >>> taken.text().split()
    ['40']
    """

    def __init__(self, floor: int = 0, beyond: Iterable[tuple[int, int]] = ()) -> None:
        self.floor = floor
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in beyond:
            self.add(start, end)

    @property
    def end(self) -> int:
        """The place behind the last one that was taken."""
        return self._ends[-1] if self._ends else self.floor

    @property
    def beyond(self) -> list[tuple[int, int]]:
        """The ranges beyond the floor, in order; no two of them touch."""
        return list(zip(self._starts, self._ends, strict=True))

    def add(self, start: int, end: int) -> None:
        """Take the places from ``start`` to before ``end``."""
        if end <= max(start, self.floor):
            return
        # Ranges that touch or overlap become one.
        first = bisect_left(self._ends, start)
        behind = bisect_right(self._starts, end)
        if first < behind:
            start, end = min(start, self._starts[first]), max(end, self._ends[behind - 1])
        self._starts[first:behind] = [start]
        self._ends[first:behind] = [end]
        if start <= self.floor:
            self.floor = end
            del self._starts[: first + 1], self._ends[: first + 1]

    def gap(self, place: int) -> tuple[int, int | None]:
        """Return the first stretch from ``place`` on that was not taken: its start, and its end, None where it has none."""
        place = max(place, self.floor)
        row = bisect_right(self._starts, place) - 1
        if row >= 0 and self._ends[row] > place:
            place = self._ends[row]
        following = bisect_right(self._starts, place)
        return place, self._starts[following] if following < len(self._starts) else None

    def covers(self, start: int, end: int) -> bool:
        """Say whether every place of a stretch was taken."""
        return self.among(start, end) >= end - start

    def among(self, start: int, end: int) -> int:
        """Count the places of a stretch that were taken."""
        count = max(0, min(end, self.floor) - start)
        for row in range(bisect_right(self._ends, start), len(self._starts)):
            if self._starts[row] >= end:
                break
            count += min(end, self._ends[row]) - max(start, self._starts[row])
        return count

    def text(self) -> str:
        """Write it down: the floor, then a line for each range."""
        return f"{self.floor}\n" + "".join(f"{start} {end}\n" for start, end in self.beyond)

    @classmethod
    def read(cls, text: str) -> Taken:
        """Read what :meth:`text` wrote.

        Raises:
            ValueError: it is not that.
        """
        floor, *ranges = text.splitlines()
        pairs = [tuple(map(int, each.split())) for each in ranges]
        if any(len(pair) != 2 or pair[0] >= pair[1] for pair in pairs):
            raise ValueError(f"no ranges of places: {text[:80]!r}")
        return cls(int(floor), [(pair[0], pair[1]) for pair in pairs])
