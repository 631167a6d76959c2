"""Frequency and voltage, and the time they were where they should be."""

from __future__ import annotations

import numpy as np
import pytest

from market.units import NS_PER_MIN, NS_PER_S
from streams.supplyquality import band_watched, in_band_pct, outside_voltage, voltage_minutes, voltage_watched
from streams.windows import DaySums


def test_the_share_of_time_in_band_is_of_the_time_watched() -> None:
    """Ten seconds each at 0, −0.2, 0.21 Hz, and a first instant that stands for nothing yet: two thirds."""
    sums = band_watched(DaySums(), 0, 9.0, 0.2, 0)
    assert in_band_pct(sums, 0) is None
    for n, deviation_hz in enumerate((0.0, -0.2, 0.21)):
        sums = band_watched(sums, n * 10 * NS_PER_S, deviation_hz, 0.2, 10 * NS_PER_S)
    assert in_band_pct(sums, NS_PER_MIN) == pytest.approx(100 * 2 / 3)


def test_the_band_is_what_the_areas_agreed() -> None:
    sums = band_watched(DaySums(), 0, 0.3, 0.5, NS_PER_S)
    assert in_band_pct(sums, 0) == 100.0


def test_voltages_beyond_five_per_cent_are_outside_and_dead_buses_are_not_judged() -> None:
    kv = np.array([220.0, 231.0, 231.1, 209.0, 208.9, 0.0, np.nan])
    outside, judged = outside_voltage(kv, np.full(7, 220.0))
    assert outside.tolist() == [False, False, True, False, True, False, False]
    assert judged.tolist() == [True] * 5 + [False] * 2


def test_voltage_minutes_add_up_over_buses() -> None:
    """Three minutes with two of ten buses outside, then seven with none: 6 of 100 bus·minutes."""
    sums = DaySums()
    for minute in range(10):
        sums = voltage_watched(sums, minute * NS_PER_MIN, 2 if minute < 3 else 0, 10, NS_PER_MIN)
    assert voltage_minutes(sums, 10 * NS_PER_MIN) == (6.0, pytest.approx(94.0))
    assert voltage_minutes(DaySums(), 0) == (None, None)
