"""The image of a tick is made of that tick, whichever area came first and wherever the process died."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from market.outcomes import ClearingInputs
from market.units import NS_PER_S, instant_ns
from streams import wire
from streams.clearing import DayAheadPlan, DayAheadWanted, IntervalPlan
from streams.grid import GridProcessor, decode_state, encode_state
from streams.heldsnapshots import HeldSnapshots
from streams.image import AreaSnapshot
from streams.kpis import KpiFrame
from tests.kit.three_areas import AREAS, TICK_NS, in_parts, measured, model, snapshot

GRID = model()
BEGIN = instant_ns("2020-01-01T09:00:00+08:00") + 200 * NS_PER_S
"""Forty seconds before a gate."""

Record = AreaSnapshot | IntervalPlan | DayAheadPlan
Effect = KpiFrame | ClearingInputs | DayAheadWanted


def told(area: str, tick: int) -> AreaSnapshot:
    """The snapshot of an area at a tick; no two are the same."""
    changed = {f"load__{bus}__mw": 100.0 + 10.0 * tick + number for number, bus in enumerate("ABC")}
    changed |= {f"area__{a}__hz": 50.0 + 0.003 * tick for a in AREAS}
    return snapshot(GRID, area, BEGIN + tick * TICK_NS, measured(**changed))


def plan(number: int) -> IntervalPlan:
    return IntervalPlan(
        ts_event_ns=BEGIN + number,
        interval_start_ns=BEGIN - 200 * NS_PER_S + number * NS_PER_S,
        interchange_mw=dict.fromkeys(AREAS, 5.0 * number),
        average_lmp_cny_per_mwh=300.0,
        uniform_price_cny_per_mwh=301.0,
        congestion_rent_cny_per_h=0.0,
    )


def identity(effect: Effect) -> tuple[str, int]:
    instant = effect.interval_start_ns if isinstance(effect, ClearingInputs) else effect.ts_event_ns
    return type(effect).__name__, instant


@dataclass
class Log:
    """Every effect that was ever made, by identity; one that is made again must be the same."""

    effects: dict[tuple[str, int], bytes] = field(default_factory=dict)

    def add(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            raw = wire.encode(effect)
            assert self.effects.setdefault(identity(effect), raw) == raw, "made again, and not the same"


@st.composite
def interleavings(draw: st.DrawFn, ticks: int) -> list[AreaSnapshot]:
    """The areas' snapshots of some ticks in any order that keeps the order of each area."""
    order = draw(st.permutations([area for area in AREAS for _ in range(ticks)]))
    count = dict.fromkeys(AREAS, 0)
    found = []
    for area in order:
        found.append(told(area, count[area]))
        count[area] += 1
    return found


PARTS = {"1": 1, "2": 3, "3": 2}
"""In how many parts each area writes its snapshots."""


def parted(records: Sequence[Record]) -> list[Record]:
    """The same, with the snapshots of some areas in parts."""
    return [each for r in records for each in (in_parts(r, PARTS[r.area]) if isinstance(r, AreaSnapshot) else (r,))]


def effects_of(records: Sequence[Record]) -> dict[tuple[str, int], bytes]:
    processor, log = GridProcessor(GRID), Log()
    for record in records:
        log.add(processor.take(record))
    return log.effects


@given(interleavings(ticks=6))
@settings(max_examples=60, deadline=None)
def test_the_order_of_the_areas_changes_nothing(records: list[AreaSnapshot]) -> None:
    """Six ticks of ten seconds: as far as an area may be behind before it is given up."""
    in_step = [told(area, tick) for tick in range(6) for area in AREAS]
    found = effects_of([plan(1), *records])
    assert found == effects_of([plan(1), *in_step])
    assert found == effects_of(parted([plan(1), *records]))
    assert [kind for kind, _ in found].count("KpiFrame") == 6
    assert [kind for kind, _ in found].count("ClearingInputs") == 2


class Agent:
    """What streams/agents.py does around the processor; everything else is lost with the process."""

    def __init__(self) -> None:
        self.state: bytes | None = None
        self.table: dict[bytes, bytes] = {}
        self.start()

    def start(self) -> None:
        state = None if self.state is None else decode_state(self.state)
        self.held = HeldSnapshots(self.table)
        self.processor = GridProcessor(GRID, state, self.held.found)

    def take(self, offset: int, record: Record, log: Log, steps: int = 3) -> None:
        """Take a record; die after the effects were made (1), after the snapshots were kept too (2), or not at all (3)."""
        if offset <= self.processor.state.offset:
            return
        effects = self.processor.take(record)
        log.add(effects)
        self.processor.state = replace(self.processor.state, offset=offset)
        if steps > 1 and isinstance(record, AreaSnapshot):
            self.held.keep(record, self.processor.held(record.area))
        if steps > 2 and (effects or not isinstance(record, AreaSnapshot)):
            self.state = encode_state(self.processor.state)


@st.composite
def histories(draw: st.DrawFn) -> list[Record]:
    """Snapshots of areas that lag, stop and return, some told twice, with schedules between them."""
    order = draw(st.lists(st.sampled_from([*AREAS, "1", "1", "plan", "again"]), min_size=5, max_size=50))
    count = dict.fromkeys(AREAS, 0)
    found: list[Record] = []
    for number, what in enumerate(order):
        if what == "plan":
            found.append(plan(number % 4))
        elif what == "again" and found:
            found.append(draw(st.sampled_from(found[-6:])))
        elif what in count:
            parts = parted([told(what, count[what])])
            # Intake died among the parts, and wrote them again; or lost one, which is a dead letter by now.
            found += parts[: draw(st.integers(0, len(parts) - 1))]
            lost = draw(st.sampled_from([*[None] * 9, *range(len(parts))]))
            found += [part for number, part in enumerate(parts) if number != lost]
            count[what] += draw(st.integers(1, 3))
    return found


@given(histories(), st.data())
@settings(max_examples=150, deadline=None)
def test_a_restart_anywhere_changes_nothing(records: list[Record], data: st.DataObject) -> None:
    whole, log = Agent(), Log()
    for offset, record in enumerate(records):
        whole.take(offset, record, log)
    once = dict(log.effects)

    agent, offset = Agent(), 0
    for at in sorted(data.draw(st.lists(st.integers(0, max(len(records) - 1, 0)), max_size=4))):
        for each in range(offset, min(at, len(records))):
            agent.take(each, records[each], log)
        if at < len(records):
            agent.take(at, records[at], log, steps=data.draw(st.integers(1, 3)))
        agent.start()
        offset = data.draw(st.integers(max(at - 8, 0), at))
    for each in range(offset, len(records)):
        agent.take(each, records[each], log)

    assert log.effects == once
    assert replace(agent.processor.state, offset=0) == replace(whole.processor.state, offset=0)
