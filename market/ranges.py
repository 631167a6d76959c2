"""Between which outputs may each unit be put, in the interval that is cleared and in those ahead of it?

* A committed unit: what its ramp lets it reach of ``[p_min, p_max]``, in the first period from its telemetered output, later from
  anything it may do in the period before. Where it can reach nothing of that range, the one output it can reach that is nearest
  to it: a unit that is being started climbs by its ramp until it meets ``p_min``. It is never refused for that; the widest gap is
  recorded. These ranges are what the ramps imply for each period alone; :func:`market.unitblock.add_ramps` ties the periods
  together. From each output of a later range there is a way back to the first, so the ramps never contradict the ranges.
* A unit that is off: 0, or on its way there by its ramp while it is still metered above 0. A unit that is switched off *within*
  the horizon is at 0 from that period on: how it gets there is its own affair, and no ramp ties the two periods. One that is
  switched on within the horizon climbs from 0.
* A unit under test: exactly its schedule, committed or not, whatever its ramp says.
* Wind, sun and water: from 0 to what is available. Rooftop PV: exactly what is available.
* A bid (a load that follows the price: ``p_min < 0``, ``p_max <= 0``): as a committed unit, and it takes no more than the demand
  that is available, where that is stated (as a negative number). Without telemetry it may take anything from the start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.grid import BoolArray, FloatArray
from market.offers import Control, OfferBook
from market.outcomes import ClearingInputs, PeriodAhead
from market.params import ClearingParams

__all__ = ["Horizon", "Ranges", "horizon", "ranges", "whole_range"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranges:
    """Where each unit may be put in one interval.

    Attributes:
        running: (nu,) units that are committed, or still on their way down; their cost counts.
        low_mw: (nu,) least output, MW.
        high_mw: (nu,) largest output, MW.
        widened_mw: the widest gap between a unit's range and what it can reach, MW.
    """

    running: BoolArray
    low_mw: FloatArray
    high_mw: FloatArray
    widened_mw: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Horizon:
    """Where each unit may be put in each of T periods.

    Attributes:
        running: (T, nu) units that are committed or under test, or still on their way down; their cost counts.
        follows: (T, nu) committed units that follow their base point within a ramp.
        provides: (T, nu) units whose output could be moved within the period, so that they can hold reserve.
        low_mw: (T, nu) least output that can be reached, MW.
        high_mw: (T, nu) largest output that can be reached, MW.
        least_mw: (T, nu) least output whatever the ramp, MW.
        most_mw: (T, nu) largest output whatever the ramp, MW.
        widened_mw: (T,) the widest gap between a unit's range and what it can reach, MW.
    """

    running: BoolArray
    follows: BoolArray
    provides: BoolArray
    low_mw: FloatArray
    high_mw: FloatArray
    least_mw: FloatArray
    most_mw: FloatArray
    widened_mw: FloatArray

    @property
    def first(self) -> Ranges:
        """The ranges of the interval that is cleared."""
        return Ranges(running=self.running[0], low_mw=self.low_mw[0], high_mw=self.high_mw[0], widened_mw=float(self.widened_mw[0]))


def ranges(inputs: ClearingInputs, book: OfferBook, params: ClearingParams) -> Ranges:
    """Return where each unit may be put in the first period; the inputs must have passed :func:`market.admission.refusal`."""
    return _Walk(inputs, book, params).step(inputs).first


def horizon(inputs: ClearingInputs, book: OfferBook, params: ClearingParams) -> Horizon:
    """Return where each unit may be put in every period; the inputs must have passed :func:`market.admission.refusal`."""
    walk = _Walk(inputs, book, params)
    moments: tuple[ClearingInputs | PeriodAhead, ...] = (inputs, *inputs.ahead)
    steps = [walk.step(moment) for moment in moments]
    return Horizon(**{name: np.concatenate([getattr(step, name) for step in steps]) for name in Horizon.__dataclass_fields__})


def whole_range(book: OfferBook, on: BoolArray) -> Horizon:
    """Return one period in which every unit that is on (nu,) may be put anywhere between its limits: a case without history."""
    low, high = np.where(on, book.p_min_mw, 0.0)[None], np.where(on, book.p_max_mw, 0.0)[None]
    return Horizon(
        running=on[None],
        follows=np.zeros((1, len(on)), dtype=np.bool_),
        provides=on[None],
        low_mw=low,
        high_mw=high,
        least_mw=low,
        most_mw=high,
        widened_mw=np.zeros(1),
    )


class _Walk:
    """Goes through the periods in order and remembers from where each unit sets out."""

    def __init__(self, inputs: ClearingInputs, book: OfferBook, params: ClearingParams) -> None:
        self.book = book
        self.ramp_mw = book.ramp_mw_per_min * params.interval_min
        self.curtailable, self.fixed = book.controlled(Control.CURTAILABLE), book.controlled(Control.FIXED)
        p0 = np.array([inputs.output_mw.get(name, 0.0) for name in book.ids], dtype=np.float64)
        unmetered = book.bids & np.array([name not in inputs.output_mw for name in book.ids], dtype=np.bool_)
        self.low_mw, self.high_mw = np.where(unmetered, -np.inf, p0), np.where(unmetered, np.inf, p0)
        self.followed = np.zeros(len(book.units), dtype=np.bool_)

    def step(self, moment: ClearingInputs | PeriodAhead) -> Horizon:
        book, by_nature = self.book, self.curtailable | self.fixed
        on, test = np.ones(len(book.units), dtype=np.bool_), np.zeros(len(book.units), dtype=np.bool_)
        on[[book.index[name] for name in moment.units_off]] = False
        test[[book.index[name] for name in moment.test_mw]] = True
        schedule = np.array([moment.test_mw.get(name, 0.0) for name in book.ids], dtype=np.float64)
        stated = np.array([moment.available_mw.get(name, np.nan) for name in book.ids], dtype=np.float64)
        available = np.clip(np.nan_to_num(stated, nan=0.0), 0.0, np.maximum(book.p_max_mw, 0.0))
        demand = np.where(book.bids, np.fmin(np.fmax(book.p_min_mw, stated), book.p_max_mw), book.p_min_mw)
        least = np.where(by_nature, np.where(self.fixed, available, 0.0), demand)
        most = np.where(by_nature, available, book.p_max_mw)
        reach_low, reach_high = self.low_mw - self.ramp_mw, self.high_mw + self.ramp_mw
        below, above = ~by_nature & (reach_high < least), ~by_nature & (reach_low > most)
        low = np.where(below, reach_high, np.where(above, reach_low, np.where(by_nature, least, np.maximum(least, reach_low))))
        high = np.where(below | above, low, np.where(by_nature, most, np.minimum(most, reach_high)))
        gap = np.where(below, least - reach_high, np.where(above, reach_low - most, 0.0))
        stopping = np.where(by_nature | self.followed, 0.0, np.maximum(reach_low, 0.0))
        still = np.where(test, schedule, stopping)
        free = on & ~test
        self.low_mw, self.high_mw = np.where(free, low, still), np.where(free, high, still)
        self.followed = free & ~by_nature
        found = {
            "running": free | test | (stopping > 0),
            "follows": self.followed,
            "provides": free & ~self.fixed & ~below & ~above,
            "low_mw": self.low_mw,
            "high_mw": self.high_mw,
            "least_mw": np.where(free, least, still),
            "most_mw": np.where(free, most, still),
            # Only what a unit cannot do although it should: a unit that is off has nothing to reach.
            "widened_mw": np.where(free, gap, 0.0).max(initial=0.0),
        }
        return Horizon(**{name: np.expand_dims(value, 0) for name, value in found.items()})
