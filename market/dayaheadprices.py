"""What a day-ahead result says of prices: one a period of its operating day, and when it counts as published (Art. 22, 23)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from market.operatingdays import days_after
from market.prices import Regime, fen_of, mean_fen
from market.rules import MarketRules
from market.units import NS_PER_MIN, civil_day, day_start_ns

__all__ = ["PERIODS", "Beside", "DayAheadPrices", "credible_day", "published_ns"]

PERIODS: Final = (1, 24, 48, 96, 288)
"""Into how many periods a day-ahead result may divide its day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayAheadPrices:
    """Day-ahead user-side prices of one operating day, one per period of ``period_min`` minutes.

    Attributes:
        anew: how often a result of the day was published anew.
        since_ns: first interval that was still to be priced when the day had its first result; the periods before have no record.
    """

    day_start_ns: int
    period_min: int
    price_cny_per_mwh: tuple[float, ...]
    version: int = 1
    anew: int = 0
    since_ns: int = 0

    def at(self, ts_ns: int) -> float | None:
        """Return the price of the period that contains ``ts_ns``, or None outside the day."""
        period = (ts_ns - self.day_start_ns) // (self.period_min * NS_PER_MIN)
        return self.price_cny_per_mwh[period] if 0 <= period < len(self.price_cny_per_mwh) else None

    def settled_fen(self, period: int, minutes: int) -> int:
        """Return the price of a settlement period of ``minutes``, counted from 0, in fen/MWh: the mean of what it spans."""
        step = min(minutes, self.period_min)
        starts = range(period * minutes, (period + 1) * minutes, step)
        return mean_fen([fen_of(self.price_cny_per_mwh[start // self.period_min]) for start in starts])


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What the records of the day-ahead market wait for.

    Attributes:
        start_ns: settlement period that the intervals are of.
        fen: real-time price of each interval of it so far, fen/MWh; None where one has none.
        rules: rule of each.
        provisional, by_analogy: whether any of them is.
        anew_ns: start of an operating day whose result was published anew, until its records are revised.
        own_ns: last settlement period that the market itself priced; what goes out within it goes out after it.
    """

    start_ns: int = 0
    fen: tuple[int | None, ...] = ()
    rules: tuple[Regime, ...] = ()
    provisional: bool = False
    by_analogy: bool = False
    anew_ns: int | None = None
    own_ns: int | None = None


def credible_day(day_start_ns: int, price_cny_per_mwh: tuple[float, ...], version: int, rules: MarketRules) -> DayAheadPrices | None:
    """Return the prices of a result, or None where it is not valid: not one price a period, not finite, outside cap and floor."""
    floor, cap = rules.price_floor_cny_per_mwh, rules.price_cap_cny_per_mwh
    credible = all(floor <= price <= cap for price in price_cny_per_mwh)  # NaN and infinity are not between them
    if len(price_cny_per_mwh) not in PERIODS or not credible:
        return None
    period_min = 24 * 60 // len(price_cny_per_mwh)
    return DayAheadPrices(day_start_ns=day_start_ns, period_min=period_min, price_cny_per_mwh=price_cny_per_mwh, version=version)


def published_ns(start_ns: int, rules: MarketRules) -> int:
    """Return when the results of the operating day that begins at ``start_ns`` are published: later versions change what stands."""
    eve = days_after(civil_day(start_ns, rules.zone), -1)
    return day_start_ns(eve, rules.zone) + rules.day_ahead.publish_min * NS_PER_MIN
