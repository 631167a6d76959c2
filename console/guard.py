"""Who may ask this service anything? A browser that was led here by another site may not.

Two attacks reach a server on loopback through the browser of the person who sits there. *DNS rebinding*: a foreign name is made to
resolve to 127.0.0.1, so that a foreign page reads our answers; its requests carry the foreign name in Host. *Cross-site requests*:
a foreign page posts to our address; the browser adds the page's Origin. Both are told apart by those headers, which a page cannot
forge. A client without an Origin is not a browser, and is let through.

The guard also bounds the size of what it lets in, and forbids the browser to load anything from elsewhere.
"""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["LOOPBACK_HOSTS", "Guard"]

LOOPBACK_HOSTS: Final = ("127.0.0.1", "localhost", "::1")

_BODY_MAX_BYTES: Final = 65_536
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_HEADERS: Final = (
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """ASGI middleware around the application.

    Args:
        allowed_hosts: names and addresses a request may use for this service, without port.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: tuple[str, ...]) -> None:
        self._app = app
        self._allowed = frozenset(host.lower() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with the security headers added to the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _refuse(send, *refusal)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Without a word on caching a browser may keep an old page's scripts beside a new page.
                given = list(message.get("headers", ()))
                caching = [] if any(name == b"cache-control" for name, _ in given) else [(b"cache-control", b"no-cache")]
                message["headers"] = [*given, *caching, *_HEADERS]
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Decide by the headers alone; returns status and reason, or None where the request may pass."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = host.rsplit(":", 1)[0] if host.rpartition(":")[2].isdigit() else host
        if name.strip("[]").lower() not in self._allowed:
            return 421, f"Host {host!r} is not a name of this service; use {', '.join(sorted(self._allowed))} or configure the name"
        if scope["method"] in _SAFE_METHODS:
            return None
        origin = headers.get("origin")
        if origin is not None and origin not in {f"http://{host}", f"https://{host}"}:
            return 403, f"Origin {origin!r} is another site; orders are taken from this service's own pages and from the command line"
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return 415, "Content-Type must be application/json"
        length = headers.get("content-length", "")
        if not length.isdigit():
            return 411, "Content-Length is missing"
        if int(length) > _BODY_MAX_BYTES:
            return 413, f"the body has {length} bytes; at most {_BODY_MAX_BYTES} are taken"
        return None


async def _refuse(send: Send, status: int, error: str) -> None:
    body = msgspec.json.encode({"error": error})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *_HEADERS]})
    await send({"type": "http.response.body", "body": body})
