"""What belongs to a market besides its network and its units: storages, reserves, groups of units.

Declared once, checked once against the network and the units (:meth:`Resources.check`), and then used in every interval. What
contradicts itself is refused with the offender by name; nothing is put right in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from market.errors import CaseError
from market.offers import Unit
from market.reserves import ReserveOffer, ReserveProduct, ReserveRequirement
from market.storage import Storage

__all__ = ["Resources", "UnitGroup"]

_LARGEST = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitGroup:
    """Units whose outputs together must stay within limits (a plant's outlet, a fuel contract, voltage support).

    Attributes:
        id: name, unique.
        members: the units, each once.
        low_mw: least sum, MW, ``-inf`` where there is none.
        high_mw: largest sum, MW, ``inf`` where there is none.

    Raises:
        CaseError: no members, one named twice, limits that are no numbers or turned round.
    """

    id: str
    members: tuple[str, ...]
    low_mw: float = -float("inf")
    high_mw: float = float("inf")

    def __post_init__(self) -> None:
        if not self.members or len(set(self.members)) < len(self.members):
            raise CaseError(f"unit group {self.id}: its members are {', '.join(self.members) or 'none'}; name each unit once")
        if not self.low_mw <= self.high_mw:
            raise CaseError(f"unit group {self.id}: limits {self.low_mw} to {self.high_mw} MW; give a least sum and a larger one")
        if self.low_mw == float("inf") or self.high_mw == -float("inf"):
            raise CaseError(f"unit group {self.id}: limits {self.low_mw} to {self.high_mw} MW leave nothing; correct them")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The declarations of one market.

    Attributes:
        storages: storages with their offers.
        products: reserve products.
        requirements: reserve requirements.
        reserve_offers: who holds which reserve.
        unit_groups: groups of units with limits.
    """

    storages: tuple[Storage, ...] = ()
    products: tuple[ReserveProduct, ...] = ()
    requirements: tuple[ReserveRequirement, ...] = ()
    reserve_offers: tuple[ReserveOffer, ...] = ()
    unit_groups: tuple[UnitGroup, ...] = ()

    def check(self, bus_index: Mapping[str, int], units: Sequence[Unit]) -> None:
        """Compare the declarations with each other, the network and the units.

        Raises:
            CaseError: names used twice, or names of buses, units, areas or products that do not exist.
        """
        for what, names in (
            ("storages", [each.id for each in self.storages]),
            ("reserve products", [each.id for each in self.products]),
            ("reserve requirements", [each.id for each in self.requirements]),
            ("reserve offers", [f"{each.provider} for {each.product}" for each in self.reserve_offers]),
            ("unit groups", [each.id for each in self.unit_groups]),
        ):
            _refuse(f"{what}: named twice", _twice(names), "give each its own name")
        unit_ids = {unit.id for unit in units}
        storage_ids = {storage.id for storage in self.storages}
        areas = {unit.area for unit in units} | {storage.area for storage in self.storages}
        _refuse("storages named like units", storage_ids & unit_ids, "give each its own name")
        lost = {f"{storage.id} at {storage.bus}" for storage in self.storages if storage.bus not in bus_index}
        _refuse("storages at unknown buses", lost, "add the bus or correct the storage")
        for group in self.unit_groups:
            _refuse(f"unit group {group.id} has unknown units", set(group.members) - unit_ids, "correct the group")
        self._check_reserves(unit_ids | storage_ids, areas)

    def _check_reserves(self, providers: set[str], areas: set[str]) -> None:
        direction = {product.id: product.direction for product in self.products}
        for product in self.products:
            lesser = set(product.counts_for)
            _refuse(f"reserve product {product.id} counts for unknown products", lesser - direction.keys(), "correct the product")
            turned = {name for name in lesser if direction[name] is not product.direction or name == product.id}
            _refuse(f"reserve product {product.id} cannot count for", turned, "name other products of the same direction")
        wanted = {f"{each.id} of {each.product}" for each in self.requirements if each.product not in direction}
        _refuse("reserve requirements of unknown products", wanted, "declare the product or correct the requirement")
        where = {f"{each.id} in {each.area}" for each in self.requirements if each.area is not None and each.area not in areas}
        _refuse("reserve requirements in unknown areas", where, "name an area that has a unit or storage, or none for the whole system")
        offered = {f"{each.provider} of {each.product}" for each in self.reserve_offers if each.product not in direction}
        _refuse("reserve offers of unknown products", offered, "declare the product or correct the offer")
        strangers = {each.provider for each in self.reserve_offers} - providers
        _refuse("reserve offers of unknown units or storages", strangers, "correct the offer")


def _twice(names: Sequence[str]) -> set[str]:
    seen: set[str] = set()
    return {name for name in names if name in seen or seen.add(name)}  # type: ignore[func-returns-value]


def _refuse(what: str, offenders: Iterable[str], remedy: str) -> None:
    if named := sorted(offenders):
        more = f" and {len(named) - 5} more" if len(named) > 5 else ""
        raise CaseError(f"{what}: {', '.join(named[:5])}{more}; {remedy}")
