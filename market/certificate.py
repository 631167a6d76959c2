"""Do this dispatch and these prices belong together, whatever the solver says of itself?

The optimality conditions, checked from the grid's and the offers' own data: no PTDF, no solver status, no basis. A linear program (with
convex costs) whose point satisfies them all is solved, however the point was found. Every residual is the worst over all periods.

    feasible      Kirchhoff's law at every bus with flows formed from bus angles; columns within bounds, structure rows and every limit of
                  the network kept, those after every outage included, or exceeded by what is declared
    stationary    what could be less is not dearer than what it earns, what could be more not cheaper; bus prices differ only where a
                  branch price makes them: B'·LMP = Aᵀ·diag(b)·ν
    complementary a limit or a row has a price only where it binds, in its direction, and the penalty exactly while it is exceeded
    money         what loads pay less what injections earn equals the branch prices times the flows (and what phase shifters move)
    published     prices within floor and cap

Absent on purpose: any judgement whether the inputs made sense.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from market.grid import FloatArray, sum_by
from market.outcomes import Certificate
from market.params import ClearingParams
from market.pricing import Prices, bus_prices, reduced_costs
from market.program import Penalties, Solution
from market.sced import Dispatch, DispatchProblem, pricing_cost

__all__ = ["TOLERANCES", "certify"]

TOLERANCES = {
    "balance_mw": 1e-6,
    "bus_balance_mw": 1e-5,
    "bounds_mw": 1e-6,
    "rows": 1e-5,
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
        result: the dispatch and the pricing run; where they differ both must hold.
        prices: what is published of the first period.
        params: penalties, floor and cap.
        widened_mw: how far a unit's range had to be widened to hold its telemetered output; recorded, not judged.

    Returns:
        The certificate; a NaN among the residuals fails it.
    """
    cost = problem.formulation.cost
    residuals = dict(_conditions(problem, result.solution, result.injection_mw, params.penalties, cost))
    if result.pricing is not result.solution:
        penalties, costs = (params.pricing_penalties, pricing_cost(problem, params)) if result.priced_apart else (params.penalties, cost)
        for name, value in _conditions(problem, result.pricing, result.pricing_injection_mw, penalties, costs):
            residuals[name] = _worse(residuals[name], value)
    residuals |= dict(_published(problem, result, prices, params))
    assert residuals.keys() == TOLERANCES.keys()
    passed = all(value <= TOLERANCES[name] for name, value in residuals.items())
    return Certificate(passed=passed, residuals=residuals | {"range_widened_mw": widened_mw})


def _published(problem: DispatchProblem, result: Dispatch, prices: Prices, params: ClearingParams) -> Iterator[tuple[str, float]]:
    """What is told to the market of the first period."""
    period, solution = problem.formulation.periods[0], result.pricing
    topology, live = period.topology, period.live_bus
    nu, injection = solution.branch_price_per_mwh[0], result.pricing_injection_mw[0]
    flow = period.flows_mw(injection)
    raw = np.where(live, prices.lmp_raw_per_mwh, 0.0)
    yield "price_consistency_per_mwh", _consistency(problem, solution, 0, raw)
    # A phase shifter moves its fixed flow from the price at one end to the price at the other.
    across = raw[topology.network.from_bus] - raw[topology.network.to_bus]
    rent_by_lines = -float(nu @ (flow - period.shift_flow_mw) + period.shift_flow_mw @ across)
    turnover = float(np.abs(raw) @ np.abs(injection)) + 1.0
    yield "surplus_relative", abs(prices.rent_per_h - rent_by_lines) / turnover
    lmp = prices.lmp_per_mwh[live]
    yield "price_range_per_mwh", _largest(np.maximum(params.price_floor_per_mwh - lmp, lmp - params.price_cap_per_mwh))


def _conditions(
    problem: DispatchProblem, solution: Solution, injection_mw: FloatArray, penalties: Penalties, cost: FloatArray
) -> Iterator[tuple[str, float]]:
    """The conditions of one linear program, the worst over its periods."""
    f, curves, x = problem.formulation, problem.curves, solution.x
    per_period = [_network(problem, solution, t, injection_mw[t], penalties) for t in range(len(f.periods))]
    worst = {name: _largest(np.array([residuals[name] for residuals in per_period])) for name in per_period[0]}
    curved = np.maximum(curves.low_mw - solution.curve_mw, solution.curve_mw - curves.high_mw)
    activity = f.rows @ x
    above, below = f.high - activity, activity - f.low
    idle = np.where(solution.row_price < -_PRICED, above, np.where(solution.row_price > _PRICED, below, 0.0))
    stationarity, relief = _stationarity(problem, solution, cost)
    yield "balance_mw", worst["balance_mw"]
    yield "bus_balance_mw", worst["bus_balance_mw"]
    yield "bounds_mw", _largest(np.concatenate([-x, x - f.upper, curved]))
    yield "rows", _largest(-np.minimum(above, below))
    yield "limits_mw", worst["limits_mw"]
    yield "stationarity_per_mwh", stationarity
    yield "complementarity_mw", _worse(worst["complementarity_mw"], _largest(np.abs(idle)))
    yield "penalty_relative", _worse(worst["penalty_relative"], relief)


