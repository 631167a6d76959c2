"""When does a result of the day-ahead market count? It must price one operating day, completely and within the market's limits."""

from __future__ import annotations

from typing import Final

from market.dayaheadprices import PERIODS
from market.facts import ClearingReported
from market.operatingdays import days_after
from market.rules import MarketRules
from market.units import NS_PER_DAY, civil_day, day_start_ns, instant_text

__all__ = ["invalid_reason"]

_AHEAD_NS: Final = 2 * NS_PER_DAY
"""A result for an operating day that begins further ahead than this is a mistake, not foresight."""


def invalid_reason(fact: ClearingReported, completed_at_ns: int, rules: MarketRules) -> str:
    """Say why a production result does not count, or return an empty text when it does.

    Args:
        completed_at_ns: when it was completed, by a clock that is trusted.
    """
    day, start_ns = civil_day(fact.interval_start_ns, rules.zone), fact.interval_start_ns
    if start_ns != day_start_ns(day, rules.zone):
        return f"{instant_text(start_ns, rules.zone)} is not the start of an operating day"
    if completed_at_ns >= day_start_ns(days_after(day, 1), rules.zone):
        return f"completed {instant_text(completed_at_ns, rules.zone)}, when its operating day was over"
    if start_ns > fact.ts_event_ns + _AHEAD_NS:
        return "more than two days ahead"
    if len(fact.price_cny_per_mwh) not in PERIODS:
        return f"carries {len(fact.price_cny_per_mwh)} prices; a day has {', '.join(map(str, PERIODS))}"
    floor, cap = rules.price_floor_cny_per_mwh, rules.price_cap_cny_per_mwh
    for number, price in enumerate(fact.price_cny_per_mwh, 1):
        if not floor <= price <= cap:  # so is no number at all
            return f"price {price} of period {number} outside {floor:g} to {cap:g} CNY/MWh"
    return ""
