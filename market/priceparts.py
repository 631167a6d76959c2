"""Of what is the congestion part of a bus price made, and whose offer sets it?

One MW more of load at a bus, taken off the other loads in proportion, loads each limit of the network by its *load factor*; each MW
on a limit costs its shadow price. So the congestion part of every price is a sum with a term per binding limit::

    congestion_i = Σ_k shadow price_k · load factor_ki  (+ island_i + capped_i)

with the load-weighted mean as the reference, as in the published split (:mod:`market.pricing`), so that no term depends on a reference bus.
Two terms more where they apply: by how much the mean price of the bus's own island differs from that of the main one, and what cap and
floor moved. The terms sum to the published congestion part, to rounding.

The price itself is set by what would give the next MW: offers that are partly used, and what is bought at a penalty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from market.grid import FloatArray
from market.reporting import limit_names
from market.workings import Workings

__all__ = ["PriceParts", "PriceSetter", "PriceShare", "price_parts", "price_setters"]

_AT_BOUND_MW = 1e-6
_NOTHING_PER_MWH = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceShare:
    """One term of the congestion part of a bus price.

    Attributes:
        kind: ``line``, ``section`` or ``n-1`` for a limit of the network; ``island`` for a bus outside the main island; ``capped`` for
            what cap and floor moved.
        id: the branch or section; empty for the other two.
        outage: the contingency it binds under, or null for the intact grid.
        shadow_price: what one more MW of the limit would save, money per MWh, >= 0; null where there is no limit.
        load_factor: MW that one MW more of load at the bus puts on the limit, taken off the other loads in proportion; null likewise.
        per_mwh: the term, money per MWh: shadow price times load factor.
    """

    kind: str
    id: str
    outage: str | None
    shadow_price: float | None
    load_factor: float | None
    per_mwh: float

    @property
    def label(self) -> str:
        """Kind and name for people."""
        return f"{self.kind} {self.id}".strip() + (f" after {self.outage}" if self.outage else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSetter:
    """Something of which the next MW would be bought.

    Attributes:
        kind: ``unit``, ``charge`` or ``discharge`` of a storage; ``shed``, ``spill`` and ``line``, ``section``, ``n-1``, ``group``,
            ``reserve`` for what is missed at a penalty.
        id: its name; of load and excess the first bus of the island.
        bus: where it injects, or null.
        per_mwh: what its next MW costs, money per MWh: the offer (of wind, sun and water less the penalty for not taking it), or the
            penalty.
        mw: how much of it is used in all, MW.
    """

    kind: str
    id: str
    bus: str | None
    per_mwh: float
    mw: float


@dataclass(frozen=True, kw_only=True, eq=False)
class PriceParts:
    """The congestion parts of all bus prices, taken apart.

    Attributes:
        names: kind, element and outage of each limit that has a price.
        shadow_price: (k,) >= 0.
        load_factor: (k, nb) see :class:`PriceShare`.
        island_per_mwh: (nb,) mean price of the own island less that of the main one.
        capped_per_mwh: (nb,) what cap and floor did.
    """

    names: tuple[tuple[str, str, str | None], ...]
    shadow_price: FloatArray
    load_factor: FloatArray
    island_per_mwh: FloatArray
    capped_per_mwh: FloatArray

    def at(self, bus: int) -> tuple[PriceShare, ...]:
        """Return the terms of one live bus, the largest first; limits that do not reach it are left out."""
        return tuple(sorted(self._terms(bus), key=lambda share: -abs(share.per_mwh)))

    def _terms(self, bus: int) -> Iterator[PriceShare]:
        for (kind, name, outage), price, factor in zip(
            self.names, self.shadow_price.tolist(), self.load_factor[:, bus].tolist(), strict=True
        ):
            if abs(price * factor) > _NOTHING_PER_MWH:
                yield PriceShare(kind=kind, id=name, outage=outage, shadow_price=price, load_factor=factor, per_mwh=price * factor)
        for kind, term in (("island", self.island_per_mwh[bus]), ("capped", self.capped_per_mwh[bus])):
            if abs(term) > _NOTHING_PER_MWH:
                yield PriceShare(kind=kind, id="", outage=None, shadow_price=None, load_factor=None, per_mwh=float(term))


def price_parts(workings: Workings) -> PriceParts:
    """Take the published prices of the first period apart."""
    problem, prices, solution = workings.assembled.problem, workings.prices, workings.result.pricing
    period, monitor = problem.formulation.periods[0], problem.monitors[0]
    island = period.topology.island_of_bus
    bound = [limit for limit in solution.priced if limit.period == 0 and limit.price_per_mwh != 0.0]
    keys = [limit.key for limit in bound]
    dual = np.array([limit.price_per_mwh for limit in bound])
    factor = period.topology.ptdf_of(monitor.rows(np.array(keys, dtype=np.int64)).coefficients)
    mean = np.zeros_like(factor)
    raw = np.where(period.live_bus, prices.lmp_raw_per_mwh, 0.0)
    of_island = np.zeros(len(raw))
    for i in np.flatnonzero(period.live).tolist():
        own = island == i
        mean[:, own] = (factor[:, own] @ period.share[own])[:, None]
        of_island[own] = raw[own] @ period.share[own]
    main = _main_island(workings)
    energy_raw = float(of_island[island == main][0])
    moved = np.where(period.live_bus, prices.lmp_per_mwh, 0.0) - raw
    # An injection that loads a limit in its direction is worth less there: of load it is the other way round.
    return PriceParts(
        names=tuple((kind.value, name, outage) for kind, name, outage in limit_names(monitor, keys)),
        shadow_price=np.abs(dual),
        load_factor=np.where(period.live_bus, np.sign(dual)[:, None] * (factor - mean), 0.0) + 0.0,
        island_per_mwh=np.where(period.live_bus & (island != main), of_island - energy_raw, 0.0),
        capped_per_mwh=np.where(period.live_bus, moved - (prices.energy_per_mwh - energy_raw), 0.0),
    )


def _main_island(workings: Workings) -> int:
    """The live island with the most load, as the published energy price takes it."""
    period = workings.assembled.problem.formulation.periods[0]
    load = np.bincount(period.topology.island_of_bus, weights=np.maximum(period.load_mw, 0.0), minlength=len(period.live))
    return int(np.where(period.live, load, -1.0).argmax())


def price_setters(workings: Workings, island: int) -> tuple[PriceSetter, ...]:
    """Return what is partly used in the pricing run in one island, by kind and name: the next MW of each sets prices."""
    return tuple(sorted({*_offers(workings, island), *_penalties(workings, island)}, key=lambda one: (one.kind, one.id)))


def _offers(workings: Workings, island: int) -> Iterator[PriceSetter]:
    assembled, solution = workings.assembled, workings.result.pricing
    formulation, book, storages = assembled.problem.formulation, assembled.units.book, assembled.storages
    topology, x = formulation.periods[0].topology, solution.x
    names, of_bus = topology.network.bus_ids, topology.island_of_bus
    partly = (x > _AT_BOUND_MW) & (x < formulation.upper - _AT_BOUND_MW)
    output = assembled.output_mw(x, solution.curve_mw)[0]
    for column, i in zip(assembled.units.column[0].tolist(), assembled.units.unit.tolist(), strict=True):
        if partly[column] and of_bus[book.bus[i]] == island:
            yield PriceSetter(
                kind="unit", id=book.ids[i], bus=names[book.bus[i]], per_mwh=float(formulation.cost[column]), mw=float(output[i])
            )
    curves = assembled.problem.curves
    inside = (solution.curve_mw > curves.low_mw + _AT_BOUND_MW) & (solution.curve_mw < curves.high_mw - _AT_BOUND_MW)
    slope = curves.slope_per_mwh(solution.curve_mw)
    for k in np.flatnonzero(inside & (of_bus[curves.bus] == island)).tolist():
        i = assembled.curved[k]
        yield PriceSetter(kind="unit", id=book.ids[i], bus=names[book.bus[i]], per_mwh=float(slope[k]), mw=float(output[i]))
    sold = storages.book
    for kind, columns, of, sign in (
        ("charge", storages.charge[0], sold.bid_of, -1.0),
        ("discharge", storages.discharge[0], sold.offer_of, 1.0),
    ):
        for column, i in zip(columns.tolist(), of.tolist(), strict=True):
            if partly[column] and of_bus[sold.bus[i]] == island:
                price = sign * float(formulation.cost[column])
                yield PriceSetter(kind=kind, id=sold.ids[i], bus=names[sold.bus[i]], per_mwh=price, mw=float(x[columns[of == i]].sum()))


def _penalties(workings: Workings, island: int) -> Iterator[PriceSetter]:
    assembled, solution, params = workings.assembled, workings.result.pricing, workings.params
    period, monitor, x = assembled.problem.formulation.periods[0], assembled.problem.monitors[0], solution.x
    topology, relief = period.topology, assembled.relief
    first = topology.network.bus_ids[topology.reference_bus[island]]
    balance = params.pricing_balance_penalty_per_mwh if workings.result.priced_apart else params.balance_penalty_per_mwh
    for kind, columns, sign in (("shed", relief.shed, 1.0), ("spill", relief.spill, -1.0)):
        mw = relief.per_island(columns, x, 0, topology.n_islands)[island]
        if mw > _AT_BOUND_MW:
            yield PriceSetter(kind=kind, id=first, bus=None, per_mwh=sign * balance, mw=float(mw))
    over = [limit for limit in solution.priced if limit.period == 0 and abs(limit.over_mw) > _AT_BOUND_MW]
    keys = [limit.key for limit in over]
    rows = monitor.rows(np.array(keys, dtype=np.int64)).coefficients
    branch = rows.indices[rows.indptr[:-1]].tolist()
    for limit, (limited, name, outage), own in zip(over, limit_names(monitor, keys), branch, strict=True):
        if topology.island_of_bus[topology.network.from_bus[own]] == island:
            after = f"{name} after {outage}" if outage else name
            yield PriceSetter(kind=limited.value, id=after, bus=None, per_mwh=abs(limit.price_per_mwh), mw=abs(limit.over_mw))
    # Groups and reserves know no island: they are named everywhere.
    for name, mw in zip(assembled.groups.ids, assembled.groups.beyond_mw(x)[0].tolist(), strict=True):
        if abs(mw) > _AT_BOUND_MW:
            yield PriceSetter(kind="group", id=name, bus=None, per_mwh=params.group_penalty_per_mwh, mw=abs(mw))
    if (held := assembled.reserves) is not None:
        paid = held.requirement_price_per_mwh(solution.row_price)[0].tolist()
        for name, mw, price in zip(held.book.requirements, held.short_mw(x)[0].tolist(), paid, strict=True):
            if mw > _AT_BOUND_MW:
                yield PriceSetter(kind="reserve", id=name, bus=None, per_mwh=price, mw=mw)
