"""Every panel of every board shows something: its queries, as Grafana sends them, are answered by a real server with a day in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dashboards.boards import BOARDS
from market.facts import Segment
from market.prices import PriceInForce
from market.rts_gmlc import load
from market.units import NS_PER_MIN, NS_PER_S
from streams.influx import Flusher, InfluxTarget
from streams.spool import Spool
from tests.kit import market_hour
from tests.kit.grafana_sends import Shown
from tests.kit.influx import Influxd, influxd
from tests.kit.market_day import END_NS, STUCK, MarketDay

pytestmark = pytest.mark.integration

DAY = MarketDay(fine_hours=2)
PANELS = [Shown(board, panel, END_NS) for board in BOARDS for panel in board.panels if panel.queries]
STORY_NS = market_hour.START_NS
"""From here on the day has the story's records beside its own."""
TOOK_MAX_S = 5.0
"""A bound that no machine breaks; the time each query takes is in the report, and `tests/bench/bench_panels.py` holds it to 200 ms."""

Series = dict[str, Any]


def name_of(shown: Shown) -> str:
    return f"{shown.board.name}-{shown.panel.number}-{shown.panel.title.en}"


every_panel = pytest.mark.parametrize("shown", PANELS, ids=map(name_of, PANELS))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    home = tmp_path_factory.mktemp("day")
    with influxd(home / "influx") as running:
        running.create("grid")
        spool = Spool(home / "spool")
        flusher = Flusher(spool, InfluxTarget(url=running.url, org="grid", bucket="grid"))
        for lines in DAY.lines():
            spool.append(lines)
        asyncio.run(flusher.drain())
        spool.close()
        assert flusher.status.lines_rejected == 0
        yield running


def values(series: Series) -> list[Any]:
    """Everything but the time."""
    return [value for row in series["values"] for value in row[1:]]


@every_panel
def test_every_query_is_answered(server: Influxd, shown: Shown, record_property: Callable[[str, object], None]) -> None:
    for query in shown.panel.queries:
        sent = shown.sent(query.influxql)
        began_s = time.perf_counter()
        found = server.query(sent, "grid")
        took_s = time.perf_counter() - began_s
        record_property("query_ms", round(1000 * took_s))
        assert found, sent
        assert any(value is not None for series in found for value in values(series)), sent
        assert took_s < TOOK_MAX_S, f"{took_s:.3f} s: {sent}"


@every_panel
def test_tables_have_the_columns_they_name(server: Influxd, shown: Shown) -> None:
    if shown.panel.columns:
        found = server.query(shown.sent(shown.panel.queries[0].influxql), "grid")
        # Grafana calls the time column "Time" and shows the tags of a GROUP BY as columns.
        there = {"Time"} | set(found[0].get("tags", {})) | set(found[0]["columns"][1:])
        assert set(shown.panel.columns) == there


MARKED = {"phase", "status", "regime", "outlook", "passed", "state", "closed", "active", "heartbeat"}
"""Fields whose values are states; others on the same panels (what a state rests on) are words."""


@every_panel
def test_every_state_that_occurs_has_a_mark(server: Influxd, shown: Shown) -> None:
    states = {mark.state for mark in shown.panel.marks}
    for query in shown.panel.queries if states and not shown.panel.columns else ():
        if query.source is not None and query.source.field in MARKED:
            found = server.query(shown.sent(query.influxql), "grid")
            assert {str(value) for series in found for value in values(series)} <= states


def answered(server: Influxd, board: str, number: int, **chosen: str) -> tuple[Shown, list[list[Series]]]:
    """What the queries of a panel are answered."""
    shown = next(shown for shown in PANELS if (shown.board.name, shown.panel.number) == (board, number))
    if chosen:
        shown = replace(shown, chosen=tuple(chosen.items()))
    return shown, [server.query(shown.sent(query.influxql), "grid") for query in shown.panel.queries]


