"""Who offers how much power, at what price, and within which physical limits?

A :class:`Unit` carries its physics (range, ramp, times) and its offer. The offer is a curve of marginal prices that never falls:
either segments stacked upward from ``p_min_mw``, or, for MATPOWER cases, a convex quadratic. A falling curve is refused: with it
the cheapest dispatch is no linear program, and its prices support nothing.

A load that follows the price is a unit too: ``p_min_mw = -demand``, ``p_max_mw = 0``, and each segment from the bottom up says what it
would forgo that much consumption for: the bid that is given up first stands first.

Absent on purpose: start-up costs that depend on how long a unit was off; storage has :mod:`market.storage`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from hashlib import sha256

import numpy as np

from market.errors import CaseError
from market.grid import BoolArray, FloatArray, IndexArray, sum_by

__all__ = ["Control", "Fuel", "OfferBook", "Quadratic", "Segment", "Unit", "with_offer"]


_LARGEST = 1e12
"""Beyond this a limit or price is a slip of the pen, and no arithmetic on it means anything."""

_ROUNDING_MW = 1e-6
"""An output this little beyond the edge of a segment is on the edge."""


class Fuel(StrEnum):
    """What drives the unit."""

    COAL = "coal"
    GAS = "gas"
    OIL = "oil"
    NUCLEAR = "nuclear"
    HYDRO = "hydro"
    WIND = "wind"
    SOLAR = "solar"
    OTHER = "other"


class Control(StrEnum):
    """What clearing may do with the unit."""

    DISPATCHABLE = "dispatchable"
    """Follows a base point between ``p_min_mw`` and ``p_max_mw``, within its ramp; may be committed or not."""
    CURTAILABLE = "curtailable"
    """Gives anything from 0 to what is available (wind, sun, water); less than available costs the curtailment penalty."""
    FIXED = "fixed"
    """Injects what is available, whatever the price (rooftop PV); never sets a price."""


@dataclass(frozen=True, slots=True)
class Segment:
    """``mw`` of output offered at ``price_per_mwh``."""

    mw: float
    price_per_mwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quadratic:
    """A cost of ``linear_per_mwh * p + curvature_per_mw2h * p**2`` per hour for an output of p MW; curvature >= 0."""

    linear_per_mwh: float
    curvature_per_mw2h: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One generating unit.

    Attributes:
        id: name, unique in the case.
        bus: the bus it injects at.
        area: control area of that bus.
        fuel: what drives it.
        category: the data's own word for the kind of plant.
        control: what clearing may do with it.
        p_min_mw: least output while committed, MW.
        p_max_mw: largest output, MW.
        ramp_mw_per_min: largest change of output either way, MW/min.
        segments: offer above ``p_min_mw``, prices never falling; empty where ``quadratic`` is given.
        quadratic: cost in place of segments.
        cost_at_min_per_h: cost of running at ``p_min_mw``, per hour; counted in full whenever the unit is committed.
        start_cost: cost of one start, whenever it is.
        min_up_h: least time on, h.
        min_down_h: least time off, h.
        must_run: committed whenever it is available.

    Raises:
        CaseError: limits or prices that are no numbers, a range turned round, falling prices, segments of no width.
    """

    id: str
    bus: str
    area: str
    fuel: Fuel
    category: str
    control: Control
    p_min_mw: float
    p_max_mw: float
    ramp_mw_per_min: float
    segments: tuple[Segment, ...] = ()
    quadratic: Quadratic | None = None
    cost_at_min_per_h: float = 0.0
    start_cost: float = 0.0
    min_up_h: float = 0.0
    min_down_h: float = 0.0
    must_run: bool = False

    def __post_init__(self) -> None:
        numbers = (self.p_min_mw, self.p_max_mw, self.cost_at_min_per_h, self.start_cost, self.min_up_h, self.min_down_h)
        if not all(abs(number) <= _LARGEST for number in numbers) or not self.ramp_mw_per_min >= 0:
            raise CaseError(f"unit {self.id}: a limit, cost or time is no number; correct the case")
        if self.p_min_mw > self.p_max_mw:
            raise CaseError(f"unit {self.id}: p_min {self.p_min_mw} MW above p_max {self.p_max_mw} MW; correct the case")
        if self.quadratic is not None:
            if self.segments:
                raise CaseError(f"unit {self.id}: both segments and a quadratic cost; give one")
            if not (abs(self.quadratic.linear_per_mwh) <= _LARGEST and 0 <= self.quadratic.curvature_per_mw2h <= _LARGEST):
                raise CaseError(
                    f"unit {self.id}: its cost curve is no number or falls (curvature {self.quadratic.curvature_per_mw2h}); make it convex"
                )
        for k, segment in enumerate(self.segments):
            if not (abs(segment.price_per_mwh) <= _LARGEST and 0 < segment.mw <= _LARGEST):
                raise CaseError(
                    f"unit {self.id}: segment {k + 1} has {segment.mw} MW at {segment.price_per_mwh}; give positive MW and a price"
                )
            if k and segment.price_per_mwh < self.segments[k - 1].price_per_mwh:
                raise CaseError(f"unit {self.id}: the price falls in segment {k + 1}; order the segments by price")

    @property
    def renewable(self) -> bool:
        """Whether wind, sun or water drives it."""
        return self.fuel in {Fuel.WIND, Fuel.SOLAR, Fuel.HYDRO}

    @property
    def weather_driven(self) -> bool:
        """Whether wind or sun drives it, so that what it can give is forecast."""
        return self.fuel in {Fuel.WIND, Fuel.SOLAR}


