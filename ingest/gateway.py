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

What waits while nobody takes it does so behind ``emit`` (:mod:`ingest.forwarder`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from ingest.accounting import Closing, account_frames, ledger_of
from ingest.addresses import Address, Engine, Manners
from ingest.checks import Checks
from ingest.clock import Clock
from ingest.devices import Device, ModbusDevice, PushDevice, UaDevice
from ingest.errors import DeviceError
from ingest.frame import TelemetryFrame, point_id
from ingest.keeprunning import Reader, keep_running
from ingest.modbus.dialled import DialledLink
from ingest.modbus.lessonbook import LessonBook
from ingest.modbus.link import ModbusLink
from ingest.modbus.listener import Listener
from ingest.modbus.poller import ModbusPoller
from ingest.modbus.reference import ReferenceLink
from ingest.modbus.stations import Stations
from ingest.modbus.steady import Harvest
from ingest.opcua.session import UaSession
from ingest.outbox import Outbox
from ingest.pointlist import PointList
from ingest.quality import BAD_OUT_OF_SERVICE
from ingest.relisting import Relisting, relisting, shared_manners
from ingest.source import DeviceHealth, Source
from ingest.turns import Turns
from market.errors import GridfuseError

__all__ = ["Gateway"]

_log: Final = logging.getLogger(__name__)

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
        self._outbox = Outbox(emit)
        self._sources: list[Source] = []
        self._closing = Closing(self._sources)
        self._leaving: dict[Source, int] = {}
        """Sources nobody publishes through any more, and until when somebody did, UTC ns; their accounts are still to be closed."""
        self._readers: list[tuple[Source, Reader]] = []
        self._writers: dict[str, Callable[[float], Awaitable[None]]] = {}
        self._links: dict[Address, ModbusLink | ReferenceLink] = {}
        self._stations = Stations(self._turns, lambda name: self._source(name, ""))
        self._harvest = Harvest(clock)
        self._forwarder: asyncio.Task[None] | None = None
        self._reading: dict[Source, asyncio.Task[None]] = {}
        self._relisting = asyncio.Lock()
        self._employ(points.devices)

    def _employ(self, devices: Iterable[Device]) -> list[Source]:
        """Make ready what reads some devices of the list; return their ways out."""
        manners = shared_manners(self._points.devices)
        employed: list[Source] = []
        for device in devices:
            match device:
                case ModbusDevice():
                    link = self._links.get(device.address)
                    if link is None:
                        link = self._links[device.address] = self._link(device.address, manners[device.address])
                    source = self._source(device.name, device.area, device)
                    if isinstance(link, DialledLink):
                        self._readers += self._stations.poll(link, source, device.unit_id)
                    lessons = self._book.read(device.name)
                    learned = partial(self._book.write, device.name, lessons)
                    poller = ModbusPoller(device, link, source, self._turns, lessons, learned, self._harvest)
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
                    source = self._source(device.name, device.area, device)
                    self._readers += self._stations.push(device, source)
                    employed.append(source)
        return employed

    def _link(self, address: Address, manners: Manners) -> ModbusLink | ReferenceLink:
        if address.engine is Engine.PYMODBUS:
            return ReferenceLink(address, self._turns, manners)
        return (ModbusLink if address.dial_in is None else DialledLink)(address, self._turns, manners)

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
            for listener in self._stations.listeners:
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
                self._outbox.beat([*left, *self._closing.rest(self._clock.now_ns())])
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
        fresh, changed = self._stations.wanted(points.devices)
        self._readers += [(listener.own, listener) for listener in fresh]
        try:
            for listener in fresh:
                await listener.open()
            certificates = [listener.prepared(reception) for listener, reception in changed]
            if self._forwarder is None:
                raise DeviceError("the point list was not changed, because the gateway was stopped meanwhile")
        except GridfuseError:
            for listener in fresh:
                self._quit(listener)
            raise
        for (listener, reception), prepared in zip(changed, certificates, strict=True):
            listener.receive(reception, prepared)
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
            self._stations.dismiss(device)
            for point in device.points:
                self._writers.pop(point.name, None)
        await asyncio.gather(*tasks, return_exceptions=True)
        self._readers = [(source, reader) for source, reader in self._readers if source not in gone]
        self._sources[:] = [source for source in self._sources if source not in gone]
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
                self._links[heir] = successor = self._link(heir, manners[heir])
                successor.hold_off(_LINE_QUIET_S)
        for listener in self._stations.unneeded(self._points.devices):
            self._quit(listener)

    def _quit(self, listener: Listener) -> None:
        """Listen at an address no more."""
        listener.close()
        if (task := self._reading.pop(listener.own, None)) is not None:
            task.cancel()
        self._readers = [(source, reader) for source, reader in self._readers if reader is not listener]
        self._sources.remove(listener.own)
        self._stations.forget(listener)

    def beat(self, heartbeats: Sequence[TelemetryFrame]) -> None:
        """Have heartbeats sent once everything read before this call was, and before them the accounts that can be closed."""
        accounts = self._closing.some(self._clock.now_ns())
        self._outbox.beat([*self._accounts_of_those_who_left(), *accounts, *heartbeats])

    def _accounts_of_those_who_left(self) -> list[TelemetryFrame]:
        """Close the accounts of sources that were dismissed, as soon as all they published has left."""
        frames: list[TelemetryFrame] = []
        for source, until_ns in list(self._leaving.items()):
            if self._outbox.is_clear(source):
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
        for listener in self._stations.listeners:
            listener.close()
