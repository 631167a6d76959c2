"""Who is watching, and what do they get next? Server-sent events: one snapshot, then what changed.

One task serves all clients and runs only while there are any. Ten times a second it asks the state for what changed, encodes it
once, and hands the same bytes to everybody. Every second a message goes out even if nothing changed: it carries the clock, and its
absence is how the page learns that it is looking at the past. (A comment line would keep proxies awake as well, but a browser hides
comments from the page, so the page could not tell a quiet market from a dead wire.)

A client that does not read fills its bounded queue and is dropped; its browser reconnects and starts from a fresh snapshot. Nothing
is thinned out for it: a delta that is missing would leave the page wrong without a sign. More than 100 at a time are sent away (503).
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from starlette.types import Receive, Scope, Send

from console.board.state import BoardState
from ingest.clock import Clock

__all__ = ["BoardStream"]

_PUSH_S: Final = 0.1
_BEAT_S: Final = 1.0
_QUEUE_MAX: Final = 32
"""Messages a client may lag behind: three seconds at the highest rate."""
_CLIENTS_MAX: Final = 100
_RETRY_MS: Final = 1_000

_encoder = msgspec.json.Encoder()


class _Client:
    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue(_QUEUE_MAX)
        self.lost = asyncio.Event()

    def offer(self, message: bytes | None) -> bool:
        """Queue a message, None for the end; a client whose queue is full is lost."""
        try:
            self.queue.put_nowait(message)
        except asyncio.QueueFull:
            self.lost.set()
        return not self.lost.is_set()


class BoardStream:
    """The stream of one board.

    Attributes:
        dropped: clients that were dropped because they did not read.
        refused: clients that were sent away because too many watched.
    """

    def __init__(self, state: BoardState, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._clients: set[_Client] = set()
        self._pusher: asyncio.Task[None] | None = None
        self._closed = False
        self.dropped = 0
        self.refused = 0

    @property
    def clients(self) -> int:
        """How many are watching now."""
        return len(self._clients)

    def close(self) -> None:
        """End every stream, so that a server which waits for its requests can stop."""
        self._closed = True
        for client in self._clients:
            client.offer(None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client until it leaves, lags too far behind, or the stream is closed (an ASGI application)."""
        if len(self._clients) >= _CLIENTS_MAX:
            self.refused += 1
            await send(
                {"type": "http.response.start", "status": 503, "headers": [(b"content-type", b"text/plain"), (b"retry-after", b"10")]}
            )
            await send({"type": "http.response.body", "body": b"%d watch already; close a board and try again\n" % _CLIENTS_MAX})
            return
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        client, pusher = self._join()
        parts = {
            asyncio.create_task(_pump(client, send)),
            asyncio.create_task(_until_gone(receive)),
            asyncio.create_task(client.lost.wait()),
        }
        try:
            await asyncio.wait({*parts, pusher}, return_when=asyncio.FIRST_COMPLETED)
            if pusher.done():
                # A fault in the state must end the stream: a page that goes on showing the last values would look live.
                await pusher
        finally:
            self._clients.discard(client)
            self.dropped += client.lost.is_set()
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    def _join(self) -> tuple[_Client, asyncio.Task[None]]:
        client = _Client()
        self._read_clock()
        client.offer(b"retry: %d\n\n" % _RETRY_MS + _event(self._state.snapshot()))
        if self._closed:
            client.offer(None)
        self._clients.add(client)
        if self._pusher is None or self._pusher.done():
            self._pusher = asyncio.create_task(self._push(self._state.version), name="board-stream")
        return client, self._pusher

    def _read_clock(self) -> None:
        self._state.set_clock(self._clock.now_ns(), self._clock.speed)

    async def _push(self, version: int) -> None:
        """Send what changed since ``version``, at most every 100 ms, and the clock at least every second, while anybody watches."""
        loop = asyncio.get_running_loop()
        beat_at_s = loop.time() + _BEAT_S
        while self._clients:
            await asyncio.sleep(_PUSH_S)
            self._read_clock()
            delta = self._state.delta(version)
            version = self._state.version
            if delta is None and loop.time() < beat_at_s:
                continue
            message = _event(delta if delta is not None else {"version": version, "clock": self._state.clock()})
            beat_at_s = loop.time() + _BEAT_S
            for client in self._clients:
                client.offer(message)


def _event(data: dict[str, object]) -> bytes:
    return b"data: " + _encoder.encode(data) + b"\n\n"


async def _pump(client: _Client, send: Send) -> None:
    while (message := await client.queue.get()) is not None:
        await send({"type": "http.response.body", "body": message, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
