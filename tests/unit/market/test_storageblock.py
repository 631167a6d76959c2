"""Storages in the program: what they earn on paper, and that their energy adds up."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.errors import CaseError
from market.formulation import Builder
from market.offers import OfferBook, Segment, Unit
from market.storage import Storage
from market.storageblock import StorageBlock, StorageBook, add_storages
from market.unitblock import add_units
from tests.kit.grids import battery, network, unit
from tests.kit.monolith import Answer, periods, solve

NET = network(("1", "2"), [("1", "2", 0.1, 1e6)])
BATTERY = battery("2")


@dataclass(frozen=True, kw_only=True)
class Cleared:
    answer: Answer
    block: StorageBlock
    builder: Builder

    @property
    def price(self) -> list[float]:
        return [float(price) for price in self.answer.price_per_mwh[:, 0]]

    @property
    def net_mw(self) -> list[float]:
        return [float(mw) for mw in self.block.net_mw(self.answer.x)[:, 0]]

    @property
    def soc_mwh(self) -> list[float]:
        return [float(mwh) for mwh in self.block.soc_mwh(self.answer.x)[:, 0]]


def clear(storages: list[Storage], units: list[Unit], loads_mw: list[float], initial_mwh: list[float], interval_h: float = 1.0) -> Cleared:
    book = OfferBook(units, NET.bus_index)
    low, high = np.tile(book.p_min_mw, (len(loads_mw), 1)), np.tile(book.p_max_mw, (len(loads_mw), 1))
    builder = Builder(periods(NET, np.array([[0.0, load] for load in loads_mw]), book, low))
    add_units(builder, book, low_mw=low, high_mw=high)
    stored = StorageBook(storages, NET.bus_index)
    block = add_storages(builder, stored, initial_mwh=np.array(initial_mwh), interval_h=interval_h)
    return Cleared(answer=solve(builder), block=block, builder=builder)


UNITS = [unit("base", "1", (100.0, 20.0)), unit("peak", "1", (100.0, 60.0))]


def test_it_buys_at_the_low_price_and_sells_at_the_high_one():
    """Base at 20 has 50 MW left in the first hour; of the 50 MWh stored 40 come back in the second and replace peak at 60."""
    found = clear([BATTERY], UNITS, [50.0, 150.0], [0.0])
    assert found.net_mw == pytest.approx([-50.0, 40.0])
    assert found.soc_mwh == pytest.approx([50.0, 0.0])
    assert found.price[1] == pytest.approx(60.0)
    assert 20.0 - 1e-9 <= found.price[0] <= 48.0 + 1e-9, "between what base asks and what 0.8 MWh at 60 are worth"
    assert found.answer.cost_per_h == pytest.approx(100 * 20 + 100 * 20 + 10 * 60)


def test_it_stays_still_where_the_spread_does_not_pay_for_the_losses():
    found = clear([BATTERY], [unit("base", "1", (100.0, 50.0)), UNITS[1]], [50.0, 150.0], [0.0])
    assert found.net_mw == pytest.approx([0.0, 0.0])


def test_in_one_interval_the_energy_that_is_there_limits_the_power():
    """3 MWh hold 0.8 · 3 MWh / 0.25 h = 9.6 MW for a quarter of an hour; what another MWh would be worth is 0.8 · 60."""
    found = clear([BATTERY], UNITS, [150.0], [3.0], interval_h=0.25)
    assert found.net_mw == pytest.approx([9.6])
    assert found.soc_mwh == pytest.approx([0.0])
    assert found.block.energy_value_per_mwh(found.answer.row_dual).tolist() == [pytest.approx([48.0])]


def test_an_offer_keeps_its_energy_for_a_better_price_and_a_bid_is_filled_below_it():
    patient = replace(BATTERY, offers=(Segment(10.0, 50.0), Segment(30.0, 70.0)), bids=(Segment(20.0, 30.0), Segment(30.0, 10.0)))
    assert clear([patient], UNITS, [150.0], [50.0]).net_mw == pytest.approx([10.0])
    assert clear([patient], UNITS, [50.0], [50.0]).net_mw == pytest.approx([-20.0])


def test_it_sets_the_price_where_it_stands_between():
    patient = replace(BATTERY, offers=(Segment(40.0, 50.0),))
    found = clear([patient], UNITS, [120.0], [100.0])
    assert found.net_mw == pytest.approx([20.0])
    assert found.price == pytest.approx([50.0])


def test_what_is_offered_beyond_the_power_of_the_plant_is_not_used():
    found = clear([replace(BATTERY, offers=(Segment(30.0, 0.0), Segment(30.0, 1.0)))], UNITS, [150.0], [100.0])
    assert found.net_mw == pytest.approx([40.0])


def test_a_target_is_met_where_that_is_cheaper_than_its_penalty_and_missed_at_its_price_where_not():
    """In two half hours 50 MW store 50 MWh, which costs base's 20 each; peak's 60 is more than the penalty of 40."""
    wanted = replace(BATTERY, target_mwh=60.0, target_penalty_per_mwh=40.0)
    met = clear([wanted], UNITS, [0.0, 0.0], [10.0], interval_h=0.5)
    assert met.net_mw == pytest.approx([-50.0, -50.0])
    assert met.block.shortfall_mwh(met.answer.x).tolist() == pytest.approx([0.0])
    dear = clear([wanted], UNITS, [100.0, 100.0], [10.0], interval_h=0.5)
    assert dear.net_mw == pytest.approx([0.0, 0.0])
    assert dear.block.shortfall_mwh(dear.answer.x).tolist() == pytest.approx([50.0])
    assert dear.answer.cost_per_h * 0.5 == pytest.approx(2 * 0.5 * 100 * 20 + 50 * 40)


def test_telemetry_beyond_a_mark_by_noise_is_at_the_mark():
    found = clear([BATTERY], UNITS, [0.0, 0.0], [100.4])
    assert found.soc_mwh == pytest.approx([100.0, 100.0])
    assert clear([replace(BATTERY, energy_min_mwh=5.0)], UNITS, [150.0], [4.9]).net_mw == pytest.approx([0.0])


def test_at_a_negative_price_a_full_store_wastes_energy_and_that_is_told():
    """10 MW must run; charging c and giving 0.8 c back wastes 0.2 c = 10 MW at c = 50, with 40 MW on both sides."""
    forced = Unit(**{name: getattr(UNITS[0], name) for name in UNITS[0].__dataclass_fields__} | {"p_min_mw": 10.0, "p_max_mw": 110.0})
    found = clear([BATTERY], [forced], [0.0], [100.0])
    assert found.net_mw == pytest.approx([-10.0])
    assert found.soc_mwh == pytest.approx([100.0])
    assert found.block.simultaneous_mw(found.answer.x).tolist() == [pytest.approx([40.0])]


def test_a_storage_in_a_dead_island_does_nothing():
    book = OfferBook(UNITS, NET.bus_index)
    span = np.zeros((1, 2)), np.tile(book.p_max_mw, (1, 1))
    (period,) = periods(NET, np.array([[0.0, 50.0]]), book, span[0])
    builder = Builder((replace(period, live=np.zeros(1, dtype=np.bool_)),))
    block = add_storages(builder, StorageBook([BATTERY], NET.bus_index), initial_mwh=np.array([50.0]), interval_h=1.0)
    upper = builder.build().upper
    assert upper[block.charge].tolist() == upper[block.discharge].tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("storages", "message"),
    [([BATTERY, BATTERY], "used twice: battery"), ([replace(BATTERY, bus="9")], "battery at 9")],
)
def test_a_book_that_contradicts_the_network_is_refused(storages, message):
    with pytest.raises(CaseError, match=message):
        StorageBook(storages, NET.bus_index)


POWER = st.integers(0, 40).map(float)


@st.composite
def batteries(draw: st.DrawFn) -> tuple[Storage, float]:
    bid = draw(st.integers(0, 40).map(float))
    kept, given_back = draw(st.sampled_from([0.8, 0.9, 1.0])), draw(st.sampled_from([0.8, 0.9, 1.0]))
    storage = replace(
        BATTERY,
        charge_mw=draw(POWER),
        discharge_mw=draw(POWER),
        energy_min_mwh=5.0,
        energy_max_mwh=5.0 + draw(POWER),
        charge_efficiency=kept,
        discharge_efficiency=given_back,
        # Far enough apart that no round trip pays at a price of 0 or more.
        bids=(Segment(20.0, bid), Segment(20.0, 0.0)),
        offers=(Segment(20.0, bid / (kept * given_back)), Segment(20.0, 100.0)),
    )
    return storage, 5.0 + draw(st.floats(0, 1)) * (storage.energy_max_mwh - 5.0)


@settings(max_examples=10, deadline=None)
@given(batteries(), st.lists(st.integers(0, 220).map(float), min_size=1, max_size=4))
def test_energy_adds_up_and_both_sides_never_trade_at_a_price_above_zero(drawn, loads):
    storage, initial = drawn
    found = clear([storage], UNITS, loads, [initial], interval_h=0.5)
    charge, give = found.block.charge_mw(found.answer.x)[:, 0], found.block.discharge_mw(found.answer.x)[:, 0]
    change = 0.5 * (storage.charge_efficiency * charge - give / storage.discharge_efficiency)
    soc = np.array(found.soc_mwh)
    assert soc == pytest.approx(initial + np.cumsum(change), abs=1e-6)
    assert ((storage.energy_min_mwh - 1e-6 <= soc) & (soc <= storage.energy_max_mwh + 1e-6)).all()
    assert (charge <= storage.charge_mw + 1e-6).all()
    assert (give <= storage.discharge_mw + 1e-6).all()
    priced = np.array(found.price) > 1e-6
    both = found.block.simultaneous_mw(found.answer.x)[:, 0]
    if storage.charge_efficiency * storage.discharge_efficiency < 1:
        assert both[priced] == pytest.approx(0.0, abs=1e-6)


@settings(max_examples=8, deadline=None)
@given(batteries(), st.lists(st.integers(0, 220).map(float), min_size=1, max_size=4))
def test_a_storage_that_may_stand_still_never_makes_it_dearer(drawn, loads):
    storage, initial = drawn
    with_it, without = clear([storage], UNITS, loads, [initial], 0.5), clear([], UNITS, loads, [], 0.5)
    assert with_it.answer.cost_per_h <= without.answer.cost_per_h + 1e-6
