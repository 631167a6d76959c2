"""The field's Modbus devices, served by pymodbus, which nobody here wrote.

A server's registers are encoded when it is asked, from the column of values the field published last: a device nobody reads costs
nothing. A write is taken by FC6 or FC16 and becomes a base point; it must cover whole set-points and give each a number the unit
could follow, else the device answers exception 3 and changes nothing.

Faults: a silent device swallows requests (of its unit id alone, behind a gateway); a device that is down closes its port, and behind a
gateway, whose port must stay, answers exception 0x0B as gateways do for a device they cannot reach.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import groupby, pairwise
from typing import Final

import numpy as np
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType as SimType
from pymodbus.simulator import SimData, SimDevice

from ingest.devices import Kind, ModbusDevice, ModbusPoint
from ingest.simulator.devices import HOST, Server
from ingest.simulator.faults import Condition
from ingest.simulator.registers import RegisterImage, decoded
from market.errors import ConfigError, Problem
from market.grid import FloatArray

__all__ = ["ModbusServer", "PublishedValues"]

_log: Final = logging.getLogger(__name__)
_READS: Final = {3: Kind.HOLDING, 4: Kind.INPUT}
_UNIT_ID_AT: Final = 6
"""Place of the unit id in an MBAP frame."""
_SETPOINT_SLACK_MW: Final = 0.1
"""Rounding a device allows above its capacity."""
_RESERVED_MAX: Final = 4
"""Up to this many registers between two values are reserved ones that read 0; more are a hole, which cannot be read."""


class PublishedValues:
    """The column of values each device shows, as last published.

    Attributes:
        version: grows with every publication.
    """

    def __init__(self) -> None:
        self.version = 0
        self._honest: FloatArray = np.zeros(0)
        self._false: Mapping[str, FloatArray] = {}

    def publish(self, honest: FloatArray, false: Mapping[str, FloatArray]) -> None:
        """Show these values (n,), and on some devices others instead."""
        self._honest, self._false = honest, false
        self.version += 1

    def shown(self, device: str) -> FloatArray:
        """Return (n,) what a device shows."""
        return self._false.get(device, self._honest)

    def is_false(self, device: str) -> bool:
        """Return whether a device shows other values than the honest ones."""
        return device in self._false


class _Device:
    """One device behind a server: its tables of registers and what may be written."""

    def __init__(
        self,
        device: ModbusDevice,
        row: Mapping[str, int],
        values: PublishedValues,
        p_max_mw: Mapping[str, float],
        given: Callable[[dict[str, float]], None],
    ) -> None:
        self.name = device.name
        self.reachable = True
        self._values, self._given = values, given
        tables = {kind: [point for point in device.points if point.kind is kind] for kind in (Kind.HOLDING, Kind.INPUT)}
        self._images = {kind: RegisterImage(points, [row[p.name] for p in points]) for kind, points in tables.items() if points}
        self._version = dict.fromkeys(self._images, -1)
        self._setpoints = {point.address: point for point in device.points if point.writable}
        self._top_mw = {point.name: p_max_mw[point.name] + _SETPOINT_SLACK_MW for point in self._setpoints.values()}
        blank = [SimData(0, values=False, datatype=SimType.BITS)]
        self.sim = SimDevice(
            id=device.unit_id,
            simdata=(blank, blank, self._blocks(Kind.HOLDING), self._blocks(Kind.INPUT)),
            action=self._asked,
        )

    def restarted(self) -> None:
        """Note that the server's registers begin afresh."""
        self._version = dict.fromkeys(self._images, -1)

    def _blocks(self, kind: Kind) -> list[SimData]:
        """Return the runs of registers that exist; between them are holes, which the server refuses to read."""
        image = self._images.get(kind)
        if image is None:
            return [SimData(0, datatype=SimType.INVALID)]
        written = {address + k for address, point in self._setpoints.items() for k in range(point.type.registers)}
        writable = written if kind is Kind.HOLDING else set()
        used = (np.flatnonzero(image.used) + image.start).tolist()
        exist = {at for a, b in pairwise(used) if b - a <= _RESERVED_MAX + 1 for at in range(a, b)} | set(used)
        # A run is read-only as a whole, so it ends where writing begins or ends.
        runs = groupby(enumerate(sorted(exist)), key=lambda pair: (pair[1] - pair[0], pair[1] in writable))
        blocks = []
        for (_, may_write), members in runs:
            addresses = [address for _, address in members]
            blocks.append(SimData(addresses[0], values=[0] * len(addresses), datatype=SimType.REGISTERS, readonly=not may_write))
        return blocks

    async def _asked(
        self, function: int, start: int, address: int, count: int, registers: list[int], written: list[int] | list[bool] | None
    ) -> ExcCodes | None:
        """Answer one request: bring the registers up to date, or take a base point."""
        del start, count
        if not self.reachable:
            return ExcCodes.GATEWAY_NO_RESPONSE
        if written is not None:
            return self._taken(address, [int(word) for word in written])
        # A write of one register is followed by a reading of it under the write's own function, for the echo; that shows what was written.
        kind = _READS.get(function)
        image = self._images.get(kind) if kind is not None else None
        if kind is not None and image is not None and self._version[kind] != self._values.version:
            image.put(self._values.shown(self.name))
            registers[: len(image.words)] = image.words.tolist()
            self._version[kind] = self._values.version
        return None

    def _taken(self, address: int, words: list[int]) -> ExcCodes | None:
        wanted: dict[str, float] = {}
        while words:
            point = self._setpoints.get(address)
            if point is None or len(words) < point.type.registers:
                return ExcCodes.ILLEGAL_VALUE
            size = point.type.registers
            mw = decoded(words[:size], point.type, point.order) * point.scale + point.offset
            if not 0.0 <= mw <= self._top_mw[point.name]:
                return ExcCodes.ILLEGAL_VALUE
            wanted[_unit(point)] = mw
            address, words = address + size, words[size:]
        self._given(wanted)
        return None


