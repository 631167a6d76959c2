"""How long from a change of position to the finding, on a grid of more than ten thousand buses?

Run with ``python -m tests.bench.bench_topology``. PGLib's case of 13,659 buses and 20,467 branches; a radial part of the grid is cut off
behind its last line, after a number of other lines have opened far from it. What is measured is what the breaker waits for: the report of
the position, the tick at which the loss is certain, which looks for the parts of the grid, and the tick that reports the condition. One
thread, CPU time, median of several rounds; the state is a fresh one each round, the network model is made once.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from detectors.findings import ConditionMet
from detectors.topology_change import TopologyWatch, next_deadline_ns, observe
from market.facts import Fact, FlowReported, LoadReported, PointQuality, SwitchReported, SwitchStatus, Ticked
from market.matpower import read_case
from market.rules import MarketRules, rules_from
from market.topology import Topology, from_network
from market.units import NS_PER_S

CASE: Final = Path(__file__).parents[1] / "data" / "pglib" / "pglib_opf_case13659_pegase.m.gz"
OTHERS: Final = (0, 10, 100, 500)
BAR_MS: Final = 50.0
ROUNDS: Final = 7
START_NS: Final = 1_800_000_000 * NS_PER_S


def grid_of_the_case() -> tuple[Topology, str, float]:
    """Return the network model, a line behind which a single bus with load hangs, and the whole load, MW."""
    case = read_case(CASE)
    network = case.network
    grid = from_network(network, load_mw=case.load_mw, sources=network.bus_ids)
    ends = np.bincount(np.concatenate([network.from_bus, network.to_bus]), minlength=network.n_buses)
    leaf = int(np.argmax(np.where(ends == 1, case.load_mw, 0.0)))
    return grid, grid.at_bus[network.bus_ids[leaf]][0], float(case.load_mw.sum())


def opened(name: str, now_ns: int) -> list[Fact]:
    """Return what is told of a line that opens."""
    common = {"ts_event_ns": now_ns, "element": name, "quality": PointQuality.GOOD, "ts_source_ns": now_ns}
    return [
        SwitchReported(status=SwitchStatus.OPEN, **common),  # type: ignore[arg-type]
        FlowReported(from_pct=0.0, to_pct=0.0, **common),  # type: ignore[arg-type]
    ]


def timed_ms(work: Callable[[], object]) -> float:
    """Return the CPU time of one run, ms."""
    started = time.process_time()
    work()
    return (time.process_time() - started) * 1e3


def rules_for(island_pct: float) -> MarketRules:
    """Return rules under which nothing but islands of this share is found."""
    many = {"ehv_elements": 100_000, "hv_elements": 100_000}
    return rules_from(
        {"topology_hard": {**many, "substations": 100_000, "island_pct": 100}, "topology_soft": {**many, "island_pct": island_pct}}
    )


def fallen(grid: Topology, load_mw: float, others: list[str], rules: MarketRules) -> TopologyWatch:
    """Return what is known a while after other lines have opened."""
    watch = TopologyWatch()
    facts: list[Fact] = [LoadReported(ts_event_ns=START_NS, area="0", load_mw=load_mw)]
    facts += [fact for name in others for fact in opened(name, START_NS + NS_PER_S)]
    facts += [Ticked(ts_event_ns=START_NS + second * NS_PER_S) for second in (11, 41, 90)]
    for fact in facts:
        watch, _ = observe(watch, fact, rules, grid)
    return watch


def one_round(grid: Topology, line: str, watch: TopologyWatch, rules: MarketRules) -> tuple[float, float]:
    """Return the CPU time from the report to the finding, ms, and that of the worst single fact of it."""
    grid.parts(frozenset())  # what was found in the last round is forgotten
    spent, worst, found = 0.0, 0.0, False
    now_ns = START_NS + 100 * NS_PER_S
    todo = opened(line, now_ns)
    while not found:
        if not todo:
            deadline_ns = next_deadline_ns(watch, now_ns, rules)
            assert deadline_ns is not None, "the condition is waiting"
            now_ns = deadline_ns
            todo = [Ticked(ts_event_ns=now_ns)]
        started = time.process_time()
        watch, findings = observe(watch, todo.pop(0), rules, grid)
        next_deadline_ns(watch, now_ns, rules)
        each = (time.process_time() - started) * 1e3
        spent, worst = spent + each, max(worst, each)
        found = any(isinstance(finding, ConditionMet) for finding in findings)
    return spent, worst


def idle_us(grid: Topology, line: str, load_mw: float) -> dict[str, float]:
    """Return what facts cost that change nothing, µs each."""
    watch, rules = TopologyWatch(), rules_for(100.0)
    for fact in (LoadReported(ts_event_ns=START_NS, area="0", load_mw=load_mw), *opened(line, START_NS)):
        watch, _ = observe(watch, fact, rules, grid)
    kinds: dict[str, Fact] = {
        "a repeated position": opened(line, START_NS)[0],
        "an unknown element": opened("nobody", START_NS)[0],
        "a tick": Ticked(ts_event_ns=START_NS + 200 * NS_PER_S),
    }
    watch, _ = observe(watch, kinds["a tick"], rules, grid)

    def many(fact: Fact) -> float:
        return timed_ms(lambda: [observe(watch, fact, rules, grid) for _ in range(1000)])

    return {name: statistics.median(many(fact) for _ in range(5)) for name, fact in kinds.items()}


def main() -> None:
    """Measure and print."""
    grid, line, load_mw = grid_of_the_case()
    print(f"{len(grid.buses)} buses, {len(grid.elements)} branches; {line} opens and cuts its end off")
    far = [name for name in grid.elements if name != line]
    for others in OTHERS:
        chosen = far[:: len(far) // max(others, 1)][:others]
        share_pct = sum(island.share_pct for island in fallen(grid, load_mw, chosen, rules_for(100.0)).islands.islands)
        rules = rules_for(share_pct + 1e-4)
        before = fallen(grid, load_mw, chosen, rules)
        rounds = [one_round(grid, line, before, rules) for _ in range(ROUNDS)]
        total, worst = (statistics.median(column) for column in zip(*rounds, strict=True))
        verdict = "ok" if total <= BAR_MS else f"over {BAR_MS:g} ms"
        print(f"{others:4d} lines out before: {total:6.2f} ms from position to finding, worst fact {worst:6.2f} ms  {verdict}")
    for name, us in idle_us(grid, line, load_mw).items():
        print(f"{name}: {us:.1f} µs")


if __name__ == "__main__":
    main()
