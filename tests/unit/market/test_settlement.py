"""What a settlement period comes to, to the fen, under each rule."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.errors import CaseError
from market.facts import Segment
from market.prices import PriceInForce, Regime
from market.rules import rules_from
from market.settlement import RULES_OF_TEXT, Settlement, Volumes, difference, settled
from market.units import NS_PER_MIN
from tests.kit.table import at_ns

RULES = rules_from({})
NOON = at_ns("12:00")
QUARTER = 15 * NS_PER_MIN
G1 = Volumes(contract_mwh=150.0, contract_cny_per_mwh=463.0, day_ahead_mwh=180.0, actual_mwh=200.0)
NO_RESULT = replace(G1, day_ahead_mwh=None)


def prices(*told: tuple[Regime, float | None], start_ns: int = NOON) -> list[PriceInForce]:
    """Records of four intervals; one that is told stands for all of them."""
    return [
        PriceInForce(
            ts_event_ns=start_ns,
            segment=Segment.RT,
            interval_start_ns=start_ns + number * QUARTER,
            regime=rule,
            price_cny_per_mwh=price,
            rev=number,
            source=f"source {number}",
            provisional=rule is Regime.GAP,
            rule_set=RULES.id,
            by_analogy=rule is Regime.ART27_3,
        )
        for number, (rule, price) in enumerate(told * (4 // len(told)))
    ]


def amounts(made: Settlement) -> tuple[float | None, ...]:
    return made.contract_cny, made.day_ahead_cny, made.real_time_cny, made.total_cny


def test_day_ahead_out_makes_execution_its_result_at_the_real_time_price() -> None:
    """GD-27-1."""
    made = settled(NO_RESULT, prices((Regime.ART27_1, 350.0)), None, NOON, RULES)
    assert (made.day_ahead_mwh, made.day_ahead_cny_per_mwh, made.rules) == (200.0, 350.0, (Regime.ART27_1,))
    assert amounts(made) == (69_450.0, 17_500.0, 0.0, 86_950.0)


def test_real_time_out_takes_the_day_ahead_price() -> None:
    """GD-27-2."""
    made = settled(G1, prices((Regime.ART27_2, 420.0)), 420.0, NOON, RULES)
    assert (made.real_time_cny_per_mwh, made.rules) == (420.0, (Regime.ART27_2,))
    assert amounts(made) == (69_450.0, 12_600.0, 8_400.0, 90_450.0)


def test_both_out_costs_the_mean_on_executed_volumes() -> None:
    """GD-27-3."""
    made = settled(NO_RESULT, prices((Regime.ART27_3, 405.5)), None, NOON, RULES)
    assert amounts(made) == (69_450.0, 20_275.0, 0.0, 89_725.0)
    assert made.by_analogy


@pytest.mark.parametrize("rule", [Regime.ART27_1, Regime.ART27_3])
def test_a_shadow_result_of_the_day_ahead_market_settles_nothing(rule: Regime) -> None:
    assert settled(G1, prices((rule, 350.0)), 900.0, NOON, RULES) == settled(NO_RESULT, prices((rule, 350.0)), None, NOON, RULES)


def test_a_generator_and_a_user_have_the_same_prices() -> None:
    user = Volumes(contract_mwh=-150.0, contract_cny_per_mwh=463.0, day_ahead_mwh=-180.0, actual_mwh=-200.0)
    sells, buys = (settled(volumes, prices((Regime.ART27_2, 420.0)), 420.0, NOON, RULES) for volumes in (G1, user))
    assert amounts(buys) == tuple(-amount for amount in amounts(sells) if amount is not None)


def test_the_market_itself_settles_each_deviation_at_its_own_price() -> None:
    made = settled(G1, prices((Regime.MARKET, 390.0)), 420.0, NOON, RULES)
    assert amounts(made) == (69_450.0, 12_600.0, 7_800.0, 89_850.0)
    assert (made.by_analogy, made.provisional) == (False, False)


def test_a_trip_within_the_hour_is_priced_by_interval_and_averaged() -> None:
    mixed = (Regime.MARKET, 300.0), (Regime.GAP, 300.0), (Regime.ART27_2, 420.0), (Regime.ART27_2, 420.01)
    made = settled(G1, prices(*mixed), 420.0, NOON, RULES)
    assert made.rules == (Regime.MARKET, Regime.GAP, Regime.ART27_2)
    assert made.real_time_cny_per_mwh == 360.0, "1440.01 / 4 = 360.0025"
    assert (made.day_ahead_mwh, made.day_ahead_cny_per_mwh) == (180.0, 420.0)
    assert amounts(made) == (69_450.0, 12_600.0, 7_200.0, 89_250.0)
    assert made.provisional


def test_half_a_fen_of_a_mean_is_rounded_up() -> None:
    made = settled(G1, prices((Regime.MARKET, 300.0), (Regime.MARKET, 300.01)), 420.0, NOON, RULES)
    assert made.real_time_cny_per_mwh == 300.01


def test_half_a_fen_of_an_amount_is_rounded_away_from_zero() -> None:
    volumes = replace(G1, contract_mwh=0.5, contract_cny_per_mwh=0.01, actual_mwh=180.5)
    assert amounts(settled(volumes, prices((Regime.MARKET, 0.01)), 0.0, NOON, RULES)) == (0.01, 0.0, 0.01, 0.02)
    negative = replace(volumes, actual_mwh=179.5)
    assert settled(negative, prices((Regime.MARKET, 0.01)), 0.0, NOON, RULES).real_time_cny == -0.01


def test_day_ahead_out_and_real_time_partly_out_executes_all_of_it() -> None:
    """An hour of GD-27-5, had real-time come back within it."""
    mixed = (Regime.ART27_3, 400.0), (Regime.ART27_3, 400.0), (Regime.ART27_1, 350.0), (Regime.GAP, 350.0)
    made = settled(NO_RESULT, prices(*mixed), None, NOON, RULES)
    assert (made.day_ahead_cny_per_mwh, made.real_time_cny_per_mwh, made.real_time_cny) == (375.0, 375.0, 0.0)


def test_without_a_day_ahead_market_all_deviation_from_the_contract_is_real_time() -> None:
    made = settled(NO_RESULT, prices((Regime.MARKET, 350.0)), None, NOON, RULES)
    assert made.total_cny == 69_450.0 + 50 * 350.0
    assert settled(G1, prices((Regime.MARKET, 350.0)), None, NOON, RULES).total_cny == made.total_cny
    assert settled(NO_RESULT, prices((Regime.MARKET, 350.0)), 420.0, NOON, RULES).total_cny == made.total_cny


def test_article_28_has_no_spot_amounts() -> None:
    made = settled(G1, prices((Regime.ART28, None)), 420.0, NOON, RULES)
    assert amounts(made) == (69_450.0, None, None, None)
    assert (made.day_ahead_cny_per_mwh, made.real_time_cny_per_mwh) == (None, None)


def test_a_period_that_article_28_begins_in_has_none_either() -> None:
    made = settled(G1, prices((Regime.ART27_2, 420.0), (Regime.ART28, None)), 420.0, NOON, RULES)
    assert made.total_cny is None


def test_one_interval_without_a_price_leaves_the_real_time_amount_open() -> None:
    mixed = (Regime.MARKET, 300.0), (Regime.MARKET, 300.0), (Regime.MARKET, 300.0), (Regime.GAP, None)
    assert amounts(settled(G1, prices(*mixed), 420.0, NOON, RULES)) == (69_450.0, 12_600.0, None, None)


def test_settled_again_it_is_the_same() -> None:
    """GD-28-2: records made under Art. 27 stay those of Art. 27, whatever was confirmed since."""
    records = prices((Regime.ART27_2, 420.0))
    assert settled(G1, records, 420.0, NOON, RULES) == settled(G1, list(records), 420.0, NOON, RULES)


def test_it_says_where_each_price_is_from() -> None:
    """JS-4."""
    made = settled(NO_RESULT, prices((Regime.ART27_1, 350.0), (Regime.ART27_3, 400.0)), None, NOON, RULES)
    assert made.because[:2] == (
        "2026-06-10T12:00:00+08:00 Art. 27(1): source 0, revision 0, gd-2023-draft/r1",
        "2026-06-10T12:15:00+08:00 Art. 27(3) by analogy: source 1, revision 1, gd-2023-draft/r1",
    )
    assert len(made.because) == 4
    assert set(RULES_OF_TEXT) == set(Regime)


def test_a_corrected_meter_gives_the_difference_and_no_more() -> None:
    """JS-4."""
    before = settled(NO_RESULT, prices((Regime.ART27_1, 350.0)), None, NOON, RULES)
    after = settled(replace(NO_RESULT, actual_mwh=200.1), prices((Regime.ART27_1, 350.0)), None, NOON, RULES)
    assert difference(before, after) == {"day_ahead_cny": 35.0, "total_cny": 35.0}
    assert difference(before, before) == {}
    nothing = settled(NO_RESULT, prices((Regime.ART28, None)), None, NOON, RULES)
    assert difference(before, nothing) == {}
    assert difference(nothing, before) == {}


@pytest.mark.parametrize(
    ("records", "why"),
    [
        (prices((Regime.MARKET, 1.0))[:3], "lacks the price of 2026-06-10T12:45:00"),
        ([], "lacks the price of 2026-06-10T12:00:00+08:00, 2026-06-10T12:15:00+08:00,"),
        (prices((Regime.MARKET, 1.0)) + prices((Regime.MARKET, 1.0))[3:], "needs one real-time price of each of its intervals"),
        (prices((Regime.MARKET, 1.0))[::-1], "needs one real-time price of each of its intervals"),
        (prices((Regime.MARKET, 1.0), start_ns=NOON - QUARTER), "lacks the price of 2026-06-10T12:45:00"),
        ([replace(price, segment=Segment.DA) for price in prices((Regime.MARKET, 1.0))], "lacks the price"),
    ],
)
def test_a_period_without_one_record_of_each_interval_is_not_settled(records: list[PriceInForce], why: str) -> None:
    with pytest.raises(CaseError, match="settlement period 2026-06-10T12:00:00") as raised:
        settled(G1, records, 420.0, NOON, RULES)
    assert why in str(raised.value)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(-10_000, 150_000), st.integers(-10_000, 150_000))
def test_the_amounts_add_up_and_a_party_that_keeps_its_schedule_pays_no_spot(kwh: int, da_kwh: int, act_kwh: int, da: int, rt: int) -> None:
    volumes = Volumes(contract_mwh=kwh / 1000, contract_cny_per_mwh=463.0, day_ahead_mwh=da_kwh / 1000, actual_mwh=act_kwh / 1000)
    made = settled(volumes, prices((Regime.MARKET, rt / 100)), da / 100, NOON, RULES)
    parts = [Decimal(repr(amount)) for amount in amounts(made)]
    assert sum(parts[:3]) == parts[3]
    exact = Decimal(kwh) * 463 / 1000 + Decimal(da_kwh - kwh) * da / 100_000 + Decimal(act_kwh - da_kwh) * rt / 100_000
    assert abs(parts[3] - exact) <= Decimal("0.015"), "three amounts, each to the fen"
    kept = replace(volumes, day_ahead_mwh=volumes.contract_mwh, actual_mwh=volumes.contract_mwh)
    assert amounts(settled(kept, prices((Regime.MARKET, rt / 100)), da / 100, NOON, RULES))[1:3] == (0.0, 0.0)
