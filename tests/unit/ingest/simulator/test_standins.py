"""What stands in for the devices of a list: plausible values, in registers that a decoder nobody shared code with reads back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.devices import Kind, ModbusDevice, UaDevice
from ingest.modbus.attributes import attribute_spans, texts
from ingest.modbus.companions import Companions, companion_spans
from ingest.modbus.decode import BlockDecoder, spans_of
from ingest.modbus.plan import plan_blocks
from ingest.pointlist import PointList, read_point_list
from ingest.quality import GOOD
from ingest.simulator.motion import limits_of, value_at
from ingest.simulator.relocated import relocated
from ingest.simulator.standinregisters import StandInRegisters
from ingest.stepping import stepped
from market.units import NS_PER_H, NS_PER_S
from tests.kit.pointlists import point_list_file

LIST = """
    maps:
      m:
        every: 1s
        order: CDAB
        base: 1
        attributes: {serial: {reg: holding 300, length: 4, order: BADC}}
        clock: {reg: holding 310, type: uint32, tick: 1s}
        points:
          a/{device}/f:    {reg: input 1, type: float32, range: [-10, 500], rate: 0.5/s, frozen: 10m}
          a/{device}/e:    {reg: input 3, type: uint32, scale: 0.001, counter: {max_power: 500}}
          a/{device}/s:    {reg: holding 9, type: float32, range: [0, 500], write: true}
          a/{device}/b:    {reg: holding 20, type: bool, bit: 3}
          a/{device}/b2:   {reg: holding 20, type: bool, bit: 9}
          a/{device}/fld:  {reg: holding 21, bits: 4..7}
          a/{device}/fld2: {reg: holding 21, bits: 8..11}
          a/{device}/bcd:  {reg: holding 22, type: bcd32}
          a/{device}/miss: {reg: holding 24, type: int16, missing: [50, 51, 52]}
          a/{device}/sw:   {reg: holding 25, values: {0: 1, 3: 2}, labels: {1: open, 2: closed}}
          a/{device}/sf:   {reg: holding 26, type: int16, scale_from: holding 27, scale: 1.0e-6, range: [0, 500]}
          a/{device}/q:    {reg: holding 28, type: uint64, quality: {reg: holding 40, bad_bits: 0x8001, good: [4]}}
          a/{device}/c:    {reg: coil 35}
          a/{device}/d:    {reg: discrete 5}
          a/{device}/f16:  {reg: holding 50, type: float16}
          a/{device}/f64:  {reg: holding 51, type: float64, order: DCBA}
          a/{device}/i64:  {reg: holding 60, type: int64, scale: 0.1, range: [-1.0e+9, 1.0e+9]}
      sun:
        every: 1s
        sunspec: [{model: 103, at: 40069}]
        points:
          i/{device}/w:  {sunspec: W, scale: 1.0e-6, unit: MW, range: [0, 500]}
          i/{device}/st: {sunspec: St}
          i/{device}/wh: {sunspec: WH}
      ua:
        every: 1s
        points:
          u/{x}/n: {node: "nsu=urn:a;s=N{x}"}
    devices:
    - {name: "d-{01..3}", area: 1, url: "modbus+tls://10.0.0.{1..3}:802", unit: "{1..3}", map: m, tls: {ca: ca.pem}}
    - {name: g2, area: 1, url: "modbus+rtu:///dev/ttyS9", unit: 5, map: sun}
    - {name: ems, area: 1, url: "opc.tcp://10.0.0.9:4840", map: ua, vars: {x: [F1, "{02..2}"]}, backfill: true}
