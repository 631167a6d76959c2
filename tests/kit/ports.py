"""Ports for servers of the tests' own.

The kernel gives those that it calls ephemeral to every outgoing connection, so that one which was free when it was looked for may be
taken when the server that it is for has started. A port from below them is taken by servers only.
"""

from __future__ import annotations

import random
import socket

__all__ = ["free_port"]

_FIRST, _LAST = 12_000, 32_000
"""Linux's ephemeral ports begin at 32768."""

_given: set[int] = set()
_random = random.Random()  # of the system's entropy: processes that run side by side must not begin at the same port


def free_port() -> int:
    """A port of this machine that nobody listens at, another one each time."""
    while True:
        port = _random.randint(_FIRST, _LAST)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
