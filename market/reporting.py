"""What is told of a cleared interval: the program's answer in the names of units, buses and limits.

Nothing is decided here. Every amount and price is read off the dispatch, the pricing run and the blocks' own columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from market.assembly import Assembled, Participants
from market.deadbus import NO_SUBSTITUTE, substitutes
from market.grid import BoolArray, FloatArray, Topology
from market.monitor import LimitKind, Monitor
from market.offers import Control
from market.outcomes import Binding, Certificate, Cleared, OutcomeStatus, Violation
from market.params import ClearingParams
from market.pricing import Prices, price
from market.program import Priced
from market.ranges import Horizon
from market.sced import Dispatch

__all__ = ["Labels", "digest", "limit_names", "report"]

_BINDS_FROM_PER_MWH = 1e-6
_REPORTED_FROM_MW = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What is known of an interval besides its solution.

    Attributes:
        start_ns: the interval, UTC ns.
        completed_at_ns: the instant to write into the outcome, UTC ns.
        degraded: whether a fallback shaped the inputs.
        input_hash: SHA-256 of the inputs, hex.
        parameter_hash: SHA-256 of the parameters and the solver, hex.
        intact: the grid with everything in service, in which a dead bus finds the live one that stands in for it. The last topology in
            which it lived would do as well, but then the answer would depend on more than its inputs.
    """

    start_ns: int
    completed_at_ns: int
    degraded: bool
    input_hash: str
    parameter_hash: str
    intact: Topology


def report(
    assembled: Assembled,
    participants: Participants,
    horizon: Horizon,
    result: Dispatch,
    prices: Prices,
    certificate: Certificate,
    params: ClearingParams,
    labels: Labels,
) -> Cleared:
    """Return the outcome of the first period of a clearing whose certificate has passed."""
    problem, book = assembled.problem, participants.book
    period, monitor = problem.formulation.periods[0], problem.monitors[0]
    topology, network = period.topology, period.topology.network
    x = result.solution.x
    output = assembled.output_mw(x, result.solution.curve_mw)[0] + 0.0
    flow = period.flows_mw(result.injection_mw[0]) + 0.0
    violations = (*_limits_exceeded(monitor, result.solution.priced), *_not_met(assembled, x))
    degraded = OutcomeStatus.OK_DEGRADED if labels.degraded else OutcomeStatus.OK
    buses = np.flatnonzero(period.live_bus).tolist()
    moved = np.flatnonzero(period.live_bus & (prices.lmp_raw_per_mwh != prices.lossless_per_mwh)).tolist()
    lossy = np.flatnonzero(period.live_bus & (participants.delivery != 1.0)).tolist()
    storages, held = assembled.storages, assembled.reserves
    cleared = Cleared(
        interval_start_ns=labels.start_ns,
        completed_at_ns=labels.completed_at_ns,
        status=OutcomeStatus.OK_VIOLATION if violations else degraded,
        objective_per_h=participants.offered.cost_per_h(output, horizon.running[0]) + _other_cost(assembled, participants, x),
        penalty_per_h=_penalty(assembled, participants, output, result, params),
        dispatch_mw=dict(zip(book.ids, output.tolist(), strict=True)),
        lmp_per_mwh=_named(network.bus_ids, buses, prices.lmp_per_mwh),
        congestion_per_mwh=_named(network.bus_ids, buses, prices.congestion_per_mwh),
        energy_per_mwh=prices.energy_per_mwh,
        flow_mw=_named(network.branch_ids, np.flatnonzero(topology.in_service).tolist(), flow),
        uniform_price_per_mwh=prices.uniform_per_mwh,
        certificate=certificate,
        binding=_bindings(monitor, result.pricing.priced, period.flows_mw(result.pricing_injection_mw[0])),
        violations=violations,
        lmp_raw_per_mwh=_named(network.bus_ids, moved, prices.lmp_raw_per_mwh),
        loss_per_mwh=_named(network.bus_ids, lossy, prices.loss_per_mwh),
        substitute_bus=_substitutes(labels.intact, period.live_bus),
        storage_mw=dict(zip(storages.book.ids, storages.net_mw(x)[0].tolist(), strict=True)),
        soc_mwh=dict(zip(storages.book.ids, storages.soc_mwh(x)[0].tolist(), strict=True)),
        reserve_mw=_awards(assembled, x),
        reserve_price_per_mwh={}
        if held is None
        else dict(zip(held.book.requirements, held.requirement_price_per_mwh(result.pricing.row_price)[0].tolist(), strict=True)),
        ahead_energy_per_mwh=tuple(
            price(problem.formulation, result.pricing, result.pricing_injection_mw[t], params, t).energy_per_mwh
            if problem.formulation.periods[t].live.any()
            else None
            for t in range(1, len(problem.formulation.periods))
        ),
        flags=tuple(_flags(monitor, result)),
        simultaneous_mw={
            name: mw for name, mw in zip(storages.book.ids, storages.simultaneous_mw(x)[0].tolist(), strict=True) if mw > _REPORTED_FROM_MW
        },
    )
    hashes = {
        "input": labels.input_hash,
        "topology": topology.hash,
        "parameters": labels.parameter_hash,
        "result": digest(*(getattr(cleared, name) for name in _RESULT_FIELDS)),
    }
    return replace(cleared, hashes=hashes)


