"""Which dispatch serves the load at least cost within the limits of units and wires, and what is a MWh worth then?

Security-constrained economic dispatch in three steps, each from the one before:

    dispatch    the least-cost program with violations at their penalties (:mod:`market.program`)
    share       among dispatches of equal cost the one in which equals share in proportion to what they offer (:mod:`market.face`)
    price       the same program with the pricing run's penalties, and where its duals are not unique the least of them

Where no limit is violated and no price beyond a pricing penalty, the pricing run's optimum is the dispatch itself and is not solved again:
its optimality conditions are those of the dispatch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from market.balanceblock import Relief
from market.chords import Curves
from market.face import least_prices, share_fairly
from market.formulation import Formulation
from market.grid import FloatArray
from market.monitor import LimitKind, Monitor
from market.params import ClearingParams
from market.pricing import reduced_costs
from market.program import NotSolved, Program, Solution

__all__ = ["Dispatch", "DispatchProblem", "dispatch", "pricing_cost", "program_of"]

_NEGLIGIBLE_MW = 1e-7


@dataclass(frozen=True, kw_only=True, eq=False)
class DispatchProblem:
    """One clearing, ready to be dispatched.

    Attributes:
        formulation: columns and structure rows.
        relief: which of the columns are load not served and excess.
        curves: injections of quadratic cost.
        monitors: the limits of each period's wires.
    """

    formulation: Formulation
    relief: Relief
    curves: Curves
    monitors: Sequence[Monitor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dispatch:
    """The dispatch and the prices' duals.

    Attributes:
        solution: the dispatch with its own duals.
        pricing: the pricing run; the same object where it need not be solved again.
        injection_mw: (T, nb) net injections of the dispatch, MW.
        pricing_injection_mw: (T, nb) net injections of the pricing run, MW.
        priced_apart: whether the pricing run ended elsewhere than the dispatch.
        tied: whether there were dispatches of equal cost to choose from.
        price_degenerate: whether there were duals to choose from.
        settled: whether both choices were made; where not, the solver's answer stands.
    """

    solution: Solution
    pricing: Solution
    injection_mw: FloatArray
    pricing_injection_mw: FloatArray
    priced_apart: bool
    tied: bool
    price_degenerate: bool
    settled: bool


def program_of(problem: DispatchProblem, params: ClearingParams) -> Program:
    """Return the program of a clearing, cold."""
    return Program(
        problem.formulation,
        problem.monitors,
        params.penalties,
        problem.curves,
        price_tolerance_per_mwh=params.price_tolerance_per_mwh,
        rounds_max=params.rounds_max,
    )


def dispatch(problem: DispatchProblem, params: ClearingParams, program: Program | None = None) -> Dispatch | NotSolved:
    """Find the least-cost dispatch and its prices.

    Args:
        problem: the clearing; at least one island must be live.
        params: penalties and limits of the search.
        program: a program kept from another clearing that was updated to this one; without it the run is cold and repeatable.

    Returns:
        The optimum with its duals, or the solver's word where it found none.
    """
    program = program or program_of(problem, params)
    solution = program.solve()
    if isinstance(solution, NotSolved):
        return solution
    shared = share_fairly(program, solution)
    if isinstance(shared, NotSolved):
        return shared
    injection = _injections(program, shared.solution)
    priced_injection = injection
    apart = _price_apart(problem, shared.solution, params)
    if apart:
        program.price_at(pricing_cost(problem, params), params.pricing_penalties)
        again = program.solve()
        if not isinstance(again, NotSolved):
            priced_injection = _injections(program, again)
            pricing = least_prices(program, again)
        # Also where it was not solved: a program that is kept goes on with the dispatch's penalties.
        program.price_at(problem.formulation.cost, params.penalties)
        if isinstance(again, NotSolved):
            return again
    else:
        pricing = least_prices(program, shared.solution)
    return Dispatch(
        solution=shared.solution,
        pricing=pricing.solution,
        injection_mw=injection,
        pricing_injection_mw=priced_injection,
        priced_apart=apart,
        tied=shared.tied,
        price_degenerate=pricing.tied,
        settled=shared.settled and pricing.settled,
    )


def pricing_cost(problem: DispatchProblem, params: ClearingParams) -> FloatArray:
    """Return (n,) the costs of the columns in the pricing run."""
    cost = problem.formulation.cost.copy()
    cost[problem.relief.shed] = cost[problem.relief.spill] = params.pricing_balance_penalty_per_mwh
    return cost


def _injections(program: Program, solution: Solution) -> FloatArray:
    return np.stack([program.injection_of(t, solution) for t in range(len(program.formulation.periods))])


def _price_apart(problem: DispatchProblem, solution: Solution, params: ClearingParams) -> bool:
    """Whether the pricing run would end elsewhere than the dispatch."""
    if params.pricing_penalties == params.penalties and params.pricing_balance_penalty_per_mwh == params.balance_penalty_per_mwh:
        return False
    relieved = solution.x[problem.relief.shed].sum() + solution.x[problem.relief.spill].sum() > _NEGLIGIBLE_MW
    if relieved or any(abs(limit.over_mw) > _NEGLIGIBLE_MW for limit in solution.priced):
        return True
    least: float = min(params.pricing_penalties[kind] for kind in LimitKind)
    if any(abs(limit.price_per_mwh) > least for limit in solution.priced):
        return True
    # Load not served or excess would be worth buying at the pricing run's penalty.
    reduced = reduced_costs(problem.formulation, solution, pricing_cost(problem, params))
    return bool(min(reduced[problem.relief.shed].min(), reduced[problem.relief.spill].min()) < 0)
