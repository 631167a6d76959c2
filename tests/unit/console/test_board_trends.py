"""A day of one number in buckets: what is kept, what is sent, what a repeat changes."""

from __future__ import annotations

from math import inf, nan

from console.board.state import EVERYTHING
from console.board.trends import Trend
from market.units import NS_PER_S


def trend(**options: float) -> Trend:
    return Trend(bucket_s=10, span_s=100, decimals=2, **options)  # type: ignore[arg-type]


def values(one: Trend, since: int = EVERYTHING) -> tuple[int, list[float | None]]:
    part = one.since(since)
    assert part is not None
    return part["start_s"], part["values"]


def test_the_last_sample_of_a_bucket_counts_and_a_hole_is_null():
    one = trend()
    for second, value in ((1_000, 1.0), (1_004, 2.0), (1_021, 3.0)):
        assert one.add(second * NS_PER_S, value, version=1)
    assert values(one) == (1_000, [2.0, None, 3.0])


def test_near_a_nominal_value_the_farthest_sample_counts():
    one = trend(nominal=50.0)
    assert one.add(1_000 * NS_PER_S, 49.7, version=1)
    assert not one.add(1_001 * NS_PER_S, 50.2, version=2)
    assert one.add(1_002 * NS_PER_S, 50.4, version=3)
    assert values(one) == (1_000, [50.4])


def test_a_repeat_changes_nothing():
    one = trend()
    assert one.add(1_000 * NS_PER_S, 1.0, version=1)
    assert not one.add(1_000 * NS_PER_S, 1.0, version=2)
    assert one.since(1) is None


def test_only_what_was_written_since_is_sent():
    one = trend()
    for n in range(8):
        one.add((1_000 + 10 * n) * NS_PER_S, float(n), version=n)
    assert values(one, since=6) == (1_070, [7.0])
    assert values(one, since=4) == (1_050, [5.0, 6.0, 7.0])


def test_a_late_sample_finds_its_bucket_and_brings_what_follows_it_along():
    one = trend()
    one.add(1_000 * NS_PER_S, 1.0, version=1)
    one.add(1_030 * NS_PER_S, 4.0, version=2)
    assert one.add(1_010 * NS_PER_S, 2.0, version=3)
    assert values(one, since=2) == (1_010, [2.0, None, 4.0])


def test_the_ring_forgets_and_never_mixes_two_rounds():
    one = trend()
    one.add(1_000 * NS_PER_S, 1.0, version=1)
    one.add(1_100 * NS_PER_S, 2.0, version=2)
    assert values(one) == (1_100, [2.0])
    assert not one.add(1_000 * NS_PER_S, 9.0, version=3), "older than the ring"
    one.add(1_150 * NS_PER_S, 3.0, version=4)
    assert values(one) == (1_100, [2.0, None, None, None, None, 3.0])


def test_what_is_not_a_number_is_not_a_sample():
    one = trend()
    assert not one.add(1_000 * NS_PER_S, nan, version=1)
    assert not one.add(1_000 * NS_PER_S, inf, version=1)
    assert one.since(EVERYTHING) is None
