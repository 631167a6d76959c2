"""The same market cleared another way: one linear program over bus angles, solved by scipy.

Nothing is shared with the code under test but the case: no factor, no PTDF, no lazy rows, no slack. For cases with linear costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, hstack, vstack

from market.grid import Convention
from market.matpower import Case


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """Objective per hour and bus prices per MWh in the order of the buses, or None where there is no solution."""

    objective_per_h: float | None
    lmp_per_mwh: NDArray[np.float64]


def solve(case: Case, convention: Convention = Convention.POWERMODELS) -> Answer:
    """Clear a case whose branches are all in service and whose units offer segments."""
    net = case.network
    from scipy.optimize import linprog  # a fifth of a second, which who only collects tests need not pay

    assert case.in_service.all()
    assert not any(unit.quadratic for unit in case.units)
    x, r = net.x_pu, net.r_pu
    matpower = convention is Convention.MATPOWER
    b = net.base_mva * (1 / (x * net.tap) if matpower else x / (r * r + x * x))
    shift = net.shift_rad if matpower else np.zeros(net.n_branches)
    on = [unit for unit in case.units if unit.id not in case.units_off]
    segments = [(i, segment) for i, unit in enumerate(on) for segment in unit.segments]
    n_seg, n_bus, n_line = len(segments), net.n_buses, net.n_branches
    rows = np.arange(n_line)
    flow = coo_array((np.concatenate([b, -b]), (np.tile(rows, 2), np.concatenate([net.from_bus, net.to_bus]))), shape=(n_line, n_bus))
    ends = (np.concatenate([net.from_bus, net.to_bus]), np.tile(rows, 2))
    leaving = csr_array(coo_array((np.repeat([1.0, -1.0], n_line), ends), shape=(n_bus, n_line)))
    at = [net.bus_index[on[i].bus] for i, _ in segments]
    making = coo_array((np.ones(n_seg), (at, np.arange(n_seg))), shape=(n_bus, n_seg))
    fixed = np.zeros(n_bus)
    for unit in on:
        fixed[net.bus_index[unit.bus]] += unit.p_min_mw
    need = case.load_mw + case.shunt_mw - fixed + leaving @ (-b * shift)
    low, high = net.angle_min_rad - shift, net.angle_max_rad - shift
    angle = np.stack([b * low, b * high])
    upper = np.minimum(net.rate_mw, angle.max(axis=0)) + b * shift
    lower = np.maximum(-net.rate_mw, angle.min(axis=0)) + b * shift
    flow_rows = csr_array(hstack([csr_array((n_line, n_seg)), flow]))
    kept = np.isfinite(upper), np.isfinite(lower)
    limits = csr_array((np.zeros(0), (np.zeros(0, int), np.zeros(0, int))), shape=(0, n_seg + n_bus))
    stacked = [flow_rows[np.flatnonzero(kept[0])], -flow_rows[np.flatnonzero(kept[1])]]
    a_ub = vstack([limits, *stacked]) if kept[0].any() or kept[1].any() else None
    answer = linprog(
        np.concatenate([[segment.price_per_mwh for _, segment in segments], np.zeros(n_bus)]),
        A_ub=a_ub,
        b_ub=np.concatenate([upper[kept[0]], -lower[kept[1]]]) if a_ub is not None else None,
        A_eq=hstack([making, -(leaving @ flow)]),
        b_eq=need,
        bounds=[(0.0, segment.mw) for _, segment in segments] + [(0.0, 0.0)] + [(None, None)] * (n_bus - 1),
        method="highs",
    )
    if answer.status != 0:
        return Answer(objective_per_h=None, lmp_per_mwh=np.full(n_bus, np.nan))
    cost_at_min = sum(unit.cost_at_min_per_h for unit in on)
    return Answer(objective_per_h=float(answer.fun) + cost_at_min, lmp_per_mwh=np.asarray(answer.eqlin.marginals))
