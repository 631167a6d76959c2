"""``gridfuse dashboards push``: how do dashboards and alert rules get into a Grafana whose files one cannot reach?

Files are the usual way (``dashboards/grafana/provisioning``). Where Grafana belongs to somebody else, this brings the same things there
through its API, by uid: data source, folders, dashboards, contact point, alert rules. It can be run again at any time: what is there
already as it should be is left alone, what differs is replaced, and every step says which. What Grafana has from files of its own
cannot be changed through the API and is left alone too.

The policy tree is never touched, because it would replace the routes of everybody else: rules name their contact point themselves, if
one is given. Rules of our group that are no more are removed; nothing else ever is.

Deliberately absent: reading anything back from Grafana, and accounts; a token of a service account is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from dashboards.alerting import CONTACT_POINT, DATASOURCE_UID, EVERY_S, FOLDER, GROUP, contact_point, rule_group
from dashboards.board import LANGUAGES
from dashboards.build import rendered
from dashboards.grafanalink import Link, PushError, Transport, connect
from dashboards.watchdog import RT_INTERVAL_MIN

__all__ = ["GridGrafana", "main"]

_RULES: Final = "/v1/provisioning/alert-rules"
_CONTACTS: Final = "/v1/provisioning/contact-points"
_FOLDER_UID: Final = "gridfuse-watchdog"
_TOKEN: Final = "GRAFANA_TOKEN"  # noqa: S105 (the names of variables)
_INFLUX_TOKEN: Final = "INFLUX_TOKEN"  # noqa: S105
_GIVEN_BY_GRAFANA: Final = frozenset({"id", "version", "schemaVersion"})
"""Of a dashboard: it numbers what it stores, and may bring it to a newer form."""

_Node = dict[str, Any]


class GridGrafana:
    """Brings things to a Grafana, and says of each what it did.

    Args:
        transport: a library's object (:func:`dashboards.grafanalink.connect`).
        where: Grafana's URL, for people.
        dry_run: only say what would be done.
        say: takes each line.

    Every method raises :class:`~dashboards.grafanalink.PushError` where Grafana does not do as asked.
    """

    def __init__(
        self, transport: Transport, where: str = "Grafana", *, dry_run: bool = False, say: Callable[[str], object] = print
    ) -> None:
        self._link = Link(transport, where)
        self._face = transport
        self._dry_run = dry_run
        self._say = say
        self.changed = 0
        """Things that were made, replaced or removed, or would be."""

    def data_source(self, url: str, database: str, token: str) -> None:
        """Have the data source that all queries name ask this InfluxDB; without a URL it must be there already.

        A token that Grafana has cannot be read back, so a given one is always set.
        """
        what = f"data source {DATASOURCE_UID}"
        path = f"/datasources/uid/{DATASOURCE_UID}"
        found = self._link.get(what, path)
        if not url:
            if found is None:
                raise PushError(f"{what} is not there; give --influx-url, and the token with --influx-token-file or {_INFLUX_TOKEN}")
            self._say(f"{what}: left as it is")
            return
        wanted = _data_source(url, database, token)
        if found is None:
            self._change(f"{what}: made", lambda: self._link.do(what, lambda: self._face.datasource.create_datasource(wanted)))
        elif found.get("readOnly"):
            self._say(f"{what}: left alone, it comes from a file")
        elif token or not _within(wanted, found):
            self._change(f"{what}: replaced", lambda: self._link.send(what, "PUT", path, wanted))
        else:
            self._say(f"{what}: as it should be")

    def folder(self, uid: str, title: str) -> None:
        """Have a folder of this title under this uid."""
        what, folders = f"folder {title}", self._face.folder
        found = self._link.find(what, lambda: folders.get_folder(uid))
        if found is None:
            self._change(f"{what}: made", lambda: self._link.do(what, lambda: folders.create_folder(title, uid)))
        elif found["title"] != title:
            renamed = f"{what}: renamed from {found['title']}"
            self._change(renamed, lambda: self._link.do(what, lambda: folders.update_folder(uid, title, overwrite=True)))
        else:
            self._say(f"{what}: as it should be")

    def dashboard(self, folder_uid: str, dashboard: _Node) -> None:
        """Have a dashboard in a folder, as it is rendered."""
        what, dashboards = f"dashboard {dashboard['uid']}", self._face.dashboard
        found = self._link.find(what, lambda: dashboards.get_dashboard(dashboard["uid"]))
        ours = {name: value for name, value in dashboard.items() if name not in _GIVEN_BY_GRAFANA}
        if found is not None and found["meta"].get("provisioned"):
            self._say(f"{what}: left alone, it comes from a file")
            return
        if found is not None and found["meta"].get("folderUid") == folder_uid and _within(ours, found["dashboard"]):
            self._say(f"{what}: as it should be")
            return
        body = {"dashboard": dashboard, "folderUid": folder_uid, "overwrite": True, "message": "gridfuse dashboards push"}
        done = f"{what}: {'made' if found is None else 'replaced'}"
        self._change(done, lambda: self._link.do(what, lambda: dashboards.update_dashboard(body)))

    def contact(self, kind: str, to: str) -> None:
        """Have the contact point that rules name: ``kind`` and address as :func:`dashboards.alerting.contact_point` takes them."""
        what = f"contact point {CONTACT_POINT}"
        (wanted,) = contact_point(kind, to)["receivers"]
        wanted = {"name": CONTACT_POINT, **wanted}
        found = next((each for each in self._link.get(what, _CONTACTS) or () if each["uid"] == CONTACT_POINT), None)
        if found is None:
            self._change(f"{what}: made", lambda: self._link.send(what, "POST", _CONTACTS, wanted))
        elif found.get("provenance") == "file":
            self._say(f"{what}: left alone, it comes from a file")
        elif not _within(wanted, found):
            self._change(f"{what}: replaced", lambda: self._link.send(what, "PUT", f"{_CONTACTS}/{CONTACT_POINT}", wanted))
        else:
            self._say(f"{what}: as it should be")

    def rules(self, rt_interval_min: int = RT_INTERVAL_MIN, *, receiver: str = "") -> None:
        """Have the watchdog's rules, in a folder of their own; they call ``receiver``, or whom the policy tree says."""
        self.folder(_FOLDER_UID, FOLDER)
        there = {rule["uid"]: rule for rule in self._link.get("alert rules", _RULES) or ()}
        wanted = [_rule(rule, receiver) for rule in rule_group(rt_interval_min)["rules"]]
        for rule in wanted:
            self._rule(rule, there.get(rule["uid"]))
        ours = {rule["uid"] for rule in wanted}
        for uid, rule in there.items():
            if uid not in ours and (rule["folderUID"], rule["ruleGroup"]) == (_FOLDER_UID, GROUP):
                self._remove(uid)
        self._pace()

    def _remove(self, uid: str) -> None:
        what = f"alert rule {uid}"
        self._change(f"{what}: removed", lambda: self._link.send(what, "DELETE", f"{_RULES}/{uid}"))

    def _rule(self, rule: _Node, found: _Node | None) -> None:
        what = f"alert rule {rule['uid']}"
        if found is None:
            self._change(f"{what}: made", lambda: self._link.send(what, "POST", _RULES, rule))
        elif found.get("provenance") == "file":
            self._say(f"{what}: left alone, it comes from a file")
        elif not _within(rule, found):
            self._change(f"{what}: replaced", lambda: self._link.send(what, "PUT", f"{_RULES}/{rule['uid']}", rule))
        else:
            self._say(f"{what}: as it should be")

    def _pace(self) -> None:
        """Have the group looked at as often as it should be; a rule that is made brings a group of another pace with it."""
        what, path = f"group {GROUP}", f"/v1/provisioning/folder/{_FOLDER_UID}/rule-groups/{GROUP}"
        found = self._link.get(what, path)
        if found is not None and found["interval"] != EVERY_S:
            self._change(f"{what}: every {EVERY_S} s", lambda: self._link.send(what, "PUT", path, found | {"interval": EVERY_S}))

    def _change(self, done: str, change: Callable[[], object]) -> None:
        self.changed += 1
        if self._dry_run:
            self._say(f"would be: {done}")
            return
        change()
        self._say(done)


