"""What does reserve add to the program: awards, what is missing, and that a MW can be promised only once?

With r the awards of a period, p the output of a unit::

    Σ r + Σ short >= required                                  per requirement; its dual is the price of that requirement
    p + Σ r(up) <= largest output     p - Σ r(down) >= least output                            per unit; whatever the ramp
    Σ r <= ramp * minutes                                      per unit and product, over the products that are as quick or quicker
    discharge - charge + Σ r(up) <= discharge_mw               per storage, and in the other direction
    Σ r(up) * minutes / discharge_efficiency <= energy above the empty mark at the end of the period; down: below the full mark

So a unit that must stay below its capacity to hold reserve is paid, in the reserve price, what it loses by that; and where load takes
the last MW that could have been reserve, the energy price holds the price of being short of it.

A unit holds reserve while it is committed, not under test, and within its range; one that still climbs to its least output holds none.
All these rows are in the program from the start: almost every one of them decides something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from market.formulation import NO_BUS, Builder
from market.grid import BoolArray, FloatArray, IndexArray, sum_by
from market.offers import OfferBook
from market.ranges import Horizon
from market.reserves import Direction
from market.resources import Resources
from market.storageblock import StorageBlock, StorageBook
from market.unitblock import UnitBlock

__all__ = ["ReserveBlock", "ReserveBook", "add_reserves"]

_WAYS = ((Direction.UP, 1.0), (Direction.DOWN, -1.0))


class ReserveBook:
    """The reserve market as columns: offers sorted by provider and product, requirements by id.

    Attributes:
        offers: (no,) provider and product of each offer.
        of_unit: (no,) whether the provider is a unit, else a storage.
        provider: (no,) the unit or storage.
        way: (no,) 1 for up, -1 for down.
        minutes: (no,) time to deliver, min.
        most_mw: (no,) largest award, by offer and ramp, MW.
        ramp_mw: (no,) what the provider's ramp delivers in that time, MW, ``inf`` for a storage.
        price_per_mwh: (no,) price of each.
        requirements: (nr,) names.
        required_mw: (nr,) standing requirements, MW.
        counts: (nr, no) whether an award helps to meet a requirement.
        step_of: (nk,) requirement of each shortage step.
        step_mw, step_per_mwh: (nk,) width, ``inf`` for the last of each requirement, and price.
    """

    def __init__(self, resources: Resources, units: OfferBook, storages: StorageBook) -> None:
        product = {each.id: each for each in resources.products}
        ordered = sorted(resources.reserve_offers, key=lambda offer: (offer.provider, offer.product))
        wanted = sorted(resources.requirements, key=lambda requirement: requirement.id)
        self.offers = tuple((offer.provider, offer.product) for offer in ordered)
        self.of_unit: BoolArray = np.array([offer.provider in units.index for offer in ordered], dtype=np.bool_)
        index = {**storages.index, **units.index}
        self.provider: IndexArray = np.array([index[offer.provider] for offer in ordered], dtype=np.int32)
        self.way: FloatArray = np.array([dict(_WAYS)[product[offer.product].direction] for offer in ordered], dtype=np.float64)
        self.minutes: FloatArray = np.array([product[offer.product].minutes for offer in ordered], dtype=np.float64)
        ramp = np.full(len(ordered), np.inf)
        ramp[self.of_unit] = units.ramp_mw_per_min[self.provider[self.of_unit]]
        self.ramp_mw: FloatArray = ramp * self.minutes
        self.most_mw: FloatArray = np.minimum([offer.mw for offer in ordered], self.ramp_mw)
        self.price_per_mwh: FloatArray = np.array([offer.price_per_mwh for offer in ordered], dtype=np.float64)
        self.requirements = tuple(requirement.id for requirement in wanted)
        self.index: Mapping[str, int] = {name: i for i, name in enumerate(self.requirements)}
        self.required_mw: FloatArray = np.array([requirement.mw for requirement in wanted], dtype=np.float64)
        area = {storage.id: storage.area for storage in storages.storages} | {unit.id: unit.area for unit in units.units}
        self.counts: BoolArray = np.array(
            [
                [
                    each.product in (offer.product, *product[offer.product].counts_for) and each.area in (None, area[offer.provider])
                    for offer in ordered
                ]
                for each in wanted
            ],
            dtype=np.bool_,
        ).reshape(len(wanted), len(ordered))
        steps = [(r, step, step is each.shortage[-1]) for r, each in enumerate(wanted) for step in each.shortage]
        self.step_of: IndexArray = np.array([r for r, _, _ in steps], dtype=np.int32)
        self.step_mw: FloatArray = np.array([np.inf if last else step.mw for _, step, last in steps], dtype=np.float64)
        self.step_per_mwh: FloatArray = np.array([step.price_per_mwh for _, step, _ in steps], dtype=np.float64)

    def requirements_mw(self, stated: Sequence[Mapping[str, float]]) -> FloatArray:
        """Return (T, nr) what is required in each period: what its inputs state, else what stands, MW."""
        rows = [[said.get(name, mw) for name, mw in zip(self.requirements, self.required_mw.tolist(), strict=True)] for said in stated]
        return np.array(rows, dtype=np.float64).reshape(len(stated), len(self.requirements))


@dataclass(frozen=True, kw_only=True, eq=False)
class ReserveBlock:
    """The columns and rows of the reserve market.

    Attributes:
        book: offers and requirements.
        award: (T, no) columns of the awards, MW.
        short: (T, nk) columns of what is missing, step by step, MW.
        requirement_row: (T, nr) rows of the requirements.
    """

    book: ReserveBook
    award: IndexArray
    short: IndexArray
    requirement_row: IndexArray

    def award_mw(self, x: FloatArray) -> FloatArray:
        """Return (T, no) the award of each offer, MW."""
        return np.asarray(x[self.award])

    def short_mw(self, x: FloatArray) -> FloatArray:
        """Return (T, nr) what is missing to each requirement, MW."""
        return np.array([sum_by(self.book.step_of, x[column], len(self.book.requirements)) for column in self.short])

    def requirement_price_per_mwh(self, row_dual: FloatArray) -> FloatArray:
        """Return (T, nr) what one MW more of each requirement would cost per hour, from the duals (rows,) of the structure rows."""
        return np.asarray(row_dual[self.requirement_row])

    def price_per_mwh(self, row_dual: FloatArray) -> FloatArray:
        """Return (T, no) what each award is paid per MW and hour: the prices of all requirements that it helps to meet."""
        return np.asarray(self.requirement_price_per_mwh(row_dual) @ self.book.counts)


def add_reserves(
    builder: Builder,
    book: ReserveBook,
    units: UnitBlock,
    storages: StorageBlock,
    *,
    horizon: Horizon,
    required_mw: FloatArray,
) -> ReserveBlock:
    """Append the reserve market.

    Args:
        builder: where the blocks' columns are.
        book: offers and requirements.
        units: the units, curves and all.
        storages: the storages.
        horizon: who can hold reserve, and the range of each unit whatever its ramp.
        required_mw: (T, nr) what is required, MW (:meth:`ReserveBook.requirements_mw`).
    """
    no, of_unit = len(book.offers), book.of_unit
    requirement, counted = np.nonzero(book.counts)
    awards, shorts, rows = [], [], []
    for t, period in enumerate(builder.periods):
        able = np.ones(no, dtype=np.bool_)
        able[~of_unit] = period.live_bus[storages.book.bus[book.provider[~of_unit]]]
        able[of_unit] = (horizon.provides & units.live)[t, book.provider[of_unit]]
        award = builder.columns(
            cost=book.price_per_mwh,
            upper=np.where(able, book.most_mw, 0.0),
            period=t,
            bus=NO_BUS,
            weight=np.where(book.most_mw > 0, book.most_mw, 1.0),
        )
        short = builder.columns(cost=book.step_per_mwh, upper=book.step_mw, period=t, bus=NO_BUS)
        rows.append(
            builder.rows(
                low=required_mw[t],
                high=np.inf,
                row=np.concatenate([requirement, book.step_of]),
                column=np.concatenate([award[counted], short]),
                value=1.0,
            )
        )
        _share_ramps(builder, book, award)
        _share_units(builder, book, units, horizon, t, award)
        _share_storages(builder, book, storages, t, award)
        awards.append(award)
        shorts.append(short)
    return ReserveBlock(
        book=book,
        award=np.array(awards),
        short=np.array(shorts),
        requirement_row=np.array(rows),
    )


def _share_ramps(builder: Builder, book: ReserveBook, award: IndexArray) -> None:
    """The awards of a unit that must be there by some time come out of one ramp."""
    same = (book.provider[:, None] == book.provider) & (book.way[:, None] == book.way) & book.of_unit[:, None] & book.of_unit
    quicker = same & (book.minutes[:, None] >= book.minutes)
    wanted = np.flatnonzero(np.isfinite(book.ramp_mw) & (quicker.sum(axis=1) > 1))
    row, of = np.nonzero(quicker[wanted])
    builder.rows(low=np.full(len(wanted), -np.inf), high=book.ramp_mw[wanted], row=row, column=award[of], value=1.0)


def _share_units(builder: Builder, book: ReserveBook, units: UnitBlock, horizon: Horizon, t: int, award: IndexArray) -> None:
    """Output and reserve of a unit come out of one range; where it stands outside its range, out of what it can reach."""
    for _, way in _WAYS:
        mine = np.flatnonzero(book.of_unit & (book.way == way))
        unit, of = np.unique(book.provider[mine], return_inverse=True)
        which, place = units.places(unit)
        low = units.low_mw[t, unit]
        top, bottom = np.maximum(horizon.most_mw, units.high_mw)[t, unit], np.minimum(horizon.least_mw, units.low_mw)[t, unit]
        builder.rows(
            low=np.full(len(unit), -np.inf) if way > 0 else bottom - low,
            high=top - low if way > 0 else np.inf,
            row=np.concatenate([which, of]),
            column=np.concatenate([units.column[t][place], award[mine]]),
            value=np.concatenate([np.ones(len(which)), np.full(len(of), way)]),
        )


def _share_storages(builder: Builder, book: ReserveBook, storages: StorageBlock, t: int, award: IndexArray) -> None:
    """Power and reserve of a storage come out of one inverter, and reserve out of the energy that is left."""
    sold = storages.book
    for _, way in _WAYS:
        mine = np.flatnonzero(~book.of_unit & (book.way == way))
        who, of = np.unique(book.provider[mine], return_inverse=True)
        given, taken = np.flatnonzero(np.isin(sold.offer_of, who)), np.flatnonzero(np.isin(sold.bid_of, who))
        power = np.concatenate([storages.discharge[t][given], storages.charge[t][taken]])
        builder.rows(
            low=np.full(len(who), -np.inf) if way > 0 else -sold.charge_mw[who],
            high=sold.discharge_mw[who] if way > 0 else np.inf,
            row=np.concatenate([np.searchsorted(who, sold.offer_of[given]), np.searchsorted(who, sold.bid_of[taken]), of]),
            column=np.concatenate([power, award[mine]]),
            value=np.concatenate([np.ones(len(given)), -np.ones(len(taken)), np.full(len(of), way)]),
        )
        hours = book.minutes[mine] / 60.0
        through = hours / sold.given[who][of] if way > 0 else hours * sold.kept[who][of]
        builder.rows(
            low=np.full(len(who), -np.inf),
            high=np.zeros(len(who)) if way > 0 else (sold.full_mwh - sold.empty_mwh)[who],
            row=np.concatenate([of, np.arange(len(who))]),
            column=np.concatenate([award[mine], storages.soc[t][who]]),
            value=np.concatenate([through, np.full(len(who), -way)]),
        )
