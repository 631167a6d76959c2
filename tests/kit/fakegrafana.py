"""A server that answers as Grafana 12 does, as far as `gridfuse dashboards push` asks it, and remembers what it was asked.

The answers follow what Grafana 12.3.3 was seen to answer and its documented API: statuses, bodies, what it adds of its own (ids, versions,
provenance, defaults). No Grafana is to be had from a package registry, so this stands in for one; it keeps what it is given, so that
what is pushed twice can be seen to be changed once.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["TOKEN", "FakeGrafana", "HttpFace", "grafana"]

TOKEN = "glsa_secret"
Answer = tuple[int, Any]
Node = dict[str, Any]

NOT_FOUND: Answer = (404, {"message": "not found"})


class FakeGrafana:
    """What a Grafana keeps.

    Attributes:
        asked: every request, as (verb, path).
        refuse: answers some request otherwise: (verb, path) → answer.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.refuse: Callable[[str, str], Answer | None] = lambda verb, path: None
        self.sources: dict[str, Node] = {}
        self.folders: dict[str, Node] = {}
        self.dashboards: dict[str, Node] = {}
        self.contacts: dict[str, Node] = {}
        self.rules: dict[str, Node] = {}
        self.intervals: dict[tuple[str, str], int] = {}
        self.url = ""

    @property
    def changes(self) -> list[tuple[str, str]]:
        """The requests that change something."""
        return [each for each in self.asked if each[0] != "GET"]

    def answer(self, verb: str, path: str, body: Any, token: str) -> Answer:
        self.asked.append((verb, path))
        if token != f"Bearer {TOKEN}":
            return 401, {"message": "Invalid API key", "messageId": "api-key.invalid"}
        if (refused := self.refuse(verb, path)) is not None:
            return refused
        routes: list[tuple[str, str, Callable[..., Answer]]] = [
            ("GET|PUT", r"/datasources/uid/([^/]+)", self._source),
            ("POST", r"/datasources", self._source),
            ("GET|PUT", r"/folders/([^/]+)", self._folder),
            ("POST", r"/folders", self._folder),
            ("GET", r"/dashboards/uid/([^/]+)", self._dashboard),
            ("POST", r"/dashboards/db", self._dashboard),
            ("GET|POST", r"/v1/provisioning/contact-points", self._contact),
            ("PUT", r"/v1/provisioning/contact-points/([^/]+)", self._contact),
            ("GET|POST", r"/v1/provisioning/alert-rules", self._rule),
            ("PUT|DELETE", r"/v1/provisioning/alert-rules/([^/]+)", self._rule),
            ("GET|PUT", r"/v1/provisioning/folder/([^/]+)/rule-groups/([^/]+)", self._group),
        ]
        for verbs, pattern, serve in routes:
            if verb in verbs.split("|") and (found := re.fullmatch(f"/api{pattern}", path)):
                return serve(verb, body, *found.groups())
        return NOT_FOUND

    def _source(self, verb: str, body: Any, uid: str = "") -> Answer:
        if verb == "GET":
            return (200, self.sources[uid]) if uid in self.sources else NOT_FOUND
        if uid and self.sources[uid].get("readOnly"):
            return 403, {"message": "Cannot update read-only data source"}
        secrets = body.pop("secureJsonData", {})
        self.sources[body["uid"]] = {"readOnly": False, **body, "id": 1, "secureJsonFields": dict.fromkeys(secrets, True)}
        return 200, {"datasource": self.sources[body["uid"]], "id": 1, "message": "Datasource added", "name": body["name"]}

    def _folder(self, verb: str, body: Any, uid: str = "") -> Answer:
        if verb == "GET":
            return (200, self.folders[uid]) if uid in self.folders else (404, {"message": "folder not found"})
        uid = uid or body["uid"]
        if verb == "PUT" and not body.get("overwrite"):
            return 412, {"message": "the folder has been changed by someone else", "status": "version-mismatch"}
        self.folders[uid] = {"uid": uid, "title": body["title"], "version": 1}
        return 200, self.folders[uid]

    def _dashboard(self, verb: str, body: Any, uid: str = "") -> Answer:
        if verb == "GET":
            return (200, self.dashboards[uid]) if uid in self.dashboards else (404, {"message": "Dashboard not found"})
        dashboard, folder = body["dashboard"], body["folderUid"]
        uid = dashboard["uid"]
        if folder not in self.folders:
            return 400, {"message": "folder not found"}
        known = self.dashboards.get(uid)
        if known is not None and known["meta"]["provisioned"]:
            return 400, {"message": "Cannot save provisioned dashboard"}
        if known is not None and not body["overwrite"]:
            return 412, {"message": "The dashboard has been changed by someone else", "status": "version-mismatch"}
        version = 1 if known is None else known["dashboard"]["version"] + 1
        # A newer Grafana brings what it stores to the newest form.
        stored = {**dashboard, "id": 7, "version": version, "schemaVersion": 41, "fiscalYearStartMonth": 0}
        self.dashboards[uid] = {"dashboard": stored, "meta": {"folderUid": folder, "provisioned": False}}
        return 200, {"id": 7, "uid": uid, "status": "success", "version": version, "url": f"/d/{uid}"}

    def _contact(self, verb: str, body: Any, uid: str = "") -> Answer:
        if verb == "GET":
            return 200, list(self.contacts.values())
        uid = uid or body["uid"]
        self.contacts[uid] = {**body, "uid": uid, "provenance": "api"}
        return 202, (self.contacts[uid] if verb == "POST" else {"message": "contactpoint updated"})

    def _rule(self, verb: str, body: Any, uid: str = "") -> Answer:
        if verb == "GET":
            return 200, list(self.rules.values())
        if verb == "DELETE":
            del self.rules[uid]
            return 204, None
        if body["folderUID"] not in self.folders:
            return 400, {"message": "folder does not exist"}
        receiver = body.get("notification_settings", {}).get("receiver")
        if receiver is not None and receiver not in {point["name"] for point in self.contacts.values()}:
            return 400, {"message": f"receiver '{receiver}' does not exist"}
        self.intervals.setdefault((body["folderUID"], body["ruleGroup"]), 60)
        self.rules[body["uid"]] = {**body, "id": 3, "updated": "2026-11-23T00:00:00Z", "provenance": "api", "record": None}
        return (200 if uid else 201), self.rules[body["uid"]]

    def _group(self, verb: str, body: Any, folder: str, group: str) -> Answer:
        if (folder, group) not in self.intervals:
            return NOT_FOUND
        if verb == "PUT":
            self.intervals[folder, group] = body["interval"]
        rules = [rule for rule in self.rules.values() if (rule["folderUID"], rule["ruleGroup"]) == (folder, group)]
        return 200, {"title": group, "folderUid": folder, "interval": self.intervals[folder, group], "rules": rules}


