"""The whole program of a formulation at once, without wires, solved by scipy: what the blocks are checked against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, hstack, vstack

from market.formulation import Builder, Formulation, Period
from market.grid import FloatArray, Network, Topology, sum_by
from market.offers import OfferBook
from market.unitblock import least_mw_at_buses

BALANCE_PENALTY = 45_000.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """The optimum: columns (n,), duals of the structure rows (m,), price of each live island in each period, shed less spilled."""

    x: FloatArray
    row_dual: FloatArray
    price_per_mwh: FloatArray
    unserved_mw: FloatArray
    cost_per_h: float


def periods(network: Network, loads_mw: FloatArray, book: OfferBook, low_mw: FloatArray) -> tuple[Period, ...]:
    """Build the horizon of loads (T, nb) over one topology in which every island lives."""
    topology = Topology(network, np.ones(network.n_branches, dtype=np.bool_))
    live = np.ones(topology.n_islands, dtype=np.bool_)
    fixed = least_mw_at_buses(book, low_mw, network.n_buses)
    return tuple(Period(topology=topology, live=live, load_mw=load, fixed_mw=least) for load, least in zip(loads_mw, fixed, strict=True))


def solve(formulation: Formulation | Builder) -> Answer:
    """Solve every row at once, the lazy ones as well, with a balance per island and period that may be missed at a penalty."""
    f = formulation.build() if isinstance(formulation, Builder) else formulation
    n, n_islands = len(f.cost), len(f.periods[0].live)
    island = np.array([f.periods[t].topology.island_of_bus[bus] for t, bus in zip(f.period, np.maximum(f.bus, 0), strict=True)])
    island[f.spread] = f.bus[f.spread]
    power = np.flatnonzero(f.gain != 0)
    m = len(f.periods) * n_islands
    balance = csr_array((f.gain[power], (f.period[power] * n_islands + island[power], power)), shape=(m, n))
    surplus = np.concatenate([sum_by(p.topology.island_of_bus, p.injection_mw, n_islands) for p in f.periods])
    eye = csr_array((np.ones(m), (np.arange(m), np.arange(m))), shape=(m, m))
    equal = hstack([balance, eye, -eye])
    upper_rows, lower_rows = np.flatnonzero(np.isfinite(f.high)), np.flatnonzero(np.isfinite(f.low))
    above = vstack([f.rows[upper_rows], -f.rows[lower_rows]])
    above = hstack([above, csr_array((above.shape[0], 2 * m))])
    found = linprog(
        np.concatenate([f.cost, np.full(2 * m, BALANCE_PENALTY)]),
        A_ub=above,
        b_ub=np.concatenate([f.high[upper_rows], -f.low[lower_rows]]),
        A_eq=equal,
        b_eq=-surplus,
        bounds=np.stack([np.zeros(n + 2 * m), np.concatenate([f.upper, np.full(2 * m, np.inf)])], axis=1),
        method="highs",
    )
    assert found.status == 0, found.message
    dual = np.zeros(len(f.low))
    dual[upper_rows] += found.ineqlin.marginals[: len(upper_rows)]
    dual[lower_rows] -= found.ineqlin.marginals[len(upper_rows) :]
    unserved = found.x[n : n + m] - found.x[n + m :]
    return Answer(
        x=found.x[:n],
        row_dual=dual,
        price_per_mwh=found.eqlin.marginals.reshape(-1, n_islands),
        unserved_mw=unserved.reshape(-1, n_islands),
        cost_per_h=float(found.fun),
    )