def _data_source(url: str, database: str, token: str) -> _Node:
    """Return what ``provisioning/datasources/gridfuse.yaml`` says, for this server."""
    wanted: _Node = {
        "uid": DATASOURCE_UID,
        "name": "Gridfuse",
        "type": "influxdb",
        "access": "proxy",
        "url": url,
        "jsonData": {"version": "InfluxQL", "dbName": database, "httpMode": "POST", "timeInterval": "1s"},
    }
    if token:
        wanted["jsonData"]["httpHeaderName1"] = "Authorization"
        wanted["secureJsonData"] = {"httpHeaderValue1": f"Token {token}"}
    return wanted


def _rule(rule: _Node, receiver: str) -> _Node:
    """Return a rule of a file as the API takes it; the two differ in what they call things."""
    renamed = {"dashboardUid", "panelId", "keepFiringFor"}
    linked = {"__dashboardUid__": rule["dashboardUid"], "__panelId__": str(rule["panelId"])}
    asked = {
        **{name: value for name, value in rule.items() if name not in renamed},
        "orgID": 1,
        "folderUID": _FOLDER_UID,
        "ruleGroup": GROUP,
        "keep_firing_for": rule["keepFiringFor"],
        "annotations": {**rule["annotations"], **linked},
    }
    return asked | ({"notification_settings": {"receiver": receiver}} if receiver else {})


