"""Waits double up to their limit, are spread over their upper half, and give way to what the server asks for."""

from __future__ import annotations

import pytest

from streams.backoff import backoff_s, retry_after_s


@pytest.mark.parametrize(("attempt", "shortest_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (7, 30.0), (100_000, 30.0)])
def test_waits_double_up_to_the_limit(attempt: int, shortest_s: float) -> None:
    assert backoff_s(attempt, 1.0, 60.0, 0.0) == shortest_s
    assert backoff_s(attempt, 1.0, 60.0, 0.999_999) == pytest.approx(2 * shortest_s, rel=1e-5)


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        (None, None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 7.0),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after(header: str | None, wait_s: float | None) -> None:
    """The date is the example of RFC 9110 §5.6.7, 784111777 s since the epoch."""
    assert retry_after_s(header, 784_111_770.0) == wait_s
