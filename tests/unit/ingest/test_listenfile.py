"""Devices that dial in, as a point list describes them, and what is said where its entries do not go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.addresses import Framing, ServerTls
from ingest.devices import ModbusDevice, PushDevice
from ingest.pointlist import PointList, read_point_list
from market.errors import ConfigError

MAPS = """\
maps:
  m: {every: 1s, points: {"p/{device}": {reg: holding 0}}}
  close: {every: 1s, needs: {close_after_poll: true}, points: {"p/{device}": {reg: input 0}}}
  coils: {every: 1s, points: {"p/{device}": {reg: coil 0}}}
devices:
"""


def read(folder: Path, *devices: str) -> PointList:
    path = folder / "points.yaml"
    path.write_text(MAPS + "".join(f"- {{area: 1, {device}}}\n" for device in devices))
    return read_point_list(path)


def problems(folder: Path, *devices: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, *devices)
    return [str(problem).split(": ", 1)[1] for problem in caught.value.problems]


def test_meters_behind_one_dtu_share_its_address(tmp_path: Path) -> None:
    first, second, other = read(
        tmp_path,
        'name: "m{1..2}", map: m, url: "modbus+rtu+listen://0.0.0.0:9102", unit: "{1..2}", id: 13800138000, '
        'register: "{hex:7B 01}{id:digits:11}", heartbeat: [ping, "{hex:FEFE}"]',
        'name: o, map: m, url: "modbus+rtu+listen://0.0.0.0:9102", register: "{hex:7B 01}{id:digits:11}", heartbeat: [ping, "{hex:FEFE}"]',
    ).devices
    assert isinstance(first, ModbusDevice)
    assert isinstance(second, ModbusDevice)
    assert isinstance(other, ModbusDevice)
    assert first.address == second.address != other.address
    assert str(first.address) == "13800138000 at 0.0.0.0:9102"
    assert (first.unit_id, second.unit_id) == (1, 2)
    assert first.address.framing is Framing.RTU
    assert first.timeout_s == 3.0
    assert first.address.dial_in is not None
    assert first.address.dial_in.reception.heartbeats == ("ping", "{hex:FEFE}")
    assert other.address.dial_in is not None
    assert other.address.dial_in.id == "o"


def test_certificates_are_relative_to_the_file_and_names_are_counted_along(tmp_path: Path) -> None:
    first, second = read(
        tmp_path,
        'name: "d{1..2}", map: coils, url: "modbus+listen://0.0.0.0:1", '
        'tls: {cert: c.pem, key: c.key, ca: ca.pem, clients: optional, name: "n{1..2}"}',
    ).devices
    assert isinstance(first, PushDevice)
    assert isinstance(second, PushDevice)
    tls = ServerTls(cert=f"{tmp_path}/c.pem", key=f"{tmp_path}/c.key", ca=f"{tmp_path}/ca.pem", clients_required=False)
    assert first.tls == second.tls == tls
    assert (first.dial_in.certificate, second.dial_in.certificate) == ("n1", "n2")
    assert (first.dial_in.id, second.dial_in.id) == ("d1", "d2")


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        (['url: "modbus+rtu+listen://h"'], "has no port; write modbus+rtu+listen://h:port"),
        (['url: "modbus+tcp://h", id: x'], "id: means nothing for modbus+tcp; remove it"),
        (['url: "modbus+tls://h", tls: {clients: optional}'], "tls.clients: means nothing for modbus+tls; remove it"),
        (
            ['url: "modbus+tcp+listen://h:1", register: "RTU"'],
            "'RTU' does not say which device it is; write `(?P<name>...)` around the name",
        ),
        (['url: "modbus+tcp+listen://h:1", heartbeat: "{x}"'], "'{x}' has no field {x}; there are"),
        (['url: "modbus+tcp+listen://h:1", heartbeat: "HB"'], "'HB' cannot be told from a frame; a heartbeat has at least 3 bytes"),
        (['url: "modbus+rtu+listen://h:1", unit: 72, heartbeat: "{hex:48}"'], "'{hex:48}' cannot be told from a reply; it must not begin"),
        (['url: "modbus+tcp+listen://h:1", tls: {ca: ca.pem}'], "tls: a listener has to show a certificate; give `cert` and `key`"),
        (
            ['url: "modbus+tcp+listen://h:1", tls: {cert: c, key: k, name: x}'],
            "tls.name: is about devices' certificates; give `ca`, who vouches for them",
        ),
        (['url: "modbus+tcp+listen://h:1", register: certificate'], "register: is for devices that have to show a certificate; give `tls`"),
        (
            ['url: "modbus+tcp+listen://h:1"', 'url: "modbus+tcp+listen://h:1", tls: {cert: c, key: k}'],
            "devices at one listener must have the same `tls`, but for its `name`; use another port",
        ),
        (
            ['url: "modbus+tcp+listen://h:1", id: x', 'url: "modbus+rtu+listen://h:1", id: x'],
            "x is already the id of d0 there; only devices that are polled alike share one, so give another `id`",
        ),
        (['url: "modbus+listen://h:1", id: x', 'url: "modbus+listen://h:1", id: x'], "x is already the id of d0 there"),
    ],
)
def test_what_does_not_go_together_is_said_with_its_remedy(devices: list[str], said: str, tmp_path: Path) -> None:
    [found] = problems(tmp_path, *(f"name: d{number}, map: m, {device}" for number, device in enumerate(devices)))
    assert said in found


def test_a_device_that_dials_in_cannot_be_closed_after_every_poll(tmp_path: Path) -> None:
    [found] = problems(tmp_path, 'name: d, map: close, url: "modbus+rtu+listen://h:1"')
    assert found == "maps.close.needs.close_after_poll: a device that dials in would have to dial again for every poll; remove it"
