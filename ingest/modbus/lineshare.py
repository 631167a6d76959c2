"""How much of a line's time may go to units that do not answer, so that those that do keep their period?

A unit that is dead costs its timeout each time it is asked, and on a line where one request is on its way at a time everybody waits
meanwhile. So each silence of a unit that is known to be silent buys it a rest, and the rests of all units of a line stand in a row,
one behind the other, each ten times as long as the silence took: together they take a tenth of the line at most, and each has its
turn. Once is no habit: one that has answered before and misses a single reply is asked again as it was.

Only where others on the line answer: where all are silent nobody is held up. When one of them is back, the others are asked at once,
since what was mended was probably the line; not so often that this takes more than another tenth.

Numbers in, numbers out: no clock.
"""

from __future__ import annotations

from typing import Final

from market.units import NS_PER_MIN

__all__ = ["LineShare"]

_PARTS: Final = 10
"""A silence is followed by a rest so many times as long, for all units of a line together."""

_ALIVE_NS: Final = NS_PER_MIN
"""Wall time after its last answer during which a unit counts as one that others may hold up."""

_LONG_AGO_NS: Final = -(2**62)


class _Silence:
    """When a unit was last found silent, and until when it is left alone, wall ns."""

    __slots__ = ("known_ns", "until_ns")

    def __init__(self, known_ns: int) -> None:
        self.known_ns = known_ns
        self.until_ns = 0


class LineShare:
    """The units of one line that do not answer.

    Attributes:
        silent: by the name of the unit's device.
    """

    __slots__ = ("_again_ns", "_before_ns", "_row_ns", "_voice", "_voice_ns", "silent")

    def __init__(self) -> None:
        self.silent: dict[str, _Silence] = {}
        self._voice = ""
        self._voice_ns = self._before_ns = _LONG_AGO_NS
        self._row_ns = self._again_ns = _LONG_AGO_NS

    def heard(self, name: str, now_ns: int) -> None:
        """Note that a unit answered."""
        if name != self._voice:
            self._voice, self._before_ns = name, self._voice_ns
        self._voice_ns = now_ns
        if self.silent and self.silent.pop(name, None) is not None and now_ns >= self._again_ns:
            self._again_ns, self._row_ns = max(now_ns, self._row_ns), now_ns
            for other in self.silent.values():
                other.until_ns = 0

    def missed(self, name: str, sent_ns: int, cost_ns: int, now_ns: int, *, answered_before: bool) -> None:
        """Note that a unit did not answer.

        Args:
            sent_ns: when it was asked; what was asked before it was found silent says nothing new.
            cost_ns: how long it kept the line from the others.
            answered_before: whether it ever answered; one that did may miss one reply without a rest.
        """
        silence = self.silent.get(name)
        if silence is None:
            silence = self.silent[name] = _Silence(now_ns)
            if answered_before:
                return
        elif sent_ns <= silence.known_ns:
            return
        silence.known_ns = now_ns
        others_ns = self._before_ns if name == self._voice else self._voice_ns
        if now_ns - others_ns > _ALIVE_NS:
            silence.until_ns = 0
            return
        self._row_ns = max(self._row_ns, now_ns) + _PARTS * cost_ns
        silence.until_ns = self._row_ns

    def left_ns(self, name: str, now_ns: int) -> int:
        """Return how long a unit is to be left alone yet, ns."""
        silence = self.silent.get(name)
        return 0 if silence is None else max(0, silence.until_ns - now_ns)
