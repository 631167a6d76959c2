"""The schedule a field begins on."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.simulator.opening import scheduled_base_points
from market.units import instant_ns
from tests.kit.simulated_grid import all_closed, physics, run
from tests.kit.small_day import small_day

AFTERNOON_NS = instant_ns("2026-06-10T14:00:00+08:00")


def test_every_unit_has_a_base_point_it_can_hold() -> None:
    case = small_day()
    base = scheduled_base_points(case, AFTERNOON_NS)
    assert set(base) == {unit.id for unit in case.units}
    for unit in case.units:
        off = base[unit.id] == 0.0
        assert off or unit.p_min_mw - 1e-6 <= base[unit.id] <= unit.p_max_mw + 1e-6, unit.id
    assert base["base"] >= 60.0
    assert base["wind"] == 80.0, "what is not curtailed may make what the instant offers"


@pytest.mark.slow  # clears the shipped day
def test_the_grid_begins_with_the_scheduled_units_within_the_lines_and_stays_calm() -> None:
    grid = physics()
    base = scheduled_base_points(grid.case, AFTERNOON_NS)
    states = run(grid, grid.start(AFTERNOON_NS, all_closed(), base), 120)
    for k, unit in enumerate(grid.case.units):
        if unit.control == "dispatchable":
            assert (states[0].dispatch_mw[k] > 0.0) == (base[unit.id] > 0.0), unit.id
    assert (np.abs(grid.flows_mw(states[0])) <= grid.case.network.rate_mw).all()
    assert max(float(np.abs(grid.area_deviation_hz(s)).max()) for s in states) < 0.06
