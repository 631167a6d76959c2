"""How long does a cold clearing take, beside one linear program over all bus angles solved by the same solver?

Run with ``python -m tests.bench.bench_clearing``. Both clear the same PGLib cases (published convention) and must agree on the objective
to 1e-9; the reference is :mod:`tests.kit.btheta`, HiGHS through scipy. Ours counts everything from the parsed case to the outcome: factor,
dispatch, prices, certificate and hashes. CPU time of this process, the median of several rounds each. Below it, the demonstration
grid's own figures.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from market import matpower, rts_gmlc
from market.day_ahead import DayAhead, clear_day_ahead
from market.engine import ClearingEngine, clear_case
from market.grid import Topology
from market.outcomes import Cleared, ClearingInputs
from market.params import ClearingParams
from tests.kit import btheta

CASES = ("118_ieee", "300_ieee", "1354_pegase", "2869_pegase")
DATA = Path(__file__).parents[1] / "data" / "pglib"
ROUNDS = 9


def median_ms(work: Callable[[], object]) -> float:
    """Median CPU time of one run, ms, after one to warm up."""
    work()
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return float(np.median(times)) * 1e3


def pglib() -> None:
    """Print ours, theirs and the ratio for each case."""
    print(f"{'case':<14}{'clear ms':>10}{'B-theta ms':>12}{'ratio':>8}{'worst LMP difference':>23}")
    for name in CASES:
        case = matpower.read_case(DATA / f"pglib_opf_case{name}.m.gz")
        ours, theirs = clear_case(case), btheta.solve(case)
        assert isinstance(ours, Cleared)
        assert theirs.objective_per_h is not None
        assert abs(ours.objective_per_h / theirs.objective_per_h - 1) < 1e-9
        apart = np.abs(np.array(list(ours.lmp_per_mwh.values())) - theirs.lmp_per_mwh).max()
        mine, other = median_ms(lambda case=case: clear_case(case)), median_ms(lambda case=case: btheta.solve(case))
        print(f"{name:<14}{mine:>10.2f}{other:>12.2f}{other / mine:>8.1f}{apart:>23.1e}")


def demonstration_grid() -> None:
    """Print what one switch, one interval and one day cost on RTS-GMLC."""
    case, params = rts_gmlc.load(), ClearingParams()
    closed = np.ones(case.network.n_branches, dtype=np.bool_)
    print(f"topology, 73 buses      {median_ms(lambda: Topology(case.network, closed)):>8.2f} ms")

    def ahead() -> DayAhead:
        day = clear_day_ahead(case, params, start_ns=0, completed_at_ns=0)
        assert isinstance(day, DayAhead)
        return day

    def afresh() -> DayAhead:
        day = clear_day_ahead(replace(case), params, start_ns=0, completed_at_ns=0)  # a case of which no commitment is remembered
        assert isinstance(day, DayAhead)
        return day

    print(f"day ahead, 96 quarters  {median_ms(afresh):>8.2f} ms")
    print(f"  commitment remembered {median_ms(ahead):>8.2f} ms")
    day, engine = ahead(), ClearingEngine(case.network, case.units, params, load_buses=case.load_buses)
    period = 200
    inputs = ClearingInputs(
        interval_start_ns=0,
        frozen_at_ns=0,
        load_mw=dict(zip(case.network.bus_ids, case.bus_load_mw(case.real_time, period).tolist(), strict=True)),
        output_mw=day.periods[66].dispatch_mw,
        available_mw=case.available_mw(case.real_time, period),
        units_off=day.units_off(66),
    )
    print(f"one real-time interval  {median_ms(lambda: engine.clear(inputs, completed_at_ns=0)):>8.2f} ms")


if __name__ == "__main__":
    pglib()
    demonstration_grid()
