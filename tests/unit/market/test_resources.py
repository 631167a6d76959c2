"""What contradicts itself is refused, with the offender by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from market.errors import CaseError
from market.offers import Control, Segment
from market.reserves import Direction, ReserveOffer, ReserveProduct, ReserveRequirement, ShortageStep, standing_offers
from market.resources import Resources, UnitGroup
from market.storage import Storage
from tests.kit.grids import unit

NAN, INF = float("nan"), float("inf")
BATTERY = Storage(
    id="battery",
    bus="1",
    area="2",
    charge_mw=10.0,
    discharge_mw=10.0,
    energy_min_mwh=2.0,
    energy_max_mwh=40.0,
    charge_efficiency=0.9,
    discharge_efficiency=0.9,
    offers=(Segment(5.0, 50.0), Segment(5.0, 60.0)),
    bids=(Segment(5.0, 30.0), Segment(5.0, 20.0)),
)
UP = ReserveProduct(id="up10", direction=Direction.UP, minutes=10.0)
SPIN = ReserveRequirement(id="spin", product="up10", mw=30.0, shortage=(ShortageStep(10.0, 100.0), ShortageStep(10.0, 300.0)))
UNITS = [unit("a", "1", (10.0, 5.0)), unit("b", "2", (10.0, 5.0), p_min_mw=4.0)]
BUSES = {"1": 0, "2": 1}
WHOLE = Resources(
    storages=(BATTERY,),
    products=(UP,),
    requirements=(SPIN, replace(SPIN, id="area", area="2")),
    reserve_offers=(*standing_offers(UNITS, UP), ReserveOffer(provider="battery", product="up10", mw=5.0)),
    unit_groups=(UnitGroup(id="plant", members=("a", "b"), high_mw=15.0),),
)


def test_sound_declarations_pass():
    WHOLE.check(BUSES, UNITS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"charge_mw": NAN}, "charge_mw is nan"),
        ({"discharge_mw": -1.0}, r"discharge_mw is -1\.0"),
        ({"energy_max_mwh": INF}, "energy_max_mwh is inf"),
        ({"energy_min_mwh": 50.0}, r"empty at 50\.0 MWh, full at 40\.0 MWh"),
        ({"charge_efficiency": 0.0}, r"charge_efficiency is 0\.0"),
        ({"discharge_efficiency": 1.01}, r"discharge_efficiency is 1\.01"),
        ({"discharge_efficiency": NAN}, "discharge_efficiency is nan"),
        ({"offers": (Segment(5.0, 60.0), Segment(5.0, 50.0))}, "the price falls in offer 2"),
        ({"bids": (Segment(5.0, 20.0), Segment(5.0, 30.0))}, "the price rises in bid 2"),
        ({"offers": (Segment(0.0, 60.0),)}, r"offer 1 has 0\.0 MW"),
        ({"bids": (Segment(5.0, NAN),)}, "bid 1 has 5.0 MW at nan"),
        ({"bids": (Segment(5.0, 51.0),)}, r"bids 51\.0 and offers 50\.0, so that it would trade with itself"),
        ({"target_mwh": 41.0, "target_penalty_per_mwh": 5.0}, r"a target of 41\.0 MWh lies outside"),
        ({"target_mwh": NAN, "target_penalty_per_mwh": 5.0}, "a target of nan MWh lies outside"),
        ({"target_mwh": 20.0}, "a target without a penalty"),
    ],
)
def test_an_impossible_storage_is_refused_by_name(change, message):
    with pytest.raises(CaseError, match=f"storage battery: .*{message}"):
        replace(BATTERY, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mw": NAN}, "nan MW"),
        ({"mw": -1.0}, r"-1\.0 MW"),
        ({"shortage": ()}, "no price of being short"),
        ({"shortage": (ShortageStep(0.0, 5.0),)}, r"step 1 has 0\.0 MW"),
        ({"shortage": (ShortageStep(1.0, -5.0),)}, r"step 1 has 1\.0 MW at -5\.0"),
        ({"shortage": (ShortageStep(1.0, 5.0), ShortageStep(1.0, 4.0))}, "the price falls in step 2"),
    ],
)
def test_an_impossible_requirement_is_refused_by_name(change, message):
    with pytest.raises(CaseError, match=f"reserve requirement spin: .*{message}"):
        replace(SPIN, **change)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replace(UP, minutes=0.0), "reserve product up10: 0.0 minutes"),
        (lambda: ReserveOffer(provider="a", product="up10", mw=NAN), "reserve offer of a: nan MW"),
        (lambda: ReserveOffer(provider="a", product="up10", mw=1.0, price_per_mwh=-1.0), "reserve offer of a: .*-1.0"),
        (lambda: UnitGroup(id="g", members=()), "unit group g: its members are none"),
        (lambda: UnitGroup(id="g", members=("a", "a")), "unit group g: its members are a, a"),
        (lambda: UnitGroup(id="g", members=("a",), low_mw=5.0, high_mw=4.0), r"unit group g: limits 5\.0 to 4\.0 MW"),
        (lambda: UnitGroup(id="g", members=("a",), high_mw=NAN), "unit group g: limits"),
        (lambda: UnitGroup(id="g", members=("a",), low_mw=INF), "unit group g: limits inf to inf MW leave nothing"),
    ],
)
def test_impossible_declarations_are_refused_by_name(make, message):
    with pytest.raises(CaseError, match=message):
        make()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"storages": (BATTERY, BATTERY)}, "storages: named twice: battery"),
        ({"products": (UP, UP)}, "reserve products: named twice: up10"),
        ({"requirements": (SPIN, SPIN)}, "reserve requirements: named twice: spin"),
        ({"reserve_offers": standing_offers(UNITS[:1], UP) * 2}, "reserve offers: named twice: a for up10"),
        ({"unit_groups": WHOLE.unit_groups * 2}, "unit groups: named twice: plant"),
        ({"storages": (replace(BATTERY, id="a"),), "reserve_offers": ()}, "storages named like units: a"),
        ({"storages": (replace(BATTERY, bus="9"),)}, "storages at unknown buses: battery at 9"),
        ({"unit_groups": (UnitGroup(id="plant", members=("a", "z")),)}, "unit group plant has unknown units: z"),
        ({"products": (replace(UP, counts_for=("up30",)),)}, "reserve product up10 counts for unknown products: up30"),
        ({"products": (replace(UP, counts_for=("up10",)),)}, "reserve product up10 cannot count for: up10"),
        (
            {"products": (replace(UP, counts_for=("down",)), ReserveProduct(id="down", direction=Direction.DOWN, minutes=5.0))},
            "reserve product up10 cannot count for: down",
        ),
        ({"requirements": (replace(SPIN, product="x"),)}, "reserve requirements of unknown products: spin of x"),
        ({"requirements": (replace(SPIN, area="9"),)}, "reserve requirements in unknown areas: spin in 9"),
        ({"reserve_offers": (ReserveOffer(provider="a", product="x", mw=1.0),)}, "reserve offers of unknown products: a of x"),
        ({"reserve_offers": (ReserveOffer(provider="z", product="up10", mw=1.0),)}, "reserve offers of unknown units or storages: z"),
    ],
)
def test_declarations_that_contradict_each_other_are_refused_by_name(change, message):
    with pytest.raises(CaseError, match=message):
        replace(WHOLE, **change).check(BUSES, UNITS)


def test_whatever_follows_a_base_point_holds_reserve_where_that_is_the_rule():
    units = [*UNITS, unit("wind", "1", (10.0, 0.0), control=Control.CURTAILABLE), unit("still", "1", p_min_mw=5.0, p_max_mw=5.0)]
    assert [(offer.provider, offer.mw) for offer in standing_offers(units, UP)] == [("a", 10.0), ("b", 10.0)]
