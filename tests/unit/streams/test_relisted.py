"""A market model with other points: what was known of the points that stay is known still, and the others are as if new, or gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ingest.points import PointTable
from market.rules import rules_from
from market.units import NS_PER_S, instant_ns
from streams.marketmodel import MarketModel
from streams.preview import Preview
from tests.kit.market_run import rts_model
from tests.kit.rts_day import frames_at, values_at

NINE = instant_ns("2020-01-01T09:00:00+08:00")
PERIOD = 9 * 12


@pytest.fixture(scope="module")
def model() -> MarketModel:
    return rts_model(rules_from({"rt_interval_min": 5, "top_voltage_kv": 230}))


def without(model: MarketModel, *names: str) -> MarketModel:
    return model.relisted(PointTable(spec for spec in model.grid.table.specs if spec.name not in names))


def test_an_intake_goes_on_with_the_points_that_stay(model: MarketModel) -> None:
    area = model.grid.areas[0]
    intake = model.intake(area)
    for offset, frame in enumerate(frame for frame in frames_at(NINE, 1, values_at(PERIOD, ())) if frame.area == area):
        intake.take_in(frame, offset)
    gone, stays = (spec.name for spec in intake.table.specs[:2])
    heir = without(model, gone).continued(intake)
    assert gone not in heir.table
    assert heir.last.value[heir.table.row(stays)] == intake.last.value[intake.table.row(stays)]
    assert (heir.offset, heir.last.counters) == (intake.offset, intake.last.counters)
    # A point that comes back has said nothing yet, and one that stayed is what it was.
    back = model.continued(heir)
    assert back.last.ts_value_ns[back.table.row(gone)] < 0 < back.last.ts_value_ns[back.table.row(stays)]


def test_points_may_change_and_areas_may_not(model: MarketModel) -> None:
    table = model.grid.table
    longer = PointTable(replace(spec, period_ns=2 * spec.period_ns) for spec in table.specs)
    assert model.relisted(longer).engine is model.engine
    with pytest.raises(AssertionError, match="areas"):
        model.relisted(table.of_area(table.areas[0]))


def test_what_is_shown_between_ticks_goes_on(model: MarketModel) -> None:
    preview = Preview(model)
    values = values_at(PERIOD, ())
    for frame in frames_at(NINE, 1, values):
        preview.take(frame)
    before = preview.figures(NINE + NS_PER_S, None)
    gone = next(spec.name for spec in model.grid.table.specs if spec.name.startswith("switch/"))
    preview.relist(without(model, gone))
    for frame in frames_at(NINE + 2 * NS_PER_S, 2, {name: value for name, value in values.items() if name != gone}):
        preview.take(frame)
    after = preview.figures(NINE + 3 * NS_PER_S, None)
    assert before is not None
    assert after is not None
    assert after.system["load_mw"] == before.system["load_mw"]
