"""What changes for whom when one point list takes the place of another?

A device is known by its name. One whose whole description is the same is *kept*, and notices nothing; *changed* is one of which
anything is different, be it one register of one point. A point is *withdrawn* from a device when no device has it any more: whoever
looks at it has to be told that nothing will come. One that moves to another device is not.

Lists in, differences out: nothing here is read or connected to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ingest.addresses import Address, Manners
from ingest.countdifferences import published_names
from ingest.devices import Device, ModbusDevice
from ingest.pointlist import PointList

__all__ = ["Relisting", "relisting", "shared_manners"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relisting:
    """The difference between two lists, each device once, in the order of the list it is from.

    Attributes:
        kept: devices that are the same in both.
        changed: devices that are in both, as the new list has them.
        added: devices of the new list only.
        removed: devices of the old list only.
        withdrawn: names of the points that no device has any more, by the device that had them; devices without any are left out.
    """

    kept: tuple[Device, ...]
    changed: tuple[Device, ...]
    added: tuple[Device, ...]
    removed: tuple[Device, ...]
    withdrawn: Mapping[str, tuple[str, ...]]

    @property
    def is_empty(self) -> bool:
        """Whether both lists say the same."""
        return not (self.changed or self.added or self.removed)

    def __str__(self) -> str:
        counts = ((self.changed, "changed"), (self.added, "added"), (self.removed, "removed"), (self.kept, "kept"))
        return ", ".join(f"{len(devices)} {what}" for devices, what in counts)


def relisting(old: PointList, new: PointList) -> Relisting:
    """Compare two lists."""
    before = {device.name: device for device in old.devices}
    after = {device.name: device for device in new.devices}
    listed = {name for device in new.devices for name in published_names(device.points)}
    withdrawn = {device.name: tuple(name for name in published_names(device.points) if name not in listed) for device in old.devices}
    return Relisting(
        kept=tuple(device for device in new.devices if before.get(device.name) == device),
        changed=tuple(device for device in new.devices if device.name in before and before[device.name] != device),
        added=tuple(device for device in new.devices if device.name not in before),
        removed=tuple(device for device in old.devices if device.name not in after),
        withdrawn={device: points for device, points in withdrawn.items() if points},
    )


def shared_manners(devices: Iterable[Device]) -> dict[Address, Manners]:
    """Return what the peer at each address needs: devices that share a connection get what any of them needs."""
    shared: dict[Address, Manners] = {}
    for device in devices:
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
