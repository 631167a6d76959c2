"""Why is the price at this bus what it is, and why does this unit run as it does?

:func:`explain` answers for one name, :func:`market.merit.out_of_merit` for all units at once. Both read what the clearing left
(:class:`market.workings.Workings`) and decide nothing: a price is taken apart by :mod:`market.priceparts`, a unit is held against its price
by :mod:`market.merit`.

A number can be a bus and the row of a unit. ``bus:7`` and ``unit:7`` say which is meant; a bare ``7`` gets both answers.

Absent on purpose: advice. What is said here follows from the inputs of the interval, and another input may be what was wrong.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from market.errors import CaseError
from market.merit import Merit, OutOfMerit, Reason
from market.priceparts import PriceShare, price_parts
from market.setters import PriceSetter, price_setters
from market.workings import Workings

__all__ = ["BusExplanation", "Explanation", "UnitExplanation", "explain", "which"]

_MOVED_PER_MWH = 1e-9
_MOVED_MW = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class BusExplanation:
    """Why a bus has its price. Money is the case's, per MWh.

    Attributes:
        what: ``bus``.
        id: its name.
        live: whether its island is fed; if not, there is no price and nothing below.
        load_mw: what is drawn there, MW.
        lmp_per_mwh: the published price.
        energy_per_mwh: its part that all buses share.
        congestion_per_mwh: its part that is this bus's own.
        loss_per_mwh: its part that the delivery factor of the bus makes.
        shares: the terms of the congestion part, the largest first; they sum to it.
        raw_per_mwh: the price before cap and floor.
        capped_by: ``cap`` or ``floor`` where it moved this price, else null.
        setters: what the next MW would come from, in the bus's island: the offers and penalties that set its prices. None where every
            offer is either full or unused; then the price lies anywhere between the last that is used and the next that is not.
        several: whether other prices would support the same dispatch as well; these are then the least of them.
        detail: the same in a sentence.
    """

    what: str
    id: str
    live: bool
    load_mw: float
    lmp_per_mwh: float | None
    energy_per_mwh: float | None
    congestion_per_mwh: float | None
    loss_per_mwh: float | None
    shares: tuple[PriceShare, ...]
    raw_per_mwh: float | None
    capped_by: str | None
    setters: tuple[PriceSetter, ...]
    several: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitExplanation:
    """Why a unit runs as it does. Money is the case's, per MWh.

    Attributes:
        what: ``unit``.
        id: its name.
        bus: where it injects.
        dispatch_mw: its base point, MW.
        metered_mw: from where it set out, MW; null where there is no history.
        low_mw: least output it could be given, MW.
        low_by: what makes that.
        high_mw: largest output it could be given, MW.
        high_by: what makes that.
        offered_mw: largest output that it offers at all, MW.
        reserve_mw: reserve that it holds, by product, MW.
        last_offer_per_mwh: offer of the last MW it gives; null where it gives none.
        next_offer_per_mwh: offer of the next MW it could be given, whether it can give it now or not; null where it offers no more.
        lmp_per_mwh: the price at its bus; null at a dead one.
        last_reduced_cost: offer of the last MW less the price; positive where it is out of merit.
        next_reduced_cost: offer of the next MW less the price; negative where it is out of merit.
        sets_price: whether it is among those whose next MW sets prices.
        in_merit: whether it runs as its offer and the price at its bus would have it.
        out_of_merit: where it does not, and where congestion parts it from the energy price.
        detail: the same in a sentence.
    """

    what: str
    id: str
    bus: str
    dispatch_mw: float
    metered_mw: float | None
    low_mw: float
    low_by: Reason
    high_mw: float
    high_by: Reason
    offered_mw: float
    reserve_mw: dict[str, float]
    last_offer_per_mwh: float | None
    next_offer_per_mwh: float | None
    lmp_per_mwh: float | None
    last_reduced_cost: float | None
    next_reduced_cost: float | None
    sets_price: bool
    in_merit: bool
    out_of_merit: tuple[OutOfMerit, ...]
    detail: str


Explanation = BusExplanation | UnitExplanation


def explain(workings: Workings, of: str) -> tuple[Explanation, ...]:
    """Explain a bus, a unit, or both where they share a name.

    Args:
        workings: what the clearing left.
        of: a name, or ``bus:NAME`` or ``unit:NAME``.

    Raises:
        CaseError: there is neither a bus nor a unit of that name.
    """
    buses = workings.assembled.problem.formulation.periods[0].topology.network.bus_index
    units = workings.participants.book.index
    return tuple((_bus if what == "bus" else _unit)(workings, name) for what, name in which(of, buses, units))


def which(of: str, buses: Collection[str], units: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Return what a name means, as (``bus`` or ``unit``, name): one of them, or both.

    Args:
        of: a name, or ``bus:NAME`` or ``unit:NAME``.
        buses: names of the buses.
        units: names of the units.

    Raises:
        CaseError: there is neither a bus nor a unit of that name.
    """
    asked, _, rest = of.partition(":")
    found = []
    for what, names in (("bus", buses), ("unit", units)):
        if of in names:
            found.append((what, of))
        elif asked == what and rest in names:
            found.append((what, rest))
    if not found:
        raise CaseError(
            f"nothing to explain: there is neither a bus nor a unit {of!r}; name one as it stands in the case, or as bus:7 or unit:7"
        )
    return tuple(found)


