"""What an interval comes to, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from market.facts import Segment
from market.outcomes import Certificate, Cleared, OutcomeStatus
from market.prices import PriceInForce, Regime
from market.units import NS_PER_MIN
from streams.indicative import ALL, LOAD, STORAGE, ClassAmount, Places, indicative
from tests.kit import grids

FIVE_MIN = 5 * NS_PER_MIN
PLACES = Places(units={"G1": ("coal", "A"), "G2": ("coal", "B"), "W1": ("wind", "A")}, storages={"S1": "B"}, branches={"L1": ("A", "B")})
CLEARED = Cleared(
    interval_start_ns=0,
    completed_at_ns=0,
    status=OutcomeStatus.OK,
    objective_per_h=0.0,
    penalty_per_h=0.0,
    dispatch_mw={"G1": 60.0, "W1": 60.0, "G2": 36.0, "unheard of": 5.0},
    storage_mw={"S1": -12.0},
    lmp_per_mwh={"A": 300.0, "B": 400.0},
    energy_per_mwh=300.0,
    congestion_per_mwh={"A": 0.0, "B": 100.0},
    flow_mw={"L1": 120.0, "unheard of": 1.0},
    uniform_price_per_mwh=400.0,
    certificate=Certificate(passed=True, residuals={}),
)
"""A feeds 120 MW over a line that binds into B, where all 144 MW of load are: 120 + 36 − 12."""

PRICE = PriceInForce(
    ts_event_ns=0,
    segment=Segment.RT,
    interval_start_ns=0,
    regime=Regime.MARKET,
    price_cny_per_mwh=400.0,
    rev=0,
    source="clearing:1",
    provisional=False,
    rule_set="r",
    clearing_start_ns=0,
)


def classes(amounts: tuple[ClassAmount, ...]) -> dict[str, tuple[float, float | None]]:
    return {amount.name: (amount.energy_mwh, amount.amount_cny) for amount in amounts}


def test_an_interval_of_its_own_clearing() -> None:
    amounts = indicative(PRICE, CLEARED, CLEARED, PLACES, FIVE_MIN)
    assert [amount.name for amount in amounts] == [ALL, "coal", LOAD, STORAGE, "wind"]
    found = classes(amounts)
    assert found["coal"] == pytest.approx((8.0, 5 * 300 + 3 * 400))
    assert found["wind"] == pytest.approx((5.0, 1_500.0))
    assert found[STORAGE] == pytest.approx((-1.0, -400.0))
    assert found[ALL] == pytest.approx((12.0, 3_800.0))
    assert found[LOAD] == pytest.approx((-12.0, -4_800.0))
    assert amounts[0].congestion_rent_cny == pytest.approx(1_000.0), "120 MW · 100 CNY/MWh · 5 min"


def test_what_load_pays_is_what_the_others_receive_and_the_rent() -> None:
    every, *_ = amounts = indicative(PRICE, CLEARED, CLEARED, PLACES, FIVE_MIN)
    assert every.amount_cny is not None
    assert every.congestion_rent_cny is not None
    assert -(classes(amounts)[LOAD][1] or 0.0) == pytest.approx(every.amount_cny + every.congestion_rent_cny)


def test_a_price_that_stands_in_brings_its_bus_prices_to_the_intervals_own_schedule() -> None:
    older = replace(CLEARED, lmp_per_mwh={"A": 100.0, "B": 100.0}, dispatch_mw={"G1": 1.0})
    gap = replace(PRICE, regime=Regime.GAP, price_cny_per_mwh=100.0)
    found = classes(indicative(gap, CLEARED, older, PLACES, FIVE_MIN))
    assert found["wind"] == pytest.approx((5.0, 500.0))
    assert classes(indicative(gap, None, older, PLACES, FIVE_MIN))["coal"] == pytest.approx((1 / 12, 100 / 12))


def test_a_price_that_is_of_no_clearing_is_one_for_all() -> None:
    day_ahead = replace(PRICE, regime=Regime.ART27_2, price_cny_per_mwh=200.0, clearing_start_ns=None)
    amounts = indicative(day_ahead, CLEARED, None, PLACES, FIVE_MIN)
    assert classes(amounts)["coal"] == pytest.approx((8.0, 1_600.0))
    assert classes(amounts)[LOAD] == pytest.approx((-12.0, -2_400.0))
    assert amounts[0].congestion_rent_cny == 0.0


def test_without_a_price_there_is_energy_and_no_amount() -> None:
    none = replace(PRICE, regime=Regime.ART28, price_cny_per_mwh=None, clearing_start_ns=None)
    amounts = indicative(none, CLEARED, None, PLACES, FIVE_MIN)
    assert {amount.amount_cny for amount in amounts} == {None}
    assert amounts[0].congestion_rent_cny is None
    assert amounts[0].energy_mwh == pytest.approx(12.0)


def test_without_a_schedule_there_is_nothing() -> None:
    assert indicative(PRICE, None, None, PLACES, FIVE_MIN) == ()


def test_places_are_read_from_the_model() -> None:
    net = grids.network(["A", "B"], [("A", "B", 0.1, 100.0)])
    places = Places.of(net, {"G": grids.unit("G", "A", (10.0, 300.0))}, {"S1": "B"})
    assert (places.units, places.branches) == ({"G": ("other", "A")}, {"L1": ("A", "B")})
