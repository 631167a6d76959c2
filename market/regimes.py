"""Which rule prices an interval: Art. 27 and 28 as one pure function, and the ranges of instants in which a market is out.

========== ========== ============================ ===============================================
day-ahead  real-time  handled as                   rule
========== ========== ============================ ===============================================
in force   in force   –                            the interval's own clearing
out        in force   breaker or suspension        Art. 27(1): the real-time price, for both
in force   out        breaker or suspension        Art. 27(2): the day-ahead price, for both
out        out        suspension                   Art. 27(3): the thirty-day mean, for both
out        out        breaker                      the same, by analogy (policy Q1)
any        failed     not out                      the gap rule (policy Q2)
any        any        long suspension, confirmed   Art. 28: no spot price
========== ========== ============================ ===============================================
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from market.prices import Regime

__all__ = ["Handling", "Interruptions", "Range", "by_analogy", "covers", "guidance", "regime"]

Range = tuple[int, int | None]
"""Half-open range of instants, UTC ns; its end is None while it is open."""


class Handling(StrEnum):
    """How a market that is out is handled (Art. 23, 25)."""

    BREAKER = "breaker"
    SUSPENSION = "suspension"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruptions:
    """When each market is out, and how that is handled; the ranges that ended in the very step that asks are among them.

    Attributes:
        rt: first instant whose interval the breaker prices, and first instant of the market again once a recovery is announced.
        da: likewise for the day-ahead market: from midnight of an operating day to midnight of another.
        suspended: when what is out is suspended.
        art28: when it is handled by Art. 28, as confirmed; never before the day of the confirmation.
        began_ns: start of the interruption that runs, from when on one market or the other was out; its first day fixes the reference
            days of Art. 27(3). None while none runs.
        ended_from_ns: likewise of the interruption that ended in this very step; None where none did.
    """

    rt: tuple[Range, ...] = ()
    da: tuple[Range, ...] = ()
    suspended: tuple[Range, ...] = ()
    art28: tuple[Range, ...] = ()
    began_ns: int | None = None
    ended_from_ns: int | None = None

    def rt_kind(self, ts_ns: int) -> Handling | None:
        """Return how the real-time market is handled at an instant; None where it is not out."""
        if not covers(self.rt, ts_ns):
            return None
        return Handling.SUSPENSION if covers(self.suspended, ts_ns) else Handling.BREAKER


def covers(ranges: Iterable[Range], ts_ns: int) -> bool:
    """Return whether an instant lies in one of the ranges.

    >>> [covers([(10, 20), (30, None)], at) for at in (9, 10, 19, 20, 99)]
    [False, True, True, False, True]
    """
    return any(from_ns <= ts_ns and (to_ns is None or ts_ns < to_ns) for from_ns, to_ns in ranges)


def regime(da_ok: bool, rt_ok: bool, kind: Handling | None, long_confirmed: bool = False) -> Regime:
    """Return the rule that prices an interval (the table above).

    Args:
        da_ok: the day-ahead market has a price for it that is in force.
        rt_ok: it has a valid real-time result of its own, and that is no shadow.
        kind: how the real-time market is handled that is out; None while it is not.
        long_confirmed: Art. 28 was confirmed for its day.

    >>> [str(regime(da_ok, False, Handling.BREAKER)) for da_ok in (True, False)], str(regime(True, False, None))
    (['ART27_2', 'ART27_3'], 'GAP')
    """
    if long_confirmed:
        return Regime.ART28
    if rt_ok:
        return Regime.MARKET if da_ok else Regime.ART27_1
    if kind is None:
        return Regime.GAP
    return Regime.ART27_2 if da_ok else Regime.ART27_3


def by_analogy(rule: Regime, kind: Handling | None) -> bool:
    """Return whether a rule is applied to what its text does not name: Art. 27(3) prices a suspension, and no breaker (policy Q1)."""
    return rule is Regime.ART27_3 and kind is not Handling.SUSPENSION


def guidance(interruptions: Interruptions, ts_ns: int) -> str:
    """Return the article that dispatch follows at an instant; empty while it follows the market.

    While the real-time market is out, dispatch plans on the current unit commitment and the latest load forecast (Art. 27), which is what
    the engine goes on clearing: its results are advice, and no base point of them is written. Under Art. 28 there is no market to advise.

    >>> out = Interruptions(rt=((10, 40),), art28=((30, 40),))
    >>> [guidance(out, at) for at in (9, 10, 30, 40)]
    ['', 'Art. 27', 'Art. 28', '']
    """
    if covers(interruptions.art28, ts_ns):
        return "Art. 28"
    return "Art. 27" if covers(interruptions.rt, ts_ns) else ""
