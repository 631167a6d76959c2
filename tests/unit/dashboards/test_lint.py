"""Each rule of the lint passes a sound board and finds the fault it is there for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dashboards.board import AREA, AREAS, BUS, BUSES, LANGUAGES, Board, Level
from dashboards.classic import render
from dashboards.elements import GREY, P1, Drill, Panel, PanelKind, Step, Text, course, last
from dashboards.influxql import query_faults
from dashboards.lint import board_faults, link_faults, pair_faults
from dashboards.marks import PHASES
from streams.measurements import KPI_AREA, LMP, MARKET

Rendered = dict[str, Any]

WALL = Board(
    uid="gridfuse-wall",
    level=Level.WALL,
    title=Text("Wall", "大屏"),
    question=Text("How is it?", "情况如何？"),
    variables=(AREA,),
    panels=(
        Panel(
            number=1,
            kind=PanelKind.STAT,
            title=Text("Market", "市场"),
            description=Text("Its state.", "状态。"),
            unit="text",
            at=(0, 0, 12, 4),
            queries=(last(MARKET, "phase"),),
            marks=PHASES,
        ),
        Panel(
            number=2,
            kind=PanelKind.TIME_SERIES,
            title=Text("Load", "负荷"),
            description=Text("By area.", "各区域。"),
            unit="MW",
            at=(0, 4, 24, 8),
            queries=(course(KPI_AREA, "load_mw", where=AREAS, by="area"),),
            steps=(Step(None, GREY), Step(9_000, P1)),
            drill=Drill("gridfuse-prices", {"bus": "bus"}),
        ),
    ),
)
PRICES = Board(
    uid="gridfuse-prices",
    level=Level.DETAIL,
    title=Text("Prices", "价格"),
    question=Text("What is paid?", "价格如何？"),
    variables=(BUS,),
    panels=(
        Panel(
            number=1,
            kind=PanelKind.HEATMAP,
            title=Text("LMP", "节点电价"),
            description=Text("By bus.", "各节点。"),
            unit="元/MWh",
            at=(0, 0, 24, 8),
            queries=(course(LMP, "price_cny_per_mwh", where=BUSES, by="bus"),),
        ),
    ),
    links=("gridfuse-wall",),
)
BOTH = (WALL, PRICES)


def sound(language: str = "en", board: Board = WALL) -> Rendered:
    return render(board, language, BOTH)


def test_a_sound_board_has_no_fault() -> None:
    for board in BOTH:
        assert board_faults(sound("zh", board)) == board_faults(sound("en", board)) == []
        assert pair_faults(sound("zh", board), sound("en", board)) == []


def put(*path: str | int, value: object) -> Callable[[Rendered], None]:
    """Set one place of a board."""

    def change(board: Rendered) -> None:
        item: Any = board
        for step in path[:-1]:
            item = item[step]
        item[path[-1]] = value

    return change


def query(influxql: str) -> Callable[[Rendered], None]:
    return put("panels", 0, "targets", 0, "query", value=influxql)


COURSE = ("panels", 1, "targets", 0)
DEFAULTS = ("panels", 1, "fieldConfig", "defaults")
STEPS = [{"value": None, "color": GREY}, {"value": 3, "color": P1}, {"value": 2, "color": P1}]


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("timezone is not 'Asia/Shanghai'", put("timezone", value="browser")),
        ("graphTooltip is not 1", put("graphTooltip", value=0)),
        ("schemaVersion is not 39", put("schemaVersion", value=99)),
        ("has no description", put("description", value="")),
        ("has no refresh", put("refresh", value="")),
        ("two panels have one number", put("panels", 1, "id", value=1)),
        ("two panels of kind stat are called 'Market'", lambda board: board.__setitem__("panels", many(board["panels"][0], 2))),
        ("needs a title and a description", put("panels", 0, "title", value="")),
        ("needs a title and a description", put("panels", 0, "description", value="")),
        ("Grafana has no unit 'megawatts'", put(*DEFAULTS, "unit", value="megawatts")),
        ("Grafana has no unit ''", put(*DEFAULTS, "unit", value="")),
        ("unit currencyCNY is not what it looks like", put(*DEFAULTS, "unit", value="currencyCNY")),
        ("unit mwatt is not what it looks like", put(*DEFAULTS, "unit", value="mwatt")),
        (
            "Grafana has no unit 'dollars'",
            put("panels", 0, "fieldConfig", "overrides", value=[{"properties": [{"id": "unit", "value": "dollars"}]}]),
        ),
        ("shows something else than –", put(*DEFAULTS, "noValue", value="N/A")),
        ("its thresholds do not ascend", put(*DEFAULTS, "thresholds", "steps", value=STEPS)),
        ("its thresholds do not ascend", put(*DEFAULTS, "thresholds", "steps", value=STEPS[1:])),
        ("reads from another source than the one chosen", put("panels", 0, "datasource", value={"type": "influxdb", "uid": "mine"})),
        ("a query is not written out, or reads from another source", put("panels", 0, "targets", 0, "datasource", value="default")),
        ("a query is not written out", put("panels", 0, "targets", 0, "rawQuery", value=False)),
        ("needs queries, each with a reference of its own", put("panels", 0, "targets", value=[])),
        ("needs queries, each with a reference of its own", put("panels", 0, "targets", 0, "refId", value=None)),
        ("has an empty query", query("")),
        ("a part of a query is not of the time shown", query('SELECT last("phase") FROM "market"')),
        (
            "a part of a query is not of the time shown",
            query('SELECT max("x") FROM (SELECT last("phase") AS "x" FROM "market") WHERE $timeFilter'),
        ),
        ("a course without GROUP BY time", put(*COURSE, "query", value='SELECT "load_mw" FROM "kpi_area" WHERE $timeFilter')),
        ("sample() is not in every server", query('SELECT sample("phase", 3) FROM "market" WHERE $timeFilter')),
        ("no measurement mood", query('SELECT last("phase") FROM "mood" WHERE $timeFilter')),
        ("market has no mood", query('SELECT last("mood") FROM "market" WHERE $timeFilter')),
        ("$node is used and not declared", query('SELECT last("phase") FROM "market" WHERE "segment" =~ /^$node$/ AND $timeFilter')),
        ("$area is declared and not used", lambda board: board["panels"].pop()),
        ("$area is not read again", put("templating", "list", 1, "refresh", value=1)),
        ("$area is not read again", put("templating", "list", 1, "allValue", value=None)),
        ("SERIES is neither quoted nor a keyword", put("templating", "list", 1, "query", value='SHOW SERIES FROM "lmp"')),
        ("$area reads from another source", put("templating", "list", 1, "datasource", value=None)),
        ("'Breaker and announcements' reads from another source", put("annotations", "list", 0, "datasource", value=None)),
        ("'Breaker and announcements' asks in a way", put("annotations", "list", 0, "query", value='SELECT "kind" FROM "event"')),
        ("'Breaker and announcements' asks in a way", put("annotations", "list", 0, "target", "query", value="")),
        ("has no variable datasource", lambda board: board["templating"]["list"].pop(0)),
        ("states are told apart by colour alone", lambda board: mapping(board).__setitem__("text", "normal")),
        ("states are told apart by colour alone", lambda board: mapping(board).__setitem__("text", "■ BREAKER TRIPPED")),
        ("lies beyond the 24 columns", put("panels", 0, "gridPos", "x", value=13)),
        ("'Market' overlaps 'Load'", put("panels", 0, "gridPos", "h", value=5)),
        ("is higher than a screen", put("panels", 1, "gridPos", "h", value=24)),
        ("has 13 panels", lambda board: board.__setitem__("panels", many(board["panels"][0], 13))),
        ("has a colour that says good: green", lambda board: mapping(board).__setitem__("color", "semi-dark-green")),
        ("has a colour that says good: #30A050", put(*DEFAULTS, "thresholds", "steps", 0, "color", value="#30A050")),
        ("has a colour that says good: palette-classic", put(*DEFAULTS, "color", value={"mode": "palette-classic"})),
        ("takes its colours from a palette of Grafana's: None", put(*DEFAULTS, "color", value={})),
    ],
)
def test_a_fault_is_found(fault: str, change: Callable[[Rendered], None]) -> None:
    board = copy.deepcopy(sound())
    change(board)
    found = board_faults(board)
    assert any(fault in each for each in found), found


def mapping(board: Rendered) -> Rendered:
    normal: Rendered = board["panels"][0]["fieldConfig"]["defaults"]["mappings"][0]["options"]["NORMAL"]
    return normal


def many(panel: Rendered, number: int) -> list[Rendered]:
    return [panel | {"id": i, "gridPos": {"x": i, "y": 0, "w": 1, "h": 4}} for i in range(number)]


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("leads to gridfuse-moods-en, which is not there", put("links", 0, "url", value="/d/gridfuse-moods-en")),
        ("leads to gone, which is not there", put("panels", 1, "links", 0, "url", value="/d/gone?from=now")),
        ("leads to gone, which is not there", put(*DEFAULTS, "links", 0, "url", value="/d/gone?from=now")),
        ("hands mood to gridfuse-prices-en, which", put(*DEFAULTS, "links", 0, "url", value="/d/gridfuse-prices-en?var-mood=1")),
        ("no board has the tags gridfuse, L4, en", put("links", 1, "tags", value=["gridfuse", "L4", "en"])),
    ],
)
def test_a_link_that_leads_nowhere_is_found(fault: str, change: Callable[[Rendered], None]) -> None:
    boards = {board["uid"]: board for board in (copy.deepcopy(sound(language, each)) for language in LANGUAGES for each in BOTH)}
    assert link_faults(boards) == []
    change(boards["gridfuse-wall-en"])
    assert any(fault in each for each in link_faults(boards))


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("uids do not differ by language alone", put("uid", value="gridfuse-other-en")),
        ("numbers, kinds, places or queries of panels differ", put("panels", 0, "id", value=7)),
        ("numbers, kinds, places or queries of panels differ", query('SELECT last("basis") FROM "market" WHERE $timeFilter')),
        ("English falls back to Chinese: 市场", put("panels", 0, "title", value="市场")),
        ("English falls back to Chinese: ■ 熔断", lambda board: mapping(board).__setitem__("text", "■ 熔断")),
        ("one language has more words", put("panels", 0, "fieldConfig", "defaults", "mappings", value=[])),
    ],
)
def test_a_language_that_lacks_something_is_found(fault: str, change: Callable[[Rendered], None]) -> None:
    board = copy.deepcopy(sound())
    change(board)
    assert any(fault in each for each in pair_faults(sound("zh"), board))


def test_chinese_may_be_an_abbreviation_and_nothing_else_that_is_english() -> None:
    zh, en = copy.deepcopy(sound("zh")), copy.deepcopy(sound("en"))
    zh["panels"][0]["title"] = en["panels"][0]["title"] = "CPS1"
    assert pair_faults(zh, en) == []
    zh["panels"][0]["title"] = en["panels"][0]["title"] = "Market"
    assert pair_faults(zh, en) == ["gridfuse-wall-zh: Chinese falls back to English: Market"]


@pytest.mark.parametrize(
    ("influxql", "fault"),
    [
        ('SELECT holt_winters(first("x"), 1, 2) FROM "m"', "holt_winters() is not in every server"),
        ('SELECT "x" INTO "y" FROM "m"', "INTO is neither quoted nor a keyword of every server"),
        ('SELECT "x" FROM "m" SLIMIT 3', "SLIMIT is neither quoted nor a keyword of every server"),
        ("SHOW DATABASES", "DATABASES is neither quoted nor a keyword of every server"),
        ('SELECT load FROM "m"', "LOAD is neither quoted nor a keyword of every server"),
        ('SELECT "x" FROM "m" JOIN "n" ON "a"', "JOIN is neither quoted nor a keyword of every server"),
        ('SELECT mean("x") FROM "m" GROUP BY time(1m) fill(linear)', "LINEAR is neither quoted nor a keyword of every server"),
        ('SELECT "x" FROM "m"; DROP', "not understood: ;"),
        (
            'SELECT "d" FROM (SELECT difference("x") AS "d" FROM "m") ORDER BY time DESC LIMIT 5',
            "difference() under ORDER BY time DESC is taken backwards by the server; sort the panel instead",
        ),
    ],
)
def test_what_not_every_server_has_is_found(influxql: str, fault: str) -> None:
    assert fault in query_faults(influxql)


@pytest.mark.parametrize(
    "influxql",
    [
        """SELECT top("x", "dev", 3) FROM "m" WHERE "area" =~ /^$area$/ AND ("kind" = 'a' OR "kind" = 'it IS') AND $timeFilter""",
        """SELECT 100 * sum("a") / sum("b") AS share FROM "m" WHERE $timeFilter GROUP BY time($__interval), "dev" fill(previous)""",
        """SELECT mean("a") FROM "m" WHERE $timeFilter GROUP BY time(1d) tz('Asia/Shanghai')""",
        """SELECT max("x") FROM (SELECT last("x") AS "x" FROM "m" WHERE "y" = 1 GROUP BY time(5m) fill(0)) ORDER BY time DESC LIMIT 9""",
        """SHOW TAG VALUES FROM "m" WITH KEY = "bus" WHERE "area" =~ /^$area$/""",
        """SELECT share FROM (SELECT "a" AS share FROM "m")""",
        """SELECT last("a") FROM "m" WHERE time > ${__to}ms - 2m AND $timeFilter GROUP BY "kind\"""",
    ],
)
def test_what_every_server_has_passes(influxql: str) -> None:
    assert query_faults(influxql) == []


def test_words_on_a_board_need_no_query_and_both_languages() -> None:
    words = Panel(
        number=3,
        kind=PanelKind.TEXT,
        title=Text("Note", "说明"),
        description=Text("What it means.", "含义。"),
        unit="",
        at=(0, 12, 24, 2),
        queries=(),
        words=Text("**Indicative.**", "**参考值。**"),
    )
    board = replace(WALL, panels=(*WALL.panels, words))
    zh, en = sound("zh", board), sound("en", board)
    assert board_faults(zh) == board_faults(en) == pair_faults(zh, en) == []
    zh["panels"][2]["options"]["content"] = "**Indicative.**"
    assert pair_faults(zh, en) == ["gridfuse-wall-zh: Chinese falls back to English: **Indicative.**"]
