"""Which of an area's points change what the breaker knows, and what is it told of them?

A switch is told when its position or the quality of that knowledge changes, a flow when it dies or revives, a control site when it
claims or gives up authority. What is newest is told at once. A change that was overtaken by a later report (within the watermark of its
device) is told as history: with its own, older source time, and never as what is so now. If what followed it had been no change before,
and is one now, that is told after it; nothing is told twice.

A frame is judged as columns; only a point that says something new costs a step of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.frame import TelemetryFrame
from ingest.points import PointTable
from ingest.quality import is_good
from market.facts import ControlReported, Fact, FlowReported, PointQuality, SwitchReported, SwitchStatus
from streams.lastvalues import LastValues
from streams.past import UNKNOWN, Columns, Past, Pasts, Said, Samples

__all__ = ["EdgeState", "Edges"]

_ALIVE_HYSTERESIS: Final = 2.0
"""A dead flow counts as alive again above this many times the dead threshold, so that noise at the threshold is not news."""

_OPEN_VALUE: Final = 1
_CLOSED_VALUE: Final = 2
_CLAIMED: Final = 0.5

_STATUSES: Final = (SwitchStatus.CLOSED, SwitchStatus.OPEN, SwitchStatus.INTERMEDIATE)
_CLOSED, _OPEN, _BETWEEN = range(3)

_QUALITIES: Final = (PointQuality.GOOD, PointQuality.UNCERTAIN, PointQuality.BAD, PointQuality.STALE)
_GOOD, _BAD, _STALE = (_QUALITIES.index(quality) for quality in (PointQuality.GOOD, PointQuality.BAD, PointQuality.STALE))
_TOLD_BASE: Final = len(_QUALITIES)
"""What is told of a switch is kept as one number: place of its status times this, plus place of its quality."""

_CLOSED_GOOD: Final = _CLOSED * _TOLD_BASE + _GOOD
"""What need not be told of a switch that has said nothing yet."""

_NO_EDGE, _SWITCH, _FLOW, _SITE = range(4)


class EdgeState(msgspec.Struct):
    """What is remembered, by point id.

    Attributes:
        switch_told: what was last told of each switch, unless it is closed and good.
        held: whether a switch was open, control claimed, as the newest good sample says.
        flow_dead: flows that are dead.
        known: switches and sites that have said something good before: what they say next is a change.
        past: what each said lately.
    """

    switch_told: dict[int, tuple[SwitchStatus, PointQuality]]
    held: dict[int, bool]
    flow_dead: list[int]
    known: list[int]
    past: Columns | None


class Edges:
    """The points of an area whose changes are told.

    Args:
        table: the area's points.
        last: their last values.
        rating_mw: continuous rating of every branch that has a flow point here, MW.
        dead_flow_pct: loading below which a branch end carries nothing, % of rating.
    """

    def __init__(self, table: PointTable, last: LastValues, rating_mw: Mapping[str, float], dead_flow_pct: float) -> None:
        n = len(table)
        self._table = table
        self._last = last
        self._rating_mw = rating_mw
        self._switches: dict[int, tuple[str, str]] = {}
        self._flows: dict[int, tuple[str, str]] = {}
        self._sites: dict[int, str] = {row: site for site, row in table.named("site")}
        self._dead_below_mw: NDArray[np.float64] = np.zeros(n)
        for end in ("from", "to"):
            for element, row in table.named("switch", end):
                self._switches[row] = (element, end)
            for element, row in table.named("branch", f"{end}_mw"):
                if element in rating_mw:
                    self._flows[row] = (element, end)
                    self._dead_below_mw[row] = dead_flow_pct / 100.0 * rating_mw[element]
        self._switch_rows = np.array(list(self._switches), dtype=np.int64)
        self._kind: NDArray[np.uint8] = np.full(n, _NO_EDGE, dtype=np.uint8)
        for kind, rows in ((_SWITCH, self._switches), (_FLOW, self._flows), (_SITE, self._sites)):
            self._kind[list(rows)] = kind
        self._told: NDArray[np.int64] = np.full(n, _CLOSED_GOOD, dtype=np.int64)
        self._held: NDArray[np.int8] = np.where(self._kind == _FLOW, 0, UNKNOWN).astype(np.int8)
        """Whether a switch is open, a flow dead, control claimed, as the newest good sample says."""
        self._known: NDArray[np.bool_] = self._kind == _FLOW
        """Which have said something good before; a flow that has said nothing is alive."""
        self._pasts = Pasts()

    def changed(self, rows: NDArray[np.int64], now_ns: int) -> list[Fact]:
        """Tell what fresh samples changed, (k,) rows, none twice; the last values hold them already."""
        kind = self._kind[rows]
        if not np.count_nonzero(kind):
            return []
        rows = rows[kind != _NO_EDGE]
        return self._told_of(rows, self._quality(rows), now_ns)

    def aged(self, stale: NDArray[np.bool_], now_ns: int) -> list[Fact]:
        """Tell which switches are not seen any more, or again; ``stale`` is (n,)."""
        rows = self._switch_rows
        rows = rows[stale[rows] | (self._told[rows] % _TOLD_BASE == _STALE)]
        return self._told_of(rows, np.where(stale[rows], _STALE, self._quality(rows)), now_ns) if len(rows) else []

    def overtaken(self, samples: TelemetryFrame, now_ns: int) -> list[Fact]:
        """Tell what samples, older than the last values but above the watermark, say of the time they speak of; no point comes twice.

        Of a point whose present state is not good nothing is told: it counts as unseen, whatever it was before.
        """
        rows = self._table.rows(samples.point)
        kind, told = self._kind[rows], self._told[rows]
        present = _position(samples.value) != _BETWEEN
        present &= (told % _TOLD_BASE == _GOOD) & (told // _TOLD_BASE != _BETWEEN)
        chosen = (kind != _NO_EDGE) & is_good(samples.quality) & np.isfinite(samples.value) & (self._quality(rows) == _GOOD)
        places = np.flatnonzero(chosen & (present | (kind != _SWITCH)))
        if not len(places):
            return []
        facts: list[Fact] = []
        pasts = self._pasts.taken_out(rows[places])
        for place in places.tolist():
            row = int(rows[place])
            if row in pasts:
                facts += self._history(row, pasts[row], now_ns, int(samples.ts_event_ns[place]), float(samples.value[place]))
        self._pasts.put(pasts)
        return facts

    def forget(self, watermark_ns: NDArray[np.int64]) -> None:
        """Forget what nothing can overtake any more, by the watermarks of the devices, in their order in the table."""
        self._pasts.forget(watermark_ns, self._table.device_of)

    def state(self) -> EdgeState:
        """Return what is remembered."""
        ids, known = self._table.ids, self._known & (self._kind != _FLOW)
        held = known & (self._held != UNKNOWN)
        told = ((row, divmod(int(self._told[row]), _TOLD_BASE)) for row in self._switches if self._told[row] != _CLOSED_GOOD)
        return EdgeState(
            switch_told={int(ids[row]): (_STATUSES[status], _QUALITIES[quality]) for row, (status, quality) in told},
            held=dict(zip(ids[held].tolist(), (self._held[held] == 1).tolist(), strict=True)),
            flow_dead=ids[(self._kind == _FLOW) & (self._held == 1)].tolist(),
            known=ids[known].tolist(),
            past=self._pasts.encode(self._table),
        )

    def held_by_told(self, known: list[int], switch_told: Mapping[int, tuple[SwitchStatus, PointQuality]]) -> dict[int, bool]:
        """Return what switches and sites hold, by point id, for a state that was written before that was noted.

        Args:
            known: those that have said something good, by point id.
            switch_told: what was told of switches, unless it is closed and good.
        """
        held = {}
        for point, row in zip(known, self._table.rows(np.array(known, dtype=np.uint64)).tolist(), strict=True):
            if row in self._sites:
                held[point] = bool(self._last.value[row] > _CLAIMED)
            elif row in self._switches:
                status, _ = switch_told.get(point, (SwitchStatus.CLOSED, PointQuality.GOOD))
                if status is not SwitchStatus.INTERMEDIATE:
                    held[point] = status is SwitchStatus.OPEN
        return held

    def restore(self, state: EdgeState) -> None:
        """Go on from :meth:`state`; points that are no longer listed are forgotten.

        Raises:
            ValueError: the past was not written by :meth:`state`.
        """
        row_of = {int(point): row for row, point in enumerate(self._table.ids.tolist())}
        self._known[[row_of[point] for point in state.known if point in row_of]] = True
        for point, (status, quality) in state.switch_told.items():
            if (row := row_of.get(point, -1)) in self._switches:
                self._told[row] = _STATUSES.index(status) * _TOLD_BASE + _QUALITIES.index(quality)
        for point, held in state.held.items():
            if (row := row_of.get(point, -1)) in self._switches or row in self._sites:
                self._held[row] = held
        self._held[[row_of[point] for point in state.flow_dead if row_of.get(point) in self._flows]] = True
        if state.past is not None:
            self._pasts.restore(state.past, self._table, self._kind != _NO_EDGE)

    def _quality(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the places of the qualities that the last values have."""
        quality: NDArray[np.int64] = np.minimum(self._last.quality[rows] >> np.uint32(30), _BAD).astype(np.int64)
        return quality

    def _told_of(self, rows: NDArray[np.int64], quality: NDArray[np.int64], now_ns: int) -> list[Fact]:
        """Tell what is new about the last values of some of the points, and note them in their pasts.

        Args:
            rows: (k,) which, none twice.
            quality: (k,) places of the qualities to tell them with.
        """
        kind, value, was, known = self._kind[rows], self._last.value[rows], self._held[rows], self._known[rows]
        ts_ns = self._last.ts_value_ns[rows]
        good, is_switch = quality == _GOOD, kind == _SWITCH
        status = _position(value)
        told = status * _TOLD_BASE + quality
        limit_mw = self._dead_below_mw[rows] * np.where(was == 1, _ALIVE_HYSTERESIS, 1.0)
        state = np.where(is_switch, status == _OPEN, np.where(kind == _FLOW, np.abs(value) < limit_mw, value > _CLAIMED))
        news = np.where(is_switch, told != self._told[rows], good & (state != was))
        said = Samples(rows, ts_ns, value, was, state, news)
        noted = good & ~(is_switch & (status == _BETWEEN))
        if np.count_nonzero(noted) < len(rows):
            said = said.only(noted)
        self._pasts.note(said)
        self._held[said.row] = said.state
        if np.count_nonzero(known) < len(rows):
            self._known[rows[good]] = True
        if not np.count_nonzero(news):
            return []
        self._told[rows[is_switch]] = told[is_switch]
        facts: list[Fact] = []
        for k in np.flatnonzero(news).tolist():
            row, each = int(rows[k]), Said(int(ts_ns[k]), float(value[k]), bool(state[k]))
            if is_switch[k]:
                how = _STATUSES[int(status[k])], _QUALITIES[int(quality[k])]
                facts.append(self._switch_fact(row, now_ns, how, max(each.ts_ns, 0), initial=not known[k]))
            elif row in self._flows:
                facts.append(self._flow_fact(row, now_ns, each))
            else:
                facts.append(self._site_fact(row, now_ns, each, initial=not known[k]))
        return facts

    def _history(self, row: int, past: Past, now_ns: int, ts_ns: int, value: float) -> Iterator[Fact]:
        """Tell what one overtaken sample says."""
        told_ns = max((said.ts_ns for said in past.said if said.told), default=-1)
        changes = past.overtaken(ts_ns, value, partial(self._state_of, row))
        if row in self._switches:
            for said in changes:
                how = SwitchStatus.OPEN if said.state else SwitchStatus.CLOSED, PointQuality.GOOD
                yield self._switch_fact(row, now_ns, how, said.ts_ns, history=True)
        elif row in self._flows:
            # A flow that wavers at the threshold is dead or alive by what it was before: then the present has changed too.
            present = past.said[-1].state is not bool(self._held[row])
            self._held[row] = past.said[-1].state
            for said in changes:
                yield self._flow_fact(row, now_ns, said, history=not (present and said is changes[-1]))
        else:
            # Claims are taken in the order they are told, so what stands before the last one told is passed over.
            for said in changes:
                if said.ts_ns > told_ns:
                    yield self._site_fact(row, now_ns, said, initial=False)

    def _state_of(self, row: int, value: float, was: bool) -> bool:
        """Return which of two things a value means: a switch open, a flow dead, control claimed."""
        if row in self._switches:
            return int(value) == _OPEN_VALUE
        if row in self._flows:
            return abs(value) < float(self._dead_below_mw[row]) * (_ALIVE_HYSTERESIS if was else 1.0)
        return value > _CLAIMED

    def _switch_fact(
        self,
        row: int,
        now_ns: int,
        how: tuple[SwitchStatus, PointQuality],
        ts_source_ns: int,
        *,
        initial: bool = False,
        history: bool = False,
    ) -> SwitchReported:
        element, end = self._switches[row]
        return SwitchReported(
            ts_event_ns=now_ns,
            element=element,
            end=end,
            status=how[0],
            quality=how[1],
            ts_source_ns=ts_source_ns,
            initial=initial,
            history=history,
        )

    def _flow_fact(self, row: int, now_ns: int, said: Said, *, history: bool = False) -> FlowReported:
        element, end = self._flows[row]
        pct = 100.0 * abs(said.value) / self._rating_mw[element]
        return FlowReported(
            ts_event_ns=now_ns,
            element=element,
            from_pct=pct if end == "from" else None,
            to_pct=pct if end == "to" else None,
            quality=PointQuality.GOOD,
            ts_source_ns=said.ts_ns,
            history=history,
        )

    def _site_fact(self, row: int, now_ns: int, said: Said, *, initial: bool) -> ControlReported:
        return ControlReported(ts_event_ns=now_ns, site=self._sites[row], asserted=said.state, ts_source_ns=said.ts_ns, initial=initial)


def _position(value: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the places of the statuses that double-point values mean."""
    position = np.trunc(value)
    return np.where(position == _OPEN_VALUE, _OPEN, np.where(position == _CLOSED_VALUE, _CLOSED, _BETWEEN))