@contextlib.contextmanager
def grafana() -> Iterator[FakeGrafana]:
    """Serve one on loopback."""
    kept = FakeGrafana()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, said = kept.answer(self.command, self.path, body, self.headers.get("Authorization", ""))
            data = b"" if said is None else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status != 204:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 (the names http.server looks for)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    kept.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()


class Refused(Exception):
    """An answer of 400 and above, as both libraries raise it."""

    def __init__(self, status_code: int, response: Any) -> None:
        super().__init__(f"Client Error {status_code}")
        self.status_code = status_code
        self.response = response


class HttpFace:
    """What both libraries have in common, straight onto the server's answers: no library and no connection is needed."""

    def __init__(self, kept: FakeGrafana, token: str = TOKEN) -> None:
        self._kept = kept
        self._token = token
        self.api = self.folder = self.dashboard = self.datasource = self

    def _ask(self, verb: str, path: str, json: Any = None) -> Any:
        # Through JSON, as on the wire: what is kept is no object of the caller's.
        status, said = self._kept.answer(verb, f"/api{path}", _copied(json), f"Bearer {self._token}")
        if status >= 400:
            raise Refused(status, said)
        if said is None:
            raise ValueError("Expecting value")  # as the older library does for an answer without a body
        return _copied(said)

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        return lambda path, json=None: self._ask(verb, path, json)

    def get_folder(self, uid: str) -> Any:
        return self._ask("GET", f"/folders/{uid}")

    def create_folder(self, title: str, uid: str) -> Any:
        return self._ask("POST", "/folders", {"title": title, "uid": uid})

    def update_folder(self, uid: str, title: str, overwrite: bool = False) -> Any:
        return self._ask("PUT", f"/folders/{uid}", {"title": title, "overwrite": overwrite})

    def get_dashboard(self, uid: str) -> Any:
        return self._ask("GET", f"/dashboards/uid/{uid}")

    def update_dashboard(self, body: Node) -> Any:
        return self._ask("POST", "/dashboards/db", body)

    def create_datasource(self, body: Node) -> Any:
        return self._ask("POST", "/datasources", body)


def _copied(content: Any) -> Any:
    return json.loads(json.dumps(content))
