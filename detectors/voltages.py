"""Which buses are without voltage, as far as their meters say?

Only a GOOD value below a tenth of nominal makes a dead bus; a value of any other quality says nothing, and takes back what was said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from market.facts import PointQuality, VoltageReported

__all__ = ["DEAD_BELOW_PU", "DeadBus", "with_voltage"]

DEAD_BELOW_PU: Final = 0.1
"""Policy, table 1.5: a bus below this share of its nominal voltage is without voltage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadBus:
    """A bus without voltage since ``since_ns``; ``initial`` where that was the first thing heard of it."""

    since_ns: int
    ts_source_ns: int
    initial: bool = False


def with_voltage(dead: dict[str, DeadBus], fact: VoltageReported, *, initial: bool) -> dict[str, DeadBus]:
    """Take in a voltage; the same mapping where it says nothing new.

    Args:
        initial: nobody could have seen it alive before.
    """
    known = dead.get(fact.bus)
    if known is not None and fact.ts_source_ns < known.ts_source_ns:
        return dead
    if fact.quality is PointQuality.GOOD and fact.pu < DEAD_BELOW_PU:
        if known is None:
            return {**dead, fact.bus: DeadBus(since_ns=fact.ts_source_ns, ts_source_ns=fact.ts_source_ns, initial=initial)}
        return {**dead, fact.bus: replace(known, ts_source_ns=fact.ts_source_ns)}
    return {bus: each for bus, each in dead.items() if bus != fact.bus} if known is not None else dead
