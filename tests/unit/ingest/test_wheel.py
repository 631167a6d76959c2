"""What is due is called, not early, hardly late, and each thing once."""

from __future__ import annotations

import pytest

from ingest.wheel import Wheel


def test_calls_come_once_in_the_order_of_their_slots_and_never_early() -> None:
    wheel, called = Wheel(10), list[tuple[str, int]]()
    for due_ns in (25, 10, 11, 20):
        wheel.at(due_ns, lambda now_ns, due_ns=due_ns: called.append((f"due {due_ns}", now_ns)))
    for now_ns in (9, 10, 19, 29, 40):
        wheel.turn(now_ns)
    assert called == [("due 10", 10), ("due 11", 29), ("due 20", 29), ("due 25", 40)]


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
