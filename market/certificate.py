"""Do this dispatch and these prices belong together, whatever the solver says of itself?

The optimality conditions of the dispatch, checked from the grid's and the offers' own data: no PTDF, no solver status, no basis.
A linear program (with convex costs) whose point satisfies them all is solved, however the point was found.

    feasible      Kirchhoff's law at every bus with flows formed from bus angles; outputs and flows within their limits
    stationary    a unit that could give less is not dearer than its bus price, one that could give more not cheaper;
                  bus prices differ only where a branch price makes them: B'·LMP = Aᵀ·diag(b)·ν
    complementary a branch has a price only at its limit, in the limit's direction, and the penalty exactly while it is exceeded;
                  the same for load not served and excess
    money         what loads pay less what units earn equals the branch prices times the flows (and what phase shifters move)
    published     prices within floor and cap

Absent on purpose: any judgement whether the inputs made sense.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from market.grid import FloatArray, sum_by
from market.outcomes import Certificate
from market.pricing import Prices
from market.sced import ClearingParams, Dispatch, DispatchProblem

__all__ = ["TOLERANCES", "certify"]

TOLERANCES = {
    "balance_mw": 1e-6,
    "bus_balance_mw": 1e-5,
    "bounds_mw": 1e-6,
    "limits_mw": 1e-3,
    "stationarity_per_mwh": 1e-4,
    "price_consistency_per_mwh": 1e-4,
    "complementarity_mw": 1e-3,
    "penalty_relative": 1e-6,
    "surplus_relative": 1e-6,
    "price_range_per_mwh": 0.0,
}
"""Largest residual that passes, by name: MW, money per MWh, or a ratio as the name says."""

_AT_BOUND_MW = 1e-6
_PRICED = 1e-6


def certify(problem: DispatchProblem, result: Dispatch, prices: Prices, params: ClearingParams, widened_mw: float = 0.0) -> Certificate:
    """Compute every residual and compare it with its tolerance.

    Args:
        problem: what was to be dispatched.
        result: base points, slacks and duals.
        prices: the prices made from them.
        params: penalties, floor and cap.
        widened_mw: how far a unit's range had to be widened to hold its telemetered output; recorded, not judged.

    Returns:
        The certificate; a NaN among the residuals fails it.
    """
    residuals = dict(_residuals(problem, result, prices, params))
    assert residuals.keys() == TOLERANCES.keys()
    passed = all(value <= TOLERANCES[name] for name, value in residuals.items())
    return Certificate(passed=passed, residuals=residuals | {"range_widened_mw": widened_mw})


def _residuals(problem: DispatchProblem, result: Dispatch, prices: Prices, params: ClearingParams) -> Iterator[tuple[str, float]]:
    topology, live = problem.topology, problem.live_bus
    injection = problem.injection_mw(result.output_mw, result.shed_mw - result.spill_mw)
    per_island = sum_by(topology.island_of_bus, injection, len(problem.live))
    yield "balance_mw", _largest(np.abs(per_island[problem.live]))
    flow = topology.flows_mw(injection)
    yield "bus_balance_mw", _largest(np.abs(topology.outflow_mw(flow) - injection)[live])
    beyond = np.maximum(problem.low_mw - result.output_mw, result.output_mw - problem.high_mw)
    yield "bounds_mw", _largest(np.concatenate([beyond, -result.shed_mw, -result.spill_mw]))
    margin_high = topology.limit_high_mw + np.maximum(result.over_mw, 0.0) - flow
    margin_low = flow - topology.limit_low_mw + np.maximum(-result.over_mw, 0.0)
    yield "limits_mw", _largest(-np.minimum(margin_high, margin_low))
    yield "stationarity_per_mwh", _stationarity(problem, result, prices)
    yield "price_consistency_per_mwh", _price_consistency(problem, result, prices)
    nu = result.branch_price_per_mwh
    idle = np.where(nu < -_PRICED, margin_high, np.where(nu > _PRICED, margin_low, 0.0))
    yield "complementarity_mw", _largest(np.abs(idle))
    yield "penalty_relative", _penalties(problem, result, prices, params)
    # A phase shifter moves its fixed flow from the price at one end to the price at the other.
    raw = np.where(live, prices.lmp_raw_per_mwh, 0.0)
    across = raw[topology.network.from_bus] - raw[topology.network.to_bus]
    rent_by_lines = -float(nu @ (flow - topology.shift_flow_mw) + topology.shift_flow_mw @ across)
    turnover = float(np.abs(raw) @ np.abs(injection)) + 1.0
    yield "surplus_relative", abs(prices.rent_per_h - rent_by_lines) / turnover
    lmp = prices.lmp_per_mwh[live]
    yield "price_range_per_mwh", _largest(np.maximum(params.price_floor_per_mwh - lmp, lmp - params.price_cap_per_mwh))


def _stationarity(problem: DispatchProblem, result: Dispatch, prices: Prices) -> float:
    """Largest gain per MWh that a unit's move up or down would still bring."""
    at_unit = prices.lmp_raw_per_mwh[problem.unit_bus]
    above = result.output_mw - problem.low_mw
    # Fill each unit's segments from the bottom: how much of each does this output use?
    width = problem.seg_mw
    end = np.cumsum(width)
    first = np.searchsorted(problem.seg_unit, problem.seg_unit, side="left")
    begin = end - width - (end - width)[first] if len(width) else end
    used = np.clip(above[problem.seg_unit] - begin, 0.0, width)
    reduced = problem.seg_price_per_mwh - at_unit[problem.seg_unit]
    on_segments = np.maximum(np.where(used > _AT_BOUND_MW, reduced, 0.0), np.where(used < width - _AT_BOUND_MW, -reduced, 0.0))
    curved, output = problem.curved, result.output_mw[problem.curved]
    slope = problem.curved_linear_per_mwh + 2 * problem.curved_per_mw2h * output - at_unit[curved]
    down, up = output > problem.low_mw[curved] + _AT_BOUND_MW, output < problem.high_mw[curved] - _AT_BOUND_MW
    on_curves = np.maximum(np.where(down, slope, 0.0), np.where(up, -slope, 0.0))
    return _largest(np.concatenate([on_segments, on_curves]))


