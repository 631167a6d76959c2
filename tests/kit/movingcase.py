"""A case file as a market of intervals: ten segments to a unit, and loads and offers that move a little from one interval to the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from market.assembly import Assembled, Moment, Participants, assemble
from market.certificate import certify
from market.engine import CASE_PARAMS, Outages
from market.grid import BoolArray, Convention, FloatArray, Topology
from market.matpower import Case
from market.monitor import Monitor
from market.offers import Segment, Unit
from market.outages import Contingencies
from market.outcomes import Certificate
from market.pricing import Prices, price
from market.program import NotSolved, Program
from market.ranges import whole_range
from market.resources import Resources
from market.sced import Dispatch, dispatch, program_of

__all__ = ["Interval", "MovingCase", "Run", "in_segments"]

SYSTEM_SHARE, BUS_SHARE, OFFERING_SHARE, OFFER_SHARE = 0.004, 0.005, 0.05, 0.05
"""How far the load of the system and of each bus moves, how many units offer anew, and how far their prices move."""


def in_segments(unit: Unit, n: int = 10) -> Unit:
    """Return the unit with a linear cost offered in equal segments that rise by 2 % from the first to the last."""
    assert unit.quadratic is None
    width_mw = (unit.p_max_mw - unit.p_min_mw) / n
    if width_mw <= 0 or not unit.segments:
        return replace(unit, segments=())
    first = unit.segments[0].price_per_mwh
    return replace(unit, segments=tuple(Segment(width_mw, first + 0.02 * abs(first) * k / n) for k in range(n)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Interval:
    """What is new in one interval: (nb,) loads, MW, and (ns,) segment prices per MWh."""

    load_mw: FloatArray
    price_per_mwh: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One clearing as far as its prices, with what it came from."""

    assembled: Assembled
    program: Program
    result: Dispatch
    prices: Prices

    @property
    def objective_per_h(self) -> float:
        """Cost per hour of the columns at their offers and penalties, without that of violated limits."""
        return float(self.assembled.problem.formulation.cost @ self.result.solution.x)

    def certify(self) -> Certificate:
        """Prove it."""
        return certify(self.assembled.problem, self.result, self.prices, CASE_PARAMS)


class MovingCase:
    """Clears the intervals of one case, each from its arrays.

    Args:
        case: with linear costs.
        outages: single outages to be secured against.
    """

    def __init__(self, case: Case, outages: Outages | None = None) -> None:
        self.case = case
        self.participants = Participants([in_segments(unit) for unit in case.units], Resources(), case.network)
        book = self.participants.book
        topology = Topology(case.network, case.in_service, Convention.MATPOWER)
        self.monitor = Monitor(topology, (), None if outages is None else Contingencies(topology, outages))
        self.reach = whole_range(book, np.array([unit.id not in case.units_off for unit in book.units], dtype=np.bool_))
        self._offered_per_mwh = book.seg_price_per_mwh
        self._still = np.zeros(case.network.n_buses)

    def intervals(self, n: int, seed: int = 1) -> Iterator[Interval]:
        """Yield intervals: loads about those of the case, offers each from the one before, the first from the case's."""
        rng = np.random.default_rng(seed)
        seg_unit, units = self.participants.book.seg_unit, len(self.participants.book.units)
        base, prices = self.case.load_mw + self.case.shunt_mw, self._offered_per_mwh
        for _ in range(n):
            load = base * (1 + rng.uniform(-SYSTEM_SHARE, SYSTEM_SHARE)) * (1 + rng.uniform(-BUS_SHARE, BUS_SHARE, len(base)))
            offering: BoolArray = rng.random(units) < OFFERING_SHARE
            factor = np.where(offering, rng.uniform(1 - OFFER_SHARE, 1 + OFFER_SHARE, units), 1.0)
            prices = prices * factor[seg_unit]
            yield Interval(load_mw=load, price_per_mwh=prices)

    def assemble(self, interval: Interval) -> Assembled:
        """Put one interval together."""
        self.participants.book.seg_price_per_mwh = interval.price_per_mwh
        moment = Moment(monitor=self.monitor, load_mw=interval.load_mw, tie_mw=self._still, reserve_mw={})
        return assemble(self.participants, [moment], self.reach, CASE_PARAMS)

    def clear(self, interval: Interval, kept: Program | None = None) -> Run:
        """Clear one interval as far as its prices: from a program kept from the interval before, or cold."""
        assembled = self.assemble(interval)
        if kept is None or not kept.update(assembled.problem.formulation):
            kept = program_of(assembled.problem, CASE_PARAMS)
        result = dispatch(assembled.problem, CASE_PARAMS, kept)
        assert not isinstance(result, NotSolved), result
        prices = price(assembled.problem.formulation, result.pricing, result.pricing_injection_mw[0], CASE_PARAMS)
        return Run(assembled=assembled, program=kept, result=result, prices=prices)
