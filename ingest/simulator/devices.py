"""Which device serves which point, and in which registers?

The records are ingest's own (:mod:`ingest.devices`), so a point list written from them and read back must equal them. What makes the
field a fair test is its variety: five makes of plant controller and three of feeder meter, which between them use the four byte
orders, six types, both tables of registers, first registers called 0 and 1, holes between blocks, and several devices behind one
address.

* A plant controller stands at every bus with dispatchable or renewable units. Those of buses with a single unit sit, by area, behind
  gateways that serve up to four of them under their unit ids.
* A feeder meter serves up to six load buses of an area, and the rooftop PV there.
* An OPC UA server per area serves its substations: voltages, the branch ends and switches at its buses; that of the first area also
  says which control site is in charge.
* An RTU per area dials in and pushes frequency and net export, with the time of its own clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from ingest.addresses import Address
from ingest.devices import ClockRegister, DataType, ModbusDevice, ModbusPoint, Order, PushDevice, UaDevice, UaPoint
from ingest.devices import Kind as Table
from ingest.pointchecks import CounterCheck, PointChecks
from ingest.simulator.faults import Targets
from ingest.simulator.readings import SITES
from market.offers import Control, Unit
from market.rts_gmlc import RtsCase
from market.units import NS_PER_MIN, NS_PER_MS, NS_PER_S

__all__ = ["HOST", "WALL_PERIOD_S", "FieldDevices", "Server", "field_devices", "namespace"]

HOST: Final = "127.0.0.1"
WALL_PERIOD_S: Final = 0.25
"""Least wall time between two readings of a point that the point list asks for, whatever the speed of event time."""
_TIMEOUT_S: Final = (0.4, 1.0)
_TIMEOUT_EVENT_S: Final = 24.0
"""A silent device behind a gateway holds up its neighbours for a timeout: at high speed it must be shorter than they may be quiet."""

_UNITS_PER_GATEWAY: Final = 4
_BUSES_PER_FEEDER: Final = 6
_CLOCK_TICK_NS: Final = NS_PER_MS
_FEEDER_MW: Final = (-5.0, 1000.0)
_CATCH_UP: Final = 10.0
"""By how much a counter may count faster than its unit can give: a field that fell behind its fast clock catches up in one step."""

_HZ_PER_S: Final = 2.0
"""More than a grid can do that is still one."""

_FROZEN_PERIODS: Final = 30
"""For so many readings in a row, and ten minutes, no load and no frequency stays the same to the last digit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Make:
    """How one make of device lays out its values.

    Attributes:
        order: byte order.
        base: what the maker calls its first register.
        table: where measurements are.
        power: type of power values; ``power_scale``: MW per count (1 for floats).
        energy: type of energy counters; ``energy_scale``: MWh per count.
        blocks: first address of the power, availability, energy and set-point blocks.
        stride: registers from one value of a block to the next; more than the type takes leaves holes.
    """

    order: Order
    base: int
    table: Table
    power: DataType
    power_scale: float
    energy: DataType
    energy_scale: float
    blocks: tuple[int, int, int, int]
    stride: int


_PLANT_MAKES: Final = (
    _Make(
        order=Order.ABCD,
        base=0,
        table=Table.INPUT,
        power=DataType.FLOAT32,
        power_scale=1.0,
        energy=DataType.UINT32,
        energy_scale=0.01,
        blocks=(0, 16, 64, 0),
        stride=2,
    ),
    _Make(
        order=Order.CDAB,
        base=1,
        table=Table.HOLDING,
        power=DataType.INT32,
        power_scale=0.001,
        energy=DataType.UINT32,
        energy_scale=0.001,
        blocks=(0, 100, 200, 300),
        stride=2,
    ),
    _Make(
        order=Order.DCBA,
        base=0,
        table=Table.HOLDING,
        power=DataType.FLOAT64,
        power_scale=1.0,
        energy=DataType.UINT64,
        energy_scale=0.001,
        blocks=(0x100, 0x120, 0x140, 0x200),
        stride=4,
    ),
    _Make(
        order=Order.BADC,
        base=0,
        table=Table.INPUT,
        power=DataType.UINT32,
        power_scale=0.001,
        energy=DataType.UINT32,
        energy_scale=0.01,
        blocks=(1000, 1050, 1100, 500),
        stride=2,
    ),
    _Make(
        order=Order.ABCD,
        base=1,
        table=Table.INPUT,
        power=DataType.INT16,
        power_scale=0.1,
        energy=DataType.UINT32,
        energy_scale=0.01,
        blocks=(0, 1, 60, 9),
        stride=5,
    ),
)

