"""What do devices say that dial in to us, name themselves, and write their registers?

A device behind a mobile operator's network cannot be reached; it connects to us, sends a registration line with its name, and then
pushes: Modbus/TCP frames that write registers (function 16 or 6), to which we answer as a slave would. What it wrote is published
as one frame per write, marked PUSHED, with the time of the device's own clock register where its map has one and this write holds
it, else with ours.

Whatever arrives, only the socket it came on is affected: an unknown name, a name already connected, an address outside the map, a
stream that is no Modbus, a peer that sends and does not read. Each is counted, and logged the first time. A device that stays
silent for three of a point's periods has that point published bad, once and then every period; a socket silent as long is taken
for half-open and closed, so that the device can dial in again.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import time
from typing import Final

import numpy as np

from ingest.clock import Clock
from ingest.devices import Kind, PushDevice
from ingest.frame import point_id
from ingest.modbus.companions import Companions, companion_spans
from ingest.modbus.decode import BlockDecoder, integer_at, spans_of
from ingest.modbus.frames import Adu, ExceptionCode, Refusal, Splitter, Written, encode_adu, exception_pdu, parse_write, written_pdu
from ingest.modbus.plan import Block
from ingest.points import STALE_PERIODS
from ingest.quality import BAD_NO_COMMUNICATION, Flag
from ingest.source import Source
from ingest.sourcetime import NO_TIME, clock_off_ns, settle_source_times
from market.errors import ConfigError, Problem
from market.units import NS_PER_S

__all__ = ["PushListener"]

_log: Final = logging.getLogger(__name__)

_REGISTRATION_BYTES_MAX: Final = 256
_REGISTRATION_S: Final = 10.0
"""Wall seconds a peer has to say its name."""

_IDLE_MIN_S: Final = 5.0
_TICK_MIN_S: Final = 0.1
_NAMES_LOGGED_MAX: Final = 100
_LAYOUTS_MAX: Final = 64
"""Shapes of write remembered per device; a device has a few, a broken one must not fill the memory."""

_SEND_BUFFER_BYTES: Final = 16 * 1024
"""What the kernel may hold of our answers to one device, a thousand of them: enough, and little for ten thousand devices."""

_TIME_MAX_NS: Final = int(np.iinfo(np.int64).max)


class PushListener:
    """Listens at one address for the devices that dial in there.

    Args:
        own: counts what reached no device: unknown names, peers that say none.
    """

    def __init__(self, host: str, port: int, own: Source, clock: Clock) -> None:
        self._host, self._port = host, port
        self._clock = clock
        self._stations: dict[str, _Station] = {}
        self._server: asyncio.Server | None = None
        self._names_logged: set[str] = set()
        self._step_ns = NS_PER_S
        self.connections: set[_Connection] = set()
        self.own = own
        self.pattern = re.compile(b"")
        self.heartbeat = b""

    def admit(self, device: PushDevice, source: Source) -> None:
        """Let a device dial in from now on; all of an address have the same registration line and heartbeat.

        Args:
            source: its way out.
        """
        self._stations[device.name] = _Station(device, source, self._clock)
        self.pattern = re.compile(device.register.encode())
        self.heartbeat = device.heartbeat
        self._pace()

    def dismiss(self, name: str) -> None:
        """Let a device dial in no more, and close its socket; that of no other."""
        station = self._stations.pop(name)
        if station.connection is not None:
            station.connection.abort()
        self._pace()

    def _pace(self) -> None:
        shortest_ns = min((int(station.period_ns.min()) for station in self._stations.values()), default=NS_PER_S)
        self._step_ns = max(shortest_ns, int(_TICK_MIN_S * self._clock.speed * NS_PER_S))

    @property
    def port(self) -> int:
        """The port we listen at, once :meth:`open` has returned."""
        assert self._server is not None, "the listener is not open"
        return int(self._server.sockets[0].getsockname()[1])

    async def open(self) -> None:
        """Begin to listen.

        Raises:
            ConfigError: the address cannot be listened at.
        """
        try:
            self._server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), self._host, self._port)
        except OSError as exc:
            what = f"cannot be listened at ({exc.strerror or exc}); give an address of this machine and a free port"
            raise ConfigError([Problem(f"modbus+listen://{self._host}:{self._port}", what)]) from None

    async def run(self) -> None:
        """Watch over silence until cancelled."""
        while True:
            await self._clock.sleep_until(self._clock.now_ns() + self._step_ns)
            for station in self._stations.values():
                station.tell_silence()
            for connection in tuple(self.connections):
                connection.drop_if_idle()

    def close(self) -> None:
        """Stop listening and close every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in tuple(self.connections):
            connection.abort()

    def station(self, name: str) -> _Station | None:
        """Return the device of that name; None, counted and logged once per name, where there is none."""
        station = self._stations.get(name)
        if station is None:
            self.own.refused["unknown_name"] += 1
            if name not in self._names_logged and len(self._names_logged) < _NAMES_LOGGED_MAX:
                self._names_logged.add(name)
                what = "%s: %r dialled in and is not in the point list; its socket is closed"
                _log.warning(what, self.own.name, name, extra={"listener": self.own.name, "device": name})
        return station


