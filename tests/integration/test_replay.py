"""Recorded, replayed, exported, carried away, tampered with."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from market.units import instant_ns
from streams import topics
from streams.transport.log import Log
from streams.transport.reader import LogReader
from tests.kit.demo import DemoProcess

pytestmark = pytest.mark.integration

START = instant_ns("2020-01-01T14:00:00+08:00")


def gridfuse(*arguments: str) -> tuple[int, str]:
    """Run the command; returns its exit code and what it said."""
    done = subprocess.run([sys.executable, "-m", "console.cli", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def stages(told: str) -> dict[str, dict[str, Any]]:
    return {stage["name"]: stage for stage in json.loads(told)["stages"]}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo of forty minutes that was killed in the middle."""
    data = tmp_path_factory.mktemp("recorded")
    with DemoProcess(data, "--speed", "120") as demo:
        assert demo.reaches(START + 7 * 60 * 10**9)
        demo.kill()
    with DemoProcess(data, "--speed", "120", "--until", "14:40") as demo:
        demo.finish()
    return data


@pytest.mark.slow  # twenty seconds of demo and the start of several processes
def test_everything_comes_out_as_recorded_although_the_service_was_killed(recorded: Path) -> None:
    code, told = gridfuse("replay", "--data", str(recorded), "--json")
    assert code == 0, told
    assert json.loads(told)["same"] is True
    taken = stages(told)
    assert taken["intake"]["same"] > 1000
    assert taken["grid"]["same"] > 200
    assert taken["clearing"]["same"] > 10
    assert taken["breaker"]["same"] > 8
    assert all(stage["unreadable"] == 0 for stage in taken.values())


@pytest.mark.slow  # as above
def test_a_span_is_carried_away_and_replayed_without_the_service(recorded: Path, tmp_path: Path) -> None:
    file = tmp_path / "incident.zip"
    span = ("--from", "2020-01-01T14:20:00+08:00", "--to", "2020-01-01T14:35:00+08:00")
    code, told = gridfuse("export", str(file), "--data", str(recorded), *span)
    assert code == 0, told
    code, told = gridfuse("replay", str(file), "--json")
    assert code == 0, told
    assert stages(told)["breaker"]["same"] >= 3
    names = zipfile.ZipFile(file).namelist()
    settings = b"".join(zipfile.ZipFile(file).read(name) for name in names if name.startswith("settings/gridfuse"))
    assert b"webhook" not in settings
    assert b"http" not in settings
    nowhere = ("--from", "2030-01-01T00:00:00Z", "--to", "2030-01-02T00:00:00Z")
    code, told = gridfuse("export", str(tmp_path / "none.zip"), "--data", str(recorded), *nowhere)
    assert (code, "nothing was recorded" in told, (tmp_path / "none.zip").exists()) == (2, True, False)


def altered(recorded: Path, tmp_path: Path, topic: str, change: Callable[[bytes], bytes | None]) -> Path:
    """Copy the recording with some records of a topic changed, and their checksums right again."""
    copy = tmp_path / "copy"
    shutil.copytree(recorded, copy)
    with LogReader(recorded / "log") as log:
        kept = {
            name: [[(r.key, r.value) for r in log.records(name, p)] for p in range(declared.partitions)]
            for name, declared in log.topics().items()
            if not name.endswith("changelog")
        }
        partitions = {name: len(parts) for name, parts in kept.items()}
        committed = log.committed("gridfuse")
    shutil.rmtree(copy / "log")
    made = Log(copy / "log")
    for name, count in partitions.items():
        made.declare(name, partitions=count)
        for number, records in enumerate(kept[name]):
            for key, value in records:
                made.append(name, number, key, change(value or b"") if name == topic else value)
    made.commit("gridfuse", {place: offset for place, offset in committed.items() if place[0] in partitions})
    made.close()
    return copy


@pytest.mark.slow  # as above
def test_a_decision_that_does_not_follow_from_its_inputs_is_shown(recorded: Path, tmp_path: Path) -> None:
    def change(raw: bytes) -> bytes:
        return raw.replace(b'"how":"FAILED"', b'"how":"MISSED"')

    copy = altered(recorded, tmp_path, topics.DECISIONS.name, change)
    code, told = gridfuse("replay", "--data", str(copy), "--stage", "breaker")
    assert code == 1
    assert "body.how: recorded MISSED, recomputed FAILED" in told


@pytest.mark.slow  # as above
def test_an_input_that_was_changed_afterwards_shows_in_what_came_of_it(recorded: Path, tmp_path: Path) -> None:
    def change(raw: bytes) -> bytes:
        record = json.loads(raw)
        if record["kind"] == "ClearingInputs":
            bus = min(record["body"]["load_mw"])
            record["body"]["load_mw"][bus] += 50.0
        return json.dumps(record, separators=(",", ":")).encode()

    copy = altered(recorded, tmp_path, topics.INPUTS.name, change)
    code, told = gridfuse("replay", "--data", str(copy), "--stage", "clearing", "--json")
    assert code == 1
    first = stages(told)["clearing"]["differences"][0]
    assert first["what"] == "differs"
    assert any("dispatch_mw" in line or "price" in line or "objective" in line for line in first["lines"])


@pytest.mark.slow  # as above
def test_an_archive_that_was_cut_or_altered_on_its_way_is_refused_at_the_record(recorded: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.zip"
    span = ("--from", "2020-01-01T14:20:00+08:00", "--to", "2020-01-01T14:25:00+08:00")
    assert gridfuse("export", str(whole), "--data", str(recorded), *span)[0] == 0
    place = f"topics/{topics.FACTS.name}/0"
    for spoil in (lambda raw: raw[:-3], lambda raw: raw[:40] + bytes([raw[40] ^ 1]) + raw[41:]):
        bad = tmp_path / "bad.zip"
        with zipfile.ZipFile(whole) as source, zipfile.ZipFile(bad, "w") as target:
            for name in source.namelist():
                raw = source.read(name)
                target.writestr(name, spoil(raw) if name == place else raw)
        code, told = gridfuse("replay", str(bad), "--stage", "breaker")
        assert code == 2
        assert f"{topics.FACTS.name}[0]" in told
    (tmp_path / "not.zip").write_bytes(b"hello")
    code, told = gridfuse("replay", str(tmp_path / "not.zip"))
    assert (code, "not.zip: is no archive" in told) == (2, True)
