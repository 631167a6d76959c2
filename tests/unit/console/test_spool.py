"""What ``gridfuse spool`` prints, and when it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from console.spool import register
from streams.spool import Spool
from tests.kit.cli import CliRunner


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    register(made)
    return made


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    spool = Spool(tmp_path / "spool")
    spool.append(b"kpi load_mw=1.0 1\n")
    end = spool.append(b"kpi load_mw=2.0 2\n")
    spool.ack(end // 2)
    spool.close()
    return tmp_path / "spool"


def test_show_for_people(app: typer.Typer, filled: Path) -> None:
    result = CliRunner().invoke(app, ["spool", "show", "--dir", str(filled)])
    assert result.exit_code == 0
    assert "67 bytes not yet accepted by InfluxDB" in result.stdout
    assert "134 bytes in 1 segments" in result.stdout
    assert "dead letters    none" in result.stdout


def test_show_for_machines(app: typer.Typer, filled: Path) -> None:
    (filled / "dead_letters.jsonl").write_text('{"line": "x"}\n')
    result = CliRunner().invoke(app, ["spool", "show", "--dir", str(filled), "--json"])
    data = json.loads(result.stdout)
    assert (data["waiting_bytes"], data["bytes_on_disk"], data["segments"], data["dead_letters"]) == (67, 134, 1, 1)


@pytest.mark.parametrize("command", [["show"], ["drain", "--url", "http://127.0.0.1:9", "--bucket", "b"]])
def test_a_directory_that_is_no_spool_is_refused(app: typer.Typer, tmp_path: Path, command: list[str]) -> None:
    result = CliRunner().invoke(app, ["spool", *command, "--dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "is not a spool" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_drain_is_refused_while_the_service_runs(app: typer.Typer, filled: Path) -> None:
    service = Spool(filled)
    result = CliRunner().invoke(app, ["spool", "drain", "--dir", str(filled), "--url", "http://127.0.0.1:9", "--bucket", "b"])
    service.close()
    assert result.exit_code == 1
    assert "is open in another process" in result.stderr


def test_drain_names_a_token_that_is_missing(app: typer.Typer, filled: Path) -> None:
    command = ["spool", "drain", "--dir", str(filled), "--url", "http://127.0.0.1:9", "--bucket", "b", "--token-file", "/nonexistent/t"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "/nonexistent/t: InfluxDB token cannot be read" in result.stderr


def test_drain_that_reaches_nobody_says_so(app: typer.Typer, filled: Path) -> None:
    result = CliRunner().invoke(app, ["spool", "drain", "--dir", str(filled), "--url", "http://127.0.0.1:9", "--bucket", "b"])
    assert result.exit_code == 1
    assert "does not answer" in result.stderr


def test_an_address_that_cannot_be_one_is_refused(app: typer.Typer, filled: Path) -> None:
    command = ["spool", "drain", "--dir", str(filled), "--url", "db:8086", "--bucket", "a/b/c", "--api", "v1"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "--url: 'db:8086' is no address" in result.stderr
    assert "--bucket: 'a/b/c' has two slashes" in result.stderr
