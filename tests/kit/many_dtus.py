"""Thousands of DTUs in a process of their own, all dialling one port; each answers reads, or writes once a second.

``python -m tests.kit.many_dtus PORT COUNT KIND [CA]`` prints ``connected`` once all have said who they are, and goes on until it is killed.
KIND is ``rtu``, ``mbap`` or ``push``; with CA they speak TLS. Register n holds n. Deliberately simple: what is measured is who listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import ssl
import struct
import subprocess
import sys
from asyncio import sslproto
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from ingest.modbus.frames import encode_adu
from ingest.modbus.rtu import encode_rtu

__all__ = ["PUSHED_REGISTERS", "many_dtus", "name_of", "raise_limit"]

PUSHED_REGISTERS = 40
_NUMBERS = b"".join(n.to_bytes(2, "big") for n in range(2048))
_TOGETHER = 100
_WRITE = encode_adu(1, 1, struct.pack(">BHHB", 16, 0, PUSHED_REGISTERS, 2 * PUSHED_REGISTERS) + _NUMBERS[: 2 * PUSHED_REGISTERS])


def name_of(number: int) -> str:
    """Return the id of a DTU."""
    return f"dtu-{number:05}"


def raise_limit() -> None:
    """Allow as many open files as this machine does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@lru_cache(maxsize=1024)
def _reply(unit: int, function: int, address: int, count: int, *, rtu: bool) -> bytes:
    pdu = bytes([function, 2 * count]) + _NUMBERS[2 * address : 2 * (address + count)]
    return encode_rtu(unit, pdu) if rtu else encode_adu(0, unit, pdu)


class _Dtu(asyncio.Protocol):
    def __init__(self, number: int, kind: str) -> None:
        self._number, self._kind = number, kind

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(f"DTU {name_of(self._number)}\r\n".encode())

    def push(self) -> None:
        self._transport.write(_WRITE)

    def data_received(self, data: bytes) -> None:
        if self._kind == "rtu":
            self._transport.write(_reply(*struct.unpack(">BBHH", data[:6]), rtu=True))
        elif self._kind == "mbap":
            for start in range(0, len(data) - 11, 12):
                self._transport.write(
                    data[start : start + 2] + _reply(*struct.unpack(">BBHH", data[start + 6 : start + 12]), rtu=False)[2:]
                )


async def _dial(port: int, count: int, kind: str, ca: str | None) -> None:
    loop = asyncio.get_running_loop()
    context = None if ca is None else ssl.create_default_context(cafile=ca)
    sslproto.SSLProtocol.max_size = 16 * 1024  # type: ignore[misc]  # a quarter of a mebibyte each is too much here
    dtus: list[_Dtu] = []
    for start in range(0, count, _TOGETHER):
        dials = (
            loop.create_connection(lambda n=n: _Dtu(n, kind), "127.0.0.1", port, ssl=context, server_hostname=ca and "localhost")
            for n in range(start, min(count, start + _TOGETHER))
        )
        dtus += [dtu for _, dtu in await asyncio.gather(*dials)]
    sys.stdout.write("connected\n")
    sys.stdout.flush()
    began_s = loop.time()
    while kind == "push":
        for number, dtu in enumerate(dtus):
            due_s = began_s + number / count
            if loop.time() < due_s:
                await asyncio.sleep(due_s - loop.time())
            dtu.push()
        began_s = max(began_s + 1.0, loop.time() - 1.0)
    await asyncio.Event().wait()


@contextlib.contextmanager
def many_dtus(port: int, count: int, kind: str, ca: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Have them dial; yields their process, which says when they are connected."""
    command = [sys.executable, "-m", "tests.kit.many_dtus", str(port), str(count), kind, *([] if ca is None else [str(ca)])]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    raise_limit()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_dial(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else None))
