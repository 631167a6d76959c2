"""What watches the stream on behalf of people: the board, the spool towards InfluxDB, the ledger, the people on call.

Observers see a record after it was made durable, at least once, and are idempotent on its identity. A store that is away holds up
its own observer and nobody else (:mod:`streams.lanes`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from console.board.points import PointBook
from console.board.state import BoardState
from ingest.bundle import FrameBundle, frames_of
from ingest.frame import TelemetryFrame
from ingest.points import PointTable
from market.decisions import Decision
from market.outcomes import Cleared, ClearingFailed
from market.prices import PriceInForce
from market.view import MarketView
from streams import topics
from streams.alerts import Alert
from streams.errors import SinkUnavailable, StoreError
from streams.gaps import Gaps
from streams.kpis import KpiFrame
from streams.ledger import AsyncLedger
from streams.marketmodel import MarketModel
from streams.notify import Dispatcher
from streams.outbox import Attempt
from streams.preview import Preview
from streams.recordlines import RecordLines
from streams.refill import Lines
from streams.servicelines import encode_attempt
from streams.spool import Spool
from streams.telemetrylines import TelemetryEncoder
from streams.topics import Topic

__all__ = ["BoardObserver", "LedgerObserver", "Notifier", "Recorder"]

_log = logging.getLogger(__name__)

_SAMPLES_AT_ONCE: Final = 10_000
"""Samples whose lines are made in one go, some 6 ms: a bundle holds up to nine thousand, and very many bundles may wait."""

_RETRY_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Waits between attempts at a store that is away; the last one repeats."""

_SPOOL_RETRIES: Final = 4
"""Of these the ones between attempts at the spool: a disk has room again from one moment to the next."""

_NOTED_MAX: Final = 10_000
"""Lines of what is on no topic that wait for the spool; beyond them the oldest go, and the outbox still has what they say."""

_TOLD_EVERY: Final = 60


async def _insist(what: str, work: Callable[[], Awaitable[Any]]) -> None:
    """Try until a store takes a record."""
    attempt = 0
    while True:
        try:
            await work()
        except SinkUnavailable as exc:
            wait_s = _RETRY_S[min(attempt, len(_RETRY_S) - 1)]
            where = {"sink": what, "reason": str(exc), "attempt": attempt + 1, "wait_s": wait_s}
            _log.error("%s: %s; again in %g s", what, exc, wait_s, extra=where)
            attempt += 1
            await asyncio.sleep(wait_s)
        else:
            return


class BoardObserver:
    """Shows every record on the live board.

    Args:
        preview: computes figures between two ticks, or None where ticks are fast enough for the eye.
        points: shows every point, or None for a board without that page.
    """

    def __init__(self, board: BoardState, preview: Preview | None = None, points: PointBook | None = None) -> None:
        self._board = board
        self._preview = preview
        self._points = points
        self._last_tick: KpiFrame | None = None

    def relist(self, model: MarketModel) -> None:
        """Go on with other points."""
        if self._preview is not None:
            self._preview.relist(model)
        if self._points is not None:
            self._points.relist(model.grid.table)

    def refresh(self, now_ns: int) -> None:
        """Show what telemetry has brought since the last tick."""
        if self._preview is not None and (frame := self._preview.figures(now_ns, self._last_tick)) is not None:
            self._board.apply(frame)

    async def see(self, topic: Topic, record: Any) -> None:
        """Apply what the board shows; it leaves the rest alone."""
        if isinstance(record, TelemetryFrame | FrameBundle):
            for frame in frames_of(record):
                if self._preview is not None:
                    self._preview.take(frame)
                if self._points is not None:
                    self._points.take(frame)
            return
        if isinstance(record, KpiFrame):
            self._last_tick = record
        if isinstance(record, KpiFrame | MarketView | Cleared | ClearingFailed | Decision | PriceInForce | Alert):
            self._board.apply(record)


