"""Which units should run, so that the day costs least?

Unit commitment as a mixed-integer program (:mod:`market.ucmodel` holds its columns and rows), searched by HiGHS from the answer of the
priority list. Units are switched at the start of slots and dispatched in periods: hours and quarters of an hour by default, because
a plant is started for an hour and the day ahead is cleared by quarters.

The network is not in the program at first. Lines whose flow exceeds their limit in the relaxed answer, or later in the answer itself,
enter as priced rows, each for the periods it is exceeded in, and the program is solved again: few lines ever bind.

The answer is the same on every run: units are taken in the order of their ids, and the search ends by its gap or by counted work.

Absent on purpose: outages (N-1) and reserve by area, which dispatch looks after; storage; start-up costs by how cold a unit is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np

from market.commitment import RESERVE_SHARE, commit
from market.errors import CaseError
from market.grid import BoolArray, FloatArray, IndexArray, Topology
from market.milp import Found, MixedProgram, Search, SearchSeen
from market.offers import Control, Unit
from market.progress import Phase, Progress
from market.uccuts import LineRows, steps_lacking
from market.ucmodel import CommitmentModel, Day, Fleet, Penalties, RowBlock, matrix_of

__all__ = ["Before", "CommitmentInputs", "CommitmentParams", "Committed", "NotCommitted", "OnProgress", "commit_units"]

OnProgress = Callable[[Progress], None]
"""Told how far a run is; shapes nothing."""

_MW_LARGEST = 1e9
_WHOLE = 1e-6
_RELAXED_ROUNDS_MAX = 50
_AROUND_MIN = 120
"""A unit's switching is searched this far to either side of where the relaxed answer has it, min."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """How a unit enters the horizon.

    Attributes:
        on: whether it runs.
        hours: how long it has been on, or off, h.
        output_mw: its output where it runs, MW; beyond its range counts as at the edge.
    """

    on: bool
    hours: float
    output_mw: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentParams:
    """What shapes a commitment besides its inputs.

    Attributes:
        gap: relative distance from the bound at which an answer is good enough.
        nodes_max: most nodes of the search tree; with 0 only what is near the relaxed answer is searched.
        near_nodes_max: most nodes there.
        stall_nodes_max: most of them without any improvement.
        reserve_share: reserve to hold, as a share of the load.
        largest: whether the output of the largest running unit is held as well.
        reserve_min: how fast reserve must be there, min: a unit counts with what its ramp reaches in this time.
        line_share: how much of a line's limit may be planned with.
        rounds_max: most searches; after all but the last, lines found exceeded are added.
        penalties: what violations cost.
    """

    gap: float = 1e-3
    nodes_max: int = 2_000
    near_nodes_max: int = 100
    stall_nodes_max: int = 500
    reserve_share: float = RESERVE_SHARE
    largest: bool = True
    reserve_min: float = 60.0
    line_share: float = 1.0
    rounds_max: int = 3
    penalties: Penalties = field(
        default_factory=lambda: Penalties(balance_per_mwh=45_000.0, reserve_per_mwh=3_000.0, curtailment_per_mwh=15.0, line_per_mwh=7_500.0)
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class CommitmentInputs:
    """What is to be committed for; nu units, P periods.

    Attributes:
        units: in any order.
        load_mw: (P,) system load; with a topology (P, nb), by bus.
        available_mw: what each unit limited by nature can give, by id, (P,).
        period_min: length of a period, min.
        commit_every: periods of a slot.
        before: how units enter the horizon; one that is not named may begin as it likes, at no cost, from any output.
        units_off: units that may not run.
        topology: the wires, or None for a commitment that does not look at them.
    """

    units: tuple[Unit, ...]
    load_mw: FloatArray
    available_mw: Mapping[str, FloatArray]
    period_min: float = 15.0
    commit_every: int = 4
    before: Mapping[str, Before] = field(default_factory=dict)
    units_off: frozenset[str] = frozenset()
    topology: Topology | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Committed:
    """A commitment; units in the order they were given.

    Attributes:
        on: (P, nu) whether each unit is on; wind, sun and water always are, unless they are off.
        output_mw: (P, nu) the outputs it was planned with, MW; dispatch decides.
        cost: offers, minimum-output costs and starts of the horizon, with penalties, in the case's money.
        bound: no commitment costs less.
        gap: distance between the two, relative to the cost.
        nodes: nodes of the search tree.
        proven: whether the gap that was asked for was reached.
        shed_mw, spill_mw, short_mw: (P,) load not served, output nobody takes, reserve that is short.
        lines: branches that entered as rows, sorted.
    """

    on: BoolArray
    output_mw: FloatArray
    cost: float
    bound: float
    gap: float
    nodes: int
    proven: bool
    shed_mw: FloatArray
    spill_mw: FloatArray
    short_mw: FloatArray
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCommitted:
    """The search ended without any commitment; ``status`` is the solver's own word."""

    status: str


