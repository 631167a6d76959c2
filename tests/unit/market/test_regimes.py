"""Which rule prices an interval: the whole table, and the edges of its ranges."""

from __future__ import annotations

import itertools

import pytest

from market.prices import Regime
from market.regimes import Handling, Interruptions, by_analogy, covers, guidance, regime

TABLE = {
    # (day-ahead ok, real-time ok, handling of real-time): rule
    (True, True, None): Regime.MARKET,
    (False, True, None): Regime.ART27_1,
    (True, False, Handling.BREAKER): Regime.ART27_2,
    (True, False, Handling.SUSPENSION): Regime.ART27_2,
    (False, False, Handling.BREAKER): Regime.ART27_3,
    (False, False, Handling.SUSPENSION): Regime.ART27_3,
    (True, False, None): Regime.GAP,
    (False, False, None): Regime.GAP,
}


@pytest.mark.parametrize(("standing", "rule"), TABLE.items(), ids=str)
def test_every_standing_has_one_rule(standing: tuple[bool, bool, Handling | None], rule: Regime) -> None:
    assert regime(*standing) is rule


def test_a_confirmed_long_suspension_has_no_spot_price_whatever_stands() -> None:
    for da_ok, rt_ok, kind in itertools.product([True, False], [True, False], [None, *Handling]):
        assert regime(da_ok, rt_ok, kind, long_confirmed=True) is Regime.ART28


def test_only_the_mean_is_an_analogy_and_only_outside_a_suspension() -> None:
    told = {(rule, kind) for rule in Regime for kind in (None, *Handling) if by_analogy(rule, kind)}
    assert told == {(Regime.ART27_3, None), (Regime.ART27_3, Handling.BREAKER)}


@pytest.mark.parametrize(("at", "inside"), [(9, False), (10, True), (19, True), (20, False), (29, False), (30, True), (10**20, True)])
def test_a_range_holds_its_first_instant_and_not_its_end(at: int, inside: bool) -> None:
    assert covers(((10, 20), (30, None)), at) is inside


def test_real_time_is_handled_as_a_breaker_until_it_is_suspended() -> None:
    interruptions = Interruptions(rt=((10, 40),), da=((0, None),), suspended=((20, None),))
    assert [interruptions.rt_kind(at) for at in (9, 10, 19, 20, 39, 40)] == [
        None,
        Handling.BREAKER,
        Handling.BREAKER,
        Handling.SUSPENSION,
        Handling.SUSPENSION,
        None,
    ]


def test_dispatch_follows_the_market_except_while_real_time_is_out_and_art_28_takes_the_place_of_art_27() -> None:
    interruptions = Interruptions(rt=((10, 40),), da=((0, None),), art28=((30, 40),))
    told = [guidance(interruptions, at) for at in (9, 10, 29, 30, 39, 40)]
    assert told == ["", "Art. 27", "Art. 27", "Art. 28", "Art. 28", ""], "a day-ahead market that is out leaves dispatch on real time"
