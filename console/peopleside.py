"""The side of the service that faces people: the board, the ledger, the spool towards InfluxDB, and those on call.

Everything it shows and keeps comes from the topics, so it may stand in a process of its own. Its stores are files of its data
directory: there is one of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, Final

from console.board.panels import PanelBook
from console.board.points import PointBook
from console.board.state import BoardState
from console.board.stream import PageSource
from console.observers import BoardObserver, LedgerObserver, Notifier, Recorder
from market.units import NS_PER_MIN, NS_PER_S
from market.view import MarketView
from streams import topics, wire
from streams.agents import Observer
from streams.errors import DecodeError
from streams.kpis import KpiFrame
from streams.ledger import AsyncLedger, Ledger, sqlite_url
from streams.marketmodel import MarketModel
from streams.notify import Channel, Dispatcher, LogChannel, WebhookChannel
from streams.outbox import Outbox
from streams.preview import Preview
from streams.recordings import open_recording
from streams.recordlines import RecordLines
from streams.refill import Refill
from streams.settings import Settings
from streams.sink import Sink
from streams.stallalarm import StallAlarm
from streams.telemetrylines import TelemetryEncoder
from streams.topics import Topic
from streams.transport import log_directory
from streams.transport.patience import Stalled

__all__ = ["PeopleSide", "last_event_ns"]

_BOARD_RECORDS: Final = {topics.KPI: 20_000, topics.OUTCOMES: 320, topics.DECISIONS: 2_000, topics.PRICES: 1_000, topics.ALERTS: 600}
"""Most records of each topic the board reads back at a start: what it keeps, about a day."""

_TICK_WALL_S: Final = 0.5
"""With ticks further apart than this in wall time, the board is refreshed between them."""

_REFRESH_S: Final = 0.1
_LOOK_S: Final = 1.0
"""How often it is refreshed while somebody watches; and how often it is looked whether somebody does. Who comes sees the newest at once."""


def last_event_ns(broker: str) -> int | None:
    """Return the event time the last run had reached by what it recorded, or None where there was none.

    Raises:
        StoreError: there is a log, and it cannot be read.
    """
    newest = _last_records(broker, {topics.FACTS: 50, topics.SNAPSHOTS: 50})
    return max((record.ts_event_ns for records in newest.values() for record in records), default=None)


def _last_records(broker: str, most: Mapping[Topic, int]) -> dict[Topic, list[Any]]:
    """Read back the newest records of topics of one partition; none where nothing was recorded yet."""
    directory = log_directory(broker)
    if directory is not None and not any(directory.glob("*")):
        return {}
    found: dict[Topic, list[Any]] = {}
    with open_recording(broker) as recording:
        for topic, count in most.items():
            if recording.partitions(topic.name):
                records = found.setdefault(topic, [])
                for record in recording.newest(topic.name, 0, count):
                    with contextlib.suppress(DecodeError):
                        records.append(wire.decode(topic, record.value or b""))
    return found


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
        self.sink = Sink(settings.data, settings.influx, settings.sinking)
        self._model = model
        self.ledger = Ledger(sqlite_url(settings.data / "ledger.sqlite"))
        self.async_ledger = AsyncLedger(self.ledger)
        self.outbox = Outbox(self.ledger.engine)
        self._channels = self._made_channels()
        self.dispatcher = Dispatcher(self.outbox, self._channels)
        panels, points = PanelBook.shipped(), PointBook(model.grid.table)
        self.pages: Mapping[str, PageSource] = {**panels.pages, "points": points}
        """What single pages of the board show, by name."""
        self.recorder = Recorder(self.sink.spool, RecordLines.of(model), self.sink.raw, self.sink.gaps, panels.take)
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

    def relist(self, model: MarketModel, telemetry: TelemetryEncoder) -> None:
        """Show and record other points from now on."""
        self._model = model
        self._on_board.relist(model)
        self.recorder.relist(telemetry)

    async def recall(self) -> None:
        """Show what is recorded already.

        Raises:
            StoreError: there is a recording, and it cannot be read.
        """
        for topic, records in (await asyncio.to_thread(_last_records, self._settings.broker, _BOARD_RECORDS)).items():
            minutes: set[tuple[type, int]] = set()
            for record in records:
                await self._on_board.see(topic, record)
                # Panels draw minutes: of what comes every second one a minute is enough to begin with.
                minute = (type(record), record.ts_event_ns // NS_PER_MIN) if isinstance(record, KpiFrame | MarketView) else None
                self.recorder.recall(record, show=minute is None or minute not in minutes)
                if minute is not None:
                    minutes.add(minute)

    def stall_alarm(self, stalled: Callable[[], Stalled | None], now_ns: Callable[[], int]) -> StallAlarm:
        """Return what tells those on call, and the board, that the log takes nothing; the outbox is on the same disk."""
        return StallAlarm(stalled, self._channels, now_ns, self._settings.rules.zone, self.board.apply)

    def work(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """Return what runs for as long as the service does, by name."""
        yield "dispatcher", self.dispatcher.run()
        yield from self.sink.work()
        yield "refill", self._refill.run()

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