def _network(problem: DispatchProblem, solution: Solution, t: int, injection_mw: FloatArray, penalties: Penalties) -> dict[str, float]:
    """The wires of one period: Kirchhoff, limits, and that prices of limits and their violations belong together."""
    period, monitor = problem.formulation.periods[t], problem.monitors[t]
    topology = period.topology
    flow = period.flows_mw(injection_mw)
    per_island = sum_by(topology.island_of_bus, injection_mw, len(period.live))
    priced = [limit for limit in solution.priced if limit.period == t]
    keys = np.array([limit.key for limit in priced], dtype=np.int64)
    nu, over = np.array([limit.price_per_mwh for limit in priced]), np.array([limit.over_mw for limit in priced])
    exceeded = np.sort(keys[np.abs(over) > _AT_BOUND_MW])
    rows = monitor.rows(keys)
    at = rows.coefficients @ flow
    above, below = rows.high_mw + np.maximum(over, 0.0) - at, at - rows.low_mw + np.maximum(-over, 0.0)
    idle = np.where(nu < -_PRICED, above, np.where(nu > _PRICED, below, 0.0))
    stray = rows.coefficients.T @ nu - solution.branch_price_per_mwh[t]
    most = np.array([penalties[kind] for kind in rows.kind])
    wrong = np.where(np.abs(over) > _AT_BOUND_MW, np.abs(nu + np.sign(over) * most), np.maximum(np.abs(nu) - most, 0.0))
    return {
        "balance_mw": _largest(np.abs(per_island[period.live])),
        "bus_balance_mw": _largest(np.abs(topology.outflow_mw(flow) - injection_mw)[period.live_bus]),
        "limits_mw": _worse(monitor.worst_mw(flow, exceeded)[0], _largest(-np.minimum(above, below))),
        "complementarity_mw": _largest(np.abs(np.concatenate([idle, stray]))),
        "penalty_relative": _largest(wrong / most),
    }


def _stationarity(problem: DispatchProblem, solution: Solution, cost: FloatArray) -> tuple[float, float]:
    """Largest gain per MWh that a move of any column would still bring; for load not served and excess as a share of their penalty."""
    f, curves = problem.formulation, problem.curves
    # A column in a dead island earns nothing and can serve nobody: it must be 0, which its bound sees to.
    reduced = reduced_costs(f, solution, cost)
    at_curve = np.zeros(len(curves))
    for t, period in enumerate(f.periods):
        lmp = np.where(period.live_bus, bus_prices(f, solution, t), 0.0)
        at_curve = np.where(curves.period == t, lmp[curves.bus], at_curve)
    more, less = solution.x < f.upper - _AT_BOUND_MW, solution.x > _AT_BOUND_MW
    wrong = np.maximum(np.where(more, -reduced, 0.0), np.where(less, reduced, 0.0))
    relief = np.concatenate([problem.relief.shed, problem.relief.spill])
    others = np.ones(len(wrong), dtype=np.bool_)
    others[relief] = False
    slope = curves.slope_per_mwh(solution.curve_mw) - at_curve
    down, up = solution.curve_mw > curves.low_mw + _AT_BOUND_MW, solution.curve_mw < curves.high_mw - _AT_BOUND_MW
    on_curves = np.maximum(np.where(down, slope, 0.0), np.where(up, -slope, 0.0))
    return _largest(np.concatenate([wrong[others], on_curves])), _largest(wrong[relief] / np.maximum(cost[relief], 1.0))


def _consistency(problem: DispatchProblem, solution: Solution, t: int, lmp_per_mwh: FloatArray) -> float:
    """Largest amount by which a bus price departs from what its neighbours' prices and the branch prices ask for."""
    period = problem.formulation.periods[t]
    gap = period.topology.price_gap_per_mwh(lmp_per_mwh, solution.branch_price_per_mwh[t])
    return _largest(np.where(period.live_bus, gap, 0.0))


def _worse(a: float, b: float) -> float:
    """Return the larger; NaN where one is NaN, so that it fails the certificate."""
    return float(np.maximum(a, b))


def _largest(residual: FloatArray) -> float:
    """Return the largest residual, at least 0; NaN where one is NaN."""
    return float(residual.max(initial=0.0)) + 0.0