def _unit(point: ModbusPoint) -> str:
    return point.name.split("/")[1]


class _Handler(ServerRequestHandler):
    """A connection that can play dead."""

    def __init__(self, owner: _Listener) -> None:
        super().__init__(owner, None, None, None)  # type: ignore[no-untyped-call]
        self._muted = owner.muted

    def callback_data(self, data: bytes, addr: tuple[str, int] | None = None) -> int:
        """Swallow what is meant for a silent device."""
        if self._muted and len(data) > _UNIT_ID_AT and data[_UNIT_ID_AT] in self._muted:
            return len(data)
        return super().callback_data(data, addr)


class _Listener(ModbusTcpServer):
    """pymodbus' server, with connections that can play dead."""

    def __init__(self, devices: list[SimDevice], port: int, muted: set[int]) -> None:
        self.muted = muted
        super().__init__(devices, address=(HOST, port))

    def callback_new_connection(self) -> _Handler:
        """Return the handler of a connection that came in."""
        return _Handler(self)


class ModbusServer:
    """One Modbus address of the field.

    Args:
        server: its devices.
        row: where each point's value stands in the published column.
        values: what is shown.
        p_max_mw: set-point's name → capacity of its unit, MW.
        given: called with (unit → MW) when base points are written.
    """

    def __init__(
        self,
        server: Server,
        row: Mapping[str, int],
        values: PublishedValues,
        p_max_mw: Mapping[str, float],
        given: Callable[[dict[str, float]], None],
    ) -> None:
        self.server = server
        self._devices = {device.name: _Device(device, row, values, p_max_mw, given) for device in server.devices}
        self._unit_id = {device.name: device.unit_id for device in server.devices}
        self._muted: set[int] = set()
        self._listener: _Listener | None = None
        self._port = 0

    async def start(self, port: int) -> None:
        """Listen; port 0 takes a free one. :attr:`server` shows where its devices are from then on.

        Raises:
            ConfigError: the port is taken.
        """
        self._port = port
        await self._listen()
        placed = tuple(replace(device, address=replace(device.address, port=self._port)) for device in self.server.devices)
        self.server = replace(self.server, devices=placed)

    async def _listen(self) -> None:
        for device in self._devices.values():
            device.restarted()
        listener = _Listener([device.sim for device in self._devices.values()], self._port, self._muted)
        try:
            await listener.serve_forever(background=True)
        except RuntimeError as exc:
            what = f"port {self._port}, for {self.server.name}, is in use; free it, or give another --base-port"
            raise ConfigError([Problem("--base-port", what)]) from exc
        assert isinstance(listener.transport, asyncio.Server)
        self._port = listener.transport.sockets[0].getsockname()[1]
        self._listener = listener

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._listener is not None:
            await self._listener.shutdown()  # type: ignore[no-untyped-call]
            self._listener = None
            # The transports close on the loop's next turn; without it the port could still be taken.
            await asyncio.sleep(0)

    async def obey(self, condition: Condition) -> None:
        """Break and mend as the condition says."""
        names = set(self._devices)
        self._muted.clear()
        self._muted.update(self._unit_id[name] for name in names & condition.silent)
        alone = len(names) == 1
        for name, device in self._devices.items():
            device.reachable = alone or name not in condition.down
        closed = alone and bool(names & condition.down)
        if closed and self._listener is not None:
            await self.stop()
        elif not closed and self._listener is None:
            try:
                await self._listen()
            except ConfigError as exc:
                _log.warning("%s: cannot come back yet: %s", self.server.name, exc)
