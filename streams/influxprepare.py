"""Is the bucket there that lines go to, and does it keep them for as long as it should?

What is missing is made, where the token allows it; what is there is never changed: a shorter retention would delete. Where something
cannot be done, or is otherwise than configured, the answer is the command that a person may run.

Which language is spoken follows from what the server says it is: InfluxQL for 1.x, the buckets API for 2.x, databases for 3 (that one by
its documentation; no such server was at hand).
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, Final

from streams.errors import SinkRejected, SinkUnavailable
from streams.influxapi import Api, InfluxTarget, said
from streams.influxfile import Bucket

__all__ = ["prepare"]

_TIMEOUT_S: Final = 10.0
_DURATION: Final = re.compile(r"(\d+)h(\d+)m(\d+)s")


def prepare(bucket: Bucket) -> str:
    """Make a bucket that is not there; returns what was found or done, for people.

    Raises:
        SinkUnavailable: the server does not answer.
        SinkRejected: a person must do it, or change what is configured; the message says with which command.
        ConfigError: the token that is configured cannot be read.
    """
    target = bucket.target
    by: dict[Api, Callable[[Bucket], str]] = {Api.V1: _by_influxql, Api.V2: _by_buckets, Api.V3: _by_databases}
    return by[_kind(target)](bucket)


def _kind(target: InfluxTarget) -> Api:
    """Return which of the three a server is; what is configured, where it does not say."""
    _, _, headers = _ask(target, "GET", "/ping")
    version = {name.lower(): value for name, value in headers.items()}.get("x-influxdb-version", "").lstrip("v")
    said_so = {"1": Api.V1, "2": Api.V2, "3": Api.V3}.get(version[:1])
    if said_so is None and target.api is Api.V2 and _ask(target, "GET", "/api/v2/orgs")[0] == 404:
        return Api.V1  # built without a version; it answers the write address of 2.x, and no other
    return said_so or target.api


def _keep_text(keep_s: int | None) -> str:
    return "for ever" if keep_s is None else f"for {keep_s // 3_600} h"


def _otherwise(bucket: Bucket, keeps_s: int | None, command: str) -> SinkRejected:
    name, url = bucket.target.bucket, bucket.target.url
    what = f"{name!r} at {url} is there and keeps {_keep_text(keeps_s)}, configured is {_keep_text(bucket.keep_s)}"
    return SinkRejected(f"{what}; change the settings, or run: {command}")


def _is_there(bucket: Bucket) -> str:
    return f"{bucket.target.bucket!r} at {bucket.target.url} is there and keeps lines {_keep_text(bucket.keep_s)}"


def _made(bucket: Bucket) -> str:
    return f"{bucket.target.bucket!r} at {bucket.target.url} was made and keeps lines {_keep_text(bucket.keep_s)}"


# ── 1.x ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _by_influxql(bucket: Bucket) -> str:
    database, _, policy = bucket.target.bucket.partition("/")
    quoted = database.replace('"', '\\"')
    made = False
    hours = "INF" if bucket.keep_s is None else f"{bucket.keep_s // 3_600}h"
    if database not in [row["name"] for row in _query(bucket.target, "SHOW DATABASES")]:
        _query(bucket.target, f'CREATE DATABASE "{quoted}"' + ("" if policy else f" WITH DURATION {hours} REPLICATION 1"))
        made = True
    found = _query(bucket.target, f'SHOW RETENTION POLICIES ON "{quoted}"')
    policies = {row["name"]: (_duration_s(row["duration"]), row["default"]) for row in found}
    if policy and policy not in policies:
        _query(bucket.target, f'CREATE RETENTION POLICY "{policy}" ON "{quoted}" DURATION {hours} REPLICATION 1')
        return _made(bucket)
    chosen = ((name, keeps_s) for name, (keeps_s, default) in policies.items() if name == policy or (default and not policy))
    name, keeps_s = next(chosen, ("", None))
    if not name:
        command = f'CREATE RETENTION POLICY "gridfuse" ON "{quoted}" DURATION {hours} REPLICATION 1 DEFAULT'
        raise SinkRejected(f"{database!r} at {bucket.target.url} has no default retention policy; run in the influx shell: {command}")
    if keeps_s != bucket.keep_s:
        raise _otherwise(bucket, keeps_s, f'ALTER RETENTION POLICY "{name}" ON "{quoted}" DURATION {hours}   (in the influx shell)')
    return _made(bucket) if made else _is_there(bucket)


def _duration_s(text: str) -> int | None:
    """Read a duration as 1.x writes it, ``720h0m0s``; none, which is for ever, where it is zero."""
    found = _DURATION.fullmatch(text)
    hours, minutes, seconds = map(int, found.groups()) if found else (0, 0, 0)
    return hours * 3_600 + minutes * 60 + seconds or None


def _query(target: InfluxTarget, influxql: str) -> list[dict[str, Any]]:
    """Return the rows of an answer, each by the names of its columns: later releases have more of them."""
    status, body, _ = _ask(target, "POST", "/query", {"q": influxql})
    result = (body.get("results") or [{}])[0] if isinstance(body, dict) else {}
    if status != 200 or "error" in result:
        words = result.get("error") or said(json.dumps(body))
        raise SinkRejected(f"InfluxDB at {target.url} answers {status} {words}; run in the influx shell, as an administrator: {influxql}")
    return [dict(zip(series["columns"], row, strict=True)) for series in result.get("series", ()) for row in series.get("values", ())]


# ── 2.x ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _by_buckets(bucket: Bucket) -> str:
    target = bucket.target
    keep = "" if bucket.keep_s is None else f" --retention {bucket.keep_s // 3_600}h"
    command = f"influx bucket create --name {target.bucket} --org {target.org}{keep}"
    status, body, _ = _ask(target, "GET", "/api/v2/buckets", {"org": target.org, "name": target.bucket})
    found = [each for each in (body or {}).get("buckets", ()) if each.get("name") == target.bucket] if status == 200 else []
    if found:
        rules = [rule.get("everySeconds", 0) for rule in found[0].get("retentionRules", ())]
        keeps_s = (rules[0] if rules else 0) or None
        if keeps_s != bucket.keep_s:
            raise _otherwise(
                bucket, keeps_s, f"influx bucket update --id {found[0].get('id')} --retention {(bucket.keep_s or 0) // 3_600}h"
            )
        return _is_there(bucket)
    if status not in (200, 404):
        raise SinkRejected(f"InfluxDB at {target.url} answers {status} {said(json.dumps(body))}; see to the token, or run: {command}")
    status, body, _ = _ask(target, "GET", "/api/v2/orgs", {"org": target.org})
    orgs = (body or {}).get("orgs", ()) if status == 200 else ()
    if not orgs:
        raise SinkRejected(f"InfluxDB at {target.url} shows no organisation {target.org!r} to this token; see to `org`, or run: {command}")
    rules = [] if bucket.keep_s is None else [{"type": "expire", "everySeconds": bucket.keep_s}]
    wanted = {"orgID": orgs[0]["id"], "name": target.bucket, "retentionRules": rules}
    status, body, _ = _ask(target, "POST", "/api/v2/buckets", payload=wanted)
    if status != 201:
        words = said(json.dumps(body))
        raise SinkRejected(f"InfluxDB at {target.url} answers {status} {words}; the token may not make buckets, so run: {command}")
    return _made(bucket)


# ── 3 ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _by_databases(bucket: Bucket) -> str:
    target = bucket.target
    keep = {} if bucket.keep_s is None else {"retention_period": f"{bucket.keep_s // 3_600}h"}
    status, body, _ = _ask(target, "POST", "/api/v3/configure/database", payload={"db": target.bucket, **keep})
    if status == 409:
        return f"{target.bucket!r} at {target.url} is there; how long it keeps lines was settled when it was made"
    if status not in (200, 201, 204):
        period = f" --retention-period {bucket.keep_s // 3_600}h" if bucket.keep_s is not None else ""
        command = f"influxdb3 create database{period} {target.bucket}"
        raise SinkRejected(f"InfluxDB at {target.url} answers {status} {said(json.dumps(body))}; run with an admin token: {command}")
    return _made(bucket)


def _ask(
    target: InfluxTarget, method: str, path: str, query: dict[str, str] | None = None, payload: dict[str, Any] | None = None
) -> tuple[int, Any, dict[str, str]]:
    """Ask; returns status, body, headers."""
    address = target.url.rstrip("/") + path + ("?" + urllib.parse.urlencode(query) if query else "")
    headers = {"Accept": "application/json"} | ({} if payload is None else {"Content-Type": "application/json"})
    if token := target.token():
        headers["Authorization"] = f"{'Bearer' if target.api is Api.V3 else 'Token'} {token}"
    data = None if payload is None else json.dumps(payload).encode()
    request = urllib.request.Request(address, data, headers, method=method)  # noqa: S310  the scheme was checked with the settings
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            return answer.status, _read(answer.read()), dict(answer.headers)
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, _read(exc.read()), dict(exc.headers)
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "reason", exc)
        raise SinkUnavailable(f"InfluxDB at {target.url} does not answer: {reason}; start it, or correct `influx.url`") from exc


def _read(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace").strip() or None
