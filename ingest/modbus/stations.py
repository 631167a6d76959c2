"""Which devices of a point list dial in, and at which address of ours is each received?"""

from __future__ import annotations

from collections.abc import Callable

from ingest.addresses import Address, Reception
from ingest.devices import PushDevice
from ingest.modbus.dialled import DialledLink, DialledStation
from ingest.modbus.listener import Listener
from ingest.modbus.pushing import PushStation
from ingest.modbus.reception import Station
from ingest.source import Source
from ingest.turns import Turns

__all__ = ["Stations"]


class Stations:
    """Collects who may dial in where.

    Args:
        turns: event time.
    """

    def __init__(self, turns: Turns) -> None:
        self._clock = turns.clock
        self._at: dict[tuple[str, int], tuple[Reception, list[Station]]] = {}
        self._polled: dict[Address, DialledStation] = {}

    def push(self, device: PushDevice, source: Source) -> None:
        """Add a device that writes to us."""
        self._add((device.host, device.port), PushStation(device, source, self._clock))

    def poll(self, link: DialledLink, source: Source, unit: int) -> None:
        """Add a device that is polled over a link; several share one."""
        station = self._polled.get(link.address)
        if station is None:
            station = self._polled[link.address] = DialledStation(link)
            self._add((link.address.host, link.address.port), station)
        station.serve(source, unit)

    def _add(self, at: tuple[str, int], station: Station) -> None:
        self._at.setdefault(at, (station.dial_in.reception, []))[1].append(station)

    def listeners(self, source: Callable[[str], Source]) -> list[Listener]:
        """Return a listener for each address; ``source`` makes what counts whom no device knows, by the name of the address."""
        return [
            Listener((host, port), reception, stations, source(f"modbus+listen://{host}:{port}"), self._clock)
            for (host, port), (reception, stations) in self._at.items()
        ]
