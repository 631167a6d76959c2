"""Ten thousand meters on one port, each at its own address of this machine: a process that answers every read of registers at once.

``python -m tests.kit.many_meters`` prints its port and serves until it is killed. It binds 0.0.0.0, so that every address 127.x.y.z is a
meter. Register n holds n; whatever else is asked is refused with exception 1. Deliberately simple: what is measured is who asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["address_of", "many_meters"]

_NUMBERS = b"".join(n.to_bytes(2, "big") for n in range(2048))


def address_of(number: int) -> str:
    """Return the address of a meter."""
    return f"127.{1 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}"


class _Meter(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        answers = []
        for start in range(0, len(data) - 11, 12):
            tid, _, _, unit, function, address, count = struct.unpack_from(">HHHBBHH", data, start)
            if function in (3, 4):
                answers.append(struct.pack(">HHHBBB", tid, 0, 3 + 2 * count, unit, function, 2 * count))
                answers.append(_NUMBERS[2 * address : 2 * (address + count)])
            else:
                answers.append(struct.pack(">HHHBBB", tid, 0, 3, unit, function | 0x80, 1))
        self._transport.write(b"".join(answers))


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Meter, "0.0.0.0", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


@contextlib.contextmanager
def many_meters() -> Iterator[int]:
    """Run the meters in a process of their own; yields their port."""
    command = [sys.executable, "-m", "tests.kit.many_meters"]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve())
