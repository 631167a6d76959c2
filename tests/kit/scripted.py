"""An HTTP server that answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

__all__ = ["Asked", "Scripted", "scripted"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Scripted:
    """The server: its address, and every request in the order they came."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)


@asynccontextmanager
async def scripted(answer: Callable[[Asked], Awaitable[web.Response]]) -> AsyncIterator[Scripted]:
    """Serve on a free port of this machine; ``answer`` is called once per request."""
    server = Scripted()

    async def handle(request: web.Request) -> web.Response:
        asked = Asked(request.path, dict(request.query), dict(request.headers), await request.read())
        server.asked.append(asked)
        return await answer(asked)

    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
