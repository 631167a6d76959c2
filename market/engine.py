"""How is one interval cleared, from frozen inputs to a published outcome?

    inputs → checked → ranges of the units → dispatch → prices → certificate → Cleared, or ClearingFailed with the reason

:class:`ClearingEngine` does it for the market: units ramp from their telemetered output, nature limits wind, sun and water, and
branches that are open leave the topology. :func:`clear_case` does it for a MATPOWER case: no history, so the full range. Both end
in the same dispatch, the same prices and the same certificate. An official run is cold: nothing but its arguments shapes it, and the
same arguments give the same bytes. What is remembered between runs is the factor of a topology, which is a function of it.

Failure to clear is a value. An exception means that the case itself contradicts itself (``CaseError``), or a defect.

An island without a unit that can produce is dead: no prices there, and its load is reported as shed.

Absent on purpose: deadlines and fallback prices (the caller's), the credibility of prices, several intervals at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256

import numpy as np

from market.admission import MW_LARGEST, Ranges, listed, ranges, refusal
from market.certificate import TOLERANCES, certify
from market.errors import CaseError
from market.grid import Convention, FloatArray, Network, Topology
from market.highs import SOLVER
from market.matpower import Case
from market.offers import Control, OfferBook, Segment, Unit, with_offer
from market.outcomes import (
    Binding,
    Certificate,
    Cleared,
    ClearingFailed,
    ClearingInputs,
    FailureReason,
    Outcome,
    OutcomeStatus,
    Violation,
)
from market.pricing import Prices, price
from market.sced import ClearingParams, Dispatch, DispatchProblem, NotSolved, dispatch

__all__ = ["CASE_PARAMS", "ClearingEngine", "clear_case"]

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

_TOPOLOGIES_KEPT = 16
_BINDS_FROM_PER_MWH = 1e-6
_REPORTED_FROM_MW = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class _Interval:
    """Inputs as columns, with the identities that end in the outcome."""

    book: OfferBook
    topology: Topology
    params: ClearingParams
    ranges: Ranges
    load_mw: FloatArray
    degraded: bool
    input_hash: str
    start_ns: int
    completed_at_ns: int

    def failed(self, reason: FailureReason, detail: str) -> ClearingFailed:
        return ClearingFailed(interval_start_ns=self.start_ns, completed_at_ns=self.completed_at_ns, reason=reason, detail=detail)


class ClearingEngine:
    """Clears the intervals of one network with one set of offers.

    Args:
        network: what was built.
        units: every unit with its offer.
        params: penalties, caps, interval length.
        convention: how susceptances are formed.
        load_buses: buses whose load every interval must state; missing ones fail the interval.

    Raises:
        CaseError: units or branches that contradict the network, or offers with too many segments.
    """

    def __init__(
        self,
        network: Network,
        units: Sequence[Unit],
        params: ClearingParams,
        convention: Convention = Convention.MATPOWER,
        load_buses: Iterable[str] = (),
    ) -> None:
        self.network, self.params, self.convention = network, params, convention
        self.book = _book(units, network, params)
        self.load_buses = frozenset(load_buses)
        if lost := sorted(self.load_buses - network.bus_index.keys()):
            raise CaseError(f"load buses the network does not have: {', '.join(lost[:5])}; correct the list")
        self._topologies: dict[tuple[str, ...], Topology] = {}
        self.topology(())

    def topology(self, out_of_service: Iterable[str]) -> Topology:
        """Return the topology with these branches open, factored once and remembered.

        Raises:
            CaseError: a branch the network does not have.
        """
        key = tuple(sorted(set(out_of_service)))
        if unknown := [name for name in key if name not in self.network.branch_index]:
            raise CaseError(f"branches the network does not have: {', '.join(unknown[:5])}; correct the switch list")
        if key not in self._topologies:
            while len(self._topologies) >= _TOPOLOGIES_KEPT:
                del self._topologies[next(iter(self._topologies))]
            closed = np.ones(self.network.n_branches, dtype=np.bool_)
            closed[[self.network.branch_index[name] for name in key]] = False
            self._topologies[key] = Topology(self.network, closed, self.convention)
        return self._topologies[key]

    def clear(self, inputs: ClearingInputs, *, completed_at_ns: int) -> Outcome:
        """Clear one interval.

        Args:
            inputs: the frozen inputs. ``output_mw`` must name every dispatchable unit that is not off, ``available_mw`` every
                wind, sun and water unit that is not off; other entries of known units are not used.
            completed_at_ns: the instant to write into the outcome, UTC ns; it shapes nothing else.

        Returns:
            ``Cleared`` with a passed certificate, or ``ClearingFailed``: INPUT_MISSING, INPUT_INVALID or INPUT_STALE with the
            offenders by name, SOLVER_STATUS, KKT_FAILED. Never raises for market reasons.
        """
        if refused := refusal(inputs, self.network, self.book, self.params, self.load_buses):
            reason, detail = refused
            return ClearingFailed(interval_start_ns=inputs.interval_start_ns, completed_at_ns=completed_at_ns, reason=reason, detail=detail)
        load = np.zeros(self.network.n_buses)
        load[[self.network.bus_index[bus] for bus in inputs.load_mw]] = list(inputs.load_mw.values())
        return _clear(
            _Interval(
                book=self.book,
                topology=self.topology(inputs.out_of_service),
                params=self.params,
                ranges=ranges(inputs, self.book, self.params),
                load_mw=load,
                degraded=inputs.stale_points > self.params.stale_share_degraded * inputs.used_points,
                input_hash=self._hash(inputs),
                start_ns=inputs.interval_start_ns,
                completed_at_ns=completed_at_ns,
            )
        )

    def _hash(self, inputs: ClearingInputs) -> str:
        return _digest(
            self.book.digest,
            inputs.interval_start_ns,
            inputs.load_mw,
            inputs.output_mw,
            inputs.available_mw,
            sorted(inputs.out_of_service),
            sorted(inputs.units_off),
            (inputs.stale_points, inputs.used_points),
        )


def clear_case(
    case: Case,
    loads_mw: Mapping[str, float] | None = None,
    offers: Mapping[str, Sequence[Segment]] | None = None,
    convention: Convention = Convention.POWERMODELS,
    params: ClearingParams = CASE_PARAMS,
) -> Outcome:
    """Clear a MATPOWER case as it stands: units that are on within their full range, branches that are on within their limits.

    Args:
        case: the case.
        loads_mw: loads that replace the case's Pd, by bus, MW; other buses keep theirs, and every bus its Gs.
        offers: segments from 0 MW upward that replace a unit's cost, by unit.
        convention: how susceptances are formed.
        params: penalties and caps; by default neither floor nor cap.

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
    book = _book([with_offer(unit, offers[unit.id]) if unit.id in offers else unit for unit in case.units], network, params)
    load = case.load_mw.copy()
    for bus, mw in loads_mw.items():
        load[network.bus_index[bus]] = mw
    load += case.shunt_mw
    on = np.array([unit.id not in case.units_off for unit in book.units], dtype=np.bool_)
    interval = _Interval(
        book=book,
        topology=Topology(network, case.in_service, convention),
        params=params,
        ranges=Ranges(running=on, low_mw=np.where(on, book.p_min_mw, 0.0), high_mw=np.where(on, book.p_max_mw, 0.0), widened_mw=0.0),
        load_mw=load,
        degraded=False,
        input_hash=_digest(book.digest, load, on),
        start_ns=0,
        completed_at_ns=0,
    )
    if bad := [bus for bus, mw in loads_mw.items() if not abs(mw) <= MW_LARGEST]:
        return interval.failed(FailureReason.INPUT_INVALID, f"load that is no number: {listed(bad)}; give MW")
    return _clear(interval)