_TOLD_LATER = {"interval_start_ns", "completed_at_ns", "hashes", "version", "frozen_at_ns"}
_RESULT_FIELDS = tuple(name for name in Cleared.__dataclass_fields__ if name not in _TOLD_LATER)


def _named(names: tuple[str, ...], which: list[int], values: FloatArray) -> dict[str, float]:
    return dict(zip([names[i] for i in which], values[which].tolist(), strict=True))


def _substitutes(intact: Topology, live: BoolArray) -> dict[str, str]:
    if live.all():
        return {}
    names, found = intact.network.bus_ids, substitutes(intact, live)
    return {names[i]: names[found[i]] for i in np.flatnonzero(~live & (found != NO_SUBSTITUTE)).tolist()}


def _flags(monitor: Monitor, result: Dispatch) -> Iterator[str]:
    if result.tied:
        yield "tied"
    if result.price_degenerate:
        yield "price_degenerate"
    if not result.settled:
        yield "unsettled"
    if result.priced_apart:
        yield "priced_apart"
    if monitor.contingencies is not None and monitor.contingencies.islanding:
        yield f"islanding:{len(monitor.contingencies.islanding)}"


def limit_names(monitor: Monitor, keys: list[int]) -> Iterator[tuple[LimitKind, str, str | None]]:
    """Yield kind, branch or section, and outage of the limits with these keys."""
    rows = monitor.rows(np.array(keys, dtype=np.int64))
    ids = monitor.topology.network.branch_ids
    for kind, element, outage in zip(rows.kind, rows.element.tolist(), rows.outage.tolist(), strict=True):
        name = monitor.sections[element].id if kind is LimitKind.SECTION else ids[element]
        yield kind, name, ids[outage] if outage >= 0 else None


def _bindings(monitor: Monitor, priced: tuple[Priced, ...], flow_mw: FloatArray) -> tuple[Binding, ...]:
    bound = [limit for limit in priced if limit.period == 0 and abs(limit.price_per_mwh) > _BINDS_FROM_PER_MWH]
    keys = [limit.key for limit in bound]
    rows = monitor.rows(np.array(keys, dtype=np.int64))
    found = [
        Binding(
            kind=kind.value,
            id=name,
            outage=outage,
            flow_mw=float(at),
            limit_mw=float(high if limit.price_per_mwh < 0 else -low),
            shadow_price=abs(limit.price_per_mwh),
        )
        for limit, (kind, name, outage), at, low, high in zip(
            bound, limit_names(monitor, keys), rows.coefficients @ flow_mw, rows.low_mw, rows.high_mw, strict=True
        )
    ]
    return tuple(sorted(found, key=lambda binding: (binding.kind, binding.id, binding.outage or "")))


def _limits_exceeded(monitor: Monitor, priced: tuple[Priced, ...]) -> tuple[Violation, ...]:
    over = [limit for limit in priced if limit.period == 0 and abs(limit.over_mw) > _REPORTED_FROM_MW]
    named = limit_names(monitor, [limit.key for limit in over])
    found = [
        Violation(kind=kind.value, id=name, mw=abs(limit.over_mw), outage=outage)
        for limit, (kind, name, outage) in zip(over, named, strict=True)
    ]
    return tuple(sorted(found, key=lambda violation: (violation.kind, violation.id, violation.outage or "")))


