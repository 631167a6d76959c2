"""Which points a list names, how each is read, and everything that can be wrong with a list."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from ingest import pointlist
from ingest.devices import ClockRegister, DataType, Kind, ModbusAttribute, ModbusDevice, ModbusPoint, Order, PushDevice, UaDevice, UaPoint
from ingest.pointchecks import CounterCheck, PointChecks
from ingest.pointlist import read_point_list
from market.errors import ConfigError
from market.units import NS_PER_MIN, NS_PER_MS, NS_PER_S
from tests.kit.pointlists import point_list_file

SHIPPED = Path(__file__).parents[2] / "data" / "points.yaml"

MAP = """
maps:
  m:
    every: 4s
    points:
      unit/{u}/mw: {reg: holding 0, type: float32}
  ua:
    every: 2s
    points:
      load/{u}/mw: {node: "nsu=urn:x;s={u}"}
devices:
"""


def problems_of(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "points.yaml"
    path.write_text(dedent(text))
    with pytest.raises(ConfigError) as caught:
        read_point_list(path)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]


def test_the_shipped_example() -> None:
    points = read_point_list(SHIPPED)
    by_name = {device.name: device for device in points.devices}
    assert list(by_name) == ["rtu-1", "f-01", "f-02", "f-03", "dtu-7", "ems-2"]

    rtu = by_name["rtu-1"]
    assert isinstance(rtu, ModbusDevice)
    assert (rtu.area, rtu.host, rtu.port, rtu.unit_id, rtu.timeout_s) == ("1", "127.0.0.1", 1502, 17, 1.0)
    spec = {point.name: point for point in rtu.points}
    assert spec["unit/101_CT_1/mwh"] == ModbusPoint(
        name="unit/101_CT_1/mwh",
        unit="MWh",
        scale=0.001,
        offset=0.0,
        low=None,
        high=None,
        period_ns=NS_PER_MIN,
        writable=False,
        kind=Kind.INPUT,
        address=2,
        type=DataType.UINT64,
        bit=None,
        order=Order.CDAB,
    )
    assert spec["unit/101_CT_1/setpoint_mw"].writable
    assert (spec["switch/A1/alarm"].bit, spec["switch/A1/alarm"].address) == (3, 9)
    assert (spec["switch/A1/local"].kind, spec["switch/A1/local"].type) == (Kind.DISCRETE, DataType.BOOL)

    third = by_name["f-03"]
    assert isinstance(third, ModbusDevice)
    assert (third.host, third.port, third.timeout_s) == ("127.0.1.3", 502, 0.5)
    assert third.points[0].name == "unit/u3/mw"

    dtu = by_name["dtu-7"]
    assert isinstance(dtu, PushDevice)
    assert (dtu.host, dtu.port, dtu.heartbeats, dtu.register) == ("127.0.0.1", 9100, ("ping",), r"RTU (?P<name>\S+)\r\n")
    assert dtu.clock == ClockRegister(address=0, type=DataType.UINT64, order=Order.ABCD, tick_ns=NS_PER_MS)

    ems = by_name["ems-2"]
    assert isinstance(ems, UaDevice)
    assert (ems.url, ems.publish_ns, ems.timeout_s) == ("opc.tcp://127.0.0.1:4840/ems", NS_PER_S, 4.0)
    assert isinstance(ems.points[0], UaPoint)
    assert (ems.points[0].name, ems.points[0].node) == ("area/2/hz", "nsu=urn:example:ems;s=Area/2/Frequency")


def test_the_documented_example_is_a_point_list(tmp_path: Path) -> None:
    doc = pointlist.__doc__
    assert doc is not None
    path = tmp_path / "points.yaml"
    path.write_text(dedent(doc[doc.index("    maps:") : doc.index("``reg``")]))
    devices = read_point_list(path).devices
    assert [device.name for device in devices] == ["rtu-1", *(f"f-{n:02}" for n in range(1, 13)), "dtu-7", "ems-1"]
    assert r"RTU (?P<name>\S+)\r\n" in doc


def test_a_map_says_how_far_samples_overtake_each_other(tmp_path: Path) -> None:
    path = point_list_file(
        tmp_path,
        """
        maps:
          a: {every: 4s, reorder: 90s, points: {"{device}/mw": {reg: input 0}}}
          b: {every: 4s, reorder: 90s, points: {"{device}/mw": {node: "i=1"}}}
          c: {every: 4s, points: {"{device}/mw": {reg: holding 0}}}
        devices:
        - {name: a, area: 1, url: "modbus+tcp://127.0.0.1", map: a}
        - {name: b, area: 1, url: "opc.tcp://127.0.0.1:4840", map: b}
        - {name: c, area: 1, url: "modbus+listen://127.0.0.1:9100", map: c}
        """,
    )
    assert (read_point_list(path).table().reorder_ns // NS_PER_S).tolist() == [90, 90, 12]


def test_the_table_knows_period_device_and_range() -> None:
    points = read_point_list(SHIPPED)
    table = points.table()
    assert len(table) == 4 * 6 + 2 + 2
    assert table.areas == ("1", "2")
    mw = table.specs[table.row("unit/u2/mw")]
    assert (mw.area, mw.device, mw.period_ns, mw.unit, mw.low, mw.high, mw.by_exception) == (
        "1",
        "f-02",
        4 * NS_PER_S,
        "MW",
        -10.0,
        500.0,
        False,
    )
    assert table.specs[table.row("area/2/hz")].by_exception


def test_ranges_run_together_and_keep_their_width(tmp_path: Path) -> None:
    path = tmp_path / "points.yaml"
    device = "- {name: 'f-{098..101}', area: 'A{1..4}', url: 'modbus+tcp://10.0.0.{8..11}', unit: '{5..8}', map: m, vars: {u: 'x{1..4}'}}"
    path.write_text(MAP + device)
    devices = read_point_list(path).devices
    assert [(d.name, d.area, d.host, d.unit_id, d.points[0].name) for d in devices if isinstance(d, ModbusDevice)] == [
        ("f-098", "A1", "10.0.0.8", 5, "unit/x1/mw"),
        ("f-099", "A2", "10.0.0.9", 6, "unit/x2/mw"),
        ("f-100", "A3", "10.0.0.10", 7, "unit/x3/mw"),
        ("f-101", "A4", "10.0.0.11", 8, "unit/x4/mw"),
    ]


def test_everything_wrong_is_reported_at_once(tmp_path: Path) -> None:
    text = """\
    maps:
      m:
        points:
          unit/{u}/mw: {reg: holdin 0}
          unit/{u}/mwh: {reg: input 0, type: float31}
          unit/{u}/kv: {reg: input 0, rnage: [0, 1]}
          unit/{u}/sp: {reg: input 4, type: float32, write: true}
          unit/{u}/on: {reg: coil 4, type: uint16}
          unit/{u}/alarm: {reg: holding 4, type: bool}
          unit/{u}/hz: {reg: input 9, range: [51, 49], scale: 0}
          unit/{u}/x: {node: "s"}
    devices:
    - {name: a, area: 1, url: "modbus+tcp://h", map: m, vrs: {u: 1}}
    - {name: b, url: "modbus+tcp://h", map: m}
    """
    assert problems_of(tmp_path, text) == [
        (
            "points.yaml:4: maps.m.points.unit/{u}/mw.reg: 'holdin 0' is not a register; write a table and an address, "
            "as in `holding 16` or `input 0x10`"
        ),
        (
            "points.yaml:5: maps.m.points.unit/{u}/mwh.type: input should be 'bool', 'int16', 'uint16', 'int32', 'uint32', 'int64', "
            "'uint64', 'float16', 'float32', 'float64', 'bcd16', 'bcd32' or 'bcd64', not 'float31'"
        ),
        "points.yaml:6: maps.m.points.unit/{u}/kv.rnage: is not a known key; did you mean 'range'?",
        "points.yaml:7: maps.m.points.unit/{u}/sp: input cannot be written; use a holding register or a coil, or remove `write`",
        "points.yaml:8: maps.m.points.unit/{u}/on: a coil is one bit: it has no `type` but bool, no `bit` and no `order`; remove them",
        (
            "points.yaml:9: maps.m.points.unit/{u}/alarm: `bit` picks one bit of a holding register and goes with `type: bool`; "
            "give both or neither"
        ),
        "points.yaml:10: maps.m.points.unit/{u}/hz.scale: 0 would make every value the same; give the engineering units of one count",
        "points.yaml:10: maps.m.points.unit/{u}/hz.range: [51, 49] holds nothing; write the least plausible value first",
        "points.yaml:11: maps.m.points.unit/{u}/x.node: 's' is not a node id; write nsu=<namespace URI>;s=<identifier> (or i=, g=, b=)",
        "points.yaml:13: devices[0].vrs: is not a known key; did you mean 'vars'?",
        "points.yaml:14: devices[1].area: is missing; add it",
    ]


def test_what_only_the_whole_list_can_show_is_reported_at_once(tmp_path: Path) -> None:
    text = """\
    maps:
      m:
        base: 1
        points:
          unit/{u}/mw: {reg: holding 0, type: float32, every: 4s}
          unit/{u}/mwh: {reg: holding 65535, type: uint64, every: 4s}
          unit/{u}/kv: {reg: holding 3}
      mixed:
        every: 1s
        order: DCBA
        points:
          load/{u}/mw: {node: "nsu=urn:x;s=a"}
          load/{u}/mwh: {reg: holding 1}
    devices:
    - {name: a, area: 1, url: "modbus+tcp://h", map: m, vars: {u: 1}}
    - {name: a, area: 1, url: "modbus+tcp://h:99999", map: m, vars: {u: 2}}
    - {name: c, area: 1, url: "opc.tcp://h:4840", map: m, vars: {u: 3}}
    - {name: d, area: 1, url: "modbus+tcp://h", map: mixd, vars: {u: 4}}
    """
    assert problems_of(tmp_path, text) == [
        "points.yaml:5: maps.m.points.unit/{u}/mw.reg: address 0 is outside 1..65535; see `base`",
        "points.yaml:6: maps.m.points.unit/{u}/mwh.reg: address 65535 is outside 1..65533; see `base`",
        "points.yaml:7: maps.m.points.unit/{u}/kv: has no period; give `every` here or for the whole map",
        "points.yaml:10: maps.mixed.order: means nothing for OPC UA; remove it",
        "points.yaml:13: maps.mixed.points.load/{u}/mwh: a map is for Modbus (`reg`) or for OPC UA (`node`), not for both; make two maps",
        "points.yaml:16: devices[1].name: a is listed twice, first at points.yaml:15; rename one",
        (
            "points.yaml:16: devices[1].url: 'modbus+tcp://h:99999' is not an address (Port out of range 0-65535); "
            "write modbus+tcp://host:port"
        ),
        "points.yaml:17: devices[2].url: opc.tcp cannot read map 'm', which is for Modbus (`reg`); change one",
        "points.yaml:18: devices[3].map: there is no map 'mixd'; did you mean 'mixed'?",
    ]


@pytest.mark.parametrize(
    ("device", "problem"),
    [
        ("{name: a, area: 1, url: 'http://h', map: m, vars: {u: 1}}", "devices[0].url: 'http://h' is not an address; write"),
        (
            "{name: a, area: 1, url: 'opc.tcp://h', map: ua, vars: {u: 1}}",
            "devices[0].url: 'opc.tcp://h' has no port; write opc.tcp://h:port",
        ),
        ("{name: a, area: 1, url: 'modbus+tcp://h', map: m}", "devices[0]: map 'm' needs u for unit/{u}/mw; add to `vars`"),
        (
            "{name: a, area: 1, url: 'modbus+tcp://h', map: m, vars: {u: 1, v: 2}}",
            "devices[0].vars.v: map 'm' has no placeholder {v}; remove",
        ),
        ("{name: a b, area: 1, url: 'modbus+tcp://h', map: m, vars: {u: 1}}", "devices[0].name: 'a b' cannot be a name; use no spaces"),
        (
            "{name: a, area: 1, url: 'modbus+tcp://h', map: m, vars: {u: a b}}",
            "maps.m.points.unit/{u}/mw: 'unit/a b/mw' cannot be a point's",
        ),
        (
            "{name: a, area: 1, url: 'modbus+tcp://h', unit: 256, map: m, vars: {u: 1}}",
            "devices[0].unit: 256 is not a unit id; give a number",
        ),
        (
            "{name: 'a{1..3}', area: 1, url: 'modbus+tcp://h{1..2}', map: m, vars: {u: 1}}",
            "devices[0]: ranges of 2, 3 entries in one device;",
        ),
        ("{name: 'a{3..1}', area: 1, url: 'modbus+tcp://h', map: m, vars: {u: 1}}", "devices[0]: a range of 0 devices; write"),
        ("{name: 'a{1..999999}', area: 1, url: 'modbus+tcp://h', map: m, vars: {u: 1}}", "devices[0]: a range of 999999 devices; write"),
        (
            "{name: 'a{1..2}', area: 1, url: 'modbus+tcp://h', map: m, vars: {u: 1}}",
            "devices[0]: point unit/1/mw is already on device a1; rename",
        ),
        (
            "{name: a, area: 1, url: 'modbus+tcp://h', map: m, vars: {u: 1}, heartbeat: ping}",
            "devices[0].heartbeat: means nothing for modbus+tcp",
        ),
        (
            "{name: a, area: 1, url: 'modbus+tcp://h', map: m, vars: {u: 1}, register: '(?P<name>x)'}",
            "devices[0].register: means nothing for mod",
        ),
        (
            "{name: a, area: 1, url: 'opc.tcp://h:1', unit: 3, map: ua, vars: {u: 1}}",
            "devices[0].unit: means nothing for opc.tcp; remove it",
        ),
        (
            "{name: a, area: 1, url: 'modbus+listen://h:1', map: m, vars: {u: 1}, register: 'RTU (.*)'}",
            "devices[0].register: 'RTU (.*)' does not say",
        ),
        (
            "{name: a, area: 1, url: 'modbus+listen://h:1', map: m, vars: {u: 1}, register: '(?P<name>'}",
            "devices[0].register: '(?P<name>' is not a",
        ),
        (
            "{name: a, area: 1, url: 'modbus+listen://h:1', map: m, vars: {u: 1}, heartbeat: HB}",
            "devices[0].heartbeat: 'HB' cannot be told from",
        ),
    ],
)
def test_one_device_refused(tmp_path: Path, device: str, problem: str) -> None:
    [found] = problems_of(tmp_path, MAP + "- " + device)
    assert found.split(": ", 1)[1].startswith(problem)


def test_devices_that_dial_in_cannot_be_told_and_share_their_greeting(tmp_path: Path) -> None:
    text = """\
    maps:
      m:
        every: 1s
        points:
          unit/{device}/sp: {reg: holding 0, write: true}
          unit/{device}/mw: {reg: input 0}
      clocked:
        every: 1s
        clock: {reg: coil 0, type: uint16, tick: 1ms, since: today}
        points:
          unit/{device}/kv: {reg: holding 5}
    devices:
    - {name: a, area: 1, url: "modbus+listen://0.0.0.0:9100", map: m}
    - {name: b, area: 1, url: "modbus+listen://0.0.0.0:9100", map: m, heartbeat: ping}
    - {name: c, area: 1, url: "modbus+tcp://h", map: clocked}
    - {name: d, area: 1, url: "modbus+listen://0.0.0.0:9101", map: clocked}
    """
    assert problems_of(tmp_path, text) == [
        "points.yaml:9: maps.clocked.clock.reg: a coil is one bit and no clock; write `holding` or `input` and the address",
        "points.yaml:9: maps.clocked.clock.type: uint16 cannot hold a time since 1970; use uint32, uint64 or int64",
        "points.yaml:9: maps.clocked.clock.since: 'today' is not an ISO 8601 instant such as 2026-06-10T12:00:00+08:00",
    ]
    cannot = "the map is for a device that dials in: it can write registers and coils to us, and we can write nothing to it"
    text = text.replace("coil 0, type: uint16, tick: 1ms, since: today", "input 0, type: uint32, tick: 1s, since: 2000-01-01T00:00:00Z")
    assert problems_of(tmp_path, text) == [
        f"points.yaml:5: maps.m.points.unit/{{device}}/sp: {cannot}",
        f"points.yaml:6: maps.m.points.unit/{{device}}/mw: {cannot}",
        "points.yaml:9: maps.clocked.clock.reg: a device can write its clock to a holding register only; write `holding` and the address",
        "points.yaml:9: maps.clocked.clock.since: a device that dials in counts since 1970-01-01T00:00:00Z; remove `since`",
        "points.yaml:14: devices[1].url: devices at one listener must have the same `register` and `heartbeat`; use another port",
    ]


def test_a_polled_device_has_a_clock_too(tmp_path: Path) -> None:
    path = point_list_file(
        tmp_path,
        """
        maps:
          m:
            every: 4s
            base: 1
            order: CDAB
            clock: {reg: input 9, type: uint32, tick: 1s, since: "2000-01-01T00:00:00+08:00"}
            points: {"{device}/mw": {reg: input 1}}
        devices:
        - {name: a, area: 1, url: "modbus+tcp://127.0.0.1", map: m}
        """,
    )
    [device] = read_point_list(path).devices
    assert isinstance(device, ModbusDevice)
    assert device.clock == ClockRegister(
        kind=Kind.INPUT,
        address=8,
        type=DataType.UINT32,
        order=Order.CDAB,
        tick_ns=NS_PER_S,
        since_ns=946_656_000 * NS_PER_S,
    )


def test_a_device_keeps_texts_about_itself(tmp_path: Path) -> None:
    path = point_list_file(
        tmp_path,
        """
        maps:
          m:
            every: 4s
            base: 1
            order: BADC
            sunspec: {model: 1, at: 40003}
            attributes:
              serial: {sunspec: SN}
              maker: {reg: holding 2, type: string, length: 8}
              firmware: {reg: input 10, length: 4, order: ABCD}
            points: {"{device}/mw": {reg: input 1}}
        devices:
        - {name: a, area: 1, url: "modbus+tcp://127.0.0.1", map: m}
        """,
    )
    points = read_point_list(path)
    [device] = points.devices
    assert isinstance(device, ModbusDevice)
    assert device.attributes == (
        ModbusAttribute(name="serial", kind=Kind.HOLDING, address=40002 + 50, length=16, order=Order.ABCD),
        ModbusAttribute(name="maker", kind=Kind.HOLDING, address=1, length=8, order=Order.BADC),
        ModbusAttribute(name="firmware", kind=Kind.INPUT, address=9, length=4, order=Order.ABCD),
    )
    assert [spec.name for spec in points.table().specs] == ["a/mw"]


def test_what_is_wrong_with_texts_is_said(tmp_path: Path) -> None:
    text = """    maps:
      m:
        every: 1s
        attributes:
          a: {reg: holding 0}
          b: {reg: coil 0, length: 1}
          c: {sunspec: SN, length: 1}
          d: {reg: holding 0, length: 126}
        points:
          x: {reg: holding 0, type: string}
    devices:
    - {name: a, area: 1, url: "modbus+tcp://h", map: m}
    """
    assert problems_of(tmp_path, text) == [
        "points.yaml:5: maps.m.attributes.a: says not where the text is; give `reg` and its `length` in registers, or `sunspec`",
        "points.yaml:6: maps.m.attributes.b: a coil is one bit and no text; write `holding` or `input` and the address",
        "points.yaml:7: maps.m.attributes.c: the SunSpec model says where a text is; remove `reg`, `length` and `order`",
        "points.yaml:8: maps.m.attributes.d.length: input should be less than or equal to 125, not 126",
        (
            "points.yaml:10: maps.m.points.x.type: a text is no telemetry; "
            "list it under the map's `attributes`, with its `length` in registers"
        ),
    ]
    text = """    maps:
      m:
        every: 1s
        sunspec: {model: 1, at: 40002}
        attributes:
          a: {reg: holding 65535, length: 2}
          b: {sunspec: DA}
          c: {sunspec: Serial}
        points:
          x: {reg: holding 0}
      ua:
        every: 1s
        attributes: {a: {reg: holding 0, length: 2}}
        points:
          y: {node: "i=1"}
    devices:
    - {name: a, area: 1, url: "modbus+listen://h:9100", map: m}
    """
    assert problems_of(tmp_path, text) == [
        "points.yaml:5: maps.m.attributes: a device that dials in is not asked for texts; remove them",
        "points.yaml:6: maps.m.attributes.a.reg: address 65535 is outside 0..65534; see `base`",
        "points.yaml:7: maps.m.attributes.b.sunspec: DA is a uint16 and no text; list it under the map's `points`",
        "points.yaml:8: maps.m.attributes.c.sunspec: SunSpec model 1 has no point 'Serial'; it has Mn, Md, Opt, Vr, SN, DA ...",
        "points.yaml:13: maps.ua.attributes: means nothing for OPC UA; remove it",
    ]


def test_the_same_point_on_two_devices_names_both(tmp_path: Path) -> None:
    devices = """\
