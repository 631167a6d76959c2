"""What the documents name is there: commands, targets, files, functions, topics; and the examples are read as they stand."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from console.cli import app
from market.version import CODE
from streams.settings import read_settings
from streams.topics import TOPICS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
DOCUMENTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md")}
SOURCES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.glob("[a-z]*/**/*.py")}


def commands() -> dict[str, set[str]]:
    """Every subcommand → its own subcommands."""
    group = get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    return {name: set(getattr(command, "commands", ())) for name, command in group.commands.items()}


def test_the_readme_tells_of_every_command() -> None:
    assert [name for name in commands() if f"gridfuse {name}" not in README] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_that_is_told_of_exists(document: str) -> None:
    known = commands()
    for command, sub in re.findall(r"gridfuse ([a-z]+) ?([a-z]*)", re.sub(r"[*`]", " ` ", DOCUMENTS[document])):
        if command in known:
            assert not known[command] or not sub or sub in known[command], f"{document}: gridfuse {command} {sub}"
        else:
            assert document == "CHANGELOG.md", f"{document}: gridfuse {command}"  # which also tells of what is missing


def test_the_readme_tells_of_every_target_and_of_no_other() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    told = set(re.findall(r"`make ([a-z]+)", README))
    assert told <= targets
    assert targets - told <= {"help", "clean"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_is_linked_or_named_exists(document: str) -> None:
    text = DOCUMENTS[document]
    linked = [target for target in re.findall(r"\]\(([^)]+)\)", text) if "://" not in target]
    named = re.findall(r"`((?:market|detectors|ingest|streams|console|dashboards|docker|tests|scripts)/[\w./-]*)`", text)
    assert [path for path in (*linked, *named) if not (ROOT / path).exists()] == []


def test_every_function_stands_in_the_file_that_architecture_names() -> None:
    """`path.py` `Name` and `path.py` `Class.method`, as the walks write it."""
    pairs = re.findall(r"`((?:\w+/)+\w+\.py)`\s+`(\w+)(?:\.(\w+))?`", ARCHITECTURE)
    assert len(pairs) > 15
    for path, *names in pairs:
        for name in filter(None, names):
            assert re.search(rf"\b(?:def|class) {name}\b|^ *(?:self\.)?{name}\b.*=", SOURCES[path], re.MULTILINE), f"{path} has no {name}"


def test_architecture_tables_every_topic() -> None:
    rows = {name: int(partitions) for name, partitions in re.findall(r"^\| `([a-z_.0-9]+)` \|.*\| (\d+) \|$", ARCHITECTURE, re.MULTILINE)}
    assert rows == {topic.name: topic.partitions for topic in TOPICS}


def test_every_trap_of_faust_has_tests_that_exist() -> None:
    section = ARCHITECTURE.partition("## Faust's traps")[2].partition("\n## ")[0]
    rows = [row.split(" | ") for row in section.splitlines() if row.startswith("| ")][1:]
    assert len(rows) > 20
    defined = {
        name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    for trap, _, tests in rows:
        named = re.findall(r"`(test_\w+)`", tests)
        assert named, f"no test for: {trap}"
        assert set(named) <= defined, set(named) - defined


def test_every_metric_that_architecture_names_is_told() -> None:
    told = SOURCES["console/metrics.py"]
    named = set(re.findall(r"`(\w+_(?:total|records|seconds))(?:`|\{)", ARCHITECTURE))
    assert len(named) >= 5
    assert [name for name in named if f'"{name}"' not in told] == []


def test_the_files_of_the_readme_are_read_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFLUX_TOKEN", "t")
    for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL):
        (tmp_path / re.findall(r"\A# (\S+)", block)[0]).write_text(block, encoding="utf-8")
    shutil.copy(ROOT / "market/cases/pglib/pglib_opf_case14_ieee.m", tmp_path / "grid.m")
    settings = read_settings(tmp_path / "gridfuse.yaml")
    assert "unit/101_CT_1/mw" in settings.points.table()


def test_the_release_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == CODE
    assert f"gridfuse:{CODE}" in (ROOT / "docker/compose.yaml").read_text(encoding="utf-8")


def test_the_measurements_are_made_by_benches_that_exist() -> None:
    assert [name for name in re.findall(r"`(bench_\w+)`", README) if not (ROOT / f"tests/bench/{name}.py").exists()] == []
