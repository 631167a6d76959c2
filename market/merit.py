"""Which units do not run as their offer and the price would have it, and what holds each of them?

A unit is *out of merit* where a MW that it gives is offered above the price, or a MW that it could give below it::

    up      it runs although it is dearer than the price at its bus: held up by its least output, its ramp, a test, a reserve, …
    down    it does not run although it is cheaper: held down by its ramp, by not being committed, by reserve, a group, …

The price at the bus is the published one. Where that agrees with the offers but the energy price, which all buses share, does not, it is
congestion that decides, and the limits with the largest terms in the bus price are named. Every reason is found in the program: a range
of :mod:`market.ranges` that ends where the unit stands, or a row with a price on the unit's next or last MW.

What lies below a unit's least output is taken as offered at the price of its first segment: offers say nothing of it. Start-up costs are
not in the prices, so a unit that is off can be out of merit and rightly so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from scipy.sparse import csc_array

from market.grid import FloatArray, sum_by
from market.offers import Control
from market.priceparts import PriceParts, PriceShare, price_parts
from market.unitblock import CHORDS
from market.workings import Workings

__all__ = ["Direction", "Merit", "OutOfMerit", "Reason", "out_of_merit"]

_AT_LIMIT_MW = 1e-5
_LISTED_FROM_MW = 1e-3
_LISTED_FROM_PER_MWH = 1e-3
_LIMITS_NAMED = 3
_FLAT_PER_MW2H = 1e-12
"""A curve with less curvature than this is a straight line: all of it is at one price."""


class Direction(StrEnum):
    """Which way a unit is out of merit."""

    UP = "up"
    """It gives more than the price would have it give."""
    DOWN = "down"
    """It gives less."""


class Reason(StrEnum):
    """What holds a unit, or ends its range."""

    OFF = "off"
    """It is not committed, or out of service."""
    STOPPING = "stopping"
    """It is off and still on its way down by its ramp."""
    OUT_OF_RANGE = "out_of_range"
    """It stands outside its range and moves towards it by its ramp."""
    TEST = "test"
    """It runs to the schedule of a test."""
    FIXED = "fixed"
    """It injects what is available, whatever the price."""
    DEAD = "dead_island"
    """Its island is dead."""
    MUST_RUN = "must_run"
    """It must run, at its least output at least."""
    P_MIN = "p_min"
    """Its least output while committed."""
    P_MAX = "p_max"
    """The largest output that it offers."""
    AVAILABILITY = "availability"
    """Wind, sun or water give no more; a bid wants no more."""
    RAMP = "ramp"
    """What its ramp lets it reach from its telemetered output."""
    RAMP_AHEAD = "ramp_ahead"
    """Its ramp towards a period ahead."""
    RESERVE = "reserve"
    """Reserve that it holds, or could hold."""
    GROUP = "group"
    """A limit of a group of units."""
    CURTAILMENT = "curtailment_penalty"
    """Not taking it costs the curtailment penalty."""
    CONGESTION = "congestion"
    """Limits of the network part the price at its bus from the energy price."""
    CAPPED = "capped"
    """Cap or floor moved the published price."""
    PRICING_RUN = "pricing_run"
    """The pricing run, with its own penalties, ended elsewhere than the dispatch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfMerit:
    """A unit that does not run as its offer and a price would have it.

    Attributes:
        unit: its name.
        direction: whether it gives more or less than that.
        reason: what holds it.
        mw: how many MW of it.
        offer_per_mwh: offer of the MW farthest from the price.
        price_per_mwh: the price it is compared with: the energy price where the reason is congestion, else that of its bus.
        limits: for congestion the largest terms of its bus price.
        detail: the same in a sentence.
    """

    unit: str
    direction: Direction
    reason: Reason
    mw: float
    offer_per_mwh: float
    price_per_mwh: float
    limits: tuple[PriceShare, ...]
    detail: str


def out_of_merit(workings: Workings) -> tuple[OutOfMerit, ...]:
    """Return every unit that is out of merit in the first period, by name."""
    return Merit(workings).all()


