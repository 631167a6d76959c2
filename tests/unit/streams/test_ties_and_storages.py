"""Tie-lines and storages from the point list to the schedule: what must be measured, and what counts as an area's export."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ingest.points import PointTable
from market.engine import ClearingEngine
from market.errors import CaseError, ConfigError
from market.offers import Segment
from market.outcomes import Cleared, ClearingFailed, ClearingInputs, FailureReason
from market.params import ClearingParams
from market.resources import Resources
from market.storage import Storage
from streams.clearing import plan_of
from streams.clearingfile import ClearingSetup
from streams.model import market_model
from streams.settings import ControlModel, NetworkModel
from tests.kit.grids import network, unit
from tests.kit.rts_day import rts_table
from tests.kit.three_areas import RULES

AREA = {"A": "1", "B": "2"}
NET = replace(network(("A", "B"), [("A", "B", 0.1, 500.0)]), bus_area=("1", "2"))
BATTERY = Storage(
    id="battery",
    bus="B",
    area="2",
    charge_mw=40.0,
    discharge_mw=40.0,
    energy_max_mwh=80.0,
    charge_efficiency=1.0,
    discharge_efficiency=1.0,
    offers=(Segment(40.0, 50.0),),
)
ENGINE = ClearingEngine(NET, [unit("a", "A", (100.0, 10.0))], ClearingParams(), resources=Resources(storages=(BATTERY,)), tie_buses=("A",))
INPUTS = ClearingInputs(
    interval_start_ns=0,
    frozen_at_ns=0,
    load_mw={"A": 0.0, "B": 140.0},
    output_mw={"a": 100.0},
    available_mw={},
    tie_mw={"A": 15.0},
    soc_mwh={"battery": 80.0},
)


def test_what_tie_lines_bring_and_storages_give_is_part_of_the_schedule_of_an_area() -> None:
    """Area 1 sends its 100 MW and the 15 of the tie-line; area 2 takes them and 25 from its battery."""
    outcome = ENGINE.clear(INPUTS, completed_at_ns=0)
    assert isinstance(outcome, Cleared), outcome
    plan = plan_of(outcome, INPUTS, ENGINE.book, AREA, RULES, {"battery": "B"})
    assert plan.interchange_mw == pytest.approx({"1": 115.0, "2": -115.0})
    assert plan.interchange_mw["1"] == pytest.approx(outcome.flow_mw["L1"])
    assert plan.congestion_rent_cny_per_h == pytest.approx(0.0, abs=1e-6)


def test_a_tie_line_that_was_never_measured_is_missing_and_not_zero() -> None:
    outcome = ENGINE.clear(replace(INPUTS, tie_mw={}), completed_at_ns=0)
    assert isinstance(outcome, ClearingFailed)
    assert outcome.reason is FailureReason.INPUT_MISSING
    assert "tie-lines at buses A" in outcome.detail
    with pytest.raises(CaseError, match="tie-lines at buses the network does not have: Z"):
        ClearingEngine(NET, [unit("a", "A", (100.0, 10.0))], ClearingParams(), tie_buses=("Z",))


def test_a_storage_without_a_point_for_its_energy_is_refused_at_the_start() -> None:
    setup, table = ClearingSetup(resources=Resources(storages=(replace(BATTERY, bus="101"),))), rts_table()
    with pytest.raises(ConfigError, match="there is no point storage/battery/mwh"):
        market_model(NetworkModel(rts_gmlc="shipped"), table, RULES, ControlModel(), day_ahead=False, setup=setup)
    metered = PointTable([*table.specs, replace(table.specs[0], name="storage/battery/mwh"), replace(table.specs[0], name="tie/102/mw")])
    model = market_model(NetworkModel(rts_gmlc="shipped"), metered, RULES, ControlModel(), day_ahead=False, setup=setup)
    assert model.engine.tie_buses == {"102"}
