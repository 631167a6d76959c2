"""What a settlement period comes to for one party: its contract, the day-ahead deviation from it, the real-time deviation from that.

::

    contract volume · contract price
    + (day-ahead volume − contract volume) · day-ahead price
    + (actual volume − day-ahead volume) · real-time price

Each clearing interval of the period has its price by its own rule (Art. 27); the price of the period is their mean, to the fen. Where
the day-ahead market is out, Art. 27(1) and 27(3) make actual execution its result: there is no real-time deviation. Where the day-ahead
market had no price and was not out, the contract is what deviation is counted from, which comes to the same.

Volumes and amounts have the sign of the party: what a generator delivers and is paid, what a user takes and pays. Both have the same
prices. What was settled by records is settled by them again when it is run again: a rule that came later changes no record before it
(Art. 28 is not retroactive).

Deliberately absent: where volumes come from, uplift, the emergency plan of Art. 28 (the trading institution's; such a period has no
spot amounts here and says so).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from market.errors import CaseError
from market.facts import Segment
from market.prices import PriceInForce, Regime, fen_of, mean_fen
from market.rules import MarketRules
from market.units import NS_PER_MIN, instant_text

__all__ = ["RULES_OF_TEXT", "Settlement", "Volumes", "difference", "settled"]

RULES_OF_TEXT: Final = {
    Regime.MARKET: "operating rules",
    Regime.GAP: "policy Q2",
    Regime.ART27_1: "Art. 27(1)",
    Regime.ART27_2: "Art. 27(2)",
    Regime.ART27_3: "Art. 27(3)",
    Regime.ART28: "Art. 28",
}
"""Rule → the text that it is."""

_EXECUTED: Final = (Regime.ART27_1, Regime.ART27_3)
"""Rules that make actual execution the day-ahead result."""
_AMOUNTS: Final = ("contract_cny", "day_ahead_cny", "real_time_cny", "total_cny")
_FEN: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Volumes:
    """What a party contracted, sold or bought day-ahead, and did, in one settlement period, MWh.

    Attributes:
        contract_cny_per_mwh: price of its contracts.
        day_ahead_mwh: None where the day-ahead market had no result.
    """

    contract_mwh: float
    contract_cny_per_mwh: float
    day_ahead_mwh: float | None
    actual_mwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """One settlement period of one party, CNY to the fen.

    Attributes:
        start_ns: of the period.
        rules: rules of its intervals, each once, in the order of the intervals.
        day_ahead_mwh: the volume that counted as its day-ahead result.
        day_ahead_cny_per_mwh, real_time_cny_per_mwh: prices that counted; None where there is none.
        contract_cny, day_ahead_cny, real_time_cny: amounts; None where there is no price.
        total_cny: their sum, None where one is missing.
        provisional: whether a price of it can still change, or must be confirmed.
        by_analogy: whether a rule was applied to what its text does not name.
        because: where each price is from: interval, rule, source, revision, in the order of the intervals.
    """

    start_ns: int
    rules: tuple[Regime, ...]
    day_ahead_mwh: float
    day_ahead_cny_per_mwh: float | None
    real_time_cny_per_mwh: float | None
    contract_cny: float
    day_ahead_cny: float | None
    real_time_cny: float | None
    total_cny: float | None
    provisional: bool
    by_analogy: bool
    because: tuple[str, ...]


def settled(
    volumes: Volumes, prices: Sequence[PriceInForce], day_ahead_cny_per_mwh: float | None, start_ns: int, rules: MarketRules
) -> Settlement:
    """Settle one period of one party.

    Args:
        volumes: of the party.
        prices: last revision of the real-time price of every interval of the period, in their order.
        day_ahead_cny_per_mwh: price of the period in the day-ahead result that was published last; None where there is none, or where
            the day-ahead market was out.
        start_ns: of the period.
        rules: the rule set in force.

    Raises:
        CaseError: not one record of each interval.
    """
    _checked(prices, start_ns, rules)
    found = tuple(dict.fromkeys(price.regime for price in prices))
    real_time_fen = _real_time_fen(prices)
    day_ahead_mwh, day_ahead_fen = volumes.actual_mwh, real_time_fen
    if volumes.day_ahead_mwh is not None and day_ahead_cny_per_mwh is not None and not any(rule in _EXECUTED for rule in found):
        day_ahead_mwh, day_ahead_fen = volumes.day_ahead_mwh, fen_of(day_ahead_cny_per_mwh)
    if Regime.ART28 in found:
        real_time_fen = day_ahead_fen = None
    contract = _amount(Decimal(repr(volumes.contract_mwh)), fen_of(volumes.contract_cny_per_mwh))
    day_ahead = _deviation(day_ahead_mwh, volumes.contract_mwh, day_ahead_fen)
    real_time = _deviation(volumes.actual_mwh, day_ahead_mwh, real_time_fen)
    amounts = (contract, day_ahead, real_time)
    known = [amount for amount in amounts if amount is not None]
    return Settlement(
        start_ns=start_ns,
        rules=found,
        day_ahead_mwh=day_ahead_mwh,
        day_ahead_cny_per_mwh=_cny(day_ahead_fen),
        real_time_cny_per_mwh=_cny(real_time_fen),
        contract_cny=float(contract),
        day_ahead_cny=None if day_ahead is None else float(day_ahead),
        real_time_cny=None if real_time is None else float(real_time),
        total_cny=float(sum(known)) if len(known) == len(amounts) else None,
        provisional=any(price.provisional for price in prices),
        by_analogy=any(price.by_analogy for price in prices),
        because=tuple(_because(prices, rules)),
    )


def difference(before: Settlement, after: Settlement) -> dict[str, float]:
    """Return what a corrected settlement changes of each amount, CNY; amounts that stay, or that one of them has not, are left out.

    Args:
        before: as it was settled.
        after: as it is settled anew, from a corrected volume or a revised price.
    """
    pairs = {
        name: (getattr(before, name), getattr(after, name)) for name in ("contract_cny", "day_ahead_cny", "real_time_cny", "total_cny")
    }
    changed = {name: (old, new) for name, (old, new) in pairs.items() if old is not None and new is not None and old != new}
    return {name: float(Decimal(repr(new)) - Decimal(repr(old))) for name, (old, new) in changed.items()}


def _checked(prices: Sequence[PriceInForce], start_ns: int, rules: MarketRules) -> None:
    expected = range(start_ns, start_ns + rules.reference.period_min * NS_PER_MIN, rules.rt_interval_ns)
    have = [price.interval_start_ns for price in prices if price.segment is Segment.RT]
    if have != list(expected):
        missing = [instant_text(at, rules.zone) for at in expected if at not in have]
        what = f"lacks the price of {', '.join(missing)}" if missing else "needs one real-time price of each of its intervals, in order"
        raise CaseError(f"settlement period {instant_text(start_ns, rules.zone)} {what}")


def _real_time_fen(prices: Sequence[PriceInForce]) -> int | None:
    """Return the mean price of the intervals, fen/MWh; None where one has none."""
    known = [fen_of(price.price_cny_per_mwh) for price in prices if price.price_cny_per_mwh is not None]
    return mean_fen(known) if len(known) == len(prices) else None


def _amount(mwh: Decimal, fen: int) -> Decimal:
    """Return an amount, CNY to the fen, halves away from zero."""
    return (mwh * fen / 100).quantize(_FEN, rounding=ROUND_HALF_UP)


def _deviation(mwh: float, from_mwh: float, fen: int | None) -> Decimal | None:
    """Return what a deviation comes to; None without a price."""
    return None if fen is None else _amount(Decimal(repr(mwh)) - Decimal(repr(from_mwh)), fen)


def _cny(fen: int | None) -> float | None:
    return None if fen is None else fen / 100


def _because(prices: Sequence[PriceInForce], rules: MarketRules) -> Iterator[str]:
    for price in prices:
        analogy = " by analogy" if price.by_analogy else ""
        rule = f"{RULES_OF_TEXT[price.regime]}{analogy}"
        yield f"{instant_text(price.interval_start_ns, rules.zone)} {rule}: {price.source}, revision {price.rev}, {price.rule_set}"
