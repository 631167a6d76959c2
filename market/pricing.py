"""What is a MWh worth at each bus, and how much of that is congestion?

From the duals of the pricing run: the price at a bus is what one MW more of load there would cost per hour,

    LMP_i = λ_island + Σ_l PTDF_li · ν_l

with λ the price at the island's reference bus and ν the dual of each branch flow, in which limits after outages and of sections are
already spread over their branches. Split for publication into energy and congestion with the load as the reference, so that neither part
depends on which bus was taken out of the equations:

    energy = Σ share_i · LMP_i over the main island        congestion_i = LMP_i − energy

Prices are clipped to the market's floor and cap after the fact, as the provincial rules have it; the raw values are kept, because
only they satisfy the optimality conditions. A dead bus has no price of its own: absence, never 0.

Where the rules price losses they do it by *delivery factors*: of a MWh put in at bus i the share d_i arrives at the reference node. Offers
are referred to that node (divided by d_i) before they are dispatched, and the price at the bus is that of the node times d_i:

    LMP_i = energy + congestion_i + loss_i        loss_i = (d_i − 1) · (energy + congestion_i)

so a unit that is at the margin by its referred offer is paid its own offer. The flows themselves are lossless.

Absent on purpose: losses in the balance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.formulation import NO_BUS, Formulation
from market.grid import FloatArray, sum_by
from market.params import ClearingParams
from market.program import Solution

__all__ = ["Prices", "bus_prices", "price", "reduced_costs"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Prices:
    """Prices of one interval, in the case's money per MWh; NaN at dead buses.

    Attributes:
        lmp_raw_per_mwh: (nb,) the duals themselves, at the reference node where there are delivery factors.
        lossless_per_mwh: (nb,) these clipped to floor and cap.
        lmp_per_mwh: (nb,) what is published: with losses, within floor and cap.
        loss_per_mwh: (nb,) the part that delivery factors make.
        energy_per_mwh: load-weighted mean of the main island (the live island with the most load), clipped prices.
        congestion_per_mwh: (nb,) LMP less energy and loss; in an island of its own it holds that island's difference too.
        uniform_per_mwh: load-weighted mean over every live bus: the user-side settlement price.
        rent_per_h: what loads pay less what units earn at the raw prices, per hour.
    """

    lmp_raw_per_mwh: FloatArray
    lossless_per_mwh: FloatArray
    lmp_per_mwh: FloatArray
    loss_per_mwh: FloatArray
    energy_per_mwh: float
    congestion_per_mwh: FloatArray
    uniform_per_mwh: float
    rent_per_h: float


def bus_prices(formulation: Formulation, solution: Solution, t: int) -> FloatArray:
    """Return (nb,) raw prices of one period; NaN at dead buses."""
    topology = formulation.periods[t].topology
    return solution.island_price_per_mwh[t][topology.island_of_bus] + topology.priced_flows(solution.branch_price_per_mwh[t])


def reduced_costs(formulation: Formulation, solution: Solution, cost: FloatArray) -> FloatArray:
    """Return (n,) the cost (n,) of each column less what a unit of it earns at the solution's prices; curves are not among them."""
    worth = np.asarray(formulation.rows.T @ solution.row_price, dtype=np.float64)
    for t, period in enumerate(formulation.periods):
        lmp = np.where(period.live_bus, bus_prices(formulation, solution, t), 0.0)
        mean = sum_by(period.topology.island_of_bus, period.share * lmp, len(period.live))
        own = np.flatnonzero((formulation.period == t) & (formulation.gain != 0) & (formulation.bus != NO_BUS))
        bus, over = formulation.bus[own], formulation.spread[own]
        worth[own] += formulation.gain[own] * np.where(over, mean[np.where(over, bus, 0)], lmp[np.where(over, 0, bus)])
    return cost - worth


def price(
    formulation: Formulation,
    solution: Solution,
    injection_mw: FloatArray,
    params: ClearingParams,
    t: int = 0,
    delivery: FloatArray | None = None,
) -> Prices:
    """Turn the duals of a solution into the prices of one period.

    Args:
        formulation: what was cleared.
        solution: of the pricing run.
        injection_mw: (nb,) net injections of the period in that solution.
        params: floor and cap.
        t: which period.
        delivery: (nb,) delivery factors; 1 everywhere where not given.
    """
    period = formulation.periods[t]
    island, live = period.topology.island_of_bus, period.live_bus
    raw = bus_prices(formulation, solution, t)
    lossless = np.clip(raw, params.price_floor_per_mwh, params.price_cap_per_mwh) + 0.0  # NaN stays NaN, and -0 becomes 0
    lmp = lossless
    if delivery is not None:
        lmp = np.clip(lossless * delivery, params.price_floor_per_mwh, params.price_cap_per_mwh) + 0.0
    load = np.where(live, np.maximum(period.load_mw, 0.0), 0.0)
    by_island = np.where(period.live, sum_by(island, load, len(period.live)), -1.0)
    main = live & (island == int(by_island.argmax()))
    energy = _mean(lossless[main], period.share[main])
    return Prices(
        lmp_raw_per_mwh=raw,
        lossless_per_mwh=lossless,
        lmp_per_mwh=lmp,
        loss_per_mwh=lmp - lossless,
        energy_per_mwh=energy,
        congestion_per_mwh=lossless - energy,
        uniform_per_mwh=_mean(lmp[live], load[live]) if load.sum() > 0 else energy,
        rent_per_h=-float(raw[live] @ injection_mw[live]),
    )


def _mean(price_per_mwh: FloatArray, weight: FloatArray) -> float:
    """Return the weighted mean; rounding must not carry it past the prices it is a mean of, which may stand at the cap."""
    mean = float(price_per_mwh @ weight / weight.sum())
    return min(max(mean, float(price_per_mwh.min())), float(price_per_mwh.max()))
