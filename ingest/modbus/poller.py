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

A Modbus device has no clock: the source time of a block is the middle between request and reply, marked as an estimate.

A block refused with exception 2 or 3 is halved until the point at fault stands alone. What was learned holds for the life of the
process, unless it condemns every point: then the device, not the list, is at fault, and the plan starts afresh.

Absent on purpose: repeating within a period. The next period is the retry; a device that stays silent is asked less often, so that
one dead unit does not hold up the others on its line.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.backoff import Backoff
from ingest.clock import Clock
from ingest.devices import Kind, ModbusDevice, ModbusPoint
from ingest.errors import DeviceError, DeviceRefused, DeviceSilent
from ingest.frame import point_id
from ingest.modbus.decode import BlockDecoder, coil_value, register_bytes, spans_of
from ingest.modbus.frames import ExceptionCode, read_request, write_coils_request, write_registers_request
from ingest.modbus.link import ModbusLink
from ingest.modbus.plan import Block, plan_blocks, split
from ingest.quality import BAD_CONFIGURATION_ERROR, BAD_NO_COMMUNICATION, Flag
from ingest.qualitymap import exception_quality
from ingest.source import Source
from market.units import NS_PER_S

__all__ = ["ModbusPoller", "exception_quality"]

_log: Final = logging.getLogger(__name__)

_HALVED: Final = frozenset({ExceptionCode.ILLEGAL_ADDRESS, ExceptionCode.ILLEGAL_VALUE})
_ABSENT: Final = frozenset({ExceptionCode.GATEWAY_PATH, ExceptionCode.GATEWAY_TARGET})
"""What a gateway answers for a device behind it that does not."""

_ESTIMATED: Final = np.uint16(Flag.TS_ESTIMATED)
_SPREAD_NS: Final = NS_PER_S
"""First polls are spread over this much event time, so that a thousand devices are not asked at once."""


class _Reader:
    """One block: what asks for it, and what decodes the answer."""

    __slots__ = ("decoder", "request")

    def __init__(self, unit_id: int, block: Block, points: list[ModbusPoint]) -> None:
        self.request = read_request(unit_id, block.kind, block.address, block.count)
        self.decoder = BlockDecoder(block, points)

    @property
    def ids(self) -> NDArray[np.uint64]:
        return self.decoder.ids

    def __str__(self) -> str:
        block = self.decoder.block
        return f"{block.kind} {block.address}" + (f"..{block.address + block.count - 1}" if block.count > 1 else "")


@dataclass(slots=True)
class _Group:
    """The points of one period: how they are read now, and which of them the device refuses."""

    unit_id: int
    period_ns: int
    points: list[ModbusPoint]
    due_ns: int = 0
    readers: list[_Reader] = field(default_factory=list)
    condemned: list[NDArray[np.uint64]] = field(default_factory=list)

    def plan(self) -> None:
        self.readers = [_Reader(self.unit_id, block, self.points) for block in plan_blocks(spans_of(self.points))]
        self.condemned = []

    def halve(self, reader: _Reader) -> list[_Reader]:
        """Read a refused block as two from now on; empty where one point is left, which is condemned."""
        halves = split(reader.decoder.block)
        place = self.readers.index(reader)
        if halves is None:
            del self.readers[place]
            self.condemned.append(reader.ids)
            return []
        parts = [_Reader(self.unit_id, half, self.points) for half in halves]
        self.readers[place : place + 1] = parts
        return parts


@dataclass(frozen=True, slots=True)
class _Part:
    """What became of one block: columns (n,), and one source time."""

    ids: NDArray[np.uint64]
    ts_event_ns: int
    values: NDArray[np.float64]
    quality: NDArray[np.uint32]


