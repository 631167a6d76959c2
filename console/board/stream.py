"""Who is watching, and what do they get next? Server-sent events: one snapshot, then what changed.

Every client gets the state that all pages share, and with ``?page=<name>`` what that page shows besides: one connection a tab, because
a browser opens no more than six to a service. The messages of a page name it (``page``) and are encoded once for all who watch it.

One task serves all clients and runs only while there are any. Ten times a second it asks the state for what changed, encodes it
once, and hands the same bytes to everybody. Every second a message goes out even if nothing changed: it carries the clock, and its
absence is how the page learns that it is looking at the past. (A comment line would keep proxies awake as well, but a browser hides
comments from the page, so the page could not tell a quiet market from a dead wire.)

A client that does not read fills its bounded queue and is dropped; its browser reconnects and starts from a fresh snapshot. Nothing
is thinned out for it: a delta that is missing would leave the page wrong without a sign. More than 100 at a time are sent away (503).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

import msgspec
from starlette.types import Receive, Scope, Send

from console.board.state import BoardState
from ingest.clock import Clock

__all__ = ["BoardStream", "PageSource"]

_PUSH_S: Final = 0.1
_PAGE_S: Final = 1.0
"""What only one page shows goes out this often: more than a person reads, and five thousand points at a time."""
_BEAT_S: Final = 1.0
_QUEUE_MAX: Final = 32
"""Messages a client may lag behind: three seconds at the highest rate."""
_CLIENTS_MAX: Final = 100
_RETRY_MS: Final = 1_000

_encoder = msgspec.json.Encoder()


class PageSource(Protocol):
    """What one page shows besides the state that all pages share."""

    @property
    def version(self) -> int:
        """Counts up with every change that a client would see."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """Return all of it, for a new client."""
        ...

    def delta(self, since: int) -> dict[str, Any] | None:
        """Return what changed after version ``since``, or None."""
        ...


class _Client:
    def __init__(self, page: str) -> None:
        self.page = page
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

    Args:
        pages: what single pages show besides, by their names.

    Attributes:
        dropped: clients that were dropped because they did not read.
        refused: clients that were sent away because too many watched.
    """

    def __init__(self, state: BoardState, clock: Clock, pages: Mapping[str, PageSource] | None = None) -> None:
        self._state = state
        self._pages = dict(pages or {})
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
        client, pusher = self._join(_page_asked(scope))
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

    def _join(self, page: str) -> tuple[_Client, asyncio.Task[None]]:
        client = _Client(page)
        self._read_clock()
        first = b"retry: %d\n\n" % _RETRY_MS + _event(self._state.snapshot())
        if (source := self._pages.get(page)) is not None:
            first += _event({"page": page, **source.snapshot()})
        client.offer(first)
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
        page_at_s = loop.time() + _PAGE_S
        # What a page's first watcher has is what its snapshot said; the same is said again to nobody's harm.
        sent = {name: source.version for name, source in self._pages.items()}
        while self._clients:
            await asyncio.sleep(_PUSH_S)
            self._read_clock()
            if loop.time() >= page_at_s:
                page_at_s = loop.time() + _PAGE_S
                self._push_pages(sent)
            delta = self._state.delta(version)
            version = self._state.version
            if delta is None and loop.time() < beat_at_s:
                continue
            message = _event(delta if delta is not None else {"version": version, "clock": self._state.clock()})
            beat_at_s = loop.time() + _BEAT_S
            for client in self._clients:
                client.offer(message)

    def _push_pages(self, sent: dict[str, int]) -> None:
        """Send each page that is watched what changed since the version it was ``sent``."""
        for name in {client.page for client in self._clients} & sent.keys():
            source = self._pages[name]
            delta = source.delta(sent[name])
            sent[name] = source.version
            if delta is None:
                continue
            message = _event({"page": name, **delta})
            for client in self._clients:
                if client.page == name:
                    client.offer(message)


def _page_asked(scope: Scope) -> str:
    """Return the page that is named in the address, empty for none."""
    query: bytes = scope.get("query_string", b"")
    return parse_qs(query.decode("latin-1")).get("page", [""])[0]


def _event(data: dict[str, object]) -> bytes:
    return b"data: " + _encoder.encode(data) + b"\n\n"


async def _pump(client: _Client, send: Send) -> None:
    while (message := await client.queue.get()) is not None:
        await send({"type": "http.response.body", "body": message, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
