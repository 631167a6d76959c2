"""Points that a SunSpec model names: what they are when written out, what they decode to, and what can be wrong with them."""

from __future__ import annotations

import struct
from pathlib import Path
from textwrap import dedent, indent

import pytest

from ingest import sunspecfile
from ingest.devices import DataType, Kind, Meaning, ModbusDevice, ModbusPoint, Order, QualityWord, Register
from ingest.modbus.decode import BlockDecoder, companion_spans, spans_of
from ingest.modbus.plan import plan_blocks
from ingest.pointlist import read_point_list
from ingest.quality import BAD, BAD_NOT_SUPPORTED, GOOD
from market.errors import ConfigError

LIST = """\
maps:
  m:
    every: 4s
    base: 1
    order: CDAB
    sunspec: {{model: 103, at: 40070}}{extra}
    points:
{points}
devices:
- {{name: d, area: 1, url: "modbus+tcp://127.0.0.1", map: m}}
"""


def written(tmp_path: Path, points: str, extra: str = "") -> Path:
    path = tmp_path / "points.yaml"
    path.write_text(LIST.format(points=indent(dedent(points).strip(), "      "), extra=extra))
    return path


def points_of(path: Path) -> dict[str, ModbusPoint]:
    [device] = read_point_list(path).devices
    assert isinstance(device, ModbusDevice)
    return {point.name: point for point in device.points}


