"""How does what is in the spool reach InfluxDB, once each and all of it?

One flusher reads the spool from the place that was last acknowledged, sends at most 5,000 lines or 1 MB as one request through
influxdb-client, and acknowledges after the server has said yes. Nothing else acknowledges, so whatever kills the process or the server
costs a repetition, and the same line sent twice is stored once.

What the server answers decides:

=====================  =========================================================================================================
204                    acknowledged
400, 422               a line is refused: halve until it stands alone, put it into the dead-letter file with the server's words
413                    too large: halve
401, 403, 404, others  token, organisation or bucket is wrong: raise the alarm, ask again every minute with the token read afresh
408, 429, 5xx, none    not now: wait and try again, as long as ``Retry-After`` says, else ever longer
=====================  =========================================================================================================

Meanwhile the spool goes on filling; nobody who appends to it notices.

The library's own batching is not used: it keeps what it has not sent in memory and drops it when the server refuses, when five
retries have failed, and when the process ends.

Deliberately absent: encoding, queries, and compression (the server is on the same machine or the same segment).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import aiohttp
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.rest import ApiException

from market.errors import ConfigError, Problem
from market.units import instant_text
from streams.backoff import backoff_s, retry_after_s
from streams.errors import SinkError, SinkRejected, SinkUnavailable
from streams.segments import lines_of
from streams.spool import Spool

__all__ = ["FlushPace", "FlushState", "FlushStatus", "Flusher", "InfluxTarget", "said"]

_DEAD_LETTERS_BYTES_MAX: Final = 16 << 20
_SAID_MAX: Final = 500
_RETRY_AFTER_MAX_S: Final = 3_600.0
"""A server that asks for more than an hour is asked again all the same."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxTarget:
    """Where to write.

    Attributes:
        url: as ``http://host:8086``.
        org: organisation; ignored by 1.x and 3 Core.
        bucket: bucket; for 1.x ``database`` or ``database/retention_policy``.
        token_file: file that holds the token, read again whenever the server has refused it.
        token_env: else, name of the environment variable that holds it. Neither: no token is sent.
    """

    url: str
    org: str
    bucket: str
    token_file: Path | None = None
    token_env: str = ""

    def token(self) -> str:
        """Return the token, or an empty one where none is configured.

        Raises:
            ConfigError: the file or variable named holds none.
        """
        if self.token_file is not None:
            try:
                text = self.token_file.read_text(encoding="utf-8").strip()
            except OSError as exc:
                raise ConfigError([Problem(str(self.token_file), f"InfluxDB token cannot be read: {exc.strerror}")]) from exc
            if not text:
                raise ConfigError([Problem(str(self.token_file), "is empty; write the InfluxDB token into it")])
            return text
        if not self.token_env:
            return ""
        if not (text := os.environ.get(self.token_env, "").strip()):
            raise ConfigError([Problem(f"environment variable {self.token_env}", "is not set; it should hold the InfluxDB token")])
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushPace:
    """How fast to go, s.

    Attributes:
        idle_s: how long lines may gather into one request.
        first_s: longest wait after the first failure.
        max_s: longest wait between two attempts, unless the server asks for a longer one.
        refused_s: wait after the server has refused the token, organisation or bucket.
        timeout_s: longest wait for an answer.
    """

    idle_s: float = 0.25
    first_s: float = 1.0
    max_s: float = 60.0
    refused_s: float = 60.0
    timeout_s: float = 10.0


class FlushState(StrEnum):
    """Whether lines go through."""

    OK = "ok"
    WAITING = "waiting"
    """The server does not answer or has no time; trying again."""
    REFUSED = "refused"
    """The server refuses the token, organisation or bucket; a person must act."""


