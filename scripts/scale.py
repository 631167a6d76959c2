#!/usr/bin/env python3
"""Start what ``docker/compose.yaml`` describes as plain processes on this machine, so that it can be tried without Docker.

    python scripts/scale.py                          the larger composition; Ctrl-C stops it
    python scripts/scale.py --points points.yaml     with devices of your own
    python scripts/scale.py --home DIR --json        where it keeps itself; one line of JSON when all are ready

Everything is taken from the composition: which processes there are, their commands, environment and mounted settings, their secrets. Only
what belongs to containers is changed: names of services become addresses of this machine on free ports, volumes and secrets become
files below ``--home``. So a mistake in the composition is one here as well. The servers are those that ``make servers`` installs (Kafka,
InfluxDB 1.x in place of 2, PostgreSQL and Alertmanager of Debian); Grafana is in no package registry and is left out.

It waits until each is healthy, tells the addresses, and ends all of them by their pids, the last first, when it is told to stop or when
one of them ends.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[1]
DOCKER: Final = ROOT / "docker"
SERVERS: Final = ROOT / ".servers"
PROFILE: Final = "scale"
LEFT_OUT: Final = {"grafana": "it is in no package registry"}
START_S: Final = 180.0
STOP_S: Final = 20.0
_FIRST_PORT, _LAST_PORT = 12_000, 32_000
"""Below those that the kernel gives to outgoing connections."""


class Unable(Exception):
    """Something is not here, or a process did not become ready; the message says what to do."""


@dataclass
class Place:
    """What stands where on this machine in place of containers.

    Attributes:
        home: everything is kept below it.
        points: the point list of every process.
        services: all names of the composition.
        ports: by service and port in its container.
    """

    home: Path
    points: Path
    services: tuple[str, ...]
    ports: dict[tuple[str, int], int] = field(default_factory=dict)

    def port(self, service: str, inside: int) -> int:
        """Return the port of this machine for one of a container."""
        key = (service, inside)
        if key not in self.ports:
            self.ports[key] = _free_port(set(self.ports.values()))
        return self.ports[key]

    def folder(self, service: str) -> Path:
        """Return a service's folder."""
        made = self.home / service
        made.mkdir(parents=True, exist_ok=True)
        return made

    def secret(self, name: str) -> Path:
        """Return the file of a secret, made up if it is not there yet."""
        path = self.folder("secrets") / name
        if not path.exists():
            path.write_text(secrets.token_urlsafe(24))
            path.chmod(0o644)
        return path

    def here(self, text: str) -> str:
        """Replace addresses of containers, and paths of secrets, by what stands for them."""
        text = re.sub(r"/run/secrets/(\w+)", lambda found: str(self.secret(found[1])), text)
        names = "|".join(sorted(self.services, key=len, reverse=True))
        return re.sub(rf"(?<![\w.-])({names}):(\d+)", lambda found: f"127.0.0.1:{self.port(found[1], int(found[2]))}", text)


@dataclass
class Started:
    """A process that runs."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    healthy: Callable[[], bool]

    def said(self) -> str:
        """Return the end of what it said."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]


def _free_port(given: set[int]) -> int:
    while True:
        port = _FIRST_PORT + secrets.randbelow(_LAST_PORT - _FIRST_PORT)
        with socket.socket() as probe:
            if port not in given and probe.connect_ex(("127.0.0.1", port)):
                return port


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _says_yes(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:  # noqa: S310 (addresses of our own)
            return bool(200 <= answer.status < 300)
    except OSError:
        return False


def _spawn(place: Place, name: str, command: list[str], healthy: Callable[[], bool], **more: Any) -> Started:
    log = place.folder(name) / "log.txt"
    with log.open("ab") as out:
        return Started(name, subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, **more), log, healthy)


def _done(command: list[str], **more: Any) -> None:
    """Run a command to its end.

    Raises:
        Unable: it failed, in its own words.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if done.returncode:
        raise Unable(f"{Path(command[0]).name} {' '.join(command[1:])}: {done.stdout[-1000:]}{done.stderr[-1000:]}")


def _need(found: Path | str | None, what: str, how: str) -> str:
    if found is None:
        raise Unable(f"{what} is not here; get it with: {how}")
    return str(found)


# ── the servers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _kafka(place: Place, service: dict[str, Any]) -> Started:
    """Apache Kafka, with the settings that the image makes of its environment."""
    java = _need(shutil.which("java"), "java", "apt-get install -y openjdk-17-jre-headless")
    libs = sorted((SERVERS / "kafka").glob("libs-*/.complete"))
    jars = Path(_need(libs[-1].parent if libs else None, "Kafka", "scripts/servers.sh kafka"))
    home = place.folder("kafka")
    told = {name: str(value) for name, value in service["environment"].items() if name != "KAFKA_HEAP_OPTS"}
    # As the image does it: KAFKA_LOG_DIRS is log.dirs.
    properties = {name.removeprefix("KAFKA_").lower().replace("_", "."): value for name, value in told.items()}
    properties |= {"log.dirs": str(home / "data"), "controller.quorum.voters": place.here(properties["controller.quorum.voters"])}
    for name in ("listeners", "advertised.listeners"):
        properties[name] = place.here(re.sub(r"://(kafka)?:", "://kafka:", properties[name]))
    file = home / "server.properties"
    file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    if not (home / "data" / "meta.properties").exists():
        # Any 16 bytes in URL-safe base64 name a cluster.
        cluster = [java, "-cp", f"{jars}/*", "kafka.tools.StorageTool", "format", "-t", "Z3JpZGZ1c2Utc2NhbGUtMQ", "-c", str(file)]
        _done(cluster)
    command = [java, "-Xms256m", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{jars}/*", "kafka.Kafka", str(file)]
    port = place.port("kafka", 9092)
    return _spawn(place, "kafka", command, lambda: _answers(port))


_INFLUXD: Final = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{home}/meta"
[data]
dir = "{home}/data"
wal-dir = "{home}/wal"
[http]
bind-address = "127.0.0.1:{http}"
log-enabled = false
[monitor]
store-enabled = false
"""