def courses(found: list[Series]) -> dict[str, dict[int, float]]:
    """Values by time of each series, by its tag (of several, the last)."""
    return {"".join(series.get("tags", {"": ""}).values()): {row[0]: row[1] for row in series["values"]} for series in found}


def stepped(shown: Shown, values_of_ticks: NDArray[np.float64], how: Callable[[NDArray[np.float64]], float]) -> dict[int, float]:
    """What a course over time should be, from a value of every tick of the day."""
    ticks, step_ns = DAY.ticks_ns, shown.step_s * NS_PER_S
    inside = ticks >= shown.start_ns
    steps, where = np.unique(ticks[inside] // step_ns * step_ns, return_inverse=True)
    return {int(start): float(how(values_of_ticks[inside][where == k])) for k, start in enumerate(steps)}


def near(expected: dict[int, float]) -> Any:
    return pytest.approx(expected, rel=1e-9)


# Ten key panels against numpy on the same day.


def test_load_is_the_mean_of_each_step(server: Influxd) -> None:
    shown, (load_mw, generation_mw, _) = answered(server, "kpis", 19)
    assert courses(load_mw)[""] == near(stepped(shown, DAY.load_mw, np.mean))
    assert courses(generation_mw)[""] == near(stepped(shown, 1.01 * DAY.load_mw, np.mean))


def test_the_load_factor_is_the_mean_of_the_highest(server: Influxd) -> None:
    shown, ((series,),) = answered(server, "kpis", 601)
    mw = DAY.load_mw[DAY.ticks_ns >= shown.start_ns]
    assert values(series) == [pytest.approx(100 * mw.mean() / mw.max())]


def test_the_volatility_is_the_deviation_of_the_prices_in_force(server: Influxd) -> None:
    shown, ((series,),) = answered(server, "kpis", 625)
    by_interval = {start_ns: DAY.lmp_cny_per_mwh(start_ns).mean() for start_ns in DAY.intervals_ns if start_ns >= shown.start_ns}
    story = [record for record in market_hour.records() if isinstance(record, PriceInForce) and record.segment is Segment.RT]
    by_interval |= {record.interval_start_ns: record.price_cny_per_mwh for record in story if record.interval_start_ns < END_NS}
    prices = list(by_interval.values())
    assert values(series) == [pytest.approx(100 * np.std(prices, ddof=1) / np.mean(prices))]


def test_fuels_are_the_sums_of_their_units(server: Influxd) -> None:
    shown, (found,) = answered(server, "kpis", 21)
    by_fuel = courses(found)
    assert set(by_fuel) == set(DAY.output_mw)
    for fuel, mw in DAY.output_mw.items():
        assert by_fuel[fuel] == near(stepped(shown, mw, np.mean))


def test_the_canvas_has_the_newest_state_of_every_branch_and_bus(server: Influxd) -> None:
    _, (loading, opened, alive) = answered(server, "topology", 509)
    newest = np.where(DAY.closed[-1], DAY.loading_pct[-1], 1_000.0)
    assert {series["tags"]["branch"]: values(series) for series in loading} == {
        branch: [pytest.approx(value)] for branch, value in zip(DAY.branches, newest.tolist(), strict=True)
    }
    open_now = {series["tags"]["branch"] for series in opened if values(series) == [1]}
    assert open_now == {branch for branch, closed in zip(DAY.branches, DAY.closed[-1].tolist(), strict=True) if not closed}
    assert {series["tags"]["bus"] for series in alive if values(series) == [0]} == {"207"}
    assert len(alive) == load().network.n_buses


def test_the_most_loaded_branches_are_the_twenty_highest(server: Influxd) -> None:
    _, ((series,),) = answered(server, "topology", 25)
    order = np.argsort(-DAY.loading_pct[-1], kind="stable")[:20]
    expected = {DAY.branches[k]: DAY.loading_pct[-1, k] for k in order.tolist()}
    assert {row[2]: row[1] for row in series["values"]} == pytest.approx(expected)


def test_position_changes_are_those_of_the_day(server: Influxd) -> None:
    _, ((series,),) = answered(server, "topology", 513)
    moved = np.diff(DAY.closed.astype(int), axis=0)
    expected = {(int(DAY.ticks_ns[row + 1]), int(moved[row, k]), DAY.branches[k]) for row, k in zip(*np.nonzero(moved), strict=True)}
    assert {tuple(row) for row in series["values"]} == expected
    assert len(expected) == 2


def test_the_highest_loading_is_that_of_the_worst_branch(server: Influxd) -> None:
    shown, (found,) = answered(server, "topology", 515)
    assert courses(found)[""] == near(stepped(shown, DAY.loading_pct.max(axis=1), np.max))


def test_prices_of_each_area_are_the_means_of_its_buses(server: Influxd) -> None:
    shown, (found,) = answered(server, "market", 210)
    area = np.array(load().network.bus_area)
    by_area = {series["tags"]["area"]: {row[0]: row[1] for row in series["values"]} for series in found}
    shown_ns = [start_ns for start_ns in DAY.intervals_ns if start_ns >= shown.start_ns]
    for name in "123":
        expected = {start_ns: float(DAY.lmp_cny_per_mwh(start_ns)[area == name].mean()) for start_ns in shown_ns}
        assert {start_ns: price for start_ns, price in by_area[name].items() if start_ns in expected and start_ns < STORY_NS} == near(
            {start_ns: price for start_ns, price in expected.items() if start_ns < STORY_NS}
        )


def test_samples_a_second_are_those_of_the_accounts(server: Influxd) -> None:
    """378 of each device come in a minute: 370 good, 4 uncertain, 2 bad, 2 late; four devices in an area."""
    shown, (found,) = answered(server, "telemetry", 704)
    for area, course in courses(found).items():
        devices = sum(device.endswith(area) for device in DAY.devices)
        full = [rate for start_ns, rate in course.items() if shown.start_ns <= start_ns < STORY_NS]
        assert full == pytest.approx([devices * 378 / 60] * len(full))
        assert len(full) > 100


def test_rates_of_the_pipeline_are_what_its_counters_grow_by(server: Influxd) -> None:
    """250 lines and two seconds of processor every ten seconds."""
    for number, expected in ((914, 25.0), (915, 20.0)):
        _, (found,) = answered(server, "pipeline", number)
        rates = list(courses(found)["gridfuse-1"].values())
        assert rates == pytest.approx([expected] * len(rates))
        assert len(rates) > 50


def test_what_is_active_is_what_was_raised_and_is_not_over(server: Influxd) -> None:
    _, ((series,),) = answered(server, "alerts", 809)
    column = {name: place for place, name in enumerate(series["columns"])}
    active = {(row[column["name"]], row[column["priority"]]) for row in series["values"]}
    assert {("market_tripped", "P1"), ("duty_due", "P2"), ("dead_letters", "P3"), ("case_open", "P4")} <= active
    assert "device_stale" not in {name for name, _ in active}, "each of them is over"


def test_the_minutes_of_an_element_are_those_of_its_samples(server: Influxd) -> None:
    _, found = answered(server, "telemetry", 707, element="102")
    mean, least, most = (courses(each)[""] for each in found)
    ticks = DAY.ticks_ns
    for start_ns in list(mean)[-8:-1]:
        rows = np.flatnonzero((ticks >= start_ns) & (ticks < start_ns + NS_PER_MIN))
        mw = np.array([DAY.measured(row)["load/102/mw"] for row in rows.tolist()])
        assert (mean[start_ns], least[start_ns], most[start_ns]) == pytest.approx((mw.mean(), mw.min(), mw.max()))
        assert len(mw) == 6
    assert len(mean) > 50


def test_a_value_that_does_not_move_is_found(server: Influxd) -> None:
    _, ((series,),) = answered(server, "telemetry", 709)
    column = {name: place for place, name in enumerate(series["columns"])}
    stuck = {f"{row[column['kind']]}/{row[column['element']]}/mw": row[column["mw"]] for row in series["values"]}
    assert stuck == {STUCK: 100.0}
