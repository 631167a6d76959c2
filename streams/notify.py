"""How does an alert get from the outbox to the people on call?

One task per channel takes what is due from the outbox (:mod:`streams.outbox`), at most 16 alerts at a time, sends each on its own
and records what came of it together with the next claim. So a channel that hangs holds up sixteen of its own alerts for at most its
timeout, and nobody else's at all; whatever waits, waits on disk. A failed attempt is made again after ever longer waits; after the
last one the alert is undeliverable by that channel, which is logged and stays in the record.

A webhook gets the alert as JSON with ``Idempotency-Key: <alert_id>``: a receiver that has seen the key has seen the alert.

Deliberately absent: routing, escalation and acknowledgement.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec

from market.errors import ConfigError, Problem
from market.units import NS_PER_MS, NS_PER_S
from streams.alerts import Alert
from streams.backoff import backoff_s
from streams.errors import SinkUnavailable
from streams.outbox import Attempt, Claim, DeliveryState, Outbox

__all__ = ["Channel", "ChannelStatus", "Dispatcher", "LogChannel", "RetryPolicy", "WebhookChannel"]

_IN_FLIGHT_MAX: Final = 16
_REPLY_BYTES_MAX: Final = 200
_STORE_RETRY_S: Final = 1.0
_NAP_MAX_S: Final = 60.0
"""Longest sleep with an alert waiting: bounds what a wall clock that is set does to it."""

_log = logging.getLogger(__name__)
_alerts_log = logging.getLogger("gridfuse.alerts")

_T = TypeVar("_T")


class Channel(Protocol):
    """One way to reach people."""

    @property
    def name(self) -> str:
        """What the outbox calls it; stable, or rows would wait for ever."""
        ...

    async def send(self, alert: Alert) -> str:
        """Deliver an alert and return the answer, for the record.

        Raises:
            SinkUnavailable: not delivered; it is worth trying again.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class LogChannel:
    """Writes each alert as one line of JSON to the logger ``gridfuse.alerts``."""

    name = "log"

    async def send(self, alert: Alert) -> str:
        """Log the alert."""
        where = {"channel": self.name, "alert_id": alert.alert_id, "alert": alert.name, "priority": alert.priority.name}
        _alerts_log.warning("%s", _line("alert", alert), extra=where)
        return "logged"

    async def close(self) -> None:
        """Nothing to let go of."""


