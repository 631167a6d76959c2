"""Whatever happens, in whatever order: the invariants of spec §6.3 that this release's machines must keep."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from market.decisions import Decision, Phase, first_broken
from market.facts import (
    CalendarClosed,
    ClearingReported,
    ClearingStatus,
    ClockCompared,
    CommandGiven,
    ControlReported,
    DayAheadExpected,
    EstimateSource,
    Fact,
    FlowReported,
    PointQuality,
    RunType,
    Segment,
    SourceReported,
    SwitchReported,
    SwitchStatus,
    Ticked,
)
from market.prices import PriceInForce, Regime
from market.progress import Outlook
from market.rules import rules_from
from market.topology import Element, Topology
from market.units import NS_PER_MIN, NS_PER_S, floor_ns
from streams.breaker import BreakerState, begin, decode_state, encode_state, next_deadline_ns, step, view
from tests.kit.table import at_ns

RULES = rules_from({"rt_interval_min": 5, "rt_limit_min": 30, "shadow_ok": 2, "resume_notice_min": 10, "top_voltage_kv": 230})
GRID = Topology.of({name: Element(kv=230.0) for name in ("L1", "L2", "L3", "L4")})
START = at_ns("09:00")
FIVE = 5 * NS_PER_MIN


@st.composite
def stories(draw: st.DrawFn) -> list[Fact]:
    """A few hours of facts in arrival order, with the ticks a live shell would send between them."""
    now, facts = START, list[Fact]()
    for _ in range(draw(st.integers(3, 40))):
        now += draw(st.sampled_from([NS_PER_S, 20 * NS_PER_S, NS_PER_MIN, FIVE, FIVE, 31 * NS_PER_MIN]))
        facts.append(draw(one_fact(now)))
    return facts


def one_fact(now: int) -> st.SearchStrategy[Fact]:
    start = floor_ns(now, FIVE)
    clearing = st.builds(
        ClearingReported,
        ts_event_ns=st.just(now),
        segment=st.just(Segment.RT),
        interval_start_ns=st.sampled_from([start - FIVE, start, start + FIVE, start + FIVE, start + 1]),
        status=st.sampled_from([ClearingStatus.OK, ClearingStatus.OK, ClearingStatus.FAILED]),
        completed_at_ns=st.sampled_from([now, now - NS_PER_S, now - FIVE, now + FIVE]),
        run_type=st.sampled_from([RunType.PRODUCTION, RunType.PRODUCTION, RunType.STUDY]),
        version=st.integers(1, 2),
        price_cny_per_mwh=st.sampled_from([(300.0,), (301.5,), (), (9e9,), (float("nan"),)]),
        reason=st.just("SOLVER_STATUS"),
    )
    switch = st.builds(
        SwitchReported,
        ts_event_ns=st.just(now),
        element=st.sampled_from([*GRID.elements, "nobody"]),
        status=st.sampled_from(SwitchStatus),
        quality=st.sampled_from([PointQuality.GOOD, PointQuality.GOOD, PointQuality.STALE]),
        ts_source_ns=st.sampled_from([now, now - NS_PER_S]),
        end=st.sampled_from(["", "from", "to"]),
    )
    flow = st.builds(
        FlowReported,
        ts_event_ns=st.just(now),
        element=st.sampled_from([*GRID.elements]),
        from_pct=st.sampled_from([0.0, 50.0, None]),
        to_pct=st.sampled_from([0.0, 50.0, None]),
        quality=st.just(PointQuality.GOOD),
        ts_source_ns=st.just(now),
    )
    command = st.builds(
        CommandGiven,
        ts_event_ns=st.just(now),
        command_id=st.sampled_from(["c1", "c2", "c3", "c4", "c5"]),
        by=st.just("chen"),
        role=st.sampled_from(["DISPATCH", "DISPATCH", "TRADING"]),
        action=st.sampled_from(["CONFIRM_RECOVER", "CONFIRM_TRIP", "REJECT_TRIP", "NONSENSE"]),
        args=st.sampled_from([{}, {"reason": "x"}, {"version": "1"}, {"override": "yes", "second": "wang", "reason": "x"}]),
    )
    source = st.builds(SourceReported, ts_event_ns=st.just(now), name=st.sampled_from(["clearing", "scada"]), up=st.booleans())
    control = st.builds(
        ControlReported,
        ts_event_ns=st.just(now),
        site=st.sampled_from(["MAIN", "BACKUP"]),
        asserted=st.booleans(),
        ts_source_ns=st.sampled_from([now, now - NS_PER_S]),
        initial=st.sampled_from([False, False, True]),
    )
    closed = st.builds(
        CalendarClosed,
        ts_event_ns=st.just(now),
        segment=st.just(Segment.RT),
        from_ns=st.just(start + 2 * FIVE),
        to_ns=st.just(start + 5 * FIVE),
    )
    day_ahead = st.builds(
        ClearingReported,
        ts_event_ns=st.just(now),
        segment=st.just(Segment.DA),
        interval_start_ns=st.just(at_ns("00:00")),
        status=st.just(ClearingStatus.OK),
        completed_at_ns=st.just(now),
        version=st.integers(1, 2),
        price_cny_per_mwh=st.sampled_from([(420.0,), (float("nan"),), (9e9,)]),
    )
    expected = st.builds(
        DayAheadExpected,
        ts_event_ns=st.just(now),
        interval_start_ns=st.just(at_ns("00:00")),
        source=st.sampled_from(EstimateSource),
        p50_ns=st.sampled_from([None, now + FIVE]),
        outlook=st.none() | st.sampled_from(Outlook),
    )
    clock = st.builds(ClockCompared, ts_event_ns=st.just(now), wall_s=st.sampled_from([10.0, 15.0]), monotonic_s=st.just(10.0))
    return st.one_of(clearing, clearing, clearing, switch, flow, command, source, clock, control, closed, day_ahead, expected)


def live(facts: list[Fact]) -> list[Fact]:
    """Return the facts as the topic holds them: with a tick at every deadline between."""
    state, told, ticked = begin(START, RULES), list[Fact](), START - 1
    for fact in facts:
        while (deadline := next_deadline_ns(state, RULES)) < fact.ts_event_ns:
            assert deadline > ticked, "a deadline in the past hides the others"
            ticked = deadline
            told.append(Ticked(ts_event_ns=deadline))
            state, _ = step(state, told[-1], RULES, GRID)
        told.append(fact)
        state, _ = step(state, fact, RULES, GRID)
    return told


@settings(max_examples=80, deadline=None)
@given(stories())
def test_invariants(facts: list[Fact]) -> None:
    state = begin(START, RULES)
    decisions, prices, headroom = list[Decision](), list[PriceInForce](), list[float]()
    for fact in live(facts):
        before = state
        state, effects = step(state, fact, RULES, GRID)
        made = [effect for effect in effects if isinstance(effect, Decision)]
        decisions += made
        prices += [effect for effect in effects if isinstance(effect, PriceInForce) and effect.segment is Segment.RT]
        check_step(before, state, fact, made)
        headroom.append(view(state, RULES).segments[0].headroom_s or 0.0)
    check_history(state, decisions, prices)
    assert all(0.0 <= left <= RULES.rt_limit_min * 60 for left in headroom)


def check_step(before: BreakerState, after: BreakerState, fact: Fact, made: list[Decision]) -> None:
    trips = [d.body for d in made if d.kind == "Transition" and d.body["after"] == "TRIPPED"]
    commanded = isinstance(fact, CommandGiven)
    for trip in trips:
        assert trip["evidence"] or trip["by"], "I8: a trip has evidence or a named dispatcher"
        assert trip["tripped_at_ns"] >= trip["condition_met_at_ns"], "I10: never decided before the condition"
        if not commanded:
            assert not before.clock_suspect, "I9: nothing acts by itself on a suspect clock"
            assert not before.watch.blind, "I9: nor while blind"
    if isinstance(fact, DayAheadExpected):
        assert not trips, "what is only expected trips nothing"
        assert after.da == before.da
    recovered = [d for d in made if d.kind == "Transition" and d.body["basis"] == "RECOVERED"]
    assert not recovered or (commanded and all(d.body["by"] for d in recovered)), "I11: recovery never without a person"
    for d in recovered:
        assert d.body["effective_from_ns"] % FIVE == 0, "I17: on an interval boundary"
        assert d.body["effective_from_ns"] >= d.ts_event_ns + RULES.resume_notice_ns
    phases = [d.body for d in made if d.kind == "Transition"]
    assert all(a["after"] == b["before"] for a, b in pairwise(phases)), "transitions follow one another"
    assert after.rt.phase == (phases[-1]["after"] if phases else before.rt.phase), "I5: no change without its record"


def check_history(state: BreakerState, decisions: list[Decision], prices: list[PriceInForce]) -> None:
    assert first_broken(decisions) is None, "I5: the chain verifies"
    notices = [d.body for d in decisions if d.kind == "Announcement"]
    superseded = {n["supersedes"] for n in notices} - {""}
    assert len({n["number"] for n in notices}) == len(notices)
    assert not superseded & {notice.number for notice in state.notices.notices}, "I1: the active notice is superseded by none"
    announced = [d for d in decisions if d.kind == "Transition" and (d.body["after"] == "TRIPPED" or d.body["basis"] == "RECOVERED")]
    assert len(notices) == len(announced)
    explained = sum(d.kind == "DutyOpened" and d.body["duty"] == "explain" for d in decisions)
    assert explained == sum(d.kind == "Transition" and d.body["after"] == "TRIPPED" for d in decisions), "I12"
    by_interval: dict[int, list[PriceInForce]] = {}
    for price in prices:
        by_interval.setdefault(price.interval_start_ns, []).append(price)
    starts = sorted(by_interval)
    assert all(b - a == FIVE for a, b in pairwise(starts)), "I13: every interval has a price record"
    for records in by_interval.values():
        assert [r.rev for r in records] == list(range(len(records)))
        assert all(r.regime is not Regime.MARKET for r in records[:-1]), "I14: a market price is never overwritten"
    kinds = [d.kind for d in decisions if d.kind in ("DutyOpened", "DutySettled") and d.body["duty"] == "limit"]
    assert all(a != b for a, b in pairwise(kinds)), "the 72 h run once at a time"
    if state.rt.phase is Phase.NORMAL:
        assert (state.rt.tripped_at_ns, state.rt.effective_from_ns, state.rt.substituted_from_ns) == (None, None, None)
        assert state.watch.outage_start_ns is None, "a running outage is no normal market"
    if state.rt.phase is Phase.DEGRADED:
        assert state.rt.outage_start_ns == state.watch.outage_start_ns


@settings(max_examples=30, deadline=None)
@given(stories(), st.data())
def test_crash_anywhere_and_redelivery_change_nothing(facts: list[Fact], data: st.DataObject) -> None:
    """I3, I22: the state that the table holds, and the facts from any earlier offset on, give the same bytes."""
    told = live(facts)
    cut = data.draw(st.integers(0, len(told)))
    whole, one = begin(START, RULES), list[str]()
    half, two = begin(START, RULES), list[str]()
    for number, fact in enumerate(told):
        whole, effects = step(whole, fact, RULES, GRID)
        one += [e.hash for e in effects if isinstance(e, Decision)]
        if number == cut:
            half = decode_state(encode_state(half))
        half, effects = step(half, fact, RULES, GRID)
        two += [e.hash for e in effects if isinstance(e, Decision)]
    assert one == two
    assert encode_state(whole) == encode_state(half)


@settings(max_examples=40, deadline=None)
@given(stories(), st.data())
def test_repeats_and_extra_ticks_change_nothing(facts: list[Fact], data: st.DataObject) -> None:
    """I6: a fact told twice, and a tick that nobody needed, leave the same decisions and prices."""
    told = live(facts)
    more: list[Fact] = []
    for fact in told:
        more += [fact] * data.draw(st.integers(1, 2))
        if isinstance(fact, Ticked):
            more += [Ticked(ts_event_ns=fact.ts_event_ns)] * data.draw(st.integers(0, 1))
    assert effects_of(more) == effects_of(told)


def effects_of(facts: list[Fact]) -> list[object]:
    state, effects = begin(START, RULES), list[object]()
    for fact in facts:
        state, made = step(state, fact, RULES, GRID)
        effects += [effect.hash if isinstance(effect, Decision) else effect for effect in made]
    return effects