def _within(ours: Any, theirs: Any) -> bool:
    """Whether Grafana has what we want; what it adds of its own is no difference."""
    if isinstance(ours, dict):
        return isinstance(theirs, dict) and all(name in theirs and _within(value, theirs[name]) for name, value in ours.items())
    if isinstance(ours, list):
        same = isinstance(theirs, list) and len(ours) == len(theirs)
        return same and all(_within(one, other) for one, other in zip(ours, theirs, strict=True))
    return bool(ours == theirs)


def _secret(file: Path | None, variable: str) -> str:
    """Return a secret from a file or the environment, or nothing.

    Raises:
        PushError: the file cannot be read, or holds nothing.
    """
    if file is None:
        return os.environ.get(variable, "").strip()
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise PushError(f"{file} cannot be read ({exc.strerror}); it should hold the token and nothing else") from exc
    if not secret:
        raise PushError(f"{file} is empty; it should hold the token and nothing else")
    return secret


def _boards(directory: Path | None) -> dict[str, list[tuple[str, _Node]]]:
    """Return the boards of each language, each with the name of its folder: the demonstration's, or those in a directory.

    Raises:
        PushError: there are none, or a file holds none.
    """
    if directory is None:
        return {language: [(place.partition("/")[0], board) for place, board in rendered(language).items()] for language in LANGUAGES}
    found: dict[str, list[tuple[str, _Node]]] = {}
    for path in sorted(path for language in LANGUAGES for path in (directory / language).glob("*/*.json")):
        try:
            board = json.loads(path.read_text(encoding="utf-8"))
            found.setdefault(path.parts[-3], []).append((path.parent.name, {"uid": board["uid"], **board}))
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise PushError(f"{path} holds no dashboard ({type(exc).__name__}); build them again") from exc
    if not found:
        what = f"{directory} holds no dashboards; make them with: gridfuse dashboards build --network SETTINGS --output {directory}"
        raise PushError(what)
    return found


def _shown(url: str) -> str:
    """Return an address without a password that may stand in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _push(told: argparse.Namespace) -> int:
    boards_of = _boards(told.boards)
    token = _secret(told.token_file, _TOKEN)
    if not token:
        raise PushError(f"no token; make one for a service account of role Admin, and give it with --token-file or {_TOKEN}")
    if bool(told.via) != bool(told.to):
        raise PushError("--via and --to go together: how to call somebody, and whom")
    grafana = GridGrafana(connect(told.url, token), _shown(told.url), dry_run=told.dry_run, say=lambda line: sys.stdout.write(f"{line}\n"))
    grafana.data_source(told.influx_url, told.database, _secret(told.influx_token_file, _INFLUX_TOKEN) if told.influx_url else "")
    for language, boards in boards_of.items():
        # A folder's name begins with its level.
        uids = {folder: f"gridfuse-{folder.partition('-')[0].lower()}-{language}" for folder, _ in boards}
        for folder, uid in uids.items():
            grafana.folder(uid, folder)
        for folder, dashboard in boards:
            grafana.dashboard(uids[folder], dashboard)
    if told.via:
        grafana.contact(told.via, told.to)
    grafana.rules(told.rt_interval_min, receiver=CONTACT_POINT if told.via else "")
    sys.stdout.write(f"{grafana.changed} {'would be changed' if told.dry_run else 'changed'}\n")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Push; return the exit code: 0 when everything is there, 1 where something could not be done."""
    parser = argparse.ArgumentParser(prog="gridfuse dashboards push", description="Bring dashboards and alert rules to a Grafana.")
    parser.add_argument("--url", default="http://localhost:3000", help="Grafana's address (default: %(default)s)")
    parser.add_argument("--token-file", type=Path, help=f"file with the token of a service account of role Admin; or {_TOKEN}")
    parser.add_argument("--influx-url", default="", help="InfluxDB as Grafana reaches it; by default the data source stays as it is")
    parser.add_argument("--influx-token-file", type=Path, help=f"file with a token that may read there; or {_INFLUX_TOKEN}")
    parser.add_argument("--database", default="grid", help="bucket or database (default: %(default)s)")
    parser.add_argument("--via", choices=("webhook", "prometheus-alertmanager", "email"), help="how the watchdog's rules call somebody")
    parser.add_argument("--to", default="", help="URL or addresses for --via; by default Grafana's own policies say whom")
    parser.add_argument("--boards", type=Path, help="push those of `dashboards build --network … --output DIR`, not the demonstration's")
    parser.add_argument(
        "--rt-interval-min", type=int, default=RT_INTERVAL_MIN, help="length of a real-time interval (default: %(default)s)"
    )
    parser.add_argument("--dry-run", action="store_true", help="change nothing; say what would be done")
    try:
        return _push(parser.parse_args(arguments))
    except PushError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
