"""One interval from inputs to outcome, on paper, and everything that can go wrong."""

from __future__ import annotations

import dataclasses

import pytest

from market.certificate import TOLERANCES
from market.engine import CASE_PARAMS, ClearingEngine, clear_case
from market.errors import CaseError
from market.offers import Control, Segment
from market.outcomes import Cleared, ClearingFailed, ClearingInputs, FailureReason, OutcomeStatus
from market.params import ClearingParams
from tests.kit import pglib
from tests.kit.grids import case, network, triangle, unit


def cleared(outcome) -> Cleared:
    assert isinstance(outcome, Cleared), outcome
    assert outcome.certificate.passed
    return outcome


def test_textbook_prices_of_the_pjm_five_bus_system():
    """Li and Bo, Small Test Systems for Power System Economic Studies, 2010: 16.98, 26.38, 30.00, 39.94 and 10.00 $/MWh."""
    outcome = cleared(clear_case(pglib.read("5_pjm")))
    assert list(outcome.lmp_per_mwh.values()) == pytest.approx([16.98, 26.38, 30.00, 39.94, 10.00], abs=0.005)
    assert list(outcome.dispatch_mw.values()) == pytest.approx([40.0, 170.0, 323.49, 0.0, 466.51], abs=0.005)


def test_the_triangle_in_full():
    outcome = cleared(clear_case(triangle()))
    assert outcome.dispatch_mw == pytest.approx({"cheap": 50.0, "dear": 50.0})
    assert outcome.lmp_per_mwh == pytest.approx({"1": 10.0, "2": 20.0, "3": 30.0})
    assert outcome.congestion_per_mwh == pytest.approx({"1": -20.0, "2": -10.0, "3": 0.0})
    assert outcome.flow_mw == pytest.approx({"L1": 0.0, "L2": 50.0, "L3": 50.0}, abs=1e-9)
    assert (outcome.objective_per_h, outcome.uniform_price_per_mwh) == pytest.approx((1500.0, 30.0))
    (line,) = outcome.binding
    assert (line.kind, line.id, line.outage) == ("line", "L2", None)
    assert (line.flow_mw, line.limit_mw, line.shadow_price) == pytest.approx((50.0, 50.0, 30.0))
    assert outcome.hashes.keys() == {"input", "topology", "parameters", "result"}


def test_loads_and_offers_replace_those_of_the_case():
    outcome = cleared(clear_case(triangle(), {"3": 10.0}, {"cheap": [Segment(4.0, 12.0), Segment(20.0, 25.0)]}))
    assert outcome.dispatch_mw == pytest.approx({"cheap": 4.0, "dear": 6.0})
    assert outcome.objective_per_h == pytest.approx(4 * 12 + 6 * 20)


def test_replacing_every_load_by_itself_changes_nothing():
    read = pglib.read("300_ieee")  # which has shunts
    same = dict(zip(read.network.bus_ids, read.load_mw.tolist(), strict=True))
    assert clear_case(read, same) == clear_case(read)


@pytest.mark.parametrize(
    ("loads", "offers", "message"),
    [
        ({"9": 1.0}, {}, "loads for buses it does not have: 9"),
        ({}, {"9": [Segment(1.0, 1.0)]}, "offers for units it does not have: 9"),
        ({}, {"cheap": [Segment(1.0, 2.0), Segment(1.0, 1.0)]}, "unit cheap: the price falls in segment 2"),
    ],
)
def test_replacements_for_what_the_case_does_not_have(loads, offers, message):
    with pytest.raises(CaseError, match=message):
        clear_case(triangle(), loads, offers)


def test_an_offer_for_a_unit_out_of_service_is_refused():
    idle = dataclasses.replace(triangle(), units_off=("dear",))
    with pytest.raises(CaseError, match="out of service: dear"):
        clear_case(idle, offers={"dear": [Segment(1.0, 1.0)]})
    assert cleared(clear_case(idle)).dispatch_mw["dear"] == 0.0


def test_a_load_that_is_no_number_fails_the_case():
    outcome = clear_case(triangle(), {"3": float("nan")})
    assert isinstance(outcome, ClearingFailed)
    assert outcome.reason is FailureReason.INPUT_INVALID


def test_a_dead_bus_has_no_price_and_its_load_is_shed():
    net = network(("1", "2", "3"), [("1", "2", 0.1, 1e3)])
    outcome = cleared(clear_case(case(net, [unit("a", "1", (100.0, 10.0))], {"2": 40.0, "3": 5.0})))
    assert outcome.lmp_per_mwh.keys() == {"1", "2"}
    assert [(v.kind, v.id, v.mw) for v in outcome.violations] == [("shed", "3", 5.0)]
    assert outcome.status is OutcomeStatus.OK_VIOLATION
    assert outcome.penalty_per_h == pytest.approx(5 * CASE_PARAMS.balance_penalty_per_mwh)


