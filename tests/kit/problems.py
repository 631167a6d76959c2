"""Small cases as programs, and their answers in the terms of units, lines and islands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from market.assembly import Assembled, Moment, Participants, assemble
from market.certificate import certify
from market.grid import FloatArray, Topology
from market.matpower import Case
from market.monitor import Monitor, Section
from market.outages import Contingencies
from market.outcomes import Certificate
from market.params import ClearingParams
from market.pricing import Prices, price
from market.program import NotSolved
from market.ranges import whole_range
from market.resources import Resources
from market.sced import Dispatch, dispatch

FREE = ClearingParams(price_floor_per_mwh=-np.inf, price_cap_per_mwh=np.inf, offer_cap_per_mwh=1000.0)
"""Neither floor nor cap; penalties in multiples of 1,000."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Solved:
    """A case, assembled and dispatched."""

    assembled: Assembled
    result: Dispatch
    params: ClearingParams

    @property
    def output_mw(self) -> FloatArray:
        """(nu,) outputs, units in the order of their ids."""
        return self.assembled.output_mw(self.result.solution.x, self.result.solution.curve_mw)[0]

    @property
    def branch_price_per_mwh(self) -> FloatArray:
        """(nl,) prices of the branches' flows."""
        return self.result.solution.branch_price_per_mwh[0]

    @property
    def island_price_per_mwh(self) -> FloatArray:
        """(n_islands,) prices at the reference buses."""
        return self.result.solution.island_price_per_mwh[0]

    @property
    def over_mw(self) -> FloatArray:
        """(nl,) flow of each line beyond its own limit."""
        period = self.assembled.problem.formulation.periods[0]
        out = np.zeros(period.topology.network.n_branches)
        for limit in self.result.solution.priced:
            if limit.key < len(out):
                out[limit.key] = limit.over_mw
        return out

    @property
    def shed_mw(self) -> FloatArray:
        """(n_islands,) load not served."""
        return self._relief(self.assembled.relief.shed)

    @property
    def spill_mw(self) -> FloatArray:
        """(n_islands,) excess."""
        return self._relief(self.assembled.relief.spill)

    def _relief(self, columns: FloatArray) -> FloatArray:
        n = len(self.assembled.problem.formulation.periods[0].live)
        return self.assembled.relief.per_island(columns, self.result.solution.x, 0, n)

    @property
    def prices(self) -> Prices:
        """Prices of the first period."""
        return price(self.assembled.problem.formulation, self.result.pricing, self.result.pricing_injection_mw[0], self.params)

    @property
    def certificate(self) -> Certificate:
        """The certificate of what was solved."""
        return certify(self.assembled.problem, self.result, self.prices, self.params)


def assembled_of(
    case: Case,
    *open_branches: str,
    params: ClearingParams = FREE,
    resources: Resources | None = None,
    sections: Sequence[Section] = (),
    outages: tuple[str, ...] | None = None,
) -> Assembled:
    """Put a case together as one period over the units' whole range."""
    net = case.network
    participants = Participants(case.units, resources or Resources(), net)
    topology = Topology(net, np.array([name not in open_branches for name in net.branch_ids]))
    screened = None if outages is None else Contingencies(topology, outages)
    moment = Moment(monitor=Monitor(topology, tuple(sections), screened), load_mw=case.load_mw, tie_mw=np.zeros(net.n_buses), reserve_mw={})
    on = np.ones(len(participants.book.units), dtype=np.bool_)
    return assemble(participants, [moment], whole_range(participants.book, on), params)


def tried(case: Case, *open_branches: str, params: ClearingParams = FREE, **more: object) -> Dispatch | NotSolved:
    """Dispatch a case."""
    return dispatch(assembled_of(case, *open_branches, params=params, **more).problem, params)  # type: ignore[arg-type]


def solved(case: Case, *open_branches: str, params: ClearingParams = FREE, **more: object) -> Solved:
    """Dispatch a case that can be dispatched."""
    assembled = assembled_of(case, *open_branches, params=params, **more)  # type: ignore[arg-type]
    result = dispatch(assembled.problem, params)
    assert isinstance(result, Dispatch)
    return Solved(assembled=assembled, result=result, params=params)
