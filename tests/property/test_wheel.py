"""Whatever is due whenever, and however the wheel is turned: each call comes once, never early, in order."""

from __future__ import annotations

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
