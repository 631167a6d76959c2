"""How does a market become one program: which blocks, over which periods, with which limits?

:class:`Participants` is what stays from interval to interval: who offers what, and the declared reserves and groups.
:func:`assemble` puts them, the loads and the wires of a horizon together into a :class:`market.sced.DispatchProblem`, and remembers which
columns are whose, so that amounts and prices can be read off the answer.

A quadratic cost is met exactly where one period is cleared without rows that know its unit; otherwise it is offered in equal chords.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from market.balanceblock import Relief, add_relief
from market.chords import NO_CURVES, Curves
from market.errors import CaseError
from market.formulation import Builder, Period
from market.grid import BoolArray, FloatArray, Network
from market.monitor import Monitor
from market.offers import OfferBook, Unit
from market.params import ClearingParams
from market.ranges import Horizon
from market.reserveblock import ReserveBlock, ReserveBook, add_reserves
from market.resources import Resources
from market.sced import DispatchProblem
from market.storageblock import StorageBlock, StorageBook, add_storages
from market.unitblock import GroupRows, RampRows, UnitBlock, add_groups, add_ramps, add_units, least_mw_at_buses

__all__ = ["Assembled", "Moment", "Participants", "assemble"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moment:
    """One period as it is given: its wires and what is drawn from them.

    Attributes:
        monitor: the limits of its topology.
        load_mw: (nb,) withdrawal, MW.
        tie_mw: (nb,) scheduled injection over tie-lines, MW.
        reserve_mw: reserve requirements that differ from the standing ones, MW, by name.
    """

    monitor: Monitor
    load_mw: FloatArray
    tie_mw: FloatArray
    reserve_mw: dict[str, float]


class Participants:
    """Who takes part.

    Args:
        units: every unit with its offer.
        resources: storages, reserves, groups.
        network: gives the buses.
        delivery: share of a MWh put in at a bus that arrives at the reference node, by bus; 1 where it is not named.

    Attributes:
        offered: the units with the offers as they were made.
        book: the same with prices referred to the reference node, by which they are dispatched; the offers themselves without losses.
        delivery: (nb,) delivery factors.
        storages: the storages, likewise referred.
        declared: the declarations as text, for the hash of inputs.

    Raises:
        CaseError: declarations that contradict each other or the network, delivery factors that are no positive number or at no bus.
    """

    def __init__(self, units: Sequence[Unit], resources: Resources, network: Network, delivery: Mapping[str, float] | None = None) -> None:
        resources.check(network.bus_index, units)
        self.resources = resources
        self.declared = repr((resources, sorted((delivery or {}).items())))
        self.delivery = _delivery(delivery or {}, network)
        self.offered = OfferBook(units, network.bus_index)
        self.book = self.offered.referred(self.delivery[self.offered.bus]) if delivery else self.offered
        stored = StorageBook(resources.storages, network.bus_index)
        self.storages = stored.referred(self.delivery[stored.bus]) if delivery else stored
        self.reserves = ReserveBook(resources, self.book, self.storages)


def _delivery(factors: Mapping[str, float], network: Network) -> FloatArray:
    if lost := sorted(factors.keys() - network.bus_index.keys()):
        raise CaseError(f"delivery factors at buses the network does not have: {', '.join(lost[:5])}; correct the table")
    if bad := sorted(bus for bus, factor in factors.items() if not 0 < factor < np.inf):
        raise CaseError(f"delivery factors that are no positive number: {', '.join(bad[:5])}; give the share that arrives, near 1")
    out: FloatArray = np.ones(network.n_buses)
    out[[network.bus_index[bus] for bus in factors]] = list(factors.values())
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class Assembled:
    """A problem, and whose its columns are.

    Attributes:
        problem: ready to be dispatched.
        units: the units' columns.
        ramps: the rows that tie their periods.
        curved: units whose quadratic cost is met exactly, in the order of the problem's curves; empty where it is cut into chords.
        relief: load not served and excess.
        storages: the storages' columns.
        reserves: the reserve market's, or None.
        groups: the unit groups'.
    """

    problem: DispatchProblem
    units: UnitBlock
    ramps: RampRows
    curved: tuple[int, ...]
    relief: Relief
    storages: StorageBlock
    reserves: ReserveBlock | None
    groups: GroupRows

    def output_mw(self, x: FloatArray, curve_mw: FloatArray) -> FloatArray:
        """Return (T, nu) the output of each unit, MW."""
        out = self.units.output_mw(x)
        if self.curved:
            out[0, list(self.curved)] = curve_mw
        return out


def assemble(
    participants: Participants,
    moments: Sequence[Moment],
    horizon: Horizon,
    params: ClearingParams,
    soc_mwh: FloatArray | None = None,
) -> Assembled:
    """Put one clearing together.

    Args:
        participants: who takes part.
        moments: the periods, in order.
        horizon: where each unit may be put in each of them.
        params: penalties and the length of a period.
        soc_mwh: (storages,) energy in each at the start, MWh; the empty mark where not given.
    """
    book = participants.book
    live = [_live(moment, book, horizon, t) for t, moment in enumerate(moments)]
    fed = np.array([alive[moment.monitor.topology.island_of_bus[book.bus]] for alive, moment in zip(live, moments, strict=True)])
    low, high = np.where(fed, horizon.low_mw, 0.0), np.where(fed, horizon.high_mw, 0.0)
    least = least_mw_at_buses(book, low, len(moments[0].load_mw))
    builder = Builder(
        tuple(
            Period(topology=moment.monitor.topology, live=alive, load_mw=moment.load_mw, fixed_mw=fixed + moment.tie_mw)
            for moment, alive, fixed in zip(moments, live, least, strict=True)
        )
    )
    resources = participants.resources
    exact = len(moments) == 1 and not resources.reserve_offers and not resources.unit_groups
    relief = add_relief(builder, params.balance_penalty_per_mwh)
    units = add_units(
        builder,
        book,
        low_mw=low,
        high_mw=high,
        curtailment_penalty_per_mwh=params.curtailment_penalty_per_mwh,
        curves=not exact,
    )
    ramps = add_ramps(builder, units, interval_min=params.interval_min, follows=horizon.follows)
    groups = add_groups(builder, units, resources.unit_groups, penalty_per_mwh=params.group_penalty_per_mwh)
    sold = participants.storages
    initial = sold.empty_mwh if soc_mwh is None else soc_mwh
    storages = add_storages(builder, sold, initial_mwh=initial, interval_h=params.interval_min / 60.0)
    reserves = None
    if resources.requirements:
        wanted = participants.reserves.requirements_mw([moment.reserve_mw for moment in moments])
        reserves = add_reserves(builder, participants.reserves, units, storages, horizon=horizon, required_mw=wanted)
    curved = np.flatnonzero(fed[0][book.curved]) if exact else np.zeros(0, dtype=np.intp)
    monitors = tuple(moment.monitor for moment in moments)
    return Assembled(
        problem=DispatchProblem(
            formulation=builder.build(), relief=relief, curves=_curves(book, curved, low[0], high[0]), monitors=monitors
        ),
        units=units,
        ramps=ramps,
        curved=tuple(book.curved[curved].tolist()),
        relief=relief,
        storages=storages,
        reserves=reserves,
        groups=groups,
    )


def _curves(book: OfferBook, curved: NDArray[np.intp], low_mw: FloatArray, high_mw: FloatArray) -> Curves:
    """Return the quadratic costs of these of the book's curves over the units' ranges (nu,), MW."""
    if not len(curved):
        return NO_CURVES
    at = book.curved[curved]
    return Curves(
        period=np.zeros(len(at), dtype=np.int32),
        bus=book.bus[at],
        low_mw=low_mw[at],
        high_mw=high_mw[at],
        linear_per_mwh=book.linear_per_mwh[curved],
        per_mw2h=book.curvature_per_mw2h[curved],
    )


def _live(moment: Moment, book: OfferBook, horizon: Horizon, t: int) -> BoolArray:
    """(n_islands,) islands with a unit that could produce."""
    topology = moment.monitor.topology
    live: BoolArray = np.zeros(topology.n_islands, dtype=np.bool_)
    live[topology.island_of_bus[book.bus[horizon.high_mw[t] > 0]]] = True
    return live