- {name: a, area: 1, url: "modbus+tcp://h", map: m, vars: {u: 1}}
- {name: b, area: 1, url: "modbus+tcp://h", map: m, vars: {u: 1}}
"""
    assert problems_of(tmp_path, MAP + devices) == [
        "points.yaml:13: devices[1]: point unit/1/mw is already on device a; rename one",
    ]


CHECKED = """
maps:
  m:
    every: 4s
    points:
      unit/{u}/mw: {reg: holding 0, type: float32, rate: 90/m, frozen: 10m}
      unit/{u}/mwh: {reg: holding 2, type: uint32, counter: true}
      unit/{u}/kwh: {reg: holding 4, type: uint64, counter: {modulus: 10**6, max_power: 250}}
      unit/{u}/kv: {reg: holding 8}
  ua:
    every: 2s
    points:
      load/{u}/mwh: {node: "nsu=urn:x;s={u}", counter: {modulus: 2**32}, rate: 5/s}
devices:
- {name: a, area: 1, url: "modbus+tcp://h", map: m, vars: {u: 1}}
- {name: b, area: 1, url: "opc.tcp://h:4840", map: ua, vars: {u: 1}}
"""


def test_what_a_point_cannot_do_is_read(tmp_path: Path) -> None:
    path = tmp_path / "points.yaml"
    path.write_text(CHECKED)
    asked = {point.name: point.checks for _, point in read_point_list(path).points()}
    assert asked == {
        "unit/1/mw": PointChecks(rate_per_s=1.5, frozen_ns=10 * NS_PER_MIN),
        "unit/1/mwh": PointChecks(counter=CounterCheck(modulus=2**32)),
        "unit/1/kwh": PointChecks(counter=CounterCheck(modulus=10**6, max_per_h=250.0)),
        "unit/1/kv": None,
        "load/1/mwh": PointChecks(rate_per_s=5.0, counter=CounterCheck(modulus=2**32)),
    }


@pytest.mark.parametrize(
    ("said", "key", "problem"),
    [
        ("rate: 50", "rate", "50 is not a rate of change; write engineering units and a time, as in 50/s, 3.5/m or 100/h"),
        ("rate: 0/s", "rate", "'0/s' is a rate that nothing or everything keeps; give a number above 0"),
        ("frozen: 600", "frozen", "600 is not a length of time"),
        ("frozen: 4s", "frozen", "is no longer than the point's period, in which it is read once; give more"),
        ("counter: false", "counter", "False does not say how it counts; write `true`, or {modulus: 2**32, max_power: 500}"),
        ("counter: {modulus: 1}", "counter.modulus", "1 is not the size of a counter; write how many counts it has, as in 2**32"),
        ("counter: {modulus: 2**65}", "counter.modulus", "36893488147419103232 is not the size of a counter"),
        ("counter: {modulus: 9**9999999}", "counter.modulus", "'9**9999999' is not the size of a counter"),
        ("counter: {max_power: 0}", "counter.max_power", "0 is not a power; give the most units it can count in an hour"),
        ("counter: {modulus: 2**17}", "", "uint16 holds 65536 counts and never 131072; give the modulus that its maker says"),
        ("type: int32, counter: true", "", "int32 does not say how large the counter is; give `counter: {modulus: 2**31}`"),
        ("type: float32, counter: true", "", "a float32 is no counter: its last counts are lost long before it is full"),
        ("type: bool, bit: 1, counter: true", "", "one bit is no counter; remove `counter`"),
    ],
)
def test_what_a_point_cannot_do_must_make_sense(tmp_path: Path, said: str, key: str, problem: str) -> None:
    [found] = problems_of(tmp_path, CHECKED.replace("holding 8}", f"holding 8, {said}}}"))
    place, _, what = found.split(": ", 1)[1].partition(": ")
    assert place.removeprefix("maps.m.points.unit/{u}/kv").removeprefix(".") == key
    assert what.startswith(problem)


COUNTED = CHECKED.replace("type: uint32, counter: true", 'type: uint32, unit: MWh, counter: {difference: "unit/{u}/gained/{n}"}').replace(
    "map: m, vars: {u: 1}", "map: m, vars: {u: 1, n: x}"
)


def test_what_a_counter_counts_between_readings_is_a_point_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "points.yaml"
    path.write_text(COUNTED)
    points = read_point_list(path)
    checks = {point.name: point.checks for _, point in points.points()}["unit/1/mwh"]
    assert checks == PointChecks(counter=CounterCheck(modulus=2**32, difference="unit/1/gained/x"))
    table = points.table()
    told, counter = (table.specs[table.row(name)] for name in ("unit/1/gained/x", "unit/1/mwh"))
    assert (told.device, told.area, told.period_ns, told.unit) == (counter.device, counter.area, counter.period_ns, "MWh")


@pytest.mark.parametrize(
    ("difference", "problem"),
    [
        ("unit/{u}/kv", "point unit/1/kv is already on device a; rename one"),
        ("unit/{u}/{n}/{w}", "map 'm' needs w for unit/{u}/mwh; add to `vars`"),
        ("unit/{u}/{n} gained", "'unit/1/x gained' cannot be a point's name; use no spaces, and braces for placeholders only"),
    ],
)
def test_the_name_of_a_difference_is_a_name_of_its_own(tmp_path: Path, difference: str, problem: str) -> None:
    found = problems_of(tmp_path, COUNTED.replace("unit/{u}/gained/{n}", difference))
    assert any(one.endswith(problem) for one in found), found


def test_a_counter_that_its_device_scales_has_no_difference(tmp_path: Path) -> None:
    text = CHECKED.replace("counter: true", "scale_from: holding 20, counter: {difference: x}")
    [found] = problems_of(tmp_path, text)
    assert "device alone knows what a count is worth" in found


def test_a_server_says_neither_what_is_frozen_nor_how_large_its_counters_are(tmp_path: Path) -> None:
    [found] = problems_of(tmp_path, CHECKED.replace("counter: {modulus: 2**32}", "counter: true"))
    assert "a node does not say how large its counter is; give `counter: {modulus: 2**32}`" in found
    [found] = problems_of(tmp_path, CHECKED.replace("rate: 5/s", "frozen: 10m"))
    assert found.endswith("load/{u}/mwh.frozen: would find nothing, because a server tells only what changes; remove it")
