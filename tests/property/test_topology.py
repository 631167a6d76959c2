"""In whatever order the reports of a fault arrive, and wherever ticks fall between them, the finding is the same."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.findings import Basis, ConditionMet, Finding
from detectors.topology_change import TopologyWatch, observe
from market.facts import Fact, FlowReported, PointQuality, Segment, SwitchReported, SwitchStatus, Ticked
from market.rules import GUANGDONG_2023
from market.topology import Element, Topology
from market.units import NS_PER_S

RULES = GUANGDONG_2023
GRID = Topology.of({f"L{i}": Element(kv=500.0) for i in range(1, 6)})
LATEST_S = 25
"""Longest way of a report, shorter than debounce and grace together."""


def hard(found: tuple[Finding, ...]) -> list[ConditionMet]:
    return [each for each in found if isinstance(each, ConditionMet) and (each.basis, each.segment) == (Basis.TOPOLOGY_HARD, Segment.RT)]


def reports(element: str, opened_ns: int, arrivals_ns: list[int]) -> list[Fact]:
    """What four devices say of a line that opened at both ends: each says it once, and none waits for another."""
    common = {"element": element, "quality": PointQuality.GOOD, "ts_source_ns": opened_ns}
    return [
        FlowReported(ts_event_ns=arrivals_ns[0], from_pct=0.1, to_pct=None, **common),  # type: ignore[arg-type]
        FlowReported(ts_event_ns=arrivals_ns[1], from_pct=None, to_pct=0.1, **common),  # type: ignore[arg-type]
        SwitchReported(ts_event_ns=arrivals_ns[2], end="from", status=SwitchStatus.OPEN, **common),  # type: ignore[arg-type]
        SwitchReported(ts_event_ns=arrivals_ns[3], end="to", status=SwitchStatus.OPEN, **common),  # type: ignore[arg-type]
    ]


@given(st.data())
def test_reports_in_any_order_with_ticks_anywhere(data: st.DataObject) -> None:
    opened_s = data.draw(st.lists(st.integers(100, 800), min_size=3, max_size=3))
    facts: list[Fact] = []
    for n, second in enumerate(opened_s, start=1):
        delays = data.draw(st.lists(st.integers(0, LATEST_S * 1000), min_size=4, max_size=4))
        facts += reports(f"L{n}", second * NS_PER_S, [second * NS_PER_S + ms * 1_000_000 for ms in delays])
    ticks_ms = data.draw(st.lists(st.integers(0, 1_000_000), max_size=30))
    near = data.draw(st.lists(st.sampled_from([fact.ts_event_ns for fact in facts]), max_size=10))
    facts += [Ticked(ts_event_ns=ms * 1_000_000) for ms in ticks_ms] + [Ticked(ts_event_ns=ts_ns + 1) for ts_ns in near]
    facts = sorted(data.draw(st.permutations(facts)), key=lambda fact: fact.ts_event_ns)
    facts.append(Ticked(ts_event_ns=1_000 * NS_PER_S))

    watch, met = TopologyWatch(), list[int]()
    for fact in facts:
        watch, found = observe(watch, fact, RULES, GRID)
        met += [finding.met_at_ns for finding in hard(found)]
    assert met == [(max(opened_s) + RULES.breaker_debounce_s) * NS_PER_S]


@given(st.lists(st.sampled_from(["from", "to"]), min_size=1, max_size=6), st.integers(0, 5))
def test_an_element_without_flow_at_one_end_is_forgotten_when_it_carries_power_again(ends: list[str], ticks: int) -> None:
    """What is remembered stays small: nothing of a wavering line is left once it carries power."""
    watch, now = TopologyWatch(), 0
    for pct in (0.1, 50.0):
        for end in ends:
            now += NS_PER_S
            flow = {"from_pct": pct if end == "from" else None, "to_pct": pct if end == "to" else None}
            fact = FlowReported(ts_event_ns=now, element="L1", quality=PointQuality.GOOD, ts_source_ns=now, **flow)
            watch, _ = observe(watch, fact, RULES, GRID)
            for _ in range(ticks):
                watch, _ = observe(watch, Ticked(ts_event_ns=now), RULES, GRID)
    watch, _ = observe(watch, Ticked(ts_event_ns=now + 1), RULES, GRID)
    assert watch.elements == {}


@st.composite
def histories(draw: st.DrawFn, lasting_s: tuple[int, ...] = (2, 9, 10, 11, 25, 120, 900)) -> list[Fact]:
    """Lines that open and close, each told by a switch and two meters; every report comes in order of its own point."""
    facts: list[Fact] = []
    for element in GRID.elements:
        now_s = draw(st.integers(100, 400))
        for second in range(draw(st.integers(0, 4))):
            opened = second % 2 == 0
            now_s += draw(st.sampled_from(lasting_s))
            pct = 0.1 if opened else 50.0
            status = SwitchStatus.OPEN if opened else SwitchStatus.CLOSED
            common = {"ts_event_ns": now_s * NS_PER_S, "element": element, "quality": PointQuality.GOOD, "ts_source_ns": now_s * NS_PER_S}
            facts.append(SwitchReported(status=status, **common))  # type: ignore[arg-type]
            facts.append(FlowReported(from_pct=pct, to_pct=None, **common))  # type: ignore[arg-type]
            facts.append(FlowReported(from_pct=None, to_pct=pct, **common))  # type: ignore[arg-type]
    return sorted(facts, key=lambda fact: fact.ts_event_ns)


def conditions(facts: list[Fact], ticks_s: list[int]) -> list[tuple[int, str]]:
    ticks = [Ticked(ts_event_ns=second * NS_PER_S) for second in (*ticks_s, 6_000)]
    watch, met = TopologyWatch(), list[tuple[int, str]]()
    for fact in sorted([*facts, *ticks], key=lambda fact: fact.ts_event_ns):
        watch, found = observe(watch, fact, RULES, GRID)
        met += [(finding.met_at_ns, finding.details["elements"]) for finding in hard(found)]
    return met


@settings(max_examples=40, deadline=None)
@given(histories(), st.lists(st.integers(0, 5_000), max_size=40))
def test_the_first_condition_does_not_depend_on_when_ticks_come(facts: list[Fact], ticks_s: list[int]) -> None:
    """One tick at the end of all finds the condition that ticks every three seconds would have found, and names the same lines."""
    often = conditions(facts, list(range(0, 5_000, 3)))
    assert conditions(facts, [])[:1] == often[:1]
    assert conditions(facts, ticks_s)[:1] == often[:1]


@settings(max_examples=40, deadline=None)
@given(histories())
def test_a_condition_needs_three_different_lines(facts: list[Fact]) -> None:
    for _, elements in conditions(facts, list(range(0, 5_000, 11))):
        assert len(set(elements.split(", "))) >= RULES.topology_hard.ehv_elements


@settings(max_examples=40, deadline=None)
@given(histories(), st.data())
def test_repeated_reports_change_nothing(facts: list[Fact], data: st.DataObject) -> None:
    ticks_s = list(range(0, 5_000, 7))
    again = [fact for fact in facts for _ in range(data.draw(st.integers(1, 2)))]
    assert conditions(again, ticks_s) == conditions(facts, ticks_s)


@settings(max_examples=60, deadline=None)
@given(histories(lasting_s=(9, LATEST_S + 1, 61, 120, 900)), st.data())
def test_reports_that_overtake_each_other_decide_nothing(facts: list[Fact], data: st.DataObject) -> None:
    """Whatever lasts longer than a report's longest way, and a reclosing, is found the same if points arrive in any order."""
    arrived_ns: dict[tuple[object, ...], int] = {}
    delayed: list[Fact] = []
    for fact in facts:
        assert isinstance(fact, SwitchReported | FlowReported)
        point = (fact.element, type(fact), getattr(fact, "from_pct", None) is None)
        late_ns = fact.ts_source_ns + data.draw(st.integers(0, LATEST_S * 1000)) * 1_000_000
        arrived_ns[point] = max(arrived_ns.get(point, 0), late_ns)
        delayed.append(replace(fact, ts_event_ns=arrived_ns[point]))
    in_order = conditions(facts, [])
    assert [met_at_ns for met_at_ns, _ in conditions(delayed, list(range(0, 5_000, 3)))[:1]] == [met_at_ns for met_at_ns, _ in in_order[:1]]
