"""How is line protocol written to InfluxDB 1, 2 and 3, and what do their answers mean?

==== ==================================================================== ============================================================
api  address                                                              bucket is
==== ==================================================================== ============================================================
v2   ``/api/v2/write?org=&bucket=&precision=ns``, influxdb-client's own   a bucket; on 1.8 and later ``database/retention_policy``
v1   ``/write?db=&rp=&precision=ns``                                      ``database`` or ``database/retention_policy``
v3   ``/api/v3/write_lp?db=&precision=nanosecond&accept_partial=true``    a database
==== ==================================================================== ============================================================

An answer is one of four things: 204, a :class:`LinesRefused` (400, 413, 422: something in the body), a :class:`Refused` (the token,
the organisation, the bucket: a person must act), or a :class:`NotNow` (408, 429, 5xx, or no answer).

Deliberately absent: queries, retries, and what is to be sent when (:mod:`streams.influx`).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import aiohttp
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.rest import ApiException

from market.errors import ConfigError, Problem
from streams.backoff import retry_after_s
from streams.errors import SinkRejected, SinkUnavailable
from streams.sifting import Refusal

__all__ = ["SAID_MAX", "Api", "InfluxTarget", "InfluxWriter", "LinesRefused", "NotNow", "Refused", "said"]

SAID_MAX: Final = 500
"""Characters of a server's words that are shown to people."""

_ABOUT_THE_REQUEST: Final = re.compile(r"database is required|invalid precision|(organization|bucket) .*(required|not found|not provided)")
"""What a 400 may be about beside lines: then a person must act, and no line is to blame."""


class Api(StrEnum):
    """Which address of InfluxDB is written to."""

    V1 = "v1"
    V2 = "v2"
    V3 = "v3"


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxTarget:
    """Where to write.

    Attributes:
        url: as ``http://host:8086``.
        org: organisation; ignored by 1.x and 3 Core.
        bucket: bucket; for 1.x ``database`` or ``database/retention_policy``, for 3 a database.
        token_file: file that holds the token, read again whenever the server has refused it.
        token_env: else, name of the environment variable that holds it. Neither: no token is sent.
        api: which address is written to.
        gzip: whether bodies are compressed, for a server behind a slow line; costs more processor time than all the rest.
    """

    url: str
    org: str
    bucket: str
    token_file: Path | None = None
    token_env: str = ""
    api: Api = Api.V2
    gzip: bool = False

    def problems(self) -> Iterator[tuple[str, str]]:
        """Yield what cannot be right, as (which attribute, what and the remedy); nothing is connected to."""
        try:
            parts = urlsplit(self.url)
        except ValueError:  # brackets that do not close
            parts = urlsplit("")
        if "@" in self.url:  # and it is not said which: addresses are shown in messages and logs
            yield "url", "holds a user or a password; give them as `token_file` or `token_env`, to v1 as user:password"
        elif parts.scheme not in ("http", "https") or not parts.hostname or not _has_port(parts):
            yield "url", f"{self.url!r} is no address of InfluxDB; write it as http://host:8086"
        elif parts.query or parts.fragment or "/write" in parts.path:
            yield "url", f"{self.url!r} names a path of its own; write http://host:8086, the write address follows from `api`"
        pieces = self.bucket.split("/")
        if not all(pieces):
            yield "bucket", f"{self.bucket!r} names nothing; write a name, or for 1.x database/retention_policy"
        elif len(pieces) > 2 and self.api is Api.V1:
            yield "bucket", f"{self.bucket!r} has two slashes; v1 takes `database` or `database/retention_policy`"
        elif self.api is Api.V3 and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_/-]*", self.bucket):
            yield "bucket", f"{self.bucket!r} is no database of v3: letters, digits, _ and -, beginning with a letter or a digit"
        elif self.api is Api.V2 and self.bucket.startswith("_"):
            yield "bucket", f"{self.bucket!r} begins with _, which InfluxDB keeps for itself; choose another"

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
            except UnicodeDecodeError:
                text = "\n"
            return _token_of(text, str(self.token_file))
        if not self.token_env:
            return ""
        if not (text := os.environ.get(self.token_env, "").strip()):
            raise ConfigError([Problem(f"environment variable {self.token_env}", "is not set; it should hold the InfluxDB token")])
        return _token_of(text, f"environment variable {self.token_env}")

    @property
    def where(self) -> str:
        """What is written to, for people."""
        name = f"bucket {self.bucket!r}" if self.api is Api.V2 else f"database {self.bucket!r}"
        return f"org {self.org!r}, {name} at {self.url}" if self.api is Api.V2 else f"{name} at {self.url} ({self.api})"


