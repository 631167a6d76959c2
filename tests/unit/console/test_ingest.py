"""``gridfuse ingest check``: every problem at once, and an exit code a script can use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from console.ingest import ingest_group, register
from tests.kit.cli import CliRunner

SHIPPED = Path(__file__).parents[2] / "data" / "points.yaml"


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    register(app)
    return app


def test_a_list_without_problems(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["ingest", "check", "--config", str(SHIPPED)])
    assert (result.exit_code, result.output) == (0, f"{SHIPPED}: 28 points on 6 devices, no problem\n")


def test_every_problem_on_its_own_line(app: typer.Typer, tmp_path: Path) -> None:
    broken = tmp_path / "points.yaml"
    broken.write_text(SHIPPED.read_text().replace("float32", "float31").replace("map: ems", "map: sme"))
    result = CliRunner().invoke(app, ["ingest", "check", "--config", str(broken)])
    assert result.exit_code == 2
    assert [line.split(": ")[:2] for line in result.stderr.splitlines()] == [
        [f"{broken}:8", "maps.feeder.points.unit/{unit}/mw.type"],
        [f"{broken}:10", "maps.feeder.points.unit/{unit}/setpoint_mw.type"],
    ]


def test_problems_as_json(app: typer.Typer, tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    result = CliRunner().invoke(app, ["ingest", "check", "--json", "--config", str(missing)])
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {
        "ok": False,
        "devices": 0,
        "points": 0,
        "problems": [{"where": str(missing), "what": "there is no such file; give the path of a YAML file"}],
    }


def test_a_list_that_cannot_be_used_is_not_read(app: typer.Typer, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["ingest", "read", "--config", str(tmp_path / "none.yaml")])
    assert result.exit_code == 2
    assert "there is no such file" in result.stderr


def test_the_group_is_shared(app: typer.Typer) -> None:
    assert ingest_group(app) is ingest_group(app)
    assert [group.name for group in app.registered_groups] == ["ingest"]
