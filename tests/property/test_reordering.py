"""However reports of a switch overtake each other within the bound of their device, the breaker comes to know what it would have known."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.elements import ElementState, with_history, with_position
from ingest.frame import frame_of, point_id
from ingest.points import PointSpec, PointTable
from ingest.quality import GOOD
from market.facts import FlowReported, SwitchReported, SwitchStatus
from market.rules import GUANGDONG_2023
from market.units import NS_PER_MS, NS_PER_S
from streams.intake import AreaIntake

RULES = GUANGDONG_2023
BOUND_S = 20
T0 = 1_577_840_400 * NS_PER_S
TABLE = PointTable(
    [
        PointSpec(name="switch/A1/from", area="1", device="scada", period_ns=NS_PER_S, by_exception=True, reorder_ns=BOUND_S * NS_PER_S),
        PointSpec(name="branch/A1/from_mw", area="1", device="scada", period_ns=NS_PER_S, by_exception=True, reorder_ns=BOUND_S * NS_PER_S),
    ]
)
OPEN, CLOSED = 1.0, 2.0
Sample = tuple[int, float]
"""Seconds after T0, and the position."""


def intake() -> AreaIntake:
    return AreaIntake("1", TABLE, {"A1": 100.0}, dead_flow_pct=1.0)


def told(samples: list[list[Sample]], name: str = "switch/A1/from") -> list[SwitchReported | FlowReported]:
    """What intake says of frames of samples, all received long after they held."""
    unit, facts = intake(), list[SwitchReported | FlowReported]()
    for k, part in enumerate(samples):
        now_ns = T0 + 3600 * NS_PER_S + k * NS_PER_MS
        rows = [(point_id(name), T0 + s * NS_PER_S, value, GOOD, 0) for s, value in part]
        frame = frame_of("scada", "1", k, now_ns, rows)
        facts += [fact for fact in unit.take(frame).facts if isinstance(fact, SwitchReported | FlowReported)]
    return facts


def known(facts: list[SwitchReported | FlowReported]) -> ElementState:
    state = ElementState()
    for fact in facts:
        assert isinstance(fact, SwitchReported)
        state = (with_history if fact.history else with_position)(state, fact, RULES)
    return state


@st.composite
def movements(draw: st.DrawFn) -> list[Sample]:
    """A switch that was closed for a minute, and every position it took from then on, within the bound."""
    seconds = sorted(draw(st.sets(st.integers(60, 60 + BOUND_S - 1), max_size=6)))
    return [(0, CLOSED), *((s, OPEN if k % 2 == 0 else CLOSED) for k, s in enumerate(seconds))]


def arrivals(data: st.DataObject, samples: list[Sample]) -> list[list[Sample]]:
    """The samples in some order, some of them in one frame; the first one comes first."""
    order = data.draw(st.permutations(samples[1:]))
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, max(1, len(order)))))), len(order)]
    return [samples[:1], *(part for a, b in pairwise(cuts) if (part := list(order[a:b])))]


@settings(max_examples=150, deadline=None)
@given(movements(), st.data())
def test_a_switch_ends_as_it_is_and_no_movement_is_lost_or_told_twice(samples: list[Sample], data: st.DataObject) -> None:
    facts = told(arrivals(data, samples))
    said = [(fact.ts_source_ns, fact.status) for fact in facts if isinstance(fact, SwitchReported)]
    assert len(said) == len(set(said)), "told twice"
    truth = [(T0 + s * NS_PER_S, SwitchStatus.OPEN if value == OPEN else SwitchStatus.CLOSED) for s, value in samples]
    assert set(said) <= set(truth)
    assert set(truth[1:]) <= set(said), "a movement was lost"
    ours, in_order = known(facts), known(told([[sample] for sample in samples]))
    assert (ours.open, ours.since_ns, ours.moves_ns) == (in_order.open, in_order.since_ns, in_order.moves_ns)
    assert ours.held_until_ns == in_order.held_until_ns


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_repeats_between_the_movements_bring_no_movement_that_was_not(data: st.DataObject) -> None:
    """A switch that is told every second or so: between two samples nobody knows when it moved, but it moved, and to where."""
    values = data.draw(st.lists(st.sampled_from([OPEN, CLOSED]), min_size=1, max_size=8))
    samples = [(0, CLOSED), *((60 + 2 * k, value) for k, value in enumerate(values))]
    facts = told(arrivals(data, samples))
    said = [(fact.ts_source_ns, fact.status) for fact in facts if isinstance(fact, SwitchReported)]
    assert len(said) == len(set(said))
    positions = {T0 + s * NS_PER_S: SwitchStatus.OPEN if value == OPEN else SwitchStatus.CLOSED for s, value in samples}
    assert all(positions[ts_ns] is status for ts_ns, status in said)
    assert known(facts).open is (values[-1] == OPEN)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_what_is_newest_is_never_what_was_overtaken(data: st.DataObject) -> None:
    """After every frame the latest fact of the latest source time says what the newest sample so far said."""
    values = data.draw(st.lists(st.sampled_from([OPEN, CLOSED]), min_size=1, max_size=8))
    samples = [(0, CLOSED), *((60 + 2 * k, value) for k, value in enumerate(values))]
    frames = arrivals(data, samples)
    for k in range(1, len(frames) + 1):
        newest = max(sample for frame in frames[:k] for sample in frame)
        assert known(told(frames[:k])).open is (newest[1] == OPEN)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from([0.1, 1.5, 40.0]), min_size=1, max_size=7), st.data())
def test_a_flow_ends_dead_or_alive_as_its_newest_sample_says(values: list[float], data: st.DataObject) -> None:
    samples = [(0, 40.0), *((60 + 2 * k, mw) for k, mw in enumerate(values))]
    facts = told(arrivals(data, samples), "branch/A1/from_mw")
    assert len({(fact.ts_source_ns) for fact in facts}) == len(facts)
    latest = max(facts, key=lambda fact: fact.ts_source_ns, default=None)
    dead = latest is not None and isinstance(latest, FlowReported) and latest.from_pct is not None and latest.from_pct < 2.0
    if values[-1] != 1.5:
        assert dead is (values[-1] == 0.1)
