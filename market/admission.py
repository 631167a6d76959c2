"""Can these inputs be cleared at all?

A clearing of inputs that contradict the network, or that leave out a load, would be a price for another market; it is refused with
the offenders by name. The periods ahead are held to the same: a forecast that is wrong shapes the price of the present interval.
Between which outputs the units may then be put is told by :mod:`market.ranges`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from market.grid import Network
from market.offers import Control, OfferBook
from market.outcomes import ClearingInputs, FailureReason, PeriodAhead
from market.params import ClearingParams
from market.ranges import Ranges, ranges
from market.resources import Resources

__all__ = ["MW_LARGEST", "Ranges", "listed", "ranges", "refusal"]

MW_LARGEST = 1e9
"""More than any power system draws: what is larger (or NaN) is no measurement."""
_NOISE_SHARE = 0.01
"""A plant at rest may be metered this share of its capacity below zero: noise of the instrument, nothing is available. The state of
charge of a storage may be metered as much of its energy outside its marks."""
_NO_RESOURCES = Resources()


def refusal(
    inputs: ClearingInputs,
    network: Network,
    book: OfferBook,
    params: ClearingParams,
    load_buses: Collection[str],
    resources: Resources = _NO_RESOURCES,
    tie_buses: Collection[str] = (),
) -> tuple[FailureReason, str] | None:
    """Say why these inputs cannot be cleared, or None.

    Args:
        inputs: the frozen inputs.
        network: gives the names of buses and branches.
        book: gives the names of units.
        params: what loads and how much stale telemetry are admitted.
        load_buses: buses whose load must be stated.
        resources: gives the names of storages and reserve requirements.
        tie_buses: buses whose tie-line schedule must be stated.
    """
    moments: list[tuple[str, ClearingInputs | PeriodAhead]] = [("", inputs)]
    moments += [(f"period {k} ahead: ", period) for k, period in enumerate(inputs.ahead, 1)]
    for where, moment in moments:
        if invalid := _unknown(moment, network, book, resources) or _no_number(moment) or _negative(moment, book, params):
            return FailureReason.INPUT_INVALID, where + invalid
    if invalid := _unmeasurable(inputs, resources):
        return FailureReason.INPUT_INVALID, invalid
    for where, moment in moments:
        if missing := _missing(moment, book, load_buses, tie_buses):
            return FailureReason.INPUT_MISSING, where + missing
    if missing := _unmeasured(inputs, book, resources):
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


def _unknown(moment: ClearingInputs | PeriodAhead, network: Network, book: OfferBook, resources: Resources) -> str:
    strangers = {
        "loads at unknown buses": moment.load_mw.keys() - network.bus_index.keys(),
        "availability of unknown units": moment.available_mw.keys() - book.index.keys(),
        "unknown branches out of service": set(moment.out_of_service) - network.branch_index.keys(),
        "unknown units off": set(moment.units_off) - book.index.keys(),
        "tie-lines at unknown buses": moment.tie_mw.keys() - network.bus_index.keys(),
        "tests of unknown units": moment.test_mw.keys() - book.index.keys(),
        "unknown reserve requirements": moment.reserve_mw.keys() - {requirement.id for requirement in resources.requirements},
    }
    if isinstance(moment, ClearingInputs):
        strangers["outputs of unknown units"] = moment.output_mw.keys() - book.index.keys()
        strangers["state of charge of unknown storages"] = moment.soc_mwh.keys() - {storage.id for storage in resources.storages}
    return next((f"{what}: {listed(names)}; correct the point list or the case" for what, names in strangers.items() if names), "")


def _quantities(moment: ClearingInputs | PeriodAhead) -> Iterator[tuple[str, Mapping[str, float]]]:
    yield "load", moment.load_mw
    if isinstance(moment, ClearingInputs):
        yield "output", moment.output_mw
        yield "state of charge", moment.soc_mwh
    yield "availability", moment.available_mw
    yield "tie-line schedule", moment.tie_mw
    yield "test schedule", moment.test_mw
    yield "reserve requirement", moment.reserve_mw


def _no_number(moment: ClearingInputs | PeriodAhead) -> str:
    for what, values in _quantities(moment):
        if bad := [name for name, value in values.items() if not abs(value) <= MW_LARGEST]:
            return f"{what} that is no number: {listed(bad)}; substitute it before the freeze"
    return ""


def _negative(moment: ClearingInputs | PeriodAhead, book: OfferBook, params: ClearingParams) -> str:
    if not params.negative_load_allowed and (bad := [name for name, mw in moment.load_mw.items() if mw < 0]):
        return f"negative load: {listed(bad)}; a bus that injects needs a unit"
    bids = {name for name, takes in zip(book.ids, book.bids.tolist(), strict=True) if takes}
    least, most = _limits(book, moment.available_mw), _limits(book, moment.available_mw, top=True)
    if bad := [name for name, mw in moment.available_mw.items() if name not in bids and mw < -_NOISE_SHARE * max(most[name], 0.0)]:
        return f"negative availability: {listed(bad)}; a forecast is 0 MW or more"
    if bad := [name for name, mw in moment.available_mw.items() if name in bids and mw > -_NOISE_SHARE * least[name]]:
        return f"demand above 0 of loads that bid: {listed(bad)}; what a load can take is a negative number"
    least, most = _limits(book, moment.test_mw), _limits(book, moment.test_mw, top=True)
    noise = {name: _NOISE_SHARE * max(abs(least[name]), abs(most[name])) for name in moment.test_mw}
    if bad := [
        name for name, mw in moment.test_mw.items() if not min(least[name], 0) - noise[name] <= mw <= max(most[name], 0) + noise[name]
    ]:
        return f"tests beyond what the unit can give: {listed(bad)}; correct the schedule"
    if bad := [name for name, mw in moment.reserve_mw.items() if mw < 0]:
        return f"negative reserve requirement: {listed(bad)}; give 0 MW or more"
    return ""


def _limits(book: OfferBook, names: Iterable[str], *, top: bool = False) -> dict[str, float]:
    column = book.p_max_mw if top else book.p_min_mw
    return {name: float(column[book.index[name]]) for name in names}


def _unmeasurable(inputs: ClearingInputs, resources: Resources) -> str:
    bad = []
    for storage in resources.storages:
        noise = _NOISE_SHARE * storage.energy_max_mwh
        held = inputs.soc_mwh.get(storage.id, storage.energy_min_mwh)
        if not max(storage.energy_min_mwh, 0.0) - noise <= held <= storage.energy_max_mwh + noise:
            bad.append(f"{storage.id} with {held:g} MWh")
    return f"state of charge beyond the marks: {listed(bad)}; correct the telemetry or the storage" if bad else ""


def _missing(moment: ClearingInputs | PeriodAhead, book: OfferBook, load_buses: Collection[str], tie_buses: Collection[str]) -> str:
    if absent := set(load_buses) - moment.load_mw.keys():
        return f"no load for buses {listed(absent)}; every load bus must be stated, with 0 where nothing is drawn"
    if absent := set(tie_buses) - moment.tie_mw.keys():
        return f"no schedule for tie-lines at buses {listed(absent)}; state it, with 0 where nothing is exchanged"
    idle = {*moment.units_off, *moment.test_mw}
    follows = {unit.id for unit in book.units if unit.control is Control.DISPATCHABLE}
    if absent := set(book.ids) - follows - idle - moment.available_mw.keys():
        return f"no availability for units {listed(absent)}; state it, or list the unit as off"
    return ""


def _unmeasured(inputs: ClearingInputs, book: OfferBook, resources: Resources) -> str:
    # A load that bids may take anything from the start where nobody meters it.
    metered = {
        unit.id for unit, bids in zip(book.units, book.bids.tolist(), strict=True) if unit.control is Control.DISPATCHABLE and not bids
    }
    if absent := metered - {*inputs.units_off, *inputs.test_mw} - inputs.output_mw.keys():
        return f"no output for units {listed(absent)}; state it, or list the unit as off"
    if absent := {storage.id for storage in resources.storages} - inputs.soc_mwh.keys():
        return f"no state of charge for storages {listed(absent)}; state it"
    return ""
