"""What does a state estimate cost, with every branch metered at both ends and every bus metered?

Run with ``python -m tests.bench.bench_estimation``. *first* is a topology nobody has seen: wires, normal equations, factor; *variances* the
residual variances of all meters, taken once per topology when a sum of squares is conspicuous; *image* what every further image costs;
*one lie*, *a position* and *ten lies* an image in which so much is wrong (factor and variances known). Wall time, best of five.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from detectors.estimation import Estimator
from detectors.leastsquares import LeastSquares
from market import rts_gmlc
from market.grid import Topology
from tests.kit import pglib
from tests.kit.metered import Metered

CASES = ("rts-gmlc", "2869_pegase", "13659_pegase")
ROUNDS = 5


def best_ms(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Best wall time of one run, ms."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return float(np.min(times)) * 1e3


def measured(name: str) -> None:
    """Print one case."""
    if name == "rts-gmlc":
        net = rts_gmlc.load().network
        grid = Metered(net, np.ones(net.n_branches, dtype=np.bool_))
    else:
        case = pglib.read(name)
        grid = Metered(case.network, case.in_service)
    meters, net, used = grid.meters, grid.network, grid.but()
    flow_mw = grid.flows_mw(1)
    first = best_ms(lambda: Estimator(meters, grid.rules).estimate(grid.shown_mw(flow_mw), used, grid.in_service))
    squares = LeastSquares(Topology(net, grid.in_service), meters, used, grid.sigma_mw)
    variances = best_ms(lambda: squares.residual_variance, 1)
    lines = np.bincount(np.concatenate([net.from_bus, net.to_bus]))
    meshed = (lines[net.from_bus] > 3) & (lines[net.to_bus] > 3)
    strong = [net.branch_ids[k] for k in np.argsort(-np.abs(flow_mw) / grid.sigma_mw * meshed)[:20]]
    position = next(branch for branch in strong if grid.topology(branch).n_islands == grid.topology().n_islands)
    calm, noisy = grid.shown_mw(flow_mw), grid.shown_mw(flow_mw, noise=1)
    lie = grid.shown_mw(flow_mw, noise=1, **{f"from__{net.branch_ids[7]}": 50.0})
    lies = grid.shown_mw(flow_mw, noise=1, **{f"from__{net.branch_ids[k]}": 50.0 for k in range(0, 100, 10)})
    grid.estimate(noisy)
    grid.estimate(noisy, position)
    costs = [best_ms(lambda z=z: grid.estimate(z)) for z in (calm, noisy, lie, lies)]  # type: ignore[misc]
    costs.insert(3, best_ms(lambda: grid.estimate(noisy, position)))
    found = grid.estimate(lies), grid.estimate(noisy, position)
    assert len(found[0].suspects) >= 10
    assert found[1].doubted == (position,)
    print(f"{name:<14}{len(meters.name):>8}{first:>9.1f}{variances:>11.1f}" + "".join(f"{cost:>11.2f}" for cost in costs))


if __name__ == "__main__":
    print(f"{'ms':<14}{'meters':>8}{'first':>9}{'variances':>11}{'calm':>11}{'noisy':>11}{'one lie':>11}{'a position':>11}{'ten lies':>11}")
    for each in CASES:
        measured(each)
