"""What do devices say that dial in to us and write their registers?

A device behind a mobile operator's network cannot be reached; it connects to us, says who it is (:mod:`ingest.modbus.listener`), and then
pushes: Modbus/TCP frames that write registers or coils (functions 16, 6, 23, 15 and 5), to which we answer as a slave would. What it wrote
is published as one frame per write, marked PUSHED, with the time of the device's own clock register where its map has one and this
write holds it, else with ours.

Whatever arrives, only the socket it came on is affected: an address outside the map, half of a value, a stream that is no Modbus, a peer
that sends and does not read. Each is counted, and logged the first time. A device that stays silent for three of a point's periods has
that point published bad, once and then every period; a socket silent as long is taken for half-open and closed, so that the device can
dial in again. A second socket of a device whose first one lives is turned away.
"""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Final

import numpy as np

from ingest.addresses import Framing
from ingest.clock import Clock
from ingest.devices import Kind, PushDevice
from ingest.frame import point_id
from ingest.modbus.companions import Companions, companion_spans
from ingest.modbus.decode import BlockDecoder, integer_at, spans_of
from ingest.modbus.frames import Adu, ExceptionCode, Refusal, Splitter, encode_adu
from ingest.modbus.greeting import Noise, Template, is_tellable
from ingest.modbus.plan import Block
from ingest.modbus.reception import Arrival
from ingest.modbus.written import Written, exception_pdu, parse_write, written_pdu
from ingest.points import STALE_PERIODS
from ingest.quality import BAD_NO_COMMUNICATION, Flag
from ingest.source import Source
from ingest.sourcetime import NO_TIME, clock_off_ns, settle_source_times
from market.units import NS_PER_S

__all__ = ["PushStation"]

_IDLE_MIN_S: Final = 5.0
_LAYOUTS_MAX: Final = 64
"""Shapes of write remembered per device; a device has a few, a broken one must not fill the memory."""

_SEND_BUFFER_BYTES: Final = 16 * 1024
"""What the kernel may hold of our answers to one device, a thousand of them: enough, and little for ten thousand devices."""

_TIME_MAX_NS: Final = int(np.iinfo(np.int64).max)


class PushStation:
    """One device that may dial in: its points, when each was last written, and the socket it is on."""

    def __init__(self, device: PushDevice, source: Source, clock: Clock) -> None:
        self.device = device
        self.dial_in = device.dial_in
        self.source = source
        self.period_ns = np.array([point.period_ns for point in device.points], dtype=np.int64)
        self._conversation: _Conversation | None = None
        self._heartbeats = [Template.of(text) for text in device.heartbeats]
        self._clock = clock
        self._ids = np.array([point_id(point.name) for point in device.points], dtype=np.uint64)
        self._spans = sorted([*spans_of(device.points), *companion_spans(device.points)])
        self._companions = Companions()
        self._has_counters = any(point.checks is not None and point.checks.counter is not None for point in device.points)
        self._written_ns = np.full(len(self._ids), clock.now_ns(), dtype=np.int64)
        self._told_ns = self._written_ns.copy()
        self._layouts: dict[tuple[Kind, int, int], BlockDecoder | None] = {}
        self._arrivals = 0

    @property
    def idle_max_s(self) -> float:
        """Wall seconds without a byte after which the socket is taken for half-open."""
        return max(_IDLE_MIN_S, STALE_PERIODS * int(self.period_ns.max()) / NS_PER_S / self._clock.speed)

    @property
    def look_ns(self) -> int:
        """Event time between two looks at it, ns."""
        return int(self.period_ns.min())

    def refuse(self, reason: str, detail: str) -> None:
        """Count that it was not let in, and why."""
        self.source.refuse(reason, detail)

    def welcome(self, arrival: Arrival) -> asyncio.Protocol | None:
        """Take a new socket for this device; None where it already has one that lives."""
        if self._conversation is not None:
            if not self._conversation.is_idle:
                self.refuse("duplicate_registration", f"a second socket from {arrival.peer}; it is closed")
                return None
            self._conversation.abort()
        # Many devices repeat what they said first to keep the connection alive; one that could be a frame is not allowed to.
        noise = [*self._heartbeats, *([Template.literal(arrival.said)] if arrival.said else [])]
        clear = [each for each in noise if is_tellable(each, Framing.MBAP)]
        self._conversation = _Conversation(self, arrival.peer, Noise(clear, arrival.id))
        self._arrivals += 1
        if self._arrivals > 1:
            self.source.reconnects += 1
        return self._conversation

    def begin(self, wire: asyncio.Protocol) -> None:
        """Do nothing: the device begins."""

    def left(self, conversation: _Conversation) -> None:
        """Note that a socket is gone."""
        if self._conversation is conversation:
            self._conversation = None

    def close(self) -> None:
        """Close its socket."""
        if self._conversation is not None:
            self._conversation.abort()

    def look(self) -> None:
        """Watch over its silence."""
        self.tell_silence()
        if self._conversation is not None:
            self._conversation.drop_if_idle()

    def take(self, written: Written) -> ExceptionCode | None:
        """Publish what was written; return the exception to answer with where it cannot be."""
        decoder = self._layout(written)
        if decoder is None:
            what = f"{written.kind} {written.address}..{written.address + written.count - 1} do not fit the map"
            self.source.refuse("address", what)
            return ExceptionCode.ILLEGAL_ADDRESS
        if not written.holds_what_it_reads:
            self.source.refuse("address", f"function {written.function} reads what it has not written, and we hold nothing else")
            return ExceptionCode.ILLEGAL_ADDRESS
        values, quality = decoder.decode(written.data)
        raw = decoder.raw_integers(written.data) if self._has_counters else None
        now_ns = self._clock.now_ns()
        claimed_ns = np.full(len(values), self._device_time_ns(written), dtype=np.int64)
        ts_event_ns, flags = settle_source_times(claimed_ns, now_ns)
        rows = [span.row for span in decoder.block.spans if span.row < len(self._ids)]
        self._written_ns[rows] = self._told_ns[rows] = now_ns
        self.source.polls += 1
        self.source.heard()
        off_ns = clock_off_ns(claimed_ns, flags, now_ns)
        self.source.publish(decoder.ids, ts_event_ns, values, quality, flags | np.uint16(Flag.PUSHED), off_ns, raw)
        return None

    def _layout(self, written: Written) -> BlockDecoder | None:
        """Return the decoder for a write of this shape; None where it tears a value apart, leaves the map, or has no point."""
        shape = (written.kind, written.address, written.count)
        if shape in self._layouts:
            return self._layouts[shape]
        start, end = written.address, written.address + written.count
        spans = [span for span in self._spans if span.kind is written.kind]
        touched = [span for span in spans if span.address < end and span.end > start]
        reach = [(span.address, span.end) for span in spans]
        clock = self.device.clock
        if clock is not None and written.kind is clock.kind:
            reach.append((clock.address, clock.address + clock.type.registers))
        torn = any(low < end and high > start and not start <= low <= high <= end for low, high in reach)
        outside = not reach or start < min(low for low, _ in reach) or end > max(high for _, high in reach)
        fits = bool(touched) and not torn and not outside
        block = Block(written.kind, start, written.count, tuple(touched))
        decoder = BlockDecoder(block, self.device.points, self._companions) if fits else None
        if len(self._layouts) < _LAYOUTS_MAX:
            self._layouts[shape] = decoder
        return decoder

    def _device_time_ns(self, written: Written) -> int:
        clock = self.device.clock
        if clock is None or written.kind is not clock.kind or not written.address <= clock.address < written.address + written.count:
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
            state = "it is connected and writes nothing" if self._conversation is not None else "it has not dialled in"
            self.source.unavailable(f"{state}, for more than {STALE_PERIODS} periods")
        self._told_ns[due] = now_ns
        self.source.publish_bad(self._ids[due], BAD_NO_COMMUNICATION)


