"""Windows of event time: when they are over, what they need to count, and what a day forgets."""

from __future__ import annotations

import pytest

from market.units import NS_PER_H, NS_PER_MIN, NS_PER_S
from streams.windows import DaySums, Window, sampled

TEN_S = 10 * NS_PER_S


def minute_of(samples: int) -> Window | None:
    """What a minute is worth that had so many samples, one every ten seconds."""
    window = Window()
    for n in range(samples):
        window, over = sampled(window, NS_PER_MIN, n * TEN_S, (float(n), 1.0), TEN_S)
        assert over is None
    return sampled(window, NS_PER_MIN, NS_PER_MIN, (0.0, 0.0), TEN_S)[1]


@pytest.mark.parametrize(("samples", "whole"), [(1, False), (2, False), (3, True), (6, True)])
def test_a_window_counts_with_at_least_half_of_its_samples(samples: int, whole: bool) -> None:
    """Every ten seconds six are expected."""
    assert (minute_of(samples) is not None) is whole


def test_means_are_over_the_samples_and_the_start_is_that_of_the_clock() -> None:
    minute = minute_of(4)
    assert minute is not None
    assert (minute.start_ns, minute.means) == (0, (1.5, 1.0))


def test_one_sample_a_minute_is_a_whole_minute_when_ticks_are_a_minute_apart() -> None:
    window, _ = sampled(Window(), NS_PER_MIN, 0, (4.0,), NS_PER_MIN)
    _, over = sampled(window, NS_PER_MIN, NS_PER_MIN, (5.0,), NS_PER_MIN)
    assert over is not None


def test_a_sample_after_a_pause_ends_the_old_window_and_fills_no_other() -> None:
    window = Window()
    for n in range(6):
        window, _ = sampled(window, NS_PER_MIN, n * TEN_S, (1.0,), TEN_S)
    window, over = sampled(window, NS_PER_MIN, 50 * NS_PER_MIN, (2.0,), TEN_S)
    assert over is not None
    assert over.start_ns == 0
    assert sampled(window, NS_PER_MIN, 51 * NS_PER_MIN, (2.0,), TEN_S)[1] is None


def test_a_day_is_twenty_four_clock_hours_of_event_time() -> None:
    sums = DaySums()
    for hour in range(30):
        sums = sums.add(hour * NS_PER_H + NS_PER_MIN, float(hour), 1.0)
    assert len(sums.hours) == 24
    assert sums.of_day(29 * NS_PER_H + 2 * NS_PER_MIN) == (sum(range(6, 30)), 24.0)


def test_what_is_older_than_a_day_is_forgotten_though_nothing_was_added() -> None:
    sums = DaySums().add(NS_PER_MIN, 3.0, 4.0)
    assert sums.mean(NS_PER_H) == 0.75
    assert sums.mean(24 * NS_PER_H - 1) == 0.75
    assert sums.mean(24 * NS_PER_H) is None
    assert DaySums().mean(0) is None


def test_an_hour_that_is_late_is_put_in_its_place() -> None:
    sums = DaySums().add(5 * NS_PER_H, 1.0, 1.0).add(4 * NS_PER_H, 1.0, 1.0).add(5 * NS_PER_H, 1.0, 1.0)
    assert sums.hours == ((4 * NS_PER_H, 1.0, 1.0), (5 * NS_PER_H, 2.0, 2.0))
