"""What is pushed to a Grafana is there afterwards, once; what is not ours is left alone; and what fails says what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from console.dashboards import register
from dashboards import push
from dashboards.alerting import CONTACT_POINT, DATASOURCE_UID
from dashboards.build import rendered
from dashboards.grafanalink import PushError, connect
from dashboards.push import GridGrafana
from dashboards.watchdog import rules
from tests.kit.fakegrafana import TOKEN, FakeGrafana, HttpFace

ROOT = Path(__file__).resolve().parents[3]
FOLDER = "gridfuse-l2-zh"


def board() -> dict[str, Any]:
    return next(iter(rendered("zh").values()))


class Pushed:
    """A Grafana, and what was said while things were brought to it."""

    def __init__(self) -> None:
        self.kept = FakeGrafana()
        self.said: list[str] = []

    def grafana(self, *, dry_run: bool = False, token: str = TOKEN) -> GridGrafana:
        return GridGrafana(HttpFace(self.kept, token), "http://grafana", dry_run=dry_run, say=self.said.append)

    def all(self, *, dry_run: bool = False, receiver: str = CONTACT_POINT) -> int:
        grafana = self.grafana(dry_run=dry_run)
        grafana.data_source("http://influxdb:8086", "grid", "")
        grafana.folder(FOLDER, "L2")
        grafana.dashboard(FOLDER, board())
        grafana.contact("webhook", "http://hook/")
        grafana.rules(receiver=receiver)
        return grafana.changed


@pytest.fixture
def pushed() -> Pushed:
    return Pushed()


def test_everything_that_is_pushed_is_there(pushed: Pushed) -> None:
    assert pushed.all() == len(pushed.kept.changes)
    kept = pushed.kept
    assert kept.sources[DATASOURCE_UID]["jsonData"]["dbName"] == "grid"
    assert kept.folders[FOLDER]["title"] == "L2"
    assert kept.dashboards[board()["uid"]]["dashboard"]["panels"] == board()["panels"]
    assert kept.contacts[CONTACT_POINT]["settings"]["url"] == "http://hook/"
    assert set(kept.rules) == {rule.uid for rule in rules()}
    assert set(kept.intervals.values()) == {30}
    assert all(line.endswith(("made", "every 30 s")) for line in pushed.said)


def test_pushed_again_nothing_changes(pushed: Pushed) -> None:
    pushed.all()
    pushed.kept.asked.clear()
    pushed.said.clear()
    assert pushed.all() == 0
    assert pushed.kept.changes == []
    assert all(line.endswith("as it should be") for line in pushed.said)


def test_a_dry_run_says_all_of_it_and_changes_nothing(pushed: Pushed) -> None:
    changed = pushed.all(dry_run=True)
    assert pushed.kept.changes == []
    assert changed == len(pushed.said) == 5 + len(rules())
    assert all(line.startswith("would be: ") for line in pushed.said)
    pushed.said.clear()
    # The pace of a group is known once it is there.
    assert pushed.all() == changed + 1


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda kept: kept.sources[DATASOURCE_UID].update(url="http://other"), f"data source {DATASOURCE_UID}: replaced"),
        (lambda kept: kept.folders[FOLDER].update(title="old"), "folder L2: renamed from old"),
        (lambda kept: kept.dashboards[board()["uid"]]["dashboard"]["panels"].pop(), f"dashboard {board()['uid']}: replaced"),
        (lambda kept: kept.dashboards[board()["uid"]]["meta"].update(folderUid="else"), f"dashboard {board()['uid']}: replaced"),
        (lambda kept: kept.contacts[CONTACT_POINT]["settings"].update(url="http://old/"), f"contact point {CONTACT_POINT}: replaced"),
        (lambda kept: kept.rules["gridfuse-tripped"].update({"for": "1h"}), "alert rule gridfuse-tripped: replaced"),
        (lambda kept: kept.rules["gridfuse-tripped"].pop("notification_settings"), "alert rule gridfuse-tripped: replaced"),
        (lambda kept: kept.rules.pop("gridfuse-heartbeat"), "alert rule gridfuse-heartbeat: made"),
        (lambda kept: kept.intervals.update(dict.fromkeys(kept.intervals, 600)), "group gridfuse-watchdog: every 30 s"),
    ],
)
def test_what_was_changed_by_hand_is_put_right_and_nothing_else(pushed: Pushed, spoil: Callable[[FakeGrafana], None], says: str) -> None:
    pushed.all()
    spoil(pushed.kept)
    pushed.said.clear()
    assert pushed.all() == 1
    assert [line for line in pushed.said if not line.endswith("as it should be")] == [says]
    assert pushed.all() == 0


def test_a_rule_of_ours_that_is_no_more_is_removed_and_those_of_others_stay(pushed: Pushed) -> None:
    pushed.all()
    ours = pushed.kept.rules["gridfuse-tripped"]
    pushed.kept.rules["gridfuse-gone"] = ours | {"uid": "gridfuse-gone"}
    pushed.kept.rules["theirs"] = ours | {"uid": "theirs", "ruleGroup": "another"}
    pushed.kept.rules["elsewhere"] = ours | {"uid": "elsewhere", "folderUID": "else"}
    assert pushed.all() == 1
    assert {"theirs", "elsewhere"} <= set(pushed.kept.rules)
    assert "gridfuse-gone" not in pushed.kept.rules
    assert "alert rule gridfuse-gone: removed" in pushed.said


def test_what_grafana_has_from_files_is_left_alone(pushed: Pushed) -> None:
    pushed.all()
    pushed.kept.sources[DATASOURCE_UID] |= {"readOnly": True, "url": "http://other"}
    pushed.kept.dashboards[board()["uid"]] = {"dashboard": {}, "meta": {"provisioned": True}}
    pushed.kept.contacts[CONTACT_POINT] |= {"provenance": "file", "type": "email"}
    for rule in pushed.kept.rules.values():
        rule |= {"provenance": "file", "title": "other"}
    pushed.said.clear()
    assert pushed.all() == 0
    assert sum(line.endswith("left alone, it comes from a file") for line in pushed.said) == 3 + len(rules())


def test_rules_are_written_as_the_api_takes_them(pushed: Pushed) -> None:
    pushed.all()
    for rule in rules():
        sent = pushed.kept.rules[rule.uid]
        assert sent["annotations"]["__dashboardUid__"] == rule.link.dashboard
        assert sent["annotations"]["__panelId__"] == str(rule.link.panel)
        assert sent["notification_settings"] == {"receiver": CONTACT_POINT}
        assert not {"dashboardUid", "panelId", "keepFiringFor"} & set(sent)
        assert sent["keep_firing_for"].endswith(("s", "m"))


def test_without_a_contact_point_the_policies_of_grafana_say_who_is_called(pushed: Pushed) -> None:
    pushed.grafana().rules()
    assert all("notification_settings" not in rule for rule in pushed.kept.rules.values())
    assert pushed.kept.contacts == {}
    assert [path for _, path in pushed.kept.asked if "policies" in path] == []


def test_the_length_of_an_interval_is_that_of_the_market(pushed: Pushed) -> None:
    pushed.grafana().rules(5)
    assert pushed.kept.rules["gridfuse-no-clearing"]["data"][0]["relativeTimeRange"] == {"from": 900, "to": 0}


def test_the_data_source_is_the_one_of_the_files(pushed: Pushed) -> None:
    (file,) = yaml.safe_load((ROOT / "dashboards/grafana/provisioning/datasources/gridfuse.yaml").read_text(encoding="utf-8"))[
        "datasources"
    ]
    sent: list[dict[str, Any]] = []
    face = HttpFace(pushed.kept)
    face.datasource = type("", (), {"create_datasource": staticmethod(sent.append)})  # type: ignore[assignment]
    GridGrafana(face, say=pushed.said.append).data_source("$INFLUX_URL", "grid", "$INFLUX_TOKEN")
    assert sent[0] == {name: value for name, value in file.items() if name not in {"isDefault", "editable"}}


def test_a_token_that_is_given_is_set_anew_because_it_cannot_be_read_back(pushed: Pushed) -> None:
    for _ in range(2):
        pushed.grafana().data_source("http://influxdb:8086", "grid", "secret")
    assert [verb for verb, _ in pushed.kept.changes] == ["POST", "PUT"]
    assert pushed.kept.sources[DATASOURCE_UID]["secureJsonFields"] == {"httpHeaderValue1": True}


def test_without_an_address_a_data_source_must_be_there(pushed: Pushed) -> None:
    with pytest.raises(PushError, match=r"data source gridfuse-influx is not there; give --influx-url"):
        pushed.grafana().data_source("", "grid", "")
    pushed.grafana().data_source("http://influxdb:8086", "grid", "")
    pushed.grafana().data_source("", "grid", "")
    assert pushed.said[-1] == "data source gridfuse-influx: left as it is"


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(403, "the service account needs the role Admin"), (412, "push again"), (500, "see Grafana's log"), (400, "no good")],
)
def test_what_grafana_refuses_is_told_with_its_words_and_a_remedy(pushed: Pushed, status: int, remedy: str) -> None:
    pushed.kept.refuse = lambda verb, path: (status, {"message": "no good"}) if verb == "POST" else None
    with pytest.raises(PushError, match=f"folder L2: http://grafana answered {status}: no good") as told:
        pushed.grafana().folder(FOLDER, "L2")
    assert remedy in str(told.value)


def test_a_token_that_is_not_valid_is_told_without_telling_it(pushed: Pushed) -> None:
    with pytest.raises(PushError, match="the token is not valid: make one for a service account of role Admin") as told:
        pushed.grafana(token="wrong-token").folder(FOLDER, "L2")
    assert "wrong-token" not in str(told.value)


def test_a_grafana_that_does_not_answer_is_told_by_its_address(pushed: Pushed) -> None:
    face = HttpFace(pushed.kept)

    def away(_uid: str) -> Any:
        raise ConnectionRefusedError("111, Authorization: Bearer secret")

    face.get_folder = away  # type: ignore[method-assign]
    with pytest.raises(PushError, match=r"http://grafana does not answer \(ConnectionRefusedError\); is --url right") as told:
        GridGrafana(face, "http://grafana", say=pushed.said.append).folder(FOLDER, "L2")
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "no token; make one"),
        (["--token-file", "none"], "none cannot be read"),
        (["--token-file", "empty"], "empty is empty; it should hold the token and nothing else"),
        (["--token-file", "token", "--url", "ftp://user:word@x"], "--url is not an http or https URL"),
        (["--token-file", "token", "--via", "email"], "--via and --to go together"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_sent(
    options: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRAFANA_TOKEN", raising=False)
    (tmp_path / "token").write_text("t\n")
    (tmp_path / "empty").write_text("\n")
    assert push.main(options) == 1
    said = capsys.readouterr().err
    assert says in said
    assert "user:word" not in said


def test_boards_of_ones_own_grid_are_pushed_from_where_they_were_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one-line diagram of the demonstration is of no use to anybody else."""
    kept = FakeGrafana()
    monkeypatch.setattr(push, "connect", lambda url, token: HttpFace(kept))
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
    for language in ("zh", "en"):
        folder = tmp_path / language / f"L2-{language}"
        folder.mkdir(parents=True)
        (folder / "own.json").write_text(json.dumps({"uid": f"own-{language}", "title": language, "panels": []}))
    assert push.main(["--boards", str(tmp_path), "--influx-url", "http://influxdb:8086"]) == 0
    assert set(kept.dashboards) == {"own-zh", "own-en"}
    assert kept.dashboards["own-zh"]["meta"]["folderUid"] == "gridfuse-l2-zh"
    assert kept.folders["gridfuse-l2-zh"]["title"] == "L2-zh"


