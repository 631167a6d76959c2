"""How long do other open tools take to the same prices?

Run with ``python -m tests.bench.bench_clearing_peers`` (``--cases 118_ieee`` for some of the grids); the peers are in the optional extra:
``pip install --editable '.[bench]'``. PGLib cases, linear costs, susceptance 1/(x·tap) as MATPOWER has it, from parsed arrays to prices.
CPU time, one thread; the median of several runs of ours, one run of each peer after one on the smallest grid to warm up.

    ours      the official run, cold: factor of the grid, dispatch, prices, certificate, hashes
    PYPOWER   ``rundcopf`` with its own solver
    PyPSA     a network, its linopy model handed to HiGHS without a file, ``optimize``

All clear one and the same problem: PyPSA knows neither angle limits nor phase shifts in its model, so they are taken out of the case for
everyone, shunts are load, and what is out of service is left out. Objectives must agree to 1e-6 relative, or there is no line.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is loaded

import numpy as np

from market import matpower
from market.engine import clear_case
from market.grid import Convention
from market.matpower import Case
from market.outcomes import Cleared

CASES = ("118_ieee", "300_ieee", "1354_pegase", "2869_pegase")
DATA = Path(__file__).parents[1] / "data" / "pglib"
ROUNDS = 7
PYPOWER_BAR, PYPSA_BAR = 40.0, 300.0
"""How many times faster ours is asked to be on the largest grid."""
UNLIMITED_MW = 1e5


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """Cost per hour, and (nb,) prices per MWh."""

    objective_per_h: float
    lmp_per_mwh: Any


def common(case: Case) -> Case:
    """Return the part of a case that every tool can model."""
    net = case.network
    assert case.in_service.all()
    off = set(case.units_off)
    plain = replace(
        net,
        shift_rad=np.zeros(net.n_branches),
        angle_min_rad=np.full(net.n_branches, -np.inf),
        angle_max_rad=np.full(net.n_branches, np.inf),
    )
    units = tuple(unit for unit in case.units if unit.id not in off)
    assert not any(unit.quadratic for unit in units)
    return replace(case, network=plain, units=units, units_off=(), load_mw=case.load_mw + case.shunt_mw, shunt_mw=np.zeros(net.n_buses))


def ours(case: Case) -> Answer:
    """Clear it here."""
    outcome = clear_case(case, convention=Convention.MATPOWER)
    assert isinstance(outcome, Cleared)
    assert not outcome.violations
    assert outcome.certificate.passed
    return Answer(objective_per_h=outcome.objective_per_h, lmp_per_mwh=np.array(list(outcome.lmp_per_mwh.values())))


def slopes(case: Case) -> tuple[Any, Any]:
    """Return (nu,) cost per MWh and (nu,) cost per hour at 0 MW."""
    slope = np.array([unit.segments[0].price_per_mwh if unit.segments else 0.0 for unit in case.units])
    least = np.array([unit.p_min_mw for unit in case.units])
    return slope, np.array([unit.cost_at_min_per_h for unit in case.units]) - slope * least


def pypower_arrays(case: Case) -> dict[str, Any]:
    """Return the case as PYPOWER takes it."""
    net, n = case.network, len(case.units)
    bus = np.zeros((net.n_buses, 13))
    bus[:, 0], bus[:, 1], bus[:, 2] = np.arange(net.n_buses) + 1, 1, case.load_mw
    bus[0, 1] = 3
    bus[:, 6], bus[:, 7], bus[:, 9], bus[:, 10], bus[:, 11], bus[:, 12] = 1, 1.0, net.base_kv, 1, 1.1, 0.9
    branch = np.zeros((net.n_branches, 13))
    branch[:, 0], branch[:, 1], branch[:, 2], branch[:, 3] = net.from_bus + 1, net.to_bus + 1, net.r_pu, net.x_pu
    branch[:, 5], branch[:, 8], branch[:, 10] = np.where(np.isinf(net.rate_mw), 0.0, net.rate_mw), net.tap, 1
    branch[:, 11], branch[:, 12] = -360, 360
    gen, gencost = np.zeros((n, 21)), np.zeros((n, 6))
    gen[:, 0] = [net.bus_index[unit.bus] + 1 for unit in case.units]
    gen[:, 5], gen[:, 6], gen[:, 7] = 1.0, net.base_mva, 1
    gen[:, 8], gen[:, 9] = [unit.p_max_mw for unit in case.units], [unit.p_min_mw for unit in case.units]
    gencost[:, 0], gencost[:, 3] = 2, 2
    gencost[:, 4], gencost[:, 5] = slopes(case)
    return {"version": "2", "baseMVA": net.base_mva, "bus": bus, "gen": gen, "branch": branch, "gencost": gencost}


def pypower(arrays: dict[str, Any]) -> Answer:
    """Clear it with PYPOWER."""
    from pypower.api import ppoption, rundcopf

    found = rundcopf(arrays, ppoption(VERBOSE=0, OUT_ALL=0))
    assert found["success"]
    return Answer(objective_per_h=float(found["f"]), lmp_per_mwh=found["bus"][:, 13])


def pypsa(case: Case) -> Answer:
    """Clear it with PyPSA."""
    import pypsa as tool

    net = case.network
    slope, fixed = slopes(case)
    n = tool.Network()
    n.add("Bus", list(net.bus_ids), v_nom=1.0)
    bus = np.array(net.bus_ids)
    n.add("Load", [f"D{name}" for name in net.bus_ids], bus=bus, p_set=case.load_mw)
    # Per unit on 1 MVA, which is what PyPSA counts in.
    n.add(
        "Line",
        list(net.branch_ids),
        bus0=bus[net.from_bus],
        bus1=bus[net.to_bus],
        x=net.x_pu * net.tap / net.base_mva,
        s_nom=np.where(np.isinf(net.rate_mw), UNLIMITED_MW, net.rate_mw),
    )
    # A range in MW: a nominal power of 1 MW and limits in units of it.
    n.add(
        "Generator",
        [unit.id for unit in case.units],
        bus=[unit.bus for unit in case.units],
        p_nom=1.0,
        p_min_pu=[unit.p_min_mw for unit in case.units],
        p_max_pu=[unit.p_max_mw for unit in case.units],
        marginal_cost=slope,
    )
    options = {"output_flag": False, "threads": 1}
    with unheard():
        status, _ = n.optimize(solver_name="highs", solver_options=options, io_api="direct", include_objective_constant=False)
    assert status == "ok"
    prices = n.buses_t.marginal_price.loc["now", list(net.bus_ids)].to_numpy()
    return Answer(objective_per_h=float(n.objective) + float(fixed.sum()), lmp_per_mwh=prices)


@contextmanager
def unheard() -> Iterator[None]:
    """Lead standard output away: HiGHS says who it is before it is told to be quiet, and not through Python."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def cpu_s(work: Callable[[], Answer]) -> tuple[float, Answer]:
    """Return the CPU time of one run, s, and its answer."""
    started = time.process_time()
    answer = work()
    return time.process_time() - started, answer


