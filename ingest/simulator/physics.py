"""How does the grid move from one event-second to the next?

The state at an event time is a function of the seed, the switches and the base points given so far: nothing here reads a clock.
One second is

1. *Nature*: the loads and availabilities of the instant (:mod:`ingest.simulator.daycurve`);
2. *Dispatch*: each unit moves towards its base point, spread over :data:`~ingest.simulator.gridstate.BASE_RAMP_S`, plus its share of
   its area's regulation, never faster than its ramp. A plant driven by nature follows what is available, unless its base point
   curtails it;
3. *Frequency*, primary response, outputs and loads of every island (:mod:`ingest.simulator.swing`);
4. *Regulation* of the areas (:mod:`ingest.simulator.regulation`).

Base points go stale after :data:`BASE_VALID_S`; from then on the operators' own merit order replaces them every five minutes, each
area serving its load and the exchange last scheduled (:mod:`ingest.simulator.dispatch`). What the market had curtailed stays curtailed:
it may have had a line in mind, and the operators do not look at lines.

Absent on purpose: losses, reactive power, voltage dynamics, protection, minimum up and down times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from ingest.simulator.daycurve import DayCurve, Nature
from ingest.simulator.dispatch import Need, Operators
from ingest.simulator.gridstate import BASE_RAMP_S, STEP_NS, STEP_S, Columns, GridState, Wirings
from ingest.simulator.regulation import REGULATION_NS, Regulation
from ingest.simulator.swing import Swing
from market.grid import BoolArray, FloatArray, sum_by
from market.rts_gmlc import RtsCase
from market.units import NS_PER_S

__all__ = ["BASE_VALID_S", "Physics"]

BASE_VALID_S: Final = 960.0
"""The longest real-time interval in use (15 min) and a minute: older base points are nobody's any more."""

_REPLAN_NS: Final = 300 * NS_PER_S
_AHEAD_NS: Final = 2_700 * NS_PER_S
_RELEASE_PER_MIN: Final = 0.1
"""Plants of nature come back from curtailment at a tenth of their capacity per minute, as grid codes ask of them."""
_START_EXPORT_MW: Final = 400.0
"""At a start the merit order of the whole grid decides who exports, up to this: beyond it the lines would be for the market to watch."""
_CURTAILED_SHARE: Final = 0.01
_CURTAILED_MW: Final = 0.5
"""A base point this close to what is available curtails nothing: what is available moves on while the base point is on its way."""


