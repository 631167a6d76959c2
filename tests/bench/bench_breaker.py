"""What does a decision cost, how fast does a year pass, and do a thousand breakers keep their deadlines?

    python -m tests.bench.bench_breaker [--days N] [--breakers N]

Three measurements, one process, one thread:

* ``step``: real-time facts of 5-minute intervals (a result, and the ticks that the breaker asks for; one interval in a hundred is
  missing, one outage a month trips and is recovered; a day-ahead result every evening), each step timed by itself. The named reference
  is the hash of one decision (canonical JSON and SHA-256), which every decision pays.
* ``year``: wall time of the same facts, steps and deadlines, states not written, as a replay computes them.
* ``deadlines``: so many breakers (regions times products) with their deadlines at the same instants, driven by the machine's clock over
  the end of a grace: how long after its deadline was each tick taken in?
"""

from __future__ import annotations

import argparse
import heapq
import statistics
import time
from collections.abc import Iterator

from console.heap import spare_what_stays
from market.decisions import GENESIS, Reminded, chained
from market.facts import ClearingReported, ClearingStatus, CommandGiven, Fact, Segment, Ticked
from market.rules import rules_from
from market.topology import Topology
from market.units import NS_PER_DAY, NS_PER_H, NS_PER_MIN, NS_PER_MS, NS_PER_S, instant_ns
from streams import breaker

START_NS = instant_ns("2026-01-01T00:00:00+08:00")
FIVE_NS = 5 * NS_PER_MIN
RULES = rules_from({"rt_interval_min": 5})
GRID = Topology.of({})


def told(days: int) -> Iterator[Fact]:
    """Yield what the sources and the people say in so many days, without the ticks."""
    for day in range(days):
        midnight_ns = START_NS + day * NS_PER_DAY
        for slot in range(288):
            number, start_ns = day * 288 + slot, midnight_ns + slot * FIVE_NS
            if slot == 200:
                yield _result(Segment.DA, midnight_ns + NS_PER_DAY, start_ns - NS_PER_MIN, 96)
            # Once a month clearing is out from six in the morning until twenty to nine: a trip, and a recovery by a person.
            if number % 100 == 99 or (day % 30 == 15 and 72 <= slot < 104):
                continue
            yield _result(Segment.RT, start_ns, start_ns - 20 * NS_PER_S, 1)
            if day % 30 == 15 and slot == 120:
                yield CommandGiven(
                    ts_event_ns=start_ns - NS_PER_S, command_id=f"recover-{day}", by="chen", role="DISPATCH", action="CONFIRM_RECOVER"
                )


def _result(segment: Segment, start_ns: int, at_ns: int, prices: int) -> ClearingReported:
    return ClearingReported(
        ts_event_ns=at_ns,
        segment=segment,
        interval_start_ns=start_ns,
        status=ClearingStatus.OK,
        completed_at_ns=at_ns - NS_PER_S,
        price_cny_per_mwh=(388.0,) * prices,
    )


def played(days: int, costs_ns: list[int] | None = None) -> tuple[int, int, int]:
    """Play so many days; returns how many facts, decisions and trips there were. With ``costs_ns`` each step is timed into it."""
    state, facts, decisions, trips, ticked_ns = breaker.begin(START_NS, RULES), 0, 0, 0, START_NS - 1

    def take(fact: Fact) -> None:
        nonlocal state, facts, decisions, trips
        began_ns = time.perf_counter_ns()
        state, effects = breaker.step(state, fact, RULES, GRID)
        if costs_ns is not None:
            costs_ns.append(time.perf_counter_ns() - began_ns)
        facts += 1
        for effect in effects:
            if isinstance(effect, breaker.Decision):
                decisions += 1
                trips += effect.kind == "Transition" and effect.body["after"] == "TRIPPED"

    for fact in told(days):
        while ticked_ns < (deadline_ns := breaker.next_deadline_ns(state, RULES)) < fact.ts_event_ns:
            ticked_ns = deadline_ns
            take(Ticked(ts_event_ns=deadline_ns))
        take(fact)
    return facts, decisions, trips


def lateness_ms(breakers: int) -> list[float]:
    """Drive so many breakers by the machine's clock over two instants at which all of them have a deadline; returns all delays, ms."""
    # A second and a half before the grace of an interval ends: half of the breakers have its result, half must judge it missing.
    now_ns = START_NS + NS_PER_H + RULES.grace_ns - 3 * NS_PER_S // 2
    states, queue, late_ms = [], list[tuple[int, int]](), list[float]()
    for number in range(breakers):
        state = breaker.begin(START_NS, RULES)
        for start_ns in range(START_NS, START_NS + NS_PER_H + FIVE_NS, FIVE_NS):
            if start_ns < START_NS + NS_PER_H or number % 2:
                state, _ = breaker.step(state, _result(Segment.RT, start_ns, start_ns - 20 * NS_PER_S, 1), RULES, GRID)
            while (deadline_ns := breaker.next_deadline_ns(state, RULES)) <= min(start_ns + FIVE_NS, now_ns):
                state, _ = breaker.step(state, Ticked(ts_event_ns=deadline_ns), RULES, GRID)
        states.append(state)
        heapq.heappush(queue, (breaker.next_deadline_ns(state, RULES), number))
    spare_what_stays()  # as every service does once it has started
    offset_ns = now_ns - time.monotonic_ns()
    until_ns = now_ns + 3 * NS_PER_S
    while queue and queue[0][0] <= until_ns:
        deadline_ns, number = heapq.heappop(queue)
        if (wait_ns := deadline_ns - offset_ns - time.monotonic_ns()) > 0:
            time.sleep(wait_ns / NS_PER_S)
        states[number], _ = breaker.step(states[number], Ticked(ts_event_ns=deadline_ns), RULES, GRID)
        late_ms.append((time.monotonic_ns() + offset_ns - deadline_ns) / NS_PER_MS)
        heapq.heappush(queue, (breaker.next_deadline_ns(states[number], RULES), number))
    return late_ms


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--breakers", type=int, default=1000)
    chosen = parser.parse_args()

    body = Reminded(segment=Segment.RT, outage_start_ns=START_NS, minutes=15, headroom_min=105)
    hashes = []
    for seq in range(1, 2001):
        began_ns = time.perf_counter_ns()
        chained(body, seq=seq, ts_event_ns=START_NS, rule_set=RULES.id, prev_hash=GENESIS)
        hashes.append(time.perf_counter_ns() - began_ns)
    reference_us = statistics.median(hashes) / 1e3

    costs_ns: list[int] = []
    played(min(chosen.days, 30), costs_ns)
    costs_us = sorted(cost / 1e3 for cost in costs_ns)
    median_us, p99_us = statistics.median(costs_us), costs_us[int(0.99 * len(costs_us))]
    print(
        f"step      median {median_us:.1f} us, p99 {p99_us:.1f} us of {len(costs_us)}; one decision's hash {reference_us:.1f} us: ", end=""
    )
    print(f"median = {median_us / reference_us:.2f} of it")

    began = time.perf_counter()
    facts, decisions, trips = played(chosen.days)
    spent = time.perf_counter() - began
    print(
        f"year      {chosen.days} days, {chosen.days * 288} intervals, {facts} facts, {decisions} decisions, {trips} trips: {spent:.1f} s"
    )

    late = sorted(lateness_ms(chosen.breakers))
    print(
        f"deadlines {chosen.breakers} breakers, {len(late)} ticks: late by median {statistics.median(late):.1f} ms, "
        f"p99 {late[int(0.99 * len(late))]:.1f} ms, worst {late[-1]:.1f} ms"
    )


if __name__ == "__main__":
    main()
