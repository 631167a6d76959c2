"""Between ticks the board shows the latest telemetry, and nothing that only a tick can know."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from ingest.frame import heartbeat, point_id
from ingest.quality import BAD_NO_COMMUNICATION, Flag
from market.rules import rules_from
from market.units import NS_PER_S, instant_ns
from streams.intake import CLOCK_SOURCE
from streams.marketmodel import MarketModel
from streams.model import market_model
from streams.preview import Preview
from streams.settings import ControlModel, NetworkModel
from tests.kit.rts_day import frames_at, rts_table, values_at

NINE = instant_ns("2020-01-01T09:00:00+08:00")
PERIOD = 9 * 12


@pytest.fixture(scope="module")
def model() -> MarketModel:
    rules = rules_from({"rt_interval_min": 5, "top_voltage_kv": 230})
    return market_model(NetworkModel(rts_gmlc="shipped"), rts_table(), rules, ControlModel(), day_ahead=True)


def feed(preview: Preview, ts_ns: int, **changed: float) -> None:
    values = values_at(PERIOD, ()) | {name.replace("__", "/"): value for name, value in changed.items()}
    for frame in frames_at(ts_ns, 1, values):
        preview.take(frame)


def test_a_value_that_just_arrived_is_shown_and_nothing_new_is_none(model: MarketModel) -> None:
    preview = Preview(model)
    feed(preview, NINE)
    first = preview.figures(NINE + NS_PER_S, None)
    assert first is not None
    assert preview.figures(NINE + 2 * NS_PER_S, None) is None, "nothing came since"
    bus = next(name for name in values_at(PERIOD, ()) if name.startswith("load/") and name.endswith("/mw"))
    before_mw = values_at(PERIOD, ())[bus]
    feed(preview, NINE + 2 * NS_PER_S, **{bus.replace("/", "__"): before_mw + 7.0})
    second = preview.figures(NINE + 3 * NS_PER_S, first)
    assert second is not None
    assert second.system["load_mw"] == pytest.approx(first.system["load_mw"] + 7.0)


def test_what_only_a_tick_knows_is_kept_from_the_last_one(model: MarketModel) -> None:
    preview = Preview(model)
    feed(preview, NINE)
    last = preview.figures(NINE, None)
    assert last is not None
    of_the_tick = {"reserve_margin_pct": 12.5, "rsi": 1.25, "unit_compliance_pct": 97.0, "frequency_in_band_pct": 99.5}
    last.system.update(of_the_tick)
    feed(preview, NINE + 2 * NS_PER_S)
    fresh = preview.figures(NINE + 3 * NS_PER_S, last)
    assert fresh is not None
    assert {name: fresh.system[name] for name in of_the_tick} == of_the_tick
    assert preview.figures(NINE + 2 * NS_PER_S, fresh) is None, "never older than what is shown"


def test_heartbeats_and_foreign_areas_are_no_news(model: MarketModel) -> None:
    preview = Preview(model)
    preview.take(heartbeat(CLOCK_SOURCE, "1", 1, NINE))
    preview.take(heartbeat("device", "nowhere", 1, NINE))
    assert preview.figures(NINE, None) is None


def test_of_frames_that_waited_all_is_known_that_is_known_of_them_taken_one_by_one(model: MarketModel) -> None:
    load = next(name for name in values_at(PERIOD, ()) if name.startswith("load/") and name.endswith("/mw"))
    last = []
    for asks_each_time in (False, True):
        preview = Preview(model)
        for second in range(5):
            for told in frames_at(NINE + second * NS_PER_S, second, values_at(PERIOD, ()) | {load: 100.0 + second}):
                frame = replace(told, flags=np.full(len(told), int(Flag.TS_ESTIMATED), dtype=np.uint16))
                if second == 2:
                    frame = replace(frame, quality=np.full(len(frame), BAD_NO_COMMUNICATION, dtype=np.uint32))
                if second == 4:
                    frame = frame.only(frame.point != np.uint64(point_id(load)))
                preview.take(frame)
            if asks_each_time:
                preview.figures(NINE + second * NS_PER_S, None)
        preview.figures(NINE + 5 * NS_PER_S, None)
        last.append([intake.last for intake in preview._areas.values()])
    for waited, taken in zip(*last, strict=True):
        for column in ("value", "ts_value_ns", "ts_seen_ns", "quality", "flags"):
            np.testing.assert_array_equal(getattr(waited, column), getattr(taken, column))
