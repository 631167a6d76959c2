"""Key figures against hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from market.units import NS_PER_H, NS_PER_MIN, NS_PER_S
from streams import kpis
from streams.kpis import Cps1


def test_totals_are_whole_or_absent() -> None:
    assert kpis.total_mw(np.array([1.0, 2.5])) == 3.5
    assert kpis.total_mw(np.array([1.0, np.nan])) is None
    assert kpis.total_mw(np.array([])) is None


def test_frequency_is_the_median_so_one_liar_does_not_move_it() -> None:
    assert kpis.frequency_hz([50.01, 50.02, 61.0]) == 50.02
    assert kpis.frequency_hz([]) is None


@pytest.mark.parametrize(
    ("interchange", "scheduled", "hz", "ace"),
    [(100.0, 100.0, 50.0, 0.0), (110.0, 100.0, 50.0, 10.0), (100.0, 100.0, 50.02, 5.0), (90.0, 100.0, 49.98, -15.0)],
)
def test_ace_signs(interchange: float, scheduled: float, hz: float, ace: float) -> None:
    """B = -25 MW/0.1 Hz: 0.02 Hz too fast counts as 10 · 25 · 0.02 = 5 MW of over-generation."""
    assert kpis.ace_mw(interchange, scheduled, hz, -25.0, 50.0) == pytest.approx(ace)


def test_cps1_by_hand() -> None:
    """Two minutes: means (ACE, Δf) = (20, 0.01) and (10, −0.01), −10B = 250, ε₁ = 0.02.

    CF = ((20/250)·0.01 + (10/250)·(−0.01)) / 2 / 0.0004 = 0.0002/0.0004 = 0.5, CPS1 = 150 %.
    """
    state = Cps1()
    for second, ace, df in [(0, 10.0, 0.0), (30, 30.0, 0.02), (60, 10.0, -0.01), (120, 0.0, 0.0)]:
        state = kpis.cps1_sampled(state, second * NS_PER_S, ace, df, -25.0)
    assert kpis.cps1_pct(state, 0.02) == pytest.approx(150.0)


def test_cps1_needs_a_whole_minute_and_forgets_after_a_day() -> None:
    state = kpis.cps1_sampled(Cps1(), 0, 1.0, 0.1, -25.0)
    assert kpis.cps1_pct(state, 0.02) is None
    for hour in range(30):
        state = kpis.cps1_sampled(state, hour * NS_PER_H, 1.0, 0.0, -25.0)
        state = kpis.cps1_sampled(state, hour * NS_PER_H + NS_PER_MIN, 1.0, 0.0, -25.0)
    assert len(state.hours) == 24


def test_shares() -> None:
    assert kpis.reserve_margin_pct(130.0, 100.0, 100.0) == 30.0
    assert kpis.reserve_margin_pct(130.0, 100.0, 0.0) is None
    assert kpis.renewable_share_pct(25.0, 100.0) == 25.0
    assert kpis.curtailment_pct(np.array([100.0, 50.0]), np.array([80.0, 51.0])) == pytest.approx(100 * 20 / 150)
    assert kpis.curtailment_pct(np.array([0.0]), np.array([0.0])) is None
    assert kpis.availability_pct(np.array([True, True, False, True])) == 75.0


def test_freshness_ignores_points_that_never_spoke() -> None:
    ages = np.array([1.0] * 19 + [11.0] + [math.inf])
    assert kpis.freshness_s(ages) == pytest.approx(np.percentile(ages[:-1], 95))


def test_worst_lines_are_sorted_and_leave_out_the_unknown() -> None:
    worst = kpis.worst_lines(["a", "b", "c", "d"], np.array([50.0, -90.0, np.nan, 10.0]), np.array([100.0, 100.0, 1.0, np.inf]), most=2)
    assert [(w.branch, w.flow_mw, w.loading_pct) for w in worst] == [("b", -90.0, 90.0), ("a", 50.0, 50.0)]


def test_every_kpi_is_described_once_in_both_languages() -> None:
    keys = [(k.scope, k.name) for k in kpis.KPIS]
    assert len(keys) == len(set(keys))
    assert all(k.unit and k.title_en and k.title_zh and k.formula and k.source for k in kpis.KPIS)
