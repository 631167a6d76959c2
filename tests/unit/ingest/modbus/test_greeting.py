"""Packets that say who dialled in, and those that say nothing: what a template reads, and what it is refused for."""

from __future__ import annotations

import pytest

from ingest.addresses import Framing
from ingest.modbus.greeting import Noise, Template, TemplateError, greeting_of, is_tellable
from ingest.modbus.rtu import crc16


@pytest.mark.parametrize(
    ("template", "packet", "name"),
    [
        (r"RTU {id:ascii}\r\n", b"RTU dtu-7\r\n", "dtu-7"),
        ("{id:ascii:8}", b"DTU 7\0\0\0", None),  # a space in the midst of it
        ("{id:ascii:8}", b"DTU7    ", "DTU7"),
        ("{id:ascii:8}", b"DTU7\0\0\0\0", "DTU7"),
        ("{id:ascii:4}", b"    ", None),
        ("{id:digits:11}", b"13800138000", "13800138000"),
        ("{id:digits:3}", b"12x", None),
        ("#{id:digits};", b"#4711;", "4711"),
        ("#{id:digits};", b"#;", None),
        ("{hex:7B01}{id:hex:4}", bytes.fromhex("7B010A1B2C3D"), "0a1b2c3d"),
        ("{id:bcd:6}", bytes.fromhex("013800138000"), "013800138000"),
        ("{id:bcd:2}", bytes.fromhex("0A38"), None),
        ("{id:imei}", b"490154203237518", "490154203237518"),
        ("{id:imei}", b"490154203237519", None),
        ("{id:ascii:2}{crc16}", b"AB" + crc16(b"AB"), "AB"),
        ("{id:ascii:2}{crc16be}", b"AB" + crc16(b"AB")[::-1], "AB"),
        ("{id:ascii:2}{crc16}", b"AB" + crc16(b"AB")[::-1], None),
        ("{id:ascii:2}{sum8}", b"AB\x83", "AB"),
        ("{id:ascii:2}{xor8}", b"AB\x03", "AB"),
        (r"\x7b\0\\\{{skip:2}{id:ascii:1}\}", b"{\0\\{\xff\0z}", "z"),
        ("ÿ{id:ascii:1}", b"\xffz", "z"),
    ],
)
def test_what_a_packet_says(template: str, packet: bytes, name: str | None) -> None:
    read = Template(template)
    assert read.match(packet + b"more") == (None if name is None else (len(packet), name))
    if name is not None:
        assert [read.match(packet[:size]) for size in range(len(packet))] == [(0, "")] * len(packet), "what is cut off may still come"
        assert read.match(b"!" + packet, 1) == (len(packet), name)
    assert greeting_of(template) is greeting_of(template)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("", "is empty"),
        ("RTU", "does not say which device it is"),
        ("RTU {id:ascii}", "does not say where its id ends"),
        ("{id:ascii}{crc16}", "does not say where its id ends"),
        ("{id:ascii:4}{id:hex:2}", "has two ids"),
        ("{id:hex}x", "does not say how many bytes the id has; write it, as in {id:hex:6}"),
        ("{id:ascii:0}", "a field has 1 to 256 bytes; correct {id:ascii:0}"),
        ("{skip:9999}{id:ascii:1}", "a field has 1 to 256 bytes"),
        ("{name}", "has no field {name}; there are id:ascii:8"),
        ("{hex:7B0}{id:ascii:1}", "is not whole bytes"),
        ("{id:ascii:1}{", "is unclear at '{'"),
        ("{id:ascii:1}\\q", "is unclear at '\\\\q'"),
        ("电{id:ascii:1}", "is not one byte"),
        ("(?P<name>x", "is not a regular expression"),
    ],
)
def test_what_cannot_be_a_template_is_named_with_its_remedy(template: str, said: str) -> None:
    with pytest.raises(TemplateError) as caught:
        greeting_of(template)
    assert said in str(caught.value)


def test_an_id_up_to_a_character_is_bounded() -> None:
    template = Template("{id:ascii};")
    assert template.match(b"x" * 64) == (0, "")
    assert template.match(b"x" * 64 + b";") == (65, "x" * 64)
    assert template.match(b"x" * 65) is None


@pytest.mark.parametrize(
    ("template", "over_tcp", "over_rtu"),
    [
        ("ping", True, True),
        ("HB", False, True),
        ("{hex:FE}", False, True),
        ("{hex:01FE}", False, True),
        ("{hex:01}", False, False),
        ("{hex:0103}", False, False),
        ("{hex:010300}", False, False),
        ("{hex:0103FF}", True, False),
        ("{id:ascii};", False, True),  # one character and the semicolon: nothing is sure of its third
        ("{skip:2}x", True, False),
        ("{skip:9}", False, False),
    ],
)
def test_noise_that_could_be_a_frame_is_known_as_such(template: str, over_tcp: bool, over_rtu: bool) -> None:
    assert is_tellable(Template(template), Framing.MBAP) is over_tcp
    assert is_tellable(Template(template), Framing.RTU, frozenset({1, 2})) is over_rtu


def test_noise_is_passed_over_and_counted_unless_it_names_somebody_else() -> None:
    noise = Noise([Template("ping"), Template(r"DTU {id:ascii}\r\n")], "me")
    assert noise.end(b"pingDTU me\r\npi") == (12, True)
    assert noise.heard == 2
    assert noise.end(b"DTU you\r\n") == (0, False)
    assert noise.end(b"\x01\x03") == (0, False)
    assert noise.end(b"") == (0, False)
    assert noise.heard == 2
    assert not Noise([])
