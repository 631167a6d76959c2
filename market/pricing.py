"""What is a MWh worth at each bus, and how much of that is congestion?

From the duals of the dispatch: the price at a bus is what one MW more of load there would cost per hour,

    LMP_i = λ_island + Σ_l PTDF_li · ν_l

with λ the price at the island's reference bus and ν the dual of each branch flow. Split for publication into energy and congestion
with the load as the reference, so that neither part depends on which bus was taken out of the equations:

    energy = Σ share_i · LMP_i over the main island        congestion_i = LMP_i − energy

Prices are clipped to the market's floor and cap after the fact, as the provincial rules have it; the raw values are kept, because
only they satisfy the optimality conditions. A dead bus has no price: absence, never 0.

Absent on purpose: losses; a separate pricing run with its own penalty factors; the choice among degenerate duals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.grid import FloatArray, sum_by
from market.sced import ClearingParams, Dispatch, DispatchProblem

__all__ = ["Prices", "price"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Prices:
    """Prices of one interval, in the case's money per MWh; NaN at dead buses.

    Attributes:
        lmp_raw_per_mwh: (nb,) the duals themselves.
        lmp_per_mwh: (nb,) clipped to floor and cap.
        energy_per_mwh: load-weighted mean of the main island (the live island with the most load), clipped prices.
        congestion_per_mwh: (nb,) LMP less energy; in an island of its own it holds that island's difference too.
        uniform_per_mwh: load-weighted mean over every live bus: the user-side settlement price.
        rent_per_h: what loads pay less what units earn at the raw prices, per hour.
    """

    lmp_raw_per_mwh: FloatArray
    lmp_per_mwh: FloatArray
    energy_per_mwh: float
    congestion_per_mwh: FloatArray
    uniform_per_mwh: float
    rent_per_h: float


def price(problem: DispatchProblem, result: Dispatch, params: ClearingParams) -> Prices:
    """Turn the duals of a dispatch into prices."""
    topology, island = problem.topology, problem.topology.island_of_bus
    raw = result.island_price_per_mwh[island] + topology.priced_flows(result.branch_price_per_mwh)
    lmp = np.clip(raw, params.price_floor_per_mwh, params.price_cap_per_mwh) + 0.0  # NaN stays NaN, and -0 becomes 0
    live = problem.live_bus
    load = np.where(live, np.maximum(problem.load_mw, 0.0), 0.0)
    by_island = np.where(problem.live, sum_by(island, load, len(problem.live)), -1.0)
    main = live & (island == int(by_island.argmax()))
    energy = _mean(lmp[main], problem.share[main])
    injection = problem.injection_mw(result.output_mw, result.shed_mw - result.spill_mw)
    return Prices(
        lmp_raw_per_mwh=raw,
        lmp_per_mwh=lmp,
        energy_per_mwh=energy,
        congestion_per_mwh=lmp - energy,
        uniform_per_mwh=_mean(lmp[live], load[live]) if load.sum() > 0 else energy,
        rent_per_h=-float(raw[live] @ injection[live]),
    )


def _mean(price_per_mwh: FloatArray, weight: FloatArray) -> float:
    """Return the weighted mean; rounding must not carry it past the prices it is a mean of, which may stand at the cap."""
    mean = float(price_per_mwh @ weight / weight.sum())
    return min(max(mean, float(price_per_mwh.min())), float(price_per_mwh.max()))
