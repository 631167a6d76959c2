"""A query in the forms that the registry uses, told apart into parts for the live board."""

from __future__ import annotations

from typing import Any

import pytest

from dashboards.boards import BOARDS
from dashboards.elements import Query
from dashboards.liveboard import drawable
from dashboards.livequeries import parts_of

_BRANCHES = 'FROM (SELECT last("v") AS "v" FROM "branch" WHERE $timeFilter GROUP BY "branch")'
_BUSES = 'FROM (SELECT last("p") AS "p" FROM "lmp" WHERE $timeFilter GROUP BY time($__interval), "bus", "area" fill(none))'
_RT = "\"segment\" = 'RT'"


@pytest.mark.parametrize(
    ("influxql", "parts"),
    [
        (
            f'SELECT "kind", "text_en" FROM "event" WHERE {_RT} AND $timeFilter ORDER BY time DESC LIMIT 50',
            {"how": "rows", "field": "kind,text_en", "where": _RT},
        ),
        (
            'SELECT last("active") AS "active", "number" FROM "announcement" WHERE $timeFilter GROUP BY "kind", "segment"',
            {"how": "newest", "field": "active,number,kind,segment", "by": "kind,segment", "having": ""},
        ),
        (
            'SELECT last("left_s") AS "left_s" FROM "duty" WHERE time > ${__to}ms - 2m AND $timeFilter GROUP BY "duty"',
            {"how": "newest", "where": "", "within_s": 120},
        ),
        (
            f'SELECT "v", "branch" {_BRANCHES} WHERE "v" = 0 AND $timeFilter',
            {"how": "newest", "field": "v,branch", "by": "branch", "having": '"v" = 0'},
        ),
        (
            f'SELECT max("v") {_BRANCHES} WHERE $timeFilter',
            {"how": "now:max", "field": "v", "measurement": "branch", "having": ""},
        ),
        (
            'SELECT min("left_s") FROM "duty" WHERE "duty" = \'limit\' AND time > ${__to}ms - 2m AND $timeFilter',
            {"how": "now:min", "where": "\"duty\" = 'limit'", "within_s": 120},
        ),
        (f'SELECT sum("relaxed") FROM "clearing" WHERE {_RT} AND $timeFilter', {"how": "sum", "where": _RT, "by": ""}),
        (
            f'SELECT mean("p") {_BUSES} WHERE $timeFilter GROUP BY time($__interval), "area" fill(none)',
            {"how": "mean@last", "measurement": "lmp", "by": "area"},
        ),
        (
            """SELECT non_negative_derivative(max("cpu_s"), 1s) * 100 FROM "stage" WHERE $timeFilter GROUP BY time(1m), "dev" tz('UTC')""",
            {"how": "max", "field": "cpu_s", "by": "dev", "per_s": 100.0},
        ),
    ],
)
def test_each_form_is_told_apart(influxql: str, parts: dict[str, Any]):
    found = parts_of(Query(influxql))
    assert found is not None
    assert {name: found[name] for name in parts} == parts


@pytest.mark.parametrize(
    "influxql",
    [
        'SELECT stddev("v") FROM "m" WHERE $timeFilter',
        'SELECT count("valid") - sum("valid") FROM "clearing" WHERE $timeFilter',
        'SELECT 100 * mean("v") FROM "m" WHERE $timeFilter GROUP BY time($__interval) fill(none)',
    ],
)
def test_a_form_that_is_not_known_is_left_to_grafana(influxql: str):
    assert parts_of(Query(influxql)) is None


def test_the_live_board_draws_most_of_every_board():
    for board in BOARDS:
        drawn = [panel for panel in board.panels if drawable(panel)]
        assert len(drawn) >= 0.6 * len(board.panels), f"{board.uid}: {len(drawn)} of {len(board.panels)}"
