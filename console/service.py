"""The whole service in one process: field gateway, stream processors, sinks, board. The composition root; wiring and life cycle only.

Order of a start: settings are checked, stores opened, the API answers (``/ready`` says what is missing), the processors recover, the
gateway begins to read, time begins to tick. A stop goes the other way round and leaves nothing half done; a crash is recovered from
at the next start, because everything accepted is in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from console.api import ApiServer, build_api
from console.board.state import BoardState
from console.loopdelay import LoopDelay
from console.metrics import Metrics, Watched
from console.observers import BoardObserver, LedgerObserver, MarketWatch, Notifier, Recorder
from ingest.clock import Clock, WallClock
from ingest.frame import TelemetryFrame, encode_frame
from ingest.gateway import Gateway
from market.errors import ConfigError, GridfuseError, Problem
from market.facts import CommandGiven
from market.units import NS_PER_S, instant_text
from streams import topics, wire
from streams.agents import Hooks, Observer
from streams.alerts import damage_alert
from streams.app import build_app
from streams.errors import DecodeError, SinkUnavailable, StoreError
from streams.influx import Flusher
from streams.ledger import AsyncLedger, Ledger, sqlite_url
from streams.marketmodel import MarketModel
from streams.model import market_model
from streams.notify import Channel, Dispatcher, LogChannel, WebhookChannel
from streams.outbox import Outbox
from streams.positions import open_log
from streams.preview import Preview
from streams.settings import Settings
from streams.spool import Spool
from streams.stallalarm import StallAlarm
from streams.telemetrylines import TelemetryEncoder
from streams.ticker import Ticker
from streams.topics import Topic
from streams.transport.patience import Stalled
from streams.transport.reader import LogReader

__all__ = ["Service", "last_event_ns"]

_log = logging.getLogger(__name__)

_BOARD_RECORDS: Final = {topics.KPI: 20_000, topics.OUTCOMES: 320, topics.DECISIONS: 2_000, topics.PRICES: 1_000, topics.ALERTS: 600}
"""Most records of each topic the board reads back at a start: what it keeps, about a day."""


def last_event_ns(log_directory: Path) -> int | None:
    """Return the event time the last run had reached by its embedded log, or None where there was none.

    Raises:
        StoreError: there is a log, and it cannot be read.
    """
    newest = [*_last_records(log_directory, topics.FACTS, 50), *_last_records(log_directory, topics.SNAPSHOTS, 50)]
    return max((record.ts_event_ns for record in newest), default=None)


def _last_records(directory: Path, topic: Topic, most: int) -> Iterator[Any]:
    """Read back the newest records of a single-partition topic from the embedded log; none where there is no log yet."""
    try:
        with LogReader(directory) as log:
            if topic.name not in log.topics():
                return
            oldest, end = log.bounds(topic.name, 0)
            for found in log.records(topic.name, 0, max(oldest, end - most), end):
                with contextlib.suppress(DecodeError):
                    yield wire.decode(topic, found.value or b"")
    except StoreError:
        if any(directory.glob("*")):
            raise


_TICK_WALL_S: Final = 0.5
"""With ticks further apart than this in wall time, the board is refreshed between them."""

_REFRESH_S: Final = 0.1

_STOP_WITHIN_S: Final = 3.0
"""How long a stop waits for a disk that takes nothing."""


class Service:
    """One running Gridfuse.

    Args:
        settings: what it is told.
        clock: event time.
        stamp_ns: event time of what the processors complete, where that is not the clock's (a simulated clock that runs ahead).
        simulated: whether the field is; the board says so.
        extra: more observers.
        hooks: what a simulated field attaches to the processors.
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
    ) -> None:
        self.settings = settings
        self.clock: Clock = clock or WallClock()
        self.table = settings.points.table()
        self.model: MarketModel = market_model(settings.network, self.table, settings.rules, settings.control, day_ahead=settings.day_ahead)
        settings.data.mkdir(parents=True, exist_ok=True)
        self.board = BoardState(settings.rules, simulated=simulated)
        self.spool = Spool(settings.data / "spool")
        self.ledger = Ledger(sqlite_url(settings.data / "ledger.sqlite"))
        self.async_ledger = AsyncLedger(self.ledger)
        self._outbox = Outbox(self.ledger.engine)
        channels = self._channels()
        self.dispatcher = Dispatcher(self._outbox, channels)
        self.flusher = None if settings.influx is None else Flusher(self.spool, settings.influx)
        self._recorder = Recorder(self.spool, TelemetryEncoder(self.table), settings.rules.zone)
        ledger, notifier = LedgerObserver(self.async_ledger), Notifier(self.dispatcher)
        tick_wall_s = settings.tick_ns / NS_PER_S / self.clock.speed
        self._on_board = BoardObserver(self.board, Preview(self.model) if tick_wall_s > _TICK_WALL_S else None)
        self._stall_alarm = StallAlarm(self._stalled, channels, self.clock.now_ns, settings.rules.zone, self.board.apply)
        self._market = MarketWatch()
        observers: tuple[Observer, ...] = (self._on_board, self._market, notifier, ledger, self._recorder, *extra)
        self.hooks = replace(hooks or Hooks(), observers=observers)
        self.hooks.base_points = self._write_base_points if settings.setpoints else None
        self.app, self.shell = build_app(settings, self.model, stamp_ns or self.clock.now_ns, self.hooks)
        self.gateway = Gateway(settings.points, self.clock, self._emit)
        self._loop_delay = LoopDelay()
        self.ticker: Ticker | None = None
        self.api: ApiServer | None = None
        self.samples_in = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._recovered = False
        self._lost: BaseException | None = None
        self._written_mw: dict[str, float] = {}
        self._writing: set[asyncio.Task[None]] = set()
        self._metrics = Metrics(self._watched())

    def _watched(self) -> Watched:
        return Watched(
            shell=self.shell,
            gateway=self.gateway,
            spool=self.spool,
            recorder=self._recorder,
            flusher=self.flusher,
            outbox=self._outbox,
            dispatcher=self.dispatcher,
            clock=self.clock,
            loop_delay=self._loop_delay,
            rule_set=self.settings.rules.id,
            last_tick_ns=lambda: 0 if self.ticker is None else self.ticker.last_ns,
        )

    def _channels(self) -> list[Channel]:
        channels: list[Channel] = [LogChannel()]
        if self.settings.webhook is not None:
            channels.append(WebhookChannel(self.settings.webhook.url, timeout_s=self.settings.webhook.timeout / NS_PER_S))
        return channels

    def missing(self) -> Sequence[str]:
        """Name what is not ready (:class:`console.api.HealthSource`)."""
        missing = [] if self._recovered else ["stream processors: recovering"]
        if (stalled := self._stalled()) is not None:
            missing.append(f"log: stalled since {instant_text(stalled.since_ns)}, {stalled.retries} attempts: {stalled.reason}")
        return missing

    def _stalled(self) -> Stalled | None:
        log = open_log(self.app)
        return None if log is None else log.stalled

    async def start(self) -> int:
        """Start everything; returns the port of the API once the processors have recovered.

        Raises:
            ConfigError: a port is taken, an address cannot be listened at.
            StoreError: a store is locked or damaged, a table cannot be recovered.
        """
        for topic, most in _BOARD_RECORDS.items():
            for record in _last_records(self.settings.log_directory, topic, most):
                await self._on_board.see(topic, record)
        port = await self._serve()
        self._run(self._loop_delay.run(), "loop delay")
        self._run(self._stall_alarm.run(), "stall alarm")
        await self.app.start()
        await self.app.tables.wait_until_recovery_completed()
        self._raise_if_crashed()
        self._recovered = True
        await self._report_damage()
        await self.gateway.start()
        self._run(self.gateway.wait(), "gateway")
        self._run(self.dispatcher.run(), "dispatcher")
        if self.flusher is not None:
            self._run(self.flusher.run(), "influx")
        return port

    async def _report_damage(self) -> None:
        """Tell the people on call what the log found damaged when it was opened; told again, it is the same alert."""
        log, now_ns = open_log(self.app), self.clock.now_ns()
        await self.shell.emit(damage_alert(*damage, ts_event_ns=now_ns) for damage in (() if log is None else log.damages))

    def start_ticking(self, first_ns: int | None = None) -> None:
        """Begin to tell the time, from ``first_ns`` on (now by default)."""
        start_ns = self.clock.now_ns() if first_ns is None else first_ns
        self.ticker = Ticker(self.shell, self.gateway.beat, self.clock, self.settings.tick_ns, self.table.areas, start_ns)
        self.hooks.deadline = self.ticker.deadline
        self._run(self.ticker.run(), "ticker")
        self._run(self._refresh(), "refresh")

    async def _refresh(self) -> None:
        """Keep the board fresh between ticks until cancelled."""
        while True:
            self._on_board.refresh(self.clock.now_ns())
            await asyncio.sleep(_REFRESH_S)

    async def _serve(self) -> int:
        http = self.settings.http
        hosts = ("127.0.0.1", "localhost", "::1", http.host, *http.allowed_hosts)
        api = build_api(self.board, self.order, self, clock=self.clock, allowed_hosts=hosts, metrics=self._metrics.page)
        self.api = ApiServer(api, host=http.host, port=http.port)
        try:
            return await self.api.start()
        except OSError as exc:
            self.api = None
            what = (
                f"port {http.port} on {http.host} cannot be used ({exc.strerror}); choose another with --port, or http.port in the settings"
            )
            raise ConfigError([Problem("http", what)]) from exc

    def _run(self, work: Awaitable[None], name: str) -> None:
        self._tasks.append(asyncio.ensure_future(work))
        self._tasks[-1].set_name(name)

    async def wait(self) -> None:
        """Return when something that must run has stopped.

        Raises:
            GridfuseError: naming what failed.
        """
        while True:
            if self._lost is not None:
                raise StoreError(f"telemetry can no longer be made durable: {self._lost!r}; check the broker or the disk, then start again")
            self._raise_if_crashed()
            for task in self._tasks:
                if task.done():
                    cause = None if task.cancelled() else task.exception()
                    raise GridfuseError(f"{task.get_name()} stopped: {cause!r}") from cause
            await asyncio.sleep(0.2)

    def _halted(self) -> bool:
        log = open_log(self.app)
        return log is not None and (log.stalled is not None or log.failure is not None)

    def _raise_if_crashed(self) -> None:
        if self.app.crashed:
            raise StoreError(f"the stream processors stopped: {self.app.crash_reason!r}; see the log, then start again")

    async def drained(self, deadline_s: float = 10.0) -> bool:
        """Wait until every sample sent so far went through intake; whether that happened in time. A stalled log is not waited for."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + deadline_s
        while self.shell.counters["samples intake"] < self.samples_in and loop.time() < end_s and not self._halted():
            await asyncio.sleep(0.02)
        return self.shell.counters["samples intake"] >= self.samples_in

    async def stop(self) -> None:
        """Stop everything in order; what was accepted is durable when this returns.

        A disk that takes nothing is waited for a few seconds.

        Raises:
            StoreError: the log could not be written to the end. What it acknowledged is there; the rest is done again after a start.
        """
        log = open_log(self.app)
        self.shell.stopping = True
        if log is not None:
            log.give_up_within(_STOP_WITHIN_S)
        if self.ticker is not None:
            await self._cancel("ticker")
        await self.gateway.stop()
        await self.drained(2.0)
        await self.app.stop()
        for task in self._writing:
            task.cancel()
        await self._cancel(*(task.get_name() for task in self._tasks))
        self.dispatcher.close()
        await self.async_ledger.close()
        await asyncio.to_thread(self.spool.close)
        if self.api is not None:
            await self.api.stop()
        if log is not None and log.failure is not None:
            raise StoreError(str(log.failure))

    async def _cancel(self, *names: str) -> None:
        tasks = [task for task in self._tasks if task.get_name() in names]
        self._tasks = [task for task in self._tasks if task not in tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _emit(self, frame: TelemetryFrame) -> None:
        """Put a frame on its topic; the transport says when too much is on its way."""
        future = asyncio.ensure_future(await self.shell.send(topics.FRAMES, frame.area.encode(), encode_frame(frame)))
        # Nobody waits for this one frame: the transport holds back whoever sends too much.
        future.add_done_callback(self._sent)
        self.samples_in += len(frame)

    def _sent(self, frame: asyncio.Future[Any]) -> None:
        if not frame.cancelled() and (cause := frame.exception()) is not None and self._lost is None:
            self._lost = cause
            _log.critical("an accepted frame could not be made durable: %r", cause)

    async def order(self, command: CommandGiven) -> None:
        """Give an order: it is safely on its way when this returns (:data:`console.api.CommandSink`).

        Raises:
            SinkUnavailable: not while the processors recover, nor while the log is stalled.
        """
        if not self._recovered:
            raise SinkUnavailable("the stream processors are recovering")
        if (stalled := self._stalled()) is not None:
            raise SinkUnavailable(stalled.reason)
        await (await self.shell.send(topics.COMMANDS, b"market", wire.encode(command)))

    async def _write_base_points(self, dispatch_mw: dict[str, float]) -> None:
        """Send the base points that changed to the units' set-points, without holding up the clearing.

        While the market is out, its clearings are shadows: units follow dispatch, not them (Art. 27).
        """
        if self._market.out:
            return
        changed = {unit: mw for unit, mw in dispatch_mw.items() if abs(self._written_mw.get(unit, float("inf")) - mw) > 0.05}
        self._written_mw.update(changed)
        for unit, mw in changed.items():
            point = f"unit/{unit}/setpoint_mw"
            if point in self.table:
                task = asyncio.create_task(self._write(point, unit, mw))
                self._writing.add(task)
                task.add_done_callback(self._writing.discard)

    async def _write(self, point: str, unit: str, mw: float) -> None:
        try:
            await self.gateway.write(point, mw)
        except Exception as exc:
            # The next interval's base point replaces this one; a device that refuses for long shows in its health.
            self._written_mw.pop(unit, None)
            ours = not isinstance(exc, GridfuseError)
            _log.warning("base point %s = %.1f MW not written: %s", point, mw, exc, exc_info=ours)
