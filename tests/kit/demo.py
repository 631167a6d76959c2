"""The demo as a process of its own, that can be watched and killed; and a webhook that remembers what it was told."""

from __future__ import annotations

import contextlib
import json
import re
import resource
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

__all__ = ["DemoProcess", "Hook", "webhook"]

_START_S = 60.0


class Hook:
    """What a webhook was told: (idempotency key, body) in order of arrival."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.told: list[tuple[str, dict[str, Any]]] = []

    def ids(self, name: str) -> set[str]:
        """Return the identities of all alerts of a name."""
        return {key for key, body in self.told if body["name"] == name}


@contextlib.contextmanager
def webhook() -> Iterator[Hook]:
    """Serve a webhook on loopback."""
    told: list[tuple[str, dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.append((self.headers["Idempotency-Key"], body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hook = Hook(f"http://127.0.0.1:{server.server_address[1]}/")
    hook.told = told
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()


class DemoProcess:
    """``gridfuse demo --headless --json`` in a data directory.

    Args:
        data: started there again it goes on.
        options: more options.
    """

    def __init__(self, data: Path, *options: str) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self._told = data / "terminal.txt"
        command = [sys.executable, "-m", "console.cli", "demo", "--headless", "--json", "--port", "0", "--data", str(data), *options]
        with self._told.open("wb") as told:
            # A terminal is no file: what limits the demo's files does not keep it from speaking.
            self._terminal = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=told)
        assert self._terminal.stdin is not None
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._terminal.stdin, cwd=Path(__file__).parents[2])
        self._terminal.stdin.close()
        self._url = ""

    @property
    def told(self) -> str:
        """What it wrote on the terminal so far."""
        return self._told.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
        """GET from its API, or POST ``body`` to it: status and text; 0 while it does not answer."""
        if self.ask("/health") is None:
            return 0, ""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._url + path, None if body is None else json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as exc:
            return exc.code, exc.read().decode()
        except OSError:
            return 0, ""

    def grant(self, file_bytes_max: int | None) -> None:
        """Let no file of it grow beyond a size (a disk or quota that is full), or lift that."""
        soft = resource.RLIM_INFINITY if file_bytes_max is None else file_bytes_max
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))

    def ask(self, path: str) -> Any:
        """GET from its API; None while it does not answer, or has nothing to tell yet."""
        if not self._url:
            found = re.search(r"live board: (http://\S+)/", self.told)
            if found is None:
                return None
            self._url = found[1]
        try:
            with urllib.request.urlopen(self._url + path, timeout=5) as reply:
                return json.load(reply)
        except (urllib.error.URLError, OSError):
            return None

    def event_ns(self) -> int:
        """Return the event time its breaker has reached; 0 before it tells."""
        view = self.ask("/api/breaker")
        return 0 if view is None else int(view["ts_event_ns"])

    def reaches(self, ts_ns: int) -> bool:
        """Wait until event time ``ts_ns``; False when the demo ended before."""
        end_s = time.monotonic() + _START_S
        last = 0
        while self.process.poll() is None:
            now_ns = self.event_ns()
            if now_ns >= ts_ns:
                return True
            if now_ns > last:
                last, end_s = now_ns, time.monotonic() + _START_S
            assert time.monotonic() < end_s, f"event time stands still at {last}: {self.told}"
            time.sleep(0.02)
        return False

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.ends()

    def ends(self, timeout_s: float = 60.0) -> int:
        """Wait until it ends, and return its exit code."""
        self.process.communicate(timeout=timeout_s)
        self._terminal.wait()
        return self.process.returncode

    def finish(self, timeout_s: float = 600.0, *, code: int = 0) -> dict[str, Any]:
        """Wait until it ends, by itself or because it was asked to, and return its summary."""
        out, _ = self.process.communicate(timeout=timeout_s)
        self._terminal.wait()
        assert self.process.returncode == code, self.told
        summary: dict[str, Any] = json.loads(out)
        return summary

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self.process.poll() is None:
            self.kill()
        self._terminal.wait()
