"""The side of the service that faces the field: telemetry in, the areas' time, base points out.

It follows the market on the topics, wherever that runs: in this process or in another one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Collection, Iterator
from dataclasses import replace
from typing import Any, Final

from ingest.clock import Clock
from ingest.countdifferences import published_names
from ingest.devices import Device, ModbusDevice, UaDevice
from ingest.forwarder import Forwarder
from ingest.frame import TelemetryFrame
from ingest.framespool import FrameSpool
from ingest.gateway import Gateway
from ingest.line import Pace
from ingest.pointlist import PointList
from ingest.priority import Priorities, Priority, priority_of
from ingest.relisting import Relisting
from market.decisions import out_of_force
from market.errors import ConfigError, GridfuseError, Problem
from market.facts import Segment
from market.outcomes import Cleared
from market.units import NS_PER_S, instant_text
from market.view import MarketView
from streams import topics
from streams.runtime import Shell
from streams.settings import Settings
from streams.topics import Topic
from streams.transport import log_directory

__all__ = ["BasePoints", "FieldSide", "part_of"]

_log = logging.getLogger(__name__)

_WORTH_WRITING_MW: Final = 0.05

_SPOOL: Final = "field-spool"
"""Where in the data directory telemetry waits that nobody takes."""

_NEARLY_FULL: Final = 0.8

_TAUGHT: Final = "devices"
"""Where in the data directory it is kept what devices taught about what may be read from them."""


def part_of(points: PointList, areas: Collection[str]) -> PointList:
    """Return the devices of some areas only.

    Raises:
        ConfigError: an area that no device is of.
    """
    known = {device.area for device in points.devices}
    if missing := sorted(set(areas) - known):
        what = f"has no device in {', '.join(missing)}; it has areas {', '.join(sorted(known))}"
        raise ConfigError([Problem("point list", what)])
    return replace(points, devices=tuple(device for device in points.devices if device.area in areas))


class FieldSide:
    """Reads every device of a point list, puts its frames on their topic once :meth:`bind` says where, and carries out what was cleared.

    Args:
        points: the devices this process reads.
        settings: whether base points are written, and how long an interval is.
        clock: event time.
        instance: names the process: what its spool is called.

    Attributes:
        base_points: to be shown outcomes and the market's state.
        forwarder: keeps frames while nobody takes them.

    Raises:
        SpoolError: the spool cannot be used.
    """

    def __init__(self, points: PointList, settings: Settings, clock: Clock, instance: str = "gridfuse-1") -> None:
        self.areas = tuple(sorted({device.area for device in points.devices}))
        spool = FrameSpool(
            (settings.field_spool.directory or settings.data / _SPOOL) / instance,
            _priorities(points),
            settings.field_spool.limits,
        )
        self._pace = settings.field_spool.pace
        unhurried = _unhurried(points, self._pace.gather_s)
        pace = gathering(self._pace, clock.speed)
        self.forwarder = Forwarder(self._send, spool, _by_exception(points), pace, unhurried=unhurried)
        self.gateway = Gateway(points, clock, self.forwarder.emit, settings.data / _TAUGHT)
        self.base_points = BasePoints(self.gateway, points, settings, clock)
        self.lost: BaseException | None = None
        """Why the log of this machine takes nothing for good; the process must not go on. A broker may come back."""
        self._has_own_log = log_directory(settings.broker) is not None
        self._shell: Shell | None = None
        self._connected = asyncio.Event()

    async def relist(self, points: PointList) -> Relisting:
        """Read another list from now on, of devices in the same areas.

        Raises:
            ConfigError: an address cannot be listened at; nothing has changed.
            DeviceError: nothing is read now.
        """
        changes = await self.gateway.relist(points)
        self.forwarder.follow(_priorities(points), _by_exception(points), _unhurried(points, self._pace.gather_s))
        self.base_points.relist(points)
        return changes

    def bind(self, shell: Shell) -> None:
        """Say where frames go."""
        self._shell = shell

    @property
    def samples_in(self) -> int:
        """Samples on their way to the topic, or there."""
        return self.forwarder.samples_in

    async def start(self) -> None:
        """Begin to read; what is read before :meth:`connected` waits in the spool.

        Raises:
            ConfigError: an address at which devices should dial in cannot be listened at.
        """
        self.forwarder.start()
        await self.gateway.start()

    def connected(self) -> None:
        """Note that the app is there to send for."""
        self._connected.set()

    async def stop(self) -> None:
        """Stop reading, send what was read, and spool what nobody takes."""
        await self.gateway.stop()
        await self.forwarder.stop()

    def missing(self) -> Iterator[str]:
        """Name what is wrong on the way to the topic, each with its remedy."""
        forwarder = self.forwarder
        status = forwarder.spool.status()
        full = f"{status.disk_bytes / status.bytes_max:.0%} of {status.bytes_max >> 20} MiB"
        remedy = "start the broker or free the disk of the log, or raise field_spool.size_mb before it is full"
        if forwarder.away_since_s is not None:
            since = instant_text(int(forwarder.away_since_s * NS_PER_S))
            yield f"telemetry: nobody takes it since {since} ({forwarder.why}); it is spooled, {full} used; {remedy}"
        elif status.disk_bytes > _NEARLY_FULL * status.bytes_max:
            yield f"telemetry: the spool is nearly full, {full} used, and drains; raise field_spool.replay or field_spool.size_mb"
        if forwarder.disk:
            yield f"telemetry: {forwarder.disk}; what memory cannot hold is lost and counted until then"

    async def _send(self, frame: TelemetryFrame, raw: bytes) -> Awaitable[Any]:
        """Put a frame on its topic (:data:`ingest.forwarder.Send`).

        Raises:
            StoreError: the transport takes nothing.
        """
        await self._connected.wait()
        assert self._shell is not None, "bound before it is connected"
        future = asyncio.ensure_future(await self._shell.send(topics.FRAMES, frame.area.encode(), raw))
        if self._has_own_log:
            future.add_done_callback(self._sent)
        return future

    def _sent(self, frame: asyncio.Future[Any]) -> None:
        if not frame.cancelled() and (cause := frame.exception()) is not None and self.lost is None:
            self.lost = cause
            _log.critical("an accepted frame could not be made durable: %r", cause)


def _priorities(points: PointList) -> Priorities:
    return Priorities(name for device in points.devices for name in published_names(device.points))


def _by_exception(points: PointList) -> set[str]:
    """Return the names of the devices that tell what changes."""
    return {device.name for device in points.devices if isinstance(device, UaDevice) and not device.is_polled}


def gathering(pace: Pace, speed: float) -> Pace:
    """Return how patient a forwarder is whose clock runs so fast: periods are event time, and nothing gathers for longer than it would."""
    return replace(pace, gather_s=pace.gather_s / max(speed, 1.0))


def _unhurried(points: PointList, gather_s: float) -> set[str]:
    """Return the names of the devices that are read again before ``gather_s`` is over, and have no point that is acted on at once."""
    return {
        device.name
        for device in points.devices
        if isinstance(device, ModbusDevice)
        and min(point.period_ns for point in device.points) < gather_s * NS_PER_S
        and all(priority_of(point.name) is not Priority.STATUS for point in device.points)
    }


def _setpoint(unit: str) -> str:
    return f"unit/{unit}/setpoint_mw"


class BasePoints:
    """Writes the base points that changed to the units' set-points, while the market's results are in force.

    An observer of outcomes and of the market's state. Until the state is known nothing is written, nor is what was cleared for an
    interval that is over.

    Args:
        gateway: writes, where it reads the unit's device.
        points: says which units have a set-point here.
        settings: how long an interval is.
        clock: event time.
    """

    def __init__(self, gateway: Gateway, points: PointList, settings: Settings, clock: Clock) -> None:
        self._gateway, self._clock = gateway, clock
        self._interval_ns = settings.rules.rt_interval_ns
        self._writes = settings.setpoints
        self._writable: dict[str, Device] = {}
        self._out: bool | None = None
        self._written_mw: dict[str, float] = {}
        self._writing: set[asyncio.Task[None]] = set()
        self.relist(points)

    def relist(self, points: PointList) -> None:
        """Write to the units that have a set-point in this list, from now on: to those again whose device is another than before."""
        before, self._writable = self._writable, {point.name: device for device, point in points.points()} if self._writes else {}
        for unit in list(self._written_mw):
            if self._writable.get(name := _setpoint(unit)) != before.get(name):
                del self._written_mw[unit]

    async def see(self, topic: Topic, record: Any) -> None:
        """Take in one record of the market (:class:`streams.agents.Observer`)."""
        match record:
            case MarketView():
                rt = next(segment for segment in record.segments if segment.segment is Segment.RT)
                # Units follow dispatch while clearings are shadows (Art. 27).
                self._out = out_of_force(rt.phase, rt.effective_from_ns)
            case Cleared():
                if self._out is False and record.interval_start_ns + self._interval_ns > self._clock.now_ns():
                    self._carry_out(record.dispatch_mw)

    def _carry_out(self, dispatch_mw: dict[str, float]) -> None:
        """Begin to write; nobody waits for devices."""
        for unit, mw in dispatch_mw.items():
            point = _setpoint(unit)
            if point not in self._writable or abs(self._written_mw.get(unit, float("inf")) - mw) <= _WORTH_WRITING_MW:
                continue
            self._written_mw[unit] = mw
            task = asyncio.create_task(self._write(point, unit, mw))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def _write(self, point: str, unit: str, mw: float) -> None:
        try:
            await self._gateway.write(point, mw)
        except Exception as exc:
            # The next interval's base point replaces this one; a device that refuses for long shows in its health.
            self._written_mw.pop(unit, None)
            ours = not isinstance(exc, GridfuseError)
            where = {"point": point, "unit": unit, "mw": mw, "reason": str(exc)}
            _log.warning("base point %s = %.1f MW not written: %s", point, mw, exc, exc_info=ours, extra=where)

    def stop(self) -> None:
        """Give up what is being written."""
        for task in self._writing:
            task.cancel()
