"""A DTU that dials in and has meters behind it; register n of unit u holds 100 u + n."""

from __future__ import annotations

import asyncio
import random
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress

from ingest.addresses import Address, DialIn, Framing, Reception
from ingest.modbus.frames import encode_adu
from ingest.modbus.rtu import encode_rtu

__all__ = ["Dtu", "dialled_address", "dialling", "held", "pieces"]

Answer = Callable[[int, bytes], bytes | None]
"""What a DTU sends for a reply to a unit, given the plain one; None for nothing."""


def held(unit: int, register: int) -> int:
    """What a register of a unit behind a DTU holds."""
    return 100 * unit + register


def dialled_address(
    port: int,
    framing: Framing = Framing.RTU,
    name: str = "dtu",
    *,
    register: str = r"DTU {id:ascii}\r\n",
    heartbeats: tuple[str, ...] = ("ping",),
) -> Address:
    """Where a device is that dials in to this machine."""
    reception = Reception(register=register, heartbeats=heartbeats)
    return Address(host="127.0.0.1", port=port, framing=framing, dial_in=DialIn(id=name, reception=reception))


def pieces(stream: bytes, draw: random.Random | None) -> Iterator[bytes]:
    """Cut a stream at random; whole without anything to draw from."""
    while stream:
        size = len(stream) if draw is None else draw.randrange(1, 8)
        yield stream[:size]
        stream = stream[size:]


class Dtu:
    """One socket of a DTU, and what came over it.

    Attributes:
        answer: what it makes of its replies.
        asked: units that were asked, in order.
        closed: whether we closed it.
        chop: draws where its replies are cut into segments; None where they are not.
    """

    def __init__(self, framing: Framing, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[int] = []
        self.closed = asyncio.Event()
        self.chop: random.Random | None = None
        self._framing = framing
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    async def dial(self, port: int, greeting: bytes, context: ssl.SSLContext | None = None) -> None:
        """Connect, say who it is, and answer from then on."""
        reader, self._writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        self._writer.write(greeting)
        self._task = asyncio.create_task(self._run(reader))

    def say(self, data: bytes) -> None:
        """Send something unasked."""
        assert self._writer is not None
        self._writer.write(data)

    async def _run(self, reader: asyncio.StreamReader) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                if self._framing is Framing.RTU:
                    request = await reader.readexactly(8)
                    transaction = 0
                else:
                    head = await reader.readexactly(6)
                    transaction = int.from_bytes(head[:2], "big")
                    request = await reader.readexactly(6)
                unit, function, address, count = struct.unpack(">BBHH", request[:6])
                self.asked.append(unit)
                data = b"".join(held(unit, n).to_bytes(2, "big") for n in range(address, address + count))
                pdu = bytes([function, len(data)]) + data
                plain = encode_rtu(unit, pdu) if self._framing is Framing.RTU else encode_adu(transaction, unit, pdu)
                said = self.answer(unit, plain)
                for piece in pieces(said or b"", self.chop):
                    self.say(piece)
                    if self.chop is not None:
                        await asyncio.sleep(0.001)
        self.closed.set()

    async def hang_up(self) -> None:
        """Close the socket."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
            with suppress(OSError):
                await self._writer.wait_closed()


@asynccontextmanager
async def dialling(
    port: int,
    framing: Framing = Framing.RTU,
    greeting: bytes = b"DTU dtu\r\n",
    answer: Answer = lambda unit, plain: plain,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[Dtu]:
    """A DTU on the line."""
    dtu = Dtu(framing, answer)
    await dtu.dial(port, greeting, context)
    try:
        yield dtu
    finally:
        await dtu.hang_up()
