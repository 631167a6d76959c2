"""The process image, the key figures on it, and when what is frozen."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from ingest.errors import FrameError
from ingest.points import PointTable
from ingest.quality import is_good
from market.offers import Control, OfferBook
from market.outcomes import Cleared, ClearingInputs
from market.rules import rules_from
from market.units import NS_PER_MIN, NS_PER_S, day_start_ns, instant_ns
from streams import clearing, topics, wire
from streams.clearing import DayAheadPlan, DayAheadWanted, IntervalMarket, IntervalPlan
from streams.grid import GridProcessor, GridState, decode_state, encode_state
from streams.gridpicture import GridPicture
from streams.image import AreaSnapshot, decode_snapshots, encode_snapshot, encode_snapshots, image_of
from streams.intake import AreaIntake
from streams.kpis import KPIS, KpiFrame
from streams.marketmodel import MarketModel
from streams.model import market_model
from streams.settings import ControlModel, NetworkModel
from tests.kit import grids, three_areas
from tests.kit.rts_day import area_table, frames_at, rts_table, values_at
from tests.kit.three_areas import AREAS, TICK_NS, in_parts, measured

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
        unit = AreaIntake(area, area_table(area), model.rating_mw, 1.0)
        for frame in frames_at(ts_ns - NS_PER_S, 1, values):
            if frame.area == area:
                unit.take(frame)
        found += unit.tick(ts_ns).snapshots
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
    assert [type(e) for e in run(processor, third)] == [KpiFrame, GridPicture, DayAheadWanted]
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
    plan = clearing.plan_of(outcome, inputs, model.engine.book, model.area_of_bus, RULES)
    assert sum(plan.interchange_mw.values()) == pytest.approx(0.0, abs=1e-6)
    rent = sum(b.shadow_price * b.limit_mw for b in outcome.binding)
    assert plan.congestion_rent_cny_per_h == pytest.approx(rent, rel=1e-6, abs=1e-3)
    assert plan.market is not None
    lmp = outcome.lmp_per_mwh.values()
    assert (plan.market.buses, plan.market.at_cap) == (73, 0)
    assert plan.market.at_floor == sum(price == 0.0 for price in lmp)
    assert plan.market.nodal_spread_cny_per_mwh == pytest.approx(max(lmp) - min(lmp))
    assert 0.0 < (plan.market.award_hhi or 0.0) < 10_000.0
    assert wire.decode(topics.SNAPSHOTS, wire.encode(plan)) == plan


def test_the_market_of_an_interval_on_paper(model: MarketModel) -> None:
    """G 100 of 50 + 100 MW at 380, p_min 20; H at its minimum; W wind. At bus A 400, at B 390, at the dead bus C nothing.

    Plants: A 100 + 60 of 200 MW, B 40: HHI = 80² + 20². Lerner: (400 − 380)/400, for H is at its minimum and W follows the weather.
    """
    units = [
        grids.unit("G", "A", (50.0, 300.0), (100.0, 380.0), p_min_mw=20.0),
        grids.unit("H", "B", (50.0, 900.0), p_min_mw=40.0),
        grids.unit("W", "A", (100.0, 0.0), control=Control.CURTAILABLE),
    ]
    outcome = model.engine.clear(frozen_inputs(model), completed_at_ns=NINE)
    assert isinstance(outcome, Cleared)
    made = replace(
        outcome, lmp_per_mwh={"A": 400.0, "B": 390.0}, dispatch_mw={"G": 100.0, "H": 40.0, "W": 60.0}, uniform_price_per_mwh=398.0
    )
    inputs = ClearingInputs(interval_start_ns=NINE, frozen_at_ns=NINE, load_mw={"A": 200.0}, output_mw={}, available_mw={})
    book = OfferBook(units, {"A": 0, "B": 1, "C": 2})
    market = clearing.plan_of(made, inputs, book, {"A": "1", "B": "1"}, replace(RULES, price_cap_cny_per_mwh=400.0)).market
    assert market == IntervalMarket(
        buses=2,
        at_cap=1,
        at_floor=0,
        nodal_spread_cny_per_mwh=10.0,
        award_hhi=pytest.approx(6_800.0),
        award_top4_pct=100.0,
        lerner=pytest.approx(0.05),
    )


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
        run(processor, plan_for(model))
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


SMALL = three_areas.model()
SCHEDULE = IntervalPlan(
    ts_event_ns=NINE,
    interval_start_ns=NINE,
    interchange_mw=dict.fromkeys(AREAS, 0.0),
    average_lmp_cny_per_mwh=300.0,
    uniform_price_cny_per_mwh=300.0,
    congestion_rent_cny_per_h=0.0,
)


def tick(second: float, *areas: str, **changed: float) -> list[AreaSnapshot]:
    """The small grid's snapshots of some areas, by default of all, so many seconds after nine."""
    return [three_areas.snapshot(SMALL, area, NINE + round(second * NS_PER_S), measured(**changed)) for area in areas or AREAS]