class Merit:
    """The units of one clearing beside the prices.

    Args:
        workings: what the clearing knew.

    Attributes:
        workings: the same.
        output_mw: (nu,) output of each unit, MW.
        bus_price_per_mwh: (nu,) published price at its bus; NaN at dead ones.
    """

    def __init__(self, workings: Workings) -> None:
        self.workings = workings
        self.book = workings.participants.book
        self.output_mw = workings.output_mw()
        self.bus_price_per_mwh: FloatArray = workings.prices.lossless_per_mwh[self.book.bus]
        self._low, self._high = workings.assembled.units.low_mw[0], workings.assembled.units.high_mw[0]
        self._curtailable, self._fixed = self.book.controlled(Control.CURTAILABLE), self.book.controlled(Control.FIXED)
        horizon = workings.horizon
        # What a unit would have given if its ramp and its state had let it; nature's limit is no one's decision.
        by_nature = (self._curtailable & horizon.running[0]) | self._fixed
        self._most = np.maximum(np.where(by_nature, horizon.most_mw[0], self.book.p_max_mw), self.output_mw)

    @cached_property
    def parts(self) -> PriceParts:
        """The bus prices taken apart."""
        return price_parts(self.workings)

    @cached_property
    def last_per_mwh(self) -> FloatArray:
        """(nu,) offer of the last MW of each output; of the first segment at the least output; NaN for a unit that gives nothing."""
        last = self.book.last_mw_per_mwh(self.output_mw)
        at_least = np.isnan(last) & (self.book.p_min_mw > 0) & (self.output_mw > _AT_LIMIT_MW)
        return np.where(at_least, self._first_per_mwh, last)

    @cached_property
    def next_per_mwh(self) -> FloatArray:
        """(nu,) offer of the next MW of each unit, whether it can give it now or not; NaN where it offers no more."""
        book = self.book
        start = np.maximum(self.output_mw, book.p_min_mw)
        out: FloatArray = np.full(len(book.units), np.nan)
        ahead = book.seg_from_mw + book.seg_mw > start[book.seg_unit] + _AT_LIMIT_MW
        np.fmin.at(out, book.seg_unit[ahead], book.seg_price_per_mwh[ahead])
        out[book.curved] = book.linear_per_mwh + 2.0 * book.curvature_per_mw2h * start[book.curved]
        return np.where(self._most > self.output_mw + _AT_LIMIT_MW, out, np.nan)

    @cached_property
    def _first_per_mwh(self) -> FloatArray:
        """(nu,) offer of the first MW above the least output."""
        book = self.book
        out: FloatArray = np.full(len(book.units), np.nan)
        np.fmin.at(out, book.seg_unit, book.seg_price_per_mwh)
        out[book.curved] = book.linear_per_mwh + 2.0 * book.curvature_per_mw2h * book.p_min_mw[book.curved]
        return out

    @cached_property
    def _slack_per_mwh(self) -> FloatArray:
        """(nu,) how far a price may be from an offer and agree with it: a curve cut into chords is right to half a chord."""
        out = np.full(len(self.book.units), _LISTED_FROM_PER_MWH)
        if self.workings.assembled.units.curves:
            c = self.book.curved
            out[c] += self.book.curvature_per_mw2h * (self._high - self._low)[c] / CHORDS
        return out

    def _worth_mw(self, price_per_mwh: FloatArray) -> FloatArray:
        """Return (nu,) the output up to which each unit offers at or below a price (nu,), MW."""
        book, n = self.book, len(self.book.units)
        taken = np.where(book.seg_price_per_mwh <= price_per_mwh[book.seg_unit], book.seg_mw, 0.0)
        out = book.p_min_mw + sum_by(book.seg_unit, taken, n)
        c, bend = book.curved, np.maximum(book.curvature_per_mw2h, _FLAT_PER_MW2H)
        out[c] = np.clip((price_per_mwh[c] - book.linear_per_mwh) / (2.0 * bend), book.p_min_mw[c], book.p_max_mw[c])
        # Below its first offer a unit that need not run is worth nothing.
        return np.where(self._first_per_mwh > price_per_mwh, np.minimum(book.p_min_mw, 0.0), out)

    def beyond_mw(self, direction: Direction, price_per_mwh: FloatArray) -> FloatArray:
        """Return (nu,) MW by which each unit is out of merit at prices (nu,): given though dearer, or not given though cheaper."""
        if direction is Direction.UP:
            # What is given beyond what is offered, on the way down, has no offer to be held against.
            out = np.minimum(self.output_mw, self.book.p_max_mw) - self._worth_mw(price_per_mwh + self._slack_per_mwh)
        else:
            out = np.minimum(self._worth_mw(price_per_mwh - self._slack_per_mwh), self._most) - self.output_mw
        return np.where(out > _LISTED_FROM_MW, out, 0.0)

    def all(self) -> tuple[OutOfMerit, ...]:
        """Return every unit that is out of merit, by name, those at their bus price first."""
        energy = np.where(np.isnan(self.bus_price_per_mwh), np.nan, self.workings.prices.energy_per_mwh)
        found: list[OutOfMerit] = []
        for direction in Direction:
            at_bus, at_energy = self.beyond_mw(direction, self.bus_price_per_mwh), self.beyond_mw(direction, energy)
            found += [self._held(i, direction, float(at_bus[i])) for i in np.flatnonzero(at_bus).tolist()]
            parted = np.flatnonzero((at_energy > 0) & (at_bus == 0)).tolist()
            found += [self._parted(i, direction, float(at_energy[i])) for i in parted if self._free(i, direction)]
        return tuple(sorted(found, key=lambda one: (one.unit, one.direction)))

    def low_by(self, i: int) -> Reason:
        """Say what makes the least output of a unit in this interval."""
        if (state := self._state(i)) is not None:
            return state
        if self._low[i] > self.workings.horizon.least_mw[0, i] + _AT_LIMIT_MW:
            return Reason.RAMP
        if self.book.bids[i] and self._low[i] > self.book.p_min_mw[i] + _AT_LIMIT_MW:
            return Reason.AVAILABILITY
        return Reason.MUST_RUN if self.book.units[i].must_run else Reason.P_MIN

    def high_by(self, i: int) -> Reason:
        """Say what makes the largest output of a unit in this interval."""
        if (state := self._state(i)) is not None:
            return state
        if self._high[i] < self.workings.horizon.most_mw[0, i] - _AT_LIMIT_MW:
            return Reason.RAMP
        return Reason.AVAILABILITY if self._curtailable[i] else Reason.P_MAX

    def _state(self, i: int) -> Reason | None:
        """What leaves a unit no range at all, if anything does."""
        horizon, inputs, name = self.workings.horizon, self.workings.inputs, self.book.ids[i]
        if not self.workings.assembled.units.live[0, i]:
            return Reason.DEAD
        if inputs is not None and name in inputs.test_mw:
            return Reason.TEST
        if not horizon.running[0, i]:
            return Reason.OFF
        if inputs is not None and name in inputs.units_off:
            return Reason.STOPPING
        if self._fixed[i]:
            return Reason.FIXED
        return None if horizon.provides[0, i] else Reason.OUT_OF_RANGE

    def _free(self, i: int, direction: Direction) -> bool:
        """Whether a unit could have moved the way that would bring it into merit."""
        room = self.output_mw[i] - self._low[i] if direction is Direction.UP else self._high[i] - self.output_mw[i]
        return bool(room > _AT_LIMIT_MW)

    def _held(self, i: int, direction: Direction, mw: float) -> OutOfMerit:
        """A unit that does not agree with the price at its bus."""
        reason, who = self._reason(i, direction)
        price = float(self.bus_price_per_mwh[i])
        return self._named(i, direction, reason, mw, price, (), f"the price of {price:,.2f} at its bus: {self._because(i, reason, who)}")

    def _parted(self, i: int, direction: Direction, mw: float) -> OutOfMerit:
        """A unit that agrees with the price at its bus, and would not with the energy price."""
        price, own = self.workings.prices.energy_per_mwh, float(self.bus_price_per_mwh[i])
        sign = 1.0 if direction is Direction.UP else -1.0
        limits = tuple(share for share in self.parts.at(int(self.book.bus[i])) if share.per_mwh * sign > 0)[:_LIMITS_NAMED]
        makers = ", ".join(f"{share.label} ({share.per_mwh:+,.2f})" for share in limits)
        ending = f"the energy price of {price:,.2f}: congestion makes the price at its bus {own:,.2f}, {makers}"
        return self._named(i, direction, Reason.CONGESTION, mw, price, limits, ending)

    def _named(
        self, i: int, direction: Direction, reason: Reason, mw: float, price: float, limits: tuple[PriceShare, ...], ending: str
    ) -> OutOfMerit:
        up = direction is Direction.UP
        offer = float((self.last_per_mwh if up else self.next_per_mwh)[i])
        says = (
            f"gives {mw:,.2f} MW offered at up to {offer:,.2f}, above"
            if up
            else f"{mw:,.2f} MW offered from {offer:,.2f} are not taken, below"
        )
        return OutOfMerit(
            unit=self.book.ids[i],
            direction=direction,
            reason=reason,
            mw=mw,
            offer_per_mwh=offer,
            price_per_mwh=price,
            limits=limits,
            detail=f"{says} {ending}",
        )

    def _reason(self, i: int, direction: Direction) -> tuple[Reason, str]:
        """What holds a unit away from the price at its bus, and the name of the group where it is one."""
        if not self._free(i, direction):
            return (self.low_by(i) if direction is Direction.UP else self.high_by(i)), ""
        for reason, price in ((Reason.CAPPED, self._raw_per_mwh), (Reason.PRICING_RUN, self._dispatch_per_mwh)):
            if self.beyond_mw(direction, price)[i] == 0:
                return reason, ""
        saved = self.workings.params.curtailment_penalty_per_mwh
        if (
            direction is Direction.UP
            and self._curtailable[i]
            and self.last_per_mwh[i] - saved <= self._dispatch_per_mwh[i] + _LISTED_FROM_PER_MWH
        ):
            return Reason.CURTAILMENT, ""
        return self._row(i, direction)

    @cached_property
    def _raw_per_mwh(self) -> FloatArray:
        return self.workings.prices.lmp_raw_per_mwh[self.book.bus]

    @cached_property
    def _dispatch_per_mwh(self) -> FloatArray:
        return self.workings.dispatch_lmp_per_mwh()[self.book.bus]

    def _row(self, i: int, direction: Direction) -> tuple[Reason, str]:
        """The structure row with the largest price on a unit's output."""
        assembled, solution = self.workings.assembled, self.workings.supporting
        block = assembled.units
        column = int(block.column[0, np.flatnonzero(block.unit == i)[0]])
        entries = csc_array(assembled.problem.formulation.rows[:, [column]])
        worth = entries.data * solution.row_price[entries.indices]
        assert len(worth), f"unit {self.book.ids[i]} is out of merit and nothing holds it"
        row = int(entries.indices[(worth if direction is Direction.UP else -worth).argmax()])
        if row in assembled.ramps.row:
            return Reason.RAMP_AHEAD, ""
        at = np.flatnonzero(assembled.groups.row[0] == row)
        return (Reason.GROUP, assembled.groups.ids[at[0]]) if len(at) else (Reason.RESERVE, "")

    def _because(self, i: int, reason: Reason, who: str) -> str:
        low, high, saved = self._low[i], self._high[i], self.workings.params.curtailment_penalty_per_mwh
        said = {
            Reason.OFF: "it is not committed",
            Reason.STOPPING: f"it is stopping by its ramp and cannot be below {low:,.2f} MW yet",
            Reason.OUT_OF_RANGE: f"it stands outside its range and reaches {low:,.2f} MW by its ramp",
            Reason.TEST: f"it runs to its test schedule of {low:,.2f} MW",
            Reason.FIXED: f"it injects the {low:,.2f} MW that are available, whatever the price",
            Reason.MUST_RUN: f"it must run, at {low:,.2f} MW at least",
            Reason.P_MIN: f"its least output is {low:,.2f} MW",
            Reason.P_MAX: f"its largest output is {high:,.2f} MW",
            Reason.RAMP: f"its ramp lets it reach {low:,.2f} to {high:,.2f} MW",
            Reason.RAMP_AHEAD: "its ramp towards a period ahead",
            Reason.RESERVE: "reserve",
            Reason.GROUP: f"limit of the group {who}",
            Reason.CURTAILMENT: f"not taking it costs {saved:,.2f} more",
            Reason.CAPPED: f"before cap and floor the price was {self._raw_per_mwh[i]:,.2f}",
            Reason.PRICING_RUN: f"the dispatch was made at {self._dispatch_per_mwh[i]:,.2f}, before the pricing run",
        }
        return said.get(reason, reason.value)
