"""Devices that stand in for those of a point list, until these are there.

Each address of the list gets a server on this machine with the devices behind it: Modbus/TCP and RTU over TCP by pymodbus, OPC UA by
asyncua. What is over TLS or a serial line is served over plain TCP, RTU frames where the line has them. Registers that the list does not
name say 0 between those that it does, and are not there far from them, as on most devices. The list that finds them is written by
:mod:`ingest.simulator.relocated`.

Absent on purpose: devices that dial in, which would have to be told whom to dial; history; certificates and users.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Any, Final

from asyncua import Server, ua
from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType as SimType
from pymodbus.simulator import SimData, SimDevice

from ingest.addresses import Address, Framing
from ingest.clock import Clock
from ingest.devices import Device, Kind, ModbusDevice, PushDevice, UaDevice, UaPoint
from ingest.opcua.browsepath import BrowsePath, is_browse_path
from ingest.opcua.decode import node_id
from ingest.simulator.devices import HOST
from ingest.simulator.motion import value_at
from ingest.simulator.opcua_servers import quick_server
from ingest.simulator.standinregisters import StandInRegisters
from market.errors import ConfigError, Problem

__all__ = ["StandIns"]

_TABLES: Final = {
    1: Kind.COIL,
    2: Kind.DISCRETE,
    3: Kind.HOLDING,
    4: Kind.INPUT,
    5: Kind.COIL,
    6: Kind.HOLDING,
    15: Kind.COIL,
    16: Kind.HOLDING,
}
"""The table each function reads or writes; a write is followed by a reading under its own function, for the echo."""

_UA_EVERY_S: Final = 0.5
_BITS: Final = 16
_HOLE_MAX: Final = 64
"""Registers between two that are named, up to which those between are there too."""


class StandIns:
    """A server for every address of a point list.

    Args:
        devices: those of the list.
        clock: event time, by which they move.
        base_port: first of the ports to serve at, in the order of the list; 0 takes free ones.

    Attributes:
        urls: where each device is served, by its name, once started.
        left_out: devices that dial in.
    """

    def __init__(self, devices: Sequence[Device], clock: Clock, base_port: int = 0) -> None:
        self._clock = clock
        self._port = base_port
        self._modbus: dict[Address, list[ModbusDevice]] = {}
        self._ua: dict[str, list[UaDevice]] = {}
        for device in devices:
            if isinstance(device, ModbusDevice):
                self._modbus.setdefault(device.address, []).append(device)
            elif isinstance(device, UaDevice):
                self._ua.setdefault(device.url, []).append(device)
        self.left_out = [device.name for device in devices if isinstance(device, PushDevice)]
        self.urls: dict[str, str] = {}
        self._servers: list[ModbusTcpServer] = []
        self._ua_servers: list[_UaStandIn] = []
        self._moving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen for all.

        Raises:
            ConfigError: a port is taken.
        """
        try:
            for address, devices in self._modbus.items():
                is_rtu = address.framing is Framing.RTU
                port = await self._serve(devices, FramerType.RTU if is_rtu else FramerType.SOCKET)
                scheme = "modbus+rtu+tcp" if is_rtu else "modbus+tcp"
                self.urls |= {device.name: f"{scheme}://{HOST}:{port}" for device in devices}
            for servers in self._ua.values():
                stand_in = _UaStandIn(servers, self._clock)
                port = self._next_port()
                await stand_in.start(port)
                self._ua_servers.append(stand_in)
                self.urls |= {device.name: f"opc.tcp://{HOST}:{port}" for device in servers}
        except BaseException:
            await self.stop()
            raise
        self._moving = asyncio.create_task(self._move(), name="stand-ins")

    async def stop(self) -> None:
        """Close every port."""
        if self._moving is not None:
            self._moving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._moving
        for server in self._servers:
            await server.shutdown()  # type: ignore[no-untyped-call]
        for stand_in in self._ua_servers:
            await stand_in.stop()
        self._servers, self._ua_servers = [], []
        # The transports close on the loop's next turn.
        await asyncio.sleep(0)

    async def _serve(self, devices: Sequence[ModbusDevice], framer: FramerType) -> int:
        """Serve the devices of one address; those with the same unit id are one."""
        by_unit: dict[int, list[_ModbusStandIn]] = {}
        for device in devices:
            by_unit.setdefault(device.unit_id, []).append(_ModbusStandIn(device, self._clock))
        port = self._next_port()
        server = ModbusTcpServer([_sim_device(unit, each) for unit, each in by_unit.items()], framer=framer, address=(HOST, port))
        try:
            await server.serve_forever(background=True)
        except RuntimeError as exc:
            raise _taken(port) from exc
        self._servers.append(server)
        return port

    def _next_port(self) -> int:
        if self._port:
            self._port += 1
            return self._port - 1
        with socket.socket() as free:
            free.bind((HOST, 0))
            return int(free.getsockname()[1])

    async def _move(self) -> None:
        while True:
            for stand_in in self._ua_servers:
                await stand_in.move()
            await asyncio.sleep(_UA_EVERY_S)


def _taken(port: int) -> ConfigError:
    return ConfigError([Problem("--base-port", f"port {port} is in use; free it, or give another --base-port")])


class _ModbusStandIn:
    """One device's registers, brought up to date when they are asked for."""

    def __init__(self, device: ModbusDevice, clock: Clock) -> None:
        self.registers = StandInRegisters(device)
        self._clock = clock

    def shown(self) -> dict[Kind, dict[int, int]]:
        now_ns = self._clock.now_ns()
        self.registers.show(now_ns, lambda point: value_at(point, now_ns))
        return self.registers.tables


