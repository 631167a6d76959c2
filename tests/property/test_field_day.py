"""Whatever the hour, a simulated grid that nobody steers keeps its frequency and its customers: hours of event time, step by step."""

from __future__ import annotations

import numpy as np
import pytest

from market.units import NS_PER_MIN, instant_ns
from tests.kit.simulated_grid import all_closed, physics, run


def test_three_hours_without_a_market_leave_the_frequency_sane() -> None:
    """Base points once, then none: first regulation carries the day, later the operators' own merit order."""
    grid = physics()
    start = grid.start(instant_ns("2026-06-10T15:00:00+08:00"), all_closed())
    base = {u.id: float(start.base_mw[k]) for k, u in enumerate(grid.case.units)}
    states = run(grid, grid.with_base_points(start, base), 180 * 60)
    deviation = np.array([grid.area_deviation_hz(s) for s in states])
    assert np.abs(deviation.mean(axis=0)).max() < 0.1
    assert np.abs(deviation).max() < 0.5
    assert states[-1].served.min() == 1.0
    assert states[-1].planned_at_ns > start.ts_ns + 170 * NS_PER_MIN


@pytest.mark.parametrize("clock", ["04:15", "07:30", "15:00", "23:45"])
def test_without_any_market_the_hard_half_hours_of_the_day_pass(clock: str) -> None:
    """Morning rise, sunrise, sunset, and the seam between two days: nobody gives a base point."""
    grid = physics()
    start_ns = instant_ns(f"2026-06-10T{clock}:00+08:00")
    states = run(grid, grid.start(start_ns, all_closed()), 1800)
    deviation = np.array([grid.area_deviation_hz(s)[0] for s in states])
    assert abs(deviation.mean()) < 0.1
    assert np.abs(deviation).max() < 0.3
    assert states[-1].served.min() == 1.0
