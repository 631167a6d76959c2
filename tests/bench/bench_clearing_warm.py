"""How long does the next interval take, and how much of that is the linear program itself?

Run with ``python -m tests.bench.bench_clearing_warm`` (``--cases 118_ieee 1354_pegase`` for some of the grids, ``--intervals 60`` for
more of them). PGLib cases with ten segments to a unit and priced limits; from one interval to the next the load of the system moves by
0.4 %, that of each bus by 0.5 %, and every twentieth unit offers anew; with and without every single branch outage. One thread, CPU time.

    warm    from updated arrays to prices on the program of the interval before (advisory run), and how much of it is the solver
    cold    the official run on known wires: from arrays to prices with the certificate
    first   the same with the factor of the grid, and with outages their shares of flow, which are made once for each topology
    bare    HiGHS alone, no Python: the program that cold ended with, every row it found included, given whole to a fresh solver with the
            same options and no start; w/bare and c/bare are warm and cold over it

Warm and cold must agree on the cost of every interval that is solved both ways, and the bare program on its optimum. A busy machine
shows in CPU time too, by up to a half: its caches are others'. The load is printed.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is loaded

import highspy
import numpy as np

from market import matpower
from market.highs import _OPTIONS
from market.matpower import Case
from tests.kit.movingcase import MovingCase, Run

DATA = Path(__file__).parents[1] / "data" / "pglib"
COLD_ROUNDS, BARE_ROUNDS = 7, 5


class Bar(NamedTuple):
    """What is asked of the medians, ms: warm, warm with outages, cold."""

    warm: float
    secured: float
    cold: float


BARS = {
    "118_ieee": Bar(2, 5, 5),
    "1354_pegase": Bar(5, 15, 20),
    "2869_pegase": Bar(12, 40, 60),
    "9241_pegase": Bar(80, 300, 400),
    "13659_pegase": Bar(120, 250, 500),
}
BARE_BAR, BARE_FROM_BUSES = 1.6, 2869
"""How many times the bare program a clearing may take, on grids of this size and more: on small ones there is next to no program."""


def cpu_ms(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU time of one run, ms, and its answer."""
    started = time.process_time()
    answer = work()
    return (time.process_time() - started) * 1e3, answer


def bare_ms(run: Run) -> float:
    """Median CPU time, ms, of HiGHS on the program a clearing ended with, from nothing; it must find the same optimum."""
    grown = run.program.lp._highs
    model, wanted = grown.getLp(), grown.getInfo().objective_function_value
    times = []
    for _ in range(BARE_ROUNDS):
        solver = highspy.Highs()
        for name, value in _OPTIONS.items():
            solver.setOptionValue(name, value)
        solver.passModel(model)
        took_ms, _ = cpu_ms(solver.run)
        assert solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
        assert abs(solver.getInfo().objective_function_value / wanted - 1) < 1e-8
        times.append(took_ms)
    return float(np.median(times))


class Solver:
    """Adds up the CPU time of the solves of one program, ms."""

    def __init__(self, run: Run) -> None:
        self.ms = 0.0
        self._solve = run.program.lp.solve
        run.program.lp.solve = self

    def __call__(self) -> Any:
        took_ms, solved = cpu_ms(self._solve)
        self.ms += took_ms
        return solved


def warm(market: MovingCase, intervals: int) -> tuple[list[float], list[float], int]:
    """Return the times of warm intervals and of their solver, ms, and how many limits were in the program at the end."""
    first, *later = market.intervals(intervals + 1)
    run = market.clear(first)
    solver, whole, solving = Solver(run), [], []
    for k, interval in enumerate(later):
        solver.ms = 0.0
        took_ms, run = cpu_ms(lambda interval=interval, run=run: market.clear(interval, run.program))
        whole.append(took_ms)
        solving.append(solver.ms)
        assert run.program.lp.solve is solver, "a program was made anew"
        if k % 10 == 0:
            again = market.clear(interval)
            assert run.certify().passed
            assert abs(run.objective_per_h / again.objective_per_h - 1) < 1e-8
    return whole, solving, len(run.program.network)


def cold(market: MovingCase) -> tuple[list[float], Run]:
    """Return the times of official runs, ms, and the last of them."""
    times = []
    for interval in market.intervals(COLD_ROUNDS):

        def official(interval=interval) -> Run:
            run = market.clear(interval)
            assert run.certify().passed
            return run

        took_ms, run = cpu_ms(official)
        times.append(took_ms)
    return times, run


def judged(ms: float, bar: float | None) -> str:
    """Return a figure with what is asked of it."""
    return f"{ms:8.2f}" + ("      " if bar is None else f" /{bar:<4g}" + (" " if ms <= bar else "!"))


def measure(name: str, case: Case, *, secured: bool, intervals: int) -> None:
    """Print the line of one case."""

    def first() -> MovingCase:
        market = MovingCase(case, "all" if secured else None)
        assert market.clear(next(market.intervals(1))).certify().passed
        return market

    gc.collect()
    first_ms, market = cpu_ms(first)
    cold_ms, run = cold(market)
    bare = bare_ms(run)
    warm_ms, solver_ms, rows = warm(market, intervals)
    bare_bar = BARE_BAR if case.network.n_buses >= BARE_FROM_BUSES else None
    bar, warm_med, cold_med = BARS[name], float(np.median(warm_ms)), float(np.median(cold_ms))
    shown = [
        f"{name:<14}{'N-1' if secured else '-':<4}",
        judged(warm_med, bar.secured if secured else bar.warm),
        f"{min(warm_ms):8.2f}{np.percentile(warm_ms, 95):8.2f}{np.median(solver_ms):8.2f}",
        judged(cold_med, None if secured else bar.cold),
        f"{max(cold_ms):8.2f}{first_ms:10.1f}{bare:9.2f}",
        judged(warm_med / bare, bare_bar),
        judged(cold_med / bare, None if secured else bare_bar),
        f"{rows:6d}",
    ]
    print("".join(shown), flush=True)


def main() -> None:
    """Print every case, without outages and with them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", nargs="+", choices=list(BARS), default=list(BARS))
    parser.add_argument("--intervals", type=int, default=30, help="how many warm ones")
    asked = parser.parse_args()
    print(f"ms of CPU, figure /bar, ! beyond it; load of the machine {os.getloadavg()[0]:.1f}")
    head = ["warm", "best", "p95", "solver", "cold", "max", "first", "bare", "w/bare", "c/bare", "rows"]
    widths = [8, 14, 8, 8, 8, 14, 10, 9, 8, 14, 12]
    print(f"{'case':<18}" + "".join(f"{word:>{width}}" for word, width in zip(head, widths, strict=True)))
    gc.collect()
    gc.freeze()  # as the solver's process does: what lives for ever is not looked through in the middle of an interval
    for secured in (False, True):
        for name in asked.cases:
            case = matpower.read_case(DATA / f"pglib_opf_case{name}.m.gz")
            measure(name, case, secured=secured, intervals=asked.intervals)


if __name__ == "__main__":
    main()
