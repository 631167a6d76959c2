"""How strong is a piece of evidence of a topology change, and until when does what was reported of it stand?

Hard evidence may trip by itself; soft evidence is proposed to a person (spec §1.5). What is certain waits one grace before it is
reported, and after that it stands until what it tells of is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from detectors.findings import Basis
from market.rules import MarketRules

__all__ = ["BASIS", "Certain", "Kind", "Level", "Standing", "load_limit_pct"]

_LARGE_MW: Final = 20_000.0
_MIDDLE_MW: Final = 5_000.0
"""From these loads on, inclusive, State Council Order 599 counts a grid as large, and as of middle size."""


class Level(StrEnum):
    """What evidence is good for."""

    HARD = "HARD"
    SOFT = "SOFT"


BASIS: Final = {Level.HARD: Basis.TOPOLOGY_HARD, Level.SOFT: Basis.TOPOLOGY_SOFT}
"""Level → the basis of its condition."""


class Kind(StrEnum):
    """The rows of the table of evidence."""

    TOP_VOLTAGE = "top_voltage"
    SECOND_VOLTAGE = "second_voltage"
    SUBSTATION = "substation"
    ISLAND = "island"
    LOAD = "load"
    INFEED = "infeed"
    INTERFACE = "interface"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certain:
    """Evidence that is certain and not reported yet.

    Attributes:
        met_at_ns: when its rule was met.
        text: with numbers and units, for the record.
        subject: what is out, in a few words, where no element is named.
        elements: that are open because of it, or lead to it.
        over_mw: lost load is over once the load is above this; None for every other kind.
        unplanned: elements (or the infeed) that no permit covered, and the instant that it would have to cover; it counts while one of
            them is not covered. Nothing where permits are judged element by element, or do not matter.
        buses: it rests on these being without voltage, and not on the positions of its elements.
    """

    kind: Kind
    level: Level
    met_at_ns: int
    text: tuple[str, ...]
    subject: str = ""
    elements: tuple[str, ...] = ()
    over_mw: float | None = None
    unplanned: tuple[tuple[str, int], ...] = ()
    buses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Evidence that was reported and is not over; attributes as of :class:`Certain`."""

    kind: Kind
    level: Level
    subject: str = ""
    elements: tuple[str, ...] = ()
    over_mw: float | None = None


def load_limit_pct(level: Level, before_mw: float, rules: MarketRules) -> float:
    """Return the share of the load whose loss is evidence, %, for a grid that had this load before."""
    hard, soft = rules.topology_hard, rules.topology_soft
    if before_mw >= _LARGE_MW:
        return hard.load_lost_pct if level is Level.HARD else soft.load_lost_pct
    if before_mw >= _MIDDLE_MW:
        return hard.load_lost_mid_pct if level is Level.HARD else soft.load_lost_mid_pct
    return hard.load_lost_small_pct if level is Level.HARD else soft.load_lost_small_pct
