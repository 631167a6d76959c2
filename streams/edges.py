"""Which of an area's points change what the breaker knows, and what is it told of them?

A switch is told when its position or the quality of that knowledge changes, a flow when it dies or revives, a control site when it
claims or gives up authority. What is newest is told at once. A change that was overtaken by a later report (within the watermark of its
device) is told as history: with its own, older source time, and never as what is so now. If what followed it had been no change before,
and is one now, that is told after it; nothing is told twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.points import PointTable
from market.facts import ControlReported, Fact, FlowReported, PointQuality, SwitchReported, SwitchStatus
from streams.lastvalues import LastValues
from streams.past import Past, Said

__all__ = ["EdgeState", "Edges"]

_ALIVE_HYSTERESIS: Final = 2.0
"""A dead flow counts as alive again above this many times the dead threshold, so that noise at the threshold is not news."""

_OPEN: Final = 1
_CLAIMED: Final = 0.5
_STATUS: Final = {1: SwitchStatus.OPEN, 2: SwitchStatus.CLOSED}
_QUALITY: Final = (PointQuality.GOOD, PointQuality.UNCERTAIN, PointQuality.BAD, PointQuality.BAD)


class EdgeState(msgspec.Struct):
    """What is remembered, by point id.

    Attributes:
        switch_told: what was last told of each switch.
        site_told: likewise of each control site.
        flow_dead: flows that are dead.
        known: switches and sites that have said something good before: what they say next is a change.
        past: what each said lately.
    """

    switch_told: dict[int, tuple[SwitchStatus, PointQuality]]
    site_told: dict[int, bool]
    flow_dead: list[int]
    known: list[int]
    past: dict[int, Past]


class Edges:
    """The points of an area whose changes are told.

    Args:
        table: the area's points.
        last: their last values.
        rating_mw: continuous rating of every branch that has a flow point here, MW.
        dead_flow_pct: loading below which a branch end carries nothing, % of rating.
    """

    def __init__(self, table: PointTable, last: LastValues, rating_mw: Mapping[str, float], dead_flow_pct: float) -> None:
        self._table = table
        self._last = last
        self._rating_mw = rating_mw
        self._switches: dict[int, tuple[str, str]] = {}
        self._switch_told: dict[int, tuple[SwitchStatus, PointQuality]] = {}
        self._flows: dict[int, tuple[str, str, float]] = {}
        self._flow_dead: dict[int, bool] = {}
        self._sites: dict[int, str] = {row: site for site, row in table.named("site")}
        self._site_told: dict[int, bool] = {}
        self._known: set[int] = set()
        self._past: dict[int, Past] = {}
        for end in ("from", "to"):
            for element, row in table.named("switch", end):
                self._switches[row] = (element, end)
            for element, row in table.named("branch", f"{end}_mw"):
                if element in rating_mw:
                    self._flows[row] = (element, end, dead_flow_pct / 100.0 * rating_mw[element])
        self.is_edge: NDArray[np.bool_] = np.zeros(len(table), dtype=bool)
        """(n,) whether a point is one of these."""
        for rows in (self._switches, self._flows, self._sites):
            self.is_edge[list(rows)] = True

    def changed(self, row: int, now_ns: int) -> Iterator[Fact]:
        """Tell what a fresh sample changed, if it changed anything; the last values hold it already."""
        if row in self._switches:
            yield from self._switch(row, now_ns, self._quality(row))
        elif self._quality(row) is PointQuality.GOOD:
            was = self._flow_dead.get(row, False) if row in self._flows else self._site_told.get(row)
            state = self._state_of(row, float(self._last.value[row]), bool(was))
            said = self._noted(row, was, state, told=state is not was)
            if said.told and row in self._flows:
                self._flow_dead[row] = state
                yield self._flow_fact(row, now_ns, said)
            elif said.told:
                self._site_told[row] = state
                yield self._site_fact(row, now_ns, said, initial=row not in self._known)
                self._known.add(row)

    def overtaken(self, row: int, now_ns: int, ts_ns: int, value: float) -> Iterator[Fact]:
        """Tell what a good sample, older than the last value but above the watermark, says of the time it speaks of.

        Of a point whose present state is not good nothing is told: it counts as unseen, whatever it was before.
        """
        past = self._past.get(row)
        if past is None or self._quality(row) is not PointQuality.GOOD or not np.isfinite(value):
            return
        if row in self._switches:
            now, quality = self._switch_told.get(row, (SwitchStatus.CLOSED, PointQuality.GOOD))
            if int(value) not in _STATUS or now is SwitchStatus.INTERMEDIATE or quality is not PointQuality.GOOD:
                return
        told_ns = max((said.ts_ns for said in past.said if said.told), default=-1)
        changes = past.overtaken(ts_ns, value, partial(self._state_of, row))
        if row in self._switches:
            for said in changes:
                status = SwitchStatus.OPEN if said.state else SwitchStatus.CLOSED
                yield self._switch_fact(row, now_ns, status, PointQuality.GOOD, said.ts_ns, history=True)
        elif row in self._flows:
            # A flow that wavers at the threshold is dead or alive by what it was before: then the present has changed too.
            present = past.said[-1].state is not self._flow_dead.get(row, False)
            self._flow_dead[row] = past.said[-1].state
            for said in changes:
                yield self._flow_fact(row, now_ns, said, history=not (present and said is changes[-1]))
        else:
            # Claims are taken in the order they are told, so what stands before the last one told is passed over.
            for said in changes:
                if said.ts_ns > told_ns:
                    yield self._site_fact(row, now_ns, said, initial=False)

    def aged(self, stale: NDArray[np.bool_], now_ns: int) -> Iterator[Fact]:
        """Tell which switches are not seen any more, or again; ``stale`` is (n,)."""
        for row in self._switches:
            if stale[row]:
                yield from self._switch(row, now_ns, PointQuality.STALE)
            elif self._switch_told.get(row, (None, None))[1] is PointQuality.STALE:
                yield from self._switch(row, now_ns, self._quality(row))

    def forget(self, watermark_ns: Mapping[str, int]) -> None:
        """Forget what nothing can overtake any more, by the watermarks of the devices."""
        for row, past in list(self._past.items()):
            past.forget(watermark_ns[self._table.specs[row].device])
            if not past.said:
                del self._past[row]

    def state(self) -> EdgeState:
        """Return what is remembered."""
        ids = self._table.ids
        return EdgeState(
            switch_told={int(ids[row]): told for row, told in self._switch_told.items()},
            site_told={int(ids[row]): told for row, told in self._site_told.items()},
            flow_dead=[int(ids[row]) for row, dead in self._flow_dead.items() if dead],
            known=sorted(int(ids[row]) for row in self._known),
            past={int(ids[row]): past for row, past in self._past.items()},
        )

    def sites_by_value(self, known: list[int]) -> dict[int, bool]:
        """Return what the known sites said last, by point id; for a state that was written before that was noted."""
        ids = self._table.ids
        return {int(ids[row]): bool(self._last.value[row] > _CLAIMED) for row in self._sites if int(ids[row]) in known}

    def restore(self, state: EdgeState) -> None:
        """Go on from :meth:`state`; points that are no longer listed are forgotten."""
        row_of = {int(point): row for row, point in enumerate(self._table.ids.tolist())}
        self._switch_told = {row_of[point]: told for point, told in state.switch_told.items() if row_of.get(point) in self._switches}
        self._site_told = {row_of[point]: told for point, told in state.site_told.items() if row_of.get(point) in self._sites}
        self._flow_dead = {row_of[point]: True for point in state.flow_dead if row_of.get(point) in self._flows}
        self._known = {row_of[point] for point in state.known if point in row_of}
        self._past = {row_of[point]: past for point, past in state.past.items() if point in row_of and self.is_edge[row_of[point]]}

    def _quality(self, row: int) -> PointQuality:
        return _QUALITY[int(self._last.quality[row]) >> 30]

    def _state_of(self, row: int, value: float, was: bool) -> bool:
        """Return which of two things a value means: a switch open, a flow dead, control claimed."""
        if row in self._switches:
            return int(value) == _OPEN
        if row in self._flows:
            return abs(value) < self._flows[row][2] * (_ALIVE_HYSTERESIS if was else 1.0)
        return value > _CLAIMED

    def _noted(self, row: int, before: bool | None, state: bool, *, told: bool) -> Said:
        """Note the last value, which is good, in the point's past."""
        said = Said(int(self._last.ts_value_ns[row]), float(self._last.value[row]), state, told)
        past = self._past.get(row)
        if past is None:
            past = self._past[row] = Past(before, [])
        past.said.append(said)
        return said

    def _switch(self, row: int, now_ns: int, quality: PointQuality) -> Iterator[Fact]:
        value = self._last.value[row]
        status = _STATUS.get(int(value), SwitchStatus.INTERMEDIATE) if np.isfinite(value) else SwitchStatus.INTERMEDIATE
        initial = row not in self._known
        before = self._switch_told.get(row, (SwitchStatus.CLOSED, PointQuality.GOOD))
        if quality is PointQuality.GOOD:
            self._known.add(row)
        if quality is PointQuality.GOOD and status is not SwitchStatus.INTERMEDIATE:
            was = None if initial or before[0] is SwitchStatus.INTERMEDIATE else before[0] is SwitchStatus.OPEN
            self._noted(row, was, status is SwitchStatus.OPEN, told=before != (status, quality))
        if before == (status, quality):
            return
        self._switch_told[row] = (status, quality)
        yield self._switch_fact(row, now_ns, status, quality, max(int(self._last.ts_value_ns[row]), 0), initial=initial)

    def _switch_fact(
        self,
        row: int,
        now_ns: int,
        status: SwitchStatus,
        quality: PointQuality,
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
            status=status,
            quality=quality,
            ts_source_ns=ts_source_ns,
            initial=initial,
            history=history,
        )

    def _flow_fact(self, row: int, now_ns: int, said: Said, *, history: bool = False) -> FlowReported:
        element, end, _ = self._flows[row]
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
