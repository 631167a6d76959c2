"""Prices on paper: the triangle, caps, and islands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.kit.grids import case, network, triangle, unit
from tests.kit.problems import FREE, solved


def priced(a_case, *open_branches: str, params=FREE):
    return solved(a_case, *open_branches, params=params).prices


def test_the_triangle():
    prices = priced(triangle())
    np.testing.assert_allclose(prices.lmp_raw_per_mwh, [10.0, 20.0, 30.0])
    assert prices.energy_per_mwh == pytest.approx(30.0)  # all load is at bus 3
    np.testing.assert_allclose(prices.congestion_per_mwh, [-20.0, -10.0, 0.0], atol=1e-9)
    assert prices.uniform_per_mwh == pytest.approx(30.0)
    assert prices.rent_per_h == pytest.approx(30 * 100 - 10 * 50 - 20 * 50)


def test_energy_is_weighted_by_load_not_by_the_reference_bus():
    spread = case(triangle().network, triangle().units, {"1": 20.0, "3": 80.0})
    reordered = network(("3", "2", "1"), [("1", "2", 0.1, 1000.0), ("1", "3", 0.1, 50.0), ("2", "3", 0.1, 1000.0)])
    a, b = priced(spread), priced(case(reordered, triangle().units, {"1": 20.0, "3": 80.0}))
    assert a.energy_per_mwh == pytest.approx(b.energy_per_mwh)
    assert a.energy_per_mwh == pytest.approx(0.2 * a.lmp_per_mwh[0] + 0.8 * a.lmp_per_mwh[2])


def test_prices_are_clipped_and_the_raw_ones_kept():
    capped = replace(FREE, price_floor_per_mwh=15.0, price_cap_per_mwh=25.0)
    prices = priced(triangle(), params=capped)
    np.testing.assert_allclose(prices.lmp_per_mwh, [15.0, 20.0, 25.0])
    np.testing.assert_allclose(prices.lmp_raw_per_mwh, [10.0, 20.0, 30.0])
    np.testing.assert_allclose(prices.energy_per_mwh + prices.congestion_per_mwh, prices.lmp_per_mwh, atol=1e-12)


def test_the_island_with_the_most_load_gives_the_energy_price_and_a_dead_bus_has_none():
    net = network(("1", "2", "3", "4", "5"), [("1", "2", 0.1, 1e3), ("2", "3", 0.1, 1e3), ("3", "4", 0.1, 1e3)])
    two = case(net, [unit("a", "1", (100.0, 10.0)), unit("b", "3", (100.0, 20.0))], {"2": 40.0, "4": 60.0, "5": 7.0})
    prices = priced(two, "L2")
    assert prices.energy_per_mwh == pytest.approx(20.0)
    np.testing.assert_allclose(prices.congestion_per_mwh, [-10.0, -10.0, 0.0, 0.0, np.nan])
    assert prices.uniform_per_mwh == pytest.approx((40 * 10 + 60 * 20) / 100)


def test_without_load_the_uniform_price_is_the_energy_price():
    idle = case(network(("1", "2"), [("1", "2", 0.1, 1e3)]), [unit("a", "1", (100.0, 10.0))], {})
    prices = priced(idle)
    assert prices.uniform_per_mwh == prices.energy_per_mwh


def test_means_never_leave_the_range_of_the_prices():
    """At the cap everywhere the mean is the cap to the last bit, whatever the weights round to."""
    net = network([str(k) for k in range(1, 8)], [("1", str(k), 0.1, np.inf) for k in range(2, 8)])
    short = case(net, [unit("a", "1", (1.0, 10.0))], {str(k): 0.1 * k for k in range(1, 8)} | {"7": 1 / 3})
    prices = priced(short, params=replace(FREE, price_cap_per_mwh=1500.0, price_floor_per_mwh=0.0))
    assert (prices.energy_per_mwh, prices.uniform_per_mwh) == (1500.0, 1500.0)
