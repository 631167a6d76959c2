"""What a clearing knew when it ended, for whoever asks why.

An outcome (:mod:`market.outcomes`) is a record and holds what is published. Why a price is what it is, and why a unit does not run, is
answered from more: the program's columns and rows, both runs' duals, and the ranges of the units. The engine hands them on, to whom it
was asked to (``keep``), beside the outcome; nobody keeps them otherwise, since they are large and can be had again by a replay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.assembly import Assembled, Participants
from market.grid import FloatArray
from market.outcomes import ClearingInputs
from market.params import ClearingParams
from market.pricing import Prices, bus_prices
from market.program import Solution
from market.ranges import Horizon
from market.sced import Dispatch

__all__ = ["Workings"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Workings:
    """One clearing whose certificate has passed.

    Attributes:
        assembled: the program, and whose its columns are.
        participants: who took part.
        horizon: where each unit could be put.
        result: dispatch and pricing run.
        prices: of the first period.
        params: penalties, floor and cap.
        inputs: what it was cleared from; None for a case without history.
    """

    assembled: Assembled
    participants: Participants
    horizon: Horizon
    result: Dispatch
    prices: Prices
    params: ClearingParams
    inputs: ClearingInputs | None = None

    def output_mw(self) -> FloatArray:
        """Return (nu,) the output of each unit in the first period, MW."""
        solution = self.result.solution
        return np.asarray(self.assembled.output_mw(solution.x, solution.curve_mw)[0] + 0.0)

    @property
    def supporting(self) -> Solution:
        """The duals that support the dispatch: those published, unless the pricing run ended elsewhere."""
        return self.result.solution if self.result.priced_apart else self.result.pricing

    def dispatch_lmp_per_mwh(self) -> FloatArray:
        """Return (nb,) the bus prices that support the dispatch, which the pricing run may have left; NaN at dead buses."""
        return bus_prices(self.assembled.problem.formulation, self.supporting, 0)
