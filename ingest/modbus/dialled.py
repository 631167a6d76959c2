"""How is a device polled that dialled in to us?

Like any other (:mod:`ingest.modbus.link`), over a connection that cannot be made anew by us: one that is gone comes back when the
device dials again, and until then its points are bad. Three things differ for that.

* **Noise.** Between its replies such a device sends heartbeats, or who it is once more. They are passed over wherever they stand between
  two replies, and each is a sign of life: a device that sends them is not given up because the meters behind it are silent.
* **Late replies over RTU.** Where we make the connection it is cut after a reply that did not come, so that the next answer can only be the
  next request's. To cut off a device that dialled in takes every meter behind it along. Here a late reply is known by its shape: its unit,
  its function and how many bytes it has. A request whose answer would have the same shape waits behind a probe, a read of another
  number of registers. Its answer shows that nothing older can come, because a unit answers in order; a late reply that comes is dropped.
  A unit that is silent costs the others its timeouts, as on any serial line, and not their connection.
* **Two sockets of one id.** The newer one is asked first, once nothing is owed on the older. When it answers, the older is closed; if it
  goes or stays silent, the older one is asked again.
"""

from __future__ import annotations

import asyncio
from typing import Final

from ingest.addresses import Address, DialIn, Framing, Manners
from ingest.errors import DeviceError, DeviceRefused
from ingest.modbus.exchange import Exchange, tell
from ingest.modbus.frames import KIND_READ, Exceptional, Good, Refusal, Request, Verdict, read_request
from ingest.modbus.greeting import Noise, Template, greeting_in, is_tellable
from ingest.modbus.link import ModbusLink
from ingest.modbus.reception import Arrival
from ingest.modbus.rtu import ReplyReader
from ingest.modbus.wire import Owner, Wire
from ingest.source import Source
from ingest.turns import Turns, wall_ns
from market.units import NS_PER_S

__all__ = ["DialledLink", "DialledStation", "DialledWire"]

_EXCEPTION_BIT: Final = 0x80
_ADDRESSES: Final = 0x10000
_TELLING_BYTES: Final = 3
"""Unit, function and size: what a reply is known by."""

_PROBES_MAX: Final = 12
_LATE_MAX_NS: Final = 30 * NS_PER_S
"""Wall time after which a reply that did not come never will."""


class DialledWire(Wire):
    """A connection that a device made.

    Args:
        noise: what the device may send between replies.
        source: a device behind it, against which is counted what comes before anything was asked.
    """

    __slots__ = ("_doubts", "_held", "_stale", "noise")

    def __init__(self, link: Owner, noise: Noise, source: Source) -> None:
        super().__init__(link, noise or None)
        self.noise = noise
        self._last_asker = source
        self._held = b""
        self._doubts: dict[int, list[Exchange]] = {}
        self._stale: ReplyReader | None = None

    # ---- late replies ---------------------------------------------------------------------------------------------------------

    @property
    def is_midway(self) -> bool:
        """Whether a part of a reply has come."""
        return (self._reader is not None and self._reader.begun) or self._stale is not None

    def doubt(self, exchange: Exchange) -> None:
        """Note that a reply is late and may still come."""
        self._reader = None
        self._doubts.setdefault(exchange.request.unit, []).append(exchange)

    def confuses(self, request: Request) -> bool:
        """Whether a late reply could be taken for this request's."""
        return request.is_read and any(_shape(late.request) == _shape(request) for late in self._fresh(request.unit))

    def probe(self, request: Request) -> Request | None:
        """Return a read like a request whose reply looks like that of none that is late; None where too many are."""
        taken = {_shape(request), *(_shape(late.request) for late in self._fresh(request.unit))}
        kind, address = KIND_READ[request.pdu[0]], int.from_bytes(request.pdu[1:3], "big")
        for size in range(1, _PROBES_MAX + 2):
            count = 8 * size if kind.is_bits else size
            if address + count <= _ADDRESSES and _shape(found := read_request(request.unit, kind, address, count)) not in taken:
                return found
        return None

    def _fresh(self, unit: int) -> list[Exchange]:
        """Return those whose late replies may still come, the oldest first."""
        doubts = self._doubts.get(unit)
        if not doubts:
            return []
        fresh = [late for late in doubts if wall_ns() - late.sent_wall_ns < _LATE_MAX_NS]
        if fresh:
            self._doubts[unit] = fresh
        else:
            del self._doubts[unit]
        return fresh

    # ---- what comes -----------------------------------------------------------------------------------------------------------

    def _take_rtu(self, data: bytes) -> None:
        if self._reader is None or not self._reader.begun:
            data = self._explained(data)
        if data:
            super()._take_rtu(data)

    def _behind(self, rest: bytes) -> bytes:
        return self._explained(rest)

    def _conclude(self, transaction: int, exchange: Exchange, verdict: Verdict, reply: object) -> None:
        if isinstance(verdict, Good) and self._doubts:
            self._doubts.pop(exchange.request.unit, None)  # it answers in order: what is older never comes
        super()._conclude(transaction, exchange, verdict, reply)

    def _explained(self, data: bytes) -> bytes:
        """Return data that begin where a reply may, without the noise and the late replies they begin with."""
        data, self._held = self._held + data, b""
        while data:
            if self._stale is None:
                at, waits = self.noise.end(data)
                data = data[at:]
                if waits or (data and data[0] in self._doubts and len(data) < _TELLING_BYTES):
                    self._held = data
                    return b""
                late = self._late(data) if data else None
                if late is None:
                    return data
                self._stale = ReplyReader(late.request)
                late.source.refuse(Refusal.LATE, f"a reply to {late.request.pdu.hex(' ')}")
            reader = self._stale
            verdict = reader.feed(data)
            if verdict is None:
                return b""
            self._stale = None
            if not isinstance(verdict, Good | Exceptional):
                return data
            self.noise.heard += 1  # a late reply is a sign of life, too
            data = reader.rest
        return b""

    def _late(self, data: bytes) -> Exchange | None:
        """Return whose late reply begins here, and forget it and what is older; None where it is none."""
        unit, function, size = data[:_TELLING_BYTES] if data[0] in self._doubts else (0, 0, 0)
        doubts = self._doubts.get(unit, [])
        owed = self.owed.get(0)
        if owed is not None and owed.request.unit == unit and _is_like(owed.request, function, size):
            return None
        for place, late in enumerate(doubts):
            # An exception has no shape of its own. It answers one of these or the request that is owed: the oldest, to be sure.
            if function == late.request.pdu[0] | _EXCEPTION_BIT or _is_like(late.request, function, size):
                del doubts[: place + 1]
                if not doubts:
                    del self._doubts[unit]
                return late
        return None


