"""A grid of one's own gets its boards, and finds its stations where they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dashboards.diagram import DEMONSTRATION, drawn_again, read_diagram
from dashboards.lint import board_faults, link_faults
from dashboards.ownnetwork import KEPT, main
from tests.kit.gridplans import plan_of


def written(path: Path, *branches: str) -> Path:
    path.write_text(drawn_again(plan_of(*branches)).written(), encoding="utf-8")
    return path


def test_boards_are_written_in_both_languages_and_keep_the_rules(tmp_path: Path) -> None:
    plan = written(tmp_path / "plan.json", "AB", "BC")
    assert main([str(plan), str(tmp_path / "boards")]) == 0
    files = sorted((tmp_path / "boards").rglob("*/*/*.json"))
    boards = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    assert len(boards) == 2 * 9
    assert [fault for board in boards for fault in board_faults(board)] == []
    assert link_faults({board["uid"]: board for board in boards}) == []
    topology = next(board for board in boards if board["uid"] == "gridfuse-topology-en")
    canvas = next(panel for panel in topology["panels"] if panel["type"] == "canvas")
    assert "A alive" in {element["name"] for element in canvas["options"]["root"]["elements"]}


def test_check_tells_what_is_not_current(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan, boards = written(tmp_path / "plan.json", "AB", "BC"), tmp_path / "boards"
    assert main([str(plan), str(boards), "--check"]) == 1
    assert main([str(plan), str(boards)]) == 0
    assert main([str(plan), str(boards), "--check"]) == 0
    written(plan, "AB", "BC", "CD")
    capsys.readouterr()
    assert main([str(plan), str(boards), "--check"]) == 1
    assert "topology.json is not current; build again" in capsys.readouterr().err


def test_the_next_build_leaves_every_station_where_it_is(tmp_path: Path) -> None:
    plan, boards = written(tmp_path / "plan.json", "AB", "BC", "CD"), tmp_path / "boards"
    assert main([str(plan), str(boards)]) == 0
    first = read_diagram(boards / KEPT).layout.cells
    written(plan, "AB", "BC", "CD", "DE", "AE")
    assert main([str(plan), str(boards)]) == 0
    again = read_diagram(boards / KEPT).layout.cells
    assert {name: again[name] for name in first} == first
    assert "E" in again


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{}", "not a grid plan"),
        ('{"name": "x", "buses": [], "branches": [{"name": "L", "from": "A", "to": "B"}]}', "branch 'L' ends at 'A', which is no bus"),
        (
            '{"name": "x", "buses": [{"name": "A", "station": "A"}, {"name": "A", "station": "A"}], "branches": []}',
            "bus 'A' is there twice",
        ),
    ],
)
def test_what_is_no_plan_is_refused_with_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, wrong: str) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(text)
    assert main([str(plan), str(tmp_path / "boards")]) == 2
    told = capsys.readouterr().err
    assert wrong in told
    assert str(plan) in told


def test_two_stations_on_one_cell_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan, boards = written(tmp_path / "plan.json", "AB"), tmp_path / "boards"
    assert main([str(plan), str(boards)]) == 0
    kept = boards / KEPT
    data = json.loads(kept.read_text())
    data["cells"]["A"] = data["cells"]["B"]
    kept.write_text(json.dumps(data))
    assert main([str(plan), str(boards)]) == 2
    assert "not every station has a cell of its own" in capsys.readouterr().err


def test_what_is_written_is_read_back() -> None:
    diagram = read_diagram(DEMONSTRATION)
    assert diagram.written() == DEMONSTRATION.read_text(encoding="utf-8")
