"""A link whose connections, time and peer are the test's, byte by byte and at times of its choosing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from ingest.addresses import Address, Framing, Manners, SerialLine
from ingest.devices import Kind
from ingest.errors import DeviceError
from ingest.modbus.exchange import Exchange
from ingest.modbus.frames import Request, read_request
from ingest.modbus.link import ModbusLink
from ingest.modbus.wire import Wire
from ingest.source import Source
from market.units import NS_PER_MS, NS_PER_S, instant_ns
from tests.kit.field import Collector, JumpClock, source_into

__all__ = ["MS", "RTU", "SERIAL", "TCP", "Line", "Transport", "holds", "read", "right_or_silent"]

MS = NS_PER_MS


class Transport(asyncio.Transport):
    """Keeps what is written, and when; closes when told."""

    def __init__(self, now_ns: Callable[[], int] = lambda: 0) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.written_ns: list[int] = []
        self._now_ns = now_ns
        self.is_closed = False
        self.expects = 1
        """Bytes of which the protocol is told when they are there together."""

    def expect(self, size: int) -> None:
        self.expects = size

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))
        self.written_ns.append(self._now_ns())

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True


class _Alarm:
    """A call to come that can be cancelled."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def __call__(self, _: int) -> None:
        if self._call is not None:
            self._call()

    def cancel(self) -> None:
        self._call = None


class Line:
    """A link whose connections, time and peer are the test's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, address: Address, manners: Manners | None = None) -> None:
        self.now_ns = NS_PER_S
        self.clock = JumpClock(instant_ns("2026-06-10T12:00:00Z"))
        self._due: list[tuple[int, Callable[[int], None]]] = []
        monkeypatch.setattr("ingest.modbus.link.wall_ns", lambda: self.now_ns)
        monkeypatch.setattr("ingest.modbus.wire.wall_ns", lambda: self.now_ns)
        monkeypatch.setattr(ModbusLink, "_open", lambda _: self._opens())
        if address.is_serial:  # whose connections end by a call of the event loop; here by :meth:`settle`
            monkeypatch.setattr(Wire, "abort", lambda wire, why="": wire.close())
        self.source: Source = source_into(Collector())
        self.outcomes: dict[str, bytes | DeviceError] = {}
        self.rounds = 0
        """Times all that was asked together was told together."""
        self.link = ModbusLink(address, cast("Any", self), manners)
        self.is_opening = False
        self.connect()

    def after(self, ns: int, call: Callable[[int], None]) -> None:
        self._due.append((self.now_ns + ns, call))

    def at_wall(self, wall_ns: int, call: Callable[[int], None]) -> None:
        self._due.append((wall_ns, call))

    def unless_cancelled(self, s: float, call: Callable[[], None]) -> _Alarm:
        alarm = _Alarm(call)
        self.after(int(s * NS_PER_S), alarm)
        return alarm

    def _opens(self) -> None:
        self.is_opening = bool(self.link._queue)

    def connect(self) -> None:
        self.is_opening = False
        self.wire, self.transport = Wire(self.link), Transport(lambda: self.now_ns)
        self.wire.connection_made(self.transport)
        self.link.adopt(self.wire)

    def settle(self) -> None:
        """Let a connection that was closed be gone, and one that is wanted be there."""
        if self.transport.is_closed:
            self.wire.connection_lost(None)
        if self.is_opening:
            self.connect()

    def pass_ms(self, ms: float) -> None:
        end_ns = self.now_ns + int(ms * MS)
        while due := sorted((each for each in self._due if each[0] <= end_ns), key=lambda each: each[0]):
            self._due.remove(due[0])
            self.now_ns = max(self.now_ns, due[0][0])
            due[0][1](self.now_ns)
            self.settle()
        self.now_ns = end_ns
        self.settle()

    def ask(self, name: str, request: Request, timeout_s: float = 1.0, *, first: bool = False, source: Source | None = None) -> None:
        def done(_: Exchange, outcome: bytes | DeviceError, __: int) -> None:
            assert name not in self.outcomes, f"{name} is told twice"
            self.outcomes[name] = outcome

        assert self.link.submit(Exchange(request, source or self.source, timeout_s, done), first=first) is None

    def ask_together(self, *registers: int, timeout_s: float = 1.0) -> bool:
        """Ask for several registers in one go; what all of them hold becomes one outcome where it came together."""

        def done(exchange: Exchange, outcome: bytes | DeviceError, _: int) -> None:
            name = str(int.from_bytes(exchange.request.pdu[1:3], "big"))
            assert name not in self.outcomes, f"{name} is told twice"
            self.outcomes[name] = outcome

        def all_done(data: Sequence[bytes], _: int) -> None:
            self.rounds += 1
            for register, each in zip(registers, data, strict=True):
                assert str(register) not in self.outcomes, f"{register} is told twice"
                self.outcomes[str(register)] = each

        return self.link.ask_together([Exchange(read(register), self.source, timeout_s, done) for register in registers], all_done)

    def asked(self) -> list[tuple[int, int]]:
        """Return what was asked so far, as transaction and register."""
        sent = b"".join(self.transport.written)
        return [(int.from_bytes(sent[at : at + 2], "big"), int.from_bytes(sent[at + 8 : at + 10], "big")) for at in range(0, len(sent), 12)]

    def hear(self, data: bytes, wire: Wire | None = None) -> None:
        """Have the peer say something, over the present connection or an earlier one."""
        if wire in (None, self.wire) and not self.transport.is_closed:
            self.wire.data_received(data)
        self.settle()


def read(register: int, unit: int = 1) -> Request:
    return read_request(unit, Kind.HOLDING, register, 1)


def holds(register: int) -> bytes:
    """PDU of a reply: a register holds its number."""
    return bytes([3, 2]) + register.to_bytes(2, "big")


def right_or_silent(line: Line) -> bool:
    return all(isinstance(outcome, DeviceError) or outcome == int(name).to_bytes(2, "big") for name, outcome in line.outcomes.items())


TCP = Address(host="10.0.0.1", port=502)
RTU = Address(host="10.0.0.1", port=4001, framing=Framing.RTU)
SERIAL = Address(host="/dev/ttyS9", framing=Framing.RTU, line=SerialLine())
