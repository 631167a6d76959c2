"""What is due is called, not early, hardly late, and each thing once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.wheel import Wheel


@given(st.lists(st.integers(0, 10_000), max_size=60), st.lists(st.integers(1, 700), max_size=40), st.integers(1, 50))
def test_each_call_comes_once_never_early_and_at_most_a_slot_late(dues: list[int], steps: list[int], slot_ns: int) -> None:
    wheel, called, now_ns = Wheel(slot_ns), list[tuple[int, int]](), 0
    for number, due_ns in enumerate(dues):
        wheel.at(due_ns, lambda at_ns, number=number: called.append((number, at_ns)))
    for step_ns in steps:
        before_ns, now_ns = now_ns, now_ns + step_ns
        wheel.turn(now_ns)
        for number, at_ns in called:
            assert dues[number] <= at_ns
            if at_ns == now_ns and before_ns:
                assert dues[number] > before_ns - slot_ns, "it was due a turn before"
    assert [number for number, _ in called] == sorted({number for number, _ in called}, key=lambda n: (-(-dues[n] // slot_ns), n))
    assert len(called) + len(wheel) == len(dues)


def test_who_is_called_may_ask_to_be_called_again_and_does_not_keep_the_wheel_turning() -> None:
    wheel, called = Wheel(10), list[int]()

    def again(now_ns: int) -> None:
        called.append(now_ns)
        wheel.at(now_ns, again)

    wheel.at(0, again)
    for now_ns in (5, 10, 20, 25, 30):
        wheel.turn(now_ns)
    assert called == [5, 10, 20, 30]


def test_time_that_jumps_far_costs_what_is_due_and_no_more() -> None:
    wheel, called = Wheel(1), list[int]()
    wheel.at(10, called.append)
    wheel.turn(10**18)
    assert called == [10**18]
    wheel.at(5, called.append)
    wheel.turn(10**18 + 1)
    assert len(called) == 2


def test_a_fault_of_one_that_is_called_costs_nobody_else_a_call() -> None:
    wheel, called = Wheel(10), list[int]()

    def fails(now_ns: int) -> None:
        raise RuntimeError("a fault of ours")

    for due_ns in (5, 15):
        wheel.at(due_ns, fails)
        wheel.at(due_ns, called.append)
    with pytest.raises(ExceptionGroup) as raised:
        wheel.turn(100)
    assert called == [100, 100]
    assert len(raised.value.exceptions) == 2
    wheel.turn(200)
    assert called == [100, 100], "and nobody is called again"
