"""Telemetry frames in; last values, and the few facts the breaker needs, out.

One :class:`AreaIntake` per control area judges whose times can be believed (:mod:`streams.sourceclock`), keeps the last values of its
points (:mod:`streams.lastvalues`), and notices what changes: a switch that moved, a flow that died or revived, control that changed
hands (:mod:`streams.edges`), a device that went quiet or came back. At each tick it writes out a snapshot.

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

from ingest.bundle import FrameBundle, frames_of
from ingest.errors import FrameError
from ingest.frame import TelemetryFrame
from ingest.points import PointTable
from ingest.quality import BAD_NO_COMMUNICATION, UNCERTAIN_LAST_USABLE, Flag, is_good
from market.facts import Fact, LoadReported, PointQuality, SwitchStatus
from market.units import NS_PER_S
from streams.accounts import AreaAccounts, LateSamples
from streams.delivered import Delivered, RunState
from streams.edges import Edges, EdgeState
from streams.findings import SourceFinding, SourceFresh, SourceStale
from streams.image import AreaSnapshot, snapshot_parts
from streams.kpis import SourceHealth
from streams.lastvalues import LastValues
from streams.levels import Levels, LevelState
from streams.past import Columns
from streams.sourceclock import ClockState, Reading, SourceClocks

__all__ = ["CLOCK_SOURCE", "AreaIntake", "Taken", "state_offset"]

CLOCK_SOURCE: Final = "@clock"
"""Source name of the heartbeat frames that carry the tick to every area."""


class _Wire(msgspec.Struct):
    """The state; what is None was not known yet to the version that wrote it."""

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
    held: dict[int, bool] | None = None
    past: Columns | None = None
    clocks: dict[str, ClockState] | None = None
    late: dict[str, dict[int, list[int]]] | None = None
    delivered: dict[int, RunState] | None = None
    levels: LevelState | None = None


_VERSION: Final = 2
_READS: Final = (1, 2)
_DECODER: Final = msgspec.msgpack.Decoder(_Wire)


class _Offset(msgspec.Struct):
    offset: int


_OFFSET_DECODER: Final = msgspec.msgpack.Decoder(_Offset)


def state_offset(raw: bytes) -> int:
    """Return the offset of the last frame that a state of :meth:`AreaIntake.encode` has taken in."""
    return _OFFSET_DECODER.decode(raw).offset


@dataclass(slots=True)
class Taken:
    """What one record or tick gave rise to.

    Attributes:
        unknown: (k,) uint64, points of samples that nobody listed.
        unlisted: the frames they are in.
        failed: frames of a bundle that could not be taken in by a fault of ours, and what was raised; the others of it were.
    """

    facts: list[Fact] = field(default_factory=list)
    findings: list[SourceFinding] = field(default_factory=list)
    snapshots: tuple[AreaSnapshot, ...] = ()
    accounts: tuple[AreaAccounts, ...] = ()
    unknown: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    unlisted: list[TelemetryFrame] = field(default_factory=list)
    failed: list[tuple[TelemetryFrame, Exception]] = field(default_factory=list)


class AreaIntake:
    """Last values of one area, and what changed in them.

    Args:
        area: the control area.
        table: its points.
        rating_mw: continuous rating of every branch that has a flow point here, MW.
        dead_flow_pct: loading below which a branch end carries nothing, % of rating.
        base_kv: nominal voltage of every bus that has a voltage point here, kV; others' voltages are not told.
    """

    def __init__(
        self, area: str, table: PointTable, rating_mw: Mapping[str, float], dead_flow_pct: float, base_kv: Mapping[str, float] | None = None
    ) -> None:
        self.area = area
        self.table = table
        self.last = LastValues(table)
        self.offset = -1
        """Offset of the last frame taken in by :meth:`take_in`."""
        self._seq = 0

        self._edges = Edges(table, self.last, rating_mw, dead_flow_pct)
        self._levels = Levels(table, self.last, base_kv or {})
        self._clocks = SourceClocks(area, table)
        self._late = LateSamples()
        self._delivered = Delivered()
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

    def take_in(self, record: TelemetryFrame | FrameBundle, offset: int) -> Taken | None:
        """Take in the next frames or tick of the partition; None for a record that was taken in before."""
        if offset <= self.offset:
            return None
        self.offset = offset
        if record.source == CLOCK_SOURCE and isinstance(record, TelemetryFrame):
            return self.tick(record.ts_ingest_ns, first=record.seq == 1)
        fresh: list[TelemetryFrame] = []
        for frame in frames_of(record):
            if frame.ticket is not None and not self._delivered.is_first(frame.ticket):
                self.last.counters["duplicate"] += len(frame)
            else:
                fresh.append(frame)
        if fresh and fresh[0].accounts is not None:
            return Taken(accounts=(self._late.settle(self.area, fresh[0].accounts),))
        return self.take(*fresh)

    def take(self, *frames: TelemetryFrame) -> Taken:
        """Take in frames, one after the other; samples of points nobody listed are given back, so that the caller can dead-letter them."""
        taken = Taken()
        for frame in frames:
            known = len(taken.unknown)
            try:
                self._take_frame(frame, taken)
            except AssertionError:
                raise  # a broken invariant: nothing can be trusted from here on
            except Exception as exc:
                if len(frames) == 1:
                    raise
                taken.failed.append((frame, exc))
            if len(taken.unknown) > known:
                taken.unlisted.append(frame)
        return taken

    def _take_frame(self, frame: TelemetryFrame, taken: Taken) -> None:
        if self._began_ns is None:
            self._began_ns = frame.ts_ingest_ns
        # An empty frame is a heartbeat; one in which we say that nothing could be read is no sign of life.
        answered = not len(frame) or frame.quality[0] != BAD_NO_COMMUNICATION or bool((frame.quality != BAD_NO_COMMUNICATION).any())
        place = self._place.get(frame.source)
        if answered and place is not None:
            # A frame from the spool of the ingest side was received long ago.
            self._alive_ns[place] = max(int(self._alive_ns[place]), frame.ts_ingest_ns)
        if not len(frame):
            return
        reading = self._clocks.read(frame, self.last, answered=answered)
        if reading.finding is not None:
            taken.findings.append(reading.finding)
        for each in reading.frames:
            for part in self.last.in_turns(each):
                self._take(part, reading, frame.ts_ingest_ns, taken)

    def _take(self, part: TelemetryFrame, reading: Reading, now_ns: int, taken: Taken) -> None:
        """Take in samples, no point twice, whose times were judged."""
        found = self.last.take(part, reading.watermark_ns)
        if len(found.unknown):
            taken.unknown = np.append(taken.unknown, found.unknown)
        taken.facts += self._edges.changed(found.rows, now_ns)
        taken.facts += self._levels.changed(found.rows, now_ns)
        if len(found.overtaken):
            taken.facts += self._edges.overtaken(part.only(found.overtaken), now_ns)
        if len(found.late):
            if part.ts_ingest_ns == now_ns:  # what was held before was late when it came
                self._late.add(part.source, now_ns, part.quality[found.late], self._ticked_ns)
            if reading.doubt_ns is not None:
                self._clocks.hold(part.only(found.late), reading.doubt_ns)

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
        taken.facts += self._edges.aged(stale, now_ns)
        taken.facts += self._levels.aged(stale, now_ns)
        self._edges.forget(self._clocks.watermarks_ns())
        self._late.forget(now_ns)
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
        edges = self._edges.state()
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
                switch_told=edges.switch_told,
                flow_dead=edges.flow_dead,
                known=edges.known,
                held=edges.held,
                past=edges.past,
                clocks=self._clocks.states(),
                late=self._late.state(),
                delivered=self._delivered.states(),
                levels=self._levels.state(),
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
        if wire.v not in _READS:
            raise FrameError(f"intake state of version {wire.v}; this release reads versions {', '.join(map(str, _READS))}")
        self.offset = wire.offset
        self.last.restore(wire.last)
        self._seq, self._began_ns, self._ticked_ns = wire.seq, wire.began_ns, wire.ticked_ns
        for device, alive_ns in wire.alive_ns.items():
            if device in self._place:
                self._alive_ns[self._place[device]] = alive_ns
        self._stale_since_ns = {device: ns for device, ns in wire.stale_since_ns.items() if device in self._place}
        edges = EdgeState(
            switch_told=wire.switch_told,
            held=self._edges.held_by_told(wire.known, wire.switch_told) if wire.held is None else wire.held,
            flow_dead=wire.flow_dead,
            known=wire.known,
            past=wire.past,
        )
        try:
            self._edges.restore(edges)
        except ValueError as exc:
            raise FrameError(f"not the state of an area's intake: {exc}") from exc
        self._late.restore(wire.late or {})
        self._delivered.restore(wire.delivered or {})
        if wire.levels is not None:
            self._levels.restore(wire.levels)
        self._clocks.restore(self._clocks_by_value() if wire.clocks is None else wire.clocks)

    def _clocks_by_value(self) -> dict[str, ClockState]:
        """Return what the last values tell of the clocks, where a state of version 1 does not."""
        last = self.last
        by_clock = (last.flags & np.uint16(Flag.TS_ESTIMATED)) == 0
        newest_ns = self._each(np.maximum, last.ts_value_ns)
        told_ns = self._each(np.maximum, np.where(by_clock, last.ts_value_ns, -1))
        columns = (newest_ns.tolist(), told_ns.tolist(), self._alive_ns.tolist())
        return {device: ClockState(*known) for device, *known in zip(self.table.devices, *columns, strict=True)}

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
