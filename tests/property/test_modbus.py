"""Whatever bytes arrive, and however they are cut: a reply that does not answer is never taken for one that does."""

from __future__ import annotations

import struct
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.devices import DataType, Kind, ModbusPoint, Order
from ingest.modbus.decode import BlockDecoder, register_bytes, spans_of
from ingest.modbus.frames import (
    REGISTERS_MAX,
    Adu,
    Exceptional,
    Good,
    Refused,
    Splitter,
    encode_adu,
    judge,
    read_request,
)
from ingest.modbus.plan import Block, Span, plan_blocks, split
from ingest.modbus.written import Written, parse_write, written_pdu
from tests.kit.field import modbus_point

u8, u16 = st.integers(0, 255), st.integers(0, 65535)
adus = st.builds(Adu, u16, u8, st.binary(min_size=1, max_size=253))


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


@given(st.lists(adus, max_size=6), st.lists(st.integers(0, 2000), max_size=8))
def test_frames_come_out_as_they_went_in_wherever_reads_fall(frames: list[Adu], places: list[int]) -> None:
    stream = b"".join(encode_adu(frame.transaction, frame.unit, frame.pdu) for frame in frames)
    splitter = Splitter()
    assert [frame for part in cut(stream, places) for frame in splitter.feed(part)] == frames
    assert splitter.lost is None


@given(st.lists(adus, max_size=4), st.binary(min_size=8, max_size=300), st.lists(st.integers(0, 2000), max_size=8))
def test_garbage_after_frames_adds_only_what_could_be_frames(frames: list[Adu], garbage: bytes, places: list[int]) -> None:
    stream = b"".join(encode_adu(frame.transaction, frame.unit, frame.pdu) for frame in frames)
    splitter = Splitter()
    found = [frame for part in cut(stream + garbage, places) for frame in splitter.feed(part)]
    assert found[: len(frames)] == frames
    rest = b"".join(encode_adu(frame.transaction, frame.unit, frame.pdu) for frame in found[len(frames) :])
    assert garbage.startswith(rest)


@given(st.binary(max_size=2000), st.lists(st.integers(0, 2000), max_size=8))
def test_where_reads_fall_changes_nothing(stream: bytes, places: list[int]) -> None:
    whole, parts = Splitter(), Splitter()
    assert whole.feed(stream) == [frame for part in cut(stream, places) for frame in parts.feed(part)]
    assert whole.lost == parts.lost


requests = st.builds(read_request, u8, st.sampled_from(list(Kind)), u16, st.integers(1, REGISTERS_MAX))


@given(requests, u16, adus)
def test_only_what_answers_is_good(request, transaction, reply) -> None:
    match judge(request, transaction, reply):
        case Good(data):
            assert (reply.transaction, reply.unit, reply.pdu[0]) == (transaction, request.unit, request.pdu[0])
            assert len(data) == request.data_bytes == reply.pdu[1]
            assert reply.pdu[2:] == data
        case Exceptional(code):
            assert (reply.transaction, reply.unit) == (transaction, request.unit)
            assert reply.pdu == bytes([request.pdu[0] | 0x80, code])
        case Refused(reason, is_ours):
            assert is_ours == (reply.transaction == transaction)
            assert (reason == "transaction") != is_ours


@given(
    requests,
    u16,
    st.randoms(use_true_random=False),
    st.sampled_from(["transaction", "unit", "function", "size", "count", "short", "long"]),
    st.integers(1, 255),
)
def test_a_good_reply_with_one_thing_wrong_is_refused(request, transaction, random, what, by) -> None:
    assert request.data_bytes is not None
    data = random.randbytes(request.data_bytes)
    good = Adu(transaction, request.unit, bytes([request.pdu[0], request.data_bytes]) + data)
    assert judge(request, transaction, good) == Good(data)
    head, size = good.pdu[0], good.pdu[1]
    wrong = {
        "transaction": Adu((transaction + by) & 0xFFFF, good.unit, good.pdu),
        "unit": Adu(transaction, (good.unit + by) & 0xFF, good.pdu),
        "function": Adu(transaction, good.unit, bytes([(head + by) & 0xFF]) + good.pdu[1:]),
        "size": Adu(transaction, good.unit, bytes([head, (size + by) & 0xFF]) + data),
        "count": Adu(transaction, good.unit, bytes([head, (size + 2) & 0xFF]) + data + b"\0\0"),
        "short": Adu(transaction, good.unit, good.pdu[:-1]),
        "long": Adu(transaction, good.unit, good.pdu + b"\0"),
    }[what]
    assert not isinstance(judge(request, transaction, wrong), Good)


