"""Panels show what was written: their queries, asked of a real server that holds an hour of real lines, against answers worked out by hand.

Whether every query of every board is answered, and how quickly, is asked with a whole day: ``test_dashboard_day.py``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from console.dashboards import register
from dashboards.board import AREA, EVENT_MARKS
from dashboards.boards import BOARDS
from dashboards.elements import Panel, Query
from market.units import NS_PER_MIN, NS_PER_MS, NS_PER_S
from streams.influx import Flusher, InfluxTarget
from streams.spool import Spool
from tests.kit.influx import Influxd, influxd
from tests.kit.market_hour import BUSES, END_NS, START_NS, hour, lmp_cny_per_mwh, load_mw

pytestmark = pytest.mark.integration

STEP_S = 300
DURING_NS = START_NS + 44 * NS_PER_MIN
"""Clearing is out and duties are open; at the end of the hour all is well again, and a table of what is open is rightly empty."""

PANELS = [(board, panel) for board in BOARDS for panel in board.panels]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    home = tmp_path_factory.mktemp("dashboards")
    with influxd(home / "influx") as running:
        running.create("grid")
        spool = Spool(home / "spool")
        spool.append(hour())
        flusher = Flusher(spool, InfluxTarget(url=running.url, org="grid", bucket="grid"))
        asyncio.run(flusher.drain())
        spool.close()
        assert flusher.status.lines_rejected == 0
        yield running


def as_grafana_sends(influxql: str) -> str:
    """Fill in what Grafana fills in: the time shown, the step, and "all" for a variable."""
    to_ns = DURING_NS if re.search('"(open|active)" = 1|__to', influxql) else END_NS
    filled = influxql.replace("$timeFilter", f"time >= {START_NS}ns AND time < {to_ns}ns").replace("$__interval", f"{STEP_S}s")
    filled = re.sub(r"/\^\$\w+\$/", "/^.*$/", filled.replace("${__to}", str(to_ns // NS_PER_MS)))
    assert not re.search(r"\$[\w{]", filled), filled
    return filled


def ask(server: Influxd, query: Query) -> list[dict[str, Any]]:
    return server.query(as_grafana_sends(query.influxql), "grid")


def values(series: dict[str, Any]) -> list[Any]:
    """Everything but the time."""
    return [value for row in series["values"] for value in row[1:]]


def test_the_variable_and_the_marks_are_answered(server: Influxd) -> None:
    assert [row[1] for row in server.query(AREA.influxql, "grid")[0]["values"]] == ["1", "2", "3"]
    (marks,) = ask(server, EVENT_MARKS)
    # All were decided in the same millisecond, and all are there.
    assert [row[2] for row in marks["values"]] == [
        "RT NORMAL → PROPOSED：TOPOLOGY_SOFT（Art. 8(3)）；L7 open at both ends；bus 106 dead",
        "RT PROPOSED → DEGRADED：RESULT_MISSING（Art. 9(2)）",
        "RT-2026-06-10-01：演练公告",
    ]


def panel(number: int, board: str = "") -> Panel:
    """Return a panel by its number; panels that were on the first board kept theirs wherever they stand."""
    return next(candidate for of, candidate in PANELS if candidate.number == number and board in of.uid)


def ask_one(server: Influxd, number: int, board: str = "") -> list[dict[str, Any]]:
    """What a panel's only query is answered."""
    (query,) = panel(number, board).queries
    return ask(server, query)


def course(series: dict[str, Any]) -> dict[int, float]:
    return {row[0]: row[1] for row in series["values"]}