def problems_of(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_point_list(path)
    return [str(problem).removeprefix(f"{path.parent}/points.yaml:") for problem in caught.value.problems]


def holding(address: int, type_: DataType = DataType.UINT16) -> Register:
    return Register(kind=Kind.HOLDING, address=address, type=type_, order=Order.ABCD)


IDENTITY = QualityWord(register=holding(40069), good=(103,))


def test_a_point_is_what_its_model_says(tmp_path: Path) -> None:
    points = points_of(
        written(
            tmp_path,
            """
            w: {sunspec: W}
            mw: {sunspec: W, scale: 1.0e-6, unit: MW, range: [0, 3], every: 1m}
            wh: {sunspec: WH}
            st: {sunspec: St}
            own: {sunspec: St, values: {4: 2, 2: 1}, labels: {2: running}}
            evt: {sunspec: Evt1, bits: 0..3}
            sf: {sunspec: 103.W_SF}
            plain: {reg: holding 1, type: uint32}
            """,
        )
    )
    power = Meaning(unimplemented=(0x8000,), factor=holding(40084, DataType.INT16), word=IDENTITY)
    assert (points["w"].kind, points["w"].address, points["w"].type, points["w"].order) == (Kind.HOLDING, 40083, DataType.INT16, Order.ABCD)
    assert (points["w"].unit, points["w"].meaning) == ("W", power)
    assert (points["mw"].unit, points["mw"].scale, points["mw"].high, points["mw"].meaning) == ("MW", 1e-6, 3.0, power)
    assert points["mw"].period_ns == 60_000_000_000
    # An accumulator that is not there says 0, and so does one that has counted nothing.
    energy = points["wh"]
    assert (energy.type, energy.meaning) == (DataType.UINT32, Meaning(missing=(0,), factor=holding(40095, DataType.INT16), word=IDENTITY))
    state = points["st"].meaning
    assert state is not None
    assert (state.unimplemented, state.values, state.label(4.0)) == ((0xFFFF,), (), "MPPT")
    own = points["own"].meaning
    assert own is not None
    assert (own.values, own.labels) == (((4, 2.0), (2, 1.0)), ((2, "running"),))
    event = points["evt"].meaning
    assert event is not None
    assert (event.bits, event.unimplemented, points["evt"].unit) == ((0, 3), (0xFFFF_FFFF,), "")
    assert (points["sf"].type, points["sf"].address) == (DataType.INT16, 40084)
    assert (points["plain"].order, points["plain"].meaning) == (Order.CDAB, None)


def test_a_quality_of_ones_own_stands_instead_of_the_models_number(tmp_path: Path) -> None:
    path = written(
        tmp_path, "w: {sunspec: W}\nhz: {sunspec: Hz, quality: {reg: input 1, bad: [1]}}", "\n    quality: {reg: input 9, bad: [2]}"
    )
    own = {name: point.meaning.word.register.address for name, point in points_of(path).items() if point.meaning and point.meaning.word}
    assert own == {"w": 8, "hz": 0}


def test_an_inverter_is_read(tmp_path: Path) -> None:
    points = list(
        points_of(written(tmp_path, "mw: {sunspec: W, scale: 1.0e-6}\nhz: {sunspec: Hz}\nwh: {sunspec: WH}\nva: {sunspec: VA}")).values()
    )
    [block] = plan_blocks([*spans_of(points), *companion_spans(points)])
    decoder = BlockDecoder(block, points)
    names = {span.row: points[span.row].name for span in block.spans if span.row < len(points)}

    def read(number: int) -> dict[str, tuple[float, int]]:
        # ID, L, 12 registers of currents and voltages, W, W_SF, Hz, Hz_SF, VA, VA_SF, 4 more, WH, WH_SF
        data = struct.pack(">HH24xhhHhhh8xIh", number, 50, -1234, 3, 5002, -2, -32768, -1, 123456, 1)
        values, quality = decoder.decode(data)
        return dict(zip(names.values(), zip(values.tolist(), quality.tolist(), strict=True), strict=True))

    said = read(103)
    assert (said["mw"], said["hz"], said["wh"]) == ((-1.234, GOOD), (50.02, GOOD), (1234560.0, GOOD))
    assert said["va"][1] == BAD_NOT_SUPPORTED
    assert {quality for _, quality in read(701).values()} == {BAD, BAD_NOT_SUPPORTED}


def test_everything_wrong_with_sunspec_points_is_said_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        a: {sunspec: PhVphX}
        b: {sunspec: 160.DCW}
        c: {sunspec: W, missing: [0]}
        d: {sunspec: St, bits: 0..31}
        e: {sunspec: W, write: true}
        f: {sunspec: W, reg: holding 3}
        """,
    )
    [unknown] = problems_of(path)
    assert unknown.startswith("13: maps.m.points.f.reg: is not a known key")
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "reg: holding 3" not in line))
    assert problems_of(path) == [
        "8: maps.m.points.a.sunspec: SunSpec model 103 has no point 'PhVphX'; did you mean PhVphC or PhVphB or PhVphA?",
        "9: maps.m.points.b.sunspec: the map has no SunSpec model 160; add it to the map's `sunspec`",
        "10: maps.m.points.c.sunspec: the model says `missing` of W; remove what the point says",
        "11: maps.m.points.d: uint16 has the bits 0..15, and not 31; correct `bits`",
        "12: maps.m.points.e.sunspec: W of SunSpec model 103 is not to be written; remove `write`",
    ]


@pytest.mark.parametrize(
    ("sunspec", "point", "what"),
    [
        ("{model: 7, at: 1}", "W", "3: maps.m.sunspec.model: SunSpec model 7 is not among those Gridfuse has"),
        ("[{model: 1, at: 3}]", "SN", "5: maps.m.points.p.sunspec: SN is a string and no number; list it under the map's `attributes`"),
        ("[{model: 1, at: 3}]", "Pad", "5: maps.m.points.p.sunspec: Pad is a pad and no number; it cannot be a point"),
        ("[{model: 101, at: 3}, {model: 103, at: 60}]", "W", "5: maps.m.points.p.sunspec: W is in SunSpec models 101 and 103; write 101.W"),
        ("{model: 103, at: 65530}", "W", "5: maps.m.points.p.reg: address 65544 is outside 0..65535; see `base`"),
    ],
)
def test_what_is_wrong_with_a_model_is_said(tmp_path: Path, sunspec: str, point: str, what: str) -> None:
    path = tmp_path / "points.yaml"
    head = f"maps:\n  m:\n    sunspec: {sunspec}\n    points:\n      p: {{sunspec: {point}, every: 4s}}\n"
    path.write_text(head + 'devices:\n- {name: d, area: 1, url: "modbus+tcp://127.0.0.1", map: m}\n')
    assert problems_of(path)[0].startswith(what)


def test_a_map_without_models_has_no_such_points(tmp_path: Path) -> None:
    path = tmp_path / "points.yaml"
    path.write_text(
        'maps: {m: {every: 4s, points: {p: {sunspec: W}}}}\ndevices: [{name: d, area: 1, url: "modbus+tcp://127.0.0.1", map: m}]\n'
    )
    [problem] = problems_of(path)
    assert problem.endswith("the map does not say where the device keeps its SunSpec models; add `sunspec: {model: .., at: ..}` to it")


def test_the_documented_inverter_is_what_it_says(tmp_path: Path) -> None:
    doc = sunspecfile.__doc__
    assert doc is not None
    start = doc.index("    inverter:")
    text = "maps:\n" + dedent(doc[start : doc.index("Indices count from 1")]).replace("\n", "\n  ").join(["  ", "\n"])
    path = tmp_path / "points.yaml"
    path.write_text(text + 'devices:\n- {name: d, area: 1, url: "modbus+tcp://127.0.0.1", map: inverter, vars: {unit: u, n: s}}\n')
    points = points_of(path)
    assert {name: point.address for name, point in points.items()} == {"unit/u/mw": 40083, "unit/u/st": 40107, "string/s/1/kw": 40142}