@given(st.lists(st.tuples(st.sampled_from(list(Kind)), st.integers(0, 3000), st.sampled_from([1, 2, 4])), max_size=60), st.integers(0, 40))
def test_a_plan_covers_every_point_once_within_the_limits(places, hole_max) -> None:
    points = [Span(kind, address, 1 if kind.is_bits else size, row) for row, (kind, address, size) in enumerate(places)]
    blocks = plan_blocks(points, hole_max=hole_max)
    assert sorted(span.row for block in blocks for span in block.spans) == list(range(len(points)))
    for block in blocks:
        assert 1 <= block.count <= (2000 if block.kind.is_bits else 125)
        assert all(span.kind is block.kind for span in block.spans)
        assert min(span.address for span in block.spans) == block.address
        assert max(span.end for span in block.spans) == block.address + block.count
        for half in split(block) or ():
            assert 1 <= half.count <= block.count
    for kind in Kind:
        mine = [block for block in blocks if block.kind is kind]
        edges = [(block.address, block.address + block.count) for block in mine]
        assert edges == sorted(edges)


RAW = {
    DataType.INT16: ">h",
    DataType.UINT16: ">H",
    DataType.INT32: ">i",
    DataType.UINT32: ">I",
    DataType.INT64: ">q",
    DataType.UINT64: ">Q",
    DataType.FLOAT32: ">f",
    DataType.FLOAT64: ">d",
}


def placed(big: bytes, order: Order) -> bytes:
    """Bytes as a device of that order sends them, written independently of the decoder: swap registers, then bytes."""
    words = [big[n : n + 2] for n in range(0, len(big), 2)]
    if order in (Order.DCBA, Order.CDAB):
        words.reverse()
    if order in (Order.DCBA, Order.BADC):
        words = [word[::-1] for word in words]
    return b"".join(words)


@st.composite
def laid_out(draw) -> tuple[list[ModbusPoint], bytes, list[float]]:
    """Points of every type and order in one block with holes, the bytes a device would send, and what they mean."""
    points, data, meant = [], b"", []
    for number in range(draw(st.integers(1, 12))):
        data += b"\xaa\x55" * draw(st.integers(0, 3))
        type_, order = draw(st.sampled_from(list(RAW))), draw(st.sampled_from(list(Order)))
        size = struct.calcsize(RAW[type_])
        raw = draw(st.binary(min_size=size, max_size=size))
        if len(data) + size > 2 * REGISTERS_MAX:
            break
        points.append(modbus_point(f"p{number}", len(data) // 2, type_, order=order))
        meant.append(float(struct.unpack(RAW[type_], raw)[0]))
        data += placed(raw, order)
    return points, data, meant


@given(laid_out())
def test_every_type_in_every_order_is_read_as_struct_reads_it(case) -> None:
    points, data, meant = case
    spans = spans_of(points)
    block = Block(Kind.HOLDING, 0, len(data) // 2, tuple(sorted(spans)))
    values, quality = BlockDecoder(block, points).decode(data)
    for span, value, status in zip(block.spans, values, quality, strict=True):
        if np.isfinite(meant[span.row]):
            assert (value, status) == (meant[span.row], 0)
        else:
            assert np.isnan(value)
            assert status == 0x809E0000


@given(st.sampled_from(list(RAW)), st.sampled_from(list(Order)), st.data())
def test_what_is_written_reads_back(type_, order, data) -> None:
    size = struct.calcsize(RAW[type_])
    raw = data.draw(st.binary(min_size=size, max_size=size))
    [value] = struct.unpack(RAW[type_], raw)
    if not np.isfinite(value) or (abs(value) > 2**53 and type_ in (DataType.INT64, DataType.UINT64)):
        return
    assert register_bytes(modbus_point("p", 0, type_, order=order), float(value)) == placed(struct.pack(RAW[type_], value), order)


@given(st.binary(min_size=1, max_size=253))
def test_whatever_is_written_to_us_is_whole_or_refused(pdu: bytes) -> None:
    written = parse_write(pdu)
    if isinstance(written, Written):
        assert len(written.data) == ((written.bits + 7) // 8 or 2 * written.count) > 0
        assert written.address + written.count <= 0x10000
        if written.read_back is None:
            assert written_pdu(written)[:3] == pdu[:3]
        elif written.holds_what_it_reads:
            assert len(written_pdu(written)) == 2 + 2 * written.read_back[1]
