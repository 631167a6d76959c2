"""The rendered dashboards keep the rules a control room's display is drawn by, and are what the registry gives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from dashboards import build
from dashboards.board import FOLDERS, LANGUAGES, Board, Level
from dashboards.boards import BOARDS
from dashboards.classic import render
from dashboards.elements import UNITS, Drill, Mark, Panel, PanelKind, Text, course, headings, last, rows
from dashboards.handbook import handbook
from dashboards.liveboard import drawable, panels_of
from dashboards.marks import CASES, PHASES, PRIORITIES, REGIMES, STATUSES
from market.decisions import Phase
from market.outcomes import OutcomeStatus
from market.prices import Regime
from streams.alerts import Priority
from streams.measurements import KPI, LMP, MARKET, MEASUREMENTS, FieldType


def test_the_committed_files_are_what_the_registry_gives() -> None:
    assert build.check() == [], "run: gridfuse dashboards build"


def test_check_finds_a_file_that_was_edited_by_hand_and_one_that_is_of_no_board(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_panel = tuple(panel for panel in BOARDS[0].panels if panel.drill is None)[:1]
    monkeypatch.setattr(build, "BOARDS", (replace(BOARDS[0], links=(), panels=one_panel),))
    assert build.main(["--check"], tmp_path) == 1
    assert build.main([], tmp_path) == 0
    assert build.main(["--check"], tmp_path) == 0
    edited = tmp_path / "docs" / "dashboards.md"
    edited.write_text("{}")
    left = tmp_path / "dashboards" / "grafana" / "json" / "zh" / "left.json"
    left.write_text("{}")
    capsys.readouterr()
    assert build.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err.splitlines() == [f"{path} is not current; run: gridfuse dashboards build" for path in (edited, left)]
    assert build.main([], tmp_path) == 0
    assert not left.exists()


def test_no_board_has_a_fault() -> None:
    assert build.faults() == []


def test_a_board_with_a_fault_is_not_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = replace(BOARDS[0], question=Text("", ""))
    monkeypatch.setattr(build, "BOARDS", (board, *BOARDS[1:]))
    assert build.main([], tmp_path) == 1
    assert f"{board.uid}-zh: has no description" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_every_unit_of_the_schema_can_be_shown() -> None:
    assert {field.unit for measurement in MEASUREMENTS for field in measurement.fields} <= set(UNITS)


@pytest.mark.parametrize(
    ("marks", "states"),
    [
        (PHASES, Phase),
        (REGIMES, Regime),
        (STATUSES, [*OutcomeStatus, "FAILED"]),
        (PRIORITIES, Priority),
        (CASES, ["OPENED", "NOTED", "CLOSED"]),
    ],
)
def test_every_state_there_is_has_a_mark(marks: tuple[Mark, ...], states: Iterable[str]) -> None:
    assert [mark.state for mark in marks] == [str(state) for state in states]


def test_a_number_is_shown_in_the_unit_it_is_in() -> None:
    fields = {(measurement.name, field.name): field for measurement in MEASUREMENTS for field in measurement.fields}
    of_a_second = {"s": 1.0, "clock": 1.0, "ms": 0.001, "min": 60.0, "h": 3_600.0, "d": 86_400.0}
    judged = 0
    for board in BOARDS:
        for panel in board.panels:
            for query in panel.queries:
                if query.source is None or (field := fields.get((query.source.measurement, query.source.field))) is None:
                    continue
                how, _, over = query.source.how.partition("/")
                shown = panel.unit if query.unit is None else query.unit
                where = f"{board.name} {panel.number}: {query.influxql}"
                if how == "count" or shown in {"age", "text"} or field.type is not FieldType.FLOAT:
                    continue
                judged += 1
                if field.unit == "s":
                    assert float(over or 1) == of_a_second[shown], where
                else:
                    assert (field.unit, over) == (shown, ""), where
    assert judged > 60


def test_a_course_in_another_unit_is_divided_for_grafana_and_for_the_live_board() -> None:
    asked = course(MARKET, "outage_s", how="max", over=60.0, unit="min")
    assert asked.influxql.startswith('SELECT max("outage_s") / 60 FROM "market"')
    assert (asked.source.how if asked.source else "", asked.unit) == ("max/60", "min")


def test_no_two_folders_are_one_to_grafana() -> None:
    """It names a folder after its last directory only."""
    leaves = [name for folder in FOLDERS.values() for name in (folder.zh, folder.en)]
    assert len(set(leaves)) == len(leaves)


def test_a_field_that_is_not_written_cannot_be_asked_for() -> None:
    for ask in (
        lambda: last(MARKET, "mood"),
        lambda: course(KPI, "mood"),
        lambda: course(KPI, "load_mw", by="mood"),
        lambda: rows(MARKET, "phase", "mood"),
        lambda: headings(MARKET, "mood"),
    ):
        with pytest.raises(KeyError, match="has no mood"):
            ask()


def test_a_panel_leads_down_with_the_time_and_what_its_value_is_of() -> None:
    below = Board(uid="gridfuse-b", level=Level.DETAIL, title=Text("Below", "下层"), question=Text("?", "？"), panels=())
    drill = Drill("gridfuse-b", {"bus": "bus"})
    at, words = (0, 0, 1, 1), Text("x", "中")
    prices = (course(LMP, "price_cny_per_mwh", by="bus"),)
    course_panel = Panel(number=1, kind=PanelKind.HEATMAP, title=words, description=words, unit="", at=at, drill=drill, queries=prices)
    table = replace(course_panel, kind=PanelKind.TABLE, queries=(rows(LMP, "price_cny_per_mwh"),))
    board = replace(below, uid="gridfuse-a", panels=(course_panel, table))
    of_course, of_table = render(board, "zh", (board, below))["panels"]
    kept = "/d/gridfuse-b-zh?${__url_time_range}&"
    assert of_course["fieldConfig"]["defaults"]["links"][0]["url"] == kept + "${datasource:queryparam}&var-bus=${__field.labels.bus}"
    assert of_table["fieldConfig"]["defaults"]["links"][0]["url"] == kept + '${datasource:queryparam}&var-bus=${__data.fields["bus"]}'
    assert of_course["links"] == [{"title": "详见：下层", "url": kept + "${__all_variables}", "targetBlank": False}]


def test_every_board_is_reached_from_every_other_by_its_level() -> None:
    for language in LANGUAGES:
        boards = build.rendered(language).values()
        for board in boards:
            offered = [set(link["tags"]) for link in board["links"] if link["tags"]]
            assert all(any(tags <= set(other["tags"]) for tags in offered) for other in boards)


def test_the_live_board_gets_what_it_can_draw_in_parts() -> None:
    """What a query asks for stands there in parts, which say the same as the InfluxQL beside."""
    shown = {board["uid"]: {panel["id"]: panel for panel in board["panels"]} for board in panels_of(BOARDS)["boards"]}
    assert set(shown) == {board.uid for board in BOARDS}
    drawn = [(panel, shown[board.uid][panel.number]) for board in BOARDS for panel in board.panels if drawable(panel)]
    assert len(drawn) == sum(map(len, shown.values())) > 20
    for panel, written in drawn:
        assert written["title"] == {"zh": panel.title.zh, "en": panel.title.en}
        for query, series in zip(panel.queries, written["series"], strict=True):
            assert f'FROM "{series["measurement"]}" WHERE {series["where"]}' in query.influxql
            if query.source is not None:
                assert query.influxql.startswith(f'SELECT {series["how"].split("/")[0]}("{series["field"]}")')


def test_the_handbook_has_every_panel_of_every_board() -> None:
    page = handbook(BOARDS)
    for board in BOARDS:
        assert f"## {board.title.en} · {board.title.zh}" in page
        for panel in board.panels:
            assert f"| {panel.number} | {panel.title.en} | {panel.title.zh} |" in page
    assert page.count("\n| ") == sum(len(board.panels) for board in BOARDS) + len(BOARDS) + 2 * (len(BOARDS) + 1)