@pytest.mark.parametrize(
    ("held", "says"),
    [
        (None, "holds no dashboards; make them with"),
        ("[]", "holds no dashboard (TypeError)"),
        ("{", "holds no dashboard (JSONDecodeError)"),
    ],
)
def test_a_directory_without_boards_is_refused_before_anything_is_sent(
    held: str | None, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if held is not None:
        (tmp_path / "en" / "L2").mkdir(parents=True)
        (tmp_path / "en" / "L2" / "own.json").write_text(held)
    assert push.main(["--boards", str(tmp_path), "--url", "http://127.0.0.1:1"]) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("code", [0, 1])
def test_the_command_passes_its_options_on_and_the_exit_code_back(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[list[str]] = []

    def done(command: list[str], **_options: Any) -> subprocess.CompletedProcess[str]:
        run.append(command)
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(subprocess, "run", done)
    app = typer.Typer()
    register(app)
    assert CliRunner().invoke(app, ["dashboards", "push", "--url", "http://g", "--dry-run", "--help"]).exit_code == code
    assert run == [[sys.executable, "-m", "dashboards.push", "--url", "http://g", "--dry-run", "--help"]]


def test_without_a_library_it_is_said_how_to_get_one() -> None:
    with pytest.raises(PushError, match=r"pip install 'gridfuse\[grafana\]'"):
        connect("http://localhost:3000", "t", library="no_such_library")
