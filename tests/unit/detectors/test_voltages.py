"""When a bus is without voltage, and since when."""

from __future__ import annotations

import pytest

from detectors.voltages import DEAD_BELOW_PU, DeadBus, with_voltage
from market.facts import PointQuality, VoltageReported


def told(pu: float, at: int, bus: str = "B", quality: PointQuality = PointQuality.GOOD) -> VoltageReported:
    return VoltageReported(ts_event_ns=at, bus=bus, pu=pu, quality=quality, ts_source_ns=at)


DEAD = {"B": DeadBus(since_ns=10, ts_source_ns=20), "C": DeadBus(since_ns=5, ts_source_ns=5)}


@pytest.mark.parametrize("initial", [False, True])
def test_a_bus_is_dead_since_it_was_first_told_to_be(initial: bool) -> None:
    dead = with_voltage({}, told(0.0, 10), initial=initial)
    assert dead == {"B": DeadBus(since_ns=10, ts_source_ns=10, initial=initial)}
    assert with_voltage(dead, told(0.01, 12), initial=False) == {"B": DeadBus(since_ns=10, ts_source_ns=12, initial=initial)}


def test_a_bus_lives_from_the_limit_on() -> None:
    assert with_voltage({}, told(DEAD_BELOW_PU, 10), initial=False) == {}
    assert with_voltage({}, told(DEAD_BELOW_PU - 1e-9, 10), initial=False)
    assert with_voltage(DEAD, told(DEAD_BELOW_PU, 21), initial=False) == {"C": DEAD["C"]}


def test_what_is_older_than_what_is_known_says_nothing_and_what_is_as_old_does() -> None:
    assert with_voltage(DEAD, told(1.0, 19), initial=False) is DEAD
    assert "B" not in with_voltage(DEAD, told(1.0, 20), initial=False)


def test_a_voltage_that_is_not_good_is_no_sign_of_death() -> None:
    alive: dict[str, DeadBus] = {}
    assert with_voltage(alive, told(0.0, 10, quality=PointQuality.STALE), initial=False) is alive
    assert with_voltage(DEAD, told(0.0, 30, quality=PointQuality.STALE), initial=False) == {"C": DEAD["C"]}
    assert with_voltage(alive, told(1.0, 10), initial=False) is alive


def test_a_bus_is_not_taken_for_one_that_was_dead_when_first_heard_of_unless_that_was_said() -> None:
    assert DeadBus(since_ns=1, ts_source_ns=1).initial is False
