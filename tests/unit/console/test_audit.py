"""The record as the command line shows and verifies it."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from pathlib import Path

import pytest

from console.cli import app
from market.facts import Ticked
from market.units import NS_PER_H
from streams import topics, wire
from streams.casebundle import span_of, write_bundle
from streams.ledger import Ledger, sqlite_url
from streams.transport.log import Log
from tests.kit.cli import CliRunner, Result
from tests.kit.decided import EVERY_BODY, chain_of

CASE = "2026-06-10-01"
CHAIN = chain_of(EVERY_BODY)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    ledger.record_decisions(CHAIN)
    ledger.close()
    return tmp_path


def altered(data: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(data / "ledger.sqlite") as connection:
        connection.execute(statement, values)
    connection.close()


def test_the_trail_is_shown_in_either_language_and_for_machines(data: Path) -> None:
    shown = run("audit", "show", "--data", str(data))
    assert shown.exit_code == 0
    assert len(shown.stdout.splitlines()) == len(CHAIN)
    assert "case 2026-06-10-01 closed (by op7)" in shown.stdout
    chinese = run("audit", "show", str(data / "ledger.sqlite"), "--lang", "zh", "--kind", "CaseClosed", "--last", "1")
    assert chinese.stdout.rstrip().endswith("案件 2026-06-10-01 结案（op7）")
    rows = [json.loads(line) for line in run("audit", "show", "--data", str(data), "--json", "--last", "2").stdout.splitlines()]
    assert [row["seq"] for row in rows] == [len(CHAIN) - 1, len(CHAIN)]


def test_a_record_as_it_was_written_holds(data: Path) -> None:
    told = run("audit", "verify", "--data", str(data))
    assert told.exit_code == 0
    assert f"decisions 1 to {len(CHAIN)} hold" in told.stdout
    assert CHAIN[-1].hash in told.stdout
    assert json.loads(run("audit", "verify", "--data", str(data), "--json").stdout)["ok"] is True


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("update decisions set body = replace(body, 'SOLVER', 'SOLVED') where seq = 3", ""),
        ("update decisions set ts_event_ns = ts_event_ns - 1 where seq = 7", "decision 7 was altered"),
        ("update decisions set body = substr(body, 2) where seq = 9", "decision 9 was altered"),
        ("update decisions set body = cast(x'7b22c3' as text) where seq = 9", "decision 9 was altered"),
        ("delete from decisions where seq = 5", "decision 6 follows decision 4: decision 5 is missing"),
        ("update announcements set text_zh = '一切正常'", "notice RT-2026-06-10-01 was altered: it differs from decision 2"),
    ],
)
def test_whatever_was_changed_is_named(data: Path, statement: str, says: str) -> None:
    altered(data, statement)
    told = run("audit", "verify", "--data", str(data))
    assert told.exit_code == (1 if says else 0)
    assert says in told.output
    assert run("audit", "show", "--data", str(data)).exit_code == 0, "a broken record can still be looked at"


def test_a_bundle_is_verified_by_itself_and_against_the_ledger(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    write_bundle(path, span_of(CASE, CHAIN), CHAIN, [], [])
    assert run("audit", "verify", str(path)).exit_code == 0
    assert run("audit", "verify", str(path), "--data", str(data)).exit_code == 0
    other = chain_of(EVERY_BODY, first_ns=CHAIN[0].ts_event_ns)
    write_bundle(path, span_of(CASE, other), other, [], [])
    assert run("audit", "verify", str(path)).exit_code == 0, "a chain that was computed anew holds by itself"
    told = run("audit", "verify", str(path), "--data", str(data))
    assert (told.exit_code, "is not the ledger's" in told.output) == (1, True)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b'"rule_set":"gd/r1"', b'"rule_set":"gd/r2"', 1))
    told = run("audit", "verify", str(path), "--json")
    assert (told.exit_code, json.loads(told.stdout)["bad_seq"]) == (1, 1)


def test_the_decisions_of_a_bundle_are_shown_like_those_of_a_ledger(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    write_bundle(path, span_of(CASE, CHAIN), CHAIN, [], [])
    ledger = run("audit", "show", "--data", str(data)).stdout.splitlines()
    shown = run("audit", "show", str(path)).stdout.splitlines()
    assert shown == ledger[: len(shown)]
    assert "CaseClosed" in shown[-1], "a bundle ends with its case"
    assert run("audit", "show", str(path), "--last", "2").stdout.splitlines() == shown[-2:]
    assert run("audit", "show", str(path), "--kind", "CaseClosed").stdout.splitlines() == shown[-1:]
    path.write_bytes(path.read_bytes()[:100])
    assert run("audit", "show", str(path)).exit_code == 2


def test_where_there_is_nothing_to_verify(tmp_path: Path) -> None:
    for arguments, says in (
        ((), "--data"),
        (("--data", str(tmp_path)), "neither ledger.sqlite nor gridfuse.yaml"),
        ((str(tmp_path / "none.sqlite"),), "no such file"),
    ):
        told = run("audit", "verify", *arguments)
        assert (told.exit_code, says in told.output) == (2, True), told.output
    (tmp_path / "text.sqlite").write_text("this is no database, whatever its name says\n" * 100, encoding="utf-8")
    assert run("audit", "verify", str(tmp_path / "text.sqlite")).exit_code == 2


def test_a_case_that_is_not_recorded_is_not_exported(data: Path, tmp_path: Path) -> None:
    told = run("case", "export", "2026-06-10-77", "--out", str(tmp_path / "b.zip"), "--data", str(data))
    assert (told.exit_code, f"there are {CASE}" in told.output) == (2, True)
    altered(data, "update decisions set ts_event_ns = ts_event_ns - 1 where seq = 7")
    told = run("case", "export", CASE, "--out", str(tmp_path / "b.zip"), "--data", str(data))
    assert (told.exit_code, "decision 7 was altered" in told.output) == (1, True)
    assert not (tmp_path / "b.zip").exists()


POINTS = """\
maps:
  feeder:
    every: 4s
    points: {"unit/{unit}/mw": {reg: input 0, type: float32, unit: MW}}
