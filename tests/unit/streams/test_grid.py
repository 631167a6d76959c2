"""The process image, the key figures on it, and when what is frozen."""

from __future__ import annotations

import pytest

from market.outcomes import Cleared, ClearingInputs
from market.rules import rules_from
from market.units import NS_PER_MIN, NS_PER_S, day_start_ns, instant_ns
from streams import clearing
from streams.clearing import DayAheadPlan, DayAheadWanted, IntervalPlan
from streams.grid import GridProcessor, GridState, decode_state, encode_state
from streams.image import AreaSnapshot
from streams.intake import AreaIntake
from streams.kpis import KpiFrame
from streams.marketmodel import MarketModel
from streams.model import market_model
from streams.settings import ControlModel, NetworkModel
from tests.kit.rts_day import frames_at, rts_table, values_at

RULES = rules_from({"rt_interval_min": 5, "top_voltage_kv": 230})
NINE = instant_ns("2020-01-01T09:00:00+08:00")
PERIOD = 9 * 12


@pytest.fixture(scope="module")
def model() -> MarketModel:
    return market_model(NetworkModel(rts_gmlc="shipped"), rts_table(), RULES, ControlModel(), day_ahead=True)


def snapshots(ts_ns: int, model: MarketModel, open_branches: tuple[str, ...] = (), **changed: float) -> list[AreaSnapshot]:
    """One tick of the whole grid, through intake."""
    values = values_at(PERIOD, open_branches) | {name.replace("__", "/"): value for name, value in changed.items()}
    found = []
    for area in rts_table().areas:
        unit = AreaIntake(area, rts_table().of_area(area), model.rating_mw, 1.0)
        for frame in frames_at(ts_ns - NS_PER_S, 1, values):
            if frame.area == area:
                unit.take(frame)
        snapshot = unit.tick(ts_ns).snapshot
        assert snapshot is not None
        found.append(snapshot)
    return found


def plan_for(model: MarketModel, *off: str) -> DayAheadPlan:
    on = tuple(unit for unit in model.grid.units if unit not in off)
    return DayAheadPlan(ts_event_ns=0, day="2020-01-01", units_on=(on,) * 24)


def run(processor: GridProcessor, *records: AreaSnapshot | IntervalPlan | DayAheadPlan) -> list[object]:
    return [effect for record in records for effect in processor.take(record)]


def test_key_figures_wait_for_every_area_and_come_once(model: MarketModel) -> None:
    processor = GridProcessor(model.grid)
    first, second, third = snapshots(NINE, model)
    assert run(processor, first, second) == []
    assert [type(e) for e in run(processor, third)] == [KpiFrame, DayAheadWanted]
    assert run(processor, first, second, third) == []


def test_key_figures_of_the_day(model: MarketModel) -> None:
    frame = run(GridProcessor(model.grid), *snapshots(NINE, model))[0]
    assert isinstance(frame, KpiFrame)
    assert model.case is not None
    expected_mw = float(model.case.real_time.load_mw[PERIOD].sum())
    assert frame.system["load_mw"] == pytest.approx(expected_mw)
    assert frame.system["generation_mw"] == pytest.approx(expected_mw)
    assert frame.system["frequency_hz"] == 50.0
    assert sum(frame.areas[a]["interchange_mw"] for a in frame.areas) == pytest.approx(0.0, abs=1e-6)
    assert sum(frame.generation_mw_by_fuel.values()) == pytest.approx(expected_mw)
    assert frame.system["telemetry_availability_pct"] == 100.0
    assert len(frame.worst_lines) == 10
    assert "ace_mw" not in frame.areas["1"], "no schedule, no control error"


def test_schedule_makes_the_control_figures(model: MarketModel) -> None:
    processor = GridProcessor(model.grid)
    schedule = IntervalPlan(
        ts_event_ns=NINE,
        interval_start_ns=NINE,
        interchange_mw={"1": -100.0, "2": 0.0, "3": 100.0},
        average_lmp_cny_per_mwh=200.0,
        uniform_price_cny_per_mwh=210.0,
        congestion_rent_cny_per_h=1000.0,
    )
    frame = run(processor, schedule, *snapshots(NINE, model))[0]
    assert isinstance(frame, KpiFrame)
    one = frame.areas["1"]
    assert one["tie_deviation_mw"] == pytest.approx(one["interchange_mw"] + 100.0)
    assert one["ace_mw"] == pytest.approx(one["tie_deviation_mw"])
    assert frame.system["uniform_price_cny_per_mwh"] == 210.0
    later = run(processor, *snapshots(NINE + 5 * NS_PER_MIN, model))[0]
    assert isinstance(later, KpiFrame)
    assert "uniform_price_cny_per_mwh" not in later.system, "a price of an interval that is over is no price"
    assert "ace_mw" in later.areas["1"], "the schedule goes on while nothing clears"


