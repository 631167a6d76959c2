"""Gaps: where they begin, where they end, and when there is none."""

from __future__ import annotations

import numpy as np

from ingest.opcua.gaps import Gap, Gaps


def live(gaps: Gaps, *samples: tuple[int, int], dated: bool = True, overflowed: int | None = None) -> None:
    rows, times_ns = (np.array(column, dtype=np.int64) for column in zip(*samples, strict=True))
    marks = np.array([at == overflowed for at in range(len(samples))])
    gaps.live(rows, times_ns, dated=np.full(len(samples), dated), overflowed=marks)


def test_a_gap_lies_between_the_last_value_before_and_the_first_after() -> None:
    gaps = Gaps(3)
    live(gaps, (0, 10), (1, 11), (0, 20))
    gaps.opened()
    live(gaps, (0, 50), (0, 60), (1, 40), (2, 41))
    assert list(gaps.closed) == [Gap(0, 20, 50), Gap(0, 50, 60, is_seam=True), Gap(1, 11, 40)]
    live(gaps, (0, 70))
    assert len(gaps.closed) == 3


def test_what_lies_behind_the_first_value_of_a_session_is_asked_for_too() -> None:
    gaps = Gaps(2)
    live(gaps, (0, 10), (1, 11))
    gaps.opened()
    live(gaps, (0, 50), (1, 40))
    live(gaps, (1, 55))
    live(gaps, (0, 60), (1, 56), (0, 70))
    assert list(gaps.closed) == [Gap(0, 10, 50), Gap(1, 11, 40), Gap(1, 40, 55, is_seam=True), Gap(0, 50, 60, is_seam=True)]


def test_a_value_told_again_ends_its_gap_without_one() -> None:
    gaps = Gaps(1)
    live(gaps, (0, 10))
    gaps.opened()
    live(gaps, (0, 10), (0, 30))
    assert list(gaps.closed) == [Gap(0, 10, 30, is_seam=True)], "what lies behind it"


def test_a_value_without_a_time_of_its_server_ends_nothing() -> None:
    gaps = Gaps(1)
    live(gaps, (0, 10))
    gaps.opened()
    live(gaps, (0, 35), dated=False)
    live(gaps, (0, 30))
    assert list(gaps.closed) == [Gap(0, 10, 30)]


def test_a_gap_that_was_not_ended_goes_on() -> None:
    gaps = Gaps(1)
    live(gaps, (0, 10))
    gaps.opened()
    gaps.opened()
    live(gaps, (0, 90))
    assert list(gaps.closed) == [Gap(0, 10, 90)]


def test_a_queue_that_ran_over_makes_a_gap_within_a_publish() -> None:
    gaps = Gaps(2)
    live(gaps, (0, 10), (1, 10))
    live(gaps, (0, 20), (1, 25), (0, 40), (0, 50), overflowed=2)
    assert list(gaps.closed) == [Gap(0, 20, 40)]
