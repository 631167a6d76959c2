"""A ring with a phase shifter in an island where nothing lives: no angle drives power round, and no limit there costs anything."""

from __future__ import annotations

import pytest

from market.engine import ClearingEngine
from market.monitor import Section
from market.outcomes import Cleared, ClearingInputs, OutcomeStatus, PeriodAhead
from market.params import ClearingParams
from tests.kit.grids import network, unit

LINES = [("1", "2", 0.1, 100.0), ("2", "3", 0.1, 5.0), ("3", "4", 0.1, 5.0), ("2", "4", 0.1, 5.0)]
NET = network(("1", "2", "3", "4"), LINES, shift_rad=[0.0, 0.3, 0.0, 0.0])
"""The ring of 2, 3 and 4 hangs on L1; its shifter alone drives 100 MW round it."""


def cleared(*out_of_service: str, ahead: tuple[PeriodAhead, ...] = ()) -> Cleared:
    engine = ClearingEngine(NET, [unit("a", "1", (50.0, 10.0))], ClearingParams())
    said = {"output_mw": {"a": 10.0}, "available_mw": {}, "ahead": ahead, "out_of_service": out_of_service}
    outcome = engine.clear(ClearingInputs(interval_start_ns=0, frozen_at_ns=0, load_mw={"1": 20.0}, **said), completed_at_ns=0)
    assert isinstance(outcome, Cleared), outcome
    return outcome


def test_a_shifter_in_a_dead_island_drives_nothing_and_costs_nothing():
    alive = cleared()
    assert {violation.id for violation in alive.violations} == {"L2", "L3", "L4"}
    dead = cleared("L1")
    assert (dead.status, dead.violations, dead.penalty_per_h) == (OutcomeStatus.OK, (), 0.0)
    assert dead.flow_mw == {"L2": 0.0, "L3": 0.0, "L4": 0.0}
    assert dead.lmp_per_mwh == {"1": pytest.approx(10.0)}


def test_a_period_ahead_in_which_all_is_dead_is_no_defect_of_the_engine():
    found = cleared("L1", ahead=(PeriodAhead(load_mw={"1": 20.0}, available_mw={}, units_off=("a",)),))
    assert found.ahead_energy_per_mwh == (None,)


def test_a_section_over_a_dead_shifter_and_a_live_line_counts_the_live_line_alone():
    wires = network(("1", "2", "3", "4", "5"), [*LINES, ("1", "5", 0.1, 100.0)], shift_rad=[0.0, 0.3, 0.0, 0.0, 0.0])
    section = Section(id="both", members=(("L2", 1.0), ("L5", 1.0)), low_mw=-15.0, high_mw=15.0)
    units = [unit("a", "1", (50.0, 10.0)), unit("b", "5", (50.0, 40.0))]
    said = {"output_mw": {"a": 10.0, "b": 0.0}, "available_mw": {}, "out_of_service": ("L1",)}
    inputs = ClearingInputs(interval_start_ns=0, frozen_at_ns=0, load_mw={"5": 20.0}, **said)
    outcome = ClearingEngine(wires, units, ClearingParams(), sections=(section,)).clear(inputs, completed_at_ns=0)
    assert isinstance(outcome, Cleared), outcome
    assert outcome.dispatch_mw == pytest.approx({"a": 15.0, "b": 5.0})
    assert outcome.lmp_per_mwh == pytest.approx({"1": 10.0, "5": 40.0})


def test_a_least_flow_that_nothing_can_drive_in_a_period_ahead_is_no_defect_of_the_engine():
    section = Section(id="least", members=(("L1", 1.0),), low_mw=5.0, high_mw=50.0)
    wires = network(("1", "2"), [("1", "2", 0.1, 100.0)])
    ahead = (PeriodAhead(load_mw={"2": 20.0}, available_mw={}, units_off=("a",)),)
    said = {"output_mw": {"a": 10.0}, "available_mw": {}, "ahead": ahead}
    inputs = ClearingInputs(interval_start_ns=0, frozen_at_ns=0, load_mw={"2": 20.0}, **said)
    outcome = ClearingEngine(wires, [unit("a", "1", (50.0, 10.0))], ClearingParams(), sections=(section,)).clear(inputs, completed_at_ns=0)
    assert isinstance(outcome, Cleared), outcome
    assert outcome.ahead_energy_per_mwh == (None,)
    assert outcome.violations == ()
