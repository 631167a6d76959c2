r"""Which points are there, on which devices, and how is each read?

A point list is a YAML file of maps and devices. A map lays out one make of device; a device says where it is and which map it has.
Names in a map hold placeholders, and each device fills them in, so that one map serves any number of plants::

    maps:
      feeder:
        order: CDAB                 # ABCD (default) DCBA BADC CDAB; a point may have its own
        base: 1                     # what the maker calls its first register: 0 (default, as on the wire) or 1
        every: 4s                   # period of the points that give none
        points:
          unit/{unit}/mw:          {reg: input 1, type: float32, unit: MW, range: [-10, 500]}
          unit/{unit}/mwh:         {reg: input 3, type: uint64, scale: 0.001, unit: MWh, every: 1m}
          unit/{unit}/setpoint_mw: {reg: holding 1, type: float32, unit: MW, range: [0, 500], write: true}
          switch/{branch}/from:    {reg: holding 9, type: uint16}
          switch/{branch}/alarm:   {reg: holding 10, type: bool, bit: 3}
      pushed:
        every: 10s
        clock: {reg: holding 0, type: uint64, tick: 1ms}    # the device's own time, if it writes it
        points:
          bus/{bus}/kv: {reg: holding 4, scale: 0.01, unit: kV}
      ems:
        every: 2s
        publish: 1s                 # OPC UA: time between publishes; the shortest `every` where not given
        points:
          load/{bus}/mw: {node: "nsu=urn:example:ems;s=Load/{bus}/P", unit: MW}
    devices:
      - {name: rtu-1, area: 1, url: "modbus+tcp://10.0.0.7:502", unit: 1, map: feeder, vars: {unit: 101_CT_1, branch: A1}}
      - {name: "f-{01..12}", area: 1, url: "modbus+tcp://10.0.1.{1..12}", map: feeder, vars: {unit: "u{1..12}", branch: "b{1..12}"}}
      - {name: dtu-7, area: 2, url: "modbus+listen://0.0.0.0:9100", map: pushed, vars: {bus: 215}}
      - {name: ems-1, area: 2, url: "opc.tcp://10.0.2.1:4840", map: ems, vars: {bus: 215}}

``reg`` is a table (``coil``, ``discrete``, ``holding``, ``input``) and an address; ``type`` is bool, int16, uint16 (default), int32,
uint32, int64, uint64, float16, float32, float64, bcd16, bcd32 or bcd64; the value is raw x ``scale`` + ``offset``, as float64, which
is exact for whole numbers up to 2^53. ``{device}`` and ``{area}`` are filled in without being listed in ``vars``. ``{01..12}`` in a
device makes twelve devices; all ranges of one entry run together. ``timeout`` is wall time, 1 s for Modbus and 4 s for OPC UA where
not given.

A Modbus device that is polled may give ``engine: pymodbus``, to be read by pymodbus's client in place of ours: slow, and good for telling
whether a fault lies on the wire or here. A device may be listed twice, once for each engine (:mod:`ingest.modbus.reference`).

Where a device is that is polled (``modbus+tcp``, ``modbus+tls``, ``modbus+rtu+tcp``, ``modbus+rtu``), and what a make of device
``needs`` that others do not, stands in :mod:`ingest.linkfile`.

What the bits of a Modbus point mean beyond their type (``bits``, ``missing``, ``values``, ``labels``, ``scale_from``, ``quality``)
stands in :mod:`ingest.meaningfile`, and points that a SunSpec model names (``sunspec``) in :mod:`ingest.sunspecfile`.

A map may give ``clock``, the device's own time, as a count of ``tick`` ``since`` an instant (1970 in UTC where not given); what it
says is the source time as long as it can be believed. It may list ``attributes``, texts the device keeps about itself, as in
``serial: {reg: holding 60, length: 16}`` (registers) or ``serial: {sunspec: SN}``. It may give ``reorder``, how far samples of its
devices may overtake each other on their way to us: three of its shortest periods, and 5 s at least, where it does not. What is older
than the newest by more is late, and told to nobody.

What a point cannot do, it may say with four keys; a sample that does it is flagged, is no longer good, and keeps its value
(:mod:`ingest.checks`)::

    unit/{u}/mw:  {reg: input 1, type: float32, unit: MW, range: [-10, 500], rate: 50/s, frozen: 10m}
    unit/{u}/mwh: {reg: input 3, type: uint32, scale: 0.001, unit: MWh, counter: {max_power: 500}}
    load/{u}/kwh: {reg: input 5, type: uint32, unit: kWh, counter: {modulus: 10**6, max_power: 9000}}

``range`` is what is plausible, and also what may be written; ``rate`` how far it can move in a time (``/s``, ``/m``, ``/h``); ``frozen``
for how long it never shows the same value but 0. ``counter`` says that it counts up, modulo ``modulus`` (``2**32`` or a number; that of
its type where not given), by at most ``max_power`` units an hour (MW for MWh), which tells a rollover from a reset. ``counter: true``
names neither: then every step back is a reset. ``counter: {difference: "unit/{u}/mwh_read"}`` names one more point, which tells what
was counted from one reading to the next, exact to the count (:mod:`ingest.countdifferences`).

What only OPC UA servers have (``sampling``, ``queue``, ``deadband``, ``mode``, ``security``, ``backfill``) stands in
:mod:`ingest.opcua.entry`.

A device that dials in, to write holding registers and coils to us (``modbus+listen``) or to be polled (``modbus+tcp+listen``,
``modbus+rtu+listen``), says who it is, by ``RTU (?P<name>\S+)\r\n`` where its entry does not say otherwise; what it may say (``register``,
``heartbeat``, ``id``, ``tls``) stands in :mod:`ingest.listenfile`.

Every problem is found before anything connects, and all of them are reported together, each with its line.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ingest.addresses import Address, DialIn, Engine, Manners
from ingest.checkfile import checks_of
from ingest.countdifferences import published_names
from ingest.devices import ClockRegister, Device, ModbusAttribute, ModbusDevice, ModbusPoint, Point, PushDevice, UaDevice, UaPoint
from ingest.frame import point_id
from ingest.linkfile import MODBUS_PORTS, UnusableAddressError, polled_address
from ingest.listenfile import LISTENING, PUSHED
from ingest.meaningfile import meaning_of, word_of
from ingest.pointfile import DeviceModel, FileModel, MapModel, ModbusPointModel, SunspecPointModel, UaPointModel
from ingest.points import PointSpec, PointTable
from ingest.receptions import Receptions
from ingest.stepping import RANGE as _RANGE
from ingest.stepping import span as _span
from ingest.stepping import stepped as _stepped
from ingest.sunspecfile import attributes_of, written_out
from ingest.yamlfile import Located, load_yaml
from market.errors import ConfigError, Problem
from market.units import NS_PER_S

__all__ = ["PointList", "read_point_list"]

_ADDRESSES: Final = 65_536
_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_]\w*)\}")
_PLAIN_NAME: Final = re.compile(r"[^\s{}]+")
_DEVICES_MAX: Final = 100_000
"""Most devices one entry may stand for: more is a slip of the finger in a range."""

_TIMEOUT_NS: Final = dict.fromkeys((*MODBUS_PORTS, PUSHED), NS_PER_S) | dict.fromkeys(LISTENING, 3 * NS_PER_S) | {"opc.tcp": 4 * NS_PER_S}
_SCHEMES: Final = tuple(_TIMEOUT_NS)


@dataclass(frozen=True, slots=True)
class PointList:
    """Every device with its points, in the order of the file."""

    devices: tuple[Device, ...]

    def table(self) -> PointTable:
        """Return the table of all points.

        Raises:
            ConfigError: two points with the same name or id; a list that was read from a file has none.
        """
        return PointTable(
            PointSpec(
                name=name,
                area=device.area,
                device=device.name,
                # A server that has nothing to report still publishes, empty: that is its sign of life.
                period_ns=max(point.period_ns, device.publish_ns) if isinstance(device, UaDevice) else point.period_ns,
                by_exception=isinstance(device, UaDevice),
                reorder_ns=device.reorder_ns,
                unit=point.unit,
                low=point.low if name == point.name else None,
                high=point.high if name == point.name else None,
            )
            for device, point in self.points()
            for name in published_names((point,))
        )

    def points(self) -> Iterator[tuple[Device, Point]]:
        """Yield every point with its device."""
        for device in self.devices:
            for point in device.points:
                yield device, point


def read_point_list(path: str | Path) -> PointList:
    """Read a point list; nothing is connected to.

    Raises:
        ConfigError: with every problem found.
    """
    located = load_yaml(path)
    model = located.validate(FileModel)
    return _Builder(located, model).build()


class _Builder:
    """Fills in templates and checks what a single entry cannot know; collects every problem."""

    def __init__(self, located: Located, model: FileModel) -> None:
        self._located = located
        self._model = model
        self._problems: dict[Problem, int] = {}
        self._maps: dict[str, MapModel | None] = {}
        self._attributes: dict[str, tuple[ModbusAttribute, ...]] = {}
        self._index_of_device: dict[str, int] = {}
        self._device_of_point: dict[int, tuple[str, str]] = {}
        self._receptions = Receptions(located.path.parent, self._complain)

    def build(self) -> PointList:
        given = {str(name): data for name, data in self._located.data["maps"].items()}
        for name, written in self._model.maps.items():
            complain = partial(self._complain_of_map, name)
            self._maps[name] = layout = written_out(written, given[name], complain)
            self._attributes[name] = attributes_of(written, complain)
            if layout is not None:
                self._check_map(name, layout)
        devices = [device for index, entry in enumerate(self._model.devices) for device in self._devices(index, entry)]
        if self._problems:
            raise ConfigError(sorted(self._problems, key=lambda problem: self._problems[problem]))
        return PointList(tuple(devices))

    def _complain(self, what: str, *place: str | int) -> None:
        self._problems[self._located.problem(what, *place)] = self._located.line(*place)

    def _complain_of_map(self, name: str, what: str, *place: str | int) -> None:
        self._complain(what, "maps", name, *place)

    def _check_map(self, name: str, layout: MapModel) -> None:
        for point_name, point in layout.points.items():
            place = ("maps", name, "points", point_name)
            if isinstance(point, UaPointModel) != layout.is_ua:
                self._complain("a map is for Modbus (`reg`) or for OPC UA (`node`), not for both; make two maps", *place)
            if point.every is None and layout.every is None:
                self._complain("has no period; give `every` here or for the whole map", *place)
            if point.frozen is not None and layout.is_ua and layout.mode == "subscribe":
                self._complain("would find nothing, because a server tells only what changes; remove it", *place, "frozen")
            elif point.frozen is not None and point.frozen <= (point.every or layout.every or 0):
                self._complain("is no longer than the point's period, in which it is read once; give more", *place, "frozen")
            if isinstance(point, ModbusPointModel):
                self._check_address(point.reg[1], point.data_type.registers, layout.base, *place, "reg")
                for key, (_, address), registers in point.companions():
                    self._check_address(address, registers, layout.base, *place, key)
            elif layout.mode == "poll":
                for key in sorted({"sampling", "queue", "deadband"} & point.model_fields_set):
                    self._complain("is for subscriptions, and the map has `mode: poll`; remove one", *place, key)
        if layout.quality is not None:
            word = layout.quality
            self._check_address(word.reg[1], word.data_type.registers, layout.base, "maps", name, "quality", "reg")
        if layout.clock is not None:
            self._check_address(layout.clock.reg[1], layout.clock.type.registers, layout.base, "maps", name, "clock", "reg")
        for text in self._attributes[name]:
            self._check_address(text.address + layout.base, text.length, layout.base, "maps", name, "attributes", text.name, "reg")
        of_modbus = ("order", "base", "clock", "needs", "quality", "sunspec", "attributes")
        unfit = of_modbus if layout.is_ua else ("publish", "mode")
        for key in unfit:
            if key in layout.model_fields_set:
                self._complain(f"means nothing for {'OPC UA' if layout.is_ua else 'Modbus'}; remove it", "maps", name, key)
        if layout.is_ua and layout.mode == "poll" and layout.publish is not None:
            self._complain("is for subscriptions, and the map has `mode: poll`; remove one", "maps", name, "publish")

    def _check_address(self, address: int, registers: int, base: int, *place: str | int) -> None:
        if not base <= address <= _ADDRESSES - registers + base:
            self._complain(f"address {address} is outside {base}..{_ADDRESSES - registers + base}; see `base`", *place)

    def _devices(self, index: int, entry: DeviceModel) -> Iterator[Device]:
        """Yield the devices one entry stands for; nothing where it is wrong."""
        layout = self._maps.get(entry.map)
        if layout is None and entry.map in self._maps:
            return
        if layout is None:
            near = difflib.get_close_matches(entry.map, self._model.maps, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else "add it under `maps`"
            self._complain(f"there is no map {entry.map!r}; {remedy}", "devices", index, "map")
            return
        given = [text for value in entry.vars.values() for text in ([value] if isinstance(value, str) else value)]
        texts = [entry.name, entry.area, entry.url, str(entry.unit), entry.id or "", (entry.tls and entry.tls.name) or "", *given]
        counts = {len(_span(found)) for text in texts for found in _RANGE.finditer(text)}
        if len(counts) > 1:
            self._complain(f"ranges of {_listed(counts)} entries in one device; make them equally long", "devices", index)
            return
        if not counts <= set(range(1, _DEVICES_MAX + 1)):
            what = f"a range of {_listed(counts)} devices; write {{first..last}}, at most {_DEVICES_MAX} of them"
            self._complain(what, "devices", index)
            return
        for step in range(max(counts, default=1)):
            device = self._device(index, entry, layout, step)
            if device is not None:
                yield device

    def _device(self, index: int, entry: DeviceModel, layout: MapModel, step: int) -> Device | None:
        found = len(self._problems)
        name, area = _stepped(entry.name, step), _stepped(entry.area, step)
        if not _PLAIN_NAME.fullmatch(name):
            self._complain(f"{name!r} cannot be a name; use no spaces and no braces", "devices", index, "name")
        if self._index_of_device.setdefault(name, index) != index:
            first = self._located.where("devices", self._index_of_device[name])
            self._complain(f"{name} is listed twice, first at {first}; rename one", "devices", index, "name")
        unit_id = _unit_id(_stepped(str(entry.unit), step))
        if unit_id is None:
            self._complain(f"{entry.unit!r} is not a unit id; give a number from 0 to 255", "devices", index, "unit")
        names = {key: _all_stepped(value, step) for key, value in entry.vars.items()} | {"device": [name], "area": [area]}
        points = tuple(self._points(index, entry, layout, names))
        url = self._url(index, entry, layout, _stepped(entry.url, step))
        if len(self._problems) > found or url is None or unit_id is None:
            return None
        scheme, host, port, text = url
        timeout_s = (entry.timeout or _TIMEOUT_NS[scheme]) / NS_PER_S
        if scheme == "opc.tcp":
            ua_points = tuple(point for point in points if isinstance(point, UaPoint))
            publish_ns = layout.publish or min(point.period_ns for point in ua_points)
            return UaDevice(
                name=name,
                area=area,
                url=text,
                publish_ns=publish_ns,
                timeout_s=timeout_s,
                points=ua_points,
                reorder_ns=layout.reorder,
                is_polled=layout.mode == "poll",
                security=None if entry.security is None else entry.security.record(self._located.path.parent),
                backfill_ns=entry.backfill,
            )
        modbus_points = tuple(point for point in points if isinstance(point, ModbusPoint))
        dial_in: DialIn | None = None
        if scheme in LISTENING or scheme == PUSHED:
            certificate = None if entry.tls is None or entry.tls.name is None else _stepped(entry.tls.name, step)
            dial_in = self._receptions.dial_in((host, port), name if entry.id is None else _stepped(entry.id, step), certificate)
            self._receptions.claim(index, (host, port), name, dial_in, LISTENING.get(scheme), unit_id)
        if scheme != PUSHED:
            tls = entry.tls.built(self._located.path.parent) if entry.tls is not None and dial_in is None else None
            listens = None if dial_in is None else Address(host=host, port=port, framing=LISTENING[scheme], dial_in=dial_in)
            return ModbusDevice(
                name=name,
                area=area,
                address=listens or replace(polled_address(text, tls), engine=entry.engine),
                manners=layout.needs.built() if layout.needs is not None else Manners(),
                unit_id=unit_id,
                timeout_s=timeout_s,
                points=modbus_points,
                reorder_ns=layout.reorder,
                clock=_clock(layout),
                attributes=self._attributes[entry.map],
            )
        assert dial_in is not None, "it dials in"
        return PushDevice(
            name=name,
            area=area,
            host=host,
            port=port,
            unit_id=unit_id,
            register=dial_in.reception.register,
            heartbeats=dial_in.reception.heartbeats,
            clock=_clock(layout),
            points=modbus_points,
            reorder_ns=layout.reorder,
            tls=dial_in.reception.tls,
            id="" if dial_in.id == name else dial_in.id,
            certificate=dial_in.certificate,
        )

    def _url(self, index: int, entry: DeviceModel, layout: MapModel, text: str) -> tuple[str, str, int, str] | None:
        """Check a device's address against its map; return scheme, host, port and the whole."""
        place = ("devices", index, "url")
        try:
            url = urlsplit(text)
            host, port = url.hostname, url.port
            if url.scheme in MODBUS_PORTS:
                address = polled_address(text, None)
                host, port = address.host, address.port
        except UnusableAddressError as exc:
            self._complain(str(exc), *place)
            return None
        except ValueError as exc:
            self._complain(f"{text!r} is not an address ({exc}); write modbus+tcp://host:port", *place)
            return None
        if url.scheme not in _SCHEMES or host is None:
            self._complain(f"{text!r} is not an address; write {', '.join(f'{s}://host:port' for s in _SCHEMES)}", *place)
            return None
        if (url.scheme == "opc.tcp") != layout.is_ua:
            other = "OPC UA (`node`)" if layout.is_ua else "Modbus (`reg`)"
            self._complain(f"{url.scheme} cannot read map {entry.map!r}, which is for {other}; change one", *place)
            return None
        if port is None:
            self._complain(f"{text!r} has no port; write {url.scheme}://{host}:port", *place)
            return None
        self._check_extras(index, entry, layout, url.scheme, (host, port))
        return url.scheme, host, port, text

    def _check_extras(self, index: int, entry: DeviceModel, layout: MapModel, scheme: str, at: tuple[str, int]) -> None:
        """Check the keys that only some kinds of device have."""
        dials_in = scheme == PUSHED or scheme in LISTENING
        unfit = set() if dials_in else {"register", "heartbeat", "id"}
        unfit |= {"timeout"} if scheme == PUSHED else set()
        unfit |= {"unit"} if scheme == "opc.tcp" else {"security", "backfill"}
        unfit |= set() if dials_in or scheme == "modbus+tls" else {"tls"}
        unfit |= set() if scheme in MODBUS_PORTS else {"engine"}
        for key in sorted(unfit):
            if (f"{key}_" if key == "register" else key) in entry.model_fields_set:
                self._complain(f"means nothing for {scheme}; remove it", "devices", index, key)
        if scheme == "modbus+tls" and entry.tls is not None and entry.tls.clients is not None:
            self._complain(f"means nothing for {scheme}; remove it", "devices", index, "tls", "clients")
        if scheme == "modbus+tls" and entry.engine is Engine.PYMODBUS:
            what = "pymodbus takes each record of TLS for a whole reply; remove it, or read without TLS"
            self._complain(what, "devices", index, "engine")
        if dials_in:
            self._receptions.take(index, entry, layout, scheme, at)

    def _points(self, index: int, entry: DeviceModel, layout: MapModel, names: Mapping[str, Sequence[str]]) -> Iterator[Point]:
        used: set[str] = set()
        for template, model in layout.points.items():
            difference = "" if model.counter is None else model.counter.difference or ""
            wanted = set(_PLACEHOLDER.findall(template + (model.node if isinstance(model, UaPointModel) else "") + difference))
            used |= wanted
            if missing := wanted - set(names):
                what = f"map {entry.map!r} needs {_listed(missing)} for {template}; add to `vars`"
                self._complain(what, "devices", index)
                continue
            assert not isinstance(model, SunspecPointModel), "it has been written out"
            for some in _each(names, wanted):
                name = _filled(template, some)
                if not _PLAIN_NAME.fullmatch(name):
                    what = f"{name!r} cannot be a point's name; use no spaces, and braces for placeholders only"
                    self._complain(what, "maps", entry.map, "points", template)
                    continue
                self._claim(index, names["device"][0], name)
                if difference and not _PLAIN_NAME.fullmatch(beside := _filled(difference, some)):
                    what = f"{beside!r} cannot be a point's name; use no spaces, and braces for placeholders only"
                    self._complain(what, "maps", entry.map, "points", template, "counter", "difference")
                elif difference:
                    self._claim(index, names["device"][0], beside)
                yield _point(name, model, layout, some)
        for unused in sorted(set(entry.vars) - used):
            self._complain(f"map {entry.map!r} has no placeholder {{{unused}}}; remove or correct it", "devices", index, "vars", unused)

    def _claim(self, index: int, device: str, name: str) -> None:
        """Note whose point a name is; two points of one name, or of one id, cannot be told apart downstream."""
        number = point_id(name)
        if number not in self._device_of_point:
            self._device_of_point[number] = (device, name)
            return
        owner, twin = self._device_of_point[number]
        what = f"is already on device {owner}" if twin == name else f"has the same id as {twin} on device {owner}"
        self._complain(f"point {name} {what}; rename one", "devices", index)


