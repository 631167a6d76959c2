"""The rendered dashboards keep the rules a control room's display is drawn by, and are what the registry gives."""

from __future__ import annotations

import colorsys
import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from dashboards import build
from dashboards.board import FOLDERS, LANGUAGES
from dashboards.boards import BOARDS
from dashboards.elements import UNITS, Text, course, headings, last, rows
from streams.measurements import KPI, MARKET, MEASUREMENTS

Rendered = dict[str, Any]

KNOWN_UNITS = {
    *("none", "percent", "hertz", "kvolt", "s", "m", "dthms", "dateTimeFromNow", "string"),
    *("suffix:MW", "suffix:MWh", "suffix:元/MWh", "suffix:元/h"),
}
"""Ids of @grafana/data 13.2.3, looked up in its table of formats; ``suffix:`` is its form for any other unit."""

CHINESE = re.compile(r"[\u4e00-\u9fff]")
HEX = re.compile(r"#[0-9A-Fa-f]{6}")


@pytest.fixture(scope="module", params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=[board.name for board in BOARDS])
def board(language: str, request: pytest.FixtureRequest) -> Rendered:
    return next(board for place, board in build.rendered(language).items() if place.endswith(f"/{request.param}.json"))


def targets(board: Rendered) -> Iterator[tuple[Rendered, Rendered]]:
    return ((panel, target) for panel in board["panels"] for target in panel["targets"])


def test_the_committed_files_are_what_the_registry_gives() -> None:
    assert build.check() == [], "run: gridfuse dashboards build"


def test_check_finds_a_file_that_was_edited_by_hand_and_one_that_is_of_no_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_every_panel_has_a_title_a_description_and_a_known_unit(board: Rendered) -> None:
    for panel in board["panels"]:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"] in KNOWN_UNITS, panel["title"]


def test_columns_of_tables_have_known_units(board: Rendered) -> None:
    units = {
        setting["value"]
        for panel in board["panels"]
        for override in panel["fieldConfig"]["overrides"]
        for setting in override["properties"]
        if setting["id"] == "unit"
    }
    assert units <= KNOWN_UNITS


def test_every_unit_of_the_schema_can_be_shown() -> None:
    assert {field.unit for measurement in MEASUREMENTS for field in measurement.fields} <= set(UNITS)


def test_panels_have_distinct_numbers_and_do_not_overlap(board: Rendered) -> None:
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])

    def cells(panel: Rendered) -> set[tuple[int, int]]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        return {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}

    for one, other in combinations(board["panels"], 2):
        assert not cells(one) & cells(other), f"{one['title']} overlaps {other['title']}"


def test_every_query_is_of_the_time_shown_and_from_the_chosen_source(board: Rendered) -> None:
    for panel, target in targets(board):
        assert "$timeFilter" in target["query"]
        assert target["datasource"] == panel["datasource"] == {"type": "influxdb", "uid": "${datasource}"}
        assert target["rawQuery"] is True
        if panel["type"] in {"timeseries", "state-timeline"}:
            assert "GROUP BY time($__interval)" in target["query"]


def test_reference_ids_are_distinct_within_a_panel(board: Rendered) -> None:
    for panel in board["panels"]:
        ids = [target["refId"] for target in panel["targets"]]
        assert len(ids) == len(set(ids)) > 0


def test_what_a_query_names_is_in_the_schema(board: Rendered) -> None:
    known = {m.name: {t.name for t in m.tags} | {f.name for f in m.fields} for m in MEASUREMENTS}
    for _, target in targets(board):
        query = target["query"]
        (measurement,) = re.findall(r'FROM "(\w+)"', query)
        names = set(re.findall(r'"(\w+)"', query)) - {measurement}
        assert names <= known[measurement], query


