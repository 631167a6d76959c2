"""What did a point that is one of two things say lately, in the order of its own times?

Reports overtake each other on their way. What is true now is told when it comes; a change that an earlier report told of, and that
comes after a later one, is told too, once, with the time at which it held, so that it is known as history. A point's past reaches back
to the watermark of its device: what is older is late, and changes nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

import msgspec

__all__ = ["Past", "Said"]


class Said(msgspec.Struct, array_like=True):
    """What a point said: that at ``ts_ns`` it measured ``value``, hence was ``state``; whether whoever acts on it was told so."""

    ts_ns: int
    value: float
    state: bool
    told: bool = False


class Past(msgspec.Struct, array_like=True):
    """One point's recent past.

    Attributes:
        before: what it was before all that; None if it was first heard of then.
        said: good samples, by source time.
    """

    before: bool | None
    said: list[Said]

    def overtaken(self, ts_ns: int, value: float, state_of: Callable[[float, bool], bool]) -> list[Said]:
        """Take in a sample that was overtaken, and return the changes nobody was told of, by source time; they count as told from now on.

        Args:
            state_of: gives the state of a value, and of the state before it.
        """
        place = bisect_right(self.said, ts_ns, key=lambda said: said.ts_ns)
        state = self.said[place - 1].state if place else self.before
        if state is None:
            return []
        self.said.insert(place, Said(ts_ns, value, state_of(value, state)))
        changes = []
        for each in self.said[place:]:
            each.state = state_of(each.value, state)
            if each.state is not state and not each.told:
                each.told = True
                changes.append(each)
            state = each.state
        return changes

    def forget(self, before_ns: int) -> None:
        """Forget what nothing can overtake any more."""
        kept = bisect_right(self.said, before_ns - 1, key=lambda said: said.ts_ns)
        if kept:
            self.before = self.said[kept - 1].state
            del self.said[:kept]