def commit_units(
    inputs: CommitmentInputs, params: CommitmentParams | None = None, on_progress: OnProgress | None = None
) -> Committed | NotCommitted:
    """Choose the running units of each period, at least cost.

    Args:
        inputs: units, load, weather.
        params: when to stop, and what violations cost.
        on_progress: told how far the run is.

    Returns:
        The commitment, or that the search ended without one.

    Raises:
        CaseError: data that are no numbers, contradict each other, or name units there are not.
    """
    params = params or CommitmentParams()
    _check(inputs)
    return _Run(inputs, params, on_progress or (lambda progress: None)).result()


def _check(inputs: CommitmentInputs) -> None:
    names = {unit.id for unit in inputs.units}
    if len(names) != len(inputs.units):
        raise CaseError("commitment: a unit is named twice; give each its own name")
    periods = len(inputs.load_mw)
    if not periods or inputs.commit_every < 1 or periods % inputs.commit_every or not inputs.period_min > 0:
        raise CaseError(
            f"commitment: {periods} periods of {inputs.period_min} min in slots of {inputs.commit_every}; let slots divide them"
        )
    if bad := np.flatnonzero(~(np.abs(np.reshape(inputs.load_mw, (periods, -1))) <= _MW_LARGEST).all(axis=1)).tolist():
        raise CaseError(f"commitment: the load of period {bad[0]} is no number; give MW")
    if np.ndim(inputs.load_mw) == 2 and inputs.topology is None:
        raise CaseError("commitment: loads by bus without a topology; give the topology, or the sum")
    if inputs.topology is not None and np.shape(inputs.load_mw) != (periods, inputs.topology.network.n_buses):
        raise CaseError(f"commitment: loads of {np.shape(inputs.load_mw)} for {inputs.topology.network.n_buses} buses; give one per bus")
    for what, found in (("before", inputs.before.keys()), ("off", inputs.units_off), ("available", inputs.available_mw.keys())):
        if strange := sorted(set(found) - names):
            raise CaseError(f"commitment: {what} names units there are not: {', '.join(strange[:5])}; correct the names")
    for name, available in inputs.available_mw.items():
        if np.shape(available) != (periods,) or not (np.abs(available) <= _MW_LARGEST).all() or (np.asarray(available) < 0).any():
            raise CaseError(f"commitment: what {name} can give is not {periods} numbers of 0 MW or more; correct the forecast")
    for name, before in inputs.before.items():
        if not (before.hours >= 0 and abs(before.output_mw) <= _MW_LARGEST):
            raise CaseError(f"commitment: how {name} enters the day is no number; give hours and MW")
    if lost := [
        u.id for u in inputs.units if u.control is not Control.DISPATCHABLE and u.id not in {*inputs.available_mw, *inputs.units_off}
    ]:
        raise CaseError(f"commitment: no availability for units {', '.join(sorted(lost)[:5])}; state it, or name them as off")


