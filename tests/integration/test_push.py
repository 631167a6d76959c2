"""What `gridfuse dashboards push` runs, with either library, over HTTP, into a server that answers as Grafana 12."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dashboards.boards import BOARDS
from dashboards.watchdog import rules
from tests.kit.fakegrafana import TOKEN, FakeGrafana, grafana
from tests.kit.require import require

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = ("grafana-api", "grafana-client")


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> Path:
    """Where a library lies. Each in a folder of its own: the second replaces urllib3 wherever it is installed."""
    folder = ROOT / ".servers" / str(request.param)
    require(str(request.param), "scripts/servers.sh grafana", found=(folder / ".complete").exists())
    return folder


def pushed(library: Path, kept: FakeGrafana, *options: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(library), "GRAFANA_TOKEN": token, "INFLUX_TOKEN": "influx_secret", "NO_PROXY": "*"}
    command = [sys.executable, "-m", "dashboards.push", "--url", kept.url, *options]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_everything_is_there_after_one_push_and_nothing_changes_by_the_second(library: Path) -> None:
    to = ("--influx-url", "http://influxdb:8086", "--via", "prometheus-alertmanager", "--to", "http://alertmanager:9093")
    with grafana() as kept:
        looked = pushed(library, kept, "--dry-run", *to)
        assert looked.returncode == 0, looked.stderr
        assert kept.changes == []

        first = pushed(library, kept, *to)
        assert first.returncode == 0, first.stderr
        assert set(kept.dashboards) == {f"{board.uid}-{language}" for board in BOARDS for language in ("zh", "en")}
        assert set(kept.rules) == {rule.uid for rule in rules()}
        assert [point["type"] for point in kept.contacts.values()] == ["prometheus-alertmanager"]
        assert first.stdout.splitlines()[-1] == f"{len(kept.changes)} changed"

        # An answer without a body, which one of the libraries takes for an error.
        kept.rules["gridfuse-gone"] = kept.rules["gridfuse-tripped"] | {"uid": "gridfuse-gone"}
        kept.asked.clear()
        second = pushed(library, kept, "--via", to[3], "--to", to[5])
        assert second.returncode == 0, second.stderr
        assert kept.changes == [("DELETE", "/api/v1/provisioning/alert-rules/gridfuse-gone")]
        for told in (looked, first, second):
            assert TOKEN not in told.stdout + told.stderr
            assert "influx_secret" not in told.stdout + told.stderr


def test_a_wrong_token_and_a_wrong_address_are_told_with_a_remedy(library: Path) -> None:
    with grafana() as kept:
        wrong = pushed(library, kept, token="glsa_wrong")
    gone = pushed(library, kept)
    assert (wrong.returncode, gone.returncode) == (1, 1)
    assert "the token is not valid: make one for a service account of role Admin" in wrong.stderr
    assert f"{kept.url} does not answer" in gone.stderr
    assert "is --url right" in gone.stderr
    assert "Traceback" not in wrong.stderr + gone.stderr
    assert "glsa_" not in wrong.stderr + gone.stderr
