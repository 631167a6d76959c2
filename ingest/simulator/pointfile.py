"""What does the point list of the simulated field say?

One map per device, because no two are alike, and one line per point, as an engineer would write them down in a commissioning sheet.
Read back by :func:`ingest.pointlist.read_point_list` it gives the very devices it was written from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from ingest.devices import ModbusDevice, ModbusPoint, Order, Point, PushDevice, UaDevice, UaPoint
from ingest.pointchecks import PointChecks
from ingest.simulator.devices import FieldDevices
from ingest.yamlfile import duration_text
from market.units import NS_PER_S

__all__ = ["point_list_yaml"]


def point_list_yaml(devices: FieldDevices) -> str:
    """Return the point list of placed devices, as YAML."""
    entries: list[tuple[ModbusDevice | PushDevice | UaDevice, int]] = []
    for server in devices.modbus:
        entries += zip(server.devices, server.base, strict=True)
    entries += [(device, 0) for device in devices.ua]
    entries += [(device, 0) for device in devices.rtus]
    lines = ["# The simulated field. Written at its start; do not edit.", "maps:"]
    for device, base in entries:
        lines += _map(device, base)
    lines.append("devices:")
    lines += [f"- {_flow(_device(device))}" for device, _ in entries]
    return "\n".join(lines) + "\n"


def _map(device: ModbusDevice | PushDevice | UaDevice, base: int) -> Iterator[str]:
    yield f"  {device.name}:"
    if isinstance(device, UaDevice):
        yield f"    publish: {duration_text(device.publish_ns)}"
    else:
        yield f"    base: {base}"
    order = device.points[0].order if isinstance(device.points[0], ModbusPoint) else None
    if order is not None:
        yield f"    order: {order}"
    if isinstance(device, PushDevice) and device.clock is not None:
        clock = device.clock
        yield f"    clock: {{reg: holding {clock.address}, type: {clock.type}, tick: {duration_text(clock.tick_ns)}}}"
    every_ns = device.points[0].period_ns
    yield f"    every: {duration_text(every_ns)}"
    yield "    points:"
    for point in device.points:
        yield f"      {point.name}: {_flow(_point(point, base, order, every_ns))}"


def _point(point: Point, base: int, order: Order | None, every_ns: int) -> dict[str, object]:
    said: dict[str, object] = {}
    if isinstance(point, UaPoint):
        said["node"] = point.node
    if isinstance(point, ModbusPoint):
        said["reg"] = f"{point.kind} {point.address + base}"
        said["type"] = str(point.type)
        if point.order is not order:
            said["order"] = str(point.order)
    if point.unit:
        said["unit"] = point.unit
    if point.scale != 1.0:
        said["scale"] = point.scale
    if point.low is not None and point.high is not None:
        said["range"] = [point.low, point.high]
    if point.checks is not None:
        said |= _checks(point.checks)
    if point.period_ns != every_ns:
        said["every"] = duration_text(point.period_ns)
    if point.writable:
        said["write"] = True
    return said


def _checks(checks: PointChecks) -> dict[str, object]:
    said: dict[str, object] = {}
    if checks.rate_per_s is not None:
        said["rate"] = f"{checks.rate_per_s!r}/s"
    if checks.frozen_ns is not None:
        said["frozen"] = duration_text(checks.frozen_ns)
    if checks.counter is not None:
        given = {"modulus": checks.counter.modulus, "max_power": checks.counter.max_per_h, "difference": checks.counter.difference}
        said["counter"] = {key: value for key, value in given.items() if value is not None}
    return said


def _device(device: ModbusDevice | PushDevice | UaDevice) -> dict[str, object]:
    said: dict[str, object] = {"name": device.name, "area": device.area}
    if isinstance(device, UaDevice):
        return said | {"url": device.url, "map": device.name, "timeout": duration_text(round(device.timeout_s * NS_PER_S))}
    scheme = "modbus+listen" if isinstance(device, PushDevice) else "modbus+tcp"
    said |= {"url": f"{scheme}://{device.host}:{device.port}", "map": device.name, "unit": device.unit_id}
    return said if isinstance(device, PushDevice) else said | {"timeout": duration_text(round(device.timeout_s * NS_PER_S))}


def _flow(said: dict[str, object]) -> str:
    """Write a mapping on one line. JSON's quoting is YAML's, for the plain text and numbers here."""
    return "{" + ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in said.items()) + "}"
