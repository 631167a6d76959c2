"""Schedules and control error."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kit.simulated_grid import MORNING_NS, all_closed, opened, physics, run


def test_schedules_balance_and_follow_the_base_points() -> None:
    """Moving 50 MW of generation from one area to another moves the schedule by about as much, in five minutes."""
    grid = physics()
    start = grid.start(MORNING_NS, all_closed())
    assert abs(grid.schedule_mw(start).sum()) < 1e-9
    wind = {"122_WIND_1": 100.0}  # area 1 is told to give far less than it could
    was = float(start.dispatch_mw[grid.columns.unit_index["122_WIND_1"]])
    assert was > 200.0
    moved = run(grid, grid.with_base_points(start, wind), 310)
    before, after = grid.schedule_mw(start), grid.schedule_mw(moved[-1])
    assert abs(after.sum()) < 1e-9
    assert after[0] - before[0] < -0.5 * (was - 100.0)
    halfway = grid.schedule_mw(moved[150])[0]
    assert min(before[0], after[0]) < halfway < max(before[0], after[0])


def test_areas_without_a_tie_owe_each_other_nothing() -> None:
    grid = physics()
    state = run(grid, grid.start(MORNING_NS, all_closed()), 2, opened("AB1", "AB2", "AB3", "CA-1", "CB-1"))[-1]
    np.testing.assert_allclose(grid.schedule_mw(state), 0.0, atol=1e-9)


def test_with_one_area_gone_the_other_two_still_balance() -> None:
    grid = physics()
    state = run(grid, grid.start(MORNING_NS, all_closed()), 2, opened("CA-1", "CB-1"))[-1]
    schedule = grid.schedule_mw(state)
    assert schedule[0] + schedule[1] == pytest.approx(0.0, abs=1e-9)
    assert schedule[2] == pytest.approx(0.0, abs=1e-9)
