"""Whatever a device that dialled in sends, however it is cut: what it says between replies says nothing, what is late is never the next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ingest.addresses import Framing, Manners
from ingest.devices import Kind
from ingest.errors import DeviceError
from ingest.modbus.dialled import DialledWire
from ingest.modbus.exchange import Exchange
from ingest.modbus.frames import Exceptional, Good, Splitter, Verdict, encode_adu, read_request
from ingest.modbus.greeting import GREETING_BYTES_MAX, Noise, Template, greeting_of
from ingest.modbus.rtu import encode_rtu
from ingest.modbus.tlsserver import names_in
from ingest.turns import wall_ns
from tests.kit.dtu import dialled_address, held
from tests.kit.field import Collector, source_into

HEARTBEATS = ("ping", "{hex:FEFE}", r"DTU {id:ascii}\r\n")
NOISE = (b"ping", b"\xfe\xfe", b"DTU me\r\n")


def cut(stream: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut a stream at these places, each taken modulo its length."""
    ends = sorted({place % (len(stream) + 1) for place in places} | {0, len(stream)})
    return [stream[low:high] for low, high in pairwise(ends)]


cuts = st.lists(st.integers(0, 10_000), max_size=12)
noises = st.lists(st.sampled_from(NOISE), max_size=3).map(b"".join)


