"""Who reads every device of a point list, and how do their frames leave without one holding up another?

The gateway runs one reader per OPC UA server, one listener per address at which devices dial in, and turns the wheels
(:mod:`ingest.turns`) that call the pollers of Modbus devices. Devices behind the same address share one connection. Each puts its frames
into its own lane, a short queue, and never waits; one forwarder takes them in turn, a frame from each lane that has any, and awaits
``emit``. When ``emit`` is slow, a full lane loses its oldest frame, which is counted: the newest data are the ones a control room needs.

Heartbeats, which say that time has passed, leave behind every frame that was read before them: a queue of ours that is long makes
no device look silent. Of more than 64 rounds of them that wait, the oldest is given up and counted: a later one says all of it.

Every sample that was due is accounted for (:mod:`ingest.account`); the accounts leave with the heartbeats, behind what they are about.

A reader that fails by a fault of ours is logged, restarted after a back-off, and affects no other device.

What waits while nobody takes it does so behind ``emit`` (:mod:`ingest.forwarder`).

Absent for now: reloading one device.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from ingest.account import LostReason
from ingest.accounting import Closing, ledger_of
from ingest.addresses import Address, Engine, Manners
from ingest.backoff import Backoff
from ingest.checks import Checks
from ingest.clock import Clock
from ingest.devices import Device, ModbusDevice, PushDevice, UaDevice
from ingest.errors import DeviceError
from ingest.frame import TelemetryFrame
from ingest.modbus.dialled import DialledLink
from ingest.modbus.lessonbook import LessonBook
from ingest.modbus.link import ModbusLink
from ingest.modbus.poller import ModbusPoller
from ingest.modbus.reference import ReferenceLink
from ingest.modbus.stations import Stations
from ingest.modbus.steady import Harvest
from ingest.opcua.session import UaSession
from ingest.pointlist import PointList
from ingest.source import DeviceHealth, Source
from ingest.turns import Turns
from market.errors import GridfuseError

__all__ = ["Gateway"]

_log: Final = logging.getLogger(__name__)

_LANE_FRAMES_MAX: Final = 256
_BEATS_MAX: Final = 64
_RAN_WELL_S: Final = 60.0
"""A reader that ran for so long before it failed is started again as quickly as at its first failure."""

_DRAIN_S: Final = 0.5
"""Wall seconds that stopping gives the forwarder to send what is left."""


class _Reader(Protocol):
    async def run(self) -> None: ...


class Gateway:
    """All devices of a point list, read into frames.

    Args:
        points: what is read.
        clock: event time.
        emit: takes each frame; frames of one device arrive in their order.
        memory: directory in which what devices taught is kept; None to learn it again after every start.
    """

    def __init__(
        self, points: PointList, clock: Clock, emit: Callable[[TelemetryFrame], Awaitable[None]], memory: Path | None = None
    ) -> None:
        self._clock = clock
        self._turns = Turns(clock)
        self._book = LessonBook(memory)
        harvest = Harvest(clock)
        self._pollers: list[ModbusPoller] = []
        self._outbox = _Outbox(emit)
        self._sources: list[Source] = []
        self._closing = Closing(self._sources)
        self._readers: list[tuple[Source, _Reader]] = []
        self._writers: dict[str, Callable[[float], Awaitable[None]]] = {}
        self._links: dict[Address, ModbusLink | ReferenceLink] = {}
        manners = _shared_manners(points)
        self._tasks: list[asyncio.Task[None]] = []
        stations = Stations(self._turns)
        for device in points.devices:
            match device:
                case ModbusDevice():
                    link = self._links.get(device.address)
                    if link is None:
                        way = ReferenceLink if device.address.engine is Engine.PYMODBUS else ModbusLink
                        if device.address.dial_in is not None:
                            way = DialledLink
                        link = self._links[device.address] = way(device.address, self._turns, manners[device.address])
                    source = self._source(device.name, device.area, device)
                    if isinstance(link, DialledLink):
                        stations.poll(link, source, device.unit_id)
                    lessons = self._book.read(device.name)
                    learned = partial(self._book.write, device.name, lessons)
                    poller = ModbusPoller(device, link, source, self._turns, lessons, learned, harvest)
                    self._pollers.append(poller)
                    self._writers |= {point.name: partial(poller.write, point) for point in device.points if point.writable}
                case UaDevice():
                    source = self._source(device.name, device.area, device)
                    session = UaSession(device, source, clock)
                    self._readers.append((source, session))
                    self._writers |= {point.name: partial(session.write, point) for point in device.points if point.writable}
                case PushDevice():
                    stations.push(device, self._source(device.name, device.area, device))
        self._listeners = stations.listeners(lambda name: self._source(name, ""))
        self._readers += [(listener.own, listener) for listener in self._listeners]

    def _source(self, name: str, area: str, device: Device | None = None) -> Source:
        checks, ledger = (None, None) if device is None else (Checks.of(device.points), ledger_of(device))
        source = Source(name, area, self._clock, lambda frame: self._outbox.put(source, frame), checks, ledger)
        self._sources.append(source)
        return source

    async def start(self) -> None:
        """Begin to read; returns at once, whether devices answer or not.

        Raises:
            ConfigError: an address at which devices should dial in cannot be listened at.
        """
        assert not self._tasks, "the gateway is running"
        try:
            for listener in self._listeners:
                await listener.open()
        except GridfuseError:
            self._close()
            raise
        for source in self._sources:
            if source.ledger is not None:
                source.ledger.begin(self._clock.now_ns())
        self._tasks = [asyncio.create_task(self._outbox.run(), name="ingest-forwarder")]
        self._tasks += [
            asyncio.create_task(_keep_running(source, reader), name=f"ingest-{source.name}") for source, reader in self._readers
        ]
        for poller in self._pollers:
            poller.start()
        self._turns.start()

    async def stop(self) -> None:
        """Stop reading, close every connection, and send what was read and its last accounts, within two seconds."""
        forwarder, readers = self._tasks[:1], self._tasks[1:]
        self._tasks = []
        for task in readers:
            task.cancel()
        self._close()
        await asyncio.gather(*readers, return_exceptions=True)
        try:
            async with asyncio.timeout(_DRAIN_S):
                await self._outbox.drained()
                self._outbox.beat(self._closing.rest(self._clock.now_ns()))
                await self._outbox.drained()
        except TimeoutError:
            self._outbox.abandon()
        for task in forwarder:
            task.cancel()
        await asyncio.gather(*forwarder, return_exceptions=True)

    def beat(self, heartbeats: Sequence[TelemetryFrame]) -> None:
        """Have heartbeats sent once everything read before this call was, and before them the accounts that can be closed."""
        self._outbox.beat([*self._closing.some(self._clock.now_ns()), *heartbeats])

    async def wait(self) -> None:
        """Return when the gateway has been stopped.

        Raises:
            Exception: what ``emit`` raised that was no :class:`market.errors.GridfuseError`; nothing is sent any more.
        """
        if self._tasks:
            done, _ = await asyncio.wait(self._tasks[:1])
            for task in done:
                if not task.cancelled():
                    task.result()

    async def write(self, point: str, value: float) -> None:
        """Write a set-point, once.

        Args:
            point: its full name.
            value: engineering units.

        Raises:
            DeviceError: there is no such set-point, or nothing is written any more.
            UnitError: the value cannot be written to it.
            DeviceSilent: it is not known whether the device took it.
            DeviceRefused: it did not.
        """
        if point not in self._writers:
            raise DeviceError(f"{point}: not a set-point of the point list; give its point `write: true`")
        if not self._tasks:
            raise DeviceError(f"{point}: not written, because the gateway is not running; start it first")
        await self._writers[point](value)

    def health(self) -> tuple[DeviceHealth, ...]:
        """Return the counters of every device, and of every address at which devices dial in."""
        return tuple(source.health() for source in self._sources)

    def beats_dropped(self) -> int:
        """Return how many rounds of heartbeats were given up because too many waited."""
        return self._outbox.beats_dropped

    def frames_waiting(self) -> dict[str, int]:
        """Return how many frames wait to be sent, by device as :meth:`health` names them."""
        return {source.name: self._outbox.waiting(source) for source in self._sources}

    def _close(self) -> None:
        self._turns.stop()
        for poller in self._pollers:
            poller.stop()
        for link in self._links.values():
            link.close()
        for listener in self._listeners:
            listener.close()


def _shared_manners(points: PointList) -> dict[Address, Manners]:
    """Return what the peer at each address needs: devices that share a connection get what any of them needs."""
    shared: dict[Address, Manners] = {}
    for device in points.devices:
        if isinstance(device, ModbusDevice):
            one, other = shared.get(device.address, device.manners), device.manners
            depths = [depth for depth in (one.depth, other.depth) if depth is not None]
            shared[device.address] = Manners(
                pause_after_connect_s=max(one.pause_after_connect_s, other.pause_after_connect_s),
                gap_s=max(one.gap_s, other.gap_s),
                transaction_zero=one.transaction_zero or other.transaction_zero,
                depth=min(depths, default=None),
            )
    return shared


async def _keep_running(source: Source, reader: _Reader) -> None:
    """Run a reader until cancelled; a fault of ours in it stays with its device."""
    loop = asyncio.get_running_loop()
    backoff = Backoff(first_s=1.0)
    while True:
        began_s = loop.time()
        try:
            await reader.run()
        except Exception:
            where = {"device": source.name, "area": source.area}
            _log.exception("%s: its reader failed by a fault of this program; it is started again", source.name, extra=where)
            source.unavailable("its reader failed; see the log")
        if loop.time() - began_s > _RAN_WELL_S:
            backoff.succeeded()
        await asyncio.sleep(backoff.failed())


@dataclass(slots=True, eq=False)
class _Beat:
    """Heartbeats that wait until every lane had as many turns as the longest one needs.

    A later beat may be there first, when the lanes have become shorter meanwhile. It sends the earlier ones before its own: what was read
    before them was read before it.
    """

    frames: Sequence[TelemetryFrame]
    turns: int
    sent: bool = False


class _Outbox:
    """The lanes, and the forwarder that empties them in turn."""

    def __init__(self, emit: Callable[[TelemetryFrame], Awaitable[None]]) -> None:
        self._emit = emit
        self._lanes: dict[Source, deque[TelemetryFrame]] = {}
        self._ready: deque[Source | _Beat] = deque()
        self._beats: deque[_Beat] = deque()
        self.beats_dropped = 0
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, source: Source, frame: TelemetryFrame) -> None:
        lane = self._lanes.get(source)
        if lane is None:
            self._lanes[source] = deque((frame,))
            self._enlist(source)
            return
        if not len(frame) and not len(lane[-1]):
            lane.pop()  # of two heartbeats in a row the later says all; together they must not push values out
        elif len(lane) >= _LANE_FRAMES_MAX:
            source.drop(LostReason.QUEUE_FULL, lane.popleft())
        lane.append(frame)

    def waiting(self, source: Source) -> int:
        return len(self._lanes.get(source, ()))

    def beat(self, frames: Sequence[TelemetryFrame]) -> None:
        if len(self._beats) >= _BEATS_MAX:
            oldest = self._beats.popleft()
            oldest.sent = True
            with contextlib.suppress(ValueError):  # it has its turn just now
                self._ready.remove(oldest)
            # A later round says all of the time; accounts are said once.
            self._beats[0].frames = [*(frame for frame in oldest.frames if frame.accounts is not None), *self._beats[0].frames]
            self.beats_dropped += 1
            if self.beats_dropped == 1:
                what = "%d rounds of heartbeats wait to be sent; the oldest is given up, further ones are counted only"
                _log.warning(what, _BEATS_MAX, extra={"reason": "queue_full"})
        beat = _Beat(frames, max((len(lane) for lane in self._lanes.values()), default=0))
        self._beats.append(beat)
        self._enlist(beat)

    def _enlist(self, turn: Source | _Beat) -> None:
        self._ready.append(turn)
        self._work.set()
        self._idle.clear()

    async def run(self) -> None:
        while True:
            await self._work.wait()
            while self._ready:
                match self._ready.popleft():
                    case _Beat() as beat:
                        await self._turn_of_beat(beat)
                    case source:
                        await self._turn_of(source)
            self._work.clear()
            self._idle.set()

    async def _turn_of(self, source: Source) -> None:
        lane = self._lanes[source]
        frame = lane.popleft()
        if lane:
            self._ready.append(source)
        else:
            del self._lanes[source]  # ten thousand empty lanes are seven megabytes
        try:
            await self._emit(frame)
        except asyncio.CancelledError:
            source.drop(LostReason.STOPPED, frame)
            raise
        except GridfuseError as exc:
            where = {"device": source.name, "area": source.area, "seq": frame.seq, "reason": str(exc)}
            _log.warning("%s: frame %d was not taken: %s", source.name, frame.seq, exc, extra=where)
            source.drop(LostReason.NOT_TAKEN, frame)
        else:
            source.sent(frame)

    async def _turn_of_beat(self, beat: _Beat) -> None:
        beat.turns -= 1
        if beat.turns > 0 and not beat.sent:
            self._ready.append(beat)
        while self._beats and beat.turns <= 0 and not beat.sent:
            earliest = self._beats.popleft()
            earliest.sent = True
            for frame in earliest.frames:
                try:
                    await self._emit(frame)
                except GridfuseError as exc:
                    where = {"area": frame.area, "seq": frame.seq, "reason": str(exc)}
                    _log.warning("heartbeat %d of area %s was not taken: %s", frame.seq, frame.area, exc, extra=where)

    async def drained(self) -> None:
        await self._idle.wait()

    def abandon(self) -> None:
        """Count what is left as lost."""
        for source, lane in self._lanes.items():
            for frame in lane:
                source.drop(LostReason.STOPPED, frame)
        self._lanes.clear()
        self._ready.clear()
        self._beats.clear()
