"""What shapes a clearing besides its inputs: the length of the interval, caps, and what each violated limit costs.

Penalties are ranked so that the lesser evil is chosen, each as a multiple of the offer cap: curtailing wind, sun and water; a limit after
an outage; a line; a section; a group of units; the balance. A pricing run may use penalties of its own (the MS' and ML' of the provincial
rules); where they are not given it uses those of the dispatch.
"""

from __future__ import annotations

from dataclasses import dataclass

from market.monitor import LimitKind
from market.outages import EMERGENCY_FACTOR, LODF_LEAST
from market.rules import MarketRules

__all__ = ["ClearingParams"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearingParams:
    """What shapes a clearing besides its inputs; part of every result's hash.

    Attributes:
        interval_min: length of the interval the ramps act over, min.
        price_floor_per_mwh: published prices are clipped to this from below.
        price_cap_per_mwh: and to this from above.
        offer_cap_per_mwh: the unit of the penalties.
        curtailment_multiple: penalty of a MWh of wind, sun or water not taken.
        outage_multiple: penalty of a MWh above a line's limit after an outage.
        line_multiple: penalty of a MWh above a line's limit.
        section_multiple: penalty of a MWh above a section's limit.
        group_multiple: penalty of a MWh beyond the limits of a group of units.
        balance_multiple: penalty of a MWh not served or in excess.
        pricing_limit_multiple: penalty of a MWh above any limit of the network in the pricing run (MS'); None is that of the dispatch.
        pricing_balance_multiple: penalty of a MWh not served in the pricing run (ML'); None is that of the dispatch.
        emergency_factor: limit after an outage over the continuous rating, where a branch has no emergency rating of its own.
        lodf_least: least share of an outage's flow that is followed.
        segments_max: most segments of an offer.
        monotone_offers: whether an offer whose price falls is refused; where not, its segments are blocks, taken in order of price.
        negative_load_allowed: whether a bus may inject as a negative load.
        stale_share_degraded: share of stale points above which a result is marked degraded.
        stale_share_failed: share of stale points above which there is no result.
        price_tolerance_per_mwh: how closely the marginal cost of a quadratic must be met.
        rounds_max: most solves of one clearing.
    """

    interval_min: float = 15.0
    price_floor_per_mwh: float = 0.0
    price_cap_per_mwh: float = 1500.0
    offer_cap_per_mwh: float = 1500.0
    curtailment_multiple: float = 0.01
    outage_multiple: float = 3.0
    line_multiple: float = 5.0
    section_multiple: float = 6.0
    group_multiple: float = 10.0
    balance_multiple: float = 30.0
    pricing_limit_multiple: float | None = None
    pricing_balance_multiple: float | None = None
    emergency_factor: float = EMERGENCY_FACTOR
    lodf_least: float = LODF_LEAST
    segments_max: int = 10
    monotone_offers: bool = True
    negative_load_allowed: bool = False
    stale_share_degraded: float = 0.01
    stale_share_failed: float = 0.10
    price_tolerance_per_mwh: float = 1e-5
    rounds_max: int = 100

    @classmethod
    def from_rules(cls, rules: MarketRules) -> ClearingParams:
        """Take interval, floor and cap from the rule set in force."""
        return cls(
            interval_min=float(rules.rt_interval_min),
            price_floor_per_mwh=rules.price_floor_cny_per_mwh,
            price_cap_per_mwh=rules.price_cap_cny_per_mwh,
            offer_cap_per_mwh=rules.price_cap_cny_per_mwh,
        )

    @property
    def curtailment_penalty_per_mwh(self) -> float:
        """Penalty of a MWh of renewables not taken."""
        return self.curtailment_multiple * self.offer_cap_per_mwh

    @property
    def penalties(self) -> dict[LimitKind, float]:
        """Penalty of a MWh beyond each kind of limit, in the dispatch."""
        cap = self.offer_cap_per_mwh
        return {
            LimitKind.LINE: self.line_multiple * cap,
            LimitKind.SECTION: self.section_multiple * cap,
            LimitKind.OUTAGE: self.outage_multiple * cap,
        }

    @property
    def group_penalty_per_mwh(self) -> float:
        """Penalty of a MWh beyond the limits of a group of units."""
        return self.group_multiple * self.offer_cap_per_mwh

    @property
    def balance_penalty_per_mwh(self) -> float:
        """Penalty of a MWh not served, or in excess, in the dispatch."""
        return self.balance_multiple * self.offer_cap_per_mwh

    @property
    def pricing_penalties(self) -> dict[LimitKind, float]:
        """Penalty of a MWh beyond each kind of limit, in the pricing run."""
        if self.pricing_limit_multiple is None:
            return self.penalties
        return dict.fromkeys(LimitKind, self.pricing_limit_multiple * self.offer_cap_per_mwh)

    @property
    def pricing_balance_penalty_per_mwh(self) -> float:
        """Penalty of a MWh not served, or in excess, in the pricing run."""
        multiple = self.pricing_balance_multiple
        return (self.balance_multiple if multiple is None else multiple) * self.offer_cap_per_mwh
