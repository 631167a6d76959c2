"""The grid's equations against balances, a dense solve, nameplates and sums that can be done by hand."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from ingest.simulator.gridstate import GridState
from ingest.simulator.physics import Physics
from ingest.simulator.regulation import BIAS_MW_PER_0P1HZ
from ingest.simulator.swing import LIMIT_HZ
from market.units import NS_PER_S, instant_ns
from tests.kit.simulated_grid import MORNING_NS, SEED, all_closed, balance_error_mw, opened, physics, run, stepped

TIES = ("AB1", "AB2", "AB3", "CA-1", "CB-1")


def bytes_of(state: GridState) -> bytes:
    return b"".join(np.asarray(getattr(state, spec.name)).tobytes() for spec in fields(state))


def test_power_balances_in_every_step() -> None:
    """What units give at their terminals is what loads take at their meters."""
    grid = physics()
    states = run(grid, grid.start(MORNING_NS, all_closed()), 60)
    assert max(balance_error_mw(grid, state) for state in states) < 1e-6


def test_flows_are_those_of_a_dense_solve() -> None:
    """B·θ on the 73 buses, written out with the case's reactances and solved densely."""
    grid = physics()
    net = grid.case.network
    state = run(grid, grid.start(MORNING_NS, all_closed()), 5, opened("A27"))[-1]
    b = net.base_mva / (net.x_pu * net.tap)
    b[net.branch_index["A27"]] = 0.0
    matrix = np.zeros((net.n_buses, net.n_buses))
    for line in range(net.n_branches):
        f, t = net.from_bus[line], net.to_bus[line]
        matrix[[f, t], [f, t]] += b[line]
        matrix[[f, t], [t, f]] -= b[line]
    injection = -state.load_mw.copy()
    for k, unit in enumerate(grid.case.units):
        injection[net.bus_index[unit.bus]] += state.output_mw[k]
    theta = np.zeros(net.n_buses)
    theta[1:] = np.linalg.solve(matrix[1:, 1:], injection[1:])
    expected = b * (theta[net.from_bus] - theta[net.to_bus])
    np.testing.assert_allclose(grid.flows_mw(state), expected, atol=1e-6)
    assert grid.flows_mw(state)[net.branch_index["A27"]] == 0.0


def test_interchange_is_the_sum_over_the_ties_and_sums_to_zero() -> None:
    grid = physics()
    state = grid.start(MORNING_NS, all_closed())
    flow = dict(zip(grid.case.network.branch_ids, grid.flows_mw(state), strict=True))
    by_hand = [
        flow["AB1"] + flow["AB2"] + flow["AB3"] - flow["CA-1"],
        -flow["AB1"] - flow["AB2"] - flow["AB3"] - flow["CB-1"],
        flow["CA-1"] + flow["CB-1"],
    ]
    np.testing.assert_allclose(grid.interchange_mw(grid.flows_mw(state)), by_hand, atol=1e-9)
    assert abs(sum(by_hand)) < 1e-6


def test_no_unit_is_moved_faster_than_its_ramp() -> None:
    """Base points from one end of every unit's range to the other, regulation on top: the governor's set-point keeps the nameplate ramp."""
    grid = physics()
    states = [grid.start(MORNING_NS, all_closed())]
    thermal = [u for u in grid.case.units if u.control == "dispatchable"]
    for number in range(4):
        base = {u.id: (u.p_max_mw if (k + number) % 2 else 0.0) for k, u in enumerate(thermal)}
        states += run(grid, grid.with_base_points(states[-1], base), 120)
    dispatch = np.array([s.dispatch_mw for s in states])
    limit = np.array([u.ramp_mw_per_min / 60.0 for u in grid.case.units])
    steps = np.abs(np.diff(dispatch, axis=0))
    where = np.array([u.control == "dispatchable" for u in grid.case.units])
    assert (steps[:, where] <= limit[where] + 1e-9).all()
    assert (steps[:, where] > 0.9 * limit[where]).any(axis=0).sum() > 30, "most units should have been pressed to their ramp"


def test_units_reach_their_base_points_and_stay_within_their_limits() -> None:
    """After the five minutes a base point is given, plus regulation's own movement, a unit is where it was told to be."""
    grid = physics()
    start = grid.start(MORNING_NS, all_closed())
    base = {u.id: float(start.base_mw[k]) for k, u in enumerate(grid.case.units) if u.control == "dispatchable"}
    on = [u for u in grid.case.units if base.get(u.id, 0.0) > u.p_min_mw + 20.0]
    assert on
    base[on[0].id] -= 15.0
    state = run(grid, grid.with_base_points(start, base), 320)[-1]
    k = grid.columns.unit_index[on[0].id]
    assert state.dispatch_mw[k] - state.share_mw[k] == pytest.approx(base[on[0].id], abs=0.5)
    p_max = np.array([u.p_max_mw for u in grid.case.units])
    assert (state.dispatch_mw >= 0.0).all()
    assert (state.dispatch_mw <= p_max + 1e-9).all()


def test_a_base_point_below_what_is_available_curtails_and_one_at_it_does_not() -> None:
    grid = physics()
    start = grid.start(instant_ns("2026-06-10T12:00:00+08:00"), all_closed())
    wind = grid.columns.unit_index["122_WIND_1"]
    assert grid.day.at(start.ts_ns).available_mw[wind] > 100.0
    held = run(grid, grid.with_base_points(start, {"122_WIND_1": 50.0}), 310)[-1]
    assert held.dispatch_mw[wind] - held.share_mw[wind] == pytest.approx(50.0, abs=2.0)
    free = run(grid, grid.with_base_points(held, {"122_WIND_1": 713.5}), 600)[-1]
    assert free.dispatch_mw[wind] == pytest.approx(grid.day.at(free.ts_ns).available_mw[wind], abs=2.0)


