"""Unit commitment against every commitment there is, and what it keeps whatever it is given."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from market import rts_gmlc
from market.errors import CaseError
from market.grid import Topology
from market.offers import Control, Unit
from market.progress import Phase, Progress
from market.unitcommitment import Before, CommitmentInputs, CommitmentParams, Committed, commit_units
from tests.kit.grids import network, unit

EXACT = CommitmentParams(gap=0.0, reserve_share=0.0, largest=False)
SHED = EXACT.penalties.balance_per_mwh
SHORT = EXACT.penalties.reserve_per_mwh


def solve(units, load_mw, params=EXACT, **inputs) -> Committed:
    inputs = {"period_min": 60.0, "commit_every": 1, "available_mw": {}} | inputs
    result = commit_units(CommitmentInputs(units=tuple(units), load_mw=np.array(load_mw, dtype=float), **inputs), params)
    assert isinstance(result, Committed)
    return result


def pattern(result: Committed, k: int) -> str:
    return "".join("#" if on else "." for on in result.on[:, k])


def plant(name: str, mw: float, price: float, *, start: float = 0.0, idle: float = 0.0, **fields) -> Unit:
    return replace(unit(name, "1", (mw, price), **fields), start_cost=start, cost_at_min_per_h=idle)


# What a commitment must be, written anew: no row of the program is used.


def allowed(on: tuple[int, ...], plan: Unit, before: Before | None) -> bool:
    """Whether a unit may run like this by its least times, an hour a period."""
    if plan.must_run and not all(on):
        return False
    runs, begin = [], 0
    for k in range(1, len(on) + 1):
        if k == len(on) or on[k] != on[begin]:
            runs.append((begin, k))
            begin = k
    for begin, end in runs:
        least = plan.min_up_h if on[begin] else plan.min_down_h
        length = end - begin
        if begin == 0:
            if before is None:
                continue
            if before.on == bool(on[0]):
                length += before.hours
            elif before.hours < (plan.min_up_h if before.on else plan.min_down_h):
                return False
        if end < len(on) and length < least:
            return False
    return True


def cost_of(units: list[Unit], on: tuple[tuple[int, ...], ...], load_mw: list[float], before: dict[str, Before]) -> float:
    """Cost of the best dispatch of a commitment, by another solver; hourly, with jumps to the minimum and ramps above it."""
    n, periods = len(units), len(load_mw)
    size = n * periods + 2 * periods
    cost, fixed = np.zeros(size), 0.0
    bounds: list[tuple[float, float | None]] = []
    balance, right = np.zeros((periods, size)), np.array(load_mw, dtype=float)
    ramp_rows, ramp_right = [], []
    for i, plan in enumerate(units):
        step = plan.ramp_mw_per_min * 60
        was = float(before[plan.id].on) if plan.id in before else None
        last: int | None = None
        for t in range(periods):
            at = i * periods + t
            running = on[i][t]
            cost[at] = plan.segments[0].price_per_mwh
            balance[t, at] = 1.0
            right[t] -= running * plan.p_min_mw
            fixed += running * plan.cost_at_min_per_h
            high = running * (plan.p_max_mw - plan.p_min_mw)
            started = running and was == 0.0
            stops = running and t + 1 < periods and not on[i][t + 1]
            if started or stops:
                high = min(high, max(step - plan.p_min_mw, 0.0))
            fixed += plan.start_cost if started else 0.0
            bounds.append((0.0, high))
            if running and last is not None:
                for sign in (1.0, -1.0):
                    row = np.zeros(size)
                    row[at], row[last] = sign, -sign
                    ramp_rows.append(row)
                    ramp_right.append(step)
            if running and last is None and was == 1.0 and t == 0:
                above = np.clip(before[plan.id].output_mw, plan.p_min_mw, plan.p_max_mw) - plan.p_min_mw
                bounds[-1] = (max(above - step, 0.0), min(high, above + step))
                if bounds[-1][0] > bounds[-1][1] + 1e-9:
                    return float("inf")
            last = at if running else None
            was = float(running)
    for t in range(periods):
        shed = n * periods + 2 * t
        balance[t, shed], balance[t, shed + 1] = 1.0, -1.0
        cost[shed] = cost[shed + 1] = SHED
    bounds += [(0.0, None)] * (2 * periods)
    ramps = {"A_ub": np.array(ramp_rows), "b_ub": np.array(ramp_right)} if ramp_rows else {}
    found = linprog(cost, A_eq=balance, b_eq=right, bounds=bounds, method="highs", **ramps)
    return float(found.fun) + fixed if found.status == 0 else float("inf")


def best_cost(units: list[Unit], load_mw: list[float], before: dict[str, Before]) -> float:
    choices = [[on for on in product((0, 1), repeat=len(load_mw)) if allowed(on, plan, before.get(plan.id))] for plan in units]
    return min(cost_of(units, on, load_mw, before) for on in product(*choices))


SmallDay = tuple[list[Unit], list[float], dict[str, Before]]


@st.composite
def small_days(draw: st.DrawFn, longest: int) -> SmallDay:
    periods = draw(st.integers(2, longest))
    units, before = [], {}
    for k in range(draw(st.integers(1, 2))):
        p_min = float(draw(st.integers(0, 40)))
        units.append(
            plant(
                f"U{k}",
                float(draw(st.integers(10, 80))),
                float(draw(st.integers(1, 90))),
                p_min_mw=p_min,
                start=float(draw(st.integers(0, 5_000))),
                idle=float(draw(st.integers(0, 2_000))),
                min_up_h=float(draw(st.integers(0, 3))),
                min_down_h=float(draw(st.integers(0, 3))),
                # At least the minimum in an hour, so that no climb is needed.
                ramp_mw_per_min=(p_min + draw(st.integers(1, 60))) / 60,
                must_run=draw(st.integers(0, 9)) == 0,
            )
        )
        if draw(st.booleans()):
            on = draw(st.booleans())
            before[f"U{k}"] = Before(on=on, hours=float(draw(st.integers(1, 4))), output_mw=float(draw(st.integers(0, 120))) if on else 0.0)
    must = {plan.id for plan in units if plan.must_run}
    before = {name: how for name, how in before.items() if name not in must}
    return units, [float(draw(st.integers(0, 150))) for _ in range(periods)], before


@settings(max_examples=8, deadline=None)
@given(small_days(3))
def test_no_commitment_costs_less_than_the_one_found(day: SmallDay) -> None:
    assert_best(*day)


@pytest.mark.slow  # dispatches thousands of commitments
@settings(max_examples=20, deadline=None)
@given(small_days(4))
def test_no_commitment_of_many_days_costs_less_than_the_one_found(day: SmallDay) -> None:
    assert_best(*day)


def assert_best(units: list[Unit], load_mw: list[float], before: dict[str, Before]) -> None:
    found = solve(units, load_mw, before=before)
    best = best_cost(units, load_mw, before)
    # The solver's whole numbers are whole to a millionth; where load is shed, that much of a unit that is off is worth something.
    worth = 1e-6 * SHED * sum(plan.p_max_mw for plan in units) * len(load_mw) if best >= SHED else 0.0
    assert found.cost == pytest.approx(best, rel=1e-6, abs=1e-3 + worth)
    assert found.bound <= best * (1 + 1e-6) + 1e-3
    for k, plan in enumerate(units):
        assert allowed(tuple(int(on) for on in found.on[:, k]), plan, before.get(plan.id))


def test_a_start_cost_keeps_a_unit_running_through_a_gap() -> None:
    units = [plant("base", 50, 10), plant("peak", 50, 20, idle=100)]
    free = solve(units, [90, 40, 90])
    dear = solve([units[0], replace(units[1], start_cost=500)], [90, 40, 90])
    assert (pattern(free, 1), pattern(dear, 1)) == ("#.#", "###")
    assert dear.cost == pytest.approx(free.cost + 100), "an hour at idle is cheaper than a second start"


def test_a_run_is_no_shorter_than_the_least_time_on_and_a_gap_no_shorter_than_that_off() -> None:
    units = [plant("base", 50, 10), plant("peak", 50, 20, idle=100, min_up_h=3)]
    assert pattern(solve(units, [40, 40, 90, 40, 40, 40]), 1).count("#") == 3
    units = [plant("base", 50, 10), plant("peak", 50, 20, idle=100, min_down_h=3)]
    assert pattern(solve(units, [90, 40, 40, 90]), 1) == "####"
    assert pattern(solve(units, [90, 40, 40, 40, 90]), 1) == "#...#"


def test_how_long_a_unit_was_on_or_off_before_counts() -> None:
    units = [plant("base", 50, 10), plant("peak", 50, 20, idle=100, min_up_h=4, min_down_h=4)]
    on = solve(units, [40] * 4, before={"peak": Before(on=True, hours=2, output_mw=0)})
    assert pattern(on, 1) == "##.."
    off = solve(units, [90] * 4, before={"peak": Before(on=False, hours=1)})
    assert pattern(off, 1) == "...#"
    assert off.shed_mw == pytest.approx([40, 40, 40, 0])


def test_a_unit_that_starts_climbs_along_its_ramp_and_comes_down_the_same_way() -> None:
    # 40 MW of minimum at 10 MW a quarter of an hour: three quarters below it, and on it in the fourth.
    slow = plant("slow", 60, 10, p_min_mw=40, ramp_mw_per_min=10 / 15, start=1)
    units = [slow, plant("fast", 100, 50)]
    load = [0.0] * 4 + [100.0] * 8 + [30.0, 20.0, 10.0, 0.0]
    found = solve(units, load, period_min=15.0, commit_every=4, before={"slow": Before(on=False, hours=9)})
    output = found.output_mw[:, 0]
    assert output[:8] == pytest.approx([0, 0, 0, 0, 10, 20, 30, 40])
    assert output[8:12] == pytest.approx([50, 60, 50, 40]), "up as far as it can come down from in time"
    assert output[12:] == pytest.approx([30, 20, 10, 0])
    assert found.spill_mw == pytest.approx(np.zeros(16))


def test_outputs_keep_the_ramp_from_period_to_period() -> None:
    units = [plant("slow", 100, 10, ramp_mw_per_min=20 / 60), plant("fast", 100, 50)]
    found = solve(units, [20, 100, 100, 20], before={"slow": Before(on=True, hours=9, output_mw=20)})
    assert found.output_mw[:, 0] == pytest.approx([20, 40, 40, 20])


def test_reserve_that_is_short_is_priced_and_reserve_that_is_worth_it_is_bought() -> None:
    units = [plant("base", 100, 10), plant("spare", 50, 20, idle=100)]
    with_reserve = replace(EXACT, reserve_share=0.5)
    assert pattern(solve(units, [70, 70], EXACT), 1) == ".."
    held = solve(units, [70, 70], with_reserve)
    assert pattern(held, 1) == "##"
    assert held.short_mw == pytest.approx([0, 0])
    short = solve(units, [120, 120], with_reserve)
    assert short.short_mw == pytest.approx([30, 30])
    assert short.cost == pytest.approx(2 * (100 + 100 * 10 + 20 * 20 + 30 * SHORT))


def test_the_largest_running_unit_is_held_in_reserve() -> None:
    units = [plant("large", 100, 10), plant("second", 60, 20, idle=10), plant("third", 60, 30, idle=10)]
    held = solve(units, [60], replace(EXACT, largest=True))
    running = [u.id for u, on in zip(units, held.on[0], strict=True) if on]
    assert "large" in running
    assert len(running) == 2
    assert held.short_mw == pytest.approx([0])


def test_wind_is_taken_before_anything_that_burns_and_spilled_only_at_its_penalty() -> None:
    units = [unit("wind", "1", (80.0, 0.0), control=Control.CURTAILABLE), plant("reactor", 20, 10, p_min_mw=30, must_run=True)]
    found = solve(units, [100, 50], available_mw={"wind": np.array([60.0, 60.0])})
    assert found.output_mw == pytest.approx(np.array([[60, 40], [20, 30]]))
    assert found.on.all()
    penalty = 40 * EXACT.penalties.curtailment_per_mwh
    assert found.cost == pytest.approx(100 + penalty), "ten MW above the reactor's minimum, forty of wind not taken"


def test_what_is_off_stays_off_whatever_else_is_asked_of_it() -> None:
    units = [plant("reactor", 50, 10, must_run=True), plant("peak", 100, 50)]
    found = solve(units, [40, 40], units_off=frozenset({"reactor"}), before={"reactor": Before(on=True, hours=1, output_mw=50)})
    assert pattern(found, 0) == ".."
    assert found.output_mw[:, 1] == pytest.approx([40, 40])


def test_units_are_switched_at_slots_and_dispatched_in_periods() -> None:
    units = [plant("base", 50, 10), plant("peak", 50, 20, idle=100)]
    found = solve(units, [40, 40, 40, 60, 40, 40, 40, 40], period_min=15.0, commit_every=4)
    assert pattern(found, 1) == "####...."
    assert found.output_mw[:4, 1] == pytest.approx([0, 0, 0, 10])


def test_the_commitment_knows_the_lines_that_bind() -> None:
    net = network(["1", "2"], [("1", "2", 0.1, 60.0)])
    units = [plant("cheap", 200, 10), replace(plant("local", 100, 50, idle=200, start=1), bus="2")]
    load = np.array([[0.0, 50.0], [0.0, 90.0], [0.0, 50.0]])
    blind = solve(units, load.sum(axis=1))
    knowing = solve(units, load, topology=Topology(net, np.ones(1, dtype=np.bool_)))
    assert (pattern(blind, 1), pattern(knowing, 1)) == ("...", ".#.")
    assert knowing.output_mw[1] == pytest.approx([60, 30])
    assert knowing.lines == ("L1",)


def test_the_order_of_the_units_changes_nothing_and_neither_does_a_second_run() -> None:
    rng = np.random.default_rng(3)
    units = [plant(f"U{k}", float(rng.uniform(20, 60)), float(rng.uniform(5, 60)), start=200, idle=50, min_up_h=2) for k in range(6)]
    load = rng.uniform(60, 160, size=8)
    first, again, turned = solve(units, load), solve(units, load), solve(units[::-1], load)
    assert (first.output_mw == again.output_mw).all()
    assert (first.output_mw == turned.output_mw[:, ::-1]).all()
    assert (first.on == turned.on[:, ::-1]).all()


def test_progress_is_told_and_the_bound_never_passes_the_best() -> None:
    seen: list[Progress] = []
    units = [plant(f"U{k}", 30.0 + k, 10.0 + 3 * k, start=300, idle=50 + k, min_up_h=2) for k in range(8)]
    load = np.array([60.0, 120, 200, 90, 160, 70])
    inputs = CommitmentInputs(units=tuple(units), load_mw=load, available_mw={}, period_min=60.0, commit_every=1)
    silent = commit_units(inputs, EXACT)
    told = commit_units(inputs, EXACT, seen.append)
    assert isinstance(told, Committed)
    assert isinstance(silent, Committed)
    assert (told.output_mw == silent.output_mw).all(), "an observer changes nothing"
    assert seen[0].phase is Phase.RELAXATION
    known = [p for p in seen if p.incumbent is not None]
    assert known
    assert all(p.bound is not None and p.bound <= p.incumbent + 1e-6 for p in known if p.incumbent is not None)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"load_mw": np.array([10.0, float("nan")])}, "load of period 1"),
        ({"units_off": frozenset({"ghost"})}, "off names units there are not: ghost"),
        ({"available_mw": {"base": np.array([1.0])}}, "what base can give"),
        ({"before": {"base": Before(on=True, hours=float("nan"))}}, "how base enters the day"),
        ({"units": (plant("base", 1, 1), plant("base", 2, 2))}, "named twice"),
        ({"units": (unit("wind", "1", (5.0, 0.0), control=Control.CURTAILABLE),)}, "no availability for units wind"),
        ({"commit_every": 4}, "2 periods"),
        ({"load_mw": np.ones((2, 3))}, "without a topology"),
    ],
)
def test_data_that_cannot_be_used_are_named(changes: dict[str, object], named: str) -> None:
    given = {
        "units": (plant("base", 50, 10),),
        "load_mw": np.array([10.0, 10.0]),
        "available_mw": {},
        "period_min": 60.0,
        "commit_every": 1,
    }
    with pytest.raises(CaseError, match=named):
        commit_units(CommitmentInputs(**(given | changes)), EXACT)  # type: ignore[arg-type]


@pytest.mark.slow  # seconds: 73 units over 96 quarter-hours, with the network
def test_the_shipped_day_is_committed_within_a_per_cent_and_sheds_nothing() -> None:
    case = rts_gmlc.load()
    series = case.day_ahead
    load = np.repeat([case.bus_load_mw(series, hour) for hour in range(24)], 4, axis=0)
    inputs = CommitmentInputs(
        units=case.units,
        load_mw=load,
        available_mw={name: np.repeat(series.available_mw[:, k], 4) for k, name in enumerate(series.unit_ids)},
        topology=Topology(case.network, np.ones(case.network.n_branches, dtype=np.bool_)),
    )
    found = commit_units(inputs, CommitmentParams(gap=0.01, nodes_max=0))
    assert isinstance(found, Committed)
    assert found.proven
    assert found.gap <= 0.01
    assert max(found.shed_mw.max(), found.spill_mw.max(), found.short_mw.max()) <= 1e-6
    assert found.lines, "some line of the shipped grid binds"
    hours = found.on[::4]
    assert (np.repeat(hours, 4, axis=0) == found.on).all()
    for k, plan in enumerate(case.units):
        edges = np.flatnonzero(np.diff(hours[:, k].astype(int))) + 1
        for begin, end in pairwise(edges):
            assert end - begin >= (plan.min_up_h if hours[begin, k] else plan.min_down_h)