def _influxdb(place: Place, _service: dict[str, Any]) -> Started:
    """InfluxDB 1.x, which answers the write address of 2 and InfluxQL; the buckets are made by ``gridfuse influx prepare``."""
    own = SERVERS / "bin" / "influxd"
    binary = _need(own if os.access(own, os.X_OK) else shutil.which("influxd"), "influxd", "scripts/servers.sh influxdb")
    home, port = place.folder("influxdb"), place.port("influxdb", 8086)
    (home / "influxdb.conf").write_text(_INFLUXD.format(home=home, http=port, rpc=place.port("influxdb", 8088)))
    return _spawn(
        place, "influxdb", [binary, "run", "-config", str(home / "influxdb.conf")], lambda: _says_yes(f"http://127.0.0.1:{port}/ping")
    )


def _postgres(place: Place, service: dict[str, Any]) -> Started:
    """PostgreSQL, made as its image makes it; it refuses to run as root, so there it runs as Debian's user for it."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    programs = Path(_need(found[-1].parent if found else None, "PostgreSQL", "apt-get install -y postgresql"))
    told, home, port = service["environment"], place.folder("postgres"), place.port("postgres", 5432)
    user = "postgres" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(home, user)
    data, password = home / "data", place.here(told["POSTGRES_PASSWORD_FILE"])
    if not (data / "PG_VERSION").exists():
        make = [str(programs / "initdb"), "-D", str(data), "-U", told["POSTGRES_USER"], "--pwfile", password]
        _done([*make, *told["POSTGRES_INITDB_ARGS"].split()], user=user, cwd=home)
        # The image makes the database as well, before it lets anybody in.
        single = [str(programs / "postgres"), "--single", "-D", str(data), "postgres"]
        _done(single, input=f"CREATE DATABASE {told['POSTGRES_DB']}\n", user=user, cwd=home)
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(home)]
    ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    return _spawn(place, "postgres", command, lambda: subprocess.run(ready, check=False).returncode == 0, user=user, cwd=home)


def _alertmanager(place: Place, service: dict[str, Any]) -> Started:
    """Alertmanager with the mounted file and the composition's options."""
    binary = _need(shutil.which("prometheus-alertmanager"), "Alertmanager", "apt-get install -y prometheus-alertmanager")
    port = place.port("alertmanager", 9093)
    mounted = {target: DOCKER / source for source, target in _mounts(service) if source.startswith(".")}
    given = {"config.file": str(mounted["/etc/alertmanager/alertmanager.yaml"]), "storage.path": str(place.folder("alertmanager") / "data")}
    given["web.listen-address"] = f"127.0.0.1:{port}"
    options = dict(option.removeprefix("--").split("=", 1) for option in service["command"])
    if unknown := given.keys() - options.keys():
        raise Unable(f"alertmanager: the composition gives no --{', --'.join(sorted(unknown))}")
    command = [binary, *(f"--{name}={given.get(name, value)}" for name, value in options.items())]
    return _spawn(place, "alertmanager", command, lambda: _says_yes(f"http://127.0.0.1:{port}/-/ready"))


# ── the service ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _settings(place: Place, name: str, service: dict[str, Any]) -> Path:
    """Write a process' settings: the mounted ones, with this machine's addresses and paths."""
    home, inside = place.folder(name), service["command"][service["command"].index("--config") + 1]
    source = next(source for source, target in _mounts(service) if target == inside)
    told = yaml.safe_load(place.here((DOCKER / source).read_text(encoding="utf-8")))
    told |= {"data": str(home / "data"), "points": str(place.points)}
    told["http"] = {"host": "127.0.0.1", "port": place.port(name, told["http"]["port"])}
    path = home / "gridfuse.yaml"
    path.write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
    return path


def _process(place: Place, name: str, service: dict[str, Any]) -> Started:
    """Start one of the service's own processes with the composition's command."""
    config = _settings(place, name, service)
    command = [str(config) if word.startswith("/etc/gridfuse/") else word for word in service["command"]]
    port = yaml.safe_load(config.read_text(encoding="utf-8"))["http"]["port"]
    run = [sys.executable, "-m", "console.cli", *command]
    return _spawn(place, name, run, lambda: _says_yes(f"http://127.0.0.1:{port}/ready"), cwd=ROOT)


