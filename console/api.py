"""What does this service say over HTTP? The board, its stream, the breaker for the command line, commands, and its own health.

======  ======================  ==========================================================================================
GET     ``/``                   the live board
GET     ``/static/…``           its files
GET     ``/api/messages``       the board's words in both languages
GET     ``/api/state``          everything the board shows, once
GET     ``/api/stream``         the same as server-sent events: a snapshot, then what changed; ``?page=`` adds what one page shows
GET     ``/api/breaker``        :class:`market.view.MarketView` as JSON, instants in ns; 404 before the first report
GET     ``/api/points``         what became of the point list that was read again last
POST    ``/api/points``         read the point list again: 200 with what changed, 409 with every problem of a list that was refused
POST    ``/api/commands``       an order to the breaker: 202 when it is on its way, 422 naming the fields that are wrong
GET     ``/api/commands/{id}``  what became of an order (:mod:`console.recordapi`)
GET     ``/api/decisions``      decisions of the ledger, newest last
POST    ``/api/watchdog``       what Grafana's rules found, for the people on call (:mod:`console.watchdogapi`)
GET     ``/health``             200 while the process lives, else 503 with what only a restart can mend
GET     ``/ready``              200 once everything is recovered and in sync, else 503 with what is missing and what to do
GET     ``/metrics``            what the service counts, for Prometheus (:mod:`console.metrics`)
======  ======================  ==========================================================================================

Whether an order is carried out is the breaker's decision; a 202 only says that it was passed on, and ``/api/commands/{id}`` says the rest.

The service binds to loopback unless told otherwise, and a browser is not trusted further than that: the Host header must be one of
ours (a foreign name that resolves to this machine is refused), and a request that changes anything must not come from another
site's page. There is no CORS. Deliberately absent: accounts. ``by`` and ``role`` are what the sender says they are, which is why
the address to bind to is loopback; and the interactive documentation, which would load scripts from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

import msgspec
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field
from starlette.routing import Route

from console.board.messages import message_table
from console.board.state import BoardState
from console.board.stream import BoardStream, PageSource
from console.guard import LOOPBACK_HOSTS, Guard
from console.livelist import LiveList, Outcome, Reload
from console.recordapi import DecisionRecord, add_record
from console.watchdogapi import Tell, add_watchdog
from ingest.clock import Clock
from market.errors import RuleRefusal
from market.facts import CommandGiven
from streams.errors import SinkUnavailable

__all__ = ["ApiServer", "CommandSink", "HealthSource", "MetricsPage", "build_api", "build_probes"]

_CONNECTIONS_MAX: Final = 256
"""Connections at a time; more are answered with 503. One that was dropped and does not read stays until the kernel gives it up."""

_ARGUMENT_MAX: Final = 32_000
"""Characters of one argument of an order: corrections to some thousand loads."""

CommandSink = Callable[[CommandGiven], Awaitable[None]]
"""Takes an order and returns once it is safely on its way.

Raises:
    SinkUnavailable: not now; the sender is told to try again (503).
    RuleRefusal: never; the sender is told the rule (409).