class Recorder(asyncio.Transport):
    """A transport that keeps what is written and closes when told."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        self.closed = True

    close = abort

    def is_closing(self) -> bool:
        return self.closed


class Link:
    """The owner of a wire, which keeps what it is told."""

    def __init__(self, framing: Framing = Framing.RTU) -> None:
        self.address = dialled_address(1, framing)
        self.manners = Manners()
        self.verdicts: list[tuple[int, Verdict]] = []
        self.cut = False

    def replied(self, exchange: Exchange, verdict: Verdict, *, alone: bool) -> None:
        self.verdicts.append((exchange.request.unit, verdict))

    def answered(self, exchange: Exchange, data: bytes, *, alone: bool) -> None:
        self.replied(exchange, Good(data), alone=alone)

    def unsure(self, wire: Any, why: str) -> None:
        self.cut = True
        wire.abort(why)

    def lost(self, wire: Any, why: str) -> None:
        self.cut = True


def nobody(exchange: Exchange, outcome: bytes | DeviceError, now_ns: int) -> None:
    """Take the end of an exchange."""


def wired(framing: Framing = Framing.RTU) -> tuple[Link, DialledWire, Collector]:
    link, out = Link(framing), Collector()
    wire = DialledWire(link, Noise([Template(text) for text in HEARTBEATS], "me"), source_into(out))
    wire.connection_made(Recorder())
    return link, wire, out


def asked(unit: int, address: int = 0, count: int = 2) -> Exchange:
    exchange = Exchange(read_request(unit, Kind.HOLDING, address, count), source_into(Collector()), 1.0, nobody)
    exchange.sent_wall_ns = wall_ns()
    return exchange


def reply(unit: int, address: int = 0, count: int = 2) -> bytes:
    """What a unit answers, over RTU."""
    data = b"".join(held(unit, n).to_bytes(2, "big") for n in range(address, address + count))
    return encode_rtu(unit, bytes([3, len(data)]) + data)


def values(unit: int, address: int = 0, count: int = 2) -> Good:
    return Good(b"".join(held(unit, n).to_bytes(2, "big") for n in range(address, address + count)))


@given(before=noises, behind=noises, places=cuts)
def test_heartbeats_before_and_behind_replies_are_passed_over_wherever_reads_fall(before: bytes, behind: bytes, places: list[int]) -> None:
    link, wire, _ = wired()
    for unit in (1, 2, 1):
        wire.send(asked(unit))
        for piece in cut(before + reply(unit) + behind, places):
            wire.data_received(piece)
    assert link.verdicts == [(1, values(1)), (2, values(2)), (1, values(1))]
    assert not link.cut


@given(before=noises, behind=noises, places=cuts)
def test_over_modbus_tcp_too(before: bytes, behind: bytes, places: list[int]) -> None:
    link, wire, _ = wired(Framing.MBAP)
    for transaction in (1, 2, 3):
        wire.send(asked(1))
        data = values(1).data
        for piece in cut(before + encode_adu(transaction, 1, bytes([3, len(data)]) + data) + behind, places):
            wire.data_received(piece)
    assert link.verdicts == [(1, values(1))] * 3
    assert not link.cut


@given(
    lates=st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(0, 3), st.booleans()), max_size=4),
    unit=st.sampled_from([1, 2]),
    between=noises,
    places=cuts,
)
def test_a_late_reply_is_never_the_next_ones(lates: list[tuple[int, int, bool]], unit: int, between: bytes, places: list[int]) -> None:
    """Each late request is of other registers than the one that is asked now; some of their replies come, in order, before it."""
    link, wire, _ = wired()
    stream = b""
    for late_unit, count, comes in lates:
        late = asked(late_unit, 50, 1 + count)
        if wire.confuses(late.request):
            continue
        wire.send(late)
        wire.owed.clear()
        wire.doubt(late)
        if comes:
            stream += reply(late_unit, 50, 1 + count) + between
    now = asked(unit, 0, 3)
    if wire.confuses(now.request):
        probe = wire.probe(now.request)
        assert probe is not None
        assert not wire.confuses(probe)
        now = Exchange(probe, now.source, 1.0, nobody)
    assert now.request.data_bytes is not None
    wire.send(now)
    count = now.request.data_bytes // 2
    for piece in cut(stream + reply(unit, 0, count), places):
        wire.data_received(piece)
    assert link.verdicts == [(unit, values(unit, 0, count))]
    assert not link.cut
    assert not wire.confuses(asked(unit, 0, 3).request), "it answers in order: nothing older comes"


@given(st.binary(max_size=600), cuts, st.sampled_from(list(Framing)))
def test_whatever_comes_it_is_an_answer_or_refused_and_little_is_kept(stream: bytes, places: list[int], framing: Framing) -> None:
    link, wire, _ = wired(framing)
    late = asked(2)
    if framing is Framing.RTU:
        wire.doubt(late)
    wire.send(asked(1))
    for piece in cut(stream, places):
        if link.cut:
            break
        wire.data_received(piece)
    for _, verdict in link.verdicts:
        if isinstance(verdict, Good):
            assert verdict.data in stream
        if isinstance(verdict, Exceptional):
            assert bytes([verdict.code]) in stream
    assert len(wire._held) <= GREETING_BYTES_MAX


@given(st.binary(max_size=600), cuts)
def test_noise_and_frames_are_the_same_however_a_stream_is_cut(stream: bytes, places: list[int]) -> None:
    def split(parts: list[bytes]) -> tuple[list[Any], Any]:
        splitter = Splitter(Noise([Template(text) for text in HEARTBEATS], "me"))
        return [frame for part in parts for frame in splitter.feed(part)], splitter.lost

    assert split(cut(stream, places)) == split([stream])


fields = st.sampled_from(
    [
        "{id:ascii:8}",
        "{id:ascii};",
        "{id:digits:4}",
        "{id:hex:4}",
        "{id:bcd:3}",
        "{id:imei}",
        r"RTU (?P<name>\S+)\r\n",
        "{id:digits}#{crc16}",
    ]
)


@given(fields, st.binary(max_size=300) | st.text("0123456789 ;#RTU\r\n", max_size=90).map(str.encode))
def test_a_greeting_is_found_once_enough_has_come_and_not_before(template: str, said: bytes) -> None:
    """More bytes never take back what was found, nor what was refused."""
    greeting = greeting_of(template)
    told = None
    for size in range(len(said) + 1):
        found = greeting.match(said[:size])
        if told is not None:
            assert found == told
        if found is None:
            assert greeting.match(said) is None
            return
        if found[0]:
            assert 0 < found[0] <= size
            assert found[1]
            told = found


@given(st.text(max_size=60))
def test_whatever_is_written_as_a_template_is_one_or_refused(text: str) -> None:
    try:
        template = Template(text)
    except ValueError:
        return
    assert template.size_min > 0
    template.match(b"\0" * 300)
    assert template.excludes(10_000, frozenset({0})) is False


def test_names_of_a_certificate_begin_with_its_common_name() -> None:
    subject = ((("commonName", "a"),), (("organizationName", "o"),))
    assert names_in({"subject": subject, "subjectAltName": (("DNS", "b"), ("email", "c"), ("URI", "urn:d"))}) == ("a", "b", "urn:d")
    assert names_in(None) == names_in({}) == ()


def test_an_exception_answers_the_oldest_that_is_owed_and_is_no_answer_to_the_probe() -> None:
    """A unit of one register refuses every probe: its next request still gets its answer, one timeout later."""
    link, wire, _ = wired()
    late = asked(1, 50, 1)
    wire.send(late)
    wire.owed.clear()
    wire.doubt(late)
    request = wire.probe(asked(1, 50, 1).request)
    assert request is not None
    probe = Exchange(request, late.source, 1.0, nobody)
    probe.sent_wall_ns = wall_ns()
    wire.send(probe)
    wire.data_received(encode_rtu(1, bytes([0x83, 2])))
    assert link.verdicts == [], "whose it is cannot be told"
    wire.owed.clear()
    wire.doubt(probe)
    assert not wire.confuses(asked(1, 50, 1).request)
    wire.send(asked(1, 50, 1))
    wire.data_received(reply(1, 50, 1))
    assert link.verdicts == [(1, values(1, 50, 1))]
    assert not link.cut


def test_a_unit_that_is_silent_for_long_leaves_no_shape_for_another_probe() -> None:
    _, wire, _ = wired()
    found = asked(1, 0, 1).request
    shapes = set()
    while found is not None:
        exchange = Exchange(found, source_into(Collector()), 1.0, nobody)
        exchange.sent_wall_ns = wall_ns()
        wire.doubt(exchange)
        shapes.add(found.data_bytes)
        found = wire.probe(asked(1, 0, 1).request)
    assert shapes == {2 * count for count in range(1, 14)}
