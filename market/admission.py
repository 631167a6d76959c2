"""Can these inputs be cleared at all, and between which outputs may each unit move?

A clearing of inputs that contradict the network, or that leave out a load, would be a price for another market; it is refused with
the offenders by name. What passes is turned into a least and a largest output per unit:

    * A committed unit: ``[max(p_min, p0 − ramp), min(p_max, p0 + ramp)]`` around its telemetered output p0. Where p0 lies so far
      outside ``[p_min, p_max]`` that nothing is left, the one output it can reach that is nearest to its range: a unit that is being
      started climbs by its ramp until it meets ``p_min``. It is never refused for that; the widest gap is recorded.
    * A unit that is off: 0, or on its way there by its ramp while it is still metered above 0.
    * Wind, sun and water: from 0 to what is available. Rooftop PV: exactly what is available.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from market.grid import BoolArray, FloatArray, Network
from market.offers import Control, OfferBook
from market.outcomes import ClearingInputs, FailureReason
from market.params import ClearingParams

__all__ = ["MW_LARGEST", "Ranges", "listed", "ranges", "refusal"]

MW_LARGEST = 1e9
"""More than any power system draws: what is larger (or NaN) is no measurement."""
_NOISE_SHARE = 0.01
"""A plant at rest may be metered this share of its capacity below zero: noise of the instrument, nothing is available."""


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


def refusal(
    inputs: ClearingInputs, network: Network, book: OfferBook, params: ClearingParams, load_buses: Collection[str]
) -> tuple[FailureReason, str] | None:
    """Say why these inputs cannot be cleared, or None.

    Args:
        inputs: the frozen inputs.
        network: gives the names of buses and branches.
        book: gives the names of units.
        params: what loads and how much stale telemetry are admitted.
        load_buses: buses whose load must be stated.
    """
    if invalid := _unknown(inputs, network, book) or _no_number(inputs) or _negative(inputs, book, params):
        return FailureReason.INPUT_INVALID, invalid
    if missing := _missing(inputs, book, load_buses):
        return FailureReason.INPUT_MISSING, missing
    if inputs.stale_points > params.stale_share_failed * inputs.used_points:
        share = f"{inputs.stale_points} of {inputs.used_points} points are stale, more than {params.stale_share_failed:.0%}"
        return FailureReason.INPUT_STALE, f"{share}; restore the telemetry"
    return None


def ranges(inputs: ClearingInputs, book: OfferBook, params: ClearingParams) -> Ranges:
    """Return where each unit may be put; the inputs must have passed :func:`refusal`."""
    on = np.ones(len(book.units), dtype=np.bool_)
    on[[book.index[name] for name in inputs.units_off]] = False
    curtailable, fixed = book.controlled(Control.CURTAILABLE), book.controlled(Control.FIXED)
    by_nature = curtailable | fixed
    p0 = np.array([inputs.output_mw.get(name, 0.0) for name in book.ids])
    step = book.ramp_mw_per_min * params.interval_min
    low, high = np.maximum(book.p_min_mw, p0 - step), np.minimum(book.p_max_mw, p0 + step)
    below, above = on & ~by_nature & (p0 + step < book.p_min_mw), on & ~by_nature & (p0 - step > book.p_max_mw)
    widened = np.where(below, book.p_min_mw - p0 - step, np.where(above, p0 - step - book.p_max_mw, 0.0))
    low = np.where(below, p0 + step, np.where(above, p0 - step, low))
    high = np.where(below | above, low, high)
    available = np.clip([inputs.available_mw.get(name, 0.0) for name in book.ids], 0.0, np.maximum(book.p_max_mw, 0.0))
    low, high = np.where(by_nature, np.where(fixed, available, 0.0), low), np.where(by_nature, available, high)
    stopping = np.where(by_nature, 0.0, np.maximum(p0 - step, 0.0))
    return Ranges(
        running=on | (stopping > 0),
        low_mw=np.where(on, low, stopping),
        high_mw=np.where(on, high, stopping),
        widened_mw=float(widened.max(initial=0.0)),
    )


def listed(names: Iterable[str]) -> str:
    """Name the first five and count the rest.

    >>> listed("gfedcba")
    'a, b, c, d, e and 2 more'
    """
    ordered = sorted(names)
    return ", ".join(ordered[:5]) + (f" and {len(ordered) - 5} more" if len(ordered) > 5 else "")


def _unknown(inputs: ClearingInputs, network: Network, book: OfferBook) -> str:
    strangers = {
        "loads at unknown buses": inputs.load_mw.keys() - network.bus_index.keys(),
        "outputs of unknown units": inputs.output_mw.keys() - book.index.keys(),
        "availability of unknown units": inputs.available_mw.keys() - book.index.keys(),
        "unknown branches out of service": set(inputs.out_of_service) - network.branch_index.keys(),
        "unknown units off": set(inputs.units_off) - book.index.keys(),
    }
    return next((f"{what}: {listed(names)}; correct the point list or the case" for what, names in strangers.items() if names), "")


def _no_number(inputs: ClearingInputs) -> str:
    for what, values in (("load", inputs.load_mw), ("output", inputs.output_mw), ("availability", inputs.available_mw)):
        if bad := [name for name, mw in values.items() if not abs(mw) <= MW_LARGEST]:
            return f"{what} that is no number: {listed(bad)}; substitute it before the freeze"
    return ""


def _negative(inputs: ClearingInputs, book: OfferBook, params: ClearingParams) -> str:
    if not params.negative_load_allowed and (bad := [name for name, mw in inputs.load_mw.items() if mw < 0]):
        return f"negative load: {listed(bad)}; a bus that injects needs a unit"
    noise = {name: _NOISE_SHARE * max(book.p_max_mw[book.index[name]], 0.0) for name in inputs.available_mw}
    if bad := [name for name, mw in inputs.available_mw.items() if mw < -noise[name]]:
        return f"negative availability: {listed(bad)}; a forecast is 0 MW or more"
    return ""


def _missing(inputs: ClearingInputs, book: OfferBook, load_buses: Collection[str]) -> str:
    if absent := set(load_buses) - inputs.load_mw.keys():
        return f"no load for buses {listed(absent)}; every load bus must be stated, with 0 where nothing is drawn"
    off = set(inputs.units_off)
    follows = {unit.id for unit in book.units if unit.control is Control.DISPATCHABLE}
    if absent := set(book.ids) - follows - off - inputs.available_mw.keys():
        return f"no availability for units {listed(absent)}; state it, or list the unit as off"
    if absent := follows - off - inputs.output_mw.keys():
        return f"no output for units {listed(absent)}; state it, or list the unit as off"
    return ""
