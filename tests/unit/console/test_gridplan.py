"""What is drawn of a network model: its buses with their stations and places, and its branches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from console import dashboards
from console.gridplan import grid_plan, network_named
from dashboards.diagram import DEMONSTRATION, read_diagram, read_plan
from market.errors import ConfigError
from streams.settings import NetworkModel
from tests.kit.recorded_day import written_settings

CASE = Path(__file__).parents[3] / "market" / "cases" / "pglib" / "pglib_opf_case30_ieee.m"


def test_the_diagram_that_is_kept_is_of_the_demonstration_grid(tmp_path: Path) -> None:
    """If this fails: gridfuse dashboards build --network shipped --output DIR, and copy DIR/one-line.json to dashboards/."""
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(grid_plan(network_named("shipped"))))
    assert read_plan(plan) == read_diagram(DEMONSTRATION).plan


def test_buses_that_transformers_join_are_one_station() -> None:
    buses = {bus["name"]: bus for bus in grid_plan(network_named("shipped"))["buses"]}
    assert {buses[name]["station"] for name in ("109", "110", "111", "112")} == {"109"}
    assert (buses["109"]["kv"], buses["111"]["kv"]) == (138.0, 230.0)
    # Area 2 lies north of area 1, and west of it is area 3.
    assert buses["201"]["north"] > buses["101"]["north"]
    assert buses["301"]["east"] < buses["101"]["east"]


def test_a_matpower_case_has_buses_and_branches_and_no_places() -> None:
    plan = grid_plan(network_named(str(CASE)))
    assert (plan["name"], len(plan["buses"]), len(plan["branches"])) == ("pglib_opf_case30_ieee", 30, 41)
    assert all("east" not in bus for bus in plan["buses"])


def test_stations_are_those_the_settings_name() -> None:
    model = NetworkModel(matpower=str(CASE), stations={"Riverside": ["1", "2"]})
    station = {bus["name"]: bus["station"] for bus in grid_plan(model)["buses"]}
    assert (station["1"], station["2"]) == ("Riverside", "Riverside")
    with pytest.raises(ConfigError, match="'99' is no bus of the network model"):
        grid_plan(NetworkModel(matpower=str(CASE), stations={"Riverside": ["99"]}))


def test_settings_say_which_network_is_meant(tmp_path: Path) -> None:
    written_settings(tmp_path, points=0)
    settings = tmp_path / "gridfuse.yaml"
    settings.write_text(settings.read_text().replace("{rts_gmlc: shipped}", "{rts_gmlc: shipped, stations: {West: ['301', '302']}}"))
    assert network_named(str(settings)).stations == {"West": ["301", "302"]}
    assert network_named("shipped").rts_gmlc == "shipped"
    assert network_named("case.m.gz").matpower == "case.m.gz"


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    dashboards.register(made)
    return made


@pytest.mark.parametrize("options", [["--network", "shipped"], ["--output", "boards"]])
def test_a_network_needs_a_place_for_its_boards(app: typer.Typer, options: list[str]) -> None:
    assert CliRunner().invoke(app, ["dashboards", "build", *options]).exit_code == 2


def test_a_case_that_cannot_be_read_is_told(app: typer.Typer, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["dashboards", "build", "--network", str(tmp_path / "none.m"), "--output", str(tmp_path)])
    assert done.exit_code == 2
    assert "none.m" in done.stderr


def test_the_renderer_is_told_plan_and_place(app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, ...]] = []

    def run(module: str, *arguments: str) -> int:
        ran.append((module, *arguments))
        assert len(json.loads(Path(arguments[0]).read_text())["buses"]) == 30
        return 1

    monkeypatch.setattr(dashboards, "_run", run)
    done = CliRunner().invoke(app, ["dashboards", "build", "--network", str(CASE), "--output", "boards", "--check"])
    assert done.exit_code == 1
    ((module, _, *rest),) = ran
    assert (module, rest) == ("dashboards.ownnetwork", ["boards", "--check"])
