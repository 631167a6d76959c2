"""What does an interval come to, roughly, before anybody has read a meter for settlement?

For each class (fuel, storage, load; ``all`` is everything but load) the energy that was scheduled and the amount it comes to, and the
congestion rent that is left::

    energy  = power · length of the interval; given to the grid > 0, taken < 0
    amount  = energy · price; received > 0, paid < 0
    rent    = Σ over branches of flow · (price at its to end − price at its from end) · length

The energy is that of the interval's own clearing, a shadow one included; where there is none, of the clearing whose price stands in.
What is taken counts as what is given: load that is served is not in a result, and what ties bring is left out on both sides.

Units and storages have the price of their bus where a clearing sets the price: the interval's own, or the older one that stands in. Load
has the price in force. Under every other rule (Art. 27(2), 27(3)) all have the price in force, and there is no rent. Where the rule has
no price (Art. 28), there is an energy and no amount.

Deliberately absent: contracts, deviations and parties (:mod:`market.settlement`), metered energy, reserves, uplift, start-up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from market.grid import Network
from market.offers import Unit
from market.outcomes import Cleared
from market.prices import PriceInForce
from market.units import NS_PER_H

__all__ = ["ALL", "LOAD", "STORAGE", "ClassAmount", "Places", "indicative"]

ALL: Final = "all"
LOAD: Final = "load"
STORAGE: Final = "storage"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassAmount:
    """What one class comes to in one interval; ``amount_cny`` is None without a price, the rent is told of ``all`` only."""

    name: str
    energy_mwh: float
    amount_cny: float | None
    congestion_rent_cny: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where things stand.

    Attributes:
        units: unit → class and bus; storages: storage → bus; branches: branch → from bus and to bus.
    """

    units: Mapping[str, tuple[str, str]]
    storages: Mapping[str, str]
    branches: Mapping[str, tuple[str, str]]

    @classmethod
    def of(cls, network: Network, units: Mapping[str, Unit], storages: Mapping[str, str]) -> Places:
        """Gather them."""
        ends = zip(network.branch_ids, network.from_bus.tolist(), network.to_bus.tolist(), strict=True)
        return cls(
            units={name: (str(unit.fuel), unit.bus) for name, unit in units.items()},
            storages=storages,
            branches={branch: (network.bus_ids[f], network.bus_ids[t]) for branch, f, t in ends},
        )


def indicative(
    price: PriceInForce, own: Cleared | None, standing_in: Cleared | None, places: Places, interval_ns: int
) -> tuple[ClassAmount, ...]:
    """Return what an interval comes to, by class in the order of their names, ``all`` first.

    Args:
        price: the price in force for the interval.
        own: the interval's own result, if it has one.
        standing_in: the result that the price is of, if it is of one (``price.clearing_start_ns``).
        places: where units and branches stand; those it does not know are left out.
        interval_ns: length of the interval.

    Returns:
        Nothing where neither result is known.
    """
    scheduled = own or standing_in
    if scheduled is None:
        return ()
    hours, in_force = interval_ns / NS_PER_H, price.price_cny_per_mwh
    priced_by = standing_in if in_force is not None else None
    classes: dict[str, list[float]] = {}
    for name, bus, mw in _given(scheduled, places):
        per_mwh = (in_force or 0.0) if priced_by is None else priced_by.lmp_per_mwh.get(bus, 0.0)
        of_class = classes.setdefault(name, [0.0, 0.0])
        of_class[0] += mw * hours
        of_class[1] += mw * hours * per_mwh
    given_mwh = sum(energy_mwh for energy_mwh, _ in classes.values())
    given_cny = sum(cny for _, cny in classes.values())
    rent_cny = None
    if in_force is not None:
        rent_cny = 0.0 if priced_by is None else _rent_cny_per_h(scheduled, priced_by, places) * hours
    classes[LOAD] = [-given_mwh, -given_mwh * (in_force or 0.0)]

    def amount(cny: float) -> float | None:
        return None if in_force is None else cny

    return (
        ClassAmount(name=ALL, energy_mwh=given_mwh, amount_cny=amount(given_cny), congestion_rent_cny=rent_cny),
        *(ClassAmount(name=name, energy_mwh=mwh, amount_cny=amount(cny)) for name, (mwh, cny) in sorted(classes.items())),
    )


def _given(cleared: Cleared, places: Places) -> Iterator[tuple[str, str, float]]:
    """Yield class, bus and MW of everything that is scheduled."""
    for unit, mw in cleared.dispatch_mw.items():
        if unit in places.units:
            yield (*places.units[unit], mw)
    for storage, mw in cleared.storage_mw.items():
        if storage in places.storages:
            yield STORAGE, places.storages[storage], mw


def _rent_cny_per_h(cleared: Cleared, priced_by: Cleared, places: Places) -> float:
    lmp = priced_by.lmp_per_mwh
    ends = ((mw, *places.branches[branch]) for branch, mw in cleared.flow_mw.items() if branch in places.branches)
    return sum(mw * (lmp[t] - lmp[f]) for mw, f, t in ends if f in lmp and t in lmp)
