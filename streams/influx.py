"""How does what is in the spool reach InfluxDB, once each and all of it, and what is newest first?

One flusher follows the end of the spool and sends what gathers there: as soon as it is 5,000 lines or 1 MB, and after 250 ms at the
latest. It acknowledges after the server has said yes. Nothing else acknowledges, so whatever kills the process or the server costs a
repetition, and the same line sent twice is stored once.

What could not be sent when it came waits in the spool: while the server is away, and from an earlier run. When the server is back, the
last half minute goes first and then what comes, so that displays show now; what waited follows beside that at a set rate, oldest first.
Of what is acknowledged the spool therefore keeps stretches (:mod:`ingest.taken`).

What the server answers decides:

=====================  =========================================================================================================
204                    acknowledged
400, 422               some lines are refused: found out (:mod:`streams.sifting`), and put into the dead-letter file with its words
413                    too large: halved, and from then on sent in such pieces
401, 403, 404, others  token, organisation or bucket is wrong: raise the alarm, ask again every minute with the token read afresh
408, 429, 5xx, none    not now: wait and try again, as long as ``Retry-After`` says, else ever longer
=====================  =========================================================================================================

Meanwhile the spool goes on filling; nobody who appends to it notices. A piece of the backlog that the server cannot cope with holds
up neither what is new nor the rest of the backlog.

The library's own batching is not used: it keeps what it has not sent in memory and drops it when the server refuses, when five
retries have failed, and when the process ends.

Deliberately absent: encoding, queries, addresses and answers (:mod:`streams.influxapi`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from ingest.segments import Chunk
from market.errors import ConfigError
from market.units import NS_PER_S, instant_text
from streams.backoff import backoff_s
from streams.errors import SinkError, SinkUnavailable
from streams.influxapi import SAID_MAX, Api, InfluxTarget, InfluxWriter, LinesRefused, NotNow, Refused
from streams.segments import BLOCK_BYTES_MAX, BLOCK_LINES_MAX
from streams.sifting import Letter, Sifting
from streams.spool import Spool

__all__ = ["Api", "FlushPace", "FlushState", "FlushStatus", "Flusher", "InfluxTarget"]

_DEAD_LETTERS_BYTES_MAX: Final = 16 << 20
_RETRY_AFTER_MAX_S: Final = 3_600.0
"""A server that asks for more than an hour is asked again all the same."""

_NEWEST_S: Final = 30.0
"""After an outage so much of what waited goes first: three ticks of key figures, so that every display has its newest value."""

_LOOKS: Final = 5
"""How often it is looked in that time, while the server is away or something waits, whether it is time to go on."""

_IDLE_S: Final = 1.0
"""How often it is looked where nothing gathers, although nobody said that anything came."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushPace:
    """How fast to go.

    Attributes:
        idle_s: longest time that lines gather into one request, s.
        first_s: longest wait after the first failure, s.
        max_s: longest wait between two attempts, s, unless the server asks for a longer one.
        refused_s: wait after the server has refused the token, organisation or bucket, s.
        timeout_s: longest wait for an answer, s.
        backlog_per_s: lines of the backlog sent per second, beside those that are new.
    """

    idle_s: float = 0.25
    first_s: float = 1.0
    max_s: float = 60.0
    refused_s: float = 60.0
    timeout_s: float = 10.0
    backlog_per_s: float = 20_000.0


class FlushState(StrEnum):
    """Whether lines go through."""

    OK = "ok"
    WAITING = "waiting"
    """The server does not answer or has no time; trying again."""
    REFUSED = "refused"
    """The server refuses the token, organisation or bucket; a person must act."""