"""

MetricsPage = Callable[[str], Awaitable[tuple[bytes, str]]]
"""Gives, for an Accept header, the body of ``/metrics`` and its content type."""


class HealthSource(Protocol):
    """Knows how far the service has come."""

    def failing(self) -> Sequence[str]:
        """Name what only a restart can mend; empty while the service lives."""
        ...

    def missing(self) -> Sequence[str]:
        """Name what is not in sync, each with its remedy; empty when the service is ready."""
        ...


class _Order(BaseModel):
    """Body of ``POST /api/commands``."""

    model_config = ConfigDict(extra="forbid")

    command_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
    by: Annotated[str, Field(min_length=1, max_length=64)]
    role: Annotated[str, Field(pattern=r"^[A-Z][A-Z_]{0,31}$")]
    action: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
    args: dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=_ARGUMENT_MAX)]] = Field(
        default_factory=dict, max_length=32
    )


_STATIC: Final = Path(__file__).parent / "board" / "static"


def build_api(
    state: BoardState,
    commands: CommandSink | None,
    health: HealthSource,
    *,
    clock: Clock,
    allowed_hosts: Sequence[str] = LOOPBACK_HOSTS,
    metrics: MetricsPage | None = None,
    points: LiveList | None = None,
    record: DecisionRecord | None = None,
    pages: Mapping[str, PageSource] | None = None,
    tell: Tell | None = None,
) -> FastAPI:
    """Build the application.

    Args:
        state: the board's memory; somebody else applies the records to it, on the same event loop.
        commands: where orders go, or None for a board that takes none (403).
        health: behind ``/health`` and ``/ready``.
        clock: event time, read for each message of the stream and for the instant an order arrived.
        allowed_hosts: names and addresses a request may use for this service, without port.
        metrics: behind ``/metrics``, or None for an instance that counts nothing (404).
        points: behind ``/api/points``, or None for an instance without a point list (404).
        record: behind ``/api/decisions``, or None for an instance that keeps no ledger (404).
        pages: what single pages of the board show besides the state, by the name that ``/api/stream?page=`` gives.
        tell: where ``/api/watchdog`` passes on what Grafana's rules found, or None for an instance that tells nobody (404).

    Returns:
        The application; ``app.state.stream`` is its :class:`BoardStream`.
    """
    app = FastAPI(title="Gridfuse", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    stream = BoardStream(state, clock, pages)
    app.state.stream = stream
    app.add_middleware(Guard, allowed_hosts=tuple(allowed_hosts))
    app.add_exception_handler(RequestValidationError, _name_the_fields)
    app.router.routes.append(Route("/api/stream", stream, methods=["GET"]))

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(_STATIC / "index.html", headers={"cache-control": "no-cache"})

    @app.get("/api/messages")
    async def messages() -> Response:
        return _json(message_table())

    @app.get("/api/state")
    async def whole_state() -> Response:
        state.set_clock(clock.now_ns(), clock.speed)
        return _json(state.snapshot())

    @app.get("/api/breaker")
    async def breaker() -> Response:
        if state.view is None:
            return _problem(404, "the market has not been reported yet; see /ready for what is missing")
        return _json(state.view)

    @app.post("/api/commands", status_code=202)
    async def command(order: _Order) -> Response:
        if commands is None:
            return _problem(403, "this instance takes no commands; send them to the one that runs the breaker")
        # Before it is sent: the answer may be here before the sending returns.
        state.answers.sent(order.command_id)
        return await _pass_on(order, commands, clock.now_ns())

    add_record(app, state.answers, record)
    add_watchdog(app, clock, tell)
    _add_probes(app, health, metrics)
    _add_points(app, points)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    return app


def build_probes(
    health: HealthSource,
    *,
    allowed_hosts: Sequence[str] = LOOPBACK_HOSTS,
    metrics: MetricsPage | None = None,
    points: LiveList | None = None,
) -> FastAPI:
    """Build the application of a process that shows nothing: what machines ask, and ``/api/points``; arguments as :func:`build_api`."""
    app = FastAPI(title="Gridfuse", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, allowed_hosts=tuple(allowed_hosts))
    _add_probes(app, health, metrics)
    _add_points(app, points)
    return app


def _add_points(app: FastAPI, points: LiveList | None) -> None:
    """Add what concerns the point list in force."""

    @app.get("/api/points")
    async def last_reload() -> Response:
        if points is None:
            return _problem(404, "this instance has no point list; ask the one that runs the service")
        return _json({"last": None if points.last is None else _told(points.last)})

    @app.post("/api/points")
    async def reload() -> Response:
        if points is None:
            return _problem(404, "this instance has no point list; ask the one that runs the service")
        done = await points.reload()
        return _json(_told(done), 409 if done.outcome is Outcome.REFUSED else 200)


def _told(done: Reload) -> dict[str, Any]:
    problems = [{"where": problem.where, "what": problem.what} for problem in done.problems]
    return {"outcome": done.outcome.value, "ts_event_ns": done.ts_ns, "devices": done.devices, "problems": problems}


def _add_probes(app: FastAPI, health: HealthSource, metrics: MetricsPage | None) -> None:
    """Add what machines ask of the service itself."""

    @app.get("/health")
    async def live() -> Response:
        failing = list(health.failing())
        return _json({"status": "failing", "failing": failing} if failing else {"status": "live"}, 503 if failing else 200)

    @app.get("/ready")
    async def ready() -> Response:
        missing = list(health.missing())
        return _json({"status": "not ready" if missing else "ready", "missing": missing}, 503 if missing else 200)

    @app.get("/metrics", include_in_schema=False)
    async def counted(request: Request) -> Response:
        if metrics is None:
            return _problem(404, "this instance counts nothing; ask the one that runs the service")
        body, content_type = await metrics(request.headers.get("accept", ""))
        return Response(body, headers={"cache-control": "no-store", "content-type": content_type})


async def _pass_on(order: _Order, commands: CommandSink, now_ns: int) -> Response:
    try:
        await commands(CommandGiven(ts_event_ns=now_ns, **order.model_dump()))
    except RuleRefusal as refusal:
        return _problem(409, str(refusal), rule=refusal.rule)
    except SinkUnavailable as exc:
        return _problem(503, f"command {order.command_id} was not taken: {exc}; send it again with the same command_id")
    return _json({"command_id": order.command_id}, 202)


async def _name_the_fields(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    fields = [{"field": _field(error), "why": error["msg"]} for error in exc.errors()]
    named = "; ".join(f"{one['field']}: {one['why']}" for one in fields)
    return _problem(422, f"the request to {request.url.path} cannot be used: {named}", fields=fields)


def _field(error: dict[str, Any]) -> str:
    """Name the field an error is about: ``role``, ``args.reason``, or ``body`` for one that is not a JSON object at all."""
    place = [str(part) for part in error["loc"][1:]]
    return "body" if error["type"] == "json_invalid" or not place else ".".join(place)


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, {"cache-control": "no-store"}, "application/json")


def _problem(status: int, error: str, **details: Any) -> Response:
    return _json({"error": error, **details}, status)


class ApiServer:
    """Serves an application beside other work on the same event loop; leaves the process's signals alone.

    Args:
        app: from :func:`build_api` or :func:`build_probes`.
        host: address to bind to.
        port: port to bind to, or 0 for a free one.
    """

    def __init__(self, app: FastAPI, *, host: str = "127.0.0.1", port: int = 8080) -> None:
        self._app = app
        self._host = host
        self._port = port
        # Without `log_config=None` it closes the handlers of the whole process, and nothing is logged from then on.
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            limit_concurrency=_CONNECTIONS_MAX,
            timeout_graceful_shutdown=5,
        )
        self._server = _QuietServer(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Bind, begin to serve, and return the port.

        Raises:
            OSError: the address cannot be bound, for instance because the port is taken.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self._port), family=family)
        self._task = asyncio.create_task(self._server.serve([listener]), name="api")
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.01)
        return int(listener.getsockname()[1])

    async def stop(self) -> None:
        """End the streams, finish the requests under way, and stop."""
        if (stream := getattr(self._app.state, "stream", None)) is not None:
            stream.close()
        self._server.should_exit = True
        self._server.told_to_stop.set()
        if self._task is not None:
            await self._task


class _QuietServer(uvicorn.Server):
    """Looks once a second, not ten times, whether it is to stop, and is told when it is."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.told_to_stop = asyncio.Event()

    async def main_loop(self) -> None:
        """Serve until told to stop; its own renews the date that replies bear at every tenth look."""
        looks = 0
        while not await self.on_tick(looks):
            looks += 10
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.told_to_stop.wait(), 1.0)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process that owns the event loop."""
        yield
