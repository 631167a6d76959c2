"""The substations of one area, served by asyncua.

Every point is a variable ``s=<point name>`` in the area's namespace. Measurements are doubles, switch positions and sites are Int32.
Only values that changed are written, with Good status and the event time of the step that gave them; a switch carries the time at
which it moved.

Faults: a server that is down closes its port and its connections; a silent one reads from none of them.

Two shortcuts, both measured. Filling asyncua's standard address space takes 1.6 s and tens of megabytes per server, so it is filled
once and its types, which no server changes, are shared. And a written value is never changed afterwards, so the copies that asyncua
takes for each subscription are refused, which more than halves the cost of a write.
"""

from __future__ import annotations

import copy
import logging
import socket
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from asyncua import Server, ua
from asyncua.server.internal_server import InternalServer
from numpy.typing import NDArray

from ingest.devices import UaDevice
from ingest.simulator.devices import HOST, namespace
from ingest.simulator.faults import Condition
from market.errors import ConfigError, Problem
from market.grid import FloatArray

__all__ = ["UaServer", "quick_server"]

_log: Final = logging.getLogger(__name__)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Frozen(ua.DataValue):  # type: ignore[misc]
    """A value nobody changes once it is written, so that a copy of it is itself."""

    def __deepcopy__(self, memo: object) -> _Frozen:
        return self


class _SharedTypes(InternalServer):  # type: ignore[misc]
    """asyncua's server without a standard address space of its own, except for the nodes that describe this very server."""

    _filled: dict[Any, Any] | None = None

    async def load_standard_address_space(self, shelf_file: object = None) -> None:
        """Take the types from the first server that was filled."""
        del shelf_file
        if _SharedTypes._filled is None:
            await super().load_standard_address_space(None)
            _SharedTypes._filled = {node_id: self.aspace[node_id] for node_id in list(self.aspace.keys())}
        own = {getattr(ua.ObjectIds, name) for name in dir(ua.ObjectIds) if name == "Server" or name.startswith("Server_")}
        own.add(ua.ObjectIds.ObjectsFolder)
        for node_id, node in _SharedTypes._filled.items():
            self.aspace[node_id] = copy.deepcopy(node) if node_id.Identifier in own else node


async def quick_server(url: str, name: str) -> Any:
    """Return a server without security, not started yet, that is filled quickly (see above)."""
    server = Server(iserver=_SharedTypes())
    server.disable_clock()
    await server.init()
    server.set_server_name(name)
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    server.set_identity_tokens([ua.AnonymousIdentityToken])
    server.set_endpoint(url)
    return server


class _Doors(list[Any]):
    """asyncua's list of open transports: a silent server stops reading from those there are and from any that comes."""

    silent = False

    def append(self, transport: Any) -> None:
        super().append(transport)
        if self.silent:
            transport.pause_reading()

    def silence(self, silent: bool) -> None:
        """Stop reading, or go on."""
        if silent is self.silent:
            return
        self.silent = silent
        for transport in self:
            if not transport.is_closing():
                (transport.pause_reading if silent else transport.resume_reading)()


class UaServer:
    """One area's OPC UA server.

    Args:
        device: its points; the port in its address is not used.
        row: where each point's value stands in the published column.
    """

    def __init__(self, device: UaDevice, row: Mapping[str, int]) -> None:
        self.device = device
        self._names = [point.name for point in device.points]
        self._rows: NDArray[np.intp] = np.array([row[name] for name in self._names])
        self._status: NDArray[np.bool_] = np.array([name.startswith(("switch/", "site/")) for name in self._names])
        self._shown: FloatArray = np.full(len(self._names), np.nan)
        self._doors = _Doors()
        self._nodes: list[Any] = []
        self._server: Any = None
        self._up = False

    async def start(self, port: int) -> None:
        """Build the address space and listen; port 0 takes a free one. :attr:`device` shows the address from then on.

        Raises:
            ConfigError: the port is taken.
        """
        server = await quick_server(f"opc.tcp://{HOST}:{port}", f"Gridfuse simulated {self.device.name}")
        server.iserver.asyncio_transports = self._doors
        index = await server.register_namespace(namespace(self.device.area))
        folder = await server.nodes.objects.add_object(ua.NodeId("substations", index), "Substations")
        for name, status in zip(self._names, self._status.tolist(), strict=True):
            node_id = ua.NodeId(name, index)
            first = ua.Variant(0, ua.VariantType.Int32) if status else ua.Variant(0.0, ua.VariantType.Double)
            await folder.add_variable(node_id, name, first)
            self._nodes.append(node_id)
        try:
            # asyncua would log a traceback of its own; a port that is taken is no defect.
            socket.create_server((HOST, port)).close()
            await server.start()
        except OSError as exc:
            what = f"port {port}, for {self.device.name}, is in use; free it, or give another --base-port"
            raise ConfigError([Problem("--base-port", what)]) from exc
        self._server, self._up = server, True
        self.device = replace(self.device, url=f"opc.tcp://{HOST}:{server.bserver.port}")

    async def publish(self, values: FloatArray, ts_ns: int, moved_ns: Mapping[str, int]) -> None:
        """Write what changed.

        Args:
            values: (n,) the published column.
            ts_ns: event time of the step they come from.
            moved_ns: status point → when it last moved, where it ever did.
        """
        if self._server is None or self._doors.silent:
            return
        shown = np.where(self._status, values[self._rows], np.round(values[self._rows], 3))
        changed = np.flatnonzero(shown != self._shown)
        stamp = _moment(ts_ns)
        good, space = ua.StatusCode(ua.StatusCodes.Good), self._server.iserver.aspace
        for k in changed.tolist():
            if self._status[k]:
                value = ua.Variant(int(shown[k]), ua.VariantType.Int32)
                when = _moment(moved_ns.get(self._names[k], ts_ns))
            else:
                value, when = ua.Variant(float(shown[k]), ua.VariantType.Double), stamp
            await space.write_attribute_value(self._nodes[k], ua.AttributeIds.Value, _Frozen(value, good, when))
        self._shown = shown

    async def obey(self, condition: Condition) -> None:
        """Break and mend as the condition says."""
        self._doors.silence(self.device.name in condition.silent)
        down = self.device.name in condition.down
        if down and self._up:
            await self._server.bserver.stop()
            self._up = False
        elif not down and not self._up:
            try:
                await self._server.bserver.start()
                self._up = True
            except OSError as exc:
                _log.warning("%s: cannot come back yet: %s", self.device.name, exc)

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._doors.silence(False)
            await self._server.stop()
            self._server = None


def _moment(ts_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ts_ns // 1_000)