class _Run:
    """One commitment, from inputs to answer."""

    def __init__(self, inputs: CommitmentInputs, params: CommitmentParams, on_progress: OnProgress) -> None:
        self._inputs, self._params, self._tell = inputs, params, on_progress
        units = sorted(inputs.units, key=lambda unit: unit.id)
        periods = len(inputs.load_mw)
        self._switched = tuple(unit for unit in units if unit.control is Control.DISPATCHABLE)
        self._nature = tuple(u for u in units if u.control is Control.CURTAILABLE and u.id not in inputs.units_off)
        self._given = tuple(u for u in units if u.control is Control.FIXED and u.id not in inputs.units_off)
        self._fleet = Fleet(self._switched, inputs.period_min, inputs.commit_every)
        none = np.zeros((periods, 0))
        self._available = np.column_stack([none, *(np.minimum(inputs.available_mw[u.id], max(u.p_max_mw, 0.0)) for u in self._nature)])
        self._injected = np.column_stack([none, *(inputs.available_mw[u.id] for u in self._given)])
        self._total_mw: FloatArray = np.reshape(inputs.load_mw, (periods, -1)).sum(axis=1)
        self._model = CommitmentModel(
            self._fleet,
            self._day(),
            params.penalties,
            period_min=inputs.period_min,
            per_slot=inputs.commit_every,
            reserve_min=params.reserve_min,
        )
        model = self._model
        self._on: IndexArray = model.on.ravel().astype(np.int32)
        matrix, low, high = matrix_of(model.blocks, model.columns)
        self._program = MixedProgram(model.cost, model.low, model.high, model.whole, matrix, low, high, model.offset)
        self._lines: LineRows | None = None
        if inputs.topology is not None:
            bus_of = inputs.topology.network.bus_index
            places = [[bus_of[u.bus] for u in units] for units in (self._switched, self._nature, self._given)]
            withdrawn_mw = inputs.load_mw.copy()
            np.subtract.at(withdrawn_mw.T, np.array(places[2], dtype=np.intp), self._injected.T)
            self._lines = LineRows(inputs.topology, model, withdrawn_mw, inputs.load_mw, (places[0], places[1]), params.line_share)

    def _day(self) -> Day:
        inputs, n = self._inputs, len(self._switched)
        slots, slot_h = len(inputs.load_mw) // inputs.commit_every, inputs.period_min * inputs.commit_every / 60
        low, high = np.zeros((slots, n)), np.ones((slots, n))
        on_before, above_mw = np.full(n, np.nan), np.zeros(n)
        for i, unit in enumerate(self._switched):
            if unit.must_run:
                low[:, i] = 1.0
            if (before := inputs.before.get(unit.id)) is not None:
                on_before[i] = float(before.on)
                above_mw[i] = np.clip(before.output_mw, unit.p_min_mw, unit.p_max_mw) - unit.p_min_mw if before.on else 0.0
                held = ceil(max((unit.min_up_h if before.on else unit.min_down_h) - before.hours, 0.0) / slot_h - 1e-9)
                low[:held, i], high[:held, i] = (1.0, 1.0) if before.on else (0.0, 0.0)
            if unit.id in inputs.units_off:
                low[:, i] = high[:, i] = 0.0  # what cannot run does not, whatever else is asked of it
        return Day(
            load_mw=self._total_mw - self._injected.sum(axis=1),
            nature_mw=self._available,
            nature_per_mwh=np.array([unit.segments[0].price_per_mwh if unit.segments else 0.0 for unit in self._nature]),
            reserve_mw=self._params.reserve_share * self._total_mw,
            largest=self._params.largest,
            on_low=low,
            on_high=high,
            on_before=on_before,
            above_before_mw=above_mw,
        )

    def result(self) -> Committed | NotCommitted:
        params = self._params
        self._tell(Progress(phase=Phase.RELAXATION))
        relaxed = self._relaxed()
        if relaxed.x is None:
            return NotCommitted(status=relaxed.status)
        found = self._near(relaxed)
        for _ in range(params.rounds_max):
            if params.nodes_max and (found.x is None or _gap(found, relaxed) > params.gap):
                start = self._listed() if found.x is None else (self._on, found.x[self._on])
                found = self._search(start, params.nodes_max, relaxed.objective)
            if found.x is None or not self._add_lines(found.x):
                break
            relaxed = self._relaxed()
            found = self._near(relaxed)
        if found.x is None:
            found = self._search(self._listed(), 1, relaxed.objective)
        return (
            NotCommitted(status=found.status) if found.x is None else self._committed(found.x, found, max(found.bound, relaxed.objective))
        )

    def _relaxed(self) -> Found:
        """Solve without whole numbers, adding the rows that this answer lacks: steps of offers, and lines."""
        found = self._program.relaxed()
        for _ in range(_RELAXED_ROUNDS_MAX):
            if found.x is None:
                return found
            steps = steps_lacking(self._model, found.x)
            if steps is not None:
                self._add(steps)
            if not self._add_lines(found.x) and steps is None:
                return found
            found = self._program.relaxed()
        return found

    def _add(self, block: RowBlock) -> None:
        matrix, low, high = matrix_of([block], self._program.columns)
        self._program.add_rows(low, high, matrix)

    def _add_lines(self, x: FloatArray) -> bool:
        """Add the lines that an answer exceeds, with what exceeding them costs; tell whether there were any."""
        if self._lines is None or not (lacking := self._lines.lacking(x)):
            return False
        over = self._program.columns
        penalty = self._params.penalties.line_per_mwh * self._inputs.period_min / 60
        self._program.add_columns(np.full(2 * len(lacking), penalty), np.full(2 * len(lacking), np.inf))
        self._add(self._lines.rows(lacking, over))
        return True

    def _near(self, relaxed: Found) -> Found:
        """Search near the relaxed answer: what it leaves no doubt about, and what is far from any switching, stays as it is.

        Relaxation-induced fixing; what is left is small, and its best is seldom a per cent above the relaxed cost.
        """
        assert relaxed.x is not None
        on = relaxed.x[self._model.on]
        doubtful = np.abs(on - np.round(on)) > _WHOLE
        doubtful[1:] |= np.abs(np.diff(on, axis=0)) > _WHOLE
        around = ceil(_AROUND_MIN / (self._inputs.period_min * self._inputs.commit_every))
        free = doubtful.copy()
        for k in range(1, min(around, len(on) - 1) + 1):
            free[k:] |= doubtful[:-k]
            free[:-k] |= doubtful[k:]
        low, high = self._model.low[self._model.on], self._model.high[self._model.on]
        self._program.bound(self._on, np.where(free, low, np.round(on)).ravel(), np.where(free, high, np.round(on)).ravel())
        found = self._search(None, self._params.near_nodes_max, relaxed.objective, everywhere=False)
        self._program.bound(self._on, low.ravel(), high.ravel())
        # Nothing was proven of what lies further away.
        return replace(found, bound=relaxed.objective)

    def _search(self, start: tuple[IndexArray, FloatArray] | None, nodes_max: int, least: float, *, everywhere: bool = True) -> Found:
        params = self._params

        def seen(search: SearchSeen) -> None:
            best = search.best if np.isfinite(search.best) else None
            # What is proven of a neighbourhood holds for nothing outside it.
            bound = max(search.bound, least) if everywhere else least
            gap = None if best is None else max(best - bound, 0.0) / max(abs(best), 1e-9)
            self._tell(Progress(phase=Phase.COMMITMENT, incumbent=best, bound=bound, gap=gap, nodes=search.nodes))

        return self._program.search(Search(gap=params.gap, nodes_max=nodes_max, stall_nodes_max=params.stall_nodes_max), start, seen)

    def _listed(self) -> tuple[IndexArray, FloatArray]:
        """Return the answer of the priority list as a start for the search."""
        every, fleet = self._inputs.commit_every, self._fleet
        # The list counts in hours, whatever an hour is.
        times = zip(self._switched, fleet.up_slots.tolist(), fleet.down_slots.tolist(), strict=True)
        units = [replace(unit, min_up_h=up, min_down_h=down) for unit, up, down in times]
        load_mw = (self._total_mw - self._injected.sum(axis=1)).reshape(-1, every).max(axis=1)
        nature_mw = self._available.sum(axis=1).reshape(-1, every).min(axis=1)
        on = commit(units, load_mw, nature_mw, self._params.reserve_share)
        model = self._model
        bounded: FloatArray = np.clip(on, model.low[model.on], model.high[model.on]).astype(np.float64)
        return self._on, bounded.ravel()

    def _committed(self, x: FloatArray, found: Found, bound: float) -> Committed:
        inputs, model, periods = self._inputs, self._model, len(self._inputs.load_mw)
        on = {u.id: np.repeat(x[model.on[:, i]] > 0.5, inputs.commit_every) for i, u in enumerate(self._switched)}
        output = {u.id: x[model.output[:, i]] for i, u in enumerate(self._switched)}
        output |= {u.id: x[model.nature[:, k]] for k, u in enumerate(self._nature)}
        output |= {u.id: self._injected[:, k] for k, u in enumerate(self._given)}
        off, idle = np.zeros(periods, dtype=np.bool_), np.zeros(periods)
        gap = max(found.objective - bound, 0.0) / max(abs(found.objective), 1e-9)
        return Committed(
            on=np.column_stack([on.get(u.id, np.full(periods, u.id in output)) for u in inputs.units] or [off]),
            output_mw=np.column_stack([output.get(u.id, idle) for u in inputs.units] or [idle]),
            cost=found.objective,
            bound=bound,
            gap=gap,
            nodes=found.nodes,
            proven=gap <= self._params.gap,
            shed_mw=x[model.shed],
            spill_mw=x[model.spill],
            short_mw=x[model.short],
            lines=self._lines.names if self._lines is not None else (),
        )


def _gap(found: Found, relaxed: Found) -> float:
    return max(found.objective - relaxed.objective, 0.0) / max(abs(found.objective), 1e-9)
