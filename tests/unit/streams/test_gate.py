"""What stands in for a measurement at the gate, on three buses, and what is frozen of the quality of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from market.offers import Control
from market.outcomes import ClearingInputs, FailureReason
from market.rules import rules_from
from market.units import NS_PER_MIN, NS_PER_S, instant_ns
from streams import topics, wire
from streams.clearing import IntervalPlan, freeze, grid_points
from streams.gate import prepared
from streams.grid import GridProcessor
from streams.image import GridImage, image_of
from streams.inputquality import old_units, quality_of
from streams.loadforecast import LoadForecastSums
from streams.outcome import refused
from tests.kit.three_areas import AREAS, TICK_NS, measured, model, snapshot

NINE = instant_ns("2020-01-01T09:00:00+08:00")
_PLAIN = model()
GRID = replace(_PLAIN, units=_PLAIN.units | {"W": replace(_PLAIN.units["W"], control=Control.CURTAILABLE)})
POINTS = grid_points(GRID.table)
PLAN = IntervalPlan(
    ts_event_ns=NINE,
    interval_start_ns=NINE - 5 * NS_PER_MIN,
    interchange_mw={},
    average_lmp_cny_per_mwh=300.0,
    uniform_price_cny_per_mwh=300.0,
    congestion_rent_cny_per_h=0.0,
    base_points_mw={"A1": 55.0, "B1": 95.0, "W": 70.0},
)


def image(lag_s: Mapping[str, int] | None = None, **changed: float) -> GridImage:
    """Return the image at nine; areas lag by so many seconds."""
    values = measured(**changed)
    lags = lag_s or {}
    return image_of(NINE, GRID.table, [snapshot(GRID, area, NINE - lags.get(area, 0) * NS_PER_S, values) for area in AREAS])


def ready(now: GridImage, plans: tuple[IntervalPlan, ...] = (PLAN,)) -> ClearingInputs:
    frozen = freeze(NINE + NS_PER_MIN, now, GRID.table, POINTS, GRID.units)
    return prepared(frozen, now, GRID, POINTS, plans, (), LoadForecastSums())


def test_a_balanced_measurement_has_nothing_against_it() -> None:
    quality = quality_of(image(), GRID.table, POINTS, GRID.units)
    assert (quality.output_mw, quality.stale_output_mw, quality.stale_units) == (300.0, 0.0, ())
    assert (quality.generation_mw, quality.load_mw, quality.area_gap_mw) == (300.0, 300.0, 0.0)
    assert quality.topology_age_s is None, "there are no switches here"


def test_the_area_with_the_wrong_meter_is_found() -> None:
    quality = quality_of(image(load__B__mw=70.0), GRID.table, POINTS, GRID.units)
    assert (quality.load_mw, quality.worst_area, quality.area_gap_mw) == (270.0, "2", 30.0)
    brought = quality_of(image(load__B__mw=170.0, area__2__interchange_mw=0.0), GRID.table, POINTS, GRID.units, {"2": 70.0})
    assert (brought.import_mw, brought.area_gap_mw) == (70.0, 0.0)


def test_what_tie_lines_bring_in_is_part_of_the_balance() -> None:
    now = image(load__B__mw=170.0)
    frozen = replace(freeze(NINE + NS_PER_MIN, now, GRID.table, POINTS, GRID.units), tie_mw={"B": 70.0})
    inputs = prepared(frozen, now, GRID, POINTS, (PLAN,), (), LoadForecastSums())
    assert inputs.quality is not None
    assert (inputs.quality.import_mw, inputs.quality.area_gap_mw) == (70.0, 0.0)
    assert refused(inputs, GRID.rules) is None
    assert refused(replace(inputs, quality=replace(inputs.quality, import_mw=0.0)), GRID.rules) is not None


def test_what_is_not_all_measured_is_not_summed() -> None:
    quality = quality_of(image(load__B__mw=float("nan")), GRID.table, POINTS, GRID.units)
    assert (quality.generation_mw, quality.load_mw, quality.worst_area) == (None, None, "")


def test_outputs_are_old_after_a_minute_and_base_points_stand_in_for_them() -> None:
    gates = GRID.rules.input_gates
    assert old_units(image({"2": 59}), GRID.table, POINTS, gates) == (), "a second old when it was written"
    late = image({"2": 60})
    assert old_units(late, GRID.table, POINTS, gates) == ("B1",)
    inputs = ready(late)
    assert inputs.output_mw == {"A1": 50.0, "B1": 95.0, "C1": 100.0, "W": 50.0}
    assert "unit/B1/mw: too old, the 95.0 MW of its base point stand in" in inputs.notes
    quality = inputs.quality
    assert quality is not None
    assert (quality.replaced_units, quality.stale_units, quality.stale_output_mw) == (("B1",), ("B1",), 100.0)
    assert ready(late, ()).output_mw["B1"] == 100.0, "without a base point the last value is the best there is"


def test_the_wind_has_no_base_point() -> None:
    assert ready(image({"1": 60})).output_mw == {"A1": 55.0, "B1": 100.0, "C1": 100.0, "W": 50.0}


def test_a_unit_that_is_asked_rarely_is_not_old_for_that() -> None:
    slow = rules_from({"input_gates": {"unit_age_s": 1}}).input_gates
    ticks = TICK_NS // NS_PER_S
    assert old_units(image({"2": 2 * ticks - 1}), GRID.table, POINTS, slow) == ()
    assert old_units(image({"2": 2 * ticks}), GRID.table, POINTS, slow) == ("B1",)


def test_refused_inputs_are_a_failure_with_its_reason_and_the_units_by_name() -> None:
    failed = refused(ready(image({"2": 60})), GRID.rules)
    assert failed is not None
    assert failed.reason is FailureReason.INPUT_STALE
    assert "100 of 300 MW" in failed.detail
    assert "B1" in failed.detail


def test_the_quality_of_inputs_goes_onto_the_topic_and_comes_back() -> None:
    inputs = ready(image())
    assert wire.decode(topics.INPUTS, wire.encode(inputs)) == inputs
    old = wire.encode(replace(inputs, quality=None)).replace(b',"quality":null', b"")
    assert wire.decode(topics.INPUTS, old).quality is None


def test_the_processor_notes_what_it_foresaw_and_judges_it_when_the_interval_is_over() -> None:
    processor = GridProcessor(GRID)
    frames = []
    for tick in range(17 * 6):
        now_ns = NINE - 2 * NS_PER_MIN + tick * TICK_NS
        values = measured(load__A__mw=100.0 if now_ns < NINE + 5 * NS_PER_MIN else 130.0)
        for area in AREAS:
            frames += processor.take(snapshot(GRID, area, now_ns, values))
    inputs = {e.interval_start_ns: e for e in frames if isinstance(e, ClearingInputs)}
    assert sum(inputs[NINE + 5 * NS_PER_MIN].load_mw.values()) == pytest.approx(300.0)
    assert inputs[NINE].notes[-1] == "load at 09:02:30: as measured; there is no profile of the day"
    mape = processor.state.sums.load_forecast.absolute
    assert mape.of_day(NINE)[1] == 2.0
    assert mape.mean_pct(NINE) == pytest.approx((0.0 + 100.0 * 30.0 / 330.0) / 2)