"""


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> PointList:
    return read_point_list(point_list_file(tmp_path_factory.mktemp("list"), LIST.replace('"{02..2}"', "F2")))


def read_back(device: ModbusDevice, registers: StandInRegisters) -> tuple[dict[str, float], dict[str, int]]:
    """Value and quality of each point, by the decoder of the ingest."""
    companions = Companions()
    spans = [*spans_of(device.points), *companion_spans(device.points, device.clock)]
    decoders = [BlockDecoder(block, device.points, companions, device.clock) for block in plan_blocks(spans, hole_max=0)]
    values: dict[str, float] = {}
    quality: dict[str, int] = {}
    for decoder in (*decoders, *decoders):  # what tells how others are to be read may lie behind them
        block, table = decoder.block, registers.tables[decoder.block.kind]
        words = [table[at] for at in range(block.address, block.end)]
        if block.kind.is_bits:
            data = sum(word << k for k, word in enumerate(words)).to_bytes((len(words) + 7) // 8, "little")
        else:
            data = b"".join(word.to_bytes(2, "big") for word in words)
        said, how = decoder.decode(data)
        rows = [span.row for span in block.spans if span.row < len(device.points)]
        name_of = {row: device.points[row].name for row in rows}
        values |= {name_of[row]: float(value) for row, value in zip(rows, said, strict=True)}
        quality |= {name_of[row]: int(code) for row, code in zip(rows, how, strict=True)}
    return values, quality


@settings(max_examples=12, deadline=None)
@given(ts_s=st.integers(1_600_000_000, 2_000_000_000))
def test_every_point_is_good_and_says_what_it_should(points: PointList, ts_s: int) -> None:
    ts_ns = ts_s * NS_PER_S
    for device in points.devices:
        if not isinstance(device, ModbusDevice):
            continue
        registers = StandInRegisters(device)
        registers.show(ts_ns, lambda point: value_at(point, ts_ns))
        values, quality = read_back(device, registers)
        assert {name: code for name, code in quality.items() if code != GOOD} == {}
        for point in device.points:
            step = 10.0**6 if "/sf" in point.name or "/w" in point.name else 4.0
            close = max(step * abs(point.scale), 1e-3 * abs(value_at(point, ts_ns)))
            assert values[point.name] == pytest.approx(value_at(point, ts_ns), abs=close), point.name


@given(ts_s=st.integers(1_600_000_000, 2_000_000_000), step_s=st.integers(1, 60))
def test_no_check_of_a_point_would_find_fault(points: PointList, ts_s: int, step_s: int) -> None:
    [device, *_] = points.devices
    flow, energy = device.points[0], device.points[1]
    before, after = (value_at(flow, ts * NS_PER_S) for ts in (ts_s, ts_s + step_s))
    assert abs(after - before) <= 0.5 * step_s + 0.002
    assert flow.low is not None
    assert flow.high is not None
    assert flow.low <= after <= flow.high
    counted = value_at(energy, (ts_s + step_s) * NS_PER_S) - value_at(energy, ts_s * NS_PER_S)
    assert counted < 0 or counted <= 500 * step_s * NS_PER_S / NS_PER_H + 0.001


def test_a_written_set_point_stays_and_nothing_else_may_be_written(points: PointList) -> None:
    device = points.devices[0]
    assert isinstance(device, ModbusDevice)
    registers = StandInRegisters(device)
    assert registers.write(Kind.HOLDING, 8, [0, 0x4120])
    assert not registers.write(Kind.HOLDING, 8, [0, 0x4120, 1])
    assert not registers.write(Kind.HOLDING, 19, [1])
    registers.show(5, lambda point: value_at(point, 5))
    assert read_back(device, registers)[0]["a/d-01/s"] == 10.0


def test_texts_say_that_they_are_simulated(points: PointList) -> None:
    device = points.devices[0]
    assert isinstance(device, ModbusDevice)
    registers = StandInRegisters(device)
    [block] = plan_blocks(attribute_spans(device.attributes))
    data = b"".join(registers.tables[block.kind][at].to_bytes(2, "big") for at in range(block.address, block.end))
    assert texts(block, device.attributes, data) == {"serial": "SIMULATE"}


def test_a_moved_list_differs_in_its_addresses_alone(tmp_path: Path, points: PointList) -> None:
    path = point_list_file(tmp_path, LIST.replace('"{02..2}"', "F2"))
    urls = {"d-01": "modbus+tcp://127.0.0.1:1", "d-02": "modbus+tcp://127.0.0.1:2", "d-03": "modbus+tcp://127.0.0.1:3"}
    urls |= {"g2": "modbus+rtu+tcp://127.0.0.1:4", "ems": "opc.tcp://127.0.0.1:5"}
    moved = tmp_path / "moved.yaml"
    moved.write_text(relocated(path, urls))
    for real, there in zip(points.devices, read_point_list(moved).devices, strict=True):
        assert (real.name, real.points) == (there.name, there.points)
        if isinstance(real, ModbusDevice):
            assert isinstance(there, ModbusDevice)
            assert there == replace(real, address=there.address)
            assert f"{there.address}" == urls[real.name].partition("://")[2]
        else:
            assert isinstance(there, UaDevice)
            assert (there.url, there.backfill_ns) == (urls[real.name], None)


def test_a_limit_holds_what_the_registers_hold(points: PointList) -> None:
    device = points.devices[0]
    field = next(point for point in device.points if point.name.endswith("/fld"))
    assert limits_of(field) == (0.0, 15.0)


def test_ranges_run_together() -> None:
    assert stepped("10.0.{1..3}.{07..09}", 1) == "10.0.2.08"
