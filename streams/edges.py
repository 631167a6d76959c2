"""Which of an area's points change what the breaker knows, and what is it told of them?

A switch is told when its position or the quality of that knowledge changes, a flow when it dies or revives, a control site when it
claims or gives up authority. What is newest is told at once. A change that was overtaken by a later report (within the watermark of its
device) is told as history: with its own, older source time, and never as what is so now. If what followed it had been no change before,
and is one now, that is told after it; nothing is told twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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

_STATUS: Final = {1: SwitchStatus.OPEN, 2: SwitchStatus.CLOSED}
_QUALITY: Final = (PointQuality.GOOD, PointQuality.UNCERTAIN, PointQuality.BAD, PointQuality.BAD)


class EdgeState(msgspec.Struct):
    """What is remembered, by point id.

    Attributes:
        switch_told: what was last told of each switch.
        site_told: likewise of each control site.
        flow_dead: flows that are dead.
        known: switches and sites that have said something good before: what they say next is a change.
        past: of points that changed lately.
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
        elif self._quality(row) is not PointQuality.GOOD:
            return
        elif row in self._flows:
            dead = self._is_dead(row, float(self._last.value[row]), was=self._flow_dead.get(row, False))
            if dead is not self._flow_dead.get(row, False):
                self._moved(row, self._newest(row, dead), not dead)
                self._flow_dead[row] = dead
                yield self._flow_fact(row, now_ns, self._newest(row, dead))
        else:
            asserted = bool(self._last.value[row] > 0.5)
            if asserted is not self._site_told.get(row):
                self._moved(row, self._newest(row, asserted), self._site_told.get(row))
                self._site_told[row] = asserted
                yield self._site_fact(row, now_ns, self._newest(row, asserted), initial=row not in self._known)
                self._known.add(row)

    def overtaken(self, row: int, now_ns: int, ts_ns: int, value: float) -> Iterator[Fact]:
        """Tell what a good sample, older than the last value but above the watermark, says of the time it speaks of.

        Of a point whose present state is not good nothing is told: it counts as unseen, whatever it was before.
        """
        if self._quality(row) is not PointQuality.GOOD or not np.isfinite(value):
            return
        if row in self._switches:
            yield from self._switch_history(row, now_ns, ts_ns, value)
        elif row in self._flows:
            past = self._past_of(row, self._flow_dead.get(row, False))
            dead = self._is_dead(row, value, was=bool(past.at(ts_ns)))
            later = not past.said or past.said[-1].ts_ns < ts_ns
            # What revives by its present value revives the harder for having been dead.
            now_dead = self._is_dead(row, float(self._last.value[row]), was=dead) if later else self._flow_dead.get(row, False)
            for said in past.overtaken(Said(ts_ns, dead, value), self._newest(row, now_dead)):
                yield self._flow_fact(row, now_ns, said)
            self._kept(row, past)
            if past.said:
                self._flow_dead[row] = past.said[-1].state
        elif row in self._site_told:
            past = self._past_of(row, self._site_told[row])
            told_ns = max((said.ts_ns for said in past.said if said.told), default=-1)
            for said in past.overtaken(Said(ts_ns, value > 0.5, value), self._newest(row, self._site_told[row])):
                # Claims are taken in the order they are told, so what stands before the last one told is passed over.
                if said.ts_ns > told_ns:
                    yield self._site_fact(row, now_ns, said, initial=False)
            self._kept(row, past)

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
        return {int(ids[row]): bool(self._last.value[row] > 0.5) for row in self._sites if int(ids[row]) in known}

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

    def _newest(self, row: int, state: bool) -> Said:
        return Said(int(self._last.ts_value_ns[row]), state, float(self._last.value[row]))

    def _past_of(self, row: int, state: bool) -> Past:
        """Return a point's recent past; of one that has none, that it was always as it is."""
        return self._past.get(row) or Past(state, [])

    def _kept(self, row: int, past: Past) -> None:
        if past.said:
            self._past[row] = past

    def _moved(self, row: int, said: Said, before: bool | None) -> None:
        """Note a change that is told now; ``said`` is newer than all before it, ``before`` what was so until then."""
        said.told = True
        self._past.setdefault(row, Past(before, [])).said.append(said)

    def _is_dead(self, row: int, mw: float, *, was: bool) -> bool:
        return bool(abs(mw) < self._flows[row][2] * (_ALIVE_HYSTERESIS if was else 1.0))

    def _switch(self, row: int, now_ns: int, quality: PointQuality) -> Iterator[Fact]:
        value = self._last.value[row]
        status = _STATUS.get(int(value), SwitchStatus.INTERMEDIATE) if np.isfinite(value) else SwitchStatus.INTERMEDIATE
        initial = row not in self._known
        before = self._switch_told.get(row, (SwitchStatus.CLOSED, PointQuality.GOOD))
        if quality is PointQuality.GOOD:
            self._known.add(row)
            if initial or status is not before[0]:
                was = None if initial or before[0] is SwitchStatus.INTERMEDIATE else before[0] is SwitchStatus.OPEN
                if status is not SwitchStatus.INTERMEDIATE:
                    self._moved(row, self._newest(row, status is SwitchStatus.OPEN), was)
        if before == (status, quality):
            return
        self._switch_told[row] = (status, quality)
        yield self._switch_fact(row, now_ns, status, quality, max(int(self._last.ts_value_ns[row]), 0), initial=initial)

    def _switch_history(self, row: int, now_ns: int, ts_ns: int, value: float) -> Iterator[Fact]:
        then, (now, quality) = _STATUS.get(int(value)), self._switch_told.get(row, (SwitchStatus.CLOSED, PointQuality.GOOD))
        if then is None or now is SwitchStatus.INTERMEDIATE or quality is not PointQuality.GOOD or row not in self._known:
            return
        past = self._past_of(row, now is SwitchStatus.OPEN)
        for said in past.overtaken(Said(ts_ns, then is SwitchStatus.OPEN, value), self._newest(row, now is SwitchStatus.OPEN)):
            status = SwitchStatus.OPEN if said.state else SwitchStatus.CLOSED
            yield self._switch_fact(row, now_ns, status, PointQuality.GOOD, said.ts_ns, initial=False)
        self._kept(row, past)

    def _switch_fact(
        self, row: int, now_ns: int, status: SwitchStatus, quality: PointQuality, ts_source_ns: int, *, initial: bool
    ) -> SwitchReported:
        element, end = self._switches[row]
        return SwitchReported(
            ts_event_ns=now_ns, element=element, end=end, status=status, quality=quality, ts_source_ns=ts_source_ns, initial=initial
        )

    def _flow_fact(self, row: int, now_ns: int, said: Said) -> FlowReported:
        element, end, _ = self._flows[row]
        pct = 100.0 * abs(said.value) / self._rating_mw[element]
        return FlowReported(
            ts_event_ns=now_ns,
            element=element,
            from_pct=pct if end == "from" else None,
            to_pct=pct if end == "to" else None,
            quality=PointQuality.GOOD,
            ts_source_ns=said.ts_ns,
        )

    def _site_fact(self, row: int, now_ns: int, said: Said, *, initial: bool) -> ControlReported:
        return ControlReported(ts_event_ns=now_ns, site=self._sites[row], asserted=said.state, ts_source_ns=said.ts_ns, initial=initial)
