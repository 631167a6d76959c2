"""Plain connections in one epoll set behave to their protocols as an event loop's own do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable

import pytest

from ingest.sockets import Sockets


class Heard(asyncio.Protocol):
    """Keeps what it is told, in order."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.told: list[str] = []
        self.data = b""
        self.why: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.told.append("made")

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.told.append("data")

    def connection_lost(self, exc: Exception | None) -> None:
        self.why = exc
        self.told.append("lost")


@contextlib.asynccontextmanager
async def pair(sockets: Sockets, protocol: Heard | None = None) -> AsyncIterator[tuple[Heard, socket.socket]]:
    """A connection of ours, and the peer's end of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        heard = protocol or Heard()
        await sockets.connect("127.0.0.1", server.getsockname()[1], heard)
        peer, _ = server.accept()
    with peer:
        peer.settimeout(2.0)
        yield heard, peer
        heard.transport.abort()
        await until(lambda: "lost" in heard.told)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5.0):
        while not condition():
            await asyncio.sleep(0)


def test_bytes_go_both_ways_and_the_end_is_told_last_and_once() -> None:
    async def main() -> None:
        sockets = Sockets()
        async with pair(sockets) as (heard, peer):
            heard.transport.write(b"question")
            assert peer.recv(100) == b"question"
            peer.sendall(b"answer")
            await until(lambda: heard.data == b"answer")
            peer.sendall(b"last words")
            peer.close()
            await until(lambda: "lost" in heard.told)
            assert heard.data == b"answerlast words"
            assert (heard.told[0], heard.told[-1], heard.told.count("lost"), heard.why) == ("made", "lost", 1, None)
            assert len(sockets) == 0
            heard.transport.write(b"into the void")
            heard.transport.close()
            await asyncio.sleep(0)
            assert heard.told.count("lost") == 1

    asyncio.run(main())


def test_a_peer_that_resets_is_told_with_the_reason() -> None:
    async def main() -> None:
        async with pair(Sockets()) as (heard, peer):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            await until(lambda: "lost" in heard.told)
            assert isinstance(heard.why, ConnectionResetError)

    asyncio.run(main())


def test_the_end_is_never_told_from_within_a_call_of_ones_own() -> None:
    class Closes(Heard):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.abort()
            self.told.append("still here")

    async def main() -> None:
        async with pair(Sockets(), Closes()) as (heard, peer):
            peer.sendall(b"x")
            await until(lambda: "lost" in heard.told)
            assert heard.told == ["made", "data", "still here", "lost"]

    asyncio.run(main())


def test_what_a_peer_takes_slowly_arrives_whole_and_before_the_end() -> None:
    much = bytes(range(256)) * 40_000

    async def main() -> None:
        async with pair(Sockets()) as (heard, peer):
            for start in range(0, len(much), 1_000_000):
                heard.transport.write(much[start : start + 1_000_000])
            heard.transport.close()
            assert "lost" not in heard.told
            taken = bytearray()
            peer.setblocking(False)
            async with asyncio.timeout(20.0):
                while (data := await asyncio.get_running_loop().sock_recv(peer, 100_000)) != b"":
                    taken += data
            assert taken == much
            await until(lambda: "lost" in heard.told)
            assert heard.why is None

    asyncio.run(main())


def test_a_fault_of_ours_ends_the_connection_it_is_of_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    class Faulty(Heard):
        def data_received(self, data: bytes) -> None:
            raise ValueError("a fault")

    async def main() -> None:
        sockets = Sockets()
        async with pair(sockets, Faulty()) as (faulty, peer), pair(sockets) as (heard, other):
            peer.sendall(b"x")
            await until(lambda: "lost" in faulty.told)
            assert isinstance(faulty.why, ValueError)
            other.sendall(b"y")
            await until(lambda: heard.data == b"y")

    asyncio.run(main())
    assert "fault of this program" in caplog.text


def test_one_that_ends_another_of_the_same_turn_is_not_taken_for_it() -> None:
    class Ends(Heard):
        other: Heard

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.other.transport.abort()

    async def main() -> None:
        sockets = Sockets()
        async with pair(sockets, Ends()) as (one, peer), pair(sockets, Ends()) as (other, its_peer):
            assert isinstance(one, Ends)
            assert isinstance(other, Ends)
            one.other, other.other = other, one
            peer.sendall(b"x")
            its_peer.sendall(b"x")
            await until(lambda: "lost" in one.told or "lost" in other.told)
            await asyncio.sleep(0.01)
            assert one.told.count("data") + other.told.count("data") == 1

    asyncio.run(main())


def test_nobody_there_and_no_such_name_are_said() -> None:
    async def main() -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            with pytest.raises(ConnectionRefusedError):
                await Sockets().connect("127.0.0.1", closed.getsockname()[1], Heard())
        with pytest.raises(OSError, match=r".+"):
            await Sockets().connect("no-such-host.invalid", 502, Heard())

    asyncio.run(main())


def test_a_name_is_as_good_as_an_address() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            heard = Heard()
            await Sockets().connect("localhost", server.getsockname()[1], heard)
            assert heard.told == ["made"]
            heard.transport.abort()
            await until(lambda: "lost" in heard.told)

    asyncio.run(main())


def test_where_very_many_speak_they_are_heard_by_turns_and_woken_for_again_when_they_fall_silent() -> None:
    async def main() -> None:
        sockets = Sockets()
        async with contextlib.AsyncExitStack() as stack:
            ends = [await stack.enter_async_context(pair(sockets)) for _ in range(70)]
            for peers in (ends[:20], ends[20:40]):  # each wakes us
                for _, peer in peers:
                    peer.sendall(b"1")
                    await asyncio.sleep(0.001)
            sockets.tick()
            for heard, peer in ends:
                heard.data = b""
                peer.sendall(b"2")
            await asyncio.sleep(0.01)
            assert {heard.data for heard, _ in ends} == {b""}, "nobody is woken any more"
            sockets.tick()
            assert {heard.data for heard, _ in ends} == {b"2"}, "a turn hears them all"
            for _ in range(30):
                sockets.tick()
            ends[0][1].sendall(b"3")
            await until(lambda: ends[0][0].data == b"23")
            for _, peer in ends:
                peer.close()
            await until(lambda: all("lost" in heard.told for heard, _ in ends))
        sockets.tick()
        assert len(sockets) == 0

    asyncio.run(main())


@pytest.mark.parametrize("by_turns", [False, True])
def test_after_a_moment_in_which_we_were_held_up_all_that_has_come_is_heard_before_deadlines_are_looked_at(
    *, by_turns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.sockets._EVENTS_MAX", 32)

    async def main() -> None:
        sockets = Sockets()
        async with contextlib.AsyncExitStack() as stack:
            ends = [await stack.enter_async_context(pair(sockets)) for _ in range(70)]
            if by_turns:
                for _, peer in ends[:10]:
                    peer.sendall(b"1")
                    await asyncio.sleep(0.001)
                sockets.tick()
            for heard, peer in ends:
                heard.data = b""
                peer.sendall(b"2")
            sockets.tick()
            assert {heard.data for heard, _ in ends} == {b"2"}

    asyncio.run(main())


def test_what_is_expected_together_is_told_together_and_what_came_of_it_when_it_is_no_longer_waited_for() -> None:
    async def main() -> None:
        sockets = Sockets()
        async with pair(sockets) as (heard, peer):
            heard.transport.expect(6)  # type: ignore[attr-defined]
            for part in (b"ab", b"cd"):
                peer.sendall(part)
                for _ in range(20):
                    await asyncio.sleep(0)
                sockets.tick()
            assert heard.data == b""
            peer.sendall(b"ef")
            await until(lambda: heard.data == b"abcdef")
            assert heard.told.count("data") == 1
            peer.sendall(b"gh")
            for _ in range(20):
                await asyncio.sleep(0)
            heard.transport.expect(1)  # type: ignore[attr-defined]
            await until(lambda: heard.data == b"abcdefgh")
            heard.transport.expect(6)  # type: ignore[attr-defined]
            peer.sendall(b"i")
            peer.shutdown(socket.SHUT_RDWR)
            await until(lambda: "lost" in heard.told)
            assert heard.data == b"abcdefghi"

    asyncio.run(main())
