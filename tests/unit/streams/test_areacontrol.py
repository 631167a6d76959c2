"""Control of the areas against numbers worked out on paper: −10B = 250 MW/Hz, ε₁ = 0.02 Hz, so 9ε₁² = 0.0036 Hz²."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt

import pytest

from market.units import NS_PER_H, NS_PER_MIN, NS_PER_S
from streams.areacontrol import AreaSums, CpsGrade, ace_mw, baal_mw, control_figures, controlled, cps1_pct, cps_grade, cps_k1_pct, l10_mw
from streams.kpis import ControlParams

PARAMS = ControlParams(bias_mw_per_0p1hz={"1": -25.0, "2": -75.0}, epsilon10_hz=0.01)
L10_MW = 1.65 * 0.01 * sqrt(250.0 * 1000.0)
"""8.25 MW: area 1 of a system of two, −10B_s = 1000 MW/Hz."""


def minutes(samples: Iterable[tuple[float, float, float]], sums: AreaSums | None = None, start_min: int = 0) -> AreaSums:
    """Add two samples a minute, of ACE, Δf and tie-line deviation."""
    sums = sums or AreaSums()
    for number, sample in enumerate(samples):
        for half in (0, 30):
            sums = controlled(sums, "1", PARAMS, (start_min + number) * NS_PER_MIN + half * NS_PER_S, sample, 30 * NS_PER_S)
    return sums


def figures(sums: AreaSums, now_min: float) -> dict[str, float]:
    return {name: value for name, value in control_figures(sums, round(now_min * NS_PER_MIN), PARAMS).items() if value is not None}


@pytest.mark.parametrize(
    ("interchange", "scheduled", "hz", "ace"),
    [(100.0, 100.0, 50.0, 0.0), (110.0, 100.0, 50.0, 10.0), (100.0, 100.0, 50.02, 5.0), (90.0, 100.0, 49.98, -15.0)],
)
def test_ace_signs(interchange: float, scheduled: float, hz: float, ace: float) -> None:
    """B = -25 MW/0.1 Hz: 0.02 Hz too fast counts as 10 · 25 · 0.02 = 5 MW of over-generation."""
    assert ace_mw(interchange, scheduled, hz, -25.0, 50.0) == pytest.approx(ace)


def test_cps1_by_hand() -> None:
    """Two minutes: means (ACE, Δf) = (20, 0.01) and (10, −0.01).

    CF = ((20/250)·0.01 + (10/250)·(−0.01)) / 2 / 0.0004 = 0.0002/0.0004 = 0.5, CPS1 = 150 %.
    """
    sums = AreaSums()
    for second, ace, df in [(0, 10.0, 0.0), (30, 30.0, 0.02), (60, 10.0, -0.01), (90, 10.0, -0.01), (120, 0.0, 0.0)]:
        sums = controlled(sums, "1", PARAMS, second * NS_PER_S, (ace, df, 0.0), 30 * NS_PER_S)
    assert figures(sums, 2)["cps1_pct"] == pytest.approx(150.0)
    assert cps1_pct(0.0002, 0.02) == pytest.approx(150.0)
    assert cps1_pct(None, 0.02) is None


def test_cps1_needs_a_whole_minute_and_forgets_hours_not_entries() -> None:
    sums = controlled(AreaSums(), "1", PARAMS, 0, (100.0, 0.1, 0.0), 30 * NS_PER_S)
    assert "cps1_pct" not in figures(sums, 0)
    bad = minutes([(100.0, 0.1, 0.0)] * 61)
    assert figures(bad, 61)["cps1_pct"] == pytest.approx(100 * (2 - 100 / 250 * 0.1 / 0.0004))
    day_ten_min = 10 * 24 * 60
    later = minutes([(0.0, 0.0, 0.0)], bad, day_ten_min)
    assert "cps1_pct" not in figures(later, day_ten_min), "what was ten days ago is no part of a day"
    assert figures(minutes([(0.0, 0.0, 0.0)], later, day_ten_min + 1), day_ten_min + 1)["cps1_pct"] == 200.0


@pytest.mark.parametrize(
    ("deviation_hz", "limit_mw"),
    [(0.06, 15.0), (-0.06, -15.0), (0.03, 30.0), (-0.012, -75.0), (0.0, None)],
)
def test_baal_by_hand(deviation_hz: float, limit_mw: float | None) -> None:
    """250 · 0.0036/Δf: at Δf = 3ε₁ the limit is −10B·3ε₁ = 15 MW, and wider the nearer to nominal."""
    assert baal_mw(deviation_hz, -25.0, 0.02) == limit_mw


def test_minutes_beyond_baal_are_counted_while_they_follow_each_other() -> None:
    """At −0.06 Hz ACE may not fall below −15 MW."""
    low, at_limit, over = (-15.1, -0.06, 0.0), (-15.0, -0.06, 0.0), (20.0, -0.06, 0.0)
    assert figures(minutes([low] * 4), 4)["baal_outside_min"] == 3, "the fourth minute is not over"
    assert figures(minutes([low, low, at_limit, low]), 4)["baal_outside_min"] == 0
    assert figures(minutes([low, low, over, low, low]), 5)["baal_outside_min"] == 1, "over-generation helps a low frequency"
    gap = minutes([low, low], minutes([low, low, low]), start_min=4)
    assert figures(gap, 6)["baal_outside_min"] == 1, "a minute nobody measured resets the count"
    assert "baal_outside_min" not in figures(minutes([low] * 4), 10), "old news"


def test_l10_by_hand() -> None:
    assert l10_mw(-25.0, -100.0, 0.01) == pytest.approx(L10_MW)
    assert pytest.approx(8.25) == L10_MW


def test_cps2_is_the_share_of_ten_minutes_within_l10() -> None:
    """Ten minutes at 8 MW, ten at 9 MW, ten at 30 and −30 MW in turn, of which the mean is 0."""
    inside, outside = (8.0, 0.0, 0.0), (9.0, 0.0, 0.0)
    swing = [(30.0, 0.0, 0.0), (-30.0, 0.0, 0.0)] * 5
    sums = minutes([*[inside] * 10, *[outside] * 10, *swing, inside])
    assert figures(sums, 31)["cps2_pct"] == pytest.approx(100 * 2 / 3)


@pytest.mark.parametrize(
    ("k1_pct", "mean_ace_mw", "grade"),
    [
        (200.0, 99.0, CpsGrade.PASS),
        (199.9, 8.25, CpsGrade.PASS_BY_MEAN),
        (199.9, -8.25, CpsGrade.PASS_BY_MEAN),
        (199.9, 8.26, CpsGrade.FAIL),
        (100.0, 0.0, CpsGrade.PASS_BY_MEAN),
        (99.9, 0.0, CpsGrade.FAIL),
    ],
)
def test_grades_of_the_chinese_rules(k1_pct: float, mean_ace_mw: float, grade: CpsGrade) -> None:
    assert cps_grade(k1_pct, mean_ace_mw, L10_MW) is grade


def test_k1_of_a_quarter_and_the_quarters_passed() -> None:
    """First quarter ACE 5 MW at −0.02 Hz: K1 = 2 + 5·0.02/(250·0.0004) = 3, passed. Second 10 MW at +0.01 Hz: K1 = 1, mean beyond L10."""
    sums = minutes([*[(5.0, -0.02, 0.0)] * 15, *[(10.0, 0.01, 0.0)] * 15, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)])
    found = figures(sums, 32)
    assert found["cps_k1_pct"] == pytest.approx(100.0)
    assert (found["cps_grade"], found["cps_pass_pct"]) == (0.0, 50.0)
    first = figures(minutes([*[(5.0, -0.02, 0.0)] * 15, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)]), 17)
    assert (first["cps_k1_pct"], first["cps_grade"]) == (pytest.approx(300.0), 2.0)
    assert "cps_k1_pct" not in figures(sums, 120), "not the last quarter any more"
    assert cps_k1_pct(0.0004, 0.02) == 100.0


def test_energy_off_schedule_is_that_of_the_last_whole_quarter() -> None:
    """Twelve minutes at 20 MW and three at −5 MW: a mean of 15 MW, 3.75 MWh."""
    sums = minutes([*[(0.0, 0.0, 20.0)] * 12, *[(0.0, 0.0, -5.0)] * 3])
    assert "tie_energy_deviation_mwh" not in figures(sums, 15), "the quarter is not over until something comes after it"
    assert figures(minutes([(0.0, 0.0, 99.0)], sums, 15), 15)["tie_energy_deviation_mwh"] == pytest.approx(3.75)


def test_figures_of_a_day_outlast_a_silence_of_an_hour() -> None:
    sums = minutes([(8.0, 0.0, 0.0)] * 31)
    assert set(figures(sums, 31 + NS_PER_H // NS_PER_MIN)) == {"cps1_pct", "cps2_pct", "cps_pass_pct"}
