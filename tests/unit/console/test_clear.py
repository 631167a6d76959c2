"""``gridfuse clear``: one object for scripts, tables for people, and exit codes that mean something."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from console.clear import register
from market.rts_gmlc import SHIPPED
from tests.kit.cli import CliRunner

PJM = SHIPPED.parent / "pglib" / "pglib_opf_case5_pjm.m"
KEYS = {
    "status",
    "reason",
    "objective_per_h",
    "penalty_per_h",
    "dispatch_mw",
    "lmp_per_mwh",
    "energy_per_mwh",
    "congestion_per_mwh",
    "flow_mw",
    "binding",
    "violations",
    "uniform_price_per_mwh",
    "certificate",
    "hashes",
    "flags",
    "outages",
    "explain",
    "out_of_merit",
    "diagnosis",
    "timings_ms",
}


@pytest.fixture
def run():
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return lambda *arguments: CliRunner().invoke(app, ["clear", *map(str, arguments)])


def written(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_json_is_one_object_with_every_key(run):
    result = run(PJM, "--json")
    assert result.exit_code == 0
    data = json.loads(result.stdout)
    assert data.keys() == KEYS
    assert (data["status"], data["reason"]) == ("OK", None)
    assert data["objective_per_h"] == pytest.approx(17479.9, abs=0.05)
    assert data["lmp_per_mwh"]["4"] == pytest.approx(39.94, abs=0.005)
    assert data["flow_mw"]["6"] == pytest.approx(-240.0)
    assert data["certificate"]["passed"] is True
    assert data["certificate"]["stationarity_per_mwh"] <= 1e-4
    (line,) = data["binding"]
    assert (line["kind"], line["id"], line["outage"], line["limit_mw"]) == ("line", "6", None, 240.0)
    assert data["lmp_per_mwh"]["5"] == pytest.approx(data["energy_per_mwh"] + data["congestion_per_mwh"]["5"])


def test_tables_for_people(run):
    result = run(PJM)
    assert result.exit_code == 0
    for text in ("OK, certificate passed", "17,479.90", "binding limits", "-240.00", "62.3220", "39.9427"):
        assert text in result.stdout


def test_loads_and_offers_from_files(run, tmp_path):
    loads = written(tmp_path, "loads.csv", "bus,mw\n2,0\n3,0\n4,50\n")
    offers = written(tmp_path, "offers.csv", "unit,mw,price\n5,20,1\n5,20,2\n")
    data = json.loads(run(PJM, "--json", "--loads", loads, "--offers", offers).stdout)
    assert data["dispatch_mw"] == pytest.approx({"1": 10.0, "2": 0.0, "3": 0.0, "4": 0.0, "5": 40.0})
    assert data["objective_per_h"] == pytest.approx(20 * 1 + 20 * 2 + 10 * 14)
    assert data["uniform_price_per_mwh"] == pytest.approx(14.0)


def test_files_without_a_heading(run, tmp_path):
    loads = written(tmp_path, "loads.csv", "2,0\n3,0\n4,50\n")
    assert json.loads(run(PJM, "--json", "--loads", loads).stdout)["objective_per_h"] == pytest.approx(500.0)


def test_the_convention_is_handed_on(run):
    case = Path(__file__).parents[2] / "data" / "pglib" / "pglib_opf_case118_ieee.m.gz"
    default, other = (json.loads(run(case, "--json", *option).stdout) for option in ([], ["--convention", "matpower"]))
    assert default["objective_per_h"] == pytest.approx(93101, rel=5.1e-5)
    assert other["objective_per_h"] != pytest.approx(93101, rel=5.1e-5)


def test_violations_are_still_a_result(run, tmp_path):
    result = run(PJM, "--json", "--loads", written(tmp_path, "loads.csv", "bus,mw\n4,5000\n"))
    data = json.loads(result.stdout)
    assert (result.exit_code, data["status"]) == (0, "OK_VIOLATION")
    assert {v["kind"] for v in data["violations"]} >= {"shed"}
    assert data["penalty_per_h"] > 0
    assert "violated limits" in run(PJM, "--loads", tmp_path / "loads.csv").stdout


def test_a_failure_is_exit_code_1_with_nulls_for_what_does_not_exist(run, tmp_path):
    off = written(tmp_path, "off.m", PJM.read_text().replace(" 100.0\t 1\t", " 100.0\t 0\t"))
    result = run(off, "--json")
    data = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (data["status"], data["reason"]) == ("FAILED", "INPUT_INVALID")
    assert data["uniform_price_per_mwh"] is None
    assert data.keys() == KEYS | {"detail"}
    assert "not cleared, INPUT_INVALID: no unit is on" in result.stderr
    assert run(off).exit_code == 1


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--loads", "bus,mw\n2,ten\n", "loads.csv:2: 'ten' is no number of MW"),
        ("--loads", "bus,mw\n2,nan\n", "loads.csv:2: 'nan' is no number of MW"),
        ("--loads", "bus,mw\n99,1\n", "loads.csv:2: bus '99' is not in the case"),
        ("--loads", "bus,mw\n2,1\n2,2\n", "loads.csv:3: bus 2 is given twice"),
        ("--loads", "bus,mw\n2\n", "loads.csv:2: '2' is not bus,mw"),
        ("--loads", "node,mw\n2,1\n", "loads.csv:1: 'mw' is no number"),
        ("--offers", "unit,mw,price\n1,5\n", "loads.csv:2: '1,5' is not unit,mw,price"),
        ("--offers", "unit,mw,price\n1,x,3\n", "loads.csv:2: 'x' MW at '3' is no segment"),
        ("--offers", "unit,mw,price\n9,1,3\n", "loads.csv:2: unit '9' is not in the case"),
        ("--offers", "unit,mw,price\n1,10,5\n1,10,4\n", "unit 1: the price falls in segment 2"),
    ],
)
def test_unusable_files_are_exit_code_2_with_the_line_on_standard_error(run, tmp_path, option, text, message):
    result = run(PJM, "--json", option, written(tmp_path, "loads.csv", text))
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_every_problem_of_a_file_at_once(run, tmp_path):
    result = run(PJM, "--loads", written(tmp_path, "loads.csv", "bus,mw\n2,ten\n99,1\n"))
    assert "loads.csv:2" in result.stderr
    assert "loads.csv:3" in result.stderr


@pytest.mark.parametrize("missing", ["case", "loads"])
def test_a_file_that_is_not_there(run, missing):
    result = run("nowhere.m") if missing == "case" else run(PJM, "--loads", "nowhere.m")
    assert result.exit_code == 2
    assert "nowhere.m: cannot be read" in result.stderr


def test_a_malformed_case(run, tmp_path):
    result = run(written(tmp_path, "bad.m", PJM.read_text().replace("300.0\t 98.61", "lots\t 98.61", 1)))
    assert result.exit_code == 2
    assert "bad.m:" in result.stderr
    assert "'lots' is no number" in result.stderr


SAD = Path(__file__).parents[2] / "data" / "pglib" / "pglib_opf_case118_ieee__sad.m"
GRID118 = SAD.with_name("pglib_opf_case118_ieee.m.gz")


def test_explanations_as_data(run):
    data = json.loads(run(PJM, "--json", "--explain", "5", "--explain", "bus:4").stdout)
    assert [(one["what"], one["id"]) for one in data["explain"]] == [("bus", "5"), ("unit", "5"), ("bus", "4")]
    at_4 = data["explain"][2]
    assert sum(share["per_mwh"] for share in at_4["shares"]) == pytest.approx(data["congestion_per_mwh"]["4"], abs=1e-9)
    assert [one["id"] for one in at_4["setters"]] == ["3", "5"]
    assert json.loads(run(PJM, "--json").stdout)["explain"] is None


def test_explanations_as_tables(run):
    result = run(PJM, "--explain", "bus:4", "--explain", "unit:2", "--merit")
    assert result.exit_code == 0
    for text in (
        "bus 4",
        "energy, the same at every bus",
        "62.3220",
        "+0.1131",
        "where the next MW of load",
        "+1.4971",
        "unit 2",
        "in merit",
    ):
        assert text in result.stdout
    assert "units out of merit" in result.stdout
    assert "196.51" in result.stdout


def test_something_that_is_not_there_cannot_be_explained(run):
    result = run(PJM, "--json", "--explain", "99")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "neither a bus nor a unit '99'" in result.stderr


def test_units_that_do_not_run_as_offered_as_data(run):
    data = json.loads(run(PJM, "--json", "--merit").stdout)
    assert [(one["unit"], one["direction"], one["reason"]) for one in data["out_of_merit"]] == [
        ("3", "down", "congestion"),
        ("5", "down", "congestion"),
    ]
    assert data["out_of_merit"][0]["limits"][0]["id"] == "6"


def test_every_single_outage(run):
    data = json.loads(run(GRID118, "--json", "--n-1").stdout)
    assert data["outages"]["screened"] == 177
    assert data["outages"]["islanding"] == ["113", "133", "134", "176", "177", "183", "184", "7", "9"]
    assert "islanding:9" in data["flags"]
    assert {line["kind"] for line in data["binding"]} == {"n-1"}
    assert all(line["outage"] for line in data["binding"])
    shown = run(GRID118, "--n-1").stdout
    for text in ("after outage of", "177 single outages screened", "9 would cut the grid in two", "islanding:9"):
        assert text in shown


def test_a_wider_emergency_limit_costs_no_more(run):
    costs = []
    for factor in ("1.0", "1.3", "3.0"):
        data = json.loads(run(PJM, "--json", "--n-1", "--emergency-factor", factor).stdout)
        costs.append(data["objective_per_h"] + data["penalty_per_h"])
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1]
    refused = run(PJM, "--n-1", "--emergency-factor", "0.5")
    assert refused.exit_code == 2
    assert "emergency_factor is 0.5" in refused.stderr


def test_named_outages_from_a_file(run, tmp_path):
    data = json.loads(run(GRID118, "--json", "--outages", written(tmp_path, "outages.csv", "branch\n8\n9\n")).stdout)
    assert data["outages"] == {"screened": 1, "islanding": ["9"], "couplers": [], "out_already": []}
    assert {line["outage"] for line in data["binding"] if line["kind"] == "n-1"} <= {"8"}


@pytest.mark.parametrize(
    ("text", "message"), [("branch\n999\n", "outages.csv:2: branch '999'"), ("8\n8\n", "outages.csv:2: branch 8 is given twice")]
)
def test_outages_that_cannot_be_read(run, tmp_path, text, message):
    result = run(GRID118, "--outages", written(tmp_path, "outages.csv", text))
    assert result.exit_code == 2
    assert message in result.stderr


def test_what_cannot_be_kept_together(run):
    data = json.loads(run(SAD, "--json", "--why").stdout)
    assert data["diagnosis"]["possible"] is False
    assert [limit["id"] for limit in data["diagnosis"]["limits"] if limit["kind"] == "line"] == ["33", "66", "96"]
    assert "cannot be kept together" in run(SAD, "--why").stdout
    assert json.loads(run(PJM, "--json", "--why").stdout)["diagnosis"]["possible"] is True
    assert json.loads(run(SAD, "--json").stdout)["diagnosis"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--emergency-factor", "1.2"], "changes nothing without outages"), (["--n-1", "--outages", "o.csv"], "give one of the two")],
)
def test_options_that_do_not_go_together_are_refused(run, options, message):
    result = run(PJM, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
