"""Can these inputs be cleared at all?

A clearing of inputs that contradict the network, or that leave out a load, would be a price for another market; it is refused with
the offenders by name. Between which outputs the units may then be put is told by :mod:`market.ranges`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from market.grid import Network
from market.offers import Control, OfferBook
from market.outcomes import ClearingInputs, FailureReason
from market.ranges import Ranges, ranges
from market.sced import ClearingParams

__all__ = ["MW_LARGEST", "Ranges", "listed", "ranges", "refusal"]

MW_LARGEST = 1e9
"""More than any power system draws: what is larger (or NaN) is no measurement."""
_NOISE_SHARE = 0.01
"""A plant at rest may be metered this share of its capacity below zero: noise of the instrument, nothing is available."""


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
