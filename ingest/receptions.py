"""Do the entries of a point list agree on how devices dial in? :mod:`ingest.listenfile` describes what they say of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ingest.addresses import DialIn, Framing, Reception, ServerTls
from ingest.devices import Kind
from ingest.linkfile import TlsModel
from ingest.listenfile import PUSHED, REGISTER, several
from ingest.modbus.greeting import BY_CERTIFICATE, Template, is_tellable
from ingest.pointfile import DeviceModel, MapModel, ModbusPointModel

__all__ = ["Receptions"]


class Receptions:
    """How devices are received at each address of ours, as the entries of a file say it one after the other.

    Args:
        folder: paths are relative to it.
        complain: takes a problem and its place.
    """

    def __init__(self, folder: Path, complain: Callable[..., None]) -> None:
        self._folder = folder
        self._complain = complain
        self._at: dict[tuple[str, int], Reception] = {}
        self._claims: dict[tuple[str, int, str], tuple[str, Framing | None, str | None]] = {}
        self._units: dict[tuple[str, int, str], set[int]] = {}

    def take(self, index: int, entry: DeviceModel, layout: MapModel, scheme: str, at: tuple[str, int]) -> None:
        """Take what an entry says of its address, and complain of what does not go together."""
        if scheme == PUSHED:
            self._check_pushed(entry.map, layout)
        elif layout.needs is not None and layout.needs.close_after_poll:
            what = "a device that dials in would have to dial again for every poll; remove it"
            self._complain(what, "maps", entry.map, "needs", "close_after_poll")
        tls = None if entry.tls is None else self._tls(index, entry.tls)
        found = Reception(register=entry.register_ or REGISTER, heartbeats=several(entry.heartbeat), tls=tls)
        if found.register == BY_CERTIFICATE and (found.tls is None or found.tls.ca is None or not found.tls.clients_required):
            what = "is for devices that have to show a certificate; give `tls` with `ca`, and no `clients: optional`"
            self._complain(what, "devices", index, "register")
        first = self._at.setdefault(at, found)
        if (first.register, first.heartbeats) != (found.register, found.heartbeats):
            what = "devices at one listener must have the same `register` and `heartbeat`; use another port"
            self._complain(what, "devices", index, "url")
        elif first.tls != found.tls:
            self._complain(
                "devices at one listener must have the same `tls`, but for its `name`; use another port", "devices", index, "url"
            )

    def _check_pushed(self, map_name: str, layout: MapModel) -> None:
        """Complain of what a device cannot write to us."""
        if layout.attributes:
            self._complain("a device that dials in is not asked for texts; remove them", "maps", map_name, "attributes")
        if layout.clock is not None and layout.clock.reg[0] is not Kind.HOLDING:
            what = "a device can write its clock to a holding register only; write `holding` and the address"
            self._complain(what, "maps", map_name, "clock", "reg")
        if layout.clock is not None and layout.clock.since_ns:
            what = "a device that dials in counts since 1970-01-01T00:00:00Z; remove `since`"
            self._complain(what, "maps", map_name, "clock", "since")
        for name, point in layout.points.items():
            if not isinstance(point, ModbusPointModel):
                continue
            tables = {point.reg[0], *(reg[0] for _, reg, _ in point.companions())}
            if layout.quality is not None:
                tables.add(layout.quality.reg[0])
            if point.write or not tables <= {Kind.HOLDING, Kind.COIL}:
                what = "the map is for a device that dials in: it can write registers and coils to us, and we can write nothing to it"
                self._complain(what, "maps", map_name, "points", name)

    def _tls(self, index: int, tls: TlsModel) -> ServerTls | None:
        place = ("devices", index, "tls")
        if tls.cert is None or tls.key is None:
            self._complain("a listener has to show a certificate; give `cert` and `key`", *place)
            return None
        for key in ("clients", "name"):
            if tls.ca is None and getattr(tls, key) is not None:
                self._complain("is about devices' certificates; give `ca`, who vouches for them", *place, key)
        ca = None if tls.ca is None else str(self._folder / tls.ca)
        return ServerTls(
            cert=str(self._folder / tls.cert), key=str(self._folder / tls.key), ca=ca, clients_required=tls.clients != "optional"
        )

    def dial_in(self, at: tuple[str, int], name: str, certificate: str | None) -> DialIn:
        """Return who dials in, of an entry that was taken; ``name`` is what it calls itself."""
        return DialIn(id=name, reception=self._at[at], certificate=certificate)

    def claim(self, index: int, at: tuple[str, int], device: str, dial_in: DialIn, framing: Framing | None, unit: int) -> None:
        """Note that a device is behind an id: devices share one only where all are polled alike. ``framing`` is None of one that writes."""
        name = dial_in.id
        first, *rest = self._claims.setdefault((*at, name), (device, framing, dial_in.certificate))
        if first != device and (framing is None or rest != [framing, dial_in.certificate]):
            what = f"{name} is already the id of {first} there; only devices that are polled alike share one, so give another `id`"
            self._complain(what, "devices", index)
        units = self._units.setdefault((*at, name), set())
        units.add(unit)
        for text in self._at[at].heartbeats:
            if not is_tellable(Template.of(text), framing or Framing.MBAP, frozenset(units)):
                self._complain(f"{text!r} cannot be told from {_lookalike(framing)}", "devices", index, "heartbeat")


def _lookalike(framing: Framing | None) -> str:
    if framing is Framing.RTU:
        return "a reply; it must not begin with a unit's number, or not go on with a function code"
    return "a frame; a heartbeat has at least 3 bytes, of which the third is not 0"
