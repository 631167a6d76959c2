"""The side of the service that faces people: the board, the ledger, the spool towards InfluxDB, and those on call.

Everything it shows and keeps comes from the topics, so it may stand in a process of its own. Its stores are files of its data
directory: there is one of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Final

from console.board.state import BoardState
from console.observers import BoardObserver, LedgerObserver, Notifier, Recorder
from console.readback import last_records, recall_telemetry
from market.units import NS_PER_S
from streams import topics
from streams.agents import Observer
from streams.influx import Flusher
from streams.ledger import AsyncLedger, Ledger, sqlite_url
from streams.marketmodel import MarketModel
from streams.notify import Channel, Dispatcher, LogChannel, WebhookChannel
from streams.outbox import Outbox
from streams.preview import Preview
from streams.recordlines import RecordLines
from streams.settings import Settings
from streams.spool import Spool
from streams.stallalarm import StallAlarm
from streams.telemetrylines import TelemetryEncoder
from streams.transport.patience import Stalled

__all__ = ["PeopleSide"]

_BOARD_RECORDS: Final = {topics.KPI: 20_000, topics.OUTCOMES: 320, topics.DECISIONS: 2_000, topics.PRICES: 1_000, topics.ALERTS: 600}
"""Most records of each topic the board reads back at a start: what it keeps, about a day."""

_TICK_WALL_S: Final = 0.5
"""With ticks further apart than this in wall time, the board is refreshed between them."""

_REFRESH_S: Final = 0.1


class PeopleSide:
    """The stores, and what is shown from them.

    Args:
        settings: where they are.
        model: the grid, for what is shown between ticks.
        speed: event seconds per wall second.
        simulated: whether the field is; the board says so.

    Raises:
        StoreError: a store cannot be opened.
    """

    def __init__(self, settings: Settings, model: MarketModel, speed: float, *, simulated: bool) -> None:
        self._settings = settings
        self.board = BoardState(settings.rules, simulated=simulated)
        self.spool = Spool(settings.data / "spool")
        self.ledger = Ledger(sqlite_url(settings.data / "ledger.sqlite"))
        self.async_ledger = AsyncLedger(self.ledger)
        self.outbox = Outbox(self.ledger.engine)
        self._channels = self._made_channels()
        self.dispatcher = Dispatcher(self.outbox, self._channels)
        self.flusher = None if settings.influx is None else Flusher(self.spool, settings.influx)
        self.recorder = Recorder(self.spool, RecordLines.of(model))
        slow = settings.tick_ns / NS_PER_S / speed > _TICK_WALL_S
        self._on_board = BoardObserver(self.board, Preview(model) if slow else None)
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

    def relist(self, model: MarketModel, telemetry: TelemetryEncoder) -> None:
        """Show and record other points from now on."""
        self._on_board.relist(model)
        self.recorder.relist(telemetry, model.grid.table)

    async def recall(self) -> None:
        """Show what is recorded already.

        Raises:
            StoreError: there is a recording, and it cannot be read.
        """
        for topic, records in (await asyncio.to_thread(last_records, self._settings.broker, _BOARD_RECORDS)).items():
            for record, done in records:
                await self._on_board.see(topic, record)
                if done:
                    self.recorder.lines.recall(record)
        if (rollups := self.recorder.lines.rollups) is not None:
            await asyncio.to_thread(recall_telemetry, self._settings.broker, rollups)

    def stall_alarm(self, stalled: Callable[[], Stalled | None], now_ns: Callable[[], int]) -> StallAlarm:
        """Return what tells those on call, and the board, that the log takes nothing; the outbox is on the same disk."""
        return StallAlarm(stalled, self._channels, now_ns, self._settings.rules.zone, self.board.apply)

    def work(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """Return what runs for as long as the service does, by name."""
        yield "dispatcher", self.dispatcher.run()
        if self.flusher is not None:
            yield "influx", self.flusher.run()

    async def refresh(self, now_ns: Callable[[], int]) -> None:
        """Keep the board fresh between ticks until cancelled."""
        while True:
            self._on_board.refresh(now_ns())
            await asyncio.sleep(_REFRESH_S)

    async def close(self) -> None:
        """Close the stores; what was accepted is durable when this returns."""
        self.dispatcher.close()
        await self.async_ledger.close()
        await asyncio.to_thread(self.recorder.close)
        await asyncio.to_thread(self.spool.close)
