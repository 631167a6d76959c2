"""What can a storage do, and what does it offer?

A storage charges and discharges within its power, and keeps what it holds between an empty and a full mark. Of a MWh that it draws
``charge_efficiency`` is stored; of a MWh that leaves the store ``discharge_efficiency`` reaches the grid. It offers discharge in
segments of rising price and bids for charge in segments of falling price; what it neither offers nor bids for is not used.

Charging and discharging at once. The program has no integers, so nothing forbids it; what keeps it from being worth while is that
energy is lost on the way round. With a highest bid of at most ``charge_efficiency * discharge_efficiency`` times the lowest offer it
never pays at a price of 0 or more. It can pay at a negative price, where to waste energy is a service, once the store is full; or
where bids come closer to the offers than that. The rule: the base point of the storage is what it gives less what it takes; the award
is published with the power that stands on both sides (``simultaneous_mw``); and what the plant, which can do one at a time, then really
holds is measured before the next interval. A bid above the lowest offer would trade with itself at any price and is refused.

Absent on purpose: ramps (inverters cross their range in seconds), self-discharge, wear, limits on cycles in a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from market.errors import CaseError
from market.offers import Segment

__all__ = ["Storage"]

_LARGEST = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """One storage.

    Attributes:
        id: name, unique among storages and units.
        bus: the bus it stands at.
        area: control area of that bus.
        charge_mw: most it draws, MW.
        discharge_mw: most it gives, MW.
        energy_max_mwh: full mark, MWh.
        energy_min_mwh: empty mark, MWh.
        charge_efficiency: share of what is drawn that is stored, in (0, 1].
        discharge_efficiency: share of what leaves the store that reaches the grid, in (0, 1].
        offers: discharge, prices never falling; together no more than ``discharge_mw`` is used.
        bids: charge, prices never rising; together no more than ``charge_mw`` is used.
        target_mwh: what it should hold at the end of the horizon, or None.
        target_penalty_per_mwh: what a MWh missing to that costs.

    Raises:
        CaseError: limits or prices that are no numbers or negative, a range turned round, efficiencies outside (0, 1], offers that
            fall, bids that rise, a bid above an offer, a target outside the marks or without a penalty.
    """

    id: str
    bus: str
    area: str
    charge_mw: float
    discharge_mw: float
    energy_max_mwh: float
    energy_min_mwh: float = 0.0
    charge_efficiency: float
    discharge_efficiency: float
    offers: tuple[Segment, ...] = ()
    bids: tuple[Segment, ...] = ()
    target_mwh: float | None = None
    target_penalty_per_mwh: float = 0.0

    def __post_init__(self) -> None:
        for name in ("charge_mw", "discharge_mw", "energy_min_mwh", "energy_max_mwh", "target_penalty_per_mwh"):
            if not 0 <= getattr(self, name) <= _LARGEST:
                raise CaseError(f"storage {self.id}: {name} is {getattr(self, name)}; give a number, 0 or more")
        if self.energy_min_mwh > self.energy_max_mwh:
            raise CaseError(f"storage {self.id}: empty at {self.energy_min_mwh} MWh, full at {self.energy_max_mwh} MWh; correct the case")
        for name in ("charge_efficiency", "discharge_efficiency"):
            if not 0 < getattr(self, name) <= 1:
                raise CaseError(f"storage {self.id}: {name} is {getattr(self, name)}; give a share above 0 and at most 1")
        self._check(self.offers, "offer", 1)
        self._check(self.bids, "bid", -1)
        if self.offers and self.bids and self.bids[0].price_per_mwh > self.offers[0].price_per_mwh:
            told = f"bids {self.bids[0].price_per_mwh} and offers {self.offers[0].price_per_mwh}"
            raise CaseError(f"storage {self.id}: {told}, so that it would trade with itself; bid no more than the lowest offer")
        if self.target_mwh is not None:
            if not self.energy_min_mwh <= self.target_mwh <= self.energy_max_mwh:
                raise CaseError(f"storage {self.id}: a target of {self.target_mwh} MWh lies outside what it can hold; correct the target")
            if not self.target_penalty_per_mwh > 0:
                raise CaseError(f"storage {self.id}: a target without a penalty is none; give target_penalty_per_mwh")

    def _check(self, segments: Sequence[Segment], what: str, way: int) -> None:
        for k, segment in enumerate(segments):
            if not (abs(segment.price_per_mwh) <= _LARGEST and 0 < segment.mw <= _LARGEST):
                told = f"{segment.mw} MW at {segment.price_per_mwh}"
                raise CaseError(f"storage {self.id}: {what} {k + 1} has {told}; give positive MW and a price")
            if k and way * segment.price_per_mwh < way * segments[k - 1].price_per_mwh:
                turn = "falls" if way > 0 else "rises"
                raise CaseError(f"storage {self.id}: the price {turn} in {what} {k + 1}; order the segments by price")
