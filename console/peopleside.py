"""The side of the service that faces people: the board, the ledger, the spool towards InfluxDB, and those on call.

Everything it shows and keeps comes from the topics, so it may stand in a process of its own. Its stores are files of its data
directory: there is one of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, Final

from console.board.panels import PanelBook
from console.board.points import PointBook
from console.board.state import BoardState
from console.board.stream import PageSource
from console.observers import BoardObserver, LedgerObserver, Notifier, Recorder
from console.readback import last_records, recall_telemetry
from market.units import NS_PER_MIN, NS_PER_S
from market.view import MarketView
from streams import topics
from streams.agents import Observer
from streams.alerts import Alert
from streams.gridpicture import GridPicture
from streams.kpis import KpiFrame
from streams.ledger import AsyncLedger, Ledger
from streams.marketmodel import MarketModel
from streams.notify import Channel, Dispatcher, LogChannel, WebhookChannel
from streams.outbox import Attempt, Outbox
from streams.preview import Preview
from streams.processreport import ProcessReport
from streams.recordlines import RecordLines
from streams.refill import Refill
from streams.roles import Role
from streams.rollups import Rollups
from streams.settings import Settings
from streams.sink import Sink
from streams.stallalarm import StallAlarm
from streams.telemetrylines import TelemetryEncoder
from streams.transport.patience import Stalled

__all__ = ["PeopleSide"]

_BOARD_RECORDS: Final = {topics.KPI: 38_000, topics.OUTCOMES: 320, topics.DECISIONS: 2_000, topics.PRICES: 1_000, topics.ALERTS: 600}
"""Most records of each topic the board reads back at a start: what it keeps, about a day."""

_SHOWN_EVERY_NS: Final = {KpiFrame: NS_PER_MIN, MarketView: NS_PER_MIN, ProcessReport: NS_PER_MIN, GridPicture: 10 * NS_PER_MIN}
"""How much of what was recorded the board's panels begin with: they keep minutes, and a picture of the grid has a line for every branch."""

_TICK_WALL_S: Final = 0.5
"""With ticks further apart than this in wall time, the board is refreshed between them."""

_REFRESH_S: Final = 0.1
_LOOK_S: Final = 1.0
"""How often it is refreshed while somebody watches; and how often it is looked whether somebody does. Who comes sees the newest at once."""


class PeopleSide:
    """The stores, and what is shown from them.

    Args:
        settings: where they are.
        model: the grid, for what is shown between ticks.
        speed: event seconds per wall second.
        simulated: whether the field is; the board says so.
        role: of the process; what its consumer group was done with need not be told again.

    Raises:
        StoreError: a store cannot be opened.
    """

    def __init__(self, settings: Settings, model: MarketModel, speed: float, *, simulated: bool, role: Role = Role.ALL) -> None:
        self._settings = settings
        self._group = role.group("")
        self.board = BoardState(settings.rules, simulated=simulated)
        self.sink = Sink(settings.data, settings.influx, settings.sinking)
        self._model = model
        self.ledger = Ledger(settings.ledger_url)
        self.async_ledger = AsyncLedger(self.ledger)
        self.outbox = Outbox(self.ledger.engine)
        self._channels = self._made_channels()
        self.dispatcher = Dispatcher(
            self.outbox, self._channels, attempted=lambda channel, attempt: self.recorder.attempted(channel, attempt)
        )
        panels, points = PanelBook.shipped(), PointBook(model.grid.table)
        self.pages: Mapping[str, PageSource] = {**panels.pages, "points": points}
        """What single pages of the board show, by name."""
        self._rollups = Rollups(model.grid.table)
        lines = RecordLines.of(model, self._rollups)
        self.recorder = Recorder(self.sink.spool, lines, self.sink.raw, self.sink.gaps, panels.take)
        self._refill = Refill(
            self.sink.gaps,
            settings.broker,
            lambda: RecordLines.of(self._model),
            self.recorder.take_again,
            settings.sinking.backlog_per_s,
        )
        slow = settings.tick_ns / NS_PER_S / speed > _TICK_WALL_S
        self._on_board = BoardObserver(self.board, Preview(model) if slow else None, points)
        self.observers: Sequence[Observer] = (
            self._on_board,
            Notifier(self.dispatcher),
            LedgerObserver(self.async_ledger),
            self.recorder,
        )

    def _made_channels(self) -> list[Channel]:
        channels: list[Channel] = [LogChannel()]
        if self._settings.webhook is not None:
            channels.append(WebhookChannel(self._settings.webhook.url, timeout_s=self._settings.webhook.timeout / NS_PER_S))
        return channels

    def _attempted(self, channel: str, attempt: Attempt) -> None:
        self.recorder.attempted(channel, attempt)

    def relist(self, model: MarketModel, telemetry: TelemetryEncoder) -> None:
        """Show and record other points from now on."""
        self._model = model
        self._on_board.relist(model)
        self.recorder.relist(telemetry, model.grid.table)

    async def recall(self) -> None:
        """Show what is recorded already.

        Raises:
            StoreError: there is a recording, and it cannot be read.
        """
        broker = self._settings.broker
        for topic, records in (await asyncio.to_thread(last_records, broker, _BOARD_RECORDS, self._group)).items():
            shown: set[tuple[type, int]] = set()
            for record, done, _ in records:
                await self._on_board.see(topic, record)
                if not done:
                    continue  # the recorder will see it yet
                # Panels draw minutes: of what comes with every tick one a minute is enough to begin with, of what is large less.
                step_ns = _SHOWN_EVERY_NS.get(type(record))
                moment = None if step_ns is None else (type(record), record.ts_event_ns // step_ns)
                self.recorder.recall(record, show=moment is None or moment not in shown)
                if moment is not None:
                    shown.add(moment)
        await asyncio.to_thread(recall_telemetry, broker, self._rollups, tuple(self.sink.gaps))

    def stall_alarm(self, stalled: Callable[[], Stalled | None], now_ns: Callable[[], int]) -> StallAlarm:
        """Return what tells those on call, and the board, that the log takes nothing; the outbox is on the same disk."""
        return StallAlarm(stalled, self._channels, now_ns, self._settings.rules.zone, self.board.apply)

    async def tell(self, alert: Alert) -> None:
        """Have an alert that is on no topic delivered, shown and recorded, once; it will be delivered when this returns.

        Raises:
            SinkUnavailable: it cannot be kept now.
        """
        if await self.dispatcher.put(alert):
            self.board.apply(alert)
            await self.recorder.see(topics.ALERTS, alert)

    def work(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """Return what runs for as long as the service does, by name."""
        yield "dispatcher", self.dispatcher.run()
        yield from self.sink.work()
        yield "refill", self._refill.run()
        yield "recorder", self.recorder.run()

    async def refresh(self, now_ns: Callable[[], int], watched: Callable[[], bool]) -> None:
        """Keep the board fresh between ticks until cancelled: while somebody watches, and when somebody looks."""
        self.board.before_snapshot = lambda: self._on_board.refresh(now_ns())
        while True:
            if watched():
                self._on_board.refresh(now_ns())
                await asyncio.sleep(_REFRESH_S)
            else:
                await asyncio.sleep(_LOOK_S)

    async def close(self) -> None:
        """Close the stores; what was accepted is durable when this returns."""
        self.dispatcher.close()
        await self.async_ledger.close()
        await asyncio.to_thread(self.recorder.close)
        await asyncio.to_thread(self.sink.close)
