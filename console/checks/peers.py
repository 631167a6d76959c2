"""Do those answer that the service talks to, and does it answer itself?

Each peer is asked once and for seconds only. InfluxDB is asked whether it is there; whether it takes our token is seen by writing
only, which is not done. A webhook's port is connected to, and nothing is said.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from typing import Any, Final
from urllib.parse import urlsplit

from aiokafka.errors import KafkaError

from console.checks.check import Check, Level
from streams.settings import HttpModel
from streams.topics import TOPICS
from streams.transport.cluster import partitions_of, servers_of

__all__ = ["check_http", "check_influx", "check_kafka", "check_webhook"]

_TIMEOUT_S: Final = 5.0
_REPLY_BYTES_MAX: Final = 65_536

_direct: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks without a proxy, as the service does."""


def _get(url: str) -> tuple[int, bytes, Message]:
    """GET; returns the status, the beginning of the body and the headers.

    Raises:
        OSError: no answer.
    """
    try:
        with _direct.open(url, timeout=_TIMEOUT_S) as reply:
            return reply.status, reply.read(_REPLY_BYTES_MAX), reply.headers
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.read(_REPLY_BYTES_MAX), exc.headers


def _why(exc: OSError) -> str:
    reason = getattr(exc, "reason", exc)
    return str(getattr(reason, "strerror", None) or reason or type(exc).__name__)


def _object(body: bytes) -> dict[str, Any]:
    """Return a JSON object, an empty one for anything else."""
    try:
        data = json.loads(body)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


# ── Kafka ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_kafka(broker: str) -> Iterator[Check]:
    """Look at the broker: does it answer, and which of our topics does it list?

    Args:
        broker: ``kafka://host:port;host:port``, as the settings give it.
    """
    servers = servers_of(broker)
    # Else its words would stand on the terminal beside ours.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    try:
        partitions = asyncio.run(asyncio.wait_for(partitions_of(servers, _TIMEOUT_S), 3 * _TIMEOUT_S))
    except (KafkaError, OSError, TimeoutError) as exc:
        what = f"no broker answers at {', '.join(servers)}: {str(exc) or type(exc).__name__}"
        yield Check(name="kafka", level=Level.FAIL, what=what, remedy="start the broker, or correct `broker`")
        return
    facts: dict[str, int | str] = {"brokers": ",".join(servers), "topics": len(partitions)}
    yield Check(name="kafka", level=Level.OK, what=f"{', '.join(servers)} answers and lists {len(partitions)} topics", facts=facts)
    wrong = {topic.name: found for topic in TOPICS if (found := partitions.get(topic.name, topic.partitions)) != topic.partitions}
    missing = [topic.name for topic in TOPICS if topic.name not in partitions]
    for topic in TOPICS:
        if topic.name in wrong:
            what = f"{topic.name} has {wrong[topic.name]} partitions on the broker; {topic.partitions} are wanted"
            yield Check(name="topics", level=Level.FAIL, what=what, remedy="make it anew: keys would change partition")
    if missing:
        what = f"not on the broker: {', '.join(missing)}"
        yield Check(name="topics", level=Level.WARN, what=what, remedy="the next start makes them, where the broker lets it")
    elif not wrong:
        yield Check(name="topics", level=Level.OK, what=f"{len(TOPICS)} topics as declared")


# ── InfluxDB, the webhook ────────────────────────────────────────────────────────────────────────────────────────────


def check_influx(url: str) -> Iterator[Check]:
    """Look at InfluxDB: does it answer ``/ping`` or ``/health`` as InfluxDB does?"""
    base = url.rstrip("/")
    try:
        status, _, headers = _get(f"{base}/ping")
        version = headers.get("X-Influxdb-Version", "")
        if not version:
            status, body, _ = _get(f"{base}/health")
            health = _object(body)
            version = str(health.get("version") or "of an unnamed version") if health.get("name") == "influxdb" else ""
    except (OSError, ValueError) as exc:
        what = f"{url} does not answer: {_why(exc) if isinstance(exc, OSError) else exc}"
        yield Check(
            name="influx", level=Level.FAIL, what=what, remedy="start it, or correct `influx.url`; until then lines wait in the spool"
        )
        return
    if not version or status >= 500:
        what = f"{url} answers {status}, and not as a sound InfluxDB does"
        yield Check(name="influx", level=Level.WARN, what=what, remedy="see whether it is InfluxDB, a proxy or something else")
        return
    what = f"{url} answers, InfluxDB {version}; whether it takes the token shows when lines are sent"
    yield Check(name="influx", level=Level.OK, what=what, facts={"version": version})


