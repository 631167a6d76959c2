"""What the compositions name is there, pinned, hardened and readable by the service, and nothing of one of them gets in another's way."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from jsonschema import Draft202012Validator

from dashboards.alerting import CONTACT_POINT
from dashboards.watchdog import RT_INTERVAL_MIN, rules
from scripts.scale import LEFT_OUT, PROFILE, Place, Running
from streams.roles import Role
from streams.settings import Settings, read_settings

ROOT: Final = Path(__file__).resolve().parents[2]
DOCKER: Final = ROOT / "docker"
PROFILES: Final = ("small", "scale")
Node = dict[str, Any]

WRITABLE_ROOT: Final = {"kafka": "its scripts write beside themselves"}
"""Services whose root is not read-only, and why."""


@pytest.fixture(scope="module")
def compose() -> Node:
    loaded: Node = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module", params=PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def services(compose: Node, profile: str) -> dict[str, Node]:
    return {name: service for name, service in compose["services"].items() if profile in service["profiles"]}


def mounts(compose: Node) -> list[tuple[str, str, str]]:
    """(service, source, target) of every mount."""
    return [(name, *volume.split(":")[:2]) for name, service in compose["services"].items() for volume in service.get("volumes", [])]


def test_it_is_what_the_compose_specification_calls_a_composition(compose: Node) -> None:
    schema = json.loads((ROOT / "tests/data/compose-spec.json").read_text(encoding="utf-8"))
    assert [f"{list(error.path)}: {error.message}" for error in Draft202012Validator(schema).iter_errors(compose)] == []


def test_there_are_two_sizes_and_every_service_is_of_one(compose: Node) -> None:
    assert {profile for service in compose["services"].values() for profile in service["profiles"]} == set(PROFILES)
    assert set(services(compose, "small")) == {"influxdb", "grafana", "gridfuse"}
    assert set(services(compose, "scale")) == {
        *("influxdb", "grafana", "kafka", "postgres", "alertmanager"),
        *("ingest", "streams-1", "streams-2", "api"),
    }


def test_everything_that_is_mounted_exists_and_only_volumes_are_written(compose: Node) -> None:
    named = set(compose["volumes"])
    assert {source for _, source, _ in mounts(compose) if source not in named and not (DOCKER / source).exists()} == set()
    assert {source for _, source, _ in mounts(compose) if source in named} == named
    written = [volume for service in compose["services"].values() for volume in service["volumes"] if volume.startswith(".")]
    assert [volume for volume in written if not volume.endswith((":ro", ".sh:ro"))] == []


def test_no_two_services_write_one_volume(compose: Node) -> None:
    users = Counter(source for _, source, _ in mounts(compose) if source in compose["volumes"])
    assert [source for source, count in users.items() if count > 1] == []


def test_every_image_is_pinned_to_a_full_version(compose: Node) -> None:
    images = {name: service["image"] for name, service in compose["services"].items()}
    # PostgreSQL's versions have two parts.
    pinned = re.compile(r"[a-z/]+:v?\d+\.\d+\.\d+|postgres:\d+\.\d+")
    assert {name: image for name, image in images.items() if not pinned.fullmatch(image)} == {}


def test_what_was_run_here_is_what_is_pinned(compose: Node) -> None:
    (kafka,) = re.findall(r"KAFKA_VERSION=(\S+)", (ROOT / "scripts/servers.sh").read_text(encoding="utf-8"))
    assert compose["services"]["kafka"]["image"] == f"apache/kafka:{kafka}"


def test_every_service_says_when_it_is_healthy(compose: Node) -> None:
    assert [name for name, service in compose["services"].items() if not service.get("healthcheck", {}).get("test")] == []


def test_no_service_is_root_and_none_may_become_more_than_it_is(compose: Node) -> None:
    for name, service in compose["services"].items():
        assert re.fullmatch(r"[1-9]\d*:\d+", service["user"]), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("privileged", False) is False, name
    assert {name for name, service in compose["services"].items() if not service.get("read_only")} == set(WRITABLE_ROOT)


def test_nothing_fills_the_disk_of_the_host_with_what_it_says(compose: Node) -> None:
    assert {json.dumps(service["logging"]["options"]) for service in compose["services"].values()} == {
        '{"max-size": "10m", "max-file": "5"}'
    }


def test_every_secret_is_a_file_outside_the_repository(compose: Node) -> None:
    used = {secret for service in compose["services"].values() for secret in service.get("secrets", [])}
    assert used == set(compose["secrets"])
    assert all(secret["file"].startswith("secrets/") for secret in compose["secrets"].values())
    assert (DOCKER / "secrets" / ".gitignore").read_text().splitlines()[0] == "*"


def test_every_secret_that_is_read_is_given_to_who_reads_it(compose: Node) -> None:
    for name, service in compose["services"].items():
        texts = [json.dumps(service)]
        texts += [(DOCKER / source).read_text() for who, source, _ in mounts(compose) if who == name and (DOCKER / source).is_file()]
        read = set(re.findall(r"/run/secrets/(\w+)", " ".join(texts)))
        assert read == set(service.get("secrets", [])), name


def test_make_up_makes_every_secret_up_once_and_lets_only_its_owner_near_them(compose: Node, tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    files = [f"docker/{secret['file']}" for secret in compose["secrets"].values()]

    def make() -> dict[str, str]:
        subprocess.run(["make", "-s", *files], cwd=tmp_path, check=True, capture_output=True)
        return {name: (tmp_path / name).read_text() for name in files}

    first = make()
    assert all(re.fullmatch(r"[A-Za-z0-9]{30,}", secret) for secret in first.values())
    assert len(set(first.values())) == len(files)
    assert make() == first
    assert (tmp_path / "docker/secrets").stat().st_mode & 0o777 == 0o700
    # The users inside the containers are others than the one outside.
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in files} == {0o644}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], ["--profile small", ""]),
        (["PROFILE=scale"], ["--profile scale", "GRIDFUSE_WATCHDOG_VIA=${GRIDFUSE_WATCHDOG_VIA:-prometheus-alertmanager}"]),
        (["PROFILE=scale"], ["GRIDFUSE_WATCHDOG_TO=${GRIDFUSE_WATCHDOG_TO:-http://alertmanager:9093}"]),
    ],
)
def test_make_up_starts_the_size_that_is_asked_for(options: list[str], says: list[str]) -> None:
    told = subprocess.run(["make", "-n", "up", *options], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert all(each in told for each in says)


def test_ports_are_open_to_this_machine_only_and_do_not_collide(compose: Node, profile: str) -> None:
    ports = [port for service in services(compose, profile).values() for port in service.get("ports", [])]
    assert [port for port in ports if not re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)] == []
    assert [port for port, count in Counter(port.split(":")[1] for port in ports).items() if count > 1] == []


def test_who_waits_for_whom_waits_for_somebody_of_its_own_size(compose: Node, profile: str) -> None:
    there = services(compose, profile)
    for name, service in there.items():
        assert set(service.get("depends_on", {})) <= set(there), name
        assert all(when == {"condition": "service_healthy"} for when in service.get("depends_on", {}).values()), name


def test_grafana_finds_the_dashboards_of_both_languages(compose: Node) -> None:
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


def test_grafana_has_every_variable_that_its_files_name(compose: Node) -> None:
    """An empty kind of contact point keeps it from starting."""
    service = compose["services"]["grafana"]
    provisioning = ROOT / "dashboards/grafana/provisioning"
    files = [path for path in provisioning.rglob("*.yaml") if path.name != "rules.yaml"]
    named = {name for path in files for name in re.findall(r"\$([A-Z_]+)", re.sub(r"(?m)^\s*#.*", "", path.read_text(encoding="utf-8")))}
    given = set(service["environment"]) | set(re.findall(r"([A-Z_]+)=\$\$\(cat", " ".join(service["entrypoint"])))
    assert {"INFLUX_URL", "INFLUX_TOKEN", "GRIDFUSE_WATCHDOG_VIA", "GRIDFUSE_WATCHDOG_TO"} == named <= given


def test_alertmanager_sends_somewhere_what_the_watchdog_calls_urgent(compose: Node) -> None:
    told = yaml.safe_load((DOCKER / "alertmanager.yaml").read_text(encoding="utf-8"))
    receivers = {receiver["name"] for receiver in told["receivers"]}
    assert {told["route"]["receiver"], *(route["receiver"] for route in told["route"]["routes"])} == receivers == {"on-call"}
    named = set(chain.from_iterable(re.findall(r"gridfuse-[a-z-]+", json.dumps(rule)) for rule in told["inhibit_rules"]))
    assert named <= {rule.uid for rule in rules()}
    assert CONTACT_POINT not in named


def read(name: str, tmp_path: Path) -> Settings:
    """Read settings as they stand, with the secrets of a test."""
    text = (DOCKER / name).read_text(encoding="utf-8")
    for secret in set(re.findall(r"/run/secrets/(\w+)", text)):
        (tmp_path / secret).write_text("secret")
    (tmp_path / name).write_text(text.replace("/run/secrets/", f"{tmp_path}/"), encoding="utf-8")
    shutil.copy(DOCKER / "points.yaml", tmp_path)
    return read_settings(tmp_path / name)


@pytest.mark.parametrize("name", ["gridfuse.yaml", "scale.yaml"])
def test_the_shipped_settings_are_read_without_a_problem_and_mean_what_the_composition_does(
    name: str, compose: Node, tmp_path: Path
) -> None:
    settings = read(name, tmp_path)
    created = compose["services"]["influxdb"]["environment"]
    source = yaml.safe_load((ROOT / "dashboards/grafana/provisioning/datasources/gridfuse.yaml").read_text(encoding="utf-8"))
    assert settings.influx is not None
    assert settings.influx.bucket == created["DOCKER_INFLUXDB_INIT_BUCKET"] == source["datasources"][0]["jsonData"]["dbName"]
    assert settings.influx.org == created["DOCKER_INFLUXDB_INIT_ORG"]
    assert settings.influx.url == compose["services"]["grafana"]["environment"]["INFLUX_URL"]
    assert settings.data == Path("/var/lib/gridfuse")
    assert settings.rules.rt_interval_min == RT_INTERVAL_MIN, "the watchdog counts intervals of this length"
    # Raw telemetry is kept for as long as the service itself would have it kept.
    assert settings.sinking.raw is not None
    made = (DOCKER / "influxdb-buckets.sh").read_text()
    assert f"--name {settings.sinking.raw.bucket} --retention {settings.sinking.raw_keep_s // 86_400}d" in made
    assert os.access(DOCKER / "influxdb-buckets.sh", os.X_OK)


def test_the_larger_one_speaks_to_its_own_servers(compose: Node, tmp_path: Path) -> None:
    settings = read("scale.yaml", tmp_path)
    there = services(compose, "scale")
    assert settings.broker == "kafka://kafka:9092"
    assert f"PLAINTEXT://{settings.broker.removeprefix('kafka://')}" == there["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    url, made = settings.ledger_url, there["postgres"]["environment"]
    assert (url.host, url.username, url.database) == ("postgres", made["POSTGRES_USER"], made["POSTGRES_DB"])
    assert url.password == "secret"
    assert made["POSTGRES_PASSWORD_FILE"] == "/run/secrets/postgres_password"


def test_the_larger_one_has_every_role_each_under_a_name_of_its_own(compose: Node) -> None:
    commands = [service["command"] for service in services(compose, "scale").values() if "build" in service]
    told = [(command[command.index("--role") + 1], command[command.index("--instance") + 1]) for command in commands]
    assert Counter(role for role, _ in told) == {Role.INGEST: 1, Role.STREAMS: 2, Role.API: 1}
    assert len({name for _, name in told}) == len(told)


def test_a_browser_and_grafana_reach_the_service_by_names_it_answers_to(compose: Node, tmp_path: Path) -> None:
    told = compose["services"]["grafana"]["environment"]["GRIDFUSE_WATCHDOG_TO"]
    (host,) = re.findall(r":-http://([\w-]+):8080/", told)
    assert host in compose["services"]
    assert host in read("gridfuse.yaml", tmp_path).http.allowed_hosts


def test_what_runs_without_docker_is_all_of_the_larger_composition_but_grafana(compose: Node) -> None:
    running = Running(Path("nowhere"), DOCKER / "points.yaml")
    assert set(running._services) == set(services(compose, PROFILE))
    assert set(LEFT_OUT) == {"grafana"}


def test_names_of_services_become_addresses_of_this_machine_and_nothing_else_does(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path, ("kafka", "api", "streams-1"), ports={("kafka", 9092): 20_001, ("api", 8080): 20_002})
    told = 'broker: "kafka://kafka:9092", 1@kafka:9092 http://api:8080/x my-api:8080 api.example.org:8080 kafka'
    assert place.here(told) == (
        'broker: "kafka://127.0.0.1:20001", 1@127.0.0.1:20001 http://127.0.0.1:20002/x my-api:8080 api.example.org:8080 kafka'
    )
    secret = Path(place.here("/run/secrets/word"))
    assert secret == Path(place.here("/run/secrets/word"))
    assert len(secret.read_text()) > 20


def test_the_image_copies_every_package_and_nothing_that_is_not_there() -> None:
    lines = (DOCKER / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = {name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages - {"tests"} == {name for name in copied if (ROOT / name).is_dir()}
    # Written at the end of a release; everything else must be there now.
    assert {name for name in copied if not (ROOT / name).exists()} <= {"README.md", "NOTICE"}


def test_the_image_runs_as_the_user_that_the_composition_names(compose: Node) -> None:
    (made,) = re.findall(r"useradd .*--uid (\d+) --gid (\d+)", (DOCKER / "Dockerfile").read_text(encoding="utf-8"))
    ours = [service for service in compose["services"].values() if "build" in service]
    assert {service["user"] for service in ours} == {":".join(made)}


def test_the_image_has_the_driver_of_the_ledger() -> None:
    assert "pip install --no-cache-dir '.[postgres]'" in (DOCKER / "Dockerfile").read_text(encoding="utf-8")


def test_docker_is_no_package() -> None:
    """An ``__init__.py`` here would make ``import docker`` load this directory instead of the library of that name."""
    assert list(DOCKER.rglob("*.py")) == []
