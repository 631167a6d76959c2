"""Real time is believed as far as network time corrects it; a clock that was set moves no event."""

from __future__ import annotations

from ingest.clock import WallClock
from market.units import NS_PER_H, NS_PER_MS, NS_PER_S


class Machine:
    """A machine's two clocks."""

    def __init__(self) -> None:
        self.utc_ns = 1_700_000_000 * NS_PER_S
        self.steady_ns = 5 * NS_PER_S

    def lives(self, seconds: float) -> None:
        self.utc_ns += int(seconds * NS_PER_S)
        self.steady_ns += int(seconds * NS_PER_S)


def made() -> tuple[Machine, WallClock]:
    machine = Machine()
    return machine, WallClock(lambda: machine.utc_ns, lambda: machine.steady_ns)


def test_small_corrections_are_followed_and_time_never_runs_backwards() -> None:
    machine, clock = made()
    assert clock.now_ns() == machine.utc_ns
    machine.lives(10)
    machine.utc_ns += 300 * NS_PER_MS
    assert clock.now_ns() == machine.utc_ns
    machine.utc_ns -= 300 * NS_PER_MS
    assert clock.now_ns() == machine.utc_ns + 300 * NS_PER_MS, "held until the clock catches up"
    machine.lives(1)
    assert clock.now_ns() == machine.utc_ns
    assert clock.step_s() == 0.0


def test_a_clock_that_was_set_moves_no_event_and_is_told() -> None:
    machine, clock = made()
    before_ns = clock.now_ns()
    for step_h in (3, -3):
        machine.utc_ns += step_h * NS_PER_H
        machine.lives(1)
        assert clock.step_s() == (3 * 3600 if step_h > 0 else 0)
    assert clock.now_ns() == before_ns + 2 * NS_PER_S


def test_time_goes_on_although_the_clock_was_set_back() -> None:
    machine, clock = made()
    before_ns = clock.now_ns()
    machine.utc_ns -= 5 * NS_PER_H
    machine.lives(7)
    assert clock.now_ns() == before_ns + 7 * NS_PER_S
    assert clock.step_s() == -5 * 3600
