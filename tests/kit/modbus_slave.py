"""A Modbus/TCP slave that misbehaves as told, request by request.

Register n holds n, unless written. A script takes each request and says which bytes to send, in which pieces and after which
pauses; what a well-behaved slave would send is handed to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

__all__ = ["CLOSE", "Asked", "Piece", "Slave", "behave", "slave"]

CLOSE = object()
"""A piece that closes the connection."""

Piece = bytes | float | object
"""Bytes to send, seconds to wait, or CLOSE."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, and the reply that would be right."""

    number: int
    unit: int
    pdu: bytes
    frame: bytes
    reply: bytes

    @property
    def address(self) -> int:
        return int.from_bytes(self.pdu[1:3], "big")


Script = Callable[[Asked], Sequence[Piece]]


def behave(asked: Asked) -> Sequence[Piece]:
    return [asked.reply]


class Slave:
    """What the slave was asked, and how it answers from now on."""

    def __init__(self) -> None:
        self.script: Script = behave
        self.asked: list[Asked] = []
        self.written: dict[int, int] = {}
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port or self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while True:
                head = await reader.readexactly(7)
                pdu = await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
                asked = Asked(len(self.asked), head[6], pdu, head + pdu, self._reply(head, pdu))
                self.asked.append(asked)
                for piece in self.script(asked):
                    if isinstance(piece, bytes):
                        writer.write(piece)
                        await writer.drain()
                    elif isinstance(piece, float):
                        await asyncio.sleep(piece)
                    else:
                        return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return
        finally:
            self._tasks.discard(task)
            writer.close()

    def _reply(self, head: bytes, pdu: bytes) -> bytes:
        function, address, count = pdu[0], int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
        if function in (3, 4):
            data = b"".join((self.written.get(n, n) & 0xFFFF).to_bytes(2, "big") for n in range(address, address + count))
            answer = bytes([function, len(data)]) + data
        else:
            self.written |= {address + n: int.from_bytes(pdu[6 + 2 * n : 8 + 2 * n], "big") for n in range(count)} if function == 16 else {}
            self.written |= {address: count} if function == 6 else {}
            answer = pdu[:5]
        return head[:4] + (len(answer) + 1).to_bytes(2, "big") + head[6:7] + answer


@asynccontextmanager
async def slave() -> AsyncIterator[Slave]:
    """A slave at a free port of this machine."""
    it = Slave()
    await it.open()
    try:
        yield it
    finally:
        await it.close()