devices:
  - {name: rtu-1, area: "1", url: "modbus+tcp://127.0.0.1:502", unit: 1, map: feeder, vars: {unit: 101_CT_1}}
"""


def test_a_case_leaves_a_service_with_the_facts_of_its_log_and_verifies_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "points.yaml").write_text(POINTS, encoding="utf-8")
    (tmp_path / "gridfuse.yaml").write_text("data: kept\npoints: points.yaml\nnetwork: {rts_gmlc: shipped}\n", encoding="utf-8")
    (tmp_path / "kept").mkdir()
    ledger = Ledger(sqlite_url(tmp_path / "kept" / "ledger.sqlite"))
    ledger.record_decisions(CHAIN)
    ledger.close()
    log = Log(tmp_path / "kept" / "log")
    log.declare(topics.FACTS.name, partitions=1)
    opened_ns = next(one for one in CHAIN if one.kind == "CaseOpened").ts_event_ns
    told = [Ticked(ts_event_ns=opened_ns + hours * NS_PER_H) for hours in (-9, 0, 9)]
    for raw in (*map(wire.encode, told[:2]), b"no fact at all", wire.encode(told[2])):
        log.append(topics.FACTS.name, 0, b"market", raw)
    log.wait(log.last_ticket, 5)
    log.close()
    out = tmp_path / "bundle.zip"
    written = run("case", "export", CASE, "--out", str(out), "--data", str(tmp_path))
    assert written.exit_code == 0, written.output
    assert f"gridfuse audit verify {out}" in written.stdout
    with zipfile.ZipFile(out) as bundle:
        assert [wire.decode(topics.FACTS, line) for line in bundle.read("facts.jsonl").splitlines()] == [told[1]]
    assert run("audit", "verify", str(out), "--config", str(tmp_path / "gridfuse.yaml")).exit_code == 0


@pytest.mark.parametrize(("lang", "form", "says"), [("zh", "html", "情况说明"), ("en", "md", CASE)])
def test_a_case_is_explained_in_either_language_and_form(data: Path, tmp_path: Path, lang: str, form: str, says: str) -> None:
    out = tmp_path / f"report.{form}"
    told = run("case", "report", CASE, "--out", str(out), "--lang", lang, "--data", str(data))
    assert told.exit_code == 0, told.output
    assert says in out.read_text(encoding="utf-8")
    again = tmp_path / f"again.{form}"
    run("case", "report", CASE, "--out", str(again), "--lang", lang, "--data", str(data))
    assert again.read_bytes() == out.read_bytes(), "the same record gives the same bytes"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("2026-06-10-99", "--out", "report.html"), "no case '2026-06-10-99'"),
        ((CASE, "--out", "report.pdf"), "end it in .html or .md"),
        ((CASE, "--out", "report.md", "--lang", "fr"), "'fr' is not a language"),
    ],
)
def test_an_explanation_that_cannot_be_written_says_why(data: Path, arguments: tuple[str, ...], complaint: str) -> None:
    told = run("case", "report", *arguments, "--data", str(data))
    assert (told.exit_code, complaint in told.output) == (2, True), told.output
