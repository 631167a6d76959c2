"""Who reads every device of a point list, and how do their frames leave without one holding up another?

The gateway runs one reader per OPC UA server, one listener per address at which devices dial in, and turns the wheels
(:mod:`ingest.turns`) that call the pollers of Modbus devices. Devices behind the same address share one connection. Each puts its frames
into its own lane, a short queue, and never waits; one forwarder takes them in turn, a frame from each lane that has any, and awaits
``emit``. When ``emit`` is slow, a full lane loses its oldest frame, which is counted: the newest data are the ones a control room needs.

Heartbeats, which say that time has passed, leave behind every frame that was read before them: a queue of ours that is long makes
no device look silent. Of more than 64 rounds of them that wait, the oldest is given up and counted: a later one says all of it.

Every sample that was due is accounted for (:mod:`ingest.account`); the accounts leave with the heartbeats, behind what they are about.

A reader that fails by a fault of ours is logged, restarted after a back-off, and affects no other device.

Another list may take the place of the one that is read (:meth:`Gateway.relist`): what changes is stopped and started alone
(:mod:`ingest.relisting`), the rest keeps its connection, what it was taught, its counters and its account.

Absent for now: a spool that survives a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from ingest.account import LostReason
from ingest.accounting import account_frames, ledger_of
from ingest.addresses import Address
from ingest.checks import Checks
from ingest.clock import Clock
from ingest.devices import Device, ModbusDevice, PushDevice, UaDevice
from ingest.errors import DeviceError
from ingest.frame import TelemetryFrame, point_id
from ingest.keeprunning import Reader, keep_running
from ingest.modbus.lessonbook import LessonBook
from ingest.modbus.link import ModbusLink
from ingest.modbus.listener import PushListener
from ingest.modbus.poller import ModbusPoller
from ingest.opcua.session import UaSession
from ingest.pointlist import PointList
from ingest.quality import BAD_OUT_OF_SERVICE
from ingest.relisting import Relisting, relisting, shared_manners
from ingest.source import DeviceHealth, Source
from ingest.turns import Turns
from market.errors import GridfuseError

__all__ = ["Gateway"]

_log: Final = logging.getLogger(__name__)

_LANE_FRAMES_MAX: Final = 256
_BEATS_MAX: Final = 64
_LINE_QUIET_S: Final = 3.0
"""Wall seconds a serial line is left alone that is set in another way while the service runs."""

_DRAIN_S: Final = 0.5
"""Wall seconds that stopping gives the forwarder to send what is left."""


class Gateway:
    """All devices of a point list, read into frames.

    Args:
        points: what is read.
        clock: event time.
        emit: takes each frame; frames of one device arrive in their order.
        memory: directory in which what devices taught, and what was received of them, is kept; None to forget it at every stop.
    """

    def __init__(
        self, points: PointList, clock: Clock, emit: Callable[[TelemetryFrame], Awaitable[None]], memory: Path | None = None
    ) -> None:
        self._points = points
        self._clock = clock
        self._turns = Turns(clock)
        self._book = LessonBook(memory)
        self._memory = memory
        self._pollers: dict[str, ModbusPoller] = {}
        self._outbox = _Outbox(emit)
        self._sources: list[Source] = []
        self._leaving: dict[Source, int] = {}
        """Sources nobody publishes through any more, and until when somebody did, UTC ns; their accounts are still to be closed."""
        self._readers: list[tuple[Source, Reader]] = []
        self._writers: dict[str, Callable[[float], Awaitable[None]]] = {}
        self._links: dict[Address, ModbusLink] = {}
        self._listeners: dict[tuple[str, int], PushListener] = {}
        self._forwarder: asyncio.Task[None] | None = None
        self._reading: dict[Source, asyncio.Task[None]] = {}
        self._relisting = asyncio.Lock()
        self._employ(points.devices)

    def _employ(self, devices: Iterable[Device]) -> list[Source]:
        """Make ready what reads some devices of the list; return their ways out."""
        manners = shared_manners(self._points.devices)
        employed: list[Source] = []
        dialling_in: dict[tuple[str, int], list[PushDevice]] = {}
        for device in devices:
            match device:
                case ModbusDevice():
                    link = self._links.get(device.address)
                    if link is None:
                        link = self._links[device.address] = ModbusLink(device.address, self._turns, manners[device.address])
                    source = self._source(device.name, device.area, device)
                    lessons = self._book.read(device.name)
                    poller = ModbusPoller(device, link, source, self._turns, lessons, partial(self._book.write, device.name, lessons))
                    self._pollers[device.name] = poller
                    self._writers |= {point.name: partial(poller.write, point) for point in device.points if point.writable}
                    employed.append(source)
                case UaDevice():
                    source = self._source(device.name, device.area, device)
                    session = UaSession(device, source, self._clock, self._memory, partial(self._outbox.is_clear, source))
                    self._readers.append((source, session))
                    self._writers |= {point.name: partial(session.write, point) for point in device.points if point.writable}
                    employed.append(source)
                case PushDevice():
                    dialling_in.setdefault((device.host, device.port), []).append(device)
        for at, pushing in dialling_in.items():
            sources = [self._source(device.name, device.area, device) for device in pushing]
            listener = self._listeners.get(at) or self._listener(at)
            for device, source in zip(pushing, sources, strict=True):
                listener.admit(device, source)
            employed += sources
        return employed

    def _listener(self, at: tuple[str, int]) -> PushListener:
        """Make what listens at an address; it knows no device yet."""
        host, port = at
        own = self._source(f"modbus+listen://{host}:{port}", "")
        listener = self._listeners[at] = PushListener(host, port, own, self._clock)
        self._readers.append((own, listener))
        return listener

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
        assert self._forwarder is None, "the gateway is running"
        try:
            for listener in self._listeners.values():
                await listener.open()
        except GridfuseError:
            self._close()
            raise
        self._forwarder = asyncio.create_task(self._outbox.run(), name="ingest-forwarder")
        self._begin(self._sources)
        self._turns.start()

    def _begin(self, sources: Iterable[Source]) -> None:
        """Begin to read, and to account for, what these are the ways out of."""
        chosen = set(sources)
        for source in chosen:
            if source.ledger is not None:
                source.ledger.begin(self._clock.now_ns())
        for source, reader in self._readers:
            if source in chosen:
                self._reading[source] = asyncio.create_task(keep_running(source, reader), name=f"ingest-{source.name}")
        for name in [source.name for source in self._sources if source in chosen and source.name in self._pollers]:
            self._pollers[name].start()

    async def stop(self) -> None:
        """Stop reading, close every connection, and send what was read and its last accounts, within two seconds."""
        forwarder, self._forwarder = self._forwarder, None
        readers = list(self._reading.values())
        self._reading.clear()
        for task in readers:
            task.cancel()
        self._close()
        await asyncio.gather(*readers, return_exceptions=True)
        try:
            async with asyncio.timeout(_DRAIN_S):
                await self._outbox.drained()
                left = self._accounts_of_those_who_left()
                self._outbox.beat([*left, *account_frames(self._sources, self._clock.now_ns(), final=True)])
                await self._outbox.drained()
        except TimeoutError:
            self._outbox.abandon()
        if forwarder is not None:
            forwarder.cancel()
            await asyncio.gather(forwarder, return_exceptions=True)

    async def relist(self, points: PointList) -> Relisting:
        """Read another list from now on; a device whose description is the same notices nothing.

        What changed is stopped and begun anew, with new counters and a new account. Points that no device has any more are published
        once more, as Bad_OutOfService, and the accounts of whoever was stopped end there.

        Returns:
            What changed.

        Raises:
            ConfigError: a new address cannot be listened at; nothing has changed.
            DeviceError: the gateway is not running any more.
        """
        async with self._relisting:
            if self._forwarder is None:
                raise DeviceError("the point list was not changed, because the gateway is not running; start it first")
            changes = relisting(self._points, points)
            await self._listen(points)
            await self._dismiss((*changes.changed, *changes.removed), changes.withdrawn)
            self._points = points
            self._let_go()
            employed = self._employ((*changes.changed, *changes.added))
            if self._forwarder is not None:  # it may have been stopped meanwhile
                self._begin(employed)
            return changes

    async def _listen(self, points: PointList) -> None:
        """Listen at the addresses that are new, before anything else is changed.

        Raises:
            ConfigError: one cannot be listened at; those that could are closed again.
            DeviceError: likewise, the gateway was stopped meanwhile.
        """
        wanted = {(device.host, device.port) for device in points.devices if isinstance(device, PushDevice)}
        fresh = [self._listener(at) for at in sorted(wanted - set(self._listeners))]
        try:
            for listener in fresh:
                await listener.open()
            if self._forwarder is None:
                raise DeviceError("the point list was not changed, because the gateway was stopped meanwhile")
        except GridfuseError:
            for listener in fresh:
                self._quit(listener)
            raise
        self._begin([listener.own for listener in fresh])

    async def _dismiss(self, devices: Sequence[Device], withdrawn: Mapping[str, Sequence[str]]) -> None:
        """Stop to read devices, and say of their points that nobody has any more that this was all."""
        names = {device.name for device in devices}
        gone = {source for source in self._sources if source.name in names}
        tasks = [self._reading.pop(source) for source in gone if source in self._reading]
        for task in tasks:
            task.cancel()
        for device in (device for device in self._points.devices if device.name in names):
            if device.name in self._pollers:
                self._pollers.pop(device.name).stop()
            if isinstance(device, PushDevice):
                self._listeners[device.host, device.port].dismiss(device.name)
            for point in device.points:
                self._writers.pop(point.name, None)
        await asyncio.gather(*tasks, return_exceptions=True)
        self._readers = [(source, reader) for source, reader in self._readers if source not in gone]
        self._sources = [source for source in self._sources if source not in gone]
        for source in gone:
            if last := withdrawn.get(source.name):
                source.publish_bad(np.array([point_id(name) for name in last], dtype=np.uint64), BAD_OUT_OF_SERVICE)
            self._leaving[source] = self._clock.now_ns() + 1  # behind what was published just now

    def _let_go(self) -> None:
        """Close the connections and listeners that no device of the list needs, and have the others behave as the list says."""
        manners = shared_manners(self._points.devices)
        for address, link in list(self._links.items()):
            if address in manners:
                link.behave(manners[address])
                continue
            link.close()
            del self._links[address]
            for heir in [other for other in manners if other.is_serial and other.host == address.host and other not in self._links]:
                # What is owed on a serial line comes all the same, and must not be taken for the first answer to somebody else.
                self._links[heir] = ModbusLink(heir, self._turns, manners[heir])
                self._links[heir].hold_off(_LINE_QUIET_S)
        needed = {(device.host, device.port) for device in self._points.devices if isinstance(device, PushDevice)}
        for listener in [listener for at, listener in self._listeners.items() if at not in needed]:
            self._quit(listener)

    def _quit(self, listener: PushListener) -> None:
        """Listen at an address no more."""
        listener.close()
        if (task := self._reading.pop(listener.own, None)) is not None:
            task.cancel()
        self._readers = [(source, reader) for source, reader in self._readers if reader is not listener]
        self._sources.remove(listener.own)
        self._listeners = {at: other for at, other in self._listeners.items() if other is not listener}

    def beat(self, heartbeats: Sequence[TelemetryFrame]) -> None:
        """Have heartbeats sent once everything read before this call was, and before them the accounts that can be closed."""
        accounts = account_frames(self._sources, self._clock.now_ns())
        self._outbox.beat([*self._accounts_of_those_who_left(), *accounts, *heartbeats])

    def _accounts_of_those_who_left(self) -> list[TelemetryFrame]:
        """Close the accounts of sources that were dismissed, as soon as all they published has left."""
        frames: list[TelemetryFrame] = []
        for source, until_ns in list(self._leaving.items()):
            if self._outbox.forget(source):
                frames += account_frames((source,), until_ns, final=True)
                del self._leaving[source]
        return frames

    async def wait(self) -> None:
        """Return when the gateway has been stopped.

        Raises:
            Exception: what ``emit`` raised that was no :class:`market.errors.GridfuseError`; nothing is sent any more.
        """
        if self._forwarder is not None:
            done, _ = await asyncio.wait((self._forwarder,))
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
        if self._forwarder is None:
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
        for poller in self._pollers.values():
            poller.stop()
        for link in self._links.values():
            link.close()
        for listener in self._listeners.values():
            listener.close()


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
        self._sending: Source | None = None
        self._ready: deque[Source | _Beat] = deque()
        self._beats: deque[_Beat] = deque()
        self.beats_dropped = 0
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, source: Source, frame: TelemetryFrame) -> None:
        lane = self._lanes.setdefault(source, deque())
        if not lane:
            self._enlist(source)
        elif not len(frame) and not len(lane[-1]):
            lane.pop()  # of two heartbeats in a row the later says all; together they must not push values out
        elif len(lane) >= _LANE_FRAMES_MAX:
            source.drop(LostReason.QUEUE_FULL, lane.popleft())
        lane.append(frame)

    def waiting(self, source: Source) -> int:
        return len(self._lanes.get(source, ()))

    def is_clear(self, source: Source) -> bool:
        """Whether everything that was put in has left."""
        return self._sending is not source and not self.waiting(source)

    def forget(self, source: Source) -> bool:
        """Forget the lane of a source that puts nothing in any more; returns whether everything it put there has left."""
        if not self.is_clear(source):
            return False
        self._lanes.pop(source, None)
        return True

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
        self._sending = source
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
        finally:
            self._sending = None

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
            lane.clear()
        self._ready.clear()
        self._beats.clear()