@dataclass(slots=True, kw_only=True)
class FlushStatus:
    """What has happened since the flusher was made; counts only grow.

    Attributes:
        alarm: what a person must do, or empty.
        last_error: the latest failure in the server's words, kept after it is over.
        attempts: failures in a row, 0 while lines go through.
        lines_backlog: lines that were sent as backlog; part of ``lines_sent``.
    """

    state: FlushState = FlushState.OK
    alarm: str = ""
    last_error: str = ""
    attempts: int = 0
    requests: int = 0
    lines_sent: int = 0
    bytes_sent: int = 0
    lines_rejected: int = 0
    retries: int = 0
    lines_backlog: int = 0

    def as_data(self) -> dict[str, Any]:
        """Return the status as plain data, for the board and for metrics."""
        return asdict(self)


@dataclass(slots=True)
class _Course:
    """One of the two ways through the spool.

    Attributes:
        place: where it goes on.
        failures: in a row.
        not_before_s: when it may go on, by the loop's clock.
    """

    place: int
    failures: int = 0
    not_before_s: float = 0.0


class Flusher:
    """Sends what is in a spool to InfluxDB.

    Args:
        spool: read and acknowledged from here only. What is in it now counts as backlog.
        target: where to write.
        pace: how fast.
        spread: random numbers in [0, 1), which waits are spread by.

    Raises:
        ConfigError: the token that is configured cannot be read.
    """

    def __init__(
        self, spool: Spool, target: InfluxTarget, pace: FlushPace | None = None, spread: Callable[[], float] = random.random
    ) -> None:
        self._spool = spool
        self._pace = pace or FlushPace()
        self._spread = spread
        self._target = target
        self._writer = InfluxWriter(target, self._pace.timeout_s)
        self._status = FlushStatus()
        self._live, self._backlog = _Course(spool.end), _Course(0)
        self._turn = self._backlog
        self._lines_seen = spool.lines
        self._gathers_since_s: float | None = None
        self._body_max: int | None = None
        self._came = asyncio.Event()
        self.dead_letters = spool.directory / "dead_letters.jsonl"
        target.token()

    @property
    def status(self) -> FlushStatus:
        """What has happened so far."""
        return self._status

    def lag_s(self, now_ns: int) -> float:
        """Return for how long the oldest line has waited that is not backlog, s; 0 where none does."""
        begun_ns = self._spool.begun_ns(self._live.place)
        return 0.0 if begun_ns is None else max(0.0, (now_ns - begun_ns) / NS_PER_S)

    async def run(self) -> None:
        """Send until cancelled; failures of the server never end it."""
        loop = asyncio.get_running_loop()
        self._spool.appended = lambda: self._appended(loop)
        try:
            while True:
                try:
                    due = await self._due()
                except OSError as exc:
                    what = f"the spool {self._spool.directory} cannot be read: {exc.strerror}; see to the disk"
                    self._failed(self._turn, NotNow(what))
                    due = None
                if due is None:
                    await self._rest()
                else:
                    await self._attempt(*due)
        finally:
            self._spool.appended = lambda: None
            await self._writer.close()

    def _appended(self, loop: asyncio.AbstractEventLoop) -> None:
        """Lines were appended, on another thread: say so where somebody waits for these."""
        if self._gathers_since_s is None or self._is_full():
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._came.set)

    async def _rest(self) -> None:
        """Wait until something may be due."""
        if self._live.failures or self._backlog.failures or self._spool.gap(0, self._live.place) is not None:
            await asyncio.sleep(self._pace.idle_s / _LOOKS)
            return
        self._came.clear()
        since_s = self._gathers_since_s
        if since_s is None and self._spool.end > self._live.place:
            return  # they came just now
        wait_s = _IDLE_S if since_s is None else max(0.0, since_s + self._pace.idle_s - time.monotonic())
        # Not with wait_for, which may lose a cancellation that comes together with what it waits for.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._came.wait()

    async def drain(self) -> None:
        """Send everything that waits in the spool, in order and as fast as it goes, and return.

        Raises:
            SinkUnavailable: the server did not take it; what it took is acknowledged.
            SinkRejected: the server refuses the token, organisation or bucket.
        """
        place = 0
        try:
            while (gap := self._spool.gap(place, self._spool.end)) is not None:
                if (chunk := await asyncio.to_thread(self._spool.read, *gap)) is None:
                    return
                try:
                    await self._deliver(self._backlog, chunk, gap[0])
                except (SinkError, ConfigError) as exc:
                    self._failed(self._backlog, exc)
                    raise
                place = chunk.end
        finally:
            await self._writer.close()

    # What is to be sent next

    async def _due(self) -> tuple[_Course, Chunk, int] | None:
        """Return the course that has a turn, what it is to send, and from where; None where nothing is to be sent now."""
        now_s = time.monotonic()
        live = now_s >= self._live.not_before_s and self._is_ripe(now_s)
        # What is new goes first, but where more comes than the server takes, what waits is not left to starve.
        first, second = (self._backlog, self._live) if live and self._turn is self._live else (self._live, self._backlog)
        for course in (first, second):
            if course is self._live:
                found = await self._next_live() if live else None
            else:
                found = await self._next_of_backlog() if now_s >= self._backlog.not_before_s else None
            if found is not None:
                self._turn = course
                return course, *found
        return None

    def _is_ripe(self, now_s: float) -> bool:
        """Whether what is new has gathered for long enough, or fills a request."""
        waiting = self._spool.end - self._live.place
        if not waiting:
            self._gathers_since_s = None
            return False
        if self._gathers_since_s is None:
            self._gathers_since_s = now_s
        return self._is_full() or now_s - self._gathers_since_s >= self._pace.idle_s

    def _is_full(self) -> bool:
        return self._spool.end - self._live.place >= BLOCK_BYTES_MAX or self._spool.lines - self._lines_seen >= BLOCK_LINES_MAX

    async def _next_live(self) -> tuple[Chunk, int] | None:
        if self._live.failures:
            self._go_to_newest()
        place = self._live.place
        chunk = self._spool.newest(place) or await asyncio.to_thread(self._spool.read, place)
        return None if chunk is None else (chunk, place)

    async def _next_of_backlog(self) -> tuple[Chunk, int] | None:
        course = self._backlog
        gap = self._spool.gap(course.place, self._live.place)
        if gap is None and course.place:
            # What could not be sent was left behind.
            course.place = 0
            gap = self._spool.gap(0, self._live.place)
        if gap is None:
            return None
        chunk = await asyncio.to_thread(self._spool.read, *gap)
        if chunk is None:
            # Nothing is there any more: a limit, or somebody, removed it.
            course.place = gap[1]
            return None
        return chunk, gap[0]

    def _go_to_newest(self) -> None:
        """Leave what waited to the backlog."""
        if (newest := self._spool.since(_NEWEST_S)) > self._live.place:
            self._live.place = newest
            self._lines_seen = self._spool.lines  # those left would be waited for until every line is a request of its own

    # Sending it

    async def _attempt(self, course: _Course, chunk: Chunk, start: int) -> None:
        was_away = self._status.attempts > 0
        try:
            await self._deliver(course, chunk, start)
        except (SinkError, ConfigError) as exc:
            self._failed(course, exc)
            if course is self._backlog:
                course.place = chunk.end
            return
        course.place = max(course.place, chunk.end)
        if course is self._backlog:
            self._status.lines_backlog += chunk.items
            course.not_before_s = time.monotonic() + chunk.items / self._pace.backlog_per_s
        else:
            self._lines_seen = min(self._spool.lines, self._lines_seen + chunk.items)
            self._gathers_since_s = None if chunk.end >= self._spool.end else self._gathers_since_s
        if was_away:
            self._go_to_newest()

    async def _deliver(self, course: _Course, chunk: Chunk, start: int) -> None:
        """Send a chunk until every line of it is decided, and acknowledge it from ``start`` on.

        Raises:
            SinkError: the server has not decided about all of it; nothing is acknowledged, and all of it is sent again.
            ConfigError: the token cannot be read.
        """
        sifting = Sifting(chunk.data, self._body_max) if chunk.data else None
        while sifting is not None and (piece := sifting.piece()) is not None:
            self._status.requests += 1
            try:
                await self._writer.write(piece)
            except LinesRefused as exc:
                sifting.refused(exc.refusal)
                self._body_max = sifting.too_large - 1 if sifting.too_large else self._body_max
            else:
                sifting.taken()
        if sifting is not None:
            letters = sifting.in_order()
            if len(letters) > 1 and not sifting.informed:
                # A proxy that does not like us is no reason to call every line bad.
                said = letters[0].said[:SAID_MAX]
                raise Refused(f"InfluxDB at {self._target.url} takes no line at all: {letters[0].status} {said}")
            try:
                if letters:
                    await asyncio.to_thread(self._bury, letters)
            except OSError as exc:
                raise NotNow(f"{self.dead_letters} cannot be written: {exc.strerror}; free space, or see to the disk") from exc
            self._status.lines_sent += chunk.items - len(letters)
            self._status.bytes_sent += len(chunk.data) - sum(len(letter.line) for letter in letters)
            self._succeeded(course)
        if course is self._live:
            self._spool.ack_soon(chunk.end, start)
            return
        try:
            await asyncio.to_thread(self._spool.ack, chunk.end, start)
        except SinkUnavailable as exc:
            # The place is known to this process; a restart would send some lines again, which stores nothing twice.
            _log.warning("%s", exc, extra={"sink": "influx", "place": chunk.end})

    def _failed(self, course: _Course, exc: SinkError | ConfigError) -> None:
        course.failures += 1
        self._turn = self._backlog  # whoever comes back asks for what is new first
        wait_s = self._wait_s(course, exc)
        course.not_before_s = time.monotonic() + wait_s
        if not (isinstance(exc, NotNow) and exc.about_this):
            self._live.not_before_s = self._backlog.not_before_s = course.not_before_s
        state = FlushState.WAITING if isinstance(exc, NotNow) else FlushState.REFUSED
        if state is not self._status.state:
            where = {"sink": "influx", "state": state.value, "url": self._target.url, "reason": str(exc)}
            _log.warning("%s; lines stay in the spool %s", exc, self._spool.directory, extra=where)
        self._status.state = state
        self._status.alarm = str(exc) if state is FlushState.REFUSED else ""
        self._status.last_error = str(exc)
        self._status.attempts += 1
        self._status.retries += 1

    def _wait_s(self, course: _Course, exc: Exception) -> float:
        if not isinstance(exc, NotNow):
            return self._pace.refused_s
        if exc.wait_s is not None:
            return min(exc.wait_s, _RETRY_AFTER_MAX_S)
        return backoff_s(course.failures, self._pace.first_s, self._pace.max_s, self._spread())

    def _succeeded(self, course: _Course) -> None:
        course.failures = 0
        if course is self._backlog:
            self._live.failures = 0
        elif self._backlog.failures:
            return  # what is new goes through, but something of what waited does not
        if self._status.state is not FlushState.OK:
            where = {"sink": "influx", "state": FlushState.OK.value, "url": self._target.url, "attempts": self._status.attempts}
            _log.warning("InfluxDB at %s takes lines again, after %d attempts", self._target.url, self._status.attempts, extra=where)
        self._status.state, self._status.alarm, self._status.attempts = FlushState.OK, "", 0

    def _bury(self, letters: list[Letter]) -> None:
        """Keep lines the server will never take, with its words, for a person to look at."""
        at = instant_text(time.time_ns())
        if self.dead_letters.exists() and self.dead_letters.stat().st_size > _DEAD_LETTERS_BYTES_MAX:
            self.dead_letters.replace(self.dead_letters.with_suffix(".1.jsonl"))
        with self.dead_letters.open("a", encoding="utf-8") as file:
            for line, status, said in letters:
                words = line.decode(errors="backslashreplace").rstrip("\n")
                file.write(json.dumps({"at": at, "status": status, "said": said[:SAID_MAX], "line": words}, ensure_ascii=False) + "\n")
        self._status.lines_rejected += len(letters)
        self._status.last_error = f"{letters[-1].status}: {letters[-1].said[:SAID_MAX]}"