def test_inputs_are_frozen_at_the_gate_once_per_interval(model: MarketModel) -> None:
    processor = GridProcessor(model.grid)
    run(processor, plan_for(model))
    frozen = []
    for second in range(0, 11 * 60, 10):
        frozen += [e for e in run(processor, *snapshots(NINE + second * NS_PER_S, model)) if isinstance(e, ClearingInputs)]
    assert [(f.interval_start_ns - NINE) // NS_PER_MIN for f in frozen] == [0, 5, 10]
    assert [(f.frozen_at_ns - NINE) // NS_PER_S for f in frozen] == [0, 240, 540]


def test_nothing_is_frozen_before_the_commitment_is_known(model: MarketModel) -> None:
    processor = GridProcessor(model.grid)
    assert not any(isinstance(e, ClearingInputs) for e in run(processor, *snapshots(NINE, model)))
    run(processor, plan_for(model))
    assert any(isinstance(e, ClearingInputs) for e in run(processor, *snapshots(NINE + 10 * NS_PER_S, model)))


def frozen_inputs(model: MarketModel, *off: str, open_branches: tuple[str, ...] = (), **changed: float) -> ClearingInputs:
    processor = GridProcessor(model.grid)
    run(processor, plan_for(model, *off))
    effects = run(processor, *snapshots(NINE, model, open_branches, **changed))
    (found,) = [e for e in effects if isinstance(e, ClearingInputs)]
    return found


def test_frozen_inputs_clear(model: MarketModel) -> None:
    inputs = frozen_inputs(model)
    outcome = model.engine.clear(inputs, completed_at_ns=NINE)
    assert isinstance(outcome, Cleared), outcome
    assert inputs.stale_points == 0
    plan = clearing.plan_of(outcome, inputs, model.grid.units, model.area_of_bus)
    assert sum(plan.interchange_mw.values()) == pytest.approx(0.0, abs=1e-6)
    rent = sum(b.shadow_price * b.limit_mw for b in outcome.binding)
    assert plan.congestion_rent_cny_per_h == pytest.approx(rent, rel=1e-6, abs=1e-3)


def test_freeze_takes_switches_commitment_and_unusable_values(model: MarketModel) -> None:
    inputs = frozen_inputs(model, "101_CT_1", open_branches=("A27",), load__101__mw=-3.0)
    assert inputs.out_of_service == ("A27",)
    assert inputs.units_off == ("101_CT_1",)
    assert "101_CT_1" in inputs.output_mw, "a unit that is stopping still produces"
    assert inputs.load_mw["101"] == 0.0, "a meter that reads backwards is no negative load"


def test_what_was_never_measured_is_left_out_not_made_up(model: MarketModel) -> None:
    inputs = frozen_inputs(model, load__101__mw=float("nan"))
    assert "101" not in inputs.load_mw
    outcome = model.engine.clear(inputs, completed_at_ns=NINE)
    assert "101" in str(outcome)
    assert not isinstance(outcome, Cleared)


def test_day_ahead_is_asked_for_today_at_once_and_for_tomorrow_at_five(model: MarketModel) -> None:
    processor = GridProcessor(model.grid)
    midnight = day_start_ns("2020-01-01", RULES.zone)
    asked = []
    for minute in (600, 601, 1019, 1020, 1021):
        effects = run(processor, *snapshots(midnight + minute * NS_PER_MIN, model))
        asked += [(minute, e.day) for e in effects if isinstance(e, DayAheadWanted)]
    assert asked == [(600, "2020-01-01"), (1020, "2020-01-02")]


def test_state_round_trips(model: MarketModel) -> None:
    processor = GridProcessor(model.grid)
    run(processor, plan_for(model), *snapshots(NINE, model))
    state = processor.state
    assert decode_state(encode_state(state)) == state
    again = GridProcessor(model.grid, state)
    assert run(again, *snapshots(NINE, model)) == [], "a tick computed before the restart is not computed again"
    assert GridState().last_gated_ns == 0


def test_gate_opens_a_minute_ahead() -> None:
    gate = clearing.due_gate_ns
    assert gate(NINE + 240 * NS_PER_S - 1, NINE, RULES) is None
    assert gate(NINE + 240 * NS_PER_S, NINE, RULES) == NINE + 5 * NS_PER_MIN
    assert gate(NINE + 120 * NS_PER_S, 0, RULES) == NINE, "an interval under way is cleared late rather than not at all"