def frames_of(effects: list[object]) -> list[KpiFrame]:
    return [effect for effect in effects if isinstance(effect, KpiFrame)]


def seconds(effects: list[object]) -> list[float]:
    """When the key figures are of, in seconds after nine."""
    return [(frame.ts_event_ns - NINE) / NS_PER_S for frame in frames_of(effects)]


@pytest.mark.parametrize("gap_s", [10, 60, 245])
def test_a_tick_waits_for_every_area_however_far_ticks_are_apart(gap_s: int) -> None:
    processor = GridProcessor(SMALL)
    run(processor, *tick(0))
    assert run(processor, *tick(gap_s, "1", "2")) == []
    assert seconds(run(processor, *tick(gap_s, "3"))) == [gap_s]


def test_an_area_that_is_ahead_does_not_put_the_future_into_the_image() -> None:
    processor = GridProcessor(SMALL)
    ahead = run(processor, *tick(0, "1"), *tick(10, "1", load__A__mw=500.0), *tick(0, "2", "3"))
    assert [frame.areas["1"]["load_mw"] for frame in frames_of(ahead)] == [100.0]
    assert [frame.areas["1"]["load_mw"] for frame in frames_of(run(processor, *tick(10, "2", "3")))] == [500.0]


def test_an_area_that_skipped_a_tick_is_not_waited_for() -> None:
    processor = GridProcessor(SMALL)
    run(processor, *tick(0))
    assert seconds(run(processor, *tick(10, "1", "2"), *tick(20, "1", "2", "3"))) == [10, 20]


def test_an_area_that_stays_behind_is_given_up_after_a_minute_and_waited_for_when_it_is_back() -> None:
    processor = GridProcessor(SMALL)
    run(processor, *tick(0))
    alone = [(second, seconds(run(processor, *tick(second, "2", "3")))) for second in range(10, 100, 10)]
    assert alone[:6] == [(second, []) for second in range(10, 70, 10)], "a minute of patience"
    assert alone[6:] == [(70, [10, 20, 30, 40, 50, 60, 70]), (80, [80]), (90, [90])], "and none while it stays away"
    assert run(processor, *tick(80, "1")) == [], "what it says of ticks that are over completes nothing"
    assert seconds(run(processor, *tick(100, "1"))) == []
    assert seconds(run(processor, *tick(100, "2", "3"))) == [100]
    assert run(processor, *tick(110, "2", "3")) == [], "it is waited for again"


def test_an_area_that_stops_reporting_turns_stale() -> None:
    processor = GridProcessor(SMALL)
    run(processor, SCHEDULE, *tick(0))
    effects = [effect for second in range(10, 300, 10) for effect in run(processor, *tick(second, "2", "3"))]
    first, last = frames_of(effects)[0], frames_of(effects)[-1]
    assert "ace_mw" in first.areas["1"], "ten seconds old is not stale"
    assert "ace_mw" not in last.areas["1"]
    assert "ace_mw" in last.areas["2"]
    assert last.system["telemetry_availability_pct"] == pytest.approx(100 * 12 / 20)
    assert [(s.source, s.state, s.good, s.age_s) for s in last.sources if s.area == "1"] == [
        ("rtu-1", "stale", 0, 291.0),
        ("wind", "stale", 0, 291.0),
    ]
    (inputs,) = [effect for effect in effects if isinstance(effect, ClearingInputs)]
    assert inputs.stale_points == 4, "load, two units and what one could give, last known values"
    assert inputs.load_mw["A"] == 100.0


