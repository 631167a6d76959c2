"""How are a device's points read: in which blocks, around what it has taught, and what becomes of a block it refuses?

A :class:`ReadPlan` holds the points of a device by period, and for each period the readers of its blocks. A refused block is halved in
place, and what the halves teach (:mod:`ingest.modbus.lessons`) is planned around.

Values in, values out: no clock, no connection.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.devices import ClockRegister, Kind, ModbusDevice, ModbusPoint
from ingest.frame import point_id
from ingest.modbus.companions import Companions, companion_spans
from ingest.modbus.cost import RoundTrips
from ingest.modbus.decode import BlockDecoder, spans_of
from ingest.modbus.exchange import Exchange
from ingest.modbus.frames import BITS_MAX, REGISTERS_MAX, Request, read_request
from ingest.modbus.lessons import Lessons, Suspicion
from ingest.modbus.plan import Barred, Block, Span, plan_blocks, split
from ingest.quality import Flag

__all__ = ["Group", "ReadPlan", "Reader"]

_ESTIMATED: Final = np.uint16(Flag.TS_ESTIMATED)

_REVIEW_POLLS: Final = 100
"""Polls after which what round trips cost is looked at again."""


class Reader:
    """One block: what asks for it, what decodes the answer, and what it would teach.

    Attributes:
        flags: (n,) uint16, of every sample it gives.
        doubt: the refused block of which this is one half, while it is not known where its fault lies.
        probe: the point that was not there, and is asked for once more; else empty.
        tries: times it was put off as busy in this poll.
    """

    __slots__ = ("decoder", "doubt", "exchange", "flags", "group", "probe", "tries")

    def __init__(self, group: Group, block: Block, exchange: Exchange, companions: Companions, clock: ClockRegister | None) -> None:
        self.group = group
        self.exchange = exchange
        self.decoder = BlockDecoder(block, group.points, companions, clock)
        self.doubt: Suspicion | None = None
        self.probe = ""
        self.tries = 0
        self.flags: NDArray[np.uint16] = np.full(len(self.decoder.ids), _ESTIMATED, dtype=np.uint16)
        self.flags.flags.writeable = False

    @property
    def ids(self) -> NDArray[np.uint64]:
        """(n,) uint64, its points."""
        return self.decoder.ids

    def __str__(self) -> str:
        block = self.decoder.block
        return f"{block.kind} {block.address}" + (f"..{block.end - 1}" if block.count > 1 else "")


@dataclass(slots=True, eq=False)
class Group:
    """The points of one period, and how they are read now.

    Attributes:
        spans: where the points lie, and behind them what else is read for them (:mod:`ingest.modbus.companions`).
        due_ns: event time of its next poll.
        absent: (k,) uint64, the points that are not there.
        lacks: whether anything is not there, be it a point or what speaks for points.
    """

    period_ns: int
    points: list[ModbusPoint]
    spans: list[Span]
    due_ns: int = 0
    readers: list[Reader] = field(default_factory=list)
    absent: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    lacks: bool = False

    def name(self, span: Span) -> str:
        """Return what lies there, and where: of a point that is moved in the list nothing is known."""
        where = f"{span.kind} {span.address}"
        return f"{self.points[span.row].name} at {where}" if span.row < len(self.points) else where


class ReadPlan:
    """How one device is read.

    Args:
        lessons: what the device has taught before; it is kept up to date.
        exchange: makes what asks for a block.

    Attributes:
        groups: by period, the shortest first.
        changed: whether the device has taught something since :meth:`lay_out`.
    """

    def __init__(self, device: ModbusDevice, lessons: Lessons, exchange: Callable[[Request], Exchange]) -> None:
        self._device = device
        self._exchange = exchange
        self._companions = Companions()
        self.lessons = lessons
        self._trips = RoundTrips()
        self._hole_max = self._trips.hole_max()
        self._polls = 0
        self.changed = False
        self.groups: list[Group] = []
        for period_ns in sorted({point.period_ns for point in device.points}):
            points = [point for point in device.points if point.period_ns == period_ns]
            self.groups.append(Group(period_ns, points, [*spans_of(points), *companion_spans(points, device.clock)]))
        self.lay_out()

    def lay_out(self) -> None:
        """Lay out the blocks, around what the device has taught."""
        manners, lessons = self._device.manners, self.lessons
        given = lessons.longest
        registers_max = min(manners.registers_max, *(given.get(kind, REGISTERS_MAX) for kind in (Kind.HOLDING, Kind.INPUT)))
        bits_max = min(given.get(kind, BITS_MAX) for kind in (Kind.COIL, Kind.DISCRETE))
        for group in self.groups:
            absent = [span for span in group.spans if group.name(span) in lessons.absent]
            blocks = plan_blocks(
                [span for span in group.spans if group.name(span) not in lessons.absent],
                registers_max=registers_max,
                bits_max=bits_max,
                hole_max=self._hole_max if manners.hole_max is None else manners.hole_max,
                gaps=lessons.gaps | {Barred(span.kind, span.address, span.end) for span in absent},
                one_by_one=manners.one_point_per_request,
            )
            readers = [self._reader(group, block) for block in blocks]
            # What tells how others are to be read is read before them.
            group.readers = sorted(readers, key=lambda reader: not reader.decoder.tells)
            points = [group.points[span.row].name for span in absent if span.row < len(group.points)]
            group.absent = np.array([point_id(name) for name in points], dtype=np.uint64)
            group.lacks = bool(absent)
        self.changed = False

    @property
    def is_barren(self) -> bool:
        """Whether nothing is left to read."""
        return not any(group.readers for group in self.groups)

    def _reader(self, group: Group, block: Block) -> Reader:
        request = read_request(self._device.unit_id, block.kind, block.address, block.count)
        return Reader(group, block, self._exchange(request), self._companions, self._device.clock)

    def absentees(self, group: Group, doubted: Collection[str]) -> tuple[NDArray[np.uint64], list[Reader]]:
        """Return the points of a group that are not there, and readers of those among them that are to be asked for once more.

        Args:
            doubted: names of points.

        Returns:
            (k,) uint64 points that are not asked for; the readers of the others.
        """
        probes: list[Reader] = []
        for span in group.spans if doubted else ():
            name = group.name(span)
            if name in doubted:
                probe = self._reader(group, Block(span.kind, span.address, span.size, (span,)))
                probe.probe = name
                probes.append(probe)
        if not probes:
            return group.absent, probes
        return group.absent[~np.isin(group.absent, np.concatenate([probe.ids for probe in probes]))], probes

    def answered(self, reader: Reader, took_s: float | None, now_ns: int) -> None:
        """Learn from a block that was read.

        Args:
            took_s: its round trip, where it had the line to itself.
        """
        if took_s is not None and not reader.decoder.block.kind.is_bits:
            self._trips.add(reader.decoder.block.count, took_s)
        if reader.probe and self.lessons.there(reader.probe):
            self.changed = True
        if reader.doubt is not None:
            reader.doubt.answered += 1
            if reader.doubt.answered == 2:
                self.lessons.both_answered(reader.doubt, now_ns)
                self.changed = True
            reader.doubt = None

    def halve(self, reader: Reader, now_ns: int) -> list[Reader]:
        """Read a refused block as two from now on; empty where one point is left, which is then not there."""
        block, group = reader.decoder.block, reader.group
        halves = None if reader.probe else split(block)
        if halves is None:
            self.lessons.refused(group.name(block.spans[0]), now_ns)
            self.changed = True
            if reader in group.readers:
                group.readers.remove(reader)
            return []
        parts = [self._reader(group, half) for half in halves]
        doubt = Suspicion(*halves)
        for part in parts:
            part.doubt = doubt
        place = group.readers.index(reader)
        group.readers[place : place + 1] = parts
        return parts

    def review(self, now_ns: int) -> bool:
        """Plan anew, after a poll, where there is reason to; returns whether the device has taught something."""
        self.changed = self.lessons.forget_old(now_ns) or self.changed
        taught = self.changed
        self._polls += 1
        if self._polls % _REVIEW_POLLS == 0 and (hole_max := self._trips.hole_max()) != self._hole_max:
            self._hole_max = hole_max
            self.changed = True
        if self.changed:
            self.lay_out()
        return taught
