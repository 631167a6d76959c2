"""Which limits of the network are in the program, and with which coefficients?

A limit is a weighted sum of branch flows (:mod:`market.monitor`); as a row over injections it is ``coefficients · PTDF``. The ledger keeps
the rows of all periods in the order they entered, each with its factors per bus, so that bounds can be moved when loads change, duals be
turned into branch prices, and coefficients be had for any column.

Two traps of scale. Small factors are cut relative to the largest of their row, never absolutely: a line of 1 MW whose factors are near
1e-7 can carry a shadow price of tens of thousands. And each row is scaled by a power of two, which loses no digit, so that the solver
drops none of its coefficients as too small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from market.formulation import Period
from market.grid import FloatArray, IndexArray
from market.monitor import LimitKind, Monitor

__all__ = ["NetworkRows", "NewRows", "Priced"]

_PTDF_CUT = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NewRows:
    """Limits of one period that enter now.

    Attributes:
        period: which.
        factor: (k, nb) scaled flow per MW injected at each bus.
        low: (k,) scaled lower bound of what the columns may add to the flow.
        high: (k,) scaled upper bound.
        scale: (k,) powers of two.
        kind: what sort of limit each is; decides its penalty.
    """

    period: int
    factor: FloatArray
    low: FloatArray
    high: FloatArray
    scale: FloatArray
    kind: tuple[LimitKind, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Priced:
    """One limit that is in the program, with what the solution says of it.

    Attributes:
        period: which.
        key: the monitor's own number for it.
        price_per_mwh: dual of its flow: negative at the upper limit, positive at the lower.
        over_mw: flow beyond the limit, positive above the upper, negative below the lower.
    """

    period: int
    key: int
    price_per_mwh: float
    over_mw: float


class NetworkRows:
    """The ledger.

    Args:
        periods: the horizon.
        monitors: the limits of each period's topology.
    """

    def __init__(self, periods: Sequence[Period], monitors: Sequence[Monitor]) -> None:
        self._monitors = tuple(monitors)
        self.period: IndexArray = np.zeros(0, dtype=np.int32)
        self.key: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.scale: FloatArray = np.zeros(0)
        self.kind: tuple[LimitKind, ...] = ()
        self.factor: FloatArray = np.zeros((0, len(periods[0].load_mw)))
        self._limit: FloatArray = np.zeros((0, 2))
        self._coefficients: list[csr_array[np.float64]] = []
        self.move(periods)

    def __len__(self) -> int:
        return len(self.key)

    def move(self, periods: Sequence[Period]) -> None:
        """Take other loads and fixed injections on the same wires."""
        self._base_flow = tuple(period.flows_mw(period.injection_mw) for period in periods)

    def known(self, t: int) -> NDArray[np.int64]:
        """Return the keys of period ``t`` that are in, sorted."""
        return np.sort(self.key[self.period == t])

    def add(self, t: int, keys: NDArray[np.int64], period: Period, unit_bus: NDArray[np.integer[Any]]) -> NewRows:
        """Take limits of period ``t`` in.

        Args:
            t: the period.
            keys: (k,) the monitor's numbers.
            period: its loads and wires.
            unit_bus: buses at which columns inject.
        """
        found = self._monitors[t].rows(keys)
        h = period.topology.ptdf_of(found.coefficients)
        relief = np.abs(h @ _per_island(period)).max(axis=1, initial=0.0)
        largest = np.maximum(np.abs(h[:, unit_bus]).max(axis=1, initial=0.0), relief)
        h = np.where(np.abs(h) < _PTDF_CUT * largest[:, None], 0.0, h)
        scale = np.where(largest > 0, 2.0 ** -np.floor(np.log2(np.where(largest > 0, largest, 1.0))), 1.0)
        h *= scale[:, None]
        k, base = len(keys), found.coefficients @ self._base_flow[t]
        low, high = (found.low_mw - base) * scale, (found.high_mw - base) * scale
        self.period = np.concatenate([self.period, np.full(k, t, dtype=np.int32)])
        self.key = np.concatenate([self.key, keys])
        self.scale = np.concatenate([self.scale, scale])
        self.kind = (*self.kind, *found.kind)
        self.factor = np.concatenate([self.factor, h])
        self._limit = np.concatenate([self._limit, np.stack([found.low_mw, found.high_mw], axis=1)])
        self._coefficients.append(found.coefficients)
        return NewRows(period=t, factor=h, low=low, high=high, scale=scale, kind=found.kind)

    @property
    def coefficients(self) -> csr_array[np.float64]:
        """(k, nl) every row as a sum of branch flows."""
        if len(self._coefficients) > 1:
            self._coefficients = [csr_array(vstack(self._coefficients))]
        return self._coefficients[0]

    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Return (k,) scaled lower and upper bounds of what the columns may add to each flow."""
        base = np.zeros(len(self))
        if len(self):
            for t in np.unique(self.period):
                own = self.period == t
                base[own] = (self.coefficients @ self._base_flow[t])[own]
        return (self._limit[:, 0] - base) * self.scale, (self._limit[:, 1] - base) * self.scale

    def branch_prices(self, t: int, dual: FloatArray) -> FloatArray:
        """Return (nl,) the price of each branch's flow in period ``t`` for scaled duals (k,) of all rows."""
        if not len(self):
            return np.zeros(len(self._base_flow[t]))
        own = np.where(self.period == t, dual * self.scale, 0.0)
        return np.asarray(self.coefficients.T @ own, dtype=np.float64)


def _per_island(period: Period) -> FloatArray:
    """(nb, n_live) share of each bus in each live island's load, a column per live island."""
    inside = period.topology.island_of_bus[:, None] == np.flatnonzero(period.live)
    return np.where(inside, period.share[:, None], 0.0)
