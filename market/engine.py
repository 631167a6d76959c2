"""How is one interval cleared, from frozen inputs to a published outcome?

    inputs → checked → ranges of the units → one program → dispatch → prices → certificate → Cleared, or ClearingFailed with the reason

:class:`ClearingEngine` does it for the market: units ramp from their telemetered output, nature limits wind, sun and water, branches that
are open leave the topology, storages, reserves and the periods ahead take part where they are declared. :func:`clear_case` does it for a
MATPOWER case: no history, so the full range. Both end in the same program, the same prices and the same certificate.

An *official* run is cold: nothing but its arguments shapes it, and the same arguments give the same bytes. What is remembered between
official runs is what is a function of a topology alone: its factor and its outage factors. An *advisory* run keeps the program and starts
from the last answer and takes a fraction of the time. Its cost agrees with the official one's to rounding, and so do its prices where no
others would do; of several that are right it may hold others, because it remembers limits that a cold run never asked for.

Failure to clear is a value. An exception means that the case itself contradicts itself (``CaseError``), or a defect.

An island without a unit that can produce is dead: no prices there, and its load is reported as shed.

Absent on purpose: deadlines and fallback prices (the caller's), the credibility of prices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from enum import StrEnum
from typing import Literal

import numpy as np

from market.admission import MW_LARGEST, listed, refusal
from market.assembly import Assembled, Moment, Participants, assemble
from market.certificate import TOLERANCES, certify
from market.errors import CaseError
from market.grid import Convention, FloatArray, Network, Topology
from market.highs import SOLVER
from market.matpower import Case
from market.monitor import Monitor, Section
from market.offers import Segment, Unit, with_offer
from market.outages import Contingencies
from market.outcomes import ClearingFailed, ClearingInputs, FailureReason, Outcome, PeriodAhead
from market.params import ClearingParams
from market.pricing import price
from market.program import NotSolved, Program
from market.ranges import Horizon, horizon, whole_range
from market.reporting import Labels, digest, report
from market.resources import Resources
from market.sced import dispatch, program_of
from market.workings import Workings

__all__ = ["CASE_PARAMS", "ClearingEngine", "Mode", "Outages", "clear_case"]

CASE_PARAMS = ClearingParams(
    price_floor_per_mwh=-float("inf"),
    price_cap_per_mwh=float("inf"),
    # Above any shadow price a sound case needs (48,921 per MWh was seen at 9,241 buses), so that no limit is bought off.
    offer_cap_per_mwh=100_000.0,
    curtailment_multiple=0.0,
    segments_max=1_000,
    negative_load_allowed=True,
)
"""For case files: no market, so no floor, no cap and no limit on how costs are written."""

Outages = tuple[str, ...] | Literal["all"]
"""Branches whose outage, one at a time, must leave the others within their emergency limits."""

_TOPOLOGIES_KEPT = 16
_PROGRAMS_KEPT = 4
_ROWS_WORTH_DROPPING = 64
_RUNS_PER_PROGRAM = 288
"""Advisory runs after which a program with many rows is made anew, so that limits that bound a day ago do not burden it for ever."""


class Mode(StrEnum):
    """What a run is for."""

    OFFICIAL = "official"
    """Cold and repeatable to the last bit: what is published."""
    ADVISORY = "advisory"
    """From the last answer: what-if, look-ahead displays, and a check on the official run."""


class ClearingEngine:
    """Clears the intervals of one network with one set of offers.

    Args:
        network: what was built.
        units: every unit with its offer.
        params: penalties, caps, interval length.
        convention: how susceptances are formed.
        load_buses: buses whose load every interval must state; missing ones fail the interval.
        resources: storages, reserves, groups of units.
        sections: interfaces with limits.
        outages: single outages to be secured against; none by default.
        delivery: delivery factor by bus, where the rules price losses.
        tie_buses: buses whose tie-line schedule every interval must state, as with loads.

    Attributes:
        book: the units as columns.
        participants: everyone who takes part.

    Raises:
        CaseError: units, branches or declarations that contradict the network or each other, or offers with too many segments.
    """

    def __init__(
        self,
        network: Network,
        units: Sequence[Unit],
        params: ClearingParams,
        convention: Convention = Convention.MATPOWER,
        load_buses: Iterable[str] = (),
        *,
        resources: Resources | None = None,
        sections: tuple[Section, ...] = (),
        outages: Outages | None = None,
        delivery: Mapping[str, float] | None = None,
        tie_buses: Iterable[str] = (),
    ) -> None:
        self.network, self.params, self.convention = network, params, convention
        _check_segments(units, params)
        self.participants = Participants(units, resources or Resources(), network, delivery)
        self.book = self.participants.offered
        self.sections, self.outages = sections, outages
        self.load_buses = frozenset(load_buses)
        if lost := sorted(self.load_buses - network.bus_index.keys()):
            raise CaseError(f"load buses the network does not have: {', '.join(lost[:5])}; correct the list")
        self.tie_buses = frozenset(tie_buses)
        if lost := sorted(self.tie_buses - network.bus_index.keys()):
            raise CaseError(f"tie-lines at buses the network does not have: {', '.join(lost[:5])}; correct the point list")
        self._monitors: dict[tuple[str, ...], Monitor] = {}
        self._programs: dict[tuple[Monitor, ...], tuple[Program, int]] = {}
        self.monitor(())

    def topology(self, out_of_service: Iterable[str]) -> Topology:
        """Return the topology with these branches open, factored once and remembered.

        Raises:
            CaseError: a branch the network does not have.
        """
        return self.monitor(out_of_service).topology

    def monitor(self, out_of_service: Iterable[str]) -> Monitor:
        """Return the limits of the topology with these branches open, made once and remembered.

        Raises:
            CaseError: a branch the network does not have.
        """
        key = tuple(sorted(set(out_of_service)))
        if unknown := [name for name in key if name not in self.network.branch_index]:
            raise CaseError(f"branches the network does not have: {', '.join(unknown[:5])}; correct the switch list")
        if key not in self._monitors:
            while len(self._monitors) >= _TOPOLOGIES_KEPT:
                del self._monitors[next(iter(self._monitors))]
            closed = np.ones(self.network.n_branches, dtype=np.bool_)
            closed[[self.network.branch_index[name] for name in key]] = False
            self._monitors[key] = _monitor(Topology(self.network, closed, self.convention), self.sections, self.outages, self.params)
        return self._monitors[key]

    def clear(
        self, inputs: ClearingInputs, *, completed_at_ns: int, mode: Mode = Mode.OFFICIAL, keep: Callable[[Workings], None] | None = None
    ) -> Outcome:
        """Clear one interval.

        Args:
            inputs: the frozen inputs. ``output_mw`` must name every dispatchable unit that is not off, ``available_mw`` every
                wind, sun and water unit that is not off; other entries of known units are not used.
            completed_at_ns: the instant to write into the outcome, UTC ns; it shapes nothing else.
            mode: whether the answer is to be published.
            keep: is handed what explains the outcome (:mod:`market.explain`), where there is one.

        Returns:
            ``Cleared`` with a passed certificate, or ``ClearingFailed``: INPUT_MISSING, INPUT_INVALID or INPUT_STALE with the
            offenders by name, SOLVER_STATUS, KKT_FAILED. Never raises for market reasons.
        """
        participants, params = self.participants, self.params
        if refused := refusal(inputs, self.network, self.book, params, self.load_buses, participants.resources, self.tie_buses):
            return _failed(inputs.interval_start_ns, completed_at_ns, *refused)
        labels = Labels(
            start_ns=inputs.interval_start_ns,
            completed_at_ns=completed_at_ns,
            degraded=inputs.stale_points > params.stale_share_degraded * inputs.used_points,
            input_hash=self._hash(inputs),
            parameter_hash=_parameter_hash(params, self.sections, self.outages),
            intact=self.topology(()),
        )
        reach = horizon(inputs, self.book, params)
        moments = [self._moment(inputs), *map(self._moment, inputs.ahead)]
        soc = np.array([inputs.soc_mwh.get(name, np.nan) for name in participants.storages.ids], dtype=np.float64)
        assembled = assemble(participants, moments, reach, params, soc)
        program = self._kept(assembled) if mode is Mode.ADVISORY else None
        note = None if keep is None else lambda workings: keep(replace(workings, inputs=inputs))
        return _clear(assembled, participants, reach, params, labels, program, note)

    def _moment(self, moment: ClearingInputs | PeriodAhead) -> Moment:
        return Moment(
            monitor=self.monitor(moment.out_of_service),
            load_mw=self._at_buses(moment.load_mw),
            tie_mw=self._at_buses(moment.tie_mw),
            reserve_mw=moment.reserve_mw,
        )

    def _at_buses(self, values: Mapping[str, float]) -> FloatArray:
        out = np.zeros(self.network.n_buses)
        out[[self.network.bus_index[bus] for bus in values]] = list(values.values())
        return out

    def _kept(self, assembled: Assembled) -> Program:
        """Return the program of the last advisory run on these wires, brought up to date, or a new one."""
        key = tuple(assembled.problem.monitors)
        program, runs = self._programs.pop(key, (None, 0))
        worn = runs >= _RUNS_PER_PROGRAM and program is not None and len(program.network) > _ROWS_WORTH_DROPPING
        if program is None or worn or not program.update(assembled.problem.formulation):
            program, runs = program_of(assembled.problem, self.params), 0
        while len(self._programs) >= _PROGRAMS_KEPT:
            del self._programs[next(iter(self._programs))]
        self._programs[key] = (program, runs + 1)
        return program

    def _hash(self, inputs: ClearingInputs) -> str:
        ahead = [
            (p.load_mw, p.available_mw, p.tie_mw, p.test_mw, p.reserve_mw, sorted(p.out_of_service), sorted(p.units_off))
            for p in inputs.ahead
        ]
        return digest(
            self.book.digest,
            self.participants.declared,
            inputs.interval_start_ns,
            inputs.load_mw,
            inputs.output_mw,
            inputs.available_mw,
            sorted(inputs.out_of_service),
            sorted(inputs.units_off),
            (inputs.stale_points, inputs.used_points),
            inputs.tie_mw,
            inputs.test_mw,
            inputs.soc_mwh,
            inputs.reserve_mw,
            *(part for period in ahead for part in period),
        )


def clear_case(
    case: Case,
    loads_mw: Mapping[str, float] | None = None,
    offers: Mapping[str, Sequence[Segment]] | None = None,
    convention: Convention = Convention.POWERMODELS,
    params: ClearingParams = CASE_PARAMS,
    outages: Outages | None = None,
    keep: Callable[[Workings], None] | None = None,
) -> Outcome:
    """Clear a MATPOWER case as it stands: units that are on within their full range, branches that are on within their limits.

    Args:
        case: the case.
        loads_mw: loads that replace the case's Pd, by bus, MW; other buses keep theirs, and every bus its Gs.
        offers: segments from 0 MW upward that replace a unit's cost, by unit.
        convention: how susceptances are formed.
        params: penalties and caps; by default neither floor nor cap.
        outages: single outages to be secured against.
        keep: is handed what explains the outcome (:mod:`market.explain`), where there is one.

    Returns:
        ``Cleared``, in the case's money, or ``ClearingFailed``.

    Raises:
        CaseError: loads or offers for names the case does not have, or the case contradicts itself.
    """
    network, loads_mw, offers = case.network, loads_mw or {}, offers or {}
    if unknown := sorted(loads_mw.keys() - network.bus_index.keys()):
        raise CaseError(f"{case.name}: loads for buses it does not have: {listed(unknown)}; use its bus numbers")
    if unknown := sorted(offers.keys() - {unit.id for unit in case.units}):
        raise CaseError(f"{case.name}: offers for units it does not have: {listed(unknown)}; name units by their row, from 1")
    if idle := sorted(offers.keys() & set(case.units_off)):
        raise CaseError(f"{case.name}: offers for units that are out of service: {listed(idle)}; switch them on in the case")
    if bad := [bus for bus, mw in loads_mw.items() if not abs(mw) <= MW_LARGEST]:
        return _failed(0, 0, FailureReason.INPUT_INVALID, f"load that is no number: {listed(bad)}; give MW")
    units = [with_offer(unit, offers[unit.id], monotone=params.monotone_offers) if unit.id in offers else unit for unit in case.units]
    _check_segments(units, params)
    participants = Participants(units, Resources(), network)
    load = case.load_mw.copy()
    for bus, mw in loads_mw.items():
        load[network.bus_index[bus]] = mw
    load += case.shunt_mw
    on = np.array([unit.id not in case.units_off for unit in participants.book.units], dtype=np.bool_)
    reach = whole_range(participants.book, on)
    monitor = _monitor(Topology(network, case.in_service, convention), (), outages, params)
    labels = Labels(
        start_ns=0,
        completed_at_ns=0,
        degraded=False,
        input_hash=digest(participants.book.digest, load, on),
        parameter_hash=_parameter_hash(params, (), outages),
        intact=monitor.topology,
    )
    moment = Moment(monitor=monitor, load_mw=load, tie_mw=np.zeros(network.n_buses), reserve_mw={})
    return _clear(assemble(participants, [moment], reach, params), participants, reach, params, labels, keep=keep)


def _monitor(topology: Topology, sections: tuple[Section, ...], outages: Outages | None, params: ClearingParams) -> Monitor:
    screened = None
    if outages is not None:
        screened = Contingencies(topology, outages, emergency_factor=params.emergency_factor, lodf_least=params.lodf_least)
    return Monitor(topology, sections, screened)


def _check_segments(units: Sequence[Unit], params: ClearingParams) -> None:
    for unit in units:
        if len(unit.segments) > params.segments_max:
            raise CaseError(f"unit {unit.id}: {len(unit.segments)} segments, at most {params.segments_max}; merge some")


def _parameter_hash(params: ClearingParams, sections: tuple[Section, ...], outages: Outages | None) -> str:
    parameters = {name: repr(value) for name, value in asdict(params).items()}
    return digest(sorted(parameters.items()), SOLVER, repr(sorted(sections, key=lambda section: section.id)), repr(outages))


def _failed(start_ns: int, completed_at_ns: int, reason: FailureReason, detail: str) -> ClearingFailed:
    return ClearingFailed(interval_start_ns=start_ns, completed_at_ns=completed_at_ns, reason=reason, detail=detail)


def _clear(
    assembled: Assembled,
    participants: Participants,
    reach: Horizon,
    params: ClearingParams,
    labels: Labels,
    program: Program | None = None,
    keep: Callable[[Workings], None] | None = None,
) -> Outcome:
    problem = assembled.problem
    formulation = problem.formulation
    if not formulation.periods[0].live.any():
        detail = "no unit is on that could produce; check commitment and availability"
        return _failed(labels.start_ns, labels.completed_at_ns, FailureReason.INPUT_INVALID, detail)
    result = dispatch(problem, params, program)
    if isinstance(result, NotSolved):
        detail = f"{SOLVER} says {result.status!r} after {result.rounds} rounds; keep the inputs and report them"
        return _failed(labels.start_ns, labels.completed_at_ns, FailureReason.SOLVER_STATUS, detail)
    prices = price(formulation, result.pricing, result.pricing_injection_mw[0], params, delivery=participants.delivery)
    certificate = certify(problem, result, prices, params, float(reach.widened_mw[0]))
    if not certificate.passed:
        over = {name: value for name, value in certificate.residuals.items() if not value <= TOLERANCES.get(name, np.inf)}
        named = ", ".join(f"{name} {value:.3g} (at most {TOLERANCES[name]:g})" for name, value in over.items())
        detail = f"the certificate does not hold: {named}; keep the inputs and report them"
        return _failed(labels.start_ns, labels.completed_at_ns, FailureReason.KKT_FAILED, detail)
    if keep is not None:
        keep(Workings(assembled=assembled, participants=participants, horizon=reach, result=result, prices=prices, params=params))
    return report(assembled, participants, reach, result, prices, certificate, params, labels)