class ModbusPoller:
    """Polls one device for as long as :meth:`run` runs.

    Args:
        link: the connection, which other devices may share.
        source: takes what was read.
        clock: event time; a period of P at speed N is P/N of wall time.
    """

    def __init__(self, device: ModbusDevice, link: ModbusLink, source: Source, clock: Clock) -> None:
        self._device = device
        self._link = link
        self._source = source
        self._clock = clock
        self._backoff = Backoff(speed=clock.speed)
        self._rest_quality = BAD_NO_COMMUNICATION
        self._groups: list[_Group] = []
        for period_ns in sorted({point.period_ns for point in device.points}):
            group = _Group(device.unit_id, period_ns, [point for point in device.points if point.period_ns == period_ns])
            group.plan()
            self._groups.append(group)

    async def run(self) -> None:
        """Poll until cancelled."""
        start_ns = self._clock.now_ns() + point_id(self._device.name) % min(_SPREAD_NS, self._groups[0].period_ns)
        for group in self._groups:
            group.due_ns = start_ns
        while True:
            await self._clock.sleep_until(min(group.due_ns for group in self._groups))
            now_ns = self._clock.now_ns()
            due = [group for group in self._groups if group.due_ns <= now_ns]
            await self._poll(due)
            now_ns = self._clock.now_ns()
            for group in due:
                missed = (now_ns - group.due_ns) // group.period_ns
                self._source.skipped += missed
                group.due_ns += (missed + 1) * group.period_ns

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

    async def _poll(self, due: Iterable[_Group]) -> None:
        """Read every block that is due and publish what became of each."""
        pending = deque((group, reader) for group in due for reader in group.readers)
        parts = [self._bad(ids, BAD_CONFIGURATION_ERROR) for group in due for ids in group.condemned]
        silence: DeviceError | None = None
        rests = self._backoff.left_s > 0
        answered = False
        while pending:
            group, reader = pending.popleft()
            if rests or silence is not None:
                parts.append(self._bad(reader.ids, self._rest_quality if rests else BAD_NO_COMMUNICATION))
                continue
            try:
                parts.append(await self._read(reader))
                answered = True
            except DeviceSilent as exc:
                silence = exc
                parts.append(self._bad(reader.ids, BAD_NO_COMMUNICATION))
            except DeviceRefused as exc:
                self._source.refuse(f"exception {exc.code}", str(reader))
                if exc.code in _ABSENT:
                    silence = exc
                else:
                    answered = True
                halves = group.halve(reader) if exc.code in _HALVED else []
                if halves:
                    pending.extendleft((group, half) for half in reversed(halves))
                    continue
                if exc.code in _HALVED:
                    _log.warning("%s: %s is not there; its point stays bad", self._device.name, reader, extra={"device": self._device.name})
                parts.append(self._bad(reader.ids, exception_quality(exc.code)))
        if not rests:
            self._conclude(answered, silence)
        self._publish(parts)

    async def _read(self, reader: _Reader) -> _Part:
        asked_ns = self._clock.now_ns()
        data = await self._link.exchange(reader.request, self._source, self._device.timeout_s)
        values, quality = reader.decoder.decode(data)
        return _Part(reader.ids, (asked_ns + self._clock.now_ns()) // 2, values, quality)

    def _bad(self, ids: NDArray[np.uint64], quality: int) -> _Part:
        n = len(ids)
        return _Part(ids, self._clock.now_ns(), np.full(n, np.nan), np.full(n, quality, dtype=np.uint32))

    def _conclude(self, answered: bool, silence: DeviceError | None) -> None:
        """Draw from a poll whether the device is there, and whether to leave it alone for a while."""
        barren = not any(group.readers for group in self._groups)
        if answered:
            self._source.polls += 1
            self._source.heard()
        elif silence is not None:
            self._source.unavailable(str(silence).removeprefix(f"{self._device.name}: "))
        if barren:
            for group in self._groups:
                group.plan()
            self._rest(BAD_CONFIGURATION_ERROR)
        elif answered:
            self._backoff.succeeded()
        elif self._link.is_open:
            self._rest(BAD_NO_COMMUNICATION)

    def _rest(self, quality: int) -> None:
        """Leave the device alone for a while; its points have this quality meanwhile."""
        self._backoff.failed()
        self._rest_quality = quality

    def _publish(self, parts: list[_Part]) -> None:
        if not parts:
            return
        first = parts[0]
        sizes = [len(part.ids) for part in parts]
        if len(parts) == 1:
            ids, values, quality = first.ids, first.values, first.quality
            ts_event_ns = np.full(sizes[0], first.ts_event_ns, dtype=np.int64)
        else:
            ids = np.concatenate([part.ids for part in parts])
            values = np.concatenate([part.values for part in parts])
            quality = np.concatenate([part.quality for part in parts])
            ts_event_ns = np.repeat(np.array([part.ts_event_ns for part in parts], dtype=np.int64), sizes)
        self._source.publish(ids, ts_event_ns, values, quality, np.full(len(ids), _ESTIMATED, dtype=np.uint16))