def test_queries_stay_in_the_portable_part_of_influxql(board: Rendered) -> None:
    refused = re.compile(r"\b(SLIMIT|SOFFSET|SHOW DATABASES|SHOW SERIES|CARDINALITY|SAMPLE|HOLT_WINTERS|INTO|JOIN|UNION)\b", re.IGNORECASE)
    assert [target["query"] for _, target in targets(board) if refused.search(target["query"])] == []


def test_no_colour_says_good(board: Rendered) -> None:
    """Grey is normal: no green, by name, by palette or by hue."""
    text = json.dumps(board)
    assert "green" not in text
    assert "palette-classic" not in text
    assert "continuous-GrYlRd" not in text
    for colour in set(HEX.findall(text)):
        red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        hue, _, saturation = colorsys.rgb_to_hls(red, green, blue)
        assert saturation < 0.2 or not 75 <= hue * 360 <= 170, colour


def test_colour_never_stands_alone(board: Rendered) -> None:
    """States of different colour differ in their words too, and each abnormal one carries a mark."""
    for panel in board["panels"]:
        for mapping in panel["fieldConfig"]["defaults"]["mappings"]:
            texts = [state["text"] for state in mapping["options"].values()]
            assert len(texts) == len(set(texts))
            assert all(text[0] in "○△◇◆■▷" for text in texts)


def test_thresholds_ascend_from_minus_infinity(board: Rendered) -> None:
    for panel in board["panels"]:
        values = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        assert values[0] is None
        assert values[1:] == sorted(values[1:])


def test_what_must_not_depend_on_the_viewer_is_fixed(board: Rendered) -> None:
    assert (board["timezone"], board["editable"], board["weekStart"], board["refresh"]) == ("Asia/Shanghai", False, "monday", "5s")


def test_variables_are_read_again_when_the_time_changes(board: Rendered) -> None:
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert (variables["area"]["refresh"], variables["area"]["allValue"]) == (2, ".*")
    used = {name for _, target in targets(board) for name in re.findall(r"\$(\w+)", target["query"])} - {"timeFilter", "__interval"}
    assert used <= set(variables)


def pairs() -> Iterator[tuple[Rendered, Rendered]]:
    """Every board, in both languages."""
    return zip(*(build.rendered(language).values() for language in LANGUAGES), strict=True)


def test_both_languages_have_the_same_panels_with_the_same_queries() -> None:
    for zh, en in pairs():
        assert zh["uid"] != en["uid"]
        assert [(p["id"], p["type"], p["gridPos"]) for p in zh["panels"]] == [(p["id"], p["type"], p["gridPos"]) for p in en["panels"]]
        assert [t["query"] for _, t in targets(zh)] == [t["query"] for _, t in targets(en)]


def test_each_language_leads_to_the_other() -> None:
    for zh, en in pairs():
        assert zh["links"][0]["url"] == f"/d/{en['uid']}"
        assert en["links"][0]["url"] == f"/d/{zh['uid']}"


def test_no_two_folders_are_one_to_grafana() -> None:
    """It names a folder after its last directory only."""
    leaves = [name for folder in FOLDERS.values() for name in (folder.zh, folder.en)]
    assert len(set(leaves)) == len(leaves)


def texts(item: object) -> Iterator[Text]:
    """Every pair of words in the registry."""
    if isinstance(item, Text):
        yield item
    elif isinstance(item, tuple | list):
        for inner in item:
            yield from texts(inner)
    elif isinstance(item, dict):
        yield from texts(list(item.values()))
    elif hasattr(item, "__dataclass_fields__"):
        for name in item.__dataclass_fields__:
            yield from texts(getattr(item, name))


def test_no_text_falls_back_to_the_other_language() -> None:
    found = [text for text in texts(BOARDS) if (text.en, text.zh) != ("", "")]
    assert len(found) > 100
    for text in found:
        if text.en.startswith("$tag_"):
            assert text.en == text.zh
            continue
        assert not CHINESE.search(text.en), text
        assert CHINESE.search(text.zh), text


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
