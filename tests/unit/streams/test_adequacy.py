"""Units and reserves against numbers worked out on paper."""

from __future__ import annotations

import numpy as np
import pytest

from streams import adequacy

NOBODY = np.array([np.nan])


def test_reserve_margin() -> None:
    assert adequacy.reserve_margin_pct(np.array([80.0, 50.0]), np.array([50.0, 50.0]), 100.0) == 30.0
    assert adequacy.reserve_margin_pct(np.array([80.0, 40.0]), np.array([50.0, 50.0]), 100.0) == 30.0, "above its limit is no debt"
    assert adequacy.reserve_margin_pct(np.array([80.0]), np.array([50.0]), 0.0) is None
    assert adequacy.reserve_margin_pct(np.array([80.0]), NOBODY, 100.0) is None
    assert adequacy.reserve_margin_pct(np.array([]), np.array([]), 100.0) is None


def test_reserve_is_bounded_by_what_the_ramp_reaches() -> None:
    """100, 30 and no headroom at 2, 20 and 20 MW/min: 20 + 30 + 0 in ten minutes, 60 + 30 + 0 in thirty."""
    available, output, ramp = np.array([200.0, 80.0, 40.0]), np.array([100.0, 50.0, 45.0]), np.array([2.0, 20.0, 20.0])
    assert adequacy.deliverable_mw(available, output, ramp, 10.0).tolist() == [20.0, 30.0, 0.0]
    assert adequacy.deliverable_mw(available, output, ramp, 30.0).tolist() == [60.0, 30.0, 0.0]
    assert adequacy.reserve_pct(np.array([20.0, 30.0]), 200.0) == 25.0
    assert adequacy.reserve_pct(np.array([20.0]), 0.0) is None
    assert adequacy.reserve_pct(NOBODY, 200.0) is None


def test_what_stands_still_does_not_spin_and_what_is_not_metered_is_not_passed_over() -> None:
    on = np.array([True, True, True, True, False])
    renewable = np.array([False, False, True, False, False])
    output_mw = np.array([50.0, 1.0, 0.0, np.nan, 80.0])
    assert adequacy.running(on, renewable, output_mw, np.full(5, 100.0)).tolist() == [True, False, True, True, False]


def test_renewable_share_and_curtailment() -> None:
    assert adequacy.renewable_share_pct(25.0, 100.0) == 25.0
    assert adequacy.renewable_share_pct(None, 100.0) is None
    assert adequacy.renewable_share_pct(25.0, 0.0) is None
    assert adequacy.curtailment_pct(np.array([100.0, 50.0]), np.array([80.0, 51.0])) == pytest.approx(100 * 20 / 150)
    assert adequacy.curtailment_pct(np.array([0.0]), np.array([0.0])) is None
    assert adequacy.curtailment_pct(np.array([100.0]), NOBODY) is None
    assert adequacy.curtailment_pct(NOBODY, np.array([50.0])) is None


def test_losses() -> None:
    assert adequacy.losses_pct(1_000.0, 980.0) == pytest.approx(2.0)
    assert adequacy.losses_pct(1_000.0, None) is None
    assert adequacy.losses_pct(0.0, 0.0) is None


def test_a_unit_is_to_follow_its_base_point_by_its_ramp() -> None:
    """From 100 MW, 10 MW/min, half a minute: 5 MW either way, and no further than the base point."""
    base_mw = np.array([150.0, 60.0, 103.0, 100.0])
    found = adequacy.followed_mw(np.full(4, 100.0), base_mw, np.full(4, 10.0), 0.5)
    assert found.tolist() == [105.0, 95.0, 103.0, 100.0]


def test_obedience_allows_two_per_cent_of_rated_power_or_two_megawatts() -> None:
    p_max_mw = np.array([500.0, 500.0, 50.0, 50.0])
    output_mw = np.array([110.0, 110.1, 98.0, 97.9])
    assert adequacy.obedient(output_mw, np.full(4, 100.0), p_max_mw).tolist() == [True, False, True, False]