def _has_port(parts: SplitResult) -> bool:
    """Whether the port of an address is one, or none is named."""
    try:
        return parts.port != 0
    except ValueError:
        return False


def _token_of(text: str, place: str) -> str:
    """Return a token that a request can bear; what it holds is not shown."""
    if not text:
        raise ConfigError([Problem(place, "is empty; write the InfluxDB token into it")])
    if not text.isprintable():
        raise ConfigError([Problem(place, "holds no InfluxDB token; write it as one line of text, and nothing else")])
    return text


class Refused(SinkRejected):
    """The server will not take anything from us as we are configured."""


class LinesRefused(SinkRejected):
    """Something in this body is wrong, or it is too large."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(f"{refusal.status}: {refusal.said[:SAID_MAX]}")


class NotNow(SinkUnavailable):
    """The server does not answer, or has no time.

    Attributes:
        wait_s: how long it asks us to wait, None where it does not say.
        about_this: whether it may be this body that it cannot cope with, so that others are worth trying.
    """

    def __init__(self, message: str, wait_s: float | None = None, *, about_this: bool = False) -> None:
        self.wait_s, self.about_this = wait_s, about_this
        super().__init__(message)


class InfluxWriter:
    """Writes bodies to one target; connects when it is first used.

    Args:
        timeout_s: longest wait for an answer.
    """

    def __init__(self, target: InfluxTarget, timeout_s: float) -> None:
        self.target = target
        self._timeout_s = timeout_s
        self._client: InfluxDBClientAsync | None = None
        self._session: aiohttp.ClientSession | None = None

    async def write(self, body: bytes) -> None:
        """Write one body; returns when the server has said that it has all of it.

        Raises:
            LinesRefused: something in it is wrong, or it is too large.
            Refused: the token, organisation or bucket is wrong, or whoever answers is no InfluxDB.
            NotNow: the server does not answer, or has no time.
            ConfigError: the token that is configured cannot be read.
        """
        if self.target.gzip:
            body = await asyncio.to_thread(_gzipped, body)
        try:
            if self.target.api is Api.V2:
                status = await self._by_client(body)
            else:
                status = await self._by_session(body)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            what = f"InfluxDB at {self.target.url} does not answer: {str(exc) or type(exc).__name__}"
            raise NotNow(what, about_this=isinstance(exc, TimeoutError)) from exc
        except Refused:
            await self.close()
            raise
        if status not in (201, 204):
            await self.close()
            raise Refused(f"{self.target.url} says yes, but not as InfluxDB does (204): is it a proxy or a login page?")

    async def _by_client(self, body: bytes) -> int:
        if self._client is None:
            token, certificates = await asyncio.to_thread(self.target.token), await _certificates(self.target)
            self._client = InfluxDBClientAsync(
                url=self.target.url,
                token=token,
                org=self.target.org,
                timeout=int(self._timeout_s * 1_000),
                ssl_context=certificates,
            )
            if self.target.gzip:
                self._client.api_client.set_default_header("Content-Encoding", "gzip")
        try:
            stored = await self._client.write_api().write(bucket=self.target.bucket, org=self.target.org, record=body)
        except ApiException as exc:
            words = exc.body if exc.body is not None else exc.reason
            raise self._answered(exc.status or 0, words, exc.headers or {}) from exc
        return 204 if stored else 200

    async def _by_session(self, body: bytes) -> int:
        if self._session is None:
            headers = {"Content-Type": "text/plain; charset=utf-8"}
            if token := await asyncio.to_thread(self.target.token):
                headers["Authorization"] = f"{'Bearer' if self.target.api is Api.V3 else 'Token'} {token}"
            if self.target.gzip:
                headers["Content-Encoding"] = "gzip"
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=await _certificates(self.target)),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                headers=headers,
            )
        address, query = _address(self.target)
        async with self._session.post(address, params=query, data=body) as answer:
            words = await answer.read()
            if not 200 <= answer.status <= 299:
                raise self._answered(answer.status, words, answer.headers)
            # Some releases of 3 Core say 200 and nothing more.
            return 204 if self.target.api is Api.V3 and not words else answer.status

    def _answered(self, status: int, body: bytes | str | None, headers: Mapping[str, str]) -> Exception:
        """Return what an answer that is no yes means."""
        raw = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
        words = said(raw)
        brief = words[:SAID_MAX]
        if status in {413, 422} or (status == 400 and not _ABOUT_THE_REQUEST.search(words)):
            return LinesRefused(Refusal(status, words, _line_numbers(raw)))
        # 1.x says with a 500 that there is no such retention policy.
        if (status in {408, 429} or status >= 500) and "retention policy not found" not in words:
            wait_s = retry_after_s(headers.get("Retry-After"), time.time())
            return NotNow(f"InfluxDB at {self.target.url} answered {status}: {brief}", wait_s, about_this=status not in {429, 503})
        remedy = "check the token, the organisation and the bucket; `gridfuse influx prepare` makes a bucket that is missing"
        return Refused(f"InfluxDB refuses {self.target.where}: {status} {brief}; {remedy}")

    async def close(self) -> None:
        """Let go of the connection; the next write opens another, with the token read afresh."""
        client, self._client = self._client, None
        session, self._session = self._session, None
        if client is not None:
            await client.close()
        if session is not None:
            await session.close()


def _address(target: InfluxTarget) -> tuple[str, dict[str, str]]:
    base = target.url.rstrip("/")
    if target.api is Api.V3:
        return f"{base}/api/v3/write_lp", {"db": target.bucket, "precision": "nanosecond", "accept_partial": "true"}
    database, _, policy = target.bucket.partition("/")
    return f"{base}/write", {"db": database, **({"rp": policy} if policy else {}), "precision": "ns"}


async def _certificates(target: InfluxTarget) -> ssl.SSLContext:
    """Return what servers are judged by."""
    if not target.url.startswith("https"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never asked
    # Loading the machine's certificates takes tens of milliseconds, so it is not left to the client, which does it in the loop.
    return await asyncio.to_thread(ssl.create_default_context)


def _gzipped(body: bytes) -> bytes:
    packer = zlib.compressobj(1, wbits=31)
    return packer.compress(body) + packer.flush()


def said(raw: str) -> str:
    """Return the server's own words, whichever version it is.

    >>> said('{"error":"partial write of line protocol occurred","data":[{"error_message":"no fields","line_number":2}]}')
    'partial write of line protocol occurred: line 2: no fields'
    """
    body = _parsed(raw)
    if not isinstance(body, dict):
        return raw.strip()
    words = str(body.get("message") or body.get("error") or raw).strip()
    lines = [f"line {each.get('line_number')}: {each.get('error_message')}" for each in _listed(body)]
    return f"{words}: {'; '.join(lines)}" if lines else words


def _line_numbers(raw: str) -> tuple[int, ...]:
    """Return places in the body that InfluxDB 3 numbers from 1."""
    numbers = [each.get("line_number") for each in _listed(_parsed(raw))]
    return tuple(number - 1 for number in numbers if isinstance(number, int) and number > 0)


def _parsed(raw: str) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


def _listed(body: Any) -> list[dict[str, Any]]:
    data = body.get("data") if isinstance(body, dict) else None
    found = data if isinstance(data, list) else [data]
    return [each for each in found if isinstance(each, dict)]