def _book(units: Sequence[Unit], network: Network, params: ClearingParams) -> OfferBook:
    for unit in units:
        if len(unit.segments) > params.segments_max:
            raise CaseError(f"unit {unit.id}: {len(unit.segments)} segments, at most {params.segments_max}; merge some")
    return OfferBook(units, network.bus_index)


def _clear(interval: _Interval) -> Outcome:
    book, topology, params = interval.book, interval.topology, interval.params
    able = interval.ranges.high_mw > 0
    live = np.zeros(topology.n_islands, dtype=np.bool_)
    live[topology.island_of_bus[book.bus[able]]] = True
    if not live.any():
        return interval.failed(FailureReason.INPUT_INVALID, "no unit is on that could produce; check commitment and availability")
    fed = live[topology.island_of_bus[book.bus]]
    low, high = np.where(fed, interval.ranges.low_mw, 0.0), np.where(fed, interval.ranges.high_mw, 0.0)
    lost = np.where(book.controlled(Control.CURTAILABLE), params.curtailment_penalty_per_mwh, 0.0)
    curve = np.flatnonzero(fed[book.curved])
    problem = DispatchProblem(
        topology=topology,
        live=live,
        load_mw=interval.load_mw,
        unit_bus=book.bus,
        low_mw=low,
        high_mw=high,
        seg_unit=book.seg_unit,
        seg_mw=book.segments_between(low, high),
        # What a renewable gives saves the penalty for what it could have given.
        seg_price_per_mwh=book.seg_price_per_mwh - lost[book.seg_unit],
        curved=book.curved[curve],
        curved_linear_per_mwh=book.linear_per_mwh[curve],
        curved_per_mw2h=book.curvature_per_mw2h[curve],
    )
    result = dispatch(problem, params)
    if isinstance(result, NotSolved):
        detail = f"{SOLVER} says {result.status!r} after {result.rounds} rounds; keep the inputs and report them"
        return interval.failed(FailureReason.SOLVER_STATUS, detail)
    prices = price(problem, result, params)
    certificate = certify(problem, result, prices, params, interval.ranges.widened_mw)
    if not certificate.passed:
        over = {name: value for name, value in certificate.residuals.items() if not value <= TOLERANCES.get(name, np.inf)}
        named = ", ".join(f"{name} {value:.3g} (at most {TOLERANCES[name]:g})" for name, value in over.items())
        return interval.failed(FailureReason.KKT_FAILED, f"the certificate does not hold: {named}; keep the inputs and report them")
    return _cleared(interval, problem, result, prices, certificate, lost)