class _Station:
    """One device that may dial in: its points, when each was last written, and the socket it is on."""

    def __init__(self, device: PushDevice, source: Source, clock: Clock) -> None:
        self.device = device
        self.source = source
        self.connection: _Connection | None = None
        self.period_ns = np.array([point.period_ns for point in device.points], dtype=np.int64)
        self._clock = clock
        self._ids = np.array([point_id(point.name) for point in device.points], dtype=np.uint64)
        self._spans = sorted([*spans_of(device.points), *companion_spans(device.points)])
        self._companions = Companions()
        self._written_ns = np.full(len(self._ids), clock.now_ns(), dtype=np.int64)
        self._told_ns = self._written_ns.copy()
        self._layouts: dict[tuple[int, int], BlockDecoder | None] = {}
        self._registrations = 0

    @property
    def idle_max_s(self) -> float:
        """Wall seconds without a byte after which the socket is taken for half-open."""
        return max(_IDLE_MIN_S, STALE_PERIODS * int(self.period_ns.max()) / NS_PER_S / self._clock.speed)

    def register(self, connection: _Connection) -> bool:
        """Take a new socket for this device; False where it already has one that lives."""
        if self.connection is not None:
            if not self.connection.is_idle:
                self.source.refuse("duplicate_registration", f"a second socket from {connection.peer}; it is closed")
                return False
            self.connection.abort()
        self.connection = connection
        self._registrations += 1
        if self._registrations > 1:
            self.source.reconnects += 1
        return True

    def take(self, written: Written) -> ExceptionCode | None:
        """Publish what was written; return the exception to answer with where it cannot be."""
        decoder = self._layout(written)
        if decoder is None:
            what = f"registers {written.address}..{written.address + written.count - 1} do not fit the map"
            self.source.refuse("address", what)
            return ExceptionCode.ILLEGAL_ADDRESS
        values, quality = decoder.decode(written.data)
        now_ns = self._clock.now_ns()
        claimed_ns = np.full(len(values), self._device_time_ns(written), dtype=np.int64)
        ts_event_ns, flags = settle_source_times(claimed_ns, now_ns)
        rows = [span.row for span in decoder.block.spans if span.row < len(self._ids)]
        self._written_ns[rows] = self._told_ns[rows] = now_ns
        self.source.polls += 1
        self.source.heard()
        off_ns = clock_off_ns(claimed_ns, flags, now_ns)
        self.source.publish(decoder.ids, ts_event_ns, values, quality, flags | np.uint16(Flag.PUSHED), off_ns)
        return None

    def _layout(self, written: Written) -> BlockDecoder | None:
        """Return the decoder for a write of this shape; None where it tears a value apart, leaves the map, or has no point."""
        shape = (written.address, written.count)
        if shape in self._layouts:
            return self._layouts[shape]
        start, end = written.address, written.address + written.count
        touched = [span for span in self._spans if span.address < end and span.end > start]
        reach = [(span.address, span.end) for span in self._spans]
        clock = self.device.clock
        if clock is not None:
            reach.append((clock.address, clock.address + clock.type.registers))
        torn = any(low < end and high > start and not start <= low <= high <= end for low, high in reach)
        outside = start < min(low for low, _ in reach) or end > max(high for _, high in reach)
        fits = bool(touched) and not torn and not outside
        block = Block(Kind.HOLDING, start, written.count, tuple(touched))
        decoder = BlockDecoder(block, self.device.points, self._companions) if fits else None
        if len(self._layouts) < _LAYOUTS_MAX:
            self._layouts[shape] = decoder
        return decoder

    def _device_time_ns(self, written: Written) -> int:
        clock = self.device.clock
        if clock is None or not written.address <= clock.address < written.address + written.count:
            return NO_TIME
        count = integer_at(written.data, 2 * (clock.address - written.address), clock.type, clock.order)
        return max(0, min(count * clock.tick_ns, _TIME_MAX_NS))

    def tell_silence(self) -> None:
        """Publish as bad the points that were not written for too long, once and then every period."""
        now_ns = self._clock.now_ns()
        silent = now_ns - self._written_ns > STALE_PERIODS * self.period_ns
        due = silent & (now_ns - self._told_ns >= self.period_ns)
        if not due.any():
            return
        if silent.all():
            state = "it is connected and writes nothing" if self.connection is not None else "it has not dialled in"
            self.source.unavailable(f"{state}, for more than {STALE_PERIODS} periods")
        self._told_ns[due] = now_ns
        self.source.publish_bad(self._ids[due], BAD_NO_COMMUNICATION)