class OfferBook:
    """The units of a case as columns, in the order of their ids, so that the order they were given in changes nothing.

    Attributes:
        units: sorted by id.
        ids: their names.
        bus: (nu,) position of each unit's bus.
        control: (nu,) what clearing may do with each.
        p_min_mw: (nu,) least output while committed, MW.
        p_max_mw: (nu,) largest output that is offered, MW.
        ramp_mw_per_min: (nu,) MW/min.
        cost_at_min_per_h: (nu,) cost per hour at the minimum.
        seg_unit: (ns,) unit of each segment.
        seg_from_mw: (ns,) output at which the segment begins, MW.
        seg_mw: (ns,) its width, MW.
        seg_price_per_mwh: (ns,) its price.
        curved: (nq,) units with a quadratic cost.
        linear_per_mwh: (nq,) their c1.
        curvature_per_mw2h: (nq,) their c2.

    Raises:
        CaseError: names used twice, or a unit at a bus that the network does not have.
    """

    def __init__(self, units: Sequence[Unit], bus_index: Mapping[str, int]) -> None:
        self.units = tuple(sorted(units, key=lambda unit: unit.id))
        self.ids = tuple(unit.id for unit in self.units)
        self.index: Mapping[str, int] = {name: i for i, name in enumerate(self.ids)}
        if len(self.index) != len(self.ids):
            twice = sorted({a for a, b in zip(self.ids, self.ids[1:], strict=False) if a == b})
            raise CaseError(f"units: names used twice: {', '.join(twice[:5])}; give each its own")
        if lost := [f"{unit.id} at {unit.bus}" for unit in self.units if unit.bus not in bus_index]:
            raise CaseError(f"units at buses the network does not have: {', '.join(lost[:5])}; add the bus or correct the unit")
        self.bus: IndexArray = np.array([bus_index[unit.bus] for unit in self.units], dtype=np.int32)
        self.control = tuple(unit.control for unit in self.units)
        self.p_min_mw = self._column("p_min_mw")
        self.ramp_mw_per_min = self._column("ramp_mw_per_min")
        self.cost_at_min_per_h = self._column("cost_at_min_per_h")
        stacked = [(i, segment) for i, unit in enumerate(self.units) for segment in unit.segments]
        self.seg_unit: IndexArray = np.array([i for i, _ in stacked], dtype=np.int32)
        self.seg_mw: FloatArray = np.array([segment.mw for _, segment in stacked], dtype=np.float64)
        self.seg_price_per_mwh: FloatArray = np.array([segment.price_per_mwh for _, segment in stacked], dtype=np.float64)
        end = np.cumsum(self.seg_mw)
        before = np.concatenate([[0.0], end])[np.searchsorted(self.seg_unit, self.seg_unit, side="left")]
        self.seg_from_mw: FloatArray = self.p_min_mw[self.seg_unit] + end - self.seg_mw - before
        self.curved: IndexArray = np.array([i for i, unit in enumerate(self.units) if unit.quadratic], dtype=np.int32)
        curves = [unit.quadratic for unit in self.units if unit.quadratic]
        self.linear_per_mwh: FloatArray = np.array([curve.linear_per_mwh for curve in curves], dtype=np.float64)
        self.curvature_per_mw2h: FloatArray = np.array([curve.curvature_per_mw2h for curve in curves], dtype=np.float64)
        offered = self.p_min_mw + sum_by(self.seg_unit, self.seg_mw, len(self.units))
        p_max = self._column("p_max_mw")
        offered[self.curved] = p_max[self.curved]
        self.p_max_mw: FloatArray = np.minimum(p_max, offered)

    def _column(self, name: str) -> FloatArray:
        return np.array([getattr(unit, name) for unit in self.units], dtype=np.float64)

    def controlled(self, control: Control) -> BoolArray:
        """Return (nu,) which units are of this kind."""
        return np.array([kind is control for kind in self.control], dtype=np.bool_)

    @cached_property
    def bids(self) -> BoolArray:
        """(nu,) which units are loads that follow the price: they take power, and follow a base point."""
        takes = (self.p_min_mw < 0) & (self.p_max_mw <= 0)
        return takes & self.controlled(Control.DISPATCHABLE)

    def segments_between(self, low_mw: FloatArray, high_mw: FloatArray) -> FloatArray:
        """Return (ns,) the part of each segment's width that lies between two outputs per unit (nu,), MW."""
        begin = np.maximum(self.seg_from_mw, low_mw[self.seg_unit])
        end = np.minimum(self.seg_from_mw + self.seg_mw, high_mw[self.seg_unit])
        width: FloatArray = np.maximum(end - begin, 0.0)
        return width

    def cost_per_h(self, output_mw: FloatArray, on: BoolArray) -> float:
        """Return the offered cost of outputs (nu,), MW, of the units that are on (nu,), per hour."""
        stepped = self.segments_between(self.p_min_mw, output_mw) @ np.where(on[self.seg_unit], self.seg_price_per_mwh, 0.0)
        p, at = output_mw[self.curved], self.p_min_mw[self.curved]
        rise = self.linear_per_mwh * (p - at) + self.curvature_per_mw2h * (p * p - at * at)
        return float(stepped + rise[on[self.curved]].sum() + self.cost_at_min_per_h[on].sum())

    def last_mw_per_mwh(self, output_mw: FloatArray) -> FloatArray:
        """Return (nu,) what the last MW of each output (nu,), MW, is offered at: the marginal cost from below, as far as offers tell it.

        NaN at the minimum, which is run by commitment and not for its price. An output on the edge of a segment has its last MW in the
        segment that ends there; what lies beyond the edge by a solver's rounding begins no other.
        """
        last: FloatArray = np.full(len(self.units), np.nan)
        begun = output_mw[self.seg_unit] > self.seg_from_mw + _ROUNDING_MW
        # Prices never fall, so the dearest segment begun is the last one.
        np.fmax.at(last, self.seg_unit[begun], self.seg_price_per_mwh[begun])
        above = output_mw[self.curved] > self.p_min_mw[self.curved] + _ROUNDING_MW
        slope = self.linear_per_mwh + 2.0 * self.curvature_per_mw2h * output_mw[self.curved]
        last[self.curved[above]] = slope[above]
        return last

    def referred(self, factor: FloatArray) -> OfferBook:
        """Return the same units with prices referred to the reference node: divided by the delivery factor (nu,) of each."""
        other = copy(self)
        other.seg_price_per_mwh = self.seg_price_per_mwh / factor[self.seg_unit]
        other.linear_per_mwh = self.linear_per_mwh / factor[self.curved]
        other.curvature_per_mw2h = self.curvature_per_mw2h / factor[self.curved]
        other.__dict__.pop("digest", None)
        return other

    @cached_property
    def digest(self) -> str:
        """SHA-256 over every column that shapes a clearing, hex."""
        mark = sha256("\x1f".join((*self.ids, *(unit.bus for unit in self.units), *self.control)).encode())
        limits = (self.p_min_mw, self.p_max_mw, self.ramp_mw_per_min, self.cost_at_min_per_h)
        segments = (self.seg_unit, self.seg_mw, self.seg_price_per_mwh)
        for column in (*limits, *segments, self.curved, self.linear_per_mwh, self.curvature_per_mw2h):
            mark.update(len(column).to_bytes(8, "little") + column.astype(column.dtype.newbyteorder("<")).tobytes())
        return mark.hexdigest()