def _shape(request: Request) -> tuple[int, int | bytes | None]:
    """Return by what the reply to a request can be told from that to another, of the same unit."""
    return request.pdu[0], request.data_bytes if request.is_read else request.echo


def _is_like(request: Request, function: int, size: int) -> bool:
    return request.pdu[0] == function and request.data_bytes in (None, size)


class DialledLink(ModbusLink):
    """The connection to a device that dials in.

    Args:
        address: of ours; it says who dials in.
    """

    _asks_at_once = False

    def __init__(self, address: Address, turns: Turns, manners: Manners | None = None) -> None:
        super().__init__(address, turns, manners)
        self._newcomer: DialledWire | None = None
        self._on_trial: Wire | None = None
        self._parked: Wire | None = None
        self._heard = 0

    @property
    def has_two(self) -> bool:
        """Whether two sockets are open and it is not yet clear which will do."""
        return self._newcomer is not None or self._parked is not None

    def take(self, wire: DialledWire) -> None:
        """Go on over a connection that the device has just made."""
        if self._newcomer is not None:
            self._newcomer.abort("closed by us: the device dialled in once more")
        self._newcomer = wire
        self._pump()

    def rest(self) -> None:
        """Stay connected: we could not connect again."""

    def close(self) -> None:
        """Give up every connection; whoever waits is told."""
        spare = [wire for wire in (self._newcomer, self._parked) if wire is not None]
        self._newcomer = self._parked = self._on_trial = None
        super().close()
        for wire in spare:
            wire.abort("the link was closed")

    def _concluded(self, exchange: Exchange, outcome: bytes | DeviceError, now_wall_ns: int) -> None:
        if self._on_trial is not None and self._on_trial.was_answered:
            parked, self._on_trial, self._parked = self._parked, None, None
            if parked is not None:
                parked.abort("closed by us: a newer connection of the same device answers")
        super()._concluded(exchange, outcome, now_wall_ns)

    def lost(self, wire: Wire, why: str) -> None:
        """Take that a connection is gone."""
        if wire is self._newcomer:
            self._newcomer = None
        elif wire is self._parked:
            self._parked = None
        elif wire is self._on_trial:
            self._on_trial = None
        super().lost(wire, why)
        if self._wire is None and self._newcomer is None and self._parked is not None:
            parked, self._parked = self._parked, None
            self._adopted(parked)

    def _unreachable(self) -> str:
        dial_in = self.address.dial_in
        assert dial_in is not None
        return "" if self._newcomer is not None else f"{dial_in.id} has not dialled in at {self.address.host}:{self.address.port}"

    def _open(self) -> None:
        if self._queue and self._wire is None:
            # Not at once: who hands in a request is not told of its end before it was taken.
            asyncio.get_running_loop().call_soon(self._nobody_there)

    def _nobody_there(self) -> None:
        if self._wire is None and self._newcomer is None:
            self._end(self._taken_queue(), self._unreachable())

    def _pump(self) -> None:
        wire = self._wire
        if self._newcomer is not None:
            if wire is not None and wire.owed:
                return  # nothing more over the older connection; its replies come first
            self._trade(self._newcomer)
            return
        if isinstance(wire, DialledWire) and wire.is_open and self._queue and not wire.owed and wire.confuses(self._queue[0].request):
            self._probe(wire, self._queue[0])
        super()._pump()

    def _probe(self, wire: DialledWire, waiting: Exchange) -> None:
        """Ask a unit something else first, whose late reply could be taken for its next one."""
        probe = wire.probe(waiting.request)
        if probe is None:
            self.unsure(wire, f"late replies of unit {waiting.request.unit} could be taken for its next one")
            return
        self._queue.appendleft(Exchange(probe, waiting.source, waiting.timeout_s, self._probed))

    def _probed(self, probe: Exchange, outcome: bytes | DeviceError, now_ns: int) -> None:
        if isinstance(outcome, bytes | DeviceRefused):
            return  # what waits is asked next
        waiting = [each for each in self._queue if each.request.unit == probe.request.unit and each.request.is_read]
        for each in waiting:
            self._queue.remove(each)
        for each in waiting:
            tell(each, outcome, now_ns)

    def _trade(self, newcomer: DialledWire) -> None:
        """Ask over the newer connection, and keep the older until that has answered."""
        self._newcomer = None
        older, self._wire = self._wire, None
        if older is not None and older.is_open:
            if self._parked is not None:
                older, spare = (older, self._parked) if older.was_answered else (self._parked, older)
                spare.abort("closed by us: the device dialled in once more")
            self._parked, self._on_trial = older, newcomer
        self._adopted(newcomer)

    def _adopted(self, wire: Wire) -> None:
        self._connections = 0  # its station counts them, for every device behind it
        self._free_ns = 0
        self.adopt(wire)

    def _doubt(self, wire: Wire, head: Exchange) -> None:
        assert isinstance(wire, DialledWire)
        if wire.noise.heard != self._heard:
            self._heard = wire.noise.heard
            self._silences = 0  # the device lives; what is behind it is silent
        if self.address.framing is Framing.RTU and not wire.is_midway:
            wire.doubt(head)
            self._leave_alone()
        else:
            super()._doubt(wire, head)


