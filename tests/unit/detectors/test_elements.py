"""One element by itself: when its loss is certain, what is taken in of it, and when it is quiet enough to be forgotten."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from detectors.elements import ElementState, EndFlow, confirmed_ns, with_flow, with_history, with_position, with_trip
from market.facts import FlowReported, PointQuality, SwitchReported, SwitchStatus, TripSignalled
from market.rules import GUANGDONG_2023 as RULES
from market.rules import rules_from
from market.units import NS_PER_S

S = NS_PER_S
T = 1_000_000 * S
OPEN, CLOSED = SwitchStatus.OPEN, SwitchStatus.CLOSED


def switch(status: SwitchStatus, at: int = T, end: str = "", **more: Any) -> SwitchReported:
    known: dict[str, Any] = {"quality": PointQuality.GOOD, "initial": False, **more}
    return SwitchReported(ts_event_ns=at, element="L1", end=end, status=status, ts_source_ns=at, **known)


def flow(from_pct: float | None, to_pct: float | None, at: int = T, **more: Any) -> FlowReported:
    known: dict[str, Any] = {"quality": PointQuality.GOOD, **more}
    return FlowReported(ts_event_ns=at, element="L1", from_pct=from_pct, to_pct=to_pct, ts_source_ns=at, **known)


def trip(at: int) -> TripSignalled:
    return TripSignalled(ts_event_ns=at, element="L1", ts_source_ns=at)


OUT = replace(with_flow(with_position(ElementState(), switch(OPEN), RULES), flow(0.0, 0.0), RULES))


def test_an_element_nobody_heard_of_is_closed_seen_and_quiet() -> None:
    known = {name: value for name, value in msgspec.to_builtins(ElementState()).items() if value}
    assert known == {}
    assert (ElementState().since_ns, ElementState().seen_ns, ElementState().held_until_ns) == (0, 0, 0)
    assert (ElementState().spent, ElementState().found_open) == (False, False)
    assert ElementState().quiet(T, RULES)


@pytest.mark.parametrize(
    ("state", "quiet"),
    [
        (ElementState(ends={"": OPEN}), False),
        (ElementState(ends={"": CLOSED}), True),
        (ElementState(unseen=("",)), False),
        (ElementState(awaited=("",)), False),
        (ElementState(flows={"from": EndFlow(pct=0.0, ts_source_ns=1, dead_since_ns=1)}), False),
        (ElementState(flows={"from": EndFlow(pct=9.0, ts_source_ns=1, dead_since_ns=None)}), True),
        (ElementState(moves_ns=(T - 60 * S,)), True),
        (ElementState(moves_ns=(T - 60 * S + 1,)), False),
        (ElementState(held_until_ns=T), True),
        (ElementState(held_until_ns=T + 1), False),
        (ElementState(last_source_ns={"": T - 30 * S}), True),
        (ElementState(last_source_ns={"": T - 30 * S + 1}), False),
        (ElementState(last_source_ns={"from": T - 30 * S + 1, "to": 1}), False),
        (ElementState(tripped_ns=T - 30 * S), True),
        (ElementState(tripped_ns=T - 30 * S + 1), False),
    ],
)
def test_what_is_quiet_is_what_a_forgotten_element_is_taken_for(state: ElementState, quiet: bool) -> None:
    assert state.quiet(T, RULES) is quiet


@pytest.mark.parametrize(
    ("state", "at_ns"),
    [
        (OUT, T + 10 * S),
        (replace(OUT, ends={"": CLOSED}), None),
        (replace(OUT, unseen=("to",)), None),
        (replace(OUT, flows={"from": OUT.flows["from"]}), None),
        (replace(OUT, flows={}, bus_dead_ns=T + 3 * S), T + 10 * S),
        (replace(OUT, flows={}, bus_dead_ns=T + 30 * S), T + 30 * S),
        (replace(OUT, flows={}, tripped_ns=T), T + 10 * S),
        (replace(OUT, flows={}, tripped_ns=T - 10 * S), T + 10 * S),
        (replace(OUT, flows={}, tripped_ns=T - 10 * S - 1), None),
        (replace(OUT, seen_ns=T + 5 * S), T + 15 * S),
        (replace(OUT, held_until_ns=T + 40 * S), T + 40 * S),
        (replace(OUT, bus_dead_ns=T + 99 * S), T + 10 * S),
    ],
)
def test_a_loss_is_certain_once_it_has_stood_and_something_else_says_so(state: ElementState, at_ns: int | None) -> None:
    assert confirmed_ns(state, RULES) == at_ns


def test_both_ends_carry_nothing_since_the_later_of_them() -> None:
    state = with_flow(with_flow(ElementState(), flow(0.5, None, T), RULES), flow(None, -0.5, T + 7), RULES)
    assert state.dead_since_ns == T + 7
    assert with_flow(state, flow(1.0, None, T + 8), RULES).dead_since_ns is None, "one per cent is a flow"
    assert with_flow(state, flow(0.4, 0.4, T + 9), RULES).dead_since_ns == T + 7, "it was dead before"


def test_a_flow_is_known_by_its_latest_word_and_not_known_where_that_was_not_good() -> None:
    state = with_flow(ElementState(), flow(40.0, 40.0, T), RULES)
    assert with_flow(state, flow(0.0, 0.0, T - 1), RULES) == state, "older than what is known"
    assert with_flow(state, flow(0.0, 0.0, T), RULES).dead_since_ns == T, "as old is as new"
    assert with_flow(state, flow(0.0, 0.0, T + 1, history=True), RULES) is state
    stale = with_flow(state, flow(0.0, None, T + 1, quality=PointQuality.STALE), RULES)
    assert set(stale.flows) == {"to"}
    again = with_flow(with_flow(state, flow(0.0, 0.0, T + 1), RULES), flow(-5.0, -5.0, T + 2), RULES)
    assert [(each.pct, each.dead_since_ns) for each in again.flows.values()] == [(5.0, None)] * 2
    assert with_flow(again, flow(0.0, 0.0, T + 3), RULES).dead_since_ns == T + 3, "dead anew"


def test_the_newest_word_of_protection_counts() -> None:
    state = with_trip(ElementState(), trip(T))
    assert state.tripped_ns == T
    assert with_trip(state, trip(T)) is state
    assert with_trip(state, trip(T - 1)) is state
    assert with_trip(state, trip(T + 1)).tripped_ns == T + 1


def test_a_position_is_known_by_its_latest_word() -> None:
    state = with_position(ElementState(), switch(OPEN, T, "from"), RULES)
    assert (state.open, state.since_ns, state.moves_ns) == (True, T, (T,))
    assert with_position(state, switch(CLOSED, T - 1, "from"), RULES) is state
    closed = with_position(state, switch(CLOSED, T, "from"), RULES)
    assert (closed.open, closed.since_ns) == (False, T)
    other = with_position(state, switch(OPEN, T + 5, "to"), RULES)
    assert (other.since_ns, other.moves_ns) == (T, (T,)), "the branch was out already"
    assert with_position(ElementState(), switch(OPEN, -1), RULES) == ElementState(), "of before the beginning of time"


def test_a_position_that_is_not_good_leaves_what_was_known_and_is_unseen_until_it_is_good_again() -> None:
    state = with_position(ElementState(), switch(OPEN, T), RULES)
    for status, quality in ((CLOSED, PointQuality.STALE), (SwitchStatus.INTERMEDIATE, PointQuality.GOOD)):
        lost = with_position(state, switch(status, T + S, quality=quality), RULES)
        assert (lost.open, lost.unseen, lost.awaited, lost.seen_ns) == (True, ("",), (), 0)
        assert lost.said == state.said
        seen = with_position(lost, switch(OPEN, T + 2 * S), RULES)
        assert (seen.unseen, seen.seen_ns, seen.since_ns) == ((), T + 2 * S, T)
    assert with_position(state, switch(OPEN, T + S), RULES).seen_ns == 0, "it was seen all the time"
    late = replace(lost, seen_ns=T + 9 * S)
    assert with_position(late, switch(OPEN, T + 2 * S), RULES).seen_ns == T + 9 * S


def test_an_end_is_awaited_from_its_first_word_until_a_good_one() -> None:
    first = with_position(ElementState(), switch(OPEN, T, "from", quality=PointQuality.BAD, initial=True), RULES)
    assert (first.awaited, first.unseen, first.ends) == (("from",), ("from",), {})
    still = with_position(first, switch(OPEN, T + 1, "from", quality=PointQuality.BAD), RULES)
    assert still.awaited == ("from",)
    assert with_position(still, switch(OPEN, T + 2, "from"), RULES).awaited == ()
    assert with_position(first, switch(OPEN, T + 1, "to", quality=PointQuality.BAD), RULES).awaited == ("from",)


def moves(*seconds: int, rules: Any = RULES) -> ElementState:
    state = ElementState()
    for number, second in enumerate(seconds):
        state = with_position(state, switch(CLOSED if number % 2 else OPEN, T + second * S), rules)
    return state


def test_three_changes_within_a_minute_hold_the_position_for_a_minute_from_the_first() -> None:
    assert moves(0, 10).held_until_ns == 0
    assert moves(0, 10, 59).held_until_ns == T + 60 * S
    assert moves(0, 10, 60).held_until_ns == 0, "the first is a minute ago"
    assert moves(0, 10, 60).moves_ns == (T + 10 * S, T + 60 * S)
    assert moves(0, 10, 20, 30).held_until_ns == T + 70 * S
    assert moves(0, 10, 20, rules=rules_from({"chatter_changes": 0})).held_until_ns == 0, "no count, no chatter"


def test_history_tells_when_an_element_moved_and_whether_it_chattered() -> None:
    state = with_position(ElementState(), switch(OPEN, T + 30 * S), RULES)
    assert with_history(state, switch(OPEN, T, quality=PointQuality.STALE), RULES) is state
    assert with_history(state, switch(SwitchStatus.INTERMEDIATE, T), RULES) is state
    earlier = with_history(state, switch(OPEN, T), RULES)
    assert (earlier.since_ns, earlier.moves_ns, earlier.held_until_ns) == (T, (T,), 0)
    between = with_history(earlier, switch(CLOSED, T + 10 * S), RULES)
    assert (between.since_ns, between.moves_ns) == (T + 30 * S, (T, T + 10 * S, T + 30 * S))
    assert between.held_until_ns == T + 60 * S
    closed = with_history(ElementState(), switch(OPEN, T), RULES)
    assert (closed.since_ns, closed.moves_ns, closed.open) == (0, (), False), "what made it closed is told next"
    assert closed.said == {"": ((T, True),)}


def test_of_what_was_said_a_minute_is_kept_and_one_word_before_it() -> None:
    state = ElementState()
    for second in (0, 10, 20, 80, 81):
        state = with_position(state, switch(OPEN, T + second * S), RULES)
    assert [at_ns - T for at_ns, _ in state.said[""]] == [20 * S, 80 * S, 81 * S], "20 is as old as the window, and the one before it"


def test_a_word_of_the_first_instant_counts_and_one_that_is_unseen_again_was_not_seen_between() -> None:
    assert with_position(ElementState(), switch(OPEN, 0), RULES).open
    lost = with_position(with_position(ElementState(), switch(OPEN, T), RULES), switch(OPEN, T + S, quality=PointQuality.STALE), RULES)
    assert with_position(lost, switch(OPEN, T + 2 * S, quality=PointQuality.STALE), RULES).seen_ns == 0


def test_one_change_may_be_chatter_where_the_rules_say_so() -> None:
    assert moves(0, rules=rules_from({"chatter_changes": 1})).held_until_ns == T + 60 * S


def test_history_of_an_element_that_never_moved_moves_nothing() -> None:
    still = with_history(ElementState(), switch(CLOSED, T), RULES)
    assert (still.moves_ns, still.since_ns, still.said) == ((), 0, {"": ((T, False),)})


@pytest.mark.parametrize(("middle", "last", "held"), [(30, 59, True), (30, 60, False), (100, 200, False)])
def test_history_holds_a_position_for_changes_less_than_a_minute_apart(middle: int, last: int, held: bool) -> None:
    said = ((T, True), (T + middle * S, False), (T + last * S, True))
    state = ElementState(ends={"": OPEN}, since_ns=T + last * S, said={"": said})
    after = with_history(state, switch(OPEN, T + last * S), RULES)
    assert bool(after.held_until_ns) is held


def test_a_word_as_old_as_the_window_is_the_one_before_it() -> None:
    state = ElementState()
    for second in (0, 21, 81):
        state = with_position(state, switch(OPEN, T + second * S), RULES)
    assert [at_ns - T for at_ns, _ in state.said[""]] == [21 * S, 81 * S]


def test_history_of_one_change_may_be_chatter_where_the_rules_say_so() -> None:
    state = with_position(ElementState(), switch(OPEN, T), RULES)
    once = with_history(state, switch(OPEN, T - S), rules_from({"chatter_changes": 1}))
    assert once.held_until_ns == T - S + 60 * S
    assert with_history(state, switch(OPEN, T - S), rules_from({"chatter_changes": 0})).held_until_ns == 0, "no count, no chatter"


def test_history_remembers_the_moves_of_the_last_minute() -> None:
    said = {"from": ((T, True), (T + 10 * S, False)), "to": ((T + 70 * S, True),)}
    state = ElementState(ends={"from": CLOSED, "to": OPEN}, since_ns=T + 70 * S, said=said)
    assert with_history(state, switch(OPEN, T + 70 * S, "to"), RULES).moves_ns == (T + 70 * S,), "ten seconds past is a minute ago"
    assert with_history(state, switch(OPEN, T + 69 * S, "to"), RULES).moves_ns == (T + 10 * S, T + 69 * S)