class _Conversation(asyncio.Protocol):
    """One socket of a device that has said who it is."""

    def __init__(self, station: PushStation, peer: str, noise: Noise) -> None:
        self._station = station
        self._peer = peer
        self._splitter = Splitter(noise or None)
        self._transport: asyncio.Transport | None = None
        self._heard_s = time.monotonic()

    @property
    def is_idle(self) -> bool:
        """Whether it has been silent so long that it is taken for half-open."""
        return time.monotonic() - self._heard_s > self._station.idle_max_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        self._station.left(self)

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._heard_s = time.monotonic()
        for request in self._splitter.feed(data):
            self._serve(request)
        if self._splitter.lost is not None:
            self._cut(self._splitter.lost, f"not a Modbus/TCP frame: {data[:16].hex(' ')}...")

    def pause_writing(self) -> None:
        self._cut("does_not_read", "sends and does not read our answers")

    def abort(self) -> None:
        """Close without ceremony."""
        if self._transport is not None:
            self._transport.abort()

    def drop_if_idle(self) -> None:
        """Close the socket if it is taken for half-open."""
        if self.is_idle:
            self._cut("half_open", "silent for too long; closed, so that the device can dial in again")

    def _serve(self, request: Adu) -> None:
        assert self._transport is not None
        source, function = self._station.source, request.pdu[0]
        answer: ExceptionCode | Written
        if request.unit != self._station.device.unit_id:
            source.refuse(Refusal.UNIT, f"wrote to unit {request.unit}, and its unit is {self._station.device.unit_id}")
            answer = ExceptionCode.GATEWAY_TARGET
        else:
            answer = parse_write(request.pdu)
            if isinstance(answer, Written):
                answer = self._station.take(answer) or answer
            else:
                source.refuse(_REFUSALS.get(answer, Refusal.SIZE), request.pdu.hex(" "))
        pdu = written_pdu(answer) if isinstance(answer, Written) else exception_pdu(function, answer)
        self._transport.write(encode_adu(request.transaction, request.unit, pdu))

    def _cut(self, reason: str, detail: str) -> None:
        """Count why this socket goes, and close it."""
        self._station.refuse(reason, f"{self._peer} {detail}")
        self.abort()


_REFUSALS: Final[dict[ExceptionCode, str]] = {
    ExceptionCode.ILLEGAL_FUNCTION: Refusal.FUNCTION,
    ExceptionCode.ILLEGAL_ADDRESS: "address",
}