class DialledStation:
    """What dials in under one id, to be polled: the sources of all devices behind it share its link."""

    look_ns: Final = None

    def __init__(self, link: DialledLink) -> None:
        assert link.address.dial_in is not None
        self.dial_in: DialIn = link.address.dial_in
        self._link = link
        self._greeting = greeting_in(self.dial_in.reception)
        self._heartbeats = [Template.of(text) for text in self.dial_in.reception.heartbeats]
        self._sources: list[Source] = []
        self._units: list[int] = []
        self._arrivals = 0
        self._peer = ""

    def serve(self, source: Source, unit: int) -> None:
        """Add a device that is polled over the link."""
        self._sources.append(source)
        self._units.append(unit)

    def part_with(self, device: str) -> bool:
        """Remove a device; returns whether none is left."""
        kept = [(source, unit) for source, unit in zip(self._sources, self._units, strict=True) if source.name != device]
        self._sources, self._units = [source for source, _ in kept], [unit for _, unit in kept]
        return not kept

    def refuse(self, reason: str, detail: str) -> None:
        """Count against every device behind it that it was not let in."""
        for source in self._sources:
            source.refuse(reason, detail)

    def welcome(self, arrival: Arrival) -> asyncio.Protocol | None:
        """Return who speaks with it from now on."""
        self._arrivals += 1
        if self._arrivals > 1:
            for source in self._sources:
                source.reconnects += 1
        if self._link.is_open:
            first, second = self._peer, arrival.peer
            self.refuse("duplicate_registration", f"{self.dial_in.id} is connected from {first} and dialled in from {second} as well")
        self._peer = arrival.peer
        again = [self._greeting] if isinstance(self._greeting, Template) else []
        again += [Template.literal(arrival.said)] if arrival.said and not again else []
        units, framing = frozenset(self._units), self._link.address.framing
        # Many devices repeat their registration to keep the connection alive; one that could be a reply is not allowed to.
        noise = [template for template in (*self._heartbeats, *again) if is_tellable(template, framing, units)]
        return DialledWire(self._link, Noise(noise, arrival.id), self._sources[0])

    def begin(self, wire: asyncio.Protocol) -> None:
        """Ask over a connection that was welcomed; it is made by now."""
        assert isinstance(wire, DialledWire)
        self._link.take(wire)

    def look(self) -> None:
        """Do nothing: who polls sees silence."""

    def close(self) -> None:
        """Do nothing: the link is closed by who made it."""
