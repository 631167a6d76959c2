"""How do ten thousand plain connections cost little more than their system calls?

An event loop's own transports serve any protocol, and each of them costs several objects and a few callbacks for every turn. Field
devices need less: short requests, short replies, nothing to negotiate. Here all plain TCP connections of an event loop stand in one epoll
set, which the loop watches as a single file. When any of them has something to say, one callback reads them all.

Being woken for each reply costs more than taking it. Where replies come in so often, the set is looked at once a turn of the wheels instead
(:meth:`Sockets.tick`), every few milliseconds, as a network driver does that polls its card under load.

To a protocol (:class:`asyncio.Protocol`) such a connection looks as any other: ``connection_made``, ``data_received``, ``connection_lost``,
in that order, the last never from within a call of its own.

Where the system has no epoll (only Linux has), the event loop's transports serve.

Absent on purpose: flow control. Who asks a device only when it has answered cannot fill a buffer; and of one that floods us no more is read
at a turn than others get, so TCP slows it down.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import select
import socket
from typing import Any, Final

__all__ = ["HAS_EPOLL", "Sockets"]

_log: Final = logging.getLogger(__name__)

HAS_EPOLL: Final = hasattr(select, "epoll")

_ROOM: Final = select.EPOLLOUT if HAS_EPOLL else 0
_READ_MAX: Final = 8192
"""Bytes taken from a connection at a turn: more than a device owes at the deepest pipelining."""

_EVENTS_MAX: Final = 512
"""Connections served when we are woken: nobody else waits for more."""

_MANY: Final = 64
"""Connections from which on they may be looked at by turns: of fewer, each is answered as soon as it speaks."""

_WAKES_MAX: Final = 3
"""Times we may be woken between two turns; more often, and the turns do it."""

_IDLE_TURNS: Final = 20
"""Turns in a row with next to nothing to do, after which we are woken again."""


class _Connection(asyncio.Transport):
    """One plain TCP connection."""

    __slots__ = ("_is_closing", "_protocol", "_sock", "_sockets", "_unsent")

    def __init__(self, sockets: Sockets, sock: socket.socket, protocol: asyncio.Protocol) -> None:
        # What asyncio's own constructor would add, an empty dictionary, ten thousand times over.
        self._sockets = sockets
        self._sock = sock
        self._protocol = protocol
        self._unsent = b""
        self._is_closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        match name:
            case "socket":
                return self._sock
            case "peername" | "sockname":
                with contextlib.suppress(OSError):
                    return self._sock.getpeername() if name == "peername" else self._sock.getsockname()
        return default

    def expect(self, size: int) -> None:
        """Have the protocol told when so many bytes are there, or the peer has closed, and not before; 1 for each that comes."""
        if self._sock.fileno() >= 0:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
            if size == 1:  # what has come already may wake nobody any more
                self._sockets.loop.call_soon(self.serve, select.EPOLLIN)

    def is_closing(self) -> bool:
        return self._is_closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._is_closing:
            return
        if not self._unsent:
            try:
                sent = self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as exc:
                self._lose(exc)
                return
            if sent == len(data):
                return
            data = data[sent:]
            self._sockets.watch_for_room(self._sock, True)
        self._unsent += data

    def close(self) -> None:
        """Close once what was written has been sent."""
        if not self._unsent:
            self._lose(None)
        self._is_closing = True

    def abort(self) -> None:
        self._lose(None)

    def serve(self, events: int) -> None:
        """Read, write or end, as epoll says."""
        if events & _ROOM:
            if self._unsent:
                self._send_rest()
            if events == _ROOM or self._sock.fileno() < 0:
                return
        if self._sock.fileno() < 0:
            return
        try:
            data = self._sock.recv(_READ_MAX)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            self._lose(exc)
            return
        if not data:
            self._lose(None)
        elif not self._is_closing:
            try:
                self._protocol.data_received(data)
            except Exception as exc:
                _log.exception("%r: taking what a peer sent failed by a fault of this program; the connection is closed", self._protocol)
                self._lose(exc)

    def _send_rest(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            self._lose(exc)
            return
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._sockets.watch_for_room(self._sock, False)
            if self._is_closing:
                self._lose(None)

    def _lose(self, why: Exception | None) -> None:
        """Let go of the socket; the protocol is told in its own turn, once."""
        if self._sock.fileno() < 0:
            return
        self._is_closing = True
        self._unsent = b""
        self._sockets.remove(self._sock)
        self._sock.close()
        self._sockets.loop.call_soon(self._protocol.connection_lost, why)


class Sockets:
    """The plain TCP connections of an event loop, in one epoll set; it is there as long as there is a connection."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop
        self._epoll: select.epoll | None = None
        self._connections: dict[int, _Connection] = {}
        self._by_turns = False
        self._wakes = 0
        self._idle_turns = 0

    def __len__(self) -> int:
        return len(self._connections)

    @property
    def needs_turns(self) -> bool:
        """Whether there are so many connections that :meth:`tick` is to be called every few milliseconds, whoever is due."""
        return len(self._connections) >= _MANY or self._by_turns

    async def connect(self, host: str, port: int, protocol: asyncio.Protocol) -> None:
        """Connect to a device, by name or address; when this returns, ``connection_made`` was called.

        Raises:
            OSError: no such name, or nobody there.
        """
        self.adopt(await _connected(host, port), protocol)

    def adopt(self, sock: socket.socket, protocol: asyncio.Protocol) -> None:
        """Serve a connection that has been made, ours or a peer's doing; the socket is not blocking and nobody else's from now on."""
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop = asyncio.get_running_loop()
        if self._epoll is None:
            self.loop = loop
            self._epoll = select.epoll()
            self._by_turns = False
            loop.add_reader(self._epoll.fileno(), self._woken)
        assert self.loop is loop, "a set of connections serves one event loop"
        connection = _Connection(self, sock, protocol)
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        self._connections[sock.fileno()] = connection
        protocol.connection_made(connection)

    def watch_for_room(self, sock: socket.socket, on: bool) -> None:
        """Have a connection served also when more can be written, or no longer."""
        assert self._epoll is not None
        self._epoll.modify(sock.fileno(), select.EPOLLIN | select.EPOLLOUT if on else select.EPOLLIN)

    def remove(self, sock: socket.socket) -> None:
        """Serve a connection no more."""
        assert self._epoll is not None
        self._epoll.unregister(sock.fileno())
        del self._connections[sock.fileno()]
        if not self._connections:
            self.loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def tick(self) -> None:
        """Be called every few milliseconds, before deadlines are looked at: serve all that have something to say, woken for them or not.

        After a moment in which this process was held up those are many more than at any other turn, and what has come is not late.
        """
        if self._epoll is None:
            return
        served = 0
        for _ in range(1 + len(self._connections) // _EVENTS_MAX):
            served += (now := self._serve())
            if now < _EVENTS_MAX:
                break
        if self._by_turns:
            self._idle_turns = 0 if served > 1 else self._idle_turns + 1
            if self._idle_turns >= _IDLE_TURNS and self._connections:
                self._by_turns = False
                self.loop.add_reader(self._epoll.fileno(), self._woken)
        elif self._wakes > _WAKES_MAX and len(self._connections) >= _MANY:
            self._by_turns, self._idle_turns = True, 0
            self.loop.remove_reader(self._epoll.fileno())
        self._wakes = 0

    def _woken(self) -> None:
        self._wakes += 1
        self._serve()

    def _serve(self) -> int:
        """Serve the connections that have something to say; returns how many."""
        epoll, connections = self._epoll, self._connections
        if epoll is None:
            return 0
        ready = epoll.poll(0, _EVENTS_MAX)
        for file, events in ready:
            # One that was served before it may have ended it. A new one under the same number finds nothing to read, which does no harm.
            connection = connections.get(file)
            if connection is not None:
                connection.serve(events)
        return len(ready)


async def _connected(host: str, port: int) -> socket.socket:
    """Return a connected socket, not blocking: to the first of a name's addresses that takes the connection."""
    loop = asyncio.get_running_loop()
    try:
        family: int = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
        places: list[tuple[int, Any]] = [(family, (host, port))]
    except ValueError:
        places = [(info[0], info[4]) for info in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    why: OSError | None = None
    for family, place in places:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, place)
        except OSError as exc:
            sock.close()
            why = why or exc
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise why or OSError(f"{host} has no address")
