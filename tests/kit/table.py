"""Stories told as tables: one line a fact, with what must hold after it.

``run`` feeds a fold with facts written as ``HH:MM[:SS[.mmm]]  words…  | expectation…`` so that a reader checks a specification and
not a sequence of calls.
"""

from __future__ import annotations

from collections.abc import Iterator

from market.units import NS_PER_H, NS_PER_MIN, NS_PER_S, instant_ns

__all__ = ["DAY_NS", "at_ns", "rows"]

DAY_NS = instant_ns("2026-06-10T00:00:00+08:00")
"""Midnight of the day all stories play on."""


def at_ns(clock: str) -> int:
    """Return the instant of a time of day, ``HH:MM`` to ``HH:MM:SS.mmm``, of the stories' day."""
    hours, minutes, *seconds = clock.split(":")
    whole_ns = round(float(seconds[0]) * 1000) * (NS_PER_S // 1000) if seconds else 0
    return DAY_NS + int(hours) * NS_PER_H + int(minutes) * NS_PER_MIN + whole_ns


def rows(table: str) -> Iterator[tuple[int, list[str], str]]:
    """Yield (instant, words, expectation) for every line of a table that is neither empty nor a comment."""
    for line in table.splitlines():
        text = line.split("#")[0].strip()
        if text:
            left, _, expected = text.partition("|")
            clock, *words = left.split()
            yield at_ns(clock), words, expected.strip()