class Physics:
    """The grid's equations, for one case and one seed.

    Args:
        case: network, units and series.
        seed: of all noise.

    Attributes:
        day: loads and availabilities.
        columns: the case as arrays.
    """

    def __init__(self, case: RtsCase, seed: int) -> None:
        self.case = case
        self.day = DayCurve(case, seed)
        self.columns = Columns(case)
        columns = self.columns
        # An area's frequency is that of its largest load's bus: the one part that is surely the area when it falls apart.
        drawn = [np.where(columns.area_of_bus == k, self.day.peak_mw, -1.0) for k in range(len(columns.areas))]
        self._main_bus = np.array([int(np.argmax(of_area)) for of_area in drawn])
        self._wirings = Wirings(columns, self._main_bus)
        self._swing = Swing(columns)
        self._regulation = Regulation(columns, self._main_bus)
        self._operators = Operators(case.units)
        self._rise_mw = np.where(
            columns.curtailable, np.minimum(columns.ramp_mw, _RELEASE_PER_MIN / 60.0 * STEP_S * columns.p_max_mw), columns.ramp_mw
        )

    # ---- what happens ------------------------------------------------------------------------------------------------------

    def start(self, ts_ns: int, in_service: BoolArray, base_mw: Mapping[str, float] | None = None) -> GridState:
        """Return an equilibrium: units where the operators would run them, or near the base points given.

        Args:
            ts_ns: event time, a whole second.
            in_service: (nl,) closed branches.
            base_mw: base points by unit, where some are known; they are moved as far as the load at that instant asks, and no unit
                that has one is stopped.

        Raises:
            KeyError: a base point for a unit that the case does not have.
        """
        nature = self.day.at(ts_ns)
        given = self.with_base_points(self._blank(ts_ns, in_service, nature), base_mw or {})
        given = replace(given, dispatch_mw=np.where(self.columns.dispatchable, given.base_mw, 0.0), market_at_ns=ts_ns if base_mw else 0)
        wiring, anywhere = self._wirings.of(in_service), np.full(len(self.case.units), np.inf)
        state = self._planned(given, anywhere, (nature, nature), apart=False, stopping=not base_mw)
        if not base_mw:
            exports_mw = self._regulation.scheduled(state, nature, self._planned_mw(state, nature), wiring).schedule_mw
            exports_mw = exports_mw * min(1.0, _START_EXPORT_MW / max(float(np.abs(exports_mw).max()), 1e-9))
            given = replace(given, schedule_from_mw=exports_mw, schedule_mw=exports_mw)
            state = self._planned(given, anywhere, (nature, nature), apart=True)
        dispatch_mw = self._planned_mw(state, nature)
        dispatch_mw = np.where(self._swing.alive(dispatch_mw, wiring)[wiring.of_unit], dispatch_mw, 0.0)
        state = replace(state, ts_ns=ts_ns - STEP_NS, dispatch_mw=dispatch_mw, base_from_mw=dispatch_mw, output_mw=dispatch_mw)
        state = self._regulation.scheduled(state, nature, dispatch_mw, wiring)
        return self.step(replace(state, schedule_from_mw=state.schedule_mw), in_service)

    def step(self, state: GridState, in_service: BoolArray) -> GridState:
        """Return the state one second later, with these branches (nl,) closed during that second."""
        ts_ns = state.ts_ns + STEP_NS
        nature = self.day.at(ts_ns)
        wiring = self._wirings.of(in_service)
        if ts_ns - state.market_at_ns > BASE_VALID_S * NS_PER_S and ts_ns - state.planned_at_ns >= _REPLAN_NS:
            reach_mw = self.columns.ramp_mw * (BASE_RAMP_S / STEP_S)
            sight = (self.day.at(ts_ns + _REPLAN_NS), self.day.at(ts_ns + _AHEAD_NS))
            state = self._planned(replace(state, ts_ns=ts_ns, in_service=in_service), reach_mw, sight, apart=True)
        if state.schedule_due:
            state = self._regulation.scheduled(replace(state, ts_ns=ts_ns), nature, self._planned_mw(state, nature), wiring)
        state = self._swing.step(state, ts_ns, in_service, self._dispatched(state, ts_ns, nature), nature, wiring)
        return state if ts_ns % REGULATION_NS else self._regulation.step(state, nature, wiring)

    def with_base_points(self, state: GridState, base_mw: Mapping[str, float]) -> GridState:
        """Return the state after some units were given base points, MW; others keep theirs.

        Raises:
            KeyError: no such unit.
        """
        columns = self.columns
        rows = [columns.unit_index[name] for name in base_mw]
        available_mw = self.day.at(state.ts_ns).available_mw[rows]
        asked_mw = np.clip(np.array(list(base_mw.values())), 0.0, columns.p_max_mw[rows])
        below = asked_mw < available_mw - np.maximum(_CURTAILED_MW, _CURTAILED_SHARE * available_mw)
        base_from, base, at, capped = state.base_from_mw.copy(), state.base_mw.copy(), state.base_at_ns.copy(), state.capped.copy()
        share, regulation, ceiling = state.share_mw.copy(), state.regulation_mw.copy(), state.ceiling_mw.copy()
        base_from[rows], base[rows], at[rows] = state.dispatch_mw[rows], asked_mw, state.ts_ns
        capped[rows] = below & columns.curtailable[rows]
        ceiling[rows] = np.where(capped[rows], asked_mw, np.inf)
        # What regulation had moved a unit by is part of where it starts from now, and no longer owed by its area.
        np.subtract.at(regulation, columns.area_of_unit[rows], share[rows])
        share[rows] = 0.0
        return replace(
            state,
            base_from_mw=base_from,
            base_mw=base,
            base_at_ns=at,
            capped=capped,
            ceiling_mw=ceiling,
            share_mw=share,
            regulation_mw=regulation,
            schedule_due=True,
            market_at_ns=state.ts_ns,
        )

    # ---- what can be seen of it --------------------------------------------------------------------------------------------

    def alive(self, state: GridState) -> BoolArray:
        """Return (nb,) whether each bus is energised."""
        wiring = self._wirings.of(state.in_service)
        return self._swing.alive(state.dispatch_mw, wiring)[wiring.of_bus]

    def flows_mw(self, state: GridState) -> FloatArray:
        """Return (nl,) branch flows, MW, positive from ``from`` to ``to``."""
        return self._wirings.of(state.in_service).ptdf @ self.columns.injection_mw(state)

    def interchange_mw(self, flow_mw: FloatArray) -> FloatArray:
        """Return (na,) net export of each area over its ties, MW, from branch flows (nl,)."""
        return self.columns.export_mw(flow_mw[self.columns.crossing])

    def schedule_mw(self, state: GridState) -> FloatArray:
        """Return (na,) scheduled net export of each area, MW."""
        return self._regulation.schedule_mw(state, state.ts_ns, self._wirings.of(state.in_service))

    def area_deviation_hz(self, state: GridState) -> FloatArray:
        """Return (na,) the frequency deviation in each area, Hz."""
        deviation_hz: FloatArray = state.deviation_hz[self._main_bus]
        return deviation_hz

    # ---- dispatch ----------------------------------------------------------------------------------------------------------

    def _dispatched(self, state: GridState, ts_ns: int, nature: Nature) -> FloatArray:
        """Return (nu,) where the governors are set one second on."""
        held = self.columns.dispatchable | state.capped
        wanted_mw = np.where(held, state.trajectory_mw(ts_ns) + state.share_mw, nature.available_mw + np.minimum(state.share_mw, 0.0))
        moved_mw = state.dispatch_mw + np.minimum(np.maximum(wanted_mw - state.dispatch_mw, -self.columns.ramp_mw), self._rise_mw)
        moved_mw = np.where(self.columns.fixed, nature.available_mw, moved_mw)
        return np.minimum(np.maximum(moved_mw, 0.0), nature.available_mw)

    def _planned_mw(self, state: GridState, nature: Nature) -> FloatArray:
        """Return (nu,) where the base points would bring each unit, MW."""
        held = self.columns.dispatchable | state.capped
        return np.where(held, np.minimum(state.base_mw, nature.available_mw), nature.available_mw)

    def _planned(
        self, state: GridState, reach_mw: FloatArray, sight: tuple[Nature, Nature], *, apart: bool, stopping: bool = True
    ) -> GridState:
        """Put the operators' plan in the place of the base points.

        Args:
            reach_mw: (nu,) how far a unit can move until the plan is to be reached.
            sight: when it is to be reached, and later on, for what must be ready by then.
            apart: each area serves its own load and the exchange last scheduled; otherwise each island plans as one.
            stopping: whether running units may be stopped.
        """
        columns, wiring = self.columns, self._wirings.of(state.in_service)
        na = len(columns.areas) if apart else 1
        of_bus, of_unit = wiring.of_bus, wiring.of_unit
        export_mw = np.zeros(wiring.n * na)
        if apart:
            of_bus, of_unit = of_bus * na + columns.area_of_bus, of_unit * na + columns.area_of_unit
            export_mw[wiring.of_area * na + np.arange(na)] = self._regulation.schedule_mw(state, state.ts_ns, wiring)
        offers = [np.where(columns.dispatchable, 0.0, np.minimum(nature.available_mw, state.ceiling_mw)) for nature in sight]
        drawn = [sum_by(of_bus, nature.load_mw * state.served, len(export_mw)) for nature in sight]
        needs = [d + export_mw - sum_by(of_unit, offer, len(export_mw)) for d, offer in zip(drawn, offers, strict=True)]
        base_mw, counted_mw = np.where(columns.curtailable, offers[0], 0.0), np.zeros(len(offers[0]))
        capped, short_mw = np.isfinite(state.ceiling_mw), np.zeros(wiring.n)
        for group in np.unique(of_unit).tolist():
            here = of_unit == group
            need = Need(now_mw=float(needs[0][group]), soon_mw=float(needs[1][group]))
            plan = self._operators.plan(state.dispatch_mw, reach_mw, here, need, stopping=stopping)
            base_mw, counted_mw = base_mw + plan.base_mw, counted_mw + plan.counted_mw
            short_mw[group // na] += plan.short_mw
            offered = here & columns.curtailable
            offer_mw = float(offers[0][offered].sum())
            if plan.curtailed_mw > 0.0 and offer_mw > 0.0:
                base_mw[offered] *= max(0.0, 1.0 - plan.curtailed_mw / offer_mw)
                capped = capped | offered
        for island in np.flatnonzero(short_mw > 0.0).tolist():
            # What an area cannot serve itself its neighbours serve, if they can.
            here = wiring.of_unit == island
            need_mw = float(counted_mw[here].sum()) + float(short_mw[island])
            joint = self._operators.plan(counted_mw, reach_mw, here, Need(now_mw=need_mw, soon_mw=need_mw))
            base_mw = np.where(here & columns.dispatchable, joint.base_mw, base_mw)
        return replace(
            state,
            base_from_mw=state.dispatch_mw,
            base_mw=base_mw,
            base_at_ns=np.full(len(base_mw), state.ts_ns, dtype=np.int64),
            capped=capped,
            share_mw=np.zeros_like(state.share_mw),
            regulation_mw=np.zeros_like(state.regulation_mw),
            # The exchange the market last scheduled stands: it was agreed between the areas, and this plan serves it.
            schedule_due=False,
            planned_at_ns=state.ts_ns,
        )

    def _blank(self, ts_ns: int, in_service: BoolArray, nature: Nature) -> GridState:
        """Return a grid in which nothing runs yet."""
        nu, nb, na = len(self.case.units), self.case.network.n_buses, len(self.columns.areas)
        return GridState(
            ts_ns=ts_ns,
            in_service=in_service.copy(),
            deviation_hz=np.zeros(nb),
            dispatch_mw=np.zeros(nu),
            primary_mw=np.zeros(nu),
            output_mw=np.zeros(nu),
            load_mw=nature.load_mw,
            served=np.ones(nb),
            base_from_mw=np.zeros(nu),
            base_mw=np.zeros(nu),
            base_at_ns=np.full(nu, ts_ns, dtype=np.int64),
            capped=np.zeros(nu, dtype=np.bool_),
            ceiling_mw=np.full(nu, np.inf),
            share_mw=np.zeros(nu),
            regulation_mw=np.zeros(na),
            schedule_from_mw=np.zeros(na),
            schedule_mw=np.zeros(na),
            schedule_at_ns=ts_ns,
            schedule_due=True,
            market_at_ns=0,
            planned_at_ns=ts_ns,
            unit_mwh=np.zeros(nu),
            load_mwh=np.zeros(nb),
        )