def _sim_device(unit: int, devices: Sequence[_ModbusStandIn]) -> SimDevice:
    """Return what pymodbus serves for one unit."""
    tables: dict[Kind, dict[int, int]] = {kind: {} for kind in Kind}
    for device in devices:
        for kind, table in device.registers.tables.items():
            tables[kind] |= table

    async def asked(
        function: int, start: int, address: int, count: int, registers: list[int], written: list[int] | list[bool] | None
    ) -> ExcCodes | None:
        del count
        kind = _TABLES.get(function)
        if kind is None:
            return ExcCodes.ILLEGAL_FUNCTION
        if written is not None:
            taken = any(device.registers.write(kind, address, [int(word) for word in written]) for device in devices)
            return None if taken else ExcCodes.ILLEGAL_ADDRESS
        for device in devices:
            for at, word in device.shown()[kind].items():
                if kind.is_bits:
                    place, bit = at // _BITS - start, at % _BITS
                    registers[place] = registers[place] & ~(1 << bit) | word << bit
                else:
                    registers[at - start] = word
        return None

    coils, discretes, holdings, inputs = (_blocks(kind, tables[kind]) for kind in (Kind.COIL, Kind.DISCRETE, Kind.HOLDING, Kind.INPUT))
    return SimDevice(id=unit, simdata=(coils, discretes, holdings, inputs), action=asked, use_bit_addressing=True)


def _blocks(kind: Kind, table: dict[int, int]) -> list[SimData]:
    """Return the runs of registers that exist; in a table of bits, which pymodbus keeps sixteen to a register, holes are there too."""
    if kind.is_bits:
        first, last = (min(table) // _BITS, max(table) // _BITS) if table else (0, 0)
        return [SimData(first * _BITS, values=[False] * _BITS * (last - first + 1), datatype=SimType.BITS)]
    if not table:
        return [SimData(0, datatype=SimType.INVALID)]
    named = sorted(table)
    there = {at for a, b in pairwise(named) if b - a <= _HOLE_MAX for at in range(a, b)} | set(named)
    blocks = []
    for _, members in groupby(enumerate(sorted(there)), key=lambda pair: pair[1] - pair[0]):
        run = [at for _, at in members]
        blocks.append(SimData(run[0], values=[0] * len(run), datatype=SimType.REGISTERS))
    return blocks


class _UaStandIn:
    """One OPC UA server with the nodes that the list names."""

    def __init__(self, devices: Sequence[UaDevice], clock: Clock) -> None:
        self._points = list({point.node: point for device in devices for point in device.points}.values())
        self._clock = clock
        self._server: Any = None
        self._nodes: list[tuple[UaPoint, Any]] = []

    async def start(self, port: int) -> None:
        server: Server = await quick_server(f"opc.tcp://{HOST}:{port}", "Gridfuse stand-in")
        namespaces = await self._namespaces(server)
        folders: dict[tuple[tuple[int, str], ...], Any] = {}
        for point in self._points:
            first = ua.Variant(self._raw(point), ua.VariantType.Double)
            if is_browse_path(point.node):
                path = _path(BrowsePath.parsed(point.node), namespaces)
                parent = await _folder(server, folders, path[:-1])
                index, name = path[-1]
                node = await parent.add_variable(index, name, first)
            else:
                number = node_id(point.node, namespaces)
                assert number is not None, "its namespace has been registered"
                node = await server.nodes.objects.add_variable(number, ua.QualifiedName(point.name, number.NamespaceIndex), first)
            if point.writable:
                await node.set_writable()
            self._nodes.append((point, node))
        try:
            socket.create_server((HOST, port)).close()
            await server.start()
        except OSError as exc:
            raise _taken(port) from exc
        self._server = server

    async def _namespaces(self, server: Any) -> list[str]:
        """Register what the nodes name, by URI or by index."""
        uris, most = [], 0
        for point in self._points:
            if is_browse_path(point.node):
                elements = BrowsePath.parsed(point.node).elements
                uris += [element.uri for element in elements if element.uri is not None]
                most = max([most, *(element.index for element in elements if element.index is not None)])
            elif point.node.startswith("nsu="):
                uris.append(point.node[4:].partition(";")[0])
            elif point.node.startswith("ns="):
                most = max(most, int(point.node[3:].partition(";")[0]))
        for uri in dict.fromkeys(uris):
            await server.register_namespace(uri)
        while len(namespaces := await server.get_namespace_array()) <= most:
            await server.register_namespace(f"urn:gridfuse:stand-in:{len(namespaces)}")
        return [str(uri) for uri in await server.get_namespace_array()]

    def _raw(self, point: UaPoint) -> float:
        return (value_at(point, self._clock.now_ns()) - point.offset) / point.scale

    async def move(self) -> None:
        """Show what is shown now; a set-point stays as it was put."""
        for point, node in self._nodes:
            if not point.writable:
                await node.write_value(ua.Variant(self._raw(point), ua.VariantType.Double))

    async def stop(self) -> None:
        await self._server.stop()


def _path(path: BrowsePath, namespaces: Sequence[str]) -> list[tuple[int, str]]:
    """Return namespace index and name of each step below Objects; what may be anything is called so."""
    steps: list[tuple[int, str]] = []
    for element in path.elements:
        if element.is_any_depth or (not steps and element.literal == "Objects"):
            continue
        index = namespaces.index(element.uri) if element.uri is not None else element.index or 1
        steps.append((index, element.literal or "any"))
    return steps


async def _folder(server: Any, folders: dict[tuple[tuple[int, str], ...], Any], path: Sequence[tuple[int, str]]) -> Any:
    parent = server.nodes.objects
    for depth in range(1, len(path) + 1):
        key = tuple(path[:depth])
        if key not in folders:
            index, name = key[-1]
            folders[key] = await parent.add_object(index, name)
        parent = folders[key]
    return parent
