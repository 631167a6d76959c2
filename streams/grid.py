"""The grid processor: area snapshots in; key figures, pictures of the grid, frozen inputs and requests for a day-ahead result out.

One instance sees the whole grid, tick by tick. Schedules and commitments reach it on the same topic as the snapshots, so that the
order of everything it knows is the order of one partition, and a replay computes the same figures.

Areas write their snapshots without waiting for each other, so one may be some ticks ahead. Snapshots therefore wait, each in the queue
of its area, until every area has reached their tick; the image of a tick is made of snapshots of that tick and of nothing later. Which
area came first changes nothing. A snapshot in parts is there when its last part is. An area that stays behind while several ticks pass is
given up until it reports again; it is shown by its last snapshot, which goes on ageing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from market.facts import EstimateReported
from market.outcomes import ClearingInputs
from market.units import NS_PER_H, NS_PER_MIN, NS_PER_S, civil_day, day_start_ns
from streams import clearing, clearingtimes, gate, loadforecast
from streams.clearing import DayAheadPlan, DayAheadWanted, IntervalPlan
from streams.figures import GridModel, KeyFigures, Sums
from streams.gridpicture import GridPicture, Noticed, Pictures
from streams.image import AreaSnapshot, GridImage, image_of
from streams.kpis import KpiFrame
from streams.lookahead import periods_ahead
from streams.stateestimate import EstimateState, StateEstimate

__all__ = ["GridProcessor", "GridState", "decode_state", "encode_state"]

_PATIENCE_NS: Final = 60 * NS_PER_S
_PATIENCE_TICKS: Final = 3
"""A tick is computed without an area once so many ticks wait for it, and the newest of them is so much later. Both, because ticks may
be a second apart or a minute, and because after a pause two ticks are far apart though nobody lags."""

_ASK_AGAIN_NS: Final = 10 * NS_PER_MIN
"""A day-ahead result that was asked for and did not come is asked for again after this long."""

_WITHOUT_PLAN_NS: Final = 15 * NS_PER_MIN
"""Intervals wait this long for a day-ahead plan. Then they are cleared without one: every unit counts as committed, which is a worse
price than a commitment gives, and a better one than the breaker's."""

_DAY_AHEAD_HOUR: Final = 17
"""Local hour at which the next operating day's result is made: half an hour before it is to be published (Art. 9, 17:30)."""

_PLANS_KEPT: Final = 3

Effect = KpiFrame | GridPicture | ClearingInputs | DayAheadWanted | EstimateReported


@dataclass(frozen=True, slots=True, kw_only=True)
class GridState:
    """What is remembered from tick to tick and across a restart.

    Attributes:
        offset: offset of the last record taken in, -1 before the first.
        last_tick_ns: the last tick computed.
        gap_ns: from the tick before to the last one, 0 before there were two.
        tick_ns: spacing of the ticks: the last gap that was the same twice running, 0 before there was one.
        lost: areas that had not reached the last tick; the next one does not wait for them.
        last_gated_ns: start of the last interval whose inputs were frozen.
        asked: operating day → when its day-ahead result was asked for, first and last.
        plans: schedules of recent and coming intervals.
        commitments: day-ahead plans by day, at most three.
        sums: what figures over a length of time are counted from.
        estimate: what the state estimate remembers.
        noticed: what the last picture of a large grid told.
    """

    v: int = 1
    offset: int = -1
    last_tick_ns: int = 0
    gap_ns: int = 0
    tick_ns: int = 0
    lost: tuple[str, ...] = ()
    last_gated_ns: int = 0
    asked: dict[str, tuple[int, int]] = field(default_factory=dict)
    plans: tuple[IntervalPlan, ...] = ()
    commitments: tuple[DayAheadPlan, ...] = ()
    sums: Sums = field(default_factory=Sums)
    estimate: EstimateState = field(default_factory=EstimateState)
    noticed: Noticed = field(default_factory=Noticed)


_STATE: Final = msgspec.json.Decoder(GridState)


def encode_state(state: GridState) -> bytes:
    """Write the state for the table."""
    return msgspec.json.encode(state)


def decode_state(raw: bytes) -> GridState:
    """Read back what :func:`encode_state` wrote.

    Raises:
        msgspec.DecodeError: not a grid state: an invariant is broken, and the worker must not go on.
    """
    return _STATE.decode(raw)


