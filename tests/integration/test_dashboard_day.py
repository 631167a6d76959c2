"""Every panel of every board shows something: its queries, as Grafana sends them, are answered by a real server with a day in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dashboards.boards import BOARDS
from streams.influx import Flusher, InfluxTarget
from streams.spool import Spool
from tests.kit.grafana_sends import Shown
from tests.kit.influx import Influxd, influxd
from tests.kit.market_day import END_NS, MarketDay

pytestmark = pytest.mark.integration

DAY = MarketDay(fine_hours=6)
PANELS = [Shown(board, panel, END_NS) for board in BOARDS for panel in board.panels if panel.queries]
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