def _price_consistency(problem: DispatchProblem, result: Dispatch, prices: Prices) -> float:
    """Largest amount by which a bus price departs from what its neighbours' prices and the branch prices ask for."""
    topology, live = problem.topology, problem.live_bus
    lmp = np.where(live, prices.lmp_raw_per_mwh, 0.0)
    asked = topology.outflow_mw(topology.b_mw_per_rad * result.branch_price_per_mwh)
    matrix = topology.b_bus_mw_per_rad
    weight = np.abs(matrix.diagonal())
    gap = np.abs(matrix @ lmp - asked)
    return _largest(np.where(live & (weight > 0), gap / np.where(weight > 0, weight, 1.0), 0.0))


def _penalties(problem: DispatchProblem, result: Dispatch, prices: Prices, params: ClearingParams) -> float:
    """Largest departure of a violated limit's price from its penalty, or of a price beyond its penalty, as a share of the penalty."""
    lines, balance = params.line_penalty_per_mwh, params.balance_penalty_per_mwh
    nu, over = result.branch_price_per_mwh, result.over_mw
    on_lines = np.where(np.abs(over) > _AT_BOUND_MW, np.abs(nu + np.sign(over) * lines), np.maximum(np.abs(nu) - lines, 0.0))
    weighted = np.where(problem.live_bus, problem.share * np.nan_to_num(prices.lmp_raw_per_mwh), 0.0)
    mean = sum_by(problem.topology.island_of_bus, weighted, len(problem.live))[problem.live]
    short, excess = result.shed_mw[problem.live] > _AT_BOUND_MW, result.spill_mw[problem.live] > _AT_BOUND_MW
    on_balance = np.where(short, np.abs(mean - balance), np.where(excess, np.abs(mean + balance), np.maximum(np.abs(mean) - balance, 0.0)))
    return _largest(np.concatenate([on_lines / lines, on_balance / balance]))


def _largest(residual: FloatArray) -> float:
    """Return the largest residual, at least 0; NaN where one is NaN, so that it fails the certificate."""
    return float(residual.max(initial=0.0)) + 0.0
