"""Random markets with everything in them: units outside their range, a storage, reserves both ways, a group, several periods."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from market.offers import OfferBook, Segment, Unit
from market.outcomes import ClearingInputs, PeriodAhead
from market.params import ClearingParams
from market.ranges import Horizon, horizon
from market.reserves import Direction, ReserveOffer, ReserveProduct, ReserveRequirement, ShortageStep
from market.resources import Resources, UnitGroup
from market.storage import Storage
from tests.kit.grids import unit

PARAMS = ClearingParams(interval_min=30.0)
MW = st.integers(0, 60).map(float)
PRICE = st.integers(0, 60).map(float)


@dataclass(frozen=True, kw_only=True)
class Market:
    """At most three units at bus 1 and one storage at bus 2, over at most three periods."""

    units: tuple[Unit, ...]
    resources: Resources
    loads_mw: tuple[float, ...]
    output_mw: dict[str, float]
    soc_mwh: float

    @property
    def inputs(self) -> ClearingInputs:
        """The inputs of its first period, with the load at the bus of the storage."""
        first, *later = ({"2": load} for load in self.loads_mw)
        return ClearingInputs(
            interval_start_ns=0,
            frozen_at_ns=0,
            load_mw=first,
            output_mw=self.output_mw,
            available_mw={},
            soc_mwh={"s": self.soc_mwh},
            ahead=tuple(PeriodAhead(load_mw=load, available_mw={}) for load in later),
        )

    @property
    def spans(self) -> Horizon:
        """Where its units may be put, for intervals of :data:`PARAMS`."""
        return horizon(self.inputs, OfferBook(self.units, {"1": 0, "2": 1}), PARAMS)


@st.composite
def markets(draw: st.DrawFn) -> Market:
    units = []
    for k in range(draw(st.integers(1, 3))):
        prices = sorted(draw(st.lists(PRICE, min_size=1, max_size=3)))
        offer = [(draw(st.integers(1, 30).map(float)), price) for price in prices]
        units.append(
            unit(f"u{k}", "1", *offer, p_min_mw=draw(st.integers(-20, 30).map(float)), ramp_mw_per_min=draw(st.integers(0, 6)) / 4)
        )
    full = draw(st.integers(5, 40).map(float))
    storage = Storage(
        id="s",
        bus="2",
        area="1",
        charge_mw=draw(MW),
        discharge_mw=draw(MW),
        energy_min_mwh=5.0,
        energy_max_mwh=full,
        charge_efficiency=0.8,
        discharge_efficiency=0.9,
        offers=(Segment(20.0, 35.0), Segment(30.0, 50.0)),
        bids=(Segment(20.0, 20.0), Segment(30.0, draw(st.integers(-9, 9).map(float)))),
        target_mwh=draw(st.none() | st.floats(5.0, full)),
        target_penalty_per_mwh=70.0,
    )
    up = ReserveProduct(id="up", direction=Direction.UP, minutes=10.0)
    down = ReserveProduct(id="down", direction=Direction.DOWN, minutes=15.0)
    steps = (ShortageStep(5.0, 40.0), ShortageStep(5.0, 90.0))
    resources = Resources(
        storages=(storage,),
        products=(up, down),
        requirements=tuple(ReserveRequirement(id=name, product=name, mw=draw(MW), shortage=steps) for name in ("up", "down")),
        reserve_offers=tuple(
            ReserveOffer(provider=each.id, product=product, mw=draw(MW), price_per_mwh=draw(st.integers(0, 5).map(float)))
            for each in (*units, storage)
            for product in ("up", "down")
        ),
        unit_groups=(UnitGroup(id="g", members=(units[0].id, units[-1].id)[: len(units)], high_mw=draw(MW)),),
    )
    return Market(
        units=tuple(units),
        resources=resources,
        loads_mw=tuple(draw(st.lists(st.integers(-20, 150).map(float), min_size=1, max_size=3))),
        output_mw={each.id: draw(st.integers(-30, 90).map(float)) for each in units},
        soc_mwh=draw(st.floats(5.0, full)),
    )
