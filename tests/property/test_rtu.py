"""RTU: the one reply to a request is taken, wherever its reads fall, and nothing that deviates from it by a bit."""

from __future__ import annotations

import struct
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU

from ingest.devices import Kind
from ingest.modbus.frames import Exceptional, Good, Refused, read_request, write_registers_request
from ingest.modbus.rtu import ReplyReader, crc16, encode_rtu

u8, u16 = st.integers(0, 255), st.integers(0, 65535)
requests = st.builds(read_request, u8, st.sampled_from(list(Kind)), u16, st.integers(1, 125))


def good_reply(request, random) -> tuple[bytes, bytes]:
    data = random.randbytes(request.data_bytes)
    return encode_rtu(request.unit, bytes([request.pdu[0], request.data_bytes]) + data), data


@given(st.binary(max_size=300))
def test_the_checksum_is_pymodbus_s(data: bytes) -> None:
    assert crc16(data) == FramerRTU.compute_CRC(data).to_bytes(2, "big")


@given(requests, st.randoms(use_true_random=False), st.lists(st.integers(0, 260), max_size=6), st.binary(max_size=4))
def test_a_good_reply_is_taken_wherever_its_reads_fall(request, random, places, rest) -> None:
    frame, data = good_reply(request, random)
    stream, reader, verdict = frame + rest, ReplyReader(request), None
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    fed = 0
    for a, b in pairwise(edges):
        verdict, fed = reader.feed(stream[a:b]), b
        if verdict is not None:
            break
    assert verdict == Good(data)
    assert reader.rest == stream[len(frame) : fed]


@given(requests, st.randoms(use_true_random=False), st.integers(0, 10_000), st.integers(0, 7))
def test_one_wrong_bit_is_never_good(request, random, where, bit) -> None:
    frame, _ = good_reply(request, random)
    wrong = bytearray(frame)
    wrong[where % len(frame)] ^= 1 << bit
    assert not isinstance(ReplyReader(request).feed(bytes(wrong)), Good | Exceptional)


@given(requests, requests, st.randoms(use_true_random=False))
def test_a_reply_of_another_shape_is_not_taken(asked, other, random) -> None:
    frame, _ = good_reply(other, random)
    verdict = ReplyReader(asked).feed(frame)
    same = (asked.unit, asked.pdu[0], asked.data_bytes) == (other.unit, other.pdu[0], other.data_bytes)
    assert isinstance(verdict, Good) == same
    if not same:
        assert verdict is None or isinstance(verdict, Refused)


@given(requests, st.binary(max_size=300))
def test_arbitrary_bytes_crash_nothing(request, raw: bytes) -> None:
    reader = ReplyReader(request)
    for start in range(0, len(raw), 7):
        if reader.feed(raw[start : start + 7]) is not None:
            return


@given(requests, u8)
def test_a_refusal_of_the_device_is_told(request, code) -> None:
    assert ReplyReader(request).feed(encode_rtu(request.unit, bytes([request.pdu[0] | 0x80, code]))) == Exceptional(code)


@given(u8, u16, st.binary(min_size=1, max_size=123).map(lambda half: half * 2))
def test_a_write_is_confirmed_by_its_echo_and_by_nothing_else(unit, address, data) -> None:
    request = write_registers_request(unit, address, data)
    assert request.echo is not None
    assert ReplyReader(request).feed(encode_rtu(unit, request.echo)) == Good(b"")
    other = request.echo[:1] + struct.pack(">H", address ^ 1) + request.echo[3:]
    assert isinstance(ReplyReader(request).feed(encode_rtu(unit, other)), Refused)
