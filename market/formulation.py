"""What is to be chosen, at what cost, and what ties the choices together: one linear program, before the network is asked.

A clearing of one or several intervals (*periods*) is a set of columns, each an amount of something that is bought in one period (an
offer segment, a charge, reserve, load that is not served), and *structure rows* that tie columns together (ramps, state of charge,
reserve requirements). How much the wires can carry is not written here: :mod:`market.program` asks that of each period's topology,
row by row as limits turn out to be violated, and adds the balance of each island::

    min   Σ cost·x
    s.t.  Σ gain·x = −Σ injection             per live island of every period
          low ≤ A·x ≤ high                    structure rows; the lazy ones enter when they are violated
          limits of the network               as they are violated, each at a penalty
          0 ≤ x ≤ upper

The blocks (:mod:`market.unitblock` and its neighbours) append to a :class:`Builder`; nothing here knows what a unit is.

Absent on purpose: integers; columns of free sign (a quantity that may be negative is counted from its lower limit).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from market.grid import BoolArray, FloatArray, IndexArray, Topology, sum_by

__all__ = ["NO_BUS", "Builder", "Formulation", "Period"]

NO_BUS = -1
"""Bus of a column that injects nowhere."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Period:
    """One interval of the horizon and its wires.

    Attributes:
        topology: the wires in service.
        live: (n_islands,) islands that can be fed; the others carry nothing and have no price.
        load_mw: (nb,) withdrawal that is there whatever it costs, MW; what stands in dead islands is ignored.
        fixed_mw: (nb,) injection that is there whatever it costs (least outputs, tie-line schedules, fixed units), MW.
    """

    topology: Topology
    live: BoolArray
    load_mw: FloatArray
    fixed_mw: FloatArray

    @cached_property
    def live_bus(self) -> BoolArray:
        """(nb,) whether each bus stands in a live island."""
        return self.live[self.topology.island_of_bus]

    @cached_property
    def share(self) -> FloatArray:
        """(nb,) share of each bus in its island's load, 0 in dead islands; equal shares where an island has no load."""
        island = self.topology.island_of_bus
        weight = np.maximum(self.load_mw, 0.0)
        empty = sum_by(island, weight, len(self.live)) <= 0
        weight = np.where(empty[island], 1.0, weight)
        total = sum_by(island, weight, len(self.live))
        return np.where(self.live_bus, weight / total[island], 0.0)

    def share_in(self, island: int) -> FloatArray:
        """Return (nb,) the share of each bus in the load of one island, 0 outside it: how a MW that is spread over it is put in."""
        return np.where(self.topology.island_of_bus == island, self.share, 0.0)

    @cached_property
    def injection_mw(self) -> FloatArray:
        """(nb,) net injection before anything is chosen, MW; 0 in dead islands."""
        return np.where(self.live_bus, self.fixed_mw - self.load_mw, 0.0)

    @cached_property
    def shift_flow_mw(self) -> FloatArray:
        """(nl,) what phase shifters add to the flow of their branch, MW; 0 in dead islands."""
        return np.where(self._live_branch, self.topology.shift_flow_mw, 0.0)

    def flows_mw(self, injection_mw: FloatArray) -> FloatArray:
        """Return the branch flows (nl,) for net injections (nb,), MW; 0 in dead islands, where phase shifters drive nothing round."""
        return np.where(self._live_branch, self.topology.flows_mw(injection_mw), 0.0)

    @cached_property
    def _live_branch(self) -> BoolArray:
        return self.live_bus[self.topology.network.from_bus]


@dataclass(frozen=True, kw_only=True, eq=False)
class Formulation:
    """The columns and structure rows of one clearing.

    Attributes:
        periods: the horizon, in order.
        cost: (n,) per unit of each column: money per MWh for power and reserve.
        upper: (n,) upper bound, ``inf`` where there is none; 0 for a column that exists in other clearings only.
        period: (n,) the period each column belongs to.
        bus: (n,) the bus it injects at; the island, for a column that is ``spread``; ``NO_BUS`` where it injects nowhere.
        gain: (n,) MW injected per unit of the column: 1 for what is produced, −1 for what is consumed, 0 for what is no power.
        spread: (n,) whether it is injected over the buses of an island in proportion to their load, not at one bus.
        weight: (n,) how columns that cost the same share what is wanted of them: in proportion to this (MW offered at that price).
        rows: (m, n) coefficients of the structure rows.
        low: (m,) lower bounds of the rows.
        high: (m,) upper bounds.
        lazy: (m,) whether the row enters the program only when it is violated.
    """

    periods: tuple[Period, ...]
    cost: FloatArray
    upper: FloatArray
    period: IndexArray
    bus: IndexArray
    gain: FloatArray
    spread: BoolArray
    weight: FloatArray
    rows: csr_array[np.float64]
    low: FloatArray
    high: FloatArray
    lazy: BoolArray

    def injection_mw(self, t: int, x: FloatArray) -> FloatArray:
        """Return (nb,) the net injections of period ``t`` for column values (n,), MW; 0 in dead islands."""
        period = self.periods[t]
        own = self.period == t
        power = np.where(own, self.gain * x, 0.0)
        at_bus = own & ~self.spread & (self.bus != NO_BUS)
        made = sum_by(self.bus[at_bus], power[at_bus], len(period.load_mw))
        over = own & self.spread
        relief = sum_by(self.bus[over], power[over], len(period.live))
        return np.where(period.live_bus, period.injection_mw + made + period.share * relief[period.topology.island_of_bus], 0.0)


