"""The service in one process, or the part of it that a role names. The composition root; wiring and life cycle only.

Order of a start: settings are checked, stores opened, HTTP answers (``/ready`` says what is missing), the processors recover, the
gateway begins to read, time begins to tick. A stop goes the other way round and leaves nothing half done; a crash is recovered from
at the next start, because everything accepted is in the log.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Final

from console.api import ApiServer, build_api, build_probes
from console.board.stream import BoardStream
from console.fieldside import FieldSide, part_of
from console.heap import spare_what_stays
from console.livelist import LiveList
from console.loopdelay import LoopDelay
from console.metrics import Metrics, Watched
from console.peopleside import PeopleSide
from console.pipeline import Pipeline
from console.readiness import Readiness
from console.recordapi import LedgerRecord
from console.takeover import Takeover
from ingest.clock import Clock, WallClock
from ingest.lockfile import Held, own
from ingest.pointlist import PointList
from ingest.relisting import Relisting
from market.errors import ConfigError, GridfuseError, Problem
from market.facts import CommandGiven
from market.units import NS_PER_S, instant_text
from streams import topics, wire
from streams.agents import Hooks, Observer
from streams.alerts import damage_alert
from streams.app import build_app
from streams.breaker import told_first
from streams.errors import SinkUnavailable, StoreError, StoreLocked
from streams.marketmodel import MarketModel
from streams.model import model_of
from streams.positions import open_log
from streams.roles import Part, Role
from streams.settings import Settings
from streams.solverprocess import SolverProcess
from streams.ticker import Ticker
from streams.transport import log_directory
from streams.transport.cluster import answers
from streams.transport.patience import STOP_WITHIN_S, Stalled

__all__ = ["INSTANCE", "Service"]

_log: Final = logging.getLogger(__name__)

_TRY_BROKER_S: Final = 1.0

_LOOK_S: Final = 0.5
"""How often it is looked whether something has stopped that must run."""

INSTANCE: Final = "gridfuse-1"
"""Name of a process whose group has no other."""


class Service:
    """One running process of Gridfuse.

    Args:
        settings: what it is told.
        clock: event time.
        stamp_ns: event time of what the processors complete, where that is not the clock's (a simulated clock that runs ahead).
        simulated: whether the field is; the board says so.
        extra: more observers.
        hooks: what a simulated field attaches to the processors.
        role: how much of the service this process is.
        instance: its name, unique among the processes of its role, and the same after a restart.
        areas: whose devices it reads, where it reads the field; all by default.

    Attributes:
        field: the side that faces the field, None where the role has none.
        people: the side that faces people, likewise.
        live_list: the point list in force, and what became of edited ones.

    Raises:
        ConfigError: the role needs a broker that several processes can share, or an area has no device.
        StoreLocked: another process runs under this name in the same data directory.
        StoreError: a store cannot be opened.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        *,
        stamp_ns: Callable[[], int] | None = None,
        simulated: bool = False,
        extra: Sequence[Observer] = (),
        hooks: Hooks | None = None,
        role: Role = Role.ALL,
        instance: str = INSTANCE,
        areas: Collection[str] = (),
    ) -> None:
        if role is not Role.ALL and log_directory(settings.broker) is not None:
            what = f"--role {role} needs a Kafka broker: the embedded log belongs to one process. Set `broker: kafka://host:9092`"
            raise ConfigError([Problem("broker", what)])
        self.role = role
        self.clock: Clock = clock or WallClock()
        self.settings = settings = settings.at(self.clock.now_ns())
        self.table = settings.points.table()
        self.model: MarketModel = model_of(settings, self.table)
        settings.data.mkdir(parents=True, exist_ok=True)
        self._lock_fd = _claim(settings, role, instance) if log_directory(settings.broker) is None else None
        points = part_of(settings.points, areas) if areas else settings.points
        self.field = FieldSide(points, settings, self.clock, instance) if Part.FIELD in role.parts else None
        has_people = Part.PEOPLE in role.parts
        self.people = PeopleSide(settings, self.model, self.clock.speed, simulated=simulated, role=role) if has_people else None
        self.hooks = replace(hooks or Hooks(), observers=(*(self.people.observers if self.people else ()), *extra))
        if self.field is not None:
            self.hooks.in_field = self.field.base_points
        self.solver: SolverProcess | None = None
        if Part.PROCESSORS in role.parts:
            self.solver = self.hooks.solver = SolverProcess(
                self.model.make_engine, settings.solver.limits(settings.rules), make_eased=self.model.make_eased
            )
        self.app, self.shell = build_app(settings, self.model, stamp_ns or self.clock.now_ns, self.hooks, role, instance)
        if self.field is not None:
            self.field.bind(self.shell)
        self._takeover = Takeover(settings, self.model, self.hooks, self.field, self.people, areas, self._relisted)
        self.live_list = LiveList(settings.points_path, self._take_over, self.clock.now_ns, watch=settings.watch_points)
        self._loop_delay = LoopDelay()
        self.ticker: Ticker | None = None
        self.api: ApiServer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stream: BoardStream | None = None
        self._readiness = Readiness(self.shell, self.hooks.progress, self.clock, settings.tick_ns, self._last_tick_ns, self._loop_delay)
        watched = self._watched()
        self._metrics, self._pipeline = Metrics(watched), Pipeline(watched, instance, role.value)

    def _watched(self) -> Watched:
        people = self.people
        return Watched(
            shell=self.shell,
            gateway=None if self.field is None else self.field.gateway,
            forwarder=None if self.field is None else self.field.forwarder,
            spool=None if people is None else people.sink,
            recorder=None if people is None else people.recorder,
            flusher=None if people is None else people.sink.flushers,
            outbox=None if people is None else people.outbox,
            dispatcher=None if people is None else people.dispatcher,
            clock=self.clock,
            loop_delay=self._loop_delay,
            rule_set=self.settings.rules.id,
            last_tick_ns=self._last_tick_ns,
            lanes=lambda: self.hooks.lanes(),
            missing=self.missing,
            stream=lambda: self._stream,
            live_list=self.live_list,
            solver=None if self.solver is None else self.solver.health,
        )

    async def _take_over(self, points: PointList) -> Relisting:
        if not self._readiness.recovered:
            raise GridfuseError("the service is starting; ask again when it is ready")
        return await self._takeover.take(points)

    def _relisted(self, model: MarketModel) -> None:
        self.model, self.table = model, model.grid.table

    def _last_tick_ns(self) -> int:
        return 0 if self.ticker is None else self.ticker.last_ns

    def missing(self) -> Sequence[str]:
        """Name what is not in sync (:class:`console.api.HealthSource`)."""
        missing = self._readiness.missing()
        if self.solver is not None:
            missing += self.solver.missing()
        if (stalled := self._stalled()) is not None:
            missing.append(f"log: stalled since {instant_text(stalled.since_ns)}, {stalled.retries} attempts: {stalled.reason}")
        return missing if self.field is None else [*missing, *self.field.missing()]

    def failing(self) -> Sequence[str]:
        """Name what only a restart can mend (:class:`console.api.HealthSource`)."""
        return self._readiness.failing()

    def _stalled(self) -> Stalled | None:
        log = open_log(self.app)
        return None if log is None else log.stalled

    async def start(self) -> int:
        """Start everything; returns the port of the API once the processors have recovered.

        Raises:
            ConfigError: a port is taken, an address cannot be listened at.
            StoreError: a store is locked or damaged, a table cannot be recovered.
        """
        if self.people is not None:
            await self.people.recall()
        port = await self._serve()
        if self.solver is not None:
            self.solver.start()
        self._run("loop delay", self._loop_delay.run())
        if self.people is not None:
            self._run("stall alarm", self.people.stall_alarm(self._stalled, self.clock.now_ns).run())
        if self.field is not None and self.role is Role.INGEST:
            # Devices are read from now on, whether or not the broker is there.
            await self._start_field(self.field)
            await self._broker_there(self.field)
        await self.app.start()
        await self.app.tables.wait_until_recovery_completed()
        self._raise_if_crashed()
        self._readiness.recovered = True
        await self._report_damage()
        if self.shell.owns(topics.FACTS):
            # Before devices are read again: what they say after a long stop is of now, and no news from the future.
            await self.shell.emit(told_first(self.hooks.known_ns(), self.clock.now_ns()))
        if self.field is not None:
            self.field.connected()
            if self.role is not Role.INGEST:
                await self._start_field(self.field)
        self._run("point list", self.live_list.run())
        self._run("pipeline", self._pipeline.run())
        if self.people is not None:
            for name, work in self.people.work():
                self._run(name, work)
        spare_what_stays()
        return port

    async def _start_field(self, field: FieldSide) -> None:
        await field.start()
        self._run("gateway", field.gateway.wait())
        self._run("forwarder", field.forwarder.wait())

    async def _broker_there(self, field: FieldSide) -> None:
        """Return when the broker answers; what is read until then is spooled, and its accounts with it."""
        tick_s = self.settings.tick_ns / NS_PER_S
        waited_s = 0.0
        while not await answers(self.settings.broker):
            if not waited_s:
                _log.warning("the broker %s does not answer; devices are read, and what they say is spooled", self.settings.broker)
            await asyncio.sleep(_TRY_BROKER_S)
            waited_s += _TRY_BROKER_S
            if waited_s % tick_s < _TRY_BROKER_S:
                field.gateway.beat(())

    async def _report_damage(self) -> None:
        """Tell the people on call what the log found damaged when it was opened; told again, it is the same alert."""
        log, now_ns = open_log(self.app), self.clock.now_ns()
        await self.shell.emit(damage_alert(*damage, ts_event_ns=now_ns) for damage in (() if log is None else log.damages))

    def start_ticking(self, first_ns: int | None = None) -> None:
        """Begin to tell the time, from ``first_ns`` on (now by default): the areas from where they are read, the breaker where it is."""
        start_ns = self.clock.now_ns() if first_ns is None else first_ns
        decides = Part.PROCESSORS in self.role.parts
        self.ticker = Ticker(
            self.shell.emit,
            (lambda _: None) if self.field is None else self.field.gateway.beat,
            self.clock,
            self.settings.tick_ns,
            () if self.field is None else self.field.areas,
            start_ns,
            speaks=lambda: decides and self.shell.owns(topics.FACTS),
        )
        self.hooks.deadline = self.ticker.deadline
        self._run("ticker", self.ticker.run())
        if self.people is not None:
            self._run("refresh", self.people.refresh(self.clock.now_ns, lambda: self._stream is not None and self._stream.clients > 0))

    async def _serve(self) -> int:
        http = self.settings.http
        hosts = ("127.0.0.1", "localhost", "::1", http.host, *http.allowed_hosts)
        if self.people is None:
            api = build_probes(self, allowed_hosts=hosts, metrics=self._metrics.page, points=self.live_list)
        else:
            board = self.people.board
            api = build_api(
                board,
                self.order,
                self,
                clock=self.clock,
                allowed_hosts=hosts,
                metrics=self._metrics.page,
                points=self.live_list,
                record=LedgerRecord(self.people.async_ledger),
                pages=self.people.pages,
                tell=self.people.tell,
            )
            self._stream = api.state.stream
        self.api = ApiServer(api, host=http.host, port=http.port)
        try:
            return await self.api.start()
        except OSError as exc:
            self.api = None
            what = (
                f"port {http.port} on {http.host} cannot be used ({exc.strerror}); choose another with --port, or http.port in the settings"
            )
            raise ConfigError([Problem("http", what)]) from exc

    def _run(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))

    async def wait(self) -> None:
        """Return when something that must run has stopped.

        Raises:
            GridfuseError: naming what failed.
        """
        while True:
            if self.field is not None and (lost := self.field.lost) is not None:
                raise StoreError(f"telemetry can no longer be made durable: {lost!r}; check the broker or the disk, then start again")
            self._raise_if_crashed()
            for task in self._tasks:
                if task.done():
                    cause = None if task.cancelled() else task.exception()
                    raise GridfuseError(f"{task.get_name()} stopped: {cause!r}") from cause
            await asyncio.sleep(_LOOK_S)

    def _halted(self) -> bool:
        log = open_log(self.app)
        return log is not None and (log.stalled is not None or log.failure is not None)

    def _raise_if_crashed(self) -> None:
        if self.app.crashed:
            raise StoreError(f"the stream processors stopped: {self.app.crash_reason!r}; see the log, then start again")

    async def drained(self, deadline_s: float = 10.0) -> bool:
        """Wait until every sample sent so far went through this process' intake; whether that happened in time.

        A stalled log is not waited for.
        """
        if self.field is None or Part.PROCESSORS not in self.role.parts:
            return True
        loop = asyncio.get_running_loop()
        end_s = loop.time() + deadline_s
        while self.shell.counters["samples intake"] < self.field.samples_in and loop.time() < end_s and not self._halted():
            await asyncio.sleep(0.02)
        return self.shell.counters["samples intake"] >= self.field.samples_in

    async def stop(self) -> None:
        """Stop everything in order; what was accepted is durable when this returns.

        A disk that takes nothing is waited for a few seconds.

        Raises:
            StoreError: the log could not be written to the end. What it acknowledged is there; the rest is done again after a start.
        """
        log = open_log(self.app)
        self.shell.stopping = True
        if log is not None:
            log.give_up_within(STOP_WITHIN_S)
        if self.ticker is not None:
            await self._cancel("ticker")
        await self._cancel("point list")
        self._takeover.stop()
        if self.field is not None:
            await self.field.stop()
        await self.drained(2.0)
        await self.app.stop()
        if self.solver is not None:
            await self.solver.stop()
        if self.field is not None:
            self.field.base_points.stop()
        await self._cancel(*(task.get_name() for task in self._tasks))
        if self.people is not None:
            await self.people.close()
        if self.api is not None:
            await self.api.stop()
        if self._lock_fd is not None:
            os.close(self._lock_fd)
        if log is not None and log.failure is not None:
            raise StoreError(str(log.failure))

    async def _cancel(self, *names: str) -> None:
        tasks = [task for task in self._tasks if task.get_name() in names]
        self._tasks = [task for task in self._tasks if task not in tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def order(self, command: CommandGiven) -> None:
        """Give an order: it is safely on its way when this returns (:data:`console.api.CommandSink`).

        Raises:
            SinkUnavailable: not while the processors recover, nor while the log is stalled.
        """
        if not self._readiness.recovered:
            raise SinkUnavailable("the stream processors are recovering")
        if (stalled := self._stalled()) is not None:
            raise SinkUnavailable(stalled.reason)
        await (await self.shell.send(topics.COMMANDS, b"market", wire.encode(command)))


def _claim(settings: Settings, role: Role, instance: str) -> int:
    """Lock a name in the data directory for this process.

    Raises:
        StoreLocked: another process has it. On Kafka the two would throw each other out of their group for ever.
    """
    path = settings.data / f"{role}-{instance}.lock"
    try:
        return own(path)
    except Held as held:
        what = f"{path.name} in {settings.data} is held by process {held.by}; stop it, or give this one a name with --instance"
        raise StoreLocked(what) from None
