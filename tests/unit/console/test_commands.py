"""What commands say and with which exit code they end, where that does not need a whole service."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from console import asking
from console.cli import app
from market.decisions import Refused
from market.reclear import ClearAgain, Corrections, judged
from market.rules import GUANGDONG_2023, rules_from
from market.units import instant_ns
from tests.kit.board_feed import SCENES, view_at
from tests.kit.cli import CliRunner, Result
from tests.kit.decider import Decider

DRILLS = Path(__file__).parents[2] / "drills"
T0 = SCENES["tripped"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_SETTLE_S", 0.0)


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[Decider, str]]:
    made = Decider(view_at(T0))
    url = made.start()
    yield made, url
    made.stop()


def test_the_breaker_is_shown_to_people_and_machines(service: tuple[Decider, str]) -> None:
    _, url = service
    shown = run("breaker", "show", "--url", url)
    assert shown.exit_code == 0
    assert "RT: TRIPPED" in shown.stdout
    assert "DA: NORMAL  version" in shown.stdout, "the day-ahead market has no headroom"
    told = json.loads(run("breaker", "show", "--url", url, "--json").stdout)
    assert {segment["segment"] for segment in told["segments"]} == {"RT", "DA"}


def test_an_order_is_bound_to_the_version_that_was_shown(service: tuple[Decider, str]) -> None:
    made, url = service
    assert run("breaker", "recover", "--url", url, "--by", "chen").exit_code == 0
    order = made.orders[-1]
    version = next(segment.version for segment in view_at(T0).segments if segment.segment == "RT")
    assert (order.by, order.role, order.action, order.args) == ("chen", "DISPATCH", "CONFIRM_RECOVER", {"version": str(version)})
    assert run("breaker", "reject", "--url", url, "--reason", "meters were wrong").exit_code == 0
    assert made.orders[-1].args["reason"] == "meters were wrong"
    assert made.orders[-1].command_id != order.command_id
    assert run("breaker", "recover", "--url", url, "--override").exit_code == 2, "an override needs a reason"
    assert run("breaker", "recover", "--url", url, "--override", "--reason", "B34 stays out").exit_code == 0
    assert made.orders[-1].args == {"version": str(version), "override": "yes", "reason": "B34 stays out"}


AGAIN = ("clear-again", "2020-01-01T12:05:00+08:00", "--reason", "a meter was wrong", "--gov", "G-7", "--reg", "R-9")


def test_an_order_to_clear_again_carries_interval_reason_approvals_and_corrections(service: tuple[Decider, str], tmp_path: Path) -> None:
    made, url = service
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("load_mw:\n  101: 96.5\n  b2: 4\nunits_off: [g]\n", encoding="utf-8")
    told = run(*AGAIN, "--corrections", str(wrong), "--by", "li", "--url", url, "--json")
    assert told.exit_code == 0
    order = made.orders[-1]
    assert json.loads(told.stdout) == {"command_id": order.command_id, "interval_start_ns": instant_ns(AGAIN[1])}
    assert (order.by, order.role, order.action) == ("li", "MO", "CLEAR_AGAIN")
    asked = judged(order, instant_ns("2020-01-01T13:00:00+08:00"), GUANGDONG_2023)
    assert isinstance(asked, Refused), "an interval of this market has fifteen minutes"
    asked = judged(order, instant_ns("2020-01-01T13:00:00+08:00"), rules_from({"rt_interval_min": 5}))
    assert isinstance(asked, ClearAgain)
    assert asked.approvals == {"GOV": "G-7", "REG": "R-9"}
    assert asked.corrections == Corrections(load_mw={"101": 96.5, "b2": 4.0}, units_off=("g",))


@pytest.mark.parametrize(
    ("content", "says"),
    [("load: {}\n", "load"), ("load_mw:\n  '101': .nan\n", "no number of MW"), ("load_mw: [1]\n", "wrong.yaml:1"), (None, "no such file")],
)
def test_corrections_that_cannot_be_used_are_not_sent(service: tuple[Decider, str], tmp_path: Path, content: str | None, says: str) -> None:
    made, url = service
    wrong = tmp_path / "wrong.yaml"
    if content is not None:
        wrong.write_text(content, encoding="utf-8")
    sent = len(made.orders)
    told = run(*AGAIN, "--corrections", str(wrong), "--url", url)
    assert told.exit_code == 2
    assert says in told.output
    assert len(made.orders) == sent


def test_an_interval_that_is_no_instant_is_not_sent() -> None:
    told = run("clear-again", "noon", *AGAIN[2:])
    assert told.exit_code == 2
    assert "noon" in told.output


def test_where_no_service_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for command in (("show",), ("recover",), ("confirm",)):
        told = run("breaker", *command, "--url", f"http://127.0.0.1:{port}")
        assert told.exit_code not in (0, None)
        assert "gridfuse run" in told.output
    assert "http address" in run("breaker", "show", "--url", "ftp://h").output


def test_drills_end_with_what_they_found(tmp_path: Path) -> None:
    good = DRILLS / "gd_23_rt_01.yaml"
    told = run("drill", str(good), "--json")
    assert told.exit_code == 0
    assert json.loads(told.stdout)["passed"] is True
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(good.read_text(encoding="utf-8").replace("state: DEGRADED", "state: NORMAL"), encoding="utf-8")
    failed = run("drill", str(wrong))
    assert failed.exit_code == 1
    assert "expected NORMAL, found DEGRADED" in failed.stdout
    broken = tmp_path / "broken.yaml"
    broken.write_text("id: X\nsteps: [", encoding="utf-8")
    refused = run("drill", str(good), str(broken))
    assert refused.exit_code == 2
    assert "broken.yaml:" in refused.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--until", "25:00"), "--until"),
        (("--start", "yesterday"), "--start"),
        (("--speed", "0"), "--speed"),
    ],
)
def test_a_demo_that_cannot_be_told_names_the_flag(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    told = run("demo", "--headless", "--data", str(tmp_path / "d"), *arguments)
    assert told.exit_code == 2
    assert says in told.output
    assert not (tmp_path / "d").exists()


def test_fresh_removes_nothing_but_a_demo(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    told = run("demo", "--headless", "--fresh", "--data", str(tmp_path))
    assert told.exit_code == 2
    assert (tmp_path / "thesis.txt").exists()


def test_a_service_with_bad_settings_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "gridfuse.yaml").write_text("data: kept\nport: 3\n", encoding="utf-8")
    told = run("run", "--config", str(tmp_path / "gridfuse.yaml"))
    assert told.exit_code == 2
    assert "gridfuse.yaml:2" in told.output
    assert "points" in told.output
    assert not (tmp_path / "kept").exists()
