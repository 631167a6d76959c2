"""Of what is the congestion part of a bus price made?

One MW more of load at a bus, taken off the other loads in proportion, loads each limit of the network by its *load factor*; each MW
on a limit costs its shadow price. So the congestion part of every price is a sum with a term per binding limit::

    congestion_i = Σ_k shadow price_k · load factor_ki  (+ island_i + capped_i)

with the load-weighted mean as the reference, as in the published split (:mod:`market.pricing`), so that no term depends on a reference bus.
Two terms more where they apply: by how much the mean price of the bus's own island differs from that of the main one, and what cap and
floor moved. The terms sum to the published congestion part, to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from market.grid import FloatArray
from market.reporting import limit_names
from market.workings import Workings

__all__ = ["PriceParts", "PriceShare", "price_parts"]

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
    moved = np.where(period.live_bus, prices.lossless_per_mwh, 0.0) - raw
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