def absent() -> str | None:
    """Say how to get the peers, where one is not here."""
    try:
        import linopy  # noqa: F401
        import pypower.api  # noqa: F401
        import pypsa as tool  # noqa: F401
    except ImportError as exc:
        return f"skipped: {exc.name} is not installed; pip install --editable '.[bench]' brings the peers"
    return None


def main() -> None:
    """Print every case beside its peers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    asked = parser.parse_args()
    # What the peers warn of (deprecations, their own numerics) is theirs.
    warnings.simplefilter("ignore")
    if reason := absent():
        print(reason)
        return
    import logging

    logging.disable(logging.WARNING)
    small = common(matpower.read_case(DATA / f"pglib_opf_case{CASES[0]}.m.gz"))
    pypower(pypower_arrays(small))
    pypsa(small)
    print(f"s of CPU; load of the machine {os.getloadavg()[0]:.1f}")
    print(f"{'case':<14}{'ours':>9}{'PYPOWER':>10}{'x':>8}{'PyPSA':>10}{'x':>8}{'worst LMP difference, PYPOWER, PyPSA':>40}")
    for name in asked.cases:
        case = common(matpower.read_case(DATA / f"pglib_opf_case{name}.m.gz"))
        runs = [cpu_s(lambda case=case: ours(case)) for _ in range(ROUNDS)]
        own_s, own = float(np.median([took for took, _ in runs])), runs[-1][1]
        arrays = pypower_arrays(case)
        peers = [cpu_s(lambda arrays=arrays: pypower(arrays)), cpu_s(lambda case=case: pypsa(case))]
        for _, answer in peers:
            assert abs(answer.objective_per_h / own.objective_per_h - 1) < 1e-6, (name, answer.objective_per_h, own.objective_per_h)
        apart = [np.abs(answer.lmp_per_mwh - own.lmp_per_mwh).max() for _, answer in peers]
        (first_s, second_s) = (took for took, _ in peers)
        largest = name == CASES[-1]
        asks = [
            f" /{bar:<3g}{' ' if took / own_s >= bar else '!'}" * largest for took, bar in ((first_s, PYPOWER_BAR), (second_s, PYPSA_BAR))
        ]
        print(
            f"{name:<14}{own_s:>9.4f}{first_s:>10.2f}{first_s / own_s:>8.0f}{asks[0]}{second_s:>10.2f}{second_s / own_s:>8.0f}{asks[1]}"
            f"{apart[0]:>16.1e}{apart[1]:>10.1e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