def _not_met(assembled: Assembled, x: FloatArray) -> Iterator[Violation]:
    """Load, excess, reserve and groups of the first period."""
    period, relief = assembled.problem.formulation.periods[0], assembled.relief
    topology, names = period.topology, period.topology.network.bus_ids
    for kind, columns in (("shed", relief.shed), ("spill", relief.spill)):
        amount = relief.per_island(columns, x, 0, topology.n_islands)
        # An island is named by its first bus; the load is shed over all of it, in proportion.
        for i in np.flatnonzero(amount > _REPORTED_FROM_MW).tolist():
            yield Violation(kind=kind, id=names[topology.reference_bus[i]], mw=float(amount[i]))
    for i in np.flatnonzero(~period.live_bus & (period.load_mw > 0)).tolist():
        yield Violation(kind="shed", id=names[i], mw=float(period.load_mw[i]))
    if assembled.reserves is not None:
        for name, short in zip(assembled.reserves.book.requirements, assembled.reserves.short_mw(x)[0].tolist(), strict=True):
            if short > _REPORTED_FROM_MW:
                yield Violation(kind="reserve", id=name, mw=short)
    for name, beyond in zip(assembled.groups.ids, assembled.groups.beyond_mw(x)[0].tolist(), strict=True):
        if abs(beyond) > _REPORTED_FROM_MW:
            yield Violation(kind="group", id=name, mw=abs(beyond))


def _awards(assembled: Assembled, x: FloatArray) -> dict[str, dict[str, float]]:
    out: dict[str, dict[str, float]] = {}
    if assembled.reserves is not None:
        for (provider, product), mw in zip(assembled.reserves.book.offers, assembled.reserves.award_mw(x)[0].tolist(), strict=True):
            if mw > _REPORTED_FROM_MW:
                out.setdefault(product, {})[provider] = mw
    return out


def _other_cost(assembled: Assembled, participants: Participants, x: FloatArray) -> float:
    """What storages and reserves of the first period cost at their offers, per hour."""
    cost, storages = assembled.problem.formulation.cost, assembled.storages
    total = 0.0
    for column, of in ((storages.charge[0], storages.book.bid_of), (storages.discharge[0], storages.book.offer_of)):
        # Bought at prices referred to the reference node, offered at those of the bus.
        total += float((cost[column] * participants.delivery[storages.book.bus[of]]) @ x[column])
    if assembled.reserves is not None:
        award = assembled.reserves.award[0]
        total += float(cost[award] @ x[award])
    return total


def _penalty(assembled: Assembled, participants: Participants, output_mw: FloatArray, result: Dispatch, params: ClearingParams) -> float:
    """What the violations of the first period cost at their penalties, per hour; curtailed wind, sun and water among them."""
    f, x, book, relief = assembled.problem.formulation, result.solution.x, participants.book, assembled.relief
    lost = np.where(book.controlled(Control.CURTAILABLE), params.curtailment_penalty_per_mwh, 0.0)
    total = float((assembled.units.high_mw[0] - output_mw) @ lost)
    columns = [relief.shed[relief.period == 0], relief.spill[relief.period == 0], assembled.groups.under[0], assembled.groups.over[0]]
    if assembled.reserves is not None:
        columns.append(assembled.reserves.short[0])
    if len(f.periods) == 1:
        columns.append(assembled.storages.shortfall)
    total += float(sum(f.cost[column] @ x[column] for column in columns))
    period = f.periods[0]
    total += float(np.where(period.live_bus, 0.0, np.maximum(period.load_mw, 0.0)).sum()) * params.balance_penalty_per_mwh
    over = [limit for limit in result.solution.priced if limit.period == 0 and limit.over_mw != 0.0]
    kinds = assembled.problem.monitors[0].rows(np.array([limit.key for limit in over], dtype=np.int64)).kind
    return total + sum(abs(limit.over_mw) * params.penalties[kind] for limit, kind in zip(over, kinds, strict=True))


def digest(*parts: object) -> str:
    """SHA-256 over parts in order; arrays and maps of numbers by their little-endian bytes, the rest as it prints."""
    mark = sha256()
    for part in parts:
        if isinstance(part, dict) and all(isinstance(value, float) for value in part.values()):
            named = sorted(part.items())
            raw = "\x1f".join(name for name, _ in named).encode() + np.array([value for _, value in named], dtype="<f8").tobytes()
        elif isinstance(part, dict):
            raw = repr(sorted(part.items())).encode()
        elif isinstance(part, np.ndarray):
            raw = part.astype(part.dtype.newbyteorder("<")).tobytes()
        else:
            raw = repr(part).encode()
        mark.update(len(raw).to_bytes(8, "little") + raw)
    return mark.hexdigest()
