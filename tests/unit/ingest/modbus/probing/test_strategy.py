"""A whole look at a device, from its unit id to a point list that can be read."""

from __future__ import annotations

from pathlib import Path

from ingest.devices import Kind, ModbusDevice, Order
from ingest.modbus.probing.expected import parse_expectation
from ingest.modbus.probing.findings import Findings
from ingest.modbus.probing.listing import listing
from ingest.modbus.probing.orders import Certainty
from ingest.modbus.probing.strategy import ProbePlan, described, examine, usual_units
from ingest.pointlist import read_point_list
from tests.kit.unknown_device import Unknown, drive, float_words, text_words

URL = "modbus+tcp://10.0.0.7:502"


def looked_at(device: Unknown, **plan: object) -> Findings:
    findings = Findings()
    drive(examine(ProbePlan(**({"units": (1, 2, 3)} | plan)), findings), device)  # type: ignore[arg-type]
    return findings


def devices_of(findings: Findings, folder: Path, **device: object) -> tuple[ModbusDevice, ...]:
    """The devices of the list, read back."""
    path = folder / "probed.yaml"
    path.write_text(listing(findings, URL, name="meter", area="1", device={"timeout": "1s", **device}))
    found = read_point_list(path).devices
    assert all(isinstance(each, ModbusDevice) for each in found)
    return found  # type: ignore[return-value]


def meter(order: str = "CDAB", at: int = 0) -> Unknown:
    """A meter of eight floats that move, which gives forty registers at a time and has a hundred."""
    values = [230.1, 229.8, 231.4, 12.25, 49.98, -3.5, 0.92, 1234.5]
    words = [word for value in values for word in float_words(value, order)]
    table = dict.fromkeys(range(at, at + 100), 0) | {at + k: word for k, word in enumerate(words)}

    def move(tables: dict[Kind, dict[int, int]]) -> None:
        values[:] = [value * 1.0007 for value in values]
        tables[Kind.INPUT] |= {at + k: word for k, word in enumerate(w for v in values for w in float_words(v, order))}

    return Unknown({Kind.INPUT: table}, longest=40, after=move, identification={0: "Acme", 1: "PM5", 2: "1.2", 5: "PM5 110"})


def test_a_meter_that_nobody_knows_becomes_a_point_list(tmp_path: Path) -> None:
    findings = looked_at(meter())
    [unit] = findings.units
    assert unit.order is not None
    assert (unit.order.order, unit.order.certainty) == (Order.CDAB, Certainty.LIKELY)
    assert unit.identification == {"vendor": "Acme", "product_code": "PM5", "revision": "1.2", "model": "PM5 110"}
    [device] = devices_of(findings, tmp_path)
    assert (device.unit_id, device.manners.registers_max) == (1, 40)
    assert [(p.kind, p.address, p.type, p.order) for p in device.points] == [
        (Kind.INPUT, at, "float32", Order.CDAB) for at in range(0, 16, 2)
    ]


def test_what_was_expected_is_known(tmp_path: Path) -> None:
    findings = looked_at(meter(at=1000), expectations=(parse_expectation("1001=230.1"), parse_expectation("1007=12.25")))
    [unit] = findings.units
    assert unit.order is not None
    assert unit.base is not None
    assert (unit.order.certainty, unit.base.certainty, unit.base.base) == (Certainty.KNOWN, Certainty.KNOWN, 1)
    [device] = devices_of(findings, tmp_path)
    assert [point.address for point in device.points] == [1000, 1006, *(at for at in range(1002, 1016, 2) if at != 1006)]
    assert 'reg: "input 1001"' in (tmp_path / "probed.yaml").read_text()


