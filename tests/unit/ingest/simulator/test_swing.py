"""Frequency in the large: the limits that shedding and rejection hold."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.simulator.swing import LIMIT_HZ
from market.units import NS_PER_S
from tests.kit.simulated_grid import MORNING_NS, all_closed, balance_error_mw, physics, run, stepped


def test_load_is_shed_to_hold_the_lower_limit_and_comes_back() -> None:
    """1500 MW more than the running units can give: the frequency stops at 49 Hz, and no further load is lost than that takes."""
    at_ns = MORNING_NS + 5 * NS_PER_S
    grid = stepped(physics(), at_ns, {"215": 1500.0})
    states = run(grid, grid.start(MORNING_NS, all_closed()), 120)
    lowest = min(float(grid.area_deviation_hz(s)[0]) for s in states)
    assert lowest == pytest.approx(-LIMIT_HZ, abs=1e-9)
    assert 0.3 < min(float(s.served.min()) for s in states) < 1.0
    assert max(balance_error_mw(grid, s) for s in states[::10]) < 1e-6


def test_generation_is_thrown_off_to_hold_the_upper_limit() -> None:
    at_ns = MORNING_NS + 5 * NS_PER_S
    gone = {bus: -float(mw) for bus, mw in zip(physics().case.network.bus_ids, physics().day.at(MORNING_NS).load_mw * 0.8, strict=True)}
    grid = stepped(physics(), at_ns, gone)
    states = run(grid, grid.start(MORNING_NS, all_closed()), 60)
    assert max(float(grid.area_deviation_hz(s)[0]) for s in states) <= LIMIT_HZ
    assert all((s.output_mw >= -1e-9).all() for s in states)
    assert all(np.isfinite(s.output_mw).all() for s in states)
    assert max(balance_error_mw(grid, s) for s in states[::10]) < 1e-6