def test_frequency_comes_back_after_a_step_of_100_mw() -> None:
    """The dip is what droop and damping allow; regulation then brings frequency and interchange back."""
    at_ns = MORNING_NS + 60 * NS_PER_S
    grid = stepped(physics(), at_ns, {"215": 100.0})
    calm = run(grid, grid.start(MORNING_NS, all_closed()), 59)[-1]
    assert abs(grid.area_deviation_hz(calm)[0]) < 5e-3
    after = run(grid, calm, 900)
    dip = [float(grid.area_deviation_hz(s)[0]) for s in after]
    # By hand: 100 MW over the damping of the load (3 %/Hz) alone is the deepest it can be, over the droop of everything the shallowest.
    deepest = 100.0 / (0.03 * float(calm.load_mw.sum()))
    capacity = sum(u.p_max_mw for u in grid.case.units if u.control != "fixed")
    shallowest = 100.0 / (0.03 * float(after[0].load_mw.sum()) + capacity / 2.5)
    assert shallowest < -min(dip[:60]) < deepest
    assert min(dip[:60]) < -0.01
    assert max(abs(f) for f in dip[-60:]) < 0.02
    export = [grid.interchange_mw(grid.flows_mw(s)) - grid.schedule_mw(s) for s in after[-60:]]
    assert float(np.abs(export).max()) < 15.0
    assert BIAS_MW_PER_0P1HZ < 0


def test_same_seed_same_bytes_and_another_seed_another_grid() -> None:
    first, second = (run(Physics(physics().case, SEED), physics().start(MORNING_NS, all_closed()), 90)[-1] for _ in range(2))
    assert bytes_of(first) == bytes_of(second)
    other = Physics(physics().case, SEED + 1)
    assert bytes_of(run(other, other.start(MORNING_NS, all_closed()), 5)[-1]) != bytes_of(
        run(physics(), physics().start(MORNING_NS, all_closed()), 5)[-1]
    )


def test_started_in_mid_day_the_grid_is_where_it_would_have_come_to() -> None:
    """Loads and nature are the same to the bit; units, moved by the same base points, to a few MW."""
    grid = physics()
    early = grid.start(MORNING_NS, all_closed())
    base = {u.id: float(early.base_mw[k]) for k, u in enumerate(grid.case.units)}
    through = run(grid, grid.with_base_points(early, base), 400)[-1]
    late = run(grid, grid.start(MORNING_NS + 400 * NS_PER_S, all_closed(), base), 1)[0]
    again = run(grid, through, 1)[0]
    np.testing.assert_array_equal(grid.day.at(late.ts_ns).load_mw, grid.day.at(again.ts_ns).load_mw)
    assert abs(float((late.output_mw - through.output_mw).sum())) < 40.0
    assert abs(float(grid.area_deviation_hz(late)[0])) < 0.01


def test_areas_torn_apart_live_on_each_by_itself() -> None:
    """All ties open: three islands, each balanced, none collapsed though some shed load, none chasing an exchange it cannot make."""
    grid = physics()
    state = grid.start(instant_ns("2026-06-10T13:00:00+08:00"), all_closed())
    states = run(grid, state, 900, opened(*TIES))
    assert max(balance_error_mw(grid, s) for s in states[::60]) < 1e-6
    assert min(s.served.min() for s in states) > 0.8
    assert max(float(np.abs(grid.area_deviation_hz(s)).max()) for s in states) <= LIMIT_HZ
    assert float(np.abs(grid.area_deviation_hz(states[-1])).max()) < 0.5
    np.testing.assert_allclose(grid.interchange_mw(grid.flows_mw(states[-1])), 0.0, atol=1e-9)


def test_a_bus_cut_off_is_dead_and_comes_back() -> None:
    """Bus 108 has load and no unit: alone it reads nothing; joined again its load comes back little by little."""
    grid = physics()
    net = grid.case.network
    bus = net.bus_index["108"]
    around = [net.branch_ids[k] for k in range(net.n_branches) if bus in (net.from_bus[k], net.to_bus[k])]
    alone = run(grid, grid.start(MORNING_NS, all_closed()), 10, opened(*around))[-1]
    assert alone.load_mw[bus] == 0.0
    assert not grid.alive(alone)[bus]
    assert grid.alive(alone).sum() == net.n_buses - 1
    back = run(grid, alone, 300)
    assert back[0].load_mw[bus] < 0.1 * back[-1].load_mw[bus]
    assert back[-1].served[bus] == pytest.approx(1.0)
    assert max(balance_error_mw(grid, s) for s in back[::30]) < 1e-6


def test_everything_open_is_dark_or_stands_alone_and_nothing_raises() -> None:
    grid = physics()
    states = run(grid, grid.start(MORNING_NS, all_closed()), 30, ~all_closed())
    assert max(balance_error_mw(grid, s) for s in states[::10]) < 1e-6
    assert all(np.isfinite(getattr(states[-1], spec.name)).all() for spec in fields(states[-1]) if spec.name != "ceiling_mw")
    assert not grid.alive(states[-1]).all()


def test_counters_count_what_the_meters_show() -> None:
    grid = physics()
    states = run(grid, grid.start(MORNING_NS, all_closed()), 100)
    energy = sum(s.output_mw for s in states[1:]) / 3600.0
    np.testing.assert_allclose(states[-1].unit_mwh - states[0].unit_mwh, np.maximum(energy, 0.0), atol=1e-9)


def test_an_unknown_unit_is_refused() -> None:
    grid = physics()
    with pytest.raises(KeyError, match="nobody"):
        grid.with_base_points(grid.start(MORNING_NS, all_closed()), {"nobody": 1.0})