class WebhookChannel:
    """Posts each alert as JSON; an answer of 200 to 299 within the time means that it was delivered.

    Args:
        name: channel name in the outbox.
        url: where to post.
        timeout_s: longest wait for the answer, connection included.

    Raises:
        ConfigError: not an http or https URL.
    """

    def __init__(self, url: str, name: str = "webhook", timeout_s: float = 5.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError([Problem(f"channel {name}", f"{url!r} is not an http or https URL")])
        self._name = name
        self._url = url
        self._where = f"{parts.scheme}://{parts.hostname}"
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    @property
    def name(self) -> str:
        """What the outbox calls it."""
        return self._name

    async def send(self, alert: Alert) -> str:
        """Post the alert.

        Raises:
            SinkUnavailable: no answer in time, or another one than yes.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._timeout_s))
        headers = {"Content-Type": "application/json", "Idempotency-Key": quote(alert.alert_id, safe="/:.,;=@+-_|~ ")}
        try:
            async with self._session.post(self._url, data=msgspec.json.encode(alert), headers=headers, allow_redirects=False) as answer:
                said = (await answer.content.read(_REPLY_BYTES_MAX)).decode(errors="replace")
                reply = f"{answer.status} {said}".rstrip()
        except TimeoutError as exc:
            raise SinkUnavailable(f"{self._where} did not answer within {self._timeout_s:g} s") from exc
        except aiohttp.ClientError as exc:
            raise SinkUnavailable(f"{self._where}: {type(exc).__name__}") from exc
        if not 200 <= answer.status < 300:
            raise SinkUnavailable(f"{self._where} answered {reply}")
        return reply

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When to try again, and when no more.

    Attributes:
        first_s: longest wait after the first failure, s; it doubles from failure to failure.
        max_s: longest wait ever, s.
        attempts_max: after this many failures the alert is undeliverable.
    """

    first_s: float = 1.0
    max_s: float = 300.0
    attempts_max: int = 12


@dataclass(slots=True)
class ChannelStatus:
    """What a channel has done since the dispatcher was made."""

    delivered: int = 0
    failed_attempts: int = 0
    undeliverable: int = 0
    in_flight: int = 0
    last_delay_ms: float = 0.0
    last_error: str = ""


class Dispatcher:
    """Delivers what is put, by every channel.

    Args:
        outbox: the only dispatcher of these rows; what an earlier one had claimed is sent again.
        channels: of different names.
        now_ns: the wall clock, UTC ns.
        spread: random numbers in [0, 1), which waits are spread by.
        attempted: told the channel and what came of an attempt, once that is on record; not told if the process dies in between.
    """

    def __init__(
        self,
        outbox: Outbox,
        channels: Sequence[Channel],
        policy: RetryPolicy | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        spread: Callable[[], float] = random.random,
        attempted: Callable[[str, Attempt], None] = lambda channel, attempt: None,
    ) -> None:
        self._outbox = outbox
        self._attempted = attempted
        self._channels = {channel.name: channel for channel in channels}
        assert len(self._channels) == len(channels), "two channels of one name would each get half of the alerts"
        self._policy = policy or RetryPolicy()
        self._now_ns = now_ns
        self._spread = spread
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox")
        self._wake = {name: asyncio.Event() for name in self._channels}
        self.status = {name: ChannelStatus() for name in self._channels}

    async def put(self, alert: Alert) -> bool:
        """Have an alert delivered by every channel; when this returns it will be, whatever happens to the process.

        Returns:
            Whether the alert was new.

        Raises:
            SinkUnavailable: it could not be recorded, and may not be delivered; put it again.
        """
        now_ns = self._now_ns()
        new = await self._in_thread(lambda: self._outbox.put(alert, tuple(self._channels), now_ns))
        for event in self._wake.values():
            event.set()
        return new > 0

    async def run(self) -> None:
        """Deliver until cancelled, beginning with what an earlier run left."""
        try:
            await self._reopen()
            async with asyncio.TaskGroup() as group:
                for channel in self._channels.values():
                    group.create_task(self._serve(channel), name=f"deliver {channel.name}")
        finally:
            for channel in self._channels.values():
                await channel.close()

    async def _reopen(self) -> None:
        while True:
            now_ns = self._now_ns()
            try:
                await self._in_thread(lambda: self._outbox.reopen(now_ns))  # noqa: B023
            except SinkUnavailable as exc:
                _log.warning("outbox: %s", exc)
                await asyncio.sleep(_STORE_RETRY_S)
            else:
                return

    def close(self) -> None:
        """Finish the commit under way; nothing can be put any more."""
        self._thread.shutdown()

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _serve(self, channel: Channel) -> None:
        """Keep one channel busy: record what is over, claim what is due, wait for either to change."""
        wake, status = self._wake[channel.name], self.status[channel.name]
        sending: set[asyncio.Task[Attempt]] = set()
        over: list[Attempt] = []
        waking = asyncio.create_task(wake.wait())
        try:
            while True:
                wake.clear()
                now_ns, slots = self._now_ns(), _IN_FLIGHT_MAX - len(sending)
                try:
                    turn = await self._in_thread(lambda: self._outbox.turn(channel.name, tuple(over), now_ns, slots))  # noqa: B023
                except SinkUnavailable as exc:
                    _log.warning("outbox: %s", exc, extra={"sink": "outbox", "channel": channel.name, "reason": str(exc)})
                    await asyncio.sleep(_STORE_RETRY_S)
                    continue
                for attempt in over:
                    self._account(channel.name, attempt)
                over.clear()
                sending |= {asyncio.create_task(self._attempt(channel, claim)) for claim in turn.claims}
                status.in_flight = len(sending)
                timeout_s = None
                if turn.next_due_ns is not None and len(sending) < _IN_FLIGHT_MAX:
                    timeout_s = min(max(0.0, (turn.next_due_ns - self._now_ns()) / NS_PER_S), _NAP_MAX_S)
                if waking.done():
                    waking = asyncio.create_task(wake.wait())
                done, _ = await asyncio.wait({*sending, waking}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
                over = [task.result() for task in sending & done]
                sending -= done
        finally:
            for task in (waking, *sending):
                task.cancel()
            await asyncio.gather(waking, *sending, return_exceptions=True)

    async def _attempt(self, channel: Channel, claim: Claim) -> Attempt:
        """Send one alert; whatever goes wrong in a channel is a failed attempt of that alert and nothing else."""
        began_s = time.monotonic()
        try:
            reply, delivered = await channel.send(claim.alert), True
        except SinkUnavailable as exc:
            reply, delivered = str(exc), False
        except Exception as exc:
            where = {"channel": channel.name, "alert_id": claim.alert.alert_id, "attempt": claim.attempt}
            _log.exception("channel %s failed on alert %s", channel.name, claim.alert.alert_id, extra=where)
            reply, delivered = f"{type(exc).__name__}: {exc}", False
        at_ns, latency_ms = self._now_ns(), (time.monotonic() - began_s) * 1_000
        due_ns = 0
        if delivered:
            state = DeliveryState.DELIVERED
        elif claim.attempt >= self._policy.attempts_max:
            state = DeliveryState.UNDELIVERABLE
        else:
            state = DeliveryState.WAITING
            wait_s = backoff_s(claim.attempt, self._policy.first_s, self._policy.max_s, self._spread())
            due_ns = at_ns + int(wait_s * NS_PER_S)
        return Attempt(claim=claim, state=state, at_ns=at_ns, latency_ms=latency_ms, reply=reply, due_ns=due_ns)

    def _account(self, channel: str, attempt: Attempt) -> None:
        self._attempted(channel, attempt)
        status = self.status[channel]
        if attempt.state is DeliveryState.DELIVERED:
            status.delivered += 1
            status.last_delay_ms = (attempt.at_ns - attempt.claim.put_ns) / NS_PER_MS
            return
        status.failed_attempts += 1
        status.last_error = attempt.reply
        if attempt.state is DeliveryState.UNDELIVERABLE:
            status.undeliverable += 1
            claim = attempt.claim
            line = _line("undeliverable", claim.alert, channel=channel, attempts=claim.attempt, why=attempt.reply)
            where = {"channel": channel, "alert_id": claim.alert.alert_id, "attempt": claim.attempt, "reason": attempt.reply}
            _alerts_log.error("%s", line, extra=where)


def _line(event: str, alert: Alert, **extra: str | int) -> str:
    """Write one structured line of log."""
    return json.dumps({"event": event, **msgspec.to_builtins(alert), **extra}, ensure_ascii=False)
