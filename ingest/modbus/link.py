"""How does a request get its answer, or the reason there is none, as soon as either is known?

A link is one TCP connection to one address, opened when it is first needed and again, after a back-off, when it was lost. Devices
behind the same address share it. One request is in flight at a time; the others wait their turn in order.

A reply is taken only if :func:`ingest.modbus.frames.judge` finds that it answers the request; every other one is counted against
the device that asked last. A peer that closes wakes whoever waits at once. After a few timeouts in a row the connection is given
up, because a peer that was switched off without a goodbye leaves one that looks open for ever.

Absent on purpose: retries (the next period is the retry, and a write is never repeated blindly), pipelining, TLS and serial lines.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from ingest.backoff import Backoff
from ingest.errors import DeviceRefused, DeviceSilent
from ingest.modbus.frames import EXCEPTION_NAMES, Adu, Exceptional, Good, Refusal, Request, Splitter, encode_adu, judge
from ingest.source import Source

__all__ = ["ModbusLink"]

_CONNECT_TIMEOUT_S: Final = 3.0
_SILENCES_MAX: Final = 3
"""Timeouts in a row, over all devices of the link, after which the connection is given up."""


class ModbusLink:
    """The connection to one address.

    Args:
        speed: event seconds per wall second; shortens the longest back-off.
    """

    def __init__(self, host: str, port: int, speed: float = 1.0) -> None:
        self._host = host
        self._port = port
        self._turn = asyncio.Lock()
        self._backoff = Backoff(speed=speed)
        self._wire: _Wire | None = None
        self._silences = 0
        self._connections = 0

    @property
    def is_open(self) -> bool:
        """Whether there is a connection now."""
        return self._wire is not None and self._wire.is_open

    async def exchange(self, request: Request, source: Source, timeout_s: float) -> bytes:
        """Send a request and return the data of its reply, empty for a write.

        Args:
            source: the device that asks; refusals are counted against it.
            timeout_s: wall seconds to wait for the reply, once it is this request's turn.

        Raises:
            DeviceSilent: no connection, no reply in time, or a reply that does not answer the request.
            DeviceRefused: the device answered with an exception.
        """
        async with self._turn:
            wire = self._wire if self._wire is not None and self._wire.is_open else await self._open(source)
            try:
                verdict = await wire.ask(request, source, timeout_s)
            except TimeoutError:
                self._silences += 1
                if self._silences >= _SILENCES_MAX:
                    wire.abort()
                raise DeviceSilent(f"{source.name}: no reply within {timeout_s:g} s") from None
            except ConnectionError as exc:
                if not wire.was_answered:
                    self._backoff.failed()
                raise DeviceSilent(f"{source.name}: {exc}") from None
        self._silences = 0
        self._backoff.succeeded()
        match verdict:
            case Good(data):
                return data
            case Exceptional(code):
                what = EXCEPTION_NAMES.get(code, "of the device's own")
                raise DeviceRefused(f"{source.name}: exception {code}, {what}", code)
            case refused:
                raise DeviceSilent(f"{source.name}: the reply does not answer the request ({refused})")

    async def _open(self, source: Source) -> _Wire:
        where = f"{self._host}:{self._port}"
        self._wire = None
        if (left_s := self._backoff.left_s) > 0:
            raise DeviceSilent(f"{source.name}: no connection to {where}; next try in {left_s:.1f} s")
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                _, wire = await asyncio.get_running_loop().create_connection(_Wire, self._host, self._port)
        except TimeoutError:
            self._backoff.failed()
            raise DeviceSilent(f"{source.name}: {where} did not take the connection in {_CONNECT_TIMEOUT_S:g} s") from None
        except OSError as exc:
            self._backoff.failed()
            raise DeviceSilent(f"{source.name}: no connection to {where}: {exc.strerror or exc}") from None
        self._wire = wire
        self._silences = 0
        self._connections += 1
        if self._connections > 1:
            source.reconnects += 1
        return wire

    def close(self) -> None:
        """Give up the connection; whoever waits is woken."""
        if self._wire is not None:
            self._wire.abort()
            self._wire = None


class _Wire(asyncio.Protocol):
    """One connection, from connect to close."""

    def __init__(self) -> None:
        self.is_open = False
        self.was_answered = False
        self._transport: asyncio.Transport | None = None
        self._splitter = Splitter()
        self._transaction = 0
        self._request: Request | None = None
        self._waiter: asyncio.Future[Good | Exceptional | Refusal] | None = None
        self._asker: Source | None = None

    async def ask(self, request: Request, source: Source, timeout_s: float) -> Good | Exceptional | Refusal:
        """Send a request and wait for what becomes of it.

        Raises:
            TimeoutError: nothing came.
            ConnectionError: the connection closed.
        """
        if self._transport is None or not self.is_open:
            raise ConnectionResetError("the connection closed")
        loop = asyncio.get_running_loop()
        self._transaction = (self._transaction + 1) & 0xFFFF
        waiter: asyncio.Future[Good | Exceptional | Refusal] = loop.create_future()
        self._request, self._waiter, self._asker = request, waiter, source
        timer = loop.call_later(timeout_s, _expire, waiter)
        self._transport.write(encode_adu(self._transaction, request.unit, request.pdu))
        try:
            return await waiter
        finally:
            timer.cancel()
            self._request = self._waiter = None

    def abort(self) -> None:
        """Close without ceremony."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._transport = transport
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        for reply in self._splitter.feed(data):
            self._take(reply)
        if self._splitter.lost is not None:
            self._refuse(self._splitter.lost, f"not a Modbus/TCP header in {data[:16].hex(' ')}")
            self._wake(ConnectionAbortedError(f"closed by us: the stream lost its frames ({self._splitter.lost})"))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._wake(ConnectionResetError("the peer closed the connection" if exc is None else f"the connection broke: {exc}"))

    def _take(self, reply: Adu) -> None:
        if self._request is None or self._waiter is None or self._waiter.done():
            self._refuse(Refusal.UNASKED, f"a reply to transaction {reply.transaction}, which nobody waits for")
            return
        verdict = judge(self._request, self._transaction, reply)
        if isinstance(verdict, Good | Exceptional):
            self.was_answered = True
            self._waiter.set_result(verdict)
            return
        self._refuse(verdict.reason, f"asked unit {self._request.unit} for {self._request.pdu.hex(' ')}, got {reply}")
        if verdict.is_ours:
            self._waiter.set_result(verdict.reason)

    def _refuse(self, reason: Refusal, detail: str) -> None:
        if self._asker is not None:
            self._asker.refuse(reason, detail)

    def _wake(self, exc: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(exc)


def _expire(waiter: asyncio.Future[Good | Exceptional | Refusal]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())
