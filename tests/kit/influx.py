"""A real InfluxDB 1.x of the tests' own: started on free ports of this machine, in a directory of its own, stopped by its pid.

InfluxDB 1.8 and later answers the write address of 2.x (``/api/v2/write``) and InfluxQL, which is all this service uses of either.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kit.ports import free_port
from tests.kit.require import require

__all__ = ["Influxd", "influxd"]

_ROOT = Path(__file__).resolve().parents[2]
_START_S = 30.0

_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{home}/meta"
[data]
dir = "{home}/data"
wal-dir = "{home}/wal"
query-log-enabled = false
[http]
bind-address = "127.0.0.1:{http}"
log-enabled = false
max-body-size = {body_max}
[monitor]
store-enabled = false
[logging]
level = "error"
"""


class Influxd:
    """One server; it can be stopped, killed and started again with its data."""

    def __init__(self, binary: str, home: Path, body_max: int) -> None:
        self._binary = binary
        self._home = home
        self._port = free_port()
        self._config = home / "influxdb.conf"
        home.mkdir(parents=True, exist_ok=True)
        self._config.write_text(_CONFIG.format(home=home, http=self._port, rpc=free_port(), body_max=body_max), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    @property
    def cpu_s(self) -> float:
        """Processor time the server has used."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def start(self) -> None:
        """Start, and return once it answers."""
        with (self._home / "influxd.log").open("ab") as log:
            self._process = subprocess.Popen([self._binary, "run", "-config", str(self._config)], stdout=log, stderr=log)
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/ping", timeout=1):
                    return
            except OSError:
                assert self._process.poll() is None, (self._home / "influxd.log").read_text(encoding="utf-8")
                time.sleep(0.02)
        raise AssertionError(f"influxd did not answer within {_START_S:g} s")

    def kill(self) -> None:
        """Kill it as a power cut would, and return once it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def create(self, database: str) -> None:
        """Create a database; to a client of 2.x it is a bucket."""
        self.query(f'CREATE DATABASE "{database}"', method="POST")

    def query(self, influxql: str, database: str = "", method: str = "GET") -> list[dict[str, Any]]:
        """Run one InfluxQL statement and return its series (name, tags, columns, values; times in ns).

        Raises:
            AssertionError: the server answered with an error, in its words.
        """
        parameters = urllib.parse.urlencode({"q": influxql, "db": database, "epoch": "ns"})
        url, body = (f"{self.url}/query?{parameters}", None) if method == "GET" else (f"{self.url}/query", parameters.encode())
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data=body, method=method), timeout=30) as answer:
                result = json.load(answer)
        except urllib.error.HTTPError as exc:
            with exc:
                raise AssertionError(f"{influxql}: {exc.read().decode()}") from exc
        assert "error" not in result, f"{influxql}: {result}"
        assert "error" not in result["results"][0], f"{influxql}: {result['results'][0]['error']}"
        series: list[dict[str, Any]] = result["results"][0].get("series", [])
        return series

    def write(self, data: bytes, database: str) -> int:
        """Post lines as they are and return the status."""
        url = f"{self.url}/api/v2/write?org=test&bucket={database}&precision=ns"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data=data, method="POST"), timeout=30) as answer:
                status: int = answer.status
        except urllib.error.HTTPError as exc:
            exc.close()
            status = exc.code
        return status


@contextmanager
def influxd(home: Path, *, body_max: int = 25_000_000) -> Iterator[Influxd]:
    """Run a server from ``.servers/bin`` or the path; without one the test is skipped.

    Args:
        home: where it keeps its data.
        body_max: largest request it takes, bytes.
    """
    own = _ROOT / ".servers" / "bin" / "influxd"
    path = str(own) if os.access(own, os.X_OK) else shutil.which("influxd")
    require("influxd", "make servers", found=path is not None)
    assert path is not None
    server = Influxd(path, home, body_max)
    server.start()
    try:
        yield server
    finally:
        server.kill()
