"""Is the server there, is its subscription alive, and what is done when it is not?

A session is judged by the age of its last publish, keep-alives included, because nothing else proves that data would come: a
server that was stopped and woken, or lost the subscription, can leave a connection that looks healthy and is mute. Every keep-alive
has a known latest time; the steps follow in multiples of it:

==========================  ====================================================================
age of the last publish     what is done
==========================  ====================================================================
up to 2 keep-alives         nothing
above 2                     the device is reported; its publish loop is started again if it died
above 4                     every point is published bad; connection, session and subscription are
                            built anew
==========================  ====================================================================

Built anew means a new client: namespaces and paths are looked up again, every item is created again, and the server reports every
value again. asyncua's own reconnection is not used: it can end connected with a publish loop that is dead.

A server that is polled (:mod:`ingest.opcua.poll`) needs none of this: a reading that is not answered says the same at once.

What was missed between two sessions is asked for from the server's history, where the device wants that
(:mod:`ingest.opcua.backfill`), once the live values flow; also where another process of ours had the one before
(:mod:`ingest.opcua.received`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from asyncua import Client, ua
from asyncua.client.ua_client import UaClientState

from ingest.backoff import Backoff
from ingest.clock import Clock
from ingest.devices import Point, UaDevice
from ingest.errors import DeviceRefused, DeviceSilent
from ingest.opcua.backfill import Backfill
from ingest.opcua.heed import heed_cancellation
from ingest.opcua.limits import Limits, read_limits
from ingest.opcua.nodes import NodeBook
from ingest.opcua.poll import Polling
from ingest.opcua.received import Received
from ingest.opcua.samples import Samples
from ingest.opcua.security import SecureClient, dressed, refusal
from ingest.opcua.subscribe import Subscription
from ingest.quality import BAD_NO_COMMUNICATION
from ingest.source import Source
from market.errors import UnitError

__all__ = ["UaSession"]

_LATE: Final = 2
_DEAD: Final = 4
_LATE_MIN_S: Final = 1.0
_DEAD_MIN_S: Final = 4.0
"""Floors under both limits: a keep-alive of milliseconds, at a fast simulated clock, must not make a busy machine look dead."""

_LOOK_S: Final = 0.25
_MISSING_S: Final = 5.0
_SESSION_TIMEOUT_MS: Final = 60_000
_GOODBYE_S: Final = 0.5
_BACKOFF_MAX_S: Final = 3.0
"""Short, so that a server has its data flowing within ten seconds of its return, handshake timeout included."""

_INTEGERS: Final = {
    kind: (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    for kind, bits, signed in (
        (ua.VariantType.SByte, 8, True),
        (ua.VariantType.Byte, 8, False),
        (ua.VariantType.Int16, 16, True),
        (ua.VariantType.UInt16, 16, False),
        (ua.VariantType.Int32, 32, True),
        (ua.VariantType.UInt32, 32, False),
        (ua.VariantType.Int64, 64, True),
        (ua.VariantType.UInt64, 64, False),
    )
}
"""Least and greatest value of each integer type a node may hold."""

_LOST: Final = (OSError, TimeoutError, ua.UaError, DeviceSilent)


def _quieten_asyncua() -> None:
    """Leave asyncua's log to what is wrong; the ends of connections are reported here, once each, and not by its client too."""
    logging.getLogger("asyncua").setLevel(logging.WARNING)
    logging.getLogger("asyncua.client").setLevel(logging.CRITICAL)