def test_load_is_the_mean_of_each_step(server: Influxd) -> None:
    (series,) = ask(server, panel(19).queries[0])
    samples = np.array([load_mw(ts_ns) for ts_ns in range(START_NS, END_NS, 10 * NS_PER_S)])
    expected = samples.reshape(-1, STEP_S // 10).mean(axis=1)
    assert list(course(series).values()) == pytest.approx(expected.tolist(), rel=1e-12)


def test_prices_over_all_buses_are_those_of_the_last_version(server: Influxd) -> None:
    highest, mean, lowest = (course(ask(server, query)[0]) for query in panel(18).queries)
    minutes = [minute for minute in range(0, 60, 5) if not 30 <= minute < 45]
    assert [(ts_ns - START_NS) // NS_PER_MIN for ts_ns in highest] == minutes
    for minute, version in ((5, 1), (50, 2)):
        at_ns = START_NS + minute * NS_PER_MIN
        prices = [lmp_cny_per_mwh(bus, at_ns, version) for bus in BUSES]
        assert (highest[at_ns], mean[at_ns], lowest[at_ns]) == (max(prices), np.mean(prices), min(prices))


def test_the_last_revision_of_an_interval_is_shown(server: Influxd) -> None:
    uniform, in_force = (course(ask(server, query)[0]) for query in panel(17, "prices").queries)
    again_ns = START_NS + 50 * NS_PER_MIN
    assert uniform[again_ns] == lmp_cny_per_mwh("102", again_ns, version=2)
    assert (in_force[again_ns], in_force[again_ns - 5 * NS_PER_MIN]) == (405.0, 305.0)
    first = server.query(f"SELECT price_cny_per_mwh, rev FROM price WHERE time >= {again_ns}ns AND time < {again_ns + 1000}ns", "grid")
    assert [row[1:] for row in first[0]["values"]] == [[305.0, 0], [405.0, 1]]


def test_outage_minutes_and_phase_at_the_end(server: Influxd) -> None:
    assert values(ask(server, panel(3).queries[0])[0]) == [0.0]
    assert values(ask(server, panel(1).queries[0])[0]) == ["NORMAL"]
    during = panel(3).queries[0].influxql.replace("$timeFilter", f"time < {START_NS + 40 * NS_PER_MIN}ns")
    assert values(server.query(during, "grid")[0]) == [pytest.approx((600 - 10) / 60)]


def test_failed_intervals_are_seen_as_failed(server: Influxd) -> None:
    (series,) = ask(server, panel(16).queries[0])
    failed = [(row[0] - START_NS) // NS_PER_MIN for row in series["values"] if row[1] == "FAILED"]
    assert failed == [30, 35, 40]


def test_fuels_add_up(server: Influxd) -> None:
    found = ask(server, panel(21).queries[0])
    assert {series["tags"]["fuel"]: set(values(series)) for series in found} == {"coal": {5_000.0}, "hydro": {1_000.0}, "wind": {2_000.0}}


def test_the_highest_loadings_are_the_ten_highest(server: Influxd) -> None:
    (series,) = ask(server, panel(25).queries[0])
    # L7 is open at the end of the hour.
    assert sorted(row[1:] for row in series["values"]) == sorted([0.0 if n == 7 else 70.0 + n, f"L{n}"] for n in range(10))


def test_what_was_due_is_what_became_of_it(server: Influxd) -> None:
    """The parts of the course add up to what was due, and the reasons to what was lost; so do each device's."""
    outcomes, reasons = ([ask(server, query)[0] for query in panel(number).queries] for number in (60, 61))
    steps = [sum(each) for each in zip(*(values(series) for series in outcomes), strict=True)]
    assert steps == [3 * 60 * STEP_S // 60] * 12
    assert sum(value or 0 for series in reasons for value in values(series)) == sum(values(outcomes[-1])) == 20 * 60
    by_device = {series["tags"]["dev"]: dict(zip(series["columns"], series["values"][0], strict=True)) for series in ask_one(server, 63)}
    assert set(by_device) == {"rtu-0", "rtu-1", "rtu-2"}
    for sums in by_device.values():
        assert sums["expected"] == sums["good"] + sums["uncertain"] + sums["bad"] + sums["late"] + sums["lost"] == 3600
    lost = by_device["rtu-1"]
    assert lost["lost"] == sum(value or 0 for name, value in lost.items() if name.startswith("lost_")) == 1200


def test_the_worst_device_is_known_and_how_bad_it_is(server: Influxd) -> None:
    (worst,) = ask_one(server, 62)
    found = {row[2]: row[1] for row in worst["values"]}
    assert found == {"rtu-0": 0.0, "rtu-1": 50.0, "rtu-2": 5.0}
    assert values(ask_one(server, 56)[0]) == [pytest.approx(100 * 147 / 180)]
    assert [values(ask_one(server, number)[0]) for number in (57, 58, 59)] == [[240], [60], [1200]]


def test_alerts_of_one_millisecond_are_all_listed(server: Influxd) -> None:
    (series,) = ask_one(server, 29, "breaker")
    assert sorted(row[1] for row in series["values"]) == ["P1", "P2", "P3", "P4"]


def test_every_line_of_the_hour_was_stored(server: Influxd) -> None:
    """What the encoder wrote is what the server counts, by measurement: nothing collapsed into one point."""
    written: dict[str, set[str]] = {}
    for line in hour().decode().splitlines():
        head, instant = re.split(r"(?<!\\) ", line, maxsplit=1)[0], line.rsplit(" ", 1)[1]
        written.setdefault(head.split(",")[0], set()).add(f"{head} {instant}")
    for measurement, points in written.items():
        stored = server.query(f'SELECT * FROM "{measurement}"', "grid")[0]["values"]
        assert len(stored) == len(points), measurement
    # How long the engine took is a line of its own that joins the point of its interval.
    joined = sum(line.startswith(b"clearing") and b" solve_s=" in line for line in hour().splitlines())
    assert sum(len(points) for points in written.values()) == hour().count(b"\n") - joined


def test_gridfuse_dashboards_build_check() -> None:
    """The command runs the renderer and passes its exit code on; the committed files are current."""
    app = typer.Typer()
    register(app)
    assert CliRunner().invoke(app, ["dashboards", "build", "--check"]).exit_code == 0


def test_a_duty_that_is_settled_is_not_shown_as_open(server: Influxd) -> None:
    """Its last line while it was open is in the time shown for hours."""
    (query,) = panel(307, "breaker").queries
    assert {series["tags"]["duty"] for series in ask(server, query)} >= {"explain"}
    at_the_end = query.influxql.replace("$timeFilter", f"time >= {START_NS}ns AND time < {END_NS}ns")
    assert server.query(at_the_end, "grid") == []


def test_an_interval_that_was_cleared_twice_counts_once(server: Influxd) -> None:
    """In sums over intervals, and in means over buses; each time by its last version."""
    again_ns = START_NS + 50 * NS_PER_MIN
    (mean,) = panel(210, "market").queries
    prices = [lmp_cny_per_mwh(bus, again_ns, version=2) for bus in BUSES]
    found = {series["tags"]["area"]: course(series)[again_ns] for series in ask(server, mean)}
    assert found
    assert all(min(prices) <= price <= max(prices) for price in found.values())
    (rent,) = panel(416, "prices").queries
    where = f"\"segment\" = 'RT' AND \"class\" = 'all' AND time >= {START_NS}ns AND time < {END_NS}ns"
    (lines,) = server.query(f'SELECT "congestion_rent_cny" FROM "settlement" WHERE {where}', "grid")
    newest = {ts_ns // NS_PER_MIN: value for ts_ns, value in lines["values"]}
    assert len(newest) < len(lines["values"])
    assert values(ask(server, rent)[0]) == [pytest.approx(sum(newest.values()))]