def _bus(workings: Workings, name: str) -> BusExplanation:
    period, prices = workings.assembled.problem.formulation.periods[0], workings.prices
    bus = period.topology.network.bus_index[name]
    load = float(period.load_mw[bus])
    if not period.live_bus[bus]:
        return BusExplanation(
            what="bus",
            id=name,
            live=False,
            load_mw=load,
            lmp_per_mwh=None,
            energy_per_mwh=None,
            congestion_per_mwh=None,
            loss_per_mwh=None,
            shares=(),
            raw_per_mwh=None,
            capped_by=None,
            setters=(),
            several=False,
            detail="it has no price: no unit that could produce is joined to it by branches in service",
        )
    lmp, raw = float(prices.lmp_per_mwh[bus]), float(prices.lmp_raw_per_mwh[bus])
    congestion, loss = float(prices.congestion_per_mwh[bus]), float(prices.loss_per_mwh[bus])
    shares = price_parts(workings).at(bus)
    setters = price_setters(workings, bus)
    lossless = lmp - loss
    capped_by = None if abs(lossless - raw) <= _MOVED_PER_MWH else "cap" if lossless < raw else "floor"
    makers = ", ".join(f"{share.label} {share.per_mwh:+,.2f}" for share in shares[:3])
    more = f" and {len(shares) - 3} more" if len(shares) > 3 else ""
    moving = [one for one in setters if one.per_mw_of_load is None or abs(one.per_mw_of_load) > _MOVED_MW]
    moving.sort(key=lambda one: -abs(one.per_mw_of_load or 0.0))
    taken = ", ".join(_taken(one) for one in moving[:3]) + (" and others" if len(moving) > 3 else "")
    set_by = f"the next MW comes from {taken}" if moving else "no offer is partly used"
    limited = f"; the {capped_by} moved it from {raw:,.2f}" if capped_by else ""
    return BusExplanation(
        what="bus",
        id=name,
        live=True,
        load_mw=load,
        lmp_per_mwh=lmp,
        energy_per_mwh=prices.energy_per_mwh,
        congestion_per_mwh=congestion,
        loss_per_mwh=loss,
        shares=shares,
        raw_per_mwh=raw,
        capped_by=capped_by,
        setters=setters,
        several=workings.result.price_degenerate,
        detail=f"{lmp:,.2f} is energy {prices.energy_per_mwh:,.2f} and congestion {congestion:+,.2f}"
        + (f" ({makers}{more})" if shares else "")
        + (f" and loss {loss:+,.2f}" if loss else "")
        + f"; {set_by}{limited}"
        + ("; other prices would do as well, and these are the least of them" if workings.result.price_degenerate else ""),
    )


def _taken(one: PriceSetter) -> str:
    amount = "" if one.per_mw_of_load is None else f"{one.per_mw_of_load:+.2f} MW of "
    return f"{amount}{one.kind} {one.id} at {one.per_mwh:,.2f}"


def _unit(workings: Workings, name: str) -> UnitExplanation:
    merit, assembled = Merit(workings), workings.assembled
    book, topology = merit.book, assembled.problem.formulation.periods[0].topology
    i = book.index[name]
    lmp = _number(merit.bus_price_per_mwh[i])
    last, following = _number(merit.last_per_mwh[i]), _number(merit.next_per_mwh[i])
    out = tuple(one for one in merit.all() if one.unit == name)
    setting = lmp is not None and any(one.kind == "unit" and one.id == name for one in price_setters(workings, int(book.bus[i])))
    output, low, high = float(merit.output_mw[i]), float(assembled.units.low_mw[0, i]), float(assembled.units.high_mw[0, i])
    low_by, high_by = merit.low_by(i), merit.high_by(i)
    reserve: dict[str, float] = {}
    if (held := assembled.reserves) is not None:
        for (provider, product), mw in zip(held.book.offers, held.award_mw(workings.result.solution.x)[0].tolist(), strict=True):
            if provider == name and mw > 0:
                reserve[product] = mw
    return UnitExplanation(
        what="unit",
        id=name,
        bus=topology.network.bus_ids[book.bus[i]],
        dispatch_mw=output,
        metered_mw=workings.inputs.output_mw.get(name) if workings.inputs is not None else None,
        low_mw=low,
        low_by=low_by,
        high_mw=high,
        high_by=high_by,
        offered_mw=float(book.p_max_mw[i]),
        reserve_mw=reserve,
        last_offer_per_mwh=last,
        next_offer_per_mwh=following,
        lmp_per_mwh=lmp,
        last_reduced_cost=None if last is None or lmp is None else last - lmp,
        next_reduced_cost=None if following is None or lmp is None else following - lmp,
        sets_price=setting,
        in_merit=all(one.reason is Reason.CONGESTION for one in out),
        out_of_merit=out,
        detail="; ".join(one.detail for one in out)
        or _in_merit(output, low, high, high_by, lmp, setting, offers=bool(book.p_max_mw[i] > book.p_min_mw[i])),
    )


def _in_merit(output: float, low: float, high: float, high_by: Reason, lmp: float | None, setting: bool, *, offers: bool) -> str:
    """Say why a unit that is in merit stands where it stands."""
    if lmp is None:
        return "its bus is dead: it neither runs nor has a price"
    if high_by in {Reason.OFF, Reason.TEST, Reason.FIXED, Reason.STOPPING, Reason.OUT_OF_RANGE}:
        return f"it has no choice this interval ({high_by.value}), and the price of {lmp:,.2f} at its bus would not have it otherwise"
    if not offers:
        return f"it offers no range; the price at its bus is {lmp:,.2f}"
    if setting:
        return f"its offer is partly taken and sets prices; the price at its bus is {lmp:,.2f}"
    if output >= high and high > low:
        return f"all it can give is taken: nothing of it is offered above the price of {lmp:,.2f} at its bus"
    if output <= low:
        return f"it gives its least output: nothing more of it is offered below the price of {lmp:,.2f} at its bus"
    return f"what it offers below the price of {lmp:,.2f} at its bus is taken, the rest is dearer"


def _number(value: np.float64) -> float | None:
    """Absence for NaN."""
    return None if np.isnan(value) else float(value)
