"""How is a connection made: over TCP, over TLS, or over a serial line?"""

from __future__ import annotations

import asyncio
import ssl
import termios
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeVar, cast

from pymodbus.transport.serialtransport import create_serial_connection

from ingest.addresses import Address, Tls
from ingest.sockets import HAS_EPOLL, Sockets

__all__ = ["dial"]

_P = TypeVar("_P", bound=asyncio.Protocol)

_TURNS_TO_OPEN: Final = 3
"""Turns of the event loop after which a serial line's protocol knows that it is open."""


async def dial(address: Address, protocol: Callable[[], _P], sockets: Sockets) -> _P:
    """Connect to an address; returns the protocol, whose connection is made.

    Args:
        sockets: take a connection that is plain TCP.

    Raises:
        OSError: nobody there, not let in, no such line, or no name of a host; a peer whose certificate is not trusted is one.
    """
    loop = asyncio.get_running_loop()
    if address.is_serial:
        line = address.line
        assert line is not None
        try:
            transport, line_protocol = await create_serial_connection(
                loop, protocol, address.host, baudrate=line.baud, parity=line.parity, stopbits=line.stop_bits, bytesize=8
            )
        except (ValueError, termios.error) as exc:  # two ways to say that the line cannot be set so; neither is an OSError
            raise OSError(f"the line cannot be set to {line.baud} baud, parity {line.parity}, {line.stop_bits} stop bits: {exc}") from exc
        assert isinstance(line_protocol, asyncio.Protocol)
        try:
            for _ in range(_TURNS_TO_OPEN):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            transport.abort()
            raise
        return cast("_P", line_protocol)
    context = None if address.tls is None else _client_context(address.tls)
    name = None if address.tls is None else address.tls.server_name or address.host
    try:
        if context is None and HAS_EPOLL:
            connected = protocol()
            await sockets.connect(address.host, address.port, connected)
            return connected
        _, connected = await loop.create_connection(protocol, address.host, address.port, ssl=context, server_hostname=name)
    except UnicodeError as exc:  # who asks for the address of such a name is told so without an OSError
        raise OSError(f"{address.host!r} is no name of a host: {exc}") from exc
    return connected


@lru_cache(maxsize=64)
def _client_context(tls: Tls) -> ssl.SSLContext:
    """Return the context for devices with these certificates; thousands of devices share one."""
    context = ssl.create_default_context(cafile=tls.ca)
    context.check_hostname = tls.server_name != ""
    if tls.cert is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context