def test_points_of_an_area_that_lags_turn_stale_one_by_one() -> None:
    """Stale after three periods of ten seconds: a sample a second old at the snapshot may age by 29 s more."""
    (old,) = tick(0, "1")
    for lag_s, good in [(0, 8), (29, 8), (30, 0)]:
        image = image_of(NINE + lag_s * NS_PER_S, SMALL.table, [old])
        assert (int(image.good.sum()), image.sources[0].state) == (good, "ok" if good else "stale")
    assert is_good(old.values.quality).all()


def test_a_day_ahead_result_that_does_not_come_is_asked_for_again_and_not_waited_for_all_day() -> None:
    processor = GridProcessor(three_areas.model(day_ahead=True))
    effects = run(processor, *(snapshot for minute in range(31) for snapshot in tick(60 * minute)))
    asked = [(e.ts_event_ns - NINE) // NS_PER_MIN for e in effects if isinstance(e, DayAheadWanted)]
    frozen = [(e.frozen_at_ns - NINE) // NS_PER_MIN for e in effects if isinstance(e, ClearingInputs)]
    assert asked == [0, 10, 20, 30]
    assert frozen == [15, 19, 24, 29], "after a quarter of an hour without commitment rather than not at all"
    later = run(processor, DayAheadPlan(ts_event_ns=0, day="2020-01-01", units_on=(("A1",),) * 24), *tick(1_860), *tick(2_040))
    assert [e.units_off for e in later if isinstance(e, ClearingInputs)] == [("B1", "C1", "W")]
    assert [e for e in run(processor, *tick(2_700)) if isinstance(e, DayAheadWanted)] == []


def test_a_unit_that_never_said_what_it_could_give_spoils_no_other_figure() -> None:
    (frame,) = frames_of(run(GridProcessor(SMALL), *tick(0, unit__W__available_mw=float("nan"))))
    assert wire.decode(topics.KPI, wire.encode(frame)) == frame
    assert "curtailment_pct" not in frame.system
    # The three machines could give 200 MW each and give 250 MW together; wind is taken to give what it can.
    assert frame.system["reserve_margin_pct"] == pytest.approx(100 * (600 - 250) / 300)


def test_shares_and_sums_with_an_unmeasured_unit_are_absent_not_partial() -> None:
    (whole,) = frames_of(run(GridProcessor(SMALL), *tick(0)))
    assert whole.system["renewable_share_pct"] == pytest.approx(100 * 50 / 300)
    assert whole.system["curtailment_pct"] == pytest.approx(100 * 30 / 80)
    assert whole.generation_mw_by_fuel == {"other": 250.0, "wind": 50.0}
    (blind,) = frames_of(run(GridProcessor(SMALL), *tick(0, unit__W__mw=float("nan"))))
    assert blind.generation_mw_by_fuel == {"other": 250.0}
    assert not {"generation_mw", "reserve_margin_pct", "renewable_share_pct", "curtailment_pct"} & set(blind.system)
    (dark,) = frames_of(run(GridProcessor(SMALL), *tick(0, unit__B1__mw=float("nan"))))
    assert dark.generation_mw_by_fuel == {"wind": 50.0}
    assert dark.system["renewable_share_pct"] == pytest.approx(100 * 50 / 300), "all of the renewables are known"


def test_the_spacing_of_ticks_is_learnt_and_a_pause_is_not_time_that_was_watched() -> None:
    processor = GridProcessor(SMALL)
    spacing_s = []
    for second in (0, 10, 20, 265.5, 270, 280, 290):
        run(processor, *tick(second))
        spacing_s.append(processor.state.tick_ns / NS_PER_S)
    assert spacing_s == [0, 0, 10, 10, 10, 10, 10]
    assert processor.state.gap_ns == TICK_NS


def course(processor: GridProcessor, seconds: range, *records: IntervalPlan | DayAheadPlan, **changed: float) -> list[KpiFrame]:
    """The key figures of a stretch of ticks on which nothing changes."""
    run(processor, *records)
    return [frame for second in seconds for frame in frames_of(run(processor, *tick(second, **changed)))]


def test_control_is_judged_by_minutes_and_quarters_of_event_time() -> None:
    """Area 1 exports 12 MW beyond schedule at −0.01 Hz: ACE = 12 + 250·(−0.01) = 9.5 MW, K1 = 2 + 9.5·0.01/(250·0.0004) = 2.95.

    −10B = 250 MW/Hz in each of three areas, ε₁₀ = 0.0057 Hz: L10 = 1.65·0.0057·√(250·750) = 4.07 MW, so no ten minutes pass CPS2.
    """
    processor = GridProcessor(SMALL)
    hz = {f"area__{area}__hz": 49.99 for area in AREAS}
    one = course(processor, range(0, 1_000, 10), SCHEDULE, area__1__interchange_mw=12.0, **hz)[-1].areas["1"]
    assert (one["ace_mw"], one["tie_deviation_mw"]) == (9.5, 12.0)
    assert one["baal_mw"] == pytest.approx(-250 * 0.0036 / 0.01)
    assert (one["baal_outside_min"], one["cps_grade"], one["cps_pass_pct"], one["cps2_pct"]) == (0.0, 2.0, 100.0, 0.0)
    assert one["cps_k1_pct"] == pytest.approx(295.0)
    assert one["cps1_pct"] == pytest.approx(295.0)
    assert one["tie_energy_deviation_mwh"] == pytest.approx(3.0)


def test_bounds_of_the_control_figures_are_those_that_were_agreed() -> None:
    wide = replace(SMALL, control=replace(SMALL.control, epsilon10_hz=0.02, frequency_band_hz=0.005))
    hz = {f"area__{area}__hz": 49.99 for area in AREAS}
    last = course(GridProcessor(wide), range(0, 700, 10), SCHEDULE, area__1__interchange_mw=12.0, **hz)[-1]
    assert last.areas["1"]["cps2_pct"] == 100.0, "L10 is 14.3 MW"
    assert last.system["frequency_in_band_pct"] == 0.0
    assert course(GridProcessor(SMALL), range(0, 60, 10), **hz)[-1].system["frequency_in_band_pct"] == 100.0


def test_units_are_given_the_time_their_ramp_needs() -> None:
    """A1 stands at 50 MW and is told 60: 10 MW/min are 1⅔ MW a tick. After 20 s it should be at 53⅓; rated 200 MW, 4 MW are allowed."""
    processor = GridProcessor(SMALL)
    (first,) = course(processor, range(0, 10, 10))
    assert "unit_compliance_pct" not in first.system, "nobody knows where it should have been"
    found = course(processor, range(10, 60, 10), unit__A1__setpoint_mw=60.0)
    assert [f.system["unit_deviation_mw"] for f in found] == pytest.approx([5 / 3, 10 / 3, 5.0, 20 / 3, 25 / 3])
    assert [f.system["unit_compliance_pct"] for f in found] == pytest.approx([100.0, 100.0, 200 / 3, 200 / 3, 200 / 3])


def test_voltages_are_counted_by_bus_and_minute() -> None:
    processor = GridProcessor(SMALL)
    course(processor, range(0, 30, 10))
    last = course(processor, range(30, 90, 10), bus__B__kv=240.0)[-1]
    assert last.system["voltage_outside_buses"] == 1.0
    assert last.system["voltage_outside_min"] == pytest.approx(1.0)
    assert last.system["voltage_in_band_pct"] == pytest.approx(100 * (1 - 6 / 21)), "three buses, seven ticks that stand for a time"


def test_competition_by_plant_and_by_what_is_committed() -> None:
    """Bus A gives 100 MW of 300 and could give 280 (wind 80), B and C 100 each of 200; load 300: S = 680, without A 400 are left."""
    processor = GridProcessor(SMALL)
    frame = course(processor, range(0, 10, 10))[0].system
    assert frame["hhi"] == pytest.approx(3 * (100 / 3) ** 2)
    assert frame["top4_pct"] == 100.0
    assert frame["hhi_capacity"] == pytest.approx((280**2 + 2 * 200**2) / 680**2 * 1e4)
    assert (frame["rsi"], frame["pivotal_suppliers"]) == (pytest.approx(400 / 300), 0.0)
    off = DayAheadPlan(ts_event_ns=0, day="2020-01-01", units_on=(("A1", "B1", "W"),) * 24)
    run(processor, off)
    without = course(processor, range(10, 20, 10))[0].system
    assert (without["rsi"], without["pivotal_suppliers"]) == (pytest.approx(200 / 300), 2.0), "480 MW less 280, and less 200"


def test_clearing_is_judged_when_its_intervals_are_due() -> None:
    processor = GridProcessor(SMALL)
    course(processor, range(0, 300, 10))
    in_time = replace(SCHEDULE, ts_event_ns=NINE + 260 * NS_PER_S, interval_start_ns=NINE + 300 * NS_PER_S)
    found = course(processor, range(300, 700, 10), in_time)
    share = {(f.ts_event_ns - NINE) // NS_PER_S: f.system.get("clearing_availability_pct") for f in found}
    assert [share[second] for second in (320, 330, 620, 630)] == [None, 100.0, 100.0, 50.0]
    assert found[-1].system["clearing_latency_p95_s"] == -40.0
    assert found[-1].system["price_limit_hits_pct"] == 0.0


def test_ages_by_kind_of_source() -> None:
    told = [replace(spec, by_exception=spec.device == "wind") for spec in SMALL.table.specs]
    frame = course(GridProcessor(replace(SMALL, table=PointTable(told))), range(0, 10, 10))[0].system
    assert (frame["polled_freshness_s"], frame["told_freshness_s"]) == (1.0, 1.0)
    assert "told_freshness_s" not in course(GridProcessor(SMALL), range(0, 10, 10))[0].system


AHEAD = DayAheadPlan(
    ts_event_ns=0,
    day="2020-01-01",
    units_on=(("A1", "B1", "C1", "W"),) * 24,
    uniform_price_cny_per_mwh=(320.0,) * 9 + (310.0,) * 15,
    load_mw=(270.0,) * 9 + (330.0,) * 15,
    wind_solar_mw=(90.0,) * 24,
)
MARKET = IntervalMarket(buses=3, at_cap=1, at_floor=0, nodal_spread_cny_per_mwh=25.0, award_hhi=3_000.0, award_top4_pct=100.0, lerner=0.125)


def test_prices_are_set_against_the_day_ahead_price_of_the_same_period() -> None:
    processor = GridProcessor(SMALL)
    frame = course(processor, range(0, 10, 10), AHEAD, replace(SCHEDULE, market=MARKET))[0].system
    assert frame["day_ahead_spread_cny_per_mwh"] == 10.0, "310 of the tenth hour less 300"
    assert (frame["nodal_spread_cny_per_mwh"], frame["award_hhi"], frame["award_top4_pct"]) == (25.0, 3_000.0, 100.0)
    assert (frame["lerner"], frame["bus_cap_hits_pct"]) == (0.125, pytest.approx(100 / 3))
    over = course(processor, range(300, 310, 10))[0].system
    assert not {"day_ahead_spread_cny_per_mwh", "nodal_spread_cny_per_mwh", "award_hhi", "lerner"} & set(over), "its interval is over"


def test_an_old_plan_says_nothing_of_what_it_did_not_carry() -> None:
    """Schedules and commitments of a release before these figures."""
    interval = (
        b'{"kind":"IntervalPlan","v":1,"body":{"ts_event_ns":%d,"interval_start_ns":%d,"interchange_mw":{},"average_lmp_cny_per_mwh":300.0,'
        b'"uniform_price_cny_per_mwh":300.0,"congestion_rent_cny_per_h":0.0}}' % (NINE, NINE)
    )
    day = b'{"kind":"DayAheadPlan","v":1,"body":{"ts_event_ns":0,"day":"2020-01-01","units_on":[["A1","B1","C1","W"]]}}'
    old = [wire.decode(topics.SNAPSHOTS, raw) for raw in (interval, day)]
    frame = course(GridProcessor(SMALL), range(0, 10, 10), *old)[0].system
    assert frame["uniform_price_cny_per_mwh"] == 300.0
    new = {"day_ahead_spread_cny_per_mwh", "nodal_spread_cny_per_mwh", "award_hhi", "lerner", "bus_cap_hits_pct", "load_forecast_mw"}
    assert not new & set(frame)


def test_forecasts_are_compared_with_the_load_and_with_what_wind_could_give() -> None:
    """330 MW foreseen of 300; wind 90 of 80 that it could give, of which it gives 50, and 100 MW are built."""
    found = course(GridProcessor(SMALL), range(0, 3_660, 60), AHEAD)
    assert "load_forecast_mape_pct" not in found[-2].system, "the hour is not over"
    last = found[-1].system
    assert last["load_forecast_mw"] == 330.0
    assert last["load_forecast_mape_pct"] == pytest.approx(10.0)
    assert last["load_forecast_accuracy_pct"] == pytest.approx(90.0)
    assert (last["wind_solar_forecast_mae_pct"], last["wind_solar_forecast_rmse_pct"]) == (pytest.approx(10.0), pytest.approx(10.0))


def test_a_forecast_of_plants_that_are_not_all_metered_is_not_judged() -> None:
    partly = replace(SMALL, units=SMALL.units | {"V": replace(SMALL.units["W"], id="V")})
    last = course(GridProcessor(partly), range(0, 3_660, 60), AHEAD)[-1].system
    assert "load_forecast_mape_pct" in last
    assert "wind_solar_forecast_mae_pct" not in last


def test_reserves_by_how_soon_they_are_there() -> None:
    """10 MW/min of ramp and 200 MW of rating: A1 gives 50, B1 190, C1 stands still; wind gives 50 of 80 and moves at once.

    Committed: 150 + 10 + 200 + 30 of 300 MW; spinning without C1: 190; in ten minutes 100 + 10 + 30, in thirty 150 + 10 + 30.
    """
    at_rest = {"unit__B1__mw": 190.0, "unit__C1__mw": 1.0}
    frame = course(GridProcessor(SMALL), range(0, 10, 10), **at_rest)[0].system
    assert frame["reserve_margin_pct"] == pytest.approx(100 * 389 / 300)
    assert frame["spinning_reserve_pct"] == pytest.approx(100 * 190 / 300)
    assert frame["reserve_10min_pct"] == pytest.approx(100 * 140 / 300)
    assert frame["reserve_30min_pct"] == pytest.approx(100 * 190 / 300)
    blind = course(GridProcessor(SMALL), range(0, 10, 10), unit__B1__mw=float("nan"))[0].system
    assert not {"spinning_reserve_pct", "reserve_10min_pct", "reserve_30min_pct"} & set(blind)


def test_reserves_of_the_shipped_day_are_ordered(model: MarketModel) -> None:
    frame = run(GridProcessor(model.grid), *snapshots(NINE, model))[0]
    assert isinstance(frame, KpiFrame)
    names = ("reserve_10min_pct", "reserve_30min_pct", "spinning_reserve_pct", "reserve_margin_pct")
    shares = [frame.system[name] for name in names]
    assert shares[0] > 0.0
    assert shares == sorted(shares)


def test_what_the_case_says_is_out_of_service_is_no_reserve() -> None:
    out = replace(SMALL, units_off=("C1",))
    frame = course(GridProcessor(out), range(0, 10, 10))[0].system
    assert frame["reserve_margin_pct"] == pytest.approx(100 * (150 + 100 + 30) / 300)


def test_freshness_by_source() -> None:
    (frame,) = frames_of(run(GridProcessor(SMALL), *tick(0)))
    assert frame.freshness_s_by_source == dict.fromkeys(("rtu-1", "rtu-2", "rtu-3", "wind"), 1.0)
    processor = GridProcessor(SMALL)
    found = frames_of([effect for second in range(0, 80, 10) for effect in run(processor, *tick(second, "2", "3"))])
    assert set(found[0].freshness_s_by_source) == {"rtu-2", "rtu-3"}, "what never spoke has no age"


def test_sums_survive_a_restart() -> None:
    processor = GridProcessor(SMALL)
    course(processor, range(0, 3_720, 60), AHEAD, replace(SCHEDULE, market=MARKET), area__1__interchange_mw=12.0)
    assert processor.state.sums.areas["1"].k1 is not None
    assert processor.state.sums.forecasts.load.absolute.hours
    assert processor.state.sums.clearing.at_cap.hours
    assert decode_state(encode_state(processor.state)) == processor.state


def test_a_state_of_an_older_release_is_read_and_goes_on() -> None:
    processor = GridProcessor(SMALL)
    course(processor, range(0, 100, 10), replace(AHEAD, uniform_price_cny_per_mwh=(), load_mw=(), wind_solar_mw=()), SCHEDULE)
    state = msgspec.json.decode(encode_state(processor.state))
    del state["sums"]["forecasts"], state["sums"]["clearing"]["at_cap"], state["sums"]["clearing"]["at_floor"]
    for plan in state["plans"]:
        del plan["market"]
    for plan in state["commitments"]:
        del plan["uniform_price_cny_per_mwh"], plan["load_mw"], plan["wind_solar_mw"]
    again = GridProcessor(SMALL, decode_state(msgspec.json.encode(state)), [s for area in AREAS for s in processor.held(area)])
    assert again.state == processor.state
    assert seconds(run(again, *tick(100))) == [100]


def test_every_key_figure_of_the_registry_is_computed_and_no_other() -> None:
    told = [replace(spec, by_exception=spec.device == "wind") for spec in SMALL.table.specs]
    processor = GridProcessor(replace(SMALL, table=PointTable(told)))
    course(processor, range(0, 3_600, 60), AHEAD, SCHEDULE, area__1__hz=49.99)
    now = replace(SCHEDULE, ts_event_ns=NINE + 3_590 * NS_PER_S, interval_start_ns=NINE + 3_600 * NS_PER_S, market=MARKET)
    frame = course(processor, range(3_600, 3_850, 60), now, area__1__hz=49.99)[-1]
    assert set(frame.system) == {kpi.name for kpi in KPIS if kpi.scope == "system"}
    assert set(frame.areas["1"]) == {kpi.name for kpi in KPIS if kpi.scope == "area"}


def test_snapshots_kept_for_a_restart_round_trip_and_nothing_else_is_taken_for_them() -> None:
    kept = tick(0)
    again = decode_snapshots(encode_snapshots(kept))
    assert [encode_snapshot(snapshot) for snapshot in again] == [encode_snapshot(snapshot) for snapshot in kept]
    for raw in (b"", b"\x00", encode_snapshot(kept[0]), b"\x91\xc4\x01\x00"):
        with pytest.raises(FrameError):
            decode_snapshots(raw)


def test_a_tick_is_computed_when_every_part_is_there_and_a_lost_part_is_a_snapshot_that_was_not_written() -> None:
    processor = GridProcessor(SMALL)
    one, two, three = (in_parts(snapshot, 2) for snapshot in tick(0))
    assert run(processor, *one, *two, three[0], three[0], *three[:1]) == []
    assert isinstance(run(processor, three[1])[0], KpiFrame)
    one, two, three = (in_parts(snapshot, 2) for snapshot in tick(10))
    assert run(processor, *one, *two, three[1]) == []
    one, two, three = (in_parts(snapshot, 2) for snapshot in tick(20))
    assert run(processor, *one, *two, three[0]) == []
    frames = [effect for effect in run(processor, three[1]) if isinstance(effect, KpiFrame)]
    assert [frame.ts_event_ns - NINE for frame in frames] == [10 * NS_PER_S, 20 * NS_PER_S]
    # Half of one, and then the whole of the next.
    halves = [in_parts(snapshot, 2)[0] for snapshot in tick(30)]
    assert run(processor, *halves) == []
    assert [effect.ts_event_ns - NINE for effect in run(processor, *tick(40)) if isinstance(effect, KpiFrame)] == [40 * NS_PER_S]
