"""Reserve and energy out of the same range: what each is worth, on paper and at random."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.formulation import Builder
from market.grid import FloatArray
from market.offers import OfferBook, Segment, Unit
from market.outcomes import ClearingInputs, PeriodAhead
from market.params import ClearingParams
from market.ranges import Horizon, horizon
from market.reserveblock import ReserveBlock, ReserveBook, add_reserves
from market.reserves import Direction, ReserveOffer, ReserveProduct, ReserveRequirement, ShortageStep, standing_offers
from market.resources import Resources
from market.storage import Storage
from market.storageblock import StorageBlock, StorageBook, add_storages
from market.unitblock import UnitBlock, add_units
from tests.kit.grids import network, unit
from tests.kit.monolith import Answer, periods, solve

NET = network(("1", "2"), [("1", "2", 0.1, 1e6)])
PARAMS = ClearingParams(interval_min=60.0)
UP = ReserveProduct(id="up10", direction=Direction.UP, minutes=10.0)
DOWN = ReserveProduct(id="down10", direction=Direction.DOWN, minutes=10.0)
SHORT = (ShortageStep(10.0, 100.0), ShortageStep(10.0, 300.0), ShortageStep(1.0, 1000.0))
SPIN = ReserveRequirement(id="spin", product="up10", mw=30.0, shortage=SHORT)


@dataclass(frozen=True, kw_only=True)
class Cleared:
    answer: Answer
    units: UnitBlock
    storages: StorageBlock
    block: ReserveBlock
    spans: Horizon

    @property
    def price(self) -> float:
        return float(self.answer.price_per_mwh[0, 0])

    @property
    def output_mw(self) -> list[float]:
        return [float(mw) for mw in self.units.output_mw(self.answer.x)[0]]

    def award_mw(self, provider: str, product: str = "up10") -> float:
        return float(self.block.award_mw(self.answer.x)[0, self.block.book.offers.index((provider, product))])

    @property
    def reserve_price(self) -> list[float]:
        return [float(price) for price in self.block.requirement_price_per_mwh(self.answer.row_dual)[0]]

    @property
    def short_mw(self) -> list[float]:
        return [float(mw) for mw in self.block.short_mw(self.answer.x)[0]]


def clear(units: list[Unit], loads_mw: list[float], resources: Resources, soc_mwh: FloatArray | None = None, **said: object) -> Cleared:
    book, stored = OfferBook(units, NET.bus_index), StorageBook(resources.storages, NET.bus_index)
    resources.check(NET.bus_index, units)
    ahead = tuple(PeriodAhead(load_mw={}, available_mw={}) for _ in loads_mw[1:])
    given = {"interval_start_ns": 0, "frozen_at_ns": 0, "load_mw": {}, "output_mw": {u.id: u.p_min_mw for u in units}, "available_mw": {}}
    inputs = ClearingInputs(**(given | {"ahead": ahead} | said))
    spans = horizon(inputs, book, PARAMS)
    builder = Builder(periods(NET, np.array([[0.0, load] for load in loads_mw]), book, spans.low_mw))
    block = add_units(builder, book, low_mw=spans.low_mw, high_mw=spans.high_mw)
    initial = np.zeros(len(stored.ids)) if soc_mwh is None else soc_mwh
    storages = add_storages(builder, stored, initial_mwh=initial, interval_h=1.0)
    offers = ReserveBook(resources, book, stored)
    required = offers.requirements_mw([inputs.reserve_mw, *(period.reserve_mw for period in inputs.ahead)])
    reserve = add_reserves(builder, offers, block, storages, horizon=spans, required_mw=required)
    return Cleared(answer=solve(builder), units=block, storages=storages, block=reserve, spans=spans)


CHEAP, DEAR = unit("cheap", "1", (100.0, 20.0)), unit("dear", "1", (100.0, 50.0), ramp_mw_per_min=1.0)


def market(*requirements: ReserveRequirement, **declared: object) -> Resources:
    offers = standing_offers([CHEAP, DEAR], UP)
    return Resources(**({"products": (UP,), "requirements": requirements, "reserve_offers": offers} | declared))


def test_reserve_forces_the_cheap_unit_down_and_is_paid_what_that_unit_loses():
    """Dear can hold 10 MW in ten minutes, so cheap must hold 20 of the 30 and gives 80 instead of 90.

    A MW of reserve more takes a MW from cheap (20) to dear (50): it costs 30. A MW of load more comes from dear: 50.
    """
    found = clear([CHEAP, DEAR], [90.0], market(SPIN))
    assert found.output_mw == pytest.approx([80.0, 10.0])
    assert (found.award_mw("cheap"), found.award_mw("dear")) == pytest.approx((20.0, 10.0))
    assert found.price == pytest.approx(50.0)
    assert found.reserve_price == pytest.approx([30.0])
    assert found.price - 20.0 == pytest.approx(found.reserve_price[0]), "cheap does not mind which of the two it sells"


def test_reserve_that_is_there_anyway_is_free():
    found = clear([CHEAP, DEAR], [60.0], market(SPIN))
    assert found.output_mw == pytest.approx([60.0, 0.0])
    assert found.reserve_price == pytest.approx([0.0])


def test_an_offer_for_reserve_sets_its_price():
    offers = (
        ReserveOffer(provider="cheap", product="up10", mw=25.0, price_per_mwh=3.0),
        ReserveOffer(provider="dear", product="up10", mw=50.0, price_per_mwh=7.0),
    )
    found = clear([CHEAP, DEAR], [50.0], market(SPIN, reserve_offers=offers))
    assert (found.award_mw("cheap"), found.award_mw("dear")) == pytest.approx((25.0, 5.0))
    assert found.reserve_price == pytest.approx([7.0])
    assert found.block.price_per_mwh(found.answer.row_dual).tolist() == [pytest.approx([7.0, 7.0])]


def test_a_shortage_is_priced_step_by_step_and_rides_on_the_energy_price():
    """At 185 MW of load 15 MW of capacity are left to hold reserve, so 15 are missing: the second step, at 300.

    Dear can hold no more than 10 of them, so cheap, at 20, holds 5, and a MW more of load is one of those.
    """
    found = clear([CHEAP, DEAR], [185.0], market(SPIN), output_mw={"cheap": 90.0, "dear": 90.0})
    assert sum(found.output_mw) == pytest.approx(185.0)
    assert found.short_mw == pytest.approx([15.0])
    assert found.reserve_price == pytest.approx([300.0])
    assert found.price == pytest.approx(320.0)


def test_the_last_step_takes_whatever_is_missing():
    found = clear([CHEAP, DEAR], [200.0], market(SPIN), output_mw={"cheap": 90.0, "dear": 90.0})
    assert found.short_mw == pytest.approx([30.0])
    assert found.reserve_price == pytest.approx([1000.0])


def test_reserve_downward_holds_a_unit_up():
    """Cheap has its minimum at 40; to be able to go down by 25 it must stand at 65 or more, although flood, at 1, could serve all."""
    cheap, flood = unit("cheap", "1", (60.0, 20.0), p_min_mw=40.0), unit("flood", "1", (200.0, 1.0))
    offers = (ReserveOffer(provider="cheap", product="down10", mw=60.0),)
    wanted = ReserveRequirement(id="down", product="down10", mw=25.0, shortage=SHORT)
    found = clear([cheap, flood], [150.0], market(wanted, products=(DOWN,), reserve_offers=offers))
    assert found.output_mw == pytest.approx([65.0, 85.0])
    assert found.reserve_price == pytest.approx([19.0])
    assert found.price == pytest.approx(1.0)


def test_a_better_product_counts_for_a_lesser_one_and_is_paid_both_prices():
    """40 MW of thirty-minute reserve, 15 of them in ten minutes; slow ramps 1 MW/min: 10 and 30, and not both."""
    slow, fast = unit("slow", "1", (100.0, 5.0), ramp_mw_per_min=1.0), unit("fast", "1", (100.0, 6.0))
    thirty = ReserveProduct(id="up30", direction=Direction.UP, minutes=30.0)
    ten = replace(UP, counts_for=("up30",))
    wanted = (
        ReserveRequirement(id="ten", product="up10", mw=15.0, shortage=SHORT),
        ReserveRequirement(id="thirty", product="up30", mw=40.0, shortage=SHORT),
    )
    offers = (
        *(ReserveOffer(provider="slow", product=name, mw=100.0) for name in ("up10", "up30")),
        ReserveOffer(provider="fast", product="up10", mw=100.0, price_per_mwh=4.0),
    )
    found = clear([slow, fast], [50.0], market(*wanted, products=(ten, thirty), reserve_offers=offers))
    assert found.award_mw("slow", "up10") + found.award_mw("slow", "up30") == pytest.approx(30.0), "one ramp for both"
    assert found.award_mw("slow", "up10") == pytest.approx(5.0, abs=5.0 + 1e-6)
    assert found.award_mw("fast", "up10") == pytest.approx(10.0)
    paid = found.block.price_per_mwh(found.answer.row_dual)[0]
    assert paid.tolist() == pytest.approx([4.0, 4.0, found.reserve_price[1]])
    assert sum(found.reserve_price) == pytest.approx(4.0)


def test_a_requirement_of_an_area_counts_what_stands_in_it():
    other = replace(DEAR, area="2")
    here = ReserveRequirement(id="area 2", product="up10", mw=8.0, area="2", shortage=SHORT)
    found = clear([CHEAP, other], [50.0], market(here))
    assert found.award_mw("dear") >= 8.0 - 1e-6
    assert found.short_mw == pytest.approx([0.0])
    assert found.block.book.counts.tolist() == [[False, True]]


def test_the_inputs_of_an_interval_replace_a_standing_requirement():
    found = clear([CHEAP, DEAR], [90.0, 90.0], market(SPIN), reserve_mw={"spin": 5.0})
    awarded = found.block.award_mw(found.answer.x).sum(axis=1)
    assert awarded[0] >= 5.0 - 1e-6
    assert found.units.output_mw(found.answer.x).tolist() == [pytest.approx([90.0, 0.0]), pytest.approx([80.0, 10.0])]


@pytest.mark.parametrize(
    "said",
    [
        {"units_off": ("dear",), "output_mw": {"cheap": 0.0}},
        {"test_mw": {"dear": 20.0}, "output_mw": {"cheap": 0.0}},
        {"output_mw": {"cheap": 0.0, "dear": 250.0}},  # metered above its capacity by more than its ramp: on its way back
    ],
)
def test_who_cannot_be_moved_holds_no_reserve(said):
    found = clear([CHEAP, DEAR], [195.0], market(SPIN), **said)
    assert found.award_mw("dear") == 0.0


BATTERY = Storage(
    id="battery",
    bus="2",
    area="1",
    charge_mw=20.0,
    discharge_mw=30.0,
    energy_max_mwh=10.0,
    charge_efficiency=0.8,
    discharge_efficiency=0.5,
    offers=(Segment(30.0, 40.0),),
    bids=(Segment(20.0, 10.0),),
)


def test_a_storage_holds_reserve_out_of_its_power_and_its_energy():
    """2 MWh give 2 · 0.5 / (10 min) = 6 MW for ten minutes; downward 8 MWh are free: 8 / (0.8 / 6) = 60, and its power is 20."""
    offers = (ReserveOffer(provider="battery", product="up10", mw=99.0), ReserveOffer(provider="battery", product="down10", mw=99.0))
    wanted = (SPIN, ReserveRequirement(id="down", product="down10", mw=50.0, shortage=SHORT))
    sells = replace(BATTERY, bids=())
    found = clear([CHEAP], [50.0], market(*wanted, products=(UP, DOWN), reserve_offers=offers, storages=(sells,)), np.array([2.0]))
    assert found.award_mw("battery") == pytest.approx(6.0)
    assert found.award_mw("battery", "down10") == pytest.approx(20.0)


def test_a_storage_that_charges_can_stop_and_then_give():
    """Paid to charge 20 MW it can come up by 20 + 30, as far as its energy lets it: (2 + 0.8 · 20 · 1 h) · 0.5 · 6 = 54 > 50."""
    offers = (ReserveOffer(provider="battery", product="up10", mw=99.0),)
    big = replace(BATTERY, energy_max_mwh=100.0)
    wanted = ReserveRequirement(id="spin", product="up10", mw=60.0, shortage=SHORT)
    found = clear([CHEAP], [50.0], market(wanted, reserve_offers=offers, storages=(big,)), np.array([2.0]))
    assert found.storages.net_mw(found.answer.x).tolist() == [pytest.approx([-20.0])]
    assert found.award_mw("battery") == pytest.approx(50.0)


MW = st.integers(0, 80).map(float)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[Unit], tuple[ReserveOffer, ...]]:
    units = []
    for k in range(draw(st.integers(1, 4))):
        prices = sorted(draw(st.lists(st.integers(0, 60).map(float), min_size=1, max_size=3)))
        offer = [(draw(st.integers(1, 40).map(float)), price) for price in prices]
        units.append(unit(f"u{k}", "1", *offer, p_min_mw=draw(MW), ramp_mw_per_min=draw(st.integers(1, 9)) / 2))
    offers = tuple(
        ReserveOffer(provider=u.id, product=p, mw=draw(MW), price_per_mwh=draw(st.integers(0, 9).map(float)))
        for u in units
        for p in ("up10", "down10")
    )
    return units, offers


@settings(max_examples=10, deadline=None)
@given(fleets(), MW, MW, st.integers(0, 300).map(float))
def test_every_megawatt_is_promised_once_and_every_award_covers_its_offer(drawn, up_mw, down_mw, load_mw):
    units, offers = drawn
    wanted = (replace(SPIN, mw=up_mw), ReserveRequirement(id="down", product="down10", mw=down_mw, shortage=SHORT))
    found = clear(units, [load_mw], market(*wanted, products=(UP, DOWN), reserve_offers=offers))
    book, x = found.block.book, found.answer.x
    award, output = found.block.award_mw(x)[0], np.array(found.output_mw)
    up = np.bincount(book.provider[book.way > 0], award[book.way > 0], len(units))
    down = np.bincount(book.provider[book.way < 0], award[book.way < 0], len(units))
    assert (output + up <= found.spans.most_mw[0] + 1e-6).all()
    assert (output - down >= found.spans.least_mw[0] - 1e-6).all()
    assert (award <= np.minimum(book.most_mw, book.ramp_mw) + 1e-6).all()
    held = book.counts @ award + np.array(found.short_mw)
    assert (held >= np.array([down_mw, up_mw]) - 1e-6).all()
    paid = found.block.price_per_mwh(found.answer.row_dual)[0]
    assert (paid[award > 1e-6] >= book.price_per_mwh[award > 1e-6] - 1e-6).all()
