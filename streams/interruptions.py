"""When each market is out, as the price book asks for it: read from the segment machines, before and after a step.

A recovery that took effect in this very step ended a range that prices are still given for; so both states are looked at. The first day
of an interruption is no segment's to remember: the market that began it may come back, and go out again, while the other one is out.
"""

from __future__ import annotations

from market.regimes import Interruptions, Range
from market.segment import SegmentState

__all__ = ["interrupted_from_ns", "interruptions"]


def interrupted_from_ns(known_ns: int | None, rt: SegmentState, da: SegmentState) -> int | None:
    """Return when the interruption began that runs: with the first instant that one of the markets was out since both were in force.

    Args:
        known_ns: as it was before a step; None where none ran.
        rt, da: both segments after it.
    """
    began = [each.substituted_from_ns for each in (rt, da) if each.substituted_from_ns is not None]
    if not began:
        return None
    return min(began) if known_ns is None else min(known_ns, *began)


def interruptions(
    before: tuple[SegmentState, SegmentState], after: tuple[SegmentState, SegmentState], known_ns: int | None = None
) -> Interruptions:
    """Return the ranges that are not the market's.

    Args:
        before, after: the real-time and the day-ahead segment before and after a step.
        known_ns: when the interruption began that ran before it; None where none did.
    """
    rt_before, da_before = before
    rt, da = after
    if known_ns is None and all(each.substituted_from_ns is None for each in (rt, da, rt_before, da_before)):
        return _NONE
    pairs = ((rt_before, rt), (da_before, da))
    began_ns = interrupted_from_ns(known_ns, rt, da)
    return Interruptions(
        rt=_ranges(rt_before, rt, "substituted_from_ns"),
        da=_ranges(da_before, da, "substituted_from_ns"),
        suspended=tuple(r for pair in pairs for r in _ranges(*pair, "suspended_from_ns")),
        # Each market is handled by Art. 28 on its own: a day-ahead market that is suspended for long leaves real-time prices alone (I7).
        art28=_ranges(rt_before, rt, "long_from_ns"),
        began_ns=began_ns,
        ended_from_ns=known_ns if began_ns is None else None,
    )


_NONE = Interruptions()


def _ranges(before: SegmentState, after: SegmentState, what: str) -> tuple[Range, ...]:
    """Return what began at an instant of a segment's state and lasts until the market is back."""
    found: list[Range] = []
    for state in (before, after):
        from_ns: int | None = getattr(state, what)
        if from_ns is not None and (state is after or state.effective_from_ns is not None):
            reached = (from_ns, state.effective_from_ns)
            if reached not in found:
                found.append(reached)
    return tuple(found)
