"""The grid processor: area snapshots in; key figures, frozen inputs and requests for a day-ahead result out.

One instance sees the whole grid, tick by tick. Schedules and commitments reach it on the same topic as the snapshots, so that the
order of everything it knows is the order of one partition, and a replay computes the same figures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from market.outcomes import ClearingInputs
from market.units import NS_PER_H, NS_PER_S, civil_day, day_start_ns
from streams import clearing
from streams.clearing import DayAheadPlan, DayAheadWanted, IntervalPlan
from streams.figures import GridModel, KeyFigures
from streams.image import AreaSnapshot, GridImage, image_of
from streams.kpis import Cps1, KpiFrame

__all__ = ["GridProcessor", "GridState", "decode_state", "encode_state"]

_LAG_NS: Final = 60 * NS_PER_S
"""An area whose snapshots lag by more than this no longer holds up the others; its last values go on ageing in the image."""

_DAY_AHEAD_HOUR: Final = 17
"""Local hour at which the next operating day's result is made: half an hour before it is to be published (Art. 9, 17:30)."""

_PLANS_KEPT: Final = 3

Effect = KpiFrame | ClearingInputs | DayAheadWanted


@dataclass(frozen=True, slots=True, kw_only=True)
class GridState:
    """What is remembered from tick to tick and across a restart.

    Attributes:
        offset: offset of the last record taken in, -1 before the first.
        last_tick_ns: the last tick computed.
        last_gated_ns: start of the last interval whose inputs were frozen.
        asked_days: operating days whose day-ahead result was asked for.
        plans: schedules of recent and coming intervals.
        commitments: day-ahead plans by day, at most three.
        cps1: by area.
    """

    v: int = 1
    offset: int = -1
    last_tick_ns: int = 0
    last_gated_ns: int = 0
    asked_days: tuple[str, ...] = ()
    plans: tuple[IntervalPlan, ...] = ()
    commitments: tuple[DayAheadPlan, ...] = ()
    cps1: dict[str, Cps1] = field(default_factory=dict)


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

    Args:
        model: the grid.
        state: what was remembered, for a restart.
        latest: the latest snapshot of each area, for a restart.
    """

    def __init__(self, model: GridModel, state: GridState | None = None, latest: Iterable[AreaSnapshot] = ()) -> None:
        self.model = model
        self.state = state or GridState()
        self._figures = KeyFigures(model)
        self._latest = {snapshot.area: snapshot for snapshot in latest}

    def take(self, record: AreaSnapshot | IntervalPlan | DayAheadPlan) -> tuple[Effect, ...]:
        """Take in one record of the topic."""
        match record:
            case AreaSnapshot():
                self._latest[record.area] = record
                return self._ticks()
            case IntervalPlan():
                kept = tuple(p for p in self.state.plans if p.interval_start_ns != record.interval_start_ns)
                self.state = replace(self.state, plans=(*kept, record)[-_PLANS_KEPT:])
            case DayAheadPlan():
                kept_days = tuple(p for p in self.state.commitments if p.day != record.day)
                self.state = replace(self.state, commitments=(*kept_days, record)[-_PLANS_KEPT:])
        return ()

    def _ticks(self) -> tuple[Effect, ...]:
        """Compute the tick that all areas have reached, unless it was computed before."""
        if set(self._latest) != set(self.model.areas):
            return ()
        newest_ns = max(s.ts_event_ns for s in self._latest.values())
        tick_ns = min(s.ts_event_ns for s in self._latest.values() if s.ts_event_ns > newest_ns - _LAG_NS)
        if tick_ns <= self.state.last_tick_ns:
            return ()
        self.state = replace(self.state, last_tick_ns=tick_ns)
        image = image_of(tick_ns, self.model.table, [self._latest[area] for area in self.model.areas])
        frame, cps1 = self._figures.of(image, self.state.plans, self.state.commitments, self.state.cps1)
        self.state = replace(self.state, cps1=cps1)
        return (frame, *self._wanted(tick_ns), *self._gate(image))

    def _wanted(self, now_ns: int) -> tuple[DayAheadWanted, ...]:
        """Ask for today's day-ahead result where it is missing, and for tomorrow's when it is time."""
        if not self.model.day_ahead:
            return ()
        zone = self.model.rules.zone
        today = civil_day(now_ns, zone)
        days = [today]
        if now_ns >= day_start_ns(today, zone) + _DAY_AHEAD_HOUR * NS_PER_H:
            days.append(civil_day(now_ns + 24 * NS_PER_H, zone))
        wanted = [day for day in days if day not in self.state.asked_days]
        self.state = replace(self.state, asked_days=(*self.state.asked_days, *wanted)[-2 * _PLANS_KEPT :])
        return tuple(DayAheadWanted(ts_event_ns=now_ns, day=day) for day in wanted)

    def _gate(self, image: GridImage) -> tuple[ClearingInputs, ...]:
        start_ns = clearing.due_gate_ns(image.ts_event_ns, self.state.last_gated_ns, self.model.rules)
        if start_ns is None:
            return ()
        zone = self.model.rules.zone
        plan = next((p for p in self.state.commitments if p.day == civil_day(start_ns, zone)), None)
        if plan is None and self.model.day_ahead:
            return ()  # asked for with this very image; the next tick freezes with it
        self.state = replace(self.state, last_gated_ns=start_ns)
        off = clearing.units_off(tuple(self.model.units.values()), plan, start_ns, zone)
        frozen = clearing.freeze(start_ns, image, self.model.table, self._figures.points, self.model.units)
        return (
            replace(
                frozen,
                units_off=tuple(sorted({*off, *self.model.units_off})),
                out_of_service=tuple(sorted({*frozen.out_of_service, *self.model.branches_out})),
            ),
        )