class GridProcessor:
    """Folds snapshots, schedules and commitments into key figures and frozen inputs.

    What it does next follows from :attr:`state` and from the snapshots it holds, and from nothing else. For a restart to change nothing,
    :meth:`held` of a snapshot's area is kept whenever a snapshot was taken in, and then the state whenever there were effects or the
    record was no snapshot. Records after the state's offset are taken in again.

    Args:
        model: the grid.
        state: what was remembered, for a restart.
        snapshots: what :meth:`held` gave last for each area, for a restart.
    """

    def __init__(self, model: GridModel, state: GridState | None = None, snapshots: Iterable[AreaSnapshot] = ()) -> None:
        self.model = model
        self.state = state or GridState()
        self._figures = KeyFigures(model)
        self._estimate = StateEstimate(
            model.network,
            model.units,
            model.table,
            model.rules.bad_data,
            unmeasured=model.unmeasured_buses,
            branches_out=model.branches_out,
        )
        sources = sorted({unit.bus for unit in model.units.values()})
        self._pictures = Pictures(model.network, model.table, sources, model.branches_out, model.ordinary_mw)
        self._held: dict[str, list[tuple[AreaSnapshot, ...]]] = {area: [] for area in model.areas}
        """Whole snapshots of each area, in order, each as its parts."""
        self._coming: dict[str, list[AreaSnapshot]] = {area: [] for area in model.areas}
        """Parts of the snapshot of each area that is not whole yet."""
        for snapshot in sorted(snapshots, key=lambda snapshot: (snapshot.ts_event_ns, snapshot.part)):
            self._hold(snapshot)

    def held(self, area: str) -> tuple[AreaSnapshot, ...]:
        """Return an area's snapshots that a restart needs: the newest of its past, and those of ticks computed just now or to come."""
        return (*(part for whole in self._held.get(area, ()) for part in whole), *self._coming.get(area, ()))

    def take(self, record: AreaSnapshot | IntervalPlan | DayAheadPlan) -> tuple[Effect, ...]:
        """Take in one record of the topic; one that was taken in before changes nothing."""
        match record:
            case AreaSnapshot():
                # Not when a tick is done: until the state that says so is kept, a restart needs what it was made of.
                self._forget_past()
                self._hold(record)
                # Also when the record is known: before a crash it may have been kept, and its tick not computed.
                return self._ticks()
            case IntervalPlan():
                kept = tuple(p for p in self.state.plans if p.interval_start_ns != record.interval_start_ns)
                noted = replace(self.state.sums, clearing=clearingtimes.noted(self.state.sums.clearing, record, self.model.rules))
                self.state = replace(self.state, plans=(*kept, record)[-_PLANS_KEPT:], sums=noted)
            case DayAheadPlan():
                kept_days = tuple(p for p in self.state.commitments if p.day != record.day)
                self.state = replace(self.state, commitments=(*kept_days, record)[-_PLANS_KEPT:])
        return ()

    def _hold(self, snapshot: AreaSnapshot) -> None:
        """Put a snapshot in its area's queue when it is whole; a repeat is dropped, and so is an area that the model no longer has."""
        queue = self._held.get(snapshot.area)
        if queue is None or (queue and snapshot.ts_event_ns <= _ts_ns(queue[-1])):
            return
        coming = self._coming[snapshot.area]
        if coming and _ts_ns(coming) < snapshot.ts_event_ns:
            coming.clear()  # parts follow each other: the rest of it was lost, and the area is as if it had written nothing
        # After a crash parts are written again from the first one on; those that are there are repeats.
        if snapshot.part != len(coming) or (coming and _ts_ns(coming) != snapshot.ts_event_ns):
            return
        coming.append(snapshot)
        if len(coming) == snapshot.parts:
            queue.append(tuple(coming))
            coming.clear()

    def _forget_past(self) -> None:
        """Keep of each area's past the newest snapshot only: the one that stands for an area which lags."""
        for queue in self._held.values():
            past = sum(_ts_ns(whole) <= self.state.last_tick_ns for whole in queue)
            del queue[: max(past - 1, 0)]

    def _ticks(self) -> tuple[Effect, ...]:
        """Compute every tick that can be computed, in order."""
        effects: list[Effect] = []
        while (tick_ns := self._complete_tick_ns()) is not None:
            effects += self._computed(tick_ns)
        return tuple(effects)

    def _complete_tick_ns(self) -> int | None:
        """Return the next tick if every area has reached it, or if those that have not were waited for long enough."""
        last_ns = self.state.last_tick_ns
        waiting = sorted({ts_ns for queue in self._held.values() for whole in queue if (ts_ns := _ts_ns(whole)) > last_ns})
        if not waiting:
            return None
        missed = self._short_of(waiting[0]) - set(self.state.lost)
        patient = len(waiting) < _PATIENCE_TICKS or waiting[-1] - waiting[0] < _PATIENCE_NS
        return None if missed and patient else waiting[0]

    def _short_of(self, tick_ns: int) -> set[str]:
        """Return the areas that have written nothing of this tick or a later one."""
        return {area for area, queue in self._held.items() if not queue or _ts_ns(queue[-1]) < tick_ns}

    def _computed(self, tick_ns: int) -> tuple[Effect, ...]:
        """Compute one tick."""
        state = self.state
        gap_ns = tick_ns - state.last_tick_ns if state.last_tick_ns else 0
        spacing_ns = gap_ns if gap_ns and gap_ns == state.gap_ns else state.tick_ns
        reached = [[whole for whole in queue if _ts_ns(whole) <= tick_ns] for queue in self._held.values()]
        image = image_of(tick_ns, self.model.table, [part for past in reached if past for part in past[-1]])
        # An image stands for the time since the one before it, but not for a time when there should have been others.
        frame, sums = self._figures.of(image, state.plans, state.commitments, state.sums, gap_ns, min(gap_ns, spacing_ns))
        lost = tuple(sorted(self._short_of(tick_ns)))
        estimate, report = self._estimate.taken(image, frame.lines_open, state.estimate)
        frame = replace(frame, system=frame.system | estimate.figures)
        picture, noticed = self._pictures.of(image, frame.lines_open, estimate.figures.get("observable_pct"), state.noticed)
        self.state = replace(
            state, last_tick_ns=tick_ns, gap_ns=gap_ns, tick_ns=spacing_ns, lost=lost, sums=sums, estimate=estimate, noticed=noticed
        )
        return (frame, picture, *(() if report is None else (report,)), *self._wanted(tick_ns), *self._gate(image))

    def _wanted(self, now_ns: int) -> tuple[DayAheadWanted, ...]:
        """Ask for today's day-ahead result where it is missing, and for tomorrow's when it is time; ask again where none came."""
        if not self.model.day_ahead:
            return ()
        zone = self.model.rules.zone
        days = [civil_day(now_ns, zone)]
        if now_ns >= day_start_ns(days[0], zone) + _DAY_AHEAD_HOUR * NS_PER_H:
            days.append(civil_day(now_ns + 24 * NS_PER_H, zone))
        made = {plan.day for plan in self.state.commitments}
        asked = {day: when for day, when in self.state.asked.items() if day in days}
        wanted = [day for day in days if day not in made and (day not in asked or now_ns - asked[day][1] >= _ASK_AGAIN_NS)]
        for day in wanted:
            asked[day] = (asked.get(day, (now_ns,))[0], now_ns)
        self.state = replace(self.state, asked=asked)
        return tuple(DayAheadWanted(ts_event_ns=now_ns, day=day) for day in wanted)

    def _gate(self, image: GridImage) -> tuple[ClearingInputs, ...]:
        start_ns = clearing.due_gate_ns(image.ts_event_ns, self.state.last_gated_ns, self.model.rules)
        if start_ns is None:
            return ()
        zone = self.model.rules.zone
        plan = clearing.day_plan(self.state.commitments, start_ns, zone)
        if plan is None and self.model.day_ahead:
            first_ns, _ = self.state.asked.get(civil_day(start_ns, zone), (image.ts_event_ns, 0))
            if image.ts_event_ns - first_ns < _WITHOUT_PLAN_NS:
                return ()  # asked for; a coming tick freezes with it
        self.state = replace(self.state, last_gated_ns=start_ns)
        off = clearing.units_off(tuple(self.model.units.values()), plan, start_ns, zone)
        frozen = clearing.freeze(start_ns, image, self.model.table, self._figures.points, self.model.units)
        sums = self.state.sums
        ready = gate.prepared(frozen, image, self.model, self._figures.points, self.state.plans, self.state.commitments, sums.load_forecast)
        noted = loadforecast.noted(sums.load_forecast, start_ns, sum(ready.load_mw.values()))
        self.state = replace(self.state, sums=replace(sums, load_forecast=noted))
        ready = replace(
            ready,
            units_off=tuple(sorted({*off, *self.model.units_off})),
            out_of_service=tuple(sorted({*ready.out_of_service, *self.model.branches_out})),
        )
        units, always_off = tuple(self.model.units.values()), self.model.units_off
        load = sums.load_forecast
        return (
            replace(
                ready,
                ahead=periods_ahead(ready, self.model.look_ahead, units, always_off, self.state.commitments, load, self.model.rules),
            ),
        )


def _ts_ns(parts: Sequence[AreaSnapshot]) -> int:
    """Return the tick of a snapshot."""
    return parts[0].ts_event_ns