class UaSession:
    """Keeps one server subscribed for as long as :meth:`run` runs.

    Args:
        memory: directory in which is kept what was received, where gaps are filled in; None to forget it with the process.
        has_left: says whether everything that was published has left this process.
    """

    def __init__(
        self, device: UaDevice, source: Source, clock: Clock, memory: Path | None = None, has_left: Callable[[], bool] = lambda: True
    ) -> None:
        _quieten_asyncua()
        self._device = device
        self._source = source
        self._samples = Samples(device, source, clock)
        self._nodes = NodeBook(device, self._samples)
        self._subscription = Subscription(device, self._nodes, self._samples, source, clock)
        self._polling = Polling(device, self._nodes, self._samples, source, clock) if device.is_polled else None
        gaps, reach_ns = self._samples.gaps, device.backfill_ns
        self._backfill = None if gaps is None or reach_ns is None else Backfill(device, self._nodes, self._samples, gaps, source, reach_ns)
        self._received = None if gaps is None or memory is None else Received(device, gaps, memory, has_left)
        self._row_of_point = {point.name: row for row, point in enumerate(device.points)}
        self._backoff = Backoff(longest_s=_BACKOFF_MAX_S, speed=clock.speed)
        self._client: Client | None = None
        self._connections = 0
        self._is_denied = False

    async def run(self) -> None:
        """Stay subscribed until cancelled."""
        keeping = None if self._received is None else asyncio.create_task(self._received.run(), name=f"received-{self._device.name}")
        try:
            while True:
                heed_cancellation()
                await self._serve()
                heed_cancellation()
                await asyncio.sleep(self._backoff.failed())
        finally:
            if keeping is not None:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)

    async def write(self, point: Point, value: float) -> None:
        """Write a set-point, once.

        Raises:
            UnitError: the value cannot be written to this point.
            DeviceSilent: it is not known whether the server took it.
            DeviceRefused: it did not.
        """
        raw = point.raw(value)
        client, node = self._client, self._nodes[self._row_of_point[point.name]]
        if client is None or node is None:
            raise DeviceSilent(f"{self._device.name}: not connected, or without the node of {point.name}")
        session = client.uaclient.session
        try:
            [current] = await session.read_attributes([node], ua.AttributeIds.Value)
            written = ua.DataValue(_variant(point, raw, current.Value))
            [status] = await session.write_attributes([node], [written])
        except _LOST as exc:
            raise DeviceSilent(f"{self._device.name}: {point.name} may not have been written: {_said(exc)}") from None
        if not status.is_good():
            raise DeviceRefused(f"{self._device.name}: {point.name} was not written: {status.name}", status.value)

    async def _serve(self) -> None:
        """Connect, subscribe, and return once that has come to an end."""
        client = SecureClient(self._device.url, timeout=self._device.timeout_s, watchdog_intervall=_DEAD_MIN_S)
        client.name = client.description = "Gridfuse ingest"
        client.session_timeout = _SESSION_TIMEOUT_MS
        helpers: list[asyncio.Task[None]] = []
        try:
            await dressed(client, self._device)
            await client.connect()
            limits = await self._open(client)
            self._client = client
            self._is_denied = False
            self._connections += 1
            if self._connections > 1:
                self._source.reconnects += 1
            session = client.uaclient.session
            if self._backfill is not None:
                helpers.append(asyncio.create_task(self._backfill.run(session, limits), name=f"backfill-{self._device.name}"))
            if self._polling is not None:
                await self._polling.run(session, limits, self._backoff.succeeded)
            else:
                await self._watch(client)
        except _LOST as exc:
            self._source.unavailable(refusal(exc, self._device) or _said(exc))
            if not self._is_denied:
                self._is_denied = True
                self._samples.deny(slice(None), BAD_NO_COMMUNICATION)
        finally:
            self._client = None
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await _say_goodbye(client)

    async def _open(self, client: Client) -> Limits:
        """Look the server over, and subscribe to its points where they are not polled."""
        session = client.uaclient.session
        if self._samples.gaps is not None:
            self._samples.gaps.opened()
        namespaces = await client.get_namespace_array()
        limits = await read_limits(session)
        await self._nodes.open(session, namespaces, limits)
        if self._polling is None:
            await self._subscription.open(session, limits)
        return limits

    async def _watch(self, client: Client) -> None:
        """Return never; raise once the session has to be built anew.

        Raises:
            DeviceSilent: with the reason.
        """
        subscription = self._subscription
        late_s = max(_LATE * subscription.keep_alive_s, _LATE_MIN_S)
        dead_s = max(_DEAD * subscription.keep_alive_s, _DEAD_MIN_S)
        looks_per_retry = round(_MISSING_S / _LOOK_S)
        is_late, looks = False, 0
        lost = self._source.dropped.total()
        while True:
            heed_cancellation()
            await asyncio.sleep(_LOOK_S)
            if self._source.dropped.total() != lost:
                # A server does not repeat a value that was lost on our way; a new subscription reports them all.
                raise DeviceSilent("values were lost in a queue that was full")
            age_s = subscription.age_s
            if client.state is not UaClientState.CONNECTED:
                raise DeviceSilent("the connection was lost")
            if subscription.ended is not None:
                raise DeviceSilent(subscription.ended)
            if age_s > dead_s:
                raise DeviceSilent(f"no publish for {age_s:.1f} s")
            if age_s > late_s and not is_late:
                self._source.unavailable(f"no publish for {age_s:.1f} s")
                self._source.kicks += 1
                client.uaclient.ensure_publish_loop()
            is_late = age_s > late_s
            if not is_late:
                self._backoff.succeeded()
            looks += 1
            if looks % looks_per_retry == 0 and not is_late:
                await subscription.add_missing()


async def _say_goodbye(client: Client) -> None:
    """Close a session politely if the server listens, and at any rate."""
    try:
        async with asyncio.timeout(_GOODBYE_S):
            await client.disconnect()
    except _LOST:
        client.disconnect_socket()


def _variant(point: Point, raw: float, current: Any) -> ua.Variant:
    """Return a raw value as the type the node holds now.

    Raises:
        UnitError: the node holds no number, or none as large.
    """
    kind = None if current is None else current.VariantType
    if kind is None:
        raise UnitError(f"{point.name}: its node holds nothing yet, so that the type to write is not known")
    if kind in (ua.VariantType.Float, ua.VariantType.Double):
        return ua.Variant(raw, kind)
    if kind is ua.VariantType.Boolean and raw in (0, 1):
        return ua.Variant(raw == 1, kind)
    if kind in _INTEGERS:
        low, high = _INTEGERS[kind]
        if not low <= round(raw) <= high:
            raise UnitError(f"{point.name}: {raw:g} does not fit the {kind.name} its node holds")
        return ua.Variant(round(raw), kind)
    raise UnitError(f"{point.name}: {raw:g} cannot be written to a node that holds a {kind.name}")


def _said(exc: BaseException) -> str:
    return str(exc) or type(exc).__name__
