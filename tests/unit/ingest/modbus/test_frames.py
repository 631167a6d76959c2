"""Modbus/TCP bytes: the specification's own examples, and every way a reply can fail to answer."""

from __future__ import annotations

import pytest

from ingest.devices import Kind
from ingest.modbus.frames import (
    Adu,
    Exceptional,
    ExceptionCode,
    Good,
    Refusal,
    Refused,
    Request,
    Splitter,
    encode_adu,
    judge,
    read_request,
    write_coils_request,
    write_registers_request,
)
from ingest.modbus.greeting import Noise, Template
from ingest.modbus.written import Written, exception_pdu, parse_write, written_pdu


def pdu(text: str) -> bytes:
    return bytes.fromhex(text)


@pytest.mark.parametrize(
    ("request_", "sent", "reply", "data"),
    [
        # MODBUS Application Protocol V1.1b3: the worked example of each function.
        (read_request(1, Kind.COIL, 19, 19), "01 0013 0013", "01 03 CD6B05", "CD6B05"),
        (read_request(1, Kind.DISCRETE, 196, 22), "02 00C4 0016", "02 03 ACDB35", "ACDB35"),
        (read_request(1, Kind.HOLDING, 107, 3), "03 006B 0003", "03 06 022B 0000 0064", "022B 0000 0064"),
        (read_request(1, Kind.INPUT, 8, 1), "04 0008 0001", "04 02 000A", "000A"),
        (write_coils_request(1, 172, [True]), "05 00AC FF00", "05 00AC FF00", ""),
        (write_registers_request(1, 1, pdu("0003")), "06 0001 0003", "06 0001 0003", ""),
        (
            write_coils_request(1, 19, [True, False, True, True, False, False, True, True, True, False]),
            "0F 0013 000A 02 CD01",
            "0F 0013 000A",
            "",
        ),
        (write_registers_request(1, 1, pdu("000A 0102")), "10 0001 0002 04 000A 0102", "10 0001 0002", ""),
    ],
)
def test_the_examples_of_the_specification(request_: Request, sent: str, reply: str, data: str) -> None:
    assert request_.pdu == pdu(sent)
    assert judge(request_, 7, Adu(7, 1, pdu(reply))) == Good(pdu(data))


def test_a_frame_on_the_wire() -> None:
    assert encode_adu(0x1501, 0xFF, pdu("04 0000 0001")) == pdu("1501 0000 0006 FF 04 0000 0001")


ASKED = read_request(17, Kind.HOLDING, 100, 2)
WRITTEN = write_registers_request(17, 100, pdu("0001 0002"))


@pytest.mark.parametrize(
    ("request_", "reply", "refused"),
    [
        (ASKED, Adu(6, 17, pdu("03 04 00010002")), Refused(Refusal.TRANSACTION, is_ours=False)),
        (ASKED, Adu(0, 17, pdu("03 04 00010002")), Refused(Refusal.TRANSACTION, is_ours=False)),
        (ASKED, Adu(7, 18, pdu("03 04 00010002")), Refused(Refusal.UNIT, is_ours=True)),
        (ASKED, Adu(7, 17, pdu("04 04 00010002")), Refused(Refusal.FUNCTION, is_ours=True)),
        (ASKED, Adu(7, 17, pdu("84 02")), Refused(Refusal.FUNCTION, is_ours=True)),
        (ASKED, Adu(7, 17, pdu("03 02 0001")), Refused(Refusal.SIZE, is_ours=True)),
        (ASKED, Adu(7, 17, pdu("03 06 000100020003")), Refused(Refusal.SIZE, is_ours=True)),
        (ASKED, Adu(7, 17, pdu("03 04 0001")), Refused(Refusal.SIZE, is_ours=True)),
        (ASKED, Adu(7, 17, pdu("03 02 00010002")), Refused(Refusal.SIZE, is_ours=True)),
        (ASKED, Adu(7, 17, pdu("03")), Refused(Refusal.SIZE, is_ours=True)),
        (ASKED, Adu(7, 17, pdu("83")), Refused(Refusal.SIZE, is_ours=True)),
        (ASKED, Adu(7, 17, pdu("83 02 00")), Refused(Refusal.SIZE, is_ours=True)),
        (WRITTEN, Adu(7, 17, pdu("10 0065 0002")), Refused(Refusal.ECHO, is_ours=True)),
        (WRITTEN, Adu(7, 17, pdu("10 0064 0001")), Refused(Refusal.ECHO, is_ours=True)),
        (WRITTEN, Adu(7, 17, pdu("10 0064 0002 00")), Refused(Refusal.ECHO, is_ours=True)),
    ],
)
def test_a_reply_that_does_not_answer_is_refused(request_: Request, reply: Adu, refused: Refused) -> None:
    assert judge(request_, 7, reply) == refused


def test_an_exception_answers() -> None:
    assert judge(ASKED, 7, Adu(7, 17, pdu("83 02"))) == Exceptional(2)
    assert judge(WRITTEN, 7, Adu(7, 17, pdu("90 06"))) == Exceptional(6)


