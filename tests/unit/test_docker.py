"""What the compose file names is there, pinned, and readable by the service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.settings import read_settings

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def mounts(compose: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(service, source, target) of every mount."""
    return [(name, *volume.split(":")[:2]) for name, service in compose["services"].items() for volume in service.get("volumes", [])]


def test_everything_that_is_mounted_exists(compose: dict[str, Any]) -> None:
    named = set(compose["volumes"])
    assert [source for _, source, _ in mounts(compose) if source not in named and not (DOCKER / source).exists()] == []


def test_every_image_is_pinned_to_a_full_version(compose: dict[str, Any]) -> None:
    images = [service["image"] for service in compose["services"].values()]
    assert [image for image in images if not re.fullmatch(r"[a-z/]+:\d+\.\d+\.\d+", image)] == []


def test_every_service_says_when_it_is_healthy(compose: dict[str, Any]) -> None:
    assert [name for name, service in compose["services"].items() if "healthcheck" not in service] == []


def test_every_secret_is_a_file_outside_the_repository(compose: dict[str, Any]) -> None:
    used = {secret for service in compose["services"].values() for secret in service.get("secrets", [])}
    assert used == set(compose["secrets"])
    assert all(secret["file"].startswith("secrets/") for secret in compose["secrets"].values())
    assert (DOCKER / "secrets" / ".gitignore").read_text().splitlines()[0] == "*"


def test_no_port_is_open_to_the_network(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_grafana_finds_the_dashboards_of_both_languages(compose: dict[str, Any]) -> None:
    targets = {target: DOCKER / source for name, source, target in mounts(compose) if name == "grafana"}
    provisioning = targets["/etc/grafana/provisioning"]
    providers = yaml.safe_load((provisioning / "dashboards" / "gridfuse.yaml").read_text(encoding="utf-8"))["providers"]
    (provider,) = providers
    directory = targets["/etc/gridfuse/dashboards"]
    assert provider["options"] == {"path": "/etc/gridfuse/dashboards", "foldersFromFilesStructure": True}
    # Grafana takes the last directory for the folder's name, so that two of one name would be one folder.
    folders = {path.parent for path in directory.rglob("*.json")}
    assert {folder.parent.name for folder in folders} == {"zh", "en"}
    assert len({folder.name for folder in folders}) == len(folders) >= 2


def test_grafana_and_the_service_mean_the_same_bucket(compose: dict[str, Any]) -> None:
    source = yaml.safe_load((ROOT / "dashboards/grafana/provisioning/datasources/gridfuse.yaml").read_text(encoding="utf-8"))[
        "datasources"
    ][0]
    settings = yaml.safe_load((DOCKER / "gridfuse.yaml").read_text(encoding="utf-8"))
    created = compose["services"]["influxdb"]["environment"]
    assert source["jsonData"]["dbName"] == settings["influx"]["bucket"] == created["DOCKER_INFLUXDB_INIT_BUCKET"]
    assert settings["influx"]["org"] == created["DOCKER_INFLUXDB_INIT_ORG"]
    assert settings["influx"]["url"] == compose["services"]["grafana"]["environment"]["INFLUX_URL"]


def test_the_shipped_settings_are_read_without_a_problem(tmp_path: Path) -> None:
    token = tmp_path / "influx_token"
    token.write_text("secret")
    text = (DOCKER / "gridfuse.yaml").read_text(encoding="utf-8").replace("/run/secrets/influx_token", str(token))
    (tmp_path / "gridfuse.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "points.yaml").write_text((DOCKER / "points.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    settings = read_settings(tmp_path / "gridfuse.yaml")
    assert settings.influx is not None
    assert settings.data == Path("/var/lib/gridfuse")


def test_the_image_copies_every_package_and_nothing_that_is_not_there() -> None:
    lines = (DOCKER / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = {name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages - {"tests"} == {name for name in copied if (ROOT / name).is_dir()}
    # Written at the end of a release; everything else must be there now.
    assert {name for name in copied if not (ROOT / name).exists()} <= {"README.md", "NOTICE"}


def test_docker_is_no_package() -> None:
    """An ``__init__.py`` here would make ``import docker`` load this directory instead of the library of that name."""
    assert list(DOCKER.rglob("*.py")) == []