_FEEDER_MAKES: Final = (
    _Make(
        order=Order.CDAB,
        base=1,
        table=Table.INPUT,
        power=DataType.FLOAT32,
        power_scale=1.0,
        energy=DataType.UINT32,
        energy_scale=0.01,
        blocks=(0, 0, 60, 0),
        stride=2,
    ),
    _Make(
        order=Order.ABCD,
        base=0,
        table=Table.HOLDING,
        power=DataType.INT32,
        power_scale=0.001,
        energy=DataType.UINT64,
        energy_scale=0.001,
        blocks=(200, 0, 400, 0),
        stride=6,
    ),
    _Make(
        order=Order.BADC,
        base=0,
        table=Table.INPUT,
        power=DataType.UINT16,
        power_scale=0.01,
        energy=DataType.UINT32,
        energy_scale=0.01,
        blocks=(16, 0, 128, 0),
        stride=3,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One Modbus address: a device of its own, or a gateway with several.

    Attributes:
        base: what its makers call the first register, for each device.
    """

    name: str
    devices: tuple[ModbusDevice, ...]
    base: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDevices:
    """Every device of the field; ports are 0 until they are placed."""

    modbus: tuple[Server, ...]
    ua: tuple[UaDevice, ...]
    rtus: tuple[PushDevice, ...]

    @property
    def targets(self) -> Targets:
        """What of it can break; branches are named after the ends that are served."""
        served = {device.name for server in self.modbus for device in server.devices} | {device.name for device in self.ua}
        branches = {point.name.split("/")[1] for device in self.ua for point in device.points if point.name.startswith("switch/")}
        return Targets(branches=frozenset(branches), devices=frozenset(served), rtus=frozenset(rtu.name for rtu in self.rtus))


def namespace(area: str) -> str:
    """Return the namespace URI of an area's OPC UA server."""
    return f"urn:gridfuse:simulator:{area}"


def field_devices(case: RtsCase, speed: float, push_target: tuple[str, int] | None) -> FieldDevices:
    """Lay out the field of a case.

    Args:
        case: network and units.
        speed: event seconds per wall second; where it is high the points' periods grow, so that no device is asked for a value more
            often than every :data:`WALL_PERIOD_S` of wall time.
        push_target: (host, port) the RTUs dial; without it there are none.
    """
    periods = _Periods(speed)
    areas = sorted(set(case.network.bus_area))
    rtus = tuple(_rtu(area, push_target, periods) for area in areas) if push_target else ()
    return FieldDevices(
        modbus=(*_plants(case, periods), *_feeders(case, periods)),
        ua=tuple(_substations(case, area, periods, with_sites=area == areas[0]) for area in areas),
        rtus=rtus,
    )


class _Periods:
    """Event time between readings, ns, and wall time to wait for one, s."""

    def __init__(self, speed: float) -> None:
        least_ns = ceil(WALL_PERIOD_S * speed) * NS_PER_S
        self.fast_ns = max(NS_PER_S, least_ns)
        self.meter_ns = max(4 * NS_PER_S, least_ns)
        self.slow_ns = max(NS_PER_MIN, least_ns)
        self.frozen_ns = max(10 * NS_PER_MIN, _FROZEN_PERIODS * self.meter_ns)
        self.timeout_s = max(_TIMEOUT_S[0], min(_TIMEOUT_S[1], _TIMEOUT_EVENT_S / speed))


def _plants(case: RtsCase, periods: _Periods) -> Iterator[Server]:
    """Yield the plant controllers, then the gateways in front of those of single units."""
    units = [unit for unit in case.units if unit.control is not Control.FIXED]
    at_bus = {bus: [unit for unit in units if unit.bus == bus] for bus in case.network.bus_ids}
    singles: dict[str, list[tuple[Unit, _Make]]] = {}
    for number, (bus, here) in enumerate((bus, here) for bus, here in at_bus.items() if here):
        make = _PLANT_MAKES[number % len(_PLANT_MAKES)]
        if len(here) == 1:
            singles.setdefault(here[0].area, []).append((here[0], make))
            continue
        device = _modbus(
            f"plant-{bus}", here[0].area, 1, [p for k, unit in enumerate(here) for p in _unit_points(unit, k, make, periods)], periods
        )
        yield Server(name=device.name, devices=(device,), base=(make.base,))
    for area, behind in singles.items():
        for first in range(0, len(behind), _UNITS_PER_GATEWAY):
            group = behind[first : first + _UNITS_PER_GATEWAY]
            devices = [
                _modbus(f"plant-{unit.bus}", area, number, list(_unit_points(unit, 0, make, periods)), periods)
                for number, (unit, make) in enumerate(group, 1)
            ]
            yield Server(
                name=f"gateway-{area}{chr(ord('a') + first // _UNITS_PER_GATEWAY)}",
                devices=tuple(devices),
                base=tuple(make.base for _, make in group),
            )


def _unit_points(unit: Unit, place: int, make: _Make, periods: _Periods) -> Iterator[ModbusPoint]:
    power, available, energy, setpoint = make.blocks
    margin_mw = 1.0 + 0.05 * unit.p_max_mw
    low_mw, high_mw = -round(margin_mw, 1), round(unit.p_max_mw + margin_mw, 1)
    yield _power(f"unit/{unit.id}/mw", power, place, make, periods, low_mw, high_mw)
    if unit.control is Control.CURTAILABLE:
        yield _power(f"unit/{unit.id}/available_mw", available, place, make, periods, low_mw, high_mw)
    yield _energy(f"unit/{unit.id}/mwh", energy, place, make, periods, high_mw)
    set_type = DataType.UINT16 if make.power is DataType.INT16 else make.power
    yield replace(
        _power(f"unit/{unit.id}/setpoint_mw", setpoint, place, make, periods, 0.0, high_mw),
        kind=Table.HOLDING,
        type=set_type,
        period_ns=periods.slow_ns,
        writable=True,
    )


def _feeders(case: RtsCase, periods: _Periods) -> Iterator[Server]:
    net = case.network
    rooftop = {bus: [u for u in case.units if u.control is Control.FIXED and u.bus == bus] for bus in net.bus_ids}
    number = 0
    for area in sorted(set(net.bus_area)):
        buses = [bus for bus, of in zip(net.bus_ids, net.bus_area, strict=True) if of == area]
        buses = [bus for bus in buses if case.load_share[net.bus_index[bus]] > 0 or rooftop[bus]]
        groups = [buses[k : k + _BUSES_PER_FEEDER] for k in range(0, len(buses), _BUSES_PER_FEEDER)]
        for letter, group in zip("abcdefghij", groups, strict=False):
            make = _FEEDER_MAKES[number % len(_FEEDER_MAKES)]
            number += 1
            names = [f"load/{bus}" for bus in group if case.load_share[net.bus_index[bus]] > 0]
            names += [f"unit/{unit.id}" for bus in group for unit in rooftop[bus]]
            points = [_power(f"{name}/mw", make.blocks[0], k, make, periods, *_FEEDER_MW) for k, name in enumerate(names)]
            still = PointChecks(frozen_ns=periods.frozen_ns)
            points = [replace(point, checks=still) if point.name.startswith("load/") else point for point in points]
            points += [_energy(f"{name}/mwh", make.blocks[2], k, make, periods, _FEEDER_MW[1]) for k, name in enumerate(names)]
            device = _modbus(f"feeder-{area}{letter}", area, 1, points, periods)
            yield Server(name=device.name, devices=(device,), base=(make.base,))


def _power(name: str, block: int, place: int, make: _Make, periods: _Periods, low_mw: float, high_mw: float) -> ModbusPoint:
    return ModbusPoint(
        name=name,
        unit="MW",
        scale=make.power_scale,
        offset=0.0,
        low=low_mw,
        high=high_mw,
        period_ns=periods.meter_ns,
        writable=False,
        kind=make.table,
        address=block + place * max(make.stride, make.power.registers),
        type=make.power,
        bit=None,
        order=make.order,
    )


def _energy(name: str, block: int, place: int, make: _Make, periods: _Periods, max_mw: float) -> ModbusPoint:
    return ModbusPoint(
        name=name,
        unit="MWh",
        scale=make.energy_scale,
        offset=0.0,
        low=None,
        high=None,
        period_ns=periods.slow_ns,
        writable=False,
        checks=PointChecks(counter=CounterCheck(modulus=2 ** (16 * make.energy.registers), max_per_h=_CATCH_UP * max_mw)),
        kind=make.table,
        address=block + place * make.energy.registers,
        type=make.energy,
        bit=None,
        order=make.order,
    )


def _modbus(name: str, area: str, unit_id: int, points: Sequence[ModbusPoint], periods: _Periods) -> ModbusDevice:
    return ModbusDevice(
        name=name, area=area, address=Address(host=HOST), unit_id=unit_id, timeout_s=periods.timeout_s, points=tuple(points)
    )


def _substations(case: RtsCase, area: str, periods: _Periods, *, with_sites: bool) -> UaDevice:
    net = case.network

    def point(name: str, unit: str, low: float | None, high: float | None) -> UaPoint:
        node = f"nsu={namespace(area)};s={name}"
        return UaPoint(
            name=name, unit=unit, scale=1.0, offset=0.0, low=low, high=high, period_ns=periods.fast_ns, writable=False, node=node
        )

    points = [
        point(f"bus/{bus}/kv", "kV", 0.0, round(1.15 * kv, 1))
        for bus, of, kv in zip(net.bus_ids, net.bus_area, net.base_kv.tolist(), strict=True)
        if of == area
    ]
    for end, buses in (("from", net.from_bus), ("to", net.to_bus)):
        mine = [k for k in range(net.n_branches) if net.bus_area[buses[k]] == area]
        limit_mw = [3.0 * float(net.rate_mw[k]) for k in mine]
        points += [point(f"branch/{net.branch_ids[k]}/{end}_mw", "MW", -mw, mw) for k, mw in zip(mine, limit_mw, strict=True)]
        points += [point(f"switch/{net.branch_ids[k]}/{end}", "", 0.0, 3.0) for k in mine]
    if with_sites:
        points += [point(f"site/{site}", "", 0.0, 1.0) for site in SITES]
    return UaDevice(
        name=f"scada-{area}", area=area, url=f"opc.tcp://{HOST}:0", publish_ns=periods.fast_ns, timeout_s=2.0, points=tuple(points)
    )


def _rtu(area: str, target: tuple[str, int], periods: _Periods) -> PushDevice:
    order = tuple(Order)[int(area) % len(Order)] if area.isdecimal() else Order.ABCD

    def point(name: str, unit: str, address: int, low: float, high: float, checks: PointChecks | None = None) -> ModbusPoint:
        return ModbusPoint(
            name=name,
            unit=unit,
            scale=1.0,
            offset=0.0,
            low=low,
            high=high,
            period_ns=periods.fast_ns,
            writable=False,
            checks=checks,
            kind=Table.HOLDING,
            address=address,
            type=DataType.FLOAT32,
            bit=None,
            order=order,
        )

    return PushDevice(
        name=f"rtu-{area}",
        area=area,
        host=target[0],
        port=target[1],
        unit_id=1,
        register=r"RTU (?P<name>\S+)\r\n",
        clock=ClockRegister(address=0, type=DataType.UINT64, order=order, tick_ns=_CLOCK_TICK_NS),
        points=(
            point(f"area/{area}/hz", "Hz", 4, 45.0, 55.0, PointChecks(rate_per_s=_HZ_PER_S, frozen_ns=periods.frozen_ns)),
            point(f"area/{area}/interchange_mw", "MW", 6, -3000.0, 3000.0),
        ),
    )