@dataclass(slots=True, kw_only=True)
class FlushStatus:
    """What has happened since the flusher was made; counts only grow.

    Attributes:
        alarm: what a person must do, or empty.
        last_error: the latest failure in the server's words, kept after it is over.
        attempts: failures in a row, 0 while lines go through.
    """

    state: FlushState = FlushState.OK
    alarm: str = ""
    last_error: str = ""
    attempts: int = 0
    requests: int = 0
    lines_sent: int = 0
    bytes_sent: int = 0
    lines_rejected: int = 0
    retries: int = 0

    def as_data(self) -> dict[str, Any]:
        """Return the status as plain data, for the board and for metrics."""
        return asdict(self)


class _Refused(SinkRejected):
    """The server will not take anything from us as we are configured."""


class _LineRefused(SinkRejected):
    """Something in this body is wrong, or it is too large."""

    def __init__(self, status: int, said: str) -> None:
        self.status, self.said = status, said
        super().__init__(f"{status}: {said}")


class _NotNow(SinkUnavailable):
    def __init__(self, message: str, wait_s: float | None) -> None:
        self.wait_s = wait_s
        super().__init__(message)


class Flusher:
    """Sends what is in a spool to InfluxDB.

    Args:
        spool: read and acknowledged from here only.
        target: where to write.
        pace: how fast.
        spread: random numbers in [0, 1), which waits are spread by.

    Raises:
        ConfigError: the token that is configured cannot be read.
    """

    def __init__(
        self, spool: Spool, target: InfluxTarget, pace: FlushPace | None = None, spread: Callable[[], float] = random.random
    ) -> None:
        self._spool = spool
        self._target = target
        self._pace = pace or FlushPace()
        self._spread = spread
        self._client: InfluxDBClientAsync | None = None
        self._status = FlushStatus()
        self.dead_letters = spool.directory / "dead_letters.jsonl"
        target.token()

    @property
    def status(self) -> FlushStatus:
        """What has happened so far."""
        return self._status

    async def run(self) -> None:
        """Send until cancelled; failures of the server never end it."""
        try:
            while True:
                if not await self._step(patient=True):
                    await asyncio.sleep(self._pace.idle_s)
        finally:
            await self._disconnect()

    async def drain(self) -> None:
        """Send everything that is in the spool, and return.

        Raises:
            SinkUnavailable: the server did not take it; what it took is acknowledged.
            SinkRejected: the server refuses the token, organisation or bucket.
        """
        try:
            while await self._step(patient=False):
                pass
        finally:
            await self._disconnect()

    async def _step(self, *, patient: bool) -> bool:
        """Send and acknowledge one chunk; False where there is none."""
        chunk = await asyncio.to_thread(self._spool.read, self._spool.acked)
        if chunk is None:
            return False
        pieces = [chunk.data] if chunk.data else []
        while pieces:
            piece = pieces.pop()
            try:
                await self._send(piece, patient=patient)
            except _LineRefused as refusal:
                lines = lines_of(piece)
                if len(lines) == 1:
                    await asyncio.to_thread(self._bury, lines[0], refusal)
                else:
                    half = len(lines) // 2
                    pieces += [b"".join(lines[half:]), b"".join(lines[:half])]
        try:
            await asyncio.to_thread(self._spool.ack, chunk.end)
        except SinkUnavailable as exc:
            # The place is known to this process; a restart would send some lines again, which stores nothing twice.
            _log.warning("%s", exc, extra={"sink": "influx", "place": chunk.end})
        return True

    async def _send(self, piece: bytes, *, patient: bool) -> None:
        """Send one body until the server has decided about it."""
        while True:
            try:
                await self._post(piece)
            except (_Refused, _NotNow, ConfigError) as exc:
                self._failed(exc)
                if not patient:
                    raise
                await asyncio.sleep(self._wait_s(exc))
            else:
                self._succeeded(piece)
                return

    async def _post(self, piece: bytes) -> None:
        try:
            if self._client is None:
                self._client = await self._connect()
            self._status.requests += 1
            stored = await self._client.write_api().write(bucket=self._target.bucket, org=self._target.org, record=piece)
        except ApiException as exc:
            status, words = exc.status or 0, said(exc)
            if status in {400, 413, 422}:
                raise _LineRefused(status, words) from exc
            if status in {408, 429} or status >= 500:
                header = exc.headers.get("Retry-After") if exc.headers else None
                raise _NotNow(f"InfluxDB at {self._target.url} answered {status}: {words}", retry_after_s(header, time.time())) from exc
            await self._disconnect()
            where = f"org {self._target.org!r}, bucket {self._target.bucket!r} at {self._target.url}"
            raise _Refused(f"InfluxDB refuses {where}: {status} {words}; check the token, the organisation and the bucket") from exc
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise _NotNow(f"InfluxDB at {self._target.url} does not answer: {str(exc) or type(exc).__name__}", None) from exc
        if not stored:
            await self._disconnect()
            raise _Refused(f"{self._target.url} says yes, but not as InfluxDB does (204): is it a proxy or a login page?")

    async def _connect(self) -> InfluxDBClientAsync:
        token = await asyncio.to_thread(self._target.token)
        # Loading the machine's certificates takes tens of milliseconds, so it is not left to the client, which does it in the loop.
        certificates = await asyncio.to_thread(ssl.create_default_context)
        timeout_ms = int(self._pace.timeout_s * 1_000)
        return InfluxDBClientAsync(url=self._target.url, token=token, org=self._target.org, timeout=timeout_ms, ssl_context=certificates)

    def _wait_s(self, exc: Exception) -> float:
        if not isinstance(exc, _NotNow):
            return self._pace.refused_s
        if exc.wait_s is not None:
            return min(exc.wait_s, _RETRY_AFTER_MAX_S)
        return backoff_s(self._status.attempts, self._pace.first_s, self._pace.max_s, self._spread())

    def _failed(self, exc: SinkError | ConfigError) -> None:
        state = FlushState.WAITING if isinstance(exc, _NotNow) else FlushState.REFUSED
        if state is not self._status.state:
            where = {"sink": "influx", "state": state.value, "url": self._target.url, "reason": str(exc)}
            _log.warning("%s; lines stay in the spool %s", exc, self._spool.directory, extra=where)
        self._status.state = state
        self._status.alarm = str(exc) if state is FlushState.REFUSED else ""
        self._status.last_error = str(exc)
        self._status.attempts += 1
        self._status.retries += 1

    def _succeeded(self, piece: bytes) -> None:
        if self._status.state is not FlushState.OK:
            where = {"sink": "influx", "state": FlushState.OK.value, "url": self._target.url, "attempts": self._status.attempts}
            _log.warning("InfluxDB at %s takes lines again, after %d attempts", self._target.url, self._status.attempts, extra=where)
        self._status.state, self._status.alarm, self._status.attempts = FlushState.OK, "", 0
        self._status.lines_sent += piece.count(b"\n")
        self._status.bytes_sent += len(piece)

    def _bury(self, line: bytes, refusal: _LineRefused) -> None:
        """Keep a line the server will never take, with its words, for a person to look at."""
        self._status.lines_rejected += 1
        self._status.last_error = str(refusal)
        letter = {
            "at": instant_text(time.time_ns()),
            "status": refusal.status,
            "said": refusal.said,
            "line": line.decode(errors="backslashreplace").rstrip("\n"),
        }
        if self.dead_letters.exists() and self.dead_letters.stat().st_size > _DEAD_LETTERS_BYTES_MAX:
            self.dead_letters.replace(self.dead_letters.with_suffix(".1.jsonl"))
        with self.dead_letters.open("a", encoding="utf-8") as file:
            file.write(json.dumps(letter, ensure_ascii=False) + "\n")

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()


def said(exc: ApiException) -> str:
    """Return the server's own words, whichever version it is."""
    raw = exc.body.decode(errors="replace") if isinstance(exc.body, bytes) else str(exc.body or exc.reason or "")
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    words = (body.get("message") or body.get("error") or raw) if isinstance(body, dict) else raw
    return str(words).strip()[:_SAID_MAX]