class Builder:
    """Collects columns and structure rows block by block.

    Args:
        periods: the horizon, in order.
    """

    def __init__(self, periods: tuple[Period, ...]) -> None:
        self.periods = periods
        self.n_columns = 0
        self.n_rows = 0
        self._columns: list[tuple[FloatArray, FloatArray, IndexArray, IndexArray, FloatArray, BoolArray, FloatArray]] = []
        self._entries: list[tuple[IndexArray, IndexArray, FloatArray]] = []
        self._bounds: list[tuple[FloatArray, FloatArray, BoolArray]] = []

    def columns(
        self,
        *,
        cost: ArrayLike,
        upper: ArrayLike,
        period: ArrayLike,
        bus: ArrayLike = NO_BUS,
        gain: ArrayLike = 0.0,
        spread: bool = False,
        weight: ArrayLike | None = None,
    ) -> IndexArray:
        """Append columns and return their numbers (k,).

        Args:
            cost: (k,) money per MWh; decides how many columns there are.
            upper: (k,) upper bounds, >= 0.
            period: (k,) period of each.
            bus: (k,) bus, or island where ``spread``.
            gain: (k,) MW injected per unit.
            spread: whether they are injected over an island.
            weight: (k,) shares among equals; the upper bound where not given, 1 where that is no number.
        """
        price = np.atleast_1d(np.asarray(cost, dtype=np.float64))
        k = len(price)

        def column(values: ArrayLike) -> FloatArray:
            return np.array(np.broadcast_to(np.asarray(values, dtype=np.float64), (k,)))

        most = column(upper)
        shares = np.where(np.isfinite(most) & (most > 0), most, 1.0) if weight is None else column(weight)
        places = (column(period).astype(np.int32), column(bus).astype(np.int32))
        self._columns.append((price, most, *places, column(gain), np.full(k, spread), shares))
        numbers = np.arange(self.n_columns, self.n_columns + k, dtype=np.int32)
        self.n_columns += k
        return numbers

    def rows(
        self, *, low: ArrayLike, high: ArrayLike, row: ArrayLike, column: ArrayLike, value: ArrayLike, lazy: bool = False
    ) -> IndexArray:
        """Append structure rows and return their numbers (m,).

        Args:
            low: (m,) lower bounds, ``-inf`` where there is none; decides how many rows there are.
            high: (m,) upper bounds, ``inf`` where there is none.
            row: (nnz,) position of each entry among the rows appended now, from 0.
            column: (nnz,) its column, as :meth:`columns` numbered it.
            value: (nnz,) its coefficient.
            lazy: whether they enter only when they are violated.
        """
        least = np.atleast_1d(np.asarray(low, dtype=np.float64))
        m = len(least)
        most = np.array(np.broadcast_to(np.asarray(high, dtype=np.float64), (m,)))
        at = np.atleast_1d(np.asarray(row, dtype=np.int32))
        where = np.array(np.broadcast_to(np.asarray(column, dtype=np.int32), at.shape))
        what = np.array(np.broadcast_to(np.asarray(value, dtype=np.float64), at.shape))
        self._entries.append(((at + self.n_rows).astype(np.int32), where, what))
        self._bounds.append((least, most, np.full(m, lazy)))
        numbers = np.arange(self.n_rows, self.n_rows + m, dtype=np.int32)
        self.n_rows += m
        return numbers

    def build(self) -> Formulation:
        """Return what was collected."""
        empty = np.zeros(0)
        nothing = (empty, empty, empty.astype(np.int32), empty.astype(np.int32), empty, empty.astype(np.bool_), empty)
        cost, upper, period, bus, gain, spread, weight = (np.concatenate(part) for part in zip(nothing, *self._columns, strict=True))
        no_entry = (empty.astype(np.int32), empty.astype(np.int32), empty)
        row, column, value = (np.concatenate(part) for part in zip(no_entry, *self._entries, strict=True))
        low, high, lazy = (np.concatenate(part) for part in zip((empty, empty, empty.astype(np.bool_)), *self._bounds, strict=True))
        return Formulation(
            periods=self.periods,
            cost=cost,
            upper=upper,
            period=period.astype(np.int32),
            bus=bus.astype(np.int32),
            gain=gain,
            spread=spread.astype(np.bool_),
            weight=weight,
            rows=csr_array((value, (row, column)), shape=(self.n_rows, self.n_columns)),
            low=low,
            high=high,
            lazy=lazy.astype(np.bool_),
        )
