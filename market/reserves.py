"""Which reserve must be held, who offers it, and what is it worth to be short of it?

A *product* is a change of output, up or down, that must be delivered within so many minutes. A *requirement* wants so many MW of a
product from an area or from the whole system. Being short is allowed at rising prices, step by step, so a requirement never makes a
clearing impossible; it makes reserve, and with it energy, dearer.

A better product may count where a lesser one is wanted (``counts_for``): spinning reserve also meets a requirement of ten-minute reserve.
Requirements are then written nested: the lesser one states all that is wanted, the better one its part of it. An award in the better
product is paid the prices of every requirement it helps to meet.

Absent on purpose: how much of it the wires let through (a requirement per area stands in for that), reserve held over several periods.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from market.errors import CaseError
from market.offers import Control, Unit

__all__ = ["Direction", "ReserveOffer", "ReserveProduct", "ReserveRequirement", "ShortageStep", "standing_offers"]

_LARGEST = 1e12


class Direction(StrEnum):
    """Which way output changes when the reserve is called."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveProduct:
    """One kind of reserve.

    Attributes:
        id: name, unique.
        direction: which way output changes.
        minutes: time to deliver it, min.
        counts_for: lesser products of the same direction whose requirements it meets as well.

    Raises:
        CaseError: a time that is no number above 0.
    """

    id: str
    direction: Direction
    minutes: float
    counts_for: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.minutes <= _LARGEST:
            raise CaseError(f"reserve product {self.id}: {self.minutes} minutes to deliver; give a number above 0")


@dataclass(frozen=True, slots=True)
class ShortageStep:
    """The next ``mw`` that are missing cost ``price_per_mwh`` each; the last step takes whatever is left."""

    mw: float
    price_per_mwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveRequirement:
    """So many MW of a product that an area must hold.

    Attributes:
        id: name, unique.
        product: the product.
        area: the area whose units and storages can meet it, or None for the whole system.
        mw: how much, MW, where the inputs of an interval say nothing else.
        shortage: what it costs to be short, prices never falling.

    Raises:
        CaseError: MW or prices that are no numbers or negative, no steps, steps whose price falls.
    """

    id: str
    product: str
    mw: float
    shortage: tuple[ShortageStep, ...]
    area: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.mw <= _LARGEST:
            raise CaseError(f"reserve requirement {self.id}: {self.mw} MW; give a number, 0 or more")
        if not self.shortage:
            raise CaseError(f"reserve requirement {self.id}: no price of being short; give at least one step")
        for k, step in enumerate(self.shortage):
            if not (0 < step.mw <= _LARGEST and 0 <= step.price_per_mwh <= _LARGEST):
                told = f"{step.mw} MW at {step.price_per_mwh}"
                raise CaseError(f"reserve requirement {self.id}: step {k + 1} has {told}; give positive MW and a price, 0 or more")
            if k and step.price_per_mwh < self.shortage[k - 1].price_per_mwh:
                raise CaseError(f"reserve requirement {self.id}: the price falls in step {k + 1}; order the steps by price")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveOffer:
    """A unit or storage that can hold a product; without an offer it holds none.

    Attributes:
        provider: the unit or storage.
        product: the product.
        mw: most it holds, MW; a unit never more than its ramp delivers in the product's time.
        price_per_mwh: what it wants for holding a MW for an hour, besides what it loses by not selling energy.

    Raises:
        CaseError: MW or a price that is no number, or negative.
    """

    provider: str
    product: str
    mw: float
    price_per_mwh: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.mw <= _LARGEST or not 0 <= self.price_per_mwh <= _LARGEST:
            told = f"{self.mw} MW of {self.product} at {self.price_per_mwh}"
            raise CaseError(f"reserve offer of {self.provider}: {told}; give numbers, 0 or more")


def standing_offers(units: Iterable[Unit], product: ReserveProduct) -> tuple[ReserveOffer, ...]:
    """Return an offer without a price from every unit that follows a base point, as large as its range.

    For systems whose rule is that whatever runs holds reserve.
    """
    follow = [unit for unit in units if unit.control is Control.DISPATCHABLE and unit.p_max_mw > unit.p_min_mw]
    return tuple(ReserveOffer(provider=unit.id, product=product.id, mw=unit.p_max_mw - unit.p_min_mw) for unit in follow)