class _Connection(asyncio.Protocol):
    """One socket, from accept to close."""

    def __init__(self, listener: PushListener) -> None:
        self.peer = "?"
        self._listener = listener
        self._station: _Station | None = None
        self._transport: asyncio.Transport | None = None
        self._greeting = b""
        self._splitter = Splitter()
        self._heard_s = time.monotonic()
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether it has been silent so long that it is taken for half-open."""
        return self._station is not None and time.monotonic() - self._heard_s > self._station.idle_max_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self.peer = "{}:{}".format(*transport.get_extra_info("peername")[:2])
        self._listener.connections.add(self)
        self._deadline = asyncio.get_running_loop().call_later(_REGISTRATION_S, self._refuse, "no_name", "said no name in time")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._listener.connections.discard(self)
        if self._station is not None and self._station.connection is self:
            self._station.connection = None

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._heard_s = time.monotonic()
        if self._station is None:
            rest = self._register(data)
            if rest is None:
                return
            data = rest
        for request in self._splitter.feed(data):
            self._serve(request)
        if self._splitter.lost is not None:
            self._refuse(self._splitter.lost, f"not a Modbus/TCP frame: {data[:16].hex(' ')}...")

    def pause_writing(self) -> None:
        self._refuse("does_not_read", "sends and does not read our answers")

    def abort(self) -> None:
        """Close without ceremony."""
        if self._transport is not None:
            self._transport.abort()

    def drop_if_idle(self) -> None:
        """Close the socket if it is taken for half-open."""
        if self.is_idle:
            self._refuse("half_open", "silent for too long; closed, so that the device can dial in again")

    def _register(self, data: bytes) -> bytes | None:
        """Read the registration line; return what follows it, or None where there is no station (yet)."""
        self._greeting += data
        found = self._listener.pattern.match(self._greeting)
        if found is None:
            if len(self._greeting) >= _REGISTRATION_BYTES_MAX:
                self._refuse("no_name", f"is no registration line: {self._greeting[:32]!r}")
            return None
        station = self._listener.station(found["name"].decode(errors="replace"))
        if station is None or not station.register(self):
            self.abort()
            return None
        if self._deadline is not None:
            self._deadline.cancel()
        self._station = station
        # Many devices repeat their registration line to keep the connection alive; one that could be a frame is not allowed to.
        noise = [self._listener.heartbeat, found[0]]
        self._splitter = Splitter(tuple(token for token in noise if len(token) > 2 and token[2]))
        rest = self._greeting[found.end() :]
        self._greeting = b""
        return rest

    def _serve(self, request: Adu) -> None:
        assert self._station is not None
        assert self._transport is not None
        source, function = self._station.source, request.pdu[0]
        answer: ExceptionCode | Written | None
        if request.unit != self._station.device.unit_id:
            source.refuse(Refusal.UNIT, f"wrote to unit {request.unit}, and its unit is {self._station.device.unit_id}")
            answer = ExceptionCode.GATEWAY_TARGET
        else:
            answer = parse_write(request.pdu)
            if isinstance(answer, Written):
                answer = self._station.take(answer) or answer
            else:
                source.refuse(Refusal.FUNCTION if answer is ExceptionCode.ILLEGAL_FUNCTION else Refusal.SIZE, request.pdu.hex(" "))
        pdu = written_pdu(answer) if isinstance(answer, Written) else exception_pdu(function, answer)
        self._transport.write(encode_adu(request.transaction, request.unit, pdu))

    def _refuse(self, reason: str, detail: str) -> None:
        """Count why this socket goes, against its device where it has one, and close it."""
        source = self._listener.own if self._station is None else self._station.source
        source.refuse(reason, f"{self.peer} {detail}")
        self.abort()
