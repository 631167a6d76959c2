"""What holds of a segment after any sequence of conditions, orders, results and ticks (spec 6.3)."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from market.decisions import Phase, Refused, Transition, out_of_force
from market.facts import Segment
from market.recovery import boundary_ns
from market.segment import SegmentState, next_deadline_ns, ticked, took_effect
from market.segmentstate import OUT
from market.units import NS_PER_H, NS_PER_MIN, instant_text
from tests.kit.machine import AUTO, CONFIRM, Machine, ns

BASES = ("RT_120", "DA_MISSED", "DA_EXPECTED", "TOPOLOGY_HARD", "TOPOLOGY_SOFT", "SWITCHOVER")
LEAPS_NS = (0, 1, NS_PER_MIN, 10 * NS_PER_MIN, NS_PER_H, 30 * NS_PER_H, 80 * NS_PER_H, 24 * 8 * NS_PER_H)
ORDERS = (
    *("PROPOSE_TRIP", "CONFIRM_TRIP", "REJECT_TRIP", "CONFIRM_RECOVER", "DECIDE_SUSPEND", "EXTEND_SUSPENSION"),
    *("CONFIRM_REGIME28", "APPLY_RESUME", "CONFIRM_RESUME"),
)

steps = st.tuples(
    st.sampled_from(LEAPS_NS),
    st.one_of(
        st.sampled_from(BASES).map(lambda basis: ("met", basis)),
        st.sampled_from(BASES).map(lambda basis: ("gone", basis)),
        st.sampled_from(ORDERS).map(lambda action: ("order", action)),
        st.sampled_from(["outage", "over", "shadow", "broken"]).map(lambda name: (name, "")),
    ),
)


def do(machine: Machine, now_ns: int, what: str, name: str) -> None:
    zone = machine.rules.zone
    match what:
        case "met":
            machine.met(now_ns, name, auto_allowed=now_ns % 2 == 0)
        case "gone":
            machine.gone(now_ns, name)
        case "order":
            later = {"start": instant_text(now_ns + NS_PER_H, zone), "expected_end": instant_text(now_ns + 30 * 24 * NS_PER_H, zone)}
            machine.order(now_ns, name, by="li" if name == "PROPOSE_TRIP" else "wu", cause="TECHNICAL", reason="x", **later)
        case "shadow":
            machine.shadow(boundary_ns(machine.state, now_ns + NS_PER_MIN, machine.rules), count=4)
        case "broken":
            machine.broken()
        case "outage" if machine.state.segment is Segment.RT:
            machine.outage(now_ns)
        case "over" if machine.state.segment is Segment.RT:
            machine.over()
        case _:
            pass


def holds(machine: Machine, before: SegmentState, said: list, now_ns: int) -> None:
    state, rules = machine.state, machine.rules
    moves = [body for body in said if isinstance(body, Transition)]
    assert state.version == before.version + len(moves), "each change is on record"
    for body in moves:
        if body.after is Phase.RESUMING and body.basis in ("RECOVERED", "RESUMED"):
            assert body.by, "never without a person (I11)"
            assert body.effective_from_ns is not None
            assert body.effective_from_ns == boundary_ns(state, body.effective_from_ns, rules) >= now_ns + rules.resume_notice_ns, "I17"
        if body.after is Phase.TRIPPED:
            assert body.by or body.evidence, "I8"
            assert body.tripped_at_ns == now_ns, "never back-dated"
        if body.basis == "SUSPENSION_DECIDED":
            assert body.by
            assert body.suspended_from_ns is not None
            assert body.suspended_from_ns >= now_ns
    if any(isinstance(body, Refused) for body in said):
        assert (state, len(said)) == (before, 1), "a refusal stands alone and changes nothing"
    assert out_of_force(state.phase, state.effective_from_ns) is (state.tripped_at_ns is not None)
    assert (state.phase in OUT or state.effective_from_ns is not None) is (state.substituted_from_ns is not None)
    assert (state.proposed_at_ns is not None) is (state.phase is Phase.PROPOSED)
    if state.phase in (Phase.SUSPENDED, Phase.SUSPENDED_LONG):
        assert state.suspended_from_ns is not None
        assert state.suspended_from_ns <= now_ns
    if state.phase is Phase.TRIPPED:
        assert state.limit_from_ns is not None
        assert now_ns <= state.limit_from_ns + rules.breaker_max_ns, "I2"


def settled(machine: Machine, now_ns: int) -> None:
    """A second tick does nothing, and neither does one before the next deadline."""
    state, rules = machine.state, machine.rules
    assert ticked(state, now_ns, rules) == (state, ())
    due_ns = next_deadline_ns(state, now_ns, rules)
    assert due_ns is None or due_ns > now_ns
    quiet_ns = due_ns - 1 if due_ns is not None else now_ns + 365 * 24 * NS_PER_H
    assert took_effect(state, quiet_ns, rules) == (state, ())
    assert ticked(state, quiet_ns, rules) == (state, ())


@settings(max_examples=60, deadline=None)
@given(segment=st.sampled_from(Segment), auto=st.booleans(), story=st.lists(steps, max_size=25))
def test_any_story_keeps_the_rules(segment: Segment, auto: bool, story: list[tuple[int, tuple[str, str]]]) -> None:
    machine, now_ns = Machine(AUTO if auto else CONFIRM, segment=segment), ns("10:00")
    for leap_ns, (what, name) in story:
        now_ns += leap_ns
        machine.tick(now_ns)
        before, told = machine.state, len(machine.said)
        do(machine, now_ns, what, name)
        said = machine.said[told:]
        machine.tick(now_ns)
        if machine.said[told:] == said:
            holds(machine, before, said, now_ns)
        settled(machine, now_ns)
        machine.state = msgspec.json.decode(msgspec.json.encode(machine.state), type=SegmentState)
