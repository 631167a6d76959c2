"""How long a run will still take, told by the runs before it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.progress import Course, Outlook, Phase, Progress, Remaining, Run, expected, remaining
from market.units import NS_PER_S, instant_ns

DEADLINE_NS = instant_ns("2026-06-10T23:00:00+08:00")


def run(relaxation: float, commitment: float, dispatch: float) -> Run:
    return Run(seconds={Phase.RELAXATION: relaxation, Phase.COMMITMENT: commitment, Phase.DISPATCH: dispatch})


PAST = [run(1.0, 10.0 * k, 5.0) for k in range(1, 12)]


def test_without_an_earlier_run_nothing_is_estimated() -> None:
    assert remaining([], Phase.COMMITMENT, 3.0) is None
    assert remaining([Run(seconds={Phase.RELAXATION: 1.0})], Phase.COMMITMENT, 3.0) is None
    assert Course().left(PAST, 3.0) is None


def test_at_the_start_of_a_phase_all_runs_count_and_the_phases_to_come_with_them() -> None:
    left = remaining(PAST, Phase.COMMITMENT, 0.0)
    assert left == Remaining(p50_s=65.0, p90_s=105.0, runs=11)


def test_runs_that_were_already_over_by_now_say_nothing_of_what_is_left() -> None:
    left = remaining(PAST, Phase.COMMITMENT, 95.0)
    assert left == Remaining(p50_s=pytest.approx(15.0), p90_s=pytest.approx(19.0), runs=2)


def test_a_run_that_outlasts_them_all_is_expected_to_take_as_long_again_and_is_said_to_be_overdue() -> None:
    left = remaining(PAST, Phase.COMMITMENT, 200.0)
    assert left == Remaining(p50_s=205.0, p90_s=1_805.0, runs=11, overdue=True)


def test_nothing_is_left_of_a_run_that_is_done() -> None:
    assert remaining(PAST, Phase.DONE, 0.0) == Remaining(p50_s=0.0, p90_s=0.0, runs=11)


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=9), st.floats(0, 2e4))
def test_the_rarer_outcome_is_never_the_earlier_one_and_no_time_left_is_negative(past: list[float], spent_s: float) -> None:
    left = remaining([run(1.0, s, 2.0) for s in past], Phase.COMMITMENT, spent_s)
    assert left is not None
    assert 0 <= left.p50_s <= left.p90_s
    assert left.overdue == (spent_s >= max(past))


def test_a_course_becomes_a_run_of_the_history() -> None:
    course = Course()
    said = [(Phase.RELAXATION, 0.0), (Phase.COMMITMENT, 2.0), (Phase.COMMITMENT, 3.0), (Phase.RELAXATION, 7.0), (Phase.COMMITMENT, 8.0)]
    for phase, elapsed_s in said:
        course = course.seen(Progress(phase=phase), elapsed_s)
    # Five seconds from 2 to 7, and four since 8: thirty of the last run and its dispatch are to come.
    left = course.left([run(3.0, 39.0, 4.0)], 12.0)
    assert left == Remaining(p50_s=34.0, p90_s=34.0, runs=1)
    for phase, elapsed_s in [(Phase.DISPATCH, 20.0), (Phase.DONE, 21.5)]:
        course = course.seen(Progress(phase=phase), elapsed_s)
    assert course.over() == run(3.0, 17.0, 1.5)


@pytest.mark.parametrize(
    ("p50_s", "p90_s", "outlook"),
    [(60.0, 120.0, Outlook.IN_TIME), (60.0, 120.001, Outlook.WARN), (120.0, 500.0, Outlook.WARN), (120.001, 500.0, Outlook.PROPOSE)],
)
def test_an_estimate_warns_or_proposes_and_a_result_at_the_deadline_is_in_time(p50_s: float, p90_s: float, outlook: Outlook) -> None:
    found = expected(DEADLINE_NS - 120 * NS_PER_S, Remaining(p50_s=p50_s, p90_s=p90_s, runs=3), DEADLINE_NS)
    assert found.outlook is outlook
    assert found.p90_ns - found.p50_ns == round((p90_s - p50_s) * NS_PER_S)