def test_consumers_written_as_units_with_negative_output_rest_in_a_dead_island():
    net = network(("1", "2", "3"), [("1", "2", 0.1, 1e3)])
    pump = unit("pump", "3", (20.0, 5.0), p_min_mw=-20.0)
    outcome = cleared(clear_case(case(net, [unit("a", "1", (100.0, 10.0)), pump], {"2": 40.0})))
    assert outcome.dispatch_mw == {"a": 40.0, "pump": 0.0}


def test_no_unit_at_all_is_a_failure_with_a_reason():
    outcome = clear_case(dataclasses.replace(triangle(), units_off=("cheap", "dear")))
    assert isinstance(outcome, ClearingFailed)
    assert (outcome.reason, outcome.detail[:14]) == (FailureReason.INPUT_INVALID, "no unit is on ")


def test_a_solver_that_does_not_finish_is_a_failure_with_a_reason():
    outcome = clear_case(triangle(), params=dataclasses.replace(CASE_PARAMS, rounds_max=1))
    assert isinstance(outcome, ClearingFailed)
    assert outcome.reason is FailureReason.SOLVER_STATUS
    assert "still changing after 1 rounds" in outcome.detail


def test_a_certificate_that_does_not_hold_is_a_failure_with_the_residual_named(monkeypatch):
    monkeypatch.setitem(TOLERANCES, "stationarity_per_mwh", -1.0)
    outcome = clear_case(triangle())
    assert isinstance(outcome, ClearingFailed)
    assert outcome.reason is FailureReason.KKT_FAILED
    assert "stationarity_per_mwh" in outcome.detail


def test_too_many_segments_are_refused_by_name():
    many = unit("G", "1", *((1.0, float(k)) for k in range(11)))
    with pytest.raises(CaseError, match="unit G: 11 segments, at most 10"):
        ClearingEngine(triangle().network, [many], ClearingParams())


NET = triangle().network
UNITS = (
    unit("coal", "1", (60.0, 100.0), p_min_mw=40.0, ramp_mw_per_min=1.0),
    unit("gas", "2", (100.0, 300.0), ramp_mw_per_min=5.0),
    unit("roof", "3", (10.0, 0.0), control=Control.FIXED),
    unit("wind", "1", (50.0, 0.0), control=Control.CURTAILABLE),
)
INPUTS = ClearingInputs(
    interval_start_ns=900,
    frozen_at_ns=0,
    load_mw={"3": 100.0},
    output_mw={"coal": 50.0, "gas": 20.0},
    available_mw={"wind": 20.0, "roof": 6.0},
    used_points=1000,
)


@pytest.fixture
def engine() -> ClearingEngine:
    return ClearingEngine(NET, UNITS, ClearingParams(), load_buses=["3"])


def run(engine: ClearingEngine, **change: object):
    return engine.clear(dataclasses.replace(INPUTS, **change), completed_at_ns=1234)


def test_a_market_interval_on_paper(engine):
    """Load 100 less roof 6 leaves 94 MW for coal and wind at bus 1 (c) and gas at bus 2 (g), with L2 at its 50 MW: (2c + g)/3 = 50.

    So c = 56 and g = 38; coal cannot go below 40 MW, and 4 MW of the 20 MW of wind are left at 15 CNY/MWh. Bus 1 is worth what that
    saves, −15, bus 2 its gas, 300, and bus 3 twice the one less the other, 615.
    """
    outcome = cleared(run(engine))
    assert outcome.dispatch_mw == pytest.approx({"coal": 40.0, "gas": 38.0, "roof": 6.0, "wind": 16.0})
    assert outcome.lmp_per_mwh["1"] == 0.0  # clipped to the floor
    assert outcome.lmp_per_mwh["2"] == pytest.approx(300.0)
    assert outcome.lmp_per_mwh["3"] == pytest.approx(615.0)
    assert outcome.penalty_per_h == pytest.approx(4 * 15)
    assert outcome.objective_per_h == pytest.approx(38 * 300)
    assert (outcome.interval_start_ns, outcome.completed_at_ns, outcome.status) == (900, 1234, OutcomeStatus.OK)


def test_the_price_is_clipped_to_the_cap(engine):
    outcome = cleared(run(engine, load_mw={"3": 400.0}))
    assert outcome.status is OutcomeStatus.OK_VIOLATION
    assert max(outcome.lmp_per_mwh.values()) == 1500.0
    assert {v.kind for v in outcome.violations} <= {"line", "shed"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"load_mw": {}}, FailureReason.INPUT_MISSING),
        ({"load_mw": {"3": float("nan")}}, FailureReason.INPUT_INVALID),
        ({"stale_points": 101}, FailureReason.INPUT_STALE),
        ({"out_of_service": ("L7",)}, FailureReason.INPUT_INVALID),
    ],
)
def test_inputs_that_cannot_be_cleared_are_failures_not_exceptions(engine, change, reason):
    outcome = run(engine, **change)
    assert isinstance(outcome, ClearingFailed)
    assert outcome.reason is reason
    assert (outcome.interval_start_ns, outcome.completed_at_ns) == (900, 1234)