def test_one_read_may_not_ask_for_more_than_a_reply_can_hold() -> None:
    assert read_request(1, Kind.INPUT, 0, 125).data_bytes == 250
    with pytest.raises(AssertionError, match="126 in one read"):
        read_request(1, Kind.INPUT, 0, 126)


@pytest.mark.parametrize(
    ("header", "lost"),
    [
        ("0001 0001 0003 01 03 00", Refusal.PROTOCOL),
        ("0001 0000 0001 01 03", Refusal.LENGTH),
        ("0001 0000 0000 01 03", Refusal.LENGTH),
        ("0001 0000 00FF 01 03", Refusal.LENGTH),
        ("4745 5420 2F20 48 54", Refusal.PROTOCOL),
    ],
)
def test_a_stream_that_is_no_modbus_is_lost_for_good(header: str, lost: Refusal) -> None:
    good = encode_adu(1, 1, b"\x03\x02\x00\x07")
    splitter = Splitter()
    assert splitter.feed(good + pdu(header)) == [Adu(1, 1, b"\x03\x02\x00\x07")]
    assert splitter.lost is lost
    assert splitter.feed(good) == []


def test_heartbeats_between_frames_are_skipped_wherever_reads_fall() -> None:
    one, two = encode_adu(1, 1, b"\x03\x02\x00\x07"), encode_adu(0x6869, 1, b"\x03\x02\x00\x08")
    stream = b"hi there" + one + b"hi therehi there" + two + b"RTU x\r\n" + one
    for cut in range(len(stream) + 1):
        splitter = Splitter(Noise([Template("hi there"), Template(r"RTU x\r\n")]))
        frames = splitter.feed(stream[:cut]) + splitter.feed(stream[cut:])
        assert [frame.pdu[-1] for frame in frames] == [7, 8, 7]
        assert splitter.lost is None


@pytest.mark.parametrize(
    ("request_", "parsed", "answer"),
    [
        ("10 0001 0002 04 000A 0102", Written(16, 1, pdu("000A 0102")), "10 0001 0002"),
        ("06 0001 0003", Written(6, 1, pdu("0003")), "06 0001 0003"),
        ("05 0001 FF00", Written(5, 1, b"\x01", Kind.COIL, 1), "05 0001 FF00"),
        ("05 0001 0000", Written(5, 1, b"\x00", Kind.COIL, 1), "05 0001 0000"),
        ("0F 0013 000A 02 CD01", Written(15, 0x13, pdu("CD01"), Kind.COIL, 10), "0F 0013 000A"),
        ("17 0002 0001 0001 0002 04 000A 0102", Written(23, 1, pdu("000A 0102"), read_back=(2, 1)), "17 02 0102"),
    ],
)
def test_what_a_device_writes_to_us(request_: str, parsed: Written, answer: str) -> None:
    written = parse_write(pdu(request_))
    assert written == parsed
    assert isinstance(written, Written)
    assert written_pdu(written) == pdu(answer)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ("03 0000 0001", ExceptionCode.ILLEGAL_FUNCTION),
        ("2B 0E 01 00", ExceptionCode.ILLEGAL_FUNCTION),
        ("06 0001 00", ExceptionCode.ILLEGAL_VALUE),
        ("10 0001", ExceptionCode.ILLEGAL_VALUE),
        ("10 0001 0000 00", ExceptionCode.ILLEGAL_VALUE),
        ("10 0001 0002 04 000A", ExceptionCode.ILLEGAL_VALUE),
        ("10 0001 0002 02 000A 0102", ExceptionCode.ILLEGAL_VALUE),
        ("10 0001 007C F8" + "00" * 248, ExceptionCode.ILLEGAL_VALUE),
        ("10 FFFF 0002 04 000A 0102", ExceptionCode.ILLEGAL_ADDRESS),
        ("05 0001 0001", ExceptionCode.ILLEGAL_VALUE),
        ("05 0001 FF", ExceptionCode.ILLEGAL_VALUE),
        ("0F 0013 000A 01 CD", ExceptionCode.ILLEGAL_VALUE),
        ("0F 0013 0000 00", ExceptionCode.ILLEGAL_VALUE),
        ("0F FFFF 0002 01 03", ExceptionCode.ILLEGAL_ADDRESS),
        ("17 0002 0001", ExceptionCode.ILLEGAL_VALUE),
        ("17 0002 0000 0001 0001 02 000A", ExceptionCode.ILLEGAL_VALUE),
        ("17 0002 0001 0001 007A F4" + "00" * 244, ExceptionCode.ILLEGAL_VALUE),
    ],
)
def test_what_a_device_may_not_write(request_: str, code: ExceptionCode) -> None:
    assert parse_write(pdu(request_)) is code


def test_only_what_was_just_written_can_be_read_back() -> None:
    reads = {(1, 2): True, (2, 1): True, (0, 1): False, (2, 2): False, (4, 1): False}
    assert {each: Written(23, 1, pdu("000A 0102"), read_back=each).holds_what_it_reads for each in reads} == reads


def test_a_refusal_sets_the_top_bit_of_the_function() -> None:
    assert exception_pdu(16, ExceptionCode.ILLEGAL_ADDRESS) == pdu("90 02")