class Recorder:
    """Writes every record to the spool as lines.

    While the disk takes none, records wait in the lane; of what comes fast those that find no room there are left on their topics, noted,
    and taken again (:mod:`streams.refill`).

    Args:
        spool: of lines.
        lines: makes them.
        raw: of lines of raw telemetry; the same one by default.
        gaps: notes what is left on its topic.
        shown: is told the lines of everything but telemetry: the board's panels draw what is written.
    """

    leaves: Final = (topics.FRAMES, topics.KPI)

    def __init__(
        self,
        spool: Spool,
        lines: RecordLines,
        raw: Spool | None = None,
        gaps: Gaps | None = None,
        shown: Callable[[bytes], None] | None = None,
    ) -> None:
        self._spool = spool
        self._raw = raw or spool
        self._lines = lines
        self._gaps = gaps
        self._shown = shown
        self.not_spooled = 0
        """Records that were left on their topics so far, because the spool took none for too long."""
        self._refusals = 0
        self._owed = b""
        """Roll-ups of what was taken again, until the spool has them."""
        self._noted: deque[bytes] = deque(maxlen=_NOTED_MAX)
        self._noting = asyncio.Event()
        # The spool has one writer; and a disk that is slow must not be waited for on the event loop.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")

    @property
    def left_out(self) -> int:
        """Good samples that are in no roll-up."""
        return self._lines.left_out

    def relist(self, telemetry: TelemetryEncoder, table: PointTable) -> None:
        """Encode frames by other points from now on."""
        self._lines.relist(telemetry, table)

    def recall(self, record: Any, *, show: bool = True) -> None:
        """Remember what later records depend on, of one that was spooled before, and have it shown."""
        if self._shown is None or not show:
            self._lines.recall(record)
        else:
            self._shown(self._lines.of_record(record))

    async def see(self, topic: Topic, record: Any) -> None:
        """Append the record's lines."""
        await self.see_all(topic, (record,))

    async def see_all(self, topic: Topic, records: Sequence[Any]) -> None:
        """Append the lines of several records, however long it takes; they survive the death of the process when this returns."""
        for part in _parts(records):
            lines = b"".join(map(self._lines.of_record, part))
            if self._shown is not None and topic is not topics.FRAMES and lines:
                self._shown(lines)
            rolled_up = b"".join(map(self._lines.rolled_up, part)) if topic is topics.FRAMES else b""
            for spool, data in ((self._raw if topic is topics.FRAMES else self._spool, lines), (self._spool, rolled_up)):
                while data and not await self._taken(topic, spool, data):
                    await asyncio.sleep(_RETRY_S[min(self._refusals, _SPOOL_RETRIES) - 1])

    async def _taken(self, topic: Topic, spool: Spool, lines: bytes) -> bool:
        try:
            await self._append(spool, lines)
        except (SinkUnavailable, StoreError) as exc:
            self._refusals += 1
            if self._refusals == 1 or self._refusals % _TOLD_EVERY == 0:
                where = {"sink": "spool", "topic": topic.name, "reason": str(exc), "records": self.not_spooled}
                _log.error("%s (attempt %d; %d records left on their topics so far)", exc, self._refusals, self.not_spooled, extra=where)
            return False
        if self._refusals:
            _log.warning("the spool takes lines again, after %d attempts", self._refusals, extra={"sink": "spool", "topic": topic.name})
        self._refusals = 0
        return True

    async def _append(self, spool: Spool, lines: bytes) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, spool.append, lines)

    def left(self, topic: Topic, partition: int, offset: int) -> None:
        """Note that a record stays on its topic; it is taken again also if the process is killed as soon as this returns."""
        self.not_spooled += 1
        if self._gaps is not None:
            self._gaps.add(topic.name, partition, offset)

    async def take_again(self, topic: Topic, records: Sequence[Any], lines: Lines) -> int:
        """Append the lines of records that were left; returns how many lines they are.

        Raises:
            SinkUnavailable: the spool takes none.
            StoreError: likewise, until a restart.
        """
        count = 0
        for part in _parts(records):
            if self._refusals:
                raise SinkUnavailable("the spool takes no lines at present")
            data = b"".join(map(lines.of_record, part))
            count += data.count(b"\n")
            await self._append(self._raw if topic is topics.FRAMES else self._spool, data)
            if topic is topics.FRAMES:
                # They come late to the minutes they are of. Nobody has added them up yet, and nobody will again.
                owed = self._owed = self._owed + b"".join(map(self._lines.rolled_up, part))
                if owed:
                    await self._append(self._spool, owed)
                    self._owed = self._owed.removeprefix(owed)
        return count

    def attempted(self, channel: str, attempt: Attempt) -> None:
        """Have an attempt at a delivery written, which is on no topic, when the spool takes it; nobody waits for that."""
        self._noted.append(encode_attempt(attempt, channel))
        self._noting.set()

    async def run(self) -> None:
        """Append what is on no topic, until cancelled."""
        while True:
            await self._noting.wait()
            self._noting.clear()
            lines = b"".join(self._noted)
            self._noted.clear()
            if self._shown is not None:
                self._shown(lines)
            try:
                while not await self._taken(topics.ALERTS, self._spool, lines):
                    await asyncio.sleep(_RETRY_S[min(self._refusals, _SPOOL_RETRIES) - 1])
            except asyncio.CancelledError:
                self._noted.appendleft(lines)  # tried once more at the end
                raise

    def close(self) -> None:
        """Finish the append under way, and append what is on no topic; nothing can be recorded any more."""
        if self._noted:
            with contextlib.suppress(SinkUnavailable, StoreError):
                self._thread.submit(self._spool.append, b"".join(self._noted)).result()
        self._thread.shutdown()


def _parts(records: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut records into parts of about so many samples as are encoded at once; a record of many is a part of its own."""
    first = samples = 0
    for place, record in enumerate(records):
        size = len(record) if isinstance(record, TelemetryFrame | FrameBundle) else 1
        if samples and samples + size > _SAMPLES_AT_ONCE:
            yield records[first:place]
            first, samples = place, 0
        samples += size
    yield records[first:]


class LedgerObserver:
    """Keeps decisions, prices and outcomes in the ledger."""

    topics: Final = (topics.DECISIONS, topics.PRICES, topics.OUTCOMES)

    def __init__(self, ledger: AsyncLedger) -> None:
        self._ledger = ledger

    async def see(self, topic: Topic, record: Any) -> None:
        """Record what belongs there, however long it takes."""
        match record:
            case Decision():
                await _insist("ledger", lambda: self._ledger.record_decisions([record]))
            case PriceInForce():
                await _insist("ledger", lambda: self._ledger.record_prices([record]))
            case Cleared() | ClearingFailed():
                await _insist("ledger", lambda: self._ledger.record_outcomes([record]))


class Notifier:
    """Hands alerts to the dispatcher."""

    topics: Final = (topics.ALERTS,)

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def see(self, topic: Topic, record: Any) -> None:
        """Return once the alert is in the outbox."""
        if isinstance(record, Alert):
            await _insist("outbox", lambda: self._dispatcher.put(record))