def _point(name: str, model: ModbusPointModel | UaPointModel, layout: MapModel, names: Mapping[str, str]) -> Point:
    low, high = model.range if model.range is not None else (None, None)
    # A map without a period has been complained about; its points are never used.
    period_ns = model.every or layout.every or NS_PER_S
    if isinstance(model, UaPointModel):
        return UaPoint(
            name=name,
            unit=model.unit,
            scale=model.scale,
            offset=model.offset,
            low=low,
            high=high,
            period_ns=period_ns,
            writable=model.write,
            checks=checks_of(model, None, partial(_filled, names=names)),
            node=_filled(model.node, names),
            sampling_ns=model.sampling,
            queue=model.queue,
            deadband=model.deadband,
        )
    kind, address = model.reg
    word = None if layout.quality is None else word_of(layout.quality, layout.base, layout.order)
    return ModbusPoint(
        name=name,
        unit=model.unit,
        scale=model.scale,
        offset=model.offset,
        low=low,
        high=high,
        period_ns=period_ns,
        writable=model.write,
        checks=checks_of(model, model.data_type, partial(_filled, names=names)),
        kind=kind,
        address=address - layout.base,
        type=model.data_type,
        bit=model.bit,
        order=model.order or layout.order,
        meaning=meaning_of(model, model.data_type, base=layout.base, order=model.order or layout.order, word=word),
    )


def _clock(layout: MapModel) -> ClockRegister | None:
    return None if layout.clock is None else layout.clock.register(layout.base, layout.order)


def _filled(template: str, names: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: names[found[1]], template)


def _each(names: Mapping[str, Sequence[str]], wanted: Iterable[str]) -> Iterator[Mapping[str, str]]:
    """Yield every choice of one value for each wanted placeholder, the last one changing fastest."""
    keys = sorted(wanted)
    for values in itertools.product(*(names[key] for key in keys)):
        yield dict(zip(keys, values, strict=True))


def _all_stepped(given: str | Sequence[str], step: int) -> list[str]:
    return [_stepped(text, step) for text in ([given] if isinstance(given, str) else given)]


def _unit_id(text: str) -> int | None:
    return int(text) if text.isdecimal() and int(text) <= 255 else None


def _listed(items: Iterable[object]) -> str:
    return ", ".join(sorted(str(item) for item in items))