def test_stale_points_degrade_the_result(engine):
    assert run(engine, stale_points=10).status is OutcomeStatus.OK
    assert run(engine, stale_points=11).status is OutcomeStatus.OK_DEGRADED


def test_the_same_inputs_give_the_same_bytes(engine):
    first = run(engine)
    assert run(engine) == first
    again = ClearingEngine(NET, tuple(reversed(UNITS)), ClearingParams(), load_buses=["3"])
    assert again.clear(INPUTS, completed_at_ns=1234) == first
    # Neither does what was cleared before leave a trace, nor the order in which the inputs are written.
    run(engine, out_of_service=("L2",), load_mw={"3": 60.0})
    assert run(engine, output_mw={"gas": 20.0, "coal": 50.0}) == first


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        ({"load_mw": {"3": 101.0}}, {"input", "result"}),
        ({"out_of_service": ("L1",)}, {"input", "topology", "result"}),
        ({"interval_start_ns": 901}, {"input"}),
        ({"frozen_at_ns": 7, "notes": ("a note",)}, set()),
    ],
)
def test_each_hash_moves_with_what_it_stands_for(engine, change, moved):
    before, after = run(engine).hashes, run(engine, **change).hashes
    assert {name for name in before if before[name] != after[name]} == moved


def test_the_parameters_hash_moves_with_a_parameter(engine):
    other = ClearingEngine(NET, UNITS, dataclasses.replace(ClearingParams(), balance_multiple=31.0), load_buses=["3"])
    before, after = run(engine).hashes, other.clear(INPUTS, completed_at_ns=1234).hashes
    assert {name for name in before if before[name] != after[name]} == {"parameters"}


def test_topologies_are_remembered_and_do_not_pile_up(engine):
    assert engine.topology(("L1",)) is engine.topology(["L1", "L1"])
    for k in range(40):
        engine.topology((f"L{1 + k % 3}",) if k % 2 else ())
    assert len(engine._monitors) <= 16
    with pytest.raises(CaseError, match="branches the network does not have: L9"):
        engine.topology(("L9",))


def test_an_open_line_changes_the_flows(engine):
    outcome = cleared(run(engine, out_of_service=("L2",)))
    assert outcome.flow_mw.keys() == {"L1", "L3"}
    assert outcome.flow_mw["L3"] == pytest.approx(94.0)
    assert not outcome.binding


def test_load_buses_must_exist():
    with pytest.raises(CaseError, match="load buses the network does not have: 9"):
        ClearingEngine(NET, UNITS, ClearingParams(), load_buses=["9"])


def test_a_bus_that_died_is_given_the_price_of_the_nearest_live_one_and_says_so():
    net = network(("1", "2", "3", "4"), [("1", "2", 0.1, 1e3), ("2", "3", 0.1, 1e3), ("1", "4", 0.05, 1e3), ("4", "3", 0.3, 1e3)])
    engine = ClearingEngine(net, [unit("a", "1", (100.0, 10.0))], ClearingParams(), load_buses=["2", "3"])
    said = ClearingInputs(
        interval_start_ns=0,
        frozen_at_ns=0,
        load_mw={"2": 40.0, "3": 5.0},
        output_mw={"a": 45.0},
        available_mw={},
        out_of_service=("L2", "L4"),
    )
    outcome = cleared(engine.clear(said, completed_at_ns=0))
    assert "3" not in outcome.lmp_per_mwh
    assert outcome.substitute_bus == {"3": "2"}


@pytest.mark.parametrize(("load_mw", "price_per_mwh", "kind"), [(50.0, 1500.0, "shed"), (10.0, 0.0, "spill")])
def test_an_island_in_which_no_unit_offers_is_at_the_cap_while_load_is_shed_and_at_the_floor_while_power_is_left(
    load_mw, price_per_mwh, kind
):
    """Rooftop plant gives its 30 MW whatever they are worth."""
    net = network(("1", "2"), [("1", "2", 0.1, 1e3)])
    roof = unit("roof", "1", (30.0, 0.0), control=Control.FIXED)
    engine = ClearingEngine(net, [roof], ClearingParams(), load_buses=["2"])
    said = ClearingInputs(
        interval_start_ns=0, frozen_at_ns=0, load_mw={"2": load_mw}, output_mw={"roof": 30.0}, available_mw={"roof": 30.0}
    )
    outcome = cleared(engine.clear(said, completed_at_ns=0))
    assert outcome.lmp_per_mwh == {"1": price_per_mwh, "2": price_per_mwh}
    assert [(v.kind, v.mw) for v in outcome.violations] == [(kind, pytest.approx(20.0))]