def test_sunspec_models_are_found_and_only_what_they_have_is_listed(tmp_path: Path) -> None:
    common = [
        1,
        66,
        *text_words("Acme", 16),
        *text_words("Sun 5", 16),
        *text_words("", 8),
        *text_words("v7", 8),
        *text_words("SN12", 16),
        3,
        0,
    ]
    inverter = [103, 50, *([0xFFFF] * 50)]
    inverter[2:7] = [120, 40, 40, 40, 0xFFFF]  # currents, and their power of ten, which is -1
    inverter[14:16] = [0x8000, 0]  # no power
    unknown = [64_001, 2, 7, 7]
    words = [*b"\0", *b"\0"]
    words = [0x5375, 0x6E53, *common, *inverter, *unknown, 0xFFFF, 0]
    findings = looked_at(Unknown({Kind.HOLDING: {40_000 + k: word for k, word in enumerate(words)}}))
    [unit] = findings.units
    assert unit.sunspec is not None
    assert [(m.model, m.at) for m in unit.sunspec.models] == [(1, 40_002), (103, 40_070), (64_001, 40_122)]
    assert unit.sunspec.is_whole
    assert unit.base is not None
    assert unit.base.certainty is Certainty.KNOWN
    [device] = devices_of(findings, tmp_path)
    assert {text.name for text in device.attributes} == {"vendor", "model", "version", "serial"}
    names = [point.name for point in device.points]
    assert "probe/meter/103/A" in names
    assert "probe/meter/103/W" not in names
    assert "64001 at 40122" in (tmp_path / "probed.yaml").read_text()


def test_a_marker_one_further_tells_how_the_maker_counts() -> None:
    words = [0x5375, 0x6E53, 0xFFFF, 0]
    [unit] = looked_at(Unknown({Kind.HOLDING: {40_001 + k: word for k, word in enumerate(words)}})).units
    assert unit.base is not None
    assert (unit.base.base, unit.base.certainty) == (0, Certainty.LIKELY)


def test_units_behind_a_gateway(tmp_path: Path) -> None:
    device = Unknown({Kind.HOLDING: dict.fromkeys(range(10), 7)}, units=frozenset({2, 5}), gateway=True)
    findings = looked_at(device, units=tuple(range(1, 7)))
    assert (findings.found.answering, findings.found.absent) == ([2, 5], [1, 3, 4, 6])
    assert [(d.name, d.unit_id) for d in devices_of(findings, tmp_path)] == [("meter-2", 2), ("meter-5", 5)]


def test_a_device_that_does_not_look_at_the_unit_id_is_one() -> None:
    findings = looked_at(Unknown({Kind.HOLDING: {0: 7}}, units=None))
    assert findings.found.is_blind
    assert findings.found.answering == [1]


def test_three_devices_that_say_the_same_are_three() -> None:
    findings = looked_at(Unknown({Kind.HOLDING: {0: 7}}, units=frozenset({1, 2, 3}), gateway=True))
    assert not findings.found.is_blind
    assert findings.found.answering == [1, 2, 3]


def test_nobody_there_ends_at_once() -> None:
    findings = looked_at(Unknown({}, is_there=False), units=usual_units(is_serial=False))
    assert findings.found.unreachable == "no connection"
    assert (findings.asked, findings.units) == (3, [])


def test_a_busy_device_is_asked_again() -> None:
    assert looked_at(Unknown({Kind.HOLDING: {0: 7}}, busy=2)).found.answering == [1]


def test_it_ends_at_the_cap_with_what_it_has() -> None:
    device = meter()
    findings = looked_at(device, requests_max=60)
    assert findings.cut_short
    assert findings.asked == 60
    assert findings.found.answering == [1]


def test_a_list_of_a_look_that_was_cut_short_can_be_read(tmp_path: Path) -> None:
    for cap in range(70, 260, 10):
        findings = looked_at(meter(), requests_max=cap)
        if any(unit.is_readable for unit in findings.units):
            devices_of(findings, tmp_path)


def test_a_peer_that_bears_one_request_at_a_time_is_listed_so(tmp_path: Path) -> None:
    device = Unknown({Kind.COIL: dict.fromkeys(range(3), 0)}, depth=1)
    [listed] = devices_of(looked_at(device), tmp_path)
    assert listed.manners.depth == 1
    assert [point.kind for point in listed.points] == [Kind.COIL] * 3


def test_registers_that_can_be_read_in_pairs_only_are_listed_in_pairs(tmp_path: Path) -> None:
    device = Unknown({Kind.HOLDING: {at: at % 2 for at in range(8)}}, pairs=True)
    [listed] = devices_of(looked_at(device), tmp_path)
    assert [(point.address, point.type) for point in listed.points] == [(at, "uint32") for at in range(0, 8, 2)]


def test_the_plan_is_told_before_it_is_done() -> None:
    steps = described(ProbePlan(units=(1, *range(3, 8)), requests_max=300))
    assert "6 unit ids (1, 3..7)" in steps[0]
    assert steps[-1].endswith("nothing is ever written")
    assert "300 requests" in steps[-1]
