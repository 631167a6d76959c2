"""What do the storages add to the program: charge, discharge, and the energy that ties the periods together?

Per period and storage, with soc counted from the empty mark and h the length of a period in hours::

    soc(t) - soc(t - 1) - charge_efficiency * h * Σ charge + h / discharge_efficiency * Σ discharge = 0       0 <= soc <= full - empty
    soc(T) + shortfall >= target                                                                            where there is a target

The objective is money per hour, so a shortfall, which is paid for once, costs its penalty divided by h. One period is the same with
T = 1: the energy that is there limits what can be given.

A storage in a dead island neither gives nor takes, and no storage brings an island to life.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from market.errors import CaseError
from market.formulation import NO_BUS, Builder
from market.grid import FloatArray, IndexArray, sum_by
from market.offers import Segment
from market.storage import Storage

__all__ = ["StorageBlock", "StorageBook", "add_storages"]


class StorageBook:
    """The storages of a case as columns, in the order of their ids.

    Attributes:
        storages: sorted by id.
        ids: their names.
        bus: (n,) position of each one's bus.
        charge_mw, discharge_mw: (n,) power limits, MW.
        empty_mwh, full_mwh: (n,) marks, MWh.
        kept: (n,) charge efficiency.
        given: (n,) discharge efficiency.
        bid_of, bid_mw, bid_per_mwh: (nc,) storage, width within its power and price of each charge segment.
        offer_of, offer_mw, offer_per_mwh: (nd,) the same of each discharge segment.
        target: (m,) the storages that have a target.

    Raises:
        CaseError: names used twice, or a storage at a bus that the network does not have.
    """

    def __init__(self, storages: Sequence[Storage], bus_index: Mapping[str, int]) -> None:
        self.storages = tuple(sorted(storages, key=lambda storage: storage.id))
        self.ids = tuple(storage.id for storage in self.storages)
        self.index: Mapping[str, int] = {name: i for i, name in enumerate(self.ids)}
        if twice := sorted({a for a, b in zip(self.ids, self.ids[1:], strict=False) if a == b}):
            raise CaseError(f"storages: names used twice: {', '.join(twice[:5])}; give each its own")
        if lost := [f"{storage.id} at {storage.bus}" for storage in self.storages if storage.bus not in bus_index]:
            raise CaseError(f"storages at buses the network does not have: {', '.join(lost[:5])}; add the bus or correct the storage")
        self.bus: IndexArray = np.array([bus_index[storage.bus] for storage in self.storages], dtype=np.int32)
        self.charge_mw, self.discharge_mw = self._column("charge_mw"), self._column("discharge_mw")
        self.empty_mwh, self.full_mwh = self._column("energy_min_mwh"), self._column("energy_max_mwh")
        self.kept, self.given = self._column("charge_efficiency"), self._column("discharge_efficiency")
        self.bid_of, self.bid_mw, self.bid_per_mwh = self._stack([storage.bids for storage in self.storages], self.charge_mw)
        self.offer_of, self.offer_mw, self.offer_per_mwh = self._stack([storage.offers for storage in self.storages], self.discharge_mw)
        self.target: IndexArray = np.array([i for i, each in enumerate(self.storages) if each.target_mwh is not None], dtype=np.int32)
        self.target_mwh: FloatArray = np.array([self.storages[i].target_mwh for i in self.target], dtype=np.float64)
        self.target_penalty_per_mwh: FloatArray = self._column("target_penalty_per_mwh")[self.target]

    def referred(self, factor: FloatArray) -> StorageBook:
        """Return the same storages with prices referred to the reference node: divided by the delivery factor (n,) of each."""
        other = copy(self)
        other.bid_per_mwh = self.bid_per_mwh / factor[self.bid_of]
        other.offer_per_mwh = self.offer_per_mwh / factor[self.offer_of]
        return other

    def _column(self, name: str) -> FloatArray:
        return np.array([getattr(storage, name) for storage in self.storages], dtype=np.float64)

    @staticmethod
    def _stack(offers: Sequence[tuple[Segment, ...]], most_mw: FloatArray) -> tuple[IndexArray, FloatArray, FloatArray]:
        """Lay segments end to end; those of a storage follow each other, and what lies beyond its power has no width."""
        of = np.array([i for i, segments in enumerate(offers) for _ in segments], dtype=np.int32)
        width = np.array([segment.mw for segments in offers for segment in segments], dtype=np.float64)
        price = np.array([segment.price_per_mwh for segments in offers for segment in segments], dtype=np.float64)
        end = np.cumsum(width)
        begin = end - width - np.concatenate([[0.0], end])[np.searchsorted(of, of, side="left")]
        return of, np.clip(most_mw[of] - begin, 0.0, width), price


@dataclass(frozen=True, kw_only=True, eq=False)
class StorageBlock:
    """The columns and rows of the storages.

    Attributes:
        book: the storages.
        interval_h: length of a period, h.
        charge: (T, nc) columns of the charge segments.
        discharge: (T, nd) columns of the discharge segments.
        soc: (T, n) columns of the energy above the empty mark at the end of each period, MWh.
        shortfall: (m,) columns of what is missing to each target, MWh.
        soc_row: (T, n) rows that carry the energy from period to period.
        target_row: (m,) rows of the targets.
    """

    book: StorageBook
    interval_h: float
    charge: IndexArray
    discharge: IndexArray
    soc: IndexArray
    shortfall: IndexArray
    soc_row: IndexArray
    target_row: IndexArray

    def charge_mw(self, x: FloatArray) -> FloatArray:
        """Return (T, n) what each draws, MW, >= 0."""
        return np.array([sum_by(self.book.bid_of, x[column], len(self.book.ids)) for column in self.charge])

    def discharge_mw(self, x: FloatArray) -> FloatArray:
        """Return (T, n) what each gives, MW, >= 0."""
        return np.array([sum_by(self.book.offer_of, x[column], len(self.book.ids)) for column in self.discharge])

    def net_mw(self, x: FloatArray) -> FloatArray:
        """Return (T, n) the base point of each: what it gives less what it takes, MW."""
        return np.asarray(self.discharge_mw(x) - self.charge_mw(x))

    def simultaneous_mw(self, x: FloatArray) -> FloatArray:
        """Return (T, n) the power that stands on both sides, MW; see :mod:`market.storage` for when that can be."""
        return np.minimum(self.discharge_mw(x), self.charge_mw(x))

    def soc_mwh(self, x: FloatArray) -> FloatArray:
        """Return (T, n) the energy in each at the end of each period, MWh."""
        return np.asarray(self.book.empty_mwh + x[self.soc])

    def shortfall_mwh(self, x: FloatArray) -> FloatArray:
        """Return (n,) what is missing to each target, MWh; 0 where there is none."""
        return sum_by(self.book.target, x[self.shortfall], len(self.book.ids))

    def energy_value_per_mwh(self, row_dual: FloatArray) -> FloatArray:
        """Return (T, n) what a MWh more in each store would have saved in each period.

        Args:
            row_dual: (rows,) change of the objective, money per hour, per unit of each structure row's bound.
        """
        return np.asarray(-row_dual[self.soc_row] * self.interval_h)


def add_storages(builder: Builder, book: StorageBook, *, initial_mwh: FloatArray, interval_h: float) -> StorageBlock:
    """Append the storages.

    Args:
        builder: gives the periods and their live islands.
        book: the storages.
        initial_mwh: (n,) energy in each at the start, MWh; what lies outside the marks by noise is brought to the mark.
        interval_h: length of a period, h.
    """
    if not book.ids:
        return _none(builder, book, interval_h)
    n, initial = len(book.ids), np.clip(initial_mwh, book.empty_mwh, book.full_mwh) - book.empty_mwh
    charges: list[IndexArray] = []
    discharges: list[IndexArray] = []
    socs: list[IndexArray] = []
    rows: list[IndexArray] = []
    every = np.arange(n, dtype=np.int32)
    for t, period in enumerate(builder.periods):
        live = period.live_bus[book.bus]
        power = [
            builder.columns(
                cost=cost,
                upper=np.where(live[of], width, 0.0),
                period=t,
                bus=book.bus[of],
                gain=gain,
                weight=np.where(width > 0, width, 1.0),
            )
            for cost, width, of, gain in (
                (-book.bid_per_mwh, book.bid_mw, book.bid_of, -1.0),
                (book.offer_per_mwh, book.offer_mw, book.offer_of, 1.0),
            )
        ]
        soc = builder.columns(cost=np.zeros(n), upper=book.full_mwh - book.empty_mwh, period=t, bus=NO_BUS)
        in_row = [every, book.bid_of, book.offer_of]
        column = [soc, *power]
        value = [np.ones(n), -interval_h * book.kept[book.bid_of], interval_h / book.given[book.offer_of]]
        if t:
            in_row, column, value = [*in_row, every], [*column, socs[-1]], [*value, -np.ones(n)]
        held = np.zeros(n) if t else initial
        rows.append(
            builder.rows(low=held, high=held, row=np.concatenate(in_row), column=np.concatenate(column), value=np.concatenate(value))
        )
        charges.append(power[0])
        discharges.append(power[1])
        socs.append(soc)
    m = len(book.target)
    shortfall = builder.columns(cost=book.target_penalty_per_mwh / interval_h, upper=np.inf, period=len(builder.periods) - 1)
    target_row = builder.rows(
        low=book.target_mwh - book.empty_mwh[book.target],
        high=np.inf,
        row=np.tile(np.arange(m), 2),
        column=np.concatenate([socs[-1][book.target], shortfall]),
        value=1.0,
    )
    return StorageBlock(
        book=book,
        interval_h=interval_h,
        charge=np.array(charges),
        discharge=np.array(discharges),
        soc=np.array(socs),
        shortfall=shortfall,
        soc_row=np.array(rows),
        target_row=target_row,
    )


def _none(builder: Builder, book: StorageBook, interval_h: float) -> StorageBlock:
    """Return the block of a market without storages; nothing is appended for it."""
    none = np.zeros((len(builder.periods), 0), dtype=np.int32)
    return StorageBlock(
        book=book, interval_h=interval_h, charge=none, discharge=none, soc=none, shortfall=none[0], soc_row=none, target_row=none[0]
    )