def _prepare(place: Place, name: str, service: dict[str, Any]) -> None:
    """Have the buckets made; in the composition InfluxDB's image does it."""
    command = [sys.executable, "-m", "console.cli", "influx", "prepare", "--config", str(_settings(place, name, service))]
    _done(command, cwd=ROOT)


def _mounts(service: dict[str, Any]) -> list[tuple[str, str]]:
    return [(source, target) for source, target in (volume.split(":")[:2] for volume in service.get("volumes", ()))]


_SERVERS: Final[dict[str, Callable[[Place, dict[str, Any]], Started]]] = {
    "kafka": _kafka,
    "influxdb": _influxdb,
    "postgres": _postgres,
    "alertmanager": _alertmanager,
}


class Running:
    """The composition as processes."""

    def __init__(self, home: Path, points: Path) -> None:
        composed = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"]
        self._services = {name: service for name, service in composed.items() if PROFILE in service["profiles"]}
        self._place = Place(home, points, tuple(composed))
        self._started: list[Started] = []

    def start(self) -> None:
        """Start everything, servers first; return when all are healthy."""
        ours = {name: service for name, service in self._services.items() if "build" in service}
        for name, service in self._services.items():
            if name in _SERVERS:
                self._started.append(_SERVERS[name](self._place, service))
            elif name not in ours and name not in LEFT_OUT:
                raise Unable(f"the composition has a service {name!r} that this script does not know")
        self._wait()
        _prepare(self._place, *next(iter(ours.items())))
        for name, service in ours.items():
            self._started.append(_process(self._place, name, service))
        self._wait()

    def _wait(self) -> None:
        waiting, end_s = list(self._started), time.monotonic() + START_S
        while waiting:
            self.look()
            waiting = [one for one in waiting if not one.healthy()]
            if waiting and time.monotonic() > end_s:
                named = "\n".join(f"== {one.name}, {one.log}\n{one.said()}" for one in waiting)
                raise Unable(f"not ready within {START_S:g} s:\n{named}")
            time.sleep(0.2)

    def look(self) -> None:
        """Raise where a process has ended by itself."""
        for one in self._started:
            if (code := one.process.poll()) is not None:
                raise Unable(f"{one.name} ended with code {code}; {one.log} says:\n{one.said()}")

    def addresses(self) -> dict[str, Any]:
        """Return what is where, for machines."""
        at = {name: f"127.0.0.1:{self._place.port(name, inside)}" for name, inside in _doors(self._services)}
        pids = {one.name: one.process.pid for one in self._started}
        return {"addresses": at, "pids": pids, "home": str(self._place.home), "left_out": LEFT_OUT}

    def stop(self) -> None:
        """End everything, the last first: who depends on a server goes before it."""
        for one in reversed(self._started):
            if one.process.poll() is None:
                # PostgreSQL cuts off who is connected by this one, and waits for them by the other.
                one.process.send_signal(signal.SIGINT if one.name == "postgres" else signal.SIGTERM)
        for one in reversed(self._started):
            with suppress(subprocess.TimeoutExpired):
                one.process.wait(STOP_S)
            if one.process.poll() is None:
                one.process.kill()
                one.process.wait()


def _doors(services: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield each service with the port it is spoken to at."""
    known = {"kafka": 9092, "influxdb": 8086, "postgres": 5432, "alertmanager": 9093}
    for name, service in services.items():
        if name in known or "build" in service:
            yield name, known.get(name, 8080)


def main() -> int:
    """Run until told to stop; 0 then, 1 where something is missing or ended."""
    parser = argparse.ArgumentParser(description="The larger composition as plain processes.")
    parser.add_argument("--home", type=Path, help="where it keeps itself; by default a folder that goes with it")
    parser.add_argument("--points", type=Path, default=DOCKER / "points.yaml", help="point list, instead of the composition's")
    parser.add_argument("--json", action="store_true", help="tell the addresses as one JSON object")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gridfuse-scale-", ignore_cleanup_errors=True) as temporary:
        if told.home is None:
            Path(temporary).chmod(0o755)
        return _run(Running((told.home or Path(temporary)).absolute(), told.points.absolute()), as_json=told.json)


def _run(running: Running, *, as_json: bool) -> int:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        running.start()
        found = running.addresses()
        if as_json:
            print(json.dumps(found), flush=True)
        else:
            for name, at in found["addresses"].items():
                print(f"{name:<13} {at}")
            print(f"live board    http://{found['addresses']['api']}/\nCtrl-C stops all of it", flush=True)
        while True:
            running.look()
            time.sleep(0.5)
    except KeyboardInterrupt:
        return 0
    except Unable as exc:
        print(exc, file=sys.stderr)
        return 1
    finally:
        # A second Ctrl-C must not leave processes behind.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        running.stop()


if __name__ == "__main__":
    sys.exit(main())
