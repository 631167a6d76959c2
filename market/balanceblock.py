"""Load that is not served and excess that finds no load: the last two things to buy, so that every balance can be met.

Both are spread over the island's buses in proportion to their load, the same weights as the energy price, so that neither depends on a
reference bus.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.formulation import Builder
from market.grid import FloatArray, IndexArray

__all__ = ["Relief", "add_relief"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Relief:
    """Where the columns are: one of each sort per live island and period.

    Attributes:
        period: (k,) period of each pair.
        island: (k,) its island.
        shed: (k,) columns of load not served, MW.
        spill: (k,) columns of excess, MW.
    """

    period: IndexArray
    island: IndexArray
    shed: IndexArray
    spill: IndexArray

    def per_island(self, columns: IndexArray, x: FloatArray, t: int, n_islands: int) -> FloatArray:
        """Return (n_islands,) the amounts in ``shed`` or ``spill`` in period ``t``, MW."""
        out = np.zeros(n_islands)
        own = self.period == t
        out[self.island[own]] = x[columns[own]]
        return out


def add_relief(builder: Builder, penalty_per_mwh: float) -> Relief:
    """Append the columns of every live island and period."""
    places = [(t, int(i)) for t, period in enumerate(builder.periods) for i in np.flatnonzero(period.live)]
    period, island = (np.array([place[k] for place in places], dtype=np.int32) for k in (0, 1))
    cost = np.full(len(places), penalty_per_mwh)
    shed = builder.columns(cost=cost, upper=np.inf, period=period, bus=island, gain=1.0, spread=True)
    spill = builder.columns(cost=cost, upper=np.inf, period=period, bus=island, gain=-1.0, spread=True)
    return Relief(period=period, island=island, shed=shed, spill=spill)
