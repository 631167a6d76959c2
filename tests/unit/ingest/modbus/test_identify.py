"""What a device calls itself: function 43/14, over Modbus/TCP and over RTU, where nothing but the reply says how long it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.modbus.frames import Adu, Exceptional, Good, Refusal, Refused, judge
from ingest.modbus.identify import BASIC, identify_request, parse_identification
from ingest.modbus.rtu import ReplyReader, encode_rtu

REQUEST = identify_request(7, BASIC)
# V1.1b3 §6.21, the example: two objects, more to follow at object 2.
PDU = bytes([0x2B, 0x0E, 1, 1, 0xFF, 2, 2, 0, 4]) + b"Acme" + bytes([1, 3]) + b"PM5"


def test_a_reply_is_read() -> None:
    verdict = judge(REQUEST, 3, Adu(3, 7, PDU))
    assert isinstance(verdict, Good)
    said = parse_identification(verdict.data)
    assert said is not None
    assert (said.conformity, said.next_object, said.objects) == (1, 2, ((0, "Acme"), (1, "PM5")))


def test_a_reply_that_is_cut_off_or_too_long_is_refused() -> None:
    for pdu in (PDU[:-1], PDU + b"\0", PDU[:5]):
        assert judge(REQUEST, 3, Adu(3, 7, pdu)) == Refused(Refusal.SIZE, is_ours=True)
        assert parse_identification(pdu[1:]) is None


def test_a_device_that_does_not_know_it_says_so() -> None:
    assert judge(REQUEST, 3, Adu(3, 7, bytes([0xAB, 1]))) == Exceptional(1)


@given(st.integers(0, len(PDU) + 3))
def test_over_rtu_it_is_whole_wherever_reads_fall(cut: int) -> None:
    frame = encode_rtu(7, PDU)
    reader = ReplyReader(REQUEST)
    first = reader.feed(frame[:cut])
    assert first is None or cut == len(frame)
    verdict = first if first is not None else reader.feed(frame[cut:])
    assert verdict == Good(PDU[1:])
    assert reader.rest == b""


@given(st.binary(max_size=300))
def test_any_bytes_are_judged_and_none_raise(data: bytes) -> None:
    parse_identification(data)
    ReplyReader(REQUEST).feed(bytes([7, 0x2B]) + data)
    judge(REQUEST, 0, Adu(0, 7, bytes([0x2B]) + data))