def with_offer(unit: Unit, segments: Sequence[Segment], *, monotone: bool = True) -> Unit:
    """Return the unit with its cost replaced by segments that start at 0 MW (at ``p_min_mw`` where that is negative).

    What lies below ``p_min_mw`` becomes part of the cost of running at the minimum; what is not offered is not available.

    Args:
        unit: the unit.
        segments: its offer.
        monotone: whether falling prices are refused. Where a market admits them (False), each segment is a block of its own, and
            blocks are taken in order of price wherever they were written; equal prices in the order written. A linear program would
            take them so in any case: it cannot be made to buy the dear first megawatts in order to reach the cheap ones.

    Raises:
        CaseError: falling prices, segments of no width, or an offer that does not reach ``p_min_mw``.
    """
    offer = tuple(segments) if monotone else tuple(sorted(segments, key=lambda segment: segment.price_per_mwh))
    probe = replace(unit, segments=offer, quadratic=None)  # refuses falling prices before anything is cut
    start_mw = min(unit.p_min_mw, 0.0)
    offered_mw = start_mw + sum(s.mw for s in probe.segments)
    if offered_mw < unit.p_min_mw:
        raise CaseError(f"unit {unit.id}: the offer ends at {offered_mw} MW, below its p_min of {unit.p_min_mw} MW; offer at least that")
    below_mw, cost_per_h, above = unit.p_min_mw - start_mw, 0.0, []
    for segment in probe.segments:
        cut_mw = min(segment.mw, below_mw)
        below_mw -= cut_mw
        cost_per_h += cut_mw * segment.price_per_mwh
        if segment.mw > cut_mw:
            above.append(Segment(segment.mw - cut_mw, segment.price_per_mwh))
    return replace(probe, segments=tuple(above), p_max_mw=min(unit.p_max_mw, offered_mw), cost_at_min_per_h=cost_per_h)
