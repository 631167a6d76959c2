"""Telemetry frames in; last values, and the few facts the breaker needs, out.

One :class:`AreaIntake` per control area keeps, as columns, the last usable value of every point with its source time and quality.
It drops nothing without counting it: samples already known, samples older than what is known, samples of points nobody listed. It
notices edges: a switch that moved, a flow that died or revived, control that changed hands, a device that went quiet or came back.
At each tick it writes out a snapshot.

A snapshot is also what it is restored from after a restart, so a fact may be told twice, never not at all; the facts' consumer
takes a repeat for what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.frame import TelemetryFrame
from ingest.points import PointTable
from ingest.quality import UNCERTAIN_LAST_USABLE, Flag, is_bad, is_good
from market.facts import ControlReported, Fact, FlowReported, LoadReported, PointQuality, SwitchReported, SwitchStatus
from market.units import NS_PER_S
from streams.findings import SourceFresh, SourceStale
from streams.image import AreaSnapshot
from streams.kpis import SourceHealth

__all__ = ["CLOCK_SOURCE", "AreaIntake", "Taken"]

CLOCK_SOURCE: Final = "@clock"
"""Source name of the heartbeat frames that carry the tick to every area."""

_ALIVE_HYSTERESIS: Final = 2.0
"""A dead flow counts as alive again above this many times the dead threshold, so that noise at the threshold is not news."""

_STATUS: Final = {1: SwitchStatus.OPEN, 2: SwitchStatus.CLOSED}


@dataclass(slots=True)
class Taken:
    """What one frame or tick gave rise to."""

    facts: list[Fact] = field(default_factory=list)
    findings: list[SourceStale | SourceFresh] = field(default_factory=list)
    snapshot: AreaSnapshot | None = None
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
        self._value: NDArray[np.float64] = np.full(n, np.nan)
        self._ts_value_ns: NDArray[np.int64] = np.full(n, -1, dtype=np.int64)
        self._ts_seen_ns: NDArray[np.int64] = np.full(n, -1, dtype=np.int64)
        self._quality: NDArray[np.uint32] = np.full(n, 0x80320000, dtype=np.uint32)
        self._flags: NDArray[np.uint16] = np.zeros(n, dtype=np.uint16)
        self.counters = {"taken": 0, "duplicate": 0, "late": 0, "unknown": 0}
        self._seq = 0

        self._is_edge: NDArray[np.bool_] = np.zeros(n, dtype=bool)
        self._switches: dict[int, tuple[str, str]] = {}
        self._switch_told: dict[int, tuple[SwitchStatus, PointQuality]] = {}
        self._flows: dict[int, tuple[str, str, float]] = {}
        self._flow_dead: dict[int, bool] = {}
        self._sites: dict[int, str] = {}
        for end in ("from", "to"):
            for element, row in table.named("switch", end):
                self._switches[row] = (element, end)
            for element, row in table.named("branch", f"{end}_mw"):
                if element in rating_mw:
                    self._flows[row] = (element, end, dead_flow_pct / 100.0 * rating_mw[element])
        self._rating_mw = rating_mw
        self._sites = {row: site for site, row in table.named("site")}
        for rows in (self._switches, self._flows, self._sites):
            self._is_edge[list(rows)] = True
        self._load_rows = np.array([row for _, row in table.named("load", "mw")], dtype=np.int64)

        devices: dict[str, list[int]] = {}
        for row, spec in enumerate(table.specs):
            devices.setdefault(spec.device, []).append(row)
        self._device_rows = {device: np.array(rows, dtype=np.int64) for device, rows in sorted(devices.items())}
        self._alive_ns: NDArray[np.int64] = np.full(len(table.devices), -1, dtype=np.int64)
        self._place = {device: number for number, device in enumerate(table.devices)}
        self._stale_since_ns: dict[str, int] = {}
        self._began_ns: int | None = None

    def take(self, frame: TelemetryFrame) -> Taken:
        """Take in one frame.

        Each sample counts as taken, duplicate (same point and source time, nothing new), late (older than what is known) or
        unknown (no such point; given back so that the caller can dead-letter it).
        """
        taken = Taken()
        if self._began_ns is None:
            self._began_ns = frame.ts_ingest_ns
        # An empty frame is a heartbeat; one that says only that nothing could be read is none.
        if frame.source in self._place and (not len(frame) or not is_bad(frame.quality).all()):
            self._alive_ns[self._place[frame.source]] = frame.ts_ingest_ns
        rows = self.table.rows(frame.point)
        known = rows >= 0
        if not known.all():
            taken.unknown = frame.point[~known]
            self.counters["unknown"] += len(taken.unknown)
            rows, ts_ns = rows[known], frame.ts_event_ns[known]
            value, quality, flags = frame.value[known], frame.quality[known], frame.flags[known]
        else:
            ts_ns, value, quality, flags = frame.ts_event_ns, frame.value, frame.quality, frame.flags
        usable = ~is_bad(quality) & np.isfinite(value)
        # A usable value may carry a time before the failure that hid it: a server that comes back repeats what still holds.
        reference_ns = np.where(usable, self._ts_value_ns[rows], self._ts_seen_ns[rows])
        late = ts_ns < reference_ns
        repeat = (ts_ns == reference_ns) & (quality == self._quality[rows])
        fresh = ~(late | repeat)
        self.counters["late"] += int(np.count_nonzero(late))
        self.counters["duplicate"] += int(np.count_nonzero(repeat))
        self.counters["taken"] += int(np.count_nonzero(fresh))
        rows, ts_ns, value, quality = rows[fresh], ts_ns[fresh], value[fresh], quality[fresh]
        flags, usable = flags[fresh], usable[fresh]

        self._ts_seen_ns[rows] = ts_ns
        self._quality[rows] = quality
        self._flags[rows] = flags
        self._value[rows[usable]] = value[usable]
        self._ts_value_ns[rows[usable]] = ts_ns[usable]
        for row in rows[self._is_edge[rows]].tolist():
            self._edge(row, frame.ts_ingest_ns, taken)
        return taken

    def tick(self, now_ns: int) -> Taken:
        """Let time pass: judge who is stale, report the load, write out the snapshot."""
        taken = Taken()
        if self._began_ns is None:
            self._began_ns = now_ns
        stale = self._stale(now_ns)
        for row in self._switches:
            if stale[row]:
                self._tell_switch(row, now_ns, PointQuality.STALE, taken)
            elif self._switch_told.get(row, (None, None))[1] is PointQuality.STALE:
                self._tell_switch(row, now_ns, self._point_quality(row), taken)
        sources = tuple(self._source(device, rows, stale, now_ns, taken) for device, rows in self._device_rows.items())
        loads = self._value[self._load_rows]
        if len(loads) and np.isfinite(loads).all():
            taken.facts.append(LoadReported(ts_event_ns=now_ns, area=self.area, load_mw=float(loads.sum())))
        have = self._ts_value_ns >= 0
        quality = np.where(stale & is_good(self._quality), np.uint32(UNCERTAIN_LAST_USABLE), self._quality)
        flags = np.where(stale, self._flags | np.uint16(Flag.STALE), self._flags)
        self._seq += 1
        values = TelemetryFrame(
            source="@intake",
            area=self.area,
            seq=self._seq,
            ts_ingest_ns=now_ns,
            point=self.table.ids[have],
            ts_event_ns=self._ts_value_ns[have],
            value=self._value[have],
            quality=quality[have],
            flags=flags[have].astype(np.uint16),
        )
        taken.snapshot = AreaSnapshot(ts_event_ns=now_ns, area=self.area, values=values, sources=sources, counters=dict(self.counters))
        return taken

    def restore(self, snapshot: AreaSnapshot) -> None:
        """Begin where a snapshot left off; edges are told from then on."""
        rows = self.table.rows(snapshot.values.point)
        known = rows >= 0
        rows = rows[known]
        self._value[rows] = snapshot.values.value[known]
        self._ts_value_ns[rows] = snapshot.values.ts_event_ns[known]
        self._ts_seen_ns[rows] = snapshot.values.ts_event_ns[known]
        self._quality[rows] = snapshot.values.quality[known]
        self._flags[rows] = snapshot.values.flags[known]
        self.counters.update(snapshot.counters)
        for source in snapshot.sources:
            if source.state == "stale" and source.source in self._device_rows:
                newest_ns = int(self._ts_value_ns[self._device_rows[source.source]].max())
                self._stale_since_ns[source.source] = max(newest_ns, 0)

    def _stale(self, now_ns: int) -> NDArray[np.bool_]:
        """Return (n,) whether each point's last usable value is too old.

        Nothing is older than our own start: while we were not there, we were blind, and the device may have been well.
        """
        assert self._began_ns is not None, "a tick or a frame sets the beginning"
        since_ns = np.maximum(self._ts_value_ns, self._began_ns)
        if len(since_ns):
            alive_ns = self._alive_ns[self.table.device_of]
            since_ns = np.where(self.table.by_exception, np.maximum(since_ns, alive_ns), since_ns)
        return np.asarray(now_ns - since_ns > self.table.stale_after_ns)

    def _source(self, device: str, rows: NDArray[np.int64], stale: NDArray[np.bool_], now_ns: int, taken: Taken) -> SourceHealth:
        newest_ns = int(self._ts_value_ns[rows].max())
        if self.table.by_exception[rows].any():
            newest_ns = max(newest_ns, int(self._alive_ns[self._place[device]]))
        quiet = bool(stale[rows].all())
        if quiet and device not in self._stale_since_ns:
            self._stale_since_ns[device] = max(newest_ns, 0)
            taken.findings.append(
                SourceStale(ts_event_ns=now_ns, device=device, area=self.area, since_ns=max(newest_ns, 0), points=len(rows))
            )
        elif not quiet and device in self._stale_since_ns:
            since_ns = self._stale_since_ns.pop(device)
            taken.findings.append(SourceFresh(ts_event_ns=now_ns, device=device, area=self.area, since_ns=since_ns))
        good = int(np.count_nonzero(is_good(self._quality[rows]) & ~stale[rows] & (self._ts_value_ns[rows] >= 0)))
        return SourceHealth(
            source=device,
            area=self.area,
            points=len(rows),
            good=good,
            age_s=(now_ns - newest_ns) / NS_PER_S if newest_ns >= 0 else -1.0,
            state="stale" if quiet else "ok" if good else "bad",
        )

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
                    asserted=bool(self._value[row] > 0.5),
                    ts_source_ns=int(self._ts_value_ns[row]),
                )
            )

    def _point_quality(self, row: int) -> PointQuality:
        return (PointQuality.GOOD, PointQuality.UNCERTAIN, PointQuality.BAD, PointQuality.BAD)[int(self._quality[row]) >> 30]

    def _tell_switch(self, row: int, now_ns: int, quality: PointQuality, taken: Taken) -> None:
        element, end = self._switches[row]
        value = self._value[row]
        status = _STATUS.get(int(value), SwitchStatus.INTERMEDIATE) if np.isfinite(value) else SwitchStatus.INTERMEDIATE
        if self._switch_told.get(row, (SwitchStatus.CLOSED, PointQuality.GOOD)) == (status, quality):
            return
        self._switch_told[row] = (status, quality)
        taken.facts.append(
            SwitchReported(
                ts_event_ns=now_ns,
                element=element,
                end=end,
                status=status,
                quality=quality,
                ts_source_ns=max(int(self._ts_value_ns[row]), 0),
            )
        )

    def _tell_flow(self, row: int, now_ns: int, taken: Taken) -> None:
        if self._point_quality(row) is not PointQuality.GOOD:
            return
        element, end, dead_below_mw = self._flows[row]
        was_dead = self._flow_dead.get(row, False)
        dead = abs(self._value[row]) < dead_below_mw * (_ALIVE_HYSTERESIS if was_dead else 1.0)
        if bool(dead) is was_dead:
            return
        self._flow_dead[row] = bool(dead)
        pct = 100.0 * abs(float(self._value[row])) / self._rating_mw[element]
        taken.facts.append(
            FlowReported(
                ts_event_ns=now_ns,
                element=element,
                from_pct=pct if end == "from" else None,
                to_pct=pct if end == "to" else None,
                quality=PointQuality.GOOD,
                ts_source_ns=int(self._ts_value_ns[row]),
            )
        )
