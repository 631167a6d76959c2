"""What a point list says of the meaning of bits, and everything that can be wrong with that."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import pytest

from ingest import meaningfile
from ingest.devices import NAN_BITS, DataType, Kind, Meaning, ModbusDevice, ModbusPoint, Order, QualityWord, Register
from ingest.pointlist import read_point_list
from market.errors import ConfigError
from tests.kit.pointlists import point_list_file

LIST = """\
maps:
  m:
    every: 4s
    points:
{points}
devices:
- {{name: d, area: 1, url: "modbus+tcp://127.0.0.1", map: m, vars: {vars}}}
"""


def companion(address: int, type_: DataType = DataType.UINT16, order: Order = Order.ABCD, kind: Kind = Kind.INPUT) -> Register:
    return Register(kind=kind, address=address, type=type_, order=order)


def written(tmp_path: Path, points: str, names: str = "{}") -> Path:
    path = tmp_path / "points.yaml"
    path.write_text(LIST.format(points=indent(dedent(points).strip(), "      "), vars=names))
    return path


def point_of(tmp_path: Path, text: str) -> ModbusPoint:
    [device] = read_point_list(written(tmp_path, f"p: {{{text}}}")).devices
    assert isinstance(device, ModbusDevice)
    return device.points[0]


def problem_of(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_point_list(written(tmp_path, f"p: {{{text}}}"))
    [problem] = [str(problem) for problem in caught.value.problems]
    where, _, what = problem.removeprefix(f"{tmp_path}/").partition(": ")
    assert where == "points.yaml:5"
    return what.removeprefix("maps.m.points.p")


@pytest.mark.parametrize(
    ("text", "type_", "meaning"),
    [
        ("reg: input 0, type: bcd32", DataType.BCD32, None),
        ("reg: input 0, type: float16", DataType.FLOAT16, None),
        ("reg: input 0, bits: 4..7", DataType.UINT16, Meaning(bits=(4, 7))),
        ("reg: input 0, bits: 0..15", DataType.UINT16, None),
        ("reg: input 0, missing: [0xFFFF, 7]", DataType.UINT16, Meaning(missing=(0xFFFF, 7))),
        ("reg: input 0, type: int16, missing: [-32768]", DataType.INT16, Meaning(missing=(0x8000,))),
        ("reg: input 0, type: int16, missing: [0x8000]", DataType.INT16, Meaning(missing=(0x8000,))),
        ("reg: input 0, bits: 0..3, missing: [-1]", DataType.UINT16, Meaning(bits=(0, 3), missing=(15,))),
        ("reg: input 0, type: bcd16, missing: [0x9999]", DataType.BCD16, Meaning(missing=(0x9999,))),
        ("reg: input 0, type: float32, missing: [-9999]", DataType.FLOAT32, Meaning(missing=(0xC61C3C00,))),
        ("reg: input 0, type: float16, missing: [.nan]", DataType.FLOAT16, Meaning(missing=(NAN_BITS[DataType.FLOAT16],))),
        ("reg: input 0, values: {0: 1, 3: 2}", DataType.UINT16, Meaning(values=((0, 1.0), (3, 2.0)))),
        ("reg: coil 0, values: {0: 2, 1: 1}", DataType.BOOL, Meaning(values=((0, 2.0), (1, 1.0)))),
        ("reg: input 0, labels: {1: open, 2: closed}", DataType.UINT16, Meaning(labels=((1, "open"), (2, "closed")))),
    ],
)
def test_what_a_list_says_is_what_the_point_means(tmp_path: Path, text: str, type_: DataType, meaning: Meaning | None) -> None:
    point = point_of(tmp_path, text)
    assert (point.type, point.meaning) == (type_, meaning)


@pytest.mark.parametrize(
    ("type_", "bits"),
    [
        # SunSpec Device Information Model Specification, and SUNS_UNIMPL_* of pysunspec2's mb.py.
        ("int16", 0x8000),
        ("uint16", 0xFFFF),
        ("int32", 0x8000_0000),
        ("uint32", 0xFFFF_FFFF),
        ("int64", 0x8000_0000_0000_0000),
        ("uint64", 0xFFFF_FFFF_FFFF_FFFF),
        ("float32", 0x7FC0_0000),
        ("float64", 0x7FF8_0000_0000_0000),
    ],
)
def test_sunspec_says_by_the_type_what_means_no_value(tmp_path: Path, type_: str, bits: int) -> None:
    meaning = point_of(tmp_path, f"reg: input 0, type: {type_}, missing: sunspec").meaning
    assert meaning == Meaning(unimplemented=(bits,))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            "reg: input 0, bits: 4-7",
            ".bits: '4-7' is not a field of bits; write the lowest and the highest, as in `4..7`, 0 being the least significant",
        ),
        (
            "reg: input 0, bits: 7..4",
            ".bits: '7..4' is not a field of bits; write the lowest and the highest, as in `4..7`, 0 being the least significant",
        ),
        ("reg: input 0, bits: 8..16", ": uint16 has the bits 0..15, and not 16; correct `bits`"),
        (
            "reg: input 0, type: float32, bits: 0..3",
            ": `bits` is a field of a whole number and goes with uint16 to uint64 or int16 to int64, not with float32",
        ),
        (
            "reg: coil 0, bits: 0..0",
            ": `bits` is a field of a whole number and goes with uint16 to uint64 or int16 to int64, not with bool",
        ),
        (
            "reg: holding 0, bits: 0..3, write: true",
            ": writing some bits would write their neighbours too; write a whole register, or remove `write`",
        ),
        (
            "reg: input 0, missing: none",
            ".missing: 'none' lists no raw values; write them as in `[0x8000, 0xFFFF]`, or sunspec for what SunSpec means by the type",
        ),
        (
            "reg: input 0, missing: [true]",
            ".missing: [True] lists no raw values; write them as in `[0x8000, 0xFFFF]`, or sunspec for what SunSpec means by the type",
        ),
        (
            "reg: input 0, missing: [0x10000]",
            ": 16 bits are never 65536; correct `missing`, which lists raw values as the device sends them",
        ),
        ("reg: input 0, missing: [1.5]", ": 16 bits are never 1.5; correct `missing`, which lists raw values as the device sends them"),
        (
            "reg: input 0, bits: 0..3, missing: [16]",
            ": 4 bits are never 16; correct `missing`, which lists raw values as the device sends them",
        ),
        (
            "reg: input 0, type: float32, missing: [1.0e+39]",
            ": no float32 is 1e+39; correct `missing`, which lists raw values as the device sends them",
        ),
        ("reg: input 0, type: bcd16, missing: sunspec", ": SunSpec has no bcd16; list the raw values that mean `missing`"),
        ("reg: input 0, type: bool, bit: 3, missing: [1]", ": one bit cannot say that there is no value; remove `missing`"),
        (
            "reg: input 0, type: float32, values: {1: 2}",
            ": `values` maps whole numbers, and the type is float32; use a whole type or remove `values`",
        ),
        ("reg: input 0, values: {1: 2}, scale: 0.1", ": `values` gives engineering values already; remove `scale` and `offset`"),
        (
            "reg: input 0, values: {-1: 2}",
            ": `values` lists -1, and the device can only send 0 to 65535; correct the code or the type",
        ),
        (
            "reg: input 0, type: int16, values: {0x8000: 2}",
            ": `values` lists 32768, and the device can only send -32768 to 32767; correct the code or the type",
        ),
        (
            "reg: input 0, type: bcd16, values: {10000: 2}",
            ": `values` lists 10000, and the device can only send 0 to 9999; correct the code or the type",
        ),
        ("reg: coil 0, values: {2: 2}", ": `values` lists 2, and the device can only send 0 to 1; correct the code or the type"),
        ("reg: input 0, values: {1: .nan}", ": `values` makes 1 nan, which is no value; leave the code out, and it is bad"),
        (
            "reg: holding 0, values: {1: 2, 3: 2}, write: true",
            ": `values` gives two codes the same value: which one to write is not known; remove one, or `write`",
        ),
        (
            "reg: input 0, values: {0: 1, 3: 2}, labels: {0: open}",
            ": `labels` names 0, which is none of the `values`; labels are for values, not for raw numbers",
        ),
        ("reg: input 0, scale_from: coil 1", ": a scale factor is a number from -10 to 10 and no coil; give a holding or input register"),
        (
            "reg: input 0, type: bool, bit: 1, scale_from: input 1",
            ": `scale_from` scales a number, and the point is a bit or a code; remove it",
        ),
        (
            "reg: input 0, values: {1: 1}, scale_from: input 1",
            ": `scale_from` scales a number, and the point is a bit or a code; remove it",
        ),
        (
            "reg: holding 0, scale_from: input 1, write: true",
            ": a point that its device scales cannot be written; give `scale` instead of `scale_from`, or remove `write`",
        ),
        (
            "reg: input 0, quality: {reg: input 1}",
            ".quality: says of nothing what it means; give `good`, `uncertain`, `bad`, `uncertain_bits` or `bad_bits`",
        ),
        (
            "reg: input 0, quality: {reg: coil 1, type: uint16, bad: [1]}",
            ".quality: a quality is a whole number or one bit of a table of bits, not uint16 of coil; correct `type`",
        ),
        (
            "reg: input 0, quality: {reg: input 1, type: float32, bad: [1]}",
            ".quality: a quality is a whole number or one bit of a table of bits, not float32 of input; correct `type`",
        ),
        ("reg: input 0, quality: {reg: input 1, bad: [-1]}", ".quality: input 1 is never -1 but 0 to 65535; correct the number or `type`"),
        ("reg: input 0, quality: {reg: coil 1, good: [2]}", ".quality: coil 1 is never 2 but 0 to 1; correct the number or `type`"),
        ("reg: input 0, quality: {reg: input 1, bad_bits: 0x10000}", ".quality: uint16 has no bits 0x10000; correct the mask or `type`"),
        ("reg: input 0, quality: {reg: input 1, good: [1, 2], bad: [2]}", ".quality: 2 means two things; list it once"),
    ],
)
def test_what_is_wrong_with_a_meaning_is_said(tmp_path: Path, text: str, what: str) -> None:
    assert problem_of(tmp_path, text) == what


def test_the_documented_meanings_are_what_they_say(tmp_path: Path) -> None:
    doc = meaningfile.__doc__
    assert doc is not None
    said = doc[doc.index("    grid/{n}/state") : doc.index("and in full:")]
    [device] = read_point_list(written(tmp_path, said, "{n: a, b: A1}")).devices
    assert isinstance(device, ModbusDevice)
    assert [point.meaning for point in device.points] == [
        Meaning(bits=(4, 7)),
        Meaning(missing=(0x8000, 999)),
        Meaning(unimplemented=(0x7FC0_0000,)),
        Meaning(values=((0, 1.0), (3, 2.0)), labels=((1, "open"), (2, "closed"))),
        Meaning(factor=companion(40, DataType.INT16)),
        Meaning(word=QualityWord(register=companion(41), bad_bits=0x8001, uncertain=(4,))),
    ]


def test_a_map_says_how_good_all_its_points_are(tmp_path: Path) -> None:
    path = point_list_file(
        tmp_path,
        """
        maps:
          m:
            every: 4s
            base: 1
            order: BADC
            quality: {reg: discrete 8, good: [1]}
            points:
              a: {reg: holding 1, order: ABCD}
              b: {reg: holding 2, quality: {reg: input 9, type: uint32, bad: [3]}, scale_from: holding 3}
        devices:
        - {name: d, area: 1, url: "modbus+tcp://127.0.0.1", map: m}
        """,
    )
    [device] = read_point_list(path).devices
    assert isinstance(device, ModbusDevice)
    assert [point.meaning for point in device.points] == [
        Meaning(word=QualityWord(register=companion(7, DataType.BOOL, Order.BADC, Kind.DISCRETE), good=(1,))),
        Meaning(
            word=QualityWord(register=companion(8, DataType.UINT32, Order.BADC), bad=(3,)),
            factor=companion(2, DataType.INT16, Order.BADC, Kind.HOLDING),
        ),
    ]


def test_what_takes_two_entries_to_see_is_said_of_companions_too(tmp_path: Path) -> None:
    path = point_list_file(
        tmp_path,
        """
        maps:
          m:
            every: 4s
            base: 1
            quality: {reg: input 65536, type: uint32, bad: [1]}
            points:
              a: {reg: holding 1, scale_from: holding 0}
              b: {reg: holding 2, quality: {reg: input 0, bad: [1]}}
          pushed:
            every: 4s
            points:
              c: {reg: holding 1, scale_from: input 3}
          ua:
            every: 4s
            quality: {reg: input 1, bad: [1]}
            points:
              d: {node: "i=1"}
        devices:
        - {name: d, area: 1, url: "modbus+listen://127.0.0.1:9100", map: pushed}
        """,
    )
    with pytest.raises(ConfigError) as caught:
        read_point_list(path)
    assert [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems] == [
        "points.yaml:6: maps.m.quality.reg: address 65536 is outside 1..65535; see `base`",
        "points.yaml:8: maps.m.points.a.scale_from: address 0 is outside 1..65536; see `base`",
        "points.yaml:9: maps.m.points.b.quality: address 0 is outside 1..65536; see `base`",
        (
            "points.yaml:13: maps.pushed.points.c: the map is for a device that dials in: it can write registers and coils to us, "
            "and we can write nothing to it"
        ),
        "points.yaml:16: maps.ua.quality: means nothing for OPC UA; remove it",
    ]
