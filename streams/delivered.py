"""Was this frame taken in before?

Each frame that carries something has a ticket (:class:`ingest.frame.Ticket`): the run of the process that read it, and its number among
those of its area. Live frames come in the order of their numbers; a number that was skipped is a *gap*, because that frame went into the
spool of the ingest side, or was lost. From the spool frames come in parts, by priority, each part in the order of its numbers.

So a live frame is new unless its number was reached before, and part of one from the spool is new where its number lies in a gap and
beyond what came of that part so far. What was in doubt when the stream side went away, and what is sent again after a crash on either
side, is found by that. What is remembered is a few numbers for each run; where too many gaps or runs are there to be remembered, a
frame is rather taken twice than lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from ingest.frame import ACCOUNTS_PART, Ticket

__all__ = ["Delivered", "RunState"]

_RUNS_MAX: Final = 16
_GAPS_MAX: Final = 64


class RunState(msgspec.Struct, array_like=True):
    """What is remembered of one run of the ingest side.

    Attributes:
        high: greatest number of a live frame; -1 before the first.
        gaps: numbers that were skipped, first and last of each gap, in order.
        floor: below it nothing is remembered any more.
        parts: greatest number that came from the spool, by part.
    """

    high: int = -1
    gaps: list[tuple[int, int]] = []
    floor: int = 0
    parts: dict[int, int] = {}


class Delivered:
    """The frames of an area that were taken in."""

    def __init__(self) -> None:
        self._runs: dict[int, RunState] = {}

    def is_first(self, ticket: Ticket) -> bool:
        """Note a frame; whether it is there for the first time."""
        run = self._runs.get(ticket.run)
        if run is None:
            run = self._runs[ticket.run] = RunState()
            if len(self._runs) > _RUNS_MAX:
                del self._runs[next(iter(self._runs))]
        return _is_first_live(run, ticket.nth) if ticket.part is None else _is_first_part(run, ticket.nth, ticket.part)

    def states(self) -> dict[int, RunState]:
        """Return what is remembered, by run, older ones first."""
        return self._runs

    def restore(self, states: Mapping[int, RunState]) -> None:
        """Go on from :meth:`states`."""
        self._runs = dict(states)


def _is_first_live(run: RunState, nth: int) -> bool:
    if nth == run.high + 1 and not run.parts:
        run.high = nth
        return True
    spooled = max((reached for part, reached in run.parts.items() if part != ACCOUNTS_PART), default=-1)
    if nth <= spooled and (nth > run.high or _gap_of(run, nth) is not None):
        # It was in doubt, and has come from the spool meanwhile, or what is missing of it will.
        return False
    if nth > run.high:
        if nth > run.high + 1:
            run.gaps = [*run.gaps, (run.high + 1, nth - 1)]
            if len(run.gaps) > _GAPS_MAX:
                run.floor = run.gaps[0][1] + 1
                run.gaps = run.gaps[1:]
        run.high = nth
        return True
    if (place := _gap_of(run, nth)) is None:
        return False
    first, last = run.gaps[place]
    parts = [part for part in ((first, nth - 1), (nth + 1, last)) if part[0] <= part[1]]
    run.gaps = [*run.gaps[:place], *parts, *run.gaps[place + 1 :]]
    return True


def _is_first_part(run: RunState, nth: int, part: int) -> bool:
    if nth <= run.parts.get(part, -1):
        return False
    run.parts = {**run.parts, part: nth}
    return nth > run.high or nth < run.floor or _gap_of(run, nth) is not None


def _gap_of(run: RunState, nth: int) -> int | None:
    for place in range(len(run.gaps) - 1, -1, -1):
        first, last = run.gaps[place]
        if first <= nth <= last:
            return place
        if nth > last:
            return None
    return None
