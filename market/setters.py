"""Whose next MW sets the price at a bus, and how much of it would be taken?

Prices are set by what is partly used: an offer that is neither full nor idle, or something bought at a penalty. One MW more of load at
a bus moves these, and nothing else, so that the balance and every binding limit and row still hold. That is a small system of
equations; its answer is how much more each would give (or less: behind a congested line two units often move against each other), and::

    LMP = Σ price of each · its change per MW of load

which is what makes a bus price that is no one's offer plain. Where the amounts are not determined (several periods tied by ramps and
storages, prices between two offers, degenerate ones) they are left out; the setters are named all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from market.grid import BoolArray, FloatArray, IndexArray
from market.program import Priced
from market.reporting import limit_names
from market.sced import pricing_cost
from market.workings import Workings

__all__ = ["PriceSetter", "price_setters"]

_AT_BOUND_MW = 1e-6
_TIGHT = 1e-9
_SOLVED = 1e-6
_COLUMNS_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSetter:
    """Something of which the next MW would be bought.

    Attributes:
        kind: ``unit``, ``charge`` or ``discharge`` of a storage, ``award`` of reserve; ``shed``, ``spill``, ``target`` of a storage,
            ``line``, ``section``, ``n-1``, ``group`` and ``reserve`` for what is missed at a penalty.
        id: its name; of load and excess the first bus of the island.
        bus: where it injects, or null.
        per_mwh: what its next MW costs, money per MWh: the offer (of wind, sun and water less the penalty for not taking it), or the
            penalty.
        mw: how much of it is used in all, MW; negative for what is taken.
        per_mw_of_load: how much more of it one MW more of load at the bus would take, MW; null where that is not determined.
    """

    kind: str
    id: str
    bus: str | None
    per_mwh: float
    mw: float
    per_mw_of_load: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Used:
    """A setter, and what it is in the program: a column, a curve, or a limit that is exceeded; ``at`` is where, -1 for everywhere."""

    kind: str
    id: str
    at: int
    per_mwh: float
    mw: float
    column: int = -1
    curve: int = -1
    over: int = -1


def price_setters(workings: Workings, bus: int) -> tuple[PriceSetter, ...]:
    """Return what sets the prices in the island of a live bus, by kind and name."""
    topology = workings.assembled.problem.formulation.periods[0].topology
    island, names = topology.island_of_bus, topology.network.bus_ids
    used = [*_columns(workings, int(island[bus])), *_curves(workings), *_exceeded(workings)]
    change = _changes(workings, bus)
    out = {
        PriceSetter(
            kind=one.kind,
            id=one.id,
            bus=names[one.at] if one.at >= 0 and one.over < 0 else None,
            per_mwh=one.per_mwh,
            mw=one.mw,
            per_mw_of_load=None if change is None else change.of(one),
        )
        for one in used
        if one.at < 0 or island[one.at] == island[bus]
    }
    return tuple(sorted(out, key=lambda one: (one.kind, one.id, one.per_mwh)))


def _columns(workings: Workings, island: int) -> Iterator[_Used]:
    assembled, solution = workings.assembled, workings.result.pricing
    f, book, storages, relief = assembled.problem.formulation, assembled.units.book, assembled.storages, assembled.relief
    x, cost = solution.x, _cost(workings)
    output = assembled.output_mw(x, solution.curve_mw)[0]
    partly = np.zeros(len(x), dtype=np.bool_)
    partly[_partly_used(workings)] = True
    for column, i in _these(partly, assembled.units.column[0], assembled.units.unit):
        yield _Used(kind="unit", id=book.ids[i], at=int(book.bus[i]), per_mwh=float(cost[column]), mw=float(output[i]), column=column)
    sold = storages.book
    for kind, columns, of, sign in (
        ("charge", storages.charge[0], sold.bid_of, -1.0),
        ("discharge", storages.discharge[0], sold.offer_of, 1.0),
    ):
        for column, i in _these(partly, columns, of):
            used = sign * float(x[columns[of == i]].sum())
            yield _Used(kind=kind, id=sold.ids[i], at=int(sold.bus[i]), per_mwh=sign * float(cost[column]), mw=used, column=column)
    first = f.periods[0].topology.network.bus_ids[f.periods[0].topology.reference_bus[island]]
    own = (relief.period == 0) & (relief.island == island)
    for kind, columns, sign in (("shed", relief.shed[own], 1.0), ("spill", relief.spill[own], -1.0)):
        for column, _ in _these(partly, columns, columns):
            yield _Used(kind=kind, id=first, at=-1, per_mwh=sign * float(cost[column]), mw=sign * float(x[column]), column=column)
    every = np.arange(len(assembled.groups.ids))
    named: list[tuple[str, tuple[str, ...], IndexArray, NDArray[np.integer[Any]]]] = [
        ("group", assembled.groups.ids, assembled.groups.under[0], every),
        ("group", assembled.groups.ids, assembled.groups.over[0], every),
    ]
    if len(f.periods) == 1:
        named.append(("target", tuple(sold.ids[i] for i in sold.target), storages.shortfall, np.arange(len(sold.target))))
    if (held := assembled.reserves) is not None:
        offers = tuple(f"{provider} for {product}" for provider, product in held.book.offers)
        named += [
            ("award", offers, held.award[0], np.arange(len(offers))),
            ("reserve", held.book.requirements, held.short[0], held.book.step_of),
        ]
    for what, ids, numbers, whose in named:
        for column, i in _these(partly, numbers, whose):
            yield _Used(kind=what, id=ids[i], at=-1, per_mwh=float(cost[column]), mw=float(x[column]), column=column)


def _curves(workings: Workings) -> Iterator[_Used]:
    curves, solution, assembled = workings.assembled.problem.curves, workings.result.pricing, workings.assembled
    slope = curves.slope_per_mwh(solution.curve_mw)
    for k in _moving_curves(workings).tolist():
        name = assembled.units.book.ids[assembled.curved[k]]
        yield _Used(kind="unit", id=name, at=int(curves.bus[k]), per_mwh=float(slope[k]), mw=float(solution.curve_mw[k]), curve=k)


def _exceeded(workings: Workings) -> Iterator[_Used]:
    problem = workings.assembled.problem
    monitor, network = problem.monitors[0], problem.formulation.periods[0].topology.network
    over = _limits(workings, exceeded=True)
    keys = [limit.key for limit in over]
    rows = monitor.rows(np.array(keys, dtype=np.int64)).coefficients
    branch = rows.indices[rows.indptr[:-1]].tolist()
    for k, (limit, (kind, name, outage), own) in enumerate(zip(over, limit_names(monitor, keys), branch, strict=True)):
        after = f"{name} after {outage}" if outage else name
        end = int(network.from_bus[own])
        yield _Used(kind=kind.value, id=after, at=end, per_mwh=abs(limit.price_per_mwh), mw=abs(limit.over_mw), over=k)


def _these(partly: BoolArray, columns: IndexArray, of: NDArray[np.integer[Any]]) -> Iterator[tuple[int, int]]:
    for k in np.flatnonzero(partly[columns]).tolist():
        yield int(columns[k]), int(of[k])


def _cost(workings: Workings) -> FloatArray:
    """(n,) what a unit of each column costs in the pricing run."""
    problem = workings.assembled.problem
    return pricing_cost(problem, workings.params) if workings.result.priced_apart else problem.formulation.cost


def _partly_used(workings: Workings) -> NDArray[np.intp]:
    f, x = workings.assembled.problem.formulation, workings.result.pricing.x
    return np.flatnonzero((f.period == 0) & (x > _AT_BOUND_MW) & (x < f.upper - _AT_BOUND_MW))


def _moving_curves(workings: Workings) -> NDArray[np.intp]:
    curves, mw = workings.assembled.problem.curves, workings.result.pricing.curve_mw
    return np.flatnonzero((mw > curves.low_mw + _AT_BOUND_MW) & (mw < curves.high_mw - _AT_BOUND_MW))


def _limits(workings: Workings, *, exceeded: bool) -> list[Priced]:
    """Limits of the first period that are exceeded, or that bind without being exceeded."""
    priced = [limit for limit in workings.result.pricing.priced if limit.period == 0 and abs(limit.price_per_mwh) > _TIGHT]
    return [limit for limit in priced if (abs(limit.over_mw) > _AT_BOUND_MW) is exceeded]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Changes:
    """What one MW more of load at a bus changes: columns by number, curves by number, MW beyond exceeded limits in order."""

    gain: FloatArray
    column: dict[int, float]
    curve: dict[int, float]
    over: FloatArray

    def of(self, one: _Used) -> float:
        if one.over >= 0:
            return float(self.over[one.over])
        if one.curve >= 0:
            return self.curve[one.curve]
        gain = float(self.gain[one.column])
        return self.column[one.column] * (gain or 1.0) + 0.0


def _changes(workings: Workings, bus: int) -> _Changes | None:
    """Solve for the changes; None where they are not determined."""
    f, curves = workings.assembled.problem.formulation, workings.assembled.problem.curves
    columns, moving = _partly_used(workings), _moving_curves(workings)
    if len(f.periods) > 1 or not 0 < len(columns) + len(moving) <= _COLUMNS_MAX:
        return None
    topology = f.periods[0].topology
    tight, over = _limits(workings, exceeded=False), _limits(workings, exceeded=True)
    keys = np.array([limit.key for limit in (*tight, *over)], dtype=np.int64)
    factor = topology.ptdf_of(workings.assembled.problem.monitors[0].rows(keys).coefficients)
    injected = np.concatenate([_injected(workings, columns), np.zeros((len(f.periods[0].load_mw), len(moving)))], axis=1)
    injected[curves.bus[moving], len(columns) + np.arange(len(moving))] = 1.0
    drawn = np.zeros(len(injected))
    drawn[bus] = 1.0
    per_island = np.stack([topology.island_of_bus == i for i in np.flatnonzero(f.periods[0].live)]).astype(np.float64)
    firm = np.flatnonzero((f.low == f.high) | (np.abs(workings.result.pricing.row_price) > _TIGHT))
    held = np.vstack([per_island, factor[: len(tight)]])
    tied = np.hstack([f.rows[firm][:, columns].toarray(), np.zeros((len(firm), len(moving)))])
    matrix, right = np.vstack([held @ injected, tied]), np.concatenate([held @ drawn, np.zeros(len(firm))])
    change, *_ = np.linalg.lstsq(matrix, right, rcond=None)
    beyond = factor[len(tight) :] @ (injected @ change - drawn) * np.sign([limit.over_mw for limit in over])
    slope = curves.slope_per_mwh(workings.result.pricing.curve_mw)[moving]
    penalty = np.abs([limit.price_per_mwh for limit in over])
    worth = np.concatenate([_cost(workings)[columns], slope]) @ change + penalty @ beyond
    price = float(workings.prices.lmp_raw_per_mwh[bus])
    scale = 1.0 + abs(price) + float(penalty @ np.abs(beyond))
    if np.abs(matrix @ change - right).max() > _SOLVED or abs(worth - price) > _SOLVED * scale:
        return None
    return _Changes(
        gain=f.gain,
        column=dict(zip(columns.tolist(), change[: len(columns)].tolist(), strict=True)),
        curve=dict(zip(moving.tolist(), change[len(columns) :].tolist(), strict=True)),
        over=beyond,
    )


def _injected(workings: Workings, columns: NDArray[np.intp]) -> FloatArray:
    """Return (nb, k) what a unit of each column of the first period injects at each bus."""
    f, k = workings.assembled.problem.formulation, np.arange(len(columns))
    period = f.periods[0]
    out = np.zeros((len(period.load_mw), len(columns)))
    here = ~f.spread[columns] & (f.bus[columns] >= 0)
    out[f.bus[columns[here]], k[here]] = f.gain[columns[here]]
    for j in k[f.spread[columns]].tolist():
        out[:, j] = period.share_in(int(f.bus[columns[j]])) * f.gain[columns[j]]
    return out
