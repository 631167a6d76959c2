"""In whatever order the reports of a fault arrive, and wherever ticks fall between them, the finding is the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detectors.findings import ConditionMet
from detectors.topology_change import Element, TopologyWatch, observe
from market.facts import Fact, FlowReported, PointQuality, SwitchReported, SwitchStatus, Ticked
from market.rules import GUANGDONG_2023
from market.units import NS_PER_S

RULES = GUANGDONG_2023
GRID = {f"L{i}": Element(kv=500.0) for i in range(1, 6)}
LATEST_S = 25
"""Longest way of a report, shorter than debounce and grace together."""


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
        met += [finding.met_at_ns for finding in found if isinstance(finding, ConditionMet)]
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
