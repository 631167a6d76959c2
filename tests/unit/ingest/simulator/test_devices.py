"""The field's layout: everything measured once, nothing overlapping, and as varied as promised."""

from __future__ import annotations

from collections import Counter

from ingest.devices import DataType, Kind, Order
from ingest.simulator.devices import field_devices
from ingest.simulator.readings import Instruments
from market.units import NS_PER_S
from tests.kit.simulated_grid import SEED, physics

DEVICES = field_devices(physics().case, 1.0, ("127.0.0.1", 9100))
MODBUS = [device for server in DEVICES.modbus for device in server.devices]


def test_every_point_of_the_grid_is_on_exactly_one_device() -> None:
    names = Counter(point.name for device in [*MODBUS, *DEVICES.ua, *DEVICES.rtus] for point in device.points)
    assert set(names) == set(Instruments(physics(), SEED).names)
    assert max(names.values()) == 1


def test_the_numbers_promised() -> None:
    assert len(MODBUS) >= 24
    assert len(DEVICES.modbus) >= 24
    assert [device.name for device in DEVICES.ua] == ["scada-1", "scada-2", "scada-3"]
    assert [device.name for device in DEVICES.rtus] == ["rtu-1", "rtu-2", "rtu-3"]
    assert sum(len(server.devices) > 1 for server in DEVICES.modbus) >= 3, "gateways with several unit ids"


def test_the_variety_promised() -> None:
    points = [point for device in MODBUS for point in device.points]
    assert {point.order for point in points} == set(Order)
    assert {DataType.FLOAT32, DataType.FLOAT64, DataType.INT16, DataType.INT32, DataType.UINT32} <= {point.type for point in points}
    assert {point.kind for point in points} == {Kind.HOLDING, Kind.INPUT}
    assert {base for server in DEVICES.modbus for base in server.base} == {0, 1}


def test_no_two_points_share_a_register() -> None:
    for device in MODBUS:
        taken = Counter((p.kind, p.address + k) for p in device.points for k in range(p.type.registers))
        assert max(taken.values()) == 1, device.name


def test_set_points_are_holding_registers_of_plants_and_nothing_else_is_writable() -> None:
    for device in MODBUS:
        for point in device.points:
            assert point.writable is point.name.endswith("/setpoint_mw")
            assert not point.writable or (point.kind is Kind.HOLDING and device.name.startswith("plant-"))


def test_rooftop_units_hang_on_feeder_meters() -> None:
    rooftop = {u.id for u in physics().case.units if u.control == "fixed"}
    metered = {p.name.split("/")[1] for d in MODBUS if d.name.startswith("feeder-") for p in d.points if p.name.startswith("unit/")}
    assert metered == rooftop


def test_a_ties_ends_belong_to_the_two_areas() -> None:
    by_area = {device.area: {point.name for point in device.points} for device in DEVICES.ua}
    assert "branch/AB1/from_mw" in by_area["1"]
    assert "branch/AB1/to_mw" in by_area["2"]
    assert "switch/AB1/to" in by_area["2"]
    assert [("site/MAIN" in names, "site/BACKUP" in names) for names in by_area.values()] == [(True, True), (False, False), (False, False)]


def test_at_high_speed_no_point_is_due_more_often_than_the_wall_allows() -> None:
    fast = field_devices(physics().case, 60.0, None)
    periods = {point.period_ns for server in fast.modbus for device in server.devices for point in device.points}
    assert min(periods) == 15 * NS_PER_S
    assert fast.rtus == ()


def test_the_targets_of_faults_are_what_is_served() -> None:
    targets = DEVICES.targets
    assert targets.branches == set(physics().case.network.branch_ids)
    assert {"plant-101", "feeder-1a", "scada-3"} <= targets.devices
    assert targets.rtus == {"rtu-1", "rtu-2", "rtu-3"}
