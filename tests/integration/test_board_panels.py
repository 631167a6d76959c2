"""The live board shows what Grafana shows: its panels, fed with an hour of real lines, against the same queries asked of a real server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest

from console.board.panels import PanelBook
from dashboards.board import Board
from dashboards.boards import BOARDS
from dashboards.elements import Panel, Query
from dashboards.liveboard import drawable
from dashboards.livequeries import parts_of
from market.units import NS_PER_MS, NS_PER_S
from streams.influx import Flusher, InfluxTarget
from streams.spool import Spool
from tests.kit.influx import Influxd, influxd
from tests.kit.market_hour import END_NS, START_NS, hour

pytestmark = pytest.mark.integration

PANELS = [(board, panel) for board in BOARDS for panel in board.panels if drawable(panel)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    home = tmp_path_factory.mktemp("boardpanels")
    with influxd(home / "influx") as running:
        running.create("grid")
        spool = Spool(home / "spool")
        spool.append(hour())
        flusher = Flusher(spool, InfluxTarget(url=running.url, org="grid", bucket="grid"))
        asyncio.run(flusher.drain())
        spool.close()
        yield running


@pytest.fixture(scope="module")
def book() -> PanelBook:
    book = PanelBook.shipped()
    book.take(hour())
    assert book.unread == 0
    return book


def ask(server: Influxd, query: Query) -> list[dict[str, Any]]:
    """Ask for the whole hour, by the minute, for all areas."""
    text = query.influxql.replace("$timeFilter", f"time >= {START_NS}ns AND time < {END_NS}ns")
    text = re.sub(r"GROUP BY time\([^)]+\)", "GROUP BY time(1m)", text)
    return server.query(re.sub(r"/\^\$\w+\$/", "/^.*$/", text.replace("${__to}", str(END_NS // NS_PER_MS))), "grid")


def courses(answer: list[dict[str, Any]], by: str, *, zero: bool) -> dict[str, dict[int, float]]:
    """Values by series and second; a server fills a minute without lines with 0 where it is asked to."""
    tags = by.split(",") if by else []
    return {
        " · ".join(series.get("tags", {}).get(tag, "") for tag in tags): {
            row[0] // NS_PER_S: row[1] for row in series["values"] if row[1] is not None and not (zero and row[1] == 0)
        }
        for series in answer
    }


def shown_courses(groups: dict[str, Any]) -> dict[str, dict[int, float]]:
    return {
        group: {part["start_s"] + part["step_s"] * n: value for n, value in enumerate(part["values"]) if value is not None}
        for group, part in groups.items()
        if "values" in part
    }


def of_kind(kind: str) -> list[Any]:
    """Every query whose panel keeps what it shows in this way, with its number among its panel's queries."""
    chosen = []
    for board, panel in PANELS:
        for number, query in enumerate(panel.queries):
            parts = parts_of(query) or {}
            how = parts["how"]
            if panel.kind in ("state-timeline", "status-history"):
                continue  # kept as changes, not as minutes
            newest = panel.kind == "stat" and how == "last" and not panel.sparkline
            course = "GROUP BY time(" in query.influxql and not newest
            kept = "course" if course else "table" if how in ("rows", "newest") else "now" if how.startswith(("now:", "last")) else ""
            # Growth a second is computed in the page.
            if kept == kind and not parts["per_s"]:
                chosen.append(pytest.param(board, panel, number, id=f"{board.name}-{panel.number}-{number}"))
    return chosen


def known(book: PanelBook, board: Board, panel: Panel, number: int) -> dict[str, Any]:
    """What the board shows of one query, by series."""
    queries = book.pages[board.name].snapshot()["panels"].get(str(panel.number))
    return queries[number] if queries else {}


@pytest.mark.parametrize(("board", "panel", "number"), of_kind("course"))
def test_a_course_is_minute_by_minute_what_the_server_answers(server: Influxd, book: PanelBook, board: Board, panel: Panel, number: int):
    query = panel.queries[number]
    parts = parts_of(query)
    assert parts is not None
    expected = courses(ask(server, query), parts["by"], zero="fill(0)" in query.influxql)
    shown = shown_courses(known(book, board, panel, number))
    assert set(shown) == {group for group, minutes in expected.items() if minutes}
    for group, minutes in shown.items():
        assert minutes == {second: pytest.approx(value, rel=2e-5, abs=1e-9) for second, value in expected[group].items()}, group


@pytest.mark.parametrize(("board", "panel", "number"), of_kind("now"))
def test_a_number_is_what_the_server_answers(server: Influxd, book: PanelBook, board: Board, panel: Panel, number: int):
    query = panel.queries[number]
    answer = ask(server, query)
    shown = [part["last"][1] for part in known(book, board, panel, number).values() if "last" in part and part["last"][1] is not None]
    values = [row[-1] for series in answer for row in series["values"][-1:] if row[-1] is not None]
    if panel.unit == "age":
        # Only the instant is shown; which of several values of that instant is the last one is the server's choice.
        assert len(shown) == len(values)
        return
    if (parts_of(query) or {})["how"] == "now:count" and not values:
        values = [0.0] if shown else []
    if panel.kind == "bargauge" and len(shown) > len(values):
        # The server gives the twenty highest; the page chooses them itself.
        values, shown = sorted(row[1] for row in answer[0]["values"]), sorted(shown)[-len(answer[0]["values"]) :]
    assert sorted(shown, key=str) == [one if isinstance(one, str) else pytest.approx(one, rel=1e-9) for one in sorted(values, key=str)]


@pytest.mark.parametrize(("board", "panel", "number"), of_kind("table"))
def test_a_table_has_the_rows_the_server_answers(server: Influxd, book: PanelBook, board: Board, panel: Panel, number: int):
    query = panel.queries[number]
    parts = parts_of(query)
    assert parts is not None
    fields = parts["field"].split(",")
    rows = [row for part in known(book, board, panel, number).values() for row in part["rows"]]
    shown = {tuple(map(str, row[1:])) for row in rows}
    expected = set()
    for series in ask(server, query):
        for row in series["values"]:
            cells = {**dict(zip(series["columns"], row, strict=True)), **series.get("tags", {})}
            expected.add(tuple(str(float(cell)) if isinstance(cell := cells[name], int) else str(cell) for name in fields))
    assert shown >= expected if parts["how"] == "rows" else shown == expected
