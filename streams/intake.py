"""Telemetry frames in; last values, and the few facts the breaker needs, out.

One :class:`AreaIntake` per control area keeps the last values of its points (:mod:`streams.lastvalues`) and notices edges: a switch
that moved, a flow that died or revived, control that changed hands, a device that went quiet or came back. At each tick it writes out
a snapshot.

It is a fold over the frames of one partition, ticks and restarts among them: :meth:`AreaIntake.encode` is all it remembers, and what
it gives out after :meth:`AreaIntake.restore` is what it would have given out without the restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.errors import FrameError
from ingest.frame import TelemetryFrame
from ingest.points import PointTable
from ingest.quality import BAD_NO_COMMUNICATION, UNCERTAIN_LAST_USABLE, Flag, is_good
from market.facts import ControlReported, Fact, FlowReported, LoadReported, PointQuality, SwitchReported, SwitchStatus
from market.units import NS_PER_S
from streams.findings import SourceFresh, SourceStale
from streams.image import AreaSnapshot, snapshot_parts
from streams.kpis import SourceHealth
from streams.lastvalues import LastValues

__all__ = ["CLOCK_SOURCE", "AreaIntake", "Taken", "state_offset"]

CLOCK_SOURCE: Final = "@clock"
"""Source name of the heartbeat frames that carry the tick to every area."""

_ALIVE_HYSTERESIS: Final = 2.0
"""A dead flow counts as alive again above this many times the dead threshold, so that noise at the threshold is not news."""

_POSITIONS: Final = {1: SwitchStatus.OPEN, 2: SwitchStatus.CLOSED}
_STATUSES: Final = (SwitchStatus.OPEN, SwitchStatus.CLOSED, SwitchStatus.INTERMEDIATE)
_QUALITIES: Final = (PointQuality.GOOD, PointQuality.UNCERTAIN, PointQuality.BAD, PointQuality.STALE)
_STALE: Final = _QUALITIES.index(PointQuality.STALE)
"""What is told of a switch is kept as one number: place of its status times :data:`_TOLD_BASE`, plus place of its quality."""

_TOLD_BASE: Final = len(_QUALITIES)
_CLOSED_GOOD: Final = _STATUSES.index(SwitchStatus.CLOSED) * _TOLD_BASE
"""What need not be told of a switch that has said nothing yet."""

_NO_EDGE, _SWITCH, _FLOW, _SITE = range(4)


class _Wire(msgspec.Struct):
    v: int
    offset: int
    last: bytes
    seq: int
    began_ns: int | None
    ticked_ns: int
    alive_ns: dict[str, int]
    stale_since_ns: dict[str, int]
    switch_told: dict[int, tuple[SwitchStatus, PointQuality]]
    flow_dead: list[int]
    known: list[int]


_VERSION: Final = 1
_DECODER: Final = msgspec.msgpack.Decoder(_Wire)


class _Offset(msgspec.Struct):
    offset: int


_OFFSET_DECODER: Final = msgspec.msgpack.Decoder(_Offset)


def state_offset(raw: bytes) -> int:
    """Return the offset of the last frame that a state of :meth:`AreaIntake.encode` has taken in."""
    return _OFFSET_DECODER.decode(raw).offset


@dataclass(slots=True)
class Taken:
    """What one frame or tick gave rise to."""

    facts: list[Fact] = field(default_factory=list)
    findings: list[SourceStale | SourceFresh] = field(default_factory=list)
    snapshots: tuple[AreaSnapshot, ...] = ()
    unknown: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, dtype=np.uint64))


class AreaIntake:
    """Last values of one area, and what changed in them.

    Args:
        area: the control area.
        table: its points.
        rating_mw: continuous rating of every branch that has a flow point here, MW.
        dead_flow_pct: loading below which a branch end carries nothing, % of rating.
    """

    def __init__(self, area: str, table: PointTable, rating_mw: Mapping[str, float], dead_flow_pct: float) -> None:
        n = len(table)
        self.area = area
        self.table = table
        self.last = LastValues(table)
        self.offset = -1
        """Offset of the last frame taken in by :meth:`take_in`."""
        self._seq = 0

        self._kind: NDArray[np.uint8] = np.full(n, _NO_EDGE, dtype=np.uint8)
        self._switches: dict[int, tuple[str, str]] = {}
        self._told: NDArray[np.int64] = np.full(n, _CLOSED_GOOD, dtype=np.int64)
        self._flows: dict[int, tuple[str, str]] = {}
        self._dead_below_mw: NDArray[np.float64] = np.zeros(n)
        self._dead: NDArray[np.bool_] = np.zeros(n, dtype=bool)
        self._known: NDArray[np.bool_] = np.zeros(n, dtype=bool)
        """Switches and sites that have said something good before: what they say next is a change."""
        for end in ("from", "to"):
            for element, row in table.named("switch", end):
                self._switches[row] = (element, end)
            for element, row in table.named("branch", f"{end}_mw"):
                if element in rating_mw:
                    self._flows[row] = (element, end)
                    self._dead_below_mw[row] = dead_flow_pct / 100.0 * rating_mw[element]
        self._rating_mw = rating_mw
        self._sites = {row: site for site, row in table.named("site")}
        for kind, rows in ((_SWITCH, self._switches), (_FLOW, self._flows), (_SITE, self._sites)):
            self._kind[list(rows)] = kind
        self._switch_rows = np.array(list(self._switches), dtype=np.int64)
        self._load_rows = np.array([row for _, row in table.named("load", "mw")], dtype=np.int64)

        self._by_device = np.argsort(table.device_of, kind="stable")
        """Rows, device by device; ``_first`` says where each device's begin."""
        self._first = np.searchsorted(table.device_of[self._by_device], np.arange(len(table.devices)))
        self._points_of = np.bincount(table.device_of, minlength=len(table.devices))
        self._told_by_exception = self._each(np.logical_or, table.by_exception)
        self._alive_ns: NDArray[np.int64] = np.full(len(table.devices), -1, dtype=np.int64)
        self._place = {device: number for number, device in enumerate(table.devices)}
        self._stale_since_ns: dict[str, int] = {}
        self._began_ns: int | None = None
        self._ticked_ns = -1

    def take_in(self, frame: TelemetryFrame, offset: int) -> Taken | None:
        """Take in the next frame or tick of the partition; None for one that was taken in before."""
        if offset <= self.offset:
            return None
        self.offset = offset
        if frame.source == CLOCK_SOURCE:
            return self.tick(frame.ts_ingest_ns, first=frame.seq == 1)
        return self.take(frame)

    def take(self, frame: TelemetryFrame) -> Taken:
        """Take in one frame; samples of points nobody listed are given back, so that the caller can dead-letter them."""
        taken = Taken()
        if self._began_ns is None:
            self._began_ns = frame.ts_ingest_ns
        # An empty frame is a heartbeat; one in which we say that nothing could be read is no sign of life.
        place = self._place.get(frame.source)
        if place is not None and (not len(frame) or np.count_nonzero(frame.quality != BAD_NO_COMMUNICATION)):
            self._alive_ns[place] = frame.ts_ingest_ns
        found = self.last.take(frame)
        taken.unknown = found.unknown
        for row in self._news(found.rows).tolist():
            self._edge(row, frame.ts_ingest_ns, taken)
        return taken

    def tick(self, now_ns: int, *, first: bool = False) -> Taken:
        """Let time pass: judge who is stale, report the load, write out the snapshot.

        Args:
            now_ns: the tick; one that time has reached before tells nothing again.
            first: the first tick of a run of the service. What fell silent before it did so while nobody listened.
        """
        taken = Taken()
        if self._began_ns is None or first:
            self._began_ns = now_ns
        if now_ns <= self._ticked_ns:
            return taken
        self._ticked_ns = now_ns
        stale = self._stale(now_ns)
        was_stale = self._told[self._switch_rows] % _TOLD_BASE == _STALE
        for row in self._switch_rows[stale[self._switch_rows] | was_stale].tolist():
            self._tell_switch(row, now_ns, PointQuality.STALE if stale[row] else self._point_quality(row), taken)
        sources = self._sources(stale, now_ns, taken)
        loads = self.last.value[self._load_rows]
        if len(loads) and np.isfinite(loads).all():
            taken.facts.append(LoadReported(ts_event_ns=now_ns, area=self.area, load_mw=float(loads.sum())))
        last = self.last
        have = last.ts_value_ns >= 0
        quality = np.where(stale & is_good(last.quality), np.uint32(UNCERTAIN_LAST_USABLE), last.quality)
        flags = np.where(stale, last.flags | np.uint16(Flag.STALE), last.flags)
        self._seq += 1
        columns = (
            self.table.ids[have],
            last.ts_value_ns[have],
            last.value[have],
            quality[have],
            flags[have].astype(np.uint16),
        )
        taken.snapshots = snapshot_parts(now_ns, self.area, self._seq, columns, sources, dict(last.counters))
        return taken

    def encode(self) -> bytes:
        """Write down all that is remembered."""
        ids = self.table.ids
        return msgspec.msgpack.encode(
            _Wire(
                v=_VERSION,
                offset=self.offset,
                last=self.last.encode(),
                seq=self._seq,
                began_ns=self._began_ns,
                ticked_ns=self._ticked_ns,
                alive_ns={device: int(self._alive_ns[place]) for device, place in self._place.items() if self._alive_ns[place] >= 0},
                stale_since_ns=self._stale_since_ns,
                switch_told={int(ids[row]): self._told_of(row) for row in self._switches if self._told[row] != _CLOSED_GOOD},
                known=ids[self._known].tolist(),
                flow_dead=ids[self._dead].tolist(),
            )
        )

    def restore(self, raw: bytes) -> None:
        """Go on where :meth:`encode` left off; points and devices that are no longer listed are forgotten.

        Raises:
            FrameError: not written by :meth:`encode`: an invariant is broken, and the worker must not go on.
        """
        try:
            wire = _DECODER.decode(raw)
        except msgspec.DecodeError as exc:
            raise FrameError(f"not the state of an area's intake: {exc}") from exc
        if wire.v != _VERSION:
            raise FrameError(f"intake state of version {wire.v}; this release reads version {_VERSION}")
        self.offset = wire.offset
        self.last.restore(wire.last)
        self._seq, self._began_ns, self._ticked_ns = wire.seq, wire.began_ns, wire.ticked_ns
        for device, alive_ns in wire.alive_ns.items():
            if device in self._place:
                self._alive_ns[self._place[device]] = alive_ns
        self._stale_since_ns = {device: ns for device, ns in wire.stale_since_ns.items() if device in self._place}
        row_of = {int(point): row for row, point in enumerate(self.table.ids.tolist())}
        for point, (status, quality) in wire.switch_told.items():
            if row_of.get(point) in self._switches:
                self._told[row_of[point]] = _told_as(status, quality)
        self._known[[row_of[point] for point in wire.known if point in row_of]] = True
        self._dead[[row_of[point] for point in wire.flow_dead if row_of.get(point) in self._flows]] = True

    def _told_of(self, row: int) -> tuple[SwitchStatus, PointQuality]:
        status, quality = divmod(int(self._told[row]), _TOLD_BASE)
        return _STATUSES[status], _QUALITIES[quality]

    def _each(self, ufunc: np.ufunc, column: NDArray[Any]) -> NDArray[Any]:
        """Reduce a column of the points to one value per device."""
        if not len(self._first):
            return column[:0]
        return np.asarray(ufunc.reduceat(column[self._by_device], self._first))

    def _stale(self, now_ns: int) -> NDArray[np.bool_]:
        """Return (n,) whether each point's last usable value is too old.

        Nothing is older than our own start: while we were not there, we were blind, and the device may have been well.
        """
        assert self._began_ns is not None, "a tick or a frame sets the beginning"
        since_ns = np.maximum(self.last.ts_value_ns, self._began_ns)
        if len(since_ns):
            alive_ns = self._alive_ns[self.table.device_of]
            since_ns = np.where(self.table.by_exception, np.maximum(since_ns, alive_ns), since_ns)
        return np.asarray(now_ns - since_ns > self.table.stale_after_ns)

    def _sources(self, stale: NDArray[np.bool_], now_ns: int, taken: Taken) -> tuple[SourceHealth, ...]:
        """Judge every device; tell those that fell silent and those that came back."""
        last = self.last
        newest_ns = self._each(np.maximum, last.ts_value_ns)
        newest_ns = np.where(self._told_by_exception, np.maximum(newest_ns, self._alive_ns), newest_ns)
        all_stale = self._each(np.logical_and, stale)
        good = self._each(np.add, (is_good(last.quality) & ~stale & (last.ts_value_ns >= 0)).astype(np.int64))
        columns = (newest_ns.tolist(), all_stale.tolist(), good.tolist(), self._points_of.tolist())
        return tuple(self._source(*judged, now_ns, taken) for judged in zip(self.table.devices, *columns, strict=True))

    def _source(self, device: str, newest_ns: int, stale: bool, good: int, points: int, now_ns: int, taken: Taken) -> SourceHealth:
        # One that was found silent stays so until it says something, also over a restart that pardons all ages.
        quiet = stale or newest_ns <= self._stale_since_ns.get(device, -2)
        if quiet and device not in self._stale_since_ns:
            self._stale_since_ns[device] = max(newest_ns, 0)
            taken.findings.append(SourceStale(ts_event_ns=now_ns, device=device, area=self.area, since_ns=max(newest_ns, 0), points=points))
        elif not quiet and device in self._stale_since_ns:
            since_ns = self._stale_since_ns.pop(device)
            taken.findings.append(SourceFresh(ts_event_ns=now_ns, device=device, area=self.area, since_ns=since_ns))
        return SourceHealth(
            source=device,
            area=self.area,
            points=points,
            good=good,
            age_s=(now_ns - newest_ns) / NS_PER_S if newest_ns >= 0 else -1.0,
            state="stale" if quiet else "ok" if good else "bad",
        )

    def _news(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return, of rows with a fresh sample, those of switches, flows and sites whose sample says something that is not told yet."""
        kind = self._kind[rows]
        if not np.count_nonzero(kind):
            return rows[:0]
        rows = rows[kind != _NO_EDGE]
        kind, value, quality = self._kind[rows], self.last.value[rows], np.minimum(self.last.quality[rows] >> np.uint32(30), 2)
        good = quality == 0
        position = np.trunc(value)
        status = np.where(position == 1.0, 0, np.where(position == 2.0, 1, 2))
        moved = (status * _TOLD_BASE + quality != self._told[rows]) | (good & ~self._known[rows])
        turned = good & (self._carries_nothing(rows) != self._dead[rows])
        news: NDArray[np.int64] = rows[((kind == _SWITCH) & moved) | ((kind == _FLOW) & turned) | ((kind == _SITE) & good)]
        return news

    def _carries_nothing(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        limit_mw = self._dead_below_mw[rows] * np.where(self._dead[rows], _ALIVE_HYSTERESIS, 1.0)
        return np.asarray(np.abs(self.last.value[rows]) < limit_mw)

    def _edge(self, row: int, now_ns: int, taken: Taken) -> None:
        """Tell what a fresh sample of a switch, a flow or a control site changed, if it changed anything."""
        if row in self._switches:
            self._tell_switch(row, now_ns, self._point_quality(row), taken)
        elif row in self._flows:
            self._tell_flow(row, now_ns, taken)
        elif self._point_quality(row) is PointQuality.GOOD:
            taken.facts.append(
                ControlReported(
                    ts_event_ns=now_ns,
                    site=self._sites[row],
                    asserted=bool(self.last.value[row] > 0.5),
                    ts_source_ns=int(self.last.ts_value_ns[row]),
                    initial=not bool(self._known[row]),
                )
            )
            self._known[row] = True

    def _point_quality(self, row: int) -> PointQuality:
        return (PointQuality.GOOD, PointQuality.UNCERTAIN, PointQuality.BAD, PointQuality.BAD)[int(self.last.quality[row]) >> 30]

    def _tell_switch(self, row: int, now_ns: int, quality: PointQuality, taken: Taken) -> None:
        element, end = self._switches[row]
        value = self.last.value[row]
        status = _POSITIONS.get(int(value), SwitchStatus.INTERMEDIATE) if np.isfinite(value) else SwitchStatus.INTERMEDIATE
        initial = not self._known[row]
        if quality is PointQuality.GOOD:
            self._known[row] = True
        told = _told_as(status, quality)
        if self._told[row] == told:
            return
        self._told[row] = told
        taken.facts.append(
            SwitchReported(
                ts_event_ns=now_ns,
                element=element,
                end=end,
                status=status,
                quality=quality,
                ts_source_ns=max(int(self.last.ts_value_ns[row]), 0),
                initial=bool(initial),
            )
        )

    def _tell_flow(self, row: int, now_ns: int, taken: Taken) -> None:
        if self._point_quality(row) is not PointQuality.GOOD:
            return
        element, end = self._flows[row]
        dead = bool(self._carries_nothing(np.array([row]))[0])
        if dead is bool(self._dead[row]):
            return
        self._dead[row] = dead
        pct = 100.0 * abs(float(self.last.value[row])) / self._rating_mw[element]
        taken.facts.append(
            FlowReported(
                ts_event_ns=now_ns,
                element=element,
                from_pct=pct if end == "from" else None,
                to_pct=pct if end == "to" else None,
                quality=PointQuality.GOOD,
                ts_source_ns=int(self.last.ts_value_ns[row]),
            )
        )


def _told_as(status: SwitchStatus, quality: PointQuality) -> int:
    return _STATUSES.index(status) * _TOLD_BASE + _QUALITIES.index(quality)
