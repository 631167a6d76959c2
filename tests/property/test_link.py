"""Whatever a peer says, whenever and however it is cut: what a link delivers is the answer to what was asked, or the reason there is none.

The peer of these tests holds a number of its own in every register of every unit, so that each answer can be told from each other one. It
answers right, late, twice, in another order, with noise around, with an echo of the request as on a two-wire line, corrupted, or not
at all; its bytes come in pieces, and over a connection that is there no more.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from ingest.addresses import Address, Manners
from ingest.errors import DeviceError
from ingest.modbus.frames import encode_adu
from ingest.modbus.rtu import encode_rtu
from ingest.modbus.wire import Wire
from tests.kit.line import MS, RTU, SERIAL, TCP, Line, Transport, read

PATIENT = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

ACTS = (
    "right",
    "right",
    "right",
    "exception",
    "silent",
    "late",
    "twice",
    "corrupt",
    "short",
    "foreign",
    "noise before",
    "noise behind",
    "echo",
)

REGISTERS = (0, 1, 2, 3, 4, 0x0200, 0x0201)
"""The last two: over RTU the echo of a request for them begins as a good reply does."""


def number_of(unit: int, register: int) -> bytes:
    return (unit * 1000 + register).to_bytes(2, "big")


def delivered_right(line: Line) -> bool:
    """Whether everything told is an error or the number of the very register that was asked for; the name says which."""
    for name, outcome in line.outcomes.items():
        _, unit, register = name.split("/")
        if not isinstance(outcome, DeviceError) and outcome != number_of(int(unit), int(register)):
            return False
    return True


class Peer:
    """Answers what a link sent, as told."""

    def __init__(self, line: Line, address: Address, draw: st.DrawFn) -> None:
        self.line = line
        self.is_rtu = address is not TCP
        self.draw = draw
        self.held: list[tuple[bytes, Wire, int]] = []
        self._seen: dict[Transport, int] = {}

    def framed(self, transaction: bytes, unit: int, pdu: bytes) -> bytes:
        return encode_rtu(unit, pdu) if self.is_rtu else encode_adu(int.from_bytes(transaction, "big"), unit, pdu)

    def asked(self) -> list[tuple[bytes, int]]:
        """What was sent since this was last asked, and when."""
        transport = self.line.transport
        start = self._seen.get(transport, 0)
        self._seen[transport] = len(transport.written)
        return list(zip(transport.written, transport.written_ns, strict=True))[start:]

    def reply_to(self, sent: bytes, act: str) -> bytes:
        unit, pdu = (sent[0], sent[1:-2]) if self.is_rtu else (sent[6], sent[7:])
        register = int.from_bytes(pdu[1:3], "big")
        good = bytes([3, 2]) + number_of(unit, register)
        whole = self.framed(sent[:2], unit, good)
        noise = self.draw(st.binary(min_size=1, max_size=12)) if "noise" in act else b""
        if act == "exception":
            return self.framed(sent[:2], unit, bytes([0x83, self.draw(st.integers(1, 11))]))
        if act == "twice":
            return whole * 2
        if act == "corrupt":
            place, by = self.draw(st.integers(0, len(whole) - 1)), self.draw(st.integers(1, 255))
            if not self.is_rtu:
                # Without a checksum nobody can tell a number that was changed on the way, nor one transaction that was made another's.
                place, by = place % 9, by if place % 9 > 1 else 0x80
            return whole[:place] + bytes([whole[place] ^ by]) + whole[place + 1 :]
        if act == "short":
            if self.is_rtu:
                return whole[: self.draw(st.integers(0, len(whole) - 1))]
            # One that ends before its own length says takes its rest from what comes next, which nobody can tell over Modbus/TCP.
            return self.framed(sent[:2], unit, good[: self.draw(st.integers(1, 3))])
        if act == "foreign":
            return self.framed(sent[:2], unit % 3 + 1, bytes([3, 2]) + number_of(unit % 3 + 1, register))
        if act == "noise before":
            return noise + whole
        if act == "noise behind":
            return whole + noise
        if act == "echo":
            return sent + whole
        return whole

    def act(self) -> None:
        for sent, sent_ns in self.asked():
            act = self.draw(st.sampled_from(ACTS))
            event(act)
            if act == "silent":
                continue
            reply = self.reply_to(sent, act)
            if act == "late" or (not self.is_rtu and self.draw(st.booleans())):
                self.held.append((reply, self.line.wire, sent_ns))
            else:
                self.say(reply, self.line.wire)

    def say(self, reply: bytes, wire: Wire) -> None:
        """Say something in pieces, over the connection it was asked over: what that was closed for is heard by nobody."""
        cuts = self.draw(st.lists(st.integers(0, len(reply)), max_size=2)) if self.draw(st.booleans()) else []
        if self.is_rtu:
            # A second reply that comes by itself, when the next request of the same shape is out, is that one's: no number tells.
            cuts = [cut for cut in cuts if cut * 2 != len(reply)]
        for start, end in pairwise([0, *sorted(cuts), len(reply)]):
            if wire is self.line.wire and start < end:
                self.line.hear(reply[start:end], wire)

    def say_held(self) -> None:
        """Say what was held back, in any order."""
        is_serial = self.line.link.address.is_serial
        for reply, wire, asked_ns in self.draw(st.permutations(self.held)):
            if is_serial and self.line.now_ns >= asked_ns + 990 * MS:
                continue  # a slave answers within twice the timeout, or never: that is what a line is left alone for
            # A serial line has one other end, whichever of our openings of it the request went out over.
            self.say(reply, self.line.wire if is_serial else wire)
        self.held.clear()


def exchange_all(monkeypatch: pytest.MonkeyPatch, address: Address, manners: Manners | None, data: st.DataObject) -> Line:
    """Ask and hear for a while; returns the line when everybody has been told."""
    line = Line(monkeypatch, address, manners)
    peer = Peer(line, address, data.draw)
    for number in range(data.draw(st.integers(3, 15))):
        line.link._backoff.succeeded()  # whose time is not the test's
        unit, register = data.draw(st.integers(1, 3)), data.draw(st.sampled_from(REGISTERS))
        line.link._share.silent.clear()
        line.ask(f"{number}/{unit}/{register}", read(register, unit=unit), timeout_s=0.5)
        line.settle()
        peer.act()
        if data.draw(st.booleans()):
            line.pass_ms(data.draw(st.sampled_from([1, 20, 400, 499, 501, 520])))
        if peer.held and data.draw(st.integers(0, 2)) == 0:
            peer.say_held()
        assert delivered_right(line), line.outcomes
    for _ in range(20):
        line.link._backoff.succeeded()
        peer.act()
        line.pass_ms(100)
    line.link.close()
    line.settle()
    assert delivered_right(line), line.outcomes
    assert len(line.outcomes) == number + 1, "somebody was told nothing"
    return line


@pytest.mark.parametrize("depth", [None, 1, 4])
@PATIENT
@given(data=st.data())
def test_over_modbus_tcp(depth: int | None, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        exchange_all(monkeypatch, TCP, Manners(depth=depth), data)


@PATIENT
@given(data=st.data())
def test_rtu_over_tcp(data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        exchange_all(monkeypatch, RTU, None, data)


@PATIENT
@given(data=st.data())
def test_rtu_on_a_serial_line(data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        exchange_all(monkeypatch, SERIAL, None, data)
