"""What did a point that is one of two things say lately, in the order of its own times?

Reports overtake each other on their way. What is true now is told when it comes; a change that an earlier report told of, and that
comes after a later one, is told too, once, with the time at which it held, so that it is known as history. Most points have no recent
past at all: one begins with a change and ends when its watermark has passed it.
"""

from __future__ import annotations

from bisect import insort

import msgspec

__all__ = ["Past", "Said"]


class Said(msgspec.Struct, array_like=True, order=True):
    """What a point said: that at ``ts_ns`` it was ``state``, measured as ``value``; whether whoever acts on it knows."""

    ts_ns: int
    state: bool
    value: float
    told: bool = False


class Past(msgspec.Struct):
    """One point's recent past.

    Attributes:
        before: what it was before all that; None if it was first heard of then.
        said: what changed since, and what came out of order, by source time.
    """

    before: bool | None
    said: list[Said]

    def at(self, ts_ns: int) -> bool | None:
        """Return what it was at an instant, as far as is known; None before it was first heard of."""
        return next((said.state for said in reversed(self.said) if said.ts_ns <= ts_ns), self.before)

    def overtaken(self, said: Said, newest: Said) -> list[Said]:
        """Take in what was overtaken, and return the changes nobody was told of, by source time; they count as told from now on.

        Args:
            said: what was said, older than ``newest``.
            newest: what is known to be so now.
        """
        was = self.at(said.ts_ns)
        if was is None or was is said.state:
            return []
        if not self.said or self.said[-1].ts_ns < newest.ts_ns:
            self.said.append(newest)
        insort(self.said, said)
        changes, state = list[Said](), self.before
        for each in self.said:
            if each.state is not state and not each.told:
                each.told = True
                changes.append(each)
            state = each.state
        return changes

    def forget(self, before_ns: int) -> None:
        """Forget what nothing can overtake any more."""
        while self.said and self.said[0].ts_ns < before_ns:
            self.before = self.said.pop(0).state
