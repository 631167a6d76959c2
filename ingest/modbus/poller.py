"""What did the device say this period, point by point?

A poller asks one device for the blocks that are due, on the event clock, and publishes one frame per poll. Every point that was
due is in it: with its value, or with a bad quality that says why there is none. Silence is thus visible from the first missed
period on, and a value that could not be read is never the last one repeated.

=====================================  ========================================================
what happened                          quality
=====================================  ========================================================
a reply that answers the request       Good; Bad_DataUnavailable for NaN and infinity
exception 1, 2, 3 or 7                 Bad_ConfigurationError: the point list is wrong for it
exception 5, 6, 10, 11                 Bad_NoCommunication
any other exception                    Bad_DeviceFailure
no reply, no connection, a reply       Bad_NoCommunication
that does not answer the request
=====================================  ========================================================

Most Modbus devices have no clock: the source time of a block is then the middle between request and reply, marked as an estimate. What a
device's own clock says counts as far as it can be believed (:mod:`ingest.sourcetime`).

A block refused with exception 2 or 3 is halved until the point at fault stands alone; what that teaches is planned around from then on
(:mod:`ingest.modbus.lessons`), unless it condemns every point: then the device, not the list, is at fault. A device that says it is
busy is asked twice more, after a tenth of a second each.

A poller is called when it is due and when an exchange ends (:mod:`ingest.turns`, :mod:`ingest.modbus.link`); it runs no task.

Absent on purpose: repeating within a period what was not answered. The next period is the retry; a device that stays silent is asked less
often, so that one dead unit does not hold up the others on its line.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.backoff import Backoff
from ingest.devices import Kind, ModbusDevice, ModbusPoint
from ingest.errors import DeviceError, DeviceLate, DeviceRefused
from ingest.frame import point_id
from ingest.modbus.attributes import attribute_spans, texts
from ingest.modbus.decode import coil_value, register_bytes
from ingest.modbus.deviceclock import carried
from ingest.modbus.exchange import Exchange, Link
from ingest.modbus.frames import ExceptionCode, Request, read_request, write_coils_request, write_registers_request
from ingest.modbus.layout import layout_of_blocks
from ingest.modbus.lessons import Lessons
from ingest.modbus.plan import Block, plan_blocks
from ingest.modbus.pollstate import Part, Poll
from ingest.modbus.reading import Group, Reader, ReadPlan
from ingest.modbus.steady import POLLS_IN_A_ROW, Harvest, SteadyPoll
from ingest.modbus.steadyround import SteadyRound
from ingest.quality import BAD_CONFIGURATION_ERROR, BAD_NO_COMMUNICATION, Flag
from ingest.qualitymap import exception_quality
from ingest.source import Source
from ingest.sourcetime import NO_TIME, clock_off_ns, settle_source_times
from ingest.turns import Turns
from market.units import NS_PER_H, NS_PER_MIN, NS_PER_MS, NS_PER_S

__all__ = ["ModbusPoller", "exception_quality"]

_log: Final = logging.getLogger(__name__)

_HALVED: Final = frozenset({ExceptionCode.ILLEGAL_ADDRESS, ExceptionCode.ILLEGAL_VALUE})
_ABSENT: Final = frozenset({ExceptionCode.GATEWAY_PATH, ExceptionCode.GATEWAY_TARGET})
"""What a gateway answers for a device behind it that does not."""

_LATER: Final = frozenset({ExceptionCode.ACKNOWLEDGE, ExceptionCode.BUSY})
_BUSY_WAIT_NS: Final = 100 * NS_PER_MS
_BUSY_TRIES: Final = 2

_ESTIMATED: Final = np.uint16(Flag.TS_ESTIMATED)
_SPREAD_NS: Final = NS_PER_S
"""First polls are spread over this much event time, so that a thousand devices are not asked at once."""

_NEVER_NS: Final = 2**63
_ATTRIBUTES_EVERY_NS: Final = NS_PER_H
_ATTRIBUTES_AGAIN_NS: Final = NS_PER_MIN
"""Event time between two readings of the texts a device keeps about itself; and where one failed."""


class ModbusPoller:
    """Polls one device, from :meth:`start` to :meth:`stop`.

    Args:
        link: the connection, which other devices may share.
        source: takes what was read.
        turns: event time (a period of P at speed N is P/N of wall time), and who calls when a poll is due.
        lessons: what the device has taught before; it is kept up to date.
        learned: called when ``lessons`` changed.
        harvest: decodes what many devices answered together; None for one of its own.
    """

    def __init__(
        self,
        device: ModbusDevice,
        link: Link,
        source: Source,
        turns: Turns,
        lessons: Lessons | None = None,
        learned: Callable[[], None] = lambda: None,
        harvest: Harvest | None = None,
    ) -> None:
        self._device = device
        self._link = link
        self._source = source
        self._turns = turns
        self._clock = turns.clock
        self._backoff = Backoff(speed=turns.clock.speed)
        self._faults = Backoff(first_s=1.0)
        self._rest_quality = BAD_NO_COMMUNICATION
        self._learned = learned
        self._plan = ReadPlan(device, lessons if lessons is not None else Lessons(), self._exchange)
        self._poll: Poll | None = None
        self._harvest = harvest if harvest is not None else Harvest(turns.clock)
        self._steady: SteadyPoll | SteadyRound | None = None
        self._round: SteadyRound | None = None
        self._running = False
        self._attributes_ns = 0 if device.attributes else _NEVER_NS
        self._has_counters = any(point.checks is not None and point.checks.counter is not None for point in device.points)

    def _exchange(self, request: Request) -> Exchange:
        return Exchange(request, self._source, self._device.timeout_s, self._nobody_s)

    def _nobody_s(self, exchange: Exchange, outcome: bytes | DeviceError, now_ns: int) -> None:
        """Take the end of an exchange of no poll of ours."""

    def start(self) -> None:
        """Begin to poll."""
        self._running = True
        start_ns = self._clock.now_ns() + point_id(self._device.name) % min(_SPREAD_NS, self._plan.groups[0].period_ns)
        for group in self._plan.groups:
            group.due_ns = start_ns
        self._turns.at_event(start_ns, self._begin)

    def stop(self) -> None:
        """Poll no more; what is under way is not published."""
        self._running = False
        self._abandon()

    async def write(self, point: ModbusPoint, value: float) -> None:
        """Write a set-point, once.

        Args:
            value: engineering units, within the point's range.

        Raises:
            UnitError: the value cannot be written to this point.
            DeviceSilent: it is not known whether the device took it.
            DeviceRefused: it did not.
        """
        unit_id = self._device.unit_id
        if point.kind is Kind.COIL:
            request = write_coils_request(unit_id, point.address, [coil_value(point, value)])
        else:
            request = write_registers_request(unit_id, point.address, register_bytes(point, value))
        await self._link.exchange(request, self._source, self._device.timeout_s)

    # ---- one poll -----------------------------------------------------------------------------------------------------------

    def _begin(self, now_ns: int) -> None:
        """Read every block that is due."""
        steady = self._steady
        if not self._running or self._poll is not None or (steady is not None and steady.is_out):
            return
        try:
            if steady is not None and now_ns < self._attributes_ns and steady.begin(now_ns):
                return
            due = [group for group in self._plan.groups if group.due_ns <= now_ns]
            if not due:
                return  # a call from before it was stopped and started again
            poll = self._poll = Poll(due, rests=self._backoff.left_s > 0)
            for group in due:
                poll.pending.extend(group.readers)
            self._absentees(poll, now_ns)
            if now_ns >= self._attributes_ns and not poll.rests:
                self._ask_about(now_ns)
            self._ask(poll, now_ns)
        except Exception:
            self.fault()

    def _ask_about(self, now_ns: int) -> None:
        """Ask the device for the texts it keeps about itself, beside the poll: they are no samples."""
        self._attributes_ns = now_ns + _ATTRIBUTES_EVERY_NS
        attributes = self._device.attributes
        for block in plan_blocks(attribute_spans(attributes)):
            request = read_request(self._device.unit_id, block.kind, block.address, block.count)
            exchange = Exchange(request, self._source, self._device.timeout_s, partial(self._told_about, block))
            if (refused := self._link.submit(exchange)) is not None:
                self._told_about(block, exchange, refused, now_ns)

    def _told_about(self, block: Block, exchange: Exchange, outcome: bytes | DeviceError, now_ns: int) -> None:
        if isinstance(outcome, bytes):
            self._source.attributes |= texts(block, self._device.attributes, outcome)
            return
        self._attributes_ns = min(self._attributes_ns, now_ns + _ATTRIBUTES_AGAIN_NS)
        if isinstance(outcome, DeviceRefused):
            self._source.refuse(f"exception {outcome.code}", f"attributes at {block.kind} {block.address}")

    def _absentees(self, poll: Poll, now_ns: int) -> None:
        """Say of the points that are not there that they are not; ask for those once more that were refused long ago."""
        doubted = set(self._plan.lessons.doubted(now_ns)) if self._plan.lessons.absent and not poll.rests else set()
        for group in poll.due:
            if group.lacks:
                ids, probes = self._plan.absentees(group, doubted)
                poll.pending.extend(probes)
                if len(ids):
                    poll.parts.append(self._bad(ids, BAD_CONFIGURATION_ERROR))

    def _ask(self, poll: Poll, now_ns: int) -> None:
        """Hand in as many requests as the link bears at a time; end the poll where none is left."""
        if poll.rests:
            self._give_up(poll, self._rest_quality)
        # One more than the link bears: that one waits shows it that more could be on their way.
        while poll.pending and len(poll.asked) <= self._link.depth:
            reader = poll.pending.popleft()
            reader.exchange.done = partial(self._done, reader)
            poll.asked.append(reader)
            refused = self._link.submit(reader.exchange)
            if refused is not None:
                poll.asked.remove(reader)
                poll.pending.appendleft(reader)
                self._silent(poll, refused)
                break
        if not (poll.asked or poll.pending or poll.put_off):
            self._end(poll, now_ns)

    def _done(self, reader: Reader, exchange: Exchange, outcome: bytes | DeviceError, now_ns: int) -> None:
        """Take what became of a request."""
        poll = self._poll
        if poll is None or reader not in poll.asked:
            return  # of a poll that was given up
        try:
            poll.asked.remove(reader)
            if isinstance(outcome, bytes):
                self._answered(poll, reader, outcome, now_ns)
            elif isinstance(outcome, DeviceRefused):
                self._refused(poll, reader, outcome, now_ns)
            else:
                poll.parts.append(self._unread(reader, BAD_NO_COMMUNICATION))
                self._silent(poll, outcome)
            self._ask(poll, now_ns)
        except Exception:
            self.fault()

    def _answered(self, poll: Poll, reader: Reader, data: bytes, now_ns: int) -> None:
        poll.answered = True
        exchange = reader.exchange
        values, quality = reader.decoder.decode(data)
        raw = reader.decoder.raw_integers(data) if self._has_counters else None
        claimed_ns = NO_TIME if self._device.clock is None else reader.decoder.device_time_ns(data)
        poll.parts.append(Part(reader.ids, (exchange.sent_ns + now_ns) // 2, claimed_ns, values, quality, reader.flags, raw))
        self._plan.answered(reader, exchange.took_ns / NS_PER_S if exchange.took_ns else None, now_ns)

    def _refused(self, poll: Poll, reader: Reader, why: DeviceRefused, now_ns: int) -> None:
        self._source.refuse(f"exception {why.code}", str(reader))
        if why.code in _LATER and reader.tries < _BUSY_TRIES:
            reader.tries += 1
            poll.put_off += 1
            poll.answered = True
            self._turns.after(_BUSY_WAIT_NS, partial(self._again, poll, reader))
            return
        if why.code in _ABSENT:
            poll.parts.append(self._unread(reader, exception_quality(why.code)))
            self._silent(poll, why)
            return
        poll.answered = True
        if why.code in _HALVED:
            halves = self._plan.halve(reader, now_ns)
            poll.pending.extendleft(reversed(halves))
            if halves:
                return
            if not reader.probe:
                _log.warning("%s: %s is not there; its point stays bad", self._device.name, reader, extra={"device": self._device.name})
        poll.parts.append(self._unread(reader, exception_quality(why.code)))

    def _again(self, poll: Poll, reader: Reader, _: int) -> None:
        """Ask a device once more that said it was busy."""
        if poll is not self._poll:
            return
        try:
            poll.put_off -= 1
            poll.pending.append(reader)
            if poll.silence is not None:
                self._give_up(poll, BAD_NO_COMMUNICATION)  # it fell silent meanwhile
            self._ask(poll, self._clock.now_ns())
        except Exception:
            self.fault()

    def _silent(self, poll: Poll, why: DeviceError) -> None:
        """The device does not answer: ask it nothing more in this poll."""
        poll.silence = why
        withdrawn = [reader for reader in poll.asked if self._link.withdraw(reader.exchange)]
        poll.asked = [reader for reader in poll.asked if reader not in withdrawn]
        poll.pending.extendleft(reversed(withdrawn))
        self._give_up(poll, BAD_NO_COMMUNICATION)

    def _give_up(self, poll: Poll, quality: int) -> None:
        poll.parts += [self._unread(reader, quality) for reader in poll.pending]
        poll.pending.clear()

    def _end(self, poll: Poll, now_ns: int) -> None:
        """Publish, draw conclusions, and be called again when the next poll is due."""
        self._poll = None
        if not poll.rests:
            self._conclude(poll)
        self._publish(poll.parts)
        if not poll.rests and self._plan.review(now_ns):
            self._learned()
        for group in poll.due:
            for reader in group.readers:
                reader.tries = 0
            self._due_next(group, now_ns)
        self._steady = self._short_way() if poll.answered and poll.silence is None else None
        self._faults.succeeded()
        if self._device.manners.close_after_poll:
            self._link.rest()
        groups = self._plan.groups
        self._turns.at_event(groups[0].due_ns if len(groups) == 1 else min(group.due_ns for group in groups), self._begin)

    def _due_next(self, group: Group, now_ns: int) -> None:
        """Have the points of a group due again: at the next of their periods that is not over yet."""
        group.due_ns += group.period_ns
        if now_ns >= group.due_ns:
            missed = (now_ns - group.due_ns) // group.period_ns + 1
            self._source.skipped += missed
            group.due_ns += missed * group.period_ns

    def _short_way(self) -> SteadyPoll | SteadyRound | None:
        """Return how to poll a device that answers as it should and asks for nothing special; None where it does ask."""
        groups = self._plan.groups
        if len(groups) != 1 or len(groups[0].absent) or self._has_counters or self._device.manners.close_after_poll:
            return None
        readers = groups[0].readers
        if any(reader.doubt is not None or not reader.decoder.is_plain for reader in readers):
            return None
        if len(readers) == 1:
            return SteadyPoll(readers[0], self._link, self._source, self._harvest, self)
        return self._round_of(readers)

    def _round_of(self, readers: Sequence[Reader]) -> SteadyRound | None:
        """Return the short way of several blocks, where the link bears as many requests ahead."""
        if not 1 < len(readers) <= self._link.depth:
            return None
        if self._round is not None and self._round.readers == tuple(readers):
            self._round.left = POLLS_IN_A_ROW
        else:
            layout = layout_of_blocks([(reader.decoder.block, reader.decoder.points) for reader in readers])
            self._round = None if layout is None else SteadyRound(readers, layout, self._link, self._source, self)
        return self._round

    def amiss(self, reader: Reader, why: DeviceError, now_ns: int) -> None:
        """A poll on the short way did not end well: it goes on as one on the long way."""
        poll = self._poll = Poll([reader.group], rests=False)
        poll.asked.append(reader)
        self._done(reader, reader.exchange, why, now_ns)

    def round_amiss(self, told: Sequence[tuple[Reader, bytes, int]], reader: Reader, why: DeviceError, now_ns: int) -> None:
        """A poll of several blocks on the short way did not end well: it goes on as one on the long way."""
        poll = self._poll = Poll([reader.group], rests=False)
        try:
            for read, data, came_ns in told:
                self._answered(poll, read, data, came_ns)
        except Exception:
            self.fault()
            return
        have = {id(read) for read, _, _ in told}
        poll.asked = [each for each in reader.group.readers if id(each) not in have]
        for each in poll.asked:
            each.exchange.done = partial(self._done, each)
        self._done(reader, reader.exchange, why, now_ns)

    def over(self, now_ns: int) -> None:
        """A poll on the short way was published."""
        group = self._plan.groups[0]
        self._due_next(group, now_ns)
        self._turns.at_event(group.due_ns, self._begin)

    def _conclude(self, poll: Poll) -> None:
        """Draw from a poll whether the device is there, and whether to leave it alone for a while."""
        if poll.answered:
            self._source.polls += 1
            self._source.heard()
        elif poll.silence is not None:
            self._source.unavailable(str(poll.silence).removeprefix(f"{self._device.name}: "))
        if self._plan.is_barren:
            self._plan.lessons.forget()
            self._plan.changed = True
            self._rest(BAD_CONFIGURATION_ERROR)
        elif poll.answered:
            self._backoff.succeeded()
        elif self._link.is_open or isinstance(poll.silence, DeviceLate):
            self._rest(BAD_NO_COMMUNICATION)

    def _rest(self, quality: int) -> None:
        """Leave the device alone for a while; its points have this quality meanwhile."""
        self._backoff.failed()
        self._rest_quality = quality

    def _abandon(self) -> None:
        if self._steady is not None:
            self._steady.abandon()
            self._steady = None
        poll, self._poll = self._poll, None
        if poll is not None:
            for reader in poll.asked:
                self._link.withdraw(reader.exchange)

    def fault(self) -> None:
        """A fault of ours stays with its device: begin again after a while."""
        where = {"device": self._source.name, "area": self._source.area}
        _log.exception("%s: its reader failed by a fault of this program; it is started again", self._source.name, extra=where)
        self._source.unavailable("its reader failed; see the log")
        self._abandon()
        self._turns.after(int(self._faults.failed() * NS_PER_S), self._restart)

    def _restart(self, _: int) -> None:
        if self._running:
            try:
                self._plan.lay_out()
                self.start()
            except Exception:
                self.fault()

    def _unread(self, reader: Reader, quality: int) -> Part:
        """Return what there is of a block that was not read."""
        reader.decoder.unread()
        return self._bad(reader.ids, quality)

    def _bad(self, ids: NDArray[np.uint64], quality: int) -> Part:
        n = len(ids)
        return Part(
            ids,
            self._clock.now_ns(),
            NO_TIME,
            np.full(n, np.nan),
            np.full(n, quality, dtype=np.uint32),
            np.full(n, _ESTIMATED, dtype=np.uint16),
        )

    def _publish(self, parts: list[Part]) -> None:
        if not parts:
            return
        first = parts[0]
        sizes = [len(part.ids) for part in parts]
        if len(parts) == 1:
            ids, values, quality, flags = first.ids, first.values, first.quality, first.flags
            ts_event_ns = np.full(sizes[0], first.ts_event_ns, dtype=np.int64)
        else:
            ids = np.concatenate([part.ids for part in parts])
            values = np.concatenate([part.values for part in parts])
            quality = np.concatenate([part.quality for part in parts])
            flags = np.concatenate([part.flags for part in parts])
            ts_event_ns = np.repeat(np.array([part.ts_event_ns for part in parts], dtype=np.int64), sizes)
        off_ns = 0
        if self._device.clock is not None:
            ts_event_ns, flags, off_ns = self._by_its_clock(parts, sizes, ts_event_ns)
        raw: NDArray[np.int64] | None = None
        if self._has_counters:
            # Of a block that was not read there is no good value either, and no count is looked at.
            raw = np.concatenate([np.zeros(len(part.ids), dtype=np.int64) if part.raw is None else part.raw for part in parts])
        self._source.publish(ids, ts_event_ns, values, quality, flags, off_ns, raw)

    def _by_its_clock(
        self, parts: list[Part], sizes: list[int], read_ns: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint16], int]:
        """Return source times (n,) and flags (n,) by the device's own clock, where it can be believed, and how far it is off."""
        now_ns = self._clock.now_ns()
        claimed_ns = np.repeat(carried([part.ts_event_ns for part in parts], [part.claimed_ns for part in parts]), sizes)
        times_ns, flags = settle_source_times(claimed_ns, now_ns)
        # What is estimated is the middle between request and reply, which is better than the instant of publishing.
        times_ns = np.where((flags & _ESTIMATED) != 0, read_ns, times_ns)
        return times_ns, flags, clock_off_ns(claimed_ns, flags, now_ns)
