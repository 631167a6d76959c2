"""What is due now, out of very many things that are due some time?

A wheel holds calls by slots of time. Putting one in costs the same however many are there, and turning it costs what is due: ten
thousand devices that are each asked once a second, and each reply's deadline, need no task and no timer of their own.

Nothing is taken out again: who no longer wants to be called is called and does nothing, which is cheaper than finding it.

Numbers in, calls out: no clock. Whoever has one turns the wheel.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

__all__ = ["Wheel"]

Call = Callable[[int], None]
"""Takes the time to which the wheel was turned, ns."""


class Wheel:
    """Calls by slots of time.

    Args:
        slot_ns: length of a slot: a call comes at most so much late for it, and never early.
    """

    __slots__ = ("_due", "_reached", "_slot_ns", "_slots")

    def __init__(self, slot_ns: int) -> None:
        assert slot_ns > 0, f"{slot_ns} ns is no slot"
        self._slot_ns = slot_ns
        self._slots: dict[int, list[Call]] = {}
        self._due: list[int] = []
        self._reached = -(2**63)

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    @property
    def next_ns(self) -> int | None:
        """The time to which it has to be turned until it calls anybody; None where nobody waits."""
        return self._due[0] * self._slot_ns if self._due else None

    def at(self, when_ns: int, call: Call) -> bool:
        """Have something called once the wheel has been turned to ``when_ns``; at its next turn, where that has passed.

        Returns:
            Whether that is sooner than all that waited before.
        """
        slot = max(-(-when_ns // self._slot_ns), self._reached + 1)
        calls = self._slots.get(slot)
        if calls is not None:
            calls.append(call)
            return False
        self._slots[slot] = [call]
        heapq.heappush(self._due, slot)
        return self._due[0] == slot

    def turn(self, now_ns: int) -> None:
        """Call what is due, in the order of slots and within one in the order it was put there.

        What is put in meanwhile, and is due already, waits for the next turn: a wheel cannot be kept turning by those it calls.

        Raises:
            ExceptionGroup: what some of those that were called raised, once all have been called.
        """
        reached = now_ns // self._slot_ns
        due: list[list[Call]] = []
        while self._due and self._due[0] <= reached:
            due.append(self._slots.pop(heapq.heappop(self._due)))
        self._reached = max(self._reached, reached)
        faults: list[Exception] = []
        for calls in due:
            for call in calls:
                try:
                    call(now_ns)
                except Exception as exc:
                    faults.append(exc)
        if faults:
            raise ExceptionGroup("calls that were due failed", faults)
