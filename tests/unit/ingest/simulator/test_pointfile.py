"""The point list read back gives the devices it was written from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ingest.pointlist import read_point_list
from ingest.simulator.devices import FieldDevices, field_devices
from ingest.simulator.pointfile import point_list_yaml
from ingest.simulator.readings import Instruments
from tests.kit.simulated_grid import SEED, physics


def placed() -> FieldDevices:
    devices = field_devices(physics().case, 60.0, ("127.0.0.1", 9100))
    modbus = [
        replace(server, devices=tuple(replace(device, address=replace(device.address, port=5020 + k)) for device in server.devices))
        for k, server in enumerate(devices.modbus)
    ]
    ua = [replace(device, url=f"opc.tcp://127.0.0.1:{4840 + k}") for k, device in enumerate(devices.ua)]
    return FieldDevices(modbus=tuple(modbus), ua=tuple(ua), rtus=devices.rtus)


@pytest.mark.slow  # a list of 1144 points, written and read
def test_written_and_read_back_the_devices_are_equal(tmp_path: Path) -> None:
    devices = placed()
    path = tmp_path / "points.yaml"
    path.write_text(point_list_yaml(devices), encoding="utf-8")
    points = read_point_list(path)
    expected = [*(device for server in devices.modbus for device in server.devices), *devices.ua, *devices.rtus]
    assert list(points.devices) == expected
    table = points.table()
    assert all(name in table for name in Instruments(physics(), SEED).names)
    assert len(table) == len(Instruments(physics(), SEED).names)
    assert table.areas == ("1", "2", "3")
