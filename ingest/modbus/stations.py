"""Which devices dial in, and at which address of ours is each received?"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ingest.addresses import Address, DialIn, Reception
from ingest.devices import Device, ModbusDevice, PushDevice
from ingest.modbus.dialled import DialledLink, DialledStation
from ingest.modbus.listener import Listener
from ingest.modbus.pushing import PushStation
from ingest.source import Source
from ingest.turns import Turns

__all__ = ["Stations"]

_At = tuple[str, int]


class Stations:
    """The listeners, and who may dial in at each.

    Args:
        turns: event time.
        own: makes what counts whom no device knows, by the name of an address of ours.
    """

    def __init__(self, turns: Turns, own: Callable[[str], Source]) -> None:
        self._clock = turns.clock
        self._own = own
        self._at: dict[_At, Listener] = {}
        self._polled: dict[Address, DialledStation] = {}

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Every listener."""
        return tuple(self._at.values())

    # ---- who may dial in ------------------------------------------------------------------------------------------------------

    def push(self, device: PushDevice, source: Source) -> list[tuple[Source, Listener]]:
        """Let a device dial in that writes to us; returns the listener that is new for it, with what it counts by."""
        made = self._listener((device.host, device.port), device.dial_in.reception)
        self._at[device.host, device.port].admit(PushStation(device, source, self._clock))
        return made

    def poll(self, link: DialledLink, source: Source, unit: int) -> list[tuple[Source, Listener]]:
        """Let a device dial in that is polled over a link, which several share; returns as :meth:`push`."""
        at = (link.address.host, link.address.port)
        station = self._polled.get(link.address)
        made: list[tuple[Source, Listener]] = []
        if station is None:
            station = self._polled[link.address] = DialledStation(link)
            made = self._listener(at, station.dial_in.reception)
            self._at[at].admit(station)
        station.serve(source, unit)
        return made

    def _listener(self, at: _At, reception: Reception) -> list[tuple[Source, Listener]]:
        if at in self._at:
            return []
        listener = self._at[at] = Listener(at, reception, (), self._own(f"modbus+listen://{at[0]}:{at[1]}"), self._clock)
        return [(listener.own, listener)]

    def dismiss(self, device: Device) -> None:
        """Let a device dial in no more, and close its socket, if it has one for itself; nothing where it does not dial in."""
        match device:
            case PushDevice():
                self._at[device.host, device.port].dismiss(device.dial_in)
            case ModbusDevice() if (station := self._polled.get(device.address)) is not None and station.part_with(device.name):
                del self._polled[device.address]
                self._at[device.address.host, device.address.port].dismiss(station.dial_in)

    # ---- another list ---------------------------------------------------------------------------------------------------------

    def wanted(self, devices: Iterable[Device]) -> tuple[list[Listener], list[tuple[Listener, Reception]]]:
        """Return what has to change before another list of devices can be listened for.

        Returns:
            The listeners that are not there yet, made and not open; and those that have to receive in another way, and in which.
        """
        receptions = _receptions(devices)
        changed = [
            (listener, receptions[at]) for at, listener in self._at.items() if at in receptions and receptions[at] != listener.reception
        ]
        fresh = [listener for at in sorted(set(receptions) - set(self._at)) for _, listener in self._listener(at, receptions[at])]
        return fresh, changed

    def unneeded(self, devices: Iterable[Device]) -> list[Listener]:
        """Return the listeners at whose address none of these devices dials in."""
        needed = _receptions(devices)
        return [listener for at, listener in self._at.items() if at not in needed]

    def forget(self, listener: Listener) -> None:
        """Know a listener no more."""
        self._at = {at: other for at, other in self._at.items() if other is not listener}


def _receptions(devices: Iterable[Device]) -> dict[_At, Reception]:
    """Return how devices are received at each address."""
    receptions: dict[_At, Reception] = {}
    for device in devices:
        match device:
            case PushDevice():
                receptions[device.host, device.port] = device.dial_in.reception
            case ModbusDevice(address=Address(dial_in=DialIn(reception=reception))):
                receptions[device.address.host, device.address.port] = reception
            case _:
                pass
    return receptions
