"""Waits grow, are spread, and end."""

from __future__ import annotations

from ingest.backoff import Backoff


def test_waits_double_up_to_the_cap_and_are_spread() -> None:
    waits = []
    for _ in range(200):
        backoff = Backoff(first_s=1.0, longest_s=8.0)
        waits.append([backoff.failed() for _ in range(6)])
    for attempt, longest_s in enumerate([1.0, 2.0, 4.0, 8.0, 8.0, 8.0]):
        column = [wait[attempt] for wait in waits]
        assert longest_s / 2 <= min(column)
        assert max(column) <= longest_s
        assert max(column) - min(column) > longest_s / 4


def test_success_forgets() -> None:
    backoff = Backoff(first_s=1.0, longest_s=60.0)
    assert backoff.left_s == 0.0
    for _ in range(5):
        backoff.failed()
    assert backoff.left_s > 8.0
    backoff.succeeded()
    assert backoff.left_s == 0.0
    assert backoff.failed() <= 1.0


def test_a_fast_clock_shortens_the_cap_down_to_the_first_wait() -> None:
    for speed, longest_s in ((1.0, 10.0), (4.0, 2.5), (1000.0, 0.5)):
        backoff = Backoff(first_s=0.5, longest_s=10.0, speed=speed)
        waits = [backoff.failed() for _ in range(20)]
        assert longest_s / 2 <= max(waits[10:]) <= longest_s