def check_webhook(url: str) -> Iterator[Check]:
    """Look at the webhook: does its name resolve, does its port connect? Nothing is sent; the path may hold a secret and is not shown."""
    parts = urlsplit(url)
    host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
    remedy = "correct `webhook.url`, or let this machine reach it; until then alerts wait in the outbox"
    try:
        socket.create_connection((host, port), timeout=_TIMEOUT_S).close()
    except socket.gaierror as exc:
        yield Check(name="webhook", level=Level.FAIL, what=f"the name {host} does not resolve: {exc.strerror}", remedy=remedy)
    except OSError as exc:
        yield Check(name="webhook", level=Level.FAIL, what=f"{host} port {port} cannot be reached: {_why(exc)}", remedy=remedy)
    else:
        yield Check(name="webhook", level=Level.OK, what=f"{host} port {port} connects; nothing was sent")


# ── our own API ──────────────────────────────────────────────────────────────────────────────────────────────────────


def check_http(http: HttpModel, *, running: bool) -> Iterator[Check]:
    """Look at our own port: is it free for a start, or answered by the running service, and is that ready?

    Args:
        running: whether a service has the data directory.
    """
    if http.port == 0:
        level = Level.WARN if running else Level.OK
        remedy = "see /ready at the address that it wrote when it started" if running else ""
        what = "port 0: every start takes a free one" + (", so the running service cannot be asked" if running else "")
        yield Check(name="http", level=level, what=what, remedy=remedy)
        return
    where = f"port {http.port} on {http.host}"
    taken = _taken(http)
    if taken is None:
        if running:
            what, remedy = (
                f"a service runs, and nobody answers at {where}",
                "it was started with --port, or it is just starting or stopping",
            )
            yield Check(name="http", level=Level.WARN, what=what, remedy=remedy)
        else:
            yield Check(name="http", level=Level.OK, what=f"{where} is free; no service is running")
    elif taken.errno != errno.EADDRINUSE:
        remedy = "correct `http.host` and `http.port`"
        yield Check(name="http", level=Level.FAIL, what=f"{where} cannot be used: {_why(taken)}", remedy=remedy)
    else:
        yield from _answering(http, where, running=running)


def _taken(http: HttpModel) -> OSError | None:
    """Return why the port cannot be bound, None where it can. It is not listened at, so a service may start meanwhile."""
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((http.host, http.port))
        except OSError as exc:
            return exc
    return None


def _answering(http: HttpModel, where: str, *, running: bool) -> Iterator[Check]:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(http.host, http.host)  # noqa: S104
    base = f"http://[{host}]:{http.port}" if ":" in host else f"http://{host}:{http.port}"
    try:
        ours = _object(_get(f"{base}/health")[1]).get("status") in {"live", "failing"}
        ready = _object(_get(f"{base}/ready")[1]) if ours else {}
    except (OSError, ValueError):
        ours, ready = False, {}
    if not ours:
        remedy = "end that program, or choose another port with http.port"
        yield Check(name="http", level=Level.FAIL, what=f"{where} is taken, and not by a Gridfuse that answers", remedy=remedy)
        return
    if not running:
        remedy = "choose another port with http.port, or give the settings of the service that answers"
        yield Check(name="http", level=Level.FAIL, what=f"{where} is answered by a Gridfuse with another data directory", remedy=remedy)
        return
    yield Check(name="http", level=Level.OK, what=f"{where} is answered by the running service", facts={"url": base})
    missing = [str(one) for one in ready.get("missing", ())]
    if ready.get("status") == "ready":
        yield Check(name="ready", level=Level.OK, what="the running service is ready")
    else:
        what = f"the running service is not ready: {' | '.join(missing) or 'it does not say why'}"
        yield Check(name="ready", level=Level.WARN, what=what, remedy="do what it says; its log of messages says more")
