"""How do frames reach the stream side, and what becomes of them while it takes none?

Theory of operation. A frame is handed to the transport as soon as it comes, and kept in memory until the transport says that it is durable.
When the oldest one has waited for longer than ``away_after_s``, or all of them are more than memory should hold, or one is refused, the
stream side is *away*: what is in memory goes into the spool on disk (:mod:`ingest.framespool`), and so does all that comes after it. In
the normal run no byte is written to the spool.

The stream side is back when one of the frames that it owed an answer for arrives, or one from the backlog that is sent to try. From then on

* what is read now goes first, as ever;
* before that, once, the newest samples of points that are told by exception (:mod:`ingest.newest`);
* beside it the backlog, oldest first, at a set rate of samples, flagged ``REPLAYED``, only while nothing live waits to be sent.

Nothing of the backlog is removed before it is durable on the other side. What was in doubt when the stream side went away, and what is sent
again after a crash, arrives twice: each frame carries a ticket (:class:`ingest.frame.Ticket`), by which intake takes it once.

Accounts leave behind the samples they are about, also through the backlog, and say what the spool's limits dropped. Heartbeats are
not spooled: a later one says all of it.

A disk that takes nothing either is waited for: frames then wait in the lanes of the gateway, and what is lost there is counted there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import Counter, deque
from collections.abc import Collection
from functools import partial
from typing import Any, Final

import numpy as np
from msgspec.structs import replace

from ingest.account import LostReason
from ingest.bundle import encode_bundle
from ingest.errors import SpoolError
from ingest.frame import TelemetryFrame, Ticket, encode_frame, heartbeat
from ingest.framespool import Backlogged, FrameSpool
from ingest.gathering import Gathering
from ingest.line import Line, Pace, Send, takes
from ingest.lots import Live, lots
from ingest.newest import NewestSamples
from ingest.overtaken import Overtaken
from ingest.priority import Priorities, Priority
from ingest.quality import Flag
from market.errors import GridfuseError

__all__ = ["Forwarder"]

_log: Final = logging.getLogger(__name__)

_LOOK_S: Final = 0.2
_TRY_EVERY_S: Final = 1.0
_NOTE_EVERY_S: Final = 1.0
_BATCH_S: Final = 0.1
"""Samples of the backlog that are sent at once: as many as the rate allows in this time."""

_BATCH_FRAMES_MAX: Final = 256

_SOURCE: Final = "@spool"
"""Source name of frames that carry nothing, and ask only whether anybody takes them."""


class Forwarder:
    """Hands frames to the transport, and keeps them while it takes none.

    Args:
        send: the transport; raises :class:`market.errors.GridfuseError` where it takes nothing at all.
        spool: where frames wait; this closes it.
        by_exception: names of the devices whose points are told when they change.
        unhurried: names of the devices whose frames may wait for each other.
        pace: see there.
        run: names this run of the process; drawn where it is not given.

    Attributes:
        line: how it stands.
        away_since_s: wall-clock seconds since the epoch when the stream side went away; None while it is there.
        why: what was wrong when it last went away.
        disk: what is wrong with the spool's disk; empty while nothing is.
        samples_in: samples handed to the transport, or about to be; those of the backlog among them.
        spooled, replayed: samples put into the spool, and sent from it.
        beats_dropped: heartbeats not sent because the stream side was away.
    """

    def __init__(
        self,
        send: Send,
        spool: FrameSpool,
        by_exception: Collection[str] = (),
        pace: Pace | None = None,
        run: int | None = None,
        unhurried: Collection[str] = (),
    ) -> None:
        self.spool = spool
        self.pace = pace or Pace()
        self.line = Line.CATCHING_UP if spool.waiting_bytes() else Line.UP
        self.away_since_s: float | None = None
        self.why = self.disk = ""
        self.samples_in = self.spooled = self.replayed = self.beats_dropped = 0
        self._send = send
        self._newest = NewestSamples(by_exception)
        self._run = int.from_bytes(os.urandom(8), "big") >> 1 if run is None else run
        self._made: Counter[str] = Counter()
        self._queue: deque[Live] = deque()
        self._unconfirmed: dict[int, Live] = {}
        self._to_store: deque[Live] = deque()
        self._bytes = self._looks = 0
        self._arrived: set[tuple[str, int]] = set()
        """Frames, by area and ticket, that arrived although they were in doubt, and are in the spool too."""
        self._tried: set[asyncio.Future[Any]] = set()
        """What of the backlog was sent and is owed an answer for, after the stream side went away."""
        self._overtaken = Overtaken()
        self._ends: dict[Priority, int] = {}
        self._noted_s, self._said_no = 0.0, False
        """The second: whether what was sent of the backlog last was refused, and not only left without an answer."""
        self._work = asyncio.Event()
        self._gathering = Gathering(self._work, self.pace.gather_s, unhurried)
        self._not_up = asyncio.Event()
        self._room = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to send."""
        if not self._tasks:
            works = {"live": self._send_live(), "watch": self._watch(), "backlog": self._replay()}
            self._tasks = [asyncio.create_task(work, name=f"ingest-{name}") for name, work in works.items()]

    def follow(self, priorities: Priorities, by_exception: Collection[str], unhurried: Collection[str] = ()) -> None:
        """Have other points from now on; what waits stays as it is."""
        self.spool.priorities = priorities
        self._newest.follow(by_exception)
        self._gathering.unhurried = frozenset(unhurried)

    async def wait(self) -> None:
        """Return when it was stopped.

        Raises:
            Exception: a fault of ours; nothing is sent any more.
        """
        if self._tasks:
            done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not task.cancelled():
                    task.result()

    # ── what comes ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def emit(self, frame: TelemetryFrame) -> None:
        """Take a frame; waits only where neither the stream side nor the disk takes any."""
        ticket = self._next_ticket(frame) if len(frame) or frame.accounts is not None else None
        while True:
            try:
                self._take(frame, ticket)
            except SpoolError as exc:
                self._disk_refused(exc)
                self._room.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._room.wait(), _TRY_EVERY_S)
            else:
                return

    def _next_ticket(self, frame: TelemetryFrame) -> Ticket:
        nth = self._made[frame.area]
        self._made[frame.area] += 1
        return Ticket(self._run, nth)

    def _take(self, frame: TelemetryFrame, ticket: Ticket | None) -> None:
        if self.line is Line.AWAY:
            if ticket is None:
                self.beats_dropped += 1
                return
            self._store_rest()
            self._store(frame, ticket)
        elif ticket is not None and frame.accounts is not None and self.line is Line.CATCHING_UP:
            self._store(frame, ticket)
        else:
            self._enqueue(frame, ticket)
            if self._bytes > self.pace.memory_bytes_max:
                self._go_away(f"{self._bytes >> 20} MiB of frames wait for an answer")

    def _enqueue(self, frame: TelemetryFrame, ticket: Ticket | None) -> None:
        raw = encode_frame(self._as_it_is(frame), ticket)
        self._queue.append(Live(frame, ticket, raw))
        self._bytes += len(raw)
        self.samples_in += len(frame)
        self._gathering.came(frame, may_wait=self.line is Line.UP)

    def _as_it_is(self, frame: TelemetryFrame) -> TelemetryFrame:
        """Return a frame of accounts with what was dropped of them, any other as it stands."""
        return frame if frame.accounts is None else replace(frame, accounts=self.spool.dropped.corrected(frame.accounts))

    def _store(self, frame: TelemetryFrame, ticket: Ticket) -> None:
        self.spool.put(frame, ticket)
        self._newest.note(frame)
        self.spooled += len(frame)
        self.disk = ""

    def _store_rest(self) -> None:
        """Store what was in memory when the stream side went away, in the order in which it came."""
        while self._to_store:
            item = self._to_store[0]
            if item.ticket is not None and not item.done:
                self._store(item.frame, item.ticket)
                item.stored = True
            self._to_store.popleft()

    def _disk_refused(self, exc: SpoolError) -> None:
        if not self.disk:
            what = "the spool of the field takes nothing: %s; frames wait in memory, and what that cannot hold is lost and counted"
            _log.error(what, exc, extra={"reason": str(exc)})
        self.disk = str(exc)

    # ── away and back ────────────────────────────────────────────────────────────────────────────────────────────────

    def _go_away(self, why: str) -> None:
        if self.line is Line.AWAY:
            return
        self.line, self.away_since_s, self.why = Line.AWAY, time.time(), why
        self._not_up.set()
        _log.warning("the stream side takes no telemetry: %s; frames are spooled in %s", why, self.spool.directory, extra={"reason": why})
        self.samples_in -= sum(len(item.frame) for item in self._queue)
        # In the order in which they were made, which is not that of sending where some of them were refused before.
        self._to_store.extend(sorted((item for item in (*self._unconfirmed.values(), *self._queue) if not item.stored), key=Live.nth))
        self._queue.clear()
        self._bytes = sum(len(item.raw) for item in self._unconfirmed.values())
        self._newest.forget()
        try:
            self.spool.sent(self._ends)
            self._ends = {}
            self.spool.again()
            self._store_rest()
        except SpoolError as exc:
            self._disk_refused(exc)

    def _came_back(self) -> None:
        if self.line is not Line.AWAY:
            return
        away_s = time.time() - (self.away_since_s or time.time())
        _log.info("the stream side takes telemetry again after %.0f s", away_s, extra={"away_s": away_s})
        self.line, self.away_since_s = Line.CATCHING_UP, None
        owed = {id(item) for item in self._unconfirmed.values()}
        for item in self._to_store:  # the disk took none of these either
            if item.ticket is not None and not item.done and id(item) not in owed:
                self._enqueue(item.frame, item.ticket)
        self._to_store.clear()
        for frame in self._newest.go_ahead():
            self._enqueue(replace(frame, flags=frame.flags | np.uint16(Flag.REPLAYED)), self._next_ticket(frame))
        self._looks = 0
        self._room.set()

    # ── live ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _send_live(self) -> None:
        while True:
            await self._work.wait()
            self._gathering.leaves()
            while self._queue:
                # From here on they are owed an answer for: nothing may be in neither place while others are sent.
                self._unconfirmed.update((id(item), item) for item in self._queue)
                waiting = [*self._queue]
                self._queue.clear()
                for lot in lots(waiting):
                    if self.line is Line.AWAY:
                        # It went away meanwhile, and what it was owed for then is stored.
                        for item in lot:
                            self._leave(item)
                    else:
                        await self._hand_over(lot)
            self._work.clear()

    async def _hand_over(self, lot: list[Live]) -> None:
        first = lot[0]
        raw = first.raw if len(lot) == 1 else encode_bundle(first.frame.area, [item.raw for item in lot])
        try:
            future = asyncio.ensure_future(await self._send(first.frame, raw))
        except GridfuseError as exc:
            self._refused(lot, exc)
        else:
            # Nobody waits for this one record: the transport holds back whoever sends too much.
            future.add_done_callback(partial(self._answered, lot))

    def _answered(self, lot: list[Live], future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            self._refused(lot, None)
            return
        if (exc := future.exception()) is not None:
            self._refused(lot, exc)
            return
        for item in lot:
            item.done = True
            self._leave(item)
            if item.stored and item.ticket is not None:
                self._arrived.add((item.frame.area, item.ticket.nth))
            self._settle(item.frame)
        self._came_back()

    def _refused(self, lot: list[Live], exc: BaseException | None) -> None:
        # Still among those owed an answer for: they are stored in their turn.
        self._go_away("frames were given up" if exc is None else f"{exc!r}")
        for item in lot:
            self._leave(item)

    def _leave(self, item: Live) -> None:
        if self._unconfirmed.pop(id(item), None) is not None:
            self._bytes -= len(item.raw)

    def _settle(self, frame: TelemetryFrame) -> None:
        if frame.accounts is not None:
            try:
                self.spool.settle(frame.accounts)
            except SpoolError as exc:
                self._disk_refused(exc)

    async def _watch(self) -> None:
        waits: Live | None = None
        while True:
            await asyncio.sleep(_LOOK_S)
            first = next(iter(self._unconfirmed.values()), None) or next(iter(self._queue), None)
            # Looks are counted, not seconds: a process that was held up itself has not waited for anybody.
            self._looks = self._looks + 1 if first is not None and first is waits else 0
            waits = first
            if self._looks * _LOOK_S > self.pace.away_after_s:
                self._looks = 0
                self._go_away(f"no answer for {self.pace.away_after_s:g} s")
            try:
                if self.line is Line.AWAY:
                    self._store_rest()
                    self._room.set()
                self.spool.tidy()
            except SpoolError as exc:
                self._disk_refused(exc)

    # ── the backlog ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _replay(self) -> None:
        while True:
            if self.line is Line.AWAY:
                if not self._unconfirmed and not self._tried:
                    await self._try_one()
                await asyncio.sleep(_LOOK_S if self._unconfirmed or self._tried else _TRY_EVERY_S)
            elif self.line is Line.UP:
                self._not_up.clear()
                await self._not_up.wait()
            elif (self._queue and self._work.is_set()) or any(item.stored for item in self._unconfirmed.values()):
                # Live frames go first; and of those that are in the spool too, it is soon known which have arrived.
                await asyncio.sleep(_LOOK_S / 20)
            else:
                await self._send_some()

    async def _try_one(self) -> None:
        """Send one frame of those that wait, to see whether the stream side is back; where none waits, the next live one shows it."""
        if batch := self.spool.batch(1, 1):
            back = await self._sent(batch)
            first = batch[0].frame
            if not back and self._said_no and first is not None:
                # Perhaps it is not away, but refuses this one frame, and would for ever: what carries nothing tells.
                back = await takes(self._send, self.pace.away_after_s, heartbeat(_SOURCE, first.area, 0, first.ts_ingest_ns))
                # Once more: it may have been away until just now.
                if back and not await self._sent(batch):
                    back = self._said_no
                    if back:
                        self._give_up(batch[0])
            if back:
                await self._note_sent()
                self.spool.again()
                self._came_back()
            return
        item = next((item for item in self._to_store if item.ticket is not None and not item.done), None)
        if item is None:
            self._came_back()
        else:  # the disk takes nothing either
            self._bytes += len(item.raw)
            self._unconfirmed[id(item)] = item
            await self._hand_over([item])

    def _give_up(self, refused: Backlogged) -> None:
        if refused.frame is not None:
            where = {"device": refused.frame.source, "area": refused.frame.area, "seq": refused.frame.seq, "reason": self.why}
            what = "%s: frame %d is not taken, others are; its samples are lost"
            _log.error(what, refused.frame.source, refused.frame.seq, extra=where)
            try:
                self.spool.give_up(refused, LostReason.NOT_TAKEN)
            except SpoolError as exc:
                self._disk_refused(exc)
        self._ends[refused.priority] = max(refused.end, self._ends.get(refused.priority, 0))

    async def _send_some(self) -> None:
        began_s = time.monotonic()
        batch = self.spool.batch(max(1, int(self.pace.replay_per_s * _BATCH_S)), _BATCH_FRAMES_MAX)
        if not batch:
            await self._note_sent()
            if self.line is Line.CATCHING_UP and not self.spool.waiting_bytes():
                self.line = Line.UP
                self._arrived.clear()
                self._overtaken.clear()
                self._newest.forget()
            else:
                self.spool.again()
                await asyncio.sleep(_LOOK_S)
            return
        samples = sum(0 if each.frame is None else len(each.frame) for each in batch)
        if await self._sent(batch):
            if time.monotonic() - self._noted_s > _NOTE_EVERY_S:
                await self._note_sent()
            await asyncio.sleep(max(0.0, samples / self.pace.replay_per_s - (time.monotonic() - began_s)))

    async def _sent(self, batch: list[Backlogged]) -> bool:
        """Send frames of the backlog; whether all of them are durable."""
        answers: list[asyncio.Future[Any]] = []
        samples = 0
        self._said_no = False
        self._overtaken.look()
        frames = [frame for frame in map(self._still_to_send, batch) if frame is not None]
        why = f"no answer for {self.pace.away_after_s:g} s"
        try:
            async with asyncio.timeout(self.pace.away_after_s):
                for frame in frames:
                    answers.append(asyncio.ensure_future(await self._send(frame, encode_frame(self._as_it_is(frame)))))
                    samples += len(frame)
                if answers:
                    await asyncio.wait(answers)
        except TimeoutError:
            pass
        except GridfuseError as exc:
            why = str(exc)
            self._said_no = True
        failed = [answer.exception() for answer in answers if answer.done() and not answer.cancelled() and answer.exception() is not None]
        for answer in answers:
            if not answer.done():
                self._tried.add(answer)
                answer.add_done_callback(self._tried_answered)
        self.samples_in += samples
        self._said_no |= bool(failed)
        if failed or self._tried or len(answers) < len(frames):
            self._overtaken.doubt(zip(frames, answers, strict=False))
            self._go_away(f"{failed[0]!r}" if failed else why)
            self.spool.again()
            return False
        self.replayed += samples
        for each in batch:
            self._ends[each.priority] = max(each.end, self._ends.get(each.priority, 0))
            if each.frame is not None:
                self._settle(each.frame)
        return True

    def _still_to_send(self, each: Backlogged) -> TelemetryFrame | None:
        """Return what of a frame of the backlog did not go another way."""
        frame = each.frame
        if frame is None or frame.ticket is None:
            return frame
        if frame.ticket.run == self._run and (frame.area, frame.ticket.nth) in self._arrived:
            return None
        if frame in self._overtaken:
            frame = replace(frame, ticket=None)  # rather taken twice than lost
        if frame.accounts is not None:
            return frame
        rest = self._newest.without(frame)
        return rest if len(rest) else None

    def _tried_answered(self, answer: asyncio.Future[Any]) -> None:
        self._tried.discard(answer)
        if not answer.cancelled() and answer.exception() is None:
            self._came_back()

    async def _note_sent(self) -> None:
        ends, self._ends = self._ends, {}
        self._noted_s = time.monotonic()
        if not ends:
            return
        try:
            await asyncio.to_thread(self.spool.sent, ends)
            self.spool.tidy()
        except SpoolError as exc:
            self._disk_refused(exc)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def stop(self, within_s: float = 1.0) -> None:
        """Send what waits in memory, spool what is not taken in time, and close the spool."""
        self._work.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._tasks and self.line is not Line.AWAY and (self._queue or self._unconfirmed):
                    await asyncio.sleep(0.01)
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._note_sent()
        if self._queue or self._unconfirmed:
            self._go_away("the process is stopped")
        with contextlib.suppress(SpoolError):
            self._store_rest()
        if left := sum(len(item.frame) for item in self._to_store if not item.done):
            _log.error("%d samples are lost with the end of the process: neither the stream side nor the disk took them", left)
        await asyncio.to_thread(self.spool.close)
