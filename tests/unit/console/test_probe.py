"""``gridfuse ingest probe``: what it refuses before it connects, and what it says it would do."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from console.ingest import ingest_group
from console.probe import register
from tests.kit.cli import CliRunner


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    register(ingest_group(app))
    return app


def test_a_dry_run_connects_to_nothing_and_tells_the_plan(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["ingest", "probe", "modbus+tcp://192.0.2.1", "--dry-run", "--unit", "1,5..7", "--expect", "30=230.1"])
    assert result.exit_code == 0
    assert "4 unit ids (1, 5..7)" in result.stdout
    assert "look for 30=230.1" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("nothing is ever written")


def test_requests_are_not_sent_ahead_on_a_line(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["ingest", "probe", "modbus+rtu:///dev/ttyUSB0?baud=9600", "--dry-run"])
    assert result.exit_code == 0
    assert "at once" not in result.stdout
    assert "32 unit ids (1..32)" in result.stdout


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["http://10.0.0.1"], "is no address that can be probed"),
        (["modbus+rtu+tcp://10.0.0.1"], "has no port"),
        (["modbus+tcp://10.0.0.1", "--unit", "256"], "--unit: '256' is no number up to 255"),
        (["modbus+tcp://10.0.0.1", "--unit", "9..3"], "--unit: '9..3' is no number"),
        (["modbus+tcp://10.0.0.1", "--tables", "holding,coils"], "'coils' is no table"),
        (["modbus+tcp://10.0.0.1", "--expect", "volts"], "'volts' is no expectation"),
        (["modbus+tcp://10.0.0.1", "--gap", "20"], "--gap: '20' is not a length of time"),
        (["modbus+tcp://10.0.0.1", "--ca", "ca.pem"], "--ca: is for modbus+tls://"),
        (["modbus+tls://10.0.0.1", "--cert", "c.pem"], "belong together"),
        (["opc.tcp://10.0.0.1"], "has no port; write opc.tcp://host:4840"),
        (["opc.tcp://10.0.0.1:4840", "--policy", "Basic256Sha256"], "needs our certificate"),
        (["opc.tcp://10.0.0.1:4840", "--user", "ann"], "give `password_env`"),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_connects(app: typer.Typer, given: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["ingest", "probe", *given])
    assert result.exit_code == 2
    assert said in result.stderr


def test_every_problem_is_said_at_once(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["ingest", "probe", "modbus+tcp://10.0.0.1", "--unit", "x", "--scan", "5", "--expect", "y"])
    assert len(result.stderr.splitlines()) == 2


def test_a_file_is_not_overwritten(app: typer.Typer, tmp_path: Path) -> None:
    there = tmp_path / "points.yaml"
    there.touch()
    result = CliRunner().invoke(app, ["ingest", "probe", "modbus+tcp://10.0.0.1", "--out", str(there)])
    assert (result.exit_code, there.read_text()) == (2, "")
    assert "is there already" in result.stderr


def test_the_plan_for_an_opc_ua_server(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["ingest", "probe", "opc.tcp://192.0.2.1:4840", "--dry-run", "--nodes", "50"])
    assert result.exit_code == 0
    assert "browse at most 50 nodes" in result.stdout
    assert "without security, as nobody" in result.stdout
