"""The price in force for a settlement period, and the rule that put it there (Art. 22, 27 and the gap rule)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Final

from market.facts import Segment

__all__ = ["OWN", "PriceInForce", "Regime", "fen_of", "mean_fen", "settled_price"]

_FEN = Decimal("0.01")


def settled_price(price_cny_per_mwh: float) -> float:
    """Round a price as it is published and settled: to the fen, halves up.

    >>> settled_price(405.505), settled_price(1499.9999999999998)
    (405.51, 1500.0)
    """
    return float(Decimal(repr(price_cny_per_mwh)).quantize(_FEN, rounding=ROUND_HALF_UP))


def fen_of(price_cny_per_mwh: float) -> int:
    """Return a price as it is settled, in fen/MWh.

    >>> fen_of(405.505)
    40551
    """
    return int(Decimal(repr(price_cny_per_mwh)).quantize(_FEN, rounding=ROUND_HALF_UP).scaleb(2))


def mean_fen(prices_fen: Sequence[int]) -> int:
    """Return the arithmetic mean of prices, fen/MWh, halves up.

    >>> mean_fen([40550, 40551])
    40551
    """
    return int((Decimal(sum(prices_fen)) / len(prices_fen)).to_integral_value(ROUND_HALF_UP))


class Regime(StrEnum):
    """Which rule sets the price of one interval."""

    MARKET = "MARKET"
    """The interval's own clearing."""
    GAP = "GAP"
    """No valid result and no breaker: last valid price, and the day-ahead price once that is too old; provisional (policy Q2)."""
    ART27_1 = "ART27_1"
    """Day-ahead out, real-time running: the real-time price."""
    ART27_2 = "ART27_2"
    """Real-time out, day-ahead ran: the day-ahead price of the same period."""
    ART27_3 = "ART27_3"
    """Both out: the thirty-day mean, by analogy for a breaker (policy Q1)."""
    ART28 = "ART28"
    """A suspension of more than seven days, as confirmed: no spot price; actual volumes are settled by the emergency plan."""


OWN: Final = (Regime.MARKET, Regime.ART27_1)
"""Rules by which an interval keeps the price of its own clearing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceInForce:
    """Price of one real-time interval.

    Attributes:
        interval_start_ns: the interval.
        price_cny_per_mwh: user-side uniform price; None where the regime has no price to give (never 0 for "unknown").
        rev: 0 for the first price of the interval; later prices of it count up and replace it.
        source: where the number comes from, ``what:which``: ``clearing:VERSION``, ``day_ahead:PERIOD`` and ``last_valid:INTERVAL``
            (times of day in the market's zone), ``profile:DAY n=SAMPLE`` (Art. 27(3)), with ``none`` where there is none to take.
        provisional: whether settlement must confirm it.
        clearing_start_ns: the interval whose clearing it is of: its own, or an older one whose price stands in. The bus prices in force are
            those of that clearing. None where it is of none, and in records of releases that did not say.
        by_analogy: whether the rule is applied to what its text does not name (policy Q1).
    """

    ts_event_ns: int
    segment: Segment
    interval_start_ns: int
    regime: Regime
    price_cny_per_mwh: float | None
    rev: int
    source: str
    provisional: bool
    rule_set: str
    clearing_start_ns: int | None = None
    by_analogy: bool = False

    @property
    def fallback(self) -> bool:
        """Whether it is of another clearing than the interval's own, or of none."""
        return self.regime not in OWN

    @property
    def age_ns(self) -> int | None:
        """How much older the clearing is that it is of, ns; 0 for the interval's own, None where it is of none."""
        return None if self.clearing_start_ns is None else self.interval_start_ns - self.clearing_start_ns
