"""What is saved comes back to the bit, and goes on as if nothing had happened."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from ingest.simulator import snapshot
from ingest.simulator.faults import Fault, FaultKind
from tests.kit.simulated_grid import MORNING_NS, SEED, all_closed, physics, run


def test_a_grid_stopped_and_resumed_is_where_one_that_went_on_is(tmp_path: Path) -> None:
    grid = physics()
    base = {"101_STEAM_3": 60.0, "122_WIND_1": 100.0}
    halfway = run(grid, grid.with_base_points(grid.start(MORNING_NS, all_closed()), base), 40)[-1]
    fault = Fault(at_ns=5, kind=FaultKind.LINE_TRIP, target="A27", for_ns=None)
    snapshot.save(tmp_path / "state.npz", SEED, halfway, [fault])
    memory = snapshot.recall(tmp_path / "state.npz", SEED, grid.start(MORNING_NS, all_closed()))
    assert memory is not None
    assert memory.injected == (fault,)
    through, resumed = run(grid, halfway, 30)[-1], run(grid, memory.state, 30)[-1]
    for spec in fields(through):
        np.testing.assert_array_equal(getattr(resumed, spec.name), getattr(through, spec.name), err_msg=spec.name)


def test_what_does_not_fit_is_no_memory(tmp_path: Path) -> None:
    grid = physics()
    state, path = grid.start(MORNING_NS, all_closed()), tmp_path / "state.npz"
    assert snapshot.recall(path, SEED, state) is None
    snapshot.save(path, SEED, state, [])
    assert snapshot.recall(path, SEED + 1, state) is None
    path.write_bytes(path.read_bytes()[:-2000])
    assert snapshot.recall(path, SEED, state) is None
    path.write_text("nothing of the kind")
    assert snapshot.recall(path, SEED, state) is None
