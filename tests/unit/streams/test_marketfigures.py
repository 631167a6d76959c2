"""Competition and prices against numbers worked out on paper."""

from __future__ import annotations

import numpy as np
import pytest

from streams.marketfigures import hhi, lerner, limit_hits, nodal_spread, price_spread, rsi, supplied_mw, top4_pct


def test_concentration() -> None:
    """Plants of 40, 30, 20, 10 MW: 1600 + 900 + 400 + 100."""
    mw = supplied_mw(np.array([0, 0, 1, 2, 3, 3]), np.array([25.0, 15.0, 30.0, 20.0, 10.0, -3.0]))
    assert mw.tolist() == [40.0, 30.0, 20.0, 10.0]
    assert hhi(mw) == pytest.approx(3_000.0)
    assert top4_pct(mw) == 100.0
    assert top4_pct(np.array([10.0] * 10)) == pytest.approx(40.0)
    assert hhi(np.array([5.0])) == 10_000.0


def test_concentration_of_nothing_or_of_the_unknown_is_absent() -> None:
    for mw in (np.zeros(0), np.zeros(3), np.array([1.0, np.nan])):
        assert hhi(mw) is None
        assert top4_pct(mw) is None


def test_residual_supply() -> None:
    """100 MW of load; without the 60 MW plant 90 MW are left: it is pivotal, the others are not."""
    assert rsi(np.array([60.0, 50.0, 40.0]), 100.0).tolist() == pytest.approx([0.9, 1.0, 1.1])


NAN = float("nan")


def test_lerner_is_the_margin_over_what_is_earned() -> None:
    """300 MW paid 400 that cost 380, 100 MW paid 300 that cost 210: (300·20 + 100·90)/(300·400 + 100·300) = 15/150."""
    paid, cost, output_mw = np.array([400.0, 300.0]), np.array([380.0, 210.0]), np.array([300.0, 100.0])
    assert lerner(paid, cost, output_mw) == pytest.approx(0.1)
    assert lerner(paid, paid, output_mw) == 0.0, "everybody is paid the cost of the last MW"
    assert lerner(np.array([400.0]), np.array([500.0]), np.array([50.0])) == -0.25, "held up by its ramp"


def test_lerner_leaves_out_what_is_not_known_and_is_absent_where_nothing_is_earned() -> None:
    paid, output_mw = np.array([400.0, 400.0, NAN]), np.array([300.0, 100.0, 50.0])
    assert lerner(paid, np.array([380.0, NAN, 100.0]), output_mw) == pytest.approx(0.05), "at its minimum, and at a dead bus"
    assert lerner(np.zeros(2), np.zeros(2), np.ones(2)) is None
    assert lerner(np.array([NAN]), np.array([1.0]), np.array([1.0])) is None
    assert lerner(np.zeros(0), np.zeros(0), np.zeros(0)) is None


def test_lerner_at_one_price_is_the_mean_of_the_indices_by_share() -> None:
    cost, output_mw = np.array([100.0, 250.0, 400.0]), np.array([10.0, 20.0, 70.0])
    shares = output_mw / output_mw.sum()
    assert lerner(np.full(3, 400.0), cost, output_mw) == pytest.approx(float((shares * (400.0 - cost) / 400.0).sum()))


def test_spreads() -> None:
    assert price_spread(310.0, 290.0) == 20.0, "positive where the day before was dearer"
    assert price_spread(290.0, 310.0) == -20.0
    assert nodal_spread(np.array([310.0, 280.0, 300.0])) == 30.0
    assert nodal_spread(np.array([310.0])) == 0.0
    assert nodal_spread(np.zeros(0)) is None


def test_limit_hits_count_each_limit_for_itself() -> None:
    lmp = np.array([0.0, 0.0, 0.01, 300.0, 1499.99, 1500.0])
    assert limit_hits(lmp, 0.0, 1500.0) == (1, 2)
    assert limit_hits(np.zeros(0), 0.0, 1500.0) == (0, 0)