def _cleared(
    interval: _Interval, problem: DispatchProblem, result: Dispatch, prices: Prices, certificate: Certificate, lost: FloatArray
) -> Cleared:
    book, topology, params = interval.book, interval.topology, interval.params
    network = topology.network
    flow = topology.flows_mw(problem.injection_mw(result.output_mw, result.shed_mw - result.spill_mw)) + 0.0
    violations = _violations(problem, result)
    curtailed = (problem.high_mw - result.output_mw) @ lost
    beyond = np.abs(result.over_mw).sum() * params.line_penalty_per_mwh
    unbalanced = sum(v.mw for v in violations if v.kind != "line") * params.balance_penalty_per_mwh
    degraded = OutcomeStatus.OK_DEGRADED if interval.degraded else OutcomeStatus.OK
    buses = np.flatnonzero(problem.live_bus)
    cleared = Cleared(
        interval_start_ns=interval.start_ns,
        completed_at_ns=interval.completed_at_ns,
        status=OutcomeStatus.OK_VIOLATION if violations else degraded,
        objective_per_h=book.cost_per_h(result.output_mw, interval.ranges.running),
        penalty_per_h=float(curtailed + beyond + unbalanced),
        dispatch_mw=dict(zip(book.ids, result.output_mw.tolist(), strict=True)),
        lmp_per_mwh={network.bus_ids[i]: float(prices.lmp_per_mwh[i]) for i in buses},
        congestion_per_mwh={network.bus_ids[i]: float(prices.congestion_per_mwh[i]) for i in buses},
        energy_per_mwh=prices.energy_per_mwh,
        flow_mw={network.branch_ids[i]: float(flow[i]) for i in np.flatnonzero(topology.in_service)},
        uniform_price_per_mwh=prices.uniform_per_mwh,
        certificate=certificate,
        binding=_bindings(topology, result, flow),
        violations=violations,
    )
    parameters = {name: repr(value) for name, value in asdict(params).items()}
    hashes = {
        "input": interval.input_hash,
        "topology": topology.hash,
        "parameters": _digest(sorted(parameters.items()), SOLVER),
        "result": _digest(*(getattr(cleared, name) for name in _RESULT_FIELDS)),
    }
    return replace(cleared, hashes=hashes)


_RESULT_FIELDS = tuple(
    name for name in Cleared.__dataclass_fields__ if name not in {"interval_start_ns", "completed_at_ns", "hashes", "version"}
)


def _bindings(topology: Topology, result: Dispatch, flow_mw: FloatArray) -> tuple[Binding, ...]:
    nu = result.branch_price_per_mwh
    limit = np.where(nu < 0, topology.limit_high_mw, -topology.limit_low_mw)
    return tuple(
        Binding(
            kind="line",
            id=topology.network.branch_ids[i],
            outage=None,
            flow_mw=float(flow_mw[i]),
            limit_mw=float(limit[i]),
            shadow_price=float(abs(nu[i])),
        )
        for i in np.flatnonzero(np.abs(nu) > _BINDS_FROM_PER_MWH)
    )


def _violations(problem: DispatchProblem, result: Dispatch) -> tuple[Violation, ...]:
    network = problem.topology.network
    found = [
        Violation(kind="line", id=network.branch_ids[i], mw=float(abs(result.over_mw[i])))
        for i in np.flatnonzero(np.abs(result.over_mw) > _REPORTED_FROM_MW)
    ]
    for kind, amount in (("shed", result.shed_mw), ("spill", result.spill_mw)):
        # An island is named by its first bus; the load is shed over all of it, in proportion.
        named = [(network.bus_ids[problem.topology.reference_bus[i]], float(amount[i])) for i in np.flatnonzero(amount > _REPORTED_FROM_MW)]
        found += [Violation(kind=kind, id=name, mw=mw) for name, mw in named]
    dead = ~problem.live_bus & (problem.load_mw > 0)
    found += [Violation(kind="shed", id=network.bus_ids[i], mw=float(problem.load_mw[i])) for i in np.flatnonzero(dead)]
    return tuple(found)


def _digest(*parts: object) -> str:
    """SHA-256 over parts in order; arrays and maps of numbers by their little-endian bytes, the rest as it prints."""
    mark = sha256()
    for part in parts:
        if isinstance(part, dict):
            named = sorted(part.items())
            raw = "\x1f".join(name for name, _ in named).encode() + np.array([value for _, value in named], dtype="<f8").tobytes()
        elif isinstance(part, np.ndarray):
            raw = part.astype(part.dtype.newbyteorder("<")).tobytes()
        else:
            raw = repr(part).encode()
        mark.update(len(raw).to_bytes(8, "little") + raw)
    return mark.hexdigest()
