"""A link and a wheel whose every answer and every hour are the test's."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from ingest.errors import DeviceError, DeviceRefused, DeviceSilent
from ingest.modbus.exchange import Exchange
from tests.kit.field import JumpClock

__all__ = ["Answer", "ScriptedLink", "ScriptedTurns", "numbered", "without"]

Answer = Callable[[int, int], bytes]
"""From address and count to register bytes; may raise."""


class ScriptedLink:
    """Answers reads as told, when told to; keeps what was asked."""

    is_open = True

    def __init__(self, answer: Answer, clock: JumpClock, *, has_short_way: bool = True, depth: int = 1) -> None:
        self.answer = answer
        self.depth = depth
        self._has_short_way = has_short_way
        self.asked: list[tuple[int, int]] = []
        self._clock = clock
        self._waiting: list[Exchange] = []

    def submit(self, exchange: Exchange) -> DeviceSilent | None:
        exchange.sent_ns = self._clock.now_ns()
        self._waiting.append(exchange)
        return None

    def ask_if_idle(self, exchange: Exchange) -> bool:
        return self._has_short_way and not self._waiting and self.submit(exchange) is None

    def ask_together(self, exchanges: Sequence[Exchange], done: Callable[[Sequence[bytes], int], None]) -> bool:
        if not self._has_short_way or self._waiting:
            return False
        for exchange in exchanges:
            self.submit(exchange)
        return True

    def withdraw(self, exchange: Exchange) -> bool:
        if exchange not in self._waiting:
            return False
        self._waiting.remove(exchange)
        return True

    def rest(self) -> None:
        pass

    def serve(self) -> bool:
        """Answer what was asked first; returns whether there was anything."""
        if not self._waiting:
            return False
        exchange = self._waiting.pop(0)
        _, address, count = struct.unpack(">BHH", exchange.request.pdu)
        self.asked.append((address, count))
        if self.depth == 1:  # else it was sent when it was handed in
            exchange.sent_ns = self._clock.now_ns()
        outcome: bytes | DeviceError
        try:
            outcome = self.answer(address, count)
        except DeviceError as exc:
            outcome = exc
        exchange.done(exchange, outcome, self._clock.now_ns())
        return True


class ScriptedTurns:
    """Time passes when nothing else is to be done, and then to what is due next."""

    def __init__(self, clock: JumpClock) -> None:
        self.clock = clock
        self._due: list[tuple[int, int, Callable[[int], None]]] = []
        self._number = 0

    def at_event(self, ts_ns: int, call: Callable[[int], None]) -> None:
        self._number += 1
        self._due.append((ts_ns, self._number, call))

    def after(self, ns: int, call: Callable[[int], None]) -> None:
        self.at_event(self.clock.now_ns() + ns, call)

    def turn(self) -> None:
        self._due.sort(key=lambda due: due[:2])
        ts_ns, _, call = self._due.pop(0)
        self.clock.pass_ns(max(0, ts_ns - self.clock.now_ns()))
        call(self.clock.now_ns())


def numbered(address: int, count: int) -> bytes:
    """Register n holds n."""
    return b"".join(n.to_bytes(2, "big") for n in range(address, address + count))


def without(*missing: int) -> Answer:
    """Register n holds n, and some are not there."""

    def answer(address: int, count: int) -> bytes:
        if any(address <= register < address + count for register in missing):
            raise DeviceRefused("rtu: exception 2", 2)
        return numbered(address, count)

    return answer
